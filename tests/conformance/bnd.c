/* SPDX-License-Identifier: MIT */
/*
 * Group BND, first part: which adapters are bound, when, and with which parameters. The open is in
 * bnd_open.c. Hooks note what they see in statics; each test clears its own.
 */
#include <stdio.h>
#include "spy.h"
#include "ndis/internal.h"

static char *bind_entry(unsigned proto, unsigned nic)
{
    static char text[96];
    snprintf(text, sizeof text, "tproto%u.bind \\Device\\%s irql 0", proto, world_nic_guid(nic));
    return text;
}

/* ---- IM-BND-01: one bind per arrival, with the drivers below Paused
 * ------------------------------ */
static unsigned binds_seen, binds_not_paused, nics_running_at_bind;

static void note_lower_state(struct bnd *b, PNDIS_BIND_PARAMETERS params)
{
    binds_seen++;
    if (strcmp(adapter_state(strchr(b->adapter, '{')), "Paused"))
        binds_not_paused++;
    struct nic *n = nic_by_guid(strchr(b->adapter, '{'));
    if (n && n->running)
        nics_running_at_bind++;
}

static void watch_lower_state(void)
{
    binds_seen = binds_not_paused = nics_running_at_bind = 0;
    proto_script.before_open = note_lower_state;
}

CONF(im_bnd_01_one_bind_per_arrival_in_any_order, NULL, 0)
{
    enum { COUNT = 3, STEPS = 14 };
    unsigned arrivals[COUNT] = {0}, turn = 0x2b5a6d31;
    bool up[COUNT] = {false};
    watch_lower_state();
    world_proto(0);
    for (unsigned i = 0; i < COUNT; i++) {
        world_nic(false);
        CHECK_OK();
        world_bind("tproto0", world_nic_guid(i));
        CHECK_OK();
    }
    CHECK_EQ(binds_seen, 0); /* not available yet */
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (turn = turn * 1664525u + 1013904223u) >> 16;
        i %= COUNT;
        int e = up[i] ? umn__pnp_remove_device(world_nic_instance(i))
                      : umn__pnp_start_device(world_nic_instance(i), NULL);
        CHECK_EQ(e, 0);
        up[i] = !up[i];
        arrivals[i] += up[i];
        settle(1);
        CHECK_EQ(proto_on(0, world_nic_guid(i)) != NULL, up[i]);
        for (unsigned k = 0; k < COUNT; k++)
            CHECK_LOGGED(bind_entry(0, k), arrivals[k]);
    }
    CHECK_EQ(log_count("tproto0.bind \\"), binds_seen);
    CHECK_EQ(binds_not_paused, 0);
    CHECK_EQ(nics_running_at_bind, 0);
}

CONF(im_bnd_01_running_adapter_is_paused_around_the_bind, "IM-MST-14", 0)
{
    watch_lower_state();
    world_proto(0);
    CHECK(world_nic(true) != NULL);
    settle(10);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
    log_clear();
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_EQ(binds_seen, 1);
    CHECK_EQ(binds_not_paused, 0);
    CHECK_EQ(nics_running_at_bind, 0);
    CHECK(log_in_order("nic0.pause", bind_entry(0, 0), "tproto0.bind.end 00000000", "nic0.restart",
                       NULL));
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
}

CONF(im_bnd_01_not_configured_not_bound, NULL, 0)
{
    world_proto(0);
    CHECK(world_nic(true) != NULL);
    CHECK(world_nic(true) != NULL);
    world_bind("tproto0", world_nic_guid(1));
    CHECK_OK();
    settle(10);
    CHECK_LOGGED(bind_entry(0, 0), 0);
    CHECK_LOGGED(bind_entry(0, 1), 1);
}

/* ---- IM-BND-02: the parameters
 * -------------------------------------------------------------------- */
static const struct {
    unsigned minor;
    UCHAR revision;
    USHORT size;
} revisions[] = {
    {0, NDIS_BIND_PARAMETERS_REVISION_1, NDIS_SIZEOF_BIND_PARAMETERS_REVISION_1},
    {1, NDIS_BIND_PARAMETERS_REVISION_2, NDIS_SIZEOF_BIND_PARAMETERS_REVISION_2},
    {20, NDIS_BIND_PARAMETERS_REVISION_3, NDIS_SIZEOF_BIND_PARAMETERS_REVISION_3},
    {30, NDIS_BIND_PARAMETERS_REVISION_4, NDIS_SIZEOF_BIND_PARAMETERS_REVISION_4},
};
static struct {
    bool seen, same_name, pm, pm_ex;
    NDIS_DEVICE_POWER_STATE magic, magic_ex;
    void *pdo;
} inside; /* what only the callback may look at */

static void note_pointers(struct bnd *b, PNDIS_BIND_PARAMETERS p)
{
    inside.seen = true;
    inside.same_name =
        p->BoundAdapterName && p->AdapterName &&
        p->BoundAdapterName->Length == p->AdapterName->Length &&
        !memcmp(p->BoundAdapterName->Buffer, p->AdapterName->Buffer, p->AdapterName->Length);
    inside.pm = p->PowerManagementCapabilities != NULL;
    if (inside.pm)
        inside.magic = p->PowerManagementCapabilities->WakeUpCapabilities.MinMagicPacketWakeUp;
    inside.pdo = p->PhysicalDeviceObject;
    if (p->Header.Revision < NDIS_BIND_PARAMETERS_REVISION_3)
        return;
    inside.pm_ex = p->PowerManagementCapabilitiesEx != NULL;
    if (inside.pm_ex)
        inside.magic_ex = p->PowerManagementCapabilitiesEx->MinMagicPacketWakeUp;
}

/* Every member that the miniport registered (tnic.c, set_general), or that NDIS knows. */
static void check_members(const NDIS_BIND_PARAMETERS *p, const struct nic *n)
{
    CHECK_EQ(p->MediaType, NdisMedium802_3);
    CHECK_EQ(p->PhysicalMediumType, NdisPhysicalMedium802_3);
    CHECK_EQ(p->MtuSize, 1434);
    CHECK_EQ(p->LookaheadSize, 1434);
    CHECK_EQ(p->MaxXmitLinkSpeed, 10000000000ull);
    CHECK_EQ(p->MaxRcvLinkSpeed, 10000000000ull);
    CHECK_EQ(p->XmitLinkSpeed, 10000000000ull);
    CHECK_EQ(p->RcvLinkSpeed, 10000000000ull);
    CHECK_EQ(p->MediaConnectState, MediaConnectStateConnected);
    CHECK_EQ(p->MediaDuplexState, MediaDuplexStateFull);
    CHECK_EQ(p->SupportedPacketFilters, NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST |
                                            NDIS_PACKET_TYPE_ALL_MULTICAST |
                                            NDIS_PACKET_TYPE_BROADCAST |
                                            NDIS_PACKET_TYPE_PROMISCUOUS);
    CHECK_EQ(p->MaxMulticastListSize, 17);
    CHECK_EQ(p->MacAddressLength, 6);
    CHECK(!memcmp(p->CurrentMacAddress, n->mac, 6));
    CHECK_EQ(p->AccessType, NET_IF_ACCESS_BROADCAST);
    CHECK_EQ(p->DirectionType, NET_IF_DIRECTION_SENDRECEIVE);
    CHECK_EQ(p->ConnectionType, NET_IF_CONNECTION_DEDICATED);
    CHECK_EQ(p->IfType, IF_TYPE_ETHERNET_CSMACD);
    CHECK_EQ(p->IfConnectorPresent, TRUE);
    CHECK_EQ(p->MacOptions, NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA | NDIS_MAC_OPTION_NO_LOOPBACK);
    CHECK_EQ(p->CompartmentId, NET_IF_COMPARTMENT_ID_PRIMARY);
    CHECK_EQ(p->BoundIfIndex, n->init.IfIndex);
    CHECK_EQ(p->LowestIfIndex, n->init.IfIndex);
    CHECK(p->BoundIfNetluid.Value == n->init.NetLuid.Value);
    CHECK(p->LowestIfNetluid.Value == n->init.NetLuid.Value);
    CHECK(p->RcvScaleCapabilities == NULL);
}

static void bind_as(unsigned index)
{
    char service[16], name[96];
    snprintf(service, sizeof service, "tproto%u", index);
    memset(&inside, 0, sizeof inside);
    proto_script.minor = revisions[index].minor;
    world_proto(index);
    world_bind(service, world_nic_guid(0));
    CHECK_OK();
    settle(10);
    struct bnd *b = proto_on(index, world_nic_guid(0));
    CHECK(b != NULL);
    CHECK_EQ(b->params.Header.Type, NDIS_OBJECT_TYPE_BIND_PARAMETERS);
    CHECK_EQ(b->params.Header.Revision, revisions[index].revision);
    CHECK_EQ(b->params.Header.Size, revisions[index].size);
    snprintf(name, sizeof name, "\\Device\\%s", world_nic_guid(0));
    CHECK_STR(b->adapter, name);
    check_members(&b->params, &nics[0]);
    CHECK(inside.seen);
    CHECK(inside.same_name); /* no filter intermediate driver in between */
    CHECK(inside.pdo != NULL);
    if (revisions[index].minor >= 20) {
        CHECK(inside.pm_ex); /* mandatory there */
        CHECK_EQ(inside.magic_ex, NdisDeviceStateD3);
    } else {
        CHECK(inside.pm);
        CHECK_EQ(inside.magic, NdisDeviceStateD3);
    }
}

CONF(im_bnd_02_parameters_of_each_version, NULL, 0)
{
    nic_script.mtu = 1434;
    nic_script.multicast_max = 17;
    nic_script.pm_capable = true;
    proto_script.before_open = note_pointers;
    CHECK(world_nic(true) != NULL);
    for (unsigned i = 0; i < 4 && !conf_failed(); i++)
        bind_as(i);
}

CONF(im_bnd_02_parameters_say_the_present_link_state, NULL, 0)
{
    nic_script.link_down = true;
    world_proto(0);
    world_proto(1);
    struct nic *n = world_nic(true);
    CHECK(n != NULL);
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    struct bnd *b = proto_on(0, world_nic_guid(0));
    CHECK(b != NULL);
    CHECK_EQ(b->params.MediaConnectState, MediaConnectStateDisconnected);
    nic_link(n, true); /* the attributes of initialize are history now */
    settle(10);
    world_bind("tproto1", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    b = proto_on(1, world_nic_guid(0));
    CHECK(b != NULL);
    CHECK_EQ(b->params.MediaConnectState, MediaConnectStateConnected);
    CHECK_EQ(b->params.XmitLinkSpeed, 10000000000ull);
}

/* ---- IM-BND-03
 * ------------------------------------------------------------------------------------- */
CONF(im_bnd_03_protocol_section_of_two_services_and_adapters, NULL, 0)
{
    world_proto(0);
    world_proto(1);
    for (unsigned i = 0; i < 2; i++)
        CHECK(world_nic(true) != NULL);
    for (unsigned p = 0; p < 2; p++)
        for (unsigned i = 0; i < 2; i++) {
            char service[16], section[160];
            snprintf(service, sizeof service, "tproto%u", p);
            world_bind(service, world_nic_guid(i));
            CHECK_OK();
            settle(10);
            struct bnd *b = proto_on(p, world_nic_guid(i));
            CHECK(b != NULL);
            snprintf(section, sizeof section, "%s\\Parameters\\Adapters\\%s", service,
                     world_nic_guid(i));
            CHECK_STR(b->section, section);
        }
}

/* ---- IM-BND-12: the MUX asks for nothing that the bind parameters tell
 * ----------------------------- */
CONF(im_bnd_12_mux_issues_no_request_in_bind, NULL, 0)
{
    static const NDIS_OID told[] = {
        OID_GEN_MAXIMUM_FRAME_SIZE,
        OID_GEN_LINK_SPEED,
        OID_GEN_LINK_SPEED_EX,
        OID_GEN_MAXIMUM_LOOKAHEAD,
        OID_GEN_CURRENT_LOOKAHEAD,
        OID_GEN_MEDIA_CONNECT_STATUS,
        OID_GEN_LINK_STATE,
        OID_802_3_CURRENT_ADDRESS,
        OID_GEN_MAC_OPTIONS,
        OID_802_3_MAXIMUM_LIST_SIZE,
        OID_GEN_PHYSICAL_MEDIUM,
        OID_GEN_MEDIA_SUPPORTED,
        OID_GEN_MEDIA_IN_USE,
        OID_PNP_CAPABILITIES,
        OID_PM_CURRENT_CAPABILITIES,
        OID_GEN_RECEIVE_SCALE_CAPABILITIES,
        OID_TCP_OFFLOAD_CURRENT_CONFIG,
        OID_GEN_MAX_LINK_SPEED,
    };
    char id[64], guid[64], entry[64];
    world_mux();
    CHECK_OK();
    spy_mux();
    world_proto(0);
    CHECK(world_nic(true) != NULL);
    world_bind("mux", world_nic_guid(0));
    world_vm(0, "tproto0", 0, id, guid);
    CHECK_OK();
    settle(10);
    CHECK_STR(adapter_state(guid), "Running");
    int first = log_find("mux.bind \\", 0), last = log_find("mux.bind.end", 0);
    CHECK(first >= 0 && last > first);
    for (int i = first; i < last; i++)
        CHECK(strncmp(log_at(i), "mux.oid", 7) != 0);
    for (unsigned i = 0; i < sizeof told / sizeof told[0]; i++) {
        snprintf(entry, sizeof entry, "mux.oid %d %08x", (int)NdisRequestQueryInformation, told[i]);
        CHECK_LOGGED(entry, 0);
    }
}

/* ---- IM-BND-13: no unbind while the bind is under way
 * ---------------------------------------------- */
static void start_nic(void *arg)
{
    umn__pnp_start_device(world_nic_instance(0), NULL);
}
static void remove_nic(void *arg)
{
    umn__pnp_remove_device(world_nic_instance(0));
    log_event("removed");
}
static void join(struct umn_ctx *ctx)
{
    if (ctx)
        umn__ctx_join(ctx);
}

CONF(im_bnd_13_remove_during_pended_bind_waits, NULL, 0)
{
    proto_script.pend_bind = true;
    world_proto(0);
    world_nic(false);
    CHECK_OK();
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    struct umn_ctx *starter = in_thread(start_nic, NULL);
    settle(20);
    struct bnd *b = proto_on(0, world_nic_guid(0));
    struct umn_ctx *remover = b ? in_thread(remove_nic, NULL) : NULL;
    settle(100);
    int early = log_count("tproto0.unbind") + log_count("removed") + log_count("nic0.halt");
    bool pended = b && !b->bound;
    if (pended) {
        proto_complete_bind(b, NDIS_STATUS_SUCCESS);
        log_event("completed");
    }
    join(starter);
    join(remover);
    settle(20);
    CHECK(pended);
    CHECK_EQ(early, 0);
    CHECK_LOGGED("tproto0.unbind \\", 1);
    CHECK(log_in_order("tproto0.bind \\", "tproto0.bind.end", "tproto0.unbind \\", "nic0.halt",
                       "removed", NULL));
}

CONF(im_bnd_13_remove_during_pended_open_waits, NULL, 0)
{
    umn__ndis_settings.async_open = true;
    world_proto(0);
    world_nic(false);
    CHECK_OK();
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    struct umn_ctx *starter = in_thread(start_nic, NULL);
    struct umn_ctx *remover = in_thread(remove_nic, NULL); /* anywhere in the start */
    join(starter);
    join(remover);
    umn__pnp_remove_device(world_nic_instance(0));
    settle(50);
    CHECK_EQ(log_count("tproto0.bind \\"), log_count("tproto0.unbind \\"));
    if (log_count("tproto0.unbind \\"))
        CHECK(log_in_order("tproto0.open.complete", "tproto0.bind.end", "tproto0.unbind \\", NULL));
}

/* ---- IM-BND-14: a virtual miniport is an adapter like any other
 * ------------------------------------- */
static struct vmdev vm;

static void request_vm(struct bnd *b)
{
    im_request(0, vm.name, NULL);
}
static void drop_vm(struct bnd *b)
{
    struct nic *n = nic_by_guid(vm.guid);
    if (n)
        im_deinitialize(n);
    else
        im_cancel(0, vm.name);
}

/* tim0 over nic 0 with the virtual miniport `vm`, Running. */
static void tim_over_nic(void)
{
    im_script.on_bind = request_vm;
    im_script.on_unbind = drop_vm;
    world_im(0);
    vm_create(&vm, "tim0");
    CHECK_OK();
    CHECK(world_nic(true) != NULL);
    CHECK_EQ(umn__pnp_start_device(vm.id, NULL), 0);
    world_bind("tim0", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_STR(adapter_state(vm.guid), "Running");
}

CONF(im_bnd_14_protocol_binds_to_virtual_miniport, NULL, 0)
{
    char name[96];
    uint8_t f[64];
    tim_over_nic();
    CHECK_OK();
    world_proto(0);
    world_bind("tproto0", vm.guid);
    CHECK_OK();
    settle(10);
    struct bnd *b = proto_on(0, vm.guid);
    struct nic *n = nic_by_guid(vm.guid);
    CHECK(b != NULL && n != NULL);
    snprintf(name, sizeof name, "tproto0.bind %s irql 0", vm.name);
    CHECK_LOGGED(name, 1);
    CHECK_STR(binding_state(vm.guid, "tproto0"), "Running");
    CHECK(proto_send(b, f, frame(f, mac_broadcast, n->mac, 0x88b5), 3));
    CHECK(nic_indicate(n, f, frame(f, mac_broadcast, mac_other, 0x88b5), 2, 0));
    settle(10);
    CHECK_EQ(n->sends, 3);
    CHECK_EQ(b->completed, 3);
    CHECK_EQ(b->last_send_status, NDIS_STATUS_SUCCESS);
    CHECK_EQ(b->received, 2);
    CHECK_EQ(n->returns, 2);
}

/* MUX over MUX over NIC: the image a second time as another service, with data of its own. */
CONF(im_bnd_14_mux_over_mux_carries_traffic, NULL, CONF_SLOW)
{
    char id[2][64], guid[2][64];
    uint8_t f[64];
    world_mux();
    int e = umn__netcfg_add_service("mux2", "intermediate", "mux");
    CHECK_EQ(e ? e : umn__netcfg_load("mux2"), 0);
    world_proto(0);
    struct nic *n = world_nic(true);
    CHECK(n != NULL);
    world_bind("mux", world_nic_guid(0));
    world_vm(0, NULL, 0, id[0], guid[0]);
    CHECK_OK();
    world_bind("mux2", guid[0]);
    struct umn_vm_desc desc = {
        .service = "mux2", .lower_guid = guid[0], .upper = "tproto0", .mac = "02:00:00:00:00:42"};
    CHECK_EQ(umn__netcfg_add_vm(&desc, id[1], guid[1]), 0);
    settle(50);
    CHECK_STR(adapter_state(guid[1]), "Running");
    CHECK_STR(binding_state(guid[0], "mux2"), "Running");
    struct bnd *b = proto_on(0, guid[1]);
    CHECK(b != NULL);
    static const uint8_t own[6] = {0x02, 0, 0, 0, 0, 0x42};
    CHECK(proto_send(b, f, frame(f, mac_other, own, 0x88b5), 4));
    settle(10);
    CHECK_EQ(b->completed, 4);
    CHECK_EQ(b->last_send_status, NDIS_STATUS_SUCCESS);
    CHECK_EQ(n->sends, 4);
    CHECK_EQ(n->last_frame_length, 60);
    CHECK(!memcmp(n->last_frame, f, 60));
    CHECK(nic_indicate(n, f, frame(f, mac_broadcast, mac_other, 0x88b6), 2, 0));
    settle(10);
    CHECK_EQ(b->received, 2);
    CHECK(!memcmp(b->last_frame, f, 60));
    CHECK_EQ(n->returns, 2);
}

/* ---- IM-BND-15: NdisReEnumerateProtocolBindings
 * ------------------------------------------------------ */
CONF(im_bnd_15_binds_what_is_configured_and_unbound, NULL, 0)
{
    world_proto(0);
    for (unsigned i = 0; i < 3; i++)
        CHECK(world_nic(true) != NULL);
    world_bind("tproto0", world_nic_guid(0));
    proto_script.bind_status = NDIS_STATUS_FAILURE; /* configured, and the driver refuses once */
    world_bind("tproto0", world_nic_guid(1));
    CHECK_OK();
    settle(10);
    CHECK(proto_on(0, world_nic_guid(1)) == NULL);
    proto_script.bind_status = NDIS_STATUS_SUCCESS;
    log_clear();
    NdisReEnumerateProtocolBindings(protos[0].handle);
    settle(20);
    CHECK_LOGGED(bind_entry(0, 0), 0); /* bound already */
    CHECK_LOGGED(bind_entry(0, 1), 1);
    CHECK_LOGGED(bind_entry(0, 2), 0); /* not configured */
    CHECK_STR(binding_state(world_nic_guid(1), "tproto0"), "Running");
    log_clear();
    NdisReEnumerateProtocolBindings(protos[0].handle);
    settle(20);
    CHECK_LOGGED("tproto0.bind", 0);
}

static NET_PNP_EVENT_CODE enumerate_on;
static void enumerate_in_bind(struct bnd *b)
{
    NdisReEnumerateProtocolBindings(b->proto->handle);
}
static void enumerate_in_event(struct bnd *b, NET_PNP_EVENT *e)
{
    if (e->NetEvent == enumerate_on)
        NdisReEnumerateProtocolBindings(b ? b->proto->handle : protos[0].handle);
}

CONF(im_bnd_15_illegal_in_bind_unbind_and_bound_events, NULL, 0)
{
    conf_expect("IM-BND-15");
    world_proto(0);
    CHECK(world_nic(true) != NULL);
    proto_script.on_bind = enumerate_in_bind;
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    proto_script.on_bind = NULL;
    CHECK_EQ(umn__report_count_rule("IM-BND-15"), 1);
    enumerate_on = NetEventReconfigure;
    proto_script.on_event = enumerate_in_event;
    NDIS_STATUS status;
    CHECK_EQ(umn__ndis_reconfigure("tproto0", world_nic_guid(0), NULL, 0, &status), 0);
    CHECK_EQ(umn__report_count_rule("IM-BND-15"), 2);
    /* With a NULL binding context it is legal. */
    CHECK_EQ(umn__ndis_reconfigure("tproto0", NULL, NULL, 0, &status), 0);
    CHECK_EQ(umn__report_count_rule("IM-BND-15"), 2);
    proto_script.on_event = NULL;
    proto_script.on_unbind = enumerate_in_bind;
    CHECK_EQ(umn__netcfg_unbind("tproto0", world_nic_guid(0)), 0);
    settle(10);
    CHECK_EQ(umn__report_count_rule("IM-BND-15"), 3);
    CHECK_LOGGED("tproto0.bind \\", 1);
}

CONF(im_bnd_15_legal_in_event_without_binding, NULL, 0)
{
    world_proto(0);
    CHECK(world_nic(true) != NULL);
    proto_script.bind_status = NDIS_STATUS_FAILURE;
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    proto_script.bind_status = NDIS_STATUS_SUCCESS;
    enumerate_on = NetEventReconfigure;
    proto_script.on_event = enumerate_in_event;
    log_clear();
    NDIS_STATUS status;
    CHECK_EQ(umn__ndis_reconfigure("tproto0", NULL, NULL, 0, &status), 0);
    settle(20);
    CHECK_LOGGED(bind_entry(0, 0), 1);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
}

/* ---- IM-BND-16: interfaces. There are no filter modules yet: tested without one.
 * --------------------- */
CONF(im_bnd_16_above_a_virtual_miniport_it_is_the_bottom, NULL, 0)
{
    tim_over_nic();
    CHECK_OK();
    world_proto(0);
    world_bind("tproto0", vm.guid);
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    struct bnd *over_vm = proto_on(0, vm.guid), *over_nic = proto_on(0, world_nic_guid(0));
    struct nic *v = nic_by_guid(vm.guid), *n = nic_by_guid(world_nic_guid(0));
    CHECK(over_vm && over_nic && v && n);
    CHECK(v->init.IfIndex != n->init.IfIndex);
    CHECK(v->init.NetLuid.Value != n->init.NetLuid.Value);
    CHECK_EQ(over_vm->params.BoundIfIndex, v->init.IfIndex);
    CHECK_EQ(over_vm->params.LowestIfIndex, v->init.IfIndex);
    CHECK(over_vm->params.BoundIfNetluid.Value == v->init.NetLuid.Value);
    CHECK(over_vm->params.LowestIfNetluid.Value == v->init.NetLuid.Value);
    CHECK_EQ(over_nic->params.BoundIfIndex, n->init.IfIndex);
    CHECK_EQ(over_nic->params.LowestIfIndex, n->init.IfIndex);
    CHECK(over_nic->params.BoundIfNetluid.Value == n->init.NetLuid.Value);
    CHECK(over_nic->params.LowestIfNetluid.Value == n->init.NetLuid.Value);
}

/* ---- IM-BND-17: NetEventBindsComplete
 * ------------------------------------------------------------------ */
static unsigned binds_done_with_context;
static void note_binds_complete(struct bnd *b, NET_PNP_EVENT *e)
{
    if (e->NetEvent == NetEventBindsComplete && b)
        binds_done_with_context++;
}

CONF(im_bnd_17_event_once_after_all_binds, NULL, 0)
{
    enum { COUNT = 3 };
    char event[32];
    snprintf(event, sizeof event, "all.event %d ", (int)NetEventBindsComplete);
    binds_done_with_context = 0;
    proto_script.on_event = note_binds_complete;
    CHECK_EQ(umn__netcfg_add_service("tproto0", "protocol", "builtin:tproto"), 0);
    for (unsigned i = 0; i < COUNT; i++) {
        CHECK(world_nic(true) != NULL);
        world_bind("tproto0", world_nic_guid(i)); /* not loaded: only configured */
        CHECK_OK();
    }
    world_proto(0);
    CHECK_OK();
    settle(20);
    CHECK_LOGGED("tproto0.bind \\", COUNT);
    CHECK_LOGGED(event, 1);
    CHECK(log_find(event, 0) > log_find("tproto0.bind.end", COUNT - 1));
    CHECK_EQ(binds_done_with_context, 0);
    /* A later arrival is no second completion of the first binds. */
    CHECK(world_nic(true) != NULL);
    world_bind("tproto0", world_nic_guid(COUNT));
    CHECK_OK();
    settle(20);
    CHECK_LOGGED("tproto0.bind \\", COUNT + 1);
    CHECK_LOGGED(event, 1);
}
