/* SPDX-License-Identifier: MIT */
/*
 * The control path of the NDIS library under many schedules, with every single allocation failing
 * in turn, and with thousands of virtual miniports. After each run: as many halts as
 * initializations, no report, nothing leaked, nothing hanging.
 */
#include "ndis_world.h"

#include <time.h>

static unsigned seeds = 150; /* UMN_SEEDS in the environment: more */

/* ---- schedules
 * ------------------------------------------------------------------------------------- */

static void run_seeds(void (*test)(void))
{
    const unsigned n = world_backend == UMN_BACKEND_THREADS ? seeds / 10 : seeds;
    size_t live = plat_alloc_live();

    for (unsigned seed = 1; seed <= n; seed++) {
        enum umn_strategy strategy = seed % 3 ? UMN_STRATEGY_RANDOM : UMN_STRATEGY_PCT;
        int error;

        world_reset();
        umn__report_reset();
        error = world_run(test, strategy, seed);
        reg_free();
        if (error || *failure)
            fail_msg("seed %u: %d %s", seed, error, failure);
        if (umn__report_count())
            fail_msg("seed %u: %s: %s\nlog: %s", seed, umn__report_get(0)->rule,
                     umn__report_get(0)->text, log_text);
        if (init_calls != halt_calls || plat_alloc_live() != live)
            fail_msg("seed %u: %u inits, %u halts, %zd blocks left\nlog: %s", seed, init_calls,
                     halt_calls, plat_alloc_live() - live, log_text);
    }
}

static void requester(void *arg)
{
    request(100, &mps[100]);
}

static void canceller(void *arg)
{
    if (cancel_request(100) == NDIS_STATUS_SUCCESS)
        note("cancelled ");
}

static void starter(void *arg)
{
    start(100);
}

static void deinitializer(void *arg)
{
    NDIS_HANDLE handle = __atomic_load_n(&mps[100].handle, __ATOMIC_SEQ_CST);

    if (handle)
        NdisIMDeInitializeDeviceInstance(handle);
}

static void remover(void *arg)
{
    gone(100);
}

static void join_all(void (**fns)(void *), unsigned n)
{
    struct umn_ctx *ctx[8];

    for (unsigned i = 0; i < n; i++)
        CHECK(umn__ctx_spawn(&ctx[i], fns[i], NULL, "racer") == 0);
    for (unsigned i = 0; i < n; i++)
        umn__ctx_join(ctx[i]);
}

/* Both halves at once: exactly one MiniportInitializeEx whatever the order. */
static void both_halves(void)
{
    void (*fns[])(void *) = {requester, starter};

    script.no_requests = true;
    mux_world();
    add(100, mux_driver);
    *log_text = 0;
    join_all(fns, 2);
    EQ(count("init:100"), 1);
    EQ(((struct ndis_adapter *)mps[100].handle)->state, NDIS_ADAPTER_RUNNING);
}

static void request_cancel_start(void)
{
    void (*fns[])(void *) = {requester, canceller, starter};

    script.no_requests = true;
    mux_world();
    add(100, mux_driver);
    *log_text = 0;
    join_all(fns, 3);
    EQ(count("init:100") + count("cancelled"), 1);
}

static void everything_at_once(void)
{
    void (*fns[])(void *) = {requester, starter,   deinitializer,
                             requester, canceller, deinitializer};

    script.no_requests = true;
    mux_world();
    add(100, mux_driver);
    join_all(fns, 6);
}

static void remove_in_between(void)
{
    void (*fns[])(void *) = {requester, deinitializer, remover, requester, canceller};

    script.no_requests = true;
    mux_world();
    add(100, mux_driver);
    start(100);
    join_all(fns, 5);
    cancel_request(100);
}

static void stopper(void *arg)
{
    irp(1, IRP_MN_SURPRISE_REMOVAL);
}

/* The lower adapter goes while a virtual miniport starts and its device comes and goes. */
static void lower_goes(void)
{
    void (*fns[])(void *) = {starter, stopper};

    script.vms[0] = 100;
    script.vms[1] = 101;
    mux_world();
    add(100, mux_driver);
    add(101, mux_driver);
    start(101);
    join_all(fns, 2);
    EQ(ndis__adapter_find(name_of(100))->state, NDIS_ADAPTER_HALTED);
    EQ(ndis__adapter_find(name_of(101))->state, NDIS_ADAPTER_HALTED);
}

static void pa_loader(void *arg)
{
    CHECK(load("pa", PaEntry, &pa_driver));
}
static void pb_loader(void *arg)
{
    CHECK(load("pb", PbEntry, &pb_driver));
}
static void nic_starter(void *arg)
{
    start(1);
}
static void rebinder(void *arg)
{
    umn__ndis_rebind(NULL);
}
static void indicator(void *arg)
{
    struct mp *m = &mps[1];

    for (int i = 0; i < 3; i++) {
        NDIS_HANDLE handle = __atomic_load_n(&m->handle, __ATOMIC_SEQ_CST);
        if (!handle)
            return;
        link_state(handle, i & 1 ? MediaConnectStateConnected : MediaConnectStateDisconnected,
                   NULL);
    }
}

/* IM-BND-01: one bind per pair, whoever comes first. */
static void arrivals(void)
{
    void (*fns[])(void *) = {pa_loader, nic_starter, pb_loader, rebinder};

    BIND("pa", 1);
    BIND("pb", 1);
    CHECK(load("nic", NicEntry, &nic_driver));
    add(1, nic_driver);
    join_all(fns, 4);
    EQ(count(" bind:pa:1") + (strncmp(log_text, "bind:pa:1", 9) == 0), 1);
    EQ(count(" bind:pb:1") + (strncmp(log_text, "bind:pb:1", 9) == 0), 1);
    EQ(((struct ndis_adapter *)mps[1].handle)->state, NDIS_ADAPTER_RUNNING);
    EQ(count("binds::0"), 2);
}

static void pa_unloader(void *arg)
{
    unload(&pa_driver);
}
static void unbinder(void *arg)
{
    NDIS_HANDLE handle = NULL;

    umn__lock(&bounds_lock);
    umn_list_for_each (l, &bounds) {
        struct bound *b = umn_container_of(l, struct bound, link);
        if (b->proto == &pb_proto)
            handle = b->handle;
    }
    umn__unlock(&bounds_lock);
    if (handle)
        NdisUnbindAdapter(handle);
}

/* Unbinds, statuses and re-enumeration cross each other. */
static void departures(void)
{
    void (*fns[])(void *) = {pa_unloader, indicator, unbinder, rebinder};

    BIND("pa", 1);
    BIND("pb", 1);
    CHECK(load("nic", NicEntry, &nic_driver));
    add(1, nic_driver);
    start(1);
    pa_loader(NULL);
    pb_loader(NULL);
    join_all(fns, 4);
}

/* IM-UNL-03: a protocol leaves while an adapter that it wants comes up. */
static void leaves_while_binding(void)
{
    void (*fns[])(void *) = {nic_starter, pa_unloader, rebinder};

    BIND("pa", 1);
    CHECK(load("nic", NicEntry, &nic_driver));
    pa_loader(NULL);
    add(1, nic_driver);
    join_all(fns, 3);
    CHECK(umn_list_empty(&bounds));
}

static void test_schedules(void **state)
{
    run_seeds(both_halves);
    run_seeds(request_cancel_start);
    run_seeds(everything_at_once);
    run_seeds(remove_in_between);
}

static void test_schedules_lower(void **state)
{
    run_seeds(lower_goes);
    run_seeds(arrivals);
    run_seeds(departures);
    run_seeds(leaves_while_binding);
}

/* The same on host threads: what the sanitizers look at. */
static void test_threads(void **state)
{
    world_backend = UMN_BACKEND_THREADS;
    run_seeds(both_halves);
    run_seeds(request_cancel_start);
    run_seeds(everything_at_once);
    run_seeds(remove_in_between);
    run_seeds(lower_goes);
    run_seeds(arrivals);
    run_seeds(departures);
    run_seeds(leaves_while_binding);
    world_backend = UMN_BACKEND_EXPLORE;
}

/* ---- failing allocations
 * ------------------------------------------------------------------------------ */

/* A little of everything; checks nothing, since anything may fail. */
static void sweep_scenario(void)
{
    NDIS_STATUS ignored;
    NDIS_HANDLE c = NULL;
    NDIS_CONFIGURATION_PARAMETER *v;
    UNICODE_STRING s;
    WCHAR w[40];

    script.vms[0] = 100;
    script.vms[1] = 101;
    script.mtu = 9000;
    BIND("mux", 1);
    BIND("pa", 1, 100);
    if (!load("nic", NicEntry, &nic_driver) || !load("mux", MuxEntry, &mux_driver))
        return;
    add(1, nic_driver);
    start(1);
    load("pa", PaEntry, &pa_driver);
    add(100, mux_driver);
    start(100);
    if (mps[100].handle && mps[1].handle) {
        NDIS_CONFIGURATION_OBJECT o = {
            .Header = {NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT, 1, sizeof o},
            .NdisHandle = mps[1].handle};
        NdisIfAddIfStackEntry(((struct ndis_adapter *)mps[100].handle)->ifindex,
                              ((struct ndis_adapter *)mps[1].handle)->ifindex);
        if (NdisOpenConfigurationEx(&o, &c) == NDIS_STATUS_SUCCESS) {
            us(&s, w, "NetCfgInstanceId");
            NdisReadConfiguration(&ignored, &v, c, &s, NdisParameterString);
            NdisCloseConfiguration(c);
        }
        if (NdisMQueryAdapterInstanceName(&s, mps[1].handle) == NDIS_STATUS_SUCCESS)
            NdisFreeMemory(s.Buffer, 0, 0);
    }
    umn__ndis_rebind(NULL);
    umn__ndis_reconfigure("mux", NULL, "x", 1, &ignored);
    gone(100);
    add(100, mux_driver);
    start(100);
    irp(1, IRP_MN_STOP_DEVICE);
    start(1);
}

static void test_sweep(void **state)
{
    size_t live = plat_alloc_live();
    unsigned nth;

    umn__report_quiet(true);
    for (nth = 1; nth < 5000; nth++) {
        bool failed;
        int error;

        world_reset();
        umn__report_reset();
        plat_fail_alloc_at(nth);
        error = world_run(sweep_scenario, UMN_STRATEGY_FIFO, 0);
        failed = plat_alloc_failed();
        plat_fail_alloc_at(0);
        reg_free();
        if (error == UMN_EHANG || *failure)
            fail_msg("allocation %u: %d %s", nth, error, failure);
        if (umn__report_count())
            fail_msg("allocation %u: %s: %s\nlog: %s", nth, umn__report_get(0)->rule,
                     umn__report_get(0)->text, log_text);
        if (init_calls != halt_calls || plat_alloc_live() != live)
            fail_msg("allocation %u: %u inits, %u halts, %zd blocks left\nlog: %s", nth, init_calls,
                     halt_calls, plat_alloc_live() - live, log_text);
        if (!failed)
            break;
    }
    umn__report_quiet(false);
    assert_true(nth > 100 && nth < 5000);
    print_message("%u allocations\n", nth - 1);
}

/* ---- many virtual miniports
 * ------------------------------------------------------------------------------ */

static int many;
static void bring_up(void)
{
    static int numbers[MAX_DEVICES];
    struct timespec a, b;
    double seconds;

    for (int i = 0; i < many; i++)
        numbers[i] = i + 2;
    numbers[many] = -1;
    script.no_requests = true;
    BIND("mux", 1);
    bind_list("pa", numbers);
    CHECK(load("nic", NicEntry, &nic_driver));
    CHECK(load("mux", MuxEntry, &mux_driver));
    CHECK(load("pa", PaEntry, &pa_driver));
    add(1, nic_driver);
    start(1);
    for (int i = 0; i < many; i++) {
        CHECK(request(numbers[i], NULL) == NDIS_STATUS_SUCCESS);
        reg_text(SET "x", "x", "x");
        CHECK(add(numbers[i], mux_driver) == STATUS_SUCCESS);
    }
    registry_reads = 0;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < many; i++) {
        *log_text = 0;
        CHECK(start(numbers[i]) == STATUS_SUCCESS);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    print_message("%d virtual miniports with a protocol each: %.3f s, %zu registry reads each\n",
                  many, seconds, registry_reads / (size_t)many);
    for (int i = 0; i < many; i++)
        CHECK(((struct ndis_adapter *)mps[numbers[i]].handle)->state == NDIS_ADAPTER_RUNNING);
}

static void test_many(void **state)
{
    static const int sizes[] = {500, 1000, 4096};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t live = plat_alloc_live();

        many = sizes[i];
        world_reset();
        umn__report_reset();
        assert_int_equal(world_run(bring_up, UMN_STRATEGY_FIFO, 0), 0);
        reg_free();
        if (*failure)
            fail_msg("%s", failure);
        assert_int_equal(umn__report_count(), 0);
        assert_int_equal(init_calls, many + 1);
        assert_int_equal(halt_calls, many + 1);
        assert_int_equal(plat_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedules), cmocka_unit_test(test_schedules_lower),
        cmocka_unit_test(test_threads),   cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_many),
    };

    if (getenv("UMN_SEEDS"))
        seeds = (unsigned)atoi(getenv("UMN_SEEDS"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
