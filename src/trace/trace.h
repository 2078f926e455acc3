/* SPDX-License-Identifier: MIT */
/*
 * The event trace: state transitions, PnP, OIDs, binds, in order, with logical ids instead of
 * addresses so that equal seeds give equal traces. Not on the data path. Calls nobody above sched.
 */
#ifndef UMN_TRACE_H
#define UMN_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Records one event: a dotted word for what happened ("adapter.state", "binding.state",
 * "im.request", "pnp.irp", "oid.start") - a literal - and a text of at most 119 characters that
 * names the object first. Any IRQL, never allocates, never blocks; the ring keeps the last 8192.
 */
void umn__trace(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

struct umn_trace_event {
    uint64_t seq;  /* from 1 */
    uint64_t time; /* umn__now() */
    uint32_t ctx;
    uint8_t cpu, irql;
    const char *what;
    char text[120];
};
uint64_t umn__trace_next(void); /* sequence number of the next event */
/* Copies event `seq`; false if it has not happened yet or has left the ring. */
bool umn__trace_get(uint64_t seq, struct umn_trace_event *out);
void umn__trace_reset(void);
void umn__trace_follow(void (*hook)(const struct umn_trace_event *)); /* NULL = off */

#endif
