/* SPDX-License-Identifier: MIT */
/* Reports, refusals and the event ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "check/check.h"
#include "plat/plat.h"
#include "sched/sched.h"
#include "trace/trace.h"

static struct umn_report Seen;
static void see_report(const struct umn_report *r)
{
    Seen = *r;
}

static void report_at_dispatch(void *arg)
{
    uint8_t old = umn__irql_raise(UMN_DISPATCH);
    umn__report("SpinLock", 0x40009, "lock %d is held", 7);
    assert_false(umn__check_irql(UMN_PASSIVE, "ZwClose"));
    assert_true(umn__check_irql(UMN_DISPATCH, "KeSetTimer"));
    umn__irql_lower(old);
    assert_true(umn__check_irql(UMN_PASSIVE, "ZwClose"));
}

static void reports_are_kept_and_counted(void **state)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE};
    umn__report_reset();
    umn__report_quiet(true);
    umn__report_hook(see_report);
    assert_int_equal(umn__sched_start(&config), 0);
    assert_int_equal(umn__sched_run(report_at_dispatch, NULL), 0);
    umn__sched_stop();
    assert_int_equal(umn__report_count(), 2);
    const struct umn_report *r = umn__report_get(0);
    assert_string_equal(r->rule, "SpinLock");
    assert_string_equal(r->text, "lock 7 is held");
    assert_int_equal(r->code, 0x40009);
    assert_int_equal(r->irql, UMN_DISPATCH);
    assert_int_not_equal(r->ctx, 0);
    assert_string_equal(Seen.rule, "IrqlZwPassive");
    assert_non_null(strstr(Seen.text, "ZwClose"));
    for (int i = 0; i < 100; i++)
        umn__report("ST-10", 0, "again");
    assert_int_equal(umn__report_count(), 102);
    assert_int_equal(umn__report_count_rule("ST-10"), 100); /* kept or not */
    assert_int_equal(umn__report_count_rule("SpinLock"), 1);
    assert_int_equal(umn__report_count_rule("other"), 0);
    assert_non_null(umn__report_get(63));
    assert_null(umn__report_get(64));
    umn__report_hook(NULL);
    umn__report_reset();
    umn__report_quiet(false);
    assert_int_equal(umn__report_count(), 0);
    assert_null(umn__report_get(0));
}

static void refusals_are_kept(void **state)
{
    umn__refusal_clear();
    assert_string_equal(umn__refusal(), "");
    assert_int_equal(umn__refuse(UMN_EINVAL, "x.inf:%d: section expected", 12), UMN_EINVAL);
    assert_string_equal(umn__refusal(), "x.inf:12: section expected");
    assert_int_equal(umn__refuse(UMN_ENOENT, "install: %s", umn__refusal()), UMN_ENOENT);
    assert_string_equal(umn__refusal(), "install: x.inf:12: section expected");
    char big[600];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    umn__refuse(UMN_EINVAL, "%s", big);
    assert_int_equal(strlen(umn__refusal()), 511);
    umn__refusal_clear();
}

static uint64_t Followed;
static void follow(const struct umn_trace_event *e)
{
    Followed = e->seq;
}

static void ring_keeps_the_last_events(void **state)
{
    struct umn_trace_event e;
    umn__trace_reset();
    assert_int_equal(umn__trace_next(), 1);
    assert_false(umn__trace_get(0, &e));
    assert_false(umn__trace_get(1, &e));
    umn__trace_follow(follow);
    umn__trace("adapter.state", "adapter %d: %s", 3, "paused -> running");
    umn__trace_follow(NULL);
    assert_int_equal(Followed, 1);
    assert_true(umn__trace_get(1, &e));
    assert_string_equal(e.what, "adapter.state");
    assert_string_equal(e.text, "adapter 3: paused -> running");
    assert_int_equal(e.ctx, 0);
    for (int i = 0; i < 8192; i++)
        umn__trace("oid.start", "%d", i);
    assert_false(umn__trace_get(1, &e));
    assert_true(umn__trace_get(2, &e));
    assert_string_equal(e.text, "0");
    assert_true(umn__trace_get(8193, &e));
    assert_false(umn__trace_get(8194, &e));
    umn__trace_reset();
    assert_false(umn__trace_get(2, &e)); /* what the ring still holds is gone all the same */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_are_kept_and_counted),
        cmocka_unit_test(refusals_are_kept),
        cmocka_unit_test(ring_keeps_the_last_events),
    };
    return cmocka_run_group_tests_name("check and trace", tests, NULL, NULL);
}
