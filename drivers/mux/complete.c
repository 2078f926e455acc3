/* SPDX-License-Identifier: MIT */
/*
 * Sends that are done: completions from below, given back to the virtual miniports that sent them,
 * in runs of one virtual miniport. <= DISPATCH_LEVEL, no lock.
 */
#include "path.h"

/* Completes Done upward and lets go of it. The virtual miniport may be gone on return (IM-SND-03).
 */
VOID TxComplete(MUX_VM *Vm, MUX_QUEUE *Done, ULONG Flags)
{
    LONG64 Count = Done->Count;

    if (Count != 0)
    {
        NdisMSendNetBufferListsComplete(Vm->Handle, QueueTake(Done), Flags);
        VmOut(Vm, Count * MUX_OUT_SEND);
    }
}

/* A run: NBLs of one virtual miniport in a row, completed in one call when another one follows. It
 * begins with Vm NULL and the flags set. */
VOID RunAdd(MUX_RUN *Run, MUX_VM *Vm, PNET_BUFFER_LIST Nbl)
{
    if (Run->Vm != Vm)
    {
        RunEnd(Run);
        QueueInit(&Run->Queue);
        Run->Vm = Vm;
    }
    QueueAppend(&Run->Queue, Nbl);
}

VOID RunEnd(MUX_RUN *Run)
{
    if (Run->Vm != NULL)
    {
        TxComplete(Run->Vm, &Run->Queue, Run->Flags);
        Run->Vm = NULL;
    }
}

/* The virtual miniport that an NBL below belongs to. */
MUX_VM *TxSender(MUX_BINDING *Binding, PNET_BUFFER_LIST Nbl)
{
    if (TxIsChild(Binding, Nbl))
    {
        return (MUX_VM *)MUX_CHILD_SENDER(Nbl);
    }
    return ((MUX_SEND *)NET_BUFFER_LIST_CONTEXT_DATA_START(Nbl))->Vm;
}

/* A child is back from below: its outcome goes to the parent. Returns the parent if it was the
 * last. */
static PNET_BUFFER_LIST TxChildDone(MUX_BINDING *Binding, PNET_BUFFER_LIST Child)
{
    PNET_BUFFER_LIST Parent = Child->ParentNetBufferList;

    if (NET_BUFFER_LIST_STATUS(Child) != NDIS_STATUS_SUCCESS)
    {
        NET_BUFFER_LIST_STATUS(Parent) = NET_BUFFER_LIST_STATUS(Child);
    }
    /* What the NIC wrote about a large send (IM-OFF-06). */
    NET_BUFFER_LIST_INFO(Parent, TcpLargeSendNetBufferListInfo) =
        NET_BUFFER_LIST_INFO(Child, TcpLargeSendNetBufferListInfo);
    if (Child->NdisPoolHandle == Binding->HeaderPool)
    {
        HeaderFree(Child);
    }
    else
    {
        NdisFreeCloneNetBufferList(Child, NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS);
    }
    return InterlockedDecrement(&Parent->ChildRefCount) == 0 ? Parent : NULL;
}

/* Undoes what TxSend did to an upper NBL (IM-SND-05, IM-SND-08). */
static VOID TxOriginalDone(PNET_BUFFER_LIST Nbl)
{
    MUX_SEND *Send = (MUX_SEND *)NET_BUFFER_LIST_CONTEXT_DATA_START(Nbl);

    Nbl->SourceHandle = Send->SourceHandle;
    NET_BUFFER_LIST_INFO(Nbl, Ieee8021QNetBufferListInfo) = Send->Vlan;
    NdisFreeNetBufferListContext(Nbl, sizeof(*Send));
}

/*
 * ProtocolSendNetBufferListsComplete. NBLs that a reset below threw back go to the queue for a
 * second try (IM-RST-05); everything else goes up with the status it has.
 */
VOID TxSendComplete(NDIS_HANDLE ProtocolBindingContext, PNET_BUFFER_LIST NetBufferList,
                    ULONG SendCompleteFlags)
{
    MUX_BINDING *Binding = (MUX_BINDING *)ProtocolBindingContext;
    PNET_BUFFER_LIST Nbl, Next;
    LONG Count = 0;
    MUX_RUN Run;

    Run.Vm = NULL;
    Run.Flags = SendCompleteFlags & NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL;
    for (Nbl = NetBufferList; Nbl != NULL; Nbl = Next)
    {
        MUX_VM *Vm;

        Next = NET_BUFFER_LIST_NEXT_NBL(Nbl);
        if (MUX_UNLIKELY(NET_BUFFER_LIST_STATUS(Nbl) != NDIS_STATUS_SUCCESS))
        {
            if (NET_BUFFER_LIST_STATUS(Nbl) == NDIS_STATUS_RESET_IN_PROGRESS &&
                HoldRetry(Binding, Nbl))
            {
                continue; /* still counted */
            }
            StatsOutErrors(TxSender(Binding, Nbl), 1);
        }
        Vm = TxSender(Binding, Nbl);
        Count++;
        if (MUX_UNLIKELY(TxIsChild(Binding, Nbl)))
        {
            Nbl = TxChildDone(Binding, Nbl);
        }
        else
        {
            TxOriginalDone(Nbl);
        }
        if (Nbl != NULL)
        {
            RunAdd(&Run, Vm, Nbl);
        }
    }
    RunEnd(&Run);
    if (Count != 0)
    {
        RundownLeave(&Binding->Sends, Count);
    }
}
