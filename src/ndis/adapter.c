/* SPDX-License-Identifier: MIT */
/*
 * Owns ndis_adapter.state: initialize, halt, shutdown. PASSIVE_LEVEL; the state is written under
 * ndis.lock, inside the adapter's operation (stack.c), which IS held across the driver's callbacks.
 *
 *                 initialize            ok                  restart             ok
 *       HALTED ---------------> INITIALIZING ----> PAUSED ----------> RESTARTING ----> RUNNING
 *          ^                        | fails         ^ | ^                  | fails        |
 *          +------------------------+               | | +------------------+              | pause
 *          ^                                        | |                                   v
 *          +-------------- halt --------------------|-+---------------------------- PAUSING
 *                                                   +------------------- done ----------+
 *       PAUSED, RESTARTING, RUNNING, PAUSING ---- shutdown ---> SHUTDOWN (no callback ever again)
 *
 * Invariants (checked after each transition in debug builds):
 *  A1  a transition happens inside the adapter's operation, shutdown excepted
 *  A2  HALTED: no binding, the handle is dead
 *  A3  every other state: the handle is live; registration and general attributes are set once
 *      INITIALIZING is over
 *  A4  no binding is Restarting, Running or Pausing unless the adapter is RUNNING (IM-STK-02:
 * bindings pause before the miniport and restart after it) A5  init_ctx is set only while
 * INITIALIZING
 *
 *  Transition                     Function                          Callback
 *  HALTED -> INITIALIZING         ndis__adapter_initialize          MiniportInitializeEx
 *  INITIALIZING -> PAUSED|HALTED  ndis__adapter_initialize
 *  PAUSED -> HALTED               ndis__adapter_halt                MiniportHaltEx
 *  PAUSED -> RESTARTING -> ...    ndis__stack_restart (stack.c)     MiniportRestart
 *  RUNNING -> PAUSING -> PAUSED   ndis__stack_pause (stack.c)       MiniportPause
 *  * -> SHUTDOWN                  umn__ndis_shutdown                MiniportShutdownEx
 *
 * Conformance: IM-INI-01, -04, -05, -08, -09; IM-MST-01, -02, -11, -13; IM-PNP-07; IM-STK-01, -03.
 */
#include "ndis/control.h"

#include <string.h>

static const char *const state_names[] = {"Halted",  "Initializing", "Paused",  "Restarting",
                                          "Running", "Pausing",      "Shutdown"};

const char *ndis__adapter_state_name(enum ndis_adapter_state s)
{
    return state_names[s];
}

/* ---- the state
 * ------------------------------------------------------------------------------------ */

static bool legal(enum ndis_adapter_state from, enum ndis_adapter_state to)
{
    static const unsigned char next[] = {
        [NDIS_ADAPTER_HALTED] = 1 << NDIS_ADAPTER_INITIALIZING,
        [NDIS_ADAPTER_INITIALIZING] = 1 << NDIS_ADAPTER_PAUSED | 1 << NDIS_ADAPTER_HALTED,
        [NDIS_ADAPTER_PAUSED] =
            1 << NDIS_ADAPTER_RESTARTING | 1 << NDIS_ADAPTER_HALTED | 1 << NDIS_ADAPTER_SHUTDOWN,
        [NDIS_ADAPTER_RESTARTING] =
            1 << NDIS_ADAPTER_RUNNING | 1 << NDIS_ADAPTER_PAUSED | 1 << NDIS_ADAPTER_SHUTDOWN,
        [NDIS_ADAPTER_RUNNING] = 1 << NDIS_ADAPTER_PAUSING | 1 << NDIS_ADAPTER_SHUTDOWN,
        [NDIS_ADAPTER_PAUSING] = 1 << NDIS_ADAPTER_PAUSED | 1 << NDIS_ADAPTER_SHUTDOWN,
        [NDIS_ADAPTER_SHUTDOWN] = 1 << NDIS_ADAPTER_HALTED, /* our own clean-up, no callback */
    };
    return next[from] & 1 << to;
}

static void check(const struct ndis_adapter *a)
{
#ifdef UMN_DEBUG
    const bool halted = a->state == NDIS_ADAPTER_HALTED;

    if (a->state != NDIS_ADAPTER_SHUTDOWN && a->op_owner != umn__ctx_self())
        umn__report("SELF-A1", 0, "our bug: %s changed state outside an operation", a->name);
    if (halted && !umn_list_empty(&a->bindings))
        umn__report("SELF-A2", 0, "our bug: %s is Halted and has bindings", a->name);
    if (a->init_ctx && a->state != NDIS_ADAPTER_INITIALIZING)
        umn__report("SELF-A5", 0, "our bug: %s is inside initialize in another state", a->name);
    if (a->state == NDIS_ADAPTER_RUNNING || a->state == NDIS_ADAPTER_SHUTDOWN)
        return;
    umn_list_for_each (l, &a->bindings) {
        const struct ndis_binding *b = umn_container_of(l, struct ndis_binding, adapter_link);
        if (b->state >= NDIS_BINDING_RESTARTING && b->state <= NDIS_BINDING_PAUSING)
            umn__report("SELF-A4", 0, "our bug: %s is %s over a binding that is %s", a->name,
                        state_names[a->state], ndis__binding_state_name(b->state));
    }
#endif
}

void ndis__adapter_set_state(struct ndis_adapter *a, enum ndis_adapter_state state)
{
    enum ndis_adapter_state old;

    umn__lock(&ndis.lock);
    old = a->state;
    __atomic_store_n(&a->state, state, __ATOMIC_RELEASE);
    check(a);
    umn__unlock(&ndis.lock);
    umn__trace("adapter.state", "%s %s -> %s", a->name, state_names[old], state_names[state]);
    if (!legal(old, state))
        umn__report("SELF-A0", 0, "our bug: %s went from %s to %s", a->name, state_names[old],
                    state_names[state]);
}

/* ---- initialize
 * ------------------------------------------------------------------------------------- */

static void call_halt(struct ndis_adapter *a, NDIS_HALT_ACTION action)
{
    struct ndis_frame frame;

    ndis__frame_enter(&frame, NDIS_FRAME_MINIPORT, a, NULL, "MiniportHaltEx");
    a->driver->chars.HaltHandlerEx(a->context, action);
    ndis__frame_leave(&frame);
}

/* What is left of an adapter that has been halted or never came up. */
static void clean(struct ndis_adapter *a)
{
    ndis__object_dead(&a->obj);
    ndis__adapter_set_state(a, NDIS_ADAPTER_HALTED);
    ndis__if_deregister(a);
    ndis__attributes_free(a);
    a->context = NULL;
    a->im_context = NULL;
    a->is_vm = false;
    a->port0_active = false;
    a->failed = false;
}

static NDIS_STATUS call_initialize(struct ndis_adapter *a)
{
    NDIS_PORT_AUTHENTICATION_PARAMETERS auth = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_PORT_AUTHENTICATION_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_PORT_AUTHENTICATION_PARAMETERS_REVISION_1},
        .SendControlState = NdisPortControlStateUncontrolled,
        .RcvControlState = NdisPortControlStateUncontrolled,
        .SendAuthorizationState = NdisPortAuthorized,
        .RcvAuthorizationState = NdisPortAuthorized,
    };
    NDIS_MINIPORT_INIT_PARAMETERS params = {
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_INIT_PARAMETERS,
                   NDIS_MINIPORT_INIT_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_MINIPORT_INIT_PARAMETER_REVISION_1},
        .IMDeviceInstanceContext = a->im_context,
        .MiniportAddDeviceContext = a->add_device_context,
        .IfIndex = a->ifindex,
        .NetLuid = a->luid,
        .DefaultPortAuthStates = &auth,
    };
    struct ndis_frame frame;
    NDIS_STATUS status;

    a->init_ctx = umn__ctx_self();
    ndis__frame_enter(&frame, NDIS_FRAME_INITIALIZE, a, NULL, "MiniportInitializeEx");
    status = a->driver->chars.InitializeHandlerEx(a, a->driver->context, &params);
    ndis__frame_leave(&frame);
    a->init_ctx = NULL;
    umn__trace("adapter.initialize", "%s 0x%08x", a->name, (unsigned)status);
    return status;
}

NDIS_STATUS ndis__adapter_initialize(struct ndis_adapter *a)
{
    NDIS_STATUS status;

    if (ndis__if_register(a) != 0) {
        umn__trace("adapter.initialize", "%s no memory for its interface", a->name);
        ndis__im_not_begun(a);
        return NDIS_STATUS_RESOURCES;
    }
    ndis__object_live(&a->obj, NDIS_KIND_ADAPTER);
    ndis__adapter_set_state(a, NDIS_ADAPTER_INITIALIZING);
    status = call_initialize(a);
    if (status == NDIS_STATUS_PENDING)
        umn__report("ST-18", 0, "MiniportInitializeEx of %s returned NDIS_STATUS_PENDING",
                    a->driver->service);
    if (status != NDIS_STATUS_SUCCESS) {
        clean(a);
        ndis__im_initialized(a, false);
        return status == NDIS_STATUS_PENDING ? NDIS_STATUS_FAILURE : status;
    }
    ndis__adapter_set_state(a, NDIS_ADAPTER_PAUSED);
    if (a->attr.have_registration && a->attr.have_general) {
        ndis__im_initialized(a, true);
        return NDIS_STATUS_SUCCESS;
    }
    umn__report("ST-15", 0,
                "MiniportInitializeEx of %s succeeded without %s attributes (IM-INI-04)",
                a->driver->service, a->attr.have_registration ? "general" : "registration");
    call_halt(a, NdisHaltDeviceInitializationFailed);
    clean(a);
    ndis__im_initialized(a, false);
    return NDIS_STATUS_FAILURE;
}

void ndis__adapter_notify(struct ndis_adapter *a, NDIS_DEVICE_PNP_EVENT event, void *buffer,
                          ULONG length)
{
    NET_DEVICE_PNP_EVENT e = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_DEVICE_PNP_EVENT_REVISION_1,
                   NDIS_SIZEOF_NET_DEVICE_PNP_EVENT_REVISION_1},
        .DevicePnPEvent = event,
        .InformationBuffer = buffer,
        .InformationBufferLength = length,
    };
    struct ndis_frame frame;

    ndis__frame_enter(&frame, NDIS_FRAME_MINIPORT, a, NULL, "MiniportDevicePnPEventNotify");
    a->driver->chars.DevicePnPEventNotifyHandler(a->context, &e);
    ndis__frame_leave(&frame);
}

bool ndis__default_port(const struct ndis_adapter *a)
{
    return __atomic_load_n(&a->port0_active, __ATOMIC_ACQUIRE);
}

/* ---- up and down
 * -------------------------------------------------------------------------------------- */

/* IM-STK-01: initialize, bind, restart. What fails after initialize leaves the adapter Paused. */
NDIS_STATUS ndis__adapter_bring_up(struct ndis_adapter *a)
{
    NDIS_POWER_PROFILE profile = NdisPowerProfileAcOnLine;
    NDIS_STATUS status = ndis__adapter_initialize(a);

    if (status != NDIS_STATUS_SUCCESS)
        return status;
    ndis__filter_adapter_reset(a);
    ndis__oid_accept(a);
    ndis__adapter_notify(a, NdisDevicePnPEventPowerProfileChanged, &profile, sizeof profile);
    if (ndis__default_port(a))
        ndis__bind_all(a);
    status = ndis__stack_restart(a);
    if (status != NDIS_STATUS_SUCCESS)
        umn__trace("adapter.restart", "%s failed 0x%08x and stays Paused", a->name,
                   (unsigned)status);
    return NDIS_STATUS_SUCCESS;
}

void ndis__adapter_halt(struct ndis_adapter *a, NDIS_HALT_ACTION action)
{
    ndis__oid_drain(a, NDIS_STATUS_NOT_ACCEPTED);
    umn__trace("adapter.halt", "%s action %d", a->name, (int)action);
    call_halt(a, action);
    clean(a);
}

/* IM-STK-03: pause the stack, unbind protocols, halt. */
void ndis__adapter_tear_down(struct ndis_adapter *a, NDIS_HALT_ACTION action)
{
    if (a->state == NDIS_ADAPTER_HALTED)
        return;
    if (a->state == NDIS_ADAPTER_SHUTDOWN)
        ndis__oid_drain(a, NDIS_STATUS_NOT_ACCEPTED);
    ndis__stack_pause(a, ndis__mdriver_ver(a->driver) >= 640 ? NDIS_PAUSE_MINIPORT_DEVICE_REMOVE
                                                             : NDIS_PAUSE_NDIS_INTERNAL);
    ndis__unbind_all(a);
    if (a->state == NDIS_ADAPTER_SHUTDOWN) /* IM-MST-13: silence, MiniportHaltEx included */
        clean(a);
    else
        ndis__adapter_halt(a, action);
    ndis__im_halted(a, action);
}

/* ---- shutdown
 * ------------------------------------------------------------------------------------------- */

/* Later ids lie higher in a stack as a rule; intermediate drivers' adapters lie above all others.
 */
static struct ndis_adapter *next_to_shut(bool intermediate)
{
    struct ndis_adapter *found = NULL;

    umn__lock(&ndis.lock);
    umn_list_for_each (l, &ndis.adapters) {
        struct ndis_adapter *a = umn_container_of(l, struct ndis_adapter, link);
        if (a->driver->intermediate == intermediate && a->state >= NDIS_ADAPTER_PAUSED &&
            a->state != NDIS_ADAPTER_SHUTDOWN)
            found = a;
    }
    if (found)
        ndis__adapter_get(found);
    umn__unlock(&ndis.lock);
    return found;
}

static void shut_down(struct ndis_adapter *a)
{
    struct ndis_frame frame;

    ndis__op_begin(a, "shutdown");
    if (a->state >= NDIS_ADAPTER_PAUSED && a->state != NDIS_ADAPTER_SHUTDOWN) {
        ndis__adapter_set_state(a, NDIS_ADAPTER_SHUTDOWN);
        ndis__frame_enter(&frame, NDIS_FRAME_MINIPORT, a, NULL, "MiniportShutdownEx");
        a->driver->chars.ShutdownHandlerEx(a->context, NdisShutdownPowerOff);
        ndis__frame_leave(&frame);
    }
    ndis__op_end(a);
}

/* miniport-adapter-shutdown.md, IM-MST-13: one call per adapter, then silence. */
void umn__ndis_shutdown(void)
{
    struct ndis_adapter *a;

    for (int upper = 1; upper >= 0; upper--) {
        while ((a = next_to_shut(upper)) != NULL) {
            shut_down(a);
            ndis__adapter_put(a);
        }
    }
}

/* ---- questions of drivers
 * ---------------------------------------------------------------------------------- */

/* nf-ndis-ndismgetdeviceproperty.md: devices of the adapter; any of the outputs may be NULL.
 * There are no hardware resources. PASSIVE_LEVEL. */
UMN_EXPORT void NTAPI NdisMGetDeviceProperty(NDIS_HANDLE MiniportAdapterHandle,
                                             PDEVICE_OBJECT *PhysicalDeviceObject,
                                             PDEVICE_OBJECT *FunctionalDeviceObject,
                                             PDEVICE_OBJECT *NextDeviceObject,
                                             PCM_RESOURCE_LIST *AllocatedResources,
                                             PCM_RESOURCE_LIST *AllocatedResourcesTranslated)
{
    struct ndis_adapter *a = MiniportAdapterHandle;

    ndis__entry_ok(UMN_PASSIVE, "NdisMGetDeviceProperty");
    if (!ndis__live(a, NDIS_KIND_ADAPTER, "NdisMGetDeviceProperty"))
        return;
    if (PhysicalDeviceObject)
        *PhysicalDeviceObject = a->pdo;
    if (FunctionalDeviceObject)
        *FunctionalDeviceObject = a->fdo;
    if (NextDeviceObject)
        *NextDeviceObject = a->next_device;
    if (AllocatedResources)
        *AllocatedResources = NULL;
    if (AllocatedResourcesTranslated)
        *AllocatedResourcesTranslated = NULL;
}

static void remove_job(void *arg)
{
    struct ndis_adapter *a = arg;

    ndis__op_begin(a, "remove miniport");
    if (a->failed)
        ndis__adapter_tear_down(a, NdisHaltDeviceFailed);
    ndis__op_end(a);
    ndis__adapter_put(a);
}

/*
 * The driver's hardware has failed: the adapter is halted with NdisHaltDeviceFailed from a thread
 * (nf-ndis-ndismremoveminiport.md, IM-PNP-07). <= DISPATCH_LEVEL. FAILURE: stale handle, no memory.
 */
UMN_EXPORT NDIS_STATUS NTAPI NdisMRemoveMiniport(NDIS_HANDLE MiniportHandle)
{
    struct ndis_adapter *a = MiniportHandle;
    bool first;

    ndis__entry_ok(UMN_DISPATCH, "NdisMRemoveMiniport");
    if (!ndis__live(a, NDIS_KIND_ADAPTER, "NdisMRemoveMiniport"))
        return NDIS_STATUS_FAILURE;
    umn__lock(&ndis.lock);
    first = !a->failed;
    a->failed = true;
    if (first)
        ndis__adapter_get(a);
    umn__unlock(&ndis.lock);
    if (!first || ndis__job(remove_job, a, "ndis remove miniport"))
        return NDIS_STATUS_SUCCESS;
    a->failed = false;
    ndis__adapter_put(a);
    return NDIS_STATUS_FAILURE;
}
