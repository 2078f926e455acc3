/* SPDX-License-Identifier: MIT */
/*
 * The root bus: the driver \Driver\umnroot that owns the physical device object of every device
 * below Enum\ROOT. It is the bottom of each stack: it completes what comes down, with success where
 * a bus driver has to, and leaves alone (status unchanged) what it does not know, as
 * irp-mn-*.md of the kernel guide demands. Called at PASSIVE_LEVEL (power: <= DISPATCH_LEVEL).
 */
#include "config/internal.h"

#include <string.h>
#include "check/check.h"
#include "plat/plat.h"

#define BUS_SERVICE "umnroot"

static DRIVER_OBJECT *bus;

static NTSTATUS complete(IRP *irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    IofCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

/* IRP_MN_QUERY_CAPABILITIES: software devices; surprise removal needs no warning, D0 only. */
static NTSTATUS capabilities(IO_STACK_LOCATION *location)
{
    DEVICE_CAPABILITIES *c = location->Parameters.DeviceCapabilities.Capabilities;

    if (!c || c->Version != 1 || c->Size < sizeof *c)
        return STATUS_UNSUCCESSFUL;
    c->SilentInstall = 1;
    c->SurpriseRemovalOK = 1;
    c->UniqueID = 1;
    c->Address = ~0u;
    c->UINumber = ~0u;
    for (unsigned i = PowerSystemWorking; i < PowerSystemMaximum; i++)
        c->DeviceState[i] = i == PowerSystemWorking ? PowerDeviceD0 : PowerDeviceD3;
    c->SystemWake = PowerSystemUnspecified;
    c->DeviceWake = PowerDeviceUnspecified;
    return STATUS_SUCCESS;
}

/* A pool copy of text, UTF-16, with one more zero for a MULTI_SZ. The PnP manager frees it. */
static NTSTATUS answer_text(IRP *irp, const char *text)
{
    WCHAR *wide = umn__utf16(text), *copy;
    size_t bytes;

    if (!wide)
        return STATUS_INSUFFICIENT_RESOURCES;
    bytes = (umn__wcslen(wide) + 2) * sizeof *wide;
    copy = ExAllocatePool2(POOL_FLAG_PAGED, bytes, 'BnmU');
    if (copy)
        memcpy(copy, wide, bytes - sizeof *wide);
    plat_free(wide);
    if (!copy)
        return STATUS_INSUFFICIENT_RESOURCES;
    irp->IoStatus.Information = (ULONG_PTR)copy;
    return STATUS_SUCCESS;
}

static NTSTATUS query_id(DEVICE_OBJECT *device, IRP *irp, IO_STACK_LOCATION *location)
{
    const struct umn_devnode *node = umn__pdo_node(device);
    const struct cfg_device *d = node ? node->owner : NULL;
    const char *slash;

    if (!d)
        return STATUS_NO_SUCH_DEVICE;
    slash = strrchr(d->instance_id, '\\');
    switch (location->Parameters.QueryId.IdType) {
    case BusQueryDeviceID:
    case BusQueryHardwareIDs:
        return answer_text(irp, d->hardware_id);
    case BusQueryInstanceID:
        return answer_text(irp, slash ? slash + 1 : d->instance_id);
    default:
        return irp->IoStatus.Status;
    }
}

static NTSTATUS target_relation(DEVICE_OBJECT *device, IRP *irp, IO_STACK_LOCATION *location)
{
    DEVICE_RELATIONS *relations;

    if (location->Parameters.QueryDeviceRelations.Type != TargetDeviceRelation)
        return irp->IoStatus.Status;
    relations = ExAllocatePool2(POOL_FLAG_PAGED, sizeof *relations, 'BnmU');
    if (!relations)
        return STATUS_INSUFFICIENT_RESOURCES;
    relations->Count = 1;
    relations->Objects[0] = device;
    ObfReferenceObject(device);
    irp->IoStatus.Information = (ULONG_PTR)relations;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI BusPnp(DEVICE_OBJECT *device, IRP *irp)
{
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    NTSTATUS status = irp->IoStatus.Status;

    switch (location->MinorFunction) {
    case IRP_MN_START_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
    case IRP_MN_QUERY_PNP_DEVICE_STATE:
    case IRP_MN_DEVICE_USAGE_NOTIFICATION:
        status = STATUS_SUCCESS;
        break;
    case IRP_MN_QUERY_CAPABILITIES:
        status = capabilities(location);
        break;
    case IRP_MN_QUERY_ID:
        status = query_id(device, irp, location);
        break;
    case IRP_MN_QUERY_DEVICE_RELATIONS:
        status = target_relation(device, irp, location);
        break;
    default: /* no resources, no text, no interfaces: unchanged */
        break;
    }
    return complete(irp, status);
}

static NTSTATUS NTAPI BusPower(DEVICE_OBJECT *device, IRP *irp)
{
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    bool known = location->MinorFunction == IRP_MN_SET_POWER ||
                 location->MinorFunction == IRP_MN_QUERY_POWER;

    return complete(irp, known ? STATUS_SUCCESS : irp->IoStatus.Status);
}

static NTSTATUS NTAPI BusSystemControl(DEVICE_OBJECT *device, IRP *irp)
{
    return complete(irp, irp->IoStatus.Status);
}

static void NTAPI BusUnload(DRIVER_OBJECT *driver)
{
    bus = NULL;
}

static NTSTATUS NTAPI BusEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path)
{
    driver->MajorFunction[IRP_MJ_PNP] = BusPnp;
    driver->MajorFunction[IRP_MJ_POWER] = BusPower;
    driver->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = BusSystemControl;
    driver->DriverUnload = BusUnload;
    return STATUS_SUCCESS;
}

int cfg__bus_start(void)
{
    NTSTATUS status;
    int error = umn__driver_load(BUS_SERVICE, BusEntry, NULL, &bus, &status);

    return error && status == STATUS_INSUFFICIENT_RESOURCES ? UMN_ENOMEM : error;
}

void cfg__bus_stop(void)
{
    if (bus)
        umn__driver_unload(bus);
}

int cfg__bus_create_pdo(struct umn_devnode *node, NTSTATUS *status)
{
    DEVICE_OBJECT *pdo;

    *status = IoCreateDevice(bus, 0, NULL, FILE_DEVICE_PHYSICAL_NETCARD,
                             FILE_AUTOGENERATED_DEVICE_NAME, FALSE, &pdo);
    if (!NT_SUCCESS(*status))
        return *status == STATUS_INSUFFICIENT_RESOURCES ? UMN_ENOMEM : UMN_EIO;
    pdo->Flags |= DO_BUS_ENUMERATED_DEVICE | DO_POWER_PAGABLE;
    pdo->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    node->pdo = pdo;
    umn__pdo_set_node(pdo, node);
    return 0;
}

void cfg__bus_delete_pdo(struct umn_devnode *node)
{
    DEVICE_OBJECT *pdo = node->pdo;

    node->pdo = NULL;
    umn__pdo_set_node(pdo, NULL);
    IoDeleteDevice(pdo);
}
