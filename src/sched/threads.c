/* SPDX-License-Identifier: MIT */
/*
 * The threads back end: start, stop, system threads and workers. Owns umn__t. Locks are leaves:
 * umn__t.lock for ended threads, work_lock for work items; no callback runs under them.
 */
#include "sched/threads.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_CPUS 8 /* at most, when the configuration names no number */

struct umn_threads umn__t;

/* ---- system threads ----------------------------------------------------------------------------
 */

static struct umn_ctx *new_ctx(enum umn_ctx_kind kind, const char *name)
{
    struct umn_ctx *ctx =
        umn__ctx_new(kind, name, __atomic_add_fetch(&umn__t.next_id, 1, __ATOMIC_RELAXED));
    if (!ctx)
        return NULL;
    ctx->refs = 1;
    ctx->cpu = __atomic_fetch_add(&umn__t.next_cpu, 1, __ATOMIC_RELAXED) % umn__t.cpus;
    return ctx;
}

static void say_idle(void)
{
    __atomic_add_fetch(&umn__t.idle_seq, 1, __ATOMIC_SEQ_CST);
    plat_futex_wake(&umn__t.idle_seq, 1);
}

static void thread_main(void *p)
{
    struct umn_ctx *ctx = p;
    umn__t_set_self(ctx);
    ctx->fn(ctx->arg);
    umn__t_lower(UMN_PASSIVE);
    if (__atomic_load_n(&ctx->refs, __ATOMIC_ACQUIRE) == 1)
        umn__ctx_destroy_nt(ctx); /* here, where it still is a context */
    umn__t_set_self(NULL);

    plat_mutex_lock(&umn__t.lock);
    umn_list_add_tail(&umn__t.ended, &ctx->all);
    __atomic_store_n(&ctx->done, 1, __ATOMIC_RELEASE);
    plat_futex_wake(&ctx->done, INT32_MAX);
    bool last = __atomic_sub_fetch(&umn__t.live, 1, __ATOMIC_SEQ_CST) == 0;
    plat_mutex_unlock(&umn__t.lock);
    if (last)
        say_idle();
}

/* Joins the host threads of contexts that have ended: all, or the one of `only`. */
static void reap(struct umn_ctx *only)
{
    for (;;) {
        struct umn_ctx *ctx = NULL;
        plat_mutex_lock(&umn__t.lock);
        umn_list_for_each (l, &umn__t.ended) {
            struct umn_ctx *c = umn_container_of(l, struct umn_ctx, all);
            if (only && c != only)
                continue;
            umn_list_remove(l);
            ctx = c;
            break;
        }
        plat_mutex_unlock(&umn__t.lock);
        if (!ctx)
            return;
        plat_thread_join(ctx->thread);
        umn__ctx_drop(ctx);
    }
}

int umn__t_spawn(struct umn_ctx **out, void (*fn)(void *), void *arg, const char *name)
{
    reap(NULL);
    struct umn_ctx *ctx = new_ctx(UMN_CTX_THREAD, name);
    if (!ctx)
        return UMN_ENOMEM;
    ctx->fn = fn;
    ctx->arg = arg;
    ctx->refs = out ? 2 : 1;
    if (out)
        *out = ctx; /* the thread may look for itself there */
    __atomic_add_fetch(&umn__t.live, 1, __ATOMIC_SEQ_CST);
    /* Under the lock: ctx->thread must be set before anybody can reap. */
    plat_mutex_lock(&umn__t.lock);
    int error = plat_thread_create(&ctx->thread, thread_main, ctx, ctx->name);
    plat_mutex_unlock(&umn__t.lock);
    if (error) {
        if (out)
            *out = NULL;
        umn__ctx_free(ctx);
        if (__atomic_sub_fetch(&umn__t.live, 1, __ATOMIC_SEQ_CST) == 0)
            say_idle();
    }
    return error;
}

void umn__t_join(struct umn_ctx *ctx)
{
    while (!__atomic_load_n(&ctx->done, __ATOMIC_ACQUIRE))
        plat_futex_wait(&ctx->done, 0, UINT64_MAX);
    reap(ctx);
    umn__ctx_drop(ctx);
}

void umn__t_release(struct umn_ctx *ctx)
{
    umn__ctx_drop(ctx);
}

/* ---- work items ---------------------------------------------------------------------------------
 */

void umn__t_work_queue(struct umn_work *work)
{
    work->next = NULL;
    plat_mutex_lock(&umn__t.work_lock);
    if (umn__t.work_tail)
        umn__t.work_tail->next = work;
    else
        umn__t.work_head = work;
    umn__t.work_tail = work;
    umn__t.work_open++;
    bool idle = umn__t.work_idle > 0;
    __atomic_add_fetch(&umn__t.work_seq, 1, __ATOMIC_RELAXED);
    plat_mutex_unlock(&umn__t.work_lock);
    if (idle)
        plat_futex_wake(&umn__t.work_seq, 1);
}

/* The next item, or NULL when the scheduler stops. */
static struct umn_work *next_work(void)
{
    struct umn_work *work = NULL;
    plat_mutex_lock(&umn__t.work_lock);
    while (!(work = umn__t.work_head) && !__atomic_load_n(&umn__t.stop, __ATOMIC_ACQUIRE)) {
        uint32_t seq = __atomic_load_n(&umn__t.work_seq, __ATOMIC_RELAXED);
        umn__t.work_idle++;
        plat_mutex_unlock(&umn__t.work_lock);
        plat_futex_wait(&umn__t.work_seq, seq, UINT64_MAX);
        plat_mutex_lock(&umn__t.work_lock);
        umn__t.work_idle--;
    }
    if (work) {
        umn__t.work_head = work->next;
        if (!umn__t.work_head)
            umn__t.work_tail = NULL;
    }
    plat_mutex_unlock(&umn__t.work_lock);
    return work;
}

static void worker_main(void *ctx)
{
    struct umn_work *work;
    umn__t_set_self(ctx);
    while ((work = next_work()) != NULL) {
        work->run(work);
        umn__t_lower(UMN_PASSIVE);
        plat_mutex_lock(&umn__t.work_lock);
        bool last = --umn__t.work_open == 0;
        plat_mutex_unlock(&umn__t.work_lock);
        if (last)
            say_idle();
    }
    umn__t_set_self(NULL);
}

/* ---- life ---------------------------------------------------------------------------------------
 */

static bool all_idle(void)
{
    plat_mutex_lock(&umn__t.work_lock);
    bool idle = umn__t.work_open == 0;
    plat_mutex_unlock(&umn__t.work_lock);
    return idle && __atomic_load_n(&umn__t.live, __ATOMIC_SEQ_CST) == 0;
}

static void wait_idle(void)
{
    for (;;) {
        uint32_t seq = __atomic_load_n(&umn__t.idle_seq, __ATOMIC_SEQ_CST);
        if (all_idle())
            return;
        plat_futex_wait(&umn__t.idle_seq, seq, UINT64_MAX);
    }
}

int umn__t_run(void (*fn)(void *), void *arg)
{
    struct umn_ctx *main;
    int error = umn__t_spawn(&main, fn, arg, "main");
    if (error)
        return error;
    umn__t_join(main);
    do { /* a DPC may queue work, and work a DPC */
        wait_idle();
        umn__t_flush_from_host();
    } while (!all_idle());
    reap(NULL);
    return 0;
}

static int start_cpu(struct umn_t_cpu *cpu, unsigned number)
{
    char name[16];
    cpu->number = number;
    cpu->next_due = UINT64_MAX;
    umn_list_init(&cpu->watches);
    umn_list_init(&cpu->dead_watches);
    umn_list_init(&cpu->polls);
    cpu->timers = plat_alloc(sizeof *cpu->timers);
    if (!cpu->timers)
        return UMN_ENOMEM;
    umn__wheel_init(cpu->timers, plat_now_monotonic());
    snprintf(name, sizeof name, "DPC %02u", number);
    cpu->ctx = new_ctx(UMN_CTX_DPC, name);
    if (!cpu->ctx)
        return UMN_ENOMEM;
    cpu->ctx->cpu = number;
    cpu->ctx->irql = UMN_DISPATCH;
    cpu->ctx->x.bound = true;
    int error = plat_poller_create(&cpu->poller);
    if (error)
        return error;
    snprintf(name, sizeof name, "umn-cpu%u", number);
    return plat_thread_create(&cpu->thread, umn__t_cpu_main, cpu, name);
}

static int start_worker(unsigned number)
{
    char name[16];
    snprintf(name, sizeof name, "worker %02u", number);
    struct umn_ctx *ctx = umn__t.worker[number] = new_ctx(UMN_CTX_WORKER, name);
    if (!ctx)
        return UMN_ENOMEM;
    return plat_thread_create(&ctx->thread, worker_main, ctx, name);
}

int umn__t_start(const struct umn_sched_config *config)
{
    int error = 0;
    memset(&umn__t, 0, sizeof umn__t);
    umn_list_init(&umn__t.ended);
    umn__t.pin = config->pin;
    umn__t.poll_time = (uint64_t)config->poll_us * UMN_UNITS_PER_US;
    umn__t.workers = config->workers ? config->workers : 2;
    umn__t.cpus = config->cpus;
    if (!umn__t.cpus) {
        int host = plat_cpu_count();
        umn__t.cpus = host > DEFAULT_CPUS ? DEFAULT_CPUS : (unsigned)host;
    }
    for (unsigned i = 0; !error && i < umn__t.cpus; i++)
        error = start_cpu(&umn__t.cpu[i], i);
    for (unsigned i = 0; !error && i < umn__t.workers; i++)
        error = start_worker(i);
    if (error)
        umn__t_stop();
    return error;
}

static void stop_cpu(struct umn_t_cpu *cpu)
{
    if (cpu->thread)
        plat_thread_join(cpu->thread);
    cpu->thread = NULL;
    /* What its owner has not removed is left to the owner, who frees it later. */
    if (cpu->timers) {
        plat_mutex_lock(&umn__t.timer_lock);
        umn__wheel_forget(cpu->timers);
        plat_mutex_unlock(&umn__t.timer_lock);
    }
    plat_free(cpu->timers);
    cpu->timers = NULL;
    if (!cpu->ctx)
        return; /* start failed before it */
    umn__t_free_watches(cpu);
    umn_list_for_each (w, &cpu->watches)
        umn_list_remove(w);
    umn_list_for_each (p, &cpu->polls)
        umn_list_remove(p);
    plat_poller_destroy(cpu->poller);
    cpu->poller = NULL;
    umn__ctx_drop(cpu->ctx);
    cpu->ctx = NULL;
}

void umn__t_stop(void)
{
    while (__atomic_load_n(&umn__t.live, __ATOMIC_SEQ_CST) != 0) {
        uint32_t seq = __atomic_load_n(&umn__t.idle_seq, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&umn__t.live, __ATOMIC_SEQ_CST) != 0)
            plat_futex_wait(&umn__t.idle_seq, seq, UINT64_MAX);
    }
    reap(NULL);
    __atomic_store_n(&umn__t.stop, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&umn__t.work_seq, 1, __ATOMIC_SEQ_CST);
    plat_futex_wake(&umn__t.work_seq, INT32_MAX);
    for (unsigned i = 0; i < umn__t.workers; i++) {
        struct umn_ctx *ctx = umn__t.worker[i];
        if (!ctx)
            continue;
        if (ctx->thread)
            plat_thread_join(ctx->thread);
        umn__ctx_drop(ctx);
        umn__t.worker[i] = NULL;
    }
    for (unsigned i = 0; i < umn__t.cpus; i++)
        if (umn__t.cpu[i].thread)
            umn__t_cpu_wake(&umn__t.cpu[i]);
    for (unsigned i = 0; i < umn__t.cpus; i++)
        stop_cpu(&umn__t.cpu[i]);
}

unsigned umn__t_cpu_count(void)
{
    return umn__t.cpus;
}
