/* SPDX-License-Identifier: MIT */
/*
 * Group INI: what the virtual miniports of the real MUX say of themselves (IM-INI-02, -06, -07,
 * -11), and what the library makes of ports, of status indicated inside MiniportInitializeEx, and
 * of the first packet filter (IM-INI-09, -10, -12).
 */
#include <stdio.h>
#include "ndis/internal.h"
#include "spy.h"

static struct vmdev dev[2];
static uint8_t bytes[60];

/* One virtual miniport of the MUX with tproto0 above, running. NULL: it failed. */
static struct ndis_adapter *mux_vm(void)
{
    world_proto(0);
    world_mux();
    spy_mux();
    if (!conf_failed())
        world_nic(true);
    if (conf_failed())
        return NULL;
    vm_create(&dev[0], "mux");
    vm_list("mux", 0, dev, 1);
    world_bind("mux", world_nic_guid(0));
    world_bind("tproto0", dev[0].guid);
    if (!conf_failed() && umn__pnp_start_device(dev[0].id, NULL))
        conf_fail(__FILE__, __LINE__, "start: %s", umn_last_error());
    settle(10);
    if (!conf_failed() && strcmp(adapter_state(dev[0].guid), "Running"))
        conf_fail(__FILE__, __LINE__, "vm is %s", adapter_state(dev[0].guid));
    return conf_failed() ? NULL : ndis__adapter_find(dev[0].guid);
}

/* ---- IM-INI-02
 * ------------------------------------------------------------------------------------ */
CONF(im_ini_02_mux_sets_registration_then_general, NULL, 0)
{
    char first[120], second[120];
    struct ndis_adapter *a = mux_vm();
    CHECK(a != NULL);
    snprintf(first, sizeof first, "mux.attributes %s %02x 00000000", dev[0].name,
             NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES);
    snprintf(second, sizeof second, "mux.attributes %s %02x 00000000", dev[0].name,
             NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES);
    CHECK_LOGGED(first, 1);
    CHECK_LOGGED(second, 1);
    CHECK_EQ(log_find("mux.attributes", 0), log_find(first, 0));
    CHECK_EQ(log_find("mux.attributes", 1), log_find(second, 0));
    CHECK(log_in_order("mux.init \\", first, second, "mux.init.end", NULL));
}

/* ---- IM-INI-06
 * -------------------------------------------------------------------------------------- */
CONF(im_ini_06_mux_registration_attributes, NULL, 0)
{
    struct ndis_adapter *a = mux_vm();
    CHECK(a != NULL);
    const NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES *r = &a->attr.registration;
    CHECK(r->AttributeFlags & NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND);
    CHECK_EQ(r->AttributeFlags &
                 (NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE | NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER |
                  NDIS_MINIPORT_ATTRIBUTES_NDIS_WDM),
             0);
    CHECK_EQ(r->InterfaceType, 0);
    CHECK_EQ(r->CheckForHangTimeInSeconds, 0);
    CHECK(r->MiniportAdapterContext != NULL);
}

static NDIS_STATUS set_power(NDIS_DEVICE_POWER_STATE state)
{
    unsigned length = sizeof state;
    NDIS_STATUS status = NDIS_STATUS_FAILURE;
    umn__ndis_oid(dev[0].name, NdisRequestSetInformation, OID_PNP_SET_POWER, &state, &length,
                  &status);
    return status;
}

CONF(im_ini_06_sleep_and_wake_without_a_halt, "IM-PWR-01", 0)
{
    CHECK(mux_vm() != NULL);
    CHECK_EQ(set_power(NdisDeviceStateD3), NDIS_STATUS_SUCCESS);
    settle(100);
    CHECK_LOGGED("mux.halt", 0);
    CHECK_EQ(set_power(NdisDeviceStateD0), NDIS_STATUS_SUCCESS);
    settle(10);
    CHECK_LOGGED("mux.halt", 0);
    CHECK_LOGGED("mux.init \\", 1);
    struct bnd *b = proto_on(0, dev[0].guid);
    CHECK(b != NULL);
    CHECK(proto_send(b, bytes, frame(bytes, mac_other, b->params.CurrentMacAddress, 0x0800), 1));
    settle(10);
    CHECK_EQ(b->last_send_status, NDIS_STATUS_SUCCESS);
}

/* ---- IM-INI-07
 * --------------------------------------------------------------------------------------- */
CONF(im_ini_07_wake_up_of_the_nic_is_not_offered_above, NULL, 0)
{
    nic_script.pm_capable = true; /* magic packets from D3 */
    struct ndis_adapter *a = mux_vm();
    CHECK(a != NULL);
    struct ndis_adapter *lower = ndis__adapter_find(world_nic_guid(0));
    CHECK(lower && lower->attr.general.PowerManagementCapabilitiesEx);
    CHECK_EQ(lower->attr.general.PowerManagementCapabilitiesEx->MinMagicPacketWakeUp,
             NdisDeviceStateD3);
    const NDIS_PM_CAPABILITIES *pm = a->attr.general.PowerManagementCapabilitiesEx;
    CHECK(pm != NULL);
    CHECK_EQ(pm->Header.Type, NDIS_OBJECT_TYPE_DEFAULT);
    CHECK_EQ(pm->MinMagicPacketWakeUp, NdisDeviceStateUnspecified);
    CHECK_EQ(pm->MinPatternWakeUp, NdisDeviceStateUnspecified);
    CHECK_EQ(pm->MinLinkChangeWakeUp, NdisDeviceStateUnspecified);
    CHECK_EQ(pm->SupportedWoLPacketPatterns, 0);
}

/* ---- IM-INI-11
 * ---------------------------------------------------------------------------------------- */
static NDIS_STATUS issue(struct bnd *b, NDIS_OID oid)
{
    static uint8_t buffer[4096];
    memset(buffer, 0, sizeof buffer);
    switch (oid) {
    case OID_GEN_CURRENT_PACKET_FILTER:
    case OID_GEN_CURRENT_LOOKAHEAD:
        *(ULONG *)buffer = oid == OID_GEN_CURRENT_LOOKAHEAD ? 128 : NDIS_PACKET_TYPE_DIRECTED;
        return proto_oid(b, NdisRequestSetInformation, oid, buffer, 4, NULL);
    case OID_802_3_MULTICAST_LIST:
        memcpy(buffer, (uint8_t[]){1, 0, 0x5e, 0, 0, 1}, 6);
        return proto_oid(b, NdisRequestSetInformation, oid, buffer, 6, NULL);
    default:
        return proto_oid(b, NdisRequestQueryInformation, oid, buffer, sizeof buffer, NULL);
    }
}

CONF(im_ini_11_every_listed_oid_is_served, "IM-OID-20", 0)
{
    struct ndis_adapter *a = mux_vm();
    CHECK(a != NULL);
    struct bnd *b = proto_on(0, dev[0].guid);
    CHECK(b != NULL);
    unsigned count = a->attr.general.SupportedOidListLength / sizeof(NDIS_OID);
    CHECK(count >= 20);
    for (unsigned i = 0; i < count; i++) {
        NDIS_OID oid = a->attr.general.SupportedOidList[i];
        NDIS_STATUS status;
        /* NDIS alone issues these two; protocols may not. */
        if (oid == OID_PNP_SET_POWER || oid == OID_PNP_QUERY_POWER) {
            NDIS_DEVICE_POWER_STATE d0 = NdisDeviceStateD0;
            unsigned length = sizeof d0;
            bool set = oid == OID_PNP_SET_POWER;
            CHECK_EQ(umn__ndis_oid(dev[0].name,
                                   set ? NdisRequestSetInformation : NdisRequestQueryInformation,
                                   oid, &d0, &length, &status),
                     0);
        } else {
            status = issue(b, oid);
        }
        log_event("oid %08x is %08x", oid, (unsigned)status);
        CHECK_EQ(status, NDIS_STATUS_SUCCESS);
    }
}

CONF(im_ini_11_no_rss_and_full_statistics, "IM-OFF-02", 0)
{
    NDIS_STATISTICS_INFO info;
    struct ndis_adapter *a = mux_vm();
    CHECK(a != NULL);
    CHECK(a->attr.general.RecvScaleCapabilities == NULL);
    struct bnd *b = proto_on(0, dev[0].guid);
    struct nic *n = nic_by_guid(world_nic_guid(0));
    CHECK(b && n && n->running);
    CHECK(proto_send(b, bytes, frame(bytes, mac_other, b->params.CurrentMacAddress, 0x0800), 3));
    CHECK(nic_indicate(n, bytes, frame(bytes, mac_broadcast, mac_other, 0x0800), 2, 0));
    settle(10);
    CHECK_EQ(
        proto_oid(b, NdisRequestQueryInformation, OID_GEN_STATISTICS, &info, sizeof info, NULL),
        NDIS_STATUS_SUCCESS);
    const ULONG all =
        NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_RCV |
        NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_RCV |
        NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_RCV | NDIS_STATISTICS_FLAGS_VALID_BYTES_RCV |
        NDIS_STATISTICS_FLAGS_VALID_RCV_DISCARDS | NDIS_STATISTICS_FLAGS_VALID_RCV_ERROR |
        NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_XMIT |
        NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_XMIT |
        NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_XMIT | NDIS_STATISTICS_FLAGS_VALID_BYTES_XMIT |
        NDIS_STATISTICS_FLAGS_VALID_XMIT_ERROR | NDIS_STATISTICS_FLAGS_VALID_XMIT_DISCARDS |
        NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_RCV |
        NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_RCV |
        NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_RCV |
        NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_XMIT |
        NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_XMIT |
        NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_XMIT;
    CHECK_EQ(info.SupportedStatistics & all, all);
    CHECK_EQ(info.ifHCOutUcastPkts, 3);
    CHECK_EQ(info.ifHCOutUcastOctets, 180);
    CHECK_EQ(info.ifHCInBroadcastPkts, 2);
    CHECK_EQ(info.ifHCInBroadcastOctets, 120);
    CHECK_EQ(info.ifHCInUcastPkts, 0);
}

/* ---- IM-INI-09
 * --------------------------------------------------------------------------------------------- */
static bool active_in_init;
static NDIS_HANDLE nic_handle;
static void see_port(struct nic *n)
{
    nic_handle = n->handle;
    active_in_init = ((struct ndis_adapter *)n->handle)->port0_active;
}

CONF(im_ini_09_default_port_is_active_once_registered, "IM-PRT-01", 0)
{
    active_in_init = false;
    nic_script.on_init = see_port;
    world_proto(0);
    CHECK(world_nic(true) != NULL);
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    CHECK(active_in_init);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
    struct ndis_adapter *a = nic_handle;
    CHECK_EQ(umn__pnp_stop_device(world_nic_instance(0)), 0);
    CHECK_LOGGED("nic0.halt", 1);
    CHECK_EQ(a->port0_active, false); /* the device is there; its port went with the halt */
}

static NDIS_STATUS activate_port(struct nic *n)
{
    NDIS_PORT port = {
        .PortCharacteristics = {.Header = {NDIS_OBJECT_TYPE_DEFAULT,
                                           NDIS_PORT_CHARACTERISTICS_REVISION_1,
                                           NDIS_SIZEOF_PORT_CHARACTERISTICS_REVISION_1},
                                .PortNumber = NDIS_DEFAULT_PORT_NUMBER},
    };
    NET_PNP_EVENT_NOTIFICATION e = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_PNP_EVENT_NOTIFICATION_REVISION_1,
                   NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1},
        .NetPnPEvent = {.NetEvent = NetEventPortActivation,
                        .Buffer = &port,
                        .BufferLength = sizeof port},
    };
    return NdisMNetPnPEvent(n->handle, &e);
}

CONF(im_ini_09_driver_that_controls_the_port_withholds_binds, "IM-PRT-01", 0)
{
    active_in_init = true;
    nic_script.on_init = see_port;
    nic_script.attribute_flags = NDIS_MINIPORT_ATTRIBUTES_CONTROLS_DEFAULT_PORT;
    world_proto(0);
    struct nic *n = world_nic(true);
    CHECK(n != NULL);
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    settle(100);
    CHECK(!active_in_init);
    CHECK_LOGGED("tproto0.bind", 0);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "");
    CHECK_EQ(activate_port(n), NDIS_STATUS_SUCCESS);
    settle(100);
    CHECK_LOGGED("tproto0.bind \\", 1);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
}

/* ---- IM-INI-10
 * --------------------------------------------------------------------------------------------------
 */
CONF(im_ini_10_status_between_registration_and_general_is_legal, NULL, 0)
{
    nic_script.indicate_link_in_init = true;
    CHECK(world_nic(true) != NULL); /* any report fails the test */
    CHECK_LOGGED("nic0.init.end 00000000", 1);
}

static void link_goes_down(struct nic *n)
{
    nic_link(n, false);
}

CONF(im_ini_10_link_state_of_initialize_is_in_the_bind_parameters, NULL, 0)
{
    nic_script.on_init = link_goes_down; /* the general attributes said: connected */
    world_proto(0);
    CHECK(world_nic(true) != NULL);
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    struct bnd *b = proto_on(0, world_nic_guid(0));
    CHECK(b != NULL);
    CHECK_EQ(b->params.MediaConnectState, MediaConnectStateDisconnected);
}

/* ---- IM-INI-12
 * ---------------------------------------------------------------------------------------------------
 */
CONF(im_ini_12_no_receive_before_a_filter_is_set, "IM-RCV-08", 0)
{
    ULONG filter = NDIS_PACKET_TYPE_BROADCAST;
    proto_script.packet_filter = 0;
    world_proto(0);
    struct nic *n = world_nic(true);
    CHECK(n != NULL);
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    struct bnd *b = proto_on(0, world_nic_guid(0));
    CHECK(b && b->running && n->running);
    CHECK_EQ(n->packet_filter, 0);
    CHECK_EQ(n->multicast_count, 0);
    CHECK(nic_indicate(n, bytes, frame(bytes, mac_broadcast, mac_other, 0x0800), 3, 0));
    settle(10);
    CHECK_EQ(b->received, 0);
    CHECK_LOGGED("tproto0.receive", 0);
    CHECK_EQ(n->outstanding_rx, 0); /* NDIS has returned them */
    CHECK_EQ(
        proto_oid(b, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &filter, 4, NULL),
        NDIS_STATUS_SUCCESS);
    CHECK_EQ(n->packet_filter, NDIS_PACKET_TYPE_BROADCAST);
    CHECK(n->running);
    CHECK(nic_indicate(n, bytes, frame(bytes, mac_broadcast, mac_other, 0x0800), 3, 0));
    settle(10);
    CHECK_EQ(b->received, 3);
}

/* What a protocol had set is gone with the adapter: the next initialize starts from nothing. */
CONF(im_ini_12_filter_is_zero_again_after_a_restart_of_the_device, NULL, 0)
{
    world_proto(0);
    CHECK(world_nic(true) != NULL);
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    struct bnd *b = proto_on(0, world_nic_guid(0));
    CHECK(b != NULL);
    uint8_t group[12] = {1, 0, 0x5e, 0, 0, 1, 1, 0, 0x5e, 0, 0, 2};
    CHECK_EQ(proto_oid(b, NdisRequestSetInformation, OID_802_3_MULTICAST_LIST, group, 12, NULL),
             NDIS_STATUS_SUCCESS);
    CHECK(nic_by_guid(world_nic_guid(0))->packet_filter != 0);
    CHECK_EQ(nic_by_guid(world_nic_guid(0))->multicast_count, 2);
    CHECK_EQ(umn__pnp_stop_device(world_nic_instance(0)), 0);
    proto_script.packet_filter = 0;
    CHECK_EQ(umn__pnp_restart_device(world_nic_instance(0)), 0);
    settle(10);
    struct nic *n = nic_by_guid(world_nic_guid(0));
    b = proto_on(0, world_nic_guid(0));
    CHECK(n && b && b->running && n->running);
    CHECK_EQ(n->packet_filter, 0);
    CHECK_EQ(n->multicast_count, 0);
    CHECK(nic_indicate(n, bytes, frame(bytes, mac_broadcast, mac_other, 0x0800), 1, 0));
    CHECK(nic_indicate(n, bytes, frame(bytes, group, mac_other, 0x0800), 1, 0));
    settle(10);
    CHECK_EQ(b->received, 0);
}
