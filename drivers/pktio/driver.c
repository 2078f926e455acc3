/* SPDX-License-Identifier: MIT */
/*
 * Entry and unload of the packet source and sink. Owns the globals: protocol registration, NBL pool
 * of the source, control device. PASSIVE_LEVEL.
 */
#include "pktio.h"

PKTIO_GLOBALS Pktio;

static DRIVER_UNLOAD PktioUnload;

static void NTAPI PktioUnload(DRIVER_OBJECT *DriverObject)
{
    NdisDeregisterProtocolDriver(Pktio.Protocol);
    NdisFreeNetBufferListPool(Pktio.Pool);
    IoDeleteDevice(Pktio.Device);
}

static NDIS_STATUS RegisterProtocol(void)
{
    static WCHAR Name[] = {'p', 'k', 't', 'i', 'o'};
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS C;

    RtlZeroMemory(&C, sizeof(C));
    C.Header.Type = NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS;
    C.Header.Revision = NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2;
    C.Header.Size = NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2;
    C.MajorNdisVersion = 6;
    C.MinorNdisVersion = 30;
    C.MajorDriverVersion = 1;
    C.Name = (UNICODE_STRING){sizeof(Name), sizeof(Name), Name};
    C.BindAdapterHandlerEx = PktioBind;
    C.UnbindAdapterHandlerEx = PktioUnbind;
    C.OpenAdapterCompleteHandlerEx = PktioOpenComplete;
    C.CloseAdapterCompleteHandlerEx = PktioCloseComplete;
    C.NetPnPEventHandler = PktioNetPnpEvent;
    C.OidRequestCompleteHandler = PktioOidComplete;
    C.StatusHandlerEx = PktioStatus;
    C.ReceiveNetBufferListsHandler = PktioReceive;
    C.SendNetBufferListsCompleteHandler = PktioSendComplete;
    return NdisRegisterProtocolDriver(NULL, &C, &Pktio.Protocol);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *DriverObject, UNICODE_STRING *RegistryPath);

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *DriverObject, UNICODE_STRING *RegistryPath)
{
    NET_BUFFER_LIST_POOL_PARAMETERS P = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .ProtocolId = NDIS_PROTOCOL_ID_DEFAULT,
        .fAllocateNetBuffer = TRUE,
        .PoolTag = PKTIO_TAG,
    };
    UNICODE_STRING Name;
    NTSTATUS Status;

    Pktio.Processors = KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS);
    KeInitializeSpinLock(&Pktio.Lock);
    InitializeListHead(&Pktio.Bindings);
    RtlInitUnicodeString(&Name, L"\\Device\\UmnPktio");
    Status = IoCreateDevice(DriverObject, 0, &Name, FILE_DEVICE_NETWORK, FILE_DEVICE_SECURE_OPEN,
                            FALSE, &Pktio.Device);
    if (!NT_SUCCESS(Status))
        return Status;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = PktioDispatchOpen;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = PktioDispatchOpen;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = PktioDispatchOpen;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = PktioDispatchControl;
    DriverObject->DriverUnload = PktioUnload;

    /* The pool comes first: a bind may follow the registration at once. It has no protocol handle
     * to belong to yet, so it belongs to nobody. */
    Pktio.Pool = NdisAllocateNetBufferListPool(NULL, &P);
    if (!Pktio.Pool)
    {
        Status = STATUS_INSUFFICIENT_RESOURCES;
        goto DeleteDevice;
    }
    Status = RegisterProtocol();
    if (Status != NDIS_STATUS_SUCCESS)
        goto FreePool;
    Pktio.Device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;

FreePool:
    NdisFreeNetBufferListPool(Pktio.Pool);
DeleteDevice:
    IoDeleteDevice(Pktio.Device);
    return Status;
}
