/* SPDX-License-Identifier: MIT */
/* Receive segment coalescing: how many segments and duplicate ACKs one indication stands for. */
#ifndef UMN_WDK_NDIS_NBLRSC_H
#define UMN_WDK_NDIS_NBLRSC_H

#include <ndis/nblaccessors.h>
#include <ndis/nblrsc_types.h>

#define NET_BUFFER_LIST_COALESCED_SEG_COUNT(_NBL)                                                  \
    (((PNDIS_RSC_NBL_INFO)&NET_BUFFER_LIST_INFO(_NBL, TcpRecvSegCoalesceInfo))                     \
         ->Info.CoalescedSegCount)
#define NET_BUFFER_LIST_DUP_ACK_COUNT(_NBL)                                                        \
    (((PNDIS_RSC_NBL_INFO)&NET_BUFFER_LIST_INFO(_NBL, TcpRecvSegCoalesceInfo))->Info.DupAckCount)

#endif
