/* SPDX-License-Identifier: MIT */
/*
 * The PnP half: AddDevice and the IRP_MJ_PNP and IRP_MJ_POWER dispatch of every driver that
 * registers a miniport. PASSIVE_LEVEL, in the PnP manager's contexts; ndis.lock guards the lists of
 * adapters. No lock and no operation is held while an IRP is below.
 *
 *   minor            what happens                                            then
 *   START            lower first; ordinary: initialize, bind, restart;       complete
 *                    intermediate: im.c (question 4)
 *   QUERY_REMOVE,    NetEventQueryRemoveDevice, a protocol may veto          pass down
 *   QUERY_STOP
 *   CANCEL_REMOVE,   lower first; NetEventCancelRemoveDevice                 complete
 *   CANCEL_STOP
 *   STOP             stack down, halt(Stopped); the request is used up       pass down
 *   SURPRISE_REMOVAL NetEventQueryRemoveDevice, MiniportDevicePnPEventNotify, pass down
 *                    stack down, halt(SurpriseRemoved) (IM-PNP-09)
 *   REMOVE           stack down, halt(Disabled)                              pass down, delete
 *
 * Conformance: IM-PNP-01 to -03, -05 to -09; IM-INI-05; IM-EVT-01.
 */
#include "ndis/pnp.h"
#include "ndis/control.h"

#include <string.h>

#define EXTENSION_MAGIC 0x4e446673u
struct extension {
    uint32_t magic;
    struct ndis_adapter *adapter;
};

/* ---- the device's values
 * ------------------------------------------------------------------------- */

static int open_class_key(const struct umn_devnode *node, bool write, void **key)
{
    char *path;
    int error;

    if (!node || !node->driver_key || !*node->driver_key)
        return UMN_ENOENT;
    path = plat_asprintf("\\Registry\\Machine\\System\\CurrentControlSet\\Control\\Class\\%s",
                         node->driver_key);
    if (!path)
        return UMN_ENOMEM;
    error = umn__registry()->open(NULL, path, write, key);
    plat_free(path);
    return error;
}

static int get_value(const struct umn_devnode *node, const char *name, uint32_t *type, void **data,
                     size_t *size)
{
    void *key;
    int error = open_class_key(node, false, &key);

    if (error)
        return error;
    error = umn__registry()->get(key, name, type, data, size);
    umn__registry()->close(key);
    return error;
}

char *ndis__device_value(const struct umn_devnode *node, const char *name)
{
    void *data;
    uint32_t type;
    size_t size;
    char *text = NULL;

    if (get_value(node, name, &type, &data, &size) != 0)
        return NULL;
    if ((type == REG_SZ || type == REG_EXPAND_SZ) && size >= sizeof(WCHAR)) {
        size_t n = 0;
        while (n < size / sizeof(WCHAR) && ((const WCHAR *)data)[n])
            n++;
        text = umn__utf8(data, n);
    }
    plat_free(data);
    return text;
}

uint32_t ndis__device_dword(DEVICE_OBJECT *pdo, const char *name, uint32_t fallback)
{
    uint32_t type, value = fallback;
    void *data;
    size_t size;

    if (get_value(umn__pdo_node(pdo), name, &type, &data, &size) != 0)
        return fallback;
    if (type == REG_DWORD && size == sizeof value)
        memcpy(&value, data, sizeof value);
    plat_free(data);
    return value;
}

int ndis__device_set_dword(DEVICE_OBJECT *pdo, const char *name, uint32_t value)
{
    void *key;
    int error = open_class_key(umn__pdo_node(pdo), true, &key);

    if (error)
        return error;
    error = umn__registry()->set(key, name, REG_DWORD, &value, sizeof value);
    umn__registry()->close(key);
    return error;
}

/* ---- AddDevice
 * -------------------------------------------------------------------------------------- */

static struct ndis_adapter *adapter_new(struct ndis_mdriver *d, DEVICE_OBJECT *pdo,
                                        const char *guid)
{
    struct ndis_adapter *a = plat_alloc_aligned(64, sizeof *a);
    WCHAR *wide;

    if (!a)
        return NULL;
    a->name = plat_asprintf("\\Device\\%s", guid);
    a->name_node.text = a->name ? ndis__canonical_utf8(a->name) : NULL;
    wide = a->name ? umn__utf16(a->name) : NULL;
    a->grave = ndis__grave_new();
    if (!a->name || !a->name_node.text || !wide || !a->grave)
        goto free_names;
    if (ndis__dp_adapter_init(a) != 0)
        goto free_names;
    umn__us_init(&a->name_us, wide);
    a->driver = d;
    a->pdo = pdo;
    a->refs = 1;
    a->oper_status = NET_IF_OPER_STATUS_UNKNOWN;
    umn_list_init(&a->link);
    umn_list_init(&a->driver_link);
    umn_list_init(&a->bindings);
    umn_list_init(&a->op_waiters);
    return a;

free_names:
    plat_free(a->grave);
    plat_free(wide);
    plat_free(a->name_node.text);
    plat_free(a->name);
    plat_free(a);
    return NULL;
}

static bool publish(struct ndis_adapter *a)
{
    bool ok;

    umn__lock(&ndis.lock);
    ok = !ndis__name_find(&ndis__adapter_names, a->name_node.text);
    if (ok) {
        a->obj.id = ndis__new_id();
        ndis__name_add(&ndis__adapter_names, &a->name_node);
        umn_list_add_tail(&ndis.adapters, &a->link);
        umn_list_add_tail(&a->driver->adapters, &a->driver_link);
        ndis__mdriver_get(a->driver);
    }
    umn__unlock(&ndis.lock);
    return ok;
}

/* Takes the adapter out of everything; who still refers to it finds it gone and Halted. */
static void withdraw(struct ndis_adapter *a)
{
    struct ndis_mdriver *d = a->driver;

    umn__lock(&ndis.lock);
    a->gone = true;
    a->pnp_started = false;
    ndis__name_remove(&ndis__adapter_names, &a->name_node);
    umn_list_remove(&a->link);
    umn_list_remove(&a->driver_link);
    umn__unlock(&ndis.lock);
    umn__trace("adapter.remove", "%s", a->name);
    ndis__adapter_put(a);
    ndis__mdriver_put(d);
}

static NTSTATUS create_fdo(struct ndis_adapter *a)
{
    struct extension *x;
    NTSTATUS status =
        IoCreateDevice(a->driver->driver_object, sizeof *x, NULL, FILE_DEVICE_PHYSICAL_NETCARD,
                       FILE_DEVICE_SECURE_OPEN, FALSE, &a->fdo);

    if (!NT_SUCCESS(status))
        return status;
    x = a->fdo->DeviceExtension;
    x->magic = EXTENSION_MAGIC;
    x->adapter = a;
    a->fdo->Flags |= DO_DIRECT_IO;
    a->next_device = IoAttachDeviceToDeviceStack(a->fdo, a->pdo);
    if (!a->next_device) {
        IoDeleteDevice(a->fdo);
        return STATUS_NO_SUCH_DEVICE;
    }
    a->fdo->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static void delete_fdo(struct ndis_adapter *a)
{
    IoDetachDevice(a->next_device);
    IoDeleteDevice(a->fdo);
}

/* Optional MiniportAddDevice (nc-ndis-miniport_add_device.md). */
static NTSTATUS call_add_device(struct ndis_adapter *a)
{
    struct ndis_mdriver *d = a->driver;
    struct ndis_frame frame;
    NDIS_STATUS status;

    if (!d->pnp.MiniportAddDeviceHandler)
        return STATUS_SUCCESS;
    ndis__object_live(&a->obj, NDIS_KIND_ADAPTER);
    ndis__frame_enter(&frame, NDIS_FRAME_MINIPORT, a, NULL, "MiniportAddDevice");
    status = d->pnp.MiniportAddDeviceHandler(a, d->context);
    ndis__frame_leave(&frame);
    ndis__object_dead(&a->obj);
    return status == NDIS_STATUS_SUCCESS ? STATUS_SUCCESS : (NTSTATUS)status;
}

static NTSTATUS add_device(struct ndis_mdriver *d, DEVICE_OBJECT *pdo)
{
    char *guid = ndis__device_value(umn__pdo_node(pdo), "NetCfgInstanceId");
    struct ndis_adapter *a;
    NTSTATUS status;

    if (!guid) {
        umn__trace("pnp.add", "%s: the device has no NetCfgInstanceId", d->service);
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    a = adapter_new(d, pdo, guid);
    plat_free(guid);
    if (!a)
        return STATUS_INSUFFICIENT_RESOURCES;
    if (!publish(a)) {
        umn__trace("pnp.add", "%s exists already", a->name);
        ndis__adapter_put(a);
        return STATUS_OBJECT_NAME_COLLISION;
    }
    status = create_fdo(a);
    if (!NT_SUCCESS(status))
        goto withdraw_adapter;
    status = call_add_device(a);
    if (!NT_SUCCESS(status))
        goto delete_device;
    umn__trace("pnp.add", "%s %s", a->name, d->service);
    return STATUS_SUCCESS;

delete_device:
    delete_fdo(a);
withdraw_adapter:
    withdraw(a);
    return status;
}

NTSTATUS NTAPI ndis__pnp_add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *pdo)
{
    struct ndis_mdriver *d;
    NTSTATUS status;

    d = ndis__mdriver_ready(driver) ? ndis__mdriver_for(driver, pdo) : NULL;
    if (!d)
        return STATUS_NO_SUCH_DEVICE;
    status = add_device(d, pdo);
    ndis__mdriver_put(d);
    return status;
}

/* ---- IRPs
 * --------------------------------------------------------------------------------------------- */

static NTSTATUS complete_irp(IRP *irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS pass_down(struct ndis_adapter *a, IRP *irp)
{
    IoSkipCurrentIrpStackLocation(irp);
    return IoCallDriver(a->next_device, irp);
}

static NTSTATUS NTAPI came_back(DEVICE_OBJECT *device, IRP *irp, void *event)
{
    KeSetEvent(event, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* The drivers below first; the IRP is ours again afterwards. */
static NTSTATUS forward_and_wait(struct ndis_adapter *a, IRP *irp)
{
    KEVENT event;
    NTSTATUS status;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, came_back, &event, TRUE, TRUE, TRUE);
    status = IoCallDriver(a->next_device, irp);
    if (status == STATUS_PENDING)
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    return irp->IoStatus.Status;
}

static bool is_up(const struct ndis_adapter *a)
{
    return a->state != NDIS_ADAPTER_HALTED && a->state != NDIS_ADAPTER_SHUTDOWN;
}

/* An error of MiniportInitializeEx as the IRP's status: most are NTSTATUS values already. */
static NTSTATUS irp_status(NDIS_STATUS status)
{
    if (status == NDIS_STATUS_SUCCESS)
        return STATUS_SUCCESS;
    return NT_SUCCESS((NTSTATUS)status) ? STATUS_UNSUCCESSFUL : (NTSTATUS)status;
}

static NTSTATUS start_ordinary(struct ndis_adapter *a)
{
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;

    ndis__op_begin(a, "start");
    if (a->state == NDIS_ADAPTER_HALTED && !a->surprise_removed)
        status = ndis__adapter_bring_up(a);
    umn__lock(&ndis.lock);
    a->pnp_started = status == NDIS_STATUS_SUCCESS;
    umn__unlock(&ndis.lock);
    ndis__op_end(a);
    return irp_status(status);
}

static NTSTATUS start(struct ndis_adapter *a, IRP *irp)
{
    struct ndis_mdriver *d = a->driver;
    NTSTATUS status = forward_and_wait(a, irp);

    if (!NT_SUCCESS(status))
        return complete_irp(irp, status);
    if (d->pnp.MiniportStartDeviceHandler) {
        struct ndis_frame frame;
        ndis__frame_enter(&frame, NDIS_FRAME_MINIPORT, a, NULL, "MiniportStartDevice");
        status = irp_status(d->pnp.MiniportStartDeviceHandler(a->add_device_context, irp));
        ndis__frame_leave(&frame);
        if (!NT_SUCCESS(status))
            return complete_irp(irp, status);
    }
    if (d->intermediate)
        status = irp_status(ndis__im_started(a));
    else
        status = start_ordinary(a);
    return complete_irp(irp, status);
}

static NTSTATUS query(struct ndis_adapter *a, IRP *irp)
{
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;

    ndis__op_begin(a, "query remove");
    if (is_up(a))
        status = ndis__event_adapter(a, NetEventQueryRemoveDevice, NULL, 0, true);
    ndis__op_end(a);
    if (status != NDIS_STATUS_SUCCESS)
        return complete_irp(irp, STATUS_DEVICE_BUSY);
    irp->IoStatus.Status = STATUS_SUCCESS;
    return pass_down(a, irp);
}

static NTSTATUS cancel(struct ndis_adapter *a, IRP *irp)
{
    NTSTATUS status = forward_and_wait(a, irp);

    ndis__op_begin(a, "cancel remove");
    if (is_up(a))
        ndis__event_adapter(a, NetEventCancelRemoveDevice, NULL, 0, false);
    ndis__op_end(a);
    return complete_irp(irp, status);
}

static void stop(struct ndis_adapter *a, NDIS_HALT_ACTION action)
{
    ndis__im_forget(a);
    ndis__op_begin(a, "stop");
    ndis__adapter_tear_down(a, action);
    ndis__op_end(a);
}

/* processing-the-surprise-removal-of-a-nic--windows-7-and-later-versions-.md */
static void surprise(struct ndis_adapter *a)
{
    ndis__im_forget(a);
    ndis__op_begin(a, "surprise removal");
    umn__lock(&ndis.lock);
    a->surprise_removed = true;
    umn__unlock(&ndis.lock);
    if (is_up(a)) {
        ndis__event_adapter(a, NetEventQueryRemoveDevice, NULL, 0, false);
        ndis__adapter_notify(a, NdisDevicePnPEventSurpriseRemoved, NULL, 0);
    }
    ndis__adapter_tear_down(a, NdisHaltDeviceSurpriseRemoved);
    ndis__op_end(a);
}

static NTSTATUS remove_device(struct ndis_adapter *a, IRP *irp)
{
    struct ndis_mdriver *d = a->driver;
    NTSTATUS status;

    umn__lock(&ndis.lock);
    a->removing = true;
    umn__unlock(&ndis.lock);
    stop(a, NdisHaltDeviceDisabled);
    if (d->pnp.MiniportRemoveDeviceHandler) {
        struct ndis_frame frame;
        ndis__frame_enter(&frame, NDIS_FRAME_MINIPORT, a, NULL, "MiniportRemoveDevice");
        d->pnp.MiniportRemoveDeviceHandler(a->add_device_context);
        ndis__frame_leave(&frame);
    }
    irp->IoStatus.Status = STATUS_SUCCESS;
    status = pass_down(a, irp);
    delete_fdo(a);
    withdraw(a);
    return status;
}

static struct ndis_adapter *adapter_of(DEVICE_OBJECT *device)
{
    const struct extension *x = device->DeviceExtension;

    return x && x->magic == EXTENSION_MAGIC ? x->adapter : NULL;
}

NTSTATUS NTAPI ndis__pnp_dispatch(DEVICE_OBJECT *device, IRP *irp)
{
    const IO_STACK_LOCATION *s = IoGetCurrentIrpStackLocation(irp);
    struct ndis_adapter *a = adapter_of(device);

    if (!a)
        return complete_irp(irp, STATUS_INVALID_DEVICE_REQUEST);
    umn__trace("pnp.irp", "%s minor %u", a->name, s->MinorFunction);
    switch (s->MinorFunction) {
    case IRP_MN_START_DEVICE:
        return start(a, irp);
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_QUERY_STOP_DEVICE:
        return query(a, irp);
    case IRP_MN_CANCEL_REMOVE_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
        return cancel(a, irp);
    case IRP_MN_STOP_DEVICE:
        stop(a, NdisHaltDeviceStopped);
        break;
    case IRP_MN_SURPRISE_REMOVAL:
        surprise(a);
        break;
    case IRP_MN_REMOVE_DEVICE:
        return remove_device(a, irp);
    default:
        return pass_down(a, irp);
    }
    irp->IoStatus.Status = STATUS_SUCCESS;
    return pass_down(a, irp);
}

/* Power IRPs go to the bus below, which owns the device's power state. */
NTSTATUS NTAPI ndis__pnp_power(DEVICE_OBJECT *device, IRP *irp)
{
    struct ndis_adapter *a = adapter_of(device);

    PoStartNextPowerIrp(irp);
    if (!a)
        return complete_irp(irp, STATUS_INVALID_DEVICE_REQUEST);
    IoSkipCurrentIrpStackLocation(irp);
    return PoCallDriver(a->next_device, irp);
}
