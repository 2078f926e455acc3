/* SPDX-License-Identifier: MIT */
/*
 * Group VMP: what the library makes of NdisIMInitializeDeviceInstanceEx and NdisIMGetBindingContext
 * (IM-VMP-03, -06 to -09, -17, -20, -22). The MUX's part is in vmp_mux.c.
 */
#include <stdio.h>
#include "ndis/internal.h"
#include "spy.h"

static struct vmdev dev[4];

static void tim_devices(unsigned count)
{
    world_im(0);
    for (unsigned i = 0; i < count && !conf_failed(); i++)
        vm_create(&dev[i], "tim0");
}

/* dev[0] of tim0 running with this DeviceContext. */
static struct nic *running_vm(void *context)
{
    tim_devices(1);
    if (conf_failed() || umn__pnp_start_device(dev[0].id, NULL) ||
        im_request(0, dev[0].name, context) != NDIS_STATUS_SUCCESS ||
        strcmp(adapter_state(dev[0].guid), "Running")) {
        conf_fail(__FILE__, __LINE__, "no virtual miniport");
        return NULL;
    }
    return nic_by_guid(dev[0].guid);
}

/* ---- IM-VMP-03
 * ------------------------------------------------------------------------------------ */
CONF(im_vmp_03_bind_without_any_virtual_miniport, NULL, 0)
{
    world_im(0);
    CHECK(world_nic(true) != NULL);
    world_bind("tim0", world_nic_guid(0));
    CHECK_OK();
    settle(1000);
    CHECK_LOGGED("tim0.bind.end 00000000", 1);
    CHECK_LOGGED("tim0.unbind", 0);
    CHECK_LOGGED("tim0.request", 0);
    CHECK_EQ(vm_pending(), 0);
    CHECK_STR(binding_state(world_nic_guid(0), "tim0"), "Running");
    CHECK_LOGGED("nic1.init irql", 0);
    CHECK_EQ(umn__netcfg_unbind("tim0", world_nic_guid(0)), 0);
    CHECK_LOGGED("tim0.unbind.end", 1);
}

CONF(im_vmp_03_two_adapters_one_virtual_miniport, NULL, 0)
{
    tim_devices(1);
    CHECK(world_nic(true) != NULL);
    CHECK(world_nic(true) != NULL);
    world_bind("tim0", world_nic_guid(0));
    world_bind("tim0", world_nic_guid(1));
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    settle(10);
    CHECK_STR(binding_state(world_nic_guid(0), "tim0"), "Running");
    CHECK_STR(binding_state(world_nic_guid(1), "tim0"), "Running");
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

/* ---- IM-VMP-06
 * -------------------------------------------------------------------------------------- */
CONF(im_vmp_06_each_name_goes_to_its_driver, NULL, 0)
{
    struct vmdev other;
    tim_devices(1);
    world_im(1);
    vm_create(&other, "tim1");
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(other.id, NULL), 0);
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(im_request(1, other.name, &other), NDIS_STATUS_SUCCESS);
    CHECK_EQ(im_request(0, dev[0].name, &dev[0]), NDIS_STATUS_SUCCESS);
    struct nic *a = nic_by_guid(dev[0].guid), *b = nic_by_guid(other.guid);
    CHECK(a && b);
    CHECK(a->im == &ims[0]);
    CHECK(a->im_context == &dev[0]);
    CHECK(b->im == &ims[1]);
    CHECK(b->im_context == &other);
    CHECK_LOGGED("nic0.init irql", 1);
    CHECK_LOGGED("nic1.init irql", 1);
}

/* A name that is another driver's device leads to nobody's MiniportInitializeEx. */
CONF(im_vmp_06_request_for_another_drivers_device_is_not_granted, NULL, 0)
{
    struct vmdev other;
    tim_devices(0);
    world_im(1);
    vm_create(&other, "tim1");
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(other.id, NULL), 0);
    im_request(0, other.name, NULL);
    settle(100);
    CHECK_LOGGED("nic", 0);
    im_cancel(0, other.name);
    CHECK_EQ(im_request(1, other.name, NULL), NDIS_STATUS_SUCCESS);
    struct nic *vm = nic_by_guid(other.guid);
    CHECK(vm != NULL);
    CHECK(vm->im == &ims[1]);
}

CONF(im_vmp_06_the_named_device_is_initialized_and_no_other, NULL, 0)
{
    tim_devices(3);
    CHECK_OK();
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(umn__pnp_start_device(dev[i].id, NULL), 0);
    CHECK_EQ(im_request(0, dev[1].name, NULL), NDIS_STATUS_SUCCESS);
    settle(10);
    CHECK_LOGGED("nic0.init irql", 1);
    CHECK_LOGGED("nic1.init irql", 0);
    CHECK(nic_by_guid(dev[1].guid) == &nics[0]);
    CHECK_STR(adapter_state(dev[0].guid), "Halted");
    CHECK_STR(adapter_state(dev[2].guid), "Halted");
}

/* Question 3: the bare {GUID}, in any case, is the same name. */
CONF(im_vmp_06_bare_guid_in_lower_case_names_the_device, NULL, 0)
{
    char name[64];
    tim_devices(1);
    CHECK_OK();
    for (unsigned i = 0; i < sizeof name; i++) {
        char c = dev[0].guid[i];
        name[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(im_request(0, name, NULL), NDIS_STATUS_SUCCESS);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_NOT_ACCEPTED);
}

/* ---- IM-VMP-07
 * ------------------------------------------------------------------------------------------ */
CONF(im_vmp_07_device_context_reappears, NULL, 0)
{
    int sentinel;
    struct nic *vm = running_vm(&sentinel);
    CHECK(vm != NULL);
    CHECK(vm->init.IMDeviceInstanceContext == &sentinel);
}

CONF(im_vmp_07_null_device_context, NULL, 0)
{
    struct nic *vm = running_vm(NULL);
    CHECK(vm != NULL);
    CHECK(vm->init.IMDeviceInstanceContext == NULL);
    CHECK_LOGGED("nic0.init irql", 1);
}

CONF(im_vmp_07_plain_miniport_has_none, NULL, 0)
{
    struct nic *n = world_nic(true);
    CHECK(n != NULL);
    CHECK(n->init.IMDeviceInstanceContext == NULL);
}

/* ---- IM-VMP-08
 * -------------------------------------------------------------------------------------------- */
CONF(im_vmp_08_second_request_for_a_running_one_is_not_accepted, NULL, 0)
{
    CHECK(running_vm(NULL) != NULL);
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_NOT_ACCEPTED);
    settle(10);
    CHECK_LOGGED("nic0.init irql", 1);
    CHECK_LOGGED("nic1.init irql", 0);
    CHECK_LOGGED("nic0.halt", 0);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

/* Question 7: while the first is pending; the first stays, with its context. */
CONF(im_vmp_08_second_request_for_a_pending_one_is_not_accepted, NULL, 0)
{
    int first, second;
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, &first), NDIS_STATUS_SUCCESS);
    CHECK_EQ(im_request(0, dev[0].name, &second), NDIS_STATUS_NOT_ACCEPTED);
    CHECK_EQ(vm_pending(), 1);
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_LOGGED("nic0.init irql", 1);
    CHECK_LOGGED("nic1.init irql", 0);
    struct nic *vm = nic_by_guid(dev[0].guid);
    CHECK(vm && vm->im_context == &first);
}

static void request_again(void *arg)
{
    *(NDIS_STATUS *)arg = im_request(0, dev[0].name, NULL);
}

CONF(im_vmp_08_of_two_requests_at_once_one_is_accepted, NULL, 0)
{
    NDIS_STATUS first, second = NDIS_STATUS_FAILURE;
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    struct umn_ctx *other = in_thread(request_again, &second);
    CHECK(other != NULL);
    first = im_request(0, dev[0].name, NULL);
    umn__ctx_join(other);
    settle(10);
    CHECK((first == NDIS_STATUS_SUCCESS) != (second == NDIS_STATUS_SUCCESS));
    CHECK_EQ(first == NDIS_STATUS_SUCCESS ? second : first, NDIS_STATUS_NOT_ACCEPTED);
    CHECK_LOGGED("nic0.init irql", 1);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

/* Question 5: SUCCESS means "initiated"; the request is used up and the name may be asked for
 * again. */
CONF(im_vmp_08_initialize_that_fails_inside_is_still_success, "IM-INI-05", 0)
{
    tim_devices(1);
    CHECK_OK();
    nic_script.init_status = NDIS_STATUS_FAILURE;
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    CHECK_LOGGED("nic0.init.end", 1);
    CHECK_LOGGED("nic0.halt", 0);
    CHECK_STR(adapter_state(dev[0].guid), "Halted");
    CHECK_EQ(vm_pending(), 0);
    CHECK_EQ(im_cancel(0, dev[0].name), NDIS_STATUS_FAILURE);
    nic_script.init_status = NDIS_STATUS_SUCCESS;
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    CHECK_LOGGED("nic0.init.end", 2);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

/* Question 6. */
CONF(im_vmp_08_handle_of_a_plain_miniport_driver_is_refused, NULL, CONF_REPORTS)
{
    WCHAR text[] = u"\\Device\\{DEADBEEF-0000-0000-0000-000000000000}";
    NDIS_STRING name;
    conf_expect("IM-VMP-08");
    RtlInitUnicodeString(&name, text);
    CHECK(world_nic(true) != NULL);
    CHECK_EQ(NdisIMInitializeDeviceInstanceEx(nic_driver_handle, &name, NULL), NDIS_STATUS_FAILURE);
    CHECK_REPORTED("IM-VMP-08", 1);
    CHECK_EQ(vm_pending(), 0);
}

CONF(im_vmp_08_no_handle_is_refused, NULL, CONF_REPORTS)
{
    WCHAR text[] = u"\\Device\\{DEADBEEF-0000-0000-0000-000000000000}";
    NDIS_STRING name;
    conf_expect("HandleType");
    RtlInitUnicodeString(&name, text);
    world_im(0);
    CHECK_OK();
    CHECK_EQ(NdisIMInitializeDeviceInstanceEx(NULL, &name, NULL), NDIS_STATUS_FAILURE);
    CHECK_REPORTED("HandleType", 1);
    CHECK_EQ(vm_pending(), 0);
}

/* ---- IM-VMP-09: IRQL
 * --------------------------------------------------------------------------------------- */
static const char nobody[] = "\\Device\\{DEADBEEF-0000-0000-0000-000000000000}";

static void do_associate(void *arg)
{
    NdisIMAssociateMiniport(ims[0].miniport, ims[0].protocol);
}
static void do_request(void *arg)
{
    im_request(0, nobody, NULL);
}
static void do_cancel(void *arg)
{
    im_cancel(0, nobody);
}
static void do_deinitialize(void *arg)
{
    NdisIMDeInitializeDeviceInstance(&dev); /* no handle: nothing is torn down at DISPATCH */
}
static void do_get_context(void *arg)
{
    NdisIMGetBindingContext(((struct bnd *)arg)->handle);
}

static void expect_irql_report(void (*call)(void *))
{
    conf_expect("Irql_IM_Function");
    world_im(0);
    CHECK_OK();
    call(NULL);
    CHECK_EQ(umn__report_count_rule("Irql_IM_Function"), 0);
    im_cancel(0, nobody);
    at_dispatch(call, NULL);
    CHECK_EQ(umn__report_count_rule("Irql_IM_Function"), 1);
    im_cancel(0, nobody);
}

CONF(im_vmp_09_associate_at_dispatch_is_reported, NULL, CONF_REPORTS)
{
    expect_irql_report(do_associate);
}
CONF(im_vmp_09_initialize_at_dispatch_is_reported, NULL, CONF_REPORTS)
{
    expect_irql_report(do_request);
}
CONF(im_vmp_09_cancel_at_dispatch_is_reported, NULL, CONF_REPORTS)
{
    expect_irql_report(do_cancel);
}
CONF(im_vmp_09_deinitialize_at_dispatch_is_reported, NULL, CONF_REPORTS)
{
    expect_irql_report(do_deinitialize);
}

CONF(im_vmp_09_get_binding_context_below_dispatch_only, "IM-VMP-17", CONF_REPORTS)
{
    conf_expect("Irql_IM_Function");
    world_proto(0);
    CHECK(world_nic(true) != NULL);
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    struct bnd *b = proto_on(0, world_nic_guid(0));
    CHECK(b != NULL);
    do_get_context(b);
    uint8_t old = umn__irql_raise(UMN_APC);
    do_get_context(b);
    umn__irql_lower(old);
    CHECK_EQ(umn__report_count_rule("Irql_IM_Function"), 0);
    at_dispatch(do_get_context, b);
    CHECK_EQ(umn__report_count_rule("Irql_IM_Function"), 1);
}

/* ---- IM-VMP-17
 * ------------------------------------------------------------------------------------------------
 */
static NDIS_HANDLE seen_context;
static void ask_context(struct bnd *b)
{
    seen_context = NdisIMGetBindingContext(b->handle);
}

static void context_seen_above(void *context)
{
    seen_context = (NDIS_HANDLE)&seen_context;
    proto_script.on_bind = ask_context;
    world_proto(0);
    tim_devices(1);
    world_bind("tproto0", dev[0].guid);
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(im_request(0, dev[0].name, context), NDIS_STATUS_SUCCESS);
    settle(10);
    CHECK_LOGGED("tproto0.bind.end 00000000", 1);
    CHECK(seen_context == context);
}

CONF(im_vmp_17_upper_protocol_gets_the_device_context, NULL, 0)
{
    static int sentinel;
    context_seen_above(&sentinel);
}

CONF(im_vmp_17_null_when_there_is_no_device_context, NULL, 0)
{
    context_seen_above(NULL);
}

CONF(im_vmp_17_null_on_a_physical_adapter, NULL, 0)
{
    seen_context = (NDIS_HANDLE)&seen_context;
    proto_script.on_bind = ask_context;
    world_proto(0);
    CHECK(world_nic(true) != NULL);
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    CHECK_LOGGED("tproto0.bind.end 00000000", 1);
    CHECK(seen_context == NULL);
}

/* ---- IM-VMP-20: the order of a boot
 * ------------------------------------------------------------------------------ */
static void ask_for_all(struct bnd *b)
{
    im_request(0, dev[0].name, NULL);
    im_request(0, dev[1].name, NULL);
}

static void give_all_back(struct bnd *b)
{
    for (unsigned i = 0; i < 2; i++) {
        struct nic *vm = nic_by_guid(dev[i].guid);
        if (!vm || im_deinitialize(vm) != NDIS_STATUS_SUCCESS)
            im_cancel(0, dev[i].name);
    }
}

CONF(im_vmp_20_three_layers_come_up_from_below, NULL, 0)
{
    im_script.on_bind = ask_for_all;
    im_script.on_unbind = give_all_back;
    world_proto(0);
    tim_devices(2);
    CHECK(world_nic(false) == NULL);
    CHECK_OK();
    /* All that is in the registry is there before anything starts; the devices start from above. */
    world_bind("tim0", world_nic_guid(0));
    world_bind("tproto0", dev[0].guid);
    world_bind("tproto0", dev[1].guid);
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[1].id, NULL), 0);
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(umn__pnp_start_device(world_nic_instance(0), NULL), 0);
    settle(10);
    CHECK_STR(binding_state(dev[0].guid, "tproto0"), "Running");
    CHECK_STR(binding_state(dev[1].guid, "tproto0"), "Running");
    char first[96], second[96];
    snprintf(first, sizeof first, "tproto0.bind %s", dev[0].name);
    snprintf(second, sizeof second, "tproto0.bind %s", dev[1].name);
    CHECK(log_in_order("nic0.init.end 00000000", "tim0.bind \\", "nic1.init irql",
                       "nic1.init.end 00000000", first, NULL));
    CHECK(log_in_order("tim0.bind \\", "nic2.init irql", "nic2.init.end 00000000", second, NULL));
    CHECK_EQ(umn__pnp_remove_device(world_nic_instance(0)), 0);
    CHECK(log_in_order("tim0.unbind \\", "tproto0.unbind \\", "nic2.halt", "nic0.halt", NULL));
}

CONF(im_vmp_20_mux_chain_comes_up_from_below, NULL, 0)
{
    char init[100], bind[100];
    world_proto(0);
    world_mux();
    spy_mux();
    CHECK(world_nic(false) == NULL);
    vm_create(&dev[0], "mux");
    vm_list("mux", 0, dev, 1);
    world_bind("mux", world_nic_guid(0));
    world_bind("tproto0", dev[0].guid);
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(umn__pnp_start_device(world_nic_instance(0), NULL), 0);
    settle(10);
    snprintf(init, sizeof init, "mux.init.end %s 00000000", dev[0].name);
    snprintf(bind, sizeof bind, "tproto0.bind %s", dev[0].name);
    CHECK(log_in_order("nic0.init.end 00000000", "mux.bind \\", "mux.init \\", init, bind, NULL));
    CHECK_STR(binding_state(dev[0].guid, "tproto0"), "Running");
}

/* ---- IM-VMP-22
 * -----------------------------------------------------------------------------------------------------
 */
CONF(im_vmp_22_ten_cycles_of_one_name, "IM-VMP-14", 0)
{
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    size_t pool = 0;
    for (unsigned i = 0; i < 10; i++) {
        CHECK_EQ(im_request(0, dev[0].name, &dev[0]), NDIS_STATUS_SUCCESS);
        CHECK_STR(adapter_state(dev[0].guid), "Running");
        struct nic *vm = nic_by_guid(dev[0].guid);
        CHECK(vm && vm->im_context == &dev[0]);
        CHECK_EQ(im_deinitialize(vm), NDIS_STATUS_SUCCESS);
        /* The handle is stale until the next MiniportInitializeEx makes it (or another) valid. */
        CHECK_EQ(NdisIMDeInitializeDeviceInstance(vm->handle), NDIS_STATUS_FAILURE);
        CHECK_STR(adapter_state(dev[0].guid), "Halted");
        CHECK_EQ(log_count("nic0.halt"), i + 1);
        if (i == 0)
            pool = umn__pool_live();
    }
    CHECK_LOGGED("nic0.init.end 00000000", 10);
    CHECK_EQ(umn__pool_live(), pool);
}

CONF(im_vmp_22_again_after_disable_and_enable, NULL, 0)
{
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
        CHECK_STR(adapter_state(dev[0].guid), "Running");
        CHECK_EQ(umn__pnp_disable_device(dev[0].id), 0);
        CHECK_EQ(umn__pnp_enable_device(dev[0].id), 0);
        settle(10);
        CHECK_EQ(log_count("nic0.init irql"), i + 1); /* question 11: the request is used up */
        CHECK_STR(adapter_state(dev[0].guid), "Halted");
    }
}

CONF(im_vmp_22_again_after_stop_before_the_restart, "IM-PNP-01", 0)
{
    CHECK(running_vm(NULL) != NULL);
    CHECK_EQ(umn__pnp_stop_device(dev[0].id), 0);
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    settle(10);
    CHECK_LOGGED("nic0.init irql", 1);
    CHECK_EQ(umn__pnp_restart_device(dev[0].id), 0);
    settle(10);
    CHECK_LOGGED("nic0.init irql", 2);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}
