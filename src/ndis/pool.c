/* SPDX-License-Identifier: MIT */
/*
 * Pools of NET_BUFFER_LISTs, NET_BUFFERs and MDLs: where the blocks of data.h come from. At
 * DISPATCH_LEVEL a block moves between the caller and the magazine of its vCPU, without lock or
 * atomic operation; magazines are filled from and emptied to the central list in runs. Below
 * DISPATCH_LEVEL the central list serves directly, under `pool->lock` (leaf).
 *
 * Invariants:
 *  P1  a block is in exactly one place: out (tail LIVE), in one magazine, or on the central list
 *  P2  magazine i is touched only by the context that is at DISPATCH_LEVEL on vCPU i
 *  P3  blocks in slabs = blocks out + in magazines + on the central list (cached pools)
 *  P4  a dead pool goes with its last block; nothing is allocated from it
 *
 * A verified pool has no slabs: each block is its own allocation, so that the sweep over failing
 * allocations sees every NBL; freed blocks are poisoned and stay in a short quarantine, so that a
 * second free is reported instead of corrupting anything. AddressSanitizer sees use after free.
 */
#include "ndis/data.h"

#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define poison(p, n) __asan_poison_memory_region(p, n)
#define unpoison(p, n) __asan_unpoison_memory_region(p, n)
#endif
#endif
#ifndef poison
#define poison(p, n) ((void)0)
#define unpoison(p, n) ((void)0)
#endif

#define RUN 64u       /* blocks moved between a magazine and the central list */
#define SLAB_FIRST 8u /* blocks in the first slab; doubles up to SLAB_LIMIT */
#define SLAB_LIMIT 128u
#define SLAB_BYTES (512u << 10)
#define POISON_BYTE 0xd5

#ifdef UMN_DEBUG
bool ndis__verify = true;
#else
bool ndis__verify = false;
#endif

_Static_assert(sizeof(struct ndis_share) <= sizeof(MDL) + 2 * sizeof(PFN_NUMBER), "blocks fit");

void umn__ndis_verify(bool on)
{
    ndis__verify = on;
}

struct slab {
    struct slab *next;
    char pad[56];
};

static uint32_t round64(uint32_t n)
{
    return (n + 63) & ~63u;
}

/* ---- layout -------------------------------------------------------------------------------------
 */

static void layout(struct ndis_pool *p)
{
    uint32_t at = 0;

    if (p->kind == NDIS_POOL_NBL) {
        p->tail = NDIS_NBL_TAIL;
        at = NDIS_NBL_PART;
    } else if (p->kind == NDIS_POOL_NB) {
        p->tail = NDIS_NB_TAIL;
    }
    if (p->kind == NDIS_POOL_NB || p->with_nb) {
        p->nb = at;
        at += NDIS_NB_PART;
    }
    if (p->context_size) {
        p->context = at = round64(at);
        at += sizeof(NET_BUFFER_LIST_CONTEXT) + p->context_size;
    }
    if (p->kind == NDIS_POOL_MDL || p->kind == NDIS_POOL_SHARE) {
        /* For spans of data_size bytes; the tail follows the page numbers. A share fits as well. */
        p->tail = (uint32_t)(sizeof(MDL) + sizeof(PFN_NUMBER) * (p->data_size / PAGE_SIZE + 2));
        p->tail = (p->tail + 15) & ~15u;
        at = p->tail + sizeof(struct ndis_tail);
    } else if (p->data_size) {
        p->mdl = at = (at + 15) & ~15u;
        at += (uint32_t)(sizeof(MDL) + sizeof(PFN_NUMBER) * (p->data_size / PAGE_SIZE + 2));
        p->data = at = round64(at);
        at += p->data_size;
    }
    p->size = round64(at);
}

/* What stays the same over the life of a block: handles and the MDL of preallocated data. */
static void block_init(struct ndis_pool *p, void *block)
{
    char *b = block;

    if (p->kind == NDIS_POOL_NBL)
        ((NET_BUFFER_LIST *)b)->NdisPoolHandle = p;
    if (p->kind == NDIS_POOL_NB || p->with_nb)
        ((NET_BUFFER *)(b + p->nb))->NdisPoolHandle = p;
    if (p->data) {
        MDL *mdl = (MDL *)(b + p->mdl);

        ndis__mdl_set(mdl, b + p->data, p->data_size, (CSHORT)(p->data - p->mdl));
        MmBuildMdlForNonPagedPool(mdl);
    }
    ndis__tail(p, block)->state = NDIS_BLOCK_FREE;
}

/* ---- making and freeing pools
 * ---------------------------------------------------------------------- */

struct ndis_pool *ndis__pool_create(enum ndis_pool_kind kind, bool with_nb, uint32_t context_size,
                                    uint32_t data_size, uint32_t tag, bool verify)
{
    struct ndis_pool *p;

    if (data_size > UINT32_MAX / 2)
        return NULL;
    p = plat_alloc(sizeof(*p));
    if (!p)
        return NULL;
    p->kind = kind;
    p->with_nb = with_nb;
    p->context_size = context_size;
    p->data_size = data_size;
    p->tag = tag;
    layout(p);
    p->cached = !verify && !ndis__verify;
    if (p->cached) {
        p->magazine = plat_alloc_aligned(64, sizeof(*p->magazine) * umn__cpu_count());
        if (!p->magazine) {
            plat_free(p);
            return NULL;
        }
        for (unsigned i = 0; i < umn__cpu_count(); i++)
            p->magazine[i].count = 0;
    }
    return p;
}

static void pool_release(struct ndis_pool *p)
{
    struct slab *slab, *next;

    for (unsigned i = 0; i < sizeof(p->quarantine) / sizeof(p->quarantine[0]); i++) {
        if (p->quarantine[i])
            unpoison(p->quarantine[i], p->size);
        plat_free(p->quarantine[i]);
    }
    for (slab = p->slabs; slab; slab = next) {
        next = slab->next;
        plat_free(slab);
    }
    plat_free(p->magazine);
    p->kind = NDIS_POOL_DEAD;
    plat_free(p);
}

static uint32_t pool_out(const struct ndis_pool *p)
{
    uint32_t out = p->total;

    if (!p->cached)
        return out;
    out -= p->free_count;
    for (unsigned i = 0; i < umn__cpu_count(); i++)
        out -= p->magazine[i].count;
    return out;
}

void ndis__pool_destroy(struct ndis_pool *p, const char *function)
{
    uint32_t out;

    umn__lock(&p->lock);
    out = pool_out(p);
    p->dead = out != 0;
    umn__unlock(&p->lock);
    if (!out) {
        pool_release(p);
        return;
    }
    umn__report("NblPoolFree", 0, "%s: the pool still has %u blocks out (tag %08x)", function, out,
                p->tag);
}

/* ---- the slow half of allocation
 * ------------------------------------------------------------------- */

/* Lock held. Adds a slab to the central list, without the lock while it allocates. */
static bool grow(struct ndis_pool *p)
{
    uint32_t want = p->total < SLAB_FIRST ? SLAB_FIRST : p->total;
    struct slab *slab;

    if (want > SLAB_LIMIT)
        want = SLAB_LIMIT;
    if (want > SLAB_BYTES / p->size)
        want = SLAB_BYTES / p->size ? SLAB_BYTES / p->size : 1;
    umn__unlock(&p->lock);
    slab = plat_alloc_aligned(64, sizeof(*slab) + (size_t)want * p->size);
    if (slab) {
        memset(slab, 0, sizeof(*slab) + (size_t)want * p->size);
        for (uint32_t i = 0; i < want; i++)
            block_init(p, (char *)(slab + 1) + (size_t)i * p->size);
    }
    umn__lock(&p->lock);
    if (!slab)
        return false;
    slab->next = p->slabs;
    p->slabs = slab;
    p->total += want;
    p->free_count += want;
    for (uint32_t i = want; i-- > 0;) {
        void *block = (char *)(slab + 1) + (size_t)i * p->size;

        ndis__tail(p, block)->next = p->free;
        p->free = block;
    }
    return true;
}

static void *central_pop(struct ndis_pool *p)
{
    void *block = p->free;

    p->free = ndis__tail(p, block)->next;
    p->free_count--;
    return block;
}

static void *alloc_single(struct ndis_pool *p)
{
    void *block = plat_alloc_aligned(64, p->size);

    if (!block)
        return NULL;
    memset(block, 0, p->size);
    block_init(p, block);
    umn__lock(&p->lock);
    p->total++;
    umn__unlock(&p->lock);
    return block;
}

static NDIS_COLD void *alloc_slow(struct ndis_pool *p)
{
    struct ndis_magazine *m = NULL;
    void *block = NULL;

    umn__point(UMN_OP_ALLOC, p);
    if (!p->cached)
        return alloc_single(p);
    if (umn__irql() >= UMN_DISPATCH)
        m = &p->magazine[umn__cpu()];
    umn__lock(&p->lock);
    if (p->free_count || grow(p)) {
        block = central_pop(p);
        while (m && m->count < RUN && p->free_count)
            m->block[m->count++] = central_pop(p);
    }
    umn__unlock(&p->lock);
    return block;
}

void *NTAPI ndis__block_alloc_slow(struct ndis_pool *p)
{
    return alloc_slow(p);
}

/* ---- the slow half of freeing
 * ----------------------------------------------------------------------- */

static void central_push(struct ndis_pool *p, void *block)
{
    ndis__tail(p, block)->next = p->free;
    p->free = block;
    p->free_count++;
}

/* Poisons everything but the first words, which tell a second free what this was. */
static void free_single(struct ndis_pool *p, void *block)
{
    char *b = block;
    void *oldest;
    bool last;

    if (p->kind == NDIS_POOL_NBL)
        ((NET_BUFFER_LIST *)b)->NdisPoolHandle = p;
    memset(b, POISON_BYTE,
           p->kind == NDIS_POOL_NBL ? offsetof(NET_BUFFER_LIST, NdisPoolHandle) : 16);
    if (p->kind == NDIS_POOL_NBL)
        memset(b + 64, POISON_BYTE, NDIS_NBL_TAIL - 64);
    if (p->data)
        memset(b + p->data, POISON_BYTE, p->data_size);
    poison(b + p->tail + 16, p->size - p->tail - 16);
    umn__lock(&p->lock);
    oldest = p->quarantine[p->quarantine_next];
    p->quarantine[p->quarantine_next] = block;
    p->quarantine_next =
        (p->quarantine_next + 1) % (sizeof(p->quarantine) / sizeof(p->quarantine[0]));
    p->total--;
    last = p->dead && p->total == 0;
    umn__unlock(&p->lock);
    if (oldest)
        unpoison(oldest, p->size);
    plat_free(oldest);
    if (last)
        pool_release(p);
}

static NDIS_COLD void free_slow(struct ndis_pool *p, void *block)
{
    struct ndis_magazine *m = NULL;
    bool last;

    if (!p->cached) {
        free_single(p, block);
        return;
    }
    if (umn__irql() >= UMN_DISPATCH)
        m = &p->magazine[umn__cpu()];
    umn__lock(&p->lock);
    central_push(p, block);
    /* Keeps two runs: the next allocations on this vCPU need no lock either. */
    while (m && m->count > 2 * RUN)
        central_push(p, m->block[--m->count]);
    last = p->dead && pool_out(p) == 0;
    umn__unlock(&p->lock);
    if (last)
        pool_release(p);
}

void NTAPI ndis__block_free_slow(struct ndis_pool *p, void *block)
{
    free_slow(p, block);
}

bool ndis__block_check(struct ndis_pool *p, enum ndis_pool_kind kind, void *block,
                       const char *function)
{
    const char *what = NULL;

    if (!ndis__pool_is(p, kind))
        what = "does not come from such a pool";
    else if (ndis__tail(p, block)->state == NDIS_BLOCK_FREE)
        what = "is free already";
    else if (ndis__tail(p, block)->state != NDIS_BLOCK_LIVE)
        what = "is not the start of a block, or its tail was overwritten";
    if (!what)
        return true;
    umn__report("NblOwnership", 0, "%s: what is to be freed %s", function, what);
    return false;
}
