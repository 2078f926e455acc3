/* SPDX-License-Identifier: MIT */
/* Basic types, strings, lists and status tests. */
#ifndef UMN_WDK_NTDEF_H
#define UMN_WDK_NTDEF_H

#include <guiddef.h>
#include <nt/base.h>
#include <nt/def_types.h>
#include <nt/ntstatus_type.h>

#include <nt/def_inline.h>

#endif
