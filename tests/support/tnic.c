/* SPDX-License-Identifier: MIT */
/*
 * The scripted lower NIC of world.h, an ordinary NDIS 6 miniport; the scripted intermediate driver
 * uses the same callbacks for its virtual miniports. Test state is not locked: on the explore back
 * end nothing runs between two scheduling points.
 */
#include "world_private.h"

struct nic_script nic_script;
struct nic nics[NIC_MAX];
NDIS_HANDLE nic_driver_handle;
static NDIS_STATUS register_status;

static const NDIS_OID supported_oids[] = {
    OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_CURRENT_LOOKAHEAD,
    OID_802_3_MULTICAST_LIST,
    OID_GEN_STATISTICS,
    OID_GEN_RCV_OK,
    OID_GEN_XMIT_OK,
    OID_GEN_VENDOR_ID,
    OID_GEN_VENDOR_DESCRIPTION,
    OID_GEN_INTERRUPT_MODERATION,
    OID_GEN_LINK_PARAMETERS,
    OID_PNP_SET_POWER,
    OID_PNP_QUERY_POWER,
};

NDIS_STATUS nic_register_status(void)
{
    return register_status;
}

unsigned nic_high_water;

static struct nic *nic_new(NDIS_HANDLE handle, NDIS_MINIPORT_INIT_PARAMETERS *init)
{
    for (unsigned i = 0; i < NIC_MAX; i++) {
        struct nic *n = &nics[i];
        if (n->used && !n->halted)
            continue;
        memset(n, 0, sizeof *n);
        if (i >= nic_high_water)
            nic_high_water = i + 1;
        n->used = true;
        n->index = i;
        n->handle = handle;
        n->init = *init;
        n->im_context = init->IMDeviceInstanceContext;
        memcpy(n->mac, (uint8_t[]){0x02, 0x10, 0x20, 0x30, (uint8_t)(i >> 8), (uint8_t)i}, 6);
        return n;
    }
    return NULL;
}

static void read_guid(struct nic *n, NDIS_HANDLE handle)
{
    NDIS_CONFIGURATION_OBJECT object = {
        .Header = {NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT, NDIS_CONFIGURATION_OBJECT_REVISION_1,
                   NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1},
        .NdisHandle = handle,
    };
    NDIS_HANDLE config;
    if (NdisOpenConfigurationEx(&object, &config) != NDIS_STATUS_SUCCESS)
        return;
    WCHAR key[] = u"NetCfgInstanceId";
    NDIS_STRING keyword = {sizeof key - 2, sizeof key, key};
    NDIS_CONFIGURATION_PARAMETER *value;
    NDIS_STATUS status;
    NdisReadConfiguration(&status, &value, config, &keyword, NdisParameterString);
    if (status == NDIS_STATUS_SUCCESS && value->ParameterType == NdisParameterString)
        for (unsigned i = 0; i < value->ParameterData.StringData.Length / 2 && i < 63; i++)
            n->guid[i] = (char)value->ParameterData.StringData.Buffer[i];
    NdisCloseConfiguration(config);
}

static NDIS_STATUS set_registration(struct nic *n)
{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES a = {0};
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES *r = &a.RegistrationAttributes;
    r->Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES;
    r->Header.Revision = NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1;
    r->Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1;
    r->MiniportAdapterContext = n;
    r->AttributeFlags = nic_script.attribute_flags;
    if (n->im)
        r->AttributeFlags |= NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND;
    r->CheckForHangTimeInSeconds = 0;
    r->InterfaceType = NdisInterfaceInternal;
    return NdisMSetMiniportAttributes(n->handle, &a);
}

static NDIS_STATUS set_general(struct nic *n)
{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES a = {0};
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *g = &a.GeneralAttributes;
    NDIS_PM_CAPABILITIES pm = {0};
    g->Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES;
    g->Header.Revision = NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2;
    g->Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2;
    g->MediaType = NdisMedium802_3;
    g->PhysicalMediumType = NdisPhysicalMedium802_3;
    g->MtuSize = nic_script.mtu;
    g->MaxXmitLinkSpeed = g->MaxRcvLinkSpeed = 10000000000ull;
    g->XmitLinkSpeed = g->RcvLinkSpeed = 10000000000ull;
    g->MediaConnectState =
        nic_script.link_down ? MediaConnectStateDisconnected : MediaConnectStateConnected;
    g->MediaDuplexState = MediaDuplexStateFull;
    g->LookaheadSize = nic_script.mtu;
    g->MacOptions = NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA | NDIS_MAC_OPTION_NO_LOOPBACK;
    g->SupportedPacketFilters = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST |
                                NDIS_PACKET_TYPE_ALL_MULTICAST | NDIS_PACKET_TYPE_BROADCAST |
                                NDIS_PACKET_TYPE_PROMISCUOUS;
    g->MaxMulticastListSize = nic_script.multicast_max;
    g->MacAddressLength = 6;
    memcpy(g->PermanentMacAddress, n->mac, 6);
    memcpy(g->CurrentMacAddress, n->mac, 6);
    g->AccessType = NET_IF_ACCESS_BROADCAST;
    g->DirectionType = NET_IF_DIRECTION_SENDRECEIVE;
    g->ConnectionType = NET_IF_CONNECTION_DEDICATED;
    g->IfType = IF_TYPE_ETHERNET_CSMACD;
    g->IfConnectorPresent = TRUE;
    g->SupportedStatistics = NDIS_STATISTICS_XMIT_OK_SUPPORTED | NDIS_STATISTICS_RCV_OK_SUPPORTED;
    g->SupportedOidList = (PNDIS_OID)supported_oids;
    g->SupportedOidListLength = sizeof supported_oids;
    if (nic_script.pm_capable) {
        pm.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
        pm.Header.Revision = NDIS_PM_CAPABILITIES_REVISION_1;
        pm.Header.Size = NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_1;
        pm.MinMagicPacketWakeUp = NdisDeviceStateD3;
        pm.SupportedWoLPacketPatterns = NDIS_PM_WOL_MAGIC_PACKET_SUPPORTED;
        g->PowerManagementCapabilitiesEx = &pm;
    }
    return NdisMSetMiniportAttributes(n->handle, &a);
}

static NDIS_STATUS set_attributes(struct nic *n)
{
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    if (nic_script.general_first)
        status = set_general(n);
    if (status == NDIS_STATUS_SUCCESS && !nic_script.skip_registration)
        status = set_registration(n);
    n->registered = status == NDIS_STATUS_SUCCESS;
    if (status == NDIS_STATUS_SUCCESS && nic_script.indicate_link_in_init)
        nic_link(n, true);
    if (status == NDIS_STATUS_SUCCESS && !nic_script.skip_general && !nic_script.general_first)
        status = set_general(n);
    return status;
}

static NDIS_STATUS NTAPI NicInitialize(NDIS_HANDLE handle, NDIS_HANDLE driver_context,
                                       PNDIS_MINIPORT_INIT_PARAMETERS init)
{
    struct nic *n = nic_new(handle, init);
    if (!n)
        return NDIS_STATUS_RESOURCES;
    n->im = driver_context;
    read_guid(n, handle);
    log_event("nic%u.init irql %u", n->index, umn__irql());
    NET_BUFFER_LIST_POOL_PARAMETERS pool = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .fAllocateNetBuffer = TRUE,
        .PoolTag = 'cinT',
        .DataSize = 2048,
    };
    n->pool = NdisAllocateNetBufferListPool(handle, &pool);
    NDIS_STATUS status = n->pool ? set_attributes(n) : NDIS_STATUS_RESOURCES;
    if (status == NDIS_STATUS_SUCCESS && nic_script.on_init)
        nic_script.on_init(n);
    if (status == NDIS_STATUS_SUCCESS)
        status = nic_script.init_status;
    if (status != NDIS_STATUS_SUCCESS) {
        if (n->pool)
            NdisFreeNetBufferListPool(n->pool);
        n->pool = NULL;
        n->halted = true;
    }
    log_event("nic%u.init.end %08x", n->index, (unsigned)status);
    return status;
}

static void NTAPI NicHalt(NDIS_HANDLE context, NDIS_HALT_ACTION action)
{
    struct nic *n = context;
    log_event("nic%u.halt action %d irql %u", n->index, (int)action, umn__irql());
    if (nic_script.on_halt)
        nic_script.on_halt(n);
    n->halt_action = action;
    n->halted = true;
    NdisFreeNetBufferListPool(n->pool);
    n->pool = NULL;
}

static NDIS_STATUS NTAPI NicPause(NDIS_HANDLE context, PNDIS_MINIPORT_PAUSE_PARAMETERS p)
{
    struct nic *n = context;
    log_event("nic%u.pause reason %u irql %u", n->index, p->PauseReason, umn__irql());
    n->running = false;
    if (nic_script.on_pause)
        nic_script.on_pause(n);
    n->pause_pending = nic_script.pend_pause || n->held_sends || n->outstanding_rx;
    return n->pause_pending ? NDIS_STATUS_PENDING : NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS NTAPI NicRestart(NDIS_HANDLE context, PNDIS_MINIPORT_RESTART_PARAMETERS p)
{
    struct nic *n = context;
    log_event("nic%u.restart irql %u", n->index, umn__irql());
    if (nic_script.on_restart)
        nic_script.on_restart(n, p);
    NDIS_STATUS status = nic_script.restart_status;
    nic_script.restart_status = NDIS_STATUS_SUCCESS;
    n->restart_pending = nic_script.pend_restart;
    n->running = status == NDIS_STATUS_SUCCESS && !n->restart_pending;
    return n->restart_pending ? NDIS_STATUS_PENDING : status;
}

/* A pause that waits only for traffic to come back completes by itself. */
static void pause_maybe_done(struct nic *n)
{
    if (n->pause_pending && !nic_script.pend_pause && !n->held_sends && !n->outstanding_rx)
        nic_complete_pause(n);
}

void nic_complete_pause(struct nic *n)
{
    if (n->pause_pending) {
        n->pause_pending = false;
        log_event("nic%u.pause.complete", n->index);
    }
    NdisMPauseComplete(n->handle);
}

void nic_complete_restart(struct nic *n, NDIS_STATUS status)
{
    n->restart_pending = false;
    n->running = status == NDIS_STATUS_SUCCESS;
    log_event("nic%u.restart.complete", n->index);
    NdisMRestartComplete(n->handle, status);
}

static NDIS_STATUS oid_local(struct nic *n, NDIS_OID_REQUEST *r)
{
    void *buffer = r->DATA.SET_INFORMATION.InformationBuffer;
    UINT length = r->DATA.SET_INFORMATION.InformationBufferLength;
    switch (r->DATA.SET_INFORMATION.Oid) {
    case OID_GEN_CURRENT_PACKET_FILTER:
        n->packet_filter = *(ULONG *)buffer;
        r->DATA.SET_INFORMATION.BytesRead = 4;
        return NDIS_STATUS_SUCCESS;
    case OID_802_3_MULTICAST_LIST:
        n->multicast_count = length / 6;
        r->DATA.SET_INFORMATION.BytesRead = length;
        return NDIS_STATUS_SUCCESS;
    case OID_GEN_CURRENT_LOOKAHEAD:
        n->lookahead = *(ULONG *)buffer;
        r->DATA.SET_INFORMATION.BytesRead = 4;
        return NDIS_STATUS_SUCCESS;
    case OID_GEN_VENDOR_ID:
        if (length < 4) {
            r->DATA.QUERY_INFORMATION.BytesNeeded = 4;
            return NDIS_STATUS_BUFFER_TOO_SHORT;
        }
        *(ULONG *)buffer = 0x00123456;
        r->DATA.QUERY_INFORMATION.BytesWritten = 4;
        return NDIS_STATUS_SUCCESS;
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
}

static NDIS_STATUS NTAPI NicOid(NDIS_HANDLE context, PNDIS_OID_REQUEST r)
{
    struct nic *n = context;
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    n->oids++;
    n->last_oid = r->DATA.QUERY_INFORMATION.Oid;
    log_event("nic%u.oid %08x irql %u", n->index, n->last_oid, umn__irql());
    if (nic_script.on_oid && nic_script.on_oid(n, r, &status))
        return status;
    if (nic_script.oid_status != NDIS_STATUS_SUCCESS)
        return nic_script.oid_status;
    if (nic_script.hold_oids) {
        n->held_oid = r;
        return NDIS_STATUS_PENDING;
    }
    return oid_local(n, r);
}

static void NTAPI NicCancelOid(NDIS_HANDLE context, PVOID id)
{
    struct nic *n = context;
    log_event("nic%u.oid.cancel", n->index);
    if (n->held_oid && n->held_oid->RequestId == id)
        nic_complete_oid(n, NDIS_STATUS_REQUEST_ABORTED);
}

void nic_complete_oid(struct nic *n, NDIS_STATUS status)
{
    NDIS_OID_REQUEST *r = n->held_oid;
    n->held_oid = NULL;
    if (!r)
        return;
    if (status == NDIS_STATUS_SUCCESS)
        status = oid_local(n, r);
    NdisMOidRequestComplete(n->handle, r, status);
}

static void remember_frame(struct nic *n, NET_BUFFER_LIST *nbl)
{
    n->last_frame_length =
        world_copy_frame(NET_BUFFER_LIST_FIRST_NB(nbl), n->last_frame, sizeof n->last_frame);
    n->last_8021q = NET_BUFFER_LIST_INFO(nbl, Ieee8021QNetBufferListInfo);
}

static void NTAPI NicSend(NDIS_HANDLE context, PNET_BUFFER_LIST nbls, NDIS_PORT_NUMBER port,
                          ULONG flags)
{
    struct nic *n = context;
    for (NET_BUFFER_LIST *nbl = nbls; nbl; nbl = NET_BUFFER_LIST_NEXT_NBL(nbl)) {
        n->sends++;
        remember_frame(n, nbl);
        NET_BUFFER_LIST_STATUS(nbl) = n->running ? NDIS_STATUS_SUCCESS : NDIS_STATUS_PAUSED;
    }
    log_event("nic%u.send irql %u", n->index, umn__irql());
    if (nic_script.hold_sends && n->running) {
        world_append(&n->held_sends, &n->held_sends_tail, nbls);
        return;
    }
    NdisMSendNetBufferListsComplete(
        n->handle, nbls,
        flags & NDIS_SEND_FLAGS_DISPATCH_LEVEL ? NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL : 0);
}

static void NTAPI NicCancelSend(NDIS_HANDLE context, PVOID id)
{
    struct nic *n = context;
    log_event("nic%u.send.cancel", n->index);
}

void nic_complete_sends(struct nic *n, NDIS_STATUS status)
{
    NET_BUFFER_LIST *nbls = n->held_sends;
    n->held_sends = n->held_sends_tail = NULL;
    if (!nbls)
        return;
    for (NET_BUFFER_LIST *nbl = nbls; nbl; nbl = NET_BUFFER_LIST_NEXT_NBL(nbl))
        NET_BUFFER_LIST_STATUS(nbl) = status;
    NdisMSendNetBufferListsComplete(n->handle, nbls, 0);
    pause_maybe_done(n);
}

static void NTAPI NicReturn(NDIS_HANDLE context, PNET_BUFFER_LIST nbls, ULONG flags)
{
    struct nic *n = context;
    while (nbls) {
        NET_BUFFER_LIST *next = NET_BUFFER_LIST_NEXT_NBL(nbls);
        NET_BUFFER_LIST_NEXT_NBL(nbls) = NULL;
        n->returns++;
        n->outstanding_rx--;
        world_free_frame(nbls);
        nbls = next;
    }
    log_event("nic%u.return irql %u", n->index, umn__irql());
    pause_maybe_done(n);
}

bool nic_indicate(struct nic *n, const void *data, uint32_t length, unsigned count, uint32_t flags)
{
    NET_BUFFER_LIST *head = NULL, *tail = NULL;
    for (unsigned i = 0; i < count; i++) {
        NET_BUFFER_LIST *nbl = world_make_frame(n->pool, data, length);
        if (!nbl)
            break;
        nbl->SourceHandle = n->handle;
        world_append(&head, &tail, nbl);
        n->outstanding_rx++;
    }
    if (!head)
        return false;
    unsigned made = 0;
    for (NET_BUFFER_LIST *nbl = head; nbl; nbl = NET_BUFFER_LIST_NEXT_NBL(nbl))
        made++;
    NdisMIndicateReceiveNetBufferLists(n->handle, head, NDIS_DEFAULT_PORT_NUMBER, made, flags);
    if (flags & NDIS_RECEIVE_FLAGS_RESOURCES) {
        n->outstanding_rx -= made;
        while (head) {
            NET_BUFFER_LIST *next = NET_BUFFER_LIST_NEXT_NBL(head);
            world_free_frame(head);
            head = next;
        }
    }
    return made == count;
}

void nic_status(struct nic *n, NDIS_STATUS code, void *buffer, uint32_t size)
{
    NDIS_STATUS_INDICATION s = {
        .Header = {NDIS_OBJECT_TYPE_STATUS_INDICATION, NDIS_STATUS_INDICATION_REVISION_1,
                   NDIS_SIZEOF_STATUS_INDICATION_REVISION_1},
        .SourceHandle = n->handle,
        .StatusCode = code,
        .StatusBuffer = buffer,
        .StatusBufferSize = size,
    };
    NdisMIndicateStatusEx(n->handle, &s);
}

void nic_link(struct nic *n, bool up)
{
    NDIS_LINK_STATE link = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_LINK_STATE_REVISION_1,
                   NDIS_SIZEOF_LINK_STATE_REVISION_1},
        .MediaConnectState = up ? MediaConnectStateConnected : MediaConnectStateDisconnected,
        .MediaDuplexState = MediaDuplexStateFull,
        .XmitLinkSpeed = up ? 10000000000ull : NDIS_LINK_SPEED_UNKNOWN,
        .RcvLinkSpeed = up ? 10000000000ull : NDIS_LINK_SPEED_UNKNOWN,
    };
    nic_status(n, NDIS_STATUS_LINK_STATE, &link, sizeof link);
}

static void NTAPI NicDevicePnp(NDIS_HANDLE context, PNET_DEVICE_PNP_EVENT event)
{
    struct nic *n = context;
    log_event("nic%u.pnp %d", n->index, (int)event->DevicePnPEvent);
}

static void NTAPI NicShutdown(NDIS_HANDLE context, NDIS_SHUTDOWN_ACTION action)
{
    struct nic *n = context;
    log_event("nic%u.shutdown %d", n->index, (int)action);
}

static void NTAPI NicUnload(PDRIVER_OBJECT driver)
{
    log_event("tnic.unload");
    NdisMDeregisterMiniportDriver(nic_driver_handle);
    nic_driver_handle = NULL;
}

void nic_characteristics(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c)
{
    memset(c, 0, sizeof *c);
    c->Header.Type = NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS;
    c->Header.Revision = NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2;
    c->Header.Size = NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2;
    c->MajorNdisVersion = 6;
    c->MinorNdisVersion = (UCHAR)nic_script.minor;
    if (nic_script.minor == 0) {
        c->Header.Revision = NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_1;
        c->Header.Size = NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_1;
    }
    c->InitializeHandlerEx = NicInitialize;
    c->HaltHandlerEx = NicHalt;
    c->UnloadHandler = NicUnload;
    c->PauseHandler = NicPause;
    c->RestartHandler = NicRestart;
    c->OidRequestHandler = NicOid;
    c->SendNetBufferListsHandler = NicSend;
    c->ReturnNetBufferListsHandler = NicReturn;
    c->CancelSendHandler = NicCancelSend;
    c->DevicePnPEventNotifyHandler = NicDevicePnp;
    c->ShutdownHandlerEx = NicShutdown;
    c->CancelOidRequestHandler = NicCancelOid;
}

NTSTATUS NTAPI NicEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS c;
    nic_characteristics(&c);
    if (nic_script.characteristics)
        nic_script.characteristics(&c);
    log_event("tnic.entry");
    register_status = NdisMRegisterMiniportDriver(driver, path, NULL, &c, &nic_driver_handle);
    return register_status;
}
