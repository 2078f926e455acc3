/* SPDX-License-Identifier: MIT */
/*
 * Receive: frames from the lower binding to the virtual miniports that want them. One pass over the
 * chain under the read side of TableLock sorts it into a batch; unicast frames go up as they are,
 * with our SourceHandle, everything that goes to several goes as children. <= DISPATCH_LEVEL.
 *
 * The SourceHandle that the NBLs of a binding carry is the same in all of them; it is remembered
 * once per binding and put back before an NBL is returned (IM-RCV-04). An NBL that carries another
 * one is never passed up itself.
 */
#include "path.h"

/* Whether the NBL's own structures may go up: one frame, no tag inside, the usual SourceHandle. */
static BOOLEAN RxWhole(MUX_BINDING *Binding, PNET_BUFFER_LIST Nbl, const MUX_FRAME *Frame)
{
    PVOID Source = Binding->LowerSource;

    if (MUX_UNLIKELY(Source != Nbl->SourceHandle))
    {
        if (Source == NULL)
        {
            Source = InterlockedCompareExchangePointer((PVOID volatile *)&Binding->LowerSource,
                                                       Nbl->SourceHandle, NULL);
        }
        if (Source != NULL && Source != Nbl->SourceHandle)
        {
            return FALSE;
        }
    }
    return !Frame->InBand && NET_BUFFER_NEXT_NB(NET_BUFFER_LIST_FIRST_NB(Nbl)) == NULL;
}

/* Passes the NBL itself to Vm. FALSE: no bucket left, nothing done. */
static BOOLEAN RxPass(MUX_BATCH *Batch, MUX_VM *Vm, PNET_BUFFER_LIST Nbl, const MUX_FRAME *Frame)
{
    MUX_BUCKET *Bucket = BatchFind(Batch, Vm);

    if (MUX_UNLIKELY(Bucket == NULL))
    {
        return FALSE;
    }
    Nbl->SourceHandle = Vm->Handle;
    if (MUX_UNLIKELY(Frame->Vlan != 0))
    {
        NDIS_NET_BUFFER_LIST_8021Q_INFO Tag;

        Tag.Value = NET_BUFFER_LIST_INFO(Nbl, Ieee8021QNetBufferListInfo);
        Tag.TagHeader.VlanId = 0; /* the virtual miniport is on that VLAN and does not see it */
        NET_BUFFER_LIST_INFO(Nbl, Ieee8021QNetBufferListInfo) = Tag.Value;
    }
    *Bucket->Tail = Nbl;
    Bucket->Tail = &NET_BUFFER_LIST_NEXT_NBL(Nbl);
    Bucket->Count++;
    if (Frame->Kind == MuxUnicast)
    {
        Bucket->Bytes += Frame->Length;
    }
    else
    {
        MUX_TRAFFIC *Traffic = CountersOf(&Vm->Counters[Batch->Processor], Frame->Kind);
        Traffic->InFrames++;
        Traffic->InBytes += Frame->Length;
        Bucket->Others++;
    }
    return TRUE;
}

/* Whether a unicast frame for Vm may be given to it. Nobody is promiscuous. */
static BOOLEAN RxAllowed(const MUX_TABLE *Table, const MUX_VM *Vm, const MUX_FRAME *Frame)
{
    if (!VmWants(Vm, Frame))
    {
        return FALSE;
    }
    if (MUX_UNLIKELY(Table->Private != 0))
    {
        const MUX_VM *Sibling = TableFind(Table, MacKey(Frame->Source, Frame->Vlan));
        /* reflected by the switch below, and not wanted even so */
        return Sibling == NULL || (Sibling->Mode != MuxModePrivate && Vm->Mode != MuxModePrivate);
    }
    return TRUE;
}

typedef enum _RX_RESULT
{
    RxUnwanted, /* nobody has it: return it */
    RxTaken,    /* it, or children of it, are on their way */
    RxAgain     /* no bucket left: deliver first */
} RX_RESULT;

/* One frame, whatever it is. Borrowed: the NBL stays with its owner whatever happens (IM-RCV-03).
 */
static RX_RESULT RxFrame(MUX_BINDING *Binding, MUX_BATCH *Batch, PNET_BUFFER_LIST Nbl,
                         BOOLEAN Borrowed)
{
    PNET_BUFFER NetBuffer = NET_BUFFER_LIST_FIRST_NB(Nbl);
    MUX_TABLE *Table = Binding->Table;
    MUX_VM *Only = NULL;
    LONG Children = 0;
    MUX_FRAME Frame;
    BOOLEAN Whole;

    if (!FrameParse(Nbl, NetBuffer, &Frame))
    {
        return RxUnwanted;
    }
    Whole = !Borrowed && RxWhole(Binding, Nbl, &Frame);
    if (Frame.Kind == MuxUnicast && Table->Promiscuous == 0)
    {
        Only = TableFind(Table, MacKey(Frame.Destination, Frame.Vlan));
        if (Only == NULL || !RxAllowed(Table, Only, &Frame))
        {
            return RxUnwanted;
        }
        if (!Whole)
        {
            Children = LocalChild(Batch, Only, NULL, Nbl, NetBuffer, &Frame);
            Only = NULL;
        }
    }
    else
    {
        Children = LocalFlood(Batch, Table, NULL, Nbl, NetBuffer, &Frame, Whole ? &Only : NULL);
    }
    if (Only != NULL)
    {
        return RxPass(Batch, Only, Nbl, &Frame) ? RxTaken : RxAgain;
    }
    return Children != 0 ? RxTaken : RxUnwanted;
}

/*
 * Destination of a plain frame: unicast, untagged, one NET_BUFFER with its header in one mapped
 * MDL, and from whom all come. Anything else gives MUX_MAC_BROADCAST and goes the long way.
 */
FORCEINLINE ULONG64 RxPlain(PNET_BUFFER_LIST Nbl, PVOID Source)
{
    PNET_BUFFER NetBuffer = NET_BUFFER_LIST_FIRST_NB(Nbl);
    PMDL Mdl = NET_BUFFER_CURRENT_MDL(NetBuffer);
    ULONG Offset = NET_BUFFER_CURRENT_MDL_OFFSET(NetBuffer);
    const UCHAR *Header;
    ULONG64 Destination;

    if (MUX_UNLIKELY(Nbl->SourceHandle != Source ||
                     NET_BUFFER_LIST_INFO(Nbl, Ieee8021QNetBufferListInfo) != NULL ||
                     NET_BUFFER_NEXT_NB(NetBuffer) != NULL ||
                     NET_BUFFER_DATA_LENGTH(NetBuffer) < MUX_HEADER_LENGTH ||
                     MmGetMdlByteCount(Mdl) < Offset + MUX_HEADER_LENGTH))
    {
        return MUX_MAC_BROADCAST;
    }
    Header = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority | MdlMappingNoExecute);
    if (MUX_UNLIKELY(Header == NULL))
    {
        return MUX_MAC_BROADCAST;
    }
    Header += Offset;
    Destination = MacLoad(Header);
    return MUX_LIKELY((Destination & MUX_MAC_GROUP) == 0 && TypeLoad(Header) != MUX_TYPE_VLAN)
               ? Destination
               : MUX_MAC_BROADCAST;
}

#define RX_AHEAD 16 /* frames looked up at once */

/*
 * Looks the next plain frames up, so that their way through the caches overlaps: nothing of a
 * virtual miniport is read yet. Returns how many; *Long: the one behind them is not plain.
 * TableLock held.
 */
FORCEINLINE ULONG RxAhead(const MUX_TABLE *Table, PVOID Source, PNET_BUFFER_LIST Nbl,
                          MUX_VM **Found, BOOLEAN *Long)
{
    ULONG64 LastKey = MUX_MAC_BROADCAST;
    MUX_VM *Vm = NULL;
    ULONG Count = 0;
    PNET_BUFFER_LIST Next;

    for (; Nbl != NULL && Count < RX_AHEAD; Nbl = Next)
    {
        ULONG64 Key = RxPlain(Nbl, Source);

        Next = NET_BUFFER_LIST_NEXT_NBL(Nbl);
        if (MUX_LIKELY(Next != NULL))
        {
            MuxPrefetch(NET_BUFFER_LIST_NEXT_NBL(Next));
            MuxPrefetch(NET_BUFFER_LIST_FIRST_NB(Next));
            MuxPrefetch(&NET_BUFFER_LIST_INFO(Next, Ieee8021QNetBufferListInfo));
        }
        if (MUX_UNLIKELY(Key == MUX_MAC_BROADCAST))
        {
            *Long = TRUE;
            break;
        }
        if (Key != LastKey)
        {
            Vm = TableFind(Table, Key);
            MuxPrefetch(Vm);
            LastKey = Key;
        }
        Found[Count++] = Vm;
    }
    return Count;
}

/*
 * Sorts a chain whose frames are mostly plain and for virtual miniports among which nothing is
 * special: the short way, a few dozen instructions a frame. Returns what the batch does not take;
 * *Long: its first frame needs the long way. TableLock held for read.
 */
static PNET_BUFFER_LIST RxShort(MUX_BINDING *Binding, MUX_BATCH *Batch, PNET_BUFFER_LIST Nbl,
                                BOOLEAN *Long)
{
    const MUX_TABLE *Table = Binding->Table;
    PVOID Source = Binding->LowerSource;
    MUX_BUCKET *Bucket = NULL;
    MUX_VM *Found[RX_AHEAD], *Current = NULL;
    PNET_BUFFER_LIST Next;
    BOOLEAN Stop = FALSE;
    ULONG Count, i;

    *Long = FALSE;
    while (Nbl != NULL && !Stop)
    {
        Count = RxAhead(Table, Source, Nbl, Found, &Stop);
        for (i = 0; i < Count; i++, Nbl = Next)
        {
            MUX_VM *Vm = Found[i];

            Next = NET_BUFFER_LIST_NEXT_NBL(Nbl);
            if (MUX_UNLIKELY(Vm == NULL))
            {
                QueueAppend(&Batch->Done, Nbl);
                continue;
            }
            if (Vm != Current)
            {
                if (MUX_UNLIKELY(!Vm->Open || (Vm->Filter & NDIS_PACKET_TYPE_DIRECTED) == 0))
                {
                    QueueAppend(&Batch->Done, Nbl);
                    continue;
                }
                Bucket = BatchFind(Batch, Vm);
                if (MUX_UNLIKELY(Bucket == NULL))
                {
                    return Nbl;
                }
                Current = Vm;
            }
            Nbl->SourceHandle = Vm->Handle;
            *Bucket->Tail = Nbl;
            Bucket->Tail = &NET_BUFFER_LIST_NEXT_NBL(Nbl);
            Bucket->Count++;
            Bucket->Bytes += NET_BUFFER_DATA_LENGTH(NET_BUFFER_LIST_FIRST_NB(Nbl));
        }
    }
    *Long = Nbl != NULL;
    return Nbl;
}

/* Sorts as much of a chain as the batch takes; returns the rest. TableLock held for read. */
static PNET_BUFFER_LIST RxClassify(MUX_BINDING *Binding, MUX_BATCH *Batch, PNET_BUFFER_LIST Nbl,
                                   BOOLEAN Borrowed)
{
    const MUX_TABLE *Table = Binding->Table;
    BOOLEAN Open = Binding->Running && Binding->Power == NdisDeviceStateD0 && Table != NULL &&
                   Table->Count != 0;
    BOOLEAN Short = Open && !Borrowed && Table->Promiscuous == 0 && Table->Private == 0;
    PNET_BUFFER_LIST Next;

    while (Nbl != NULL && !Batch->Full)
    {
        RX_RESULT Result = RxUnwanted;
        BOOLEAN Long = TRUE;

        if (Short)
        {
            Nbl = RxShort(Binding, Batch, Nbl, &Long);
        }
        if (!Long)
        {
            continue;
        }
        Next = NET_BUFFER_LIST_NEXT_NBL(Nbl);
        if (Open)
        {
            Result = RxFrame(Binding, Batch, Nbl, Borrowed);
        }
        if (Result == RxAgain)
        {
            break;
        }
        if (Result == RxUnwanted && !Borrowed)
        {
            QueueAppend(&Batch->Done, Nbl);
        }
        Nbl = Next;
    }
    return Nbl;
}

/*
 * Delivers what RxClassify has sorted. At DISPATCH_LEVEL the virtual miniports' returns that come
 * back inside are collected in Batch->Done, to go below in one chain: nothing else can run on this
 * processor until the callbacks return, and the lower adapter cannot pause while our caller
 * indicates.
 */
static VOID RxDeliver(MUX_BATCH *Batch, MUX_BINDING *Binding, ULONG Up)
{
    ULONG Processor = Batch->Processor;
    BOOLEAN Collect = (Up & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL) != 0 &&
                      (Up & NDIS_RECEIVE_FLAGS_RESOURCES) == 0 && Processor < MUX_HERE_PROCESSORS;

    if (MUX_LIKELY(Collect))
    {
        Batch->Binding = Binding;
        Batch->Outer = MuxHere[Processor].Batch;
        MuxHere[Processor].Batch = Batch;
    }
    BatchDeliver(Batch, Binding, Up);
    if (MUX_LIKELY(Collect))
    {
        MuxHere[Processor].Batch = Batch->Outer;
    }
}

/*
 * ProtocolReceiveNetBufferLists (`nc-ndis-protocol_receive_net_buffer_lists.md`, IM-RCV-01 to -04,
 * -09). Several processors at once. With the RESOURCES flag only children go up, with the same
 * flag, so that nothing is kept and the chain stays linked as it is. Frames that nobody wants go
 * back in one chain.
 */
VOID RxReceive(NDIS_HANDLE ProtocolBindingContext, PNET_BUFFER_LIST NetBufferLists,
               NDIS_PORT_NUMBER PortNumber, ULONG NumberOfNetBufferLists, ULONG ReceiveFlags)
{
    MUX_BINDING *Binding = (MUX_BINDING *)ProtocolBindingContext;
    BOOLEAN Dispatch = NDIS_TEST_RECEIVE_AT_DISPATCH_LEVEL(ReceiveFlags);
    BOOLEAN Borrowed = NDIS_TEST_RECEIVE_CANNOT_PEND(ReceiveFlags);
    ULONG Up = ReceiveFlags & (NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL | NDIS_RECEIVE_FLAGS_RESOURCES);
    LOCK_STATE_EX State;
    MUX_BATCH Batch;

    UNREFERENCED_PARAMETER(PortNumber);
    UNREFERENCED_PARAMETER(NumberOfNetBufferLists);
    while (NetBufferLists != NULL)
    {
        NdisAcquireRWLockRead(Binding->TableLock, &State,
                              Dispatch ? NDIS_RWL_AT_DISPATCH_LEVEL : 0);
        BatchInit(&Batch);
        NetBufferLists = RxClassify(Binding, &Batch, NetBufferLists, Borrowed);
        BatchSeal(&Batch);
        NdisReleaseRWLock(Binding->TableLock, &State);
        RxDeliver(&Batch, Binding, Up);
        if (Batch.Done.Count != 0)
        {
            NdisReturnNetBufferLists(Binding->Handle, QueueTake(&Batch.Done),
                                     Dispatch ? NDIS_RETURN_FLAGS_DISPATCH_LEVEL : 0);
        }
    }
}

/*
 * MiniportReturnNetBufferLists (IM-RCV-02, IM-RCV-07): NBLs from below go back there with their
 * SourceHandle, children are freed, and the last child of a parent sends that on: below, or to the
 * sibling that sent it. Inside a delivery from below they join what that gives back. The virtual
 * miniport may be gone on return. <= DISPATCH_LEVEL.
 */
VOID RxReturn(NDIS_HANDLE MiniportAdapterContext, PNET_BUFFER_LIST NetBufferLists,
              ULONG ReturnFlags)
{
    MUX_VM *Vm = (MUX_VM *)MiniportAdapterContext;
    MUX_BINDING *Binding = Vm->Binding;
    BOOLEAN Dispatch = NDIS_TEST_RETURN_AT_DISPATCH_LEVEL(ReturnFlags);
    PNET_BUFFER_LIST Nbl, Next;
    MUX_BATCH *Batch = Dispatch ? BatchHere(Binding) : NULL;
    MUX_QUEUE Own, *Lower = Batch != NULL ? &Batch->Done : &Own;
    LONG64 Count = 0;
    MUX_RUN Run;

    QueueInit(&Own);
    Run.Vm = NULL;
    Run.Flags = Dispatch ? NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL : 0;
    for (Nbl = NetBufferLists; Nbl != NULL; Nbl = Next)
    {
        Next = NET_BUFFER_LIST_NEXT_NBL(Nbl);
        Count++;
        if (MUX_UNLIKELY(Nbl->NdisPoolHandle == Vm->ReceivePool ||
                         Nbl->NdisPoolHandle == Binding->HeaderPool))
        {
            PNET_BUFFER_LIST Parent = Nbl->ParentNetBufferList;
            MUX_VM *Source = (MUX_VM *)MUX_CHILD_SOURCE(Nbl);

            ChildFree(Binding, Nbl);
            if (InterlockedDecrement(&Parent->ChildRefCount) != 0)
            {
                continue;
            }
            if (Source != NULL)
            {
                RunAdd(&Run, Source, Parent);
                continue;
            }
            Nbl = Parent;
        }
        else
        {
            Nbl->SourceHandle = Binding->LowerSource;
        }
        QueueAppend(Lower, Nbl);
    }
    if (Own.Count != 0)
    {
        NdisReturnNetBufferLists(Binding->Handle, QueueTake(&Own),
                                 Dispatch ? NDIS_RETURN_FLAGS_DISPATCH_LEVEL : 0);
    }
    if (MUX_UNLIKELY(Run.Vm != NULL))
    {
        RunEnd(&Run);
    }
    if (MUX_LIKELY(Batch != NULL && Batch->Current == Vm))
    {
        Batch->Returned += Count * MUX_OUT_RECEIVE;
        return;
    }
    VmOut(Vm, Count * MUX_OUT_RECEIVE);
}
