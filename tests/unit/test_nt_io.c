/* SPDX-License-Identifier: MIT */
/* Driver and device objects, IRPs up and down, files, PnP IRPs, cancel-safe queues. */
#include "nt_harness.h"

#include "nt/umhost.h"

/* ---- a stack of two devices ------------------------------------------------------------------ */

#define IOCTL_ECHO CTL_CODE(FILE_DEVICE_NETWORK, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define IOCTL_PEND CTL_CODE(FILE_DEVICE_NETWORK, 0x801, METHOD_OUT_DIRECT, FILE_ANY_ACCESS)

static char steps[64];
static PIRP pended;
static struct {
    DEVICE_OBJECT *lower, *upper, *attached;
    NTSTATUS pnp_status;
    bool take_back, left, saw_pending;
} t;

static void step(char c)
{
    size_t n = strlen(steps);
    if (n + 1 < sizeof steps) {
        steps[n] = c;
        steps[n + 1] = 0;
    }
}

static void NTAPI CancelPended(PDEVICE_OBJECT Device, PIRP Irp)
{
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    step('X');
    Irp->IoStatus.Status = STATUS_CANCELLED;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
}

static NTSTATUS NTAPI LowerControl(PDEVICE_OBJECT Device, PIRP Irp)
{
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
    step('l');
    if (Stack->Parameters.DeviceIoControl.IoControlCode == IOCTL_PEND) {
        IoMarkIrpPending(Irp);
        pended = Irp;
        IoSetCancelRoutine(Irp, CancelPended);
        return STATUS_PENDING;
    }
    char *Text = Irp->AssociatedIrp.SystemBuffer;
    for (ULONG i = 0; i < Stack->Parameters.DeviceIoControl.InputBufferLength; i++)
        Text[i]++;
    Irp->IoStatus.Information = Stack->Parameters.DeviceIoControl.OutputBufferLength;
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI UpperDone(PDEVICE_OBJECT Device, PIRP Irp, PVOID Context)
{
    CHECK(Device == t.upper);
    step(Context ? 'c' : 'C');
    t.saw_pending |= Irp->PendingReturned;
    if (Irp->PendingReturned)
        IoMarkIrpPending(Irp);
    return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS NTAPI UpperControl(PDEVICE_OBJECT Device, PIRP Irp)
{
    step('u');
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, UpperDone, NULL, TRUE, TRUE, TRUE);
    return IoCallDriver(t.attached, Irp);
}

static NTSTATUS NTAPI SimplyDone(PDEVICE_OBJECT Device, PIRP Irp)
{
    step(IoGetCurrentIrpStackLocation(Irp)->MajorFunction == IRP_MJ_CREATE    ? 'o'
         : IoGetCurrentIrpStackLocation(Irp)->MajorFunction == IRP_MJ_CLEANUP ? 'k'
                                                                              : 'z');
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI LowerPnp(PDEVICE_OBJECT Device, PIRP Irp)
{
    CHECK(Irp->IoStatus.Status == STATUS_NOT_SUPPORTED && KeGetCurrentIrql() == PASSIVE_LEVEL);
    Irp->IoStatus.Status = t.pnp_status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return t.pnp_status;
}

static NTSTATUS NTAPI UpperPnp(PDEVICE_OBJECT Device, PIRP Irp)
{
    /* The pattern of a function driver: wait for those below, then go on, then complete. */
    NTSTATUS Status;
    CHECK(IoForwardIrpSynchronously(t.attached, Irp));
    Status = Irp->IoStatus.Status;
    step('p');
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static void NTAPI TestUnload(PDRIVER_OBJECT Driver)
{
    step('U');
    if (t.left)
        return;
    if (t.upper) {
        if (t.attached)
            IoDetachDevice(t.attached);
        IoDeleteDevice(t.upper);
    }
    if (t.lower)
        IoDeleteDevice(t.lower);
    t.upper = t.lower = t.attached = NULL;
}

static DRIVER_OBJECT *lower_driver;

static NTSTATUS NTAPI LowerEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING RegistryPath)
{
    static const WCHAR expected[] =
        u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\tlower";
    CHECK(umn__wcsicmp(RegistryPath->Buffer, expected) == 0);
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    Driver->DriverUnload = TestUnload;
    Driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = LowerControl;
    Driver->MajorFunction[IRP_MJ_PNP] = LowerPnp;
    Driver->MajorFunction[IRP_MJ_CREATE] = Driver->MajorFunction[IRP_MJ_CLEANUP] =
        Driver->MajorFunction[IRP_MJ_CLOSE] = SimplyDone;
    UNICODE_STRING name = RTL_CONSTANT_STRING(u"\\Device\\Lower");
    return IoCreateDevice(Driver, 40, &name, FILE_DEVICE_NETWORK, 0, FALSE, &t.lower);
}

static NTSTATUS NTAPI UpperEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING RegistryPath)
{
    Driver->DriverUnload = TestUnload;
    Driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = UpperControl;
    Driver->MajorFunction[IRP_MJ_PNP] = UpperPnp;
    Driver->MajorFunction[IRP_MJ_CREATE] = Driver->MajorFunction[IRP_MJ_CLEANUP] =
        Driver->MajorFunction[IRP_MJ_CLOSE] = SimplyDone;
    NTSTATUS status = IoCreateDevice(Driver, 0, NULL, FILE_DEVICE_NETWORK, 0, FALSE, &t.upper);
    if (status < 0)
        return status;
    t.attached = IoAttachDeviceToDeviceStack(t.upper, t.lower);
    return STATUS_SUCCESS;
}

static bool stack_up(DRIVER_OBJECT **upper)
{
    memset(&t, 0, sizeof t);
    *steps = 0;
    pended = NULL;
    if (umn__driver_load("tlower", LowerEntry, NULL, &lower_driver, NULL))
        return false;
    if (umn__driver_load("tupper", UpperEntry, NULL, upper, NULL) == 0)
        return true;
    CHECK(umn__driver_unload(lower_driver) == 0);
    return false;
}

static void stack_down(DRIVER_OBJECT *upper)
{
    CHECK(umn__driver_unload(lower_driver) == UMN_ESTATE); /* its device is part of a stack */
    /* The upper driver's unload takes both devices down, so that the lower has none left. */
    IoDetachDevice(t.attached);
    t.attached = NULL;
    CHECK(umn__driver_unload(upper) == 0);
    CHECK(umn__driver_unload(lower_driver) == 0);
    CHECK(!umn__driver_find("tlower") && umn__irp_live() == 0);
}

static void irps(void *arg)
{
    DRIVER_OBJECT *upper;
    char in[4] = "abc", out[4] = "";
    size_t n;
    NTSTATUS status;
    NEED(stack_up(&upper), out);
    CHECK(umn__driver_find("TLOWER") == lower_driver);
    CHECK(t.upper->StackSize == 2 && t.attached == t.lower && umn__device_top(t.lower) == t.upper);
    CHECK(!(t.lower->Flags & DO_DEVICE_INITIALIZING));
    CHECK(((uintptr_t)t.lower->DeviceExtension & 15) == 0 && t.upper->DeviceExtension == NULL);

    /* Down through both, up through the completion routine; buffers copied in and out. */
    status = umn__device_ioctl("\\Device\\lower", IOCTL_ECHO, in, 3, out, 3, &n);
    CHECK(status == STATUS_SUCCESS || plat_alloc_failed());
    if (status == STATUS_SUCCESS)
        CHECK(strcmp(out, "bcd") == 0 && n == 3 && strcmp(steps, "oulCkz") == 0);
    CHECK(umn__device_ioctl("\\Device\\None", IOCTL_ECHO, in, 3, out, 3, &n) < 0);
    stack_down(upper);
out:;
}

static void test_irps(void **state)
{
    explore(irps, 0);
}

/* A pended IRP, completed by cancelling or by the driver, seen by its requester once. */
static void pending(void *arg)
{
    DRIVER_OBJECT *upper;
    NEED(stack_up(&upper), out);
    for (int round = 0; round < 2; round++) {
        KEVENT done;
        IO_STATUS_BLOCK iosb = {0};
        char out[8];
        KeInitializeEvent(&done, NotificationEvent, FALSE);
        *steps = 0;
        PIRP irp = IoBuildDeviceIoControlRequest(IOCTL_PEND, t.upper, NULL, 0, out, sizeof out,
                                                 FALSE, &done, &iosb);
        NEED(irp, down);
        CHECK(irp->MdlAddress && irp->StackCount == 2);
        CHECK(IoCallDriver(t.upper, irp) == STATUS_PENDING);
        CHECK(umn__irp_live() == 1 && !KeReadStateEvent(&done));
        if (round == 0) {
            CHECK(IoCancelIrp(pended));
        } else {
            CHECK(IoSetCancelRoutine(pended, NULL) == CancelPended);
            pended->IoStatus.Status = STATUS_SUCCESS;
            IoCompleteRequest(pended, IO_NETWORK_INCREMENT);
        }
        KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
        CHECK(iosb.Status == (round ? STATUS_SUCCESS : STATUS_CANCELLED));
        CHECK(strcmp(steps, round ? "ulC" : "ulXC") == 0 && t.saw_pending);
    }
down:
    CHECK(umn__irp_live() == 0);
    stack_down(upper);
out:;
}

static void test_pending(void **state)
{
    explore(pending, 0);
}

static NTSTATUS NTAPI KeepIrp(PDEVICE_OBJECT Device, PIRP Irp, PVOID Context)
{
    CHECK(Device == NULL); /* an IRP's maker has no device */
    /* What the drivers below left in their locations is gone. */
    CHECK(!IoGetNextIrpStackLocation(Irp)->CompletionRoutine);
    step('K');
    KeSetEvent(Context, 0, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* A driver's own IRP: taken back with STATUS_MORE_PROCESSING_REQUIRED, used again, freed. */
static void own_irps(void *arg)
{
    DRIVER_OBJECT *upper;
    KEVENT done;
    char buffer[4] = "xyz";
    NEED(stack_up(&upper), out);
    PIRP irp = IoAllocateIrp(t.upper->StackSize, FALSE);
    NEED(irp, down);
    for (int round = 0; round < 2; round++) {
        KeInitializeEvent(&done, NotificationEvent, FALSE);
        *steps = 0;
        PIO_STACK_LOCATION stack = IoGetNextIrpStackLocation(irp);
        stack->MajorFunction = IRP_MJ_DEVICE_CONTROL;
        stack->Parameters.DeviceIoControl.IoControlCode = IOCTL_ECHO;
        stack->Parameters.DeviceIoControl.InputBufferLength = 3;
        stack->Parameters.DeviceIoControl.OutputBufferLength = 3;
        irp->AssociatedIrp.SystemBuffer = buffer;
        IoSetCompletionRoutine(irp, KeepIrp, &done, TRUE, TRUE, TRUE);
        CHECK(IoCallDriver(t.upper, irp) == STATUS_SUCCESS);
        CHECK(KeReadStateEvent(&done) && strcmp(steps, "ulCK") == 0);
        CHECK(irp->IoStatus.Information == 3);
        IoReuseIrp(irp, STATUS_SUCCESS);
    }
    CHECK(strcmp(buffer, "z{|") == 0);
    /* Nobody handles IRP_MJ_READ. */
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_READ;
    IoSetCompletionRoutine(irp, KeepIrp, &done, TRUE, TRUE, TRUE);
    CHECK(IoCallDriver(t.upper, irp) == STATUS_INVALID_DEVICE_REQUEST);
    IoFreeIrp(irp);
down:
    stack_down(upper);
out:;
}

static void test_own_irps(void **state)
{
    explore(own_irps, 0);
}

static void fill_id(IO_STACK_LOCATION *stack, void *arg)
{
    stack->Parameters.QueryId.IdType = *(BUS_QUERY_ID_TYPE *)arg;
}

static void pnp_irps(void *arg)
{
    DRIVER_OBJECT *upper;
    BUS_QUERY_ID_TYPE id = BusQueryHardwareIDs;
    struct umn_devnode node = {.instance_id = "ROOT\\NET\\0001",
                               .driver_key = "{4d36e972-e325-11ce-bfc1-08002be10318}\\0001",
                               .service = "x"};
    NEED(stack_up(&upper), out);
    node.pdo = t.lower;
    umn__pdo_set_node(t.lower, &node);
    CHECK(umn__pdo_node(t.lower) == &node && umn__pdo_node(t.upper) == NULL);
    NTSTATUS status = umn__irp_pnp(t.lower, IRP_MN_START_DEVICE, fill_id, &id);
    CHECK(status == STATUS_SUCCESS || plat_alloc_failed());
    /* Removal works even when there is no memory for the IRP. */
    CHECK(umn__irp_pnp(t.lower, IRP_MN_REMOVE_DEVICE, NULL, NULL) == STATUS_SUCCESS);

    WCHAR text[64];
    ULONG n;
    status = IoGetDeviceProperty(t.lower, DevicePropertyEnumeratorName, sizeof text, text, &n);
    CHECK(status == STATUS_SUCCESS ? n == 10 && umn__wcsicmp(text, u"ROOT") == 0
                                   : plat_alloc_failed());
    status = IoGetDeviceProperty(t.lower, DevicePropertyDriverKeyName, 4, text, &n);
    CHECK(status == STATUS_BUFFER_TOO_SMALL ? n == 88 : plat_alloc_failed());
    status =
        IoGetDeviceProperty(t.lower, DevicePropertyPhysicalDeviceObjectName, sizeof text, text, &n);
    CHECK(status == STATUS_SUCCESS ? umn__wcsicmp(text, u"\\Device\\Lower") == 0
                                   : plat_alloc_failed());
    umn__pdo_set_node(t.lower, NULL);
    stack_down(upper);
out:;
}

static void test_pnp_irps(void **state)
{
    explore(pnp_irps, 0);
}

/* ---- names and links ------------------------------------------------------------------------- */

static void names(void *arg)
{
    DRIVER_OBJECT *upper;
    DEVICE_OBJECT *second = NULL;
    FILE_OBJECT *file;
    DEVICE_OBJECT *device;
    UNICODE_STRING name = RTL_CONSTANT_STRING(u"\\Device\\LOWER"),
                   link = RTL_CONSTANT_STRING(u"\\DosDevices\\Link"),
                   other = RTL_CONSTANT_STRING(u"\\??\\link");
    NTSTATUS status;
    NEED(stack_up(&upper), out);
    status = IoCreateDevice(lower_driver, 0, &name, 0, 0, FALSE, &second);
    CHECK(status == STATUS_OBJECT_NAME_COLLISION || plat_alloc_failed());
    status =
        IoCreateDevice(lower_driver, 0, NULL, 0, FILE_AUTOGENERATED_DEVICE_NAME, FALSE, &second);
    CHECK(status == STATUS_SUCCESS ? second->Flags & DO_DEVICE_INITIALIZING : plat_alloc_failed());
    if (status == STATUS_SUCCESS)
        IoDeleteDevice(second);
    status = IoCreateSymbolicLink(&link, &name);
    NEED(status == STATUS_SUCCESS, down);
    status = IoCreateSymbolicLink(&other, &name);
    CHECK(status == STATUS_OBJECT_NAME_COLLISION || plat_alloc_failed());
    status = IoGetDeviceObjectPointer(&other, FILE_READ_DATA, &file, &device);
    if (status == STATUS_SUCCESS) {
        CHECK(device == t.upper && IoGetRelatedDeviceObject(file) == t.upper &&
              strcmp(steps, "o") == 0);
        ObReferenceObject(file);
        ObDereferenceObject(file);
        ObDereferenceObject(file);
        CHECK(strcmp(steps, "okz") == 0);
    } else {
        CHECK(plat_alloc_failed());
    }
    while ((status = IoDeleteSymbolicLink(&link)) == STATUS_INSUFFICIENT_RESOURCES)
        CHECK(plat_alloc_failed());
    CHECK(status == STATUS_SUCCESS);
    CHECK(IoDeleteSymbolicLink(&link) == STATUS_OBJECT_NAME_NOT_FOUND || plat_alloc_failed());
down:
    stack_down(upper);
out:;
}

static void test_names(void **state)
{
    explore(names, 0);
}

/* ---- drivers --------------------------------------------------------------------------------- */

static int hook_calls;

static void entry_hook(DRIVER_OBJECT *driver, bool returned, NTSTATUS status)
{
    hook_calls += returned ? 10 : 1;
}

static NTSTATUS NTAPI RefusingEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING RegistryPath)
{
    return STATUS_DEVICE_CONFIGURATION_ERROR;
}

static NTSTATUS NTAPI PlainEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING RegistryPath)
{
    PVOID extension;
    NTSTATUS status = IoAllocateDriverObjectExtension(Driver, &hook_calls, 24, &extension);
    if (status < 0)
        return status;
    CHECK(IoGetDriverObjectExtension(Driver, &hook_calls) == extension);
    CHECK(IoAllocateDriverObjectExtension(Driver, &hook_calls, 24, &extension) ==
          STATUS_OBJECT_NAME_COLLISION);
    Driver->DriverUnload = TestUnload;
    return STATUS_SUCCESS;
}

static void drivers(void *arg)
{
    DRIVER_OBJECT *driver = NULL, *again;
    NTSTATUS status;
    memset(&t, 0, sizeof t);
    hook_calls = 0;
    umn__driver_entry_hook(entry_hook);
    int err = umn__driver_load("refusing", RefusingEntry, NULL, &driver, &status);
    CHECK(err == UMN_EDRIVER || plat_alloc_failed());
    if (err == UMN_EDRIVER && !plat_alloc_failed())
        CHECK(status == STATUS_DEVICE_CONFIGURATION_ERROR && strstr(umn__refusal(), "0xC0000182"));
    err = umn__driver_load("plain", PlainEntry, NULL, &driver, &status);
    if (err == 0) {
        CHECK(hook_calls == 22 || plat_alloc_failed());
        CHECK(umn__driver_load("Plain", PlainEntry, NULL, &again, &status) == UMN_EEXIST);
        CHECK(strcmp(umn__driver_service(driver), "plain") == 0);
        CHECK(umn__driver_unload(driver) == 0);
    } else {
        CHECK(plat_alloc_failed());
    }
    umn__driver_entry_hook(NULL);
}

static void test_drivers(void **state)
{
    explore(drivers, 0);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static void io_errors(void *arg)
{
    DRIVER_OBJECT *upper;
    PIO_WORKITEM item;
    NEED(stack_up(&upper), out);
    PIRP irp = IoAllocateIrp(2, FALSE);
    NEED(irp, down);
    IoSetNextIrpStackLocation(irp);
    irp->IoStatus.Status = STATUS_PENDING;
    IoCompleteRequest(irp, IO_NO_INCREMENT); /* 1: pending, 2: nobody takes it back */
    CHECK(RULE("PendedCompletedRequest") == 1 && RULE("IrpNotTaken") == 1);
    IoFreeIrp(irp);
    IoDetachDevice(t.upper); /* 3: nothing attached */
    item = IoAllocateWorkItem(t.lower);
    NEED(item, down);
    IoFreeWorkItem(item);
    t.left = true;
    IoDetachDevice(t.attached);
    CHECK(umn__driver_unload(upper) == 0); /* 4: devices left */
    CHECK(RULE("DriverUnload") == 1);
    t.upper = NULL;
    t.left = false;
    CHECK(umn__driver_unload(lower_driver) == 0);
    return;
down:
    stack_down(upper);
out:;
}

static void test_io_errors(void **state)
{
    explore(io_errors, 4);
}

struct io_work {
    PIO_WORKITEM item;
    KEVENT done;
};

static void NTAPI io_work_routine(PDEVICE_OBJECT Device, PVOID Context)
{
    struct io_work *w = Context;
    CHECK(Device == t.lower);
    IoFreeWorkItem(w->item); /* allowed in the routine */
    KeSetEvent(&w->done, 0, FALSE);
}

static void io_work_items(void *arg)
{
    DRIVER_OBJECT *upper;
    struct io_work w;
    NEED(stack_up(&upper), out);
    KeInitializeEvent(&w.done, NotificationEvent, FALSE);
    w.item = IoAllocateWorkItem(t.lower);
    NEED(w.item, down);
    IoQueueWorkItem(w.item, io_work_routine, DelayedWorkQueue, &w);
    KeWaitForSingleObject(&w.done, Executive, KernelMode, FALSE, NULL);
down:
    stack_down(upper);
out:;
}

static void test_io_work_items(void **state)
{
    explore(io_work_items, 0);
}

/* ---- cancel-safe queues ---------------------------------------------------------------------- */

static struct {
    IO_CSQ csq;
    KSPIN_LOCK lock;
    LIST_ENTRY queue;
    int cancelled, completed;
} q;

static void NTAPI CsqInsert(PIO_CSQ Csq, PIRP Irp)
{
    InsertTailList(&q.queue, &Irp->Tail.Overlay.ListEntry);
}

static void NTAPI CsqRemove(PIO_CSQ Csq, PIRP Irp)
{
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
}

static PIRP NTAPI CsqPeek(PIO_CSQ Csq, PIRP Irp, PVOID Context)
{
    PLIST_ENTRY next = Irp ? Irp->Tail.Overlay.ListEntry.Flink : q.queue.Flink;
    return next == &q.queue ? NULL : CONTAINING_RECORD(next, IRP, Tail.Overlay.ListEntry);
}

static void NTAPI CsqAcquire(PIO_CSQ Csq, PKIRQL Irql)
{
    KeAcquireSpinLock(&q.lock, Irql);
}

static void NTAPI CsqRelease(PIO_CSQ Csq, KIRQL Irql)
{
    KeReleaseSpinLock(&q.lock, Irql);
}

static void finish(PIRP Irp, NTSTATUS status)
{
    Irp->IoStatus.Status = status;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
}

static void NTAPI CsqCancelled(PIO_CSQ Csq, PIRP Irp)
{
    q.cancelled++;
    finish(Irp, STATUS_CANCELLED);
}

static void canceller(void *irp)
{
    IoCancelIrp(irp);
}

static NTSTATUS NTAPI queue_dispatch(PDEVICE_OBJECT Device, PIRP Irp)
{
    IoCsqInsertIrp(&q.csq, Irp, NULL);
    return STATUS_PENDING;
}

static NTSTATUS NTAPI irp_back(PDEVICE_OBJECT Device, PIRP Irp, PVOID Context)
{
    q.completed++;
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* Cancelling and taking out race; each IRP ends once. */
static void csq(void *arg)
{
    DRIVER_OBJECT *upper;
    PIRP irp[2] = {0};
    struct umn_ctx *ctx;
    NEED(stack_up(&upper), out);
    memset(&q, 0, sizeof q);
    InitializeListHead(&q.queue);
    IoCsqInitialize(&q.csq, CsqInsert, CsqRemove, CsqPeek, CsqAcquire, CsqRelease, CsqCancelled);
    lower_driver->MajorFunction[IRP_MJ_READ] = queue_dispatch;
    for (int i = 0; i < 2; i++) {
        irp[i] = IoAllocateIrp(1, FALSE);
        NEED(irp[i], down);
        IoGetNextIrpStackLocation(irp[i])->MajorFunction = IRP_MJ_READ;
        IoSetCompletionRoutine(irp[i], irp_back, NULL, TRUE, TRUE, TRUE);
        irp[i]->Cancel = i == 1; /* the second is cancelled before it is queued */
        CHECK(IoCallDriver(t.lower, irp[i]) == STATUS_PENDING);
    }
    CHECK(q.cancelled == 1 && q.completed == 1 && irp[1]->IoStatus.Status == STATUS_CANCELLED);
    NEED(umn__ctx_spawn(&ctx, canceller, irp[0], "canceller") == 0, take);
    umn__point(UMN_OP_YIELD, NULL);
    PIRP got = IoCsqRemoveNextIrp(&q.csq, NULL);
    if (got) {
        CHECK(got == irp[0]);
        finish(got, STATUS_SUCCESS);
    }
    umn__ctx_join(ctx);
    CHECK(q.completed == 2 && q.cancelled == (got ? 1 : 2) && IsListEmpty(&q.queue));
    CHECK(IoCsqRemoveNextIrp(&q.csq, NULL) == NULL);
    goto down;
take:
    finish(IoCsqRemoveNextIrp(&q.csq, NULL), STATUS_SUCCESS);
down:
    for (int i = 0; i < 2; i++)
        if (irp[i])
            IoFreeIrp(irp[i]);
    stack_down(upper);
out:;
}

static void test_csq(void **state)
{
    explore(csq, 0);
}

static void io_misc(void *arg)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(u"\\BaseNamedObjects\\MyEvent");
    HANDLE first, second;
    PKEVENT event = IoCreateNotificationEvent(&name, &first);
    NEED(event, out);
    CHECK(KeReadStateEvent(event));
    PKEVENT same = IoCreateNotificationEvent(&name, &second);
    CHECK(same == event || plat_alloc_failed());
    if (same)
        ZwClose(second);
    ZwClose(first);
    IO_ERROR_LOG_PACKET *packet = IoAllocateErrorLogEntry(lower_driver, sizeof *packet);
    NEED(packet, out);
    packet->ErrorCode = 7;
    IoWriteErrorLogEntry(packet);
    CHECK(IoAllocateErrorLogEntry(lower_driver, 4) == NULL);
    CHECK(RtlCrc32("123456789", 9, 0) == 0xcbf43926 && RtlIsZeroMemory("\0\0", 2));
out:;
}

static void test_io_misc(void **state)
{
    explore(io_misc, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_irps),      cmocka_unit_test(test_pending),
        cmocka_unit_test(test_own_irps),  cmocka_unit_test(test_pnp_irps),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_drivers),
        cmocka_unit_test(test_io_errors), cmocka_unit_test(test_io_work_items),
        cmocka_unit_test(test_csq),       cmocka_unit_test(test_io_misc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
