/* SPDX-License-Identifier: MIT */
/*
 * System calls on TAP descriptors. No state, no lock, any IRQL at which the caller can afford a
 * system call.
 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/if_tun.h>

_Static_assert(sizeof(TAP_VEC) == sizeof(struct iovec) &&
                   offsetof(TAP_VEC, Length) == offsetof(struct iovec, iov_len),
               "TAP_VEC is struct iovec");
_Static_assert(TAP_EAGAIN == -EAGAIN && TAP_EIO == -EIO && TAP_EBADFD == -EBADFD &&
                   TAP_EPERM == -EPERM && TAP_ENOENT == -ENOENT && TAP_EACCES == -EACCES &&
                   TAP_EBUSY == -EBUSY && TAP_ENODEV == -ENODEV && TAP_EINVAL == -EINVAL,
               "errno values");

/* Linux 6.2; the headers of Debian 12 are older. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

int TapHostOpen(const char *Name, int *Fd, char Actual[TAP_NAME], const char **Step)
{
    struct ifreq Request;
    int Descriptor, Error;

    *Step = "open /dev/net/tun";
    Descriptor = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (Descriptor < 0)
        return -errno;
    memset(&Request, 0, sizeof(Request));
    strncpy(Request.ifr_name, Name, TAP_NAME - 1);
    Request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    *Step = "TUNSETIFF";
    if (ioctl(Descriptor, TUNSETIFF, &Request))
        goto Close;
    /* Down until NDIS says that the link is up. Kernels before 5.0 cannot: then it stays up. */
    TapHostCarrier(Descriptor, 0);
    memcpy(Actual, Request.ifr_name, TAP_NAME);
    *Fd = Descriptor;
    return 0;

Close:
    Error = -errno;
    close(Descriptor);
    return Error;
}

void TapHostClose(int Fd)
{
    close(Fd);
}

int TapHostOffload(int Fd, unsigned Bits)
{
    unsigned Flags = 0;

    if (Bits & TAP_HOST_CSUM)
    {
        Flags = TUN_F_CSUM;
        if (Bits & TAP_HOST_TSO4)
            Flags |= TUN_F_TSO4 | TUN_F_TSO_ECN;
        if (Bits & TAP_HOST_TSO6)
            Flags |= TUN_F_TSO6 | TUN_F_TSO_ECN;
        if (Bits & TAP_HOST_USO)
            Flags |= TUN_F_USO4 | TUN_F_USO6;
    }
    if (!ioctl(Fd, TUNSETOFFLOAD, Flags))
        return (int)(Flags ? Bits : 0);
    Flags &= ~(unsigned)(TUN_F_USO4 | TUN_F_USO6);
    if (!ioctl(Fd, TUNSETOFFLOAD, Flags))
        return (int)(Flags ? Bits & ~TAP_HOST_USO : 0);
    return -errno;
}

int TapHostAddress(int Fd, const unsigned char Address[6])
{
    struct ifreq Request;

    /* On the descriptor, so it works in whatever namespace the interface lives by now. */
    memset(&Request, 0, sizeof(Request));
    Request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(Request.ifr_hwaddr.sa_data, Address, 6);
    return ioctl(Fd, SIOCSIFHWADDR, &Request) ? -errno : 0;
}

int TapHostMtu(int Fd, unsigned Mtu)
{
    struct ifreq Request;
    int Socket, Error = 0;

    memset(&Request, 0, sizeof(Request));
    if (ioctl(Fd, TUNGETIFF, &Request))
        return -errno;
    Socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (Socket < 0)
        return -errno;
    if (ioctl(Socket, SIOCGIFMTU, &Request))
    {
        Error = -errno;
    }
    else if (Request.ifr_mtu != (int)Mtu)
    {
        Request.ifr_mtu = (int)Mtu;
        if (ioctl(Socket, SIOCSIFMTU, &Request))
            Error = -errno;
    }
    close(Socket);
    return Error;
}

int TapHostCarrier(int Fd, int Up)
{
    return ioctl(Fd, TUNSETCARRIER, &Up) ? -errno : 0;
}

/* Not through readv and writev, which are cancellation points and cost two atomics more each. */
long TapHostRead(int Fd, TAP_VEC *Vec, int Count)
{
    ssize_t N = syscall(SYS_readv, Fd, Vec, Count);

    return N < 0 ? -errno : N;
}

long TapHostWrite(int Fd, TAP_VEC *Vec, int Count)
{
    ssize_t N = syscall(SYS_writev, Fd, Vec, Count);

    return N < 0 ? -errno : N;
}

const char *TapHostError(int Error)
{
    return strerror(-Error);
}
