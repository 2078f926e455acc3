/* SPDX-License-Identifier: MIT */
/*
 * Who goes on: the strategies of the explore back end, and the record of what they decided. Owns
 * the random generator and the trace. A trace is a header and one record of 8 bytes a decision, in
 * host (little endian) order; strict replay follows it and stops at the first difference.
 */
#include "sched/explore.h"

#include <string.h>

#define MAGIC "UMNSCHED"
#define VERSION 1u
#define FIRST_CAPACITY (64u * 1024)
/* FIFO: after this many picks in a row the oldest other context gets a turn, else a driver that
 * polls a variable would run to the step limit. */
#define FIFO_TURN 4096u
/* PCT is unfair; past these steps the rest of the run is a fair random walk. */
#define PCT_FAIR_AFTER 65536u
#define PCT_CHANGES 2u /* d - 1 priority change points for d = 3 */

struct header {
    char magic[8];
    uint32_t version, strategy;
    uint64_t seed;
    uint32_t cpus, workers;
    uint64_t count;
};

struct record {
    uint8_t op;  /* UMN_OP_CHOOSE: `value` is the choice, n its range cut to 16 bits */
    uint8_t cpu; /* vCPU of the picked context, if it is passive */
    uint16_t n;  /* enabled contexts */
    union {
        struct {
            uint16_t pick;
            uint16_t object;
        };
        uint32_t value;
    };
};
_Static_assert(sizeof(struct record) == 8, "records are part of the trace format");

static struct {
    uint64_t rng;
    uint64_t low;                 /* PCT: the next lowest priority */
    uint64_t change[PCT_CHANGES]; /* PCT: steps at which the running context becomes the lowest */
    struct header *trace;         /* the record, kept over runs */
    size_t capacity, size;
    bool lost; /* the record could not grow */
    const struct record *replay, *replay_end;
    uint32_t source; /* strategy in the header: under replay the recorded one */
    bool mismatch;
} S;

uint64_t umn__x_random(void) /* splitmix64 */
{
    uint64_t z = S.rng += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static uint32_t below(uint32_t n)
{
    return (uint32_t)(((umn__x_random() >> 32) * n) >> 32);
}

static int load_replay(void)
{
    const struct umn_sched_config *config = &umn__x.config;
    struct header h;
    if (!config->replay || config->replay_size < sizeof h)
        return UMN_ECORRUPT;
    memcpy(&h, config->replay, sizeof h);
    size_t left = config->replay_size - sizeof h;
    if (memcmp(h.magic, MAGIC, sizeof h.magic) != 0 || h.version != VERSION ||
        h.count != left / sizeof(struct record) || left % sizeof(struct record) != 0 ||
        h.cpus < 1 || h.cpus > UMN_MAX_CPUS || h.workers < 1 || h.workers > UMN_MAX_WORKERS ||
        h.strategy > UMN_STRATEGY_PCT)
        return UMN_ECORRUPT;
    /* A caller may hand us the record of the last run itself, which this run overwrites: copy. */
    void *copy = plat_pages_map(left + 1, false);
    if (!copy)
        return UMN_ENOMEM;
    memcpy(copy, (const char *)config->replay + sizeof h, left);
    S.replay = copy;
    S.replay_end = S.replay + h.count;
    umn__x.config.seed = h.seed;
    umn__x.config.cpus = h.cpus;
    umn__x.config.workers = h.workers;
    S.source = h.strategy;
    return 0;
}

static const void *ReplayCopy;
static size_t ReplaySize;

int umn__x_strategy_start(void)
{
    umn__x_trace_stop();
    S.mismatch = S.lost = false;
    S.replay = S.replay_end = NULL;
    S.source = umn__x.config.strategy;
    if (umn__x.config.strategy == UMN_STRATEGY_REPLAY) {
        int error = load_replay();
        if (error)
            return error;
        ReplayCopy = S.replay;
        ReplaySize = (size_t)(S.replay_end - S.replay) * sizeof(struct record) + 1;
    }
    if (!S.trace) {
        S.trace = plat_pages_map(FIRST_CAPACITY, false);
        if (!S.trace)
            return UMN_ENOMEM;
        S.capacity = FIRST_CAPACITY;
    }
    S.size = sizeof *S.trace;
    *S.trace = (struct header){.version = VERSION,
                               .strategy = S.source,
                               .seed = umn__x.config.seed,
                               .cpus = umn__x.config.cpus,
                               .workers = umn__x.config.workers};
    memcpy(S.trace->magic, MAGIC, sizeof S.trace->magic);
    S.rng = umn__x.config.seed * 0x2545F4914F6CDD1Dull + 0x1234567;
    S.low = 1ull << 40;
    /* The length of the run is not known; a length between 2^6 and 2^14 covers all scales. */
    uint64_t length = 64ull << below(9);
    for (unsigned i = 0; i < PCT_CHANGES; i++)
        S.change[i] = 1 + below((uint32_t)length);
    return 0;
}

/* Gives back what only a running scheduler needs; the record stays for umn__sched_trace. */
void umn__x_trace_stop(void)
{
    if (ReplayCopy)
        plat_pages_unmap((void *)(uintptr_t)ReplayCopy, ReplaySize, false);
    ReplayCopy = NULL;
}

const void *umn__sched_trace(size_t *size)
{
    if (!S.trace || S.lost) {
        *size = 0;
        return NULL;
    }
    S.trace->count = (S.size - sizeof *S.trace) / sizeof(struct record);
    *size = S.size;
    return S.trace;
}

static void record(struct record r)
{
    if (__builtin_expect(S.size + sizeof r > S.capacity, 0)) {
        void *p = S.lost ? NULL : plat_pages_grow(S.trace, S.capacity, S.capacity * 2);
        if (!p) {
            S.lost = true;
            return;
        }
        S.trace = p;
        S.capacity *= 2;
    }
    memcpy((char *)S.trace + S.size, &r, sizeof r);
    S.size += sizeof r;
}

bool umn__x_mismatched(void)
{
    return S.mismatch;
}

static const char *op_name(unsigned op)
{
    static const char *const names[] = {"yield",    "spawn", "exit",  "park",  "unpark", "lock",
                                        "unlock",   "irql",  "dpc",   "timer", "work",   "atomic",
                                        "callback", "irp",   "alloc", "choose"};
    return op < sizeof names / sizeof names[0] ? names[op] : "?";
}

static void mismatch(const struct record *found)
{
    S.mismatch = true;
    umn__x_describe_text("replay left the trace at step %llu (%s)\n",
                         (unsigned long long)umn__x.steps, umn__self ? umn__self->name : "start");
    if (S.replay == S.replay_end)
        umn__x_describe_text("expected: the end of the trace\n");
    else if (S.replay->op == UMN_OP_CHOOSE)
        umn__x_describe_text("expected: choose among %u\n", S.replay->n);
    else
        umn__x_describe_text("expected: %s of object #%u, %u enabled\n", op_name(S.replay->op),
                             S.replay->object, S.replay->n);
    if (found->op == UMN_OP_CHOOSE)
        umn__x_describe_text("found: choose among %u\n", found->n);
    else
        umn__x_describe_text("found: %s of object #%u, %u enabled\n", op_name(found->op),
                             found->object, found->n);
}

/* The record to follow, or NULL after a mismatch was noted. */
static const struct record *follow(const struct record *found)
{
    const struct record *r = S.replay;
    bool same = r != S.replay_end && r->op == found->op && r->n == found->n &&
                (r->op == UMN_OP_CHOOSE ? r->value < r->n || r->n == UINT16_MAX
                                        : r->object == found->object && r->pick < r->n);
    if (!same) {
        mismatch(found);
        return NULL;
    }
    S.replay++;
    return r;
}

static unsigned oldest(struct umn_ctx *const *enabled, unsigned n)
{
    unsigned best = 0;
    for (unsigned i = 1; i < n; i++)
        if (enabled[i]->x.seq < enabled[best]->x.seq)
            best = i;
    return best;
}

static unsigned highest(struct umn_ctx *const *enabled, unsigned n)
{
    unsigned best = 0;
    for (unsigned i = 1; i < n; i++)
        if (enabled[i]->x.prio > enabled[best]->x.prio)
            best = i;
    return best;
}

static unsigned pick_fifo(struct umn_ctx *const *enabled, unsigned n, int cur, enum umn_op op)
{
    if (cur >= 0) {
        if (op != UMN_OP_YIELD && umn__x.run_length < FIFO_TURN)
            return (unsigned)cur;
        enabled[cur]->x.seq = ++umn__x.seq;
    }
    return oldest(enabled, n);
}

static unsigned pick_pct(struct umn_ctx *const *enabled, unsigned n, int cur, enum umn_op op)
{
    if (umn__x.steps > PCT_FAIR_AFTER)
        return below(n);
    if (cur >= 0) {
        bool change = op == UMN_OP_YIELD;
        for (unsigned i = 0; i < PCT_CHANGES; i++)
            change |= S.change[i] == umn__x.steps;
        if (change)
            enabled[cur]->x.prio = --S.low;
    }
    return highest(enabled, n);
}

void umn__x_new_priority(struct umn_ctx *ctx)
{
    if (umn__x.config.strategy == UMN_STRATEGY_PCT)
        ctx->x.prio = umn__x_random() | 1ull << 63; /* above all that were lowered */
}

/* pick and pick_cpu make one record; pick leaves it open for the vCPU. */
static struct record Open;

int umn__x_pick(struct umn_ctx *const *enabled, unsigned n, int cur, enum umn_op op,
                uint32_t object)
{
    unsigned pick;
    struct record r = {.op = (uint8_t)op, .n = (uint16_t)n, .object = (uint16_t)object};
    switch (umn__x.config.strategy) {
    case UMN_STRATEGY_RANDOM:
        pick = n == 1 ? 0 : below(n);
        break;
    case UMN_STRATEGY_PCT:
        pick = pick_pct(enabled, n, cur, op);
        break;
    case UMN_STRATEGY_REPLAY: {
        const struct record *expected = follow(&r);
        if (!expected)
            return -1;
        pick = expected->pick;
        r.cpu = expected->cpu;
        break;
    }
    default:
        pick = pick_fifo(enabled, n, cur, op);
        break;
    }
    r.pick = (uint16_t)pick;
    Open = r;
    if (enabled[pick]->x.bound || enabled[pick]->kind == UMN_CTX_DPC)
        record(r);
    return (int)pick;
}

unsigned umn__x_pick_cpu(uint64_t free, unsigned home)
{
    unsigned cpu = home;
    bool random =
        umn__x.config.strategy == UMN_STRATEGY_RANDOM || umn__x.config.strategy == UMN_STRATEGY_PCT;
    if (umn__x.config.strategy == UMN_STRATEGY_REPLAY) {
        cpu = Open.cpu < UMN_MAX_CPUS && (free >> Open.cpu & 1) ? Open.cpu : home;
    } else if ((free & (free - 1)) && random && (umn__x_random() & 7) == 0) {
        uint64_t left = free;
        for (unsigned skip = below((uint32_t)__builtin_popcountll(free)); skip; skip--)
            left &= left - 1;
        cpu = (unsigned)__builtin_ctzll(left);
    }
    if (!(free >> cpu & 1)) { /* the next free one after home */
        uint64_t above = cpu == 63 ? 0 : free >> (cpu + 1) << (cpu + 1);
        cpu = (unsigned)__builtin_ctzll(above ? above : free);
    }
    Open.cpu = (uint8_t)cpu;
    record(Open);
    return cpu;
}

uint32_t umn__x_choose(uint32_t n, const char *what)
{
    struct record r = {.op = UMN_OP_CHOOSE, .n = n > UINT16_MAX ? UINT16_MAX : (uint16_t)n};
    if (n <= 1 || !umn__x.inside)
        return 0;
    if (umn__x.config.strategy == UMN_STRATEGY_REPLAY) {
        const struct record *expected = follow(&r);
        if (!expected) {
            if (umn__self)
                umn__x_abandon(UMN_EMISMATCH);
            return 0;
        }
        r.value = expected->value < n ? expected->value : 0;
    } else if (umn__x.config.strategy != UMN_STRATEGY_FIFO) {
        r.value = below(n);
    }
    record(r);
    umn__x.hash = (umn__x.hash ^ r.value ^ (uint64_t)n << 32) * 0x9E3779B97F4A7C15ull;
    return r.value;
}
