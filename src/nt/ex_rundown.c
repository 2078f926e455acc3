/* SPDX-License-Identifier: MIT */
/*
 * Run-down protection and remove locks: counts that a remover waits to become zero.
 *
 * EX_RUNDOWN_REF: bit 0 = rundown has begun; then the rest is the address of the waiter's record,
 * or 0 when it has completed. Before, the word is 2 * number of holders. IO_REMOVE_LOCK: the
 * Windows layout, its event is signaled by the last release.
 */
#include "nt/private.h"

#include <string.h>

#define ACTIVE 1ull

struct waiter {
    KEVENT event;
    int64_t left;
};

static ULONG_PTR load(const EX_RUNDOWN_REF *ref)
{
    return __atomic_load_n(&ref->Count, __ATOMIC_ACQUIRE);
}

static bool swap(PEX_RUNDOWN_REF ref, ULONG_PTR *old, ULONG_PTR new)
{
    return __atomic_compare_exchange_n(&ref->Count, old, new, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

/* Any level. nf-wdm-exinitializerundownprotection.md */
void NTAPI ExInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    RunRef->Count = 0;
}

/* After a rundown; nobody else may use it now. nf-wdm-exreinitializerundownprotection.md */
void NTAPI ExReInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    __atomic_store_n(&RunRef->Count, 0, __ATOMIC_RELEASE);
}

/* Count holds at once. FALSE once rundown has begun. <= DISPATCH_LEVEL.
 * nf-wdm-exacquirerundownprotectionex.md */
BOOLEAN NTAPI ExAcquireRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)
{
    umn__point(UMN_OP_ATOMIC, RunRef);
    ULONG_PTR old = load(RunRef);
    do {
        if (old & ACTIVE)
            return FALSE;
    } while (!swap(RunRef, &old, old + 2ull * Count));
    return TRUE;
}

BOOLEAN NTAPI ExAcquireRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    return ExAcquireRundownProtectionEx(RunRef, 1);
}

/* <= DISPATCH_LEVEL. nf-wdm-exreleaserundownprotectionex.md */
void NTAPI ExReleaseRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)
{
    umn__point(UMN_OP_ATOMIC, RunRef);
    ULONG_PTR old = load(RunRef);
    while (!(old & ACTIVE)) {
        if (old < 2ull * Count) {
            umn__report("RundownProtection", 0,
                        "run-down protection %p released more than acquired", (void *)RunRef);
            return;
        }
        if (swap(RunRef, &old, old - 2ull * Count))
            return;
    }
    struct waiter *w = (struct waiter *)(old & ~ACTIVE);
    if (!w) {
        umn__report("RundownProtection", 0, "run-down protection %p released after its rundown",
                    (void *)RunRef);
        return;
    }
    if (__atomic_sub_fetch(&w->left, (int64_t)Count, __ATOMIC_ACQ_REL) == 0)
        KeSetEvent(&w->event, 0, FALSE);
}

void NTAPI ExReleaseRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    ExReleaseRundownProtectionEx(RunRef, 1);
}

/* Lets nobody in any more, and waits until all have left. <= APC_LEVEL.
 * nf-wdm-exwaitforrundownprotectionrelease.md */
void NTAPI ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF RunRef)
{
    struct waiter w;
    umn__check_irql(APC_LEVEL, "ExWaitForRundownProtectionRelease");
    KeInitializeEvent(&w.event, NotificationEvent, FALSE);
    umn__point(UMN_OP_ATOMIC, RunRef);
    ULONG_PTR old = load(RunRef);
    do {
        if (old & ACTIVE)
            return;
        w.left = (int64_t)(old / 2);
    } while (!swap(RunRef, &old, (old ? (ULONG_PTR)&w : 0) | ACTIVE));
    if (!old)
        return;
    KeWaitForSingleObject(&w.event, Executive, KernelMode, FALSE, NULL);
    __atomic_store_n(&RunRef->Count, ACTIVE, __ATOMIC_RELEASE);
}

/* The rundown is over: later acquires fail. */
void NTAPI ExRundownCompleted(PEX_RUNDOWN_REF RunRef)
{
    __atomic_store_n(&RunRef->Count, ACTIVE, __ATOMIC_RELEASE);
}

/* ---- cache-aware: one reference in memory of its own ----------------------------------------- */

struct _EX_RUNDOWN_REF_CACHE_AWARE {
    EX_RUNDOWN_REF ref;
    ULONG tag;
};

/* NULL without memory. <= DISPATCH_LEVEL. nf-wdm-exallocatecacheawarerundownprotection.md */
PEX_RUNDOWN_REF_CACHE_AWARE NTAPI ExAllocateCacheAwareRundownProtection(POOL_TYPE PoolType,
                                                                        ULONG PoolTag)
{
    PEX_RUNDOWN_REF_CACHE_AWARE ref =
        umn__pool_alloc((POOL_TYPE)(PoolType | POOL_ZERO_ALLOCATION), sizeof *ref, PoolTag,
                        __builtin_return_address(0));
    if (ref)
        ref->tag = PoolTag;
    return ref;
}

void NTAPI ExFreeCacheAwareRundownProtection(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware)
{
    ExFreePoolWithTag(RunRefCacheAware, RunRefCacheAware->tag);
}

BOOLEAN NTAPI ExAcquireRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware)
{
    return ExAcquireRundownProtectionEx(&RunRefCacheAware->ref, 1);
}

BOOLEAN NTAPI ExAcquireRundownProtectionCacheAwareEx(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware,
                                                     ULONG Count)
{
    return ExAcquireRundownProtectionEx(&RunRefCacheAware->ref, Count);
}

void NTAPI ExReleaseRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware)
{
    ExReleaseRundownProtectionEx(&RunRefCacheAware->ref, 1);
}

void NTAPI ExReleaseRundownProtectionCacheAwareEx(PEX_RUNDOWN_REF_CACHE_AWARE RunRef, ULONG Count)
{
    ExReleaseRundownProtectionEx(&RunRef->ref, Count);
}

void NTAPI ExWaitForRundownProtectionReleaseCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef)
{
    ExWaitForRundownProtectionRelease(&RunRef->ref);
}

void NTAPI ExReInitializeRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware)
{
    ExReInitializeRundownProtection(&RunRefCacheAware->ref);
}

void NTAPI ExRundownCompletedCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware)
{
    ExRundownCompleted(&RunRefCacheAware->ref);
}

SIZE_T NTAPI ExSizeOfRundownProtectionCacheAware(void)
{
    return sizeof(struct _EX_RUNDOWN_REF_CACHE_AWARE);
}

/* In the driver's own memory. */
void NTAPI ExInitializeRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware,
                                                   SIZE_T RunRefSize)
{
    memset(RunRefCacheAware, 0, sizeof *RunRefCacheAware);
}

/* ---- remove locks ---------------------------------------------------------------------------- */

/* PASSIVE_LEVEL, in AddDevice. nf-wdm-ioinitializeremovelock.md */
void NTAPI IoInitializeRemoveLockEx(PIO_REMOVE_LOCK Lock, ULONG AllocateTag, ULONG MaxLockedMinutes,
                                    ULONG HighWatermark, ULONG RemlockSize)
{
    memset(Lock, 0, sizeof *Lock);
    Lock->Common.IoCount = 1;
    KeInitializeEvent(&Lock->Common.RemoveEvent, SynchronizationEvent, FALSE);
}

/* STATUS_DELETE_PENDING once removal has begun. <= DISPATCH_LEVEL. nf-wdm-ioacquireremovelock.md */
NTSTATUS NTAPI IoAcquireRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, PCSTR File, ULONG Line,
                                     ULONG RemlockSize)
{
    umn__check_irql(DISPATCH_LEVEL, "IoAcquireRemoveLock");
    umn__point(UMN_OP_ATOMIC, RemoveLock);
    __atomic_add_fetch(&RemoveLock->Common.IoCount, 1, __ATOMIC_ACQ_REL);
    if (!__atomic_load_n(&RemoveLock->Common.Removed, __ATOMIC_ACQUIRE))
        return STATUS_SUCCESS;
    IoReleaseRemoveLockEx(RemoveLock, Tag, RemlockSize);
    return STATUS_DELETE_PENDING;
}

/* <= DISPATCH_LEVEL. nf-wdm-ioreleaseremovelock.md */
void NTAPI IoReleaseRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize)
{
    umn__check_irql(DISPATCH_LEVEL, "IoReleaseRemoveLock");
    umn__point(UMN_OP_ATOMIC, RemoveLock);
    LONG left = __atomic_sub_fetch(&RemoveLock->Common.IoCount, 1, __ATOMIC_ACQ_REL);
    if (left < 0)
        umn__report("RemoveLock", 0xd6, "remove lock %p released more often than acquired",
                    (void *)RemoveLock);
    if (left == 0)
        KeSetEvent(&RemoveLock->Common.RemoveEvent, 0, FALSE);
}

/* Begins removal, drops the caller's hold and waits for the others. PASSIVE_LEVEL.
 * nf-wdm-ioreleaseremovelockandwait.md */
void NTAPI IoReleaseRemoveLockAndWaitEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize)
{
    umn__check_irql(PASSIVE_LEVEL, "IoReleaseRemoveLockAndWait");
    umn__point(UMN_OP_ATOMIC, RemoveLock);
    __atomic_store_n(&RemoveLock->Common.Removed, TRUE, __ATOMIC_RELEASE);
    IoReleaseRemoveLockEx(RemoveLock, Tag, RemlockSize);
    if (__atomic_sub_fetch(&RemoveLock->Common.IoCount, 1, __ATOMIC_ACQ_REL) > 0)
        KeWaitForSingleObject(&RemoveLock->Common.RemoveEvent, Executive, KernelMode, FALSE, NULL);
}
