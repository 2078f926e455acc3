/* SPDX-License-Identifier: MIT */
/*
 * Group MST, the intermediate driver's part: pause, restart, halt and shutdown of the real MUX's
 * virtual miniports. A second protocol that binds to one pauses and restarts it.
 */
#include "stacks.h"
#include "ndis/data.h"

static struct mux_stack s;
static uint8_t wire[64];

static void bind_1(void *arg)
{
    umn__netcfg_bind("tproto1", s.guid);
    log_event("bound");
}

static void stack_up(void)
{
    mux_stack(&s);
    world_proto(1);
    frame(wire, mac_broadcast, mac_other, 0x88b5);
}

/* Entries that start with `prefix` and end with the status, of all that start with it. */
static int logged_status(const char *prefix, NDIS_STATUS status)
{
    char text[16];
    int n = 0;
    snprintf(text, sizeof text, " %08x", (unsigned)status);
    for (int i = 0; log_at(i); i++)
        n += !strncmp(log_at(i), prefix, strlen(prefix)) && strstr(log_at(i), text);
    return n;
}

/* tproto waits for its sends in NetEventPause, as it must. */
static void wait_for_sends(struct bnd *b, NET_PNP_EVENT *e)
{
    if (b && b == s.top && e->NetEvent == NetEventPause)
        while (s.nic->held_sends)
            settle(1);
}

/* ---- IM-MST-03: a pause cannot fail
 * ------------------------------------------------------------------- */
static unsigned fail_in_pause, pauses, bad_pauses, allocations;
static void no_memory(void)
{
    plat_fail_alloc_at(fail_in_pause);
}
static void memory_again(NDIS_STATUS status)
{
    pauses++;
    allocations += plat_alloc_failed();
    bad_pauses += status != NDIS_STATUS_SUCCESS && status != NDIS_STATUS_PENDING;
    plat_fail_alloc_at(0);
}

static void pause_without_memory(bool traffic)
{
    pauses = bad_pauses = 0;
    stack_up();
    CHECK_OK();
    proto_script.hold_rx = traffic;
    for (fail_in_pause = 1; fail_in_pause <= 3; fail_in_pause++) {
        if (traffic)
            CHECK(nic_indicate(s.nic, wire, 60, 2, 0));
        settle(5);
        spy.in_pause = no_memory;
        spy.after_pause = memory_again;
        struct umn_ctx *binder = in_thread(bind_1, NULL);
        settle(50);
        spy.in_pause = NULL;
        spy.after_pause = NULL;
        proto_return(s.top); /* what kept it pending */
        join(binder);
        settle(10);
        CHECK_EQ(pauses, fail_in_pause);
        CHECK_STR(binding_state(s.guid, "tproto1"), "Running");
        CHECK_EQ(umn__netcfg_unbind("tproto1", s.guid), 0);
        settle(10);
        CHECK_STR(adapter_state(s.guid), "Running");
    }
    CHECK_EQ(bad_pauses, 0);
    CHECK_EQ(log_count("mux.pause.end"), logged_status("mux.pause.end", NDIS_STATUS_SUCCESS) +
                                             logged_status("mux.pause.end", NDIS_STATUS_PENDING));
    CHECK(strstr(log_at(log_find("mux.pause \\", 0)), "irql 0") != NULL);
    if (traffic)
        CHECK(logged_status("mux.pause.end", NDIS_STATUS_PENDING) > 0);
}

CONF(im_mst_03_pause_without_memory, NULL, CONF_NO_SWEEP)
{
    pause_without_memory(false);
}
CONF(im_mst_03_pause_without_memory_with_receives_out, "IM-MST-04", CONF_NO_SWEEP)
{
    pause_without_memory(true);
}

/* ---- IM-MST-04: what a pause waits for
 * ------------------------------------------------------------------- */
static void held_both(bool send_first)
{
    stack_up();
    CHECK_OK();
    proto_script.on_event = wait_for_sends;
    proto_script.hold_rx = nic_script.hold_sends = true;
    bool ready = proto_send(s.top, wire, 60, 1) && nic_indicate(s.nic, wire, 60, 1, 0);
    settle(5);
    ready = ready && s.nic->held_sends && s.top->held_rx;
    log_clear();
    struct umn_ctx *binder = in_thread(bind_1, NULL);
    settle(50);
    int with_both = log_count("tproto1.bind") + !strcmp(adapter_state(s.guid), "Paused");
    proto_script.hold_rx = nic_script.hold_sends = false;
    if (send_first)
        nic_complete_sends(s.nic, NDIS_STATUS_SUCCESS);
    else
        proto_return(s.top);
    settle(50);
    int with_one = log_count("tproto1.bind") + !strcmp(adapter_state(s.guid), "Paused");
    char state[32];
    snprintf(state, sizeof state, "%s", adapter_state(s.guid));
    int pended = logged_status("mux.pause.end", NDIS_STATUS_PENDING);
    nic_complete_sends(s.nic, NDIS_STATUS_SUCCESS);
    proto_return(s.top);
    join(binder);
    settle(10);
    CHECK(ready);
    CHECK_EQ(with_both, 0);
    CHECK_EQ(with_one, 0);
    if (send_first) { /* the MUX's own pause is what waits for the receive */
        CHECK_STR(state, "Pausing");
        CHECK_EQ(pended, 1);
    }
    CHECK_LOGGED("tproto1.bind \\", 1);
    CHECK_STR(adapter_state(s.guid), "Running");
    CHECK_EQ(s.top->completed, 1);
    CHECK_EQ(s.nic->outstanding_rx, 0);
}

CONF(im_mst_04_send_back_then_receive_back, NULL, 0)
{
    held_both(true);
}
CONF(im_mst_04_receive_back_then_send_back, NULL, 0)
{
    held_both(false);
}

static char state_after_indication[32];
static bool indication_over;
static void linger(struct bnd *b, NET_BUFFER_LIST *nbls, uint32_t flags)
{
    if (b != s.top || indication_over)
        return;
    settle(100);
    snprintf(state_after_indication, sizeof state_after_indication, "%s", adapter_state(s.guid));
    log_event("indication over");
    indication_over = true;
}
static void indicate(void *arg)
{
    nic_indicate(s.nic, wire, 60, 1, *(uint32_t *)arg);
}

static void pause_during_indication(uint32_t flags)
{
    indication_over = false;
    state_after_indication[0] = 0;
    stack_up();
    CHECK_OK();
    proto_script.on_receive = linger;
    struct umn_ctx *receiver = in_thread(indicate, &flags);
    settle(5);
    log_clear();
    bind_1(NULL); /* pauses the virtual miniport while the indication is under way */
    join(receiver);
    settle(10);
    CHECK(indication_over);
    CHECK(strcmp(state_after_indication, "Paused") != 0);
    CHECK(log_in_order("indication over", "tproto1.bind \\", NULL));
    CHECK_STR(adapter_state(s.guid), "Running");
}

CONF(im_mst_04_pause_waits_for_the_indication, NULL, 0)
{
    pause_during_indication(0);
}
CONF(im_mst_04_pause_waits_for_the_lent_indication, NULL, 0)
{
    pause_during_indication(NDIS_RECEIVE_FLAGS_RESOURCES);
}

/* ---- IM-MST-05, -06: Pausing and Paused
 * -------------------------------------------------------------------- */
/* NDIS itself stops sends before the pause; question 19 lets the handler be called all the same.
 * The gate is opened by hand for that. */
static void send_through_gate(uint64_t *below, uint64_t *back, NDIS_STATUS *status)
{
    struct ndis_binding *b = lower_binding("tproto0", s.guid);
    uint64_t sends = s.nic->sends, completed = s.top->completed;
    if (!b)
        return;
    s.top->last_send_status = NDIS_STATUS_SUCCESS;
    ndis__gate_open(&b->tx_gate);
    bool sent = proto_send(s.top, wire, 60, 2);
    *back = sent ? s.top->completed - completed : 0; /* at once */
    ndis__gate_close(&b->tx_gate);
    *below = s.nic->sends - sends;
    *status = s.top->last_send_status;
}

CONF(im_mst_05_send_while_paused_is_completed_with_paused, "IM-MST-06", 0)
{
    uint64_t below = 0, back = 0;
    ULONG id = 0;
    NDIS_STATUS status = 0, oid = 0;
    stack_up();
    CHECK_OK();
    proto_script.pend_bind = true; /* keeps it Paused */
    struct umn_ctx *binder = in_thread(bind_1, NULL);
    settle(20);
    char state[32];
    snprintf(state, sizeof state, "%s", adapter_state(s.guid));
    bool paused = !strcmp(state, "Paused");
    uint64_t received = s.top->received, returned = s.nic->returns;
    bool indicated = false;
    int statuses = log_count("tproto0.status");
    if (paused) {
        send_through_gate(&below, &back, &status);
        indicated = nic_indicate(s.nic, wire, 60, 3, 0);
        oid = proto_oid(s.top, NdisRequestQueryInformation, OID_GEN_VENDOR_ID, &id, 4, NULL);
        nic_link(s.nic, false);
        settle(5);
    }
    statuses = log_count("tproto0.status") - statuses;
    uint64_t came = s.top->received - received, went = s.nic->returns - returned;
    struct bnd *pended = proto_on(1, s.guid);
    proto_script.pend_bind = false;
    if (pended && !pended->bind_over)
        proto_complete_bind(pended, NDIS_STATUS_SUCCESS);
    join(binder);
    settle(10);
    CHECK_STR(state, "Paused");
    CHECK_EQ(back, 2);
    CHECK_EQ(status, NDIS_STATUS_PAUSED);
    CHECK_EQ(below, 0);
    CHECK(indicated);
    CHECK_EQ(came, 0); /* no data is indicated, and the NIC has it back */
    CHECK_EQ(went, 3);
    CHECK_EQ(oid, NDIS_STATUS_SUCCESS);
    CHECK(statuses > 0); /* it may */
    CHECK_STR(adapter_state(s.guid), "Running");
}

CONF(im_mst_05_send_while_pausing_is_completed_with_paused, NULL, 0)
{
    uint64_t below = 0, back = 0;
    NDIS_STATUS status = 0;
    stack_up();
    CHECK_OK();
    proto_script.hold_rx = true;
    bool held = nic_indicate(s.nic, wire, 60, 1, 0) && s.top->held_rx;
    struct umn_ctx *binder = in_thread(bind_1, NULL);
    settle(20);
    char state[32];
    snprintf(state, sizeof state, "%s", adapter_state(s.guid));
    if (held && !strcmp(state, "Pausing"))
        send_through_gate(&below, &back, &status);
    proto_script.hold_rx = false;
    proto_return(s.top);
    join(binder);
    settle(10);
    CHECK(held);
    CHECK_STR(state, "Pausing");
    CHECK_EQ(back, 2);
    CHECK_EQ(status, NDIS_STATUS_PAUSED);
    CHECK_EQ(below, 0);
    CHECK_STR(adapter_state(s.guid), "Running");
}

CONF(im_mst_06_requests_are_served_in_each_state, NULL, 0)
{
    char desc[128];
    stack_up();
    CHECK_OK();
    proto_script.pend_bind = true;
    struct umn_ctx *binder = in_thread(bind_1, NULL);
    settle(20);
    bool paused = !strcmp(adapter_state(s.guid), "Paused");
    /* One that the MUX answers, one that goes below. */
    NDIS_STATUS own = proto_oid(s.top, NdisRequestQueryInformation, OID_GEN_VENDOR_DESCRIPTION,
                                desc, sizeof desc, NULL);
    unsigned before = s.nic->oids;
    NDIS_STATUS forwarded =
        proto_oid(s.top, NdisRequestQueryInformation, 0xff010203, desc, sizeof desc, NULL);
    unsigned went = s.nic->oids - before;
    struct bnd *pended = proto_on(1, s.guid);
    proto_script.pend_bind = false;
    if (pended && !pended->bind_over)
        proto_complete_bind(pended, NDIS_STATUS_SUCCESS);
    join(binder);
    CHECK(paused);
    CHECK_EQ(own, NDIS_STATUS_SUCCESS);
    CHECK_EQ(forwarded, NDIS_STATUS_NOT_SUPPORTED); /* the NIC's answer */
    CHECK_EQ(went, 1);
}

/* ---- IM-MST-09, -10: restart
 * ---------------------------------------------------------------------------------- */
CONF(im_mst_09_restart_without_memory, NULL, CONF_NO_SWEEP)
{
    stack_up();
    CHECK_OK();
    for (unsigned nth = 1; nth < 60; nth++) {
        log_clear();
        plat_fail_alloc_at(nth);
        umn__netcfg_bind("tproto1", s.guid);
        bool injected = plat_alloc_failed();
        plat_fail_alloc_at(0);
        settle(10);
        int good = logged_status("mux.restart.end", NDIS_STATUS_SUCCESS);
        int may = good + logged_status("mux.restart.end", NDIS_STATUS_RESOURCES) +
                  logged_status("mux.restart.end", NDIS_STATUS_FAILURE) +
                  logged_status("mux.restart.end", NDIS_STATUS_PENDING);
        CHECK_EQ(log_count("mux.restart.end"), may);
        if (log_count("mux.restart \\"))
            CHECK(strstr(log_at(log_find("mux.restart \\", 0)), "irql 0") != NULL);
        const char *state = adapter_state(s.guid);
        CHECK(!strcmp(state, "Running") || !strcmp(state, "Paused"));
        umn__netcfg_unbind("tproto1", s.guid); /* a later restart works */
        settle(10);
        CHECK_STR(binding_state(s.guid, "tproto1"), "");
        if (log_count("mux.restart \\"))
            CHECK_STR(adapter_state(s.guid), "Running");
        if (!injected)
            break;
    }
}

static ULONG mtu_seen;
static unsigned restarts_seen, null_buffers;
static void look_at_mtu(struct bnd *b, NET_PNP_EVENT *e)
{
    if (!b || e->NetEvent != NetEventRestart || !strstr(b->adapter, s.guid))
        return;
    restarts_seen++;
    NDIS_PROTOCOL_RESTART_PARAMETERS *p = e->Buffer;
    null_buffers += !p;
    for (NDIS_RESTART_ATTRIBUTES *a = p ? p->RestartAttributes : NULL; a; a = a->Next)
        if (a->Oid == OID_GEN_MINIPORT_RESTART_ATTRIBUTES)
            mtu_seen = ((NDIS_RESTART_GENERAL_ATTRIBUTES *)(void *)a->Data)->MtuSize;
}
static void smaller_mtu(struct nic *n, NDIS_MINIPORT_RESTART_PARAMETERS *p)
{
    if (p->RestartAttributes)
        ((NDIS_RESTART_GENERAL_ATTRIBUTES *)(void *)p->RestartAttributes->Data)->MtuSize = 1400;
}

CONF(im_mst_10_mux_hands_the_lower_mtu_on, "IM-PST-06", 0)
{
    mtu_seen = restarts_seen = null_buffers = 0;
    stack_up();
    CHECK_OK();
    unsigned queries = spy.queries;
    nic_script.on_restart = smaller_mtu;
    world_bind("tproto1", world_nic_guid(0)); /* the NIC restarts with another MTU */
    CHECK_OK();
    settle(10);
    nic_script.on_restart = NULL;
    struct ndis_adapter *nic = ndis__adapter_find(world_nic_guid(0));
    CHECK(nic && nic->mtu == 1400);
    size_t blocks = umn__pool_live();
    proto_script.on_event = look_at_mtu;
    bind_1(NULL); /* and so does the virtual miniport */
    settle(10);
    CHECK(restarts_seen >= 2);
    CHECK_EQ(null_buffers, 0);
    CHECK_EQ(mtu_seen, 1400);
    struct bnd *b = proto_on(1, s.guid);
    CHECK(b != NULL);
    CHECK_EQ(spy.queries, queries); /* learnt from the restart parameters, not asked for */
    CHECK_EQ(umn__netcfg_unbind("tproto1", s.guid), 0);
    settle(10);
    CHECK_EQ(umn__pool_live(), blocks); /* entries belong to NDIS; none was left */
    world_proto(2);
    world_bind("tproto2", s.guid);
    CHECK_OK();
    settle(10);
    b = proto_on(2, s.guid);
    CHECK(b != NULL);
    CHECK_EQ(b->params.MtuSize, 1400);
}

CONF(im_mst_10_no_attributes_change_nothing, NULL, 0)
{
    stack_up();
    CHECK_OK();
    struct ndis_adapter *a = ndis__adapter_find(s.guid);
    CHECK(a != NULL);
    uint32_t mtu = a->mtu;
    spy.no_attributes = true;
    bind_1(NULL);
    settle(10);
    CHECK_EQ(log_count("mux.restart.end"), logged_status("mux.restart.end", NDIS_STATUS_SUCCESS));
    CHECK_STR(binding_state(s.guid, "tproto1"), "Running");
    CHECK_EQ(a->mtu, mtu);
}

/* ---- IM-MST-12: no use of the handle after halt
 * ------------------------------------------------------------------ */
static bool storm_on;
static void status_storm(void *arg)
{
    for (unsigned i = 0; storm_on && i < 300; i++) {
        nic_link(s.nic, i & 1);
        if (i % 100 == 99) /* seldom: nobody else runs within a step of virtual time otherwise */
            settle(1);
    }
}

CONF(im_mst_12_status_storm_while_virtual_miniports_halt, NULL, 0)
{
    struct mux_stack more = {0};
    stack_up();
    CHECK_OK();
    mux_stack_vm(&more);
    CHECK_OK();
    storm_on = true;
    struct umn_ctx *storm = in_thread(status_storm, NULL);
    int e = umn__pnp_remove_device(s.id); /* a use of its handle from now on is reported */
    int e2 = umn__pnp_remove_device(more.id);
    storm_on = false;
    join(storm);
    CHECK_EQ(e, 0);
    CHECK_EQ(e2, 0);
    CHECK(log_count("mux.status") > 0);
    CHECK_LOGGED("mux.halt \\", 2);
}

static struct nic *halted;
CONF(im_mst_12_a_use_after_halt_is_reported, NULL, CONF_NO_SWEEP)
{
    expect_dead_handles();
    world_nic(true);
    CHECK_OK();
    halted = nic_by_guid(world_nic_guid(0));
    CHECK_EQ(umn__pnp_remove_device(world_nic_instance(0)), 0);
    nic_link(halted, false);
    CHECK_EQ(dead_handles(), 1);
    NdisMPauseComplete(halted->handle);
    CHECK_EQ(dead_handles(), 2);
}

/* ---- IM-MST-13: shutdown
 * --------------------------------------------------------------------------------------------- */
/* The machine would be off now. Here the box must still come down: what the drivers hold is given
 * back by a call that NDIS does not make any more. */
static void switched_off(void)
{
    for (unsigned pass = 0; pass < 2; pass++)
        umn_list_for_each (at, &ndis.adapters) {
            struct ndis_adapter *a = umn_container_of(at, struct ndis_adapter, link);
            if (a->state == NDIS_ADAPTER_SHUTDOWN && a->driver->intermediate == !pass)
                a->driver->chars.HaltHandlerEx(a->context, NdisHaltDeviceStopped);
        }
}

CONF(im_mst_13_one_shutdown_for_each_and_then_silence, NULL, CONF_NO_SEEDS)
{
    struct mux_stack more = {0};
    char entry[128];
    stack_up();
    CHECK_OK();
    mux_stack_vm(&more);
    CHECK_OK();
    log_clear();
    umn__ndis_shutdown();
    umn__ndis_shutdown(); /* once is enough */
    int calls = log_count("mux.shutdown"), nic_calls = log_count("nic0.shutdown");
    snprintf(entry, sizeof entry, "mux.shutdown \\Device\\%s action %d irql 0", s.guid,
             (int)NdisShutdownPowerOff);
    int first = log_count(entry);
    int upper = log_last("mux.shutdown"), lower = log_find("nic0.shutdown", 0);
    log_clear();
    /* What would lead to callbacks otherwise. */
    umn__netcfg_bind("tproto1", s.guid);
    umn__netcfg_bind("tproto1", world_nic_guid(0));
    umn__ndis_reconfigure("mux", world_nic_guid(0), NULL, 0, NULL);
    settle(50);
    int after = 0;
    for (int i = 0; log_at(i); i++)
        after += !strncmp(log_at(i), "mux.pause", 9) || !strncmp(log_at(i), "mux.halt", 8) ||
                 !strncmp(log_at(i), "mux.restart", 11) || !strncmp(log_at(i), "mux.pnp", 7) ||
                 !strncmp(log_at(i), "nic0.", 5);
    switched_off();
    CHECK_EQ(calls, 2); /* one for each virtual miniport */
    CHECK_EQ(first, 1);
    CHECK_EQ(nic_calls, 1);
    CHECK(upper < lower); /* from the top down */
    CHECK_EQ(after, 0);
}
