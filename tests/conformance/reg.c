/* SPDX-License-Identifier: MIT */
/* Group REG: driver registration and edge association. */
#include "world.h"
#include <stdio.h>

/* ---- what the real MUX registers is seen through the library's own copy -------------------------
 */
#include "ndis/internal.h"

static struct ndis_mdriver *mdriver_of(const char *service)
{
    umn_list_for_each (at, &ndis.mdrivers) {
        struct ndis_mdriver *d = umn_container_of(at, struct ndis_mdriver, link);
        if (!strcmp(d->service, service))
            return d;
    }
    return NULL;
}

static struct ndis_protocol *protocol_of(const char *service)
{
    umn_list_for_each (at, &ndis.protocols) {
        struct ndis_protocol *p = umn_container_of(at, struct ndis_protocol, link);
        if (!strcmp(p->service, service))
            return p;
    }
    return NULL;
}

CONF(im_reg_01_mux_registers_as_intermediate_driver, NULL, 0)
{
    world_mux();
    CHECK_OK();
    struct ndis_mdriver *d = mdriver_of("mux");
    CHECK(d != NULL);
    CHECK(d->chars.Flags & NDIS_INTERMEDIATE_DRIVER);
    CHECK(d->intermediate);
    unsigned registrations = 0;
    umn_list_for_each (at, &ndis.mdrivers)
        registrations++;
    CHECK_EQ(registrations, 1);
    /* The handle of the later NdisIM calls: a request made with another one would be refused, so a
     * running virtual miniport proves it. */
    char id[64], guid[64];
    struct nic *n = world_nic(true);
    CHECK(n != NULL);
    world_bind("mux", world_nic_guid(0));
    world_vm(0, NULL, 0, id, guid);
    CHECK_OK();
    settle(10);
    CHECK_STR(adapter_state(guid), "Running");
}

CONF(im_reg_02_mux_registers_a_protocol_edge, NULL, 0)
{
    world_mux();
    CHECK_OK();
    struct ndis_protocol *p = protocol_of("mux");
    CHECK(p != NULL);
    CHECK(world_nic(true) != NULL);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_EQ(umn_list_empty(&p->bindings), false); /* opened with this protocol handle */
}

CONF(im_reg_03_mux_associates_its_edges_in_driver_entry, NULL, 0)
{
    world_mux();
    CHECK_OK();
    struct ndis_mdriver *d = mdriver_of("mux");
    struct ndis_protocol *p = protocol_of("mux");
    CHECK(d && p);
    CHECK(d->associated == p);
    CHECK(p->associated == d);
}

static NDIS_STATUS register_bare(void (*edit)(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *))
{
    nic_script.characteristics = edit;
    umn__netcfg_add_service("tnic", "miniport", "builtin:tnic");
    int e = umn__netcfg_load("tnic");
    NDIS_STATUS status = nic_register_status();
    if (!e)
        umn__netcfg_unload("tnic");
    return status;
}
static void size_wrong(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c)
{
    c->Header.Size = 40;
}
static void major_seven(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c)
{
    c->MajorNdisVersion = 7;
}
static void minor_nineteen(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c)
{
    c->MinorNdisVersion = 19;
}
static void type_wrong(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c)
{
    c->Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
}

CONF(im_reg_04_miniport_registration_statuses, NULL, 0)
{
    CHECK_EQ(register_bare(NULL), NDIS_STATUS_SUCCESS);
    CHECK_EQ(register_bare(size_wrong), NDIS_STATUS_BAD_CHARACTERISTICS);
    CHECK_EQ(register_bare(type_wrong), NDIS_STATUS_BAD_CHARACTERISTICS);
    CHECK_EQ(register_bare(major_seven), NDIS_STATUS_BAD_VERSION);
    CHECK_EQ(register_bare(minor_nineteen), NDIS_STATUS_BAD_VERSION);
}

CONF(im_reg_04_allocation_failure_is_resources, NULL, CONF_NO_SWEEP)
{
    umn__netcfg_add_service("tnic", "miniport", "builtin:tnic");
    bool seen = false;
    for (unsigned nth = 1; nth < 60 && !seen; nth++) {
        log_clear();
        plat_fail_alloc_at(nth);
        int e = umn__netcfg_load("tnic");
        plat_fail_alloc_at(0);
        if (e && log_count("tnic.entry") == 1)
            seen = nic_register_status() == NDIS_STATUS_RESOURCES;
        if (!e)
            umn__netcfg_unload("tnic");
    }
    CHECK(seen);
}

static NDIS_STATUS register_protocol(void (*edit)(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *))
{
    proto_script.characteristics = edit;
    umn__netcfg_add_service("tproto0", "protocol", "builtin:tproto");
    int e = umn__netcfg_load("tproto0");
    NDIS_STATUS status = protos[0].register_status;
    if (!e)
        umn__netcfg_unload("tproto0");
    return status;
}
static void p_major(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *c)
{
    c->MajorNdisVersion = 5;
}
static void p_size(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *c)
{
    c->Header.Size = 8;
}
static void p_no_bind(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *c)
{
    c->BindAdapterHandlerEx = NULL;
}
static void p_no_close_complete(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *c)
{
    c->CloseAdapterCompleteHandlerEx = NULL;
}
static void p_no_name(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *c)
{
    c->Name.Length = 0;
}

CONF(im_reg_05_protocol_registration_statuses, NULL, 0)
{
    CHECK_EQ(register_protocol(NULL), NDIS_STATUS_SUCCESS);
    CHECK_EQ(register_protocol(p_major), NDIS_STATUS_BAD_VERSION);
    CHECK_EQ(register_protocol(p_size), NDIS_STATUS_BAD_CHARACTERISTICS);
    CHECK_EQ(register_protocol(p_no_bind), NDIS_STATUS_BAD_CHARACTERISTICS);
    CHECK_EQ(register_protocol(p_no_close_complete), NDIS_STATUS_BAD_CHARACTERISTICS);
    CHECK_EQ(register_protocol(p_no_name), NDIS_STATUS_BAD_CHARACTERISTICS);
}

/* ---- nothing is initialized before DriverEntry has returned
 * ---------------------------------------- */
static char sleeper_guid[64], sleeper_id[64];

static void load_sleeper(void *arg)
{
    umn__netcfg_load("tim0");
}
static void slow_characteristics(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c)
{
    log_event("registering");
}
static void ask_and_sleep(struct proto *p)
{
    log_event("sleeping");
    settle(100);
    log_event("slept");
}

CONF(im_reg_06_no_initialize_before_driver_entry_returns, NULL, 0)
{
    /* The device is there and is started while DriverEntry, which has registered, still sleeps. */
    umn__netcfg_add_service("tim0", "intermediate", "builtin:tim");
    world_vm_device("tim0", sleeper_id, sleeper_guid);
    CHECK_OK();
    im_script.characteristics = slow_characteristics;
    im_script.after_register = ask_and_sleep;
    im_script.request_in_entry = sleeper_guid;
    struct umn_ctx *loader = in_thread(load_sleeper, NULL);
    CHECK(loader != NULL);
    settle(50);
    int sleeping = log_count("sleeping"), slept = log_count("slept");
    int e = umn__pnp_start_device(sleeper_id, NULL); /* both halves are there, but for the entry */
    umn__ctx_join(loader);
    settle(200);
    CHECK_EQ(sleeping, 1);
    CHECK_EQ(slept, 0);
    CHECK_EQ(e, 0);
    CHECK_LOGGED("slept", 1);
    CHECK(log_in_order("registering", "sleeping", "slept", "tim0.entry.end", "nic0.init", NULL));
}

/* ---- callbacks as soon as the protocol is registered
 * -------------------------------------------------- */
CONF(im_reg_07_mux_takes_binds_inside_registration, NULL, 0)
{
    umn__ndis_settings.eager_bind = true;
    CHECK(world_nic(true) != NULL);
    umn__netcfg_add_service("mux", "intermediate", "mux");
    world_bind("mux", world_nic_guid(0)); /* not loaded yet: Linkage only */
    world_mux();
    CHECK_OK();
    settle(10);
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
}

CONF(im_reg_07_binds_are_held_until_entry_returns_by_default, NULL, 0)
{
    CHECK(world_nic(true) != NULL);
    umn__netcfg_add_service("tproto0", "protocol", "builtin:tproto");
    world_bind("tproto0", world_nic_guid(0));
    proto_script.on_entry = ask_and_sleep;
    world_proto(0);
    CHECK_OK();
    settle(10);
    CHECK(log_in_order("tproto0.entry", "slept", "tproto0.bind", NULL));
}

/* ---- required handlers
 * ----------------------------------------------------------------------------------- */
static unsigned which;
static void one_missing(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c)
{
    void *handler[] = {&c->InitializeHandlerEx,
                       &c->HaltHandlerEx,
                       &c->UnloadHandler,
                       &c->PauseHandler,
                       &c->RestartHandler,
                       &c->OidRequestHandler,
                       &c->SendNetBufferListsHandler,
                       &c->ReturnNetBufferListsHandler,
                       &c->CancelSendHandler,
                       &c->DevicePnPEventNotifyHandler,
                       &c->ShutdownHandlerEx,
                       &c->CancelOidRequestHandler};
    *(void **)handler[which] = NULL;
}

CONF(im_reg_08_each_handler_is_required, NULL, 0)
{
    umn__netcfg_add_service("tim0", "intermediate", "builtin:tim");
    im_script.characteristics = one_missing;
    for (which = 0; which < 12; which++) {
        CHECK(umn__netcfg_load("tim0") != 0);
        CHECK_EQ(ims[0].register_status, NDIS_STATUS_BAD_CHARACTERISTICS);
    }
}

CONF(im_reg_08_mux_supplies_every_handler, NULL, 0)
{
    world_mux();
    CHECK_OK();
    struct ndis_mdriver *d = mdriver_of("mux");
    CHECK(d != NULL);
    CHECK(d->chars.InitializeHandlerEx && d->chars.HaltHandlerEx && d->chars.UnloadHandler);
    CHECK(d->chars.PauseHandler && d->chars.RestartHandler && d->chars.OidRequestHandler);
    CHECK(d->chars.SendNetBufferListsHandler && d->chars.ReturnNetBufferListsHandler);
    CHECK(d->chars.CancelSendHandler && d->chars.DevicePnPEventNotifyHandler);
    CHECK(d->chars.ShutdownHandlerEx && d->chars.CancelOidRequestHandler);
}

CONF(im_reg_09_mux_has_no_hang_check_and_no_reset, NULL, 0)
{
    world_mux();
    CHECK_OK();
    struct ndis_mdriver *d = mdriver_of("mux");
    CHECK(d != NULL);
    CHECK(d->chars.CheckForHangHandlerEx == NULL);
    CHECK(d->chars.ResetHandlerEx == NULL);
}

static void hang_without_reset(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c)
{
    c->CheckForHangHandlerEx = (void *)c->PauseHandler;
}

CONF(im_reg_09_hang_check_in_intermediate_driver_is_refused, NULL, 0)
{
    umn__netcfg_add_service("tim0", "intermediate", "builtin:tim");
    im_script.characteristics = hang_without_reset;
    CHECK(umn__netcfg_load("tim0") != 0);
    CHECK_EQ(ims[0].register_status, NDIS_STATUS_BAD_CHARACTERISTICS);
}

CONF(im_reg_10_mux_protocol_characteristics, NULL, 0)
{
    world_mux();
    CHECK_OK();
    struct ndis_protocol *p = protocol_of("mux");
    CHECK(p != NULL);
    CHECK_EQ(p->chars.Flags, 0);
    CHECK_STR(p->service, "mux");
    CHECK(p->chars.BindAdapterHandlerEx && p->chars.UnbindAdapterHandlerEx);
    CHECK(p->chars.OpenAdapterCompleteHandlerEx && p->chars.CloseAdapterCompleteHandlerEx);
    CHECK(p->chars.NetPnPEventHandler && p->chars.OidRequestCompleteHandler);
    CHECK(p->chars.ReceiveNetBufferListsHandler && p->chars.SendNetBufferListsCompleteHandler);
    CHECK(p->chars.StatusHandlerEx);
}

CONF(im_reg_11_failed_entry_leaves_nothing, NULL, 0)
{
    umn__netcfg_add_service("tim0", "intermediate", "builtin:tim");
    im_script.entry_status = NDIS_STATUS_FAILURE;
    CHECK(umn__netcfg_load("tim0") != 0);
    CHECK(mdriver_of("tim0") == NULL);
    CHECK(protocol_of("tim0") == NULL);
    CHECK_LOGGED("tim0.unload", 0);
}

CONF(im_reg_11_mux_undoes_its_entry_at_each_failure, NULL, CONF_NO_SWEEP | CONF_SLOW)
{
    umn__netcfg_add_service("mux", "intermediate", "mux");
    unsigned refused = 0;
    for (unsigned nth = 1; nth < 400; nth++) {
        plat_fail_alloc_at(nth);
        int e = umn__netcfg_load("mux");
        bool injected = plat_alloc_failed();
        plat_fail_alloc_at(0);
        if (e) {
            refused++;
            CHECK(mdriver_of("mux") == NULL);
            CHECK(protocol_of("mux") == NULL);
        } else {
            umn__netcfg_unload("mux");
        }
        if (!injected)
            break;
    }
    CHECK(refused > 0);
}

CONF(im_reg_12_mux_virtual_edge_is_connectionless, NULL, 0)
{
    char id[64], guid[64];
    world_mux();
    CHECK(world_nic(true) != NULL);
    world_bind("mux", world_nic_guid(0));
    world_vm(0, NULL, 0, id, guid);
    CHECK_OK();
    settle(10);
    struct ndis_mdriver *d = mdriver_of("mux");
    CHECK(d != NULL);
    struct ndis_adapter *vm = ndis__adapter_find(guid);
    CHECK(vm != NULL);
    CHECK_EQ(vm->attr.general.MediaType, NdisMedium802_3);
}
