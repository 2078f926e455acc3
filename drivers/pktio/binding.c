/* SPDX-License-Identifier: MIT */
/*
 * Bindings: open, close, pause, restart, status. Owns PKTIO_ADAPTER.State and the list of bindings.
 */
#include "pktio.h"

#define PKTIO_FILTER_DEFAULT                                                                       \
    (NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_BROADCAST)

PKTIO_ADAPTER *BindingFind(const WCHAR *Name, ULONG Chars)
{
    UNICODE_STRING Wanted = {0, 0, (WCHAR *)Name};
    PKTIO_ADAPTER *Found = NULL;
    KIRQL Irql;

    while (Wanted.Length / sizeof(WCHAR) < Chars && Name[Wanted.Length / sizeof(WCHAR)])
        Wanted.Length += sizeof(WCHAR);
    Wanted.MaximumLength = Wanted.Length;
    /* RtlEqualUnicodeString is for PASSIVE_LEVEL when it ignores case, so the list is walked by
     * number: each step references one binding. */
    for (ULONG Index = 0; !Found; Index++)
    {
        PKTIO_ADAPTER *Binding = NULL;
        ULONG N = 0;

        KeAcquireSpinLock(&Pktio.Lock, &Irql);
        for (LIST_ENTRY *E = Pktio.Bindings.Flink; E != &Pktio.Bindings; E = E->Flink, N++)
        {
            if (N == Index)
            {
                Binding = CONTAINING_RECORD(E, PKTIO_ADAPTER, Link);
                InterlockedIncrement(&Binding->References);
                break;
            }
        }
        KeReleaseSpinLock(&Pktio.Lock, Irql);
        if (!Binding)
            return NULL;
        if (RtlEqualUnicodeString(&Binding->Name, &Wanted, TRUE))
            Found = Binding;
        else
            BindingDereference(Binding);
    }
    return Found;
}

void BindingDereference(PKTIO_ADAPTER *Binding)
{
    if (InterlockedDecrement(&Binding->References) == 0)
        KeSetEvent(&Binding->Unreferenced, IO_NO_INCREMENT, FALSE);
}

static NDIS_STATUS Open(PKTIO_ADAPTER *Binding, NDIS_HANDLE BindContext,
                        NDIS_BIND_PARAMETERS *Parameters)
{
    NDIS_MEDIUM Medium = NdisMedium802_3;
    NET_FRAME_TYPE Frames[1] = {0};
    UINT Selected;
    NDIS_OPEN_PARAMETERS P = {
        .Header = {NDIS_OBJECT_TYPE_OPEN_PARAMETERS, NDIS_OPEN_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1},
        .AdapterName = Parameters->AdapterName,
        .MediumArray = &Medium,
        .MediumArraySize = 1,
        .SelectedMediumIndex = &Selected,
        .FrameTypeArray = Frames,
        .FrameTypeArraySize = 0,
    };
    NDIS_STATUS Status;

    KeInitializeEvent(&Binding->Event, NotificationEvent, FALSE);
    Status = NdisOpenAdapterEx(Pktio.Protocol, Binding, &P, BindContext, &Binding->Handle);
    if (Status == NDIS_STATUS_PENDING)
    {
        KeWaitForSingleObject(&Binding->Event, Executive, KernelMode, FALSE, NULL);
        Status = Binding->OpenStatus;
    }
    return Status;
}

NDIS_STATUS NTAPI PktioBind(NDIS_HANDLE DriverContext, NDIS_HANDLE BindContext,
                            NDIS_BIND_PARAMETERS *Parameters)
{
    PKTIO_ADAPTER *Binding;
    NDIS_STATUS Status;
    SIZE_T Size;
    ULONG Filter = PKTIO_FILTER_DEFAULT;
    KIRQL Irql;

    if (Parameters->MediaType != NdisMedium802_3)
        return NDIS_STATUS_UNSUPPORTED_MEDIA;
    Size = PKTIO_LINES(sizeof(PKTIO_ADAPTER)) + Pktio.Processors * sizeof(PKTIO_RECEIVED);
    Binding = ExAllocatePoolWithTag(NonPagedPoolNxCacheAligned,
                                    Size + Parameters->AdapterName->Length, PKTIO_TAG);
    if (!Binding)
        return NDIS_STATUS_RESOURCES;
    RtlZeroMemory(Binding, Size);
    Binding->Name.Buffer = (WCHAR *)((UCHAR *)Binding + Size);
    Binding->Name.Length = Binding->Name.MaximumLength = Parameters->AdapterName->Length;
    RtlCopyMemory(Binding->Name.Buffer, Parameters->AdapterName->Buffer, Binding->Name.Length);
    KeInitializeSpinLock(&Binding->Lock);
    KeInitializeEvent(&Binding->Unreferenced, NotificationEvent, FALSE);
    KeInitializeEvent(&Binding->Quiet, NotificationEvent, FALSE);
    Binding->References = 1;
    Binding->State = PktioPaused;
    Binding->Mtu = Parameters->MtuSize;
    Binding->LinkUp = Parameters->MediaConnectState == MediaConnectStateConnected;
    RtlCopyMemory(Binding->Address, Parameters->CurrentMacAddress, 6);

    Status = Open(Binding, BindContext, Parameters);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        ExFreePoolWithTag(Binding, PKTIO_TAG);
        return Status;
    }
    /* A sink without a filter is a sink that sees nothing: IOCTL_PKTIO_LIST tells. */
    if (RequestSet(Binding, OID_GEN_CURRENT_PACKET_FILTER, &Filter, sizeof(Filter)) ==
        NDIS_STATUS_SUCCESS)
        Binding->PacketFilter = Filter;
    KeAcquireSpinLock(&Pktio.Lock, &Irql);
    InsertTailList(&Pktio.Bindings, &Binding->Link);
    KeReleaseSpinLock(&Pktio.Lock, Irql);
    return NDIS_STATUS_SUCCESS;
}

NDIS_STATUS NTAPI PktioUnbind(NDIS_HANDLE UnbindContext, NDIS_HANDLE BindingContext)
{
    PKTIO_ADAPTER *Binding = BindingContext;
    KIRQL Irql;

    KeAcquireSpinLock(&Pktio.Lock, &Irql);
    RemoveEntryList(&Binding->Link);
    KeReleaseSpinLock(&Pktio.Lock, Irql);
    BindingDereference(Binding);
    KeWaitForSingleObject(&Binding->Unreferenced, Executive, KernelMode, FALSE, NULL);

    KeClearEvent(&Binding->Event);
    if (NdisCloseAdapterEx(Binding->Handle) == NDIS_STATUS_PENDING)
        KeWaitForSingleObject(&Binding->Event, Executive, KernelMode, FALSE, NULL);
    ExFreePoolWithTag(Binding, PKTIO_TAG);
    return NDIS_STATUS_SUCCESS;
}

void NTAPI PktioOpenComplete(NDIS_HANDLE BindingContext, NDIS_STATUS Status)
{
    PKTIO_ADAPTER *Binding = BindingContext;

    Binding->OpenStatus = Status;
    KeSetEvent(&Binding->Event, IO_NO_INCREMENT, FALSE);
}

void NTAPI PktioCloseComplete(NDIS_HANDLE BindingContext)
{
    PKTIO_ADAPTER *Binding = BindingContext;

    KeSetEvent(&Binding->Event, IO_NO_INCREMENT, FALSE);
}

/* Waits rather than pends: NdisCompleteNetPnPEvent is for PASSIVE_LEVEL, sends end at DISPATCH. */
static void Pause(PKTIO_ADAPTER *Binding)
{
    KIRQL Irql;

    KeClearEvent(&Binding->Quiet);
    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Binding->State = PktioPausing;
    if (!Binding->SendsOut)
        KeSetEvent(&Binding->Quiet, IO_NO_INCREMENT, FALSE);
    KeReleaseSpinLock(&Binding->Lock, Irql);
    KeWaitForSingleObject(&Binding->Quiet, Executive, KernelMode, FALSE, NULL);
    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Binding->State = PktioPaused;
    KeReleaseSpinLock(&Binding->Lock, Irql);
}

static void Restart(PKTIO_ADAPTER *Binding, NDIS_PROTOCOL_RESTART_PARAMETERS *Parameters)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Binding->State = PktioRunning;
    if (Parameters)
        for (NDIS_RESTART_ATTRIBUTES *A = Parameters->RestartAttributes; A; A = A->Next)
            if (A->Oid == OID_GEN_MINIPORT_RESTART_ATTRIBUTES &&
                A->DataLength >= NDIS_SIZEOF_RESTART_GENERAL_ATTRIBUTES_REVISION_1)
                Binding->Mtu = ((NDIS_RESTART_GENERAL_ATTRIBUTES *)A->Data)->MtuSize;
    KeReleaseSpinLock(&Binding->Lock, Irql);
}

NDIS_STATUS NTAPI PktioNetPnpEvent(NDIS_HANDLE BindingContext,
                                   NET_PNP_EVENT_NOTIFICATION *Notification)
{
    PKTIO_ADAPTER *Binding = BindingContext;

    if (!Binding)
        return NDIS_STATUS_SUCCESS;
    switch (Notification->NetPnPEvent.NetEvent)
    {
    case NetEventPause:
        Pause(Binding);
        return NDIS_STATUS_SUCCESS;
    case NetEventRestart:
        Restart(Binding, Notification->NetPnPEvent.Buffer);
        return NDIS_STATUS_SUCCESS;
    default:
        return NDIS_STATUS_SUCCESS;
    }
}

void NTAPI PktioStatus(NDIS_HANDLE BindingContext, NDIS_STATUS_INDICATION *Indication)
{
    PKTIO_ADAPTER *Binding = BindingContext;
    KIRQL Irql;

    KeAcquireSpinLock(&Binding->Lock, &Irql);
    switch (Indication->StatusCode)
    {
    case NDIS_STATUS_LINK_STATE:
        Binding->LinkUp = ((NDIS_LINK_STATE *)Indication->StatusBuffer)->MediaConnectState ==
                          MediaConnectStateConnected;
        break;
    case NDIS_STATUS_CURRENT_MAC_ADDRESS_CHANGE:
        if (Indication->StatusBufferSize >= 6)
            RtlCopyMemory(Binding->Address, Indication->StatusBuffer, 6);
        break;
    default:
        break;
    }
    KeReleaseSpinLock(&Binding->Lock, Irql);
}
