/* SPDX-License-Identifier: MIT */
/*
 * Bitmaps in the caller's memory: bit N is bit N % 32 of word N / 32. No state, no lock; any level
 * as long as the memory is resident. Ranges that leave the bitmap are the caller's mistake and
 * touch nothing.
 */
#include "nt/private.h"

static bool get(const RTL_BITMAP *map, ULONG bit)
{
    return map->Buffer[bit / 32] >> (bit % 32) & 1;
}

static bool in_range(const RTL_BITMAP *map, ULONG start, ULONG length)
{
    return start <= map->SizeOfBitMap && length <= map->SizeOfBitMap - start;
}

static void put(PRTL_BITMAP map, ULONG start, ULONG length, bool set)
{
    if (!in_range(map, start, length))
        return;
    for (ULONG i = start; i < start + length; i++)
        if (set)
            map->Buffer[i / 32] |= 1u << (i % 32);
        else
            map->Buffer[i / 32] &= ~(1u << (i % 32));
}

/* nf-wdm-rtlinitializebitmap.md */
void NTAPI RtlInitializeBitMap(PRTL_BITMAP BitMapHeader, PULONG BitMapBuffer, ULONG SizeOfBitMap)
{
    BitMapHeader->SizeOfBitMap = SizeOfBitMap;
    BitMapHeader->Buffer = BitMapBuffer;
}

void NTAPI RtlClearAllBits(PRTL_BITMAP BitMapHeader)
{
    put(BitMapHeader, 0, BitMapHeader->SizeOfBitMap, false);
}

void NTAPI RtlSetAllBits(PRTL_BITMAP BitMapHeader)
{
    put(BitMapHeader, 0, BitMapHeader->SizeOfBitMap, true);
}

void NTAPI RtlClearBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber)
{
    put(BitMapHeader, BitNumber, 1, false);
}

void NTAPI RtlSetBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber)
{
    put(BitMapHeader, BitNumber, 1, true);
}

void NTAPI RtlClearBits(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG NumberToClear)
{
    put(BitMapHeader, StartingIndex, NumberToClear, false);
}

void NTAPI RtlSetBits(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG NumberToSet)
{
    put(BitMapHeader, StartingIndex, NumberToSet, true);
}

BOOLEAN NTAPI RtlTestBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber)
{
    return BitNumber < BitMapHeader->SizeOfBitMap && get(BitMapHeader, BitNumber);
}

static bool all_are(const RTL_BITMAP *map, ULONG start, ULONG length, bool set)
{
    if (!length || !in_range(map, start, length))
        return false;
    for (ULONG i = start; i < start + length; i++)
        if (get(map, i) != set)
            return false;
    return true;
}

/* FALSE for an empty or impossible range. nf-wdm-rtlarebitsclear.md */
BOOLEAN NTAPI RtlAreBitsClear(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length)
{
    return all_are(BitMapHeader, StartingIndex, Length, false);
}

BOOLEAN NTAPI RtlAreBitsSet(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length)
{
    return all_are(BitMapHeader, StartingIndex, Length, true);
}

static ULONG count(const RTL_BITMAP *map, ULONG start, ULONG length, bool set)
{
    ULONG n = 0;
    if (!in_range(map, start, length))
        return 0;
    for (ULONG i = start; i < start + length; i++)
        n += get(map, i) == set;
    return n;
}

ULONG NTAPI RtlNumberOfSetBits(PRTL_BITMAP BitMapHeader)
{
    return count(BitMapHeader, 0, BitMapHeader->SizeOfBitMap, true);
}

ULONG NTAPI RtlNumberOfClearBits(PRTL_BITMAP BitMapHeader)
{
    return count(BitMapHeader, 0, BitMapHeader->SizeOfBitMap, false);
}

ULONG NTAPI RtlNumberOfSetBitsInRange(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length)
{
    return count(BitMapHeader, StartingIndex, Length, true);
}

ULONG NTAPI RtlNumberOfClearBitsInRange(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length)
{
    return count(BitMapHeader, StartingIndex, Length, false);
}

/* First run of `number` bits equal to `set`, from the hint on, then from the start. */
static ULONG find(const RTL_BITMAP *map, ULONG number, ULONG hint, bool set)
{
    ULONG size = map->SizeOfBitMap;
    if (hint >= size)
        hint = 0;
    if (!number)
        return hint & ~7u; /* documented: the byte of the hint */
    for (int pass = 0; pass < 2; pass++) {
        ULONG run = 0;
        for (ULONG i = pass ? 0 : hint; i < size; i++) {
            run = get(map, i) == set ? run + 1 : 0;
            if (run == number)
                return i - number + 1;
        }
        if (!hint)
            break;
    }
    return 0xffffffffu;
}

/* 0xFFFFFFFF: there is no such run. nf-wdm-rtlfindclearbits.md */
ULONG NTAPI RtlFindClearBits(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)
{
    return find(BitMapHeader, NumberToFind, HintIndex, false);
}

ULONG NTAPI RtlFindSetBits(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)
{
    return find(BitMapHeader, NumberToFind, HintIndex, true);
}

ULONG NTAPI RtlFindClearBitsAndSet(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)
{
    ULONG at = find(BitMapHeader, NumberToFind, HintIndex, false);
    if (at != 0xffffffffu)
        put(BitMapHeader, at, NumberToFind, true);
    return at;
}

ULONG NTAPI RtlFindSetBitsAndClear(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)
{
    ULONG at = find(BitMapHeader, NumberToFind, HintIndex, true);
    if (at != 0xffffffffu)
        put(BitMapHeader, at, NumberToFind, false);
    return at;
}

/* Length of the next run of clear bits from FromIndex on; 0: none.
 * nf-wdm-rtlfindnextforwardrunclear.md */
ULONG NTAPI RtlFindNextForwardRunClear(PRTL_BITMAP BitMapHeader, ULONG FromIndex,
                                       PULONG StartingRunIndex)
{
    ULONG size = BitMapHeader->SizeOfBitMap, start = FromIndex, end;
    while (start < size && get(BitMapHeader, start))
        start++;
    for (end = start; end < size && !get(BitMapHeader, end); end++)
        ;
    *StartingRunIndex = start;
    return end - start;
}

ULONG NTAPI RtlFindFirstRunClear(PRTL_BITMAP BitMapHeader, PULONG StartingIndex)
{
    return RtlFindNextForwardRunClear(BitMapHeader, 0, StartingIndex);
}

ULONG NTAPI RtlFindLongestRunClear(PRTL_BITMAP BitMapHeader, PULONG StartingIndex)
{
    ULONG best = 0, at = 0, start, n;
    *StartingIndex = 0;
    while ((n = RtlFindNextForwardRunClear(BitMapHeader, at, &start)) != 0) {
        if (n > best) {
            best = n;
            *StartingIndex = start;
        }
        at = start + n;
    }
    return best;
}
