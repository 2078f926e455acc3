/* SPDX-License-Identifier: MIT */
/*
 * Bind, open, close and unbind, pause and restart, events, status, shutdown, and the reports of
 * what a driver does wrong there. The world is tests/unit/ndis_world.h.
 */
#include "ndis_world.h"

/* ---- bind and close
 * -------------------------------------------------------------------------------------- */

/* IM-MST-14, IM-BND-15: a protocol that comes later, one that goes, one that asks again. */
static void late_protocols(void)
{
    struct bound *b;

    one_nic();
    BIND("pb", 1);
    CHECK(load("pa", PaEntry, &pa_driver));
    logged("pause:1 bind:pa:1 restart:1 restart:pa:1 binds::0 ");
    CHECK(load("pb", PbEntry, &pb_driver));
    logged("pause:pa:1 pause:1 bind:pb:1 restart:1 restart:pa:1 restart:pb:1 binds::0 ");
    EQ(umn__ndis_rebind("pb"), 0);
    NdisReEnumerateProtocolBindings(pb_handle);
    logged("");
    BIND("pb", 7);
    EQ(umn__ndis_rebind("pb"), 0);
    logged("pause:pa:1 pause:pb:1 pause:1 unbind:pb:1 restart:1 restart:pa:1 ");
    BIND("pb", 1);
    NdisReEnumerateProtocolBindings(pb_handle);
    logged("pause:pa:1 pause:1 bind:pb:1 restart:1 restart:pa:1 restart:pb:1 ");
    EQ(umn__ndis_rebind("nobody"), UMN_ENOENT);
    b = bound_to(&pb_proto, 1); /* IM-UNB-11 */
    EQ(NdisUnbindAdapter(b->handle), NDIS_STATUS_SUCCESS);
    EQ(NdisUnbindAdapter(b->handle), NDIS_STATUS_SUCCESS);
    for (int i = 0; i < 50 && bound_to(&pb_proto, 1); i++)
        umn__park(umn__now() + 1000, "test", NULL);
    CHECK(!bound_to(&pb_proto, 1));
    EQ(count("unbind:pb:1"), 1);
    *log_text = 0;
    unload(&pa_driver); /* IM-UNL-03 */
    logged("pause:pa:1 pause:1 unbind:pa:1 restart:1 ");
}

static void test_late_protocols(void **state)
{
    run_clean(late_protocols);
}

/* IM-BND-08, -11: failing binds leave nothing. */
static void bind_fails(void)
{
    script.bind = NDIS_STATUS_RESOURCES;
    one_nic();
    CHECK(load("pa", PaEntry, &pa_driver));
    logged("pause:1 bind:pa:1 restart:1 binds::0 ");
    CHECK(umn_list_empty(&ndis__adapter_find(name_of(1))->bindings));
    script.bind = NDIS_STATUS_SUCCESS;
    NdisReEnumerateProtocolBindings(pa_handle);
    logged("pause:1 bind:pa:1 restart:1 restart:pa:1 ");
}

static void test_bind_fails(void **state)
{
    run_clean(bind_fails);
}

static void bind_leaves_open(void)
{
    script.bind = NDIS_STATUS_RESOURCES;
    script.bind_leaves_open = true;
    one_nic();
    CHECK(load("pa", PaEntry, &pa_driver));
    CHECK(umn_list_empty(&ndis__adapter_find(name_of(1))->bindings));
}

static void unbind_leaves_open(void)
{
    script.no_close = true;
    one_nic();
    CHECK(load("pa", PaEntry, &pa_driver));
}

static void test_left_open(void **state)
{
    run_reported(bind_leaves_open, "IM-UNB-03", 1);
    run_reported(unbind_leaves_open, "IM-UNB-03", 1);
}

/* IM-BND-04: outside the bind; IM-BND-05: wrong names and media; IM-UNB-03, -07. */
static void wrong_opens(NDIS_HANDLE context, NDIS_BIND_PARAMETERS *p)
{
    NDIS_MEDIUM medium = NdisMedium802_5;
    UINT index;
    NDIS_HANDLE handle;
    WCHAR w[100];
    UNICODE_STRING name;
    NDIS_OPEN_PARAMETERS o = {
        .Header = {NDIS_OBJECT_TYPE_OPEN_PARAMETERS, 1, sizeof o},
        .AdapterName = p->AdapterName,
        .MediumArray = &medium,
        .MediumArraySize = 1,
        .SelectedMediumIndex = &index,
    };

    EQ(NdisOpenAdapterEx(pa_handle, &o, &o, context, &handle), NDIS_STATUS_UNSUPPORTED_MEDIA);
    medium = NdisMedium802_3;
    us(&name, w, "\\Device\\{00000009-0000-0000-0000-000000000000}");
    o.AdapterName = &name;
    EQ(NdisOpenAdapterEx(pa_handle, &o, &o, context, &handle), NDIS_STATUS_ADAPTER_NOT_FOUND);
}

static void open_elsewhere(void *arg)
{
    struct bound *b = arg;
    NDIS_OPEN_PARAMETERS o = {0};
    NDIS_HANDLE handle;

    EQ(NdisOpenAdapterEx(pa_handle, b, &o, b->bind_context, &handle), NDIS_STATUS_FAILURE);
}

static void open_table(void)
{
    struct bound *b;

    script.in_bind = wrong_opens;
    one_nic();
    CHECK(load("pa", PaEntry, &pa_driver));
    b = bound_to(&pa_proto, 1);
    CHECK(b != NULL);
    open_elsewhere(b); /* after the bind */
}

static void test_open_table(void **state)
{
    run_reported(open_table, "IM-BND-04", 1);
}

static void close_elsewhere(void)
{
    one_nic();
    CHECK(load("pa", PaEntry, &pa_driver));
    EQ(NdisCloseAdapterEx(bound_to(&pa_proto, 1)->handle), NDIS_STATUS_FAILURE);
}

static void test_close_elsewhere(void **state)
{
    run_reported(close_elsewhere, "IM-UNB-03", 1);
}

/* IM-BND-06, -07, -09, IM-UNB-02, -06: everything asynchronous. */
static void bind_completer(void *arg)
{
    while (umn_list_empty(&bounds) ||
           !umn_container_of(last_bound, struct bound, link)->bind_context)
        umn__park(umn__now() + 1000, "test", NULL);
    note("complete-bind ");
    NdisCompleteBindAdapterEx(umn_container_of(last_bound, struct bound, link)->bind_context,
                              NDIS_STATUS_SUCCESS);
}

static void unbind_completer(void *arg)
{
    struct bound *b = arg;

    while (!b->unbind_context)
        umn__park(umn__now() + 1000, "test", NULL);
    KeWaitForSingleObject(&b->closed, Executive, KernelMode, FALSE, NULL);
    note("complete-unbind ");
    NdisCompleteUnbindAdapterEx(b->unbind_context);
    bound_free(b);
}

static void everything_pends(void)
{
    struct umn_ctx *ctx;

    script.pend_bind = script.pend_unbind = true;
    umn__ndis_settings.async_open = umn__ndis_settings.async_close = true;
    one_nic();
    CHECK(umn__ctx_spawn(&ctx, bind_completer, NULL, "completer") == 0);
    CHECK(load("pa", PaEntry, &pa_driver));
    umn__ctx_join(ctx);
    logged("pause:1 bind:pa:1 opened:pa:1 complete-bind restart:1 restart:pa:1 binds::0 ");
    CHECK(umn__ctx_spawn(&ctx, unbind_completer, bound_to(&pa_proto, 1), "completer") == 0);
    unload(&pa_driver);
    umn__ctx_join(ctx);
    logged("pause:pa:1 pause:1 unbind:pa:1 closed:pa:1 complete-unbind restart:1 ");
}

static void test_everything_pends(void **state)
{
    run_clean(everything_pends);
}

/* IM-UNB-06: a held receive makes the close pend until it is back. */
static void returner(void *arg)
{
    struct ndis_binding *b = arg;

    while (!b->close_called)
        umn__park(umn__now() + 1000, "test", NULL);
    for (int i = 0; i < 10; i++)
        umn__park(umn__now() + 1000, "test", NULL);
    EQ(count("closed:"), 0);
    note("return ");
    ndis__out_sub(&b->rx_out, 1);
}

static void close_waits(void)
{
    struct umn_ctx *ctx;
    struct ndis_binding *b;

    one_nic();
    CHECK(load("pa", PaEntry, &pa_driver));
    b = bound_to(&pa_proto, 1)->handle;
    ndis__out_add(&b->rx_out, 1);
    CHECK(umn__ctx_spawn(&ctx, returner, b, "returner") == 0);
    *log_text = 0;
    unload(&pa_driver);
    umn__ctx_join(ctx);
    logged("pause:pa:1 pause:1 unbind:pa:1 return closed:pa:1 restart:1 ");
}

static void test_close_waits(void **state)
{
    run_clean(close_waits);
}

/* ---- pause, restart, events, status
 * ------------------------------------------------------------------------- */

static void pause_completer(void *arg)
{
    struct ndis_adapter *a = mps[1].handle;

    for (int i = 0; i < 2; i++) {
        while (!a->pause_pending && !a->restart_pending)
            umn__park(umn__now() + 1000, "test", NULL);
        note("complete ");
        if (a->pause_pending)
            NdisMPauseComplete(a);
        else
            NdisMRestartComplete(a, NDIS_STATUS_SUCCESS);
        while (i == 0 && a->pause_pending)
            umn__park(umn__now() + 1000, "test", NULL);
    }
}

/* IM-MST-07, IM-MST-10. */
static void pended_pause(void)
{
    struct umn_ctx *ctx;

    one_nic();
    script.pend_pause = script.pend_restart = true;
    script.mtu = 9000;
    CHECK(umn__ctx_spawn(&ctx, pause_completer, NULL, "completer") == 0);
    CHECK(load("pa", PaEntry, &pa_driver));
    umn__ctx_join(ctx);
    script.pend_pause = script.pend_restart = false;
    logged("pause:1 complete bind:pa:1 restart:1 complete restart:pa:1 binds::0 ");
    EQ(((struct ndis_adapter *)mps[1].handle)->mtu, 9000);
    EQ(umn__report_count(), 0);
    NdisMPauseComplete(mps[1].handle); /* nothing pends: 0x7C / 0x1F */
    NdisMRestartComplete(mps[1].handle, NDIS_STATUS_SUCCESS);
}

static void test_pended_pause(void **state)
{
    run_reported(pended_pause, "ILLEGAL_MINIPORT_STATE_TRANSITION", 2);
}

static void event_completer(void *arg)
{
    while (!pended_event)
        umn__park(umn__now() + 1000, "test", NULL);
    note("complete ");
    script.pend_event = false;
    NdisCompleteNetPnPEvent(bound_to(&pa_proto, 1)->handle, pended_event, NDIS_STATUS_SUCCESS);
}

/* IM-EVT-01, -03, -04, -10. */
static void events(void)
{
    NET_PNP_EVENT_NOTIFICATION e = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, 1, sizeof e},
        .NetPnPEvent = {.NetEvent = NetEventQueryRemoveDevice},
    };
    struct umn_ctx *ctx;
    NDIS_STATUS status;

    script.vms[0] = 100;
    mux_world();
    BIND("pa", 100, 1);
    add(100, mux_driver);
    EQ(start(100), STATUS_SUCCESS);
    umn__ndis_rebind("pa");
    *log_text = 0;
    EQ(NdisMNetPnPEvent(mps[100].handle, &e), NDIS_STATUS_SUCCESS);
    script.veto = NDIS_STATUS_RESOURCES;
    EQ(NdisMNetPnPEvent(mps[100].handle, &e), NDIS_STATUS_RESOURCES);
    e.NetPnPEvent.NetEvent = NetEventCancelRemoveDevice;
    EQ(NdisMNetPnPEvent(mps[100].handle, &e), NDIS_STATUS_SUCCESS);
    logged("qremove:pa:100 qremove:pa:100 cremove:pa:100 ");
    script.pend_event = true;
    CHECK(umn__ctx_spawn(&ctx, event_completer, NULL, "completer") == 0);
    EQ(umn__ndis_reconfigure("pa", name_of(1), "x", 1, &status), 0);
    EQ(status, NDIS_STATUS_SUCCESS);
    umn__ctx_join(ctx);
    EQ(umn__ndis_reconfigure("pa", NULL, NULL, 0, &status), 0);
    logged("reconf:pa:1 complete reconf::0 ");
    EQ(umn__ndis_reconfigure("pa", name_of(7), NULL, 0, NULL), UMN_ENOENT);
    EQ(umn__ndis_reconfigure("nobody", NULL, NULL, 0, NULL), UMN_ENOENT);
    EQ(umn__report_count(), 0);
    e.NetPnPEvent.NetEvent = NetEventSetPower; /* a plain miniport may not */
    EQ(NdisMNetPnPEvent(mps[1].handle, &e), NDIS_STATUS_INVALID_PARAMETER);
    e.NetPnPEvent.NetEvent = NetEventPause; /* nobody may */
    EQ(NdisMNetPnPEvent(mps[100].handle, &e), NDIS_STATUS_INVALID_PARAMETER);
}

static void test_events(void **state)
{
    run_reported(events, "ILLEGAL_NET_PNP_EVENT", 2);
}

/* IM-STS-02, IM-UNB-08, NDIS_STATUS_OPER_STATUS. */
static void status(void)
{
    NDIS_LINK_STATE now;

    one_nic();
    BIND("pb", 1);
    CHECK(load("pa", PaEntry, &pa_driver));
    CHECK(load("pb", PbEntry, &pb_driver));
    *log_text = 0;
    link_state(mps[1].handle, MediaConnectStateDisconnected, NULL);
    logged("status:pa:1:17 status:pb:1:17 status:pa:1:23 status:pb:1:23 ");
    link_state(mps[1].handle, MediaConnectStateDisconnected, bound_to(&pb_proto, 1)->handle);
    logged("status:pb:1:17 ");
    ndis__status_current(mps[1].handle, &now);
    EQ(now.MediaConnectState, MediaConnectStateDisconnected);
    EQ(now.XmitLinkSpeed, 77);
    unload(&pb_driver);
    *log_text = 0;
    link_state(mps[1].handle, MediaConnectStateConnected, NULL);
    logged("status:pa:1:17 status:pa:1:23 ");
}

static void test_status(void **state)
{
    run_clean(status);
}

static void shutdown_test(void)
{
    script.vms[0] = 100;
    mux_world();
    add(100, mux_driver);
    start(100);
    *log_text = 0;
    umn__ndis_shutdown();
    logged("shutdown:100 shutdown:1 ");
    umn__ndis_shutdown();
    logged("");
    init_calls = halt_calls = 0; /* nobody is halted any more: IM-MST-13 */
    mps[1].up = mps[100].up = false;
}

static void test_shutdown(void **state)
{
    run_clean(shutdown_test);
}

/* IM-PNP-07: NdisMRemoveMiniport. */
static void remove_miniport(void)
{
    one_nic();
    CHECK(load("pa", PaEntry, &pa_driver));
    *log_text = 0;
    EQ(NdisMRemoveMiniport(mps[1].handle), NDIS_STATUS_SUCCESS);
    for (int i = 0; i < 50 && !count("halt"); i++)
        umn__park(umn__now() + 1000, "test", NULL);
    logged("pause:pa:1 pause:1 unbind:pa:1 halt:1:4 ");
}

static void test_remove_miniport(void **state)
{
    run_clean(remove_miniport);
}

/* ST-08, ST-13, ST-14, ST-06: handles that have died, requests that are left, completions too many.
 */
static void stale_binding(void)
{
    NDIS_HANDLE handle;

    one_nic();
    CHECK(load("pa", PaEntry, &pa_driver));
    handle = bound_to(&pa_proto, 1)->handle;
    unload(&pa_driver);
    NdisCloseAdapterEx(handle);
}

static void stale_adapter(void)
{
    NDIS_HANDLE handle;

    one_nic();
    handle = mps[1].handle;
    irp(1, IRP_MN_STOP_DEVICE);
    link_state(handle, MediaConnectStateDisconnected, NULL);
    gone(1);
    link_state(handle, MediaConnectStateDisconnected, NULL);
}

static void request_left(void)
{
    script.vms[0] = 100;
    mux_world();
    script.vms[0] = 0; /* it forgets what it asked for */
    gone(1);
}

static void too_many(void)
{
    script.twice = true;
    one_nic();
    gone(1);
    script.twice = false;
}

static void test_rules(void **state)
{
    run_reported(stale_binding, "ST-08", 1);
    run_reported(stale_adapter, "ST-13", 2);
    run_reported(request_left, "ST-14", 2); /* at the unbind, and when the driver goes */
    run_reported(too_many, "ST-06", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_protocols),  cmocka_unit_test(test_bind_fails),
        cmocka_unit_test(test_left_open),       cmocka_unit_test(test_open_table),
        cmocka_unit_test(test_close_elsewhere), cmocka_unit_test(test_everything_pends),
        cmocka_unit_test(test_close_waits),     cmocka_unit_test(test_pended_pause),
        cmocka_unit_test(test_events),          cmocka_unit_test(test_status),
        cmocka_unit_test(test_shutdown),        cmocka_unit_test(test_remove_miniport),
        cmocka_unit_test(test_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
