/* SPDX-License-Identifier: MIT */
/*
 * Entry and unload of the packet-socket miniport. PASSIVE_LEVEL.
 */
#include "af.h"

static NDIS_HANDLE DriverHandle;

static MINIPORT_UNLOAD AfpUnload;

static void NTAPI AfpUnload(DRIVER_OBJECT *DriverObject)
{
    NdisMDeregisterMiniportDriver(DriverHandle);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *DriverObject, UNICODE_STRING *RegistryPath);

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *DriverObject, UNICODE_STRING *RegistryPath)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS C;

    RtlZeroMemory(&C, sizeof(C));
    C.Header.Type = NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS;
    C.Header.Revision = NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2;
    C.Header.Size = NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2;
    C.MajorNdisVersion = 6;
    C.MinorNdisVersion = 30;
    C.MajorDriverVersion = 1;
    C.InitializeHandlerEx = AfpInitialize;
    C.HaltHandlerEx = AfpHalt;
    C.UnloadHandler = AfpUnload;
    C.PauseHandler = AfpPause;
    C.RestartHandler = AfpRestart;
    C.OidRequestHandler = AfpOidRequest;
    C.CancelOidRequestHandler = AfpCancelOidRequest;
    C.SendNetBufferListsHandler = AfpSend;
    C.ReturnNetBufferListsHandler = AfpReturn;
    C.CancelSendHandler = AfpCancelSend;
    C.DevicePnPEventNotifyHandler = AfpPnpEvent;
    C.ShutdownHandlerEx = AfpShutdown;
    return NdisMRegisterMiniportDriver(DriverObject, RegistryPath, NULL, &C, &DriverHandle);
}
