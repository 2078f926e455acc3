/* SPDX-License-Identifier: MIT */
/* Names of adapters: what a person types, and what the registry holds. PASSIVE_LEVEL. */
#include "cli.h"
#include <stdio.h>
#include <stdlib.h>
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

/* Every device under its three names, in order of the names. */
struct entry {
    char *text;
    size_t device; /* index into `device` */
    bool exact;    /* the friendly name: case counts */
};
struct catalogue {
    struct entry *entry;
    struct name_ids *device;
    size_t entries, devices, room;
    char known[400];
    bool no_memory;
};

static bool add_entry(struct catalogue *c, const char *text, bool exact)
{
    struct entry e = {.text = plat_strdup(text), .device = c->devices, .exact = exact};
    if (e.text)
        c->entry[c->entries++] = e;
    return e.text;
}

static bool grow(struct catalogue *c)
{
    size_t room = c->room ? 2 * c->room : 64;
    void *device = plat_realloc(c->device, room * sizeof *c->device);
    if (device)
        c->device = device;
    void *entry = plat_realloc(c->entry, 3 * room * sizeof *c->entry);
    if (entry)
        c->entry = entry;
    if (!device || !entry)
        return false;
    c->room = room;
    return true;
}

static bool visit(void *arg, const struct umn_device_info *d)
{
    struct catalogue *c = arg;
    char name[128];
    name_of(d->instance_id, name);
    size_t n = strlen(c->known);
    if (name[0])
        snprintf(c->known + n, sizeof c->known - n, "%s%s", n ? ", " : "", name);
    if ((c->devices == c->room && !grow(c)) || (name[0] && !add_entry(c, name, true)) ||
        !add_entry(c, d->instance_id, false) || !add_entry(c, d->guid, false)) {
        c->no_memory = true;
        return false;
    }
    snprintf(c->device[c->devices].instance_id, sizeof c->device->instance_id, "%s",
             d->instance_id);
    snprintf(c->device[c->devices].guid, sizeof c->device->guid, "%s", d->guid);
    c->devices++;
    return true;
}

static int in_order(const void *a, const void *b)
{
    return strcasecmp(((const struct entry *)a)->text, ((const struct entry *)b)->text);
}

/* How many devices one typed word names; *hit is one of them. */
static unsigned look_up(const struct catalogue *c, const char *typed, struct name_ids *hit)
{
    static const char prefix[] = "\\Device\\";
    bool path = !strncasecmp(typed, prefix, sizeof prefix - 1);
    const char *text = path ? typed + sizeof prefix - 1 : typed;
    size_t low = 0, high = c->entries, device = SIZE_MAX;
    unsigned found = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcasecmp(c->entry[middle].text, text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < c->entries && !strcasecmp(c->entry[low].text, text); low++) {
        const struct entry *e = &c->entry[low];
        if (e->device == device ||
            (e->exact ? path || strcmp(e->text, typed) != 0 : path && e->text[0] != '{'))
            continue;
        device = e->device;
        *hit = c->device[device];
        found++;
    }
    return found;
}

static int no_such(struct out *o, const struct catalogue *c, const char *name, unsigned found)
{
    if (found)
        return out_fail(o, 1,
                        "%u adapters are called '%s'; name one by its {GUID} or instance id "
                        "(umndis device list)",
                        found, name);
    return out_fail(o, 1, "no adapter '%s'; there are: %s", name, c->known[0] ? c->known : "none");
}

int names_resolve(struct out *o, char *const *name, size_t count, struct name_ids *ids)
{
    struct catalogue c = {0};
    int status = 0;
    umn__pnp_devices(visit, &c);
    if (c.no_memory)
        status = out_fail(o, 1, "out of memory");
    else if (c.entries)
        qsort(c.entry, c.entries, sizeof *c.entry, in_order);
    for (size_t i = 0; i < count && !status; i++) {
        unsigned found = look_up(&c, name[i], &ids[i]);
        if (found != 1)
            status = no_such(o, &c, name[i], found);
    }
    for (size_t i = 0; i < c.entries; i++)
        plat_free(c.entry[i].text);
    plat_free(c.entry);
    plat_free(c.device);
    return status;
}

int name_resolve(struct out *o, const char *name, char *instance_id, char *guid)
{
    struct name_ids ids;
    char *words[] = {(char *)(uintptr_t)name};
    int status = names_resolve(o, words, 1, &ids);
    if (!status) {
        memcpy(instance_id, ids.instance_id, sizeof ids.instance_id);
        memcpy(guid, ids.guid, sizeof ids.guid);
    }
    return status;
}
