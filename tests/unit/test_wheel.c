/* SPDX-License-Identifier: MIT */
/*
 * The timing wheel against a plain model: at each moment exactly the timers that are due come out,
 * in their order, and the wheel never asks to be looked at too late. One host thread, made-up time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include "sched/wheel.h"

#define TIMERS 2000
#define FAR 6000000000000ull /* a week in units of 100 ns */

struct model {
    struct umn_timer timer;
    uint64_t number; /* of the arming */
    bool armed;
};

static struct umn_wheel Wheel;
static struct model Timer[TIMERS];
static uint64_t Now, Armings, Seed;

static uint64_t random_below(uint64_t n)
{
    Seed ^= Seed << 13;
    Seed ^= Seed >> 7;
    Seed ^= Seed << 17;
    return Seed % n;
}

/* Times of all sizes, some equal, some in the past. */
static uint64_t some_time(void)
{
    uint64_t span = 1ull << random_below(44);

    if (random_below(50) == 0)
        return UINT64_MAX - random_below(3);
    if (random_below(10) == 0)
        return Now > 1000 ? Now - random_below(1000) : 0;
    return Now + (random_below(3) ? random_below(span) : span);
}

static void arm(struct model *m, uint64_t due)
{
    m->timer.due = due;
    m->number = ++Armings;
    m->armed = true;
    umn__wheel_add(&Wheel, &m->timer);
}

static uint64_t first_due(void)
{
    uint64_t first = UINT64_MAX;

    for (unsigned i = 0; i < TIMERS; i++)
        if (Timer[i].armed && Timer[i].timer.due < first)
            first = Timer[i].timer.due;
    return first;
}

/* Takes out what is due and compares. Returns how many came. */
static unsigned expire(void)
{
    const struct model *before = NULL;
    struct umn_list due;
    unsigned n = 0;

    umn_list_init(&due);
    umn__wheel_expire(&Wheel, Now, &due);
    umn_list_for_each (l, &due) {
        struct model *m = umn_container_of(l, struct model, timer.link);

        assert_true(m->armed && m->timer.due <= Now);
        if (before)
            assert_true(before->timer.due < m->timer.due ||
                        (before->timer.due == m->timer.due && before->number < m->number));
        before = m;
        m->armed = false;
        umn_list_remove(l);
        n++;
    }
    assert_true(first_due() > Now || first_due() == UINT64_MAX);
    assert_true(umn__wheel_next(&Wheel) <= first_due());
    return n;
}

static void begin(uint64_t seed)
{
    memset(Timer, 0, sizeof Timer);
    Seed = seed * 0x9E3779B97F4A7C15ull + 1;
    Now = random_below(FAR);
    Armings = 0;
    umn__wheel_init(&Wheel, Now);
}

static void comes_out_as_in_a_sorted_list(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        begin(seed);
        for (unsigned step = 0; step < 4000; step++) {
            struct model *m = &Timer[random_below(TIMERS)];

            if (!m->armed) {
                arm(m, some_time());
            } else if (random_below(2)) {
                umn_list_remove(&m->timer.link);
                m->armed = false;
            }
            if (random_below(8) == 0) {
                Now += random_below(1ull << random_below(40));
                expire();
            }
        }
        umn__wheel_forget(&Wheel);
        assert_int_equal(umn__wheel_next(&Wheel), UINT64_MAX);
    }
}

/* Who sleeps until umn__wheel_next wakes a few times for each timer, not once for each tick. */
static void sleepers_wake_seldom(void **state)
{
    unsigned wakes = 0, fired = 0;

    begin(7);
    for (unsigned i = 0; i < TIMERS; i++)
        arm(&Timer[i], Now + random_below(100000000));
    while (fired < TIMERS) {
        uint64_t next = umn__wheel_next(&Wheel);

        assert_true(next > Now || fired == 0);
        Now = next;
        fired += expire();
        wakes++;
    }
    assert_true(wakes <= 3 * TIMERS);
    assert_int_equal(umn__wheel_next(&Wheel), UINT64_MAX);
    arm(&Timer[0], Now + 12345678); /* one alone is waited for exactly */
    assert_int_equal(umn__wheel_next(&Wheel), Timer[0].timer.due);
    Now = Timer[0].timer.due - 1;
    assert_int_equal(expire(), 0);
    Now++;
    assert_int_equal(expire(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_out_as_in_a_sorted_list),
        cmocka_unit_test(sleepers_wake_seldom),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
