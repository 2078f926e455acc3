/* SPDX-License-Identifier: MIT */
/* Stacks that several groups need: the real MUX, watched, with a protocol on its virtual miniports.
 */
#ifndef STACKS_H
#define STACKS_H

#include <stdio.h>
#include "spy.h"
#include "ndis/internal.h"
#include "trace/trace.h"

/* mux over nic 0; one virtual miniport; tproto0 on it. */
struct mux_stack {
    char id[64], guid[64];
    struct nic *nic;
    struct bnd *top;
};

/* One more virtual miniport over nic 0 with tproto0 on it. */
static inline void mux_stack_vm(struct mux_stack *s)
{
    world_vm(0, "tproto0", 0, s->id, s->guid);
    if (conf_failed())
        return;
    settle(10);
    s->nic = nic_by_guid(world_nic_guid(0));
    s->top = proto_on(0, s->guid);
    CHECK(s->nic != NULL);
    CHECK(s->top != NULL);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
    CHECK_STR(adapter_state(s->guid), "Running");
    CHECK_STR(binding_state(s->guid, "tproto0"), "Running");
}

static inline void mux_stack(struct mux_stack *s)
{
    memset(s, 0, sizeof *s);
    world_mux();
    CHECK_OK();
    spy_mux();
    world_proto(0);
    world_nic(true);
    CHECK_OK();
    world_bind("mux", world_nic_guid(0));
    mux_stack_vm(s);
}

static inline struct ndis_binding *lower_binding(const char *service, const char *guid)
{
    struct ndis_adapter *a = ndis__adapter_find(guid);
    if (a)
        umn_list_for_each (at, &a->bindings) {
            struct ndis_binding *b = umn_container_of(at, struct ndis_binding, adapter_link);
            if (!strcmp(b->protocol->service, service))
                return b;
        }
    return NULL;
}

/* A dead handle is a stale one (HandleType) or, where the library remembers it, a closed binding
 * (ST-08) or a halted adapter (ST-13). */
static inline void expect_dead_handles(void)
{
    conf_expect("HandleType");
    conf_expect("ST-08");
    conf_expect("ST-13");
}
static inline unsigned dead_handles(void)
{
    return umn__report_count_rule("HandleType") + umn__report_count_rule("ST-08") +
           umn__report_count_rule("ST-13");
}

static inline void join(struct umn_ctx *ctx)
{
    if (ctx)
        umn__ctx_join(ctx);
}

/*
 * Goes through the trace from the start: every "Old -> New" of events `what` must be one of the
 * `legal` ones ("Old New", NULL at the end). Marks in seen[] which were met; logs what was not
 * legal.
 */
static inline unsigned check_transitions(const char *what, const char *const *legal, bool *seen)
{
    struct umn_trace_event e;
    unsigned bad = 0;
    for (uint64_t seq = 1; seq < umn__trace_next(); seq++) {
        char from[32], to[32], both[66];
        const char *arrow;
        if (!umn__trace_get(seq, &e) || strcmp(e.what, what) || !(arrow = strstr(e.text, " -> ")))
            continue;
        const char *word = arrow;
        while (word > e.text && word[-1] != ' ')
            word--;
        snprintf(from, sizeof from, "%.*s", (int)(arrow - word), word);
        snprintf(to, sizeof to, "%s", arrow + 4);
        snprintf(both, sizeof both, "%s %s", from, to);
        unsigned i = 0;
        while (legal[i] && strcmp(legal[i], both))
            i++;
        if (legal[i])
            seen[i] = true;
        else
            log_event("illegal %s: %s", what, e.text), bad++;
    }
    return bad;
}

/* Blocks of one pool tag that are alive, whoever owns them. */
static inline size_t pool_blocks(const char tag[4])
{
    struct umn_pool_usage usage[32];
    unsigned n = umn__pool_usage(usage, 32);
    for (unsigned i = 0; i < n && i < 32; i++)
        if (!memcmp(&usage[i].tag, tag, 4))
            return usage[i].blocks;
    return 0;
}

#endif
