/* SPDX-License-Identifier: MIT */
/*
 * Pool. Every block has a header of 64 bytes in front, and in debug builds a red zone behind; all
 * live blocks stand in a ledger of 64 shards, each with a leaf lock of its own. The ledger gives
 * the sums by tag and the leaks; debug builds also look each freed address up in it, so that a
 * foreign or freed address is reported without being touched. Allocation and free at <=
 * DISPATCH_LEVEL, of paged pool at <= APC_LEVEL.
 */
#include "nt/private.h"

#include <string.h>

#define SHARDS 64u
#define BUCKETS 64u /* in a shard */
#define MAGIC 0x6b6c426c6f6f506eull
#define RING 256u
#define TAG_NONE 0x656e6f4eu /* 'None', what ExAllocatePool without a tag gives */

/* AddressSanitizer sees the end of a block exactly if nothing of ours lies behind it. */
#if defined(UMN_DEBUG) && !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer)
#define RED_ZONE 16
#else
#define RED_ZONE 0
#endif
#define RED_FILL 0xf5u   /* what lies in the red zone */
#define FRESH_FILL 0xcdu /* contents of pool that nobody promised to be zero (debug) */
#define FREED_FILL 0xddu

struct block {
    struct block *next, **prev; /* bucket */
    size_t size;
    const void *caller;
    uint32_t tag, type;
    uint32_t base; /* bytes from the plat_alloc'd base to this header */
    uint32_t spare[3];
    uint64_t magic; /* the last word before the data: an underrun hits it first */
};
_Static_assert(sizeof(struct block) == 64, "keeps data aligned");

static struct shard {
    struct umn_mutex lock;
    struct block *bucket[BUCKETS];
} shards[SHARDS];

#ifdef UMN_DEBUG
/* The last blocks freed, to tell "freed twice" from "never ours". */
static struct {
    struct umn_mutex lock;
    unsigned next;
    struct {
        const void *data, *by;
        uint32_t tag;
    } ring[RING];
} freed;
#endif

static uint64_t hash_of(const void *data)
{
    return ((uintptr_t)data >> 4) * 0x9e3779b97f4a7c15ull;
}

static struct shard *shard_of(const void *data, struct block ***bucket)
{
    uint64_t h = hash_of(data);
    struct shard *s = &shards[h >> 58];
    *bucket = &s->bucket[(h >> 52) % BUCKETS];
    return s;
}

static void ledger_add(struct block *b)
{
    struct block **bucket;
    struct shard *s = shard_of(b + 1, &bucket);
    umn__lock(&s->lock);
    b->next = *bucket;
    b->prev = bucket;
    if (b->next)
        b->next->prev = &b->next;
    *bucket = b;
    umn__unlock(&s->lock);
}

/* Takes the block of `data` out; NULL if there is none (debug: the ledger is searched). */
static struct block *ledger_take(const void *data)
{
    struct block **bucket, *b;
    struct shard *s = shard_of(data, &bucket);
    umn__lock(&s->lock);
#ifdef UMN_DEBUG
    for (b = *bucket; b && (const void *)(b + 1) != data; b = b->next)
        ;
#else
    b = (struct block *)(uintptr_t)data - 1;
    if (b->magic != MAGIC)
        b = NULL;
#endif
    if (b) {
        *b->prev = b->next;
        if (b->next)
            b->next->prev = b->prev;
    }
    umn__unlock(&s->lock);
    return b;
}

/* A tag's four characters, for reports. */
static const char *tag_text(uint32_t tag, char out[5])
{
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)(tag >> (8 * i));
        out[i] = c >= 0x20 && c < 0x7f ? (char)c : '.';
    }
    out[4] = 0;
    return out;
}

static void check_alloc(POOL_TYPE type, size_t size, uint32_t tag, const void *caller)
{
    bool paged = type & PagedPool;
    if (umn__irql() > (paged ? APC_LEVEL : DISPATCH_LEVEL))
        umn__report("IrqlExAllocatePool", paged ? 0x01 : 0x02,
                    "%s allocated %spaged pool at IRQL %u", io__owner(caller), paged ? "" : "non",
                    umn__irql());
    if (!size)
        umn__report("PoolSize", 0x00, "%s allocated zero bytes of pool", io__owner(caller));
    if (!tag)
        umn__report("PoolTag", 0x9b, "%s allocated pool with a tag of zero", io__owner(caller));
}

#ifdef UMN_DEBUG
/* The address is handed out again: freeing it is right again. */
static void forget_free(const void *p)
{
    umn__lock(&freed.lock);
    for (unsigned i = 0; i < RING; i++)
        if (freed.ring[i].data == p)
            freed.ring[i].data = NULL;
    umn__unlock(&freed.lock);
}
#endif

void *umn__pool_alloc(POOL_TYPE type, size_t size, ULONG tag, const void *caller)
{
    check_alloc(type, size, tag, caller);
    if (size > (size_t)1 << 40)
        return NULL;
    /* As Windows: a page or more starts on a page; cache aligned on a line; else on 16 bytes. */
    size_t align = size >= PAGE_SIZE ? PAGE_SIZE : (type & NonPagedPoolCacheAligned) ? 64 : 16;
    size_t front = align > sizeof(struct block) ? align : sizeof(struct block);
    char *base = align == 16 ? plat_alloc(front + size + RED_ZONE)
                             : plat_alloc_aligned(align, front + size + RED_ZONE);
    if (!base)
        return NULL;
    struct block *b = (struct block *)(base + front) - 1;
    char *data = base + front;
    b->size = size;
    b->caller = caller;
    b->tag = tag ? tag : TAG_NONE;
    b->type = (uint32_t)type;
    b->base = (uint32_t)((char *)b - base);
    b->magic = MAGIC;
#ifdef UMN_DEBUG
    forget_free(data);
    if (!(type & POOL_ZERO_ALLOCATION))
        memset(data, FRESH_FILL, size);
#endif
#if RED_ZONE
    memset(data + size, RED_FILL, RED_ZONE);
#endif
    ledger_add(b);
    return data;
}

static void raise_if_null(const void *p, bool raise)
{
    if (!p && raise)
        ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
}

static void check_contents(const struct block *b, const void *by)
{
    char tag[5];
    const unsigned char *data = (const unsigned char *)(b + 1);
    if (b->magic != MAGIC)
        umn__report("PoolOverrun", 0x53,
                    "%s freed a block of %zu bytes, tag %s, after writing in front of it",
                    io__owner(by), b->size, tag_text(b->tag, tag));
    for (unsigned i = 0; i < RED_ZONE; i++) {
        if (data[b->size + i] == RED_FILL)
            continue;
        umn__report("PoolOverrun", 0x51,
                    "%s freed a block of %zu bytes, tag %s, after writing %u bytes past its end",
                    io__owner(by), b->size, tag_text(b->tag, tag), i + 1);
        break;
    }
}

static void report_bad_free(const void *p, const void *by)
{
#ifdef UMN_DEBUG
    char tag[5];
    umn__lock(&freed.lock);
    for (unsigned i = 0; i < RING; i++) {
        if (freed.ring[i].data != p)
            continue;
        uint32_t old_tag = freed.ring[i].tag;
        const void *first = freed.ring[i].by;
        umn__unlock(&freed.lock);
        umn__report("PoolFree", 0x13, "%s freed pool with tag %s that %s had freed already",
                    io__owner(by), tag_text(old_tag, tag), io__owner(first));
        return;
    }
    umn__unlock(&freed.lock);
#endif
    umn__report("PoolFree", 0x10, "%s freed %p, which is not a pool allocation", io__owner(by), p);
}

static void remember_free(const void *p, uint32_t tag, const void *by)
{
#ifdef UMN_DEBUG
    umn__lock(&freed.lock);
    freed.ring[freed.next].data = p;
    freed.ring[freed.next].by = by;
    freed.ring[freed.next].tag = tag;
    freed.next = (freed.next + 1) % RING;
    umn__unlock(&freed.lock);
#endif
}

/* tag 0: any. */
static void pool_free(void *p, ULONG tag, const void *by)
{
    char was[5], now[5];
    struct block *b = p ? ledger_take(p) : NULL;
    if (!b) {
        report_bad_free(p, by);
        return;
    }
    bool paged = b->type & PagedPool;
    if (umn__irql() > (paged ? APC_LEVEL : DISPATCH_LEVEL))
        umn__report(paged ? "IrqlExFree1" : "IrqlExFree2", paged ? 0x11 : 0x12,
                    "%s freed %spaged pool at IRQL %u", io__owner(by), paged ? "" : "non",
                    umn__irql());
    if (tag && ((tag ^ b->tag) & 0x7fffffff)) /* the top bit was PROTECTED_POOL */
        umn__report("PoolTag", 0x0a, "%s freed pool with tag %s as %s", io__owner(by),
                    tag_text(b->tag, was), tag_text(tag, now));
    check_contents(b, by);
    remember_free(p, b->tag, by);
    char *base = (char *)b - b->base;
#ifdef UMN_DEBUG
    memset(b + 1, FREED_FILL, b->size);
#endif
    b->magic = 0;
    plat_free(base);
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* Calls visit for every live block, one shard locked at a time. */
static void visit_blocks(void (*visit)(const struct block *b, void *arg), void *arg)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        umn__lock(&shards[i].lock);
        for (unsigned k = 0; k < BUCKETS; k++)
            for (struct block *b = shards[i].bucket[k]; b; b = b->next)
                visit(b, arg);
        umn__unlock(&shards[i].lock);
    }
}

struct sums {
    struct umn_pool_usage *out;
    unsigned max, tags;
    size_t blocks;
    const struct umn_image *image; /* only what this driver allocated; NULL = all */
};

static void add_block(const struct block *b, void *arg)
{
    struct sums *s = arg;
    if (s->image && !io__image_contains(s->image, b->caller))
        return;
    s->blocks++;
    unsigned i = 0, known = s->tags < s->max ? s->tags : s->max;
    while (i < known && s->out[i].tag != b->tag)
        i++;
    if (i == known) {
        s->tags++;
        if (i >= s->max)
            return;
        s->out[i] = (struct umn_pool_usage){.tag = b->tag};
    }
    s->out[i].blocks++;
    s->out[i].bytes += b->size;
}

unsigned umn__pool_usage(struct umn_pool_usage *out, unsigned max)
{
    struct sums s = {.out = out, .max = max};
    visit_blocks(add_block, &s);
    return s.tags;
}

size_t umn__pool_live(void)
{
    struct sums s = {0};
    visit_blocks(add_block, &s);
    return s.blocks;
}

static void report_sums(const struct sums *s, const char *who)
{
    char tag[5];
    for (unsigned i = 0; i < s->tags && i < s->max; i++)
        umn__report("PoolLeak", 0x62, "%s left %zu block(s), %zu bytes, of pool with tag %s", who,
                    s->out[i].blocks, s->out[i].bytes, tag_text(s->out[i].tag, tag));
}

/* Blocks that a box left. They are not freed at its end, since a timer that was left armed may lie
 * in one; the next box starts with another scheduler, so then they can go. */
static struct block *abandoned;

void ex__pool_stop(void)
{
    struct umn_pool_usage usage[16];
    struct sums s = {.out = usage, .max = 16};
    visit_blocks(add_block, &s);
    report_sums(&s, "the box");
    for (unsigned i = 0; i < SHARDS * BUCKETS; i++) {
        struct block **bucket = &shards[i / BUCKETS].bucket[i % BUCKETS], *b;
        while ((b = *bucket) != NULL) {
            *bucket = b->next;
            b->next = abandoned;
            abandoned = b;
        }
    }
}

void ex__pool_start(void)
{
    for (struct block *b; (b = abandoned) != NULL;) {
        abandoned = b->next;
        plat_free((char *)b - b->base);
    }
}

void ex__pool_check_unload(const struct umn_image *image, const char *service)
{
    struct umn_pool_usage usage[16];
    struct sums s = {.out = usage, .max = 16, .image = image};
    if (!image)
        return;
    visit_blocks(add_block, &s);
    report_sums(&s, service);
}

/* ---- what drivers call ----------------------------------------------------------------------- */

static void *take(POOL_TYPE type, size_t size, ULONG tag, const void *caller)
{
    void *p = umn__pool_alloc(type, size, tag, caller);
    raise_if_null(p, type & POOL_RAISE_IF_ALLOCATION_FAILURE);
    return p;
}

/* Pool with a tag; NULL without memory. <= DISPATCH_LEVEL, PagedPool <= APC_LEVEL.
 * nf-wdm-exallocatepoolwithtag.md */
PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return take(PoolType, NumberOfBytes, Tag, __builtin_return_address(0));
}

/* Without a tag: counts as 'None'. nf-wdm-exallocatepool.md */
PVOID NTAPI ExAllocatePool(POOL_TYPE PoolType, SIZE_T NumberOfBytes)
{
    return take(PoolType, NumberOfBytes, TAG_NONE, __builtin_return_address(0));
}

PVOID NTAPI ExAllocatePoolWithTagPriority(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag,
                                          EX_POOL_PRIORITY Priority)
{
    return take(PoolType, NumberOfBytes, Tag, __builtin_return_address(0));
}

/* Raises on failure unless POOL_QUOTA_FAIL_INSTEAD_OF_RAISE. nf-wdm-exallocatepoolwithquotatag.md
 */
PVOID NTAPI ExAllocatePoolWithQuotaTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    void *p = take(PoolType, NumberOfBytes, Tag, __builtin_return_address(0));
    raise_if_null(p, !(PoolType & POOL_QUOTA_FAIL_INSTEAD_OF_RAISE));
    return p;
}

PVOID NTAPI ExAllocatePoolWithQuota(POOL_TYPE PoolType, SIZE_T NumberOfBytes)
{
    return ExAllocatePoolWithQuotaTag(PoolType, NumberOfBytes, TAG_NONE);
}

static void *take2(POOL_FLAGS flags, size_t size, ULONG tag, const void *caller)
{
    /* The page: exactly one kind of pool, a tag, and a size other than zero; else NULL. */
    const POOL_FLAGS kinds = POOL_FLAG_NON_PAGED | POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_PAGED;
    POOL_FLAGS kind = flags & kinds;
    bool bad =
        !kind || (kind & (kind - 1)) || (flags & POOL_FLAG_UNUSED_REQUIRED_BITS) || !tag || !size;
    void *p = NULL;
    if (bad)
        umn__report("PoolFlags", 0x9b, "%s: ExAllocatePool2 with flags 0x%llx, %zu bytes, tag 0x%x",
                    io__owner(caller), flags, size, tag);
    int type = kind == POOL_FLAG_PAGED       ? PagedPool
               : kind == POOL_FLAG_NON_PAGED ? NonPagedPoolNx
                                             : NonPagedPool;
    if (flags & POOL_FLAG_CACHE_ALIGNED)
        type |= NonPagedPoolCacheAligned;
    if (!(flags & POOL_FLAG_UNINITIALIZED))
        type |= POOL_ZERO_ALLOCATION;
    if (!bad)
        p = take((POOL_TYPE)type, size, tag, caller);
    raise_if_null(p, flags & POOL_FLAG_RAISE_ON_FAILURE);
    return p;
}

/* Zeroed unless POOL_FLAG_UNINITIALIZED. NULL without memory or with bad flags. <= DISPATCH_LEVEL,
 * paged <= APC_LEVEL. nf-wdm-exallocatepool2.md */
PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
{
    return take2(Flags, NumberOfBytes, Tag, __builtin_return_address(0));
}

/* Extended parameters (priority, NUMA node) are optional hints here. nf-wdm-exallocatepool3.md */
PVOID NTAPI ExAllocatePool3(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag,
                            PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                            ULONG ExtendedParametersCount)
{
    return take2(Flags, NumberOfBytes, Tag, __builtin_return_address(0));
}

/* Frees; the tag must be the one of the allocation. IRQL as for the allocation.
 * nf-wdm-exfreepoolwithtag.md */
void NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag)
{
    pool_free(P, Tag, __builtin_return_address(0));
}

/* nf-wdm-exfreepool.md */
void NTAPI ExFreePool(PVOID P)
{
    pool_free(P, 0, __builtin_return_address(0));
}

/* nf-wdm-exfreepool2.md */
void NTAPI ExFreePool2(PVOID P, ULONG Tag, PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                       ULONG ExtendedParametersCount)
{
    pool_free(P, Tag, __builtin_return_address(0));
}
