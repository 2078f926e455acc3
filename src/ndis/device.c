/* SPDX-License-Identifier: MIT */
/*
 * Control devices of miniport drivers (NdisRegisterDeviceEx). NDIS owns the dispatch table of a
 * driver that registers a miniport, so that requests are routed by device: those of a control
 * device go to the functions registered with it, others to what stood in the table before.
 * PASSIVE_LEVEL; no lock: the driver registers and deregisters its devices one after the other.
 */
#include "ndis/data.h"

#include <string.h>

#define DEVICE_MAGIC 0x5645444eu /* 'NDEV' */

struct ndis_device {
    uint32_t magic;
    DEVICE_OBJECT *object;
    WCHAR *link; /* symbolic name, terminated; NULL: none */
    PDRIVER_DISPATCH major[IRP_MJ_MAXIMUM_FUNCTION + 1];
    PDRIVER_DISPATCH previous[IRP_MJ_MAXIMUM_FUNCTION + 1];
    char reserved[] __attribute__((aligned(16))); /* the driver's extension */
};

static struct ndis_device *device_of(const DEVICE_OBJECT *object)
{
    struct ndis_device *d = object->DeviceExtension;

    return d && d->magic == DEVICE_MAGIC ? d : NULL;
}

static DRIVER_DISPATCH dispatch;

/* What the table of the driver said before its first control device. */
static PDRIVER_DISPATCH previous_of(const DRIVER_OBJECT *driver, unsigned major)
{
    for (DEVICE_OBJECT *o = driver->DeviceObject; o; o = o->NextDevice) {
        struct ndis_device *d = device_of(o);

        if (d)
            return d->previous[major];
    }
    return NULL;
}

static NTSTATUS NTAPI dispatch(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    unsigned major = IoGetCurrentIrpStackLocation(Irp)->MajorFunction;
    struct ndis_device *d = device_of(DeviceObject);
    PDRIVER_DISPATCH handler = d ? d->major[major] : previous_of(DeviceObject->DriverObject, major);

    if (handler)
        return handler(DeviceObject, Irp);
    Irp->IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_INVALID_DEVICE_REQUEST;
}

static bool routed(unsigned major)
{
    return major != IRP_MJ_PNP && major != IRP_MJ_POWER; /* of adapters: pnp.c */
}

static void hook(struct ndis_device *d, DRIVER_OBJECT *driver, const PDRIVER_DISPATCH *major)
{
    for (unsigned i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++) {
        d->major[i] = major[i];
        if (!routed(i))
            continue;
        d->previous[i] = driver->MajorFunction[i] == dispatch ? previous_of(driver, i)
                                                              : driver->MajorFunction[i];
    }
    d->magic = DEVICE_MAGIC; /* only now: previous_of must not find this one */
    for (unsigned i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        if (routed(i))
            driver->MajorFunction[i] = dispatch;
}

static NTSTATUS make_link(struct ndis_device *d, const UNICODE_STRING *link, UNICODE_STRING *device)
{
    UNICODE_STRING text;
    NTSTATUS status;

    d->link = plat_alloc(link->Length + sizeof(WCHAR));
    if (!d->link)
        return STATUS_INSUFFICIENT_RESOURCES;
    memcpy(d->link, link->Buffer, link->Length);
    umn__us_init(&text, d->link);
    status = IoCreateSymbolicLink(&text, device);
    if (NT_SUCCESS(status))
        return status;
    plat_free(d->link);
    d->link = NULL;
    return status;
}

/*
 * Makes a named device whose requests go to DeviceObjectAttributes->MajorFunctions, with
 * ExtensionSize bytes for the driver. *NdisDeviceHandle is for NdisDeregisterDeviceEx.
 * NOT_SUPPORTED: NdisHandle is no miniport driver's; BAD_VERSION: the header; else the NTSTATUS of
 * creating device or link. PASSIVE_LEVEL. nf-ndis-ndisregisterdeviceex.md
 */
NDIS_STATUS NTAPI NdisRegisterDeviceEx(NDIS_HANDLE NdisHandle,
                                       PNDIS_DEVICE_OBJECT_ATTRIBUTES DeviceObjectAttributes,
                                       PDEVICE_OBJECT *pDeviceObject, PNDIS_HANDLE NdisDeviceHandle)
{
    const NDIS_DEVICE_OBJECT_ATTRIBUTES *a = DeviceObjectAttributes;
    struct ndis_mdriver *m = NdisHandle;
    struct ndis_device *d;
    DEVICE_OBJECT *object;
    NTSTATUS status;

    umn__check_irql(UMN_PASSIVE, "NdisRegisterDeviceEx");
    *pDeviceObject = NULL;
    *NdisDeviceHandle = NULL;
    if (ndis__kind(NdisHandle) != NDIS_KIND_MDRIVER)
        return NDIS_STATUS_NOT_SUPPORTED;
    if (a->Header.Type != NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES ||
        a->Header.Revision < NDIS_DEVICE_OBJECT_ATTRIBUTES_REVISION_1 || !a->MajorFunctions)
        return NDIS_STATUS_BAD_VERSION;
    if (a->ExtensionSize > UINT32_MAX - sizeof(*d))
        return NDIS_STATUS_RESOURCES;
    status = IoCreateDevice(m->driver_object, (ULONG)sizeof(*d) + a->ExtensionSize, a->DeviceName,
                            FILE_DEVICE_NETWORK, FILE_DEVICE_SECURE_OPEN, FALSE, &object);
    if (!NT_SUCCESS(status))
        return status == STATUS_INSUFFICIENT_RESOURCES ? NDIS_STATUS_RESOURCES : status;
    d = object->DeviceExtension;
    memset(d, 0, sizeof(*d) + a->ExtensionSize);
    d->object = object;
    if (a->SymbolicName) {
        status = make_link(d, a->SymbolicName, a->DeviceName);
        if (!NT_SUCCESS(status)) {
            IoDeleteDevice(object);
            return status == STATUS_INSUFFICIENT_RESOURCES ? NDIS_STATUS_RESOURCES : status;
        }
    }
    hook(d, m->driver_object, a->MajorFunctions);
    object->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    *pDeviceObject = object;
    *NdisDeviceHandle = d;
    return NDIS_STATUS_SUCCESS;
}

/* Deletes the device and its link. PASSIVE_LEVEL. nf-ndis-ndisderegisterdeviceex.md */
void NTAPI NdisDeregisterDeviceEx(NDIS_HANDLE NdisDeviceHandle)
{
    struct ndis_device *d = NdisDeviceHandle;
    UNICODE_STRING text;

    umn__check_irql(UMN_PASSIVE, "NdisDeregisterDeviceEx");
    if (!d || d->magic != DEVICE_MAGIC) {
        umn__report("HandleType", 0, "NdisDeregisterDeviceEx: %p is no device handle",
                    NdisDeviceHandle);
        return;
    }
    if (d->link) {
        umn__us_init(&text, d->link);
        /* Cannot fail for the driver: a moment without memory is waited out. */
        for (unsigned tries = 0; tries < 100; tries++) {
            if (IoDeleteSymbolicLink(&text) != STATUS_INSUFFICIENT_RESOURCES)
                break;
            NdisMSleep(1000);
        }
        plat_free(d->link);
    }
    IoDeleteDevice(d->object);
}

/* The driver's bytes of a control device. Any IRQL. nf-ndis-ndisgetdevicereservedextension.md */
PVOID NTAPI NdisGetDeviceReservedExtension(PDEVICE_OBJECT DeviceObject)
{
    struct ndis_device *d = device_of(DeviceObject);

    return d ? d->reserved : NULL;
}
