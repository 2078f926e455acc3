/* SPDX-License-Identifier: MIT */
/*
 * What the files of the data path share: sorting batches, reading frames, looking up, counting.
 * Everything inline is called under the read side of TableLock at DISPATCH_LEVEL unless it says
 * otherwise.
 */
#ifndef MUX_PATH_H
#define MUX_PATH_H

#include "mux.h"

/* clang and MSVC agree on neither prefetch spelling; a hint may be absent. */
#if defined(__GNUC__) || defined(__clang__)
#define MuxPrefetch(Address) __builtin_prefetch((const void *)(Address))
#define MUX_LIKELY(x) __builtin_expect(!!(x), 1)
#define MUX_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define MuxPrefetch(Address) PreFetchCacheLine(PF_TEMPORAL_LEVEL_1, (const void *)(Address))
#define MUX_LIKELY(x) (x)
#define MUX_UNLIKELY(x) (x)
#endif

/* What we keep in the context area of an NBL that we forward (a multiple of 16 bytes). */
typedef struct _MUX_SEND
{
    MUX_VM *Vm;
    NDIS_HANDLE SourceHandle; /* the upper driver's */
    PVOID Vlan;               /* its 802.1Q information */
    ULONG64 Retries;
} MUX_SEND;

/* A child NBL says in MiniportReserved whom it came from: the sending virtual miniport, or NULL for
 * the lower binding. Children that go below say it in ProtocolReserved. */
#define MUX_CHILD_SOURCE(Nbl) (NET_BUFFER_LIST_MINIPORT_RESERVED(Nbl)[0])
#define MUX_CHILD_TARGET(Nbl) (NET_BUFFER_LIST_MINIPORT_RESERVED(Nbl)[1])
#define MUX_CHILD_SENDER(Nbl) (NET_BUFFER_LIST_PROTOCOL_RESERVED(Nbl)[0])
#define MUX_CHILD_FLAGS(Nbl) (NET_BUFFER_LIST_PROTOCOL_RESERVED(Nbl)[1])

/* One batch: frames on their way to virtual miniports, grouped. Lives on a stack. */
#define MUX_BUCKETS 32
#define MUX_BUCKET_HASH 64
typedef struct _MUX_BUCKET
{
    MUX_VM *Vm;
    PNET_BUFFER_LIST Head;
    PNET_BUFFER_LIST *Tail;
    ULONG Count;
    ULONG Others;  /* those that are counted already: children, and what is not unicast */
    ULONG64 Bytes; /* of the rest */
} MUX_BUCKET;
typedef struct _MUX_BATCH
{
    UCHAR Index[MUX_BUCKET_HASH]; /* bucket + 1 */
    ULONG Used;
    ULONG Processor; /* of whoever fills it: index of Counters */
    MUX_VM *LastVm;
    MUX_BUCKET *Last;
    BOOLEAN Full;    /* deliver before the next frame */
    MUX_QUEUE Spill; /* children for virtual miniports that found no bucket */
    MUX_QUEUE Done;  /* nobody wants them */
    /* While it is delivered by RxReceive at DISPATCH_LEVEL: what RxReturn finds by BatchHere. */
    MUX_BINDING *Binding;
    struct _MUX_BATCH *Outer; /* that runs further out on this processor */
    MUX_VM *Current;          /* being indicated to */
    LONG64 Returned;          /* off Current's Out, when its indication has ended */
    MUX_BUCKET Bucket[MUX_BUCKETS];
} MUX_BATCH;

/*
 * The innermost delivery under way on a processor, a cache line each. Written and read at
 * DISPATCH_LEVEL on that processor only. Processors beyond have none and return NBLs one by one.
 */
#define MUX_HERE_PROCESSORS 64
typedef struct _MUX_HERE
{
    MUX_BATCH *Batch;
    PVOID Reserved[7];
} MUX_HERE;
extern MUX_HERE MuxHere[MUX_HERE_PROCESSORS];

FORCEINLINE VOID QueueInit(MUX_QUEUE *Queue)
{
    Queue->Head = NULL;
    Queue->Tail = &Queue->Head;
    Queue->Count = 0;
}
FORCEINLINE VOID QueueAppend(MUX_QUEUE *Queue, PNET_BUFFER_LIST Nbl)
{
    *Queue->Tail = Nbl;
    Queue->Tail = &NET_BUFFER_LIST_NEXT_NBL(Nbl);
    Queue->Count++;
}
FORCEINLINE PNET_BUFFER_LIST QueueTake(MUX_QUEUE *Queue)
{
    PNET_BUFFER_LIST Head;

    *Queue->Tail = NULL;
    Head = Queue->Head;
    QueueInit(Queue);
    return Head;
}

/* An Ethernet address as a number, first byte lowest. Reads two bytes more than the address. */
FORCEINLINE ULONG64 MacLoad(const UCHAR *Mac)
{
    return *(const ULONG64 UNALIGNED *)Mac & 0xFFFFFFFFFFFFULL;
}
FORCEINLINE ULONG64 MacKey(ULONG64 Mac, ULONG Vlan)
{
    return Mac | (ULONG64)Vlan << 48;
}
/* The type of a frame as it lies in memory, and what a tag is there. */
FORCEINLINE USHORT TypeLoad(const UCHAR *Header)
{
    return *(const USHORT UNALIGNED *)(Header + 2 * MUX_MAC_LENGTH);
}
#define MUX_TYPE_VLAN 0x0081
#define MUX_MAC_BROADCAST 0xFFFFFFFFFFFFULL
#define MUX_MAC_GROUP 1ULL /* bit of the first byte */

/* Bit of MUX_VM.MulticastBloom. */
FORCEINLINE ULONG MuxBloomBit(ULONG64 Address)
{
    return (ULONG)((Address * 0x9E3779B97F4A7C15ULL) >> 58);
}

/* table.c */
ULONG TableFirstOfVlan(const MUX_TABLE *Table, USHORT VlanId);
FORCEINLINE ULONG TableHash(const MUX_TABLE *Table, ULONG64 Key)
{
    return (ULONG)((Key * 0x9E3779B97F4A7C15ULL) >> Table->Shift);
}
FORCEINLINE MUX_VM *TableFind(const MUX_TABLE *Table, ULONG64 Key)
{
    ULONG At;

    if (Table == NULL)
    {
        return NULL;
    }
    At = TableHash(Table, Key);
    for (;; At = (At + 1) & Table->Mask)
    {
        if (Table->Slot[At].Key == Key || Table->Slot[At].Vm == NULL)
        {
            return Table->Slot[At].Vm;
        }
    }
}

/* batch.c */
VOID BatchInit(MUX_BATCH *Batch);
MUX_BUCKET *BatchBucket(MUX_BATCH *Batch, MUX_VM *Vm);
VOID BatchChild(MUX_BATCH *Batch, MUX_VM *Vm, PNET_BUFFER_LIST Child);
VOID BatchSeal(MUX_BATCH *Batch);
VOID BatchDeliver(MUX_BATCH *Batch, MUX_BINDING *Binding, ULONG ReceiveFlags);
FORCEINLINE MUX_BUCKET *BatchFind(MUX_BATCH *Batch, MUX_VM *Vm)
{
    return Batch->LastVm == Vm ? Batch->Last : BatchBucket(Batch, Vm);
}

/* local.c */
typedef struct _MUX_FRAME
{
    ULONG64 Destination;
    ULONG64 Source;
    ULONG Kind; /* MuxUnicast ... */
    ULONG Length;
    USHORT Vlan;     /* of the 802.1Q information or the tag in the data; 0: none */
    USHORT Priority; /* of the tag in the data */
    BOOLEAN InBand;  /* there is a tag in the data */
} MUX_FRAME;
BOOLEAN FrameParseSlow(PNET_BUFFER_LIST Nbl, PNET_BUFFER NetBuffer, MUX_FRAME *Frame);
/*
 * Reads destination, source, kind and VLAN of one frame. The VLAN is that of the 802.1Q
 * information, or of a tag inside the data when there is none. FALSE: shorter than an Ethernet
 * header, or not mappable.
 */
FORCEINLINE BOOLEAN FrameParse(PNET_BUFFER_LIST Nbl, PNET_BUFFER NetBuffer, MUX_FRAME *Frame)
{
    NDIS_NET_BUFFER_LIST_8021Q_INFO Tag;
    const UCHAR *Header;
    ULONG Offset;
    PMDL Mdl;

    if (MUX_UNLIKELY(NetBuffer == NULL || NET_BUFFER_DATA_LENGTH(NetBuffer) < MUX_HEADER_LENGTH))
    {
        return FALSE;
    }
    Mdl = NET_BUFFER_CURRENT_MDL(NetBuffer);
    Offset = NET_BUFFER_CURRENT_MDL_OFFSET(NetBuffer);
    if (MUX_UNLIKELY(MmGetMdlByteCount(Mdl) < Offset + MUX_HEADER_LENGTH))
    {
        return FrameParseSlow(Nbl, NetBuffer, Frame);
    }
    Header = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority | MdlMappingNoExecute);
    if (MUX_UNLIKELY(Header == NULL))
    {
        return FALSE;
    }
    Header += Offset;
    Tag.Value = NET_BUFFER_LIST_INFO(Nbl, Ieee8021QNetBufferListInfo);
    if (MUX_UNLIKELY(Tag.Value == NULL && TypeLoad(Header) == MUX_TYPE_VLAN))
    {
        return FrameParseSlow(Nbl, NetBuffer, Frame);
    }
    Frame->Destination = MacLoad(Header);
    Frame->Source = MacLoad(Header + MUX_MAC_LENGTH);
    Frame->Length = NET_BUFFER_DATA_LENGTH(NetBuffer);
    Frame->Kind = MuxUnicast;
    if (MUX_UNLIKELY((Frame->Destination & MUX_MAC_GROUP) != 0))
    {
        Frame->Kind = Frame->Destination == MUX_MAC_BROADCAST ? MuxBroadcast : MuxMulticast;
    }
    Frame->Vlan = (USHORT)Tag.TagHeader.VlanId;
    Frame->Priority = (USHORT)Tag.TagHeader.UserPriority;
    Frame->InBand = FALSE;
    return TRUE;
}

PNET_BUFFER_LIST ChildReceive(MUX_VM *Target, MUX_VM *Source, PNET_BUFFER_LIST Parent,
                              PNET_BUFFER NetBuffer, const MUX_FRAME *Frame);
VOID ChildFree(MUX_BINDING *Binding, PNET_BUFFER_LIST Child);
BOOLEAN VmHasMulticast(const MUX_VM *Vm, ULONG64 Address);
LONG LocalFlood(MUX_BATCH *Batch, MUX_TABLE *Table, MUX_VM *Source, PNET_BUFFER_LIST Nbl,
                PNET_BUFFER NetBuffer, const MUX_FRAME *Frame, MUX_VM **Only);
BOOLEAN LocalChild(MUX_BATCH *Batch, MUX_VM *Target, MUX_VM *Source, PNET_BUFFER_LIST Nbl,
                   PNET_BUFFER NetBuffer, const MUX_FRAME *Frame);
/* Whether the packet filter of Vm lets a frame through that is on its VLAN (IM-RCV-08). */
FORCEINLINE BOOLEAN VmWants(const MUX_VM *Vm, const MUX_FRAME *Frame)
{
    ULONG Filter = Vm->Filter;

    if (!Vm->Open)
    {
        return FALSE;
    }
    if ((Filter & NDIS_PACKET_TYPE_PROMISCUOUS) != 0)
    {
        return TRUE;
    }
    switch (Frame->Kind)
    {
    case MuxUnicast:
        return (Filter & NDIS_PACKET_TYPE_DIRECTED) != 0 &&
               Frame->Destination == (Vm->Key & MUX_MAC_BROADCAST);
    case MuxBroadcast:
        return (Filter & NDIS_PACKET_TYPE_BROADCAST) != 0;
    default:
        return (Filter & NDIS_PACKET_TYPE_ALL_MULTICAST) != 0 ||
               ((Filter & NDIS_PACKET_TYPE_MULTICAST) != 0 &&
                VmHasMulticast(Vm, Frame->Destination));
    }
}

/* tag.c */
PNET_BUFFER_LIST HeaderChild(MUX_BINDING *Binding, PNET_BUFFER NetBuffer, ULONG Skip,
                             const UCHAR *Header, ULONG HeaderLength);
VOID HeaderFree(PNET_BUFFER_LIST Child);
PNET_BUFFER_LIST TagStrip(MUX_BINDING *Binding, PNET_BUFFER NetBuffer);
PNET_BUFFER_LIST TagInsert(MUX_BINDING *Binding, PNET_BUFFER NetBuffer, USHORT Tag);
BOOLEAN LengthMissing(PNET_BUFFER NetBuffer);
PNET_BUFFER_LIST LengthFix(MUX_BINDING *Binding, PNET_BUFFER NetBuffer);
ULONG LsoHeaderLength(PNET_BUFFER NetBuffer, ULONG TcpOffset);

/* stats.c */
FORCEINLINE ULONG StatsIndex(VOID)
{
    ULONG Index = NdisCurrentProcessorIndex();

    return Index < Mux.Processors ? Index : 0;
}
/* The delivery of frames of Binding that the caller runs inside of, or NULL. DISPATCH_LEVEL. */
FORCEINLINE MUX_BATCH *BatchHere(const MUX_BINDING *Binding)
{
    ULONG Processor = StatsIndex();
    MUX_BATCH *Batch;

    if (MUX_UNLIKELY(Processor >= MUX_HERE_PROCESSORS))
    {
        return NULL;
    }
    Batch = MuxHere[Processor].Batch;
    return Batch != NULL && Batch->Binding == Binding ? Batch : NULL;
}
VOID StatsSum(MUX_VM *Vm, MUX_COUNTERS *Sum);
VOID StatsOutErrors(MUX_VM *Vm, LONG64 Count);

/* tx.c, complete.c, hold.c */
VOID TxComplete(MUX_VM *Vm, MUX_QUEUE *Done, ULONG Flags);
typedef struct _MUX_RUN
{
    MUX_VM *Vm;
    MUX_QUEUE Queue;
    ULONG Flags;
} MUX_RUN;
VOID RunAdd(MUX_RUN *Run, MUX_VM *Vm, PNET_BUFFER_LIST Nbl);
VOID RunEnd(MUX_RUN *Run);
MUX_VM *TxSender(MUX_BINDING *Binding, PNET_BUFFER_LIST Nbl);
FORCEINLINE BOOLEAN TxIsChild(const MUX_BINDING *Binding, PNET_BUFFER_LIST Nbl)
{
    NDIS_HANDLE Pool = Nbl->NdisPoolHandle;

    return Pool == Binding->SendPool || Pool == Binding->HeaderPool;
}
BOOLEAN HoldSend(MUX_BINDING *Binding, MUX_QUEUE *Wire);
BOOLEAN HoldRetry(MUX_BINDING *Binding, PNET_BUFFER_LIST Nbl);

/*
 * Takes Amount off what Vm has out. Vm may be gone on return: whoever brings it to nothing while it
 * pauses, or nothing is under way while it goes to sleep, completes that. <= DISPATCH_LEVEL.
 */
FORCEINLINE VOID VmOut(MUX_VM *Vm, LONG64 Amount)
{
    LONG64 Old = InterlockedExchangeAdd64(&Vm->Out, -Amount);

    if (MUX_UNLIKELY(((Old - Amount) & ~MUX_OUT_MASK) != 0))
    {
        VmOutSlow(Vm, Old, Old - Amount);
    }
}

#endif
