/* SPDX-License-Identifier: MIT */
/* What every driver can use of the executive. */
#ifndef UMN_WDK_WDM_H
#define UMN_WDK_WDM_H

#include <ntdef.h>

#include <ntstatus.h>

#include <bugcodes.h>
#include <nt/wdm_constants.h>
#include <nt/wdm_types.h>

#include <nt/interlocked.h>
#include <nt/ke_api.h>
#include <nt/ex_api.h>
#include <nt/io_api.h>
#include <nt/mm_api.h>
#include <nt/ob_api.h>
#include <nt/po_api.h>
#include <nt/rtl_api.h>
#include <nt/zw_api.h>

#include <nt/wdm_inline.h>

#endif
