/* SPDX-License-Identifier: MIT */
/*
 * Taking many TAPs away at once. Closing one makes the kernel wait for everybody who might still
 * use it, about 16 ms; as a group by netlink, a thousand share that wait. Only interfaces in our
 * own network namespace can go that way; the others are closed one by one.
 */
#include "host.h"

#include <net/if.h> /* before the kernel's <linux/if.h> */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct _LINK_REQUEST
{
    struct nlmsghdr Header;
    struct ifinfomsg Info;
    struct rtattr Attribute;
    unsigned Group;
} LINK_REQUEST;

/* Sends one request and reads its acknowledgement. */
static int Request(int Netlink, int Type, int Index, unsigned Group)
{
    LINK_REQUEST R = {
        .Header = {.nlmsg_len = sizeof(R),
                   .nlmsg_type = (unsigned short)Type,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .Info = {.ifi_index = Index},
        .Attribute = {.rta_len = RTA_LENGTH(sizeof(Group)), .rta_type = IFLA_GROUP},
        .Group = Group,
    };
    union
    {
        struct nlmsghdr Header;
        char Bytes[1024];
    } Answer;
    struct nlmsgerr *Error = NLMSG_DATA(&Answer.Header);
    ssize_t N;

    if (send(Netlink, &R, sizeof(R), 0) != (ssize_t)sizeof(R))
        return -errno;
    N = recv(Netlink, &Answer, sizeof(Answer), 0);
    if (N < (ssize_t)NLMSG_LENGTH(sizeof(*Error)) || Answer.Header.nlmsg_type != NLMSG_ERROR)
        return -EPROTO;
    return Error->error;
}

/* The interface's index if it lives in the namespace that `Own` describes, else 0: a name alone
 * could be somebody else's by now. */
static int IndexHere(int Fd, int Control, const struct stat *Own)
{
    struct ifreq R;
    struct stat There;
    int Namespace = ioctl(Fd, TUNGETDEVNETNS), Same;

    if (Namespace < 0)
        return 0;
    Same = !fstat(Namespace, &There) && There.st_ino == Own->st_ino && There.st_dev == Own->st_dev;
    close(Namespace);
    memset(&R, 0, sizeof(R));
    if (!Same || ioctl(Fd, TUNGETIFF, &R) || ioctl(Control, SIOCGIFINDEX, &R))
        return 0;
    return R.ifr_ifindex;
}

static void DeleteGroup(const int *Fds, int Count, int Netlink, int Control)
{
    struct stat Own;
    unsigned Group = 0;
    int Marked = 0;

    if (stat("/proc/thread-self/ns/net", &Own) ||
        getrandom(&Group, sizeof(Group), 0) != (ssize_t)sizeof(Group))
        return;
    Group |= 0x80000000u; /* out of the way of small numbers that people use */
    for (int I = 0; I < Count; I++)
    {
        int Index = IndexHere(Fds[I], Control, &Own);

        if (Index && !Request(Netlink, RTM_SETLINK, Index, Group))
            Marked++;
    }
    if (Marked)
        Request(Netlink, RTM_DELLINK, 0, Group);
}

void TapHostCloseMany(const int *Fds, int Count)
{
    if (Count > 1)
    {
        int Netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        int Control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (Netlink >= 0 && Control >= 0)
            DeleteGroup(Fds, Count, Netlink, Control);
        if (Netlink >= 0)
            close(Netlink);
        if (Control >= 0)
            close(Control);
    }
    for (int I = 0; I < Count; I++)
        close(Fds[I]);
}
