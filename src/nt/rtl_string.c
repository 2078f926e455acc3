/* SPDX-License-Identifier: MIT */
/*
 * Counted Unicode strings. No state. Functions that allocate take paged pool with the tag 'Strg':
 * PASSIVE_LEVEL; the others any level as long as the memory is resident.
 */
#include "nt/private.h"

#include <string.h>

#define TAG_STRING 0x67727453u

/* NULL source: empty, no buffer. nf-wdm-rtlinitunicodestring.md */
void NTAPI RtlInitUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString)
{
    umn__us_init(DestinationString, (WCHAR *)(uintptr_t)SourceString);
}

/* Copies as much as fits; terminates if there is room. nf-wdm-rtlcopyunicodestring.md */
void NTAPI RtlCopyUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString)
{
    USHORT n = 0;
    if (SourceString) {
        n = SourceString->Length;
        if (n > DestinationString->MaximumLength)
            n = DestinationString->MaximumLength;
        memmove(DestinationString->Buffer, SourceString->Buffer, n);
    }
    DestinationString->Length = n;
    if (n + sizeof(WCHAR) <= DestinationString->MaximumLength)
        DestinationString->Buffer[n / sizeof(WCHAR)] = 0;
}

static NTSTATUS append(PUNICODE_STRING to, const WCHAR *text, size_t bytes)
{
    if (to->Length + bytes > to->MaximumLength)
        return STATUS_BUFFER_TOO_SMALL;
    memmove((char *)to->Buffer + to->Length, text, bytes);
    to->Length = (USHORT)(to->Length + bytes);
    if (to->Length + sizeof(WCHAR) <= to->MaximumLength)
        to->Buffer[to->Length / sizeof(WCHAR)] = 0;
    return STATUS_SUCCESS;
}

/* All or nothing: STATUS_BUFFER_TOO_SMALL. nf-wdm-rtlappendunicodestringtostring.md */
NTSTATUS NTAPI RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source)
{
    return append(Destination, Source->Buffer, Source->Length);
}

/* nf-wdm-rtlappendunicodetostring.md */
NTSTATUS NTAPI RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source)
{
    return Source ? append(Destination, Source, umn__wcslen(Source) * sizeof(WCHAR))
                  : STATUS_SUCCESS;
}

/* < 0, 0, > 0. Lengths in characters. nf-wdm-rtlcompareunicodestrings.md */
LONG NTAPI RtlCompareUnicodeStrings(PCWCH String1, SIZE_T String1Length, PCWCH String2,
                                    SIZE_T String2Length, BOOLEAN CaseInSensitive)
{
    for (SIZE_T i = 0; i < String1Length && i < String2Length; i++) {
        WCHAR a = String1[i], b = String2[i];
        if (CaseInSensitive) {
            a = umn__upcase(a);
            b = umn__upcase(b);
        }
        if (a != b)
            return (LONG)a - (LONG)b;
    }
    return String1Length < String2Length ? -1 : String1Length > String2Length;
}

/* nf-wdm-rtlcompareunicodestring.md */
LONG NTAPI RtlCompareUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2,
                                   BOOLEAN CaseInSensitive)
{
    return RtlCompareUnicodeStrings(String1->Buffer, String1->Length / sizeof(WCHAR),
                                    String2->Buffer, String2->Length / sizeof(WCHAR),
                                    CaseInSensitive);
}

/* nf-wdm-rtlequalunicodestring.md */
BOOLEAN NTAPI RtlEqualUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2,
                                    BOOLEAN CaseInSensitive)
{
    return String1->Length == String2->Length &&
           RtlCompareUnicodeString(String1, String2, CaseInSensitive) == 0;
}

/* TRUE if String2 begins with String1. nf-ntddk-rtlprefixunicodestring.md */
BOOLEAN NTAPI RtlPrefixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2,
                                     BOOLEAN CaseInSensitive)
{
    size_t n = String1->Length / sizeof(WCHAR);
    return String1->Length <= String2->Length &&
           RtlCompareUnicodeStrings(String1->Buffer, n, String2->Buffer, n, CaseInSensitive) == 0;
}

/* TRUE if String2 ends with String1. */
BOOLEAN NTAPI RtlSuffixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2,
                                     BOOLEAN CaseInSensitive)
{
    size_t n = String1->Length / sizeof(WCHAR), m = String2->Length / sizeof(WCHAR);
    return n <= m && RtlCompareUnicodeStrings(String1->Buffer, n, String2->Buffer + (m - n), n,
                                              CaseInSensitive) == 0;
}

/* nf-wdm-rtlupcaseunicodechar.md */
WCHAR NTAPI RtlUpcaseUnicodeChar(WCHAR SourceCharacter)
{
    return umn__upcase(SourceCharacter);
}

/* The character whose upper case it is, or itself. */
WCHAR NTAPI RtlDowncaseUnicodeChar(WCHAR SourceCharacter)
{
    static const int steps[] = {32, 1, 80, 48, 37, 63, 64};
    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        WCHAR c = (WCHAR)(SourceCharacter + steps[i]);
        if (c != SourceCharacter && umn__upcase(SourceCharacter) == SourceCharacter &&
            umn__upcase(c) == SourceCharacter)
            return c;
    }
    return SourceCharacter == 0x178 ? 0xff : SourceCharacter;
}

static bool make_room(PUNICODE_STRING s, size_t bytes, bool terminate)
{
    size_t room = bytes + (terminate ? sizeof(WCHAR) : 0);
    if (room > 0xfffe)
        return false;
    s->Buffer = umn__pool_alloc(PagedPool, room, TAG_STRING, __builtin_return_address(0));
    s->MaximumLength = (USHORT)(s->Buffer ? room : 0);
    s->Length = 0;
    return s->Buffer != NULL;
}

/* PASSIVE_LEVEL. STATUS_NO_MEMORY, STATUS_BUFFER_OVERFLOW. nf-ntddk-rtlupcaseunicodestring.md */
NTSTATUS NTAPI RtlUpcaseUnicodeString(PUNICODE_STRING DestinationString,
                                      PCUNICODE_STRING SourceString,
                                      BOOLEAN AllocateDestinationString)
{
    if (AllocateDestinationString) {
        if (!make_room(DestinationString, SourceString->Length, false))
            return STATUS_NO_MEMORY;
    } else if (DestinationString->MaximumLength < SourceString->Length) {
        return STATUS_BUFFER_OVERFLOW;
    }
    for (size_t i = 0; i < SourceString->Length / sizeof(WCHAR); i++)
        DestinationString->Buffer[i] = umn__upcase(SourceString->Buffer[i]);
    DestinationString->Length = SourceString->Length;
    return STATUS_SUCCESS;
}

/* Frees what a function of this file (or rtl_ansi.c) allocated. PASSIVE_LEVEL.
 * nf-wdm-rtlfreeunicodestring.md */
void NTAPI RtlFreeUnicodeString(PUNICODE_STRING UnicodeString)
{
    if (UnicodeString->Buffer)
        ExFreePool(UnicodeString->Buffer);
    memset(UnicodeString, 0, sizeof *UnicodeString);
}

/* HASH_STRING_ALGORITHM_DEFAULT and X65599. nf-wdm-rtlhashunicodestring.md */
NTSTATUS NTAPI RtlHashUnicodeString(PCUNICODE_STRING String, BOOLEAN CaseInSensitive,
                                    ULONG HashAlgorithm, PULONG HashValue)
{
    ULONG h = 0;
    if (!String || !HashValue || HashAlgorithm > HASH_STRING_ALGORITHM_X65599)
        return STATUS_INVALID_PARAMETER;
    for (size_t i = 0; i < String->Length / sizeof(WCHAR); i++)
        h = h * 65599 + (CaseInSensitive ? umn__upcase(String->Buffer[i]) : String->Buffer[i]);
    *HashValue = h;
    return STATUS_SUCCESS;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static NTSTATUS put_number(ULONGLONG value, ULONG base, PUNICODE_STRING s)
{
    WCHAR digits[65];
    size_t n = 0;
    if (!base)
        base = 10;
    if (base != 2 && base != 8 && base != 10 && base != 16)
        return STATUS_INVALID_PARAMETER;
    do {
        digits[64 - ++n] = (WCHAR) "0123456789ABCDEF"[value % base];
        value /= base;
    } while (value);
    if (n * sizeof(WCHAR) > s->MaximumLength)
        return STATUS_BUFFER_OVERFLOW;
    s->Length = 0;
    return append(s, digits + 64 - n, n * sizeof(WCHAR));
}

/* Base 2, 8, 10 or 16; 0 means 10. PASSIVE_LEVEL. STATUS_BUFFER_OVERFLOW.
 * nf-wdm-rtlintegertounicodestring.md */
NTSTATUS NTAPI RtlIntegerToUnicodeString(ULONG Value, ULONG Base, PUNICODE_STRING String)
{
    return put_number(Value, Base, String);
}

NTSTATUS NTAPI RtlInt64ToUnicodeString(ULONGLONG Value, ULONG Base, PUNICODE_STRING String)
{
    return put_number(Value, Base, String);
}

static unsigned digit_of(WCHAR c)
{
    return c >= '0' && c <= '9'   ? (unsigned)(c - '0')
           : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
           : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                  : 99;
}

/* Number at the start of the text after white space: sign, prefix 0x 0o 0b if base is 0. */
static NTSTATUS get_number(const WCHAR *s, size_t n, ULONG base, ULONGLONG *value, size_t *used)
{
    size_t i = 0;
    bool minus = false;
    ULONGLONG v = 0;
    if (base && base != 2 && base != 8 && base != 10 && base != 16)
        return STATUS_INVALID_PARAMETER;
    while (i < n && s[i] && s[i] <= ' ')
        i++;
    if (i < n && (s[i] == '-' || s[i] == '+'))
        minus = s[i++] == '-';
    if (!base) {
        base = 10;
        if (i + 1 < n && s[i] == '0') {
            base = s[i + 1] == 'x' ? 16 : s[i + 1] == 'o' ? 8 : s[i + 1] == 'b' ? 2 : 10;
            i += base == 10 ? 0 : 2;
        }
    }
    for (; i < n && digit_of(s[i]) < base; i++)
        v = v * base + digit_of(s[i]);
    *value = minus ? 0 - v : v;
    *used = i;
    return STATUS_SUCCESS;
}

/* Reads up to the first character that is no digit; 0 if there is none. PASSIVE_LEVEL.
 * nf-wdm-rtlunicodestringtointeger.md */
NTSTATUS NTAPI RtlUnicodeStringToInteger(PCUNICODE_STRING String, ULONG Base, PULONG Value)
{
    ULONGLONG v;
    size_t used;
    NTSTATUS status = get_number(String->Buffer, String->Length / sizeof(WCHAR), Base, &v, &used);
    if (status >= 0)
        *Value = (ULONG)v;
    return status;
}

NTSTATUS NTAPI RtlUnicodeStringToInt64(PCUNICODE_STRING String, ULONG Base, PLONG64 Number,
                                       PWSTR *EndPointer)
{
    ULONGLONG v;
    size_t used;
    NTSTATUS status = get_number(String->Buffer, String->Length / sizeof(WCHAR), Base, &v, &used);
    if (status >= 0) {
        *Number = (LONG64)v;
        if (EndPointer)
            *EndPointer = String->Buffer + used;
    }
    return status;
}

/* ---- GUIDs ----------------------------------------------------------------------------------- */

#define GUID_CHARS 38 /* {xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx} */

/* "{...}" in pool, terminated, upper-case digits; to be freed with RtlFreeUnicodeString.
 * PASSIVE_LEVEL. STATUS_NO_MEMORY. nf-wdm-rtlstringfromguid.md */
NTSTATUS NTAPI RtlStringFromGUID(const GUID *const Guid, PUNICODE_STRING GuidString)
{
    static const signed char order[16] = {3, 2, 1, 0, -5, 4, -7, 6, -8, 9, -10, 11, 12, 13, 14, 15};
    const unsigned char *bytes = (const unsigned char *)Guid;
    static const char hex[] = "0123456789ABCDEF";
    if (!make_room(GuidString, GUID_CHARS * sizeof(WCHAR), true))
        return STATUS_NO_MEMORY;
    WCHAR *out = GuidString->Buffer;
    *out++ = '{';
    for (int i = 0; i < 16; i++) {
        int b = order[i] < 0 ? -order[i] : order[i]; /* negative: a dash comes first */
        if (order[i] < 0)
            *out++ = '-';
        *out++ = (WCHAR)hex[bytes[b] >> 4];
        *out++ = (WCHAR)hex[bytes[b] & 15];
    }
    *out++ = '}';
    *out = 0;
    GuidString->Length = GUID_CHARS * sizeof(WCHAR);
    return STATUS_SUCCESS;
}

/* Either case. STATUS_INVALID_PARAMETER: not of the form above. nf-wdm-rtlguidfromstring.md */
NTSTATUS NTAPI RtlGUIDFromString(PCUNICODE_STRING GuidString, GUID *Guid)
{
    static const unsigned char place[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    unsigned char bytes[16];
    const WCHAR *s = GuidString->Buffer;
    if (GuidString->Length < GUID_CHARS * sizeof(WCHAR) || s[0] != '{' || s[37] != '}')
        return STATUS_INVALID_PARAMETER;
    for (int i = 0, at = 1; i < 16; i++, at += 2) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && s[at++] != '-')
            return STATUS_INVALID_PARAMETER;
        unsigned high = digit_of(s[at]), low = digit_of(s[at + 1]);
        if (high > 15 || low > 15)
            return STATUS_INVALID_PARAMETER;
        bytes[place[i]] = (unsigned char)(high << 4 | low);
    }
    memcpy(Guid, bytes, sizeof *Guid);
    return STATUS_SUCCESS;
}
