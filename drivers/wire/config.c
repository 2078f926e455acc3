/* SPDX-License-Identifier: MIT */
/*
 * Reading values of the adapter's driver key. No state. PASSIVE_LEVEL.
 */
#include "wire.h"

static NDIS_CONFIGURATION_PARAMETER *Read(NDIS_HANDLE Configuration, const WCHAR *Name,
                                          NDIS_PARAMETER_TYPE Type)
{
    NDIS_CONFIGURATION_PARAMETER *Parameter = NULL;
    NDIS_STATUS Status;
    UNICODE_STRING Keyword;

    RtlInitUnicodeString(&Keyword, Name);
    NdisReadConfiguration(&Status, &Parameter, Configuration, &Keyword, Type);
    return Status == NDIS_STATUS_SUCCESS ? Parameter : NULL;
}

BOOLEAN ConfigNumber(NDIS_HANDLE Configuration, const WCHAR *Name, ULONG *Value)
{
    NDIS_CONFIGURATION_PARAMETER *Parameter = Read(Configuration, Name, NdisParameterInteger);

    if (!Parameter || (Parameter->ParameterType != NdisParameterInteger &&
                       Parameter->ParameterType != NdisParameterHexInteger))
        return FALSE;
    *Value = Parameter->ParameterData.IntegerData;
    return TRUE;
}

BOOLEAN ConfigString(NDIS_HANDLE Configuration, const WCHAR *Name, UNICODE_STRING *Value)
{
    NDIS_CONFIGURATION_PARAMETER *Parameter = Read(Configuration, Name, NdisParameterString);

    if (!Parameter || Parameter->ParameterType != NdisParameterString)
        return FALSE;
    *Value = Parameter->ParameterData.StringData;
    return Value->Length != 0;
}

BOOLEAN ConfigStrings(NDIS_HANDLE Configuration, const WCHAR *Name, UNICODE_STRING *Value)
{
    NDIS_CONFIGURATION_PARAMETER *Parameter = Read(Configuration, Name, NdisParameterMultiString);

    if (!Parameter || (Parameter->ParameterType != NdisParameterMultiString &&
                       Parameter->ParameterType != NdisParameterString))
        return FALSE;
    *Value = Parameter->ParameterData.StringData;
    return Value->Length != 0;
}

static int HexDigit(WCHAR C)
{
    if (C >= '0' && C <= '9')
        return C - '0';
    if (C >= 'a' && C <= 'f')
        return C - 'a' + 10;
    if (C >= 'A' && C <= 'F')
        return C - 'A' + 10;
    return -1;
}

BOOLEAN ConfigAddress(const WCHAR *Text, ULONG Length, UCHAR Address[6])
{
    ULONG Digits = 0;
    UCHAR Bytes[6] = {0};

    for (ULONG I = 0; I < Length && Text[I]; I++)
    {
        int Digit = HexDigit(Text[I]);

        if (Digit < 0 && (Text[I] == ':' || Text[I] == '-'))
            continue;
        if (Digit < 0 || Digits == 12)
            return FALSE;
        Bytes[Digits / 2] = (UCHAR)(Bytes[Digits / 2] << 4 | Digit);
        Digits++;
    }
    if (Digits != 12)
        return FALSE;
    RtlCopyMemory(Address, Bytes, sizeof(Bytes));
    return TRUE;
}
