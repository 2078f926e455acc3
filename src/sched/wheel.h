/* SPDX-License-Identifier: MIT */
/*
 * A hierarchical timing wheel: the timers of one vCPU of the threads back end. Arming and disarming
 * cost the same for one timer and for 10,000. No lock of its own: the caller holds one.
 */
#ifndef UMN_WHEEL_H
#define UMN_WHEEL_H

#include "sched/sched.h"

#define UMN_WHEEL_LEVELS 8
#define UMN_WHEEL_BITS 6
#define UMN_WHEEL_SLOTS (1u << UMN_WHEEL_BITS)

struct umn_wheel {
    uint64_t base;                       /* a tick; whatever is due before it has been taken out */
    uint64_t occupied[UMN_WHEEL_LEVELS]; /* bit: the slot may hold timers */
    struct umn_list slot[UMN_WHEEL_LEVELS][UMN_WHEEL_SLOTS];
};

void umn__wheel_init(struct umn_wheel *w, uint64_t now);
/* t->due is set. It is taken out again by umn_list_remove(&t->link), at any time. */
void umn__wheel_add(struct umn_wheel *w, struct umn_timer *t);
/* Moves the timers that are due now to the tail of `due`, by time, equal ones as they were armed.
 */
void umn__wheel_expire(struct umn_wheel *w, uint64_t now, struct umn_list *due);
/* When to call expire next: not after the first timer is due, possibly before; UINT64_MAX: none. */
uint64_t umn__wheel_next(struct umn_wheel *w);
/* Takes every timer out, armed no more. */
void umn__wheel_forget(struct umn_wheel *w);

#endif
