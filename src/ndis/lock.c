/* SPDX-License-Identifier: MIT */
/*
 * Locks and events for drivers. NDIS_SPIN_LOCK and NDIS_EVENT are src/nt's spin locks and events.
 *
 * Reader/writer locks: a reader at DISPATCH_LEVEL counts itself in the slot of its vCPU, a cache
 * line that no other reader writes; a writer holds `word` (a spin lock) and waits until every slot
 * is empty. A reader that finds a writer takes `word` itself to get in. Readers may nest on a vCPU:
 * with the slot not empty the writer waits for this very reader, so that it goes on at once.
 */
#include "ndis/data.h"

/* ---- spin locks
 * ------------------------------------------------------------------------------------ */

/* Raises to DISPATCH_LEVEL. <= DISPATCH_LEVEL. nf-ndis-ndisacquirespinlock.md */
void NTAPI NdisAcquireSpinLock(PNDIS_SPIN_LOCK SpinLock)
{
    KIRQL old = KeAcquireSpinLockRaiseToDpc(&SpinLock->SpinLock);

    SpinLock->OldIrql = old;
}

/* DISPATCH_LEVEL. nf-ndis-ndisreleasespinlock.md */
void NTAPI NdisReleaseSpinLock(PNDIS_SPIN_LOCK SpinLock)
{
    KeReleaseSpinLock(&SpinLock->SpinLock, SpinLock->OldIrql);
}

/* At DISPATCH_LEVEL only. nf-ndis-ndisdpracquirespinlock.md */
void NTAPI NdisDprAcquireSpinLock(PNDIS_SPIN_LOCK SpinLock)
{
    KeAcquireSpinLockAtDpcLevel(&SpinLock->SpinLock);
    SpinLock->OldIrql = DISPATCH_LEVEL;
}

void NTAPI NdisDprReleaseSpinLock(PNDIS_SPIN_LOCK SpinLock)
{
    KeReleaseSpinLockFromDpcLevel(&SpinLock->SpinLock);
}

/* ---- waiting for readers
 * ------------------------------------------------------------------------------ */

static void spin_once(void)
{
    if (umn__sched_backend() == UMN_BACKEND_EXPLORE)
        umn__stall(1); /* lets the reader's vCPU run */
    else
        __builtin_ia32_pause();
}

static uint8_t raise(bool at_dispatch, const char *function)
{
    uint8_t old = umn__irql();

    if (old < UMN_DISPATCH) {
        if (at_dispatch)
            umn__report("NBL-17", 0, "%s: NDIS_RWL_AT_DISPATCH_LEVEL at IRQL %u", function, old);
        umn__irql_raise(UMN_DISPATCH);
    }
    return old;
}

static void lower(uint8_t old)
{
    if (old < UMN_DISPATCH)
        umn__irql_lower(old);
}

/* ---- NDIS_RW_LOCK_EX
 * ------------------------------------------------------------------------------------ */

struct rw_slot {
    uint32_t readers;
    char pad[60];
};
struct _NDIS_RW_LOCK_EX {
    uint64_t word;   /* held by the writer, and by a reader getting in */
    uint32_t writer; /* 1: wait for it */
    uint32_t cpus;
    char pad[48];
    struct rw_slot slot[];
};
enum { RW_FREE, RW_READ, RW_WRITE };

/* A lock in memory of its own, or NULL. <= DISPATCH_LEVEL. nf-ndis-ndisallocaterwlock.md */
PNDIS_RW_LOCK_EX NTAPI NdisAllocateRWLock(NDIS_HANDLE NdisHandle)
{
    unsigned cpus = umn__cpu_count();
    NDIS_RW_LOCK_EX *l;

    umn__check_irql(UMN_DISPATCH, "NdisAllocateRWLock");
    l = plat_alloc_aligned(64, sizeof(*l) + cpus * sizeof(struct rw_slot));
    if (!l)
        return NULL;
    l->word = 0;
    l->writer = 0;
    l->cpus = cpus;
    for (unsigned i = 0; i < cpus; i++)
        l->slot[i].readers = 0;
    return l;
}

void NTAPI NdisFreeRWLock(PNDIS_RW_LOCK_EX Lock)
{
    umn__check_irql(UMN_DISPATCH, "NdisFreeRWLock");
    for (unsigned i = 0; i < Lock->cpus; i++)
        if (__atomic_load_n(&Lock->slot[i].readers, __ATOMIC_RELAXED) || Lock->writer) {
            umn__report("RWLock", 0, "NdisFreeRWLock: the lock is held");
            break;
        }
    plat_free(Lock);
}

static void NTAPI read_slow(NDIS_RW_LOCK_EX *l, struct rw_slot *slot)
{
    __atomic_fetch_sub(&slot->readers, 1, __ATOMIC_SEQ_CST);
    umn__spin_acquire(&l->word);
    __atomic_fetch_add(&slot->readers, 1, __ATOMIC_SEQ_CST);
    umn__spin_release(&l->word);
}

/* Shared, at DISPATCH_LEVEL until NdisReleaseRWLock. Flags: NDIS_RWL_AT_DISPATCH_LEVEL.
 * nf-ndis-ndisacquirerwlockread.md */
void NTAPI NdisAcquireRWLockRead(PNDIS_RW_LOCK_EX Lock, PLOCK_STATE_EX LockState, UCHAR Flags)
{
    struct rw_slot *slot;

    LockState->OldIrql = UMN_DISPATCH;
    if (unlikely(umn__irql_quick() < UMN_DISPATCH))
        LockState->OldIrql = raise(Flags & NDIS_RWL_AT_DISPATCH_LEVEL, "NdisAcquireRWLockRead");
    LockState->LockState = RW_READ;
    LockState->Flags = Flags;
    UMN_POINT(UMN_POINT_ADD, Lock);
    slot = &Lock->slot[umn__cpu_quick()];
    if (unlikely(__atomic_fetch_add(&slot->readers, 1, __ATOMIC_SEQ_CST) == 0 &&
                 __atomic_load_n(&Lock->writer, __ATOMIC_SEQ_CST)))
        read_slow(Lock, slot);
}

/* Exclusive. nf-ndis-ndisacquirerwlockwrite.md */
void NTAPI NdisAcquireRWLockWrite(PNDIS_RW_LOCK_EX Lock, PLOCK_STATE_EX LockState, UCHAR Flags)
{
    LockState->OldIrql = raise(Flags & NDIS_RWL_AT_DISPATCH_LEVEL, "NdisAcquireRWLockWrite");
    LockState->LockState = RW_WRITE;
    LockState->Flags = Flags;
    if (ndis__verify && Lock->slot[umn__cpu()].readers)
        umn__report("RWLock", 0,
                    "NdisAcquireRWLockWrite: this processor holds the lock for reading; "
                    "it waits for itself");
    umn__spin_acquire(&Lock->word);
    __atomic_store_n(&Lock->writer, 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < Lock->cpus; i++)
        while (__atomic_load_n(&Lock->slot[i].readers, __ATOMIC_SEQ_CST))
            spin_once();
}

static NDIS_COLD void NTAPI release_slow(NDIS_RW_LOCK_EX *l, LOCK_STATE_EX *state)
{
    if (state->LockState == RW_WRITE) {
        __atomic_store_n(&l->writer, 0, __ATOMIC_SEQ_CST);
        umn__spin_release(&l->word);
    } else if (state->LockState == RW_FREE) {
        umn__report("RWLock", 0, "NdisReleaseRWLock: this lock state holds nothing");
        return;
    }
    lower(state->OldIrql);
    state->LockState = RW_FREE;
}

/* DISPATCH_LEVEL; goes back to the IRQL of the acquire. nf-ndis-ndisreleaserwlock.md */
void NTAPI NdisReleaseRWLock(PNDIS_RW_LOCK_EX Lock, PLOCK_STATE_EX LockState)
{
    if (likely(LockState->LockState == RW_READ)) {
        UMN_POINT(UMN_POINT_ADD, Lock);
        __atomic_fetch_sub(&Lock->slot[umn__cpu_quick()].readers, 1, __ATOMIC_SEQ_CST);
        if (likely(LockState->OldIrql >= UMN_DISPATCH)) {
            LockState->LockState = RW_FREE;
            return;
        }
    }
    release_slow(Lock, LockState);
}

/* ---- NDIS_RW_LOCK: the old one, in the driver's memory, the same way
 * ----------------------------------------- */

void NTAPI NdisInitializeReadWriteLock(PNDIS_RW_LOCK Lock)
{
    *Lock = (NDIS_RW_LOCK){0};
}

#define OLD_SLOT(Lock) (&(Lock)->RefCount[umn__cpu() % 64].RefCount)

static void acquire_old(NDIS_RW_LOCK *l, bool write, LOCK_STATE *state)
{
    uint64_t *word = (uint64_t *)&l->SpinLock;

    state->LockState = write ? RW_WRITE : RW_READ;
    if (write) {
        umn__spin_acquire(word);
        __atomic_store_n(&l->Context, umn__ctx_self(), __ATOMIC_SEQ_CST);
        for (unsigned i = 0; i < umn__cpu_count() && i < 64; i++)
            while (__atomic_load_n(&l->RefCount[i].RefCount, __ATOMIC_SEQ_CST))
                spin_once();
        return;
    }
    if (__atomic_fetch_add(OLD_SLOT(l), 1, __ATOMIC_SEQ_CST) == 0 &&
        __atomic_load_n(&l->Context, __ATOMIC_SEQ_CST)) {
        __atomic_fetch_sub(OLD_SLOT(l), 1, __ATOMIC_SEQ_CST);
        umn__spin_acquire(word);
        __atomic_fetch_add(OLD_SLOT(l), 1, __ATOMIC_SEQ_CST);
        umn__spin_release(word);
    }
}

static void release_old(NDIS_RW_LOCK *l, LOCK_STATE *state)
{
    if (state->LockState == RW_WRITE) {
        __atomic_store_n(&l->Context, NULL, __ATOMIC_SEQ_CST);
        umn__spin_release((uint64_t *)&l->SpinLock);
    } else {
        __atomic_fetch_sub(OLD_SLOT(l), 1, __ATOMIC_SEQ_CST);
    }
    state->LockState = RW_FREE;
}

/* <= DISPATCH_LEVEL; raises. nf-ndis-ndisacquirereadwritelock.md */
void NTAPI NdisAcquireReadWriteLock(PNDIS_RW_LOCK Lock, BOOLEAN fWrite, PLOCK_STATE LockState)
{
    LockState->OldIrql = raise(false, "NdisAcquireReadWriteLock");
    acquire_old(Lock, fWrite, LockState);
}

void NTAPI NdisReleaseReadWriteLock(PNDIS_RW_LOCK Lock, PLOCK_STATE LockState)
{
    release_old(Lock, LockState);
    lower(LockState->OldIrql);
}

void NTAPI NdisDprAcquireReadWriteLock(PNDIS_RW_LOCK Lock, BOOLEAN fWrite, PLOCK_STATE LockState)
{
    LockState->OldIrql = raise(true, "NdisDprAcquireReadWriteLock");
    acquire_old(Lock, fWrite, LockState);
}

void NTAPI NdisDprReleaseReadWriteLock(PNDIS_RW_LOCK Lock, PLOCK_STATE LockState)
{
    release_old(Lock, LockState);
}

/* ---- events
 * -----------------------------------------------------------------------------------------------
 */

void NTAPI NdisInitializeEvent(PNDIS_EVENT Event)
{
    KeInitializeEvent(&Event->Event, NotificationEvent, FALSE);
}

/* <= DISPATCH_LEVEL. */
void NTAPI NdisSetEvent(PNDIS_EVENT Event)
{
    umn__check_irql(UMN_DISPATCH, "NdisSetEvent");
    KeSetEvent(&Event->Event, 0, FALSE);
}

void NTAPI NdisResetEvent(PNDIS_EVENT Event)
{
    umn__check_irql(UMN_DISPATCH, "NdisResetEvent");
    KeClearEvent(&Event->Event);
}

/*
 * Waits until the event is set, at most MsToWait milliseconds, 0 = for ever. TRUE: it is set. Only
 * at PASSIVE_LEVEL: above it there is nothing to wait with, the call is reported and tells the
 * state. nf-ndis-ndiswaitevent.md, IM-SYN-03
 */
BOOLEAN NTAPI NdisWaitEvent(PNDIS_EVENT Event, UINT MsToWait)
{
    LARGE_INTEGER timeout = {.QuadPart = -10000ll * MsToWait};

    if (!umn__check_irql(UMN_PASSIVE, "NdisWaitEvent") && umn__irql() >= UMN_DISPATCH)
        return KeReadStateEvent(&Event->Event) != 0;
    return KeWaitForSingleObject(&Event->Event, Executive, KernelMode, FALSE,
                                 MsToWait ? &timeout : NULL) == STATUS_SUCCESS;
}
