/* SPDX-License-Identifier: MIT */
/*
 * NET_BUFFER_LISTs that describe the data of others: clones, fragments, reassembled lists. They
 * share the data, have MDLs of their own, no context, and no parent pointer: the driver sets that
 * and counts children (question 36, IM-NBL-05). Owns the internal pools. <= DISPATCH_LEVEL, no
 * lock.
 */
#include "ndis/data.h"

/* ---- internal pools, published once
 * -------------------------------------------------------------- */

#define CLONE_TAG 0x6e6c4355u /* 'UCln' */
static struct ndis_pool *nbl_pool, *nb_pool, *mdl_pool, *share_pool;

static NDIS_COLD struct ndis_pool *publish(struct ndis_pool **where, struct ndis_pool *made)
{
    struct ndis_pool *there = NULL;

    if (!made ||
        __atomic_compare_exchange_n(where, &there, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return made;
    ndis__pool_destroy(made, "NDIS");
    return there;
}

struct ndis_pool *ndis__internal_nbl_pool(void)
{
    struct ndis_pool *p = __atomic_load_n(&nbl_pool, __ATOMIC_ACQUIRE);

    return likely(p != NULL)
               ? p
               : publish(&nbl_pool, ndis__pool_create(NDIS_POOL_NBL, true, 0, 0, CLONE_TAG, false));
}

struct ndis_pool *ndis__internal_nb_pool(void)
{
    struct ndis_pool *p = __atomic_load_n(&nb_pool, __ATOMIC_ACQUIRE);

    return likely(p != NULL)
               ? p
               : publish(&nb_pool, ndis__pool_create(NDIS_POOL_NB, false, 0, 0, CLONE_TAG, false));
}

struct ndis_pool *ndis__internal_mdl_pool(void)
{
    struct ndis_pool *p = __atomic_load_n(&mdl_pool, __ATOMIC_ACQUIRE);

    return likely(p != NULL)
               ? p
               : publish(&mdl_pool, ndis__pool_create(NDIS_POOL_MDL, false, 0, NDIS_MDL_SPAN,
                                                      CLONE_TAG, false));
}

struct ndis_pool *ndis__internal_share_pool(void)
{
    struct ndis_pool *p = __atomic_load_n(&share_pool, __ATOMIC_ACQUIRE);

    return likely(p != NULL) ? p
                             : publish(&share_pool, ndis__pool_create(NDIS_POOL_SHARE, false, 0, 0,
                                                                      CLONE_TAG, false));
}

/* Every derived list must be freed by now; what is not, is reported. */
void ndis__dp_stop(void)
{
    struct ndis_pool **all[] = {&nbl_pool, &nb_pool, &mdl_pool, &share_pool};

    for (unsigned i = 0; i < 4; i++) {
        if (*all[i])
            ndis__pool_destroy(*all[i], "end of NDIS (derived lists)");
        *all[i] = NULL;
    }
}

/* ---- building
 * -------------------------------------------------------------------------------------- */

struct builder {
    NET_BUFFER_LIST *nbl;
    NET_BUFFER *spare; /* the preallocated NB of the NBL, until it is used */
    NET_BUFFER **link;
    NDIS_HANDLE nb_pool; /* NULL: the internal one */
};

static bool begin(struct builder *b, NDIS_HANDLE nbl_handle, NDIS_HANDLE nb_handle, uint32_t flags)
{
    NDIS_HANDLE pool = nbl_handle ? nbl_handle : ndis__internal_nbl_pool();

    b->nbl = pool ? NdisAllocateNetBufferList(pool, 0, 0) : NULL;
    if (!b->nbl)
        return false;
    ndis__nbl_tail(b->nbl)->flags = flags;
    b->nbl->Context = NULL;
    b->spare = b->nbl->FirstNetBuffer;
    b->nbl->FirstNetBuffer = NULL;
    b->link = &b->nbl->FirstNetBuffer;
    b->nb_pool = nb_handle;
    return true;
}

static NET_BUFFER *next_nb(struct builder *b)
{
    NET_BUFFER *nb = b->spare;

    if (nb) {
        b->spare = NULL;
    } else {
        NDIS_HANDLE pool = b->nb_pool ? b->nb_pool : ndis__internal_nb_pool();

        nb = pool ? NdisAllocateNetBuffer(pool, NULL, 0, 0) : NULL;
    }
    if (!nb)
        return NULL;
    ndis__nb_set(nb, NULL, 0, 0);
    *b->link = nb;
    b->link = &nb->Next;
    return nb;
}

static void release(NET_BUFFER_LIST *nbl, bool free_mdls)
{
    NET_BUFFER *nb = nbl->FirstNetBuffer, *next;

    for (; nb; nb = next) {
        next = nb->Next;
        if (free_mdls)
            ndis__mdl_chain_free(nb->MdlChain);
        if (nb->NdisPoolHandle != nbl->NdisPoolHandle)
            NdisFreeNetBuffer(nb);
    }
    ndis__nbl_tail(nbl)->flags = 0;
    NdisFreeNetBufferList(nbl);
}

static bool is_derived(NET_BUFFER_LIST *nbl, uint32_t flags, const char *function)
{
    if (!ndis__block_check(nbl->NdisPoolHandle, NDIS_POOL_NBL, nbl, function))
        return false;
    if ((ndis__nbl_tail(nbl)->flags & NDIS_BLOCK_DERIVED) == flags)
        return true;
    umn__report("NblDerived", 0, "%s: the list was made in another way or with other flags",
                function);
    return false;
}

/* ---- clones
 * ------------------------------------------------------------------------------------------ */

/*
 * An NBL over the data of OriginalNetBufferList, NB by NB, from the start of the used data on. New
 * MDLs, or the original ones with NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS. Pool handles may be NULL.
 * NULL: no memory. The original must live as long. nf-nblapi-ndisallocateclonenetbufferlist.md,
 * IM-NBL-04
 */
NET_BUFFER_LIST *NTAPI NdisAllocateCloneNetBufferList(NET_BUFFER_LIST *OriginalNetBufferList,
                                                      NDIS_HANDLE NetBufferListPoolHandle,
                                                      NDIS_HANDLE NetBufferPoolHandle,
                                                      ULONG AllocateCloneFlags)
{
    bool original = AllocateCloneFlags & NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS;
    struct builder b;

    if (!begin(&b, NetBufferListPoolHandle, NetBufferPoolHandle,
               original ? NDIS_BLOCK_CLONE_ORIGINAL : NDIS_BLOCK_CLONE))
        return NULL;
    for (NET_BUFFER *from = OriginalNetBufferList->FirstNetBuffer; from; from = from->Next) {
        NET_BUFFER *nb = next_nb(&b);

        if (!nb)
            goto failed;
        nb->ChecksumBias = from->ChecksumBias;
        if (original) {
            ndis__nb_set(nb, from->CurrentMdl, from->CurrentMdlOffset, from->DataLength);
        } else if (from->CurrentMdl) {
            MDL *mdl = ndis__mdl_partial_chain(from, 0, from->DataLength, NULL);

            if (!mdl)
                goto failed;
            ndis__nb_set(nb, mdl, 0, from->DataLength);
        }
    }
    return b.nbl;

failed:
    release(b.nbl, !original);
    return NULL;
}

/* The same flags as for the allocation. nf-nblapi-ndisfreeclonenetbufferlist.md */
void NTAPI NdisFreeCloneNetBufferList(NET_BUFFER_LIST *CloneNetBufferList, ULONG FreeCloneFlags)
{
    bool original = FreeCloneFlags & NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS;

    if (is_derived(CloneNetBufferList, original ? NDIS_BLOCK_CLONE_ORIGINAL : NDIS_BLOCK_CLONE,
                   "NdisFreeCloneNetBufferList"))
        release(CloneNetBufferList, !original);
}

/* ---- fragments
 * ---------------------------------------------------------------------------------------- */

static bool fragment_nb(struct builder *b, const NET_BUFFER *from, ULONG start, ULONG maximum,
                        ULONG delta, ULONG backfill)
{
    for (ULONG at = start; at < from->DataLength;) {
        ULONG length = from->DataLength - at;
        NET_BUFFER *nb = next_nb(b);
        MDL *mdl;

        if (!nb)
            return false;
        if (length > maximum)
            length = maximum;
        mdl = ndis__mdl_partial_chain(from, at, length, NULL);
        if (!mdl)
            return false;
        ndis__nb_set(nb, mdl, 0, length);
        if (delta && NdisRetreatNetBufferDataStart(nb, delta, backfill, NULL))
            return false;
        at += length;
    }
    return true;
}

/*
 * An NBL that cuts the data of each NB, from StartOffset on, into NBs of at most MaximumLength
 * bytes, each retreated by DataOffsetDelta. NULL: no memory or MaximumLength 0.
 * nf-nblapi-ndisallocatefragmentnetbufferlist.md
 */
NET_BUFFER_LIST *NTAPI NdisAllocateFragmentNetBufferList(NET_BUFFER_LIST *OriginalNetBufferList,
                                                         NDIS_HANDLE NetBufferListPool,
                                                         NDIS_HANDLE NetBufferPool,
                                                         ULONG StartOffset, ULONG MaximumLength,
                                                         ULONG DataOffsetDelta, ULONG DataBackFill,
                                                         ULONG AllocateFragmentFlags)
{
    struct builder b;

    if (!MaximumLength || !begin(&b, NetBufferListPool, NetBufferPool, NDIS_BLOCK_FRAGMENT))
        return NULL;
    for (NET_BUFFER *from = OriginalNetBufferList->FirstNetBuffer; from; from = from->Next) {
        if (!fragment_nb(&b, from, StartOffset, MaximumLength, DataOffsetDelta, DataBackFill)) {
            release(b.nbl, true);
            return NULL;
        }
    }
    return b.nbl;
}

static void advance_all(NET_BUFFER_LIST *nbl, ULONG delta)
{
    if (delta)
        NdisAdvanceNetBufferListDataStart(nbl, delta, TRUE, NULL);
}

void NTAPI NdisFreeFragmentNetBufferList(NET_BUFFER_LIST *FragmentNetBufferList,
                                         ULONG DataOffsetDelta, ULONG FreeFragmentFlags)
{
    if (!is_derived(FragmentNetBufferList, NDIS_BLOCK_FRAGMENT, "NdisFreeFragmentNetBufferList"))
        return;
    advance_all(FragmentNetBufferList, DataOffsetDelta);
    release(FragmentNetBufferList, true);
}

/* ---- reassembled lists
 * ---------------------------------------------------------------------------------- */

static bool join(NET_BUFFER *nb, const NET_BUFFER_LIST *source, ULONG start)
{
    MDL *first = NULL, **link = &first;
    ULONG length = 0;

    for (const NET_BUFFER *from = source->FirstNetBuffer; from; from = from->Next) {
        MDL **last;

        if (start >= from->DataLength)
            continue;
        *link = ndis__mdl_partial_chain(from, start, from->DataLength - start, &last);
        if (!*link)
            return false; /* nb holds what there is so far: released with it */
        link = last;
        length += from->DataLength - start;
        ndis__nb_set(nb, first, 0, length);
    }
    return true;
}

/*
 * An NBL with one NB that joins the data of all NBs, each from StartOffset on, retreated by
 * DataOffsetDelta. NULL: no memory. nf-nblapi-ndisallocatereassemblednetbufferlist.md
 */
NET_BUFFER_LIST *NTAPI NdisAllocateReassembledNetBufferList(
    NET_BUFFER_LIST *FragmentNetBufferList, NDIS_HANDLE NetBufferAndNetBufferListPoolHandle,
    ULONG StartOffset, ULONG DataOffsetDelta, ULONG DataBackFill, ULONG AllocateReassembleFlags)
{
    struct builder b;
    NET_BUFFER *nb;

    if (!begin(&b, NetBufferAndNetBufferListPoolHandle, NULL, NDIS_BLOCK_REASSEMBLED))
        return NULL;
    nb = next_nb(&b);
    if (nb && join(nb, FragmentNetBufferList, StartOffset) &&
        (!DataOffsetDelta || NdisRetreatNetBufferDataStart(nb, DataOffsetDelta, DataBackFill,
                                                           NULL) == NDIS_STATUS_SUCCESS))
        return b.nbl;
    release(b.nbl, true);
    return NULL;
}

void NTAPI NdisFreeReassembledNetBufferList(NET_BUFFER_LIST *ReassembledNetBufferList,
                                            ULONG DataOffsetDelta, ULONG FreeReassembleFlags)
{
    if (!is_derived(ReassembledNetBufferList, NDIS_BLOCK_REASSEMBLED,
                    "NdisFreeReassembledNetBufferList"))
        return;
    advance_all(ReassembledNetBufferList, DataOffsetDelta);
    release(ReassembledNetBufferList, true);
}
