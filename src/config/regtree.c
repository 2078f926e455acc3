/* SPDX-License-Identifier: MIT */
/*
 * The registry's tree in memory: keys and values, in order of their names without case. No lock of
 * its own and no I/O: registry.c holds its lock around every call. Room is made first (reserve),
 * so that changing the tree and undoing a change cannot fail.
 */
#include "config/registry.h"

#include <string.h>
#include "nt/nt.h"
#include "plat/plat.h"

/* One code point of UTF-8, folded; a byte that is none counts for itself, above all others. */
static uint32_t next_folded(const unsigned char **p, const unsigned char *end)
{
    const unsigned char *s = *p;
    unsigned more = s[0] >= 0xf0 ? 3 : s[0] >= 0xe0 ? 2 : s[0] >= 0xc0 ? 1 : 0;
    uint32_t c = more == 3 ? s[0] & 7u : more == 2 ? s[0] & 15u : more == 1 ? s[0] & 31u : s[0];

    if (s[0] < 0x80) {
        *p = s + 1;
        return c >= 'a' && c <= 'z' ? c - 32 : c;
    }
    if (!more || (size_t)(end - s) <= more) {
        *p = s + 1;
        return 0x110000u + s[0];
    }
    for (unsigned i = 1; i <= more; i++)
        c = c << 6 | (s[i] & 0x3fu);
    *p = s + 1 + more;
    return c < 0x10000 ? umn__upcase((WCHAR)c) : c;
}

int reg__compare(const char *a, size_t length, const char *b)
{
    const unsigned char *p = (const unsigned char *)a, *end = p + length;
    const unsigned char *q = (const unsigned char *)b;

    while (p < end && *q) {
        uint32_t c, d;

        if (*p == *q && *p < 0x80) {
            p++, q++;
            continue;
        }
        c = next_folded(&p, end);
        d = next_folded(&q, q + strnlen((const char *)q, 4));
        if (c != d)
            return c < d ? -1 : 1;
    }
    return (p < end) - (*q != 0);
}

struct reg_key *reg__key_new(const char *name, size_t length)
{
    struct reg_key *key = plat_alloc(sizeof *key + length + 1);

    if (key)
        memcpy(key->name, name, length);
    return key;
}

struct reg_value *reg__value_new(const char *name, uint32_t type, const void *data, size_t size)
{
    size_t head = (sizeof(struct reg_value) + strlen(name) + 1 + 7) & ~(size_t)7;
    struct reg_value *value = plat_alloc(head + size);

    if (!value)
        return NULL;
    strcpy(value->name, name);
    value->type = type;
    value->size = (uint32_t)size;
    value->data = (char *)value + head;
    if (size)
        memcpy((char *)value + head, data, size);
    return value;
}

/* Index of the child of that name, or (*found false) where it would be. */
static unsigned child_index(const struct reg_key *key, const char *name, size_t length, bool *found)
{
    unsigned low = 0, high = key->children;

    *found = false;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = reg__compare(name, length, key->child[middle]->name);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static unsigned value_index(const struct reg_key *key, const char *name, bool *found)
{
    unsigned low = 0, high = key->values;
    size_t length = strlen(name);

    *found = false;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = reg__compare(name, length, key->value[middle]->name);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

struct reg_key *reg__child(const struct reg_key *key, const char *name, size_t length)
{
    bool found;
    unsigned i = child_index(key, name, length, &found);

    return found ? key->child[i] : NULL;
}

struct reg_value *reg__value(const struct reg_key *key, const char *name)
{
    bool found;
    unsigned i = value_index(key, name, &found);

    return found ? key->value[i] : NULL;
}

static int reserve(void ***list, unsigned count, unsigned *room)
{
    unsigned more = *room ? *room * 2 : 4;
    void **bigger;

    if (count < *room)
        return 0;
    bigger = plat_realloc(*list, more * sizeof **list);
    if (!bigger)
        return UMN_ENOMEM;
    *list = bigger;
    *room = more;
    return 0;
}

int reg__child_reserve(struct reg_key *key)
{
    return reserve((void ***)&key->child, key->children, &key->child_room);
}

int reg__value_reserve(struct reg_key *key)
{
    return reserve((void ***)&key->value, key->values, &key->value_room);
}

static void mark(struct reg_key *key, bool deleted)
{
    key->deleted = deleted;
    for (unsigned i = 0; i < key->children; i++)
        mark(key->child[i], deleted);
}

void reg__attach(struct reg_key *parent, struct reg_key *child)
{
    bool found;
    unsigned i = child_index(parent, child->name, strlen(child->name), &found);

    memmove(parent->child + i + 1, parent->child + i, (parent->children - i) * sizeof child);
    parent->child[i] = child;
    parent->children++;
    child->parent = parent;
    mark(child, false);
}

void reg__detach(struct reg_key *child)
{
    struct reg_key *parent = child->parent;
    bool found;
    unsigned i = child_index(parent, child->name, strlen(child->name), &found);

    parent->children--;
    memmove(parent->child + i, parent->child + i + 1, (parent->children - i) * sizeof child);
    child->parent = NULL;
    mark(child, true);
}

struct reg_value *reg__put(struct reg_key *key, const char *name, struct reg_value *value)
{
    bool found;
    unsigned i = value_index(key, name, &found);
    struct reg_value *before = found ? key->value[i] : NULL;

    if (value && !found) {
        memmove(key->value + i + 1, key->value + i, (key->values - i) * sizeof value);
        key->values++;
    }
    if (value) {
        key->value[i] = value;
    } else if (found) {
        key->values--;
        memmove(key->value + i, key->value + i + 1, (key->values - i) * sizeof value);
    }
    return before;
}

static void free_tree(struct reg_key *key, bool keep_open)
{
    for (unsigned i = 0; i < key->children; i++) {
        key->child[i]->parent = NULL;
        free_tree(key->child[i], keep_open);
    }
    for (unsigned i = 0; i < key->values; i++)
        plat_free(key->value[i]);
    plat_free(key->child);
    plat_free(key->value);
    key->child = NULL;
    key->value = NULL;
    key->children = key->child_room = key->values = key->value_room = 0;
    if (!key->refs || !keep_open)
        plat_free(key);
}

void reg__free_tree(struct reg_key *key)
{
    free_tree(key, true);
}

void reg__destroy(struct reg_key *key)
{
    free_tree(key, false);
}

size_t reg__component(const char **path, const char **name)
{
    const char *p = *path;
    size_t length = 0;

    while (*p == '\\')
        p++;
    *name = p;
    while (p[length] && p[length] != '\\')
        length++;
    for (p += length; *p == '\\';)
        p++;
    *path = p;
    return length;
}
