/* SPDX-License-Identifier: MIT */
/*
 * The registry: names, values, handles, transactions in memory and in a file; refusals of files
 * that are none; a box that is killed while it writes; failing allocations; writers that wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "check/check.h"
#include "config/config.h"
#include "nt/nt.h"
#include "plat/plat.h"
#include "sched/sched.h"

#define OK(x) assert_int_equal((x), 0)

static char folder[64];

static char *file_in(const char *name)
{
    static char path[4][128];
    static int next;
    char *p = path[next++ % 4];

    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static int make_folder(void **state)
{
    strcpy(folder, "/tmp/umn-reg-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? 0 : -1;
}

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static size_t file_size(const char *path)
{
    struct stat st;

    OK(stat(path, &st));
    return (size_t)st.st_size;
}

static char *get(const char *key, const char *name)
{
    static char text[256];
    char *t = NULL;

    if (umn__reg_get_sz(key, name, &t))
        return NULL;
    snprintf(text, sizeof text, "%s", t);
    plat_free(t);
    return text;
}

/* ---- names and values ------------------------------------------------------------------------ */

static void names_keep_their_case_and_compare_without(void **state)
{
    char **list;
    size_t count;

    OK(umn__reg_open(NULL));
    OK(umn__reg_set_sz("SYSTEM\\Caf\u00e9", "Name", "eins"));
    OK(umn__reg_set_sz("system\\CAF\u00c9\\", "NAME", "zwei"));
    OK(umn__reg_set_sz("System\\B", "x", "1"));
    OK(umn__reg_set_sz("System\\a", "x", "1"));
    assert_string_equal(get("sYsTeM\\cAf\u00e9", "nAmE"), "zwei");
    assert_true(umn__reg_key_exists("\\SYSTEM\\\\CAF\u00c9"));
    assert_false(umn__reg_key_exists("SYSTEM\\Caf"));
    OK(umn__reg_subkeys("SYSTEM", &list, &count));
    assert_int_equal(count, 3);
    assert_string_equal(list[0], "a");
    assert_string_equal(list[1], "B");
    assert_string_equal(list[2], "Caf\u00e9");
    assert_null(list[3]);
    plat_free(list);
    umn__reg_close();
}

static void typed_values_come_back(void **state)
{
    char *many[] = {"\\Device\\{A}", "\u4e2d\U0001f600", "c"}, **list;
    void *none = NULL;
    uint32_t n;
    size_t count;

    OK(umn__reg_open(NULL));
    OK(umn__reg_set_dword("k", "d", 0xfedcba98));
    OK(umn__reg_get_dword("K", "D", &n));
    assert_int_equal(n, 0xfedcba98);
    OK(umn__reg_set_multi("k", "m", many, 3));
    OK(umn__reg_get_multi("k", "m", &list, &count));
    assert_int_equal(count, 3);
    for (int i = 0; i < 3; i++)
        assert_string_equal(list[i], many[i]);
    assert_null(list[3]);
    plat_free(list);
    OK(umn__reg_set_multi("k", "m", NULL, 0));
    OK(umn__reg_get_multi("k", "m", &list, &count));
    assert_int_equal(count, 0);
    plat_free(list);
    assert_int_equal(umn__reg_get_dword("k", "m", &n), UMN_EINVAL);
    assert_int_equal(umn__reg_get_dword("k", "q", &n), UMN_ENOENT);
    assert_int_equal(umn__reg_get_dword("q", "d", &n), UMN_ENOENT);
    many[1] = "";
    assert_int_equal(umn__reg_set_multi("k", "m", many, 3), UMN_EINVAL);
    OK(umn__reg_set_raw("k", "", 3, none, 0)); /* the default value may be empty */
    OK(umn__reg_delete_value("k", ""));
    assert_int_equal(umn__reg_delete_value("k", ""), UMN_ENOENT);
    assert_int_equal(umn__reg_delete_key("q"), UMN_ENOENT);
    assert_int_equal(umn__reg_delete_key(""), UMN_EINVAL);
    umn__reg_close();
}

/* What a driver may have written: no terminator, odd length, inner empty strings. */
static void malformed_lists_are_read_safely(void **state)
{
    static const uint16_t bare[] = {'a', 0, 0, 'b'}, cut[] = {'a', 0, 'b', 'c'};
    char **list;
    size_t count;

    OK(umn__reg_open(NULL));
    OK(umn__reg_set_raw("k", "m", 7, cut, 7));
    OK(umn__reg_get_multi("k", "m", &list, &count));
    assert_int_equal(count, 2);
    assert_string_equal(list[1], "b");
    plat_free(list);
    OK(umn__reg_set_raw("k", "m", 7, bare, sizeof bare));
    OK(umn__reg_get_multi("k", "m", &list, &count));
    assert_int_equal(count, 3);
    assert_string_equal(list[1], "");
    assert_string_equal(list[2], "b");
    plat_free(list);
    OK(umn__reg_set_raw("k", "m", 7, bare, 0));
    OK(umn__reg_get_multi("k", "m", &list, &count));
    assert_int_equal(count, 0);
    plat_free(list);
    umn__reg_close();
}

/* ---- handles --------------------------------------------------------------------------------- */

static void handles_as_nt_uses_them(void **state)
{
    const struct umn_registry_ops *ops;
    void *base, *key, *again, *data;
    uint32_t type;
    size_t size;
    char *name;

    OK(umn__reg_open(NULL));
    ops = umn__registry();
    assert_int_equal(ops->open(NULL, "\\Registry\\User\\x", false, &key), UMN_ENOENT);
    assert_int_equal(ops->open(NULL, "\\Registry\\Machine\\S", false, &key), UMN_ENOENT);
    OK(ops->open(NULL, "\\registry\\MACHINE\\S", true, &base));
    OK(ops->open(base, "T\\U", true, &key));
    OK(ops->set(key, "v", 3, "abc", 3));
    OK(ops->set(key, "u", 4, "abcd", 4));
    OK(ops->get(key, "V", &type, &data, &size));
    assert_int_equal(type, 3);
    assert_int_equal(size, 3);
    assert_memory_equal(data, "abc\0\0", 5);
    plat_free(data);
    OK(ops->enum_value(key, 0, &name, &type, &data, &size));
    assert_string_equal(name, "u");
    plat_free(name);
    plat_free(data);
    assert_int_equal(ops->enum_value(key, 2, &name, &type, &data, &size), UMN_ENOENT);
    OK(ops->enum_key(base, 0, &name));
    assert_string_equal(name, "T");
    plat_free(name);
    assert_int_equal(ops->enum_key(base, 1, &name), UMN_ENOENT);
    /* a deleted key stays a handle, and knows it */
    OK(umn__reg_delete_key("S\\T"));
    assert_int_equal(ops->set(key, "v", 3, "abc", 3), UMN_ENOENT);
    assert_int_equal(ops->get(key, "v", &type, &data, &size), UMN_ENOENT);
    assert_int_equal(ops->del_key(key), UMN_ENOENT);
    assert_int_equal(ops->open(key, "x", true, &again), UMN_ENOENT);
    OK(ops->open(base, "T\\U", true, &again)); /* a new one of the same name is another */
    assert_int_equal(ops->get(again, "v", &type, &data, &size), UMN_ENOENT);
    OK(ops->del_key(again));
    ops->close(again);
    ops->close(key);
    ops->close(base);
    umn__reg_close();
}

/* ---- transactions ---------------------------------------------------------------------------- */

static void rollback_leaves_nothing(void **state)
{
    uint64_t before;

    OK(umn__reg_open(NULL));
    OK(umn__reg_set_sz("a\\b\\c", "v", "old"));
    before = umn__reg_generation();
    OK(umn__reg_begin());
    OK(umn__reg_set_sz("a\\b\\c", "v", "new"));
    OK(umn__reg_set_sz("a\\b\\c", "v", "newer"));
    OK(umn__reg_set_sz("a\\b\\d", "w", "x"));
    OK(umn__reg_delete_key("a\\b"));
    OK(umn__reg_set_sz("A\\B\\c", "v", "third"));
    OK(umn__reg_delete_value("a\\b\\c", "v"));
    assert_null(get("a\\b\\c", "v"));
    umn__reg_rollback();
    assert_string_equal(get("a\\b\\c", "v"), "old");
    assert_false(umn__reg_key_exists("a\\b\\d"));
    assert_int_equal(umn__reg_generation(), before);
    OK(umn__reg_begin());
    OK(umn__reg_begin());
    OK(umn__reg_set_sz("a", "v", "1"));
    umn__reg_rollback(); /* inside: the whole is lost */
    OK(umn__reg_set_sz("a", "v", "2"));
    assert_int_equal(umn__reg_commit(), UMN_ECANCELED);
    assert_null(get("a", "v"));
    OK(umn__reg_begin());
    OK(umn__reg_begin());
    OK(umn__reg_set_sz("a", "v", "1"));
    OK(umn__reg_commit());
    assert_int_equal(umn__reg_generation(), before);
    OK(umn__reg_commit());
    assert_true(umn__reg_generation() > before);
    assert_string_equal(get("a", "v"), "1");
    umn__reg_close();
}

static bool print_one(void *arg, const char *path, const char *name, uint32_t type,
                      const void *data, size_t size)
{
    fprintf(arg, "%s|%s|%u|%zu|", path, name ? name : "-", type, size);
    if (size)
        fwrite(data, 1, size, arg);
    return true;
}

/* The whole registry as text. */
static char *dump(void)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    OK(umn__reg_walk("", print_one, f));
    fclose(f);
    return text;
}

/* Random changes, in transactions that are committed or not: what a new open of the file reads is
 * what the memory held. */
static void file_follows_memory(void **state)
{
    static const char *const names[] = {"a", "B", "cc", "D", "e"};
    unsigned seed = 12345;
    const char *path = file_in("random.db");

    OK(umn__reg_open(path));
    for (int round = 0; round < 40; round++) {
        char key[64], *before, *after;
        bool commit = rand_r(&seed) % 3;

        before = dump();
        OK(umn__reg_begin());
        for (int i = 0; i < 30; i++) {
            snprintf(key, sizeof key, "%s\\%s\\%s", names[rand_r(&seed) % 5],
                     names[rand_r(&seed) % 5], names[rand_r(&seed) % 5]);
            key[rand_r(&seed) % 2 ? 63 : strcspn(key, "\\")] = 0;
            switch (rand_r(&seed) % 8) {
            case 0:
                umn__reg_delete_key(key);
                break;
            case 1:
                umn__reg_delete_value(key, names[rand_r(&seed) % 5]);
                break;
            case 2:
                OK(umn__reg_create_key(key));
                break;
            default:
                OK(umn__reg_set_dword(key, names[rand_r(&seed) % 5], (uint32_t)rand_r(&seed)));
            }
        }
        if (commit) {
            free(before);
            before = dump();
            OK(umn__reg_commit());
        } else {
            umn__reg_rollback();
        }
        if (round % 8 == 7) {
            umn__reg_close();
            OK(umn__reg_open(path));
        }
        after = dump();
        assert_string_equal(before, after);
        free(before);
        free(after);
    }
    umn__reg_close();
    assert_int_not_equal(access(file_in("random.db.lock"), F_OK), 0);
}

/* ---- files that are none --------------------------------------------------------------------- */

static void wrong_files_are_refused(void **state)
{
    char *path = file_in("wrong.db"), page[8192];

    umn__refusal_clear();
    assert_int_equal(umn__reg_open(folder), UMN_EINVAL);
    assert_non_null(strstr(umn__refusal(), "folder"));
    assert_int_equal(umn__reg_open(file_in("no/such/file.db")), UMN_ENOENT);
    assert_int_equal(umn__reg_open(""), UMN_EINVAL);
    memset(page, 'x', sizeof page);
    write_file(path, page, sizeof page);
    assert_int_equal(umn__reg_open(path), UMN_ECORRUPT);
    assert_non_null(strstr(umn__refusal(), "wrong.db"));
    assert_int_equal(umn__reg_open_read(path), UMN_ECORRUPT);
    write_file(path, page, 100);
    assert_int_equal(umn__reg_open(path), UMN_ECORRUPT);
    assert_int_not_equal(access(file_in("wrong.db.lock"), F_OK), 0);
    assert_int_equal(umn__reg_open_read(file_in("none.db")), UMN_ENOENT);
    assert_int_not_equal(access(file_in("none.db"), F_OK), 0);
}

static void truncated_files_are_refused(void **state)
{
    char *path = file_in("whole.db"), *cut = file_in("cut.db"), *data;
    size_t size;
    FILE *f;

    OK(umn__reg_open(path));
    OK(umn__reg_begin());
    for (unsigned i = 0; i < 2000; i++) {
        char key[64];

        snprintf(key, sizeof key, "SYSTEM\\k%u", i);
        OK(umn__reg_set_sz(key, "value", "something to fill pages with"));
    }
    OK(umn__reg_commit());
    umn__reg_close();
    size = file_size(path);
    data = malloc(size);
    f = fopen(path, "rb");
    assert_int_equal(fread(data, 1, size, f), size);
    fclose(f);
    for (unsigned i = 1; i < 16; i++) {
        int error;

        write_file(cut, data, size * i / 16 + i * 37);
        error = umn__reg_open(cut);
        assert_int_equal(error, UMN_ECORRUPT);
        assert_non_null(strstr(umn__refusal(), "cut.db"));
    }
    memset(data + size / 2, 0x5a, 8192); /* damage inside */
    write_file(cut, data, size);
    assert_int_equal(umn__reg_open(cut), UMN_ECORRUPT);
    free(data);
}

static int run_sql(const char *path, const char *sql)
{
    char command[512];

    snprintf(command, sizeof command,
             "python3 -c \"import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); "
             "c.executescript(sys.argv[2]); c.commit()\" '%s' '%s'",
             path, sql);
    return system(command);
}

static void foreign_databases_are_refused(void **state)
{
    char *path = file_in("foreign.db");

    OK(run_sql(path, "create table bookmarks(a)"));
    assert_int_equal(umn__reg_open(path), UMN_ECORRUPT);
    assert_non_null(strstr(umn__refusal(), "another program"));
    path = file_in("newer.db");
    OK(umn__reg_open(path));
    umn__reg_close();
    OK(run_sql(path, "pragma user_version=2"));
    assert_int_equal(umn__reg_open(path), UMN_ECORRUPT);
    assert_non_null(strstr(umn__refusal(), "format 2"));
    path = file_in("orphan.db");
    OK(umn__reg_open(path));
    umn__reg_close();
    OK(run_sql(path, "insert into keys values(5, 77, \"x\")"));
    assert_int_equal(umn__reg_open(path), UMN_ECORRUPT);
    assert_non_null(strstr(umn__refusal(), "id 5"));
}

static int in_child(int (*f)(const char *), const char *path)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(f(path));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* As somebody whom permissions bind. */
static int child_without_rights(const char *path)
{
    if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
        return 9;
    if (umn__reg_open(path) != UMN_EPERM || !strstr(umn__refusal(), path))
        return 1;
    return umn__reg_open_read(path) == UMN_EPERM ? 0 : 2;
}

static void unreadable_files_are_refused(void **state)
{
    char *path = file_in("secret.db");

    OK(umn__reg_open(path));
    umn__reg_close();
    OK(chmod(folder, 0755));
    OK(chmod(path, geteuid() == 0 ? 0600 : 0));
    assert_int_equal(in_child(child_without_rights, path), 0);
    OK(chmod(path, 0600));
}

/* ---- two processes --------------------------------------------------------------------------- */

static int child_opens(const char *path)
{
    char holder[32];
    int error;

    snprintf(holder, sizeof holder, "process %d", getppid());
    umn__reg_close(); /* the parent's, of which this is a copy: not its lock */
    error = umn__reg_open(path);
    return error == UMN_EBUSY && strstr(umn__refusal(), holder) ? 0 : 1;
}

static int child_reads(const char *path)
{
    char *value = NULL;

    if (umn__reg_open_read(path))
        return 1;
    if (umn__reg_get_sz("k", "v", &value) || strcmp(value, "seen") != 0)
        return 2;
    if (umn__reg_set_sz("k", "v", "no") != UMN_EPERM)
        return 3;
    plat_free(value);
    umn__reg_close();
    return 0;
}

/* fork() copies an open registry; a second program starts without one. */
static int other_program(int (*f)(const char *), const char *path)
{
    int go[2], status;
    char c = 0;
    pid_t child;

    OK(pipe(go));
    child = fork();
    if (child == 0) {
        close(go[1]);
        _exit(read(go[0], &c, 1) == 1 ? f(path) : 99);
    }
    close(go[0]);
    OK(umn__reg_open(path));
    OK(umn__reg_set_sz("k", "v", "seen"));
    assert_int_equal(write(go[1], "x", 1), 1);
    close(go[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    umn__reg_close();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

static void a_second_box_is_refused_a_reader_is_not(void **state)
{
    char *path = file_in("shared.db");

    assert_int_equal(other_program(child_opens, path), 0);
    assert_int_equal(other_program(child_reads, path), 0);
    assert_int_equal(in_child(child_reads, path), 0);
    OK(umn__reg_open(path)); /* and nothing is left of the lock */
    umn__reg_close();
}

/* Writes pairs: value "n" of two keys is the same in every committed state. */
static void write_for_ever(const char *path, int started)
{
    uint32_t n = 0;

    if (umn__reg_open(path))
        _exit(1);
    umn__reg_get_dword("pair\\one", "n", &n);
    if (write(started, "x", 1) != 1)
        _exit(2);
    for (;;) {
        char key[64];

        n++;
        snprintf(key, sizeof key, "pair\\list\\%u", n % 50);
        if (umn__reg_begin() || umn__reg_set_dword("pair\\one", "n", n))
            _exit(3);
        if (n % 3)
            umn__reg_set_sz(key, "text", "a value that takes some room in the page");
        else if (umn__reg_key_exists(key))
            umn__reg_delete_key(key);
        if (umn__reg_set_dword("pair\\two", "n", n) || umn__reg_commit())
            _exit(4);
    }
}

static void a_kill_leaves_a_sound_registry(void **state)
{
    char *path = file_in("killed.db");
    unsigned seed = (unsigned)getpid();
    uint32_t last = 0;

    for (int round = 0; round < 50; round++) {
        uint32_t one = 0, two = 0;
        int started[2], status;
        char c;
        pid_t child;

        OK(pipe(started));
        child = fork();
        if (child == 0)
            write_for_ever(path, started[1]);
        close(started[1]);
        assert_int_equal(read(started[0], &c, 1), 1);
        close(started[0]);
        usleep((useconds_t)(rand_r(&seed) % 20000));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        OK(umn__reg_open(path)); /* checks the database; the dead box's lock is gone */
        umn__reg_get_dword("pair\\one", "n", &one);
        umn__reg_get_dword("pair\\two", "n", &two);
        assert_int_equal(one, two);
        assert_true(one >= last);
        last = one;
        umn__reg_close();
    }
    assert_true(last > 50);
}

/* ---- memory, writers that wait, size --------------------------------------------------------- */

static int scenario(const char *path)
{
    char *many[] = {"x", "y"};
    int error = umn__reg_open(path);

    if (error)
        return error;
    error = umn__reg_begin();
    if (!error) {
        error = umn__reg_set_sz("a\\b\\c", "v", "text");
        if (!error)
            error = umn__reg_set_multi("a\\b", "m", many, 2);
        if (!error)
            error = umn__reg_set_sz("a\\b\\c", "v", "other");
        if (!error)
            error = umn__reg_delete_key("a\\b\\c");
        if (error)
            umn__reg_rollback();
        else
            error = umn__reg_commit();
    }
    if (error)
        assert_false(umn__reg_key_exists("a"));
    umn__reg_close();
    return error;
}

static void every_allocation_may_fail(void **state)
{
    size_t live = plat_alloc_live();

    for (uint64_t n = 1;; n++) {
        int error;

        plat_fail_alloc_at(n);
        error = scenario(NULL);
        plat_fail_alloc_at(0);
        assert_int_equal(plat_alloc_live(), live);
        if (!error)
            break;
        assert_int_equal(error, UMN_ENOMEM);
        assert_true(n < 1000);
    }
    for (uint64_t n = 1;; n++) {
        int error;

        unlink(file_in("oom.db"));
        plat_fail_alloc_at(n);
        error = scenario(file_in("oom.db"));
        plat_fail_alloc_at(0);
        assert_int_equal(plat_alloc_live(), live);
        if (!error)
            break;
        assert_int_equal(error, UMN_ENOMEM);
        assert_true(n < 1000);
    }
}

static int order[8], steps;

static void other_writer(void *arg)
{
    if (umn__reg_set_sz("w", "v", "other") == 0)
        order[steps++] = 2;
}

static void waiting(void *arg)
{
    struct umn_ctx *ctx;

    assert_int_equal(umn__reg_begin(), 0);
    assert_int_equal(umn__ctx_spawn(&ctx, other_writer, NULL, "writer"), 0);
    for (int i = 0; i < 20; i++)
        umn__point(UMN_OP_YIELD, NULL);
    umn__reg_set_sz("w", "v", "mine");
    order[steps++] = 1;
    umn__reg_rollback();
    umn__ctx_join(ctx);
}

static void a_second_writer_waits(void **state)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE};

    for (uint64_t seed = 0; seed < 20; seed++) {
        config.strategy = seed ? UMN_STRATEGY_RANDOM : UMN_STRATEGY_FIFO;
        config.seed = seed;
        OK(umn__sched_start(&config));
        OK(umn__reg_open(NULL));
        steps = 0;
        OK(umn__sched_run(waiting, NULL));
        assert_int_equal(steps, 2);
        assert_int_equal(order[0], 1);
        assert_int_equal(order[1], 2);
        assert_string_equal(get("w", "v"), "other");
        umn__reg_close();
        umn__sched_stop();
    }
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void thousands_of_devices_in_one_transaction(void **state)
{
    struct umn_device_desc desc = {"mux", "root\\umn_mux_vm", "mux42", NULL};
    char id[64], guid[64], again[64];
    double start = now(), opened;

    OK(umn__reg_open(file_in("large.db")));
    OK(umn__reg_begin());
    for (unsigned i = 0; i < 4096; i++)
        OK(umn__pnp_create_device(&desc, id, guid));
    OK(umn__reg_commit());
    print_message("4,096 devices written: %.3f s, ", now() - start);
    umn__reg_close();
    start = now();
    OK(umn__reg_open(file_in("large.db")));
    opened = now() - start;
    print_message("opened: %.3f s, file: %zu KB\n", opened, file_size(file_in("large.db")) / 1024);
    OK(umn__pnp_find_guid(guid, again));
    assert_string_equal(id, again);
    assert_string_equal(id, "ROOT\\NET\\4095");
    umn__reg_close();
    start = now();
    for (unsigned i = 0; i < 10000; i++) {
        OK(umn__reg_open(NULL));
        umn__reg_close();
    }
    print_message("in memory: %.2f us per open and close\n", (now() - start) * 100);
}

static int close_registry(void **state)
{
    umn__reg_close(); /* a failed test leaves it open */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(names_keep_their_case_and_compare_without, close_registry),
        cmocka_unit_test_teardown(typed_values_come_back, close_registry),
        cmocka_unit_test_teardown(malformed_lists_are_read_safely, close_registry),
        cmocka_unit_test_teardown(handles_as_nt_uses_them, close_registry),
        cmocka_unit_test_teardown(rollback_leaves_nothing, close_registry),
        cmocka_unit_test_teardown(file_follows_memory, close_registry),
        cmocka_unit_test_teardown(wrong_files_are_refused, close_registry),
        cmocka_unit_test_teardown(truncated_files_are_refused, close_registry),
        cmocka_unit_test_teardown(foreign_databases_are_refused, close_registry),
        cmocka_unit_test_teardown(unreadable_files_are_refused, close_registry),
        cmocka_unit_test_teardown(a_second_box_is_refused_a_reader_is_not, close_registry),
        cmocka_unit_test_teardown(a_kill_leaves_a_sound_registry, close_registry),
        cmocka_unit_test_teardown(every_allocation_may_fail, close_registry),
        cmocka_unit_test_teardown(a_second_writer_waits, close_registry),
        cmocka_unit_test_teardown(thousands_of_devices_in_one_transaction, close_registry),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
