/* SPDX-License-Identifier: MIT */
/*
 * Control interface of the packet source and sink, \Device\UmnPktio. All METHOD_BUFFERED. A binding
 * is named by its adapter, "\Device\{GUID}", compared without case. STATUS_NOT_FOUND: no such
 * binding; STATUS_DEVICE_NOT_READY: it is paused.
 */
#ifndef PKTIO_IOCTL_H
#define PKTIO_IOCTL_H

#include <ntddk.h>

#define PKTIO_DEVICE "\\Device\\UmnPktio"
#define PKTIO_NAME_CHARS 80

#define PKTIO_CTL(N)                                                                               \
    (((ULONG)FILE_DEVICE_NETWORK << 16) | ((ULONG)(FILE_READ_DATA | FILE_WRITE_DATA) << 14) |      \
     ((0x800u + (N)) << 2))

/* out: PKTIO_BINDING[]; as many as fit, Information tells how many octets. */
#define IOCTL_PKTIO_LIST PKTIO_CTL(0)
/* in: PKTIO_FILTER. Ends with the status of the OID_GEN_CURRENT_PACKET_FILTER set. */
#define IOCTL_PKTIO_SET_FILTER PKTIO_CTL(1)
/* in: PKTIO_SEND, out: PKTIO_SENT. Returns when every frame has been completed. */
#define IOCTL_PKTIO_SEND PKTIO_CTL(2)
/* in: PKTIO_TARGET, out: PKTIO_COUNTERS. */
#define IOCTL_PKTIO_READ_COUNTERS PKTIO_CTL(3)
/* in: PKTIO_TARGET. Sets the counters of the binding to zero. */
#define IOCTL_PKTIO_RESET PKTIO_CTL(4)
/* in: PKTIO_TARGET, out: octets of the last frame received, at most PKTIO_LAST_SIZE of them. Kept
 * from the first such call on; no octets while none has come. */
#define IOCTL_PKTIO_LAST PKTIO_CTL(5)

#define PKTIO_LAST_SIZE 256

typedef struct _PKTIO_TARGET
{
    WCHAR Adapter[PKTIO_NAME_CHARS]; /* terminated */
} PKTIO_TARGET;

typedef struct _PKTIO_BINDING
{
    PKTIO_TARGET Target;
    UCHAR Address[6];
    BOOLEAN Running;
    BOOLEAN LinkUp;
    ULONG Mtu;
    ULONG PacketFilter;
} PKTIO_BINDING;

typedef struct _PKTIO_FILTER
{
    PKTIO_TARGET Target;
    ULONG PacketFilter; /* NDIS_PACKET_TYPE_... */
} PKTIO_FILTER;

typedef struct _PKTIO_SEND
{
    PKTIO_TARGET Target;
    UCHAR Destination[6];
    UCHAR Source[6];      /* all zero: the adapter's */
    USHORT EtherType;     /* host order; 0: 0x88B5, local experimental */
    USHORT Vlan;          /* 1..4094, 0 none; goes as 802.1Q information of the NBL */
    ULONG Priority;       /* 0..7 */
    ULONG Size;           /* octets with the Ethernet header, 14 .. MTU + 14 */
    ULONG Batch;          /* NBLs of one NdisSendNetBufferLists, 1..256; 0: 32 */
    ULONG64 Count;
} PKTIO_SEND;
/* Octets 14..21 of each frame, as far as Size goes, are its number from 0, little endian. */

typedef struct _PKTIO_SENT
{
    ULONG64 Sent;   /* completed with success */
    ULONG64 Failed; /* completed otherwise */
    LONG LastFailure; /* NDIS_STATUS of the last one that failed, 0 */
} PKTIO_SENT;

typedef struct _PKTIO_COUNTERS
{
    ULONG64 FramesReceived;
    ULONG64 OctetsReceived;
    ULONG64 Indications; /* calls of the receive handler */
    ULONG64 LowResources; /* of those, with NDIS_RECEIVE_FLAGS_RESOURCES */
    ULONG64 FramesSent;
    ULONG64 FramesFailed;
} PKTIO_COUNTERS;

#endif
