/* SPDX-License-Identifier: MIT */
/* The network types that NDIS structures embed: addresses and flow specifications. Host code that
 * has the system's own <netinet/in.h> keeps it: the names here do not collide with POSIX names. */
#ifndef UMN_WDK_NDIS_IN_ADDR_H
#define UMN_WDK_NDIS_IN_ADDR_H

#include <ntdef.h>

#include <nt/push.h>

typedef struct _UMN_IN_ADDR {
    union {
        struct {
            UCHAR s_b1;
            UCHAR s_b2;
            UCHAR s_b3;
            UCHAR s_b4;
        } S_un_b;
        struct {
            USHORT s_w1;
            USHORT s_w2;
        } S_un_w;
        ULONG S_addr;
    } S_un;
} IN_ADDR, *PIN_ADDR;

typedef struct _UMN_IN6_ADDR {
    union {
        UCHAR Byte[16];
        USHORT Word[8];
    } u;
} IN6_ADDR, *PIN6_ADDR;

typedef struct _UMN_FLOWSPEC {
    ULONG TokenRate;
    ULONG TokenBucketSize;
    ULONG PeakBandwidth;
    ULONG Latency;
    ULONG DelayVariation;
    ULONG ServiceType;
    ULONG MaxSduSize;
    ULONG MinimumPolicedSize;
} FLOWSPEC, *PFLOWSPEC;

/* From ndkinfo.h, which this project does not have. */
typedef struct _NDK_ADAPTER_INFO NDK_ADAPTER_INFO;

/* Native 802.11 attributes stand in windot11.h, which this project does not have. */
typedef struct DOT11_PHY_ATTRIBUTES *PDOT11_PHY_ATTRIBUTES;
typedef struct DOT11_EXTSTA_ATTRIBUTES *PDOT11_EXTSTA_ATTRIBUTES;
typedef struct DOT11_VWIFI_ATTRIBUTES *PDOT11_VWIFI_ATTRIBUTES;
typedef struct DOT11_EXTAP_ATTRIBUTES *PDOT11_EXTAP_ATTRIBUTES;
typedef struct DOT11_WFD_ATTRIBUTES *PDOT11_WFD_ATTRIBUTES;

#include <nt/pop.h>

#endif
