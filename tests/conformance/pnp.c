/* SPDX-License-Identifier: MIT */
/* Group PNP: start, remove and device events. The surprise removal is in pnp_surprise.c. */
#include <stdio.h>
#include "spy.h"

static struct vmdev dev[4];

/* tim0 loaded with `count` devices; nothing started, nothing asked for. */
static void tim_devices(unsigned count)
{
    world_im(0);
    for (unsigned i = 0; i < count && !conf_failed(); i++)
        vm_create(&dev[i], "tim0");
}

static void start_device(void *arg)
{
    umn__pnp_start_device(((struct vmdev *)arg)->id, NULL);
}
static void request_device(void *arg)
{
    im_request(0, ((struct vmdev *)arg)->name, arg);
}

/* ---- IM-PNP-01: both halves, whatever their order
 * ------------------------------------------------- */
CONF(im_pnp_01_neither_half_nothing, NULL, 0)
{
    tim_devices(1);
    CHECK_OK();
    settle(1000);
    CHECK_LOGGED("nic", 0);
    CHECK_EQ(vm_pending(), 0);
}

CONF(im_pnp_01_started_without_request_nothing, NULL, 0)
{
    tim_devices(1);
    CHECK_OK();
    /* Question 4: the IRP succeeds and the device waits for its driver. */
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    settle(1000);
    CHECK_LOGGED("nic", 0);
    CHECK_STR(adapter_state(dev[0].guid), "Halted");
}

CONF(im_pnp_01_started_before_request, "IM-PNP-03", 0)
{
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_LOGGED("nic0.init irql", 0);
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    settle(10);
    CHECK_LOGGED("nic0.init irql", 1);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

CONF(im_pnp_01_started_after_request, "IM-PNP-03", 0)
{
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    settle(100);
    CHECK_LOGGED("nic0.init irql", 0);
    CHECK_EQ(vm_pending(), 1);
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    settle(10);
    CHECK_LOGGED("nic0.init irql", 1);
    CHECK_EQ(vm_pending(), 0);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

CONF(im_pnp_01_started_during_request, NULL, 0)
{
    tim_devices(1);
    CHECK_OK();
    struct umn_ctx *starter = in_thread(start_device, &dev[0]);
    CHECK(starter != NULL);
    NDIS_STATUS status = im_request(0, dev[0].name, NULL);
    umn__ctx_join(starter);
    settle(10);
    CHECK_EQ(status, NDIS_STATUS_SUCCESS);
    CHECK_LOGGED("nic0.init irql", 1);
    CHECK_LOGGED("nic0.restart irql", 1);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

CONF(im_pnp_01_requested_during_start, NULL, 0)
{
    tim_devices(1);
    CHECK_OK();
    struct umn_ctx *asker = in_thread(request_device, &dev[0]);
    CHECK(asker != NULL);
    int e = umn__pnp_start_device(dev[0].id, NULL);
    umn__ctx_join(asker);
    settle(10);
    CHECK_EQ(e, 0);
    CHECK_LOGGED("nic0.init irql", 1);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

/* The PnP half is withdrawn again before the driver asks: nothing until the next start. */
CONF(im_pnp_01_request_after_remove_waits_for_next_start, NULL, 0)
{
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(umn__pnp_remove_device(dev[0].id), 0);
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    settle(100);
    CHECK_LOGGED("nic0.init irql", 0);
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_LOGGED("nic0.init irql", 1);
}

static void start_and_remove(void *arg)
{
    umn__pnp_start_device(((struct vmdev *)arg)->id, NULL);
    umn__pnp_remove_device(((struct vmdev *)arg)->id);
}

CONF(im_pnp_01_request_races_with_start_and_remove, "IM-PNP-06", 0)
{
    tim_devices(1);
    CHECK_OK();
    struct umn_ctx *pnp = in_thread(start_and_remove, &dev[0]);
    CHECK(pnp != NULL);
    NDIS_STATUS status = im_request(0, dev[0].name, NULL);
    umn__ctx_join(pnp);
    settle(10);
    CHECK_EQ(status, NDIS_STATUS_SUCCESS);
    CHECK_EQ(log_count("nic0.init.end"), log_count("nic0.halt"));
    CHECK(log_count("nic0.init irql") <= 1);
    CHECK_STR(adapter_state(dev[0].guid), "");
    /* Used up by an initialization, or still there and cancellable. */
    status = im_cancel(0, dev[0].name);
    CHECK_EQ(status == NDIS_STATUS_SUCCESS, log_count("nic0.init irql") == 0);
}

/* ---- IM-PNP-02
 * ----------------------------------------------------------------------------------------- */
CONF(im_pnp_02_never_started_never_initialized, NULL, 0)
{
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    for (unsigned day = 0; day < 30; day++)
        settle(24 * 3600 * 1000);
    CHECK_LOGGED("nic", 0);
    CHECK_EQ(vm_pending(), 1);
    CHECK_EQ(im_cancel(0, dev[0].name), NDIS_STATUS_SUCCESS);
}

CONF(im_pnp_02_name_of_no_device_stays_pending, NULL, 0)
{
    world_im(0);
    CHECK_OK();
    const char *name = "\\Device\\{DEADBEEF-0000-0000-0000-000000000000}";
    CHECK_EQ(im_request(0, name, NULL), NDIS_STATUS_SUCCESS); /* question 6 */
    settle(60000);
    CHECK_LOGGED("nic", 0);
    CHECK_EQ(vm_pending(), 1);
    CHECK_EQ(im_cancel(0, name), NDIS_STATUS_SUCCESS);
}

/* ---- IM-PNP-03: in which context
 * -------------------------------------------------------------------------- */
static uint32_t init_ctx;
static uint8_t init_irql;
static void remember_context(struct nic *n)
{
    init_ctx = umn__ctx_id(umn__ctx_self());
    init_irql = umn__irql();
}

CONF(im_pnp_03_started_device_initializes_inside_request, NULL, 0)
{
    init_ctx = 0;
    nic_script.on_init = remember_context;
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    CHECK(log_in_order("tim0.request \\", "nic0.init irql 0", "nic0.init.end 00000000",
                       "tim0.request.end", NULL));
    CHECK_EQ(init_ctx, umn__ctx_id(umn__ctx_self()));
}

CONF(im_pnp_03_later_start_initializes_in_another_context, "IM-PNP-05", 0)
{
    init_ctx = 0;
    init_irql = 9;
    nic_script.on_init = remember_context;
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    settle(10);
    CHECK(log_in_order("tim0.request.end", "nic0.init irql 0", NULL));
    CHECK(init_ctx != 0);
    CHECK(init_ctx != umn__ctx_id(umn__ctx_self()));
    CHECK_EQ(init_irql, 0);
}

/* ---- IM-PNP-04: the real MUX when MiniportInitializeEx runs inside its request
 * -------------------------------- */
CONF(im_pnp_04_mux_survives_initialize_inside_request, NULL, 0)
{
    world_mux();
    spy_mux();
    CHECK(world_nic(true) != NULL);
    for (unsigned i = 0; i < 3; i++) {
        vm_create(&dev[i], "mux");
        CHECK_OK();
        CHECK_EQ(umn__pnp_start_device(dev[i].id, NULL), 0);
    }
    vm_list("mux", 0, dev, 3);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_EQ(spy.requests, 3);
    for (unsigned i = 0; i < 3; i++) {
        char begin[100], init[100], end[120];
        snprintf(begin, sizeof begin, "mux.request %s", dev[i].name);
        snprintf(init, sizeof init, "mux.init %s", dev[i].name);
        snprintf(end, sizeof end, "mux.request.end %s 00000000", dev[i].name);
        CHECK(log_in_order("mux.bind \\", begin, init, end, "mux.bind.end", NULL));
        CHECK_EQ(spy.request[i].locks, 0);
        CHECK_STR(adapter_state(dev[i].guid), "Running");
    }
}

static void bind_mux(void *arg)
{
    umn__netcfg_bind("mux", world_nic_guid(0));
}

CONF(im_pnp_04_mux_device_starts_while_it_binds, "IM-PNP-03", 0)
{
    world_mux();
    spy_mux();
    CHECK(world_nic(true) != NULL);
    for (unsigned i = 0; i < 2; i++)
        vm_create(&dev[i], "mux");
    vm_list("mux", 0, dev, 2);
    CHECK_OK();
    struct umn_ctx *binder = in_thread(bind_mux, NULL);
    CHECK(binder != NULL);
    int e = umn__pnp_start_device(dev[0].id, NULL), f = umn__pnp_start_device(dev[1].id, NULL);
    umn__ctx_join(binder);
    settle(10);
    CHECK_EQ(e, 0);
    CHECK_EQ(f, 0);
    CHECK_EQ(spy.requests, 2);
    CHECK_LOGGED("mux.init \\", 2);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
    CHECK_STR(adapter_state(dev[1].guid), "Running");
}

/* ---- IM-PNP-05, -06: the IRPs as tim0's dispatch routine gets them
 * ---------------------------------------------- */
static PDRIVER_DISPATCH real_pnp;
static bool fail_start, request_before_start;
static struct {
    unsigned count;
    uint32_t ctx;
    uint8_t irql;
    NTSTATUS status;
} irp[32]; /* by minor function */

static NTSTATUS NTAPI SpyPnp(DEVICE_OBJECT *device, IRP *request)
{
    UCHAR minor = IoGetCurrentIrpStackLocation(request)->MinorFunction & 31;
    irp[minor].count++;
    irp[minor].ctx = umn__ctx_id(umn__ctx_self());
    irp[minor].irql = umn__irql();
    if (minor == IRP_MN_START_DEVICE && request_before_start) {
        im_request(0, dev[0].name, NULL);
        log_event("start goes on");
    }
    if (minor == IRP_MN_START_DEVICE && fail_start) {
        request->IoStatus.Status = STATUS_UNSUCCESSFUL;
        IoCompleteRequest(request, IO_NO_INCREMENT);
        return STATUS_UNSUCCESSFUL;
    }
    irp[minor].status = real_pnp(device, request);
    log_event("irp.end %u %08x", minor, (unsigned)irp[minor].status);
    return irp[minor].status;
}

static void spy_on_irps(const char *service)
{
    DRIVER_OBJECT *driver = umn__driver_find(service);
    memset(irp, 0, sizeof irp);
    fail_start = request_before_start = false;
    if (!driver) {
        conf_fail(__FILE__, __LINE__, "no driver %s", service);
        return;
    }
    real_pnp = driver->MajorFunction[IRP_MJ_PNP];
    driver->MajorFunction[IRP_MJ_PNP] = SpyPnp;
}

static uint32_t asking_ctx;
static void start_inside_bind(struct bnd *b)
{
    asking_ctx = umn__ctx_id(umn__ctx_self());
    im_request(0, dev[0].name, NULL);
    umn__pnp_start_device(dev[0].id, NULL);
}

/* AddDevice has run, the start IRP has not arrived at NDIS: that is not started. */
CONF(im_pnp_02_added_but_not_started_is_not_initialized, "IM-PNP-01", 0)
{
    tim_devices(1);
    spy_on_irps("tim0");
    CHECK_OK();
    request_before_start = true;
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK(log_in_order("tim0.request.end", "start goes on", "nic0.init irql", NULL));
    CHECK_LOGGED("nic0.init irql", 1);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

static void give_back(struct bnd *b)
{
    struct nic *vm = nic_by_guid(dev[0].guid);
    if (!vm || im_deinitialize(vm) != NDIS_STATUS_SUCCESS)
        im_cancel(0, dev[0].name);
}

CONF(im_pnp_05_start_irp_comes_in_a_system_thread_at_passive, NULL, 0)
{
    tim_devices(1);
    spy_on_irps("tim0");
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(irp[IRP_MN_START_DEVICE].count, 1);
    CHECK_EQ(irp[IRP_MN_START_DEVICE].irql, 0);
    CHECK(irp[IRP_MN_START_DEVICE].ctx != umn__ctx_id(umn__ctx_self()));
    CHECK_EQ(irp[IRP_MN_START_DEVICE].status, STATUS_SUCCESS);
}

/* Even when the thread that asked for the virtual miniport waits for its device to start. */
CONF(im_pnp_05_start_irp_is_not_in_the_requesting_thread, NULL, 0)
{
    asking_ctx = 0;
    im_script.on_bind = start_inside_bind;
    im_script.on_unbind = give_back;
    tim_devices(1);
    spy_on_irps("tim0");
    CHECK(world_nic(true) != NULL);
    world_bind("tim0", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_EQ(irp[IRP_MN_START_DEVICE].count, 1);
    CHECK_EQ(irp[IRP_MN_START_DEVICE].irql, 0);
    CHECK(asking_ctx != 0);
    CHECK(irp[IRP_MN_START_DEVICE].ctx != asking_ctx);
    CHECK(log_in_order("tim0.bind", "tim0.request.end", "nic1.init irql 0", "tim0.bind.end", NULL));
    CHECK_STR(adapter_state(dev[0].guid), "Running");
    umn__pnp_remove_device(dev[0].id);
}

CONF(im_pnp_06_remove_of_a_device_that_never_started, NULL, 0)
{
    tim_devices(1);
    spy_on_irps("tim0");
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    /* AddDevice runs; the start never reaches NDIS, so PnP removes a device that never started. */
    fail_start = true;
    CHECK(umn__pnp_start_device(dev[0].id, NULL) != 0);
    CHECK_EQ(irp[IRP_MN_START_DEVICE].count, 1);
    CHECK_EQ(irp[IRP_MN_REMOVE_DEVICE].count, 1);
    CHECK_EQ(irp[IRP_MN_REMOVE_DEVICE].status, STATUS_SUCCESS);
    CHECK_LOGGED("nic", 0);
    CHECK_EQ(vm_pending(), 1);
    CHECK_EQ(im_cancel(0, dev[0].name), NDIS_STATUS_SUCCESS);
}

CONF(im_pnp_06_request_outlives_remove_and_is_granted_later, NULL, 0)
{
    tim_devices(1);
    spy_on_irps("tim0");
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    fail_start = true;
    CHECK(umn__pnp_start_device(dev[0].id, NULL) != 0);
    fail_start = false;
    CHECK_EQ(umn__pnp_remove_device(dev[0].id), 0); /* enumerated, without a stack */
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_LOGGED("nic0.init irql", 1);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

/* ---- IM-PNP-07: why it is halted
 * ------------------------------------------------------------------------------- */
static struct nic *running_vm(void)
{
    tim_devices(1);
    if (conf_failed() || umn__pnp_start_device(dev[0].id, NULL) ||
        im_request(0, dev[0].name, NULL) != NDIS_STATUS_SUCCESS ||
        strcmp(adapter_state(dev[0].guid), "Running")) {
        conf_fail(__FILE__, __LINE__, "no virtual miniport");
        return NULL;
    }
    return nic_by_guid(dev[0].guid);
}

/* One halt, with this action, after a pause. */
static bool halted_with(NDIS_HALT_ACTION action)
{
    char text[48];
    snprintf(text, sizeof text, "nic0.halt action %d irql 0", (int)action);
    return log_count("nic0.halt") == 1 && log_count(text) == 1 &&
           log_in_order("nic0.restart", "nic0.pause", "nic0.halt", NULL);
}

CONF(im_pnp_07_remove_is_device_disabled, NULL, 0)
{
    CHECK(running_vm() != NULL);
    CHECK_EQ(umn__pnp_remove_device(dev[0].id), 0);
    CHECK(halted_with(NdisHaltDeviceDisabled));
}

CONF(im_pnp_07_disable_is_device_disabled, NULL, 0)
{
    CHECK(running_vm() != NULL);
    CHECK_EQ(umn__pnp_disable_device(dev[0].id), 0);
    CHECK(halted_with(NdisHaltDeviceDisabled));
}

CONF(im_pnp_07_stop_is_device_stopped, NULL, 0)
{
    CHECK(running_vm() != NULL);
    CHECK_EQ(umn__pnp_stop_device(dev[0].id), 0);
    CHECK(halted_with(NdisHaltDeviceStopped));
}

CONF(im_pnp_07_im_call_is_instance_deinitialized, NULL, 0)
{
    struct nic *vm = running_vm();
    CHECK(vm != NULL);
    CHECK_EQ(im_deinitialize(vm), NDIS_STATUS_SUCCESS);
    CHECK(halted_with(NdisHaltDeviceInstanceDeInitialized));
}

CONF(im_pnp_07_surprise_removal_is_device_surprise_removed, NULL, 0)
{
    CHECK(running_vm() != NULL);
    CHECK_EQ(umn__pnp_surprise_remove(dev[0].id), 0);
    CHECK(halted_with(NdisHaltDeviceSurpriseRemoved));
}

CONF(im_pnp_07_remove_miniport_is_device_failed, NULL, 0)
{
    struct nic *vm = running_vm();
    CHECK(vm != NULL);
    CHECK_EQ(NdisMRemoveMiniport(vm->handle), NDIS_STATUS_SUCCESS);
    settle(10);
    CHECK(halted_with(NdisHaltDeviceFailed));
    CHECK_STR(adapter_state(dev[0].guid), "Halted");
}

CONF(im_pnp_07_remove_miniport_of_a_nic_is_device_failed, NULL, 0)
{
    struct nic *n = world_nic(true);
    CHECK(n != NULL);
    CHECK_EQ(NdisMRemoveMiniport(n->handle), NDIS_STATUS_SUCCESS);
    settle(10);
    CHECK(halted_with(NdisHaltDeviceFailed));
}

CONF(im_pnp_07_no_general_attributes_is_initialization_failed, "IM-INI-04", CONF_REPORTS)
{
    conf_expect("ST-15");
    nic_script.skip_general = true;
    tim_devices(1);
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS); /* question 5 */
    char text[48];
    snprintf(text, sizeof text, "nic0.halt action %d", (int)NdisHaltDeviceInitializationFailed);
    CHECK_LOGGED("nic0.halt", 1);
    CHECK_LOGGED(text, 1);
    CHECK_LOGGED("nic0.pause", 0);
    CHECK_STR(adapter_state(dev[0].guid), "Halted");
}

/* ---- IM-PNP-08: one of several
 * ------------------------------------------------------------------------------------ */
static void three_running(void)
{
    tim_devices(3);
    for (unsigned i = 0; i < 3 && !conf_failed(); i++)
        if (umn__pnp_start_device(dev[i].id, NULL) ||
            im_request(0, dev[i].name, &dev[i]) != NDIS_STATUS_SUCCESS ||
            strcmp(adapter_state(dev[i].guid), "Running"))
            conf_fail(__FILE__, __LINE__, "virtual miniport %u does not run", i);
}

CONF(im_pnp_08_disable_halts_only_that_one, NULL, 0)
{
    three_running();
    CHECK_OK();
    CHECK_EQ(umn__pnp_disable_device(dev[1].id), 0);
    settle(10);
    CHECK_LOGGED("nic1.halt action 0", 1);
    CHECK_LOGGED("nic0.halt", 0);
    CHECK_LOGGED("nic2.halt", 0);
    CHECK_LOGGED("nic0.pause", 0);
    CHECK_LOGGED("nic2.pause", 0);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
    CHECK_STR(adapter_state(dev[1].guid), "");
    CHECK_STR(adapter_state(dev[2].guid), "Running");
}

CONF(im_pnp_08_stop_halts_only_that_one, NULL, 0)
{
    three_running();
    CHECK_OK();
    CHECK_EQ(umn__pnp_stop_device(dev[2].id), 0);
    settle(10);
    char text[32];
    snprintf(text, sizeof text, "nic2.halt action %d", (int)NdisHaltDeviceStopped);
    CHECK_LOGGED(text, 1);
    CHECK_LOGGED("nic0.halt", 0);
    CHECK_LOGGED("nic1.halt", 0);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
    CHECK_STR(adapter_state(dev[1].guid), "Running");
    CHECK_STR(adapter_state(dev[2].guid), "Halted");
}

CONF(im_pnp_08_mux_siblings_stay_up_when_one_is_disabled, NULL, 0)
{
    char text[120];
    world_mux();
    spy_mux();
    CHECK(world_nic(true) != NULL);
    for (unsigned i = 0; i < 3; i++)
        vm_create(&dev[i], "mux");
    vm_list("mux", 0, dev, 3);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(umn__pnp_start_device(dev[i].id, NULL), 0);
    settle(10);
    CHECK_LOGGED("mux.init \\", 3);
    CHECK_EQ(umn__pnp_disable_device(dev[0].id), 0);
    settle(10);
    snprintf(text, sizeof text, "mux.halt %s action %d", dev[0].name, (int)NdisHaltDeviceDisabled);
    CHECK_LOGGED(text, 1);
    CHECK_LOGGED("mux.halt", 1);
    CHECK_STR(adapter_state(dev[1].guid), "Running");
    CHECK_STR(adapter_state(dev[2].guid), "Running");
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
}
