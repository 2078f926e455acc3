/* SPDX-License-Identifier: MIT */
/* umndis device list, disable, enable, remove: the device tree. PASSIVE_LEVEL. */
#include "cli.h"
#include <string.h>
#include "config/config.h"

static bool visit(void *arg, const struct umn_device_info *d)
{
    struct out *o = arg;
    char name[128];
    name_of(d->instance_id, name);
    if (!o->json) {
        out_text(o, "%-16s %-12s %-10s %-10s %s", d->instance_id, name[0] ? name : "-", d->service,
                 d->state, d->guid);
        if (d->problem)
            out_text(o, "  problem 0x%08x", (unsigned)d->problem);
        out_text(o, "\n");
        return true;
    }
    out_open(o, NULL, '{');
    out_str(o, "instance", d->instance_id);
    out_str(o, "name", name);
    out_str(o, "service", d->service);
    out_str(o, "state", d->state);
    out_str(o, "guid", d->guid);
    out_str(o, "hardware_id", d->hardware_id);
    out_str(o, "description", d->description);
    out_num(o, "problem", (uint32_t)d->problem);
    out_close(o, '}');
    return true;
}

int cmd_device_list(struct out *o, struct args *a)
{
    int status = arg_rest(o, a, 0);
    if (status)
        return status;
    if (o->json)
        out_open(o, NULL, '[');
    umn__pnp_devices(visit, o);
    if (o->json)
        out_close(o, ']');
    return 0;
}

static int one(struct out *o, struct args *a, int (*act)(const char *))
{
    char id[64], guid[64];
    int status = arg_rest(o, a, 1);
    if (status)
        return status;
    if (!a->count)
        return out_fail(o, 2, "which device? its name, {GUID} or instance id");
    if ((status = name_resolve(o, a->word[0], id, guid)))
        return status;
    return act(id) ? out_fail(o, 1, "%s: %s", a->word[0], umn_last_error()) : 0;
}

int cmd_device_disable(struct out *o, struct args *a)
{
    return one(o, a, umn__pnp_disable_device);
}
int cmd_device_enable(struct out *o, struct args *a)
{
    return one(o, a, umn__pnp_enable_device);
}
int cmd_device_remove(struct out *o, struct args *a)
{
    return one(o, a, umn__netcfg_remove_adapter);
}
