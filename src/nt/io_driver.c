/* SPDX-License-Identifier: MIT */
/*
 * Driver objects: load, entry, unload. `io__lock` (leaf) guards the list; loading and unloading run
 * at PASSIVE_LEVEL in the caller's context, with no lock held across the driver's routines.
 */
#include "nt/private.h"

#include <string.h>

struct umn_mutex io__lock;
static struct umn_list drivers = {&drivers, &drivers};
static void (*entry_hook)(DRIVER_OBJECT *driver, bool returned, NTSTATUS status);

static const struct umn_image_ops *image_ops;

void umn__image_ops_set(const struct umn_image_ops *ops)
{
    image_ops = ops;
}

bool io__image_contains(const struct umn_image *image, const void *address)
{
    return image && image_ops && image_ops->contains(image, address);
}

static void image_close(struct umn_image *image)
{
    if (image && image_ops)
        image_ops->close(image);
}

struct client {
    struct umn_list link;
    PVOID id;
    _Alignas(16) char data[];
};

static struct io_driver *record_of(const DRIVER_OBJECT *driver)
{
    return (struct io_driver *)(uintptr_t)driver;
}

const char *io__owner(const void *address)
{
    const char *name = "?";
    umn__lock(&io__lock);
    umn_list_for_each (pos, &drivers) {
        struct io_driver *d = umn_container_of(pos, struct io_driver, link);
        if (io__image_contains(d->image, address))
            name = d->service;
    }
    umn__unlock(&io__lock);
    return name;
}

void umn__driver_entry_hook(void (*hook)(DRIVER_OBJECT *driver, bool returned, NTSTATUS status))
{
    entry_hook = hook;
}

const char *umn__driver_service(const DRIVER_OBJECT *driver)
{
    return record_of(driver)->service;
}

struct umn_image *umn__driver_image(const DRIVER_OBJECT *driver)
{
    return record_of(driver)->image;
}

DRIVER_OBJECT *umn__driver_find(const char *service)
{
    DRIVER_OBJECT *found = NULL;
    umn__lock(&io__lock);
    umn_list_for_each (pos, &drivers) {
        struct io_driver *d = umn_container_of(pos, struct io_driver, link);
        if (umn__stricmp(d->service, service) == 0)
            found = &d->object;
    }
    umn__unlock(&io__lock);
    return found;
}

/* What a driver without a routine for a major function answers. */
static NTSTATUS NTAPI invalid_request(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    Irp->IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_INVALID_DEVICE_REQUEST;
}

static void driver_destroy(void *body)
{
    struct io_driver *d = body;
    umn_list_for_each (pos, &d->clients)
        plat_free(umn_container_of(pos, struct client, link));
    plat_free(d->service);
    plat_free(d->name);
    plat_free(d->service_key);
}

static void fill(struct io_driver *d, PDRIVER_INITIALIZE entry)
{
    static UNICODE_STRING hardware =
        RTL_CONSTANT_STRING(u"\\REGISTRY\\MACHINE\\HARDWARE\\DESCRIPTION\\SYSTEM");
    d->object.Type = IO_TYPE_DRIVER;
    d->object.Size = sizeof(DRIVER_OBJECT);
    d->object.DriverExtension = &d->extension;
    d->object.HardwareDatabase = &hardware;
    d->object.DriverInit = entry;
    d->extension.DriverObject = &d->object;
    umn__us_init(&d->object.DriverName, d->name);
    umn__us_init(&d->extension.ServiceKeyName, d->service_key);
    for (unsigned i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        d->object.MajorFunction[i] = invalid_request;
}

static struct io_driver *driver_new(const char *service, PDRIVER_INITIALIZE entry,
                                    struct umn_image *image)
{
    char *name = plat_asprintf("\\Driver\\%s", service);
    if (!name)
        return NULL;
    struct io_driver *d = ob__create(OB_DRIVER, sizeof *d, name, driver_destroy);
    if (!d)
        goto free_name;
    umn_list_init(&d->clients);
    umn_list_init(&d->link);
    d->service = plat_strdup(service);
    d->name = umn__utf16(name);
    d->service_key = umn__utf16(service);
    d->image = image;
    if (!d->service || !d->name || !d->service_key) {
        ob__deref(d);
        d = NULL;
        goto free_name;
    }
    fill(d, entry);
free_name:
    plat_free(name);
    return d;
}

/* Calls DriverEntry with a registry path that lives only during the call, as on Windows. */
static NTSTATUS call_entry(struct io_driver *d, PDRIVER_INITIALIZE entry)
{
    char *path =
        plat_asprintf("\\Registry\\Machine\\System\\CurrentControlSet\\Services\\%s", d->service);
    WCHAR *wide = path ? umn__utf16(path) : NULL;
    UNICODE_STRING registry;
    plat_free(path);
    if (!wide)
        return STATUS_INSUFFICIENT_RESOURCES;
    umn__us_init(&registry, wide);
    struct ke_entry before = ke__entry();
    umn__point(UMN_OP_CALLBACK, d);
    NTSTATUS status = entry(&d->object, &registry);
    ke__check_return(&before, "DriverEntry", (const void *)entry);
    plat_free(wide);
    /* The I/O manager ends the initialization of devices made in DriverEntry. */
    umn__lock(&io__lock);
    for (DEVICE_OBJECT *device = d->object.DeviceObject; device; device = device->NextDevice)
        device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    umn__unlock(&io__lock);
    return status;
}

static void drop(struct io_driver *d)
{
    umn__lock(&io__lock);
    umn_list_remove(&d->link);
    umn__unlock(&io__lock);
    ob__unname(d);
    ob__deref(d);
}

static void check_left(struct io_driver *d, const char *when)
{
    unsigned devices = io__delete_devices(&d->object);
    if (devices)
        umn__report("DriverUnload", 0xce, "%s left %u device object(s) after %s", d->service,
                    devices, when);
    ex__pool_check_unload(d->image, d->service);
}

int umn__driver_load(const char *service, PDRIVER_INITIALIZE entry, struct umn_image *image,
                     DRIVER_OBJECT **out, NTSTATUS *status)
{
    NTSTATUS ignored;
    if (!status)
        status = &ignored;
    *status = STATUS_INSUFFICIENT_RESOURCES;
    umn__check_irql(PASSIVE_LEVEL, "umn__driver_load");
    if (umn__driver_find(service)) {
        *status = STATUS_IMAGE_ALREADY_LOADED;
        return umn__refuse(UMN_EEXIST, "%s: a driver of this service is loaded already", service);
    }
    struct io_driver *d = driver_new(service, entry, image);
    if (!d)
        return UMN_ENOMEM;
    umn__lock(&io__lock);
    umn_list_add_tail(&drivers, &d->link);
    umn__unlock(&io__lock);
    if (entry_hook)
        entry_hook(&d->object, false, STATUS_SUCCESS);
    *status = call_entry(d, entry);
    umn__trace("driver.entry", "%s 0x%08x", service, (unsigned)*status);
    if (entry_hook)
        entry_hook(&d->object, true, *status);
    if (*status < 0) {
        check_left(d, "a failed DriverEntry");
        drop(d);
        return umn__refuse(UMN_EDRIVER, "%s: DriverEntry returned 0x%08X", service,
                           (unsigned)*status);
    }
    *out = &d->object;
    return 0;
}

/* A device that is part of a stack, or that somebody holds open, keeps its driver. */
static bool devices_in_use(struct io_driver *d)
{
    bool used = false;
    umn__lock(&io__lock);
    for (DEVICE_OBJECT *device = d->object.DeviceObject; device; device = device->NextDevice)
        used |= device->AttachedDevice || device->DeviceObjectExtension->AttachedTo ||
                device->ReferenceCount > 0;
    umn__unlock(&io__lock);
    return used;
}

int umn__driver_unload(DRIVER_OBJECT *driver)
{
    struct io_driver *d = record_of(driver);
    struct umn_image *image = d->image;
    umn__check_irql(PASSIVE_LEVEL, "umn__driver_unload");
    if (!driver->DriverUnload)
        return umn__refuse(UMN_ESTATE, "%s: the driver has no unload routine", d->service);
    if (devices_in_use(d))
        return umn__refuse(UMN_ESTATE, "%s: devices of the driver are in use", d->service);
    d->unloading = true;
    PDRIVER_UNLOAD unload = driver->DriverUnload;
    struct ke_entry before = ke__entry();
    umn__point(UMN_OP_CALLBACK, driver);
    unload(driver);
    ke__check_return(&before, "DriverUnload", (const void *)unload);
    KeFlushQueuedDpcs(); /* none of its DPCs may run once the image is gone */
    umn__trace("driver.unload", "%s", d->service);
    check_left(d, "DriverUnload");
    drop(d);
    image_close(image);
    return 0;
}

void io__driver_stop(void)
{
    while (!umn_list_empty(&drivers)) {
        struct io_driver *d = umn_container_of(drivers.next, struct io_driver, link);
        struct umn_image *image = d->image;
        umn__report("DriverUnload", 0, "%s is still loaded", d->service);
        check_left(d, "the end of the box");
        drop(d);
        image_close(image);
    }
}

/* ---- what drivers call ----------------------------------------------------------------------- */

/*
 * Memory that lives as long as the driver object, zeroed, found again by its id. PASSIVE_LEVEL.
 * STATUS_OBJECT_NAME_COLLISION: the id is taken. nf-wdm-ioallocatedriverobjectextension.md
 */
NTSTATUS NTAPI IoAllocateDriverObjectExtension(PDRIVER_OBJECT DriverObject,
                                               PVOID ClientIdentificationAddress,
                                               ULONG DriverObjectExtensionSize,
                                               PVOID *DriverObjectExtension)
{
    *DriverObjectExtension = NULL;
    if (IoGetDriverObjectExtension(DriverObject, ClientIdentificationAddress))
        return STATUS_OBJECT_NAME_COLLISION;
    struct client *c = plat_alloc(sizeof *c + DriverObjectExtensionSize);
    if (!c)
        return STATUS_INSUFFICIENT_RESOURCES;
    c->id = ClientIdentificationAddress;
    umn__lock(&io__lock);
    umn_list_add_tail(&record_of(DriverObject)->clients, &c->link);
    umn__unlock(&io__lock);
    *DriverObjectExtension = c->data;
    return STATUS_SUCCESS;
}

/* NULL: none. <= DISPATCH_LEVEL. nf-wdm-iogetdriverobjectextension.md */
PVOID NTAPI IoGetDriverObjectExtension(PDRIVER_OBJECT DriverObject,
                                       PVOID ClientIdentificationAddress)
{
    PVOID found = NULL;
    umn__lock(&io__lock);
    umn_list_for_each (pos, &record_of(DriverObject)->clients) {
        struct client *c = umn_container_of(pos, struct client, link);
        if (c->id == ClientIdentificationAddress)
            found = c->data;
    }
    umn__unlock(&io__lock);
    return found;
}
