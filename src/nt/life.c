/* SPDX-License-Identifier: MIT */
/*
 * Start and stop of the executive, and bug checks. Start comes after umn__sched_start; stop reports
 * what is left: IRPs, pool, handles, objects.
 */
#include "nt/private.h"

#include <stdlib.h>

static void (*bugcheck_hook)(ULONG code, const ULONG_PTR params[4]);

int umn__nt_start(void)
{
    ex__pool_start();
    ob__start();
    rtl__start();
    ke__timer_start();
    return 0;
}

void umn__nt_stop(void)
{
    io__driver_stop();
    io__irp_stop();
    ob__stop();
    ex__pool_stop();
}

void umn__bugcheck_hook(void (*hook)(ULONG code, const ULONG_PTR params[4]))
{
    bugcheck_hook = hook;
}

/* Ends the box with a report. Any level. Does not return. nf-wdm-kebugcheckex.md */
DECLSPEC_NORETURN void NTAPI KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1,
                                          ULONG_PTR BugCheckParameter2,
                                          ULONG_PTR BugCheckParameter3,
                                          ULONG_PTR BugCheckParameter4)
{
    const ULONG_PTR params[4] = {BugCheckParameter1, BugCheckParameter2, BugCheckParameter3,
                                 BugCheckParameter4};
    umn__report("BugCheck", BugCheckCode, "bug check 0x%08X (0x%llX, 0x%llX, 0x%llX, 0x%llX)",
                BugCheckCode, params[0], params[1], params[2], params[3]);
    if (bugcheck_hook)
        bugcheck_hook(BugCheckCode, params);
    abort();
}

/* nf-ntddk-kebugcheck.md */
DECLSPEC_NORETURN void NTAPI KeBugCheck(ULONG BugCheckCode)
{
    KeBugCheckEx(BugCheckCode, 0, 0, 0, 0);
}

/* There is no frame that could catch an exception of an ELF driver: as on Windows without a
 * handler, KMODE_EXCEPTION_NOT_HANDLED. nf-wdm-exraisestatus.md */
DECLSPEC_NORETURN void NTAPI ExRaiseStatus(NTSTATUS Status)
{
    KeBugCheckEx(KMODE_EXCEPTION_NOT_HANDLED, (ULONG)Status, (ULONG_PTR)__builtin_return_address(0),
                 0, 0);
}
