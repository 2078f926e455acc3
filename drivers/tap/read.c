/* SPDX-License-Identifier: MIT */
/*
 * From the TAP to NDIS. The ready routine runs at DISPATCH_LEVEL on the binding's processor: it
 * reads until the kernel has nothing more, and passes batches down. A virtio_net_hdr becomes send
 * offload information where the adapter offers the offload; a checksum that it does not offer is
 * done here.
 */
#include "tap.h"

static BOOLEAN AdapterDoes(const UMF_LAYOUT *Layout, ULONG Offload)
{
    if (Layout->Protocol == UMF_TCP)
        return (Offload & (Layout->Version == 4 ? TAP_TCP4 : TAP_TCP6)) != 0;
    return (Offload & (Layout->Version == 4 ? TAP_UDP4 : TAP_UDP6)) != 0;
}

/* Any protocol: the kernel says where to start and where to put it. */
static BOOLEAN SoftwareChecksum(UCHAR *Frame, ULONG Length, const UMF_VNET *Vnet)
{
    ULONG Field = (ULONG)Vnet->CsumStart + Vnet->CsumOffset;
    USHORT Sum;

    if (Vnet->CsumStart >= Length || Field + 2 > Length)
        return FALSE;
    Sum = (USHORT)~UmfFold(UmfSum(Frame + Vnet->CsumStart, Length - Vnet->CsumStart, 0));
    /* A UDP checksum of 0 says "none" (RFC 768). */
    if (!Sum && Vnet->CsumOffset == UMF_UDP_CSUM)
        Sum = 0xFFFF;
    UmfStore(Frame + Field, Sum);
    return TRUE;
}

/* A segment bigger than the MTU: the adapter cuts it. FALSE: it does not offer that. */
static BOOLEAN LargeSend(NET_BUFFER_LIST *Nbl, UCHAR *Frame, ULONG Length, const UMF_VNET *Vnet,
                         const UMF_LAYOUT *Layout, ULONG Offload)
{
    NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO Lso = {0};
    NDIS_UDP_SEGMENTATION_OFFLOAD_NET_BUFFER_LIST_INFO Uso = {0};

    if (!Vnet->GsoSize)
        return FALSE;
    if (Layout->Protocol == UMF_UDP)
    {
        if (!(Offload & TAP_USO))
            return FALSE;
        Uso.Transmit.MSS = Vnet->GsoSize;
        Uso.Transmit.UdpHeaderOffset = Layout->L4;
        Uso.Transmit.IPVersion = Layout->Version == 6;
        Nbl->NetBufferListInfo[UdpSegmentationOffloadInfo] = Uso.Value;
    }
    else
    {
        if (!(Offload & (Layout->Version == 4 ? TAP_LSO4 : TAP_LSO6)))
            return FALSE;
        Lso.LsoV2Transmit.MSS = Vnet->GsoSize;
        Lso.LsoV2Transmit.TcpHeaderOffset = Layout->L4;
        Lso.LsoV2Transmit.Type = NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE;
        Lso.LsoV2Transmit.IPVersion = Layout->Version == 6;
        Nbl->NetBufferListInfo[TcpLargeSendNetBufferListInfo] = Lso.Value;
    }
    /* NDIS wants the pseudo-header's sum without the length, Linux has it with. */
    UmfStore(Frame + UmfCsumField(Layout), UmfPseudo(Frame, Layout, 0));
    return TRUE;
}

/* Fills in what the frame's virtio_net_hdr says. FALSE: the frame cannot go. */
static BOOLEAN Describe(NET_BUFFER_LIST *Nbl, UCHAR *Frame, ULONG Length, const UMF_VNET *Vnet,
                        ULONG Offload)
{
    NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO Csum = {0};
    UMF_LAYOUT Layout;
    BOOLEAN Known;

    Nbl->NetBufferListInfo[TcpIpChecksumNetBufferListInfo] = NULL;
    Nbl->NetBufferListInfo[TcpLargeSendNetBufferListInfo] = NULL;
    Nbl->NetBufferListInfo[UdpSegmentationOffloadInfo] = NULL;
    if (!(Vnet->Flags & UMF_VNET_NEEDS_CSUM))
        return Vnet->GsoType == UMF_GSO_NONE;
    Known = UmfParse(Frame, Length, &Layout) && Layout.L4 == Vnet->CsumStart &&
            UmfCsumField(&Layout) == (ULONG)Vnet->CsumStart + Vnet->CsumOffset;
    if (Vnet->GsoType != UMF_GSO_NONE &&
        (!Known || !LargeSend(Nbl, Frame, Length, Vnet, &Layout, Offload)))
        return FALSE;
    if (!Known || !AdapterDoes(&Layout, Offload))
        return Vnet->GsoType == UMF_GSO_NONE && SoftwareChecksum(Frame, Length, Vnet);
    Csum.Transmit.IsIPv4 = Layout.Version == 4;
    Csum.Transmit.IsIPv6 = Layout.Version == 6;
    Csum.Transmit.TcpChecksum = Layout.Protocol == UMF_TCP;
    Csum.Transmit.UdpChecksum = Layout.Protocol == UMF_UDP;
    Csum.Transmit.TcpHeaderOffset = Layout.L4;
    Nbl->NetBufferListInfo[TcpIpChecksumNetBufferListInfo] = Csum.Value;
    return TRUE;
}

/* Makes the buffer's NBL hold Length octets. */
static void Prepare(TAP_BINDING *Binding, TAP_BUFFER *Buffer, ULONG Length)
{
    NET_BUFFER_LIST *Nbl = Buffer->Nbl;
    NET_BUFFER *Nb = Nbl->FirstNetBuffer;

    Nb->CurrentMdl = Nb->MdlChain = Buffer->Mdl;
    Nb->CurrentMdlOffset = Nb->DataOffset = 0;
    Nb->DataLength = Length;
    Nbl->SourceHandle = Binding->Handle;
    Nbl->Status = NDIS_STATUS_SUCCESS;
    Nbl->Next = NULL;
}

typedef struct _TAP_READ
{
    NET_BUFFER_LIST *Chain;
    ULONG Count;
    long Error; /* why it ended: 0 the batch is full, TAP_EAGAIN, another errno */
    BOOLEAN Starved;
} TAP_READ;

static void ReadBatch(TAP_BINDING *Binding, ULONG Offload, TAP_READ *Out)
{
    TAP_BUFFER *Free = PoolTake(Binding->Pool);
    NET_BUFFER_LIST **Tail = &Out->Chain;
    ULONG Bytes = 0;

    RtlZeroMemory(Out, sizeof(*Out));
    while (Free && Out->Count < TAP_BATCH && Bytes < TAP_BATCH_BYTES)
    {
        UMF_VNET Vnet;
        TAP_VEC Vec[2] = {{&Vnet, sizeof(Vnet)}, {Free->Data, TAP_FRAME_MAX}};
        TAP_BUFFER *Buffer = Free;
        ULONG Length;

        Out->Error = TapHostRead(Binding->Fd, Vec, 2);
        if (Out->Error < 0)
            break;
        Length = (ULONG)Out->Error - (ULONG)sizeof(Vnet);
        Out->Error = 0;
        if (Length < UMF_ETHERNET || Length > TAP_FRAME_MAX ||
            !Describe(Buffer->Nbl, Buffer->Data, Length, &Vnet, Offload))
            continue;
        Free = Buffer->Next;
        Prepare(Binding, Buffer, Length);
        *Tail = Buffer->Nbl;
        Tail = &Buffer->Nbl->Next;
        Out->Count++;
        Bytes += Length;
    }
    Out->Starved = !Free;
    PoolPut(Binding->Pool, Free);
}

/* The interface was deleted under us: a worker stops the watch, for the error event never ends. */
static void Deleted(TAP_BINDING *Binding)
{
    KeAcquireSpinLockAtDpcLevel(&Binding->Lock);
    Binding->Gone = TRUE;
    KeReleaseSpinLockFromDpcLevel(&Binding->Lock);
    UmhSetEvents(Binding->Watch, 0);
    SyncQueue(Binding);
}

void NTAPI ReadReady(void *Context, ULONG Events)
{
    TAP_BINDING *Binding = Context;
    TAP_READ Read = {0};
    ULONG Offload;
    BOOLEAN Run;

    KeAcquireSpinLockAtDpcLevel(&Binding->Lock);
    Run = Binding->State == TapRunning && !Binding->Gone;
    Offload = Binding->Offload;
    if (Run)
        Binding->Active++;
    KeReleaseSpinLockFromDpcLevel(&Binding->Lock);
    if (!Run)
    {
        if (Events & UMH_ERROR)
            Deleted(Binding);
        else
            UmhSetEvents(Binding->Watch, 0);
        return;
    }
    for (ULONG Round = 0; Round < TAP_ROUNDS; Round++)
    {
        ReadBatch(Binding, Offload, &Read);
        if (Read.Count)
        {
            KeAcquireSpinLockAtDpcLevel(&Binding->Lock);
            Binding->SendsOut += Read.Count;
            KeReleaseSpinLockFromDpcLevel(&Binding->Lock);
            NdisSendNetBufferLists(Binding->Handle, Read.Chain, NDIS_DEFAULT_PORT_NUMBER,
                                   NDIS_SEND_FLAGS_DISPATCH_LEVEL);
        }
        if (Read.Error || (Read.Starved && PoolWait(Binding)))
            break;
    }
    if (Read.Error == TAP_EBADFD)
        Deleted(Binding);

    KeAcquireSpinLockAtDpcLevel(&Binding->Lock);
    Binding->Active--;
    BindingQuiet(Binding);
    KeReleaseSpinLockFromDpcLevel(&Binding->Lock);
}

void NTAPI TapSendComplete(NDIS_HANDLE BindingContext, NET_BUFFER_LIST *Chain, ULONG Flags)
{
    TAP_BINDING *Binding = BindingContext;
    TAP_BUFFER *List = NULL;
    TAP_POOL *Pool = Binding->Pool;
    LONG64 Count = 0;
    KIRQL Irql;

    for (; Chain; Chain = Chain->Next, Count++)
    {
        TAP_BUFFER *Buffer = TAP_BUFFER_OF(Chain);

        Buffer->Next = List;
        List = Buffer;
    }
    PoolPut(Pool, List);
    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Binding->SendsOut -= Count;
    BindingQuiet(Binding);
    KeReleaseSpinLock(&Binding->Lock, Irql);
}
