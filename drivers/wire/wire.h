/* SPDX-License-Identifier: MIT */
/*
 * Shared inside drivers/wire. A segment is a hub: what one port sends, every other port of the same
 * WireName receives, copied, in the sender's order.
 *
 *   sender's call                                 DPC of the receiving port
 *   MiniportSendNetBufferLists                    +-------------------------------------+
 *     for each other port:  copy -> Port.Queue -->| take queue -> NdisMIndicateReceive..|
 *     NdisMSendNetBufferListsComplete             +-------------------------------------+
 *
 * Delivery is by DPC so that a protocol that answers from its receive handler cannot recurse.
 *
 * Locks (all DISPATCH_LEVEL, never held across a call out): Wire.Lock guards the list of segments
 * and their ports; Port.Lock guards the fields marked L.
 */
#ifndef WIRE_H
#define WIRE_H

#include <ndis.h>

#include "wire_oid.h"

#define WIRE_TAG 'eriW'
#define WIRE_MAX_PORTS 32   /* ports of one segment: bounds the sender's snapshot */
#define WIRE_MAX_QUEUE 4096 /* frames waiting for a port's DPC; more are discarded */
#define WIRE_MAX_FREE 64    /* slots kept for the next frame */
#define WIRE_DPC_BATCH 64   /* NBLs of one indication */
#define WIRE_HEADER 14
#define WIRE_VLAN 4
#define WIRE_MAX_MULTICAST 32
#define WIRE_LARGE 65536 /* a large send on a port with Offload */

typedef struct _WIRE_PORT WIRE_PORT;

/* A receive buffer with its NBL, which points back through MiniportReserved[0]. */
typedef struct _WIRE_SLOT
{
    struct _WIRE_SLOT *Next;
    NET_BUFFER_LIST *Nbl;
    MDL *Mdl;
    ULONG Size;
    UCHAR Data[];
} WIRE_SLOT;

#define WIRE_SLOT_OF(Nbl) (*(WIRE_SLOT **)&(Nbl)->MiniportReserved[0])

typedef struct _WIRE_SEGMENT
{
    LIST_ENTRY Link;
    LIST_ENTRY Ports;
    ULONG Count;
    UNICODE_STRING Name; /* Buffer follows the structure */
} WIRE_SEGMENT;

typedef enum _WIRE_STATE
{
    WirePaused,
    WireRunning,
    WirePausing
} WIRE_STATE;

typedef struct _WIRE_COUNTERS
{
    ULONG64 Frames[3]; /* directed, multicast, broadcast */
    ULONG64 Octets[3];
    ULONG64 Errors;
    ULONG64 Discards;
} WIRE_COUNTERS;

typedef struct _WIRE_GENERATOR
{
    ULONG Batch; /* NBLs of one indication */
    ULONG Size;  /* octets of a frame */
    ULONG Destinations;
    ULONG Next; /* L: whose turn */
    UCHAR (*Destination)[6];
    ULONG64 Configured; /* GenFrames */
    BOOLEAN Armed;      /* L: GenFrames is still to come after this restart */
    BOOLEAN DpcQueued;  /* L */
    ULONG Slots;
    WIRE_SLOT *Free;            /* L */
    WIRE_GENERATOR_STATE State; /* L */
    KDPC Dpc;
} WIRE_GENERATOR;

struct _WIRE_PORT
{
    LIST_ENTRY Link; /* Wire.Lock */
    WIRE_SEGMENT *Segment;
    NDIS_HANDLE Handle;
    NDIS_HANDLE Pool;
    ULONG Mtu;
    BOOLEAN Offload; /* checksum and large sends are carried, not done */
    UCHAR PermanentAddress[6];
    UCHAR CurrentAddress[6];

    KSPIN_LOCK Lock;
    WIRE_STATE State;           /* L */
    BOOLEAN PausePending;       /* L */
    BOOLEAN DpcQueued;          /* L */
    LONG Active;                /* L: calls and DPCs that a pause has to wait for */
    LONG Indicated;             /* L: NBLs above */
    NET_BUFFER_LIST *QueueHead; /* L */
    NET_BUFFER_LIST **QueueTail;
    ULONG Queued;
    WIRE_SLOT *Free; /* L */
    ULONG FreeCount;
    ULONG PacketFilter;   /* L */
    ULONG MulticastCount; /* L */
    UCHAR Multicast[WIRE_MAX_MULTICAST][6];
    WIRE_COUNTERS In, Out; /* L */
    KDPC Dpc;

    LONG References; /* senders that deliver here; one of its own until halt */
    KEVENT Unreferenced;
    WIRE_GENERATOR Generator;
};

typedef struct _WIRE_GLOBALS
{
    NDIS_HANDLE Driver;
    KSPIN_LOCK Lock;
    LIST_ENTRY Segments;
} WIRE_GLOBALS;

extern WIRE_GLOBALS Wire;

/* ---- segment.c ---- */
/* Joins the segment of that name, making it if it is new. PASSIVE_LEVEL. INSUFFICIENT_RESOURCES;
 * NDIS_STATUS_OPEN_LIST_FULL when it has WIRE_MAX_PORTS ports. */
NDIS_STATUS SegmentJoin(WIRE_PORT *Port, const UNICODE_STRING *Name);
/* Leaves it and waits until no sender delivers to the port any more. PASSIVE_LEVEL. */
void SegmentLeave(WIRE_PORT *Port);
/* Delivers every frame of the chain to every other port of the segment. <= DISPATCH_LEVEL. */
void SegmentDeliver(WIRE_PORT *From, NET_BUFFER_LIST *Chain);

/* ---- receive.c ---- */
KDEFERRED_ROUTINE ReceiveDpc;
/* Copies one frame into the queue of a port and sees that its DPC runs. <= DISPATCH_LEVEL. */
void ReceiveEnqueue(WIRE_PORT *Port, WIRE_PORT *From, NET_BUFFER_LIST *Nbl, NET_BUFFER *Nb);
MINIPORT_RETURN_NET_BUFFER_LISTS WireReturn;
WIRE_SLOT *SlotAllocate(WIRE_PORT *Port, ULONG Size);
void SlotFree(WIRE_SLOT *Slot);
/* Frees a chain that never went up. */
void ReceiveDiscard(WIRE_PORT *Port, NET_BUFFER_LIST *Chain);
/* With Port.Lock held: whether the pause that pends is done now; the caller then completes it with
 * NdisMPauseComplete, without the lock. */
BOOLEAN PortPauseIsDone(WIRE_PORT *Port);
ULONG WireKind(const UCHAR *Address); /* index into WIRE_COUNTERS */

/* ---- generator.c ---- */
NDIS_STATUS GeneratorInit(WIRE_PORT *Port, NDIS_HANDLE Configuration);
void GeneratorFree(WIRE_PORT *Port);
/* Starts what is due: after a restart, a packet filter or OID_WIRE_GENERATE. <= DISPATCH_LEVEL. */
void GeneratorKick(WIRE_PORT *Port);
/* A chain's worth of the generator's NBLs came back. Port.Lock held. TRUE: the caller queues
 * Generator.Dpc, which is accounted for already. */
BOOLEAN GeneratorReturned(WIRE_PORT *Port, WIRE_SLOT *First, WIRE_SLOT *Last, ULONG Count);

/* ---- oid.c ---- */
MINIPORT_OID_REQUEST WireOidRequest;
MINIPORT_CANCEL_OID_REQUEST WireCancelOidRequest;
extern const NDIS_OID WireOids[];
extern const ULONG WireOidsSize;

/* ---- adapter.c ---- */
MINIPORT_INITIALIZE WireInitialize;
MINIPORT_HALT WireHalt;
MINIPORT_PAUSE WirePause;
MINIPORT_RESTART WireRestart;
MINIPORT_SEND_NET_BUFFER_LISTS WireSend;
MINIPORT_CANCEL_SEND WireCancelSend;
MINIPORT_SHUTDOWN WireShutdown;
MINIPORT_DEVICE_PNP_EVENT_NOTIFY WirePnpEvent;

/* ---- config.c ---- */
/* Reads a value of the driver key. FALSE: not there or not of the kind. PASSIVE_LEVEL. The string
 * lives until the configuration is closed. */
BOOLEAN ConfigNumber(NDIS_HANDLE Configuration, const WCHAR *Name, ULONG *Value);
BOOLEAN ConfigString(NDIS_HANDLE Configuration, const WCHAR *Name, UNICODE_STRING *Value);
/* REG_MULTI_SZ or REG_SZ as one block of strings, length in octets in Value->Length. */
BOOLEAN ConfigStrings(NDIS_HANDLE Configuration, const WCHAR *Name, UNICODE_STRING *Value);
/* Twelve hex digits with or without separators. */
BOOLEAN ConfigAddress(const WCHAR *Text, ULONG Length, UCHAR Address[6]);

#endif
