/* SPDX-License-Identifier: MIT */
/* Memory, locks, events, timers, work items, processors of NDIS, as nt_harness.h runs scenarios. */
#include "nt_harness.h"
#include "ndis/data.h"
#include "nt/umhost.h"

#define TAG 0x74736554u

/* ---- memory, strings, processors
 * ------------------------------------------------------------------------ */

static void memory(void *arg)
{
    NDIS_GENERIC_OBJECT *object;
    NDIS_STRING s;
    PVOID p = NdisAllocateMemoryWithTagPriority(NULL, 100, TAG, NormalPoolPriority), q;
    KIRQL old;

    NEED(p, out);
    memset(p, 1, 100);
    NdisFreeMemoryWithTagPriority(NULL, p, TAG);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    p = NdisAllocateMemoryWithTagPriority(NULL, 100, TAG, NormalPoolPriority);
    if (p)
        NdisFreeMemory(p, 100, 0);
    if (NdisAllocateMemoryWithTag(&q, 8, TAG) == NDIS_STATUS_SUCCESS)
        NdisFreeMemoryWithTag(q, TAG);
    KeLowerIrql(old);
    NdisInitializeString(&s, (PUCHAR) "MUX");
    NEED(s.Buffer, out);
    CHECK(s.Length == 6 && s.MaximumLength == 8 && s.Buffer[2] == 'X' && s.Buffer[3] == 0);
    NdisFreeString(s);
    object = NdisAllocateGenericObject(NULL, TAG, 0);
    NEED(object, out);
    NdisFreeGenericObject(object);
out:
    CHECK(NdisSystemActiveProcessorCount(NULL) == 2 && NdisGroupActiveProcessorMask(0) == 3);
}

static void processors(void *arg)
{
    uint8_t room[400];
    NDIS_SYSTEM_PROCESSOR_INFO_EX *all = (void *)room;
    NDIS_RSS_PROCESSOR_INFO *rss = (void *)room;
    PROCESSOR_NUMBER number;
    SIZE_T size = 10;

    CHECK(NdisGetProcessorInformationEx(NULL, all, &size) == NDIS_STATUS_BUFFER_TOO_SHORT);
    CHECK(size > sizeof *all && size <= sizeof room);
    CHECK(NdisGetProcessorInformationEx(NULL, all, &size) == NDIS_STATUS_SUCCESS);
    CHECK(all->NumberOfProcessors == 2 &&
          all->ProcessorInfoEntrySize == sizeof(NDIS_PROCESSOR_INFO_EX));
    size = 0;
    CHECK(NdisGetRssProcessorInformation(NULL, NULL, &size) == NDIS_STATUS_BUFFER_TOO_SHORT);
    CHECK(NdisGetRssProcessorInformation(NULL, rss, &size) == NDIS_STATUS_SUCCESS);
    CHECK(rss->RssProcessorCount == 2);
    CHECK(NdisProcessorIndexToNumber(1, &number) == 0 && NdisProcessorNumberToIndex(number) == 1);
    CHECK(NdisProcessorIndexToNumber(2, &number) != 0);
    CHECK(NdisGeneratePartialCancelId() != NdisGeneratePartialCancelId());
}

/* ---- reader/writer locks
 * -------------------------------------------------------------------------------- */

static PNDIS_RW_LOCK_EX lock;
static NDIS_RW_LOCK old_lock;
static bool use_old;
static int readers, writers, turns;

static void enter(bool write, LOCK_STATE_EX *state, LOCK_STATE *old)
{
    if (use_old)
        NdisAcquireReadWriteLock(&old_lock, write, old);
    else if (write)
        NdisAcquireRWLockWrite(lock, state, 0);
    else
        NdisAcquireRWLockRead(lock, state, 0);
}

static void leave(LOCK_STATE_EX *state, LOCK_STATE *old)
{
    if (use_old)
        NdisReleaseReadWriteLock(&old_lock, old);
    else
        NdisReleaseRWLock(lock, state);
}

static void lock_user(void *arg)
{
    bool writer = arg != NULL;

    for (unsigned i = 0; i < 4; i++) {
        LOCK_STATE_EX state, inner;
        LOCK_STATE old;

        enter(writer, &state, &old);
        CHECK(umn__irql() == DISPATCH_LEVEL && writers == 0 && (!writer || readers == 0));
        *(writer ? &writers : &readers) += 1;
        umn__point(UMN_OP_ATOMIC, &readers);
        if (!writer && !use_old) { /* readers may nest, also with a writer waiting */
            NdisAcquireRWLockRead(lock, &inner, NDIS_RWL_AT_DISPATCH_LEVEL);
            umn__point(UMN_OP_ATOMIC, &readers);
            NdisReleaseRWLock(lock, &inner);
        }
        CHECK(writers == (writer ? 1 : 0) && (!writer || readers == 0));
        *(writer ? &writers : &readers) -= 1;
        turns++;
        leave(&state, &old);
        CHECK(umn__irql() == PASSIVE_LEVEL);
    }
}

static void rw_locks(void *arg)
{
    struct umn_ctx *ctx[4] = {0};
    int want = 0;

    readers = writers = turns = 0;
    lock = NdisAllocateRWLock(NULL);
    NdisInitializeReadWriteLock(&old_lock);
    NEED(lock, out);
    for (uintptr_t i = 0; i < 4; i++) {
        if (umn__ctx_spawn(&ctx[i], lock_user, (void *)(i & 1), "user"))
            ctx[i] = NULL;
        want += ctx[i] ? 4 : 0;
    }
    for (unsigned i = 0; i < 4; i++)
        if (ctx[i])
            umn__ctx_join(ctx[i]);
    CHECK(turns == want);
out:
    if (lock)
        NdisFreeRWLock(lock);
}

/* ---- events, timers, work items
 * ---------------------------------------------------------------------------- */

static NDIS_EVENT event;
static unsigned fired;
static PVOID fired_with;

static void NTAPI tick(PVOID a, PVOID context, PVOID b, PVOID c)
{
    CHECK(umn__irql() == DISPATCH_LEVEL);
    fired++;
    fired_with = context;
    NdisSetEvent(&event);
}

static void timers(void *arg)
{
    NDIS_TIMER_CHARACTERISTICS c = {
        .Header = {NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS, NDIS_TIMER_CHARACTERISTICS_REVISION_1,
                   NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1},
        .AllocationTag = TAG,
        .TimerFunction = tick,
        .FunctionContext = &c,
    };
    NDIS_HANDLE timer = NULL;

    fired = 0;
    NdisInitializeEvent(&event);
    c.TimerFunction = NULL;
    CHECK(NdisAllocateTimerObject(NULL, &c, &timer) == NDIS_STATUS_BAD_CHARACTERISTICS);
    c.TimerFunction = tick;
    NEED(NdisAllocateTimerObject(NULL, &c, &timer) == NDIS_STATUS_SUCCESS, out);
    CHECK(!NdisSetTimerObject(timer, relative_ms(5), 0, NULL));
    CHECK(!NdisWaitEvent(&event, 1)); /* too early */
    CHECK(NdisWaitEvent(&event, 1000) && fired == 1 && fired_with == &c);
    NdisResetEvent(&event);
    NdisSetTimerObject(timer, relative_ms(5), 0, &event);
    CHECK(NdisSetTimerObject(timer, relative_ms(50), 0, &event)); /* moves it */
    CHECK(!NdisWaitEvent(&event, 20));
    CHECK(NdisCancelTimerObject(timer) && !NdisCancelTimerObject(timer));
    NdisMSleep(100000);
    CHECK(fired == 1);
    NdisSetTimerObject(timer, relative_ms(1), 10, &fired); /* periodic */
    NdisMSleep(35000);
    CHECK(fired >= 4 && fired_with == &fired);
    NdisCancelTimerObject(timer);
    fired = 0;
    NdisMSleep(50000);
    CHECK(fired == 0);
out:
    if (timer)
        NdisFreeTimerObject(timer);
}

static void NTAPI work(PVOID context, NDIS_HANDLE item)
{
    CHECK(umn__irql() == PASSIVE_LEVEL);
    if (++fired < 3) {
        NdisQueueIoWorkItem(item, work, context); /* from its own routine */
        return;
    }
    NdisFreeIoWorkItem(item);
    NdisSetEvent(context);
}

static void work_items(void *arg)
{
    NDIS_HANDLE item = NdisAllocateIoWorkItem(NULL);
    KIRQL old;

    fired = 0;
    NdisInitializeEvent(&event);
    NEED(item, out);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    NdisQueueIoWorkItem(item, work, &event);
    KeLowerIrql(old);
    CHECK(NdisWaitEvent(&event, 0) && fired == 3);
out:;
}

/* ---- control devices
 * ------------------------------------------------------------------------------------------ */

static NTSTATUS NTAPI open_close(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI control(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    uint32_t *extension = NdisGetDeviceReservedExtension(DeviceObject);

    (*extension)++;
    memcpy(Irp->AssociatedIrp.SystemBuffer, extension, 4);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->IoStatus.Information = 4;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static void NTAPI rig_unload(PDRIVER_OBJECT Driver)
{
}

static NTSTATUS NTAPI rig_entry(PDRIVER_OBJECT Driver, PUNICODE_STRING Path)
{
    Driver->DriverUnload = rig_unload;
    return STATUS_SUCCESS;
}

static void devices(void *arg)
{
    static WCHAR device_text[] = u"\\Device\\rig", link_text[] = u"\\DosDevices\\rig";
    PDRIVER_DISPATCH major[IRP_MJ_MAXIMUM_FUNCTION + 1] = {0};
    UNICODE_STRING device_name, link_name;
    NDIS_DEVICE_OBJECT_ATTRIBUTES a = {
        .Header = {NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES,
                   NDIS_DEVICE_OBJECT_ATTRIBUTES_REVISION_1,
                   NDIS_SIZEOF_DEVICE_OBJECT_ATTRIBUTES_REVISION_1},
        .DeviceName = &device_name,
        .SymbolicName = &link_name,
        .MajorFunctions = major,
        .ExtensionSize = 4,
    };
    struct ndis_mdriver m = {0};
    DRIVER_OBJECT *driver = NULL;
    DEVICE_OBJECT *object;
    NDIS_HANDLE handle = NULL;
    uint32_t number = 0;
    size_t got = 0;
    NTSTATUS status;

    umn__us_init(&device_name, device_text);
    umn__us_init(&link_name, link_text);
    major[IRP_MJ_CREATE] = major[IRP_MJ_CLEANUP] = major[IRP_MJ_CLOSE] = open_close;
    major[IRP_MJ_DEVICE_CONTROL] = control;
    umn__ndis_start();
    CHECK(NdisRegisterDeviceEx(&m, &a, &object, &handle) == NDIS_STATUS_NOT_SUPPORTED);
    NEED(umn__driver_load("rig", rig_entry, NULL, &driver, &status) == 0, out);
    ndis__object_live(&m.obj, NDIS_KIND_MDRIVER);
    m.driver_object = driver;
    NEED(NdisRegisterDeviceEx(&m, &a, &object, &handle) == NDIS_STATUS_SUCCESS, out);
    status = umn__device_ioctl("\\DosDevices\\rig",
                               CTL_CODE(FILE_DEVICE_NETWORK, 1, METHOD_BUFFERED, FILE_ANY_ACCESS),
                               NULL, 0, &number, 4, &got);
    CHECK((status == STATUS_SUCCESS && number == 1 && got == 4) || plat_alloc_failed());
out:
    if (handle)
        NdisDeregisterDeviceEx(handle);
    if (driver)
        CHECK(umn__driver_unload(driver) == 0);
    ndis__object_dead(&m.obj);
    umn__ndis_stop();
}

static void mistakes(void *arg)
{
    KIRQL old;

    NdisInitializeEvent(&event);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    CHECK(!NdisWaitEvent(&event, 1)); /* 1: IM-SYN-03 */
    NdisMSleep(1);                    /* 2 */
    KeLowerIrql(old);
    NdisFreeIoWorkItem(&event);    /* 3 */
    NdisCancelTimerObject(&event); /* 4 */
}

/* ---- tests
 * ---------------------------------------------------------------------------------------------------
 */

#define SWEEP(name, scenario)                                                                      \
    static void name(void **state)                                                                 \
    {                                                                                              \
        explore(scenario, 0);                                                                      \
    }
SWEEP(memory_strings_generic_objects, memory)
SWEEP(processors_are_those_of_the_scheduler, processors)
SWEEP(timers_fire_at_dispatch_and_are_cancelled, timers)
SWEEP(work_items_run_at_passive, work_items)
SWEEP(control_devices_get_their_requests, devices)

static void rw_locks_exclude_writers(void **state)
{
    use_old = false;
    explore(rw_locks, 0);
    use_old = true;
    explore(rw_locks, 0);
}

static void im_syn_03_waits_above_passive_are_reported(void **state)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE, .cpus = 2};

    umn__report_quiet(true);
    run_once(mistakes, &config, 0, 4);
    umn__report_quiet(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_strings_generic_objects),
        cmocka_unit_test(processors_are_those_of_the_scheduler),
        cmocka_unit_test(rw_locks_exclude_writers),
        cmocka_unit_test(timers_fire_at_dispatch_and_are_cancelled),
        cmocka_unit_test(work_items_run_at_passive),
        cmocka_unit_test(control_devices_get_their_requests),
        cmocka_unit_test(im_syn_03_waits_above_passive_are_reported),
    };
    return cmocka_run_group_tests_name("ndis_services", tests, NULL, NULL);
}
