/* SPDX-License-Identifier: MIT */
/*
 * One scheduler interface (design 4): everything that can block, wake, interrupt, read the time or
 * choose. Two back ends: threads (host threads, real time, epoll) and explore (fibers on one host
 * thread, virtual time, every decision from a seed or a trace). One scheduler per process.
 *
 * Words: a context is a thread of execution (system thread, worker, DPC). A virtual CPU (vCPU) runs
 * at most one context at DISPATCH_LEVEL at a time; queued DPCs of a vCPU run before anything lower
 * on it. A context at PASSIVE_LEVEL is not bound to a vCPU and may move at every point.
 *
 * All times are in 100 ns units of umn__now(). Only context code may call what is not marked [any].
 */
#ifndef UMN_SCHED_H
#define UMN_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "umndis/errors.h"
#include "sched/list.h"

enum umn_backend { UMN_BACKEND_THREADS, UMN_BACKEND_EXPLORE };

/* Strategy of the explore back end. FIFO is the default schedule: run to block, then oldest. */
enum umn_strategy { UMN_STRATEGY_FIFO, UMN_STRATEGY_RANDOM, UMN_STRATEGY_PCT, UMN_STRATEGY_REPLAY };

struct umn_sched_config {
    enum umn_backend backend;
    unsigned cpus;    /* vCPUs, 1..64; 0 = 2 on explore, host CPUs (at most 8) on threads */
    unsigned workers; /* work item contexts, 1..16; 0 = 2 */
    /* explore only */
    enum umn_strategy strategy;
    uint64_t seed;
    uint64_t step_limit; /* 0 = 10 million */
    const void *replay;  /* UMN_STRATEGY_REPLAY: a trace from umn__sched_trace */
    size_t replay_size;
    /* threads only */
    bool pin;         /* pin vCPU threads to host CPUs */
    unsigned poll_us; /* how long an idle vCPU polls before it sleeps; default 0 */
};

/* ---- life ---------------------------------------------------------------------------------- */
int umn__sched_start(const struct umn_sched_config *config);
/*
 * Runs fn(arg) as the first system thread at PASSIVE_LEVEL and returns when it has returned and
 * every other context is idle or gone. explore: on the calling host thread. Returns 0, UMN_EHANG
 * (explore: nothing can run although contexts wait; umn__sched_describe tells which),
 * UMN_ETIMEDOUT (step limit) or UMN_EMISMATCH (strict replay: text in umn__sched_describe).
 */
int umn__sched_run(void (*fn)(void *), void *arg);
/* explore: abandons what has not ended (after a failed run, or when a test has jumped out of one).
 * References to contexts stay valid until released. */
void umn__sched_stop(void);
bool umn__sched_running(void);
enum umn_backend umn__sched_backend(void);
/* The wait-for picture after UMN_EHANG, one context a line; valid until the next start. */
const char *umn__sched_describe(void);
/* explore: the recorded decisions since the start, over all runs. The buffer lives until the next
 * start. */
const void *umn__sched_trace(size_t *size);
/* explore: steps so far and a running hash over (context, operation, object) of every step:
 * equal for equal seeds. */
uint64_t umn__sched_steps(void);
uint64_t umn__sched_hash(void);

/* ---- contexts ------------------------------------------------------------------------------ */
struct umn_ctx;
enum umn_ctx_kind { UMN_CTX_THREAD, UMN_CTX_WORKER, UMN_CTX_DPC };
/* New system thread at PASSIVE_LEVEL. The name is copied. *out (may be NULL) is one reference. */
int umn__ctx_spawn(struct umn_ctx **out, void (*fn)(void *), void *arg, const char *name);
void umn__ctx_join(struct umn_ctx *ctx);         /* waits for its end and drops the reference */
void umn__ctx_release(struct umn_ctx *ctx);      /* drops the reference without waiting */
struct umn_ctx *umn__ctx_self(void);             /* NULL outside contexts [any] */
uint32_t umn__ctx_id(const struct umn_ctx *ctx); /* logical, by creation order, never 0 */
const char *umn__ctx_name(const struct umn_ctx *ctx);
enum umn_ctx_kind umn__ctx_kind(const struct umn_ctx *ctx);
void umn__ctx_switches(void (*hook)(struct umn_ctx *from, struct umn_ctx *to)); /* e.g. set GS */
/* Per-context slot for the nt layer (owner record of waits, held locks); NULL at creation. */
void *umn__ctx_nt(struct umn_ctx *ctx);
/* destroy is called by the ending context if nobody else refers to it, else by the one who drops
 * the last reference; it must not park. */
void umn__ctx_set_nt(struct umn_ctx *ctx, void *nt, void (*destroy)(void *nt));

/* ---- IRQL and vCPUs ------------------------------------------------------------------------- */
#define UMN_PASSIVE 0
#define UMN_APC 1
#define UMN_DISPATCH 2
uint8_t umn__irql(void); /* PASSIVE outside contexts [any] */
/* Raising to DISPATCH takes the context's vCPU (waits for DPCs running there); lowering below
 * DISPATCH gives it up and runs the DPCs queued on it first. raise returns the old level. */
uint8_t umn__irql_raise(uint8_t irql);
void umn__irql_lower(uint8_t irql);
unsigned umn__cpu(void);       /* vCPU number; stable only at DISPATCH; 0 outside contexts [any] */
unsigned umn__cpu_count(void); /* [any] */

/*
 * The same two numbers without a call, for the data path (a call out of ms_abi code saves ten
 * vector registers). The front of a context; sched/internal.h asserts that it matches.
 */
struct umn_ctx_front {
    uint32_t id;
    uint8_t kind, irql;
    uint16_t flags;
    uint32_t cpu;
};
extern __thread struct umn_ctx *umn__self __attribute__((tls_model("initial-exec")));
static inline uint8_t umn__irql_quick(void)
{
    const struct umn_ctx_front *f = (const struct umn_ctx_front *)umn__self;
    return f ? f->irql : UMN_PASSIVE;
}
static inline unsigned umn__cpu_quick(void)
{
    const struct umn_ctx_front *f = (const struct umn_ctx_front *)umn__self;
    return f ? f->cpu : 0;
}

/* ---- points and choices ---------------------------------------------------------------------- */
enum umn_op {
    UMN_OP_YIELD,
    UMN_OP_SPAWN,
    UMN_OP_EXIT,
    UMN_OP_PARK,
    UMN_OP_UNPARK,
    UMN_OP_LOCK,
    UMN_OP_UNLOCK,
    UMN_OP_IRQL,
    UMN_OP_DPC,
    UMN_OP_TIMER,
    UMN_OP_WORK,
    UMN_OP_ATOMIC,
    UMN_OP_CALLBACK,
    UMN_OP_IRP,
    UMN_OP_ALLOC,
    UMN_OP_CHOOSE
};
/* A place where another context may run first; put it BEFORE the visible operation. No-op (one
 * predictable branch) on threads. Illegal while a struct umn_mutex is held. */
extern unsigned char UmnPointsOn;
void umn__point_slow(enum umn_op op, const volatile void *object);
static inline void umn__point(enum umn_op op, const volatile void *object)
{
    if (__builtin_expect(UmnPointsOn, 0))
        umn__point_slow(op, object);
}
/* A number below n; 0 is always the benign choice and the only one on threads and FIFO. */
uint32_t umn__choose(uint32_t n, const char *what);

/* ---- fences ---------------------------------------------------------------------------------- */
/*
 * Two halves of one full fence, for "I store, then look" against "the other stores, then looks":
 * the frequent side uses the light half, which costs nothing where the kernel can fence all threads
 * of the process at once (membarrier); the rare side pays with the heavy half. [any]
 */
extern unsigned char UmnFenceOn; /* the light half must be a real fence */
static inline void umn__fence_light(void)
{
    if (__builtin_expect(UmnFenceOn, 0))
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    else
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
void umn__fence_heavy(void);

/* ---- blocking ------------------------------------------------------------------------------- */
#define UMN_FOREVER UINT64_MAX
/*
 * Parks the calling context (IRQL < DISPATCH, no umn_mutex held) until umn__unpark(it), or the
 * deadline. A permit given before park makes the next park return at once; permits do not add up.
 * May return without reason: callers loop on their condition. Returns 0 or UMN_ETIMEDOUT.
 * `why` and `object` are for the wait-for picture.
 */
int umn__park(uint64_t deadline, const char *why, const void *object);
/* <= DISPATCH, [any]. No point. The caller makes sure that ctx exists: by a reference, or because
 * the waiter must take a lock that the caller holds before it can go. */
void umn__unpark(struct umn_ctx *ctx);

/*
 * Leaf lock of host code: a few instructions, no point, no callback, no park inside. On explore it
 * is only checked, since nothing can run in between.
 */
struct umn_mutex {
    uint32_t state;
    uint32_t owner;
};
void umn__lock(struct umn_mutex *m);
void umn__unlock(struct umn_mutex *m);

/*
 * The word behind KSPIN_LOCK. Acquire needs IRQL >= DISPATCH; a failed acquire keeps the vCPU.
 * Low 32 bits: state; high 32 bits: id of the holder. 0 = free. try returns false at once.
 */
void umn__spin_acquire(uint64_t *word);
bool umn__spin_try(uint64_t *word);
void umn__spin_release(uint64_t *word);
uint32_t umn__spin_owner(const uint64_t *word); /* context id, 0 = free */

/* ---- DPCs ----------------------------------------------------------------------------------- */
/* 32 bytes at most: it lies inside a KDPC. run is called at DISPATCH on the chosen vCPU. */
struct umn_dpc {
    struct umn_dpc *next;
    void (*run)(struct umn_dpc *dpc);
};
/* Queues at the tail (head: importance high). False if it was queued already: the caller holds a
 * flag of its own, the scheduler does not check. cpu = UMN_ANY_CPU: the current one. [any] */
#define UMN_ANY_CPU (~0u)
void umn__dpc_queue(struct umn_dpc *dpc, unsigned cpu, bool head);
bool umn__dpc_remove(struct umn_dpc *dpc, unsigned cpu); /* true if it was taken off the queue */
void umn__dpc_flush(void); /* PASSIVE: returns when every DPC queued before has run */

/* ---- timers --------------------------------------------------------------------------------- */
/* Lies inside KTIMER (24 bytes from DueTime on) and NDIS timers. fire runs at DISPATCH. */
struct umn_timer {
    uint64_t due;
    struct umn_list link;
};
/* Every timer has one fire function for all, set by the nt layer at start. */
void umn__timer_fire_hook(void (*fire)(struct umn_timer *t));
void umn__timer_arm(struct umn_timer *t, uint64_t due); /* not armed before [any] */
bool umn__timer_disarm(struct umn_timer *t);            /* true if it was armed [any] */

/* ---- work items ------------------------------------------------------------------------------ */
struct umn_work {
    struct umn_work *next;
    void (*run)(struct umn_work *work); /* PASSIVE, in a worker; may free the item */
};
void umn__work_queue(struct umn_work *work); /* <= DISPATCH [any] */

/* ---- time ----------------------------------------------------------------------------------- */
uint64_t umn__now(void);      /* interrupt time; virtual on explore [any] */
uint64_t umn__now_wall(void); /* system time since 1601; on explore a fixed start + umn__now() */
void umn__stall(unsigned us); /* busy wait; on explore a yield that moves time */

/* ---- file descriptors (threads only; explore returns UMN_ENOTSUP) ------------------------------
 */
/* ready(watch, events) runs at DISPATCH on vCPU `cpu` whenever fd is ready (level triggered). */
struct umn_watch;
#define UMN_WATCH_IN 1u
#define UMN_WATCH_OUT 2u
#define UMN_WATCH_ERR 4u
int umn__watch_add(struct umn_watch **out, int fd, uint32_t interest, unsigned cpu,
                   void (*ready)(void *arg, uint32_t events), void *arg);
void umn__watch_set(struct umn_watch *w, uint32_t interest); /* <= DISPATCH */
/* PASSIVE. After it returns ready is not running and never runs again. */
void umn__watch_remove(struct umn_watch *w);
/* A poll function runs in each idle round of vCPU `cpu` before it sleeps, at DISPATCH; it returns
 * true if it did work (then the vCPU polls again). For in-process sources and busy polling. */
struct umn_poll;
int umn__poll_add(struct umn_poll **out, unsigned cpu, bool (*poll)(void *arg), void *arg);
void umn__poll_remove(struct umn_poll *p); /* PASSIVE */

#endif
