/* SPDX-License-Identifier: MIT */
/*
 * Group VMP: withdrawing a request and tearing a virtual miniport down, as the library does it
 * (IM-VMP-11, -12, -14, -15). The MUX's part is in vmp_mux.c.
 */
#include <stdio.h>
#include "spy.h"

static struct vmdev dev[2];
static KEVENT inside, go_on; /* MiniportInitializeEx is entered; it may return */

static void tim_device(void)
{
    world_im(0);
    if (!conf_failed())
        vm_create(&dev[0], "tim0");
}

static struct nic *running_vm(void)
{
    tim_device();
    if (conf_failed() || umn__pnp_start_device(dev[0].id, NULL) ||
        im_request(0, dev[0].name, NULL) != NDIS_STATUS_SUCCESS ||
        strcmp(adapter_state(dev[0].guid), "Running")) {
        conf_fail(__FILE__, __LINE__, "no virtual miniport");
        return NULL;
    }
    return nic_by_guid(dev[0].guid);
}

/* ---- IM-VMP-11
 * ------------------------------------------------------------------------------------ */
CONF(im_vmp_11_cancel_before_start_succeeds, NULL, 0)
{
    tim_device();
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    CHECK_EQ(vm_pending(), 1);
    CHECK_EQ(im_cancel(0, dev[0].name), NDIS_STATUS_SUCCESS);
    CHECK_EQ(vm_pending(), 0);
    CHECK_LOGGED("nic", 0);
}

CONF(im_vmp_11_cancel_twice_fails_the_second_time, NULL, 0)
{
    tim_device();
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    CHECK_EQ(im_cancel(0, dev[0].name), NDIS_STATUS_SUCCESS);
    CHECK_EQ(im_cancel(0, dev[0].name), NDIS_STATUS_FAILURE);
}

/* Question 8. */
CONF(im_vmp_11_cancel_of_a_name_never_requested_fails, NULL, 0)
{
    tim_device();
    CHECK_OK();
    CHECK_EQ(im_cancel(0, dev[0].name), NDIS_STATUS_FAILURE);
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(im_cancel(0, dev[0].name), NDIS_STATUS_FAILURE);
}

CONF(im_vmp_11_cancel_by_another_driver_fails, NULL, 0)
{
    tim_device();
    world_im(1);
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    CHECK_EQ(im_cancel(1, dev[0].name), NDIS_STATUS_FAILURE);
    CHECK_EQ(vm_pending(), 1);
    CHECK_EQ(im_cancel(0, dev[0].name), NDIS_STATUS_SUCCESS);
}

CONF(im_vmp_11_cancel_after_initialize_fails, NULL, 0)
{
    CHECK(running_vm() != NULL);
    CHECK_EQ(im_cancel(0, dev[0].name), NDIS_STATUS_FAILURE);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
    CHECK_LOGGED("nic0.halt", 0);
}

static NDIS_STATUS inner;
static void cancel_self(struct nic *n)
{
    inner = im_cancel(0, dev[0].name);
}

CONF(im_vmp_11_cancel_inside_initialize_fails_without_waiting, NULL, 0)
{
    inner = NDIS_STATUS_SUCCESS;
    nic_script.on_init = cancel_self;
    tim_device();
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    CHECK_EQ(inner, NDIS_STATUS_FAILURE);
    CHECK(log_in_order("nic0.init irql", "tim0.cancel", "nic0.init.end 00000000", NULL));
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

static void wait_in_init(struct nic *n)
{
    KeSetEvent(&inside, 0, FALSE);
    KeWaitForSingleObject(&go_on, Executive, KernelMode, FALSE, NULL);
}
static void start_device(void *arg)
{
    umn__pnp_start_device(dev[0].id, NULL);
    KeSetEvent(&inside, 0, FALSE); /* also when it came to nothing */
}
static void cancel_in_thread(void *arg)
{
    *(NDIS_STATUS *)arg = im_cancel(0, dev[0].name);
    log_event("cancel returned");
}

/* MiniportInitializeEx blocks in the PnP manager's thread. */
static struct umn_ctx *start_blocked(void)
{
    KeInitializeEvent(&inside, NotificationEvent, FALSE);
    KeInitializeEvent(&go_on, NotificationEvent, FALSE);
    nic_script.on_init = wait_in_init;
    tim_device();
    if (conf_failed() || im_request(0, dev[0].name, NULL) != NDIS_STATUS_SUCCESS)
        return NULL;
    struct umn_ctx *starter = in_thread(start_device, NULL);
    if (starter)
        KeWaitForSingleObject(&inside, Executive, KernelMode, FALSE, NULL);
    return starter;
}

CONF(im_vmp_11_cancel_during_initialize_waits_and_fails, NULL, 0)
{
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    struct umn_ctx *starter = start_blocked();
    CHECK(starter != NULL);
    struct umn_ctx *canceller = in_thread(cancel_in_thread, &status);
    settle(100);
    int early = log_count("cancel returned");
    KeSetEvent(&go_on, 0, FALSE);
    if (canceller)
        umn__ctx_join(canceller);
    umn__ctx_join(starter);
    settle(10);
    CHECK_EQ(early, 0);
    CHECK_EQ(status, NDIS_STATUS_FAILURE);
    CHECK(log_in_order("nic0.init irql", "nic0.init.end 00000000", "tim0.cancel", NULL));
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

/* So that the caller can de-initialize then: the way of a driver whose binding goes away meanwhile.
 */
static void cancel_then_deinitialize(void *arg)
{
    if (im_cancel(0, dev[0].name) != NDIS_STATUS_SUCCESS) {
        struct nic *vm = nic_by_guid(dev[0].guid);
        *(NDIS_STATUS *)arg = vm ? im_deinitialize(vm) : NDIS_STATUS_NOT_ACCEPTED;
    }
}

CONF(im_vmp_11_deinitialize_works_after_the_cancel_that_failed, "IM-VMP-13 IM-VMP-14", 0)
{
    NDIS_STATUS status = NDIS_STATUS_PENDING;
    struct umn_ctx *starter = start_blocked();
    CHECK(starter != NULL);
    struct umn_ctx *canceller = in_thread(cancel_then_deinitialize, &status);
    settle(10);
    KeSetEvent(&go_on, 0, FALSE);
    if (canceller)
        umn__ctx_join(canceller);
    umn__ctx_join(starter);
    settle(10);
    CHECK_EQ(status, NDIS_STATUS_SUCCESS);
    CHECK_LOGGED("nic0.init.end 00000000", 1);
    CHECK_LOGGED("nic0.halt action 1", 1);
    CHECK_STR(adapter_state(dev[0].guid), "Halted");
}

CONF(im_vmp_11_cancel_during_initialize_that_fails, NULL, 0)
{
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    nic_script.init_status = NDIS_STATUS_RESOURCES;
    struct umn_ctx *starter = start_blocked();
    CHECK(starter != NULL);
    struct umn_ctx *canceller = in_thread(cancel_in_thread, &status);
    settle(10);
    KeSetEvent(&go_on, 0, FALSE);
    if (canceller)
        umn__ctx_join(canceller);
    umn__ctx_join(starter);
    CHECK_EQ(status, NDIS_STATUS_FAILURE);
    CHECK_LOGGED("nic0.halt", 0);
    CHECK_STR(adapter_state(dev[0].guid), "Halted");
    CHECK_EQ(vm_pending(), 0);
}

/* Whoever wins, the answer tells the truth. */
CONF(im_vmp_11_cancel_races_with_start, "IM-VMP-12", 0)
{
    NDIS_STATUS status = NDIS_STATUS_PENDING;
    tim_device();
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    struct umn_ctx *canceller = in_thread(cancel_in_thread, &status);
    CHECK(canceller != NULL);
    int e = umn__pnp_start_device(dev[0].id, NULL);
    umn__ctx_join(canceller);
    settle(10);
    CHECK_EQ(e, 0);
    if (status == NDIS_STATUS_SUCCESS) {
        CHECK_LOGGED("nic0.init irql", 0);
        CHECK_STR(adapter_state(dev[0].guid), "Halted");
    } else {
        CHECK_EQ(status, NDIS_STATUS_FAILURE);
        CHECK_LOGGED("nic0.init irql", 1);
        CHECK_STR(adapter_state(dev[0].guid), "Running");
    }
}

/* ---- IM-VMP-12
 * ------------------------------------------------------------------------------------------ */
CONF(im_vmp_12_start_after_cancel_initializes_nothing, NULL, 0)
{
    tim_device();
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    CHECK_EQ(im_cancel(0, dev[0].name), NDIS_STATUS_SUCCESS);
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    settle(1000);
    CHECK_LOGGED("nic0.init irql", 0);
    CHECK_STR(adapter_state(dev[0].guid), "Halted");
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    settle(10);
    CHECK_LOGGED("nic0.init irql", 1);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

CONF(im_vmp_12_cancel_then_new_request_then_start, NULL, 0)
{
    int first, second;
    tim_device();
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[0].name, &first), NDIS_STATUS_SUCCESS);
    CHECK_EQ(im_cancel(0, dev[0].name), NDIS_STATUS_SUCCESS);
    CHECK_EQ(im_request(0, dev[0].name, &second), NDIS_STATUS_SUCCESS);
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_LOGGED("nic0.init irql", 1);
    struct nic *vm = nic_by_guid(dev[0].guid);
    CHECK(vm && vm->im_context == &second);
}

static void deinitialize(void *arg)
{
    im_deinitialize(arg);
}

/* ---- IM-VMP-14
 * ------------------------------------------------------------------------------------------- */
CONF(im_vmp_14_deinitialize_returns_when_it_is_halted, NULL, 0)
{
    struct nic *vm = running_vm();
    CHECK(vm != NULL);
    CHECK_EQ(im_deinitialize(vm), NDIS_STATUS_SUCCESS);
    CHECK_STR(adapter_state(dev[0].guid), "Halted"); /* at return: nothing has settled since */
    CHECK_LOGGED("nic0.halt action 1", 1);
    CHECK(log_in_order("nic0.deinit", "nic0.pause", "nic0.halt", "nic0.deinit.end 00000000", NULL));
}

CONF(im_vmp_14_waits_for_traffic_and_a_pause_that_pends, NULL, 0)
{
    struct nic *vm = running_vm();
    CHECK(vm != NULL);
    nic_script.pend_pause = true;
    struct umn_ctx *thread = in_thread(deinitialize, vm);
    CHECK(thread != NULL);
    settle(100);
    int halts = log_count("nic0.halt"), pauses = log_count("nic0.pause reason");
    nic_script.pend_pause = false;
    nic_complete_pause(vm);
    umn__ctx_join(thread);
    CHECK_EQ(pauses, 1);
    CHECK_EQ(halts, 0);
    CHECK(log_in_order("nic0.pause.complete", "nic0.halt", "nic0.deinit.end 00000000", NULL));
}

CONF(im_vmp_14_null_and_garbage_handles_fail, NULL, CONF_REPORTS)
{
    static char garbage[4096];
    conf_expect("HandleType"); /* may be reported, must be refused */
    CHECK(running_vm() != NULL);
    memset(garbage, 0xa5, sizeof garbage);
    CHECK_EQ(NdisIMDeInitializeDeviceInstance(NULL), NDIS_STATUS_FAILURE);
    CHECK_EQ(NdisIMDeInitializeDeviceInstance(garbage), NDIS_STATUS_FAILURE);
    CHECK_EQ(NdisIMDeInitializeDeviceInstance(ims[0].miniport), NDIS_STATUS_FAILURE);
    CHECK_LOGGED("nic0.pause", 0);
    CHECK_LOGGED("nic0.halt", 0);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
}

CONF(im_vmp_14_stale_handle_fails, NULL, CONF_REPORTS)
{
    conf_expect("HandleType");
    struct nic *vm = running_vm();
    CHECK(vm != NULL);
    NDIS_HANDLE handle = vm->handle;
    CHECK_EQ(im_deinitialize(vm), NDIS_STATUS_SUCCESS);
    CHECK_EQ(NdisIMDeInitializeDeviceInstance(handle), NDIS_STATUS_FAILURE);
    CHECK_EQ(umn__pnp_remove_device(dev[0].id), 0);
    CHECK_EQ(NdisIMDeInitializeDeviceInstance(handle), NDIS_STATUS_FAILURE);
    CHECK_LOGGED("nic0.halt", 1);
}

CONF(im_vmp_14_a_physical_adapter_is_no_virtual_miniport, NULL, CONF_REPORTS)
{
    conf_expect("HandleType");
    struct nic *n = world_nic(true);
    CHECK(n != NULL);
    CHECK_EQ(im_deinitialize(n), NDIS_STATUS_FAILURE);
    CHECK_LOGGED("nic0.halt", 0);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
}

static void remove_device(void *arg)
{
    umn__pnp_remove_device(dev[0].id);
}

CONF(im_vmp_14_deinitialize_races_with_pnp_remove, "IM-PNP-07", 0)
{
    struct nic *vm = running_vm();
    CHECK(vm != NULL);
    NDIS_HANDLE handle = vm->handle;
    struct umn_ctx *remover = in_thread(remove_device, NULL);
    CHECK(remover != NULL);
    NDIS_STATUS status = NdisIMDeInitializeDeviceInstance(handle);
    umn__ctx_join(remover);
    settle(10);
    CHECK_LOGGED("nic0.halt", 1);
    CHECK_EQ(log_count("nic0.halt action 1"), status == NDIS_STATUS_SUCCESS);
    CHECK_EQ(log_count("nic0.halt action 0"), status == NDIS_STATUS_FAILURE);
    CHECK_STR(adapter_state(dev[0].guid), "");
}

/* ---- IM-VMP-15
 * --------------------------------------------------------------------------------------------- */
CONF(im_vmp_15_overlying_protocols_unbind_before_the_halt, NULL, 0)
{
    world_proto(0);
    world_proto(1);
    struct nic *vm = running_vm();
    CHECK(vm != NULL);
    world_bind("tproto0", dev[0].guid);
    world_bind("tproto1", dev[0].guid);
    CHECK_OK();
    settle(10);
    CHECK_STR(binding_state(dev[0].guid, "tproto0"), "Running");
    CHECK_STR(binding_state(dev[0].guid, "tproto1"), "Running");
    CHECK_EQ(im_deinitialize(vm), NDIS_STATUS_SUCCESS);
    CHECK_LOGGED("tproto0.unbind \\", 1);
    CHECK_LOGGED("tproto1.unbind \\", 1);
    CHECK_LOGGED("nic0.halt action 1", 1);
    CHECK(log_in_order("nic0.deinit", "tproto0.unbind \\", "tproto0.unbind.end",
                       "nic0.halt action 1", "nic0.deinit.end 00000000", NULL));
    CHECK(log_in_order("nic0.deinit", "tproto1.unbind \\", "tproto1.unbind.end",
                       "nic0.halt action 1", "nic0.deinit.end 00000000", NULL));
    CHECK(proto_on(0, dev[0].guid) == NULL);
    CHECK(proto_on(1, dev[0].guid) == NULL);
}

/* The protocol takes its time: the halt waits for NdisCompleteUnbindAdapterEx. */
CONF(im_vmp_15_halt_waits_for_an_unbind_that_pends, "IM-UNB-02", 0)
{
    world_proto(0);
    struct nic *vm = running_vm();
    CHECK(vm != NULL);
    world_bind("tproto0", dev[0].guid);
    CHECK_OK();
    settle(10);
    struct bnd *b = proto_on(0, dev[0].guid);
    CHECK(b != NULL);
    proto_script.pend_unbind = true;
    struct umn_ctx *thread = in_thread(deinitialize, vm);
    CHECK(thread != NULL);
    settle(100);
    int unbinds = log_count("tproto0.unbind \\"), halts = log_count("nic0.halt");
    proto_script.pend_unbind = false;
    if (unbinds)
        proto_complete_unbind(b);
    umn__ctx_join(thread);
    CHECK_EQ(unbinds, 1);
    CHECK_EQ(halts, 0);
    CHECK(log_in_order("tproto0.unbind.end", "nic0.halt action 1", NULL));
}

/* They bind again when the name is requested again. */
CONF(im_vmp_15_protocols_bind_again_to_the_next_one, "IM-VMP-22", 0)
{
    world_proto(0);
    struct nic *vm = running_vm();
    CHECK(vm != NULL);
    world_bind("tproto0", dev[0].guid);
    CHECK_OK();
    CHECK_EQ(im_deinitialize(vm), NDIS_STATUS_SUCCESS);
    CHECK_EQ(im_request(0, dev[0].name, NULL), NDIS_STATUS_SUCCESS);
    settle(10);
    CHECK_LOGGED("tproto0.bind \\", 2);
    CHECK_STR(binding_state(dev[0].guid, "tproto0"), "Running");
}
