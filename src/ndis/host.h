/* SPDX-License-Identifier: MIT */
/*
 * The NDIS library as the host sees it (config, box, cli, tests). Driver-facing functions are in
 * <ndis.h>. PASSIVE_LEVEL, no lock held, unless a line says otherwise.
 */
#ifndef UMN_NDIS_HOST_H
#define UMN_NDIS_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ndis.h>
#include "umndis/errors.h"

int umn__ndis_start(void);
void umn__ndis_stop(void); /* everything must be unloaded; reports what is left */

/* Named settings for the open questions of conformance.md, and test modes. Reset by start. */
struct umn_ndis_settings {
    bool eager_bind;     /* question 13: bind inside NdisRegisterProtocolDriver */
    bool async_open;     /* NdisOpenAdapterEx pends and completes from a worker */
    bool async_close;    /* NdisCloseAdapterEx pends even when it need not */
    unsigned ndis_minor; /* highest minor version offered to drivers, 87 = all */
};
extern struct umn_ndis_settings umn__ndis_settings;

/*
 * Linkage\Bind of a protocol service has changed in the registry: binds what is new and unbinds
 * what is gone; returns when done. NULL: every protocol.
 */
int umn__ndis_rebind(const char *protocol_service);
/*
 * NetEventReconfigure (SendPnpReconfig): to the binding on adapter `\Device\{GUID}`, or with NULL
 * adapter to the protocol with a NULL binding context. *status (may be NULL): what it answered.
 * UMN_ENOENT: no such protocol or binding.
 */
int umn__ndis_reconfigure(const char *protocol_service, const char *adapter, const void *data,
                          size_t size, NDIS_STATUS *status);
/* Power-off: MiniportShutdownEx(NdisShutdownPowerOff) of every adapter, upper ones first. */
void umn__ndis_shutdown(void);

/* Snapshots for show and tests. Strings are valid during the callback. visit returns false to end.
 */
struct umn_binding_info {
    const char *protocol; /* service */
    const char *state;    /* Opening Paused Restarting Running Pausing Closing */
    uint32_t packet_filter;
    uint64_t sends_out, receives_out; /* NBLs not yet completed / returned */
};
struct umn_adapter_info {
    const char *name;        /* \Device\{GUID} */
    const char *service;     /* miniport driver */
    const char *instance_id; /* ROOT\NET\0001 */
    const char *friendly;    /* FriendlyName / connection name or "" */
    const char *state;       /* Halted Initializing Paused Restarting Running Pausing Shutdown */
    bool virtual_miniport;   /* made by NdisIMInitializeDeviceInstanceEx */
    uint8_t mac[32];
    uint8_t mac_len;
    uint32_t mtu, ifindex;
    uint64_t luid;
    bool link_up;
    uint64_t xmit_speed, rcv_speed; /* bit/s */
    uint32_t packet_filter;
    unsigned bindings;
    const struct umn_binding_info *binding; /* [bindings] */
};
void umn__ndis_adapters(bool (*visit)(void *arg, const struct umn_adapter_info *), void *arg);
/* Requests waiting for their device: virtual miniports asked for and not started by PnP. */
void umn__ndis_im_requests(bool (*visit)(void *arg, const char *device, const char *service),
                           void *arg);
/* Interface stack table rows. */
void umn__ndis_ifstack(bool (*visit)(void *arg, uint32_t upper, uint32_t lower), void *arg);
/* Statistics of an adapter through OID_GEN_STATISTICS. UMN_ENOENT, UMN_EIO. */
int umn__ndis_statistics(const char *adapter, NDIS_STATISTICS_INFO *out);
/* Issues one OID request to an adapter as NDIS itself and waits. buffer is in and out; *length in:
 * size, out: bytes written or read. Returns 0 and *status, or UMN_ENOENT. */
int umn__ndis_oid(const char *adapter, NDIS_REQUEST_TYPE type, NDIS_OID oid, void *buffer,
                  unsigned *length, NDIS_STATUS *status);

#endif
