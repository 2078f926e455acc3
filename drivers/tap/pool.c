/* SPDX-License-Identifier: MIT */
/*
 * Read buffers: a set for each virtual processor, shared by all its bindings, so that an idle TAP
 * costs none. Owns TAP_POOL. A binding that finds the set empty stops reading - the kernel's queue
 * holds its frames - and goes on when a buffer comes back.
 */
#include "tap.h"

/* An odd number of cache lines apart, or all frames' headers would fall into the same cache sets.
 */
#define STRIDE ((TAP_FRAME_MAX + 127) / 64 * 64 | 64)

static NDIS_STATUS MakeBuffer(TAP_POOL *Pool, TAP_BUFFER *Buffer, UCHAR *Data)
{
    Buffer->Pool = Pool;
    Buffer->Data = Data;
    Buffer->Mdl = NdisAllocateMdl(Tap.Protocol, Data, TAP_FRAME_MAX);
    if (!Buffer->Mdl)
        return NDIS_STATUS_RESOURCES;
    Buffer->Nbl = NdisAllocateNetBufferAndNetBufferList(Tap.NblPool, 0, 0, Buffer->Mdl, 0, 0);
    if (!Buffer->Nbl)
        return NDIS_STATUS_RESOURCES;
    TAP_BUFFER_OF(Buffer->Nbl) = Buffer;
    Buffer->Next = Pool->Free;
    Pool->Free = Buffer;
    return NDIS_STATUS_SUCCESS;
}

void PoolDestroy(TAP_POOL *Pool)
{
    for (ULONG I = 0; Pool->Buffers && I < TAP_BUFFERS; I++)
    {
        if (Pool->Buffers[I].Nbl)
            NdisFreeNetBufferList(Pool->Buffers[I].Nbl);
        if (Pool->Buffers[I].Mdl)
            NdisFreeMdl(Pool->Buffers[I].Mdl);
    }
    if (Pool->Slab)
        ExFreePoolWithTag(Pool->Slab, TAP_TAG);
    if (Pool->Buffers)
        ExFreePoolWithTag(Pool->Buffers, TAP_TAG);
    Pool->Slab = NULL;
    Pool->Buffers = NULL;
    Pool->Free = NULL;
}

static NDIS_STATUS Make(TAP_POOL *Pool)
{
    NDIS_STATUS Status = NDIS_STATUS_RESOURCES;

    Pool->Buffers = ExAllocatePool2(POOL_FLAG_NON_PAGED, TAP_BUFFERS * sizeof(TAP_BUFFER), TAP_TAG);
    if (!Pool->Buffers)
        return NDIS_STATUS_RESOURCES;
    /* Zeroed means: pages that the kernel gives only when a frame that long comes. */
    Pool->Slab = ExAllocatePool2(POOL_FLAG_NON_PAGED, (SIZE_T)TAP_BUFFERS * STRIDE, TAP_TAG);
    if (Pool->Slab)
        Status = NDIS_STATUS_SUCCESS;
    for (ULONG I = 0; Status == NDIS_STATUS_SUCCESS && I < TAP_BUFFERS; I++)
        Status = MakeBuffer(Pool, &Pool->Buffers[I], Pool->Slab + (SIZE_T)I * STRIDE);
    if (Status != NDIS_STATUS_SUCCESS)
        PoolDestroy(Pool);
    return Status;
}

NDIS_STATUS PoolPrepare(TAP_POOL *Pool)
{
    NDIS_STATUS Status = NDIS_STATUS_SUCCESS;

    KeWaitForSingleObject(&Tap.PoolMutex, Executive, KernelMode, FALSE, NULL);
    if (!Pool->Buffers)
        Status = Make(Pool);
    KeReleaseMutex(&Tap.PoolMutex, FALSE);
    return Status;
}

TAP_BUFFER *PoolTake(TAP_POOL *Pool)
{
    TAP_BUFFER *List;

    KeAcquireSpinLockAtDpcLevel(&Pool->Lock);
    List = Pool->Free;
    Pool->Free = NULL;
    KeReleaseSpinLockFromDpcLevel(&Pool->Lock);
    return List;
}

void PoolPut(TAP_POOL *Pool, TAP_BUFFER *List)
{
    TAP_BUFFER *Last = List;
    KIRQL Irql;

    if (!List)
        return;
    KeAcquireSpinLock(&Pool->Lock, &Irql);
    if (Pool->Free)
    {
        while (Last->Next)
            Last = Last->Next;
        Last->Next = Pool->Free;
    }
    Pool->Free = List;
    while (!IsListEmpty(&Pool->Waiters))
    {
        TAP_BINDING *Binding =
            CONTAINING_RECORD(RemoveHeadList(&Pool->Waiters), TAP_BINDING, WaitLink);

        Binding->Waiting = FALSE;
        UmhSetEvents(Binding->Watch, UMH_READ);
    }
    KeReleaseSpinLock(&Pool->Lock, Irql);
}

BOOLEAN PoolWait(TAP_BINDING *Binding)
{
    TAP_POOL *Pool = Binding->Pool;
    BOOLEAN Wait;
    KIRQL Irql;

    KeAcquireSpinLock(&Pool->Lock, &Irql);
    Wait = !Pool->Free;
    if (Wait && !Binding->Waiting)
    {
        Binding->Waiting = TRUE;
        InsertTailList(&Pool->Waiters, &Binding->WaitLink);
        UmhSetEvents(Binding->Watch, 0);
    }
    KeReleaseSpinLock(&Pool->Lock, Irql);
    return Wait;
}

void PoolUnwait(TAP_BINDING *Binding)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Binding->Pool->Lock, &Irql);
    if (Binding->Waiting)
    {
        Binding->Waiting = FALSE;
        RemoveEntryList(&Binding->WaitLink);
    }
    KeReleaseSpinLock(&Binding->Pool->Lock, Irql);
}
