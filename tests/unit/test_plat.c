/* SPDX-License-Identifier: MIT */
/*
 * The Linux layer: counters and injected failures of memory, futex and mutex, poller, clocks,
 * shared objects, error texts. Host threads only; no scheduler runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "plat/plat.h"

#define MS 10000u

static void alloc_is_zeroed_aligned_and_counted(void **state)
{
    size_t live = plat_alloc_live();
    static const unsigned char zero[100];
    for (int i = 0; i < 20; i++) {
        char *p = plat_alloc(100), *q = plat_alloc_aligned(4096, 100);
        assert_non_null(p);
        assert_non_null(q);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_int_equal((uintptr_t)q % 4096, 0);
        assert_memory_equal(p, zero, 100);
        assert_memory_equal(q, zero, 100);
        assert_int_equal(plat_alloc_live(), live + 2);
        memset(p, 0xAA, 100);
        memset(q, 0xAA, 100);
        p = plat_realloc(p, 5000);
        assert_int_equal((unsigned char)p[99], 0xAA);
        plat_free(p);
        plat_free(q);
    }
    plat_free(NULL);
    char *s = plat_asprintf("%s-%d", "abc", 42), *t = plat_strdup(s);
    assert_string_equal(t, "abc-42");
    plat_free(s);
    plat_free(t);
    void *none = plat_alloc(0);
    assert_non_null(none);
    plat_free(none);
    assert_int_equal(plat_alloc_live(), live);
}

static void nth_allocation_fails_once(void **state)
{
    size_t live = plat_alloc_live();
    plat_fail_alloc_at(3);
    void *a = plat_alloc(1), *b = plat_alloc_aligned(64, 1);
    assert_true(a && b);
    assert_false(plat_alloc_failed());
    plat_alloc_forgive(true);
    plat_alloc_forgive(true);
    void *c = plat_alloc(1);
    plat_alloc_forgive(false);
    void *d = plat_strdup("x");
    plat_alloc_forgive(false);
    assert_true(c && d);
    assert_int_equal(plat_alloc_count(), 2);
    void *e = plat_realloc(a, 100);
    assert_null(e);
    assert_true(plat_alloc_failed());
    void *f = plat_alloc(1);
    assert_non_null(f);
    assert_int_equal(plat_alloc_count(), 4);
    plat_fail_alloc_at(1);
    assert_false(plat_alloc_failed());
    assert_null(plat_asprintf("%d", 1));
    plat_fail_alloc_at(0);
    assert_non_null(e = plat_alloc(1));
    plat_free(a);
    plat_free(b);
    plat_free(c);
    plat_free(d);
    plat_free(e);
    plat_free(f);
    assert_int_equal(plat_alloc_live(), live);
}

static size_t HookBytes;
static void *HookBlock;
static void free_hook(void *p, size_t size)
{
    HookBlock = p;
    HookBytes = size;
}

static void free_hook_sees_blocks(void **state)
{
    plat_free_hook(free_hook);
    void *p = plat_alloc(200);
    plat_free(p);
    plat_free_hook(NULL);
    assert_ptr_equal(HookBlock, p);
    assert_in_range(HookBytes, 200, 4096);
}

static void pages_keep_their_content_when_they_grow(void **state)
{
    char *p = plat_pages_map(8192, false);
    assert_non_null(p);
    p[8191] = 7;
    p = plat_pages_grow(p, 8192, 1 << 20);
    assert_non_null(p);
    assert_int_equal(p[8191], 7);
    assert_int_equal(p[(1 << 20) - 1], 0);
    plat_pages_unmap(p, 1 << 20, false);
    p = plat_pages_map(8192, true);
    p[0] = 1;
    plat_pages_unmap(p, 8192, true);
}

static struct plat_mutex Mutex;
static uint32_t Counter;

static void count_under_mutex(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        plat_mutex_lock(&Mutex);
        Counter++;
        plat_mutex_unlock(&Mutex);
    }
}

static void mutex_excludes(void **state)
{
    struct plat_thread *t[4];
    Counter = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(plat_thread_create(&t[i], count_under_mutex, NULL, "counter"), 0);
    for (int i = 0; i < 4; i++)
        plat_thread_join(t[i]);
    assert_int_equal(Counter, 80000);
    assert_int_equal(Mutex.state, 0);
}

static uint32_t Word;
static void set_word(void *arg)
{
    usleep(2000);
    __atomic_store_n(&Word, 1, __ATOMIC_RELEASE);
    plat_futex_wake(&Word, 1);
}

static void futex_waits_wakes_and_times_out(void **state)
{
    Word = 0;
    uint64_t t0 = plat_now_monotonic();
    assert_int_equal(plat_futex_wait(&Word, 0, t0 + 5 * MS), UMN_ETIMEDOUT);
    assert_true(plat_now_monotonic() >= t0 + 5 * MS);
    assert_int_equal(plat_futex_wait(&Word, 0, t0), UMN_ETIMEDOUT);
    assert_int_equal(plat_futex_wait(&Word, 1, UINT64_MAX), 0);
    struct plat_thread *t;
    assert_int_equal(plat_thread_create(&t, set_word, NULL, "setter"), 0);
    while (!__atomic_load_n(&Word, __ATOMIC_ACQUIRE))
        assert_int_equal(plat_futex_wait(&Word, 0, UINT64_MAX), 0);
    plat_thread_join(t);
}

static void look_at_signals(void *arg)
{
    sigset_t *set = arg;
    pthread_sigmask(SIG_SETMASK, NULL, set);
}

static void threads_leave_signals_to_main(void **state)
{
    sigset_t in_thread, before, after;
    struct plat_thread *t;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(plat_thread_create(&t, look_at_signals, &in_thread, "signals"), 0);
    plat_thread_join(t);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_true(sigismember(&in_thread, SIGINT));
    assert_true(sigismember(&in_thread, SIGTERM));
    assert_false(sigismember(&in_thread, SIGSEGV));
    assert_int_equal(sigismember(&before, SIGINT), sigismember(&after, SIGINT));
    plat_fail_alloc_at(1);
    assert_int_equal(plat_thread_create(&t, look_at_signals, &in_thread, "none"), UMN_ENOMEM);
    plat_fail_alloc_at(0);
}

static void poller_reports_and_wakes(void **state)
{
    struct plat_poller *p;
    struct plat_poll_event ev[4];
    int fds[2], cookie;
    size_t live = plat_alloc_live();
    assert_int_equal(plat_poller_create(&p), 0);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(plat_poller_add(p, fds[0], PLAT_POLL_IN, &cookie), 0);
    assert_int_equal(plat_poller_add(p, fds[0], PLAT_POLL_IN, &cookie), UMN_EEXIST);
    assert_int_equal(plat_poller_add(p, -1, PLAT_POLL_IN, &cookie), UMN_EINVAL);
    assert_int_equal(plat_poller_wait(p, ev, 4, 0), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    for (int i = 0; i < 2; i++) { /* level triggered */
        assert_int_equal(plat_poller_wait(p, ev, 4, UINT64_MAX), 1);
        assert_ptr_equal(ev[0].cookie, &cookie);
        assert_int_equal(ev[0].ready, PLAT_POLL_IN);
    }
    assert_int_equal(plat_poller_mod(p, fds[0], 0, &cookie), 0);
    assert_int_equal(plat_poller_wait(p, ev, 4, 0), 0);
    assert_int_equal(plat_poller_mod(p, fds[0], PLAT_POLL_IN, &cookie), 0);
    assert_int_equal(plat_poller_wait(p, ev, 4, 0), 1);
    plat_poller_del(p, fds[0]);
    uint64_t t0 = plat_now_monotonic();
    assert_int_equal(plat_poller_wait(p, ev, 4, t0 + 3 * MS), 0);
    assert_true(plat_now_monotonic() >= t0 + 3 * MS);
    plat_poller_wake(p);
    plat_poller_wake(p);
    assert_int_equal(plat_poller_wait(p, ev, 4, UINT64_MAX), 0);
    close(fds[0]);
    close(fds[1]);
    plat_poller_destroy(p);
    plat_fail_alloc_at(1);
    assert_int_equal(plat_poller_create(&p), UMN_ENOMEM);
    plat_fail_alloc_at(0);
    assert_int_equal(plat_alloc_live(), live);
}

static void clocks_and_random(void **state)
{
    uint64_t a = plat_now_monotonic(), b = plat_now_monotonic();
    assert_true(a <= b && b < 3600ull * 1000 * MS);
    assert_true(plat_now_wall() > 133485408000000000ull); /* 2024 */
    char x[16] = {0}, y[16] = {0};
    plat_random(x, sizeof x);
    plat_random(y, sizeof y);
    assert_memory_not_equal(x, y, sizeof x);
    assert_true(plat_cpu_count() >= 1);
}

static void shared_objects(void **state)
{
    void *h = NULL;
    char *why = NULL;
    assert_int_equal(plat_dl_open("/nowhere/x.so", &h, &why), UMN_ENOENT);
    assert_non_null(strstr(why, "nowhere"));
    plat_free(why);
    assert_int_equal(plat_dl_open("/etc/passwd", &h, &why), UMN_ECORRUPT);
    plat_free(why);
    assert_int_equal(plat_dl_open("libm.so.6", &h, NULL), 0);
    assert_non_null(plat_dl_sym(h, "cos"));
    assert_null(plat_dl_sym(h, "no_such_symbol"));
    plat_dl_close(h);
}

static void every_error_has_a_text(void **state)
{
    for (int e = 0; e >= UMN_ECANCELED; e--)
        assert_string_not_equal(umn_strerror(e), "unknown error");
    assert_string_equal(umn_strerror(UMN_ECANCELED - 1), "unknown error");
    assert_string_equal(umn_strerror(INT32_MIN), "unknown error");
    assert_string_equal(umn_strerror(5), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alloc_is_zeroed_aligned_and_counted),
        cmocka_unit_test(nth_allocation_fails_once),
        cmocka_unit_test(free_hook_sees_blocks),
        cmocka_unit_test(pages_keep_their_content_when_they_grow),
        cmocka_unit_test(mutex_excludes),
        cmocka_unit_test(futex_waits_wakes_and_times_out),
        cmocka_unit_test(threads_leave_signals_to_main),
        cmocka_unit_test(poller_reports_and_wakes),
        cmocka_unit_test(clocks_and_random),
        cmocka_unit_test(shared_objects),
        cmocka_unit_test(every_error_has_a_text),
    };
    return cmocka_run_group_tests_name("plat", tests, NULL, NULL);
}
