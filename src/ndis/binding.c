/* SPDX-License-Identifier: MIT */
/*
 * Owns ndis_binding.state from the end of the open on: close, unbind, what a driver completes. The
 * open itself is bind.c. State under ndis.lock, written inside the adapter's operation; only the
 * last step of a close that pended runs in a worker, while the operation waits for it.
 *
 *               NdisOpenAdapterEx    opened            NetEventRestart        done
 *      UNBOUND -----------------> OPENING ----> PAUSED -------------> RESTARTING ----> RUNNING
 *         ^                          | fails     ^ ^ |                    | fails         |
 * NetEvent
 *         +--------------------------+           | | +--------------------+               | Pause
 *         ^                                      | |                                      v
 *         +--- outstanding == 0 --- CLOSING <----|-+------------------- done ---------- PAUSING
 *                                                NdisCloseAdapterEx
 *
 * Invariants (checked after each transition in debug builds):
 *  B1  Restarting, Running, Pausing only while the adapter is RUNNING or shut down
 *  B2  sends are let in (tx_gate) only in Restarting, Running, Pausing
 *  B3  the handle is live from the end of open until NdisCloseAdapterEx is called (IM-UNB-07)
 *  B4  UNBOUND after Closing: nothing outstanding, no callback will come
 *  B5  one ProtocolCloseAdapterCompleteEx for each close that returned PENDING, none otherwise
 *
 *  Transition              Function                                   Callback
 *  UNBOUND -> OPENING      NdisOpenAdapterEx (bind.c)
 *  OPENING -> PAUSED       opened (bind.c)                            ProtocolOpenAdapterCompleteEx
 *  PAUSED <-> RUNNING      restart_binding, pause_binding (stack.c)   ProtocolNetPnPEvent
 *  PAUSED -> CLOSING       NdisCloseAdapterEx                         (in ProtocolUnbindAdapterEx)
 *  CLOSING -> UNBOUND      finish ProtocolCloseAdapterCompleteEx
 *
 * Conformance: IM-PST-01, IM-BND-10, -13, IM-UNB-01, -02, -03, -06, -07, -11.
 */
#include "ndis/control.h"

static const char *const state_names[] = {"Unbound", "Opening", "Paused", "Restarting",
                                          "Running", "Pausing", "Closing"};

const char *ndis__binding_state_name(enum ndis_binding_state s)
{
    return state_names[s];
}

/* ---- the state
 * ------------------------------------------------------------------------------------- */

static bool legal(enum ndis_binding_state from, enum ndis_binding_state to)
{
    static const unsigned char next[] = {
        [NDIS_BINDING_UNBOUND] = 1 << NDIS_BINDING_OPENING,
        [NDIS_BINDING_OPENING] = 1 << NDIS_BINDING_PAUSED | 1 << NDIS_BINDING_UNBOUND,
        [NDIS_BINDING_PAUSED] = 1 << NDIS_BINDING_RESTARTING | 1 << NDIS_BINDING_CLOSING,
        [NDIS_BINDING_RESTARTING] = 1 << NDIS_BINDING_RUNNING | 1 << NDIS_BINDING_PAUSED,
        [NDIS_BINDING_RUNNING] = 1 << NDIS_BINDING_PAUSING,
        [NDIS_BINDING_PAUSING] = 1 << NDIS_BINDING_PAUSED,
        [NDIS_BINDING_CLOSING] = 1 << NDIS_BINDING_UNBOUND,
    };
    return next[from] & 1 << to;
}

static void check(const struct ndis_binding *b)
{
#ifdef UMN_DEBUG
    const bool moving = b->state >= NDIS_BINDING_RESTARTING && b->state <= NDIS_BINDING_PAUSING;
    const enum ndis_adapter_state as = b->adapter->state;

    if (moving && as != NDIS_ADAPTER_RUNNING && as != NDIS_ADAPTER_SHUTDOWN)
        umn__report("SELF-B1", 0, "our bug: a binding of %s is %s over %s", b->protocol->service,
                    state_names[b->state], ndis__adapter_state_name(as));
    if (b->state == NDIS_BINDING_PAUSED && b->tx_gate.open)
        umn__report("SELF-B2", 0, "our bug: a paused binding of %s lets sends in",
                    b->protocol->service);
    if (b->state == NDIS_BINDING_UNBOUND && b->close_called &&
        (b->tx_out.count > 0 || b->rx_out.count > 0 || b->oid_out.count > 0))
        umn__report("SELF-B4", 0, "our bug: a closed binding of %s has something outstanding",
                    b->protocol->service);
#endif
}

void ndis__binding_set_state(struct ndis_binding *b, enum ndis_binding_state state)
{
    enum ndis_binding_state old;

    umn__lock(&ndis.lock);
    old = b->state;
    __atomic_store_n(&b->state, state, __ATOMIC_RELEASE);
    check(b);
    umn__unlock(&ndis.lock);
    umn__trace("binding.state", "%s/%s %s -> %s", b->protocol->service, b->adapter->name,
               state_names[old], state_names[state]);
    if (!legal(old, state))
        umn__report("SELF-B0", 0, "our bug: a binding of %s went from %s to %s",
                    b->protocol->service, state_names[old], state_names[state]);
}

struct ndis_binding *ndis__binding_of(struct ndis_protocol *p, struct ndis_adapter *a)
{
    umn_list_for_each (l, &a->bindings) {
        struct ndis_binding *b = umn_container_of(l, struct ndis_binding, adapter_link);
        if (b->protocol == p)
            return b;
    }
    return NULL;
}

/* ---- the end of a close
 * ------------------------------------------------------------------------------ */

static bool none(const struct ndis_outstanding *o)
{
    return __atomic_load_n(&o->count, __ATOMIC_SEQ_CST) <= 0;
}

bool ndis__binding_quiet(const struct ndis_binding *b)
{
    return none(&b->tx_out) && none(&b->rx_out) && none(&b->oid_out) && none(&b->call_out);
}

/* CLOSING -> UNBOUND, by whoever claimed it. Drops the reference of the lists. */
static void finish(struct ndis_binding *b, bool pended)
{
    struct ndis_frame frame;

    ndis__binding_set_state(b, NDIS_BINDING_UNBOUND);
    umn__lock(&ndis.lock);
    b->close_finished = 1;
    umn_list_remove(&b->adapter_link);
    umn_list_remove(&b->protocol_link);
    umn__unlock(&ndis.lock);
    if (pended) {
        ndis__frame_enter(&frame, NDIS_FRAME_PROTOCOL, b->protocol, NULL,
                          "ProtocolCloseAdapterCompleteEx");
        b->protocol->chars.CloseAdapterCompleteHandlerEx(b->context);
        ndis__frame_leave(&frame);
    }
    ndis__completion_finish(&b->close_done, NDIS_STATUS_SUCCESS);
    ndis__binding_put(b);
}

/* Under the lock, as status.c counts a callback in: none begins once the end is claimed. */
static bool claim(struct ndis_binding *b)
{
    bool mine;

    umn__lock(&ndis.lock);
    mine = !b->close_claimed && ndis__binding_quiet(b);
    if (mine)
        __atomic_store_n(&b->close_claimed, 1, __ATOMIC_SEQ_CST);
    umn__unlock(&ndis.lock);
    return mine;
}

static void close_work(struct umn_work *work)
{
    struct ndis_binding *b = umn_container_of(work, struct ndis_binding, close_work);

    /* The flag first, then the counts: a count that reaches zero in between queues again. */
    __atomic_store_n(&b->close_queued, 0, __ATOMIC_SEQ_CST);
    if (claim(b))
        finish(b, true);
    ndis__binding_put(b);
}

/* Something of a binding has run out. Queues the rest of a pended close once all has. Any IRQL up
 * to DISPATCH_LEVEL; the caller may be the one that brings the last reference down, so none is
 * dropped here. */
static void idle(struct ndis_binding *b)
{
    if (!__atomic_load_n(&b->close_pending, __ATOMIC_SEQ_CST) || !ndis__binding_quiet(b) ||
        __atomic_load_n(&b->close_claimed, __ATOMIC_SEQ_CST) ||
        __atomic_exchange_n(&b->close_queued, 1, __ATOMIC_SEQ_CST))
        return;
    umn__lock(&ndis.lock);
    ndis__binding_get(b);
    umn__unlock(&ndis.lock);
    umn__work_queue(&b->close_work);
}

static void tx_idle(struct ndis_outstanding *o)
{
    idle(umn_container_of(o, struct ndis_binding, tx_out));
}
static void rx_idle(struct ndis_outstanding *o)
{
    idle(umn_container_of(o, struct ndis_binding, rx_out));
}
static void oid_idle(struct ndis_outstanding *o)
{
    idle(umn_container_of(o, struct ndis_binding, oid_out));
}
static void call_idle(struct ndis_outstanding *o)
{
    idle(umn_container_of(o, struct ndis_binding, call_out));
}

void ndis__binding_hooks(struct ndis_binding *b)
{
    b->close_work.run = close_work;
    b->tx_out.on_zero = tx_idle;
    b->rx_out.on_zero = rx_idle;
    b->oid_out.on_zero = oid_idle;
    b->call_out.on_zero = call_idle;
}

/* ---- close
 * --------------------------------------------------------------------------------------------- */

/* The handle is dead from here on; NDIS takes back what the binding set in the miniport. */
static void begin_close(struct ndis_binding *b)
{
    umn__lock(&ndis.lock);
    b->close_called = true;
    umn__unlock(&ndis.lock);
    ndis__object_dead(&b->obj);
    ndis__binding_set_state(b, NDIS_BINDING_CLOSING);
    ndis__gate_close(&b->tx_gate);
    ndis__filter_binding_gone(b);
}

/* What the driver left open. Waits for what is outstanding; no callback. */
void ndis__binding_force_close(struct ndis_binding *b, const char *why)
{
    umn__report("IM-UNB-03", 0, "protocol %s left its binding to %s open %s", b->protocol->service,
                b->adapter->name, why);
    begin_close(b);
    ndis__out_wait(&b->tx_out, "sends of a binding left open");
    ndis__out_wait(&b->oid_out, "requests of a binding left open");
    ndis__out_wait(&b->rx_out, "receives of a binding left open");
    ndis__out_wait(&b->call_out, "callbacks of a binding left open");
    if (claim(b))
        finish(b, false);
}

/* IM-UNB-03, ST-10: only while ProtocolBindAdapterEx runs in this context, or during an unbind. */
static bool close_allowed(struct ndis_binding *b)
{
    bool ok;

    umn__lock(&ndis.lock);
    ok = b->unbinding ||
         (b->bind_op && b->bind_op->in_callback && b->bind_op->ctx == umn__ctx_self());
    ok = ok && !b->close_called && b->state == NDIS_BINDING_PAUSED;
    umn__unlock(&ndis.lock);
    return ok;
}

/*
 * nf-ndis-ndiscloseadapterex.md; IM-UNB-03, -05, -06, -07. PASSIVE_LEVEL, in bind or unbind.
 * SUCCESS: closed. PENDING: sends, requests or receives of the binding are outstanding, and
 * ProtocolCloseAdapterCompleteEx follows once they are done. FAILURE: stale handle or wrong context
 * (reported); the binding stays as it is. The handle is dead from the call on.
 */
UMN_EXPORT NDIS_STATUS NTAPI NdisCloseAdapterEx(NDIS_HANDLE NdisBindingHandle)
{
    struct ndis_binding *b = NdisBindingHandle;

    ndis__entry_ok(UMN_PASSIVE, "NdisCloseAdapterEx");
    if (!ndis__live(b, NDIS_KIND_BINDING, "NdisCloseAdapterEx"))
        return NDIS_STATUS_FAILURE;
    if (!close_allowed(b)) {
        umn__report("IM-UNB-03", 0, "protocol %s closes its binding to %s outside bind and unbind",
                    b->protocol->service, b->adapter->name);
        return NDIS_STATUS_FAILURE;
    }
    if (!none(&b->tx_out) || !none(&b->oid_out))
        umn__report("ST-07", 0, "protocol %s closes with %lld sends and %lld requests outstanding",
                    b->protocol->service, (long long)b->tx_out.count, (long long)b->oid_out.count);
    begin_close(b);
    if (!umn__ndis_settings.async_close && claim(b)) {
        finish(b, false);
        return NDIS_STATUS_SUCCESS;
    }
    umn__trace("binding.close", "%s/%s pends", b->protocol->service, b->adapter->name);
    __atomic_store_n(&b->close_pending, true, __ATOMIC_SEQ_CST);
    idle(b); /* what ran out before close_pending was set */
    return NDIS_STATUS_PENDING;
}

/* ---- unbind
 * ---------------------------------------------------------------------------------------------- */

static void call_unbind(struct ndis_binding *b)
{
    struct ndis_protocol *p = b->protocol;
    struct ndis_frame frame;
    NDIS_STATUS status;

    ndis__completion_init(&b->unbind_done);
    ndis__object_live(&b->unbind, NDIS_KIND_UNBIND);
    ndis__event_unbinding(b);
    umn__trace("binding.unbind", "%s/%s", p->service, b->adapter->name);
    ndis__frame_enter(&frame, NDIS_FRAME_UNBIND, p, b, "ProtocolUnbindAdapterEx");
    status = p->chars.UnbindAdapterHandlerEx(&b->unbind, b->context);
    ndis__frame_leave(&frame);
    if (status == NDIS_STATUS_PENDING)
        ndis__completion_wait(&b->unbind_done, "NdisCompleteUnbindAdapterEx");
    else if (b->unbind_done.done)
        umn__report("ST-09", 0, "protocol %s completed an unbind that it did not pend", p->service);
    ndis__object_dead(&b->unbind);
    if (status != NDIS_STATUS_PENDING && status != NDIS_STATUS_SUCCESS)
        umn__report("ST-18", 0, "ProtocolUnbindAdapterEx of %s returned 0x%08x; it cannot fail",
                    p->service, (unsigned)status);
}

void ndis__unbind(struct ndis_binding *b)
{
    if (b->close_finished)
        return;
    if (!b->close_called)
        call_unbind(b);
    if (!b->close_called) {
        ndis__binding_force_close(b, "after its unbind");
        ndis__im_unbound(b);
        return;
    }
    if (!__atomic_load_n(&b->close_finished, __ATOMIC_ACQUIRE))
        umn__report("ST-09", 0, "protocol %s ended its unbind before the close had completed",
                    b->protocol->service);
    ndis__completion_wait(&b->close_done, "the end of a close");
    ndis__im_unbound(b);
}

void ndis__unbind_pair(struct ndis_binding *b)
{
    struct ndis_adapter *a = b->adapter;

    ndis__op_begin(a, "unbind"); /* b keeps a */
    if (!b->close_finished) {
        ndis__stack_pause(a, NDIS_PAUSE_NDIS_INTERNAL);
        ndis__unbind(b);
        ndis__stack_restart(a);
    }
    ndis__op_end(a);
}

void ndis__unbind_all(struct ndis_adapter *a)
{
    for (;;) {
        struct ndis_binding *b = NULL;

        umn__lock(&ndis.lock);
        if (!umn_list_empty(&a->bindings)) {
            b = umn_container_of(a->bindings.next, struct ndis_binding, adapter_link);
            ndis__binding_get(b);
        }
        umn__unlock(&ndis.lock);
        if (!b)
            return;
        ndis__unbind(b);
        ndis__binding_put(b);
    }
}

/*
 * nf-ndis-ndiscompleteunbindadapterex.md, IM-UNB-02. <= DISPATCH_LEVEL, once for an unbind that
 * returned PENDING; UnbindContext is dead afterwards.
 */
UMN_EXPORT void NTAPI NdisCompleteUnbindAdapterEx(NDIS_HANDLE UnbindContext)
{
    struct ndis_binding *b;

    ndis__entry_ok(UMN_DISPATCH, "NdisCompleteUnbindAdapterEx");
    umn__point(UMN_OP_ATOMIC, UnbindContext);
    if (ndis__kind(UnbindContext) != NDIS_KIND_UNBIND) {
        umn__report("ST-09", 0, "NdisCompleteUnbindAdapterEx for an unbind that is not under way");
        return;
    }
    b = umn_container_of((struct ndis_object *)UnbindContext, struct ndis_binding, unbind);
    if (!ndis__completion_finish(&b->unbind_done, NDIS_STATUS_SUCCESS))
        umn__report("ST-09", 0, "protocol %s completes an unbind twice", b->protocol->service);
}

static void unbind_job(void *arg)
{
    struct ndis_binding *b = arg;

    ndis__unbind_pair(b);
    ndis__binding_put(b);
}

/*
 * nf-ndis-ndisunbindadapter.md, IM-UNB-11: schedules the unbind and returns. <= DISPATCH_LEVEL.
 * SUCCESS also if the binding is being unbound already; RESOURCES: nothing was scheduled.
 */
UMN_EXPORT NDIS_STATUS NTAPI NdisUnbindAdapter(NDIS_HANDLE NdisBindingHandle)
{
    struct ndis_binding *b = NdisBindingHandle;
    bool first;

    ndis__entry_ok(UMN_DISPATCH, "NdisUnbindAdapter");
    if (!ndis__live(b, NDIS_KIND_BINDING, "NdisUnbindAdapter"))
        return NDIS_STATUS_SUCCESS;
    umn__lock(&ndis.lock);
    first = !b->unbind_requested && !b->unbinding && !b->close_called;
    if (first) {
        b->unbind_requested = true;
        ndis__binding_get(b);
    }
    umn__unlock(&ndis.lock);
    if (!first)
        return NDIS_STATUS_SUCCESS;
    umn__trace("binding.request", "%s/%s asks to be unbound", b->protocol->service,
               b->adapter->name);
    if (ndis__job(unbind_job, b, "ndis unbind"))
        return NDIS_STATUS_SUCCESS;
    b->unbind_requested = false;
    ndis__binding_put(b);
    return NDIS_STATUS_RESOURCES;
}
