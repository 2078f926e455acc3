/* SPDX-License-Identifier: MIT */
/*
 * Frames (which callback runs in which context), wait queues on ndis.lock, jobs in threads of their
 * own, and the checks at the entry of a control function. Guarded by ndis.lock.
 */
#include "ndis/control.h"

/* ---- frames
 * -------------------------------------------------------------------------------------- */

void ndis__frame_enter(struct ndis_frame *f, enum ndis_frame_kind kind, const void *object,
                       const void *binding, const char *name)
{
    *f = (struct ndis_frame){
        .ctx = umn__ctx_self(),
        .kind = kind,
        .object = object,
        .binding = binding,
        .name = name,
        .irql = umn__irql(),
        .locks = umn__locks_held(),
    };
    umn__point(UMN_OP_CALLBACK, object);
    umn__lock(&ndis.lock);
    umn_list_add_head(&ndis.frames, &f->link);
    umn__unlock(&ndis.lock);
}

void ndis__frame_leave(struct ndis_frame *f)
{
    uint8_t irql = umn__irql();

    umn__lock(&ndis.lock);
    umn_list_remove(&f->link);
    umn__unlock(&ndis.lock);
    if (umn__locks_held() != f->locks)
        umn__report("SpinLockBalanced", 0, "%s returned with %u spin locks held, %u at its call",
                    f->name, umn__locks_held(), f->locks);
    if (irql != f->irql) {
        umn__report("IrqlReturn", 0x2001d, "%s returned at IRQL %u, was called at %u", f->name,
                    irql, f->irql);
        if (irql > f->irql)
            umn__irql_lower(f->irql);
        else
            umn__irql_raise(f->irql);
    }
}

bool ndis__frame_inside(enum ndis_frame_kind kind, const void *object)
{
    struct umn_ctx *self = umn__ctx_self();
    bool found = false;

    umn__lock(&ndis.lock);
    umn_list_for_each (l, &ndis.frames) {
        const struct ndis_frame *f = umn_container_of(l, struct ndis_frame, link);
        if (f->ctx == self && f->kind == kind && (!object || f->object == object)) {
            found = true;
            break;
        }
    }
    umn__unlock(&ndis.lock);
    return found;
}

const void *ndis__frame_object(enum ndis_frame_kind kind)
{
    struct umn_ctx *self = umn__ctx_self();
    const void *object = NULL;

    umn__lock(&ndis.lock);
    umn_list_for_each (l, &ndis.frames) {
        const struct ndis_frame *f = umn_container_of(l, struct ndis_frame, link);
        if (f->ctx == self && f->kind == kind) {
            object = f->object;
            break;
        }
    }
    umn__unlock(&ndis.lock);
    return object;
}

bool ndis__frame_event_bound(const struct ndis_protocol *p)
{
    struct umn_ctx *self = umn__ctx_self();
    bool found = false;

    umn__lock(&ndis.lock);
    umn_list_for_each (l, &ndis.frames) {
        const struct ndis_frame *f = umn_container_of(l, struct ndis_frame, link);
        found |= f->ctx == self && f->kind == NDIS_FRAME_EVENT && f->object == p && f->binding;
    }
    umn__unlock(&ndis.lock);
    return found;
}

/* What the innermost ProtocolBindAdapterEx of this context and protocol is binding. Lock held. */
const struct ndis_bind_op *ndis__frame_bind_op(const struct ndis_protocol *p)
{
    struct umn_ctx *self = umn__ctx_self();

    umn_list_for_each (l, &ndis.frames) {
        const struct ndis_frame *f = umn_container_of(l, struct ndis_frame, link);
        if (f->ctx == self && f->kind == NDIS_FRAME_BIND && f->object == p)
            return f->binding;
    }
    return NULL;
}

unsigned ndis__frame_count(const void *object)
{
    struct umn_ctx *self = umn__ctx_self();
    unsigned n = 0;

    umn_list_for_each (l, &ndis.frames) {
        const struct ndis_frame *f = umn_container_of(l, struct ndis_frame, link);
        n += f->ctx == self && f->object == object;
    }
    return n;
}

const struct ndis_frame *ndis__frame_of_self(void)
{
    struct umn_ctx *self = umn__ctx_self();
    const struct ndis_frame *found = NULL;

    umn__lock(&ndis.lock);
    umn_list_for_each (l, &ndis.frames) {
        const struct ndis_frame *f = umn_container_of(l, struct ndis_frame, link);
        if (f->ctx == self) {
            found = f; /* lies on our own stack: stays */
            break;
        }
    }
    umn__unlock(&ndis.lock);
    return found;
}

/* ---- waits
 * ---------------------------------------------------------------------------------------- */

void ndis__wait_unlock(struct umn_list *waiters, const char *why, const void *object)
{
    struct ndis_waiter w = {.ctx = umn__ctx_self()};

    umn_list_add_tail(waiters, &w.link);
    while (!w.woken) {
        umn__unlock(&ndis.lock);
        umn__park(UMN_FOREVER, why, object);
        umn__lock(&ndis.lock);
    }
    umn__unlock(&ndis.lock);
}

void ndis__wake_one(struct ndis_waiter *w)
{
    umn_list_remove(&w->link);
    w->woken = 1;
    umn__unpark(w->ctx); /* under the lock: w lies on the waiter's stack */
}

void ndis__wake_unlock(struct umn_list *waiters)
{
    umn_list_for_each (l, waiters)
        ndis__wake_one(umn_container_of(l, struct ndis_waiter, link));
    umn__unlock(&ndis.lock);
}

/* ---- jobs
 * ------------------------------------------------------------------------------------------ */

struct job {
    struct umn_work work;
    void (*fn)(void *);
    void *arg;
    const char *name;
};

static void job_main(void *p)
{
    struct job *j = p;

    j->fn(j->arg);
    plat_free(j);
}

/* A job may wait long for an operation, and a worker that waits could keep the very work item from
 * running that the operation waits for: hence a thread of its own. */
static void job_start(struct umn_work *work)
{
    struct job *j = umn_container_of(work, struct job, work);

    if (umn__ctx_spawn(NULL, job_main, j, j->name) != 0)
        job_main(j);
}

bool ndis__job(void (*fn)(void *), void *arg, const char *name)
{
    struct job *j = plat_alloc(sizeof *j);

    if (!j)
        return false;
    *j = (struct job){.work = {.run = job_start}, .fn = fn, .arg = arg, .name = name};
    umn__work_queue(&j->work);
    return true;
}

/* ---- checks
 * ----------------------------------------------------------------------------------------- */

bool ndis__entry_ok(uint8_t max, const char *function)
{
    bool ok = umn__check_irql(max, function);

    if (umn__locks_held() > 0)
        umn__report("IM-SYN-02", 0, "%s was called with %u spin locks held", function,
                    umn__locks_held());
    return ok;
}

NDIS_STATUS ndis__header_check(const NDIS_OBJECT_HEADER *h, unsigned type, unsigned revision,
                               size_t size, const char *function)
{
    if (!h || h->Type != type) {
        umn__report("INVALID_OBJECT_HEADER", 0x21,
                    "%s was given an object of type 0x%02x, not 0x%02x", function, h ? h->Type : 0,
                    type);
        return NDIS_STATUS_INVALID_PARAMETER;
    }
    if (h->Revision < revision)
        return NDIS_STATUS_BAD_VERSION;
    if (h->Size < size) {
        umn__report("INVALID_OBJECT_HEADER", 0x21, "%s was given a header of size %u, needs %zu",
                    function, h->Size, size);
        return NDIS_STATUS_INVALID_PARAMETER;
    }
    return NDIS_STATUS_SUCCESS;
}
