/* SPDX-License-Identifier: MIT */
/*
 * Parking, spin locks, timers and the busy wait of the threads back end. Timers of all vCPUs share
 * one leaf mutex; each vCPU has its own wheel and fires it in its own thread.
 */
#include "sched/threads.h"

#define SPINS 200
#define HELD 1u
#define WAITED_FOR 2u

int umn__t_park(uint64_t deadline)
{
    struct umn_ctx *self = umn__self;
    for (;;) {
        if (__atomic_exchange_n(&self->permit, 0, __ATOMIC_ACQUIRE))
            return 0;
        if (plat_futex_wait(&self->permit, 0, deadline) == UMN_ETIMEDOUT)
            return __atomic_exchange_n(&self->permit, 0, __ATOMIC_ACQUIRE) ? 0 : UMN_ETIMEDOUT;
    }
}

void umn__t_unpark(struct umn_ctx *ctx)
{
    if (!__atomic_exchange_n(&ctx->permit, 1, __ATOMIC_RELEASE))
        plat_futex_wake(&ctx->permit, 1);
}

static uint64_t held_by_me(uint32_t state)
{
    return (uint64_t)(umn__self ? umn__self->id : UINT32_MAX) << 32 | state;
}

bool umn__t_spin_try(uint64_t *word)
{
    uint64_t free = 0;
    return __atomic_compare_exchange_n(word, &free, held_by_me(HELD), false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

/* The holder keeps a vCPU but its host thread may be off the processor, so the spin is short. */
void umn__t_spin_acquire(uint64_t *word)
{
    for (int i = 0; i < SPINS; i++) {
        if (__atomic_load_n(word, __ATOMIC_RELAXED) == 0 && umn__t_spin_try(word))
            return;
        __builtin_ia32_pause();
    }
    for (;;) {
        uint64_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
        if (seen == 0) {
            /* There may be more waiters: claim it as waited for. */
            if (__atomic_compare_exchange_n(word, &seen, held_by_me(WAITED_FOR), false,
                                            __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                return;
            continue;
        }
        uint64_t waited = (seen >> 32 << 32) | WAITED_FOR;
        if (seen == waited || __atomic_compare_exchange_n(word, &seen, waited, false,
                                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            plat_futex_wait((uint32_t *)word, WAITED_FOR, UINT64_MAX);
    }
}

void umn__t_spin_release(uint64_t *word)
{
    if ((uint32_t)__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) == WAITED_FOR)
        plat_futex_wake((uint32_t *)word, 1);
}

void umn__t_timer_arm(struct umn_timer *t, uint64_t due)
{
    struct umn_t_cpu *cpu = &umn__t.cpu[umn__cpu()];
    plat_mutex_lock(&umn__t.timer_lock);
    t->due = due;
    umn__wheel_add(cpu->timers, t);
    bool first = due < cpu->next_due;
    if (first)
        __atomic_store_n(&cpu->next_due, due, __ATOMIC_SEQ_CST);
    plat_mutex_unlock(&umn__t.timer_lock);
    if (first)
        umn__t_cpu_wake(cpu);
}

/* The vCPU that had it may wake once for nothing. */
bool umn__t_timer_disarm(struct umn_timer *t)
{
    plat_mutex_lock(&umn__t.timer_lock);
    bool armed = umn__timer_armed(t);
    if (armed)
        umn_list_remove(&t->link);
    plat_mutex_unlock(&umn__t.timer_lock);
    return armed;
}

/* Fires those due now; one that re-arms itself for the past waits for the next round. */
bool umn__t_run_timers(struct umn_t_cpu *cpu)
{
    uint64_t next = __atomic_load_n(&cpu->next_due, __ATOMIC_RELAXED);
    if (next == UINT64_MAX)
        return false;
    uint64_t now = plat_now_monotonic();
    if (next > now)
        return false;
    struct umn_list due;
    umn_list_init(&due);
    plat_mutex_lock(&umn__t.timer_lock);
    umn__wheel_expire(cpu->timers, now, &due); /* still armed: a disarm takes it off `due` too */
    __atomic_store_n(&cpu->next_due, umn__wheel_next(cpu->timers), __ATOMIC_SEQ_CST);
    for (;;) {
        if (umn_list_empty(&due))
            break;
        struct umn_timer *t = umn_container_of(due.next, struct umn_timer, link);
        umn_list_remove(&t->link);
        plat_mutex_unlock(&umn__t.timer_lock);
        if (umn__fire_hook)
            umn__fire_hook(t);
        plat_mutex_lock(&umn__t.timer_lock);
    }
    plat_mutex_unlock(&umn__t.timer_lock);
    return true;
}

void umn__t_stall(unsigned us)
{
    uint64_t until = plat_now_monotonic() + (uint64_t)us * UMN_UNITS_PER_US;
    while (plat_now_monotonic() < until)
        __builtin_ia32_pause();
}

struct host_flush {
    uint32_t left; /* futex */
};
struct host_marker {
    struct umn_dpc dpc;
    struct host_flush *flush;
};

static void host_marker_run(struct umn_dpc *dpc)
{
    uint32_t *left = &umn_container_of(dpc, struct host_marker, dpc)->flush->left;
    /* After the last decrement the word may be gone; waking its address is harmless. */
    if (__atomic_sub_fetch(left, 1, __ATOMIC_ACQ_REL) == 0)
        plat_futex_wake(left, 1);
}

/* umn__dpc_flush for a host thread that is no context. */
void umn__t_flush_from_host(void)
{
    struct host_marker marker[UMN_MAX_CPUS];
    struct host_flush flush = {.left = umn__t.cpus};
    uint32_t left;
    for (unsigned i = 0; i < umn__t.cpus; i++) {
        marker[i].dpc.run = host_marker_run;
        marker[i].flush = &flush;
        umn__t_dpc_queue(&marker[i].dpc, i, false);
    }
    while ((left = __atomic_load_n(&flush.left, __ATOMIC_ACQUIRE)) != 0)
        plat_futex_wait(&flush.left, left, UINT64_MAX);
}
