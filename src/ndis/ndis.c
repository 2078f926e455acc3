/* SPDX-License-Identifier: MIT */
/*
 * The library's globals: start and stop, the table of live handles, references and the graves of
 * dead objects. A handle that died stays readable for a while (the last NDIS_GRAVES of them), so
 * that a driver that still uses it gets a report and not a crash. Guarded by ndis.lock; any IRQL up
 * to DISPATCH_LEVEL unless a function says otherwise.
 */
#include "ndis/control.h"

#define NDIS_GRAVES 512 /* dead objects kept; a driver with a stale handle uses it soon */
#define LIVE_BUCKETS 4096

struct ndis_globals ndis;
struct umn_ndis_settings umn__ndis_settings = {.ndis_minor = 87};

static struct ndis_object *live_table[LIVE_BUCKETS];

/* The graves, oldest first; one chain for all, `what` tells how to free. */
enum grave_kind { GRAVE_ADAPTER, GRAVE_BINDING, GRAVE_PROTOCOL, GRAVE_MDRIVER };
struct grave {
    struct umn_list link; /* ndis.graveyard */
    enum grave_kind kind;
    void *object;
};

static struct ndis_object **live_bucket(const void *p)
{
    return &live_table[((uintptr_t)p >> 5) * 2654435761u >> 7 & (LIVE_BUCKETS - 1)];
}

uint32_t ndis__new_id(void)
{
    return __atomic_add_fetch(&ndis.next_id, 1, __ATOMIC_RELAXED);
}

void ndis__object_live(struct ndis_object *o, enum ndis_kind kind)
{
    if (!o->id)
        o->id = ndis__new_id();
    umn__lock(&ndis.lock);
    if (o->kind == NDIS_KIND_DEAD) {
        struct ndis_object **b = live_bucket(o);
        o->live_next = *b;
        *b = o;
    }
    __atomic_store_n(&o->kind, kind, __ATOMIC_RELEASE);
    umn__unlock(&ndis.lock);
}

void ndis__object_dead(struct ndis_object *o)
{
    umn__lock(&ndis.lock);
    for (struct ndis_object **p = live_bucket(o); *p; p = &(*p)->live_next) {
        if (*p != o)
            continue;
        *p = o->live_next;
        o->live_next = NULL;
        break;
    }
    __atomic_store_n(&o->kind, NDIS_KIND_DEAD, __ATOMIC_RELEASE);
    umn__unlock(&ndis.lock);
}

/* Lock held. */
static enum ndis_kind kind_of(NDIS_HANDLE handle)
{
    for (struct ndis_object *o = *live_bucket(handle); o; o = o->live_next)
        if (o == handle)
            return o->kind;
    return NDIS_KIND_DEAD;
}

enum ndis_kind ndis__kind(NDIS_HANDLE handle)
{
    enum ndis_kind kind;

    umn__lock(&ndis.lock);
    kind = kind_of(handle);
    umn__unlock(&ndis.lock);
    return kind;
}

bool ndis__live_get(NDIS_HANDLE handle, enum ndis_kind kind)
{
    bool live;

    umn__lock(&ndis.lock);
    live = kind_of(handle) == kind;
    if (live && kind == NDIS_KIND_ADAPTER)
        ndis__adapter_get(handle);
    else if (live && kind == NDIS_KIND_BINDING)
        ndis__binding_get(handle);
    else if (live && kind == NDIS_KIND_PROTOCOL)
        ndis__protocol_get(handle);
    umn__unlock(&ndis.lock);
    return live;
}

/* Whether an object that died, or is dying, lies at that address. Off the normal path. */
static bool was(NDIS_HANDLE handle, enum ndis_kind kind)
{
    bool found = false;

    umn__lock(&ndis.lock);
    umn_list_for_each (l, &ndis.graveyard)
        found |= umn_container_of(l, struct grave, link)->object == handle &&
                 umn_container_of(l, struct grave, link)->kind ==
                     (kind == NDIS_KIND_ADAPTER ? GRAVE_ADAPTER : GRAVE_BINDING);
    umn_list_for_each (l, &ndis.adapters) {
        const struct ndis_adapter *a = umn_container_of(l, struct ndis_adapter, link);
        found |= kind == NDIS_KIND_ADAPTER && a == handle;
        umn_list_for_each (m, &a->bindings)
            found |= kind == NDIS_KIND_BINDING &&
                     umn_container_of(m, struct ndis_binding, adapter_link) == handle;
    }
    umn__unlock(&ndis.lock);
    return found;
}

static void report_handle(NDIS_HANDLE handle, const char *function)
{
    umn__report("HandleType", 0, "%s was given %s", function,
                handle ? "a handle that is stale or of another type" : "a NULL handle");
}

bool ndis__is(NDIS_HANDLE handle, enum ndis_kind kind, const char *function)
{
    const struct ndis_object *o = handle;

    if (o && __atomic_load_n(&o->kind, __ATOMIC_ACQUIRE) == (uint32_t)kind)
        return true;
    report_handle(handle, function);
    return false;
}

bool ndis__live(NDIS_HANDLE handle, enum ndis_kind kind, const char *function)
{
    if (ndis__kind(handle) == kind)
        return true;
    if (handle && kind == NDIS_KIND_ADAPTER && was(handle, kind))
        umn__report("ST-13", 0, "%s for an adapter that has been halted (IM-MST-12)", function);
    else if (handle && kind == NDIS_KIND_BINDING && was(handle, kind))
        umn__report("ST-08", 0, "%s on a binding that has been closed (IM-UNB-07)", function);
    else
        report_handle(handle, function);
    return false;
}

/* ---- graves
 * -------------------------------------------------------------------------------------- */

static void free_adapter(struct ndis_adapter *a)
{
    ndis__attributes_free(a);
    ndis__dp_adapter_free(a);
    plat_free(a->name_node.text);
    plat_free(a->name);
    plat_free(a->name_us.Buffer);
    plat_free(a->grave);
    plat_free(a);
}

static void free_binding(struct ndis_binding *b)
{
    ndis__dp_binding_free(b);
    plat_free(b->grave);
    plat_free(b);
}

static void free_protocol(struct ndis_protocol *p)
{
    ndis__bindlist_free(p);
    plat_free(p->service);
    plat_free(p->grave);
    plat_free(p);
}

static void open_grave(struct grave *g)
{
    switch (g->kind) {
    case GRAVE_ADAPTER:
        free_adapter(g->object);
        break;
    case GRAVE_BINDING:
        free_binding(g->object);
        break;
    case GRAVE_PROTOCOL:
        free_protocol(g->object);
        break;
    case GRAVE_MDRIVER: {
        struct ndis_mdriver *d = g->object;
        plat_free((char *)(uintptr_t)d->service);
        plat_free(d->grave);
        plat_free(d);
        break;
    }
    }
}

/* Takes a dead object without references; ndis.lock is held and released. */
static void bury_unlock(struct grave *g, enum grave_kind kind, void *object)
{
    struct grave *old = NULL;

    g->kind = kind;
    g->object = object;
    umn_list_add_tail(&ndis.graveyard, &g->link);
    if (++ndis.graves > NDIS_GRAVES) {
        old = umn_container_of(ndis.graveyard.next, struct grave, link);
        umn_list_remove(&old->link);
        ndis.graves--;
    }
    umn__unlock(&ndis.lock);
    if (old)
        open_grave(old);
}

void *ndis__grave_new(void)
{
    struct grave *g = plat_alloc(sizeof *g);

    if (g)
        umn_list_init(&g->link);
    return g;
}

void ndis__adapter_get(struct ndis_adapter *a)
{
    a->refs++;
}

void ndis__adapter_put(struct ndis_adapter *a)
{
    umn__lock(&ndis.lock);
    if (--a->refs == 0)
        bury_unlock(a->grave, GRAVE_ADAPTER, a);
    else
        umn__unlock(&ndis.lock);
}

void ndis__binding_get(struct ndis_binding *b)
{
    b->refs++;
}

/* A binding refers to its adapter and its protocol until nobody refers to it. */
void ndis__binding_put(struct ndis_binding *b)
{
    struct ndis_adapter *a = b->adapter;
    struct ndis_protocol *p = b->protocol;

    umn__lock(&ndis.lock);
    if (--b->refs > 0) {
        umn__unlock(&ndis.lock);
        return;
    }
    bury_unlock(b->grave, GRAVE_BINDING, b);
    ndis__adapter_put(a);
    ndis__protocol_put(p);
}

void ndis__protocol_get(struct ndis_protocol *p)
{
    p->refs++;
}

void ndis__protocol_put(struct ndis_protocol *p)
{
    umn__lock(&ndis.lock);
    if (--p->refs == 0)
        bury_unlock(p->grave, GRAVE_PROTOCOL, p);
    else
        umn__unlock(&ndis.lock);
}

void ndis__mdriver_get(struct ndis_mdriver *d)
{
    d->refs++;
}

void ndis__mdriver_put(struct ndis_mdriver *d)
{
    umn__lock(&ndis.lock);
    if (--d->refs == 0)
        bury_unlock(d->grave, GRAVE_MDRIVER, d);
    else
        umn__unlock(&ndis.lock);
}

/* ---- life
 * ------------------------------------------------------------------------------------------ */

/* NdisGetVersion (nf-ndis-ndisgetversion.md): major in the high half. <= DISPATCH_LEVEL. */
UMN_EXPORT UINT NTAPI NdisGetVersion(void)
{
    return 6u << 16 | umn__ndis_settings.ndis_minor;
}

int umn__ndis_start(void)
{
    if (ndis.started)
        return UMN_ESTATE;
    ndis = (struct ndis_globals){0};
    umn_list_init(&ndis.mdrivers);
    umn_list_init(&ndis.protocols);
    umn_list_init(&ndis.adapters);
    umn_list_init(&ndis.graveyard);
    umn_list_init(&ndis.frames);
    umn_list_init(&ndis.bind_ops);
    umn_list_init(&ndis.entries);
    umn_list_init(&ndis.events);
    umn__ndis_settings = (struct umn_ndis_settings){.ndis_minor = 87};
    ndis.started = true;
    ndis__dp_start();
    ndis__drivers_start();
    return 0;
}

void umn__ndis_stop(void)
{
    if (!ndis.started)
        return;
    umn_list_for_each (l, &ndis.adapters) {
        struct ndis_adapter *a = umn_container_of(l, struct ndis_adapter, link);
        umn__report("ST-16", 0, "adapter %s is left when NDIS stops, %s", a->name,
                    ndis__adapter_state_name(a->state));
    }
    ndis__drivers_stop();
    ndis__im_stop();
    ndis__ifs_stop();
    umn_list_for_each (g, &ndis.graveyard) {
        umn_list_remove(g);
        open_grave(umn_container_of(g, struct grave, link));
    }
    ndis__dp_stop();
    ndis.graves = 0;
    ndis.started = false;
}
