/* SPDX-License-Identifier: MIT */
/*
 * Interfaces of bindings that are gone. One alone is taken away inside the unbind, so that it is
 * not there any more when the command that removed it returns. In a burst - a box that stops - only
 * the first is; a worker takes the others, and while the kernel is busy with some, more of them
 * gather for the next round. Owns the fields of TAP_GLOBALS marked R.
 */
#include "tap.h"

/* 100 ms in units of interrupt time: two unbinds closer than that belong to one burst. */
#define BURST 1000000
#define ROUND 256 /* interfaces of one request */

static IO_WORKITEM_ROUTINE ReapRun;

NDIS_STATUS ReapInit(void)
{
    Tap.Reap = ExAllocatePool2(POOL_FLAG_NON_PAGED, IoSizeofWorkItem(), TAP_TAG);
    if (!Tap.Reap)
        return NDIS_STATUS_RESOURCES;
    IoInitializeWorkItem(Tap.Driver, Tap.Reap);
    KeInitializeSpinLock(&Tap.ReapLock);
    InitializeListHead(&Tap.Dead);
    InitializeListHead(&Tap.InReap);
    KeInitializeEvent(&Tap.Reaped, NotificationEvent, TRUE);
    return NDIS_STATUS_SUCCESS;
}

void ReapFree(void)
{
    if (!Tap.Reap)
        return;
    IoUninitializeWorkItem(Tap.Reap);
    ExFreePoolWithTag(Tap.Reap, TAP_TAG);
}

void ReapBinding(TAP_BINDING *Binding)
{
    ULONG64 Now = KeQueryInterruptTime();
    BOOLEAN Queue = FALSE, Alone;
    KIRQL Irql;

    KeAcquireSpinLock(&Tap.ReapLock, &Irql);
    Alone = Now - Tap.LastUnbind > BURST || Binding->Fd < 0;
    if (!Alone)
    {
        InsertTailList(&Tap.Dead, &Binding->WaitLink);
        Queue = !Tap.Reaping;
        Tap.Reaping = TRUE;
        KeClearEvent(&Tap.Reaped);
        Tap.LastUnbind = Now;
    }
    KeReleaseSpinLock(&Tap.ReapLock, Irql);
    if (Queue)
        IoQueueWorkItem(Tap.Reap, ReapRun, DelayedWorkQueue, NULL);
    if (!Alone)
        return;

    if (Binding->Fd >= 0)
        TapHostClose(Binding->Fd);
    ExFreePoolWithTag(Binding, TAP_TAG);
    /* Behind the close, whose time is not to count as a pause between two of a burst. */
    KeAcquireSpinLock(&Tap.ReapLock, &Irql);
    Tap.LastUnbind = KeQueryInterruptTime();
    KeReleaseSpinLock(&Tap.ReapLock, Irql);
}

/* Takes up to ROUND of the dead. None: the worker is done. */
static int Take(int Fds[ROUND])
{
    int Count = 0;
    KIRQL Irql;

    KeAcquireSpinLock(&Tap.ReapLock, &Irql);
    while (Count < ROUND && !IsListEmpty(&Tap.Dead))
    {
        LIST_ENTRY *Entry = RemoveHeadList(&Tap.Dead);

        InsertTailList(&Tap.InReap, Entry);
        Fds[Count++] = CONTAINING_RECORD(Entry, TAP_BINDING, WaitLink)->Fd;
    }
    if (!Count)
    {
        Tap.Reaping = FALSE;
        KeSetEvent(&Tap.Reaped, IO_NO_INCREMENT, FALSE);
    }
    KeReleaseSpinLock(&Tap.ReapLock, Irql);
    return Count;
}

static void FreeTaken(void)
{
    LIST_ENTRY Taken;
    KIRQL Irql;

    InitializeListHead(&Taken);
    KeAcquireSpinLock(&Tap.ReapLock, &Irql);
    while (!IsListEmpty(&Tap.InReap))
        InsertTailList(&Taken, RemoveHeadList(&Tap.InReap));
    KeReleaseSpinLock(&Tap.ReapLock, Irql);
    while (!IsListEmpty(&Taken))
        ExFreePoolWithTag(CONTAINING_RECORD(RemoveHeadList(&Taken), TAP_BINDING, WaitLink),
                          TAP_TAG);
}

static void NTAPI ReapRun(DEVICE_OBJECT *Object, PVOID Context)
{
    int Fds[ROUND], Count;

    while ((Count = Take(Fds)) > 0)
    {
        TapHostCloseMany(Fds, Count);
        FreeTaken();
    }
}

static BOOLEAN Listed(LIST_ENTRY *List, const char *Name)
{
    for (LIST_ENTRY *E = List->Flink; E != List; E = E->Flink)
    {
        TAP_BINDING *Binding = CONTAINING_RECORD(E, TAP_BINDING, WaitLink);

        if (RtlCompareMemory(Binding->Name, Name, TAP_NAME) == TAP_NAME)
            return TRUE;
    }
    return FALSE;
}

void ReapWait(const char *Name)
{
    BOOLEAN Wait;
    KIRQL Irql;

    KeAcquireSpinLock(&Tap.ReapLock, &Irql);
    Wait = Tap.Reaping && (!Name || Listed(&Tap.Dead, Name) || Listed(&Tap.InReap, Name));
    KeReleaseSpinLock(&Tap.ReapLock, Irql);
    if (Wait)
        KeWaitForSingleObject(&Tap.Reaped, Executive, KernelMode, FALSE, NULL);
}
