/* SPDX-License-Identifier: MIT */
/*
 * NET_BUFFER_LIST_CONTEXT: a stack of context structures per NET_BUFFER_LIST. The initial one lies
 * in the block of the NBL when it fits (pool parameter ContextSize), else beside it; further ones
 * are allocated when the unused space of the topmost is too small. `Offset` is the unused space in
 * front, so that taking space lowers it. No lock: the owner of the NBL calls. <= DISPATCH_LEVEL.
 */
#include "ndis/data.h"

static NET_BUFFER_LIST_CONTEXT *context_new(USHORT size, USHORT backfill)
{
    NET_BUFFER_LIST_CONTEXT *c = NULL;
    uint32_t room = (uint32_t)size + backfill;

    if (room <= UINT16_MAX)
        c = plat_alloc(sizeof(*c) + room);
    if (!c)
        return NULL;
    c->Size = (USHORT)room;
    c->Offset = backfill;
    return c;
}

static NDIS_COLD bool context_beside(NET_BUFFER_LIST *nbl, USHORT size, USHORT backfill)
{
    NET_BUFFER_LIST_CONTEXT *c = context_new(size, backfill);

    if (!c)
        return false;
    ndis__nbl_tail(nbl)->context = c;
    nbl->Context = c;
    return true;
}

/* A new NBL owns size bytes and has backfill bytes, or what the pool provides, in front. */
bool NTAPI ndis__context_init(struct ndis_pool *pool, NET_BUFFER_LIST *nbl, USHORT size,
                              USHORT backfill)
{
    NET_BUFFER_LIST_CONTEXT *c;

    ndis__nbl_tail(nbl)->context = NULL;
    nbl->Context = NULL;
    if (likely(!pool->context_size && !size && !backfill))
        return true;
    if (unlikely((uint32_t)size + backfill > pool->context_size))
        return context_beside(nbl, size, backfill);
    c = (NET_BUFFER_LIST_CONTEXT *)((char *)nbl + pool->context);
    c->Next = NULL;
    c->Size = (USHORT)pool->context_size;
    c->Offset = (USHORT)(pool->context_size - size);
    nbl->Context = c;
    return true;
}

static bool is_initial(struct ndis_pool *pool, NET_BUFFER_LIST *nbl,
                       const NET_BUFFER_LIST_CONTEXT *c)
{
    return c == ndis__nbl_tail(nbl)->context ||
           (pool->context_size && (const char *)c == (const char *)nbl + pool->context);
}

/* Frees what is left when the NBL goes. Context space of a driver must be gone by then. */
void ndis__context_drop(struct ndis_pool *pool, NET_BUFFER_LIST *nbl)
{
    while (nbl->Context && !is_initial(pool, nbl, nbl->Context)) {
        NET_BUFFER_LIST_CONTEXT *c = nbl->Context;

        umn__report("NblContext", 0,
                    "NdisFreeNetBufferList: context space from NdisAllocateNetBufferListContext "
                    "was not released (%u bytes)",
                    c->Size - c->Offset);
        nbl->Context = c->Next;
        plat_free(c);
    }
    plat_free(ndis__nbl_tail(nbl)->context);
}

/*
 * Takes ContextSize bytes of context space: unused space of the topmost structure first, else a new
 * structure with ContextBackFill bytes more. Both are multiples of the pointer size. RESOURCES: no
 * memory; FAILURE: a size that is not such a multiple or too large. <= DISPATCH_LEVEL.
 * nf-nblapi-ndisallocatenetbufferlistcontext.md
 */
NDIS_STATUS NTAPI NdisAllocateNetBufferListContext(NET_BUFFER_LIST *NetBufferList,
                                                   USHORT ContextSize, USHORT ContextBackFill,
                                                   ULONG PoolTag)
{
    NET_BUFFER_LIST_CONTEXT *c = NetBufferList->Context;

    if (likely(c && c->Offset >= ContextSize && !(ContextSize & (sizeof(void *) - 1)))) {
        c->Offset -= ContextSize;
        return NDIS_STATUS_SUCCESS;
    }
    if (ContextSize & (sizeof(void *) - 1) || ContextBackFill & (sizeof(void *) - 1) ||
        (uint32_t)ContextSize + ContextBackFill > UINT16_MAX)
        return NDIS_STATUS_FAILURE;
    c = context_new(ContextSize, ContextBackFill);
    if (!c)
        return NDIS_STATUS_RESOURCES;
    c->Next = NetBufferList->Context;
    NetBufferList->Context = c;
    return NDIS_STATUS_SUCCESS;
}

/* Gives ContextSize bytes back; a structure that NdisAllocateNetBufferListContext made goes with
 * its last byte. <= DISPATCH_LEVEL. nf-nblapi-ndisfreenetbufferlistcontext.md */
void NTAPI NdisFreeNetBufferListContext(NET_BUFFER_LIST *NetBufferList, USHORT ContextSize)
{
    NET_BUFFER_LIST_CONTEXT *c = NetBufferList->Context;

    if (unlikely(!c || (uint32_t)c->Offset + ContextSize > c->Size)) {
        umn__report("NblContext", 0,
                    "NdisFreeNetBufferListContext: %u bytes are more than the %u in use",
                    ContextSize, c ? c->Size - c->Offset : 0);
        return;
    }
    c->Offset += ContextSize;
    if (c->Offset == c->Size && !is_initial(NetBufferList->NdisPoolHandle, NetBufferList, c)) {
        NetBufferList->Context = c->Next;
        plat_free(c);
    }
}
