/* SPDX-License-Identifier: MIT */
/*
 * Protocol drivers: registration, the hold on binds until DriverEntry has returned (open question
 * 13), deregistration. Lists under ndis.lock; everything here runs at PASSIVE_LEVEL.
 */
#include "ndis/control.h"

#include <string.h>

/* ---- busy: callbacks into a protocol that its deregistration waits for
 * --------------------------- */

bool ndis__protocol_busy(struct ndis_protocol *p)
{
    bool ok;

    umn__lock(&ndis.lock);
    ok = !p->deregistering;
    if (ok)
        p->busy++;
    umn__unlock(&ndis.lock);
    return ok;
}

void ndis__protocol_idle(struct ndis_protocol *p)
{
    umn__lock(&ndis.lock);
    p->busy--;
    ndis__wake_unlock(&p->busy_waiters);
}

/* ---- registration
 * ---------------------------------------------------------------------------------- */

/* IM-REG-05, IM-REG-10, IM-POR-04. */
static NDIS_STATUS check_characteristics(const NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *c)
{
    unsigned revision = NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2;
    size_t size = NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2;

    if (!c || c->Header.Type != NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS)
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    if (!ndis__version_known(c->MajorNdisVersion, c->MinorNdisVersion))
        return NDIS_STATUS_BAD_VERSION;
    if (c->MinorNdisVersion == 0) {
        revision = NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_1;
        size = NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_1;
    }
    if (c->Header.Revision < revision || c->Header.Size < size)
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    if (!c->Name.Buffer || !c->Name.Length || c->Name.Length % sizeof(WCHAR) ||
        !c->BindAdapterHandlerEx || !c->UnbindAdapterHandlerEx ||
        !c->OpenAdapterCompleteHandlerEx || !c->CloseAdapterCompleteHandlerEx ||
        !c->NetPnPEventHandler || !c->OidRequestCompleteHandler ||
        !c->ReceiveNetBufferListsHandler || !c->SendNetBufferListsCompleteHandler)
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    return NDIS_STATUS_SUCCESS;
}

static struct ndis_protocol *protocol_new(NDIS_HANDLE context,
                                          const NDIS_PROTOCOL_DRIVER_CHARACTERISTICS *c)
{
    struct ndis_protocol *p = plat_alloc(sizeof *p);

    if (!p)
        return NULL;
    memcpy(&p->chars, c,
           c->MinorNdisVersion ? NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2
                               : NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_1);
    memset(&p->chars.Name, 0, sizeof p->chars.Name); /* the driver's buffer may go */
    p->service = umn__utf8_us(&c->Name);
    p->grave = ndis__grave_new();
    if (!p->service || !p->grave) {
        plat_free(p->service);
        plat_free(p->grave);
        plat_free(p);
        return NULL;
    }
    p->context = context;
    p->refs = 1;
    umn_list_init(&p->link);
    umn_list_init(&p->bindings);
    umn_list_init(&p->busy_waiters);
    return p;
}

/* Binds to what is there and says so once (IM-BND-17). */
static void bind_now(struct ndis_protocol *p)
{
    ndis__bind_protocol(p);
    ndis__event_binds_complete(p);
}

/*
 * Registers a protocol driver (nf-ndis-ndisregisterprotocoldriver.md; IM-REG-02, -05, -07, -10).
 * SetOptions is called before the return. Inside a DriverEntry binds are held until it has
 * returned, unless settings.eager_bind; the handle is written before the first callback either way.
 * PASSIVE_LEVEL. BAD_VERSION, BAD_CHARACTERISTICS, RESOURCES, or SetOptions' status.
 */
UMN_EXPORT NDIS_STATUS NTAPI NdisRegisterProtocolDriver(
    NDIS_HANDLE ProtocolDriverContext,
    PNDIS_PROTOCOL_DRIVER_CHARACTERISTICS ProtocolCharacteristics, PNDIS_HANDLE NdisProtocolHandle)
{
    struct ndis_protocol *p;
    struct ndis_frame frame;
    NDIS_STATUS status;
    DRIVER_OBJECT *entering;

    ndis__entry_ok(UMN_PASSIVE, "NdisRegisterProtocolDriver");
    if (!NdisProtocolHandle)
        return NDIS_STATUS_FAILURE;
    status = check_characteristics(ProtocolCharacteristics);
    if (status != NDIS_STATUS_SUCCESS)
        return status;
    p = protocol_new(ProtocolDriverContext, ProtocolCharacteristics);
    if (!p)
        return NDIS_STATUS_RESOURCES;
    entering = ndis__entry_driver();
    p->driver_object = entering ? entering : umn__driver_find(p->service);
    p->binds_held = entering && !umn__ndis_settings.eager_bind;
    ndis__object_live(&p->obj, NDIS_KIND_PROTOCOL);
    *NdisProtocolHandle = p;
    if (p->chars.SetOptionsHandler) {
        ndis__frame_enter(&frame, NDIS_FRAME_SETOPTIONS, p, NULL, "ProtocolSetOptions");
        status = p->chars.SetOptionsHandler(p, ProtocolDriverContext);
        ndis__frame_leave(&frame);
    }
    if (status != NDIS_STATUS_SUCCESS) {
        ndis__object_dead(&p->obj);
        *NdisProtocolHandle = NULL;
        ndis__protocol_put(p);
        return status;
    }
    umn__lock(&ndis.lock);
    umn_list_add_tail(&ndis.protocols, &p->link);
    ndis__protocol_get(p);
    umn__unlock(&ndis.lock);
    umn__trace("driver.register", "protocol %s 6.%u%s", p->service, p->chars.MinorNdisVersion,
               p->binds_held ? " binds held" : "");
    if (!p->binds_held)
        bind_now(p);
    ndis__protocol_put(p);
    return NDIS_STATUS_SUCCESS;
}

void ndis__protocols_release(DRIVER_OBJECT *driver)
{
    struct ndis_protocol *p = NULL;

    while ((p = ndis__protocol_next(p)) != NULL) {
        umn__lock(&ndis.lock);
        bool held = p->driver_object == driver && p->binds_held;
        if (held)
            p->binds_held = false;
        umn__unlock(&ndis.lock);
        if (held)
            bind_now(p);
    }
}

/* ---- deregistration
 * ---------------------------------------------------------------------------------- */

static struct ndis_binding *first_binding(struct ndis_protocol *p)
{
    struct ndis_binding *b = NULL;

    umn__lock(&ndis.lock);
    if (!umn_list_empty(&p->bindings)) {
        b = umn_container_of(p->bindings.next, struct ndis_binding, protocol_link);
        ndis__binding_get(b);
    }
    umn__unlock(&ndis.lock);
    return b;
}

static void unbind_every(struct ndis_protocol *p)
{
    struct ndis_binding *b;

    while ((b = first_binding(p)) != NULL) {
        ndis__unbind_pair(b);
        ndis__binding_put(b);
    }
}

static void deregister(struct ndis_protocol *p)
{
    /* No new callback begins; those under way end, except the caller's own. */
    for (;;) {
        umn__lock(&ndis.lock);
        p->deregistering = true;
        if (p->busy <= ndis__frame_count(p))
            break;
        ndis__wait_unlock(&p->busy_waiters, "callbacks of a protocol that deregisters", p);
    }
    umn__unlock(&ndis.lock);
    unbind_every(p);
    umn__lock(&ndis.lock);
    umn_list_remove(&p->link);
    if (p->associated)
        p->associated->associated = NULL;
    p->associated = NULL;
    umn__unlock(&ndis.lock);
    ndis__object_dead(&p->obj);
    umn__trace("driver.deregister", "protocol %s", p->service);
    ndis__protocol_put(p);
}

/*
 * Unbinds every binding in the calling context, then forgets the protocol
 * (nf-ndis-ndisderegisterprotocoldriver.md; IM-UNL-02, IM-UNL-03). PASSIVE_LEVEL. Legal in
 * MiniportDriverUnload and DriverEntry; from another callback it is reported (question 15).
 */
UMN_EXPORT void NTAPI NdisDeregisterProtocolDriver(NDIS_HANDLE NdisProtocolHandle)
{
    struct ndis_protocol *p = NdisProtocolHandle;
    const struct ndis_frame *f;
    bool twice;

    ndis__entry_ok(UMN_PASSIVE, "NdisDeregisterProtocolDriver");
    if (!ndis__live(p, NDIS_KIND_PROTOCOL, "NdisDeregisterProtocolDriver"))
        return;
    f = ndis__frame_of_self();
    if (f && f->kind != NDIS_FRAME_UNLOAD)
        umn__report("ST-16", 0, "protocol %s deregisters inside %s", p->service, f->name);
    umn__lock(&ndis.lock);
    twice = p->deregistering;
    p->deregistering = true;
    umn__unlock(&ndis.lock);
    if (twice)
        umn__report("ST-16", 0, "protocol %s deregisters twice", p->service);
    else
        deregister(p);
}

void ndis__protocols_drop(DRIVER_OBJECT *driver, const char *when)
{
    struct ndis_protocol *p = NULL;

    while ((p = ndis__protocol_next(p)) != NULL) {
        umn__lock(&ndis.lock);
        bool mine = (!driver || p->driver_object == driver) && !p->deregistering;
        if (mine)
            p->deregistering = true;
        umn__unlock(&ndis.lock);
        if (!mine)
            continue;
        umn__report("ST-16", 0, "protocol %s left its registration behind %s", p->service, when);
        deregister(p);
    }
}

/* nc-ndis-protocol_uninstall.md: after every unbind and before MiniportDriverUnload. */
void ndis__protocols_uninstall(DRIVER_OBJECT *driver)
{
    struct ndis_protocol *p = NULL;
    struct ndis_frame frame;

    while ((p = ndis__protocol_next(p)) != NULL) {
        if (p->driver_object != driver || !p->chars.UninstallHandler)
            continue;
        umn__lock(&ndis.lock);
        p->binds_held = true; /* nothing binds again */
        umn__unlock(&ndis.lock);
        unbind_every(p);
        ndis__frame_enter(&frame, NDIS_FRAME_UNLOAD, driver, NULL, "ProtocolUninstall");
        p->chars.UninstallHandler();
        ndis__frame_leave(&frame);
    }
}

/* ---- binding again
 * ------------------------------------------------------------------------------------ */

/* Binds p to every adapter that it wants and is not bound to. */
void ndis__bind_protocol(struct ndis_protocol *p)
{
    struct ndis_adapter *a = NULL;

    while ((a = ndis__adapter_next(a)) != NULL)
        ndis__bind_pair(p, a);
}

static void reenumerate_job(void *arg)
{
    struct ndis_protocol *p = arg;

    ndis__bind_protocol(p);
    ndis__protocol_put(p);
}

/*
 * One bind call for each adapter that is configured and not bound
 * (nf-ndis-ndisreenumerateprotocolbindings.md, IM-BND-15, IM-VMP-21). PASSIVE_LEVEL. Illegal inside
 * bind, unbind and an event with a binding context: reported, nothing happens. Outside callbacks
 * and inside an event with a NULL context the binds are made before the return; inside any other
 * callback they are left to a thread, since the caller may hold up the very adapter.
 */
UMN_EXPORT void NTAPI NdisReEnumerateProtocolBindings(NDIS_HANDLE NdisProtocolHandle)
{
    struct ndis_protocol *p = NdisProtocolHandle;
    const struct ndis_frame *f;
    bool alive;

    ndis__entry_ok(UMN_PASSIVE, "NdisReEnumerateProtocolBindings");
    if (!ndis__live(p, NDIS_KIND_PROTOCOL, "NdisReEnumerateProtocolBindings"))
        return;
    if (ndis__frame_inside(NDIS_FRAME_BIND, p) || ndis__frame_inside(NDIS_FRAME_UNBIND, p) ||
        ndis__frame_event_bound(p)) {
        umn__report("IM-BND-15", 0,
                    "protocol %s re-enumerates inside bind, unbind or an event of a binding",
                    p->service);
        return;
    }
    ndis__bindlist_invalidate(p);
    umn__lock(&ndis.lock);
    alive = !p->deregistering;
    if (alive)
        ndis__protocol_get(p);
    umn__unlock(&ndis.lock);
    if (!alive)
        return;
    umn__trace("protocol.reenumerate", "%s", p->service);
    f = ndis__frame_of_self();
    if (!f || f->kind == NDIS_FRAME_EVENT || !ndis__job(reenumerate_job, p, "ndis re-enumerate")) {
        ndis__bind_protocol(p);
        ndis__protocol_put(p);
    }
}

/* Unbinds p from what Linkage\Bind does not name any more. */
static void unbind_unwanted(struct ndis_protocol *p)
{
    struct ndis_adapter *a = NULL;

    while ((a = ndis__adapter_next(a)) != NULL) {
        struct ndis_binding *b;

        umn__lock(&ndis.lock);
        b = ndis__binding_of(p, a);
        if (b)
            ndis__binding_get(b);
        umn__unlock(&ndis.lock);
        if (!b)
            continue;
        if (!ndis__protocol_wants(p, a->name))
            ndis__unbind_pair(b);
        ndis__binding_put(b);
    }
}

int umn__ndis_rebind(const char *protocol_service)
{
    struct ndis_protocol *p = NULL;
    bool found = false;

    while ((p = ndis__protocol_next(p)) != NULL) {
        if (protocol_service && umn__stricmp(p->service, protocol_service) != 0)
            continue;
        found = true;
        ndis__bindlist_invalidate(p);
        if (p->binds_held || p->deregistering)
            continue;
        unbind_unwanted(p);
        ndis__bind_protocol(p);
    }
    return found || !protocol_service ? 0 : UMN_ENOENT;
}
