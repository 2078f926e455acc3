/* SPDX-License-Identifier: MIT */
/* Group UNB, the library's part: order of an unbind, NdisCloseAdapterEx, NdisUnbindAdapter. */
#include "stacks.h"
#include "ndis/control.h"

/* tproto0 bound to nic 0 and running. */
static struct bnd *bound(void)
{
    world_proto(0);
    world_nic(true);
    if (conf_failed())
        return NULL;
    world_bind("tproto0", world_nic_guid(0));
    settle(10);
    struct bnd *b = proto_on(0, world_nic_guid(0));
    if (!b)
        conf_fail(__FILE__, __LINE__, "tproto0 is not bound");
    return b;
}

static void unbind_nic(void *arg)
{
    umn__netcfg_unbind("tproto0", world_nic_guid(0));
    log_event("unbound");
}

/* ---- IM-UNB-01: paused before
 * ------------------------------------------------------------------------ */
static char state_at_unbind[32];
static bool event_before_unbind, running_at_unbind;

static void note_unbind(struct bnd *b)
{
    char event[40];
    snprintf(event, sizeof event, "tproto0.event %d ", (int)NetEventPause);
    event_before_unbind = log_count(event) == 1;
    running_at_unbind = b->running;
    snprintf(state_at_unbind, sizeof state_at_unbind, "%s",
             binding_state(world_nic_guid(0), "tproto0"));
}

static void check_paused_first(int (*act)(void))
{
    event_before_unbind = false;
    state_at_unbind[0] = 0;
    running_at_unbind = true;
    proto_script.on_unbind = note_unbind;
    bound();
    CHECK_OK();
    log_clear();
    CHECK_EQ(act(), 0);
    settle(20);
    CHECK_LOGGED("tproto0.unbind \\", 1);
    CHECK(strstr(log_at(log_find("tproto0.unbind \\", 0)), "irql 0") != NULL);
    CHECK(event_before_unbind);
    CHECK(!running_at_unbind);
    CHECK_STR(state_at_unbind, "Paused");
    CHECK(log_in_order("tproto0.event 8", "tproto0.unbind \\", "tproto0.unbind.end", NULL));
}

static int by_linkage(void)
{
    return umn__netcfg_unbind("tproto0", world_nic_guid(0));
}
static int by_removal(void)
{
    return umn__pnp_remove_device(world_nic_instance(0));
}
static int by_surprise(void)
{
    return umn__pnp_surprise_remove(world_nic_instance(0));
}
static int by_unload(void)
{
    return umn__netcfg_unload("tproto0");
}
static int by_request(void)
{
    return NdisUnbindAdapter(proto_on(0, world_nic_guid(0))->handle);
}

CONF(im_unb_01_paused_before_unbind_by_linkage, NULL, 0)
{
    check_paused_first(by_linkage);
}
CONF(im_unb_01_paused_before_unbind_by_removal, NULL, 0)
{
    check_paused_first(by_removal);
}
CONF(im_unb_01_paused_before_unbind_by_surprise_removal, NULL, 0)
{
    check_paused_first(by_surprise);
}
CONF(im_unb_01_paused_before_unbind_by_unload, NULL, 0)
{
    check_paused_first(by_unload);
}
CONF(im_unb_01_paused_before_unbind_by_the_driver, "IM-UNB-11", 0)
{
    check_paused_first(by_request);
}

/* ---- IM-UNB-02: completing an unbind
 * -------------------------------------------------------------------- */
static void complete_high(void *arg)
{
    proto_complete_unbind(arg);
}

CONF(im_unb_02_pended_unbind_lasts_until_completed_at_dispatch, NULL, 0)
{
    conf_expect("ST-09");
    proto_script.pend_unbind = true;
    struct bnd *b = bound();
    CHECK_OK();
    struct umn_ctx *unbinder = in_thread(unbind_nic, NULL);
    settle(50);
    NDIS_HANDLE context = b->unbind_context;
    int early = log_count("unbound");
    bool called = log_count("tproto0.unbind \\") == 1 && context;
    if (called)
        at_dispatch(complete_high, b);
    join(unbinder);
    CHECK(called);
    CHECK_EQ(early, 0);
    CHECK_EQ(umn__report_count_rule("ST-09"), 0);
    CHECK(log_in_order("tproto0.unbind \\", "tproto0.unbind.end", "unbound", NULL));
    NdisCompleteUnbindAdapterEx(context); /* dead by now */
    CHECK_EQ(umn__report_count_rule("ST-09"), 1);
    CHECK_LOGGED("tproto0.unbind \\", 1);
}

static NDIS_HANDLE twice;
static void complete_twice(void *arg)
{
    proto_complete_unbind(arg);
    NdisCompleteUnbindAdapterEx(twice);
}

CONF(im_unb_02_second_completion_at_once_is_reported, NULL, 0)
{
    conf_expect("ST-09");
    proto_script.pend_unbind = true;
    struct bnd *b = bound();
    CHECK_OK();
    struct umn_ctx *unbinder = in_thread(unbind_nic, NULL);
    settle(50);
    twice = b->unbind_context;
    if (twice)
        at_dispatch(complete_twice, b);
    join(unbinder);
    CHECK(twice != NULL);
    CHECK_EQ(umn__report_count_rule("ST-09"), 1);
    CHECK_LOGGED("unbound", 1);
}

static NDIS_STATUS NTAPI FailingUnbind(NDIS_HANDLE unbind, NDIS_HANDLE context)
{
    struct bnd *b = context;
    b->open = b->bound = b->used = false;
    NdisFreeNetBufferListPool(b->pool);
    NdisCloseAdapterEx(b->handle);
    return NDIS_STATUS_FAILURE;
}
static void failing_unbind(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *c)
{
    c->UnbindAdapterHandlerEx = FailingUnbind;
}

CONF(im_unb_02_unbind_cannot_fail, NULL, CONF_NO_SWEEP)
{
    conf_expect("ST-18");
    proto_script.characteristics = failing_unbind;
    bound();
    CHECK_OK();
    CHECK_EQ(umn__netcfg_unbind("tproto0", world_nic_guid(0)), 0);
    CHECK_EQ(umn__report_count_rule("ST-18"), 1);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "");
}

/* ---- IM-UNB-03: where a close may be called
 * ---------------------------------------------------------------- */
static NDIS_STATUS close_in_event;
static void close_on_reconfigure(struct bnd *b, NET_PNP_EVENT *e)
{
    if (b && e->NetEvent == NetEventReconfigure)
        close_in_event = NdisCloseAdapterEx(b->handle);
}

CONF(im_unb_03_close_elsewhere_is_refused, NULL, 0)
{
    conf_expect("IM-UNB-03");
    struct bnd *b = bound();
    CHECK_OK();
    CHECK_EQ(NdisCloseAdapterEx(b->handle), NDIS_STATUS_FAILURE);
    CHECK_EQ(umn__report_count_rule("IM-UNB-03"), 1);
    close_in_event = NDIS_STATUS_SUCCESS;
    proto_script.on_event = close_on_reconfigure;
    CHECK_EQ(umn__ndis_reconfigure("tproto0", world_nic_guid(0), NULL, 0, NULL), 0);
    CHECK_EQ(close_in_event, NDIS_STATUS_FAILURE);
    CHECK_EQ(umn__report_count_rule("IM-UNB-03"), 2);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
    /* NdisUnbindAdapter is what works there. */
    CHECK_EQ(NdisUnbindAdapter(b->handle), NDIS_STATUS_SUCCESS);
    settle(20);
    CHECK_LOGGED("tproto0.unbind \\", 1);
    CHECK_EQ(umn__report_count_rule("IM-UNB-03"), 2);
}

/* ---- IM-UNB-06: when a close completes
 * ------------------------------------------------------------------------ */
CONF(im_unb_06_nothing_outstanding_closes_at_once, NULL, 0)
{
    struct bnd *b = bound();
    CHECK_OK();
    CHECK_EQ(umn__netcfg_unbind("tproto0", world_nic_guid(0)), 0);
    CHECK_EQ(b->close_status, NDIS_STATUS_SUCCESS);
    CHECK_LOGGED("tproto0.close.complete", 0);
}

CONF(im_unb_06_pended_close_completes_once_at_passive, NULL, 0)
{
    umn__ndis_settings.async_close = true;
    struct bnd *b = bound();
    CHECK_OK();
    CHECK_EQ(umn__netcfg_unbind("tproto0", world_nic_guid(0)), 0);
    settle(20);
    CHECK_EQ(b->close_status, NDIS_STATUS_PENDING);
    CHECK_LOGGED("tproto0.close.complete", 1);
    CHECK_LOGGED("tproto0.close.complete irql 0", 1);
    CHECK(log_in_order("tproto0.unbind \\", "tproto0.close.complete", "tproto0.unbind.end", NULL));
}

static void leave_request(struct bnd *b)
{
    static ULONG id;
    if (conf_failed()) /* nobody would complete it */
        return;
    nic_script.hold_oids = true;
    b->close_status = 1;
    proto_oid_async(b, NdisRequestQueryInformation, 0xff010203, &id, 4, NULL, 0);
}

/* The driver may not close then (IM-UNB-05), and is told so; the close waits all the same. */
CONF(im_unb_06_close_waits_for_requests, "IM-UNB-05", 0)
{
    conf_expect("ST-07");
    proto_script.on_unbind = leave_request;
    struct bnd *b = bound();
    CHECK_OK();
    struct nic *n = nic_by_guid(world_nic_guid(0));
    CHECK(n != NULL);
    struct umn_ctx *unbinder = in_thread(unbind_nic, NULL);
    settle(50);
    bool held = n->held_oid != NULL;
    int early = log_count("tproto0.close.complete") + log_count("unbound");
    NDIS_STATUS status = b->close_status;
    nic_script.hold_oids = false;
    log_event("completing");
    nic_complete_oid(n, NDIS_STATUS_FAILURE);
    join(unbinder);
    CHECK(held);
    /* It may also wait inside the call: NDIS takes the binding's filter back behind that request.
     */
    CHECK(status == NDIS_STATUS_PENDING || status == 1);
    CHECK_EQ(early, 0);
    CHECK_EQ(b->last_oid_status, NDIS_STATUS_FAILURE);
    CHECK_EQ(log_count("tproto0.close.complete"), b->close_status == NDIS_STATUS_PENDING);
    CHECK(log_in_order("tproto0.unbind \\", "completing", "tproto0.oid.complete c0000001",
                       "tproto0.unbind.end", "unbound", NULL));
}

/*
 * A pause comes before each unbind and waits for every receive, so that a well-behaved stack has
 * none when it closes. What the close itself waits for is tested with counts made by hand.
 */
static void owe_receives(struct bnd *b)
{
    struct ndis_binding *binding = b->handle;
    if (conf_failed())
        return;
    ndis__out_add(&binding->rx_out, 2);
    twice = binding;
}

CONF(im_unb_06_close_waits_for_receives, NULL, 0)
{
    proto_script.on_unbind = owe_receives;
    twice = NULL;
    struct bnd *b = bound();
    CHECK_OK();
    struct umn_ctx *unbinder = in_thread(unbind_nic, NULL);
    settle(50);
    struct ndis_binding *binding = twice;
    int before = log_count("tproto0.close.complete");
    NDIS_STATUS status = b->close_status;
    if (binding)
        ndis__out_sub(&binding->rx_out, 1);
    settle(50);
    int half = log_count("tproto0.close.complete");
    log_event("last");
    if (binding)
        ndis__out_sub(&binding->rx_out, 1);
    join(unbinder);
    CHECK(binding != NULL);
    CHECK_EQ(status, NDIS_STATUS_PENDING);
    CHECK_EQ(before, 0);
    CHECK_EQ(half, 0);
    CHECK_LOGGED("tproto0.close.complete irql 0", 1);
    CHECK(log_in_order("last", "tproto0.close.complete", "unbound", NULL));
}

/* ---- IM-UNB-07: the handle dies with the call of the close
 * -------------------------------------------------------- */
static NDIS_STATUS oid_after_close, unbind_after_close;
static void use_dead_handle(struct bnd *b)
{
    ULONG id = 0;
    oid_after_close = proto_oid(b, NdisRequestQueryInformation, OID_GEN_VENDOR_ID, &id, 4, NULL);
    unbind_after_close = NdisCloseAdapterEx(b->handle);
}

CONF(im_unb_07_handle_is_dead_in_close_complete, NULL, 0)
{
    expect_dead_handles();
    umn__ndis_settings.async_close = true;
    oid_after_close = unbind_after_close = NDIS_STATUS_SUCCESS;
    proto_script.on_close_complete = use_dead_handle;
    bound();
    CHECK_OK();
    unsigned oids = nics[0].oids;
    CHECK_EQ(umn__netcfg_unbind("tproto0", world_nic_guid(0)), 0);
    settle(20);
    CHECK_LOGGED("tproto0.close.complete", 1);
    CHECK(oid_after_close != NDIS_STATUS_SUCCESS);
    CHECK(unbind_after_close != NDIS_STATUS_SUCCESS);
    CHECK_EQ(dead_handles(), 2);
    CHECK_EQ(nics[0].last_oid, OID_GEN_CURRENT_PACKET_FILTER);
    CHECK(nics[0].oids <= oids + 1); /* NDIS takes the filter back; nothing else came through */
}

CONF(im_unb_07_handle_is_dead_after_the_unbind, NULL, CONF_NO_SWEEP)
{
    expect_dead_handles();
    struct bnd *b = bound();
    CHECK_OK();
    struct bnd copy = *b;
    ULONG id = 0;
    CHECK_EQ(umn__netcfg_unbind("tproto0", world_nic_guid(0)), 0);
    CHECK(proto_oid(&copy, NdisRequestQueryInformation, OID_GEN_VENDOR_ID, &id, 4, NULL) !=
          NDIS_STATUS_SUCCESS);
    CHECK_EQ(dead_handles(), 1);
    NdisCancelSendNetBufferLists(copy.handle, &copy);
    CHECK_EQ(dead_handles(), 2);
    NdisCancelOidRequest(copy.handle, &copy);
    CHECK_EQ(dead_handles(), 3);
    NdisSendNetBufferLists(copy.handle, NULL, NDIS_DEFAULT_PORT_NUMBER, 0);
    CHECK_EQ(dead_handles(), 4);
}

/* ---- IM-UNB-11: NdisUnbindAdapter
 * ---------------------------------------------------------------------------------- */
static NDIS_STATUS asked;
static uint32_t unbind_ctx;
static uint8_t unbind_irql;

static void ask_high(void *arg)
{
    asked = NdisUnbindAdapter(((struct bnd *)arg)->handle);
}
static void note_context(struct bnd *b)
{
    unbind_ctx = umn__ctx_id(umn__ctx_self());
    unbind_irql = umn__irql();
}

CONF(im_unb_11_at_dispatch_only_schedules, NULL, 0)
{
    unbind_ctx = 0;
    unbind_irql = 99;
    proto_script.on_unbind = note_context;
    struct bnd *b = bound();
    CHECK_OK();
    at_dispatch(ask_high, b);
    CHECK_EQ(asked, NDIS_STATUS_SUCCESS);
    settle(20);
    CHECK_LOGGED("tproto0.unbind \\", 1);
    CHECK(unbind_ctx && unbind_ctx != umn__ctx_id(umn__ctx_self()));
    CHECK_EQ(unbind_irql, 0);
    CHECK_LOGGED("nic0.restart", 2 + 1); /* alone; with the binding; after the unbind */
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "");
}

static void ask_while_closing(struct bnd *b)
{
    asked = NdisUnbindAdapter(b->handle);
}

CONF(im_unb_11_while_closing_no_second_callback, NULL, 0)
{
    asked = NDIS_STATUS_FAILURE;
    proto_script.on_unbind = ask_while_closing;
    bound();
    CHECK_OK();
    CHECK_EQ(umn__netcfg_unbind("tproto0", world_nic_guid(0)), 0);
    settle(50);
    CHECK_EQ(asked, NDIS_STATUS_SUCCESS);
    CHECK_LOGGED("tproto0.unbind \\", 1);
}

CONF(im_unb_11_asked_twice_unbinds_once, NULL, 0)
{
    struct bnd *b = bound();
    CHECK_OK();
    NDIS_HANDLE handle = b->handle;
    struct ndis_binding *binding = handle;
    umn__lock(&ndis.lock); /* the memory stays: a driver has a lock of its own for this */
    ndis__binding_get(binding);
    umn__unlock(&ndis.lock);
    ndis__op_begin(binding->adapter, "test"); /* the unbind cannot begin in between */
    NDIS_STATUS first = NdisUnbindAdapter(handle), second = NdisUnbindAdapter(handle);
    ndis__op_end(binding->adapter);
    settle(50);
    int unbinds = log_count("tproto0.unbind \\");
    ndis__binding_put(binding);
    CHECK_EQ(first, NDIS_STATUS_SUCCESS);
    CHECK_EQ(second, NDIS_STATUS_SUCCESS);
    CHECK_EQ(unbinds, 1);
}

CONF(im_unb_11_no_memory_is_resources, NULL, CONF_NO_SWEEP)
{
    struct bnd *b = bound();
    CHECK_OK();
    plat_fail_alloc_at(1);
    NDIS_STATUS status = NdisUnbindAdapter(b->handle);
    plat_fail_alloc_at(0);
    settle(50);
    CHECK_EQ(status, NDIS_STATUS_RESOURCES);
    CHECK_LOGGED("tproto0.unbind", 0);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
    CHECK_EQ(NdisUnbindAdapter(b->handle), NDIS_STATUS_SUCCESS); /* it can be asked again */
    settle(20);
    CHECK_LOGGED("tproto0.unbind \\", 1);
}
