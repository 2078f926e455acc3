/* SPDX-License-Identifier: MIT */
/*
 * Cancel-safe IRP queues. The driver keeps the queue and its lock; these functions see to it that
 * an IRP is either taken out by the driver or cancelled, never both. State: Tail.Overlay
 * .DriverContext[3] of a queued IRP points at its IO_CSQ_IRP_CONTEXT or at the IO_CSQ.
 */
#include "nt/private.h"

/* First word of both structures, as Windows numbers them. */
enum { TYPE_CONTEXT = 1, TYPE_CSQ = 2, TYPE_CSQ_EX = 3 };

static NTSTATUS init(PIO_CSQ csq, ULONG type, PIO_CSQ_INSERT_IRP insert, PIO_CSQ_REMOVE_IRP remove,
                     PIO_CSQ_PEEK_NEXT_IRP peek, PIO_CSQ_ACQUIRE_LOCK acquire,
                     PIO_CSQ_RELEASE_LOCK release, PIO_CSQ_COMPLETE_CANCELED_IRP complete)
{
    *csq = (IO_CSQ){.Type = type,
                    .CsqInsertIrp = insert,
                    .CsqRemoveIrp = remove,
                    .CsqPeekNextIrp = peek,
                    .CsqAcquireLock = acquire,
                    .CsqReleaseLock = release,
                    .CsqCompleteCanceledIrp = complete};
    return STATUS_SUCCESS;
}

/* Any level. nf-wdm-iocsqinitialize.md */
NTSTATUS NTAPI IoCsqInitialize(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP CsqInsertIrp,
                               PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                               PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp,
                               PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock,
                               PIO_CSQ_RELEASE_LOCK CsqReleaseLock,
                               PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp)
{
    return init(Csq, TYPE_CSQ, CsqInsertIrp, CsqRemoveIrp, CsqPeekNextIrp, CsqAcquireLock,
                CsqReleaseLock, CsqCompleteCanceledIrp);
}

/* CsqInsertIrp is an IO_CSQ_INSERT_IRP_EX and may refuse. nf-wdm-iocsqinitializeex.md */
NTSTATUS NTAPI IoCsqInitializeEx(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP_EX CsqInsertIrp,
                                 PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                                 PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp,
                                 PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock,
                                 PIO_CSQ_RELEASE_LOCK CsqReleaseLock,
                                 PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp)
{
    return init(Csq, TYPE_CSQ_EX, (PIO_CSQ_INSERT_IRP)(uintptr_t)CsqInsertIrp, CsqRemoveIrp,
                CsqPeekNextIrp, CsqAcquireLock, CsqReleaseLock, CsqCompleteCanceledIrp);
}

/* Takes the IRP off the driver's queue; the queue's lock is held. */
static void take(PIO_CSQ csq, PIRP irp)
{
    PIO_CSQ_IRP_CONTEXT context = irp->Tail.Overlay.DriverContext[3];
    csq->CsqRemoveIrp(csq, irp);
    if (context && context->Type == TYPE_CONTEXT)
        context->Irp = NULL;
    irp->Tail.Overlay.DriverContext[3] = NULL;
}

static void NTAPI cancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_CSQ_IRP_CONTEXT context = Irp->Tail.Overlay.DriverContext[3];
    PIO_CSQ csq = context->Type == TYPE_CONTEXT ? context->Csq : (PIO_CSQ)context;
    KIRQL irql;
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    csq->CsqAcquireLock(csq, &irql);
    take(csq, Irp);
    csq->CsqReleaseLock(csq, irql);
    csq->CsqCompleteCanceledIrp(csq, Irp);
}

/*
 * Marks the IRP pending and queues it; if it is cancelled already it is completed at once. Context
 * (may be NULL) finds it again. <= DISPATCH_LEVEL. Returns what an IO_CSQ_INSERT_IRP_EX returned:
 * on failure the IRP is not queued and stays the caller's. nf-wdm-iocsqinsertirpex.md
 */
NTSTATUS NTAPI IoCsqInsertIrpEx(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context,
                                PVOID InsertContext)
{
    NTSTATUS status = STATUS_SUCCESS;
    bool cancelled = false;
    KIRQL irql;
    umn__check_irql(DISPATCH_LEVEL, "IoCsqInsertIrp");
    Csq->CsqAcquireLock(Csq, &irql);
    if (Context)
        *Context = (IO_CSQ_IRP_CONTEXT){.Type = TYPE_CONTEXT, .Irp = Irp, .Csq = Csq};
    Irp->Tail.Overlay.DriverContext[3] = Context ? (PVOID)Context : (PVOID)Csq;
    if (Csq->Type == TYPE_CSQ_EX)
        status = ((PIO_CSQ_INSERT_IRP_EX)(uintptr_t)Csq->CsqInsertIrp)(Csq, Irp, InsertContext);
    else
        Csq->CsqInsertIrp(Csq, Irp);
    if (status >= 0) {
        IoMarkIrpPending(Irp);
        IoSetCancelRoutine(Irp, cancel);
        /* Cancelled before the routine stood there: whoever gets the routine back finishes it. */
        cancelled = Irp->Cancel && IoSetCancelRoutine(Irp, NULL);
        if (cancelled)
            take(Csq, Irp);
    }
    Csq->CsqReleaseLock(Csq, irql);
    if (cancelled)
        Csq->CsqCompleteCanceledIrp(Csq, Irp);
    return status;
}

void NTAPI IoCsqInsertIrp(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context)
{
    IoCsqInsertIrpEx(Csq, Irp, Context, NULL);
}

/* The IRP of a context, or NULL if it has been cancelled or removed. <= DISPATCH_LEVEL.
 * nf-wdm-iocsqremoveirp.md */
PIRP NTAPI IoCsqRemoveIrp(PIO_CSQ Csq, PIO_CSQ_IRP_CONTEXT Context)
{
    KIRQL irql;
    Csq->CsqAcquireLock(Csq, &irql);
    PIRP irp = Context->Irp;
    if (irp && IoSetCancelRoutine(irp, NULL))
        take(Csq, irp);
    else
        irp = NULL;
    Csq->CsqReleaseLock(Csq, irql);
    return irp;
}

/* The next IRP that CsqPeekNextIrp finds for PeekContext and that is not being cancelled; NULL:
 * none. <= DISPATCH_LEVEL. nf-wdm-iocsqremovenextirp.md */
PIRP NTAPI IoCsqRemoveNextIrp(PIO_CSQ Csq, PVOID PeekContext)
{
    PIRP irp = NULL;
    KIRQL irql;
    Csq->CsqAcquireLock(Csq, &irql);
    while ((irp = Csq->CsqPeekNextIrp(Csq, irp, PeekContext)) != NULL) {
        if (!IoSetCancelRoutine(irp, NULL))
            continue;
        take(Csq, irp);
        break;
    }
    Csq->CsqReleaseLock(Csq, irql);
    return irp;
}
