/* SPDX-License-Identifier: MIT */
/*
 * Group INI: MiniportInitializeEx and adapter attributes, as the library keeps them (IM-INI-01 to
 * -05, -08 to -10, -12). The MUX's part is in ini_mux.c.
 */
#include <stdio.h>
#include "ndis/internal.h"
#include "spy.h"

static struct vmdev dev[3];
static KEVENT inside, go_on;

static void tim_devices(unsigned count)
{
    world_im(0);
    for (unsigned i = 0; i < count && !conf_failed(); i++)
        vm_create(&dev[i], "tim0");
}

/* ---- IM-INI-01
 * ------------------------------------------------------------------------------------ */
static void wait_in_init(struct nic *n)
{
    KeSetEvent(&inside, 0, FALSE);
    KeWaitForSingleObject(&go_on, Executive, KernelMode, FALSE, NULL);
    log_event("leaving init");
}
static void start_nic(void *arg)
{
    umn__pnp_start_device(world_nic_instance(0), NULL);
    KeSetEvent(&inside, 0, FALSE);
}
static void query_nic(void *arg)
{
    ULONG id = 0;
    unsigned length = sizeof id;
    NDIS_STATUS status = NDIS_STATUS_PENDING;
    umn__ndis_oid(world_nic_guid(0), NdisRequestQueryInformation, OID_GEN_VENDOR_ID, &id, &length,
                  &status);
    log_event("query over");
}
static void bind_nic(void *arg)
{
    umn__netcfg_bind("tproto0", world_nic_guid(0));
    log_event("bind over");
}

CONF(im_ini_01_nothing_is_submitted_while_initialize_runs, NULL, 0)
{
    char state[32];
    KeInitializeEvent(&inside, NotificationEvent, FALSE);
    KeInitializeEvent(&go_on, NotificationEvent, FALSE);
    nic_script.on_init = wait_in_init;
    world_proto(0);
    CHECK(world_nic(false) == NULL);
    CHECK_OK();
    struct umn_ctx *starter = in_thread(start_nic, NULL);
    CHECK(starter != NULL);
    KeWaitForSingleObject(&inside, Executive, KernelMode, FALSE, NULL);
    snprintf(state, sizeof state, "%s", adapter_state(world_nic_guid(0)));
    struct umn_ctx *asker = in_thread(query_nic, NULL), *binder = in_thread(bind_nic, NULL);
    settle(100);
    int oids = log_count("nic0.oid"), binds = log_count("tproto0.bind");
    KeSetEvent(&go_on, 0, FALSE);
    if (asker)
        umn__ctx_join(asker);
    if (binder)
        umn__ctx_join(binder);
    umn__ctx_join(starter);
    settle(10);
    CHECK_STR(state, "Initializing");
    CHECK_EQ(oids, 0);
    CHECK_EQ(binds, 0);
    CHECK_LOGGED("nic0.init irql 0", 1);
    CHECK(log_in_order("leaving init", "nic0.init.end 00000000", "tproto0.bind \\", NULL));
    CHECK(log_find("nic0.oid", 0) < 0 || log_find("nic0.oid", 0) > log_find("nic0.init.end", 0));
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
}

CONF(im_ini_01_initialize_runs_at_passive_level, NULL, 0)
{
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_LOGGED("nic0.init irql 0", 1);
    CHECK_LOGGED("nic0.init irql", 1);
}

/* ---- IM-INI-02
 * ------------------------------------------------------------------------------------------ */
CONF(im_ini_02_general_before_registration_fails, NULL, CONF_REPORTS)
{
    conf_expect("ST-15");
    nic_script.general_first = true;
    CHECK(world_nic(false) == NULL);
    CHECK_OK();
    CHECK(umn__pnp_start_device(world_nic_instance(0), NULL) != 0);
    CHECK_REPORTED("ST-15", 1);
    CHECK_LOGGED("nic0.init.end", 1);
    CHECK_LOGGED("nic0.init.end 00000000", 0);
    CHECK_LOGGED("nic0.halt", 0);
}

static NDIS_STATUS status_of[4];

static NDIS_STATUS set_type(struct nic *n, UCHAR type, UCHAR revision, USHORT size)
{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES a = {0};
    NDIS_OBJECT_HEADER *h = (NDIS_OBJECT_HEADER *)&a;
    h->Type = type;
    h->Revision = revision;
    h->Size = size;
    return NdisMSetMiniportAttributes(n->handle, &a);
}

static void offload_before_general(struct nic *n)
{
    status_of[0] = set_type(n, NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
                            NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
                            NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1);
}

CONF(im_ini_02_offload_before_general_fails, NULL, CONF_REPORTS)
{
    conf_expect("ST-15");
    status_of[0] = NDIS_STATUS_SUCCESS;
    nic_script.skip_general = true;
    nic_script.on_init = offload_before_general;
    nic_script.init_status = NDIS_STATUS_FAILURE;
    CHECK(world_nic(false) == NULL);
    CHECK_OK();
    umn__pnp_start_device(world_nic_instance(0), NULL);
    CHECK_LOGGED("nic0.init.end", 1);
    CHECK_EQ(status_of[0], NDIS_STATUS_FAILURE);
    CHECK_REPORTED("ST-15", 1);
}

/* ---- IM-INI-03
 * --------------------------------------------------------------------------------------------- */
static void bad_revisions(struct nic *n)
{
    static const UCHAR type[] = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
                                 NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES};
    for (unsigned i = 0; i < 4; i++)
        status_of[i] = set_type(n, type[i / 2], i % 2 ? 99 : 0, 500);
}

CONF(im_ini_03_unknown_revisions_are_bad_version, NULL, 0)
{
    memset(status_of, 0, sizeof status_of);
    nic_script.on_init = bad_revisions;
    CHECK(world_nic(true) != NULL);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(status_of[i], NDIS_STATUS_BAD_VERSION);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running"); /* what was set before stands */
}

static void set_nothing(void *arg)
{
    status_of[0] = set_type(arg, NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES, 0, 500);
}
static void set_at_dispatch(struct nic *n)
{
    at_dispatch(set_nothing, n);
}

CONF(im_ini_03_above_passive_level_is_reported, NULL, CONF_REPORTS)
{
    conf_expect("Irql_Miniport_Driver_Function");
    nic_script.on_init = set_at_dispatch;
    CHECK(world_nic(true) != NULL);
    CHECK_EQ(umn__report_count_rule("Irql_Miniport_Driver_Function"), 1);
}

/* ---- IM-INI-04, -05
 * ------------------------------------------------------------------------------------------ */
CONF(im_ini_04_success_without_general_attributes_is_a_failure, "IM-PNP-07", CONF_REPORTS)
{
    char halt[40];
    conf_expect("ST-15");
    nic_script.skip_general = true;
    CHECK(world_nic(false) == NULL);
    CHECK_OK();
    CHECK(umn__pnp_start_device(world_nic_instance(0), NULL) != 0);
    CHECK_REPORTED("ST-15", 1);
    snprintf(halt, sizeof halt, "nic0.halt action %d", (int)NdisHaltDeviceInitializationFailed);
    CHECK_LOGGED("nic0.init.end 00000000", 1);
    CHECK_LOGGED("nic0.halt", 1);
    CHECK_LOGGED(halt, 1);
    CHECK_LOGGED("nic0.restart", 0);
    CHECK_STR(adapter_state(world_nic_guid(0)), "");
}

CONF(im_ini_04_the_virtual_miniports_of_the_mux_have_them, NULL, 0)
{
    char id[64], guid[64];
    world_mux();
    CHECK(world_nic(true) != NULL);
    world_bind("mux", world_nic_guid(0));
    world_vm(0, NULL, 0, id, guid);
    CHECK_OK();
    struct ndis_adapter *a = ndis__adapter_find(guid);
    CHECK(a != NULL);
    CHECK(a->attr.have_registration && a->attr.have_general);
    CHECK_EQ(a->attr.general.Header.Type, NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES);
    CHECK_EQ(a->attr.general.MacAddressLength, 6);
    CHECK_EQ(a->attr.general.MtuSize, 1500);
}

static char state_after[32];
static bool paused_seen;
static void see_states(const struct umn_trace_event *e)
{
    if (!strcmp(e->what, "adapter.state") && strstr(e->text, "Initializing ->"))
        snprintf(state_after, sizeof state_after, "%s", strstr(e->text, "->") + 3);
    if (!strcmp(e->what, "adapter.state") && strstr(e->text, "Paused -> Restarting"))
        paused_seen = true;
}

static void initialize_with(NDIS_STATUS status)
{
    state_after[0] = 0;
    paused_seen = false;
    nic_script.init_status = status;
    CHECK(world_nic(false) == NULL);
    CHECK_OK();
    umn__trace_follow(see_states);
    int e = umn__pnp_start_device(world_nic_instance(0), NULL);
    umn__trace_follow(NULL);
    CHECK_LOGGED("nic0.init.end", 1);
    CHECK_EQ(e == 0, status == NDIS_STATUS_SUCCESS);
    CHECK_LOGGED("nic0.halt", 0);
    CHECK_EQ(log_count("nic0.restart irql"), status == NDIS_STATUS_SUCCESS);
    CHECK_STR(state_after, status == NDIS_STATUS_SUCCESS ? "Paused" : "Halted");
    CHECK_EQ(paused_seen, status == NDIS_STATUS_SUCCESS);
}

CONF(im_ini_05_success_leads_to_paused, NULL, 0)
{
    initialize_with(NDIS_STATUS_SUCCESS);
}
CONF(im_ini_05_not_accepted_leads_to_halted, NULL, 0)
{
    initialize_with(NDIS_STATUS_NOT_ACCEPTED);
}
CONF(im_ini_05_resources_leads_to_halted, NULL, 0)
{
    initialize_with(NDIS_STATUS_RESOURCES);
}
CONF(im_ini_05_failure_leads_to_halted, NULL, 0)
{
    initialize_with(NDIS_STATUS_FAILURE);
}

CONF(im_ini_05_virtual_miniport_that_fails_is_halted, NULL, 0)
{
    nic_script.init_status = NDIS_STATUS_RESOURCES;
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    umn__pnp_start_device(dev[0].id, NULL);
    CHECK_LOGGED("nic0.init.end", 1);
    CHECK_LOGGED("nic0.halt", 0);
    CHECK_LOGGED("nic0.pnp", 0);
    CHECK(strcmp(adapter_state(dev[0].guid), "Running"));
    /* The driver has cleaned up itself: its handle is dead. */
    CHECK(ndis__kind(nics[0].handle) == NDIS_KIND_DEAD);
}

/* ---- IM-INI-08
 * -------------------------------------------------------------------------------------------------
 */
static bool auth_good;
static void see_auth(struct nic *n)
{
    const NDIS_PORT_AUTHENTICATION_PARAMETERS *p = n->init.DefaultPortAuthStates;
    auth_good = p && p->Header.Type == NDIS_OBJECT_TYPE_DEFAULT &&
                p->Header.Revision == NDIS_PORT_AUTHENTICATION_PARAMETERS_REVISION_1 &&
                p->Header.Size >= NDIS_SIZEOF_PORT_AUTHENTICATION_PARAMETERS_REVISION_1 &&
                p->SendAuthorizationState == NdisPortAuthorized &&
                p->RcvAuthorizationState == NdisPortAuthorized;
}

CONF(im_ini_08_init_parameters, NULL, 0)
{
    nic_script.on_init = see_auth;
    auth_good = false;
    tim_devices(3);
    CHECK_OK();
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(umn__pnp_start_device(dev[i].id, NULL), 0);
        CHECK_EQ(im_request(0, dev[i].name, &dev[i]), NDIS_STATUS_SUCCESS);
        struct nic *vm = nic_by_guid(dev[i].guid);
        CHECK(vm != NULL);
        CHECK_EQ(vm->init.Header.Type, NDIS_OBJECT_TYPE_MINIPORT_INIT_PARAMETERS);
        CHECK_EQ(vm->init.Header.Revision, NDIS_MINIPORT_INIT_PARAMETERS_REVISION_1);
        CHECK(vm->init.Header.Size >= NDIS_SIZEOF_MINIPORT_INIT_PARAMETER_REVISION_1);
        CHECK(vm->init.IfIndex != 0);
        CHECK(vm->init.NetLuid.Value != 0);
        CHECK(auth_good);
        for (unsigned k = 0; k < i; k++) {
            CHECK(vm->init.IfIndex != nic_by_guid(dev[k].guid)->init.IfIndex);
            CHECK(vm->init.NetLuid.Value != nic_by_guid(dev[k].guid)->init.NetLuid.Value);
        }
    }
}

CONF(im_ini_08_luid_stays_the_same_over_a_new_initialize, "IM-VMP-22", 0)
{
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    struct nic *vm = nic_by_guid(dev[0].guid);
    CHECK(vm != NULL);
    uint64_t luid = vm->init.NetLuid.Value;
    CHECK_EQ(im_deinitialize(vm), NDIS_STATUS_SUCCESS);
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    vm = nic_by_guid(dev[0].guid);
    CHECK(vm && vm->init.NetLuid.Value == luid && vm->init.IfIndex != 0);
}
