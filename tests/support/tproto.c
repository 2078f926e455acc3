/* SPDX-License-Identifier: MIT */
/*
 * The scripted upper protocol of world.h. The intermediate test drivers use it as their lower edge:
 * their bind and unbind hooks differ, the rest is the same.
 */
#include "world_private.h"
#include <stdio.h>

struct proto_script proto_script;
struct proto protos[PROTO_MAX];

struct request {
    NDIS_OID_REQUEST oid;
    struct bnd *b;
    KEVENT done;
    NDIS_STATUS status;
    bool waited;
};

static struct bnd *bnd_new(struct proto *p)
{
    for (unsigned i = 0; i < BIND_MAX; i++) {
        struct bnd *b = &p->b[i];
        if (b->used)
            continue;
        memset(b, 0, sizeof *b);
        b->used = true;
        b->index = i;
        b->proto = p;
        p->bindings_made++;
        return b;
    }
    return NULL;
}

static bool is_im(const struct proto *p)
{
    return !strncmp(p->service, "tim", 3);
}

static void copy_name(char *out, size_t size, const NDIS_STRING *name)
{
    size_t n = name ? name->Length / 2u : 0;
    for (size_t i = 0; i < n && i < size - 1; i++)
        out[i] = (char)name->Buffer[i];
    out[n < size - 1 ? n : size - 1] = 0;
}

static NDIS_STATUS open_adapter(struct bnd *b, PNDIS_BIND_PARAMETERS params, NDIS_HANDLE context)
{
    NDIS_MEDIUM media[] = {proto_script.medium};
    NET_FRAME_TYPE types[] = {0x0008};
    NDIS_STRING other;
    NDIS_OPEN_PARAMETERS o = {
        .Header = {NDIS_OBJECT_TYPE_OPEN_PARAMETERS, NDIS_OPEN_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1},
        .AdapterName = params->AdapterName,
        .MediumArray = media,
        .MediumArraySize = 1,
        .SelectedMediumIndex = &b->medium_index,
        .FrameTypeArray = types,
        .FrameTypeArraySize = 1,
    };
    if (proto_script.open_name) {
        RtlInitUnicodeString(&other, proto_script.open_name);
        o.AdapterName = &other;
    }
    b->medium_index = 99;
    return NdisOpenAdapterEx(b->proto->handle, b, &o, context, &b->handle);
}

static void close_adapter(struct bnd *b)
{
    b->open = false;
    b->close_status = NdisCloseAdapterEx(b->handle);
}

/* What follows a successful open; the bind's final status. */
static NDIS_STATUS bind_opened(struct bnd *b)
{
    b->open = true;
    NET_BUFFER_LIST_POOL_PARAMETERS pool = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .fAllocateNetBuffer = TRUE,
        .PoolTag = 'orpT',
        .DataSize = 2048,
        .ContextSize = 64,
    };
    b->pool = NdisAllocateNetBufferListPool(b->handle, &pool);
    if (!b->pool)
        return NDIS_STATUS_RESOURCES;
    void (*hook)(struct bnd *) = is_im(b->proto) ? im_script.on_bind : proto_script.on_bind;
    if (hook)
        hook(b);
    return is_im(b->proto) ? NDIS_STATUS_SUCCESS : proto_script.bind_status;
}

static void bind_over(struct bnd *b, NDIS_STATUS status)
{
    log_event("%s.bind.end %08x", b->proto->service, (unsigned)status);
    b->bound = status == NDIS_STATUS_SUCCESS;
    b->bind_over = true;
    if (b->bound)
        return;
    if (b->pool)
        NdisFreeNetBufferListPool(b->pool);
    b->pool = NULL;
    b->used = false;
}

static NDIS_STATUS NTAPI ProtoBind(NDIS_HANDLE driver_context, NDIS_HANDLE bind_context,
                                   PNDIS_BIND_PARAMETERS params)
{
    struct proto *p = driver_context;
    struct bnd *b = bnd_new(p);
    if (!b)
        return NDIS_STATUS_RESOURCES;
    b->params = *params;
    b->bind_context = bind_context;
    copy_name(b->adapter, sizeof b->adapter, params->AdapterName);
    copy_name(b->section, sizeof b->section, params->ProtocolSection);
    log_event("%s.bind %s irql %u", p->service, b->adapter, umn__irql());
    if (proto_script.no_open && !is_im(p)) {
        b->used = false;
        return NDIS_STATUS_FAILURE;
    }
    if (proto_script.before_open && !is_im(p))
        proto_script.before_open(b, params);
    b->open_status = open_adapter(b, params, bind_context);
    if (proto_script.after_open && !is_im(p))
        proto_script.after_open(b);
    if (b->open_status == NDIS_STATUS_PENDING)
        return NDIS_STATUS_PENDING; /* ProtoOpenComplete goes on */
    NDIS_STATUS status = b->open_status;
    if (status == NDIS_STATUS_SUCCESS)
        status = bind_opened(b);
    if (status != NDIS_STATUS_SUCCESS && b->open) {
        close_adapter(b);
        if (b->close_status == NDIS_STATUS_PENDING) {
            b->open_status = status; /* ProtoCloseComplete ends the bind */
            return NDIS_STATUS_PENDING;
        }
    }
    if (status == NDIS_STATUS_SUCCESS && proto_script.pend_bind && !is_im(p))
        return NDIS_STATUS_PENDING;
    bind_over(b, status);
    return status;
}

void proto_complete_bind(struct bnd *b, NDIS_STATUS status)
{
    NDIS_HANDLE context = b->bind_context;
    bind_over(b, status);
    NdisCompleteBindAdapterEx(context, status);
}

/* A bind that has pended may not close any more: it asks to be unbound (IM-BND-11). */
static void give_up_bind(struct bnd *b, NDIS_STATUS status)
{
    while (NdisUnbindAdapter(b->handle) != NDIS_STATUS_SUCCESS)
        settle(1);
    b->bind_over = true;
    log_event("%s.bind.end %08x", b->proto->service, (unsigned)status);
    NdisCompleteBindAdapterEx(b->bind_context, status);
}

static void NTAPI ProtoOpenComplete(NDIS_HANDLE context, NDIS_STATUS status)
{
    struct bnd *b = context;
    log_event("%s.open.complete %08x irql %u", b->proto->service, (unsigned)status, umn__irql());
    if (status == NDIS_STATUS_SUCCESS)
        status = bind_opened(b);
    if (status != NDIS_STATUS_SUCCESS && b->open)
        give_up_bind(b, status);
    else if (!proto_script.pend_bind || status != NDIS_STATUS_SUCCESS || is_im(b->proto))
        proto_complete_bind(b, status);
}

static void unbind_over(struct bnd *b)
{
    if (b->pool)
        NdisFreeNetBufferListPool(b->pool);
    b->pool = NULL;
    b->bound = b->used = false;
    log_event("%s.unbind.end %s", b->proto->service, b->adapter);
}

static NDIS_STATUS NTAPI ProtoUnbind(NDIS_HANDLE unbind_context, NDIS_HANDLE context)
{
    struct bnd *b = context;
    b->unbind_context = unbind_context;
    log_event("%s.unbind %s irql %u", b->proto->service, b->adapter, umn__irql());
    void (*hook)(struct bnd *) = is_im(b->proto) ? im_script.on_unbind : proto_script.on_unbind;
    if (hook)
        hook(b);
    if (b->held_rx)
        proto_return(b);
    close_adapter(b);
    if (b->close_status == NDIS_STATUS_PENDING || (proto_script.pend_unbind && !is_im(b->proto)))
        return NDIS_STATUS_PENDING;
    unbind_over(b);
    return NDIS_STATUS_SUCCESS;
}

void proto_complete_unbind(struct bnd *b)
{
    NDIS_HANDLE context = b->unbind_context;
    unbind_over(b);
    NdisCompleteUnbindAdapterEx(context);
}

static void NTAPI ProtoCloseComplete(NDIS_HANDLE context)
{
    struct bnd *b = context;
    log_event("%s.close.complete irql %u", b->proto->service, umn__irql());
    if (proto_script.on_close_complete && !is_im(b->proto))
        proto_script.on_close_complete(b);
    if (!b->unbind_context)
        proto_complete_bind(b, b->open_status);
    else if (!proto_script.pend_unbind || is_im(b->proto))
        proto_complete_unbind(b);
}

static void set_filter(struct bnd *b)
{
    ULONG filter = proto_script.packet_filter;
    if (filter && !is_im(b->proto))
        proto_oid(b, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &filter, 4, NULL);
}

static NDIS_STATUS NTAPI ProtoEvent(NDIS_HANDLE context, PNET_PNP_EVENT_NOTIFICATION n)
{
    struct bnd *b = context;
    NET_PNP_EVENT *e = &n->NetPnPEvent;
    log_event("%s.event %d length %u irql %u", b ? b->proto->service : "all", (int)e->NetEvent,
              e->BufferLength, umn__irql());
    if (proto_script.on_event)
        proto_script.on_event(b, e);
    if (!b)
        return NDIS_STATUS_SUCCESS;
    if (e->NetEvent == NetEventPause)
        b->running = false;
    if (e->NetEvent == NetEventRestart) {
        b->running = true;
        set_filter(b);
    }
    if (e->NetEvent == proto_script.veto_event)
        return NDIS_STATUS_FAILURE;
    if (e->NetEvent == proto_script.pend_event && !is_im(b->proto)) {
        b->held_event = n;
        return NDIS_STATUS_PENDING;
    }
    return NDIS_STATUS_SUCCESS;
}

void proto_complete_event(struct bnd *b, NDIS_STATUS status)
{
    PNET_PNP_EVENT_NOTIFICATION n = b->held_event;
    b->held_event = NULL;
    if (n)
        NdisCompleteNetPnPEvent(b->handle, n, status);
}

static void NTAPI ProtoStatus(NDIS_HANDLE context, PNDIS_STATUS_INDICATION s)
{
    struct bnd *b = context;
    b->statuses++;
    b->last_status_code = s->StatusCode;
    log_event("%s.status %08x %s", b->proto->service, (unsigned)s->StatusCode, b->adapter);
    if (proto_script.on_status)
        proto_script.on_status(b, s);
}

static void NTAPI ProtoReceive(NDIS_HANDLE context, PNET_BUFFER_LIST nbls, NDIS_PORT_NUMBER port,
                               ULONG count, ULONG flags)
{
    struct bnd *b = context;
    b->last_rx_flags = flags;
    if (umn__irql() > b->max_irql_seen)
        b->max_irql_seen = umn__irql();
    for (NET_BUFFER_LIST *nbl = nbls; nbl; nbl = NET_BUFFER_LIST_NEXT_NBL(nbl)) {
        b->received++;
        b->last_frame_length =
            world_copy_frame(NET_BUFFER_LIST_FIRST_NB(nbl), b->last_frame, sizeof b->last_frame);
        b->last_8021q = NET_BUFFER_LIST_INFO(nbl, Ieee8021QNetBufferListInfo);
    }
    log_event("%s.receive %s %u", b->proto->service, b->adapter, (unsigned)count);
    if (proto_script.on_receive)
        proto_script.on_receive(b, nbls, flags);
    if (flags & NDIS_RECEIVE_FLAGS_RESOURCES)
        return;
    if (proto_script.hold_rx && b->running) {
        world_append(&b->held_rx, &b->held_rx_tail, nbls);
        return;
    }
    NdisReturnNetBufferLists(
        b->handle, nbls,
        flags & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL ? NDIS_RETURN_FLAGS_DISPATCH_LEVEL : 0);
}

void proto_return(struct bnd *b)
{
    NET_BUFFER_LIST *nbls = b->held_rx;
    b->held_rx = b->held_rx_tail = NULL;
    if (nbls)
        NdisReturnNetBufferLists(b->handle, nbls, 0);
}

static void NTAPI ProtoSendComplete(NDIS_HANDLE context, PNET_BUFFER_LIST nbls, ULONG flags)
{
    struct bnd *b = context;
    while (nbls) {
        NET_BUFFER_LIST *next = NET_BUFFER_LIST_NEXT_NBL(nbls);
        NET_BUFFER_LIST_NEXT_NBL(nbls) = NULL;
        b->completed++;
        b->last_send_status = NET_BUFFER_LIST_STATUS(nbls);
        world_free_frame(nbls);
        nbls = next;
    }
    log_event("%s.sent %s %08x", b->proto->service, b->adapter, (unsigned)b->last_send_status);
}

bool proto_send(struct bnd *b, const void *data, uint32_t length, unsigned count)
{
    NET_BUFFER_LIST *head = NULL, *tail = NULL;
    unsigned made = 0;
    for (; made < count; made++) {
        NET_BUFFER_LIST *nbl = world_make_frame(b->pool, data, length);
        if (!nbl)
            break;
        nbl->SourceHandle = b->handle;
        world_append(&head, &tail, nbl);
    }
    if (head)
        NdisSendNetBufferLists(b->handle, head, NDIS_DEFAULT_PORT_NUMBER, 0);
    return made == count;
}

static void NTAPI ProtoOidComplete(NDIS_HANDLE context, PNDIS_OID_REQUEST oid, NDIS_STATUS status)
{
    struct bnd *b = context;
    struct request *r = CONTAINING_RECORD(oid, struct request, oid);
    b->oids_done++;
    b->last_oid_status = status;
    r->status = status;
    log_event("%s.oid.complete %08x", b->proto->service, (unsigned)status);
    if (r->waited)
        KeSetEvent(&r->done, 0, FALSE);
    else
        plat_free(r);
}

static void fill_request(struct request *r, struct bnd *b, NDIS_REQUEST_TYPE type, NDIS_OID oid,
                         void *buffer, uint32_t length)
{
    r->b = b;
    r->oid.Header.Type = NDIS_OBJECT_TYPE_OID_REQUEST;
    r->oid.Header.Revision = NDIS_OID_REQUEST_REVISION_1;
    r->oid.Header.Size = NDIS_SIZEOF_OID_REQUEST_REVISION_1;
    r->oid.RequestType = type;
    r->oid.DATA.QUERY_INFORMATION.Oid = oid;
    r->oid.DATA.QUERY_INFORMATION.InformationBuffer = buffer;
    r->oid.DATA.QUERY_INFORMATION.InformationBufferLength = length;
}

NDIS_STATUS proto_oid(struct bnd *b, NDIS_REQUEST_TYPE type, NDIS_OID oid, void *buffer,
                      uint32_t length, uint32_t *done)
{
    struct request r = {.waited = true};
    fill_request(&r, b, type, oid, buffer, length);
    KeInitializeEvent(&r.done, NotificationEvent, FALSE);
    NDIS_STATUS status = NdisOidRequest(b->handle, &r.oid);
    if (status == NDIS_STATUS_PENDING) {
        KeWaitForSingleObject(&r.done, Executive, KernelMode, FALSE, NULL);
        status = r.status;
    }
    if (done)
        *done = r.oid.DATA.QUERY_INFORMATION.BytesWritten;
    return status;
}

NDIS_STATUS proto_oid_async(struct bnd *b, NDIS_REQUEST_TYPE type, NDIS_OID oid, void *buffer,
                            uint32_t length, void *request_id, unsigned timeout_s)
{
    struct request *r = plat_alloc(sizeof *r);
    if (!r)
        return NDIS_STATUS_RESOURCES;
    fill_request(r, b, type, oid, buffer, length);
    r->oid.RequestId = request_id;
    r->oid.Timeout = timeout_s;
    NDIS_STATUS status = NdisOidRequest(b->handle, &r->oid);
    if (status != NDIS_STATUS_PENDING)
        plat_free(r);
    return status;
}

struct bnd *proto_on(unsigned proto, const char *guid)
{
    struct proto *p = &protos[proto];
    for (unsigned i = 0; i < PROTO_MAX; i++) {
        char service[16];
        snprintf(service, sizeof service, "tproto%u", proto);
        if (protos[i].used && !strcmp(protos[i].service, service))
            p = &protos[i];
    }
    for (unsigned i = 0; i < BIND_MAX; i++)
        if (p->b[i].used && p->b[i].open && strcasestr(p->b[i].adapter, guid))
            return &p->b[i];
    return NULL;
}

struct proto *proto_find(const char *service)
{
    for (unsigned i = 0; i < PROTO_MAX; i++)
        if (protos[i].used && !strcmp(protos[i].service, service))
            return &protos[i];
    for (unsigned i = 0; i < PROTO_MAX; i++)
        if (!protos[i].used) {
            memset(&protos[i], 0, sizeof protos[i]);
            protos[i].used = true;
            protos[i].index = i;
            snprintf(protos[i].service, sizeof protos[i].service, "%s", service);
            return &protos[i];
        }
    return NULL;
}

void proto_register(struct proto *p, const char *service, PDRIVER_OBJECT driver)
{
    WCHAR name[16];
    for (unsigned i = 0; i <= strlen(service); i++)
        name[i] = (WCHAR)service[i];
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS c = {
        .Header = {NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS,
                   NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2,
                   NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2},
        .MajorNdisVersion = 6,
        .MinorNdisVersion = (UCHAR)proto_script.minor,
    };
    if (proto_script.minor == 0) {
        c.Header.Revision = NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_1;
        c.Header.Size = NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_1;
    }
    RtlInitUnicodeString(&c.Name, name);
    c.BindAdapterHandlerEx = ProtoBind;
    c.UnbindAdapterHandlerEx = ProtoUnbind;
    c.OpenAdapterCompleteHandlerEx = ProtoOpenComplete;
    c.CloseAdapterCompleteHandlerEx = ProtoCloseComplete;
    c.NetPnPEventHandler = ProtoEvent;
    c.OidRequestCompleteHandler = ProtoOidComplete;
    c.StatusHandlerEx = ProtoStatus;
    c.ReceiveNetBufferListsHandler = ProtoReceive;
    c.SendNetBufferListsCompleteHandler = ProtoSendComplete;
    if (proto_script.characteristics)
        proto_script.characteristics(&c);
    p->register_status = NdisRegisterProtocolDriver(p, &c, &p->handle);
}

static void NTAPI ProtoUnload(PDRIVER_OBJECT driver)
{
    struct proto *p = proto_find(umn__driver_service(driver));
    log_event("%s.unload", p->service);
    NdisDeregisterProtocolDriver(p->handle);
    p->used = false;
}

NTSTATUS NTAPI ProtoEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    char service[16];
    world_service_of(path, service);
    struct proto *p = proto_find(service);
    if (!p)
        return STATUS_INSUFFICIENT_RESOURCES;
    driver->DriverUnload = ProtoUnload;
    log_event("%s.entry", service);
    proto_register(p, service, driver);
    if (p->register_status == NDIS_STATUS_SUCCESS && proto_script.on_entry)
        proto_script.on_entry(p);
    if (p->register_status != NDIS_STATUS_SUCCESS)
        p->used = false;
    return p->register_status;
}
