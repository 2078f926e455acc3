/* SPDX-License-Identifier: MIT */
/*
 * The rest of the run-time library: memory, version, time fields, one-time initialization, random
 * numbers. Any level unless a line says otherwise.
 */
#include "nt/private.h"

#include <string.h>

/* Number of equal bytes at the start. nf-wdm-rtlcomparememory.md */
SIZE_T NTAPI RtlCompareMemory(const void *Source1, const void *Source2, SIZE_T Length)
{
    const unsigned char *a = Source1, *b = Source2;
    SIZE_T i = 0;
    while (i < Length && a[i] == b[i])
        i++;
    return i;
}

/* A failed assertion of a driver built with DBG. */
void NTAPI RtlAssert(PVOID FailedAssertion, PVOID FileName, ULONG LineNumber, PSTR Message)
{
    umn__report("Assertion", 0, "%s:%u: assertion failed: %s", (const char *)FileName, LineNumber,
                (const char *)FailedAssertion);
}

/* ---- version: Windows 11 22H2 (10.0.22621), a release whose NDIS is 6.87 --------------------- */

#define VER_MAJOR 10
#define VER_MINOR 0
#define VER_BUILD 22621

/* dwOSVersionInfoSize tells which of the two structures it is. PASSIVE_LEVEL.
 * nf-wdm-rtlgetversion.md */
NTSTATUS NTAPI RtlGetVersion(PRTL_OSVERSIONINFOW lpVersionInformation)
{
    ULONG size = lpVersionInformation->dwOSVersionInfoSize;
    if (size != sizeof(RTL_OSVERSIONINFOW) && size != sizeof(RTL_OSVERSIONINFOEXW))
        return STATUS_INVALID_PARAMETER;
    memset(lpVersionInformation, 0, size);
    lpVersionInformation->dwOSVersionInfoSize = size;
    lpVersionInformation->dwMajorVersion = VER_MAJOR;
    lpVersionInformation->dwMinorVersion = VER_MINOR;
    lpVersionInformation->dwBuildNumber = VER_BUILD;
    lpVersionInformation->dwPlatformId = 2; /* VER_PLATFORM_WIN32_NT */
    if (size == sizeof(RTL_OSVERSIONINFOEXW))
        ((PRTL_OSVERSIONINFOEXW)lpVersionInformation)->wProductType = 1; /* VER_NT_WORKSTATION */
    return STATUS_SUCCESS;
}

/* TRUE: a free build. nf-ntddk-psgetversion.md */
BOOLEAN NTAPI PsGetVersion(PULONG MajorVersion, PULONG MinorVersion, PULONG BuildNumber,
                           PUNICODE_STRING CSDVersion)
{
    if (MajorVersion)
        *MajorVersion = VER_MAJOR;
    if (MinorVersion)
        *MinorVersion = VER_MINOR;
    if (BuildNumber)
        *BuildNumber = VER_BUILD;
    if (CSDVersion)
        umn__us_init(CSDVersion, NULL);
    return FALSE;
}

/* Version is an NTDDI value: 0x0A000000 and its like. nf-wdm-rtlisntddiversionavailable.md */
BOOLEAN NTAPI RtlIsNtDdiVersionAvailable(ULONG Version)
{
    return (Version & 0xffff) == 0 && Version <= 0x0a000000;
}

BOOLEAN NTAPI RtlIsServicePackVersionInstalled(ULONG Version)
{
    return Version <= 0x0a000000;
}

/* WDM 1.30 is what Windows Vista and later report; up to 6.x is available. */
BOOLEAN NTAPI IoIsWdmVersionAvailable(UCHAR MajorVersion, UCHAR MinorVersion)
{
    return MajorVersion < 6 || (MajorVersion == 6 && MinorVersion == 0);
}

/* Three bits of condition for each of the type bits. nf-ntifs-versetconditionmask.md */
ULONGLONG NTAPI VerSetConditionMask(ULONGLONG ConditionMask, ULONG TypeMask, UCHAR Condition)
{
    for (unsigned bit = 0; bit < 8; bit++)
        if (TypeMask & (1u << bit))
            ConditionMask |= (ULONGLONG)(Condition & 7) << (3 * bit);
    return ConditionMask;
}

static bool condition_holds(ULONG have, ULONG want, unsigned condition)
{
    switch (condition) {
    case VER_EQUAL:
        return have == want;
    case VER_GREATER:
        return have > want;
    case VER_GREATER_EQUAL:
        return have >= want;
    case VER_LESS:
        return have < want;
    case VER_LESS_EQUAL:
        return have <= want;
    case VER_AND:
        return (have & want) == want;
    case VER_OR:
        return (have & want) != 0;
    default:
        return false;
    }
}

/* STATUS_REVISION_MISMATCH: the system does not meet it. Major and minor version are compared as
 * one number. PASSIVE_LEVEL. nf-wdm-rtlverifyversioninfo.md */
NTSTATUS NTAPI RtlVerifyVersionInfo(PRTL_OSVERSIONINFOEXW VersionInfo, ULONG TypeMask,
                                    ULONGLONG ConditionMask)
{
    struct {
        ULONG type, have, want;
    } items[] = {
        {VER_BUILDNUMBER, VER_BUILD, VersionInfo->dwBuildNumber},
        {VER_PLATFORMID, 2, VersionInfo->dwPlatformId},
        {VER_SERVICEPACKMAJOR, 0, VersionInfo->wServicePackMajor},
        {VER_SERVICEPACKMINOR, 0, VersionInfo->wServicePackMinor},
        {VER_PRODUCT_TYPE, 1, VersionInfo->wProductType},
    };
    ULONG version = TypeMask & (VER_MAJORVERSION | VER_MINORVERSION);
    if (!TypeMask)
        return STATUS_INVALID_PARAMETER;
    if (version) {
        ULONG major = VersionInfo->dwMajorVersion, minor = VersionInfo->dwMinorVersion;
        unsigned bit = version & VER_MAJORVERSION ? 1 : 0;
        ULONG have = (version & VER_MAJORVERSION ? VER_MAJOR << 16 : 0) +
                     (version & VER_MINORVERSION ? VER_MINOR : 0);
        ULONG want = (version & VER_MAJORVERSION ? major << 16 : 0) +
                     (version & VER_MINORVERSION ? minor : 0);
        if (!condition_holds(have, want, (unsigned)(ConditionMask >> (3 * bit)) & 7))
            return STATUS_REVISION_MISMATCH;
    }
    for (unsigned i = 0; i < sizeof items / sizeof items[0]; i++) {
        unsigned bit = (unsigned)__builtin_ctz(items[i].type);
        if ((TypeMask & items[i].type) &&
            !condition_holds(items[i].have, items[i].want,
                             (unsigned)(ConditionMask >> (3 * bit)) & 7))
            return STATUS_REVISION_MISMATCH;
    }
    return STATUS_SUCCESS;
}

/* ---- time ------------------------------------------------------------------------------------ */

#define DAY 864000000000ll /* 100 ns in a day */

/* Days from 1601-01-01 to the first day of a month of the proleptic Gregorian calendar. */
static LONGLONG days_to(LONGLONG year, unsigned month)
{
    static const short before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    LONGLONG y = year - 1601;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return y * 365 + y / 4 - y / 100 + y / 400 + before[month - 1] + (leap && month > 2);
}

/* nf-wdm-rtltimetotimefields.md */
void NTAPI RtlTimeToTimeFields(PLARGE_INTEGER Time, PTIME_FIELDS TimeFields)
{
    LONGLONG days = Time->QuadPart / DAY, rest = Time->QuadPart % DAY;
    LONGLONG year = 1601 + days / 366;
    unsigned month = 1;
    while (days_to(year + 1, 1) <= days)
        year++;
    while (month < 12 && days_to(year, month + 1) <= days)
        month++;
    TimeFields->Year = (CSHORT)year;
    TimeFields->Month = (CSHORT)month;
    TimeFields->Day = (CSHORT)(days - days_to(year, month) + 1);
    TimeFields->Hour = (CSHORT)(rest / 36000000000ll);
    TimeFields->Minute = (CSHORT)(rest / 600000000ll % 60);
    TimeFields->Second = (CSHORT)(rest / 10000000ll % 60);
    TimeFields->Milliseconds = (CSHORT)(rest / 10000ll % 1000);
    TimeFields->Weekday = (CSHORT)((days + 1) % 7); /* 1601-01-01 was a Monday */
}

/* FALSE: no such time. nf-wdm-rtltimefieldstotime.md */
BOOLEAN NTAPI RtlTimeFieldsToTime(PTIME_FIELDS TimeFields, PLARGE_INTEGER Time)
{
    const TIME_FIELDS *f = TimeFields;
    if (f->Year < 1601 || f->Month < 1 || f->Month > 12 || f->Day < 1 || f->Hour < 0 ||
        f->Hour > 23 || f->Minute < 0 || f->Minute > 59 || f->Second < 0 || f->Second > 59 ||
        f->Milliseconds < 0 || f->Milliseconds > 999)
        return FALSE;
    LONGLONG first = days_to(f->Year, (unsigned)f->Month);
    LONGLONG next =
        f->Month == 12 ? days_to(f->Year + 1, 1) : days_to(f->Year, (unsigned)f->Month + 1);
    if (f->Day > next - first)
        return FALSE;
    Time->QuadPart = (first + f->Day - 1) * DAY + f->Hour * 36000000000ll +
                     f->Minute * 600000000ll + f->Second * 10000000ll + f->Milliseconds * 10000ll;
    return TRUE;
}

/* ---- bits ------------------------------------------------------------------------------------ */

/* -1: none. nf-wdm-rtlfindleastsignificantbit.md */
CCHAR NTAPI RtlFindLeastSignificantBit(ULONGLONG Set)
{
    return (CCHAR)(Set ? __builtin_ctzll(Set) : -1);
}

CCHAR NTAPI RtlFindMostSignificantBit(ULONGLONG Set)
{
    return (CCHAR)(Set ? 63 - __builtin_clzll(Set) : -1);
}

ULONG NTAPI RtlNumberOfSetBitsUlongPtr(ULONG_PTR Target)
{
    return (ULONG)__builtin_popcountll(Target);
}

/* ---- random ---------------------------------------------------------------------------------- */

/*
 * A number from 0 to MAXLONG - 1 from *Seed, which becomes the next seed. Depends on nothing else,
 * so that equal runs stay equal. PASSIVE_LEVEL on Windows. nf-ntifs-rtlrandomex.md
 */
extern ULONG NTAPI RtlRandomEx(PULONG Seed);
ULONG NTAPI RtlRandomEx(PULONG Seed)
{
    *Seed = (ULONG)((0x7fffffedull * *Seed + 0x7fffffc3ull) % 0x7fffffffull);
    return *Seed % 0x7fffffffu;
}

extern ULONG NTAPI RtlRandom(PULONG Seed);
ULONG NTAPI RtlRandom(PULONG Seed)
{
    return RtlRandomEx(Seed);
}

static uint64_t uuids; /* made since the box started */

void rtl__start(void)
{
    uuids = 0;
}

/* A version 4 GUID. PASSIVE_LEVEL. Explore: from a counter, so that equal runs stay equal.
 * nf-ntddk-exuuidcreate.md */
NTSTATUS NTAPI ExUuidCreate(UUID *Uuid)
{
    unsigned char bytes[16];
    if (umn__sched_backend() == UMN_BACKEND_EXPLORE) {
        uint64_t n = __atomic_add_fetch(&uuids, 1, __ATOMIC_RELAXED);
        for (int i = 0; i < 16; i++)
            bytes[i] =
                (unsigned char)((n * 0x9e3779b97f4a7c15ull + (uint64_t)i * 0xbf58476d1ce4e5b9ull) >>
                                (8 * (i % 7)));
    } else {
        plat_random(bytes, sizeof bytes);
    }
    bytes[7] = (unsigned char)((bytes[7] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    memcpy(Uuid, bytes, sizeof *Uuid);
    return STATUS_SUCCESS;
}

/* TRUE if every byte is zero. */
BOOLEAN NTAPI RtlIsZeroMemory(PVOID Buffer, SIZE_T Length)
{
    const unsigned char *p = Buffer;
    for (SIZE_T i = 0; i < Length; i++)
        if (p[i])
            return FALSE;
    return TRUE;
}

/* CRC-32 (IEEE 802.3, reflected) of a buffer, going on from a former result; 0 at first. */
ULONG NTAPI RtlCrc32(const void *Buffer, size_t Size, ULONG InitialCrc)
{
    const unsigned char *p = Buffer;
    ULONG crc = ~InitialCrc;
    for (size_t i = 0; i < Size; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* Kernel drivers run in kernel mode. */
KPROCESSOR_MODE NTAPI ExGetPreviousMode(void)
{
    return KernelMode;
}
