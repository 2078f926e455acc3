/* SPDX-License-Identifier: MIT */
/* Receive hash of a NET_BUFFER_LIST: value, type and function. */
#ifndef UMN_WDK_NDIS_NBLHASH_H
#define UMN_WDK_NDIS_NBLHASH_H

#include <ndis/hashtypes.h>
#include <ndis/nblaccessors.h>

#define NET_BUFFER_LIST_GET_HASH_VALUE(_NBL)                                                       \
    (PtrToUlong(NET_BUFFER_LIST_INFO(_NBL, NetBufferListHashValue)))
#define NET_BUFFER_LIST_SET_HASH_VALUE(_NBL, _HashValue)                                           \
    (NET_BUFFER_LIST_INFO(_NBL, NetBufferListHashValue) = UlongToPtr(_HashValue))
#define NET_BUFFER_LIST_GET_HASH_TYPE(_NBL)                                                        \
    (PtrToUlong(NET_BUFFER_LIST_INFO(_NBL, NetBufferListHashInfo)) & NDIS_HASH_TYPE_MASK)
#define NET_BUFFER_LIST_GET_HASH_FUNCTION(_NBL)                                                    \
    (PtrToUlong(NET_BUFFER_LIST_INFO(_NBL, NetBufferListHashInfo)) & NDIS_HASH_FUNCTION_MASK)

FORCEINLINE void NET_BUFFER_LIST_SET_HASH_TYPE(NET_BUFFER_LIST *Nbl, ULONG HashType)
{
    ULONG Info = PtrToUlong(NET_BUFFER_LIST_INFO(Nbl, NetBufferListHashInfo));

    Info = (Info & ~(ULONG)NDIS_HASH_TYPE_MASK) | (HashType & NDIS_HASH_TYPE_MASK);
    NET_BUFFER_LIST_INFO(Nbl, NetBufferListHashInfo) = UlongToPtr(Info);
}

FORCEINLINE void NET_BUFFER_LIST_SET_HASH_FUNCTION(NET_BUFFER_LIST *Nbl, ULONG HashFunction)
{
    ULONG Info = PtrToUlong(NET_BUFFER_LIST_INFO(Nbl, NetBufferListHashInfo));

    Info = (Info & ~(ULONG)NDIS_HASH_FUNCTION_MASK) | (HashFunction & NDIS_HASH_FUNCTION_MASK);
    NET_BUFFER_LIST_INFO(Nbl, NetBufferListHashInfo) = UlongToPtr(Info);
}

#endif
