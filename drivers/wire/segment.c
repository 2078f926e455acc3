/* SPDX-License-Identifier: MIT */
/*
 * Segments: who shares a wire. Owns Wire.Segments and the port lists under Wire.Lock, and the rule
 * that a port's memory outlives every sender that has it in its snapshot (Port.References).
 */
#include "wire.h"

static WIRE_SEGMENT *Find(const UNICODE_STRING *Name)
{
    for (LIST_ENTRY *E = Wire.Segments.Flink; E != &Wire.Segments; E = E->Flink)
    {
        WIRE_SEGMENT *Segment = CONTAINING_RECORD(E, WIRE_SEGMENT, Link);

        if (Segment->Name.Length == Name->Length &&
            RtlCompareMemory(Segment->Name.Buffer, Name->Buffer, Name->Length) == Name->Length)
            return Segment;
    }
    return NULL;
}

NDIS_STATUS SegmentJoin(WIRE_PORT *Port, const UNICODE_STRING *Name)
{
    WIRE_SEGMENT *Fresh, *Segment;
    NDIS_STATUS Status = NDIS_STATUS_SUCCESS;
    KIRQL Irql;

    Fresh = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Fresh) + Name->Length, WIRE_TAG);
    if (!Fresh)
        return NDIS_STATUS_RESOURCES;
    RtlZeroMemory(Fresh, sizeof(*Fresh));
    InitializeListHead(&Fresh->Ports);
    Fresh->Name.Buffer = (WCHAR *)(Fresh + 1);
    Fresh->Name.Length = Fresh->Name.MaximumLength = Name->Length;
    RtlCopyMemory(Fresh->Name.Buffer, Name->Buffer, Name->Length);

    KeAcquireSpinLock(&Wire.Lock, &Irql);
    Segment = Find(Name);
    if (!Segment)
    {
        Segment = Fresh;
        Fresh = NULL;
        InsertTailList(&Wire.Segments, &Segment->Link);
    }
    if (Segment->Count == WIRE_MAX_PORTS)
    {
        Status = NDIS_STATUS_OPEN_LIST_FULL;
    }
    else
    {
        Segment->Count++;
        InsertTailList(&Segment->Ports, &Port->Link);
        Port->Segment = Segment;
    }
    KeReleaseSpinLock(&Wire.Lock, Irql);
    if (Fresh)
        ExFreePoolWithTag(Fresh, WIRE_TAG);
    return Status;
}

static void Dereference(WIRE_PORT *Port)
{
    if (InterlockedDecrement(&Port->References) == 0)
        KeSetEvent(&Port->Unreferenced, IO_NO_INCREMENT, FALSE);
}

void SegmentLeave(WIRE_PORT *Port)
{
    WIRE_SEGMENT *Segment = Port->Segment;
    BOOLEAN Last;
    KIRQL Irql;

    KeAcquireSpinLock(&Wire.Lock, &Irql);
    RemoveEntryList(&Port->Link);
    Last = --Segment->Count == 0;
    if (Last)
        RemoveEntryList(&Segment->Link);
    Port->Segment = NULL;
    KeReleaseSpinLock(&Wire.Lock, Irql);
    if (Last)
        ExFreePoolWithTag(Segment, WIRE_TAG);

    Dereference(Port);
    KeWaitForSingleObject(&Port->Unreferenced, Executive, KernelMode, FALSE, NULL);
}

void SegmentDeliver(WIRE_PORT *From, NET_BUFFER_LIST *Chain)
{
    WIRE_PORT *To[WIRE_MAX_PORTS];
    ULONG Count = 0;
    KIRQL Irql;

    KeAcquireSpinLock(&Wire.Lock, &Irql);
    for (LIST_ENTRY *E = From->Segment->Ports.Flink; E != &From->Segment->Ports; E = E->Flink)
    {
        WIRE_PORT *Port = CONTAINING_RECORD(E, WIRE_PORT, Link);

        if (Port == From)
            continue;
        InterlockedIncrement(&Port->References);
        To[Count++] = Port;
    }
    KeReleaseSpinLock(&Wire.Lock, Irql);

    for (ULONG I = 0; I < Count; I++)
    {
        for (NET_BUFFER_LIST *Nbl = Chain; Nbl; Nbl = Nbl->Next)
            for (NET_BUFFER *Nb = Nbl->FirstNetBuffer; Nb; Nb = Nb->Next)
                ReceiveEnqueue(To[I], From, Nbl, Nb);
        Dereference(To[I]);
    }
}
