/* SPDX-License-Identifier: MIT */
/*
 * src/nt on the threads back end: real parallel contexts over the same objects, for the thread
 * sanitizer and for what only true concurrency shows. Sums and exclusion are checked, never times.
 */
#include "nt_harness.h"

#define CONTEXTS 4
#define ROUNDS 300

static struct {
    KSPIN_LOCK lock;
    EX_SPIN_LOCK rw;
    FAST_MUTEX fast;
    KMUTEX mutex;
    KSEMAPHORE semaphore;
    KEVENT event, never;
    ULONG_PTR push;
    EX_RUNDOWN_REF rundown;
    KTIMER timer;
    KDPC dpc;
    SLIST_HEADER list;
    int64_t spun, shared, fasted, owned, pushed, queued, ran, fired;
    bool over;
} s;

/* Plain counters: only the lock around each keeps them right. */
static void locks(void)
{
    KIRQL old;
    KLOCK_QUEUE_HANDLE handle;
    KeAcquireSpinLock(&s.lock, &old);
    s.spun++;
    KeReleaseSpinLock(&s.lock, old);
    KeAcquireInStackQueuedSpinLock(&s.lock, &handle);
    s.spun++;
    KeReleaseInStackQueuedSpinLock(&handle);
    old = ExAcquireSpinLockExclusive(&s.rw);
    s.shared++;
    ExReleaseSpinLockExclusive(&s.rw, old);
    old = ExAcquireSpinLockShared(&s.rw);
    CHECK(s.shared > 0);
    ExReleaseSpinLockShared(&s.rw, old);
    ExAcquireFastMutex(&s.fast);
    s.fasted++;
    ExReleaseFastMutex(&s.fast);
    KeWaitForSingleObject(&s.mutex, Executive, KernelMode, FALSE, NULL);
    s.owned++;
    KeReleaseMutex(&s.mutex, FALSE);
    KeEnterCriticalRegion();
    ExAcquirePushLockExclusiveEx(&s.push, 0);
    s.pushed++;
    ExReleasePushLockExclusiveEx(&s.push, 0);
    KeLeaveCriticalRegion();
}

/* A semaphore of one, waited for beside an event that never comes, and with timeouts of nothing. */
static void waits(int i)
{
    PVOID both[2] = {&s.never, &s.semaphore};
    LARGE_INTEGER none = {.QuadPart = 0}, short_time = {.QuadPart = -20};
    CHECK(KeWaitForMultipleObjects(2, both, WaitAny, Executive, KernelMode, FALSE, NULL, NULL) ==
          1);
    s.queued++;
    KeReleaseSemaphore(&s.semaphore, 0, 1, FALSE);
    if (i % 8 == 0)
        CHECK(KeWaitForSingleObject(&s.never, Executive, KernelMode, FALSE, &short_time) ==
              STATUS_TIMEOUT);
    NTSTATUS status =
        KeWaitForMultipleObjects(2, both, WaitAll, Executive, KernelMode, FALSE, &none, NULL);
    CHECK(status == STATUS_TIMEOUT);
    KeSetEvent(&s.event, 0, FALSE);
    KeWaitForSingleObject(&s.event, Executive, KernelMode, FALSE, &short_time);
}

static void NTAPI timer_dpc(PKDPC Dpc, PVOID Context, PVOID One, PVOID Two)
{
    __atomic_add_fetch(&s.fired, 1, __ATOMIC_RELAXED);
}

static void others(int i)
{
    LARGE_INTEGER due = {.QuadPart = -(i % 3) * 10};
    KeSetTimer(&s.timer, due, &s.dpc);
    if (i % 2)
        KeCancelTimer(&s.timer);
    if (ExAcquireRundownProtection(&s.rundown)) {
        CHECK(!__atomic_load_n(&s.over, __ATOMIC_RELAXED));
        ExReleaseRundownProtection(&s.rundown);
    }
    PSLIST_ENTRY e = InterlockedPopEntrySList(&s.list);
    if (e)
        InterlockedPushEntrySList(&s.list, e);
    void *p = ExAllocatePoolWithTag(NonPagedPoolNx, 16 + (SIZE_T)i, 0x74736554);
    CHECK(p != NULL);
    ExFreePoolWithTag(p, 0x74736554);
}

static void NTAPI body(PVOID Context)
{
    for (int i = 0; i < ROUNDS; i++) {
        locks();
        waits(i);
        others(i);
    }
}

static struct work {
    WORK_QUEUE_ITEM item;
} works[8];

static void NTAPI work_routine(PVOID Parameter)
{
    if (__atomic_add_fetch(&s.ran, 1, __ATOMIC_ACQ_REL) == 8)
        KeSetEvent(&s.never, 0, FALSE);
}

extern POBJECT_TYPE *PsThreadType;

static void start(void)
{
    memset(&s, 0, sizeof s);
    KeInitializeSpinLock(&s.lock);
    ExInitializeFastMutex(&s.fast);
    KeInitializeMutex(&s.mutex, 0);
    KeInitializeSemaphore(&s.semaphore, 1, 1);
    KeInitializeEvent(&s.event, SynchronizationEvent, FALSE);
    KeInitializeEvent(&s.never, NotificationEvent, FALSE);
    ExInitializeRundownProtection(&s.rundown);
    KeInitializeTimer(&s.timer);
    KeInitializeDpc(&s.dpc, timer_dpc, NULL);
    InitializeSListHead(&s.list);
}

static void everything(void *arg)
{
    static SLIST_ENTRY entries[4];
    PVOID thread[CONTEXTS];
    start();
    for (int i = 0; i < 4; i++)
        InterlockedPushEntrySList(&s.list, &entries[i]);
    for (int i = 0; i < CONTEXTS; i++) {
        HANDLE handle;
        CHECK(PsCreateSystemThread(&handle, 0, NULL, NULL, NULL, body, NULL) == STATUS_SUCCESS);
        CHECK(ObReferenceObjectByHandle(handle, 0, *PsThreadType, KernelMode, &thread[i], NULL) ==
              STATUS_SUCCESS);
        ZwClose(handle);
    }
    LARGE_INTEGER ms = relative_ms(5);
    KeDelayExecutionThread(KernelMode, FALSE, &ms);
    ExWaitForRundownProtectionRelease(&s.rundown);
    __atomic_store_n(&s.over, true, __ATOMIC_RELAXED);
    KWAIT_BLOCK blocks[CONTEXTS];
    CHECK(KeWaitForMultipleObjects(CONTEXTS, thread, WaitAll, Executive, KernelMode, FALSE, NULL,
                                   blocks) == STATUS_SUCCESS);
    for (int i = 0; i < CONTEXTS; i++)
        ObDereferenceObject(thread[i]);
    const int64_t all = CONTEXTS * ROUNDS;
    CHECK(s.spun == 2 * all && s.shared == all && s.fasted == all && s.owned == all &&
          s.pushed == all && s.queued == all);
    CHECK(QueryDepthSList(&s.list) == 4);
    KeCancelTimer(&s.timer);
    KeFlushQueuedDpcs();
    int64_t fired = __atomic_load_n(&s.fired, __ATOMIC_RELAXED);
    CHECK(fired <= all);
    for (int i = 0; i < 8; i++) {
        ExInitializeWorkItem(&works[i].item, work_routine, NULL);
        ExQueueWorkItem(&works[i].item, DelayedWorkQueue);
    }
    KeWaitForSingleObject(&s.never, Executive, KernelMode, FALSE, NULL);
    CHECK(__atomic_load_n(&s.fired, __ATOMIC_RELAXED) == fired);
}

static void test_everything(void **state)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_THREADS, .cpus = 3, .workers = 2};
    run_once(everything, &config, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_everything)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
