/* SPDX-License-Identifier: MIT */
/* Pool, lists, MDLs; driver and device objects, IRPs up and down, files, PnP IRPs. */
#include "nt_harness.h"

#include "nt/umhost.h"

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define RED_ZONE 0 /* the sanitizer itself watches the end of a block */
#else
#define RED_ZONE 1
#endif
#define TAG 0x74736554u /* 'Test' */

/* ---- pool
 * ---------------------------------------------------------------------------------------- */

static void pool(void *arg)
{
    struct umn_pool_usage usage[4];
    size_t sizes[] = {1, 16, 100, 4095, 4096, 10000};
    char *p[6] = {0};
    for (int i = 0; i < 6; i++) {
        p[i] = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizes[i], TAG);
        NEED(p[i], out);
        CHECK(((uintptr_t)p[i] & (sizes[i] >= 4096 ? 4095 : 15)) == 0);
        for (size_t k = 0; k < sizes[i]; k++)
            CHECK(p[i][k] == 0);
        memset(p[i], 0x11, sizes[i]);
    }
    CHECK(umn__pool_live() == 6);
    CHECK(umn__pool_usage(usage, 4) == 1 && usage[0].tag == TAG && usage[0].blocks == 6);
    CHECK(usage[0].bytes == 1 + 16 + 100 + 4095 + 4096 + 10000);
out:
    for (int i = 0; i < 6; i++)
        if (p[i])
            ExFreePoolWithTag(p[i], TAG);
    CHECK(umn__pool_live() == 0);
}

static void test_pool(void **state)
{
    explore(pool, 0);
}

static void pool_errors(void *arg)
{
    char *p = ExAllocatePoolWithTag(NonPagedPool, 24, TAG), *q;
    int on_stack[32] = {0};
    KIRQL old;
    NEED(p, out);
    ExFreePoolWithTag(p, TAG + 1); /* 1: another tag; it is freed all the same */
    CHECK(RULE("PoolTag") == 1);
    ExFreePoolWithTag(p, TAG); /* 2: twice */
    CHECK(RULE("PoolFree") == 1 && umn__report_get(1)->code == 0x13);
    ExFreePool(on_stack + 16); /* 3: never ours */
    CHECK(RULE("PoolFree") == 2 && umn__report_get(2)->code == 0x10);
    q = ExAllocatePoolWithTag(NonPagedPool, 24, TAG);
    NEED(q, out);
#if RED_ZONE
    q[24] = 1; /* 4 */
#else
    umn__report("PoolOverrun", 0x51, "the sanitizer's");
#endif
    ExFreePoolWithTag(q, TAG);
    CHECK(RULE("PoolOverrun") == 1);
    old = KeRaiseIrqlToDpcLevel();
    q = ExAllocatePoolWithTag(PagedPool, 8, TAG); /* 5 */
    CHECK(RULE("IrqlExAllocatePool") == 1);
    if (q)
        ExFreePoolWithTag(q, TAG); /* 6 */
    CHECK(RULE("IrqlExFree1") == 1 || !q);
    KeLowerIrql(old);
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_PAGED, 8, TAG) == NULL); /* 7 */
    CHECK(RULE("PoolFlags") == 1);
    q = ExAllocatePoolWithTag(NonPagedPool, 40, TAG); /* 8: left */
out:;
}

static void test_pool_errors(void **state)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE};
    umn__report_reset();
    umn__report_quiet(true);
    *failure = 0;
    assert_int_equal(umn__sched_start(&config), 0);
    assert_int_equal(umn__nt_start(), 0);
    assert_int_equal(umn__sched_run(pool_errors, NULL), 0);
    assert_string_equal(failure, "");
    umn__nt_stop();
    assert_int_equal(umn__report_count_rule("PoolLeak"), 1);
    assert_int_equal(umn__report_count(), 8);
    umn__sched_stop();
    size_t live = plat_alloc_live();
    assert_int_equal(umn__sched_start(&config), 0);
    assert_int_equal(umn__nt_start(), 0); /* the next box is rid of what the last one left */
    umn__nt_stop();
    umn__sched_stop();
    assert_int_equal(plat_alloc_live(), live - 1);
    assert_int_equal(umn__report_count(), 8);
    umn__report_quiet(false);
}

static void lookaside(void *arg)
{
    NPAGED_LOOKASIDE_LIST list;
    LOOKASIDE_LIST_EX list_ex;
    void *p[3] = {0};
    ExInitializeNPagedLookasideList(&list, NULL, NULL, 0, 48, TAG, 0);
    CHECK(ExInitializeLookasideListEx(&list_ex, NULL, NULL, NonPagedPoolNx, 0, 48, TAG, 0) ==
          STATUS_SUCCESS);
    CHECK(ExInitializeLookasideListEx(&list_ex, NULL, NULL, NonPagedPoolMustSucceed, 0, 48, TAG,
                                      0) < 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            p[i] = ExAllocateFromNPagedLookasideList(&list);
        for (int i = 0; i < 3; i++) {
            CHECK(p[i] || plat_alloc_failed());
            if (p[i])
                ExFreeToNPagedLookasideList(&list, p[i]);
        }
    }
    p[0] = ExAllocateFromLookasideListEx(&list_ex);
    if (p[0])
        ExFreeToLookasideListEx(&list_ex, p[0]);
    CHECK(list.L.TotalAllocates == 6);
    ExDeleteNPagedLookasideList(&list);
    ExDeleteLookasideListEx(&list_ex);
    CHECK(umn__pool_live() == 0);
}

static void test_lookaside(void **state)
{
    explore(lookaside, 0);
}

/* ---- lists
 * --------------------------------------------------------------------------------------- */

struct lists {
    SLIST_HEADER head;
    SLIST_ENTRY entry[8];
    int pops;
};

static void list_worker(void *arg)
{
    struct lists *l = arg;
    for (int i = 0; i < 10; i++) {
        PSLIST_ENTRY e = InterlockedPopEntrySList(&l->head);
        if (!e)
            continue;
        umn__point(UMN_OP_YIELD, l);
        InterlockedPushEntrySList(&l->head, e);
        l->pops++;
    }
}

static void lists(void *arg)
{
    struct lists *l = plat_alloc_aligned(16, sizeof *l);
    struct umn_ctx *ctx;
    LIST_ENTRY head, e[3];
    KSPIN_LOCK lock = 0;
    NEED(l, out);
    InitializeSListHead(&l->head);
    CHECK(InterlockedPushEntrySList(&l->head, &l->entry[0]) == NULL);
    for (int i = 1; i < 8; i++)
        CHECK(InterlockedPushEntrySList(&l->head, &l->entry[i]) == &l->entry[i - 1]);
    CHECK(QueryDepthSList(&l->head) == 8 && FirstEntrySList(&l->head) == &l->entry[7]);
    if (umn__ctx_spawn(&ctx, list_worker, l, "popper") == 0) {
        list_worker(l);
        umn__ctx_join(ctx);
    }
    CHECK(QueryDepthSList(&l->head) == 8);
    int n = 0;
    for (PSLIST_ENTRY s = InterlockedFlushSList(&l->head); s; s = s->Next)
        n++;
    CHECK(n == 8 && QueryDepthSList(&l->head) == 0 && !InterlockedPopEntrySList(&l->head));

    InitializeListHead(&head);
    CHECK(ExInterlockedInsertTailList(&head, &e[0], &lock) == NULL);
    CHECK(ExInterlockedInsertTailList(&head, &e[1], &lock) == &e[0]);
    CHECK(ExInterlockedInsertHeadList(&head, &e[2], &lock) == &e[0]);
    CHECK(ExInterlockedRemoveHeadList(&head, &lock) == &e[2]);
    CHECK(ExInterlockedRemoveHeadList(&head, &lock) == &e[0]);
    CHECK(ExInterlockedRemoveHeadList(&head, &lock) == &e[1]);
    CHECK(ExInterlockedRemoveHeadList(&head, &lock) == NULL);
    plat_free(l);
out:;
}

static void test_lists(void **state)
{
    explore(lists, 0);
}

/* ---- MDLs
 * ---------------------------------------------------------------------------------------- */

static void mdls(void *arg)
{
    PMDL mdl = NULL, part = NULL;
    char *buffer = ExAllocatePoolWithTag(NonPagedPoolNx, 10000, TAG);
    NEED(buffer, out);
    mdl = IoAllocateMdl(buffer + 100, 9000, FALSE, FALSE, NULL);
    NEED(mdl, out);
    CHECK(MmGetMdlByteCount(mdl) == 9000 && MmGetMdlByteOffset(mdl) == 100);
    CHECK(MmGetMdlVirtualAddress(mdl) == buffer + 100);
    MmBuildMdlForNonPagedPool(mdl);
    CHECK(MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority) == buffer + 100);
    CHECK(MmGetMdlPfnArray(mdl)[1] == MmGetMdlPfnArray(mdl)[0] + 1);
    part = IoAllocateMdl(buffer + 100, 9000, FALSE, FALSE, NULL);
    NEED(part, out);
    IoBuildPartialMdl(mdl, part, buffer + 5000, 0);
    CHECK(MmGetMdlByteCount(part) == 4100);
    CHECK(MmGetSystemAddressForMdlSafe(part, NormalPagePriority) == buffer + 5000);
    MmPrepareMdlForReuse(part);
    CHECK(MmAdvanceMdl(part, 1000) == STATUS_SUCCESS && MmGetMdlByteCount(part) == 3100);
    CHECK(MmGetSystemAddressForMdlSafe(part, NormalPagePriority) == buffer + 6000);
    CHECK(MmAdvanceMdl(part, 5000) == STATUS_INVALID_PARAMETER_2);
    IoFreeMdl(part);
    part = IoAllocateMdl(buffer, 10, FALSE, FALSE, NULL);
    NEED(part, out);
    MmProbeAndLockPages(part, KernelMode, IoWriteAccess);
    CHECK(MmGetSystemAddressForMdlSafe(part, NormalPagePriority) == buffer);
    MmUnlockPages(part);
    CHECK(part->MdlFlags == 0);
    CHECK(IoAllocateMdl(buffer, 0x7fffffff, FALSE, FALSE, NULL) == NULL);
out:
    if (part)
        IoFreeMdl(part);
    if (mdl)
        IoFreeMdl(mdl);
    if (buffer)
        ExFreePoolWithTag(buffer, TAG);
}

static void test_mdls(void **state)
{
    explore(mdls, 0);
}

static void mdl_errors(void *arg)
{
    char buffer[16];
    PMDL mdl = IoAllocateMdl(buffer, sizeof buffer, FALSE, FALSE, NULL);
    NEED(mdl, out);
    MmUnlockPages(mdl);                                    /* 0x7c */
    MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority); /* 0xb4 */
    MmUnmapLockedPages(buffer, mdl);
    MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
    MmBuildMdlForNonPagedPool(mdl); /* 0xb9 */
    IoFreeMdl(mdl);                 /* 0xb8 */
    CHECK(RULE("MdlFlags") == 3 && RULE("MdlLocked") == 1);
out:;
}

static void test_mdl_errors(void **state)
{
    explore(mdl_errors, 4);
}

/* ---- a stack of two devices
 * ------------------------------------------------------------------------ */

#define IOCTL_ECHO CTL_CODE(FILE_DEVICE_NETWORK, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define IOCTL_PEND CTL_CODE(FILE_DEVICE_NETWORK, 0x801, METHOD_OUT_DIRECT, FILE_ANY_ACCESS)

static char steps[64];
static PIRP pended;
static struct {
    DEVICE_OBJECT *lower, *upper, *attached;
    NTSTATUS pnp_status;
    bool take_back, left;
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
        CHECK(strcmp(steps, round ? "ulC" : "ulXC") == 0);
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

/* ---- names and links
 * --------------------------------------------------------------------------------- */

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

/* ---- drivers
 * ------------------------------------------------------------------------------------------ */

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

/* ---- mistakes
 * ----------------------------------------------------------------------------------------- */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool),      cmocka_unit_test(test_pool_errors),
        cmocka_unit_test(test_lookaside), cmocka_unit_test(test_lists),
        cmocka_unit_test(test_mdls),      cmocka_unit_test(test_mdl_errors),
        cmocka_unit_test(test_irps),      cmocka_unit_test(test_pending),
        cmocka_unit_test(test_own_irps),  cmocka_unit_test(test_pnp_irps),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_drivers),
        cmocka_unit_test(test_io_errors), cmocka_unit_test(test_io_work_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
