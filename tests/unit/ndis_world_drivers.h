/* SPDX-License-Identifier: MIT */
/*
 * The drivers of ndis_world.h, which includes this file: a miniport, an intermediate driver and two
 * protocols that log what they are called for and do what the script says.
 */
#ifndef NDIS_WORLD_DRIVERS_H
#define NDIS_WORLD_DRIVERS_H

/* ---- script
 * ------------------------------------------------------------------------------------------- */

static struct {
    NDIS_STATUS init, restart, bind, veto, set_options;
    bool no_general, early_link, control_port, pend_pause, pend_restart, twice;
    bool pend_bind, bind_leaves_open, pend_unbind, no_close, pend_event, hold_rx;
    NDIS_STATUS (*in_init)(NDIS_HANDLE handle, NDIS_HANDLE im_context);
    void (*in_bind)(NDIS_HANDLE context, NDIS_BIND_PARAMETERS *p);
    int vms[8];       /* what the mux asks for on each bind; 0 ends */
    bool no_requests; /* the mux asks for nothing when it binds */
    unsigned mux_minor, pa_minor;
    uint32_t mtu;
} script;

/* ---- miniport edge: nic and mux
 * -------------------------------------------------------------------------- */

struct mp {
    NDIS_HANDLE handle, im_context;
    int number;
    bool up;
    NDIS_MINIPORT_INIT_PARAMETERS init;
};
static struct mp mps[MAX_DEVICES];
static unsigned init_calls, halt_calls;
static NDIS_HANDLE nic_handle, mux_handle, mux_protocol, pa_handle, pb_handle;

static int number_of(NDIS_HANDLE handle)
{
    const struct ndis_adapter *a = handle;

    return (int)strtol(strchr(a->name, '{') + 1, NULL, 16);
}

static NDIS_STATUS set_attributes(NDIS_HANDLE handle, struct mp *m)
{
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES reg = {
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES, 2, sizeof reg},
        .MiniportAdapterContext = m,
        .AttributeFlags = script.control_port ? NDIS_MINIPORT_ATTRIBUTES_CONTROLS_DEFAULT_PORT : 0,
    };
    NDIS_OID oids[2] = {OID_GEN_CURRENT_PACKET_FILTER, OID_GEN_STATISTICS};
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES gen = {
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES, 2, sizeof gen},
        .MediaType = NdisMedium802_3,
        .MtuSize = 1500,
        .MaxXmitLinkSpeed = 10000000000ull,
        .XmitLinkSpeed = 1000000000ull,
        .MaxRcvLinkSpeed = 10000000000ull,
        .RcvLinkSpeed = 1000000000ull,
        .MediaConnectState = MediaConnectStateConnected,
        .LookaheadSize = 1514,
        .MacAddressLength = 6,
        .CurrentMacAddress = {2, 0, 0, 0, 0, (UCHAR)m->number},
        .SupportedPacketFilters = 0xf,
        .MaxMulticastListSize = 32,
        .IfType = 6,
        .SupportedOidList = oids,
        .SupportedOidListLength = sizeof oids,
    };
    NDIS_STATUS status;

    status = NdisMSetMiniportAttributes(handle, (NDIS_MINIPORT_ADAPTER_ATTRIBUTES *)&reg);
    if (status == NDIS_STATUS_SUCCESS && !script.no_general)
        status = NdisMSetMiniportAttributes(handle, (NDIS_MINIPORT_ADAPTER_ATTRIBUTES *)&gen);
    return status;
}

static void link_state(NDIS_HANDLE handle, NDIS_MEDIA_CONNECT_STATE state, NDIS_HANDLE to)
{
    NDIS_LINK_STATE link = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, 1, NDIS_SIZEOF_LINK_STATE_REVISION_1},
        .MediaConnectState = state,
        .XmitLinkSpeed = 77,
        .RcvLinkSpeed = 77,
    };
    NDIS_STATUS_INDICATION s = {
        .Header = {NDIS_OBJECT_TYPE_STATUS_INDICATION, 1, sizeof s},
        .SourceHandle = handle,
        .StatusCode = NDIS_STATUS_LINK_STATE,
        .DestinationHandle = to,
        .StatusBuffer = &link,
        .StatusBufferSize = sizeof link,
    };

    NdisMIndicateStatusEx(handle, &s);
}

static NDIS_STATUS NTAPI MpInitialize(NDIS_HANDLE Handle, NDIS_HANDLE Context,
                                      NDIS_MINIPORT_INIT_PARAMETERS *Parameters)
{
    int number = number_of(Handle);
    struct mp *m = &mps[number];
    NDIS_STATUS status = script.init;

    note("init:%d ", number);
    __atomic_fetch_add(&init_calls, 1, __ATOMIC_SEQ_CST);
    CHECK(!m->up);
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    __atomic_store_n(&m->handle, Handle, __ATOMIC_SEQ_CST);
    m->number = number;
    m->im_context = Parameters->IMDeviceInstanceContext;
    m->init = *Parameters;
    umn__point(UMN_OP_YIELD, m);
    if (status == NDIS_STATUS_SUCCESS)
        status = set_attributes(Handle, m);
    if (status == NDIS_STATUS_SUCCESS && script.early_link)
        link_state(Handle, MediaConnectStateDisconnected, NULL);
    if (status == NDIS_STATUS_SUCCESS && script.in_init)
        status = script.in_init(Handle, m->im_context);
    m->up = status == NDIS_STATUS_SUCCESS;
    if (!m->up)
        __atomic_fetch_sub(&init_calls, 1, __ATOMIC_SEQ_CST);
    return status;
}

static void NTAPI MpHalt(NDIS_HANDLE Context, NDIS_HALT_ACTION Action)
{
    struct mp *m = Context;

    note("halt:%d:%d ", m->number, Action);
    __atomic_fetch_add(&halt_calls, 1, __ATOMIC_SEQ_CST);
    CHECK(m->up);
    m->up = false;
    __atomic_store_n(&m->handle, NULL, __ATOMIC_SEQ_CST);
}

static NDIS_STATUS NTAPI MpPause(NDIS_HANDLE Context, NDIS_MINIPORT_PAUSE_PARAMETERS *Parameters)
{
    struct mp *m = Context;

    note("pause:%d ", m->number);
    CHECK(m->up);
    if (script.twice)
        NdisMPauseComplete(m->handle);
    return script.pend_pause ? NDIS_STATUS_PENDING : NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS NTAPI MpRestart(NDIS_HANDLE Context,
                                   NDIS_MINIPORT_RESTART_PARAMETERS *Parameters)
{
    struct mp *m = Context;
    NDIS_RESTART_ATTRIBUTES *list = Parameters->RestartAttributes;

    note("restart:%d ", m->number);
    CHECK(m->up);
    if (script.twice)
        NdisMRestartComplete(m->handle, NDIS_STATUS_SUCCESS);
    if (list && script.mtu) {
        NDIS_RESTART_GENERAL_ATTRIBUTES *r = (void *)list->Data;
        NDIS_RESTART_ATTRIBUTES *more;

        CHECK(list->Oid == OID_GEN_MINIPORT_RESTART_ATTRIBUTES && !list->Next);
        r->MtuSize = script.mtu;
        more =
            NdisAllocateMemoryWithTagPriority(m->handle, sizeof *more, 'tseT', NormalPoolPriority);
        if (more) {
            memset(more, 0, sizeof *more);
            more->Oid = OID_802_3_MAXIMUM_LIST_SIZE;
            list->Next = more;
        }
    }
    return script.pend_restart ? NDIS_STATUS_PENDING : script.restart;
}

static NDIS_STATUS NTAPI MpOid(NDIS_HANDLE Context, NDIS_OID_REQUEST *Request)
{
    return NDIS_STATUS_SUCCESS;
}
static void NTAPI MpSend(NDIS_HANDLE Context, NET_BUFFER_LIST *Nbl, NDIS_PORT_NUMBER Port,
                         ULONG Flags)
{
}
static void NTAPI MpReturn(NDIS_HANDLE Context, NET_BUFFER_LIST *Nbl, ULONG Flags)
{
}
static void NTAPI MpCancel(NDIS_HANDLE Context, PVOID Id)
{
}
static void NTAPI MpEvent(NDIS_HANDLE Context, NET_DEVICE_PNP_EVENT *Event)
{
    struct mp *m = Context;

    if (Event->DevicePnPEvent != NdisDevicePnPEventPowerProfileChanged)
        note("notify:%d:%d ", m->number, Event->DevicePnPEvent);
}
static void NTAPI MpShutdown(NDIS_HANDLE Context, NDIS_SHUTDOWN_ACTION Action)
{
    note("shutdown:%d ", ((struct mp *)Context)->number);
}

static NDIS_MINIPORT_DRIVER_CHARACTERISTICS characteristics(unsigned minor, ULONG flags,
                                                            MINIPORT_DRIVER_UNLOAD unload)
{
    return (NDIS_MINIPORT_DRIVER_CHARACTERISTICS){
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
                   minor >= 80 ? 3
                   : minor     ? 2
                               : 1,
                   sizeof(NDIS_MINIPORT_DRIVER_CHARACTERISTICS)},
        .MajorNdisVersion = 6,
        .MinorNdisVersion = (UCHAR)minor,
        .Flags = flags,
        .InitializeHandlerEx = MpInitialize,
        .HaltHandlerEx = MpHalt,
        .UnloadHandler = unload,
        .PauseHandler = MpPause,
        .RestartHandler = MpRestart,
        .OidRequestHandler = MpOid,
        .SendNetBufferListsHandler = MpSend,
        .ReturnNetBufferListsHandler = MpReturn,
        .CancelSendHandler = MpCancel,
        .DevicePnPEventNotifyHandler = MpEvent,
        .ShutdownHandlerEx = MpShutdown,
        .CancelOidRequestHandler = MpCancel,
    };
}

static void NTAPI NicUnload(DRIVER_OBJECT *Driver)
{
    note("unload:nic ");
    NdisMDeregisterMiniportDriver(nic_handle);
}

static NTSTATUS NTAPI NicEntry(DRIVER_OBJECT *Driver, UNICODE_STRING *Path)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS c = characteristics(30, 0, NicUnload);

    return NdisMRegisterMiniportDriver(Driver, Path, NULL, &c, &nic_handle);
}

/* ---- protocol edge: mux, pa, pb
 * ---------------------------------------------------------------------------- */

struct proto {
    const char *name;
    NDIS_HANDLE *handle;
};
struct bound {
    struct proto *proto;
    NDIS_HANDLE handle, unbind_context, bind_context;
    struct umn_list link;
    int number;
    UINT medium;
    KEVENT closed, opened;
    NDIS_STATUS open_status;
    bool requested[8];
};
static struct umn_list bounds;
static struct umn_mutex bounds_lock;
static struct proto mux_proto = {"mux", &mux_protocol}, pa_proto = {"pa", &pa_handle},
                    pb_proto = {"pb", &pb_handle};
static NET_PNP_EVENT_NOTIFICATION *pended_event;
static struct umn_list *last_bound;

static void us(UNICODE_STRING *out, WCHAR *buffer, const char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; i <= n; i++)
        buffer[i] = (unsigned char)text[i];
    *out = (UNICODE_STRING){(USHORT)(2 * n), (USHORT)(2 * n + 2), buffer};
}

static NDIS_STATUS request(int number, void *context)
{
    WCHAR w[80];
    UNICODE_STRING name;

    us(&name, w, name_of(number));
    return NdisIMInitializeDeviceInstanceEx(mux_handle, &name, context);
}

static NDIS_STATUS cancel_request(int number)
{
    WCHAR w[80];
    UNICODE_STRING name;

    us(&name, w, name_of(number));
    return NdisIMCancelInitializeDeviceInstance(mux_handle, &name);
}

static struct bound *bound_to(struct proto *p, int number)
{
    struct bound *found = NULL;

    umn__lock(&bounds_lock);
    umn_list_for_each (l, &bounds) {
        struct bound *b = umn_container_of(l, struct bound, link);
        if (b->proto == p && b->number == number)
            found = b;
    }
    umn__unlock(&bounds_lock);
    return found;
}

static void bound_add(struct bound *b)
{
    umn__lock(&bounds_lock);
    umn_list_add_tail(&bounds, &b->link);
    last_bound = &b->link;
    umn__unlock(&bounds_lock);
}

static void bound_free(struct bound *b)
{
    umn__lock(&bounds_lock);
    umn_list_remove(&b->link);
    umn__unlock(&bounds_lock);
    free(b);
}

/* Closes and waits; frees. */
static void close_and_free(struct bound *b)
{
    NDIS_STATUS status = NdisCloseAdapterEx(b->handle);

    if (status == NDIS_STATUS_PENDING)
        KeWaitForSingleObject(&b->closed, Executive, KernelMode, FALSE, NULL);
    else
        CHECK(status == NDIS_STATUS_SUCCESS);
    bound_free(b);
}

static NDIS_STATUS open_it(struct bound *b, NDIS_HANDLE context, NDIS_BIND_PARAMETERS *p)
{
    NDIS_MEDIUM media[2] = {NdisMedium802_5, NdisMedium802_3};
    NDIS_OPEN_PARAMETERS o = {
        .Header = {NDIS_OBJECT_TYPE_OPEN_PARAMETERS, 1, sizeof o},
        .AdapterName = p->AdapterName,
        .MediumArray = media,
        .MediumArraySize = 2,
        .SelectedMediumIndex = &b->medium,
    };
    NDIS_STATUS status = NdisOpenAdapterEx(*b->proto->handle, b, &o, context, &b->handle);

    if (status == NDIS_STATUS_PENDING) {
        KeWaitForSingleObject(&b->opened, Executive, KernelMode, FALSE, NULL);
        status = b->open_status;
    }
    return status;
}

static NDIS_STATUS NTAPI PtBind(NDIS_HANDLE Context, NDIS_HANDLE BindContext,
                                NDIS_BIND_PARAMETERS *P)
{
    struct bound *b = calloc(1, sizeof *b);
    NDIS_STATUS status;
    char name[128];

    b->proto = Context;
    for (unsigned i = 0; i <= P->AdapterName->Length / 2u && i < 127; i++)
        name[i] = (char)P->AdapterName->Buffer[i];
    b->number = (int)strtol(strchr(name, '{') + 1, NULL, 16);
    note("bind:%s:%d ", b->proto->name, b->number);
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    KeInitializeEvent(&b->closed, NotificationEvent, FALSE);
    KeInitializeEvent(&b->opened, NotificationEvent, FALSE);
    bound_add(b);
    if (script.in_bind)
        script.in_bind(BindContext, P);
    status = open_it(b, BindContext, P);
    if (status != NDIS_STATUS_SUCCESS) {
        note("open-fails ");
        bound_free(b);
        return status;
    }
    CHECK(b->medium == 1);
    if (b->proto == &mux_proto && !script.no_requests)
        for (int i = 0; script.vms[i]; i++)
            b->requested[i] = request(script.vms[i], &mps[script.vms[i]]) == NDIS_STATUS_SUCCESS;
    if (script.bind != NDIS_STATUS_SUCCESS) {
        if (script.bind_leaves_open) {
            bound_free(b);
        } else {
            close_and_free(b);
        }
        return script.bind;
    }
    b->bind_context = BindContext;
    return script.pend_bind ? NDIS_STATUS_PENDING : NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS NTAPI PtUnbind(NDIS_HANDLE UnbindContext, NDIS_HANDLE Context)
{
    struct bound *b = Context;

    note("unbind:%s:%d ", b->proto->name, b->number);
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    if (b->proto == &mux_proto) {
        for (int i = 0; script.vms[i]; i++) {
            struct mp *m = &mps[script.vms[i]];
            if (cancel_request(script.vms[i]) != NDIS_STATUS_SUCCESS && m->handle)
                NdisIMDeInitializeDeviceInstance(m->handle);
        }
    }
    if (script.no_close) {
        bound_free(b);
        return NDIS_STATUS_SUCCESS;
    }
    if (!script.pend_unbind) {
        close_and_free(b);
        return NDIS_STATUS_SUCCESS;
    }
    b->unbind_context = UnbindContext;
    if (NdisCloseAdapterEx(b->handle) != NDIS_STATUS_PENDING)
        KeSetEvent(&b->closed, 0, FALSE);
    return NDIS_STATUS_PENDING;
}

static void NTAPI PtOpened(NDIS_HANDLE Context, NDIS_STATUS Status)
{
    struct bound *b = Context;

    note("opened:%s:%d ", b->proto->name, b->number);
    b->open_status = Status;
    KeSetEvent(&b->opened, 0, FALSE);
}

static void NTAPI PtClosed(NDIS_HANDLE Context)
{
    struct bound *b = Context;

    note("closed:%s:%d ", b->proto->name, b->number);
    KeSetEvent(&b->closed, 0, FALSE);
}

static NDIS_STATUS NTAPI PtEvent(NDIS_HANDLE Context, NET_PNP_EVENT_NOTIFICATION *Event)
{
    static const char *const names[] = {"power", "qpower", "qremove", "cremove", "reconf",
                                        "list",  "binds",  "caps",    "pause",   "restart",
                                        "port+", "port-",  "reenable"};
    struct bound *b = Context;
    const NET_PNP_EVENT *e = &Event->NetPnPEvent;

    note("%s:%s:%d ", names[e->NetEvent], b ? b->proto->name : "", b ? b->number : 0);
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    if (e->NetEvent == NetEventPause)
        CHECK(e->BufferLength == NDIS_SIZEOF_PROTOCOL_PAUSE_PARAMETERS_REVISION_1);
    if (e->NetEvent == NetEventQueryRemoveDevice && script.veto != NDIS_STATUS_SUCCESS)
        return script.veto;
    if (e->NetEvent == NetEventIMReEnableDevice) {
        const UNICODE_STRING *name = e->Buffer;
        int number = 0;
        for (unsigned i = 9; i < 17; i++) {
            WCHAR c = name->Buffer[i];
            number = number * 16 + (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
        }
        request(number, &mps[number]);
    }
    if (script.pend_event) {
        pended_event = Event;
        return NDIS_STATUS_PENDING;
    }
    return NDIS_STATUS_SUCCESS;
}

static void NTAPI PtOidDone(NDIS_HANDLE Context, NDIS_OID_REQUEST *Request, NDIS_STATUS Status)
{
}
static void NTAPI PtStatus(NDIS_HANDLE Context, NDIS_STATUS_INDICATION *Status)
{
    struct bound *b = Context;

    note("status:%s:%d:%x ", b->proto->name, b->number, (unsigned)Status->StatusCode & 0xff);
}
static void NTAPI PtReceive(NDIS_HANDLE Context, NET_BUFFER_LIST *Nbl, NDIS_PORT_NUMBER Port,
                            ULONG Number, ULONG Flags)
{
}
static void NTAPI PtSent(NDIS_HANDLE Context, NET_BUFFER_LIST *Nbl, ULONG Flags)
{
}

static NDIS_PROTOCOL_DRIVER_CHARACTERISTICS
protocol_characteristics(unsigned minor, const char *name, WCHAR *buffer)
{
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS c = {
        .Header = {NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS, minor ? 2 : 1, sizeof c},
        .MajorNdisVersion = 6,
        .MinorNdisVersion = (UCHAR)minor,
        .BindAdapterHandlerEx = PtBind,
        .UnbindAdapterHandlerEx = PtUnbind,
        .OpenAdapterCompleteHandlerEx = PtOpened,
        .CloseAdapterCompleteHandlerEx = PtClosed,
        .NetPnPEventHandler = PtEvent,
        .OidRequestCompleteHandler = PtOidDone,
        .StatusHandlerEx = PtStatus,
        .ReceiveNetBufferListsHandler = PtReceive,
        .SendNetBufferListsCompleteHandler = PtSent,
    };

    us(&c.Name, buffer, name);
    return c;
}

static NTSTATUS register_protocol(struct proto *p, unsigned minor)
{
    WCHAR w[40];
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS c = protocol_characteristics(minor, p->name, w);

    return NdisRegisterProtocolDriver(p, &c, p->handle);
}

static void NTAPI MuxUnload(DRIVER_OBJECT *Driver)
{
    note("unload:mux ");
    NdisDeregisterProtocolDriver(mux_protocol);
    NdisMDeregisterMiniportDriver(mux_handle);
}

static NTSTATUS NTAPI MuxEntry(DRIVER_OBJECT *Driver, UNICODE_STRING *Path)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS c =
        characteristics(script.mux_minor, NDIS_INTERMEDIATE_DRIVER, MuxUnload);
    NDIS_STATUS status = NdisMRegisterMiniportDriver(Driver, Path, NULL, &c, &mux_handle);

    if (status != NDIS_STATUS_SUCCESS)
        return status;
    status = register_protocol(&mux_proto, script.mux_minor);
    if (status != NDIS_STATUS_SUCCESS) {
        NdisMDeregisterMiniportDriver(mux_handle);
        return status;
    }
    NdisIMAssociateMiniport(mux_handle, mux_protocol);
    note("entry:mux ");
    return STATUS_SUCCESS;
}

static void NTAPI PaUnload(DRIVER_OBJECT *Driver)
{
    NdisDeregisterProtocolDriver(pa_handle);
}
static NTSTATUS NTAPI PaEntry(DRIVER_OBJECT *Driver, UNICODE_STRING *Path)
{
    Driver->DriverUnload = PaUnload;
    return register_protocol(&pa_proto, script.pa_minor);
}
static void NTAPI PbUnload(DRIVER_OBJECT *Driver)
{
    NdisDeregisterProtocolDriver(pb_handle);
}
static NTSTATUS NTAPI PbEntry(DRIVER_OBJECT *Driver, UNICODE_STRING *Path)
{
    Driver->DriverUnload = PbUnload;
    return register_protocol(&pb_proto, 30);
}

#endif
