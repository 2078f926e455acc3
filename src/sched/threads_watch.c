/* SPDX-License-Identifier: MIT */
/*
 * Watched descriptors and poll functions of the threads back end. Both belong to one vCPU and are
 * called and removed while it is held, so a removal needs no handshake. A removed watch stays in
 * memory until the vCPU's thread has been through the events that it had already taken from the
 * poller.
 */
#include "sched/threads.h"

struct umn_watch {
    struct umn_list link; /* watches or dead_watches of the vCPU */
    struct umn_t_cpu *cpu;
    struct plat_mutex lock; /* interest against the poller */
    uint32_t interest;
    bool dead;
    int fd;
    void (*ready)(void *arg, uint32_t events);
    void *arg;
};

struct umn_poll {
    struct umn_list link;
    struct umn_t_cpu *cpu;
    bool (*poll)(void *arg);
    void *arg;
};

_Static_assert(UMN_WATCH_IN == PLAT_POLL_IN && UMN_WATCH_OUT == PLAT_POLL_OUT &&
                   UMN_WATCH_ERR == PLAT_POLL_ERR,
               "events are passed through");

int umn__t_watch_add(struct umn_watch **out, int fd, uint32_t interest, unsigned number,
                     void (*ready)(void *arg, uint32_t events), void *arg)
{
    struct umn_t_cpu *cpu = &umn__t.cpu[number < umn__t.cpus ? number : 0];
    struct umn_watch *w = plat_alloc(sizeof *w);
    if (!w)
        return UMN_ENOMEM;
    w->cpu = cpu;
    w->fd = fd;
    w->interest = interest;
    w->ready = ready;
    w->arg = arg;
    bool taken = umn__t_cpu_take(cpu);
    umn_list_add_tail(&cpu->watches, &w->link);
    *out = w; /* before the first event can come */
    int error = plat_poller_add(cpu->poller, fd, interest, w);
    if (error) {
        umn_list_remove(&w->link);
        *out = NULL;
    }
    if (taken)
        umn__t_cpu_give(cpu);
    if (error)
        plat_free(w);
    return error;
}

void umn__watch_set(struct umn_watch *w, uint32_t interest)
{
    plat_mutex_lock(&w->lock);
    if (w->interest != interest) {
        __atomic_store_n(&w->interest, interest, __ATOMIC_RELAXED);
        (void)plat_poller_mod(w->cpu->poller, w->fd, interest, w);
    }
    plat_mutex_unlock(&w->lock);
}

void umn__t_watch_remove(struct umn_watch *w)
{
    struct umn_t_cpu *cpu = w->cpu;
    bool taken = umn__t_cpu_take(cpu);
    w->dead = true;
    plat_poller_del(cpu->poller, w->fd);
    umn_list_remove(&w->link);
    umn_list_add_tail(&cpu->dead_watches, &w->link);
    if (taken)
        umn__t_cpu_give(cpu);
    umn__t_cpu_wake(cpu); /* to free it */
}

bool umn__t_deliver(struct umn_t_cpu *cpu, const struct plat_poll_event *ev, int n)
{
    for (int i = 0; i < n; i++) {
        struct umn_watch *w = ev[i].cookie;
        if (w->dead)
            continue;
        uint32_t interest = __atomic_load_n(&w->interest, __ATOMIC_RELAXED);
        uint32_t events = ev[i].ready & (interest | UMN_WATCH_ERR);
        if (interest && events)
            w->ready(w->arg, events);
    }
    return n > 0;
}

void umn__t_free_watches(struct umn_t_cpu *cpu)
{
    while (!umn_list_empty(&cpu->dead_watches)) {
        struct umn_watch *w = umn_container_of(cpu->dead_watches.next, struct umn_watch, link);
        umn_list_remove(&w->link);
        plat_free(w);
    }
}

int umn__t_poll_add(struct umn_poll **out, unsigned number, bool (*poll)(void *arg), void *arg)
{
    struct umn_t_cpu *cpu = &umn__t.cpu[number < umn__t.cpus ? number : 0];
    struct umn_poll *p = plat_alloc(sizeof *p);
    if (!p)
        return UMN_ENOMEM;
    p->cpu = cpu;
    p->poll = poll;
    p->arg = arg;
    *out = p;
    bool taken = umn__t_cpu_take(cpu);
    umn_list_add_tail(&cpu->polls, &p->link);
    if (taken)
        umn__t_cpu_give(cpu);
    umn__t_cpu_wake(cpu);
    return 0;
}

void umn__t_poll_remove(struct umn_poll *p)
{
    bool taken = umn__t_cpu_take(p->cpu);
    umn_list_remove(&p->link);
    if (taken)
        umn__t_cpu_give(p->cpu);
    plat_free(p);
}

bool umn__t_run_polls(struct umn_t_cpu *cpu)
{
    bool did = false;
    umn_list_for_each (l, &cpu->polls) {
        struct umn_poll *p = umn_container_of(l, struct umn_poll, link);
        did |= p->poll(p->arg);
    }
    return did;
}
