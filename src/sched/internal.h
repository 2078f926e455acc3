/* SPDX-License-Identifier: MIT */
/*
 * Inside the scheduler: what a context is, and the operations that each back end supplies. sched.c
 * is the front that checks arguments and calls umn__x_* (explore) or umn__t_* (threads).
 */
#ifndef UMN_SCHED_INTERNAL_H
#define UMN_SCHED_INTERNAL_H

#include "plat/plat.h"
#include "sched/fiber.h"
#include "sched/sched.h"

#define UMN_MAX_CPUS 64
#define UMN_MAX_WORKERS 16
#define UMN_UNITS_PER_US 10u
#define UMN_NO_CPU (~0u)

/* What explore knows of a context. READY with bound set: at DISPATCH on its vCPU, able to run. */
enum umn_x_state { UMN_X_IDLE, UMN_X_READY, UMN_X_PARKED, UMN_X_SPINNING, UMN_X_DONE };
struct umn_x_ctx {
    struct umn_fiber fiber;
    uint8_t state;
    bool bound;   /* owns vCPU `cpu` (both back ends) */
    bool hold;    /* may go on only on vCPU `cpu`, once that one is free: DPCs came first */
    bool expired; /* the deadline ended the park */
    uint64_t seq; /* when it became ready; the lowest is the oldest */
    uint64_t prio;
    uint64_t deadline, since;
    const char *why;
    const void *object;
    struct umn_list link; /* deadlines, or spinners */
};

struct umn_ctx {
    uint32_t id;
    uint8_t kind, irql;
    bool owned; /* the scheduler's own: DPC contexts and workers, freed at stop */
    uint32_t cpu;
    uint32_t refs, permit, done;
    struct umn_ctx *joiner; /* explore */
    void (*fn)(void *);
    void *arg;
    void *nt;
    void (*nt_destroy)(void *);
    struct umn_list all;
    struct umn_x_ctx x;
    struct plat_thread *thread; /* threads; joined by the one who takes ctx off the ended list */
    char name[32];
};

_Static_assert(offsetof(struct umn_ctx, irql) == offsetof(struct umn_ctx_front, irql) &&
                   offsetof(struct umn_ctx, cpu) == offsetof(struct umn_ctx_front, cpu),
               "struct umn_ctx_front is the front of struct umn_ctx");

/* Number of struct umn_mutex held by this host thread; 0 at every point. */
extern __thread unsigned umn__mutexes __attribute__((tls_model("initial-exec")));
extern void (*umn__switch_hook)(struct umn_ctx *from, struct umn_ctx *to);
extern void (*umn__fire_hook)(struct umn_timer *t);

/* sched.c: contexts without a back end. drop gives up one reference and frees with the last. */
struct umn_ctx *umn__ctx_new(enum umn_ctx_kind kind, const char *name, uint32_t id);
void umn__ctx_destroy_nt(struct umn_ctx *ctx);
void umn__ctx_free(struct umn_ctx *ctx);
void umn__ctx_drop(struct umn_ctx *ctx);
/* A list sorted by due; equal ones in the order they came. */
void umn__timer_insert(struct umn_list *head, struct umn_timer *t);
bool umn__timer_armed(const struct umn_timer *t);

/* explore */
int umn__x_start(const struct umn_sched_config *config);
void umn__x_stop(void);
int umn__x_run(void (*fn)(void *), void *arg);
int umn__x_spawn(struct umn_ctx **out, void (*fn)(void *), void *arg, const char *name);
void umn__x_join(struct umn_ctx *ctx);
void umn__x_release(struct umn_ctx *ctx);
unsigned umn__x_cpu_count(void);
uint8_t umn__x_raise(uint8_t irql);
void umn__x_lower(uint8_t irql);
uint32_t umn__x_choose(uint32_t n, const char *what);
int umn__x_park(uint64_t deadline, const char *why, const void *object);
void umn__x_unpark(struct umn_ctx *ctx);
void umn__x_spin_acquire(uint64_t *word);
bool umn__x_spin_try(uint64_t *word);
void umn__x_spin_release(uint64_t *word);
void umn__x_dpc_queue(struct umn_dpc *dpc, unsigned cpu, bool head);
bool umn__x_dpc_remove(struct umn_dpc *dpc, unsigned cpu);
void umn__x_timer_arm(struct umn_timer *t, uint64_t due);
bool umn__x_timer_disarm(struct umn_timer *t);
void umn__x_work_queue(struct umn_work *work);
uint64_t umn__x_now(void);
void umn__x_stall(unsigned us);

/* threads */
int umn__t_start(const struct umn_sched_config *config);
void umn__t_stop(void);
int umn__t_run(void (*fn)(void *), void *arg);
int umn__t_spawn(struct umn_ctx **out, void (*fn)(void *), void *arg, const char *name);
void umn__t_join(struct umn_ctx *ctx);
void umn__t_release(struct umn_ctx *ctx);
unsigned umn__t_cpu_count(void);
void umn__t_watch_remove(struct umn_watch *w);
void umn__t_poll_remove(struct umn_poll *p);
uint8_t umn__t_raise(uint8_t irql);
void umn__t_lower(uint8_t irql);
int umn__t_park(uint64_t deadline);
void umn__t_unpark(struct umn_ctx *ctx);
void umn__t_spin_acquire(uint64_t *word);
bool umn__t_spin_try(uint64_t *word);
void umn__t_spin_release(uint64_t *word);
void umn__t_dpc_queue(struct umn_dpc *dpc, unsigned cpu, bool head);
bool umn__t_dpc_remove(struct umn_dpc *dpc, unsigned cpu);
void umn__t_timer_arm(struct umn_timer *t, uint64_t due);
bool umn__t_timer_disarm(struct umn_timer *t);
void umn__t_work_queue(struct umn_work *work);
void umn__t_stall(unsigned us);
int umn__t_watch_add(struct umn_watch **out, int fd, uint32_t interest, unsigned cpu,
                     void (*ready)(void *arg, uint32_t events), void *arg);
int umn__t_poll_add(struct umn_poll **out, unsigned cpu, bool (*poll)(void *arg), void *arg);

#endif
