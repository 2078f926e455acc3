/* SPDX-License-Identifier: MIT */
/*
 * Dispatcher objects and waits. One leaf lock, ke__dispatcher, guards every DISPATCHER_HEADER
 * (SignalState, WaitListHead), mutex ownership and struct ke_wait.
 *
 * A wait lives on the waiter's stack: a struct ke_wait, and a KWAIT_BLOCK for each object on that
 * object's list. Whoever signals an object satisfies waits under the lock (consumes the signal,
 * takes the blocks off all lists, stores the result) and wakes the contexts after it:
 *
 *   WAITING --ke__satisfy (lock held)--> SATISFIED --ke__wake (unparked)--> RELEASED
 *      |
 *      +--ke_wait_end at the deadline (lock held)--> the waiter owns its stack again
 *
 * A waiter that sees SATISFIED stays until RELEASED, since ke__wake still needs its record.
 */
#include "nt/private.h"

struct umn_mutex ke__dispatcher;

enum wait_state { WAITING, SATISFIED, RELEASED };
struct ke_wait {
    uint32_t state;
    struct umn_ctx *ctx;
    struct umn_thread *thread;
    KWAIT_BLOCK *blocks;
    ULONG count;
    WAIT_TYPE type;
    NTSTATUS result;
    struct ke_wait *next_wake;
};

static struct umn_list *list_of(LIST_ENTRY *entry)
{
    return (struct umn_list *)entry;
}

void ke__object_init(DISPATCHER_HEADER *object, UCHAR type, UCHAR size, LONG state)
{
    object->Lock = 0;
    object->Type = type;
    object->Size = size;
    object->SignalState = state;
    umn_list_init(list_of(&object->WaitListHead));
}

bool ke__object_ok(const DISPATCHER_HEADER *object)
{
    return object && object->WaitListHead.Flink && object->WaitListHead.Blink &&
           (object->Type & 0x7f) <= TimerSynchronizationObject;
}

void ke__object_bad(const DISPATCHER_HEADER *object, const char *function)
{
    umn__report("UninitializedObject", 0x123,
                "%s on %p, which is not an initialized dispatcher object", function,
                (const void *)object);
}

static bool signaled_for(const DISPATCHER_HEADER *object, const struct umn_thread *thread)
{
    if (object->SignalState > 0)
        return true;
    return object->Type == MutantObject &&
           CONTAINING_RECORD(object, KMUTANT, Header)->OwnerThread == (PKTHREAD)thread;
}

/* What a satisfied wait does to the object. */
static void consume(DISPATCHER_HEADER *object, struct umn_thread *thread)
{
    switch (object->Type) {
    case EventSynchronizationObject:
    case TimerSynchronizationObject:
        object->SignalState = 0;
        break;
    case SemaphoreObject:
        object->SignalState--;
        break;
    case MutantObject: {
        KMUTANT *m = CONTAINING_RECORD(object, KMUTANT, Header);
        if (--object->SignalState == 0) {
            m->OwnerThread = (PKTHREAD)thread;
            umn_list_add_tail(&thread->mutants, list_of(&m->MutantListEntry));
            thread->guarded += m->ApcDisable; /* a mutex holds normal APCs back */
        }
        break;
    }
    default:
        break;
    }
}

static bool try_objects(ULONG count, PVOID *objects, WAIT_TYPE type, struct umn_thread *thread,
                        NTSTATUS *result)
{
    for (ULONG i = 0; i < count; i++) {
        bool yes = signaled_for(objects[i], thread);
        if (type == WaitAny && yes) {
            consume(objects[i], thread);
            *result = STATUS_WAIT_0 + (NTSTATUS)i;
            return true;
        }
        if (type == WaitAll && !yes)
            return false;
    }
    if (type == WaitAny)
        return false;
    for (ULONG i = 0; i < count; i++)
        consume(objects[i], thread);
    *result = STATUS_SUCCESS;
    return true;
}

static void unlink_blocks(struct ke_wait *w)
{
    for (ULONG i = 0; i < w->count; i++)
        umn_list_remove(list_of(&w->blocks[i].WaitListEntry));
}

/* One wait, tried against the object that was signaled. */
static bool satisfy_one(struct ke_wait *w, KWAIT_BLOCK *block)
{
    if (w->type == WaitAny) {
        if (!signaled_for(block->Object, w->thread))
            return false;
        consume(block->Object, w->thread);
        w->result = STATUS_WAIT_0 + block->WaitKey;
    } else {
        for (ULONG i = 0; i < w->count; i++)
            if (!signaled_for(w->blocks[i].Object, w->thread))
                return false;
        for (ULONG i = 0; i < w->count; i++)
            consume(w->blocks[i].Object, w->thread);
        w->result = STATUS_SUCCESS;
    }
    unlink_blocks(w);
    return true;
}

struct ke_wait *ke__satisfy(DISPATCHER_HEADER *object, struct ke_wait *chain)
{
    struct umn_list *head = list_of(&object->WaitListHead);
    struct ke_wait **tail = &chain;
    while (*tail)
        tail = &(*tail)->next_wake;
    for (struct umn_list *pos = head->next; pos != head && object->SignalState > 0;) {
        KWAIT_BLOCK *block = umn_container_of((LIST_ENTRY *)pos, KWAIT_BLOCK, WaitListEntry);
        struct ke_wait *w = block->SparePtr;
        if (!satisfy_one(w, block)) {
            pos = pos->next;
            continue;
        }
        w->next_wake = NULL;
        __atomic_store_n(&w->state, SATISFIED, __ATOMIC_RELEASE);
        *tail = w;
        tail = &w->next_wake;
        pos = head->next; /* other blocks of this wait may have been next on the list */
    }
    return chain;
}

void ke__wake(struct ke_wait *chain)
{
    while (chain) {
        struct ke_wait *next = chain->next_wake;
        umn__unpark(chain->ctx);
        __atomic_store_n(&chain->state, RELEASED, __ATOMIC_RELEASE);
        chain = next;
    }
}

/* Blocks until satisfied or the deadline. */
static NTSTATUS wait_end(struct ke_wait *w, uint64_t deadline, const char *function)
{
    const void *object = w->blocks[0].Object;
    while (__atomic_load_n(&w->state, __ATOMIC_ACQUIRE) == WAITING) {
        if (umn__park(deadline, function, object) != UMN_ETIMEDOUT || umn__now() < deadline)
            continue;
        umn__lock(&ke__dispatcher);
        bool late = w->state == WAITING;
        if (late)
            unlink_blocks(w);
        umn__unlock(&ke__dispatcher);
        if (late)
            return STATUS_TIMEOUT;
    }
    while (__atomic_load_n(&w->state, __ATOMIC_ACQUIRE) != RELEASED)
        umn__park(umn__now() + 1, "end of a wake", object);
    return w->result;
}

static NTSTATUS wait_for(ULONG count, PVOID *objects, WAIT_TYPE type, const LARGE_INTEGER *timeout,
                         KWAIT_BLOCK *blocks, const char *function)
{
    struct umn_thread *thread = ps__self();
    struct ke_wait w = {
        .ctx = umn__ctx_self(), .thread = thread, .blocks = blocks, .count = count, .type = type};
    bool poll = timeout && timeout->QuadPart == 0;
    if (!poll && umn__irql() > APC_LEVEL) {
        umn__report("IrqlKeWaitForMutexObject", 0x3b,
                    "%s at IRQL %u; with a timeout other than zero at most 1", function,
                    umn__irql());
        poll = true; /* nothing can wait here: see whether it is signaled, and go on */
    }
    uint64_t deadline = poll ? 0 : ke__deadline(timeout);
    umn__point(UMN_OP_PARK, objects[0]);
    umn__lock(&ke__dispatcher);
    for (ULONG i = 0; i < count; i++) {
        if (ke__object_ok(objects[i]))
            continue;
        umn__unlock(&ke__dispatcher);
        ke__object_bad(objects[i], function);
        return STATUS_INVALID_PARAMETER;
    }
    if (try_objects(count, objects, type, thread, &w.result)) {
        umn__unlock(&ke__dispatcher);
        return w.result;
    }
    if (poll || !w.ctx) {
        umn__unlock(&ke__dispatcher);
        return STATUS_TIMEOUT;
    }
    for (ULONG i = 0; i < count; i++) {
        DISPATCHER_HEADER *object = objects[i];
        blocks[i] = (KWAIT_BLOCK){.WaitType = (UCHAR)type,
                                  .WaitKey = (USHORT)i,
                                  .Object = object,
                                  .Thread = (PKTHREAD)thread,
                                  .SparePtr = &w};
        umn_list_add_tail(list_of(&object->WaitListHead), list_of(&blocks[i].WaitListEntry));
    }
    umn__unlock(&ke__dispatcher);
    return wait_end(&w, deadline, function);
}

/*
 * Waits for one dispatcher object. Timeout in 100 ns: NULL for ever, 0 polls, negative relative,
 * positive absolute system time. <= APC_LEVEL, or <= DISPATCH_LEVEL with *Timeout 0 (0xC4 / 0x3B).
 * STATUS_SUCCESS, STATUS_TIMEOUT. nf-wdm-kewaitforsingleobject.md
 */
NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason,
                                     KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                     PLARGE_INTEGER Timeout)
{
    KWAIT_BLOCK block;
    return wait_for(1, &Object, WaitAny, Timeout, &block, "KeWaitForSingleObject");
}

/*
 * Waits for any or all of up to 64 objects; above 3 the caller lends WaitBlockArray, which must
 * stay until the wait has ended. Timeout, IRQL as KeWaitForSingleObject. STATUS_WAIT_0 + index
 * (any), STATUS_SUCCESS (all), STATUS_TIMEOUT; too many objects are bug check 0xC.
 * nf-wdm-kewaitformultipleobjects.md
 */
NTSTATUS NTAPI KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType,
                                        KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                                        BOOLEAN Alertable, PLARGE_INTEGER Timeout,
                                        PKWAIT_BLOCK WaitBlockArray)
{
    KWAIT_BLOCK own[THREAD_WAIT_OBJECTS];
    if (Count > (WaitBlockArray ? MAXIMUM_WAIT_OBJECTS : THREAD_WAIT_OBJECTS))
        KeBugCheckEx(MAXIMUM_WAIT_OBJECTS_EXCEEDED, Count, 0, 0, 0);
    if (!Count)
        return STATUS_INVALID_PARAMETER_1;
    return wait_for(Count, Object, WaitType, Timeout, WaitBlockArray ? WaitBlockArray : own,
                    "KeWaitForMultipleObjects");
}
