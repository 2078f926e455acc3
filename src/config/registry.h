/* SPDX-License-Identifier: MIT */
/*
 * Shared by the registry's files only:
 *   regtree.c   keys and values in memory, look-up, order       no lock of its own
 *   registry.c  the lock, transactions, changes, life
 *   regread.c   reading; nt's operations on handles
 *   regstore.c  the SQLite file behind it                       only registry.c calls it
 *   regtyped.c  strings, numbers and lists over registry.c
 *
 * The whole registry lives in memory; a file, if there is one, is read once at open and written
 * once per outermost commit. So a registry without a file is the same code with nothing to write,
 * costs microseconds to make, and reads never touch the disk.
 */
#ifndef UMN_CONFIG_REGISTRY_H
#define UMN_CONFIG_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "nt/nt.h"
#include "sched/list.h"
#include "sched/sched.h"

#define REG_NAME_MAX 255u         /* characters of a key name, as on Windows */
#define REG_VALUE_NAME_MAX 16383u /* the same of a value name */
#define REG_DATA_MAX (64u << 20)  /* bytes of one value; Windows: available memory */
#define REG_DEPTH_MAX 512u

enum { REG_TYPE_SZ = 1, REG_TYPE_BINARY = 3, REG_TYPE_DWORD = 4, REG_TYPE_MULTI_SZ = 7 };

/* One block: name and data lie behind it. Never changed once it is in a key; a new one replaces. */
struct reg_value {
    uint32_t type;
    uint32_t size;
    const void *data;
    char name[];
};

struct reg_key {
    struct reg_key *parent; /* NULL: the root, or taken out of the tree */
    int64_t id;             /* row in the file; a child's is larger than its parent's */
    struct reg_key **child; /* in order of name */
    struct reg_value **value;
    unsigned children, child_room, values, value_room;
    unsigned refs; /* open handles */
    bool deleted;  /* taken out of the tree: handles see UMN_ENOENT */
    bool stored;   /* has a row */
    char name[];
};

/* ---- regtree.c ------------------------------------------------------------------------------- */
/* Order of names without case: `a` has `length` bytes of UTF-8, `b` ends with a zero. */
int reg__compare(const char *a, size_t length, const char *b);
struct reg_key *reg__key_new(const char *name, size_t length);
struct reg_value *reg__value_new(const char *name, uint32_t type, const void *data, size_t size);
struct reg_key *reg__child(const struct reg_key *key, const char *name, size_t length);
struct reg_value *reg__value(const struct reg_key *key, const char *name);
/* Room for one more, so that attach / put cannot fail. UMN_ENOMEM. */
int reg__child_reserve(struct reg_key *key);
int reg__value_reserve(struct reg_key *key);
void reg__attach(struct reg_key *parent, struct reg_key *child); /* also clears deleted below */
void reg__detach(struct reg_key *child);                         /* also sets deleted below */
/* Puts, replaces or (value NULL) removes the value of that name; returns the one there before. */
struct reg_value *reg__put(struct reg_key *key, const char *name, struct reg_value *value);
/* Frees a detached tree; keys with handles stay, alone, until their last close. */
void reg__free_tree(struct reg_key *key);
/* Frees it whatever is open. */
void reg__destroy(struct reg_key *key);
/* Next component of a path: length, and *path moved behind it and its backslashes. 0 at the end. */
size_t reg__component(const char **path, const char **name);

/* ---- regstore.c ------------------------------------------------------------------------------ */
struct reg_store;
/* Opens path and takes the box's lock (not for read_only). Refusals as umn__reg_open's. */
int reg__store_open(const char *path, bool read_only, struct reg_store **out);
/* Fills the tree below root, which is row 0; *last_id is the largest id met. */
int reg__store_load(struct reg_store *store, struct reg_key *root, int64_t *last_id);
/* One transaction; after any failure call reg__store_abort. */
int reg__store_begin(struct reg_store *store);
int reg__store_put_key(struct reg_store *store, const struct reg_key *key);
int reg__store_delete_key(struct reg_store *store, int64_t id);
int reg__store_put_value(struct reg_store *store, int64_t key, const struct reg_value *value);
int reg__store_delete_value(struct reg_store *store, int64_t key, const char *name);
int reg__store_commit(struct reg_store *store);
void reg__store_abort(struct reg_store *store);
void reg__store_close(struct reg_store *store);

/* ---- registry.c ------------------------------------------------------------------------------ */
enum reg_change_kind { CHANGE_KEY_NEW, CHANGE_KEY_GONE, CHANGE_VALUE };

struct reg_change {
    struct reg_change *older;
    enum reg_change_kind kind;
    struct reg_key *key;
    struct reg_key *parent;     /* KEY_GONE: where it was */
    struct reg_value *was, *is; /* VALUE: NULL = not there */
};

#define REG_RECENT 4
struct reg_recent {
    struct reg_key *key; /* in the tree, or NULL */
    char path[192];
};

struct reg_state {
    struct umn_mutex lock;
    struct reg_key *root;    /* NULL: not open */
    struct reg_store *store; /* NULL: in memory */
    bool read_only;
    int64_t last_id;
    uint64_t generation;
    struct reg_recent recent[REG_RECENT];
    unsigned next_recent;
    /* the transaction */
    bool busy, doomed;
    struct umn_ctx *owner;
    unsigned depth;
    struct reg_change *log;
    struct umn_list waiters;
};
extern struct reg_state Reg;

int reg__need_open(void);
/* End of one writing function that has called umn__reg_begin: commits, or with an error undoes its
 * own transaction or leaves what it did to the caller's. Returns the error. */
int reg__leave(int error);
/* Transaction owned (to create) and lock held from here on. */
int reg__walk_to(struct reg_key *key, const char *path, bool create, struct reg_key **out);
int reg__set(struct reg_key *key, const char *name, uint32_t type, const void *data, size_t size);
int reg__remove(struct reg_key *key, const char *name);
int reg__remove_key(struct reg_key *key);

/* ---- regread.c ------------------------------------------------------------------------------- */
extern const struct umn_registry_ops reg__ops;
/* Data of a value by path: a plat_alloc'd copy with two zero bytes behind its end. */
int reg__read(const char *key, const char *name, uint32_t *type, void **data, size_t *size);

#endif
