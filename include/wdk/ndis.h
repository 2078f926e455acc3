/* SPDX-License-Identifier: MIT */
/* The NDIS 6 interface for miniport, protocol and filter drivers. All structures are declared at
 * the 6.87 level; the version a driver asks for (NDIS630_MINIPORT and the like) sets the version
 * macros of ndis/version.h. */
#ifndef UMN_WDK_NDIS_H
#define UMN_WDK_NDIS_H

#include <ndis/version.h>

#include <ntddk.h>

#include <netpnp.h>
#include <ntddndis.h>

#include <ndis/ndis_constants.h>
#include <ndis/ndis_types.h>

#include <ndis/mdlapi.h>
#include <ndis/ndis_api.h>
#include <ndis/nbl.h>
#include <ndis/nblapi.h>

#include <ndis/nblaccessors.h>
#include <ndis/nblhash.h>
#include <ndis/nblrsc.h>
#include <ndis/nbltimestamp.h>
#include <ndis/ndis_inline.h>

#endif
