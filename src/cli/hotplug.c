/* SPDX-License-Identifier: MIT */
/*
 * Linux interfaces that come back: the part of a bus driver for devices with a HostInterface. A
 * netlink socket in the serving loop tells that a link has appeared; a device whose interface that
 * is, and which was removed by surprise or could not start, is started again. PASSIVE_LEVEL.
 */
#include "cli.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "config/config.h"
#include "plat/plat.h"

int hotplug_open(void)
{
    struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at)) {
        close(fd);
        fd = -1;
    }
    return fd; /* -1: interfaces that come back need `umndis device enable` */
}

struct gone {
    char instance[16][64];
    unsigned count;
};

static bool interface_is_back(const char *instance_id)
{
    char key[128];
    char *name = NULL;
    if (umn__pnp_driver_key(instance_id, key) || umn__reg_get_sz(key, "HostInterface", &name))
        return false;
    bool back = name && if_nametoindex(name) != 0;
    plat_free(name);
    return back;
}

static bool visit(void *arg, const struct umn_device_info *d)
{
    struct gone *g = arg;
    bool waits = !strcmp(d->state, "SurpriseRemoved") || !strcmp(d->state, "Failed") ||
                 !strcmp(d->state, "Removed");
    if (waits && g->count < 16 && interface_is_back(d->instance_id))
        snprintf(g->instance[g->count++], sizeof g->instance[0], "%s", d->instance_id);
    return true;
}

void hotplug_ready(int fd)
{
    char message[8192];
    struct gone g = {.count = 0};
    bool link = false;
    for (ssize_t n; (n = recv(fd, message, sizeof message, 0)) > 0;) {
        unsigned left = (unsigned)n;
        for (struct nlmsghdr *h = (struct nlmsghdr *)message; NLMSG_OK(h, left);
             h = NLMSG_NEXT(h, left))
            link |= h->nlmsg_type == RTM_NEWLINK;
    }
    if (!link)
        return;
    umn__pnp_devices(visit, &g);
    for (unsigned i = 0; i < g.count; i++)
        if (umn__pnp_start_device(g.instance[i], NULL))
            plat_log(1, "%s: %s", g.instance[i], umn_last_error());
        else
            plat_log(2, "%s: its interface is back", g.instance[i]);
}
