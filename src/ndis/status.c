/* SPDX-License-Identifier: MIT */
/*
 * Status indications from miniports to bindings, and the link and operational state that NDIS keeps
 * of each adapter. <= DISPATCH_LEVEL; ndis.lock guards the link state and the list of bindings, and
 * a binding's call_out counts the callbacks into it, which its close waits for (IM-UNB-08).
 */
#include "ndis/control.h"

#include <string.h>

void ndis__status_current(struct ndis_adapter *a, NDIS_LINK_STATE *out)
{
    umn__lock(&ndis.lock);
    *out = a->link_state;
    umn__unlock(&ndis.lock);
}

/*
 * The binding after `last` (NULL: the first) that may be called and is meant, counted in. The list
 * is in order of age and a counted binding stays in it, so the walk needs no memory.
 */
static struct ndis_binding *next_target(struct ndis_adapter *a, struct ndis_binding *last,
                                        NDIS_HANDLE only)
{
    struct ndis_binding *found = NULL;
    struct umn_list *l;

    umn__lock(&ndis.lock);
    for (l = last ? last->adapter_link.next : a->bindings.next; l != &a->bindings; l = l->next) {
        struct ndis_binding *b = umn_container_of(l, struct ndis_binding, adapter_link);
        if (!ndis__binding_callable(b) || b->close_claimed || (only && only != b) ||
            !b->protocol->chars.StatusHandlerEx)
            continue;
        found = b;
        ndis__out_add(&b->call_out, 1);
        ndis__binding_get(b);
        break;
    }
    umn__unlock(&ndis.lock);
    return found;
}

/* IM-STS-02: to every binding, or to the one that destination names. */
static unsigned deliver(struct ndis_adapter *a, NDIS_STATUS_INDICATION *s)
{
    struct ndis_binding *b = next_target(a, NULL, s->DestinationHandle);
    struct ndis_frame frame;
    unsigned n = 0;

    while (b) {
        struct ndis_binding *next;

        ndis__frame_enter(&frame, NDIS_FRAME_PROTOCOL, b->protocol, NULL, "ProtocolStatusEx");
        b->protocol->chars.StatusHandlerEx(b->context, s);
        ndis__frame_leave(&frame);
        n++;
        next = next_target(a, b, s->DestinationHandle);
        ndis__out_sub(&b->call_out, 1);
        ndis__binding_put(b);
        b = next;
    }
    return n;
}

/* ndis-status-oper-status.md: NDIS alone originates it, when the operational state changes. */
static void update_oper(struct ndis_adapter *a, NDIS_MEDIA_CONNECT_STATE link)
{
    NDIS_OPER_STATE oper = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_OPER_STATE_REVISION_1,
                   NDIS_SIZEOF_OPER_STATE_REVISION_1},
        .OperationalStatus = link == MediaConnectStateConnected      ? NET_IF_OPER_STATUS_UP
                             : link == MediaConnectStateDisconnected ? NET_IF_OPER_STATUS_DOWN
                                                                     : NET_IF_OPER_STATUS_UNKNOWN,
    };
    NDIS_STATUS_INDICATION s = {
        .Header = {NDIS_OBJECT_TYPE_STATUS_INDICATION, (UCHAR)NDIS_STATUS_INDICATION_REVISION_1,
                   NDIS_SIZEOF_STATUS_INDICATION_REVISION_1},
        .SourceHandle = a,
        .StatusCode = NDIS_STATUS_OPER_STATUS,
        .StatusBuffer = &oper,
        .StatusBufferSize = sizeof oper,
    };
    bool changed;

    umn__lock(&ndis.lock);
    changed = a->oper_status != oper.OperationalStatus;
    a->oper_status = oper.OperationalStatus;
    umn__unlock(&ndis.lock);
    if (changed)
        deliver(a, &s);
}

void ndis__status_send(struct ndis_adapter *a, NDIS_STATUS code, void *buffer, ULONG size)
{
    NDIS_STATUS_INDICATION s = {
        .Header = {NDIS_OBJECT_TYPE_STATUS_INDICATION, (UCHAR)NDIS_STATUS_INDICATION_REVISION_1,
                   NDIS_SIZEOF_STATUS_INDICATION_REVISION_1},
        .SourceHandle = a,
        .StatusCode = code,
        .StatusBuffer = buffer,
        .StatusBufferSize = size,
    };

    umn__trace("status", "%s 0x%08x to %u", a->name, (unsigned)code, deliver(a, &s));
}

/* What is malformed is reported and not passed on (0x7C / 0x20). */
static bool well_formed(struct ndis_adapter *a, const NDIS_STATUS_INDICATION *s)
{
    const char *service = a->driver->service;

    if (ndis__header_check(&s->Header, NDIS_OBJECT_TYPE_STATUS_INDICATION,
                           (unsigned)NDIS_STATUS_INDICATION_REVISION_1,
                           NDIS_SIZEOF_STATUS_INDICATION_REVISION_1, "NdisMIndicateStatusEx"))
        return false;
    if (s->StatusBufferSize && !s->StatusBuffer) {
        umn__report("STATUS_INDICATION_INVALID_BUFFER", 0x20,
                    "miniport %s indicates 0x%08x with a NULL buffer of %u bytes", service,
                    (unsigned)s->StatusCode, s->StatusBufferSize);
        return false;
    }
    if (s->StatusCode == NDIS_STATUS_OPER_STATUS) {
        umn__report("IM-STS-04", 0, "miniport %s originates NDIS_STATUS_OPER_STATUS", service);
        return false;
    }
    if (s->StatusCode == NDIS_STATUS_LINK_STATE &&
        s->StatusBufferSize < NDIS_SIZEOF_LINK_STATE_REVISION_1) {
        umn__report("STATUS_INDICATION_INVALID_BUFFER", 0x20,
                    "miniport %s indicates a link state of %u bytes", service, s->StatusBufferSize);
        return false;
    }
    if (s->SourceHandle != (NDIS_HANDLE)a)
        umn__report("IM-STS-01", 0, "miniport %s indicates with a foreign SourceHandle", service);
    if (a->driver->intermediate &&
        (s->StatusCode == NDIS_STATUS_RESET_START || s->StatusCode == NDIS_STATUS_RESET_END))
        umn__report("IM-STS-04", 0, "intermediate driver %s passes on a reset status", service);
    return true;
}

/*
 * nf-ndis-ndismindicatestatusex.md; IM-STS-01, -02, -05, IM-INI-10, IM-MST-12. <= DISPATCH_LEVEL,
 * no spin lock held, from the moment that registration attributes are set until MiniportHaltEx
 * returns. A link state is kept, so later bind parameters show it, also before anybody is bound.
 */
UMN_EXPORT void NTAPI NdisMIndicateStatusEx(NDIS_HANDLE MiniportAdapterHandle,
                                            PNDIS_STATUS_INDICATION StatusIndication)
{
    struct ndis_adapter *a = MiniportAdapterHandle;
    NDIS_STATUS_INDICATION *s = StatusIndication;
    unsigned n;

    ndis__entry_ok(UMN_DISPATCH, "NdisMIndicateStatusEx");
    if (!ndis__live(a, NDIS_KIND_ADAPTER, "NdisMIndicateStatusEx") || !s)
        return;
    if (!__atomic_load_n(&a->attr.have_registration, __ATOMIC_ACQUIRE)) {
        umn__report("IM-INI-10", 0, "miniport %s indicates status before registration attributes",
                    a->driver->service);
        return;
    }
    if (!well_formed(a, s))
        return;
    umn__point(UMN_OP_CALLBACK, a);
    if (s->StatusCode == NDIS_STATUS_LINK_STATE) {
        umn__lock(&ndis.lock);
        memcpy(&a->link_state, s->StatusBuffer, NDIS_SIZEOF_LINK_STATE_REVISION_1);
        umn__unlock(&ndis.lock);
    }
    if (__atomic_load_n(&a->state, __ATOMIC_ACQUIRE) == NDIS_ADAPTER_SHUTDOWN)
        return;
    n = deliver(a, s);
    umn__trace("status", "%s 0x%08x to %u", a->name, (unsigned)s->StatusCode, n);
    if (s->StatusCode == NDIS_STATUS_LINK_STATE)
        update_oper(a, ((const NDIS_LINK_STATE *)s->StatusBuffer)->MediaConnectState);
}
