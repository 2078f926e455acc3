/* SPDX-License-Identifier: MIT */
/*
 * Inside the explore back end. One struct holds the state of the started scheduler; all of it
 * belongs to the one host thread that explores, so nothing here takes a lock.
 */
#ifndef UMN_EXPLORE_H
#define UMN_EXPLORE_H

#include "sched/internal.h"

#define UMN_MAX_CTX 16384 /* two mappings each: below the kernel's default of 65530 */

struct umn_x_cpu {
    struct umn_ctx *bound; /* the context at DISPATCH_LEVEL here */
    struct umn_dpc *head, *tail;
    struct umn_ctx *dpc_ctx; /* runs them, one at a time */
};

struct umn_explore {
    struct umn_sched_config config;
    struct umn_x_cpu cpu[UMN_MAX_CPUS];
    struct umn_ctx *worker[UMN_MAX_WORKERS];
    struct umn_work *work_head, *work_tail;
    struct umn_list all;       /* contexts, by creation */
    struct umn_list deadlines; /* parked contexts by deadline */
    struct umn_list timers;    /* by due */
    struct umn_list spinners;
    unsigned nready, nctx;
    unsigned busy;   /* contexts that are neither idle nor gone */
    bool timers_due; /* the first timer is due; vCPU timer_cpu fires it before its DPCs */
    unsigned timer_cpu;
    uint64_t now, next_event;
    uint64_t seq;            /* source of umn_x_ctx.seq */
    uint64_t steps, run_end; /* run_end: the step at which this run is over its limit */
    uint64_t hash;
    uint64_t run_length; /* picks of the same context in a row */
    uint32_t next_id, next_cpu;
    struct umn_ctx *main;    /* the first context of the run, until it returns */
    struct umn_ctx *run_ctx; /* the same, as long as umn__sched_run refers to it */
    struct umn_ctx *zombie;  /* has ended; its stack goes back after the switch away from it */
    struct umn_fiber host;
    bool inside; /* umn__sched_run is on the host's stack */
    bool dead;   /* a run failed: its contexts are abandoned, only stop is left */
    int result;
};

extern struct umn_explore umn__x;
/* Passive contexts able to run, in the order in which they became so. */
extern struct umn_ctx *umn__x_ready[UMN_MAX_CTX];

/* explore.c: lets the strategy choose who goes on, and returns when it is the caller's turn. Every
 * call is one step. The caller has set its own state (ready, parked ...) before. */
void umn__x_step(enum umn_op op, const volatile void *object);
void umn__x_make_ready(struct umn_ctx *ctx);
void umn__x_not_ready(struct umn_ctx *ctx);
void umn__x_next_event(void); /* recomputes it after a change of timers or deadlines */
static inline bool umn__x_may_switch(void)
{
    return umn__self && umn__x.inside && umn__mutexes == 0;
}
static inline bool umn__x_pending(unsigned cpu)
{
    return umn__x.cpu[cpu].head || (umn__x.timers_due && umn__x.timer_cpu == cpu);
}
/* Ends the run with an error; does not return to a context. */
void umn__x_abandon(int error) __attribute__((noreturn));

/* explore_ctx.c */
void umn__x_dpc_main(void *ctx);
void umn__x_worker_main(void *ctx);
void umn__x_reap(void);
int umn__x_new(struct umn_ctx **out, enum umn_ctx_kind kind, void (*entry)(void *),
               const char *name);

/* strategy.c */
int umn__x_strategy_start(void);
uint64_t umn__x_random(void); /* the run's generator */
void umn__x_new_priority(struct umn_ctx *ctx);
/* Index into enabled. cur: index of the running context, -1 if it is not enabled. */
int umn__x_pick(struct umn_ctx *const *enabled, unsigned n, int cur, enum umn_op op,
                uint32_t object);
/* vCPU for the picked passive context: out of the set `free`, home preferred. */
unsigned umn__x_pick_cpu(uint64_t free, unsigned home);
void umn__x_trace_stop(void);
bool umn__x_mismatched(void);

/* objects.c: logical numbers of objects, by first use since the start; 0 for NULL. */
void umn__x_objects_start(void);
void umn__x_objects_stop(void);
uint32_t umn__x_object(const volatile void *object);
uint32_t umn__x_object_known(const volatile void *object); /* 0 if it has none */

/* describe.c */
void umn__x_describe(int error);
void umn__x_describe_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
