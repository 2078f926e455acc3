/* SPDX-License-Identifier: MIT */
/*
 * What a driver asks of a registry key: values and subkeys in the information classes of the
 * documentation. No state. PASSIVE_LEVEL. STATUS_BUFFER_TOO_SMALL: not even the fixed part fits;
 * STATUS_BUFFER_OVERFLOW: what fits was written; *ResultLength always tells the full size.
 */
#include "nt/private.h"

#include <string.h>

static bool passive(const char *function)
{
    return ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlZwPassive", 0x2001f, function);
}

/* An answer under construction: pieces at offsets, cut off at the caller's length. */
struct answer {
    char *buffer;
    ULONG length;
};

static void put(const struct answer *a, size_t offset, const void *data, size_t size)
{
    if (offset >= a->length)
        return;
    memcpy(a->buffer + offset, data, size < a->length - offset ? size : a->length - offset);
}

static void put_ulong(const struct answer *a, size_t offset, size_t value)
{
    ULONG v = (ULONG)value;
    put(a, offset, &v, sizeof v);
}

static NTSTATUS outcome(const struct answer *a, size_t fixed, size_t full, ULONG *result)
{
    *result = (ULONG)full;
    return a->length < fixed  ? STATUS_BUFFER_TOO_SMALL
           : a->length < full ? STATUS_BUFFER_OVERFLOW
                              : STATUS_SUCCESS;
}

struct value {
    const char *name;
    uint32_t type;
    const void *data;
    size_t size;
};

static NTSTATUS answer_value(const struct value *v, KEY_VALUE_INFORMATION_CLASS class,
                             struct answer a, ULONG *result)
{
    size_t name_bytes = 0, full, fixed;
    WCHAR *name = umn__utf16(v->name);
    if (!name)
        return STATUS_INSUFFICIENT_RESOURCES;
    name_bytes = umn__wcslen(name) * sizeof *name;
    switch (class) {
    case KeyValueBasicInformation:
        fixed = offsetof(KEY_VALUE_BASIC_INFORMATION, Name);
        full = fixed + name_bytes;
        if (a.length >= fixed) {
            put_ulong(&a, offsetof(KEY_VALUE_BASIC_INFORMATION, TitleIndex), 0);
            put_ulong(&a, offsetof(KEY_VALUE_BASIC_INFORMATION, Type), v->type);
            put_ulong(&a, offsetof(KEY_VALUE_BASIC_INFORMATION, NameLength), name_bytes);
            put(&a, fixed, name, name_bytes);
        }
        break;
    case KeyValueFullInformation:
    case KeyValueFullInformationAlign64: {
        size_t align = class == KeyValueFullInformation ? 3 : 7;
        fixed = offsetof(KEY_VALUE_FULL_INFORMATION, Name);
        size_t at = (fixed + name_bytes + align) & ~align;
        full = at + v->size;
        if (a.length >= fixed) {
            put_ulong(&a, offsetof(KEY_VALUE_FULL_INFORMATION, TitleIndex), 0);
            put_ulong(&a, offsetof(KEY_VALUE_FULL_INFORMATION, Type), v->type);
            put_ulong(&a, offsetof(KEY_VALUE_FULL_INFORMATION, DataOffset), at);
            put_ulong(&a, offsetof(KEY_VALUE_FULL_INFORMATION, DataLength), v->size);
            put_ulong(&a, offsetof(KEY_VALUE_FULL_INFORMATION, NameLength), name_bytes);
            put(&a, fixed, name, name_bytes);
            put(&a, at, v->data, v->size);
        }
        break;
    }
    case KeyValuePartialInformation:
        fixed = offsetof(KEY_VALUE_PARTIAL_INFORMATION, Data);
        full = fixed + v->size;
        if (a.length >= fixed) {
            put_ulong(&a, offsetof(KEY_VALUE_PARTIAL_INFORMATION, TitleIndex), 0);
            put_ulong(&a, offsetof(KEY_VALUE_PARTIAL_INFORMATION, Type), v->type);
            put_ulong(&a, offsetof(KEY_VALUE_PARTIAL_INFORMATION, DataLength), v->size);
            put(&a, fixed, v->data, v->size);
        }
        break;
    case KeyValuePartialInformationAlign64:
        fixed = offsetof(KEY_VALUE_PARTIAL_INFORMATION_ALIGN64, Data);
        full = fixed + v->size;
        if (a.length >= fixed) {
            put_ulong(&a, offsetof(KEY_VALUE_PARTIAL_INFORMATION_ALIGN64, Type), v->type);
            put_ulong(&a, offsetof(KEY_VALUE_PARTIAL_INFORMATION_ALIGN64, DataLength), v->size);
            put(&a, fixed, v->data, v->size);
        }
        break;
    default:
        plat_free(name);
        return STATUS_INVALID_PARAMETER;
    }
    plat_free(name);
    return outcome(&a, fixed, full, result);
}

/* STATUS_OBJECT_NAME_NOT_FOUND: no such value. The name comes back as it was asked for, in that
 * case. nf-wdm-zwqueryvaluekey.md */
NTSTATUS NTAPI ZwQueryValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName,
                               KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass,
                               PVOID KeyValueInformation, ULONG Length, PULONG ResultLength)
{
    struct value v = {0};
    void *body, *data = NULL;
    if (!passive("ZwQueryValueKey"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = ob__handle_get(KeyHandle, OB_KEY, &body);
    if (status < 0)
        return status;
    char *name = umn__utf8_us(ValueName);
    if (!name) {
        status = STATUS_INSUFFICIENT_RESOURCES;
        goto deref_key;
    }
    v.name = name;
    status = umn__status_of(umn__registry()->get(zw__key(body), name, &v.type, &data, &v.size));
    if (status >= 0) {
        v.data = data;
        status = answer_value(
            &v, KeyValueInformationClass,
            (struct answer){KeyValueInformation, KeyValueInformation ? Length : 0}, ResultLength);
        plat_free(data);
    }
    plat_free(name);
deref_key:
    ob__deref(body);
    return status;
}

/* STATUS_NO_MORE_ENTRIES past the last value. nf-wdm-zwenumeratevaluekey.md */
NTSTATUS NTAPI ZwEnumerateValueKey(HANDLE KeyHandle, ULONG Index,
                                   KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass,
                                   PVOID KeyValueInformation, ULONG Length, PULONG ResultLength)
{
    struct value v = {0};
    void *body, *data = NULL;
    char *name = NULL;
    if (!passive("ZwEnumerateValueKey"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = ob__handle_get(KeyHandle, OB_KEY, &body);
    if (status < 0)
        return status;
    int err = umn__registry()->enum_value(zw__key(body), Index, &name, &v.type, &data, &v.size);
    status = err == UMN_ENOENT ? STATUS_NO_MORE_ENTRIES : umn__status_of(err);
    if (!err) {
        v.name = name;
        v.data = data;
        status = answer_value(
            &v, KeyValueInformationClass,
            (struct answer){KeyValueInformation, KeyValueInformation ? Length : 0}, ResultLength);
        plat_free(name);
        plat_free(data);
    }
    ob__deref(body);
    return status;
}

/* ---- keys ------------------------------------------------------------------------------------ */

struct counts {
    size_t keys, values, key_name, value_name, data; /* name lengths in bytes of UTF-16 */
};

/* Bytes of the UTF-16 of well-formed UTF-8. */
static size_t wide_bytes(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) == 0x80 ? 0 : (unsigned char)*s >= 0xf0 ? 4 : 2;
    return n;
}

static int count_key(void *key, struct counts *c)
{
    const struct umn_registry_ops *ops = umn__registry();
    char *name;
    void *data;
    uint32_t type;
    size_t size;
    int err;
    for (; !(err = ops->enum_key(key, (unsigned)c->keys, &name)); c->keys++) {
        size_t n = wide_bytes(name);
        c->key_name = n > c->key_name ? n : c->key_name;
        plat_free(name);
    }
    if (err != UMN_ENOENT)
        return err;
    for (; !(err = ops->enum_value(key, (unsigned)c->values, &name, &type, &data, &size));
         c->values++) {
        size_t n = wide_bytes(name);
        c->value_name = n > c->value_name ? n : c->value_name;
        c->data = size > c->data ? size : c->data;
        plat_free(name);
        plat_free(data);
    }
    return err == UMN_ENOENT ? 0 : err;
}

/* The registry keeps no times of last writing: they are zero. */
static NTSTATUS answer_key(void *key, const char *path, KEY_INFORMATION_CLASS class,
                           struct answer a, ULONG *result)
{
    const LARGE_INTEGER never = {0};
    struct counts c = {0};
    const char *last = strrchr(path, '\\');
    WCHAR *name = umn__utf16(class == KeyNameInformation ? path : last ? last + 1 : path);
    if (!name)
        return STATUS_INSUFFICIENT_RESOURCES;
    size_t bytes = umn__wcslen(name) * sizeof *name, fixed = 0, tail = bytes;
    NTSTATUS status = STATUS_SUCCESS;
    switch (class) {
    case KeyBasicInformation:
        fixed = offsetof(KEY_BASIC_INFORMATION, Name);
        put(&a, 0, &never, sizeof never);
        put_ulong(&a, offsetof(KEY_BASIC_INFORMATION, TitleIndex), 0);
        put_ulong(&a, offsetof(KEY_BASIC_INFORMATION, NameLength), bytes);
        break;
    case KeyNodeInformation:
        fixed = offsetof(KEY_NODE_INFORMATION, Name);
        put(&a, 0, &never, sizeof never);
        put_ulong(&a, offsetof(KEY_NODE_INFORMATION, TitleIndex), 0);
        put_ulong(&a, offsetof(KEY_NODE_INFORMATION, ClassOffset), (size_t)-1);
        put_ulong(&a, offsetof(KEY_NODE_INFORMATION, ClassLength), 0);
        put_ulong(&a, offsetof(KEY_NODE_INFORMATION, NameLength), bytes);
        break;
    case KeyNameInformation:
        fixed = offsetof(KEY_NAME_INFORMATION, Name);
        put_ulong(&a, offsetof(KEY_NAME_INFORMATION, NameLength), bytes);
        break;
    case KeyFullInformation:
        fixed = offsetof(KEY_FULL_INFORMATION, Class);
        tail = 0;
        status = umn__status_of(count_key(key, &c));
        put(&a, 0, &never, sizeof never);
        put_ulong(&a, offsetof(KEY_FULL_INFORMATION, TitleIndex), 0);
        put_ulong(&a, offsetof(KEY_FULL_INFORMATION, ClassOffset), (size_t)-1);
        put_ulong(&a, offsetof(KEY_FULL_INFORMATION, ClassLength), 0);
        put_ulong(&a, offsetof(KEY_FULL_INFORMATION, SubKeys), c.keys);
        put_ulong(&a, offsetof(KEY_FULL_INFORMATION, MaxNameLen), c.key_name);
        put_ulong(&a, offsetof(KEY_FULL_INFORMATION, MaxClassLen), 0);
        put_ulong(&a, offsetof(KEY_FULL_INFORMATION, Values), c.values);
        put_ulong(&a, offsetof(KEY_FULL_INFORMATION, MaxValueNameLen), c.value_name);
        put_ulong(&a, offsetof(KEY_FULL_INFORMATION, MaxValueDataLen), c.data);
        break;
    default:
        status = STATUS_INVALID_PARAMETER;
    }
    if (status >= 0) {
        put(&a, fixed, name, tail);
        status = outcome(&a, fixed, fixed + tail, result);
    }
    plat_free(name);
    return status;
}

/* nf-wdm-zwquerykey.md */
NTSTATUS NTAPI ZwQueryKey(HANDLE KeyHandle, KEY_INFORMATION_CLASS KeyInformationClass,
                          PVOID KeyInformation, ULONG Length, PULONG ResultLength)
{
    void *body;
    if (!passive("ZwQueryKey"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = ob__handle_get(KeyHandle, OB_KEY, &body);
    if (status < 0)
        return status;
    status = answer_key(zw__key(body), zw__key_path(body), KeyInformationClass,
                        (struct answer){KeyInformation, KeyInformation ? Length : 0}, ResultLength);
    ob__deref(body);
    return status;
}

/* STATUS_NO_MORE_ENTRIES past the last subkey. nf-wdm-zwenumeratekey.md */
NTSTATUS NTAPI ZwEnumerateKey(HANDLE KeyHandle, ULONG Index,
                              KEY_INFORMATION_CLASS KeyInformationClass, PVOID KeyInformation,
                              ULONG Length, PULONG ResultLength)
{
    const struct umn_registry_ops *ops = umn__registry();
    void *body, *sub = NULL;
    char *name = NULL;
    if (!passive("ZwEnumerateKey"))
        return STATUS_UNSUCCESSFUL;
    NTSTATUS status = ob__handle_get(KeyHandle, OB_KEY, &body);
    if (status < 0)
        return status;
    int err = ops->enum_key(zw__key(body), Index, &name);
    if (err) {
        status = err == UMN_ENOENT ? STATUS_NO_MORE_ENTRIES : umn__status_of(err);
        goto deref_key;
    }
    err = ops->open(zw__key(body), name, false, &sub);
    status = umn__status_of(err);
    if (!err) {
        status =
            answer_key(sub, name, KeyInformationClass,
                       (struct answer){KeyInformation, KeyInformation ? Length : 0}, ResultLength);
        ops->close(sub);
    }
    plat_free(name);
deref_key:
    ob__deref(body);
    return status;
}
