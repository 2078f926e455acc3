/* SPDX-License-Identifier: MIT */
/*
 * Entry and unload of the wire miniport: an Ethernet segment inside the process, without privileges
 * and on both back ends of the scheduler. Owns the globals. PASSIVE_LEVEL.
 */
#include "wire.h"

WIRE_GLOBALS Wire;

static MINIPORT_UNLOAD WireUnload;

static void NTAPI WireUnload(DRIVER_OBJECT *DriverObject)
{
    NdisMDeregisterMiniportDriver(Wire.Driver);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *DriverObject, UNICODE_STRING *RegistryPath);

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *DriverObject, UNICODE_STRING *RegistryPath)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS Characteristics;

    KeInitializeSpinLock(&Wire.Lock);
    InitializeListHead(&Wire.Segments);

    RtlZeroMemory(&Characteristics, sizeof(Characteristics));
    Characteristics.Header.Type = NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS;
    Characteristics.Header.Revision = NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2;
    Characteristics.Header.Size = NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2;
    Characteristics.MajorNdisVersion = 6;
    Characteristics.MinorNdisVersion = 30;
    Characteristics.MajorDriverVersion = 1;
    Characteristics.InitializeHandlerEx = WireInitialize;
    Characteristics.HaltHandlerEx = WireHalt;
    Characteristics.UnloadHandler = WireUnload;
    Characteristics.PauseHandler = WirePause;
    Characteristics.RestartHandler = WireRestart;
    Characteristics.OidRequestHandler = WireOidRequest;
    Characteristics.CancelOidRequestHandler = WireCancelOidRequest;
    Characteristics.SendNetBufferListsHandler = WireSend;
    Characteristics.ReturnNetBufferListsHandler = WireReturn;
    Characteristics.CancelSendHandler = WireCancelSend;
    Characteristics.DevicePnPEventNotifyHandler = WirePnpEvent;
    Characteristics.ShutdownHandlerEx = WireShutdown;
    return NdisMRegisterMiniportDriver(DriverObject, RegistryPath, NULL, &Characteristics,
                                       &Wire.Driver);
}
