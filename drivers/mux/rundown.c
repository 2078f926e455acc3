/* SPDX-License-Identifier: MIT */
/*
 * Counted references that can be shut and drained, events that are safe to free after the wait, and
 * memory. Mux.Lock guards Draining and every event that we set. Enter and Leave: IRQL <=
 * DISPATCH_LEVEL; waits: PASSIVE_LEVEL.
 */
#include "mux.h"

/* Sets an event so that its memory may be freed as soon as MuxWait has returned. <= DISPATCH. */
VOID MuxSignal(PNDIS_EVENT Event)
{
    NdisAcquireSpinLock(&Mux.Lock);
    NdisSetEvent(Event);
    NdisReleaseSpinLock(&Mux.Lock);
}

/* Waits for an event set by MuxSignal or under Mux.Lock; the setter is done with it. PASSIVE. */
VOID MuxWait(PNDIS_EVENT Event)
{
    (VOID) NdisWaitEvent(Event, 0);
    NdisAcquireSpinLock(&Mux.Lock);
    NdisReleaseSpinLock(&Mux.Lock);
}

/* Makes an empty rundown, open or shut. Any IRQL. */
VOID RundownInit(MUX_RUNDOWN *Rundown, BOOLEAN Open)
{
    Rundown->Value = Open ? 0 : MUX_RUNDOWN_SHUT;
    Rundown->Draining = FALSE;
    NdisInitializeEvent(&Rundown->Empty);
}

/* Adds users unless shut; FALSE if shut. <= DISPATCH_LEVEL. */
BOOLEAN RundownEnter(MUX_RUNDOWN *Rundown, LONG Users)
{
    LONG Old = ReadNoFence(&Rundown->Value);

    while ((Old & MUX_RUNDOWN_SHUT) == 0)
    {
        LONG Seen = InterlockedCompareExchange(&Rundown->Value, Old + Users, Old);
        if (Seen == Old)
        {
            return TRUE;
        }
        Old = Seen;
    }
    return FALSE;
}

/* Adds users where the caller knows that it cannot be shut meanwhile. <= DISPATCH_LEVEL. */
VOID RundownAdd(MUX_RUNDOWN *Rundown, LONG Users)
{
    (VOID) InterlockedExchangeAdd(&Rundown->Value, Users);
}

/* Takes users away; the last one after RundownShut wakes RundownWait. <= DISPATCH_LEVEL. */
VOID RundownLeave(MUX_RUNDOWN *Rundown, LONG Users)
{
    if (InterlockedExchangeAdd(&Rundown->Value, -Users) - Users != MUX_RUNDOWN_SHUT)
    {
        return;
    }
    NdisAcquireSpinLock(&Mux.Lock);
    Rundown->Draining = FALSE;
    NdisSetEvent(&Rundown->Empty);
    NdisReleaseSpinLock(&Mux.Lock);
}

/* Lets users in again. Only when never used, or after RundownWait. */
VOID RundownOpen(MUX_RUNDOWN *Rundown)
{
    (VOID) InterlockedAnd(&Rundown->Value, ~MUX_RUNDOWN_SHUT);
}

/* Lets nobody in any more; does not wait. <= DISPATCH_LEVEL. */
VOID RundownShut(MUX_RUNDOWN *Rundown)
{
    LONG Old;

    NdisAcquireSpinLock(&Mux.Lock);
    NdisResetEvent(&Rundown->Empty);
    Old = InterlockedOr(&Rundown->Value, MUX_RUNDOWN_SHUT);
    if ((Old & MUX_RUNDOWN_SHUT) == 0)
    {
        Rundown->Draining = Old != 0;
    }
    if (!Rundown->Draining)
    {
        NdisSetEvent(&Rundown->Empty);
    }
    NdisReleaseSpinLock(&Mux.Lock);
}

/* After RundownShut: returns when nobody is inside. PASSIVE_LEVEL. */
VOID RundownWait(MUX_RUNDOWN *Rundown)
{
    MuxWait(&Rundown->Empty);
}

/* Non-paged memory, zeroed, or NULL. <= DISPATCH_LEVEL. Free with MuxFree. */
PVOID MuxAllocate(SIZE_T Size, ULONG Tag)
{
    PVOID Memory;

    if (Size > 0x40000000)
    {
        return NULL;
    }
    Memory = NdisAllocateMemoryWithTagPriority(Mux.Miniport, (UINT)Size, Tag, NormalPoolPriority);
    if (Memory != NULL)
    {
        NdisZeroMemory(Memory, Size);
    }
    return Memory;
}

/* Frees what MuxAllocate gave; NULL is allowed. <= DISPATCH_LEVEL. */
VOID MuxFree(PVOID Memory)
{
    if (Memory != NULL)
    {
        NdisFreeMemory(Memory, 0, 0);
    }
}
