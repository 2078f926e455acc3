/* SPDX-License-Identifier: MIT */
/*
 * IRPs that the I/O manager builds for a driver: device control, read, write, PnP; and the short
 * ways of sending one and waiting. No state. PASSIVE_LEVEL unless a line says otherwise.
 */
#include "nt/private.h"

#include <string.h>

/* System buffer for buffered I/O, freed when the IRP ends. */
static bool give_buffer(PIRP irp, const void *data, ULONG copy, ULONG size, ULONG out)
{
    void *buffer = plat_alloc(size);
    if (!buffer)
        return false;
    if (copy && data)
        memcpy(buffer, data, copy);
    io__irp_buffer(irp, buffer, out);
    irp->AssociatedIrp.SystemBuffer = buffer;
    irp->Flags |= IRP_BUFFERED_IO | IRP_DEALLOCATE_BUFFER;
    return true;
}

static bool give_mdl(PIRP irp, void *buffer, ULONG length, LOCK_OPERATION operation)
{
    PMDL mdl = IoAllocateMdl(buffer, length, FALSE, FALSE, irp);
    if (!mdl)
        return false;
    MmProbeAndLockPages(mdl, KernelMode, operation);
    return true;
}

/* Undoes a half-built IRP. */
static void discard(PIRP irp)
{
    if (irp->Flags & IRP_DEALLOCATE_BUFFER)
        plat_free(irp->AssociatedIrp.SystemBuffer);
    if (irp->MdlAddress) {
        MmUnlockPages(irp->MdlAddress);
        IoFreeMdl(irp->MdlAddress);
    }
    IoFreeIrp(irp);
}

static bool control_buffers(PIRP irp, ULONG method, PVOID in, ULONG in_length, PVOID out,
                            ULONG out_length)
{
    IO_STACK_LOCATION *stack = IoGetNextIrpStackLocation(irp);
    ULONG size = in_length > out_length ? in_length : out_length;
    irp->UserBuffer = out;
    switch (method) {
    case METHOD_BUFFERED:
        if (size && !give_buffer(irp, in, in_length, size, out_length))
            return false;
        if (out)
            irp->Flags |= IRP_INPUT_OPERATION;
        return true;
    case METHOD_IN_DIRECT:
    case METHOD_OUT_DIRECT:
        if (in_length && !give_buffer(irp, in, in_length, in_length, 0))
            return false;
        return !out_length || give_mdl(irp, out, out_length,
                                       method == METHOD_IN_DIRECT ? IoReadAccess : IoWriteAccess);
    default: /* METHOD_NEITHER */
        stack->Parameters.DeviceIoControl.Type3InputBuffer = in;
        return true;
    }
}

/*
 * Device control IRP that frees itself when it ends, then setting *IoStatusBlock and Event. NULL
 * without memory. nf-wdm-iobuilddeviceiocontrolrequest.md
 */
PIRP NTAPI IoBuildDeviceIoControlRequest(ULONG IoControlCode, PDEVICE_OBJECT DeviceObject,
                                         PVOID InputBuffer, ULONG InputBufferLength,
                                         PVOID OutputBuffer, ULONG OutputBufferLength,
                                         BOOLEAN InternalDeviceIoControl, PKEVENT Event,
                                         PIO_STATUS_BLOCK IoStatusBlock)
{
    ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlIoPassive1", 0x2000a,
                "IoBuildDeviceIoControlRequest");
    PIRP irp = IoAllocateIrp(DeviceObject->StackSize, FALSE);
    if (!irp)
        return NULL;
    io__irp_own(irp, IoStatusBlock, Event);
    IO_STACK_LOCATION *stack = IoGetNextIrpStackLocation(irp);
    stack->MajorFunction =
        InternalDeviceIoControl ? IRP_MJ_INTERNAL_DEVICE_CONTROL : IRP_MJ_DEVICE_CONTROL;
    stack->Parameters.DeviceIoControl.IoControlCode = IoControlCode;
    stack->Parameters.DeviceIoControl.InputBufferLength = InputBufferLength;
    stack->Parameters.DeviceIoControl.OutputBufferLength = OutputBufferLength;
    if (control_buffers(irp, METHOD_FROM_CTL_CODE(IoControlCode), InputBuffer, InputBufferLength,
                        OutputBuffer, OutputBufferLength))
        return irp;
    discard(irp);
    return NULL;
}

static PIRP build_fsd(ULONG major, DEVICE_OBJECT *device, void *buffer, ULONG length,
                      const LARGE_INTEGER *offset)
{
    PIRP irp = IoAllocateIrp(device->StackSize, FALSE);
    if (!irp)
        return NULL;
    IO_STACK_LOCATION *stack = IoGetNextIrpStackLocation(irp);
    bool read = major == IRP_MJ_READ, done = true;
    stack->MajorFunction = (UCHAR)major;
    if (!read && major != IRP_MJ_WRITE)
        return irp;
    irp->UserBuffer = buffer;
    if (device->Flags & DO_BUFFERED_IO)
        done = !length || give_buffer(irp, buffer, read ? 0 : length, length, read ? length : 0);
    else if (device->Flags & DO_DIRECT_IO)
        done = !length || give_mdl(irp, buffer, length, read ? IoWriteAccess : IoReadAccess);
    if (!done) {
        discard(irp);
        return NULL;
    }
    if (read)
        irp->Flags |= IRP_INPUT_OPERATION;
    stack->Parameters.Read.Length = length; /* Write has the same layout */
    if (offset)
        stack->Parameters.Read.ByteOffset = *offset;
    return irp;
}

/* Read, write, flush, shutdown or PnP IRP; ends as IoBuildDeviceIoControlRequest's.
 * nf-wdm-iobuildsynchronousfsdrequest.md */
PIRP NTAPI IoBuildSynchronousFsdRequest(ULONG MajorFunction, PDEVICE_OBJECT DeviceObject,
                                        PVOID Buffer, ULONG Length, PLARGE_INTEGER StartingOffset,
                                        PKEVENT Event, PIO_STATUS_BLOCK IoStatusBlock)
{
    ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlIoPassive1", 0x2000a,
                "IoBuildSynchronousFsdRequest");
    PIRP irp = build_fsd(MajorFunction, DeviceObject, Buffer, Length, StartingOffset);
    if (irp)
        io__irp_own(irp, IoStatusBlock, Event);
    return irp;
}

/* As above for a caller that frees it (and its buffer, its MDL) in a completion routine.
 * <= DISPATCH_LEVEL. nf-wdm-iobuildasynchronousfsdrequest.md */
PIRP NTAPI IoBuildAsynchronousFsdRequest(ULONG MajorFunction, PDEVICE_OBJECT DeviceObject,
                                         PVOID Buffer, ULONG Length, PLARGE_INTEGER StartingOffset,
                                         PIO_STATUS_BLOCK IoStatusBlock)
{
    umn__check_irql(DISPATCH_LEVEL, "IoBuildAsynchronousFsdRequest");
    PIRP irp = build_fsd(MajorFunction, DeviceObject, Buffer, Length, StartingOffset);
    if (irp)
        irp->UserIosb = IoStatusBlock;
    return irp;
}

static NTSTATUS NTAPI signal_and_stop(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    KeSetEvent(Context, 0, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* Passes the IRP down and waits until it comes back; the caller holds it again then. Uses the next
 * stack location as the caller has set it up. PASSIVE_LEVEL. */
NTSTATUS NTAPI IoSynchronousCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    KEVENT event;
    umn__check_irql(APC_LEVEL, "IoSynchronousCallDriver");
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IoSetCompletionRoutine(Irp, signal_and_stop, &event, TRUE, TRUE, TRUE);
    if (IofCallDriver(DeviceObject, Irp) == STATUS_PENDING)
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    return Irp->IoStatus.Status;
}

/* Copies the current stack location, passes the IRP down, waits; the caller completes it then.
 * FALSE: no stack location is left. PASSIVE_LEVEL. nf-wdm-ioforwardirpsynchronously.md */
BOOLEAN NTAPI IoForwardIrpSynchronously(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    if (Irp->CurrentLocation <= 1)
        return FALSE;
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSynchronousCallDriver(DeviceObject, Irp);
    return TRUE;
}

/* As IoSetCompletionRoutine; there is no driver unload between here and the call to guard against,
 * since a driver object holds its image until its devices are gone. */
NTSTATUS NTAPI IoSetCompletionRoutineEx(PDEVICE_OBJECT DeviceObject, PIRP Irp,
                                        PIO_COMPLETION_ROUTINE CompletionRoutine, PVOID Context,
                                        BOOLEAN InvokeOnSuccess, BOOLEAN InvokeOnError,
                                        BOOLEAN InvokeOnCancel)
{
    IoSetCompletionRoutine(Irp, CompletionRoutine, Context, InvokeOnSuccess, InvokeOnError,
                           InvokeOnCancel);
    return STATUS_SUCCESS;
}

/* Power IRPs go the same way as others since Windows Vista. nf-wdm-pocalldriver.md */
NTSTATUS NTAPI PoCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    return IofCallDriver(DeviceObject, Irp);
}

/* Nothing to do since Windows Vista. nf-ntifs-postartnextpowerirp.md */
void NTAPI PoStartNextPowerIrp(PIRP Irp)
{
}
