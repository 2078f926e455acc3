/* SPDX-License-Identifier: MIT */
/*
 * Miniport drivers: registration, what NDIS puts into the DRIVER_OBJECT, unload, and what runs
 * while a DriverEntry is under way. Lists under ndis.lock; everything here runs at PASSIVE_LEVEL.
 *
 * NDIS owns DriverExtension->AddDevice, IRP_MJ_PNP, IRP_MJ_POWER and DriverUnload of a driver that
 * registers a miniport (design 5). A driver may register twice, as physical miniport and as
 * intermediate driver; the registry's IMMiniport of a device instance tells which one it belongs
 * to.
 */
#include "ndis/control.h"

#include <string.h>
#include "ndis/pnp.h"

/* DriverEntry routines under way: binds of their protocols and AddDevice wait for their end. */
#define MAX_ENTRIES 16 /* drivers loading at once; one more is not held back */
static struct entry {
    DRIVER_OBJECT *driver;
    struct umn_ctx *ctx;
} entries[MAX_ENTRIES];
static struct umn_list entry_waiters;

/* ---- DriverEntry
 * ---------------------------------------------------------------------------------- */

static struct entry *entry_of(const DRIVER_OBJECT *driver)
{
    for (unsigned i = 0; i < MAX_ENTRIES; i++)
        if (entries[i].driver == driver)
            return &entries[i];
    return NULL;
}

DRIVER_OBJECT *ndis__entry_driver(void)
{
    struct umn_ctx *self = umn__ctx_self();
    DRIVER_OBJECT *driver = NULL;

    umn__lock(&ndis.lock);
    for (unsigned i = 0; i < MAX_ENTRIES; i++)
        if (entries[i].driver && entries[i].ctx == self)
            driver = entries[i].driver;
    umn__unlock(&ndis.lock);
    return driver;
}

bool ndis__driver_entering(const DRIVER_OBJECT *driver)
{
    bool entering;

    umn__lock(&ndis.lock);
    entering = driver && entry_of(driver);
    umn__unlock(&ndis.lock);
    return entering;
}

/* A DriverEntry that failed must have deregistered what it registered (IM-REG-11). */
static void drop_leftovers(DRIVER_OBJECT *driver, const char *when)
{
    struct ndis_mdriver *d;

    ndis__protocols_drop(driver, when);
    while ((d = ndis__mdriver_for(driver, NULL)) != NULL) {
        umn__report("ST-16", 0, "driver %s left its miniport registration behind %s", d->service,
                    when);
        ndis__mdriver_deregister(d);
        ndis__mdriver_put(d);
    }
}

static void entry_hook(DRIVER_OBJECT *driver, bool returned, NTSTATUS status)
{
    struct entry *e;

    umn__lock(&ndis.lock);
    if (!returned) {
        e = entry_of(NULL);
        if (e)
            *e = (struct entry){driver, umn__ctx_self()};
        umn__unlock(&ndis.lock);
        return;
    }
    e = entry_of(driver);
    if (e)
        *e = (struct entry){0};
    umn_list_for_each (l, &ndis.mdrivers) {
        struct ndis_mdriver *d = umn_container_of(l, struct ndis_mdriver, link);
        if (d->driver_object == driver)
            d->entry_returned = true;
    }
    ndis__wake_unlock(&entry_waiters);
    if (NT_SUCCESS(status))
        ndis__protocols_release(driver);
    else
        drop_leftovers(driver, "in a DriverEntry that failed");
}

bool ndis__mdriver_ready(DRIVER_OBJECT *driver)
{
    bool found = false;

    for (;;) {
        umn__lock(&ndis.lock);
        if (!entry_of(driver))
            break;
        ndis__wait_unlock(&entry_waiters, "the end of DriverEntry", driver);
    }
    umn_list_for_each (l, &ndis.mdrivers)
        found |= umn_container_of(l, struct ndis_mdriver, link)->driver_object == driver;
    umn__unlock(&ndis.lock);
    return found;
}

void ndis__drivers_start(void)
{
    memset(entries, 0, sizeof entries);
    umn_list_init(&entry_waiters);
    umn__driver_entry_hook(entry_hook);
}

void ndis__drivers_stop(void)
{
    umn__driver_entry_hook(NULL);
    umn_list_for_each (l, &ndis.mdrivers) {
        struct ndis_mdriver *d = umn_container_of(l, struct ndis_mdriver, link);
        umn__report("ST-16", 0, "miniport driver %s is left when NDIS stops", d->service);
        umn__lock(&ndis.lock);
        ndis__mdriver_get(d);
        umn__unlock(&ndis.lock);
        ndis__mdriver_deregister(d);
        ndis__mdriver_put(d);
    }
    ndis__protocols_drop(NULL, "when NDIS stops");
}

/* ---- unload
 * ----------------------------------------------------------------------------------------- */

/*
 * DriverUnload of every driver with a miniport (nc-ndis-miniport_unload.md, IM-UNL-01). A combined
 * driver gets one call per distinct unload handler.
 */
static void NTAPI ndis_driver_unload(DRIVER_OBJECT *driver)
{
    MINIPORT_DRIVER_UNLOAD called = NULL;
    struct ndis_frame frame;
    struct ndis_mdriver *d;
    uint32_t last = 0;

    ndis__protocols_uninstall(driver);
    for (;;) {
        d = NULL;
        umn__lock(&ndis.lock);
        umn_list_for_each (l, &ndis.mdrivers) {
            struct ndis_mdriver *x = umn_container_of(l, struct ndis_mdriver, link);
            if (x->driver_object == driver && x->obj.id > last) {
                d = x;
                ndis__mdriver_get(d);
                break;
            }
        }
        umn__unlock(&ndis.lock);
        if (!d)
            break;
        last = d->obj.id;
        if (d->chars.UnloadHandler != called) {
            called = d->chars.UnloadHandler;
            umn__trace("driver.unload", "%s", d->service);
            ndis__frame_enter(&frame, NDIS_FRAME_UNLOAD, driver, NULL, "MiniportDriverUnload");
            called(driver);
            ndis__frame_leave(&frame);
        }
        ndis__mdriver_put(d);
    }
    drop_leftovers(driver, "in MiniportDriverUnload");
}

/* ---- registration
 * ------------------------------------------------------------------------------------ */

bool ndis__version_known(unsigned major, unsigned minor)
{
    static const unsigned char minors[] = {0,  1,  20, 30, 40, 50, 51, 52, 60,
                                           70, 80, 81, 82, 83, 84, 85, 86, 87};

    if (major != 6 || minor > umn__ndis_settings.ndis_minor)
        return false;
    return memchr(minors, (int)minor, sizeof minors) != NULL;
}

/* IM-REG-04, IM-REG-08, IM-POR-04, IM-POR-05. */
static NDIS_STATUS check_characteristics(const NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c)
{
    unsigned version, revision;
    size_t size;

    if (!c || c->Header.Type != NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS)
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    if (!ndis__version_known(c->MajorNdisVersion, c->MinorNdisVersion))
        return NDIS_STATUS_BAD_VERSION;
    version = ndis__ver(c->MajorNdisVersion, c->MinorNdisVersion);
    if (version >= 680) {
        revision = NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_3;
        size = NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_3;
    } else if (version >= 601) {
        revision = NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2;
        size = NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2;
    } else {
        revision = NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_1;
        size = NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_1;
    }
    if (c->Header.Revision < revision || c->Header.Size < size)
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    if (!c->InitializeHandlerEx || !c->HaltHandlerEx || !c->UnloadHandler || !c->PauseHandler ||
        !c->RestartHandler || !c->OidRequestHandler || !c->SendNetBufferListsHandler ||
        !c->ReturnNetBufferListsHandler || !c->CancelSendHandler ||
        !c->DevicePnPEventNotifyHandler || !c->ShutdownHandlerEx || !c->CancelOidRequestHandler)
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    if (c->CheckForHangHandlerEx && !c->ResetHandlerEx)
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    if ((c->Flags & NDIS_INTERMEDIATE_DRIVER) && (c->Flags & NDIS_WDM_DRIVER))
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    if (version >= 601 && !c->DirectOidRequestHandler != !c->CancelDirectOidRequestHandler)
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    if ((c->Flags & NDIS_INTERMEDIATE_DRIVER) && (c->CheckForHangHandlerEx || c->ResetHandlerEx))
        umn__report("IM-REG-09", 0, "an intermediate driver supplies CheckForHang or Reset");
    return NDIS_STATUS_SUCCESS;
}

static struct ndis_mdriver *mdriver_new(DRIVER_OBJECT *driver, NDIS_HANDLE context,
                                        const NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c)
{
    struct ndis_mdriver *d = plat_alloc(sizeof *d);
    const unsigned version = ndis__ver(c->MajorNdisVersion, c->MinorNdisVersion);
    size_t size = sizeof d->chars;

    if (!d)
        return NULL;
    if (version < 601)
        size = NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_1;
    else if (version < 680)
        size = NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2;
    memcpy(&d->chars, c, size); /* the driver's copy may be shorter than ours */
    d->service = plat_strdup(umn__driver_service(driver));
    d->grave = ndis__grave_new();
    if (!d->service || !d->grave) {
        plat_free((char *)(uintptr_t)d->service);
        plat_free(d->grave);
        plat_free(d);
        return NULL;
    }
    d->driver_object = driver;
    d->context = context;
    d->intermediate = c->Flags & NDIS_INTERMEDIATE_DRIVER;
    d->refs = 1;
    umn_list_init(&d->adapters);
    return d;
}

static void take_over(struct ndis_mdriver *d)
{
    DRIVER_OBJECT *driver = d->driver_object;

    if (driver->DriverUnload != ndis_driver_unload)
        d->previous_unload = driver->DriverUnload;
    driver->DriverUnload = ndis_driver_unload;
    driver->DriverExtension->AddDevice = ndis__pnp_add_device;
    driver->MajorFunction[IRP_MJ_PNP] = ndis__pnp_dispatch;
    driver->MajorFunction[IRP_MJ_POWER] = ndis__pnp_power;
}

/*
 * Registers a miniport driver (nf-ndis-ndismregisterminiportdriver.md; IM-REG-01, -04, -06, -08,
 * IM-POR-04). The characteristics are copied; SetOptions is called before the return with the very
 * handle that is returned. PASSIVE_LEVEL. BAD_VERSION: a version we do not know or not offer;
 * BAD_CHARACTERISTICS: header or a required handler; RESOURCES; otherwise SetOptions' status.
 */
UMN_EXPORT NDIS_STATUS NTAPI NdisMRegisterMiniportDriver(
    PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath, NDIS_HANDLE MiniportDriverContext,
    PNDIS_MINIPORT_DRIVER_CHARACTERISTICS MiniportDriverCharacteristics,
    PNDIS_HANDLE NdisMiniportDriverHandle)
{
    struct ndis_mdriver *d;
    struct ndis_frame frame;
    NDIS_STATUS status;

    ndis__entry_ok(UMN_PASSIVE, "NdisMRegisterMiniportDriver");
    if (!DriverObject || !NdisMiniportDriverHandle)
        return NDIS_STATUS_FAILURE;
    status = check_characteristics(MiniportDriverCharacteristics);
    if (status != NDIS_STATUS_SUCCESS)
        return status;
    d = mdriver_new(DriverObject, MiniportDriverContext, MiniportDriverCharacteristics);
    if (!d)
        return NDIS_STATUS_RESOURCES;
    d->entry_returned = !ndis__driver_entering(DriverObject);
    ndis__object_live(&d->obj, NDIS_KIND_MDRIVER);
    *NdisMiniportDriverHandle = d;
    if (d->chars.SetOptionsHandler) {
        ndis__frame_enter(&frame, NDIS_FRAME_SETOPTIONS, d, NULL, "MiniportSetOptions");
        status = d->chars.SetOptionsHandler(d, MiniportDriverContext);
        ndis__frame_leave(&frame);
    }
    if (status != NDIS_STATUS_SUCCESS) {
        ndis__object_dead(&d->obj);
        *NdisMiniportDriverHandle = NULL;
        ndis__mdriver_put(d);
        return status;
    }
    take_over(d);
    umn__lock(&ndis.lock);
    umn_list_add_tail(&ndis.mdrivers, &d->link);
    umn__unlock(&ndis.lock);
    umn__trace("driver.register", "miniport %s 6.%u%s", d->service, d->chars.MinorNdisVersion,
               d->intermediate ? " intermediate" : "");
    return NDIS_STATUS_SUCCESS;
}

/* Takes the registration back; adapters that are left keep the memory. Reference stays. */
void ndis__mdriver_deregister(struct ndis_mdriver *d)
{
    DRIVER_OBJECT *driver = d->driver_object;
    bool last = true;

    ndis__object_dead(&d->obj);
    ndis__im_driver_gone(d);
    umn__lock(&ndis.lock);
    umn_list_remove(&d->link);
    if (d->associated)
        d->associated->associated = NULL;
    d->associated = NULL;
    umn_list_for_each (l, &ndis.mdrivers)
        last &= umn_container_of(l, struct ndis_mdriver, link)->driver_object != driver;
    umn__unlock(&ndis.lock);
    if (last) {
        driver->DriverExtension->AddDevice = NULL;
        driver->DriverUnload = d->previous_unload;
    }
    umn__trace("driver.deregister", "miniport %s", d->service);
    ndis__mdriver_put(d);
}

/*
 * nf-ndis-ndismderegisterminiportdriver.md: from MiniportDriverUnload, or from a DriverEntry that
 * fails (ST-16 otherwise). PASSIVE_LEVEL. IM-UNL-02.
 */
UMN_EXPORT void NTAPI NdisMDeregisterMiniportDriver(NDIS_HANDLE NdisMiniportDriverHandle)
{
    struct ndis_mdriver *d = NdisMiniportDriverHandle;

    ndis__entry_ok(UMN_PASSIVE, "NdisMDeregisterMiniportDriver");
    if (!ndis__live(d, NDIS_KIND_MDRIVER, "NdisMDeregisterMiniportDriver"))
        return;
    if (!ndis__driver_entering(d->driver_object) &&
        !ndis__frame_inside(NDIS_FRAME_UNLOAD, d->driver_object))
        umn__report(
            "ST-16", 0,
            "driver %s deregisters its miniport outside MiniportDriverUnload and DriverEntry",
            d->service);
    if (!umn_list_empty(&d->adapters))
        umn__report("DRIVER_UNLOAD_UNEXPECTED", 0x0a,
                    "driver %s deregisters its miniport while it has adapters", d->service);
    umn__lock(&ndis.lock);
    ndis__mdriver_get(d);
    umn__unlock(&ndis.lock);
    ndis__mdriver_deregister(d);
    ndis__mdriver_put(d);
}

/*
 * Tells that both edges belong to one intermediate driver (nf-ndis-ndisimassociateminiport.md,
 * IM-REG-03): NetEventIMReEnableDevice goes to the associated protocol. PASSIVE_LEVEL, DriverEntry.
 */
UMN_EXPORT void NTAPI NdisIMAssociateMiniport(NDIS_HANDLE DriverHandle, NDIS_HANDLE ProtocolHandle)
{
    struct ndis_mdriver *d = DriverHandle;
    struct ndis_protocol *p = ProtocolHandle;

    ndis__entry_ok(UMN_PASSIVE, "NdisIMAssociateMiniport");
    if (!ndis__live(d, NDIS_KIND_MDRIVER, "NdisIMAssociateMiniport") ||
        !ndis__live(p, NDIS_KIND_PROTOCOL, "NdisIMAssociateMiniport"))
        return;
    if (!d->intermediate) {
        umn__report("IM-REG-03", 0, "driver %s associates a miniport that is not intermediate",
                    d->service);
        return;
    }
    if (ndis__entry_driver() != d->driver_object && !d->entry_returned)
        umn__report("IM-REG-03", 0, "driver %s calls NdisIMAssociateMiniport outside DriverEntry",
                    d->service);
    umn__lock(&ndis.lock);
    d->associated = p;
    p->associated = d;
    umn__unlock(&ndis.lock);
    umn__trace("driver.associate", "%s with protocol %s", d->service, p->service);
}

/* ---- options
 * ------------------------------------------------------------------------------------------ */

/*
 * nf-ndis-ndissetoptionalhandlers.md. Of the optional structures this library serves
 * NDIS_MINIPORT_PNP_CHARACTERISTICS; every other one is refused with FAILURE, since nothing would
 * ever call its handlers. PASSIVE_LEVEL.
 */
UMN_EXPORT NDIS_STATUS NTAPI
NdisSetOptionalHandlers(NDIS_HANDLE NdisHandle, PNDIS_DRIVER_OPTIONAL_HANDLERS OptionalHandlers)
{
    struct ndis_mdriver *d = NdisHandle;
    const NDIS_MINIPORT_PNP_CHARACTERISTICS *c = (const void *)OptionalHandlers;

    ndis__entry_ok(UMN_PASSIVE, "NdisSetOptionalHandlers");
    if (!c || ndis__kind(NdisHandle) != NDIS_KIND_MDRIVER ||
        c->Header.Type != NDIS_OBJECT_TYPE_MINIPORT_PNP_CHARACTERISTICS)
        return NDIS_STATUS_FAILURE;
    if (!ndis__frame_inside(NDIS_FRAME_SETOPTIONS, d))
        umn__report("ST-18", 0,
                    "driver %s calls NdisSetOptionalHandlers outside MiniportSetOptions",
                    d->service);
    if (c->Header.Size < NDIS_SIZEOF_MINIPORT_PNP_CHARACTERISTICS_REVISION_1 ||
        !c->MiniportAddDeviceHandler != !c->MiniportRemoveDeviceHandler)
        return NDIS_STATUS_FAILURE;
    memcpy(&d->pnp, c, NDIS_SIZEOF_MINIPORT_PNP_CHARACTERISTICS_REVISION_1);
    return NDIS_STATUS_SUCCESS;
}

/* ---- look-up
 * ------------------------------------------------------------------------------------------- */

/*
 * The registration that a device belongs to, with a reference; NULL if there is none. With two
 * registrations IMMiniport = 1 in the device's class key selects the intermediate one (secondary
 * fact of group REG; nc-ndis-miniport_initialize.md).
 */
struct ndis_mdriver *ndis__mdriver_for(DRIVER_OBJECT *driver, DEVICE_OBJECT *pdo)
{
    struct ndis_mdriver *found = NULL, *im = NULL;
    bool want_im = pdo && ndis__device_dword(pdo, "IMMiniport", 0) == 1;

    umn__lock(&ndis.lock);
    umn_list_for_each (l, &ndis.mdrivers) {
        struct ndis_mdriver *d = umn_container_of(l, struct ndis_mdriver, link);
        if (d->driver_object != driver)
            continue;
        if (d->intermediate)
            im = im ? im : d;
        else
            found = found ? found : d;
    }
    if (im && (want_im || !found))
        found = im;
    if (found)
        ndis__mdriver_get(found);
    umn__unlock(&ndis.lock);
    return found;
}
