/* SPDX-License-Identifier: MIT */
/*
 * Registry keys for drivers: handles over struct umn_registry_ops. A key object holds one opened
 * key and its path. All functions at PASSIVE_LEVEL; they return what the registry answers, as
 * NTSTATUS.
 */
#include "nt/private.h"

#include <string.h>

struct key {
    void *key; /* the registry's */
    char *path;
};

/* ---- who keeps the registry ------------------------------------------------------------------ */

static int none_open(void *base, const char *path, bool create, void **key)
{
    return UMN_ENOTSUP;
}
static void none_close(void *key)
{
}
static int none_get(void *key, const char *name, uint32_t *type, void **data, size_t *size)
{
    return UMN_ENOTSUP;
}
static int none_set(void *key, const char *name, uint32_t type, const void *data, size_t size)
{
    return UMN_ENOTSUP;
}
static int none_enum_key(void *key, unsigned index, char **name)
{
    return UMN_ENOTSUP;
}
static int none_enum_value(void *key, unsigned index, char **name, uint32_t *type, void **data,
                           size_t *size)
{
    return UMN_ENOTSUP;
}
static int none_del_key(void *key)
{
    return UMN_ENOTSUP;
}
static int none_del_value(void *key, const char *name)
{
    return UMN_ENOTSUP;
}
static const struct umn_registry_ops none = {none_open,    none_close,    none_get,
                                             none_set,     none_enum_key, none_enum_value,
                                             none_del_key, none_del_value};
static const struct umn_registry_ops *registry = &none;

void umn__registry_set(const struct umn_registry_ops *ops)
{
    registry = ops ? ops : &none;
}

const struct umn_registry_ops *umn__registry(void)
{
    return registry;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void key_destroy(void *body)
{
    struct key *k = body;
    if (k->key)
        registry->close(k->key);
    plat_free(k->path);
}

void *zw__key(void *body)
{
    return ((struct key *)body)->key;
}

const char *zw__key_path(void *body)
{
    return ((struct key *)body)->path;
}

NTSTATUS zw__key_open(void *base_key, const char *path, bool create, void **body)
{
    struct key *base = base_key;
    struct key *k = ob__create(OB_KEY, sizeof *k, NULL, key_destroy);
    if (!k)
        return STATUS_INSUFFICIENT_RESOURCES;
    k->path =
        base ? plat_asprintf("%s%s%s", base->path, path[0] ? "\\" : "", path) : plat_strdup(path);
    if (!k->path) {
        ob__deref(k);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    int err = registry->open(base ? base->key : NULL, path, create, &k->key);
    if (err) {
        k->key = NULL;
        ob__deref(k);
        return umn__status_of(err);
    }
    *body = k;
    return STATUS_SUCCESS;
}

static bool passive(const char *function)
{
    return ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlZwPassive", 0x2001f, function);
}

/* Base key (referenced) and path of object attributes; the path is to be freed. */
static NTSTATUS attributes(const OBJECT_ATTRIBUTES *oa, void **base, char **path)
{
    *base = NULL;
    if (!oa || oa->Length != sizeof *oa)
        return STATUS_INVALID_PARAMETER;
    if (oa->RootDirectory) {
        NTSTATUS status = ob__handle_get(oa->RootDirectory, OB_KEY, base);
        if (status < 0)
            return status;
    } else if (!oa->ObjectName || !oa->ObjectName->Length || oa->ObjectName->Buffer[0] != '\\') {
        return STATUS_OBJECT_PATH_SYNTAX_BAD;
    }
    *path = oa->ObjectName ? umn__utf8_us(oa->ObjectName) : plat_strdup("");
    if (*path)
        return STATUS_SUCCESS;
    if (*base)
        ob__deref(*base);
    return STATUS_INSUFFICIENT_RESOURCES;
}

static NTSTATUS give_handle(void *key, HANDLE *handle)
{
    NTSTATUS status = ob__handle_open(key, handle);
    ob__deref(key);
    return status;
}

/* STATUS_OBJECT_NAME_NOT_FOUND: there is no such key. nf-wdm-zwopenkey.md */
NTSTATUS NTAPI ZwOpenKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess,
                         POBJECT_ATTRIBUTES ObjectAttributes)
{
    void *base, *key;
    char *path;
    if (!passive("ZwOpenKey"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = attributes(ObjectAttributes, &base, &path);
    if (status < 0)
        return status;
    status = zw__key_open(base, path, false, &key);
    if (base)
        ob__deref(base);
    plat_free(path);
    return status < 0 ? status : give_handle(key, KeyHandle);
}

NTSTATUS NTAPI ZwOpenKeyEx(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess,
                           POBJECT_ATTRIBUTES ObjectAttributes, ULONG OpenOptions)
{
    return ZwOpenKey(KeyHandle, DesiredAccess, ObjectAttributes);
}

/* Only the last key of the path is created: its parent must be there. */
static NTSTATUS parent_exists(void *base, const char *path)
{
    void *parent;
    const char *cut = strrchr(path, '\\');
    if (!cut || cut == path)
        return STATUS_SUCCESS;
    char *up = plat_strdup(path);
    if (!up)
        return STATUS_INSUFFICIENT_RESOURCES;
    up[cut - path] = 0;
    NTSTATUS status = zw__key_open(base, up, false, &parent);
    plat_free(up);
    if (status >= 0)
        ob__deref(parent);
    return status;
}

/* Opens or creates; *Disposition (may be NULL) tells which. nf-wdm-zwcreatekey.md */
NTSTATUS NTAPI ZwCreateKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess,
                           POBJECT_ATTRIBUTES ObjectAttributes, ULONG TitleIndex,
                           PUNICODE_STRING Class, ULONG CreateOptions, PULONG Disposition)
{
    void *base, *key;
    char *path;
    ULONG how = REG_OPENED_EXISTING_KEY;
    if (!passive("ZwCreateKey"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = attributes(ObjectAttributes, &base, &path);
    if (status < 0)
        return status;
    status = zw__key_open(base, path, false, &key);
    if (status == STATUS_OBJECT_NAME_NOT_FOUND) {
        how = REG_CREATED_NEW_KEY;
        status = parent_exists(base, path);
        if (status >= 0)
            status = zw__key_open(base, path, true, &key);
    }
    if (base)
        ob__deref(base);
    plat_free(path);
    if (status < 0)
        return status;
    if (Disposition)
        *Disposition = how;
    return give_handle(key, KeyHandle);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Key of a handle (referenced) and the UTF-8 of a value's name. */
static NTSTATUS key_and_name(HANDLE handle, const UNICODE_STRING *name, struct key **key,
                             char **text)
{
    void *body;
    NTSTATUS status = ob__handle_get(handle, OB_KEY, &body);
    if (status < 0)
        return status;
    *text = name ? umn__utf8_us(name) : plat_strdup("");
    if (!*text) {
        ob__deref(body);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *key = body;
    return STATUS_SUCCESS;
}

/* nf-wdm-zwsetvaluekey.md */
NTSTATUS NTAPI ZwSetValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName, ULONG TitleIndex,
                             ULONG Type, PVOID Data, ULONG DataSize)
{
    struct key *k;
    char *name;
    if (!passive("ZwSetValueKey"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = key_and_name(KeyHandle, ValueName, &k, &name);
    if (status < 0)
        return status;
    status = umn__status_of(registry->set(k->key, name, Type, Data, DataSize));
    plat_free(name);
    ob__deref(k);
    return status;
}

/* nf-wdm-zwdeletevaluekey.md (ntifs) */
NTSTATUS NTAPI ZwDeleteValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName)
{
    struct key *k;
    char *name;
    if (!passive("ZwDeleteValueKey"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = key_and_name(KeyHandle, ValueName, &k, &name);
    if (status < 0)
        return status;
    status = umn__status_of(registry->del_value(k->key, name));
    plat_free(name);
    ob__deref(k);
    return status;
}

/* A key with subkeys cannot be deleted: STATUS_CANNOT_DELETE. nf-wdm-zwdeletekey.md */
NTSTATUS NTAPI ZwDeleteKey(HANDLE KeyHandle)
{
    void *body;
    char *sub;
    if (!passive("ZwDeleteKey"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = ob__handle_get(KeyHandle, OB_KEY, &body);
    if (status < 0)
        return status;
    int err = registry->enum_key(zw__key(body), 0, &sub);
    if (!err)
        plat_free(sub);
    status = !err ? STATUS_CANNOT_DELETE
                  : umn__status_of(err == UMN_ENOENT ? registry->del_key(zw__key(body)) : err);
    ob__deref(body);
    return status;
}

/* Every change is durable when its call returns, so there is nothing left to flush.
 * nf-wdm-zwflushkey.md */
NTSTATUS NTAPI ZwFlushKey(HANDLE KeyHandle)
{
    void *body;
    if (!passive("ZwFlushKey"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = ob__handle_get(KeyHandle, OB_KEY, &body);
    if (status >= 0)
        ob__deref(body);
    return status;
}
