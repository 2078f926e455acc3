/* SPDX-License-Identifier: MIT */
/*
 * System threads. Owns struct umn_thread, the ETHREAD / KTHREAD of a context: made by
 * PsCreateSystemThread, or on first use for contexts that others made (workers, DPCs, the host's
 * own). A record's fields belong to its own context, but for `header` and `mutants`, which the
 * dispatcher lock guards.
 */
#include "nt/private.h"

#include <string.h>

/* For host threads that are no contexts, and for want of memory: an identity, never waited on. */
static struct {
    struct ob_header header;
    struct umn_thread thread;
} outside;

static void thread_init(struct umn_thread *t)
{
    ke__object_init(&t->header, ThreadObject, sizeof *t / 4, 0);
    umn_list_init(&t->mutants);
    t->priority = 8; /* what PsCreateSystemThread gives on Windows */
    t->created = umn__now_wall();
    t->exit_status = STATUS_PENDING;
}

static void thread_drop(void *thread)
{
    ob__deref(thread);
}

struct umn_thread *ps__self(void)
{
    struct umn_ctx *ctx = umn__ctx_self();
    struct umn_thread *t = ctx ? umn__ctx_nt(ctx) : &outside.thread;
    if (__builtin_expect(t != NULL, 1) && ctx)
        return t;
    if (ctx) {
        /* A thread has a KTHREAD from birth; that it is made late here must not be seen as an
         * allocation of whatever the driver is doing. */
        plat_alloc_forgive(true);
        t = ob__create(OB_THREAD, sizeof *t, NULL, NULL);
        plat_alloc_forgive(false);
        if (t) {
            thread_init(t);
            t->ctx = ctx;
            t->id = umn__ctx_id(ctx);
            umn__ctx_set_nt(ctx, t, thread_drop);
            return t;
        }
    }
    t = &outside.thread;
    if (!outside.header.magic) {
        outside.header.magic = OB_MAGIC;
        outside.header.type = OB_THREAD;
        outside.header.refs = 1;
        umn_list_init(&outside.header.link);
        ke__object_init(&t->header, ThreadObject, sizeof *t / 4, 0);
        umn_list_init(&t->mutants);
    }
    return t;
}

unsigned umn__locks_held(void)
{
    return ps__self()->locks;
}

/* Everything a thread must have given back, then the signal that waiters wait for. */
static void thread_end(struct umn_thread *t)
{
    struct ke_wait *chain = NULL;
    bool left = false;
    if (t->locks)
        umn__report("SpinLock", 0x40009, "a system thread ended holding %u spin locks", t->locks);
    if (t->critical || t->guarded)
        umn__report("CriticalRegions", 0x40003, "a system thread ended inside a critical region");
    if (umn__irql() != PASSIVE_LEVEL)
        umn__report("IrqlReturn", 0x2001d, "a system thread ended at IRQL %u", umn__irql());
    umn__lock(&ke__dispatcher);
    left = !umn_list_empty(&t->mutants);
    t->header.SignalState = 1;
    chain = ke__satisfy(&t->header, chain);
    umn__unlock(&ke__dispatcher);
    if (left)
        umn__report("ThreadHeldMutex", 0x4000008a, "a system thread ended holding a mutex");
    ke__wake(chain);
}

static void thread_main(void *arg)
{
    struct umn_thread *t = arg;
    t->ctx = umn__ctx_self();
    t->id = umn__ctx_id(t->ctx);
    umn__ctx_set_nt(t->ctx, t, thread_drop);
    if (setjmp(t->exit_frame) == 0) {
        umn__point(UMN_OP_CALLBACK, t);
        t->start(t->start_context);
        if (!t->terminated)
            t->exit_status = STATUS_SUCCESS;
    }
    thread_end(t);
}

/*
 * New system thread at PASSIVE_LEVEL. *ThreadHandle is to be closed with ZwClose. PASSIVE_LEVEL.
 * STATUS_INSUFFICIENT_RESOURCES. nf-wdm-pscreatesystemthread.md
 */
NTSTATUS NTAPI PsCreateSystemThread(PHANDLE ThreadHandle, ULONG DesiredAccess,
                                    POBJECT_ATTRIBUTES ObjectAttributes, HANDLE ProcessHandle,
                                    PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine,
                                    PVOID StartContext)
{
    ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlPsPassive", 0x2001c, "PsCreateSystemThread");
    if (!ThreadHandle || !StartRoutine)
        return STATUS_INVALID_PARAMETER;
    struct umn_thread *t = ob__create(OB_THREAD, sizeof *t, NULL, NULL);
    if (!t)
        return STATUS_INSUFFICIENT_RESOURCES;
    thread_init(t);
    t->start = StartRoutine;
    t->start_context = StartContext;
    NTSTATUS status = ob__handle_open(t, ThreadHandle);
    if (status < 0)
        goto drop;
    /* The reference of ob__create goes to the context. */
    if (umn__ctx_spawn(NULL, thread_main, t, io__owner((const void *)StartRoutine)) != 0) {
        status = STATUS_INSUFFICIENT_RESOURCES;
        goto close;
    }
    if (ClientId) {
        ClientId->UniqueProcess = PsGetCurrentProcessId();
        ClientId->UniqueThread = PsGetThreadId((PETHREAD)t);
    }
    return STATUS_SUCCESS;

close:
    ob__handle_close(*ThreadHandle);
    *ThreadHandle = NULL;
drop:
    ob__deref(t);
    return status;
}

/* As PsCreateSystemThread; the object is kept until the thread has ended only by its handle. */
NTSTATUS NTAPI IoCreateSystemThread(PVOID IoObject, PHANDLE ThreadHandle, ULONG DesiredAccess,
                                    POBJECT_ATTRIBUTES ObjectAttributes, HANDLE ProcessHandle,
                                    PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine,
                                    PVOID StartContext)
{
    return PsCreateSystemThread(ThreadHandle, DesiredAccess, ObjectAttributes, ProcessHandle,
                                ClientId, StartRoutine, StartContext);
}

/* Ends the calling thread, which PsCreateSystemThread made; does not return then. PASSIVE_LEVEL.
 * STATUS_INVALID_PARAMETER: not such a thread. nf-wdm-psterminatesystemthread.md */
NTSTATUS NTAPI PsTerminateSystemThread(NTSTATUS ExitStatus)
{
    struct umn_thread *t = ps__self();
    ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlPsPassive", 0x2001c, "PsTerminateSystemThread");
    if (!t->start)
        return STATUS_INVALID_PARAMETER;
    t->exit_status = ExitStatus;
    t->terminated = true;
    longjmp(t->exit_frame, 1);
}

/* Status a thread ended with; STATUS_PENDING while it runs. PASSIVE_LEVEL. */
NTSTATUS NTAPI PsGetThreadExitStatus(PETHREAD Thread)
{
    return ((struct umn_thread *)Thread)->exit_status;
}

/* The one process: System, which has the number 4 on Windows. */
HANDLE NTAPI PsGetCurrentProcessId(void)
{
    return (HANDLE)(uintptr_t)4;
}

HANDLE NTAPI PsGetThreadProcessId(PETHREAD Thread)
{
    return PsGetCurrentProcessId();
}

/* Number of a thread: a multiple of 4, from the logical number of its context; 0 before it runs. */
HANDLE NTAPI PsGetThreadId(PETHREAD Thread)
{
    struct umn_thread *t = (struct umn_thread *)Thread;
    return (HANDLE)(uintptr_t)(t->id ? 4ull * t->id + 4 : 0);
}

HANDLE NTAPI PsGetCurrentThreadId(void)
{
    return PsGetThreadId((PETHREAD)ps__self());
}

LONGLONG NTAPI PsGetThreadCreateTime(PETHREAD Thread)
{
    return (LONGLONG)((struct umn_thread *)Thread)->created;
}

/* Relative priority, which the scheduler does not look at; returns the former. <= DISPATCH_LEVEL.
 */
KPRIORITY NTAPI KeSetPriorityThread(PKTHREAD Thread, KPRIORITY Priority)
{
    struct umn_thread *t = (struct umn_thread *)Thread;
    KPRIORITY old = t->priority;
    t->priority = Priority;
    return old;
}

KPRIORITY NTAPI KeQueryPriorityThread(PKTHREAD Thread)
{
    return ((struct umn_thread *)Thread)->priority;
}

LONG NTAPI KeSetBasePriorityThread(PKTHREAD Thread, LONG Increment)
{
    return KeSetPriorityThread(Thread, 8 + Increment) - 8;
}
