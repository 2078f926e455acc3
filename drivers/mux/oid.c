/* SPDX-License-Identifier: MIT */
/*
 * MiniportOidRequest and its cancel. NDIS hands a virtual miniport one request at a time
 * (IM-OID-02); when we pend it, MUX_VM.Oid says where it is (Mux.Lock), and Use is held until it is
 * finished. Nothing here waits for the lower driver (IM-OID-11). PASSIVE_LEVEL; cancel and finish
 * <= DISPATCH_LEVEL.
 */
#include "mux.h"

/* Nobody may wait for the lower adapter's D0 while the virtual miniport pauses, for it may be on
 * its way down, or during an event (IM-OID-10), for D0 comes with one. A reset ends by itself.
 * Mux.Lock held. */
static BOOLEAN OidWaitsForPower(const MUX_VM *Vm)
{
    return Vm->Oid.Place == MuxOidQueued && Vm->Binding->Power != NdisDeviceStateD0;
}

/*
 * Remembers the request as pended. A request for the lower adapter is Queued instead of Forwarded
 * while that cannot take it. Returns where it is; MuxOidNone: the virtual miniport is going, or it
 * is paused and the request would have to wait for the lower adapter's D0.
 */
MUX_OID_PLACE OidPend(MUX_VM *Vm, PNDIS_OID_REQUEST Request, MUX_OID_PLACE Place)
{
    if (!RundownEnter(&Vm->Use, 1))
    {
        return MuxOidNone;
    }
    NdisAcquireSpinLock(&Mux.Lock);
    if (Place == MuxOidForwarded && Vm->Binding->OidHold)
    {
        Place = MuxOidQueued;
    }
    Vm->Oid.Place = Place;
    if (!ReadBooleanNoFence(&Vm->Running) && OidWaitsForPower(Vm))
    {
        Vm->Oid.Place = MuxOidNone;
        NdisReleaseSpinLock(&Mux.Lock);
        RundownLeave(&Vm->Use, 1);
        return MuxOidNone;
    }
    Vm->Oid.Original = Request;
    Vm->Oid.CloneId = NULL;
    Vm->Oid.Cancelled = FALSE;
    NdisResetEvent(&Vm->OidDone);
    NdisReleaseSpinLock(&Mux.Lock);
    return Place;
}

static PNDIS_OID_REQUEST OidTake(MUX_VM *Vm)
{
    PNDIS_OID_REQUEST Original;

    NdisAcquireSpinLock(&Mux.Lock);
    Original = Vm->Oid.Original;
    Vm->Oid.Original = NULL;
    Vm->Oid.Place = MuxOidNone;
    NdisReleaseSpinLock(&Mux.Lock);
    return Original;
}

static VOID OidEnd(MUX_VM *Vm)
{
    NdisAcquireSpinLock(&Mux.Lock);
    if (Vm->Oid.Place == MuxOidNone)
    {
        NdisSetEvent(&Vm->OidDone);
    }
    NdisReleaseSpinLock(&Mux.Lock);
    RundownLeave(&Vm->Use, 1);
}

/* Completes the pended request, once (IM-OID-04). The virtual miniport may be gone on return. */
VOID OidFinish(MUX_VM *Vm, NDIS_STATUS Status)
{
    PNDIS_OID_REQUEST Original = OidTake(Vm);

    NdisMOidRequestComplete(Vm->Handle, Original, Status);
    OidEnd(Vm);
}

/* Takes back a pend whose request is finished by the return value after all. */
VOID OidUnpend(MUX_VM *Vm)
{
    (VOID) OidTake(Vm);
    OidEnd(Vm);
}

/* Finishes the request that waits for the lower adapter's D0, if there is one. PASSIVE_LEVEL. */
VOID OidAbortQueued(MUX_VM *Vm)
{
    BOOLEAN Abort;

    NdisAcquireSpinLock(&Mux.Lock);
    Abort = OidWaitsForPower(Vm);
    if (Abort)
    {
        Vm->Oid.Place = MuxOidNone; /* ForwardQueued does not find it any more */
    }
    NdisReleaseSpinLock(&Mux.Lock);
    if (Abort)
    {
        OidFinish(Vm, NDIS_STATUS_LOW_POWER_STATE);
    }
}

/* Waits until no request is pended: NdisMNetPnPEvent may not be called while one is (IM-OID-10). */
VOID OidWaitIdle(MUX_VM *Vm)
{
    OidAbortQueued(Vm);
    MuxWait(&Vm->OidDone);
}

/* Settings of the one NIC that many virtual miniports share: nobody gets to change them (IM-OFF-02,
 * -03). */
static BOOLEAN OidDeclined(NDIS_OID Oid)
{
    switch (Oid)
    {
    case OID_GEN_RECEIVE_SCALE_CAPABILITIES:
    case OID_GEN_RECEIVE_SCALE_PARAMETERS:
#ifdef OID_GEN_RECEIVE_SCALE_PARAMETERS_V2 /* 6.80; headers may hide it from a 6.30 driver */
    case OID_GEN_RECEIVE_SCALE_PARAMETERS_V2:
#endif
    case OID_GEN_RECEIVE_HASH:
    case OID_GEN_LINK_PARAMETERS:
    case OID_GEN_VLAN_ID:
    case OID_TCP_OFFLOAD_CURRENT_CONFIG:
    case OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES:
    case OID_TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG:
    case OID_TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES:
    case OID_TCP_CONNECTION_OFFLOAD_PARAMETERS:
    case OID_TCP_TASK_OFFLOAD:
    case OID_TCP_TASK_IPSEC_ADD_SA:
    case OID_TCP_TASK_IPSEC_DELETE_SA:
    case OID_TCP_TASK_IPSEC_OFFLOAD_V2_ADD_SA:
    case OID_TCP_TASK_IPSEC_OFFLOAD_V2_DELETE_SA:
    case OID_TCP_TASK_IPSEC_OFFLOAD_V2_UPDATE_SA:
    case OID_TCP_TASK_IPSEC_OFFLOAD_V2_ADD_SA_EX:
    case OID_QOS_PARAMETERS:
    case OID_QOS_HARDWARE_CAPABILITIES:
    case OID_QOS_CURRENT_CAPABILITIES:
        return TRUE;
    default:
        return Oid >= OID_RECEIVE_FILTER_HARDWARE_CAPABILITIES && Oid <= OID_SRIOV_PF_LUID;
    }
}

/* Wake-up requests go down to a NIC that is PM-aware and get NOT_SUPPORTED from any other
 * (IM-PWR-11). */
static BOOLEAN OidIsWakeUp(NDIS_OID Oid)
{
    switch (Oid)
    {
    case OID_PNP_ENABLE_WAKE_UP:
    case OID_PNP_ADD_WAKE_UP_PATTERN:
    case OID_PNP_REMOVE_WAKE_UP_PATTERN:
    case OID_PNP_WAKE_UP_PATTERN_LIST:
    case OID_PNP_WAKE_UP_OK:
    case OID_PNP_WAKE_UP_ERROR:
    case OID_PM_ADD_WOL_PATTERN:
    case OID_PM_REMOVE_WOL_PATTERN:
    case OID_PM_ADD_PROTOCOL_OFFLOAD:
    case OID_PM_GET_PROTOCOL_OFFLOAD:
    case OID_PM_REMOVE_PROTOCOL_OFFLOAD:
        return TRUE;
    default:
        return FALSE;
    }
}

/*
 * MiniportOidRequest (`nc-ndis-miniport_oid_request.md`). Power first, for it is always answered
 * (IM-PWR-01); then nothing while asleep or standing by (IM-PWR-08); then what is ours; then below.
 */
NDIS_STATUS OidRequest(NDIS_HANDLE MiniportAdapterContext, PNDIS_OID_REQUEST OidRequest)
{
    MUX_VM *Vm = (MUX_VM *)MiniportAdapterContext;
    NDIS_OID Oid = OidRequest->DATA.QUERY_INFORMATION.Oid;
    NDIS_STATUS Status = NDIS_STATUS_NOT_RECOGNIZED;

    if (Vm->Gone)
    {
        return NDIS_STATUS_NOT_ACCEPTED;
    }
    if (Oid == OID_PNP_SET_POWER || Oid == OID_PNP_QUERY_POWER)
    {
        return SetPowerAnswer(Vm, OidRequest);
    }
    if (Vm->Power != NdisDeviceStateD0 || Vm->StandingBy)
    {
        return NDIS_STATUS_LOW_POWER_STATE;
    }
    switch (OidRequest->RequestType)
    {
    case NdisRequestQueryInformation:
    case NdisRequestQueryStatistics:
        Status = QueryAnswer(Vm, OidRequest);
        break;
    case NdisRequestSetInformation:
        Status = SetAnswer(Vm, OidRequest);
        break;
    case NdisRequestMethod:
        break;
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    if (Status != NDIS_STATUS_NOT_RECOGNIZED)
    {
        return Status;
    }
    if (OidDeclined(Oid) || (OidIsWakeUp(Oid) && !Vm->Binding->HavePm))
    {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    return ForwardRequest(Vm, OidRequest);
}

/*
 * MiniportCancelOidRequest (IM-OID-12): a queued request ends with NDIS_STATUS_REQUEST_ABORTED, a
 * forwarded one is cancelled below under the id of its clone. Anything else ends by itself soon.
 */
VOID OidCancel(NDIS_HANDLE MiniportAdapterContext, PVOID RequestId)
{
    MUX_VM *Vm = (MUX_VM *)MiniportAdapterContext;
    MUX_BINDING *Binding = Vm->Binding;
    BOOLEAN Abort = FALSE;
    PVOID CloneId = NULL;

    NdisAcquireSpinLock(&Mux.Lock);
    if (Vm->Oid.Original != NULL && Vm->Oid.Original->RequestId == RequestId)
    {
        Vm->Oid.Cancelled = TRUE;
        Abort = Vm->Oid.Place == MuxOidQueued;
        CloneId = Vm->Oid.Place == MuxOidForwarded ? Vm->Oid.CloneId : NULL;
        if (Abort)
        {
            Vm->Oid.Place = MuxOidNone; /* ForwardQueued does not find it any more */
        }
    }
    NdisReleaseSpinLock(&Mux.Lock);
    if (Abort)
    {
        OidFinish(Vm, NDIS_STATUS_REQUEST_ABORTED);
    }
    else if (CloneId != NULL && RundownEnter(&Binding->Requests, 1))
    {
        NdisCancelOidRequest(Binding->Handle, CloneId);
        RundownLeave(&Binding->Requests, 1);
    }
}
