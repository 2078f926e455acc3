/* SPDX-License-Identifier: MIT */
/*
 * States of a virtual miniport: pause, restart, power, removal, shutdown, and the word that counts
 * what it has out. The flags change under the binding's TableLock held for write (V1 in mux.h).
 */
#include "path.h"

/* VmOut while Vm pauses or sleeps: completes a pause that the last item held up, a set power that
 * the last send or indication held up. */
VOID VmOutSlow(MUX_VM *Vm, LONG64 Old, LONG64 New)
{
    NDIS_HANDLE Handle = Vm->Handle;

    if ((New & MUX_OUT_ASLEEP) != 0 && (New & MUX_OUT_BUSY_MASK) == 0 &&
        (Old & MUX_OUT_BUSY_MASK) != 0)
    {
        OidFinish(Vm, NDIS_STATUS_SUCCESS);
    }
    if ((New & MUX_OUT_PAUSED) != 0 && (New & MUX_OUT_MASK) == 0)
    {
        NdisMPauseComplete(Handle);
    }
}

/* The flags that forbid traffic, in one. TableLock held for write. */
VOID VmOpenChanged(MUX_VM *Vm)
{
    Vm->Open = Vm->Running && !Vm->Gone && Vm->Power == NdisDeviceStateD0;
}

/*
 * MiniportPause (`nc-ndis-miniport_pause.md`, IM-MST-03, -04, -05): no send and no indication
 * begins any more; held sends are completed now; NDIS_STATUS_PENDING while NBLs are out. Cannot
 * fail. PASSIVE_LEVEL.
 */
NDIS_STATUS VmPause(NDIS_HANDLE MiniportAdapterContext,
                    PNDIS_MINIPORT_PAUSE_PARAMETERS PauseParameters)
{
    MUX_VM *Vm = (MUX_VM *)MiniportAdapterContext;
    LOCK_STATE_EX State;
    LONG64 Old;

    UNREFERENCED_PARAMETER(PauseParameters);
    NdisAcquireRWLockWrite(Vm->Binding->TableLock, &State, 0);
    WriteBooleanNoFence(&Vm->Running, FALSE); /* OidPend reads it under Mux.Lock */
    VmOpenChanged(Vm);
    NdisReleaseRWLock(Vm->Binding->TableLock, &State);
    HoldAbort(Vm->Binding, Vm, NULL, NDIS_STATUS_PAUSED);
    OidAbortQueued(Vm);
    Old = InterlockedOr64(&Vm->Out, MUX_OUT_PAUSED);
    return (Old & MUX_OUT_MASK) != 0 ? NDIS_STATUS_PENDING : NDIS_STATUS_SUCCESS;
}

/* The general attributes that follow the lower adapter, if NDIS lets us change them (IM-MST-10,
 * PST-06). */
static VOID VmRestartAttributes(MUX_VM *Vm, PNDIS_RESTART_ATTRIBUTES Attributes)
{
    for (; Attributes != NULL; Attributes = Attributes->Next)
    {
        PNDIS_RESTART_GENERAL_ATTRIBUTES General =
            (PNDIS_RESTART_GENERAL_ATTRIBUTES)Attributes->Data;

        if (Attributes->Oid != OID_GEN_MINIPORT_RESTART_ATTRIBUTES ||
            Attributes->DataLength < NDIS_SIZEOF_RESTART_GENERAL_ATTRIBUTES_REVISION_1)
        {
            continue;
        }
        General->MtuSize = ReadULongNoFence(&Vm->Binding->MtuSize);
        General->MaxXmitLinkSpeed = ReadULong64NoFence(&Vm->Binding->MaxXmitLinkSpeed);
        General->MaxRcvLinkSpeed = ReadULong64NoFence(&Vm->Binding->MaxRcvLinkSpeed);
        General->LookaheadSize = ReadULongNoFence(&Vm->Binding->LookaheadSize);
        General->DataBackFillSize = ReadULongNoFence(&Vm->Binding->DataBackFill);
        General->ContextBackFillSize =
            ReadULongNoFence(&Vm->Binding->ContextBackFill) + sizeof(MUX_SEND);
    }
}

/* MiniportRestart (`nc-ndis-miniport_restart.md`, IM-MST-09): traffic may begin. Never fails.
 * PASSIVE_LEVEL. */
NDIS_STATUS VmRestart(NDIS_HANDLE MiniportAdapterContext,
                      PNDIS_MINIPORT_RESTART_PARAMETERS RestartParameters)
{
    MUX_VM *Vm = (MUX_VM *)MiniportAdapterContext;
    LOCK_STATE_EX State;

    if (RestartParameters != NULL)
    {
        VmRestartAttributes(Vm, RestartParameters->RestartAttributes);
    }
    (VOID) InterlockedAnd64(&Vm->Out, ~MUX_OUT_PAUSED);
    NdisAcquireRWLockWrite(Vm->Binding->TableLock, &State, 0);
    WriteBooleanNoFence(&Vm->Running, TRUE);
    VmOpenChanged(Vm);
    NdisReleaseRWLock(Vm->Binding->TableLock, &State);
    return NDIS_STATUS_SUCCESS;
}

/*
 * OID_PNP_SET_POWER of a virtual miniport. Going to sleep: refuses traffic from now on, completes
 * held sends with NDIS_STATUS_LOW_POWER_STATE and returns FALSE while sends or indications are
 * under way: VmOut then finishes the request, which the caller has pended (IM-PWR-06, -07, -09).
 * Receives that are out are not waited for (NDIS 6.30). Waking, or nothing under way: TRUE.
 * PASSIVE_LEVEL.
 */
BOOLEAN VmSleep(MUX_VM *Vm, NDIS_DEVICE_POWER_STATE Power)
{
    LOCK_STATE_EX State;
    LONG64 Old;

    if (Power == NdisDeviceStateD0)
    {
        (VOID) InterlockedAnd64(&Vm->Out, ~MUX_OUT_ASLEEP);
    }
    NdisAcquireRWLockWrite(Vm->Binding->TableLock, &State, 0);
    Vm->Power = Power;
    VmOpenChanged(Vm);
    Vm->StandingBy = Power != NdisDeviceStateD0;
    NdisReleaseRWLock(Vm->Binding->TableLock, &State);
    if (Power == NdisDeviceStateD0)
    {
        return TRUE;
    }
    HoldAbort(Vm->Binding, Vm, NULL, NDIS_STATUS_LOW_POWER_STATE);
    Old = InterlockedOr64(&Vm->Out, MUX_OUT_ASLEEP);
    return (Old & MUX_OUT_BUSY_MASK) == 0;
}

/* The lower adapter has left D0 or come back: StandingBy of everyone above it (IM-PWR-06, -13). */
VOID VmStandBy(MUX_BINDING *Binding, BOOLEAN StandingBy)
{
    LOCK_STATE_EX State;
    ULONG i;

    NdisAcquireRWLockWrite(Binding->TableLock, &State, 0);
    for (i = 0; Binding->Table != NULL && i < Binding->Table->Count; i++)
    {
        Binding->Table->ByVlan[i]->StandingBy = StandingBy;
    }
    NdisReleaseRWLock(Binding->TableLock, &State);
}

/* MiniportDevicePnPEventNotify: after a surprise removal everything is refused (IM-PNP-10).
 * PASSIVE_LEVEL. */
VOID VmPnPEvent(NDIS_HANDLE MiniportAdapterContext, PNET_DEVICE_PNP_EVENT NetDevicePnPEvent)
{
    MUX_VM *Vm = (MUX_VM *)MiniportAdapterContext;
    LOCK_STATE_EX State;

    if (NetDevicePnPEvent->DevicePnPEvent == NdisDevicePnPEventSurpriseRemoved)
    {
        NdisAcquireRWLockWrite(Vm->Binding->TableLock, &State, 0);
        Vm->Gone = TRUE;
        VmOpenChanged(Vm);
        NdisReleaseRWLock(Vm->Binding->TableLock, &State);
        HoldAbort(Vm->Binding, Vm, NULL, NDIS_STATUS_NOT_ACCEPTED);
    }
}

/*
 * MiniportShutdownEx (IM-MST-13): there is no hardware to silence. A bug check comes at any IRQL,
 * and only to drivers that asked for it, which we do not: nothing is touched then. Otherwise
 * traffic stops.
 */
VOID VmShutdown(NDIS_HANDLE MiniportAdapterContext, NDIS_SHUTDOWN_ACTION ShutdownAction)
{
    MUX_VM *Vm = (MUX_VM *)MiniportAdapterContext;
    LOCK_STATE_EX State;

    if (ShutdownAction == NdisShutdownPowerOff)
    {
        NdisAcquireRWLockWrite(Vm->Binding->TableLock, &State, 0);
        WriteBooleanNoFence(&Vm->Running, FALSE);
        VmOpenChanged(Vm);
        NdisReleaseRWLock(Vm->Binding->TableLock, &State);
    }
}
