/* SPDX-License-Identifier: MIT */
/*
 * Shared inside drivers/tap: a protocol that shows each adapter it binds to as a TAP interface.
 *
 *   Linux stack -> TAP --readv (virtio_net_hdr)--> NBL with send offload info -> NdisSend...
 *   Linux stack <- TAP <-writev (virtio_net_hdr)-- NBL with receive offload info <- indication
 *
 * A binding:  Paused <-> Running (Pausing between). The TAP lives from bind to unbind, across
 * pauses. Its descriptor is watched on one virtual processor: frames are read there, in batches, at
 * DISPATCH_LEVEL; frames are written wherever they are indicated, straight from their MDLs.
 * Locks (DISPATCH_LEVEL, never held across a call out): Binding.Lock guards the fields marked L,
 * Pool.Lock the buffers of a processor and the bindings that wait for one (P).
 */
#ifndef TAP_H
#define TAP_H

#include <ndis.h>

#include <umframe.h>
#include <umhost.h>

#include "host.h"

#define TAP_TAG 'paTU'
#define TAP_MAX_CPUS 16
#define TAP_BUFFERS 64          /* of each processor, shared by its bindings */
#define TAP_FRAME_MAX 65600     /* 64 KB of IP, Ethernet header, tags */
#define TAP_BATCH 64            /* frames of one NdisSendNetBufferLists */
#define TAP_BATCH_BYTES 0x40000 /* and octets: what the caches hold */
#define TAP_ROUNDS 4            /* batches of one call of the ready routine */
#define TAP_MAX_VEC 40          /* pieces of a frame that writev gets; more are copied together */

/* What the adapter below does for us (NDIS_OFFLOAD), as bits. */
#define TAP_TCP4 0x01u
#define TAP_UDP4 0x02u
#define TAP_TCP6 0x04u
#define TAP_UDP6 0x08u
#define TAP_LSO4 0x10u
#define TAP_LSO6 0x20u
#define TAP_USO 0x40u /* both IP versions: the kernel knows only both */
#define TAP_ANY_CSUM (TAP_TCP4 | TAP_UDP4 | TAP_TCP6 | TAP_UDP6)

typedef struct _TAP_BINDING TAP_BINDING;
typedef struct _TAP_POOL TAP_POOL;

/* A read buffer; its NBL points back through ProtocolReserved[0]. */
typedef struct _TAP_BUFFER
{
    struct _TAP_BUFFER *Next;
    TAP_POOL *Pool;
    NET_BUFFER_LIST *Nbl;
    MDL *Mdl;
    UCHAR *Data; /* TAP_FRAME_MAX octets */
} TAP_BUFFER;

#define TAP_BUFFER_OF(Nbl) (*(TAP_BUFFER **)&(Nbl)->ProtocolReserved[0])

struct _TAP_POOL
{
    KSPIN_LOCK Lock;
    TAP_BUFFER *Free;    /* P: last back, first out, so that it is still in the cache */
    LIST_ENTRY Waiters;  /* P: TAP_BINDING.WaitLink */
    TAP_BUFFER *Buffers; /* all TAP_BUFFERS of them; NULL until the first binding needs one */
    UCHAR *Slab;
} DECLSPEC_CACHEALIGN;

typedef enum _TAP_STATE
{
    TapPaused,
    TapRunning,
    TapPausing
} TAP_STATE;

struct _TAP_BINDING
{
    NDIS_HANDLE Handle;
    int Fd;
    char Name[TAP_NAME]; /* at creation; somebody may rename it */
    PUMH_WATCH Watch;
    TAP_POOL *Pool;
    LIST_ENTRY WaitLink; /* P */
    BOOLEAN Waiting;     /* P */
    NDIS_STATUS OpenStatus;
    KEVENT Event; /* end of open and close */

    KSPIN_LOCK Lock;
    TAP_STATE State;               /* L */
    LONG Active;                   /* L: calls of the ready routine inside */
    LONG64 SendsOut;               /* L */
    KEVENT Quiet;                  /* set in Pausing when both are 0 */
    BOOLEAN SyncQueued, SyncAgain; /* L */
    BOOLEAN Gone;                  /* L: somebody deleted the interface; Watch is over */
    BOOLEAN LinkUp;                /* L: what the adapter says, for the TAP to follow */
    UCHAR Address[6];              /* L */
    ULONG Mtu;                     /* L */
    ULONG Offload;                 /* L: TAP_... */
    PIO_WORKITEM Sync;             /* behind the structure */
    KMUTEX TapMutex; /* Fd and Watch change, and are changed, under it; PASSIVE_LEVEL */
    LONG References; /* one until unbind, one for a queued Sync */
    KEVENT Unreferenced;
};

typedef struct _TAP_GLOBALS
{
    KSPIN_LOCK ReapLock; /* R */
    LIST_ENTRY Dead;     /* R: bindings (WaitLink) whose interface is still to go */
    BOOLEAN Reaping;     /* R: the worker is queued or runs */
    LIST_ENTRY InReap;   /* R: what the worker has taken */
    ULONG64 LastUnbind;  /* R: interrupt time */
    KEVENT Reaped;       /* set while not Reaping */
    PIO_WORKITEM Reap;
    DRIVER_OBJECT *Driver;
    NDIS_HANDLE Protocol;
    NDIS_HANDLE NblPool;
    ULONG Cpus;
    LONG NextCpu;
    KMUTEX PoolMutex; /* making a processor's buffers */
    TAP_POOL Pool[TAP_MAX_CPUS];
} TAP_GLOBALS;

extern TAP_GLOBALS Tap;

/* ---- binding.c ---- */
PROTOCOL_BIND_ADAPTER_EX TapBind;
PROTOCOL_UNBIND_ADAPTER_EX TapUnbind;
PROTOCOL_OPEN_ADAPTER_COMPLETE_EX TapOpenComplete;
PROTOCOL_CLOSE_ADAPTER_COMPLETE_EX TapCloseComplete;
/* Wakes the pause that waits for nothing to be under way, if that is so. With the binding's lock
 * held. */
void BindingQuiet(TAP_BINDING *Binding);
void BindingDereference(TAP_BINDING *Binding);

/* Creates the interface and its watch. PASSIVE_LEVEL, TapMutex held or nobody else there. Says why
 * it fails to the person who runs the box. */
NDIS_STATUS BindingOpenTap(TAP_BINDING *Binding);
/* The counterpart; does nothing if there is none. */
void BindingCloseTap(TAP_BINDING *Binding);

/* ---- event.c ---- */
PROTOCOL_NET_PNP_EVENT TapNetPnpEvent;
PROTOCOL_STATUS_EX TapStatus;

/* ---- sync.c ---- */
IO_WORKITEM_ROUTINE SyncRun;
/* Has a worker bring the TAP in line with address, MTU, offloads and link. <= DISPATCH_LEVEL. */
void SyncQueue(TAP_BINDING *Binding);
/* The same now. PASSIVE_LEVEL. */
void SyncNow(TAP_BINDING *Binding);
/* NDIS_OFFLOAD, NULL for none, as TAP_... bits. */
ULONG SyncOffload(const NDIS_OFFLOAD *Offload, ULONG Length);

/* ---- request.c ---- */
PROTOCOL_OID_REQUEST_COMPLETE TapOidComplete;
NDIS_STATUS RequestSet(TAP_BINDING *Binding, NDIS_OID Oid, void *Buffer, ULONG Length);

/* ---- pool.c ---- */
/* Sees that a processor's buffers exist. PASSIVE_LEVEL. */
NDIS_STATUS PoolPrepare(TAP_POOL *Pool);
void PoolDestroy(TAP_POOL *Pool);
/* All free buffers as a list; what is not used goes back with PoolPut. DISPATCH_LEVEL. */
TAP_BUFFER *PoolTake(TAP_POOL *Pool);
void PoolPut(TAP_POOL *Pool, TAP_BUFFER *List);
/* Stops reading until a buffer comes back; FALSE if there is one already. <= DISPATCH_LEVEL. */
BOOLEAN PoolWait(TAP_BINDING *Binding);
void PoolUnwait(TAP_BINDING *Binding);

/* ---- reap.c ---- */
NDIS_STATUS ReapInit(void);
void ReapFree(void); /* after ReapWait(NULL) */
/* Takes the binding's interface away and frees the binding, now or in a worker. PASSIVE_LEVEL. */
void ReapBinding(TAP_BINDING *Binding);
/* Waits until no interface of that name, or with NULL none at all, is still to go. PASSIVE_LEVEL.
 */
void ReapWait(const char *Name);

/* ---- read.c ---- */
UMH_READY ReadReady;
PROTOCOL_SEND_NET_BUFFER_LISTS_COMPLETE TapSendComplete;

/* ---- write.c ---- */
PROTOCOL_RECEIVE_NET_BUFFER_LISTS TapReceive;

#endif
