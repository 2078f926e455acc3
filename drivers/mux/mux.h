/* SPDX-License-Identifier: MIT */
/*
 * The n-to-one MUX intermediate driver: types and functions shared by its files; path.h has those
 * of the data path.
 *
 *   driver.c    DriverEntry, registration, unload       rundown.c   counted references that drain
 *   names.c     parser of UpperBindings                 longlist.c  UpperBindings beyond 64 KB
 *   name.c      one listed name: request, cancel        nametable.c names by device and by address
 *   bind.c      a lower binding: open, close            list.c      the list of names of a binding
 *   vm.c        MiniportInitializeEx, MiniportHaltEx    vmstate.c   pause, restart, power, shutdown
 *   config.c    settings of a virtual miniport          attr.c      adapter attributes, offloads
 *   table.c     look-up by (VLAN, MAC)                  batch.c     frames grouped by receiver
 *   rx.c        receive and return                      tx.c        send, cancel
 *   complete.c  completions of sends                    hold.c      sends held during a reset
 *   local.c     children: copies of one frame           tag.c       headers re-written
 *   stats.c     counters                                oid.c       MiniportOidRequest
 *   query.c     what a virtual miniport answers         forward.c   requests passed down
 *   filter.c    packet filter and multicast union       group.c     group addresses, counted
 *   status.c    status indications                      event.c     network Plug and Play events
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
#define MUX_FILTER_BITS 6       /* enough for each bit of MUX_PACKET_FILTERS */
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
 *     waited for Quiet, which is signalled when Calls is 0 and the state is Idle, Requested or
 * Live. N4 Leaving is never cleared, and a leaving name is never requested again.
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
    LIST_ENTRY Link;                    /* MUX_BINDING.Names */
    MUX_NAME *DeviceNext, *AddressNext; /* nametable.c */
    ULONG Hash;                         /* of Device without its prefix and without case */
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
#define MUX_OUT_SEND ((LONG64)1)          /* NBLs sent by the upper driver, not completed */
#define MUX_OUT_CALL ((LONG64)1 << 24)    /* NdisMIndicateReceiveNetBufferLists under way */
#define MUX_OUT_RECEIVE ((LONG64)1 << 36) /* NBLs indicated, not returned */
#define MUX_OUT_PAUSED ((LONG64)1 << 60)  /* the last one completes a pause */
#define MUX_OUT_ASLEEP ((LONG64)1 << 61)  /* the last send and call complete a set power */
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
    PVOID CloneId; /* under which the clone can be cancelled below */
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
 *  V1 Open, Running, Power, Gone, StandingBy, Filter, Multicast change under the binding's
 * TableLock held for write; the data path reads them under its read side. After a write that
 * forbids traffic has been released no reader adds to Out. V2 Out is zero while Paused. The thread
 * whose subtraction leaves exactly MUX_OUT_PAUSED completes the pause; nobody else touches the
 * virtual miniport after such a subtraction. V3 It is in its binding's table from the end of
 * MiniportInitializeEx to the start of MiniportHaltEx. (VLAN, MAC) is unique there. V4 Use is open
 * from the end of MiniportInitializeEx until MiniportHaltEx; who indicates status or raises events
 * has entered it.
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
    ULONG Shift; /* 64 - log2(slots) */
    ULONG Mask;  /* slots - 1; at most half of them are in use */
    ULONG Count;
    ULONG Promiscuous;              /* virtual miniports with the promiscuous filter */
    ULONG Filters[MUX_FILTER_BITS]; /* virtual miniports with each bit of the filter */
    ULONG Foreign; /* virtual miniports that want directed frames for another address than the NIC's
                    */
    ULONG Private; /* virtual miniports in private mode */
    ULONG Bridged; /* virtual miniports in bridge mode */
    MUX_VM **ByVlan; /* [Count], by VLAN, then Ordinal; room for (slots / 2) */
    MUX_SLOT Slot[1];
} MUX_TABLE;

typedef struct _MUX_QUEUE
{
    PNET_BUFFER_LIST Head;
    PNET_BUFFER_LIST *Tail;
    ULONG Count;
} MUX_QUEUE;

/* A group address that some virtual miniport has on its multicast list (TableLock). */
typedef struct _MUX_GROUP
{
    struct _MUX_GROUP *Next; /* same hash, or spare */
    LIST_ENTRY Link;         /* MUX_FILTER.Groups while Wanted is not 0 */
    ULONG64 Address;
    ULONG Lists;  /* lists that have it */
    ULONG Wanted; /* of those, lists of virtual miniports that want multicasts */
} MUX_GROUP;
#define MUX_GROUP_BITS 9

/*
 * The union of filters and multicast lists, set on the lower binding by one request at a time.
 * (Mux.Lock; Busy belongs to whoever set it.)
 */
typedef struct _MUX_FILTER
{
    BOOLEAN Busy, Dirty, ListsDirty;
    BOOLEAN Overflow; /* the union of lists does not fit */
    ULONG Filter;     /* what the lower binding has */
    ULONG WantedFilter;
    ULONG ListCount, WantedCount, ListMax;
    UCHAR (*List)[MUX_MAC_LENGTH]; /* what the lower binding has; [ListMax] */
    UCHAR (*Wanted)[MUX_MAC_LENGTH];
    ULONG Stage;
    NDIS_STATUS Status;
    LIST_ENTRY Waiting, Served; /* MUX_VM.FilterLink */
    NDIS_EVENT Idle;
    NDIS_OID_REQUEST Request;

    LIST_ENTRY Groups; /* wanted ones, oldest first (TableLock, like the rest; group.c) */
    ULONG GroupCount;
    MUX_GROUP *Group[1u << MUX_GROUP_BITS];
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

    LIST_ENTRY Link;     /* Mux.Bindings */
    LIST_ENTRY Names;    /* MUX_NAME.Link */
    NDIS_STRING Section; /* full path of the key with UpperBindings */
    ULONG References;    /* Mux.Lock: who walks Mux.Bindings */
    NDIS_EVENT Unreferenced;
    MUX_BINDING_STATE State;
    BOOLEAN Closing, ListBusy, ListAgain;
    BOOLEAN OidHold; /* the lower adapter is not in D0, or resets: requests are queued */
    ULONG Lookahead; /* largest asked for below */
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

/* table.c */
NDIS_STATUS TableInsert(MUX_BINDING *Binding, MUX_VM *Vm);
VOID TableRemove(MUX_BINDING *Binding, MUX_VM *Vm);
VOID TableFilterChanged(MUX_VM *Vm, ULONG New);

/* stats.c, hold.c */
VOID StatsFill(MUX_VM *Vm, NDIS_STATISTICS_INFO *Info);
VOID HoldInit(MUX_BINDING *Binding);
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
VOID OidAbortQueued(MUX_VM *Vm);
VOID OidWaitIdle(MUX_VM *Vm);
NDIS_STATUS ForwardRequest(MUX_VM *Vm, PNDIS_OID_REQUEST Request);
VOID ForwardHold(MUX_BINDING *Binding);
VOID ForwardQueued(MUX_BINDING *Binding);
BOOLEAN ForwardStatus(MUX_BINDING *Binding, PNDIS_STATUS_INDICATION Status);
BOOLEAN FilterInit(MUX_BINDING *Binding);
VOID FilterKick(MUX_BINDING *Binding, BOOLEAN Lists);
VOID FilterComplete(MUX_BINDING *Binding, NDIS_STATUS Status);
VOID FilterClear(MUX_BINDING *Binding);
BOOLEAN GroupAllocate(ULONG Count, MUX_GROUP **Spare);
VOID GroupFree(MUX_GROUP *Spare);
VOID GroupWantAll(const MUX_VM *Vm, BOOLEAN Want);
VOID GroupCountList(MUX_FILTER *Filter, UCHAR (*List)[MUX_MAC_LENGTH], ULONG Count, BOOLEAN In,
                    BOOLEAN Wanted, MUX_GROUP **Spare);
ULONG GroupUnion(const MUX_FILTER *Filter, UCHAR (*List)[MUX_MAC_LENGTH], ULONG Max);
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
