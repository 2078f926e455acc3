/* SPDX-License-Identifier: MIT */
/*
 * The wait-for picture: one line a context, written when a run fails. Owns the text, which stays
 * until the next start.
 */
#include "sched/explore.h"

#include <stdarg.h>
#include <stdio.h>

static char Text[16384];
static size_t Length;

void umn__x_describe_text(const char *fmt, ...)
{
    if (!fmt) {
        Length = 0;
        Text[0] = 0;
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(Text + Length, sizeof Text - Length, fmt, ap);
    va_end(ap);
    if (n > 0)
        Length += (size_t)n < sizeof Text - Length ? (size_t)n : sizeof Text - Length - 1;
}

const char *umn__sched_describe(void)
{
    return Text;
}

static const char *name_of_id(uint32_t id)
{
    umn_list_for_each (l, &umn__x.all) {
        struct umn_ctx *ctx = umn_container_of(l, struct umn_ctx, all);
        if (ctx->id == id)
            return ctx->name;
    }
    return "a context that has ended";
}

static void why_not_running(const struct umn_ctx *ctx)
{
    const struct umn_x_cpu *cpu = &umn__x.cpu[ctx->cpu];
    if (ctx->x.bound)
        umn__x_describe_text("could go on");
    else if (cpu->bound)
        umn__x_describe_text("held back by %s at DISPATCH on its vCPU", cpu->bound->name);
    else if (umn__x_pending(ctx->cpu))
        umn__x_describe_text("held back by queued DPCs");
    else
        umn__x_describe_text("could go on");
}

static void describe_ctx(const struct umn_ctx *ctx)
{
    static const char *const kinds[] = {"thread", "worker", "DPC"};
    umn__x_describe_text("%s (%s %u, IRQL %u, vCPU %u): ", ctx->name, kinds[ctx->kind], ctx->id,
                         ctx->irql, ctx->cpu);
    switch (ctx->x.state) {
    case UMN_X_PARKED:
        umn__x_describe_text("waits for %s", ctx->x.why ? ctx->x.why : "an unpark");
        if (ctx->x.object)
            umn__x_describe_text(" #%u", umn__x_object_known(ctx->x.object));
        if (ctx->x.deadline != UMN_FOREVER)
            umn__x_describe_text(" until %llu us",
                                 (unsigned long long)ctx->x.deadline / UMN_UNITS_PER_US);
        umn__x_describe_text(" since %llu us", (unsigned long long)ctx->x.since / UMN_UNITS_PER_US);
        break;
    case UMN_X_SPINNING: {
        uint32_t owner = umn__spin_owner(ctx->x.object);
        umn__x_describe_text("spins on lock #%u held by %s (%u)",
                             umn__x_object_known(ctx->x.object), name_of_id(owner), owner);
        break;
    }
    default:
        why_not_running(ctx);
        break;
    }
    umn__x_describe_text("\n");
}

void umn__x_describe(int error)
{
    umn__x_describe_text("%s at step %llu, %llu us\n",
                         error == UMN_EHANG ? "hang: nothing can run" : "step limit reached",
                         (unsigned long long)umn__x.steps,
                         (unsigned long long)umn__x.now / UMN_UNITS_PER_US);
    umn_list_for_each (l, &umn__x.all) {
        struct umn_ctx *ctx = umn_container_of(l, struct umn_ctx, all);
        if (ctx->x.state != UMN_X_IDLE && ctx->x.state != UMN_X_DONE)
            describe_ctx(ctx);
    }
}
