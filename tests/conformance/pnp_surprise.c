/* SPDX-License-Identifier: MIT */
/* Group PNP: the surprise removal of a NIC and of a virtual miniport (IM-PNP-09, IM-PNP-10). */
#include <stdio.h>
#include "spy.h"

static struct vmdev dev[2];

/* ---- IM-PNP-09
 * ------------------------------------------------------------------------------------ */
static PDRIVER_DISPATCH real_bus;

static NTSTATUS NTAPI SpyBus(DEVICE_OBJECT *device, IRP *irp)
{
    const struct umn_devnode *node = umn__pdo_node(device);
    log_event("bus.irp %u %s", IoGetCurrentIrpStackLocation(irp)->MinorFunction,
              node ? node->instance_id : "?");
    return real_bus(device, irp);
}

/* What reaches the bottom of every stack. */
static void spy_on_bus(void)
{
    DRIVER_OBJECT *bus = umn__driver_find("umnroot");
    if (!bus) {
        conf_fail(__FILE__, __LINE__, "no bus driver");
        return;
    }
    real_bus = bus->MajorFunction[IRP_MJ_PNP];
    bus->MajorFunction[IRP_MJ_PNP] = SpyBus;
}

/* The last entry of each of `before` comes before the first entry of each of `after`. */
static bool all_before(const char *const *before, const char *const *after)
{
    for (; *before; before++)
        for (const char *const *a = after; *a; a++)
            if (log_find(*before, 0) < 0 || log_find(*a, 0) < 0 ||
                log_last(*before) >= log_find(*a, 0))
                return false;
    return true;
}

#define GROUP(...) ((const char *const[]){__VA_ARGS__, NULL})

/*
 * There are no filter modules in this library yet, so the log is compared without one: their steps,
 * between those of the protocols and of the miniport, are not covered.
 */
CONF(im_pnp_09_surprise_removal_of_the_lower_nic_in_order, "IM-PNP-07 IM-STK-03", 0)
{
    char query[2][40], paused[2][40], removed[32], halted[40], irp[64], unbound[100];
    world_mux();
    spy_mux();
    world_proto(0);
    CHECK(world_nic(true) != NULL);
    world_bind("tproto0", world_nic_guid(0));
    world_bind("mux", world_nic_guid(0));
    spy_on_bus();
    CHECK_OK();
    settle(10);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
    log_clear();
    CHECK_EQ(umn__pnp_surprise_remove(world_nic_instance(0)), 0);
    settle(10);
    snprintf(query[0], sizeof query[0], "tproto0.event %d ", (int)NetEventQueryRemoveDevice);
    snprintf(query[1], sizeof query[1], "mux.event %d binding", (int)NetEventQueryRemoveDevice);
    snprintf(removed, sizeof removed, "nic0.pnp %d", (int)NdisDevicePnPEventSurpriseRemoved);
    snprintf(paused[0], sizeof paused[0], "tproto0.event %d ", (int)NetEventPause);
    snprintf(paused[1], sizeof paused[1], "mux.event %d binding", (int)NetEventPause);
    snprintf(halted, sizeof halted, "nic0.halt action %d", (int)NdisHaltDeviceSurpriseRemoved);
    snprintf(irp, sizeof irp, "bus.irp %u %s", IRP_MN_SURPRISE_REMOVAL, world_nic_instance(0));
    snprintf(unbound, sizeof unbound, "mux.unbind.end \\Device\\%s", world_nic_guid(0));
    for (int i = 0; i < 2; i++) {
        CHECK_LOGGED(query[i], 1);
        CHECK_LOGGED(paused[i], 1);
    }
    CHECK_LOGGED(removed, 1);
    CHECK_LOGGED("nic0.pause", 1);
    CHECK_LOGGED("nic0.halt", 1);
    CHECK_LOGGED(irp, 1);
    CHECK(all_before(GROUP(query[0], query[1]), GROUP(removed)));
    CHECK(all_before(GROUP(removed), GROUP(paused[0], paused[1])));
    CHECK(all_before(GROUP(paused[0], paused[1]), GROUP("nic0.pause")));
    CHECK(all_before(GROUP("nic0.pause"), GROUP("tproto0.unbind \\", "mux.unbind \\")));
    CHECK(all_before(GROUP("tproto0.unbind.end", unbound), GROUP(halted)));
    CHECK(all_before(GROUP(halted), GROUP(irp)));
    CHECK_STR(adapter_state(world_nic_guid(0)), "");
}

/* A protocol cannot keep a NIC that is gone. */
CONF(im_pnp_09_a_veto_does_not_stop_a_surprise_removal, NULL, 0)
{
    proto_script.veto_event = NetEventQueryRemoveDevice;
    world_proto(0);
    CHECK(world_nic(true) != NULL);
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_EQ(umn__pnp_surprise_remove(world_nic_instance(0)), 0);
    CHECK_LOGGED("tproto0.unbind.end", 1);
    CHECK_LOGGED("nic0.halt", 1);
    char halted[40];
    snprintf(halted, sizeof halted, "nic0.halt action %d", (int)NdisHaltDeviceSurpriseRemoved);
    CHECK_LOGGED(halted, 1);
    CHECK_STR(adapter_state(world_nic_guid(0)), "");
}

/* The virtual miniports over it go while their binding is unbound, before the NIC is halted. */
CONF(im_pnp_09_virtual_miniports_go_with_the_nic, "IM-VMP-13 IM-UNB-09", 0)
{
    char vm_halt[100];
    world_mux();
    spy_mux();
    CHECK(world_nic(true) != NULL);
    vm_create(&dev[0], "mux");
    vm_list("mux", 0, dev, 1);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    settle(10);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
    CHECK_EQ(umn__pnp_surprise_remove(world_nic_instance(0)), 0);
    settle(10);
    snprintf(vm_halt, sizeof vm_halt, "mux.halt %s action %d", dev[0].name,
             (int)NdisHaltDeviceInstanceDeInitialized);
    CHECK(
        log_in_order("nic0.pause", "mux.unbind \\", vm_halt, "mux.unbind.end", "nic0.halt", NULL));
    CHECK_STR(adapter_state(dev[0].guid), "Halted"); /* its device is there and started */
}

/* ---- IM-PNP-10: what the MUX answers between the notification and its halt
 * --------------------------- */
static NDIS_STATUS query_status, oid_status;
static bool injected;
static ULONG value;

/* NetEventPause comes after MiniportDevicePnPEventNotify; the binding still lets sends through. */
static void inject(struct bnd *b, NET_PNP_EVENT *e)
{
    uint8_t bytes[60];
    if (!b || e->NetEvent != NetEventPause || !strcasestr(b->adapter, dev[0].guid))
        return;
    injected = true;
    proto_send(b, bytes, frame(bytes, mac_other, mac_other, 0x0800), 3);
    oid_status =
        proto_oid(b, NdisRequestSetInformation, OID_GEN_CURRENT_LOOKAHEAD, &value, 4, NULL);
    query_status = proto_oid(b, NdisRequestQueryInformation, OID_GEN_VENDOR_ID, &value, 4, NULL);
}

CONF(im_pnp_10_removed_virtual_miniport_refuses_sends_and_requests, NULL, 0)
{
    char gone[100];
    injected = false;
    value = 64;
    oid_status = query_status = NDIS_STATUS_SUCCESS;
    world_mux();
    spy_mux();
    world_proto(0);
    struct nic *n = world_nic(true);
    CHECK(n != NULL);
    vm_create(&dev[0], "mux");
    vm_create(&dev[1], "mux");
    vm_list("mux", 0, dev, 2);
    world_bind("mux", world_nic_guid(0));
    world_bind("tproto0", dev[0].guid);
    world_bind("tproto0", dev[1].guid);
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(umn__pnp_start_device(dev[1].id, NULL), 0);
    settle(10);
    struct bnd *b = proto_on(0, dev[0].guid);
    CHECK(b && b->running);
    uint64_t sent = b->completed, below = n->sends;
    proto_script.on_event = inject;
    int e = umn__pnp_surprise_remove(dev[0].id);
    proto_script.on_event = NULL;
    CHECK_EQ(e, 0);
    CHECK(injected);
    snprintf(gone, sizeof gone, "mux.pnp %s %d", dev[0].name,
             (int)NdisDevicePnPEventSurpriseRemoved);
    CHECK_LOGGED(gone, 1);
    CHECK(log_find(gone, 0) < log_find("tproto0.sent", 0));
    CHECK(log_last("tproto0.sent") < log_find("mux.halt", 0));
    CHECK_EQ(b->completed - sent, 3);
    CHECK_EQ(b->last_send_status, NDIS_STATUS_NOT_ACCEPTED);
    CHECK_EQ(n->sends - below, 0);
    CHECK_EQ(oid_status, NDIS_STATUS_NOT_ACCEPTED);
    CHECK_EQ(query_status, NDIS_STATUS_NOT_ACCEPTED);
    CHECK_STR(adapter_state(dev[1].guid), "Running");
}
