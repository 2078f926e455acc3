/* SPDX-License-Identifier: MIT */
/*
 * The device tree: one record for each device that the PnP manager has met, and the right to
 * operate on it. `Devices.lock` (leaf) guards links, references, owners, workers, waiters, states
 * and the texts of UmhExplain; everything else of a record belongs to the context that has acquired
 * it. Operations on one device are serial, on different devices they run side by side.
 * PASSIVE_LEVEL, but for hold.
 */
#include "config/internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "check/check.h"
#include "plat/plat.h"

#define BUCKETS 1024

struct device_waiter {
    struct umn_list link;
    struct umn_ctx *ctx;
};

static struct {
    struct umn_mutex lock;
    struct umn_list all;
    struct cfg_device *bucket[BUCKETS];
} Devices;

const char *cfg__state_name(enum cfg_state state)
{
    static const char *const names[] = {
        [CFG_STOPPED] = "Stopped",
        [CFG_STARTED] = "Started",
        [CFG_REMOVED] = "Removed",
        [CFG_FAILED] = "Failed",
        [CFG_SURPRISE_REMOVED] = "SurpriseRemoved",
    };

    return names[state];
}

static uint32_t hash_of(const char *id)
{
    uint32_t h = 2166136261u; /* FNV-1a over the folded name */

    for (; *id; id++)
        h = (h ^ (uint8_t)(*id >= 'a' && *id <= 'z' ? *id - 32 : *id)) * 16777619u;
    return h;
}

static struct cfg_device *find(const char *id, uint32_t hash)
{
    struct cfg_device *d = Devices.bucket[hash % BUCKETS];

    while (d && (d->hash != hash || umn__stricmp(d->instance_id, id) != 0))
        d = d->next;
    return d;
}

static void insert(struct cfg_device *d)
{
    d->next = Devices.bucket[d->hash % BUCKETS];
    Devices.bucket[d->hash % BUCKETS] = d;
    umn_list_add_tail(&Devices.all, &d->link);
    d->refs++; /* the tree's */
}

static void take_out(struct cfg_device *d)
{
    struct cfg_device **at = &Devices.bucket[d->hash % BUCKETS];

    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    umn_list_remove(&d->link);
    d->dead = true;
}

static void free_device(struct cfg_device *d)
{
    plat_free(d->service);
    plat_free(d->hardware_id);
    plat_free(d);
}

/* A record from the registry; not in the tree yet. */
static struct cfg_device *read_device(const char *id, int *error)
{
    struct cfg_device_keys keys;
    struct cfg_device *d;

    *error = cfg__device_keys(id, &keys);
    if (*error)
        return NULL;
    d = plat_alloc(sizeof *d);
    if (!d) {
        *error = UMN_ENOMEM;
        cfg__device_keys_free(&keys);
        return NULL;
    }
    d->hash = hash_of(id);
    umn_list_init(&d->link);
    umn_list_init(&d->waiters);
    d->state = CFG_STOPPED;
    d->is_virtual = keys.characteristics & CFG_NCF_VIRTUAL;
    d->service = keys.service;
    d->hardware_id = keys.hardware_id;
    keys.service = keys.hardware_id = NULL;
    strcpy(d->guid, keys.guid);
    *error = cfg__format(d->instance_id, sizeof d->instance_id, "%s", id);
    if (!*error)
        *error = cfg__format(d->driver_key, sizeof d->driver_key, "%s", keys.driver);
    d->node = (struct umn_devnode){
        .instance_id = d->instance_id,
        .driver_key = d->driver_key,
        .service = d->service,
        .owner = d,
    };
    cfg__device_keys_free(&keys);
    if (*error) {
        free_device(d);
        return NULL;
    }
    return d;
}

struct cfg_device *cfg__device_get(const char *id, bool create, int *error)
{
    uint32_t hash = hash_of(id);
    struct cfg_device *d, *fresh;

    *error = UMN_ENOENT;
    umn__lock(&Devices.lock);
    d = find(id, hash);
    if (d)
        d->refs++;
    umn__unlock(&Devices.lock);
    if (d || !create)
        return d;
    fresh = read_device(id, error);
    if (!fresh)
        return NULL;
    umn__lock(&Devices.lock);
    d = find(id, hash); /* somebody may have been faster */
    if (!d) {
        insert(fresh);
        d = fresh;
    }
    d->refs++;
    umn__unlock(&Devices.lock);
    if (d != fresh)
        free_device(fresh);
    return d;
}

void cfg__device_hold(struct cfg_device *d)
{
    umn__lock(&Devices.lock);
    d->refs++;
    umn__unlock(&Devices.lock);
}

void cfg__device_put(struct cfg_device *d)
{
    unsigned left;

    umn__lock(&Devices.lock);
    left = --d->refs;
    umn__unlock(&Devices.lock);
    if (!left)
        free_device(d);
}

int cfg__device_acquire(struct cfg_device *d)
{
    struct device_waiter waiter = {.ctx = umn__ctx_self()};
    int error = 0;

    umn__lock(&Devices.lock);
    assert(d->owner != waiter.ctx);
    while (d->owner && !d->dead) {
        umn_list_add_tail(&d->waiters, &waiter.link);
        umn__unlock(&Devices.lock);
        umn__park(UMN_FOREVER, "PnP operation on the device", d);
        umn__lock(&Devices.lock);
        umn_list_remove(&waiter.link);
    }
    if (d->dead)
        error = UMN_ENOENT;
    else
        d->owner = waiter.ctx;
    umn__unlock(&Devices.lock);
    return error ? umn__refuse(error, "device %s: no such device", d->instance_id) : 0;
}

void cfg__device_release(struct cfg_device *d)
{
    umn__lock(&Devices.lock);
    d->owner = NULL;
    if (!umn_list_empty(&d->waiters)) /* under the lock, or the waiter might be gone already */
        umn__unpark(umn_container_of(d->waiters.next, struct device_waiter, link)->ctx);
    umn__unlock(&Devices.lock);
}

void cfg__device_forget(struct cfg_device *d)
{
    umn__lock(&Devices.lock);
    take_out(d);
    umn_list_for_each (at, &d->waiters)
        umn__unpark(umn_container_of(at, struct device_waiter, link)->ctx);
    umn__unlock(&Devices.lock);
    cfg__device_put(d);
}

struct cfg_device *cfg__device_topmost(void)
{
    struct cfg_device *best = NULL;

    umn__lock(&Devices.lock);
    for (struct umn_list *at = Devices.all.prev; at != &Devices.all; at = at->prev) {
        struct cfg_device *d = umn_container_of(at, struct cfg_device, link);

        if (!d->owner && !d->node.pdo) /* in this order: the PDO is its owner's */
            continue;
        if (!best || (d->is_virtual && !best->is_virtual))
            best = d;
        if (best->is_virtual)
            break;
    }
    if (best)
        best->refs++;
    umn__unlock(&Devices.lock);
    return best;
}

bool cfg__device_of_service(const char *service)
{
    bool found = false;

    umn__lock(&Devices.lock);
    umn_list_for_each (at, &Devices.all) {
        struct cfg_device *d = umn_container_of(at, struct cfg_device, link);

        if ((d->owner || d->node.pdo) && umn__stricmp(d->service, service) == 0)
            found = true;
    }
    umn__unlock(&Devices.lock);
    return found;
}

void cfg__device_worker(struct cfg_device *d, struct umn_ctx *worker)
{
    umn__lock(&Devices.lock);
    d->worker = worker;
    if (worker)
        d->explain[0] = 0;
    umn__unlock(&Devices.lock);
}

void cfg__device_set_state(struct cfg_device *d, enum cfg_state state, NTSTATUS problem)
{
    umn__lock(&Devices.lock);
    d->state = state;
    d->problem = problem;
    umn__unlock(&Devices.lock);
}

bool cfg__device_peek(const char *id, struct umn_device_info *info, char explain[256])
{
    struct cfg_device *d;

    umn__lock(&Devices.lock);
    d = find(id, hash_of(id));
    if (d) {
        info->state = cfg__state_name(d->state);
        info->problem = d->problem;
        memcpy(explain, d->explain, sizeof d->explain);
    }
    umn__unlock(&Devices.lock);
    return d != NULL;
}

bool cfg__device_started(const char *id)
{
    struct umn_device_info info = {.state = ""};
    char explain[256];

    return cfg__pnp_running() && cfg__device_peek(id, &info, explain) &&
           info.state == cfg__state_name(CFG_STARTED);
}

/* The device whose operation the calling context runs; else, if it is not alone, the newest one
 * with an operation under way: a virtual miniport may be initialized in the driver's own thread. */
bool cfg__device_explain(const char *text)
{
    struct umn_ctx *self = umn__ctx_self();
    struct cfg_device *best = NULL;

    umn__lock(&Devices.lock);
    umn_list_for_each (at, &Devices.all) {
        struct cfg_device *d = umn_container_of(at, struct cfg_device, link);

        if (d->worker && (!best || best->worker != self))
            best = d;
    }
    if (best)
        snprintf(best->explain, sizeof best->explain, "%s", text);
    umn__unlock(&Devices.lock);
    return best != NULL;
}

void cfg__devices_start(void)
{
    memset(&Devices, 0, sizeof Devices);
    umn_list_init(&Devices.all);
}

void cfg__devices_stop(void)
{
    umn_list_for_each (at, &Devices.all) {
        struct cfg_device *d = umn_container_of(at, struct cfg_device, link);

        take_out(d);
        cfg__device_put(d);
    }
}

void cfg__devices_abandon(void)
{
    umn_list_for_each (at, &Devices.all)
        free_device(umn_container_of(at, struct cfg_device, link));
    cfg__devices_start();
}
