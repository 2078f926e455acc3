/* SPDX-License-Identifier: MIT */
/*
 * Group PNP, EVT, STK: removals that meet. The NIC vanishes, is disabled, or its driver raises
 * events while PnP takes away, stops or brings back the virtual miniports above it. The real MUX
 * holds a virtual miniport while it raises an event on it, and its MiniportHaltEx waits for that:
 * whatever the order, nobody may wait for somebody who waits for him.
 */
#include "stacks.h"
#include <umndis/umhost.h>

#define VMS 2
static struct vmdev dev[VMS];

static void stack_with_vms(void)
{
    world_mux();
    world_proto(0);
    CHECK_OK();
    CHECK(world_nic(true) != NULL);
    for (int i = 0; i < VMS; i++) {
        vm_create(&dev[i], "mux");
        CHECK_OK();
        world_bind("tproto0", dev[i].guid);
    }
    vm_list("mux", 0, dev, VMS);
    CHECK_OK();
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    for (int i = 0; i < VMS; i++) {
        CHECK_EQ(umn__pnp_start_device(dev[i].id, NULL), 0);
    }
    settle(10);
    for (int i = 0; i < VMS; i++) {
        CHECK_STR(adapter_state(dev[i].guid), "Running");
        CHECK_STR(binding_state(dev[i].guid, "tproto0"), "Running");
    }
}

static void surprise(void *id)
{
    log_event("surprise removal %s", umn_strerror(umn__pnp_surprise_remove(id)));
}

static void away(void *id)
{
    log_event("remove %s", umn_strerror(umn__pnp_remove_device(id)));
}

/* What a box does that stops in the moment in which its interface vanishes. */
CONF(im_pnp_09_surprise_removal_meets_the_removal_of_virtual_miniports, "IM-EVT-04 IM-STK-05", 0)
{
    struct umn_ctx *nic, *vm;
    stack_with_vms();
    CHECK_OK();
    nic = in_thread(surprise, (void *)(uintptr_t)world_nic_instance(0));
    vm = in_thread(away, dev[0].id);
    away(dev[1].id);
    join(nic);
    join(vm);
    settle(10);
    CHECK_STR(adapter_state(world_nic_guid(0)), "");
    for (int i = 0; i < VMS; i++)
        CHECK_STR(adapter_state(dev[i].guid), "");
    CHECK_LOGGED("surprise removal success", 1);
}

/* The same as it happens: the NIC's driver says that it is gone, and the box stops meanwhile. */
CONF(im_pnp_09_box_stops_while_its_nic_vanishes, "IM-EVT-04 IM-STK-05", 0)
{
    struct ndis_adapter *a;
    stack_with_vms();
    CHECK_OK();
    a = ndis__adapter_find(world_nic_guid(0));
    CHECK(a != NULL);
    UmhDeviceGone(a->pdo);
}

/* ---- events that take their time
 * ------------------------------------------------------------------ */

static volatile bool over;

/* Completes what the protocol pends, until the removals are over. */
static void completes(void *arg)
{
    while (!over) {
        settle(1);
        for (int i = 0; i < BIND_MAX; i++)
            if (protos[0].b[i].held_event)
                proto_complete_event(&protos[0].b[i], NDIS_STATUS_SUCCESS);
    }
}

CONF(im_evt_04_pended_event_holds_a_removal_up_and_no_longer, "IM-EVT-03 IM-PNP-09", 0)
{
    struct umn_ctx *nic, *vm, *upper;
    stack_with_vms();
    CHECK_OK();
    over = false;
    upper = in_thread(completes, NULL);
    CHECK(upper != NULL);
    proto_script.pend_event = NetEventQueryRemoveDevice;
    nic = in_thread(surprise, (void *)(uintptr_t)world_nic_instance(0));
    vm = in_thread(away, dev[0].id);
    join(nic);
    join(vm);
    over = true;
    join(upper);
    CHECK_STR(adapter_state(world_nic_guid(0)), "");
    CHECK_STR(adapter_state(dev[0].guid), "");
    CHECK_STR(adapter_state(dev[1].guid), "Halted"); /* its device is there and started */
}

static void unbinds_itself(struct bnd *b, NET_PNP_EVENT *e)
{
    if (b && e->NetEvent == NetEventQueryRemoveDevice)
        NdisUnbindAdapter(b->handle);
}

CONF(im_unb_11_protocol_asks_to_be_unbound_while_all_below_goes, "IM-PNP-09 IM-EVT-04", 0)
{
    struct umn_ctx *nic, *vm;
    stack_with_vms();
    CHECK_OK();
    proto_script.on_event = unbinds_itself;
    nic = in_thread(surprise, (void *)(uintptr_t)world_nic_instance(0));
    vm = in_thread(away, dev[0].id);
    join(nic);
    join(vm);
    settle(10);
    CHECK_STR(adapter_state(world_nic_guid(0)), "");
    for (int i = 0; i < VMS; i++)
        CHECK(proto_on(0, dev[i].guid) == NULL);
}

/* ---- everybody at once
 * ---------------------------------------------------------------------------- */

static void nic_goes_and_comes(void *id)
{
    umn__pnp_surprise_remove(id);
    umn__pnp_start_device(id, NULL);
}

static void vm_goes_and_comes(void *id)
{
    umn__pnp_disable_device(id);
    umn__pnp_enable_device(id);
}

static void lists_read_again(void *arg)
{
    NDIS_STATUS status;
    umn__ndis_reconfigure("mux", NULL, NULL, 0, &status);
    umn__ndis_reconfigure("mux", world_nic_guid(0), NULL, 0, &status);
}

static bool look(void *arg, const struct umn_adapter_info *a)
{
    NDIS_STATISTICS_INFO info;
    umn__ndis_statistics(a->name, &info);
    return true;
}

static void someone_looks(void *arg)
{
    for (int i = 0; i < 3; i++)
        umn__ndis_adapters(look, NULL);
}

static void rebound(void *arg)
{
    umn__netcfg_unbind("tproto0", dev[1].guid);
    umn__netcfg_bind("tproto0", dev[1].guid);
}

/* Afterwards all that is configured is there again. */
CONF(im_stk_05_removals_reconfigurations_and_looks_at_once, "IM-PNP-09 IM-VMP-21", 0)
{
    struct umn_ctx *t[5];
    stack_with_vms();
    CHECK_OK();
    t[0] = in_thread(nic_goes_and_comes, (void *)(uintptr_t)world_nic_instance(0));
    t[1] = in_thread(vm_goes_and_comes, dev[0].id);
    t[2] = in_thread(lists_read_again, NULL);
    t[3] = in_thread(someone_looks, NULL);
    t[4] = in_thread(rebound, NULL);
    for (int i = 0; i < 5; i++)
        join(t[i]);
    settle(10);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
    for (int i = 0; i < VMS; i++) {
        CHECK_STR(adapter_state(dev[i].guid), "Running");
        CHECK_STR(binding_state(dev[i].guid, "tproto0"), "Running");
    }
}

/* ---- a request that waits for the NIC's D0
 * -------------------------------------------------------- */

static NDIS_STATUS nic_power(NDIS_DEVICE_POWER_STATE state)
{
    struct ndis_binding *b = lower_binding("mux", world_nic_guid(0));
    return b ? ndis__event_send(b->protocol, b, NetEventSetPower, &state, sizeof state)
             : NDIS_STATUS_FAILURE;
}

static NDIS_STATUS vm_power(NDIS_DEVICE_POWER_STATE state)
{
    unsigned length = sizeof state;
    NDIS_STATUS status = NDIS_STATUS_FAILURE;
    umn__ndis_oid(dev[0].name, NdisRequestSetInformation, OID_PNP_SET_POWER, &state, &length,
                  &status);
    return status;
}

static unsigned queued_after; /* requests done before the one that is queued */

/* The NIC sleeps; a virtual miniport sleeps and wakes, so that it takes requests again, and one
 * that the NIC would have to answer is queued in the MUX (IM-PWR-08). */
static struct bnd *request_waits_for_d0(void)
{
    static ULONG value;
    struct bnd *b;
    stack_with_vms();
    if (conf_failed() || nic_power(NdisDeviceStateD3) || vm_power(NdisDeviceStateD3) ||
        vm_power(NdisDeviceStateD0) || !(b = proto_on(0, dev[0].guid)))
        return NULL;
    if (proto_oid_async(b, NdisRequestQueryInformation, 0xFF111111, &value, 4, NULL, 0) !=
        NDIS_STATUS_PENDING)
        return NULL;
    settle(10);
    queued_after = b->oids_done;
    return b;
}

CONF(im_stk_05_nic_vanishes_asleep_with_a_request_queued, "IM-PWR-08 IM-OID-10", 0)
{
    struct bnd *b = request_waits_for_d0();
    CHECK(b != NULL);
    CHECK_EQ(umn__pnp_surprise_remove(world_nic_instance(0)), 0);
    CHECK_EQ(b->oids_done, queued_after + 1);
    CHECK_EQ(b->last_oid_status, NDIS_STATUS_LOW_POWER_STATE);
    CHECK_STR(adapter_state(world_nic_guid(0)), "");
}

CONF(im_stk_05_virtual_miniport_goes_with_a_request_queued, "IM-PWR-08", 0)
{
    struct bnd *b = request_waits_for_d0();
    CHECK(b != NULL);
    CHECK_EQ(umn__pnp_remove_device(dev[0].id), 0);
    CHECK_EQ(b->oids_done, queued_after + 1);
    CHECK_EQ(b->last_oid_status, NDIS_STATUS_LOW_POWER_STATE);
    CHECK_STR(adapter_state(dev[0].guid), "");
    CHECK_STR(adapter_state(dev[1].guid), "Running");
}
