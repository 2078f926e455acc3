/* SPDX-License-Identifier: MIT */
/*
 * OID requests of a wire port. Owns PacketFilter and Multicast (under Port.Lock). Every request
 * ends in the call, so there is nothing to cancel. PASSIVE_LEVEL (IM-OID-01).
 */
#include "wire.h"

const NDIS_OID WireOids[] = {
    OID_GEN_SUPPORTED_LIST,
    OID_GEN_HARDWARE_STATUS,
    OID_GEN_MEDIA_SUPPORTED,
    OID_GEN_MEDIA_IN_USE,
    OID_GEN_MAXIMUM_LOOKAHEAD,
    OID_GEN_MAXIMUM_FRAME_SIZE,
    OID_GEN_TRANSMIT_BUFFER_SPACE,
    OID_GEN_RECEIVE_BUFFER_SPACE,
    OID_GEN_TRANSMIT_BLOCK_SIZE,
    OID_GEN_RECEIVE_BLOCK_SIZE,
    OID_GEN_VENDOR_ID,
    OID_GEN_VENDOR_DESCRIPTION,
    OID_GEN_VENDOR_DRIVER_VERSION,
    OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_CURRENT_LOOKAHEAD,
    OID_GEN_MAXIMUM_TOTAL_SIZE,
    OID_GEN_XMIT_OK,
    OID_GEN_RCV_OK,
    OID_GEN_XMIT_ERROR,
    OID_GEN_RCV_ERROR,
    OID_GEN_RCV_NO_BUFFER,
    OID_GEN_STATISTICS,
    OID_GEN_INTERRUPT_MODERATION,
    OID_802_3_PERMANENT_ADDRESS,
    OID_802_3_CURRENT_ADDRESS,
    OID_802_3_MULTICAST_LIST,
    OID_802_3_MAXIMUM_LIST_SIZE,
    OID_WIRE_GENERATE,
};
const ULONG WireOidsSize = sizeof(WireOids);

#define WIRE_FILTERS                                                                               \
    (NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_ALL_MULTICAST |     \
     NDIS_PACKET_TYPE_BROADCAST | NDIS_PACKET_TYPE_PROMISCUOUS)

static ULONG64 Sum(const ULONG64 V[3])
{
    return V[0] + V[1] + V[2];
}

static void FillStatistics(WIRE_PORT *Port, NDIS_STATISTICS_INFO *S)
{
    WIRE_COUNTERS In, Out;
    KIRQL Irql;

    KeAcquireSpinLock(&Port->Lock, &Irql);
    In = Port->In;
    Out = Port->Out;
    KeReleaseSpinLock(&Port->Lock, Irql);

    RtlZeroMemory(S, sizeof(*S));
    S->Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    S->Header.Revision = NDIS_STATISTICS_INFO_REVISION_1;
    S->Header.Size = NDIS_SIZEOF_STATISTICS_INFO_REVISION_1;
    S->SupportedStatistics =
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
    S->ifInDiscards = In.Discards;
    S->ifInErrors = In.Errors;
    S->ifHCInOctets = Sum(In.Octets);
    S->ifHCInUcastPkts = In.Frames[0];
    S->ifHCInMulticastPkts = In.Frames[1];
    S->ifHCInBroadcastPkts = In.Frames[2];
    S->ifHCOutOctets = Sum(Out.Octets);
    S->ifHCOutUcastPkts = Out.Frames[0];
    S->ifHCOutMulticastPkts = Out.Frames[1];
    S->ifHCOutBroadcastPkts = Out.Frames[2];
    S->ifOutErrors = Out.Errors;
    S->ifOutDiscards = Out.Discards;
    S->ifHCInUcastOctets = In.Octets[0];
    S->ifHCInMulticastOctets = In.Octets[1];
    S->ifHCInBroadcastOctets = In.Octets[2];
    S->ifHCOutUcastOctets = Out.Octets[0];
    S->ifHCOutMulticastOctets = Out.Octets[1];
    S->ifHCOutBroadcastOctets = Out.Octets[2];
}

/* Answers a query with Size octets. */
static NDIS_STATUS Answer(NDIS_OID_REQUEST *Request, const void *Data, ULONG Size)
{
    struct _QUERY *Q = &Request->DATA.QUERY_INFORMATION;

    if (Q->InformationBufferLength < Size)
    {
        Q->BytesNeeded = Size;
        Q->BytesWritten = 0;
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    }
    RtlCopyMemory(Q->InformationBuffer, Data, Size);
    Q->BytesWritten = Size;
    return NDIS_STATUS_SUCCESS;
}

/* Counters come as 64 bits, or as 32 if there is no room for more (oid-gen-rcv-ok.md). */
static NDIS_STATUS AnswerCounter(NDIS_OID_REQUEST *Request, ULONG64 Value)
{
    struct _QUERY *Q = &Request->DATA.QUERY_INFORMATION;
    NDIS_STATUS Status;

    if (Q->InformationBufferLength >= sizeof(Value))
        return Answer(Request, &Value, sizeof(Value));
    Status = Answer(Request, &Value, sizeof(ULONG));
    Q->BytesNeeded = sizeof(Value);
    return Status;
}

static NDIS_STATUS Query(WIRE_PORT *Port, NDIS_OID_REQUEST *Request)
{
    static const char Vendor[] = "umndis wire";
    NDIS_STATISTICS_INFO Statistics;
    NDIS_INTERRUPT_MODERATION_PARAMETERS Moderation;
    WIRE_GENERATOR_STATE Generator;
    ULONG Number;
    KIRQL Irql;

    FillStatistics(Port, &Statistics);
    switch (Request->DATA.QUERY_INFORMATION.Oid)
    {
    case OID_GEN_STATISTICS:
        return Answer(Request, &Statistics, NDIS_SIZEOF_STATISTICS_INFO_REVISION_1);
    case OID_GEN_XMIT_OK:
        return AnswerCounter(Request, Statistics.ifHCOutUcastPkts +
                                          Statistics.ifHCOutMulticastPkts +
                                          Statistics.ifHCOutBroadcastPkts);
    case OID_GEN_RCV_OK:
        return AnswerCounter(Request, Statistics.ifHCInUcastPkts + Statistics.ifHCInMulticastPkts +
                                          Statistics.ifHCInBroadcastPkts);
    case OID_GEN_XMIT_ERROR:
        return AnswerCounter(Request, Statistics.ifOutErrors);
    case OID_GEN_RCV_ERROR:
        return AnswerCounter(Request, Statistics.ifInErrors);
    case OID_GEN_RCV_NO_BUFFER:
        return AnswerCounter(Request, Statistics.ifInDiscards);
    case OID_GEN_VENDOR_DESCRIPTION:
        return Answer(Request, Vendor, sizeof(Vendor));
    case OID_GEN_VENDOR_ID:
        Number = 0xFFFFFF; /* no IEEE number */
        return Answer(Request, &Number, sizeof(Number));
    case OID_GEN_VENDOR_DRIVER_VERSION:
        Number = 0x00010000;
        return Answer(Request, &Number, sizeof(Number));
    case OID_GEN_HARDWARE_STATUS:
        Number = NdisHardwareStatusReady;
        return Answer(Request, &Number, sizeof(Number));
    case OID_GEN_TRANSMIT_BUFFER_SPACE:
    case OID_GEN_RECEIVE_BUFFER_SPACE:
        Number = WIRE_MAX_QUEUE * (Port->Mtu + WIRE_HEADER);
        return Answer(Request, &Number, sizeof(Number));
    case OID_GEN_TRANSMIT_BLOCK_SIZE:
    case OID_GEN_RECEIVE_BLOCK_SIZE:
        Number = Port->Mtu + WIRE_HEADER;
        return Answer(Request, &Number, sizeof(Number));
    case OID_GEN_INTERRUPT_MODERATION:
        RtlZeroMemory(&Moderation, sizeof(Moderation));
        Moderation.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
        Moderation.Header.Revision = NDIS_INTERRUPT_MODERATION_PARAMETERS_REVISION_1;
        Moderation.Header.Size = NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1;
        Moderation.InterruptModeration = NdisInterruptModerationNotSupported;
        return Answer(Request, &Moderation, NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1);
    case OID_802_3_MULTICAST_LIST:
    {
        UCHAR List[WIRE_MAX_MULTICAST][6];
        ULONG Count;

        KeAcquireSpinLock(&Port->Lock, &Irql);
        Count = Port->MulticastCount;
        RtlCopyMemory(List, Port->Multicast, sizeof(List));
        KeReleaseSpinLock(&Port->Lock, Irql);
        return Answer(Request, List, Count * 6);
    }
    case OID_802_3_MAXIMUM_LIST_SIZE:
        Number = WIRE_MAX_MULTICAST;
        return Answer(Request, &Number, sizeof(Number));
    case OID_WIRE_GENERATE:
        KeAcquireSpinLock(&Port->Lock, &Irql);
        Generator = Port->Generator.State;
        KeReleaseSpinLock(&Port->Lock, Irql);
        return Answer(Request, &Generator, sizeof(Generator));
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
}

static NDIS_STATUS SetFilter(WIRE_PORT *Port, ULONG Filter)
{
    KIRQL Irql;

    if (Filter & ~(ULONG)WIRE_FILTERS)
        return NDIS_STATUS_NOT_SUPPORTED;
    KeAcquireSpinLock(&Port->Lock, &Irql);
    Port->PacketFilter = Filter;
    KeReleaseSpinLock(&Port->Lock, Irql);
    GeneratorKick(Port);
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS SetMulticast(WIRE_PORT *Port, struct _SET *S)
{
    KIRQL Irql;

    if (S->InformationBufferLength % 6)
        return NDIS_STATUS_INVALID_LENGTH;
    if (S->InformationBufferLength > sizeof(Port->Multicast))
    {
        S->BytesNeeded = sizeof(Port->Multicast);
        return NDIS_STATUS_MULTICAST_FULL;
    }
    KeAcquireSpinLock(&Port->Lock, &Irql);
    RtlCopyMemory(Port->Multicast, S->InformationBuffer, S->InformationBufferLength);
    Port->MulticastCount = S->InformationBufferLength / 6;
    KeReleaseSpinLock(&Port->Lock, Irql);
    S->BytesRead = S->InformationBufferLength;
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS SetGenerate(WIRE_PORT *Port, ULONG64 Frames)
{
    KIRQL Irql;

    if (!Port->Generator.Destinations)
        return NDIS_STATUS_INVALID_DATA;
    KeAcquireSpinLock(&Port->Lock, &Irql);
    Port->Generator.Armed = FALSE;
    /* NBLs of an earlier run that are still above count as this run's. */
    Port->Generator.State = (WIRE_GENERATOR_STATE){
        .Left = Frames,
        .Indicated = Port->Generator.State.Indicated - Port->Generator.State.Returned,
    };
    KeReleaseSpinLock(&Port->Lock, Irql);
    GeneratorKick(Port);
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS Set(WIRE_PORT *Port, NDIS_OID_REQUEST *Request)
{
    struct _SET *S = &Request->DATA.SET_INFORMATION;
    ULONG Want = S->Oid == OID_WIRE_GENERATE ? sizeof(ULONG64) : sizeof(ULONG);
    ULONG64 Value = 0;
    NDIS_STATUS Status;

    switch (S->Oid)
    {
    case OID_802_3_MULTICAST_LIST:
        return SetMulticast(Port, S);
    case OID_GEN_CURRENT_PACKET_FILTER:
    case OID_GEN_CURRENT_LOOKAHEAD:
    case OID_WIRE_GENERATE:
        break;
    case OID_GEN_INTERRUPT_MODERATION:
        return NDIS_STATUS_INVALID_DATA;
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    if (S->InformationBufferLength < Want)
    {
        S->BytesNeeded = Want;
        return NDIS_STATUS_INVALID_LENGTH;
    }
    RtlCopyMemory(&Value, S->InformationBuffer, Want);
    if (S->Oid == OID_WIRE_GENERATE)
        Status = SetGenerate(Port, Value);
    else if (S->Oid == OID_GEN_CURRENT_PACKET_FILTER)
        Status = SetFilter(Port, (ULONG)Value);
    else
        Status = NDIS_STATUS_SUCCESS; /* the lookahead is always the whole frame */
    if (Status == NDIS_STATUS_SUCCESS)
        S->BytesRead = Want;
    return Status;
}

NDIS_STATUS NTAPI WireOidRequest(NDIS_HANDLE Context, NDIS_OID_REQUEST *Request)
{
    switch (Request->RequestType)
    {
    case NdisRequestQueryInformation:
    case NdisRequestQueryStatistics:
        return Query(Context, Request);
    case NdisRequestSetInformation:
        return Set(Context, Request);
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
}

void NTAPI WireCancelOidRequest(NDIS_HANDLE Context, PVOID RequestId)
{
}
