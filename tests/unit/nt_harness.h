/* SPDX-License-Identifier: MIT */
/*
 * What the tests of src/nt share: a scenario runs on the explore back end as the first system
 * thread, once as it is, then once for each of its allocations with that one failing, then on
 * random schedules. A scenario may not longjmp out of a context: CHECK keeps the first failure.
 */
#ifndef NT_HARNESS_H
#define NT_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ntddk.h>
#include <stdio.h>
#include <string.h>
#include "check/check.h"
#include "nt/nt.h"
#include "plat/plat.h"
#include "sched/sched.h"
#include "trace/trace.h"

static char failure[300];
#define CHECK(c)                                                                                   \
    do {                                                                                           \
        if (!(c) && !*failure)                                                                     \
            snprintf(failure, sizeof failure, "%s:%d: %s", __FILE__, __LINE__, #c);                \
    } while (0)
/* The rest of the scenario needs this; it fails only for want of memory. */
#define NEED(c, label)                                                                             \
    do {                                                                                           \
        if (!(c)) {                                                                                \
            CHECK(plat_alloc_failed());                                                            \
            goto label;                                                                            \
        }                                                                                          \
    } while (0)
#define RULE(rule) umn__report_count_rule(rule)

static LARGE_INTEGER __attribute__((unused)) relative_ms(LONGLONG ms)
{
    return (LARGE_INTEGER){.QuadPart = -ms * 10000};
}

struct armed {
    void (*scenario)(void *);
    uint64_t nth;
    bool hit;
};

static void run_armed(void *arg)
{
    struct armed *a = arg;
    plat_fail_alloc_at(a->nth);
    a->scenario(NULL);
    a->hit = plat_alloc_failed();
    plat_fail_alloc_at(0);
}

/* One run. expected: number of reports; with a failed allocation only 0 is held to. Returns whether
 * the allocation came to pass. */
static bool run_once(void (*scenario)(void *), const struct umn_sched_config *config, uint64_t nth,
                     unsigned expected)
{
    size_t before = plat_alloc_live();
    umn__report_reset();
    *failure = 0;
    assert_int_equal(umn__sched_start(config), 0);
    assert_int_equal(umn__nt_start(), 0);
    struct armed armed = {scenario, nth, false};
    int err = umn__sched_run(run_armed, &armed);
    bool hit = armed.hit;
    if (err)
        print_error("%s\n", umn__sched_describe());
    umn__nt_stop();
    umn__sched_stop();
    bool reports = umn__report_count() != expected && (!hit || expected == 0);
    if (*failure || err || reports || plat_alloc_live() != before)
        print_error("allocation %llu, seed %llu\n", (unsigned long long)nth,
                    (unsigned long long)config->seed);
    for (unsigned i = 0; reports && umn__report_get(i); i++)
        print_error("%s: %s\n", umn__report_get(i)->rule, umn__report_get(i)->text);
    assert_string_equal(failure, "");
    assert_int_equal(err, 0);
    assert_false(reports);
    assert_int_equal(plat_alloc_live(), before);
    return hit;
}

/* All runs of a scenario that must give `expected` reports. */
static void __attribute__((unused)) explore(void (*scenario)(void *), unsigned expected)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE, .cpus = 2};
    umn__report_quiet(true);
    run_once(scenario, &config, 0, expected);
    uint64_t n = 1;
    while (run_once(scenario, &config, n, expected))
        assert_true(++n < 500);
    for (config.seed = 1; config.seed <= 60; config.seed++) {
        config.strategy = config.seed % 2 ? UMN_STRATEGY_RANDOM : UMN_STRATEGY_PCT;
        run_once(scenario, &config, 0, expected);
    }
    umn__report_quiet(false);
}

#endif
