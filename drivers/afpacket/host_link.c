/* SPDX-License-Identifier: MIT */
/*
 * What the kernel says about an interface: address, MTU, carrier and speed by ioctl, changes by a
 * netlink socket.
 */
#include "host_private.h"

#include <net/if.h> /* before the kernel's <linux/if.h> */

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>

static int Control(const AF_HOST *Host, unsigned long Code, struct ifreq *Request)
{
    strncpy(Request->ifr_name, Host->Name, IFNAMSIZ - 1);
    return ioctl(Host->Fd, Code, Request) ? -errno : 0;
}

static unsigned long long Speed(const AF_HOST *Host)
{
    struct ifreq Request = {0};
    struct ethtool_cmd Command = {.cmd = ETHTOOL_GSET};
    unsigned Megabits;

    Request.ifr_data = (char *)&Command;
    if (Control(Host, SIOCETHTOOL, &Request))
        return 0;
    Megabits = ethtool_cmd_speed(&Command);
    return Megabits == (unsigned)-1 || Megabits == 0xFFFF ? 0 : Megabits * 1000000ull;
}

static int IsVirtual(const AF_HOST *Host)
{
    struct ifreq Request = {0};
    struct ethtool_drvinfo Info = {.cmd = ETHTOOL_GDRVINFO};

    Request.ifr_data = (char *)&Info;
    if (Control(Host, SIOCETHTOOL, &Request))
        return 0;
    return !strcmp(Info.driver, "veth") || !strcmp(Info.driver, "bridge") ||
           !strcmp(Info.driver, "tun");
}

int AfHostLink(const AF_HOST *Host, AF_LINK *Link)
{
    struct ifreq Request = {0};
    int Error;

    memset(Link, 0, sizeof(*Link));
    Error = Control(Host, SIOCGIFHWADDR, &Request);
    if (Error)
        return Error;
    if (Request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
        return -EPROTOTYPE;
    memcpy(Link->Address, Request.ifr_hwaddr.sa_data, 6);
    Error = Control(Host, SIOCGIFMTU, &Request);
    if (Error)
        return Error;
    Link->Mtu = (unsigned)Request.ifr_mtu;
    Error = Control(Host, SIOCGIFFLAGS, &Request);
    if (Error)
        return Error;
    Link->Up = (Request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
    Link->BitsPerSecond = Speed(Host);
    Link->Virtual = IsVirtual(Host);
    return 0;
}

int AfHostLinkOpen(AF_HOST *Host)
{
    struct sockaddr_nl Address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};

    Host->Netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (Host->Netlink < 0)
        return -errno;
    return bind(Host->Netlink, (struct sockaddr *)&Address, sizeof(Address)) ? -errno : 0;
}

int AfHostLinkChanges(const AF_HOST *Host)
{
    union
    {
        struct nlmsghdr Header;
        char Bytes[16384];
    } Buffer;
    int Result = 0;
    ssize_t N;

    while ((N = recv(Host->Netlink, &Buffer, sizeof(Buffer), MSG_DONTWAIT)) != 0)
    {
        unsigned Left = (unsigned)N;

        if (N < 0 && errno == ENOBUFS) /* we missed some: look for ourselves */
        {
            Result = 1;
            continue;
        }
        if (N < 0)
            break;
        for (struct nlmsghdr *M = &Buffer.Header; NLMSG_OK(M, Left); M = NLMSG_NEXT(M, Left))
        {
            struct ifinfomsg *Info = NLMSG_DATA(M);

            if (M->nlmsg_type != RTM_NEWLINK && M->nlmsg_type != RTM_DELLINK)
                continue;
            if (M->nlmsg_len < NLMSG_LENGTH(sizeof(*Info)) || Info->ifi_index != Host->Index ||
                Info->ifi_family != AF_UNSPEC)
                continue;
            if (M->nlmsg_type == RTM_DELLINK)
                return -ENODEV;
            Result = 1;
        }
    }
    return Result;
}
