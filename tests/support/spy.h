/* SPDX-License-Identifier: MIT */
/*
 * What the real MUX does, in the log: its imports and the entry points that it registered are led
 * through functions of ours, which log "mux.<what> ..." before and ".end" after and then do the
 * same. Names are logged as \Device\{GUID} in the case in which they were given.
 *
 *   mux.open NAME / .end NAME STATUS     mux.request NAME / .end NAME STATUS    mux.cancel NAME
 * STATUS mux.deinit NAME / .end NAME STATUS   mux.reenumerate     mux.attributes NAME TYPE STATUS
 *   mux.bind NAME / .end NAME STATUS     mux.unbind NAME / .end NAME            mux.event CODE
 *   mux.init NAME / .end NAME STATUS     mux.halt NAME action N                 mux.pnp NAME N
 *   mux.pause NAME irql N / .end NAME STATUS   mux.restart NAME irql N / .end NAME STATUS
 *   mux.shutdown NAME action N irql N    mux.status CODE           mux.event.end CODE STATUS
 *   mux.close filter N multicast N in NAME / .end STATUS            mux.oid TYPE OID
 *   mux.complete bind|unbind
 */
#ifndef SPY_H
#define SPY_H

#include "world.h"

#define SPY_MAX 8400
/* One NdisIMInitializeDeviceInstanceEx. */
struct spy_request {
    NDIS_HANDLE driver;
    WCHAR name[64];
    unsigned length; /* bytes, as passed */
    void *context;
    NDIS_STATUS status;
    uint32_t ctx, bind_ctx; /* the caller; the context inside mux.bind at that time, 0 = none */
    unsigned locks;         /* spin locks held at the call */
};
struct spy {
    unsigned requests, cancels, deinits, opens, closes, oids, queries, completes;
    unsigned locked;                /* of all watched calls: made with a spin lock held */
    unsigned failed_inits;          /* MiniportInitializeEx in which the armed allocation failed */
    uint32_t unbind_ctx, close_ctx; /* contexts of the last unbind and the last close */
    NDIS_STATUS pended_open;        /* script, not 0: the open pends and ends with this */
    void (*in_pause)(void);         /* before the MUX's MiniportPause / after it */
    void (*after_pause)(NDIS_STATUS);
    bool no_attributes; /* MiniportRestart gets a NULL list */
    void (*on_close)(NDIS_HANDLE binding,
                     void *context); /* after NdisCloseAdapterEx, before the MUX knows */
    void (*before_close)(NDIS_HANDLE binding, void *context);
    struct spy_request request[SPY_MAX];
    NDIS_STATUS fail_open; /* script: NdisOpenAdapterEx returns this and does nothing */
};
extern struct spy spy;
/* After world_mux(), before anything is bound to it. Fails the test if it cannot. */
void spy_mux(void);

/* ---- devices of virtual miniports
 * ---------------------------------------------------------------- */
struct vmdev {
    char id[64], guid[64], name[80]; /* name: \Device\{GUID} */
};
void vm_create(struct vmdev *v, const char *service); /* not started, on no list */
/* Writes UpperBindings of the index-th world_nic below `service`; nobody is told. */
void vm_list(const char *service, unsigned lower, const struct vmdev *v, unsigned count);
void vm_list_text(const char *service, unsigned lower, char *const *names, unsigned count);
/* Names pending in the library: NdisIMInitializeDeviceInstanceEx called, not initialized. */
unsigned vm_pending(void);

/* Index of the last log entry that starts with the prefix, or -1. */
int log_last(const char *prefix);

#endif
