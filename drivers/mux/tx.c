/* SPDX-License-Identifier: MIT */
/*
 * Send: NBLs of a virtual miniport to the wire, to siblings, or both. A frame for the wire alone is
 * the upper NBL itself, with our SourceHandle, the upper one kept in its context space. Anything
 * that also stays inside is a parent, and only children move. <= DISPATCH_LEVEL; TableLock is held
 * while a chain is sorted.
 */
#include "path.h"

/* What one pass over a chain leaves. */
typedef struct _TX_PASS
{
    MUX_VM *Vm;
    MUX_BATCH *Batch;
    MUX_QUEUE Wire;      /* to NdisSendNetBufferLists */
    MUX_QUEUE Done;      /* completed now, status set */
    ULONG Taken;         /* NBLs consumed */
    ULONG Frames, Bytes; /* of the unicast frames */
    MUX_COUNTERS *Counters;
} TX_PASS;

/* Why nothing may be sent now; success if it may. TableLock held (IM-MST-05, IM-PST-05, IM-PWR-07).
 */
static NDIS_STATUS TxRefusal(const MUX_VM *Vm)
{
    if (MUX_LIKELY(Vm->Open && Vm->Binding->Running && Vm->Binding->Power == NdisDeviceStateD0))
    {
        return NDIS_STATUS_SUCCESS;
    }
    if (Vm->Gone)
    {
        return NDIS_STATUS_NOT_ACCEPTED; /* IM-PNP-10 */
    }
    if (Vm->Power != NdisDeviceStateD0 || Vm->Binding->Power != NdisDeviceStateD0)
    {
        return NDIS_STATUS_LOW_POWER_STATE;
    }
    return NDIS_STATUS_PAUSED;
}

static VOID TxDone(TX_PASS *Pass, PNET_BUFFER_LIST Nbl, NDIS_STATUS Status)
{
    NET_BUFFER_LIST_STATUS(Nbl) = Status;
    QueueAppend(&Pass->Done, Nbl);
}

/* The 802.1Q information with which a frame leaves: the sender's priority, our VLAN. */
static PVOID TxTag(const MUX_VM *Vm, PNET_BUFFER_LIST Nbl)
{
    NDIS_NET_BUFFER_LIST_8021Q_INFO Tag;

    Tag.Value = NET_BUFFER_LIST_INFO(Nbl, Ieee8021QNetBufferListInfo);
    Tag.TagHeader.VlanId = Vm->VlanId;
    return Tag.Value;
}

/* Sends the upper NBL itself. */
static VOID TxForward(TX_PASS *Pass, PNET_BUFFER_LIST Nbl)
{
    MUX_VM *Vm = Pass->Vm;
    MUX_SEND *Send;

    if (NdisAllocateNetBufferListContext(Nbl, sizeof(*Send), 0, MUX_TAG_SEND) !=
        NDIS_STATUS_SUCCESS)
    {
        Pass->Counters->OutDiscards++;
        TxDone(Pass, Nbl, NDIS_STATUS_RESOURCES);
        return;
    }
    Send = (MUX_SEND *)NET_BUFFER_LIST_CONTEXT_DATA_START(Nbl);
    Send->Vm = Vm;
    Send->SourceHandle = Nbl->SourceHandle;
    Send->Vlan = NET_BUFFER_LIST_INFO(Nbl, Ieee8021QNetBufferListInfo);
    Send->Retries = 0;
    if (MUX_UNLIKELY(Send->Vlan != NULL || Vm->VlanId != 0))
    {
        NET_BUFFER_LIST_INFO(Nbl, Ieee8021QNetBufferListInfo) = TxTag(Vm, Nbl);
    }
    Nbl->SourceHandle = Vm->Binding->Handle;
    QueueAppend(&Pass->Wire, Nbl);
}

/* Puts a child on its way to the wire. */
static VOID TxWireChild(TX_PASS *Pass, PNET_BUFFER_LIST Parent, PNET_BUFFER_LIST Child)
{
    NdisCopySendNetBufferListInfo(Child, Parent); /* the cancel id goes along (IM-CAN-03) */
    NET_BUFFER_LIST_INFO(Child, Ieee8021QNetBufferListInfo) = TxTag(Pass->Vm, Parent);
    NET_BUFFER_LIST_STATUS(Child) = NDIS_STATUS_SUCCESS;
    Child->ParentNetBufferList = Parent;
    Parent->ChildRefCount++;
    Child->SourceHandle = Pass->Vm->Binding->Handle;
    MUX_CHILD_SENDER(Child) = Pass->Vm;
    MUX_CHILD_FLAGS(Child) = NULL;
    QueueAppend(&Pass->Wire, Child);
}

/* Offsets that count from the start of the frame grow with the tag. */
static VOID TxShiftOffsets(PNET_BUFFER_LIST Child)
{
    NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO Sum;
    NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO Large;

    Sum.Value = NET_BUFFER_LIST_INFO(Child, TcpIpChecksumNetBufferListInfo);
    if (Sum.Transmit.TcpHeaderOffset != 0)
    {
        Sum.Transmit.TcpHeaderOffset += MUX_TAG_LENGTH;
        NET_BUFFER_LIST_INFO(Child, TcpIpChecksumNetBufferListInfo) = Sum.Value;
    }
    Large.Value = NET_BUFFER_LIST_INFO(Child, TcpLargeSendNetBufferListInfo);
    if (Large.LsoV2Transmit.MSS != 0)
    {
        Large.LsoV2Transmit.TcpHeaderOffset += MUX_TAG_LENGTH;
        NET_BUFFER_LIST_INFO(Child, TcpLargeSendNetBufferListInfo) = Large.Value;
    }
    NET_BUFFER_LIST_INFO(Child, Ieee8021QNetBufferListInfo) = NULL;
}

/* The wire's share of a parent: tagged frames of our own where the NIC inserts no tags, else one
 * clone. */
static VOID TxWire(TX_PASS *Pass, PNET_BUFFER_LIST Nbl)
{
    MUX_BINDING *Binding = Pass->Vm->Binding;
    NDIS_NET_BUFFER_LIST_8021Q_INFO Tag;
    PNET_BUFFER_LIST Child;
    PNET_BUFFER NetBuffer;

    Tag.Value = TxTag(Pass->Vm, Nbl);
    if (!Binding->InsertTag || Tag.TagHeader.VlanId == 0)
    {
        Child = NdisAllocateCloneNetBufferList(Nbl, Binding->SendPool, NULL,
                                               NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS);
        if (Child != NULL)
        {
            TxWireChild(Pass, Nbl, Child);
            return;
        }
        NET_BUFFER_LIST_STATUS(Nbl) = NDIS_STATUS_RESOURCES;
        Pass->Counters->OutDiscards++;
        return;
    }
    for (NetBuffer = NET_BUFFER_LIST_FIRST_NB(Nbl); NetBuffer != NULL;
         NetBuffer = NET_BUFFER_NEXT_NB(NetBuffer))
    {
        USHORT Bits = (USHORT)(Tag.TagHeader.UserPriority << 13 | Tag.TagHeader.VlanId);

        Child = TagInsert(Binding, NetBuffer, Bits);
        if (Child == NULL)
        {
            NET_BUFFER_LIST_STATUS(Nbl) = NDIS_STATUS_RESOURCES;
            Pass->Counters->OutDiscards++;
            continue;
        }
        TxWireChild(Pass, Nbl, Child);
        TxShiftOffsets(Child);
    }
}

/*
 * Bridge mode: gives the frames of an NBL to the siblings that they are for. *Wire: some frame must
 * also, or only, go to the wire. Returns the number of children.
 */
static LONG TxInside(TX_PASS *Pass, PNET_BUFFER_LIST Nbl, const MUX_FRAME *First, BOOLEAN *Wire)
{
    MUX_TABLE *Table = Pass->Vm->Binding->Table;
    PNET_BUFFER NetBuffer = NET_BUFFER_LIST_FIRST_NB(Nbl);
    MUX_FRAME Frame = *First;
    LONG Children = 0;

    *Wire = FALSE;
    for (;;)
    {
        MUX_VM *Sibling = NULL;

        if (Frame.Kind == MuxUnicast)
        {
            Sibling = TableFind(Table, MacKey(Frame.Destination, Pass->Vm->VlanId));
            if (Sibling != NULL && (Sibling == Pass->Vm || Sibling->Mode != MuxModeBridge))
            {
                Sibling = NULL;
            }
        }
        *Wire |= Sibling == NULL;
        if (Frame.Kind != MuxUnicast || Table->Promiscuous != 0)
        {
            Children += LocalFlood(Pass->Batch, Table, Pass->Vm, Nbl, NetBuffer, &Frame, NULL);
        }
        else if (Sibling != NULL && VmWants(Sibling, &Frame))
        {
            Children += LocalChild(Pass->Batch, Sibling, Pass->Vm, Nbl, NetBuffer, &Frame);
        }
        NetBuffer = NET_BUFFER_NEXT_NB(NetBuffer);
        if (NetBuffer == NULL || !FrameParse(Nbl, NetBuffer, &Frame))
        {
            return Children;
        }
        Frame.Vlan = Pass->Vm->VlanId;
        Frame.InBand = FALSE;
    }
}

/* Counts the frames of an NBL as sent. */
static VOID TxCount(TX_PASS *Pass, PNET_BUFFER_LIST Nbl, const MUX_FRAME *Frame)
{
    PNET_BUFFER NetBuffer = NET_BUFFER_NEXT_NB(NET_BUFFER_LIST_FIRST_NB(Nbl));
    MUX_TRAFFIC *Traffic = CountersOf(Pass->Counters, Frame->Kind);

    Traffic->OutFrames++;
    Traffic->OutBytes += Frame->Length;
    for (; MUX_UNLIKELY(NetBuffer != NULL); NetBuffer = NET_BUFFER_NEXT_NB(NetBuffer))
    {
        Traffic->OutFrames++;
        Traffic->OutBytes += NET_BUFFER_DATA_LENGTH(NetBuffer);
    }
}

/* One NBL; Frame is that of its first NET_BUFFER, NULL if that is none. */
static VOID TxOne(TX_PASS *Pass, PNET_BUFFER_LIST Nbl, MUX_FRAME *Frame)
{
    MUX_VM *Vm = Pass->Vm;
    BOOLEAN Wire = TRUE;
    LONG Children = 0;

    if (MUX_UNLIKELY(Frame == NULL))
    {
        StatsOutErrors(Vm, 1);
        TxDone(Pass, Nbl, NDIS_STATUS_INVALID_LENGTH);
        return;
    }
    if (MUX_UNLIKELY(Frame->InBand && Frame->Vlan != 0 && Vm->VlanId == 0))
    {
        StatsOutErrors(Vm, 1); /* nobody chooses a VLAN that was not given to it */
        TxDone(Pass, Nbl, NDIS_STATUS_FAILURE);
        return;
    }
    Frame->Vlan = Vm->VlanId;
    Frame->InBand = FALSE;
    TxCount(Pass, Nbl, Frame);
    NET_BUFFER_LIST_STATUS(Nbl) = NDIS_STATUS_SUCCESS;
    if (Vm->Mode == MuxModeBridge && Vm->Binding->Table->Bridged > 1)
    {
        Children = TxInside(Pass, Nbl, Frame, &Wire);
    }
    if (MUX_LIKELY(Children == 0 && Wire && !(Vm->Binding->InsertTag && Vm->VlanId != 0)))
    {
        TxForward(Pass, Nbl);
        return;
    }
    if (Wire)
    {
        TxWire(Pass, Nbl);
    }
    if (Nbl->ChildRefCount == 0)
    {
        QueueAppend(&Pass->Done, Nbl); /* for a sibling that does not want it, or no memory */
    }
}

/* Sorts as much of a chain as the batch takes; returns the rest. TableLock held for read. */
static PNET_BUFFER_LIST TxClassify(TX_PASS *Pass, PNET_BUFFER_LIST Nbl)
{
    PNET_BUFFER_LIST Next;

    for (; Nbl != NULL && !Pass->Batch->Full; Nbl = Next)
    {
        MUX_FRAME Frame;

        Next = NET_BUFFER_LIST_NEXT_NBL(Nbl);
        if (Next != NULL)
        {
            MuxPrefetch(NET_BUFFER_LIST_FIRST_NB(Next));
            MuxPrefetch(Next->Context);
            MuxPrefetch(&NET_BUFFER_LIST_INFO(Next, Ieee8021QNetBufferListInfo));
        }
        Pass->Taken++;
        TxOne(Pass, Nbl, FrameParse(Nbl, NET_BUFFER_LIST_FIRST_NB(Nbl), &Frame) ? &Frame : NULL);
    }
    return Nbl;
}

/* Completes a chain that may not be sent at all. */
static VOID TxRefuse(MUX_VM *Vm, PNET_BUFFER_LIST Nbls, NDIS_STATUS Status, ULONG Flags)
{
    PNET_BUFFER_LIST Nbl;

    for (Nbl = Nbls; Nbl != NULL; Nbl = NET_BUFFER_LIST_NEXT_NBL(Nbl))
    {
        NET_BUFFER_LIST_STATUS(Nbl) = Status;
    }
    NdisMSendNetBufferListsComplete(Vm->Handle, Nbls, Flags);
}

/* Everything sorted by one pass goes where it belongs; no lock held. */
static VOID TxDispatch(TX_PASS *Pass, BOOLEAN Dispatch)
{
    MUX_BINDING *Binding = Pass->Vm->Binding;

    BatchDeliver(Pass->Batch, Binding, Dispatch ? NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL : 0);
    if (Pass->Wire.Count != 0 && !(Binding->Resetting && HoldSend(Binding, &Pass->Wire)))
    {
        NdisSendNetBufferLists(Binding->Handle, QueueTake(&Pass->Wire), NDIS_DEFAULT_PORT_NUMBER,
                               Dispatch ? NDIS_SEND_FLAGS_DISPATCH_LEVEL : 0);
    }
}

/*
 * MiniportSendNetBufferLists (`nc-ndis-miniport_send_net_buffer_lists.md`, IM-SND-03 to -10). The
 * chain keeps its order. Every NBL taken is out of this virtual miniport until it is completed.
 */
VOID TxSend(NDIS_HANDLE MiniportAdapterContext, PNET_BUFFER_LIST NetBufferList,
            NDIS_PORT_NUMBER PortNumber, ULONG SendFlags)
{
    MUX_VM *Vm = (MUX_VM *)MiniportAdapterContext;
    PNDIS_RW_LOCK_EX Lock = Vm->Binding->TableLock;
    BOOLEAN Dispatch = NDIS_TEST_SEND_AT_DISPATCH_LEVEL(SendFlags);
    ULONG CompleteFlags = Dispatch ? NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL : 0;
    MUX_BATCH Batch;
    TX_PASS Pass;

    UNREFERENCED_PARAMETER(PortNumber);
    while (NetBufferList != NULL)
    {
        LOCK_STATE_EX State;
        NDIS_STATUS Status;

        Pass.Vm = Vm;
        Pass.Batch = &Batch;
        Pass.Taken = 0;
        QueueInit(&Pass.Wire);
        QueueInit(&Pass.Done);
        NdisAcquireRWLockRead(Lock, &State, Dispatch ? NDIS_RWL_AT_DISPATCH_LEVEL : 0);
        Status = TxRefusal(Vm);
        if (MUX_UNLIKELY(Status != NDIS_STATUS_SUCCESS))
        {
            NdisReleaseRWLock(Lock, &State);
            TxRefuse(Vm, NetBufferList, Status, CompleteFlags);
            return;
        }
        BatchInit(&Batch);
        Pass.Counters = &Vm->Counters[Batch.Processor];
        NetBufferList = TxClassify(&Pass, NetBufferList);
        BatchSeal(&Batch);
        /* One more keeps Vm while the rest of the chain is still ours. */
        (VOID) InterlockedExchangeAdd64(&Vm->Out, (LONG64)(Pass.Taken + 1) * MUX_OUT_SEND);
        RundownAdd(&Vm->Binding->Sends, (LONG)Pass.Wire.Count);
        NdisReleaseRWLock(Lock, &State);
        TxDispatch(&Pass, Dispatch);
        TxComplete(Vm, &Pass.Done, CompleteFlags);
        VmOut(Vm, MUX_OUT_SEND);
    }
}

/*
 * MiniportCancelSend (IM-CAN-02, IM-CAN-03): held NBLs with that id are completed with
 * NDIS_STATUS_SEND_ABORTED, the rest is asked of the lower driver while the binding is kept open.
 */
VOID TxCancel(NDIS_HANDLE MiniportAdapterContext, PVOID CancelId)
{
    MUX_VM *Vm = (MUX_VM *)MiniportAdapterContext;
    MUX_BINDING *Binding = Vm->Binding;

    HoldAbort(Binding, Vm, CancelId, NDIS_STATUS_SEND_ABORTED);
    if (RundownEnter(&Binding->Requests, 1))
    {
        NdisCancelSendNetBufferLists(Binding->Handle, CancelId);
        RundownLeave(&Binding->Requests, 1);
    }
}
