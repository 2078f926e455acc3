/* SPDX-License-Identifier: MIT */
/*
 * NET_BUFFER_LISTs and NET_BUFFERs: pool handles, allocation and freeing, the data start (retreat,
 * advance), reading and copying. Owns nothing: blocks belong to pool.c. No lock; the owner of an
 * NBL is its only user. <= DISPATCH_LEVEL.
 */
#include "ndis/data.h"

#include <string.h>

/* ---- pools
 * --------------------------------------------------------------------------------------- */

/*
 * A pool of NBLs: type DEFAULT revision 1 or 2; ContextSize a multiple of
 * MEMORY_ALLOCATION_ALIGNMENT; DataSize only with fAllocateNetBuffer. NULL: a parameter does not
 * fit, or no memory.
 * <= DISPATCH_LEVEL. nf-nblapi-ndisallocatenetbufferlistpool.md, IM-NBL-02
 */
NDIS_HANDLE NTAPI NdisAllocateNetBufferListPool(NDIS_HANDLE NdisHandle,
                                                const NET_BUFFER_LIST_POOL_PARAMETERS *Parameters)
{
    const NET_BUFFER_LIST_POOL_PARAMETERS *p = Parameters;
    struct ndis_pool *pool;
    bool verify;

    umn__check_irql(UMN_DISPATCH, "NdisAllocateNetBufferListPool");
    if (p->Header.Type != NDIS_OBJECT_TYPE_DEFAULT || p->Header.Revision < 1 ||
        p->Header.Size < NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1 ||
        p->ContextSize % MEMORY_ALLOCATION_ALIGNMENT || (p->DataSize && !p->fAllocateNetBuffer))
        return NULL;
    verify = p->Header.Revision >= 2 &&
             p->Header.Size >= NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_2 &&
             p->Flags & NET_BUFFER_LIST_POOL_FLAG_VERIFY;
    pool = ndis__pool_create(NDIS_POOL_NBL, p->fAllocateNetBuffer, p->ContextSize, p->DataSize,
                             p->PoolTag, verify);
    if (pool)
        pool->protocol_id = p->ProtocolId;
    return pool;
}

/* A pool of NBs, each with an MDL and DataSize bytes if that is not 0. NULL as above. */
NDIS_HANDLE NTAPI NdisAllocateNetBufferPool(NDIS_HANDLE NdisHandle,
                                            const NET_BUFFER_POOL_PARAMETERS *Parameters)
{
    const NET_BUFFER_POOL_PARAMETERS *p = Parameters;
    bool verify;

    umn__check_irql(UMN_DISPATCH, "NdisAllocateNetBufferPool");
    if (p->Header.Type != NDIS_OBJECT_TYPE_DEFAULT || p->Header.Revision < 1 ||
        p->Header.Size < NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_1)
        return NULL;
    verify = p->Header.Revision >= 2 &&
             p->Header.Size >= NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_2 &&
             p->Flags & NET_BUFFER_POOL_FLAG_VERIFY;
    return ndis__pool_create(NDIS_POOL_NB, false, 0, p->DataSize, p->PoolTag, verify);
}

static void free_pool(struct ndis_pool *pool, enum ndis_pool_kind kind, const char *function)
{
    umn__check_irql(UMN_DISPATCH, function);
    if (ndis__pool_is(pool, kind))
        ndis__pool_destroy(pool, function);
    else
        umn__report("HandleType", 0, "%s: %p is not such a pool", function, (void *)pool);
}

/* Everything allocated from the pool must be back: IM-NBL-03 (reported otherwise). */
void NTAPI NdisFreeNetBufferListPool(NDIS_HANDLE PoolHandle)
{
    free_pool(PoolHandle, NDIS_POOL_NBL, "NdisFreeNetBufferListPool");
}

void NTAPI NdisFreeNetBufferPool(NDIS_HANDLE PoolHandle)
{
    free_pool(PoolHandle, NDIS_POOL_NB, "NdisFreeNetBufferPool");
}

NDIS_HANDLE NTAPI NdisGetPoolFromNetBufferList(const NET_BUFFER_LIST *NetBufferList)
{
    return NetBufferList->NdisPoolHandle;
}

NDIS_HANDLE NTAPI NdisGetPoolFromNetBuffer(const NET_BUFFER *NetBuffer)
{
    return NetBuffer->NdisPoolHandle;
}

/* The identifier given with the pool, or what a driver set since. Any IRQL. */
UCHAR NTAPI NdisGetNetBufferListProtocolId(const NET_BUFFER_LIST *NetBufferList)
{
    return *(const UCHAR *)&NetBufferList->NetBufferListInfo[NetBufferListProtocolId];
}

/* ---- NET_BUFFER
 * ----------------------------------------------------------------------------------- */

static NDIS_COLD NTAPI void nb_current(NET_BUFFER *nb, ULONG offset)
{
    MDL *mdl = nb->MdlChain;

    while (mdl && offset >= mdl->ByteCount && mdl->Next) {
        offset -= mdl->ByteCount;
        mdl = mdl->Next;
    }
    nb->CurrentMdl = mdl;
    nb->CurrentMdlOffset = offset;
}

void NTAPI ndis__nb_set(NET_BUFFER *nb, MDL *mdl, ULONG offset, ULONG length)
{
    nb->MdlChain = mdl;
    nb->DataOffset = offset;
    nb->stDataLength = length;
    if (likely(!mdl || offset < mdl->ByteCount)) {
        nb->CurrentMdl = mdl;
        nb->CurrentMdlOffset = offset;
    } else {
        nb_current(nb, offset);
    }
}

static NDIS_HOT void nb_init(NET_BUFFER *nb, MDL *mdl, ULONG offset, ULONG length)
{
    nb->Next = NULL;
    nb->ChecksumBias = 0;
    nb->Reserved = 0;
    nb->DataPhysicalAddress.QuadPart = 0;
    nb->SharedMemoryInfo = NULL;
    ndis__nb_set(nb, mdl, offset, length);
}

/* The preallocated MDL, as it was before a driver shortened or linked it. */
static inline MDL *block_mdl(struct ndis_pool *pool, void *block)
{
    MDL *mdl = (MDL *)((char *)block + pool->mdl);

    mdl->Next = NULL;
    mdl->ByteCount = pool->data_size;
    return mdl;
}

static NDIS_COLD NTAPI NET_BUFFER *nb_bad_pool(NDIS_HANDLE pool, const char *function)
{
    umn__report("HandleType", 0, "%s: %p is not a pool that serves this", function, pool);
    return NULL;
}

/* An NB over MdlChain (may be NULL, then offset and length are 0). NULL: no memory. */
NET_BUFFER *NTAPI NdisAllocateNetBuffer(NDIS_HANDLE PoolHandle, MDL *MdlChain, ULONG DataOffset,
                                        SIZE_T DataLength)
{
    struct ndis_pool *pool = PoolHandle;
    NET_BUFFER *nb;

    if (unlikely(!ndis__pool_is(pool, NDIS_POOL_NB)))
        return nb_bad_pool(pool, "NdisAllocateNetBuffer");
    nb = ndis__block_alloc(pool);
    if (unlikely(!nb))
        return NULL;
    ndis__tail(pool, nb)->state = NDIS_BLOCK_LIVE;
    nb_init(nb, MdlChain, DataOffset, (ULONG)DataLength);
    return nb;
}

/* An NB with the MDL and the memory of its pool; no data in it yet. NULL: no memory. */
NET_BUFFER *NTAPI NdisAllocateNetBufferMdlAndData(NDIS_HANDLE PoolHandle)
{
    struct ndis_pool *pool = PoolHandle;
    NET_BUFFER *nb;

    if (unlikely(!ndis__pool_is(pool, NDIS_POOL_NB) || !pool->data_size))
        return nb_bad_pool(pool, "NdisAllocateNetBufferMdlAndData");
    nb = ndis__block_alloc(pool);
    if (unlikely(!nb))
        return NULL;
    ndis__tail(pool, nb)->state = NDIS_BLOCK_LIVE;
    nb_init(nb, block_mdl(pool, nb), 0, 0);
    return nb;
}

static NDIS_COLD NTAPI bool block_bad(struct ndis_pool *pool, enum ndis_pool_kind kind, void *block,
                                      const char *function)
{
    return !ndis__block_check(pool, kind, block, function);
}

static inline bool block_live(struct ndis_pool *pool, enum ndis_pool_kind kind, void *block)
{
    return likely(ndis__pool_is(pool, kind) && ndis__tail(pool, block)->state == NDIS_BLOCK_LIVE);
}

/* Frees an NB of NdisAllocateNetBuffer or ...MdlAndData; an MDL chain of the driver's stays. */
void NTAPI NdisFreeNetBuffer(NET_BUFFER *NetBuffer)
{
    struct ndis_pool *pool = NetBuffer->NdisPoolHandle;

    if (unlikely(!block_live(pool, NDIS_POOL_NB, NetBuffer)) &&
        block_bad(pool, NDIS_POOL_NB, NetBuffer, "NdisFreeNetBuffer"))
        return;
    ndis__block_free(pool, NetBuffer);
}

/* ---- NET_BUFFER_LIST
 * --------------------------------------------------------------------------------- */

static NDIS_HOT void nbl_init(struct ndis_pool *pool, NET_BUFFER_LIST *nbl, NET_BUFFER *nb)
{
    struct ndis_tail *tail = ndis__nbl_tail(nbl);

    tail->state = NDIS_BLOCK_LIVE;
    tail->flags = 0;
    tail->sent = tail->received = 0;
    nbl->Next = NULL;
    nbl->FirstNetBuffer = nb;
    nbl->ParentNetBufferList = NULL;
    nbl->NdisReserved[0] = nbl->NdisReserved[1] = NULL;
    nbl->Scratch = NULL;
    nbl->SourceHandle = NULL;
    nbl->NblFlags = 0;
    nbl->ChildRefCount = 0;
    nbl->Flags = 0;
    nbl->Status = NDIS_STATUS_SUCCESS;
    /* Stores in line, no call: the compiler knows the size. */
    __builtin_memset(nbl->NetBufferListInfo, 0, sizeof(nbl->NetBufferListInfo));
    if (unlikely(pool->protocol_id))
        *(UCHAR *)&nbl->NetBufferListInfo[NetBufferListProtocolId] = pool->protocol_id;
}

static NDIS_COLD NTAPI NET_BUFFER_LIST *nbl_no_context(struct ndis_pool *pool, NET_BUFFER_LIST *nbl)
{
    ndis__block_free(pool, nbl);
    return NULL;
}

static NDIS_HOT NET_BUFFER_LIST *nbl_alloc(struct ndis_pool *pool, USHORT context, USHORT backfill,
                                           MDL *mdl, ULONG offset, ULONG length)
{
    NET_BUFFER_LIST *nbl = ndis__block_alloc(pool);
    NET_BUFFER *nb = NULL;

    if (unlikely(!nbl))
        return NULL;
    if (pool->with_nb) {
        nb = (NET_BUFFER *)((char *)nbl + pool->nb);
        nb_init(nb, pool->data_size ? block_mdl(pool, nbl) : mdl, offset, length);
    }
    nbl_init(pool, nbl, nb);
    if (likely(!pool->context_size && !context && !backfill)) {
        ndis__nbl_tail(nbl)->context = NULL;
        nbl->Context = NULL;
    } else if (unlikely(!ndis__context_init(pool, nbl, context, backfill))) {
        return nbl_no_context(pool, nbl);
    }
    return nbl;
}

/*
 * An NBL of the pool, with an NB (and MDL and data) if the pool has them. Of its context space
 * ContextSize bytes are the caller's. NULL: no memory. nf-nblapi-ndisallocatenetbufferlist.md
 */
NET_BUFFER_LIST *NTAPI NdisAllocateNetBufferList(NDIS_HANDLE PoolHandle, USHORT ContextSize,
                                                 USHORT ContextBackFill)
{
    if (unlikely(!ndis__pool_is(PoolHandle, NDIS_POOL_NBL)))
        return (NET_BUFFER_LIST *)nb_bad_pool(PoolHandle, "NdisAllocateNetBufferList");
    return nbl_alloc(PoolHandle, ContextSize, ContextBackFill, NULL, 0, 0);
}

/* The same with an NB over MdlChain; only from a pool with NBs and without data. IM-NBL-06 */
NET_BUFFER_LIST *NTAPI NdisAllocateNetBufferAndNetBufferList(NDIS_HANDLE PoolHandle,
                                                             USHORT ContextSize,
                                                             USHORT ContextBackFill, MDL *MdlChain,
                                                             ULONG DataOffset, SIZE_T DataLength)
{
    struct ndis_pool *pool = PoolHandle;

    if (unlikely(!ndis__pool_is(pool, NDIS_POOL_NBL) || !pool->with_nb || pool->data_size))
        return (NET_BUFFER_LIST *)nb_bad_pool(pool, "NdisAllocateNetBufferAndNetBufferList");
    return nbl_alloc(pool, ContextSize, ContextBackFill, MdlChain, DataOffset, (ULONG)DataLength);
}

static NDIS_COLD NTAPI void nbl_derived(struct ndis_pool *pool, NET_BUFFER_LIST *nbl)
{
    if (ndis__nbl_tail(nbl)->flags & NDIS_BLOCK_DERIVED)
        umn__report("NblDerived", 0,
                    "NdisFreeNetBufferList: a clone, fragment or reassembled list has its own free "
                    "function; its NBs and MDLs are lost");
    ndis__context_drop(pool, nbl);
    ndis__block_free(pool, nbl);
}

/* Frees the NBL and what was preallocated with it, nothing else. nf-nblapi-ndisfreenetbufferlist.md
 */
void NTAPI NdisFreeNetBufferList(NET_BUFFER_LIST *NetBufferList)
{
    struct ndis_pool *pool = NetBufferList->NdisPoolHandle;
    struct ndis_tail *tail = ndis__nbl_tail(NetBufferList);

    if (unlikely(!block_live(pool, NDIS_POOL_NBL, NetBufferList)) &&
        block_bad(pool, NDIS_POOL_NBL, NetBufferList, "NdisFreeNetBufferList"))
        return;
    if (unlikely(tail->flags || tail->context ||
                 (NetBufferList->Context &&
                  (char *)NetBufferList->Context != (char *)NetBufferList + pool->context)))
        nbl_derived(pool, NetBufferList);
    else
        ndis__block_free(pool, NetBufferList);
}

/* ---- the data start
 * ------------------------------------------------------------------------------------ */

/* Recomputes CurrentMdl and CurrentMdlOffset from DataOffset. Any IRQL. */
void NTAPI NdisAdjustNetBufferCurrentMdl(NET_BUFFER *NetBuffer)
{
    nb_current(NetBuffer, NetBuffer->DataOffset);
}

static NDIS_COLD NTAPI NDIS_STATUS retreat_slow(NET_BUFFER *nb, ULONG delta, ULONG backfill,
                                                NET_BUFFER_ALLOCATE_MDL *allocate)
{
    ULONG missing, size;
    MDL *mdl;

    if (nb->DataOffset >= delta) {
        nb->DataOffset -= delta;
        nb->stDataLength += delta;
        nb_current(nb, nb->DataOffset);
        return NDIS_STATUS_SUCCESS;
    }
    /* The unused space that there is stays in use, so that Advance gives back the same chain. */
    missing = delta - nb->DataOffset;
    size = missing + backfill;
    if (size < missing || nb->DataLength + delta < delta)
        return NDIS_STATUS_FAILURE;
    mdl = allocate ? allocate(&size) : ndis__mdl_with_data(size);
    if (!mdl)
        return NDIS_STATUS_RESOURCES;
    mdl->MdlFlags |= MDL_NETWORK_HEADER;
    mdl->Next = nb->MdlChain;
    nb->MdlChain = nb->CurrentMdl = mdl;
    nb->DataOffset = nb->CurrentMdlOffset = mdl->ByteCount - missing;
    nb->stDataLength += delta;
    return NDIS_STATUS_SUCCESS;
}

/*
 * Puts DataOffsetDelta bytes in front of the data: from the unused space, else an MDL for what is
 * missing and DataBackFill more is prepended, from AllocateMdlHandler if there is one. RESOURCES:
 * no memory; FAILURE: lengths overflow. <= DISPATCH_LEVEL.
 * nf-nblapi-ndisretreatnetbufferdatastart.md, IM-NBL-10
 */
NDIS_STATUS NTAPI NdisRetreatNetBufferDataStart(NET_BUFFER *NetBuffer, ULONG DataOffsetDelta,
                                                ULONG DataBackFill,
                                                NET_BUFFER_ALLOCATE_MDL *AllocateMdlHandler)
{
    if (unlikely(NetBuffer->CurrentMdlOffset < DataOffsetDelta))
        return retreat_slow(NetBuffer, DataOffsetDelta, DataBackFill, AllocateMdlHandler);
    NetBuffer->DataOffset -= DataOffsetDelta;
    NetBuffer->CurrentMdlOffset -= DataOffsetDelta;
    NetBuffer->stDataLength += DataOffsetDelta;
    return NDIS_STATUS_SUCCESS;
}

static void free_header(MDL *mdl, NET_BUFFER_FREE_MDL *free_mdl)
{
    if (mdl->MdlFlags & MDL_INTERNAL)
        ndis__mdl_with_data_free(mdl);
    else if (free_mdl)
        free_mdl(mdl);
    else
        umn__report("NblMdl", 0,
                    "NdisAdvanceNetBufferDataStart: NetAllocateMdl made the MDL, but "
                    "there is no NetFreeMdl to free it");
}

static NDIS_COLD NTAPI void advance_slow(NET_BUFFER *nb, ULONG delta, BOOLEAN free_unused,
                                         NET_BUFFER_FREE_MDL *free_mdl)
{
    if (delta > nb->DataLength) {
        umn__report("NblDataStart", 0, "NdisAdvanceNetBufferDataStart: %u bytes, the data has %u",
                    delta, nb->DataLength);
        delta = nb->DataLength;
    }
    nb->stDataLength -= delta;
    nb->DataOffset += delta;
    while (free_unused && nb->MdlChain && nb->MdlChain->MdlFlags & MDL_NETWORK_HEADER &&
           nb->DataOffset >= nb->MdlChain->ByteCount) {
        MDL *mdl = nb->MdlChain;

        nb->MdlChain = mdl->Next;
        nb->DataOffset -= mdl->ByteCount;
        mdl->Next = NULL;
        free_header(mdl, free_mdl);
    }
    nb_current(nb, nb->DataOffset);
}

/*
 * Takes DataOffsetDelta bytes off the front of the data. With FreeMdl, MDLs that Retreat prepended
 * and that hold no more data are freed (FreeMdlHandler for those of a driver's allocator); on the
 * receive path it is FALSE. <= DISPATCH_LEVEL. nf-nblapi-ndisadvancenetbufferdatastart.md
 */
void NTAPI NdisAdvanceNetBufferDataStart(NET_BUFFER *NetBuffer, ULONG DataOffsetDelta,
                                         BOOLEAN FreeMdl, NET_BUFFER_FREE_MDL *FreeMdlHandler)
{
    if (unlikely(DataOffsetDelta > NetBuffer->DataLength || !NetBuffer->CurrentMdl ||
                 NetBuffer->CurrentMdlOffset + DataOffsetDelta >=
                     NetBuffer->CurrentMdl->ByteCount)) {
        advance_slow(NetBuffer, DataOffsetDelta, FreeMdl, FreeMdlHandler);
        return;
    }
    NetBuffer->DataOffset += DataOffsetDelta;
    NetBuffer->CurrentMdlOffset += DataOffsetDelta;
    NetBuffer->stDataLength -= DataOffsetDelta;
}

/* Retreats every NB of the NBL or, on failure, none. FreeMdlHandler undoes AllocateMdlHandler. */
NDIS_STATUS NTAPI NdisRetreatNetBufferListDataStart(NET_BUFFER_LIST *NetBufferList,
                                                    ULONG DataOffsetDelta, ULONG DataBackFill,
                                                    NET_BUFFER_ALLOCATE_MDL *AllocateMdlHandler,
                                                    NET_BUFFER_FREE_MDL *FreeMdlHandler)
{
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    NET_BUFFER *nb, *failed;

    for (nb = NetBufferList->FirstNetBuffer; nb; nb = nb->Next) {
        status =
            NdisRetreatNetBufferDataStart(nb, DataOffsetDelta, DataBackFill, AllocateMdlHandler);
        if (status != NDIS_STATUS_SUCCESS)
            break;
    }
    if (status == NDIS_STATUS_SUCCESS)
        return status;
    failed = nb;
    for (nb = NetBufferList->FirstNetBuffer; nb != failed; nb = nb->Next)
        NdisAdvanceNetBufferDataStart(nb, DataOffsetDelta, TRUE, FreeMdlHandler);
    return status;
}

void NTAPI NdisAdvanceNetBufferListDataStart(NET_BUFFER_LIST *NetBufferList, ULONG DataOffsetDelta,
                                             BOOLEAN FreeMdl,
                                             NET_BUFFER_FREE_MDL *FreeMdlMdlHandler)
{
    for (NET_BUFFER *nb = NetBufferList->FirstNetBuffer; nb; nb = nb->Next)
        NdisAdvanceNetBufferDataStart(nb, DataOffsetDelta, FreeMdl, FreeMdlMdlHandler);
}
