/* SPDX-License-Identifier: MIT */
/*
 * Status indications from below, and what each virtual miniport is told (IM-STS-01 to -06). Link
 * state and offloads are kept per binding and indicated when they change; a status that answers a
 * request goes to whoever asked; what describes the NIC alone stays here. <= DISPATCH_LEVEL;
 * Mux.Lock guards the copies.
 */
#include "mux.h"

/* Whether statuses may be indicated on Vm: both adapters in D0 (IM-PWR-09). */
static BOOLEAN StatusAllowed(const MUX_VM *Vm)
{
    return Vm->Power == NdisDeviceStateD0 && Vm->Binding->Power == NdisDeviceStateD0 && !Vm->Gone;
}

static VOID StatusIndicate(MUX_VM *Vm, NDIS_STATUS Code, PVOID Buffer, ULONG Size)
{
    NDIS_STATUS_INDICATION Status;

    NdisZeroMemory(&Status, sizeof(Status));
    Status.Header.Type = NDIS_OBJECT_TYPE_STATUS_INDICATION;
    Status.Header.Revision = NDIS_STATUS_INDICATION_REVISION_1;
    Status.Header.Size = NDIS_SIZEOF_STATUS_INDICATION_REVISION_1;
    Status.SourceHandle = Vm->Handle;
    Status.PortNumber = NDIS_DEFAULT_PORT_NUMBER;
    Status.StatusCode = Code;
    Status.StatusBuffer = Buffer;
    Status.StatusBufferSize = Size;
    NdisMIndicateStatusEx(Vm->Handle, &Status);
}

/* Indicates the binding's link state on Vm if it is another one than Vm indicated last (IM-STS-05).
 * The caller has entered Vm->Use. */
VOID StatusLink(MUX_VM *Vm)
{
    NDIS_LINK_STATE Link;
    BOOLEAN Changed;

    if (!StatusAllowed(Vm))
    {
        return; /* the next one comes with D0 */
    }
    NdisAcquireSpinLock(&Mux.Lock);
    Link = Vm->Binding->LinkState;
    Changed = Link.MediaConnectState != Vm->LinkState.MediaConnectState ||
              Link.MediaDuplexState != Vm->LinkState.MediaDuplexState ||
              Link.XmitLinkSpeed != Vm->LinkState.XmitLinkSpeed ||
              Link.RcvLinkSpeed != Vm->LinkState.RcvLinkSpeed;
    Vm->LinkState = Link;
    NdisReleaseSpinLock(&Mux.Lock);
    if (Changed)
    {
        StatusIndicate(Vm, NDIS_STATUS_LINK_STATE, &Link, NDIS_SIZEOF_LINK_STATE_REVISION_1);
    }
}

/* Indicates the offloads that Vm has now. */
VOID StatusOffload(MUX_VM *Vm, NDIS_STATUS Code)
{
    NDIS_OFFLOAD Offload;

    if (!StatusAllowed(Vm))
    {
        return;
    }
    NdisAcquireSpinLock(&Mux.Lock);
    Offload =
        Code == NDIS_STATUS_TASK_OFFLOAD_HARDWARE_CAPABILITIES ? Vm->Binding->Offload : Vm->Offload;
    NdisReleaseSpinLock(&Mux.Lock);
    StatusIndicate(Vm, Code, &Offload, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3);
}

static VOID StatusLinkState(MUX_BINDING *Binding, PNDIS_STATUS_INDICATION Status)
{
    MUX_VM *Vm;

    if (Status->StatusBufferSize < NDIS_SIZEOF_LINK_STATE_REVISION_1)
    {
        return;
    }
    NdisAcquireSpinLock(&Mux.Lock);
    NdisMoveMemory(&Binding->LinkState, Status->StatusBuffer, NDIS_SIZEOF_LINK_STATE_REVISION_1);
    Binding->LinkState.Header.Revision = NDIS_LINK_STATE_REVISION_1;
    Binding->LinkState.Header.Size = NDIS_SIZEOF_LINK_STATE_REVISION_1;
    Binding->LinkState.PauseFunctions = NdisPauseFunctionsUnsupported;
    NdisReleaseSpinLock(&Mux.Lock);
    for (Vm = NameFirstVm(Binding); Vm != NULL; Vm = NameNextVm(Vm))
    {
        StatusLink(Vm);
    }
}

/* The NIC's offloads have changed: every virtual miniport starts from the new ones (IM-STS-06). */
static VOID StatusOffloadChange(MUX_BINDING *Binding, PNDIS_STATUS_INDICATION Status)
{
    NDIS_OFFLOAD Offload;
    MUX_VM *Vm;

    if (!Binding->HaveOffload || Status->StatusBufferSize < NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1)
    {
        return; /* none were offered, so none are in use */
    }
    OffloadFromLower(&Offload, (const NDIS_OFFLOAD *)Status->StatusBuffer,
                     Status->StatusBufferSize);
    NdisAcquireSpinLock(&Mux.Lock);
    Binding->Offload = Offload;
    NdisReleaseSpinLock(&Mux.Lock);
    for (Vm = NameFirstVm(Binding); Vm != NULL; Vm = NameNextVm(Vm))
    {
        NdisAcquireSpinLock(&Mux.Lock);
        Vm->Offload = Offload;
        NdisReleaseSpinLock(&Mux.Lock);
        StatusOffload(Vm, NDIS_STATUS_TASK_OFFLOAD_HARDWARE_CAPABILITIES);
        StatusOffload(Vm, NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG);
    }
}

/* Anything that is not about the NIC alone goes up as it is, on each virtual miniport. */
static VOID StatusPass(MUX_BINDING *Binding, PNDIS_STATUS_INDICATION Status)
{
    MUX_VM *Vm;

    for (Vm = NameFirstVm(Binding); Vm != NULL; Vm = NameNextVm(Vm))
    {
        if (StatusAllowed(Vm))
        {
            StatusIndicate(Vm, Status->StatusCode, Status->StatusBuffer, Status->StatusBufferSize);
        }
    }
}

/* NDIS_STATUS_RESET_START and _END: sends and requests wait in between (IM-RST-04, -05); they are
 * never passed on (IM-STS-04). */
static VOID StatusReset(MUX_BINDING *Binding, BOOLEAN Start)
{
    if (Start)
    {
        ForwardHold(Binding);
        HoldBegin(Binding);
        return;
    }
    HoldRelease(Binding);
    if (Binding->Power == NdisDeviceStateD0)
    {
        ForwardQueued(Binding);
        FilterKick(Binding, TRUE);
    }
}

/* ProtocolStatusEx (`nc-ndis-protocol_status_ex.md`). */
VOID StatusReceive(NDIS_HANDLE ProtocolBindingContext, PNDIS_STATUS_INDICATION StatusIndication)
{
    MUX_BINDING *Binding = (MUX_BINDING *)ProtocolBindingContext;

    switch (StatusIndication->StatusCode)
    {
    case NDIS_STATUS_LINK_STATE:
        StatusLinkState(Binding, StatusIndication);
        break;
    case NDIS_STATUS_RESET_START:
        StatusReset(Binding, TRUE);
        break;
    case NDIS_STATUS_RESET_END:
        StatusReset(Binding, FALSE);
        break;
    case NDIS_STATUS_TASK_OFFLOAD_HARDWARE_CAPABILITIES:
    case NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG:
        StatusOffloadChange(Binding, StatusIndication);
        break;
    case NDIS_STATUS_OPER_STATUS:
    case NDIS_STATUS_PORT_STATE:
    case NDIS_STATUS_PM_HARDWARE_CAPABILITIES:
    case NDIS_STATUS_PM_CAPABILITIES_CHANGE:
    case NDIS_STATUS_RECEIVE_FILTER_HARDWARE_CAPABILITIES:
    case NDIS_STATUS_RECEIVE_FILTER_CURRENT_CAPABILITIES:
    case NDIS_STATUS_RECEIVE_FILTER_QUEUE_PARAMETERS:
    case NDIS_STATUS_RECEIVE_FILTER_QUEUE_STATE_CHANGE:
    case NDIS_STATUS_NIC_SWITCH_HARDWARE_CAPABILITIES:
    case NDIS_STATUS_NIC_SWITCH_CURRENT_CAPABILITIES:
    case NDIS_STATUS_TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES:
    case NDIS_STATUS_OFFLOAD_PAUSE:
    case NDIS_STATUS_OFFLOAD_RESUME:
        break; /* NDIS makes its own, or we offer nothing of the kind */
    default:
        if (!ForwardStatus(Binding, StatusIndication))
        {
            StatusPass(Binding, StatusIndication);
        }
        break;
    }
}
