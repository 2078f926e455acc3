/* SPDX-License-Identifier: MIT */
/*
 * Queries that NDIS answers from the attributes of an adapter and its own state (IM-OID-15): the
 * rows marked "NDIS" of the OID tables. They never reach a miniport, but for the old counters,
 * which are read out of OID_GEN_STATISTICS. Owns nothing; <= DISPATCH_LEVEL, no lock held.
 */
#include "ndis/data.h"
#include "ndis/oid.h"

#include <string.h>

/* What there is to say: `data` points at attributes or at `room`. */
struct answer {
    const void *data;
    uint32_t length;
    union {
        uint32_t number;
        uint16_t half;
        NDIS_LINK_STATE link_state;
        NDIS_LINK_SPEED speed;
        NDIS_PORT_STATE port_state;
        struct {
            NDIS_PORT_ARRAY array;
        } ports;
    } room;
};

static void number(struct answer *r, uint32_t value)
{
    r->room.number = value;
    r->data = &r->room;
    r->length = 4;
}

static void bytes(struct answer *r, const void *data, uint32_t length)
{
    r->data = data;
    r->length = data ? length : 0;
}

/* ---- answers
 * ------------------------------------------------------------------------------------- */

static void link_answer(struct ndis_adapter *a, NDIS_OID oid, struct answer *r)
{
    NDIS_LINK_STATE link;

    ndis__status_current(a, &link);
    if (oid == OID_GEN_MEDIA_CONNECT_STATUS) {
        number(r, link.MediaConnectState == MediaConnectStateConnected
                      ? NdisMediaStateConnected
                      : NdisMediaStateDisconnected);
    } else if (oid == OID_GEN_LINK_SPEED) { /* in units of 100 bit/s */
        uint64_t speed =
            link.XmitLinkSpeed == (uint64_t)NDIS_LINK_SPEED_UNKNOWN ? 0 : link.XmitLinkSpeed;

        number(r, speed / 100 > UINT32_MAX ? UINT32_MAX : (uint32_t)(speed / 100));
    } else {
        r->room.link_state = link;
        bytes(r, &r->room, sizeof(link));
    }
}

static void port_fill(struct ndis_adapter *a, NDIS_PORT_CHARACTERISTICS *p)
{
    NDIS_LINK_STATE link;

    ndis__status_current(a, &link);
    *p = (NDIS_PORT_CHARACTERISTICS){
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_PORT_CHARACTERISTICS_REVISION_1,
                   NDIS_SIZEOF_PORT_CHARACTERISTICS_REVISION_1},
        .Flags = NDIS_PORT_CHAR_USE_DEFAULT_AUTH_SETTINGS,
        .Type = NdisPortTypeUndefined,
        .MediaConnectState = link.MediaConnectState,
        .XmitLinkSpeed = link.XmitLinkSpeed,
        .RcvLinkSpeed = link.RcvLinkSpeed,
        .Direction = a->attr.general.DirectionType,
        .SendControlState = NdisPortControlStateUncontrolled,
        .RcvControlState = NdisPortControlStateUncontrolled,
        .SendAuthorizationState = NdisPortAuthorizationUnknown,
        .RcvAuthorizationState = NdisPortAuthorizationUnknown,
    };
}

/* The default port; others exist only once a miniport has allocated and activated them. */
static void port_answer(struct ndis_adapter *a, NDIS_OID oid, struct answer *r)
{
    NDIS_PORT_CHARACTERISTICS c;

    port_fill(a, &c);
    if (oid == OID_GEN_PORT_STATE) {
        r->room.port_state = (NDIS_PORT_STATE){
            .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_PORT_STATE_REVISION_1,
                       NDIS_SIZEOF_PORT_STATE_REVISION_1},
            .MediaConnectState = c.MediaConnectState,
            .XmitLinkSpeed = c.XmitLinkSpeed,
            .RcvLinkSpeed = c.RcvLinkSpeed,
            .Direction = c.Direction,
            .SendControlState = c.SendControlState,
            .RcvControlState = c.RcvControlState,
            .SendAuthorizationState = c.SendAuthorizationState,
            .RcvAuthorizationState = c.RcvAuthorizationState,
        };
        bytes(r, &r->room, sizeof(r->room.port_state));
        return;
    }
    r->room.ports.array = (NDIS_PORT_ARRAY){
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_PORT_ARRAY_REVISION_1,
                   NDIS_SIZEOF_PORT_ARRAY_REVISION_1},
        .NumberOfPorts = __atomic_load_n(&a->port0_active, __ATOMIC_RELAXED),
        .OffsetFirstPort = offsetof(NDIS_PORT_ARRAY, Ports),
        .ElementSize = sizeof(NDIS_PORT_CHARACTERISTICS),
    };
    r->room.ports.array.Ports[0] = c;
    bytes(r, &r->room, sizeof(r->room.ports.array));
}

static void general_answer(struct ndis_adapter *a, NDIS_OID oid, struct answer *r)
{
    const NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *g = &a->attr.general;

    switch (oid) {
    case OID_GEN_SUPPORTED_LIST:
        bytes(r, g->SupportedOidList, g->SupportedOidListLength);
        break;
    case OID_GEN_MEDIA_SUPPORTED:
    case OID_GEN_MEDIA_IN_USE:
        number(r, g->MediaType);
        break;
    case OID_GEN_MAX_LINK_SPEED:
        r->room.speed = (NDIS_LINK_SPEED){g->MaxXmitLinkSpeed, g->MaxRcvLinkSpeed};
        bytes(r, &r->room, sizeof(r->room.speed));
        break;
    case OID_GEN_MAXIMUM_FRAME_SIZE:
        number(r, a->mtu ? a->mtu : g->MtuSize);
        break;
    case OID_GEN_MAXIMUM_LOOKAHEAD:
        number(r, g->LookaheadSize);
        break;
    case OID_GEN_CURRENT_LOOKAHEAD:
        number(r, ndis__peek(a->lookahead_set) ? ndis__peek(a->lookahead_set) : g->LookaheadSize);
        break;
    case OID_GEN_CURRENT_PACKET_FILTER:
        number(r, ndis__peek(a->filter_set));
        break;
    case OID_GEN_MAC_OPTIONS:
        number(r, g->MacOptions);
        break;
    case OID_GEN_PHYSICAL_MEDIUM:
    case OID_GEN_PHYSICAL_MEDIUM_EX:
        number(r, g->PhysicalMediumType);
        break;
    case OID_GEN_DRIVER_VERSION:
        r->room.half =
            (uint16_t)(a->driver->chars.MajorNdisVersion << 8 | a->driver->chars.MinorNdisVersion);
        bytes(r, &r->room, 2);
        break;
    case OID_802_3_PERMANENT_ADDRESS:
        bytes(r, g->PermanentMacAddress, g->MacAddressLength);
        break;
    case OID_802_3_CURRENT_ADDRESS:
        bytes(r, g->CurrentMacAddress, g->MacAddressLength);
        break;
    case OID_802_3_MAXIMUM_LIST_SIZE:
        number(r, g->MaxMulticastListSize);
        break;
    case OID_GEN_OPERATIONAL_STATUS:
        number(r, a->oper_status);
        break;
    default:
        break;
    }
}

/* Data stays NULL for what the adapter does not have: NOT_SUPPORTED. */
static void capability_answer(struct ndis_adapter *a, NDIS_OID oid, struct answer *r)
{
    const NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *g = &a->attr.general;

    switch (oid) {
    case OID_PNP_CAPABILITIES:
        bytes(r, g->PowerManagementCapabilities, sizeof(*g->PowerManagementCapabilities));
        break;
    case OID_PM_HARDWARE_CAPABILITIES:
    case OID_PM_CURRENT_CAPABILITIES:
        if (g->PowerManagementCapabilitiesEx)
            bytes(r, g->PowerManagementCapabilitiesEx,
                  g->PowerManagementCapabilitiesEx->Header.Size);
        break;
    case OID_GEN_RECEIVE_SCALE_CAPABILITIES:
        if (g->RecvScaleCapabilities)
            bytes(r, g->RecvScaleCapabilities, g->RecvScaleCapabilities->Header.Size);
        break;
    case OID_TCP_OFFLOAD_CURRENT_CONFIG:
        if (a->attr.have_offload)
            bytes(r, &a->attr.offload_default, a->attr.offload_default.Header.Size);
        break;
    case OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES:
        if (a->attr.have_offload)
            bytes(r, &a->attr.offload_hardware, a->attr.offload_hardware.Header.Size);
        break;
    default: /* receive filters, hashes, wake patterns: no adapter here keeps any */
        break;
    }
}

/* ---- the table
 * -------------------------------------------------------------------------------------- */

enum group { GENERAL, LINK, PORT, CAPABILITY, MULTICAST };
static const struct row {
    NDIS_OID oid;
    enum group group;
    bool set_below; /* sets go to the miniport */
} rows[] = {
    {OID_GEN_SUPPORTED_LIST, GENERAL, false},
    {OID_GEN_MEDIA_SUPPORTED, GENERAL, false},
    {OID_GEN_MEDIA_IN_USE, GENERAL, false},
    {OID_GEN_MEDIA_CONNECT_STATUS, LINK, false},
    {OID_GEN_LINK_STATE, LINK, false},
    {OID_GEN_LINK_SPEED, LINK, false},
    {OID_GEN_MAX_LINK_SPEED, GENERAL, false},
    {OID_GEN_MAXIMUM_FRAME_SIZE, GENERAL, false},
    {OID_GEN_MAXIMUM_LOOKAHEAD, GENERAL, false},
    {OID_GEN_CURRENT_LOOKAHEAD, GENERAL, true},
    {OID_GEN_CURRENT_PACKET_FILTER, GENERAL, true},
    {OID_GEN_MAC_OPTIONS, GENERAL, false},
    {OID_GEN_PHYSICAL_MEDIUM, GENERAL, false},
    {OID_GEN_PHYSICAL_MEDIUM_EX, GENERAL, false},
    {OID_GEN_DRIVER_VERSION, GENERAL, false},
    {OID_GEN_ENUMERATE_PORTS, PORT, false},
    {OID_GEN_PORT_STATE, PORT, false},
    {OID_GEN_OPERATIONAL_STATUS, GENERAL, false},
    {OID_802_3_PERMANENT_ADDRESS, GENERAL, false},
    {OID_802_3_CURRENT_ADDRESS, GENERAL, false},
    {OID_802_3_MULTICAST_LIST, MULTICAST, true},
    {OID_802_3_MAXIMUM_LIST_SIZE, GENERAL, false},
    {OID_PNP_CAPABILITIES, CAPABILITY, false},
    {OID_PM_HARDWARE_CAPABILITIES, CAPABILITY, false},
    {OID_PM_CURRENT_CAPABILITIES, CAPABILITY, false},
    {OID_PM_PARAMETERS, CAPABILITY, true},
    {OID_PM_WOL_PATTERN_LIST, CAPABILITY, false},
    {OID_PM_PROTOCOL_OFFLOAD_LIST, CAPABILITY, false},
    {OID_GEN_RECEIVE_SCALE_CAPABILITIES, CAPABILITY, false},
    {OID_GEN_RECEIVE_SCALE_PARAMETERS, CAPABILITY, true},
    {OID_GEN_RECEIVE_HASH, CAPABILITY, true},
    {OID_TCP_OFFLOAD_CURRENT_CONFIG, CAPABILITY, false},
    {OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, CAPABILITY, false},
    {OID_OFFLOAD_ENCAPSULATION, CAPABILITY, true},
    {OID_RECEIVE_FILTER_HARDWARE_CAPABILITIES, CAPABILITY, false},
    {OID_RECEIVE_FILTER_CURRENT_CAPABILITIES, CAPABILITY, false},
};

static const struct row *find_row(NDIS_OID oid)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].oid == oid)
            return &rows[i];
    return NULL;
}

static NDIS_STATUS reply(NDIS_OID_REQUEST *request, const void *data, uint32_t length)
{
    UINT room = request->DATA.QUERY_INFORMATION.InformationBufferLength;

    request->DATA.QUERY_INFORMATION.BytesNeeded = 0;
    request->DATA.QUERY_INFORMATION.BytesWritten = 0;
    if (room < length) {
        request->DATA.QUERY_INFORMATION.BytesNeeded = length;
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    }
    if (length)
        memcpy(request->DATA.QUERY_INFORMATION.InformationBuffer, data, length);
    request->DATA.QUERY_INFORMATION.BytesWritten = length;
    return NDIS_STATUS_SUCCESS;
}

/* The united list, copied address by address under the lock that guards it. */
static NDIS_STATUS reply_multicast(struct ndis_adapter *a, NDIS_OID_REQUEST *request)
{
    UINT room = request->DATA.QUERY_INFORMATION.InformationBufferLength, length;
    uint8_t *to = request->DATA.QUERY_INFORMATION.InformationBuffer;

    umn__lock(&a->oid.lock);
    length = a->multicast_count * 6;
    for (unsigned i = 0; length <= room && i < a->multicast_count; i++)
        memcpy(to + (size_t)i * 6, &a->multicast[i], 6);
    umn__unlock(&a->oid.lock);
    request->DATA.QUERY_INFORMATION.BytesWritten = length <= room ? length : 0;
    request->DATA.QUERY_INFORMATION.BytesNeeded = length <= room ? 0 : length;
    return length <= room ? NDIS_STATUS_SUCCESS : NDIS_STATUS_BUFFER_TOO_SHORT;
}

bool ndis__oid_answer(struct ndis_adapter *a, struct ndis_binding *b, NDIS_OID_REQUEST *request,
                      NDIS_STATUS *status)
{
    const struct row *row = find_row(ndis__oid_of(request));
    struct answer r = {.data = NULL};

    if (!row)
        return false;
    if (!ndis__oid_is_query(request)) {
        *status = NDIS_STATUS_NOT_SUPPORTED;
        return !row->set_below;
    }
    switch (row->group) {
    case GENERAL:
        general_answer(a, row->oid, &r);
        break;
    case LINK:
        link_answer(a, row->oid, &r);
        break;
    case PORT:
        port_answer(a, row->oid, &r);
        break;
    case CAPABILITY:
        capability_answer(a, row->oid, &r);
        break;
    case MULTICAST:
        *status = a->frames_802_3 ? reply_multicast(a, request) : NDIS_STATUS_NOT_SUPPORTED;
        return true;
    }
    *status = r.data ? reply(request, r.data, r.length) : NDIS_STATUS_NOT_SUPPORTED;
    return true;
}

/* ---- old counters out of OID_GEN_STATISTICS
 * ------------------------------------------------------------ */

static const struct counter {
    NDIS_OID oid;
    uint32_t offset, valid;
} counters[] = {
    {OID_GEN_XMIT_ERROR, offsetof(NDIS_STATISTICS_INFO, ifOutErrors),
     NDIS_STATISTICS_FLAGS_VALID_XMIT_ERROR},
    {OID_GEN_RCV_ERROR, offsetof(NDIS_STATISTICS_INFO, ifInErrors),
     NDIS_STATISTICS_FLAGS_VALID_RCV_ERROR},
    {OID_GEN_RCV_NO_BUFFER, offsetof(NDIS_STATISTICS_INFO, ifInDiscards),
     NDIS_STATISTICS_FLAGS_VALID_RCV_DISCARDS},
    {OID_GEN_RCV_DISCARDS, offsetof(NDIS_STATISTICS_INFO, ifInDiscards),
     NDIS_STATISTICS_FLAGS_VALID_RCV_DISCARDS},
    {OID_GEN_BYTES_XMIT, offsetof(NDIS_STATISTICS_INFO, ifHCOutOctets),
     NDIS_STATISTICS_FLAGS_VALID_BYTES_XMIT},
    {OID_GEN_BYTES_RCV, offsetof(NDIS_STATISTICS_INFO, ifHCInOctets),
     NDIS_STATISTICS_FLAGS_VALID_BYTES_RCV},
};

struct counter_plan {
    struct ndis_oid_plan plan;
    const struct counter *counter;
    NDIS_STATISTICS_INFO info;
};

/* ULONG64 if the buffer has room for it, else ULONG. */
static NDIS_STATUS counter_done(struct ndis_oid_item *item, struct ndis_oid_plan *plan,
                                NDIS_STATUS status)
{
    struct counter_plan *p = umn_container_of(plan, struct counter_plan, plan);
    NDIS_OID_REQUEST *r = item->request;
    bool wide = r->DATA.QUERY_INFORMATION.InformationBufferLength >= 8;
    uint64_t value;

    memcpy(&value, (const char *)&p->info + p->counter->offset, 8);
    if (status == NDIS_STATUS_SUCCESS)
        status = p->info.SupportedStatistics & p->counter->valid ? reply(r, &value, wide ? 8 : 4)
                                                                 : NDIS_STATUS_NOT_SUPPORTED;
    plat_free(p);
    return status;
}

NDIS_STATUS ndis__statistics_plan(struct ndis_oid_item *item)
{
    NDIS_OID oid = ndis__oid_of(item->request);
    const struct counter *c = NULL;
    struct counter_plan *p;
    NDIS_OID_REQUEST *r;

    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
        if (counters[i].oid == oid)
            c = &counters[i];
    if (!c || !ndis__oid_is_query(item->request))
        return NDIS_STATUS_NOT_RECOGNIZED;
    p = plat_alloc(sizeof(*p));
    if (!p)
        return NDIS_STATUS_RESOURCES;
    p->counter = c;
    p->plan.finish = counter_done;
    p->info.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    p->info.Header.Revision = NDIS_STATISTICS_INFO_REVISION_1;
    p->info.Header.Size = NDIS_SIZEOF_STATISTICS_INFO_REVISION_1;
    r = &p->plan.below;
    r->Header = item->request->Header;
    if (r->Header.Size > sizeof(*r))
        r->Header.Size = sizeof(*r);
    r->RequestType = NdisRequestQueryInformation;
    r->Timeout = item->request->Timeout;
    r->RequestId = item->request->RequestId;
    r->RequestHandle = item->request->RequestHandle;
    r->DATA.QUERY_INFORMATION.Oid = OID_GEN_STATISTICS;
    r->DATA.QUERY_INFORMATION.InformationBuffer = &p->info;
    r->DATA.QUERY_INFORMATION.InformationBufferLength = sizeof(p->info);
    item->plan = &p->plan;
    return NDIS_STATUS_PENDING;
}
