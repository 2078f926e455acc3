/* SPDX-License-Identifier: MIT */
/* The kernel part of src/nt: waits, timers, DPCs, locks, threads, work items, and what is reported.
 */
#include "nt_harness.h"

/* ---- events and waits ------------------------------------------------------------------------ */

struct pair {
    KEVENT a, b;
    KMUTEX mutex;
    int order[8], n;
};

static void set_after(void *arg)
{
    struct pair *p = arg;
    LARGE_INTEGER wait = relative_ms(5);
    KeDelayExecutionThread(KernelMode, FALSE, &wait);
    KeSetEvent(&p->a, 0, FALSE);
    KeDelayExecutionThread(KernelMode, FALSE, &wait);
    KeSetEvent(&p->b, 0, FALSE);
}

static void waits(void *arg)
{
    struct pair p = {.n = 0};
    PVOID both[2] = {&p.a, &p.b};
    LARGE_INTEGER zero = {.QuadPart = 0}, ms = relative_ms(2), late = relative_ms(1000);
    struct umn_ctx *ctx;
    KeInitializeEvent(&p.a, SynchronizationEvent, FALSE);
    KeInitializeEvent(&p.b, NotificationEvent, FALSE);

    CHECK(KeWaitForSingleObject(&p.a, Executive, KernelMode, FALSE, &zero) == STATUS_TIMEOUT);
    uint64_t before = umn__now();
    CHECK(KeWaitForSingleObject(&p.a, Executive, KernelMode, FALSE, &ms) == STATUS_TIMEOUT);
    CHECK(umn__now() - before >= 20000);
    LARGE_INTEGER absolute = {.QuadPart = (LONGLONG)umn__now_wall() + 30000};
    CHECK(KeWaitForSingleObject(&p.a, Executive, KernelMode, FALSE, &absolute) == STATUS_TIMEOUT);
    CHECK(umn__now_wall() >= (uint64_t)absolute.QuadPart);

    /* A synchronization event lets one wait through, a notification event all. */
    CHECK(KeSetEvent(&p.a, 0, FALSE) == 0 && KeSetEvent(&p.a, 0, FALSE) != 0);
    CHECK(KeWaitForSingleObject(&p.a, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(KeReadStateEvent(&p.a) == 0);
    KeSetEvent(&p.b, 0, FALSE);
    CHECK(KeWaitForSingleObject(&p.b, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(KeReadStateEvent(&p.b) != 0);
    /* Any: the lowest index that is signaled. All: nothing is consumed until all are. */
    CHECK(KeWaitForMultipleObjects(2, both, WaitAny, Executive, KernelMode, FALSE, NULL, NULL) ==
          1);
    CHECK(KeWaitForMultipleObjects(2, both, WaitAll, Executive, KernelMode, FALSE, &ms, NULL) ==
          STATUS_TIMEOUT);
    KeClearEvent(&p.b);
    KeSetEvent(&p.a, 0, FALSE);
    CHECK(KeWaitForMultipleObjects(2, both, WaitAll, Executive, KernelMode, FALSE, &ms, NULL) ==
          STATUS_TIMEOUT);
    CHECK(KeReadStateEvent(&p.a) != 0);
    CHECK(KeWaitForMultipleObjects(2, both, WaitAny, Executive, KernelMode, FALSE, NULL, NULL) ==
          0);

    NEED(umn__ctx_spawn(&ctx, set_after, &p, "setter") == 0, out);
    CHECK(KeWaitForMultipleObjects(2, both, WaitAll, Executive, KernelMode, FALSE, &late, NULL) ==
          STATUS_SUCCESS);
    CHECK(KeReadStateEvent(&p.a) == 0 && KeReadStateEvent(&p.b) != 0);
    umn__ctx_join(ctx);
out:;
}

static void test_waits(void **state)
{
    explore(waits, 0);
}

/* Several waiters: a notification event wakes all, a synchronization event and a semaphore as many
 * as they are worth. */
#define WAITERS 4
struct crowd {
    KEVENT event;
    KSEMAPHORE semaphore;
    void *object;
    int through;
};

static void crowd_member(void *arg)
{
    struct crowd *c = arg;
    CHECK(KeWaitForSingleObject(c->object, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    __atomic_add_fetch(&c->through, 1, __ATOMIC_RELAXED);
}

static void crowd_run(struct crowd *c, void (*release)(struct crowd *c, int n))
{
    struct umn_ctx *ctx[WAITERS];
    LARGE_INTEGER ms = relative_ms(3);
    int n = 0;
    c->through = 0;
    while (n < WAITERS && umn__ctx_spawn(&ctx[n], crowd_member, c, "waiter") == 0)
        n++;
    CHECK(n == WAITERS || plat_alloc_failed());
    KeDelayExecutionThread(KernelMode, FALSE, &ms);
    CHECK(c->through == 0);
    release(c, n);
    for (int i = 0; i < n; i++)
        umn__ctx_join(ctx[i]);
    CHECK(c->through == n);
}

static void release_all(struct crowd *c, int n)
{
    KeSetEvent(&c->event, 0, FALSE);
    KeClearEvent(&c->event); /* those who waited are through all the same */
}

static void release_one_by_one(struct crowd *c, int n)
{
    LARGE_INTEGER ms = relative_ms(3);
    for (int i = 0; i < n; i++) {
        KeSetEvent(&c->event, 0, FALSE);
        KeDelayExecutionThread(KernelMode, FALSE, &ms);
        CHECK(c->through == i + 1);
    }
}

static void release_semaphore(struct crowd *c, int n)
{
    LARGE_INTEGER ms = relative_ms(3);
    if (n > 1) {
        CHECK(KeReleaseSemaphore(&c->semaphore, 0, 2, FALSE) == 0);
        KeDelayExecutionThread(KernelMode, FALSE, &ms);
        CHECK(c->through == 2);
    }
    KeReleaseSemaphore(&c->semaphore, 0, n > 1 ? n - 2 : n, FALSE);
}

static void crowds(void *arg)
{
    struct crowd c;
    KeInitializeEvent(&c.event, NotificationEvent, FALSE);
    c.object = &c.event;
    crowd_run(&c, release_all);
    KeInitializeEvent(&c.event, SynchronizationEvent, FALSE);
    crowd_run(&c, release_one_by_one);
    KeInitializeSemaphore(&c.semaphore, 0, WAITERS);
    c.object = &c.semaphore;
    crowd_run(&c, release_semaphore);
    CHECK(KeReadStateSemaphore(&c.semaphore) == 0);
}

static void test_crowds(void **state)
{
    explore(crowds, 0);
}

static void wait_errors(void *arg)
{
    KEVENT event;
    KSEMAPHORE semaphore;
    LARGE_INTEGER ms = relative_ms(1), zero = {.QuadPart = 0};
    memset(&event, 0, sizeof event);
    KeSetEvent(&event, 0, FALSE); /* not initialized */
    CHECK(RULE("UninitializedObject") == 1);
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    KeInitializeSemaphore(&semaphore, 1, 1);
    KIRQL old = KeRaiseIrqlToDpcLevel();
    CHECK(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &zero) == STATUS_TIMEOUT);
    CHECK(umn__report_count() == 1);
    CHECK(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &ms) == STATUS_TIMEOUT);
    CHECK(RULE("IrqlKeWaitForMutexObject") == 1);
    KeSetEvent(&event, 0, TRUE);
    CHECK(RULE("IrqlKeSetEvent") == 1);
    KeLowerIrql(old);
    CHECK(KeReleaseSemaphore(&semaphore, 0, 1, FALSE) == 1);
    CHECK(RULE("SemaphoreLimit") == 1 && KeReadStateSemaphore(&semaphore) == 1);
}

static void test_wait_errors(void **state)
{
    explore(wait_errors, 4);
}

/* ---- mutexes --------------------------------------------------------------------------------- */

static void mutex_other(void *arg)
{
    struct pair *p = arg;
    LARGE_INTEGER zero = {.QuadPart = 0};
    CHECK(KeWaitForSingleObject(&p->mutex, Executive, KernelMode, FALSE, &zero) == STATUS_TIMEOUT);
    KeSetEvent(&p->a, 0, FALSE);
    CHECK(KeWaitForSingleObject(&p->mutex, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    p->order[p->n++] = 2;
    KeReleaseMutex(&p->mutex, FALSE);
}

static void mutexes(void *arg)
{
    struct pair p = {.n = 0};
    struct umn_ctx *ctx;
    KeInitializeMutex(&p.mutex, 0);
    KeInitializeEvent(&p.a, NotificationEvent, FALSE);
    CHECK(KeReadStateMutex(&p.mutex) == 1);
    CHECK(KeWaitForSingleObject(&p.mutex, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(KeWaitForSingleObject(&p.mutex, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(KeReadStateMutex(&p.mutex) == -1 && KeAreApcsDisabled());
    NEED(umn__ctx_spawn(&ctx, mutex_other, &p, "other") == 0, out);
    KeWaitForSingleObject(&p.a, Executive, KernelMode, FALSE, NULL);
    CHECK(KeReleaseMutex(&p.mutex, FALSE) == -1); /* still held once */
    p.order[p.n++] = 1;
    CHECK(KeReleaseMutex(&p.mutex, FALSE) == 0);
    umn__ctx_join(ctx);
    CHECK(p.order[0] == 1 && p.order[1] == 2);
    CHECK(!KeAreApcsDisabled());
    return;
out:
    KeReleaseMutex(&p.mutex, FALSE);
    KeReleaseMutex(&p.mutex, FALSE);
}

static void test_mutexes(void **state)
{
    explore(mutexes, 0);
}

static void release_foreign(void *arg)
{
    KeReleaseMutex(arg, FALSE);
}

static void mutex_errors(void *arg)
{
    KMUTEX mutex;
    FAST_MUTEX fast;
    struct umn_ctx *ctx;
    KeInitializeMutex(&mutex, 0);
    KeReleaseMutex(&mutex, FALSE);
    CHECK(RULE("ReleaseMutex") == 1);
    KeWaitForSingleObject(&mutex, Executive, KernelMode, FALSE, NULL);
    NEED(umn__ctx_spawn(&ctx, release_foreign, &mutex, "foreign") == 0, out);
    umn__ctx_join(ctx);
    CHECK(RULE("ReleaseMutex") == 2 && KeReadStateMutex(&mutex) == 0);
out:
    KeReleaseMutex(&mutex, FALSE);
    ExInitializeFastMutex(&fast);
    ExReleaseFastMutex(&fast); /* not held, and not at APC_LEVEL */
    CHECK(RULE("FastMutex") == 1 && RULE("IrqlExApcLte1") == 1);
    KeLeaveCriticalRegion();
    CHECK(RULE("CriticalRegions") == 1);
}

static void test_mutex_errors(void **state)
{
    explore(mutex_errors, 5);
}

struct fast {
    FAST_MUTEX mutex;
    KGUARDED_MUTEX guarded;
    ULONG_PTR push;
    int inside, rounds;
};

static void fast_worker(void *arg)
{
    struct fast *f = arg;
    for (int i = 0; i < 5; i++) {
        ExAcquireFastMutex(&f->mutex);
        CHECK(KeGetCurrentIrql() == APC_LEVEL);
        CHECK(f->inside++ == 0);
        umn__point(UMN_OP_YIELD, f);
        f->inside--;
        ExReleaseFastMutex(&f->mutex);
        CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
        KeAcquireGuardedMutex(&f->guarded);
        CHECK(f->inside++ == 0 || f->inside > 0);
        f->inside--;
        KeReleaseGuardedMutex(&f->guarded);
        KeEnterCriticalRegion();
        ExAcquirePushLockExclusiveEx(&f->push, 0);
        f->rounds++;
        ExReleasePushLockExclusiveEx(&f->push, 0);
        ExAcquirePushLockSharedEx(&f->push, 0);
        ExReleasePushLockSharedEx(&f->push, 0);
        KeLeaveCriticalRegion();
    }
}

static void fast_mutexes(void *arg)
{
    struct fast f = {.rounds = 0};
    struct umn_ctx *ctx[3];
    int n = 0;
    ExInitializeFastMutex(&f.mutex);
    KeInitializeGuardedMutex(&f.guarded);
    ExInitializePushLock(&f.push);
    CHECK(ExTryToAcquireFastMutex(&f.mutex) && !ExTryToAcquireFastMutex(&f.mutex));
    ExReleaseFastMutex(&f.mutex);
    while (n < 3 && umn__ctx_spawn(&ctx[n], fast_worker, &f, "fast") == 0)
        n++;
    for (int i = 0; i < n; i++)
        umn__ctx_join(ctx[i]);
    CHECK(f.rounds == 5 * n && f.push == 0);
}

static void test_fast_mutexes(void **state)
{
    explore(fast_mutexes, 0);
}

/* ---- DPCs and timers ------------------------------------------------------------------------- */

struct dpcs {
    KDPC dpc, target;
    KTIMER timer;
    KEVENT done;
    int runs, cpu;
    void *one, *two;
    KSPIN_LOCK lock;
};

static void NTAPI count_dpc(PKDPC Dpc, PVOID Context, PVOID One, PVOID Two)
{
    struct dpcs *d = Context;
    CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL && KeIsExecutingDpc());
    d->runs++;
    d->one = One;
    d->two = Two;
    d->cpu = (int)KeGetCurrentProcessorNumberEx(NULL);
    KeSetEvent(&d->done, 0, FALSE);
}

static void dpcs(void *arg)
{
    struct dpcs d = {.runs = 0};
    PROCESSOR_NUMBER second = {.Number = 1}, none = {.Number = 200};
    KeInitializeEvent(&d.done, SynchronizationEvent, FALSE);
    KeInitializeDpc(&d.dpc, count_dpc, &d);
    KeInitializeDpc(&d.target, count_dpc, &d);

    /* Held back on this processor while at DISPATCH_LEVEL, run as the IRQL drops. */
    KIRQL old = KeRaiseIrqlToDpcLevel();
    CHECK(KeInsertQueueDpc(&d.dpc, &d, NULL));
    CHECK(!KeInsertQueueDpc(&d.dpc, NULL, NULL) && d.runs == 0);
    KeLowerIrql(old);
    CHECK(d.runs == 1 && d.one == &d && d.two == NULL);
    KeClearEvent(&d.done);

    old = KeRaiseIrqlToDpcLevel();
    KeInsertQueueDpc(&d.dpc, NULL, NULL);
    CHECK(KeRemoveQueueDpc(&d.dpc) && !KeRemoveQueueDpc(&d.dpc));
    KeLowerIrql(old);
    CHECK(d.runs == 1);

    CHECK(KeSetTargetProcessorDpcEx(&d.target, &second) == STATUS_SUCCESS);
    CHECK(KeSetTargetProcessorDpcEx(&d.target, &none) == STATUS_INVALID_PARAMETER);
    KeInsertQueueDpc(&d.target, NULL, NULL);
    KeFlushQueuedDpcs();
    CHECK(d.runs == 2 && d.cpu == 1);
}

static void test_dpcs(void **state)
{
    explore(dpcs, 0);
}

static void NTAPI leaky_dpc(PKDPC Dpc, PVOID Context, PVOID One, PVOID Two)
{
    KeAcquireSpinLockAtDpcLevel(&((struct dpcs *)Context)->lock);
}

static void dpc_error(void *arg)
{
    struct dpcs d = {.runs = 0};
    KeInitializeDpc(&d.dpc, leaky_dpc, &d);
    KeInitializeSpinLock(&d.lock);
    KeInsertQueueDpc(&d.dpc, NULL, NULL);
    KeFlushQueuedDpcs();
    CHECK(RULE("SpinLock") == 1);
}

static void test_dpc_error(void **state)
{
    umn__report_quiet(true);
    run_once(dpc_error, &(struct umn_sched_config){.backend = UMN_BACKEND_EXPLORE}, 0, 1);
    umn__report_quiet(false);
}

static void timers(void *arg)
{
    struct dpcs d = {.runs = 0};
    LARGE_INTEGER ms = relative_ms(1), later = relative_ms(100), three = relative_ms(36);
    KeInitializeEvent(&d.done, SynchronizationEvent, FALSE);
    KeInitializeDpc(&d.dpc, count_dpc, &d);
    KeInitializeTimerEx(&d.timer, NotificationTimer);

    CHECK(!KeCancelTimer(&d.timer));
    CHECK(!KeSetTimer(&d.timer, later, &d.dpc));
    CHECK(KeSetTimer(&d.timer, later, &d.dpc)); /* it was set */
    CHECK(KeCancelTimer(&d.timer) && !KeCancelTimer(&d.timer));

    uint64_t before = umn__now();
    CHECK(!KeSetTimer(&d.timer, ms, &d.dpc));
    CHECK(!KeReadStateTimer(&d.timer));
    CHECK(KeWaitForSingleObject(&d.timer, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(umn__now() - before >= 10000 && KeReadStateTimer(&d.timer));
    KeFlushQueuedDpcs();
    CHECK(d.runs == 1);

    /* Periodic, until cancelled. */
    KeClearEvent(&d.done);
    d.runs = 0;
    KeInitializeTimerEx(&d.timer, SynchronizationTimer);
    KeSetTimerEx(&d.timer, ms, 10, &d.dpc);
    KeDelayExecutionThread(KernelMode, FALSE, &three);
    KeCancelTimer(&d.timer);
    KeFlushQueuedDpcs();
    int runs = d.runs;
    CHECK(runs >= 3 && runs <= 5);
    KeDelayExecutionThread(KernelMode, FALSE, &three);
    CHECK(d.runs == runs);
    /* A synchronization timer lets one wait through for each signal. */
    CHECK(KeReadStateTimer(&d.timer));
    CHECK(KeWaitForSingleObject(&d.timer, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(!KeReadStateTimer(&d.timer));
}

static void test_timers(void **state)
{
    explore(timers, 0);
}

/* Two threads set and cancel one timer; afterwards it fires exactly as it was last told to. */
static void timer_fiddler(void *arg)
{
    struct dpcs *d = arg;
    for (int i = 0; i < 6; i++) {
        LARGE_INTEGER due = relative_ms(i % 3);
        KeSetTimer(&d->timer, due, &d->dpc);
        if (i % 2)
            KeCancelTimer(&d->timer);
    }
}

static void timer_race(void *arg)
{
    struct dpcs d = {.runs = 0};
    struct umn_ctx *ctx;
    LARGE_INTEGER ms = relative_ms(1), far = relative_ms(60000);
    KeInitializeEvent(&d.done, SynchronizationEvent, FALSE);
    KeInitializeDpc(&d.dpc, count_dpc, &d);
    KeInitializeTimer(&d.timer);
    NEED(umn__ctx_spawn(&ctx, timer_fiddler, &d, "fiddler") == 0, out);
    timer_fiddler(&d);
    umn__ctx_join(ctx);
out:
    KeCancelTimer(&d.timer);
    KeFlushQueuedDpcs();
    d.runs = 0;
    KeSetTimer(&d.timer, ms, &d.dpc);
    KeWaitForSingleObject(&d.timer, Executive, KernelMode, FALSE, NULL);
    KeFlushQueuedDpcs();
    CHECK(d.runs == 1);
    KeSetTimer(&d.timer, far, &d.dpc);
    CHECK(KeCancelTimer(&d.timer));
}

static void test_timer_race(void **state)
{
    explore(timer_race, 0);
}

/* A timer is set again, or cancelled, in the very moment it fires: what the call returns is what
 * the DPC does. */
static void timer_moment(void *arg)
{
    struct dpcs d = {.runs = 0};
    LARGE_INTEGER soon = {.QuadPart = -30}, far = relative_ms(60000), ms = relative_ms(8);
    KeInitializeEvent(&d.done, SynchronizationEvent, FALSE);
    KeInitializeDpc(&d.dpc, count_dpc, &d);
    KeInitializeTimer(&d.timer);
    for (int i = 0; i < 24; i++) {
        d.runs = 0;
        KeSetTimerEx(&d.timer, soon, i % 3 == 2 ? 1 : 0, &d.dpc);
        for (int k = 0; k < i % 6; k++)
            umn__stall(1);
        bool taken_back = i % 3 ? KeCancelTimer(&d.timer) : KeSetTimer(&d.timer, far, &d.dpc);
        KeFlushQueuedDpcs();
        int runs = d.runs;
        if (i % 3 < 2)
            CHECK(runs == (taken_back ? 0 : 1));
        if (i % 3 == 2) {
            KeDelayExecutionThread(KernelMode, FALSE, &ms);
            CHECK(d.runs == runs); /* no period goes on after a cancel */
        }
        KeCancelTimer(&d.timer);
    }
}

static void test_timer_moment(void **state)
{
    explore(timer_moment, 0);
}

/* ---- spin locks ------------------------------------------------------------------------------ */

struct spin {
    KSPIN_LOCK lock, queued;
    EX_SPIN_LOCK rw;
    int inside, value;
};

static void spin_worker(void *arg)
{
    struct spin *s = arg;
    KLOCK_QUEUE_HANDLE handle;
    KIRQL old;
    for (int i = 0; i < 5; i++) {
        KeAcquireSpinLock(&s->lock, &old);
        CHECK(s->inside++ == 0 && umn__locks_held() == 1);
        umn__point(UMN_OP_YIELD, s);
        s->value++;
        s->inside--;
        KeReleaseSpinLock(&s->lock, old);
        KeAcquireInStackQueuedSpinLock(&s->queued, &handle);
        s->value++;
        KeReleaseInStackQueuedSpinLock(&handle);
        old = ExAcquireSpinLockExclusive(&s->rw);
        s->value++;
        ExReleaseSpinLockExclusive(&s->rw, old);
        old = ExAcquireSpinLockShared(&s->rw);
        ExReleaseSpinLockShared(&s->rw, old);
        CHECK(umn__locks_held() == 0 && KeGetCurrentIrql() == PASSIVE_LEVEL);
    }
}

static void spin_locks(void *arg)
{
    struct spin s = {.value = 0};
    struct umn_ctx *ctx;
    int n = 1;
    KeInitializeSpinLock(&s.lock);
    KeInitializeSpinLock(&s.queued);
    if (umn__ctx_spawn(&ctx, spin_worker, &s, "spinner") == 0)
        n = 2;
    spin_worker(&s);
    if (n == 2)
        umn__ctx_join(ctx);
    CHECK(s.inside == 0 && s.lock == 0 && s.rw == 0);
    CHECK(KeTestSpinLock(&s.lock));
    KIRQL old = KeRaiseIrqlToDpcLevel();
    CHECK(KeTryToAcquireSpinLockAtDpcLevel(&s.lock) && !KeTryToAcquireSpinLockAtDpcLevel(&s.lock));
    KeReleaseSpinLockFromDpcLevel(&s.lock);
    ExAcquireSpinLockSharedAtDpcLevel(&s.rw);
    CHECK(ExTryConvertSharedSpinLockExclusive(&s.rw));
    ExReleaseSpinLockExclusiveFromDpcLevel(&s.rw);
    KeLowerIrql(old);
}

static void test_spin_locks(void **state)
{
    explore(spin_locks, 0);
}

static void spin_errors(void *arg)
{
    KSPIN_LOCK lock = 0;
    KIRQL old;
    KeReleaseSpinLock(&lock, PASSIVE_LEVEL); /* nobody holds it, and not at DISPATCH_LEVEL */
    CHECK(RULE("SpinlockRelease") == 1 && RULE("IrqlKeReleaseSpinLock") == 1);
    KeAcquireSpinLockAtDpcLevel(&lock);
    CHECK(RULE("IrqlDispatch") == 1);
    KeReleaseSpinLockFromDpcLevel(&lock);
    KeLowerIrql(PASSIVE_LEVEL);
    KeLowerIrql(DISPATCH_LEVEL);
    CHECK(RULE("IrqlKeRaiseLower") == 1 && KeGetCurrentIrql() == PASSIVE_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeRaiseIrql(APC_LEVEL, &old);
    CHECK(RULE("IrqlKeRaiseLower") == 2 && KeGetCurrentIrql() == DISPATCH_LEVEL);
    KeLowerIrql(PASSIVE_LEVEL);
    KeAcquireSpinLock(&lock, &old);
    KeReleaseSpinLock(&lock, DISPATCH_LEVEL); /* not what it was */
    CHECK(umn__report_get(5) && umn__report_get(5)->code == 0x20015);
    KeLowerIrql(old);
}

static void test_spin_errors(void **state)
{
    explore(spin_errors, 6);
}

static void self_deadlock(void *arg)
{
    KSPIN_LOCK lock = 0;
    KIRQL old;
    KeAcquireSpinLock(&lock, &old);
    KeAcquireSpinLockAtDpcLevel(&lock);
}

/* Taking a lock twice is reported with its code, and the run ends as a hang, not in silence. */
static void test_self_deadlock(void **state)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE};
    umn__report_reset();
    umn__report_quiet(true);
    assert_int_equal(umn__sched_start(&config), 0);
    assert_int_equal(umn__nt_start(), 0);
    assert_int_equal(umn__sched_run(self_deadlock, NULL), UMN_EHANG);
    assert_int_equal(umn__report_count_rule("SpinLock"), 1);
    assert_int_equal(umn__report_get(0)->code, 0x1000);
    umn__nt_stop();
    umn__sched_stop();
    umn__report_quiet(false);
}

/* ---- threads, work items, run-down ----------------------------------------------------------- */

static int thread_steps;

static void NTAPI thread_routine(PVOID Context)
{
    thread_steps++;
    CHECK(ObReferenceObjectByPointer(PsGetCurrentThread(), 0, NULL, KernelMode) == STATUS_SUCCESS);
    ObDereferenceObject(PsGetCurrentThread());
    if (Context)
        PsTerminateSystemThread(STATUS_CANCELLED);
    thread_steps += 10;
}

extern POBJECT_TYPE *PsThreadType;

static void threads(void *arg)
{
    for (int i = 0; i < 2; i++) {
        HANDLE handle;
        PVOID thread;
        thread_steps = 0;
        NEED(PsCreateSystemThread(&handle, 0, NULL, NULL, NULL, thread_routine,
                                  i ? arg : &handle) >= 0,
             out);
        CHECK(ObReferenceObjectByHandle(handle, 0, *PsThreadType, KernelMode, &thread, NULL) ==
              STATUS_SUCCESS);
        CHECK(ZwClose(handle) == STATUS_SUCCESS);
        CHECK(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
        CHECK(thread_steps == (i ? 11 : 1));
        CHECK(PsGetThreadExitStatus(thread) == (i ? STATUS_SUCCESS : STATUS_CANCELLED));
        CHECK(PsGetThreadId(thread) != PsGetCurrentThreadId());
        ObDereferenceObject(thread);
    }
    CHECK(PsTerminateSystemThread(0) == STATUS_INVALID_PARAMETER);
    CHECK(KeGetCurrentThread() == KeGetCurrentThread());
out:;
}

static void test_threads(void **state)
{
    explore(threads, 0);
}

static void thread_errors(void *arg)
{
    PVOID object;
    CHECK(ZwClose((HANDLE)(uintptr_t)0x44) == STATUS_INVALID_HANDLE);
    CHECK(ObReferenceObjectByHandle((HANDLE)(uintptr_t)8, 0, NULL, KernelMode, &object, NULL) ==
          STATUS_INVALID_HANDLE);
    CHECK(object == NULL && RULE("ObjectReference") == 2);
}

static void test_thread_errors(void **state)
{
    explore(thread_errors, 2);
}

struct work {
    WORK_QUEUE_ITEM item;
    KEVENT done;
    int runs;
};

static void NTAPI work_routine(PVOID Parameter)
{
    struct work *w = Parameter;
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    if (++w->runs < 3) {
        ExQueueWorkItem(&w->item, DelayedWorkQueue); /* again, from its own routine */
        return;
    }
    KeSetEvent(&w->done, 0, FALSE);
}

static void work_items(void *arg)
{
    struct work w = {.runs = 0};
    KeInitializeEvent(&w.done, NotificationEvent, FALSE);
    ExInitializeWorkItem(&w.item, work_routine, &w);
    KIRQL old = KeRaiseIrqlToDpcLevel();
    ExQueueWorkItem(&w.item, CriticalWorkQueue);
    KeLowerIrql(old);
    KeWaitForSingleObject(&w.done, Executive, KernelMode, FALSE, NULL);
    CHECK(w.runs == 3);
}

static void test_work_items(void **state)
{
    explore(work_items, 0);
}

/* ---- bug checks ------------------------------------------------------------------------------ */

static jmp_buf bugcheck_frame;
static ULONG bugcheck_code;

static void bugcheck(ULONG code, const ULONG_PTR params[4])
{
    bugcheck_code = code;
    longjmp(bugcheck_frame, 1);
}

static void too_many(void *arg)
{
    KEVENT events[4];
    PVOID objects[4];
    for (int i = 0; i < 4; i++) {
        KeInitializeEvent(&events[i], NotificationEvent, FALSE);
        objects[i] = &events[i];
    }
    bugcheck_code = 0;
    umn__bugcheck_hook(bugcheck);
    if (setjmp(bugcheck_frame) == 0)
        KeWaitForMultipleObjects(4, objects, WaitAny, Executive, KernelMode, FALSE, NULL, NULL);
    umn__bugcheck_hook(NULL);
    CHECK(bugcheck_code == MAXIMUM_WAIT_OBJECTS_EXCEEDED);
}

static void test_bugcheck(void **state)
{
    explore(too_many, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits),        cmocka_unit_test(test_crowds),
        cmocka_unit_test(test_wait_errors),  cmocka_unit_test(test_mutexes),
        cmocka_unit_test(test_mutex_errors), cmocka_unit_test(test_fast_mutexes),
        cmocka_unit_test(test_dpcs),         cmocka_unit_test(test_dpc_error),
        cmocka_unit_test(test_timers),       cmocka_unit_test(test_timer_race),
        cmocka_unit_test(test_timer_moment), cmocka_unit_test(test_spin_locks),
        cmocka_unit_test(test_spin_errors),  cmocka_unit_test(test_self_deadlock),
        cmocka_unit_test(test_threads),      cmocka_unit_test(test_thread_errors),
        cmocka_unit_test(test_work_items),   cmocka_unit_test(test_bugcheck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
