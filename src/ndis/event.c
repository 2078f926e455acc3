/* SPDX-License-Identifier: MIT */
/*
 * Network PnP events to protocols and their completion; NdisMNetPnPEvent of miniports.
 * PASSIVE_LEVEL. An event lies on the stack of the context that sends it and is in ndis.events
 * (ndis.lock) until it has been completed, so that a completion with another pointer, or a second
 * one, is seen.
 *
 * Events of one binding are serial: who sends one has its turn (event_owner, under ndis.lock; a
 * handler that causes another event in its own context has it already). The turn is all that
 * NdisMNetPnPEvent takes. It must not wait for the adapter's operation: an intermediate driver
 * keeps its virtual miniport from being halted during the call, and whoever halts it owns that
 * operation and waits for the driver (IM-EVT-04, IM-STK-05). Pause, restart and unbind, which own
 * it, wait for the turn instead.
 */
#include "ndis/control.h"

#include <string.h>

struct event {
    struct umn_list link; /* ndis.events */
    NET_PNP_EVENT_NOTIFICATION n;
    struct ndis_completion done;
};

static const char *code_name(NET_PNP_EVENT_CODE code)
{
    static const char *const names[] = {
        "SetPower",
        "QueryPower",
        "QueryRemoveDevice",
        "CancelRemoveDevice",
        "Reconfigure",
        "BindList",
        "BindsComplete",
        "PnPCapabilities",
        "Pause",
        "Restart",
        "PortActivation",
        "PortDeactivation",
        "IMReEnableDevice",
    };
    return (unsigned)code < sizeof names / sizeof names[0] ? names[code] : "event";
}

/* IM-EVT-02: only these may be refused. */
static bool may_fail(NET_PNP_EVENT_CODE code)
{
    return code == NetEventQueryRemoveDevice || code == NetEventPortActivation ||
           code == NetEventQueryPower || code == NetEventRestart;
}

static void event_init(struct event *e, NET_PNP_EVENT_CODE code, void *buffer, uint32_t length)
{
    *e = (struct event){
        .n =
            {
                .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_PNP_EVENT_NOTIFICATION_REVISION_1,
                           NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1},
                .NetPnPEvent = {.NetEvent = code, .Buffer = buffer, .BufferLength = length},
            },
    };
    ndis__completion_init(&e->done);
    umn__lock(&ndis.lock);
    umn_list_add_tail(&ndis.events, &e->link);
    umn__unlock(&ndis.lock);
}

/* ---- turns
 * ------------------------------------------------------------------------------------------ */

/* Another context's event, or bind. Lock held. */
static bool event_busy(const struct ndis_binding *b)
{
    const struct umn_ctx *self = umn__ctx_self();

    return (b->event_owner && b->event_owner != self) || (b->bind_op && b->bind_op->ctx != self);
}

/* Lock held on entry and on return; not held meanwhile. */
static void turn_wait(struct ndis_binding *b)
{
    while (event_busy(b)) {
        ndis__wait_unlock(&b->event_waiters, "the end of an event or bind", b);
        umn__lock(&ndis.lock);
    }
}

/* Lock held. */
static void turn_take(struct ndis_binding *b)
{
    b->event_owner = umn__ctx_self();
    b->event_depth++;
}

static void turn_end(struct ndis_binding *b)
{
    umn__lock(&ndis.lock);
    if (--b->event_depth) {
        umn__unlock(&ndis.lock);
        return;
    }
    b->event_owner = NULL;
    ndis__wake_unlock(&b->event_waiters);
}

void ndis__event_unbinding(struct ndis_binding *b)
{
    umn__lock(&ndis.lock);
    turn_wait(b);
    b->unbinding = true;
    umn__unlock(&ndis.lock);
}

/* ---- one event
 * -------------------------------------------------------------------------------------- */

/* The caller has the binding's turn. */
static NDIS_STATUS send_event(struct ndis_protocol *p, struct ndis_binding *b,
                              NET_PNP_EVENT_CODE code, void *buffer, uint32_t length)
{
    struct ndis_frame frame;
    struct event e;
    NDIS_STATUS status;
    bool done;

    event_init(&e, code, buffer, length);
    umn__trace("event.send", "%s %s %s", p->service, code_name(code), b ? b->adapter->name : "all");
    ndis__frame_enter(&frame, NDIS_FRAME_EVENT, p, b, "ProtocolNetPnPEvent");
    status = p->chars.NetPnPEventHandler(b ? b->context : NULL, &e.n);
    ndis__frame_leave(&frame);
    if (status == NDIS_STATUS_PENDING)
        status = ndis__completion_wait(&e.done, "NdisCompleteNetPnPEvent");
    umn__lock(&ndis.lock);
    umn_list_remove(&e.link);
    umn__unlock(&ndis.lock);
    done = e.done.done;
    if (done && status != e.done.status)
        umn__report("ST-09", 0, "protocol %s completed %s and returned another status for it",
                    p->service, code_name(code));
    if (status == NDIS_STATUS_NOT_SUPPORTED || (status != NDIS_STATUS_SUCCESS && !may_fail(code)))
        umn__report("IM-EVT-02", 0, "protocol %s failed %s with 0x%08x", p->service,
                    code_name(code), (unsigned)status);
    return status;
}

NDIS_STATUS ndis__event_send(struct ndis_protocol *p, struct ndis_binding *b,
                             NET_PNP_EVENT_CODE code, void *buffer, uint32_t length)
{
    NDIS_STATUS status;

    if (!b)
        return send_event(p, NULL, code, buffer, length);
    umn__lock(&ndis.lock);
    turn_wait(b);
    turn_take(b);
    umn__unlock(&ndis.lock);
    status = send_event(p, b, code, buffer, length);
    turn_end(b);
    return status;
}

/* Lock held. bind_op: by the caller itself, or its end is waited for. */
static bool wants_events(const struct ndis_binding *b)
{
    return b->opened && !b->unbinding && !b->close_called &&
           !(b->bind_op && b->bind_op->ctx == umn__ctx_self());
}

/* The oldest binding that is younger than `last` and wants events. Lock held. */
static struct ndis_binding *next_binding(struct ndis_adapter *a, uint32_t last)
{
    umn_list_for_each (l, &a->bindings) {
        struct ndis_binding *b = umn_container_of(l, struct ndis_binding, adapter_link);
        if (b->obj.id > last && wants_events(b))
            return b;
    }
    return NULL;
}

/* The same, held and with its turn. What goes away while it is waited for is passed over. */
static struct ndis_binding *next_turn(struct ndis_adapter *a, uint32_t last)
{
    struct ndis_binding *b;

    umn__lock(&ndis.lock);
    while ((b = next_binding(a, last)) != NULL && event_busy(b)) {
        ndis__binding_get(b);
        ndis__wait_unlock(&b->event_waiters, "the end of an event or bind", b);
        ndis__binding_put(b);
        umn__lock(&ndis.lock);
    }
    if (b) {
        ndis__binding_get(b);
        turn_take(b);
    }
    umn__unlock(&ndis.lock);
    return b;
}

/* Bindings in order of their age. */
NDIS_STATUS ndis__event_adapter(struct ndis_adapter *a, NET_PNP_EVENT_CODE code, void *buffer,
                                uint32_t length, bool veto)
{
    NDIS_STATUS result = NDIS_STATUS_SUCCESS;
    struct ndis_binding *b;
    uint32_t last = 0;

    while ((b = next_turn(a, last)) != NULL) {
        NDIS_STATUS status;

        last = b->obj.id;
        status = send_event(b->protocol, b, code, buffer, length);
        turn_end(b);
        ndis__binding_put(b);
        if (status != NDIS_STATUS_SUCCESS && result == NDIS_STATUS_SUCCESS)
            result = status;
        if (veto && result != NDIS_STATUS_SUCCESS)
            break;
    }
    return result;
}

/*
 * nf-ndis-ndiscompletenetpnpevent.md, IM-EVT-03: ends an event for which ProtocolNetPnPEvent
 * returned PENDING. PASSIVE_LEVEL. A pointer that is no event under way, or a second completion, is
 * reported.
 */
UMN_EXPORT void NTAPI NdisCompleteNetPnPEvent(NDIS_HANDLE NdisHandle,
                                              PNET_PNP_EVENT_NOTIFICATION NetPnPEvent,
                                              NDIS_STATUS Status)
{
    bool ok = false;

    ndis__entry_ok(UMN_PASSIVE, "NdisCompleteNetPnPEvent");
    umn__point(UMN_OP_ATOMIC, NetPnPEvent);
    umn__lock(&ndis.lock);
    umn_list_for_each (l, &ndis.events) {
        struct event *e = umn_container_of(l, struct event, link);
        if (&e->n == NetPnPEvent) {
            ok = ndis__completion_finish(&e->done, Status); /* leaf under leaf: no point inside */
            break;
        }
    }
    umn__unlock(&ndis.lock);
    if (!ok)
        umn__report("ST-09", 0, "NdisCompleteNetPnPEvent for an event that is not under way");
}

/* ---- events that NDIS originates
 * ----------------------------------------------------------------- */

/* IM-BND-17: once a protocol is bound to what there is; always with a NULL context. */
void ndis__event_binds_complete(struct ndis_protocol *p)
{
    if (!ndis__protocol_busy(p))
        return;
    ndis__event_send(p, NULL, NetEventBindsComplete, NULL, 0);
    ndis__protocol_idle(p);
}

/* IM-EVT-11: the buffer points to an NDIS_STRING with the full device path. No op is held: the
 * driver may ask for the virtual miniport from another context before it completes the event. */
void ndis__event_reenable(struct ndis_adapter *a)
{
    struct ndis_protocol *p;
    UNICODE_STRING name = a->name_us;

    umn__lock(&ndis.lock);
    p = a->driver->associated;
    if (p)
        ndis__protocol_get(p);
    umn__unlock(&ndis.lock);
    if (!p)
        return;
    if (ndis__protocol_busy(p)) {
        ndis__event_send(p, NULL, NetEventIMReEnableDevice, &name, sizeof name);
        ndis__protocol_idle(p);
    }
    ndis__protocol_put(p);
}

static int reconfigure_binding(struct ndis_protocol *p, const char *adapter, void *data,
                               size_t size, NDIS_STATUS *status)
{
    struct ndis_adapter *a = ndis__adapter_ref(adapter);
    struct ndis_binding *b;

    if (!a)
        return UMN_ENOENT;
    ndis__op_begin(a, "reconfigure");
    umn__lock(&ndis.lock);
    b = ndis__binding_of(p, a);
    if (b && (!b->opened || b->close_called))
        b = NULL;
    umn__unlock(&ndis.lock);
    if (b)
        *status = ndis__event_send(p, b, NetEventReconfigure, data, (uint32_t)size);
    ndis__op_end(a);
    ndis__adapter_put(a);
    return b ? 0 : UMN_ENOENT;
}

int umn__ndis_reconfigure(const char *protocol_service, const char *adapter, const void *data,
                          size_t size, NDIS_STATUS *status)
{
    struct ndis_protocol *p = NULL;
    NDIS_STATUS answer = NDIS_STATUS_SUCCESS;
    int result = UMN_ENOENT;
    void *copy = NULL;

    if (data && size) {
        copy = plat_alloc(size);
        if (!copy)
            return UMN_ENOMEM;
        memcpy(copy, data, size);
    }
    while (result == UMN_ENOENT && (p = ndis__protocol_next(p)) != NULL) {
        if (umn__stricmp(p->service, protocol_service) != 0)
            continue;
        if (adapter) {
            result = reconfigure_binding(p, adapter, copy, copy ? size : 0, &answer);
        } else if (ndis__protocol_busy(p)) {
            answer =
                ndis__event_send(p, NULL, NetEventReconfigure, copy, copy ? (uint32_t)size : 0);
            ndis__protocol_idle(p);
            result = 0;
        }
    }
    if (p)
        ndis__protocol_put(p);
    plat_free(copy);
    if (status && !result)
        *status = answer;
    return result;
}

/* ---- ports
 * ------------------------------------------------------------------------------------------ */

static void port_job(void *arg)
{
    struct ndis_adapter *a = arg;

    ndis__op_begin(a, "port event");
    if (a->state == NDIS_ADAPTER_RUNNING || a->state == NDIS_ADAPTER_PAUSED) {
        ndis__stack_pause(a, NDIS_PAUSE_NDIS_INTERNAL);
        if (ndis__default_port(a))
            ndis__bind_all(a);
        else
            ndis__unbind_all(a);
        ndis__stack_restart(a);
    }
    ndis__op_end(a);
    ndis__adapter_put(a);
}

/*
 * The default port alone exists here (IM-PRT-01). Its activation lets protocols bind, its
 * deactivation closes all bindings (IM-PRT-02): from a thread, since both pause the caller's stack.
 */
static NDIS_STATUS port_event(struct ndis_adapter *a, const NET_PNP_EVENT *e)
{
    const bool activate = e->NetEvent == NetEventPortActivation;

    if (activate && !e->Buffer)
        return NDIS_STATUS_INVALID_PARAMETER;
    if (activate) {
        for (const NDIS_PORT *port = e->Buffer; port; port = port->Next)
            if (port->PortCharacteristics.PortNumber != NDIS_DEFAULT_PORT_NUMBER)
                return NDIS_STATUS_INVALID_PORT;
    } else {
        const NDIS_PORT_NUMBER *port = e->Buffer;
        for (size_t i = 0; port && i < e->BufferLength / sizeof *port; i++)
            if (port[i] != NDIS_DEFAULT_PORT_NUMBER)
                return NDIS_STATUS_INVALID_PORT;
    }
    if (ndis__default_port(a) == activate)
        return NDIS_STATUS_INVALID_PORT_STATE;
    umn__lock(&ndis.lock);
    __atomic_store_n(&a->port0_active, activate, __ATOMIC_RELEASE);
    ndis__adapter_get(a);
    umn__unlock(&ndis.lock);
    umn__trace("port.state", "%s port 0 %s", a->name, activate ? "active" : "inactive");
    if (a->state != NDIS_ADAPTER_INITIALIZING && ndis__job(port_job, a, "ndis port"))
        return NDIS_STATUS_SUCCESS;
    ndis__adapter_put(a);
    return a->state == NDIS_ADAPTER_INITIALIZING ? NDIS_STATUS_SUCCESS : NDIS_STATUS_RESOURCES;
}

/* ---- events that miniports raise
 * ---------------------------------------------------------------------- */

/* IM-EVT-08, IM-EVT-10; 0x7C / 0x22. */
static bool event_allowed(const struct ndis_adapter *a, NET_PNP_EVENT_CODE code)
{
    switch (code) {
    case NetEventPortActivation:
    case NetEventPortDeactivation:
        return true;
    case NetEventSetPower:
    case NetEventQueryPower:
    case NetEventQueryRemoveDevice:
    case NetEventCancelRemoveDevice:
    case NetEventReconfigure:
    case NetEventBindList:
    case NetEventPnPCapabilities:
        return a->driver->intermediate;
    default:
        return false;
    }
}

/*
 * nf-ndis-ndismnetpnpevent.md; IM-EVT-04, -08, -10, question 28: blocks until every overlying
 * protocol has completed the event. PASSIVE_LEVEL. The status counts for QueryPower and
 * QueryRemoveDevice only and is SUCCESS for everything else that was propagated. INVALID_PARAMETER:
 * an event that this miniport may not raise. It does not wait for a pause, restart or halt of the
 * adapter: the caller may be what these wait for.
 */
UMN_EXPORT NDIS_STATUS NTAPI NdisMNetPnPEvent(NDIS_HANDLE MiniportAdapterHandle,
                                              PNET_PNP_EVENT_NOTIFICATION NetPnPEvent)
{
    struct ndis_adapter *a = MiniportAdapterHandle;
    const NET_PNP_EVENT *e = &NetPnPEvent->NetPnPEvent;
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    bool query;

    ndis__entry_ok(UMN_PASSIVE, "NdisMNetPnPEvent");
    if (!ndis__live(a, NDIS_KIND_ADAPTER, "NdisMNetPnPEvent") || !NetPnPEvent)
        return NDIS_STATUS_INVALID_PARAMETER;
    if (ndis__header_check(&NetPnPEvent->Header, NDIS_OBJECT_TYPE_DEFAULT,
                           NET_PNP_EVENT_NOTIFICATION_REVISION_1,
                           NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1, "NdisMNetPnPEvent"))
        return NDIS_STATUS_INVALID_PARAMETER;
    if (!event_allowed(a, e->NetEvent)) {
        umn__report("ILLEGAL_NET_PNP_EVENT", 0x22, "miniport %s may not raise %s",
                    a->driver->service, code_name(e->NetEvent));
        return NDIS_STATUS_INVALID_PARAMETER;
    }
    if (e->NetEvent == NetEventPortActivation || e->NetEvent == NetEventPortDeactivation)
        return port_event(a, e);
    query = e->NetEvent == NetEventQueryPower || e->NetEvent == NetEventQueryRemoveDevice;
    umn__lock(&ndis.lock);
    ndis__adapter_get(a);
    umn__unlock(&ndis.lock);
    if (__atomic_load_n(&a->state, __ATOMIC_ACQUIRE) != NDIS_ADAPTER_SHUTDOWN)
        status = ndis__event_adapter(a, e->NetEvent, e->Buffer, e->BufferLength, query);
    ndis__adapter_put(a);
    return query ? status : NDIS_STATUS_SUCCESS;
}
