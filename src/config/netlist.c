/* SPDX-License-Identifier: MIT */
/*
 * The lists of names (REG_MULTI_SZ) that an operation of netcfg edits. A list is read when it is
 * first touched and written once at the end, so that adding n names costs one write, not n. No
 * state of its own; inside the caller's transaction, PASSIVE_LEVEL.
 */
#include "config/internal.h"

#include <string.h>
#include "plat/plat.h"

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
    }
    copy = plat_strdup(text);
    if (!copy)
        return UMN_ENOMEM;
    list->item[list->count++] = copy;
    return 0;
}

static void free_list(struct cfg_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        plat_free(list->item[i]);
    plat_free(list->item);
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

bool cfg__list_has(const struct cfg_list *list, const char *item)
{
    for (size_t i = 0; i < list->count; i++)
        if (umn__stricmp(list->item[i], item) == 0)
            return true;
    return false;
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
    size_t kept = 0;

    if (!list)
        return error;
    for (size_t i = 0; i < list->count; i++) {
        if (umn__stricmp(list->item[i], item) == 0) {
            plat_free(list->item[i]);
            list->dirty = true;
        } else {
            list->item[kept++] = list->item[i];
        }
    }
    list->count = kept;
    return 0;
}

int cfg__lists_flush(struct cfg_lists *lists)
{
    int error = 0;

    for (struct cfg_list *list = lists->first; list && !error; list = list->next) {
        if (list->dirty)
            error = umn__reg_set_multi(list->key, list->name, list->item, list->count);
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
