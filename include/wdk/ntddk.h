/* SPDX-License-Identifier: MIT */
/* wdm.h and what only non-WDM drivers use. */
#ifndef UMN_WDK_NTDDK_H
#define UMN_WDK_NTDDK_H

#include <wdm.h>

#include <nt/ddk_types.h>

#include <nt/ddk_api.h>
#include <nt/ddk_inline.h>

#endif
