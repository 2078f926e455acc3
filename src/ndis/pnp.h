/* SPDX-License-Identifier: MIT */
/* What NDIS puts into a miniport driver's DRIVER_OBJECT. */
#ifndef NDIS_PNP_H
#define NDIS_PNP_H

#include <ntddk.h>

NTSTATUS NTAPI ndis__pnp_add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *pdo);
NTSTATUS NTAPI ndis__pnp_dispatch(DEVICE_OBJECT *device, IRP *irp);
NTSTATUS NTAPI ndis__pnp_power(DEVICE_OBJECT *device, IRP *irp);

#endif
