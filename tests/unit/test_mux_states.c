/* SPDX-License-Identifier: MIT */
/*
 * The real MUX driver: resets, power, offloads and tags between siblings, promised statuses,
 * settings and lists that cannot be trusted. Written for the conformance harness, as test_mux.c.
 */
#include "mux_stack.h"
#include "ndis/internal.h"

static struct ndis_binding *mux_binding(void)
{
    struct ndis_adapter *a = ndis__adapter_find(world_nic_guid(0));
    if (a)
        umn_list_for_each (at, &a->bindings) {
            struct ndis_binding *b = umn_container_of(at, struct ndis_binding, adapter_link);
            if (!strcmp(b->protocol->service, "mux"))
                return b;
        }
    return NULL;
}

/* ---- resets ------------------------------------------------------------------------------------
 */
static struct nic *reset_nic;

static NDIS_STATUS NTAPI pended_reset(NDIS_HANDLE context, PBOOLEAN addressing)
{
    struct nic *n = context;
    *addressing = FALSE;
    log_event("reset");
    nic_complete_sends(n, NDIS_STATUS_RESET_IN_PROGRESS);
    return NDIS_STATUS_PENDING;
}
static void with_reset(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c)
{
    c->ResetHandlerEx = pended_reset;
}

CONF(mux_hides_a_reset, NULL, 0)
{
    nic_script.characteristics = with_reset;
    struct nic *n = reset_nic = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    nic_script.hold_sends = true;
    CHECK(vm_to(0, mac_other, 3));
    settle(1);
    CHECK_EQ(n->sends, 3);
    nic_script.hold_sends = false;
    NdisMResetMiniport(n->handle);
    settle(5);
    bool reset = log_count("reset") == 1;
    uint64_t kept = vm[0].b->completed; /* thrown back, and not complete */
    bool sent = vm_to(1, mac_other, 2);
    uint32_t id = 0;
    NDIS_STATUS asked =
        proto_oid_async(vm[1].b, NdisRequestQueryInformation, 0xFF111111, &id, 4, NULL, 0);
    settle(5);
    uint64_t held = vm[1].b->completed, sends = n->sends;
    if (reset) /* whatever has failed by now: the box cannot go down before */
        NdisMResetComplete(n->handle, NDIS_STATUS_SUCCESS, FALSE);
    settle(5);
    CHECK(reset && sent);
    CHECK_EQ(asked, NDIS_STATUS_PENDING);
    CHECK_EQ(kept, 0);
    CHECK_EQ(held, 0);
    CHECK_EQ(sends, 3);
    CHECK_EQ(n->sends, 8);
    CHECK_EQ(vm[0].b->completed, 3);
    CHECK_EQ(vm[0].b->last_send_status, NDIS_STATUS_SUCCESS);
    CHECK_EQ(vm[1].b->completed, 2);
    CHECK_EQ(vm[1].b->last_send_status, NDIS_STATUS_SUCCESS);
    CHECK_EQ(vm[1].b->oids_done, 2); /* its filter, and this one */
    CHECK_LOGGED("tproto0.status 40010004", 0);
    CHECK_LOGGED("tproto0.status 40010005", 0);
}

static bool send_with_cancel_id(unsigned i, void *id)
{
    uint8_t f[60];
    frame(f, mac_other, vm[i].mac, 0x0800);
    NET_BUFFER_LIST *nbl = world_make_frame(vm[i].b->pool, f, sizeof f);
    if (!nbl)
        return false;
    NDIS_SET_NET_BUFFER_LIST_CANCEL_ID(nbl, id);
    nbl->SourceHandle = vm[i].b->handle;
    NdisSendNetBufferLists(vm[i].b->handle, nbl, NDIS_DEFAULT_PORT_NUMBER, 0);
    return true;
}

CONF(mux_cancel_takes_held_sends_with_that_id, NULL, 0)
{
    nic_script.characteristics = with_reset;
    struct nic *n = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    NdisMResetMiniport(n->handle);
    settle(5);
    bool sent = send_with_cancel_id(0, &vm[0]) && send_with_cancel_id(0, &vm[1]) &&
                send_with_cancel_id(0, &vm[0]) && send_with_cancel_id(1, &vm[1]);
    settle(1);
    uint64_t before = vm[0].b->completed;
    NdisCancelSendNetBufferLists(vm[0].b->handle, &vm[0]);
    settle(1);
    uint64_t after = vm[0].b->completed;
    NDIS_STATUS status = vm[0].b->last_send_status;
    if (log_count("reset"))
        NdisMResetComplete(n->handle, NDIS_STATUS_SUCCESS, FALSE);
    settle(5);
    CHECK(sent);
    CHECK_EQ(before, 0);
    CHECK_EQ(after, 2);
    CHECK_EQ(status, NDIS_STATUS_SEND_ABORTED);
    CHECK_LOGGED("nic0.send.cancel", 1);
    CHECK_EQ(n->sends, 2);
    CHECK_EQ(vm[0].b->completed, 3);
    CHECK_EQ(vm[1].b->completed, 1);
    CHECK_EQ(vm[1].b->last_send_status, NDIS_STATUS_SUCCESS);
}

/* ---- power -------------------------------------------------------------------------------------
 */
static NDIS_STATUS lower_power(NDIS_DEVICE_POWER_STATE state)
{
    struct ndis_binding *b = mux_binding();
    return b ? ndis__event_send(b->protocol, b, NetEventSetPower, &state, sizeof state)
             : NDIS_STATUS_FAILURE;
}
static NDIS_STATUS vm_power(unsigned i, NDIS_DEVICE_POWER_STATE state)
{
    NDIS_STATUS status = NDIS_STATUS_FAILURE;
    unsigned length = sizeof state;
    char device[96];
    snprintf(device, sizeof device, "\\Device\\%s", vm[i].guid);
    umn__ndis_oid(device, NdisRequestSetInformation, OID_PNP_SET_POWER, &state, &length, &status);
    return status;
}

CONF(mux_lower_adapter_sleeps, NULL, 0)
{
    struct nic *n = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    log_clear();
    CHECK_EQ(lower_power(NdisDeviceStateD3), NDIS_STATUS_SUCCESS);
    CHECK_LOGGED("tproto0.event 0", 2); /* passed on to both */
    CHECK(vm_to(0, mac_other, 1));
    settle(1);
    CHECK_EQ(vm[0].b->last_send_status, NDIS_STATUS_LOW_POWER_STATE);
    uint32_t x = 0;
    CHECK(proto_oid(vm[0].b, NdisRequestQueryInformation, 0xFF111111, &x, 4, NULL) !=
          NDIS_STATUS_SUCCESS);
    CHECK_EQ(n->sends, 0);
    CHECK_LOGGED("nic0.oid", 0);
    CHECK(wire_to(n, vm[0].mac, mac_other, 1));
    settle(1);
    CHECK_EQ(vm[0].b->received, 0);
    CHECK_EQ(n->outstanding_rx, 0);
    CHECK_EQ(lower_power(NdisDeviceStateD0), NDIS_STATUS_SUCCESS);
    CHECK(vm_to(0, mac_other, 1));
    CHECK(wire_to(n, vm[0].mac, mac_other, 1));
    settle(1);
    CHECK_EQ(vm[0].b->last_send_status, NDIS_STATUS_SUCCESS);
    CHECK_EQ(vm[0].b->received, 1);
}

static unsigned power_vm;
static void power_down(void *arg)
{
    log_event("power %08x", (unsigned)vm_power(power_vm, NdisDeviceStateD3));
}

CONF(mux_one_virtual_miniport_sleeps, NULL, 0)
{
    struct nic *n = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    nic_script.hold_sends = true;
    CHECK(vm_to(0, mac_other, 1));
    power_vm = 0;
    struct umn_ctx *t = in_thread(power_down, NULL);
    CHECK(t != NULL);
    settle(20);
    bool waits = log_count("power") == 0;
    nic_script.hold_sends = false;
    nic_complete_sends(n, NDIS_STATUS_SUCCESS);
    umn__ctx_join(t);
    CHECK(waits);
    CHECK_LOGGED("power 00000000", 1);
    CHECK(vm_to(0, mac_other, 1));
    CHECK(vm_to(1, mac_other, 1));
    CHECK(wire_to(n, vm[0].mac, mac_other, 1));
    CHECK(wire_to(n, vm[1].mac, mac_other, 1));
    settle(1);
    CHECK_EQ(vm[0].b->last_send_status, NDIS_STATUS_LOW_POWER_STATE);
    CHECK_EQ(vm[0].b->received, 0);
    CHECK_EQ(vm[1].b->last_send_status, NDIS_STATUS_SUCCESS);
    CHECK_EQ(vm[1].b->received, 1);
    CHECK_EQ(vm_power(0, NdisDeviceStateD0), NDIS_STATUS_SUCCESS);
    CHECK(vm_to(0, mac_other, 1));
    settle(1);
    CHECK_EQ(vm[0].b->last_send_status, NDIS_STATUS_SUCCESS);
}

CONF(mux_veto_of_a_removal_goes_down, NULL, 0)
{
    CHECK(stack_of(2, NULL, NULL) != NULL);
    proto_script.veto_event = NetEventQueryRemoveDevice;
    struct ndis_binding *b = mux_binding();
    CHECK(b != NULL);
    NDIS_STATUS status = ndis__event_send(b->protocol, b, NetEventQueryRemoveDevice, NULL, 0);
    proto_script.veto_event = (NET_PNP_EVENT_CODE)-1;
    CHECK_EQ(status, NDIS_STATUS_FAILURE);
    CHECK_EQ(ndis__event_send(b->protocol, b, NetEventQueryRemoveDevice, NULL, 0),
             NDIS_STATUS_SUCCESS);
    CHECK_EQ(ndis__event_send(b->protocol, b, NetEventCancelRemoveDevice, NULL, 0),
             NDIS_STATUS_SUCCESS);
}

/* ---- offloads and tags
 * ---------------------------------------------------------------------------- */
static struct {
    void *checksum, *rsc, *tag;
    uint8_t head[64];
    unsigned count;
    uint32_t length;
} got;

static void look(struct bnd *b, NET_BUFFER_LIST *nbl, uint32_t flags)
{
    for (; nbl; nbl = NET_BUFFER_LIST_NEXT_NBL(nbl)) {
        got.count++;
        got.checksum = NET_BUFFER_LIST_INFO(nbl, TcpIpChecksumNetBufferListInfo);
        got.rsc = NET_BUFFER_LIST_INFO(nbl, TcpRecvSegCoalesceInfo);
        got.tag = NET_BUFFER_LIST_INFO(nbl, Ieee8021QNetBufferListInfo);
        got.length = world_copy_frame(NET_BUFFER_LIST_FIRST_NB(nbl), got.head, sizeof got.head);
    }
}

/* A TCP segment of 54 + payload bytes with an IP header that says length 0, as LSO version 2 has
 * it. */
static bool send_large(unsigned from, const uint8_t *to, unsigned payload, unsigned mss)
{
    uint8_t f[2048] = {0};
    frame(f, to, vm[from].mac, 0x0800);
    f[14] = 0x45;
    f[23] = 6;
    f[46] = 0x50;
    NET_BUFFER_LIST *nbl = world_make_frame(vm[from].b->pool, f, 54 + payload);
    if (!nbl)
        return false;
    NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO large = {.Value = NULL};
    large.LsoV2Transmit.MSS = mss;
    large.LsoV2Transmit.TcpHeaderOffset = 34;
    large.LsoV2Transmit.Type = NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE;
    large.LsoV2Transmit.IPVersion = NDIS_TCP_LARGE_SEND_OFFLOAD_IPv4;
    NET_BUFFER_LIST_INFO(nbl, TcpLargeSendNetBufferListInfo) = large.Value;
    nbl->SourceHandle = vm[from].b->handle;
    NdisSendNetBufferLists(vm[from].b->handle, nbl, NDIS_DEFAULT_PORT_NUMBER, 0);
    return true;
}

CONF(mux_large_send_to_a_sibling_is_one_coalesced_unit, NULL, 0)
{
    struct nic *n = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    memset(&got, 0, sizeof got);
    proto_script.on_receive = look;
    CHECK(send_large(0, vm[1].mac, 1900, 500));
    settle(1);
    CHECK_EQ(n->sends, 0);
    CHECK_EQ(got.count, 1);
    CHECK_EQ(got.length, 1954);
    NDIS_RSC_NBL_INFO rsc = {.Value = got.rsc};
    CHECK_EQ(rsc.Info.CoalescedSegCount, 4);
    NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO sum = {.Value = got.checksum};
    CHECK(sum.Receive.TcpChecksumSucceeded && sum.Receive.IpChecksumSucceeded);
    CHECK(sum.Receive.TcpChecksumValueInvalid);
    CHECK_EQ(got.head[16] << 8 | got.head[17], 1940); /* the length is there now */
    uint32_t check = 0;
    for (unsigned i = 14; i < 34; i += 2)
        check += (uint32_t)(got.head[i] << 8 | got.head[i + 1]);
    CHECK_EQ((check & 0xffff) + (check >> 16), 0xffff);
    CHECK_EQ(vm[0].b->completed, 1);
    CHECK_EQ(vm[0].b->last_send_status, NDIS_STATUS_SUCCESS);
}

/* The NIC takes 802.1Q information from its restart on. */
static void takes_tags(struct nic *n, NDIS_MINIPORT_RESTART_PARAMETERS *p)
{
    for (NDIS_RESTART_ATTRIBUTES *a = p->RestartAttributes; a; a = a->Next)
        if (a->Oid == OID_GEN_MINIPORT_RESTART_ATTRIBUTES)
            ((NDIS_RESTART_GENERAL_ATTRIBUTES *)a->Data)->MacOptions |=
                NDIS_MAC_OPTION_8021P_PRIORITY | NDIS_MAC_OPTION_8021Q_VLAN;
}

CONF(mux_tags_as_information, NULL, 0)
{
    static const int vlan[] = {7, 0};
    nic_script.on_restart = takes_tags;
    struct nic *n = stack_of(2, vlan, NULL);
    CHECK(n != NULL);
    CHECK(vm_to(0, mac_other, 1));
    settle(1);
    NDIS_NET_BUFFER_LIST_8021Q_INFO tag = {.Value = n->last_8021q};
    CHECK_EQ(n->last_frame_length, 60);
    CHECK_EQ(tag.TagHeader.VlanId, 7);
    CHECK(vm_to(1, mac_other, 1));
    settle(1);
    CHECK(n->last_8021q == NULL);
}

/* ---- requests that promise a status
 * ------------------------------------------------------------------ */

static void *promised_id;

static bool promise(struct nic *n, NDIS_OID_REQUEST *r, NDIS_STATUS *status)
{
    if (r->DATA.QUERY_INFORMATION.Oid != 0xFF222222)
        return false;
    promised_id = r->RequestId;
    *status = NDIS_STATUS_INDICATION_REQUIRED;
    return true;
}
static struct {
    void *id;
    unsigned count;
    struct bnd *b;
} indicated;
static void on_indicated(struct bnd *b, NDIS_STATUS_INDICATION *s)
{
    if (s->StatusCode != (NDIS_STATUS)0x40012345)
        return;
    indicated.count++;
    indicated.id = s->RequestId;
    indicated.b = b;
}

CONF(mux_promised_status_finds_its_originator, NULL, 0)
{
    struct nic *n = stack_of(2, NULL, NULL);
    CHECK(n != NULL);
    nic_script.on_oid = promise;
    proto_script.on_status = on_indicated;
    memset(&indicated, 0, sizeof indicated);
    uint32_t x = 0;
    CHECK_EQ(
        proto_oid_async(vm[1].b, NdisRequestQueryInformation, 0xFF222222, &x, 4, &indicated, 0),
        NDIS_STATUS_PENDING);
    settle(5);
    CHECK_EQ(vm[1].b->last_oid_status, NDIS_STATUS_INDICATION_REQUIRED);
    CHECK(promised_id != &indicated);
    NDIS_STATUS_INDICATION s = {
        .Header = {NDIS_OBJECT_TYPE_STATUS_INDICATION, NDIS_STATUS_INDICATION_REVISION_1,
                   NDIS_SIZEOF_STATUS_INDICATION_REVISION_1},
        .SourceHandle = n->handle,
        .StatusCode = (NDIS_STATUS)0x40012345,
        .RequestId = promised_id,
    };
    NdisMIndicateStatusEx(n->handle, &s);
    settle(5);
    CHECK_EQ(indicated.count, 1);
    CHECK(indicated.id == &indicated);
    CHECK(indicated.b == vm[1].b);
}

CONF(mux_serves_every_oid_that_it_lists, NULL, 0)
{
    CHECK(stack_of(1, NULL, NULL) != NULL);
    NDIS_OID list[128];
    uint32_t length = 0;
    CHECK_EQ(proto_oid(vm[0].b, NdisRequestQueryInformation, OID_GEN_SUPPORTED_LIST, list,
                       sizeof list, &length),
             NDIS_STATUS_SUCCESS);
    CHECK(length >= 20 * sizeof *list);
    for (unsigned i = 0; i < length / sizeof *list; i++) {
        uint8_t buffer[512];
        if (list[i] == OID_PNP_SET_POWER || list[i] == OID_802_3_MULTICAST_LIST)
            continue;
        NDIS_STATUS status =
            proto_oid(vm[0].b, NdisRequestQueryInformation, list[i], buffer, sizeof buffer, NULL);
        if (status != NDIS_STATUS_SUCCESS)
            conf_fail(__FILE__, __LINE__, "query of %08x: %08x", list[i], (unsigned)status);
        uint8_t one;
        status = proto_oid(vm[0].b, NdisRequestQueryInformation, list[i], &one, 0, NULL);
        if (status != NDIS_STATUS_BUFFER_TOO_SHORT && status != NDIS_STATUS_INVALID_LENGTH &&
            list[i] != OID_PNP_QUERY_POWER)
            conf_fail(__FILE__, __LINE__, "empty query of %08x: %08x", list[i], (unsigned)status);
    }
}

CONF(mux_refuses_bad_sets, NULL, 0)
{
    CHECK(stack_of(1, NULL, NULL) != NULL);
    struct bnd *b = vm[0].b;
    uint8_t bytes[1024] = {0};
    uint32_t number = 0;
    CHECK_EQ(proto_oid(b, NdisRequestSetInformation, OID_GEN_INTERRUPT_MODERATION, bytes, 12, NULL),
             NDIS_STATUS_INVALID_DATA);
    CHECK(proto_oid(b, NdisRequestSetInformation, OID_802_3_MULTICAST_LIST, bytes, 6, NULL) !=
          NDIS_STATUS_SUCCESS); /* not a group address */
    CHECK(proto_oid(b, NdisRequestSetInformation, OID_802_3_MULTICAST_LIST, bytes, 7, NULL) !=
          NDIS_STATUS_SUCCESS);
    CHECK(proto_oid(b, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, bytes, 2, NULL) !=
          NDIS_STATUS_SUCCESS);
    number = 0x40000000;
    CHECK(proto_oid(b, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &number, 4,
                    NULL) != NDIS_STATUS_SUCCESS);
    number = 1 << 20;
    CHECK(proto_oid(b, NdisRequestSetInformation, OID_GEN_CURRENT_LOOKAHEAD, &number, 4, NULL) !=
          NDIS_STATUS_SUCCESS);
    CHECK_EQ(
        proto_oid(b, NdisRequestSetInformation, OID_GEN_RECEIVE_SCALE_PARAMETERS, bytes, 64, NULL),
        NDIS_STATUS_NOT_SUPPORTED);
}

/* ---- what the registry says
 * ------------------------------------------------------------------------------ */
static bool add_with(unsigned i, const struct umn_setting *settings, size_t count)
{
    struct umn_vm_desc d = {.service = "mux",
                            .lower_guid = world_nic_guid(0),
                            .upper = "tproto0",
                            .settings = settings,
                            .count = count};
    return umn__netcfg_add_vm(&d, vm[i].id, vm[i].guid) == 0;
}

CONF(mux_a_second_virtual_miniport_with_one_mac_does_not_start, NULL, 0)
{
    static const struct umn_setting mac[] = {{.name = "NetworkAddress", .text = "02AABBCCDDEE"}};
    CHECK(stack_of(1, NULL, NULL) != NULL);
    CHECK(add_with(1, mac, 1));
    settle(20);
    CHECK_STR(adapter_state(vm[1].guid), "Running");
    find_vm(1);
    CHECK_OK();
    CHECK_EQ(vm[1].mac[5], 0xee);
    add_with(2, mac, 1);
    settle(20);
    CHECK(strcmp(adapter_state(vm[2].guid), "Running"));
    CHECK_STR(adapter_state(vm[0].guid), "Running");
    CHECK_STR(adapter_state(vm[1].guid), "Running");
}

CONF(mux_bad_settings_fall_back, NULL, 0)
{
    static const struct umn_setting bad[] = {{.name = "NetworkAddress", .text = "01AABBCCDDEE"},
                                             {.name = "VlanID", .text = "5000"},
                                             {.name = "MuxMode", .text = "hub"}};
    CHECK(stack_of(1, NULL, NULL) != NULL);
    CHECK(add_with(1, bad, 3));
    settle(20);
    CHECK_STR(adapter_state(vm[1].guid), "Running");
    find_vm(1);
    CHECK_OK();
    CHECK_EQ(vm[1].mac[0] & 3, 2);
    CHECK(vm_to(0, vm[1].mac, 1));
    settle(1);
    CHECK_EQ(vm[1].b->received, 1); /* same VLAN, bridge */
}

CONF(mux_lists_that_cannot_be_trusted, NULL, 0)
{
    static const WCHAR odd[] = u"{no such device}\0\0\0\\Device\\{other}";
    char key[160];
    CHECK(stack_of(2, NULL, NULL) != NULL);
    snprintf(key, sizeof key, UMN_KEY_SERVICES "\\mux\\Parameters\\Adapters\\%s",
             world_nic_guid(0));
    char **names = NULL;
    size_t count = 0;
    CHECK_EQ(umn__reg_get_multi(key, "UpperBindings", &names, &count), 0);
    if (count != 2) {
        plat_free(names);
        CHECK_EQ(count, 2);
    }
    /* valid name, twice, then rubbish without an end and with an odd byte */
    uint8_t value[1024];
    size_t at = 0;
    for (unsigned twice = 0; twice < 2; twice++) {
        for (const char *c = names[0]; *c; c++, at += 2) {
            value[at] = (uint8_t)*c;
            value[at + 1] = 0;
        }
        value[at++] = 0;
        value[at++] = 0;
    }
    plat_free(names);
    memcpy(value + at, odd, sizeof odd - 2);
    at += sizeof odd - 2 + 1;
    value[at - 1] = 'x';
    CHECK_EQ(umn__reg_set_raw(key, "UpperBindings", 7, value, at), 0);
    NDIS_STATUS status = NDIS_STATUS_FAILURE;
    CHECK_EQ(umn__ndis_reconfigure("mux", NULL, NULL, 0, &status), 0);
    settle(20);
    CHECK_STR(adapter_state(vm[0].guid), "Running");
    CHECK_STR(adapter_state(vm[1].guid), "Halted"); /* taken off */
    uint32_t number = 5;
    CHECK_EQ(umn__reg_set_raw(key, "UpperBindings", 4, &number, 4), 0); /* REG_DWORD */
    CHECK_EQ(umn__ndis_reconfigure("mux", NULL, NULL, 0, &status), 0);
    settle(20);
    CHECK_STR(adapter_state(vm[0].guid), "Halted");
    char device[96];
    snprintf(device, sizeof device, "\\device\\%s", vm[1].guid);
    CHECK_EQ(umn__reg_set_sz(key, "UpperBindings", device), 0); /* one name, other case */
    CHECK_EQ(umn__ndis_reconfigure("mux", world_nic_guid(0), "data", 4, &status), 0);
    settle(20);
    CHECK_STR(adapter_state(vm[0].guid), "Halted");
    CHECK_STR(adapter_state(vm[1].guid), "Running");
}
