/* SPDX-License-Identifier: MIT */
/*
 * What a protocol wants to bind to: Services\<protocol>\Linkage\Bind, a REG_MULTI_SZ of
 * \Device\{GUID}, parsed once into a hash set. 4,096 adapters that come up one after another ask
 * here once each, so reading the list again is the exception: after umn__ndis_rebind or
 * NdisReEnumerateProtocolBindings, and when an adapter that is younger than the last reading is not
 * in it. Each protocol's set is guarded by ndis.lock; reading the registry happens without it, at
 * PASSIVE_LEVEL, and a reader that lost a race throws its reading away.
 */
#include "ndis/control.h"

#include <string.h>

struct bind_name {
    struct bind_name *next;
    uint32_t hash;
    char text[]; /* canonical */
};

struct ndis_bindlist {
    bool stale;
    uint32_t read_id; /* ndis.next_id when it was read */
    void *raw;        /* the value as it was read: an equal one need not be parsed again */
    size_t raw_size;
    size_t buckets; /* a power of two */
    struct bind_name **bucket;
};

static void list_free(struct ndis_bindlist *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->buckets; i++) {
        while (l->bucket[i]) {
            struct bind_name *n = l->bucket[i];
            l->bucket[i] = n->next;
            plat_free(n);
        }
    }
    plat_free(l->bucket);
    plat_free(l->raw);
    plat_free(l);
}

void ndis__bindlist_free(struct ndis_protocol *p)
{
    list_free(p->list);
    p->list = NULL;
}

void ndis__bindlist_invalidate(struct ndis_protocol *p)
{
    umn__lock(&ndis.lock);
    if (p->list)
        p->list->stale = true;
    umn__unlock(&ndis.lock);
}

static int add_name(struct ndis_bindlist *l, const WCHAR *text, size_t length)
{
    UNICODE_STRING us = {.Length = (USHORT)(length * sizeof(WCHAR)),
                         .MaximumLength = (USHORT)(length * sizeof(WCHAR)),
                         .Buffer = (WCHAR *)(uintptr_t)text};
    struct bind_name *n;
    NDIS_STATUS status;
    char *canonical;

    if (length > 0x7ffe)
        return 0; /* no device has such a name */
    canonical = ndis__canonical(&us, &status);
    if (!canonical)
        return status == NDIS_STATUS_RESOURCES ? UMN_ENOMEM : 0;
    n = plat_alloc(sizeof *n + strlen(canonical) + 1);
    if (n) {
        strcpy(n->text, canonical);
        n->hash = ndis__name_hash(canonical);
        n->next = l->bucket[n->hash & (l->buckets - 1)];
        l->bucket[n->hash & (l->buckets - 1)] = n;
    }
    plat_free(canonical);
    return n ? 0 : UMN_ENOMEM;
}

/* Unterminated and empty entries are tolerated: the registry is written by others. */
static int parse(struct ndis_bindlist *l)
{
    const WCHAR *w = l->raw;
    size_t n = l->raw_size / sizeof *w, names = 1;
    int error = 0;

    for (size_t i = 0; i < n; i++)
        names += !w[i];
    for (l->buckets = 8; l->buckets < names; l->buckets *= 2)
        ;
    l->bucket = plat_alloc(l->buckets * sizeof *l->bucket);
    if (!l->bucket) {
        l->buckets = 0;
        return UMN_ENOMEM;
    }
    for (size_t i = 0; !error && i < n;) {
        size_t length = 0;
        while (i + length < n && w[i + length])
            length++;
        if (length)
            error = add_name(l, w + i, length);
        i += length + 1;
    }
    return error;
}

/* Linkage\Bind as it stands; *data NULL if there is none. */
static int read_value(struct ndis_protocol *p, void **data, size_t *size)
{
    const struct umn_registry_ops *reg = umn__registry();
    uint32_t type;
    void *key;
    char *path;
    int error;

    *data = NULL;
    *size = 0;
    path = plat_asprintf("\\Registry\\Machine\\System\\CurrentControlSet\\Services\\%s\\Linkage",
                         p->service);
    if (!path)
        return UMN_ENOMEM;
    error = reg->open(NULL, path, false, &key);
    plat_free(path);
    if (error)
        return error == UMN_ENOENT || error == UMN_ENOTSUP ? 0 : error;
    error = reg->get(key, "Bind", &type, data, size);
    reg->close(key);
    if (error == UMN_ENOENT)
        return 0;
    if (!error && type != REG_MULTI_SZ && type != REG_SZ) {
        plat_free(*data);
        *data = NULL;
        *size = 0;
    }
    return error;
}

/* Reads the list again. On a failure the old one stays, and stays stale. */
static void refresh(struct ndis_protocol *p)
{
    struct ndis_bindlist *l = plat_alloc(sizeof *l), *old;
    bool same;

    if (!l)
        return;
    l->read_id = __atomic_load_n(&ndis.next_id, __ATOMIC_RELAXED);
    if (read_value(p, &l->raw, &l->raw_size) != 0) {
        list_free(l);
        return;
    }
    umn__lock(&ndis.lock);
    old = p->list;
    same = old && old->raw_size == l->raw_size &&
           (!l->raw_size || memcmp(old->raw, l->raw, l->raw_size) == 0);
    if (same) {
        old->stale = false;
        old->read_id = l->read_id;
    }
    umn__unlock(&ndis.lock);
    if (same || parse(l) != 0) {
        list_free(l);
        return;
    }
    umn__lock(&ndis.lock);
    old = p->list;
    if (!old || old->read_id <= l->read_id) {
        p->list = l;
        l = old;
    }
    umn__unlock(&ndis.lock);
    list_free(l);
}

/* Lock held. */
static bool in_list(const struct ndis_bindlist *l, const char *canonical)
{
    uint32_t hash = ndis__name_hash(canonical);

    if (!l || !l->buckets)
        return false;
    for (const struct bind_name *n = l->bucket[hash & (l->buckets - 1)]; n; n = n->next)
        if (n->hash == hash && strcmp(n->text, canonical) == 0)
            return true;
    return false;
}

/* canonical and the id of the adapter that asks (0: of nobody). */
static bool wants(struct ndis_protocol *p, const char *canonical, uint32_t id)
{
    bool found, again;

    umn__lock(&ndis.lock);
    found = in_list(p->list, canonical);
    again = !p->list || p->list->stale || (!found && id > p->list->read_id);
    umn__unlock(&ndis.lock);
    if (!again)
        return found;
    refresh(p);
    umn__lock(&ndis.lock);
    found = in_list(p->list, canonical);
    umn__unlock(&ndis.lock);
    return found;
}

bool ndis__protocol_wants(struct ndis_protocol *p, const char *adapter_name)
{
    char *canonical = ndis__canonical_utf8(adapter_name);
    bool found = canonical && wants(p, canonical, 0);

    plat_free(canonical);
    return found;
}

bool ndis__protocol_wants_adapter(struct ndis_protocol *p, const struct ndis_adapter *a)
{
    return wants(p, a->name_node.text, a->obj.id);
}
