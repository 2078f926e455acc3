/* SPDX-License-Identifier: MIT */
/*
 * Life of an adapter. Owns AFP_ADAPTER.State:
 *
 *   Paused --restart--> Running --pause--> Pausing --nothing active, nothing above--> Paused
 */
#include "af.h"

ULONG AdapterKind(const UCHAR *A)
{
    if (!(A[0] & 1))
        return 0;
    return (A[0] & A[1] & A[2] & A[3] & A[4] & A[5]) == 0xFF ? 2 : 1;
}

BOOLEAN AdapterPauseIsDone(AFP_ADAPTER *Adapter)
{
    if (!Adapter->PausePending || Adapter->Active || Adapter->Indicated)
        return FALSE;
    Adapter->PausePending = FALSE;
    Adapter->State = AfpPaused;
    return TRUE;
}

void AdapterEnter(AFP_ADAPTER *Adapter)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Adapter->Lock, &Irql);
    Adapter->Active++;
    KeReleaseSpinLock(&Adapter->Lock, Irql);
}

void AdapterLeave(AFP_ADAPTER *Adapter)
{
    BOOLEAN Paused;
    KIRQL Irql;

    KeAcquireSpinLock(&Adapter->Lock, &Irql);
    Adapter->Active--;
    Paused = AdapterPauseIsDone(Adapter);
    KeReleaseSpinLock(&Adapter->Lock, Irql);
    if (Paused)
        NdisMPauseComplete(Adapter->Handle);
}

void AdapterSetEvents(AFP_ADAPTER *Adapter)
{
    ULONG Events = 0;

    if (Adapter->Gone)
        Adapter->WantWrite = FALSE;
    else if (Adapter->State == AfpRunning && !Adapter->Starved)
        Events = UMH_READ;
    if (Adapter->WantWrite)
        Events |= UMH_WRITE;
    UmhSetEvents(Adapter->Watch, Events);
}

/* ---- initialize, halt ---- */

static void ExplainOpen(AFP_ADAPTER *Adapter, int Error, const char *Step)
{
    char Names[256];

    if (Error == AF_EPERM)
    {
        UmhExplain("interface '%s': %s: opening a packet socket needs CAP_NET_RAW in the user "
                   "namespace that owns this network namespace",
                   Adapter->Name, Step);
    }
    else if (Error == AF_ENODEV)
    {
        AfHostNames(Names, sizeof(Names));
        UmhExplain("no interface '%s' in this network namespace; there are: %s", Adapter->Name,
                   Names);
    }
    else
    {
        UmhExplain("interface '%s': %s: %s", Adapter->Name, Step, AfHostErrorText(Error));
    }
}

static NDIS_STATUS OpenHost(AFP_ADAPTER *Adapter)
{
    static const UCHAR Zero[6];
    const char *Step;
    int Error;

    Adapter->Host = ExAllocatePool2(POOL_FLAG_NON_PAGED, AfHostSize(), AFP_TAG);
    if (!Adapter->Host)
        return NDIS_STATUS_RESOURCES;
    Error = AfHostOpen(Adapter->Host, Adapter->Name, &Adapter->Link, &Step);
    if (Error)
    {
        ExplainOpen(Adapter, Error, Step);
        return Error == AF_ENODEV ? NDIS_STATUS_ADAPTER_NOT_FOUND : NDIS_STATUS_OPEN_FAILED;
    }
    Adapter->HostOpen = TRUE;
    Adapter->Mtu = Adapter->Link.Mtu;
    RtlCopyMemory(Adapter->PermanentAddress, Adapter->Link.Address, 6);
    if (RtlCompareMemory(Adapter->CurrentAddress, Zero, 6) == 6)
        RtlCopyMemory(Adapter->CurrentAddress, Adapter->Link.Address, 6);
    else if (AfHostMember(Adapter->Host, 1, AF_UNICAST, Adapter->CurrentAddress))
        UmhExplain("interface '%s' does not take a second address; frames for NetworkAddress come "
                   "only while it is promiscuous",
                   Adapter->Name);
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS Watch(AFP_ADAPTER *Adapter, NET_IFINDEX Index)
{
    NDIS_STATUS Status =
        UmhWatch(AfHostDescriptor(Adapter->Host), 0, Index, ReceiveReady, Adapter, &Adapter->Watch);

    if (Status == NDIS_STATUS_SUCCESS)
        Status = UmhWatch(AfHostLinkDescriptor(Adapter->Host), 0, Index, LinkReady, Adapter,
                          &Adapter->LinkWatch);
    if (Status == STATUS_NOT_SUPPORTED)
        UmhExplain("interface '%s': only a box on the threads back end reaches Linux interfaces",
                   Adapter->Name);
    return Status;
}

static void FreeAdapter(AFP_ADAPTER *Adapter)
{
    UmhUnwatch(Adapter->LinkWatch);
    UmhUnwatch(Adapter->Watch);
    if (Adapter->HostOpen)
        AfHostClose(Adapter->Host);
    SendFree(Adapter);
    ReceiveFree(Adapter);
    if (Adapter->Pool)
        NdisFreeNetBufferListPool(Adapter->Pool);
    if (Adapter->Host)
        ExFreePoolWithTag(Adapter->Host, AFP_TAG);
    ExFreePoolWithTag(Adapter, AFP_TAG);
}

static NDIS_HANDLE MakePool(AFP_ADAPTER *Adapter)
{
    NET_BUFFER_LIST_POOL_PARAMETERS P = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .fAllocateNetBuffer = TRUE,
        .PoolTag = AFP_TAG,
    };

    return NdisAllocateNetBufferListPool(Adapter->Handle, &P);
}

static NDIS_STATUS Build(AFP_ADAPTER *Adapter, NDIS_MINIPORT_INIT_PARAMETERS *Parameters)
{
    NDIS_STATUS Status = AttributesRegister(Adapter);

    if (Status == NDIS_STATUS_SUCCESS)
        Status = SettingsRead(Adapter);
    if (Status == NDIS_STATUS_SUCCESS)
        Status = OpenHost(Adapter);
    if (Status != NDIS_STATUS_SUCCESS)
        return Status;
    Adapter->Pool = MakePool(Adapter);
    if (!Adapter->Pool)
        return NDIS_STATUS_RESOURCES;
    Status = ReceiveInit(Adapter);
    if (Status == NDIS_STATUS_SUCCESS)
        Status = SendInit(Adapter);
    if (Status == NDIS_STATUS_SUCCESS)
        Status = Watch(Adapter, Parameters->IfIndex);
    if (Status == NDIS_STATUS_SUCCESS)
        Status = AttributesSet(Adapter);
    return Status;
}

NDIS_STATUS NTAPI AfpInitialize(NDIS_HANDLE Handle, NDIS_HANDLE DriverContext,
                                NDIS_MINIPORT_INIT_PARAMETERS *Parameters)
{
    AFP_ADAPTER *Adapter = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Adapter), AFP_TAG);
    NDIS_STATUS Status;

    if (!Adapter)
        return NDIS_STATUS_RESOURCES;
    Adapter->Handle = Handle;
    KeInitializeSpinLock(&Adapter->Lock);
    NdisMGetDeviceProperty(Handle, &Adapter->Pdo, NULL, NULL, NULL, NULL);
    Status = Build(Adapter, Parameters);
    if (Status != NDIS_STATUS_SUCCESS)
        FreeAdapter(Adapter);
    return Status;
}

void NTAPI AfpHalt(NDIS_HANDLE Context, NDIS_HALT_ACTION Action)
{
    FreeAdapter(Context);
}

/* ---- pause, restart ---- */

NDIS_STATUS NTAPI AfpPause(NDIS_HANDLE Context, NDIS_MINIPORT_PAUSE_PARAMETERS *Parameters)
{
    AFP_ADAPTER *Adapter = Context;
    BOOLEAN Done;
    KIRQL Irql;

    KeAcquireSpinLock(&Adapter->Lock, &Irql);
    Adapter->State = AfpPausing;
    Adapter->Active++; /* this call's */
    AdapterSetEvents(Adapter);
    KeReleaseSpinLock(&Adapter->Lock, Irql);
    SendStop(Adapter);
    /* Frames that come from now on are dropped by the kernel. */
    AfHostAccept(Adapter->Host, 0);

    KeAcquireSpinLock(&Adapter->Lock, &Irql);
    Adapter->Active--;
    Adapter->PausePending = TRUE;
    Done = AdapterPauseIsDone(Adapter);
    KeReleaseSpinLock(&Adapter->Lock, Irql);
    return Done ? NDIS_STATUS_SUCCESS : NDIS_STATUS_PENDING;
}

/* An MTU that the interface got while we were paused goes up with the restart (IM-MST-10). */
static void UpdateMtu(AFP_ADAPTER *Adapter, NDIS_RESTART_ATTRIBUTES *Attributes)
{
    for (; Attributes; Attributes = Attributes->Next)
    {
        NDIS_RESTART_GENERAL_ATTRIBUTES *G = (NDIS_RESTART_GENERAL_ATTRIBUTES *)Attributes->Data;

        if (Attributes->Oid != OID_GEN_MINIPORT_RESTART_ATTRIBUTES ||
            Attributes->DataLength < NDIS_SIZEOF_RESTART_GENERAL_ATTRIBUTES_REVISION_1)
            continue;
        Adapter->Mtu = Adapter->Link.Mtu;
        G->MtuSize = Adapter->Mtu;
        G->LookaheadSize = Adapter->Mtu;
    }
}

NDIS_STATUS NTAPI AfpRestart(NDIS_HANDLE Context, NDIS_MINIPORT_RESTART_PARAMETERS *Parameters)
{
    AFP_ADAPTER *Adapter = Context;
    KIRQL Irql;

    LinkCheck(Adapter);
    if (Parameters && Parameters->RestartAttributes)
        UpdateMtu(Adapter, Parameters->RestartAttributes);
    if (AfHostAccept(Adapter->Host, 1))
        return NDIS_STATUS_FAILURE;
    SendStart(Adapter);
    KeAcquireSpinLock(&Adapter->Lock, &Irql);
    Adapter->State = AfpRunning;
    AdapterSetEvents(Adapter);
    KeReleaseSpinLock(&Adapter->Lock, Irql);
    UmhSetEvents(Adapter->LinkWatch, UMH_READ);
    return NDIS_STATUS_SUCCESS;
}

void NTAPI AfpShutdown(NDIS_HANDLE Context, NDIS_SHUTDOWN_ACTION Action)
{
    /* No hardware to quiet: the kernel keeps the interface. */
}

void NTAPI AfpPnpEvent(NDIS_HANDLE Context, NET_DEVICE_PNP_EVENT *Event)
{
    AFP_ADAPTER *Adapter = Context;
    KIRQL Irql;

    if (Event->DevicePnPEvent != NdisDevicePnPEventSurpriseRemoved)
        return;
    KeAcquireSpinLock(&Adapter->Lock, &Irql);
    Adapter->Gone = TRUE;
    AdapterSetEvents(Adapter);
    KeReleaseSpinLock(&Adapter->Lock, Irql);
}
