/* SPDX-License-Identifier: MIT */
/* Hardware or software time stamp of a NET_BUFFER_LIST. */
#ifndef UMN_WDK_NDIS_NBLTIMESTAMP_H
#define UMN_WDK_NDIS_NBLTIMESTAMP_H

#include <ndis/nblaccessors.h>
#include <ndis/nbltimestamp_types.h>

FORCEINLINE void NdisSetNblTimestampInfo(NET_BUFFER_LIST *Nbl,
                                         const NET_BUFFER_LIST_TIMESTAMP *NblTimestamp)
{
    NET_BUFFER_LIST_INFO(Nbl, NetBufferListInfoReserved3) =
        (PVOID)(ULONG_PTR)NblTimestamp->Timestamp;
}

FORCEINLINE void NdisGetNblTimestampInfo(const NET_BUFFER_LIST *Nbl,
                                         NET_BUFFER_LIST_TIMESTAMP *NblTimestamp)
{
    NblTimestamp->Timestamp = (ULONG64)NET_BUFFER_LIST_INFO(Nbl, NetBufferListInfoReserved3);
}

FORCEINLINE void NdisCopyNblTimestampInfo(NET_BUFFER_LIST *NblDest, const NET_BUFFER_LIST *NblSrc)
{
    NET_BUFFER_LIST_INFO(NblDest, NetBufferListInfoReserved3) =
        NET_BUFFER_LIST_INFO(NblSrc, NetBufferListInfoReserved3);
}

#endif
