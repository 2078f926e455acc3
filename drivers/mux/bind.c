/* SPDX-License-Identifier: MIT */
/*
 * A lower binding: made by ProtocolBindAdapterEx, opened, closed and freed by
 * ProtocolUnbindAdapterEx. Owns MUX_BINDING.State together with event.c (pause and restart). Opens
 * and closes that pend are waited for: bind and unbind run at PASSIVE_LEVEL and finish in their own
 * context (IM-BND-11).
 */
#include "mux.h"

/* Takes what we need from the bind parameters, which spare us OID queries (IM-BND-12). */
static VOID BindLearn(MUX_BINDING *Binding, PNDIS_BIND_PARAMETERS From)
{
    NDIS_LINK_STATE *Link = &Binding->LinkState;

    Binding->MtuSize = From->MtuSize;
    Binding->LookaheadSize = From->LookaheadSize;
    Binding->MacOptions = From->MacOptions;
    Binding->InsertTag = (From->MacOptions & NDIS_MAC_OPTION_8021Q_VLAN) == 0;
    Binding->SupportedPacketFilters = From->SupportedPacketFilters;
    Binding->MaxMulticast = From->MaxMulticastListSize;
    Binding->DataBackFill = From->DataBackFillSize;
    Binding->ContextBackFill = From->ContextBackFillSize;
    Binding->MaxXmitLinkSpeed = From->MaxXmitLinkSpeed;
    Binding->MaxRcvLinkSpeed = From->MaxRcvLinkSpeed;
    Binding->PhysicalMedium = From->PhysicalMediumType;
    Binding->BoundIfIndex = From->BoundIfIndex;
    if (From->MacAddressLength == MUX_MAC_LENGTH)
    {
        NdisMoveMemory(Binding->Mac, From->CurrentMacAddress, MUX_MAC_LENGTH);
    }
    Link->Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    Link->Header.Revision = NDIS_LINK_STATE_REVISION_1;
    Link->Header.Size = NDIS_SIZEOF_LINK_STATE_REVISION_1;
    Link->MediaConnectState = From->MediaConnectState;
    Link->MediaDuplexState = From->MediaDuplexState;
    Link->XmitLinkSpeed = From->XmitLinkSpeed;
    Link->RcvLinkSpeed = From->RcvLinkSpeed;
    Link->PauseFunctions = NdisPauseFunctionsUnknown;
    if (From->PowerManagementCapabilitiesEx != NULL)
    {
        Binding->HavePm = TRUE;
        NdisMoveMemory(&Binding->Pm, From->PowerManagementCapabilitiesEx,
                       NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_1);
    }
    if (From->DefaultOffloadConfiguration != NULL)
    {
        Binding->HaveOffload = TRUE;
        OffloadFromLower(&Binding->Offload, From->DefaultOffloadConfiguration,
                         From->DefaultOffloadConfiguration->Header.Size);
    }
}

/* A pool for NBLs with one NET_BUFFER each, and Data bytes if not 0 (IM-NBL-01, IM-NBL-02). */
NDIS_HANDLE BindPool(NDIS_HANDLE Owner, ULONG Data)
{
    NET_BUFFER_LIST_POOL_PARAMETERS Parameters;

    NdisZeroMemory(&Parameters, sizeof(Parameters));
    Parameters.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    Parameters.Header.Revision = NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1;
    Parameters.Header.Size = NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1;
    Parameters.ProtocolId = NDIS_PROTOCOL_ID_DEFAULT;
    Parameters.fAllocateNetBuffer = TRUE;
    Parameters.PoolTag = MUX_TAG_NBL;
    Parameters.DataSize = Data;
    return NdisAllocateNetBufferListPool(Owner, &Parameters);
}

static VOID BindFree(MUX_BINDING *Binding)
{
    if (Binding->HeaderPool != NULL)
    {
        NdisFreeNetBufferListPool(Binding->HeaderPool);
    }
    if (Binding->SendPool != NULL)
    {
        NdisFreeNetBufferListPool(Binding->SendPool);
    }
    if (Binding->TableLock != NULL)
    {
        NdisFreeRWLock(Binding->TableLock);
    }
    NdisFreeSpinLock(&Binding->HoldLock);
    MuxFree(Binding->Section.Buffer);
    MuxFree(Binding->Table);
    MuxFree(Binding->Filter.List);
    MuxFree(Binding->Filter.Wanted);
    MuxFree(Binding);
}

/* A binding in Opening with every resource it will need, or NULL. */
static MUX_BINDING *BindCreate(PNDIS_BIND_PARAMETERS Parameters)
{
    MUX_BINDING *Binding = MuxAllocate(sizeof(*Binding), MUX_TAG_BINDING);

    if (Binding == NULL)
    {
        return NULL;
    }
    Binding->State = MuxBindingOpening;
    Binding->Power = NdisDeviceStateD0;
    InitializeListHead(&Binding->Names);
    NdisInitializeEvent(&Binding->Opened);
    NdisInitializeEvent(&Binding->Closed);
    NdisInitializeEvent(&Binding->Unreferenced);
    NdisSetEvent(&Binding->Unreferenced);
    NdisInitializeEvent(&Binding->ListDone);
    NdisSetEvent(&Binding->ListDone);
    RundownInit(&Binding->Sends, FALSE);
    RundownInit(&Binding->Requests, FALSE);
    HoldInit(Binding);
    BindLearn(Binding, Parameters);
    Binding->TableLock = NdisAllocateRWLock(Mux.Miniport);
    Binding->SendPool = BindPool(Mux.Protocol, 0);
    Binding->HeaderPool = BindPool(Mux.Protocol, MUX_HEADER_SPACE);
    if (!LongListInit(Binding, Parameters->ProtocolSection) || !FilterInit(Binding) ||
        Binding->TableLock == NULL || Binding->SendPool == NULL || Binding->HeaderPool == NULL)
    {
        BindFree(Binding);
        return NULL;
    }
    return Binding;
}

/* NdisOpenAdapterEx, waited for. SelectedMedium and the handle live until it has ended (IM-BND-06).
 */
static NDIS_STATUS BindOpen(MUX_BINDING *Binding, NDIS_HANDLE BindContext,
                            PNDIS_BIND_PARAMETERS Parameters)
{
    NDIS_MEDIUM Medium[] = {NdisMedium802_3};
    NDIS_OPEN_PARAMETERS Open;
    UINT Selected = 0;
    NDIS_STATUS Status;

    NdisZeroMemory(&Open, sizeof(Open));
    Open.Header.Type = NDIS_OBJECT_TYPE_OPEN_PARAMETERS;
    Open.Header.Revision = NDIS_OPEN_PARAMETERS_REVISION_1;
    Open.Header.Size = NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1;
    Open.AdapterName = Parameters->AdapterName;
    Open.MediumArray = Medium;
    Open.MediumArraySize = RTL_NUMBER_OF(Medium);
    Open.SelectedMediumIndex = &Selected;
    Status = NdisOpenAdapterEx(Mux.Protocol, Binding, &Open, BindContext, &Binding->Handle);
    if (Status == NDIS_STATUS_PENDING)
    {
        MuxWait(&Binding->Opened);
        Status = Binding->OpenStatus;
    }
    return Status;
}

/*
 * ProtocolBindAdapterEx (`nc-ndis-protocol_bind_adapter_ex.md`): opens the adapter, then asks for
 * one virtual miniport per name on its list. A name that fails does not fail the bind. Returns the
 * status of the open (IM-BND-08), NDIS_STATUS_RESOURCES, or success. PASSIVE_LEVEL.
 */
NDIS_STATUS BindAdapter(NDIS_HANDLE ProtocolDriverContext, NDIS_HANDLE BindContext,
                        PNDIS_BIND_PARAMETERS BindParameters)
{
    MUX_BINDING *Binding;
    NDIS_STATUS Status;

    UNREFERENCED_PARAMETER(ProtocolDriverContext);
    if (BindParameters->MediaType != NdisMedium802_3)
    {
        return NDIS_STATUS_UNSUPPORTED_MEDIA;
    }
    Binding = BindCreate(BindParameters);
    if (Binding == NULL)
    {
        return NDIS_STATUS_RESOURCES;
    }
    Status = BindOpen(Binding, BindContext, BindParameters);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        BindFree(Binding);
        return Status;
    }
    RundownOpen(&Binding->Requests);
    NdisAcquireSpinLock(&Mux.Lock);
    Binding->State = MuxBindingPaused;
    InsertTailList(&Mux.Bindings, &Binding->Link);
    NdisReleaseSpinLock(&Mux.Lock);
    ListUpdate(Binding);
    return NDIS_STATUS_SUCCESS;
}

/* ProtocolOpenAdapterCompleteEx: wakes BindOpen (IM-BND-07). PASSIVE_LEVEL. */
VOID BindOpenComplete(NDIS_HANDLE ProtocolBindingContext, NDIS_STATUS Status)
{
    MUX_BINDING *Binding = (MUX_BINDING *)ProtocolBindingContext;

    Binding->OpenStatus = Status;
    MuxSignal(&Binding->Opened);
}

/* ProtocolCloseAdapterCompleteEx: wakes BindUnbindAdapter. PASSIVE_LEVEL. */
VOID BindCloseComplete(NDIS_HANDLE ProtocolBindingContext)
{
    MuxSignal(&((MUX_BINDING *)ProtocolBindingContext)->Closed);
}

/*
 * ProtocolUnbindAdapterEx (`nc-ndis-protocol_unbind_adapter_ex.md`). The virtual miniports go
 * first, then what we set below is taken back, then the requests are waited for, then the adapter
 * is closed (IM-UNB-03, -04, -05, -07, -08, -09). Always succeeds, never pends (IM-UNB-02).
 * PASSIVE_LEVEL.
 */
NDIS_STATUS BindUnbindAdapter(NDIS_HANDLE UnbindContext, NDIS_HANDLE ProtocolBindingContext)
{
    MUX_BINDING *Binding = (MUX_BINDING *)ProtocolBindingContext;

    UNREFERENCED_PARAMETER(UnbindContext);
    NdisAcquireSpinLock(&Mux.Lock);
    Binding->Closing = TRUE;
    NdisReleaseSpinLock(&Mux.Lock);
    MuxWait(&Binding->Unreferenced);
    ListRemoveAll(Binding);
    /* Off the list last: MiniportInitializeEx looks its names up there. */
    NdisAcquireSpinLock(&Mux.Lock);
    RemoveEntryList(&Binding->Link);
    NdisReleaseSpinLock(&Mux.Lock);
    FilterClear(Binding);
    RundownShut(&Binding->Requests);
    RundownWait(&Binding->Requests);
    NdisAcquireSpinLock(&Mux.Lock);
    Binding->State = MuxBindingClosing;
    NdisReleaseSpinLock(&Mux.Lock);
    if (NdisCloseAdapterEx(Binding->Handle) == NDIS_STATUS_PENDING)
    {
        MuxWait(&Binding->Closed);
    }
    BindFree(Binding);
    return NDIS_STATUS_SUCCESS;
}
