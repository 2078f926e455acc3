/* SPDX-License-Identifier: MIT */
/*
 * Group SYN: the real MUX under concurrent calls (the same on host threads and under
 * ThreadSanitizer: tests/unit/test_mux_threads.c), no spin lock across a call that may come back,
 * and the IRQLs of the services that wait.
 */
#include "stacks.h"

static struct mux_stack s[2];
static uint8_t wire[64];

/* ---- IM-SYN-01
 * --------------------------------------------------------------------------------------- */
/* NDIS serializes nothing: a send arrives while a request handler of the same adapter runs. */
static bool in_handler, sent_inside;
static bool linger_in_request(struct nic *n, NDIS_OID_REQUEST *r, NDIS_STATUS *status)
{
    if (r->DATA.QUERY_INFORMATION.Oid != 0xff010203)
        return false;
    in_handler = true;
    settle(50);
    in_handler = false;
    *status = NDIS_STATUS_SUCCESS;
    return true;
}
static void ask(void *arg)
{
    ULONG value = 0;
    proto_oid(arg, NdisRequestQueryInformation, 0xff010203, &value, 4, NULL);
}

CONF(im_syn_01_ndis_serializes_nothing, NULL, 0)
{
    world_proto(0);
    struct nic *n = world_nic(true);
    CHECK_OK();
    world_bind("tproto0", world_nic_guid(0));
    settle(10);
    struct bnd *b = proto_on(0, world_nic_guid(0));
    CHECK(b != NULL);
    in_handler = sent_inside = false;
    nic_script.on_oid = linger_in_request;
    struct umn_ctx *asker = in_thread(ask, b);
    settle(10);
    bool inside = in_handler;
    bool sent = proto_send(b, wire, frame(wire, mac_other, mac_other, 0x88b5), 1);
    settle(5);
    sent_inside = sent && in_handler && n->sends == 1 && b->completed == 1;
    join(asker);
    CHECK(inside);
    CHECK(sent_inside);
}

/* Everything at once on two virtual miniports of one binding. */
#define ROUNDS 12
static struct {
    bool stop;
    uint64_t sent[2], indicated, asked, answered;
} all;

static void sender(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    uint8_t f[64];
    frame(f, mac_broadcast, s[i].top->params.CurrentMacAddress, 0x88b5);
    for (unsigned k = 0; k < ROUNDS; k++) {
        if (!proto_send(s[i].top, f, 60, 1 + k % 3))
            break;
        all.sent[i] += 1 + k % 3;
        if (k % 4 == 3)
            settle(1);
    }
}
static void receiver(void *arg)
{
    for (unsigned k = 0; k < ROUNDS; k++) {
        if (!nic_indicate(s[0].nic, wire, 60, 2, 0))
            break;
        all.indicated += 2;
        if (k % 4 == 1)
            settle(1);
    }
}
static void returner(void *arg)
{
    while (!all.stop) {
        proto_return(s[0].top);
        proto_return(s[1].top);
        settle(1);
    }
}
static void asker(void *arg)
{
    struct bnd *b = s[(uintptr_t)arg].top;
    ULONG value = 0, filter = NDIS_PACKET_TYPE_BROADCAST | NDIS_PACKET_TYPE_DIRECTED;
    for (unsigned k = 0; k < ROUNDS; k++) {
        NDIS_STATUS a =
            proto_oid(b, NdisRequestQueryInformation, OID_GEN_VENDOR_ID, &value, 4, NULL);
        NDIS_STATUS c = proto_oid(b, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER,
                                  &filter, 4, NULL);
        all.asked += 2;
        all.answered += (a == NDIS_STATUS_SUCCESS) + (c == NDIS_STATUS_SUCCESS);
        filter ^= NDIS_PACKET_TYPE_ALL_MULTICAST;
    }
}
static void flapper(void *arg)
{
    for (unsigned k = 0; k < ROUNDS; k++) {
        nic_link(s[0].nic, k & 1);
        settle(1);
    }
}

CONF(im_syn_01_sends_returns_and_requests_at_once, "IM-SYN-02", 0)
{
    memset(&all, 0, sizeof all);
    memset(&s[1], 0, sizeof s[1]);
    mux_stack(&s[0]);
    CHECK_OK();
    mux_stack_vm(&s[1]);
    CHECK_OK();
    frame(wire, mac_broadcast, mac_other, 0x88b6);
    proto_script.hold_rx = true;
    struct umn_ctx *thread[8];
    void (*const fn[])(void *) = {sender, sender, receiver, asker, asker, flapper, receiver};
    uintptr_t arg[] = {0, 1, 0, 0, 1, 0, 0};
    uint64_t returned = s[0].nic->returns;
    struct umn_ctx *back = in_thread(returner, NULL);
    for (unsigned i = 0; i < 7; i++)
        thread[i] = in_thread(fn[i], (void *)arg[i]);
    for (unsigned i = 0; i < 7; i++)
        join(thread[i]);
    settle(10);
    all.stop = true;
    join(back);
    proto_script.hold_rx = false;
    proto_return(s[0].top);
    proto_return(s[1].top);
    settle(10);
    CHECK_OK();
    for (unsigned i = 0; i < 2; i++) {
        CHECK(all.sent[i] > 0);
        CHECK_EQ(s[i].top->completed, all.sent[i]);
    }
    /* Each broadcast went to both, each of theirs to the other one and to the wire. */
    CHECK_EQ(s[0].top->received, all.indicated + all.sent[1]);
    CHECK_EQ(s[1].top->received, all.indicated + all.sent[0]);
    CHECK_EQ(s[0].nic->sends, all.sent[0] + all.sent[1]);
    CHECK_EQ(s[0].nic->returns - returned, all.indicated);
    CHECK_EQ(s[0].nic->outstanding_rx, 0);
    CHECK_EQ(all.answered, all.asked);
    CHECK_EQ(spy.locked, 0);
}

/* ---- IM-SYN-02: no spin lock across calls that come back
 * ------------------------------------------------- */
static KSPIN_LOCK lock;
static struct bnd *low;

static void with_lock(unsigned what)
{
    static NDIS_OID_REQUEST request;
    static ULONG value;
    KIRQL old;
    struct nic *n = &nics[0];
    KeAcquireSpinLock(&lock, &old);
    switch (what) {
    case 0:
        proto_send(low, wire, 60, 1);
        break;
    case 1:
        nic_indicate(n, wire, 60, 1, 0);
        break;
    case 2:
        nic_link(n, false);
        break;
    case 3:
        NdisCancelSendNetBufferLists(low->handle, &value);
        break;
    case 4:
        NdisCancelOidRequest(low->handle, &value);
        break;
    case 5:
        memset(&request, 0, sizeof request);
        request.Header.Type = NDIS_OBJECT_TYPE_OID_REQUEST;
        request.Header.Revision = NDIS_OID_REQUEST_REVISION_1;
        request.Header.Size = NDIS_SIZEOF_OID_REQUEST_REVISION_1;
        request.RequestType = NdisRequestQueryInformation;
        request.DATA.QUERY_INFORMATION.Oid = OID_GEN_MEDIA_SUPPORTED; /* NDIS answers */
        request.DATA.QUERY_INFORMATION.InformationBuffer = &value;
        request.DATA.QUERY_INFORMATION.InformationBufferLength = 4;
        NdisOidRequest(low->handle, &request);
        break;
    default:
        proto_return(low);
        break;
    }
    KeReleaseSpinLock(&lock, old);
}

static void expect_locked(unsigned what)
{
    unsigned before = umn__report_count_rule("IM-SYN-02");
    with_lock(what);
    settle(2);
    if (umn__report_count_rule("IM-SYN-02") == before)
        conf_fail(__FILE__, __LINE__, "call %u with a spin lock held is not reported", what);
}

CONF(im_syn_02_each_call_with_a_lock_held_is_reported, NULL, CONF_NO_SWEEP)
{
    conf_expect("IM-SYN-02");
    world_proto(0);
    world_nic(true);
    CHECK_OK();
    world_bind("tproto0", world_nic_guid(0));
    settle(10);
    low = proto_on(0, world_nic_guid(0));
    CHECK(low != NULL);
    frame(wire, mac_broadcast, mac_other, 0x88b5);
    KeInitializeSpinLock(&lock);
    for (unsigned what = 0; what < 6; what++)
        expect_locked(what);
    proto_script.hold_rx = true;
    CHECK(nic_indicate(&nics[0], wire, 60, 1, 0));
    CHECK(low->held_rx != NULL);
    expect_locked(6);
    /* The ends of sends and requests. */
    proto_script.hold_rx = false;
    nic_script.hold_sends = nic_script.hold_oids = true;
    ULONG value = 0;
    CHECK(proto_send(low, wire, 60, 1));
    CHECK_EQ(proto_oid_async(low, NdisRequestQueryInformation, 0xff010203, &value, 4, NULL, 0),
             NDIS_STATUS_PENDING);
    settle(5);
    KIRQL old;
    unsigned before = umn__report_count_rule("IM-SYN-02");
    KeAcquireSpinLock(&lock, &old);
    nic_complete_sends(&nics[0], NDIS_STATUS_SUCCESS);
    KeReleaseSpinLock(&lock, old);
    CHECK(umn__report_count_rule("IM-SYN-02") > before);
    before = umn__report_count_rule("IM-SYN-02");
    KeAcquireSpinLock(&lock, &old);
    nic_complete_oid(&nics[0], NDIS_STATUS_FAILURE);
    KeReleaseSpinLock(&lock, old);
    CHECK(umn__report_count_rule("IM-SYN-02") > before);
    settle(5);
}

/* The MUX in all its ways of calling out: any lock held would be a report. */
CONF(im_syn_02_mux_holds_no_lock_across_its_calls, NULL, 0)
{
    memset(&s[1], 0, sizeof s[1]);
    mux_stack(&s[0]);
    CHECK_OK();
    mux_stack_vm(&s[1]);
    CHECK_OK();
    world_proto(1);
    frame(wire, mac_broadcast, mac_other, 0x88b5);
    CHECK(nic_indicate(s[0].nic, wire, 60, 2, 0));
    CHECK(nic_indicate(s[0].nic, wire, 60, 1, NDIS_RECEIVE_FLAGS_RESOURCES));
    CHECK(proto_send(s[0].top, wire, 60, 2));
    nic_link(s[0].nic, false);
    nic_link(s[0].nic, true);
    nic_script.hold_sends = true;
    CHECK(proto_send(s[1].top, wire, 60, 1));
    NdisCancelSendNetBufferLists(s[1].top->handle, &wire);
    nic_script.hold_sends = false;
    nic_complete_sends(s[0].nic, NDIS_STATUS_SUCCESS);
    nic_script.hold_oids = true;
    static ULONG value;
    CHECK_EQ(
        proto_oid_async(s[0].top, NdisRequestQueryInformation, 0xff010203, &value, 4, &value, 0),
        NDIS_STATUS_PENDING);
    settle(5);
    NdisCancelOidRequest(s[0].top->handle, &value);
    settle(5);
    nic_script.hold_oids = false;
    nic_complete_oid(s[0].nic, NDIS_STATUS_FAILURE);
    umn__netcfg_bind("tproto1", s[0].guid);
    umn__netcfg_bind("tproto1", world_nic_guid(0));
    umn__netcfg_unbind("mux", world_nic_guid(0));
    settle(20);
    CHECK(spy.closes == 1 && spy.deinits == 2);
    CHECK_EQ(spy.locked, 0);
    for (unsigned i = 0; i < spy.requests; i++)
        CHECK_EQ(spy.request[i].locks, 0);
    CHECK_EQ(umn__report_count_rule("IM-SYN-02"), 0);
}

/* ---- IM-SYN-03: services that wait
 * ------------------------------------------------------------------------ */
static NDIS_EVENT event;
static bool wait_result;
static uint64_t slept;

static void wait_high(void *arg)
{
    wait_result = NdisWaitEvent(&event, 10);
}
static void sleep_high(void *arg)
{
    NdisMSleep(1000);
}
static void set_high(void *arg)
{
    NdisSetEvent(&event);
}
static void reset_high(void *arg)
{
    NdisResetEvent(&event);
}
static unsigned irql_reports(void)
{
    return umn__report_count_rule("Irql_Miscellaneous_Function") +
           umn__report_count_rule("Irql_Miniport_Driver_Function");
}

CONF(im_syn_03_wait_at_dispatch_is_a_verifier_break, NULL, 0)
{
    conf_expect("Irql_Miscellaneous_Function");
    conf_expect("Irql_Miniport_Driver_Function");
    NdisInitializeEvent(&event);
    at_dispatch(set_high, NULL); /* set and reset are allowed there */
    at_dispatch(reset_high, NULL);
    CHECK_EQ(irql_reports(), 0);
    at_dispatch(wait_high, NULL);
    CHECK_EQ(irql_reports(), 1);
    CHECK(!wait_result);
    at_dispatch(sleep_high, NULL);
    CHECK_EQ(irql_reports(), 2);
}

CONF(im_syn_03_wait_at_passive, NULL, 0)
{
    NdisInitializeEvent(&event); /* not signalled */
    uint64_t from = umn__now();
    wait_result = NdisWaitEvent(&event, 25);
    slept = umn__now() - from;
    CHECK(!wait_result);
    CHECK(slept >= 250000); /* 100 ns units */
    at_dispatch(set_high, NULL);
    from = umn__now();
    CHECK(NdisWaitEvent(&event, 100000));
    CHECK(NdisWaitEvent(&event, 0)); /* it stays signalled */
    CHECK(umn__now() - from < 10000000);
    at_dispatch(reset_high, NULL);
    CHECK(!NdisWaitEvent(&event, 1));
    from = umn__now();
    NdisMSleep(3000);
    CHECK(umn__now() - from >= 30000);
    CHECK_EQ(irql_reports(), 0);
}

static bool waited;
static void wait_for_ever(void *arg)
{
    wait_result = NdisWaitEvent(&event, 0);
    waited = true;
}

CONF(im_syn_03_zero_waits_for_ever, NULL, 0)
{
    NdisInitializeEvent(&event);
    waited = wait_result = false;
    struct umn_ctx *waiter = in_thread(wait_for_ever, NULL);
    CHECK(waiter != NULL);
    settle(60 * 60 * 1000); /* an hour */
    bool early = waited;
    at_dispatch(set_high, NULL);
    join(waiter);
    CHECK(!early);
    CHECK(waited && wait_result);
}

static void sleep_at_apc(void)
{
    KIRQL old;
    KeRaiseIrql(APC_LEVEL, &old);
    NdisMSleep(1000); /* below DISPATCH_LEVEL */
    KeLowerIrql(old);
}

CONF(im_syn_03_sleep_below_dispatch_is_allowed, NULL, 0)
{
    uint64_t from = umn__now();
    sleep_at_apc();
    CHECK(umn__now() - from >= 10000);
    CHECK_EQ(umn__report_count(), 0);
}
