/* SPDX-License-Identifier: MIT */
/*
 * Counters of a virtual miniport, per processor: no cache line is shared by a batch. They are
 * written at DISPATCH_LEVEL (under TableLock) on their own processor and summed by whoever asks;
 * OutErrors may be counted at any IRQL and is interlocked.
 */
#include "path.h"

/* Counts sends that ended in an error below. <= DISPATCH_LEVEL. */
VOID StatsOutErrors(MUX_VM *Vm, LONG64 Count)
{
    (VOID) InterlockedExchangeAdd64((volatile LONG64 *)&Vm->Counters[0].OutErrors, Count);
}

/* The counters are read while their processors write them: each is one aligned word, so what is
 * read is a value that it had. ThreadSanitizer would want every increment of the data path to be
 * atomic. */
#if defined(__clang__)
#define STATS_UNORDERED __attribute__((no_sanitize("thread")))
#else
#define STATS_UNORDERED
#endif

/* The sum over all processors. Any IRQL. */
STATS_UNORDERED VOID StatsSum(MUX_VM *Vm, MUX_COUNTERS *Sum)
{
    const ULONG64 *From;
    ULONG64 *To = (ULONG64 *)Sum;
    ULONG Cpu, i;

    NdisZeroMemory(Sum, sizeof(*Sum));
    for (Cpu = 0; Cpu < Mux.Processors; Cpu++)
    {
        From = (const ULONG64 *)&Vm->Counters[Cpu];
        for (i = 0; i < sizeof(*Sum) / sizeof(ULONG64); i++)
        {
            To[i] += From[i];
        }
    }
}

/* OID_GEN_STATISTICS: every counter, of this virtual miniport alone (IM-OID-19). */
VOID StatsFill(MUX_VM *Vm, NDIS_STATISTICS_INFO *Info)
{
    MUX_COUNTERS Sum;

    StatsSum(Vm, &Sum);
    NdisZeroMemory(Info, sizeof(*Info));
    Info->Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    Info->Header.Revision = NDIS_STATISTICS_INFO_REVISION_1;
    Info->Header.Size = NDIS_SIZEOF_STATISTICS_INFO_REVISION_1;
    Info->SupportedStatistics =
        NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_RCV |
        NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_RCV |
        NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_RCV | NDIS_STATISTICS_FLAGS_VALID_BYTES_RCV |
        NDIS_STATISTICS_FLAGS_VALID_RCV_DISCARDS | NDIS_STATISTICS_FLAGS_VALID_RCV_ERROR |
        NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_XMIT |
        NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_XMIT |
        NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_XMIT | NDIS_STATISTICS_FLAGS_VALID_BYTES_XMIT |
        NDIS_STATISTICS_FLAGS_VALID_XMIT_ERROR | NDIS_STATISTICS_FLAGS_VALID_XMIT_DISCARDS |
        NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_RCV |
        NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_RCV |
        NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_RCV |
        NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_XMIT |
        NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_XMIT |
        NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_XMIT;
    Info->ifInDiscards = Sum.InDiscards;
    Info->ifHCInUcastPkts = Sum.Unicast.InFrames;
    Info->ifHCInMulticastPkts = Sum.Group[0].InFrames;
    Info->ifHCInBroadcastPkts = Sum.Group[1].InFrames;
    Info->ifHCInUcastOctets = Sum.Unicast.InBytes;
    Info->ifHCInMulticastOctets = Sum.Group[0].InBytes;
    Info->ifHCInBroadcastOctets = Sum.Group[1].InBytes;
    Info->ifHCInOctets =
        Info->ifHCInUcastOctets + Info->ifHCInMulticastOctets + Info->ifHCInBroadcastOctets;
    Info->ifHCOutUcastPkts = Sum.Unicast.OutFrames;
    Info->ifHCOutMulticastPkts = Sum.Group[0].OutFrames;
    Info->ifHCOutBroadcastPkts = Sum.Group[1].OutFrames;
    Info->ifHCOutUcastOctets = Sum.Unicast.OutBytes;
    Info->ifHCOutMulticastOctets = Sum.Group[0].OutBytes;
    Info->ifHCOutBroadcastOctets = Sum.Group[1].OutBytes;
    Info->ifHCOutOctets =
        Info->ifHCOutUcastOctets + Info->ifHCOutMulticastOctets + Info->ifHCOutBroadcastOctets;
    Info->ifOutErrors = Sum.OutErrors;
    Info->ifOutDiscards = Sum.OutDiscards;
}
