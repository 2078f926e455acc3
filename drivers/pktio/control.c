/* SPDX-License-Identifier: MIT */
/*
 * The control device: METHOD_BUFFERED IOCTLs of pktio_ioctl.h, each ended in the call.
 * PASSIVE_LEVEL.
 */
#include "pktio.h"

static NTSTATUS Complete(IRP *Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

NTSTATUS NTAPI PktioDispatchOpen(DEVICE_OBJECT *Device, IRP *Irp)
{
    return Complete(Irp, STATUS_SUCCESS, 0);
}

static ULONG List(PKTIO_BINDING *Out, ULONG Room)
{
    ULONG Count = 0;
    KIRQL Irql;

    KeAcquireSpinLock(&Pktio.Lock, &Irql);
    for (LIST_ENTRY *E = Pktio.Bindings.Flink; E != &Pktio.Bindings && Count < Room; E = E->Flink)
    {
        PKTIO_ADAPTER *Binding = CONTAINING_RECORD(E, PKTIO_ADAPTER, Link);
        PKTIO_BINDING *B = &Out[Count++];
        ULONG Length = Binding->Name.Length;

        if (Length > sizeof(B->Target.Adapter) - sizeof(WCHAR))
            Length = sizeof(B->Target.Adapter) - sizeof(WCHAR);
        RtlZeroMemory(B, sizeof(*B));
        RtlCopyMemory(B->Target.Adapter, Binding->Name.Buffer, Length);
        KeAcquireSpinLockAtDpcLevel(&Binding->Lock);
        RtlCopyMemory(B->Address, Binding->Address, 6);
        B->Running = Binding->State == PktioRunning;
        B->LinkUp = Binding->LinkUp;
        B->Mtu = Binding->Mtu;
        B->PacketFilter = Binding->PacketFilter;
        KeReleaseSpinLockFromDpcLevel(&Binding->Lock);
    }
    KeReleaseSpinLock(&Pktio.Lock, Irql);
    return Count * (ULONG)sizeof(*Out);
}

static void Sum(PKTIO_ADAPTER *Binding, PKTIO_RECEIVED *Now)
{
    RtlZeroMemory(Now, sizeof(*Now));
    for (ULONG I = 0; I < Pktio.Processors; I++)
    {
        Now->Frames += ReadNoFence64(&PKTIO_RECEIVED_OF(Binding)[I].Frames);
        Now->Octets += ReadNoFence64(&PKTIO_RECEIVED_OF(Binding)[I].Octets);
        Now->Indications += ReadNoFence64(&PKTIO_RECEIVED_OF(Binding)[I].Indications);
        Now->LowResources += ReadNoFence64(&PKTIO_RECEIVED_OF(Binding)[I].LowResources);
    }
}

static void ReadCounters(PKTIO_ADAPTER *Binding, PKTIO_COUNTERS *Out)
{
    PKTIO_RECEIVED Now;
    KIRQL Irql;

    RtlZeroMemory(Out, sizeof(*Out));
    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Sum(Binding, &Now);
    Out->FramesReceived = (ULONG64)(Now.Frames - Binding->Before.Frames);
    Out->OctetsReceived = (ULONG64)(Now.Octets - Binding->Before.Octets);
    Out->Indications = (ULONG64)(Now.Indications - Binding->Before.Indications);
    Out->LowResources = (ULONG64)(Now.LowResources - Binding->Before.LowResources);
    Out->FramesSent = (ULONG64)Binding->FramesSent;
    Out->FramesFailed = (ULONG64)Binding->FramesFailed;
    KeReleaseSpinLock(&Binding->Lock, Irql);
}

static void Reset(PKTIO_ADAPTER *Binding)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Sum(Binding, &Binding->Before);
    Binding->FramesSent = Binding->FramesFailed = 0;
    Binding->LastLength = 0;
    KeReleaseSpinLock(&Binding->Lock, Irql);
}

static ULONG Last(PKTIO_ADAPTER *Binding, UCHAR *Out, ULONG Room)
{
    ULONG Length;
    KIRQL Irql;

    Binding->KeepLast = TRUE;
    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Length = Binding->LastLength < Room ? Binding->LastLength : Room;
    RtlCopyMemory(Out, Binding->Last, Length);
    KeReleaseSpinLock(&Binding->Lock, Irql);
    return Length;
}

static NTSTATUS SetFilter(PKTIO_ADAPTER *Binding, ULONG Filter)
{
    NDIS_STATUS Status =
        RequestSet(Binding, OID_GEN_CURRENT_PACKET_FILTER, &Filter, sizeof(Filter));

    if (Status == NDIS_STATUS_SUCCESS)
        Binding->PacketFilter = Filter;
    return Status;
}

/* What each request needs at least. */
static void Sizes(ULONG Code, ULONG *In, ULONG *Out)
{
    *In = sizeof(PKTIO_TARGET);
    *Out = 0;
    if (Code == IOCTL_PKTIO_SET_FILTER)
        *In = sizeof(PKTIO_FILTER);
    if (Code == IOCTL_PKTIO_SEND)
    {
        *In = sizeof(PKTIO_SEND);
        *Out = sizeof(PKTIO_SENT);
    }
    if (Code == IOCTL_PKTIO_READ_COUNTERS)
        *Out = sizeof(PKTIO_COUNTERS);
}

/* On one binding; Buffer is input and output. Returns octets written in *Written. */
static NTSTATUS OnBinding(PKTIO_ADAPTER *Binding, ULONG Code, void *Buffer, ULONG OutLength,
                          ULONG *Written)
{
    switch (Code)
    {
    case IOCTL_PKTIO_SET_FILTER:
        return SetFilter(Binding, ((PKTIO_FILTER *)Buffer)->PacketFilter);
    case IOCTL_PKTIO_SEND:
    {
        PKTIO_SEND Send = *(PKTIO_SEND *)Buffer;

        *Written = sizeof(PKTIO_SENT);
        return DataSend(Binding, &Send, Buffer);
    }
    case IOCTL_PKTIO_READ_COUNTERS:
        ReadCounters(Binding, Buffer);
        *Written = sizeof(PKTIO_COUNTERS);
        return STATUS_SUCCESS;
    case IOCTL_PKTIO_RESET:
        Reset(Binding);
        return STATUS_SUCCESS;
    case IOCTL_PKTIO_LAST:
        *Written = Last(Binding, Buffer, OutLength);
        return STATUS_SUCCESS;
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

NTSTATUS NTAPI PktioDispatchControl(DEVICE_OBJECT *Device, IRP *Irp)
{
    IO_STACK_LOCATION *Stack = IoGetCurrentIrpStackLocation(Irp);
    ULONG Code = Stack->Parameters.DeviceIoControl.IoControlCode;
    ULONG InLength = Stack->Parameters.DeviceIoControl.InputBufferLength;
    ULONG OutLength = Stack->Parameters.DeviceIoControl.OutputBufferLength;
    PKTIO_TARGET *Target = Irp->AssociatedIrp.SystemBuffer;
    ULONG In, Out, Written = 0;
    PKTIO_ADAPTER *Binding;
    NTSTATUS Status;

    if (Code == IOCTL_PKTIO_LIST)
        return Complete(Irp, STATUS_SUCCESS,
                        List((PKTIO_BINDING *)Target, OutLength / sizeof(PKTIO_BINDING)));
    Sizes(Code, &In, &Out);
    if (InLength < In || OutLength < Out)
        return Complete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
    Binding = BindingFind(Target->Adapter, PKTIO_NAME_CHARS);
    if (!Binding)
        return Complete(Irp, STATUS_NOT_FOUND, 0);
    Status = OnBinding(Binding, Code, Target, OutLength, &Written);
    BindingDereference(Binding);
    return Complete(Irp, Status, Written);
}
