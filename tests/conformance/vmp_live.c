/* SPDX-License-Identifier: MIT */
/*
 * Group VMP: virtual miniports of the real MUX side by side (IM-VMP-16, -18, -19, -21), over one
 * and over several lower adapters.
 */
#include <stdio.h>
#include "ndis/internal.h"
#include "spy.h"

#define VMS 6
static struct vmdev dev[VMS];
static uint8_t bytes[60];

/* The MUX over `nics` NICs, `each` devices listed on each (in order), tproto0 above all of them. */
static void mux_world(unsigned count_nics, unsigned each)
{
    world_proto(0);
    world_mux();
    spy_mux();
    for (unsigned n = 0; n < count_nics && !conf_failed(); n++) {
        world_nic(true);
        for (unsigned i = n * each; i < (n + 1) * each && !conf_failed(); i++) {
            vm_create(&dev[i], "mux");
            world_bind("tproto0", dev[i].guid);
        }
        if (!conf_failed())
            vm_list("mux", n, &dev[n * each], each);
    }
}

static void bind_and_start(unsigned count_nics, unsigned each)
{
    for (unsigned n = 0; n < count_nics && !conf_failed(); n++)
        world_bind("mux", world_nic_guid(n));
    for (unsigned i = 0; i < count_nics * each && !conf_failed(); i++)
        if (umn__pnp_start_device(dev[i].id, NULL))
            conf_fail(__FILE__, __LINE__, "start: %s", umn_last_error());
    settle(10);
    for (unsigned i = 0; i < count_nics * each && !conf_failed(); i++)
        if (strcmp(adapter_state(dev[i].guid), "Running") || !proto_on(0, dev[i].guid))
            conf_fail(__FILE__, __LINE__, "vm %u is %s", i, adapter_state(dev[i].guid));
}

/* One frame of virtual miniport i to a station on the wire. */
static bool send_from(unsigned i)
{
    struct bnd *b = proto_on(0, dev[i].guid);
    return b &&
           proto_send(b, bytes, frame(bytes, mac_other, b->params.CurrentMacAddress, 0x0800), 1);
}

static int logged(const char *what, const struct vmdev *v)
{
    char text[120];
    snprintf(text, sizeof text, "%s %s", what, v->name);
    return log_count(text);
}

/* ---- IM-VMP-16
 * ------------------------------------------------------------------------------------ */
static volatile bool stop;
static unsigned rounds;

static void traffic(void *arg)
{
    struct nic *n = arg;
    while (!stop) {
        send_from(0);
        send_from(2);
        if (n->running)
            nic_indicate(n, bytes, frame(bytes, mac_broadcast, mac_other, 0x0800), 2, 0);
        rounds++;
        settle(1);
    }
}

CONF(im_vmp_16_halt_of_one_of_three_under_traffic, "IM-PNP-08", 0)
{
    mux_world(1, 3);
    bind_and_start(1, 3);
    CHECK_OK();
    struct nic *n = nic_by_guid(world_nic_guid(0));
    struct bnd *first = proto_on(0, dev[0].guid), *gone = proto_on(0, dev[1].guid),
               *last = proto_on(0, dev[2].guid);
    CHECK(n && first && gone && last);
    stop = false;
    rounds = 0;
    struct umn_ctx *thread = in_thread(traffic, n);
    CHECK(thread != NULL);
    settle(5);
    int e = umn__pnp_remove_device(dev[1].id);
    uint64_t sent = n->sends, one = first->received, two = last->received, three = gone->received;
    unsigned before = rounds;
    settle(20);
    stop = true;
    umn__ctx_join(thread);
    settle(10);
    CHECK_EQ(e, 0);
    CHECK(rounds > before + 1);
    CHECK_EQ(logged("mux.halt", &dev[1]), 1);
    CHECK_LOGGED("mux.halt", 1);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
    CHECK_STR(adapter_state(dev[2].guid), "Running");
    CHECK(n->sends > sent + 1);
    CHECK(first->received > one + 1);
    CHECK(last->received > two + 1);
    CHECK_EQ(gone->received, three);
    CHECK_EQ(first->last_send_status, NDIS_STATUS_SUCCESS);
    CHECK_EQ(last->last_send_status, NDIS_STATUS_SUCCESS);
}

/* What a halt releases is what its initialize took, ten times over, beside a sibling that stays. */
CONF(im_vmp_16_halt_releases_all_that_initialize_took, "IM-VMP-22", 0)
{
    mux_world(1, 2);
    bind_and_start(1, 2);
    CHECK_OK();
    CHECK_EQ(umn__pnp_remove_device(dev[1].id), 0);
    settle(10);
    size_t pool = umn__pool_live();
    for (unsigned i = 0; i < 10; i++) {
        CHECK_EQ(umn__pnp_start_device(dev[1].id, NULL), 0);
        settle(10);
        CHECK_STR(adapter_state(dev[1].guid), "Running");
        CHECK_EQ(umn__pnp_remove_device(dev[1].id), 0);
        settle(10);
    }
    CHECK_EQ(logged("mux.halt", &dev[1]), 11);
    CHECK_EQ(umn__pool_live(), pool);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
    CHECK(send_from(0));
}

/* ---- IM-VMP-18
 * -------------------------------------------------------------------------------------- */
CONF(im_vmp_18_each_has_a_context_of_its_own, NULL, 0)
{
    NDIS_HANDLE context[3];
    mux_world(1, 3);
    bind_and_start(1, 3);
    CHECK_OK();
    for (unsigned i = 0; i < 3; i++) {
        struct ndis_adapter *a = ndis__adapter_find(dev[i].name);
        CHECK(a != NULL);
        context[i] = a->context;
        CHECK(context[i] != NULL);
        for (unsigned k = 0; k < i; k++)
            CHECK(context[i] != context[k]);
    }
}

/* What goes in by one handle does not appear at another: sends, filters and counters. */
CONF(im_vmp_18_callbacks_get_their_own_context, NULL, 0)
{
    mux_world(1, 3);
    bind_and_start(1, 3);
    CHECK_OK();
    struct nic *n = nic_by_guid(world_nic_guid(0));
    CHECK(n != NULL);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k <= i; k++)
            CHECK(send_from(i));
    settle(10);
    CHECK_EQ(n->sends, 6);
    for (unsigned i = 0; i < 3; i++) {
        NDIS_STATISTICS_INFO s;
        CHECK_EQ(umn__ndis_statistics(dev[i].name, &s), 0);
        CHECK_EQ(s.ifHCOutUcastPkts, i + 1);
    }
    ULONG none = 0;
    struct bnd *silent = proto_on(0, dev[1].guid);
    CHECK(silent != NULL);
    CHECK_EQ(
        proto_oid(silent, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &none, 4, NULL),
        NDIS_STATUS_SUCCESS);
    CHECK(nic_indicate(n, bytes, frame(bytes, mac_broadcast, mac_other, 0x0800), 1, 0));
    settle(10);
    CHECK_EQ(proto_on(0, dev[0].guid)->received, 1);
    CHECK_EQ(proto_on(0, dev[1].guid)->received, 0);
    CHECK_EQ(proto_on(0, dev[2].guid)->received, 1);
}

/* ---- IM-VMP-19
 * -------------------------------------------------------------------------------------- */
/* Each allocation of the start fails in turn. Where MiniportInitializeEx was the victim it says
 * RESOURCES (its own call or one of NDIS), has released all, and the sibling does not notice. */
CONF(im_vmp_19_initialize_without_memory_is_resources, "IM-VMP-16 IM-INI-05", CONF_NO_SWEEP)
{
    char failed[120];
    unsigned victims = 0, nth = 0, inside = 0;
    mux_world(1, 2);
    bind_and_start(1, 2);
    CHECK_OK();
    CHECK_EQ(umn__pnp_remove_device(dev[1].id), 0);
    settle(10);
    size_t pool = umn__pool_live();
    snprintf(failed, sizeof failed, "mux.init.end %s %08x", dev[1].name,
             (unsigned)NDIS_STATUS_RESOURCES);
    for (bool injected = true; injected; nth++) {
        CHECK(nth < 2000);
        log_clear();
        plat_fail_alloc_at(nth + 1);
        umn__pnp_start_device(dev[1].id, NULL);
        injected = plat_alloc_failed();
        plat_fail_alloc_at(0);
        settle(10);
        CHECK_EQ(log_count(failed), spy.failed_inits - inside);
        inside = spy.failed_inits;
        if (log_count(failed)) {
            victims++;
            CHECK_EQ(logged("mux.halt", &dev[1]), 0);
            CHECK(!strcmp(adapter_state(dev[1].guid), "Halted") ||
                  !strcmp(adapter_state(dev[1].guid), ""));
            CHECK_EQ(umn__pool_live(), pool);
        }
        CHECK_EQ(umn__pnp_remove_device(dev[1].id), 0);
        settle(10);
        CHECK_EQ(umn__pool_live(), pool);
        CHECK_STR(adapter_state(dev[0].guid), "Running");
        /* The request is used up: the list is read again, as after a repair. */
        CHECK_EQ(umn__ndis_reconfigure("mux", NULL, NULL, 0, NULL), 0);
    }
    CHECK(victims >= 3); /* its context, its pool, its counters at least */
    CHECK(send_from(0));
}

/* ---- IM-VMP-21
 * -------------------------------------------------------------------------------------- */
CONF(im_vmp_21_reconfigure_requests_the_new_name_only, "IM-VMP-02", 0)
{
    NDIS_STATUS status;
    mux_world(1, 3);
    vm_list("mux", 0, dev, 2);
    CHECK_OK();
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[0].id, NULL), 0);
    CHECK_EQ(umn__pnp_start_device(dev[1].id, NULL), 0);
    settle(10);
    CHECK_EQ(spy.requests, 2);
    log_clear();
    vm_list("mux", 0, dev, 3);
    CHECK_EQ(umn__ndis_reconfigure("mux", NULL, NULL, 0, &status), 0);
    CHECK_EQ(status, NDIS_STATUS_SUCCESS);
    settle(10);
    CHECK_EQ(spy.requests, 3);
    CHECK_EQ(logged("mux.request", &dev[2]), 1);
    CHECK_LOGGED("mux.request \\", 1);
    CHECK_LOGGED("mux.reenumerate", 1);
    CHECK_LOGGED("mux.halt", 0);
    CHECK_LOGGED("mux.deinit", 0);
    CHECK_LOGGED("mux.init \\", 0);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
    CHECK_STR(adapter_state(dev[1].guid), "Running");
    CHECK_EQ(umn__pnp_start_device(dev[2].id, NULL), 0);
    CHECK_STR(adapter_state(dev[2].guid), "Running");
}

CONF(im_vmp_21_reconfigure_without_a_change_does_nothing, NULL, 0)
{
    mux_world(1, 3);
    bind_and_start(1, 2);
    CHECK_OK();
    CHECK_EQ(spy.requests, 3); /* the third one waits for its device */
    log_clear();
    CHECK_EQ(umn__ndis_reconfigure("mux", NULL, NULL, 0, NULL), 0);
    settle(10);
    CHECK_EQ(spy.requests, 3);
    CHECK_EQ(vm_pending(), 1);
    CHECK_LOGGED("mux.halt", 0);
    CHECK_LOGGED("mux.cancel", 0);
}

CONF(im_vmp_21_reconfigure_reads_every_open_adapter, NULL, 0)
{
    mux_world(3, 2);
    for (unsigned n = 0; n < 3; n++)
        vm_list("mux", n, &dev[n * 2], 1);
    CHECK_OK();
    for (unsigned n = 0; n < 3; n++)
        world_bind("mux", world_nic_guid(n));
    CHECK_OK();
    CHECK_EQ(spy.requests, 3);
    for (unsigned n = 0; n < 3; n++)
        vm_list("mux", n, &dev[n * 2], 2);
    CHECK_EQ(umn__ndis_reconfigure("mux", NULL, NULL, 0, NULL), 0);
    settle(10);
    CHECK_EQ(spy.requests, 6);
    for (unsigned i = 0; i < 6; i++)
        CHECK_EQ(logged("mux.request", &dev[i]), 1);
}

/* An adapter that was linked without telling anybody is found by NdisReEnumerateProtocolBindings.
 */
CONF(im_vmp_21_reconfigure_binds_what_was_linked_meanwhile, NULL, 0)
{
    char linked[2][80], *list[2] = {linked[0], linked[1]};
    mux_world(2, 1);
    CHECK_OK();
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    for (unsigned n = 0; n < 2; n++)
        snprintf(linked[n], sizeof linked[n], "\\Device\\%s", world_nic_guid(n));
    CHECK_EQ(umn__reg_set_multi(UMN_KEY_SERVICES "\\mux\\Linkage", "Bind", list, 2), 0);
    settle(10);
    CHECK_STR(binding_state(world_nic_guid(1), "mux"), "");
    CHECK_EQ(umn__ndis_reconfigure("mux", NULL, NULL, 0, NULL), 0);
    settle(10);
    CHECK_STR(binding_state(world_nic_guid(1), "mux"), "Running");
    CHECK_EQ(logged("mux.request", &dev[1]), 1);
}

/* ---- several lower adapters
 * -------------------------------------------------------------------------- */
CONF(im_vmp_05_several_lower_adapters_with_a_list_each, "IM-VMP-16", 0)
{
    mux_world(3, 2);
    bind_and_start(3, 2);
    CHECK_OK();
    CHECK_EQ(spy.requests, 6);
    for (unsigned i = 0; i < 6; i++) {
        struct nic *n = nic_by_guid(world_nic_guid(i / 2));
        CHECK(n != NULL);
        uint64_t sent = n->sends;
        CHECK(send_from(i));
        settle(5);
        CHECK_EQ(n->sends, sent + 1); /* by its own adapter and no other */
    }
    CHECK_EQ(nics[0].sends + nics[1].sends + nics[2].sends, 6);
}

CONF(im_vmp_13_unbind_of_one_of_several_lower_adapters, "IM-VMP-16 IM-UNB-09", 0)
{
    mux_world(3, 2);
    bind_and_start(3, 2);
    CHECK_OK();
    CHECK_EQ(umn__netcfg_unbind("mux", world_nic_guid(1)), 0);
    settle(10);
    CHECK_EQ(spy.deinits, 2);
    CHECK_EQ(logged("mux.halt", &dev[2]), 1);
    CHECK_EQ(logged("mux.halt", &dev[3]), 1);
    CHECK_LOGGED("mux.halt", 2);
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
    CHECK_STR(binding_state(world_nic_guid(1), "mux"), "");
    CHECK_STR(binding_state(world_nic_guid(2), "mux"), "Running");
    for (unsigned i = 0; i < 6; i++)
        CHECK_EQ(!strcmp(adapter_state(dev[i].guid), "Running"), i / 2 != 1);
    CHECK(send_from(0));
    CHECK(send_from(5));
    /* And bound again, everything is back: the devices have been started all the time. */
    world_bind("mux", world_nic_guid(1));
    settle(10);
    CHECK_STR(adapter_state(dev[2].guid), "Running");
    CHECK_STR(adapter_state(dev[3].guid), "Running");
    CHECK_EQ(spy.requests, 8);
}

static void bind_second(void *arg)
{
    umn__netcfg_bind("mux", world_nic_guid(1));
}

CONF(im_vmp_02_two_lower_adapters_bind_at_once, "IM-POR-03", 0)
{
    mux_world(2, 2);
    CHECK_OK();
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(umn__pnp_start_device(dev[i].id, NULL), 0);
    struct umn_ctx *other = in_thread(bind_second, NULL);
    CHECK(other != NULL);
    int e = umn__netcfg_bind("mux", world_nic_guid(0));
    umn__ctx_join(other);
    settle(10);
    CHECK_EQ(e, 0);
    CHECK_EQ(spy.requests, 4);
    for (unsigned i = 0; i < 4; i++)
        CHECK_STR(adapter_state(dev[i].guid), "Running");
}
