/* SPDX-License-Identifier: MIT */
/*
 * ProtocolNetPnPEvent: pause and restart of a lower binding, power, reconfiguration, and what goes
 * on to the drivers above the virtual miniports (IM-EVT-01 to -13). PASSIVE_LEVEL; no lock across a
 * call.
 */
#include "mux.h"

/*
 * NetEventPause: no send begins on the binding any more; held ones are completed; returns when
 * those below have come back (IM-PST-03). Receives are dropped from now on (IM-PST-04).
 */
VOID BindingPause(MUX_BINDING *Binding)
{
    LOCK_STATE_EX State;

    NdisAcquireRWLockWrite(Binding->TableLock, &State, 0);
    Binding->Running = FALSE;
    NdisReleaseRWLock(Binding->TableLock, &State);
    HoldAbort(Binding, NULL, NULL, NDIS_STATUS_PAUSED);
    RundownShut(&Binding->Sends);
    RundownWait(&Binding->Sends);
    NdisAcquireSpinLock(&Mux.Lock);
    Binding->State = MuxBindingPaused;
    NdisReleaseSpinLock(&Mux.Lock);
}

/* New attributes of the lower adapter (IM-PST-06); NULL: unchanged. Each is a number by itself,
 * read without a lock. */
static VOID RestartLearn(MUX_BINDING *Binding, PNDIS_RESTART_ATTRIBUTES Attributes)
{
    for (; Attributes != NULL; Attributes = Attributes->Next)
    {
        const NDIS_RESTART_GENERAL_ATTRIBUTES *General =
            (const NDIS_RESTART_GENERAL_ATTRIBUTES *)Attributes->Data;

        if (Attributes->Oid != OID_GEN_MINIPORT_RESTART_ATTRIBUTES ||
            Attributes->DataLength < NDIS_SIZEOF_RESTART_GENERAL_ATTRIBUTES_REVISION_1)
        {
            continue;
        }
        WriteULongNoFence(&Binding->MtuSize, General->MtuSize);
        WriteULong64NoFence(&Binding->MaxXmitLinkSpeed, General->MaxXmitLinkSpeed);
        WriteULong64NoFence(&Binding->MaxRcvLinkSpeed, General->MaxRcvLinkSpeed);
        WriteULongNoFence(&Binding->LookaheadSize, General->LookaheadSize);
        WriteULongNoFence(&Binding->MacOptions, General->MacOptions);
        WriteULongNoFence(&Binding->SupportedPacketFilters, General->SupportedPacketFilters);
        WriteULongNoFence(&Binding->DataBackFill, General->DataBackFillSize);
        WriteULongNoFence(&Binding->ContextBackFill, General->ContextBackFillSize);
    }
}

/* NetEventRestart: sends may begin. Every NBL of before is back below, so SourceHandle is learnt
 * anew. */
NDIS_STATUS BindingRestart(MUX_BINDING *Binding, PNDIS_PROTOCOL_RESTART_PARAMETERS Parameters)
{
    LOCK_STATE_EX State;

    if (Parameters != NULL)
    {
        RestartLearn(Binding, Parameters->RestartAttributes);
    }
    RundownOpen(&Binding->Sends);
    NdisAcquireRWLockWrite(Binding->TableLock, &State, 0);
    Binding->InsertTag = (Binding->MacOptions & NDIS_MAC_OPTION_8021Q_VLAN) == 0;
    Binding->LowerSource = NULL;
    Binding->Running = TRUE;
    NdisReleaseRWLock(Binding->TableLock, &State);
    NdisAcquireSpinLock(&Mux.Lock);
    Binding->State = MuxBindingRunning;
    NdisReleaseSpinLock(&Mux.Lock);
    FilterKick(Binding, TRUE);
    return NDIS_STATUS_SUCCESS;
}

/*
 * Raises the event on every virtual miniport of the binding (IM-EVT-04). Veto: stops at the first
 * failure and returns it. No request of ours may be pended on a virtual miniport meanwhile
 * (IM-OID-10).
 */
static NDIS_STATUS EventPropagate(MUX_BINDING *Binding, PNET_PNP_EVENT_NOTIFICATION Event,
                                  BOOLEAN Veto)
{
    NDIS_STATUS Result = NDIS_STATUS_SUCCESS;
    MUX_VM *Vm;

    for (Vm = NameFirstVm(Binding); Vm != NULL; Vm = NameNextVm(Vm))
    {
        NET_PNP_EVENT_NOTIFICATION Copy = *Event;
        NDIS_STATUS Status;

        OidWaitIdle(Vm);
        Copy.PortNumber = NDIS_DEFAULT_PORT_NUMBER;
        Status = NdisMNetPnPEvent(Vm->Handle, &Copy);
        if (Status == NDIS_STATUS_SUCCESS)
        {
            continue;
        }
        if (Result == NDIS_STATUS_SUCCESS)
        {
            Result = Status;
        }
        if (Veto)
        {
            RundownLeave(&Vm->Use, 1);
            break;
        }
    }
    return Result;
}

/* The lower adapter's power as its protocol edge sees it. */
static VOID EventPowerApply(MUX_BINDING *Binding, NDIS_DEVICE_POWER_STATE Power)
{
    LOCK_STATE_EX State;
    MUX_VM *Vm;

    if (Power != NdisDeviceStateD0)
    {
        ForwardHold(Binding);
    }
    NdisAcquireRWLockWrite(Binding->TableLock, &State, 0);
    Binding->Power = Power;
    NdisReleaseRWLock(Binding->TableLock, &State);
    VmStandBy(Binding, Power != NdisDeviceStateD0);
    if (Power != NdisDeviceStateD0)
    {
        HoldAbort(Binding, NULL, NULL, NDIS_STATUS_LOW_POWER_STATE);
        return;
    }
    ForwardQueued(Binding);
    FilterKick(Binding, TRUE);
    for (Vm = NameFirstVm(Binding); Vm != NULL; Vm = NameNextVm(Vm))
    {
        StatusLink(Vm); /* what changed while nothing could be said */
    }
}

/*
 * NetEventSetPower: to D0, ours first; away from it, the drivers above first (IM-EVT-06).
 * NDIS 6.30: what is under way below is not waited for (IM-PWR-10). Always a success.
 */
static NDIS_STATUS EventSetPower(MUX_BINDING *Binding, PNET_PNP_EVENT_NOTIFICATION Event)
{
    NDIS_DEVICE_POWER_STATE Power = NdisDeviceStateD0;

    if (Event->NetPnPEvent.Buffer != NULL &&
        Event->NetPnPEvent.BufferLength >= sizeof(NET_DEVICE_POWER_STATE))
    {
        NdisMoveMemory(&Power, Event->NetPnPEvent.Buffer, sizeof(Power));
    }
    if (Power == NdisDeviceStateD0)
    {
        EventPowerApply(Binding, Power);
        (VOID) EventPropagate(Binding, Event, FALSE);
    }
    else
    {
        (VOID) EventPropagate(Binding, Event, FALSE);
        EventPowerApply(Binding, Power);
    }
    return NDIS_STATUS_SUCCESS;
}

/* NetEventIMReEnableDevice: the buffer is an NDIS_STRING with the device's name (IM-EVT-11, -12).
 */
static NDIS_STATUS EventReEnable(PNET_PNP_EVENT_NOTIFICATION Event)
{
    PNDIS_STRING Device = (PNDIS_STRING)Event->NetPnPEvent.Buffer;

    if (Device != NULL && Event->NetPnPEvent.BufferLength >= sizeof(*Device) &&
        Device->Buffer != NULL && Device->Length <= MUX_MAX_NAME_BYTES)
    {
        (VOID) NameRequestDevice(Device);
    }
    return NDIS_STATUS_SUCCESS;
}

/*
 * NetEventReconfigure: our list of virtual miniports may have changed. Without a binding: look for
 * adapters that came, then re-read every list (IM-VMP-21). The data is nobody's we know; it is not
 * used (IM-EVT-07).
 */
static NDIS_STATUS EventReconfigure(MUX_BINDING *Binding, PNET_PNP_EVENT_NOTIFICATION Event)
{
    if (Binding == NULL)
    {
        NdisReEnumerateProtocolBindings(Mux.Protocol);
        ListUpdateAll();
        return NDIS_STATUS_SUCCESS;
    }
    ListUpdate(Binding);
    (VOID) EventPropagate(Binding, Event, FALSE);
    return NDIS_STATUS_SUCCESS;
}

/* Events of one binding. */
static NDIS_STATUS EventOfBinding(MUX_BINDING *Binding, PNET_PNP_EVENT_NOTIFICATION Event)
{
    switch (Event->NetPnPEvent.NetEvent)
    {
    case NetEventPause:
        BindingPause(Binding);
        return NDIS_STATUS_SUCCESS;
    case NetEventRestart:
        return BindingRestart(Binding,
                              (PNDIS_PROTOCOL_RESTART_PARAMETERS)Event->NetPnPEvent.Buffer);
    case NetEventSetPower:
        return EventSetPower(Binding, Event);
    case NetEventQueryPower:
    case NetEventQueryRemoveDevice:
        return EventPropagate(Binding, Event, TRUE); /* a veto above is ours (IM-EVT-05) */
    case NetEventReconfigure:
        return EventReconfigure(Binding, Event);
    case NetEventBindList:
    case NetEventCancelRemoveDevice:
    case NetEventPnPCapabilities:
        /* Cannot fail below (IM-EVT-02), whatever the drivers above say. */
        (VOID) EventPropagate(Binding, Event, FALSE);
        return NDIS_STATUS_SUCCESS;
    default:
        /* BindsComplete, ports, and what concerns the NIC's own edges: not propagated (IM-EVT-08).
         */
        return NDIS_STATUS_SUCCESS;
    }
}

/*
 * ProtocolNetPnPEvent (`nc-ndis-protocol_net_pnp_event.md`). Only NetEventQueryPower and
 * NetEventQueryRemoveDevice may fail, with the status of a driver above; never pends.
 */
NDIS_STATUS EventNotify(NDIS_HANDLE ProtocolBindingContext,
                        PNET_PNP_EVENT_NOTIFICATION NetPnPEventNotification)
{
    MUX_BINDING *Binding = (MUX_BINDING *)ProtocolBindingContext;

    if (NetPnPEventNotification->NetPnPEvent.NetEvent == NetEventIMReEnableDevice)
    {
        return EventReEnable(NetPnPEventNotification);
    }
    if (Binding != NULL)
    {
        return EventOfBinding(Binding, NetPnPEventNotification);
    }
    if (NetPnPEventNotification->NetPnPEvent.NetEvent == NetEventReconfigure)
    {
        return EventReconfigure(NULL, NetPnPEventNotification);
    }
    return NDIS_STATUS_SUCCESS;
}
