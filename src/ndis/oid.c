/* SPDX-License-Identifier: MIT */
/*
 * OID requests: the queue of each adapter (struct ndis_oid_queue, lock `queue.lock`, leaf).
 * Requests come at <= DISPATCH_LEVEL; MiniportOidRequest is called at PASSIVE_LEVEL, in the
 * originator's context if the queue is idle and that context is at PASSIVE_LEVEL, else in a worker
 * (IM-OID-01).
 *
 * Invariants:
 *  O1  at most one request is with the miniport (`running`), and none is given to it while its
 * handler has not returned from the one before (`calling`) IM-OID-02 O2  an item is waiting,
 * running, or done; it is done once, by whoever takes it out under the lock O3  a done request is
 * the originator's again: nobody touches it after its completion callback O4  work_queued exactly
 * while the worker owes a look at the queue
 *
 *   NdisOidRequest -- answered by NDIS ------------------------------------------> status
 *        |-- queue idle, PASSIVE --> calling --- handler's status ---------------> status
 *        `-- else waiting --(worker)--> calling -- PENDING --> running --(complete)--> callback
 *                `-- cancel, timeout, drain ------------------------------------> callback
 */
#include "ndis/control.h"
#include "ndis/data.h"
#include "ndis/oid.h"

/* ---- timeouts
 * ------------------------------------------------------------------------------------ */

/* Two references: the timer's, until its DPC has run or is known not to run, and the item's. */
struct ndis_oid_timeout {
    KTIMER timer;
    KDPC dpc;
    struct ndis_adapter *adapter;
    uint32_t refs;
};

static KDEFERRED_ROUTINE timeout_fired;

static void timeout_put(struct ndis_oid_timeout *t)
{
    if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) == 0)
        plat_free(t);
}

static bool timeout_start(struct ndis_oid_item *item)
{
    struct ndis_oid_timeout *t;
    LARGE_INTEGER due;

    item->timeout = NULL;
    if (item->request->Timeout == NDIS_OID_REQUEST_TIMEOUT_INFINITE)
        return true;
    t = plat_alloc(sizeof(*t));
    if (!t)
        return false;
    t->adapter = item->adapter;
    t->refs = 2;
    item->timeout = t;
    KeInitializeTimer(&t->timer);
    KeInitializeDpc(&t->dpc, timeout_fired, t);
    due.QuadPart = -10000000ll * item->request->Timeout;
    KeSetTimer(&t->timer, due, &t->dpc);
    return true;
}

static void timeout_end(struct ndis_oid_item *item)
{
    struct ndis_oid_timeout *t = item->timeout;

    if (!t)
        return;
    item->timeout = NULL;
    if (KeCancelTimer(&t->timer))
        timeout_put(t);
    timeout_put(t);
}

/* ---- the end of a request
 * -------------------------------------------------------------------------- */

/* A result that does not fit the buffer is the miniport's mistake, and no one above may trust it.
 */
static void check_result(struct ndis_oid_item *item, NDIS_STATUS status)
{
    NDIS_OID_REQUEST *r = item->below;
    bool method = r->RequestType == NdisRequestMethod;
    UINT *written =
        method ? &r->DATA.METHOD_INFORMATION.BytesWritten : &r->DATA.QUERY_INFORMATION.BytesWritten;
    UINT size = method ? r->DATA.METHOD_INFORMATION.OutputBufferLength
                       : r->DATA.QUERY_INFORMATION.InformationBufferLength;

    if (status != NDIS_STATUS_SUCCESS || *written <= size)
        return;
    umn__report("OID-03", 0x1d, "%s: %u bytes %s for OID 0x%08x, the buffer has %u",
                item->adapter->driver->service, *written,
                ndis__oid_is_query(r) || method ? "written" : "read", ndis__oid_of(r), size);
    *written = size;
}

/* Out of the queue, no lock. Returns the status; calls the originator if `deliver`. */
static NDIS_STATUS finish(struct ndis_oid_item *item, NDIS_STATUS status, bool deliver)
{
    struct ndis_binding *b = item->binding;
    NDIS_OID_REQUEST *request = item->request;
    struct ndis_oid_own *own = item->own;
    struct ndis_oid_plan *plan = item->plan;

    timeout_end(item);
    if (item->below)
        check_result(item, status);
    if (plan) {
        item->plan = NULL;
        status = plan->finish(item, plan, status);
    }
    umn__trace("oid.done", "a%u %08x status %08x", item->adapter->obj.id, ndis__oid_of(request),
               (unsigned)status);
    if (own) {
        ndis__completion_finish(&own->done, status);
        return status;
    }
    /* Uncounted before the protocol hears of it: it may close the binding then. */
    if (deliver)
        ndis__out_add(&b->call_out, 1);
    ndis__out_sub(&b->oid_out, 1);
    if (deliver) {
        umn__point(UMN_OP_CALLBACK, b);
        b->protocol->chars.OidRequestCompleteHandler(b->context, request, status);
        ndis__out_sub(&b->call_out, 1);
    }
    return status;
}

/* ---- the queue
 * ---------------------------------------------------------------------------------------- */

static void wake_drain(struct ndis_oid_queue *q) /* lock held */
{
    if (q->waiter)
        umn__unpark(q->waiter);
}

/* Sees to it that the next request starts, if one may. */
void ndis__oid_kick(struct ndis_adapter *a)
{
    struct ndis_oid_queue *q = &a->oid;
    bool queue;

    umn__lock(&q->lock);
    queue = !q->running && !q->calling && !q->work_queued && !ndis__peek(a->resetting) &&
            !umn_list_empty(&q->waiting);
    if (queue)
        q->work_queued = true;
    wake_drain(q);
    umn__unlock(&q->lock);
    if (queue)
        umn__work_queue(&q->work);
}

static NDIS_STATUS prepare(struct ndis_oid_item *item)
{
    NDIS_STATUS status;

    item->below = item->request;
    status = ndis__filter_plan(item);
    if (status == NDIS_STATUS_NOT_RECOGNIZED)
        status = ndis__statistics_plan(item);
    if (status == NDIS_STATUS_NOT_RECOGNIZED)
        status = NDIS_STATUS_PENDING;
    if (item->plan)
        item->below = &item->plan->below;
    return status;
}

static bool bad_status(struct ndis_adapter *a, NDIS_STATUS status, const char *where)
{
    if (status != NDIS_STATUS_PENDING)
        return false;
    umn__report("NdisOidComplete", 0x91001,
                "%s: status PENDING completes nothing (adapter %s, IM-OID-04)", where,
                a->name ? a->name : "?");
    return true;
}

/*
 * Gives an item that is `running`, with `calling` set, to the miniport. Returns its status; on
 * PENDING the item may be gone. PASSIVE_LEVEL.
 */
static NDIS_STATUS run(struct ndis_adapter *a, struct ndis_oid_item *item, bool deliver)
{
    struct ndis_oid_queue *q = &a->oid;
    NDIS_STATUS status = prepare(item);
    bool mine;

    if (status == NDIS_STATUS_PENDING) {
        umn__trace("oid.start", "a%u %08x type %d", a->obj.id, ndis__oid_of(item->below),
                   item->below->RequestType);
        umn__point(UMN_OP_CALLBACK, a);
        status = a->driver->chars.OidRequestHandler(a->context, item->below);
    }
    umn__lock(&q->lock);
    q->calling = false;
    mine = q->running == item;
    if (mine && status != NDIS_STATUS_PENDING)
        q->running = NULL;
    umn__unlock(&q->lock);
    if (status != NDIS_STATUS_PENDING && !mine) {
        umn__report("NdisOidDoubleComplete", 0x91002,
                    "MiniportOidRequest of %s completed the request "
                    "and returned 0x%08x as well",
                    a->driver->service, (unsigned)status);
        status = NDIS_STATUS_PENDING;
    }
    if (status != NDIS_STATUS_PENDING)
        status = finish(item, status, deliver);
    ndis__oid_kick(a);
    return status;
}

static void worker(struct umn_work *work)
{
    struct ndis_oid_queue *q = umn_container_of(work, struct ndis_oid_queue, work);
    struct ndis_adapter *a = umn_container_of(q, struct ndis_adapter, oid);
    struct ndis_oid_item *item = NULL;

    umn__lock(&q->lock);
    q->work_queued = false;
    if (!q->running && !q->calling && !ndis__peek(a->resetting) && !umn_list_empty(&q->waiting)) {
        item = umn_container_of(q->waiting.next, struct ndis_oid_item, link);
        umn_list_remove(&item->link);
        q->running = item;
        q->calling = true;
    }
    wake_drain(q);
    umn__unlock(&q->lock);
    if (item)
        run(a, item, true);
}

/* Queues or runs. The caller has counted the item. */
static NDIS_STATUS submit(struct ndis_adapter *a, struct ndis_oid_item *item)
{
    struct ndis_oid_queue *q = &a->oid;
    NDIS_STATUS refuse = NDIS_STATUS_PENDING;
    bool now = false;

    item->adapter = a;
    item->plan = NULL;
    item->below = NULL;
    if (!timeout_start(item))
        return finish(item, NDIS_STATUS_RESOURCES, false);
    umn__lock(&q->lock);
    if (q->refuse) {
        refuse = q->refuse_status;
    } else if (!q->running && !q->calling && umn_list_empty(&q->waiting) &&
               umn__irql() == UMN_PASSIVE) {
        q->running = item;
        q->calling = now = true;
    } else {
        umn_list_add_tail(&q->waiting, &item->link);
    }
    umn__unlock(&q->lock);
    if (refuse != NDIS_STATUS_PENDING)
        return finish(item, refuse, false);
    if (now)
        return run(a, item, false);
    ndis__oid_kick(a);
    return NDIS_STATUS_PENDING;
}

/* ---- what protocols call
 * ------------------------------------------------------------------------------- */

static bool header_ok(const NDIS_OID_REQUEST *r, const char *function)
{
    if (r && r->Header.Type == NDIS_OBJECT_TYPE_OID_REQUEST &&
        r->Header.Revision >= NDIS_OID_REQUEST_REVISION_1 &&
        r->Header.Size >= NDIS_SIZEOF_OID_REQUEST_REVISION_1)
        return true;
    umn__report("OidRequestHeader", 0,
                "%s: the header of the request is not that of an NDIS_OID_REQUEST", function);
    return false;
}

static bool in_queue(struct ndis_oid_queue *q, const struct ndis_oid_item *item)
{
    bool found;

    umn__lock(&q->lock);
    found = q->running == item;
    umn_list_for_each (l, &q->waiting)
        found |= umn_container_of(l, struct ndis_oid_item, link) == item;
    umn__unlock(&q->lock);
    return found;
}

static NDIS_STATUS may_request(struct ndis_binding *b, const NDIS_OID_REQUEST *r,
                               const char *function)
{
    ndis__entry_ok(UMN_DISPATCH, function);
    if (!ndis__quick(b, NDIS_KIND_BINDING, function) ||
        __atomic_load_n(&b->close_called, __ATOMIC_RELAXED))
        return NDIS_STATUS_CLOSING;
    if (!header_ok(r, function))
        return NDIS_STATUS_INVALID_PARAMETER;
    return ndis__peek(b->adapter->resetting) ? NDIS_STATUS_RESET_IN_PROGRESS : NDIS_STATUS_SUCCESS;
}

/*
 * Issues a request to the adapter of a binding. Any status but PENDING is final; PENDING is
 * followed by exactly one ProtocolOidRequestComplete, possibly before this returns. The request and
 * its buffer stay until then. CLOSING: the binding closes; RESET_IN_PROGRESS; RESOURCES: no memory
 * for the timeout; else what NDIS or the miniport says. <= DISPATCH_LEVEL.
 * nf-ndis-ndisoidrequest.md, IM-OID-01, IM-OID-02, IM-OID-03, IM-OID-14
 */
NDIS_STATUS NTAPI NdisOidRequest(NDIS_HANDLE NdisBindingHandle, PNDIS_OID_REQUEST OidRequest)
{
    struct ndis_binding *b = NdisBindingHandle;
    NDIS_STATUS status = may_request(b, OidRequest, "NdisOidRequest");
    struct ndis_oid_item *item;

    if (status != NDIS_STATUS_SUCCESS)
        return status;
    OidRequest->RequestHandle = b;
    if (ndis__oid_answer(b->adapter, b, OidRequest, &status))
        return status;
    item = ndis__oid_item(OidRequest);
    if (unlikely(ndis__verify) && in_queue(&b->adapter->oid, item)) {
        umn__report("OID-05", 0,
                    "NdisOidRequest: protocol %s issues a request that is still pending",
                    b->protocol->service);
        return NDIS_STATUS_FAILURE;
    }
    item->binding = b;
    item->request = OidRequest;
    item->own = NULL;
    ndis__out_add(&b->oid_out, 1);
    return submit(b->adapter, item);
}

static void cancel_below(struct ndis_adapter *a, PVOID id)
{
    if (!a->driver->chars.CancelOidRequestHandler)
        return;
    umn__point(UMN_OP_CALLBACK, a);
    a->driver->chars.CancelOidRequestHandler(a->context, id);
}

/*
 * Cancels the requests of this binding with this id: those that wait end with REQUEST_ABORTED, for
 * the one with the miniport MiniportCancelOidRequest is called. <= DISPATCH_LEVEL.
 * nf-ndis-ndiscanceloidrequest.md, IM-OID-13
 */
void NTAPI NdisCancelOidRequest(NDIS_HANDLE NdisBindingHandle, PVOID RequestId)
{
    struct ndis_binding *b = NdisBindingHandle;
    struct ndis_oid_queue *q;
    struct umn_list done;
    bool running;

    ndis__entry_ok(UMN_DISPATCH, "NdisCancelOidRequest");
    if (!ndis__quick(b, NDIS_KIND_BINDING, "NdisCancelOidRequest"))
        return;
    q = &b->adapter->oid;
    umn_list_init(&done);
    umn__lock(&q->lock);
    umn_list_for_each (l, &q->waiting) {
        struct ndis_oid_item *item = umn_container_of(l, struct ndis_oid_item, link);

        if (item->binding == b && !item->own && item->request->RequestId == RequestId) {
            umn_list_remove(l);
            umn_list_add_tail(&done, l);
        }
    }
    running = q->running && q->running->binding == b && !q->running->own &&
              q->running->request->RequestId == RequestId;
    umn__unlock(&q->lock);
    while (!umn_list_empty(&done)) {
        struct ndis_oid_item *item = umn_container_of(done.next, struct ndis_oid_item, link);

        umn_list_remove(&item->link);
        finish(item, NDIS_STATUS_REQUEST_ABORTED, true);
    }
    if (running)
        cancel_below(b->adapter, RequestId);
}

static void NTAPI timeout_fired(KDPC *dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    struct ndis_oid_timeout *t = context;
    struct ndis_oid_queue *q = &t->adapter->oid;
    struct ndis_oid_item *item = NULL;
    bool running = false;
    PVOID id = NULL;

    umn__lock(&q->lock);
    umn_list_for_each (l, &q->waiting) {
        struct ndis_oid_item *i = umn_container_of(l, struct ndis_oid_item, link);

        if (i->timeout == t)
            item = i;
    }
    if (item) {
        umn_list_remove(&item->link);
    } else if (q->running && q->running->timeout == t) {
        running = true;
        id = q->running->request->RequestId;
    }
    umn__unlock(&q->lock);
    if (item)
        finish(item, NDIS_STATUS_REQUEST_ABORTED, true);
    if (running)
        cancel_below(t->adapter, id);
    timeout_put(t);
}

/* ---- what miniports call
 * ---------------------------------------------------------------------------------- */

/*
 * Completes the request that MiniportOidRequest answered with PENDING, or is about to. Status is
 * not PENDING. <= DISPATCH_LEVEL. nf-ndis-ndismoidrequestcomplete.md, IM-OID-04
 */
void NTAPI NdisMOidRequestComplete(NDIS_HANDLE MiniportAdapterHandle, PNDIS_OID_REQUEST OidRequest,
                                   NDIS_STATUS Status)
{
    struct ndis_adapter *a = MiniportAdapterHandle;
    struct ndis_oid_item *item;
    struct ndis_oid_queue *q;

    ndis__entry_ok(UMN_DISPATCH, "NdisMOidRequestComplete");
    if (!ndis__quick(a, NDIS_KIND_ADAPTER, "NdisMOidRequestComplete"))
        return;
    if (bad_status(a, Status, "NdisMOidRequestComplete"))
        Status = NDIS_STATUS_FAILURE;
    q = &a->oid;
    umn__lock(&q->lock);
    item = q->running;
    if (item && item->below == OidRequest)
        q->running = NULL;
    else
        item = NULL;
    umn__unlock(&q->lock);
    if (!item) {
        umn__report("NdisOidDoubleComplete", 0x91002,
                    "NdisMOidRequestComplete of %s: the request is "
                    "not with the miniport; completed twice?",
                    a->driver->service);
        return;
    }
    finish(item, Status, true);
    ndis__oid_kick(a);
}

/* ---- the control path's side
 * ---------------------------------------------------------------------------------- */

/* New requests get `refuse`, waiting ones too; waits for the one with the miniport, and for the
 * ends of calls into it. PASSIVE_LEVEL. */
void ndis__oid_drain(struct ndis_adapter *a, NDIS_STATUS refuse)
{
    struct ndis_oid_queue *q = &a->oid;
    struct ndis_oid_item *item;
    bool busy;

    for (;;) {
        item = NULL;
        umn__lock(&q->lock);
        q->refuse = true;
        q->refuse_status = refuse;
        if (!umn_list_empty(&q->waiting)) {
            item = umn_container_of(q->waiting.next, struct ndis_oid_item, link);
            umn_list_remove(&item->link);
        }
        busy = q->running || q->calling || q->work_queued;
        q->waiter = busy ? umn__ctx_self() : NULL;
        umn__unlock(&q->lock);
        if (item)
            finish(item, refuse, true);
        else if (busy)
            umn__park(UMN_FOREVER, "the OID request with the miniport", q);
        else
            break;
    }
    ndis__out_wait(&a->call_out, "calls into the miniport");
}

void ndis__oid_accept(struct ndis_adapter *a)
{
    umn__lock(&a->oid.lock);
    a->oid.refuse = false;
    umn__unlock(&a->oid.lock);
}

void ndis__oid_binding_closing(struct ndis_binding *b)
{
    ndis__out_wait(&b->oid_out, "OID requests of a closing binding");
}

void ndis__oid_init(struct ndis_adapter *a)
{
    umn_list_init(&a->oid.waiting);
    a->oid.work.run = worker;
    a->oid.refuse = true;
    a->oid.refuse_status = NDIS_STATUS_NOT_ACCEPTED;
}

static void request_fill(NDIS_OID_REQUEST *r, NDIS_REQUEST_TYPE type, NDIS_OID oid, void *buffer,
                         uint32_t length)
{
    *r = (NDIS_OID_REQUEST){0};
    r->Header.Type = NDIS_OBJECT_TYPE_OID_REQUEST;
    r->Header.Revision = NDIS_OID_REQUEST_REVISION_1;
    r->Header.Size = NDIS_SIZEOF_OID_REQUEST_REVISION_1;
    r->RequestType = type;
    r->DATA.QUERY_INFORMATION.Oid = oid;
    r->DATA.QUERY_INFORMATION.InformationBuffer = buffer;
    r->DATA.QUERY_INFORMATION.InformationBufferLength = length; /* method: InputBufferLength */
    if (type == NdisRequestMethod)
        r->DATA.METHOD_INFORMATION.OutputBufferLength = length;
}

/* *length in: size of the buffer; out: bytes written (query, method) or read (set). */
NDIS_STATUS ndis__oid_issue(struct ndis_adapter *a, struct ndis_binding *b, NDIS_REQUEST_TYPE type,
                            NDIS_OID oid, void *buffer, uint32_t *length)
{
    struct ndis_oid_own own;
    struct ndis_oid_item *item = ndis__oid_item(&own.request);
    NDIS_STATUS status;

    ndis__completion_init(&own.done);
    request_fill(&own.request, type, oid, buffer, *length);
    if (!ndis__oid_answer(a, b, &own.request, &status)) {
        item->binding = b;
        item->request = &own.request;
        item->own = &own;
        submit(a, item);
        status = ndis__completion_wait(&own.done, "an OID request of NDIS");
    }
    *length = type == NdisRequestMethod ? own.request.DATA.METHOD_INFORMATION.BytesWritten
                                        : own.request.DATA.QUERY_INFORMATION.BytesWritten;
    return status;
}

NDIS_STATUS ndis__oid_own(struct ndis_adapter *a, NDIS_REQUEST_TYPE type, NDIS_OID oid,
                          void *buffer, uint32_t *length)
{
    return ndis__oid_issue(a, NULL, type, oid, buffer, length);
}
