/* SPDX-License-Identifier: MIT */
/*
 * Pause, restart, status indications. Owns TAP_BINDING.State.
 *
 *   Paused --restart--> Running --pause, nothing out--> Paused
 *                       Running --pause--> Pausing --last send or ready routine ends--> Paused
 */
#include "tap.h"

/* Under the mutex, because a worker ends the watch of an interface that was deleted. */
static void Listen(TAP_BINDING *Binding, ULONG Events)
{
    KeWaitForSingleObject(&Binding->TapMutex, Executive, KernelMode, FALSE, NULL);
    if (Binding->Watch)
        UmhSetEvents(Binding->Watch, Events);
    KeReleaseMutex(&Binding->TapMutex, FALSE);
}

/* Waits rather than pends: NdisCompleteNetPnPEvent is for PASSIVE_LEVEL, sends end at DISPATCH. */
static void Pause(TAP_BINDING *Binding)
{
    KIRQL Irql;

    KeClearEvent(&Binding->Quiet);
    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Binding->State = TapPausing;
    Binding->Active++; /* this call's */
    KeReleaseSpinLock(&Binding->Lock, Irql);
    Listen(Binding, 0);
    PoolUnwait(Binding);

    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Binding->Active--;
    BindingQuiet(Binding);
    KeReleaseSpinLock(&Binding->Lock, Irql);
    KeWaitForSingleObject(&Binding->Quiet, Executive, KernelMode, FALSE, NULL);
    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Binding->State = TapPaused;
    KeReleaseSpinLock(&Binding->Lock, Irql);
}

/* Somebody deleted the interface; a restart is a good time for a new one. */
static void Revive(TAP_BINDING *Binding)
{
    KIRQL Irql;

    KeWaitForSingleObject(&Binding->TapMutex, Executive, KernelMode, FALSE, NULL);
    BindingCloseTap(Binding);
    if (BindingOpenTap(Binding) == NDIS_STATUS_SUCCESS)
    {
        KeAcquireSpinLock(&Binding->Lock, &Irql);
        Binding->Gone = FALSE;
        KeReleaseSpinLock(&Binding->Lock, Irql);
    }
    KeReleaseMutex(&Binding->TapMutex, FALSE);
}

static void Restart(TAP_BINDING *Binding, NDIS_PROTOCOL_RESTART_PARAMETERS *Parameters)
{
    BOOLEAN Gone;
    KIRQL Irql;

    KeAcquireSpinLock(&Binding->Lock, &Irql);
    for (NDIS_RESTART_ATTRIBUTES *A = Parameters ? Parameters->RestartAttributes : NULL; A;
         A = A->Next)
        if (A->Oid == OID_GEN_MINIPORT_RESTART_ATTRIBUTES &&
            A->DataLength >= NDIS_SIZEOF_RESTART_GENERAL_ATTRIBUTES_REVISION_1)
            Binding->Mtu = ((NDIS_RESTART_GENERAL_ATTRIBUTES *)A->Data)->MtuSize;
    Gone = Binding->Gone;
    KeReleaseSpinLock(&Binding->Lock, Irql);
    if (Gone)
        Revive(Binding);
    SyncNow(Binding);

    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Binding->State = TapRunning;
    KeReleaseSpinLock(&Binding->Lock, Irql);
    Listen(Binding, UMH_READ);
}

NDIS_STATUS NTAPI TapNetPnpEvent(NDIS_HANDLE BindingContext,
                                 NET_PNP_EVENT_NOTIFICATION *Notification)
{
    TAP_BINDING *Binding = BindingContext;

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

void NTAPI TapStatus(NDIS_HANDLE BindingContext, NDIS_STATUS_INDICATION *Indication)
{
    TAP_BINDING *Binding = BindingContext;
    BOOLEAN Changed = TRUE;
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
    case NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG:
        Binding->Offload = SyncOffload(Indication->StatusBuffer, Indication->StatusBufferSize);
        break;
    default:
        Changed = FALSE;
        break;
    }
    KeReleaseSpinLock(&Binding->Lock, Irql);
    if (Changed)
        SyncQueue(Binding);
}
