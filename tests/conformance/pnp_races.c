/* SPDX-License-Identifier: MIT */
/*
 * Group PNP, EVT, STK: removals that meet. The NIC vanishes, is disabled, or its driver raises
 * events while PnP takes away, stops or brings back the virtual miniports above it. The real MUX
 * holds a virtual miniport while it raises an event on it, and its MiniportHaltEx waits for that:
 * whatever the order, nobody may wait for somebody who waits for him.
 */
#include "stacks.h"

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
