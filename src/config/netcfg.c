/* SPDX-License-Identifier: MIT */
/*
 * What the user asks for: services, lower adapters and bindings (netvm.c: virtual miniports). The
 * one door to their keys. Each operation is one registry transaction; a step with drivers comes
 * after the commit, and when it fails the keys are taken back. No lock of its own: the transaction
 * keeps two operations apart. PASSIVE_LEVEL; without a running box only the keys change.
 */
#include "config/internal.h"

#include <stdio.h>
#include <string.h>
#include "check/check.h"
#include "ndis/host.h"
#include "plat/plat.h"

/* ---- services -------------------------------------------------------------------------------- */

static int service_key(const char *service, char key[CFG_KEY_MAX])
{
    size_t length = service ? strlen(service) : 0;

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)service[i];

        if (c <= ' ' || c >= 0x7f || strchr("\\/:*?\"<>|", c))
            length = 0;
    }
    if (!length || length > CFG_SERVICE_MAX)
        return umn__refuse(
            UMN_EINVAL, "service name \"%.60s\": 1 to %d letters, digits, '_', '-', '.' expected",
            service ? service : "", CFG_SERVICE_MAX);
    return cfg__format(key, CFG_KEY_MAX, UMN_KEY_SERVICES "\\%s", service);
}

char *cfg__setting_text(const char *key, const char *name, int *error)
{
    char *text;

    *error = umn__reg_get_sz(key, name, &text);
    if (!*error)
        return text;
    if (*error == UMN_ENOENT || *error == UMN_EINVAL)
        *error = 0;
    return NULL;
}

static bool kind_ok(const char *kind)
{
    return kind && (strcmp(kind, "miniport") == 0 || strcmp(kind, "protocol") == 0 ||
                    strcmp(kind, "intermediate") == 0);
}

int cfg__need_service(const char *service, const char *kinds, const char *what)
{
    char key[CFG_KEY_MAX], *kind;
    int error = service_key(service, key);

    if (error)
        return error;
    if (!umn__reg_key_exists(key))
        return umn__refuse(UMN_ENOENT, "%s: no such service \"%s\"", what, service);
    kind = cfg__setting_text(key, "ComponentKind", &error);
    if (error)
        return error;
    if (!kind || !strchr(kinds, *kind))
        error = umn__refuse(UMN_EINVAL, "%s: service %s is of kind \"%s\"", what, service,
                            kind ? kind : "unknown");
    plat_free(kind);
    return error;
}

/* Exists: fine with the same image, else UMN_EEXIST. */
static int same_service(const char *name, const char *key, const char *image)
{
    int error;
    char *before = cfg__setting_text(key, "ImagePath", &error);

    if (error)
        return error;
    if (!before || strcmp(before, image) != 0)
        error = umn__refuse(UMN_EEXIST, "service %s: exists already, with image \"%s\"", name,
                            before ? before : "");
    plat_free(before);
    return error;
}

static int write_service(const char *name, const char *key, const char *kind, const char *image)
{
    char below[CFG_KEY_MAX];
    int error = umn__reg_set_dword(key, "Type", 1); /* SERVICE_KERNEL_DRIVER */

    if (!error)
        error = umn__reg_set_dword(key, "Start", 3); /* SERVICE_DEMAND_START */
    if (!error)
        error = umn__reg_set_dword(key, "ErrorControl", 1);
    if (!error)
        error = umn__reg_set_sz(key, "ImagePath", image);
    if (!error)
        error = umn__reg_set_sz(key, "DisplayName", name);
    if (!error)
        error = umn__reg_set_sz(key, "Group", "NDIS");
    if (!error)
        error = umn__reg_set_sz(key, "ComponentKind", kind);
    if (error || strcmp(kind, "miniport") == 0)
        return error;
    error = cfg__format(below, sizeof below, "%s\\Linkage", key);
    if (!error)
        error = umn__reg_set_multi(below, "Bind", NULL, 0);
    if (!error)
        error = umn__reg_set_multi(below, "Export", NULL, 0);
    if (!error)
        error = umn__reg_set_multi(below, "Route", NULL, 0);
    if (!error)
        error = cfg__format(below, sizeof below, "%s\\Parameters\\Adapters", key);
    return error ? error : umn__reg_create_key(below);
}

int umn__netcfg_add_service(const char *name, const char *kind, const char *image)
{
    char key[CFG_KEY_MAX];
    int error = service_key(name, key);

    if (error)
        return error;
    if (!kind_ok(kind))
        return umn__refuse(
            UMN_EINVAL, "service %s: kind \"%.40s\", expected miniport, protocol or intermediate",
            name, kind ? kind : "");
    if (!image || !*image)
        return umn__refuse(UMN_EINVAL, "service %s: no image given", name);
    error = umn__reg_begin();
    if (error)
        return error;
    if (umn__reg_key_exists(key))
        error = same_service(name, key, image);
    else
        error = write_service(name, key, kind, image);
    if (!error)
        return umn__reg_commit();
    umn__reg_rollback();
    return error;
}

int umn__netcfg_load(const char *service)
{
    DRIVER_OBJECT *driver;

    if (!cfg__pnp_running())
        return umn__refuse(UMN_ESTATE, "service %s: the box is not running", service);
    return cfg__load(service, &driver, NULL);
}

int umn__netcfg_unload(const char *service)
{
    if (!cfg__pnp_running())
        return umn__refuse(UMN_ESTATE, "service %s: the box is not running", service);
    return cfg__unload(service);
}

/* ---- bindings -------------------------------------------------------------------------------- */

typedef int list_edit(struct cfg_lists *lists, const char *key, const char *name, const char *item);

/* The protocol's side of a binding. */
static int edit_linkage(list_edit *edit, struct cfg_lists *lists, const char *protocol,
                        const char *guid)
{
    char linkage[CFG_KEY_MAX], text[CFG_KEY_MAX];
    int error = cfg__format(linkage, sizeof linkage, UMN_KEY_SERVICES "\\%s\\Linkage", protocol);

    if (error)
        return error;
    snprintf(text, sizeof text, "\\Device\\%s", guid);
    error = edit(lists, linkage, "Bind", text);
    snprintf(text, sizeof text, "\\Device\\%s_%s", protocol, guid);
    if (!error)
        error = edit(lists, linkage, "Export", text);
    snprintf(text, sizeof text, "\"%s\"", guid);
    return error ? error : edit(lists, linkage, "Route", text);
}

/* The adapter's side. */
static int edit_upper_bind(list_edit *edit, struct cfg_lists *lists, const char *protocol,
                           const char *driver_key)
{
    char linkage[CFG_KEY_MAX];
    int error = cfg__format(linkage, sizeof linkage, "%s\\Linkage", driver_key);

    return error ? error : edit(lists, linkage, "UpperBind", protocol);
}

/* The key that a protocol reads for one of its bindings (question 2 of conformance.md). */
static int binding_key(const char *protocol, const char *guid, char key[CFG_KEY_MAX])
{
    return cfg__format(key, CFG_KEY_MAX, UMN_KEY_SERVICES "\\%s\\Parameters\\Adapters\\%s",
                       protocol, guid);
}

/* The protocol learns there what Linux shall call the adapter. */
static int write_host_name(const char *protocol, const char *guid, const char *name)
{
    char key[CFG_KEY_MAX];
    int error = binding_key(protocol, guid, key);

    return error ? error : umn__reg_set_sz(key, "HostName", name);
}

int cfg__link_new(struct cfg_lists *lists, const char *protocol, const char *guid,
                  const char *driver_key, const char *host_name)
{
    char linkage[CFG_KEY_MAX], *list[1] = {(char *)protocol};
    int error = edit_linkage(cfg__list_append, lists, protocol, guid);

    if (!error)
        error = cfg__format(linkage, sizeof linkage, "%s\\Linkage", driver_key);
    if (!error)
        error = umn__reg_set_multi(linkage, "UpperBind", list, 1);
    return error ? error : write_host_name(protocol, guid, host_name);
}

static int unlink_both(struct cfg_lists *lists, const char *protocol, const char *guid,
                       const char *driver_key)
{
    char key[CFG_KEY_MAX];
    int error = edit_linkage(cfg__list_remove, lists, protocol, guid);

    if (!error)
        error = edit_upper_bind(cfg__list_remove, lists, protocol, driver_key);
    if (!error)
        error = binding_key(protocol, guid, key);
    if (!error)
        error = umn__reg_delete_value(key, "HostName");
    return error == UMN_ENOENT ? 0 : error;
}

static int link_both(struct cfg_lists *lists, const char *protocol, const char *guid,
                     const char *driver_key)
{
    int error = edit_linkage(cfg__list_add, lists, protocol, guid);
    char *name = NULL;

    if (!error)
        error = edit_upper_bind(cfg__list_add, lists, protocol, driver_key);
    if (!error)
        name = cfg__setting_text(driver_key, "HostName", &error);
    if (name)
        error = write_host_name(protocol, guid, name);
    plat_free(name);
    return error;
}

/* What a protocol keeps for its binding to an adapter that is going for good. */
static int delete_binding_key(const char *protocol, const char *guid)
{
    char key[CFG_KEY_MAX];
    int error = cfg__format(key, sizeof key, UMN_KEY_SERVICES "\\%s\\Parameters\\Adapters\\%s",
                            protocol, guid);

    return error || !umn__reg_key_exists(key) ? error : umn__reg_delete_key(key);
}

int cfg__unlink_all(struct cfg_lists *lists, const char *guid, const char *driver_key)
{
    char linkage[CFG_KEY_MAX], **names;
    size_t count;
    int error = cfg__format(linkage, sizeof linkage, "%s\\Linkage", driver_key);

    if (!error)
        error = umn__reg_get_multi(linkage, "UpperBind", &names, &count);
    if (error)
        return error == UMN_ENOENT || error == UMN_EINVAL ? 0 : error;
    for (size_t i = 0; i < count && !error; i++) {
        error = edit_linkage(cfg__list_remove, lists, names[i], guid);
        if (!error)
            error = delete_binding_key(names[i], guid);
    }
    plat_free(names);
    return error;
}

int cfg__rebind(const char *protocol)
{
    int error = cfg__pnp_running() ? umn__ndis_rebind(protocol) : 0;

    return error == UMN_ENOENT ? 0 : error;
}

static int write_binding(const char *protocol, const char *guid, bool bound)
{
    struct cfg_lists lists = {0};
    char id[CFG_ID_MAX], driver_key[CFG_KEY_MAX];
    int error = umn__pnp_find_guid(guid, id);

    if (!error)
        error = umn__pnp_driver_key(id, driver_key);
    if (!error)
        error = umn__reg_begin();
    if (error)
        return error;
    error = bound ? link_both(&lists, protocol, guid, driver_key)
                  : unlink_both(&lists, protocol, guid, driver_key);
    if (!error)
        error = cfg__lists_flush(&lists);
    cfg__lists_free(&lists);
    if (!error)
        return umn__reg_commit();
    umn__reg_rollback();
    return error;
}

/* An intermediate driver is not bound to its own virtual miniports (IM-NOT-12). */
static int check_own(const char *protocol, const char *guid)
{
    struct cfg_device_keys keys;
    char id[CFG_ID_MAX];
    int error = umn__pnp_find_guid(guid, id);

    if (!error)
        error = cfg__device_keys(id, &keys);
    if (error)
        return error;
    if (umn__stricmp(keys.service, protocol) == 0)
        error =
            umn__refuse(UMN_EINVAL, "bind: %s is a virtual miniport of %s itself", guid, protocol);
    cfg__device_keys_free(&keys);
    return error;
}

int umn__netcfg_bind(const char *protocol, const char *guid)
{
    int error = cfg__need_service(protocol, "pi", "bind");

    if (!error)
        error = check_own(protocol, guid);
    if (!error)
        error = write_binding(protocol, guid, true);
    if (error)
        return error;
    error = cfg__rebind(protocol);
    if (error) {
        write_binding(protocol, guid, false);
        cfg__rebind(protocol);
    }
    return error;
}

int umn__netcfg_unbind(const char *protocol, const char *guid)
{
    int error = cfg__need_service(protocol, "pi", "unbind");

    if (!error)
        error = write_binding(protocol, guid, false);
    return error ? error : cfg__rebind(protocol);
}

/* ---- removing a service ---------------------------------------------------------------------- */

/* Devices in Enum that this service drives. */
struct service_use {
    const char *service;
    unsigned count;
    char first[CFG_ID_MAX];
};

static bool count_device(void *arg, const struct umn_device_info *info)
{
    struct service_use *use = arg;

    if (umn__stricmp(info->service, use->service) == 0 && use->count++ == 0)
        snprintf(use->first, sizeof use->first, "%s", info->instance_id);
    return true;
}

/* Takes the protocol out of the UpperBind of every adapter it is bound to. */
static int unlink_protocol(struct cfg_lists *lists, const char *protocol, const char *key)
{
    char linkage[CFG_KEY_MAX], **names;
    size_t count;
    int error = cfg__format(linkage, sizeof linkage, "%s\\Linkage", key);

    if (!error)
        error = umn__reg_get_multi(linkage, "Bind", &names, &count);
    if (error)
        return error == UMN_ENOENT || error == UMN_EINVAL ? 0 : error;
    for (size_t i = 0; i < count && !error; i++) {
        const char *guid = strchr(names[i], '{');
        char id[CFG_ID_MAX], driver_key[CFG_KEY_MAX];

        if (guid && !umn__pnp_find_guid(guid, id) && !umn__pnp_driver_key(id, driver_key))
            error = edit_upper_bind(cfg__list_remove, lists, protocol, driver_key);
    }
    plat_free(names);
    return error;
}

int umn__netcfg_remove_service(const char *name)
{
    struct service_use use = {.service = name};
    struct cfg_lists lists = {0};
    char key[CFG_KEY_MAX];
    int error = cfg__need_service(name, "mpi", "remove service");

    if (!error)
        error = service_key(name, key);
    if (error)
        return error;
    error = cfg__devices_visit(count_device, &use);
    if (error)
        return error;
    if (use.count)
        return umn__refuse(UMN_EBUSY, "service %s: %u device(s) use it, the first is %s", name,
                           use.count, use.first);
    if (cfg__pnp_running() && umn__driver_find(name))
        error = cfg__unload(name);
    if (!error)
        error = umn__reg_begin();
    if (error)
        return error;
    error = unlink_protocol(&lists, name, key);
    if (!error)
        error = cfg__lists_flush(&lists);
    if (!error)
        error = umn__reg_delete_key(key);
    cfg__lists_free(&lists);
    if (!error)
        return umn__reg_commit();
    umn__reg_rollback();
    return error;
}

/* ---- lower adapters -------------------------------------------------------------------------- */

int cfg__check_settings(const struct umn_setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!settings[i].name || !*settings[i].name)
            return umn__refuse(UMN_EINVAL, "setting %zu: no name", i + 1);
    return 0;
}

int cfg__write_settings(const char *key, const struct umn_setting *settings, size_t count)
{
    int error = 0;

    for (size_t i = 0; i < count && !error; i++)
        error = settings[i].text ? umn__reg_set_sz(key, settings[i].name, settings[i].text)
                                 : umn__reg_set_dword(key, settings[i].name, settings[i].number);
    return error;
}

static int write_adapter(const struct umn_device_desc *desc, const struct umn_setting *settings,
                         size_t count, char *id, char *guid)
{
    char key[CFG_KEY_MAX];
    int error = umn__reg_begin();

    if (error)
        return error;
    error = umn__pnp_create_device(desc, id, guid);
    if (!error)
        error = umn__pnp_driver_key(id, key);
    if (!error)
        error = umn__reg_set_dword(key, "Characteristics", CFG_NCF_PHYSICAL);
    if (!error)
        error = cfg__write_settings(key, settings, count);
    if (!error)
        return umn__reg_commit();
    umn__reg_rollback();
    return error;
}

int umn__netcfg_add_adapter(const char *service, const char *description,
                            const struct umn_setting *settings, size_t count, bool start,
                            char *instance_id, char *guid)
{
    char hardware_id[CFG_ID_MAX], id[CFG_ID_MAX], new_guid[CFG_ID_MAX];
    struct umn_device_desc desc = {
        .service = service, .hardware_id = hardware_id, .description = description};
    int error = cfg__need_service(service, "m", "add adapter");

    if (!error)
        error = cfg__check_settings(settings, count);
    if (error)
        return error;
    if (start && !cfg__pnp_running())
        return umn__refuse(UMN_ESTATE, "add adapter: the box is not running, cannot start it");
    if (!description)
        desc.description = service;
    snprintf(hardware_id, sizeof hardware_id, "root\\umn_%s", service);
    error = write_adapter(&desc, settings, count, id, new_guid);
    if (error)
        return error;
    error = start ? umn__pnp_start_device(id, NULL) : 0;
    if (error) {
        umn__pnp_delete_device(id);
        return error;
    }
    strcpy(instance_id, id);
    strcpy(guid, new_guid);
    return 0;
}

/* Keys Services\*\Parameters\Adapters\<guid>: refuses if one lists virtual miniports, or (remove)
 * deletes them. */
static int each_parameters(const char *guid, bool remove)
{
    char key[CFG_KEY_MAX], **services, **names;
    size_t count, n;
    int error = umn__reg_subkeys(UMN_KEY_SERVICES, &services, &count);

    if (error)
        return error == UMN_ENOENT ? 0 : error;
    for (size_t i = 0; i < count && !error; i++) {
        if (cfg__format(key, sizeof key, UMN_KEY_SERVICES "\\%s\\Parameters\\Adapters\\%s",
                        services[i], guid) ||
            !umn__reg_key_exists(key))
            continue;
        if (remove) {
            error = umn__reg_delete_key(key);
            continue;
        }
        error = umn__reg_get_multi(key, "UpperBindings", &names, &n);
        if (error) {
            error = error == UMN_ENOENT || error == UMN_EINVAL ? 0 : error;
            continue;
        }
        plat_free(names);
        if (n)
            error = umn__refuse(UMN_EBUSY, "adapter %s: %zu virtual miniport(s) of %s are over it",
                                guid, n, services[i]);
    }
    plat_free(services);
    return error;
}

static int delete_adapter(const char *instance_id, const char *guid, const char *key)
{
    struct cfg_lists lists = {0};
    struct cfg_device *claim;
    int error = cfg__pnp_claim(instance_id, &claim);

    if (error)
        return error;
    error = umn__reg_begin();
    if (error) {
        cfg__pnp_unclaim(claim, false);
        return error;
    }
    error = cfg__unlink_all(&lists, guid, key);
    if (!error)
        error = cfg__lists_flush(&lists);
    if (!error)
        error = each_parameters(guid, true);
    if (!error)
        error = cfg__delete_device_keys(instance_id);
    cfg__lists_free(&lists);
    if (error)
        umn__reg_rollback();
    else
        error = umn__reg_commit();
    cfg__pnp_unclaim(claim, error == 0);
    return error;
}

int umn__netcfg_remove_adapter(const char *instance_id)
{
    char guid[CFG_ID_MAX], key[CFG_KEY_MAX];
    struct cfg_device_keys keys;
    bool was_started;
    int error = cfg__device_keys(instance_id, &keys);

    if (error)
        return error;
    strcpy(guid, keys.guid);
    if (keys.characteristics & CFG_NCF_VIRTUAL)
        error =
            umn__refuse(UMN_EINVAL, "device %s: a virtual miniport, not an adapter", instance_id);
    cfg__device_keys_free(&keys);
    if (!error)
        error = umn__pnp_driver_key(instance_id, key);
    if (!error)
        error = each_parameters(guid, false);
    if (error)
        return error;
    was_started = cfg__device_started(instance_id);
    if (cfg__pnp_running())
        error = umn__pnp_remove_device(instance_id);
    if (error)
        return error;
    error = delete_adapter(instance_id, guid, key);
    if (error && was_started)
        umn__pnp_start_device(instance_id, NULL);
    return error;
}
