/* SPDX-License-Identifier: MIT */
/*
 * The sink, which counts and returns, and the source, which keeps a window of NBLs going until its
 * count is reached. A job and its slots are guarded by the binding's lock.
 */
#include "pktio.h"

typedef struct _PKTIO_JOB PKTIO_JOB;

typedef struct _PKTIO_SLOT
{
    struct _PKTIO_SLOT *Next;
    PKTIO_JOB *Job;
    NET_BUFFER_LIST *Nbl;
    MDL *Mdl;
    UCHAR Data[];
} PKTIO_SLOT;

#define PKTIO_SLOT_OF(Nbl) (*(PKTIO_SLOT **)&(Nbl)->ProtocolReserved[0])

struct _PKTIO_JOB
{
    PKTIO_SLOT *Free;
    ULONG Out;
    PKTIO_SENT *Result;
    KEVENT Wake; /* set whenever slots come back */
};

/* Readers look at any time, so each number is written whole. */
static inline void Count64(volatile LONG64 *Counter, LONG64 Add)
{
    WriteNoFence64(Counter, *Counter + Add);
}

void NTAPI PktioReceive(NDIS_HANDLE BindingContext, NET_BUFFER_LIST *Chain, NDIS_PORT_NUMBER Port,
                        ULONG Count, ULONG Flags)
{
    PKTIO_ADAPTER *Binding = BindingContext;
    BOOLEAN Dispatch = (Flags & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL) != 0;
    LONG64 Frames = 0, Octets = 0;
    PKTIO_RECEIVED *Received;
    KIRQL Old = DISPATCH_LEVEL;

    for (NET_BUFFER_LIST *Nbl = Chain; Nbl; Nbl = Nbl->Next)
    {
        Frames++;
        Octets += Nbl->FirstNetBuffer->DataLength;
        if (Binding->KeepLast && !Nbl->Next)
        {
            NET_BUFFER *Nb = Nbl->FirstNetBuffer;
            ULONG Length = Nb->DataLength < PKTIO_LAST_SIZE ? Nb->DataLength : PKTIO_LAST_SIZE;
            UCHAR Room[PKTIO_LAST_SIZE];
            UCHAR *Data = NdisGetDataBuffer(Nb, Length, Room, 1, 0);
            KIRQL Irql;

            KeAcquireSpinLock(&Binding->Lock, &Irql);
            if (Data)
                RtlCopyMemory(Binding->Last, Data, Length);
            Binding->LastLength = Data ? Length : 0;
            KeReleaseSpinLock(&Binding->Lock, Irql);
        }
    }
    if (!Dispatch)
        KeRaiseIrql(DISPATCH_LEVEL, &Old);
    Received = &PKTIO_RECEIVED_OF(Binding)[KeGetCurrentProcessorIndex()];
    Count64(&Received->Frames, Frames);
    Count64(&Received->Octets, Octets);
    Count64(&Received->Indications, 1);
    if (Flags & NDIS_RECEIVE_FLAGS_RESOURCES)
        Count64(&Received->LowResources, 1);
    if (!Dispatch)
        KeLowerIrql(Old);
    if (Flags & NDIS_RECEIVE_FLAGS_RESOURCES)
        return;
    NdisReturnNetBufferLists(
        Binding->Handle, Chain,
        Flags & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL ? NDIS_RETURN_FLAGS_DISPATCH_LEVEL : 0);
}

void NTAPI PktioSendComplete(NDIS_HANDLE BindingContext, NET_BUFFER_LIST *Chain, ULONG Flags)
{
    PKTIO_ADAPTER *Binding = BindingContext;
    KIRQL Irql;

    KeAcquireSpinLock(&Binding->Lock, &Irql);
    for (NET_BUFFER_LIST *Next; Chain; Chain = Next)
    {
        PKTIO_SLOT *Slot = PKTIO_SLOT_OF(Chain);
        PKTIO_JOB *Job = Slot->Job;

        Next = Chain->Next;
        if (Chain->Status == NDIS_STATUS_SUCCESS)
        {
            Job->Result->Sent++;
            Binding->FramesSent++;
        }
        else
        {
            Job->Result->Failed++;
            Job->Result->LastFailure = Chain->Status;
            Binding->FramesFailed++;
        }
        Slot->Next = Job->Free;
        Job->Free = Slot;
        Job->Out--;
        Binding->SendsOut--;
        /* Under the lock, which the job's owner takes before it lets the job go. */
        KeSetEvent(&Job->Wake, IO_NO_INCREMENT, FALSE);
    }
    if (!Binding->SendsOut && Binding->State == PktioPausing)
        KeSetEvent(&Binding->Quiet, IO_NO_INCREMENT, FALSE);
    KeReleaseSpinLock(&Binding->Lock, Irql);
}

static void SlotFree(PKTIO_SLOT *Slot)
{
    NdisFreeNetBufferList(Slot->Nbl);
    NdisFreeMdl(Slot->Mdl);
    ExFreePoolWithTag(Slot, PKTIO_TAG);
}

static PKTIO_SLOT *SlotAllocate(PKTIO_ADAPTER *Binding, PKTIO_JOB *Job, const PKTIO_SEND *Send)
{
    PKTIO_SLOT *Slot = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Slot) + Send->Size, PKTIO_TAG);
    USHORT Type = Send->EtherType ? Send->EtherType : 0x88B5;
    static const UCHAR Zero[6];
    NDIS_NET_BUFFER_LIST_8021Q_INFO Tag = {0};

    if (!Slot)
        return NULL;
    RtlZeroMemory(Slot, sizeof(*Slot) + Send->Size);
    Slot->Mdl = NdisAllocateMdl(Pktio.Protocol, Slot->Data, Send->Size);
    if (!Slot->Mdl)
        goto FreeSlot;
    Slot->Nbl = NdisAllocateNetBufferAndNetBufferList(Pktio.Pool, 0, 0, Slot->Mdl, 0, Send->Size);
    if (!Slot->Nbl)
        goto FreeMdl;
    Slot->Job = Job;
    PKTIO_SLOT_OF(Slot->Nbl) = Slot;
    Slot->Nbl->SourceHandle = Binding->Handle;
    Tag.TagHeader.VlanId = Send->Vlan;
    Tag.TagHeader.UserPriority = Send->Priority;
    Slot->Nbl->NetBufferListInfo[Ieee8021QNetBufferListInfo] = Tag.Value;
    RtlCopyMemory(Slot->Data, Send->Destination, 6);
    RtlCopyMemory(Slot->Data + 6,
                  RtlCompareMemory(Send->Source, Zero, 6) == 6 ? Binding->Address : Send->Source,
                  6);
    Slot->Data[12] = (UCHAR)(Type >> 8);
    Slot->Data[13] = (UCHAR)Type;
    return Slot;

FreeMdl:
    NdisFreeMdl(Slot->Mdl);
FreeSlot:
    ExFreePoolWithTag(Slot, PKTIO_TAG);
    return NULL;
}

static void Number(PKTIO_SLOT *Slot, ULONG Size, ULONG64 N)
{
    for (ULONG I = PKTIO_HEADER; I < Size && I < PKTIO_HEADER + 8; I++, N >>= 8)
        Slot->Data[I] = (UCHAR)N;
}

/* Takes up to Want slots for one send, numbered from First. NULL with *Stop: the binding does not
 * run; NULL without: nothing is free. */
static NET_BUFFER_LIST *Take(PKTIO_ADAPTER *Binding, PKTIO_JOB *Job, const PKTIO_SEND *Send,
                             ULONG64 First, ULONG64 Want, ULONG *Taken, BOOLEAN *Stop)
{
    NET_BUFFER_LIST *Head = NULL, **Tail = &Head;
    KIRQL Irql;

    *Taken = 0;
    KeAcquireSpinLock(&Binding->Lock, &Irql);
    *Stop = Binding->State != PktioRunning;
    while (!*Stop && *Taken < Want && Job->Free)
    {
        PKTIO_SLOT *Slot = Job->Free;

        Job->Free = Slot->Next;
        Number(Slot, Send->Size, First + *Taken);
        Slot->Nbl->Status = NDIS_STATUS_SUCCESS;
        *Tail = Slot->Nbl;
        Tail = &Slot->Nbl->Next;
        ++*Taken;
    }
    *Tail = NULL;
    Job->Out += *Taken;
    Binding->SendsOut += *Taken;
    if (!Job->Free)
        KeClearEvent(&Job->Wake);
    KeReleaseSpinLock(&Binding->Lock, Irql);
    return Head;
}

/* Waits until every NBL of the job is back. */
static void Drain(PKTIO_ADAPTER *Binding, PKTIO_JOB *Job)
{
    for (;;)
    {
        ULONG Out;
        KIRQL Irql;

        KeAcquireSpinLock(&Binding->Lock, &Irql);
        Out = Job->Out;
        KeClearEvent(&Job->Wake);
        KeReleaseSpinLock(&Binding->Lock, Irql);
        if (!Out)
            return;
        KeWaitForSingleObject(&Job->Wake, Executive, KernelMode, FALSE, NULL);
    }
}

NTSTATUS DataSend(PKTIO_ADAPTER *Binding, const PKTIO_SEND *Send, PKTIO_SENT *Sent)
{
    PKTIO_JOB Job = {.Result = Sent};
    ULONG Batch = Send->Batch ? Send->Batch : 32, Taken;
    ULONG64 Done = 0;
    NTSTATUS Status = STATUS_SUCCESS;
    BOOLEAN Stop = FALSE;

    RtlZeroMemory(Sent, sizeof(*Sent));
    if (Batch > PKTIO_MAX_BATCH || Send->Size < PKTIO_HEADER ||
        Send->Size > Binding->Mtu + PKTIO_HEADER || Send->Vlan > 4094 || Send->Priority > 7)
        return STATUS_INVALID_PARAMETER;
    KeInitializeEvent(&Job.Wake, NotificationEvent, FALSE);
    for (ULONG I = 0; I < 2 * Batch && I < Send->Count; I++)
    {
        PKTIO_SLOT *Slot = SlotAllocate(Binding, &Job, Send);

        if (!Slot)
        {
            Status = STATUS_INSUFFICIENT_RESOURCES;
            goto FreeSlots;
        }
        Slot->Next = Job.Free;
        Job.Free = Slot;
    }
    while (Done < Send->Count && !Stop)
    {
        ULONG64 Left = Send->Count - Done;
        NET_BUFFER_LIST *Chain =
            Take(Binding, &Job, Send, Done, Left < Batch ? Left : Batch, &Taken, &Stop);

        Done += Taken;
        if (Chain)
            NdisSendNetBufferLists(Binding->Handle, Chain, NDIS_DEFAULT_PORT_NUMBER, 0);
        else if (!Stop)
            KeWaitForSingleObject(&Job.Wake, Executive, KernelMode, FALSE, NULL);
    }
    Drain(Binding, &Job);
    if (Stop)
        Status = STATUS_DEVICE_NOT_READY;

FreeSlots:
    while (Job.Free)
    {
        PKTIO_SLOT *Next = Job.Free->Next;

        SlotFree(Job.Free);
        Job.Free = Next;
    }
    return Status;
}
