/* SPDX-License-Identifier: MIT */
/*
 * The timing wheel. Time is cut into ticks; a tick is a number of eight digits of six bits, one
 * level each. The caller's lock guards everything.
 *
 *   level 0   64 slots of 1 tick (12.8 us), sorted by due      0.8 ms
 *   level 1   64 slots of 64 ticks, in order of arming          52 ms
 *   level 2   64 slots of 4096 ticks                           3.4 s      ... level 7: 114 years
 *
 * Invariant: a timer whose tick differs from `base` in digit n, and in no higher one, is on level n
 * in the slot of that digit; one without difference (or already due) is in base's slot of level 0.
 * So all of a level come before all of the next, and slots of a level in their order. Advancing
 * `base` no further than to the start of the first occupied slot keeps it true; a slot of a higher
 * level is then emptied into lower ones.
 */
#include "sched/wheel.h"

#define TICK_BITS 7 /* units of 100 ns in a tick: 2^7 */
#define TICK_MAX ((1ull << UMN_WHEEL_LEVELS * UMN_WHEEL_BITS) - 1)
#define LOOK 8 /* timers of a slot that are looked at for the exact time of the first */

static uint64_t tick_of(uint64_t time)
{
    return time >> TICK_BITS < TICK_MAX ? time >> TICK_BITS : TICK_MAX;
}

static unsigned digit(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> level * UMN_WHEEL_BITS) & (UMN_WHEEL_SLOTS - 1);
}

static struct umn_timer *timer_of(struct umn_list *l)
{
    return umn_container_of(l, struct umn_timer, link);
}

void umn__wheel_init(struct umn_wheel *w, uint64_t now)
{
    w->base = tick_of(now);
    for (unsigned level = 0; level < UMN_WHEEL_LEVELS; level++) {
        w->occupied[level] = 0;
        for (unsigned i = 0; i < UMN_WHEEL_SLOTS; i++)
            umn_list_init(&w->slot[level][i]);
    }
}

void umn__wheel_add(struct umn_wheel *w, struct umn_timer *t)
{
    uint64_t tick = tick_of(t->due) > w->base ? tick_of(t->due) : w->base;
    uint64_t differs = tick ^ w->base;
    unsigned level = differs ? (63 - (unsigned)__builtin_clzll(differs)) / UMN_WHEEL_BITS : 0;
    unsigned i = digit(tick, level);
    struct umn_list *head = &w->slot[level][i], *at = head->prev;

    while (level == 0 && at != head && timer_of(at)->due > t->due)
        at = at->prev;
    umn_list_add_head(at, &t->link);
    w->occupied[level] |= 1ull << i;
}

/* The first slot that holds a timer, or NULL; forgets those that were emptied by disarming. */
static struct umn_list *first(struct umn_wheel *w, unsigned *level, uint64_t *start)
{
    for (*level = 0; *level < UMN_WHEEL_LEVELS; ++*level) {
        while (w->occupied[*level]) {
            const unsigned i = (unsigned)__builtin_ctzll(w->occupied[*level]);
            const unsigned shift = *level * UMN_WHEEL_BITS;
            struct umn_list *head = &w->slot[*level][i];

            if (!umn_list_empty(head)) {
                *start = (w->base >> shift >> UMN_WHEEL_BITS << UMN_WHEEL_BITS | i) << shift;
                return head;
            }
            w->occupied[*level] &= w->occupied[*level] - 1;
        }
    }
    return NULL;
}

static void move_first(struct umn_list *from, struct umn_list *to)
{
    struct umn_list *l = from->next;

    umn_list_remove(l);
    umn_list_add_tail(to, l);
}

void umn__wheel_expire(struct umn_wheel *w, uint64_t now, struct umn_list *due)
{
    const uint64_t end = tick_of(now);
    struct umn_list *head;
    unsigned level;
    uint64_t start = 0;

    while ((head = first(w, &level, &start)) && start <= end) {
        if (start > w->base)
            w->base = start;
        if (level == 0) {
            if (timer_of(head->next)->due > now)
                break;
            move_first(head, due);
            continue;
        }
        /* Base has reached the slot: its timers go to lower levels, in the order they had. */
        while (!umn_list_empty(head)) {
            struct umn_timer *t = timer_of(head->next);

            umn_list_remove(&t->link);
            umn__wheel_add(w, t);
        }
    }
    if (end > w->base && (!head || start > end))
        w->base = end;
}

uint64_t umn__wheel_next(struct umn_wheel *w)
{
    uint64_t start, earliest = UINT64_MAX;
    unsigned level, n = 0;
    struct umn_list *head = first(w, &level, &start);

    if (!head)
        return UINT64_MAX;
    if (level == 0)
        return timer_of(head->next)->due;
    umn_list_for_each (l, head) {
        if (++n > LOOK)
            return start << TICK_BITS;
        if (timer_of(l)->due < earliest)
            earliest = timer_of(l)->due;
    }
    return earliest;
}

void umn__wheel_forget(struct umn_wheel *w)
{
    for (unsigned level = 0; level < UMN_WHEEL_LEVELS; level++)
        for (unsigned i = 0; i < UMN_WHEEL_SLOTS; i++)
            while (!umn_list_empty(&w->slot[level][i]))
                umn_list_remove(w->slot[level][i].next);
}
