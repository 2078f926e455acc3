/* SPDX-License-Identifier: MIT */
/*
 * MDLs of the data path: NdisAllocateMdl, NdisFreeMdl, NdisAdjustMdlLength, MDLs over parts of
 * other MDLs (clones, fragments), MDLs in one block with their memory (retreat). No lock; <=
 * DISPATCH_LEVEL.
 *
 * MDL_PARTIAL marks the MDLs of the internal pool, MDL_NETWORK_HEADER those that Retreat prepended,
 * with MDL_INTERNAL if their memory is ours and not the driver's: freeing knows what it has in
 * hand.
 */
#include "ndis/data.h"

#include <string.h>

void ndis__mdl_set(MDL *mdl, void *address, ULONG length, CSHORT size)
{
    mdl->Next = NULL;
    mdl->Size = size;
    mdl->MdlFlags = MDL_SOURCE_IS_NONPAGED_POOL;
    mdl->Process = NULL;
    mdl->MappedSystemVa = address;
    mdl->StartVa = (void *)((uintptr_t)address & ~(uintptr_t)(PAGE_SIZE - 1));
    mdl->ByteCount = length;
    mdl->ByteOffset = (ULONG)((uintptr_t)address & (PAGE_SIZE - 1));
}

/*
 * An MDL for Length bytes of non-paged memory at VirtualAddress, not linked to anything. NULL: no
 * memory. NdisHandle is not used for more than accounting. <= DISPATCH_LEVEL.
 * nf-mdlapi-ndisallocatemdl
 */
MDL *NTAPI NdisAllocateMdl(NDIS_HANDLE NdisHandle, PVOID VirtualAddress, ULONG Length)
{
    MDL *mdl = IoAllocateMdl(VirtualAddress, Length, FALSE, FALSE, NULL);

    if (mdl)
        MmBuildMdlForNonPagedPool(mdl);
    return mdl;
}

/* Frees an MDL of NdisAllocateMdl; the memory that it describes stays. <= DISPATCH_LEVEL. */
void NTAPI NdisFreeMdl(MDL *Mdl)
{
    IoFreeMdl(Mdl);
}

#undef NdisAdjustMdlLength
void NTAPI NdisAdjustMdlLength(MDL *Mdl, ULONG Length);
/* Sets the length that the MDL describes, at most what it was made for. Any IRQL. */
void NTAPI NdisAdjustMdlLength(MDL *Mdl, ULONG Length)
{
    Mdl->ByteCount = Length;
}

/* ---- MDL and memory in one block
 * -------------------------------------------------------------------- */

MDL *ndis__mdl_with_data(ULONG length)
{
    size_t head = sizeof(MDL) + sizeof(PFN_NUMBER) * ((size_t)length / PAGE_SIZE + 2);
    MDL *mdl;

    head = (head + 15) & ~(size_t)15;
    mdl = plat_alloc(head + length);
    if (!mdl)
        return NULL;
    ndis__mdl_set(mdl, (char *)mdl + head, length, (CSHORT)head);
    MmBuildMdlForNonPagedPool(mdl);
    mdl->MdlFlags |= (CSHORT)(MDL_NETWORK_HEADER | MDL_INTERNAL);
    return mdl;
}

void ndis__mdl_with_data_free(MDL *mdl)
{
    plat_free(mdl);
}

/* ---- MDLs over parts of others
 * ------------------------------------------------------------------------ */

static MDL *mdl_partial(const MDL *source, ULONG offset, ULONG length)
{
    struct ndis_pool *pool = ndis__internal_mdl_pool();
    char *address = (char *)ndis__mdl_va(source) + offset;
    MDL *mdl;

    if (!pool)
        return NULL;
    if (unlikely(length > NDIS_MDL_SPAN)) {
        mdl = IoAllocateMdl(address, length, FALSE, FALSE, NULL);
        if (mdl)
            MmBuildMdlForNonPagedPool(mdl);
        return mdl;
    }
    mdl = ndis__block_alloc(pool);
    if (!mdl)
        return NULL;
    ndis__tail(pool, mdl)->state = NDIS_BLOCK_LIVE;
    ndis__mdl_set(mdl, address, length, (CSHORT)pool->tail);
    mdl->MdlFlags |= MDL_PARTIAL | (source->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA);
    return mdl;
}

void ndis__mdl_chain_free(MDL *mdl)
{
    while (mdl) {
        MDL *next = mdl->Next;

        if (mdl->MdlFlags & MDL_NETWORK_HEADER && mdl->MdlFlags & MDL_INTERNAL)
            ndis__mdl_with_data_free(mdl);
        else if (mdl->MdlFlags & MDL_PARTIAL)
            ndis__block_free(ndis__internal_mdl_pool(), mdl);
        else
            IoFreeMdl(mdl);
        mdl = next;
    }
}

/*
 * MDLs that describe the same bytes as nb's data from `offset` on, `length` of them, without
 * copying. *last (may be NULL) is where a further chain is linked on. NULL and nothing allocated:
 * no memory.
 */
MDL *ndis__mdl_partial_chain(const NET_BUFFER *nb, ULONG offset, ULONG length, MDL ***last)
{
    const MDL *source = nb->CurrentMdl;
    MDL *first = NULL, **link = &first;
    ULONG skip = nb->CurrentMdlOffset + offset;

    while (source && skip >= source->ByteCount) {
        skip -= source->ByteCount;
        source = source->Next;
    }
    do {
        ULONG piece = source ? source->ByteCount - skip : 0;

        if (!source)
            break;
        if (piece > length)
            piece = length;
        *link = mdl_partial(source, skip, piece);
        if (!*link) {
            ndis__mdl_chain_free(first);
            return NULL;
        }
        link = &(*link)->Next;
        length -= piece;
        skip = 0;
        source = source->Next;
    } while (length);
    if (last)
        *last = link;
    return first;
}
