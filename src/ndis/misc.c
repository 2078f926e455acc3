/* SPDX-License-Identifier: MIT */
/*
 * Time, sleep, processors, and what else a driver asks the system. Processors are vCPUs of the
 * scheduler: one group, one socket, one core each. Owns nothing; any IRQL unless a line says
 * otherwise.
 */
#include "ndis/data.h"

#include <string.h>

/* ---- time
 * ------------------------------------------------------------------------------------------ */

/* Sleeps at least so many microseconds. Below DISPATCH_LEVEL. nf-ndis-ndismsleep.md, IM-SYN-03 */
void NTAPI NdisMSleep(ULONG MicrosecondsToSleep)
{
    LARGE_INTEGER interval = {.QuadPart = -10ll * MicrosecondsToSleep};

    if (!umn__check_irql(UMN_APC, "NdisMSleep")) {
        umn__stall(MicrosecondsToSleep);
        return;
    }
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

/* Milliseconds since the start. */
void NTAPI NdisGetSystemUpTimeEx(PLARGE_INTEGER pSystemUpTime)
{
    pSystemUpTime->QuadPart = (LONGLONG)(umn__now() / 10000);
}

/* ---- processors
 * -------------------------------------------------------------------------------------- */

static KAFFINITY all_processors(void)
{
    unsigned n = umn__cpu_count();

    return n >= 64 ? ~(KAFFINITY)0 : ((KAFFINITY)1 << n) - 1;
}

ULONG NTAPI NdisSystemActiveProcessorCount(PKAFFINITY ActiveProcessors)
{
    if (ActiveProcessors)
        *ActiveProcessors = all_processors();
    return umn__cpu_count();
}

CCHAR NTAPI NdisSystemProcessorCount(void)
{
    return (CCHAR)umn__cpu_count();
}

ULONG NTAPI NdisGroupActiveProcessorCount(USHORT Group)
{
    return Group == 0 || Group == ALL_PROCESSOR_GROUPS ? umn__cpu_count() : 0;
}

ULONG NTAPI NdisGroupMaxProcessorCount(USHORT Group)
{
    return NdisGroupActiveProcessorCount(Group);
}

KAFFINITY NTAPI NdisGroupActiveProcessorMask(USHORT Group)
{
    return Group == 0 ? all_processors() : 0;
}

USHORT NTAPI NdisActiveGroupCount(void)
{
    return 1;
}

USHORT NTAPI NdisMaxGroupCount(void)
{
    return 1;
}

/* DISPATCH_LEVEL and above: below it the answer would be old before it is read. */
PROCESSOR_NUMBER NTAPI NdisCurrentGroupAndProcessor(void)
{
    return (PROCESSOR_NUMBER){.Number = (UCHAR)umn__cpu()};
}

NTSTATUS NTAPI NdisProcessorIndexToNumber(ULONG Index, PPROCESSOR_NUMBER Number)
{
    if (Index >= umn__cpu_count())
        return STATUS_INVALID_PARAMETER;
    *Number = (PROCESSOR_NUMBER){.Number = (UCHAR)Index};
    return STATUS_SUCCESS;
}

ULONG NTAPI NdisProcessorNumberToIndex(PROCESSOR_NUMBER Number)
{
    return Number.Group == 0 && Number.Number < umn__cpu_count() ? Number.Number
                                                                 : INVALID_PROCESSOR_INDEX;
}

/* *Size in: bytes at SystemProcessorInfo; out: bytes needed, if too few (BUFFER_TOO_SHORT).
 * nf-ndis-ndisgetprocessorinformationex.md */
NDIS_STATUS NTAPI NdisGetProcessorInformationEx(NDIS_HANDLE NdisHandle,
                                                PNDIS_SYSTEM_PROCESSOR_INFO_EX SystemProcessorInfo,
                                                PSIZE_T Size)
{
    unsigned n = umn__cpu_count();
    size_t needed = sizeof(*SystemProcessorInfo) + n * sizeof(NDIS_PROCESSOR_INFO_EX);
    NDIS_PROCESSOR_INFO_EX *p;

    umn__check_irql(UMN_DISPATCH, "NdisGetProcessorInformationEx");
    if (!SystemProcessorInfo || *Size < needed) {
        *Size = needed;
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    }
    *Size = needed;
    *SystemProcessorInfo = (NDIS_SYSTEM_PROCESSOR_INFO_EX){
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_SYSTEM_PROCESSOR_INFO_EX_REVISION_1,
                   NDIS_SIZEOF_SYSTEM_PROCESSOR_INFO_EX_REVISION_1},
        .ProcessorVendor = NdisProcessorVendorUnknown,
        .NumSockets = 1,
        .NumCores = n,
        .NumCoresPerSocket = n,
        .MaxHyperThreadingProcsPerCore = 1,
        .ProcessorInfoOffset = sizeof(*SystemProcessorInfo),
        .NumberOfProcessors = n,
        .ProcessorInfoEntrySize = sizeof(NDIS_PROCESSOR_INFO_EX),
    };
    p = (NDIS_PROCESSOR_INFO_EX *)(SystemProcessorInfo + 1);
    for (unsigned i = 0; i < n; i++)
        p[i] = (NDIS_PROCESSOR_INFO_EX){.ProcNum.Number = (UCHAR)i, .CoreId = i};
    return NDIS_STATUS_SUCCESS;
}

/* The same for at most 64 processors. PASSIVE_LEVEL. nf-ndis-ndisgetprocessorinformation.md */
NDIS_STATUS NTAPI NdisGetProcessorInformation(PNDIS_SYSTEM_PROCESSOR_INFO SystemProcessorInfo)
{
    unsigned n = umn__cpu_count();

    umn__check_irql(UMN_PASSIVE, "NdisGetProcessorInformation");
    if (SystemProcessorInfo->Header.Size < NDIS_SIZEOF_SYSTEM_PROCESSOR_INFO_REVISION_1)
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    *SystemProcessorInfo = (NDIS_SYSTEM_PROCESSOR_INFO){
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_SYSTEM_PROCESSOR_INFO_REVISION_1,
                   NDIS_SIZEOF_SYSTEM_PROCESSOR_INFO_REVISION_1},
        .ProcessorVendor = NdisProcessorVendorUnknown,
        .NumPhysicalPackages = 1,
        .NumCores = n,
        .NumCoresPerPhysicalPackage = n,
        .MaxHyperThreadingCpusPerCore = 1,
        .RssCpuCount = n,
    };
    for (unsigned i = 0; i < n && i < 64; i++)
        SystemProcessorInfo->CpuInfo[i] = (NDIS_PROCESSOR_INFO){.CpuNumber = i, .CoreId = i};
    return NDIS_STATUS_SUCCESS;
}

/* Every processor serves for receive side scaling. Sizes as above.
 * nf-ndis-ndisgetrssprocessorinformation.md */
NDIS_STATUS NTAPI NdisGetRssProcessorInformation(NDIS_HANDLE NdisHandle,
                                                 PNDIS_RSS_PROCESSOR_INFO RssProcessorInfo,
                                                 PSIZE_T Size)
{
    unsigned n = umn__cpu_count();
    size_t needed = sizeof(*RssProcessorInfo) + n * sizeof(NDIS_RSS_PROCESSOR);
    NDIS_RSS_PROCESSOR *p;

    umn__check_irql(UMN_DISPATCH, "NdisGetRssProcessorInformation");
    if (!RssProcessorInfo || *Size < needed) {
        *Size = needed;
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    }
    *Size = needed;
    *RssProcessorInfo = (NDIS_RSS_PROCESSOR_INFO){
        .Header = {NDIS_OBJECT_TYPE_RSS_PROCESSOR_INFO, NDIS_RSS_PROCESSOR_INFO_REVISION_1,
                   NDIS_SIZEOF_RSS_PROCESSOR_INFO_REVISION_1},
        .MaxNumRssProcessors = n,
        .RssProcessorArrayOffset = sizeof(*RssProcessorInfo),
        .RssProcessorCount = n,
        .RssProcessorEntrySize = sizeof(NDIS_RSS_PROCESSOR),
        .RssMaxProcessor.Number = (UCHAR)(n - 1),
        .RssProfile = NdisRssProfileClosest,
    };
    p = (NDIS_RSS_PROCESSOR *)(RssProcessorInfo + 1);
    for (unsigned i = 0; i < n; i++)
        p[i] = (NDIS_RSS_PROCESSOR){.ProcNum.Number = (UCHAR)i};
    return NDIS_STATUS_SUCCESS;
}

/* ---- the rest
 * ------------------------------------------------------------------------------------------ */

/* Bytes that data shared between processors should be apart: a cache line. */
ULONG NTAPI NdisGetSharedDataAlignment(void)
{
    return 64;
}

/* There is no hypervisor that a driver could talk to. <= DISPATCH_LEVEL. BUFFER_TOO_SHORT: the
 * header names less than revision 1. nf-ndis-ndisgethypervisorinfo.md */
NDIS_STATUS NTAPI NdisGetHypervisorInfo(PNDIS_HYPERVISOR_INFO HypervisorInfo)
{
    umn__check_irql(UMN_DISPATCH, "NdisGetHypervisorInfo");
    if (HypervisorInfo->Header.Size < NDIS_SIZEOF_HYPERVISOR_INFO_REVISION_1)
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    HypervisorInfo->Flags = 0;
    HypervisorInfo->PartitionType = NdisHypervisorPartitionTypeUnknown;
    return NDIS_STATUS_SUCCESS;
}

/* The address of an exported NDIS function, or NULL. PASSIVE_LEVEL.
 * nf-ndis-ndisgetroutineaddress.md */
PVOID NTAPI NdisGetRoutineAddress(PNDIS_STRING NdisRoutineName)
{
    umn__check_irql(UMN_PASSIVE, "NdisGetRoutineAddress");
    return MmGetSystemRoutineAddress(NdisRoutineName);
}

/* What a driver would write to the system event log goes into the trace. <= DISPATCH_LEVEL.
 * nf-ndis-ndiswriteerrorlogentry.md */
void NTAPI NdisWriteErrorLogEntry(NDIS_HANDLE NdisAdapterHandle, ULONG ErrorCode,
                                  ULONG NumberOfErrorValues, ...)
{
    struct ndis_adapter *a = NdisAdapterHandle;
    __builtin_ms_va_list values;
    ULONG first = 0;

    umn__check_irql(UMN_DISPATCH, "NdisWriteErrorLogEntry");
    if (!ndis__quick(a, NDIS_KIND_ADAPTER, "NdisWriteErrorLogEntry"))
        return;
    __builtin_ms_va_start(values, NumberOfErrorValues);
    if (NumberOfErrorValues)
        first = __builtin_va_arg(values, ULONG);
    __builtin_ms_va_end(values);
    umn__trace("driver.log", "%s: error 0x%08x, %u values, first 0x%08x", a->driver->service,
               ErrorCode, NumberOfErrorValues, first);
}

/* BUFFER_TOO_SHORT: more data than an entry holds. nf-ndis-ndiswriteeventlogentry.md */
NDIS_STATUS NTAPI NdisWriteEventLogEntry(PVOID LogHandle, NDIS_STATUS EventCode,
                                         ULONG UniqueEventValue, USHORT NumStrings,
                                         PVOID StringsList, ULONG DataSize, PVOID Data)
{
    umn__check_irql(UMN_DISPATCH, "NdisWriteEventLogEntry");
    if (DataSize > NDIS_MAX_EVENT_LOG_DATA_SIZE)
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    umn__trace("driver.log", "event 0x%08x, value 0x%08x, %u strings, %u bytes",
               (unsigned)EventCode, UniqueEventValue, NumStrings, DataSize);
    return NDIS_STATUS_SUCCESS;
}
