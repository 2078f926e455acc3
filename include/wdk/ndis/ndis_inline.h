/* SPDX-License-Identifier: MIT */
/* Function-like macros and inline functions of ndis.h. The spin lock functions stand here as exported
 * functions: NDIS exports them beside the macro forms, and a checker can see who holds what. */
#ifndef UMN_WDK_NDIS_NDIS_INLINE_H
#define UMN_WDK_NDIS_NDIS_INLINE_H

#include <ndis/nblaccessors.h>
#include <ndis/ndis_api.h>

#include <nt/push.h>

/* Memory. */

#define NdisMoveMemory(Destination, Source, Length) RtlCopyMemory(Destination, Source, Length)
#define NdisZeroMemory(Destination, Length) RtlZeroMemory(Destination, Length)
#define NdisFillMemory(Destination, Length, Fill) RtlFillMemory(Destination, Length, Fill)
#define NdisEqualMemory(Source1, Source2, Length) RtlEqualMemory(Source1, Source2, Length)
#define NdisRetrieveUlong(Destination, Source)                                                     \
    ((void)__builtin_memcpy((Destination), (Source), sizeof(ULONG)))
#define NdisStoreUlong(Destination, Value)                                                         \
    do {                                                                                           \
        ULONG UmnValue = (Value);                                                                  \
        __builtin_memcpy((Destination), &UmnValue, sizeof(UmnValue));                              \
    } while (0)

/* Look-aside lists. */

FORCEINLINE void NdisInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside,
                                                   PALLOCATE_FUNCTION Allocate, PFREE_FUNCTION Free,
                                                   ULONG Flags, SIZE_T Size, ULONG Tag,
                                                   USHORT Depth)
{
    ExInitializeNPagedLookasideList(Lookaside, Allocate, Free, Flags, Size, Tag, Depth);
}

#define NdisDeleteNPagedLookasideList(L) ExDeleteNPagedLookasideList(L)
#define NdisAllocateFromNPagedLookasideList(L) ExAllocateFromNPagedLookasideList(L)
#define NdisFreeToNPagedLookasideList(_L, _E) ExFreeToNPagedLookasideList(_L, _E)

/* Locks, mutexes, IRQL. */

FORCEINLINE void NdisAllocateSpinLock(PNDIS_SPIN_LOCK SpinLock)
{
    KeInitializeSpinLock(&SpinLock->SpinLock);
}

FORCEINLINE void NdisFreeSpinLock(PNDIS_SPIN_LOCK SpinLock)
{
    (void)SpinLock;
}

NDISAPI void NTAPI NdisAcquireSpinLock(PNDIS_SPIN_LOCK SpinLock);
NDISAPI void NTAPI NdisReleaseSpinLock(PNDIS_SPIN_LOCK SpinLock);
NDISAPI void NTAPI NdisDprAcquireSpinLock(PNDIS_SPIN_LOCK SpinLock);
NDISAPI void NTAPI NdisDprReleaseSpinLock(PNDIS_SPIN_LOCK SpinLock);

#define NDIS_INIT_MUTEX(_M_) ExInitializeFastMutex(_M_)
#define NDIS_WAIT_FOR_MUTEX(_M_) ExAcquireFastMutex(_M_)
#define NDIS_RELEASE_MUTEX(_M_) ExReleaseFastMutex(_M_)

#define NDIS_CURRENT_IRQL() KeGetCurrentIrql()
#define NDIS_RAISE_IRQL_TO_DISPATCH(_pIrql_) KeRaiseIrql(DISPATCH_LEVEL, _pIrql_)
#define NDIS_LOWER_IRQL(_OldIrql_, _CurIrql_)                                                      \
    do {                                                                                           \
        if ((_OldIrql_) != (_CurIrql_))                                                            \
            KeLowerIrql(_OldIrql_);                                                                \
    } while (0)

FORCEINLINE ULONG NdisCurrentProcessorIndex(void)
{
    return KeGetCurrentProcessorIndex();
}

/* Lists and counters. */

#define NdisInitializeListHead(ListHead) InitializeListHead(ListHead)
#define NdisInterlockedInsertHeadList(ListHead, ListEntry, SpinLock)                               \
    ExInterlockedInsertHeadList(ListHead, ListEntry, &(SpinLock)->SpinLock)
#define NdisInterlockedInsertTailList(ListHead, ListEntry, SpinLock)                               \
    ExInterlockedInsertTailList(ListHead, ListEntry, &(SpinLock)->SpinLock)
#define NdisInterlockedRemoveHeadList(ListHead, SpinLock)                                          \
    ExInterlockedRemoveHeadList(ListHead, &(SpinLock)->SpinLock)
#define NdisInterlockedPushEntryList(ListHead, ListEntry, Lock)                                    \
    ExInterlockedPushEntryList(ListHead, ListEntry, &(Lock)->SpinLock)
#define NdisInterlockedPopEntryList(ListHead, Lock)                                                \
    ExInterlockedPopEntryList(ListHead, &(Lock)->SpinLock)
#define NdisInitializeSListHead(SListHead) ExInitializeSListHead(SListHead)
#define NdisInterlockedPushEntrySList(SListHead, SListEntry, Lock)                                 \
    ExInterlockedPushEntrySList(SListHead, SListEntry, &(Lock)->SpinLock)
#define NdisInterlockedPopEntrySList(SListHead, Lock)                                              \
    ExInterlockedPopEntrySList(SListHead, &(Lock)->SpinLock)
#define NdisInterlockedFlushSList(SListHead) ExInterlockedFlushSList(SListHead)
#define NdisQueryDepthSList(SListHead) ExQueryDepthSList(SListHead)
#define NdisInterlockedIncrement(Addend) InterlockedIncrement(Addend)
#define NdisInterlockedDecrement(Addend) InterlockedDecrement(Addend)
#define NdisInterlockedAddUlong(Addend, Increment, SpinLock)                                       \
    ExInterlockedAddUlong(Addend, Increment, &(SpinLock)->SpinLock)
#define NdisInterlockedAddLargeInteger(Addend, Increment, SpinLock)                                \
    ExInterlockedAddLargeInteger(Addend, Increment, &(SpinLock)->SpinLock)
#define NdisInterlockedAddLargeStatistic(Addend, Increment)                                        \
    ExInterlockedAddLargeStatistic((PLARGE_INTEGER)(Addend), Increment)

/* Strings. */

#define NDIS_STRING_CONST(x) { sizeof(L##x) - sizeof(WCHAR), sizeof(L##x), (PWCH)(ULONG_PTR)L##x }

#define NdisInitUnicodeString(DestinationString, SourceString)                                     \
    RtlInitUnicodeString(DestinationString, SourceString)
#define NdisInitAnsiString(DestinationString, SourceString)                                        \
    RtlInitAnsiString(DestinationString, SourceString)
#define NdisFreeString(String) NdisFreeMemory((String).Buffer, (String).MaximumLength, 0)
#define NdisEqualString(String1, String2, CaseInsensitive)                                         \
    RtlEqualUnicodeString(String1, String2, CaseInsensitive)
#define NdisEqualUnicodeString(String1, String2, CaseInsensitive)                                  \
    RtlEqualUnicodeString(String1, String2, CaseInsensitive)
#define NdisEqualAnsiString(String1, String2, CaseInsensitive)                                     \
    RtlEqualString(String1, String2, CaseInsensitive)
#define NdisUpcaseUnicodeString(DestinationString, SourceString)                                   \
    RtlUpcaseUnicodeString(DestinationString, SourceString, FALSE)
#define NdisAnsiStringToUnicodeString(DestinationString, SourceString)                             \
    RtlAnsiStringToUnicodeString(DestinationString, SourceString, FALSE)
#define NdisUnicodeStringToAnsiString(DestinationString, SourceString)                             \
    RtlUnicodeStringToAnsiString(DestinationString, SourceString, FALSE)
#define NdisPrintString(NString) DbgPrint("%ls", (NString).Buffer)

/* Time. */

#define NdisGetCurrentSystemTime(SystemTime) KeQuerySystemTime(SystemTime)
#define NdisStallExecution(MicroSeconds) KeStallExecutionProcessor(MicroSeconds)

/* Physical addresses, mapped memory, MDLs. */

#define NdisGetPhysicalAddressHigh(_PhysicalAddress) ((_PhysicalAddress).HighPart)
#define NdisSetPhysicalAddressHigh(_PhysicalAddress, _Value)                                       \
    ((_PhysicalAddress).HighPart = (_Value))
#define NdisGetPhysicalAddressLow(_PhysicalAddress) ((_PhysicalAddress).LowPart)
#define NdisSetPhysicalAddressLow(_PhysicalAddress, _Value) ((_PhysicalAddress).LowPart = (_Value))
#define NDIS_PHYSICAL_ADDRESS_CONST(_Low, _High) { { (ULONG)(_Low), (LONG)(_High) } }
#define NdisAdjustMdlLength(_Mdl, _Length) ((void)((_Mdl)->ByteCount = (_Length)))
#define NdisZeroMappedMemory(Destination, Length) RtlZeroMemory(Destination, Length)
#define NdisReadRegisterUchar(Register, Data) ((void)(*(Data) = READ_REGISTER_UCHAR(Register)))
#define NdisReadRegisterUshort(Register, Data) ((void)(*(Data) = READ_REGISTER_USHORT(Register)))
#define NdisReadRegisterUlong(Register, Data) ((void)(*(Data) = READ_REGISTER_ULONG(Register)))
#define NdisWriteRegisterUchar(Register, Data) WRITE_REGISTER_UCHAR(Register, Data)
#define NdisWriteRegisterUshort(Register, Data) WRITE_REGISTER_USHORT(Register, Data)
#define NdisWriteRegisterUlong(Register, Data) WRITE_REGISTER_ULONG(Register, Data)

/* Interfaces. */

#define NDIS_MAKE_NET_LUID(PNetLuid, IfTypeValue, LuidIndex)                                       \
    do {                                                                                           \
        (PNetLuid)->Value = 0;                                                                     \
        (PNetLuid)->Info.IfType = (IfTypeValue);                                                   \
        (PNetLuid)->Info.NetLuidIndex = (LuidIndex);                                               \
    } while (0)

/* Media-specific information: a list under its NetBufferListInfo slot. An entry is found, and taken
 * out, by its tag. */

#define NDIS_NBL_ADD_MEDIA_SPECIFIC_INFO_EX(_NBL, _MediaSpecificInfo)                              \
    do {                                                                                           \
        (_MediaSpecificInfo)->NextEntry =                                                          \
            (PNDIS_NBL_MEDIA_SPECIFIC_INFORMATION_EX)NET_BUFFER_LIST_INFO(_NBL, MediaSpecificInformationEx);\
        NET_BUFFER_LIST_INFO(_NBL, MediaSpecificInformationEx) = (_MediaSpecificInfo);             \
    } while (0)

#define NDIS_NBL_GET_MEDIA_SPECIFIC_INFO_EX(_NBL, _Tag, _MediaSpecificInfo)                        \
    do {                                                                                           \
        (_MediaSpecificInfo) =                                                                     \
            (PNDIS_NBL_MEDIA_SPECIFIC_INFORMATION_EX)NET_BUFFER_LIST_INFO(_NBL, MediaSpecificInformationEx);\
        while ((_MediaSpecificInfo) != NULL && (_MediaSpecificInfo)->Tag != (_Tag))                \
            (_MediaSpecificInfo) = (_MediaSpecificInfo)->NextEntry;                                \
    } while (0)

#define NDIS_NBL_REMOVE_MEDIA_SPECIFIC_INFO_EX(_NBL, _MediaSpecificInfo)                           \
    do {                                                                                           \
        PNDIS_NBL_MEDIA_SPECIFIC_INFORMATION_EX *UmnLink =                                         \
            (PNDIS_NBL_MEDIA_SPECIFIC_INFORMATION_EX *)&NET_BUFFER_LIST_INFO(                      \
                _NBL, MediaSpecificInformationEx);                                                 \
        while (*UmnLink != NULL && (*UmnLink)->Tag != (_MediaSpecificInfo)->Tag)                   \
            UmnLink = &(*UmnLink)->NextEntry;                                                      \
        if (*UmnLink != NULL)                                                                      \
            *UmnLink = (*UmnLink)->NextEntry;                                                      \
    } while (0)

#define NDIS_NBL_ADD_MEDIA_SPECIFIC_INFO(_NBL, _MediaSpecificInfo)                                 \
    do {                                                                                           \
        (_MediaSpecificInfo)->NextEntry =                                                          \
            (PNDIS_NBL_MEDIA_SPECIFIC_INFORMATION)NET_BUFFER_LIST_INFO(_NBL, MediaSpecificInformation);\
        NET_BUFFER_LIST_INFO(_NBL, MediaSpecificInformation) = (_MediaSpecificInfo);               \
    } while (0)

#define NDIS_NBL_GET_MEDIA_SPECIFIC_INFO(_NBL, _Tag, _MediaSpecificInfo)                           \
    do {                                                                                           \
        (_MediaSpecificInfo) =                                                                     \
            (PNDIS_NBL_MEDIA_SPECIFIC_INFORMATION)NET_BUFFER_LIST_INFO(_NBL, MediaSpecificInformation);\
        while ((_MediaSpecificInfo) != NULL && (_MediaSpecificInfo)->Tag != (_Tag))                \
            (_MediaSpecificInfo) = (_MediaSpecificInfo)->NextEntry;                                \
    } while (0)

#define NDIS_NBL_REMOVE_MEDIA_SPECIFIC_INFO(_NBL, _MediaSpecificInfo)                              \
    do {                                                                                           \
        PNDIS_NBL_MEDIA_SPECIFIC_INFORMATION *UmnLink =                                            \
            (PNDIS_NBL_MEDIA_SPECIFIC_INFORMATION *)&NET_BUFFER_LIST_INFO(                         \
                _NBL, MediaSpecificInformation);                                                   \
        while (*UmnLink != NULL && (*UmnLink)->Tag != (_MediaSpecificInfo)->Tag)                   \
            UmnLink = &(*UmnLink)->NextEntry;                                                      \
        if (*UmnLink != NULL)                                                                      \
            *UmnLink = (*UmnLink)->NextEntry;                                                      \
    } while (0)

/* Receive filters and the extensible switch. */

#define UMN_FILTERING_INFO(_NBL)                                                                   \
    ((PNDIS_NET_BUFFER_LIST_FILTERING_INFO)&NET_BUFFER_LIST_INFO(_NBL, NetBufferListFilteringInfo))
#define NET_BUFFER_LIST_RECEIVE_FILTER_ID(_NBL) (UMN_FILTERING_INFO(_NBL)->FilteringInfo.FilterId)
#define NET_BUFFER_LIST_RECEIVE_QUEUE_ID(_NBL)                                                     \
    (UMN_FILTERING_INFO(_NBL)->FilteringInfo.QueueVPortInfo.QueueId)
#define NET_BUFFER_LIST_RECEIVE_FILTER_VPORT_ID(_NBL)                                              \
    (UMN_FILTERING_INFO(_NBL)->FilteringInfo.QueueVPortInfo.VPortId)
#define NET_BUFFER_LIST_SWITCH_FORWARDING_DETAIL(_NBL)                                             \
    ((PNDIS_SWITCH_FORWARDING_DETAIL_NET_BUFFER_LIST_INFO)&NET_BUFFER_LIST_INFO(                   \
        _NBL, SwitchForwardingDetail))

/* Send, receive and return flags. */

#define NDIS_TEST_SEND_FLAG(_Flags, _Fl) (((_Flags) & (_Fl)) != 0)
#define NDIS_SET_SEND_FLAG(_Flags, _Fl) ((_Flags) |= (_Fl))
#define NDIS_CLEAR_SEND_FLAG(_Flags, _Fl) ((_Flags) &= ~(_Fl))
#define NDIS_TEST_SEND_AT_DISPATCH_LEVEL(_Flags)                                                   \
    NDIS_TEST_SEND_FLAG(_Flags, NDIS_SEND_FLAGS_DISPATCH_LEVEL)
#define NDIS_TEST_SEND_COMPLETE_FLAG(_Flags, _Fl) (((_Flags) & (_Fl)) != 0)
#define NDIS_SET_SEND_COMPLETE_FLAG(_Flags, _Fl) ((_Flags) |= (_Fl))
#define NDIS_CLEAR_SEND_COMPLETE_FLAG(_Flags, _Fl) ((_Flags) &= ~(_Fl))
#define NDIS_TEST_SEND_COMPLETE_AT_DISPATCH_LEVEL(_Flags)                                          \
    NDIS_TEST_SEND_COMPLETE_FLAG(_Flags, NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL)
#define NDIS_TEST_RECEIVE_FLAG(_Flags, _Fl) (((_Flags) & (_Fl)) != 0)
#define NDIS_SET_RECEIVE_FLAG(_Flags, _Fl) ((_Flags) |= (_Fl))
#define NDIS_CLEAR_RECEIVE_FLAG(_Flags, _Fl) ((_Flags) &= ~(_Fl))
#define NDIS_TEST_RECEIVE_AT_DISPATCH_LEVEL(_Flags)                                                \
    NDIS_TEST_RECEIVE_FLAG(_Flags, NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL)
#define NDIS_TEST_RECEIVE_CANNOT_PEND(_Flags)                                                      \
    NDIS_TEST_RECEIVE_FLAG(_Flags, NDIS_RECEIVE_FLAGS_RESOURCES)
#define NDIS_TEST_RECEIVE_CAN_PEND(_Flags) (((_Flags) & NDIS_RECEIVE_FLAGS_RESOURCES) == 0)
#define NDIS_TEST_RETURN_FLAG(_Flags, _Fl) (((_Flags) & (_Fl)) != 0)
#define NDIS_SET_RETURN_FLAG(_Flags, _Fl) ((_Flags) |= (_Fl))
#define NDIS_CLEAR_RETURN_FLAG(_Flags, _Fl) ((_Flags) &= ~(_Fl))
#define NDIS_TEST_RETURN_AT_DISPATCH_LEVEL(_Flags)                                                 \
    NDIS_TEST_RETURN_FLAG(_Flags, NDIS_RETURN_FLAGS_DISPATCH_LEVEL)

/* Receive side scaling: hash type and function share one word. */

#define NDIS_RSS_HASH_FUNC_FROM_HASH_INFO(_HashInfo) ((_HashInfo) & NDIS_HASH_FUNCTION_MASK)
#define NDIS_RSS_HASH_TYPE_FROM_HASH_INFO(_HashInfo) ((_HashInfo) & NDIS_HASH_TYPE_MASK)
#define NDIS_RSS_HASH_INFO_FROM_TYPE_AND_FUNC(_HashType, _HashFunction)                            \
    (((_HashType) & NDIS_HASH_TYPE_MASK) | ((_HashFunction) & NDIS_HASH_FUNCTION_MASK))

/* Ethernet addresses. */

#define ETH_IS_BROADCAST(Address)                                                                  \
    ((((PUCHAR)(Address))[0] == 0xff) && (((PUCHAR)(Address))[1] == 0xff) &&                       \
     (((PUCHAR)(Address))[2] == 0xff) && (((PUCHAR)(Address))[3] == 0xff) &&                       \
     (((PUCHAR)(Address))[4] == 0xff) && (((PUCHAR)(Address))[5] == 0xff))
#define ETH_IS_MULTICAST(Address) ((BOOLEAN)(((PUCHAR)(Address))[0] & 1))
#define ETH_IS_EMPTY(Address)                                                                      \
    (!(((PUCHAR)(Address))[0] | ((PUCHAR)(Address))[1] | ((PUCHAR)(Address))[2] |                  \
       ((PUCHAR)(Address))[3] | ((PUCHAR)(Address))[4] | ((PUCHAR)(Address))[5]))
#define ETH_COPY_NETWORK_ADDRESS(D, S) ((void)__builtin_memcpy((D), (S), 6))
#define ETH_COMPARE_NETWORK_ADDRESSES_EQ(A, B, Result)                                             \
    ((void)(*(Result) = (UINT)(__builtin_memcmp((A), (B), 6) != 0)))

#include <nt/pop.h>

#endif
