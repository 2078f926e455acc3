/* SPDX-License-Identifier: MIT */
/*
 * Events, semaphores and mutexes. Their state lies in the driver's own KEVENT, KSEMAPHORE and
 * KMUTEX, guarded by the dispatcher lock (ke_wait.c).
 */
#include "nt/private.h"

/* Any level. Type: NotificationEvent or SynchronizationEvent. nf-wdm-keinitializeevent.md */
void NTAPI KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State)
{
    ke__object_init(&Event->Header,
                    Type == NotificationEvent ? EventNotificationObject
                                              : EventSynchronizationObject,
                    sizeof *Event / 4, State != FALSE);
}

static LONG set_event(PRKEVENT event, bool pulse, const char *function)
{
    struct ke_wait *chain = NULL;
    umn__point(UMN_OP_UNPARK, event);
    umn__lock(&ke__dispatcher);
    if (!ke__object_ok(&event->Header)) {
        umn__unlock(&ke__dispatcher);
        ke__object_bad(&event->Header, function);
        return 0;
    }
    LONG old = event->Header.SignalState;
    event->Header.SignalState = 1;
    if (!old)
        chain = ke__satisfy(&event->Header, chain);
    if (pulse)
        event->Header.SignalState = 0;
    umn__unlock(&ke__dispatcher);
    ke__wake(chain);
    return old;
}

/* Signals; returns the former state. Wait TRUE promises a KeWaitXxx next: <= APC_LEVEL; else
 * <= DISPATCH_LEVEL. nf-wdm-kesetevent.md */
LONG NTAPI KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    ke__irql_is(PASSIVE_LEVEL, Wait ? APC_LEVEL : DISPATCH_LEVEL, "IrqlKeSetEvent", 0x20016,
                "KeSetEvent");
    return set_event(Event, false, "KeSetEvent");
}

/* Wakes who waits now and leaves the event not signaled. nf-ntddk-kepulseevent.md */
LONG NTAPI KePulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    umn__check_irql(DISPATCH_LEVEL, "KePulseEvent");
    return set_event(Event, true, "KePulseEvent");
}

/* Not signaled from now on; returns the former state. <= DISPATCH_LEVEL. nf-wdm-keresetevent.md */
LONG NTAPI KeResetEvent(PRKEVENT Event)
{
    umn__check_irql(DISPATCH_LEVEL, "KeResetEvent");
    umn__point(UMN_OP_ATOMIC, Event);
    umn__lock(&ke__dispatcher);
    LONG old = Event->Header.SignalState;
    Event->Header.SignalState = 0;
    umn__unlock(&ke__dispatcher);
    return old;
}

/* As KeResetEvent without the former state. nf-wdm-keclearevent.md */
void NTAPI KeClearEvent(PRKEVENT Event)
{
    KeResetEvent(Event);
}

/* Nonzero if signaled. <= DISPATCH_LEVEL. nf-wdm-kereadstateevent.md */
LONG NTAPI KeReadStateEvent(PRKEVENT Event)
{
    umn__point(UMN_OP_ATOMIC, Event);
    return __atomic_load_n(&Event->Header.SignalState, __ATOMIC_ACQUIRE);
}

/* ---- semaphores ------------------------------------------------------------------------------ */

/* PASSIVE_LEVEL. nf-wdm-keinitializesemaphore.md */
void NTAPI KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit)
{
    ke__object_init(&Semaphore->Header, SemaphoreObject, sizeof *Semaphore / 4, Count);
    Semaphore->Limit = Limit;
}

/*
 * Adds Adjustment to the count; returns the former count. <= DISPATCH_LEVEL (Wait FALSE). Windows
 * raises STATUS_SEMAPHORE_LIMIT_EXCEEDED above the limit: reported, and the count stays.
 * nf-wdm-kereleasesemaphore.md
 */
LONG NTAPI KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment,
                              BOOLEAN Wait)
{
    struct ke_wait *chain = NULL;
    ke__irql_is(PASSIVE_LEVEL, Wait ? APC_LEVEL : DISPATCH_LEVEL, "IrqlKeDispatchLte", 0x20011,
                "KeReleaseSemaphore");
    umn__point(UMN_OP_UNPARK, Semaphore);
    umn__lock(&ke__dispatcher);
    if (!ke__object_ok(&Semaphore->Header)) {
        umn__unlock(&ke__dispatcher);
        ke__object_bad(&Semaphore->Header, "KeReleaseSemaphore");
        return 0;
    }
    LONG old = Semaphore->Header.SignalState;
    bool beyond = Adjustment < 0 || old > Semaphore->Limit - Adjustment;
    if (!beyond) {
        Semaphore->Header.SignalState = old + Adjustment;
        chain = ke__satisfy(&Semaphore->Header, chain);
    }
    umn__unlock(&ke__dispatcher);
    if (beyond)
        umn__report("SemaphoreLimit", (uint32_t)STATUS_SEMAPHORE_LIMIT_EXCEEDED,
                    "KeReleaseSemaphore: %d + %d is above the limit of %d", old, Adjustment,
                    Semaphore->Limit);
    ke__wake(chain);
    return old;
}

/* Count; <= DISPATCH_LEVEL. */
LONG NTAPI KeReadStateSemaphore(PRKSEMAPHORE Semaphore)
{
    umn__point(UMN_OP_ATOMIC, Semaphore);
    return __atomic_load_n(&Semaphore->Header.SignalState, __ATOMIC_ACQUIRE);
}

/* ---- mutexes --------------------------------------------------------------------------------- */

/* Free mutex. PASSIVE_LEVEL; Level is reserved. nf-wdm-keinitializemutex.md */
void NTAPI KeInitializeMutex(PRKMUTEX Mutex, ULONG Level)
{
    ke__object_init(&Mutex->Header, MutantObject, sizeof *Mutex / 4, 1);
    umn_list_init((struct umn_list *)&Mutex->MutantListEntry);
    Mutex->OwnerThread = NULL;
    Mutex->MutantFlags = 0;
    Mutex->ApcDisable = 1;
}

/*
 * Gives back one hold of the calling thread; returns the former state (0: was held once, below:
 * deeper). <= DISPATCH_LEVEL. A thread that does not hold it is reported (Windows raises
 * STATUS_MUTANT_NOT_OWNED). nf-wdm-kereleasemutex.md
 */
LONG NTAPI KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait)
{
    struct ke_wait *chain = NULL;
    struct umn_thread *self = ps__self();
    ke__irql_is(PASSIVE_LEVEL, Wait ? APC_LEVEL : DISPATCH_LEVEL, "IrqlKeDispatchLte", 0x20011,
                "KeReleaseMutex");
    umn__point(UMN_OP_UNLOCK, Mutex);
    umn__lock(&ke__dispatcher);
    if (!ke__object_ok(&Mutex->Header)) {
        umn__unlock(&ke__dispatcher);
        ke__object_bad(&Mutex->Header, "KeReleaseMutex");
        return 0;
    }
    LONG old = Mutex->Header.SignalState;
    bool owned = Mutex->OwnerThread == (PKTHREAD)self;
    if (owned && ++Mutex->Header.SignalState == 1) {
        Mutex->OwnerThread = NULL;
        umn_list_remove((struct umn_list *)&Mutex->MutantListEntry);
        self->guarded -= Mutex->ApcDisable;
        chain = ke__satisfy(&Mutex->Header, chain);
    }
    umn__unlock(&ke__dispatcher);
    if (!owned)
        umn__report("ReleaseMutex", (uint32_t)STATUS_MUTANT_NOT_OWNED,
                    "KeReleaseMutex of %p by a thread that does not hold it", (void *)Mutex);
    ke__wake(chain);
    return old;
}

/* 1 = free. <= DISPATCH_LEVEL. */
LONG NTAPI KeReadStateMutex(PRKMUTEX Mutex)
{
    umn__point(UMN_OP_ATOMIC, Mutex);
    return __atomic_load_n(&Mutex->Header.SignalState, __ATOMIC_ACQUIRE);
}
