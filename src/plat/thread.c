/* SPDX-License-Identifier: MIT */
/*
 * Host threads, the futex, the leaf mutex and the clocks. Owns nothing but the zero of the
 * monotonic clock, set once before main. Any thread; IRQL is unknown here.
 */
#include "plat/plat.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define UNITS_PER_SECOND 10000000ull
#define NS_PER_UNIT 100u
#define EPOCH_1601 116444736000000000ull /* 1970-01-01 as FILETIME */
#define SPINS 100

struct plat_thread {
    pthread_t id;
    void (*fn)(void *);
    void *arg;
    char name[16]; /* the kernel keeps 15 characters */
};

static uint64_t Zero; /* CLOCK_MONOTONIC at process start, in units */

static uint64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * UNITS_PER_SECOND + (uint64_t)ts.tv_nsec / NS_PER_UNIT;
}

__attribute__((constructor)) static void set_zero(void)
{
    Zero = read_clock(CLOCK_MONOTONIC);
}

uint64_t plat_now_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC) - Zero;
}

uint64_t plat_now_wall(void)
{
    return read_clock(CLOCK_REALTIME) + EPOCH_1601;
}

static void *entry(void *p)
{
    struct plat_thread *t = p;
    pthread_setname_np(pthread_self(), t->name);
    t->fn(t->arg);
    return NULL;
}

/* The new thread keeps only the signals that its own code raises: the others belong to the main
 * thread (or its signalfd). */
int plat_thread_create(struct plat_thread **out, void (*fn)(void *), void *arg, const char *name)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    struct plat_thread *t = plat_alloc(sizeof *t);
    if (!t)
        return UMN_ENOMEM;
    t->fn = fn;
    t->arg = arg;
    snprintf(t->name, sizeof t->name, "%s", name);

    sigset_t block, old;
    sigfillset(&block);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&block, own[i]);
    pthread_sigmask(SIG_SETMASK, &block, &old);
    int rc = pthread_create(&t->id, NULL, entry, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        plat_free(t);
        return UMN_ENOMEM;
    }
    *out = t;
    return 0;
}

void plat_thread_join(struct plat_thread *t)
{
    pthread_join(t->id, NULL);
    plat_free(t);
}

void plat_thread_pin(int host_cpu)
{
    if (host_cpu < 0)
        return;
    cpu_set_t set, allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    /* The nth CPU of those that we may use, which need not be number n of the machine. */
    for (int cpu = 0, n = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || n++ != host_cpu)
            continue;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        (void)sched_setaffinity(0, sizeof set, &set);
        return;
    }
}

int plat_cpu_count(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return 1;
    int n = CPU_COUNT(&allowed);
    return n > 0 ? n : 1;
}

int plat_futex_wait(uint32_t *word, uint32_t expected, uint64_t deadline)
{
    struct timespec ts, *until = NULL;
    if (deadline < UINT64_MAX - Zero) {
        uint64_t at = deadline + Zero;
        ts.tv_sec = (time_t)(at / UNITS_PER_SECOND);
        ts.tv_nsec = (long)(at % UNITS_PER_SECOND) * NS_PER_UNIT;
        until = &ts;
    }
    long rc = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, until,
                      NULL, FUTEX_BITSET_MATCH_ANY);
    return rc != 0 && errno == ETIMEDOUT ? UMN_ETIMEDOUT : 0;
}

void plat_futex_wake(uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
}

/* 0 free, 1 held, 2 held and perhaps waited for. */
void plat_mutex_lock(struct plat_mutex *m)
{
    uint32_t seen = 0;
    if (__builtin_expect(__atomic_compare_exchange_n(&m->state, &seen, 1, false, __ATOMIC_ACQUIRE,
                                                     __ATOMIC_RELAXED),
                         1))
        return;
    for (int i = 0; i < SPINS; i++) {
        __builtin_ia32_pause();
        seen = 0;
        if (__atomic_load_n(&m->state, __ATOMIC_RELAXED) == 0 &&
            __atomic_compare_exchange_n(&m->state, &seen, 1, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return;
    }
    while (__atomic_exchange_n(&m->state, 2, __ATOMIC_ACQUIRE) != 0)
        plat_futex_wait(&m->state, 2, UINT64_MAX);
}

void plat_mutex_unlock(struct plat_mutex *m)
{
    if (__atomic_exchange_n(&m->state, 0, __ATOMIC_RELEASE) == 2)
        plat_futex_wake(&m->state, 1);
}
