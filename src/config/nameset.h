/* SPDX-License-Identifier: MIT */
/* A set of words without case, for checks against many names at once. Not shared, no lock. */
#ifndef UMN_CONFIG_NAMESET_H
#define UMN_CONFIG_NAMESET_H

#include <stdbool.h>
#include <stddef.h>

struct cfg_names {
    char **slot; /* open addressing; room is a power of two */
    size_t count, room;
};
/* Copies word into the set. *there (may be NULL): it was in it. UMN_ENOMEM. */
int cfg__names_add(struct cfg_names *set, const char *word, bool *there);
void cfg__names_free(struct cfg_names *set);
/* Equal for words that differ in case only. */
size_t cfg__name_hash(const char *word);

#endif
