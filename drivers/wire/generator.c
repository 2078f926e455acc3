/* SPDX-License-Identifier: MIT */
/*
 * The frame generator for benches: a DPC that indicates preallocated NBLs, round robin over the
 * destinations, bounded by a number of frames. Owns Port.Generator (under Port.Lock). Settings:
 * GenFrames (total, after each restart and once a packet filter is set), GenBatch (NBLs of an
 * indication, 64), GenSize (octets, 64), GenDestinations (REG_MULTI_SZ of addresses) or GenCount
 * addresses counted up from GenBase. OID_WIRE_GENERATE starts it on command.
 */
#include "wire.h"

#define GEN_ROUNDS 16 /* batches of one DPC */
#define GEN_MAX_BATCH 1024
#define GEN_MAX_COUNT 65536
#define GEN_SETS 4           /* slots, in batches: what upper drivers may hold before it waits */
#define GEN_ETHERTYPE 0x88B5 /* local experimental, IEEE 802 */

static const UCHAR GeneratorSource[6] = {0x02, 0x77, 0x69, 0x72, 0x65, 0x01};

static NDIS_STATUS ReadList(WIRE_GENERATOR *G, const UNICODE_STRING *List)
{
    ULONG Chars = List->Length / sizeof(WCHAR), Count = 0;

    for (ULONG I = 0; I < Chars; I++)
        Count += List->Buffer[I] && (I == 0 || !List->Buffer[I - 1]);
    if (!Count)
        return NDIS_STATUS_SUCCESS;
    if (Count > GEN_MAX_COUNT)
        return NDIS_STATUS_INVALID_DATA;
    G->Destination = ExAllocatePoolWithTag(NonPagedPoolNx, Count * 6, WIRE_TAG);
    if (!G->Destination)
        return NDIS_STATUS_RESOURCES;
    for (ULONG I = 0; I < Chars; I++)
    {
        if (!List->Buffer[I] || (I && List->Buffer[I - 1]))
            continue;
        if (!ConfigAddress(&List->Buffer[I], Chars - I, G->Destination[G->Destinations++]))
            return NDIS_STATUS_INVALID_DATA;
    }
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS CountUp(WIRE_GENERATOR *G, NDIS_HANDLE Configuration, ULONG Count)
{
    UCHAR Base[6] = {0x02, 0, 0, 0, 0, 1};
    UNICODE_STRING Text;

    if (Count > GEN_MAX_COUNT)
        return NDIS_STATUS_INVALID_DATA;
    if (ConfigString(Configuration, L"GenBase", &Text) &&
        !ConfigAddress(Text.Buffer, Text.Length / sizeof(WCHAR), Base))
        return NDIS_STATUS_INVALID_DATA;
    G->Destination = ExAllocatePoolWithTag(NonPagedPoolNx, Count * 6, WIRE_TAG);
    if (!G->Destination)
        return NDIS_STATUS_RESOURCES;
    G->Destinations = Count;
    for (ULONG I = 0; I < Count; I++)
    {
        RtlCopyMemory(G->Destination[I], Base, 6);
        for (int B = 5; B > 2 && ++Base[B] == 0; B--)
            ;
    }
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS MakeSlots(WIRE_PORT *Port)
{
    WIRE_GENERATOR *G = &Port->Generator;

    for (G->Slots = 0; G->Slots < G->Batch * GEN_SETS; G->Slots++)
    {
        WIRE_SLOT *Slot = SlotAllocate(Port, G->Size);

        if (!Slot)
            return NDIS_STATUS_RESOURCES;
        Slot->Next = G->Free;
        G->Free = Slot;
        RtlZeroMemory(Slot->Data, G->Size);
        RtlCopyMemory(Slot->Data + 6, GeneratorSource, 6);
        Slot->Data[12] = GEN_ETHERTYPE >> 8;
        Slot->Data[13] = GEN_ETHERTYPE & 0xFF;
        Slot->Nbl->FirstNetBuffer->DataLength = G->Size;
        Slot->Nbl->MiniportReserved[1] = G; /* tells WireReturn whose it is */
    }
    return NDIS_STATUS_SUCCESS;
}

static KDEFERRED_ROUTINE GeneratorDpc;

NDIS_STATUS GeneratorInit(WIRE_PORT *Port, NDIS_HANDLE Configuration)
{
    WIRE_GENERATOR *G = &Port->Generator;
    ULONG Frames = 0, Count = 0;
    UNICODE_STRING List;
    NDIS_STATUS Status = NDIS_STATUS_SUCCESS;

    G->Batch = 64;
    G->Size = 64;
    KeInitializeDpc(&G->Dpc, GeneratorDpc, Port);
    ConfigNumber(Configuration, L"GenFrames", &Frames);
    ConfigNumber(Configuration, L"GenBatch", &G->Batch);
    ConfigNumber(Configuration, L"GenSize", &G->Size);
    G->Configured = Frames;
    if (!G->Batch || G->Batch > GEN_MAX_BATCH || G->Size < WIRE_HEADER ||
        G->Size > Port->Mtu + WIRE_HEADER)
        return NDIS_STATUS_INVALID_DATA;

    if (ConfigStrings(Configuration, L"GenDestinations", &List))
        Status = ReadList(G, &List);
    else if (ConfigNumber(Configuration, L"GenCount", &Count) && Count)
        Status = CountUp(G, Configuration, Count);
    else if (Frames)
        Status = CountUp(G, Configuration, 1);
    if (Status == NDIS_STATUS_SUCCESS && G->Destinations)
        Status = MakeSlots(Port);
    return Status;
}

void GeneratorFree(WIRE_PORT *Port)
{
    WIRE_GENERATOR *G = &Port->Generator;

    while (G->Free)
    {
        WIRE_SLOT *Next = G->Free->Next;

        SlotFree(G->Free);
        G->Free = Next;
    }
    if (G->Destination)
        ExFreePoolWithTag(G->Destination, WIRE_TAG);
    G->Destination = NULL;
}

/* Port.Lock held: whether a batch can go up now. A smaller one than Batch only at the end. */
static BOOLEAN Due(WIRE_PORT *Port)
{
    WIRE_GENERATOR *G = &Port->Generator;

    if (Port->State != WireRunning || !Port->PacketFilter)
        return FALSE;
    if (G->Armed)
    {
        G->Armed = FALSE;
        G->State = (WIRE_GENERATOR_STATE){.Left = G->Configured};
    }
    return G->State.Left && G->Free;
}

/* Port.Lock held. */
static BOOLEAN Schedule(WIRE_PORT *Port)
{
    WIRE_GENERATOR *G = &Port->Generator;

    if (G->DpcQueued || !Due(Port))
        return FALSE;
    G->DpcQueued = TRUE;
    Port->Active++; /* the DPC's */
    return TRUE;
}

void GeneratorKick(WIRE_PORT *Port)
{
    BOOLEAN Queue;
    KIRQL Irql;

    KeAcquireSpinLock(&Port->Lock, &Irql);
    Queue = Schedule(Port);
    KeReleaseSpinLock(&Port->Lock, Irql);
    if (Queue)
        KeInsertQueueDpc(&Port->Generator.Dpc, NULL, NULL);
}

BOOLEAN GeneratorReturned(WIRE_PORT *Port, WIRE_SLOT *First, WIRE_SLOT *Last, ULONG Count)
{
    WIRE_GENERATOR *G = &Port->Generator;

    Last->Next = G->Free;
    G->Free = First;
    G->State.Returned += Count;
    if (!G->State.Left && G->State.Returned == G->State.Indicated)
        G->State.Ended = KeQueryInterruptTime();
    return Schedule(Port);
}

/* Port.Lock held: takes the next batch off the free list, addressed. */
static NET_BUFFER_LIST *Take(WIRE_PORT *Port, ULONG *Taken)
{
    WIRE_GENERATOR *G = &Port->Generator;
    NET_BUFFER_LIST *Head = NULL, **Tail = &Head;
    ULONG Count = 0;

    while (Count < G->Batch && Count < G->State.Left && G->Free)
    {
        WIRE_SLOT *Slot = G->Free;
        ULONG Kind = WireKind(G->Destination[G->Next]);

        G->Free = Slot->Next;
        RtlCopyMemory(Slot->Data, G->Destination[G->Next], 6);
        if (++G->Next == G->Destinations)
            G->Next = 0;
        Slot->Nbl->Status = NDIS_STATUS_SUCCESS;
        *Tail = Slot->Nbl;
        Tail = &Slot->Nbl->Next;
        Port->In.Frames[Kind]++;
        Port->In.Octets[Kind] += G->Size;
        Count++;
    }
    *Tail = NULL;
    if (Count && !G->State.Indicated)
        G->State.Started = KeQueryInterruptTime();
    G->State.Left -= Count;
    G->State.Indicated += Count;
    Port->Indicated += (LONG)Count;
    *Taken = Count;
    return Head;
}

static void NTAPI GeneratorDpc(KDPC *Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    WIRE_PORT *Port = Context;
    BOOLEAN Again = TRUE, Paused = FALSE;

    for (ULONG Round = 0; Again; Round++)
    {
        NET_BUFFER_LIST *Batch = NULL;
        ULONG Count;

        KeAcquireSpinLockAtDpcLevel(&Port->Lock);
        Again = Due(Port);
        if (Again && Round < GEN_ROUNDS)
        {
            Batch = Take(Port, &Count);
        }
        else if (!Again)
        {
            Port->Generator.DpcQueued = FALSE;
            Port->Active--;
            Paused = PortPauseIsDone(Port);
        }
        KeReleaseSpinLockFromDpcLevel(&Port->Lock);
        if (!Batch)
            break;
        NdisMIndicateReceiveNetBufferLists(Port->Handle, Batch, NDIS_DEFAULT_PORT_NUMBER, Count,
                                           NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL);
    }
    if (Again)
        KeInsertQueueDpc(&Port->Generator.Dpc, NULL, NULL);
    if (Paused)
        NdisMPauseComplete(Port->Handle);
}
