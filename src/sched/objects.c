/* SPDX-License-Identifier: MIT */
/*
 * Logical object numbers: an address gets the next number when it is first used, so that the hash
 * and the trace of a run hold no addresses. The number dies with the memory (plat_free_hook): a
 * later object at the same address is another object, whatever the heap does. Explore's host thread
 * only.
 */
#include "sched/explore.h"

#include <string.h>

#define BUCKETS 8192u
#define FIRST_ENTRIES 4096u
#define LINE 6 /* addresses are grouped by 64 bytes, so that freeing a block visits few buckets */

struct entry {
    uintptr_t address;
    uint32_t id;
    uint32_t next; /* index of the entry, 0 = none */
};

static uint32_t Bucket[BUCKETS];
static struct entry *Entries; /* number 0 is unused */
static uint32_t Capacity, Used, FreeEntry, NextId;
static __thread bool Exploring __attribute__((tls_model("initial-exec")));

static uint32_t *bucket_of(uintptr_t line)
{
    return &Bucket[(line * 0x9E3779B97F4A7C15ull) >> 51];
}

uint32_t umn__x_object_known(const volatile void *object)
{
    uintptr_t address = (uintptr_t)object;
    for (uint32_t e = *bucket_of(address >> LINE); e; e = Entries[e].next)
        if (Entries[e].address == address)
            return Entries[e].id;
    return 0;
}

static uint32_t new_entry(void)
{
    if (FreeEntry) {
        uint32_t e = FreeEntry;
        FreeEntry = Entries[e].next;
        return e;
    }
    if (Used + 1 >= Capacity) {
        uint32_t more = Capacity ? Capacity * 2 : FIRST_ENTRIES;
        void *p = Capacity
                      ? plat_pages_grow(Entries, Capacity * sizeof *Entries, more * sizeof *Entries)
                      : plat_pages_map(more * sizeof *Entries, false);
        if (!p)
            return 0;
        Entries = p;
        Capacity = more;
    }
    return ++Used;
}

uint32_t umn__x_object(const volatile void *object)
{
    if (!object)
        return 0;
    uint32_t id = umn__x_object_known(object);
    if (id)
        return id;
    uint32_t e = new_entry();
    if (!e)
        return UINT32_MAX; /* no page left: objects become alike, the run goes on */
    uint32_t *head = bucket_of((uintptr_t)object >> LINE);
    Entries[e] = (struct entry){(uintptr_t)object, ++NextId, *head};
    *head = e;
    return NextId;
}

static void forget_in(uint32_t *link, uintptr_t from, uintptr_t to)
{
    while (*link) {
        struct entry *entry = &Entries[*link];
        if (entry->address < from || entry->address >= to) {
            link = &entry->next;
            continue;
        }
        uint32_t e = *link;
        *link = entry->next;
        entry->next = FreeEntry;
        FreeEntry = e;
    }
}

static void forget(void *p, size_t size)
{
    if (!Exploring || !NextId)
        return;
    uintptr_t from = (uintptr_t)p, to = from + size;
    uintptr_t first = from >> LINE, last = (to - 1) >> LINE;
    if (last - first >= BUCKETS) {
        for (uint32_t i = 0; i < BUCKETS; i++)
            forget_in(&Bucket[i], from, to);
        return;
    }
    for (uintptr_t line = first; line <= last; line++)
        forget_in(bucket_of(line), from, to);
}

void umn__x_objects_start(void)
{
    if (NextId)
        memset(Bucket, 0, sizeof Bucket);
    Used = FreeEntry = NextId = 0;
    Exploring = true;
    plat_free_hook(forget);
}

void umn__x_objects_stop(void)
{
    plat_free_hook(NULL);
    Exploring = false;
}
