/* SPDX-License-Identifier: MIT */
/*
 * The data path on the threads back end: contexts on several vCPUs indicate to three bindings,
 * send, change multicast lists and pause against each other. What comes out is counted;
 * ThreadSanitizer (CFG=tsan) watches.
 */
#include "ndis_rig.h"

#define USERS 4
#define ROUNDS 150

static uint64_t indicated, returned, sent, completed, received;

static void NTAPI mt_return(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    while (chain) {
        NET_BUFFER_LIST *next = chain->Next;

        __atomic_fetch_add(&returned, 1, __ATOMIC_RELAXED);
        NdisFreeNetBufferList(chain);
        chain = next;
    }
}

/* The queue of received NBLs that another context gives back later. */
static NDIS_SPIN_LOCK later_lock;
static NET_BUFFER_LIST *later[BINDINGS];

static void NTAPI mt_receive(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port,
                             ULONG count, ULONG flags)
{
    unsigned i = number_of(context);

    __atomic_fetch_add(&received, count, __ATOMIC_RELAXED);
    if (i != 1) {
        NdisReturnNetBufferLists(rig.b[i], chain, 0);
        return;
    }
    NdisAcquireSpinLock(&later_lock);
    for (NET_BUFFER_LIST *next; chain; chain = next) {
        next = chain->Next;
        chain->Next = later[i];
        later[i] = chain;
    }
    NdisReleaseSpinLock(&later_lock);
}

static void give_back_later(void)
{
    NET_BUFFER_LIST *chain;

    NdisAcquireSpinLock(&later_lock);
    chain = later[1];
    later[1] = NULL;
    NdisReleaseSpinLock(&later_lock);
    if (chain)
        NdisReturnNetBufferLists(rig.b[1], chain, 0);
}

static void NTAPI mt_send(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port,
                          ULONG flags)
{
    NdisMSendNetBufferListsComplete(rig.a, chain, 0);
}

static void NTAPI mt_sent(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    while (chain) {
        NET_BUFFER_LIST *next = chain->Next;

        __atomic_fetch_add(&completed, 1, __ATOMIC_RELAXED);
        NdisFreeNetBufferList(chain);
        chain = next;
    }
}

static void user(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    KIRQL old;
    ULONG n;

    for (unsigned i = 0; i < ROUNDS; i++) {
        NET_BUFFER_LIST *chain;

        KeRaiseIrql(DISPATCH_LEVEL, &old);
        chain = frames("0012340", rig.a, &n);
        __atomic_fetch_add(&indicated, n, __ATOMIC_RELAXED);
        NdisMIndicateReceiveNetBufferLists(rig.a, chain, 0, n, NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL);
        KeLowerIrql(old);
        chain = frames("012", rig.b[me % BINDINGS], &n);
        __atomic_fetch_add(&sent, n, __ATOMIC_RELAXED);
        NdisSendNetBufferLists(rig.b[me % BINDINGS], chain, 0, 0);
        give_back_later();
    }
}

static void lists(void *arg)
{
    uint8_t list[][6] = {{1, 0, 0x5e, 0, 0, 1}, {1, 0, 0x5e, 0, 0, 2}};

    for (unsigned i = 0; i < ROUNDS; i++) {
        set(2, OID_802_3_MULTICAST_LIST, list[i % 2], i % 3 ? 6 : 0);
        set_filter(0, i % 2 ? 0x0b : 0x0f);
    }
}

static void pauses(void *arg)
{
    for (unsigned i = 0; i < 20; i++) {
        ndis__gate_close(&rig.b[1]->tx_gate);
        CHECK(rig.b[1]->tx_out.count == 0);
        ndis__gate_open(&rig.b[1]->tx_gate);
        NdisMSleep(200);
    }
}

static void crowd(void *arg)
{
    struct umn_ctx *ctx[USERS + 2] = {0};

    indicated = returned = sent = completed = received = 0;
    NdisAllocateSpinLock(&later_lock);
    if (!rig_up(BINDINGS))
        goto down;
    rig.driver.chars.ReturnNetBufferListsHandler = mt_return;
    rig.driver.chars.SendNetBufferListsHandler = mt_send;
    rig.protocol.chars.ReceiveNetBufferListsHandler = mt_receive;
    rig.protocol.chars.SendNetBufferListsCompleteHandler = mt_sent;
    rig.a->state = NDIS_ADAPTER_PAUSING; /* what the paused gate turns back is no mistake */
    CHECK(set_filter(0, 0x0f) == 0 && set_filter(1, 0x20) == 0 && set_filter(2, 0x0b) == 0);
    for (uintptr_t i = 0; i < USERS; i++)
        CHECK(!umn__ctx_spawn(&ctx[i], user, (void *)i, "user"));
    CHECK(!umn__ctx_spawn(&ctx[USERS], lists, NULL, "lists"));
    CHECK(!umn__ctx_spawn(&ctx[USERS + 1], pauses, NULL, "pauses"));
    for (unsigned i = 0; i < USERS + 2; i++)
        if (ctx[i])
            umn__ctx_join(ctx[i]);
    give_back_later();
    CHECK(indicated == returned && sent == completed && received >= indicated);
down:
    rig_down();
}

static void contexts_on_several_vcpus_agree(void **state)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_THREADS, .cpus = 3};

    for (unsigned verify = 0; verify < 2; verify++) {
        umn__ndis_verify(verify);
        run_once(crowd, &config, 0, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts_on_several_vcpus_agree),
    };
    return cmocka_run_group_tests_name("ndis_threads", tests, NULL, NULL);
}
