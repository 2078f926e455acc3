/* SPDX-License-Identifier: MIT */
/*
 * The SQLite file behind the registry. Two tables, keys (id, parent, name) and values (key, name,
 * type, data); one box at a time, held off by a lock file beside it; readers come and go (WAL).
 * synchronous=FULL: what a commit has reported is there after a power cut too. No lock of its own:
 * the transaction's owner is the only caller. PASSIVE_LEVEL, does I/O.
 */
#include "config/registry.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include "check/check.h"
#include "plat/plat.h"

#define APPLICATION_ID 0x554d4e52 /* "UMNR" */
#define FORMAT 1
#define BUSY_MS 5000

enum { PUT_KEY, DELETE_KEY, DELETE_VALUES, PUT_VALUE, DELETE_VALUE, STATEMENTS };
static const char *const statement_text[STATEMENTS] = {
    [PUT_KEY] = "INSERT INTO keys(id, parent, name) VALUES(?1, ?2, ?3)",
    [DELETE_KEY] = "DELETE FROM keys WHERE id = ?1",
    [DELETE_VALUES] = "DELETE FROM \"values\" WHERE key = ?1",
    [PUT_VALUE] = "INSERT OR REPLACE INTO \"values\"(key, name, type, data) VALUES(?1, ?2, ?3, ?4)",
    [DELETE_VALUE] = "DELETE FROM \"values\" WHERE key = ?1 AND name = ?2",
};

struct reg_store {
    sqlite3 *db;
    struct plat_file_lock *lock;
    sqlite3_stmt *statement[STATEMENTS];
    char path[];
};

/* ---- failures -------------------------------------------------------------------------------- */

static int failed(struct reg_store *s, const char *doing)
{
    int code = sqlite3_extended_errcode(s->db), host = sqlite3_system_errno(s->db);
    const char *text = sqlite3_errmsg(s->db);

    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return umn__refuse(UMN_ENOMEM, "registry %s: %s: out of memory", s->path, doing);
    case SQLITE_NOTADB:
        return umn__refuse(UMN_ECORRUPT,
                           "registry %s: this is not a registry database (no SQLite header)",
                           s->path);
    case SQLITE_CORRUPT:
        return umn__refuse(UMN_ECORRUPT, "registry %s: %s: the database is damaged: %s", s->path,
                           doing, text);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return umn__refuse(UMN_EPERM, "registry %s: %s: no permission to write: %s", s->path, doing,
                           text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return umn__refuse(UMN_EBUSY, "registry %s: %s: another program holds the database",
                           s->path, doing);
    case SQLITE_CANTOPEN:
        if (code == SQLITE_CANTOPEN_ISDIR || host == EISDIR)
            return umn__refuse(UMN_EINVAL, "registry %s: this is a folder, a file is expected",
                               s->path);
        if (host == EACCES || host == EPERM || host == EROFS)
            return umn__refuse(UMN_EPERM, "registry %s: no permission (%s)", s->path,
                               strerror(host));
        if (host == ENOENT || host == ENOTDIR)
            return umn__refuse(UMN_ENOENT, "registry %s: no such file or folder", s->path);
        return umn__refuse(UMN_EIO, "registry %s: cannot open: %s", s->path,
                           host ? strerror(host) : text);
    default:
        return umn__refuse(UMN_EIO, "registry %s: %s: %s", s->path, doing, text);
    }
}

static int execute(struct reg_store *s, const char *sql, const char *doing)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(s, doing);
}

/* First column of the first row of a query, as a number. */
static int query_number(struct reg_store *s, const char *sql, int64_t *number)
{
    sqlite3_stmt *statement;
    int error = 0;

    if (sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return failed(s, "reading");
    if (sqlite3_step(statement) == SQLITE_ROW)
        *number = sqlite3_column_int64(statement, 0);
    else
        error = failed(s, "reading");
    sqlite3_finalize(statement);
    return error;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int take_lock(struct reg_store *s)
{
    const char *file = sqlite3_db_filename(s->db, "main"); /* absolute, links followed */
    char *path = plat_asprintf("%s.lock", file && *file ? file : s->path);
    int holder = 0, error;

    if (!path)
        return UMN_ENOMEM;
    error = plat_file_lock(path, &s->lock, &holder);
    if (error == UMN_EBUSY && holder)
        umn__refuse(error, "registry %s: a running box uses it (process %d, see %s)", s->path,
                    holder, path);
    else if (error)
        umn__refuse(error, "registry %s: cannot take the lock %s: %s", s->path, path,
                    error == UMN_EBUSY ? "a running box has it" : umn_strerror(error));
    plat_free(path);
    return error;
}

static int create_tables(struct reg_store *s)
{
    return execute(s,
                   "BEGIN IMMEDIATE;"
                   "CREATE TABLE keys(id INTEGER PRIMARY KEY, parent INTEGER NOT NULL,"
                   " name TEXT NOT NULL);"
                   "CREATE TABLE \"values\"(key INTEGER NOT NULL, name TEXT NOT NULL,"
                   " type INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(key, name))"
                   " WITHOUT ROWID;"
                   "PRAGMA application_id = 1431129682;" /* APPLICATION_ID */
                   "PRAGMA user_version = 1;"            /* FORMAT */
                   "COMMIT",
                   "creating");
}

/* An empty file becomes a registry; anything else must be one, of our format, and sound. */
static int check_format(struct reg_store *s, bool read_only)
{
    int64_t id = 0, format = 0, tables = 0;
    sqlite3_stmt *statement;
    int error = query_number(s, "SELECT count(*) FROM sqlite_master", &tables);

    if (!error)
        error = query_number(s, "PRAGMA application_id", &id);
    if (!error)
        error = query_number(s, "PRAGMA user_version", &format);
    if (error)
        return error;
    if (!tables && !id && !read_only)
        return create_tables(s);
    if (!tables && !id)
        return umn__refuse(UMN_ECORRUPT, "registry %s: the file is empty", s->path);
    if (id != APPLICATION_ID)
        return umn__refuse(UMN_ECORRUPT,
                           "registry %s: a SQLite database of another program (application id "
                           "0x%08x, expected 0x%08x)",
                           s->path, (unsigned)id, APPLICATION_ID);
    if (format != FORMAT)
        return umn__refuse(UMN_ECORRUPT, "registry %s: format %d, this umndis reads format %d",
                           s->path, (int)format, FORMAT);
    if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK)
        return failed(s, "checking");
    if (sqlite3_step(statement) != SQLITE_ROW)
        error = failed(s, "checking");
    else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0)
        error = umn__refuse(UMN_ECORRUPT, "registry %s: the database is damaged: %s", s->path,
                            sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return error;
}

static int open_database(struct reg_store *s, bool read_only)
{
    int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int error = 0;

    if (sqlite3_open_v2(s->path, &s->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return s->db ? failed(s, "opening") : UMN_ENOMEM;
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    if (!read_only && sqlite3_db_readonly(s->db, "main") == 1)
        return umn__refuse(UMN_EPERM, "registry %s: no permission to write to it", s->path);
    if (!read_only)
        error = take_lock(s);
    if (!error && !read_only)
        error = execute(s,
                        "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL;"
                        "PRAGMA synchronous = FULL; PRAGMA cache_size = -65536",
                        "opening");
    if (!error)
        error = check_format(s, read_only);
    for (unsigned i = 0; i < STATEMENTS && !error && !read_only; i++)
        if (sqlite3_prepare_v3(s->db, statement_text[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &s->statement[i], NULL) != SQLITE_OK)
            error = failed(s, "opening");
    return error;
}

int reg__store_open(const char *path, bool read_only, struct reg_store **out)
{
    size_t size = strlen(path) + 1;
    struct reg_store *s = plat_alloc(sizeof *s + size);
    int error;

    if (!s)
        return UMN_ENOMEM;
    memcpy(s->path, path, size);
    error = *path ? open_database(s, read_only)
                  : umn__refuse(UMN_EINVAL, "registry: the path is empty");
    if (error) {
        reg__store_close(s);
        return error;
    }
    *out = s;
    return 0;
}

void reg__store_close(struct reg_store *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(s->statement[i]);
    sqlite3_close(s->db);
    plat_file_unlock(s->lock);
    plat_free(s);
}

/* ---- loading --------------------------------------------------------------------------------- */

/* Keys by id, ascending, for parents and values. */
struct loaded {
    struct reg_key **key;
    size_t count, room;
};

static struct reg_key *loaded_find(const struct loaded *l, int64_t id)
{
    size_t low = 0, high = l->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (l->key[middle]->id == id)
            return l->key[middle];
        if (l->key[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int loaded_add(struct loaded *l, struct reg_key *key)
{
    if (l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 256;
        struct reg_key **bigger = plat_realloc(l->key, room * sizeof *bigger);

        if (!bigger)
            return UMN_ENOMEM;
        l->key = bigger;
        l->room = room;
    }
    l->key[l->count++] = key;
    return 0;
}

static int load_key(struct reg_store *s, struct loaded *l, sqlite3_stmt *row)
{
    int64_t id = sqlite3_column_int64(row, 0);
    const char *name = (const char *)sqlite3_column_text(row, 2);
    size_t length = (size_t)sqlite3_column_bytes(row, 2);
    struct reg_key *parent = loaded_find(l, sqlite3_column_int64(row, 1)), *key;

    if (!name)
        return UMN_ENOMEM;
    if (id <= l->key[l->count - 1]->id || !parent || !length || strlen(name) != length ||
        strchr(name, '\\') || reg__child(parent, name, length))
        return umn__refuse(UMN_ECORRUPT, "registry %s: table keys, id %lld: %s", s->path,
                           (long long)id, parent ? "bad or repeated name" : "no such parent");
    key = reg__key_new(name, length);
    if (!key)
        return UMN_ENOMEM;
    key->id = id;
    key->stored = true;
    if (reg__child_reserve(parent) || loaded_add(l, key)) {
        plat_free(key);
        return UMN_ENOMEM;
    }
    reg__attach(parent, key);
    return 0;
}

static int load_value(struct reg_store *s, struct loaded *l, sqlite3_stmt *row)
{
    int64_t id = sqlite3_column_int64(row, 0);
    const char *name = (const char *)sqlite3_column_text(row, 1);
    const void *data = sqlite3_column_blob(row, 3);
    size_t size = (size_t)sqlite3_column_bytes(row, 3);
    struct reg_key *key = loaded_find(l, id);
    struct reg_value *value;

    if (!name || (!data && size))
        return UMN_ENOMEM;
    if (!key || reg__value(key, name))
        return umn__refuse(UMN_ECORRUPT, "registry %s: table values, key %lld, \"%.60s\": %s",
                           s->path, (long long)id, name, key ? "repeated" : "no such key");
    value = reg__value_new(name, (uint32_t)sqlite3_column_int64(row, 2), data, size);
    if (!value || reg__value_reserve(key)) {
        plat_free(value);
        return UMN_ENOMEM;
    }
    reg__put(key, name, value);
    return 0;
}

static int each_row(struct reg_store *s, struct loaded *l, const char *sql,
                    int (*load)(struct reg_store *, struct loaded *, sqlite3_stmt *))
{
    sqlite3_stmt *row;
    int error = 0, step = SQLITE_ROW;

    if (sqlite3_prepare_v2(s->db, sql, -1, &row, NULL) != SQLITE_OK)
        return failed(s, "reading");
    while (!error && (step = sqlite3_step(row)) == SQLITE_ROW)
        error = load(s, l, row);
    if (!error && step != SQLITE_DONE)
        error = failed(s, "reading");
    sqlite3_finalize(row);
    return error;
}

int reg__store_load(struct reg_store *s, struct reg_key *root, int64_t *last_id)
{
    struct loaded l = {0};
    int error = loaded_add(&l, root);

    /* one read transaction, so that a reader beside a running box sees one moment */
    if (!error)
        error = execute(s, "BEGIN", "reading");
    if (!error) {
        error = each_row(s, &l, "SELECT id, parent, name FROM keys ORDER BY id", load_key);
        if (!error)
            error = each_row(s, &l, "SELECT key, name, type, data FROM \"values\"", load_value);
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    }
    if (!error)
        *last_id = l.key[l.count - 1]->id;
    plat_free(l.key);
    return error;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int run(struct reg_store *s, int which)
{
    sqlite3_stmt *statement = s->statement[which];
    int error = sqlite3_step(statement) == SQLITE_DONE ? 0 : failed(s, "writing");

    sqlite3_reset(statement); /* every parameter is bound again before the next step */
    return error;
}

int reg__store_begin(struct reg_store *s)
{
    return execute(s, "BEGIN IMMEDIATE", "writing");
}

int reg__store_put_key(struct reg_store *s, const struct reg_key *key)
{
    sqlite3_stmt *statement = s->statement[PUT_KEY];

    sqlite3_bind_int64(statement, 1, key->id);
    sqlite3_bind_int64(statement, 2, key->parent->id);
    sqlite3_bind_text(statement, 3, key->name, (int)strlen(key->name), SQLITE_STATIC);
    return run(s, PUT_KEY);
}

int reg__store_delete_key(struct reg_store *s, int64_t id)
{
    int error;

    sqlite3_bind_int64(s->statement[DELETE_VALUES], 1, id);
    error = run(s, DELETE_VALUES);
    if (error)
        return error;
    sqlite3_bind_int64(s->statement[DELETE_KEY], 1, id);
    return run(s, DELETE_KEY);
}

int reg__store_put_value(struct reg_store *s, int64_t key, const struct reg_value *value)
{
    sqlite3_stmt *statement = s->statement[PUT_VALUE];

    sqlite3_bind_int64(statement, 1, key);
    sqlite3_bind_text(statement, 2, value->name, (int)strlen(value->name), SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, value->type);
    sqlite3_bind_blob(statement, 4, value->data, (int)value->size, SQLITE_STATIC);
    return run(s, PUT_VALUE);
}

int reg__store_delete_value(struct reg_store *s, int64_t key, const char *name)
{
    sqlite3_stmt *statement = s->statement[DELETE_VALUE];

    sqlite3_bind_int64(statement, 1, key);
    sqlite3_bind_text(statement, 2, name, -1, SQLITE_STATIC);
    return run(s, DELETE_VALUE);
}

int reg__store_commit(struct reg_store *s)
{
    return execute(s, "COMMIT", "writing");
}

void reg__store_abort(struct reg_store *s)
{
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}
