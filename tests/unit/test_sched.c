/* SPDX-License-Identifier: MIT */
/*
 * The explore back end: who may run when (verification 3.4), virtual time, hangs, determinism and
 * replay. Each test starts and stops its own scheduler; nothing may stay allocated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include "plat/plat.h"
#include "sched/sched.h"

#define MS 10000u

static char Log[256]; /* what happened, a letter each */

static void note(char c)
{
    size_t n = strlen(Log);
    if (n + 1 < sizeof Log) {
        Log[n] = c;
        Log[n + 1] = 0;
    }
}

static void start(enum umn_strategy strategy, uint64_t seed, unsigned cpus)
{
    struct umn_sched_config config = {
        .backend = UMN_BACKEND_EXPLORE, .strategy = strategy, .seed = seed, .cpus = cpus};
    Log[0] = 0;
    assert_int_equal(umn__sched_start(&config), 0);
}

static void start_replay(const void *trace, size_t size)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE,
                                      .strategy = UMN_STRATEGY_REPLAY,
                                      .replay = trace,
                                      .replay_size = size};
    Log[0] = 0;
    assert_int_equal(umn__sched_start(&config), 0);
}

static void stop(void)
{
    umn__sched_stop();
    assert_int_equal(plat_alloc_live(), 0);
}

static int run_once(void (*fn)(void *), enum umn_strategy strategy, uint64_t seed, unsigned cpus)
{
    start(strategy, seed, cpus);
    int result = umn__sched_run(fn, NULL);
    stop();
    return result;
}

/* ---- contexts, parking, time
 * --------------------------------------------------------------------- */

static struct umn_ctx *Sleeper;
static bool Flag;

static void sleeper(void *arg)
{
    note('s');
    while (!Flag)
        assert_int_equal(umn__park(UMN_FOREVER, "flag", &Flag), 0);
    note('w');
}

static void park_main(void *arg)
{
    Flag = false;
    assert_int_equal(umn__ctx_spawn(&Sleeper, sleeper, NULL, "sleeper"), 0);
    assert_string_equal(umn__ctx_name(Sleeper), "sleeper");
    assert_int_equal(umn__ctx_kind(Sleeper), UMN_CTX_THREAD);
    assert_true(umn__ctx_id(Sleeper) > umn__ctx_id(umn__ctx_self()));
    note('a');
    umn__point(UMN_OP_YIELD, NULL);
    note('b');
    umn__unpark(Sleeper); /* without the flag: it parks again */
    umn__point(UMN_OP_YIELD, NULL);
    Flag = true;
    umn__unpark(Sleeper);
    umn__ctx_join(Sleeper);
    note('c');
}

static void contexts_park_and_unpark(void **state)
{
    assert_int_equal(run_once(park_main, UMN_STRATEGY_FIFO, 0, 0), 0);
    assert_string_equal(Log, "asbwc");
    for (unsigned seed = 1; seed < 50; seed++) {
        assert_int_equal(run_once(park_main, UMN_STRATEGY_RANDOM, seed, 0), 0);
        assert_int_equal(run_once(park_main, UMN_STRATEGY_PCT, seed, 0), 0);
    }
}

static void permit_main(void *arg)
{
    umn__unpark(umn__ctx_self());
    umn__unpark(umn__ctx_self()); /* permits do not add up */
    uint64_t t0 = umn__now();
    assert_int_equal(umn__park(UMN_FOREVER, "permit", NULL), 0);
    assert_true(umn__now() - t0 < 1 * MS);
    assert_int_equal(umn__park(umn__now() + 50 * MS, "time", NULL), UMN_ETIMEDOUT);
    assert_in_range(umn__now() - t0, 50 * MS, 51 * MS);
    assert_int_equal(umn__park(0, "past", NULL), UMN_ETIMEDOUT);
    t0 = umn__now_wall();
    assert_true(t0 > 133485408000000000ull);
    umn__stall(100);
    assert_in_range(umn__now_wall() - t0, 1000, 1100);
}

static void permits_and_deadlines_in_virtual_time(void **state)
{
    uint64_t real = plat_now_monotonic();
    assert_int_equal(run_once(permit_main, UMN_STRATEGY_FIFO, 0, 0), 0);
    assert_true(plat_now_monotonic() - real < 50 * MS);
}

static void sleep_and_note(void *arg)
{
    uintptr_t ms = (uintptr_t)arg;
    umn__park(umn__now() + ms * MS, "sleep", NULL);
    note((char)('0' + ms));
}

static void sleepers_main(void *arg)
{
    for (uintptr_t ms = 9; ms < 10; ms -= 2)
        assert_int_equal(umn__ctx_spawn(NULL, sleep_and_note, (void *)ms, "sleeper"), 0);
}

static void run_waits_for_sleepers_in_due_order(void **state)
{
    assert_int_equal(run_once(sleepers_main, UMN_STRATEGY_FIFO, 0, 0), 0);
    assert_string_equal(Log, "13579");
}

static unsigned NtDestroyed;
static void destroy_nt(void *nt)
{
    NtDestroyed++;
}
static void with_nt(void *arg)
{
    assert_null(umn__ctx_nt(umn__ctx_self()));
    umn__ctx_set_nt(umn__ctx_self(), &NtDestroyed, destroy_nt);
    umn__point(UMN_OP_YIELD, NULL);
    assert_ptr_equal(umn__ctx_nt(umn__ctx_self()), &NtDestroyed);
}
static void nt_main(void *arg)
{
    struct umn_ctx *ctx;
    assert_int_equal(umn__ctx_spawn(&ctx, with_nt, NULL, "nt"), 0);
    umn__ctx_join(ctx);
    assert_int_equal(NtDestroyed, 1);
    assert_int_equal(umn__ctx_spawn(&ctx, with_nt, NULL, "nt"), 0);
    umn__ctx_release(ctx);
    assert_int_equal(umn__ctx_spawn(NULL, with_nt, NULL, "nt"), 0);
}

static unsigned Switches;
static void count_switch(struct umn_ctx *from, struct umn_ctx *to)
{
    assert_ptr_equal(from, umn__ctx_self());
    assert_ptr_not_equal(from, to);
    Switches++;
}

static void nt_slot_is_destroyed_with_its_context(void **state)
{
    NtDestroyed = Switches = 0;
    umn__ctx_switches(count_switch);
    assert_int_equal(run_once(nt_main, UMN_STRATEGY_FIFO, 0, 0), 0);
    umn__ctx_switches(NULL);
    assert_int_equal(NtDestroyed, 3);
    assert_true(Switches >= 8);
}

/* ---- IRQL, DPCs, locks
 * ---------------------------------------------------------------------------- */

static void dpc_note(struct umn_dpc *dpc)
{
    assert_int_equal(umn__irql(), UMN_DISPATCH);
    assert_int_equal(umn__ctx_kind(umn__ctx_self()), UMN_CTX_DPC);
    note('d');
}
static void dpc_note_high(struct umn_dpc *dpc)
{
    note('h');
}
static struct umn_dpc Dpc[4] = {{.run = dpc_note}, {.run = dpc_note}, {.run = dpc_note_high}};

static void dpc_main(void *arg)
{
    umn__dpc_queue(&Dpc[0], UMN_ANY_CPU, false); /* below DISPATCH: it runs at once */
    note('1');
    uint8_t old = umn__irql_raise(UMN_DISPATCH);
    assert_int_equal(old, UMN_PASSIVE);
    umn__dpc_queue(&Dpc[0], UMN_ANY_CPU, false);
    umn__dpc_queue(&Dpc[1], UMN_ANY_CPU, false);
    umn__dpc_queue(&Dpc[2], UMN_ANY_CPU, true);
    assert_true(umn__dpc_remove(&Dpc[1], UMN_ANY_CPU));
    assert_false(umn__dpc_remove(&Dpc[1], umn__cpu()));
    umn__point(UMN_OP_ATOMIC, Log);
    note('2');
    umn__irql_lower(old);
    note('3');
}

static void dpcs_run_before_the_thread_goes_on(void **state)
{
    for (unsigned seed = 0; seed < 40; seed++) {
        assert_int_equal(
            run_once(dpc_main, seed ? UMN_STRATEGY_RANDOM : UMN_STRATEGY_FIFO, seed, seed % 4), 0);
        assert_string_equal(Log, "d12hd3");
    }
}

static void passive_note(void *arg)
{
    note('p');
}

static void one_cpu_main(void *arg)
{
    umn__ctx_spawn(NULL, passive_note, NULL, "passive");
    uint8_t old = umn__irql_raise(UMN_DISPATCH);
    for (int i = 0; i < 50; i++)
        umn__point(UMN_OP_YIELD, NULL);
    note('r');
    umn__irql_lower(old);
}

static void dispatch_holds_back_its_cpu_only(void **state)
{
    unsigned passive_first = 0;
    for (unsigned seed = 1; seed < 20; seed++) {
        assert_int_equal(run_once(one_cpu_main, UMN_STRATEGY_RANDOM, seed, 1), 0);
        passive_first += Log[0] == 'p';
    }
    assert_int_equal(passive_first, 0); /* no point between spawn and raise */
    assert_int_equal(run_once(one_cpu_main, UMN_STRATEGY_FIFO, 0, 2), 0);
    assert_string_equal(Log, "pr");
}

static uint64_t Lock;
static unsigned Shared, Inside;

static void add_under_lock(void *arg)
{
    for (int i = 0; i < 20; i++) {
        uint8_t old = umn__irql_raise(UMN_DISPATCH);
        umn__spin_acquire(&Lock);
        assert_int_equal(umn__spin_owner(&Lock), umn__ctx_id(umn__ctx_self()));
        assert_int_equal(Inside++, 0);
        unsigned seen = Shared;
        umn__point(UMN_OP_ATOMIC, &Shared);
        Shared = seen + 1;
        Inside--;
        umn__spin_release(&Lock);
        umn__irql_lower(old);
    }
}

static void lock_main(void *arg)
{
    struct umn_ctx *ctx[3];
    Shared = Inside = 0;
    Lock = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(umn__ctx_spawn(&ctx[i], add_under_lock, NULL, "adder"), 0);
    for (int i = 0; i < 3; i++)
        umn__ctx_join(ctx[i]);
    assert_int_equal(Shared, 60);
    assert_true(umn__spin_try(&Lock));
    assert_false(umn__spin_try(&Lock));
    umn__spin_release(&Lock);
    assert_int_equal(umn__spin_owner(&Lock), 0);
}

static void spin_locks_exclude(void **state)
{
    for (unsigned seed = 1; seed < 60; seed++) {
        assert_int_equal(run_once(lock_main, UMN_STRATEGY_RANDOM, seed, 1 + seed % 4), 0);
        assert_int_equal(run_once(lock_main, UMN_STRATEGY_PCT, seed, 1 + seed % 4), 0);
    }
}

/* A holder on vCPU 0, a spinner bound to vCPU 1: while it spins no passive context can use vCPU 1.
 */
static void spinner(void *arg)
{
    uint8_t old = umn__irql_raise(UMN_DISPATCH);
    note('t');
    umn__spin_acquire(&Lock);
    note('g');
    umn__spin_release(&Lock);
    umn__irql_lower(old);
}

static void keep_main(void *arg)
{
    Lock = 0;
    uint8_t old = umn__irql_raise(UMN_DISPATCH);
    umn__spin_acquire(&Lock);
    umn__ctx_spawn(NULL, spinner, NULL, "spinner");
    while (!strchr(Log, 't'))
        umn__point(UMN_OP_YIELD, NULL);
    for (int i = 0; i < 10; i++)
        umn__point(UMN_OP_YIELD, NULL);
    umn__ctx_spawn(NULL, passive_note, NULL, "passive");
    for (int i = 0; i < 10; i++)
        umn__point(UMN_OP_YIELD, NULL);
    note('r');
    umn__spin_release(&Lock);
    umn__irql_lower(old);
}

static void failed_acquire_keeps_the_vcpu(void **state)
{
    assert_int_equal(run_once(keep_main, UMN_STRATEGY_FIFO, 0, 2), 0);
    assert_true(strncmp(Log, "tr", 2) == 0 && strchr(Log, 'p') > strchr(Log, 'r'));
}

/* The classic: a lock that a DPC takes too is held below DISPATCH. */
static void dpc_wants_lock(struct umn_dpc *dpc)
{
    umn__spin_acquire(&Lock);
    umn__spin_release(&Lock);
}
static struct umn_dpc LockDpc = {.run = dpc_wants_lock};

static void deadlock_main(void *arg)
{
    Lock = 0;
    umn__spin_acquire(&Lock); /* at PASSIVE_LEVEL: the driver's mistake */
    umn__dpc_queue(&LockDpc, UMN_ANY_CPU, false);
    umn__spin_release(&Lock);
}

static void dpc_against_lock_is_a_hang(void **state)
{
    start(UMN_STRATEGY_FIFO, 0, 1);
    assert_int_equal(umn__sched_run(deadlock_main, NULL), UMN_EHANG);
    const char *text = umn__sched_describe();
    assert_non_null(strstr(text, "hang"));
    assert_non_null(strstr(text, "spins on lock #"));
    assert_non_null(strstr(text, "held by main"));
    assert_non_null(strstr(text, "held back by DPC 00"));
    assert_int_equal(umn__sched_run(deadlock_main, NULL), UMN_ESTATE);
    stop();
}

static void waits_forever(void *arg)
{
    umn__park(UMN_FOREVER, "a pause that nobody completes", &Flag);
}
static void hang_main(void *arg)
{
    umn__ctx_spawn(NULL, waits_forever, NULL, "pauser");
}

static void waiting_for_nothing_is_a_hang(void **state)
{
    for (int i = 0; i < 3; i++) { /* stacks left behind are used again */
        start(UMN_STRATEGY_FIFO, 0, 0);
        assert_int_equal(umn__sched_run(hang_main, NULL), UMN_EHANG);
        assert_non_null(strstr(umn__sched_describe(), "pauser (thread"));
        assert_non_null(strstr(umn__sched_describe(), "a pause that nobody completes #"));
        stop();
    }
}

static void polls_forever(void *arg)
{
    for (;;)
        umn__point(UMN_OP_ATOMIC, &Flag);
}

static void step_limit_ends_a_livelock(void **state)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE, .step_limit = 5000};
    assert_int_equal(umn__sched_start(&config), 0);
    assert_int_equal(umn__sched_run(polls_forever, NULL), UMN_ETIMEDOUT);
    assert_int_equal(umn__sched_steps(), 5000);
    assert_non_null(strstr(umn__sched_describe(), "main"));
    stop();
}

static void sets_flag(void *arg)
{
    Flag = true;
}
static void polls_for_flag(void *arg)
{
    Flag = false;
    umn__ctx_spawn(NULL, sets_flag, NULL, "setter");
    while (!Flag)
        umn__point(UMN_OP_ATOMIC, &Flag);
}

static void polling_without_yield_is_not_for_ever(void **state)
{
    assert_int_equal(run_once(polls_for_flag, UMN_STRATEGY_FIFO, 0, 1), 0);
    for (unsigned seed = 1; seed < 8; seed++)
        assert_int_equal(run_once(polls_for_flag, UMN_STRATEGY_PCT, seed, 1), 0);
}

/* ---- timers and work
 * ------------------------------------------------------------------------------- */

static struct umn_timer Timer[3];
static uint64_t Fired[3];

static void fire(struct umn_timer *t)
{
    assert_int_equal(umn__irql(), UMN_DISPATCH);
    Fired[t - Timer] = umn__now();
    note((char)('0' + (t - Timer)));
}

static void timer_main(void *arg)
{
    memset(Timer, 0, sizeof Timer);
    uint64_t t0 = umn__now();
    umn__timer_arm(&Timer[0], t0 + 30 * MS);
    umn__timer_arm(&Timer[1], t0 + 10 * MS);
    umn__timer_arm(&Timer[2], t0 + 20 * MS);
    assert_true(umn__timer_disarm(&Timer[2]));
    assert_false(umn__timer_disarm(&Timer[2]));
    umn__park(t0 + 40 * MS, "timers", NULL);
    assert_in_range(Fired[0] - t0, 30 * MS, 31 * MS);
    assert_in_range(Fired[1] - t0, 10 * MS, 11 * MS);
    assert_false(umn__timer_disarm(&Timer[0]));
    umn__timer_arm(&Timer[2], t0 + 1000 * MS); /* still armed at the end: never fires */
}

static void timers_fire_in_order_and_not_after_the_end(void **state)
{
    umn__timer_fire_hook(fire);
    for (unsigned seed = 0; seed < 20; seed++) {
        assert_int_equal(
            run_once(timer_main, seed ? UMN_STRATEGY_RANDOM : UMN_STRATEGY_FIFO, seed, 0), 0);
        assert_string_equal(Log, "10");
        assert_false(umn__timer_disarm(&Timer[2])); /* stop has let go of it */
    }
    umn__timer_fire_hook(NULL);
}

struct item {
    struct umn_work work;
    char name;
};
static void work_note(struct umn_work *work)
{
    struct item *item = umn_container_of(work, struct item, work);
    assert_int_equal(umn__irql(), UMN_PASSIVE);
    assert_int_equal(umn__ctx_kind(umn__ctx_self()), UMN_CTX_WORKER);
    umn__park(umn__now() + 5 * MS, "work", NULL);
    note(item->name);
    plat_free(item);
}
static void work_dpc(struct umn_dpc *dpc)
{
    struct item *item = plat_alloc(sizeof *item);
    *item = (struct item){{.run = work_note}, 'd'};
    umn__work_queue(&item->work);
}
static struct umn_dpc WorkDpc = {.run = work_dpc};

static void work_main(void *arg)
{
    for (char c = 'a'; c < 'd'; c++) {
        struct item *item = plat_alloc(sizeof *item);
        *item = (struct item){{.run = work_note}, c};
        umn__work_queue(&item->work);
    }
    umn__dpc_queue(&WorkDpc, 1, false);
    umn__dpc_flush();
    note('f');
}

static void work_runs_in_workers_and_run_waits_for_it(void **state)
{
    assert_int_equal(run_once(work_main, UMN_STRATEGY_FIFO, 0, 2), 0);
    assert_string_equal(Log, "fabcd");
    for (unsigned seed = 1; seed < 30; seed++) {
        assert_int_equal(run_once(work_main, UMN_STRATEGY_RANDOM, seed, 2), 0);
        assert_int_equal(strlen(Log), 5);
    }
}

static void calls_from_outside_contexts(void **state)
{
    struct item *item = plat_alloc(sizeof *item);
    *item = (struct item){{.run = work_note}, 'o'};
    start(UMN_STRATEGY_FIFO, 0, 0);
    assert_null(umn__ctx_self());
    assert_int_equal(umn__irql(), UMN_PASSIVE);
    assert_int_equal(umn__choose(9, "outside"), 0);
    umn__dpc_queue(&Dpc[0], UMN_ANY_CPU, false);
    umn__work_queue(&item->work);
    assert_int_equal(umn__sched_run(passive_note, NULL), 0);
    assert_int_equal(strlen(Log), 3);
    assert_int_equal(umn__sched_run(passive_note, NULL), 0); /* once more on the same scheduler */
    assert_int_equal(strlen(Log), 4);
    assert_int_equal(umn__watch_add(NULL, 0, UMN_WATCH_IN, 0, NULL, NULL), UMN_ENOTSUP);
    assert_int_equal(umn__sched_start(&(struct umn_sched_config){0}), UMN_EBUSY);
    stop();
}

/* ---- determinism
 * ------------------------------------------------------------------------------------ */

static uint32_t Choices[8];

static void mixed_main(void *arg)
{
    lock_main(NULL);
    work_main(NULL);
    dpc_main(NULL);
    for (unsigned i = 0; i < 8; i++)
        Choices[i] = umn__choose(1000, "number");
    void *garbage = malloc(100 + umn__choose(1000, "size")); /* addresses differ between runs */
    void *object = plat_alloc(64);
    umn__point(UMN_OP_IRP, object);
    plat_free(object);
    free(garbage);
    object = plat_alloc(64);
    umn__point(UMN_OP_IRP, object);
    plat_free(object);
}

struct recorded {
    uint64_t hash, steps;
    uint32_t choices[8];
    char log[sizeof Log];
    void *trace;
    size_t size;
};

static void record(struct recorded *r)
{
    assert_int_equal(umn__sched_run(mixed_main, NULL), 0);
    r->hash = umn__sched_hash();
    r->steps = umn__sched_steps();
    memcpy(r->choices, Choices, sizeof Choices);
    memcpy(r->log, Log, sizeof Log);
    const void *trace = umn__sched_trace(&r->size);
    r->trace = malloc(r->size);
    memcpy(r->trace, trace, r->size);
    stop();
}

static void assert_same(const struct recorded *a, const struct recorded *b)
{
    assert_int_equal(a->hash, b->hash);
    assert_int_equal(a->steps, b->steps);
    assert_memory_equal(a->choices, b->choices, sizeof a->choices);
    assert_string_equal(a->log, b->log);
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->trace, b->trace, a->size);
}

static void equal_seeds_equal_runs_and_replay(void **state)
{
    uint64_t hashes[3][30];
    static const enum umn_strategy strategies[] = {UMN_STRATEGY_FIFO, UMN_STRATEGY_RANDOM,
                                                   UMN_STRATEGY_PCT};
    for (unsigned s = 0; s < 3; s++) {
        for (unsigned seed = 0; seed < 30; seed++) {
            struct recorded a, b, c;
            start(strategies[s], seed, 2);
            record(&a);
            void *holes[10]; /* another heap */
            for (int i = 0; i < 10; i++)
                holes[i] = malloc(64 + 16 * i);
            start(strategies[s], seed, 2);
            record(&b);
            for (int i = 0; i < 10; i += 2)
                free(holes[i]);
            start_replay(a.trace, a.size);
            record(&c);
            for (int i = 1; i < 10; i += 2)
                free(holes[i]);
            assert_same(&a, &b);
            assert_same(&a, &c);
            hashes[s][seed] = a.hash;
            free(a.trace);
            free(b.trace);
            free(c.trace);
        }
    }
    unsigned differ = 0;
    for (unsigned seed = 1; seed < 30; seed++) {
        assert_int_equal(hashes[0][seed], hashes[0][0]); /* FIFO takes nothing from the seed */
        differ += hashes[1][seed] != hashes[1][0];
        differ += hashes[2][seed] != hashes[2][0];
    }
    assert_true(differ >= 56);
}

static bool OneMore;
static void changed_main(void *arg)
{
    umn__point(UMN_OP_CALLBACK, &Flag);
    umn__point(UMN_OP_CALLBACK, OneMore ? (void *)&OneMore : (void *)&Flag);
    umn__choose(OneMore ? 3 : 2, "it");
}

static void replay_of_another_program_is_a_mismatch(void **state)
{
    size_t size;
    start(UMN_STRATEGY_RANDOM, 3, 2);
    OneMore = false;
    assert_int_equal(umn__sched_run(changed_main, NULL), 0);
    const void *trace = umn__sched_trace(&size);
    stop();
    void *copy = malloc(size);
    memcpy(copy, trace, size);

    start_replay(trace, size); /* the scheduler's own buffer will do */
    OneMore = true;
    assert_int_equal(umn__sched_run(changed_main, NULL), UMN_EMISMATCH);
    assert_non_null(strstr(umn__sched_describe(), "expected: callback of object #1"));
    assert_non_null(strstr(umn__sched_describe(), "found: callback of object #2"));
    stop();

    uint64_t count;
    memcpy(&count, (char *)copy + 32, 8);
    assert_int_equal(size, 40 + count * 8);
    count--;
    memcpy((char *)copy + 32, &count, 8);
    start_replay(copy, size - 8);
    OneMore = false;
    assert_int_equal(umn__sched_run(changed_main, NULL), UMN_EMISMATCH);
    assert_non_null(strstr(umn__sched_describe(), "the end of the trace"));
    stop();

    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE,
                                      .strategy = UMN_STRATEGY_REPLAY,
                                      .replay = copy,
                                      .replay_size = size}; /* count says one less */
    assert_int_equal(umn__sched_start(&config), UMN_ECORRUPT);
    config.replay_size = 3;
    assert_int_equal(umn__sched_start(&config), UMN_ECORRUPT);
    free(copy);
}

/* A failed assertion of a test jumps out of the fiber; stop clears up behind it. */
static jmp_buf Out;
static void jumps_out(void *arg)
{
    volatile char frame[1000];
    frame[0] = frame[999] = 1;
    uint8_t old = umn__irql_raise(UMN_DISPATCH);
    umn__point(UMN_OP_CALLBACK, &Flag);
    longjmp(Out, frame[0] + old);
}

static void leaving_a_run_by_longjmp(void **state)
{
#if __has_feature(thread_sanitizer)
    print_message("ThreadSanitizer keeps jump buffers by fiber and aborts on this jump\n");
    skip();
#endif
    for (volatile int i = 0; i < 3; i++) {
        start(UMN_STRATEGY_FIFO, 0, 0);
        if (setjmp(Out) == 0) {
            umn__sched_run(jumps_out, NULL);
            fail();
        }
        umn__sched_stop();
        assert_int_equal(plat_alloc_live(), 0);
        assert_null(umn__ctx_self());
        assert_int_equal(run_once(lock_main, UMN_STRATEGY_RANDOM, 1, 2), 0);
    }
}

static void spawn_main(void *arg)
{
    struct umn_ctx *ctx;
    if (umn__ctx_spawn(&ctx, passive_note, NULL, "child") == 0)
        umn__ctx_join(ctx);
}

static void each_allocation_may_fail(void **state)
{
    unsigned failures = 0;
    for (unsigned nth = 1;; nth++) {
        struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE};
        plat_fail_alloc_at(nth);
        int error = umn__sched_start(&config);
        if (!error) {
            error = umn__sched_run(spawn_main, NULL);
            umn__sched_stop();
        }
        bool failed = plat_alloc_failed();
        plat_fail_alloc_at(0);
        assert_true(error == 0 || (failed && error == UMN_ENOMEM));
        assert_int_equal(plat_alloc_live(), 0);
        if (!failed)
            break;
        failures++;
    }
    assert_true(failures >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts_park_and_unpark),
        cmocka_unit_test(permits_and_deadlines_in_virtual_time),
        cmocka_unit_test(run_waits_for_sleepers_in_due_order),
        cmocka_unit_test(nt_slot_is_destroyed_with_its_context),
        cmocka_unit_test(dpcs_run_before_the_thread_goes_on),
        cmocka_unit_test(dispatch_holds_back_its_cpu_only),
        cmocka_unit_test(spin_locks_exclude),
        cmocka_unit_test(failed_acquire_keeps_the_vcpu),
        cmocka_unit_test(dpc_against_lock_is_a_hang),
        cmocka_unit_test(waiting_for_nothing_is_a_hang),
        cmocka_unit_test(step_limit_ends_a_livelock),
        cmocka_unit_test(polling_without_yield_is_not_for_ever),
        cmocka_unit_test(timers_fire_in_order_and_not_after_the_end),
        cmocka_unit_test(work_runs_in_workers_and_run_waits_for_it),
        cmocka_unit_test(calls_from_outside_contexts),
        cmocka_unit_test(equal_seeds_equal_runs_and_replay),
        cmocka_unit_test(replay_of_another_program_is_a_mismatch),
        cmocka_unit_test(leaving_a_run_by_longjmp),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("sched explore", tests, NULL, NULL);
}
