/* SPDX-License-Identifier: MIT */
/*
 * The bind operation: ProtocolBindAdapterEx, NdisOpenAdapterEx inside it, and their completions.
 * PASSIVE_LEVEL, inside the adapter's operation with the adapter Paused (IM-BND-01). A bind
 * operation (BindContext) lives from the callback until the driver has ended the bind; ndis.lock
 * guards the list of them.
 *
 * Conformance: IM-BND-01 to -13, IM-BND-16, IM-PRT-02, questions 2 and 13.
 */
#include "ndis/control.h"

#include <string.h>

/* ---- the operation
 * ---------------------------------------------------------------------------------- */

struct ndis_bind_op *ndis__bind_op_find(NDIS_HANDLE handle)
{
    struct ndis_bind_op *found = NULL;

    umn__lock(&ndis.lock);
    umn_list_for_each (l, &ndis.bind_ops) {
        struct ndis_bind_op *op = umn_container_of(l, struct ndis_bind_op, link);
        if (op == handle || op->parameters == handle) {
            found = op;
            break;
        }
    }
    umn__unlock(&ndis.lock);
    return found;
}

static struct ndis_bind_op *op_new(struct ndis_protocol *p, struct ndis_adapter *a)
{
    struct ndis_bind_op *op = plat_alloc(sizeof *op);

    if (!op)
        return NULL;
    op->protocol = p;
    op->adapter = a;
    op->ctx = umn__ctx_self();
    ndis__completion_init(&op->done);
    if (ndis__bind_params(op) != 0) {
        plat_free(op);
        return NULL;
    }
    ndis__object_live(&op->obj, NDIS_KIND_BIND);
    umn__lock(&ndis.lock);
    umn_list_add_tail(&ndis.bind_ops, &op->link);
    umn__unlock(&ndis.lock);
    return op;
}

static void op_free(struct ndis_bind_op *op)
{
    ndis__object_dead(&op->obj);
    umn__lock(&ndis.lock);
    umn_list_remove(&op->link);
    if (op->binding) {
        op->binding->bind_op = NULL;
        ndis__wake_unlock(&op->binding->event_waiters);
        ndis__binding_put(op->binding);
    } else {
        umn__unlock(&ndis.lock);
    }
    ndis__bind_params_free(op);
    plat_free(op);
}

static NDIS_STATUS call_bind(struct ndis_bind_op *op)
{
    struct ndis_protocol *p = op->protocol;
    struct ndis_frame frame;
    NDIS_STATUS status;

    umn__trace("binding.bind", "%s/%s", p->service, op->adapter->name);
    op->in_callback = true;
    ndis__frame_enter(&frame, NDIS_FRAME_BIND, p, op, "ProtocolBindAdapterEx");
    status = p->chars.BindAdapterHandlerEx(p->context, op, op->parameters);
    ndis__frame_leave(&frame);
    umn__lock(&ndis.lock);
    op->in_callback = false;
    umn__unlock(&ndis.lock);
    if (status == NDIS_STATUS_PENDING)
        status = ndis__completion_wait(&op->done, "NdisCompleteBindAdapterEx");
    else if (op->done.done)
        umn__report("ST-09", 0, "protocol %s completed a bind that it did not pend", p->service);
    umn__trace("binding.bound", "%s/%s 0x%08x", p->service, op->adapter->name, (unsigned)status);
    return status;
}

/* Looks at what the driver left behind when its bind was over. */
static void settle(struct ndis_bind_op *op, NDIS_STATUS status)
{
    struct ndis_binding *b = op->binding;

    if (!b)
        return; /* it did not open: nothing is bound, whatever it returned */
    if (b->open_pending) {
        umn__report("ST-11", 0, "protocol %s ended its bind before the open had completed",
                    op->protocol->service);
        ndis__completion_wait(&b->open_done, "the end of an open");
    }
    if (b->close_called) {
        if (!__atomic_load_n(&b->close_finished, __ATOMIC_ACQUIRE))
            umn__report("ST-09", 0, "protocol %s ended its bind before the close had completed",
                        op->protocol->service);
        ndis__completion_wait(&b->close_done, "the end of a close");
        ndis__im_unbound(b);
    } else if (status != NDIS_STATUS_SUCCESS && !b->unbind_requested) {
        ndis__binding_force_close(b, "after a bind that failed (IM-BND-11)");
        ndis__im_unbound(b);
    }
}

void ndis__bind_one(struct ndis_protocol *p, struct ndis_adapter *a)
{
    struct ndis_bind_op *op;
    bool bound;

    umn__lock(&ndis.lock);
    bound = p->binds_held || ndis__binding_of(p, a) != NULL;
    umn__unlock(&ndis.lock);
    if (bound || !ndis__default_port(a) || !ndis__protocol_wants_adapter(p, a))
        return;
    if (!ndis__protocol_busy(p))
        return;
    op = op_new(p, a);
    if (op) {
        settle(op, call_bind(op));
        op_free(op);
    } else {
        umn__trace("binding.bind", "%s/%s no memory", p->service, a->name);
    }
    ndis__protocol_idle(p);
}

void ndis__bind_all(struct ndis_adapter *a)
{
    struct ndis_protocol *p = NULL;

    while ((p = ndis__protocol_next(p)) != NULL)
        ndis__bind_one(p, a);
}

static bool present(const struct ndis_adapter *a)
{
    const enum ndis_adapter_state s = __atomic_load_n(&a->state, __ATOMIC_ACQUIRE);

    return s != NDIS_ADAPTER_HALTED && s != NDIS_ADAPTER_INITIALIZING && s != NDIS_ADAPTER_SHUTDOWN;
}

/* An adapter that is only initializing binds by itself afterwards and finds the protocol then. */
void ndis__bind_pair(struct ndis_protocol *p, struct ndis_adapter *a)
{
    bool skip;

    umn__lock(&ndis.lock);
    skip = !present(a) || p->binds_held || p->deregistering || ndis__binding_of(p, a) != NULL;
    umn__unlock(&ndis.lock);
    if (skip || !ndis__protocol_wants_adapter(p, a))
        return;
    ndis__op_begin(a, "bind");
    umn__lock(&ndis.lock);
    skip = !present(a) || p->deregistering || ndis__binding_of(p, a) != NULL;
    umn__unlock(&ndis.lock);
    if (!skip && ndis__default_port(a)) {
        ndis__stack_pause(a, NDIS_PAUSE_NDIS_INTERNAL);
        ndis__bind_one(p, a);
        ndis__stack_restart(a);
    }
    ndis__op_end(a);
}

/*
 * nf-ndis-ndiscompletebindadapterex.md, IM-BND-09. <= DISPATCH_LEVEL, once for a bind that returned
 * PENDING.
 */
UMN_EXPORT void NTAPI NdisCompleteBindAdapterEx(NDIS_HANDLE BindAdapterContext, NDIS_STATUS Status)
{
    struct ndis_bind_op *op = BindAdapterContext;

    ndis__entry_ok(UMN_DISPATCH, "NdisCompleteBindAdapterEx");
    umn__point(UMN_OP_ATOMIC, BindAdapterContext);
    if (ndis__kind(BindAdapterContext) != NDIS_KIND_BIND ||
        !ndis__completion_finish(&op->done, Status))
        umn__report("ST-09", 0, "NdisCompleteBindAdapterEx for a bind that is not under way");
}

/* ---- open
 * ---------------------------------------------------------------------------------------------- */

/* OPENING -> PAUSED: from here on requests are taken and statuses come. */
static void opened(struct ndis_binding *b)
{
    ndis__binding_set_state(b, NDIS_BINDING_PAUSED);
    *b->open_index = b->index;
    *b->open_handle = b;
    ndis__object_live(&b->obj, NDIS_KIND_BINDING);
    umn__lock(&ndis.lock);
    b->opened = true;
    umn_list_add_tail(&b->adapter->bindings, &b->adapter_link);
    umn_list_add_tail(&b->protocol->bindings, &b->protocol_link);
    umn__unlock(&ndis.lock);
}

/* The rest of a pended open, in a worker (IM-BND-06, IM-BND-07). */
static void open_work(struct umn_work *work)
{
    struct ndis_binding *b = umn_container_of(work, struct ndis_binding, open_work);
    struct ndis_protocol *p = b->protocol;
    struct ndis_frame frame;

    opened(b);
    umn__lock(&ndis.lock);
    b->open_pending = false;
    umn__unlock(&ndis.lock);
    ndis__frame_enter(&frame, NDIS_FRAME_PROTOCOL, p, NULL, "ProtocolOpenAdapterCompleteEx");
    p->chars.OpenAdapterCompleteHandlerEx(b->context, NDIS_STATUS_SUCCESS);
    ndis__frame_leave(&frame);
    ndis__completion_finish(&b->open_done, NDIS_STATUS_SUCCESS);
    ndis__binding_put(b);
}

static struct ndis_binding *binding_new(struct ndis_bind_op *op, NDIS_HANDLE context)
{
    struct ndis_binding *b = plat_alloc_aligned(64, sizeof *b);

    if (!b)
        return NULL;
    b->grave = ndis__grave_new();
    if (!b->grave)
        goto free_binding;
    b->obj.id = ndis__new_id();
    b->adapter = op->adapter;
    b->protocol = op->protocol;
    b->context = context;
    b->medium = op->adapter->attr.general.MediaType;
    b->refs = 2; /* the lists and the bind operation */
    umn_list_init(&b->adapter_link);
    umn_list_init(&b->protocol_link);
    umn_list_init(&b->event_waiters);
    ndis__completion_init(&b->open_done);
    ndis__completion_init(&b->close_done);
    if (ndis__dp_binding_init(b) != 0)
        goto free_grave;
    ndis__binding_hooks(b);
    b->open_work.run = open_work;
    umn__lock(&ndis.lock);
    ndis__adapter_get(b->adapter);
    ndis__protocol_get(b->protocol);
    umn__unlock(&ndis.lock);
    return b;

free_grave:
    plat_free(b->grave);
free_binding:
    plat_free(b);
    return NULL;
}

/* IM-BND-04: the operation, if the call is made inside its ProtocolBindAdapterEx. */
static struct ndis_bind_op *open_context(NDIS_HANDLE protocol, NDIS_HANDLE context)
{
    struct ndis_bind_op *op = context;
    bool ok;

    if (ndis__kind(protocol) != NDIS_KIND_PROTOCOL || ndis__kind(context) != NDIS_KIND_BIND)
        return NULL;
    umn__lock(&ndis.lock);
    ok = op->protocol == protocol && op->in_callback && op->ctx == umn__ctx_self();
    umn__unlock(&ndis.lock);
    return ok ? op : NULL;
}

static NDIS_STATUS check_open(const struct ndis_bind_op *op, const NDIS_OPEN_PARAMETERS *o,
                              UINT *index)
{
    const NDIS_MEDIUM medium = op->adapter->attr.general.MediaType;
    NDIS_STATUS status;
    char *name;
    bool same;

    if (!o || ndis__header_check(&o->Header, NDIS_OBJECT_TYPE_OPEN_PARAMETERS,
                                 NDIS_OPEN_PARAMETERS_REVISION_1,
                                 NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1, "NdisOpenAdapterEx"))
        return NDIS_STATUS_FAILURE;
    /* Frame types are a hint that we need not take; the header does not say how many are allowed.
     */
    if (!o->SelectedMediumIndex || (o->MediumArraySize && !o->MediumArray))
        return NDIS_STATUS_FAILURE;
    name = ndis__canonical(o->AdapterName, &status);
    if (!name)
        return status == NDIS_STATUS_RESOURCES ? status : NDIS_STATUS_ADAPTER_NOT_FOUND;
    same = strcmp(name, op->adapter->name_node.text) == 0;
    plat_free(name);
    if (!same)
        return NDIS_STATUS_ADAPTER_NOT_FOUND;
    for (*index = 0; *index < o->MediumArraySize; ++*index)
        if (o->MediumArray[*index] == medium)
            return NDIS_STATUS_SUCCESS;
    return NDIS_STATUS_UNSUPPORTED_MEDIA;
}

/*
 * nf-ndis-ndisopenadapterex.md; IM-BND-04 to -08, -10. PASSIVE_LEVEL, inside ProtocolBindAdapterEx,
 * once. SUCCESS: handle and index are written, the binding is Paused. PENDING
 * (settings.async_open): both are written before ProtocolOpenAdapterCompleteEx. RESOURCES;
 * ADAPTER_NOT_FOUND: not the name in the bind parameters; UNSUPPORTED_MEDIA; FAILURE: wrong context
 * (reported) or parameters.
 */
UMN_EXPORT NDIS_STATUS NTAPI NdisOpenAdapterEx(NDIS_HANDLE NdisProtocolHandle,
                                               NDIS_HANDLE ProtocolBindingContext,
                                               PNDIS_OPEN_PARAMETERS OpenParameters,
                                               NDIS_HANDLE BindContext,
                                               PNDIS_HANDLE NdisBindingHandle)
{
    struct ndis_bind_op *op;
    struct ndis_binding *b;
    NDIS_STATUS status;
    UINT index;

    ndis__entry_ok(UMN_PASSIVE, "NdisOpenAdapterEx");
    op = open_context(NdisProtocolHandle, BindContext);
    if (!op || !NdisBindingHandle) {
        umn__report("IM-BND-04", 0,
                    "NdisOpenAdapterEx outside the context of ProtocolBindAdapterEx");
        return NDIS_STATUS_FAILURE;
    }
    if (op->binding) {
        umn__report("INVALID_OPEN_IN_BIND_CONTEXT", 0x16, "protocol %s opens %s twice in one bind",
                    op->protocol->service, op->adapter->name);
        return NDIS_STATUS_FAILURE;
    }
    status = check_open(op, OpenParameters, &index);
    if (status != NDIS_STATUS_SUCCESS)
        return status;
    b = binding_new(op, ProtocolBindingContext);
    if (!b)
        return NDIS_STATUS_RESOURCES;
    b->bind_op = op;
    b->index = index;
    b->open_handle = NdisBindingHandle;
    b->open_index = OpenParameters->SelectedMediumIndex;
    op->binding = b;
    ndis__binding_set_state(b, NDIS_BINDING_OPENING);
    if (!umn__ndis_settings.async_open) {
        opened(b);
        return NDIS_STATUS_SUCCESS;
    }
    umn__lock(&ndis.lock);
    b->open_pending = true;
    ndis__binding_get(b);
    umn__unlock(&ndis.lock);
    umn__work_queue(&b->open_work);
    return NDIS_STATUS_PENDING;
}

/* nf-ndis-ndisimgetbindingcontext.md, IM-VMP-17. < DISPATCH_LEVEL. NULL: none, or no such binding.
 */
UMN_EXPORT NDIS_HANDLE NTAPI NdisIMGetBindingContext(NDIS_HANDLE NdisBindingHandle)
{
    struct ndis_binding *b = NdisBindingHandle;

    ndis__entry_ok(UMN_APC, "NdisIMGetBindingContext");
    if (!ndis__live(b, NDIS_KIND_BINDING, "NdisIMGetBindingContext"))
        return NULL;
    return b->adapter->im_context;
}
