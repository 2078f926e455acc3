/* SPDX-License-Identifier: MIT */
/*
 * Settings of an adapter, from its driver key: HostInterface (REG_SZ, the Linux interface, needed)
 * and NetworkAddress. PASSIVE_LEVEL.
 */
#include "af.h"

static NDIS_CONFIGURATION_PARAMETER *ReadValue(NDIS_HANDLE Configuration, const WCHAR *Name,
                                               NDIS_STATUS *Status)
{
    NDIS_CONFIGURATION_PARAMETER *Value = NULL;
    UNICODE_STRING Keyword;

    RtlInitUnicodeString(&Keyword, Name);
    NdisReadConfiguration(Status, &Value, Configuration, &Keyword, NdisParameterString);
    return *Status == NDIS_STATUS_SUCCESS ? Value : NULL;
}

static NDIS_STATUS ReadInterface(AFP_ADAPTER *Adapter, NDIS_HANDLE Configuration)
{
    NDIS_STATUS Status;
    NDIS_CONFIGURATION_PARAMETER *Value = ReadValue(Configuration, L"HostInterface", &Status);
    UNICODE_STRING *Text;
    ULONG Chars = 0;

    if (Status == NDIS_STATUS_RESOURCES)
        return Status;
    if (Value && Value->ParameterType == NdisParameterString)
    {
        Text = &Value->ParameterData.StringData;
        while (Chars < Text->Length / sizeof(WCHAR) && Text->Buffer[Chars])
        {
            if (Chars == AF_NAME - 1 || Text->Buffer[Chars] <= ' ' || Text->Buffer[Chars] > '~')
            {
                UmhExplain("HostInterface is no name of a Linux interface; expected 1 to 15 "
                           "characters without spaces");
                return NDIS_STATUS_INVALID_DATA;
            }
            Adapter->Name[Chars] = (char)Text->Buffer[Chars];
            Chars++;
        }
    }
    if (!Chars)
    {
        UmhExplain(
            "the adapter has no setting HostInterface; expected the name of a Linux interface");
        return NDIS_STATUS_INVALID_DATA;
    }
    return NDIS_STATUS_SUCCESS;
}

/* A changed address is kept in CurrentAddress; all zero: the interface's own. */
static NDIS_STATUS ReadAddress(AFP_ADAPTER *Adapter, NDIS_HANDLE Configuration)
{
    NDIS_STATUS Status;
    void *Address;
    UINT Length;

    NdisReadNetworkAddress(&Status, &Address, &Length, Configuration);
    if (Status == NDIS_STATUS_RESOURCES)
        return Status;
    if (Status != NDIS_STATUS_SUCCESS)
        return NDIS_STATUS_SUCCESS;
    if (Length != 6 || (*(UCHAR *)Address & 1))
    {
        UmhExplain(
            "NetworkAddress is no unicast Ethernet address; expected e.g. 02-00-00-00-00-01");
        return NDIS_STATUS_INVALID_DATA;
    }
    RtlCopyMemory(Adapter->CurrentAddress, Address, 6);
    return NDIS_STATUS_SUCCESS;
}

NDIS_STATUS SettingsRead(AFP_ADAPTER *Adapter)
{
    NDIS_CONFIGURATION_OBJECT Object = {
        .Header = {NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT, NDIS_CONFIGURATION_OBJECT_REVISION_1,
                   NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1},
        .NdisHandle = Adapter->Handle,
    };
    NDIS_HANDLE Configuration;
    NDIS_STATUS Status;

    Status = NdisOpenConfigurationEx(&Object, &Configuration);
    if (Status != NDIS_STATUS_SUCCESS)
        return Status;
    Status = ReadInterface(Adapter, Configuration);
    if (Status == NDIS_STATUS_SUCCESS)
        Status = ReadAddress(Adapter, Configuration);
    NdisCloseConfiguration(Configuration);
    return Status;
}
