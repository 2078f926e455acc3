/* SPDX-License-Identifier: MIT */
/*
 * The data path between one adapter and its bindings: gates, sends and their completions, receives
 * to one and to several bindings, returns, loopback, checks. Each scenario runs with each
 * allocation failing and on random schedules (nt_harness.h), with NBL checks on and off.
 */
#include "ndis_rig.h"

#define ALL                                                                                        \
    (NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST | NDIS_PACKET_TYPE_ALL_MULTICAST)

/* Filters straight into the bindings: the requests have tests of their own. */
static void filters(uint32_t f0, uint32_t f1, uint32_t f2)
{
    const uint32_t f[BINDINGS] = {f0, f1, f2};

    rig.a->filter_set = f0 | f1 | f2;
    for (unsigned i = 0; i < BINDINGS; i++)
        if (rig.b[i])
            rig.b[i]->packet_filter = f[i];
}

/* ---- gates, counters, completions
 * -------------------------------------------------------------------- */

static struct ndis_gate gate;
static struct ndis_outstanding out;
static unsigned inside, entered;
static bool gate_closed;

static void gate_user(void *arg)
{
    unsigned slot;

    for (unsigned i = 0; i < 5; i++) {
        umn__point(UMN_OP_ATOMIC, &gate);
        if (!ndis__gate_enter(&gate, &slot))
            continue;
        CHECK(!gate_closed);
        entered++;
        inside++;
        umn__point(UMN_OP_ATOMIC, &gate);
        CHECK(!gate_closed); /* closing waits for us */
        inside--;
        ndis__gate_leave(&gate, slot);
    }
    ndis__out_sub(&out, 1);
}

static void gates(void *arg)
{
    struct umn_ctx *user[3] = {0};
    unsigned slot;

    out = (struct ndis_outstanding){0};
    inside = entered = 0;
    gate_closed = false;
    ndis__gate_init(&gate);
    CHECK(!ndis__gate_enter(&gate, &slot));
    ndis__gate_open(&gate);
    for (unsigned i = 0; i < 3; i++) {
        ndis__out_add(&out, 1);
        if (umn__ctx_spawn(&user[i], gate_user, NULL, "user"))
            ndis__out_sub(&out, 1);
    }
    umn__point(UMN_OP_YIELD, NULL);
    ndis__gate_close(&gate);
    gate_closed = true;
    CHECK(inside == 0 && !ndis__gate_enter(&gate, &slot));
    ndis__out_wait(&out, "users");
    for (unsigned i = 0; i < 3; i++)
        if (user[i])
            umn__ctx_join(user[i]);
}

static struct ndis_completion done;
static void finisher(void *arg)
{
    ndis__completion_finish(&done, 42);
}
static void completions(void *arg)
{
    struct umn_ctx *ctx;

    ndis__completion_init(&done);
    if (umn__ctx_spawn(&ctx, finisher, NULL, "finisher"))
        return;
    CHECK(ndis__completion_wait(&done, "test") == 42);
    CHECK(!ndis__completion_finish(&done, 1) && ndis__completion_wait(&done, "test") == 42);
    umn__ctx_join(ctx);
}

/* ---- sends
 * -----------------------------------------------------------------------------------------------
 */

/* What is held, in one chain, from both ends in turn: 0 4 1 3 2. */
static NET_BUFFER_LIST *shuffled(void)
{
    unsigned low = 0, high = rig.held_count;
    NET_BUFFER_LIST *first = NULL, **last = &first;

    for (bool head = true; low < high; head = !head) {
        *last = rig.held[head ? low++ : --high];
        last = &(*last)->Next;
    }
    *last = NULL;
    return first;
}

static void sends(void *arg)
{
    ULONG n, m;

    if (!rig_up(2))
        goto down;
    n = transmit(0, "000", 0);
    CHECK(rig.sends == n && rig.completed[0] == n && rig.completed[1] == 0);
    CHECK(n == 0 || (rig.send_calls == 1 && rig.send_status[0] == NDIS_STATUS_SUCCESS));

    /* IM-SND-06: interleaved sends of two bindings, one completion of all. */
    rig.hold_sends = true;
    n += transmit(0, "00", 0);
    m = transmit(1, "000", 0);
    CHECK(rig.b[1]->tx_out.count == m);
    if (rig.held_count)
        NdisMSendNetBufferListsComplete(rig.a, shuffled(), 0);
    CHECK(rig.completed[0] == n && rig.completed[1] == m);
    rig.held_count = 0;

    /* IM-CAN-01 */
    NdisCancelSendNetBufferLists(rig.b[0], (PVOID)7);
    CHECK(rig.cancels == 1 && rig.cancel_id == (PVOID)7);

    /* Not running: back with PAUSED, the miniport sees nothing. */
    ndis__gate_close(&rig.b[0]->tx_gate);
    rig.sends = 0;
    n = transmit(0, "00", 0);
    CHECK(rig.sends == 0 && (n == 0 || rig.send_status[0] == NDIS_STATUS_PAUSED));
    NdisCancelSendNetBufferLists(rig.b[0], (PVOID)8);
    CHECK(rig.cancels == 1);
    rig.a->resetting = true;
    n = transmit(1, "0", 0);
    CHECK(n == 0 || rig.send_status[1] == NDIS_STATUS_RESET_IN_PROGRESS);
down:
    rig_down();
}

static void send_mistakes(void *arg)
{
    NET_BUFFER_LIST *nbl;
    ULONG n;

    if (!rig_up(1))
        goto down;
    nbl = frames("0", NULL, &n);
    NdisSendNetBufferLists(rig.b[0], nbl, 0, 0); /* 1: no SourceHandle */
    CHECK(RULE("NBL-07") == 1 && rig.completed[0] == 1);
    transmit(0, "0", NDIS_SEND_FLAGS_DISPATCH_LEVEL); /* 2: at PASSIVE */
    CHECK(RULE("NBL-17") == 1);
    rig.hold_sends = true;
    transmit(0, "0", 0);
    nbl = rig.held[0];
    NdisMSendNetBufferListsComplete(rig.a, nbl, 0);
    NdisMSendNetBufferListsComplete(rig.a, nbl, 0); /* 3: it is free by now */
    CHECK(RULE("NBL-01") + RULE("NBL-02") == 1 && rig.completed[0] == 3);
    rig.held_count = 0;
    nbl = frames("0", rig.a, &n);
    NdisMSendNetBufferListsComplete(rig.a, nbl, 0); /* 4: never sent */
    CHECK(RULE("NBL-02") >= 1);
    NdisFreeNetBufferList(nbl);
    NdisSendNetBufferLists(rig.a, NULL, 0, 0); /* 5: not a binding */
    CHECK(RULE("HandleType") == 1);
down:
    rig_down();
}

/* ---- receives, one binding
 * ------------------------------------------------------------------------------- */

static void receives(void *arg)
{
    ULONG n;

    if (!rig_up(1))
        goto down;
    filters(NDIS_PACKET_TYPE_PROMISCUOUS, 0, 0);
    n = indicate("01234", 0);
    CHECK(rig.got[0] == n && rig.got_calls[0] == (n > 0) && rig.returns == n);
    filters(NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST, 0, 0);
    rig.got[0] = rig.returns = rig.got_calls[0] = 0;
    n = indicate("3010214", 0);
    CHECK(plat_alloc_failed() || rig.got[0] == 3);
    CHECK(rig.returns == n && rig.got_calls[0] <= 1);
    filters(0, 0, 0);
    rig.got[0] = rig.returns = 0;
    n = indicate("00", 0);
    CHECK(rig.got[0] == 0 && rig.returns == n);
    filters(ALL, 0, 0);
    n = indicate("1", NDIS_RECEIVE_FLAGS_PERFECT_FILTERED); /* taken at its word */
    CHECK(rig.got[0] == n);

    rig.b[0]->state = NDIS_BINDING_PAUSED; /* question 18: bindings that do not run get nothing */
    rig.got[0] = rig.returns = 0;
    n = indicate("00", 0);
    CHECK(rig.got[0] == 0 && rig.returns == n);
    rig.b[0]->state = NDIS_BINDING_RUNNING;

    /* Held: counted until they are back. */
    rig.hold_receives = true;
    rig.returns = 0;
    n = indicate("0000", 0);
    CHECK(rig.b[0]->rx_out.count == n && rig.a->rx_out.count == n && rig.returns == 0);
    rig_release_all();
    CHECK(rig.b[0]->rx_out.count == 0 && rig.a->rx_out.count == 0 && rig.returns == n);

    /* Paused: back at once, the protocol sees nothing. */
    ndis__dp_adapter_stop(rig.a);
    rig.a->state = NDIS_ADAPTER_PAUSING;
    rig.got[0] = rig.returns = 0;
    n = indicate("00", 0);
    CHECK(rig.got[0] == 0 && rig.returns == n);
down:
    rig_down();
}

/* IM-RCV-03, IM-RCV-05: nothing is returned, and the links are as they were. */
static void resources(void *arg)
{
    NET_BUFFER_LIST *nbl[16], *chain;
    ULONG n, at = 0;

    if (!rig_up(2))
        goto down;
    filters(NDIS_PACKET_TYPE_DIRECTED, NDIS_PACKET_TYPE_PROMISCUOUS, 0);
    chain = frames("0030110040", rig.a, &n);
    for (NET_BUFFER_LIST *p = chain; p; p = p->Next)
        nbl[at++] = p;
    NdisMIndicateReceiveNetBufferLists(rig.a, chain, 0, n, NDIS_RECEIVE_FLAGS_RESOURCES);
    CHECK(plat_alloc_failed() || (rig.lent[0] == 6 && rig.got_calls[0] == 4));
    CHECK(rig.lent[1] == n && rig.returns == 0 && rig.a->rx_out.count == 0);
    at = 0;
    for (NET_BUFFER_LIST *p = chain; p; p = p->Next)
        CHECK(p == nbl[at++]);
    CHECK(at == n);
    for (unsigned i = 0; i < n; i++)
        NdisFreeNetBufferList(nbl[i]);
down:
    rig_down();
}

/* ---- receives, several bindings
 * ------------------------------------------------------------------------------ */

/* IM-RCV-06, IM-RCV-07, IM-RCV-10: originals go back after the last holder; order per binding. */
static void spread_out(void *arg)
{
    ULONG n, held;

    if (!rig_up(3))
        goto down;
    filters(NDIS_PACKET_TYPE_PROMISCUOUS, NDIS_PACKET_TYPE_DIRECTED, ALL);
    rig.hold_receives = true;
    n = indicate("0123", 0);
    CHECK(rig.got[0] + rig.lent[0] == n);
    if (!plat_alloc_failed())
        CHECK(rig.got[0] == 4 && rig.got[1] == 1 && rig.got[2] == 3);
    CHECK(rig.returns == 0);
    CHECK(rig.a->rx_out.count == rig.got[0] + rig.got[1] + rig.got[2]);
    held = rig.held_count;
    for (unsigned i = 0; i < held; i++)
        rig_release((i * 5 + 3) % held == 0 ? 0 : (i * 5 + 3) % held); /* some order */
    rig_release_all();
    CHECK(rig.returns == n && rig.a->rx_out.count == 0);
    filters(0, 0, 0);
    rig.returns = 0;
    n = indicate("00", 0);
    CHECK(rig.returns == n);
    filters(0, ALL, 0);
    n = indicate("02", 0);
    CHECK(rig.a->rx_out.count == n);
    rig_release_all();
down:
    rig_down();
}

static void returner(void *arg)
{
    for (unsigned i = (unsigned)(uintptr_t)arg; i < rig.held_count; i += 2) {
        umn__point(UMN_OP_YIELD, NULL);
        if (rig.held[i])
            rig_release(i);
    }
}

/* Two contexts return the parts of shared frames against each other. */
static void returns_race(void *arg)
{
    struct umn_ctx *ctx[2] = {0};
    ULONG n = 0;

    if (!rig_up(3))
        goto down;
    filters(ALL, ALL, ALL);
    rig.hold_receives = true;
    n = indicate("0202", 0);
    for (uintptr_t i = 0; i < 2; i++)
        if (umn__ctx_spawn(&ctx[i], returner, (void *)i, "returner"))
            ctx[i] = NULL;
    for (unsigned i = 0; i < 2; i++)
        if (ctx[i])
            umn__ctx_join(ctx[i]);
    rig_release_all();
    CHECK(rig.returns == n);
down:
    rig_down();
}

static void receive_mistakes(void *arg)
{
    NET_BUFFER_LIST *nbl, *again;
    ULONG n;

    if (!rig_up(1))
        goto down;
    filters(ALL, 0, 0);
    rig.hold_receives = true;
    nbl = frames("0", rig.a, &n);
    NdisMIndicateReceiveNetBufferLists(rig.a, nbl, 0, 2, 0); /* 1: a wrong count */
    CHECK(RULE("NBL-10") == 1 && rig.got[0] == 1);
    again = rig.held[0];
    rig_release_all();
    NdisReturnNetBufferLists(rig.b[0], again, 0); /* 2: returned twice */
    CHECK(RULE("NBL-01") + RULE("NBL-02") == 1 && rig.returns == 1);
    ndis__dp_adapter_stop(rig.a);
    rig.a->state = NDIS_ADAPTER_PAUSED;
    indicate("0", 0); /* 3: on a paused adapter */
    CHECK(RULE("ST-02") == 1 && rig.returns == 2);
down:
    rig_down();
}

/* ---- loopback: IM-SND-11, IM-SND-12
 * ---------------------------------------------------------------------------- */

static void loops(void *arg)
{
    uint32_t none = 0;
    ULONG n;

    if (!rig_up(3))
        goto down;
    n = transmit(0, "0", 0);
    CHECK(rig.got[0] == 0 && rig.got[1] == 0);
    /* 1 is promiscuous, 2 as well but wants nothing local; the sender only sees what it asks for.
     */
    NEED(set_filter(1, NDIS_PACKET_TYPE_PROMISCUOUS) == NDIS_STATUS_SUCCESS, down);
    NEED(set_filter(2, NDIS_PACKET_TYPE_PROMISCUOUS | NDIS_PACKET_TYPE_NO_LOCAL) == 0, down);
    NEED(set_filter(0, ALL) == 0, down);
    rig.hold_receives = true;
    n = transmit(0, "1", 0);
    CHECK(rig.got[0] == 0 && rig.got[2] == 0 && (rig.got[1] == n || plat_alloc_failed()));
    CHECK(!rig.got[1] || rig.last_nbl_flags[1] & NDIS_NBL_FLAGS_IS_LOOPBACK_PACKET);
    rig_release_all();
    rig.got[1] = 0;
    n = transmit(0, "02", NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK);
    CHECK(plat_alloc_failed() || (rig.got[0] == 2 && rig.got[1] == 2 && rig.got[2] == 0));
    n = transmit(0, "1", NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK); /* not for this adapter's address */
    CHECK(plat_alloc_failed() || (rig.got[0] == 2 && rig.got[1] == 3));
    rig_release_all();
    CHECK(rig.returns == 0);
    /* ALL_LOCAL sees everything sent. */
    NEED(set_filter(1, NDIS_PACKET_TYPE_ALL_LOCAL) == 0, down);
    rig.got[1] = 0;
    n = transmit(0, "12", 0);
    CHECK(plat_alloc_failed() || rig.got[1] == n);
    rig_release_all();
    NEED(set(1, OID_GEN_CURRENT_PACKET_FILTER, &none, 4) == 0, down);
    NEED(set(2, OID_GEN_CURRENT_PACKET_FILTER, &none, 4) == 0, down);
    CHECK(!rig.a->loopback);
down:
    rig_down();
}

/* ---- tests
 * ----------------------------------------------------------------------------------------------------------
 */

static void both(void (*scenario)(void *), int expected)
{
    umn__ndis_verify(false);
    explore(scenario, expected);
    umn__ndis_verify(true);
    explore(scenario, expected);
}
static void mistakes(void (*scenario)(void *), int expected)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE, .cpus = 2};

    umn__ndis_verify(true);
    umn__report_quiet(true);
    run_once(scenario, &config, 0, expected);
    umn__report_quiet(false);
}

static void a_closed_gate_has_nobody_inside(void **state)
{
    explore(gates, 0);
}
static void a_completion_finishes_once(void **state)
{
    explore(completions, 0);
}
static void im_snd_06_completions_reach_their_senders(void **state)
{
    both(sends, 0);
}
static void im_snd_05_mistakes_of_senders_are_reported(void **state)
{
    mistakes(send_mistakes, 5);
}
static void im_rcv_10_one_binding_gets_what_its_filter_accepts(void **state)
{
    both(receives, 0);
}
static void im_rcv_05_lent_chains_come_back_as_they_were(void **state)
{
    both(resources, 0);
}
static void im_rcv_06_originals_return_after_the_last_holder(void **state)
{
    both(spread_out, 0);
    both(returns_race, 0);
}
static void im_rcv_02_mistakes_of_receivers_are_reported(void **state)
{
    mistakes(receive_mistakes, 3);
}
static void im_snd_11_12_loopback(void **state)
{
    both(loops, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_closed_gate_has_nobody_inside),
        cmocka_unit_test(a_completion_finishes_once),
        cmocka_unit_test(im_snd_06_completions_reach_their_senders),
        cmocka_unit_test(im_snd_05_mistakes_of_senders_are_reported),
        cmocka_unit_test(im_rcv_10_one_binding_gets_what_its_filter_accepts),
        cmocka_unit_test(im_rcv_05_lent_chains_come_back_as_they_were),
        cmocka_unit_test(im_rcv_06_originals_return_after_the_last_holder),
        cmocka_unit_test(im_rcv_02_mistakes_of_receivers_are_reported),
        cmocka_unit_test(im_snd_11_12_loopback),
    };
    return cmocka_run_group_tests_name("ndis_data", tests, NULL, NULL);
}
