/* SPDX-License-Identifier: MIT */
/*
 * Requests passed down: by clone, under an id of our own (IM-OID-05, open question 29), completed
 * upward with the results copied back; queued while the lower adapter sleeps or resets; later
 * statuses that belong to them re-addressed. Mux.Lock guards MUX_VM.Oid and Promise. PASSIVE_LEVEL,
 * completions <= DISPATCH.
 */
#include "mux.h"

/* The clone's SourceReserved says whose it is. */
static MUX_VM *ForwardOwner(PNDIS_OID_REQUEST Clone)
{
    MUX_VM *Vm;

    NdisMoveMemory(&Vm, Clone->SourceReserved, sizeof(Vm));
    return Vm;
}

/* Copies what the lower driver wrote (IM-OID-07). */
static VOID ForwardCopyBack(PNDIS_OID_REQUEST To, const NDIS_OID_REQUEST *From)
{
    switch (From->RequestType)
    {
    case NdisRequestMethod:
        To->DATA.METHOD_INFORMATION.OutputBufferLength =
            From->DATA.METHOD_INFORMATION.OutputBufferLength;
        To->DATA.METHOD_INFORMATION.BytesRead = From->DATA.METHOD_INFORMATION.BytesRead;
        To->DATA.METHOD_INFORMATION.BytesWritten = From->DATA.METHOD_INFORMATION.BytesWritten;
        To->DATA.METHOD_INFORMATION.BytesNeeded = From->DATA.METHOD_INFORMATION.BytesNeeded;
        break;
    case NdisRequestSetInformation:
        To->DATA.SET_INFORMATION.BytesRead = From->DATA.SET_INFORMATION.BytesRead;
        To->DATA.SET_INFORMATION.BytesNeeded = From->DATA.SET_INFORMATION.BytesNeeded;
        break;
    default:
        To->DATA.QUERY_INFORMATION.BytesWritten = From->DATA.QUERY_INFORMATION.BytesWritten;
        To->DATA.QUERY_INFORMATION.BytesNeeded = From->DATA.QUERY_INFORMATION.BytesNeeded;
        break;
    }
    To->SupportedRevision = From->SupportedRevision;
}

/* A clone is done: frees it, finishes the original with the same status. */
static VOID ForwardComplete(MUX_BINDING *Binding, PNDIS_OID_REQUEST Clone, NDIS_STATUS Status)
{
    MUX_VM *Vm = ForwardOwner(Clone);
    PNDIS_OID_REQUEST Original;

    NdisAcquireSpinLock(&Mux.Lock);
    Original = Vm->Oid.Original;
    if (Status == NDIS_STATUS_INDICATION_REQUIRED)
    {
        MUX_PROMISE *Promise = &Vm->Promise[Vm->NextPromise++ % MUX_MAX_INDICATIONS];

        Promise->CloneId = Clone->RequestId;
        Promise->RequestId = Original->RequestId;
        Promise->RequestHandle = Original->RequestHandle;
    }
    NdisReleaseSpinLock(&Mux.Lock);
    ForwardCopyBack(Original, Clone);
    NdisFreeCloneOidRequest(Binding->Handle, Clone);
    RundownLeave(&Binding->Requests, 1);
    OidFinish(Vm, Status);
}

/* Sends the pended request of Vm below. It is finished here or later in every case. */
static VOID ForwardStart(MUX_VM *Vm)
{
    MUX_BINDING *Binding = Vm->Binding;
    NDIS_STATUS Status = NDIS_STATUS_CLOSING;
    PNDIS_OID_REQUEST Clone = NULL;
    BOOLEAN Cancelled;
    PVOID CloneId;

    if (!RundownEnter(&Binding->Requests, 2)) /* for the clone and for this function */
    {
        OidFinish(Vm, Status);
        return;
    }
    Status = NdisAllocateCloneOidRequest(Binding->Handle, Vm->Oid.Original, MUX_TAG_OID, &Clone);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        RundownLeave(&Binding->Requests, 2);
        OidFinish(Vm, Status);
        return;
    }
    RundownAdd(&Vm->Use, 1); /* the request may be finished before the call returns */
    CloneId = ULongToPtr((ULONG)InterlockedIncrement(&Mux.NextRequestId) | 0x40000000u);
    NdisMoveMemory(Clone->SourceReserved, &Vm, sizeof(Vm));
    Clone->RequestId = CloneId;
    NdisAcquireSpinLock(&Mux.Lock);
    Vm->Oid.CloneId = CloneId;
    NdisReleaseSpinLock(&Mux.Lock);
    Status = NdisOidRequest(Binding->Handle, Clone);
    if (Status != NDIS_STATUS_PENDING)
    {
        ForwardComplete(Binding, Clone, Status);
    }
    else
    {
        NdisAcquireSpinLock(&Mux.Lock);
        Cancelled = Vm->Oid.CloneId == CloneId && Vm->Oid.Cancelled;
        NdisReleaseSpinLock(&Mux.Lock);
        if (Cancelled) /* perhaps before the clone could be found below */
        {
            NdisCancelOidRequest(Binding->Handle, CloneId);
        }
    }
    RundownLeave(&Vm->Use, 1);
    RundownLeave(&Binding->Requests, 1);
}

/* Passes a request down, now or when the lower adapter can take it: NDIS_STATUS_PENDING.
 * LOW_POWER_STATE if it would have to wait for D0 while the virtual miniport is paused, FAILURE if
 * that is going. PASSIVE_LEVEL. */
NDIS_STATUS ForwardRequest(MUX_VM *Vm, PNDIS_OID_REQUEST Request)
{
    switch (OidPend(Vm, Request, MuxOidForwarded))
    {
    case MuxOidNone:
        return Vm->Binding->Power != NdisDeviceStateD0 ? NDIS_STATUS_LOW_POWER_STATE
                                                       : NDIS_STATUS_FAILURE;
    case MuxOidForwarded:
        ForwardStart(Vm);
        return NDIS_STATUS_PENDING;
    default: /* queued: ForwardQueued starts it */
        return NDIS_STATUS_PENDING;
    }
}

/* The lower adapter leaves D0 or begins a reset: requests for it are queued from now on. <=
 * DISPATCH. */
VOID ForwardHold(MUX_BINDING *Binding)
{
    NdisAcquireSpinLock(&Mux.Lock);
    Binding->OidHold = TRUE;
    NdisReleaseSpinLock(&Mux.Lock);
}

/* It is back: starts the queued requests (IM-PWR-08), one per virtual miniport at most. <=
 * DISPATCH_LEVEL. */
VOID ForwardQueued(MUX_BINDING *Binding)
{
    MUX_VM *Vm;

    NdisAcquireSpinLock(&Mux.Lock);
    Binding->OidHold = FALSE;
    NdisReleaseSpinLock(&Mux.Lock);
    for (Vm = NameFirstVm(Binding); Vm != NULL; Vm = NameNextVm(Vm))
    {
        BOOLEAN Start;

        NdisAcquireSpinLock(&Mux.Lock);
        Start = Vm->Oid.Place == MuxOidQueued;
        if (Start)
        {
            Vm->Oid.Place = MuxOidForwarded;
        }
        NdisReleaseSpinLock(&Mux.Lock);
        if (Start)
        {
            ForwardStart(Vm);
        }
    }
}

/* ProtocolOidRequestComplete (IM-OID-03): a clone, or the filter engine's own request. <= DISPATCH.
 */
VOID OidRequestComplete(NDIS_HANDLE ProtocolBindingContext, PNDIS_OID_REQUEST OidRequest,
                        NDIS_STATUS Status)
{
    MUX_BINDING *Binding = (MUX_BINDING *)ProtocolBindingContext;

    if (OidRequest == &Binding->Filter.Request)
    {
        FilterComplete(Binding, Status);
    }
    else
    {
        ForwardComplete(Binding, OidRequest, Status);
    }
}

/* Whether Vm asked for the status that carries Id; *Promise is to whom it goes. */
static BOOLEAN ForwardPromised(MUX_VM *Vm, PVOID Id, MUX_PROMISE *Promise)
{
    BOOLEAN Found = FALSE;
    ULONG i;

    NdisAcquireSpinLock(&Mux.Lock);
    if (Vm->Oid.Original != NULL && Vm->Oid.CloneId == Id)
    {
        Promise->RequestId = Vm->Oid.Original->RequestId;
        Promise->RequestHandle = Vm->Oid.Original->RequestHandle;
        Found = TRUE;
    }
    for (i = 0; i < MUX_MAX_INDICATIONS && !Found; i++)
    {
        if (Vm->Promise[i].CloneId == Id)
        {
            *Promise = Vm->Promise[i];
            Found = TRUE;
        }
    }
    NdisReleaseSpinLock(&Mux.Lock);
    return Found;
}

/*
 * A status that answers a request of ours goes to the virtual miniport that made it, addressed as
 * its originator expects (IM-OID-21, IM-STS-03). FALSE: it answers no request. <= DISPATCH_LEVEL.
 */
BOOLEAN ForwardStatus(MUX_BINDING *Binding, PNDIS_STATUS_INDICATION Status)
{
    MUX_VM *Vm;

    if (Status->RequestId == NULL)
    {
        return FALSE;
    }
    for (Vm = NameFirstVm(Binding); Vm != NULL; Vm = NameNextVm(Vm))
    {
        MUX_PROMISE Promise;

        if (ForwardPromised(Vm, Status->RequestId, &Promise))
        {
            NDIS_STATUS_INDICATION Copy = *Status;

            Copy.SourceHandle = Vm->Handle;
            Copy.DestinationHandle = Promise.RequestHandle;
            Copy.RequestId = Promise.RequestId;
            NdisMIndicateStatusEx(Vm->Handle, &Copy);
            RundownLeave(&Vm->Use, 1);
            break;
        }
    }
    return TRUE;
}
