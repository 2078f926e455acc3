/* SPDX-License-Identifier: MIT */
/*
 * What the adapter tells NDIS about itself, offloads among it: checksums, large sends and coalesced
 * receives are the kernel's virtio_net_hdr by other names. No state. PASSIVE_LEVEL.
 */
#include "af.h"

/* When the kernel does not know the speed (a bridge, a TAP without one). */
#define SPEED_UNKNOWN 10000000000ull

NDIS_STATUS AttributesRegister(AFP_ADAPTER *Adapter)
{
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES R = {
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2},
        .MiniportAdapterContext = Adapter,
        .AttributeFlags = NDIS_MINIPORT_ATTRIBUTES_SURPRISE_REMOVE_OK |
                          NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND,
        .InterfaceType = NdisInterfaceInternal,
    };

    return NdisMSetMiniportAttributes(Adapter->Handle, (NDIS_MINIPORT_ADAPTER_ATTRIBUTES *)&R);
}

static void FillChecksum(NDIS_TCP_IP_CHECKSUM_OFFLOAD *C)
{
    ULONG Frame = NDIS_ENCAPSULATION_IEEE_802_3 | NDIS_ENCAPSULATION_IEEE_802_3_P_AND_Q |
                  NDIS_ENCAPSULATION_IEEE_802_3_P_AND_Q_IN_OOB;

    C->IPv4Transmit.Encapsulation = C->IPv4Receive.Encapsulation = Frame;
    C->IPv4Transmit.IpOptionsSupported = C->IPv4Receive.IpOptionsSupported = 1;
    C->IPv4Transmit.TcpOptionsSupported = C->IPv4Receive.TcpOptionsSupported = 1;
    C->IPv4Transmit.TcpChecksum = C->IPv4Receive.TcpChecksum = 1;
    C->IPv4Transmit.UdpChecksum = C->IPv4Receive.UdpChecksum = 1;
    C->IPv4Transmit.IpChecksum = 1;
    C->IPv6Transmit.Encapsulation = C->IPv6Receive.Encapsulation = Frame;
    C->IPv6Transmit.IpExtensionHeadersSupported = C->IPv6Receive.IpExtensionHeadersSupported = 1;
    C->IPv6Transmit.TcpOptionsSupported = C->IPv6Receive.TcpOptionsSupported = 1;
    C->IPv6Transmit.TcpChecksum = C->IPv6Receive.TcpChecksum = 1;
    C->IPv6Transmit.UdpChecksum = C->IPv6Receive.UdpChecksum = 1;
}

static NDIS_STATUS SetOffloads(AFP_ADAPTER *Adapter)
{
    NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES Attributes = {
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1},
    };
    NDIS_OFFLOAD O;

    RtlZeroMemory(&O, sizeof(O));
    O.Header.Type = NDIS_OBJECT_TYPE_OFFLOAD;
    O.Header.Revision = NDIS_OFFLOAD_REVISION_3;
    O.Header.Size = NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3;
    FillChecksum(&O.Checksum);
    O.LsoV2.IPv4.Encapsulation = O.LsoV2.IPv6.Encapsulation = O.Checksum.IPv4Transmit.Encapsulation;
    O.LsoV2.IPv4.MaxOffLoadSize = O.LsoV2.IPv6.MaxOffLoadSize = AFP_LSO_MAX;
    O.LsoV2.IPv4.MinSegmentCount = O.LsoV2.IPv6.MinSegmentCount = 2;
    O.LsoV2.IPv6.IpExtensionHeadersSupported = 1;
    O.LsoV2.IPv6.TcpOptionsSupported = 1;
    O.Rsc.IPv4.Enabled = O.Rsc.IPv6.Enabled = TRUE;
    Attributes.DefaultOffloadConfiguration = &O;
    Attributes.HardwareOffloadCapabilities = &O;
    return NdisMSetMiniportAttributes(Adapter->Handle,
                                      (NDIS_MINIPORT_ADAPTER_ATTRIBUTES *)&Attributes);
}

static void FillGeneral(AFP_ADAPTER *Adapter, NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *G)
{
    RtlZeroMemory(G, sizeof(*G));
    G->Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES;
    G->Header.Revision = NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2;
    G->Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2;
    G->MediaType = NdisMedium802_3;
    G->PhysicalMediumType = NdisPhysicalMediumUnspecified;
    G->MtuSize = Adapter->Mtu;
    G->XmitLinkSpeed = Adapter->Link.BitsPerSecond ? Adapter->Link.BitsPerSecond : SPEED_UNKNOWN;
    G->RcvLinkSpeed = G->MaxXmitLinkSpeed = G->MaxRcvLinkSpeed = G->XmitLinkSpeed;
    G->MediaConnectState =
        Adapter->Link.Up ? MediaConnectStateConnected : MediaConnectStateDisconnected;
    G->MediaDuplexState = MediaDuplexStateFull;
    G->LookaheadSize = Adapter->Mtu;
    G->MacOptions = NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA | NDIS_MAC_OPTION_TRANSFERS_NOT_PEND |
                    NDIS_MAC_OPTION_NO_LOOPBACK | NDIS_MAC_OPTION_8021P_PRIORITY |
                    NDIS_MAC_OPTION_8021Q_VLAN;
    G->SupportedPacketFilters = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST |
                                NDIS_PACKET_TYPE_ALL_MULTICAST | NDIS_PACKET_TYPE_BROADCAST |
                                NDIS_PACKET_TYPE_PROMISCUOUS;
    G->MaxMulticastListSize = AFP_MAX_MULTICAST;
    G->MacAddressLength = 6;
    RtlCopyMemory(G->PermanentMacAddress, Adapter->PermanentAddress, 6);
    RtlCopyMemory(G->CurrentMacAddress, Adapter->CurrentAddress, 6);
    G->AccessType = NET_IF_ACCESS_BROADCAST;
    G->DirectionType = NET_IF_DIRECTION_SENDRECEIVE;
    G->ConnectionType = NET_IF_CONNECTION_DEDICATED;
    G->IfType = IF_TYPE_ETHERNET_CSMACD;
    G->IfConnectorPresent = TRUE;
    G->SupportedStatistics =
        NDIS_STATISTICS_XMIT_OK_SUPPORTED | NDIS_STATISTICS_RCV_OK_SUPPORTED |
        NDIS_STATISTICS_XMIT_ERROR_SUPPORTED | NDIS_STATISTICS_RCV_ERROR_SUPPORTED |
        NDIS_STATISTICS_RCV_DISCARDS_SUPPORTED | NDIS_STATISTICS_GEN_STATISTICS_SUPPORTED;
    G->SupportedPauseFunctions = NdisPauseFunctionsUnsupported;
    G->SupportedOidList = (NDIS_OID *)AfpOids;
    G->SupportedOidListLength = AfpOidsSize;
}

NDIS_STATUS AttributesSet(AFP_ADAPTER *Adapter)
{
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES G;
    NDIS_PM_CAPABILITIES Pm;
    NDIS_STATUS Status;

    RtlZeroMemory(&Pm, sizeof(Pm));
    Pm.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    Pm.Header.Revision = NDIS_PM_CAPABILITIES_REVISION_2;
    Pm.Header.Size = NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2;
    FillGeneral(Adapter, &G);
    G.PowerManagementCapabilitiesEx = &Pm;
    Status = NdisMSetMiniportAttributes(Adapter->Handle, (NDIS_MINIPORT_ADAPTER_ATTRIBUTES *)&G);
    if (Status == NDIS_STATUS_SUCCESS)
        Status = SetOffloads(Adapter);
    return Status;
}
