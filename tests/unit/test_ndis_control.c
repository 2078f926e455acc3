/* SPDX-License-Identifier: MIT */
/*
 * The control path of the NDIS library: registration, PnP of an ordinary adapter, attributes, the
 * default port, configuration, interfaces. The world is tests/unit/ndis_world.h.
 */
#include "ndis_world.h"

/* ---- registration
 * -------------------------------------------------------------------------------- */

static DRIVER_OBJECT *reg_driver;
static void im_reg_04_table(void)
{
    static const struct {
        int size, type, revision;
        unsigned char major, minor;
        NDIS_STATUS want;
    } t[] = {
        {0, 0, 0, 6, 30, NDIS_STATUS_SUCCESS},
        {-20, 0, 0, 6, 30, NDIS_STATUS_BAD_CHARACTERISTICS},
        {0, 1, 0, 6, 30, NDIS_STATUS_BAD_CHARACTERISTICS},
        {0, 0, -1, 6, 30, NDIS_STATUS_BAD_CHARACTERISTICS}, /* IM-POR-04 */
        {0, 0, -1, 6, 0, NDIS_STATUS_SUCCESS},
        {0, 0, 0, 7, 0, NDIS_STATUS_BAD_VERSION},
        {0, 0, 0, 6, 19, NDIS_STATUS_BAD_VERSION},
        {0, 0, 0, 6, 87, NDIS_STATUS_BAD_CHARACTERISTICS},
        {0, 0, 1, 6, 87, NDIS_STATUS_SUCCESS},
        {0, 0, 0, 5, 1, NDIS_STATUS_BAD_VERSION},
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
        H(InitializeHandlerEx),
        H(HaltHandlerEx),
        H(UnloadHandler),
        H(PauseHandler),
        H(RestartHandler),
        H(OidRequestHandler),
        H(SendNetBufferListsHandler),
        H(ReturnNetBufferListsHandler),
        H(CancelSendHandler),
        H(DevicePnPEventNotifyHandler),
        H(ShutdownHandlerEx),
        H(CancelOidRequestHandler),
#undef H
    };
    static const size_t protocol[] = {
#define H(m) offsetof(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, m)
        H(BindAdapterHandlerEx),         H(UnbindAdapterHandlerEx),
        H(OpenAdapterCompleteHandlerEx), H(CloseAdapterCompleteHandlerEx),
        H(NetPnPEventHandler),           H(OidRequestCompleteHandler),
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
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS c =
        characteristics(30, NDIS_INTERMEDIATE_DRIVER, NicUnload);
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS p;
    NDIS_HANDLE handle;
    WCHAR w[40];

    reg_driver = Driver;
    im_reg_04_table();
    im_reg_08_handlers();
    c.Flags |= NDIS_WDM_DRIVER;
    EQ(NdisMRegisterMiniportDriver(Driver, Path, NULL, &c, &handle),
       NDIS_STATUS_BAD_CHARACTERISTICS);
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

/* IM-REG-07, question 13: eager mode binds inside the registration, with the handle written. */
static NDIS_HANDLE eager_handle;
static void eager_bind(NDIS_HANDLE context, NDIS_BIND_PARAMETERS *p)
{
    eager_handle = pa_handle;
    CHECK(ndis__entry_driver() != NULL);
}

static void eager(void)
{
    pa_handle = eager_handle = NULL;
    BIND("pa", 1);
    CHECK(load("nic", NicEntry, &nic_driver));
    add(1, nic_driver);
    start(1);
    *log_text = 0;
    umn__ndis_settings.eager_bind = true;
    script.in_bind = eager_bind;
    CHECK(load("pa", PaEntry, &pa_driver));
    CHECK(eager_handle && eager_handle == pa_handle);
    logged("pause:1 bind:pa:1 restart:1 restart:pa:1 binds::0 ");
}

/* IM-REG-06: AddDevice, and so initialize, waits for the end of DriverEntry. */
static DRIVER_OBJECT *slow_driver;
static NTSTATUS NTAPI SlowEntry(DRIVER_OBJECT *Driver, UNICODE_STRING *Path)
{
    NTSTATUS status = NicEntry(Driver, Path);

    __atomic_store_n(&slow_driver, Driver, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 10; i++)
        umn__park(umn__now() + 1000, "test", NULL);
    note("entry-ends ");
    return status;
}

static void early_starter(void *arg)
{
    while (!__atomic_load_n(&slow_driver, __ATOMIC_SEQ_CST))
        umn__park(umn__now() + 100, "test", NULL);
    EQ(add(1, slow_driver), STATUS_SUCCESS);
    EQ(start(1), STATUS_SUCCESS);
}

static void slow_entry(void)
{
    struct umn_ctx *ctx;

    slow_driver = NULL;
    CHECK(umn__ctx_spawn(&ctx, early_starter, NULL, "starter") == 0);
    CHECK(load("nic", SlowEntry, &nic_driver));
    umn__ctx_join(ctx);
    logged("entry-ends init:1 restart:1 ");
}

static void test_driver_entry(void **state)
{
    run_clean(eager);
    run_clean(slow_entry);
}

/* ---- an ordinary adapter
 * ---------------------------------------------------------------------------- */

static void check_bind_parameters(NDIS_HANDLE context, NDIS_BIND_PARAMETERS *p)
{
    static const char section[] =
        "pa\\Parameters\\Adapters\\{00000001-0000-0000-0000-000000000000}";
    const struct ndis_adapter *a = ndis__adapter_find(name_of(1));

    EQ(p->Header.Type, NDIS_OBJECT_TYPE_BIND_PARAMETERS);
    EQ(p->Header.Revision, script.pa_minor >= 30   ? 4
                           : script.pa_minor >= 20 ? 3
                           : script.pa_minor       ? 2
                                                   : 1);
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
    static const unsigned minors[] = {0, 1, 20, 30, 84};

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
    static const NDIS_STATUS status[] = {NDIS_STATUS_NOT_ACCEPTED, NDIS_STATUS_RESOURCES,
                                         NDIS_STATUS_FAILURE};

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
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES, 0, sizeof gen},
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
    NDIS_PORT port = {.PortCharacteristics = {.PortNumber = 0}};
    NDIS_PORT_NUMBER number = 0;
    NET_PNP_EVENT_NOTIFICATION e = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, 1, sizeof e},
        .NetPnPEvent = {.NetEvent = NetEventPortActivation,
                        .Buffer = &port,
                        .BufferLength = sizeof port},
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
    e.NetPnPEvent =
        (NET_PNP_EVENT){.NetEvent = NetEventPortDeactivation, .Buffer = &number, .BufferLength = 4};
    EQ(NdisMNetPnPEvent(mps[1].handle, &e), NDIS_STATUS_SUCCESS);
    for (int i = 0; i < 50 && !count("unbind:"); i++)
        umn__park(umn__now() + 1000, "test", NULL);
    EQ(count("unbind:pa:1"), 1);
}

static void test_default_port(void **state)
{
    run_clean(default_port);
}

/* ---- configuration, interfaces, names
 * --------------------------------------------------------------------------- */

static NDIS_HANDLE config_of(NDIS_HANDLE handle)
{
    NDIS_CONFIGURATION_OBJECT o = {.Header = {NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT, 1, sizeof o},
                                   .NdisHandle = handle};
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
    static const WCHAR multi[] = {'a', 0, 'b', 'c', 0, 0};
    static const struct {
        const char *text;
        int length;
        uint8_t first;
    } mac[] = {{"02-AB-cd-00-11-22", 6, 2},
               {"02abCD001122", 6, 2},
               {"02a", 2, 2},
               {"0g", -1, 0},
               {"", -1, 0}};
    uint32_t dword = 0x1234;
    NDIS_CONFIGURATION_PARAMETER *v, set = {.ParameterType = NdisParameterInteger};
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
    s = (UNICODE_STRING){0, sizeof w, w};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registration), cmocka_unit_test(test_leftovers),
        cmocka_unit_test(test_driver_entry), cmocka_unit_test(test_ordinary),
        cmocka_unit_test(test_versions),     cmocka_unit_test(test_init_fails),
        cmocka_unit_test(test_no_general),   cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_default_port), cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_interfaces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
