/* SPDX-License-Identifier: MIT */
/*
 * The explore back end: one step after the other. Owns umn__x, the virtual clock and the list of
 * passive contexts that can run. Everything happens on the host thread inside umn__sched_run: no
 * lock.
 *
 * Who is enabled, at each step:
 *   vCPU with a bound context:  that context, if it is READY (not if it spins or is parked)
 *   vCPU with DPCs pending:     its DPC context, which takes the vCPU
 *   any other vCPU is free:     it can run every READY passive context, but those that hold for
 *                               another vCPU (they were interrupted there by a DPC)
 *
 * Time: 1 us a step; when nothing is enabled it jumps to the next deadline or timer. When there is
 * none the run ends: well, if the first context has returned and all others are idle, else with
 * UMN_EHANG.
 */
#include "sched/explore.h"

#include <assert.h>

#define STEP_TIME UMN_UNITS_PER_US
#define DEFAULT_STEP_LIMIT 10000000u

struct umn_explore umn__x;
struct umn_ctx *umn__x_ready[UMN_MAX_CTX];

static struct umn_ctx *Enabled[UMN_MAX_CTX + UMN_MAX_CPUS];

void umn__x_make_ready(struct umn_ctx *ctx)
{
    ctx->x.state = UMN_X_READY;
    ctx->x.seq = ++umn__x.seq;
    if (!ctx->x.bound)
        umn__x_ready[umn__x.nready++] = ctx;
}

void umn__x_not_ready(struct umn_ctx *ctx)
{
    if (ctx->x.bound)
        return;
    unsigned i = 0;
    while (umn__x_ready[i] != ctx)
        i++;
    umn__x.nready--;
    for (; i < umn__x.nready; i++)
        umn__x_ready[i] = umn__x_ready[i + 1];
}

static struct umn_timer *first_timer(void)
{
    return umn_list_empty(&umn__x.timers)
               ? NULL
               : umn_container_of(umn__x.timers.next, struct umn_timer, link);
}

static struct umn_ctx *first_deadline(void)
{
    return umn_list_empty(&umn__x.deadlines)
               ? NULL
               : umn_container_of(umn__x.deadlines.next, struct umn_ctx, x.link);
}

void umn__x_next_event(void)
{
    struct umn_timer *t = first_timer();
    struct umn_ctx *ctx = first_deadline();
    bool due = t && t->due <= umn__x.now;
    if (due && !umn__x.timers_due)
        umn__x.timer_cpu = umn__x_choose(umn__x.config.cpus, "timer vCPU");
    umn__x.timers_due = due;
    /* A timer that is due already waits for its vCPU, not for the clock. */
    umn__x.next_event = t && !due ? t->due : UINT64_MAX;
    if (ctx && ctx->x.deadline < umn__x.next_event)
        umn__x.next_event = ctx->x.deadline;
}

/* Ends the parks whose deadline has come and marks due timers. */
static void expire(void)
{
    struct umn_ctx *ctx;
    while ((ctx = first_deadline()) && ctx->x.deadline <= umn__x.now) {
        umn_list_remove(&ctx->x.link);
        ctx->x.expired = true;
        umn__x_make_ready(ctx);
    }
    umn__x_next_event();
}

/* Fills Enabled; *cur becomes the index of the running context or -1. */
static unsigned collect(int *cur, uint64_t *free_cpus)
{
    unsigned n = 0;
    uint64_t free = 0;
    struct umn_ctx *self = umn__self;
    *cur = -1;
    for (unsigned i = 0; i < umn__x.config.cpus; i++) {
        struct umn_x_cpu *cpu = &umn__x.cpu[i];
        if (cpu->bound) {
            if (cpu->bound->x.state != UMN_X_READY)
                continue;
            if (cpu->bound == self)
                *cur = (int)n;
            Enabled[n++] = cpu->bound;
        } else if (umn__x_pending(i)) {
            Enabled[n++] = cpu->dpc_ctx;
        } else {
            free |= 1ull << i;
        }
    }
    *free_cpus = free;
    if (!free)
        return n;
    for (unsigned i = 0; i < umn__x.nready; i++) {
        struct umn_ctx *ctx = umn__x_ready[i];
        if (ctx->x.hold && !(free >> ctx->cpu & 1))
            continue;
        if (ctx == self)
            *cur = (int)n;
        Enabled[n++] = ctx;
    }
    return n;
}

/* Nothing is enabled: moves time on. False if the run is over; then umn__x.result is set. */
static bool jump(void)
{
    bool waiting = umn__x.busy > 0;
    if (!waiting && !umn__x.main) {
        umn__x.result = 0;
        return false;
    }
    if (umn__x.next_event == UINT64_MAX) {
        umn__x.result = UMN_EHANG;
        return false;
    }
    if (umn__x.next_event > umn__x.now)
        umn__x.now = umn__x.next_event;
    expire();
    return true;
}

static void place(struct umn_ctx *ctx, uint64_t free)
{
    if (ctx->x.bound)
        return;
    if (ctx->kind == UMN_CTX_DPC) {
        umn__x.cpu[ctx->cpu].bound = ctx;
        ctx->x.bound = true;
        ctx->x.state = UMN_X_READY;
        ctx->irql = UMN_DISPATCH;
        umn__x.busy++;
        umn__x_new_priority(ctx);
        return;
    }
    ctx->cpu = umn__x_pick_cpu(ctx->x.hold ? 1ull << ctx->cpu : free, ctx->cpu);
    ctx->x.hold = false;
}

/* The context that goes on now, or NULL: the run is over. */
static struct umn_ctx *choose_next(enum umn_op op, uint32_t object)
{
    uint64_t free;
    unsigned n;
    int cur;
    while ((n = collect(&cur, &free)) == 0)
        if (!jump())
            return NULL;
    int pick = umn__x_pick(Enabled, n, cur, op, object);
    if (pick < 0 || umn__x_mismatched()) {
        umn__x.result = UMN_EMISMATCH;
        return NULL;
    }
    struct umn_ctx *next = Enabled[pick];
    place(next, free);
    umn__x.run_length = next == umn__self ? umn__x.run_length + 1 : 0;
    return next;
}

/* Switches away from the running context (or the host); returns when somebody switches back. */
static void transfer(struct umn_ctx *next, bool last)
{
    struct umn_ctx *self = umn__self;
    if (umn__switch_hook)
        umn__switch_hook(self, next);
    umn__self = next;
    umn__fiber_switch(self ? &self->x.fiber : &umn__x.host, next ? &next->x.fiber : &umn__x.host,
                      last);
    umn__x_reap();
}

void umn__x_abandon(int error)
{
    umn__x.result = error;
    transfer(NULL, true);
    __builtin_unreachable(); /* a run that failed is never resumed */
}

void umn__x_step(enum umn_op op, const volatile void *object)
{
    struct umn_ctx *self = umn__self;
    assert(umn__mutexes == 0 && "a struct umn_mutex is held where another context may run");
    uint32_t id = umn__x_object(object);
    umn__x.hash = (umn__x.hash ^ ((uint64_t)self->id << 40 ^ (uint64_t)op << 32 ^ id)) *
                  0x9E3779B97F4A7C15ull;
    umn__x.hash ^= umn__x.hash >> 29;
    umn__x.now += STEP_TIME;
    if (++umn__x.steps >= umn__x.run_end)
        umn__x_abandon(UMN_ETIMEDOUT);
    if (umn__x.now >= umn__x.next_event)
        expire();
    struct umn_ctx *next = choose_next(op, id);
    if (next != self)
        transfer(next, self->x.state == UMN_X_DONE);
}

void umn__point_slow(enum umn_op op, const volatile void *object)
{
    if (umn__x_may_switch())
        umn__x_step(op, object);
    else
        assert(umn__mutexes == 0 && "a point while a struct umn_mutex is held");
}

int umn__x_run(void (*fn)(void *), void *arg)
{
    if (umn__x.dead || umn__x.inside)
        return UMN_ESTATE;
    struct umn_ctx *main;
    int error = umn__x_spawn(&main, fn, arg, "main");
    if (error)
        return error;
    umn__x.main = umn__x.run_ctx = main;
    umn__x.inside = true;
    umn__x.run_end =
        umn__x.steps + (umn__x.config.step_limit ? umn__x.config.step_limit : DEFAULT_STEP_LIMIT);
    UmnPointsOn = 1;
    umn__fiber_host(&umn__x.host);
    umn__x_describe_text(NULL);
    if (umn__x.now >= umn__x.next_event)
        expire();
    struct umn_ctx *next = choose_next(UMN_OP_SPAWN, 0);
    if (next)
        transfer(next, false);
    UmnPointsOn = 0;
    umn__x.inside = false;
    umn__x.main = NULL;
    if (umn__x.result != 0) {
        umn__x.dead = true;
        if (umn__x.result != UMN_EMISMATCH)
            umn__x_describe(umn__x.result);
        umn__mutexes = 0;
    }
    umn__x.run_ctx = NULL;
    umn__x_release(main); /* after a failure its own reference is left, for stop */
    return umn__x.result;
}

uint64_t umn__sched_steps(void)
{
    return umn__x.steps;
}

uint64_t umn__sched_hash(void)
{
    return umn__x.hash;
}
