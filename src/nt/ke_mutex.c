/* SPDX-License-Identifier: MIT */
/*
 * Locks that sleep: fast and guarded mutexes, push locks. Each counts its holders in the caller's
 * own memory; sleepers wait on the mutex's own event, or, for push locks, on one of their own.
 */
#include "nt/private.h"

/* ---- fast and guarded mutexes: Count 1 = free, 0 = held, below = held and waited for --------- */

static void mutex_init(PFAST_MUTEX m)
{
    m->Count = 1;
    m->Owner = NULL;
    m->Contention = 0;
    m->OldIrql = PASSIVE_LEVEL;
    KeInitializeEvent(&m->Event, SynchronizationEvent, FALSE);
}

static void mutex_take(PFAST_MUTEX m, const char *function)
{
    if (__atomic_load_n(&m->Owner, __ATOMIC_RELAXED) == KeGetCurrentThread()) {
        umn__report("FastMutex", 0x1000, "%s: this thread holds %p already", function, (void *)m);
        if (umn__sched_backend() == UMN_BACKEND_THREADS)
            KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1000, (ULONG_PTR)m, 0, 0);
    }
    umn__point(UMN_OP_LOCK, m);
    if (__atomic_sub_fetch(&m->Count, 1, __ATOMIC_ACQUIRE) < 0) {
        __atomic_add_fetch(&m->Contention, 1, __ATOMIC_RELAXED);
        /* The releaser hands the mutex over with the event. */
        KeWaitForSingleObject(&m->Event, Executive, KernelMode, FALSE, NULL);
    }
    __atomic_store_n(&m->Owner, (PVOID)KeGetCurrentThread(), __ATOMIC_RELAXED);
}

static bool mutex_try(PFAST_MUTEX m)
{
    LONG one = 1;
    umn__point(UMN_OP_LOCK, m);
    if (!__atomic_compare_exchange_n(&m->Count, &one, 0, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false;
    __atomic_store_n(&m->Owner, (PVOID)KeGetCurrentThread(), __ATOMIC_RELAXED);
    return true;
}

static bool mutex_give(PFAST_MUTEX m, const char *function)
{
    if (__atomic_load_n(&m->Owner, __ATOMIC_RELAXED) != KeGetCurrentThread()) {
        umn__report("FastMutex", 0x1004, "%s of %p by a thread that does not hold it", function,
                    (void *)m);
        return false;
    }
    __atomic_store_n(&m->Owner, NULL, __ATOMIC_RELAXED);
    umn__point(UMN_OP_UNLOCK, m);
    if (__atomic_add_fetch(&m->Count, 1, __ATOMIC_RELEASE) <= 0)
        KeSetEvent(&m->Event, 0, FALSE);
    return true;
}

/* Raises to APC_LEVEL and takes the mutex. <= APC_LEVEL (0xC4 / 0x33). Not recursive.
 * nf-wdm-exacquirefastmutex.md */
void NTAPI ExAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL old = umn__irql();
    if (!ke__irql_is(PASSIVE_LEVEL, APC_LEVEL, "IrqlExApcLte1", 0x33, "ExAcquireFastMutex"))
        return;
    if (old < APC_LEVEL)
        umn__irql_raise(APC_LEVEL);
    mutex_take(FastMutex, "ExAcquireFastMutex");
    FastMutex->OldIrql = old;
}

/* Gives it back and restores the IRQL. APC_LEVEL (0xC4 / 0x34). nf-wdm-exreleasefastmutex.md */
void NTAPI ExReleaseFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL old = (KIRQL)FastMutex->OldIrql;
    ke__irql_is(APC_LEVEL, APC_LEVEL, "IrqlExApcLte1", 0x34, "ExReleaseFastMutex");
    if (mutex_give(FastMutex, "ExReleaseFastMutex") && old < umn__irql())
        umn__irql_lower(old);
}

/* TRUE, at APC_LEVEL then, if it was free. <= APC_LEVEL. nf-wdm-extrytoacquirefastmutex.md */
BOOLEAN NTAPI ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    KIRQL old = umn__irql();
    if (!ke__irql_is(PASSIVE_LEVEL, APC_LEVEL, "IrqlExApcLte1", 0x33, "ExTryToAcquireFastMutex"))
        return FALSE;
    if (old < APC_LEVEL)
        umn__irql_raise(APC_LEVEL);
    if (mutex_try(FastMutex)) {
        FastMutex->OldIrql = old;
        return TRUE;
    }
    if (old < APC_LEVEL)
        umn__irql_lower(old);
    return FALSE;
}

/* The caller keeps APCs off by itself: APC_LEVEL, or inside a critical region (0xC4 / 0x39). */
static void check_unsafe(const char *function, uint32_t code)
{
    if (umn__irql() > APC_LEVEL || !KeAreApcsDisabled())
        umn__report("IrqlExApcLte1", code, "%s at IRQL %u with APCs %s", function, umn__irql(),
                    KeAreApcsDisabled() ? "disabled" : "enabled");
}

/* nf-wdm-exacquirefastmutexunsafe.md */
void NTAPI ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    check_unsafe("ExAcquireFastMutexUnsafe", 0x39);
    mutex_take(FastMutex, "ExAcquireFastMutexUnsafe");
}

void NTAPI ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    check_unsafe("ExReleaseFastMutexUnsafe", 0x3a);
    mutex_give(FastMutex, "ExReleaseFastMutexUnsafe");
}

/* Guarded mutex: a guarded region instead of APC_LEVEL. <= APC_LEVEL.
 * nf-wdm-keinitializeguardedmutex.md */
void NTAPI KeInitializeGuardedMutex(PKGUARDED_MUTEX Mutex)
{
    mutex_init(Mutex);
}

/* nf-wdm-keacquireguardedmutex.md */
void NTAPI KeAcquireGuardedMutex(PKGUARDED_MUTEX Mutex)
{
    if (!ke__irql_is(PASSIVE_LEVEL, APC_LEVEL, "IrqlKeApcLte1", 0x2000f, "KeAcquireGuardedMutex"))
        return;
    KeEnterGuardedRegion();
    mutex_take(Mutex, "KeAcquireGuardedMutex");
}

void NTAPI KeReleaseGuardedMutex(PKGUARDED_MUTEX Mutex)
{
    ke__irql_is(PASSIVE_LEVEL, APC_LEVEL, "IrqlKeApcLte1", 0x2000f, "KeReleaseGuardedMutex");
    if (mutex_give(Mutex, "KeReleaseGuardedMutex"))
        KeLeaveGuardedRegion();
}

BOOLEAN NTAPI KeTryToAcquireGuardedMutex(PKGUARDED_MUTEX Mutex)
{
    if (!ke__irql_is(PASSIVE_LEVEL, APC_LEVEL, "IrqlKeApcLte1", 0x2000f,
                     "KeTryToAcquireGuardedMutex"))
        return FALSE;
    KeEnterGuardedRegion();
    if (mutex_try(Mutex))
        return TRUE;
    KeLeaveGuardedRegion();
    return FALSE;
}

void NTAPI KeAcquireGuardedMutexUnsafe(PKGUARDED_MUTEX FastMutex)
{
    mutex_take(FastMutex, "KeAcquireGuardedMutexUnsafe");
}

void NTAPI KeReleaseGuardedMutexUnsafe(PKGUARDED_MUTEX FastMutex)
{
    mutex_give(FastMutex, "KeReleaseGuardedMutexUnsafe");
}

/* ---- push locks: bit 0 = writer, 2 * readers; who waits stands in a table, with an event
 * --------- */

struct push_waiter {
    struct umn_list link;
    PULONG_PTR lock;
    KEVENT event;
};
static struct {
    struct umn_mutex guard;
    struct umn_list waiters;
} push = {.waiters = {&push.waiters, &push.waiters}};

static bool push_try(PULONG_PTR lock, bool exclusive)
{
    ULONG_PTR now = __atomic_load_n(lock, __ATOMIC_RELAXED);
    if (exclusive ? now != 0 : (now & 1) != 0)
        return false;
    return __atomic_compare_exchange_n(lock, &now, exclusive ? 1 : now + 2, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static void push_take(PULONG_PTR lock, bool exclusive, const char *function)
{
    if (umn__irql() > APC_LEVEL || !KeAreApcsDisabled())
        umn__report("PushLock", 0xea, "%s at IRQL %u; wants a critical region, at most APC_LEVEL",
                    function, umn__irql());
    umn__point(UMN_OP_LOCK, lock);
    while (!push_try(lock, exclusive)) {
        struct push_waiter w = {.lock = lock};
        KeInitializeEvent(&w.event, NotificationEvent, FALSE);
        /* Tried once more on the list: a release before now is seen by the try, a later one sees
         * us. */
        umn__lock(&push.guard);
        bool taken = push_try(lock, exclusive);
        if (!taken)
            umn_list_add_tail(&push.waiters, &w.link);
        umn__unlock(&push.guard);
        if (taken)
            return;
        KeWaitForSingleObject(&w.event, Executive, KernelMode, FALSE, NULL);
    }
}

static void push_give(PULONG_PTR lock, bool exclusive, const char *function)
{
    struct umn_list woken;
    ULONG_PTR now = __atomic_load_n(lock, __ATOMIC_RELAXED);
    if (exclusive ? now != 1 : now < 2 || (now & 1)) {
        umn__report("PushLock", 0xeb, "%s of %p, which is not held so", function, (void *)lock);
        return;
    }
    umn__point(UMN_OP_UNLOCK, lock);
    __atomic_sub_fetch(lock, exclusive ? 1 : 2, __ATOMIC_RELEASE);
    umn_list_init(&woken);
    umn__lock(&push.guard);
    umn_list_for_each (pos, &push.waiters) {
        if (umn_container_of(pos, struct push_waiter, link)->lock != lock)
            continue;
        umn_list_remove(pos);
        umn_list_add_tail(&woken, pos);
    }
    umn__unlock(&push.guard);
    while (!umn_list_empty(&woken)) {
        struct push_waiter *w = umn_container_of(woken.next, struct push_waiter, link);
        umn_list_remove(&w->link);
        KeSetEvent(&w->event, 0, FALSE); /* w is gone after this */
    }
}

/* Any level. */
void NTAPI ExInitializePushLock(PULONG_PTR PushLock)
{
    *PushLock = 0;
}

/* Inside a critical region, <= APC_LEVEL. nf-wdm-exacquirepushlockexclusive.md */
void NTAPI ExAcquirePushLockExclusiveEx(PULONG_PTR PushLock, ULONG Flags)
{
    push_take(PushLock, true, "ExAcquirePushLockExclusive");
}

void NTAPI ExAcquirePushLockSharedEx(PULONG_PTR PushLock, ULONG Flags)
{
    push_take(PushLock, false, "ExAcquirePushLockShared");
}

void NTAPI ExReleasePushLockExclusiveEx(PULONG_PTR PushLock, ULONG Flags)
{
    push_give(PushLock, true, "ExReleasePushLockExclusive");
}

void NTAPI ExReleasePushLockSharedEx(PULONG_PTR PushLock, ULONG Flags)
{
    push_give(PushLock, false, "ExReleasePushLockShared");
}
