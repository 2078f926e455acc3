/* SPDX-License-Identifier: MIT */
/*
 * DriverEntry and unload: both edges registered, associated, deregistered. Owns Mux. PASSIVE_LEVEL.
 */
#include "path.h"

DRIVER_INITIALIZE DriverEntry;
static MINIPORT_UNLOAD DriverUnload;
static SET_OPTIONS DriverProtocolOptions;

MUX_GLOBALS Mux;

/* The miniport edge (IM-REG-01, -08, -09): no reset, no check for hang. */
static NDIS_STATUS RegisterMiniport(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS Chars;

    NdisZeroMemory(&Chars, sizeof(Chars));
    Chars.Header.Type = NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS;
    Chars.Header.Revision = NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2;
    Chars.Header.Size = NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2;
    Chars.MajorNdisVersion = MUX_NDIS_MAJOR;
    Chars.MinorNdisVersion = MUX_NDIS_MINOR;
    Chars.MajorDriverVersion = MUX_DRIVER_MAJOR;
    Chars.MinorDriverVersion = MUX_DRIVER_MINOR;
    Chars.Flags = NDIS_INTERMEDIATE_DRIVER;
    Chars.InitializeHandlerEx = VmInitialize;
    Chars.HaltHandlerEx = VmHalt;
    Chars.UnloadHandler = DriverUnload;
    Chars.PauseHandler = VmPause;
    Chars.RestartHandler = VmRestart;
    Chars.OidRequestHandler = OidRequest;
    Chars.SendNetBufferListsHandler = TxSend;
    Chars.ReturnNetBufferListsHandler = RxReturn;
    Chars.CancelSendHandler = TxCancel;
    Chars.DevicePnPEventNotifyHandler = VmPnPEvent;
    Chars.ShutdownHandlerEx = VmShutdown;
    Chars.CancelOidRequestHandler = OidCancel;
    return NdisMRegisterMiniportDriver(DriverObject, RegistryPath, NULL, &Chars, &Mux.Miniport);
}

/* The last component of ...\Services\<name>: the name that the INF gave the service (IM-INS-04). */
static NDIS_STRING ServiceName(const UNICODE_STRING *RegistryPath)
{
    NDIS_STRING Name = *RegistryPath;
    USHORT i;

    for (i = Name.Length / sizeof(WCHAR); i > 0; i--)
    {
        if (Name.Buffer[i - 1] == '\\')
        {
            Name.Buffer += i;
            Name.Length = (USHORT)(Name.Length - i * sizeof(WCHAR));
            Name.MaximumLength = Name.Length;
            break;
        }
    }
    return Name;
}

/* Runs inside NdisRegisterProtocolDriver with the handle that it will return: a bind may come
 * before it has (IM-REG-07). */
static NDIS_STATUS DriverProtocolOptions(NDIS_HANDLE NdisDriverHandle, NDIS_HANDLE DriverContext)
{
    UNREFERENCED_PARAMETER(DriverContext);
    Mux.Protocol = NdisDriverHandle;
    return NDIS_STATUS_SUCCESS;
}

/* The protocol edge (IM-REG-02, -10). Any handler may be called before this returns (IM-REG-07). */
static NDIS_STATUS RegisterProtocol(const UNICODE_STRING *RegistryPath)
{
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS Chars;

    NdisZeroMemory(&Chars, sizeof(Chars));
    Chars.Header.Type = NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS;
    Chars.Header.Revision = NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2;
    Chars.Header.Size = NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2;
    Chars.MajorNdisVersion = MUX_NDIS_MAJOR;
    Chars.MinorNdisVersion = MUX_NDIS_MINOR;
    Chars.MajorDriverVersion = MUX_DRIVER_MAJOR;
    Chars.MinorDriverVersion = MUX_DRIVER_MINOR;
    Chars.Name = ServiceName(RegistryPath);
    Chars.SetOptionsHandler = DriverProtocolOptions;
    Chars.BindAdapterHandlerEx = BindAdapter;
    Chars.UnbindAdapterHandlerEx = BindUnbindAdapter;
    Chars.OpenAdapterCompleteHandlerEx = BindOpenComplete;
    Chars.CloseAdapterCompleteHandlerEx = BindCloseComplete;
    Chars.NetPnPEventHandler = EventNotify;
    Chars.OidRequestCompleteHandler = OidRequestComplete;
    Chars.StatusHandlerEx = StatusReceive;
    Chars.ReceiveNetBufferListsHandler = RxReceive;
    Chars.SendNetBufferListsCompleteHandler = TxSendComplete;
    return NdisRegisterProtocolDriver(NULL, &Chars, &Mux.Protocol);
}

/*
 * Registers the miniport edge, then the protocol edge, and ties them together (IM-REG-03). What is
 * registered when a later step fails is deregistered again: unload is not called then (IM-REG-11).
 */
NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NDIS_STATUS Status;

    NdisZeroMemory(&Mux, sizeof(Mux));
    NdisZeroMemory(MuxHere, sizeof(MuxHere));
    NdisAllocateSpinLock(&Mux.Lock);
    InitializeListHead(&Mux.Bindings);
    Mux.Processors = NdisGroupMaxProcessorCount(ALL_PROCESSOR_GROUPS);
    if (Mux.Processors == 0)
    {
        Mux.Processors = 1;
    }
    Status = RegisterMiniport(DriverObject, RegistryPath);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        goto freeLock;
    }
    Status = RegisterProtocol(RegistryPath);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        goto deregisterMiniport;
    }
    NdisIMAssociateMiniport(Mux.Miniport, Mux.Protocol);
    return Status;

deregisterMiniport:
    NdisMDeregisterMiniportDriver(Mux.Miniport);
freeLock:
    NdisFreeSpinLock(&Mux.Lock);
    return Status;
}

/* MiniportDriverUnload: both edges go (IM-UNL-02); bindings that are still open unbind meanwhile.
 */
static VOID DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    if (Mux.Protocol != NULL)
    {
        NdisDeregisterProtocolDriver(Mux.Protocol);
        Mux.Protocol = NULL;
    }
    NdisMDeregisterMiniportDriver(Mux.Miniport);
    NdisFreeSpinLock(&Mux.Lock);
}
