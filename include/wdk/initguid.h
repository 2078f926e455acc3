/* SPDX-License-Identifier: MIT */
/* From here on DEFINE_GUID defines. No guard: it may be included after headers that declared. */
#ifndef INITGUID
#define INITGUID
#endif
#include <guiddef.h>
