/* SPDX-License-Identifier: MIT */
/*
 * Children with a header of their own: the first bytes of a frame re-written in a buffer of ours,
 * the rest shared with the original, whose data is never changed. For 802.1Q tags inside the data
 * (lower adapters that neither strip nor insert them) and for large sends whose IP header has no
 * length yet. <= DISPATCH_LEVEL.
 */
#include "path.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86DD
#define IPV4_HEADER 20
#define IPV6_HEADER 40

/* Where byte Skip of a NET_BUFFER is. FALSE past the end of its MDLs. */
static BOOLEAN HeaderSeek(PNET_BUFFER NetBuffer, ULONG Skip, PMDL *Mdl, PULONG Offset)
{
    PMDL At = NET_BUFFER_CURRENT_MDL(NetBuffer);
    ULONG Left = NET_BUFFER_CURRENT_MDL_OFFSET(NetBuffer) + Skip;

    while (At != NULL && Left >= MmGetMdlByteCount(At))
    {
        Left -= MmGetMdlByteCount(At);
        At = At->Next;
    }
    *Mdl = At;
    *Offset = Left;
    return At != NULL;
}

/* A new MDL for what one MDL holds from Offset on, at most Length bytes, chained to what follows
 * it. */
static PMDL HeaderRest(PMDL From, ULONG Offset, ULONG Length)
{
    PUCHAR Start = MmGetSystemAddressForMdlSafe(From, NormalPagePriority | MdlMappingNoExecute);
    ULONG Bytes = MmGetMdlByteCount(From) - Offset;
    PMDL Mdl;

    if (Start == NULL)
    {
        return NULL;
    }
    Mdl = NdisAllocateMdl(Mux.Miniport, Start + Offset, Bytes < Length ? Bytes : Length);
    if (Mdl != NULL)
    {
        Mdl->Next = From->Next;
    }
    return Mdl;
}

/*
 * An NBL from the header pool whose frame is Header (at most MUX_HEADER_SPACE bytes) followed by
 * NetBuffer's data from Skip on. NULL: no memory. Free it with HeaderFree.
 */
PNET_BUFFER_LIST HeaderChild(MUX_BINDING *Binding, PNET_BUFFER NetBuffer, ULONG Skip,
                             const UCHAR *Header, ULONG HeaderLength)
{
    ULONG Rest = NET_BUFFER_DATA_LENGTH(NetBuffer) - Skip;
    ULONG Start = MUX_HEADER_SPACE - HeaderLength; /* at the end, where the rest follows */
    PNET_BUFFER_LIST Child = NdisAllocateNetBufferList(Binding->HeaderPool, 0, 0);
    PMDL Own, From;
    PUCHAR Buffer;
    PNET_BUFFER New;
    ULONG Offset;

    if (Child == NULL)
    {
        return NULL;
    }
    New = NET_BUFFER_LIST_FIRST_NB(Child);
    Own = NET_BUFFER_FIRST_MDL(New);
    Buffer = MmGetSystemAddressForMdlSafe(Own, NormalPagePriority | MdlMappingNoExecute);
    if (Buffer == NULL)
    {
        goto freeChild;
    }
    NdisMoveMemory(Buffer + Start, Header, HeaderLength);
    if (Rest != 0)
    {
        if (!HeaderSeek(NetBuffer, Skip, &From, &Offset))
        {
            goto freeChild;
        }
        Own->Next = HeaderRest(From, Offset, Rest);
        if (Own->Next == NULL)
        {
            goto freeChild;
        }
    }
    NET_BUFFER_DATA_OFFSET(New) = Start;
    NET_BUFFER_DATA_LENGTH(New) = HeaderLength + Rest;
    NET_BUFFER_CURRENT_MDL(New) = Own;
    NET_BUFFER_CURRENT_MDL_OFFSET(New) = Start;
    return Child;

freeChild:
    NdisFreeNetBufferList(Child);
    return NULL;
}

/* Frees what HeaderChild made; the shared MDLs stay with their owner. */
VOID HeaderFree(PNET_BUFFER_LIST Child)
{
    PMDL Own = NET_BUFFER_FIRST_MDL(NET_BUFFER_LIST_FIRST_NB(Child));
    PMDL Rest = Own->Next;

    Own->Next = NULL;
    if (Rest != NULL)
    {
        Rest->Next = NULL;
        NdisFreeMdl(Rest);
    }
    NdisFreeNetBufferList(Child);
}

/* The frame without the tag in its data. */
PNET_BUFFER_LIST TagStrip(MUX_BINDING *Binding, PNET_BUFFER NetBuffer)
{
    UCHAR Storage[MUX_HEADER_LENGTH + MUX_TAG_LENGTH];
    UCHAR Header[MUX_HEADER_LENGTH];
    const UCHAR *From = NdisGetDataBuffer(NetBuffer, sizeof(Storage), Storage, 1, 0);

    if (From == NULL)
    {
        return NULL;
    }
    NdisMoveMemory(Header, From, 2 * MUX_MAC_LENGTH);
    Header[12] = From[16];
    Header[13] = From[17];
    return HeaderChild(Binding, NetBuffer, sizeof(Storage), Header, sizeof(Header));
}

/* The frame with a tag (priority, VLAN) in its data. */
PNET_BUFFER_LIST TagInsert(MUX_BINDING *Binding, PNET_BUFFER NetBuffer, USHORT Tag)
{
    UCHAR Storage[MUX_HEADER_LENGTH];
    UCHAR Header[MUX_HEADER_LENGTH + MUX_TAG_LENGTH];
    const UCHAR *From = NdisGetDataBuffer(NetBuffer, sizeof(Storage), Storage, 1, 0);

    if (From == NULL)
    {
        return NULL;
    }
    NdisMoveMemory(Header, From, 2 * MUX_MAC_LENGTH);
    Header[12] = MUX_ETHERTYPE_VLAN >> 8;
    Header[13] = MUX_ETHERTYPE_VLAN & 0xFF;
    Header[14] = (UCHAR)(Tag >> 8);
    Header[15] = (UCHAR)Tag;
    Header[16] = From[12];
    Header[17] = From[13];
    return HeaderChild(Binding, NetBuffer, sizeof(Storage), Header, sizeof(Header));
}

/* Ethernet, IPv4 or IPv6 header: *Type, its bytes; NULL if it is neither or too short. */
static const UCHAR *LengthHeader(PNET_BUFFER NetBuffer, PUCHAR Storage, PULONG Bytes)
{
    const UCHAR *From = NdisGetDataBuffer(NetBuffer, MUX_HEADER_LENGTH + 1, Storage, 1, 0);
    ULONG Type;

    if (From == NULL)
    {
        return NULL;
    }
    Type = (ULONG)From[12] << 8 | From[13];
    *Bytes = MUX_HEADER_LENGTH;
    if (Type == ETHERTYPE_IPV4 && (From[14] & 0x0F) >= IPV4_HEADER / 4)
    {
        *Bytes += (ULONG)(From[14] & 0x0F) * 4;
    }
    else if (Type == ETHERTYPE_IPV6)
    {
        *Bytes += IPV6_HEADER;
    }
    else
    {
        return NULL;
    }
    return NdisGetDataBuffer(NetBuffer, *Bytes, Storage, 1, 0);
}

/* True for a large send whose IP header says length 0, as LSO version 2 has it. */
BOOLEAN LengthMissing(PNET_BUFFER NetBuffer)
{
    UCHAR Storage[MUX_HEADER_SPACE];
    ULONG Bytes;
    const UCHAR *Header = LengthHeader(NetBuffer, Storage, &Bytes);

    if (Header == NULL)
    {
        return FALSE;
    }
    if ((Header[14] >> 4) == 4)
    {
        return Header[16] == 0 && Header[17] == 0;
    }
    return Header[18] == 0 && Header[19] == 0;
}

/* The ones' complement sum of an IPv4 header whose checksum field is zero. */
static USHORT LengthChecksum(const UCHAR *Header, ULONG Bytes)
{
    ULONG Sum = 0;
    ULONG i;

    for (i = 0; i < Bytes; i += 2)
    {
        Sum += (ULONG)Header[i] << 8 | Header[i + 1];
    }
    Sum = (Sum & 0xFFFF) + (Sum >> 16);
    Sum = (Sum & 0xFFFF) + (Sum >> 16);
    return (USHORT)~Sum;
}

/* A copy of such a frame with its length, as a receiver expects it (LengthMissing was true). */
PNET_BUFFER_LIST LengthFix(MUX_BINDING *Binding, PNET_BUFFER NetBuffer)
{
    UCHAR Storage[MUX_HEADER_SPACE];
    UCHAR Header[MUX_HEADER_SPACE];
    ULONG Length = NET_BUFFER_DATA_LENGTH(NetBuffer) - MUX_HEADER_LENGTH;
    ULONG Bytes;
    const UCHAR *From = LengthHeader(NetBuffer, Storage, &Bytes);

    if (From == NULL)
    {
        return NULL;
    }
    NdisMoveMemory(Header, From, Bytes);
    if ((Header[14] >> 4) == 4)
    {
        USHORT Sum;

        Length = Length < 0xFFFF ? Length : 0xFFFF;
        Header[16] = (UCHAR)(Length >> 8);
        Header[17] = (UCHAR)Length;
        Header[24] = Header[25] = 0;
        Sum = LengthChecksum(Header + MUX_HEADER_LENGTH, Bytes - MUX_HEADER_LENGTH);
        Header[24] = (UCHAR)(Sum >> 8);
        Header[25] = (UCHAR)Sum;
    }
    else
    {
        Length -= IPV6_HEADER;
        Length = Length < 0xFFFF ? Length : 0xFFFF;
        Header[18] = (UCHAR)(Length >> 8);
        Header[19] = (UCHAR)Length;
    }
    return HeaderChild(Binding, NetBuffer, Bytes, Header, Bytes);
}

/* Bytes before the TCP payload of a large send whose TCP header is at TcpOffset. */
ULONG LsoHeaderLength(PNET_BUFFER NetBuffer, ULONG TcpOffset)
{
    UCHAR Storage[2 * MUX_HEADER_SPACE];
    ULONG Bytes = TcpOffset + 20; /* the shortest TCP header */
    const UCHAR *Header = NULL;

    if (Bytes <= sizeof(Storage))
    {
        Header = NdisGetDataBuffer(NetBuffer, Bytes, Storage, 1, 0);
    }
    return Header == NULL ? Bytes : TcpOffset + (ULONG)(Header[TcpOffset + 12] >> 4) * 4;
}
