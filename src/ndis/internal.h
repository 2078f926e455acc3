/* SPDX-License-Identifier: MIT */
/*
 * Shared inside src/ndis only. One owner for each state:
 *
 *   driver.c    struct ndis_mdriver, struct ndis_protocol: registration and association
 *   adapter.c   ndis_adapter.state: initialize, halt, shutdown, attributes      (adapter ops)
 *   pnp.c       AddDevice, IRP_MJ_PNP dispatch, the PnP half of a start
 *   im.c        device instance requests: the driver's half of a start
 *   binding.c   ndis_binding.state: bind, open, close, unbind, complete
 *   stack.c     pause and restart of a whole stack, in order
 *   event.c     NetPnP events        status.c  status indications
 *   ifs.c       interfaces, LUIDs, stack table     config.c  NdisOpenConfigurationEx and kin
 *   oid.c       ndis_adapter.oid: the request queue     filter.c  packet filters, multicast lists
 *   oidquery.c  what NDIS answers itself
 *   send.c receive.c  the data path     gate.c  rundown gates
 *   pool.c nb.c clone.c mdl.c context.c  NET_BUFFER_LISTs
 *   memory.c lock.c timer.c work.c string.c misc.c  services over src/nt
 *
 * Locks: `ndis.lock` (leaf) guards the lists of drivers, protocols, adapters, bindings, IM requests
 * and every state field. It is never held across a callback or a wait. Operations that change an
 * adapter's stack (initialize, bind, unbind, pause, restart, halt, power) are serial per adapter:
 * ndis__op_begin/_end, a sleeping ownership that IS held across callbacks. Nesting goes upward only
 * (the operation on a lower adapter may wait for one on a virtual miniport above, never the
 * reverse), so it cannot deadlock. A network PnP event takes only the turn of its binding
 * (ndis_binding.event_owner, event.c): below an operation on the same adapter, above everything
 * that is higher up. Hence NdisMNetPnPEvent may be called by a driver that keeps the adapter from
 * being halted meanwhile.
 */
#ifndef NDIS_INTERNAL_H
#define NDIS_INTERNAL_H

#include <ndis.h>
#include <ntddk.h>
#include "check/check.h"
#include "ndis/host.h"
#include "nt/nt.h"
#include "plat/plat.h"
#include "sched/list.h"
#include "sched/sched.h"
#include "trace/trace.h"

/* ---- handles: every object that a driver gets as NDIS_HANDLE opens with this -------------------
 */
enum ndis_kind {
    NDIS_KIND_DEAD = 0,
    NDIS_KIND_MDRIVER = 0x4d445256, /* 'MDRV' */
    NDIS_KIND_PROTOCOL = 0x50524f54,
    NDIS_KIND_ADAPTER = 0x41445054,
    NDIS_KIND_BINDING = 0x42494e44,
    NDIS_KIND_CONFIG = 0x434f4e46,
    NDIS_KIND_FILTER_DRIVER = 0x46445256,
    NDIS_KIND_FILTER = 0x464c5452,
    NDIS_KIND_GENERIC = 0x47454e52,
    NDIS_KIND_BIND = 0x42494f50, /* BindContext: one bind operation, bind.c */
    NDIS_KIND_IFPROVIDER = 0x49465056,
    NDIS_KIND_UNBIND = 0x554e4244, /* UnbindContext: inside the binding */
};
struct ndis_object {
    uint32_t kind;                 /* enum ndis_kind; DEAD (poisoned) once the handle is dead */
    uint32_t id;                   /* logical, by creation order: what traces and reports print */
    struct ndis_object *live_next; /* table of live handles, ndis.c */
};
/* Makes the object's address a live handle (gives it an id if it has none) / a dead one. */
void ndis__object_live(struct ndis_object *o, enum ndis_kind kind);
void ndis__object_dead(struct ndis_object *o);
/* True if handle is non-NULL and a live object of that kind. Reports rule `HandleType` with the
 * function's name if not. The pointer must be readable memory: stale handles stay readable because
 * dead adapters and bindings are kept in a graveyard until umn__ndis_stop. */
bool ndis__is(NDIS_HANDLE handle, enum ndis_kind kind, const char *function);
enum ndis_kind ndis__kind(NDIS_HANDLE handle); /* DEAD for NULL; checked against the live list */

/* ---- gates: rundown protection of a running path ----------------------------------------------
 */
/*
 * enter is called per batch on the data path: at DISPATCH_LEVEL it writes only a cache line of the
 * vCPU's own, which tells what gates the calls under way there are in. close makes every later
 * enter fail and waits (PASSIVE) until those inside have left; open lets in again. A gate starts
 * closed.
 */
struct ndis_gate {
    uint32_t open;
    uint32_t inside; /* calls that have no place in struct ndis_cpu: from below DISPATCH_LEVEL */
};

/* What runs on a vCPU at DISPATCH_LEVEL. `call` is written there only and read by closers. */
#define NDIS_CPU_CALLS 15
struct ndis_cpu {
    struct ndis_gate *call[NDIS_CPU_CALLS];
    struct ndis_delivery *delivery; /* innermost; data.h */
} __attribute__((aligned(128)));
extern struct ndis_cpu ndis__cpu[64];
#define NDIS_GATE_SHARED                                                                           \
    (~0u) /* slot of a call that is counted in the gate; else vCPU << 4 | place */

int ndis__gate_init(struct ndis_gate *g);
bool NTAPI ndis__gate_enter_shared(struct ndis_gate *g, unsigned *slot);
void NTAPI ndis__gate_leave_shared(struct ndis_gate *g);
void NTAPI ndis__gate_wake(struct ndis_gate *g); /* after leaving a shut gate */

static inline __attribute__((always_inline)) void ndis__gate_leave(struct ndis_gate *g,
                                                                   unsigned slot)
{
    if (__builtin_expect(slot == NDIS_GATE_SHARED, 0)) {
        ndis__gate_leave_shared(g);
        return;
    }
    __atomic_store_n(&ndis__cpu[slot >> 4].call[slot & 15], NULL, __ATOMIC_RELEASE);
    umn__fence_light();
    if (__builtin_expect(!__atomic_load_n(&g->open, __ATOMIC_RELAXED), 0))
        ndis__gate_wake(g);
}

/*
 * True and *slot: the caller is inside until ndis__gate_leave(g, *slot), at the same IRQL. The call
 * is noted first and the gate looked at afterwards: a closer that finds it empty knows that whoever
 * comes later sees the closed gate. <= DISPATCH.
 */
static inline __attribute__((always_inline)) bool ndis__gate_enter(struct ndis_gate *g,
                                                                   unsigned *slot)
{
    unsigned cpu = umn__cpu_quick(), i = 0;

    if (__builtin_expect(umn__irql_quick() < UMN_DISPATCH, 0))
        return ndis__gate_enter_shared(g, slot);
    while (__atomic_load_n(&ndis__cpu[cpu].call[i], __ATOMIC_RELAXED))
        if (__builtin_expect(++i == NDIS_CPU_CALLS, 0))
            return ndis__gate_enter_shared(g, slot);
    __atomic_store_n(&ndis__cpu[cpu].call[i], g, __ATOMIC_RELAXED);
    umn__fence_light();
    *slot = cpu << 4 | i;
    if (__builtin_expect(__atomic_load_n(&g->open, __ATOMIC_ACQUIRE), 1))
        return true;
    ndis__gate_leave(g, *slot);
    return false;
}
void ndis__gate_open(struct ndis_gate *g);
void ndis__gate_shut(struct ndis_gate *g);  /* <= DISPATCH: no later enter succeeds; no wait */
void ndis__gate_close(struct ndis_gate *g); /* shut, then wait at PASSIVE */

/* Outstanding things (NBLs, OIDs): add/sub at <= DISPATCH, wait at PASSIVE until zero. */
struct ndis_outstanding {
    int64_t count;
    struct umn_ctx *waiter;
    /* Called by the out_sub that brings the count to zero, at its IRQL; NULL = nobody cares. A
     * close that pends learns so that it can complete (binding.c). Must not free the object. */
    void (*on_zero)(struct ndis_outstanding *o);
};
void NTAPI ndis__out_gone(struct ndis_outstanding *o, int64_t left);
static inline __attribute__((always_inline)) void ndis__out_add(struct ndis_outstanding *o,
                                                                int64_t n)
{
    __atomic_fetch_add(&o->count, n, __ATOMIC_SEQ_CST);
}
static inline __attribute__((always_inline)) void ndis__out_sub(struct ndis_outstanding *o,
                                                                int64_t n)
{
    int64_t left = __atomic_sub_fetch(&o->count, n, __ATOMIC_SEQ_CST);

    if (left <= 0 && (o->on_zero || __atomic_load_n(&o->waiter, __ATOMIC_SEQ_CST)))
        ndis__out_gone(o, left);
}
/* The same for receives: the count may be below zero while the callback that indicated them has not
 * returned (data.h). Who waits does so behind a closed gate, when no such callback is under way. */
static inline __attribute__((always_inline)) void ndis__out_back(struct ndis_outstanding *o,
                                                                 int64_t n)
{
    int64_t left = __atomic_sub_fetch(&o->count, n, __ATOMIC_SEQ_CST);

    if (left == 0 && (o->on_zero || __atomic_load_n(&o->waiter, __ATOMIC_SEQ_CST)))
        ndis__out_gone(o, left);
}
void ndis__out_wait(struct ndis_outstanding *o, const char *why);

/* A one-shot completion that a callback may finish inline or later from any context. */
struct ndis_completion {
    struct umn_mutex lock;
    bool done;
    NDIS_STATUS status;
    struct umn_ctx *waiter;
};
void ndis__completion_init(struct ndis_completion *c);
bool ndis__completion_finish(struct ndis_completion *c, NDIS_STATUS status); /* false: was done */
NDIS_STATUS ndis__completion_wait(struct ndis_completion *c, const char *why);

/* ---- names: \DEVICE\{GUID} in upper case, hashed ------------------------------------------------
 */
struct ndis_name {
    struct ndis_name *next;
    uint32_t hash;
    char *text; /* plat_alloc'd, owned by the holder of the node */
};

/* ---- drivers ----------------------------------------------------------------------------------
 */
struct ndis_mdriver {
    struct ndis_object obj;
    struct umn_list link; /* ndis.mdrivers */
    DRIVER_OBJECT *driver_object;
    const char *service;
    NDIS_HANDLE context; /* MiniportDriverContext */
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS chars;
    PDRIVER_UNLOAD previous_unload;
    struct ndis_protocol *associated;
    struct umn_list adapters; /* ndis_adapter.driver_link */
    bool intermediate, entry_returned;
    NDIS_MINIPORT_PNP_CHARACTERISTICS pnp; /* optional handlers */
    unsigned refs;
    void *grave;
};
struct ndis_protocol {
    struct ndis_object obj;
    struct umn_list link;         /* ndis.protocols */
    DRIVER_OBJECT *driver_object; /* NULL if the registering driver is unknown */
    char *service;                /* from Characteristics.Name, UTF-8 */
    NDIS_HANDLE context;
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS chars;
    struct ndis_mdriver *associated;
    struct umn_list bindings; /* ndis_binding.protocol_link */
    bool binds_held, deregistering;
    void *grave;         /* made beforehand: dying needs no memory */
    unsigned refs, busy; /* memory; callbacks under way that deregister waits for */
    struct umn_list busy_waiters;
    struct ndis_bindlist *list; /* parsed Linkage\Bind, bindlist.c */
};

/* ---- adapters ---------------------------------------------------------------------------------
 */
enum ndis_adapter_state {
    NDIS_ADAPTER_HALTED,
    NDIS_ADAPTER_INITIALIZING,
    NDIS_ADAPTER_PAUSED,
    NDIS_ADAPTER_RESTARTING,
    NDIS_ADAPTER_RUNNING,
    NDIS_ADAPTER_PAUSING,
    NDIS_ADAPTER_SHUTDOWN
};
enum ndis_binding_state {
    NDIS_BINDING_UNBOUND,
    NDIS_BINDING_OPENING,
    NDIS_BINDING_PAUSED,
    NDIS_BINDING_RESTARTING,
    NDIS_BINDING_RUNNING,
    NDIS_BINDING_PAUSING,
    NDIS_BINDING_CLOSING
};

/* The request queue of an adapter; oid.c alone touches it. */
struct ndis_oid_queue {
    struct umn_mutex lock;
    struct umn_list waiting; /* ndis_oid_item.link */
    struct ndis_oid_item *running;
    struct umn_work work;
    bool work_queued, refuse; /* refuse: halting, complete new requests with NDIS_STATUS_CLOSING */
    bool calling;             /* the miniport's handler has not returned: start nothing */
    NDIS_STATUS refuse_status;
    struct umn_ctx *waiter; /* ndis__oid_drain */
};

/* Captured attributes: deep copies that live until halt has returned. */
struct ndis_attributes {
    bool have_registration, have_general;
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES registration;
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES general; /* inner pointers are ours */
    bool have_offload;
    NDIS_OFFLOAD offload_default, offload_hardware;
    bool have_hardware_assist;
};

/* The first line is all of an adapter that a receive at DISPATCH_LEVEL touches when its one binding
 * returns the NBLs inside the callback; it is not written. The second is for the rest of the data
 * path. */
struct ndis_adapter {
    struct ndis_object obj;
    struct ndis_gate rx_gate;  /* open from restart begun until pause begun */
    NDIS_HANDLE only_context;  /* of `only`: its line is called into the cache beforehand */
    struct ndis_binding *only; /* running[0] if running_count is 1, else NULL */
    uint64_t mac;              /* current address, first byte lowest; filter.c */
    uint32_t filter_set;       /* what the miniport was last given */
    bool frames_802_3;         /* frames start with a destination address */
    bool loopback;             /* some binding wants to see sends; filter.c */
    bool resetting;            /* between RESET_START and RESET_END */
    NDIS_HANDLE context;       /* MiniportAdapterContext, from registration attributes */

    struct ndis_mdriver *driver __attribute__((aligned(64)));
    struct ndis_outstanding rx_out;   /* NBLs indicated and not yet back */
    struct ndis_outstanding call_out; /* MiniportReturnNetBufferLists and the like under way */

    /* data path: send.c, receive.c. `running` is rebuilt at restart, immutable while Running */
    struct ndis_binding **running __attribute__((aligned(64)));
    unsigned running_count;
    struct umn_list link;        /* ndis.adapters */
    struct umn_list driver_link; /* ndis_mdriver.adapters */
    DEVICE_OBJECT *pdo, *fdo, *next_device;
    char *name;                    /* \Device\{GUID} */
    UNICODE_STRING name_us;        /* the same */
    enum ndis_adapter_state state; /* adapter.c */
    struct ndis_attributes attr;
    NDIS_HANDLE im_context; /* DeviceContext of a virtual miniport */
    bool is_vm, pnp_started, im_requested, surprise_removed, removing;
    /* link state: status.c */
    NDIS_LINK_STATE link_state;
    uint32_t mtu; /* from attributes, restart attributes */
    /* operations: stack.c */
    struct umn_ctx *op_owner;
    unsigned op_depth;
    struct umn_list op_waiters;
    struct ndis_completion pause_done, restart_done;
    bool pause_pending, restart_pending;
    /* bindings, newest last; changed only inside an operation while Paused */
    struct umn_list bindings; /* ndis_binding.adapter_link */
    /* requests, filters */
    struct ndis_oid_queue oid;
    unsigned multicast_count; /* the list that the miniport was last given */
    uint64_t *multicast;
    uint32_t lookahead_set; /* likewise */
    /* reset.c */
    bool reset_pending, reset_addressing;
    uint32_t reset_wanted;
    struct umn_work reset_work;
    struct ndis_completion reset_done;
    /* ifs.c */
    NET_IFINDEX ifindex;
    NET_LUID luid;
    bool port0_active;
    unsigned refs; /* handle memory; freed at umn__ndis_stop */
    /* names and halves of a start: ndis.c, im.c */
    struct ndis_name name_node;      /* canonical upper-case name */
    struct ndis_im_request *request; /* the request that was granted, while it lasts */
    struct umn_ctx *init_ctx;        /* the context inside MiniportInitializeEx, else NULL */
    NDIS_HANDLE add_device_context;  /* optional MiniportAddDevice */
    void *grave;
    bool failed, gone;              /* NdisMRemoveMiniport called; the device was removed */
    bool im_not_begun;              /* im.c: no memory before MiniportInitializeEx; inside the op */
    struct ndis_iface *iface;       /* ifs.c */
    NET_IF_OPER_STATUS oper_status; /* status.c */
};

/* The first line is for receives, the second for sends and what is held. */
struct ndis_binding {
    struct ndis_object obj;
    struct ndis_adapter *adapter;
    struct ndis_protocol *protocol;
    NDIS_HANDLE context;           /* ProtocolBindingContext */
    enum ndis_binding_state state; /* binding.c */
    uint32_t packet_filter;        /* filter.c */
    uint32_t data_kind;            /* NDIS_KIND_BINDING from init to free: completions and returns
                                    * come while the handle is closing */
    struct ndis_mdriver *below;    /* adapter->driver */

    struct ndis_gate tx_gate __attribute__((aligned(64))); /* open while Running */
    struct ndis_outstanding tx_out;                        /* NBLs sent, not completed */
    struct ndis_outstanding rx_out;                        /* NBLs indicated to it, not returned */

    struct ndis_outstanding call_out; /* status callbacks under way: a close waits for them */
    struct ndis_outstanding oid_out;  /* its requests under way */
    struct umn_list adapter_link, protocol_link;
    NDIS_MEDIUM medium;
    struct umn_ctx *bind_ctx; /* the context inside ProtocolBindAdapterEx, else NULL */
    bool opened, open_pending, close_called, close_pending, unbinding, unbind_pending;
    struct ndis_completion open_done, bind_done, close_done, unbind_done;
    /* filter.c */
    unsigned multicast_count;
    uint64_t *multicast; /* address, first byte lowest, | times added << 48; sorted */
    uint32_t lookahead;
    struct umn_mutex multicast_lock; /* leaf, around `multicast` */
    /* binding.c */
    struct ndis_bind_op *bind_op; /* while the bind operation lasts */
    struct ndis_object unbind;    /* UnbindContext */
    struct umn_work open_work, close_work;
    NDIS_HANDLE *open_handle; /* a pended open writes these two */
    UINT *open_index;
    UINT index;
    bool unbind_requested;       /* NdisUnbindAdapter: never restarted again */
    struct umn_ctx *event_owner; /* event.c: the context with an event under way */
    unsigned event_depth;
    struct umn_list event_waiters; /* for the turn, or for the end of bind_op */
    uint32_t close_queued, close_claimed, close_finished;
    unsigned im_requests; /* made in its bind operation; im.c */
    unsigned refs;
    void *grave;
};

struct ndis_globals {
    struct umn_mutex lock;
    struct umn_list mdrivers, protocols, adapters, graveyard;
    uint32_t next_id;
    bool started;
    /* control path only: control.h */
    struct umn_list frames, bind_ops, entries, events;
    unsigned graves;
};
extern struct ndis_globals ndis;

/* ---- stack.c: operations ------------------------------------------------------------------------
 */
/* Take / drop the right to change the stack of an adapter; recursive for the same context. PASSIVE.
 */
void ndis__op_begin(struct ndis_adapter *a, const char *what);
void ndis__op_end(struct ndis_adapter *a);
void ndis__stack_pause(struct ndis_adapter *a, ULONG reason); /* inside an op */
NDIS_STATUS ndis__stack_restart(struct ndis_adapter *a);      /* inside an op */

/* ---- adapter.c
 * ------------------------------------------------------------------------------------ */
void ndis__adapter_set_state(struct ndis_adapter *a, enum ndis_adapter_state state);
NDIS_STATUS ndis__adapter_initialize(struct ndis_adapter *a);             /* inside an op */
void ndis__adapter_halt(struct ndis_adapter *a, NDIS_HALT_ACTION action); /* inside an op */
struct ndis_adapter *ndis__adapter_find(const char *name); /* \Device\{GUID} or {GUID}, any case */

/* ---- binding.c
 * ------------------------------------------------------------------------------------- */
void ndis__binding_set_state(struct ndis_binding *b, enum ndis_binding_state state);
void ndis__bind_all(struct ndis_adapter *a); /* inside an op, adapter Paused */
void ndis__unbind(struct ndis_binding *b);   /* inside an op, adapter Paused */
bool ndis__protocol_wants(struct ndis_protocol *p, const char *adapter_name); /* Linkage\Bind */

/* ---- data path, called by stack.c and binding.c
 * ----------------------------------------------------- */
/* Checks of NBL ownership, flags and links on every batch (debug builds: on). Before the first
 * pool. */
void umn__ndis_verify(bool on);
void ndis__dp_start(void); /* in umn__ndis_start */
void ndis__dp_stop(void);  /* in umn__ndis_stop, after the last adapter: frees the internal pools */
int ndis__dp_adapter_init(struct ndis_adapter *a); /* gates, queue; in adapter creation */
void ndis__dp_adapter_free(struct ndis_adapter *a);
int ndis__dp_binding_init(struct ndis_binding *b);
void ndis__dp_binding_free(struct ndis_binding *b);
/* Builds a->running of all bindings that will run (allocates; NDIS_STATUS_RESOURCES), opens
 * rx_gate. */
NDIS_STATUS ndis__dp_adapter_run(struct ndis_adapter *a);
void ndis__dp_adapter_stop(struct ndis_adapter *a); /* closes rx_gate, drops a->running */

/* ---- oid.c, filter.c
 * ---------------------------------------------------------------------------------- */
void ndis__oid_drain(struct ndis_adapter *a,
                     NDIS_STATUS refuse); /* refuse new, wait for the rest */
void ndis__oid_accept(struct ndis_adapter *a);
void ndis__oid_binding_closing(struct ndis_binding *b); /* wait for what the binding issued */
/* NDIS's own request, waits. */
NDIS_STATUS ndis__oid_own(struct ndis_adapter *a, NDIS_REQUEST_TYPE type, NDIS_OID oid,
                          void *buffer, uint32_t *length);
/* Drops the binding's filter and multicast list and gives the miniport the new union. */
void ndis__filter_binding_gone(struct ndis_binding *b);
void ndis__filter_adapter_reset(struct ndis_adapter *a); /* after initialize: zero */
/* Whether binding b's filter accepts a frame with this destination. <= DISPATCH. */
bool ndis__filter_accepts(const struct ndis_binding *b, const struct ndis_adapter *a,
                          const uint8_t *destination);
/* Handles OIDs that NDIS answers itself for binding b (may be NULL). Returns true if it did. */
bool ndis__oid_answer(struct ndis_adapter *a, struct ndis_binding *b, NDIS_OID_REQUEST *request,
                      NDIS_STATUS *status);

/* ---- event.c, status.c, ifs.c
 * ---------------------------------------------------------------------------- */
/* Sends one event to a binding (or to the protocol with NULL binding) and waits for its end. */
NDIS_STATUS ndis__event_send(struct ndis_protocol *p, struct ndis_binding *b,
                             NET_PNP_EVENT_CODE code, void *buffer, uint32_t length);
/* To every binding of an adapter, one after another: those that are being bound are waited for,
 * those that are being unbound are left out. No operation is needed. Returns the first failure.
 * veto: stop at the first failure. */
NDIS_STATUS ndis__event_adapter(struct ndis_adapter *a, NET_PNP_EVENT_CODE code, void *buffer,
                                uint32_t length, bool veto);
/* A status of NDIS's own, to every binding. <= DISPATCH. */
void ndis__status_send(struct ndis_adapter *a, NDIS_STATUS code, void *buffer, ULONG size);
void ndis__status_current(struct ndis_adapter *a, NDIS_LINK_STATE *out);
int ndis__if_register(struct ndis_adapter *a); /* ifindex, LUID (persistent by GUID) */
void ndis__if_deregister(struct ndis_adapter *a);

/* ---- im.c
 * ----------------------------------------------------------------------------------------------------
 */
/* The PnP half has arrived / gone. started returns after MiniportInitializeEx if a request waits.
 */
NDIS_STATUS ndis__im_started(struct ndis_adapter *a); /* RESOURCES: could not be tried */
void ndis__im_forget(struct ndis_adapter *a);
void ndis__im_driver_gone(struct ndis_mdriver *d);

/* ---- version helpers
 * --------------------------------------------------------------------------------------- */
static inline unsigned ndis__ver(unsigned major, unsigned minor)
{
    return major * 100 + minor; /* 630 = NDIS 6.30 */
}
static inline unsigned ndis__mdriver_ver(const struct ndis_mdriver *d)
{
    return ndis__ver(d->chars.MajorNdisVersion, d->chars.MinorNdisVersion);
}
static inline unsigned ndis__protocol_ver(const struct ndis_protocol *p)
{
    return ndis__ver(p->chars.MajorNdisVersion, p->chars.MinorNdisVersion);
}

#endif
