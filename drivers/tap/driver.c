/* SPDX-License-Identifier: MIT */
/*
 * Entry and unload of the TAP protocol. Owns the globals. PASSIVE_LEVEL.
 */
#include "tap.h"

TAP_GLOBALS Tap;

static DRIVER_UNLOAD TapUnload;

static void FreeAll(void)
{
    for (ULONG I = 0; I < Tap.Cpus; I++)
        PoolDestroy(&Tap.Pool[I]);
    if (Tap.NblPool)
        NdisFreeNetBufferListPool(Tap.NblPool);
}

static void NTAPI TapUnload(DRIVER_OBJECT *DriverObject)
{
    NdisDeregisterProtocolDriver(Tap.Protocol);
    ReapWait(NULL);
    ReapFree();
    FreeAll();
}

static NDIS_STATUS RegisterProtocol(void)
{
    static WCHAR Name[] = {'t', 'a', 'p'};
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS C;

    RtlZeroMemory(&C, sizeof(C));
    C.Header.Type = NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS;
    C.Header.Revision = NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2;
    C.Header.Size = NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2;
    C.MajorNdisVersion = 6;
    C.MinorNdisVersion = 30;
    C.MajorDriverVersion = 1;
    C.Name = (UNICODE_STRING){sizeof(Name), sizeof(Name), Name};
    C.BindAdapterHandlerEx = TapBind;
    C.UnbindAdapterHandlerEx = TapUnbind;
    C.OpenAdapterCompleteHandlerEx = TapOpenComplete;
    C.CloseAdapterCompleteHandlerEx = TapCloseComplete;
    C.NetPnPEventHandler = TapNetPnpEvent;
    C.OidRequestCompleteHandler = TapOidComplete;
    C.StatusHandlerEx = TapStatus;
    C.ReceiveNetBufferListsHandler = TapReceive;
    C.SendNetBufferListsCompleteHandler = TapSendComplete;
    return NdisRegisterProtocolDriver(NULL, &C, &Tap.Protocol);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *DriverObject, UNICODE_STRING *RegistryPath);

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *DriverObject, UNICODE_STRING *RegistryPath)
{
    NET_BUFFER_LIST_POOL_PARAMETERS P = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .ProtocolId = NDIS_PROTOCOL_ID_DEFAULT,
        .fAllocateNetBuffer = TRUE,
        .PoolTag = TAP_TAG,
    };
    NTSTATUS Status;

    Tap.Cpus = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    if (Tap.Cpus > TAP_MAX_CPUS)
        Tap.Cpus = TAP_MAX_CPUS;
    KeInitializeMutex(&Tap.PoolMutex, 0);
    for (ULONG I = 0; I < Tap.Cpus; I++)
    {
        KeInitializeSpinLock(&Tap.Pool[I].Lock);
        InitializeListHead(&Tap.Pool[I].Waiters);
    }
    Tap.Driver = DriverObject;
    Status = ReapInit();
    if (Status != NDIS_STATUS_SUCCESS)
        return Status;
    Tap.NblPool = NdisAllocateNetBufferListPool(NULL, &P);
    DriverObject->DriverUnload = TapUnload;
    Status = Tap.NblPool ? RegisterProtocol() : NDIS_STATUS_RESOURCES;
    if (Status != NDIS_STATUS_SUCCESS)
    {
        FreeAll();
        ReapFree();
    }
    return Status;
}
