/* SPDX-License-Identifier: MIT */
/* Group UNB, the intermediate driver's part: the real MUX as its lower binding goes. */
#include "stacks.h"
#include "world_private.h"

static struct mux_stack s;

static void unbind_mux(void *arg)
{
    umn__netcfg_unbind("mux", world_nic_guid(0));
    log_event("unbound");
}

/* ---- IM-UNB-02
 * --------------------------------------------------------------------------------------- */
static void mux_unbinds(bool async)
{
    char pended[16], good[16];
    unsigned owed = 0, ends = 0;
    mux_stack(&s);
    CHECK_OK();
    umn__ndis_settings.async_close = async;
    for (unsigned i = 0; i < 2; i++) {
        unbind_mux(NULL);
        settle(20);
        CHECK_STR(binding_state(world_nic_guid(0), "mux"), "");
        world_bind("mux", world_nic_guid(0));
        CHECK_OK();
        settle(20);
    }
    snprintf(pended, sizeof pended, " %08x", (unsigned)NDIS_STATUS_PENDING);
    snprintf(good, sizeof good, " %08x", (unsigned)NDIS_STATUS_SUCCESS);
    for (int i = 0; log_at(i); i++) {
        if (strncmp(log_at(i), "mux.unbind.end", 14))
            continue;
        ends++;
        owed += strstr(log_at(i), pended) != NULL;
        CHECK(strstr(log_at(i), pended) || strstr(log_at(i), good));
    }
    CHECK_EQ(ends, 2);
    CHECK_EQ(log_count("mux.complete unbind"), owed);
}

CONF(im_unb_02_mux_with_closes_at_once, NULL, 0)
{
    mux_unbinds(false);
}
CONF(im_unb_02_mux_with_pended_closes, NULL, 0)
{
    mux_unbinds(true);
}

/* ---- IM-UNB-03
 * --------------------------------------------------------------------------------------- */
CONF(im_unb_03_mux_closes_inside_its_unbind, NULL, 0)
{
    mux_stack(&s);
    CHECK_OK();
    unbind_mux(NULL);
    settle(20);
    CHECK_EQ(spy.closes, 1);
    CHECK_LOGGED("mux.unbind \\", 1);
    CHECK(
        log_in_order("mux.unbind \\", "mux.close filter", "mux.close.end", "mux.unbind.end", NULL));
    CHECK(spy.close_ctx != 0);
    CHECK_EQ(spy.close_ctx, spy.unbind_ctx);
}

/* ---- IM-UNB-04: what was set below is taken back
 * ------------------------------------------------------- */
static struct {
    bool halted;
    uint32_t filter, multicast;
} at_halt;
static void note_filters(struct nic *n)
{
    if (n->im)
        return;
    at_halt.halted = true;
    at_halt.filter = n->packet_filter;
    at_halt.multicast = n->multicast_count;
}

CONF(im_unb_04_filter_and_multicast_list_are_zero_before_the_close, NULL, 0)
{
    static uint8_t list[2][6] = {{0x01, 0, 0x5e, 0, 0, 1}, {0x01, 0, 0x5e, 0, 0, 2}};
    memset(&at_halt, 0, sizeof at_halt);
    nic_script.on_halt = note_filters;
    mux_stack(&s);
    CHECK_OK();
    CHECK_EQ(proto_oid(s.top, NdisRequestSetInformation, OID_802_3_MULTICAST_LIST, list,
                       sizeof list, NULL),
             NDIS_STATUS_SUCCESS);
    settle(10);
    CHECK(s.nic->packet_filter != 0);
    CHECK_EQ(s.nic->multicast_count, 2);
    CHECK_EQ(umn__pnp_remove_device(world_nic_instance(0)), 0);
    settle(20);
    CHECK_LOGGED("mux.close filter", 1);
    CHECK_LOGGED("mux.close filter 0 multicast 0", 1); /* taken back before, by the MUX itself */
    CHECK(at_halt.halted);
    CHECK_EQ(at_halt.filter, 0);
    CHECK_EQ(at_halt.multicast, 0);
    /* Nothing else was set that would have to be removed: no RSS, no patterns, no offloads. */
    for (int i = 0; log_at(i); i++) {
        unsigned type, oid;
        if (sscanf(log_at(i), "mux.oid %u %x", &type, &oid) == 2 &&
            type == NdisRequestSetInformation)
            CHECK(oid == OID_GEN_CURRENT_PACKET_FILTER || oid == OID_802_3_MULTICAST_LIST ||
                  oid == OID_GEN_CURRENT_LOOKAHEAD);
    }
}

/* ---- IM-UNB-05: its own sends and requests come first
 * ---------------------------------------------------- */
static struct {
    bool called, sends, request;
    int64_t tx, oids;
} at_close;
static void note_outstanding(NDIS_HANDLE handle, void *context)
{
    const struct ndis_binding *b = handle;
    at_close.called = true;
    at_close.tx = b->tx_out.count;
    at_close.oids = b->oid_out.count;
    at_close.sends = s.nic->held_sends != NULL;
    at_close.request = s.nic->held_oid != NULL;
}

static void hold_protocol_pause(struct bnd *b, NET_PNP_EVENT *e)
{
    /* tproto waits for its sends in NetEventPause, as it must. */
    if (b && e->NetEvent == NetEventPause && b == s.top)
        while (s.nic->held_sends)
            settle(1);
}

CONF(im_unb_05_close_comes_after_the_sends, NULL, 0)
{
    uint8_t f[64];
    memset(&at_close, 0, sizeof at_close);
    mux_stack(&s);
    CHECK_OK();
    spy.before_close = note_outstanding;
    proto_script.on_event = hold_protocol_pause;
    nic_script.hold_sends = true;
    CHECK(proto_send(s.top, f, frame(f, mac_other, mac_broadcast, 0x88b5), 3));
    settle(5);
    bool held = s.nic->held_sends != NULL;
    struct umn_ctx *unbinder = in_thread(unbind_mux, NULL);
    settle(100);
    unsigned early = spy.closes;
    nic_script.hold_sends = false;
    nic_complete_sends(s.nic, NDIS_STATUS_SUCCESS);
    join(unbinder);
    settle(10);
    CHECK(held);
    CHECK_EQ(early, 0);
    CHECK(at_close.called);
    CHECK(!at_close.sends);
    CHECK_EQ(at_close.tx, 0);
    CHECK_EQ(at_close.oids, 0);
    CHECK_EQ(spy.closes, 1);
}

/* NDIS takes the filter of the driver above back, and the NIC says no: then the MUX itself has
 * something left to take back when its virtual miniport has gone. */
static unsigned refusals;
static bool refuse_first(struct nic *n, NDIS_OID_REQUEST *r, NDIS_STATUS *status)
{
    if (!refusals)
        return false;
    refusals--;
    *status = NDIS_STATUS_FAILURE;
    return true;
}

static void requests_before_close(unsigned refuse)
{
    unsigned held = 0, early = 0;
    memset(&at_close, 0, sizeof at_close);
    mux_stack(&s);
    CHECK_OK();
    spy.before_close = note_outstanding;
    refusals = refuse;
    nic_script.on_oid = refuse_first;
    nic_script.hold_oids = true; /* the MUX takes back its filter: one request at least */
    struct umn_ctx *unbinder = in_thread(unbind_mux, NULL);
    for (unsigned i = 0; unbinder && i < 50 && !log_count("unbound"); i++) {
        settle(5);
        if (!s.nic->held_oid)
            continue;
        early += spy.closes && s.nic->held_oid && log_count("mux.close.end") && !at_close.called;
        held += spy.closes == 0;
        nic_complete_oid(s.nic, NDIS_STATUS_SUCCESS);
    }
    nic_script.hold_oids = false;
    join(unbinder);
    CHECK(held > 0);
    CHECK_EQ(early, 0);
    CHECK(at_close.called);
    CHECK(!at_close.request);
    CHECK_EQ(at_close.oids, 0);
    CHECK_EQ(spy.closes, 1);
}

CONF(im_unb_05_close_comes_after_the_requests, NULL, 0)
{
    requests_before_close(0);
}
CONF(im_unb_05_close_comes_after_its_own_requests, NULL, 0)
{
    requests_before_close(1);
}

/* ---- IM-UNB-07, -08: until the close completes, and not after
 * ---------------------------------------------- */
static struct ndis_binding *closing;
static void hold_close_open(NDIS_HANDLE handle, void *context)
{
    if (conf_failed())
        return;
    closing = handle; /* as if a receive were out: see unb.c */
    ndis__out_add(&closing->rx_out, 1);
}

static void receive_now(struct ndis_binding *b, struct nic *n)
{
    uint8_t f[64];
    uint32_t length = frame(f, mac_broadcast, mac_other, 0x88b5);
    NET_BUFFER_LIST *nbl = world_make_frame(n->pool, f, length);
    if (!nbl)
        return;
    nbl->SourceHandle = n->handle;
    b->protocol->chars.ReceiveNetBufferListsHandler(b->context, nbl, 0, 1,
                                                    NDIS_RECEIVE_FLAGS_RESOURCES);
    world_free_frame(nbl);
}

CONF(im_unb_08_mux_takes_indications_until_the_close_completes, "IM-UNB-07", 0)
{
    closing = NULL;
    mux_stack(&s);
    CHECK_OK();
    CHECK(pool_blocks("Muxb") > 0);
    spy.before_close = hold_close_open;
    struct umn_ctx *unbinder = in_thread(unbind_mux, NULL);
    settle(100);
    bool pended = closing && spy.closes == 1 && !log_count("mux.unbind.end");
    int statuses = log_count("mux.status"), seen = -1;
    size_t blocks = 0;
    if (pended) {
        nic_link(s.nic, false);
        nic_link(s.nic, true);
        seen = log_count("mux.status") - statuses;
        receive_now(closing, s.nic);
        settle(20);
        blocks = pool_blocks("Muxb");
        pended = !log_count("mux.unbind.end");
    }
    if (closing)
        ndis__out_sub(&closing->rx_out, 1);
    join(unbinder);
    CHECK(pended);
    CHECK(seen >= 2);  /* link state, and what NDIS makes of it */
    CHECK(blocks > 0); /* the context is not freed while it may be used */
    CHECK_LOGGED("mux.unbind.end", 1);
    CHECK_EQ(pool_blocks("Muxb"), 0);
}

static bool storm_on;
static void status_storm(void *arg)
{
    struct nic *n = arg;
    for (unsigned i = 0; storm_on && i < 200; i++) {
        nic_link(n, i & 1);
        settle(1);
    }
}

/* Anything that used the dead handle would be reported (HandleType), anything freed would be met.
 */
CONF(im_unb_07_mux_uses_no_dead_handle_in_a_status_storm, "IM-UNB-08", 0)
{
    umn__ndis_settings.async_close = true;
    mux_stack(&s);
    CHECK_OK();
    storm_on = true;
    struct umn_ctx *storm = in_thread(status_storm, s.nic);
    settle(5);
    unbind_mux(NULL);
    settle(10);
    storm_on = false;
    join(storm);
    CHECK_LOGGED("mux.unbind.end", 1);
    CHECK(log_count("mux.status") > 0);
    CHECK_EQ(pool_blocks("Muxb"), 0);
}

/* ---- IM-UNB-09: every virtual miniport of the binding goes
 * ---------------------------------------------------- */
CONF(im_unb_09_two_running_and_two_pending, NULL, 0)
{
    struct vmdev v[4];
    world_mux();
    CHECK_OK();
    spy_mux();
    CHECK(world_nic(true) != NULL);
    for (unsigned i = 0; i < 4; i++)
        vm_create(&v[i], "mux");
    CHECK_OK();
    vm_list("mux", 0, v, 4);
    CHECK_EQ(umn__pnp_start_device(v[0].id, NULL), 0);
    CHECK_EQ(umn__pnp_start_device(v[2].id, NULL), 0);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    settle(20);
    CHECK_STR(adapter_state(v[0].guid), "Running");
    CHECK_STR(adapter_state(v[2].guid), "Running");
    CHECK_EQ(vm_pending(), 2);
    unbind_mux(NULL);
    settle(20);
    CHECK_EQ(spy.deinits, 2);
    CHECK_EQ(spy.cancels, 2);
    CHECK_EQ(vm_pending(), 0);
    for (unsigned i = 0; i < 4; i++) {
        char entry[128];
        snprintf(entry, sizeof entry,
                 i % 2 ? "mux.cancel %s 00000000" : "mux.deinit.end %s 00000000", v[i].name);
        CHECK_LOGGED(entry, 1);
        const char *state = adapter_state(v[i].guid);
        CHECK(!*state || !strcmp(state, "Halted"));
    }
    /* All of it inside the unbind, before the close. */
    CHECK(log_find("mux.unbind \\", 0) < log_find("mux.deinit ", 0));
    CHECK(log_last("mux.deinit.end") < log_find("mux.close filter", 0));
    CHECK(log_last("mux.cancel") < log_find("mux.close filter", 0));
}

static int good_inits(void)
{
    int n = 0;
    for (int i = 0; log_at(i); i++)
        n += !strncmp(log_at(i), "mux.init.end", 12) && strstr(log_at(i), " 00000000");
    return n;
}

CONF(im_unb_09_start_while_unbinding_leaves_nothing, "IM-UNB-10", 0)
{
    struct vmdev v;
    world_mux();
    CHECK_OK();
    spy_mux();
    CHECK(world_nic(true) != NULL);
    vm_create(&v, "mux");
    CHECK_OK();
    vm_list("mux", 0, &v, 1);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    struct umn_ctx *unbinder = in_thread(unbind_mux, NULL);
    int e = umn__pnp_start_device(v.id, NULL); /* initializes, or finds the request withdrawn */
    join(unbinder);
    settle(50);
    CHECK_EQ(e, 0);
    CHECK_EQ(vm_pending(), 0);
    CHECK_EQ(good_inits(), log_count("mux.halt \\"));
    const char *state = adapter_state(v.guid);
    CHECK(!*state || !strcmp(state, "Halted"));
    CHECK_EQ(pool_blocks("Muxb"), 0);
    CHECK_EQ(pool_blocks("Muxv"), 0);
}

/* ---- IM-UNB-10: sends against the unbind
 * ------------------------------------------------------------------------ */
static struct {
    bool stop, busy;
    uint64_t sent;
} sender;

static void send_until_told(void *arg)
{
    uint8_t f[64];
    frame(f, mac_other, mac_other, 0x88b5);
    for (unsigned i = 0; !sender.stop && i < 400; i++) {
        if (proto_send(s.top, f, 60, 2))
            sender.sent += 2;
        else
            sender.stop = true; /* no memory: how many went is not known */
        if (i % 8 == 7)
            settle(1);
    }
    sender.busy = false;
}
/* The driver above must not use its handle once it closes; until then it sends, whatever comes. */
static void stop_sender(struct bnd *b)
{
    sender.stop = true;
    while (sender.busy)
        settle(1);
}
static uint64_t sends_at_close;
static void note_sends(NDIS_HANDLE handle, void *context)
{
    sends_at_close = s.nic->sends;
}

CONF(im_unb_10_sends_race_with_the_unbind, NULL, 0)
{
    memset(&sender, 0, sizeof sender);
    sends_at_close = ~0ull;
    mux_stack(&s);
    CHECK_OK();
    spy.before_close = note_sends;
    proto_script.on_unbind = stop_sender;
    struct bnd *top = s.top;
    sender.busy = true;
    struct umn_ctx *thread = in_thread(send_until_told, NULL);
    if (!thread)
        sender.busy = false;
    settle(2);
    unbind_mux(NULL);
    uint64_t completed = top->completed, below = s.nic->sends;
    join(thread);
    CHECK(sender.sent > 0);
    CHECK_EQ(completed, sender.sent); /* every NBL came back, whatever its status */
    CHECK_EQ(below, sends_at_close);  /* nothing reached the NIC after the close */
    CHECK_EQ(s.nic->sends, sends_at_close);
}

/* A virtual miniport whose lower binding is gone may outlive it for a moment in another driver; the
 * MUX's never does. What its send handler says while the binding below is down is IM-PST-05. */
CONF(im_unb_10_virtual_miniport_is_gone_before_the_close, NULL, 0)
{
    mux_stack(&s);
    CHECK_OK();
    unbind_mux(NULL);
    settle(10);
    CHECK(log_in_order("mux.unbind \\", "tproto0.unbind \\", "mux.halt \\", "mux.close filter",
                       NULL));
}
