/* SPDX-License-Identifier: MIT */
/*
 * The registry: transactions, the lock, the functions by path and the operations that nt's Zw
 * functions call. PASSIVE_LEVEL.
 *
 * `Reg.lock` (leaf) guards the tree and every field of `Reg`; no I/O, no park under it. A writer
 * owns the transaction, a sleeping ownership of a context: other writers wait for its end, readers
 * do not, and see what it has written so far. Every change of a transaction is a record of
 * `Reg.log`, newest first; rollback walks it and cannot fail, commit writes it to the file (if any)
 * before anybody is told. A record holds a reference on its key, so keys outlive the log.
 */
#include "config/config.h"
#include "config/registry.h"

#include <string.h>
#include "check/check.h"
#include "nt/nt.h"
#include "plat/plat.h"
#include "sched/list.h"
#include "sched/sched.h"

struct reg_state Reg;

struct reg_waiter {
    struct umn_list link;
    struct umn_ctx *ctx;
};

static void detach(struct reg_key *key);

/* ---- transactions ---------------------------------------------------------------------------- */

int reg__need_open(void)
{
    return Reg.root ? 0 : umn__refuse(UMN_ESTATE, "registry: not open");
}

int umn__reg_begin(void)
{
    struct umn_ctx *self = umn__ctx_self();
    struct reg_waiter waiter = {.ctx = self};
    int error = reg__need_open();

    if (error)
        return error;
    if (Reg.read_only)
        return umn__refuse(UMN_EPERM, "registry: opened for reading only");
    umn__lock(&Reg.lock);
    if (Reg.busy && Reg.owner == self) {
        Reg.depth++;
        umn__unlock(&Reg.lock);
        return 0;
    }
    while (Reg.busy) {
        if (!self) {
            umn__unlock(&Reg.lock);
            return umn__refuse(UMN_EBUSY, "registry: a transaction of the box is open");
        }
        umn_list_add_tail(&Reg.waiters, &waiter.link);
        umn__unlock(&Reg.lock);
        umn__park(UMN_FOREVER, "registry transaction", &Reg);
        umn__lock(&Reg.lock);
        umn_list_remove(&waiter.link);
    }
    Reg.busy = true;
    Reg.doomed = false;
    Reg.owner = self;
    Reg.depth = 1;
    umn__unlock(&Reg.lock);
    return 0;
}

/* Ends the ownership and wakes the longest waiter. */
static void release(void)
{
    umn__lock(&Reg.lock);
    Reg.busy = false;
    Reg.owner = NULL;
    Reg.depth = 0;
    if (!umn_list_empty(&Reg.waiters)) /* under the lock: the waiter is still there */
        umn__unpark(umn_container_of(Reg.waiters.next, struct reg_waiter, link)->ctx);
    umn__unlock(&Reg.lock);
}

/* Second half of an end: every record's reference goes, then what nobody needs any more. */
static void drop_log(struct reg_change *log, bool committed)
{
    for (struct reg_change *c = log; c; c = c->older)
        c->key->refs--;
    while (log) {
        struct reg_change *c = log;

        log = c->older;
        if (c->kind == CHANGE_VALUE)
            plat_free(committed ? c->was : c->is);
        else if ((c->kind == CHANGE_KEY_GONE) == committed)
            reg__free_tree(c->key);
        plat_free(c);
    }
}

/* Undoes every change so far. The newest first, so each record finds the tree as it left it. */
static void undo(void)
{
    struct reg_change *log;

    umn__lock(&Reg.lock);
    log = Reg.log;
    Reg.log = NULL;
    for (struct reg_change *c = log; c; c = c->older) {
        if (c->kind == CHANGE_VALUE)
            reg__put(c->key, c->is ? c->is->name : c->was->name, c->was);
        else if (c->kind == CHANGE_KEY_NEW)
            detach(c->key);
        else
            reg__attach(c->parent, c->key);
    }
    drop_log(log, false);
    umn__unlock(&Reg.lock);
}

static int store_tree_gone(const struct reg_key *key)
{
    int error = 0;

    for (unsigned i = 0; i < key->children && !error; i++)
        error = store_tree_gone(key->child[i]);
    if (!error && key->stored)
        error = reg__store_delete_key(Reg.store, key->id);
    return error;
}

/* Rows for one record. A value is written as it is at the end, by the record that put it there. */
static int store_change(const struct reg_change *c)
{
    int error = 0;

    if (c->kind == CHANGE_KEY_GONE)
        return store_tree_gone(c->key);
    if (c->key->deleted)
        return 0;
    if (c->kind == CHANGE_KEY_NEW)
        return reg__store_put_key(Reg.store, c->key);
    if (!c->is)
        error = reg__store_delete_value(Reg.store, c->key->id, c->was->name);
    else if (reg__value(c->key, c->is->name) == c->is)
        error = reg__store_put_value(Reg.store, c->key->id, c->is);
    return error;
}

/* Nobody else changes the tree while we own the transaction: no lock during the I/O. */
static int store_log(void)
{
    struct reg_change *oldest = NULL, *c = Reg.log;
    int error = reg__store_begin(Reg.store);

    while (c) { /* turn the list round, and back on the way */
        struct reg_change *older = c->older;

        c->older = oldest;
        oldest = c;
        c = older;
    }
    for (Reg.log = NULL; oldest;) {
        c = oldest;
        oldest = c->older;
        if (!error)
            error = store_change(c);
        c->older = Reg.log;
        Reg.log = c;
    }
    if (!error)
        error = reg__store_commit(Reg.store);
    if (error)
        reg__store_abort(Reg.store);
    return error;
}

int umn__reg_commit(void)
{
    struct reg_change *log;
    int error = 0;

    if (Reg.depth > 1) {
        Reg.depth--;
        return 0;
    }
    if (Reg.doomed)
        error = umn__refuse(UMN_ECANCELED, "registry: a part of this transaction was rolled back");
    else if (Reg.log && Reg.store)
        error = store_log();
    if (error) {
        undo();
        release();
        return error;
    }
    umn__lock(&Reg.lock);
    log = Reg.log;
    Reg.log = NULL;
    if (log)
        Reg.generation++;
    for (struct reg_change *c = log; c; c = c->older)
        if (c->kind == CHANGE_KEY_NEW)
            c->key->stored = true;
    drop_log(log, true);
    umn__unlock(&Reg.lock);
    release();
    return 0;
}

void umn__reg_rollback(void)
{
    undo();
    if (--Reg.depth > 0)
        Reg.doomed = true;
    else
        release();
}

/* End of one writing function: its own transaction, or a part of the caller's. */
int reg__leave(int error)
{
    if (!error)
        return umn__reg_commit();
    if (Reg.depth > 1)
        Reg.depth--;
    else
        umn__reg_rollback();
    return error;
}

uint64_t umn__reg_generation(void)
{
    return Reg.generation;
}

/* ---- changes: transaction owned, lock held --------------------------------------------------- */

static struct reg_change *record(enum reg_change_kind kind, struct reg_key *key)
{
    struct reg_change *c = plat_alloc(sizeof *c);

    if (!c)
        return NULL;
    c->kind = kind;
    c->key = key;
    key->refs++;
    c->older = Reg.log;
    Reg.log = c;
    return c;
}

static int add_child(struct reg_key *parent, const char *name, size_t length, struct reg_key **out)
{
    struct reg_key *key = reg__key_new(name, length);

    if (!key)
        return UMN_ENOMEM;
    if (reg__child_reserve(parent) || !record(CHANGE_KEY_NEW, key)) {
        plat_free(key);
        return UMN_ENOMEM;
    }
    key->id = ++Reg.last_id;
    reg__attach(parent, key);
    *out = key;
    return 0;
}

static size_t characters(const char *text, size_t length)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

/* Paths from the root walked lately: an operation touches the same few keys over and over. */
static struct reg_key *recent(const char *path)
{
    for (unsigned i = 0; i < REG_RECENT; i++)
        if (Reg.recent[i].key && strcmp(Reg.recent[i].path, path) == 0)
            return Reg.recent[i].key;
    return NULL;
}

static void remember(const char *path, struct reg_key *key)
{
    struct reg_recent *r = &Reg.recent[Reg.next_recent++ % REG_RECENT];
    size_t size = strlen(path) + 1;

    if (size > sizeof r->path)
        return;
    memcpy(r->path, path, size);
    r->key = key;
}

/* Walks a path; makes what is missing if `create`. */
static int walk(struct reg_key *key, const char *path, bool create, struct reg_key **out)
{
    const char *name;
    unsigned depth = 0;

    for (size_t length; (length = reg__component(&path, &name)) > 0;) {
        struct reg_key *next = reg__child(key, name, length);
        int error = 0;

        if (characters(name, length) > REG_NAME_MAX || ++depth > REG_DEPTH_MAX)
            return UMN_EINVAL;
        if (!next && !create)
            return UMN_ENOENT;
        if (!next)
            error = add_child(key, name, length, &next);
        if (error)
            return error;
        key = next;
    }
    *out = key;
    return 0;
}

int reg__walk_to(struct reg_key *key, const char *path, bool create, struct reg_key **out)
{
    struct reg_key *known = key == Reg.root ? recent(path) : NULL;
    int error;

    if (known) {
        *out = known;
        return 0;
    }
    error = walk(key, path, create, out);
    if (!error && key == Reg.root)
        remember(path, *out);
    return error;
}

/* Every way of taking a key out of the tree comes through here. */
static void detach(struct reg_key *key)
{
    memset(Reg.recent, 0, sizeof Reg.recent);
    reg__detach(key);
}

int reg__set(struct reg_key *key, const char *name, uint32_t type, const void *data, size_t size)
{
    struct reg_value *before = reg__value(key, name);
    struct reg_value *value;
    struct reg_change *c;

    if (characters(name, strlen(name)) > REG_VALUE_NAME_MAX || size > REG_DATA_MAX)
        return UMN_EINVAL;
    value = reg__value_new(before ? before->name : name, type, data, size);
    if (!value)
        return UMN_ENOMEM;
    c = reg__value_reserve(key) ? NULL : record(CHANGE_VALUE, key);
    if (!c) {
        plat_free(value);
        return UMN_ENOMEM;
    }
    c->is = value;
    c->was = reg__put(key, name, value);
    return 0;
}

int reg__remove(struct reg_key *key, const char *name)
{
    struct reg_change *c;

    if (!reg__value(key, name))
        return UMN_ENOENT;
    c = record(CHANGE_VALUE, key);
    if (!c)
        return UMN_ENOMEM;
    c->was = reg__put(key, name, NULL);
    return 0;
}

int reg__remove_key(struct reg_key *key)
{
    struct reg_change *c;

    if (key == Reg.root)
        return UMN_EINVAL;
    c = record(CHANGE_KEY_GONE, key);
    if (!c)
        return UMN_ENOMEM;
    c->parent = key->parent;
    detach(key);
    return 0;
}

/* ---- writing by path ------------------------------------------------------------------------- */

int umn__reg_set_raw(const char *path, const char *name, uint32_t type, const void *data,
                     size_t size)
{
    struct reg_key *key;
    int error = umn__reg_begin();

    if (error)
        return error;
    umn__lock(&Reg.lock);
    error = reg__walk_to(Reg.root, path, true, &key);
    if (!error)
        error = reg__set(key, name, type, data, size);
    umn__unlock(&Reg.lock);
    return reg__leave(error);
}

int umn__reg_create_key(const char *path)
{
    struct reg_key *key;
    int error = umn__reg_begin();

    if (error)
        return error;
    umn__lock(&Reg.lock);
    error = reg__walk_to(Reg.root, path, true, &key);
    umn__unlock(&Reg.lock);
    return reg__leave(error);
}

int umn__reg_delete_value(const char *path, const char *name)
{
    struct reg_key *key;
    int error = umn__reg_begin();

    if (error)
        return error;
    umn__lock(&Reg.lock);
    error = reg__walk_to(Reg.root, path, false, &key);
    if (!error)
        error = reg__remove(key, name);
    umn__unlock(&Reg.lock);
    return reg__leave(error);
}

int umn__reg_delete_key(const char *path)
{
    struct reg_key *key;
    int error = umn__reg_begin();

    if (error)
        return error;
    umn__lock(&Reg.lock);
    error = reg__walk_to(Reg.root, path, false, &key);
    if (!error)
        error = reg__remove_key(key);
    umn__unlock(&Reg.lock);
    return reg__leave(error);
}

/* ---- life ------------------------------------------------------------------------------------ */

static int open_registry(const char *path, bool read_only)
{
    struct reg_key *root;
    int error = 0;

    if (Reg.root)
        return umn__refuse(UMN_ESTATE, "registry: already open in this process");
    memset(&Reg, 0, sizeof Reg);
    umn_list_init(&Reg.waiters);
    root = reg__key_new("", 0);
    if (!root)
        return UMN_ENOMEM;
    root->stored = true;
    if (path)
        error = reg__store_open(path, read_only, &Reg.store);
    if (path && !error)
        error = reg__store_load(Reg.store, root, &Reg.last_id);
    if (error) {
        reg__store_close(Reg.store);
        reg__destroy(root);
        Reg.store = NULL;
        return error;
    }
    Reg.root = root;
    Reg.read_only = read_only;
    umn__registry_set(&reg__ops);
    return 0;
}

int umn__reg_open(const char *path)
{
    return open_registry(path, false);
}

int umn__reg_open_read(const char *path)
{
    return open_registry(path, true);
}

void umn__reg_close(void)
{
    if (!Reg.root)
        return;
    if (Reg.log)
        undo();
    umn__registry_set(NULL);
    reg__store_close(Reg.store);
    reg__destroy(Reg.root);
    memset(&Reg, 0, sizeof Reg);
}
