/* SPDX-License-Identifier: MIT */
/*
 * The lists of names (REG_MULTI_SZ) that an operation of netcfg edits. A list is read when it is
 * first touched and written once at the end, and its names are found by hash, so that adding or
 * taking out n of n names costs one write and n look-ups. No state of its own; inside the caller's
 * transaction, PASSIVE_LEVEL.
 */
#include "config/internal.h"

#include <string.h>
#include "config/nameset.h"
#include "plat/plat.h"

/* Lists may name the same twice, so each item has a slot of its own. */
static void index_item(struct cfg_list *list, size_t i)
{
    size_t at = cfg__name_hash(list->item[i]) & (list->slots - 1);

    while (list->slot[at])
        at = (at + 1) & (list->slots - 1);
    list->slot[at] = i + 1;
}

static void drop_index(struct cfg_list *list)
{
    plat_free(list->slot);
    list->slot = NULL;
    list->slots = 0;
}

/* Without memory for it the list is looked through instead. */
static void make_index(struct cfg_list *list)
{
    size_t slots = 16;

    if (list->slots)
        return;
    while (slots < 2 * (list->room + 1))
        slots *= 2;
    list->slot = plat_alloc(slots * sizeof *list->slot);
    if (!list->slot)
        return;
    list->slots = slots;
    for (size_t i = 0; i < list->count; i++)
        if (list->item[i])
            index_item(list, i);
}

/* The next item after `steps` steps that is this one, or NULL; counts the steps on. */
static char **find(const struct cfg_list *list, const char *text, size_t *steps)
{
    const size_t hash = list->slots ? cfg__name_hash(text) : 0;

    for (;;) {
        size_t i = *steps;

        if (list->slots) {
            i = list->slot[(hash + i) & (list->slots - 1)];
            if (i-- == 0)
                return NULL;
        } else if (i == list->count) {
            return NULL;
        }
        ++*steps;
        if (list->item[i] && umn__stricmp(list->item[i], text) == 0)
            return &list->item[i];
    }
}

static int append(struct cfg_list *list, const char *text)
{
    char *copy;

    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 8;
        char **bigger = plat_realloc(list->item, room * sizeof *bigger);

        if (!bigger)
            return UMN_ENOMEM;
        list->item = bigger;
        list->room = room;
        drop_index(list); /* it has room for as many items as the list had */
    }
    copy = plat_strdup(text);
    if (!copy)
        return UMN_ENOMEM;
    list->item[list->count++] = copy;
    if (list->slots)
        index_item(list, list->count - 1);
    return 0;
}

static void free_list(struct cfg_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        plat_free(list->item[i]);
    plat_free(list->item);
    drop_index(list);
    plat_free(list);
}

static int read_list(struct cfg_list *list)
{
    char **names;
    size_t count;
    int error = umn__reg_get_multi(list->key, list->name, &names, &count);

    if (error == UMN_ENOENT || error == UMN_EINVAL)
        return 0;
    if (error)
        return error;
    for (size_t i = 0; i < count && !error; i++)
        error = *names[i] ? append(list, names[i]) : 0;
    plat_free(names);
    return error;
}

struct cfg_list *cfg__list_open(struct cfg_lists *lists, const char *key, const char *name,
                                int *error)
{
    struct cfg_list *list;

    *error = 0;
    for (list = lists->first; list; list = list->next)
        if (strcmp(list->name, name) == 0 && umn__stricmp(list->key, key) == 0)
            return list;
    list = plat_alloc(sizeof *list);
    if (!list) {
        *error = UMN_ENOMEM;
        return NULL;
    }
    list->name = name;
    *error = cfg__format(list->key, sizeof list->key, "%s", key);
    if (!*error)
        *error = read_list(list);
    if (*error) {
        free_list(list);
        return NULL;
    }
    list->next = lists->first;
    lists->first = list;
    return list;
}

bool cfg__list_has(struct cfg_list *list, const char *item)
{
    size_t steps = 0;

    make_index(list);
    return find(list, item, &steps) != NULL;
}

int cfg__list_add(struct cfg_lists *lists, const char *key, const char *name, const char *item)
{
    int error;
    struct cfg_list *list = cfg__list_open(lists, key, name, &error);

    if (!list || cfg__list_has(list, item))
        return error;
    list->dirty = true;
    return append(list, item);
}

int cfg__list_append(struct cfg_lists *lists, const char *key, const char *name, const char *item)
{
    int error;
    struct cfg_list *list = cfg__list_open(lists, key, name, &error);

    if (!list)
        return error;
    list->dirty = true;
    return append(list, item);
}

int cfg__list_remove(struct cfg_lists *lists, const char *key, const char *name, const char *item)
{
    int error;
    struct cfg_list *list = cfg__list_open(lists, key, name, &error);
    size_t steps = 0;
    char **at;

    if (!list)
        return error;
    make_index(list);
    while ((at = find(list, item, &steps))) {
        plat_free(*at);
        *at = NULL;
        list->dirty = true;
    }
    return 0;
}

/* Closes the gaps; what is left keeps its order. */
static void pack(struct cfg_list *list)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++)
        if (list->item[i])
            list->item[kept++] = list->item[i];
    list->count = kept;
    drop_index(list);
}

int cfg__lists_flush(struct cfg_lists *lists)
{
    int error = 0;

    for (struct cfg_list *list = lists->first; list && !error; list = list->next) {
        if (list->dirty) {
            pack(list);
            error = umn__reg_set_multi(list->key, list->name, list->item, list->count);
        }
        list->dirty = false;
    }
    return error;
}

void cfg__lists_free(struct cfg_lists *lists)
{
    while (lists->first) {
        struct cfg_list *list = lists->first;

        lists->first = list->next;
        free_list(list);
    }
}
