/* SPDX-License-Identifier: MIT */
/* Network Plug and Play events. */
#ifndef UMN_WDK_NETPNP_H
#define UMN_WDK_NETPNP_H

#include <netpnp_types.h>

#endif
