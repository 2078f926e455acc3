/* SPDX-License-Identifier: MIT */
/*
 * Reading the registry: by path, by handle (the operations that nt's Zw functions call) and whole
 * trees. PASSIVE_LEVEL. Every function takes `Reg.lock` for itself and hands out copies.
 */
#include "config/config.h"
#include "config/registry.h"

#include <string.h>
#include "check/check.h"
#include "nt/nt.h"
#include "plat/plat.h"

/* ---- reading --------------------------------------------------------------------------------- */

/* A copy with two zero bytes behind it, so that text without terminator can be read as text. */
static void *copy_data(const struct reg_value *value)
{
    char *data = plat_alloc((size_t)value->size + 2);

    if (data)
        memcpy(data, value->data, value->size);
    return data;
}

static int read_value(const struct reg_key *key, const char *name, uint32_t *type, void **data,
                      size_t *size)
{
    const struct reg_value *value = reg__value(key, name);

    if (!value)
        return UMN_ENOENT;
    *data = copy_data(value);
    if (!*data)
        return UMN_ENOMEM;
    *type = value->type;
    *size = value->size;
    return 0;
}

int reg__read(const char *path, const char *name, uint32_t *type, void **data, size_t *size)
{
    struct reg_key *key;
    int error = reg__need_open();

    if (error)
        return error;
    umn__lock(&Reg.lock);
    error = reg__walk_to(Reg.root, path, false, &key);
    if (!error)
        error = read_value(key, name, type, data, size);
    umn__unlock(&Reg.lock);
    return error;
}

bool umn__reg_key_exists(const char *path)
{
    struct reg_key *key;
    int error;

    if (!Reg.root)
        return false;
    umn__lock(&Reg.lock);
    error = reg__walk_to(Reg.root, path, false, &key);
    umn__unlock(&Reg.lock);
    return error == 0;
}

int umn__reg_subkeys(const char *path, char ***list, size_t *count)
{
    struct reg_key *key;
    size_t bytes = 0;
    int error = reg__need_open();

    if (error)
        return error;
    umn__lock(&Reg.lock);
    error = reg__walk_to(Reg.root, path, false, &key);
    if (!error) {
        for (unsigned i = 0; i < key->children; i++)
            bytes += strlen(key->child[i]->name) + 1;
        char **names = plat_alloc((key->children + 1) * sizeof *names + bytes);

        if (names) {
            char *text = (char *)(names + key->children + 1);

            for (unsigned i = 0; i < key->children; i++) {
                names[i] = strcpy(text, key->child[i]->name);
                text += strlen(text) + 1;
            }
            *list = names;
            *count = key->children;
        } else {
            error = UMN_ENOMEM;
        }
    }
    umn__unlock(&Reg.lock);
    return error;
}

int umn__reg_last_subkey(const char *path, char **name)
{
    struct reg_key *key;
    int error = reg__need_open();

    if (error)
        return error;
    umn__lock(&Reg.lock);
    error = reg__walk_to(Reg.root, path, false, &key);
    if (!error && !key->children)
        error = UMN_ENOENT;
    if (!error) {
        *name = plat_strdup(key->child[key->children - 1]->name);
        error = *name ? 0 : UMN_ENOMEM;
    }
    umn__unlock(&Reg.lock);
    return error;
}

/* ---- nt's operations: keys are handles ------------------------------------------------------- */

/* Behind \Registry\Machine, or NULL. */
static const char *below_machine(const char *path)
{
    static const char *const head[] = {"Registry", "Machine"};

    for (unsigned i = 0; i < 2; i++) {
        const char *name;
        size_t length = reg__component(&path, &name);

        if (reg__compare(name, length, head[i]) != 0)
            return NULL;
    }
    return path;
}

static int open_now(struct reg_key *base, const char *path, bool create, struct reg_key **key)
{
    int error;

    umn__lock(&Reg.lock);
    error = base->deleted ? UMN_ENOENT : reg__walk_to(base, path, create, key);
    if (!error)
        (*key)->refs++;
    umn__unlock(&Reg.lock);
    return error;
}

static void ops_close(void *handle)
{
    struct reg_key *key = handle;

    umn__lock(&Reg.lock);
    if (--key->refs == 0 && key->deleted && !key->parent)
        reg__free_tree(key);
    umn__unlock(&Reg.lock);
}

static int ops_open(void *base, const char *path, bool create, void **handle)
{
    struct reg_key *from = base ? base : Reg.root, *key;
    int error = reg__need_open();

    if (error)
        return error;
    if (!path)
        path = "";
    if (!base && !(path = below_machine(path)))
        return UMN_ENOENT;
    error = open_now(from, path, false, &key);
    if (error == UMN_ENOENT && create) {
        error = umn__reg_begin();
        if (error)
            return error;
        error = open_now(from, path, true, &key);
        if (!error) {
            error = reg__leave(0);
            if (error)
                ops_close(key);
        } else {
            reg__leave(error);
        }
    }
    if (!error)
        *handle = key;
    return error;
}

static int ops_get(void *handle, const char *name, uint32_t *type, void **data, size_t *size)
{
    struct reg_key *key = handle;
    int error;

    umn__lock(&Reg.lock);
    error = key->deleted ? UMN_ENOENT : read_value(key, name, type, data, size);
    umn__unlock(&Reg.lock);
    return error;
}

static int ops_set(void *handle, const char *name, uint32_t type, const void *data, size_t size)
{
    struct reg_key *key = handle;
    int error = umn__reg_begin();

    if (error)
        return error;
    umn__lock(&Reg.lock);
    error = key->deleted ? UMN_ENOENT : reg__set(key, name, type, data, size);
    umn__unlock(&Reg.lock);
    return reg__leave(error);
}

static int ops_enum_key(void *handle, unsigned index, char **name)
{
    struct reg_key *key = handle;
    int error = UMN_ENOENT;

    umn__lock(&Reg.lock);
    if (!key->deleted && index < key->children) {
        *name = plat_strdup(key->child[index]->name);
        error = *name ? 0 : UMN_ENOMEM;
    }
    umn__unlock(&Reg.lock);
    return error;
}

static int ops_enum_value(void *handle, unsigned index, char **name, uint32_t *type, void **data,
                          size_t *size)
{
    struct reg_key *key = handle;
    int error = UMN_ENOENT;

    umn__lock(&Reg.lock);
    if (!key->deleted && index < key->values) {
        const struct reg_value *value = key->value[index];
        char *copy = plat_strdup(value->name);

        *data = copy ? copy_data(value) : NULL;
        error = *data ? 0 : UMN_ENOMEM;
        if (error) {
            plat_free(copy);
        } else {
            *name = copy;
            *type = value->type;
            *size = value->size;
        }
    }
    umn__unlock(&Reg.lock);
    return error;
}

static int ops_delete_key(void *handle)
{
    struct reg_key *key = handle;
    int error = umn__reg_begin();

    if (error)
        return error;
    umn__lock(&Reg.lock);
    error = key->deleted ? UMN_ENOENT : reg__remove_key(key);
    umn__unlock(&Reg.lock);
    return reg__leave(error);
}

static int ops_delete_value(void *handle, const char *name)
{
    struct reg_key *key = handle;
    int error = umn__reg_begin();

    if (error)
        return error;
    umn__lock(&Reg.lock);
    error = key->deleted ? UMN_ENOENT : reg__remove(key, name);
    umn__unlock(&Reg.lock);
    return reg__leave(error);
}

/* ---- walking --------------------------------------------------------------------------------- */

typedef bool reg_visit(void *arg, const char *path, const char *value_name, uint32_t type,
                       const void *data, size_t size);

/* *more false: visit wants no more. */
static int walk_values(void *key, const char *path, reg_visit *visit, void *arg, bool *more)
{
    for (unsigned i = 0; *more; i++) {
        uint32_t type;
        char *name;
        void *data;
        size_t size;
        int error = ops_enum_value(key, i, &name, &type, &data, &size);

        if (error)
            return error == UMN_ENOENT ? 0 : error;
        *more = visit(arg, path, name, type, data, size);
        plat_free(name);
        plat_free(data);
    }
    return 0;
}

static int walk_tree(void *key, const char *path, reg_visit *visit, void *arg, bool *more)
{
    int error;

    *more = visit(arg, path, NULL, 0, NULL, 0);
    error = walk_values(key, path, visit, arg, more);
    for (unsigned i = 0; *more && !error; i++) {
        char *name, *below;
        void *child;

        error = ops_enum_key(key, i, &name);
        if (error)
            return error == UMN_ENOENT ? 0 : error;
        below = *path ? plat_asprintf("%s\\%s", path, name) : plat_strdup(name);
        error = below ? ops_open(key, name, false, &child) : UMN_ENOMEM;
        if (!error) {
            error = walk_tree(child, below, visit, arg, more);
            ops_close(child);
        }
        plat_free(below);
        plat_free(name);
    }
    return error;
}

int umn__reg_walk(const char *path, reg_visit *visit, void *arg)
{
    struct reg_key *key;
    bool more = true;
    int error = reg__need_open();

    if (!error)
        error = open_now(Reg.root, path, false, &key);
    if (error)
        return error;
    error = walk_tree(key, path, visit, arg, &more);
    ops_close(key);
    return error;
}

const struct umn_registry_ops reg__ops = {
    .open = ops_open,
    .close = ops_close,
    .get = ops_get,
    .set = ops_set,
    .enum_key = ops_enum_key,
    .enum_value = ops_enum_value,
    .del_key = ops_delete_key,
    .del_value = ops_delete_value,
};
