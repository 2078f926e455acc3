/* SPDX-License-Identifier: MIT */
/*
 * Life of a virtual miniport: MiniportInitializeEx and MiniportHaltEx. Several may be initialized
 * in parallel (IM-POR-03). Everything of one virtual miniport is in its MUX_VM and released here.
 * PASSIVE_LEVEL.
 */
#include "mux.h"

/* Writes an entry to the error log on behalf of an adapter. PASSIVE_LEVEL. */
VOID VmLog(NDIS_HANDLE Adapter, ULONG Code, ULONG Detail)
{
    if (Adapter != NULL && Adapter != Mux.Miniport)
    {
        NdisWriteErrorLogEntry(Adapter, Code, 1, Detail);
    }
}

#define VM_LINE 64 /* bytes that two processors should not share */

static VOID VmFree(MUX_VM *Vm)
{
    if (Vm->IfStacked)
    {
        NdisIfDeleteIfStackEntry(Vm->IfIndex, Vm->Binding->BoundIfIndex);
    }
    if (Vm->ReceivePool != NULL)
    {
        NdisFreeNetBufferListPool(Vm->ReceivePool);
    }
    MuxFree(Vm->Multicast);
    MuxFree(Vm->Memory);
}

/* The structure on a cache line of its own, and the counters of each processor behind it. */
static MUX_VM *VmMemory(VOID)
{
    SIZE_T Own = (sizeof(MUX_VM) + VM_LINE - 1) & ~(SIZE_T)(VM_LINE - 1);
    PVOID Memory = MuxAllocate(VM_LINE + Own + Mux.Processors * sizeof(MUX_COUNTERS), MUX_TAG_VM);
    MUX_VM *Vm;

    if (Memory == NULL)
    {
        return NULL;
    }
    Vm = (MUX_VM *)(((ULONG_PTR)Memory + VM_LINE - 1) & ~(ULONG_PTR)(VM_LINE - 1));
    Vm->Memory = Memory;
    Vm->Counters = (MUX_COUNTERS *)((PUCHAR)Vm + Own);
    return Vm;
}

/* NDIS cannot see which adapter below carries us: the row in the interface stack is ours
 * (IM-IFS-02). */
static NDIS_STATUS VmStackEntry(MUX_VM *Vm)
{
    NDIS_STATUS Status = NDIS_STATUS_SUCCESS;

    if (Vm->IfIndex != 0 && Vm->Binding->BoundIfIndex != 0)
    {
        Status = NdisIfAddIfStackEntry(Vm->IfIndex, Vm->Binding->BoundIfIndex);
        Vm->IfStacked = Status == NDIS_STATUS_SUCCESS;
    }
    /* Without the row it would work all the same, unless memory is short anyway (IM-VMP-19). */
    return Status == NDIS_STATUS_RESOURCES ? Status : NDIS_STATUS_SUCCESS;
}

static MUX_VM *VmCreate(NDIS_HANDLE Handle, MUX_NAME *Name, PNDIS_MINIPORT_INIT_PARAMETERS Init)
{
    MUX_VM *Vm = VmMemory();

    if (Vm == NULL)
    {
        return NULL;
    }
    Vm->Handle = Handle;
    Vm->Name = Name;
    Vm->Binding = Name->Binding;
    Vm->IfIndex = Init->IfIndex;
    Vm->Power = NdisDeviceStateD0;
    Vm->Out = MUX_OUT_PAUSED;
    Vm->Lookahead = ReadULongNoFence(&Vm->Binding->LookaheadSize);
    RundownInit(&Vm->Use, FALSE);
    NdisInitializeEvent(&Vm->OidDone);
    NdisSetEvent(&Vm->OidDone);
    NdisAcquireSpinLock(&Mux.Lock);
    Vm->Ordinal = Vm->Binding->NextOrdinal++;
    Vm->LinkState = Vm->Binding->LinkState;
    Vm->HaveOffload = Vm->Binding->HaveOffload;
    Vm->Offload = Vm->Binding->Offload;
    NdisReleaseSpinLock(&Mux.Lock);
    return Vm;
}

/*
 * MiniportInitializeEx (`nc-ndis-miniport_initialize.md`, IM-VMP-18, IM-VMP-19, IM-INI-02).
 * Registration attributes first, then settings and resources, then general and offload attributes,
 * then the place in the look-up table, which refuses a MAC address that a sibling on the same VLAN
 * has: the failure is logged and stops nobody else. Returns NDIS_STATUS_FAILURE for a context that
 * is not a requested name of ours, NDIS_STATUS_RESOURCES, what NdisMSetMiniportAttributes said, or
 * success.
 */
NDIS_STATUS VmInitialize(NDIS_HANDLE NdisMiniportHandle, NDIS_HANDLE MiniportDriverContext,
                         PNDIS_MINIPORT_INIT_PARAMETERS MiniportInitParameters)
{
    MUX_NAME *Name = NameInitializeBegin(MiniportInitParameters->IMDeviceInstanceContext);
    NDIS_STATUS Status = NDIS_STATUS_RESOURCES;
    MUX_VM *Vm;

    UNREFERENCED_PARAMETER(MiniportDriverContext);
    if (Name == NULL)
    {
        return NDIS_STATUS_FAILURE;
    }
    Vm = VmCreate(NdisMiniportHandle, Name, MiniportInitParameters);
    if (Vm == NULL)
    {
        goto endName;
    }
    Status = VmSetRegistration(Vm);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        goto freeVm;
    }
    Status = VmConfigure(Vm);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        goto freeVm;
    }
    /* Send pools belong to the binding; this is what each one needs (IM-VMP-19). */
    Vm->ReceivePool = BindPool(NdisMiniportHandle, 0);
    if (Vm->ReceivePool == NULL)
    {
        Status = NDIS_STATUS_RESOURCES;
        VmLog(NdisMiniportHandle, NDIS_ERROR_CODE_OUT_OF_RESOURCES, 2);
        goto freeVm;
    }
    Status = VmSetAttributes(Vm);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        goto freeVm;
    }
    Status = VmStackEntry(Vm);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        goto freeVm;
    }
    Status = TableInsert(Vm->Binding, Vm);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        VmLog(NdisMiniportHandle,
              Status == NDIS_STATUS_RESOURCES ? NDIS_ERROR_CODE_OUT_OF_RESOURCES
                                              : NDIS_ERROR_CODE_NETWORK_ADDRESS,
              Vm->VlanId);
        goto freeVm;
    }
    RundownOpen(&Vm->Use);
    NameInitializeEnd(Name, Vm);
    return NDIS_STATUS_SUCCESS;

freeVm:
    VmFree(Vm);
endName:
    NameInitializeEnd(Name, NULL);
    return Status;
}

/*
 * MiniportHaltEx (`nc-ndis-miniport_halt.md`, IM-VMP-16, IM-MST-12): the virtual miniport is paused
 * and has no request. Nobody indicates status on it once Use has drained; siblings are not touched;
 * the lower filter shrinks to what they want.
 */
VOID VmHalt(NDIS_HANDLE MiniportAdapterContext, NDIS_HALT_ACTION HaltAction)
{
    MUX_VM *Vm = (MUX_VM *)MiniportAdapterContext;
    MUX_NAME *Name = Vm->Name;

    UNREFERENCED_PARAMETER(HaltAction);
    NameHaltBegin(Name);
    RundownShut(&Vm->Use);
    RundownWait(&Vm->Use);
    TableRemove(Vm->Binding, Vm);
    FilterVmGone(Vm);
    VmFree(Vm);
    NameHaltEnd(Name);
}
