/* SPDX-License-Identifier: MIT */
/*
 * What a frame is, and the children that carry it to more than one place. A child is an NBL of ours
 * that shares the data of its parent; the parent stays with us until the last child is back
 * (IM-RCV-07, IM-NBL-05). Called under the read side of TableLock (DISPATCH_LEVEL); nothing here
 * calls out except to allocate.
 */
#include "path.h"

/* FrameParse for a header that is not in one MDL, or has a tag in it. */
BOOLEAN FrameParseSlow(PNET_BUFFER_LIST Nbl, PNET_BUFFER NetBuffer, MUX_FRAME *Frame)
{
    UCHAR Storage[MUX_HEADER_LENGTH + MUX_TAG_LENGTH];
    NDIS_NET_BUFFER_LIST_8021Q_INFO Tag;
    const UCHAR *Header;
    ULONG Bytes = MUX_HEADER_LENGTH;

    Frame->Length = NET_BUFFER_DATA_LENGTH(NetBuffer);
    if (Frame->Length >= sizeof(Storage))
    {
        Bytes = sizeof(Storage);
    }
    Header = NdisGetDataBuffer(NetBuffer, Bytes, Storage, 1, 0);
    if (Header == NULL)
    {
        return FALSE;
    }
    Frame->Destination = MacLoad(Header);
    Frame->Source = MacLoad(Header + MUX_MAC_LENGTH);
    Frame->Kind = MuxUnicast;
    if ((Frame->Destination & MUX_MAC_GROUP) != 0)
    {
        Frame->Kind = Frame->Destination == MUX_MAC_BROADCAST ? MuxBroadcast : MuxMulticast;
    }
    Tag.Value = NET_BUFFER_LIST_INFO(Nbl, Ieee8021QNetBufferListInfo);
    Frame->Vlan = (USHORT)Tag.TagHeader.VlanId;
    Frame->Priority = (USHORT)Tag.TagHeader.UserPriority;
    Frame->InBand = FALSE;
    if (Tag.Value == NULL && Bytes == sizeof(Storage) && TypeLoad(Header) == MUX_TYPE_VLAN)
    {
        Frame->InBand = TRUE;
        Frame->Vlan = (USHORT)(((Header[14] & 0x0F) << 8) | Header[15]);
        Frame->Priority = (USHORT)(Header[14] >> 5);
    }
    return TRUE;
}

/* Whether Address is on the multicast list. The Bloom word says no to most. TableLock held. */
BOOLEAN VmHasMulticast(const MUX_VM *Vm, ULONG64 Address)
{
    UCHAR Bytes[sizeof(ULONG64)];
    ULONG i;

    if ((Vm->MulticastBloom >> MuxBloomBit(Address) & 1) == 0)
    {
        return FALSE;
    }
    NdisMoveMemory(Bytes, &Address, sizeof(Bytes));
    for (i = 0; i < Vm->MulticastCount; i++)
    {
        if (NdisEqualMemory(Vm->Multicast[i], Bytes, MUX_MAC_LENGTH))
        {
            return TRUE;
        }
    }
    return FALSE;
}

/*
 * The out-of-band information of a frame that stays inside, as a receiver understands it: a
 * checksum that the sender left to the NIC counts as verified though it is not in the data, and a
 * large send is one coalesced unit (so 64 KB cross as one NBL).
 */
static VOID ChildInfoFromSend(PNET_BUFFER_LIST Child, PNET_BUFFER_LIST Parent,
                              PNET_BUFFER NetBuffer)
{
    NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO Sent, Received;
    NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO Large;

    Sent.Value = NET_BUFFER_LIST_INFO(Parent, TcpIpChecksumNetBufferListInfo);
    Large.Value = NET_BUFFER_LIST_INFO(Parent, TcpLargeSendNetBufferListInfo);
    Received.Value = NULL;
    if (Sent.Transmit.IpHeaderChecksum != 0)
    {
        Received.Receive.IpChecksumSucceeded = 1;
        Received.Receive.IpChecksumValueInvalid = 1;
    }
    if (Sent.Transmit.TcpChecksum != 0 || Large.LsoV2Transmit.MSS != 0)
    {
        Received.Receive.TcpChecksumSucceeded = 1;
        Received.Receive.TcpChecksumValueInvalid = 1;
    }
    if (Sent.Transmit.UdpChecksum != 0)
    {
        Received.Receive.UdpChecksumSucceeded = 1;
        Received.Receive.TcpChecksumValueInvalid = 1;
    }
    if (Large.LsoV2Transmit.MSS != 0)
    {
        NDIS_RSC_NBL_INFO Rsc;
        ULONG Header = LsoHeaderLength(NetBuffer, Large.LsoV2Transmit.TcpHeaderOffset);
        ULONG Length = NET_BUFFER_DATA_LENGTH(NetBuffer);
        ULONG Payload = Length > Header ? Length - Header : 0;
        ULONG Segments = (Payload + Large.LsoV2Transmit.MSS - 1) / Large.LsoV2Transmit.MSS;

        Rsc.Value = NULL;
        Rsc.Info.CoalescedSegCount = (USHORT)Segments;
        NET_BUFFER_LIST_INFO(Child, TcpRecvSegCoalesceInfo) = Rsc.Value;
        if (Large.LsoV2Transmit.IPVersion == NDIS_TCP_LARGE_SEND_OFFLOAD_IPv4)
        {
            Received.Receive.IpChecksumSucceeded = 1;
        }
    }
    NET_BUFFER_LIST_INFO(Child, TcpIpChecksumNetBufferListInfo) = Received.Value;
}

/* An NBL that shows NetBuffer's data to Target; frames with a tag inside, and large sends without a
 * length in the IP header, get a header of their own. */
static PNET_BUFFER_LIST ChildAllocate(MUX_VM *Target, MUX_VM *Source, PNET_BUFFER_LIST Parent,
                                      PNET_BUFFER NetBuffer, const MUX_FRAME *Frame)
{
    NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO Large;

    if (Source == NULL && Frame->InBand)
    {
        return TagStrip(Target->Binding, NetBuffer);
    }
    if (Source != NULL)
    {
        Large.Value = NET_BUFFER_LIST_INFO(Parent, TcpLargeSendNetBufferListInfo);
        if (Large.LsoV2Transmit.MSS != 0 && LengthMissing(NetBuffer))
        {
            return LengthFix(Target->Binding, NetBuffer);
        }
    }
    return NdisAllocateNetBufferAndNetBufferList(
        Target->ReceivePool, 0, 0, NET_BUFFER_CURRENT_MDL(NetBuffer),
        NET_BUFFER_CURRENT_MDL_OFFSET(NetBuffer), NET_BUFFER_DATA_LENGTH(NetBuffer));
}

/*
 * A child of Parent for Target: one NET_BUFFER, Ethernet receive. Source is the sibling that sent
 * it, or NULL for a frame from below. The parent's child count grows (the caller owns the parent:
 * no child is out yet). NULL: no memory.
 */
PNET_BUFFER_LIST ChildReceive(MUX_VM *Target, MUX_VM *Source, PNET_BUFFER_LIST Parent,
                              PNET_BUFFER NetBuffer, const MUX_FRAME *Frame)
{
    PNET_BUFFER_LIST Child = ChildAllocate(Target, Source, Parent, NetBuffer, Frame);
    NDIS_NET_BUFFER_LIST_8021Q_INFO Tag;

    if (Child == NULL)
    {
        return NULL;
    }
    if (Source == NULL)
    {
        NdisCopyReceiveNetBufferListInfo(Child, Parent);
        NET_BUFFER_LIST_INFO(Child, TcpRecvSegCoalesceInfo) =
            NET_BUFFER_LIST_INFO(Parent, TcpRecvSegCoalesceInfo);
        NET_BUFFER_LIST_INFO(Child, RscTcpTimestampDelta) =
            NET_BUFFER_LIST_INFO(Parent, RscTcpTimestampDelta);
    }
    else
    {
        ChildInfoFromSend(Child, Parent, NetBuffer);
    }
    NET_BUFFER_LIST_NBL_FLAGS(Child) |=
        NET_BUFFER_LIST_NBL_FLAGS(Parent) & (NDIS_NBL_FLAGS_IS_IPV4 | NDIS_NBL_FLAGS_IS_IPV6 |
                                             NDIS_NBL_FLAGS_IS_TCP | NDIS_NBL_FLAGS_IS_UDP);
    Tag.Value = NULL;
    Tag.TagHeader.UserPriority = Frame->Priority;
    NET_BUFFER_LIST_INFO(Child, Ieee8021QNetBufferListInfo) = Tag.Value;
    NET_BUFFER_LIST_STATUS(Child) = NDIS_STATUS_SUCCESS;
    Child->SourceHandle = Target->Handle;
    Child->ParentNetBufferList = Parent;
    Parent->ChildRefCount++;
    MUX_CHILD_SOURCE(Child) = Source;
    return Child;
}

/* Frees a child of any of our pools; the parent's count is the caller's. <= DISPATCH_LEVEL. */
VOID ChildFree(MUX_BINDING *Binding, PNET_BUFFER_LIST Child)
{
    if (Child->NdisPoolHandle == Binding->HeaderPool)
    {
        HeaderFree(Child);
    }
    else
    {
        NdisFreeNetBufferList(Child);
    }
}

/* One child into the batch, counted; without memory it counts as discarded. FALSE then. */
BOOLEAN LocalChild(MUX_BATCH *Batch, MUX_VM *Target, MUX_VM *Source, PNET_BUFFER_LIST Nbl,
                   PNET_BUFFER NetBuffer, const MUX_FRAME *Frame)
{
    PNET_BUFFER_LIST Child = ChildReceive(Target, Source, Nbl, NetBuffer, Frame);
    MUX_COUNTERS *Counters = &Target->Counters[Batch->Processor];

    if (Child == NULL)
    {
        Counters->InDiscards++;
        return FALSE;
    }
    CountersOf(Counters, Frame->Kind)->InFrames++;
    CountersOf(Counters, Frame->Kind)->InBytes += Frame->Length;
    BatchChild(Batch, Target, Child);
    return TRUE;
}

/*
 * Which modes may get a frame, as a bit mask, and who must not have it back. From a bridge sibling:
 * the other bridge ones. From below: everybody, unless a sibling sent it and the switch there
 * reflected it; then the bridge ones have it already, if the sender is one, and private ones
 * neither send nor get.
 */
static ULONG LocalModes(const MUX_TABLE *Table, const MUX_VM *Source, const MUX_FRAME *Frame,
                        const MUX_VM **Except)
{
    const MUX_VM *Sibling;

    *Except = Source;
    if (Source != NULL)
    {
        return 1u << MuxModeBridge;
    }
    Sibling = TableFind(Table, MacKey(Frame->Source, Frame->Vlan));
    *Except = Sibling;
    if (Sibling == NULL)
    {
        return 1u << MuxModeBridge | 1u << MuxModePrivate | 1u << MuxModeVepa;
    }
    switch (Sibling->Mode)
    {
    case MuxModeVepa:
        return 1u << MuxModeBridge | 1u << MuxModeVepa;
    case MuxModeBridge:
        return 1u << MuxModeVepa;
    default:
        return 0;
    }
}

/*
 * Gives a frame to every virtual miniport of its VLAN that wants it (IM-RCV-07, -08). With Only not
 * NULL and a single taker there is no child: *Only is that taker and the caller may pass the NBL
 * itself. Returns the number of children.
 */
LONG LocalFlood(MUX_BATCH *Batch, MUX_TABLE *Table, MUX_VM *Source, PNET_BUFFER_LIST Nbl,
                PNET_BUFFER NetBuffer, const MUX_FRAME *Frame, MUX_VM **Only)
{
    const MUX_VM *Except;
    ULONG Modes = LocalModes(Table, Source, Frame, &Except);
    MUX_VM *First = NULL;
    LONG Children = 0;
    ULONG i;

    for (i = TableFirstOfVlan(Table, Frame->Vlan);
         Modes != 0 && i < Table->Count && Table->ByVlan[i]->VlanId == Frame->Vlan; i++)
    {
        MUX_VM *Vm = Table->ByVlan[i];

        if (Vm == Except || (Modes >> Vm->Mode & 1) == 0 || !VmWants(Vm, Frame))
        {
            continue;
        }
        if (Only != NULL && First == NULL)
        {
            First = Vm; /* wait whether there is a second */
            continue;
        }
        if (Only != NULL)
        {
            Children += LocalChild(Batch, First, Source, Nbl, NetBuffer, Frame);
            Only = NULL;
            First = NULL;
        }
        Children += LocalChild(Batch, Vm, Source, Nbl, NetBuffer, Frame);
    }
    if (Only != NULL)
    {
        *Only = First;
    }
    return Children;
}
