/* SPDX-License-Identifier: MIT */
/*
 * Shared between host.c and host_link.c: what an AF_HOST is. Linux headers only.
 */
#ifndef AF_HOST_PRIVATE_H
#define AF_HOST_PRIVATE_H

#include "host.h"

#include <sys/socket.h>
#include <sys/uio.h>

struct _AF_HOST
{
    int Fd;      /* packet socket */
    int Netlink; /* RTNLGRP_LINK */
    int Index;   /* of the interface */
    char Name[AF_NAME];
    /* Receive positions, armed once and again when a frame has come into them. */
    struct mmsghdr Rx[AF_BATCH];
    struct iovec RxVec[AF_BATCH][2];
    char RxControl[AF_BATCH][64] __attribute__((aligned(8))); /* one tpacket_auxdata */
};

int AfHostLinkOpen(AF_HOST *Host);

#endif
