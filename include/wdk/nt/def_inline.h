/* SPDX-License-Identifier: MIT */
/* Helper macros of ntdef.h: object attributes and constant strings. */
#ifndef UMN_WDK_NT_DEF_INLINE_H
#define UMN_WDK_NT_DEF_INLINE_H

#include <nt/def_types.h>

#define InitializeObjectAttributes(p, n, a, r, s)                                                  \
    do {                                                                                           \
        (p)->Length = sizeof(OBJECT_ATTRIBUTES);                                                   \
        (p)->RootDirectory = (r);                                                                  \
        (p)->Attributes = (a);                                                                     \
        (p)->ObjectName = (n);                                                                     \
        (p)->SecurityDescriptor = (s);                                                             \
        (p)->SecurityQualityOfService = NULL;                                                      \
    } while (0)

#define RTL_CONSTANT_OBJECT_ATTRIBUTES(n, a)                                                       \
    { sizeof(OBJECT_ATTRIBUTES), NULL, (n), (a), NULL, NULL }

#define RTL_CONSTANT_STRING(s)                                                                     \
    { sizeof(s) - sizeof((s)[0]), sizeof(s), (void *)(s) }

#define DECLARE_CONST_UNICODE_STRING(name, string)                                                 \
    static const WCHAR name##_buffer[] = string;                                                   \
    static const UNICODE_STRING name = { sizeof(string) - sizeof(WCHAR), sizeof(string),           \
                                         (PWCH)(ULONG_PTR)name##_buffer }

#define DECLARE_GLOBAL_CONST_UNICODE_STRING(name, string)                                          \
    extern const UNICODE_STRING name;                                                              \
    const UNICODE_STRING name = { sizeof(string) - sizeof(WCHAR), sizeof(string),                  \
                                  (PWCH)(ULONG_PTR)string }

#define DECLARE_UNICODE_STRING_SIZE(name, chars)                                                   \
    WCHAR name##_buffer[chars];                                                                    \
    UNICODE_STRING name = { 0, sizeof(name##_buffer), name##_buffer }

#endif
