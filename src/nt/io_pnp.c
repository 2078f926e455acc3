/* SPDX-License-Identifier: MIT */
/*
 * What devices know of Plug and Play: PnP IRPs of the PnP manager, device properties, registry keys
 * of a device instance. The PnP manager owns struct umn_devnode. PASSIVE_LEVEL.
 */
#include "nt/private.h"

#include <string.h>

/* A device must not be kept from going, or be left in doubt, by want of memory. */
static bool must_succeed(UCHAR minor)
{
    return minor == IRP_MN_REMOVE_DEVICE || minor == IRP_MN_SURPRISE_REMOVAL ||
           minor == IRP_MN_CANCEL_REMOVE_DEVICE || minor == IRP_MN_CANCEL_STOP_DEVICE;
}

NTSTATUS umn__irp_pnp(DEVICE_OBJECT *pdo, UCHAR minor, void (*fill)(IO_STACK_LOCATION *, void *),
                      void *arg)
{
    IO_STATUS_BLOCK iosb = {.Status = STATUS_NOT_SUPPORTED};
    KEVENT event;
    umn__check_irql(PASSIVE_LEVEL, "umn__irp_pnp");
    DEVICE_OBJECT *top = IoGetAttachedDeviceReference(pdo);
    PIRP irp = IoAllocateIrp(top->StackSize, FALSE);
    if (!irp && must_succeed(minor))
        irp = io__reserve_take(top->StackSize);
    if (!irp) {
        ob__deref(top);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    io__irp_own(irp, &iosb, &event);
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED; /* what a PnP IRP must start with */
    IO_STACK_LOCATION *stack = IoGetNextIrpStackLocation(irp);
    stack->MajorFunction = IRP_MJ_PNP;
    stack->MinorFunction = minor;
    if (fill)
        fill(stack, arg);
    bool pnp = stack->MajorFunction == IRP_MJ_PNP;
    umn__trace("pnp.irp", "%s major 0x%02x minor 0x%02x",
               umn__pdo_node(pdo) ? umn__pdo_node(pdo)->instance_id : "?", stack->MajorFunction,
               minor);
    NTSTATUS status = IofCallDriver(top, irp);
    if (status != STATUS_PENDING && !KeReadStateEvent(&event))
        umn__report("IrpNotCompleted", 0xc9,
                    "a PnP dispatch routine returned 0x%08X without completing or pending the IRP",
                    (unsigned)status);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    ob__deref(top);
    if (pnp && must_succeed(minor) && iosb.Status < 0 && iosb.Status != STATUS_NOT_SUPPORTED)
        umn__report("PnpRemove", 0x43006, "IRP_MJ_PNP minor 0x%02x was failed with 0x%08X", minor,
                    (unsigned)iosb.Status);
    return iosb.Status;
}

/* ---- registry keys of a device --------------------------------------------------------------- */

#define CONTROL_SET "\\Registry\\Machine\\System\\CurrentControlSet\\"

char *io__device_key_path(const struct umn_devnode *node, bool software)
{
    return software ? plat_asprintf(CONTROL_SET "Control\\Class\\%s", node->driver_key)
                    : plat_asprintf(CONTROL_SET "Enum\\%s", node->instance_id);
}

/*
 * Opens the hardware key (PLUGPLAY_REGKEY_DEVICE: Enum\<instance>\Device Parameters) or the
 * software key (PLUGPLAY_REGKEY_DRIVER: Control\Class\<driver key>) of a PDO's device instance.
 * PASSIVE_LEVEL. STATUS_INVALID_DEVICE_REQUEST: not a PDO; STATUS_OBJECT_NAME_NOT_FOUND: it has no
 * software key. nf-wdm-ioopendeviceregistrykey.md
 */
NTSTATUS NTAPI IoOpenDeviceRegistryKey(PDEVICE_OBJECT DeviceObject, ULONG DevInstKeyType,
                                       ACCESS_MASK DesiredAccess, PHANDLE DeviceRegKey)
{
    ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlIoPassive5", 0x2000e, "IoOpenDeviceRegistryKey");
    struct umn_devnode *node = umn__pdo_node(DeviceObject);
    bool software = (DevInstKeyType & 0xff) == PLUGPLAY_REGKEY_DRIVER;
    if (!node)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (!software && (DevInstKeyType & 0xff) != PLUGPLAY_REGKEY_DEVICE)
        return STATUS_INVALID_PARAMETER;
    if (software && !node->driver_key[0])
        return STATUS_OBJECT_NAME_NOT_FOUND;
    char *path = io__device_key_path(node, software), *full = NULL;
    void *key;
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;
    if (!path)
        return status;
    full = software ? path : plat_asprintf("%s\\Device Parameters", path);
    if (full) {
        status = zw__key_open(NULL, full, !software, &key);
        if (status >= 0) {
            status = ob__handle_open(key, DeviceRegKey);
            ob__deref(key);
        }
    }
    if (full != path)
        plat_free(full);
    plat_free(path);
    return status;
}

/* Key of the driver: DriverRegKeyParameters is Services\<service>\Parameters, with Flags 0.
 * PASSIVE_LEVEL. nf-wdm-ioopendriverregistrykey.md */
NTSTATUS NTAPI IoOpenDriverRegistryKey(PDRIVER_OBJECT DriverObject, DRIVER_REGKEY_TYPE RegKeyType,
                                       ACCESS_MASK DesiredAccess, ULONG Flags, PHANDLE DriverRegKey)
{
    void *key;
    ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlIoPassive5", 0x2000e, "IoOpenDriverRegistryKey");
    if (RegKeyType != DriverRegKeyParameters)
        return STATUS_NOT_SUPPORTED;
    char *path =
        plat_asprintf(CONTROL_SET "Services\\%s\\Parameters", umn__driver_service(DriverObject));
    if (!path)
        return STATUS_INSUFFICIENT_RESOURCES;
    NTSTATUS status = zw__key_open(NULL, path, true, &key);
    plat_free(path);
    if (status < 0)
        return status;
    status = ob__handle_open(key, DriverRegKey);
    ob__deref(key);
    return status;
}

/* ---- properties ------------------------------------------------------------------------------ */

static NTSTATUS give(const void *data, size_t size, ULONG length, void *buffer, ULONG *result)
{
    *result = (ULONG)size;
    if (length < size)
        return STATUS_BUFFER_TOO_SMALL;
    memcpy(buffer, data, size);
    return STATUS_SUCCESS;
}

static NTSTATUS give_text(const char *text, ULONG length, void *buffer, ULONG *result)
{
    WCHAR *wide = umn__utf16(text);
    if (!wide)
        return STATUS_INSUFFICIENT_RESOURCES;
    NTSTATUS status = give(wide, (umn__wcslen(wide) + 1) * sizeof *wide, length, buffer, result);
    plat_free(wide);
    return status;
}

static const char *value_of(DEVICE_REGISTRY_PROPERTY property)
{
    switch (property) {
    case DevicePropertyDeviceDescription:
        return "DeviceDesc";
    case DevicePropertyHardwareID:
        return "HardwareID";
    case DevicePropertyCompatibleIDs:
        return "CompatibleIDs";
    case DevicePropertyClassName:
        return "Class";
    case DevicePropertyClassGuid:
        return "ClassGUID";
    case DevicePropertyManufacturer:
        return "Mfg";
    case DevicePropertyFriendlyName:
        return "FriendlyName";
    case DevicePropertyLocationInformation:
        return "LocationInformation";
    case DevicePropertyUINumber:
        return "UINumber";
    default:
        return NULL;
    }
}

/* A string such as "@oem1.inf,%name%;Text" stands for its text. */
static WCHAR *plain(WCHAR *text, size_t *size)
{
    size_t n = *size / sizeof *text;
    if (!n || text[0] != '@')
        return text;
    for (size_t i = 0; i < n && text[i]; i++)
        if (text[i] == ';') {
            *size -= (i + 1) * sizeof *text;
            return text + i + 1;
        }
    return text;
}

static NTSTATUS registry_property(const struct umn_devnode *node, DEVICE_REGISTRY_PROPERTY property,
                                  ULONG length, void *buffer, ULONG *result)
{
    const struct umn_registry_ops *ops = umn__registry();
    const char *value = value_of(property);
    void *key, *data;
    uint32_t type;
    size_t size;
    if (!value)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    char *path = io__device_key_path(node, false);
    if (!path)
        return STATUS_INSUFFICIENT_RESOURCES;
    int err = ops->open(NULL, path, false, &key);
    plat_free(path);
    if (err)
        return umn__status_of(err);
    err = ops->get(key, value, &type, &data, &size);
    ops->close(key);
    if (err)
        return umn__status_of(err);
    WCHAR *text = type == REG_SZ ? plain(data, &size) : data;
    NTSTATUS status = give(text, size, length, buffer, result);
    plat_free(data);
    return status;
}

/*
 * Property of a PDO. *ResultLength: bytes of the value, also with STATUS_BUFFER_TOO_SMALL.
 * PASSIVE_LEVEL. STATUS_INVALID_DEVICE_REQUEST: not a PDO; STATUS_OBJECT_NAME_NOT_FOUND: it has no
 * such property. nf-wdm-iogetdeviceproperty.md
 */
NTSTATUS NTAPI IoGetDeviceProperty(PDEVICE_OBJECT DeviceObject,
                                   DEVICE_REGISTRY_PROPERTY DeviceProperty, ULONG BufferLength,
                                   PVOID PropertyBuffer, PULONG ResultLength)
{
    ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlIoPassive2", 0x2000b, "IoGetDeviceProperty");
    struct umn_devnode *node = umn__pdo_node(DeviceObject);
    ULONG installed = InstallStateInstalled;
    *ResultLength = 0;
    if (!node) {
        umn__report("DeviceProperty", 0xca, "IoGetDeviceProperty of a device that is not a PDO");
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    switch (DeviceProperty) {
    case DevicePropertyDriverKeyName:
        return node->driver_key[0]
                   ? give_text(node->driver_key, BufferLength, PropertyBuffer, ResultLength)
                   : STATUS_OBJECT_NAME_NOT_FOUND;
    case DevicePropertyPhysicalDeviceObjectName: {
        struct ob_header *h = ob__header(DeviceObject);
        return give_text(h && h->name ? h->name : "", BufferLength, PropertyBuffer, ResultLength);
    }
    case DevicePropertyEnumeratorName: {
        size_t n = strcspn(node->instance_id, "\\");
        char *name = plat_strdup(node->instance_id);
        if (!name)
            return STATUS_INSUFFICIENT_RESOURCES;
        name[n] = 0;
        NTSTATUS status = give_text(name, BufferLength, PropertyBuffer, ResultLength);
        plat_free(name);
        return status;
    }
    case DevicePropertyInstallState:
        return give(&installed, sizeof installed, BufferLength, PropertyBuffer, ResultLength);
    default:
        return registry_property(node, DeviceProperty, BufferLength, PropertyBuffer, ResultLength);
    }
}
