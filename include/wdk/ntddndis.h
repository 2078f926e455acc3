/* SPDX-License-Identifier: MIT */
/* Object identifiers, and the structures that OID requests and status indications carry. */
#ifndef UMN_WDK_NTDDNDIS_H
#define UMN_WDK_NTDDNDIS_H

#include <ntddk.h>

#include <devpropdef.h>
#include <ifdef.h>
#include <ipifcons.h>
#include <ndis/ddndis_constants.h>
#include <ndis/ddndis_oids.h>
#include <ndis/ddndis_types.h>
#include <ndis/encapsulationconfig.h>
#include <ndis/hashtypes.h>
#include <ndis/nicswitchtypes.h>
#include <ndis/offloadtypes.h>

#endif
