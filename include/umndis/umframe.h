/* SPDX-License-Identifier: MIT */
/*
 * Frame arithmetic that host-edge drivers share with <umhost.h>: where the headers of an Ethernet
 * frame are, Internet checksums, and struct virtio_net_hdr as the kernel's packet sockets and TAPs
 * use it. Inline, no state, any IRQL. Frames come from outside: every offset is checked against
 * Length before it is used.
 */
#ifndef UMFRAME_H
#define UMFRAME_H

#include <ntddk.h>

/* include/uapi/linux/virtio_net.h, little endian as on x86-64. */
typedef struct _UMF_VNET {
    UCHAR Flags;
    UCHAR GsoType;
    USHORT HeaderLength;
    USHORT GsoSize;
    USHORT CsumStart;
    USHORT CsumOffset;
} UMF_VNET;
_Static_assert(sizeof(UMF_VNET) == 10, "the kernel's layout");

#define UMF_VNET_NEEDS_CSUM 1u
#define UMF_VNET_DATA_VALID 2u
#define UMF_GSO_NONE 0u
#define UMF_GSO_TCPV4 1u
#define UMF_GSO_TCPV6 4u
#define UMF_GSO_UDP_L4 5u
#define UMF_GSO_ECN 0x80u

#define UMF_ETHERNET 14u
#define UMF_VLAN_TAG 4u
#define UMF_TCP 6u
#define UMF_UDP 17u
#define UMF_TCP_CSUM 16u /* offset of the checksum in its header */
#define UMF_UDP_CSUM 6u
/* Ethernet, two tags, IPv4 with options or IPv6 with some extension headers, TCP with options. */
#define UMF_MAX_HEADERS 192u

typedef struct _UMF_LAYOUT {
    ULONG L3;       /* offset of the IP header */
    ULONG L4;       /* offset of the TCP or UDP header */
    ULONG Payload;  /* offset behind it */
    UCHAR Version;  /* 4 or 6 */
    UCHAR Protocol; /* UMF_TCP or UMF_UDP */
} UMF_LAYOUT;

static inline USHORT UmfGet16(const UCHAR *P)
{
    return (USHORT)(P[0] << 8 | P[1]);
}

static inline void UmfPut16(UCHAR *P, ULONG Value)
{
    P[0] = (UCHAR)(Value >> 8);
    P[1] = (UCHAR)Value;
}

/* Walks IPv6 extension headers from *L4; FALSE for fragments and what is cut off. */
static inline BOOLEAN UmfSkipExtensions(const UCHAR *Frame, ULONG Length, UCHAR *Next, ULONG *L4)
{
    while (*Next == 0 || *Next == 43 || *Next == 60) {
        if (*L4 + 8 > Length)
            return FALSE;
        *Next = Frame[*L4];
        *L4 += (Frame[*L4 + 1] + 1u) * 8;
    }
    return TRUE;
}

/*
 * Finds the headers of a TCP or UDP frame, tags in band or not. Length is how much of the frame is
 * at Frame, at least up to the end of its headers. FALSE: something else, a fragment, or cut off.
 */
static inline BOOLEAN UmfParse(const UCHAR *Frame, ULONG Length, UMF_LAYOUT *Layout)
{
    ULONG L3 = UMF_ETHERNET, L4;
    USHORT Type;
    UCHAR Next;

    if (Length < UMF_ETHERNET)
        return FALSE;
    Type = UmfGet16(Frame + 12);
    while ((Type == 0x8100 || Type == 0x88A8) && L3 + UMF_VLAN_TAG <= Length &&
           L3 < UMF_ETHERNET + 2 * UMF_VLAN_TAG) {
        Type = UmfGet16(Frame + L3 + 2);
        L3 += UMF_VLAN_TAG;
    }
    if (Type == 0x0800) {
        if (L3 + 20 > Length || Frame[L3] >> 4 != 4 || (UmfGet16(Frame + L3 + 6) & 0x3FFF))
            return FALSE;
        L4 = L3 + (Frame[L3] & 15) * 4u;
        if (L4 < L3 + 20)
            return FALSE;
        Next = Frame[L3 + 9];
        Layout->Version = 4;
    } else if (Type == 0x86DD) {
        if (L3 + 40 > Length || Frame[L3] >> 4 != 6)
            return FALSE;
        L4 = L3 + 40;
        Next = Frame[L3 + 6];
        if (!UmfSkipExtensions(Frame, Length, &Next, &L4))
            return FALSE;
        Layout->Version = 6;
    } else {
        return FALSE;
    }
    Layout->L3 = L3;
    Layout->L4 = L4;
    Layout->Protocol = Next;
    if (Next == UMF_TCP && L4 + 20 <= Length) {
        ULONG Header = (Frame[L4 + 12] >> 4) * 4u;

        Layout->Payload = L4 + Header;
        return Header >= 20 && L4 + Header <= Length;
    }
    Layout->Payload = L4 + 8;
    return Next == UMF_UDP && L4 + 8 <= Length;
}

/* Adds octets to a running one's complement sum; all but the last piece must be even. */
static inline ULONG64 UmfSum(const void *Data, ULONG Length, ULONG64 Sum)
{
    const UCHAR *P = Data;

    for (; Length >= 4; Length -= 4, P += 4) {
        UINT32 Word;

        __builtin_memcpy(&Word, P, 4);
        Sum += Word;
    }
    if (Length >= 2) {
        USHORT Word;

        __builtin_memcpy(&Word, P, 2);
        Sum += Word;
        P += 2;
    }
    return Length & 1 ? Sum + *P : Sum;
}

/* To 16 bits, in memory order, not complemented. */
static inline USHORT UmfFold(ULONG64 Sum)
{
    while (Sum >> 16)
        Sum = (Sum & 0xFFFF) + (Sum >> 16);
    return (USHORT)Sum;
}

static inline void UmfStore(UCHAR *P, USHORT Value)
{
    __builtin_memcpy(P, &Value, 2);
}

/*
 * The pseudo-header's sum, as TCP's checksum field holds it when the rest is somebody else's job.
 * L4Length 0: without the length, as NDIS wants it for large sends.
 */
static inline USHORT UmfPseudo(const UCHAR *Frame, const UMF_LAYOUT *Layout, ULONG L4Length)
{
    UCHAR Tail[8] = {(UCHAR)(L4Length >> 24),
                     (UCHAR)(L4Length >> 16),
                     (UCHAR)(L4Length >> 8),
                     (UCHAR)L4Length,
                     0,
                     0,
                     0,
                     Layout->Protocol};
    ULONG64 Sum = UmfSum(Tail, 8, 0);

    if (Layout->Version == 4)
        return UmfFold(UmfSum(Frame + Layout->L3 + 12, 8, Sum));
    return UmfFold(UmfSum(Frame + Layout->L3 + 8, 32, Sum));
}

/* Where the checksum of a layout's protocol lies in the frame. */
static inline ULONG UmfCsumField(const UMF_LAYOUT *Layout)
{
    return Layout->L4 + (Layout->Protocol == UMF_TCP ? UMF_TCP_CSUM : UMF_UDP_CSUM);
}

/* Writes the IP length for a frame of FrameLength octets, and the IPv4 checksum that goes with it;
 * a large send may come without (IPv4 Total Length 0). */
static inline void UmfSetIpLength(UCHAR *Frame, const UMF_LAYOUT *Layout, ULONG FrameLength)
{
    UCHAR *Ip = Frame + Layout->L3;

    if (Layout->Version == 6) {
        ULONG Length = FrameLength - Layout->L3 - 40;

        UmfPut16(Ip + 4, Length > 0xFFFF ? 0 : Length);
        return;
    }
    UmfPut16(Ip + 2, FrameLength - Layout->L3);
    Ip[10] = Ip[11] = 0;
    UmfStore(Ip + 10, (USHORT)~UmfFold(UmfSum(Ip, Layout->L4 - Layout->L3, 0)));
}

#endif
