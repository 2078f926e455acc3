/* SPDX-License-Identifier: MIT */
/*
 * Lookaside lists: a sequenced list of free blocks in front of an allocate and a free routine.
 * Debug builds cache nothing, so that the pool's checks see every block. The driver's own structure
 * holds all state. Non-paged at <= DISPATCH_LEVEL, paged at <= APC_LEVEL.
 */
#include "nt/private.h"

#include <string.h>

#ifdef UMN_DEBUG
#define CACHE_DEPTH 0
#else
#define CACHE_DEPTH 256 /* MaximumDepth of Windows lists */
#endif

/* The three kinds of list begin alike (GENERAL_LOOKASIDE); EX ones take the list along. */
typedef GENERAL_LOOKASIDE_POOL LIST;

static void list_init(LIST *list, POOL_TYPE type, SIZE_T size, ULONG tag, const char *function)
{
    if (size < sizeof(SLIST_ENTRY *))
        umn__report("LookasideSize", 0xd1, "%s with a block size of %llu", function, size);
    memset(list, 0, sizeof *list);
    InitializeSListHead(&list->ListHead);
    list->Depth = list->MaximumDepth = CACHE_DEPTH;
    list->Type = type;
    list->Tag = tag;
    list->Size = (ULONG)(size < sizeof(SLIST_ENTRY) ? sizeof(SLIST_ENTRY) : size);
}

static void *pop(LIST *list)
{
    __atomic_add_fetch(&list->TotalAllocates, 1, __ATOMIC_RELAXED);
    void *block = CACHE_DEPTH ? ExpInterlockedPopEntrySList(&list->ListHead) : NULL;
    if (!block)
        __atomic_add_fetch(&list->AllocateMisses, 1, __ATOMIC_RELAXED);
    return block;
}

/* False: the list is full, the block has to be freed. */
static bool push(LIST *list, void *block)
{
    __atomic_add_fetch(&list->TotalFrees, 1, __ATOMIC_RELAXED);
    if (CACHE_DEPTH && ExQueryDepthSList(&list->ListHead) < list->Depth) {
        ExpInterlockedPushEntrySList(&list->ListHead, block);
        return true;
    }
    __atomic_add_fetch(&list->FreeMisses, 1, __ATOMIC_RELAXED);
    return false;
}

static bool paged(const LIST *list)
{
    return list->Type & PagedPool;
}

static void check(const LIST *list, const char *function)
{
    if (umn__irql() > (paged(list) ? APC_LEVEL : DISPATCH_LEVEL))
        umn__report("IrqlExApcLte1", 0x20005, "%s at IRQL %u", function, umn__irql());
}

static void *allocate(LIST *list, const void *caller, const char *function)
{
    check(list, function);
    void *block = pop(list);
    if (block)
        return block;
    /* The list's owner is who leaks a block, so the pool notes our caller and not us. */
    return list->Allocate ? list->Allocate(list->Type, list->Size, list->Tag)
                          : umn__pool_alloc(list->Type, list->Size, list->Tag, caller);
}

static void discard(LIST *list, void *block)
{
    if (list->Free)
        list->Free(block);
    else
        ExFreePoolWithTag(block, list->Tag);
}

static void give_back(LIST *list, void *block, const char *function)
{
    check(list, function);
    if (!push(list, block))
        discard(list, block);
}

static void list_delete(LIST *list)
{
    for (void *block; (block = ExpInterlockedPopEntrySList(&list->ListHead)) != NULL;)
        discard(list, block);
    list->Depth = 0;
}

/* Allocate / Free NULL: pool with Tag. Depth is reserved. <= DISPATCH_LEVEL.
 * nf-wdm-exinitializenpagedlookasidelist.md */
void NTAPI ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside,
                                           PALLOCATE_FUNCTION Allocate, PFREE_FUNCTION Free,
                                           ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth)
{
    LIST *list = (LIST *)&Lookaside->L;
    int type =
        NonPagedPool | (Flags & POOL_NX_ALLOCATION) | (Flags & POOL_RAISE_IF_ALLOCATION_FAILURE);
    list_init(list, (POOL_TYPE)type, Size, Tag, "ExInitializeNPagedLookasideList");
    list->Allocate = Allocate;
    list->Free = Free;
}

/* nf-wdm-exallocatefromnpagedlookasidelist.md */
PVOID NTAPI ExAllocateFromNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside)
{
    return allocate((LIST *)&Lookaside->L, __builtin_return_address(0),
                    "ExAllocateFromNPagedLookasideList");
}

void NTAPI ExFreeToNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, PVOID Entry)
{
    give_back((LIST *)&Lookaside->L, Entry, "ExFreeToNPagedLookasideList");
}

/* Frees what lies on the list. <= DISPATCH_LEVEL. nf-wdm-exdeletenpagedlookasidelist.md */
void NTAPI ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside)
{
    list_delete((LIST *)&Lookaside->L);
}

/* <= APC_LEVEL. nf-wdm-exinitializepagedlookasidelist.md */
void NTAPI ExInitializePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside,
                                          PALLOCATE_FUNCTION Allocate, PFREE_FUNCTION Free,
                                          ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth)
{
    LIST *list = (LIST *)&Lookaside->L;
    list_init(list, PagedPool, Size, Tag, "ExInitializePagedLookasideList");
    list->Allocate = Allocate;
    list->Free = Free;
}

PVOID NTAPI ExAllocateFromPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside)
{
    return allocate((LIST *)&Lookaside->L, __builtin_return_address(0),
                    "ExAllocateFromPagedLookasideList");
}

void NTAPI ExFreeToPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PVOID Entry)
{
    give_back((LIST *)&Lookaside->L, Entry, "ExFreeToPagedLookasideList");
}

void NTAPI ExDeletePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside)
{
    list_delete((LIST *)&Lookaside->L);
}

/* ---- LOOKASIDE_LIST_EX: routines of the driver's own that are told the list ------------------ */

/* STATUS_INVALID_PARAMETER_4: a pool type that no list can have.
 * nf-wdm-exinitializelookasidelistex.md */
NTSTATUS NTAPI ExInitializeLookasideListEx(PLOOKASIDE_LIST_EX Lookaside,
                                           PALLOCATE_FUNCTION_EX Allocate, PFREE_FUNCTION_EX Free,
                                           POOL_TYPE PoolType, ULONG Flags, SIZE_T Size, ULONG Tag,
                                           USHORT Depth)
{
    if ((PoolType & ~(POOL_NX_ALLOCATION | PagedPool)) != 0)
        return STATUS_INVALID_PARAMETER_4;
    if (Flags & ~(ULONG)(EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL |
                         EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE))
        return STATUS_INVALID_PARAMETER_5;
    int type = PoolType;
    if (Flags & EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL)
        type |= POOL_RAISE_IF_ALLOCATION_FAILURE;
    list_init(&Lookaside->L, (POOL_TYPE)type, Size, Tag, "ExInitializeLookasideListEx");
    Lookaside->L.AllocateEx = Allocate;
    Lookaside->L.FreeEx = Free;
    return STATUS_SUCCESS;
}

static void discard_ex(PLOOKASIDE_LIST_EX lookaside, void *block)
{
    if (lookaside->L.FreeEx)
        lookaside->L.FreeEx(block, lookaside);
    else
        ExFreePoolWithTag(block, lookaside->L.Tag);
}

PVOID NTAPI ExAllocateFromLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    LIST *list = &Lookaside->L;
    check(list, "ExAllocateFromLookasideListEx");
    void *block = pop(list);
    if (block)
        return block;
    return list->AllocateEx
               ? list->AllocateEx(list->Type, list->Size, list->Tag, Lookaside)
               : umn__pool_alloc(list->Type, list->Size, list->Tag, __builtin_return_address(0));
}

void NTAPI ExFreeToLookasideListEx(PLOOKASIDE_LIST_EX Lookaside, PVOID Entry)
{
    check(&Lookaside->L, "ExFreeToLookasideListEx");
    if (!push(&Lookaside->L, Entry))
        discard_ex(Lookaside, Entry);
}

void NTAPI ExFlushLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    for (void *block; (block = ExpInterlockedPopEntrySList(&Lookaside->L.ListHead)) != NULL;)
        discard_ex(Lookaside, block);
}

void NTAPI ExDeleteLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    ExFlushLookasideListEx(Lookaside);
    Lookaside->L.Depth = 0;
}
