/* SPDX-License-Identifier: MIT */
/*
 * Packet socket: open, receive and send in batches, filter, memberships. Owns AF_HOST.
 */
#include "host_private.h"

#include <net/if.h> /* before the kernel's <linux/if.h> */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/syscall.h>

_Static_assert(sizeof(AF_VEC) == sizeof(struct iovec) &&
                   offsetof(AF_VEC, Length) == offsetof(struct iovec, iov_len),
               "AF_VEC is struct iovec");
_Static_assert(AF_EPERM == -EPERM && AF_EAGAIN == -EAGAIN && AF_ENODEV == -ENODEV &&
                   AF_EMSGSIZE == -EMSGSIZE && AF_ENETDOWN == -ENETDOWN && AF_ENOBUFS == -ENOBUFS,
               "errno values");

/* What the socket may hold while we are away; the default is 208 KB, three large segments. */
#define SOCKET_BUFFER (8 << 20)

size_t AfHostSize(void)
{
    return sizeof(AF_HOST);
}

int AfHostDescriptor(const AF_HOST *Host)
{
    return Host->Fd;
}

int AfHostLinkDescriptor(const AF_HOST *Host)
{
    return Host->Netlink;
}

const char *AfHostErrorText(int Error)
{
    return strerror(-Error);
}

void AfHostNames(char *Out, size_t Size)
{
    struct if_nameindex *List = if_nameindex();
    size_t Used = 0;

    Out[0] = 0;
    for (struct if_nameindex *I = List; I && I->if_index && Used + 20 < Size; I++)
        Used += (size_t)snprintf(Out + Used, Size - Used, "%s%s", Used ? ", " : "", I->if_name);
    if (List)
        if_freenameindex(List);
}

static int SetInt(int Fd, int Level, int Option, int Value)
{
    return setsockopt(Fd, Level, Option, &Value, sizeof(Value)) ? -errno : 0;
}

/* Options without which offloads would be lost come first; the rest only makes it faster. */
static int SetOptions(AF_HOST *Host, const AF_LINK *Link, const char **Step)
{
    int Fd = Host->Fd, Error;

    *Step = "PACKET_VNET_HDR";
    Error = SetInt(Fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    if (Error)
        return Error;
    *Step = "PACKET_AUXDATA";
    Error = SetInt(Fd, SOL_PACKET, PACKET_AUXDATA, 1);
    if (Error)
        return Error;
    *Step = "PACKET_IGNORE_OUTGOING";
    Error = SetInt(Fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    if (Error)
        return Error;
    /* A real card's queue is what pushes back; a virtual one has none to lose. */
    if (Link->Virtual)
        SetInt(Fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
    if (SetInt(Fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER))
        SetInt(Fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
    if (SetInt(Fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER))
        SetInt(Fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
    return 0;
}

int AfHostOpen(AF_HOST *Host, const char *Name, AF_LINK *Link, const char **Step)
{
    struct sockaddr_ll Address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int Error;

    Host->Fd = Host->Netlink = -1;
    *Step = "finding the interface";
    Host->Index = (int)if_nametoindex(Name);
    if (!Host->Index)
        return -ENODEV;
    strncpy(Host->Name, Name, AF_NAME - 1);
    *Step = "opening a packet socket";
    /* Protocol 0: no frame until bind, and by then the filter drops them. */
    Host->Fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (Host->Fd < 0)
        return -errno;
    *Step = "reading the link";
    Error = AfHostLink(Host, Link);
    if (!Error)
        Error = SetOptions(Host, Link, Step);
    if (!Error)
    {
        *Step = "SO_ATTACH_FILTER";
        Error = AfHostAccept(Host, 0);
    }
    if (!Error)
    {
        *Step = "bind";
        Address.sll_ifindex = Host->Index;
        Error = bind(Host->Fd, (struct sockaddr *)&Address, sizeof(Address)) ? -errno : 0;
    }
    if (!Error)
    {
        *Step = "opening a netlink socket";
        Error = AfHostLinkOpen(Host);
    }
    if (Error)
        AfHostClose(Host);
    return Error;
}

void AfHostClose(AF_HOST *Host)
{
    if (Host->Fd >= 0)
        close(Host->Fd);
    if (Host->Netlink >= 0)
        close(Host->Netlink);
    Host->Fd = Host->Netlink = -1;
}

int AfHostAccept(AF_HOST *Host, int On)
{
    struct sock_filter Drop[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog Program = {1, Drop};
    char Start[16]; /* a virtio_net_hdr must fit */

    if (On)
        return SetInt(Host->Fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
    if (setsockopt(Host->Fd, SOL_SOCKET, SO_ATTACH_FILTER, &Program, sizeof(Program)))
        return -errno;
    /* Nothing comes behind the filter any more, so this ends; the bound is for errors that stay. */
    for (int I = 0; I < 1 << 20; I++)
        if (recv(Host->Fd, Start, sizeof(Start), MSG_DONTWAIT) < 0 && errno == EAGAIN)
            break;
    return 0;
}

int AfHostError(const AF_HOST *Host)
{
    int Error = 0;
    socklen_t Length = sizeof(Error);

    getsockopt(Host->Fd, SOL_SOCKET, SO_ERROR, &Error, &Length);
    return -Error;
}

void AfHostArm(AF_HOST *Host, int Position, void *Vnet, size_t VnetSize, void *Data, size_t Size)
{
    struct mmsghdr *M = &Host->Rx[Position];
    struct iovec *V = Host->RxVec[Position];

    V[0] = (struct iovec){Vnet, VnetSize};
    V[1] = (struct iovec){Data, Size};
    M->msg_hdr = (struct msghdr){
        .msg_iov = V,
        .msg_iovlen = 2,
        .msg_control = Host->RxControl[Position],
        .msg_controllen = sizeof(Host->RxControl[Position]),
    };
    M->msg_len = 0;
}

/* Not through recvmmsg and sendmmsg, which are cancellation points and cost two atomics more each.
 */
int AfHostReceive(AF_HOST *Host, int Count)
{
    int N = (int)syscall(SYS_recvmmsg, Host->Fd, Host->Rx, Count, MSG_DONTWAIT, NULL);

    return N < 0 ? -errno : N;
}

void AfHostFrame(const AF_HOST *Host, int Position, AF_RX *Frame)
{
    const struct mmsghdr *M = &Host->Rx[Position];
    struct msghdr *Header = (struct msghdr *)&M->msg_hdr;
    unsigned Vnet = (unsigned)M->msg_hdr.msg_iov[0].iov_len;

    memset(Frame, 0, sizeof(*Frame));
    if (M->msg_len > Vnet && !(M->msg_hdr.msg_flags & MSG_TRUNC))
        Frame->Length = M->msg_len - Vnet;
    for (struct cmsghdr *C = CMSG_FIRSTHDR(Header); C; C = CMSG_NXTHDR(Header, C))
    {
        struct tpacket_auxdata Aux;

        if (C->cmsg_level != SOL_PACKET || C->cmsg_type != PACKET_AUXDATA)
            continue;
        memcpy(&Aux, CMSG_DATA(C), sizeof(Aux));
        if (Aux.tp_status & TP_STATUS_VLAN_VALID)
        {
            Frame->Tagged = 1;
            Frame->Tci = Aux.tp_vlan_tci;
            Frame->Tpid = Aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? Aux.tp_vlan_tpid : 0x8100;
        }
    }
}

int AfHostSend(const AF_HOST *Host, AF_TX *Frames, int Count)
{
    struct mmsghdr Messages[AF_BATCH];
    int N;

    for (N = 0; N < Count && N < AF_BATCH; N++)
    {
        Messages[N].msg_hdr = (struct msghdr){
            .msg_iov = (struct iovec *)Frames[N].Vec,
            .msg_iovlen = (size_t)Frames[N].Count,
        };
        Messages[N].msg_len = 0;
    }
    N = (int)syscall(SYS_sendmmsg, Host->Fd, Messages, N, MSG_DONTWAIT);
    return N < 0 ? -errno : N;
}

int AfHostMember(const AF_HOST *Host, int Add, int Kind, const unsigned char *Address)
{
    static const unsigned short Types[] = {
        [AF_ALLMULTI] = PACKET_MR_ALLMULTI,
        [AF_PROMISC] = PACKET_MR_PROMISC,
        [AF_MULTICAST] = PACKET_MR_MULTICAST,
        [AF_UNICAST] = PACKET_MR_UNICAST,
    };
    struct packet_mreq M = {.mr_ifindex = Host->Index, .mr_type = Types[Kind]};

    if (Address)
    {
        M.mr_alen = 6;
        memcpy(M.mr_address, Address, 6);
    }
    return setsockopt(Host->Fd, SOL_PACKET, Add ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP,
                      &M, sizeof(M))
               ? -errno
               : 0;
}
