/* SPDX-License-Identifier: MIT */
/*
 * The scripted world of the conformance tests: a lower NIC (service "tnic"), upper protocols
 * ("tproto0".."tproto3"), intermediate drivers ("tim0", "tim1") and the real MUX ("mux"). Each
 * callback logs "<object>.<what> ..." and then does what the script says. Objects are found by
 * number in creation order: nic0, nic1; tproto0.b0; tim0.vm0.
 */
#ifndef WORLD_H
#define WORLD_H

#include <ndis.h>
#include <ntddk.h>
#include <string.h>
#include "conf.h"
#include "config/config.h"
#include "ndis/host.h"
#include "nt/nt.h"
#include "sched/sched.h"

/* ---- the runner's side ----------------------------------------------------------------------- */
void world_reset(void); /* scripts back to their defaults */
void world_enter(void); /* in the box, before the test */
void world_leave(void); /* lets go of everything held, so that the box can go down */
const char *world_driver_path(void);
extern void (*world_more_drivers)(void); /* umn__image_builtin() of a program's own, or NULL */

/* ---- lower NIC ----------------------------------------------------------------------------------
 */
#define NIC_MAX 4200
#define HELD_MAX 64
struct nic {
    bool used, halted, registered;
    unsigned index;
    NDIS_HANDLE handle;   /* MiniportAdapterHandle */
    struct im_driver *im; /* NULL: the plain NIC */
    NDIS_HANDLE im_context;
    char guid[64];
    uint8_t mac[6];
    bool running; /* between restart and pause */
    uint32_t packet_filter, multicast_count, lookahead;
    uint64_t sends, returns;                       /* NBLs */
    NET_BUFFER_LIST *held_sends, *held_sends_tail; /* script hold_sends */
    NDIS_OID_REQUEST *held_oid;
    NDIS_OID last_oid;
    unsigned oids, outstanding_rx;
    NDIS_HALT_ACTION halt_action;
    NDIS_MINIPORT_INIT_PARAMETERS init;
    bool pause_pending, restart_pending;
    NDIS_HANDLE pool; /* NBLs for indications */
    uint8_t last_frame[128];
    uint32_t last_frame_length;
    void *last_8021q;
};
struct nic_script {
    unsigned minor;                                                  /* NDIS 6.minor; default 30 */
    void (*characteristics)(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *); /* edits before registering */
    NDIS_STATUS init_status;
    bool skip_general, skip_registration, general_first, indicate_link_in_init;
    uint32_t attribute_flags; /* added */
    uint32_t mtu;             /* default 1500 */
    uint32_t multicast_max;   /* default 32 */
    bool link_down, pm_capable;
    bool pend_pause, pend_restart; /* complete with nic_complete_pause/_restart */
    NDIS_STATUS restart_status;    /* once, then success */
    bool hold_sends, hold_oids;
    NDIS_STATUS oid_status;        /* != SUCCESS: answer every OID so */
    void (*on_init)(struct nic *); /* inside MiniportInitializeEx, after the attributes */
    void (*on_restart)(struct nic *, NDIS_MINIPORT_RESTART_PARAMETERS *);
    void (*on_pause)(struct nic *);
    void (*on_halt)(struct nic *);
    /* true: handled, *status is the answer */
    bool (*on_oid)(struct nic *, NDIS_OID_REQUEST *, NDIS_STATUS *status);
};
extern struct nic_script nic_script;
extern struct nic nics[NIC_MAX];
extern NDIS_HANDLE nic_driver_handle;
NDIS_STATUS nic_register_status(void); /* what NdisMRegisterMiniportDriver returned */

void nic_complete_pause(struct nic *n);
void nic_complete_restart(struct nic *n, NDIS_STATUS status);
void nic_complete_sends(struct nic *n, NDIS_STATUS status); /* all held */
void nic_complete_oid(struct nic *n, NDIS_STATUS status);
/* Indicates `count` copies of a frame; false if memory was short. At DISPATCH if at_dispatch. */
bool nic_indicate(struct nic *n, const void *frame, uint32_t length, unsigned count,
                  uint32_t flags);
void nic_link(struct nic *n, bool up);
void nic_status(struct nic *n, NDIS_STATUS code, void *buffer, uint32_t size);

/* ---- upper protocol
 * ------------------------------------------------------------------------------- */
#define PROTO_MAX 4
#define BIND_MAX 64
struct bnd {
    bool used, bound, open, bind_over; /* bind_over: ended, whichever way */
    unsigned index;
    struct proto *proto;
    NDIS_HANDLE handle, bind_context, unbind_context;
    NDIS_BIND_PARAMETERS params; /* copy; pointers inside are valid during bind only */
    char adapter[96], section[192];
    NDIS_STATUS open_status, close_status;
    UINT medium_index;
    bool running;
    uint64_t received, completed; /* NBLs */
    NDIS_STATUS last_send_status, last_oid_status, last_status_code;
    unsigned oids_done, statuses;
    NET_BUFFER_LIST *held_rx, *held_rx_tail; /* script hold_rx */
    PNET_PNP_EVENT_NOTIFICATION held_event;
    NDIS_HANDLE pool;
    uint8_t last_frame[128];
    uint32_t last_frame_length, last_rx_flags;
    void *last_8021q;
    unsigned max_irql_seen;
};
struct proto {
    bool used;
    unsigned index;
    char service[16];
    NDIS_HANDLE handle;
    NDIS_STATUS register_status;
    struct bnd b[BIND_MAX];
    unsigned bindings_made;
};
struct proto_script {
    unsigned minor; /* default 30 */
    void (*characteristics)(NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *);
    bool no_open;                /* bind succeeds without opening: refused by NDIS rules */
    NDIS_MEDIUM medium;          /* default NdisMedium802_3 */
    const WCHAR *open_name;      /* open this instead of the adapter's name */
    bool pend_bind, pend_unbind; /* finish with proto_complete_bind/_unbind */
    NDIS_STATUS bind_status;     /* fail the bind (after open and close) */
    uint32_t packet_filter; /* set from NetEventRestart; default directed|mcast|bcast; 0 none */
    bool hold_rx;           /* keep received NBLs until proto_return */
    NET_PNP_EVENT_CODE pend_event; /* pend this event; (NET_PNP_EVENT_CODE)-1 none */
    NET_PNP_EVENT_CODE veto_event;
    void (*on_bind)(struct bnd *);                   /* in bind, after a successful open */
    void (*on_unbind)(struct bnd *);                 /* before close */
    void (*on_event)(struct bnd *, NET_PNP_EVENT *); /* bnd NULL: all bindings */
    void (*on_status)(struct bnd *, NDIS_STATUS_INDICATION *);
    void (*on_receive)(struct bnd *, NET_BUFFER_LIST *, uint32_t flags);
    void (*on_entry)(struct proto *);                         /* at the end of DriverEntry */
    void (*before_open)(struct bnd *, PNDIS_BIND_PARAMETERS); /* in bind, before the open */
    void (*after_open)(struct bnd *); /* NdisOpenAdapterEx has returned b->open_status */
    void (*on_close_complete)(struct bnd *);
};
extern struct proto_script proto_script;
extern struct proto protos[PROTO_MAX];

void proto_complete_bind(struct bnd *b, NDIS_STATUS status);
void proto_complete_unbind(struct bnd *b);
void proto_complete_event(struct bnd *b, NDIS_STATUS status);
void proto_return(struct bnd *b); /* returns all held NBLs */
/* Sends `count` NBLs of one frame (a copy each); false if memory was short. */
bool proto_send(struct bnd *b, const void *frame, uint32_t length, unsigned count);
/* One OID request, waiting for its completion. Returns the final status. */
NDIS_STATUS proto_oid(struct bnd *b, NDIS_REQUEST_TYPE type, NDIS_OID oid, void *buffer,
                      uint32_t length, uint32_t *done);
/* An OID that is not waited for; b->oids_done and last_oid_status tell. Returns NdisOidRequest's.
 */
NDIS_STATUS proto_oid_async(struct bnd *b, NDIS_REQUEST_TYPE type, NDIS_OID oid, void *buffer,
                            uint32_t length, void *request_id, unsigned timeout_s);
struct bnd *proto_on(unsigned proto, const char *guid); /* the open binding on an adapter or NULL */

/* ---- test intermediate driver
 * ------------------------------------------------------------------------ */
/*
 * Registers both edges; its miniport callbacks are those of a nic (nics[] entries with im_context),
 * its protocol edge is protos[] entry with service "timN". The script decides what bind requests.
 */
#define IM_MAX 2
struct im_driver {
    bool used;
    char service[16];
    NDIS_HANDLE miniport, protocol;
    NDIS_STATUS register_status;
};
struct im_script {
    bool skip_associate;
    bool no_intermediate_flag;
    void (*characteristics)(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *);
    void (*on_bind)(struct bnd *);          /* in bind after open: usually im_request()s */
    void (*on_unbind)(struct bnd *);        /* usually cancels and de-initializes */
    NDIS_STATUS entry_status;               /* DriverEntry fails with it after registering both */
    void (*after_register)(struct proto *); /* in DriverEntry, both edges registered */
    const char *request_in_entry;           /* device name requested in DriverEntry before that */
};
extern struct im_script im_script;
extern struct im_driver ims[IM_MAX];
/* NdisIMInitializeDeviceInstanceEx / Cancel / DeInitialize with a device name `\Device\{GUID}` or
 * `{GUID}`; logged as "timN.request NAME = status". */
NDIS_STATUS im_request(unsigned im, const char *name, void *context);
NDIS_STATUS im_cancel(unsigned im, const char *name);
NDIS_STATUS im_deinitialize(struct nic *vm);

/* ---- building stacks (host side; each fails the test when it must not fail)
 * --------------------------- */
/* Creates an adapter of tnic; started unless told not to. index counts from 0. */
struct nic *world_nic(bool start);
const char *world_nic_guid(unsigned index); /* of the index-th world_nic, "{...}" */
const char *world_nic_instance(unsigned index);
void world_proto(unsigned index); /* adds and loads service tproto<index> */
void world_bind(const char *protocol, const char *guid);
void world_im(unsigned index); /* adds and loads service tim<index> */
/* A device for a virtual miniport of service; not started, not in UpperBindings. */
#define WORLD_VMS 4200
void world_vm_device(const char *service, char *instance_id, char *guid);
void world_mux(void); /* adds and loads the real MUX, not bound */
/* Adds a virtual miniport of the MUX over nic `lower` through netcfg; upper may be NULL. */
void world_vm(unsigned lower, const char *upper, int vlan, char *instance_id, char *guid);
struct nic *nic_by_guid(const char *guid); /* newest not halted, or NULL */
/* State of an adapter as umn__ndis_adapters tells it, "" if there is none; static buffer. */
const char *adapter_state(const char *guid);
const char *binding_state(const char *guid, const char *protocol);
/* Lets everything that can run do so (virtual time moves by ms). */
void settle(unsigned ms);
/* Runs fn in another system thread and returns its context for umn__ctx_join. */
struct umn_ctx *in_thread(void (*fn)(void *), void *arg);
/* Runs fn at DISPATCH_LEVEL in the calling context. */
void at_dispatch(void (*fn)(void *), void *arg);
/* A 60-byte Ethernet frame into buf; returns 60. */
uint32_t frame(uint8_t *buf, const uint8_t *to, const uint8_t *from, uint16_t type);
extern const uint8_t mac_broadcast[6], mac_other[6];

#endif
