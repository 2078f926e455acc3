/* SPDX-License-Identifier: MIT */
/*
 * Inside the threads back end. A vCPU is a lock, a host thread and queues. Whoever holds the lock
 * is at DISPATCH_LEVEL on the vCPU: its own thread while it runs DPCs, or a passive thread that
 * raised.
 */
#ifndef UMN_THREADS_H
#define UMN_THREADS_H

#include "sched/internal.h"
#include "sched/wheel.h"

struct umn_t_cpu {
    /* The vCPU itself. `waiters` counts passive threads that wait for it, `turn` how many of those
     * have got it: the vCPU's thread stands back for a turn while there are waiters. */
    struct plat_mutex lock;
    uint32_t waiters, turn, stands_back;
    /* DPCs, under queue_lock; head is also read without it. */
    struct plat_mutex queue_lock;
    struct umn_dpc *head, *tail;
    uint32_t asleep; /* its thread waits in the poller, or is about to */
    uint64_t next_due;
    struct umn_wheel *timers; /* under umn__t.timer_lock */
    /* Under `lock`: */
    struct umn_list watches, dead_watches, polls;
    struct umn_ctx *ctx; /* the DPC context: self of whoever runs DPCs here */
    unsigned number;
    struct plat_poller *poller;
    struct plat_thread *thread;
} __attribute__((aligned(128)));

struct umn_threads {
    struct umn_t_cpu cpu[UMN_MAX_CPUS];
    unsigned cpus, workers;
    bool pin;
    uint64_t poll_time; /* how long a vCPU polls after work, in units */
    uint32_t stop;
    uint32_t next_id, next_cpu;
    struct plat_mutex timer_lock;
    /* Spawned threads: those that have ended wait to be joined, under `lock`. */
    struct plat_mutex lock;
    struct umn_list ended;
    uint32_t live;     /* spawned and not ended */
    uint32_t idle_seq; /* futex: moves when live or work_open becomes 0 */
    /* Work items, under work_lock. */
    struct plat_mutex work_lock;
    struct umn_work *work_head, *work_tail;
    uint32_t work_open; /* queued or running */
    uint32_t work_seq;  /* futex of idle workers */
    uint32_t work_idle;
    struct umn_ctx *worker[UMN_MAX_WORKERS];
};

extern struct umn_threads umn__t;

/* threads_cpu.c */
void umn__t_cpu_main(void *cpu); /* the vCPU's host thread */
void umn__t_cpu_wake(struct umn_t_cpu *cpu);
/* Takes that very vCPU for the caller (which may be no context), unless it has it: then false. */
bool umn__t_cpu_take(struct umn_t_cpu *cpu);
void umn__t_cpu_give(struct umn_t_cpu *cpu);
void umn__t_set_self(struct umn_ctx *ctx);

/* threads_watch.c; the vCPU is held */
bool umn__t_deliver(struct umn_t_cpu *cpu, const struct plat_poll_event *ev, int n);
bool umn__t_run_polls(struct umn_t_cpu *cpu);
void umn__t_free_watches(struct umn_t_cpu *cpu);

/* threads_sync.c */
bool umn__t_run_timers(struct umn_t_cpu *cpu);
void umn__t_flush_from_host(void);

#endif
