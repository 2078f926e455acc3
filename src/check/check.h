/* SPDX-License-Identifier: MIT */
/*
 * Reports: a driver's mistake, seen by the library (design 9). `assert` is for our own bugs, a
 * report for the driver's, a refusal (umn__refuse) for the user's input. Calls nobody above sched.
 */
#ifndef UMN_CHECK_H
#define UMN_CHECK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reports that a driver broke `rule` (the name Driver Verifier prints, or our id such as ST-10 or
 * a conformance id). `code` is the Windows code (0x7C sub-code, 0xC4 rule id) or 0. Any IRQL. One
 * sentence, no newline. Counted, kept (the first 64 texts), printed on stderr unless quiet, and
 * given to the hook. Never allocates, never blocks.
 */
void umn__report(const char *rule, uint32_t code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Checks that the IRQL is at most `max`; else reports IrqlXxx for function `name`. True if fine. */
bool umn__check_irql(uint8_t max, const char *name);

struct umn_report {
    const char *rule;
    uint32_t code;
    uint32_t ctx; /* id of the context that was running */
    uint8_t irql;
    char text[240];
};
unsigned umn__report_count(void);
const struct umn_report *umn__report_get(unsigned index); /* NULL past the kept ones */
unsigned umn__report_count_rule(const char *rule);
void umn__report_reset(void);
void umn__report_quiet(bool quiet); /* do not print; tests that expect reports use it */
void umn__report_hook(void (*hook)(const struct umn_report *));

/*
 * A refusal: what, where, expected. Kept per thread of control for the caller of a failed host
 * function (umn_last_error()); 511 characters. Returns `error`, so that one can return it.
 */
int umn__refuse(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *umn__refusal(void); /* the last one; "" if none */
void umn__refusal_clear(void);

#endif
