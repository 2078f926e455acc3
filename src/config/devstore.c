/* SPDX-License-Identifier: MIT */
/*
 * The keys of a device, as Windows lays them out: Enum\ROOT\NET\NNNN (what PnP knows), the class
 * key NNNN (what its driver reads), Control\Network\{GUID}\Connection (its name for people; here
 * also the way from a GUID to the device). No state but a counter; PASSIVE_LEVEL. Each function
 * writes inside the caller's transaction, or in one of its own.
 */
#include "config/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "check/check.h"
#include "plat/plat.h"

static uint64_t guids_made;

int cfg__format(char *out, size_t size, const char *fmt, ...)
{
    va_list args;
    int length;

    va_start(args, fmt);
    length = vsnprintf(out, size, fmt, args);
    va_end(args);
    return length >= 0 && (size_t)length < size ? 0 : UMN_EINVAL;
}

/* ---- names ----------------------------------------------------------------------------------- */

void cfg__guids_reset(void)
{
    guids_made = 0;
}

/* SplitMix64: spreads a counter over all bits. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

int cfg__new_guid(char guid[CFG_ID_MAX])
{
    char key[CFG_KEY_MAX];
    uint8_t b[16];

    do {
        uint64_t seed[2] = {mix(2 * guids_made), mix(2 * guids_made + 1)};

        guids_made++;
        if (!umn__sched_running() || umn__sched_backend() == UMN_BACKEND_THREADS)
            plat_random(seed, sizeof seed);
        memcpy(b, seed, sizeof b);
        b[6] = (b[6] & 0x0f) | 0x40; /* RFC 4122 version 4 */
        b[8] = (b[8] & 0x3f) | 0x80;
        snprintf(guid, CFG_ID_MAX,
                 "{%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X}", b[0],
                 b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                 b[14], b[15]);
        if (cfg__format(key, sizeof key, CFG_KEY_NETWORK "\\%s", guid))
            return UMN_EINVAL;
    } while (umn__reg_key_exists(key));
    return 0;
}

static bool guid_ok(const char *guid)
{
    static const char form[] = "{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}";

    for (size_t i = 0; i < sizeof form; i++) {
        bool hex =
            (guid[i] >= '0' && guid[i] <= '9') || ((guid[i] | 32) >= 'a' && (guid[i] | 32) <= 'f');

        if (form[i] == 'x' ? !hex : guid[i] != form[i])
            return false;
    }
    return true;
}

/* A free number below `key`: one above the last name, which is the highest up to 9999. */
static int free_number(const char *key, char number[16])
{
    char path[CFG_KEY_MAX], *last = NULL, *end;
    int error = umn__reg_last_subkey(key, &last);
    unsigned n = 0;

    if (error && error != UMN_ENOENT)
        return error;
    if (!error) {
        unsigned long value = strtoul(last, &end, 10);

        if (*end == 0 && end != last)
            n = (unsigned)value + 1;
        plat_free(last);
    }
    for (;; n++) {
        snprintf(number, 16, "%04u", n);
        error = cfg__format(path, sizeof path, "%s\\%s", key, number);
        if (error || !umn__reg_key_exists(path))
            return error;
    }
}

int cfg__enum_key(const char *instance_id, char key[CFG_KEY_MAX])
{
    int error = cfg__format(key, CFG_KEY_MAX, UMN_KEY_ENUM "\\%s", instance_id);

    if (error || !*instance_id || !umn__reg_key_exists(key))
        return umn__refuse(UMN_ENOENT, "device %s: no such device", instance_id);
    return 0;
}

/* ---- creating -------------------------------------------------------------------------------- */

/* A writer of one key that remembers the first failure. */
struct writer {
    const char *key;
    int error;
};

static void put_sz(struct writer *w, const char *name, const char *text)
{
    if (!w->error)
        w->error = umn__reg_set_sz(w->key, name, text);
}

static void put_dword(struct writer *w, const char *name, uint32_t value)
{
    if (!w->error)
        w->error = umn__reg_set_dword(w->key, name, value);
}

/* A list of one string, or of none. */
static void put_multi(struct writer *w, const char *name, const char *text)
{
    char *list[1] = {(char *)text};

    if (!w->error)
        w->error = umn__reg_set_multi(w->key, name, list, text ? 1 : 0);
}

static int write_enum(const struct umn_device_desc *desc, const char *key, const char *number)
{
    char driver[CFG_ID_MAX];
    struct writer w = {.key = key};

    snprintf(driver, sizeof driver, CFG_CLASS_NET "\\%s", number);
    put_sz(&w, "Service", desc->service);
    put_sz(&w, "ClassGUID", CFG_CLASS_NET);
    put_sz(&w, "Class", "Net");
    put_sz(&w, "Driver", driver);
    put_multi(&w, "HardwareID", desc->hardware_id);
    put_dword(&w, "ConfigFlags", 0);
    put_sz(&w, "DeviceDesc", desc->description);
    put_sz(&w, "FriendlyName", desc->description);
    return w.error;
}

static int write_class(const struct umn_device_desc *desc, const char *number,
                       const char *instance_id, const char *guid)
{
    char key[CFG_KEY_MAX], linkage[CFG_KEY_MAX], export[CFG_ID_MAX];
    struct writer w = {.key = key}, l = {.key = linkage};

    snprintf(key, sizeof key, UMN_KEY_CLASS_NET "\\%s", number);
    snprintf(linkage, sizeof linkage, UMN_KEY_CLASS_NET "\\%s\\Linkage", number);
    snprintf(export, sizeof export, "\\Device\\%s", guid);
    put_sz(&w, "NetCfgInstanceId", guid);
    put_sz(&w, "DriverDesc", desc->description);
    put_sz(&w, "ComponentId", desc->hardware_id);
    put_sz(&w, "DeviceInstanceID", instance_id);
    put_multi(&l, "Export", export);
    put_multi(&l, "RootDevice", guid);
    put_multi(&l, "UpperBind", NULL);
    put_multi(&l, "Bind", NULL);
    return w.error ? w.error : l.error;
}

static int write_connection(const char *guid, const char *instance_id, const char *name)
{
    char key[CFG_KEY_MAX];
    struct writer w = {.key = key};

    snprintf(key, sizeof key, CFG_KEY_NETWORK "\\%s\\Connection", guid);
    put_sz(&w, "Name", name);
    put_sz(&w, "PnpInstanceID", instance_id);
    return w.error;
}

static int choose_guid(const struct umn_device_desc *desc, char guid[CFG_ID_MAX])
{
    char key[CFG_KEY_MAX];

    if (!desc->guid)
        return cfg__new_guid(guid);
    if (!guid_ok(desc->guid))
        return umn__refuse(UMN_EINVAL,
                           "device: bad GUID \"%.60s\", expected {xxxxxxxx-xxxx-"
                           "xxxx-xxxx-xxxxxxxxxxxx}",
                           desc->guid);
    snprintf(key, sizeof key, CFG_KEY_NETWORK "\\%s", desc->guid);
    if (umn__reg_key_exists(key))
        return umn__refuse(UMN_EEXIST, "device: an adapter with GUID %s exists", desc->guid);
    return cfg__format(guid, CFG_ID_MAX, "%s", desc->guid);
}

int umn__pnp_create_device(const struct umn_device_desc *desc, char *instance_id, char *guid)
{
    char number[16], driver[16], enum_key[CFG_KEY_MAX], id[CFG_ID_MAX], new_guid[CFG_ID_MAX];
    int error;

    if (!desc->service || !*desc->service || !desc->hardware_id || !desc->description)
        return umn__refuse(UMN_EINVAL, "device: service, hardware id and description are needed");
    error = umn__reg_begin();
    if (error)
        return error;
    error = choose_guid(desc, new_guid);
    if (!error)
        error = free_number(CFG_KEY_ROOT_NET, number);
    if (!error)
        error = free_number(UMN_KEY_CLASS_NET, driver);
    if (!error) {
        snprintf(id, sizeof id, "ROOT\\NET\\%s", number);
        error = cfg__format(enum_key, sizeof enum_key, CFG_KEY_ROOT_NET "\\%s", number);
    }
    if (!error)
        error = write_enum(desc, enum_key, driver);
    if (!error)
        error = write_class(desc, driver, id, new_guid);
    if (!error)
        error = write_connection(new_guid, id, desc->description);
    if (error) {
        umn__reg_rollback();
        return error;
    }
    error = umn__reg_commit();
    if (!error) {
        strcpy(instance_id, id);
        strcpy(guid, new_guid);
    }
    return error;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A string value or an empty string. */
static int get_text(const char *key, const char *name, char **text)
{
    int error = umn__reg_get_sz(key, name, text);

    if (error != UMN_ENOENT && error != UMN_EINVAL)
        return error;
    *text = plat_strdup("");
    return *text ? 0 : UMN_ENOMEM;
}

static int get_first(const char *key, const char *name, char **text)
{
    char **list;
    size_t count;
    int error = umn__reg_get_multi(key, name, &list, &count);

    if (error && error != UMN_ENOENT && error != UMN_EINVAL)
        return error;
    *text = plat_strdup(error || !count ? "" : list[0]);
    if (!error)
        plat_free(list);
    return *text ? 0 : UMN_ENOMEM;
}

static int get_number(const char *key, const char *name, uint32_t *value)
{
    int error = umn__reg_get_dword(key, name, value);

    if (error == UMN_ENOENT || error == UMN_EINVAL)
        *value = 0, error = 0;
    return error;
}

static int class_key(const char *enum_key, const char *instance_id, char *key)
{
    char *driver;
    int error = umn__reg_get_sz(enum_key, "Driver", &driver);

    if (error == UMN_ENOENT || error == UMN_EINVAL)
        return umn__refuse(UMN_ENOENT, "device %s: no driver key (value Driver of %s)", instance_id,
                           enum_key);
    if (error)
        return error;
    error = cfg__format(key, 128, "SYSTEM\\CurrentControlSet\\Control\\Class\\%s", driver);
    plat_free(driver);
    return error;
}

int umn__pnp_driver_key(const char *instance_id, char *key)
{
    char enum_key[CFG_KEY_MAX];
    int error = cfg__enum_key(instance_id, enum_key);

    return error ? error : class_key(enum_key, instance_id, key);
}

int umn__pnp_guid(const char *instance_id, char *guid)
{
    char key[CFG_KEY_MAX], *text;
    int error = umn__pnp_driver_key(instance_id, key);

    if (!error)
        error = umn__reg_get_sz(key, "NetCfgInstanceId", &text);
    if (error)
        return error;
    error = guid_ok(text) ? cfg__format(guid, CFG_ID_MAX, "%s", text)
                          : umn__refuse(UMN_ECORRUPT, "device %s: bad NetCfgInstanceId \"%.60s\"",
                                        instance_id, text);
    plat_free(text);
    return error;
}

int umn__pnp_find_guid(const char *guid, char *instance_id)
{
    char key[CFG_KEY_MAX], *text;
    int error = cfg__format(key, sizeof key, CFG_KEY_NETWORK "\\%s\\Connection", guid);

    if (!error)
        error = umn__reg_get_sz(key, "PnpInstanceID", &text);
    if (error == UMN_ENOENT || error == UMN_EINVAL)
        return umn__refuse(UMN_ENOENT, "adapter %.60s: no such adapter", guid);
    if (error)
        return error;
    error = cfg__format(instance_id, CFG_ID_MAX, "%s", text);
    plat_free(text);
    return error;
}

void cfg__device_keys_free(struct cfg_device_keys *keys)
{
    plat_free(keys->service);
    plat_free(keys->driver);
    plat_free(keys->description);
    plat_free(keys->hardware_id);
    memset(keys, 0, sizeof *keys);
}

int cfg__device_keys(const char *instance_id, struct cfg_device_keys *out)
{
    char enum_key[CFG_KEY_MAX], class[CFG_KEY_MAX];
    struct cfg_device_keys keys = {0};
    int error = cfg__enum_key(instance_id, enum_key);

    if (!error)
        error = class_key(enum_key, instance_id, class);
    if (!error)
        error = umn__pnp_guid(instance_id, keys.guid);
    if (!error)
        error = get_text(enum_key, "Service", &keys.service);
    if (!error)
        error = get_text(enum_key, "Driver", &keys.driver);
    if (!error)
        error = get_text(enum_key, "FriendlyName", &keys.description);
    if (!error)
        error = get_first(enum_key, "HardwareID", &keys.hardware_id);
    if (!error)
        error = get_number(enum_key, "ConfigFlags", &keys.flags);
    if (!error)
        error = get_number(class, "Characteristics", &keys.characteristics);
    if (error)
        cfg__device_keys_free(&keys);
    else
        *out = keys;
    return error;
}

/* ---- deleting -------------------------------------------------------------------------------- */

static int delete_key_if_there(const char *key)
{
    int error = umn__reg_delete_key(key);

    return error == UMN_ENOENT ? 0 : error;
}

int cfg__delete_device_keys(const char *instance_id)
{
    char enum_key[CFG_KEY_MAX], class[CFG_KEY_MAX], network[CFG_KEY_MAX], guid[CFG_ID_MAX];
    int error = cfg__enum_key(instance_id, enum_key);

    if (!error)
        error = class_key(enum_key, instance_id, class);
    if (!error)
        error = umn__pnp_guid(instance_id, guid);
    if (!error)
        error = cfg__format(network, sizeof network, CFG_KEY_NETWORK "\\%s", guid);
    if (!error)
        error = umn__reg_begin();
    if (error)
        return error;
    error = umn__reg_delete_key(enum_key);
    if (!error)
        error = delete_key_if_there(class);
    if (!error)
        error = delete_key_if_there(network);
    if (!error)
        return umn__reg_commit();
    umn__reg_rollback();
    return error;
}
