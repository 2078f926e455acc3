/* SPDX-License-Identifier: MIT */
/*
 * umndis vm add, remove: virtual miniports, through netcfg, on a running box or on its registry
 * file. All or nothing: --count N adds N in one transaction.
 */
#include "cli.h"
#include <stdio.h>
#include <string.h>
#include "config/config.h"
#include "plat/plat.h"

#define COUNT_MAX 4096

struct add {
    const char *lower, *count, *mac, *vlan, *mode, *name, *upper, *service;
};

static bool take_options(struct args *a, struct add *v)
{
    bool error = false;
    v->lower = arg_value(a, "--lower", &error);
    v->count = arg_value(a, "--count", &error);
    v->mac = arg_value(a, "--mac", &error);
    v->vlan = arg_value(a, "--vlan", &error);
    v->mode = arg_value(a, "--mode", &error);
    v->name = arg_value(a, "--name", &error);
    v->upper = arg_value(a, "--upper", &error);
    v->service = arg_value(a, "--service", &error);
    return !error;
}

struct used {
    const char *base;
    unsigned next;
};

static bool used_visit(void *arg, const struct umn_device_info *d)
{
    struct used *u = arg;
    char name[128];
    unsigned n;
    int end = 0;
    name_of(d->instance_id, name);
    size_t k = strlen(u->base);
    if (!strncmp(name, u->base, k) && sscanf(name + k, "%u%n", &n, &end) == 1 && !name[k + end] &&
        n >= u->next)
        u->next = n + 1;
    return true;
}

/* First number that no device called <base>N has. */
static unsigned next_number(const char *base)
{
    struct used u = {base, 1};
    umn__pnp_devices(used_visit, &u);
    return u.next;
}

static int add_many(struct out *o, const struct umn_vm_desc *first, const char *base, long count)
{
    struct umn_vm_desc *desc = plat_alloc((size_t)count * sizeof *desc);
    char(*name)[64] = plat_alloc((size_t)count * sizeof *name);
    int e = UMN_ENOMEM;
    if (desc && name) {
        unsigned number = next_number(base);
        for (long i = 0; i < count; i++) {
            desc[i] = *first;
            snprintf(name[i], sizeof name[i], "%s%ld", base, (long)number + i);
            desc[i].name = name[i];
        }
        e = umn__netcfg_add_vms(desc, (size_t)count);
    }
    for (long i = 0; !e && i < count; i++)
        out_text(o, "%s\n", name[i]);
    plat_free(desc);
    plat_free(name);
    return e ? out_fail(o, 1, "%s", e == UMN_ENOMEM ? "out of memory" : umn_last_error()) : 0;
}

int cmd_vm_add(struct out *o, struct args *a)
{
    struct add v;
    char lower_id[64], lower_guid[64], base[64];
    long count = 1, vlan = 0;
    if (!take_options(a, &v))
        return out_fail(o, 2, "an option's value is missing; see umndis help vm add");
    int status = arg_rest(o, a, 0);
    if (status)
        return status;
    if (!v.lower)
        return out_fail(o, 2, "--lower NAME is missing: the adapter below (umndis adapter list)");
    if (v.count && !arg_number(o, "--count", v.count, 1, COUNT_MAX, &count))
        return 2;
    if (v.vlan && !arg_number(o, "--vlan", v.vlan, 0, 4094, &vlan))
        return 2;
    if (count > 1 && v.mac)
        return out_fail(o, 2, "--mac names one address, --count %ld would use it %ld times", count,
                        count);
    if ((status = name_resolve(o, v.lower, lower_id, lower_guid)))
        return status;
    struct umn_vm_desc desc = {.service = v.service ? v.service : "mux",
                               .lower_guid = lower_guid,
                               .mac = v.mac,
                               .vlan = (int)vlan,
                               .mode = v.mode};
    desc.upper = v.upper && !strcmp(v.upper, "none") ? NULL : v.upper ? v.upper : "tap";
    snprintf(base, sizeof base, "%s", v.name ? v.name : "vm");
    if (v.name && count == 1) {
        char id[64], guid[64];
        desc.name = v.name;
        if (umn__netcfg_add_vm(&desc, id, guid))
            return out_fail(o, 1, "%s", umn_last_error());
        out_text(o, "%s\n", v.name);
        return 0;
    }
    return add_many(o, &desc, base, count);
}

int cmd_vm_remove(struct out *o, struct args *a)
{
    int status = arg_rest(o, a, COUNT_MAX);
    if (status)
        return status;
    if (!a->count)
        return out_fail(o, 2, "which? umndis vm remove NAME...");
    size_t count = (size_t)a->count;
    struct name_ids *ids = plat_alloc(count * sizeof *ids);
    const char **id = plat_alloc(count * sizeof *id);
    if (!ids || !id)
        status = out_fail(o, 1, "out of memory");
    if (!status)
        status = names_resolve(o, a->word, count, ids);
    for (size_t i = 0; !status && i < count; i++)
        id[i] = ids[i].instance_id;
    if (!status) {
        int e = umn__netcfg_remove_vms(id, count);
        if (e)
            status = out_fail(o, 1, "%s", e == UMN_ENOMEM ? "out of memory" : umn_last_error());
    }
    plat_free(ids);
    plat_free(id);
    return status;
}
