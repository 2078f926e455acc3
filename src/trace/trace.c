/* SPDX-License-Identifier: MIT */
/*
 * The event ring. Owns the last 8192 events, under a leaf mutex; any IRQL. Event `seq` lies in slot
 * seq % 8192.
 */
#include "trace/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include "plat/plat.h"
#include "sched/sched.h"

#define RING 8192u

static struct plat_mutex Lock;
static struct umn_trace_event Ring[RING];
static uint64_t Last;
static void (*Follow)(const struct umn_trace_event *);

void umn__trace(const char *what, const char *fmt, ...)
{
    struct umn_ctx *self = umn__ctx_self();
    struct umn_trace_event e;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e.text, sizeof e.text, fmt, ap);
    va_end(ap);
    e.time = umn__now();
    e.ctx = self ? umn__ctx_id(self) : 0;
    e.cpu = (uint8_t)umn__cpu();
    e.irql = umn__irql();
    e.what = what;

    plat_mutex_lock(&Lock);
    e.seq = ++Last;
    Ring[e.seq % RING] = e;
    void (*follow)(const struct umn_trace_event *) = Follow;
    plat_mutex_unlock(&Lock);
    if (follow)
        follow(&e);
}

uint64_t umn__trace_next(void)
{
    plat_mutex_lock(&Lock);
    uint64_t next = Last + 1;
    plat_mutex_unlock(&Lock);
    return next;
}

bool umn__trace_get(uint64_t seq, struct umn_trace_event *out)
{
    plat_mutex_lock(&Lock);
    bool there = seq != 0 && seq <= Last && Last - seq < RING;
    if (there)
        *out = Ring[seq % RING];
    plat_mutex_unlock(&Lock);
    return there;
}

void umn__trace_reset(void)
{
    plat_mutex_lock(&Lock);
    Last = 0;
    plat_mutex_unlock(&Lock);
}

void umn__trace_follow(void (*hook)(const struct umn_trace_event *))
{
    plat_mutex_lock(&Lock);
    Follow = hook;
    plat_mutex_unlock(&Lock);
}
