/* SPDX-License-Identifier: MIT */
/*
 * Operations on a stack (the sleeping ownership that serialises them) and pause and restart of all
 * its parts in order. PASSIVE_LEVEL. ndis.lock guards op_owner and the waiters.
 *
 * Order (IM-STK-02; pausing-a-driver-stack.md, restarting-a-driver-stack.md):
 *
 *      pause    |  protocol bindings   NetEventPause, sends are waited for        ^  restart
 *               |  (filter modules     top to bottom / bottom to top)            |
 *               v  miniport            MiniportPause, receives are waited for    |
 *
 * A binding's sends are let in from just before NetEventRestart (the driver may send as soon as its
 * handler has changed its own state) until NetEventPause has been completed; receives are let in
 * from just before MiniportRestart until just before MiniportPause (question 18).
 */
#include "ndis/control.h"

#include <string.h>

/* ---- operations
 * ------------------------------------------------------------------------------------ */

void ndis__op_begin(struct ndis_adapter *a, const char *what)
{
    struct umn_ctx *self = umn__ctx_self();

    umn__point(UMN_OP_LOCK, a);
    umn__lock(&ndis.lock);
    if (a->op_owner == self) {
        a->op_depth++;
        umn__unlock(&ndis.lock);
        return;
    }
    if (!a->op_owner) {
        a->op_owner = self;
        a->op_depth = 1;
        umn__unlock(&ndis.lock);
        return;
    }
    ndis__wait_unlock(&a->op_waiters, what, a); /* op_end hands the ownership over */
}

void ndis__op_end(struct ndis_adapter *a)
{
    umn__lock(&ndis.lock);
    if (--a->op_depth == 0) {
        a->op_owner = NULL;
        if (!umn_list_empty(&a->op_waiters)) {
            struct ndis_waiter *w = umn_container_of(a->op_waiters.next, struct ndis_waiter, link);
            a->op_owner = w->ctx;
            a->op_depth = 1;
            ndis__wake_one(w);
        }
    }
    umn__unlock(&ndis.lock);
}

/* ---- pause
 * ------------------------------------------------------------------------------------------- */

static void pause_binding(struct ndis_binding *b)
{
    NDIS_PROTOCOL_PAUSE_PARAMETERS params = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_PROTOCOL_PAUSE_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_PROTOCOL_PAUSE_PARAMETERS_REVISION_1},
        .PauseReason = NDIS_PAUSE_NDIS_INTERNAL,
    };

    ndis__binding_set_state(b, NDIS_BINDING_PAUSING);
    ndis__event_send(b->protocol, b, NetEventPause, &params, params.Header.Size);
    ndis__gate_close(&b->tx_gate);
    if (__atomic_load_n(&b->tx_out.count, __ATOMIC_SEQ_CST) > 0) {
        umn__report("ST-05", 0, "protocol %s completed NetEventPause with %lld sends outstanding",
                    b->protocol->service, (long long)b->tx_out.count);
        ndis__out_wait(&b->tx_out, "sends after NetEventPause");
    }
    ndis__binding_set_state(b, NDIS_BINDING_PAUSED);
}

static void pause_miniport(struct ndis_adapter *a, ULONG reason)
{
    NDIS_MINIPORT_PAUSE_PARAMETERS params = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_MINIPORT_PAUSE_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_MINIPORT_PAUSE_PARAMETERS_REVISION_1},
        .PauseReason = reason,
    };
    struct ndis_frame frame;
    NDIS_STATUS status;

    ndis__adapter_set_state(a, NDIS_ADAPTER_PAUSING);
    ndis__dp_adapter_stop(a);
    ndis__completion_init(&a->pause_done);
    a->pause_pending = true;
    ndis__frame_enter(&frame, NDIS_FRAME_MINIPORT, a, NULL, "MiniportPause");
    status = a->driver->chars.PauseHandler(a->context, &params);
    ndis__frame_leave(&frame);
    if (status == NDIS_STATUS_PENDING)
        ndis__completion_wait(&a->pause_done, "NdisMPauseComplete");
    else if (status != NDIS_STATUS_SUCCESS)
        umn__report("ST-18", 0, "MiniportPause of %s returned 0x%08x; it cannot fail (IM-MST-03)",
                    a->driver->service, (unsigned)status);
    umn__lock(&ndis.lock);
    a->pause_pending = false;
    umn__unlock(&ndis.lock);
    if (status != NDIS_STATUS_PENDING && a->pause_done.done)
        umn__report("ST-06", 0x1f, "miniport %s completed a pause that it did not pend",
                    a->driver->service);
    if (__atomic_load_n(&a->rx_out.count, __ATOMIC_SEQ_CST) > 0) {
        umn__report("ST-03", 0, "miniport %s completed its pause with %lld receives not returned",
                    a->driver->service, (long long)a->rx_out.count);
        ndis__out_wait(&a->rx_out, "receives after MiniportPause");
    }
    ndis__adapter_set_state(a, NDIS_ADAPTER_PAUSED);
}

/* Bindings change only inside an operation, so the list stands still for the owner. */
void ndis__stack_pause(struct ndis_adapter *a, ULONG reason)
{
    const bool shut = a->state == NDIS_ADAPTER_SHUTDOWN;

    if (a->state != NDIS_ADAPTER_RUNNING && !shut)
        return;
    umn_list_for_each (l, &a->bindings) {
        struct ndis_binding *b = umn_container_of(l, struct ndis_binding, adapter_link);
        if (b->state == NDIS_BINDING_RUNNING)
            pause_binding(b);
    }
    if (shut) /* its miniport is not called any more */
        ndis__dp_adapter_stop(a);
    else
        pause_miniport(a, reason);
}

/* ---- restart attributes
 * -------------------------------------------------------------------------------- */

/* The one entry that NDIS makes; entries that the driver adds are pool memory that we free. */
static NDIS_RESTART_ATTRIBUTES *attributes_new(const struct ndis_adapter *a)
{
    const NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *g = &a->attr.general;
    const size_t head = offsetof(NDIS_RESTART_ATTRIBUTES, Data);
    const size_t size = head + sizeof(NDIS_RESTART_GENERAL_ATTRIBUTES) +
                        sizeof(NDIS_RECEIVE_SCALE_CAPABILITIES) + g->SupportedOidListLength;
    NDIS_RESTART_ATTRIBUTES *list = plat_alloc(size);
    NDIS_RESTART_GENERAL_ATTRIBUTES *r;
    NDIS_RECEIVE_SCALE_CAPABILITIES *rss;

    if (!list)
        return NULL;
    r = (void *)list->Data;
    rss = (void *)(r + 1);
    list->Oid = OID_GEN_MINIPORT_RESTART_ATTRIBUTES;
    list->DataLength = sizeof *r;
    *r = (NDIS_RESTART_GENERAL_ATTRIBUTES){
        .Header = {NDIS_OBJECT_TYPE_RESTART_GENERAL_ATTRIBUTES,
                   NDIS_RESTART_GENERAL_ATTRIBUTES_REVISION_2,
                   NDIS_SIZEOF_RESTART_GENERAL_ATTRIBUTES_REVISION_2},
        .MtuSize = a->mtu,
        .MaxXmitLinkSpeed = g->MaxXmitLinkSpeed,
        .MaxRcvLinkSpeed = g->MaxRcvLinkSpeed,
        .LookaheadSize = g->LookaheadSize,
        .MacOptions = g->MacOptions,
        .SupportedPacketFilters = g->SupportedPacketFilters,
        .MaxMulticastListSize = g->MaxMulticastListSize,
        .RecvScaleCapabilities = rss,
        .AccessType = g->AccessType,
        .ConnectionType = g->ConnectionType,
        .SupportedStatistics = g->SupportedStatistics,
        .DataBackFillSize = g->DataBackFillSize,
        .ContextBackFillSize = g->ContextBackFillSize,
        .SupportedOidList = (void *)(rss + 1),
        .SupportedOidListLength = g->SupportedOidListLength,
    };
    if (g->RecvScaleCapabilities)
        *rss = *g->RecvScaleCapabilities;
    if (g->SupportedOidListLength)
        memcpy(rss + 1, g->SupportedOidList, g->SupportedOidListLength);
    return list;
}

/* Requests read them at any time without a lock: each is written whole, and only if it changes. */
#define TAKE(member)                                                                               \
    do {                                                                                           \
        if (g->member != r->member)                                                                \
            __atomic_store_n(&g->member, r->member, __ATOMIC_RELAXED);                             \
    } while (0)

/* What the miniport changed becomes the adapter's (IM-MST-10). The OID list and RSS keep their
 * copies from initialize: their memory in the entry is short-lived. */
static void attributes_take(struct ndis_adapter *a, NDIS_RESTART_ATTRIBUTES *list)
{
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *g = &a->attr.general;

    for (; list; list = list->Next) {
        const NDIS_RESTART_GENERAL_ATTRIBUTES *r = (void *)list->Data;

        if (list->Oid != OID_GEN_MINIPORT_RESTART_ATTRIBUTES || list->DataLength < sizeof *r)
            continue;
        if (a->mtu != r->MtuSize) {
            umn__trace("adapter.mtu", "%s %u -> %u", a->name, a->mtu, r->MtuSize);
            __atomic_store_n(&a->mtu, r->MtuSize, __ATOMIC_RELAXED);
        }
        TAKE(MtuSize);
        TAKE(MaxXmitLinkSpeed);
        TAKE(MaxRcvLinkSpeed);
        TAKE(LookaheadSize);
        TAKE(MacOptions);
        TAKE(SupportedPacketFilters);
        TAKE(MaxMulticastListSize);
        TAKE(AccessType);
        TAKE(ConnectionType);
        TAKE(SupportedStatistics);
        TAKE(DataBackFillSize);
        TAKE(ContextBackFillSize);
    }
}

#undef TAKE

static void attributes_free(NDIS_RESTART_ATTRIBUTES *list, NDIS_RESTART_ATTRIBUTES *ours)
{
    while (list) {
        NDIS_RESTART_ATTRIBUTES *next = list->Next;
        if (list != ours)
            NdisFreeMemory(list, 0, 0);
        list = next;
    }
    plat_free(ours);
}

/* ---- restart
 * ---------------------------------------------------------------------------------------------- */

static void restart_binding(struct ndis_binding *b, NDIS_RESTART_ATTRIBUTES *list)
{
    struct ndis_adapter *a = b->adapter;
    NDIS_PROTOCOL_RESTART_PARAMETERS params = {
        .Header = {NDIS_OBJECT_TYPE_PROTOCOL_RESTART_PARAMETERS,
                   NDIS_PROTOCOL_RESTART_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_PROTOCOL_RESTART_PARAMETERS_REVISION_1},
        .RestartAttributes = list,
        .BoundIfIndex = a->ifindex,
        .BoundIfNetluid = a->luid,
    };
    NDIS_STATUS status;

    ndis__binding_set_state(b, NDIS_BINDING_RESTARTING);
    ndis__gate_open(&b->tx_gate);
    /* NULL buffer: attributes unchanged (IM-PST-02). */
    status = ndis__event_send(b->protocol, b, NetEventRestart, list ? &params : NULL,
                              list ? sizeof params : 0);
    if (status == NDIS_STATUS_SUCCESS) {
        ndis__binding_set_state(b, NDIS_BINDING_RUNNING);
        return;
    }
    ndis__gate_close(&b->tx_gate);
    ndis__out_wait(&b->tx_out, "sends of a binding that failed to restart");
    ndis__binding_set_state(b, NDIS_BINDING_PAUSED);
}

static NDIS_STATUS restart_miniport(struct ndis_adapter *a, NDIS_RESTART_ATTRIBUTES **list)
{
    NDIS_MINIPORT_RESTART_PARAMETERS params = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_MINIPORT_RESTART_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_MINIPORT_RESTART_PARAMETERS_REVISION_1},
        .RestartAttributes = *list,
    };
    struct ndis_frame frame;
    NDIS_STATUS status;

    ndis__completion_init(&a->restart_done);
    a->restart_pending = true;
    ndis__frame_enter(&frame, NDIS_FRAME_MINIPORT, a, NULL, "MiniportRestart");
    status = a->driver->chars.RestartHandler(a->context, &params);
    ndis__frame_leave(&frame);
    if (status == NDIS_STATUS_PENDING)
        status = ndis__completion_wait(&a->restart_done, "NdisMRestartComplete");
    else if (a->restart_done.done)
        umn__report("ST-06", 0x1f, "miniport %s completed a restart that it did not pend",
                    a->driver->service);
    umn__lock(&ndis.lock);
    a->restart_pending = false;
    umn__unlock(&ndis.lock);
    *list = params.RestartAttributes; /* the driver may have put entries in front */
    return status;
}

NDIS_STATUS ndis__stack_restart(struct ndis_adapter *a)
{
    NDIS_RESTART_ATTRIBUTES *ours, *list;
    NDIS_STATUS status;

    if (a->state != NDIS_ADAPTER_PAUSED)
        return NDIS_STATUS_SUCCESS;
    list = ours = attributes_new(a); /* without memory: NULL, change nothing */
    ndis__adapter_set_state(a, NDIS_ADAPTER_RESTARTING);
    status = ndis__dp_adapter_run(a);
    if (status == NDIS_STATUS_SUCCESS) {
        status = restart_miniport(a, &list);
        if (status != NDIS_STATUS_SUCCESS) {
            ndis__dp_adapter_stop(a);
            ndis__out_wait(&a->rx_out, "receives of a restart that failed");
        }
    }
    if (status != NDIS_STATUS_SUCCESS) {
        ndis__adapter_set_state(a, NDIS_ADAPTER_PAUSED);
    } else {
        attributes_take(a, list);
        ndis__adapter_set_state(a, NDIS_ADAPTER_RUNNING);
        umn_list_for_each (l, &a->bindings) {
            struct ndis_binding *b = umn_container_of(l, struct ndis_binding, adapter_link);
            if (b->state == NDIS_BINDING_PAUSED && !b->unbind_requested)
                restart_binding(b, list);
        }
    }
    attributes_free(list, ours);
    return status;
}

/* ---- completions by the miniport
 * --------------------------------------------------------------------------- */

/* IM-MST-07: exactly once, and only while one is pending. 0x7C / 0x1F. */
static void complete(struct ndis_adapter *a, struct ndis_completion *c, const bool *pending,
                     NDIS_STATUS status, const char *function)
{
    bool ok;

    umn__point(UMN_OP_ATOMIC, a);
    umn__lock(&ndis.lock);
    ok = *pending;
    umn__unlock(&ndis.lock);
    if (ok)
        ok = ndis__completion_finish(c, status);
    if (!ok)
        umn__report("ILLEGAL_MINIPORT_STATE_TRANSITION", 0x1f,
                    "%s by %s with nothing pending on %s", function, a->driver->service, a->name);
}

/* nf-ndis-ndismpausecomplete.md. <= DISPATCH_LEVEL. */
UMN_EXPORT void NTAPI NdisMPauseComplete(NDIS_HANDLE MiniportAdapterHandle)
{
    struct ndis_adapter *a = MiniportAdapterHandle;

    ndis__entry_ok(UMN_DISPATCH, "NdisMPauseComplete");
    if (ndis__live(a, NDIS_KIND_ADAPTER, "NdisMPauseComplete"))
        complete(a, &a->pause_done, &a->pause_pending, NDIS_STATUS_SUCCESS, "NdisMPauseComplete");
}

/* nf-ndis-ndismrestartcomplete.md. <= DISPATCH_LEVEL. */
UMN_EXPORT void NTAPI NdisMRestartComplete(NDIS_HANDLE MiniportAdapterHandle, NDIS_STATUS Status)
{
    struct ndis_adapter *a = MiniportAdapterHandle;

    ndis__entry_ok(UMN_DISPATCH, "NdisMRestartComplete");
    if (ndis__live(a, NDIS_KIND_ADAPTER, "NdisMRestartComplete"))
        complete(a, &a->restart_done, &a->restart_pending, Status, "NdisMRestartComplete");
}
