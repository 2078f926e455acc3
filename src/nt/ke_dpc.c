/* SPDX-License-Identifier: MIT */
/*
 * DPCs. A KDPC is queued while its DpcData is not NULL: that word is the flag whose atomic change
 * decides who queues, removes or runs it, and holds the processor + 1. The scheduler's record lies
 * over DpcListEntry and ProcessorHistory.
 */
#include "nt/private.h"

#define TARGETED                                                                                   \
    0x8000u /* KDPC.Number: target set; Windows adds MAXIMUM_PROCESSORS the same way               \
             */

static struct umn_dpc *record_of(PKDPC dpc)
{
    return (struct umn_dpc *)&dpc->DpcListEntry;
}

static void dpc_run(struct umn_dpc *record)
{
    PKDPC dpc = umn_container_of((SINGLE_LIST_ENTRY *)record, KDPC, DpcListEntry);
    PKDEFERRED_ROUTINE routine = dpc->DeferredRoutine;
    PVOID context = dpc->DeferredContext, one = dpc->SystemArgument1, two = dpc->SystemArgument2;
    struct ke_entry entry = ke__entry();
    /* From here on the driver may queue it again, or free it. */
    __atomic_store_n(&dpc->DpcData, NULL, __ATOMIC_RELEASE);
    umn__point(UMN_OP_CALLBACK, dpc);
    routine(dpc, context, one, two);
    ke__check_return(&entry, "a DPC", (const void *)routine);
}

/* Any level. nf-wdm-keinitializedpc.md */
void NTAPI KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)
{
    _Static_assert(sizeof(struct umn_dpc) <=
                       offsetof(KDPC, DeferredRoutine) - offsetof(KDPC, DpcListEntry),
                   "fits the KDPC");
    Dpc->TargetInfoAsUlong = 0;
    Dpc->Type = 19; /* DpcObject */
    Dpc->Importance = MediumImportance;
    Dpc->Number = 0;
    Dpc->ProcessorHistory = 0;
    Dpc->DeferredRoutine = DeferredRoutine;
    Dpc->DeferredContext = DeferredContext;
    Dpc->DpcData = NULL;
}

/* A threaded DPC may run as an ordinary one whenever the system likes, as it does here.
 * nf-wdm-keinitializethreadeddpc.md */
void NTAPI KeInitializeThreadedDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine,
                                   PVOID DeferredContext)
{
    KeInitializeDpc(Dpc, DeferredRoutine, DeferredContext);
    Dpc->Type = 24; /* ThreadedDpcObject */
}

/* Queues; FALSE if it is queued already. Any level. nf-wdm-keinsertqueuedpc.md */
BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2)
{
    unsigned cpu = Dpc->Number & TARGETED ? Dpc->Number & ~TARGETED : umn__cpu();
    PVOID free_word = NULL;
    umn__point(UMN_OP_DPC, Dpc);
    if (!__atomic_compare_exchange_n(&Dpc->DpcData, &free_word, (PVOID)(uintptr_t)(cpu + 1), false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return FALSE;
    Dpc->SystemArgument1 = SystemArgument1;
    Dpc->SystemArgument2 = SystemArgument2;
    record_of(Dpc)->run = dpc_run;
    umn__dpc_queue(record_of(Dpc), cpu, Dpc->Importance == HighImportance);
    return TRUE;
}

/* Takes it off the queue; FALSE if it was not on one. Any level. nf-wdm-keremovequeuedpc.md */
BOOLEAN NTAPI KeRemoveQueueDpc(PRKDPC Dpc)
{
    umn__point(UMN_OP_DPC, Dpc);
    uintptr_t word = (uintptr_t)__atomic_load_n(&Dpc->DpcData, __ATOMIC_ACQUIRE);
    if (!word || !umn__dpc_remove(record_of(Dpc), (unsigned)word - 1))
        return FALSE;
    __atomic_store_n(&Dpc->DpcData, NULL, __ATOMIC_RELEASE);
    return TRUE;
}

/* As KeRemoveQueueDpc; with WaitIfActive also waits until the routine has returned (then
 * PASSIVE_LEVEL). */
BOOLEAN NTAPI KeRemoveQueueDpcEx(PRKDPC Dpc, BOOLEAN WaitIfActive)
{
    BOOLEAN removed = KeRemoveQueueDpc(Dpc);
    if (WaitIfActive)
        KeFlushQueuedDpcs();
    return removed;
}

/*
 * Returns when every DPC queued before has run, those of timers that had expired included.
 * PASSIVE_LEVEL. Twice: a timer that was firing during the first flush has queued its DPC by the
 * second. nf-wdm-keflushqueueddpcs.md
 */
void NTAPI KeFlushQueuedDpcs(void)
{
    if (!ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlKePassive", 0x20012, "KeFlushQueuedDpcs"))
        return;
    umn__dpc_flush();
    umn__dpc_flush();
}

/* Any level. nf-wdm-kesetimportancedpc.md */
void NTAPI KeSetImportanceDpc(PRKDPC Dpc, KDPC_IMPORTANCE Importance)
{
    Dpc->Importance = (UCHAR)Importance;
}

/* Any level. nf-wdm-kesettargetprocessordpc.md */
void NTAPI KeSetTargetProcessorDpc(PRKDPC Dpc, CCHAR Number)
{
    if ((unsigned char)Number < umn__cpu_count())
        Dpc->Number = (USHORT)(TARGETED | (unsigned char)Number);
}

/* STATUS_INVALID_PARAMETER: no such processor. nf-wdm-kesettargetprocessordpcex.md */
NTSTATUS NTAPI KeSetTargetProcessorDpcEx(PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber)
{
    if (KeGetProcessorIndexFromNumber(ProcNumber) == INVALID_PROCESSOR_INDEX)
        return STATUS_INVALID_PARAMETER;
    Dpc->Number = (USHORT)(TARGETED | ProcNumber->Number);
    return STATUS_SUCCESS;
}
