/* SPDX-License-Identifier: MIT */
/*
 * Rundown gates, counters of outstanding things, one-shot completions: how the control path waits
 * for the data path. Entering, leaving, adding and finishing run at <= DISPATCH_LEVEL without a
 * lock; closing and waiting run at PASSIVE_LEVEL and park.
 *
 * One pattern serves all three: the waiter publishes itself, then looks at the condition; the other
 * side changes the condition, then looks for a waiter. Both orders are sequentially consistent, so
 * one of the two sees the other. (Gates share that fence unevenly: enter and leave pay nothing, a
 * closer fences all threads, umn__fence_heavy.) `waiters` (leaf) covers only the rare part, waking
 * and ceasing to wait, so that a context is never woken after it has gone its way and perhaps
 * ended.
 */
#include <assert.h>
#include <string.h>
#include "ndis/internal.h"

static struct umn_mutex waiters;
struct ndis_cpu ndis__cpu[64];

/* Who closes a gate now: few at any time, so the gate itself, which every receive reads, has no
 * room for them. On the closers' stacks; under `waiters`, but for the look whether there are any.
 */
static struct closer {
    struct closer *next;
    const struct ndis_gate *gate;
    struct umn_ctx *ctx;
} * closers;

static void set_waiter(struct umn_ctx **waiter, struct umn_ctx *ctx)
{
    umn__lock(&waiters);
    __atomic_store_n(waiter, ctx, __ATOMIC_SEQ_CST);
    umn__unlock(&waiters);
}

static void wake(struct umn_ctx **waiter)
{
    struct umn_ctx *ctx;

    if (__builtin_expect(!__atomic_load_n(waiter, __ATOMIC_SEQ_CST), 1))
        return;
    umn__lock(&waiters);
    ctx = *waiter;
    if (ctx)
        umn__unpark(ctx);
    umn__unlock(&waiters);
}

/* ---- gates --------------------------------------------------------------------------------------
 */

int ndis__gate_init(struct ndis_gate *g)
{
    *g = (struct ndis_gate){0};
    return 0;
}

static bool gate_empty(const struct ndis_gate *g)
{
    if (__atomic_load_n(&g->inside, __ATOMIC_SEQ_CST) != 0)
        return false;
    for (unsigned cpu = 0; cpu < umn__cpu_count(); cpu++)
        for (unsigned i = 0; i < NDIS_CPU_CALLS; i++)
            if (__atomic_load_n(&ndis__cpu[cpu].call[i], __ATOMIC_ACQUIRE) == g)
                return false;
    return true;
}

/* ndis__gate_enter for those without a vCPU of their own. */
bool NTAPI ndis__gate_enter_shared(struct ndis_gate *g, unsigned *slot)
{
    __atomic_fetch_add(&g->inside, 1, __ATOMIC_SEQ_CST);
    if (__builtin_expect(!__atomic_load_n(&g->open, __ATOMIC_SEQ_CST), 0)) {
        ndis__gate_leave_shared(g);
        return false;
    }
    *slot = NDIS_GATE_SHARED;
    return true;
}

void NTAPI ndis__gate_leave_shared(struct ndis_gate *g)
{
    __atomic_fetch_sub(&g->inside, 1, __ATOMIC_SEQ_CST);
    if (__builtin_expect(!__atomic_load_n(&g->open, __ATOMIC_SEQ_CST), 0))
        ndis__gate_wake(g);
}

void NTAPI ndis__gate_wake(struct ndis_gate *g)
{
    if (!__atomic_load_n(&closers, __ATOMIC_SEQ_CST))
        return;
    umn__lock(&waiters);
    for (struct closer *c = closers; c; c = c->next)
        if (c->gate == g)
            umn__unpark(c->ctx);
    umn__unlock(&waiters);
}

void ndis__gate_open(struct ndis_gate *g)
{
    __atomic_store_n(&g->open, 1, __ATOMIC_SEQ_CST);
}

void ndis__gate_shut(struct ndis_gate *g)
{
    __atomic_store_n(&g->open, 0, __ATOMIC_SEQ_CST);
}

void ndis__gate_close(struct ndis_gate *g)
{
    struct closer c = {.gate = g, .ctx = umn__ctx_self()}, **p;

    ndis__gate_shut(g);
    umn__lock(&waiters);
    c.next = closers;
    __atomic_store_n(&closers, &c, __ATOMIC_SEQ_CST);
    umn__unlock(&waiters);
    umn__fence_heavy(); /* pairs with enter and leave */
    while (!gate_empty(g))
        umn__park(UMN_FOREVER, "calls inside a closing gate", g);
    umn__lock(&waiters);
    for (p = &closers; *p != &c; p = &(*p)->next)
        ;
    __atomic_store_n(p, c.next, __ATOMIC_SEQ_CST);
    umn__unlock(&waiters);
}

void ndis__dp_start(void)
{
    memset(ndis__cpu, 0, sizeof ndis__cpu);
    closers = NULL;
}

/* ---- outstanding
 * --------------------------------------------------------------------------------- */

void NTAPI ndis__out_gone(struct ndis_outstanding *o, int64_t left)
{
    assert(left >= 0 && "more came back than went out");
    if (left != 0)
        return;
    wake(&o->waiter);
    if (o->on_zero)
        o->on_zero(o);
}

void ndis__out_wait(struct ndis_outstanding *o, const char *why)
{
    set_waiter(&o->waiter, umn__ctx_self());
    while (__atomic_load_n(&o->count, __ATOMIC_SEQ_CST) > 0)
        umn__park(UMN_FOREVER, why, o);
    set_waiter(&o->waiter, NULL);
}

/* ---- completions
 * ----------------------------------------------------------------------------------- */

void ndis__completion_init(struct ndis_completion *c)
{
    *c = (struct ndis_completion){0};
}

bool ndis__completion_finish(struct ndis_completion *c, NDIS_STATUS status)
{
    struct umn_ctx *waiter = NULL;
    bool first;

    umn__lock(&c->lock);
    first = !c->done;
    if (first) {
        c->done = true;
        c->status = status;
        /* Woken under the lock: the waiter may free the completion as soon as it sees done. */
        waiter = c->waiter;
        if (waiter)
            umn__unpark(waiter);
    }
    umn__unlock(&c->lock);
    return first;
}

NDIS_STATUS ndis__completion_wait(struct ndis_completion *c, const char *why)
{
    NDIS_STATUS status;
    bool done;

    for (;;) {
        umn__lock(&c->lock);
        done = c->done;
        status = c->status;
        c->waiter = done ? NULL : umn__ctx_self();
        umn__unlock(&c->lock);
        if (done)
            return status;
        umn__park(UMN_FOREVER, why, c);
    }
}
