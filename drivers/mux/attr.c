/* SPDX-License-Identifier: MIT */
/*
 * What a virtual miniport says of itself: registration, general and offload attributes, made from
 * what the lower adapter said (IM-INI-02, -06, -07, -11), and its current offload configuration,
 * which is its own: several virtual miniports share one NIC, so none of them switches the NIC's
 * offloads (IM-OFF-03).
 */
#include "path.h"

const NDIS_OID MuxSupportedOids[] = {
    OID_GEN_SUPPORTED_LIST,
    OID_GEN_MEDIA_SUPPORTED,
    OID_GEN_MEDIA_IN_USE,
    OID_GEN_MAXIMUM_LOOKAHEAD,
    OID_GEN_MAXIMUM_FRAME_SIZE,
    OID_GEN_MAXIMUM_TOTAL_SIZE,
    OID_GEN_TRANSMIT_BUFFER_SPACE,
    OID_GEN_RECEIVE_BUFFER_SPACE,
    OID_GEN_TRANSMIT_BLOCK_SIZE,
    OID_GEN_RECEIVE_BLOCK_SIZE,
    OID_GEN_VENDOR_ID,
    OID_GEN_VENDOR_DESCRIPTION,
    OID_GEN_VENDOR_DRIVER_VERSION,
    OID_GEN_DRIVER_VERSION,
    OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_CURRENT_LOOKAHEAD,
    OID_GEN_MAC_OPTIONS,
    OID_GEN_MEDIA_CONNECT_STATUS,
    OID_GEN_LINK_STATE,
    OID_GEN_MAX_LINK_SPEED,
    OID_GEN_INTERRUPT_MODERATION,
    OID_GEN_STATISTICS,
    OID_GEN_XMIT_OK,
    OID_GEN_RCV_OK,
    OID_802_3_PERMANENT_ADDRESS,
    OID_802_3_CURRENT_ADDRESS,
    OID_802_3_MULTICAST_LIST,
    OID_802_3_MAXIMUM_LIST_SIZE,
    OID_PNP_QUERY_POWER,
    OID_PNP_SET_POWER,
    /* These two only with offloads: the last ones, left out without. */
    OID_TCP_OFFLOAD_PARAMETERS,
    OID_OFFLOAD_ENCAPSULATION,
};
#define MUX_OFFLOAD_OIDS 2

#define MUX_STATISTICS                                                                             \
    (NDIS_STATISTICS_XMIT_OK_SUPPORTED | NDIS_STATISTICS_RCV_OK_SUPPORTED |                        \
     NDIS_STATISTICS_XMIT_ERROR_SUPPORTED | NDIS_STATISTICS_RCV_ERROR_SUPPORTED |                  \
     NDIS_STATISTICS_RCV_NO_BUFFER_SUPPORTED | NDIS_STATISTICS_DIRECTED_BYTES_XMIT_SUPPORTED |     \
     NDIS_STATISTICS_DIRECTED_FRAMES_XMIT_SUPPORTED |                                              \
     NDIS_STATISTICS_MULTICAST_BYTES_XMIT_SUPPORTED |                                              \
     NDIS_STATISTICS_MULTICAST_FRAMES_XMIT_SUPPORTED |                                             \
     NDIS_STATISTICS_BROADCAST_BYTES_XMIT_SUPPORTED |                                              \
     NDIS_STATISTICS_BROADCAST_FRAMES_XMIT_SUPPORTED |                                             \
     NDIS_STATISTICS_DIRECTED_BYTES_RCV_SUPPORTED |                                                \
     NDIS_STATISTICS_DIRECTED_FRAMES_RCV_SUPPORTED |                                               \
     NDIS_STATISTICS_MULTICAST_BYTES_RCV_SUPPORTED |                                               \
     NDIS_STATISTICS_MULTICAST_FRAMES_RCV_SUPPORTED |                                              \
     NDIS_STATISTICS_BROADCAST_BYTES_RCV_SUPPORTED |                                               \
     NDIS_STATISTICS_BROADCAST_FRAMES_RCV_SUPPORTED | NDIS_STATISTICS_RCV_DISCARDS_SUPPORTED |     \
     NDIS_STATISTICS_BYTES_RCV_SUPPORTED | NDIS_STATISTICS_BYTES_XMIT_SUPPORTED |                  \
     NDIS_STATISTICS_XMIT_DISCARDS_SUPPORTED)

/* Registration attributes: no hardware flags, nothing halts or pauses us for sleep (IM-INI-06,
 * IM-POR-03). */
NDIS_STATUS VmSetRegistration(MUX_VM *Vm)
{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES Attributes;
    PNDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES Registration =
        &Attributes.RegistrationAttributes;

    NdisZeroMemory(&Attributes, sizeof(Attributes));
    Registration->Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES;
    Registration->Header.Revision = NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2;
    Registration->Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2;
    Registration->MiniportAdapterContext = (NDIS_HANDLE)Vm;
    Registration->AttributeFlags = NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND |
                                   NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND |
                                   NDIS_MINIPORT_ATTRIBUTES_SURPRISE_REMOVE_OK;
    Registration->InterfaceType = (NDIS_INTERFACE_TYPE)0;
    return NdisMSetMiniportAttributes(Vm->Handle, &Attributes);
}

/* Wake-up belongs to the NIC: none of it is ours to offer (IM-INI-07, open question 41). */
static VOID AttrPm(NDIS_PM_CAPABILITIES *Pm)
{
    NdisZeroMemory(Pm, sizeof(*Pm));
    Pm->Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    Pm->Header.Revision = NDIS_PM_CAPABILITIES_REVISION_2;
    Pm->Header.Size = NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2;
    Pm->MinMagicPacketWakeUp = NdisDeviceStateUnspecified;
    Pm->MinPatternWakeUp = NdisDeviceStateUnspecified;
    Pm->MinLinkChangeWakeUp = NdisDeviceStateUnspecified;
}

/* Link and speeds, as the lower adapter has them now. */
static VOID AttrLink(MUX_VM *Vm, PNDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES General)
{
    General->MaxXmitLinkSpeed = ReadULong64NoFence(&Vm->Binding->MaxXmitLinkSpeed);
    General->MaxRcvLinkSpeed = ReadULong64NoFence(&Vm->Binding->MaxRcvLinkSpeed);
    General->XmitLinkSpeed = Vm->LinkState.XmitLinkSpeed;
    General->RcvLinkSpeed = Vm->LinkState.RcvLinkSpeed;
    General->MediaConnectState = Vm->LinkState.MediaConnectState;
    General->MediaDuplexState = Vm->LinkState.MediaDuplexState;
}

static NDIS_STATUS AttrGeneral(MUX_VM *Vm)
{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES Attributes;
    PNDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES General = &Attributes.GeneralAttributes;
    MUX_BINDING *Lower = Vm->Binding;
    NDIS_PM_CAPABILITIES Pm;
    ULONG Oids = RTL_NUMBER_OF(MuxSupportedOids) - (Vm->HaveOffload ? 0 : MUX_OFFLOAD_OIDS);

    NdisZeroMemory(&Attributes, sizeof(Attributes));
    AttrPm(&Pm);
    General->Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES;
    General->Header.Revision = NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2;
    General->Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2;
    General->MediaType = NdisMedium802_3;
    General->PhysicalMediumType = NdisPhysicalMediumUnspecified;
    General->MtuSize = Lower->MtuSize;
    AttrLink(Vm, General);
    General->LookaheadSize = Lower->LookaheadSize;
    General->MacOptions = NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA | NDIS_MAC_OPTION_TRANSFERS_NOT_PEND |
                          NDIS_MAC_OPTION_NO_LOOPBACK |
                          (Lower->MacOptions & NDIS_MAC_OPTION_8021P_PRIORITY);
    General->SupportedPacketFilters = MUX_PACKET_FILTERS;
    General->MaxMulticastListSize = MUX_MAX_MULTICAST;
    General->MacAddressLength = MUX_MAC_LENGTH;
    NdisMoveMemory(General->PermanentMacAddress, Vm->PermanentMac, MUX_MAC_LENGTH);
    NdisMoveMemory(General->CurrentMacAddress, Vm->Mac, MUX_MAC_LENGTH);
    General->RecvScaleCapabilities = NULL; /* one NIC, many virtual miniports (IM-OFF-02) */
    General->AccessType = NET_IF_ACCESS_BROADCAST;
    General->DirectionType = NET_IF_DIRECTION_SENDRECEIVE;
    General->ConnectionType = NET_IF_CONNECTION_DEDICATED;
    General->IfType = IF_TYPE_ETHERNET_CSMACD;
    General->IfConnectorPresent = FALSE;
    General->SupportedStatistics = MUX_STATISTICS;
    General->SupportedPauseFunctions = NdisPauseFunctionsUnsupported;
    /* One stack ends here; the one below still wants its room (open question 38). */
    General->DataBackFillSize = Lower->DataBackFill;
    General->ContextBackFillSize = Lower->ContextBackFill + sizeof(MUX_SEND);
    General->SupportedOidList = (PNDIS_OID)(ULONG_PTR)MuxSupportedOids;
    General->SupportedOidListLength = Oids * sizeof(NDIS_OID);
    General->PowerManagementCapabilitiesEx = &Pm;
    return NdisMSetMiniportAttributes(Vm->Handle, &Attributes);
}

/* The offloads of the NIC, honestly: what it does now, no more. Without any, no attributes at all,
 * and NDIS answers the queries with NOT_SUPPORTED (open question 32). */
static NDIS_STATUS AttrOffload(MUX_VM *Vm)
{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES Attributes;
    PNDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES Offload = &Attributes.OffloadAttributes;

    if (!Vm->HaveOffload)
    {
        return NDIS_STATUS_SUCCESS;
    }
    NdisZeroMemory(&Attributes, sizeof(Attributes));
    Offload->Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES;
    Offload->Header.Revision = NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1;
    Offload->Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1;
    Offload->DefaultOffloadConfiguration = &Vm->Offload;
    Offload->HardwareOffloadCapabilities = &Vm->Offload;
    return NdisMSetMiniportAttributes(Vm->Handle, &Attributes);
}

/* General attributes, then the rest (IM-INI-02). */
NDIS_STATUS VmSetAttributes(MUX_VM *Vm)
{
    NDIS_STATUS Status = AttrGeneral(Vm);

    return Status == NDIS_STATUS_SUCCESS ? AttrOffload(Vm) : Status;
}

/*
 * The part of a lower NDIS_OFFLOAD of Size bytes that passes through us unharmed: checksums, LSO v2
 * and RSC. LSO v1 and IPsec are not carried. An older, shorter structure is read as far as it goes.
 */
VOID OffloadFromLower(NDIS_OFFLOAD *Out, const NDIS_OFFLOAD *Lower, ULONG Size)
{
    NdisZeroMemory(Out, sizeof(*Out));
    Out->Header.Type = NDIS_OBJECT_TYPE_OFFLOAD;
    Out->Header.Revision = NDIS_OFFLOAD_REVISION_3;
    Out->Header.Size = NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3;
    if (Size < NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1)
    {
        return;
    }
    Out->Checksum = Lower->Checksum;
    Out->LsoV2 = Lower->LsoV2;
    if (Size >= NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3)
    {
        Out->Rsc = Lower->Rsc;
    }
}

/* 1: off, 2: transmit, 3: receive, 4: both (NDIS_OFFLOAD_PARAMETERS_*); 0: no change. */
static VOID OffloadDirections(UCHAR Parameter, BOOLEAN *Transmit, BOOLEAN *Receive)
{
    *Transmit = *Receive = TRUE;
    switch (Parameter)
    {
    case NDIS_OFFLOAD_PARAMETERS_TX_RX_DISABLED:
        *Transmit = *Receive = FALSE;
        break;
    case NDIS_OFFLOAD_PARAMETERS_TX_ENABLED_RX_DISABLED:
        *Receive = FALSE;
        break;
    case NDIS_OFFLOAD_PARAMETERS_RX_ENABLED_TX_DISABLED:
        *Transmit = FALSE;
        break;
    default:
        break;
    }
}

/* A field follows its parameter: kept, off, or back to what the lower adapter has. */
#define OFFLOAD_TAKE(Parameter, TransmitField, ReceiveField)                                       \
    if ((Parameter) != NDIS_OFFLOAD_PARAMETERS_NO_CHANGE)                                          \
    {                                                                                              \
        OffloadDirections((Parameter), &Transmit, &Receive);                                       \
        To->Checksum.TransmitField = Transmit ? From->Checksum.TransmitField : 0;                  \
        To->Checksum.ReceiveField = Receive ? From->Checksum.ReceiveField : 0;                     \
    }

static VOID OffloadChecksums(NDIS_OFFLOAD *To, const NDIS_OFFLOAD *From,
                             const NDIS_OFFLOAD_PARAMETERS *P)
{
    BOOLEAN Transmit, Receive;

    OFFLOAD_TAKE(P->IPv4Checksum, IPv4Transmit.IpChecksum, IPv4Receive.IpChecksum)
    OFFLOAD_TAKE(P->TCPIPv4Checksum, IPv4Transmit.TcpChecksum, IPv4Receive.TcpChecksum)
    OFFLOAD_TAKE(P->UDPIPv4Checksum, IPv4Transmit.UdpChecksum, IPv4Receive.UdpChecksum)
    OFFLOAD_TAKE(P->TCPIPv6Checksum, IPv6Transmit.TcpChecksum, IPv6Receive.TcpChecksum)
    OFFLOAD_TAKE(P->UDPIPv6Checksum, IPv6Transmit.UdpChecksum, IPv6Receive.UdpChecksum)
}

static VOID OffloadSegments(NDIS_OFFLOAD *To, const NDIS_OFFLOAD *From,
                            const NDIS_OFFLOAD_PARAMETERS *P, ULONG Length)
{
    if (P->LsoV2IPv4 == NDIS_OFFLOAD_PARAMETERS_LSOV2_DISABLED)
    {
        NdisZeroMemory(&To->LsoV2.IPv4, sizeof(To->LsoV2.IPv4));
    }
    else if (P->LsoV2IPv4 == NDIS_OFFLOAD_PARAMETERS_LSOV2_ENABLED)
    {
        To->LsoV2.IPv4 = From->LsoV2.IPv4;
    }
    if (P->LsoV2IPv6 == NDIS_OFFLOAD_PARAMETERS_LSOV2_DISABLED)
    {
        NdisZeroMemory(&To->LsoV2.IPv6, sizeof(To->LsoV2.IPv6));
    }
    else if (P->LsoV2IPv6 == NDIS_OFFLOAD_PARAMETERS_LSOV2_ENABLED)
    {
        To->LsoV2.IPv6 = From->LsoV2.IPv6;
    }
    if (Length < NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_3)
    {
        return;
    }
    if (P->RscIPv4 != NDIS_OFFLOAD_PARAMETERS_NO_CHANGE)
    {
        To->Rsc.IPv4.Enabled =
            P->RscIPv4 == NDIS_OFFLOAD_PARAMETERS_RSC_ENABLED && From->Rsc.IPv4.Enabled;
    }
    if (P->RscIPv6 != NDIS_OFFLOAD_PARAMETERS_NO_CHANGE)
    {
        To->Rsc.IPv6.Enabled =
            P->RscIPv6 == NDIS_OFFLOAD_PARAMETERS_RSC_ENABLED && From->Rsc.IPv6.Enabled;
    }
}

/*
 * OID_TCP_OFFLOAD_PARAMETERS on one virtual miniport: changes what that virtual miniport reports
 * and nothing below; two that disagree each get their own (IM-OFF-03). Values outside the
 * documented ones give NDIS_STATUS_INVALID_DATA and change nothing. The caller then indicates the
 * new configuration.
 */
NDIS_STATUS OffloadApply(MUX_VM *Vm, const NDIS_OFFLOAD_PARAMETERS *Parameters, ULONG Length)
{
    const UCHAR *Checksums = &Parameters->IPv4Checksum;
    NDIS_OFFLOAD New;
    ULONG i;

    if (Length < NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1)
    {
        return NDIS_STATUS_INVALID_LENGTH;
    }
    for (i = 0; i < 5; i++) /* IPv4Checksum to UDPIPv6Checksum */
    {
        if (Checksums[i] > NDIS_OFFLOAD_PARAMETERS_TX_RX_ENABLED)
        {
            return NDIS_STATUS_INVALID_DATA;
        }
    }
    if (Parameters->LsoV2IPv4 > NDIS_OFFLOAD_PARAMETERS_LSOV2_ENABLED ||
        Parameters->LsoV2IPv6 > NDIS_OFFLOAD_PARAMETERS_LSOV2_ENABLED)
    {
        return NDIS_STATUS_INVALID_DATA;
    }
    NdisAcquireSpinLock(&Mux.Lock);
    New = Vm->Offload;
    OffloadChecksums(&New, &Vm->Binding->Offload, Parameters);
    OffloadSegments(&New, &Vm->Binding->Offload, Parameters, Length);
    Vm->Offload = New;
    NdisReleaseSpinLock(&Mux.Lock);
    return NDIS_STATUS_SUCCESS;
}
