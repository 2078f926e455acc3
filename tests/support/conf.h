/* SPDX-License-Identifier: MIT */
/*
 * The conformance harness: tests register themselves, the runner runs each on the explore back end
 * - plainly, under many schedules (--seeds N), and with every single allocation failing in turn
 * (--sweep). Results name the conformance ids; `./check ids` makes the table of them.
 */
#ifndef CONF_H
#define CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include "check/check.h"
#include "plat/plat.h"
#include "umndis/umndis.h"

/* What a test asks of the runner. */
#define CONF_NO_SEEDS 1u /* the order of events is what is tested: only the plain schedule */
#define CONF_NO_SWEEP 2u
#define CONF_SLOW 4u /* large scenario: few seeds, sampled sweep */
#define CONF_THREADS                                                                               \
    16u /* on the threads back end, once: neither seeds nor the sweep; the scripted                \
         * drivers of world.h are not for it, nothing of theirs is locked */
#define CONF_REPORTS 8u /* reports are expected under any schedule and in the sweep */

struct conf_test {
    const char *name; /* im_vmp_11_cancel_after_initialize_fails: the id is its first three words */
    const char *also; /* further ids, "IM-VMP-13 IM-UNB-09", or NULL */
    unsigned flags;
    void (*run)(void); /* in a system thread of a fresh box, PASSIVE_LEVEL */
    struct conf_test *next;
};
void conf_register(struct conf_test *test);

/* CONF(im_vmp_11_cancel_after_initialize_fails, "IM-VMP-13", 0) { ... } */
#define CONF(fn, also_ids, test_flags)                                                             \
    static void fn(void);                                                                          \
    static struct conf_test fn##_test = {#fn, also_ids, test_flags, fn, NULL};                     \
    __attribute__((constructor)) static void fn##_register(void)                                   \
    {                                                                                              \
        conf_register(&fn##_test);                                                                 \
    }                                                                                              \
    static void fn(void)

/* A failed check ends the (void) function. In the sweep a failed check after the injected failure
 * is how a scenario gives up: then only leaks, hangs, crashes and reports count. */
void conf_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            conf_fail(__FILE__, __LINE__, "%s", #cond);                                            \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define CHECK_EQ(a, b)                                                                             \
    do {                                                                                           \
        long long conf_a_ = (long long)(a), conf_b_ = (long long)(b);                              \
        if (conf_a_ != conf_b_) {                                                                  \
            conf_fail(__FILE__, __LINE__, "%s is %lld (0x%llx), expected %s = %lld (0x%llx)", #a,  \
                      conf_a_, conf_a_, #b, conf_b_, conf_b_);                                     \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define CHECK_STR(a, b)                                                                            \
    do {                                                                                           \
        const char *conf_a_ = (a), *conf_b_ = (b);                                                 \
        if (!conf_a_ || strcmp(conf_a_, conf_b_)) {                                                \
            conf_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #a,                     \
                      conf_a_ ? conf_a_ : "(null)", conf_b_);                                      \
            return;                                                                                \
        }                                                                                          \
    } while (0)
/* After a helper that may have failed a check itself. */
#define CHECK_OK()                                                                                 \
    do {                                                                                           \
        if (conf_failed())                                                                         \
            return;                                                                                \
    } while (0)
bool conf_failed(void);
bool conf_sweeping(void); /* this run has an allocation failure armed */
uint64_t conf_seed(void); /* 0: the plain schedule */

/* This test expects reports of the rule; any other rule fails it. Call before they can happen. */
void conf_expect(const char *rule);
/* CHECKs that the expected rule was reported at least `least` times. */
#define CHECK_REPORTED(rule, least) CHECK((int)umn__report_count_rule(rule) >= (int)(least))

/* ---- the log: what the test drivers saw, in order ---------------------------------------------
 */
void log_event(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Number of entries that start with the prefix. */
int log_count(const char *prefix);
/* Index of the nth (from 0) entry that starts with the prefix, or -1. */
int log_find(const char *prefix, int nth);
const char *log_at(int index); /* NULL past the end */
void log_clear(void);
void log_dump(void); /* to stderr */
#define CHECK_LOGGED(prefix, times) CHECK_EQ(log_count(prefix), times)
/* Every prefix is there (first occurrence) and in this order. */
bool log_in_order(const char *first, ...) __attribute__((sentinel));

#endif
