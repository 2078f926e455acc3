/* SPDX-License-Identifier: MIT */
/*
 * How host code - the command line, tests, benches - talks to a driver's control device: by name,
 * with a real IRP. Holds no state. PASSIVE_LEVEL.
 */
#include <string.h>

#include "nt/nt.h"
#include "nt/umhost.h"
#include "plat/plat.h"

NTSTATUS umn__device_ioctl(const char *name, uint32_t code, const void *in, size_t in_len,
                           void *out, size_t out_len, size_t *returned)
{
    WCHAR *wide;
    UNICODE_STRING device_name;
    FILE_OBJECT *file;
    DEVICE_OBJECT *device;
    IO_STATUS_BLOCK iosb = {0};
    KEVENT done;
    IRP *irp;
    NTSTATUS status;

    if (in_len > UINT32_MAX || out_len > UINT32_MAX)
        return STATUS_INVALID_PARAMETER;
    wide = umn__utf16(name);
    if (!wide)
        return STATUS_INSUFFICIENT_RESOURCES;
    umn__us_init(&device_name, wide);
    status =
        IoGetDeviceObjectPointer(&device_name, FILE_READ_DATA | FILE_WRITE_DATA, &file, &device);
    plat_free(wide);
    if (!NT_SUCCESS(status))
        return status;

    KeInitializeEvent(&done, NotificationEvent, FALSE);
    irp = IoBuildDeviceIoControlRequest(code, device, (void *)(uintptr_t)in, (ULONG)in_len, out,
                                        (ULONG)out_len, FALSE, &done, &iosb);
    if (!irp) {
        status = STATUS_INSUFFICIENT_RESOURCES;
        goto dereference_file;
    }
    IoGetNextIrpStackLocation(irp)->FileObject = file;
    umn__point(UMN_OP_IRP, irp);
    status = IoCallDriver(device, irp);
    if (status == STATUS_PENDING) {
        KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
        status = iosb.Status;
    }
    if (returned)
        *returned = NT_SUCCESS(status) ? (size_t)iosb.Information : 0;

dereference_file:
    ObDereferenceObject(file);
    return status;
}
