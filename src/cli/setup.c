/* SPDX-License-Identifier: MIT */
/*
 * What `umndis run` builds in a fresh registry: services, lower adapters, the MUX over each,
 * virtual miniports and what stands above them. With no interface named the lower edge is the
 * in-process wire, whose far end is a second adapter with the packet source and sink bound.
 * PASSIVE_LEVEL.
 */
#include "cli.h"
#include <stdio.h>
#include <string.h>
#include "config/config.h"
#include "plat/plat.h"

static int service(struct out *o, const char *name, const char *kind)
{
    int e = umn__netcfg_add_service(name, kind, name);
    if (e && e != UMN_EEXIST)
        return out_fail(o, 1, "%s", umn_last_error());
    if (strcmp(kind, "miniport") && umn__netcfg_load(name))
        return out_fail(o, 1, "driver %s: %s", name, umn_last_error());
    return 0;
}

/* All in one transaction: it is checked once against what exists, and the MUX is told once. */
static int add_vms(struct out *o, const struct setup *s, const char *lower_guid, unsigned from)
{
    struct umn_vm_desc *desc = plat_alloc((s->vms + 1) * sizeof *desc);
    char(*name)[32] = plat_alloc((s->vms + 1) * sizeof *name);
    int e = desc && name ? 0 : UMN_ENOMEM;
    for (unsigned i = 0; !e && i < s->vms; i++) {
        snprintf(name[i], sizeof name[i], "vm%u", from + i + 1);
        desc[i].service = "mux";
        desc[i].lower_guid = lower_guid;
        desc[i].name = name[i];
        desc[i].upper = strcmp(s->upper, "none") ? s->upper : NULL;
    }
    if (!e)
        e = umn__netcfg_add_vms(desc, s->vms);
    plat_free(desc);
    plat_free(name);
    return e ? out_fail(o, 1, "virtual miniports: %s",
                        e == UMN_ENOMEM ? "out of memory" : umn_last_error())
             : 0;
}

static int lower(struct out *o, const struct setup *s, const char *driver, const char *name,
                 const struct umn_setting *setting, unsigned from)
{
    char id[64], guid[64];
    if (umn__netcfg_add_adapter(driver, name, setting, 1, true, id, guid))
        return out_fail(o, 1, "%s: %s", name, umn_last_error());
    if (umn__netcfg_bind("mux", guid))
        return out_fail(o, 1, "binding mux to %s: %s", name, umn_last_error());
    return add_vms(o, s, guid, from);
}

static int wire(struct out *o, const struct setup *s)
{
    struct umn_setting setting = {.name = "WireName", .text = "default"};
    char id[64], guid[64];
    int status = service(o, "wire", "miniport");
    if (!status)
        status = service(o, "pktio", "protocol");
    if (!status)
        status = lower(o, s, "wire", "wire0", &setting, 0);
    if (status)
        return status;
    if (umn__netcfg_add_adapter("wire", "outside", &setting, 1, true, id, guid) ||
        umn__netcfg_bind("pktio", guid))
        return out_fail(o, 1, "outside: %s", umn_last_error());
    return 0;
}

static int interfaces(struct out *o, const struct setup *s)
{
    int status = service(o, "afpacket", "miniport");
    for (unsigned i = 0; !status && i < s->lowers; i++) {
        struct umn_setting setting = {.name = "HostInterface", .text = s->lower[i]};
        status = lower(o, s, "afpacket", s->lower[i], &setting, i * s->vms);
    }
    return status;
}

/* Loads what the registry names; devices start afterwards, so that protocols bind as they come. */
static int load_all(struct out *o)
{
    char **list;
    size_t count;
    int status = 0;
    if (umn__reg_subkeys(UMN_KEY_SERVICES, &list, &count))
        return 0;
    for (size_t i = 0; i < count; i++) {
        char key[256];
        char *kind = NULL;
        snprintf(key, sizeof key, UMN_KEY_SERVICES "\\%s", list[i]);
        umn__reg_get_sz(key, "ComponentKind", &kind);
        if (kind && strcmp(kind, "miniport") && umn__netcfg_load(list[i]))
            status = out_fail(o, 1, "driver %s: %s", list[i], umn_last_error());
        plat_free(kind);
    }
    plat_free(list);
    return status;
}

int setup_build(struct out *o, const struct setup *s)
{
    int status;
    if (s->existing) {
        if ((status = load_all(o)))
            return status;
        return umn__pnp_start_all() ? out_fail(o, 1, "%s", umn_last_error()) : 0;
    }
    if ((status = service(o, "mux", "intermediate")))
        return status;
    if (strcmp(s->upper, "none") && (status = service(o, s->upper, "protocol")))
        return status;
    return s->lowers ? interfaces(o, s) : wire(o, s);
}
