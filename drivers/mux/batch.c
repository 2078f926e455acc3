/* SPDX-License-Identifier: MIT */
/*
 * Frames of one batch, grouped by the virtual miniport that gets them: one chain and one indication
 * each, in the order of arrival. A batch lives on the stack of whoever classifies; the buckets are
 * filled under the read side of TableLock and delivered after it has been released. <=
 * DISPATCH_LEVEL.
 */
#include "path.h"

MUX_HERE MuxHere[MUX_HERE_PROCESSORS];

/* Makes an empty batch; the buckets themselves are written when used. DISPATCH_LEVEL, TableLock
 * held. */
VOID BatchInit(MUX_BATCH *Batch)
{
    NdisZeroMemory(Batch->Index, sizeof(Batch->Index));
    Batch->Processor = StatsIndex();
    Batch->Used = 0;
    Batch->LastVm = NULL;
    Batch->Last = NULL;
    Batch->Full = FALSE;
    Batch->Current = NULL;
    QueueInit(&Batch->Spill);
    QueueInit(&Batch->Done);
}

/* The bucket of Vm, made if there is room; NULL and Full if not. TableLock held for read. */
MUX_BUCKET *BatchBucket(MUX_BATCH *Batch, MUX_VM *Vm)
{
    ULONG At = Vm->Ordinal & (MUX_BUCKET_HASH - 1);
    MUX_BUCKET *Bucket;

    for (; Batch->Index[At] != 0; At = (At + 1) & (MUX_BUCKET_HASH - 1))
    {
        Bucket = &Batch->Bucket[Batch->Index[At] - 1];
        if (Bucket->Vm == Vm)
        {
            goto found;
        }
    }
    if (Batch->Used == MUX_BUCKETS)
    {
        Batch->Full = TRUE;
        return NULL;
    }
    Bucket = &Batch->Bucket[Batch->Used++];
    Batch->Index[At] = (UCHAR)Batch->Used;
    Bucket->Vm = Vm;
    Bucket->Head = NULL;
    Bucket->Tail = &Bucket->Head;
    Bucket->Count = 0;
    Bucket->Others = 0;
    Bucket->Bytes = 0;
    MuxPrefetch(&Vm->Counters[Batch->Processor]);
    MuxPrefetch(Vm->Handle); /* NDIS reads what it points to */
found:
    Batch->LastVm = Vm;
    Batch->Last = Bucket;
    return Bucket;
}

/*
 * Adds a child for Vm. With every bucket taken it goes to the spill list, which is delivered after
 * the buckets: order per virtual miniport holds because a full batch takes no further frame.
 * TableLock held.
 */
VOID BatchChild(MUX_BATCH *Batch, MUX_VM *Vm, PNET_BUFFER_LIST Child)
{
    MUX_BUCKET *Bucket = BatchFind(Batch, Vm);

    if (Bucket != NULL)
    {
        *Bucket->Tail = Child;
        Bucket->Tail = &NET_BUFFER_LIST_NEXT_NBL(Child);
        Bucket->Count++;
        Bucket->Others++;
        return;
    }
    MUX_CHILD_TARGET(Child) = Vm;
    QueueAppend(&Batch->Spill, Child);
    (VOID) InterlockedExchangeAdd64(&Vm->Out, MUX_OUT_CALL + MUX_OUT_RECEIVE);
}

/*
 * Counts what is about to be indicated: the NBLs and the call itself are out from here (IM-MST-04).
 * Last act under the read side of TableLock, for afterwards a pause may begin.
 */
VOID BatchSeal(MUX_BATCH *Batch)
{
    ULONG Processor = Batch->Processor;
    ULONG i;

    for (i = 0; i < Batch->Used; i++)
    {
        MUX_BUCKET *Bucket = &Batch->Bucket[i];
        MUX_VM *Vm = Bucket->Vm;

        (VOID) InterlockedExchangeAdd64(&Vm->Out, MUX_OUT_CALL + Bucket->Count * MUX_OUT_RECEIVE);
        if (MUX_LIKELY(Bucket->Count != Bucket->Others))
        {
            Vm->Counters[Processor].Unicast.InFrames += Bucket->Count - Bucket->Others;
            Vm->Counters[Processor].Unicast.InBytes += Bucket->Bytes;
        }
    }
}

/* One chain to one virtual miniport. With the RESOURCES flag the children are ours again on return.
 */
static VOID BatchIndicate(MUX_BATCH *Batch, MUX_BINDING *Binding, MUX_VM *Vm, PNET_BUFFER_LIST Head,
                          ULONG Count, ULONG ReceiveFlags)
{
    PNET_BUFFER_LIST Next;
    LONG64 Out;

    Batch->Current = Vm;
    Batch->Returned = 0;
    NdisMIndicateReceiveNetBufferLists(Vm->Handle, Head, NDIS_DEFAULT_PORT_NUMBER, Count,
                                       ReceiveFlags);
    Batch->Current = NULL;
    Out = MUX_OUT_CALL + Batch->Returned;
    if ((ReceiveFlags & NDIS_RECEIVE_FLAGS_RESOURCES) != 0)
    {
        Out += (LONG64)Count * MUX_OUT_RECEIVE;
        for (; Head != NULL; Head = Next)
        {
            Next = NET_BUFFER_LIST_NEXT_NBL(Head);
            (VOID) InterlockedDecrement(&Head->ParentNetBufferList->ChildRefCount);
            ChildFree(Binding, Head);
        }
    }
    VmOut(Vm, Out);
}

/*
 * Indicates each bucket on its virtual miniport: one call each, port 0 (IM-PRT-01). ReceiveFlags
 * are ours, not the lower list's (IM-RCV-09). No lock held. A virtual miniport may be gone when it
 * returns.
 */
VOID BatchDeliver(MUX_BATCH *Batch, MUX_BINDING *Binding, ULONG ReceiveFlags)
{
    PNET_BUFFER_LIST Nbl, Next;
    ULONG i;

    for (i = 0; i < Batch->Used; i++)
    {
        MUX_BUCKET *Bucket = &Batch->Bucket[i];

        *Bucket->Tail = NULL;
        BatchIndicate(Batch, Binding, Bucket->Vm, Bucket->Head, Bucket->Count, ReceiveFlags);
    }
    for (Nbl = QueueTake(&Batch->Spill); Nbl != NULL; Nbl = Next)
    {
        Next = NET_BUFFER_LIST_NEXT_NBL(Nbl);
        NET_BUFFER_LIST_NEXT_NBL(Nbl) = NULL;
        BatchIndicate(Batch, Binding, (MUX_VM *)MUX_CHILD_TARGET(Nbl), Nbl, 1, ReceiveFlags);
    }
}
