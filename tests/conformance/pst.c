/* SPDX-License-Identifier: MIT */
/*
 * Group PST: the states of a protocol binding, the library's side with the scripted protocol, the
 * intermediate driver's lower edge with the real MUX. Binding tproto1 to the NIC pauses and
 * restarts the stack below the MUX; while that bind is pended the lower stack stays paused.
 */
#include "stacks.h"
#include "world_private.h"
#include "ndis/data.h"

static struct mux_stack s;
static uint8_t wire[64];

static void bind_1_to_nic(void *arg)
{
    umn__netcfg_bind("tproto1", world_nic_guid(0));
    log_event("bound");
}

/* tproto0 and tproto1 loaded, tproto0 on nic 0. */
static void plain_stack(void)
{
    world_proto(0);
    world_proto(1);
    world_nic(true);
    CHECK_OK();
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
}

static void mux_up(void)
{
    mux_stack(&s);
    world_proto(1);
    frame(wire, mac_broadcast, mac_other, 0x88b5);
}

/* ---- IM-PST-01: a model of the states
 * ----------------------------------------------------------------- */
static const char *const binding_legal[] = {
    "Unbound Opening",
    "Opening Paused",
    "Opening Unbound",
    "Paused Restarting",
    "Restarting Running",
    "Restarting Paused",
    "Running Pausing",
    "Pausing Paused",
    "Paused Closing",
    "Closing Unbound",
    NULL,
};

static void one_operation(unsigned k)
{
    const char *id = world_nic_instance(0), *guid = world_nic_guid(0);
    struct bnd *b;
    switch (k % 8) {
    case 0:
        umn__pnp_remove_device(id);
        umn__pnp_start_device(id, NULL);
        break;
    case 1:
        umn__netcfg_unbind("tproto0", guid);
        break;
    case 2:
        umn__ndis_settings.async_open = k & 16;
        umn__netcfg_bind("tproto0", guid);
        break;
    case 3:
        proto_script.veto_event = k & 16 ? NetEventRestart : (NET_PNP_EVENT_CODE)-1;
        umn__netcfg_bind("tproto1", guid);
        proto_script.veto_event = (NET_PNP_EVENT_CODE)-1;
        break;
    case 4:
        umn__netcfg_unbind("tproto1", guid);
        break;
    case 5:
        b = proto_on(0, guid);
        if (b)
            NdisUnbindAdapter(b->handle);
        settle(5);
        NdisReEnumerateProtocolBindings(protos[0].handle);
        break;
    case 6:
        proto_script.bind_status = k & 16 ? NDIS_STATUS_FAILURE : NDIS_STATUS_SUCCESS;
        NdisReEnumerateProtocolBindings(protos[0].handle);
        proto_script.bind_status = NDIS_STATUS_SUCCESS;
        break;
    default:
        umn__ndis_settings.async_close = k & 16;
        break;
    }
    settle(5);
}

CONF(im_pst_01_random_operations_make_legal_transitions_only, NULL, CONF_SLOW)
{
    unsigned turn = (unsigned)conf_seed() * 2654435761u + 777;
    bool seen[16] = {false};
    plain_stack();
    CHECK_OK();
    one_operation(3 + 16); /* a restart that fails, at least once */
    for (unsigned i = 0; i < 60; i++)
        one_operation((turn = turn * 1664525u + 1013904223u) >> 10);
    settle(20);
    unsigned bad = check_transitions("binding.state", binding_legal, seen);
    CHECK_EQ(bad, 0);
    /* Opening -> Unbound is an open that fails; those leave no binding to have a state here. */
    for (unsigned i = 0; binding_legal[i]; i++)
        CHECK(seen[i] || i == 2);
}

static void pull(void *arg)
{
    for (unsigned i = 0; i < 6; i++) {
        umn__netcfg_bind("tproto1", world_nic_guid(0));
        umn__netcfg_unbind("tproto1", world_nic_guid(0));
    }
}

CONF(im_pst_01_concurrent_operations_make_legal_transitions_only, NULL, 0)
{
    bool seen[16] = {false};
    plain_stack();
    CHECK_OK();
    struct umn_ctx *other = in_thread(pull, NULL);
    for (unsigned i = 0; i < 4; i++) {
        umn__netcfg_unbind("tproto0", world_nic_guid(0));
        umn__netcfg_bind("tproto0", world_nic_guid(0));
    }
    join(other);
    settle(20);
    CHECK_EQ(check_transitions("binding.state", binding_legal, seen), 0);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
    CHECK_STR(binding_state(world_nic_guid(0), "tproto1"), "");
}

CONF(im_pst_01_failed_restart_leaves_it_paused, NULL, 0)
{
    uint8_t f[64];
    plain_stack();
    CHECK_OK();
    struct bnd *b = proto_on(0, world_nic_guid(0));
    CHECK(b != NULL);
    proto_script.veto_event = NetEventRestart;
    bind_1_to_nic(NULL);
    settle(10);
    proto_script.veto_event = (NET_PNP_EVENT_CODE)-1;
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Paused");
    CHECK_STR(binding_state(world_nic_guid(0), "tproto1"), "Paused");
    CHECK(proto_send(b, f, frame(f, mac_other, mac_other, 0x88b5), 1));
    CHECK_EQ(b->last_send_status, NDIS_STATUS_PAUSED);
    CHECK_EQ(nics[0].sends, 0);
    CHECK_EQ(umn__netcfg_unbind("tproto1", world_nic_guid(0)), 0); /* restarts the stack again */
    settle(10);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
}

/* ---- IM-PST-02: the events' buffers
 * ---------------------------------------------------------------------- */
static struct {
    unsigned pauses, restarts, null_restarts, bad;
    NDIS_OBJECT_HEADER pause, restart;
    ULONG pause_length, restart_length, reason;
    NET_IFINDEX index;
    bool restart_without_null;
} buffers;

static void look_at_buffers(struct bnd *b, NET_PNP_EVENT *e)
{
    if (!b)
        return;
    if (e->NetEvent == NetEventPause) {
        NDIS_PROTOCOL_PAUSE_PARAMETERS *p = e->Buffer;
        buffers.pauses++;
        if (!p)
            return;
        buffers.pause = p->Header;
        buffers.pause_length = e->BufferLength;
        buffers.reason = p->PauseReason;
    } else if (e->NetEvent == NetEventRestart) {
        NDIS_PROTOCOL_RESTART_PARAMETERS *p = e->Buffer;
        buffers.restarts++;
        if (!p) {
            buffers.null_restarts++;
            buffers.bad += e->BufferLength != 0;
            return;
        }
        buffers.restart = p->Header;
        buffers.restart_length = e->BufferLength;
        buffers.index = p->BoundIfIndex;
    }
}

CONF(im_pst_02_buffers_of_pause_and_restart, NULL, 0)
{
    plain_stack();
    CHECK_OK();
    memset(&buffers, 0, sizeof buffers);
    proto_script.on_event = look_at_buffers;
    bind_1_to_nic(NULL);
    settle(10);
    CHECK_EQ(buffers.pauses, 1);
    CHECK_EQ(buffers.pause.Type, NDIS_OBJECT_TYPE_DEFAULT);
    CHECK_EQ(buffers.pause.Revision, NDIS_PROTOCOL_PAUSE_PARAMETERS_REVISION_1);
    CHECK_EQ(buffers.pause.Size, NDIS_SIZEOF_PROTOCOL_PAUSE_PARAMETERS_REVISION_1);
    CHECK_EQ(buffers.pause_length, NDIS_SIZEOF_PROTOCOL_PAUSE_PARAMETERS_REVISION_1);
    CHECK_EQ(buffers.reason, NDIS_PAUSE_NDIS_INTERNAL);
    CHECK_EQ(buffers.restarts, 2); /* both bindings */
    if (buffers.null_restarts)
        return; /* memory was short: below */
    CHECK_EQ(buffers.restart.Type, NDIS_OBJECT_TYPE_PROTOCOL_RESTART_PARAMETERS);
    CHECK_EQ(buffers.restart.Revision, NDIS_PROTOCOL_RESTART_PARAMETERS_REVISION_1);
    CHECK_EQ(buffers.restart.Size, NDIS_SIZEOF_PROTOCOL_RESTART_PARAMETERS_REVISION_1);
    CHECK(buffers.restart_length >= NDIS_SIZEOF_PROTOCOL_RESTART_PARAMETERS_REVISION_1);
    CHECK_EQ(buffers.index, nics[0].init.IfIndex);
}

/* NDIS has no memory for the attributes: they are unchanged, and the restart goes on without. */
CONF(im_pst_02_null_buffer_means_unchanged, NULL, CONF_NO_SWEEP)
{
    plain_stack();
    CHECK_OK();
    memset(&buffers, 0, sizeof buffers);
    proto_script.on_event = look_at_buffers;
    bool injected = true;
    for (unsigned nth = 1; injected && !buffers.null_restarts; nth++) {
        plat_fail_alloc_at(nth);
        umn__netcfg_bind("tproto1", world_nic_guid(0));
        injected = plat_alloc_failed();
        plat_fail_alloc_at(0);
        settle(5);
        umn__netcfg_unbind("tproto1", world_nic_guid(0));
        settle(5);
    }
    CHECK(buffers.null_restarts > 0);
    CHECK_EQ(buffers.bad, 0); /* with length 0 */
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
    CHECK_EQ(ndis__adapter_find(world_nic_guid(0))->mtu, 1500);
}

/* ---- IM-PST-03: the MUX in NetEventPause
 * -------------------------------------------------------------------- */
static int pauses_over(void)
{
    char text[32];
    snprintf(text, sizeof text, "mux.event.end %d ", (int)NetEventPause);
    return log_count(text);
}

CONF(im_pst_03_pause_lasts_as_long_as_its_sends, "IM-PST-05", 0)
{
    mux_up();
    CHECK_OK();
    nic_script.hold_sends = true;
    bool ready = proto_send(s.top, wire, 60, 3) && s.nic->held_sends;
    log_clear();
    struct umn_ctx *binder = in_thread(bind_1_to_nic, NULL);
    settle(200);
    char during[32], upper[32];
    snprintf(during, sizeof during, "%s", binding_state(world_nic_guid(0), "mux"));
    snprintf(upper, sizeof upper, "%s", adapter_state(s.guid));
    int over = pauses_over();
    uint64_t below = s.nic->sends, back = s.top->completed;
    /* No new send begins: it comes back at once. */
    bool sent = proto_send(s.top, wire, 60, 2);
    uint64_t refused = s.top->completed - back;
    NDIS_STATUS status = s.top->last_send_status;
    below = s.nic->sends - below;
    nic_script.hold_sends = false;
    log_event("completing");
    nic_complete_sends(s.nic, NDIS_STATUS_SUCCESS);
    join(binder);
    settle(10);
    CHECK(ready && sent);
    CHECK_STR(during, "Pausing");
    CHECK_STR(upper, "Running"); /* the virtual miniport knows nothing of it */
    CHECK_EQ(over, 0);
    CHECK_EQ(refused, 2);
    CHECK_EQ(status, NDIS_STATUS_PAUSED);
    CHECK_EQ(below, 0);
    CHECK(
        log_in_order("mux.event 8", "completing", "mux.event.end 8 00000000", "nic0.pause", NULL));
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
    CHECK_EQ(s.top->completed, 5);
}

CONF(im_pst_03_pause_without_sends_ends_at_once, NULL, 0)
{
    mux_up();
    CHECK_OK();
    log_clear();
    bind_1_to_nic(NULL);
    settle(5);
    CHECK_EQ(pauses_over(), 1);
    CHECK_LOGGED("mux.event.end 8 00000000", 1);
}

/* ---- IM-PST-04: receives while Pausing or Paused
 * ---------------------------------------------------------------- */
CONF(im_pst_04_receives_while_pausing_come_back_at_once, NULL, 0)
{
    mux_up();
    CHECK_OK();
    proto_script.hold_rx = true;  /* what reached it would stay there */
    nic_script.hold_sends = true; /* keeps the event going */
    bool ready = proto_send(s.top, wire, 60, 1) && s.nic->held_sends;
    struct umn_ctx *binder = in_thread(bind_1_to_nic, NULL);
    settle(50);
    bool pausing = !strcmp(binding_state(world_nic_guid(0), "mux"), "Pausing");
    uint64_t returned = s.nic->returns, received = s.top->received;
    bool indicated = pausing && nic_indicate(s.nic, wire, 60, 4, 0);
    uint64_t back = s.nic->returns - returned; /* before the call has returned */
    bool lent = pausing && nic_indicate(s.nic, wire, 60, 2, NDIS_RECEIVE_FLAGS_RESOURCES);
    received = s.top->received - received;
    proto_script.hold_rx = nic_script.hold_sends = false;
    nic_complete_sends(s.nic, NDIS_STATUS_SUCCESS);
    proto_return(s.top);
    join(binder);
    settle(10);
    CHECK(ready && pausing && indicated && lent);
    CHECK_EQ(back, 4);
    CHECK_EQ(received, 0);
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running"); /* the pause below got through */
}

/* Paused: NDIS lets nothing through, so the handler is called by hand. */
CONF(im_pst_04_receives_while_paused_come_back_at_once, NULL, 0)
{
    mux_up();
    CHECK_OK();
    proto_script.hold_rx = true;
    proto_script.pend_bind = true;
    struct umn_ctx *binder = in_thread(bind_1_to_nic, NULL);
    settle(20);
    struct ndis_binding *b = lower_binding("mux", world_nic_guid(0));
    bool paused = b && b->state == NDIS_BINDING_PAUSED;
    uint64_t returned = s.nic->returns, received = s.top->received;
    NET_BUFFER_LIST *nbl = paused ? world_make_frame(s.nic->pool, wire, 60) : NULL;
    if (nbl) {
        nbl->SourceHandle = s.nic->handle;
        ndis__nbl_tail(nbl)->received = 1; /* as if NDIS had taken it from the NIC */
        s.nic->outstanding_rx++;
        ndis__out_add(&b->rx_out, 1);
        ndis__out_add(&b->adapter->rx_out, 1);
        b->protocol->chars.ReceiveNetBufferListsHandler(b->context, nbl, NDIS_DEFAULT_PORT_NUMBER,
                                                        1, 0);
    }
    returned = s.nic->returns - returned;
    received = s.top->received - received;
    struct bnd *pended = proto_on(1, world_nic_guid(0));
    proto_script.pend_bind = proto_script.hold_rx = false;
    if (pended && !pended->bind_over)
        proto_complete_bind(pended, NDIS_STATUS_SUCCESS);
    proto_return(s.top);
    join(binder);
    settle(10);
    CHECK(paused && nbl);
    CHECK_EQ(returned, 1);
    CHECK_EQ(received, 0);
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
}

/* Receives that the NIC indicates as soon as its restart has begun, before the MUX is told. */
static void indicate_early(struct nic *n, NDIS_MINIPORT_RESTART_PARAMETERS *p)
{
    nic_indicate(n, wire, 60, 2, 0);
}

CONF(im_pst_04_receives_while_restarting_come_back, NULL, 0)
{
    mux_up();
    CHECK_OK();
    uint64_t returned = s.nic->returns, received = s.top->received;
    nic_script.on_restart = indicate_early;
    bind_1_to_nic(NULL);
    settle(10);
    nic_script.on_restart = NULL;
    CHECK_EQ(s.nic->outstanding_rx, 0);
    CHECK_EQ(s.nic->returns - returned, 2);
    CHECK_EQ(s.top->received, received);
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
}

/* ---- IM-PST-05: sends while the lower stack is paused
 * --------------------------------------------------------------- */
CONF(im_pst_05_sends_over_a_paused_lower_stack_come_back, NULL, 0)
{
    mux_up();
    CHECK_OK();
    proto_script.pend_bind = true;
    struct umn_ctx *binder = in_thread(bind_1_to_nic, NULL);
    settle(20);
    bool paused = !strcmp(adapter_state(world_nic_guid(0)), "Paused");
    char upper[32];
    snprintf(upper, sizeof upper, "%s", adapter_state(s.guid));
    uint64_t below = s.nic->sends;
    bool sent = paused && proto_send(s.top, wire, 60, 5);
    settle(5);
    uint64_t back = s.top->completed;
    NDIS_STATUS status = s.top->last_send_status;
    struct bnd *pended = proto_on(1, world_nic_guid(0));
    proto_script.pend_bind = false;
    if (pended && !pended->bind_over)
        proto_complete_bind(pended, NDIS_STATUS_SUCCESS);
    join(binder);
    settle(10);
    CHECK(paused && sent);
    CHECK_STR(upper, "Running");
    /* Question 21: completed with an error, not held. */
    CHECK_EQ(back, 5);
    CHECK_EQ(status, NDIS_STATUS_PAUSED);
    CHECK_EQ(s.nic->sends, below);
    CHECK(proto_send(s.top, wire, 60, 2)); /* none is stuck, and it goes on */
    settle(5);
    CHECK_EQ(s.nic->sends, below + 2);
    CHECK_EQ(s.top->completed, 7);
    CHECK_EQ(s.top->last_send_status, NDIS_STATUS_SUCCESS);
}

static struct {
    bool stop;
    uint64_t sent, sent_while_down;
} sender;
static void keep_sending(void *arg)
{
    for (unsigned i = 0; !sender.stop && i < 300; i++) {
        if (!proto_send(s.top, wire, 60, 1))
            break;
        sender.sent++;
        if (i % 4 == 3)
            settle(1);
    }
}

/* NDIS reports a send on a binding that is closed; one that comes while it is paused it refuses.
 * Neither must be what the MUX relies on: it sends nothing then. */
CONF(im_pst_05_no_send_is_passed_on_while_the_stack_pauses_and_restarts, "IM-PST-03", 0)
{
    memset(&sender, 0, sizeof sender);
    mux_up();
    CHECK_OK();
    struct umn_ctx *thread = in_thread(keep_sending, NULL);
    settle(2);
    for (unsigned i = 0; i < 4; i++) {
        umn__netcfg_bind("tproto1", world_nic_guid(0));
        settle(1);
        umn__netcfg_unbind("tproto1", world_nic_guid(0));
        settle(1);
    }
    sender.stop = true;
    join(thread);
    settle(10);
    CHECK(sender.sent > 0);
    CHECK_EQ(s.top->completed, sender.sent);
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
}

/* ---- IM-PST-06: what a restart changes
 * -------------------------------------------------------------------------------- */
static void other_attributes(struct nic *n, NDIS_MINIPORT_RESTART_PARAMETERS *p)
{
    if (!p->RestartAttributes)
        return;
    NDIS_RESTART_GENERAL_ATTRIBUTES *g = (void *)p->RestartAttributes->Data;
    g->MtuSize = 1300;
    g->LookaheadSize = 1300;
    g->MaxXmitLinkSpeed = 2500000000ull;
    g->DataBackFillSize = 64;
}

CONF(im_pst_06_virtual_miniport_follows_after_its_own_restart, NULL, 0)
{
    mux_up();
    CHECK_OK();
    struct ndis_adapter *a = ndis__adapter_find(s.guid),
                        *nic = ndis__adapter_find(world_nic_guid(0));
    CHECK(a && nic);
    ULONG backfill = a->attr.general.DataBackFillSize;
    unsigned oids = spy.oids, queries = spy.queries;
    nic_script.on_restart = other_attributes;
    bind_1_to_nic(NULL);
    settle(10);
    nic_script.on_restart = NULL;
    CHECK_EQ(nic->mtu, 1300);
    umn__netcfg_bind("tproto1", s.guid); /* the virtual miniport restarts */
    settle(10);
    CHECK_EQ(a->mtu, 1300);
    CHECK_EQ(a->attr.general.LookaheadSize, 1300);
    CHECK_EQ(a->attr.general.MaxXmitLinkSpeed, 2500000000ull);
    CHECK_EQ(a->attr.general.DataBackFillSize, backfill + 64);
    CHECK_EQ(spy.queries, queries); /* not asked for again */
    CHECK(spy.oids >= oids);
    /* A new virtual miniport starts with them. */
    struct mux_stack more = {0};
    mux_stack_vm(&more);
    CHECK_OK();
    CHECK_EQ(more.top->params.MtuSize, 1300);
    CHECK_EQ(more.top->params.LookaheadSize, 1300);
}
