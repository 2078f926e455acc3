/* SPDX-License-Identifier: MIT */
/*
 * Group MST, the library's part: which transitions of a miniport adapter happen, how pause and
 * restart end, what waits for them, and when an adapter is halted.
 */
#include "stacks.h"

static struct nic *nic0(void)
{
    return nic_by_guid(world_nic_guid(0));
}
static void start_nic(void *arg)
{
    umn__pnp_start_device(world_nic_instance(0), NULL);
    log_event("started");
}
static void remove_nic(void *arg)
{
    umn__pnp_remove_device(world_nic_instance(0));
    log_event("removed");
}
static void bind_1(void *arg)
{
    umn__netcfg_bind("tproto1", world_nic_guid(0));
    log_event("bound");
}
static void pause_done(void *arg)
{
    nic_complete_pause(arg);
}
static void restart_done(void *arg)
{
    nic_complete_restart(arg, NDIS_STATUS_SUCCESS);
}

/* tproto0 and tproto1 loaded, nic 0 running with tproto0. */
static void stack_up(void)
{
    world_proto(0);
    world_proto(1);
    world_nic(true);
    CHECK_OK();
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
}

/* ---- IM-MST-01: a model of the states
 * ------------------------------------------------------------- */
static const char *const adapter_legal[] = {
    "Halted Initializing", "Initializing Paused",
    "Initializing Halted", "Paused Restarting",
    "Restarting Running",  "Restarting Paused",
    "Running Pausing",     "Pausing Paused",
    "Paused Halted",       "Paused Shutdown",
    "Restarting Shutdown", "Running Shutdown",
    "Pausing Shutdown",    NULL,
};
#define MET 9 /* of them in a life without shutdown */

static bool completing;
static void complete_what_pends(void *arg)
{
    while (completing) {
        for (unsigned i = 0; i < 4; i++) {
            struct nic *n = &nics[i];
            if (n->pause_pending && !n->outstanding_rx)
                nic_complete_pause(n);
            if (n->restart_pending)
                nic_complete_restart(n, NDIS_STATUS_SUCCESS);
        }
        settle(1);
    }
}

static void one_operation(unsigned k)
{
    const char *id = world_nic_instance(0), *guid = world_nic_guid(0);
    struct bnd *b;
    switch (k % 10) {
    case 0:
    case 1:
        nic_script.init_status = k & 16 ? NDIS_STATUS_FAILURE : NDIS_STATUS_SUCCESS;
        umn__pnp_start_device(id, NULL);
        nic_script.init_status = NDIS_STATUS_SUCCESS;
        break;
    case 2:
        umn__pnp_remove_device(id);
        break;
    case 3:
        umn__pnp_disable_device(id);
        umn__pnp_enable_device(id);
        break;
    case 4:
    case 5:
        nic_script.restart_status = k & 16 ? NDIS_STATUS_RESOURCES : NDIS_STATUS_SUCCESS;
        umn__netcfg_bind("tproto1", guid);
        nic_script.restart_status = NDIS_STATUS_SUCCESS;
        break;
    case 6:
        umn__netcfg_unbind("tproto1", guid);
        break;
    case 7:
        b = proto_on(0, guid);
        if (b)
            NdisUnbindAdapter(b->handle);
        settle(5);
        NdisReEnumerateProtocolBindings(protos[0].handle);
        break;
    case 8:
        umn__pnp_stop_device(id);
        umn__pnp_restart_device(id);
        break;
    default:
        nic_script.pend_pause = (k & 16) != 0;
        nic_script.pend_restart = (k & 32) != 0;
        break;
    }
}

CONF(im_mst_01_random_operations_make_legal_transitions_only, NULL, CONF_SLOW)
{
    unsigned turn = (unsigned)conf_seed() * 2654435761u + 12345;
    bool seen[16] = {false};
    stack_up();
    CHECK_OK();
    completing = true;
    struct umn_ctx *helper = in_thread(complete_what_pends, NULL);
    nic_script.init_status = NDIS_STATUS_FAILURE; /* each transition at least once */
    remove_nic(NULL);
    start_nic(NULL);
    nic_script.init_status = NDIS_STATUS_SUCCESS;
    umn__pnp_remove_device(world_nic_instance(0));
    nic_script.restart_status = NDIS_STATUS_FAILURE;
    start_nic(NULL);
    for (unsigned i = 0; helper && i < 60; i++)
        one_operation((turn = turn * 1664525u + 1013904223u) >> 10);
    nic_script.pend_pause = nic_script.pend_restart = false;
    settle(20);
    completing = false;
    join(helper);
    unsigned bad = check_transitions("adapter.state", adapter_legal, seen);
    CHECK_EQ(bad, 0);
    for (unsigned i = 0; i < MET; i++)
        CHECK(seen[i]);
}

/* Two contexts that pull at the same adapter. */
static void pull(void *arg)
{
    for (unsigned i = 0; i < 6; i++) {
        umn__netcfg_bind("tproto1", world_nic_guid(0));
        umn__netcfg_unbind("tproto1", world_nic_guid(0));
    }
}

CONF(im_mst_01_concurrent_operations_make_legal_transitions_only, NULL, 0)
{
    bool seen[16] = {false};
    stack_up();
    CHECK_OK();
    struct umn_ctx *other = in_thread(pull, NULL);
    for (unsigned i = 0; i < 4; i++) {
        umn__pnp_remove_device(world_nic_instance(0));
        umn__pnp_start_device(world_nic_instance(0), NULL);
    }
    join(other);
    settle(20);
    unsigned bad = check_transitions("adapter.state", adapter_legal, seen);
    CHECK_EQ(bad, 0);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
}

/* ---- IM-MST-02: each virtual miniport for itself
 * ------------------------------------------------------ */
static struct vmdev vm[2];
static void request_both(struct bnd *b)
{
    im_request(0, vm[0].name, NULL);
    im_request(0, vm[1].name, NULL);
}
static void drop_both(struct bnd *b)
{
    for (unsigned i = 0; i < 2; i++) {
        struct nic *n = nic_by_guid(vm[i].guid);
        if (n)
            im_deinitialize(n);
        else
            im_cancel(0, vm[i].name);
    }
}
static void bind_1_to_first(void *arg)
{
    umn__netcfg_bind("tproto1", vm[0].guid);
    log_event("bound");
}

CONF(im_mst_02_one_paused_sibling_and_lower_running, NULL, 0)
{
    uint8_t f[64];
    im_script.on_bind = request_both;
    im_script.on_unbind = drop_both;
    world_im(0);
    world_proto(0);
    world_proto(1);
    for (unsigned i = 0; i < 2; i++) {
        vm_create(&vm[i], "tim0");
        CHECK_OK();
        CHECK_EQ(umn__pnp_start_device(vm[i].id, NULL), 0);
    }
    CHECK(world_nic(true) != NULL);
    world_bind("tim0", world_nic_guid(0));
    world_bind("tproto0", vm[0].guid);
    world_bind("tproto0", vm[1].guid);
    CHECK_OK();
    settle(10);
    struct nic *sibling = nic_by_guid(vm[1].guid), *n = nic0();
    struct bnd *b = proto_on(0, vm[1].guid);
    CHECK(sibling && n && b);
    proto_script.pend_bind = true; /* keeps the first one Paused */
    log_clear();
    struct umn_ctx *binder = in_thread(bind_1_to_first, NULL);
    settle(20);
    char first[32], second[32], lower[32];
    snprintf(first, sizeof first, "%s", adapter_state(vm[0].guid));
    snprintf(second, sizeof second, "%s", adapter_state(vm[1].guid));
    snprintf(lower, sizeof lower, "%s", adapter_state(world_nic_guid(0)));
    bool sent = proto_send(b, f, frame(f, mac_other, mac_other, 0x88b5), 2);
    bool indicated = sibling->running &&
                     nic_indicate(sibling, f, frame(f, mac_broadcast, mac_other, 0x88b5), 3, 0);
    settle(5);
    uint64_t completed = b->completed, received = b->received;
    struct bnd *pended = proto_on(1, vm[0].guid);
    if (pended)
        proto_complete_bind(pended, NDIS_STATUS_SUCCESS);
    join(binder);
    settle(10);
    CHECK_STR(first, "Paused");
    CHECK_STR(second, "Running");
    CHECK_STR(lower, "Running");
    CHECK(sent && indicated);
    CHECK_EQ(completed, 2);
    CHECK_EQ(b->last_send_status, NDIS_STATUS_SUCCESS);
    CHECK_EQ(received, 3);
    char other[32];
    snprintf(other, sizeof other, "nic%u.pause", sibling->index);
    CHECK_LOGGED(other, 0);
    snprintf(other, sizeof other, "nic%u.pause", n->index);
    CHECK_LOGGED(other, 0);
    CHECK_STR(adapter_state(vm[0].guid), "Running");
}

/* ---- IM-MST-07: the ends of pause and restart
 * ------------------------------------------------------------ */
CONF(im_mst_07_pended_pause_and_restart_end_at_dispatch, NULL, 0)
{
    stack_up();
    CHECK_OK();
    struct nic *n = nic0();
    char pausing[32], restarting[32];
    nic_script.pend_pause = nic_script.pend_restart = true;
    struct umn_ctx *binder = in_thread(bind_1, NULL);
    settle(50);
    snprintf(pausing, sizeof pausing, "%s", adapter_state(world_nic_guid(0)));
    int early_bind = log_count("tproto1.bind");
    if (n->pause_pending)
        at_dispatch(pause_done, n);
    settle(50);
    snprintf(restarting, sizeof restarting, "%s", adapter_state(world_nic_guid(0)));
    int early_event = log_count("tproto1.event 9");
    nic_script.pend_pause = false;
    if (n->restart_pending)
        at_dispatch(restart_done, n);
    nic_script.pend_restart = false;
    join(binder);
    settle(10);
    CHECK_STR(pausing, "Pausing");
    CHECK_EQ(early_bind, 0);
    CHECK_STR(restarting, "Restarting");
    CHECK_EQ(early_event, 0);
    CHECK_LOGGED("tproto1.bind \\", 1);
    CHECK_LOGGED("tproto1.event 9", 1);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
}

CONF(im_mst_07_completions_out_of_turn_are_reported, NULL, 0)
{
    conf_expect("ILLEGAL_MINIPORT_STATE_TRANSITION");
    stack_up();
    CHECK_OK();
    struct nic *n = nic0();
    NdisMPauseComplete(n->handle); /* nothing is pending */
    CHECK_EQ(umn__report_count_rule("ILLEGAL_MINIPORT_STATE_TRANSITION"), 1);
    NdisMRestartComplete(n->handle, NDIS_STATUS_SUCCESS);
    CHECK_EQ(umn__report_count_rule("ILLEGAL_MINIPORT_STATE_TRANSITION"), 2);
    nic_script.pend_pause = nic_script.pend_restart = true;
    struct umn_ctx *binder = in_thread(bind_1, NULL);
    settle(20);
    unsigned wrong = 0;
    if (n->pause_pending) {
        NdisMRestartComplete(n->handle, NDIS_STATUS_SUCCESS); /* the other one is */
        wrong = umn__report_count_rule("ILLEGAL_MINIPORT_STATE_TRANSITION");
        nic_complete_pause(n);
        NdisMPauseComplete(n->handle); /* twice */
    }
    settle(20);
    if (n->restart_pending) {
        nic_complete_restart(n, NDIS_STATUS_SUCCESS);
        NdisMRestartComplete(n->handle, NDIS_STATUS_SUCCESS);
    }
    nic_script.pend_pause = nic_script.pend_restart = false;
    join(binder);
    CHECK_EQ(wrong, 3);
    CHECK_EQ(umn__report_count_rule("ILLEGAL_MINIPORT_STATE_TRANSITION"), 5);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
}

CONF(im_mst_07_restart_completed_with_failure_leaves_it_paused, "IM-MST-09", 0)
{
    stack_up();
    CHECK_OK();
    struct nic *n = nic0();
    nic_script.pend_restart = true;
    struct umn_ctx *binder = in_thread(bind_1, NULL);
    settle(20);
    bool pended = n->restart_pending;
    nic_script.pend_restart = false;
    if (pended)
        nic_complete_restart(n, NDIS_STATUS_RESOURCES);
    join(binder);
    settle(10);
    CHECK(pended);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Paused");
    CHECK_STR(binding_state(world_nic_guid(0), "tproto1"), "Paused");
    CHECK_EQ(umn__netcfg_unbind("tproto1", world_nic_guid(0)), 0); /* the next restart works */
    settle(10);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
}

/* ---- IM-MST-08: nothing else begins meanwhile
 * --------------------------------------------------------------- */
/* There is no power operation of NDIS yet that could be queued: remove, bind and disable are. */
static void disable_nic(void *arg)
{
    umn__pnp_disable_device(world_nic_instance(0));
}

static void held_up(bool restart)
{
    stack_up();
    CHECK_OK();
    struct nic *n = nic0();
    nic_script.pend_pause = !restart;
    nic_script.pend_restart = restart;
    struct umn_ctx *binder = in_thread(bind_1, NULL);
    settle(50);
    bool pended = restart ? n->restart_pending : n->pause_pending;
    nic_script.pend_pause &= pended;
    nic_script.pend_restart &= pended;
    log_clear();
    struct umn_ctx *remover = in_thread(remove_nic, NULL);
    struct umn_ctx *unbinder = in_thread(disable_nic, NULL);
    settle(200);
    int begun = log_count("nic0.") + log_count("tproto0.unbind") + log_count("removed");
    nic_script.pend_pause = nic_script.pend_restart = false;
    log_event("completing");
    if (pended && restart)
        nic_complete_restart(n, NDIS_STATUS_SUCCESS);
    else if (pended)
        nic_complete_pause(n);
    join(binder);
    join(remover);
    join(unbinder);
    settle(10);
    CHECK(pended);
    CHECK_EQ(begun, 0);
    CHECK_LOGGED("nic0.halt", 1);
    CHECK(log_in_order("completing", "nic0.pause reason", "nic0.halt", "removed", NULL));
}

CONF(im_mst_08_nothing_begins_during_a_pause, NULL, 0)
{
    held_up(false);
}
CONF(im_mst_08_nothing_begins_during_a_restart, NULL, 0)
{
    held_up(true);
}

/* ---- IM-MST-09, -10: what a restart can say
 * --------------------------------------------------------------------- */
CONF(im_mst_09_failed_restart_leaves_it_paused_and_later_works, NULL, 0)
{
    stack_up();
    CHECK_OK();
    nic_script.restart_status = NDIS_STATUS_FAILURE;
    bind_1(NULL);
    settle(10);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Paused");
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Paused");
    CHECK_STR(binding_state(world_nic_guid(0), "tproto1"), "Paused");
    CHECK_LOGGED("tproto1.event 9", 0);
    CHECK_EQ(umn__netcfg_unbind("tproto1", world_nic_guid(0)), 0);
    settle(10);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
}

#define EXTRA_OID 0xff00a1b2u
static struct {
    unsigned restarts, entries, events, seen_extra;
    bool first_is_general;
    ULONG given_mtu, seen_mtu;
} attributes;

static void edit_attributes(struct nic *n, NDIS_MINIPORT_RESTART_PARAMETERS *p)
{
    NDIS_RESTART_ATTRIBUTES *a = p->RestartAttributes;
    const ULONG size = sizeof(NDIS_RESTART_ATTRIBUTES) + 32;
    attributes.restarts++;
    attributes.entries = 0;
    for (NDIS_RESTART_ATTRIBUTES *at = a; at; at = at->Next)
        attributes.entries++;
    if (!a)
        return; /* change nothing */
    attributes.first_is_general =
        a->Oid == OID_GEN_MINIPORT_RESTART_ATTRIBUTES &&
        a->DataLength >= NDIS_SIZEOF_RESTART_GENERAL_ATTRIBUTES_REVISION_1;
    NDIS_RESTART_GENERAL_ATTRIBUTES *g = (void *)a->Data;
    attributes.given_mtu = g->MtuSize;
    g->MtuSize = 1234;
    NDIS_RESTART_ATTRIBUTES *extra =
        NdisAllocateMemoryWithTagPriority(n->handle, size, 'txET', NormalPoolPriority);
    if (!extra)
        return;
    memset(extra, 0, size);
    extra->Oid = EXTRA_OID;
    extra->DataLength = 4;
    extra->Next = a;
    p->RestartAttributes = extra;
}

static void look_at_attributes(struct bnd *b, NET_PNP_EVENT *e)
{
    if (!b || e->NetEvent != NetEventRestart || strcmp(b->proto->service, "tproto1"))
        return;
    attributes.events++;
    NDIS_PROTOCOL_RESTART_PARAMETERS *p = e->Buffer;
    for (NDIS_RESTART_ATTRIBUTES *a = p ? p->RestartAttributes : NULL; a; a = a->Next) {
        if (a->Oid == EXTRA_OID)
            attributes.seen_extra++;
        if (a->Oid == OID_GEN_MINIPORT_RESTART_ATTRIBUTES)
            attributes.seen_mtu = ((NDIS_RESTART_GENERAL_ATTRIBUTES *)(void *)a->Data)->MtuSize;
    }
}

CONF(im_mst_10_edited_and_added_attributes_reach_the_bindings, NULL, 0)
{
    stack_up();
    CHECK_OK();
    memset(&attributes, 0, sizeof attributes);
    nic_script.on_restart = edit_attributes;
    proto_script.on_event = look_at_attributes;
    bind_1(NULL);
    settle(10);
    CHECK_EQ(attributes.restarts, 1);
    CHECK_EQ(attributes.entries, 1);
    CHECK(attributes.first_is_general);
    CHECK_EQ(attributes.given_mtu, 1500);
    CHECK_EQ(attributes.events, 1);
    CHECK_EQ(attributes.seen_mtu, 1234);
    CHECK_EQ(attributes.seen_extra, 1);
    CHECK_EQ(pool_blocks("TExt"), 0); /* NDIS frees what was added */
    /* And it lasts: the next bind's parameters say so. */
    nic_script.on_restart = NULL;
    world_proto(2);
    world_bind("tproto2", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    struct bnd *b = proto_on(2, world_nic_guid(0));
    CHECK(b != NULL);
    CHECK_EQ(b->params.MtuSize, 1234);
}

/* ---- IM-MST-11: halt
 * ------------------------------------------------------------------------------------------------
 */
static char state_at_halt[32];
static unsigned held_at_halt;
static void note_halt(struct nic *n)
{
    snprintf(state_at_halt, sizeof state_at_halt, "%s", adapter_state(n->guid));
    held_at_halt += n->held_oid != NULL || n->held_sends != NULL;
}
/* A request of NDIS itself: it holds up no binding and no operation, only the halt. */
static void ask_nic(void *arg)
{
    ULONG buffer = 0;
    uint32_t length = 4;
    NDIS_STATUS status =
        ndis__oid_own(arg, NdisRequestQueryInformation, 0xff010203, &buffer, &length);
    log_event("asked %08x", (unsigned)status);
}

CONF(im_mst_11_halt_waits_for_requests, NULL, 0)
{
    state_at_halt[0] = 0;
    held_at_halt = 0;
    proto_script.packet_filter = 0; /* nothing that NDIS would take back behind the request */
    stack_up();
    CHECK_OK();
    struct nic *n = nic0();
    nic_script.on_halt = note_halt;
    nic_script.hold_oids = true;
    struct umn_ctx *asker = in_thread(ask_nic, n->handle);
    settle(20);
    bool held = n->held_oid != NULL;
    struct umn_ctx *remover = in_thread(remove_nic, NULL);
    settle(200);
    int early = log_count("nic0.halt");
    nic_script.hold_oids = false;
    nic_complete_oid(n, NDIS_STATUS_FAILURE);
    join(asker);
    join(remover);
    settle(10);
    CHECK(held);
    CHECK_EQ(early, 0);
    CHECK_EQ(held_at_halt, 0);
    CHECK_STR(state_at_halt, "Paused");
    CHECK_LOGGED("nic0.halt action 0 irql 0", 1);
    CHECK_LOGGED("asked c0000001", 1);
}

static void wait_for_sends(struct bnd *b, NET_PNP_EVENT *e)
{
    if (b && e->NetEvent == NetEventPause)
        while (nics[0].held_sends)
            settle(1);
}

CONF(im_mst_11_halt_waits_for_sends, NULL, 0)
{
    uint8_t f[64];
    state_at_halt[0] = 0;
    held_at_halt = 0;
    stack_up();
    CHECK_OK();
    struct nic *n = nic0();
    struct bnd *b = proto_on(0, world_nic_guid(0));
    CHECK(b != NULL);
    nic_script.on_halt = note_halt;
    nic_script.hold_sends = true;
    proto_script.on_event = wait_for_sends;
    CHECK(proto_send(b, f, frame(f, mac_other, mac_other, 0x88b5), 1));
    struct umn_ctx *remover = in_thread(remove_nic, NULL);
    settle(200);
    int early = log_count("nic0.halt");
    nic_script.hold_sends = false;
    nic_complete_sends(n, NDIS_STATUS_SUCCESS);
    join(remover);
    settle(10);
    CHECK_EQ(early, 0);
    CHECK_EQ(held_at_halt, 0);
    CHECK_STR(state_at_halt, "Paused");
    CHECK_LOGGED("nic0.halt", 1);
}

CONF(im_mst_11_nothing_is_submitted_after_halt, "IM-MST-13", 0)
{
    ULONG buffer = 0;
    unsigned length = 4;
    stack_up();
    CHECK_OK();
    remove_nic(NULL);
    settle(10);
    int last = log_find("nic0.halt", 0);
    CHECK(last >= 0);
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    int e = umn__ndis_oid(world_nic_guid(0), NdisRequestQueryInformation, OID_GEN_VENDOR_ID,
                          &buffer, &length, &status);
    CHECK(e || status != NDIS_STATUS_SUCCESS);
    umn__ndis_rebind(NULL);
    umn__ndis_shutdown();
    settle(50);
    for (int i = last + 1; log_at(i); i++)
        CHECK(strncmp(log_at(i), "nic0.", 5) != 0);
}

/* ---- IM-MST-14: a pause around what changes the stack. There are no filter modules yet: a second
 * protocol comes and goes.
 * --------------------------------------------------------------------------- */
static struct {
    bool stop, busy;
    uint64_t sent;
    struct bnd *b;
} sender;
static void keep_sending(void *arg)
{
    uint8_t f[64];
    frame(f, mac_other, mac_other, 0x88b5);
    for (unsigned i = 0; !sender.stop && i < 300; i++) {
        if (!proto_send(sender.b, f, 60, 1))
            break;
        sender.sent++;
        if (i % 4 == 3)
            settle(1);
    }
    sender.busy = false;
}

CONF(im_mst_14_second_protocol_comes_and_goes_under_traffic, NULL, 0)
{
    memset(&sender, 0, sizeof sender);
    stack_up();
    CHECK_OK();
    sender.b = proto_on(0, world_nic_guid(0));
    CHECK(sender.b != NULL);
    log_clear();
    sender.busy = true;
    struct umn_ctx *thread = in_thread(keep_sending, NULL);
    settle(3);
    bind_1(NULL);
    settle(3);
    int binds = log_count("tproto1.bind \\");
    bool around = log_in_order("tproto0.event 8", "nic0.pause", "tproto1.bind \\", "nic0.restart",
                               "tproto0.event 9", NULL);
    log_clear();
    umn__netcfg_unbind("tproto1", world_nic_guid(0));
    settle(3);
    bool around_unbind = log_in_order("tproto0.event 8", "nic0.pause", "tproto1.unbind \\",
                                      "nic0.restart", "tproto0.event 9", NULL);
    sender.stop = true;
    join(thread);
    settle(10);
    CHECK(thread != NULL);
    CHECK_EQ(binds, 1);
    CHECK(around);
    CHECK(around_unbind);
    CHECK(sender.sent > 0);
    CHECK_EQ(sender.b->completed, sender.sent); /* none lost */
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
}

/* Question 26: not for filters and multicast lists. */
CONF(im_mst_14_no_pause_for_filters, NULL, 0)
{
    static uint8_t list[6] = {0x01, 0, 0x5e, 0, 0, 1};
    ULONG filter = NDIS_PACKET_TYPE_PROMISCUOUS;
    stack_up();
    CHECK_OK();
    struct bnd *b = proto_on(0, world_nic_guid(0));
    CHECK(b != NULL);
    log_clear();
    CHECK_EQ(
        proto_oid(b, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &filter, 4, NULL),
        NDIS_STATUS_SUCCESS);
    CHECK_EQ(proto_oid(b, NdisRequestSetInformation, OID_802_3_MULTICAST_LIST, list, 6, NULL),
             NDIS_STATUS_SUCCESS);
    settle(20);
    CHECK_EQ(nics[0].packet_filter, filter);
    CHECK_EQ(nics[0].multicast_count, 1);
    CHECK_LOGGED("nic0.pause", 0);
    CHECK_LOGGED("nic0.restart", 0);
    CHECK_LOGGED("tproto0.event", 0);
}
