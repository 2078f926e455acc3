/* SPDX-License-Identifier: MIT */
/*
 * The Linux half of the packet-socket miniport, apart from the NDIS half because the two worlds'
 * headers do not mix. Functions return 0 or a count, or a negative errno; none blocks but for the
 * kernel's own locks. An AF_HOST belongs to one adapter: AfHostReceive and what follows it are for
 * one caller at a time, AfHostSend for any number.
 */
#ifndef AF_HOST_H
#define AF_HOST_H

#include <stddef.h>

#define AF_NAME 16 /* IFNAMSIZ */
#define AF_BATCH 64

/* struct iovec */
typedef struct _AF_VEC
{
    void *Base;
    size_t Length;
} AF_VEC;

typedef struct _AF_LINK
{
    unsigned char Address[6];
    unsigned Mtu;
    int Up;                           /* administratively up and with carrier */
    unsigned long long BitsPerSecond; /* 0: the kernel does not know */
    int Virtual;                      /* a veth, bridge or TAP: no queue of its own below us */
} AF_LINK;

/* One frame to send: Vec[0] is its virtio_net_hdr. */
typedef struct _AF_TX
{
    AF_VEC *Vec;
    int Count;
} AF_TX;

/* One frame that came. */
typedef struct _AF_RX
{
    unsigned Length; /* octets of the frame; 0: it was cut off, forget it */
    int Tagged;      /* the kernel took a tag off: Tpid, Tci */
    unsigned short Tpid, Tci;
} AF_RX;

typedef struct _AF_HOST AF_HOST;

/* Octets of memory that an AF_HOST needs; the caller gives them zeroed. */
size_t AfHostSize(void);
/*
 * Opens the sockets on interface Name and reads *Link. Nothing is received until AfHostAccept. On
 * failure *Step says what failed, and everything is closed.
 */
int AfHostOpen(AF_HOST *Host, const char *Name, AF_LINK *Link, const char **Step);
void AfHostClose(AF_HOST *Host);
int AfHostDescriptor(const AF_HOST *Host);     /* the packet socket */
int AfHostLinkDescriptor(const AF_HOST *Host); /* readable when links change */
/* Hands frames to the socket or drops them before; what is queued when it stops is dropped too. */
int AfHostAccept(AF_HOST *Host, int On);
int AfHostError(const AF_HOST *Host); /* takes the pending error off the socket */

/* Gives position 0..AF_BATCH-1 room for a frame; stays until a frame has come into it. */
void AfHostArm(AF_HOST *Host, int Position, void *Vnet, size_t VnetSize, void *Data, size_t Size);
/* Fills armed positions from 0 on, at most Count. */
int AfHostReceive(AF_HOST *Host, int Count);
void AfHostFrame(const AF_HOST *Host, int Position, AF_RX *Frame);
/* Sends in order; returns how many went, or the error of the first. */
int AfHostSend(const AF_HOST *Host, AF_TX *Frames, int Count);

#define AF_ALLMULTI 1
#define AF_PROMISC 2
#define AF_MULTICAST 3
#define AF_UNICAST 4
/* Counted: each Add has its Drop. Address only for AF_MULTICAST and AF_UNICAST. */
int AfHostMember(const AF_HOST *Host, int Add, int Kind, const unsigned char *Address);

/* Asks the kernel anew. */
int AfHostLink(const AF_HOST *Host, AF_LINK *Link);
/* Reads what the link descriptor has. 1: our link changed, -ENODEV: it is gone, 0: neither. */
int AfHostLinkChanges(const AF_HOST *Host);
/* "lo, eth0" of this network namespace. */
void AfHostNames(char *Out, size_t Size);
const char *AfHostErrorText(int Error);

#define AF_EPERM (-1)
#define AF_EAGAIN (-11)
#define AF_ENODEV (-19)
#define AF_EMSGSIZE (-90)
#define AF_ENETDOWN (-100)
#define AF_ENOBUFS (-105)

#endif
