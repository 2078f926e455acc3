/* SPDX-License-Identifier: MIT */
/*
 * The real MUX driver between scripted test drivers, on the explore back end: traffic, modes,
 * VLANs, filters, pauses, power, requests. Written for the conformance harness
 * (tests/support/conf.h): --seeds N, --sweep, --filter.
 */
#include "mux_stack.h"

CONF(mux_unicast_each_way, NULL, 0)
{
    struct nic *n = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    CHECK(memcmp(vm[0].mac, vm[1].mac, 6) != 0);
    CHECK_EQ(vm[0].mac[0] & 3, 2);
    CHECK(wire_to(n, vm[0].mac, mac_other, 5));
    settle(1);
    CHECK_EQ(vm[0].b->received, 5);
    CHECK_EQ(vm[1].b->received, 0);
    CHECK_EQ(n->returns, 5);
    CHECK(wire_to(n, mac_other, mac_other, 3));
    settle(1);
    CHECK_EQ(vm[0].b->received, 5);
    CHECK_EQ(n->returns, 8);
    CHECK(vm_to(1, mac_other, 4));
    settle(1);
    CHECK_EQ(n->sends, 4);
    CHECK_EQ(vm[1].b->completed, 4);
    CHECK_EQ(vm[1].b->last_send_status, NDIS_STATUS_SUCCESS);
    CHECK_EQ(n->outstanding_rx, 0);
}

CONF(mux_broadcast_goes_to_all, NULL, 0)
{
    struct nic *n = stack_of(3, NULL, NULL);
    CHECK(n != NULL);
    proto_script.hold_rx = true;
    CHECK(wire_to(n, mac_broadcast, mac_other, 2));
    settle(1);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(vm[i].b->received, 2);
    CHECK_EQ(n->returns, 0);
    proto_return(vm[0].b);
    proto_return(vm[1].b);
    settle(1);
    CHECK_EQ(n->returns, 0);
    proto_return(vm[2].b);
    settle(1);
    CHECK_EQ(n->returns, 2);
    proto_script.hold_rx = false;
    uint64_t sent = n->sends;
    CHECK(vm_to(0, mac_broadcast, 1));
    settle(1);
    CHECK_EQ(n->sends, sent + 1);
    CHECK_EQ(vm[0].b->received, 2);
    CHECK_EQ(vm[1].b->received, 3);
    CHECK_EQ(vm[2].b->received, 3);
    CHECK_EQ(vm[0].b->completed, 1);
}

CONF(mux_siblings_in_bridge_mode_stay_inside, NULL, 0)
{
    struct nic *n = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    uint64_t sent = n->sends;
    CHECK(vm_to(0, vm[1].mac, 3));
    settle(1);
    CHECK_EQ(n->sends, sent);
    CHECK_EQ(vm[1].b->received, 3);
    CHECK_EQ(vm[0].b->completed, 3);
    CHECK(!memcmp(vm[1].b->last_frame + 6, vm[0].mac, 6));
}

CONF(mux_private_and_vepa_go_to_the_wire, NULL, 0)
{
    static const char *const mode[] = {"private", "vepa", "bridge", "bridge"};
    struct nic *n = stack_of(4, NULL, mode);
    CHECK(n != NULL);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t sent = n->sends;
        CHECK(vm_to(i, vm[2].mac, 1));
        settle(1);
        CHECK_EQ(n->sends, sent + 1);
        CHECK_EQ(vm[2].b->received, 0);
    }
    /* what the switch reflects: from vepa it is taken, from private it is not */
    CHECK(wire_to(n, vm[2].mac, vm[0].mac, 1));
    settle(1);
    CHECK_EQ(vm[2].b->received, 0);
    CHECK(wire_to(n, vm[2].mac, vm[1].mac, 1));
    settle(1);
    CHECK_EQ(vm[2].b->received, 1);
    /* a reflected broadcast of a bridge one has reached the bridge ones already */
    CHECK(wire_to(n, mac_broadcast, vm[2].mac, 1));
    settle(1);
    CHECK_EQ(vm[0].b->received, 0);
    CHECK_EQ(vm[1].b->received, 1);
    CHECK_EQ(vm[2].b->received, 1);
    CHECK_EQ(vm[3].b->received, 0);
}

CONF(mux_vlans_are_apart, NULL, 0)
{
    static const int vlan[] = {0, 10, 20, 10};
    struct nic *n = stack_of(4, vlan, NULL);
    CHECK(n != NULL);
    uint8_t f[64] = {0};
    frame(f, mac_broadcast, mac_other, 0x8100);
    f[15] = 10;
    f[16] = 0x08;
    CHECK(n->running);
    CHECK(nic_indicate(n, f, 64, 1, 0));
    settle(1);
    CHECK_EQ(vm[0].b->received, 0);
    CHECK_EQ(vm[1].b->received, 1);
    CHECK_EQ(vm[2].b->received, 0);
    CHECK_EQ(vm[3].b->received, 1);
    CHECK_EQ(vm[1].b->last_frame_length, 60);
    CHECK_EQ(vm[1].b->last_frame[12], 0x08);
    CHECK_EQ(n->returns, 1);
    /* this NIC inserts no tags: they are in the data */
    CHECK(vm_to(1, mac_other, 1));
    settle(1);
    CHECK_EQ(n->last_frame_length, 64);
    CHECK_EQ(n->last_frame[12], 0x81);
    CHECK_EQ(n->last_frame[15], 10);
    CHECK_EQ(n->last_frame[16], 0x08);
    CHECK_EQ(vm[1].b->completed, 1);
    CHECK(vm_to(1, mac_broadcast, 1));
    settle(1);
    CHECK_EQ(vm[3].b->received, 2);
    CHECK_EQ(vm[2].b->received, 0);
    CHECK_EQ(vm[0].b->received, 0);
}

CONF(mux_filter_below_follows_the_virtual_miniports, NULL, 0)
{
    struct nic *n = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    CHECK(n->packet_filter & NDIS_PACKET_TYPE_PROMISCUOUS);
    ULONG none = 0, directed = NDIS_PACKET_TYPE_DIRECTED;
    CHECK_EQ(proto_oid(vm[0].b, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &none, 4,
                       NULL),
             NDIS_STATUS_SUCCESS);
    CHECK_EQ(proto_oid(vm[1].b, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &directed,
                       4, NULL),
             NDIS_STATUS_SUCCESS);
    CHECK_EQ(n->packet_filter, NDIS_PACKET_TYPE_PROMISCUOUS | NDIS_PACKET_TYPE_DIRECTED);
    CHECK(wire_to(n, mac_broadcast, mac_other, 1));
    settle(1);
    CHECK_EQ(vm[0].b->received + vm[1].b->received, 0);
    uint8_t group[12] = {1, 0, 0x5e, 0, 0, 1, 1, 0, 0x5e, 0, 0, 2};
    ULONG multicast = NDIS_PACKET_TYPE_MULTICAST;
    CHECK_EQ(
        proto_oid(vm[0].b, NdisRequestSetInformation, OID_802_3_MULTICAST_LIST, group, 12, NULL),
        NDIS_STATUS_SUCCESS);
    CHECK_EQ(proto_oid(vm[0].b, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER,
                       &multicast, 4, NULL),
             NDIS_STATUS_SUCCESS);
    CHECK_EQ(n->multicast_count, 2);
    CHECK(wire_to(n, group + 6, mac_other, 1));
    settle(1);
    CHECK_EQ(vm[0].b->received, 1);
    CHECK_EQ(vm[1].b->received, 0);
    CHECK_EQ(proto_oid(vm[0].b, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &none, 4,
                       NULL),
             NDIS_STATUS_SUCCESS);
    CHECK_EQ(umn__netcfg_remove_vm(vm[1].id), 0);
    settle(10);
    CHECK_EQ(n->packet_filter, 0);
}

/* Addresses 01-00-5E-00-00-NN, one for each character of `which`. */
static NDIS_STATUS set_groups(unsigned i, const char *which)
{
    uint8_t list[6 * 8];
    unsigned n = 0;
    for (; which[n]; n++)
        memcpy(list + 6 * n, (uint8_t[]){1, 0, 0x5e, 0, 0, (uint8_t)which[n]}, 6);
    return proto_oid(vm[i].b, NdisRequestSetInformation, OID_802_3_MULTICAST_LIST, list, 6 * n,
                     NULL);
}

static NDIS_STATUS set_filter(unsigned i, ULONG filter)
{
    return proto_oid(vm[i].b, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &filter, 4,
                     NULL);
}

CONF(mux_multicast_lists_below_are_united, NULL, 0)
{
    nic_script.multicast_max = 3;
    struct nic *n = stack_of(3, NULL, NULL);
    CHECK(n != NULL);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(set_filter(i, NDIS_PACKET_TYPE_MULTICAST), NDIS_STATUS_SUCCESS);
    CHECK_EQ(set_groups(0, "ab"), NDIS_STATUS_SUCCESS);
    CHECK_EQ(set_groups(1, "bc"), NDIS_STATUS_SUCCESS);
    CHECK_EQ(n->multicast_count, 3);
    CHECK_EQ(set_groups(2, "aab"), NDIS_STATUS_SUCCESS);
    CHECK_EQ(n->multicast_count, 3);
    CHECK_EQ(n->packet_filter, NDIS_PACKET_TYPE_MULTICAST);
    CHECK_EQ(set_groups(2, "abd"), NDIS_STATUS_SUCCESS); /* four do not fit */
    CHECK_EQ(n->multicast_count, 0);
    CHECK_EQ(n->packet_filter, NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_ALL_MULTICAST);
    CHECK_EQ(set_filter(1, NDIS_PACKET_TYPE_BROADCAST), NDIS_STATUS_SUCCESS); /* a, b, d */
    CHECK_EQ(n->multicast_count, 3);
    CHECK_EQ(n->packet_filter, NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_BROADCAST);
    CHECK_EQ(set_groups(1, "x"), NDIS_STATUS_SUCCESS); /* not wanted now */
    CHECK_EQ(n->multicast_count, 3);
    CHECK_EQ(set_groups(0, ""), NDIS_STATUS_SUCCESS);
    CHECK_EQ(n->multicast_count, 3);
    CHECK_EQ(umn__netcfg_remove_vm(vm[2].id), 0);
    settle(10);
    CHECK_EQ(n->multicast_count, 0);
    CHECK_EQ(set_filter(1, NDIS_PACKET_TYPE_MULTICAST), NDIS_STATUS_SUCCESS);
    CHECK_EQ(n->multicast_count, 1);
}

CONF(mux_promiscuous_sees_everything_alone, NULL, 0)
{
    struct nic *n = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    ULONG all = NDIS_PACKET_TYPE_PROMISCUOUS;
    CHECK_EQ(
        proto_oid(vm[0].b, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &all, 4, NULL),
        NDIS_STATUS_SUCCESS);
    CHECK(wire_to(n, mac_other, mac_other, 1));
    CHECK(wire_to(n, vm[1].mac, mac_other, 1));
    settle(1);
    CHECK_EQ(vm[0].b->received, 2);
    CHECK_EQ(vm[1].b->received, 1);
    CHECK_EQ(n->outstanding_rx, 0);
}

CONF(mux_borrowed_frames_are_left_alone, NULL, 0)
{
    struct nic *n = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    CHECK(n->running);
    uint8_t f[60];
    frame(f, mac_broadcast, mac_other, 0x0800);
    CHECK(nic_indicate(n, f, 60, 2, NDIS_RECEIVE_FLAGS_RESOURCES));
    frame(f, vm[0].mac, mac_other, 0x0800);
    CHECK(nic_indicate(n, f, 60, 2, NDIS_RECEIVE_FLAGS_RESOURCES));
    settle(1);
    CHECK_EQ(vm[0].b->received, 4);
    CHECK_EQ(vm[1].b->received, 2);
    CHECK_EQ(n->returns, 0);
}

CONF(mux_statistics_are_its_own, NULL, 0)
{
    struct nic *n = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    CHECK(vm_to(0, mac_other, 10));
    CHECK(vm_to(1, mac_other, 3));
    CHECK(wire_to(n, vm[1].mac, mac_other, 2));
    CHECK(wire_to(n, mac_broadcast, mac_other, 1));
    settle(1);
    NDIS_STATISTICS_INFO s;
    CHECK_EQ(umn__ndis_statistics(vm[0].guid, &s), 0);
    CHECK_EQ(s.ifHCOutUcastPkts, 10);
    CHECK_EQ(s.ifHCOutUcastOctets, 600);
    CHECK_EQ(s.ifHCInUcastPkts, 0);
    CHECK_EQ(s.ifHCInBroadcastPkts, 1);
    CHECK_EQ(umn__ndis_statistics(vm[1].guid, &s), 0);
    CHECK_EQ(s.ifHCOutUcastPkts, 3);
    CHECK_EQ(s.ifHCInUcastPkts, 2);
}

CONF(mux_pause_waits_for_what_is_out, NULL, 0)
{
    conf_expect("ST-05"); /* the scripted protocol does not wait for its sends; the MUX must */
    struct nic *n = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    nic_script.hold_sends = true;
    proto_script.hold_rx = true;
    CHECK(vm_to(0, mac_other, 2));
    CHECK(wire_to(n, vm[0].mac, mac_other, 2));
    settle(1);
    struct umn_ctx *t = in_thread((void (*)(void *))umn__netcfg_remove_vm, vm[0].id);
    CHECK(t != NULL);
    settle(50);
    bool binding_waits = !strcmp(binding_state(vm[0].guid, "tproto0"), "Pausing");
    nic_script.hold_sends = false;
    nic_complete_sends(n, NDIS_STATUS_SUCCESS);
    settle(50);
    bool adapter_waits = !strcmp(adapter_state(vm[0].guid), "Pausing");
    bool other_runs = !strcmp(adapter_state(vm[1].guid), "Running");
    proto_return(vm[0].b);
    umn__ctx_join(t);
    CHECK(binding_waits && adapter_waits && other_runs);
    CHECK_EQ(n->outstanding_rx, 0);
    proto_script.hold_rx = false;
    CHECK(wire_to(n, vm[1].mac, mac_other, 1));
    settle(1);
    CHECK_EQ(vm[1].b->received, 1);
}

CONF(mux_requests_go_below_by_clone, NULL, 0)
{
    struct nic *n = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    uint32_t id = 0, done = 0;
    /* an OID that the MUX does not know: the NIC's answer */
    nic_script.oid_status = NDIS_STATUS_NOT_SUPPORTED;
    CHECK_EQ(proto_oid(vm[0].b, NdisRequestQueryInformation, 0xFF123456, &id, 4, &done),
             NDIS_STATUS_NOT_SUPPORTED);
    CHECK_EQ(n->last_oid, 0xFF123456);
    nic_script.oid_status = NDIS_STATUS_SUCCESS;
    nic_script.hold_oids = true;
    CHECK_EQ(proto_oid_async(vm[0].b, NdisRequestQueryInformation, 0xFF123457, &id, 4, &vm[0], 0),
             NDIS_STATUS_PENDING);
    settle(5);
    CHECK(n->held_oid != NULL);
    CHECK(n->held_oid->RequestId != &vm[0]);
    NdisCancelOidRequest(vm[0].b->handle, &vm[0]);
    settle(5);
    CHECK_LOGGED("nic0.oid.cancel", 1);
    CHECK_EQ(vm[0].b->last_oid_status, NDIS_STATUS_REQUEST_ABORTED);
}

CONF(mux_link_state_reaches_all, NULL, 0)
{
    struct nic *n = stack_of(3, NULL, NULL);
    CHECK(n != NULL);
    log_clear();
    nic_link(n, false);
    settle(5);
    CHECK_LOGGED("tproto0.status 40010017", 3);
    nic_link(n, false);
    settle(5);
    CHECK_LOGGED("tproto0.status 40010017", 3);
    nic_link(n, true);
    settle(5);
    CHECK_LOGGED("tproto0.status 40010017", 6);
}

CONF(mux_lower_removal_under_load, NULL, 0)
{
    struct nic *n = stack_of(3, NULL, NULL);
    CHECK(n != NULL);
    proto_script.hold_rx = true;
    CHECK(wire_to(n, mac_broadcast, mac_other, 3));
    proto_script.hold_rx = false;
    struct umn_ctx *t =
        in_thread((void (*)(void *))umn__pnp_surprise_remove, (void *)world_nic_instance(0));
    CHECK(t != NULL);
    settle(20);
    for (unsigned i = 0; i < 3; i++)
        proto_return(vm[i].b);
    umn__ctx_join(t);
    for (unsigned i = 0; i < 3; i++)
        CHECK_STR(adapter_state(vm[i].guid), "Halted");
}

CONF(mux_disable_and_enable_one, NULL, 0)
{
    CHECK(stack_of(2, NULL, NULL) != NULL);
    CHECK_EQ(umn__pnp_disable_device(vm[1].id), 0);
    settle(10);
    CHECK_STR(adapter_state(vm[0].guid), "Running");
    CHECK(strcmp(adapter_state(vm[1].guid), "Running"));
    CHECK_EQ(umn__pnp_enable_device(vm[1].id), 0);
    settle(50);
    CHECK_STR(adapter_state(vm[1].guid), "Running");
    find_vm(1);
}

CONF(mux_many_virtual_miniports_of_one_broadcast, NULL, CONF_SLOW)
{
    /* more than the buckets of one batch */
    enum { MANY = 40 };
    static char id[MANY][64], guid[MANY][64];
    world_proto(0);
    struct nic *n = world_nic(true);
    CHECK(n != NULL);
    world_mux();
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    for (unsigned i = 0; i < MANY; i++) {
        world_vm(0, "tproto0", 0, id[i], guid[i]);
        CHECK_OK();
    }
    settle(10);
    CHECK(wire_to(n, mac_broadcast, mac_other, 3));
    settle(5);
    for (unsigned i = 0; i < MANY; i++) {
        struct bnd *b = proto_on(0, guid[i]);
        CHECK(b != NULL);
        CHECK_EQ(b->received, 3);
        uint8_t to[6];
        memcpy(to, b->params.CurrentMacAddress, 6);
        CHECK(wire_to(n, to, mac_other, 1));
    }
    settle(5);
    CHECK_EQ(n->outstanding_rx, 0);
}
