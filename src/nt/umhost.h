/* SPDX-License-Identifier: MIT */
/*
 * The host's side of <umhost.h>: who listens to what host-edge drivers tell (config does), and how
 * host code reaches a driver's control device. PASSIVE_LEVEL unless a line says otherwise.
 */
#ifndef UMN_NT_UMHOST_H
#define UMN_NT_UMHOST_H

#include <stddef.h>
#include <stdint.h>
#include <ntddk.h>
#include "umndis/errors.h"

/* Called in the context of the driver's call; each may be NULL. */
struct umn_umh_hooks {
    /* UmhExplain: one sentence, valid during the call. NULL: it goes to the log. */
    void (*explain)(const char *text);
    /* UmhDeviceGone: <= DISPATCH_LEVEL, so the listener only queues work. NULL: it goes to the log
     * and the device stays. */
    void (*device_gone)(DEVICE_OBJECT *physical_device_object);
};
/* NULL: none. Set while no driver runs; the structure is copied. */
void umn__umh_hooks_set(const struct umn_umh_hooks *hooks);

/*
 * Opens the device `\Device\...` (UTF-8), sends one IRP_MJ_DEVICE_CONTROL and waits for its end.
 * METHOD_BUFFERED: `in` is copied before, `out` (room for out_len bytes) is written after.
 * *returned (may be NULL) gets the bytes written. PASSIVE_LEVEL, no lock held. Returns
 * STATUS_OBJECT_NAME_... when there is no such device, STATUS_INSUFFICIENT_RESOURCES, or what the
 * driver answered.
 */
NTSTATUS umn__device_ioctl(const char *name, uint32_t code, const void *in, size_t in_len,
                           void *out, size_t out_len, size_t *returned);

#endif
