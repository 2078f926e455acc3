/* SPDX-License-Identifier: MIT */
/*
 * What contexts do on the explore back end: IRQL, parking, spin locks, DPCs, timers, work, time.
 * Each operation that others can see has a point before it; calls from outside a run just change
 * the state. Explore's host thread only.
 */
#include "sched/explore.h"

static void point(enum umn_op op, const volatile void *object)
{
    if (umn__x_may_switch())
        umn__x_step(op, object);
}

uint8_t umn__x_raise(uint8_t irql)
{
    struct umn_ctx *self = umn__self;
    if (!self)
        return UMN_PASSIVE;
    uint8_t old = self->irql;
    if (irql >= UMN_DISPATCH && !self->x.bound) {
        /* DPCs queued meanwhile on the vCPU that this context stands on go first. */
        while (umn__x_pending(self->cpu) && umn__x_may_switch()) {
            self->x.hold = true;
            umn__x_step(UMN_OP_IRQL, NULL);
        }
        umn__x_not_ready(self);
        self->x.bound = true;
        umn__x.cpu[self->cpu].bound = self;
    }
    self->irql = irql;
    return old;
}

void umn__x_lower(uint8_t irql)
{
    struct umn_ctx *self = umn__self;
    if (!self)
        return;
    self->irql = irql;
    /* A DPC that lowers breaks a rule; the nt layer says so, the vCPU stays taken. */
    if (irql >= UMN_DISPATCH || !self->x.bound || self->kind == UMN_CTX_DPC)
        return;
    uint64_t seq = self->x.seq;
    umn__x.cpu[self->cpu].bound = NULL;
    self->x.bound = false;
    umn__x_make_ready(self);
    self->x.seq = seq; /* it did not block: its age counts on */
    self->x.hold = umn__x_pending(self->cpu);
    point(UMN_OP_IRQL, NULL);
}

int umn__x_park(uint64_t deadline, const char *why, const void *object)
{
    struct umn_ctx *self = umn__self;
    if (self->permit || deadline <= umn__x.now) {
        bool woken = self->permit;
        self->permit = 0;
        /* A loop that parks until now is polling: let others go first. */
        point(woken ? UMN_OP_PARK : UMN_OP_YIELD, object);
        if (!woken && self->permit) { /* it came in the last moment */
            self->permit = 0;
            woken = true;
        }
        return woken ? 0 : UMN_ETIMEDOUT;
    }
    umn__x_not_ready(self);
    self->x.state = UMN_X_PARKED;
    self->x.deadline = deadline;
    self->x.since = umn__x.now;
    self->x.why = why;
    self->x.object = object;
    self->x.expired = false;
    umn_list_init(&self->x.link);
    if (deadline != UMN_FOREVER) {
        struct umn_list *at = umn__x.deadlines.prev;
        while (at != &umn__x.deadlines &&
               umn_container_of(at, struct umn_ctx, x.link)->x.deadline > deadline)
            at = at->prev;
        umn_list_add_head(at, &self->x.link);
        umn__x_next_event();
    }
    umn__x_step(UMN_OP_PARK, object);
    return self->x.expired ? UMN_ETIMEDOUT : 0;
}

void umn__x_unpark(struct umn_ctx *ctx)
{
    if (ctx->x.state != UMN_X_PARKED) {
        ctx->permit = 1;
        return;
    }
    umn_list_remove(&ctx->x.link);
    umn__x_make_ready(ctx);
    umn__x_next_event();
}

void umn__x_spin_acquire(uint64_t *word)
{
    struct umn_ctx *self = umn__self;
    point(UMN_OP_LOCK, word);
    while (*word && umn__x_may_switch()) {
        umn__x_not_ready(self);
        self->x.state = UMN_X_SPINNING;
        self->x.object = word;
        umn_list_add_tail(&umn__x.spinners, &self->x.link);
        umn__x_step(UMN_OP_LOCK, word);
    }
    *word = (uint64_t)(self ? self->id : 0) << 32 | 1;
}

bool umn__x_spin_try(uint64_t *word)
{
    point(UMN_OP_LOCK, word);
    if (*word)
        return false;
    *word = (uint64_t)(umn__self ? umn__self->id : 0) << 32 | 1;
    return true;
}

void umn__x_spin_release(uint64_t *word)
{
    point(UMN_OP_UNLOCK, word);
    *word = 0;
    umn_list_for_each (l, &umn__x.spinners) {
        struct umn_ctx *ctx = umn_container_of(l, struct umn_ctx, x.link);
        if (ctx->x.object != word)
            continue;
        umn_list_remove(l);
        umn__x_make_ready(ctx); /* all of them: who comes first gets it */
    }
}

void umn__x_dpc_queue(struct umn_dpc *dpc, unsigned number, bool head)
{
    struct umn_ctx *self = umn__self;
    point(UMN_OP_DPC, dpc);
    if (number >= umn__x.config.cpus)
        number = self ? self->cpu : 0;
    struct umn_x_cpu *cpu = &umn__x.cpu[number];
    if (!cpu->head)
        cpu->dpc_ctx->x.seq = ++umn__x.seq;
    if (head || !cpu->head) {
        dpc->next = cpu->head;
        cpu->head = dpc;
        if (!dpc->next)
            cpu->tail = dpc;
    } else {
        dpc->next = NULL;
        cpu->tail->next = dpc;
        cpu->tail = dpc;
    }
    /* The software interrupt: below DISPATCH the DPC runs before this context goes on. */
    if (self && !self->x.bound && self->cpu == number) {
        self->x.hold = true;
        point(UMN_OP_IRQL, NULL);
    }
}

bool umn__x_dpc_remove(struct umn_dpc *dpc, unsigned number)
{
    point(UMN_OP_DPC, dpc);
    for (unsigned i = 0; i < umn__x.config.cpus; i++) {
        struct umn_x_cpu *cpu = &umn__x.cpu[i];
        if (number < umn__x.config.cpus && number != i)
            continue;
        struct umn_dpc *before = NULL;
        for (struct umn_dpc *d = cpu->head; d; before = d, d = d->next) {
            if (d != dpc)
                continue;
            if (before)
                before->next = d->next;
            else
                cpu->head = d->next;
            if (cpu->tail == d)
                cpu->tail = before;
            return true;
        }
    }
    return false;
}

void umn__x_timer_arm(struct umn_timer *t, uint64_t due)
{
    point(UMN_OP_TIMER, t);
    t->due = due;
    umn__timer_insert(&umn__x.timers, t);
    umn__x_next_event();
}

bool umn__x_timer_disarm(struct umn_timer *t)
{
    point(UMN_OP_TIMER, t);
    if (!umn__timer_armed(t))
        return false;
    umn_list_remove(&t->link);
    umn__x_next_event();
    return true;
}

void umn__x_work_queue(struct umn_work *work)
{
    point(UMN_OP_WORK, work);
    work->next = NULL;
    if (umn__x.work_tail)
        umn__x.work_tail->next = work;
    else
        umn__x.work_head = work;
    umn__x.work_tail = work;
    for (unsigned i = 0; i < umn__x.config.workers; i++) {
        struct umn_ctx *ctx = umn__x.worker[i];
        if (ctx->x.state != UMN_X_IDLE)
            continue;
        umn__x.busy++;
        umn__x_make_ready(ctx);
        return;
    }
}

/* Reading the clock moves it a little, so that a loop that waits for a time comes to its end. */
uint64_t umn__x_now(void)
{
    if (umn__self)
        umn__x.now++;
    return umn__x.now;
}

void umn__x_stall(unsigned us)
{
    umn__x.now += (uint64_t)us * UMN_UNITS_PER_US;
    point(UMN_OP_YIELD, NULL);
}
