/* SPDX-License-Identifier: MIT */
/* The threads back end is not here yet: start refuses, so nothing else is reached. */
#include "sched/internal.h"
int umn__t_start(const struct umn_sched_config *config)
{
    return UMN_ENOTSUP;
}
void umn__t_stop(void)
{
}
int umn__t_run(void (*fn)(void *), void *arg)
{
    return UMN_ENOTSUP;
}
int umn__t_spawn(struct umn_ctx **out, void (*fn)(void *), void *arg, const char *name)
{
    return UMN_ENOTSUP;
}
void umn__t_join(struct umn_ctx *ctx)
{
}
void umn__t_release(struct umn_ctx *ctx)
{
}
unsigned umn__t_cpu_count(void)
{
    return 0;
}
uint8_t umn__t_raise(uint8_t irql)
{
    return 0;
}
void umn__t_lower(uint8_t irql)
{
}
int umn__t_park(uint64_t deadline)
{
    return UMN_ENOTSUP;
}
void umn__t_unpark(struct umn_ctx *ctx)
{
}
void umn__t_spin_acquire(uint64_t *word)
{
}
bool umn__t_spin_try(uint64_t *word)
{
    return 0;
}
void umn__t_spin_release(uint64_t *word)
{
}
void umn__t_dpc_queue(struct umn_dpc *dpc, unsigned cpu, bool head)
{
}
bool umn__t_dpc_remove(struct umn_dpc *dpc, unsigned cpu)
{
    return 0;
}
void umn__t_timer_arm(struct umn_timer *t, uint64_t due)
{
}
bool umn__t_timer_disarm(struct umn_timer *t)
{
    return 0;
}
void umn__t_work_queue(struct umn_work *work)
{
}
void umn__t_stall(unsigned us)
{
}
int umn__t_watch_add(struct umn_watch **out, int fd, uint32_t interest, unsigned cpu,
                     void (*ready)(void *arg, uint32_t events), void *arg)
{
    return UMN_ENOTSUP;
}
int umn__t_poll_add(struct umn_poll **out, unsigned cpu, bool (*poll)(void *arg), void *arg)
{
    return UMN_ENOTSUP;
}
void umn__watch_set(struct umn_watch *w, uint32_t i)
{
}
void umn__watch_remove(struct umn_watch *w)
{
}
void umn__poll_remove(struct umn_poll *p)
{
}
