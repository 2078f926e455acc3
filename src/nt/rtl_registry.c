/* SPDX-License-Identifier: MIT */
/*
 * Registry helpers of the run-time library: keys relative to well-known ones, and the query table
 * of RtlQueryRegistryValues. No state. PASSIVE_LEVEL.
 */
#include "nt/private.h"

#include <string.h>

#define TAG_STRING 0x67727453u /* what RtlFreeUnicodeString frees */

static bool passive(const char *function)
{
    return ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlRtlPassive", 0x2001e, function);
}

/* Opens RelativeTo + Path as a key object. */
static NTSTATUS open_relative(ULONG relative, const WCHAR *path, bool create, void **key)
{
    static const char *const roots[] = {
        [RTL_REGISTRY_ABSOLUTE] = "",
        [RTL_REGISTRY_SERVICES] = "\\Registry\\Machine\\System\\CurrentControlSet\\Services",
        [RTL_REGISTRY_CONTROL] = "\\Registry\\Machine\\System\\CurrentControlSet\\Control",
        [RTL_REGISTRY_WINDOWS_NT] =
            "\\Registry\\Machine\\Software\\Microsoft\\Windows NT\\CurrentVersion",
        [RTL_REGISTRY_DEVICEMAP] = "\\Registry\\Machine\\Hardware\\DeviceMap",
        [RTL_REGISTRY_USER] = "\\Registry\\User\\.Default",
    };
    if (relative & RTL_REGISTRY_HANDLE)
        return ob__handle_get((HANDLE)(uintptr_t)path, OB_KEY, key);
    relative &= ~(RTL_REGISTRY_OPTIONAL | RTL_REGISTRY_HANDLE);
    if (relative >= RTL_REGISTRY_MAXIMUM || (relative == RTL_REGISTRY_ABSOLUTE && !path))
        return STATUS_INVALID_PARAMETER;
    char *text = path ? umn__utf8(path, SIZE_MAX) : plat_strdup("");
    if (!text)
        return STATUS_INSUFFICIENT_RESOURCES;
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;
    char *full = plat_asprintf("%s%s%s", roots[relative],
                               relative != RTL_REGISTRY_ABSOLUTE && text[0] ? "\\" : "", text);
    plat_free(text);
    if (full)
        status = zw__key_open(NULL, full, create, key);
    plat_free(full);
    return status;
}

/* STATUS_SUCCESS if the key exists. nf-wdm-rtlcheckregistrykey.md */
NTSTATUS NTAPI RtlCheckRegistryKey(ULONG RelativeTo, PWSTR Path)
{
    void *key;
    if (!passive("RtlCheckRegistryKey"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = open_relative(RelativeTo, Path, false, &key);
    if (status >= 0)
        ob__deref(key);
    return status;
}

/* nf-wdm-rtlcreateregistrykey.md */
NTSTATUS NTAPI RtlCreateRegistryKey(ULONG RelativeTo, PWSTR Path)
{
    void *key;
    if (!passive("RtlCreateRegistryKey"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = open_relative(RelativeTo, Path, true, &key);
    if (status >= 0)
        ob__deref(key);
    return status;
}

/* Creates the key if it is not there. nf-wdm-rtlwriteregistryvalue.md */
NTSTATUS NTAPI RtlWriteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName,
                                     ULONG ValueType, PVOID ValueData, ULONG ValueLength)
{
    void *key;
    if (!passive("RtlWriteRegistryValue"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = open_relative(RelativeTo, Path, true, &key);
    if (status < 0)
        return status;
    char *name = ValueName ? umn__utf8(ValueName, SIZE_MAX) : plat_strdup("");
    status = name ? umn__status_of(
                        umn__registry()->set(zw__key(key), name, ValueType, ValueData, ValueLength))
                  : STATUS_INSUFFICIENT_RESOURCES;
    plat_free(name);
    ob__deref(key);
    return status;
}

static NTSTATUS delete_value(void *key, const WCHAR *value_name)
{
    char *name = umn__utf8(value_name, SIZE_MAX);
    if (!name)
        return STATUS_INSUFFICIENT_RESOURCES;
    NTSTATUS status = umn__status_of(umn__registry()->del_value(zw__key(key), name));
    plat_free(name);
    return status;
}

/* nf-wdm-rtldeleteregistryvalue.md */
NTSTATUS NTAPI RtlDeleteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName)
{
    void *key;
    if (!passive("RtlDeleteRegistryValue"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = open_relative(RelativeTo, Path, false, &key);
    if (status < 0)
        return status;
    status = delete_value(key, ValueName);
    ob__deref(key);
    return status;
}

/* ---- query table ----------------------------------------------------------------------------- */

struct data {
    ULONG type;
    const void *bytes;
    size_t size;
};

static bool is_string(ULONG type)
{
    return type == REG_SZ || type == REG_EXPAND_SZ || type == REG_MULTI_SZ;
}

static NTSTATUS direct_string(UNICODE_STRING *to, const struct data *v)
{
    size_t size = v->size & ~(size_t)1;
    const WCHAR *text = v->bytes;
    bool terminated = size >= 2 && text[size / 2 - 1] == 0;
    size_t length = terminated && v->type != REG_MULTI_SZ ? size - 2 : size, room = length + 2;
    if (v->type == REG_MULTI_SZ && terminated)
        room = length;
    if (room > 0xfffe)
        return STATUS_BUFFER_TOO_SMALL;
    if (!to->Buffer) {
        to->Buffer = umn__pool_alloc(PagedPool, room, TAG_STRING, __builtin_return_address(0));
        if (!to->Buffer)
            return STATUS_NO_MEMORY;
        to->MaximumLength = (USHORT)room;
    } else if (to->MaximumLength < room) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    memcpy(to->Buffer, text, length);
    if (room > length)
        to->Buffer[length / 2] = 0;
    to->Length = (USHORT)length;
    return STATUS_SUCCESS;
}

static NTSTATUS direct(void *to, const struct data *v)
{
    LONG room;
    if (is_string(v->type))
        return direct_string(to, v);
    if (v->size <= sizeof(ULONG)) {
        memcpy(to, v->bytes, v->size);
        return STATUS_SUCCESS;
    }
    memcpy(&room, to, sizeof room);
    if (room < 0) {
        if (v->size > (size_t) - (LONGLONG)room)
            return STATUS_BUFFER_TOO_SMALL;
        memcpy(to, v->bytes, v->size);
        return STATUS_SUCCESS;
    }
    if (v->size + 2 * sizeof(ULONG) > (size_t)room)
        return STATUS_BUFFER_TOO_SMALL;
    ((ULONG *)to)[0] = (ULONG)v->size;
    ((ULONG *)to)[1] = v->type;
    memcpy((char *)to + 2 * sizeof(ULONG), v->bytes, v->size);
    return STATUS_SUCCESS;
}

static NTSTATUS call(const RTL_QUERY_REGISTRY_TABLE *e, const WCHAR *name, const struct data *v,
                     void *context)
{
    umn__point(UMN_OP_CALLBACK, e);
    NTSTATUS status = e->QueryRoutine((PWSTR)(uintptr_t)name, v->type, (PVOID)(uintptr_t)v->bytes,
                                      (ULONG)v->size, context, e->EntryContext);
    return status == STATUS_BUFFER_TOO_SMALL ? STATUS_SUCCESS : status;
}

/* Each string of a REG_MULTI_SZ goes to the routine as a REG_SZ. */
static NTSTATUS call_each(const RTL_QUERY_REGISTRY_TABLE *e, const WCHAR *name,
                          const struct data *v, void *context)
{
    const WCHAR *text = v->bytes;
    size_t n = v->size / sizeof *text;
    NTSTATUS status = STATUS_SUCCESS;
    for (size_t i = 0; status >= 0 && i < n && text[i];) {
        size_t k = i;
        while (k < n && text[k])
            k++;
        struct data one = {REG_SZ, text + i, ((k < n ? k + 1 : k) - i) * sizeof *text};
        status = call(e, name, &one, context);
        i = k + 1;
    }
    return status;
}

/* The environment of the System process that a driver can name. plat_alloc'd, terminated. */
static WCHAR *expand(const WCHAR *text, size_t n)
{
    static const struct {
        const WCHAR *name, *value;
    } env[] = {
        {u"SystemRoot", u"C:\\Windows"}, {u"windir", u"C:\\Windows"}, {u"SystemDrive", u"C:"}};
    WCHAR *out = plat_alloc((n * 4 + 64) * sizeof *out);
    size_t o = 0, room = n * 4 + 63;
    if (!out)
        return NULL;
    for (size_t i = 0; i < n && text[i] && o < room; i++) {
        bool done = false;
        for (size_t k = 0; text[i] == '%' && k < 3 && !done; k++) {
            size_t m = umn__wcslen(env[k].name), len = umn__wcslen(env[k].value);
            if (i + m + 1 >= n || text[i + m + 1] != '%' ||
                RtlCompareUnicodeStrings(text + i + 1, m, env[k].name, m, TRUE) || o + len > room)
                continue;
            memcpy(out + o, env[k].value, len * sizeof *out);
            o += len;
            i += m + 1;
            done = true;
        }
        if (!done)
            out[o++] = text[i];
    }
    return out;
}

static NTSTATUS call_expanded(const RTL_QUERY_REGISTRY_TABLE *e, const WCHAR *name,
                              const struct data *v, void *context)
{
    WCHAR *text = expand(v->bytes, v->size / sizeof(WCHAR));
    if (!text)
        return STATUS_NO_MEMORY;
    struct data out = {REG_SZ, text, (umn__wcslen(text) + 1) * sizeof *text};
    NTSTATUS status = e->Flags & RTL_QUERY_REGISTRY_DIRECT ? direct(e->EntryContext, &out)
                                                           : call(e, name, &out, context);
    plat_free(text);
    return status;
}

static NTSTATUS deliver(const RTL_QUERY_REGISTRY_TABLE *e, const WCHAR *name, const struct data *v,
                        void *context)
{
    bool raw = e->Flags & RTL_QUERY_REGISTRY_NOEXPAND;
    if (v->type == REG_EXPAND_SZ && !raw)
        return call_expanded(e, name, v, context);
    if (e->Flags & RTL_QUERY_REGISTRY_DIRECT) {
        if (v->type == REG_MULTI_SZ && !raw)
            return STATUS_INVALID_PARAMETER;
        return direct(e->EntryContext, v);
    }
    return v->type == REG_MULTI_SZ && !raw ? call_each(e, name, v, context)
                                           : call(e, name, v, context);
}

/* The entry's default value, when the registry has none. */
static NTSTATUS deliver_default(const RTL_QUERY_REGISTRY_TABLE *e, void *context)
{
    struct data v = {e->DefaultType & 0xff, e->DefaultData, e->DefaultLength};
    if (e->Flags & RTL_QUERY_REGISTRY_REQUIRED)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    if (v.type == REG_NONE)
        return STATUS_SUCCESS;
    if (!v.size && v.bytes && is_string(v.type)) {
        const WCHAR *text = v.bytes;
        size_t n = umn__wcslen(text) + 1;
        while (v.type == REG_MULTI_SZ && text[n])
            n += umn__wcslen(text + n) + 1;
        v.size = (n + (v.type == REG_MULTI_SZ)) * sizeof *text;
    }
    return deliver(e, e->Name, &v, context);
}

static NTSTATUS query_value(void *key, const RTL_QUERY_REGISTRY_TABLE *e, void *context)
{
    struct data v;
    uint32_t type;
    void *bytes;
    char *name = umn__utf8(e->Name, SIZE_MAX);
    if (!name)
        return STATUS_INSUFFICIENT_RESOURCES;
    int err = umn__registry()->get(zw__key(key), name, &type, &bytes, &v.size);
    plat_free(name);
    if (err == UMN_ENOENT)
        return deliver_default(e, context);
    if (err)
        return umn__status_of(err);
    v.type = type;
    v.bytes = bytes;
    NTSTATUS status = STATUS_SUCCESS;
    if ((e->Flags & RTL_QUERY_REGISTRY_TYPECHECK) &&
        (e->DefaultType >> RTL_QUERY_REGISTRY_TYPECHECK_SHIFT) != type)
        status = STATUS_OBJECT_TYPE_MISMATCH;
    if (status >= 0)
        status = deliver(e, e->Name, &v, context);
    plat_free(bytes);
    if (status >= 0 && (e->Flags & RTL_QUERY_REGISTRY_DELETE))
        status = delete_value(key, e->Name);
    return status;
}

/* Every value of the key, for an entry without a name. */
static NTSTATUS query_all(void *key, const RTL_QUERY_REGISTRY_TABLE *e, void *context)
{
    NTSTATUS status = STATUS_SUCCESS;
    unsigned i = 0;
    for (; status >= 0; i++) {
        struct data v;
        uint32_t type;
        void *bytes;
        char *name;
        int err = umn__registry()->enum_value(zw__key(key), i, &name, &type, &bytes, &v.size);
        if (err == UMN_ENOENT)
            break;
        if (err)
            return umn__status_of(err);
        WCHAR *wide = umn__utf16(name);
        v.type = type;
        v.bytes = bytes;
        status = wide ? deliver(e, wide, &v, context) : STATUS_INSUFFICIENT_RESOURCES;
        plat_free(wide);
        plat_free(name);
        plat_free(bytes);
    }
    return status < 0 || i || !(e->Flags & RTL_QUERY_REGISTRY_REQUIRED)
               ? status
               : STATUS_OBJECT_NAME_NOT_FOUND;
}

static NTSTATUS query_entry(void *key, const RTL_QUERY_REGISTRY_TABLE *e, void *context)
{
    const struct data nothing = {REG_NONE, NULL, 0};
    if (e->Flags & RTL_QUERY_REGISTRY_DIRECT)
        return e->QueryRoutine || !e->Name ? STATUS_INVALID_PARAMETER
                                           : query_value(key, e, context);
    if (!e->QueryRoutine)
        return e->Flags & (RTL_QUERY_REGISTRY_SUBKEY | RTL_QUERY_REGISTRY_TOPKEY)
                   ? STATUS_SUCCESS
                   : STATUS_INVALID_PARAMETER;
    if (e->Flags & RTL_QUERY_REGISTRY_NOVALUE)
        return call(e, e->Name, &nothing, context);
    return e->Name && !(e->Flags & RTL_QUERY_REGISTRY_SUBKEY) ? query_value(key, e, context)
                                                              : query_all(key, e, context);
}

/* The key that the entries from `e` on are about; *key is replaced. */
static NTSTATUS move_to(void *top, const RTL_QUERY_REGISTRY_TABLE *e, void **key)
{
    NTSTATUS status = STATUS_SUCCESS;
    if (e->Flags & (RTL_QUERY_REGISTRY_SUBKEY | RTL_QUERY_REGISTRY_TOPKEY)) {
        if (*key)
            ob__deref(*key);
        ob__ref(top);
        *key = top;
    }
    if (!(e->Flags & RTL_QUERY_REGISTRY_SUBKEY))
        return status;
    if (!e->Name)
        return STATUS_INVALID_PARAMETER;
    char *name = umn__utf8(e->Name, SIZE_MAX);
    if (!name)
        return STATUS_INSUFFICIENT_RESOURCES;
    void *sub;
    status = zw__key_open(top, name, false, &sub);
    plat_free(name);
    if (status >= 0) {
        ob__deref(*key);
        *key = sub;
    }
    return status;
}

/* Queries values by a table that ends with an empty entry. nf-wdm-rtlqueryregistryvalues.md */
NTSTATUS NTAPI RtlQueryRegistryValues(ULONG RelativeTo, PCWSTR Path,
                                      PRTL_QUERY_REGISTRY_TABLE QueryTable, PVOID Context,
                                      PVOID Environment)
{
    void *top, *key;
    bool skip = false; /* inside an optional subkey that is not there */
    if (!passive("RtlQueryRegistryValues"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = open_relative(RelativeTo, Path, false, &top);
    if (status < 0)
        return status == STATUS_OBJECT_NAME_NOT_FOUND && (RelativeTo & RTL_REGISTRY_OPTIONAL)
                   ? STATUS_SUCCESS
                   : status;
    ob__ref(top);
    key = top;
    for (PRTL_QUERY_REGISTRY_TABLE e = QueryTable; status >= 0; e++) {
        if (!e->QueryRoutine && !e->Name &&
            !(e->Flags & (RTL_QUERY_REGISTRY_SUBKEY | RTL_QUERY_REGISTRY_TOPKEY)))
            break;
        if (e->Flags & (RTL_QUERY_REGISTRY_SUBKEY | RTL_QUERY_REGISTRY_TOPKEY))
            skip = false;
        status = move_to(top, e, &key);
        if (status == STATUS_OBJECT_NAME_NOT_FOUND && !(e->Flags & RTL_QUERY_REGISTRY_REQUIRED)) {
            status = STATUS_SUCCESS;
            skip = true;
        }
        if (status >= 0)
            status = skip ? (e->Flags & RTL_QUERY_REGISTRY_SUBKEY || !e->Name ||
                                     (!e->QueryRoutine && !(e->Flags & RTL_QUERY_REGISTRY_DIRECT))
                                 ? STATUS_SUCCESS
                                 : deliver_default(e, Context))
                          : query_entry(key, e, Context);
    }
    ob__deref(key);
    ob__deref(top);
    return status;
}
