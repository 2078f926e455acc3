/* SPDX-License-Identifier: MIT */
/*
 * NET_BUFFER_LISTs: pools, contexts, data start, clones, fragments, copying. Each scenario runs on
 * the explore back end, again with each of its allocations failing, and on random schedules;
 * verified pools (one allocation per NBL) and cached ones (slabs and magazines).
 */
#include "nt_harness.h"
#include "ndis/data.h"

#define TAG 0x74736554u

static NDIS_HANDLE nbl_pool(bool nb, USHORT context, ULONG data)
{
    NET_BUFFER_LIST_POOL_PARAMETERS p = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .fAllocateNetBuffer = nb,
        .ContextSize = context,
        .PoolTag = TAG,
        .DataSize = data,
    };

    return NdisAllocateNetBufferListPool(NULL, &p);
}

static NDIS_HANDLE nb_pool(ULONG data)
{
    NET_BUFFER_POOL_PARAMETERS p = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_1},
        .PoolTag = TAG,
        .DataSize = data,
    };

    return NdisAllocateNetBufferPool(NULL, &p);
}

/* ---- a chain of MDLs over counting bytes
 * ------------------------------------------------------------ */

static uint8_t data[4096];
struct chain {
    MDL mdl[8];
    unsigned n;
    ULONG length;
};

static void fill(void)
{
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8));
}

static void chain_make(struct chain *c, const ULONG *sizes, unsigned n)
{
    ULONG at = 0;

    memset(c, 0, sizeof *c);
    c->n = n;
    for (unsigned i = 0; i < n; i++) {
        ndis__mdl_set(&c->mdl[i], data + at, sizes[i], sizeof(MDL));
        if (i)
            c->mdl[i - 1].Next = &c->mdl[i];
        at += sizes[i];
    }
    c->length = at;
}

static bool holds(const NET_BUFFER *nb, ULONG offset, const uint8_t *want, ULONG length)
{
    static uint8_t got[8192];

    return ndis__nb_read(nb, offset, got, length) == length && !memcmp(got, want, length);
}

/* The links, offsets and lengths that Retreat and Advance may change. */
static bool same_place(const NET_BUFFER *a, const NET_BUFFER *b)
{
    return a->MdlChain == b->MdlChain && a->CurrentMdl == b->CurrentMdl &&
           a->CurrentMdlOffset == b->CurrentMdlOffset && a->DataOffset == b->DataOffset &&
           a->DataLength == b->DataLength;
}

/* ---- IM-NBL-02, IM-NBL-03, IM-NBL-06
 * ------------------------------------------------------------------ */

static void pools(void *arg)
{
    NDIS_HANDLE plain = NULL, full = NULL;
    NET_BUFFER_LIST *nbl;

    CHECK(!nbl_pool(false, 0, 100)); /* data without NBs */
    CHECK(!nbl_pool(true, 8, 0));    /* no multiple of MEMORY_ALLOCATION_ALIGNMENT */
    plain = nbl_pool(true, 0, 0);
    NEED(plain, out);
    full = nbl_pool(true, 32, 1514);
    NEED(full, out);

    nbl = NdisAllocateNetBufferAndNetBufferList(plain, 0, 0, NULL, 0, 0);
    NEED(nbl, out);
    CHECK(!nbl->ChildRefCount && !nbl->ParentNetBufferList && !nbl->Scratch && !nbl->Context);
    CHECK(nbl->FirstNetBuffer && !nbl->FirstNetBuffer->Next && !nbl->Next && !nbl->SourceHandle);
    CHECK(NdisGetPoolFromNetBufferList(nbl) == plain);
    for (unsigned i = 0; i < MaxNetBufferListInfo; i++)
        CHECK(!nbl->NetBufferListInfo[i]);
    CHECK(((uintptr_t)nbl & 15) == 0 && ((uintptr_t)nbl->FirstNetBuffer & 15) == 0);
    memset(nbl->NetBufferListInfo, 0xff, sizeof nbl->NetBufferListInfo);
    NdisFreeNetBufferList(nbl);

    nbl = NdisAllocateNetBufferList(full, 0, 0);
    NEED(nbl, out);
    CHECK(nbl->FirstNetBuffer->MdlChain->ByteCount == 1514 && nbl->FirstNetBuffer->DataLength == 0);
    CHECK(nbl->Context && nbl->Context->Size == 32 && nbl->Context->Offset == 32);
    memset(MmGetSystemAddressForMdlSafe(nbl->FirstNetBuffer->MdlChain, NormalPagePriority), 1,
           1514);
    NdisAdjustMdlLength(nbl->FirstNetBuffer->MdlChain, 60);
    NdisFreeNetBufferList(nbl);
    nbl = NdisAllocateNetBufferList(full, 32, 0);
    NEED(nbl, out);
    CHECK(nbl->FirstNetBuffer->MdlChain->ByteCount == 1514);
    CHECK(nbl->Context->Offset == 0);
    NdisFreeNetBufferList(nbl);
out:
    if (plain)
        NdisFreeNetBufferListPool(plain);
    if (full)
        NdisFreeNetBufferListPool(full);
}

/* Many at once, so that slabs, magazines and the central list all take part. */
static void many(void *arg)
{
    NDIS_HANDLE pool = nbl_pool(true, 16, 0), nbs = nb_pool(64);
    NET_BUFFER_LIST *nbl[300] = {0};
    NET_BUFFER *nb = NULL;
    KIRQL old;

    NEED(pool && nbs, out);
    for (unsigned round = 0; round < 3; round++) {
        KeRaiseIrql(DISPATCH_LEVEL, &old);
        for (unsigned i = 0; i < 300; i++) {
            if (i == 150)
                KeLowerIrql(old);
            nbl[i] = NdisAllocateNetBufferAndNetBufferList(pool, 16, 0, NULL, 0, 0);
            CHECK(nbl[i] || plat_alloc_failed());
            if (nbl[i])
                nbl[i]->Scratch = &nbl[i];
        }
        for (unsigned i = 0; i < 300; i++) {
            CHECK(!nbl[i] || nbl[i]->Scratch == &nbl[i]); /* none handed out twice */
            if (i == 200)
                KeRaiseIrql(DISPATCH_LEVEL, &old);
            if (nbl[i])
                NdisFreeNetBufferList(nbl[i]);
        }
        KeLowerIrql(old);
    }
    nb = NdisAllocateNetBufferMdlAndData(nbs);
    NEED(nb, out);
    CHECK(nb->MdlChain->ByteCount == 64 && NdisGetPoolFromNetBuffer(nb) == nbs);
    NdisFreeNetBuffer(nb);
out:
    if (pool)
        NdisFreeNetBufferListPool(pool);
    if (nbs)
        NdisFreeNetBufferPool(nbs);
}

static void ownership(void *arg)
{
    NDIS_HANDLE pool = nbl_pool(true, 0, 0);
    NET_BUFFER_LIST *nbl, *clone;

    if (!pool)
        return;
    nbl = NdisAllocateNetBufferAndNetBufferList(pool, 0, 0, NULL, 0, 0);
    CHECK(nbl);
    NdisFreeNetBuffer(nbl->FirstNetBuffer); /* 1: belongs to its NBL */
    clone = NdisAllocateCloneNetBufferList(nbl, pool, NULL, 0);
    CHECK(clone);
    NdisFreeCloneNetBufferList(clone, NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS); /* 2: other flags */
    CHECK(RULE("NblDerived") == 1);
    NdisFreeCloneNetBufferList(clone, 0);
    NdisFreeNetBufferList(nbl);
    NdisFreeNetBufferList(nbl); /* 3: twice */
    CHECK(RULE("NblOwnership") == 2);
    nbl = NdisAllocateNetBufferAndNetBufferList(pool, 0, 0, NULL, 0, 0);
    NdisFreeNetBufferListPool(pool); /* 4: one is out */
    CHECK(RULE("NblPoolFree") == 1);
    NdisFreeNetBufferList(nbl); /* and the pool with it */
    ndis__dp_stop();
}

/* ---- contexts
 * ---------------------------------------------------------------------------------------- */

static void contexts(void *arg)
{
    NDIS_HANDLE pool = nbl_pool(false, 64, 0);
    NET_BUFFER_LIST *nbl = NULL, *large = NULL;
    NDIS_STATUS status;

    NEED(pool, out);
    nbl = NdisAllocateNetBufferList(pool, 16, 0);
    large = NdisAllocateNetBufferList(pool, 64, 32); /* does not fit the block */
    NEED(nbl && large, out);
    CHECK(nbl->Context->Offset == 48 && nbl->Context->Size == 64);
    CHECK(large->Context->Size == 96 && large->Context->Offset == 32);
    memset(NET_BUFFER_LIST_CONTEXT_DATA_START(large), 0xaa, 64);
    memset(NET_BUFFER_LIST_CONTEXT_DATA_START(nbl), 0xaa, 16);
    CHECK(NdisAllocateNetBufferListContext(nbl, 48, 0, TAG) == NDIS_STATUS_SUCCESS);
    CHECK(nbl->Context->Offset == 0 && !nbl->Context->Next);
    CHECK(NdisAllocateNetBufferListContext(nbl, 4, 0, TAG) == NDIS_STATUS_FAILURE);
    status = NdisAllocateNetBufferListContext(nbl, 8, 24, TAG);
    NEED(status == NDIS_STATUS_SUCCESS, out);
    CHECK(nbl->Context->Next && nbl->Context->Size == 32 && nbl->Context->Offset == 24);
    CHECK(NdisAllocateNetBufferListContext(nbl, 24, 0, TAG) == NDIS_STATUS_SUCCESS);
    CHECK(nbl->Context->Offset == 0);
    NdisFreeNetBufferListContext(nbl, 24);
    NdisFreeNetBufferListContext(nbl, 8);
    CHECK(!nbl->Context->Next && nbl->Context->Size == 64);
    NdisFreeNetBufferListContext(nbl, 48);
    CHECK(nbl->Context->Offset == 48);
out:
    if (nbl)
        NdisFreeNetBufferList(nbl);
    if (large)
        NdisFreeNetBufferList(large);
    if (pool)
        NdisFreeNetBufferListPool(pool);
}

/* ---- IM-NBL-10
 * ------------------------------------------------------------------------------------------ */

static unsigned own_out;
static struct own {
    MDL mdl;
    uint8_t bytes[4096];
} own_mdl[16];
static bool own_used[16];

static MDL *NTAPI own_allocate(ULONG *size)
{
    for (unsigned i = 0; i < 16; i++) {
        if (own_used[i] || *size > 3000)
            continue;
        own_used[i] = true;
        own_out++;
        *size += 64; /* may be more than asked for */
        ndis__mdl_set(&own_mdl[i].mdl, own_mdl[i].bytes, *size, sizeof(MDL));
        return &own_mdl[i].mdl;
    }
    return NULL;
}

static void NTAPI own_free(MDL *mdl)
{
    struct own *o = umn_container_of(mdl, struct own, mdl);

    CHECK(own_used[o - own_mdl]);
    own_used[o - own_mdl] = false;
    own_out--;
}

static uint32_t rnd_state;
static uint32_t rnd(uint32_t n)
{
    rnd_state = rnd_state * 1664525u + 1013904223u;
    return (rnd_state >> 8) % n;
}

/* Retreats and advances that balance leave the NB exactly as it was. */
static void retreat_one(NET_BUFFER *nb, ULONG initial)
{
    NET_BUFFER states[8];
    ULONG deltas[8];
    bool own[8];
    unsigned depth = 0;

    for (unsigned step = 0; step < 40; step++) {
        if (depth < 8 && rnd(2)) {
            states[depth] = *nb;
            deltas[depth] = rnd(300);
            own[depth] = rnd(2);
            if (NdisRetreatNetBufferDataStart(nb, deltas[depth], rnd(100),
                                              own[depth] ? own_allocate : NULL) !=
                NDIS_STATUS_SUCCESS) {
                CHECK(same_place(nb, &states[depth]));
                continue;
            }
            CHECK(nb->DataLength == states[depth].DataLength + deltas[depth]);
            CHECK(holds(nb, nb->DataLength - initial, data + sizeof data - initial, initial));
            depth++;
        } else if (depth) {
            depth--;
            NdisAdvanceNetBufferDataStart(nb, deltas[depth], TRUE, own_free);
            CHECK(same_place(nb, &states[depth]));
        }
    }
    while (depth--) {
        NdisAdvanceNetBufferDataStart(nb, deltas[depth], TRUE, own_free);
        CHECK(same_place(nb, &states[depth]));
    }
}

static void data_start(void *arg)
{
    NDIS_HANDLE pool = nb_pool(0);
    struct chain c;
    NET_BUFFER *nb;

    NEED(pool, out);
    fill();
    own_out = 0;
    memset(own_used, 0, sizeof own_used);
    for (unsigned round = 0; round < 30; round++) {
        ULONG sizes[8], at = 0;
        unsigned n = 1 + round % 8;
        ULONG offset;

        rnd_state = round + 1;
        for (unsigned i = 0; i + 1 < n; i++)
            at += sizes[i] = 1 + rnd(500);
        sizes[n - 1] = sizeof data - at;
        chain_make(&c, sizes, n);
        offset = rnd(600);
        nb = NdisAllocateNetBuffer(pool, c.mdl, offset, sizeof data - offset);
        NEED(nb, out);
        CHECK(holds(nb, 0, data + offset, sizeof data - offset));
        retreat_one(nb, sizeof data - offset);
        CHECK(own_out == 0);
        NdisAdvanceNetBufferDataStart(nb, 100, FALSE, NULL);
        CHECK(holds(nb, 0, data + offset + 100, 1000));
        NdisFreeNetBuffer(nb);
    }
out:
    if (pool)
        NdisFreeNetBufferPool(pool);
}

/* ---- IM-NBL-04, fragments, reassembled lists
 * -------------------------------------------------------------- */

static void derived(void *arg)
{
    static const ULONG sizes[] = {10, 700, 1, 300, 3085};
    NDIS_HANDLE pool = nbl_pool(true, 0, 0), nbs = nb_pool(0);
    NET_BUFFER_LIST *nbl = NULL, *clone = NULL, *cut = NULL, *whole = NULL;
    NET_BUFFER *second = NULL;
    struct chain c, d;
    ULONG at = 5, n = 0;

    fill();
    NEED(pool && nbs, out);
    chain_make(&c, sizes, 5);
    chain_make(&d, sizes + 1, 2);
    nbl = NdisAllocateNetBufferAndNetBufferList(pool, 0, 0, c.mdl, 5, 2000);
    second = NdisAllocateNetBuffer(nbs, d.mdl, 0, 701);
    NEED(nbl && second, out);
    nbl->FirstNetBuffer->Next = second;

    clone = NdisAllocateCloneNetBufferList(nbl, rnd(2) ? pool : NULL, nbs, 0);
    NEED(clone, out);
    CHECK(!clone->ParentNetBufferList && !clone->Context && clone->FirstNetBuffer->DataOffset == 0);
    CHECK(clone->FirstNetBuffer->MdlChain != c.mdl && clone->FirstNetBuffer->DataLength == 2000);
    CHECK(ndis__mdl_va(clone->FirstNetBuffer->MdlChain) == data + 5); /* shared, not copied */
    CHECK(holds(clone->FirstNetBuffer, 0, data + 5, 2000));
    CHECK(holds(clone->FirstNetBuffer->Next, 0, data, 701) && !clone->FirstNetBuffer->Next->Next);
    NdisFreeCloneNetBufferList(clone, 0);
    clone = NdisAllocateCloneNetBufferList(nbl, pool, NULL, NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS);
    NEED(clone, out);
    CHECK(clone->FirstNetBuffer->MdlChain == c.mdl &&
          holds(clone->FirstNetBuffer, 0, data + 5, 2000));
    NdisFreeCloneNetBufferList(clone, NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS);

    nbl->FirstNetBuffer->Next = NULL;
    cut = NdisAllocateFragmentNetBufferList(nbl, NULL, nbs, 20, 333, 40, 8, 0);
    NEED(cut, out);
    at = 25;
    for (NET_BUFFER *nb = cut->FirstNetBuffer; nb; nb = nb->Next, n++) {
        ULONG length = n == 5 ? 1980 - 5 * 333 : 333;
        CHECK(nb->DataLength == length + 40 && holds(nb, 40, data + at, length));
        CHECK(nb->DataOffset == 8);
        at += length;
    }
    CHECK(n == 6);
    whole = NdisAllocateReassembledNetBufferList(cut, NULL, 40, 14, 2, 0);
    NEED(whole, out);
    CHECK(!whole->FirstNetBuffer->Next && whole->FirstNetBuffer->DataLength == 1980 + 14);
    CHECK(holds(whole->FirstNetBuffer, 14, data + 25, 1980));
out:
    if (whole)
        NdisFreeReassembledNetBufferList(whole, 14, 0);
    if (cut)
        NdisFreeFragmentNetBufferList(cut, 40, 0);
    if (second)
        NdisFreeNetBuffer(second);
    if (nbl)
        NdisFreeNetBufferList(nbl);
    if (nbs)
        NdisFreeNetBufferPool(nbs);
    if (pool)
        NdisFreeNetBufferListPool(pool);
    ndis__dp_stop();
}

/* ---- IM-NBL-08, IM-NBL-11, copying
 * -------------------------------------------------------------------------- */

static void reading(void *arg)
{
    static const ULONG sizes[] = {14, 20, 4062};
    NDIS_HANDLE pool = nb_pool(0);
    NET_BUFFER *nb = NULL, *to = NULL;
    uint8_t storage[64] __attribute__((aligned(64)));
    struct chain c;
    char *va;

    fill();
    NEED(pool, out);
    chain_make(&c, sizes, 3);
    nb = NdisAllocateNetBuffer(pool, c.mdl, 0, 40);
    NEED(nb, out);
    CHECK(NdisGetDataBuffer(nb, 14, NULL, 1, 0) == data); /* in one piece */
    CHECK(!NdisGetDataBuffer(nb, 15, NULL, 1, 0));        /* it is not, and no storage */
    CHECK(NdisGetDataBuffer(nb, 15, storage, 1, 0) == storage && !memcmp(storage, data, 15));
    CHECK(!NdisGetDataBuffer(nb, 41, storage, 1, 0)); /* too short */
    va = NdisGetDataBuffer(nb, 8, storage, 4, ((uintptr_t)data + 1) & 3);
    CHECK(va == (char *)storage); /* misaligned: copied */
    CHECK(NdisGetDataBuffer(nb, 8, storage, 4, (uintptr_t)data & 3) == data);
    NdisAdvanceNetBufferDataStart(nb, 14, FALSE, NULL);
    CHECK(NdisGetDataBuffer(nb, 20, NULL, 1, 0) == data + 14);
    CHECK(nb->CurrentMdl == &c.mdl[1] && nb->CurrentMdlOffset == 0);
    NdisRetreatNetBufferDataStart(nb, 14, 0, NULL);
    CHECK(NdisQueryNetBufferPhysicalCount(nb) >= 3);

    to = NdisAllocateNetBuffer(pool, NULL, 0, 0);
    NEED(to, out);
    for (unsigned i = 0; i < 50; i++) {
        static uint8_t target[200];
        static MDL t[2];
        ULONG from = rnd(40), at = rnd(60), n = rnd(80), copied, want;

        memset(target, 0, sizeof target);
        ndis__mdl_set(&t[0], target, 31, sizeof(MDL));
        ndis__mdl_set(&t[1], target + 31, 49, sizeof(MDL));
        t[0].Next = &t[1];
        ndis__nb_set(to, t, 3, 0);
        CHECK(NdisCopyFromNetBufferToNetBuffer(to, at, n, nb, from, &copied) == 0);
        want = n < 40 - from ? n : 40 - from;
        want = want < 80 - 3 - at ? want : 80 - 3 - at;
        CHECK(copied == want && !memcmp(target + 3 + at, data + from, want));
        CHECK(to->DataLength == 0 && to->DataOffset == 3);
    }
out:
    if (to)
        NdisFreeNetBuffer(to);
    if (nb)
        NdisFreeNetBuffer(nb);
    if (pool)
        NdisFreeNetBufferPool(pool);
}

static uint64_t copied_slots(bool send)
{
    static NET_BUFFER_LIST from, to;
    uint64_t mask = 0;

    for (uintptr_t i = 0; i < MaxNetBufferListInfo; i++) {
        from.NetBufferListInfo[i] = (void *)(i + 1);
        to.NetBufferListInfo[i] = NULL;
    }
    if (send)
        NdisCopySendNetBufferListInfo(&to, &from);
    else
        NdisCopyReceiveNetBufferListInfo(&to, &from);
    for (unsigned i = 0; i < MaxNetBufferListInfo; i++)
        mask |= (uint64_t)(to.NetBufferListInfo[i] != NULL) << i;
    return mask;
}

#define SLOT(x) (1ull << (x))
static void im_nbl_08_copies_exactly_the_documented_slots(void **state)
{
    uint64_t both = SLOT(TcpIpChecksumNetBufferListInfo) | SLOT(IPsecOffloadV1NetBufferListInfo) |
                    SLOT(TcpLargeSendNetBufferListInfo) | SLOT(Ieee8021QNetBufferListInfo) |
                    SLOT(MediaSpecificInformation) | SLOT(NetBufferListProtocolId) |
                    SLOT(IPsecOffloadV2TunnelNetBufferListInfo) |
                    SLOT(IPsecOffloadV2HeaderNetBufferListInfo) | SLOT(NetBufferListFilteringInfo) |
                    SLOT(VirtualSubnetInfo);

    assert_int_equal(copied_slots(true), both | SLOT(NetBufferListCancelId));
    assert_int_equal(copied_slots(false),
                     both | SLOT(NetBufferListHashValue) | SLOT(NetBufferListHashInfo));
}

/* ---- both kinds of pool
 * --------------------------------------------------------------------------------------- */

static void both(void (*scenario)(void *), int expected)
{
    umn__ndis_verify(false);
    explore(scenario, expected);
    umn__ndis_verify(true);
    explore(scenario, expected);
}

static void im_nbl_02_03_06_pools_and_fresh_lists(void **state)
{
    both(pools, 0);
}
static void many_lists_from_slabs_and_magazines(void **state)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE, .cpus = 2};

    umn__ndis_verify(false);
    explore(many, 0);
    umn__ndis_verify(true);
    run_once(many, &config, 0, 0); /* thousands of allocations: the sweep is the other mode's */
}
static void wrong_frees_are_reported(void **state)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE, .cpus = 2};

    umn__report_quiet(true);
    umn__ndis_verify(false);
    run_once(ownership, &config, 0, 4);
    umn__ndis_verify(true);
    run_once(ownership, &config, 0, 4);
    umn__report_quiet(false);
}
static void context_space_is_a_stack(void **state)
{
    both(contexts, 0);
}
static void im_nbl_10_retreat_and_advance_restore_exactly(void **state)
{
    both(data_start, 0);
}
static void im_nbl_04_clones_fragments_reassembled(void **state)
{
    both(derived, 0);
}
static void im_nbl_11_data_buffers_and_copies(void **state)
{
    both(reading, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(im_nbl_02_03_06_pools_and_fresh_lists),
        cmocka_unit_test(many_lists_from_slabs_and_magazines),
        cmocka_unit_test(wrong_frees_are_reported),
        cmocka_unit_test(context_space_is_a_stack),
        cmocka_unit_test(im_nbl_10_retreat_and_advance_restore_exactly),
        cmocka_unit_test(im_nbl_04_clones_fragments_reassembled),
        cmocka_unit_test(im_nbl_11_data_buffers_and_copies),
        cmocka_unit_test(im_nbl_08_copies_exactly_the_documented_slots),
    };
    return cmocka_run_group_tests_name("ndis_nbl", tests, NULL, NULL);
}
