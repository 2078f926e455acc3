/* SPDX-License-Identifier: MIT */
/*
 * One frame for sendmmsg: a virtio_net_hdr from the send offload information, then the frame's
 * pieces straight from the MDLs. What has to be written - a tag, the pseudo-header's sum of a large
 * send, an IP checksum - goes into a copy of the headers; the NBL's data is never changed
 * (IM-SND-08). No state. <= DISPATCH_LEVEL.
 */
#include "af.h"

typedef struct _AFP_OFFLOAD
{
    NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO Csum;
    NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO Lso;
    NDIS_NET_BUFFER_LIST_8021Q_INFO Tag;
} AFP_OFFLOAD;

/* Appends the NB's data from Skip on. FALSE: too many pieces, or a broken chain. */
static BOOLEAN AddPieces(AFP_MESSAGE *M, AF_TX *Tx, NET_BUFFER *Nb, ULONG Skip)
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
        if (!Data || Tx->Count == AFP_MAX_VEC)
            return FALSE;
        Size = Size - Offset < Left ? Size - Offset : Left;
        M->Vec[Tx->Count++] = (AF_VEC){Data + Offset, Size};
        Left -= Size;
        Offset = 0;
    }
    return TRUE;
}

/* A frame in very many pieces: copied together behind the Skip octets that are in the headers. */
static NDIS_STATUS AddCopy(AFP_MESSAGE *M, AF_TX *Tx, NET_BUFFER *Nb, ULONG Skip)
{
    ULONG Left = Nb->DataLength, Offset = Nb->CurrentMdlOffset;
    UCHAR *To;

    M->Copy = To = ExAllocatePoolWithTag(NonPagedPoolNx, Left, AFP_TAG);
    if (!To)
        return NDIS_STATUS_RESOURCES;
    for (MDL *Mdl = Nb->CurrentMdl; Left; Mdl = Mdl->Next)
    {
        UCHAR *From;
        ULONG Size;

        if (!Mdl)
            return NDIS_STATUS_INVALID_LENGTH;
        From = MmGetSystemAddressForMdlSafe(Mdl, LowPagePriority | MdlMappingNoExecute);
        if (!From)
            return NDIS_STATUS_RESOURCES;
        Size = MmGetMdlByteCount(Mdl) - Offset;
        Size = Size < Left ? Size : Left;
        RtlCopyMemory(To, From + Offset, Size);
        To += Size;
        Left -= Size;
        Offset = 0;
    }
    Tx->Count = Skip ? 2 : 1;
    if (Nb->DataLength > Skip)
        M->Vec[Tx->Count++] = (AF_VEC){M->Copy + Skip, Nb->DataLength - Skip};
    return NDIS_STATUS_SUCCESS;
}

/* Tells the kernel where to start summing and where to put the result. */
static void AskChecksum(AFP_MESSAGE *M, const UMF_LAYOUT *L)
{
    M->Vnet.Flags = UMF_VNET_NEEDS_CSUM;
    M->Vnet.CsumStart = (USHORT)L->L4;
    M->Vnet.CsumOffset = L->Protocol == UMF_TCP ? UMF_TCP_CSUM : UMF_UDP_CSUM;
}

/* A large send: the kernel cuts it, or hands it on whole. Lengths and sums are made anew, for a
 * protocol may leave them out (offloading-the-segmentation-of-large-tcp-packets.md). */
static void AskSegments(AFP_MESSAGE *M, const UMF_LAYOUT *L, ULONG Length, ULONG Mss)
{
    UCHAR *Tcp = M->Headers + L->L4;

    UmfSetIpLength(M->Headers, L, Length);
    UmfStore(Tcp + UMF_TCP_CSUM, UmfPseudo(M->Headers, L, Length - L->L4));
    AskChecksum(M, L);
    if (Length - L->Payload <= Mss)
        return;
    M->Vnet.GsoType = L->Version == 4 ? UMF_GSO_TCPV4 : UMF_GSO_TCPV6;
    if (Tcp[13] & 0x80) /* CWR goes with the first segment only */
        M->Vnet.GsoType |= UMF_GSO_ECN;
    M->Vnet.GsoSize = (USHORT)Mss;
    M->Vnet.HeaderLength = (USHORT)L->Payload;
}

static void SumIpHeader(UCHAR *Ip, ULONG Length)
{
    Ip[10] = Ip[11] = 0;
    UmfStore(Ip + 10, (USHORT)~UmfFold(UmfSum(Ip, Length, 0)));
}

/* Headers that carry what the offload information asks for. Start is the frame's, Known octets of
 * it contiguous. On success the first Known octets are in M->Headers, plus a tag. */
static NDIS_STATUS CopyHeaders(AFP_MESSAGE *M, AF_TX *Tx, const UCHAR *Start, ULONG Known,
                               ULONG Length, const AFP_OFFLOAD *O)
{
    ULONG In = 0;
    UMF_LAYOUT L;

    if (O->Tag.TagHeader.VlanId || O->Tag.TagHeader.UserPriority)
    {
        RtlCopyMemory(M->Headers, Start, 12);
        UmfPut16(M->Headers + 12, 0x8100);
        UmfPut16(M->Headers + 14, O->Tag.TagHeader.UserPriority << 13 |
                                      O->Tag.TagHeader.CanonicalFormatId << 12 |
                                      O->Tag.TagHeader.VlanId);
        RtlCopyMemory(M->Headers + 16, Start + 12, Known - 12);
        In = UMF_VLAN_TAG;
    }
    else
    {
        RtlCopyMemory(M->Headers, Start, Known);
    }
    if (O->Csum.Value || O->Lso.Value)
    {
        if (!UmfParse(M->Headers, Known + In, &L))
            return NDIS_STATUS_FAILURE;
        if (O->Lso.LsoV2Transmit.MSS && L.Protocol != UMF_TCP)
            return NDIS_STATUS_FAILURE;
        if (O->Lso.LsoV2Transmit.MSS)
            AskSegments(M, &L, Length + In, O->Lso.LsoV2Transmit.MSS);
        else if (L.Protocol == UMF_TCP ? O->Csum.Transmit.TcpChecksum
                                       : O->Csum.Transmit.UdpChecksum)
            AskChecksum(M, &L);
        if (O->Csum.Transmit.IpHeaderChecksum && L.Version == 4)
            SumIpHeader(M->Headers + L.L3, L.L4 - L.L3);
    }
    M->Vec[Tx->Count++] = (AF_VEC){M->Headers, Known + In};
    return NDIS_STATUS_SUCCESS;
}

/* The frame's first octets in one piece: there, or copied into Room. */
static const UCHAR *Peek(NET_BUFFER *Nb, ULONG Known, UCHAR *Room)
{
    return NdisGetDataBuffer(Nb, Known, Room, 1, 0);
}

NDIS_STATUS LayoutFrame(AFP_MESSAGE *M, AF_TX *Tx, NET_BUFFER_LIST *Nbl, NET_BUFFER *Nb)
{
    AFP_OFFLOAD O;
    ULONG Length = Nb->DataLength, Skip = 0;
    ULONG Known = Length < UMF_MAX_HEADERS ? Length : UMF_MAX_HEADERS;
    UCHAR Room[UMF_MAX_HEADERS];
    const UCHAR *Start;
    NDIS_STATUS Status;
    UMF_LAYOUT L;

    M->Done = NULL;
    M->Copy = NULL;
    M->Length = Length;
    M->Vnet = (UMF_VNET){0};
    M->Vec[0] = (AF_VEC){&M->Vnet, sizeof(M->Vnet)};
    Tx->Vec = M->Vec;
    Tx->Count = 1;
    if (Length < UMF_ETHERNET || Length > AFP_FRAME_MAX)
        return NDIS_STATUS_INVALID_LENGTH;
    O.Csum.Value = Nbl->NetBufferListInfo[TcpIpChecksumNetBufferListInfo];
    O.Lso.Value = Nbl->NetBufferListInfo[TcpLargeSendNetBufferListInfo];
    O.Tag.Value = Nbl->NetBufferListInfo[Ieee8021QNetBufferListInfo];
    Start = Peek(Nb, Known, Room);
    if (!Start)
        return NDIS_STATUS_INVALID_LENGTH;
    M->Kind = (UCHAR)AdapterKind(Start);

    if (O.Tag.Value || O.Lso.LsoV2Transmit.MSS || O.Csum.Transmit.IpHeaderChecksum)
    {
        Status = CopyHeaders(M, Tx, Start, Known, Length, &O);
        if (Status != NDIS_STATUS_SUCCESS)
            return Status;
        Skip = Known;
    }
    else if (O.Csum.Transmit.TcpChecksum || O.Csum.Transmit.UdpChecksum)
    {
        if (!UmfParse(Start, Known, &L))
            return NDIS_STATUS_FAILURE;
        if (L.Protocol == UMF_TCP ? O.Csum.Transmit.TcpChecksum : O.Csum.Transmit.UdpChecksum)
            AskChecksum(M, &L);
    }
    if (AddPieces(M, Tx, Nb, Skip))
        return NDIS_STATUS_SUCCESS;
    return AddCopy(M, Tx, Nb, Skip);
}
