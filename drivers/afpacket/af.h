/* SPDX-License-Identifier: MIT */
/*
 * Shared inside drivers/afpacket: a Linux interface as an NDIS 6.30 Ethernet miniport.
 *
 *   packet socket --recvmmsg--> slots (virtio_net_hdr -> receive offload info) -> indication
 *   packet socket <--sendmmsg-- lanes (send offload info -> virtio_net_hdr) <- MiniportSend...
 *
 * The socket is watched on one virtual processor; frames are received there, in batches, at
 * DISPATCH_LEVEL. A lane sends for each virtual processor, so that senders on several do not wait
 * for one another; in a lane, order holds. What the kernel does not take now stays in its lane
 * until the socket is writable.
 *
 * Locks (DISPATCH_LEVEL, never held across a call out): Adapter.Lock guards the fields marked A,
 * Lane.Lock those of a lane. A lane's lock may be taken inside nothing else.
 */
#ifndef AF_H
#define AF_H

#include <ndis.h>

#include <umframe.h>
#include <umhost.h>

#include "host.h"

#define AFP_TAG 'kPfA'
#define AFP_SLOTS 128       /* receive buffers of an adapter; pages come when they are used */
#define AFP_FRAME_MAX 65600 /* 64 KB of IP, Ethernet header, tags */
#define AFP_HEADROOM 16     /* before it: a tag that goes back in band */
#define AFP_ROUNDS 4        /* batches of one call of the ready routine */
#define AFP_LARGE_BATCH 8   /* frames of a batch while they are large: what the caches hold */
#define AFP_LARGE 16384
#define AFP_MAX_LANES 16
#define AFP_MAX_QUEUE 1024 /* NBLs waiting in a lane that the kernel has blocked */
#define AFP_MAX_VEC 24     /* pieces of a frame; more are copied together */
#define AFP_MAX_MULTICAST 64
#define AFP_LSO_MAX 65536

typedef struct _AFP_ADAPTER AFP_ADAPTER;

/* A receive buffer; its NBL points back through MiniportReserved[0]. */
typedef struct _AFP_SLOT
{
    struct _AFP_SLOT *Next;
    NET_BUFFER_LIST *Nbl;
    MDL *Mdl;
    UCHAR *Data; /* AFP_HEADROOM + AFP_FRAME_MAX octets */
    UMF_VNET Vnet;
} AFP_SLOT;

#define AFP_SLOT_OF(Nbl) (*(AFP_SLOT **)&(Nbl)->MiniportReserved[0])

typedef struct _AFP_COUNTERS
{
    ULONG64 Frames[3]; /* directed, multicast, broadcast */
    ULONG64 Octets[3];
    ULONG64 Errors;
    ULONG64 Discards;
} AFP_COUNTERS;

/* A frame laid out for the kernel. */
typedef struct _AFP_MESSAGE
{
    NET_BUFFER_LIST *Done; /* complete this one behind the frame: it was its last */
    UCHAR *Copy;           /* pool memory of a frame that had too many pieces */
    ULONG Length;
    UCHAR Kind;
    UMF_VNET Vnet;
    UCHAR Headers[UMF_MAX_HEADERS + UMF_VLAN_TAG];
    AF_VEC Vec[AFP_MAX_VEC];
} AFP_MESSAGE;

/*
 * Idle -> Busy (somebody sends for it) -> Idle, or -> Blocked (the kernel is full; the socket's
 * write event makes it Busy again). Stopped comes on top: what is in it is completed with
 * StopStatus by whoever is Busy, or by the one who stops it.
 */
typedef struct _AFP_LANE
{
    KSPIN_LOCK Lock;
    AFP_ADAPTER *Adapter;
    BOOLEAN Busy, Blocked, Stopped;
    NET_BUFFER_LIST *Head, **Tail; /* waiting */
    ULONG Queued;
    AFP_COUNTERS Out;
    /* Of the one who is Busy: */
    NET_BUFFER_LIST *Nbl; /* partly laid out */
    NET_BUFFER *Nb;       /* its next frame */
    ULONG Count, Next;    /* messages laid out, first one not sent */
    AF_TX Tx[AF_BATCH];
    AFP_MESSAGE Message[AF_BATCH];
} AFP_LANE;

typedef enum _AFP_STATE
{
    AfpPaused,
    AfpRunning,
    AfpPausing
} AFP_STATE;

struct _AFP_ADAPTER
{
    NDIS_HANDLE Handle;
    NDIS_HANDLE Pool;
    DEVICE_OBJECT *Pdo;
    char Name[AF_NAME];
    AF_HOST *Host;
    BOOLEAN HostOpen;
    PUMH_WATCH Watch, LinkWatch;
    UCHAR PermanentAddress[6];
    UCHAR CurrentAddress[6];

    KSPIN_LOCK Lock;
    AFP_STATE State;      /* A */
    BOOLEAN PausePending; /* A */
    BOOLEAN Starved;      /* A: no free slot, not reading */
    BOOLEAN WantWrite;    /* A: a lane is blocked */
    BOOLEAN Gone;         /* A: the interface is */
    LONG Active;          /* A: calls that a pause has to wait for */
    LONG Indicated;       /* A: NBLs above */
    AFP_SLOT *Free;       /* A */
    AF_LINK Link;         /* A */
    ULONG Mtu;            /* as NDIS knows it */
    AFP_COUNTERS In;      /* A */

    /* Receiver only: */
    AFP_SLOT *Armed[AF_BATCH];
    ULONG BatchLimit;
    /* Under the OID queue's serialization: */
    ULONG PacketFilter;
    ULONG MulticastCount;
    UCHAR Multicast[AFP_MAX_MULTICAST][6];

    AFP_SLOT *Slots;
    UCHAR *Slab;
    ULONG LaneCount;
    AFP_LANE *Lanes;
};

/* ---- adapter.c ---- */
MINIPORT_INITIALIZE AfpInitialize;
MINIPORT_HALT AfpHalt;
MINIPORT_PAUSE AfpPause;
MINIPORT_RESTART AfpRestart;
MINIPORT_SHUTDOWN AfpShutdown;
MINIPORT_DEVICE_PNP_EVENT_NOTIFY AfpPnpEvent;
/* With Adapter.Lock held: whether the pause that pends is done now; the caller then completes it
 * with NdisMPauseComplete, without the lock. */
BOOLEAN AdapterPauseIsDone(AFP_ADAPTER *Adapter);
void AdapterEnter(AFP_ADAPTER *Adapter); /* one more call that a pause waits for */
void AdapterLeave(AFP_ADAPTER *Adapter); /* may complete a pause */
/* Tells the watch what we wait for. Adapter.Lock held. */
void AdapterSetEvents(AFP_ADAPTER *Adapter);
ULONG AdapterKind(const UCHAR *Address); /* index into AFP_COUNTERS */

/* ---- attributes.c ---- */
NDIS_STATUS AttributesRegister(AFP_ADAPTER *Adapter);
NDIS_STATUS AttributesSet(AFP_ADAPTER *Adapter);

/* ---- settings.c ---- */
NDIS_STATUS SettingsRead(AFP_ADAPTER *Adapter);

/* ---- receive.c ---- */
UMH_READY ReceiveReady;
MINIPORT_RETURN_NET_BUFFER_LISTS AfpReturn;
NDIS_STATUS ReceiveInit(AFP_ADAPTER *Adapter);
void ReceiveFree(AFP_ADAPTER *Adapter);

/* ---- send.c ---- */
MINIPORT_SEND_NET_BUFFER_LISTS AfpSend;
MINIPORT_CANCEL_SEND AfpCancelSend;
NDIS_STATUS SendInit(AFP_ADAPTER *Adapter);
void SendFree(AFP_ADAPTER *Adapter);
void SendStart(AFP_ADAPTER *Adapter);
/* Completes what waits with PAUSED; what is under way is over when Active is 0. <= DISPATCH. */
void SendStop(AFP_ADAPTER *Adapter);
/* The socket takes frames again. DISPATCH_LEVEL. */
void SendUnblock(AFP_ADAPTER *Adapter);

/* ---- layout.c ---- */
/* Lays a frame out for sendmmsg. NDIS_STATUS_INVALID_LENGTH, FAILURE (headers do not agree with
 * the offload information), RESOURCES. <= DISPATCH_LEVEL. */
NDIS_STATUS LayoutFrame(AFP_MESSAGE *Message, AF_TX *Tx, NET_BUFFER_LIST *Nbl, NET_BUFFER *Nb);

/* ---- link.c ---- */
UMH_READY LinkReady;
/* Looks at the link and tells NDIS if it changed. <= DISPATCH_LEVEL. */
void LinkCheck(AFP_ADAPTER *Adapter);
void LinkFill(const AF_LINK *Link, NDIS_LINK_STATE *State);

/* ---- oid.c ---- */
MINIPORT_OID_REQUEST AfpOidRequest;
MINIPORT_CANCEL_OID_REQUEST AfpCancelOidRequest;
extern const NDIS_OID AfpOids[];
extern const ULONG AfpOidsSize;

#endif
