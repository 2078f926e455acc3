/* SPDX-License-Identifier: MIT */
/*
 * Interlocked lists. Sequenced lists (SLIST_HEADER) are lock-free with a 16-byte compare and
 * exchange in the x64 layout: depth and sequence in the first word, the first entry in the second.
 * The others take the caller's spin lock. Any level (sequenced: <= DISPATCH_LEVEL).
 */
#include "nt/private.h"

typedef unsigned __int128 slist_word __attribute__((may_alias));

static slist_word pack(ULONGLONG depth, ULONGLONG sequence, const SLIST_ENTRY *first)
{
    ULONGLONG low = (depth & 0xffff) | sequence << 16;

    ULONGLONG high = (ULONGLONG)(uintptr_t)first;
    return (slist_word)high << 64 | low;
}

static PSLIST_ENTRY first_of(slist_word w)
{
    return (PSLIST_ENTRY)(uintptr_t)((ULONGLONG)(w >> 64) & ~0xfull);
}

/* A torn read only costs a failed exchange. */
static slist_word load(PSLIST_HEADER head)
{
    ULONGLONG low = __atomic_load_n(&head->Alignment, __ATOMIC_ACQUIRE);
    ULONGLONG high = __atomic_load_n(&head->Region, __ATOMIC_ACQUIRE);
    return (slist_word)high << 64 | low;
}

static bool swap(PSLIST_HEADER head, slist_word old, slist_word new)
{
    return __sync_bool_compare_and_swap((slist_word *)head, old, new);
}

/* Makes an empty list; 16-byte aligned memory. nf-wdm-initializeslisthead.md */
void NTAPI InitializeSListHead(PSLIST_HEADER SListHead)
{
    if ((uintptr_t)SListHead & 15)
        umn__report("SListAlignment", (uint32_t)STATUS_DATATYPE_MISALIGNMENT,
                    "InitializeSListHead of %p, which is not aligned to 16 bytes",
                    (void *)SListHead);
    SListHead->Alignment = 0;
    SListHead->Region = 0;
}

/* Returns the former first entry. nf-wdm-exinterlockedpushentryslist.md */
PSLIST_ENTRY NTAPI ExpInterlockedPushEntrySList(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry)
{
    umn__point(UMN_OP_ATOMIC, ListHead);
    for (;;) {
        slist_word old = load(ListHead);
        __atomic_store_n(&ListEntry->Next, first_of(old), __ATOMIC_RELAXED);
        ULONGLONG low = (ULONGLONG)old;
        if (swap(ListHead, old, pack((low & 0xffff) + 1, (low >> 16) + 1, ListEntry)))
            return first_of(old);
    }
}

/*
 * Returns the first entry or NULL. Another processor may pop and free `first` before we read its
 * Next: then the sequence has moved, the exchange fails, and what was read is thrown away. The read
 * itself is of memory that was pool a moment ago; sanitizers must not look at it.
 */
__attribute__((no_sanitize("address", "thread"))) PSLIST_ENTRY NTAPI
ExpInterlockedPopEntrySList(PSLIST_HEADER ListHead)
{
    umn__point(UMN_OP_ATOMIC, ListHead);
    for (;;) {
        slist_word old = load(ListHead);
        PSLIST_ENTRY first = first_of(old);
        if (!first)
            return NULL;
        PSLIST_ENTRY next = *(PSLIST_ENTRY volatile *)&first->Next;
        ULONGLONG low = (ULONGLONG)old;
        if (swap(ListHead, old, pack((low & 0xffff) - 1, (low >> 16) + 1, next)))
            return first;
    }
}

/* Takes all entries; returns the first. nf-wdm-exinterlockedflushslist.md */
PSLIST_ENTRY NTAPI ExpInterlockedFlushSList(PSLIST_HEADER ListHead)
{
    umn__point(UMN_OP_ATOMIC, ListHead);
    for (;;) {
        slist_word old = load(ListHead);
        if (!first_of(old))
            return NULL;
        if (swap(ListHead, old, pack(0, ((ULONGLONG)old >> 16) + 1, NULL)))
            return first_of(old);
    }
}

/* Number of entries. nf-wdm-exquerydepthslist.md */
USHORT NTAPI ExQueryDepthSList(PSLIST_HEADER SListHead)
{
    return (USHORT)__atomic_load_n(&SListHead->Alignment, __ATOMIC_ACQUIRE);
}

PSLIST_ENTRY NTAPI FirstEntrySList(PSLIST_HEADER SListHead)
{
    return first_of(load(SListHead));
}

/* ---- under the caller's lock ----------------------------------------------------------------- */

static KIRQL take(PKSPIN_LOCK lock)
{
    KIRQL old = umn__irql();
    if (old < DISPATCH_LEVEL)
        umn__irql_raise(DISPATCH_LEVEL);
    umn__spin_acquire((uint64_t *)lock);
    return old;
}

static void give(PKSPIN_LOCK lock, KIRQL old)
{
    umn__spin_release((uint64_t *)lock);
    if (old < DISPATCH_LEVEL)
        umn__irql_lower(old);
}

/* Returns the former first entry, NULL if the list was empty. Any level.
 * nf-wdm-exinterlockedinsertheadlist.md */
PLIST_ENTRY NTAPI ExInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                              PKSPIN_LOCK Lock)
{
    KIRQL irql = take(Lock);
    PLIST_ENTRY old = ListHead->Flink == ListHead ? NULL : ListHead->Flink;
    umn_list_add_head((struct umn_list *)ListHead, (struct umn_list *)ListEntry);
    give(Lock, irql);
    return old;
}

/* Returns the former last entry, NULL if the list was empty. nf-wdm-exinterlockedinserttaillist.md
 */
PLIST_ENTRY NTAPI ExInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                              PKSPIN_LOCK Lock)
{
    KIRQL irql = take(Lock);
    PLIST_ENTRY old = ListHead->Blink == ListHead ? NULL : ListHead->Blink;
    umn_list_add_tail((struct umn_list *)ListHead, (struct umn_list *)ListEntry);
    give(Lock, irql);
    return old;
}

/* The first entry, or NULL. nf-wdm-exinterlockedremoveheadlist.md */
PLIST_ENTRY NTAPI ExInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock)
{
    KIRQL irql = take(Lock);
    PLIST_ENTRY first = ListHead->Flink;
    if (first == ListHead) {
        first = NULL;
    } else {
        ListHead->Flink = first->Flink;
        first->Flink->Blink = ListHead;
    }
    give(Lock, irql);
    return first;
}

/* Returns the former first entry. nf-wdm-exinterlockedpushentrylist.md */
PSINGLE_LIST_ENTRY NTAPI ExInterlockedPushEntryList(PSINGLE_LIST_ENTRY ListHead,
                                                    PSINGLE_LIST_ENTRY ListEntry, PKSPIN_LOCK Lock)
{
    KIRQL irql = take(Lock);
    PSINGLE_LIST_ENTRY old = ListHead->Next;
    ListEntry->Next = old;
    ListHead->Next = ListEntry;
    give(Lock, irql);
    return old;
}

PSINGLE_LIST_ENTRY NTAPI ExInterlockedPopEntryList(PSINGLE_LIST_ENTRY ListHead, PKSPIN_LOCK Lock)
{
    KIRQL irql = take(Lock);
    PSINGLE_LIST_ENTRY first = ListHead->Next;
    if (first)
        ListHead->Next = first->Next;
    give(Lock, irql);
    return first;
}

/* Adds; returns the former value. Any level. nf-wdm-exinterlockedaddulong.md */
ULONG NTAPI ExInterlockedAddUlong(PULONG Addend, ULONG Increment, PKSPIN_LOCK Lock)
{
    KIRQL irql = take(Lock);
    ULONG old = *Addend;
    *Addend = old + Increment;
    give(Lock, irql);
    return old;
}

LARGE_INTEGER NTAPI ExInterlockedAddLargeInteger(PLARGE_INTEGER Addend, LARGE_INTEGER Increment,
                                                 PKSPIN_LOCK Lock)
{
    KIRQL irql = take(Lock);
    LARGE_INTEGER old = *Addend;
    Addend->QuadPart = (LONGLONG)((ULONGLONG)old.QuadPart + (ULONGLONG)Increment.QuadPart);
    give(Lock, irql);
    return old;
}
