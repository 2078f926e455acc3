/* SPDX-License-Identifier: MIT */
/*
 * Device names in canonical form, \DEVICE\{GUID} in upper case, and the tables that find them. A
 * name is looked up once per adapter, bind and request, so 4,096 of them cost the same each (open
 * question 3: the bare {GUID} names the same device; case does not count). Lock: ndis.lock.
 */
#include "ndis/control.h"

#include <string.h>

#define PREFIX "\\DEVICE\\"

struct ndis_names ndis__adapter_names;

uint32_t ndis__name_hash(const char *text)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 16777619u;
    return h;
}

struct ndis_name *ndis__name_find(const struct ndis_names *t, const char *canonical)
{
    uint32_t hash = ndis__name_hash(canonical);

    for (struct ndis_name *n = t->bucket[hash % NDIS_NAME_BUCKETS]; n; n = n->next)
        if (n->hash == hash && strcmp(n->text, canonical) == 0)
            return n;
    return NULL;
}

void ndis__name_add(struct ndis_names *t, struct ndis_name *n)
{
    n->hash = ndis__name_hash(n->text);
    struct ndis_name **b = &t->bucket[n->hash % NDIS_NAME_BUCKETS];
    n->next = *b;
    *b = n;
}

void ndis__name_remove(struct ndis_names *t, struct ndis_name *n)
{
    for (struct ndis_name **p = &t->bucket[n->hash % NDIS_NAME_BUCKETS]; *p; p = &(*p)->next) {
        if (*p != n)
            continue;
        *p = n->next;
        n->next = NULL;
        return;
    }
}

/* Upper case, prefix added where it lacks. Upper-casing WCHARs keeps their number. */
static char *canonical_wide(const WCHAR *text, size_t length)
{
    static const char prefix[] = PREFIX;
    const size_t plen = sizeof prefix - 1;
    WCHAR *w = plat_alloc((length + plen + 1) * sizeof *w);
    char *out;
    size_t n = 0;

    if (!w)
        return NULL;
    for (size_t i = 0; i < length; i++)
        w[plen + i] = umn__upcase(text[i]);
    while (n < plen && n < length && w[plen + n] == (WCHAR)prefix[n])
        n++;
    if (n == plen) {
        out = umn__utf8(w + plen, length);
    } else {
        for (size_t i = 0; i < plen; i++)
            w[i] = (WCHAR)prefix[i];
        out = umn__utf8(w, length + plen);
    }
    plat_free(w);
    return out;
}

char *ndis__canonical(const UNICODE_STRING *name, NDIS_STATUS *status)
{
    size_t length = name ? name->Length / sizeof(WCHAR) : 0;
    char *out;

    *status = NDIS_STATUS_FAILURE;
    if (!name || !name->Buffer || !length || name->Length % sizeof(WCHAR))
        return NULL;
    for (size_t i = 0; i < length; i++)
        if (!name->Buffer[i])
            return NULL;
    out = canonical_wide(name->Buffer, length);
    if (out && !out[sizeof PREFIX - 1]) { /* nothing behind the prefix */
        plat_free(out);
        return NULL;
    }
    *status = out ? NDIS_STATUS_SUCCESS : NDIS_STATUS_RESOURCES;
    return out;
}

char *ndis__canonical_utf8(const char *name)
{
    WCHAR *w = umn__utf16(name);
    char *out = w ? canonical_wide(w, umn__wcslen(w)) : NULL;

    plat_free(w);
    return out;
}

static struct ndis_adapter *find(const char *name, bool reference)
{
    char *canonical = ndis__canonical_utf8(name);
    struct ndis_adapter *a = NULL;
    struct ndis_name *n;

    if (!canonical)
        return NULL;
    umn__lock(&ndis.lock);
    n = ndis__name_find(&ndis__adapter_names, canonical);
    if (n)
        a = umn_container_of(n, struct ndis_adapter, name_node);
    if (a && reference)
        ndis__adapter_get(a);
    umn__unlock(&ndis.lock);
    plat_free(canonical);
    return a;
}

struct ndis_adapter *ndis__adapter_find(const char *name)
{
    return find(name, false);
}

struct ndis_adapter *ndis__adapter_ref(const char *name)
{
    return find(name, true);
}

/* Lists are in order of ids, so the next one is found from where the reader stands. */
struct ndis_adapter *ndis__adapter_next(struct ndis_adapter *after)
{
    struct ndis_adapter *a = NULL;

    umn__lock(&ndis.lock);
    struct umn_list *l = after && !after->gone ? after->link.next : ndis.adapters.next;
    for (; l != &ndis.adapters; l = l->next) {
        struct ndis_adapter *x = umn_container_of(l, struct ndis_adapter, link);
        if (after && x->obj.id <= after->obj.id)
            continue;
        a = x;
        ndis__adapter_get(a);
        break;
    }
    umn__unlock(&ndis.lock);
    if (after)
        ndis__adapter_put(after);
    return a;
}

struct ndis_protocol *ndis__protocol_next(struct ndis_protocol *after)
{
    struct ndis_protocol *p = NULL;

    umn__lock(&ndis.lock);
    umn_list_for_each (l, &ndis.protocols) {
        struct ndis_protocol *x = umn_container_of(l, struct ndis_protocol, link);
        if (after && x->obj.id <= after->obj.id)
            continue;
        p = x;
        ndis__protocol_get(p);
        break;
    }
    umn__unlock(&ndis.lock);
    if (after)
        ndis__protocol_put(after);
    return p;
}
