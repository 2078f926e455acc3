/* SPDX-License-Identifier: MIT */
/*
 * Look-up of virtual miniports by (VLAN, MAC): open addressing with linear probes, never more than
 * half full, so that 10,000 virtual miniports cost what one costs; and the same virtual miniports
 * ordered by VLAN, for frames that go to several. TableLock of the binding guards it: the data path
 * reads, initialize and halt write. Insertion happens in place; only growth allocates, outside the
 * lock. PASSIVE_LEVEL.
 */
#include "path.h"

#define TABLE_FIRST_BITS 4

/* An empty table with 2^Bits slots. */
static MUX_TABLE *TableCreate(ULONG Bits)
{
    SIZE_T Slots = (SIZE_T)1 << Bits;
    SIZE_T Fixed = FIELD_OFFSET(MUX_TABLE, Slot) + Slots * sizeof(MUX_SLOT);
    MUX_TABLE *Table = MuxAllocate(Fixed + Slots / 2 * sizeof(MUX_VM *), MUX_TAG_TABLE);

    if (Table != NULL)
    {
        Table->Shift = 64 - Bits;
        Table->Mask = (ULONG)Slots - 1;
        Table->ByVlan = (MUX_VM **)((PUCHAR)Table + Fixed);
    }
    return Table;
}

FORCEINLINE ULONG64 TableOrder(ULONG VlanId, ULONG Ordinal)
{
    return (ULONG64)VlanId << 32 | Ordinal;
}

/* Index in ByVlan of the first virtual miniport that does not come before Order. <= DISPATCH. */
static ULONG TableIndex(const MUX_TABLE *Table, ULONG64 Order)
{
    ULONG Low = 0;
    ULONG High = Table->Count;

    while (Low < High)
    {
        ULONG Middle = Low + (High - Low) / 2;
        const MUX_VM *Vm = Table->ByVlan[Middle];

        if (TableOrder(Vm->VlanId, Vm->Ordinal) < Order)
        {
            Low = Middle + 1;
        }
        else
        {
            High = Middle;
        }
    }
    return Low;
}

/* Index in ByVlan of the first virtual miniport on a VLAN, or of where it would stand. <= DISPATCH.
 */
ULONG TableFirstOfVlan(const MUX_TABLE *Table, USHORT VlanId)
{
    return TableIndex(Table, TableOrder(VlanId, 0));
}

/* Adds or takes away what the filter of Vm means for the table's totals. TableLock held for write.
 */
static VOID TableFilters(MUX_TABLE *Table, const MUX_VM *Vm, LONG Sign)
{
    ULONG i;

    for (i = 0; i < MUX_FILTER_BITS; i++)
    {
        Table->Filters[i] += (Vm->Filter >> i & 1) != 0 ? (ULONG)Sign : 0;
    }
    Table->Promiscuous += (Vm->Filter & NDIS_PACKET_TYPE_PROMISCUOUS) != 0 ? (ULONG)Sign : 0;
    Table->Foreign +=
        (Vm->Filter & NDIS_PACKET_TYPE_DIRECTED) != 0 && Vm->Foreign ? (ULONG)Sign : 0;
}

/* Adds or takes away what Vm means for the table's totals. TableLock held for write. */
static VOID TableTotals(MUX_TABLE *Table, const MUX_VM *Vm, LONG Sign)
{
    Table->Private += Vm->Mode == MuxModePrivate ? (ULONG)Sign : 0;
    Table->Bridged += Vm->Mode == MuxModeBridge ? (ULONG)Sign : 0;
    TableFilters(Table, Vm, Sign);
}

/* Room is there and the key is not. */
static VOID TablePlace(MUX_TABLE *Table, MUX_VM *Vm)
{
    ULONG At = TableHash(Table, Vm->Key);
    ULONG i = TableIndex(Table, TableOrder(Vm->VlanId, Vm->Ordinal));

    while (Table->Slot[At].Vm != NULL)
    {
        At = (At + 1) & Table->Mask;
    }
    Table->Slot[At].Key = Vm->Key;
    Table->Slot[At].Vm = Vm;
    RtlMoveMemory(&Table->ByVlan[i + 1], &Table->ByVlan[i], (Table->Count - i) * sizeof(Vm));
    Table->ByVlan[i] = Vm;
    Table->Count++;
    TableTotals(Table, Vm, 1);
}

/* Moves everything from Old (may be NULL) to the larger New. */
static VOID TableMove(MUX_TABLE *New, const MUX_TABLE *Old)
{
    ULONG i;

    for (i = 0; Old != NULL && i < Old->Count; i++)
    {
        TablePlace(New, Old->ByVlan[i]);
    }
}

/* Doubles the table unless somebody has done so meanwhile. */
static NDIS_STATUS TableGrow(MUX_BINDING *Binding, ULONG Bits)
{
    MUX_TABLE *Spare = TableCreate(Bits);
    LOCK_STATE_EX State;

    if (Spare == NULL)
    {
        return NDIS_STATUS_RESOURCES;
    }
    NdisAcquireRWLockWrite(Binding->TableLock, &State, 0);
    if (Binding->Table == NULL || 64 - Binding->Table->Shift < Bits)
    {
        MUX_TABLE *Old = Binding->Table;
        TableMove(Spare, Old);
        Binding->Table = Spare;
        Spare = Old;
    }
    NdisReleaseRWLock(Binding->TableLock, &State);
    MuxFree(Spare);
    return NDIS_STATUS_SUCCESS;
}

/*
 * Puts Vm in its binding's table. NDIS_STATUS_FAILURE: a sibling on the same VLAN has its MAC
 * address; NDIS_STATUS_RESOURCES. Safe against others that are being initialized in parallel.
 * PASSIVE_LEVEL.
 */
NDIS_STATUS TableInsert(MUX_BINDING *Binding, MUX_VM *Vm)
{
    for (;;)
    {
        NDIS_STATUS Status = NDIS_STATUS_PENDING;
        ULONG Bits = TABLE_FIRST_BITS;
        LOCK_STATE_EX State;
        MUX_TABLE *Table;

        NdisAcquireRWLockWrite(Binding->TableLock, &State, 0);
        Table = Binding->Table;
        if (TableFind(Table, Vm->Key) != NULL)
        {
            Status = NDIS_STATUS_FAILURE;
        }
        else if (Table != NULL && Table->Count < (Table->Mask + 1) / 2)
        {
            TablePlace(Table, Vm);
            Status = NDIS_STATUS_SUCCESS;
        }
        else if (Table != NULL)
        {
            Bits = 64 - Table->Shift + 1;
        }
        NdisReleaseRWLock(Binding->TableLock, &State);
        if (Status == NDIS_STATUS_PENDING)
        {
            Status = TableGrow(Binding, Bits);
            if (Status == NDIS_STATUS_SUCCESS)
            {
                continue;
            }
        }
        return Status;
    }
}

/* Closes the gap at At: a later slot of the same run moves up unless that would pass its own place.
 */
static VOID TableClose(MUX_TABLE *Table, ULONG At)
{
    ULONG Next = At;

    for (;;)
    {
        ULONG Home;

        Next = (Next + 1) & Table->Mask;
        if (Table->Slot[Next].Vm == NULL)
        {
            break;
        }
        Home = TableHash(Table, Table->Slot[Next].Key);
        if (((Next - Home) & Table->Mask) >= ((Next - At) & Table->Mask))
        {
            Table->Slot[At] = Table->Slot[Next];
            At = Next;
        }
    }
    Table->Slot[At].Key = 0;
    Table->Slot[At].Vm = NULL;
}

/* Takes Vm out; when it returns no reader holds the pointer any more. Never allocates.
 * PASSIVE_LEVEL. */
VOID TableRemove(MUX_BINDING *Binding, MUX_VM *Vm)
{
    LOCK_STATE_EX State;
    MUX_TABLE *Table;
    ULONG At, i;

    NdisAcquireRWLockWrite(Binding->TableLock, &State, 0);
    Table = Binding->Table;
    At = TableHash(Table, Vm->Key);
    while (Table->Slot[At].Vm != Vm)
    {
        At = (At + 1) & Table->Mask;
    }
    TableClose(Table, At);
    i = TableIndex(Table, TableOrder(Vm->VlanId, Vm->Ordinal));
    while (Table->ByVlan[i] != Vm) /* only if the ordinals have come round */
    {
        i++;
    }
    RtlMoveMemory(&Table->ByVlan[i], &Table->ByVlan[i + 1], (Table->Count - i - 1) * sizeof(Vm));
    Table->Count--;
    TableTotals(Table, Vm, -1);
    NdisReleaseRWLock(Binding->TableLock, &State);
}

/* Gives Vm another packet filter. TableLock held for write. */
VOID TableFilterChanged(MUX_VM *Vm, ULONG New)
{
    TableFilters(Vm->Binding->Table, Vm, -1);
    Vm->Filter = New;
    TableFilters(Vm->Binding->Table, Vm, 1);
}
