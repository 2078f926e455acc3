/* SPDX-License-Identifier: MIT */
/*
 * Bindings: the TAP and the NDIS binding are made and unmade together. Owns TAP_BINDING but for its
 * run state (event.c). One binding that fails leaves the others alone. PASSIVE_LEVEL.
 */
#include "tap.h"

#define TAP_FILTER                                                                                 \
    (NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_BROADCAST)

void BindingDereference(TAP_BINDING *Binding)
{
    if (InterlockedDecrement(&Binding->References) == 0)
        KeSetEvent(&Binding->Unreferenced, IO_NO_INCREMENT, FALSE);
}

void BindingQuiet(TAP_BINDING *Binding)
{
    if (Binding->State == TapPausing && !Binding->Active && !Binding->SendsOut)
        KeSetEvent(&Binding->Quiet, IO_NO_INCREMENT, FALSE);
}

/* ---- the interface -----------------------------------------------------------------------------
 */

static void ExplainOpen(const char *Name, int Error, const char *Step)
{
    const char *Hint = "";

    if (Error == TAP_EPERM || Error == TAP_EACCES)
        Hint = "; it needs CAP_NET_ADMIN, or an interface made beforehand: ip tuntap add NAME mode "
               "tap user USER";
    else if (Error == TAP_ENOENT || Error == TAP_ENODEV)
        Hint = "; is the kernel's tun module there?";
    else if (Error == TAP_EBUSY)
        Hint = "; another program uses the interface of that name";
    else if (Error == TAP_EINVAL)
        Hint = "; there is an interface of that name, and it is no TAP";
    UmhExplain("TAP '%s': %s: %s%s", *Name ? Name : "tap%d", Step, TapHostError(Error), Hint);
}

NDIS_STATUS BindingOpenTap(TAP_BINDING *Binding)
{
    ULONG Cpu = (ULONG)(Binding->Pool - Tap.Pool);
    char Actual[TAP_NAME];
    const char *Step;
    NDIS_STATUS Status;
    int Error;

    ReapWait(Binding->Name);
    Error = TapHostOpen(Binding->Name, &Binding->Fd, Actual, &Step);
    if (Error)
    {
        ExplainOpen(Binding->Name, Error, Step);
        return NDIS_STATUS_RESOURCES;
    }
    RtlCopyMemory(Binding->Name, Actual, TAP_NAME);
    Error = TapHostAddress(Binding->Fd, Binding->Address);
    if (Error)
    {
        UmhExplain("TAP '%s': its address cannot be set: %s", Binding->Name, TapHostError(Error));
        Status = NDIS_STATUS_FAILURE;
        goto Close;
    }
    Status = UmhWatch(Binding->Fd, 0, Cpu, ReadReady, Binding, &Binding->Watch);
    if (Status == STATUS_NOT_SUPPORTED)
        UmhExplain("TAP '%s': only a box on the threads back end has TAPs", Binding->Name);
    if (NT_SUCCESS(Status))
        return NDIS_STATUS_SUCCESS;

Close:
    TapHostClose(Binding->Fd);
    Binding->Fd = -1;
    return Status;
}

static void BindingUnwatch(TAP_BINDING *Binding)
{
    if (!Binding->Watch)
        return;
    PoolUnwait(Binding);
    UmhUnwatch(Binding->Watch);
    Binding->Watch = NULL;
}

void BindingCloseTap(TAP_BINDING *Binding)
{
    BindingUnwatch(Binding);
    if (Binding->Fd >= 0)
        TapHostClose(Binding->Fd);
    Binding->Fd = -1;
}

/* ---- settings ---- */

/* HostName: an interface name for Linux: up to 15 characters, printable ASCII, no slash. */
static BOOLEAN CopyName(TAP_BINDING *Binding, const UNICODE_STRING *Text)
{
    ULONG Chars = Text->Length / sizeof(WCHAR);

    while (Chars && !Text->Buffer[Chars - 1])
        Chars--;
    if (!Chars || Chars > TAP_NAME - 1)
        return FALSE;
    for (ULONG I = 0; I < Chars; I++)
    {
        WCHAR C = Text->Buffer[I];

        if (C <= ' ' || C > '~' || C == '/' || C == ':')
            return FALSE;
        Binding->Name[I] = (char)C;
    }
    return TRUE;
}

static NDIS_STATUS ReadSettings(TAP_BINDING *Binding, NDIS_BIND_PARAMETERS *Parameters)
{
    NDIS_CONFIGURATION_OBJECT Object = {
        .Header = {NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT, NDIS_CONFIGURATION_OBJECT_REVISION_1,
                   NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1},
        .NdisHandle = Parameters,
    };
    NDIS_CONFIGURATION_PARAMETER *Value;
    NDIS_HANDLE Configuration;
    UNICODE_STRING Keyword;
    NDIS_STATUS Status;

    if (NdisOpenConfigurationEx(&Object, &Configuration) != NDIS_STATUS_SUCCESS)
        return NDIS_STATUS_SUCCESS; /* no settings: the kernel names the interface */
    RtlInitUnicodeString(&Keyword, L"HostName");
    NdisReadConfiguration(&Status, &Value, Configuration, &Keyword, NdisParameterString);
    if (Status == NDIS_STATUS_SUCCESS && Value->ParameterType == NdisParameterString &&
        !CopyName(Binding, &Value->ParameterData.StringData))
    {
        UmhExplain("HostName is no name for a Linux interface; expected 1 to 15 characters without "
                   "space, '/' and ':'");
        Status = NDIS_STATUS_INVALID_DATA;
    }
    else if (Status != NDIS_STATUS_RESOURCES)
    {
        Status = NDIS_STATUS_SUCCESS;
    }
    NdisCloseConfiguration(Configuration);
    return Status;
}

/* ---- bind and unbind ---- */

static NDIS_STATUS Open(TAP_BINDING *Binding, NDIS_HANDLE BindContext,
                        NDIS_BIND_PARAMETERS *Parameters)
{
    NDIS_MEDIUM Medium = NdisMedium802_3;
    NET_FRAME_TYPE Frames[1] = {0};
    UINT Selected;
    NDIS_OPEN_PARAMETERS P = {
        .Header = {NDIS_OBJECT_TYPE_OPEN_PARAMETERS, NDIS_OPEN_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1},
        .AdapterName = Parameters->AdapterName,
        .MediumArray = &Medium,
        .MediumArraySize = 1,
        .SelectedMediumIndex = &Selected,
        .FrameTypeArray = Frames,
        .FrameTypeArraySize = 0,
    };
    NDIS_STATUS Status;

    Status = NdisOpenAdapterEx(Tap.Protocol, Binding, &P, BindContext, &Binding->Handle);
    if (Status == NDIS_STATUS_PENDING)
    {
        KeWaitForSingleObject(&Binding->Event, Executive, KernelMode, FALSE, NULL);
        Status = Binding->OpenStatus;
    }
    return Status;
}

static void Close(TAP_BINDING *Binding)
{
    KeClearEvent(&Binding->Event);
    if (NdisCloseAdapterEx(Binding->Handle) == NDIS_STATUS_PENDING)
        KeWaitForSingleObject(&Binding->Event, Executive, KernelMode, FALSE, NULL);
}

/* All multicast: which groups the Linux side joins, a TAP does not tell. */
static NDIS_STATUS SetFilter(TAP_BINDING *Binding, ULONG Supported)
{
    ULONG Filter = TAP_FILTER | (Supported & NDIS_PACKET_TYPE_ALL_MULTICAST);

    return RequestSet(Binding, OID_GEN_CURRENT_PACKET_FILTER, &Filter, sizeof(Filter));
}

static TAP_BINDING *Allocate(NDIS_BIND_PARAMETERS *Parameters)
{
    TAP_BINDING *Binding =
        ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Binding) + IoSizeofWorkItem(), TAP_TAG);
    const NDIS_OFFLOAD *Offload = Parameters->DefaultOffloadConfiguration;

    if (!Binding)
        return NULL;
    KeInitializeSpinLock(&Binding->Lock);
    KeInitializeMutex(&Binding->TapMutex, 0);
    KeInitializeEvent(&Binding->Event, NotificationEvent, FALSE);
    KeInitializeEvent(&Binding->Unreferenced, NotificationEvent, FALSE);
    KeInitializeEvent(&Binding->Quiet, NotificationEvent, FALSE);
    Binding->Sync = (PIO_WORKITEM)(Binding + 1);
    IoInitializeWorkItem(Tap.Driver, Binding->Sync);
    Binding->References = 1;
    Binding->Fd = -1;
    Binding->Mtu = Parameters->MtuSize;
    Binding->LinkUp = Parameters->MediaConnectState == MediaConnectStateConnected;
    Binding->Offload = SyncOffload(Offload, Offload ? Offload->Header.Size : 0);
    RtlCopyMemory(Binding->Address, Parameters->CurrentMacAddress, 6);
    Binding->Pool = &Tap.Pool[(ULONG)InterlockedIncrement(&Tap.NextCpu) % Tap.Cpus];
    return Binding;
}

NDIS_STATUS NTAPI TapBind(NDIS_HANDLE DriverContext, NDIS_HANDLE BindContext,
                          NDIS_BIND_PARAMETERS *Parameters)
{
    TAP_BINDING *Binding;
    NDIS_STATUS Status;

    if (Parameters->MediaType != NdisMedium802_3 || Parameters->MacAddressLength != 6)
        return NDIS_STATUS_UNSUPPORTED_MEDIA;
    Binding = Allocate(Parameters);
    if (!Binding)
        return NDIS_STATUS_RESOURCES;
    Status = ReadSettings(Binding, Parameters);
    if (Status != NDIS_STATUS_SUCCESS)
        goto Free;
    Status = PoolPrepare(Binding->Pool);
    if (Status != NDIS_STATUS_SUCCESS)
        goto Free;
    Status = BindingOpenTap(Binding);
    if (Status != NDIS_STATUS_SUCCESS)
        goto Free;
    Status = Open(Binding, BindContext, Parameters);
    if (Status != NDIS_STATUS_SUCCESS)
        goto CloseTap;
    Status = SetFilter(Binding, Parameters->SupportedPacketFilters);
    if (Status != NDIS_STATUS_SUCCESS)
        goto CloseAdapter;
    SyncNow(Binding);
    return NDIS_STATUS_SUCCESS;

CloseAdapter:
    Close(Binding);
    /* A status indication may have queued a Sync since the open. */
    BindingDereference(Binding);
    KeWaitForSingleObject(&Binding->Unreferenced, Executive, KernelMode, FALSE, NULL);
CloseTap:
    BindingCloseTap(Binding);
Free:
    ExFreePoolWithTag(Binding, TAP_TAG);
    return Status;
}

NDIS_STATUS NTAPI TapUnbind(NDIS_HANDLE UnbindContext, NDIS_HANDLE BindingContext)
{
    TAP_BINDING *Binding = BindingContext;

    Close(Binding);
    BindingDereference(Binding);
    KeWaitForSingleObject(&Binding->Unreferenced, Executive, KernelMode, FALSE, NULL);
    BindingUnwatch(Binding);
    ReapBinding(Binding);
    return NDIS_STATUS_SUCCESS;
}

void NTAPI TapOpenComplete(NDIS_HANDLE BindingContext, NDIS_STATUS Status)
{
    TAP_BINDING *Binding = BindingContext;

    Binding->OpenStatus = Status;
    KeSetEvent(&Binding->Event, IO_NO_INCREMENT, FALSE);
}

void NTAPI TapCloseComplete(NDIS_HANDLE BindingContext)
{
    TAP_BINDING *Binding = BindingContext;

    KeSetEvent(&Binding->Event, IO_NO_INCREMENT, FALSE);
}
