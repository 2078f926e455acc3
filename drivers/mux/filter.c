/* SPDX-License-Identifier: MIT */
/*
 * Packet filter and multicast list. Each virtual miniport has its own, which receive obeys; the
 * lower binding gets their union (IM-OID-18), by one request at a time. Promiscuous goes below when
 * a virtual miniport asks for it, or when one with a MAC address other than the adapter's wants
 * directed frames: an adapter filters for its own address only. Without a filter above, there is
 * none below.
 *
 * The engine: whoever changes something calls FilterKick; the first becomes its owner (Busy),
 * computes the union, sets list and filter below as far as they differ, then completes the requests
 * that it served, and starts over if something changed meanwhile. Mux.Lock guards the fields; the
 * owner alone touches Wanted, List, Stage. PASSIVE_LEVEL or DISPATCH_LEVEL.
 */
#include "path.h"

#define FILTER_LIST_LIMIT 1024 /* entries of the union, however many the adapter claims to take */

enum
{
    FilterStageBegin,
    FilterStageList,
    FilterStageFilter,
    FilterStageEnd
};

/* An idle engine; room for the lists is made now, so that nothing later fails for memory. */
BOOLEAN FilterInit(MUX_BINDING *Binding)
{
    MUX_FILTER *Filter = &Binding->Filter;

    InitializeListHead(&Filter->Waiting);
    InitializeListHead(&Filter->Served);
    InitializeListHead(&Filter->Groups);
    NdisInitializeEvent(&Filter->Idle);
    NdisSetEvent(&Filter->Idle);
    Filter->ListMax =
        Binding->MaxMulticast < FILTER_LIST_LIMIT ? Binding->MaxMulticast : FILTER_LIST_LIMIT;
    Filter->List = MuxAllocate((SIZE_T)(Filter->ListMax + 1) * MUX_MAC_LENGTH, MUX_TAG_LIST);
    Filter->Wanted = MuxAllocate((SIZE_T)(Filter->ListMax + 1) * MUX_MAC_LENGTH, MUX_TAG_LIST);
    return Filter->List != NULL && Filter->Wanted != NULL;
}

/*
 * The union over all virtual miniports of the binding. The table keeps the totals of the filters,
 * group.c those of the lists. A list that does not fit becomes ALL_MULTICAST.
 */
static VOID FilterUnion(MUX_BINDING *Binding, BOOLEAN Lists)
{
    MUX_FILTER *Filter = &Binding->Filter;
    const MUX_TABLE *Table;
    LOCK_STATE_EX State;
    ULONG Wanted = 0;
    ULONG i;

    NdisAcquireRWLockRead(Binding->TableLock, &State, 0);
    Table = Binding->Table;
    for (i = 0; Table != NULL && i < MUX_FILTER_BITS; i++)
    {
        Wanted |= Table->Filters[i] != 0 ? 1u << i : 0;
    }
    if (Table != NULL && Table->Foreign != 0)
    {
        Wanted |= NDIS_PACKET_TYPE_PROMISCUOUS;
    }
    if (Lists)
    {
        Filter->WantedCount = GroupUnion(Filter, Filter->Wanted, Filter->ListMax);
        Filter->Overflow = Filter->WantedCount > Filter->ListMax;
        if (Filter->Overflow)
        {
            Filter->WantedCount = 0;
        }
    }
    NdisReleaseRWLock(Binding->TableLock, &State);
    if (Filter->Overflow && (Wanted & NDIS_PACKET_TYPE_MULTICAST) != 0)
    {
        Wanted |= NDIS_PACKET_TYPE_ALL_MULTICAST;
    }
    Filter->WantedFilter = Wanted & ReadULongNoFence(&Binding->SupportedPacketFilters);
}

/* Issues one set on the lower binding. Success without a call while that cannot take requests. */
static NDIS_STATUS FilterIssue(MUX_BINDING *Binding, NDIS_OID Oid, PVOID Buffer, ULONG Length)
{
    PNDIS_OID_REQUEST Request = &Binding->Filter.Request;
    NDIS_STATUS Status;

    if (!RundownEnter(&Binding->Requests, 1))
    {
        return NDIS_STATUS_CLOSING;
    }
    NdisZeroMemory(Request, sizeof(*Request));
    Request->Header.Type = NDIS_OBJECT_TYPE_OID_REQUEST;
    Request->Header.Revision = NDIS_OID_REQUEST_REVISION_1;
    Request->Header.Size = NDIS_SIZEOF_OID_REQUEST_REVISION_1;
    Request->RequestType = NdisRequestSetInformation;
    Request->PortNumber = NDIS_DEFAULT_PORT_NUMBER;
    Request->RequestId = ULongToPtr((ULONG)InterlockedIncrement(&Mux.NextRequestId) | 0x40000000u);
    Request->DATA.SET_INFORMATION.Oid = Oid;
    Request->DATA.SET_INFORMATION.InformationBuffer = Buffer;
    Request->DATA.SET_INFORMATION.InformationBufferLength = Length;
    Status = NdisOidRequest(Binding->Handle, Request);
    if (Status != NDIS_STATUS_PENDING)
    {
        RundownLeave(&Binding->Requests, 1);
    }
    return Status;
}

/* The multicast list below, if it is another one. NDIS_STATUS_PENDING: FilterComplete goes on. */
static NDIS_STATUS FilterSetList(MUX_BINDING *Binding)
{
    MUX_FILTER *Filter = &Binding->Filter;

    if (Filter->WantedCount == Filter->ListCount &&
        NdisEqualMemory(Filter->Wanted, Filter->List, Filter->ListCount * MUX_MAC_LENGTH))
    {
        return NDIS_STATUS_SUCCESS;
    }
    NdisMoveMemory(Filter->List, Filter->Wanted, Filter->WantedCount * MUX_MAC_LENGTH);
    Filter->ListCount = Filter->WantedCount;
    return FilterIssue(Binding, OID_802_3_MULTICAST_LIST, Filter->List,
                       Filter->ListCount * MUX_MAC_LENGTH);
}

static NDIS_STATUS FilterSetFilter(MUX_BINDING *Binding)
{
    MUX_FILTER *Filter = &Binding->Filter;

    if (Filter->WantedFilter == Filter->Filter)
    {
        return NDIS_STATUS_SUCCESS;
    }
    return FilterIssue(Binding, OID_GEN_CURRENT_PACKET_FILTER, &Filter->WantedFilter,
                       sizeof(Filter->WantedFilter));
}

/* The result of the stage that has just ended. */
static VOID FilterResult(MUX_BINDING *Binding, NDIS_STATUS Status)
{
    MUX_FILTER *Filter = &Binding->Filter;

    if (Filter->Stage == FilterStageList && Status != NDIS_STATUS_SUCCESS)
    {
        /* The adapter takes fewer than it said: all multicasts instead, sorted out by us. */
        Filter->ListCount = 0;
        if (Filter->WantedCount != 0)
        {
            Filter->WantedFilter |=
                NDIS_PACKET_TYPE_ALL_MULTICAST & ReadULongNoFence(&Binding->SupportedPacketFilters);
        }
    }
    if (Filter->Stage == FilterStageFilter)
    {
        Filter->Status = Status;
        if (Status == NDIS_STATUS_SUCCESS)
        {
            Filter->Filter = Filter->WantedFilter;
        }
    }
}

/* The filter of Vm becomes New; its multicast list joins or leaves the union. TableLock held for
 * write. */
static VOID FilterApply(MUX_VM *Vm, ULONG New)
{
    if (((Vm->Filter ^ New) & NDIS_PACKET_TYPE_MULTICAST) != 0)
    {
        GroupWantAll(Vm, (New & NDIS_PACKET_TYPE_MULTICAST) != 0);
    }
    TableFilterChanged(Vm, New);
}

/* The lower adapter refused: the virtual miniport keeps the filter that it had. */
static VOID FilterRevert(MUX_VM *Vm)
{
    LOCK_STATE_EX State;

    NdisAcquireRWLockWrite(Vm->Binding->TableLock, &State, 0);
    FilterApply(Vm, Vm->PreviousFilter);
    NdisReleaseRWLock(Vm->Binding->TableLock, &State);
}

/* Finishes the requests of this round. */
static VOID FilterServe(MUX_BINDING *Binding)
{
    MUX_FILTER *Filter = &Binding->Filter;
    NDIS_STATUS Status = Filter->Status;

    if (Status == NDIS_STATUS_CLOSING)
    {
        Status = NDIS_STATUS_SUCCESS; /* nothing below is left to be set */
    }
    for (;;)
    {
        MUX_VM *Vm = NULL;

        NdisAcquireSpinLock(&Mux.Lock);
        if (!IsListEmpty(&Filter->Served))
        {
            Vm = CONTAINING_RECORD(RemoveHeadList(&Filter->Served), MUX_VM, FilterLink);
        }
        NdisReleaseSpinLock(&Mux.Lock);
        if (Vm == NULL)
        {
            return;
        }
        if (Status != NDIS_STATUS_SUCCESS && Vm->FilterRevert)
        {
            FilterRevert(Vm);
        }
        OidFinish(Vm, Status);
    }
}

/* Begins a round: whoever waits now is served by it. */
static VOID FilterBegin(MUX_BINDING *Binding)
{
    MUX_FILTER *Filter = &Binding->Filter;
    BOOLEAN Hold, Lists;

    NdisAcquireSpinLock(&Mux.Lock);
    Filter->Dirty = FALSE;
    Lists = Filter->ListsDirty;
    Filter->ListsDirty = FALSE;
    while (!IsListEmpty(&Filter->Waiting))
    {
        PLIST_ENTRY Link = RemoveHeadList(&Filter->Waiting);
        InsertTailList(&Filter->Served, Link);
    }
    Hold = Binding->OidHold;
    NdisReleaseSpinLock(&Mux.Lock);
    Filter->Status = NDIS_STATUS_SUCCESS;
    FilterUnion(Binding, Lists);
    /* While the adapter takes no requests, nothing is set: FilterKick comes when it does again. */
    Filter->Stage = Hold ? FilterStageEnd : FilterStageList;
}

/* Ends a round; FALSE if another one is due. Binding may be gone after TRUE. */
static BOOLEAN FilterEnd(MUX_BINDING *Binding)
{
    MUX_FILTER *Filter = &Binding->Filter;
    BOOLEAN End;

    FilterServe(Binding);
    NdisAcquireSpinLock(&Mux.Lock);
    End = !Filter->Dirty;
    if (End)
    {
        Filter->Busy = FALSE;
        NdisSetEvent(&Filter->Idle);
    }
    else
    {
        Filter->Stage = FilterStageBegin; /* after the end it is the next owner's */
    }
    NdisReleaseSpinLock(&Mux.Lock);
    return End;
}

/* The owner's loop: leaves when idle, or when a request pends and its completion will go on. */
static VOID FilterRun(MUX_BINDING *Binding)
{
    MUX_FILTER *Filter = &Binding->Filter;
    NDIS_STATUS Status;

    for (;;)
    {
        switch (Filter->Stage)
        {
        case FilterStageBegin:
            FilterBegin(Binding);
            break;
        case FilterStageList:
        case FilterStageFilter:
            Status = Filter->Stage == FilterStageList ? FilterSetList(Binding)
                                                      : FilterSetFilter(Binding);
            if (Status == NDIS_STATUS_PENDING)
            {
                return;
            }
            FilterResult(Binding, Status);
            Filter->Stage++;
            break;
        default:
            if (FilterEnd(Binding))
            {
                return;
            }
            break;
        }
    }
}

/* ProtocolOidRequestComplete of the engine's own request. <= DISPATCH_LEVEL. */
VOID FilterComplete(MUX_BINDING *Binding, NDIS_STATUS Status)
{
    FilterResult(Binding, Status);
    Binding->Filter.Stage++;
    RundownAdd(&Binding->Requests, 1); /* keeps the binding while the engine runs on */
    RundownLeave(&Binding->Requests, 1);
    FilterRun(Binding);
    RundownLeave(&Binding->Requests, 1);
}

/* Something has changed, perhaps a multicast list or who wants one: the engine runs, now or after
 * its present round. <= DISPATCH_LEVEL. */
VOID FilterKick(MUX_BINDING *Binding, BOOLEAN Lists)
{
    BOOLEAN Owner;

    NdisAcquireSpinLock(&Mux.Lock);
    Binding->Filter.Dirty = TRUE;
    Binding->Filter.ListsDirty |= Lists;
    Owner = !Binding->Filter.Busy;
    if (Owner)
    {
        Binding->Filter.Busy = TRUE;
        NdisResetEvent(&Binding->Filter.Idle);
        Binding->Filter.Stage = FilterStageBegin;
    }
    NdisReleaseSpinLock(&Mux.Lock);
    if (Owner)
    {
        FilterRun(Binding);
    }
}

/* Before the close: no virtual miniport is left, so the union is nothing (IM-UNB-04).
 * PASSIVE_LEVEL. */
VOID FilterClear(MUX_BINDING *Binding)
{
    FilterKick(Binding, TRUE);
    MuxWait(&Binding->Filter.Idle);
}

/* Queues Vm, whose request is pended, for the next round. */
static NDIS_STATUS FilterWait(MUX_VM *Vm, BOOLEAN Revert, BOOLEAN Lists)
{
    NdisAcquireSpinLock(&Mux.Lock);
    Vm->FilterRevert = Revert;
    InsertTailList(&Vm->Binding->Filter.Waiting, &Vm->FilterLink);
    NdisReleaseSpinLock(&Mux.Lock);
    FilterKick(Vm->Binding, Lists);
    return NDIS_STATUS_PENDING;
}

/* OID_GEN_CURRENT_PACKET_FILTER, pended by the caller. Always NDIS_STATUS_PENDING. */
NDIS_STATUS FilterSet(MUX_VM *Vm, ULONG Filter)
{
    LOCK_STATE_EX State;

    NdisAcquireRWLockWrite(Vm->Binding->TableLock, &State, 0);
    Vm->PreviousFilter = Vm->Filter;
    FilterApply(Vm, Filter);
    NdisReleaseRWLock(Vm->Binding->TableLock, &State);
    /* Its list joins or leaves the union with this bit. */
    return FilterWait(Vm, TRUE,
                      Vm->MulticastCount != 0 &&
                          ((Vm->PreviousFilter ^ Filter) & NDIS_PACKET_TYPE_MULTICAST) != 0);
}

/* The list of Vm becomes New; the caller frees the old one and what is left on *Spare. TableLock
 * held for write. */
static VOID FilterListReplace(MUX_VM *Vm, UCHAR (*New)[MUX_MAC_LENGTH], ULONG Count,
                              MUX_GROUP **Spare)
{
    MUX_FILTER *Filter = &Vm->Binding->Filter;
    BOOLEAN Wanted = (Vm->Filter & NDIS_PACKET_TYPE_MULTICAST) != 0;

    GroupCountList(Filter, New, Count, TRUE, Wanted, Spare);
    GroupCountList(Filter, Vm->Multicast, Vm->MulticastCount, FALSE, Wanted, Spare);
    Vm->Multicast = New;
    Vm->MulticastCount = Count;
}

/*
 * OID_802_3_MULTICAST_LIST, pended by the caller: Count group addresses, checked.
 * NDIS_STATUS_PENDING; or NDIS_STATUS_RESOURCES with the pend taken back.
 */
NDIS_STATUS FilterSetMulticast(MUX_VM *Vm, const UCHAR *List, ULONG Count)
{
    UCHAR(*New)[MUX_MAC_LENGTH] = NULL;
    UCHAR Padded[sizeof(ULONG64)] = {0};
    MUX_GROUP *Spare = NULL;
    ULONG64 Bloom = 0;
    LOCK_STATE_EX State;
    PVOID Old;
    ULONG i;

    if (Count != 0)
    {
        New = MuxAllocate((SIZE_T)Count * MUX_MAC_LENGTH, MUX_TAG_LIST);
        if (New == NULL || !GroupAllocate(Count, &Spare))
        {
            MuxFree(New);
            OidUnpend(Vm);
            return NDIS_STATUS_RESOURCES;
        }
        NdisMoveMemory(New, List, (SIZE_T)Count * MUX_MAC_LENGTH);
    }
    for (i = 0; i < Count; i++)
    {
        NdisMoveMemory(Padded, New[i], MUX_MAC_LENGTH);
        Bloom |= 1ULL << MuxBloomBit(MacLoad(Padded));
    }
    NdisAcquireRWLockWrite(Vm->Binding->TableLock, &State, 0);
    Old = Vm->Multicast;
    FilterListReplace(Vm, New, Count, &Spare);
    Vm->MulticastBloom = Bloom;
    NdisReleaseRWLock(Vm->Binding->TableLock, &State);
    GroupFree(Spare);
    MuxFree(Old);
    return FilterWait(Vm, FALSE, TRUE);
}

/* A virtual miniport has left the table: the union may shrink (IM-OID-18). PASSIVE_LEVEL. */
VOID FilterVmGone(MUX_VM *Vm)
{
    BOOLEAN Lists = Vm->MulticastCount != 0;
    MUX_GROUP *Spare = NULL;
    LOCK_STATE_EX State;
    PVOID Old;

    NdisAcquireRWLockWrite(Vm->Binding->TableLock, &State, 0);
    Old = Vm->Multicast;
    FilterListReplace(Vm, NULL, 0, &Spare);
    NdisReleaseRWLock(Vm->Binding->TableLock, &State);
    GroupFree(Spare);
    MuxFree(Old);
    FilterKick(Vm->Binding, Lists);
}
