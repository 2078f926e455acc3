/* SPDX-License-Identifier: MIT */
/*
 * The n-to-one MUX intermediate driver: types and functions shared by its files.
 *
 *   driver.c  DriverEntry, registration, unload      rundown.c  counted references that drain
 *   names.c   parser of UpperBindings                name.c     one listed name: request, cancel
 *   bind.c    a lower binding: open, close           list.c     the list of names of a binding
 *   vm.c      MiniportInitializeEx, MiniportHaltEx   vmstate.c  pause, restart, power, shutdown
 *   config.c  settings of a virtual miniport         attr.c     adapter attributes, offloads
 *   table.c   look-up by (VLAN, MAC)                 batch.c    frames grouped by virtual miniport
 *   rx.c      receive and return                     tx.c       send, completion, cancel
 *   local.c   children: copies of one frame          tag.c      802.1Q tags inside the data
 *   complete.c  completions and returns of sends     hold.c     sends held while the adapter resets
 *   stats.c   counters                               longlist.c  UpperBindings beyond 64 KB
 *   oid.c     MiniportOidRequest                     query.c    what a virtual miniport answers
 *   forward.c requests passed down                   filter.c   packet filter and multicast union
 *   status.c  status indications                     event.c    network Plug and Play events
 *
 * Locks, in the order in which they nest (none is held across a call that can re-enter us,
 * IM-SYN-02):
 *   MUX_BINDING.TableLock  (RW, DISPATCH) what the data path reads: look-up table, filters, run and
 *                          power flags. Readers hold it while they classify one batch.
 *   MUX_BINDING.HoldLock   (spin) the queue of held sends
 *   Mux.Lock               (spin, leaf) lists of bindings and names, states, pending requests
 */
#ifndef MUX_H
#define MUX_H

#ifndef NDIS630_MINIPORT
#define NDIS630_MINIPORT 1
#endif
#ifndef NDIS630
#define NDIS630 1
#endif
#include <ndis.h>

/* clang and MSVC agree on neither prefetch spelling; a hint may be absent. */
#if defined(__GNUC__) || defined(__clang__)
#define MuxPrefetch(Address) __builtin_prefetch((const void *)(Address))
#define MUX_LIKELY(x) __builtin_expect(!!(x), 1)
#define MUX_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define MuxPrefetch(Address) PreFetchCacheLine(PF_TEMPORAL_LEVEL_1, (const void *)(Address))
#define MUX_LIKELY(x) (x)
#define MUX_UNLIKELY(x) (x)
#endif

#define MUX_NDIS_MAJOR 6
#define MUX_NDIS_MINOR 30
#define MUX_DRIVER_MAJOR 1
#define MUX_DRIVER_MINOR 0

/* Pool tags. */
#define MUX_TAG_BINDING 'bxuM'
#define MUX_TAG_NAME 'nxuM'
#define MUX_TAG_VM 'vxuM'
#define MUX_TAG_TABLE 'txuM'
#define MUX_TAG_OID 'oxuM'
#define MUX_TAG_LIST 'lxuM'
#define MUX_TAG_NBL 'pxuM'
#define MUX_TAG_SEND 'sxuM'

#define MUX_MAC_LENGTH 6
#define MUX_HEADER_LENGTH 14
#define MUX_TAG_LENGTH 4
#define MUX_HEADER_SPACE 128 /* Ethernet, tag and the longest IPv4 header */
#define MUX_ETHERTYPE_VLAN 0x8100
#define MUX_VLAN_MAX 4094       /* 4095 is reserved by 802.1Q */
#define MUX_MAX_MULTICAST 128   /* addresses of one virtual miniport */
#define MUX_MAX_NAME_BYTES 1024 /* of one device name on the list */
#define MUX_MAX_NAMES 65536     /* on one list */
#define MUX_LONG_LIST 0xF000    /* bytes from which on a counted string may have cut the list */
#define MUX_FILTER_BITS 6 /* enough for each bit of MUX_PACKET_FILTERS */
#define MUX_PACKET_FILTERS                                                                         \
    (NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_ALL_MULTICAST |     \
     NDIS_PACKET_TYPE_BROADCAST | NDIS_PACKET_TYPE_PROMISCUOUS)

typedef struct _MUX_VM MUX_VM;
typedef struct _MUX_NAME MUX_NAME;
typedef struct _MUX_BINDING MUX_BINDING;

/*
 * A count of users that can be shut and drained. Enter fails once it is shut. The last Leave after
 * Shut wakes Wait and touches the memory for the last time inside Mux.Lock, which Wait takes too:
 * when Wait has returned the owner may free it. A reopened rundown must have been waited for.
 */
typedef struct _MUX_RUNDOWN
{
    volatile LONG Value; /* users; MUX_RUNDOWN_SHUT */
    BOOLEAN Draining;    /* shut with users left (Mux.Lock) */
    NDIS_EVENT Empty;
} MUX_RUNDOWN;
#define MUX_RUNDOWN_SHUT 0x40000000L

typedef enum _MUX_MODE
{
    MuxModeBridge,  /* siblings in bridge mode reach each other inside the MUX (default) */
    MuxModePrivate, /* siblings are never reached, not even through the wire */
    MuxModeVepa     /* everything goes to the wire; the switch there may reflect it */
} MUX_MODE;

/* Counters of one processor, two cache lines. Written at DISPATCH_LEVEL on that processor only. */
enum
{
    MuxUnicast,
    MuxMulticast,
    MuxBroadcast
};
typedef struct _MUX_TRAFFIC
{
    ULONG64 InFrames, InBytes, OutFrames, OutBytes;
} MUX_TRAFFIC;
typedef struct _MUX_COUNTERS
{
    MUX_TRAFFIC Unicast;
    ULONG64 InDiscards, OutDiscards; /* no resources, or not deliverable now */
    ULONG64 OutErrors;               /* completed below with an error (interlocked) */
    ULONG64 Reserved;
    MUX_TRAFFIC Group[2]; /* multicast, broadcast */
} MUX_COUNTERS;
FORCEINLINE MUX_TRAFFIC *CountersOf(MUX_COUNTERS *Counters, ULONG Kind)
{
    return Kind == MuxUnicast ? &Counters->Unicast : &Counters->Group[Kind - MuxMulticast];
}

/*
 * Names on UpperBindings.
 *
 *              request          MiniportInitializeEx          success
 *     Idle ------------> Requested ----------> Initializing ----------> Live
 *      ^  ^----cancel-------'                       | failure            | MiniportHaltEx
 *      |                                            v                    v
 *      '--------------------------------------------+---------------- Halting
 *
 * Invariants (Mux.Lock):
 *  N1 A name is on exactly one binding's list, once (case ignored).
 *  N2 Vm is set exactly in Live and Halting.
 *  N3 Calls counts threads that use the name without the lock; whoever frees it has set Leaving and
 *     waited for Quiet, which is signalled when Calls is 0 and the state is Idle, Requested or Live.
 *  N4 Leaving is never cleared, and a leaving name is never requested again.
 *
 *  Transition                 Function                Transition              Function
 *  Idle -> Requested          NameRequest             Live -> Halting         NameHaltBegin
 *  Requested -> Idle          NameRequest, NameRemove Halting -> Idle         NameHaltEnd
 *  Requested -> Initializing  NameInitializeBegin     Initializing -> Idle/Live NameInitializeEnd
 */
typedef enum _MUX_NAME_STATE
{
    MuxNameIdle,
    MuxNameRequested,
    MuxNameInitializing,
    MuxNameLive,
    MuxNameHalting
} MUX_NAME_STATE;

struct _MUX_NAME
{
    LIST_ENTRY Link; /* MUX_BINDING.Names */
    MUX_NAME *DeviceNext, *AddressNext; /* nametable.c */
    ULONG Hash;      /* of Device without its prefix and without case */
    MUX_BINDING *Binding;
    MUX_VM *Vm;
    MUX_NAME_STATE State;
    ULONG Calls;
    ULONG Generation; /* of the list that named it last */
    BOOLEAN Leaving;
    NDIS_EVENT Quiet;
    NDIS_STRING Device; /* \Device\{GUID} as listed; the memory follows */
};

/* What a virtual miniport has out: one word, so that whoever brings a part to zero knows it. */
#define MUX_OUT_SEND ((LONG64)1)            /* NBLs sent by the upper driver, not completed */
#define MUX_OUT_CALL ((LONG64)1 << 24)      /* NdisMIndicateReceiveNetBufferLists under way */
#define MUX_OUT_RECEIVE ((LONG64)1 << 36)   /* NBLs indicated, not returned */
#define MUX_OUT_PAUSED ((LONG64)1 << 60)    /* the last one completes a pause */
#define MUX_OUT_ASLEEP ((LONG64)1 << 61)    /* the last send and call complete a set power */
#define MUX_OUT_BUSY_MASK (MUX_OUT_RECEIVE - 1)
#define MUX_OUT_MASK (MUX_OUT_PAUSED - 1)

/* The one request that NDIS has handed to a virtual miniport and we have pended (Mux.Lock). */
typedef enum _MUX_OID_PLACE
{
    MuxOidNone,
    MuxOidQueued,    /* waits for the lower adapter's D0 or the end of its reset */
    MuxOidForwarded, /* a clone is below */
    MuxOidFilter,    /* waits for the union of filters to be set below */
    MuxOidPower      /* waits for sends and indications to end */
} MUX_OID_PLACE;
typedef struct _MUX_OID
{
    MUX_OID_PLACE Place;
    PNDIS_OID_REQUEST Original;
    PVOID CloneId;     /* under which the clone can be cancelled below */
    BOOLEAN Cancelled;
} MUX_OID;
#define MUX_MAX_INDICATIONS 4 /* requests that promised a later status */
typedef struct _MUX_PROMISE
{
    PVOID CloneId;
    PVOID RequestId;
    NDIS_HANDLE RequestHandle;
} MUX_PROMISE;

/*
 * A virtual miniport: the private context that MiniportInitializeEx makes (IM-VMP-18).
 *
 *     Initializing --> Paused <--> Running, as NDIS asks; Pausing while Out is not zero.
 *
 * Invariants:
 *  V1 Open, Running, Power, Gone, StandingBy, Filter, Multicast change under the binding's TableLock held
 *     for write; the data path reads them under its read side. After a write that forbids traffic
 *     has been released no reader adds to Out.
 *  V2 Out is zero while Paused. The thread whose subtraction leaves exactly MUX_OUT_PAUSED completes
 *     the pause; nobody else touches the virtual miniport after such a subtraction.
 *  V3 It is in its binding's table from the end of MiniportInitializeEx to the start of
 *     MiniportHaltEx. (VLAN, MAC) is unique there.
 *  V4 Use is open from the end of MiniportInitializeEx until MiniportHaltEx; who indicates status or
 *     raises events has entered it.
 *
 *  Paused -> Running  VmRestart     Running -> Paused  VmPause, VmOut
 */
struct _MUX_VM
{
    /* One cache line for the data path. Out is written by whoever has read the rest. */
    NDIS_HANDLE Handle;
    MUX_BINDING *Binding;
    ULONG64 Key; /* VLAN << 48 | MAC */
    NDIS_HANDLE ReceivePool;
    MUX_COUNTERS *Counters; /* [Mux.Processors], behind this structure */
    volatile LONG64 Out;
    volatile ULONG Filter;
    ULONG Ordinal;
    USHORT VlanId;
    UCHAR Mode;   /* MUX_MODE */
    BOOLEAN Open; /* Running, in D0, not Gone */
    BOOLEAN Running;
    BOOLEAN Gone; /* surprise removed */
    BOOLEAN StandingBy;
    BOOLEAN IfStacked;

    NDIS_DEVICE_POWER_STATE Power;
    ULONG MulticastCount;
    ULONG64 MulticastBloom;
    UCHAR (*Multicast)[MUX_MAC_LENGTH];
    UCHAR Mac[MUX_MAC_LENGTH];
    UCHAR PermanentMac[MUX_MAC_LENGTH];
    BOOLEAN Foreign; /* Mac is not the lower adapter's */
    MUX_NAME *Name;
    MUX_RUNDOWN Use;
    MUX_OID Oid;
    NDIS_EVENT OidDone; /* no request is pended */
    MUX_PROMISE Promise[MUX_MAX_INDICATIONS];
    ULONG NextPromise;
    LIST_ENTRY FilterLink; /* waiting for the filter engine */
    ULONG PreviousFilter;
    BOOLEAN FilterRevert; /* back to PreviousFilter if the lower adapter refuses */
    ULONG Lookahead;
    NET_IFINDEX IfIndex;
    NDIS_LINK_STATE LinkState; /* last indicated (Mux.Lock) */
    NDIS_OFFLOAD Offload;      /* current configuration (Mux.Lock) */
    BOOLEAN HaveOffload;
    PVOID Memory; /* what this stands in, aligned */
};

typedef struct _MUX_SLOT
{
    ULONG64 Key;
    MUX_VM *Vm; /* NULL: free */
} MUX_SLOT;
typedef struct _MUX_TABLE
{
    ULONG Shift;  /* 64 - log2(slots) */
    ULONG Mask;   /* slots - 1; at most half of them are in use */
    ULONG Count;
    ULONG Promiscuous; /* virtual miniports with the promiscuous filter */
    ULONG Filters[MUX_FILTER_BITS]; /* virtual miniports with each bit of the filter */
    ULONG Foreign; /* virtual miniports that want directed frames for another address than the NIC's */
    ULONG Private;     /* virtual miniports in private mode */
    ULONG Bridged;     /* virtual miniports in bridge mode */
    MUX_VM **ByVlan;   /* [Count], ordered by VLAN; room for (slots / 2) */
    MUX_SLOT Slot[1];
} MUX_TABLE;

typedef struct _MUX_QUEUE
{
    PNET_BUFFER_LIST Head;
    PNET_BUFFER_LIST *Tail;
    ULONG Count;
} MUX_QUEUE;

/*
 * The union of filters and multicast lists, set on the lower binding by one request at a time.
 * (Mux.Lock; Busy belongs to whoever set it.)
 */
typedef struct _MUX_FILTER
{
    BOOLEAN Busy, Dirty, ListsDirty;
    BOOLEAN Overflow; /* the union of lists does not fit */
    ULONG Filter; /* what the lower binding has */
    ULONG WantedFilter;
    ULONG ListCount, WantedCount, ListMax;
    UCHAR (*List)[MUX_MAC_LENGTH]; /* what the lower binding has; [ListMax] */
    UCHAR (*Wanted)[MUX_MAC_LENGTH];
    ULONG Stage;
    NDIS_STATUS Status;
    LIST_ENTRY Waiting, Served; /* MUX_VM.FilterLink */
    NDIS_EVENT Idle;
    NDIS_OID_REQUEST Request;
} MUX_FILTER;

/*
 * A lower binding.
 *
 *     Opening --> Paused <--> Running, as NDIS asks --> Closing --> freed
 *
 * Invariants:
 *  B1 Handle is used only between the success of the open and NdisCloseAdapterEx (IM-UNB-07).
 *  B2 Running and Power change under TableLock held for write, Resetting under HoldLock. NBLs go to
 *     NdisSendNetBufferLists only while Running, in D0 and not Resetting.
 *  B3 Sends counts NBLs below or held; NetEventPause drains it.
 *  B4 Requests is open from the open until the close: requests and cancels below.
 *  B5 ListBusy belongs to the thread that reads UpperBindings; Closing is set once, and after that
 *     and ListBusy's end no name is added.
 *
 *  Opening -> Paused  BindAdapter      Paused -> Running  BindingRestart
 *  Running -> Paused  BindingPause     Paused -> Closing  BindUnbindAdapter
 */
typedef enum _MUX_BINDING_STATE
{
    MuxBindingOpening,
    MuxBindingPaused,
    MuxBindingRunning,
    MuxBindingClosing
} MUX_BINDING_STATE;

struct _MUX_BINDING
{
    NDIS_HANDLE Handle;
    PNDIS_RW_LOCK_EX TableLock;
    MUX_TABLE *Table;
    volatile PVOID LowerSource; /* SourceHandle that received NBLs carry */
    BOOLEAN Running;
    BOOLEAN InsertTag; /* the lower adapter takes no 802.1Q information */
    NDIS_DEVICE_POWER_STATE Power;
    NDIS_HANDLE SendPool;
    NDIS_HANDLE HeaderPool; /* MUX_HEADER_SPACE bytes of data: re-written headers */

    NDIS_SPIN_LOCK HoldLock;
    volatile BOOLEAN Resetting; /* sends are held */
    MUX_QUEUE Retry, Held;
    MUX_RUNDOWN Sends;

    LIST_ENTRY Link;  /* Mux.Bindings */
    LIST_ENTRY Names; /* MUX_NAME.Link */
    NDIS_STRING Section; /* full path of the key with UpperBindings */
    ULONG References; /* Mux.Lock: who walks Mux.Bindings */
    NDIS_EVENT Unreferenced;
    MUX_BINDING_STATE State;
    BOOLEAN Closing, ListBusy, ListAgain;
    BOOLEAN OidHold;  /* the lower adapter is not in D0, or resets: requests are queued */
    ULONG Lookahead;  /* largest asked for below */
    NDIS_EVENT ListDone;
    ULONG Generation;
    ULONG NextOrdinal;
    MUX_RUNDOWN Requests;
    NDIS_EVENT Opened;
    NDIS_STATUS OpenStatus;
    NDIS_EVENT Closed;
    MUX_FILTER Filter;

    /* What the lower adapter told us (bind and restart parameters, status). */
    ULONG MtuSize, LookaheadSize, MacOptions, SupportedPacketFilters, MaxMulticast;
    ULONG DataBackFill, ContextBackFill;
    ULONG64 MaxXmitLinkSpeed, MaxRcvLinkSpeed;
    NDIS_PHYSICAL_MEDIUM PhysicalMedium;
    NET_IFINDEX BoundIfIndex;
    UCHAR Mac[MUX_MAC_LENGTH];
    BOOLEAN HavePm;
    NDIS_PM_CAPABILITIES Pm; /* the originals, for our own use (IM-INI-07) */
    BOOLEAN HaveOffload;
    NDIS_OFFLOAD Offload;
    NDIS_LINK_STATE LinkState; /* Mux.Lock */
};

#define MUX_NAME_BITS 11
#define MUX_NAME_BUCKETS (1u << MUX_NAME_BITS)
typedef struct _MUX_GLOBALS
{
    NDIS_SPIN_LOCK Lock;
    LIST_ENTRY Bindings;
    MUX_NAME *ByDevice[MUX_NAME_BUCKETS], *ByAddress[MUX_NAME_BUCKETS]; /* nametable.c */
    NDIS_HANDLE Miniport, Protocol;
    ULONG Processors;
    volatile LONG NextRequestId;
} MUX_GLOBALS;
extern MUX_GLOBALS Mux;

/* What we keep in the context area of an NBL that we forward (a multiple of 16 bytes). */
typedef struct _MUX_SEND
{
    MUX_VM *Vm;
    NDIS_HANDLE SourceHandle; /* the upper driver's */
    PVOID Vlan;               /* its 802.1Q information */
    ULONG64 Retries;
} MUX_SEND;

/* A child NBL says in MiniportReserved whom it came from: the sending virtual miniport, or NULL for
 * the lower binding. Children that go below say it in ProtocolReserved. */
#define MUX_CHILD_SOURCE(Nbl) (NET_BUFFER_LIST_MINIPORT_RESERVED(Nbl)[0])
#define MUX_CHILD_TARGET(Nbl) (NET_BUFFER_LIST_MINIPORT_RESERVED(Nbl)[1])
#define MUX_CHILD_SENDER(Nbl) (NET_BUFFER_LIST_PROTOCOL_RESERVED(Nbl)[0])
#define MUX_CHILD_FLAGS(Nbl) (NET_BUFFER_LIST_PROTOCOL_RESERVED(Nbl)[1])

/* One batch: frames on their way to virtual miniports, grouped. Lives on a stack. */
#define MUX_BUCKETS 32
#define MUX_BUCKET_HASH 64
typedef struct _MUX_BUCKET
{
    MUX_VM *Vm;
    PNET_BUFFER_LIST Head;
    PNET_BUFFER_LIST *Tail;
    ULONG Count;
    ULONG Others;  /* those that are counted already: children, and what is not unicast */
    ULONG64 Bytes; /* of the rest */
} MUX_BUCKET;
typedef struct _MUX_BATCH
{
    UCHAR Index[MUX_BUCKET_HASH]; /* bucket + 1 */
    ULONG Used;
    ULONG Processor; /* of whoever fills it: index of Counters */
    MUX_VM *LastVm;
    MUX_BUCKET *Last;
    BOOLEAN Full;    /* deliver before the next frame */
    MUX_QUEUE Spill; /* children for virtual miniports that found no bucket */
    MUX_QUEUE Done;  /* nobody wants them */
    MUX_BUCKET Bucket[MUX_BUCKETS];
} MUX_BATCH;

FORCEINLINE VOID QueueInit(MUX_QUEUE *Queue)
{
    Queue->Head = NULL;
    Queue->Tail = &Queue->Head;
    Queue->Count = 0;
}
FORCEINLINE VOID QueueAppend(MUX_QUEUE *Queue, PNET_BUFFER_LIST Nbl)
{
    *Queue->Tail = Nbl;
    Queue->Tail = &NET_BUFFER_LIST_NEXT_NBL(Nbl);
    Queue->Count++;
}
FORCEINLINE PNET_BUFFER_LIST QueueTake(MUX_QUEUE *Queue)
{
    PNET_BUFFER_LIST Head;

    *Queue->Tail = NULL;
    Head = Queue->Head;
    QueueInit(Queue);
    return Head;
}

/* An Ethernet address as a number, first byte lowest. Reads two bytes more than the address. */
FORCEINLINE ULONG64 MacLoad(const UCHAR *Mac)
{
    return *(const ULONG64 UNALIGNED *)Mac & 0xFFFFFFFFFFFFULL;
}
FORCEINLINE ULONG64 MacKey(ULONG64 Mac, ULONG Vlan)
{
    return Mac | (ULONG64)Vlan << 48;
}
/* The type of a frame as it lies in memory, and what a tag is there. */
FORCEINLINE USHORT TypeLoad(const UCHAR *Header)
{
    return *(const USHORT UNALIGNED *)(Header + 2 * MUX_MAC_LENGTH);
}
#define MUX_TYPE_VLAN 0x0081
#define MUX_MAC_BROADCAST 0xFFFFFFFFFFFFULL
#define MUX_MAC_GROUP 1ULL /* bit of the first byte */

/* Bit of MUX_VM.MulticastBloom. */
FORCEINLINE ULONG MuxBloomBit(ULONG64 Address)
{
    return (ULONG)((Address * 0x9E3779B97F4A7C15ULL) >> 58);
}

/* rundown.c */
VOID RundownInit(MUX_RUNDOWN *Rundown, BOOLEAN Open);
BOOLEAN RundownEnter(MUX_RUNDOWN *Rundown, LONG Users);
VOID RundownAdd(MUX_RUNDOWN *Rundown, LONG Users);
VOID RundownLeave(MUX_RUNDOWN *Rundown, LONG Users);
VOID RundownOpen(MUX_RUNDOWN *Rundown);
VOID RundownShut(MUX_RUNDOWN *Rundown);
VOID RundownWait(MUX_RUNDOWN *Rundown);
VOID MuxSignal(PNDIS_EVENT Event);
VOID MuxWait(PNDIS_EVENT Event);
PVOID MuxAllocate(SIZE_T Size, ULONG Tag);
VOID MuxFree(PVOID Memory);

/* names.c */
typedef struct _MUX_CURSOR
{
    const WCHAR *At, *End;
    BOOLEAN Single; /* REG_SZ: one name */
} MUX_CURSOR;
VOID NamesStart(MUX_CURSOR *Cursor, const VOID *Data, ULONG Bytes, BOOLEAN Single);
BOOLEAN NamesNext(MUX_CURSOR *Cursor, PNDIS_STRING Name);

/* name.c */
VOID NameTableAdd(MUX_NAME *Name);
VOID NameTableRemove(MUX_NAME *Name);
MUX_NAME *NameTableFind(const MUX_BINDING *Binding, const NDIS_STRING *Device);
MUX_NAME *NameTableKnown(const VOID *Address);
MUX_NAME *NameFind(MUX_BINDING *Binding, PNDIS_STRING Device);
MUX_NAME *NameAdd(MUX_BINDING *Binding, PNDIS_STRING Device, ULONG Generation);
NDIS_STATUS NameRequest(MUX_NAME *Name);
VOID NameRemove(MUX_NAME *Name);
MUX_NAME *NameInitializeBegin(NDIS_HANDLE DeviceContext);
VOID NameInitializeEnd(MUX_NAME *Name, MUX_VM *Vm);
VOID NameHaltBegin(MUX_NAME *Name);
VOID NameHaltEnd(MUX_NAME *Name);
MUX_VM *NameFirstVm(MUX_BINDING *Binding);
MUX_VM *NameNextVm(MUX_VM *Vm);
BOOLEAN NameRequestDevice(PNDIS_STRING Device);

/* list.c, longlist.c */
BOOLEAN LongListInit(MUX_BINDING *Binding, const NDIS_STRING *ProtocolSection);
NDIS_STATUS LongListRead(MUX_BINDING *Binding, PNDIS_STRING Keyword,
                         PKEY_VALUE_PARTIAL_INFORMATION *Value);
VOID ListUpdate(MUX_BINDING *Binding);
VOID ListRemoveAll(MUX_BINDING *Binding);
VOID ListUpdateAll(VOID);

/* vm.c, vmstate.c, config.c, attr.c */
VOID VmOutSlow(MUX_VM *Vm, LONG64 Old, LONG64 New);
VOID VmOpenChanged(MUX_VM *Vm);
VOID VmStandBy(MUX_BINDING *Binding, BOOLEAN StandingBy);
BOOLEAN VmSleep(MUX_VM *Vm, NDIS_DEVICE_POWER_STATE Power);
NDIS_STATUS VmConfigure(MUX_VM *Vm);
VOID VmLog(NDIS_HANDLE Adapter, ULONG Code, ULONG Detail);
NDIS_STATUS VmSetRegistration(MUX_VM *Vm);
NDIS_STATUS VmSetAttributes(MUX_VM *Vm);
VOID OffloadFromLower(NDIS_OFFLOAD *Out, const NDIS_OFFLOAD *Lower, ULONG Size);
NDIS_STATUS OffloadApply(MUX_VM *Vm, const NDIS_OFFLOAD_PARAMETERS *Parameters, ULONG Length);
extern const NDIS_OID MuxSupportedOids[];
extern const ULONG MuxSupportedOidsSize;

/*
 * Takes Amount off what Vm has out. Vm may be gone on return: whoever brings it to nothing while it
 * pauses, or nothing is under way while it goes to sleep, completes that. <= DISPATCH_LEVEL.
 */
FORCEINLINE VOID VmOut(MUX_VM *Vm, LONG64 Amount)
{
    LONG64 Old = InterlockedExchangeAdd64(&Vm->Out, -Amount);

    if (MUX_UNLIKELY(((Old - Amount) & ~MUX_OUT_MASK) != 0))
    {
        VmOutSlow(Vm, Old, Old - Amount);
    }
}

/* table.c */
NDIS_STATUS TableInsert(MUX_BINDING *Binding, MUX_VM *Vm);
VOID TableRemove(MUX_BINDING *Binding, MUX_VM *Vm);
ULONG TableFirstOfVlan(const MUX_TABLE *Table, USHORT VlanId);
VOID TableFilterChanged(MUX_VM *Vm, ULONG New);
FORCEINLINE ULONG TableHash(const MUX_TABLE *Table, ULONG64 Key)
{
    return (ULONG)((Key * 0x9E3779B97F4A7C15ULL) >> Table->Shift);
}
FORCEINLINE MUX_VM *TableFind(const MUX_TABLE *Table, ULONG64 Key)
{
    ULONG At;

    if (Table == NULL)
    {
        return NULL;
    }
    At = TableHash(Table, Key);
    for (;; At = (At + 1) & Table->Mask)
    {
        if (Table->Slot[At].Key == Key || Table->Slot[At].Vm == NULL)
        {
            return Table->Slot[At].Vm;
        }
    }
}

/* batch.c */
VOID BatchInit(MUX_BATCH *Batch);
MUX_BUCKET *BatchBucket(MUX_BATCH *Batch, MUX_VM *Vm);
VOID BatchChild(MUX_BATCH *Batch, MUX_VM *Vm, PNET_BUFFER_LIST Child);
VOID BatchSeal(MUX_BATCH *Batch);
VOID BatchDeliver(MUX_BATCH *Batch, MUX_BINDING *Binding, ULONG ReceiveFlags);
FORCEINLINE MUX_BUCKET *BatchFind(MUX_BATCH *Batch, MUX_VM *Vm)
{
    return Batch->LastVm == Vm ? Batch->Last : BatchBucket(Batch, Vm);
}

/* local.c */
typedef struct _MUX_FRAME
{
    ULONG64 Destination;
    ULONG64 Source;
    ULONG Kind; /* MuxUnicast ... */
    ULONG Length;
    USHORT Vlan;     /* of the 802.1Q information or the tag in the data; 0: none */
    USHORT Priority; /* of the tag in the data */
    BOOLEAN InBand;  /* there is a tag in the data */
} MUX_FRAME;
BOOLEAN FrameParseSlow(PNET_BUFFER_LIST Nbl, PNET_BUFFER NetBuffer, MUX_FRAME *Frame);
/*
 * Reads destination, source, kind and VLAN of one frame. The VLAN is that of the 802.1Q information, or
 * of a tag inside the data when there is none. FALSE: shorter than an Ethernet header, or not mappable.
 */
FORCEINLINE BOOLEAN FrameParse(PNET_BUFFER_LIST Nbl, PNET_BUFFER NetBuffer, MUX_FRAME *Frame)
{
    NDIS_NET_BUFFER_LIST_8021Q_INFO Tag;
    const UCHAR *Header;
    ULONG Offset;
    PMDL Mdl;

    if (MUX_UNLIKELY(NetBuffer == NULL || NET_BUFFER_DATA_LENGTH(NetBuffer) < MUX_HEADER_LENGTH))
    {
        return FALSE;
    }
    Mdl = NET_BUFFER_CURRENT_MDL(NetBuffer);
    Offset = NET_BUFFER_CURRENT_MDL_OFFSET(NetBuffer);
    if (MUX_UNLIKELY(MmGetMdlByteCount(Mdl) < Offset + MUX_HEADER_LENGTH))
    {
        return FrameParseSlow(Nbl, NetBuffer, Frame);
    }
    Header = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority | MdlMappingNoExecute);
    if (MUX_UNLIKELY(Header == NULL))
    {
        return FALSE;
    }
    Header += Offset;
    Tag.Value = NET_BUFFER_LIST_INFO(Nbl, Ieee8021QNetBufferListInfo);
    if (MUX_UNLIKELY(Tag.Value == NULL && TypeLoad(Header) == MUX_TYPE_VLAN))
    {
        return FrameParseSlow(Nbl, NetBuffer, Frame);
    }
    Frame->Destination = MacLoad(Header);
    Frame->Source = MacLoad(Header + MUX_MAC_LENGTH);
    Frame->Length = NET_BUFFER_DATA_LENGTH(NetBuffer);
    Frame->Kind = MuxUnicast;
    if (MUX_UNLIKELY((Frame->Destination & MUX_MAC_GROUP) != 0))
    {
        Frame->Kind = Frame->Destination == MUX_MAC_BROADCAST ? MuxBroadcast : MuxMulticast;
    }
    Frame->Vlan = (USHORT)Tag.TagHeader.VlanId;
    Frame->Priority = (USHORT)Tag.TagHeader.UserPriority;
    Frame->InBand = FALSE;
    return TRUE;
}

PNET_BUFFER_LIST ChildReceive(MUX_VM *Target, MUX_VM *Source, PNET_BUFFER_LIST Parent,
                              PNET_BUFFER NetBuffer, const MUX_FRAME *Frame);
VOID ChildFree(MUX_BINDING *Binding, PNET_BUFFER_LIST Child);
BOOLEAN VmHasMulticast(const MUX_VM *Vm, ULONG64 Address);
LONG LocalFlood(MUX_BATCH *Batch, MUX_TABLE *Table, MUX_VM *Source, PNET_BUFFER_LIST Nbl,
                PNET_BUFFER NetBuffer, const MUX_FRAME *Frame, MUX_VM **Only);
BOOLEAN LocalChild(MUX_BATCH *Batch, MUX_VM *Target, MUX_VM *Source, PNET_BUFFER_LIST Nbl,
                   PNET_BUFFER NetBuffer, const MUX_FRAME *Frame);
/* Whether the packet filter of Vm lets a frame through that is on its VLAN (IM-RCV-08). */
FORCEINLINE BOOLEAN VmWants(const MUX_VM *Vm, const MUX_FRAME *Frame)
{
    ULONG Filter = Vm->Filter;

    if (!Vm->Open)
    {
        return FALSE;
    }
    if ((Filter & NDIS_PACKET_TYPE_PROMISCUOUS) != 0)
    {
        return TRUE;
    }
    switch (Frame->Kind)
    {
    case MuxUnicast:
        return (Filter & NDIS_PACKET_TYPE_DIRECTED) != 0 &&
               Frame->Destination == (Vm->Key & MUX_MAC_BROADCAST);
    case MuxBroadcast:
        return (Filter & NDIS_PACKET_TYPE_BROADCAST) != 0;
    default:
        return (Filter & NDIS_PACKET_TYPE_ALL_MULTICAST) != 0 ||
               ((Filter & NDIS_PACKET_TYPE_MULTICAST) != 0 &&
                VmHasMulticast(Vm, Frame->Destination));
    }
}

/* tag.c */
PNET_BUFFER_LIST HeaderChild(MUX_BINDING *Binding, PNET_BUFFER NetBuffer, ULONG Skip,
                             const UCHAR *Header, ULONG HeaderLength);
VOID HeaderFree(PNET_BUFFER_LIST Child);
PNET_BUFFER_LIST TagStrip(MUX_BINDING *Binding, PNET_BUFFER NetBuffer);
PNET_BUFFER_LIST TagInsert(MUX_BINDING *Binding, PNET_BUFFER NetBuffer, USHORT Tag);
BOOLEAN LengthMissing(PNET_BUFFER NetBuffer);
PNET_BUFFER_LIST LengthFix(MUX_BINDING *Binding, PNET_BUFFER NetBuffer);
ULONG LsoHeaderLength(PNET_BUFFER NetBuffer, ULONG TcpOffset);

/* stats.c */
FORCEINLINE ULONG StatsIndex(VOID)
{
    ULONG Index = NdisCurrentProcessorIndex();

    return Index < Mux.Processors ? Index : 0;
}
/* The counters of this processor. DISPATCH_LEVEL. */
FORCEINLINE MUX_COUNTERS *StatsHere(MUX_VM *Vm)
{
    return &Vm->Counters[StatsIndex()];
}
VOID StatsSum(MUX_VM *Vm, MUX_COUNTERS *Sum);
VOID StatsFill(MUX_VM *Vm, NDIS_STATISTICS_INFO *Info);
VOID StatsOutErrors(MUX_VM *Vm, LONG64 Count);

/* tx.c, complete.c, hold.c */
VOID TxComplete(MUX_VM *Vm, MUX_QUEUE *Done, ULONG Flags);
typedef struct _MUX_RUN
{
    MUX_VM *Vm;
    MUX_QUEUE Queue;
    ULONG Flags;
} MUX_RUN;
VOID RunAdd(MUX_RUN *Run, MUX_VM *Vm, PNET_BUFFER_LIST Nbl);
VOID RunEnd(MUX_RUN *Run);
MUX_VM *TxSender(MUX_BINDING *Binding, PNET_BUFFER_LIST Nbl);
FORCEINLINE BOOLEAN TxIsChild(const MUX_BINDING *Binding, PNET_BUFFER_LIST Nbl)
{
    NDIS_HANDLE Pool = Nbl->NdisPoolHandle;

    return Pool == Binding->SendPool || Pool == Binding->HeaderPool;
}
VOID HoldInit(MUX_BINDING *Binding);
BOOLEAN HoldSend(MUX_BINDING *Binding, MUX_QUEUE *Wire);
BOOLEAN HoldRetry(MUX_BINDING *Binding, PNET_BUFFER_LIST Nbl);
VOID HoldBegin(MUX_BINDING *Binding);
VOID HoldRelease(MUX_BINDING *Binding);
VOID HoldAbort(MUX_BINDING *Binding, MUX_VM *Vm, PVOID CancelId, NDIS_STATUS Status);

/* oid.c, query.c, forward.c, filter.c */
NDIS_STATUS QueryAnswer(MUX_VM *Vm, PNDIS_OID_REQUEST Request);
NDIS_STATUS SetAnswer(MUX_VM *Vm, PNDIS_OID_REQUEST Request);
NDIS_STATUS SetPowerAnswer(MUX_VM *Vm, PNDIS_OID_REQUEST Request);
MUX_OID_PLACE OidPend(MUX_VM *Vm, PNDIS_OID_REQUEST Request, MUX_OID_PLACE Place);
VOID OidFinish(MUX_VM *Vm, NDIS_STATUS Status);
VOID OidUnpend(MUX_VM *Vm);
VOID OidWaitIdle(MUX_VM *Vm);
NDIS_STATUS ForwardRequest(MUX_VM *Vm, PNDIS_OID_REQUEST Request);
VOID ForwardHold(MUX_BINDING *Binding);
VOID ForwardQueued(MUX_BINDING *Binding);
BOOLEAN ForwardStatus(MUX_BINDING *Binding, PNDIS_STATUS_INDICATION Status);
BOOLEAN FilterInit(MUX_BINDING *Binding);
VOID FilterKick(MUX_BINDING *Binding, BOOLEAN Lists);
VOID FilterComplete(MUX_BINDING *Binding, NDIS_STATUS Status);
VOID FilterClear(MUX_BINDING *Binding);
NDIS_STATUS FilterSet(MUX_VM *Vm, ULONG Filter);
NDIS_STATUS FilterSetMulticast(MUX_VM *Vm, const UCHAR *List, ULONG Count);
VOID FilterVmGone(MUX_VM *Vm);

/* status.c, event.c */
VOID StatusLink(MUX_VM *Vm);
VOID StatusOffload(MUX_VM *Vm, NDIS_STATUS Code);
NDIS_HANDLE BindPool(NDIS_HANDLE Owner, ULONG Data);
NDIS_STATUS BindingRestart(MUX_BINDING *Binding, PNDIS_PROTOCOL_RESTART_PARAMETERS Parameters);
VOID BindingPause(MUX_BINDING *Binding);

/* Entry points. */
PROTOCOL_BIND_ADAPTER_EX BindAdapter;
PROTOCOL_UNBIND_ADAPTER_EX BindUnbindAdapter;
PROTOCOL_OPEN_ADAPTER_COMPLETE_EX BindOpenComplete;
PROTOCOL_CLOSE_ADAPTER_COMPLETE_EX BindCloseComplete;
PROTOCOL_NET_PNP_EVENT EventNotify;
PROTOCOL_OID_REQUEST_COMPLETE OidRequestComplete;
PROTOCOL_STATUS_EX StatusReceive;
PROTOCOL_RECEIVE_NET_BUFFER_LISTS RxReceive;
PROTOCOL_SEND_NET_BUFFER_LISTS_COMPLETE TxSendComplete;
MINIPORT_INITIALIZE VmInitialize;
MINIPORT_HALT VmHalt;
MINIPORT_PAUSE VmPause;
MINIPORT_RESTART VmRestart;
MINIPORT_OID_REQUEST OidRequest;
MINIPORT_CANCEL_OID_REQUEST OidCancel;
MINIPORT_SEND_NET_BUFFER_LISTS TxSend;
MINIPORT_RETURN_NET_BUFFER_LISTS RxReturn;
MINIPORT_CANCEL_SEND TxCancel;
MINIPORT_DEVICE_PNP_EVENT_NOTIFY VmPnPEvent;
MINIPORT_SHUTDOWN VmShutdown;

#endif
