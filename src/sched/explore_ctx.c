/* SPDX-License-Identifier: MIT */
/*
 * Life of contexts on the explore back end, and start and stop of the scheduler. A context that
 * ends becomes the zombie: whoever runs next gives its stack back. Explore's host thread only.
 */
#include "sched/explore.h"

#include <stdio.h>
#include <string.h>

static void unlink_ctx(struct umn_ctx *ctx)
{
    umn_list_remove(&ctx->all);
    umn__x.nctx--;
}

static void free_ctx(struct umn_ctx *ctx)
{
    unlink_ctx(ctx);
    umn__ctx_free(ctx);
}

/* After each switch: the context that ended is off its stack now. */
void umn__x_reap(void)
{
    struct umn_ctx *ctx = umn__x.zombie;
    if (__builtin_expect(!ctx, 1))
        return;
    umn__x.zombie = NULL;
    umn__fiber_release(&ctx->x.fiber);
    if (ctx->refs == 0)
        free_ctx(ctx);
}

int umn__x_new(struct umn_ctx **out, enum umn_ctx_kind kind, void (*entry)(void *),
               const char *name)
{
    if (umn__x.nctx >= UMN_MAX_CTX)
        return UMN_ENOMEM;
    struct umn_ctx *ctx = umn__ctx_new(kind, name, umn__x.next_id + 1);
    if (!ctx)
        return UMN_ENOMEM;
    if (umn__fiber_init(&ctx->x.fiber, entry, ctx) != 0) {
        umn__ctx_free(ctx);
        return UMN_ENOMEM;
    }
    umn__x.next_id++;
    umn__x.nctx++;
    umn_list_add_tail(&umn__x.all, &ctx->all);
    umn__x_new_priority(ctx);
    *out = ctx;
    return 0;
}

static void thread_main(void *p)
{
    struct umn_ctx *ctx = p;
    umn__fiber_entered();
    umn__x_reap();
    ctx->fn(ctx->arg);
    umn__x_lower(UMN_PASSIVE);
    umn__x_step(UMN_OP_EXIT, NULL);
    if (ctx->refs == 1)
        umn__ctx_destroy_nt(ctx); /* here, where it may still meet points */
    umn__x_not_ready(ctx);
    ctx->refs--;
    ctx->done = 1;
    ctx->x.state = UMN_X_DONE;
    umn__x.busy--;
    if (ctx->joiner)
        umn__x_unpark(ctx->joiner);
    if (ctx == umn__x.main)
        umn__x.main = NULL;
    umn__x.zombie = ctx;
    umn__x_step(UMN_OP_EXIT, NULL);
}

int umn__x_spawn(struct umn_ctx **out, void (*fn)(void *), void *arg, const char *name)
{
    struct umn_ctx *ctx;
    if (umn__x_may_switch())
        umn__x_step(UMN_OP_SPAWN, NULL);
    int error = umn__x_new(&ctx, UMN_CTX_THREAD, thread_main, name);
    if (error)
        return error;
    ctx->fn = fn;
    ctx->arg = arg;
    ctx->cpu = umn__x.next_cpu++ % umn__x.config.cpus;
    ctx->refs = out ? 2 : 1;
    umn__x.busy++;
    umn__x_make_ready(ctx);
    if (out)
        *out = ctx;
    return 0;
}

void umn__x_release(struct umn_ctx *ctx)
{
    if (--ctx->refs > 0)
        return;
    umn__ctx_destroy_nt(ctx);
    free_ctx(ctx); /* it has ended and given its stack back, or its own reference would be left */
}

void umn__x_join(struct umn_ctx *ctx)
{
    while (!ctx->done && umn__self) {
        ctx->joiner = umn__self;
        umn__x_park(UMN_FOREVER, "the end of context", ctx);
    }
    umn__x_release(ctx);
}

void umn__x_dpc_main(void *p)
{
    struct umn_ctx *ctx = p;
    struct umn_x_cpu *cpu = &umn__x.cpu[ctx->cpu];
    umn__fiber_entered();
    umn__x_reap();
    for (;;) {
        if (umn__x.timers_due && umn__x.timer_cpu == ctx->cpu) {
            struct umn_timer *t = umn_container_of(umn__x.timers.next, struct umn_timer, link);
            umn_list_remove(&t->link);
            umn__x_next_event();
            if (umn__fire_hook)
                umn__fire_hook(t);
        } else if (cpu->head) {
            struct umn_dpc *dpc = cpu->head;
            cpu->head = dpc->next;
            if (!cpu->head)
                cpu->tail = NULL;
            dpc->run(dpc);
        }
        cpu->bound = NULL;
        ctx->x.bound = false;
        ctx->x.state = UMN_X_IDLE;
        ctx->irql = UMN_PASSIVE;
        umn__x.busy--;
        umn__x_step(UMN_OP_DPC, NULL);
    }
}

void umn__x_worker_main(void *p)
{
    struct umn_ctx *ctx = p;
    umn__fiber_entered();
    umn__x_reap();
    for (;;) {
        struct umn_work *work = umn__x.work_head;
        if (!work) {
            umn__x_not_ready(ctx);
            ctx->x.state = UMN_X_IDLE;
            umn__x.busy--;
            umn__x_step(UMN_OP_WORK, NULL);
            continue;
        }
        umn__x.work_head = work->next;
        if (!umn__x.work_head)
            umn__x.work_tail = NULL;
        umn__x_new_priority(ctx);
        work->run(work);
        umn__x_lower(UMN_PASSIVE);
        umn__x_step(UMN_OP_WORK, NULL);
    }
}

static int make_own(struct umn_ctx **out, enum umn_ctx_kind kind, unsigned number)
{
    char name[16];
    snprintf(name, sizeof name, "%s %02u", kind == UMN_CTX_DPC ? "DPC" : "worker", number);
    int error =
        umn__x_new(out, kind, kind == UMN_CTX_DPC ? umn__x_dpc_main : umn__x_worker_main, name);
    if (error)
        return error;
    (*out)->owned = true;
    (*out)->refs = 1;
    (*out)->cpu = number % umn__x.config.cpus;
    return 0;
}

int umn__x_start(const struct umn_sched_config *config)
{
    int error;
    memset(&umn__x, 0, sizeof umn__x);
    umn__x.config = *config;
    umn__x.next_event = UINT64_MAX;
    umn_list_init(&umn__x.all);
    umn_list_init(&umn__x.deadlines);
    umn_list_init(&umn__x.timers);
    umn_list_init(&umn__x.spinners);
    umn__x_describe_text(NULL);
    if (!umn__x.config.cpus)
        umn__x.config.cpus = 2;
    if (!umn__x.config.workers)
        umn__x.config.workers = 2;
    error = umn__x_strategy_start();
    if (error)
        return error;
    umn__x_objects_start();
    for (unsigned i = 0; !error && i < umn__x.config.cpus; i++)
        error = make_own(&umn__x.cpu[i].dpc_ctx, UMN_CTX_DPC, i);
    for (unsigned i = 0; !error && i < umn__x.config.workers; i++)
        error = make_own(&umn__x.worker[i], UMN_CTX_WORKER, i);
    if (error)
        umn__x_stop();
    return error;
}

/* A test that fails inside a fiber jumps out of the run to a frame of its own on the host's stack.
 */
static void leave_the_run(void)
{
    umn__fiber_left(&umn__x.host);
    umn__self = NULL;
    umn__mutexes = 0;
    UmnPointsOn = 0;
    umn__x.inside = false;
    if (umn__x.run_ctx)
        umn__x_release(umn__x.run_ctx);
}

/* Whatever is left is abandoned: after a hang every context still has its stack. A context that
 * somebody refers to stays as a record until umn__ctx_release. */
void umn__x_stop(void)
{
    if (umn__x.inside)
        leave_the_run();
    umn_list_for_each (t, &umn__x.timers)
        umn_list_remove(t);
    while (!umn_list_empty(&umn__x.all)) {
        struct umn_ctx *ctx = umn_container_of(umn__x.all.next, struct umn_ctx, all);
        unlink_ctx(ctx);
        umn__fiber_release(&ctx->x.fiber);
        if (ctx->x.state != UMN_X_DONE)
            umn__ctx_drop(ctx);
    }
    umn__x_objects_stop();
    umn__x_trace_stop();
}

unsigned umn__x_cpu_count(void)
{
    return umn__x.config.cpus;
}
