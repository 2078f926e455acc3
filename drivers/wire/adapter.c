/* SPDX-License-Identifier: MIT */
/*
 * A wire port as an NDIS 6.30 miniport adapter: initialize, halt, pause, restart, sends. Owns
 * Port.State. Settings: WireName (REG_SZ, "wire" if absent), NetworkAddress, MTU (1500), Offload
 * (1: checksum and large send offload are advertised and carried across the wire).
 */
#include "wire.h"

#include <umhost.h>

#define WIRE_SPEED 10000000000ull

static NDIS_STATUS ReadSettings(WIRE_PORT *Port, NDIS_HANDLE Configuration, NET_LUID Luid)
{
    UNICODE_STRING Text;
    ULONG Number;

    Port->Mtu = 1500;
    if (ConfigNumber(Configuration, L"MTU", &Number))
        Port->Mtu = Number;
    if (Port->Mtu < 68 || Port->Mtu > 65521)
    {
        UmhExplain("MTU is %u; a wire takes 68 to 65521", Port->Mtu);
        return NDIS_STATUS_INVALID_DATA;
    }
    if (ConfigNumber(Configuration, L"Offload", &Number))
        Port->Offload = Number != 0;

    /* A locally administered address that stays the same: the LUID is the interface's own. */
    Port->PermanentAddress[0] = 0x02;
    Port->PermanentAddress[1] = 0x77;
    for (ULONG I = 0; I < 4; I++)
        Port->PermanentAddress[5 - I] = (UCHAR)(Luid.Value >> (24 + 8 * I));
    RtlCopyMemory(Port->CurrentAddress, Port->PermanentAddress, 6);
    if (ConfigString(Configuration, L"NetworkAddress", &Text) &&
        (!ConfigAddress(Text.Buffer, Text.Length / sizeof(WCHAR), Port->CurrentAddress) ||
         (Port->CurrentAddress[0] & 1)))
    {
        UmhExplain(
            "NetworkAddress is no unicast Ethernet address; expected e.g. 02-00-00-00-00-01");
        return NDIS_STATUS_INVALID_DATA;
    }
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS Configure(WIRE_PORT *Port, NET_LUID Luid)
{
    NDIS_CONFIGURATION_OBJECT Object = {
        .Header = {NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT, NDIS_CONFIGURATION_OBJECT_REVISION_1,
                   NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1},
        .NdisHandle = Port->Handle,
    };
    WCHAR Default[] = {'w', 'i', 'r', 'e'};
    UNICODE_STRING Name;
    NDIS_HANDLE Configuration;
    NDIS_STATUS Status;

    Status = NdisOpenConfigurationEx(&Object, &Configuration);
    if (Status != NDIS_STATUS_SUCCESS)
        return Status;
    Status = ReadSettings(Port, Configuration, Luid);
    if (Status == NDIS_STATUS_SUCCESS)
        Status = GeneratorInit(Port, Configuration);
    if (Status == NDIS_STATUS_SUCCESS)
    {
        if (!ConfigString(Configuration, L"WireName", &Name))
            Name = (UNICODE_STRING){sizeof(Default), sizeof(Default), Default};
        Status = SegmentJoin(Port, &Name);
        if (Status == NDIS_STATUS_OPEN_LIST_FULL)
            UmhExplain("the wire has %u ports already; there cannot be more", WIRE_MAX_PORTS);
    }
    NdisCloseConfiguration(Configuration);
    return Status;
}

static NDIS_STATUS SetOffloads(WIRE_PORT *Port)
{
    NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES Attributes = {
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1},
    };
    NDIS_OFFLOAD O;
    ULONG Frame = NDIS_ENCAPSULATION_IEEE_802_3 | NDIS_ENCAPSULATION_IEEE_802_3_P_AND_Q;

    RtlZeroMemory(&O, sizeof(O));
    O.Header.Type = NDIS_OBJECT_TYPE_OFFLOAD;
    O.Header.Revision = NDIS_OFFLOAD_REVISION_3;
    O.Header.Size = NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3;
    O.Checksum.IPv4Transmit.Encapsulation = O.Checksum.IPv4Receive.Encapsulation = Frame;
    O.Checksum.IPv6Transmit.Encapsulation = O.Checksum.IPv6Receive.Encapsulation = Frame;
    O.Checksum.IPv4Transmit.TcpOptionsSupported = O.Checksum.IPv4Receive.TcpOptionsSupported = 1;
    O.Checksum.IPv4Transmit.IpOptionsSupported = O.Checksum.IPv4Receive.IpOptionsSupported = 1;
    O.Checksum.IPv4Transmit.TcpChecksum = O.Checksum.IPv4Receive.TcpChecksum = 1;
    O.Checksum.IPv4Transmit.UdpChecksum = O.Checksum.IPv4Receive.UdpChecksum = 1;
    O.Checksum.IPv4Transmit.IpChecksum = O.Checksum.IPv4Receive.IpChecksum = 1;
    O.Checksum.IPv6Transmit.TcpOptionsSupported = O.Checksum.IPv6Receive.TcpOptionsSupported = 1;
    O.Checksum.IPv6Transmit.TcpChecksum = O.Checksum.IPv6Receive.TcpChecksum = 1;
    O.Checksum.IPv6Transmit.UdpChecksum = O.Checksum.IPv6Receive.UdpChecksum = 1;
    O.LsoV2.IPv4.Encapsulation = O.LsoV2.IPv6.Encapsulation = Frame;
    O.LsoV2.IPv4.MaxOffLoadSize = O.LsoV2.IPv6.MaxOffLoadSize = WIRE_LARGE;
    O.LsoV2.IPv4.MinSegmentCount = O.LsoV2.IPv6.MinSegmentCount = 2;
    O.LsoV2.IPv6.TcpOptionsSupported = 1;
    O.Rsc.IPv4.Enabled = O.Rsc.IPv6.Enabled = TRUE;
    Attributes.DefaultOffloadConfiguration = &O;
    Attributes.HardwareOffloadCapabilities = &O;
    return NdisMSetMiniportAttributes(Port->Handle,
                                      (NDIS_MINIPORT_ADAPTER_ATTRIBUTES *)&Attributes);
}

static NDIS_STATUS SetAttributes(WIRE_PORT *Port)
{
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES G;
    NDIS_PM_CAPABILITIES Pm;
    NDIS_STATUS Status;

    RtlZeroMemory(&Pm, sizeof(Pm));
    Pm.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    Pm.Header.Revision = NDIS_PM_CAPABILITIES_REVISION_2;
    Pm.Header.Size = NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2;

    RtlZeroMemory(&G, sizeof(G));
    G.Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES;
    G.Header.Revision = NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2;
    G.Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2;
    G.MediaType = NdisMedium802_3;
    G.PhysicalMediumType = NdisPhysicalMediumUnspecified;
    G.MtuSize = Port->Mtu;
    G.MaxXmitLinkSpeed = G.XmitLinkSpeed = G.MaxRcvLinkSpeed = G.RcvLinkSpeed = WIRE_SPEED;
    G.MediaConnectState = MediaConnectStateConnected;
    G.MediaDuplexState = MediaDuplexStateFull;
    G.LookaheadSize = Port->Mtu;
    G.MacOptions = NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA | NDIS_MAC_OPTION_TRANSFERS_NOT_PEND |
                   NDIS_MAC_OPTION_NO_LOOPBACK | NDIS_MAC_OPTION_8021P_PRIORITY |
                   NDIS_MAC_OPTION_8021Q_VLAN;
    G.SupportedPacketFilters = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST |
                               NDIS_PACKET_TYPE_ALL_MULTICAST | NDIS_PACKET_TYPE_BROADCAST |
                               NDIS_PACKET_TYPE_PROMISCUOUS;
    G.MaxMulticastListSize = WIRE_MAX_MULTICAST;
    G.MacAddressLength = 6;
    RtlCopyMemory(G.PermanentMacAddress, Port->PermanentAddress, 6);
    RtlCopyMemory(G.CurrentMacAddress, Port->CurrentAddress, 6);
    G.AccessType = NET_IF_ACCESS_BROADCAST;
    G.DirectionType = NET_IF_DIRECTION_SENDRECEIVE;
    G.ConnectionType = NET_IF_CONNECTION_DEDICATED;
    G.IfType = IF_TYPE_ETHERNET_CSMACD;
    G.SupportedStatistics =
        NDIS_STATISTICS_XMIT_OK_SUPPORTED | NDIS_STATISTICS_RCV_OK_SUPPORTED |
        NDIS_STATISTICS_XMIT_ERROR_SUPPORTED | NDIS_STATISTICS_RCV_ERROR_SUPPORTED |
        NDIS_STATISTICS_RCV_DISCARDS_SUPPORTED | NDIS_STATISTICS_GEN_STATISTICS_SUPPORTED;
    G.SupportedPauseFunctions = NdisPauseFunctionsUnsupported;
    G.SupportedOidList = (NDIS_OID *)WireOids;
    G.SupportedOidListLength = WireOidsSize;
    G.PowerManagementCapabilitiesEx = &Pm;
    Status = NdisMSetMiniportAttributes(Port->Handle, (NDIS_MINIPORT_ADAPTER_ATTRIBUTES *)&G);
    if (Status == NDIS_STATUS_SUCCESS && Port->Offload)
        Status = SetOffloads(Port);
    return Status;
}

static NDIS_STATUS Register(WIRE_PORT *Port)
{
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES R = {
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
                   NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
                   NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2},
        .MiniportAdapterContext = Port,
        .AttributeFlags = NDIS_MINIPORT_ATTRIBUTES_SURPRISE_REMOVE_OK |
                          NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND,
        .InterfaceType = NdisInterfaceInternal,
    };

    return NdisMSetMiniportAttributes(Port->Handle, (NDIS_MINIPORT_ADAPTER_ATTRIBUTES *)&R);
}

static NDIS_HANDLE MakePool(WIRE_PORT *Port)
{
    NET_BUFFER_LIST_POOL_PARAMETERS P = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .fAllocateNetBuffer = TRUE,
        .PoolTag = WIRE_TAG,
    };

    return NdisAllocateNetBufferListPool(Port->Handle, &P);
}

static void FreePort(WIRE_PORT *Port)
{
    if (Port->Segment)
        SegmentLeave(Port);
    GeneratorFree(Port);
    while (Port->Free)
    {
        WIRE_SLOT *Next = Port->Free->Next;

        SlotFree(Port->Free);
        Port->Free = Next;
    }
    if (Port->Pool)
        NdisFreeNetBufferListPool(Port->Pool);
    ExFreePoolWithTag(Port, WIRE_TAG);
}

NDIS_STATUS NTAPI WireInitialize(NDIS_HANDLE Handle, NDIS_HANDLE DriverContext,
                                 NDIS_MINIPORT_INIT_PARAMETERS *Parameters)
{
    WIRE_PORT *Port = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Port), WIRE_TAG);
    NDIS_STATUS Status;

    if (!Port)
        return NDIS_STATUS_RESOURCES;
    RtlZeroMemory(Port, sizeof(*Port));
    Port->Handle = Handle;
    Port->QueueTail = &Port->QueueHead;
    Port->References = 1;
    KeInitializeSpinLock(&Port->Lock);
    KeInitializeEvent(&Port->Unreferenced, NotificationEvent, FALSE);
    KeInitializeDpc(&Port->Dpc, ReceiveDpc, Port);

    Status = Register(Port);
    if (Status != NDIS_STATUS_SUCCESS)
        goto Free;
    Port->Pool = MakePool(Port);
    if (!Port->Pool)
    {
        Status = NDIS_STATUS_RESOURCES;
        goto Free;
    }
    Status = Configure(Port, Parameters->NetLuid);
    if (Status != NDIS_STATUS_SUCCESS)
        goto Free;
    Status = SetAttributes(Port);
    if (Status != NDIS_STATUS_SUCCESS)
        goto Free;
    return NDIS_STATUS_SUCCESS;

Free:
    FreePort(Port);
    return Status;
}

void NTAPI WireHalt(NDIS_HANDLE Context, NDIS_HALT_ACTION Action)
{
    FreePort(Context);
}

NDIS_STATUS NTAPI WirePause(NDIS_HANDLE Context, NDIS_MINIPORT_PAUSE_PARAMETERS *Parameters)
{
    WIRE_PORT *Port = Context;
    NET_BUFFER_LIST *Queue;
    BOOLEAN Done;
    KIRQL Irql;

    KeAcquireSpinLock(&Port->Lock, &Irql);
    Port->State = WirePausing;
    Port->Active++; /* this call's, until the queue is freed */
    Queue = Port->QueueHead;
    Port->QueueHead = NULL;
    Port->QueueTail = &Port->QueueHead;
    Port->In.Discards += Port->Queued;
    Port->Queued = 0;
    KeReleaseSpinLock(&Port->Lock, Irql);
    ReceiveDiscard(Port, Queue);

    KeAcquireSpinLock(&Port->Lock, &Irql);
    Port->Active--;
    Port->PausePending = TRUE;
    Done = PortPauseIsDone(Port);
    KeReleaseSpinLock(&Port->Lock, Irql);
    return Done ? NDIS_STATUS_SUCCESS : NDIS_STATUS_PENDING;
}

NDIS_STATUS NTAPI WireRestart(NDIS_HANDLE Context, NDIS_MINIPORT_RESTART_PARAMETERS *Parameters)
{
    WIRE_PORT *Port = Context;
    KIRQL Irql;

    KeAcquireSpinLock(&Port->Lock, &Irql);
    Port->State = WireRunning;
    Port->Generator.Armed = Port->Generator.Configured != 0;
    KeReleaseSpinLock(&Port->Lock, Irql);
    GeneratorKick(Port);
    return NDIS_STATUS_SUCCESS;
}

/* Counts the frames of a chain as sent. Port.Lock held. */
static void CountSent(WIRE_PORT *Port, NET_BUFFER_LIST *Chain)
{
    for (; Chain; Chain = Chain->Next)
    {
        for (NET_BUFFER *Nb = Chain->FirstNetBuffer; Nb; Nb = Nb->Next)
        {
            UCHAR Room[6];
            UCHAR *Start = NdisGetDataBuffer(Nb, 6, Room, 1, 0);

            if (!Start || Nb->DataLength < WIRE_HEADER)
            {
                Port->Out.Errors++;
                continue;
            }
            Port->Out.Frames[WireKind(Start)]++;
            Port->Out.Octets[WireKind(Start)] += Nb->DataLength;
        }
    }
}

/* Every frame is copied into the receivers' queues here, so the chain is completed at once. */
void NTAPI WireSend(NDIS_HANDLE Context, NET_BUFFER_LIST *Chain, NDIS_PORT_NUMBER PortNumber,
                    ULONG SendFlags)
{
    WIRE_PORT *Port = Context;
    NDIS_STATUS Status = NDIS_STATUS_SUCCESS;
    BOOLEAN Paused;
    KIRQL Irql;

    KeAcquireSpinLock(&Port->Lock, &Irql);
    if (Port->State != WireRunning)
        Status = NDIS_STATUS_PAUSED;
    else
        CountSent(Port, Chain);
    Port->Active++;
    KeReleaseSpinLock(&Port->Lock, Irql);

    if (Status == NDIS_STATUS_SUCCESS)
        SegmentDeliver(Port, Chain);
    for (NET_BUFFER_LIST *Nbl = Chain; Nbl; Nbl = Nbl->Next)
    {
        NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO Lso;

        Nbl->Status = Status;
        Lso.Value = Nbl->NetBufferListInfo[TcpLargeSendNetBufferListInfo];
        if (Port->Offload && Lso.LsoV2Transmit.MSS)
        {
            Lso.Value = NULL;
            Lso.LsoV2TransmitComplete.Type = NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE;
            Nbl->NetBufferListInfo[TcpLargeSendNetBufferListInfo] = Lso.Value;
        }
    }
    NdisMSendNetBufferListsComplete(
        Port->Handle, Chain,
        SendFlags & NDIS_SEND_FLAGS_DISPATCH_LEVEL ? NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL : 0);

    KeAcquireSpinLock(&Port->Lock, &Irql);
    Port->Active--;
    Paused = PortPauseIsDone(Port);
    KeReleaseSpinLock(&Port->Lock, Irql);
    if (Paused)
        NdisMPauseComplete(Port->Handle);
}

void NTAPI WireCancelSend(NDIS_HANDLE Context, PVOID CancelId)
{
    /* Nothing stays queued on the sending side. */
}

void NTAPI WireShutdown(NDIS_HANDLE Context, NDIS_SHUTDOWN_ACTION Action)
{
    /* No hardware to quiet. */
}

void NTAPI WirePnpEvent(NDIS_HANDLE Context, NET_DEVICE_PNP_EVENT *Event)
{
    /* A surprise removal changes nothing: the wire's memory stays until halt. */
}
