/* SPDX-License-Identifier: MIT */
/*
 * Spin locks: KSPIN_LOCK, in-stack queued, and reader/writer EX_SPIN_LOCK. The word of a KSPIN_LOCK
 * belongs to src/sched; what a context holds, and at which IRQL it took it, lies in the context's
 * own record, for the checks of Driver Verifier and umn__locks_held.
 */
#include "nt/private.h"

void ke__lock_record(const volatile void *lock, KIRQL old, bool raised)
{
    struct umn_thread *t = ps__self();
    if (t->locks < PS_LOCKS) {
        t->held[t->locks].lock = lock;
        t->held[t->locks].old = old;
        t->held[t->locks].raised = raised;
    }
    t->locks++;
}

bool ke__lock_forget(const volatile void *lock, KIRQL *old, bool *raised)
{
    struct umn_thread *t = ps__self();
    unsigned n = t->locks < PS_LOCKS ? t->locks : PS_LOCKS;
    for (unsigned i = n; i-- > 0;) {
        if (t->held[i].lock != lock)
            continue;
        *old = t->held[i].old;
        *raised = t->held[i].raised;
        for (; i + 1 < n; i++)
            t->held[i] = t->held[i + 1];
        t->locks--;
        return true;
    }
    if (t->locks <= PS_LOCKS)
        return false;
    t->locks--; /* beyond what is recorded: believe it */
    *raised = false;
    *old = DISPATCH_LEVEL;
    return true;
}

static bool holds(const volatile void *lock)
{
    struct umn_thread *t = ps__self();
    for (unsigned i = 0; i < t->locks && i < PS_LOCKS; i++)
        if (t->held[i].lock == lock)
            return true;
    return false;
}

/* Taking a lock that one holds never ends. The explore back end then shows the hang; on threads the
 * box must not spin for ever. */
static void check_recursion(const volatile void *lock, const char *function)
{
    if (__builtin_expect(!holds(lock), 1))
        return;
    umn__report("SpinLock", 0x1000, "%s: this context holds spin lock %p already", function,
                (const void *)lock);
    if (umn__sched_backend() == UMN_BACKEND_THREADS)
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1000, (ULONG_PTR)lock, 0, 0);
}

static void acquire(PKSPIN_LOCK lock, KIRQL old, bool raised, const char *function)
{
    check_recursion(lock, function);
    umn__spin_acquire((uint64_t *)lock);
    ke__lock_record(lock, old, raised);
}

static KIRQL raise_to_dispatch(const char *function)
{
    KIRQL old = umn__irql();
    if (old > DISPATCH_LEVEL) {
        ke__irql_is(PASSIVE_LEVEL, DISPATCH_LEVEL, "IrqlKeDispatchLte", 0x20011, function);
        return old;
    }
    return old == DISPATCH_LEVEL ? old : umn__irql_raise(DISPATCH_LEVEL);
}

/* Gives the word free after the checks; true if the lock was ours. */
static bool release(PKSPIN_LOCK lock, bool raised, KIRQL new_irql, const char *function)
{
    KIRQL old;
    bool was_raised;
    if (umn__irql() < DISPATCH_LEVEL)
        umn__report("IrqlKeReleaseSpinLock", 0x32, "%s of %p at IRQL %u", function, (void *)lock,
                    umn__irql());
    if (!ke__lock_forget(lock, &old, &was_raised)) {
        uint32_t owner = umn__spin_owner((uint64_t *)lock);
        umn__report("SpinlockRelease", owner ? 0x1004 : 0x1007, "%s of %p, which %s", function,
                    (void *)lock, owner ? "another context holds" : "nobody holds");
        return false;
    }
    if (raised && was_raised && old != new_irql)
        umn__report("IrqlKeReleaseSpinLock", 0x20015,
                    "%s restores IRQL %u; the lock was acquired at IRQL %u", function, new_irql,
                    old);
    umn__spin_release((uint64_t *)lock);
    return true;
}

static void lower(KIRQL irql, const char *function)
{
    KIRQL now = umn__irql();
    if (irql > now)
        umn__report("IrqlKeRaiseLower", 0x31, "%s would raise the IRQL from %u to %u", function,
                    now, irql);
    else if (irql < now)
        umn__irql_lower(irql);
}

/* Makes a free lock. Any level. nf-wdm-keinitializespinlock.md */
void NTAPI KeInitializeSpinLock(PKSPIN_LOCK SpinLock)
{
    *SpinLock = 0;
}

/* Raises to DISPATCH_LEVEL and takes the lock; returns the former IRQL. <= DISPATCH_LEVEL.
 * nf-wdm-keacquirespinlock.md */
KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
{
    KIRQL old = raise_to_dispatch("KeAcquireSpinLock");
    acquire(SpinLock, old, true, "KeAcquireSpinLock");
    return old;
}

/* Gives the lock free and lowers to what the acquire returned. DISPATCH_LEVEL.
 * nf-wdm-kereleasespinlock.md */
void NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    release(SpinLock, true, NewIrql, "KeReleaseSpinLock");
    lower(NewIrql, "KeReleaseSpinLock");
}

/* Takes the lock without touching the IRQL. >= DISPATCH_LEVEL (0xC4 / 0x40).
 * nf-wdm-keacquirespinlockatdpclevel.md */
void NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    KIRQL old = umn__irql();
    if (!ke__irql_is(DISPATCH_LEVEL, HIGH_LEVEL, "IrqlDispatch", 0x40,
                     "KeAcquireSpinLockAtDpcLevel"))
        umn__irql_raise(DISPATCH_LEVEL); /* go on as the caller meant it */
    acquire(SpinLock, old, false, "KeAcquireSpinLockAtDpcLevel");
}

/* nf-wdm-kereleasespinlockfromdpclevel.md, DISPATCH_LEVEL */
void NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    release(SpinLock, false, 0, "KeReleaseSpinLockFromDpcLevel");
}

/* Takes the lock if it is free. >= DISPATCH_LEVEL. nf-wdm-ketrytoacquirespinlockatdpclevel.md */
BOOLEAN NTAPI KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    ke__irql_is(DISPATCH_LEVEL, HIGH_LEVEL, "IrqlDispatch", 0x40,
                "KeTryToAcquireSpinLockAtDpcLevel");
    if (!umn__spin_try((uint64_t *)SpinLock))
        return FALSE;
    ke__lock_record(SpinLock, umn__irql(), false);
    return TRUE;
}

/* True if the lock is free now. Any level. nf-wdm-ketestspinlock.md */
BOOLEAN NTAPI KeTestSpinLock(PKSPIN_LOCK SpinLock)
{
    umn__point(UMN_OP_ATOMIC, SpinLock);
    return umn__spin_owner((uint64_t *)SpinLock) == 0;
}

/* For DPCs, threaded or not; returns the former IRQL. nf-wdm-keacquirespinlockfordpc.md */
KIRQL NTAPI KeAcquireSpinLockForDpc(PKSPIN_LOCK SpinLock)
{
    return KeAcquireSpinLockRaiseToDpc(SpinLock);
}

void NTAPI KeReleaseSpinLockForDpc(PKSPIN_LOCK SpinLock, KIRQL OldIrql)
{
    KeReleaseSpinLock(SpinLock, OldIrql);
}

/* ---- in-stack queued: the same lock; the handle remembers lock and IRQL ---------------------- */

/* <= DISPATCH_LEVEL. nf-wdm-keacquireinstackqueuedspinlock.md */
void NTAPI KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    LockHandle->OldIrql = raise_to_dispatch("KeAcquireInStackQueuedSpinLock");
    LockHandle->LockQueue.Next = NULL;
    LockHandle->LockQueue.Lock = SpinLock;
    acquire(SpinLock, LockHandle->OldIrql, true, "KeAcquireInStackQueuedSpinLock");
}

void NTAPI KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle)
{
    release(LockHandle->LockQueue.Lock, true, LockHandle->OldIrql,
            "KeReleaseInStackQueuedSpinLock");
    lower(LockHandle->OldIrql, "KeReleaseInStackQueuedSpinLock");
}

/* >= DISPATCH_LEVEL. nf-wdm-keacquireinstackqueuedspinlockatdpclevel.md */
void NTAPI KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock,
                                                    PKLOCK_QUEUE_HANDLE LockHandle)
{
    LockHandle->LockQueue.Next = NULL;
    LockHandle->LockQueue.Lock = SpinLock;
    LockHandle->OldIrql = umn__irql();
    KeAcquireSpinLockAtDpcLevel(SpinLock);
}

void NTAPI KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle)
{
    KeReleaseSpinLockFromDpcLevel(LockHandle->LockQueue.Lock);
}

void NTAPI KeAcquireInStackQueuedSpinLockForDpc(PKSPIN_LOCK SpinLock,
                                                PKLOCK_QUEUE_HANDLE LockHandle)
{
    KeAcquireInStackQueuedSpinLock(SpinLock, LockHandle);
}

void NTAPI KeReleaseInStackQueuedSpinLockForDpc(PKLOCK_QUEUE_HANDLE LockHandle)
{
    KeReleaseInStackQueuedSpinLock(LockHandle);
}

/* ---- EX_SPIN_LOCK: top bit = writer, the rest = number of readers ---------------------------- */

#define EX_WRITER ((LONG)0x80000000)

static bool ex_try(PEX_SPIN_LOCK lock, bool exclusive)
{
    LONG now = __atomic_load_n(lock, __ATOMIC_RELAXED);
    if (exclusive ? now != 0 : (now & EX_WRITER) != 0)
        return false;
    return __atomic_compare_exchange_n(lock, &now, exclusive ? EX_WRITER : now + 1, false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void ex_acquire(PEX_SPIN_LOCK lock, KIRQL old, bool raised, bool exclusive)
{
    check_recursion(lock, exclusive ? "ExAcquireSpinLockExclusive" : "ExAcquireSpinLockShared");
    umn__point(UMN_OP_LOCK, lock);
    while (!ex_try(lock, exclusive))
        umn__stall(1);
    ke__lock_record(lock, old, raised);
}

static void ex_release(PEX_SPIN_LOCK lock, bool exclusive, const char *function)
{
    KIRQL old;
    bool raised;
    ke__irql_is(DISPATCH_LEVEL, HIGH_LEVEL, "IrqlKeReleaseSpinLock", 0x32, function);
    if (!ke__lock_forget(lock, &old, &raised)) {
        umn__report("SpinlockRelease", 0x1007, "%s of %p, which this context does not hold",
                    function, (const void *)lock);
        return;
    }
    umn__point(UMN_OP_UNLOCK, lock);
    if (exclusive)
        __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
    else
        __atomic_sub_fetch(lock, 1, __ATOMIC_RELEASE);
}

/* Shared hold; returns the former IRQL. <= DISPATCH_LEVEL. nf-wdm-exacquirespinlockshared.md */
KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock)
{
    KIRQL old = raise_to_dispatch("ExAcquireSpinLockShared");
    ex_acquire(SpinLock, old, true, false);
    return old;
}

/* Exclusive hold; returns the former IRQL. <= DISPATCH_LEVEL. */
KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock)
{
    KIRQL old = raise_to_dispatch("ExAcquireSpinLockExclusive");
    ex_acquire(SpinLock, old, true, true);
    return old;
}

void NTAPI ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    ke__irql_is(DISPATCH_LEVEL, HIGH_LEVEL, "IrqlDispatch", 0x40,
                "ExAcquireSpinLockSharedAtDpcLevel");
    ex_acquire(SpinLock, umn__irql(), false, false);
}

void NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    ke__irql_is(DISPATCH_LEVEL, HIGH_LEVEL, "IrqlDispatch", 0x40,
                "ExAcquireSpinLockExclusiveAtDpcLevel");
    ex_acquire(SpinLock, umn__irql(), false, true);
}

void NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    ex_release(SpinLock, false, "ExReleaseSpinLockShared");
    lower(OldIrql, "ExReleaseSpinLockShared");
}

void NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    ex_release(SpinLock, true, "ExReleaseSpinLockExclusive");
    lower(OldIrql, "ExReleaseSpinLockExclusive");
}

void NTAPI ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    ex_release(SpinLock, false, "ExReleaseSpinLockSharedFromDpcLevel");
}

void NTAPI ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    ex_release(SpinLock, true, "ExReleaseSpinLockExclusiveFromDpcLevel");
}

/* Shared becomes exclusive if this is the only reader. DISPATCH_LEVEL. */
LOGICAL NTAPI ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock)
{
    LONG one = 1;
    umn__point(UMN_OP_LOCK, SpinLock);
    return __atomic_compare_exchange_n(SpinLock, &one, EX_WRITER, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static LOGICAL ex_try_at_dpc(PEX_SPIN_LOCK lock, bool exclusive, const char *function)
{
    ke__irql_is(DISPATCH_LEVEL, HIGH_LEVEL, "IrqlDispatch", 0x40, function);
    umn__point(UMN_OP_LOCK, lock);
    if (!ex_try(lock, exclusive))
        return FALSE;
    ke__lock_record(lock, umn__irql(), false);
    return TRUE;
}

/* Takes the lock if that is possible now. >= DISPATCH_LEVEL. */
LOGICAL NTAPI ExTryAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    return ex_try_at_dpc(SpinLock, false, "ExTryAcquireSpinLockSharedAtDpcLevel");
}

LOGICAL NTAPI ExTryAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    return ex_try_at_dpc(SpinLock, true, "ExTryAcquireSpinLockExclusiveAtDpcLevel");
}
