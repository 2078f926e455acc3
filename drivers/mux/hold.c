/* SPDX-License-Identifier: MIT */
/*
 * Sends that wait while the lower adapter resets (IM-RST-04, IM-RST-05): first those that the reset
 * threw back, then those that came meanwhile, each in order. HoldLock guards both queues and
 * Resetting. Held NBLs are ready to be sent: SourceHandle, context and 802.1Q information are set.
 * <= DISPATCH_LEVEL.
 */
#include "path.h"

/* A child marks its second try here; originals have MUX_SEND.Retries. */
#define HOLD_RETRIED ((PVOID)(ULONG_PTR)1)

/* Empty queues. */
VOID HoldInit(MUX_BINDING *Binding)
{
    NdisAllocateSpinLock(&Binding->HoldLock);
    QueueInit(&Binding->Retry);
    QueueInit(&Binding->Held);
}

/* Takes a chain over while sends are held; FALSE (and nothing taken) if they are not. */
BOOLEAN HoldSend(MUX_BINDING *Binding, MUX_QUEUE *Wire)
{
    BOOLEAN Taken;

    NdisAcquireSpinLock(&Binding->HoldLock);
    Taken = Binding->Resetting;
    if (Taken)
    {
        *Binding->Held.Tail = Wire->Head;
        Binding->Held.Tail = Wire->Tail;
        Binding->Held.Count += Wire->Count;
    }
    NdisReleaseSpinLock(&Binding->HoldLock);
    return Taken;
}

/* Whether an NBL has been tried again already; it is from now on. */
static BOOLEAN HoldWasRetried(MUX_BINDING *Binding, PNET_BUFFER_LIST Nbl)
{
    MUX_SEND *Send;

    if (TxIsChild(Binding, Nbl))
    {
        PVOID Was = MUX_CHILD_FLAGS(Nbl);
        MUX_CHILD_FLAGS(Nbl) = HOLD_RETRIED;
        return Was != NULL;
    }
    Send = (MUX_SEND *)NET_BUFFER_LIST_CONTEXT_DATA_START(Nbl);
    return Send->Retries++ != 0;
}

/*
 * An NBL came back with NDIS_STATUS_RESET_IN_PROGRESS. During a reset it waits for the end; outside
 * one it is sent once more at once, for the reset was over before its completion reached us. FALSE:
 * it has had its second try outside a reset and the status is final.
 */
BOOLEAN HoldRetry(MUX_BINDING *Binding, PNET_BUFFER_LIST Nbl)
{
    BOOLEAN Held;

    NET_BUFFER_LIST_NEXT_NBL(Nbl) = NULL;
    NET_BUFFER_LIST_STATUS(Nbl) = NDIS_STATUS_SUCCESS;
    NdisAcquireSpinLock(&Binding->HoldLock);
    Held = Binding->Resetting;
    if (Held)
    {
        QueueAppend(&Binding->Retry, Nbl);
    }
    NdisReleaseSpinLock(&Binding->HoldLock);
    if (Held)
    {
        return TRUE;
    }
    if (HoldWasRetried(Binding, Nbl) || !Binding->Running || Binding->Power != NdisDeviceStateD0)
    {
        NET_BUFFER_LIST_STATUS(Nbl) = NDIS_STATUS_RESET_IN_PROGRESS;
        return FALSE;
    }
    NdisSendNetBufferLists(Binding->Handle, Nbl, NDIS_DEFAULT_PORT_NUMBER, 0);
    return TRUE;
}

/* NDIS_STATUS_RESET_START: from now on sends are held. */
VOID HoldBegin(MUX_BINDING *Binding)
{
    NdisAcquireSpinLock(&Binding->HoldLock);
    Binding->Resetting = TRUE;
    NdisReleaseSpinLock(&Binding->HoldLock);
}

/* NDIS_STATUS_RESET_END: sends what is held. New sends queue behind until nothing is left. */
VOID HoldRelease(MUX_BINDING *Binding)
{
    PNET_BUFFER_LIST Nbls;

    do
    {
        NdisAcquireSpinLock(&Binding->HoldLock);
        if (Binding->Retry.Count != 0)
        {
            Nbls = QueueTake(&Binding->Retry);
        }
        else if (Binding->Held.Count != 0)
        {
            Nbls = QueueTake(&Binding->Held);
        }
        else
        {
            Nbls = NULL;
            Binding->Resetting = FALSE;
        }
        NdisReleaseSpinLock(&Binding->HoldLock);
        if (Nbls != NULL)
        {
            NdisSendNetBufferLists(Binding->Handle, Nbls, NDIS_DEFAULT_PORT_NUMBER, 0);
        }
    } while (Nbls != NULL);
}

/* Moves what belongs to Vm (NULL: anyone) and carries CancelId (NULL: any) from Queue to Out. */
static VOID HoldPick(MUX_BINDING *Binding, MUX_QUEUE *Queue, MUX_VM *Vm, PVOID CancelId,
                     MUX_QUEUE *Out)
{
    PNET_BUFFER_LIST Nbl = QueueTake(Queue);
    PNET_BUFFER_LIST Next;

    for (; Nbl != NULL; Nbl = Next)
    {
        BOOLEAN Match = (Vm == NULL || TxSender(Binding, Nbl) == Vm) &&
                        (CancelId == NULL || NDIS_GET_NET_BUFFER_LIST_CANCEL_ID(Nbl) == CancelId);

        Next = NET_BUFFER_LIST_NEXT_NBL(Nbl);
        QueueAppend(Match ? Out : Queue, Nbl);
    }
}

/* Completes held sends of Vm (NULL: all), with CancelId if not NULL, with Status. No lock held by
 * the caller. */
VOID HoldAbort(MUX_BINDING *Binding, MUX_VM *Vm, PVOID CancelId, NDIS_STATUS Status)
{
    PNET_BUFFER_LIST Nbl, Nbls;
    MUX_QUEUE Out;

    QueueInit(&Out);
    NdisAcquireSpinLock(&Binding->HoldLock);
    HoldPick(Binding, &Binding->Retry, Vm, CancelId, &Out);
    HoldPick(Binding, &Binding->Held, Vm, CancelId, &Out);
    NdisReleaseSpinLock(&Binding->HoldLock);
    Nbls = QueueTake(&Out);
    for (Nbl = Nbls; Nbl != NULL; Nbl = NET_BUFFER_LIST_NEXT_NBL(Nbl))
    {
        NET_BUFFER_LIST_STATUS(Nbl) = Status;
    }
    if (Nbls != NULL)
    {
        TxSendComplete(Binding, Nbls, 0);
    }
}
