/* SPDX-License-Identifier: MIT */
/*
 * Shared by the control path of src/ndis (drivers, adapters, bindings, PnP, IM requests), not by
 * the data path. Everything here is guarded by `ndis.lock` unless a line says otherwise.
 */
#ifndef NDIS_CONTROL_H
#define NDIS_CONTROL_H

#include "ndis/internal.h"

/* ---- frames: which callback of which object runs in which context -----------------------------
 */
/*
 * A frame lies on the stack of the context that calls a driver. The list tells whether a call is
 * made from a context in which it is legal (IM-BND-04, IM-BND-15, IM-UNB-03, question 15).
 */
enum ndis_frame_kind {
    NDIS_FRAME_ENTRY,      /* DriverEntry */
    NDIS_FRAME_UNLOAD,     /* MiniportDriverUnload */
    NDIS_FRAME_SETOPTIONS, /* MiniportSetOptions, ProtocolSetOptions */
    NDIS_FRAME_INITIALIZE, /* MiniportInitializeEx */
    NDIS_FRAME_MINIPORT,   /* another MiniportXxx */
    NDIS_FRAME_BIND,
    NDIS_FRAME_UNBIND,
    NDIS_FRAME_EVENT,
    NDIS_FRAME_PROTOCOL
};
struct ndis_frame {
    struct umn_list link; /* ndis.frames, innermost first */
    struct umn_ctx *ctx;
    enum ndis_frame_kind kind;
    const void *object;  /* ndis_mdriver, ndis_adapter, ndis_protocol or DRIVER_OBJECT */
    const void *binding; /* ndis_binding of an event or unbind, ndis_bind_op of a bind, or NULL */
    const char *name;
    uint8_t irql;
    unsigned locks;
};
/* Before / after a callback. enter is a scheduling point and reports locks that the caller of the
 * outgoing call holds (IM-SYN-02); leave reports a changed IRQL or spin locks kept and puts the
 * IRQL back. No lock held. */
void ndis__frame_enter(struct ndis_frame *f, enum ndis_frame_kind kind, const void *object,
                       const void *binding, const char *name);
void ndis__frame_leave(struct ndis_frame *f);
/* Whether the calling context is inside such a callback of object (NULL: of anything). */
bool ndis__frame_inside(enum ndis_frame_kind kind, const void *object);
/* The innermost frame of the calling context, or NULL. It lies on the caller's own stack. */
const struct ndis_frame *ndis__frame_of_self(void);
/* Whether the caller is inside an event of protocol p that has a binding context. */
bool ndis__frame_event_bound(const struct ndis_protocol *p);
const struct ndis_bind_op *ndis__frame_bind_op(const struct ndis_protocol *p); /* lock held */
unsigned ndis__frame_count(const void *object); /* of the calling context; lock held */
/* The innermost frame of the calling context of that kind, for its object. NULL if none. */
const void *ndis__frame_object(enum ndis_frame_kind kind);

/* ---- wait queues: contexts parked until somebody changes a state -------------------------------
 */
struct ndis_waiter {
    struct umn_list link;
    struct umn_ctx *ctx;
    uint32_t woken;
};
/* Call with ndis.lock held: queues the caller, drops the lock, parks until woken; lock not held on
 * return. PASSIVE. */
void ndis__wait_unlock(struct umn_list *waiters, const char *why, const void *object);
void ndis__wake_one(struct ndis_waiter *w); /* ndis.lock held */
/* Wakes every waiter of the list. ndis.lock held on entry and released on return. */
void ndis__wake_unlock(struct umn_list *waiters);

/* ---- objects and memory ------------------------------------------------------------------------
 */
uint32_t ndis__new_id(void);
/* True if handle is a live handle of that kind, whatever it points to; else reports rule
 * HandleType. For functions off the data path. */
bool ndis__live(NDIS_HANDLE handle, enum ndis_kind kind, const char *function);
/* For an adapter, binding or protocol handle that may be garbage: true with a reference if live. */
bool ndis__live_get(NDIS_HANDLE handle, enum ndis_kind kind);
/* IRQL and locks of a control call. max: UMN_PASSIVE, UMN_APC, UMN_DISPATCH. */
bool ndis__entry_ok(uint8_t max, const char *function);
/* 0 if the header is of that type and at least one of the revisions; else reports (0x7C / 0x21) and
 * returns NDIS_STATUS_BAD_VERSION or NDIS_STATUS_FAILURE. */
NDIS_STATUS ndis__header_check(const NDIS_OBJECT_HEADER *h, unsigned type, unsigned revision,
                               size_t size, const char *function);
void ndis__adapter_get(struct ndis_adapter *a); /* lock held by the caller */
void ndis__adapter_put(
    struct ndis_adapter *a); /* lock not held; a removed one goes to the graves */
void ndis__binding_get(struct ndis_binding *b); /* lock held */
void ndis__binding_put(struct ndis_binding *b);
void ndis__protocol_get(struct ndis_protocol *p); /* lock held */
void ndis__protocol_put(struct ndis_protocol *p);
void ndis__mdriver_get(struct ndis_mdriver *d); /* lock held */
void ndis__mdriver_put(struct ndis_mdriver *d);
void *ndis__grave_new(void); /* NULL: no memory */
/* Walks adapters / protocols in order of creation: drops the reference on `after` (NULL at first)
 * and returns the next one with a reference, or NULL at the end. What is added meanwhile is seen.
 */
struct ndis_adapter *ndis__adapter_ref(const char *name); /* find, with a reference */
struct ndis_adapter *ndis__adapter_next(struct ndis_adapter *after);
struct ndis_protocol *ndis__protocol_next(struct ndis_protocol *after);
/* UTF-8, upper case, with \DEVICE\ in front; NULL: no memory or *status INVALID (empty,
 * malformed).*/
char *ndis__canonical(const UNICODE_STRING *name, NDIS_STATUS *status);
char *ndis__canonical_utf8(const char *name);

/* A table of names; the nodes belong to their holders. */
#define NDIS_NAME_BUCKETS 4096
struct ndis_names {
    struct ndis_name *bucket[NDIS_NAME_BUCKETS];
};
uint32_t ndis__name_hash(const char *text);
struct ndis_name *ndis__name_find(const struct ndis_names *t, const char *canonical);
void ndis__name_add(struct ndis_names *t, struct ndis_name *n); /* n->text set */
void ndis__name_remove(struct ndis_names *t, struct ndis_name *n);
extern struct ndis_names ndis__adapter_names;

/* ---- drivers (driver.c) -------------------------------------------------------------------------
 */
struct ndis_mdriver *ndis__mdriver_for(DRIVER_OBJECT *driver, DEVICE_OBJECT *pdo);
/* Waits until the driver's DriverEntry has returned; false if it failed. IM-REG-06. */
bool ndis__mdriver_ready(DRIVER_OBJECT *driver);
void ndis__drivers_start(void);
void ndis__drivers_stop(void);
DRIVER_OBJECT *ndis__entry_driver(void); /* whose DriverEntry the caller is inside, or NULL */
bool ndis__driver_entering(const DRIVER_OBJECT *driver);
bool ndis__version_known(unsigned major, unsigned minor);
void ndis__mdriver_deregister(struct ndis_mdriver *d);

/* ---- protocols (protocol.c)
 * ---------------------------------------------------------------------- */
void ndis__protocols_release(DRIVER_OBJECT *driver); /* DriverEntry returned: bind now */
/* Deregisters what a driver (NULL: anybody) left behind, with a report. */
void ndis__protocols_drop(DRIVER_OBJECT *driver, const char *when);
void ndis__protocols_uninstall(DRIVER_OBJECT *driver); /* before MiniportDriverUnload */
/* A callback into p begins: false if it is being deregistered. end wakes who waits. */
bool ndis__protocol_busy(struct ndis_protocol *p);
void ndis__protocol_idle(struct ndis_protocol *p);

/* ---- bind operations (bind.c)
 * --------------------------------------------------------------------- */
struct ndis_bind_op {
    struct ndis_object obj; /* BindContext */
    struct umn_list link;   /* ndis.bind_ops */
    struct ndis_adapter *adapter;
    struct ndis_protocol *protocol;
    struct ndis_binding *binding; /* made by NdisOpenAdapterEx */
    struct umn_ctx *ctx;
    bool in_callback, opened_once;
    struct ndis_completion done;
    NDIS_BIND_PARAMETERS *parameters;
    /* what parameters point to */
    UNICODE_STRING section, name;
    WCHAR *section_text;
    NDIS_PORT port;
    NDIS_PM_CAPABILITIES pm;
    NDIS_PNP_CAPABILITIES pnp;
    NDIS_RECEIVE_SCALE_CAPABILITIES rss;
    NDIS_OFFLOAD offload;
    NDIS_BIND_PARAMETERS storage;
};
/* The operation that handle (BindContext or NDIS_BIND_PARAMETERS pointer) names, or NULL. */
struct ndis_bind_op *ndis__bind_op_find(NDIS_HANDLE handle);
int ndis__bind_params(struct ndis_bind_op *op); /* bindparams.c */
void ndis__bind_params_free(struct ndis_bind_op *op);
/* Binds p to a if it wants it and is not bound. Inside an op, adapter Paused. */
void ndis__bind_one(struct ndis_protocol *p, struct ndis_adapter *a);
/* Takes the op, pauses and restarts around the bind if it is needed. */
void ndis__bind_pair(struct ndis_protocol *p, struct ndis_adapter *a);
void ndis__bind_protocol(struct ndis_protocol *p); /* to every adapter there is */
/* pause (if running), unbind, restart. Takes the op. */
void ndis__unbind_pair(struct ndis_binding *b);
/* The binding of p on a, or NULL. Lock held. */
struct ndis_binding *ndis__binding_of(struct ndis_protocol *p, struct ndis_adapter *a);
void ndis__unbind_all(struct ndis_adapter *a);    /* inside an op, adapter Paused */
void ndis__binding_hooks(struct ndis_binding *b); /* on_zero, close work; after dp_binding_init */
void ndis__binding_force_close(struct ndis_binding *b, const char *why);
bool ndis__binding_quiet(const struct ndis_binding *b);
/* True while b may be called: between the end of open and the end of close. Lock held. */
static inline bool ndis__binding_callable(const struct ndis_binding *b)
{
    return b->opened && !b->close_finished;
}

/* ---- Linkage\Bind (bindlist.c)
 * ---------------------------------------------------------------------- */
void ndis__bindlist_invalidate(struct ndis_protocol *p);
void ndis__bindlist_free(struct ndis_protocol *p);
bool ndis__protocol_wants_adapter(struct ndis_protocol *p, const struct ndis_adapter *a);

/* ---- start and stop of an adapter (adapter.c)
 * --------------------------------------------------------- */
/* initialize, bind, restart: inside an op. im: the request that is granted, or NULL. */
NDIS_STATUS ndis__adapter_bring_up(struct ndis_adapter *a);
/* pause, unbind, halt: inside an op. Nothing if Halted or Shutdown. */
void ndis__adapter_tear_down(struct ndis_adapter *a, NDIS_HALT_ACTION action);
void ndis__attributes_free(struct ndis_adapter *a);
const char *ndis__adapter_state_name(enum ndis_adapter_state s);
const char *ndis__binding_state_name(enum ndis_binding_state s);
void ndis__adapter_notify(struct ndis_adapter *a, NDIS_DEVICE_PNP_EVENT event, void *buffer,
                          ULONG length);
bool ndis__default_port(const struct ndis_adapter *a); /* port 0 is active: binds may come */
/* FriendlyName or DriverDesc, plat_alloc'd, or NULL. Of the node (NULL: none) the two names are
 * used. */
char *ndis__friendly_name(const struct umn_devnode *node);
/* UTF-8 value of the device's class key, plat_alloc'd, or NULL. */
char *ndis__device_value(const struct umn_devnode *node, const char *name);
uint32_t ndis__device_dword(DEVICE_OBJECT *pdo, const char *name, uint32_t fallback);
int ndis__device_set_dword(DEVICE_OBJECT *pdo, const char *name, uint32_t value);

/* ---- events (event.c)
 * ---------------------------------------------------------------------------------- */
void ndis__event_binds_complete(struct ndis_protocol *p);
void ndis__event_reenable(struct ndis_adapter *a);
/* Waits for the end of the event that another context sends to b; from then on b gets none but
 * pause and restart. Inside an op. PASSIVE. */
void ndis__event_unbinding(struct ndis_binding *b);

/* ---- IM requests (im.c)
 * --------------------------------------------------------------------------------- */
/* What becomes of the request of an adapter that has been halted / failed to initialize. */
void ndis__im_initialized(struct ndis_adapter *a, bool success);
void ndis__im_not_begun(struct ndis_adapter *a);
void ndis__im_halted(struct ndis_adapter *a, NDIS_HALT_ACTION action);
/* An unbind has ended: what was asked for in its bind must not be pending (ST-14). */
void ndis__im_unbound(const struct ndis_binding *b);
void ndis__im_stop(void);

/* ---- interfaces (ifs.c)
 * ---------------------------------------------------------------------------------- */
void ndis__ifs_stop(void);

/* ---- a control job in a thread of its own
 * ------------------------------------------------------------------ */
/* Runs fn(arg) at PASSIVE in a new thread, or in the worker itself if no thread can be had. From
 * <= DISPATCH. False: no memory, nothing happens. */
bool ndis__job(void (*fn)(void *), void *arg, const char *name);

#endif
