/* SPDX-License-Identifier: MIT */
/*
 * Time and delays. Interrupt time is umn__now(), system time umn__now_wall(), both in 100 ns; on
 * the explore back end both are virtual. No state. Any IRQL unless a line says otherwise.
 */
#include "nt/private.h"

/* Clock tick of a PC: 15.625 ms. */
#define TICK 156250u

/* Count of 100 ns between clock ticks. nf-ntddk-kequerytimeincrement.md */
ULONG NTAPI KeQueryTimeIncrement(void)
{
    return TICK;
}

/* System time: 100 ns since 1601-01-01 UTC. nf-wdm-kequerysystemtimeprecise.md */
void NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime)
{
    CurrentTime->QuadPart = (LONGLONG)umn__now_wall();
}

ULONGLONG NTAPI KeQueryUnbiasedInterruptTime(void)
{
    return umn__now();
}

/* Interrupt time, and the performance counter at the same moment. */
ULONG64 NTAPI KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp)
{
    ULONG64 now = umn__now();
    if (QpcTimeStamp)
        *QpcTimeStamp = now;
    return now;
}

ULONG64 NTAPI KeQueryUnbiasedInterruptTimePrecise(PULONG64 QpcTimeStamp)
{
    return KeQueryInterruptTimePrecise(QpcTimeStamp);
}

/* 10 MHz counter, as Windows 10 gives. nf-ntddk-kequeryperformancecounter.md */
LARGE_INTEGER NTAPI KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency)
{
    LARGE_INTEGER now = {.QuadPart = (LONGLONG)umn__now()};
    if (PerformanceFrequency)
        PerformanceFrequency->QuadPart = 10000000;
    return now;
}

/* Busy wait. nf-wdm-kestallexecutionprocessor.md */
void NTAPI KeStallExecutionProcessor(ULONG MicroSeconds)
{
    umn__stall(MicroSeconds);
}

uint64_t ke__deadline(const LARGE_INTEGER *timeout)
{
    if (!timeout)
        return UMN_FOREVER;
    uint64_t now = umn__now();
    if (timeout->QuadPart <= 0) {
        uint64_t delta = (uint64_t)0 - (uint64_t)timeout->QuadPart;
        return delta >= UMN_FOREVER - now ? UMN_FOREVER - 1 : now + delta;
    }
    uint64_t wall = umn__now_wall(), due = (uint64_t)timeout->QuadPart;
    return due <= wall ? now : now + (due - wall);
}

/* Sleeps; Interval relative (negative) or absolute system time, in 100 ns. <= APC_LEVEL.
 * STATUS_SUCCESS: the time has passed. nf-wdm-kedelayexecutionthread.md */
NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                      PLARGE_INTEGER Interval)
{
    if (!ke__irql_is(PASSIVE_LEVEL, APC_LEVEL, "IrqlKeApcLte1", 0x2000f, "KeDelayExecutionThread"))
        return STATUS_UNSUCCESSFUL;
    uint64_t deadline = ke__deadline(Interval);
    umn__point(UMN_OP_YIELD, Interval);
    while (umn__now() < deadline)
        umn__park(deadline, "KeDelayExecutionThread", NULL);
    return STATUS_SUCCESS;
}

/* Local time is UTC in a box. nf-wdm-exsystemtimetolocaltime.md */
void NTAPI ExSystemTimeToLocalTime(PLARGE_INTEGER SystemTime, PLARGE_INTEGER LocalTime)
{
    *LocalTime = *SystemTime;
}

void NTAPI ExLocalTimeToSystemTime(PLARGE_INTEGER LocalTime, PLARGE_INTEGER SystemTime)
{
    *SystemTime = *LocalTime;
}

/* Timer resolution cannot be changed; returns the one in force. nf-wdm-exsettimerresolution.md */
ULONG NTAPI ExSetTimerResolution(ULONG DesiredTime, BOOLEAN SetResolution)
{
    return TICK;
}

void NTAPI ExQueryTimerResolution(PULONG MaximumTime, PULONG MinimumTime, PULONG CurrentTime)
{
    *MaximumTime = *MinimumTime = *CurrentTime = TICK;
}
