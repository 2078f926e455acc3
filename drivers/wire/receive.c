/* SPDX-License-Identifier: MIT */
/*
 * The receiving half of a port: copies of frames in a queue, a DPC that indicates them, and their
 * way back. Owns Port.Queue, Port.Free and the rule when a pause is done. <= DISPATCH_LEVEL.
 */
#include "wire.h"

WIRE_SLOT *SlotAllocate(WIRE_PORT *Port, ULONG Size)
{
    WIRE_SLOT *Slot = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Slot) + Size, WIRE_TAG);

    if (!Slot)
        return NULL;
    RtlZeroMemory(Slot, sizeof(*Slot));
    Slot->Size = Size;
    Slot->Mdl = NdisAllocateMdl(Port->Handle, Slot->Data, Size);
    if (!Slot->Mdl)
        goto FreeSlot;
    Slot->Nbl = NdisAllocateNetBufferAndNetBufferList(Port->Pool, 0, 0, Slot->Mdl, 0, 0);
    if (!Slot->Nbl)
        goto FreeMdl;
    Slot->Nbl->SourceHandle = Port->Handle;
    WIRE_SLOT_OF(Slot->Nbl) = Slot;
    return Slot;

FreeMdl:
    NdisFreeMdl(Slot->Mdl);
FreeSlot:
    ExFreePoolWithTag(Slot, WIRE_TAG);
    return NULL;
}

void SlotFree(WIRE_SLOT *Slot)
{
    NdisFreeNetBufferList(Slot->Nbl);
    NdisFreeMdl(Slot->Mdl);
    ExFreePoolWithTag(Slot, WIRE_TAG);
}

BOOLEAN PortPauseIsDone(WIRE_PORT *Port)
{
    if (!Port->PausePending || Port->Active || Port->Indicated)
        return FALSE;
    Port->PausePending = FALSE;
    Port->State = WirePaused;
    return TRUE;
}

ULONG WireKind(const UCHAR *A)
{
    if (!(A[0] & 1))
        return 0;
    return (A[0] & A[1] & A[2] & A[3] & A[4] & A[5]) == 0xFF ? 2 : 1;
}

/* The card's own filter (OID_GEN_CURRENT_PACKET_FILTER). Port.Lock held. */
static BOOLEAN Accepts(WIRE_PORT *Port, const UCHAR *Destination)
{
    ULONG Filter = Port->PacketFilter;

    if (Filter & NDIS_PACKET_TYPE_PROMISCUOUS)
        return TRUE;
    switch (WireKind(Destination))
    {
    case 0:
        return (Filter & NDIS_PACKET_TYPE_DIRECTED) &&
               RtlCompareMemory(Destination, Port->CurrentAddress, 6) == 6;
    case 2:
        return (Filter & NDIS_PACKET_TYPE_BROADCAST) != 0;
    default:
        if (Filter & NDIS_PACKET_TYPE_ALL_MULTICAST)
            return TRUE;
        if (!(Filter & NDIS_PACKET_TYPE_MULTICAST))
            return FALSE;
        for (ULONG I = 0; I < Port->MulticastCount; I++)
            if (RtlCompareMemory(Destination, Port->Multicast[I], 6) == 6)
                return TRUE;
        return FALSE;
    }
}

/* A slot of at least Size octets, from the free list if the first one fits. */
static WIRE_SLOT *SlotGet(WIRE_PORT *Port, ULONG Size)
{
    WIRE_SLOT *Slot = NULL;
    ULONG Usual = Port->Mtu + WIRE_HEADER + WIRE_VLAN;
    KIRQL Irql;

    if (Size > Usual)
        return SlotAllocate(Port, Size);
    KeAcquireSpinLock(&Port->Lock, &Irql);
    if (Port->Free)
    {
        Slot = Port->Free;
        Port->Free = Slot->Next;
        Port->FreeCount--;
    }
    KeReleaseSpinLock(&Port->Lock, Irql);
    return Slot ? Slot : SlotAllocate(Port, Usual);
}

/* What the sender asked its card to do was not done: nobody on this wire can corrupt a frame, so
 * the receiver is told that the checksums are good and how many segments a large send stands for.
 */
static void CarryOffloads(NET_BUFFER_LIST *To, NET_BUFFER_LIST *From, const UCHAR *Data,
                          ULONG Length)
{
    NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO Send, Receive = {0};
    NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO Lso;
    NDIS_RSC_NBL_INFO Rsc = {0};

    Send.Value = From->NetBufferListInfo[TcpIpChecksumNetBufferListInfo];
    Lso.Value = From->NetBufferListInfo[TcpLargeSendNetBufferListInfo];
    Receive.Receive.TcpChecksumSucceeded = Send.Transmit.TcpChecksum;
    Receive.Receive.UdpChecksumSucceeded = Send.Transmit.UdpChecksum;
    Receive.Receive.IpChecksumSucceeded = Send.Transmit.IpHeaderChecksum;
    if (Lso.LsoV2Transmit.MSS)
    {
        ULONG Header = Lso.LsoV2Transmit.TcpHeaderOffset;

        if (Header + 20 <= Length)
        {
            Header += (Data[Header + 12] >> 4) * 4u;
            if (Header < Length)
                Rsc.Info.CoalescedSegCount =
                    (USHORT)((Length - Header + Lso.LsoV2Transmit.MSS - 1) / Lso.LsoV2Transmit.MSS);
        }
        Receive.Receive.TcpChecksumSucceeded = 1;
        Receive.Receive.IpChecksumSucceeded =
            Lso.LsoV2Transmit.IPVersion == NDIS_TCP_LARGE_SEND_OFFLOAD_IPv4;
    }
    To->NetBufferListInfo[TcpIpChecksumNetBufferListInfo] = Receive.Value;
    To->NetBufferListInfo[TcpRecvSegCoalesceInfo] = Rsc.Value;
}

/* Makes the slot's NBL describe Length octets from the start, as if freshly allocated. */
static void SlotReset(WIRE_SLOT *Slot, ULONG Length)
{
    NET_BUFFER *Nb = Slot->Nbl->FirstNetBuffer;

    Nb->CurrentMdl = Nb->MdlChain = Slot->Mdl;
    Nb->CurrentMdlOffset = Nb->DataOffset = 0;
    Nb->DataLength = Length;
    Slot->Nbl->Next = NULL;
    Slot->Nbl->Status = NDIS_STATUS_SUCCESS;
    RtlZeroMemory(Slot->Nbl->NetBufferListInfo, sizeof(Slot->Nbl->NetBufferListInfo));
}

static void Discard(WIRE_PORT *Port)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Port->Lock, &Irql);
    Port->In.Discards++;
    KeReleaseSpinLock(&Port->Lock, Irql);
}

/* Gives a slot back when the frame does not go up. */
static void SlotPut(WIRE_PORT *Port, WIRE_SLOT *Slot)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Port->Lock, &Irql);
    if (Port->FreeCount < WIRE_MAX_FREE && Slot->Size == Port->Mtu + WIRE_HEADER + WIRE_VLAN)
    {
        Slot->Next = Port->Free;
        Port->Free = Slot;
        Port->FreeCount++;
        Slot = NULL;
    }
    KeReleaseSpinLock(&Port->Lock, Irql);
    if (Slot)
        SlotFree(Slot);
}

/* Copies the used data of an NB. FALSE: the MDL chain is shorter than it says. */
static BOOLEAN CopyFrame(UCHAR *To, NET_BUFFER *Nb)
{
    ULONG Left = Nb->DataLength, Offset = Nb->CurrentMdlOffset;

    for (MDL *Mdl = Nb->CurrentMdl; Left && Mdl; Mdl = Mdl->Next)
    {
        UCHAR *From = MmGetSystemAddressForMdlSafe(Mdl, LowPagePriority | MdlMappingNoExecute);
        ULONG Size = MmGetMdlByteCount(Mdl);

        if (!From || Offset > Size)
            return FALSE;
        Size -= Offset;
        if (Size > Left)
            Size = Left;
        RtlCopyMemory(To, From + Offset, Size);
        To += Size;
        Left -= Size;
        Offset = 0;
    }
    return Left == 0;
}

void ReceiveEnqueue(WIRE_PORT *Port, WIRE_PORT *From, NET_BUFFER_LIST *Nbl, NET_BUFFER *Nb)
{
    UCHAR Destination[6];
    UCHAR *Start;
    WIRE_SLOT *Slot;
    BOOLEAN Wanted, Queue = FALSE;
    ULONG Limit = Port->Mtu + WIRE_HEADER + WIRE_VLAN;
    KIRQL Irql;

    Start = NdisGetDataBuffer(Nb, 6, Destination, 1, 0);
    if (!Start || Nb->DataLength < WIRE_HEADER)
        return;
    KeAcquireSpinLock(&Port->Lock, &Irql);
    Wanted = Port->State == WireRunning && Accepts(Port, Start);
    KeReleaseSpinLock(&Port->Lock, Irql);
    if (!Wanted)
        return;
    if (Nb->DataLength > (Port->Offload ? WIRE_LARGE + WIRE_HEADER + WIRE_VLAN : Limit) ||
        !(Slot = SlotGet(Port, Nb->DataLength)))
    {
        Discard(Port);
        return;
    }
    SlotReset(Slot, Nb->DataLength);
    if (!CopyFrame(Slot->Data, Nb))
    {
        SlotPut(Port, Slot);
        Discard(Port);
        return;
    }
    Slot->Nbl->NetBufferListInfo[Ieee8021QNetBufferListInfo] =
        Nbl->NetBufferListInfo[Ieee8021QNetBufferListInfo];
    if (From->Offload)
        CarryOffloads(Slot->Nbl, Nbl, Slot->Data, Nb->DataLength);

    KeAcquireSpinLock(&Port->Lock, &Irql);
    if (Port->State == WireRunning && Port->Queued < WIRE_MAX_QUEUE)
    {
        ULONG Kind = WireKind(Slot->Data);

        *Port->QueueTail = Slot->Nbl;
        Port->QueueTail = &Slot->Nbl->Next;
        Port->Queued++;
        Port->In.Frames[Kind]++;
        Port->In.Octets[Kind] += Nb->DataLength;
        Queue = !Port->DpcQueued;
        if (Queue)
        {
            Port->DpcQueued = TRUE;
            Port->Active++; /* the DPC's */
        }
        Slot = NULL;
    }
    else if (Port->State == WireRunning)
    {
        Port->In.Discards++;
    }
    KeReleaseSpinLock(&Port->Lock, Irql);
    if (Slot)
        SlotPut(Port, Slot);
    if (Queue)
        KeInsertQueueDpc(&Port->Dpc, NULL, NULL);
}

/* Takes up to WIRE_DPC_BATCH NBLs off the queue and counts them as indicated. */
static NET_BUFFER_LIST *TakeBatch(WIRE_PORT *Port, ULONG *Count)
{
    NET_BUFFER_LIST *Head = Port->QueueHead, **End = &Head;
    ULONG N = 0;

    while (*End && N < WIRE_DPC_BATCH)
    {
        End = &(*End)->Next;
        N++;
    }
    Port->QueueHead = *End;
    if (!Port->QueueHead)
        Port->QueueTail = &Port->QueueHead;
    *End = NULL;
    Port->Queued -= N;
    Port->Indicated += (LONG)N;
    *Count = N;
    return Head;
}

void NTAPI ReceiveDpc(KDPC *Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    WIRE_PORT *Port = Context;
    NET_BUFFER_LIST *Batch = NULL;
    ULONG Count = 0;
    BOOLEAN Again = FALSE, Paused;

    KeAcquireSpinLockAtDpcLevel(&Port->Lock);
    if (Port->State == WireRunning)
        Batch = TakeBatch(Port, &Count);
    KeReleaseSpinLockFromDpcLevel(&Port->Lock);

    if (Batch)
        NdisMIndicateReceiveNetBufferLists(Port->Handle, Batch, NDIS_DEFAULT_PORT_NUMBER, Count,
                                           NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL);

    KeAcquireSpinLockAtDpcLevel(&Port->Lock);
    Again = Port->State == WireRunning && Port->QueueHead;
    if (!Again)
    {
        Port->DpcQueued = FALSE;
        Port->Active--;
    }
    Paused = PortPauseIsDone(Port);
    KeReleaseSpinLockFromDpcLevel(&Port->Lock);
    /* Another round as a DPC of its own, so that others on this processor get theirs. */
    if (Again)
        KeInsertQueueDpc(&Port->Dpc, NULL, NULL);
    if (Paused)
        NdisMPauseComplete(Port->Handle);
}

void ReceiveDiscard(WIRE_PORT *Port, NET_BUFFER_LIST *Chain)
{
    while (Chain)
    {
        NET_BUFFER_LIST *Next = Chain->Next;

        SlotFree(WIRE_SLOT_OF(Chain));
        Chain = Next;
    }
}

void NTAPI WireReturn(NDIS_HANDLE Context, NET_BUFFER_LIST *Chain, ULONG Flags)
{
    WIRE_PORT *Port = Context;
    WIRE_SLOT *Surplus = NULL, *First = NULL, *Last = NULL;
    ULONG Count = 0, Generated = 0, SurplusCount = 0;
    ULONG Usual = Port->Mtu + WIRE_HEADER + WIRE_VLAN;
    BOOLEAN Paused, Kick = FALSE;
    KIRQL Irql;

    KeAcquireSpinLock(&Port->Lock, &Irql);
    for (NET_BUFFER_LIST *Next; Chain; Chain = Next, Count++)
    {
        WIRE_SLOT *Slot = WIRE_SLOT_OF(Chain);

        Next = Chain->Next;
        if (Chain->MiniportReserved[1])
        {
            Slot->Next = First;
            First = Slot;
            Last = Last ? Last : Slot;
            Generated++;
        }
        else if (Port->FreeCount < WIRE_MAX_FREE && Slot->Size == Usual)
        {
            Slot->Next = Port->Free;
            Port->Free = Slot;
            Port->FreeCount++;
        }
        else
        {
            Slot->Next = Surplus;
            Surplus = Slot;
            SurplusCount++;
        }
    }
    if (Generated)
        Kick = GeneratorReturned(Port, First, Last, Generated);
    Port->Indicated -= (LONG)(Count - SurplusCount);
    Paused = PortPauseIsDone(Port);
    KeReleaseSpinLock(&Port->Lock, Irql);

    /* Once the count lets a pause end, the port may go: what is still to be freed stays counted. */
    if (Surplus)
    {
        while (Surplus)
        {
            WIRE_SLOT *Next = Surplus->Next;

            SlotFree(Surplus);
            Surplus = Next;
        }
        KeAcquireSpinLock(&Port->Lock, &Irql);
        Port->Indicated -= (LONG)SurplusCount;
        Paused = PortPauseIsDone(Port);
        KeReleaseSpinLock(&Port->Lock, Irql);
    }
    if (Kick)
        KeInsertQueueDpc(&Port->Generator.Dpc, NULL, NULL);
    if (Paused)
        NdisMPauseComplete(Port->Handle);
}
