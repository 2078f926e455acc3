/* SPDX-License-Identifier: MIT */
/* Names of adapters: what a person types, and what the registry holds. PASSIVE_LEVEL. */
#include "cli.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "config/config.h"
#include "plat/plat.h"

void name_of(const char *instance_id, char *name)
{
    char key[256];
    char *text = NULL;
    name[0] = 0;
    snprintf(key, sizeof key, UMN_KEY_ENUM "\\%s", instance_id);
    if (!umn__reg_get_sz(key, "FriendlyName", &text) && text)
        snprintf(name, 128, "%s", text);
    plat_free(text);
}

struct search {
    const char *name;
    char *instance_id, *guid;
    int found;
    char known[400];
};

static bool same_guid(const char *typed, const char *guid)
{
    static const char prefix[] = "\\Device\\";
    if (!strncasecmp(typed, prefix, sizeof prefix - 1))
        typed += sizeof prefix - 1;
    return !strcasecmp(typed, guid);
}

static bool visit(void *arg, const struct umn_device_info *d)
{
    struct search *s = arg;
    char name[128];
    name_of(d->instance_id, name);
    size_t n = strlen(s->known);
    if (name[0])
        snprintf(s->known + n, sizeof s->known - n, "%s%s", n ? ", " : "", name);
    if (strcmp(name, s->name) && strcasecmp(d->instance_id, s->name) &&
        !same_guid(s->name, d->guid))
        return true;
    snprintf(s->instance_id, 64, "%s", d->instance_id);
    snprintf(s->guid, 64, "%s", d->guid);
    s->found++;
    return true;
}

int name_resolve(struct out *o, const char *name, char *instance_id, char *guid)
{
    struct search s = {.name = name, .instance_id = instance_id, .guid = guid};
    umn__pnp_devices(visit, &s);
    if (s.found == 1)
        return 0;
    if (s.found > 1)
        return out_fail(o, 1,
                        "%d adapters are called '%s'; name one by its {GUID} or instance id "
                        "(umndis device list)",
                        s.found, name);
    return out_fail(o, 1, "no adapter '%s'; there are: %s", name, s.known[0] ? s.known : "none");
}
