/* SPDX-License-Identifier: MIT */
/* Interlocked operations and fenced reads and writes. Each passes a scheduling point first, so that
 * the explorer can interleave contexts at every shared access that the driver made visible. */
#ifndef UMN_WDK_NT_INTERLOCKED_H
#define UMN_WDK_NT_INTERLOCKED_H

#include <nt/wdm_types.h>
#include <umpoint.h>

#include <nt/push.h>

FORCEINLINE LONG InterlockedIncrement(LONG volatile *Target)
{
    UMN_POINT(UMN_POINT_ADD, Target);
    return __atomic_add_fetch(Target, 1, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG InterlockedDecrement(LONG volatile *Target)
{
    UMN_POINT(UMN_POINT_ADD, Target);
    return __atomic_sub_fetch(Target, 1, __ATOMIC_SEQ_CST);
}

FORCEINLINE SHORT InterlockedIncrement16(SHORT volatile *Target)
{
    UMN_POINT(UMN_POINT_ADD, Target);
    return __atomic_add_fetch(Target, 1, __ATOMIC_SEQ_CST);
}

FORCEINLINE SHORT InterlockedDecrement16(SHORT volatile *Target)
{
    UMN_POINT(UMN_POINT_ADD, Target);
    return __atomic_sub_fetch(Target, 1, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedIncrement64(LONG64 volatile *Target)
{
    UMN_POINT(UMN_POINT_ADD, Target);
    return __atomic_add_fetch(Target, 1, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedDecrement64(LONG64 volatile *Target)
{
    UMN_POINT(UMN_POINT_ADD, Target);
    return __atomic_sub_fetch(Target, 1, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG InterlockedAdd(LONG volatile *Target, LONG Value)
{
    UMN_POINT(UMN_POINT_ADD, Target);
    return __atomic_add_fetch(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedAdd64(LONG64 volatile *Target, LONG64 Value)
{
    UMN_POINT(UMN_POINT_ADD, Target);
    return __atomic_add_fetch(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG InterlockedExchange(LONG volatile *Target, LONG Value)
{
    UMN_POINT(UMN_POINT_EXCHANGE, Target);
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG InterlockedExchangeAdd(LONG volatile *Target, LONG Value)
{
    UMN_POINT(UMN_POINT_ADD, Target);
    return __atomic_fetch_add(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG InterlockedAnd(LONG volatile *Target, LONG Value)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return __atomic_fetch_and(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG InterlockedOr(LONG volatile *Target, LONG Value)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return __atomic_fetch_or(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG InterlockedXor(LONG volatile *Target, LONG Value)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return __atomic_fetch_xor(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE CHAR InterlockedExchange8(CHAR volatile *Target, CHAR Value)
{
    UMN_POINT(UMN_POINT_EXCHANGE, Target);
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE CHAR InterlockedExchangeAdd8(CHAR volatile *Target, CHAR Value)
{
    UMN_POINT(UMN_POINT_ADD, Target);
    return __atomic_fetch_add(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE CHAR InterlockedAnd8(CHAR volatile *Target, CHAR Value)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return __atomic_fetch_and(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE CHAR InterlockedOr8(CHAR volatile *Target, CHAR Value)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return __atomic_fetch_or(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE CHAR InterlockedXor8(CHAR volatile *Target, CHAR Value)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return __atomic_fetch_xor(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE SHORT InterlockedExchange16(SHORT volatile *Target, SHORT Value)
{
    UMN_POINT(UMN_POINT_EXCHANGE, Target);
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE SHORT InterlockedExchangeAdd16(SHORT volatile *Target, SHORT Value)
{
    UMN_POINT(UMN_POINT_ADD, Target);
    return __atomic_fetch_add(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE SHORT InterlockedAnd16(SHORT volatile *Target, SHORT Value)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return __atomic_fetch_and(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE SHORT InterlockedOr16(SHORT volatile *Target, SHORT Value)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return __atomic_fetch_or(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE SHORT InterlockedXor16(SHORT volatile *Target, SHORT Value)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return __atomic_fetch_xor(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedExchange64(LONG64 volatile *Target, LONG64 Value)
{
    UMN_POINT(UMN_POINT_EXCHANGE, Target);
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedExchangeAdd64(LONG64 volatile *Target, LONG64 Value)
{
    UMN_POINT(UMN_POINT_ADD, Target);
    return __atomic_fetch_add(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedAnd64(LONG64 volatile *Target, LONG64 Value)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return __atomic_fetch_and(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedOr64(LONG64 volatile *Target, LONG64 Value)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return __atomic_fetch_or(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedXor64(LONG64 volatile *Target, LONG64 Value)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return __atomic_fetch_xor(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG InterlockedCompareExchange(LONG volatile *Target, LONG Value, LONG Comparand)
{
    UMN_POINT(UMN_POINT_COMPARE_EXCHANGE, Target);
    __atomic_compare_exchange_n(Target, &Comparand, Value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return Comparand;
}

FORCEINLINE SHORT InterlockedCompareExchange16(SHORT volatile *Target, SHORT Value, SHORT Comparand)
{
    UMN_POINT(UMN_POINT_COMPARE_EXCHANGE, Target);
    __atomic_compare_exchange_n(Target, &Comparand, Value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return Comparand;
}

FORCEINLINE LONG64 InterlockedCompareExchange64(LONG64 volatile *Target, LONG64 Value, LONG64 Comparand)
{
    UMN_POINT(UMN_POINT_COMPARE_EXCHANGE, Target);
    __atomic_compare_exchange_n(Target, &Comparand, Value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return Comparand;
}

FORCEINLINE PVOID InterlockedExchangePointer(PVOID volatile *Target, PVOID Value)
{
    UMN_POINT(UMN_POINT_EXCHANGE, Target);
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE PVOID InterlockedCompareExchangePointer(PVOID volatile *Target, PVOID Value, PVOID Comparand)
{
    UMN_POINT(UMN_POINT_COMPARE_EXCHANGE, Target);
    __atomic_compare_exchange_n(Target, &Comparand, Value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return Comparand;
}

FORCEINLINE BOOLEAN InterlockedBitTestAndSet(LONG volatile *Target, LONG Bit)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return (__atomic_fetch_or(Target, (LONG)1 << (Bit & 31), __ATOMIC_SEQ_CST) >> (Bit & 31)) & 1;
}

FORCEINLINE BOOLEAN InterlockedBitTestAndReset(LONG volatile *Target, LONG Bit)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return (__atomic_fetch_and(Target, ~((LONG)1 << (Bit & 31)), __ATOMIC_SEQ_CST) >> (Bit & 31)) & 1;
}

FORCEINLINE BOOLEAN InterlockedBitTestAndComplement(LONG volatile *Target, LONG Bit)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return (__atomic_fetch_xor(Target, (LONG)1 << (Bit & 31), __ATOMIC_SEQ_CST) >> (Bit & 31)) & 1;
}

FORCEINLINE BOOLEAN InterlockedBitTestAndSet64(LONG64 volatile *Target, LONG64 Bit)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return (__atomic_fetch_or(Target, (LONG64)1 << (Bit & 63), __ATOMIC_SEQ_CST) >> (Bit & 63)) & 1;
}

FORCEINLINE BOOLEAN InterlockedBitTestAndReset64(LONG64 volatile *Target, LONG64 Bit)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return (__atomic_fetch_and(Target, ~((LONG64)1 << (Bit & 63)), __ATOMIC_SEQ_CST) >> (Bit & 63)) & 1;
}

FORCEINLINE BOOLEAN InterlockedBitTestAndComplement64(LONG64 volatile *Target, LONG64 Bit)
{
    UMN_POINT(UMN_POINT_LOGIC, Target);
    return (__atomic_fetch_xor(Target, (LONG64)1 << (Bit & 63), __ATOMIC_SEQ_CST) >> (Bit & 63)) & 1;
}

/* The weaker-ordered names are the full-ordered operation: stronger is correct. */

#define InterlockedIncrementAcquire InterlockedIncrement
#define InterlockedIncrementRelease InterlockedIncrement
#define InterlockedIncrementNoFence InterlockedIncrement
#define InterlockedIncrementAcquire16 InterlockedIncrement16
#define InterlockedIncrementRelease16 InterlockedIncrement16
#define InterlockedIncrementNoFence16 InterlockedIncrement16
#define InterlockedIncrementAcquire64 InterlockedIncrement64
#define InterlockedIncrementRelease64 InterlockedIncrement64
#define InterlockedIncrementNoFence64 InterlockedIncrement64
#define InterlockedDecrementAcquire InterlockedDecrement
#define InterlockedDecrementRelease InterlockedDecrement
#define InterlockedDecrementNoFence InterlockedDecrement
#define InterlockedDecrementAcquire16 InterlockedDecrement16
#define InterlockedDecrementRelease16 InterlockedDecrement16
#define InterlockedDecrementNoFence16 InterlockedDecrement16
#define InterlockedDecrementAcquire64 InterlockedDecrement64
#define InterlockedDecrementRelease64 InterlockedDecrement64
#define InterlockedDecrementNoFence64 InterlockedDecrement64
#define InterlockedExchangeAcquire InterlockedExchange
#define InterlockedExchangeRelease InterlockedExchange
#define InterlockedExchangeNoFence InterlockedExchange
#define InterlockedExchangeAcquire16 InterlockedExchange16
#define InterlockedExchangeRelease16 InterlockedExchange16
#define InterlockedExchangeNoFence16 InterlockedExchange16
#define InterlockedExchangeAcquire64 InterlockedExchange64
#define InterlockedExchangeRelease64 InterlockedExchange64
#define InterlockedExchangeNoFence64 InterlockedExchange64
#define InterlockedExchangeAddAcquire InterlockedExchangeAdd
#define InterlockedExchangeAddRelease InterlockedExchangeAdd
#define InterlockedExchangeAddNoFence InterlockedExchangeAdd
#define InterlockedExchangeAddAcquire16 InterlockedExchangeAdd16
#define InterlockedExchangeAddRelease16 InterlockedExchangeAdd16
#define InterlockedExchangeAddNoFence16 InterlockedExchangeAdd16
#define InterlockedExchangeAddAcquire64 InterlockedExchangeAdd64
#define InterlockedExchangeAddRelease64 InterlockedExchangeAdd64
#define InterlockedExchangeAddNoFence64 InterlockedExchangeAdd64
#define InterlockedCompareExchangeAcquire InterlockedCompareExchange
#define InterlockedCompareExchangeRelease InterlockedCompareExchange
#define InterlockedCompareExchangeNoFence InterlockedCompareExchange
#define InterlockedCompareExchangeAcquire16 InterlockedCompareExchange16
#define InterlockedCompareExchangeRelease16 InterlockedCompareExchange16
#define InterlockedCompareExchangeNoFence16 InterlockedCompareExchange16
#define InterlockedCompareExchangeAcquire64 InterlockedCompareExchange64
#define InterlockedCompareExchangeRelease64 InterlockedCompareExchange64
#define InterlockedCompareExchangeNoFence64 InterlockedCompareExchange64
#define InterlockedAndAcquire InterlockedAnd
#define InterlockedAndRelease InterlockedAnd
#define InterlockedAndNoFence InterlockedAnd
#define InterlockedAndAcquire16 InterlockedAnd16
#define InterlockedAndRelease16 InterlockedAnd16
#define InterlockedAndNoFence16 InterlockedAnd16
#define InterlockedAndAcquire64 InterlockedAnd64
#define InterlockedAndRelease64 InterlockedAnd64
#define InterlockedAndNoFence64 InterlockedAnd64
#define InterlockedOrAcquire InterlockedOr
#define InterlockedOrRelease InterlockedOr
#define InterlockedOrNoFence InterlockedOr
#define InterlockedOrAcquire16 InterlockedOr16
#define InterlockedOrRelease16 InterlockedOr16
#define InterlockedOrNoFence16 InterlockedOr16
#define InterlockedOrAcquire64 InterlockedOr64
#define InterlockedOrRelease64 InterlockedOr64
#define InterlockedOrNoFence64 InterlockedOr64
#define InterlockedXorAcquire InterlockedXor
#define InterlockedXorRelease InterlockedXor
#define InterlockedXorNoFence InterlockedXor
#define InterlockedXorAcquire16 InterlockedXor16
#define InterlockedXorRelease16 InterlockedXor16
#define InterlockedXorNoFence16 InterlockedXor16
#define InterlockedXorAcquire64 InterlockedXor64
#define InterlockedXorRelease64 InterlockedXor64
#define InterlockedXorNoFence64 InterlockedXor64
#define InterlockedAddAcquire InterlockedAdd
#define InterlockedAddRelease InterlockedAdd
#define InterlockedAddNoFence InterlockedAdd
#define InterlockedAddAcquire64 InterlockedAdd64
#define InterlockedAddRelease64 InterlockedAdd64
#define InterlockedAddNoFence64 InterlockedAdd64
#define InterlockedBitTestAndSetAcquire InterlockedBitTestAndSet
#define InterlockedBitTestAndSetRelease InterlockedBitTestAndSet
#define InterlockedBitTestAndSetNoFence InterlockedBitTestAndSet
#define InterlockedBitTestAndSetAcquire64 InterlockedBitTestAndSet64
#define InterlockedBitTestAndSetRelease64 InterlockedBitTestAndSet64
#define InterlockedBitTestAndSetNoFence64 InterlockedBitTestAndSet64
#define InterlockedBitTestAndResetAcquire InterlockedBitTestAndReset
#define InterlockedBitTestAndResetRelease InterlockedBitTestAndReset
#define InterlockedBitTestAndResetNoFence InterlockedBitTestAndReset
#define InterlockedBitTestAndResetAcquire64 InterlockedBitTestAndReset64
#define InterlockedBitTestAndResetRelease64 InterlockedBitTestAndReset64
#define InterlockedBitTestAndResetNoFence64 InterlockedBitTestAndReset64
#define InterlockedExchangePointerAcquire InterlockedExchangePointer
#define InterlockedExchangePointerRelease InterlockedExchangePointer
#define InterlockedExchangePointerNoFence InterlockedExchangePointer
#define InterlockedCompareExchangePointerAcquire InterlockedCompareExchangePointer
#define InterlockedCompareExchangePointerRelease InterlockedCompareExchangePointer
#define InterlockedCompareExchangePointerNoFence InterlockedCompareExchangePointer

FORCEINLINE LONG ReadAcquire(LONG const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_ACQUIRE);
}

FORCEINLINE CHAR ReadAcquire8(CHAR const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_ACQUIRE);
}

FORCEINLINE SHORT ReadAcquire16(SHORT const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_ACQUIRE);
}

FORCEINLINE LONG64 ReadAcquire64(LONG64 const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_ACQUIRE);
}

FORCEINLINE BOOLEAN ReadBooleanAcquire(BOOLEAN const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_ACQUIRE);
}

FORCEINLINE INT32 ReadInt32Acquire(INT32 const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_ACQUIRE);
}

FORCEINLINE UCHAR ReadUCharAcquire(UCHAR const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_ACQUIRE);
}

FORCEINLINE UINT32 ReadUInt32Acquire(UINT32 const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_ACQUIRE);
}

FORCEINLINE ULONG ReadULongAcquire(ULONG const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_ACQUIRE);
}

FORCEINLINE ULONG64 ReadULong64Acquire(ULONG64 const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_ACQUIRE);
}

FORCEINLINE USHORT ReadUShortAcquire(USHORT const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_ACQUIRE);
}

FORCEINLINE PVOID ReadPointerAcquire(PVOID const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_ACQUIRE);
}

FORCEINLINE LONG ReadNoFence(LONG const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE CHAR ReadNoFence8(CHAR const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE SHORT ReadNoFence16(SHORT const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE LONG64 ReadNoFence64(LONG64 const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE BOOLEAN ReadBooleanNoFence(BOOLEAN const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE INT32 ReadInt32NoFence(INT32 const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE UCHAR ReadUCharNoFence(UCHAR const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE UINT32 ReadUInt32NoFence(UINT32 const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE ULONG ReadULongNoFence(ULONG const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE ULONG64 ReadULong64NoFence(ULONG64 const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE USHORT ReadUShortNoFence(USHORT const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE PVOID ReadPointerNoFence(PVOID const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE LONG ReadRaw(LONG const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE CHAR ReadRaw8(CHAR const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE SHORT ReadRaw16(SHORT const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE LONG64 ReadRaw64(LONG64 const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE BOOLEAN ReadBooleanRaw(BOOLEAN const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE INT32 ReadInt32Raw(INT32 const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE UCHAR ReadUCharRaw(UCHAR const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE UINT32 ReadUInt32Raw(UINT32 const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE ULONG ReadULongRaw(ULONG const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE ULONG64 ReadULong64Raw(ULONG64 const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE USHORT ReadUShortRaw(USHORT const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE PVOID ReadPointerRaw(PVOID const volatile *Target)
{
    UMN_POINT(UMN_POINT_READ, Target);
    return __atomic_load_n(Target, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteRelease(LONG volatile *Target, LONG Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELEASE);
}

FORCEINLINE void WriteRelease8(CHAR volatile *Target, CHAR Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELEASE);
}

FORCEINLINE void WriteRelease16(SHORT volatile *Target, SHORT Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELEASE);
}

FORCEINLINE void WriteRelease64(LONG64 volatile *Target, LONG64 Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELEASE);
}

FORCEINLINE void WriteBooleanRelease(BOOLEAN volatile *Target, BOOLEAN Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELEASE);
}

FORCEINLINE void WriteInt32Release(INT32 volatile *Target, INT32 Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELEASE);
}

FORCEINLINE void WriteUCharRelease(UCHAR volatile *Target, UCHAR Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELEASE);
}

FORCEINLINE void WriteUInt32Release(UINT32 volatile *Target, UINT32 Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELEASE);
}

FORCEINLINE void WriteULongRelease(ULONG volatile *Target, ULONG Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELEASE);
}

FORCEINLINE void WriteULong64Release(ULONG64 volatile *Target, ULONG64 Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELEASE);
}

FORCEINLINE void WriteUShortRelease(USHORT volatile *Target, USHORT Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELEASE);
}

FORCEINLINE void WritePointerRelease(PVOID volatile *Target, PVOID Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELEASE);
}

FORCEINLINE void WriteNoFence(LONG volatile *Target, LONG Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteNoFence8(CHAR volatile *Target, CHAR Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteNoFence16(SHORT volatile *Target, SHORT Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteNoFence64(LONG64 volatile *Target, LONG64 Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteBooleanNoFence(BOOLEAN volatile *Target, BOOLEAN Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteInt32NoFence(INT32 volatile *Target, INT32 Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteUCharNoFence(UCHAR volatile *Target, UCHAR Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteUInt32NoFence(UINT32 volatile *Target, UINT32 Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteULongNoFence(ULONG volatile *Target, ULONG Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteULong64NoFence(ULONG64 volatile *Target, ULONG64 Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteUShortNoFence(USHORT volatile *Target, USHORT Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WritePointerNoFence(PVOID volatile *Target, PVOID Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteRaw(LONG volatile *Target, LONG Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteRaw8(CHAR volatile *Target, CHAR Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteRaw16(SHORT volatile *Target, SHORT Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteRaw64(LONG64 volatile *Target, LONG64 Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteInt32Raw(INT32 volatile *Target, INT32 Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteUCharRaw(UCHAR volatile *Target, UCHAR Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteUInt32Raw(UINT32 volatile *Target, UINT32 Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteULongRaw(ULONG volatile *Target, ULONG Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteULong64Raw(ULONG64 volatile *Target, ULONG64 Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WriteUShortRaw(USHORT volatile *Target, USHORT Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE void WritePointerRaw(PVOID volatile *Target, PVOID Value)
{
    UMN_POINT(UMN_POINT_WRITE, Target);
    __atomic_store_n(Target, Value, __ATOMIC_RELAXED);
}

FORCEINLINE BOOLEAN InterlockedCompareExchange128(LONG64 volatile *Target, LONG64 ValueHigh,
                                                  LONG64 ValueLow, LONG64 *Comparand)
{
    BOOLEAN Equal;

    UMN_POINT(UMN_POINT_COMPARE_EXCHANGE, Target);
    __asm__ __volatile__("lock cmpxchg16b %1"
                         : "=@ccz"(Equal), "+m"(*(volatile __int128 *)Target), "+a"(Comparand[0]),
                           "+d"(Comparand[1])
                         : "b"(ValueLow), "c"(ValueHigh)
                         : "memory");
    return Equal;
}

#define InterlockedIncrementSizeT(a) ((SIZE_T)InterlockedIncrement64((LONG64 volatile *)(a)))
#define InterlockedDecrementSizeT(a) ((SIZE_T)InterlockedDecrement64((LONG64 volatile *)(a)))
#define InterlockedExchangeAddSizeT(a, b)                                                          \
    ((SIZE_T)InterlockedExchangeAdd64((LONG64 volatile *)(a), (LONG64)(b)))
#define InterlockedIncrementSizeTNoFence InterlockedIncrementSizeT
#define InterlockedDecrementSizeTNoFence InterlockedDecrementSizeT

FORCEINLINE void KeMemoryBarrier(void)
{
    UMN_POINT(UMN_POINT_READ, NULL);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#define KeMemoryBarrierWithoutFence() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define MemoryBarrier() KeMemoryBarrier()
#define YieldProcessor() __builtin_ia32_pause()

FORCEINLINE void BarrierAfterRead(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

#include <nt/pop.h>

#endif
