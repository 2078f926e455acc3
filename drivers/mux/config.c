/* SPDX-License-Identifier: MIT */
/*
 * Settings of one virtual miniport, from the key of its adapter (IM-CFG-05): NetworkAddress,
 * VlanID, MuxMode. Every value is untrusted: one that cannot be used is logged and the default
 * stands. No state but the MUX_VM under construction; PASSIVE_LEVEL.
 */
#include "path.h"

static WCHAR ConfigUpper(WCHAR c)
{
    return (WCHAR)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
}

/*
 * A MAC address of its own, the same after each start: FNV-1a over the GUID in the device name
 * (case folded, `\Device\` left out), individual, locally administered.
 */
static VOID ConfigDefaultMac(const NDIS_STRING *Device, UCHAR Mac[MUX_MAC_LENGTH])
{
    ULONG64 Hash = 0xCBF29CE484222325ULL;
    ULONG Length = Device->Length / sizeof(WCHAR);
    ULONG Start = 0;
    ULONG i;

    for (i = 0; i < Length; i++)
    {
        if (Device->Buffer[i] == '\\')
        {
            Start = i + 1;
        }
    }
    for (i = Start; i < Length; i++)
    {
        WCHAR c = ConfigUpper(Device->Buffer[i]);
        Hash = (Hash ^ (c & 0xFF)) * 0x100000001B3ULL;
        Hash = (Hash ^ (c >> 8)) * 0x100000001B3ULL;
    }
    Hash ^= Hash >> 33; /* FNV's low bytes know little of the last characters */
    Hash *= 0xFF51AFD7ED558CCDULL;
    Hash ^= Hash >> 33;
    for (i = 0; i < MUX_MAC_LENGTH; i++)
    {
        Mac[i] = (UCHAR)(Hash >> (8 * i));
    }
    Mac[0] = (UCHAR)((Mac[0] & 0xFC) | 0x02);
}

/* *Value is NULL if there is none. RESOURCES: nobody knows. */
static NDIS_STATUS ConfigRead(NDIS_HANDLE Key, PNDIS_STRING Keyword, NDIS_PARAMETER_TYPE Type,
                              PNDIS_CONFIGURATION_PARAMETER *Value)
{
    NDIS_STATUS Status;

    *Value = NULL;
    NdisReadConfiguration(&Status, Value, Key, Keyword, Type);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        *Value = NULL;
    }
    return Status == NDIS_STATUS_RESOURCES ? Status : NDIS_STATUS_SUCCESS;
}

/* NDIS makes a byte of a lone last digit: an address is twelve digits, hyphens apart. */
static BOOLEAN ConfigTwelveDigits(const NDIS_CONFIGURATION_PARAMETER *Value)
{
    const NDIS_STRING *Text = &Value->ParameterData.StringData;
    ULONG Digits = 0;
    ULONG i;

    if (Value->ParameterType != NdisParameterString)
    {
        return FALSE;
    }
    for (i = 0; i < Text->Length / sizeof(WCHAR) && Text->Buffer[i] != 0; i++)
    {
        Digits += Text->Buffer[i] != '-';
    }
    return Digits == 2 * MUX_MAC_LENGTH;
}

/* NetworkAddress: 6 bytes, an individual address, not zero. Absent: the default stands. */
static NDIS_STATUS ConfigMac(MUX_VM *Vm, NDIS_HANDLE Key)
{
    NDIS_STRING Keyword = NDIS_STRING_CONST("NetworkAddress");
    PNDIS_CONFIGURATION_PARAMETER Value;
    NDIS_STATUS Status;
    PVOID Address = NULL;
    UINT Length = 0;

    NdisReadNetworkAddress(&Status, &Address, &Length, Key);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        return Status == NDIS_STATUS_RESOURCES ? Status : NDIS_STATUS_SUCCESS;
    }
    Status = ConfigRead(Key, &Keyword, NdisParameterString, &Value);
    if (Status != NDIS_STATUS_SUCCESS)
    {
        return Status;
    }
    if (Value == NULL || !ConfigTwelveDigits(Value) || Length != MUX_MAC_LENGTH ||
        ETH_IS_MULTICAST(Address) || ETH_IS_EMPTY(Address))
    {
        VmLog(Vm->Handle, NDIS_ERROR_CODE_NETWORK_ADDRESS, Length);
        return NDIS_STATUS_SUCCESS;
    }
    NdisMoveMemory(Vm->Mac, Address, MUX_MAC_LENGTH);
    return NDIS_STATUS_SUCCESS;
}

/* A number, or a REG_SZ of decimal digits as INF keywords are written; FALSE: neither. */
static BOOLEAN ConfigNumber(const NDIS_CONFIGURATION_PARAMETER *Value, PULONG Number)
{
    const NDIS_STRING *Text = &Value->ParameterData.StringData;
    ULONG i;

    if (Value->ParameterType == NdisParameterInteger ||
        Value->ParameterType == NdisParameterHexInteger)
    {
        *Number = Value->ParameterData.IntegerData;
        return TRUE;
    }
    if (Value->ParameterType != NdisParameterString || Text->Length == 0 ||
        Text->Length > 6 * sizeof(WCHAR))
    {
        return FALSE;
    }
    *Number = 0;
    for (i = 0; i < Text->Length / sizeof(WCHAR); i++)
    {
        WCHAR c = Text->Buffer[i];
        if (c == 0 && i > 0)
        {
            break;
        }
        if (c < '0' || c > '9')
        {
            return FALSE;
        }
        *Number = *Number * 10 + (c - '0');
    }
    return TRUE;
}

/* VlanID: 0 (none, the default) to 4094. */
static NDIS_STATUS ConfigVlan(MUX_VM *Vm, NDIS_HANDLE Key)
{
    NDIS_STRING Keyword = NDIS_STRING_CONST("VlanID");
    PNDIS_CONFIGURATION_PARAMETER Value;
    NDIS_STATUS Status = ConfigRead(Key, &Keyword, NdisParameterInteger, &Value);
    ULONG Vlan = 0;

    if (Value == NULL)
    {
        return Status;
    }
    if (!ConfigNumber(Value, &Vlan) || Vlan > MUX_VLAN_MAX)
    {
        VmLog(Vm->Handle, NDIS_ERROR_CODE_UNSUPPORTED_CONFIGURATION, Vlan);
        return NDIS_STATUS_SUCCESS;
    }
    Vm->VlanId = (USHORT)Vlan;
    return NDIS_STATUS_SUCCESS;
}

static BOOLEAN ConfigIs(const NDIS_STRING *Text, const char *Word)
{
    ULONG Length = Text->Length / sizeof(WCHAR);
    ULONG i;

    for (i = 0; Word[i] != 0; i++)
    {
        if (i >= Length || ConfigUpper(Text->Buffer[i]) != (WCHAR)Word[i])
        {
            return FALSE;
        }
    }
    return i == Length || Text->Buffer[i] == 0;
}

/* MuxMode: "bridge" (the default), "private" or "vepa". */
static NDIS_STATUS ConfigMode(MUX_VM *Vm, NDIS_HANDLE Key)
{
    NDIS_STRING Keyword = NDIS_STRING_CONST("MuxMode");
    PNDIS_CONFIGURATION_PARAMETER Value;
    NDIS_STATUS Status = ConfigRead(Key, &Keyword, NdisParameterString, &Value);
    const NDIS_STRING *Text;

    if (Value == NULL)
    {
        return Status;
    }
    Text = &Value->ParameterData.StringData;
    if (Value->ParameterType == NdisParameterString && ConfigIs(Text, "PRIVATE"))
    {
        Vm->Mode = MuxModePrivate;
    }
    else if (Value->ParameterType == NdisParameterString && ConfigIs(Text, "VEPA"))
    {
        Vm->Mode = MuxModeVepa;
    }
    else if (Value->ParameterType != NdisParameterString || !ConfigIs(Text, "BRIDGE"))
    {
        VmLog(Vm->Handle, NDIS_ERROR_CODE_UNSUPPORTED_CONFIGURATION, 1);
    }
    return NDIS_STATUS_SUCCESS;
}

/*
 * Fills MAC address, VLAN, mode and Key of a new virtual miniport. RESOURCES: a setting could not
 * be read for lack of memory; the default in its place could be another VLAN. PASSIVE_LEVEL.
 */
NDIS_STATUS VmConfigure(MUX_VM *Vm)
{
    NDIS_STATUS Status;
    NDIS_CONFIGURATION_OBJECT Object;
    UCHAR Padded[sizeof(ULONG64)];
    NDIS_HANDLE Key;

    ConfigDefaultMac(&Vm->Name->Device, Vm->PermanentMac);
    NdisMoveMemory(Vm->Mac, Vm->PermanentMac, MUX_MAC_LENGTH);
    Vm->Mode = MuxModeBridge;
    NdisZeroMemory(&Object, sizeof(Object));
    Object.Header.Type = NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT;
    Object.Header.Revision = NDIS_CONFIGURATION_OBJECT_REVISION_1;
    Object.Header.Size = NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1;
    Object.NdisHandle = Vm->Handle;
    Status = NdisOpenConfigurationEx(&Object, &Key);
    if (Status == NDIS_STATUS_SUCCESS)
    {
        Status = ConfigMac(Vm, Key);
        Status = Status == NDIS_STATUS_SUCCESS ? ConfigVlan(Vm, Key) : Status;
        Status = Status == NDIS_STATUS_SUCCESS ? ConfigMode(Vm, Key) : Status;
        NdisCloseConfiguration(Key);
    }
    else if (Status != NDIS_STATUS_RESOURCES)
    {
        VmLog(Vm->Handle, NDIS_ERROR_CODE_MISSING_CONFIGURATION_PARAMETER, 0);
    }
    if (Status == NDIS_STATUS_RESOURCES)
    {
        return Status;
    }
    Vm->Foreign = !NdisEqualMemory(Vm->Mac, Vm->Binding->Mac, MUX_MAC_LENGTH);
    NdisZeroMemory(Padded, sizeof(Padded));
    NdisMoveMemory(Padded, Vm->Mac, MUX_MAC_LENGTH);
    Vm->Key = MacKey(MacLoad(Padded), Vm->VlanId);
    return NDIS_STATUS_SUCCESS;
}
