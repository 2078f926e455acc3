/* SPDX-License-Identifier: MIT */
/*
 * Virtual CPUs of the threads back end: taking and giving, DPC queues and the host thread's loop.
 * A DPC never runs while another context is at DISPATCH on the same vCPU, because both hold its
 * lock. The vCPU's own thread holds the lock for a whole round of events, timers, DPCs and polls,
 * so that code on the data path takes no lock; raise and lower in it only change a number.
 */
#include "sched/threads.h"

#define DPC_BATCH 64 /* per round: then waiting threads and descriptors get their turn */
#define STAND_BACK_SPINS 200
#define EVENTS 32

void umn__t_set_self(struct umn_ctx *ctx)
{
    struct umn_ctx *from = umn__self;
    if (umn__switch_hook)
        umn__switch_hook(from, ctx);
    umn__self = ctx;
}

static bool try_lock(struct umn_t_cpu *cpu)
{
    uint32_t free = 0;
    return __atomic_compare_exchange_n(&cpu->lock.state, &free, 1, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

/* The slow way in for everyone but the vCPU's thread. */
static void wait_for_cpu(struct umn_t_cpu *cpu)
{
    __atomic_add_fetch(&cpu->waiters, 1, __ATOMIC_SEQ_CST);
    plat_mutex_lock(&cpu->lock);
    __atomic_sub_fetch(&cpu->waiters, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&cpu->turn, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&cpu->stands_back, __ATOMIC_SEQ_CST))
        plat_futex_wake(&cpu->turn, 1);
}

/* The vCPU's thread lets one waiter in before it comes back: without this a loop that unlocks and
 * locks at once would starve them. turn is read before waiters, and a waiter that got in changes
 * them in the opposite order, so the wait cannot miss its turn. */
static void stand_back(struct umn_t_cpu *cpu)
{
    uint32_t turn = __atomic_load_n(&cpu->turn, __ATOMIC_SEQ_CST);
    for (int i = 0; i < STAND_BACK_SPINS; i++) {
        if (!__atomic_load_n(&cpu->waiters, __ATOMIC_SEQ_CST) ||
            __atomic_load_n(&cpu->turn, __ATOMIC_SEQ_CST) != turn)
            return;
        __builtin_ia32_pause();
    }
    __atomic_store_n(&cpu->stands_back, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&cpu->waiters, __ATOMIC_SEQ_CST))
        plat_futex_wait(&cpu->turn, turn, UINT64_MAX);
    __atomic_store_n(&cpu->stands_back, 0, __ATOMIC_SEQ_CST);
}

void umn__t_cpu_wake(struct umn_t_cpu *cpu)
{
    /* Pairs with the thread's store to asleep before its last look at the queues. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&cpu->asleep, __ATOMIC_RELAXED) &&
        __atomic_exchange_n(&cpu->asleep, 0, __ATOMIC_SEQ_CST))
        plat_poller_wake(cpu->poller);
}

static struct umn_dpc *pop_dpc(struct umn_t_cpu *cpu)
{
    if (!__atomic_load_n(&cpu->head, __ATOMIC_RELAXED))
        return NULL;
    plat_mutex_lock(&cpu->queue_lock);
    struct umn_dpc *dpc = cpu->head;
    if (dpc) {
        __atomic_store_n(&cpu->head, dpc->next, __ATOMIC_RELAXED);
        if (!dpc->next)
            cpu->tail = NULL;
    }
    plat_mutex_unlock(&cpu->queue_lock);
    return dpc;
}

/* The vCPU is held and self is its DPC context. */
static bool run_dpcs(struct umn_t_cpu *cpu)
{
    struct umn_dpc *dpc;
    int n = 0;
    while (n < DPC_BATCH && (dpc = pop_dpc(cpu)) != NULL) {
        dpc->run(dpc);
        cpu->ctx->irql = UMN_DISPATCH; /* whatever the driver left there */
        n++;
    }
    return n > 0;
}

/* A passive thread gives its vCPU up: DPCs queued meanwhile run before it goes on. */
static void drain(struct umn_t_cpu *cpu)
{
    struct umn_ctx *self = umn__self;
    if (!__atomic_load_n(&cpu->head, __ATOMIC_RELAXED))
        return;
    umn__t_set_self(cpu->ctx);
    run_dpcs(cpu);
    umn__t_set_self(self);
    if (__atomic_load_n(&cpu->head, __ATOMIC_RELAXED))
        umn__t_cpu_wake(cpu); /* a long queue: the rest is for the vCPU's thread */
}

bool umn__t_cpu_take(struct umn_t_cpu *cpu)
{
    struct umn_ctx *self = umn__self;
    if (self && self->x.bound && self->cpu == cpu->number)
        return false;
    if (!try_lock(cpu))
        wait_for_cpu(cpu);
    return true;
}

void umn__t_cpu_give(struct umn_t_cpu *cpu)
{
    plat_mutex_unlock(&cpu->lock);
}

uint8_t umn__t_raise(uint8_t irql)
{
    struct umn_ctx *self = umn__self;
    if (!self)
        return UMN_PASSIVE;
    uint8_t old = self->irql;
    if (irql >= UMN_DISPATCH && !self->x.bound) {
        unsigned n = self->cpu;
        for (unsigned tries = 0; !try_lock(&umn__t.cpu[n]); tries++) {
            if (tries >= umn__t.cpus) {
                wait_for_cpu(&umn__t.cpu[n]);
                break;
            }
            n = n + 1 == umn__t.cpus ? 0 : n + 1;
        }
        self->cpu = n;
        self->x.bound = true;
    }
    self->irql = irql;
    return old;
}

void umn__t_lower(uint8_t irql)
{
    struct umn_ctx *self = umn__self;
    if (!self)
        return;
    if (irql < UMN_DISPATCH && self->x.bound && self->kind != UMN_CTX_DPC) {
        struct umn_t_cpu *cpu = &umn__t.cpu[self->cpu];
        drain(cpu);
        self->x.bound = false;
        self->irql = irql;
        plat_mutex_unlock(&cpu->lock);
    }
    self->irql = irql;
}

static void push_dpc(struct umn_t_cpu *cpu, struct umn_dpc *dpc, bool head)
{
    plat_mutex_lock(&cpu->queue_lock);
    if (head || !cpu->head) {
        dpc->next = cpu->head;
        if (!dpc->next)
            cpu->tail = dpc;
        __atomic_store_n(&cpu->head, dpc, __ATOMIC_RELAXED);
    } else {
        dpc->next = NULL;
        cpu->tail->next = dpc;
        cpu->tail = dpc;
    }
    plat_mutex_unlock(&cpu->queue_lock);
}

void umn__t_dpc_queue(struct umn_dpc *dpc, unsigned number, bool head)
{
    struct umn_ctx *self = umn__self;
    bool any = number >= umn__t.cpus;
    if (self && self->x.bound && (any || number == self->cpu)) {
        /* Whoever holds the vCPU runs its queue before giving it up: nobody to wake. */
        push_dpc(&umn__t.cpu[self->cpu], dpc, head);
        return;
    }
    if (self && any && umn__mutexes == 0) {
        /* On the current processor, from below DISPATCH: it runs at once, as Windows' software
         * interrupt would make it. */
        uint8_t old = umn__t_raise(UMN_DISPATCH);
        push_dpc(&umn__t.cpu[self->cpu], dpc, head);
        umn__t_lower(old);
        return;
    }
    struct umn_t_cpu *cpu = &umn__t.cpu[any ? (self ? self->cpu : 0) : number];
    push_dpc(cpu, dpc, head);
    umn__t_cpu_wake(cpu);
}

static bool remove_from(struct umn_t_cpu *cpu, struct umn_dpc *dpc)
{
    struct umn_dpc *before = NULL, *d;
    plat_mutex_lock(&cpu->queue_lock);
    for (d = cpu->head; d && d != dpc; d = d->next)
        before = d;
    if (d) {
        if (before)
            before->next = d->next;
        else
            __atomic_store_n(&cpu->head, d->next, __ATOMIC_RELAXED);
        if (cpu->tail == d)
            cpu->tail = before;
    }
    plat_mutex_unlock(&cpu->queue_lock);
    return d != NULL;
}

bool umn__t_dpc_remove(struct umn_dpc *dpc, unsigned number)
{
    if (number < umn__t.cpus)
        return remove_from(&umn__t.cpu[number], dpc);
    for (unsigned i = 0; i < umn__t.cpus; i++)
        if (remove_from(&umn__t.cpu[i], dpc))
            return true;
    return false;
}

/* One round at DISPATCH; true if there was anything to do. */
static bool round_at_dispatch(struct umn_t_cpu *cpu, const struct plat_poll_event *ev, int n)
{
    if (__atomic_load_n(&cpu->waiters, __ATOMIC_SEQ_CST))
        stand_back(cpu);
    plat_mutex_lock(&cpu->lock);
    umn__t_set_self(cpu->ctx);
    bool did = umn__t_deliver(cpu, ev, n);
    did |= umn__t_run_timers(cpu);
    did |= run_dpcs(cpu);
    did |= umn__t_run_polls(cpu);
    umn__t_free_watches(cpu); /* every event that named them has been looked at */
    umn__t_set_self(NULL);
    plat_mutex_unlock(&cpu->lock);
    return did;
}

void umn__t_cpu_main(void *p)
{
    struct umn_t_cpu *cpu = p;
    struct plat_poll_event ev[EVENTS];
    uint64_t poll_until = 0;
    int n = 0;
    if (umn__t.pin)
        plat_thread_pin((int)cpu->number);
    while (!__atomic_load_n(&umn__t.stop, __ATOMIC_ACQUIRE)) {
        bool did = round_at_dispatch(cpu, ev, n);
        if (did && umn__t.poll_time)
            poll_until = plat_now_monotonic() + umn__t.poll_time;
        if (did || (poll_until && plat_now_monotonic() < poll_until)) {
            n = plat_poller_wait(cpu->poller, ev, EVENTS, 0);
            continue;
        }
        poll_until = 0;
        __atomic_store_n(&cpu->asleep, 1, __ATOMIC_SEQ_CST);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        uint64_t until = __atomic_load_n(&cpu->next_due, __ATOMIC_RELAXED);
        if (__atomic_load_n(&cpu->head, __ATOMIC_RELAXED) ||
            __atomic_load_n(&umn__t.stop, __ATOMIC_RELAXED))
            until = 0;
        n = plat_poller_wait(cpu->poller, ev, EVENTS, until);
        __atomic_store_n(&cpu->asleep, 0, __ATOMIC_RELAXED);
        if (n < 0)
            n = 0;
    }
}
