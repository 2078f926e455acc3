/* SPDX-License-Identifier: MIT */
/*
 * What n virtual miniports cost is proportional to n: twice as many make at most 2.5 times as many
 * scheduler steps and allocations, while they come up, while they are looked at and while they go.
 * No clock: a box on the explore back end counts the same in each run. Loops that neither step nor
 * allocate are counted by tests/e2e/220_linear_growth.sh.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "check/check.h"
#include "config/config.h"
#include "ndis/host.h"
#include "plat/plat.h"
#include "sched/sched.h"
#include "umndis/umndis.h"

#define FEW 40

enum phase { UP, SHOW, SOME_GONE, REST_GONE, PHASES };
static const char *const names[] = {"coming up", "show", "a half removed", "box torn down"};

struct cost {
    uint64_t steps, allocations;
};

static char drivers[400], lower[64];
static unsigned Count;
static struct cost Cost[PHASES], Before;
static char failure[300];
#define CHECK(c)                                                                                   \
    do {                                                                                           \
        if (!(c) && !*failure)                                                                     \
            snprintf(failure, sizeof failure, "line %d: %s: %s", __LINE__, #c, umn_last_error());  \
    } while (0)

/* What has been spent since the last call. */
static struct cost spent(void)
{
    struct cost now = {umn__sched_steps(), plat_alloc_count()}, since = now;

    since.steps -= Before.steps;
    since.allocations -= Before.allocations;
    Before = now;
    return since;
}

static void services(void)
{
    char id[64];

    CHECK(umn__netcfg_add_service("wire", "miniport", "wire") == 0);
    CHECK(umn__netcfg_add_service("mux", "intermediate", "mux") == 0);
    CHECK(umn__netcfg_add_service("pktio", "protocol", "pktio") == 0);
    CHECK(umn__netcfg_load("mux") == 0 && umn__netcfg_load("pktio") == 0);
    CHECK(umn__netcfg_add_adapter("wire", "wire0", NULL, 0, true, id, lower) == 0);
    CHECK(umn__netcfg_bind("mux", lower) == 0);
}

static bool visit(void *arg, const struct umn_adapter_info *a)
{
    *(unsigned *)arg += a->virtual_miniport && strcmp(a->state, "Running") == 0;
    return true;
}

static unsigned running(void)
{
    unsigned n = 0;

    umn__ndis_adapters(visit, &n);
    return n;
}

static void many(void *arg)
{
    struct umn_vm_desc *desc = calloc(Count, sizeof *desc);
    char(*id)[32] = calloc(Count, sizeof *id);
    const char **half = calloc(Count, sizeof *half);

    services();
    for (unsigned i = 0; i < Count; i++) {
        desc[i] = (struct umn_vm_desc){.service = "mux", .lower_guid = lower, .upper = "pktio"};
        snprintf(id[i], sizeof id[i], "ROOT\\NET\\%04u", i + 1); /* behind the lower adapter */
        half[i / 2] = id[i];
    }
    spent();
    CHECK(umn__netcfg_add_vms(desc, Count) == 0);
    Cost[UP] = spent();
    CHECK(running() == Count);
    Cost[SHOW] = spent();
    CHECK(umn__netcfg_remove_vms(half, Count / 2) == 0);
    Cost[SOME_GONE] = spent();
    CHECK(running() == Count - Count / 2);
    spent();
    free(desc);
    free(id);
    free(half);
}

static void run(unsigned count, struct cost cost[PHASES])
{
    struct umn_box_config config = {.backend = UMN_BOX_EXPLORE, .driver_path = drivers};

    Count = count;
    plat_fail_alloc_at(0); /* counts from here */
    Before = (struct cost){0};
    assert_int_equal(umn_box_create(&config), 0);
    assert_int_equal(umn_box_run(many, NULL), 0);
    Cost[REST_GONE] = spent();
    assert_int_equal(umn__report_count(), 0);
    umn_box_destroy();
    assert_string_equal(failure, "");
    memcpy(cost, Cost, sizeof Cost);
}

static void costs_grow_with_the_number(void **state)
{
    struct cost few[PHASES], many[PHASES];

    run(FEW, few);
    run(2 * FEW, many);
    for (unsigned p = 0; p < PHASES; p++) {
        print_message("%s: %llu -> %llu steps, %llu -> %llu allocations\n", names[p],
                      (unsigned long long)few[p].steps, (unsigned long long)many[p].steps,
                      (unsigned long long)few[p].allocations,
                      (unsigned long long)many[p].allocations);
        assert_true(few[p].allocations > FEW / 2);
        assert_true(2 * many[p].steps < 5 * few[p].steps || many[p].steps == 0);
        assert_true(2 * many[p].allocations < 5 * few[p].allocations);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(costs_grow_with_the_number)};
    ssize_t n = readlink("/proc/self/exe", drivers, sizeof drivers - 40);

    if (n <= 0)
        return 1;
    drivers[n] = 0;
    for (int up = 0; up < 3; up++) /* .../tests/unit/test_growth */
        *strrchr(drivers, '/') = 0;
    strcat(drivers, "/drivers");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
