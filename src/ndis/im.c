/* SPDX-License-Identifier: MIT */
/*
 * Owns the driver's half of a virtual miniport's start: requests by
 * NdisIMInitializeDeviceInstanceEx, one per device name, from the request until the virtual
 * miniport is gone. PASSIVE_LEVEL; ndis.lock guards the table; initialize and halt run inside the
 * adapter's operation with no lock held.
 *
 *                request                both halves            initialize ok
 *       (absent) --------> PENDING ---------------> INITIALIZING ----------> GRANTED
 *          ^  ^               | cancel                    | fails             |    | PnP disables,
 *          |  +---------------+                           |                   |    | stops, removes
 *          +----------------------------------------------+                   |    v
 *          +---------------------- de-initialize, device failed --------------+  DISABLED
 *          +---------------------- driver gone ---------------------------------- |
 *                             PENDING <--------- request (after ReEnable) ---------+
 *
 * Invariants (checked after each transition in debug builds):
 *  R1  at most one request per name; a second one is NOT_ACCEPTED (IM-VMP-08, question 7), and a
 *      DISABLED one is not a request any more: a new one takes its place (question 11)
 *  R2  INITIALIZING and GRANTED: adapter->request is the request, and only then
 *  R3  PENDING -> INITIALIZING happens only inside the adapter's operation with the PnP half there,
 *      the adapter Halted and of the same driver: MiniportInitializeEx runs once per grant
 *  R4  a cancel that met INITIALIZING returns after MiniportInitializeEx has (question 8), unless
 * it was called inside it
 *
 *  Transition                    Function
 *  absent, DISABLED -> PENDING   NdisIMInitializeDeviceInstanceEx
 *  PENDING -> absent             NdisIMCancelInitializeDeviceInstance
 *  PENDING -> INITIALIZING       try_grant, from the request or from ndis__im_started
 *  INITIALIZING -> GRANTED, -    ndis__im_initialized
 *  INITIALIZING -> PENDING       ndis__im_not_begun: no memory before MiniportInitializeEx
 *  GRANTED -> DISABLED, -        ndis__im_halted
 *
 * Conformance: IM-PNP-01 to -03, IM-VMP-06 to -15, -22; questions 3 to 11.
 */
#include "ndis/control.h"

#include <string.h>

enum im_state { IM_PENDING, IM_INITIALIZING, IM_GRANTED, IM_DISABLED };
static const char *const state_names[] = {"Pending", "Initializing", "Granted", "Disabled"};

struct ndis_im_request {
    struct ndis_name name;   /* canonical */
    struct umn_list link;    /* requests, oldest first */
    struct umn_list waiters; /* cancels that wait for MiniportInitializeEx */
    struct ndis_mdriver *driver;
    NDIS_HANDLE context; /* DeviceContext */
    struct ndis_adapter *adapter;
    const struct ndis_binding *origin; /* the binding in whose bind it was made; never followed */
    enum im_state state;
};

static struct ndis_names names;
static struct umn_list requests = {&requests, &requests};

/* ---- the table
 * ------------------------------------------------------------------------------------ */

static struct ndis_im_request *find(const char *canonical)
{
    struct ndis_name *n = ndis__name_find(&names, canonical);

    return n ? umn_container_of(n, struct ndis_im_request, name) : NULL;
}

/* The next character of canonical text, which is well-formed UTF-8, in upper-case UTF-16 units; a
 * pair of surrogates comes in two calls. */
static WCHAR next_unit(const unsigned char **at, WCHAR *low)
{
    const unsigned char *c = *at;
    uint32_t code = *c;
    unsigned more = code < 0x80 ? 0 : code < 0xe0 ? 1 : code < 0xf0 ? 2 : 3;

    if (*low) {
        WCHAR unit = *low;
        *low = 0;
        return unit;
    }
    if (more)
        code &= 0x3fu >> more;
    for (unsigned i = 1; i <= more; i++)
        code = code << 6 | (c[i] & 0x3f);
    *at = c + 1 + more;
    if (code < 0x10000)
        return (WCHAR)code;
    *low = (WCHAR)(0xdc00 | ((code - 0x10000) & 0x3ff));
    return (WCHAR)(0xd800 | (code - 0x10000) >> 10);
}

/* find without memory: compares with each request. A name that lacks the prefix \DEVICE\ is
 * compared with what follows it. */
static struct ndis_im_request *find_slowly(const UNICODE_STRING *name)
{
    const size_t length = name->Length / sizeof(WCHAR), prefix = sizeof "\\DEVICE\\" - 1;

    umn_list_for_each (l, &requests) {
        struct ndis_im_request *r = umn_container_of(l, struct ndis_im_request, link);
        for (size_t skip = 0; skip <= prefix; skip += prefix) {
            const unsigned char *at = (const unsigned char *)r->name.text + skip;
            WCHAR low = 0;
            size_t i = 0;
            while (i < length && (*at || low) &&
                   umn__upcase(name->Buffer[i]) == next_unit(&at, &low))
                i++;
            if (i == length && !*at && !low)
                return r;
        }
    }
    return NULL;
}

static void set_state(struct ndis_im_request *r, enum im_state state)
{
    umn__trace("im.state", "%s %s -> %s", r->name.text, state_names[r->state], state_names[state]);
    r->state = state;
#ifdef UMN_DEBUG
    const bool held = state == IM_INITIALIZING || state == IM_GRANTED;
    if (held != (r->adapter && r->adapter->request == r))
        umn__report("SELF-R2", 0, "our bug: request %s is %s and %s its adapter", r->name.text,
                    state_names[state], held ? "lost" : "kept");
#endif
}

/* Lock held. The caller frees it after the lock. */
static void take_out(struct ndis_im_request *r)
{
    ndis__name_remove(&names, &r->name);
    umn_list_remove(&r->link);
    if (r->adapter && r->adapter->request == r)
        r->adapter->request = NULL;
    r->adapter = NULL;
}

static void request_free(struct ndis_im_request *r)
{
    if (!r)
        return;
    plat_free(r->name.text);
    plat_free(r);
}

/* Takes over `canonical`. */
static struct ndis_im_request *request_new(struct ndis_mdriver *d, char *canonical,
                                           NDIS_HANDLE context)
{
    struct ndis_im_request *r = plat_alloc(sizeof *r);

    if (!r) {
        plat_free(canonical);
        return NULL;
    }
    r->name.text = canonical;
    r->driver = d;
    r->context = context;
    r->state = IM_PENDING;
    umn_list_init(&r->link);
    umn_list_init(&r->waiters);
    return r;
}

/* The intermediate driver behind a DriverHandle, or NULL with a report (question 6). */
static struct ndis_mdriver *driver_of(NDIS_HANDLE handle, const char *function)
{
    struct ndis_mdriver *d = handle;

    if (!ndis__live(handle, NDIS_KIND_MDRIVER, function))
        return NULL;
    if (d->intermediate)
        return d;
    umn__report("IM-VMP-08", 0, "%s by %s, which is not registered as intermediate", function,
                d->service);
    return NULL;
}

/* ---- the grant
 * --------------------------------------------------------------------------------------- */

/*
 * Initializes the virtual miniport in the calling context if both halves are there. Whoever comes
 * second gets here; whoever comes second to the operation finds nothing left to do (R3). RESOURCES:
 * there was no memory to call MiniportInitializeEx, and the request is still pending.
 */
static NDIS_STATUS try_grant(struct ndis_adapter *a)
{
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    struct ndis_im_request *r;
    bool grant;

    ndis__op_begin(a, "initialize a virtual miniport");
    umn__lock(&ndis.lock);
    r = find(a->name_node.text);
    grant = r && r->state == IM_PENDING && r->driver == a->driver && a->pnp_started && !a->gone &&
            !a->surprise_removed && a->state == NDIS_ADAPTER_HALTED;
    if (grant) {
        r->adapter = a;
        a->request = r;
        a->im_context = r->context;
        a->is_vm = true;
        set_state(r, IM_INITIALIZING);
    }
    umn__unlock(&ndis.lock);
    if (grant) {
        a->im_not_begun = false;
        ndis__adapter_bring_up(a);
        if (a->im_not_begun)
            status = NDIS_STATUS_RESOURCES;
    }
    ndis__op_end(a);
    return status;
}

/* There was no memory to call MiniportInitializeEx: the driver still has its request. */
void ndis__im_not_begun(struct ndis_adapter *a)
{
    struct ndis_im_request *r;

    umn__lock(&ndis.lock);
    r = a->request;
    a->im_context = NULL;
    a->is_vm = false;
    if (!r) {
        umn__unlock(&ndis.lock);
        return;
    }
    a->im_not_begun = true;
    a->request = NULL;
    r->adapter = NULL;
    set_state(r, IM_PENDING);
    ndis__wake_unlock(&r->waiters);
}

/* Called by adapter.c as soon as the outcome of MiniportInitializeEx is settled. */
void ndis__im_initialized(struct ndis_adapter *a, bool success)
{
    struct ndis_im_request *r, *dead = NULL;

    umn__lock(&ndis.lock);
    r = a->request;
    if (!r) {
        umn__unlock(&ndis.lock);
        return;
    }
    if (success) {
        set_state(r, IM_GRANTED);
    } else {
        umn__trace("im.state", "%s used up", r->name.text);
        take_out(r);
        dead = r;
    }
    ndis__wake_unlock(&r->waiters);
    request_free(dead);
}

/* The virtual miniport has been halted. If PnP did it, NetEventIMReEnableDevice is due when the
 * device starts again (question 11). */
void ndis__im_halted(struct ndis_adapter *a, NDIS_HALT_ACTION action)
{
    const bool pnp = action == NdisHaltDeviceDisabled || action == NdisHaltDeviceStopped ||
                     action == NdisHaltDeviceSurpriseRemoved || action == NdisHaltDevicePoweredDown;
    struct ndis_im_request *r;

    umn__lock(&ndis.lock);
    r = a->request;
    a->request = NULL;
    if (r && pnp) {
        r->adapter = NULL;
        set_state(r, IM_DISABLED);
        r = NULL;
    } else if (r) {
        umn__trace("im.state", "%s used up", r->name.text);
        take_out(r);
    }
    umn__unlock(&ndis.lock);
    request_free(r);
}

/*
 * The PnP half has come (IRP_MN_START_DEVICE, in the PnP manager's context): initialize if a
 * request waits (IM-PNP-03); tell the driver if it had this virtual miniport before (IM-EVT-11);
 * else wait for the driver (question 4). No operation is held.
 */
NDIS_STATUS ndis__im_started(struct ndis_adapter *a)
{
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    struct ndis_im_request *r;
    bool pending, disabled;

    umn__point(UMN_OP_ATOMIC, a);
    umn__lock(&ndis.lock);
    a->pnp_started = true;
    r = find(a->name_node.text);
    pending = r && r->state == IM_PENDING;
    disabled = r && r->state == IM_DISABLED && r->driver == a->driver;
    umn__unlock(&ndis.lock);
    umn__trace("pnp.started", "%s %s", a->name,
               pending    ? "a request waits"
               : disabled ? "was disabled"
                          : "waits for its driver");
    if (pending)
        status = try_grant(a);
    else if (disabled)
        ndis__event_reenable(a);
    return status;
}

/* The PnP half has gone; a request that is pending stays (IM-PNP-06). */
void ndis__im_forget(struct ndis_adapter *a)
{
    umn__lock(&ndis.lock);
    a->pnp_started = false;
    umn__unlock(&ndis.lock);
}

/* IM-UNB-09, ST-14: the driver must have cancelled what it asked for in this binding's bind. The
 * many bindings above virtual miniports asked for nothing: no walk for them. */
void ndis__im_unbound(const struct ndis_binding *b)
{
    umn__lock(&ndis.lock);
    for (struct umn_list *l = requests.next; b->im_requests && l != &requests; l = l->next) {
        struct ndis_im_request *r = umn_container_of(l, struct ndis_im_request, link);
        if (r->origin != b)
            continue;
        r->origin = NULL;
        if (r->state == IM_PENDING)
            umn__report("ST-14", 0,
                        "driver %s unbinds from %s and leaves its request for %s pending",
                        r->driver->service, b->adapter->name, r->name.text);
    }
    umn__unlock(&ndis.lock);
}

void ndis__im_driver_gone(struct ndis_mdriver *d)
{
    for (;;) {
        struct ndis_im_request *r = NULL;

        umn__lock(&ndis.lock);
        umn_list_for_each (l, &requests) {
            struct ndis_im_request *x = umn_container_of(l, struct ndis_im_request, link);
            if ((!d || x->driver == d) && x->state != IM_INITIALIZING) {
                r = x;
                break;
            }
        }
        if (r)
            take_out(r);
        umn__unlock(&ndis.lock);
        if (!r)
            return;
        if (r->state == IM_PENDING)
            umn__report("ST-14", 0, "driver %s leaves the request for %s pending",
                        r->driver->service, r->name.text);
        request_free(r);
    }
}

void ndis__im_stop(void)
{
    ndis__im_driver_gone(NULL);
}

/* What umn__ndis_im_requests shows: pairs of strings, one after another. */
struct pending {
    char *text;
    size_t size, used;
};

/* Lock held. False: there is not enough room; `used` says how much it takes. */
static bool copy_pending(struct pending *p)
{
    p->used = 0;
    umn_list_for_each (l, &requests) {
        const struct ndis_im_request *r = umn_container_of(l, struct ndis_im_request, link);
        const size_t name = strlen(r->name.text) + 1, service = strlen(r->driver->service) + 1;
        if (r->state != IM_PENDING)
            continue;
        if (p->used + name + service <= p->size) {
            memcpy(p->text + p->used, r->name.text, name);
            memcpy(p->text + p->used + name, r->driver->service, service);
        }
        p->used += name + service;
    }
    return p->used <= p->size;
}

/* The visitor runs without the lock, over a copy; without memory for it nothing is visited. */
void umn__ndis_im_requests(bool (*visit)(void *arg, const char *device, const char *service),
                           void *arg)
{
    struct pending p = {0};
    bool whole, more = true;

    for (;;) {
        umn__lock(&ndis.lock);
        whole = copy_pending(&p);
        umn__unlock(&ndis.lock);
        if (whole)
            break;
        plat_free(p.text);
        p.size = p.used;
        p.text = plat_alloc(p.size);
        if (!p.text)
            return;
    }
    for (size_t at = 0; more && at < p.used;) {
        const char *device = p.text + at, *service = device + strlen(device) + 1;
        more = visit(arg, device, service);
        at += strlen(device) + strlen(service) + 2;
    }
    plat_free(p.text);
}

/* ---- what drivers call
 * --------------------------------------------------------------------------------- */

/* Puts the request into the table; what is in the way makes it NOT_ACCEPTED. Takes over `made`.
 * *adapter: the device, if it exists, with a reference. */
static NDIS_STATUS enter(struct ndis_im_request *made, struct ndis_adapter **adapter)
{
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    const struct ndis_bind_op *op;
    struct ndis_im_request *r;
    struct ndis_name *n;

    umn__lock(&ndis.lock);
    op = made->driver->associated ? ndis__frame_bind_op(made->driver->associated) : NULL;
    made->origin = op ? op->binding : NULL;
    if (op && op->binding)
        op->binding->im_requests++;
    n = ndis__name_find(&ndis__adapter_names, made->name.text);
    *adapter = n ? umn_container_of(n, struct ndis_adapter, name_node) : NULL;
    r = find(made->name.text);
    if (r && r->state == IM_DISABLED) {
        r->driver = made->driver;
        r->context = made->context;
        r->origin = made->origin;
        set_state(r, IM_PENDING);
    } else if (r || (*adapter && (*adapter)->state != NDIS_ADAPTER_HALTED)) {
        status = NDIS_STATUS_NOT_ACCEPTED;
    } else {
        ndis__name_add(&names, &made->name);
        umn_list_add_tail(&requests, &made->link);
        made = NULL;
    }
    if (status != NDIS_STATUS_SUCCESS)
        *adapter = NULL;
    if (*adapter)
        ndis__adapter_get(*adapter);
    umn__unlock(&ndis.lock);
    request_free(made);
    return status;
}

/* The caller is told RESOURCES, so nothing may be left of its request. */
static void withdraw_untried(struct ndis_adapter *a, const struct ndis_mdriver *d)
{
    struct ndis_im_request *r;

    umn__lock(&ndis.lock);
    r = find(a->name_node.text);
    if (r && r->driver == d && r->state == IM_PENDING)
        take_out(r);
    else
        r = NULL;
    umn__unlock(&ndis.lock);
    request_free(r);
}

/*
 * Asks for a virtual miniport (nf-ndis-ndisiminitializedeviceinstanceex.md; IM-VMP-02, -04 to -09,
 * IM-PNP-01 to -04). DriverInstance: `\Device\{GUID}` or `{GUID}`, any case; DeviceContext may be
 * NULL and stays the driver's. PASSIVE_LEVEL, no lock held: MiniportInitializeEx runs inside the
 * call if the device is started already. SUCCESS: asked for, also if that MiniportInitializeEx
 * failed (question 5). NOT_ACCEPTED: asked for before, or initialized. FAILURE: the handle is not
 * one of an intermediate driver, or no name. RESOURCES.
 */
UMN_EXPORT NDIS_STATUS NTAPI NdisIMInitializeDeviceInstanceEx(NDIS_HANDLE DriverHandle,
                                                              PNDIS_STRING DriverInstance,
                                                              NDIS_HANDLE DeviceContext)
{
    struct ndis_mdriver *d;
    struct ndis_adapter *a;
    struct ndis_im_request *made;
    NDIS_STATUS status;
    char *canonical;
    bool started;

    ndis__entry_ok(UMN_PASSIVE, "NdisIMInitializeDeviceInstanceEx");
    d = driver_of(DriverHandle, "NdisIMInitializeDeviceInstanceEx");
    if (!d)
        return NDIS_STATUS_FAILURE;
    canonical = ndis__canonical(DriverInstance, &status);
    if (!canonical)
        return status;
    made = request_new(d, canonical, DeviceContext);
    if (!made)
        return NDIS_STATUS_RESOURCES;
    umn__trace("im.request", "%s by %s", canonical, d->service);
    umn__point(UMN_OP_ATOMIC, d);
    status = enter(made, &a);
    if (status != NDIS_STATUS_SUCCESS || !a)
        return status;
    umn__lock(&ndis.lock);
    started = a->pnp_started;
    umn__unlock(&ndis.lock);
    if (started)
        status = try_grant(a);
    if (status != NDIS_STATUS_SUCCESS)
        withdraw_untried(a, d);
    ndis__adapter_put(a);
    return status;
}

/*
 * Withdraws a request (nf-ndis-ndisimcancelinitializedeviceinstance.md; IM-VMP-10 to -12).
 * PASSIVE_LEVEL. SUCCESS: it was pending; MiniportInitializeEx will not be called for it. FAILURE:
 * never asked for, or MiniportInitializeEx has been called; if it still runs, the call first waits
 * for its end, so that the caller can de-initialize (question 8). It needs no memory: a driver that
 * is told FAILURE believes that MiniportInitializeEx has been called.
 */
UMN_EXPORT NDIS_STATUS NTAPI NdisIMCancelInitializeDeviceInstance(NDIS_HANDLE DriverHandle,
                                                                  PNDIS_STRING DeviceInstance)
{
    struct ndis_im_request *r, *dead = NULL;
    struct ndis_mdriver *d;
    NDIS_STATUS status;
    char *canonical;

    ndis__entry_ok(UMN_PASSIVE, "NdisIMCancelInitializeDeviceInstance");
    d = driver_of(DriverHandle, "NdisIMCancelInitializeDeviceInstance");
    canonical = d ? ndis__canonical(DeviceInstance, &status) : NULL;
    if (!d || (!canonical && status != NDIS_STATUS_RESOURCES))
        return NDIS_STATUS_FAILURE;
    umn__trace("im.cancel", "%s by %s", canonical ? canonical : "(no memory)", d->service);
    umn__point(UMN_OP_ATOMIC, d);
    for (;;) {
        umn__lock(&ndis.lock);
        r = canonical ? find(canonical) : find_slowly(DeviceInstance);
        if (!r || r->driver != d || r->state != IM_INITIALIZING ||
            r->adapter->op_owner == umn__ctx_self())
            break;
        /* Once more after it: it may be pending again (ndis__im_not_begun). */
        ndis__wait_unlock(&r->waiters, "MiniportInitializeEx, to cancel it", r);
    }
    if (r && r->driver == d && r->state == IM_PENDING) {
        take_out(r);
        dead = r;
    }
    umn__unlock(&ndis.lock);
    plat_free(canonical);
    request_free(dead);
    return dead ? NDIS_STATUS_SUCCESS : NDIS_STATUS_FAILURE;
}

/* The adapter behind a handle that may be garbage, with a reference. */
static struct ndis_adapter *live_adapter(NDIS_HANDLE handle)
{
    struct ndis_adapter *a = handle;

    return ndis__live_get(handle, NDIS_KIND_ADAPTER) ? a : NULL;
}

/*
 * Tears a virtual miniport down (nf-ndis-ndisimdeinitializedeviceinstance.md; IM-VMP-13 to -15,
 * questions 9 and 10): overlying protocols unbind, then MiniportHaltEx with
 * NdisHaltDeviceInstanceDeInitialized; returns after it. PASSIVE_LEVEL, no lock held. FAILURE: the
 * handle is not live (PnP may have halted it a moment ago), not a virtual miniport, or the call
 * comes from inside its own initialize, pause or restart. The device stays started.
 */
UMN_EXPORT NDIS_STATUS NTAPI NdisIMDeInitializeDeviceInstance(NDIS_HANDLE NdisMiniportHandle)
{
    struct ndis_adapter *a;
    NDIS_STATUS status = NDIS_STATUS_FAILURE;

    ndis__entry_ok(UMN_PASSIVE, "NdisIMDeInitializeDeviceInstance");
    umn__point(UMN_OP_ATOMIC, NdisMiniportHandle);
    a = live_adapter(NdisMiniportHandle);
    if (!a)
        return NDIS_STATUS_FAILURE;
    umn__trace("im.deinitialize", "%s", a->name);
    ndis__op_begin(a, "de-initialize");
    if (a->op_depth > 1 && a->state != NDIS_ADAPTER_PAUSED && a->state != NDIS_ADAPTER_RUNNING)
        umn__report("ST-14", 0, "%s de-initializes %s inside its own callback", a->driver->service,
                    a->name);
    else if (a->is_vm && a->request && a->state != NDIS_ADAPTER_HALTED) {
        ndis__adapter_tear_down(a, NdisHaltDeviceInstanceDeInitialized);
        status = NDIS_STATUS_SUCCESS;
    }
    ndis__op_end(a);
    ndis__adapter_put(a);
    return status;
}
