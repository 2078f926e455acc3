/* SPDX-License-Identifier: MIT */
/*
 * The Linux half of the TAP protocol: system calls on /dev/net/tun, apart from the NDIS half
 * because the two worlds' headers do not mix. Functions return 0 or a count, or a negative errno.
 * They do not block but for the kernel's own locks.
 */
#ifndef TAP_HOST_H
#define TAP_HOST_H

#include <stddef.h>

#define TAP_NAME 16 /* IFNAMSIZ */

/* struct iovec */
typedef struct _TAP_VEC
{
    void *Base;
    size_t Length;
} TAP_VEC;

/* What a TAP may leave to us: bits for TapHostOffload. */
#define TAP_HOST_CSUM 1u
#define TAP_HOST_TSO4 2u
#define TAP_HOST_TSO6 4u
#define TAP_HOST_USO 8u

/* Opens or creates the interface Name ("" or a pattern like "tap%d": the kernel picks the number),
 * without carrier. Actual gets the name. On failure *Step says which system call it was. */
int TapHostOpen(const char *Name, int *Fd, char Actual[TAP_NAME], const char **Step);
void TapHostClose(int Fd);
/* Closes descriptors and takes their interfaces away, all those of our namespace in one go. */
void TapHostCloseMany(const int *Fds, int Count);
/* Sets which offloads the kernel may use; without USO if it does not know that. Returns what it
 * took. */
int TapHostOffload(int Fd, unsigned Bits);
int TapHostAddress(int Fd, const unsigned char Address[6]);
/* Works while the interface is in our network namespace. */
int TapHostMtu(int Fd, unsigned Mtu);
int TapHostCarrier(int Fd, int Up);
/* One frame with its virtio_net_hdr. 0 never; -EAGAIN: none there. */
long TapHostRead(int Fd, TAP_VEC *Vec, int Count);
long TapHostWrite(int Fd, TAP_VEC *Vec, int Count);
/* Name of an errno value for people. Not for several threads at once on one value. */
const char *TapHostError(int Error);

#define TAP_EPERM (-1)
#define TAP_ENOENT (-2)
#define TAP_EAGAIN (-11)
#define TAP_EACCES (-13)
#define TAP_EBUSY (-16)
#define TAP_ENODEV (-19)
#define TAP_EINVAL (-22)
#define TAP_EIO (-5)
#define TAP_EBADFD (-77)

#endif
