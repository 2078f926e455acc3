/* SPDX-License-Identifier: MIT */
/*
 * Shared by the data path of src/ndis: pools and the blocks they hand out, cheap handle checks.
 * Hot functions are NTAPI throughout, also static ones: a System V call made from an NTAPI function
 * saves ten vector registers, so that such calls stay in noinline slow paths.
 */
#ifndef NDIS_DATA_H
#define NDIS_DATA_H

#include "ndis/internal.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/* Plain flags and words that one context sets while others read them. */
#define ndis__peek(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define ndis__poke(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#define NDIS_COLD __attribute__((noinline, cold))
#define NDIS_HOT inline __attribute__((always_inline)) /* also into NTAPI functions */

/* umn__point without a System V call in the caller. */
void NTAPI ndis__point_slow(enum umn_op op, const volatile void *object);
static NDIS_HOT void ndis__point(enum umn_op op, const volatile void *object)
{
    if (unlikely(UmnPointsOn))
        ndis__point_slow(op, object);
}

/* Whether the expensive checks of driver behaviour run: on in debug builds, a switch elsewhere
 * (umn__ndis_verify). Read when a pool is made, and per batch or per NBL on the data path. */
extern bool ndis__verify;

/* ---- blocks and pools: pool.c -------------------------------------------------------------------
 */
/*
 * A block as the pool hands it out; offsets in struct ndis_pool, each part on a cache line border:
 *
 *   NET_BUFFER_LIST 368 | tail 16 | NET_BUFFER 176 | tail 16 | context | MDL | data
 *   `---- NBL pools ------------' `---- with NBs, or NB pools ----'      `- DataSize -'
 *
 * The tail is ours: drivers own everything in front of it while the block is out.
 */
#define NDIS_BLOCK_LIVE 0x4556494cu /* 'LIVE' */
#define NDIS_BLOCK_FREE 0x45455246u /* 'FREE' */
enum ndis_block_flags {
    NDIS_BLOCK_CLONE = 1,          /* NdisAllocateCloneNetBufferList */
    NDIS_BLOCK_CLONE_ORIGINAL = 2, /* the same with NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS */
    NDIS_BLOCK_FRAGMENT = 4,
    NDIS_BLOCK_REASSEMBLED = 8,
    NDIS_BLOCK_DERIVED = 15,
};
struct ndis_tail {
    uint32_t state; /* LIVE or FREE */
    uint16_t flags; /* enum ndis_block_flags */
    /* Verify only: how many stacks hold the NBL as a send / as a receive (an intermediate driver
     * may pass on the same NBL). */
    uint8_t sent, received;
    union {
        void *next;                       /* free: next block of the central list */
        NET_BUFFER_LIST_CONTEXT *context; /* live: initial context that did not fit, or NULL */
    };
};
#define NDIS_NBL_TAIL 368u
#define NDIS_NBL_PART 384u
#define NDIS_NB_TAIL 176u
#define NDIS_NB_PART 192u
_Static_assert(sizeof(NET_BUFFER_LIST) <= NDIS_NBL_TAIL, "the tail follows the NBL");
_Static_assert(sizeof(NET_BUFFER) <= NDIS_NB_TAIL, "the tail follows the NB");
_Static_assert(sizeof(struct ndis_tail) == 16, "the tail fills the cache line");

enum ndis_pool_kind {
    NDIS_POOL_DEAD = 0x44454144,
    NDIS_POOL_NBL = 0x504c424e,
    NDIS_POOL_NB = 0x5050424e,
    NDIS_POOL_MDL = 0x504c444d,
    NDIS_POOL_SHARE = 0x50524853, /* struct ndis_share, receive.c */
};
#define NDIS_MAGAZINE                                                                              \
    192u /* three refills of 64: a batch can go and come back without the lock                     \
          */
struct ndis_magazine {
    uint32_t count;
    void *block[NDIS_MAGAZINE - 1];
} __attribute__((aligned(64)));

/* A per-vCPU magazine is touched only at DISPATCH_LEVEL on its vCPU; the rest under `lock`. */
struct ndis_pool {
    uint32_t kind; /* enum ndis_pool_kind; first, so that a wrong handle is seen */
    uint8_t protocol_id;
    bool with_nb; /* NBL pools: an NB in each block */
    bool cached;  /* slabs and magazines; else each block is allocated on its own (verify) */
    bool dead;    /* freed by its owner with blocks still out */
    uint32_t context_size, data_size;
    uint32_t size, tail, nb, context, mdl, data; /* block size and offsets in it */
    uint32_t tag;
    struct ndis_magazine *magazine; /* [umn__cpu_count()] */
    struct umn_mutex lock;
    void *free;                 /* central list */
    uint32_t free_count, total; /* blocks on it / blocks in slabs, or blocks out if not cached */
    void *slabs;
    void *quarantine[32]; /* !cached: freed last, poisoned */
    unsigned quarantine_next;
};

static inline struct ndis_tail *ndis__tail(const struct ndis_pool *pool, void *block)
{
    return (struct ndis_tail *)((char *)block + pool->tail);
}
static inline struct ndis_tail *ndis__nbl_tail(NET_BUFFER_LIST *nbl)
{
    return (struct ndis_tail *)((char *)nbl + NDIS_NBL_TAIL);
}

/* mdl_bytes: a pool of MDLs for spans of at most that many bytes. NULL: no memory. <= DISPATCH. */
struct ndis_pool *ndis__pool_create(enum ndis_pool_kind kind, bool with_nb, uint32_t context_size,
                                    uint32_t data_size, uint32_t tag, bool verify);
/* Reports blocks that are still out; their memory stays until they come back. */
void ndis__pool_destroy(struct ndis_pool *pool, const char *function);
void *NTAPI ndis__block_alloc_slow(struct ndis_pool *pool);
void NTAPI ndis__block_free_slow(struct ndis_pool *pool, void *block);
/* True if the block is a live one of a pool of that kind; else reports. */
bool ndis__block_check(struct ndis_pool *pool, enum ndis_pool_kind kind, void *block,
                       const char *function);

static inline bool ndis__pool_is(const struct ndis_pool *pool, enum ndis_pool_kind kind)
{
    return pool && pool->kind == (uint32_t)kind;
}

static inline void *ndis__block_alloc(struct ndis_pool *pool)
{
    struct ndis_magazine *m;

    if (unlikely(!pool->cached || umn__irql_quick() < UMN_DISPATCH))
        return ndis__block_alloc_slow(pool);
    m = &pool->magazine[umn__cpu_quick()];
    if (unlikely(m->count == 0))
        return ndis__block_alloc_slow(pool);
    m->count--;
    return m->block[m->count];
}

static inline void ndis__block_free(struct ndis_pool *pool, void *block)
{
    struct ndis_magazine *m;

    ndis__tail(pool, block)->state = NDIS_BLOCK_FREE;
    if (likely(pool->cached && umn__irql_quick() >= UMN_DISPATCH)) {
        m = &pool->magazine[umn__cpu_quick()];
        if (likely(m->count < NDIS_MAGAZINE - 1)) {
            m->block[m->count++] = block;
            return;
        }
    }
    ndis__block_free_slow(pool, block);
}

/* The largest span whose MDL comes from the pool: a 64 KB segment and its headers. */
#define NDIS_MDL_SPAN (17u * PAGE_SIZE)

/* ---- internal pools, made on first use, freed by ndis__dp_stop: clone.c
 * --------------------------- */
struct ndis_pool *ndis__internal_nbl_pool(void); /* with NBs; NULL: no memory */
struct ndis_pool *ndis__internal_nb_pool(void);
struct ndis_pool *ndis__internal_mdl_pool(void);
struct ndis_pool *ndis__internal_share_pool(void);

/* ---- nb.c, mdl.c, context.c
 * -------------------------------------------------------------------------- */
/* Fills an NB whose MDL chain starts at mdl; the offset may lie in any MDL of the chain. */
void NTAPI ndis__nb_set(NET_BUFFER *nb, MDL *mdl, ULONG offset, ULONG length);
/* Copies `length` bytes from the data start + offset; returns what was there to copy. */
ULONG ndis__nb_read(const NET_BUFFER *nb, ULONG offset, void *to, ULONG length);
/* A chain of new MDLs over `length` bytes of the data of nb from `offset`. NULL: no memory. */
MDL *ndis__mdl_partial_chain(const NET_BUFFER *nb, ULONG offset, ULONG length, MDL ***last);
void ndis__mdl_chain_free(MDL *mdl); /* what partial_chain and Retreat have made */
void ndis__mdl_set(MDL *mdl, void *address, ULONG length, CSHORT size);
MDL *ndis__mdl_with_data(ULONG length); /* one block; NULL: no memory */
void ndis__mdl_with_data_free(MDL *mdl);
/* Gives a new NBL its initial context; false: no memory. */
bool NTAPI ndis__context_init(struct ndis_pool *pool, NET_BUFFER_LIST *nbl, USHORT size,
                              USHORT backfill);
void ndis__context_drop(struct ndis_pool *pool, NET_BUFFER_LIST *nbl);

static inline void *ndis__mdl_va(const MDL *mdl)
{
    return mdl->MappedSystemVa;
}

/* ---- filter.c, receive.c, loopback.c, verify.c
 * ------------------------------------------------------- */
/*
 * One indicated NBL that several bindings have got, or a looped-back copy. NdisReserved[0] of the
 * original and of each clone points here; `saved` are the original's, which may belong to a share
 * of the adapter below (an intermediate driver may indicate the NBL that it got).
 */
struct ndis_share {
    struct ndis_adapter *adapter;
    NET_BUFFER_LIST *original; /* NULL: a looped-back copy */
    int64_t refs;
    void *saved[2];
};

/*
 * An indication under way at DISPATCH_LEVEL, on the stack of ndis__to_protocol, found through
 * ndis__cpu: what comes back inside the callback, on the same vCPU, is only noted here, and counted
 * as outstanding is what has not come back when the callback returns. The call is inside
 * adapter->rx_gate all the while, so nobody waits for the counts before they are right.
 */
struct ndis_delivery {
    struct ndis_binding *binding;
    int64_t returned;
    struct ndis_delivery *outer;
};
void NTAPI ndis__to_protocol(struct ndis_binding *b, NET_BUFFER_LIST *chain, ULONG port,
                             ULONG count, ULONG flags);
void ndis__loopback(struct ndis_binding *sender, NET_BUFFER_LIST *chain, ULONG port, ULONG flags);
void ndis__loopback_free(NET_BUFFER_LIST *copy);
bool ndis__filter_dest(const struct ndis_binding *b, const struct ndis_adapter *a, uint64_t dest);
bool NTAPI ndis__filter_multicast(const struct ndis_binding *b, uint64_t dest);
/* First six bytes of the frame, first byte lowest; false: shorter. */
bool NTAPI ndis__frame_dest_slow(const NET_BUFFER_LIST *nbl, uint64_t *dest);

#define NDIS_MAC_MASK 0xffffffffffffull
static inline bool ndis__frame_dest(const NET_BUFFER_LIST *nbl, uint64_t *dest)
{
    const NET_BUFFER *nb = nbl->FirstNetBuffer;
    const MDL *mdl = nb ? nb->CurrentMdl : NULL;
    uint64_t word;

    /* Eight bytes at once: a frame has at least fourteen. */
    if (unlikely(!mdl || nb->CurrentMdlOffset + 8 > mdl->ByteCount || nb->DataLength < 8))
        return ndis__frame_dest_slow(nbl, dest);
    __builtin_memcpy(&word, (const char *)ndis__mdl_va(mdl) + nb->CurrentMdlOffset, 8);
    *dest = word & NDIS_MAC_MASK;
    return true;
}
static inline bool ndis__filter_quick(const struct ndis_binding *b, const struct ndis_adapter *a,
                                      uint32_t filter, uint64_t dest)
{
    if (!(dest & 1))
        return filter & NDIS_PACKET_TYPE_DIRECTED && dest == a->mac;
    if (dest == NDIS_MAC_MASK)
        return filter & NDIS_PACKET_TYPE_BROADCAST;
    return filter & NDIS_PACKET_TYPE_ALL_MULTICAST ||
           (filter & NDIS_PACKET_TYPE_MULTICAST && ndis__filter_multicast(b, dest));
}

enum ndis_verify_what {
    NDIS_VERIFY_SEND,
    NDIS_VERIFY_SEND_COMPLETE,
    NDIS_VERIFY_RECEIVE,
    NDIS_VERIFY_RETURN
};
/* Checks a chain that a driver hands over; takes out of *chain what must not go on. Returns how
 * many are left. function: the name for reports. flag_dispatch: the driver said DISPATCH_LEVEL. */
ULONG ndis__verify_chain(enum ndis_verify_what what, NDIS_HANDLE handle, NET_BUFFER_LIST **chain,
                         bool flag_dispatch, bool lent, const char *function);

/* ---- handles on the data path: no table, no lock
 * ------------------------------------------------------ */
bool NTAPI ndis__quick_slow(NDIS_HANDLE handle, enum ndis_kind kind, const char *function);
static inline bool ndis__quick(NDIS_HANDLE handle, enum ndis_kind kind, const char *function)
{
    return likely(handle && ((struct ndis_object *)handle)->kind == (uint32_t)kind) ||
           ndis__quick_slow(handle, kind, function);
}

#endif
