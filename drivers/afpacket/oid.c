/* SPDX-License-Identifier: MIT */
/*
 * OID requests of an adapter. Owns PacketFilter and Multicast and what they are to the kernel:
 * memberships of the packet socket. NDIS serializes the requests; every one ends in the call, so
 * there is nothing to cancel. PASSIVE_LEVEL (IM-OID-01).
 */
#include "af.h"

const NDIS_OID AfpOids[] = {
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
};
const ULONG AfpOidsSize = sizeof(AfpOids);

#define AFP_FILTERS                                                                                \
    (NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_ALL_MULTICAST |     \
     NDIS_PACKET_TYPE_BROADCAST | NDIS_PACKET_TYPE_PROMISCUOUS)

static ULONG64 Sum(const ULONG64 V[3])
{
    return V[0] + V[1] + V[2];
}

static void AddCounters(AFP_COUNTERS *To, const AFP_COUNTERS *From)
{
    for (ULONG I = 0; I < 3; I++)
    {
        To->Frames[I] += From->Frames[I];
        To->Octets[I] += From->Octets[I];
    }
    To->Errors += From->Errors;
    To->Discards += From->Discards;
}

static void FillStatistics(AFP_ADAPTER *Adapter, NDIS_STATISTICS_INFO *S)
{
    AFP_COUNTERS In, Out = {0};
    KIRQL Irql;

    KeAcquireSpinLock(&Adapter->Lock, &Irql);
    In = Adapter->In;
    KeReleaseSpinLock(&Adapter->Lock, Irql);
    for (ULONG I = 0; I < Adapter->LaneCount; I++)
    {
        KeAcquireSpinLock(&Adapter->Lanes[I].Lock, &Irql);
        AddCounters(&Out, &Adapter->Lanes[I].Out);
        KeReleaseSpinLock(&Adapter->Lanes[I].Lock, Irql);
    }

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

static NDIS_STATUS Query(AFP_ADAPTER *Adapter, NDIS_OID_REQUEST *Request)
{
    static const char Vendor[] = "Linux interface (packet socket)";
    NDIS_STATISTICS_INFO Statistics;
    NDIS_INTERRUPT_MODERATION_PARAMETERS Moderation;
    ULONG Number;

    FillStatistics(Adapter, &Statistics);
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
        Number = AFP_SLOTS * (Adapter->Mtu + UMF_ETHERNET);
        return Answer(Request, &Number, sizeof(Number));
    case OID_GEN_TRANSMIT_BLOCK_SIZE:
    case OID_GEN_RECEIVE_BLOCK_SIZE:
        Number = Adapter->Mtu + UMF_ETHERNET;
        return Answer(Request, &Number, sizeof(Number));
    case OID_GEN_INTERRUPT_MODERATION:
        RtlZeroMemory(&Moderation, sizeof(Moderation));
        Moderation.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
        Moderation.Header.Revision = NDIS_INTERRUPT_MODERATION_PARAMETERS_REVISION_1;
        Moderation.Header.Size = NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1;
        Moderation.InterruptModeration = NdisInterruptModerationNotSupported;
        return Answer(Request, &Moderation, NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1);
    case OID_802_3_MULTICAST_LIST:
        return Answer(Request, Adapter->Multicast, Adapter->MulticastCount * 6);
    case OID_802_3_MAXIMUM_LIST_SIZE:
        Number = AFP_MAX_MULTICAST;
        return Answer(Request, &Number, sizeof(Number));
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
}

/* Follows one bit of the packet filter with a membership. */
static int FollowBit(AFP_ADAPTER *Adapter, ULONG Old, ULONG New, ULONG Bit, int Kind)
{
    if ((Old & Bit) == (New & Bit))
        return 0;
    return AfHostMember(Adapter->Host, (New & Bit) != 0, Kind, NULL);
}

static BOOLEAN IsGone(AFP_ADAPTER *Adapter)
{
    BOOLEAN Gone;
    KIRQL Irql;

    KeAcquireSpinLock(&Adapter->Lock, &Irql);
    Gone = Adapter->Gone;
    KeReleaseSpinLock(&Adapter->Lock, Irql);
    return Gone;
}

static NDIS_STATUS SetFilter(AFP_ADAPTER *Adapter, ULONG Filter)
{
    ULONG Old = Adapter->PacketFilter;
    int Error;

    if (Filter & ~(ULONG)AFP_FILTERS)
        return NDIS_STATUS_NOT_SUPPORTED;
    if (IsGone(Adapter)) /* its memberships went with it */
    {
        Adapter->PacketFilter = Filter;
        return NDIS_STATUS_SUCCESS;
    }
    Error = FollowBit(Adapter, Old, Filter, NDIS_PACKET_TYPE_PROMISCUOUS, AF_PROMISC);
    if (Error)
        return NDIS_STATUS_FAILURE;
    Error = FollowBit(Adapter, Old, Filter, NDIS_PACKET_TYPE_ALL_MULTICAST, AF_ALLMULTI);
    if (Error)
    {
        FollowBit(Adapter, Filter, Old, NDIS_PACKET_TYPE_PROMISCUOUS, AF_PROMISC);
        return NDIS_STATUS_FAILURE;
    }
    Adapter->PacketFilter = Filter;
    return NDIS_STATUS_SUCCESS;
}

/* The new list is joined before the old one is left: what is in both never stops. */
static NDIS_STATUS SetMulticast(AFP_ADAPTER *Adapter, struct _SET *S)
{
    UCHAR(*New)[6] = S->InformationBuffer;
    ULONG Count = S->InformationBufferLength / 6, Joined;
    BOOLEAN Gone = IsGone(Adapter);

    if (S->InformationBufferLength % 6)
        return NDIS_STATUS_INVALID_LENGTH;
    if (Count > AFP_MAX_MULTICAST)
    {
        S->BytesNeeded = sizeof(Adapter->Multicast);
        return NDIS_STATUS_MULTICAST_FULL;
    }
    for (Joined = 0; Joined < Count && !Gone; Joined++)
    {
        if (!AfHostMember(Adapter->Host, 1, AF_MULTICAST, New[Joined]))
            continue;
        while (Joined--)
            AfHostMember(Adapter->Host, 0, AF_MULTICAST, New[Joined]);
        return NDIS_STATUS_FAILURE;
    }
    for (ULONG I = 0; I < Adapter->MulticastCount && !Gone; I++)
        AfHostMember(Adapter->Host, 0, AF_MULTICAST, Adapter->Multicast[I]);
    RtlCopyMemory(Adapter->Multicast, New, Count * 6);
    Adapter->MulticastCount = Count;
    S->BytesRead = Count * 6;
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS Set(AFP_ADAPTER *Adapter, NDIS_OID_REQUEST *Request)
{
    struct _SET *S = &Request->DATA.SET_INFORMATION;
    NDIS_STATUS Status = NDIS_STATUS_SUCCESS;
    ULONG Value;

    switch (S->Oid)
    {
    case OID_802_3_MULTICAST_LIST:
        return SetMulticast(Adapter, S);
    case OID_GEN_CURRENT_PACKET_FILTER:
    case OID_GEN_CURRENT_LOOKAHEAD:
        break;
    case OID_GEN_INTERRUPT_MODERATION:
        return NDIS_STATUS_INVALID_DATA;
    default:
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    if (S->InformationBufferLength < sizeof(Value))
    {
        S->BytesNeeded = sizeof(Value);
        return NDIS_STATUS_INVALID_LENGTH;
    }
    RtlCopyMemory(&Value, S->InformationBuffer, sizeof(Value));
    if (S->Oid == OID_GEN_CURRENT_PACKET_FILTER)
        Status = SetFilter(Adapter, Value);
    /* The lookahead is always the whole frame. */
    if (Status == NDIS_STATUS_SUCCESS)
        S->BytesRead = sizeof(Value);
    return Status;
}

NDIS_STATUS NTAPI AfpOidRequest(NDIS_HANDLE Context, NDIS_OID_REQUEST *Request)
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

void NTAPI AfpCancelOidRequest(NDIS_HANDLE Context, PVOID RequestId)
{
}
