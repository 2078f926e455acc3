/* SPDX-License-Identifier: MIT */
/*
 * Sends. Owns the lanes (af.h has their states). Whoever finds a lane idle sends for it until it is
 * empty, others only queue: order holds, and no lock is held over a system call. Runs at
 * DISPATCH_LEVEL inside.
 */
#include "af.h"

/* NBLs that are done, in order. */
typedef struct _AFP_DONE
{
    NET_BUFFER_LIST *Head, **Tail;
} AFP_DONE;

static void DoneInit(AFP_DONE *Done)
{
    Done->Head = NULL;
    Done->Tail = &Done->Head;
}

/* A large send is answered with its type and nothing else (LsoV2TransmitComplete). */
static void DoneAdd(AFP_DONE *Done, NET_BUFFER_LIST *Nbl)
{
    NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO Lso;

    Lso.Value = Nbl->NetBufferListInfo[TcpLargeSendNetBufferListInfo];
    if (Lso.LsoV2Transmit.MSS && Lso.LsoV2Transmit.Type == NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE)
    {
        Lso.Value = NULL;
        Lso.LsoV2TransmitComplete.Type = NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE;
        Nbl->NetBufferListInfo[TcpLargeSendNetBufferListInfo] = Lso.Value;
    }
    Nbl->Next = NULL;
    *Done->Tail = Nbl;
    Done->Tail = &Nbl->Next;
}

static void DoneComplete(AFP_ADAPTER *Adapter, AFP_DONE *Done)
{
    if (Done->Head)
        NdisMSendNetBufferListsComplete(Adapter->Handle, Done->Head,
                                        NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL);
    DoneInit(Done);
}

/* ---- life ---- */

NDIS_STATUS SendInit(AFP_ADAPTER *Adapter)
{
    ULONG Count = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);

    Count = Count < AFP_MAX_LANES ? Count : AFP_MAX_LANES;
    Adapter->Lanes = ExAllocatePool2(POOL_FLAG_NON_PAGED, Count * sizeof(AFP_LANE), AFP_TAG);
    if (!Adapter->Lanes)
        return NDIS_STATUS_RESOURCES;
    Adapter->LaneCount = Count;
    for (ULONG I = 0; I < Count; I++)
    {
        AFP_LANE *Lane = &Adapter->Lanes[I];

        KeInitializeSpinLock(&Lane->Lock);
        Lane->Adapter = Adapter;
        Lane->Stopped = TRUE;
        Lane->Tail = &Lane->Head;
    }
    return NDIS_STATUS_SUCCESS;
}

void SendFree(AFP_ADAPTER *Adapter)
{
    if (Adapter->Lanes)
        ExFreePoolWithTag(Adapter->Lanes, AFP_TAG);
}

void SendStart(AFP_ADAPTER *Adapter)
{
    for (ULONG I = 0; I < Adapter->LaneCount; I++)
    {
        KIRQL Irql;

        KeAcquireSpinLock(&Adapter->Lanes[I].Lock, &Irql);
        Adapter->Lanes[I].Stopped = FALSE;
        KeReleaseSpinLock(&Adapter->Lanes[I].Lock, Irql);
    }
}

/* ---- laying out ---- */

static void MessageEnd(AFP_MESSAGE *M)
{
    if (M->Copy)
        ExFreePoolWithTag(M->Copy, AFP_TAG);
    M->Copy = NULL;
}

/* Takes the next NBL off the queue. Lane.Lock is taken inside. */
static NET_BUFFER_LIST *NextNbl(AFP_LANE *Lane)
{
    NET_BUFFER_LIST *Nbl;

    KeAcquireSpinLockAtDpcLevel(&Lane->Lock);
    Nbl = Lane->Stopped ? NULL : Lane->Head;
    if (Nbl)
    {
        Lane->Head = Nbl->Next;
        if (!Lane->Head)
            Lane->Tail = &Lane->Head;
        Lane->Queued--;
    }
    KeReleaseSpinLockFromDpcLevel(&Lane->Lock);
    return Nbl;
}

/* Lays out messages until there are AF_BATCH or nothing waits. A frame that cannot go fails its
 * NBL, which is then done with its last frame. */
static void LayOut(AFP_LANE *Lane, AFP_DONE *Done, AFP_COUNTERS *Out)
{
    Lane->Count = Lane->Next = 0;
    while (Lane->Count < AF_BATCH)
    {
        NET_BUFFER *Nb = Lane->Nb;
        AFP_MESSAGE *M = &Lane->Message[Lane->Count];
        NDIS_STATUS Status;

        if (!Lane->Nbl)
        {
            Lane->Nbl = NextNbl(Lane);
            if (!Lane->Nbl)
                return;
            Lane->Nbl->Status = NDIS_STATUS_SUCCESS;
            Nb = Lane->Nbl->FirstNetBuffer;
        }
        Status =
            Nb ? LayoutFrame(M, &Lane->Tx[Lane->Count], Lane->Nbl, Nb) : NDIS_STATUS_INVALID_LENGTH;
        Lane->Nb = Nb ? Nb->Next : NULL;
        if (Status == NDIS_STATUS_SUCCESS)
        {
            M->Done = Lane->Nb ? NULL : Lane->Nbl;
            Lane->Count++;
        }
        else
        {
            if (Nb)
                MessageEnd(M);
            Lane->Nbl->Status = Status;
            Out->Errors++;
            if (!Lane->Nb)
            {
                /* Messages before it may still refer to its frames: it is done after them. */
                if (Lane->Count && !Lane->Message[Lane->Count - 1].Done &&
                    Nb != Lane->Nbl->FirstNetBuffer)
                    Lane->Message[Lane->Count - 1].Done = Lane->Nbl;
                else
                    DoneAdd(Done, Lane->Nbl);
            }
        }
        if (!Lane->Nb)
            Lane->Nbl = NULL;
    }
}

/* ---- sending ---- */

static void Sent(AFP_LANE *Lane, AFP_DONE *Done, AFP_COUNTERS *Out, NDIS_STATUS Status)
{
    AFP_MESSAGE *M = &Lane->Message[Lane->Next++];

    if (Status == NDIS_STATUS_SUCCESS)
    {
        Out->Frames[M->Kind]++;
        Out->Octets[M->Kind] += M->Length;
    }
    MessageEnd(M);
    if (M->Done)
        DoneAdd(Done, M->Done);
}

/* The first message was refused. What the wire would have lost counts as sent to NDIS and as a
 * discard here; what cannot be a frame of this interface fails its NBL. */
static void Refused(AFP_LANE *Lane, int Error, AFP_DONE *Done, AFP_COUNTERS *Out)
{
    AFP_MESSAGE *M = &Lane->Message[Lane->Next];

    if (Error == AF_ENOBUFS || Error == AF_ENETDOWN)
    {
        Out->Discards++;
    }
    else
    {
        Out->Errors++;
        if (M->Done)
            M->Done->Status =
                Error == AF_EMSGSIZE ? NDIS_STATUS_INVALID_LENGTH : NDIS_STATUS_FAILURE;
    }
    Sent(Lane, Done, Out, NDIS_STATUS_FAILURE);
}

/* Sends what is laid out. FALSE: the kernel is full and the rest stays. */
static BOOLEAN Push(AFP_LANE *Lane, AFP_DONE *Done, AFP_COUNTERS *Out)
{
    while (Lane->Next < Lane->Count)
    {
        int N =
            AfHostSend(Lane->Adapter->Host, &Lane->Tx[Lane->Next], (int)(Lane->Count - Lane->Next));

        if (N == AF_EAGAIN)
            return FALSE;
        if (N < 0)
            Refused(Lane, N, Done, Out);
        for (; N > 0; N--)
            Sent(Lane, Done, Out, NDIS_STATUS_SUCCESS);
    }
    return TRUE;
}

static void AddCounters(AFP_COUNTERS *To, AFP_COUNTERS *From)
{
    for (ULONG I = 0; I < 3; I++)
    {
        To->Frames[I] += From->Frames[I];
        To->Octets[I] += From->Octets[I];
    }
    To->Errors += From->Errors;
    To->Discards += From->Discards;
    RtlZeroMemory(From, sizeof(*From));
}

/* Ends everything that the lane still has. By the one who is Busy. */
static void Flush(AFP_LANE *Lane, AFP_DONE *Done, NET_BUFFER_LIST *Waiting)
{
    for (; Lane->Next < Lane->Count; Lane->Next++)
    {
        AFP_MESSAGE *M = &Lane->Message[Lane->Next];

        MessageEnd(M);
        if (M->Done)
        {
            M->Done->Status = NDIS_STATUS_PAUSED;
            DoneAdd(Done, M->Done);
        }
    }
    if (Lane->Nbl)
    {
        Lane->Nbl->Status = NDIS_STATUS_PAUSED;
        DoneAdd(Done, Lane->Nbl);
    }
    Lane->Nbl = NULL;
    Lane->Nb = NULL;
    for (NET_BUFFER_LIST *Next; Waiting; Waiting = Next)
    {
        Next = Waiting->Next;
        Waiting->Status = NDIS_STATUS_PAUSED;
        DoneAdd(Done, Waiting);
    }
}

typedef enum _AFP_NEXT
{
    NextGoOn,
    NextFlush,
    NextIdle
} AFP_NEXT;

/* What the one who is Busy does next. With NextFlush *Waiting is the queue, taken. */
static AFP_NEXT Decide(AFP_LANE *Lane, BOOLEAN Full, AFP_COUNTERS *Out, NET_BUFFER_LIST **Waiting)
{
    AFP_NEXT Next = NextGoOn;

    KeAcquireSpinLockAtDpcLevel(&Lane->Lock);
    AddCounters(&Lane->Out, Out);
    if (Lane->Stopped && (Lane->Head || Lane->Nbl || Lane->Next < Lane->Count))
    {
        *Waiting = Lane->Head;
        Lane->Head = NULL;
        Lane->Tail = &Lane->Head;
        Lane->Queued = 0;
        Next = NextFlush;
    }
    else if (Full || (!Lane->Head && !Lane->Nbl))
    {
        Lane->Blocked = Full;
        Lane->Busy = FALSE;
        Next = NextIdle;
    }
    KeReleaseSpinLockFromDpcLevel(&Lane->Lock);
    return Next;
}

/* Sends for the lane until it is empty or the kernel is full. The caller made it Busy and has
 * entered the adapter. DISPATCH_LEVEL. */
static void Transmit(AFP_LANE *Lane)
{
    AFP_ADAPTER *Adapter = Lane->Adapter;
    AFP_COUNTERS Out = {0};
    AFP_DONE Done;
    AFP_NEXT Next = NextGoOn;

    DoneInit(&Done);
    while (Next != NextIdle)
    {
        NET_BUFFER_LIST *Waiting = NULL;
        BOOLEAN Full;

        if (Lane->Next == Lane->Count)
            LayOut(Lane, &Done, &Out);
        Full = !Push(Lane, &Done, &Out);
        DoneComplete(Adapter, &Done);
        Next = Decide(Lane, Full, &Out, &Waiting);
        if (Next == NextFlush)
        {
            Flush(Lane, &Done, Waiting);
            DoneComplete(Adapter, &Done);
        }
        else if (Next == NextIdle && Full)
        {
            KeAcquireSpinLockAtDpcLevel(&Adapter->Lock);
            Adapter->WantWrite = TRUE;
            AdapterSetEvents(Adapter);
            KeReleaseSpinLockFromDpcLevel(&Adapter->Lock);
        }
    }
}

/* Makes an idle lane Busy if it has anything to do. */
static BOOLEAN Claim(AFP_LANE *Lane, BOOLEAN Unblock)
{
    BOOLEAN Mine;

    KeAcquireSpinLockAtDpcLevel(&Lane->Lock);
    if (Unblock)
        Lane->Blocked = FALSE;
    Mine = !Lane->Busy && !Lane->Blocked && (Lane->Head || Lane->Nbl || Lane->Next < Lane->Count);
    if (Mine)
        Lane->Busy = TRUE;
    KeReleaseSpinLockFromDpcLevel(&Lane->Lock);
    return Mine;
}

void SendUnblock(AFP_ADAPTER *Adapter)
{
    KeAcquireSpinLockAtDpcLevel(&Adapter->Lock);
    Adapter->WantWrite = FALSE;
    AdapterSetEvents(Adapter);
    KeReleaseSpinLockFromDpcLevel(&Adapter->Lock);
    for (ULONG I = 0; I < Adapter->LaneCount; I++)
        if (Claim(&Adapter->Lanes[I], TRUE))
            Transmit(&Adapter->Lanes[I]);
}

void SendStop(AFP_ADAPTER *Adapter)
{
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    for (ULONG I = 0; I < Adapter->LaneCount; I++)
    {
        AFP_LANE *Lane = &Adapter->Lanes[I];

        KeAcquireSpinLockAtDpcLevel(&Lane->Lock);
        Lane->Stopped = TRUE;
        KeReleaseSpinLockFromDpcLevel(&Lane->Lock);
        if (Claim(Lane, TRUE))
            Transmit(Lane);
    }
    KeAcquireSpinLockAtDpcLevel(&Adapter->Lock);
    Adapter->WantWrite = FALSE;
    AdapterSetEvents(Adapter);
    KeReleaseSpinLockFromDpcLevel(&Adapter->Lock);
    KeLowerIrql(Irql);
}

/* Appends as much of the chain as the lane takes; the rest goes to Done. TRUE: the lane was idle
 * and is now the caller's to send for. */
static BOOLEAN Append(AFP_LANE *Lane, NET_BUFFER_LIST *Chain, AFP_DONE *Done)
{
    BOOLEAN Mine = FALSE;

    KeAcquireSpinLockAtDpcLevel(&Lane->Lock);
    for (NET_BUFFER_LIST *Next; Chain; Chain = Next)
    {
        Next = Chain->Next;
        if (Lane->Stopped || (Lane->Blocked && Lane->Queued >= AFP_MAX_QUEUE))
        {
            Chain->Status = Lane->Stopped ? NDIS_STATUS_PAUSED : NDIS_STATUS_RESOURCES;
            DoneAdd(Done, Chain);
            continue;
        }
        Chain->Next = NULL;
        *Lane->Tail = Chain;
        Lane->Tail = &Chain->Next;
        Lane->Queued++;
    }
    if (Lane->Head && !Lane->Busy && !Lane->Blocked)
        Mine = Lane->Busy = TRUE;
    KeReleaseSpinLockFromDpcLevel(&Lane->Lock);
    return Mine;
}

void NTAPI AfpSend(NDIS_HANDLE Context, NET_BUFFER_LIST *Chain, NDIS_PORT_NUMBER Port,
                   ULONG SendFlags)
{
    AFP_ADAPTER *Adapter = Context;
    BOOLEAN AtDispatch = (SendFlags & NDIS_SEND_FLAGS_DISPATCH_LEVEL) != 0;
    AFP_DONE Done;
    AFP_LANE *Lane;
    KIRQL Irql = DISPATCH_LEVEL;

    DoneInit(&Done);
    AdapterEnter(Adapter);
    if (!AtDispatch)
        KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Lane = &Adapter->Lanes[KeGetCurrentProcessorNumberEx(NULL) % Adapter->LaneCount];
    if (Append(Lane, Chain, &Done))
        Transmit(Lane);
    DoneComplete(Adapter, &Done);
    if (!AtDispatch)
        KeLowerIrql(Irql);
    AdapterLeave(Adapter);
}

/* What waits in a lane and carries the id ends with SEND_ABORTED (IM-CAN-02); what is laid out is
 * as good as sent. */
void NTAPI AfpCancelSend(NDIS_HANDLE Context, PVOID CancelId)
{
    AFP_ADAPTER *Adapter = Context;
    AFP_DONE Done;
    KIRQL Irql;

    DoneInit(&Done);
    AdapterEnter(Adapter);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    for (ULONG I = 0; I < Adapter->LaneCount; I++)
    {
        AFP_LANE *Lane = &Adapter->Lanes[I];
        NET_BUFFER_LIST **At = &Lane->Head;

        KeAcquireSpinLockAtDpcLevel(&Lane->Lock);
        while (*At)
        {
            NET_BUFFER_LIST *Nbl = *At;

            if (NDIS_GET_NET_BUFFER_LIST_CANCEL_ID(Nbl) != CancelId)
            {
                At = &Nbl->Next;
                continue;
            }
            *At = Nbl->Next;
            Lane->Queued--;
            Nbl->Status = NDIS_STATUS_SEND_ABORTED;
            DoneAdd(&Done, Nbl);
        }
        Lane->Tail = At;
        KeReleaseSpinLockFromDpcLevel(&Lane->Lock);
    }
    DoneComplete(Adapter, &Done);
    KeLowerIrql(Irql);
    AdapterLeave(Adapter);
}
