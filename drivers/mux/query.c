/* SPDX-License-Identifier: MIT */
/*
 * What a virtual miniport answers itself (IM-OID-09, -19, -20), queries and sets. Lengths and
 * contents come from elsewhere and are checked here; NDIS does not. NDIS_STATUS_NOT_RECOGNIZED: not
 * ours. PASSIVE_LEVEL.
 */
#include "mux.h"

static const char QueryVendor[] = "umndis n-to-one MUX virtual miniport";
#define MUX_VENDOR_ID 0x00FFFFFF /* no IEEE code, as oid-gen-vendor-id.md has it */
#define MUX_BUFFERED_FRAMES 256  /* what the two buffer space queries multiply with */

/* Gives Size bytes at Data, or says how many are needed. */
static NDIS_STATUS QueryGive(PNDIS_OID_REQUEST Request, const VOID *Data, ULONG Size)
{
    if (Request->DATA.QUERY_INFORMATION.InformationBufferLength < Size)
    {
        Request->DATA.QUERY_INFORMATION.BytesWritten = 0;
        Request->DATA.QUERY_INFORMATION.BytesNeeded = Size;
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    }
    NdisMoveMemory(Request->DATA.QUERY_INFORMATION.InformationBuffer, Data, Size);
    Request->DATA.QUERY_INFORMATION.BytesWritten = Size;
    Request->DATA.QUERY_INFORMATION.BytesNeeded = Size;
    return NDIS_STATUS_SUCCESS;
}

/* A 64-bit count; a buffer of 4 bytes gets the low half and is told of the rest. */
static NDIS_STATUS QueryCount(PNDIS_OID_REQUEST Request, ULONG64 Count)
{
    ULONG Low = (ULONG)Count;
    NDIS_STATUS Status;

    if (Request->DATA.QUERY_INFORMATION.InformationBufferLength >= sizeof(Count))
    {
        return QueryGive(Request, &Count, sizeof(Count));
    }
    Status = QueryGive(Request, &Low, sizeof(Low));
    Request->DATA.QUERY_INFORMATION.BytesNeeded = sizeof(Count);
    return Status;
}

static NDIS_STATUS QueryStatistics(MUX_VM *Vm, PNDIS_OID_REQUEST Request, NDIS_OID Oid)
{
    NDIS_STATISTICS_INFO Info;
    ULONG64 Sent;

    StatsFill(Vm, &Info);
    switch (Oid)
    {
    case OID_GEN_STATISTICS:
        return QueryGive(Request, &Info, NDIS_SIZEOF_STATISTICS_INFO_REVISION_1);
    case OID_GEN_RCV_OK:
        return QueryCount(Request, Info.ifHCInUcastPkts + Info.ifHCInMulticastPkts +
                                       Info.ifHCInBroadcastPkts);
    default:
        Sent = Info.ifHCOutUcastPkts + Info.ifHCOutMulticastPkts + Info.ifHCOutBroadcastPkts;
        return QueryCount(Request, Sent > Info.ifOutErrors ? Sent - Info.ifOutErrors : 0);
    }
}

/* Interrupts are the NIC's. */
static NDIS_STATUS QueryModeration(PNDIS_OID_REQUEST Request)
{
    NDIS_INTERRUPT_MODERATION_PARAMETERS Moderation;

    NdisZeroMemory(&Moderation, sizeof(Moderation));
    Moderation.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    Moderation.Header.Revision = NDIS_INTERRUPT_MODERATION_PARAMETERS_REVISION_1;
    Moderation.Header.Size = NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1;
    Moderation.InterruptModeration = NdisInterruptModerationNotSupported;
    return QueryGive(Request, &Moderation, NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1);
}

/* Wake-up: Unspecified everywhere (IM-INI-07, open question 31). */
static NDIS_STATUS QueryPnpCapabilities(PNDIS_OID_REQUEST Request)
{
    NDIS_PNP_CAPABILITIES Capabilities;

    NdisZeroMemory(&Capabilities, sizeof(Capabilities));
    Capabilities.WakeUpCapabilities.MinMagicPacketWakeUp = NdisDeviceStateUnspecified;
    Capabilities.WakeUpCapabilities.MinPatternWakeUp = NdisDeviceStateUnspecified;
    Capabilities.WakeUpCapabilities.MinLinkChangeWakeUp = NdisDeviceStateUnspecified;
    return QueryGive(Request, &Capabilities, sizeof(Capabilities));
}

/* The numbers. FALSE: not one of them. */
static BOOLEAN QueryNumber(const MUX_VM *Vm, NDIS_OID Oid, PULONG Number)
{
    ULONG Frame = ReadULongNoFence(&Vm->Binding->MtuSize) + MUX_HEADER_LENGTH;

    switch (Oid)
    {
    case OID_GEN_MAXIMUM_TOTAL_SIZE:
    case OID_GEN_RECEIVE_BLOCK_SIZE:
    case OID_GEN_TRANSMIT_BLOCK_SIZE:
        *Number = Frame;
        return TRUE;
    case OID_GEN_RECEIVE_BUFFER_SPACE:
    case OID_GEN_TRANSMIT_BUFFER_SPACE:
        *Number = Frame * MUX_BUFFERED_FRAMES;
        return TRUE;
    case OID_GEN_VENDOR_ID:
        *Number = MUX_VENDOR_ID;
        return TRUE;
    case OID_GEN_VENDOR_DRIVER_VERSION:
        *Number = MUX_DRIVER_MAJOR << 16 | MUX_DRIVER_MINOR;
        return TRUE;
    case OID_GEN_CURRENT_LOOKAHEAD:
        *Number = Vm->Lookahead;
        return TRUE;
    case OID_GEN_CURRENT_PACKET_FILTER:
        *Number = Vm->Filter;
        return TRUE;
    case OID_802_3_MAXIMUM_LIST_SIZE:
        *Number = MUX_MAX_MULTICAST;
        return TRUE;
    default:
        return FALSE;
    }
}

/* Answers a query, or NDIS_STATUS_NOT_RECOGNIZED. */
NDIS_STATUS QueryAnswer(MUX_VM *Vm, PNDIS_OID_REQUEST Request)
{
    NDIS_OID Oid = Request->DATA.QUERY_INFORMATION.Oid;
    ULONG Number;

    if (QueryNumber(Vm, Oid, &Number))
    {
        return QueryGive(Request, &Number, sizeof(Number));
    }
    switch (Oid)
    {
    case OID_GEN_STATISTICS:
    case OID_GEN_RCV_OK:
    case OID_GEN_XMIT_OK:
        return QueryStatistics(Vm, Request, Oid);
    case OID_GEN_VENDOR_DESCRIPTION:
        return QueryGive(Request, QueryVendor, sizeof(QueryVendor));
    case OID_GEN_INTERRUPT_MODERATION:
        return QueryModeration(Request);
    case OID_802_3_PERMANENT_ADDRESS:
        return QueryGive(Request, Vm->PermanentMac, MUX_MAC_LENGTH);
    case OID_802_3_CURRENT_ADDRESS:
        return QueryGive(Request, Vm->Mac, MUX_MAC_LENGTH);
    case OID_PNP_CAPABILITIES:
        return QueryPnpCapabilities(Request);
    default:
        return NDIS_STATUS_NOT_RECOGNIZED;
    }
}

/* The whole buffer of a set, if it has at least Size bytes. */
static NDIS_STATUS SetNeeds(PNDIS_OID_REQUEST Request, ULONG Size)
{
    if (Request->DATA.SET_INFORMATION.InformationBufferLength < Size)
    {
        Request->DATA.SET_INFORMATION.BytesRead = 0;
        Request->DATA.SET_INFORMATION.BytesNeeded = Size;
        return NDIS_STATUS_INVALID_LENGTH;
    }
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS SetTook(PNDIS_OID_REQUEST Request, NDIS_STATUS Status)
{
    if (Status == NDIS_STATUS_SUCCESS || Status == NDIS_STATUS_PENDING)
    {
        Request->DATA.SET_INFORMATION.BytesRead =
            Request->DATA.SET_INFORMATION.InformationBufferLength;
    }
    return Status;
}

static NDIS_STATUS SetFilter(MUX_VM *Vm, PNDIS_OID_REQUEST Request, ULONG Filter)
{
    if ((Filter & ~MUX_PACKET_FILTERS) != 0)
    {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    if (OidPend(Vm, Request, MuxOidFilter) == MuxOidNone)
    {
        return NDIS_STATUS_FAILURE;
    }
    (VOID) SetTook(Request, NDIS_STATUS_SUCCESS);
    return FilterSet(Vm, Filter);
}

static NDIS_STATUS SetMulticast(MUX_VM *Vm, PNDIS_OID_REQUEST Request)
{
    ULONG Length = Request->DATA.SET_INFORMATION.InformationBufferLength;
    const UCHAR *List = (const UCHAR *)Request->DATA.SET_INFORMATION.InformationBuffer;
    ULONG i;

    if (Length % MUX_MAC_LENGTH != 0)
    {
        return NDIS_STATUS_INVALID_LENGTH;
    }
    if (Length / MUX_MAC_LENGTH > MUX_MAX_MULTICAST)
    {
        return NDIS_STATUS_MULTICAST_FULL;
    }
    for (i = 0; i < Length; i += MUX_MAC_LENGTH)
    {
        if (!ETH_IS_MULTICAST(List + i))
        {
            return NDIS_STATUS_INVALID_DATA;
        }
    }
    if (OidPend(Vm, Request, MuxOidFilter) == MuxOidNone)
    {
        return NDIS_STATUS_FAILURE;
    }
    (VOID) SetTook(Request, NDIS_STATUS_SUCCESS);
    return FilterSetMulticast(Vm, List, Length / MUX_MAC_LENGTH);
}

/* Kept per virtual miniport; only a larger one than ever before goes below. */
static NDIS_STATUS SetLookahead(MUX_VM *Vm, ULONG Lookahead)
{
    MUX_BINDING *Binding = Vm->Binding;
    BOOLEAN Larger;

    if (Lookahead > ReadULongNoFence(&Binding->LookaheadSize))
    {
        return NDIS_STATUS_INVALID_DATA;
    }
    Vm->Lookahead = Lookahead;
    NdisAcquireSpinLock(&Mux.Lock);
    Larger = Lookahead > Binding->Lookahead;
    if (Larger)
    {
        Binding->Lookahead = Lookahead;
    }
    NdisReleaseSpinLock(&Mux.Lock);
    return Larger ? NDIS_STATUS_NOT_RECOGNIZED : NDIS_STATUS_SUCCESS;
}

/* The frame format of offloads is the same for everybody: checked, told upward, and passed down. */
static NDIS_STATUS SetEncapsulation(MUX_VM *Vm, const NDIS_OFFLOAD_ENCAPSULATION *Wanted)
{
    if (!Vm->HaveOffload)
    {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    if ((Wanted->IPv4.Enabled == NDIS_OFFLOAD_SET_ON &&
         Wanted->IPv4.EncapsulationType != NDIS_ENCAPSULATION_IEEE_802_3) ||
        (Wanted->IPv6.Enabled == NDIS_OFFLOAD_SET_ON &&
         Wanted->IPv6.EncapsulationType != NDIS_ENCAPSULATION_IEEE_802_3))
    {
        return NDIS_STATUS_INVALID_DATA;
    }
    StatusOffload(Vm, NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG);
    return NDIS_STATUS_NOT_RECOGNIZED;
}

static NDIS_STATUS SetOffload(MUX_VM *Vm, PNDIS_OID_REQUEST Request)
{
    NDIS_STATUS Status;

    if (!Vm->HaveOffload)
    {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    Status =
        OffloadApply(Vm, (PNDIS_OFFLOAD_PARAMETERS)Request->DATA.SET_INFORMATION.InformationBuffer,
                     Request->DATA.SET_INFORMATION.InformationBufferLength);
    if (Status == NDIS_STATUS_SUCCESS)
    {
        StatusOffload(Vm, NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG);
    }
    return SetTook(Request, Status);
}

/* Answers a set, or NDIS_STATUS_NOT_RECOGNIZED, which sends it below. */
NDIS_STATUS SetAnswer(MUX_VM *Vm, PNDIS_OID_REQUEST Request)
{
    PVOID Buffer = Request->DATA.SET_INFORMATION.InformationBuffer;
    NDIS_STATUS Status = NDIS_STATUS_SUCCESS;

    switch (Request->DATA.SET_INFORMATION.Oid)
    {
    case OID_GEN_CURRENT_PACKET_FILTER:
        Status = SetNeeds(Request, sizeof(ULONG));
        return Status == NDIS_STATUS_SUCCESS
                   ? SetFilter(Vm, Request, *(const ULONG UNALIGNED *)Buffer)
                   : Status;
    case OID_802_3_MULTICAST_LIST:
        return SetMulticast(Vm, Request);
    case OID_GEN_CURRENT_LOOKAHEAD:
        Status = SetNeeds(Request, sizeof(ULONG));
        return Status == NDIS_STATUS_SUCCESS
                   ? SetTook(Request, SetLookahead(Vm, *(const ULONG UNALIGNED *)Buffer))
                   : Status;
    case OID_GEN_INTERRUPT_MODERATION:
        return NDIS_STATUS_INVALID_DATA;
    case OID_TCP_OFFLOAD_PARAMETERS:
        return SetOffload(Vm, Request);
    case OID_OFFLOAD_ENCAPSULATION:
        Status = SetNeeds(Request, NDIS_SIZEOF_OFFLOAD_ENCAPSULATION_REVISION_1);
        return Status == NDIS_STATUS_SUCCESS
                   ? SetEncapsulation(Vm, (const NDIS_OFFLOAD_ENCAPSULATION *)Buffer)
                   : Status;
    case OID_PM_PARAMETERS:
        return SetTook(Request, NDIS_STATUS_SUCCESS); /* nothing here wakes anybody */
    default:
        return NDIS_STATUS_NOT_RECOGNIZED;
    }
}

/*
 * OID_PNP_QUERY_POWER and OID_PNP_SET_POWER: always a success, never passed on (IM-PWR-01). A set
 * to sleep is pended while sends or indications are under way.
 */
NDIS_STATUS SetPowerAnswer(MUX_VM *Vm, PNDIS_OID_REQUEST Request)
{
    NDIS_DEVICE_POWER_STATE Power = NdisDeviceStateD0;

    if (Request->DATA.SET_INFORMATION.Oid == OID_PNP_QUERY_POWER)
    {
        Request->DATA.QUERY_INFORMATION.BytesWritten = 0;
        return NDIS_STATUS_SUCCESS;
    }
    if (Request->DATA.SET_INFORMATION.InformationBufferLength >= sizeof(Power))
    {
        NdisMoveMemory(&Power, Request->DATA.SET_INFORMATION.InformationBuffer, sizeof(Power));
    }
    (VOID) SetTook(Request, NDIS_STATUS_SUCCESS);
    if (OidPend(Vm, Request, MuxOidPower) == MuxOidNone)
    {
        return NDIS_STATUS_SUCCESS;
    }
    if (!VmSleep(Vm, Power))
    {
        return NDIS_STATUS_PENDING;
    }
    OidUnpend(Vm);
    return NDIS_STATUS_SUCCESS;
}
