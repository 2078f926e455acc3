/* SPDX-License-Identifier: MIT */
/*
 * Virtual miniports that go: devices through PnP, then names and keys of all in one transaction,
 * then the driver is told once. No lock of its own; PASSIVE_LEVEL.
 */
#include "config/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "check/check.h"
#include "ndis/host.h"
#include "plat/plat.h"

struct gone {
    const char *id;
    struct cfg_device_keys keys;
    char *lower; /* {GUID} or NULL */
    struct cfg_device *claim;
    bool was_started, stays; /* stays: it refused its removal */
};

/* ---- keys and drivers ------------------------------------------------------------------------ */

int cfg__vm_list(struct cfg_lists *lists, cfg_list_edit *edit, const char *service,
                 const char *lower, const char *guid)
{
    char key[CFG_KEY_MAX], name[CFG_ID_MAX];
    int error = cfg__format(key, sizeof key, UMN_KEY_SERVICES "\\%s\\Parameters\\Adapters\\%s",
                            service, lower);

    snprintf(name, sizeof name, "\\Device\\%s", guid);
    return error ? error : edit(lists, key, "UpperBindings", name);
}

int cfg__vm_delete_keys(struct cfg_lists *lists, const char *id, const char *guid,
                        const char *service, const char *lower)
{
    char key[CFG_KEY_MAX];
    int error = umn__pnp_driver_key(id, key);

    if (!error)
        error = cfg__unlink_all(lists, guid, key);
    if (!error && lower)
        error = cfg__vm_list(lists, cfg__list_remove, service, lower, guid);
    return error ? error : cfg__delete_device_keys(id);
}

int cfg__vm_reconfigure(const char *service)
{
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    int error = cfg__pnp_running() ? umn__ndis_reconfigure(service, NULL, NULL, 0, &status) : 0;

    if (error == UMN_ENOENT)
        return 0;
    if (error || status == NDIS_STATUS_SUCCESS || status == NDIS_STATUS_NOT_SUPPORTED)
        return error;
    return umn__refuse(status == NDIS_STATUS_RESOURCES ? UMN_ENOMEM : UMN_EDRIVER,
                       "service %s: the driver refused the new list of virtual miniports with "
                       "0x%08x",
                       service, (unsigned)status);
}

/* ---- which ----------------------------------------------------------------------------------- */

static int look_up(struct gone *g)
{
    char key[CFG_KEY_MAX];
    int error = cfg__device_keys(g->id, &g->keys);

    if (!error && !(g->keys.characteristics & CFG_NCF_VIRTUAL))
        error = umn__refuse(UMN_EINVAL, "device %s: not a virtual miniport", g->id);
    if (!error)
        error = umn__pnp_driver_key(g->id, key);
    if (!error)
        g->lower = cfg__setting_text(key, "LowerAdapter", &error);
    return error;
}

static int by_id(const void *a, const void *b)
{
    return umn__stricmp(((const struct gone *)a)->id, ((const struct gone *)b)->id);
}

/* In order of their ids, so that two removals cannot wait for each other, and each once. */
static size_t arrange(struct gone *g, const char *const *ids, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        g[i].id = ids[i];
    qsort(g, count, sizeof *g, by_id);
    for (size_t i = 0; i < count; i++)
        if (!n || umn__stricmp(g[n - 1].id, g[i].id) != 0)
            g[n++].id = g[i].id;
    return n;
}

/* ---- removal --------------------------------------------------------------------------------- */

/* Devices out of the tree. Returns the first refusal. */
static int remove_devices(struct gone *g, size_t n)
{
    char refusal[512] = "";
    int first = 0;

    for (size_t i = 0; i < n; i++) {
        int error;

        g[i].was_started = cfg__device_started(g[i].id);
        error = cfg__pnp_running() ? umn__pnp_remove_device(g[i].id) : 0;
        g[i].stays = error != 0;
        if (!error || first)
            continue;
        first = error;
        snprintf(refusal, sizeof refusal, "%s", umn__refusal());
    }
    if (first && *refusal)
        umn__refuse(first, "%s", refusal);
    return first;
}

static int delete_all(struct gone *g, size_t n)
{
    struct cfg_lists lists = {0};
    int error = umn__reg_begin();

    if (error)
        return error;
    for (size_t i = 0; i < n && !error; i++)
        if (!g[i].stays)
            error =
                cfg__vm_delete_keys(&lists, g[i].id, g[i].keys.guid, g[i].keys.service, g[i].lower);
    if (!error)
        error = cfg__lists_flush(&lists);
    cfg__lists_free(&lists);
    if (!error)
        return umn__reg_commit();
    umn__reg_rollback();
    return error;
}

static int remove_keys(struct gone *g, size_t n)
{
    int error = 0;

    for (size_t i = 0; i < n && !error; i++)
        if (!g[i].stays)
            error = cfg__pnp_claim(g[i].id, &g[i].claim);
    if (!error)
        error = delete_all(g, n);
    for (size_t i = 0; i < n; i++)
        cfg__pnp_unclaim(g[i].claim, error == 0);
    return error;
}

/* So that the drivers forget the names; they are gone in any case. */
static void tell_drivers(const struct gone *g, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (i == 0 || umn__stricmp(g[i].keys.service, g[i - 1].keys.service) != 0)
            cfg__vm_reconfigure(g[i].keys.service);
}

/*
 * The devices go first (their halt comes through PnP), then names and keys in one transaction, so
 * that a kill between the two leaves virtual miniports that start again next time, not half of one.
 */
static int remove_all(struct gone *g, size_t n)
{
    char refusal[512];
    int first = remove_devices(g, n), error;

    snprintf(refusal, sizeof refusal, "%s", first ? umn__refusal() : "");
    error = remove_keys(g, n);
    if (error) {
        for (size_t i = 0; i < n; i++)
            if (g[i].was_started && !g[i].stays)
                umn__pnp_start_device(g[i].id, NULL);
        return error;
    }
    tell_drivers(g, n);
    return first && *refusal ? umn__refuse(first, "%s", refusal) : first;
}

int umn__netcfg_remove_vms(const char *const *instance_ids, size_t count)
{
    struct gone *g;
    size_t n;
    int error = 0;

    if (!count)
        return 0;
    g = plat_alloc(count * sizeof *g);
    if (!g)
        return UMN_ENOMEM;
    n = arrange(g, instance_ids, count);
    for (size_t i = 0; i < n && !error; i++)
        error = look_up(&g[i]);
    if (!error)
        error = remove_all(g, n);
    for (size_t i = 0; i < n; i++) {
        cfg__device_keys_free(&g[i].keys);
        plat_free(g[i].lower);
    }
    plat_free(g);
    return error;
}

int umn__netcfg_remove_vm(const char *instance_id)
{
    return umn__netcfg_remove_vms(&instance_id, 1);
}
