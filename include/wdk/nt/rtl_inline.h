/* SPDX-License-Identifier: MIT */
/* Memory, string and large-integer helpers of the run-time library. */
#ifndef UMN_WDK_NT_RTL_INLINE_H
#define UMN_WDK_NT_RTL_INLINE_H

#include <nt/wdm_types.h>

#include <nt/push.h>

#if defined(_WIN32)
void *__cdecl memcpy(void *Destination, const void *Source, size_t Length);
void *__cdecl memmove(void *Destination, const void *Source, size_t Length);
void *__cdecl memset(void *Destination, int Fill, size_t Length);
int __cdecl memcmp(const void *Source1, const void *Source2, size_t Length);
#endif

#define RtlEqualMemory(Destination, Source, Length)                                                \
    (!__builtin_memcmp((Destination), (Source), (Length)))
#define RtlMoveMemory(Destination, Source, Length)                                                 \
    ((void)__builtin_memmove((Destination), (Source), (Length)))
#define RtlCopyMemory(Destination, Source, Length)                                                 \
    ((void)__builtin_memcpy((Destination), (Source), (Length)))
#define RtlFillMemory(Destination, Length, Fill)                                                   \
    ((void)__builtin_memset((Destination), (Fill), (Length)))
#define RtlZeroMemory(Destination, Length) ((void)__builtin_memset((Destination), 0, (Length)))
#define RtlCopyBytes RtlCopyMemory
#define RtlZeroBytes RtlZeroMemory
#define RtlFillBytes RtlFillMemory

FORCEINLINE PVOID RtlSecureZeroMemory(PVOID Destination, SIZE_T Length)
{
    volatile UCHAR *Byte = (volatile UCHAR *)Destination;

    while (Length-- != 0)
        *Byte++ = 0;
    return Destination;
}

FORCEINLINE int RtlConstantTimeEqualMemory(const void *V1, const void *V2, ULONG Length)
{
    const UCHAR *Left = (const UCHAR *)V1;
    const UCHAR *Right = (const UCHAR *)V2;
    UCHAR Differ = 0;

    for (ULONG i = 0; i < Length; i++)
        Differ |= (UCHAR)(Left[i] ^ Right[i]);
    return Differ == 0;
}

FORCEINLINE void RtlInitEmptyAnsiString(PANSI_STRING String, PCHAR Buffer, USHORT BufferSize)
{
    String->Length = 0;
    String->MaximumLength = BufferSize;
    String->Buffer = Buffer;
}

FORCEINLINE void RtlInitEmptyUnicodeString(PUNICODE_STRING String, PWCHAR Buffer, USHORT BufferSize)
{
    String->Length = 0;
    String->MaximumLength = BufferSize;
    String->Buffer = Buffer;
}

FORCEINLINE BOOLEAN RtlCheckBit(PRTL_BITMAP BitMapHeader, ULONG BitPosition)
{
    return (BitMapHeader->Buffer[BitPosition / 32] >> (BitPosition % 32)) & 1;
}

FORCEINLINE LARGE_INTEGER RtlConvertLongToLargeInteger(LONG SignedInteger)
{
    LARGE_INTEGER Result;

    Result.QuadPart = SignedInteger;
    return Result;
}

FORCEINLINE LARGE_INTEGER RtlConvertUlongToLargeInteger(ULONG UnsignedInteger)
{
    LARGE_INTEGER Result;

    Result.QuadPart = UnsignedInteger;
    return Result;
}

FORCEINLINE LUID RtlConvertLongToLuid(LONG Long)
{
    LUID Luid;

    Luid.LowPart = (ULONG)Long;
    Luid.HighPart = Long < 0 ? -1 : 0;
    return Luid;
}

FORCEINLINE LUID RtlConvertUlongToLuid(ULONG Ulong)
{
    LUID Luid;

    Luid.LowPart = Ulong;
    Luid.HighPart = 0;
    return Luid;
}

#define RtlCheckUlongToLuid RtlConvertUlongToLuid
#define RtlIsZeroLuid(L) ((BOOLEAN)(((L)->LowPart | (ULONG)(L)->HighPart) == 0))
#define RtlEqualLuid(L1, L2)                                                                       \
    (((L1)->LowPart == (L2)->LowPart) && ((L1)->HighPart == (L2)->HighPart))

#define RtlFailFast(Code) ((void)(Code), __builtin_trap())

#define RtlStoreUshort(Address, Value) (*(USHORT *)(Address) = (USHORT)(Value))
#define RtlStoreUlong(Address, Value) (*(ULONG *)(Address) = (ULONG)(Value))
#define RtlStoreUlonglong(Address, Value) (*(ULONGLONG *)(Address) = (ULONGLONG)(Value))
#define RtlStoreUlongPtr(Address, Value) RtlStoreUlonglong(Address, Value)
#define RtlRetrieveUshort(Destination, Source) RtlCopyMemory(Destination, Source, sizeof(USHORT))
#define RtlRetrieveUlong(Destination, Source) RtlCopyMemory(Destination, Source, sizeof(ULONG))
#define RtlUnicodeStringToAnsiSize(String) RtlxUnicodeStringToAnsiSize(String)
#define RtlAnsiStringToUnicodeSize(String) RtlxAnsiStringToUnicodeSize(String)

FORCEINLINE LARGE_INTEGER RtlLargeIntegerAdd(LARGE_INTEGER Addend1, LARGE_INTEGER Addend2)
{
    LARGE_INTEGER Sum;

    Sum.QuadPart = Addend1.QuadPart + Addend2.QuadPart;
    return Sum;
}

FORCEINLINE LARGE_INTEGER RtlLargeIntegerSubtract(LARGE_INTEGER Number, LARGE_INTEGER Subtrahend)
{
    LARGE_INTEGER Difference;

    Difference.QuadPart = Number.QuadPart - Subtrahend.QuadPart;
    return Difference;
}

FORCEINLINE LARGE_INTEGER RtlLargeIntegerNegate(LARGE_INTEGER Number)
{
    LARGE_INTEGER Negative;

    Negative.QuadPart = -Number.QuadPart;
    return Negative;
}

FORCEINLINE LARGE_INTEGER RtlLargeIntegerShiftLeft(LARGE_INTEGER Number, CCHAR ShiftCount)
{
    LARGE_INTEGER Result;

    Result.QuadPart = (LONGLONG)((ULONGLONG)Number.QuadPart << ShiftCount);
    return Result;
}

FORCEINLINE LARGE_INTEGER RtlLargeIntegerShiftRight(LARGE_INTEGER Number, CCHAR ShiftCount)
{
    LARGE_INTEGER Result;

    Result.QuadPart = (LONGLONG)((ULONGLONG)Number.QuadPart >> ShiftCount);
    return Result;
}

FORCEINLINE LARGE_INTEGER RtlEnlargedIntegerMultiply(LONG Multiplicand, LONG Multiplier)
{
    LARGE_INTEGER Product;

    Product.QuadPart = (LONGLONG)Multiplicand * Multiplier;
    return Product;
}

FORCEINLINE LARGE_INTEGER RtlEnlargedUnsignedMultiply(ULONG Multiplicand, ULONG Multiplier)
{
    LARGE_INTEGER Product;

    Product.QuadPart = (LONGLONG)((ULONGLONG)Multiplicand * Multiplier);
    return Product;
}

FORCEINLINE LARGE_INTEGER RtlExtendedIntegerMultiply(LARGE_INTEGER Multiplicand, LONG Multiplier)
{
    LARGE_INTEGER Product;

    Product.QuadPart = Multiplicand.QuadPart * Multiplier;
    return Product;
}

#define RtlUshortByteSwap(x) __builtin_bswap16((USHORT)(x))
#define RtlUlongByteSwap(x) __builtin_bswap32((ULONG)(x))
#define RtlUlonglongByteSwap(x) __builtin_bswap64((ULONGLONG)(x))

#include <nt/pop.h>

#endif
