/* SPDX-License-Identifier: MIT */
/*
 * IRQL, processors, critical and guarded regions, and the checks of what a driver's callback must
 * leave as it found it. No state but the calling context's record.
 */
#include "nt/private.h"

bool ke__irql_is(uint8_t min, uint8_t max, const char *rule, uint32_t code, const char *function)
{
    uint8_t irql = umn__irql();
    if (__builtin_expect(irql >= min && irql <= max, 1))
        return true;
    umn__report(rule, code, "%s called at IRQL %u; allowed is %s%u", function, irql,
                min == max   ? ""
                : irql > max ? "at most "
                             : "at least ",
                irql > max ? max : min);
    return false;
}

struct ke_entry ke__entry(void)
{
    struct umn_thread *t = ps__self();
    return (struct ke_entry){umn__irql(), t->locks, t->critical + t->guarded};
}

void ke__check_return(const struct ke_entry *e, const char *callback, const void *function)
{
    struct umn_thread *t = ps__self();
    if (__builtin_expect(umn__irql() == e->irql && t->locks == e->locks &&
                             t->critical + t->guarded == e->critical,
                         1))
        return;
    if (t->locks > e->locks)
        umn__report("SpinLock", 0x40009, "%s of %s returned holding %u spin lock(s)", callback,
                    io__owner(function), t->locks - e->locks);
    if (t->critical + t->guarded != e->critical)
        umn__report("CriticalRegions", 0x40003,
                    "%s of %s entered and left critical regions unevenly", callback,
                    io__owner(function));
    if (umn__irql() != e->irql) {
        umn__report("IrqlReturn", 0x2001d, "%s of %s was entered at IRQL %u and returned at %u",
                    callback, io__owner(function), e->irql, umn__irql());
        if (umn__irql() > e->irql)
            umn__irql_lower(e->irql);
        else
            umn__irql_raise(e->irql);
    }
}

/* Current IRQL. Any level. nf-wdm-kegetcurrentirql.md */
KIRQL NTAPI KeGetCurrentIrql(void)
{
    return umn__irql();
}

/* Raises the IRQL, returns the old one; lowering with it is reported and not done (0xC4 / 0x30).
 * nf-wdm-keraiseirql.md */
KIRQL NTAPI KfRaiseIrql(KIRQL NewIrql)
{
    KIRQL now = umn__irql();
    if (NewIrql < now || NewIrql > HIGH_LEVEL) {
        umn__report("IrqlKeRaiseLower", 0x30, "KeRaiseIrql to %u at IRQL %u", NewIrql, now);
        return now;
    }
    return NewIrql == now ? now : umn__irql_raise(NewIrql);
}

/* Lowers the IRQL to a level from before; raising with it is reported and not done (0xC4 / 0x31).
 * nf-wdm-kelowerirql.md */
void NTAPI KeLowerIrql(KIRQL NewIrql)
{
    KIRQL now = umn__irql();
    if (NewIrql > now) {
        umn__report("IrqlKeRaiseLower", 0x31, "KeLowerIrql to %u at IRQL %u", NewIrql, now);
        return;
    }
    if (NewIrql < DISPATCH_LEVEL && ps__self()->locks)
        umn__report("SpinLock", 0x40009, "KeLowerIrql to %u while a spin lock is held", NewIrql);
    if (NewIrql < now)
        umn__irql_lower(NewIrql);
}

/* True inside a DPC. nf-wdm-keisexecutingdpc.md */
LOGICAL NTAPI KeIsExecutingDpc(void)
{
    struct umn_ctx *ctx = umn__ctx_self();
    return ctx && umn__ctx_kind(ctx) == UMN_CTX_DPC;
}

/* A DPC should hand over its processor; the scheduler has no watchdog that asks for it. */
LOGICAL NTAPI KeShouldYieldProcessor(void)
{
    return FALSE;
}

/* ---- processors: one group, numbers 0 .. umn__cpu_count() - 1 -------------------------------- */

static KAFFINITY all_processors(void)
{
    unsigned n = umn__cpu_count();
    return n >= 64 ? ~(KAFFINITY)0 : ((KAFFINITY)1 << n) - 1;
}

/* System-wide index of the current processor, stable only at DISPATCH_LEVEL.
 * nf-ntddk-kegetcurrentprocessornumberex.md */
ULONG NTAPI KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber)
{
    unsigned cpu = umn__cpu_quick(); /* no call: drivers ask on the data path */
    if (ProcNumber)
        *ProcNumber = (PROCESSOR_NUMBER){.Group = 0, .Number = (UCHAR)cpu};
    return cpu;
}

ULONG NTAPI KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors)
{
    if (ActiveProcessors)
        *ActiveProcessors = all_processors();
    return umn__cpu_count();
}

ULONG NTAPI KeQueryActiveProcessorCountEx(USHORT GroupNumber)
{
    return GroupNumber == 0 || GroupNumber == ALL_PROCESSOR_GROUPS ? umn__cpu_count() : 0;
}

ULONG NTAPI KeQueryMaximumProcessorCount(void)
{
    return umn__cpu_count();
}

ULONG NTAPI KeQueryMaximumProcessorCountEx(USHORT GroupNumber)
{
    return KeQueryActiveProcessorCountEx(GroupNumber);
}

KAFFINITY NTAPI KeQueryActiveProcessors(void)
{
    return all_processors();
}

KAFFINITY NTAPI KeQueryGroupAffinity(USHORT GroupNumber)
{
    return GroupNumber == 0 ? all_processors() : 0;
}

USHORT NTAPI KeQueryActiveGroupCount(void)
{
    return 1;
}

USHORT NTAPI KeQueryMaximumGroupCount(void)
{
    return 1;
}

USHORT NTAPI KeQueryHighestNodeNumber(void)
{
    return 0;
}

USHORT NTAPI KeGetCurrentNodeNumber(void)
{
    return 0;
}

void NTAPI KeQueryNodeActiveAffinity(USHORT NodeNumber, PGROUP_AFFINITY Affinity, PUSHORT Count)
{
    if (Affinity)
        *Affinity = (GROUP_AFFINITY){.Mask = NodeNumber ? 0 : all_processors()};
    if (Count)
        *Count = (USHORT)(NodeNumber ? 0 : umn__cpu_count());
}

/* System-wide index of a processor; INVALID_PROCESSOR_INDEX if there is none. */
ULONG NTAPI KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber)
{
    if (ProcNumber->Group != 0 || ProcNumber->Reserved || ProcNumber->Number >= umn__cpu_count())
        return INVALID_PROCESSOR_INDEX;
    return ProcNumber->Number;
}

NTSTATUS NTAPI KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber)
{
    if (ProcIndex >= umn__cpu_count())
        return STATUS_INVALID_PARAMETER;
    *ProcNumber = (PROCESSOR_NUMBER){.Number = (UCHAR)ProcIndex};
    return STATUS_SUCCESS;
}

ULONG NTAPI KeGetRecommendedSharedDataAlignment(void)
{
    return SYSTEM_CACHE_ALIGNMENT_SIZE;
}

/* ---- APC state: nothing queues APCs here, but the pairing is the driver's duty --------------- */

/* Disables normal kernel APCs. <= APC_LEVEL, paired with KeLeaveCriticalRegion.
 * nf-ntddk-keentercriticalregion.md */
void NTAPI KeEnterCriticalRegion(void)
{
    ke__irql_is(PASSIVE_LEVEL, APC_LEVEL, "IrqlKeApcLte2", 0x20010, "KeEnterCriticalRegion");
    ps__self()->critical++;
}

void NTAPI KeLeaveCriticalRegion(void)
{
    struct umn_thread *t = ps__self();
    ke__irql_is(PASSIVE_LEVEL, APC_LEVEL, "IrqlKeApcLte2", 0x20010, "KeLeaveCriticalRegion");
    if (t->critical <= 0)
        umn__report("CriticalRegions", 0x3e, "KeLeaveCriticalRegion without KeEnterCriticalRegion");
    else
        t->critical--;
}

/* Disables all APCs. <= APC_LEVEL, paired with KeLeaveGuardedRegion.
 * nf-ntddk-keenterguardedregion.md */
void NTAPI KeEnterGuardedRegion(void)
{
    ke__irql_is(PASSIVE_LEVEL, APC_LEVEL, "IrqlKeApcLte2", 0x20010, "KeEnterGuardedRegion");
    ps__self()->guarded++;
}

void NTAPI KeLeaveGuardedRegion(void)
{
    struct umn_thread *t = ps__self();
    ke__irql_is(PASSIVE_LEVEL, APC_LEVEL, "IrqlKeApcLte2", 0x20010, "KeLeaveGuardedRegion");
    if (t->guarded <= 0)
        umn__report("GuardedRegions", 0x4000e, "KeLeaveGuardedRegion without KeEnterGuardedRegion");
    else
        t->guarded--;
}

BOOLEAN NTAPI KeAreApcsDisabled(void)
{
    struct umn_thread *t = ps__self();
    return t->critical > 0 || t->guarded > 0 || umn__irql() >= APC_LEVEL;
}

BOOLEAN NTAPI KeAreAllApcsDisabled(void)
{
    return ps__self()->guarded > 0 || umn__irql() >= APC_LEVEL;
}

/* The record of the calling thread; valid while it runs unless referenced. Any level. */
PKTHREAD NTAPI KeGetCurrentThread(void)
{
    return (PKTHREAD)ps__self();
}

/* One node with all processors. */
ULONG NTAPI KeQueryNodeActiveProcessorCount(USHORT NodeNumber)
{
    return NodeNumber == 0 ? umn__cpu_count() : 0;
}
