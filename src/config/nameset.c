/* SPDX-License-Identifier: MIT */
/* A set of words without case: open addressing, never more than half full. No lock, no state. */
#include "config/nameset.h"

#include <stdint.h>
#include <string.h>
#include "nt/nt.h"
#include "plat/plat.h"

size_t cfg__name_hash(const char *word)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (; *word; word++)
        h = (h ^ (uint8_t)(*word >= 'a' && *word <= 'z' ? *word - 32 : *word)) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

/* Where word is or would be. There is always a free slot. */
static char **slot_of(const struct cfg_names *set, const char *word)
{
    size_t i = cfg__name_hash(word) & (set->room - 1);

    while (set->slot[i] && umn__stricmp(set->slot[i], word) != 0)
        i = (i + 1) & (set->room - 1);
    return &set->slot[i];
}

static int grow(struct cfg_names *set)
{
    struct cfg_names bigger = {.count = set->count, .room = set->room ? set->room * 2 : 64};

    bigger.slot = plat_alloc(bigger.room * sizeof *bigger.slot);
    if (!bigger.slot)
        return UMN_ENOMEM;
    for (size_t i = 0; i < set->room; i++)
        if (set->slot[i])
            *slot_of(&bigger, set->slot[i]) = set->slot[i];
    plat_free(set->slot);
    *set = bigger;
    return 0;
}

int cfg__names_add(struct cfg_names *set, const char *word, bool *there)
{
    char **slot, *copy;
    int error = 2 * (set->count + 1) > set->room ? grow(set) : 0;

    if (there)
        *there = false;
    if (error)
        return error;
    slot = slot_of(set, word);
    if (*slot) {
        if (there)
            *there = true;
        return 0;
    }
    copy = plat_strdup(word);
    if (!copy)
        return UMN_ENOMEM;
    *slot = copy;
    set->count++;
    return 0;
}

void cfg__names_free(struct cfg_names *set)
{
    for (size_t i = 0; i < set->room; i++)
        plat_free(set->slot[i]);
    plat_free(set->slot);
    memset(set, 0, sizeof *set);
}
