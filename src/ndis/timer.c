/* SPDX-License-Identifier: MIT */
/*
 * Timer objects: a KTIMER and a KDPC per object; the driver's function runs at DISPATCH_LEVEL.
 * Setting and cancelling at <= DISPATCH_LEVEL. No lock of its own: src/nt makes both serial; the
 * function context of the next expiry is read once, when the DPC starts.
 */
#include "ndis/data.h"

#define TIMER_KIND 0x454d4954u /* 'TIME' */

struct ndis_timer {
    uint32_t kind;
    bool periodic;
    KTIMER timer;
    KDPC dpc;
    NDIS_TIMER_FUNCTION *function;
    PVOID context;     /* of the characteristics */
    PVOID set_context; /* of the last set, or NULL */
};

static KDEFERRED_ROUTINE fired;

static void NTAPI fired(KDPC *dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    struct ndis_timer *t = context;
    PVOID set = __atomic_load_n(&t->set_context, __ATOMIC_ACQUIRE);

    umn__point(UMN_OP_CALLBACK, t);
    t->function(argument1, set ? set : t->context, argument2, NULL);
}

static struct ndis_timer *timer_of(NDIS_HANDLE handle, const char *function)
{
    struct ndis_timer *t = handle;

    umn__check_irql(UMN_DISPATCH, function);
    if (t && t->kind == TIMER_KIND)
        return t;
    umn__report("HandleType", 0, "%s: %p is no timer object", function, handle);
    return NULL;
}

/*
 * A timer object with its function and default context. BAD_CHARACTERISTICS: header or function
 * missing; RESOURCES. <= DISPATCH_LEVEL. nf-ndis-ndisallocatetimerobject.md
 */
NDIS_STATUS NTAPI NdisAllocateTimerObject(NDIS_HANDLE NdisHandle,
                                          PNDIS_TIMER_CHARACTERISTICS TimerCharacteristics,
                                          PNDIS_HANDLE pTimerObject)
{
    const NDIS_TIMER_CHARACTERISTICS *c = TimerCharacteristics;
    struct ndis_timer *t;

    umn__check_irql(UMN_DISPATCH, "NdisAllocateTimerObject");
    *pTimerObject = NULL;
    if (c->Header.Type != NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS ||
        c->Header.Revision < NDIS_TIMER_CHARACTERISTICS_REVISION_1 ||
        c->Header.Size < NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1 || !c->TimerFunction)
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    t = ExAllocatePoolWithTag(NonPagedPool, sizeof(*t), c->AllocationTag);
    if (!t)
        return NDIS_STATUS_RESOURCES;
    *t = (struct ndis_timer){
        .kind = TIMER_KIND, .function = c->TimerFunction, .context = c->FunctionContext};
    KeInitializeTimer(&t->timer);
    KeInitializeDpc(&t->dpc, fired, t);
    *pTimerObject = t;
    return NDIS_STATUS_SUCCESS;
}

/*
 * DueTime in 100 ns: negative = from now, else system time; every MillisecondsPeriod after that
 * unless 0. FunctionContext NULL: the one of the characteristics. TRUE: it was set already and now
 * is set anew. nf-ndis-ndissettimerobject.md
 */
BOOLEAN NTAPI NdisSetTimerObject(NDIS_HANDLE TimerObject, LARGE_INTEGER DueTime,
                                 LONG MillisecondsPeriod, PVOID FunctionContext)
{
    struct ndis_timer *t = timer_of(TimerObject, "NdisSetTimerObject");

    if (!t)
        return FALSE;
    __atomic_store_n(&t->set_context, FunctionContext, __ATOMIC_RELEASE);
    t->periodic = MillisecondsPeriod != 0;
    return KeSetTimerEx(&t->timer, DueTime, MillisecondsPeriod, &t->dpc);
}

/* The tolerance (milliseconds) permits to be late, and is not made use of. */
BOOLEAN NTAPI NdisSetCoalescableTimerObject(NDIS_HANDLE TimerObject, LARGE_INTEGER DueTime,
                                            LONG MillisecondsPeriod, PVOID FunctionContext,
                                            ULONG Tolerance)
{
    return NdisSetTimerObject(TimerObject, DueTime, MillisecondsPeriod, FunctionContext);
}

/*
 * TRUE: the timer was set and will not fire. A periodic one is cancelled at PASSIVE_LEVEL, and its
 * function does not run any more when this returns. nf-ndis-ndiscanceltimerobject.md
 */
BOOLEAN NTAPI NdisCancelTimerObject(NDIS_HANDLE TimerObject)
{
    struct ndis_timer *t = timer_of(TimerObject, "NdisCancelTimerObject");
    BOOLEAN was_set;

    if (!t)
        return FALSE;
    if (t->periodic && umn__irql() != UMN_PASSIVE)
        umn__report("PeriodicTimer", 0, "NdisCancelTimerObject: a periodic timer at IRQL %u",
                    umn__irql());
    was_set = KeCancelTimer(&t->timer);
    if (t->periodic && umn__irql() == UMN_PASSIVE)
        KeFlushQueuedDpcs();
    return was_set;
}

/* Frees a timer object that is not set. One that is gets cancelled, and reported. */
void NTAPI NdisFreeTimerObject(NDIS_HANDLE TimerObject)
{
    struct ndis_timer *t = timer_of(TimerObject, "NdisFreeTimerObject");

    if (!t)
        return;
    if (KeCancelTimer(&t->timer))
        umn__report("TM-01", 0, "NdisFreeTimerObject: the timer is still set");
    if (KeRemoveQueueDpc(&t->dpc))
        umn__report("TM-01", 0, "NdisFreeTimerObject: the timer's DPC is still queued");
    t->kind = 0;
    ExFreePool(t);
}
