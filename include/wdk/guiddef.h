/* SPDX-License-Identifier: MIT */
/* GUID, and DEFINE_GUID: a declaration, or a definition after initguid.h was included. */
#ifndef UMN_WDK_GUIDDEF_H
#define UMN_WDK_GUIDDEF_H

#include <guiddef_types.h>

#define UMN_GUID_VALUE(l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8)                                  \
    { l, w1, w2, { b1, b2, b3, b4, b5, b6, b7, b8 } }

#define IsEqualGUID(a, b) (!__builtin_memcmp((a), (b), sizeof(GUID)))
#define IsEqualIID(a, b) IsEqualGUID(a, b)
#define IsEqualCLSID(a, b) IsEqualGUID(a, b)
#define InlineIsEqualGUID(a, b) IsEqualGUID(a, b)

#endif

/* Outside the guard: a file may include initguid.h between two includes of this one. */
#undef DEFINE_GUID
#if defined(INITGUID)
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8)                               \
    extern const GUID name;                                                                        \
    DECLSPEC_SELECTANY const GUID name = UMN_GUID_VALUE(l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8)
#else
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8) extern const GUID name
#endif
