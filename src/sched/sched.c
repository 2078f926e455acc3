/* SPDX-License-Identifier: MIT */
/*
 * The front of the scheduler: life, the parts of a context that both back ends share, and the
 * choice of the back end for each call. Owns which back end runs; start and stop are called by one
 * host thread while no context runs, so there is no lock.
 */
#include "sched/internal.h"

#include <assert.h>
#include <stdio.h>

#define EXPLORE_WALL_START 133485408000000000ull /* 2024-01-01T00:00:00Z as FILETIME */

__thread struct umn_ctx *umn__self;
__thread unsigned umn__mutexes;
void (*umn__switch_hook)(struct umn_ctx *from, struct umn_ctx *to);
void (*umn__fire_hook)(struct umn_timer *t);
unsigned char UmnPointsOn;
unsigned char UmnFenceOn;

static enum { STOPPED, EXPLORE, THREADS } Mode;

int umn__sched_start(const struct umn_sched_config *config)
{
    if (Mode != STOPPED)
        return UMN_EBUSY;
    if (config->cpus > UMN_MAX_CPUS || config->workers > UMN_MAX_WORKERS)
        return UMN_EINVAL;
    bool explore = config->backend == UMN_BACKEND_EXPLORE;
    /* Before the back end starts: its host threads look at it at once. */
    Mode = explore ? EXPLORE : THREADS;
    UmnFenceOn = !explore && !plat_fence_all_ready();
    int error = explore ? umn__x_start(config) : umn__t_start(config);
    if (error)
        Mode = STOPPED;
    return error;
}

int umn__sched_run(void (*fn)(void *), void *arg)
{
    if (Mode == STOPPED || umn__self)
        return UMN_ESTATE;
    return Mode == EXPLORE ? umn__x_run(fn, arg) : umn__t_run(fn, arg);
}

void umn__sched_stop(void)
{
    if (Mode == EXPLORE)
        umn__x_stop();
    else if (Mode == THREADS)
        umn__t_stop();
    Mode = STOPPED;
}

bool umn__sched_running(void)
{
    return Mode != STOPPED;
}

enum umn_backend umn__sched_backend(void)
{
    return Mode == EXPLORE ? UMN_BACKEND_EXPLORE : UMN_BACKEND_THREADS;
}

void umn__fence_heavy(void)
{
    if (Mode == THREADS && !UmnFenceOn)
        plat_fence_all();
    else
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* ---- contexts ------------------------------------------------------------------------------ */

struct umn_ctx *umn__ctx_new(enum umn_ctx_kind kind, const char *name, uint32_t id)
{
    struct umn_ctx *ctx = plat_alloc(sizeof *ctx);
    if (!ctx)
        return NULL;
    ctx->id = id;
    ctx->kind = (uint8_t)kind;
    umn_list_init(&ctx->all);
    umn_list_init(&ctx->x.link);
    snprintf(ctx->name, sizeof ctx->name, "%s", name ? name : "thread");
    return ctx;
}

void umn__ctx_destroy_nt(struct umn_ctx *ctx)
{
    void *nt = ctx->nt;
    void (*destroy)(void *) = ctx->nt_destroy;
    ctx->nt = NULL;
    ctx->nt_destroy = NULL;
    if (nt && destroy)
        destroy(nt);
}

void umn__ctx_free(struct umn_ctx *ctx)
{
    plat_free(ctx);
}

void umn__ctx_drop(struct umn_ctx *ctx)
{
    if (__atomic_sub_fetch(&ctx->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    umn__ctx_destroy_nt(ctx);
    umn__ctx_free(ctx);
}

int umn__ctx_spawn(struct umn_ctx **out, void (*fn)(void *), void *arg, const char *name)
{
    if (Mode == STOPPED)
        return UMN_ESTATE;
    return Mode == EXPLORE ? umn__x_spawn(out, fn, arg, name) : umn__t_spawn(out, fn, arg, name);
}

void umn__ctx_join(struct umn_ctx *ctx)
{
    if (Mode == EXPLORE)
        umn__x_join(ctx);
    else if (Mode == THREADS)
        umn__t_join(ctx);
    else
        umn__ctx_drop(ctx);
}

void umn__ctx_release(struct umn_ctx *ctx)
{
    if (Mode == EXPLORE)
        umn__x_release(ctx);
    else if (Mode == THREADS)
        umn__t_release(ctx);
    else
        umn__ctx_drop(ctx);
}

struct umn_ctx *umn__ctx_self(void)
{
    return umn__self;
}

uint32_t umn__ctx_id(const struct umn_ctx *ctx)
{
    return ctx->id;
}

const char *umn__ctx_name(const struct umn_ctx *ctx)
{
    return ctx->name;
}

enum umn_ctx_kind umn__ctx_kind(const struct umn_ctx *ctx)
{
    return (enum umn_ctx_kind)ctx->kind;
}

void umn__ctx_switches(void (*hook)(struct umn_ctx *from, struct umn_ctx *to))
{
    umn__switch_hook = hook;
}

void *umn__ctx_nt(struct umn_ctx *ctx)
{
    return ctx->nt;
}

void umn__ctx_set_nt(struct umn_ctx *ctx, void *nt, void (*destroy)(void *nt))
{
    ctx->nt = nt;
    ctx->nt_destroy = destroy;
}

/* ---- IRQL, choices, blocking ------------------------------------------------------------------
 */

uint8_t umn__irql(void)
{
    return umn__self ? umn__self->irql : UMN_PASSIVE;
}

uint8_t umn__irql_raise(uint8_t irql)
{
    return Mode == EXPLORE ? umn__x_raise(irql) : umn__t_raise(irql);
}

void umn__irql_lower(uint8_t irql)
{
    if (Mode == EXPLORE)
        umn__x_lower(irql);
    else
        umn__t_lower(irql);
}

unsigned umn__cpu(void)
{
    return umn__self ? umn__self->cpu : 0;
}

unsigned umn__cpu_count(void)
{
    return Mode == STOPPED ? 1 : Mode == EXPLORE ? umn__x_cpu_count() : umn__t_cpu_count();
}

uint32_t umn__choose(uint32_t n, const char *what)
{
    return Mode == EXPLORE ? umn__x_choose(n, what) : 0;
}

int umn__park(uint64_t deadline, const char *why, const void *object)
{
    assert(umn__self && umn__mutexes == 0);
    return Mode == EXPLORE ? umn__x_park(deadline, why, object) : umn__t_park(deadline);
}

void umn__unpark(struct umn_ctx *ctx)
{
    if (Mode == EXPLORE)
        umn__x_unpark(ctx);
    else
        umn__t_unpark(ctx);
}

void umn__lock(struct umn_mutex *m)
{
    uint32_t id = umn__self ? umn__self->id : UINT32_MAX;
    if (Mode == EXPLORE) {
        assert(m->state == 0 && "a struct umn_mutex is taken twice");
        m->state = 1;
    } else {
        assert((__atomic_load_n(&m->owner, __ATOMIC_RELAXED) != id || id == UINT32_MAX) &&
               "a struct umn_mutex is taken twice");
        plat_mutex_lock((struct plat_mutex *)&m->state);
    }
    __atomic_store_n(&m->owner, id, __ATOMIC_RELAXED);
    umn__mutexes++;
}

void umn__unlock(struct umn_mutex *m)
{
    umn__mutexes--;
    __atomic_store_n(&m->owner, 0, __ATOMIC_RELAXED);
    if (Mode == EXPLORE)
        m->state = 0;
    else
        plat_mutex_unlock((struct plat_mutex *)&m->state);
}

void umn__spin_acquire(uint64_t *word)
{
    if (Mode == EXPLORE)
        umn__x_spin_acquire(word);
    else
        umn__t_spin_acquire(word);
}

bool umn__spin_try(uint64_t *word)
{
    return Mode == EXPLORE ? umn__x_spin_try(word) : umn__t_spin_try(word);
}

void umn__spin_release(uint64_t *word)
{
    if (Mode == EXPLORE)
        umn__x_spin_release(word);
    else
        umn__t_spin_release(word);
}

uint32_t umn__spin_owner(const uint64_t *word)
{
    return (uint32_t)(__atomic_load_n(word, __ATOMIC_RELAXED) >> 32);
}

/* ---- DPCs, timers, work -----------------------------------------------------------------------
 */

void umn__dpc_queue(struct umn_dpc *dpc, unsigned cpu, bool head)
{
    if (Mode == EXPLORE)
        umn__x_dpc_queue(dpc, cpu, head);
    else if (Mode == THREADS)
        umn__t_dpc_queue(dpc, cpu, head);
}

bool umn__dpc_remove(struct umn_dpc *dpc, unsigned cpu)
{
    if (Mode == STOPPED)
        return false;
    return Mode == EXPLORE ? umn__x_dpc_remove(dpc, cpu) : umn__t_dpc_remove(dpc, cpu);
}

/* A marker at the end of each vCPU's queue: when the last has run, so has all before them. */
struct flush {
    uint32_t left;
    struct umn_ctx *ctx;
};
struct marker {
    struct umn_dpc dpc;
    struct flush *flush;
};

static void marker_run(struct umn_dpc *dpc)
{
    struct flush *flush = umn_container_of(dpc, struct marker, dpc)->flush;
    struct umn_ctx *ctx = flush->ctx;
    /* The flusher cannot leave before the last decrement; its reference keeps ctx beyond it. */
    if (__atomic_sub_fetch(&flush->left, 1, __ATOMIC_ACQ_REL) == 0) {
        umn__unpark(ctx);
        umn__ctx_release(ctx);
    }
}

void umn__dpc_flush(void)
{
    struct marker marker[UMN_MAX_CPUS];
    unsigned cpus = umn__cpu_count();
    if (!umn__self)
        return;
    struct flush flush = {.left = cpus, .ctx = umn__self};
    __atomic_add_fetch(&umn__self->refs, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < cpus; i++) {
        marker[i].dpc.run = marker_run;
        marker[i].flush = &flush;
        umn__dpc_queue(&marker[i].dpc, i, false);
    }
    while (__atomic_load_n(&flush.left, __ATOMIC_ACQUIRE) != 0)
        umn__park(UMN_FOREVER, "DPCs", NULL);
}

void umn__timer_insert(struct umn_list *head, struct umn_timer *t)
{
    struct umn_list *at = head->prev;
    while (at != head && umn_container_of(at, struct umn_timer, link)->due > t->due)
        at = at->prev;
    umn_list_add_head(at, &t->link);
}

bool umn__timer_armed(const struct umn_timer *t)
{
    return t->link.next && t->link.next != &t->link;
}

void umn__timer_fire_hook(void (*fire)(struct umn_timer *t))
{
    umn__fire_hook = fire;
}

void umn__timer_arm(struct umn_timer *t, uint64_t due)
{
    if (Mode == EXPLORE)
        umn__x_timer_arm(t, due);
    else if (Mode == THREADS)
        umn__t_timer_arm(t, due);
}

bool umn__timer_disarm(struct umn_timer *t)
{
    if (Mode == STOPPED)
        return false;
    return Mode == EXPLORE ? umn__x_timer_disarm(t) : umn__t_timer_disarm(t);
}

void umn__work_queue(struct umn_work *work)
{
    if (Mode == EXPLORE)
        umn__x_work_queue(work);
    else if (Mode == THREADS)
        umn__t_work_queue(work);
}

/* ---- time, descriptors -------------------------------------------------------------------------
 */

uint64_t umn__now(void)
{
    return Mode == EXPLORE ? umn__x_now() : plat_now_monotonic();
}

uint64_t umn__now_wall(void)
{
    return Mode == EXPLORE ? EXPLORE_WALL_START + umn__x_now() : plat_now_wall();
}

void umn__stall(unsigned us)
{
    if (Mode == EXPLORE)
        umn__x_stall(us);
    else
        umn__t_stall(us);
}

int umn__watch_add(struct umn_watch **out, int fd, uint32_t interest, unsigned cpu,
                   void (*ready)(void *arg, uint32_t events), void *arg)
{
    return Mode == THREADS ? umn__t_watch_add(out, fd, interest, cpu, ready, arg) : UMN_ENOTSUP;
}

int umn__poll_add(struct umn_poll **out, unsigned cpu, bool (*poll)(void *arg), void *arg)
{
    return Mode == THREADS ? umn__t_poll_add(out, cpu, poll, arg) : UMN_ENOTSUP;
}

void umn__watch_remove(struct umn_watch *w)
{
    if (Mode == THREADS)
        umn__t_watch_remove(w);
    else
        plat_free(w); /* the scheduler has stopped before */
}

void umn__poll_remove(struct umn_poll *p)
{
    if (Mode == THREADS)
        umn__t_poll_remove(p);
    else
        plat_free(p);
}
