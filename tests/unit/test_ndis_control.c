/* SPDX-License-Identifier: MIT */
/*
 * The control path of the NDIS library: registration, PnP, virtual miniport requests, bind, close,
 * pause and restart, events, status, configuration, interfaces - in order, under many schedules, and
 * with every single allocation failing. tests/unit/ndis_world.h is the world.
 */
#include "ndis_world.h"

static void run_plain(void (*test)(void))
{
    size_t live = plat_alloc_live();

    world_reset();
    umn__report_reset();
    assert_int_equal(world_run(test, UMN_STRATEGY_FIFO, 0), 0);
    reg_free();
    if (*failure)
        fail_msg("%s", failure);
    assert_int_equal(init_calls, halt_calls);
    assert_int_equal(plat_alloc_live(), live);
}

/* No report at all. */
static void run_clean(void (*test)(void))
{
    run_plain(test);
    if (umn__report_count())
        fail_msg("%s: %s", umn__report_get(0)->rule, umn__report_get(0)->text);
}

/* Exactly these many reports, all of the rule. */
static void run_reported(void (*test)(void), const char *rule, unsigned times)
{
    umn__report_quiet(true);
    run_plain(test);
    umn__report_quiet(false);
    if (umn__report_count() != umn__report_count_rule(rule) || umn__report_count_rule(rule) != times)
        fail_msg("%u reports, %u of %s; first: %s", umn__report_count(),
                 umn__report_count_rule(rule), rule,
                 umn__report_get(0) ? umn__report_get(0)->text : "");
}

/* ---- registration -------------------------------------------------------------------------------- */

static DRIVER_OBJECT *reg_driver;
static void im_reg_04_table(void)
{
    static const struct {
        int size, type, revision;
        unsigned char major, minor;
        NDIS_STATUS want;
    } t[] = {
        { 0, 0, 0, 6, 30, NDIS_STATUS_SUCCESS },
        { -20, 0, 0, 6, 30, NDIS_STATUS_BAD_CHARACTERISTICS },
        { 0, 1, 0, 6, 30, NDIS_STATUS_BAD_CHARACTERISTICS },
        { 0, 0, -1, 6, 30, NDIS_STATUS_BAD_CHARACTERISTICS }, /* IM-POR-04 */
        { 0, 0, -1, 6, 0, NDIS_STATUS_SUCCESS },
        { 0, 0, 0, 7, 0, NDIS_STATUS_BAD_VERSION },
        { 0, 0, 0, 6, 19, NDIS_STATUS_BAD_VERSION },
        { 0, 0, 0, 6, 87, NDIS_STATUS_BAD_CHARACTERISTICS },
        { 0, 0, 1, 6, 87, NDIS_STATUS_SUCCESS },
        { 0, 0, 0, 5, 1, NDIS_STATUS_BAD_VERSION },
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        NDIS_MINIPORT_DRIVER_CHARACTERISTICS c = characteristics(30, 0, NicUnload);
        NDIS_HANDLE handle = NULL;

        c.Header.Size = (USHORT)(c.Header.Size + t[i].size);
        c.Header.Type = (UCHAR)(c.Header.Type + t[i].type);
        c.Header.Revision = (UCHAR)(c.Header.Revision + t[i].revision);
        c.MajorNdisVersion = t[i].major;
        c.MinorNdisVersion = t[i].minor;
        EQ(NdisMRegisterMiniportDriver(reg_driver, NULL, NULL, &c, &handle), t[i].want);
        if (t[i].want == NDIS_STATUS_SUCCESS)
            NdisMDeregisterMiniportDriver(handle);
    }
}

/* IM-REG-08: each required handler NULL in turn. */
static void im_reg_08_handlers(void)
{
    static const size_t required[] = {
#define H(m) offsetof(NDIS_MINIPORT_DRIVER_CHARACTERISTICS, m)
        H(InitializeHandlerEx), H(HaltHandlerEx), H(UnloadHandler), H(PauseHandler),
        H(RestartHandler), H(OidRequestHandler), H(SendNetBufferListsHandler),
        H(ReturnNetBufferListsHandler), H(CancelSendHandler), H(DevicePnPEventNotifyHandler),
        H(ShutdownHandlerEx), H(CancelOidRequestHandler),
#undef H
    };
    static const size_t protocol[] = {
#define H(m) offsetof(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, m)
        H(BindAdapterHandlerEx), H(UnbindAdapterHandlerEx), H(OpenAdapterCompleteHandlerEx),
        H(CloseAdapterCompleteHandlerEx), H(NetPnPEventHandler), H(OidRequestCompleteHandler),
        H(ReceiveNetBufferListsHandler), H(SendNetBufferListsCompleteHandler),
#undef H
    };
    NDIS_HANDLE handle;
    WCHAR w[40];

    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        NDIS_MINIPORT_DRIVER_CHARACTERISTICS c = characteristics(30, 0, NicUnload);
        *(void **)((char *)&c + required[i]) = NULL;
        EQ(NdisMRegisterMiniportDriver(reg_driver, NULL, NULL, &c, &handle),
           NDIS_STATUS_BAD_CHARACTERISTICS);
    }
    for (size_t i = 0; i < sizeof protocol / sizeof protocol[0]; i++) {
        NDIS_PROTOCOL_DRIVER_CHARACTERISTICS c = protocol_characteristics(30, "pa", w);
        *(void **)((char *)&c + protocol[i]) = NULL;
        EQ(NdisRegisterProtocolDriver(NULL, &c, &handle), NDIS_STATUS_BAD_CHARACTERISTICS);
    }
}

static NTSTATUS NTAPI RegEntry(DRIVER_OBJECT *Driver, UNICODE_STRING *Path)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS c = characteristics(30, NDIS_INTERMEDIATE_DRIVER, NicUnload);
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS p;
    NDIS_HANDLE handle;
    WCHAR w[40];

    reg_driver = Driver;
    im_reg_04_table();
    im_reg_08_handlers();
    c.Flags |= NDIS_WDM_DRIVER;
    EQ(NdisMRegisterMiniportDriver(Driver, Path, NULL, &c, &handle), NDIS_STATUS_BAD_CHARACTERISTICS);
    p = protocol_characteristics(30, "pa", w);
    p.MajorNdisVersion = 4;
    EQ(NdisRegisterProtocolDriver(NULL, &p, &handle), NDIS_STATUS_BAD_VERSION);
    p = protocol_characteristics(30, "pa", w);
    p.Name.Length = 0;
    EQ(NdisRegisterProtocolDriver(NULL, &p, &handle), NDIS_STATUS_BAD_CHARACTERISTICS);
    EQ(NdisGetVersion(), 6 << 16 | 87);
    return STATUS_UNSUCCESSFUL;
}

static void registration(void)
{
    DRIVER_OBJECT *driver;

    CHECK(!load("reg", RegEntry, &driver));
}

static void test_registration(void **state)
{
    run_clean(registration);
}

static NTSTATUS NTAPI LeakEntry(DRIVER_OBJECT *Driver, UNICODE_STRING *Path)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS c = characteristics(30, 0, NicUnload);
    NDIS_HANDLE handle;

    NdisMRegisterMiniportDriver(Driver, Path, NULL, &c, &handle);
    register_protocol(&pa_proto, 30);
    return STATUS_UNSUCCESSFUL;
}

static void leftovers(void)
{
    DRIVER_OBJECT *driver;

    CHECK(!load("leak", LeakEntry, &driver));
}

/* IM-REG-11: what a failed DriverEntry left registered is reported and taken back. */
static void test_leftovers(void **state)
{
    run_reported(leftovers, "ST-16", 2);
}

/* ---- an ordinary adapter ---------------------------------------------------------------------------- */

static void check_bind_parameters(NDIS_HANDLE context, NDIS_BIND_PARAMETERS *p)
{
    static const char section[] = "pa\\Parameters\\Adapters\\{00000001-0000-0000-0000-000000000000}";
    const struct ndis_adapter *a = ndis__adapter_find(name_of(1));

    EQ(p->Header.Type, NDIS_OBJECT_TYPE_BIND_PARAMETERS);
    EQ(p->Header.Revision, script.pa_minor >= 30 ? 4 : script.pa_minor >= 20 ? 3 : script.pa_minor ? 2 : 1);
    EQ(p->ProtocolSection->Length, 2 * strlen(section));
    for (size_t i = 0; i < strlen(section); i++)
        CHECK(p->ProtocolSection->Buffer[i] == (WCHAR)section[i]);
    EQ(p->MtuSize, 1500);
    EQ(p->XmitLinkSpeed, script.early_link ? 77 : 1000000000ull);
    EQ(p->MediaConnectState,
       script.early_link ? MediaConnectStateDisconnected : MediaConnectStateConnected);
    EQ(p->CurrentMacAddress[5], 1);
    EQ(p->BoundIfIndex, a->ifindex);
    EQ(p->LowestIfNetluid.Value, a->luid.Value);
    CHECK(p->BoundIfIndex != 0);
    EQ(p->PhysicalDeviceObject, devices[1].pdo);
    CHECK(a->state == NDIS_ADAPTER_PAUSED); /* IM-BND-01 */
    CHECK(script.pa_minor < 20 || p->PowerManagementCapabilitiesEx);
}


/* IM-STK-01, -02, -03, IM-BND-01, -02, -03, -17, IM-PNP-07. */
static void ordinary(void)
{
    BIND("pa", 1);
    script.in_bind = check_bind_parameters;
    CHECK(load("nic", NicEntry, &nic_driver));
    CHECK(load("pa", PaEntry, &pa_driver));
    logged("binds::0 ");
    EQ(add(1, nic_driver), STATUS_SUCCESS);
    logged("");
    EQ(start(1), STATUS_SUCCESS);
    logged("init:1 bind:pa:1 restart:1 restart:pa:1 ");
    EQ(ndis__adapter_find(name_of(1))->state, NDIS_ADAPTER_RUNNING);
    EQ(mps[1].init.Header.Type, NDIS_OBJECT_TYPE_MINIPORT_INIT_PARAMETERS);
    EQ(mps[1].init.IfIndex, ndis__adapter_find(name_of(1))->ifindex);
    CHECK(!mps[1].init.IMDeviceInstanceContext && mps[1].init.DefaultPortAuthStates);
    CHECK(ndis__adapter_find("{00000001-0000-0000-0000-000000000000}") ==
          ndis__adapter_find("\\DEVICE\\{00000001-0000-0000-0000-000000000000}"));
    EQ(irp(1, IRP_MN_QUERY_STOP_DEVICE), STATUS_SUCCESS);
    EQ(irp(1, IRP_MN_STOP_DEVICE), STATUS_SUCCESS);
    logged("qremove:pa:1 pause:pa:1 pause:1 unbind:pa:1 halt:1:6 ");
    EQ(start(1), STATUS_SUCCESS);
    logged("init:1 bind:pa:1 restart:1 restart:pa:1 ");
    EQ(irp(1, IRP_MN_QUERY_REMOVE_DEVICE), STATUS_SUCCESS);
    EQ(irp(1, IRP_MN_CANCEL_REMOVE_DEVICE), STATUS_SUCCESS);
    logged("qremove:pa:1 cremove:pa:1 ");
    script.veto = NDIS_STATUS_FAILURE;
    CHECK(!NT_SUCCESS(irp(1, IRP_MN_QUERY_REMOVE_DEVICE)));
    logged("qremove:pa:1 ");
    EQ(irp(1, IRP_MN_SURPRISE_REMOVAL), STATUS_SUCCESS); /* a veto does not count */
    logged("qremove:pa:1 notify:1:2 pause:pa:1 pause:1 unbind:pa:1 halt:1:3 ");
    gone(1);
    logged("");
    script.veto = NDIS_STATUS_SUCCESS;
    EQ(add(1, nic_driver), STATUS_SUCCESS);
    EQ(start(1), STATUS_SUCCESS);
    *log_text = 0;
    gone(1);
    logged("pause:pa:1 pause:1 unbind:pa:1 halt:1:0 ");
}

static void test_ordinary(void **state)
{
    run_clean(ordinary);
}

static void versions(void)
{
    static const unsigned minors[] = { 0, 1, 20, 30, 84 };

    BIND("pa", 1);
    script.in_bind = check_bind_parameters;
    script.early_link = true; /* IM-INI-10 */
    CHECK(load("nic", NicEntry, &nic_driver));
    for (size_t i = 0; i < sizeof minors / sizeof minors[0]; i++) {
        script.pa_minor = minors[i];
        CHECK(load("pa", PaEntry, &pa_driver));
        EQ(add(1, nic_driver), STATUS_SUCCESS);
        EQ(start(1), STATUS_SUCCESS);
        EQ(count(" bind:pa:1"), i + 1);
        gone(1);
        unload(&pa_driver);
    }
}

static void test_versions(void **state)
{
    run_clean(versions);
}

/* IM-INI-05: failure of initialize ends in Halted without MiniportHaltEx. */
static void init_fails(void)
{
    static const NDIS_STATUS status[] = { NDIS_STATUS_NOT_ACCEPTED, NDIS_STATUS_RESOURCES,
                                          NDIS_STATUS_FAILURE };

    CHECK(load("nic", NicEntry, &nic_driver));
    EQ(add(1, nic_driver), STATUS_SUCCESS);
    for (size_t i = 0; i < 3; i++) {
        script.init = status[i];
        CHECK(!NT_SUCCESS(start(1)));
        EQ(ndis__adapter_find(name_of(1))->state, NDIS_ADAPTER_HALTED);
    }
    EQ(count("halt"), 0);
    script.init = NDIS_STATUS_SUCCESS;
    script.restart = NDIS_STATUS_FAILURE; /* IM-MST-09: Paused, and a later restart works */
    EQ(start(1), STATUS_SUCCESS);
    EQ(ndis__adapter_find(name_of(1))->state, NDIS_ADAPTER_PAUSED);
    script.restart = NDIS_STATUS_SUCCESS;
    BIND("pa", 1);
    CHECK(load("pa", PaEntry, &pa_driver));
    EQ(ndis__adapter_find(name_of(1))->state, NDIS_ADAPTER_RUNNING);
}

static void test_init_fails(void **state)
{
    run_clean(init_fails);
}

/* IM-INI-04 */
static void no_general(void)
{
    script.no_general = true;
    CHECK(load("nic", NicEntry, &nic_driver));
    EQ(add(1, nic_driver), STATUS_SUCCESS);
    CHECK(!NT_SUCCESS(start(1)));
    *failure = 0; /* MpHalt complains: the driver was up, and rightly so */
    CHECK(strstr(log_text, "halt:1:5"));
}

static void test_no_general(void **state)
{
    run_reported(no_general, "ST-15", 1);
}

static NDIS_STATUS attribute_order(NDIS_HANDLE handle, NDIS_HANDLE context)
{
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES gen = {
        .Header = { NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES, 0, sizeof gen },
    };

    EQ(NdisMSetMiniportAttributes(handle, (void *)&gen), NDIS_STATUS_BAD_VERSION); /* IM-INI-03 */
    gen.Header.Revision = 99;
    EQ(NdisMSetMiniportAttributes(handle, (void *)&gen), NDIS_STATUS_BAD_VERSION);
    gen.Header.Revision = 1; /* IM-POR-04: a 6.30 driver */
    EQ(NdisMSetMiniportAttributes(handle, (void *)&gen), NDIS_STATUS_BAD_VERSION);
    return NDIS_STATUS_SUCCESS;
}

static void attributes(void)
{
    script.in_init = attribute_order;
    CHECK(load("nic", NicEntry, &nic_driver));
    add(1, nic_driver);
    EQ(start(1), STATUS_SUCCESS);
    EQ(NdisMSetMiniportAttributes(mps[1].handle, NULL), NDIS_STATUS_FAILURE);
}

static void test_attributes(void **state)
{
    run_clean(attributes);
}

/* IM-PRT-02: no bind until the default port is active; its deactivation closes all bindings. */
static void default_port(void)
{
    NDIS_PORT port = { .PortCharacteristics = { .PortNumber = 0 } };
    NDIS_PORT_NUMBER number = 0;
    NET_PNP_EVENT_NOTIFICATION e = {
        .Header = { NDIS_OBJECT_TYPE_DEFAULT, 1, sizeof e },
        .NetPnPEvent = { .NetEvent = NetEventPortActivation, .Buffer = &port, .BufferLength = sizeof port },
    };

    BIND("pa", 1);
    script.control_port = true;
    CHECK(load("nic", NicEntry, &nic_driver));
    CHECK(load("pa", PaEntry, &pa_driver));
    add(1, nic_driver);
    EQ(start(1), STATUS_SUCCESS);
    EQ(count("bind:"), 0);
    EQ(NdisMNetPnPEvent(mps[1].handle, &e), NDIS_STATUS_SUCCESS);
    EQ(NdisMNetPnPEvent(mps[1].handle, &e), NDIS_STATUS_INVALID_PORT_STATE);
    for (int i = 0; i < 50 && !count("bind:"); i++)
        umn__park(umn__now() + 1000, "test", NULL);
    EQ(count("bind:pa:1"), 1);
    e.NetPnPEvent = (NET_PNP_EVENT){ .NetEvent = NetEventPortDeactivation, .Buffer = &number, .BufferLength = 4 };
    EQ(NdisMNetPnPEvent(mps[1].handle, &e), NDIS_STATUS_SUCCESS);
    for (int i = 0; i < 50 && !count("unbind:"); i++)
        umn__park(umn__now() + 1000, "test", NULL);
    EQ(count("unbind:pa:1"), 1);
}

static void test_default_port(void **state)
{
    run_clean(default_port);
}

/* ---- virtual miniports -------------------------------------------------------------------------------- */

/* nic 1, mux over it, pa over VMs 100, 101. */
static void mux_world(void)
{
    BIND("mux", 1);
    BIND("pa", 100, 101, 102);
    CHECK(load("nic", NicEntry, &nic_driver));
    CHECK(load("mux", MuxEntry, &mux_driver));
    CHECK(load("pa", PaEntry, &pa_driver));
    add(1, nic_driver);
    start(1);
    *log_text = 0;
}

/* IM-PNP-01 to -03, IM-VMP-07, -08, -11 to -15, -22; questions 4, 5, 6, 7, 10. */
static void im_matrix(void)
{
    struct ndis_adapter *a;

    script.no_requests = true;
    mux_world();
    EQ(request(100, NULL), NDIS_STATUS_SUCCESS); /* never enumerated: stays pending */
    EQ(request(100, NULL), NDIS_STATUS_NOT_ACCEPTED);
    EQ(cancel_request(100), NDIS_STATUS_SUCCESS);
    EQ(cancel_request(100), NDIS_STATUS_FAILURE);
    EQ(request(100, &mps[100]), NDIS_STATUS_SUCCESS);
    logged("");
    EQ(add(100, mux_driver), STATUS_SUCCESS);
    logged("");
    EQ(start(100), STATUS_SUCCESS); /* the start comes second */
    logged("init:100 bind:pa:100 restart:100 restart:pa:100 ");
    CHECK(mps[100].im_context == &mps[100]);
    CHECK(NdisIMGetBindingContext(bound_to(&pa_proto, 100)->handle) == &mps[100]);
    CHECK(NdisIMGetBindingContext(bound_to(&mux_proto, 1)->handle) == NULL);
    EQ(request(100, NULL), NDIS_STATUS_NOT_ACCEPTED);
    EQ(cancel_request(100), NDIS_STATUS_FAILURE);
    a = mps[100].handle;
    EQ(NdisIMDeInitializeDeviceInstance(a), NDIS_STATUS_SUCCESS);
    logged("pause:pa:100 pause:100 unbind:pa:100 halt:100:1 ");
    EQ(NdisIMDeInitializeDeviceInstance(a), NDIS_STATUS_FAILURE); /* IM-VMP-14 */
    EQ(NdisIMDeInitializeDeviceInstance(NULL), NDIS_STATUS_FAILURE);
    EQ(NdisIMDeInitializeDeviceInstance((NDIS_HANDLE)8), NDIS_STATUS_FAILURE);
    EQ(request(100, NULL), NDIS_STATUS_SUCCESS); /* the request comes second: inside it */
    logged("init:100 bind:pa:100 restart:100 restart:pa:100 ");
    EQ(NdisIMDeInitializeDeviceInstance(mps[100].handle), NDIS_STATUS_SUCCESS);
    *log_text = 0;
    script.init = NDIS_STATUS_FAILURE; /* question 5 */
    EQ(request(100, NULL), NDIS_STATUS_SUCCESS);
    logged("init:100 ");
    script.init = NDIS_STATUS_SUCCESS;
    for (int i = 0; i < 10; i++) { /* IM-VMP-22 */
        EQ(request(100, NULL), NDIS_STATUS_SUCCESS);
        EQ(NdisIMDeInitializeDeviceInstance(mps[100].handle), NDIS_STATUS_SUCCESS);
    }
    EQ(count("init:100"), 10);
    EQ(request(101, NULL), NDIS_STATUS_SUCCESS); /* IM-VMP-12 */
    EQ(cancel_request(101), NDIS_STATUS_SUCCESS);
    *log_text = 0;
    add(101, mux_driver);
    EQ(start(101), STATUS_SUCCESS);
    logged("");
}

static void test_im_matrix(void **state)
{
    run_clean(im_matrix);
}

/* Forms of DriverInstance (question 3) and what is no name. */
static void im_names(void)
{
    static const char *const same[] = { "\\DEVICE\\{00000100-0000-0000-0000-000000000000}",
                                        "{00000100-0000-0000-0000-000000000000}",
                                        "\\device\\{00000100-0000-0000-0000-000000000000}" };
    WCHAR w[100];
    UNICODE_STRING name = { 0, 0, NULL };

    script.no_requests = true;
    mux_world();
    EQ(NdisIMInitializeDeviceInstanceEx(mux_handle, &name, NULL), NDIS_STATUS_FAILURE);
    EQ(NdisIMInitializeDeviceInstanceEx(mux_handle, NULL, NULL), NDIS_STATUS_FAILURE);
    for (size_t i = 0; i < 3; i++) {
        us(&name, w, same[i]);
        EQ(NdisIMInitializeDeviceInstanceEx(mux_handle, &name, NULL), NDIS_STATUS_SUCCESS);
        us(&name, w, same[(i + 1) % 3]);
        EQ(NdisIMInitializeDeviceInstanceEx(mux_handle, &name, NULL), NDIS_STATUS_NOT_ACCEPTED);
        EQ(NdisIMCancelInitializeDeviceInstance(mux_handle, &name), NDIS_STATUS_SUCCESS);
    }
    us(&name, w, same[0]); /* question 6 */
    EQ(NdisIMInitializeDeviceInstanceEx(nic_handle, &name, NULL), NDIS_STATUS_FAILURE);
}

static void test_im_names(void **state)
{
    run_reported(im_names, "IM-VMP-08", 1);
}

/* IM-VMP-20, IM-UNB-09, IM-STK-05: the whole chain up and down. */
static void chain(void)
{
    script.vms[0] = 100;
    script.vms[1] = 101;
    script.vms[2] = 102; /* never enumerated: cancelled */
    BIND("mux", 1);
    BIND("pa", 100, 101);
    CHECK(load("mux", MuxEntry, &mux_driver));
    CHECK(load("pa", PaEntry, &pa_driver));
    CHECK(load("nic", NicEntry, &nic_driver));
    add(100, mux_driver);
    EQ(start(100), STATUS_SUCCESS); /* before anybody asked: question 4 */
    *log_text = 0;
    add(1, nic_driver);
    EQ(start(1), STATUS_SUCCESS);
    logged("init:1 bind:mux:1 init:100 bind:pa:100 restart:100 restart:pa:100 restart:1 restart:mux:1 ");
    add(101, mux_driver);
    EQ(start(101), STATUS_SUCCESS);
    logged("init:101 bind:pa:101 restart:101 restart:pa:101 ");
    EQ(irp(1, IRP_MN_SURPRISE_REMOVAL), STATUS_SUCCESS);
    logged("qremove:mux:1 notify:1:2 pause:mux:1 pause:1 unbind:mux:1 "
           "pause:pa:100 pause:100 unbind:pa:100 halt:100:1 "
           "pause:pa:101 pause:101 unbind:pa:101 halt:101:1 halt:1:3 ");
    gone(1);
    EQ(ndis__adapter_find(name_of(100))->state, NDIS_ADAPTER_HALTED);
    add(1, nic_driver); /* it comes back, and with it the virtual miniports */
    EQ(start(1), STATUS_SUCCESS);
    EQ(ndis__adapter_find(name_of(100))->state, NDIS_ADAPTER_RUNNING);
    EQ(ndis__adapter_find(name_of(101))->state, NDIS_ADAPTER_RUNNING);
}

static void test_chain(void **state)
{
    run_clean(chain);
}

/* IM-EVT-11, IM-EVT-12, question 11: disable and enable one virtual miniport. */
static void reenable(void)
{
    script.vms[0] = 100;
    script.vms[1] = 101;
    mux_world();
    for (int i = 100; i < 102; i++) {
        add(i, mux_driver);
        EQ(start(i), STATUS_SUCCESS);
    }
    *log_text = 0;
    gone(100);
    logged("pause:pa:100 pause:100 unbind:pa:100 halt:100:0 ");
    add(100, mux_driver);
    EQ(start(100), STATUS_SUCCESS);
    logged("reenable::0 init:100 bind:pa:100 restart:100 restart:pa:100 ");
    EQ(irp(101, IRP_MN_STOP_DEVICE), STATUS_SUCCESS);
    logged("pause:pa:101 pause:101 unbind:pa:101 halt:101:6 ");
    EQ(start(101), STATUS_SUCCESS);
    logged("reenable::0 init:101 bind:pa:101 restart:101 restart:pa:101 ");
    EQ(NdisIMDeInitializeDeviceInstance(mps[101].handle), NDIS_STATUS_SUCCESS);
    gone(101);
    *log_text = 0;
    add(101, mux_driver); /* the driver let go of it: no event */
    EQ(start(101), STATUS_SUCCESS);
    logged("");
}

static void test_reenable(void **state)
{
    run_clean(reenable);
}

/* Question 8: a cancel from inside MiniportInitializeEx fails at once; from elsewhere it waits. */
static uint32_t in_init_phase;
static NDIS_STATUS init_cancels(NDIS_HANDLE handle, NDIS_HANDLE context)
{
    EQ(cancel_request(100), NDIS_STATUS_FAILURE);
    EQ(request(100, NULL), NDIS_STATUS_NOT_ACCEPTED);
    in_init_phase = 1;
    for (int i = 0; i < 20; i++)
        umn__park(umn__now() + 100, "test", NULL);
    in_init_phase = 2;
    return NDIS_STATUS_SUCCESS;
}

static void canceller(void *arg)
{
    while (in_init_phase == 0)
        umn__park(umn__now() + 100, "test", NULL);
    EQ(cancel_request(100), NDIS_STATUS_FAILURE);
    EQ(in_init_phase, 2);
    note("cancel-returned ");
}

static void cancel_while_initializing(void)
{
    struct umn_ctx *ctx;

    in_init_phase = 0;
    script.no_requests = true;
    script.in_init = NULL;
    mux_world();
    script.in_init = init_cancels;
    add(100, mux_driver);
    EQ(start(100), STATUS_SUCCESS);
    CHECK(umn__ctx_spawn(&ctx, canceller, NULL, "canceller") == 0);
    EQ(request(100, NULL), NDIS_STATUS_SUCCESS);
    umn__ctx_join(ctx);
    EQ(count("cancel-returned"), 1);
}

static void test_cancel_while_initializing(void **state)
{
    run_clean(cancel_while_initializing);
}

/* ---- bind and close -------------------------------------------------------------------------------------- */

static void one_nic(void)
{
    BIND("pa", 1);
    CHECK(load("nic", NicEntry, &nic_driver));
    add(1, nic_driver);
    EQ(start(1), STATUS_SUCCESS);
    *log_text = 0;
}

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
        .Header = { NDIS_OBJECT_TYPE_OPEN_PARAMETERS, 1, sizeof o },
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
    NDIS_OPEN_PARAMETERS o = { 0 };
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

/* ---- pause, restart, events, status ------------------------------------------------------------------------- */

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
        .Header = { NDIS_OBJECT_TYPE_DEFAULT, 1, sizeof e },
        .NetPnPEvent = { .NetEvent = NetEventQueryRemoveDevice },
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

/* ---- configuration, interfaces, names --------------------------------------------------------------------------- */

static NDIS_HANDLE config_of(NDIS_HANDLE handle)
{
    NDIS_CONFIGURATION_OBJECT o = {
        .Header = { NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT, 1, sizeof o }, .NdisHandle = handle
    };
    NDIS_HANDLE c = NULL;

    NdisOpenConfigurationEx(&o, &c);
    return c;
}

static NDIS_STATUS read_config(NDIS_HANDLE c, const char *name, NDIS_CONFIGURATION_PARAMETER **p)
{
    NDIS_STATUS status;
    UNICODE_STRING s;
    WCHAR w[64];

    us(&s, w, name);
    NdisReadConfiguration(&status, p, c, &s, NdisParameterHexInteger);
    return status;
}

static NDIS_HANDLE marker_in_bind;
static void config_in_bind(NDIS_HANDLE context, NDIS_BIND_PARAMETERS *p)
{
    NDIS_CONFIGURATION_PARAMETER *v;

    for (int i = 0; i < 2; i++) { /* question 2: parameters or BindContext */
        NDIS_HANDLE c = config_of(i ? (NDIS_HANDLE)p : context);
        CHECK(c && read_config(c, "UpperBindings", &v) == NDIS_STATUS_SUCCESS);
        if (!c)
            return;
        EQ(v->ParameterType, NdisParameterMultiString);
        EQ(v->ParameterData.StringData.Length, 12);
        NdisCloseConfiguration(c);
    }
    marker_in_bind = context;
}

static void configuration(void)
{
    static const WCHAR multi[] = { 'a', 0, 'b', 'c', 0, 0 };
    static const struct {
        const char *text;
        int length;
        uint8_t first;
    } mac[] = { { "02-AB-cd-00-11-22", 6, 2 }, { "02abCD001122", 6, 2 }, { "02a", 2, 2 },
                { "0g", -1, 0 }, { "", -1, 0 } };
    uint32_t dword = 0x1234;
    NDIS_CONFIGURATION_PARAMETER *v, set = { .ParameterType = NdisParameterInteger };
    NDIS_HANDLE c, sub;
    NDIS_STATUS status;
    UNICODE_STRING s;
    WCHAR w[64], kw[64];
    char key[200];
    PVOID bytes;
    UINT n;

    snprintf(key, sizeof key, SET "Services\\pa\\Parameters\\Adapters\\%s", name_of(1) + 8);
    reg_put(key, "UpperBindings", REG_MULTI_SZ, multi, sizeof multi);
    reg_put(SET "Services\\pa\\Parameters", "Number", REG_DWORD, &dword, 4);
    reg_text(SET "Services\\pa\\Parameters\\Sub", "Text", "hello");
    script.in_bind = config_in_bind;
    one_nic();
    CHECK(load("pa", PaEntry, &pa_driver));
    CHECK(marker_in_bind);
    c = config_of(bound_to(&pa_proto, 1)->handle);
    CHECK(c && read_config(c, "upperbindings", &v) == NDIS_STATUS_SUCCESS);
    NdisCloseConfiguration(c);
    c = config_of(pa_handle);
    EQ(read_config(c, "Number", &v), NDIS_STATUS_SUCCESS);
    EQ(v->ParameterType, NdisParameterInteger);
    EQ(v->ParameterData.IntegerData, 0x1234);
    EQ(read_config(c, "Nothing", &v), NDIS_STATUS_FAILURE);
    EQ(read_config(c, "NdisVersion", &v), NDIS_STATUS_SUCCESS);
    EQ(v->ParameterData.IntegerData, 0x60057);
    us(&s, w, "Sub");
    NdisOpenConfigurationKeyByName(&status, c, &s, &sub);
    EQ(status, NDIS_STATUS_SUCCESS);
    EQ(read_config(sub, "Text", &v), NDIS_STATUS_SUCCESS);
    EQ(v->ParameterType, NdisParameterString);
    EQ(v->ParameterData.StringData.Length, 10);
    NdisCloseConfiguration(sub);
    s = (UNICODE_STRING){ 0, sizeof w, w };
    NdisOpenConfigurationKeyByIndex(&status, c, 1, &s, &sub);
    EQ(status, NDIS_STATUS_SUCCESS);
    EQ(s.Length, 6);
    NdisCloseConfiguration(sub);
    NdisOpenConfigurationKeyByIndex(&status, c, 9, &s, &sub);
    EQ(status, NDIS_STATUS_FAILURE);
    us(&s, w, "Written");
    set.ParameterData.IntegerData = 99;
    NdisWriteConfiguration(&status, c, &s, &set);
    EQ(status, NDIS_STATUS_SUCCESS);
    EQ(read_config(c, "written", &v), NDIS_STATUS_SUCCESS);
    EQ(v->ParameterData.IntegerData, 99);
    set.ParameterType = 17;
    NdisWriteConfiguration(&status, c, &s, &set);
    EQ(status, NDIS_STATUS_NOT_SUPPORTED);
    NdisCloseConfiguration(c);
    CHECK(config_of(nic_handle) == NULL); /* its key does not exist */
    c = config_of(mps[1].handle);
    snprintf(key, sizeof key, SET "Control\\Class\\%s", devices[1].key);
    NdisReadNetworkAddress(&status, &bytes, &n, c);
    EQ(status, NDIS_STATUS_FAILURE);
    for (size_t i = 0; i < sizeof mac / sizeof mac[0]; i++) {
        reg_text(key, "NetworkAddress", mac[i].text);
        NdisReadNetworkAddress(&status, &bytes, &n, c);
        EQ(status, mac[i].length > 0 ? NDIS_STATUS_SUCCESS : NDIS_STATUS_FAILURE);
        if (mac[i].length > 0) {
            EQ(n, mac[i].length);
            EQ(*(uint8_t *)bytes, mac[i].first);
        }
    }
    NdisCloseConfiguration(c);
    reg_text(key, "DriverDesc", "Test NIC");
    EQ(NdisMQueryAdapterInstanceName(&s, mps[1].handle), NDIS_STATUS_SUCCESS);
    EQ(s.Length, 16);
    NdisFreeMemory(s.Buffer, 0, 0);
    EQ(NdisQueryAdapterInstanceName(&s, bound_to(&pa_proto, 1)->handle), NDIS_STATUS_SUCCESS);
    NdisFreeMemory(s.Buffer, 0, 0);
    us(&s, kw, "x");
}

static void test_configuration(void **state)
{
    run_clean(configuration);
}

static bool count_row(void *arg, uint32_t upper, uint32_t lower)
{
    ++*(int *)arg;
    return true;
}

static bool count_adapter(void *arg, const struct umn_adapter_info *i)
{
    ++*(int *)arg;
    if (strcmp(i->service, "mux") == 0) {
        CHECK(i->virtual_miniport && i->bindings == 1 && !strcmp(i->state, "Running"));
        CHECK(!strcmp(i->binding[0].protocol, "pa") && !strcmp(i->binding[0].state, "Running"));
        EQ(i->mac_len, 6);
        CHECK(i->link_up);
    }
    return true;
}

static bool count_request(void *arg, const char *device, const char *service)
{
    ++*(int *)arg;
    CHECK(!strcmp(service, "mux"));
    return true;
}

static void interfaces(void)
{
    struct ndis_adapter *nic, *vm;
    NET_IFINDEX high, low, old;
    NET_LUID luid, kept;
    int n = 0;

    script.vms[0] = 100;
    script.vms[1] = 101;
    mux_world();
    add(100, mux_driver);
    start(100);
    nic = mps[1].handle;
    vm = mps[100].handle;
    EQ(NdisIfQueryBindingIfIndex(bound_to(&pa_proto, 100)->handle, &high, &kept, &low, &luid),
       NDIS_STATUS_SUCCESS);
    EQ(high, vm->ifindex);
    EQ(low, vm->ifindex);
    EQ(NdisIfGetInterfaceIndexFromNetLuid(kept, &low), NDIS_STATUS_SUCCESS);
    EQ(low, high);
    EQ(NdisIfGetNetLuidFromInterfaceIndex(high, &luid), NDIS_STATUS_SUCCESS);
    EQ(luid.Value, kept.Value);
    EQ(NdisIfGetNetLuidFromInterfaceIndex(0x999999, &luid), NDIS_STATUS_INTERFACE_NOT_FOUND);
    EQ(NdisIfAddIfStackEntry(vm->ifindex, 0x999999), NDIS_STATUS_INTERFACE_NOT_FOUND);
    EQ(NdisIfAddIfStackEntry(vm->ifindex, nic->ifindex), NDIS_STATUS_SUCCESS);
    EQ(NdisIfAddIfStackEntry(vm->ifindex, nic->ifindex), NDIS_STATUS_SUCCESS);
    umn__ndis_ifstack(count_row, &n);
    EQ(n, 1);
    NdisIfDeleteIfStackEntry(5, 5);
    NdisIfDeleteIfStackEntry(vm->ifindex, nic->ifindex);
    NdisIfDeleteIfStackEntry(vm->ifindex, nic->ifindex);
    umn__ndis_ifstack(count_row, &n);
    EQ(n, 1);
    EQ(NdisIfAddIfStackEntry(vm->ifindex, nic->ifindex), NDIS_STATUS_SUCCESS);
    n = 0;
    umn__ndis_adapters(count_adapter, &n);
    EQ(n, 2);
    n = 0;
    umn__ndis_im_requests(count_request, &n);
    EQ(n, 1);
    EQ(umn__report_count(), 0);
    EQ(NdisIfAddIfStackEntry(nic->ifindex, vm->ifindex), NDIS_STATUS_FAILURE); /* 0x7C / 0x1B */
    old = vm->ifindex;
    gone(100);
    n = 0;
    umn__ndis_ifstack(count_row, &n); /* IM-IFS-03 */
    EQ(n, 0);
    add(100, mux_driver);
    start(100);
    vm = mps[100].handle;
    EQ(vm->luid.Value, kept.Value); /* IM-IFS-01 */
    CHECK(vm->ifindex != old);
}

static void test_interfaces(void **state)
{
    run_reported(interfaces, "IF_STACK_TABLE_LOOP", 1);
}

/* ---- wrong levels ------------------------------------------------------------------------------------------------- */

static void wrong_levels(void)
{
    KIRQL old;

    script.no_requests = true;
    mux_world();
    KeRaiseIrql(DISPATCH_LEVEL, &old); /* IM-VMP-09 */
    request(100, NULL);
    cancel_request(100);
    NdisIMDeInitializeDeviceInstance(NULL);
    KeLowerIrql(old);
}

static void test_wrong_levels(void **state)
{
    umn__report_quiet(true);
    run_plain(wrong_levels);
    umn__report_quiet(false);
    assert_int_equal(umn__report_count(), 3);
}

/* ST-08, ST-13, ST-14, ST-06: handles that have died, requests that are left, completions too many. */
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
        cmocka_unit_test(test_registration),
        cmocka_unit_test(test_leftovers),
        cmocka_unit_test(test_ordinary),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_init_fails),
        cmocka_unit_test(test_no_general),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_default_port),
        cmocka_unit_test(test_im_matrix),
        cmocka_unit_test(test_im_names),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_reenable),
        cmocka_unit_test(test_cancel_while_initializing),
        cmocka_unit_test(test_late_protocols),
        cmocka_unit_test(test_bind_fails),
        cmocka_unit_test(test_left_open),
        cmocka_unit_test(test_open_table),
        cmocka_unit_test(test_close_elsewhere),
        cmocka_unit_test(test_everything_pends),
        cmocka_unit_test(test_close_waits),
        cmocka_unit_test(test_pended_pause),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_shutdown),
        cmocka_unit_test(test_remove_miniport),
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_interfaces),
        cmocka_unit_test(test_wrong_levels),
        cmocka_unit_test(test_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
