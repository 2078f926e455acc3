/* SPDX-License-Identifier: MIT */
/*
 * Work items: the routine runs once per queueing, in a worker at PASSIVE_LEVEL. `queued` is the
 * only shared field; the item may be queued again or freed from its routine. <= DISPATCH_LEVEL.
 */
#include "ndis/data.h"

#define WORK_KIND 0x4b524f57u /* 'WORK' */
#define WORK_TAG 0x6b725744u

struct ndis_work {
    uint32_t kind;
    uint32_t queued;
    struct umn_work work;
    NDIS_IO_WORKITEM_FUNCTION *routine;
    PVOID context;
};

static void run(struct umn_work *work)
{
    struct ndis_work *w = umn_container_of(work, struct ndis_work, work);
    NDIS_IO_WORKITEM_FUNCTION *routine = w->routine;
    PVOID context = w->context;

    __atomic_store_n(&w->queued, 0, __ATOMIC_RELEASE);
    umn__point(UMN_OP_CALLBACK, w);
    routine(context, w);
}

static struct ndis_work *work_of(NDIS_HANDLE handle, const char *function)
{
    struct ndis_work *w = handle;

    umn__check_irql(UMN_DISPATCH, function);
    if (w && w->kind == WORK_KIND)
        return w;
    umn__report("HandleType", 0, "%s: %p is no work item", function, handle);
    return NULL;
}

/* NdisObjectHandle: of a miniport adapter or driver, a filter, a device; not of a protocol or
 * binding. NULL: no memory. nf-ndis-ndisallocateioworkitem.md */
NDIS_HANDLE NTAPI NdisAllocateIoWorkItem(NDIS_HANDLE NdisObjectHandle)
{
    struct ndis_work *w;

    umn__check_irql(UMN_DISPATCH, "NdisAllocateIoWorkItem");
    if (ndis__verify) {
        enum ndis_kind kind = ndis__kind(NdisObjectHandle);

        if (kind == NDIS_KIND_PROTOCOL || kind == NDIS_KIND_BINDING)
            umn__report("Init_NdisAllocateIoWorkItem", 0,
                        "NdisAllocateIoWorkItem: a protocol's "
                        "handle does not serve");
    }
    w = ExAllocatePoolWithTag(NonPagedPool, sizeof(*w), WORK_TAG);
    if (!w)
        return NULL;
    *w = (struct ndis_work){.kind = WORK_KIND, .work.run = run};
    return w;
}

/* Queues the item; it must not be queued already. nf-ndis-ndisqueueioworkitem.md */
void NTAPI NdisQueueIoWorkItem(NDIS_HANDLE NdisIoWorkItemHandle, NDIS_IO_WORKITEM_ROUTINE Routine,
                               PVOID WorkItemContext)
{
    struct ndis_work *w = work_of(NdisIoWorkItemHandle, "NdisQueueIoWorkItem");

    if (!w)
        return;
    if (__atomic_exchange_n(&w->queued, 1, __ATOMIC_ACQ_REL)) {
        umn__report("WK-01", 0, "NdisQueueIoWorkItem: the item is queued already");
        return;
    }
    w->routine = Routine;
    w->context = WorkItemContext;
    umn__work_queue(&w->work);
}

/* Frees an item that is not queued. nf-ndis-ndisfreeioworkitem.md */
void NTAPI NdisFreeIoWorkItem(NDIS_HANDLE NdisIoWorkItemHandle)
{
    struct ndis_work *w = work_of(NdisIoWorkItemHandle, "NdisFreeIoWorkItem");

    if (!w)
        return;
    if (__atomic_load_n(&w->queued, __ATOMIC_ACQUIRE)) {
        umn__report("WK-01", 0, "NdisFreeIoWorkItem: the item is queued and will run");
        return;
    }
    w->kind = 0;
    ExFreePool(w);
}
