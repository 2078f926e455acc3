/* SPDX-License-Identifier: MIT */
/*
 * The runner of conf.h. Each test runs in a process of its own, so that a crash or a hang is that
 * test's failure alone; with -v, and for one seed, in this process (debuggers). TAP on stdout, the
 * closing line "N passed, N failed". --results FILE writes "name ids pass|fail" lines for the id
 * table.
 */
#include "conf.h"
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ndis/host.h"
#include "sched/sched.h"
#include "world.h"

#define LOG_MAX 8192

static struct conf_test *tests;
static struct {
    bool failed, sweeping, verbose, hung;
    uint64_t seed;
    char why[512];
    const char *expected[8];
    unsigned expected_count;
    char *log[LOG_MAX];
    int log_count;
} run;

void conf_register(struct conf_test *test)
{
    struct conf_test **at = &tests;
    while (*at && strcmp((*at)->name, test->name) < 0)
        at = &(*at)->next;
    test->next = *at;
    *at = test;
}

bool conf_failed(void)
{
    return run.failed;
}
bool conf_sweeping(void)
{
    return run.sweeping;
}
uint64_t conf_seed(void)
{
    return run.seed;
}

void conf_fail(const char *file, int line, const char *fmt, ...)
{
    char text[384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *base = strrchr(file, '/');
    if (!run.failed)
        snprintf(run.why, sizeof run.why, "%s:%d: %s", base ? base + 1 : file, line, text);
    run.failed = true;
}

void conf_expect(const char *rule)
{
    if (run.expected_count < 8)
        run.expected[run.expected_count++] = rule;
}

void log_event(const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (run.verbose)
        fprintf(stderr, "# [%u %s irql %u] %s\n",
                umn__ctx_self() ? umn__ctx_id(umn__ctx_self()) : 0,
                umn__ctx_self() ? umn__ctx_name(umn__ctx_self()) : "-", umn__irql(), text);
    if (run.log_count < LOG_MAX)
        run.log[run.log_count++] = strdup(text);
}
int log_find(const char *prefix, int nth)
{
    for (int i = 0; i < run.log_count; i++)
        if (!strncmp(run.log[i], prefix, strlen(prefix)) && nth-- == 0)
            return i;
    return -1;
}
int log_count(const char *prefix)
{
    int n = 0;
    for (int i = 0; i < run.log_count; i++)
        n += !strncmp(run.log[i], prefix, strlen(prefix));
    return n;
}
const char *log_at(int index)
{
    return index >= 0 && index < run.log_count ? run.log[index] : NULL;
}
void log_clear(void)
{
    for (int i = 0; i < run.log_count; i++)
        free(run.log[i]);
    run.log_count = 0;
}
void log_dump(void)
{
    for (int i = 0; i < run.log_count; i++)
        fprintf(stderr, "#   %3d %s\n", i, run.log[i]);
}
bool log_in_order(const char *first, ...)
{
    va_list ap;
    va_start(ap, first);
    int last = -1;
    bool good = true;
    for (const char *p = first; p; p = va_arg(ap, const char *)) {
        int at = log_find(p, 0);
        if (at <= last)
            good = false;
        last = at;
    }
    va_end(ap);
    return good;
}

/* Where a test is, for the parent of a process that has died. */
static struct progress {
    uint64_t seed, fail_at;
} * progress;

/* A hang outweighs whatever check failed before it. */
static void hung(void)
{
    run.hung = true;
    run.failed = false;
    conf_fail("hang", 0, "nothing can run:\n%s", umn__sched_describe());
}

static void judge_reports(void)
{
    unsigned expected = 0;
    for (unsigned i = 0; i < run.expected_count; i++)
        expected += umn__report_count_rule(run.expected[i]);
    if (umn__report_count() > expected) {
        const struct umn_report *bad = NULL;
        for (unsigned i = 0; (bad = umn__report_get(i)); i++) {
            bool known = false;
            for (unsigned k = 0; k < run.expected_count; k++)
                known |= !strcmp(run.expected[k], bad->rule);
            if (!known)
                break;
        }
        conf_fail("report", 0, "%s: %s", bad ? bad->rule : "?", bad ? bad->text : "?");
    }
}

static void body(void *arg)
{
    const struct conf_test *t = arg;
    world_enter();
    t->run();
    world_leave();
}

/* One run of one test. Returns true if it passed. */
static bool run_once(const struct conf_test *t, uint64_t seed, uint64_t fail_at, uint64_t *allocs)
{
    log_clear();
    run.failed = false;
    run.why[0] = 0;
    run.seed = seed;
    run.sweeping = fail_at != 0;
    run.expected_count = 0;
    umn__report_reset();
    umn__report_quiet(true);
    world_reset();
    struct umn_box_config config = {.backend = UMN_BOX_EXPLORE,
                                    .seed = seed,
                                    .pct = seed % 4 == 3,
                                    .driver_path = world_driver_path()};
    if (t->flags & CONF_THREADS) {
        config.backend = UMN_BOX_THREADS;
        config.cpus = 3;
    }
    size_t before = plat_alloc_live();
    if (progress)
        *progress = (struct progress){seed, fail_at};
    plat_fail_alloc_at(fail_at);
    int e = umn_box_create(&config);
    if (!e) {
        e = umn_box_run(body, (void *)t);
        if (e == UMN_EHANG || e == UMN_ETIMEDOUT) {
            hung();
            return false; /* the box cannot go down any more; run_test's caller ends the process */
        }
        if (e && e != UMN_EREPORT && !run.sweeping)
            conf_fail("box", 0, "umn_box_run: %s: %s", umn_strerror(e), umn_last_error());
        else if (e == UMN_EREPORT && umn__report_count() == 0)
            conf_fail("box", 0, "%s", umn_last_error());
        umn_box_destroy();
    } else if (!run.sweeping) {
        conf_fail("box", 0, "umn_box_create: %s", umn_last_error());
    }
    if (allocs)
        *allocs = plat_alloc_count();
    bool injected = plat_alloc_failed();
    plat_fail_alloc_at(0);
    /* Giving up after the injected failure is what a scenario may do. */
    if (run.sweeping && injected && strncmp(run.why, "hang", 4) && strncmp(run.why, "report", 6))
        run.failed = false;
    judge_reports();
    if (plat_alloc_live() != before && !run.failed)
        conf_fail("leak", 0, "%zd blocks", (ssize_t)(plat_alloc_live() - before));
    return !run.failed;
}

struct options {
    const char *filter, *results;
    unsigned seeds;
    bool sweep, list;
    uint64_t one_seed, one_fail;
};

static bool explain(const struct conf_test *t, uint64_t seed, uint64_t fail_at)
{
    printf("#   %s\n#   again: conformance --filter %s", run.why, t->name);
    if (seed)
        printf(" --seed %llu", (unsigned long long)seed);
    if (fail_at)
        printf(" --fail-alloc %llu", (unsigned long long)fail_at);
    printf(" -v\n");
    return false;
}

static bool run_test(const struct conf_test *t, const struct options *o)
{
    uint64_t allocs = 0;
    if (o->one_seed || o->one_fail)
        return run_once(t, o->one_seed, o->one_fail, NULL) || explain(t, o->one_seed, o->one_fail);
    if (!run_once(t, 0, 0, &allocs))
        return explain(t, 0, 0);
    if (t->flags & CONF_THREADS)
        return true;
    unsigned seeds = t->flags & CONF_NO_SEEDS ? 0 : o->seeds;
    if (t->flags & CONF_SLOW && seeds > 5)
        seeds = 5;
    for (unsigned s = 1; s <= seeds; s++)
        if (!run_once(t, s, 0, NULL))
            return explain(t, s, 0);
    if (!o->sweep || t->flags & CONF_NO_SWEEP)
        return true;
    uint64_t step = t->flags & CONF_SLOW ? allocs / 50 + 1 : 1;
    for (uint64_t n = 1; n <= allocs; n += step)
        if (!run_once(t, 0, n, NULL))
            return explain(t, 0, n);
    return true;
}

/* run_test in a process of its own. */
static bool run_apart(const struct conf_test *t, const struct options *o)
{
    int status = 0;
    fflush(stdout);
    fflush(stderr);
    *progress = (struct progress){0, 0};
    pid_t pid = fork();
    if (pid == 0) {
        bool pass = run_test(t, o);
        fflush(stdout);
        _exit(pass ? 0 : 1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return run_test(t, o);
    if (WIFSIGNALED(status)) {
        snprintf(run.why, sizeof run.why, "died of signal %d", WTERMSIG(status));
        return explain(t, progress->seed, progress->fail_at);
    }
    return WEXITSTATUS(status) == 0;
}

static void write_result(FILE *f, const struct conf_test *t, bool pass)
{
    char group[4] = {0};
    unsigned number = 0;
    if (sscanf(t->name, "im_%3[a-z]_%u", group, &number) == 2)
        for (char *c = group; *c; c++)
            *c -= 32;
    fprintf(f, "%s %s IM-%s-%02u %s\n", t->name, pass ? "pass" : "fail", group, number,
            t->also ? t->also : "");
}

static int usage(int status)
{
    fprintf(status ? stderr : stdout,
            "usage: conformance [--filter GLOB] [--seeds N] [--sweep] [--seed S] [--fail-alloc N]\n"
            "                   [--results FILE] [--list] [-v]\n");
    return status;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(a, "--sweep"))
            o.sweep = true;
        else if (!strcmp(a, "--list"))
            o.list = true;
        else if (!strcmp(a, "-v"))
            run.verbose = true;
        else if (!strcmp(a, "--help"))
            return usage(0);
        else if (!v)
            return usage(2);
        else if (!strcmp(a, "--filter"))
            o.filter = v, i++;
        else if (!strcmp(a, "--seeds"))
            o.seeds = (unsigned)atoi(v), i++;
        else if (!strcmp(a, "--seed"))
            o.one_seed = strtoull(v, NULL, 0), i++;
        else if (!strcmp(a, "--fail-alloc"))
            o.one_fail = strtoull(v, NULL, 0), i++;
        else if (!strcmp(a, "--results"))
            o.results = v, i++;
        else
            return usage(2);
    }
    FILE *results = o.results ? fopen(o.results, "w") : NULL;
    if (o.results && !results) {
        fprintf(stderr, "conformance: cannot write %s\n", o.results);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    bool here = run.verbose || o.one_seed || o.one_fail;
    if (!here) {
        progress =
            mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (progress == MAP_FAILED)
            progress = NULL;
        here = !progress;
    }
    unsigned passed = 0, failed = 0, number = 0;
    for (struct conf_test *t = tests; t; t = t->next) {
        if (o.filter && fnmatch(o.filter, t->name, 0))
            continue;
        if (o.list) {
            printf("%s\n", t->name);
            continue;
        }
        bool pass = here ? run_test(t, &o) : run_apart(t, &o);
        printf("%s %u - %s\n", pass ? "ok" : "not ok", ++number, t->name);
        *(pass ? &passed : &failed) += 1;
        if (results)
            write_result(results, t, pass);
        if (run.hung)
            break;
    }
    if (results)
        fclose(results);
    log_clear();
    if (o.list)
        return 0;
    printf("1..%u\n%u passed, %u failed\n", number, passed, failed);
    if (!number) {
        fprintf(stderr, "conformance: no test matches %s\n", o.filter ? o.filter : "(all)");
        return 2;
    }
    return failed ? 1 : 0;
}
