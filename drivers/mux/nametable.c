/* SPDX-License-Identifier: MIT */
/*
 * The names of all bindings, found by device name and by address, so that 4,096 virtual miniports
 * that come up one after another cost the same each. Mux.Lock guards both tables and is held by the
 * caller;
 * <= DISPATCH_LEVEL.
 */
#include "mux.h"

static WCHAR NameUpper(WCHAR c)
{
    return c >= 'a' && c <= 'z' ? (WCHAR)(c - 'a' + 'A') : c;
}

/* `\Device\` is optional and case does not count: both forms name one device. */
static NDIS_STRING NameBare(const NDIS_STRING *Device)
{
    static const WCHAR Prefix[] = {'\\', 'D', 'E', 'V', 'I', 'C', 'E', '\\'};
    NDIS_STRING Bare = *Device;
    ULONG i;

    if (Bare.Length < sizeof(Prefix))
    {
        return Bare;
    }
    for (i = 0; i < RTL_NUMBER_OF(Prefix); i++)
    {
        if (NameUpper(Device->Buffer[i]) != Prefix[i])
        {
            return Bare;
        }
    }
    Bare.Buffer += RTL_NUMBER_OF(Prefix);
    Bare.Length = (USHORT)(Bare.Length - sizeof(Prefix));
    return Bare;
}

static BOOLEAN NameSame(const NDIS_STRING *A, const NDIS_STRING *B)
{
    ULONG i;

    if (A->Length != B->Length)
    {
        return FALSE;
    }
    for (i = 0; i < A->Length / sizeof(WCHAR); i++)
    {
        if (NameUpper(A->Buffer[i]) != NameUpper(B->Buffer[i]))
        {
            return FALSE;
        }
    }
    return TRUE;
}

/* FNV-1a over a bare name without case. */
static ULONG NameHash(const NDIS_STRING *Bare)
{
    ULONG Hash = 2166136261u;
    ULONG i;

    for (i = 0; i < Bare->Length / sizeof(WCHAR); i++)
    {
        Hash = (Hash ^ NameUpper(Bare->Buffer[i])) * 16777619u;
    }
    return Hash;
}

static MUX_NAME **NameByAddress(const VOID *Address)
{
    ULONG64 Hash = (ULONG64)(ULONG_PTR)Address * 0x9E3779B97F4A7C15ULL;

    return &Mux.ByAddress[Hash >> (64 - MUX_NAME_BITS)];
}

/* Enters a name that has its Device and is on its binding's list. */
VOID NameTableAdd(MUX_NAME *Name)
{
    NDIS_STRING Bare = NameBare(&Name->Device);
    MUX_NAME **At = NameByAddress(Name);

    Name->AddressNext = *At;
    *At = Name;
    Name->Hash = NameHash(&Bare);
    At = &Mux.ByDevice[Name->Hash % MUX_NAME_BUCKETS];
    Name->DeviceNext = *At;
    *At = Name;
}

VOID NameTableRemove(MUX_NAME *Name)
{
    MUX_NAME **At = NameByAddress(Name);

    while (*At != Name)
    {
        At = &(*At)->AddressNext;
    }
    *At = Name->AddressNext;
    At = &Mux.ByDevice[Name->Hash % MUX_NAME_BUCKETS];
    while (*At != Name)
    {
        At = &(*At)->DeviceNext;
    }
    *At = Name->DeviceNext;
}

/* The name of that device on Binding's list, or (NULL) on any list that is not being removed,
 * unless the name is; NULL: none. */
MUX_NAME *NameTableFind(const MUX_BINDING *Binding, const NDIS_STRING *Device)
{
    NDIS_STRING Bare = NameBare(Device);
    ULONG Hash = NameHash(&Bare);
    MUX_NAME *Name;

    for (Name = Mux.ByDevice[Hash % MUX_NAME_BUCKETS]; Name != NULL; Name = Name->DeviceNext)
    {
        NDIS_STRING Other = NameBare(&Name->Device);

        if (Name->Hash == Hash &&
            (Binding != NULL ? Name->Binding == Binding
                             : !Name->Leaving && !Name->Binding->Closing) &&
            NameSame(&Other, &Bare))
        {
            return Name;
        }
    }
    return NULL;
}

/* Address if a name lies there, else NULL. It is not followed. */
MUX_NAME *NameTableKnown(const VOID *Address)
{
    MUX_NAME *Name = *NameByAddress(Address);

    while (Name != NULL && (const VOID *)Name != Address)
    {
        Name = Name->AddressNext;
    }
    return Name;
}
