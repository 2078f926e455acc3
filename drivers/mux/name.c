/* SPDX-License-Identifier: MIT */
/*
 * One name on UpperBindings: its state (drawn in mux.h), the request to NDIS, its cancel, and the
 * walk over the virtual miniports of a binding. Mux.Lock guards every field; it is never held
 * across a call to NDIS. PASSIVE_LEVEL, except the walk (<= DISPATCH_LEVEL).
 */
#include "mux.h"

/* Invariant N3: the event follows state and calls. Mux.Lock held. */
static VOID NameSettle(MUX_NAME *Name)
{
    BOOLEAN Busy = Name->State == MuxNameInitializing || Name->State == MuxNameHalting;

    if (Name->Calls == 0 && !Busy)
    {
        NdisSetEvent(&Name->Quiet);
    }
    else
    {
        NdisResetEvent(&Name->Quiet);
    }
}

/* The name on Binding's list, or NULL. It stays as long as the caller, the list's owner, lets it.
 */
MUX_NAME *NameFind(MUX_BINDING *Binding, PNDIS_STRING Device)
{
    MUX_NAME *Found;

    NdisAcquireSpinLock(&Mux.Lock);
    Found = NameTableFind(Binding, Device);
    NdisReleaseSpinLock(&Mux.Lock);
    return Found;
}

/* Puts a copy of Device on the list, Idle. NULL: no memory. The list owner alone calls it. */
MUX_NAME *NameAdd(MUX_BINDING *Binding, PNDIS_STRING Device, ULONG Generation)
{
    MUX_NAME *Name = MuxAllocate(sizeof(*Name) + Device->Length + sizeof(WCHAR), MUX_TAG_NAME);

    if (Name == NULL)
    {
        return NULL;
    }
    Name->Binding = Binding;
    Name->State = MuxNameIdle;
    Name->Generation = Generation;
    Name->Device.Buffer = (WCHAR *)(Name + 1);
    Name->Device.Length = Device->Length;
    Name->Device.MaximumLength = (USHORT)(Device->Length + sizeof(WCHAR));
    NdisMoveMemory(Name->Device.Buffer, Device->Buffer, Device->Length);
    NdisInitializeEvent(&Name->Quiet);
    NdisAcquireSpinLock(&Mux.Lock);
    NameSettle(Name);
    InsertTailList(&Binding->Names, &Name->Link);
    NameTableAdd(Name);
    NdisReleaseSpinLock(&Mux.Lock);
    return Name;
}

/*
 * Asks NDIS to initialize the device of an Idle name (IM-VMP-02, IM-VMP-05). MiniportInitializeEx
 * may run inside the call (IM-PNP-04); when it fails there the name is Idle again, and so it is
 * when NDIS refuses. Returns what NDIS said, or NDIS_STATUS_NOT_ACCEPTED if the name is not Idle.
 */
NDIS_STATUS NameRequest(MUX_NAME *Name)
{
    NDIS_STATUS Status;

    NdisAcquireSpinLock(&Mux.Lock);
    if (Name->Leaving || Name->State != MuxNameIdle)
    {
        NdisReleaseSpinLock(&Mux.Lock);
        return NDIS_STATUS_NOT_ACCEPTED;
    }
    Name->State = MuxNameRequested;
    Name->Calls++;
    NameSettle(Name);
    NdisReleaseSpinLock(&Mux.Lock);

    Status = NdisIMInitializeDeviceInstanceEx(Mux.Miniport, &Name->Device, (NDIS_HANDLE)Name);

    NdisAcquireSpinLock(&Mux.Lock);
    if (Status != NDIS_STATUS_SUCCESS && Name->State == MuxNameRequested)
    {
        Name->State = MuxNameIdle;
    }
    Name->Calls--;
    NameSettle(Name);
    NdisReleaseSpinLock(&Mux.Lock);
    return Status;
}

/* One step of NameRemove; TRUE once the name is Idle and off the list. */
static BOOLEAN NameRemoveStep(MUX_NAME *Name)
{
    NDIS_STATUS Status;
    NDIS_HANDLE Handle;

    MuxWait(&Name->Quiet);
    NdisAcquireSpinLock(&Mux.Lock);
    switch (Name->State)
    {
    case MuxNameIdle:
        RemoveEntryList(&Name->Link);
        NameTableRemove(Name);
        NdisReleaseSpinLock(&Mux.Lock);
        return TRUE;
    case MuxNameRequested:
        NdisReleaseSpinLock(&Mux.Lock);
        Status = NdisIMCancelInitializeDeviceInstance(Mux.Miniport, &Name->Device);
        UNREFERENCED_PARAMETER(Status);
        /* Withdrawn; or MiniportInitializeEx has run by now and the state says how it ended; or the
         * request was used up without it. In the last case, and if it should come yet, it finds a
         * name that is leaving, or none (NameInitializeBegin). */
        MuxWait(&Name->Quiet);
        NdisAcquireSpinLock(&Mux.Lock);
        if (Name->State == MuxNameRequested)
        {
            Name->State = MuxNameIdle;
        }
        NdisReleaseSpinLock(&Mux.Lock);
        return FALSE;
    case MuxNameLive:
        Handle = Name->Vm->Handle;
        Name->Calls++; /* keeps a halt by PnP from being taken for the end of ours */
        NdisReleaseSpinLock(&Mux.Lock);
        Status = NdisIMDeInitializeDeviceInstance(Handle);
        NdisAcquireSpinLock(&Mux.Lock);
        Name->Calls--;
        NameSettle(Name);
        NdisReleaseSpinLock(&Mux.Lock);
        if (Status != NDIS_STATUS_SUCCESS)
        {
            NdisMSleep(1000); /* PnP is halting it just now: come back for the result */
        }
        return FALSE;
    default: /* Initializing or Halting: Quiet was not */
        NdisReleaseSpinLock(&Mux.Lock);
        return FALSE;
    }
}

/*
 * Takes a name off its list and frees it: cancels a request whose MiniportInitializeEx has not
 * come, de-initializes a virtual miniport that runs (IM-VMP-10, IM-VMP-13, IM-UNB-09). The
 * binding's list owner, or its unbind, alone calls it. Returns when MiniportHaltEx has.
 * PASSIVE_LEVEL.
 */
VOID NameRemove(MUX_NAME *Name)
{
    NdisAcquireSpinLock(&Mux.Lock);
    Name->Leaving = TRUE;
    NdisReleaseSpinLock(&Mux.Lock);
    while (!NameRemoveStep(Name))
    {
    }
    MuxFree(Name);
}

/*
 * MiniportInitializeEx found DeviceContext. It is compared with the names we know before it is
 * believed: a cancel that came too late may have freed it. NULL: refuse the initialization.
 */
MUX_NAME *NameInitializeBegin(NDIS_HANDLE DeviceContext)
{
    MUX_NAME *Found;

    NdisAcquireSpinLock(&Mux.Lock);
    Found = NameTableKnown(DeviceContext);
    if (Found != NULL && (Found->State != MuxNameRequested || Found->Leaving))
    {
        Found = NULL;
    }
    if (Found != NULL)
    {
        Found->State = MuxNameInitializing;
        NameSettle(Found);
    }
    NdisReleaseSpinLock(&Mux.Lock);
    return Found;
}

/* MiniportInitializeEx is about to return: Live with Vm, or Idle with NULL. */
VOID NameInitializeEnd(MUX_NAME *Name, MUX_VM *Vm)
{
    NdisAcquireSpinLock(&Mux.Lock);
    Name->Vm = Vm;
    Name->State = Vm != NULL ? MuxNameLive : MuxNameIdle;
    NameSettle(Name);
    NdisReleaseSpinLock(&Mux.Lock);
}

/* MiniportHaltEx begins: nobody finds the virtual miniport by its binding any more. */
VOID NameHaltBegin(MUX_NAME *Name)
{
    NdisAcquireSpinLock(&Mux.Lock);
    Name->State = MuxNameHalting;
    NameSettle(Name);
    NdisReleaseSpinLock(&Mux.Lock);
}

/* MiniportHaltEx has released everything: the name may be requested again (IM-VMP-22). */
VOID NameHaltEnd(MUX_NAME *Name)
{
    NdisAcquireSpinLock(&Mux.Lock);
    Name->Vm = NULL;
    Name->State = MuxNameIdle;
    NameSettle(Name);
    NdisReleaseSpinLock(&Mux.Lock);
}

/* The next virtual miniport behind Link whose Use can be entered. Mux.Lock held. */
static MUX_VM *NameEnterFrom(MUX_BINDING *Binding, PLIST_ENTRY Link)
{
    for (; Link != &Binding->Names; Link = Link->Flink)
    {
        MUX_NAME *Name = CONTAINING_RECORD(Link, MUX_NAME, Link);
        if (Name->State == MuxNameLive && RundownEnter(&Name->Vm->Use, 1))
        {
            return Name->Vm;
        }
    }
    return NULL;
}

/* First virtual miniport of a binding with its Use entered, or NULL. <= DISPATCH_LEVEL. */
MUX_VM *NameFirstVm(MUX_BINDING *Binding)
{
    MUX_VM *Vm;

    NdisAcquireSpinLock(&Mux.Lock);
    Vm = NameEnterFrom(Binding, Binding->Names.Flink);
    NdisReleaseSpinLock(&Mux.Lock);
    return Vm;
}

/* Leaves Vm and enters the one behind it, or NULL. Its name cannot go while Use is entered. */
MUX_VM *NameNextVm(MUX_VM *Vm)
{
    MUX_VM *Next;

    NdisAcquireSpinLock(&Mux.Lock);
    Next = NameEnterFrom(Vm->Binding, Vm->Name->Link.Flink);
    NdisReleaseSpinLock(&Mux.Lock);
    RundownLeave(&Vm->Use, 1);
    return Next;
}

/*
 * NetEventIMReEnableDevice: requests that one device again and no other (IM-EVT-12). FALSE: not
 * ours, or it is requested or live already.
 */
BOOLEAN NameRequestDevice(PNDIS_STRING Device)
{
    MUX_NAME *Found;
    NDIS_STATUS Status;

    NdisAcquireSpinLock(&Mux.Lock);
    Found = NameTableFind(NULL, Device);
    if (Found != NULL)
    {
        Found->Calls++;
        NameSettle(Found);
    }
    NdisReleaseSpinLock(&Mux.Lock);
    if (Found == NULL)
    {
        return FALSE;
    }
    Status = NameRequest(Found);
    NdisAcquireSpinLock(&Mux.Lock);
    Found->Calls--;
    NameSettle(Found);
    NdisReleaseSpinLock(&Mux.Lock);
    return Status == NDIS_STATUS_SUCCESS;
}
