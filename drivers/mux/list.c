/* SPDX-License-Identifier: MIT */
/*
 * The list of names of a lower binding: read from UpperBindings (IM-CFG-01), compared with what we
 * have, new names requested, names taken off removed (IM-VMP-05, IM-VMP-21). ListBusy says who owns
 * a list; whoever comes meanwhile sets ListAgain and leaves the work to the owner. PASSIVE_LEVEL,
 * no lock across calls to NDIS.
 */
#include "mux.h"

/* One name read from the registry: known, or added; requested unless it is under way already. */
static VOID ListVisit(MUX_BINDING *Binding, PNDIS_STRING Device)
{
    MUX_NAME *Name = NameFind(Binding, Device);

    if (Name == NULL)
    {
        Name = NameAdd(Binding, Device, Binding->Generation);
    }
    if (Name == NULL)
    {
        VmLog(Mux.Miniport, NDIS_ERROR_CODE_OUT_OF_RESOURCES, 0);
        return; /* one name that fails stops nobody else (open question 12) */
    }
    Name->Generation = Binding->Generation;
    (VOID) NameRequest(Name);
}

/* Removes every name that the last reading did not mention. Binding->Generation is that reading. */
static VOID ListSweep(MUX_BINDING *Binding)
{
    PLIST_ENTRY Link = Binding->Names.Flink;

    /* Only the owner adds and removes, so walking without the lock is sound. */
    while (Link != &Binding->Names)
    {
        MUX_NAME *Name = CONTAINING_RECORD(Link, MUX_NAME, Link);
        Link = Link->Flink;
        if (Name->Generation != Binding->Generation)
        {
            NameRemove(Name);
        }
    }
}

/* Opens the key of the binding (IM-CFG-04: chosen by the binding handle). */
static NDIS_STATUS ListOpenKey(MUX_BINDING *Binding, PNDIS_HANDLE Key)
{
    NDIS_CONFIGURATION_OBJECT Object;

    NdisZeroMemory(&Object, sizeof(Object));
    Object.Header.Type = NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT;
    Object.Header.Revision = NDIS_CONFIGURATION_OBJECT_REVISION_1;
    Object.Header.Size = NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1;
    Object.NdisHandle = Binding->Handle;
    return NdisOpenConfigurationEx(&Object, Key);
}

/*
 * Reads the list once and acts on it. A list that cannot be read for lack of memory changes
 * nothing; a value that is not there, or of a type that holds no names, is an empty list.
 */
static VOID ListRead(MUX_BINDING *Binding)
{
    NDIS_STRING Keyword = NDIS_STRING_CONST("UpperBindings");
    PNDIS_CONFIGURATION_PARAMETER Value = NULL;
    PKEY_VALUE_PARTIAL_INFORMATION Whole = NULL;
    NDIS_STATUS Status;
    NDIS_HANDLE Key;
    MUX_CURSOR Cursor;
    NDIS_STRING Device;
    ULONG Count = 0;

    Status = ListOpenKey(Binding, &Key);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        VmLog(Mux.Miniport, NDIS_ERROR_CODE_MISSING_CONFIGURATION_PARAMETER, (ULONG)Status);
        return;
    }
    NdisReadConfiguration(&Status, &Value, Key, &Keyword, NdisParameterMultiString);
    if (Status == NDIS_STATUS_RESOURCES)
    {
        VmLog(Mux.Miniport, NDIS_ERROR_CODE_OUT_OF_RESOURCES, 1);
        goto closeKey;
    }
    if (Status == NDIS_STATUS_SUCCESS && Value->ParameterType == NdisParameterMultiString &&
        Value->ParameterData.StringData.Length >= MUX_LONG_LIST &&
        LongListRead(Binding, &Keyword, &Whole) != NDIS_STATUS_SUCCESS)
    {
        VmLog(Mux.Miniport, NDIS_ERROR_CODE_OUT_OF_RESOURCES, 1);
        goto closeKey;
    }
    Binding->Generation++;
    NamesStart(&Cursor, NULL, 0, TRUE);
    if (Whole != NULL)
    {
        NamesStart(&Cursor, Whole->Data, Whole->DataLength, Whole->Type != REG_MULTI_SZ);
    }
    else if (Status == NDIS_STATUS_SUCCESS && (Value->ParameterType == NdisParameterMultiString ||
                                               Value->ParameterType == NdisParameterString))
    {
        NamesStart(&Cursor, Value->ParameterData.StringData.Buffer,
                   Value->ParameterData.StringData.Length,
                   Value->ParameterType == NdisParameterString);
    }
    while (Count++ < MUX_MAX_NAMES && NamesNext(&Cursor, &Device))
    {
        ListVisit(Binding, &Device);
    }
    ListSweep(Binding);
    MuxFree(Whole);
closeKey:
    NdisCloseConfiguration(Key);
}

/*
 * Brings the virtual miniports of Binding in step with UpperBindings. From ProtocolBindAdapterEx
 * after the open, and on NetEventReconfigure.
 */
VOID ListUpdate(MUX_BINDING *Binding)
{
    BOOLEAN Again;

    NdisAcquireSpinLock(&Mux.Lock);
    if (Binding->Closing || Binding->ListBusy)
    {
        Binding->ListAgain = !Binding->Closing;
        NdisReleaseSpinLock(&Mux.Lock);
        return;
    }
    Binding->ListBusy = TRUE;
    Binding->ListAgain = FALSE;
    NdisResetEvent(&Binding->ListDone);
    NdisReleaseSpinLock(&Mux.Lock);
    do
    {
        ListRead(Binding);
        NdisAcquireSpinLock(&Mux.Lock);
        Again = Binding->ListAgain && !Binding->Closing;
        Binding->ListAgain = FALSE;
        if (!Again)
        {
            Binding->ListBusy = FALSE;
            NdisSetEvent(&Binding->ListDone);
        }
        NdisReleaseSpinLock(&Mux.Lock);
    } while (Again);
}

/* Unbind: removes every name of a binding that is Closing (IM-UNB-09, IM-STK-05). */
VOID ListRemoveAll(MUX_BINDING *Binding)
{
    MuxWait(&Binding->ListDone);
    while (!IsListEmpty(&Binding->Names))
    {
        /* Newest first: what was started last goes first. */
        NameRemove(CONTAINING_RECORD(Binding->Names.Blink, MUX_NAME, Link));
    }
}

/* Re-reads the lists of every open binding (NetEventReconfigure without a binding, IM-VMP-21). */
VOID ListUpdateAll(VOID)
{
    PLIST_ENTRY Link;

    NdisAcquireSpinLock(&Mux.Lock);
    Link = Mux.Bindings.Flink;
    while (Link != &Mux.Bindings)
    {
        MUX_BINDING *Binding = CONTAINING_RECORD(Link, MUX_BINDING, Link);
        if (Binding->Closing)
        {
            Link = Link->Flink;
            continue;
        }
        Binding->References++; /* it stays on the list meanwhile */
        NdisResetEvent(&Binding->Unreferenced);
        NdisReleaseSpinLock(&Mux.Lock);
        ListUpdate(Binding);
        NdisAcquireSpinLock(&Mux.Lock);
        Link = Link->Flink;
        if (--Binding->References == 0)
        {
            NdisSetEvent(&Binding->Unreferenced);
        }
    }
    NdisReleaseSpinLock(&Mux.Lock);
}
