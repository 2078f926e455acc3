/* SPDX-License-Identifier: MIT */
/*
 * The threads back end: DPCs, timers, work, locks, watched descriptors. Host threads and real time,
 * so the tests wait for things to happen and never assert how fast they did.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "plat/plat.h"
#include "sched/sched.h"

#define MS 10000u
#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELEASE)
#define ADD(x) __atomic_add_fetch(&(x), 1, __ATOMIC_ACQ_REL)

static unsigned Wrong; /* asserts of other threads: cmocka jumps only in its own */

#define CHECK(c)                                                                                   \
    do {                                                                                           \
        if (!(c))                                                                                  \
            ADD(Wrong);                                                                            \
    } while (0)

static void run_with(void (*fn)(void *), unsigned cpus, unsigned poll_us)
{
    struct umn_sched_config config = {
        .backend = UMN_BACKEND_THREADS, .cpus = cpus, .workers = 3, .poll_us = poll_us};
    Wrong = 0;
    assert_int_equal(umn__sched_start(&config), 0);
    assert_int_equal(umn__cpu_count(), cpus);
    assert_int_equal(umn__sched_run(fn, NULL), 0);
    umn__sched_stop();
    assert_int_equal(Wrong, 0);
    assert_int_equal(plat_alloc_live(), 0);
}

/* ---- contexts
 * --------------------------------------------------------------------------------------- */

static unsigned Done, NtDestroyed;

static void destroy_nt(void *nt)
{
    ADD(NtDestroyed);
}
static void child(void *arg)
{
    umn__ctx_set_nt(umn__ctx_self(), &NtDestroyed, destroy_nt);
    CHECK(umn__park(umn__now() + 2 * MS, "time", NULL) == UMN_ETIMEDOUT);
    ADD(Done);
}
static void waits(void *arg)
{
    while (!LOAD(Done))
        umn__park(UMN_FOREVER, "done", NULL);
}
static void ctx_main(void *arg)
{
    struct umn_ctx *ctx, *waiter;
    CHECK(umn__ctx_spawn(&waiter, waits, NULL, "waiter") == 0);
    CHECK(umn__ctx_spawn(&ctx, child, NULL, "child") == 0);
    CHECK(umn__ctx_kind(ctx) == UMN_CTX_THREAD);
    umn__ctx_join(ctx);
    CHECK(LOAD(Done) == 1 && LOAD(NtDestroyed) == 1);
    umn__unpark(waiter);
    umn__ctx_release(waiter);
    for (int i = 0; i < 20; i++)
        CHECK(umn__ctx_spawn(NULL, child, NULL, "more") == 0);
    umn__unpark(umn__ctx_self());
    CHECK(umn__park(UMN_FOREVER, "permit", NULL) == 0);
}

static void contexts_spawn_join_and_are_waited_for(void **state)
{
    Done = NtDestroyed = 0;
    run_with(ctx_main, 2, 0);
    assert_int_equal(Done, 21);
    assert_int_equal(NtDestroyed, 21);
}

/* ---- DPCs, IRQL, locks
 * ------------------------------------------------------------------------------- */

#define CPUS 3
static unsigned AtDispatch[CPUS]; /* contexts at DISPATCH on each vCPU: never 2 */
static unsigned DpcRuns[CPUS];

struct counted_dpc {
    struct umn_dpc dpc;
    uint32_t queued;
};

static void enter(void)
{
    CHECK(umn__irql() == UMN_DISPATCH);
    CHECK(ADD(AtDispatch[umn__cpu()]) == 1);
}
static void leave(void)
{
    __atomic_sub_fetch(&AtDispatch[umn__cpu()], 1, __ATOMIC_ACQ_REL);
}

static void count_dpc(struct umn_dpc *dpc)
{
    struct counted_dpc *c = umn_container_of(dpc, struct counted_dpc, dpc);
    STORE(c->queued, 0);
    enter();
    CHECK(umn__ctx_kind(umn__ctx_self()) == UMN_CTX_DPC);
    CHECK(umn__irql_raise(UMN_DISPATCH) == UMN_DISPATCH);
    umn__irql_lower(UMN_DISPATCH);
    DpcRuns[umn__cpu()]++; /* no lock: the vCPU is one */
    leave();
}

static uint64_t Spin;
static unsigned UnderSpin;

static void storm(void *arg)
{
    static struct counted_dpc dpcs[4][CPUS + 1];
    struct counted_dpc *mine = dpcs[(uintptr_t)arg];
    for (int i = 0; i < 500; i++) {
        unsigned target = (unsigned)i % (CPUS + 1);
        struct counted_dpc *c = &mine[target];
        if (!__atomic_exchange_n(&c->queued, 1, __ATOMIC_ACQ_REL)) {
            c->dpc.run = count_dpc;
            umn__dpc_queue(&c->dpc, target == CPUS ? UMN_ANY_CPU : target, i & 1);
        }
        uint8_t old = umn__irql_raise(UMN_DISPATCH);
        enter();
        umn__spin_acquire(&Spin);
        CHECK(umn__spin_owner(&Spin) == umn__ctx_id(umn__ctx_self()));
        UnderSpin++;
        if (i % 50 == 0)
            umn__stall(100); /* long enough for the others to sleep on it */
        umn__spin_release(&Spin);
        leave();
        umn__irql_lower(old);
    }
    umn__dpc_flush();
    for (unsigned i = 0; i <= CPUS; i++)
        CHECK(!LOAD(mine[i].queued));
}

static void storm_main(void *arg)
{
    struct umn_ctx *ctx[4];
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(umn__ctx_spawn(&ctx[i], storm, (void *)i, "storm") == 0);
    for (int i = 0; i < 4; i++)
        umn__ctx_join(ctx[i]);
}

static void one_context_at_dispatch_per_vcpu(void **state)
{
    for (unsigned poll_us = 0; poll_us <= 50; poll_us += 50) {
        Spin = UnderSpin = 0;
        memset(DpcRuns, 0, sizeof DpcRuns);
        run_with(storm_main, CPUS, poll_us);
        assert_int_equal(UnderSpin, 4 * 500);
        assert_int_equal(Spin, 0);
        for (unsigned i = 0; i < CPUS; i++)
            assert_true(DpcRuns[i] > 0);
    }
}

static char Order[8];
static void order_dpc(struct umn_dpc *dpc)
{
    strcat(Order, "d");
}
static void order_main(void *arg)
{
    struct umn_dpc dpc = {.run = order_dpc}, gone = {.run = order_dpc};
    uint8_t old = umn__irql_raise(UMN_DISPATCH);
    umn__dpc_queue(&dpc, UMN_ANY_CPU, false);
    umn__dpc_queue(&gone, UMN_ANY_CPU, false);
    CHECK(umn__dpc_remove(&gone, UMN_ANY_CPU));
    CHECK(!umn__dpc_remove(&gone, umn__cpu()));
    strcat(Order, "1");
    umn__irql_lower(old);
    strcat(Order, "2");
    umn__dpc_queue(&dpc, UMN_ANY_CPU, false);
    strcat(Order, "3");
    CHECK(umn__choose(5, "anything") == 0);
    umn__point(UMN_OP_ATOMIC, &dpc);
}

static void dpcs_run_before_the_thread_goes_on(void **state)
{
    Order[0] = 0;
    run_with(order_main, 2, 0);
    assert_string_equal(Order, "1d2d3");
}

/* A DPC that always comes back must not keep a passive thread from the only vCPU. */
static uint32_t Stop;
static void again(struct umn_dpc *dpc)
{
    if (!LOAD(Stop))
        umn__dpc_queue(dpc, UMN_ANY_CPU, false);
}
static void fair_main(void *arg)
{
    static struct umn_dpc dpc = {.run = again};
    STORE(Stop, 0);
    umn__dpc_queue(&dpc, 0, false);
    for (int i = 0; i < 200; i++) {
        uint8_t old = umn__irql_raise(UMN_DISPATCH);
        CHECK(umn__irql() == UMN_DISPATCH);
        umn__irql_lower(old);
    }
    STORE(Stop, 1);
}

static void busy_vcpu_lets_passive_threads_in(void **state)
{
    run_with(fair_main, 1, 0);
}

static struct umn_mutex Mutex;
static unsigned UnderMutex;
static void mutex_work(struct umn_work *work)
{
    for (int i = 0; i < 1000; i++) {
        umn__lock(&Mutex);
        UnderMutex++;
        umn__unlock(&Mutex);
    }
    plat_free(work);
}
static struct umn_dpc WorkDpc;
static void queue_work(struct umn_dpc *dpc)
{
    struct umn_work *work = plat_alloc(sizeof *work);
    work->run = mutex_work;
    umn__work_queue(work);
}
static void work_main(void *arg)
{
    for (int i = 0; i < 8; i++)
        queue_work(NULL);
    WorkDpc.run = queue_work;
    umn__dpc_queue(&WorkDpc, 1, false);
}

static void work_runs_and_run_waits_for_it(void **state)
{
    UnderMutex = 0;
    run_with(work_main, 2, 0);
    assert_int_equal(UnderMutex, 9000);
}

/* ---- timers
 * ------------------------------------------------------------------------------------------ */

struct test_timer {
    struct umn_timer timer;
    struct umn_ctx *waiter;
    uint64_t fired;
    unsigned left, fires;
};

static void fire(struct umn_timer *t)
{
    struct test_timer *tt = umn_container_of(t, struct test_timer, timer);
    CHECK(umn__irql() == UMN_DISPATCH);
    CHECK(umn__now() >= t->due);
    STORE(tt->fired, umn__now());
    ADD(tt->fires);
    if (tt->left) {
        tt->left--;
        umn__timer_arm(t, umn__now() + MS / 4);
        return;
    }
    umn__unpark(tt->waiter);
}

static void timer_main(void *arg)
{
    static struct test_timer t[4];
    memset(t, 0, sizeof t);
    uint64_t t0 = umn__now();
    for (unsigned i = 0; i < 4; i++)
        t[i].waiter = umn__ctx_self();
    t[2].left = 5;
    umn__timer_arm(&t[0].timer, t0 + 6 * MS);
    umn__timer_arm(&t[1].timer, t0 + 2 * MS);
    umn__timer_arm(&t[2].timer, t0 + 1 * MS);
    umn__timer_arm(&t[3].timer, t0 + 1000000 * MS);
    CHECK(umn__timer_disarm(&t[3].timer) && !umn__timer_disarm(&t[3].timer));
    umn__timer_arm(&t[3].timer, t0 + 1000000 * MS);
    while (!LOAD(t[0].fired) || !LOAD(t[1].fired) || LOAD(t[2].fires) < 6)
        umn__park(umn__now() + MS, "timers", NULL);
    CHECK(t[0].fired > t[1].fired);
    CHECK(umn__timer_disarm(&t[3].timer));
}

/* Timers armed and taken back by several threads: none may fire once disarmed. */
static void race_timers(void *arg)
{
    static struct test_timer t[3];
    struct test_timer *mine = &t[(uintptr_t)arg];
    memset(mine, 0, sizeof *mine);
    mine->waiter = umn__ctx_self();
    for (int i = 0; i < 300; i++) {
        STORE(mine->fired, 0);
        umn__timer_arm(&mine->timer, umn__now() + (unsigned)i % 8 * 100);
        umn__stall((unsigned)i % 5 * 10);
        if (umn__timer_disarm(&mine->timer)) {
            CHECK(!LOAD(mine->fired));
        } else {
            while (!LOAD(mine->fired))
                umn__park(umn__now() + MS, "fire", NULL);
            umn__dpc_flush(); /* fire has left the timer alone */
        }
    }
}
static void race_timers_main(void *arg)
{
    for (uintptr_t i = 0; i < 3; i++)
        CHECK(umn__ctx_spawn(NULL, race_timers, (void *)i, "timers") == 0);
}

static void timers_fire_and_disarm(void **state)
{
    umn__timer_fire_hook(fire);
    run_with(timer_main, 2, 0);
    run_with(race_timers_main, 2, 0);
    umn__timer_fire_hook(NULL);
}

/* ---- descriptors
 * ------------------------------------------------------------------------------------- */

struct pipe_end {
    int fds[2];
    struct umn_watch *watch;
    struct umn_ctx *waiter;
    unsigned bytes;
    uint32_t removed;
    unsigned cpu;
};

static void pipe_ready(void *arg, uint32_t events)
{
    struct pipe_end *p = arg;
    char buf[16];
    CHECK(umn__irql() == UMN_DISPATCH && umn__cpu() == p->cpu);
    CHECK(!LOAD(p->removed));
    if (events & UMN_WATCH_IN) {
        ssize_t n = read(p->fds[0], buf, sizeof buf);
        __atomic_add_fetch(&p->bytes, n > 0 ? (unsigned)n : 0, __ATOMIC_ACQ_REL);
    }
    umn__unpark(p->waiter);
}

static void wait_bytes(struct pipe_end *p, unsigned bytes)
{
    while (LOAD(p->bytes) < bytes)
        umn__park(UMN_FOREVER, "bytes", NULL);
}

static void watch_main(void *arg)
{
    struct pipe_end p = {.waiter = umn__ctx_self(), .cpu = 1};
    CHECK(pipe(p.fds) == 0);
    CHECK(umn__watch_add(&p.watch, -1, UMN_WATCH_IN, 1, pipe_ready, &p) == UMN_EINVAL);
    CHECK(umn__watch_add(&p.watch, p.fds[0], UMN_WATCH_IN, 1, pipe_ready, &p) == 0);
    for (unsigned i = 1; i <= 50; i++) {
        CHECK(write(p.fds[1], "x", 1) == 1);
        wait_bytes(&p, i);
    }
    umn__watch_set(p.watch, 0);
    CHECK(write(p.fds[1], "xyz", 3) == 3);
    umn__park(umn__now() + 2 * MS, "nothing", NULL);
    umn__dpc_flush();
    CHECK(LOAD(p.bytes) == 50);
    umn__watch_set(p.watch, UMN_WATCH_IN);
    wait_bytes(&p, 53);
    umn__watch_set(p.watch, 0);
    close(p.fds[1]); /* a hang-up without interest must not spin */
    umn__watch_remove(p.watch);
    STORE(p.removed, 1);
    close(p.fds[0]);
}

static void write_on(void *arg)
{
    struct pipe_end *p = arg;
    while (!LOAD(p->removed))
        CHECK(send(p->fds[1], "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL) <= 1);
}

static void removal_main(void *arg)
{
    static struct pipe_end p;
    for (unsigned i = 0; i < 100; i++) {
        struct umn_ctx *writer;
        p = (struct pipe_end){.waiter = umn__ctx_self(), .cpu = i % 2};
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p.fds) == 0);
        CHECK(umn__watch_add(&p.watch, p.fds[0], UMN_WATCH_IN, p.cpu, pipe_ready, &p) == 0);
        CHECK(umn__ctx_spawn(&writer, write_on, &p, "writer") == 0);
        wait_bytes(&p, 1 + i % 20);
        umn__watch_remove(p.watch);
        STORE(p.removed, 1); /* ready checks that it is not called from here on */
        umn__ctx_join(writer);
        close(p.fds[0]);
        close(p.fds[1]);
    }
}

static void watches_report_and_stop_at_removal(void **state)
{
    run_with(watch_main, 2, 0);
    run_with(removal_main, 2, 0);
    run_with(removal_main, 2, 20);
}

static unsigned Polls;
static bool poll_some(void *arg)
{
    CHECK(umn__irql() == UMN_DISPATCH && umn__cpu() == 1);
    unsigned n = ADD(Polls);
    if (n == 100)
        umn__unpark(arg);
    return n < 100;
}
static void poll_main(void *arg)
{
    struct umn_poll *p;
    CHECK(umn__poll_add(&p, 1, poll_some, umn__ctx_self()) == 0);
    while (LOAD(Polls) < 100)
        umn__park(UMN_FOREVER, "polls", NULL);
    umn__poll_remove(p);
    unsigned seen = LOAD(Polls);
    umn__park(umn__now() + 2 * MS, "nothing", NULL);
    CHECK(LOAD(Polls) == seen);
}

static void poll_functions_run_while_they_have_work(void **state)
{
    Polls = 0;
    run_with(poll_main, 2, 0);
}

/* ---- idle, failures
 * ---------------------------------------------------------------------------------- */

static void idle_main(void *arg)
{
    struct rusage before, after;
    umn__park(umn__now() + 20 * MS, "settle", NULL);
    getrusage(RUSAGE_SELF, &before);
    umn__park(umn__now() + 200 * MS, "idle", NULL);
    getrusage(RUSAGE_SELF, &after);
    /* Voluntary switches tell wake-ups; this thread itself takes one or two. */
    CHECK(after.ru_nvcsw - before.ru_nvcsw < 10);
}

static void idle_vcpus_do_not_wake(void **state)
{
    run_with(idle_main, 2, 0);
}

static void spawn_main(void *arg)
{
    struct umn_ctx *ctx;
    struct umn_poll *p;
    struct umn_watch *w;
    if (umn__ctx_spawn(&ctx, child, NULL, "child") == 0)
        umn__ctx_join(ctx);
    if (umn__poll_add(&p, 0, poll_some, NULL) == 0)
        umn__poll_remove(p);
    if (umn__watch_add(&w, 0, 0, 0, NULL, NULL) == 0)
        umn__watch_remove(w);
}

static void each_allocation_may_fail(void **state)
{
    unsigned failures = 0;
    for (unsigned nth = 1;; nth++) {
        struct umn_sched_config config = {.backend = UMN_BACKEND_THREADS, .cpus = 2};
        Polls = 100;
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
    assert_true(failures >= 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts_spawn_join_and_are_waited_for),
        cmocka_unit_test(one_context_at_dispatch_per_vcpu),
        cmocka_unit_test(dpcs_run_before_the_thread_goes_on),
        cmocka_unit_test(busy_vcpu_lets_passive_threads_in),
        cmocka_unit_test(work_runs_and_run_waits_for_it),
        cmocka_unit_test(timers_fire_and_disarm),
        cmocka_unit_test(watches_report_and_stop_at_removal),
        cmocka_unit_test(poll_functions_run_while_they_have_work),
        cmocka_unit_test(idle_vcpus_do_not_wake),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("sched threads", tests, NULL, NULL);
}
