/* SPDX-License-Identifier: MIT */
/*
 * IRPs: memory, passing down, completion, cancelling. An IRP of ours has a record in front; all of
 * them stand on a list under a leaf lock, for leaks and for frees of what is no IRP. The IRP itself
 * belongs to whoever holds it. Passing and completing at <= DISPATCH_LEVEL.
 */
#include "nt/private.h"

#include <string.h>

#define RECORD_MAGIC 0x49727031u /* 'Irp1' */
/* IRP.AllocationFlags */
#define ALLOCATED 0x40 /* a record lies in front */
#define OWN_END 0x20   /* completion ends in io__irp_own */
#define RESERVE 0x10
#define RESERVE_STACK 16

struct record {
    struct umn_list link;
    uint32_t magic;
    uint32_t spare;
    void *system_buffer; /* freed with an own IRP */
    size_t out_limit;    /* bytes that the requester has room for */
    const void *caller;
    uint64_t pad[2];
};
_Static_assert(sizeof(struct record) == 64, "IRPs keep their alignment");

static struct {
    struct umn_mutex lock;
    struct umn_list all;
    size_t live;
    uint32_t reserve_used;
} irps = {.all = {&irps.all, &irps.all}};
static _Alignas(16) struct {
    struct record record;
    char irp[sizeof(IRP) + RESERVE_STACK * sizeof(IO_STACK_LOCATION)];
} reserve;
static KSPIN_LOCK cancel_lock;

size_t umn__irp_live(void)
{
    umn__lock(&irps.lock);
    size_t n = irps.live;
    umn__unlock(&irps.lock);
    return n;
}

static struct record *record_of(PIRP irp)
{
    return (struct record *)irp - 1;
}

static void enter(struct record *r, const void *caller)
{
    r->magic = RECORD_MAGIC;
    r->caller = caller;
    umn__lock(&irps.lock);
    umn_list_add_tail(&irps.all, &r->link);
    irps.live++;
    umn__unlock(&irps.lock);
}

/* Fresh IRP of StackSize locations in memory of PacketSize bytes. <= DISPATCH_LEVEL.
 * nf-wdm-ioinitializeirp.md */
void NTAPI IoInitializeIrp(PIRP Irp, USHORT PacketSize, CCHAR StackSize)
{
    memset(Irp, 0, PacketSize);
    Irp->Type = IO_TYPE_IRP;
    Irp->Size = PacketSize;
    Irp->StackCount = StackSize;
    Irp->CurrentLocation = (CHAR)(StackSize + 1);
    Irp->Tail.Overlay.CurrentStackLocation = (PIO_STACK_LOCATION)(Irp + 1) + StackSize;
    umn_list_init((struct umn_list *)&Irp->ThreadListEntry);
}

static PIRP allocate(CCHAR stack_size, const void *caller)
{
    size_t size = sizeof(IRP) + (size_t)stack_size * sizeof(IO_STACK_LOCATION);
    if (stack_size < 1)
        return NULL;
    struct record *r = plat_alloc(sizeof *r + size);
    if (!r)
        return NULL;
    PIRP irp = (PIRP)(r + 1);
    IoInitializeIrp(irp, (USHORT)size, stack_size);
    irp->AllocationFlags = ALLOCATED;
    enter(r, caller);
    return irp;
}

PIRP io__reserve_take(CCHAR stack_size)
{
    if (stack_size > RESERVE_STACK || __atomic_exchange_n(&irps.reserve_used, 1, __ATOMIC_ACQ_REL))
        return NULL;
    PIRP irp = (PIRP)reserve.irp;
    memset(&reserve.record, 0, sizeof reserve.record);
    IoInitializeIrp(irp, (USHORT)(sizeof(IRP) + (size_t)stack_size * sizeof(IO_STACK_LOCATION)),
                    stack_size);
    irp->AllocationFlags = ALLOCATED | RESERVE;
    enter(&reserve.record, NULL);
    return irp;
}

/* NULL without memory. <= DISPATCH_LEVEL. Who allocates an IRP takes it back in a completion
 * routine with STATUS_MORE_PROCESSING_REQUIRED. nf-wdm-ioallocateirp.md */
PIRP NTAPI IoAllocateIrp(CCHAR StackSize, BOOLEAN ChargeQuota)
{
    umn__check_irql(DISPATCH_LEVEL, "IoAllocateIrp");
    return allocate(StackSize, __builtin_return_address(0));
}

PIRP NTAPI IoAllocateIrpEx(PDEVICE_OBJECT DeviceObject, CCHAR StackSize, BOOLEAN ChargeQuota)
{
    umn__check_irql(DISPATCH_LEVEL, "IoAllocateIrpEx");
    return allocate(StackSize, __builtin_return_address(0));
}

/* Takes an IRP off the list; false if it is not on it. */
static bool leave(PIRP irp)
{
    bool found = false;
    umn__lock(&irps.lock);
    umn_list_for_each (pos, &irps.all) {
        if (pos != &record_of(irp)->link)
            continue;
        found = true;
        irps.live--;
        umn_list_remove(pos);
    }
    umn__unlock(&irps.lock);
    return found;
}

static void release(PIRP irp)
{
    struct record *r = record_of(irp);
    if (irp->AllocationFlags & RESERVE) {
        r->magic = 0;
        __atomic_store_n(&irps.reserve_used, 0, __ATOMIC_RELEASE);
        return;
    }
    r->magic = 0;
    plat_free(r);
}

/* <= DISPATCH_LEVEL. nf-wdm-iofreeirp.md */
void NTAPI IoFreeIrp(PIRP Irp)
{
    umn__check_irql(DISPATCH_LEVEL, "IoFreeIrp");
    if (!leave(Irp)) {
        umn__report("IrpFree", 0xc9, "IoFreeIrp of %p, which IoAllocateIrp has not returned",
                    (void *)Irp);
        return;
    }
    release(Irp);
}

/* As new, for the next use by the one who allocated it. <= DISPATCH_LEVEL. nf-wdm-ioreuseirp.md */
void NTAPI IoReuseIrp(PIRP Irp, NTSTATUS Iostatus)
{
    UCHAR flags = Irp->AllocationFlags;
    IoInitializeIrp(Irp, (USHORT)Irp->Size, Irp->StackCount);
    Irp->AllocationFlags = flags;
    Irp->IoStatus.Status = Iostatus;
}

void io__irp_own(PIRP irp, IO_STATUS_BLOCK *iosb, KEVENT *event)
{
    irp->AllocationFlags |= OWN_END;
    irp->UserIosb = iosb;
    irp->UserEvent = event;
    irp->RequestorMode = KernelMode;
    irp->Tail.Overlay.Thread = (PETHREAD)ps__self();
}

/* ---- down ------------------------------------------------------------------------------------ */

/*
 * Passes the IRP to a device: the next stack location becomes current, and the driver's dispatch
 * routine is called. The IRP is not the caller's any more. <= DISPATCH_LEVEL; no stack location
 * left is bug check 0x35. nf-wdm-iofcalldriver.md
 */
NTSTATUS NTAPI IofCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    umn__check_irql(DISPATCH_LEVEL, "IoCallDriver");
    if (--Irp->CurrentLocation <= 0)
        KeBugCheckEx(NO_MORE_IRP_STACK_LOCATIONS, (ULONG_PTR)Irp, 0, 0, 0);
    IO_STACK_LOCATION *stack = --Irp->Tail.Overlay.CurrentStackLocation;
    stack->DeviceObject = DeviceObject;
    PDRIVER_DISPATCH dispatch =
        DeviceObject->DriverObject
            ->MajorFunction[stack->MajorFunction % (IRP_MJ_MAXIMUM_FUNCTION + 1)];
    struct ke_entry before = ke__entry();
    umn__point(UMN_OP_IRP, Irp);
    NTSTATUS status = dispatch(DeviceObject, Irp);
    ke__check_return(&before, "a dispatch routine", (const void *)dispatch);
    return status;
}

/* ---- up -------------------------------------------------------------------------------------- */

static void check_complete(PIRP irp)
{
    umn__check_irql(DISPATCH_LEVEL, "IoCompleteRequest");
    if (irp->IoStatus.Status == STATUS_PENDING)
        umn__report("PendedCompletedRequest", 0x40008, "an IRP was completed with STATUS_PENDING");
    if (irp->CancelRoutine)
        umn__report("IrpCancelRoutine", 0xc9,
                    "an IRP was completed with its cancel routine still set");
    if (ps__self()->locks)
        umn__report("SpinLockSafe", 0, "IoCompleteRequest was called holding a spin lock");
}

/* Calls the completion routine of `stack` if it asks for this outcome. True: stop here. */
static bool call_completion(PIRP irp, IO_STACK_LOCATION *stack)
{
    NTSTATUS status = irp->IoStatus.Status;
    UCHAR control = stack->Control;
    PIO_COMPLETION_ROUTINE routine = stack->CompletionRoutine;
    PVOID context = stack->Context;
    bool wanted = (status >= 0 && (control & SL_INVOKE_ON_SUCCESS)) ||
                  (status < 0 && (control & SL_INVOKE_ON_ERROR)) ||
                  (irp->Cancel && (control & SL_INVOKE_ON_CANCEL));
    /* As Windows: what the routine could mistake for its own is wiped. */
    memset(stack, 0, sizeof *stack);
    if (!wanted || !routine) {
        if (irp->PendingReturned && irp->CurrentLocation <= irp->StackCount)
            IoMarkIrpPending(irp);
        return false;
    }
    DEVICE_OBJECT *device = irp->CurrentLocation <= irp->StackCount
                                ? irp->Tail.Overlay.CurrentStackLocation->DeviceObject
                                : NULL;
    struct ke_entry before = ke__entry();
    umn__point(UMN_OP_IRP, irp);
    NTSTATUS answer = routine(device, irp, context);
    ke__check_return(&before, "a completion routine", (const void *)routine);
    return answer == STATUS_MORE_PROCESSING_REQUIRED;
}

static void copy_out(void *user, const struct record *r, size_t size)
{
    if (size > r->out_limit) {
        umn__report("IrpInformation", 0xc9,
                    "an IRP was completed with %zu bytes for a buffer of %zu", size, r->out_limit);
        size = r->out_limit;
    }
    memcpy(user, r->system_buffer, size);
}

/* What buffered input and output leave to do, then the requester learns. */
static void own_end(PIRP irp)
{
    struct record *r = record_of(irp);
    IO_STATUS_BLOCK iosb = irp->IoStatus;
    IO_STATUS_BLOCK *user = irp->UserIosb;
    KEVENT *event = irp->UserEvent;
    if ((irp->Flags & IRP_BUFFERED_IO) && (irp->Flags & IRP_INPUT_OPERATION) &&
        (iosb.Status >= 0 || iosb.Status == STATUS_BUFFER_OVERFLOW) && irp->UserBuffer)
        copy_out(irp->UserBuffer, r, iosb.Information);
    if (irp->Flags & IRP_DEALLOCATE_BUFFER)
        plat_free(r->system_buffer);
    for (PMDL mdl = irp->MdlAddress, next; mdl; mdl = next) {
        next = mdl->Next;
        if (mdl->MdlFlags & MDL_PAGES_LOCKED)
            MmUnlockPages(mdl);
        IoFreeMdl(mdl);
    }
    leave(irp);
    release(irp);
    if (user)
        *user = iosb;
    if (event)
        KeSetEvent(event, 0, FALSE);
}

/*
 * Ends this driver's part of an IRP: the completion routines of those above are called, nearest
 * first, until one answers STATUS_MORE_PROCESSING_REQUIRED. <= DISPATCH_LEVEL. Completing twice is
 * bug check 0x44. nf-wdm-iofcompleterequest.md
 */
void NTAPI IofCompleteRequest(PIRP Irp, CCHAR PriorityBoost)
{
    if (Irp->Type != IO_TYPE_IRP || Irp->CurrentLocation > Irp->StackCount + 1) {
        umn__report("DoubleCompletion", 0x44, "IRP %p was completed twice", (void *)Irp);
        KeBugCheckEx(MULTIPLE_IRP_COMPLETE_REQUESTS, (ULONG_PTR)Irp, 0, 0, 0);
    }
    check_complete(Irp);
    while (Irp->CurrentLocation <= Irp->StackCount) {
        IO_STACK_LOCATION *stack = Irp->Tail.Overlay.CurrentStackLocation;
        Irp->PendingReturned = (stack->Control & SL_PENDING_RETURNED) != 0;
        Irp->CurrentLocation++;
        Irp->Tail.Overlay.CurrentStackLocation++;
        if (call_completion(Irp, stack))
            return;
    }
    Irp->CurrentLocation++; /* so that a second completion is seen */
    if (Irp->AllocationFlags & OWN_END) {
        own_end(Irp);
        return;
    }
    umn__report("IrpNotTaken", 0x44,
                "IRP %p was completed to the end, but who allocated it does not take it back",
                (void *)Irp);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

/* <= DISPATCH_LEVEL; *Irql gets the IRQL to restore. nf-wdm-ioacquirecancelspinlock.md */
void NTAPI IoAcquireCancelSpinLock(PKIRQL Irql)
{
    *Irql = KeAcquireSpinLockRaiseToDpc(&cancel_lock);
}

void NTAPI IoReleaseCancelSpinLock(KIRQL Irql)
{
    KeReleaseSpinLock(&cancel_lock, Irql);
}

/*
 * Marks the IRP cancelled and calls its cancel routine, if one is set, with the cancel spin lock
 * held; the routine releases it with Irp->CancelIrql. TRUE if there was one. <= DISPATCH_LEVEL.
 * nf-wdm-iocancelirp.md
 */
BOOLEAN NTAPI IoCancelIrp(PIRP Irp)
{
    KIRQL irql;
    umn__check_irql(DISPATCH_LEVEL, "IoCancelIrp");
    IoAcquireCancelSpinLock(&irql);
    Irp->Cancel = TRUE;
    PDRIVER_CANCEL routine = IoSetCancelRoutine(Irp, NULL);
    if (!routine) {
        IoReleaseCancelSpinLock(irql);
        return FALSE;
    }
    if (Irp->CurrentLocation > Irp->StackCount + 1)
        KeBugCheckEx(CANCEL_STATE_IN_COMPLETED_IRP, (ULONG_PTR)Irp, (ULONG_PTR)routine, 0, 0);
    Irp->CancelIrql = irql;
    umn__point(UMN_OP_IRP, Irp);
    routine(Irp->Tail.Overlay.CurrentStackLocation->DeviceObject, Irp);
    return TRUE;
}

void io__irp_stop(void)
{
    umn_list_for_each (pos, &irps.all) {
        struct record *r = umn_container_of(pos, struct record, link);
        PIRP irp = (PIRP)(r + 1);
        umn__report("IrpLeak", 0, "an IRP of %s was never %s", io__owner(r->caller),
                    irp->CurrentLocation > irp->StackCount ? "freed" : "completed");
        if ((irp->Flags & IRP_DEALLOCATE_BUFFER) && (irp->AllocationFlags & OWN_END))
            plat_free(r->system_buffer);
        leave(irp);
        release(irp);
    }
}

void io__irp_buffer(PIRP irp, void *buffer, size_t out_limit)
{
    record_of(irp)->system_buffer = buffer;
    record_of(irp)->out_limit = out_limit;
}
