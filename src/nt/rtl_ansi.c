/* SPDX-License-Identifier: MIT */
/*
 * Byte strings: ANSI (the code page of a box is UTF-8) and UTF-8, and their way to UTF-16 and back.
 * Bytes that are not well formed become U+FFFD, lone surrogates '?' or U+FFFD. No state. What
 * allocates: PASSIVE_LEVEL, paged pool, freed with RtlFreeAnsiString / RtlFreeUnicodeString.
 */
#include "nt/private.h"

#include <string.h>

#define TAG_STRING 0x67727453u

/* NULL source: empty. nf-wdm-rtlinitansistring.md */
void NTAPI RtlInitAnsiString(PANSI_STRING DestinationString, PCSZ SourceString)
{
    size_t n = SourceString ? strlen((const char *)SourceString) : 0;
    if (n > 0xfffe)
        n = 0xfffe;
    DestinationString->Length = (USHORT)n;
    DestinationString->MaximumLength = (USHORT)(SourceString ? n + 1 : 0);
    DestinationString->Buffer = (PCHAR)(uintptr_t)SourceString;
}

void NTAPI RtlInitString(PSTRING DestinationString, PCSZ SourceString)
{
    RtlInitAnsiString(DestinationString, SourceString);
}

void NTAPI RtlInitUTF8String(PUTF8_STRING DestinationString, PCSZ SourceString)
{
    RtlInitAnsiString(DestinationString, SourceString);
}

/* STATUS_NAME_TOO_LONG instead of cutting off. */
NTSTATUS NTAPI RtlInitAnsiStringEx(PANSI_STRING DestinationString, PCSZ SourceString)
{
    if (SourceString && strlen((const char *)SourceString) > 0xfffe)
        return STATUS_NAME_TOO_LONG;
    RtlInitAnsiString(DestinationString, SourceString);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlInitStringEx(PSTRING DestinationString, PCSZ SourceString)
{
    return RtlInitAnsiStringEx(DestinationString, SourceString);
}

NTSTATUS NTAPI RtlInitUTF8StringEx(PUTF8_STRING DestinationString, PCSZ SourceString)
{
    return RtlInitAnsiStringEx(DestinationString, SourceString);
}

/* Copies as much as fits. nf-ntddk-rtlcopystring.md */
void NTAPI RtlCopyString(PSTRING DestinationString, const STRING *SourceString)
{
    USHORT n = SourceString ? SourceString->Length : 0;
    if (n > DestinationString->MaximumLength)
        n = DestinationString->MaximumLength;
    if (n)
        memmove(DestinationString->Buffer, SourceString->Buffer, n);
    DestinationString->Length = n;
}

/* ASCII letters only. */
CHAR NTAPI RtlUpperChar(CHAR Character)
{
    return Character >= 'a' && Character <= 'z' ? (CHAR)(Character - 32) : Character;
}

void NTAPI RtlUpperString(PSTRING DestinationString, const STRING *SourceString)
{
    RtlCopyString(DestinationString, SourceString);
    for (USHORT i = 0; i < DestinationString->Length; i++)
        DestinationString->Buffer[i] = RtlUpperChar(DestinationString->Buffer[i]);
}

LONG NTAPI RtlCompareString(const STRING *String1, const STRING *String2, BOOLEAN CaseInSensitive)
{
    for (USHORT i = 0; i < String1->Length && i < String2->Length; i++) {
        CHAR a = String1->Buffer[i], b = String2->Buffer[i];
        if (CaseInSensitive) {
            a = RtlUpperChar(a);
            b = RtlUpperChar(b);
        }
        if (a != b)
            return (LONG)(UCHAR)a - (LONG)(UCHAR)b;
    }
    return (LONG)String1->Length - (LONG)String2->Length;
}

BOOLEAN NTAPI RtlEqualString(const STRING *String1, const STRING *String2, BOOLEAN CaseInSensitive)
{
    return RtlCompareString(String1, String2, CaseInSensitive) == 0;
}

/* nf-wdm-rtlfreeansistring.md */
void NTAPI RtlFreeAnsiString(PANSI_STRING AnsiString)
{
    if (AnsiString->Buffer)
        ExFreePool(AnsiString->Buffer);
    memset(AnsiString, 0, sizeof *AnsiString);
}

void NTAPI RtlFreeUTF8String(PUTF8_STRING utf8String)
{
    RtlFreeAnsiString(utf8String);
}

/* ---- conversion ------------------------------------------------------------------------------ */

/* One code point of UTF-8 that may be damaged; *bad is set then. Returns bytes used, at least 1. */
static size_t decode(const unsigned char *s, size_t left, uint32_t *out, bool *bad)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    size_t i = 1;
    while (i < n && i < left && (s[i] & 0xc0) == 0x80)
        c = c << 6 | (s[i++] & 0x3f);
    if (!n || i < n || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        *bad = true;
        *out = 0xfffd;
        return i;
    }
    *out = c;
    return n;
}

/*
 * UTF-8 to UTF-16. Destination NULL: only counts. *Actual gets bytes written (or needed).
 * STATUS_BUFFER_TOO_SMALL, STATUS_SOME_NOT_MAPPED. PASSIVE_LEVEL. nf-wdm-rtlutf8tounicoden.md
 */
NTSTATUS NTAPI RtlUTF8ToUnicodeN(PWSTR UnicodeStringDestination, ULONG UnicodeStringMaxByteCount,
                                 PULONG UnicodeStringActualByteCount, PCCH UTF8StringSource,
                                 ULONG UTF8StringByteCount)
{
    const unsigned char *s = (const unsigned char *)UTF8StringSource;
    size_t o = 0, room = UnicodeStringDestination ? UnicodeStringMaxByteCount / 2 : SIZE_MAX;
    bool bad = false, small = false;
    for (size_t i = 0; i < UTF8StringByteCount && !small;) {
        uint32_t c;
        i += decode(s + i, UTF8StringByteCount - i, &c, &bad);
        size_t n = c >= 0x10000 ? 2 : 1;
        small = o + n > room;
        if (!small && UnicodeStringDestination) {
            UnicodeStringDestination[o] = (WCHAR)(n == 1 ? c : 0xd800 + ((c - 0x10000) >> 10));
            if (n == 2)
                UnicodeStringDestination[o + 1] = (WCHAR)(0xdc00 + ((c - 0x10000) & 0x3ff));
        }
        o += small ? 0 : n;
    }
    if (UnicodeStringActualByteCount)
        *UnicodeStringActualByteCount = (ULONG)(o * 2);
    return small ? STATUS_BUFFER_TOO_SMALL : bad ? STATUS_SOME_NOT_MAPPED : STATUS_SUCCESS;
}

static size_t encode(uint32_t c, char out[4])
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    if (n == 1) {
        out[0] = (char)c;
        return 1;
    }
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00u >> n) | c);
    return n;
}

/* UTF-16 to UTF-8, as above. nf-wdm-rtlunicodetoutf8n.md */
NTSTATUS NTAPI RtlUnicodeToUTF8N(PCHAR UTF8StringDestination, ULONG UTF8StringMaxByteCount,
                                 PULONG UTF8StringActualByteCount, PCWCH UnicodeStringSource,
                                 ULONG UnicodeStringByteCount)
{
    size_t o = 0, n = UnicodeStringByteCount / 2;
    bool bad = false, small = false;
    for (size_t i = 0; i < n && !small; i++) {
        uint32_t c = UnicodeStringSource[i];
        char bytes[4];
        if (c >= 0xd800 && c < 0xdc00 && i + 1 < n &&
            (UnicodeStringSource[i + 1] & 0xfc00) == 0xdc00) {
            c = 0x10000 + ((c - 0xd800) << 10) + (UnicodeStringSource[++i] - 0xdc00u);
        } else if (c >= 0xd800 && c < 0xe000) {
            c = 0xfffd;
            bad = true;
        }
        size_t k = encode(c, bytes);
        small = UTF8StringDestination && o + k > UTF8StringMaxByteCount;
        if (!small && UTF8StringDestination)
            memcpy(UTF8StringDestination + o, bytes, k);
        o += small ? 0 : k;
    }
    if (UTF8StringActualByteCount)
        *UTF8StringActualByteCount = (ULONG)o;
    return small ? STATUS_BUFFER_TOO_SMALL : bad ? STATUS_SOME_NOT_MAPPED : STATUS_SUCCESS;
}

/* Bytes for the converted string with its terminator. nf-wdm-rtlxansistringtounicodesize.md */
ULONG NTAPI RtlxAnsiStringToUnicodeSize(PCANSI_STRING AnsiString)
{
    ULONG n = 0;
    RtlUTF8ToUnicodeN(NULL, 0, &n, AnsiString->Buffer, AnsiString->Length);
    return n + (ULONG)sizeof(WCHAR);
}

ULONG NTAPI RtlxUnicodeStringToAnsiSize(PCUNICODE_STRING UnicodeString)
{
    ULONG n = 0;
    RtlUnicodeToUTF8N(NULL, 0, &n, UnicodeString->Buffer, UnicodeString->Length);
    return n + 1;
}

static NTSTATUS to_unicode(PUNICODE_STRING to, PCANSI_STRING from, bool allocate,
                           const void *caller)
{
    ULONG need = RtlxAnsiStringToUnicodeSize(from), n = 0;
    if (need > 0xfffe)
        return STATUS_INVALID_PARAMETER_2;
    if (allocate) {
        to->Buffer = umn__pool_alloc(PagedPool, need, TAG_STRING, caller);
        if (!to->Buffer)
            return STATUS_NO_MEMORY;
        to->MaximumLength = (USHORT)need;
    } else if (to->MaximumLength < need) {
        return STATUS_BUFFER_OVERFLOW;
    }
    RtlUTF8ToUnicodeN(to->Buffer, need, &n, from->Buffer, from->Length);
    to->Length = (USHORT)n;
    to->Buffer[n / 2] = 0;
    return STATUS_SUCCESS;
}

static NTSTATUS to_ansi(PANSI_STRING to, PCUNICODE_STRING from, bool allocate, const void *caller)
{
    ULONG need = RtlxUnicodeStringToAnsiSize(from), n = 0;
    if (need > 0xffff)
        return STATUS_INVALID_PARAMETER_2;
    if (allocate) {
        to->Buffer = umn__pool_alloc(PagedPool, need, TAG_STRING, caller);
        if (!to->Buffer)
            return STATUS_NO_MEMORY;
        to->MaximumLength = (USHORT)need;
    } else if (to->MaximumLength < need) {
        return STATUS_BUFFER_OVERFLOW;
    }
    RtlUnicodeToUTF8N(to->Buffer, need, &n, from->Buffer, from->Length);
    to->Length = (USHORT)n;
    to->Buffer[n] = 0;
    return STATUS_SUCCESS;
}

/* Terminated result. STATUS_NO_MEMORY, STATUS_BUFFER_OVERFLOW. PASSIVE_LEVEL.
 * nf-wdm-rtlansistringtounicodestring.md */
NTSTATUS NTAPI RtlAnsiStringToUnicodeString(PUNICODE_STRING DestinationString,
                                            PCANSI_STRING SourceString,
                                            BOOLEAN AllocateDestinationString)
{
    return to_unicode(DestinationString, SourceString, AllocateDestinationString,
                      __builtin_return_address(0));
}

/* nf-wdm-rtlunicodestringtoansistring.md */
NTSTATUS NTAPI RtlUnicodeStringToAnsiString(PANSI_STRING DestinationString,
                                            PCUNICODE_STRING SourceString,
                                            BOOLEAN AllocateDestinationString)
{
    return to_ansi(DestinationString, SourceString, AllocateDestinationString,
                   __builtin_return_address(0));
}

NTSTATUS NTAPI RtlUTF8StringToUnicodeString(PUNICODE_STRING DestinationString,
                                            PUTF8_STRING SourceString,
                                            BOOLEAN AllocateDestinationString)
{
    return to_unicode(DestinationString, SourceString, AllocateDestinationString,
                      __builtin_return_address(0));
}

NTSTATUS NTAPI RtlUnicodeStringToUTF8String(PUTF8_STRING DestinationString,
                                            PCUNICODE_STRING SourceString,
                                            BOOLEAN AllocateDestinationString)
{
    return to_ansi(DestinationString, SourceString, AllocateDestinationString,
                   __builtin_return_address(0));
}

/* Number of a terminated byte string, as RtlUnicodeStringToInteger. nf-ntddk-rtlchartointeger.md */
NTSTATUS NTAPI RtlCharToInteger(PCSZ String, ULONG Base, PULONG Value)
{
    WCHAR wide[72];
    UNICODE_STRING u = {.Buffer = wide, .MaximumLength = sizeof wide};
    size_t n = 0;
    for (const char *s = (const char *)String; *s && n < sizeof wide / sizeof wide[0]; s++)
        wide[n++] = (unsigned char)*s;
    u.Length = (USHORT)(n * sizeof *wide);
    return RtlUnicodeStringToInteger(&u, Base, Value);
}
