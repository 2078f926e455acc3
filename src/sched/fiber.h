/* SPDX-License-Identifier: MIT */
/*
 * Fibers: own stacks switched on one host thread. Stacks come from a pool that stays over runs, the
 * last one given back first, so equal runs get stacks in an equal pattern.
 */
#ifndef UMN_FIBER_H
#define UMN_FIBER_H

#include <stdbool.h>
#include <stddef.h>

struct umn_fiber {
    void *sp;
    void *stack; /* lowest usable byte; NULL: the host thread's own stack, or none yet */
    size_t size;
    void *asan; /* AddressSanitizer's fake stack while switched out */
    void *tsan; /* ThreadSanitizer's fiber */
};

/* Takes a stack; the first switch to the fiber calls entry(arg), which must never return.
 * UMN_ENOMEM without memory for a stack. */
int umn__fiber_init(struct umn_fiber *f, void (*entry)(void *), void *arg);
/* Gives the stack back, whatever is still on it. Never for the running fiber. */
void umn__fiber_release(struct umn_fiber *f);
/* Makes `f` stand for the calling host thread. */
void umn__fiber_host(struct umn_fiber *f);
/* from: the running one. last: it will not be switched to again. */
void umn__fiber_switch(struct umn_fiber *from, struct umn_fiber *to, bool last);
/* Tells the sanitizers that a longjmp has left a fiber for the host's own frames. */
void umn__fiber_left(struct umn_fiber *host);
/* First call of every entry function: completes the switch for the sanitizers. */
void umn__fiber_entered(void);

#endif
