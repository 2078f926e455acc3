/* SPDX-License-Identifier: MIT */
/*
 * Work items: WORK_QUEUE_ITEM (the scheduler's record lies over its List) and IO_WORKITEM, which
 * holds a reference to its device or driver object until the routine has returned. Queueing at
 * <= DISPATCH_LEVEL, routines at PASSIVE_LEVEL in a worker.
 */
#include "nt/private.h"

/* ---- Ex -------------------------------------------------------------------------------------- */

static struct umn_work *record_of(PWORK_QUEUE_ITEM item)
{
    return (struct umn_work *)&item->List;
}

static void ex_run(struct umn_work *work)
{
    PWORK_QUEUE_ITEM item = umn_container_of((LIST_ENTRY *)work, WORK_QUEUE_ITEM, List);
    PWORKER_THREAD_ROUTINE routine = item->WorkerRoutine;
    PVOID parameter = item->Parameter;
    struct ke_entry entry = ke__entry();
    item->List.Flink = NULL;
    item->List.Blink = NULL;
    umn__point(UMN_OP_CALLBACK, item);
    routine(parameter);
    ke__check_return(&entry, "a work item", (const void *)routine);
}

/* Queues a work item that no other queueing waits for; the routine may free it. <= DISPATCH_LEVEL.
 * nf-wdm-exqueueworkitem.md */
void NTAPI ExQueueWorkItem(PWORK_QUEUE_ITEM WorkItem, WORK_QUEUE_TYPE QueueType)
{
    umn__check_irql(DISPATCH_LEVEL, "ExQueueWorkItem");
    if (record_of(WorkItem)->run == ex_run) {
        umn__report("WorkItemQueued", 0xe4, "ExQueueWorkItem of %p, which is queued already",
                    (void *)WorkItem);
        return;
    }
    record_of(WorkItem)->run = ex_run;
    umn__work_queue(record_of(WorkItem));
}

/* ---- Io -------------------------------------------------------------------------------------- */

struct _IO_WORKITEM {
    struct umn_work work;
    PVOID object; /* device or driver object */
    PIO_WORKITEM_ROUTINE routine;
    PIO_WORKITEM_ROUTINE_EX routine_ex;
    PVOID context;
    uint32_t queued;
};

static void io_run(struct umn_work *work)
{
    PIO_WORKITEM item = umn_container_of(work, struct _IO_WORKITEM, work);
    PVOID object = item->object, context = item->context;
    PIO_WORKITEM_ROUTINE routine = item->routine;
    PIO_WORKITEM_ROUTINE_EX routine_ex = item->routine_ex;
    struct ke_entry entry = ke__entry();
    /* From here on the driver may queue it again, or free it. */
    __atomic_store_n(&item->queued, 0, __ATOMIC_RELEASE);
    umn__point(UMN_OP_CALLBACK, item);
    if (routine_ex)
        routine_ex(object, context, item);
    else
        routine(object, context);
    ke__check_return(&entry, "a work item",
                     routine_ex ? (const void *)routine_ex : (const void *)routine);
    ob__deref(object);
}

static bool io_queue(PIO_WORKITEM item, PIO_WORKITEM_ROUTINE routine,
                     PIO_WORKITEM_ROUTINE_EX routine_ex, PVOID context, const char *function)
{
    umn__check_irql(DISPATCH_LEVEL, function);
    umn__point(UMN_OP_WORK, item);
    if (__atomic_exchange_n(&item->queued, 1, __ATOMIC_ACQ_REL))
        return false;
    item->routine = routine;
    item->routine_ex = routine_ex;
    item->context = context;
    item->work.run = io_run;
    ob__ref(item->object);
    umn__work_queue(&item->work);
    return true;
}

static void report_queued(const void *item, const char *function)
{
    umn__report("WorkItemQueued", 0xe4, "%s of %p, which is queued already", function, item);
}

ULONG NTAPI IoSizeofWorkItem(void)
{
    return sizeof(struct _IO_WORKITEM);
}

/* Item in the driver's own memory of IoSizeofWorkItem bytes. <= DISPATCH_LEVEL. */
void NTAPI IoInitializeWorkItem(PVOID IoObject, PIO_WORKITEM IoWorkItem)
{
    *IoWorkItem = (struct _IO_WORKITEM){.object = IoObject};
}

void NTAPI IoUninitializeWorkItem(PIO_WORKITEM IoWorkItem)
{
    if (IoWorkItem->queued)
        umn__report("WorkItemQueued", 0x131, "IoUninitializeWorkItem of a queued work item");
}

/* NULL without memory. <= DISPATCH_LEVEL. nf-wdm-ioallocateworkitem.md */
PIO_WORKITEM NTAPI IoAllocateWorkItem(PDEVICE_OBJECT DeviceObject)
{
    umn__check_irql(DISPATCH_LEVEL, "IoAllocateWorkItem");
    PIO_WORKITEM item =
        umn__pool_alloc((POOL_TYPE)(NonPagedPoolNx | POOL_ZERO_ALLOCATION), sizeof *item,
                        0x69576f49 /* 'IoWi' */, __builtin_return_address(0));
    if (item)
        IoInitializeWorkItem(DeviceObject, item);
    return item;
}

/* Not while queued. <= DISPATCH_LEVEL. nf-wdm-iofreeworkitem.md */
void NTAPI IoFreeWorkItem(PIO_WORKITEM IoWorkItem)
{
    umn__check_irql(DISPATCH_LEVEL, "IoFreeWorkItem");
    if (__atomic_load_n(&IoWorkItem->queued, __ATOMIC_ACQUIRE)) {
        umn__report("WorkItemQueued", 0x131, "IoFreeWorkItem of %p, which is queued",
                    (void *)IoWorkItem);
        return;
    }
    ExFreePoolWithTag(IoWorkItem, 0x69576f49);
}

/* <= DISPATCH_LEVEL. nf-wdm-ioqueueworkitem.md */
void NTAPI IoQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE WorkerRoutine,
                           WORK_QUEUE_TYPE QueueType, PVOID Context)
{
    if (!io_queue(IoWorkItem, WorkerRoutine, NULL, Context, "IoQueueWorkItem"))
        report_queued(IoWorkItem, "IoQueueWorkItem");
}

/* The routine is also told the item. nf-wdm-ioqueueworkitemex.md */
void NTAPI IoQueueWorkItemEx(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine,
                             WORK_QUEUE_TYPE QueueType, PVOID Context)
{
    if (!io_queue(IoWorkItem, NULL, WorkerRoutine, Context, "IoQueueWorkItemEx"))
        report_queued(IoWorkItem, "IoQueueWorkItemEx");
}

/* FALSE if it is queued already. */
BOOLEAN NTAPI IoTryQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine,
                                 WORK_QUEUE_TYPE QueueType, PVOID Context)
{
    return io_queue(IoWorkItem, NULL, WorkerRoutine, Context, "IoTryQueueWorkItem");
}
