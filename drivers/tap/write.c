/* SPDX-License-Identifier: MIT */
/*
 * From NDIS to the TAP: one writev for each frame, its pieces straight from the MDLs. Receive
 * offload information becomes a virtio_net_hdr: a coalesced segment goes up as one, a checksum that
 * is known to be good - or that nobody on the way needed - is not looked at again. Linux wants the
 * pseudo-header's sum in such a frame, and the tag in band: both are written into a copy of the
 * headers. The NBL is never changed. <= DISPATCH_LEVEL, on several processors at once.
 */
#include "tap.h"

typedef struct _TAP_FRAME
{
    UMF_VNET Vnet;
    TAP_VEC Vec[TAP_MAX_VEC];
    int Count;
    UCHAR Headers[UMF_MAX_HEADERS + UMF_VLAN_TAG];
} TAP_FRAME;

/* Appends the NB's data from Skip on. FALSE: too many pieces, or a broken chain. */
static BOOLEAN AddPieces(TAP_FRAME *Frame, NET_BUFFER *Nb, ULONG Skip)
{
    ULONG Left = Nb->DataLength - Skip, Offset = Nb->CurrentMdlOffset + Skip;

    for (MDL *Mdl = Nb->CurrentMdl; Left; Mdl = Mdl->Next)
    {
        ULONG Size;
        UCHAR *Data;

        if (!Mdl)
            return FALSE;
        Size = MmGetMdlByteCount(Mdl);
        if (Offset >= Size)
        {
            Offset -= Size;
            continue;
        }
        Data = MmGetSystemAddressForMdlSafe(Mdl, LowPagePriority | MdlMappingNoExecute);
        if (!Data || Frame->Count == TAP_MAX_VEC)
            return FALSE;
        Size = Size - Offset < Left ? Size - Offset : Left;
        Frame->Vec[Frame->Count++] = (TAP_VEC){Data + Offset, Size};
        Left -= Size;
        Offset = 0;
    }
    return TRUE;
}

/* Puts the tag behind the addresses of the header copy. */
static ULONG InsertTag(UCHAR *Headers, ULONG Length, const NDIS_NET_BUFFER_LIST_8021Q_INFO *Tag)
{
    RtlMoveMemory(Headers + 16, Headers + 12, Length - 12);
    UmfPut16(Headers + 12, 0x8100);
    UmfPut16(Headers + 14, Tag->TagHeader.UserPriority << 13 |
                               Tag->TagHeader.CanonicalFormatId << 12 | Tag->TagHeader.VlanId);
    return Length + UMF_VLAN_TAG;
}

/* Segments of a coalesced indication: TCP (RSC) or UDP (URO), 0 if it is none. */
static ULONG Segments(NET_BUFFER_LIST *Nbl, const UMF_LAYOUT *Layout, ULONG *Size, ULONG Payload)
{
    NDIS_RSC_NBL_INFO Rsc;
    NDIS_UDP_RSC_OFFLOAD_NET_BUFFER_LIST_INFO Uro;

    if (Layout->Protocol == UMF_UDP)
    {
        Uro.Value = Nbl->NetBufferListInfo[UdpRecvSegCoalesceOffloadInfo];
        *Size = Uro.Receive.SegSize;
        return Uro.Receive.SegCount;
    }
    Rsc.Value = Nbl->NetBufferListInfo[TcpRecvSegCoalesceInfo];
    if (Rsc.Info.CoalescedSegCount > 1)
        *Size = (Payload + Rsc.Info.CoalescedSegCount - 1) / Rsc.Info.CoalescedSegCount;
    return Rsc.Info.CoalescedSegCount;
}

/*
 * Writes the virtio_net_hdr and, in the header copy, what goes with it. Length is the frame's, tag
 * included; Known the octets of it in the copy.
 */
static void Describe(TAP_FRAME *Frame, NET_BUFFER_LIST *Nbl, ULONG Known, ULONG Length)
{
    NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO Csum;
    UMF_LAYOUT Layout;
    ULONG Size = 0;

    Csum.Value = Nbl->NetBufferListInfo[TcpIpChecksumNetBufferListInfo];
    if (!UmfParse(Frame->Headers, Known, &Layout) || Layout.Payload > Length)
        return;
    if (Segments(Nbl, &Layout, &Size, Length - Layout.Payload) > 1 && Size)
    {
        Frame->Vnet.GsoType = Layout.Protocol == UMF_UDP ? UMF_GSO_UDP_L4
                              : Layout.Version == 4      ? UMF_GSO_TCPV4
                                                         : UMF_GSO_TCPV6;
        if (Layout.Protocol == UMF_TCP && (Frame->Headers[Layout.L4 + 13] & 0x80)) /* CWR */
            Frame->Vnet.GsoType |= UMF_GSO_ECN;
        Frame->Vnet.GsoSize = (USHORT)Size;
        UmfSetIpLength(Frame->Headers, &Layout, Length);
    }
    else if (Layout.Protocol == UMF_TCP ? !Csum.Receive.TcpChecksumSucceeded
                                        : !Csum.Receive.UdpChecksumSucceeded)
    {
        return;
    }
    if (Layout.Protocol == UMF_UDP && Frame->Vnet.GsoType == UMF_GSO_NONE)
    {
        /* 0 is "no checksum": there is none to finish. */
        if (!UmfGet16(Frame->Headers + UmfCsumField(&Layout)))
            return;
        /* The datagram ends where UDP says, not where a padded frame does. */
        Length = Layout.L4 + UmfGet16(Frame->Headers + Layout.L4 + 4);
    }
    else if (Layout.Version == 4 && Frame->Vnet.GsoType == UMF_GSO_NONE)
    {
        Length = Layout.L3 + UmfGet16(Frame->Headers + Layout.L3 + 2);
    }
    else if (Frame->Vnet.GsoType == UMF_GSO_NONE)
    {
        Length = Layout.L3 + 40 + UmfGet16(Frame->Headers + Layout.L3 + 4);
    }
    Frame->Vnet.Flags = UMF_VNET_NEEDS_CSUM;
    Frame->Vnet.HeaderLength = (USHORT)Layout.Payload;
    Frame->Vnet.CsumStart = (USHORT)Layout.L4;
    Frame->Vnet.CsumOffset = Layout.Protocol == UMF_TCP ? UMF_TCP_CSUM : UMF_UDP_CSUM;
    UmfStore(Frame->Headers + UmfCsumField(&Layout),
             UmfPseudo(Frame->Headers, &Layout, Length - Layout.L4));
}

/* Lays the frame out for writev. FALSE: it has too many pieces. */
static BOOLEAN Build(TAP_FRAME *Frame, NET_BUFFER_LIST *Nbl, NET_BUFFER *Nb)
{
    NDIS_NET_BUFFER_LIST_8021Q_INFO Tag;
    ULONG Known = Nb->DataLength < UMF_MAX_HEADERS ? Nb->DataLength : UMF_MAX_HEADERS;
    ULONG Length = Known;
    UCHAR *Start;

    Frame->Vnet = (UMF_VNET){0};
    Frame->Vec[0] = (TAP_VEC){&Frame->Vnet, sizeof(Frame->Vnet)};
    Frame->Count = 1;
    Tag.Value = Nbl->NetBufferListInfo[Ieee8021QNetBufferListInfo];
    if (!Tag.Value && !Nbl->NetBufferListInfo[TcpIpChecksumNetBufferListInfo] &&
        !Nbl->NetBufferListInfo[TcpRecvSegCoalesceInfo] &&
        !Nbl->NetBufferListInfo[UdpRecvSegCoalesceOffloadInfo])
        return AddPieces(Frame, Nb, 0);

    Start = NdisGetDataBuffer(Nb, Known, Frame->Headers, 1, 0);
    if (!Start)
        return FALSE;
    if (Start != Frame->Headers)
        RtlCopyMemory(Frame->Headers, Start, Known);
    if (Tag.TagHeader.VlanId || Tag.TagHeader.UserPriority)
        Length = InsertTag(Frame->Headers, Known, &Tag);
    Describe(Frame, Nbl, Length, Nb->DataLength + Length - Known);
    Frame->Vec[Frame->Count++] = (TAP_VEC){Frame->Headers, Length};
    return AddPieces(Frame, Nb, Known);
}

/* A frame in very many pieces: copied together, so that the kernel takes it. */
static BOOLEAN BuildCopied(TAP_FRAME *Frame, NET_BUFFER *Nb, UCHAR **Copy)
{
    ULONG Length = Nb->DataLength, Done = 0, Skip = 0;

    *Copy = ExAllocatePoolWithTag(NonPagedPoolNx, Length, TAP_TAG);
    if (!*Copy)
        return FALSE;
    if (Frame->Count > 1 && Frame->Vec[1].Base == Frame->Headers)
        Skip = Length < UMF_MAX_HEADERS ? Length : UMF_MAX_HEADERS;
    Frame->Count = Skip ? 2 : 1;
    for (ULONG Offset = Nb->CurrentMdlOffset, Left = Length; Left;)
    {
        MDL *Mdl = Nb->CurrentMdl;
        ULONG Size = 0, At = Offset + Done;

        while (Mdl && At >= (Size = MmGetMdlByteCount(Mdl)))
        {
            At -= Size;
            Mdl = Mdl->Next;
        }
        UCHAR *Data =
            Mdl ? MmGetSystemAddressForMdlSafe(Mdl, LowPagePriority | MdlMappingNoExecute) : NULL;
        if (!Data)
            return FALSE;
        Size = Size - At < Left ? Size - At : Left;
        RtlCopyMemory(*Copy + Done, Data + At, Size);
        Done += Size;
        Left -= Size;
    }
    if (Length > Skip)
        Frame->Vec[Frame->Count++] = (TAP_VEC){*Copy + Skip, Length - Skip};
    return TRUE;
}

/* A frame that the kernel does not take - the interface is down, its memory short - is lost, as on
 * any wire; the kernel counts it with the interface (rx_dropped). */
static void WriteFrame(TAP_BINDING *Binding, NET_BUFFER_LIST *Nbl, NET_BUFFER *Nb)
{
    TAP_FRAME Frame;
    UCHAR *Copy = NULL;

    if (Nb->DataLength < UMF_ETHERNET)
        return;
    if (Build(&Frame, Nbl, Nb) || BuildCopied(&Frame, Nb, &Copy))
        TapHostWrite(Binding->Fd, Frame.Vec, Frame.Count);
    if (Copy)
        ExFreePoolWithTag(Copy, TAP_TAG);
}

void NTAPI TapReceive(NDIS_HANDLE BindingContext, NET_BUFFER_LIST *Chain, NDIS_PORT_NUMBER Port,
                      ULONG Count, ULONG Flags)
{
    TAP_BINDING *Binding = BindingContext;
    BOOLEAN Run;
    KIRQL Irql;

    /* In Pausing and Paused, what comes goes back at once (IM-PST-04). */
    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Run = Binding->State == TapRunning && !Binding->Gone;
    KeReleaseSpinLock(&Binding->Lock, Irql);
    for (NET_BUFFER_LIST *Nbl = Run ? Chain : NULL; Nbl; Nbl = Nbl->Next)
        for (NET_BUFFER *Nb = Nbl->FirstNetBuffer; Nb; Nb = Nb->Next)
            WriteFrame(Binding, Nbl, Nb);
    if (!(Flags & NDIS_RECEIVE_FLAGS_RESOURCES))
        NdisReturnNetBufferLists(
            Binding->Handle, Chain,
            Flags & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL ? NDIS_RETURN_FLAGS_DISPATCH_LEVEL : 0);
}
