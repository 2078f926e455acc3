/* SPDX-License-Identifier: MIT */
/*
 * The group addresses on the multicast lists of a binding's virtual miniports, each counted once
 * with the number of lists that have it, so that the union costs what changed and not what there
 * is. The binding's TableLock, held for write, guards everything but the making and freeing of
 * records.
 * <= DISPATCH_LEVEL.
 */
#include "path.h"

static ULONG64 GroupAddress(const UCHAR *Address)
{
    ULONG64 Value = 0;

    NdisMoveMemory(&Value, Address, MUX_MAC_LENGTH);
    return Value;
}

/* The link to the record of an address, or to the end of its chain. */
static MUX_GROUP **GroupAt(MUX_FILTER *Filter, ULONG64 Address)
{
    ULONG64 Hash = Address * 0x9E3779B97F4A7C15ULL;
    MUX_GROUP **At = &Filter->Group[Hash >> (64 - MUX_GROUP_BITS)];

    while (*At != NULL && (*At)->Address != Address)
    {
        At = &(*At)->Next;
    }
    return At;
}

/* Count records for GroupReplace. FALSE: no memory, none. No lock. */
BOOLEAN GroupAllocate(ULONG Count, MUX_GROUP **Spare)
{
    *Spare = NULL;
    while (Count-- > 0)
    {
        MUX_GROUP *Group = MuxAllocate(sizeof(*Group), MUX_TAG_LIST);

        if (Group == NULL)
        {
            GroupFree(*Spare);
            *Spare = NULL;
            return FALSE;
        }
        Group->Next = *Spare;
        *Spare = Group;
    }
    return TRUE;
}

/* Frees records that are in no table. No lock. */
VOID GroupFree(MUX_GROUP *Spare)
{
    while (Spare != NULL)
    {
        MUX_GROUP *Next = Spare->Next;

        MuxFree(Spare);
        Spare = Next;
    }
}

static VOID GroupWant(MUX_FILTER *Filter, MUX_GROUP *Group, BOOLEAN Want)
{
    if (Want && Group->Wanted++ == 0)
    {
        InsertTailList(&Filter->Groups, &Group->Link);
        Filter->GroupCount++;
    }
    if (!Want && --Group->Wanted == 0)
    {
        RemoveEntryList(&Group->Link);
        Filter->GroupCount--;
    }
}

/* Vm begins or ends to want the addresses on its list. */
VOID GroupWantAll(const MUX_VM *Vm, BOOLEAN Want)
{
    MUX_FILTER *Filter = &Vm->Binding->Filter;
    ULONG i;

    for (i = 0; i < Vm->MulticastCount; i++)
    {
        GroupWant(Filter, *GroupAt(Filter, GroupAddress(Vm->Multicast[i])), Want);
    }
}

/*
 * Counts a list of addresses in, taking records off *Spare as needed (as many as addresses are
 * enough), or out, putting those that nobody lists any more onto *Spare.
 */
VOID GroupCountList(MUX_FILTER *Filter, UCHAR (*List)[MUX_MAC_LENGTH], ULONG Count, BOOLEAN In,
                    BOOLEAN Wanted, MUX_GROUP **Spare)
{
    ULONG i;

    for (i = 0; i < Count; i++)
    {
        ULONG64 Address = GroupAddress(List[i]);
        MUX_GROUP **At = GroupAt(Filter, Address);
        MUX_GROUP *Group = *At;

        if (Group == NULL)
        {
            Group = *Spare;
            *Spare = Group->Next;
            Group->Next = NULL;
            Group->Address = Address;
            *At = Group;
        }
        Group->Lists += In ? 1 : (ULONG)-1;
        if (Wanted)
        {
            GroupWant(Filter, Group, In);
        }
        if (Group->Lists == 0)
        {
            *At = Group->Next;
            Group->Next = *Spare;
            *Spare = Group;
        }
    }
}

/* Copies the addresses that are wanted, at most Max. Returns how many there are; TableLock held. */
ULONG GroupUnion(const MUX_FILTER *Filter, UCHAR (*List)[MUX_MAC_LENGTH], ULONG Max)
{
    PLIST_ENTRY Link = Filter->Groups.Flink;
    ULONG i;

    for (i = 0; i < Max && Link != &Filter->Groups; i++, Link = Link->Flink)
    {
        const MUX_GROUP *Group = CONTAINING_RECORD(Link, MUX_GROUP, Link);

        NdisMoveMemory(List[i], &Group->Address, MUX_MAC_LENGTH);
    }
    return Filter->GroupCount;
}
