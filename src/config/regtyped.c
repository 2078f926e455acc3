/* SPDX-License-Identifier: MIT */
/*
 * Strings, numbers and lists in the registry, by path, as UTF-8. Stored as Windows stores them:
 * UTF-16LE with terminator, REG_MULTI_SZ ending in an empty string. No state; PASSIVE_LEVEL.
 */
#include "config/config.h"
#include "config/registry.h"

#include <string.h>
#include "nt/nt.h"
#include "plat/plat.h"

/* Reads a value of `type`; another type is UMN_EINVAL. */
static int read_typed(const char *key, const char *name, uint32_t type, void **data, size_t *size)
{
    uint32_t found;
    int error = reg__read(key, name, &found, data, size);

    if (!error && found != type) {
        plat_free(*data);
        return UMN_EINVAL;
    }
    if (!error && type != REG_TYPE_DWORD && *size % 2)
        ((char *)*data)[*size - 1] = 0; /* half a WCHAR is none */
    return error;
}

int umn__reg_get_sz(const char *key, const char *name, char **text)
{
    void *data;
    size_t size;
    int error = read_typed(key, name, REG_TYPE_SZ, &data, &size);

    if (error)
        return error;
    *text = umn__utf8(data, SIZE_MAX);
    plat_free(data);
    return *text ? 0 : UMN_ENOMEM;
}

int umn__reg_set_sz(const char *key, const char *name, const char *text)
{
    WCHAR *wide = umn__utf16(text);
    int error;

    if (!wide)
        return UMN_ENOMEM;
    error = umn__reg_set_raw(key, name, REG_TYPE_SZ, wide, (umn__wcslen(wide) + 1) * sizeof *wide);
    plat_free(wide);
    return error;
}

int umn__reg_get_dword(const char *key, const char *name, uint32_t *value)
{
    void *data;
    size_t size;
    int error = read_typed(key, name, REG_TYPE_DWORD, &data, &size);

    if (error)
        return error;
    if (size == sizeof *value)
        memcpy(value, data, sizeof *value);
    else
        error = UMN_EINVAL;
    plat_free(data);
    return error;
}

int umn__reg_set_dword(const char *key, const char *name, uint32_t value)
{
    return umn__reg_set_raw(key, name, REG_TYPE_DWORD, &value, sizeof value);
}

/* The strings of a MULTI_SZ body, one after the other in UTF-8; the body is ours and terminated. */
static int split(const WCHAR *wide, size_t length, char ***list, size_t *count)
{
    size_t n = 0, start = 0;
    char **names, *text;

    while (length && wide[length - 1] == 0) /* terminators, and trailing empty strings */
        length--;
    for (size_t i = 0; i < length; i++)
        n += wide[i] == 0;
    n += length > 0;
    /* a WCHAR is at most 3 bytes of UTF-8 */
    names = plat_alloc((n + 1) * sizeof *names + length * 3 + n + 1);
    if (!names)
        return UMN_ENOMEM;
    text = (char *)(names + n + 1);
    for (size_t i = 0; i < n; i++) {
        char *one = umn__utf8(wide + start, SIZE_MAX);

        if (!one) {
            plat_free(names);
            return UMN_ENOMEM;
        }
        names[i] = strcpy(text, one);
        text += strlen(one) + 1;
        plat_free(one);
        start += umn__wcslen(wide + start) + 1;
    }
    *list = names;
    *count = n;
    return 0;
}

int umn__reg_get_multi(const char *key, const char *name, char ***list, size_t *count)
{
    void *data;
    size_t size;
    int error = read_typed(key, name, REG_TYPE_MULTI_SZ, &data, &size);

    if (error)
        return error;
    error = split(data, size / sizeof(WCHAR), list, count);
    plat_free(data);
    return error;
}

int umn__reg_set_multi(const char *key, const char *name, char *const *list, size_t count)
{
    size_t bytes = 0, used = 0;
    WCHAR *data;
    int error = 0;

    for (size_t i = 0; i < count; i++)
        bytes += strlen(list[i]) + 1; /* UTF-16 has no more units than UTF-8 has bytes */
    data = plat_alloc((bytes + 2) * sizeof *data);
    if (!data)
        return UMN_ENOMEM;
    for (size_t i = 0; i < count && !error; i++) {
        WCHAR *one = umn__utf16(list[i]);

        if (!one) {
            error = UMN_ENOMEM;
        } else if (!*one) {
            error = UMN_EINVAL; /* an empty string would end the list */
        } else {
            memcpy(data + used, one, umn__wcslen(one) * sizeof *one);
            used += umn__wcslen(one) + 1;
        }
        plat_free(one);
    }
    if (!error)
        error = umn__reg_set_raw(key, name, REG_TYPE_MULTI_SZ, data, (used + 1) * sizeof *data);
    plat_free(data);
    return error;
}
