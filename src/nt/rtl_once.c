/* SPDX-License-Identifier: MIT */
/*
 * One-time initialization. The two low bits of the word: 0 nothing yet, 1 somebody is at it, 3 some
 * are at it asynchronously, 2 done; when done the rest is the context (aligned to 4). <= APC_LEVEL.
 */
#include "nt/private.h"

enum { NOTHING_YET = 0, BUSY = 1, DONE = 2, BUSY_ASYNC = 3 };

static ULONG_PTR load(const RTL_RUN_ONCE *once)
{
    return (ULONG_PTR)__atomic_load_n(&once->Ptr, __ATOMIC_ACQUIRE);
}

static bool swap(PRTL_RUN_ONCE once, ULONG_PTR old, ULONG_PTR new)
{
    PVOID expected = (PVOID)old;
    return __atomic_compare_exchange_n(&once->Ptr, &expected, (PVOID) new, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

static void give(ULONG_PTR word, PVOID *context)
{
    if (context)
        *context = (PVOID)(word & ~(ULONG_PTR)3);
}

/* nf-ntddk-rtlrunonceinitialize.md */
void NTAPI RtlRunOnceInitialize(PRTL_RUN_ONCE RunOnce)
{
    RunOnce->Ptr = NULL;
}

/*
 * STATUS_SUCCESS: it is done, *Context is filled. STATUS_PENDING: the caller is to initialize and
 * call RtlRunOnceComplete. Waits for another one that is at it, unless RTL_RUN_ONCE_ASYNC; with
 * RTL_RUN_ONCE_CHECK_ONLY STATUS_UNSUCCESSFUL if it is not done.
 * nf-ntddk-rtlrunoncebegininitialize.md
 */
NTSTATUS NTAPI RtlRunOnceBeginInitialize(PRTL_RUN_ONCE RunOnce, ULONG Flags, PVOID *Context)
{
    umn__check_irql(APC_LEVEL, "RtlRunOnceBeginInitialize");
    if (Flags & ~(ULONG)(RTL_RUN_ONCE_CHECK_ONLY | RTL_RUN_ONCE_ASYNC))
        return STATUS_INVALID_PARAMETER_2;
    for (;;) {
        umn__point(UMN_OP_ATOMIC, RunOnce);
        ULONG_PTR word = load(RunOnce);
        if ((word & 3) == DONE) {
            give(word, Context);
            return STATUS_SUCCESS;
        }
        if (Flags & RTL_RUN_ONCE_CHECK_ONLY)
            return STATUS_UNSUCCESSFUL;
        bool async = Flags & RTL_RUN_ONCE_ASYNC;
        if (word == NOTHING_YET) {
            if (swap(RunOnce, word, async ? BUSY_ASYNC : BUSY))
                return STATUS_PENDING;
            continue;
        }
        if ((word == BUSY_ASYNC) != async)
            return STATUS_INVALID_PARAMETER_2;
        if (async)
            return STATUS_PENDING;
        umn__park(umn__now() + 1000, "one-time initialization", RunOnce); /* 100 us */
    }
}

/* Ends the caller's attempt: with its context, or with RTL_RUN_ONCE_INIT_FAILED. Of several
 * asynchronous ones the first wins, the others get STATUS_OBJECT_NAME_COLLISION.
 * nf-ntddk-rtlrunoncecomplete.md */
NTSTATUS NTAPI RtlRunOnceComplete(PRTL_RUN_ONCE RunOnce, ULONG Flags, PVOID Context)
{
    bool async = Flags & RTL_RUN_ONCE_ASYNC, failed = Flags & RTL_RUN_ONCE_INIT_FAILED;
    if ((async && failed) || (failed && Context))
        return STATUS_INVALID_PARAMETER_2;
    if ((ULONG_PTR)Context & 3)
        return STATUS_INVALID_PARAMETER_3;
    umn__point(UMN_OP_ATOMIC, RunOnce);
    ULONG_PTR word = load(RunOnce);
    if (async && (word & 3) == DONE)
        return STATUS_OBJECT_NAME_COLLISION;
    if (word != (async ? BUSY_ASYNC : BUSY))
        return STATUS_UNSUCCESSFUL;
    ULONG_PTR done = failed ? NOTHING_YET : (ULONG_PTR)Context | DONE;
    if (swap(RunOnce, word, done))
        return STATUS_SUCCESS;
    return async ? STATUS_OBJECT_NAME_COLLISION : STATUS_UNSUCCESSFUL;
}

/* InitFn runs once; STATUS_UNSUCCESSFUL if it returned FALSE. nf-ntddk-rtlrunonceexecuteonce.md */
NTSTATUS NTAPI RtlRunOnceExecuteOnce(PRTL_RUN_ONCE RunOnce, PRTL_RUN_ONCE_INIT_FN InitFn,
                                     PVOID Parameter, PVOID *Context)
{
    PVOID made = NULL;
    NTSTATUS status = RtlRunOnceBeginInitialize(RunOnce, 0, Context);
    if (status != STATUS_PENDING)
        return status;
    umn__point(UMN_OP_CALLBACK, RunOnce);
    if (!InitFn(RunOnce, Parameter, Context ? Context : &made)) {
        RtlRunOnceComplete(RunOnce, RTL_RUN_ONCE_INIT_FAILED, NULL);
        return STATUS_UNSUCCESSFUL;
    }
    return RtlRunOnceComplete(RunOnce, 0, Context ? *Context : made);
}
