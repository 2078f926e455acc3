/* SPDX-License-Identifier: MIT */
/*
 * From the packet socket to NDIS. The ready routine runs at DISPATCH_LEVEL on the adapter's
 * processor. Owns the receive slots: free, armed for the kernel, or above. What virtio_net_hdr says
 * becomes receive offload information, and stays open on purpose: a frame from another interface of
 * this machine need not carry a finished checksum (README.md).
 */
#include "af.h"

/* An odd number of cache lines apart, or all frames' headers would fall into the same cache sets.
 */
#define STRIDE ((AFP_HEADROOM + AFP_FRAME_MAX + 127) / 64 * 64 | 64)

static NDIS_STATUS MakeSlot(AFP_ADAPTER *Adapter, AFP_SLOT *Slot, UCHAR *Data)
{
    Slot->Data = Data;
    Slot->Mdl = NdisAllocateMdl(Adapter->Handle, Data, AFP_HEADROOM + AFP_FRAME_MAX);
    if (!Slot->Mdl)
        return NDIS_STATUS_RESOURCES;
    Slot->Nbl =
        NdisAllocateNetBufferAndNetBufferList(Adapter->Pool, 0, 0, Slot->Mdl, AFP_HEADROOM, 0);
    if (!Slot->Nbl)
        return NDIS_STATUS_RESOURCES;
    Slot->Nbl->SourceHandle = Adapter->Handle;
    AFP_SLOT_OF(Slot->Nbl) = Slot;
    Slot->Next = Adapter->Free;
    Adapter->Free = Slot;
    return NDIS_STATUS_SUCCESS;
}

NDIS_STATUS ReceiveInit(AFP_ADAPTER *Adapter)
{
    NDIS_STATUS Status = NDIS_STATUS_SUCCESS;

    Adapter->BatchLimit = AF_BATCH;
    Adapter->Slots = ExAllocatePool2(POOL_FLAG_NON_PAGED, AFP_SLOTS * sizeof(AFP_SLOT), AFP_TAG);
    /* Zeroed means: pages that the kernel gives only when a frame that long comes. */
    Adapter->Slab = ExAllocatePool2(POOL_FLAG_NON_PAGED, (SIZE_T)AFP_SLOTS * STRIDE, AFP_TAG);
    if (!Adapter->Slots || !Adapter->Slab)
        return NDIS_STATUS_RESOURCES;
    for (ULONG I = 0; Status == NDIS_STATUS_SUCCESS && I < AFP_SLOTS; I++)
        Status = MakeSlot(Adapter, &Adapter->Slots[I], Adapter->Slab + (SIZE_T)I * STRIDE);
    return Status;
}

void ReceiveFree(AFP_ADAPTER *Adapter)
{
    for (ULONG I = 0; Adapter->Slots && I < AFP_SLOTS; I++)
    {
        if (Adapter->Slots[I].Nbl)
            NdisFreeNetBufferList(Adapter->Slots[I].Nbl);
        if (Adapter->Slots[I].Mdl)
            NdisFreeMdl(Adapter->Slots[I].Mdl);
    }
    if (Adapter->Slab)
        ExFreePoolWithTag(Adapter->Slab, AFP_TAG);
    if (Adapter->Slots)
        ExFreePoolWithTag(Adapter->Slots, AFP_TAG);
}

/* ---- one frame ---------------------------------------------------------------------------------
 */

/* Writes a checksum that no offload information can say: not TCP or UDP, or inside a tunnel. */
static void Finish(UCHAR *Frame, ULONG Length, const UMF_VNET *Vnet)
{
    ULONG Field = (ULONG)Vnet->CsumStart + Vnet->CsumOffset;
    USHORT Sum;

    if (Vnet->CsumStart >= Length || Field + 2 > Length)
        return;
    Sum = (USHORT)~UmfFold(UmfSum(Frame + Vnet->CsumStart, Length - Vnet->CsumStart, 0));
    if (!Sum && Vnet->CsumOffset == UMF_UDP_CSUM)
        Sum = 0xFFFF;
    UmfStore(Frame + Field, Sum);
}

/* A segment that stands for several. */
static void Coalesced(NET_BUFFER_LIST *Nbl, const UMF_VNET *Vnet, const UMF_LAYOUT *Layout,
                      ULONG Length)
{
    ULONG Count = (Length - Layout->Payload + Vnet->GsoSize - 1) / Vnet->GsoSize;
    NDIS_RSC_NBL_INFO Rsc = {0};
    NDIS_UDP_RSC_OFFLOAD_NET_BUFFER_LIST_INFO Uro = {0};

    if (Layout->Protocol == UMF_TCP)
    {
        Rsc.Info.CoalescedSegCount = (USHORT)Count;
        Nbl->NetBufferListInfo[TcpRecvSegCoalesceInfo] = Rsc.Value;
    }
    else
    {
        Uro.Receive.SegCount = (USHORT)Count;
        Uro.Receive.SegSize = Vnet->GsoSize;
        Nbl->NetBufferListInfo[UdpRecvSegCoalesceOffloadInfo] = Uro.Value;
    }
}

static void Describe(NET_BUFFER_LIST *Nbl, UCHAR *Frame, ULONG Length, const UMF_VNET *Vnet)
{
    NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO Csum = {0};
    BOOLEAN Open = (Vnet->Flags & UMF_VNET_NEEDS_CSUM) != 0;
    UMF_LAYOUT Layout;

    if (!Open && !(Vnet->Flags & UMF_VNET_DATA_VALID) && Vnet->GsoType == UMF_GSO_NONE)
        return;
    if (!UmfParse(Frame, Length, &Layout) || Layout.Payload > Length ||
        (Open && Layout.L4 != Vnet->CsumStart))
    {
        if (Open)
            Finish(Frame, Length, Vnet);
        return;
    }
    if (Vnet->GsoType != UMF_GSO_NONE && Vnet->GsoSize)
        Coalesced(Nbl, Vnet, &Layout, Length);
    if (Layout.Protocol == UMF_TCP)
        Csum.Receive.TcpChecksumSucceeded = 1;
    else
        Csum.Receive.UdpChecksumSucceeded = 1;
    /* The kernel has looked at the IP header by the time it hands such a frame over, or made it. */
    Csum.Receive.IpChecksumSucceeded = Layout.Version == 4;
    Nbl->NetBufferListInfo[TcpIpChecksumNetBufferListInfo] = Csum.Value;
}

/* A tag that the kernel took off: 802.1Q goes out of band, any other back in band. */
static ULONG Tag(NET_BUFFER_LIST *Nbl, UCHAR *Frame, const AF_RX *Rx)
{
    NDIS_NET_BUFFER_LIST_8021Q_INFO Info = {0};

    if (Rx->Tpid == 0x8100)
    {
        Info.TagHeader.UserPriority = Rx->Tci >> 13;
        Info.TagHeader.CanonicalFormatId = Rx->Tci >> 12;
        Info.TagHeader.VlanId = Rx->Tci & 0xFFF;
        Nbl->NetBufferListInfo[Ieee8021QNetBufferListInfo] = Info.Value;
        return 0;
    }
    RtlMoveMemory(Frame - UMF_VLAN_TAG, Frame, 12);
    UmfPut16(Frame + 12 - UMF_VLAN_TAG, Rx->Tpid);
    UmfPut16(Frame + 14 - UMF_VLAN_TAG, Rx->Tci);
    return UMF_VLAN_TAG;
}

static void Prepare(AFP_SLOT *Slot, const AF_RX *Rx)
{
    NET_BUFFER_LIST *Nbl = Slot->Nbl;
    NET_BUFFER *Nb = Nbl->FirstNetBuffer;
    ULONG InBand = 0;

    Nbl->NetBufferListInfo[TcpIpChecksumNetBufferListInfo] = NULL;
    Nbl->NetBufferListInfo[TcpRecvSegCoalesceInfo] = NULL;
    Nbl->NetBufferListInfo[UdpRecvSegCoalesceOffloadInfo] = NULL;
    Nbl->NetBufferListInfo[Ieee8021QNetBufferListInfo] = NULL;
    Describe(Nbl, Slot->Data + AFP_HEADROOM, Rx->Length, &Slot->Vnet);
    if (Rx->Tagged)
        InBand = Tag(Nbl, Slot->Data + AFP_HEADROOM, Rx);
    Nb->CurrentMdl = Nb->MdlChain = Slot->Mdl;
    Nb->CurrentMdlOffset = Nb->DataOffset = AFP_HEADROOM - InBand;
    Nb->DataLength = Rx->Length + InBand;
    Nbl->Status = NDIS_STATUS_SUCCESS;
    Nbl->Next = NULL;
}

/* ---- batches ---- */

/* Arms the positions that lost their slots. Returns how many are armed from the first on. */
static int Arm(AFP_ADAPTER *Adapter)
{
    int Count = 0;

    KeAcquireSpinLockAtDpcLevel(&Adapter->Lock);
    while (Count < AF_BATCH && (Adapter->Armed[Count] || Adapter->Free))
    {
        if (!Adapter->Armed[Count])
        {
            AFP_SLOT *Slot = Adapter->Free;

            Adapter->Free = Slot->Next;
            Adapter->Armed[Count] = Slot;
            AfHostArm(Adapter->Host, Count, &Slot->Vnet, sizeof(Slot->Vnet),
                      Slot->Data + AFP_HEADROOM, AFP_FRAME_MAX);
        }
        Count++;
    }
    Adapter->Starved = !Count;
    if (!Count)
        AdapterSetEvents(Adapter);
    KeReleaseSpinLockFromDpcLevel(&Adapter->Lock);
    return Count;
}

typedef struct _AFP_BATCH
{
    NET_BUFFER_LIST *Chain;
    ULONG Count;
    ULONG64 Bytes;
    AFP_COUNTERS In;
} AFP_BATCH;

static void Collect(AFP_ADAPTER *Adapter, int Came, AFP_BATCH *Batch)
{
    NET_BUFFER_LIST **Tail = &Batch->Chain;

    for (int I = 0; I < Came; I++)
    {
        AFP_SLOT *Slot = Adapter->Armed[I];
        AF_RX Rx;
        ULONG Kind;

        AfHostFrame(Adapter->Host, I, &Rx);
        if (Rx.Length < UMF_ETHERNET)
        {
            /* The slot stays in its place; the kernel needs to be told again. */
            AfHostArm(Adapter->Host, I, &Slot->Vnet, sizeof(Slot->Vnet), Slot->Data + AFP_HEADROOM,
                      AFP_FRAME_MAX);
            Batch->In.Errors++;
            continue;
        }
        Adapter->Armed[I] = NULL;
        Kind = AdapterKind(Slot->Data + AFP_HEADROOM);
        Prepare(Slot, &Rx);
        Batch->In.Frames[Kind]++;
        Batch->In.Octets[Kind] += Slot->Nbl->FirstNetBuffer->DataLength;
        Batch->Bytes += Rx.Length;
        *Tail = Slot->Nbl;
        Tail = &Slot->Nbl->Next;
        Batch->Count++;
    }
}

static void AddCounters(AFP_COUNTERS *To, const AFP_COUNTERS *From)
{
    for (ULONG I = 0; I < 3; I++)
    {
        To->Frames[I] += From->Frames[I];
        To->Octets[I] += From->Octets[I];
    }
    To->Errors += From->Errors;
    To->Discards += From->Discards;
}

/* One batch. FALSE: the socket is empty, or there is no slot. */
static BOOLEAN Round(AFP_ADAPTER *Adapter)
{
    AFP_BATCH Batch = {0};
    int Armed = Arm(Adapter), Came, Limit = (int)Adapter->BatchLimit;

    if (!Armed)
        return FALSE;
    Limit = Armed < Limit ? Armed : Limit;
    Came = AfHostReceive(Adapter->Host, Limit);
    if (Came == AF_EAGAIN || Came == 0)
        return FALSE;
    if (Came > 0)
        Collect(Adapter, Came, &Batch);
    else
        Batch.In.Errors++; /* the interface went down, or a frame that virtio_net_hdr cannot say */
    Adapter->BatchLimit =
        Batch.Count && Batch.Bytes / Batch.Count > AFP_LARGE ? AFP_LARGE_BATCH : AF_BATCH;

    KeAcquireSpinLockAtDpcLevel(&Adapter->Lock);
    AddCounters(&Adapter->In, &Batch.In);
    Adapter->Indicated += (LONG)Batch.Count;
    KeReleaseSpinLockFromDpcLevel(&Adapter->Lock);
    if (Batch.Count)
        NdisMIndicateReceiveNetBufferLists(Adapter->Handle, Batch.Chain, NDIS_DEFAULT_PORT_NUMBER,
                                           Batch.Count, NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL);
    return Came == Limit;
}

void NTAPI ReceiveReady(void *Context, ULONG Events)
{
    AFP_ADAPTER *Adapter = Context;
    BOOLEAN Run;

    if (Events & UMH_ERROR)
        AfHostError(Adapter->Host);
    KeAcquireSpinLockAtDpcLevel(&Adapter->Lock);
    Run = Adapter->State == AfpRunning;
    if (Run)
        Adapter->Active++;
    else
        AdapterSetEvents(Adapter);
    KeReleaseSpinLockFromDpcLevel(&Adapter->Lock);
    if (!Run)
        return;
    if (Events & UMH_WRITE)
        SendUnblock(Adapter);
    if (Events & UMH_READ)
        for (ULONG I = 0; I < AFP_ROUNDS && Round(Adapter); I++)
            ;
    AdapterLeave(Adapter);
}

void NTAPI AfpReturn(NDIS_HANDLE Context, NET_BUFFER_LIST *Chain, ULONG Flags)
{
    AFP_ADAPTER *Adapter = Context;
    AFP_SLOT *First = NULL, *Last = NULL;
    LONG Count = 0;
    BOOLEAN Paused;
    KIRQL Irql;

    for (; Chain; Chain = Chain->Next, Count++)
    {
        AFP_SLOT *Slot = AFP_SLOT_OF(Chain);

        Slot->Next = First;
        First = Slot;
        Last = Last ? Last : Slot;
    }
    if (!Count)
        return;
    KeAcquireSpinLock(&Adapter->Lock, &Irql);
    Last->Next = Adapter->Free;
    Adapter->Free = First;
    Adapter->Indicated -= Count;
    if (Adapter->Starved)
    {
        Adapter->Starved = FALSE;
        AdapterSetEvents(Adapter);
    }
    Paused = AdapterPauseIsDone(Adapter);
    KeReleaseSpinLock(&Adapter->Lock, Irql);
    if (Paused)
        NdisMPauseComplete(Adapter->Handle);
}
