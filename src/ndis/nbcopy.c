/* SPDX-License-Identifier: MIT */
/*
 * Reading and copying the data of NET_BUFFERs, and the out-of-band information of NET_BUFFER_LISTs.
 * Owns nothing, no lock; <= DISPATCH_LEVEL, callers own the lists.
 */
#include "ndis/data.h"

#include <string.h>

/* ---- a cursor over the used bytes of an MDL chain
 * ------------------------------------------------- */
struct cursor {
    const MDL *mdl;
    ULONG offset; /* in mdl */
};

static void cursor_at(struct cursor *c, const NET_BUFFER *nb, ULONG offset)
{
    c->mdl = nb->CurrentMdl;
    c->offset = nb->CurrentMdlOffset + offset;
    while (c->mdl && c->offset >= c->mdl->ByteCount) {
        c->offset -= c->mdl->ByteCount;
        c->mdl = c->mdl->Next;
    }
}

/* The bytes that lie in one piece, at most `limit`; 0 at the end of the chain. */
static ULONG cursor_piece(const struct cursor *c, ULONG limit)
{
    ULONG piece = c->mdl ? c->mdl->ByteCount - c->offset : 0;

    return piece < limit ? piece : limit;
}

static char *cursor_va(const struct cursor *c)
{
    return (char *)ndis__mdl_va(c->mdl) + c->offset;
}

static void cursor_skip(struct cursor *c, ULONG n)
{
    c->offset += n;
    while (c->mdl && c->offset >= c->mdl->ByteCount) {
        c->offset -= c->mdl->ByteCount;
        c->mdl = c->mdl->Next;
    }
}

ULONG ndis__nb_read(const NET_BUFFER *nb, ULONG offset, void *to, ULONG length)
{
    struct cursor c;
    ULONG done = 0;

    if (offset >= nb->DataLength)
        return 0;
    if (length > nb->DataLength - offset)
        length = nb->DataLength - offset;
    cursor_at(&c, nb, offset);
    while (done < length) {
        ULONG piece = cursor_piece(&c, length - done);

        if (!piece)
            break;
        memcpy((char *)to + done, cursor_va(&c), piece);
        done += piece;
        cursor_skip(&c, piece);
    }
    return done;
}

/*
 * Copies BytesToCopy bytes from SourceOffset of the source's data to DestinationOffset behind the
 * destination's data start, as far as the source has data and the destination's MDLs have room;
 * *BytesCopied is how many. Lengths and offsets of the destination are the caller's to set.
 * nf-nblapi-ndiscopyfromnetbuffertonetbuffer.md
 */
NDIS_STATUS NTAPI NdisCopyFromNetBufferToNetBuffer(NET_BUFFER *Destination, ULONG DestinationOffset,
                                                   ULONG BytesToCopy, const NET_BUFFER *Source,
                                                   ULONG SourceOffset, ULONG *BytesCopied)
{
    struct cursor from, to;
    ULONG done = 0, there;

    there = SourceOffset < Source->DataLength ? Source->DataLength - SourceOffset : 0;
    if (BytesToCopy > there)
        BytesToCopy = there;
    cursor_at(&from, Source, SourceOffset);
    cursor_at(&to, Destination, DestinationOffset);
    while (done < BytesToCopy) {
        ULONG piece = cursor_piece(&from, cursor_piece(&to, BytesToCopy - done));

        if (!piece)
            break;
        memmove(cursor_va(&to), cursor_va(&from), piece);
        done += piece;
        cursor_skip(&from, piece);
        cursor_skip(&to, piece);
    }
    *BytesCopied = done;
    return NDIS_STATUS_SUCCESS;
}

static NDIS_COLD NTAPI PVOID data_buffer_copy(NET_BUFFER *nb, ULONG length, PVOID storage)
{
    return storage && ndis__nb_read(nb, 0, storage, length) == length ? storage : NULL;
}

/*
 * The first BytesNeeded bytes of the data in one piece: where they lie if that is one piece with
 * address = AlignOffset modulo AlignMultiple (a power of two), else copied to Storage. NULL: the
 * data is shorter, or a copy is needed and Storage is NULL. nf-nblapi-ndisgetdatabuffer.md,
 * IM-NBL-11
 */
PVOID NTAPI NdisGetDataBuffer(NET_BUFFER *NetBuffer, ULONG BytesNeeded, PVOID Storage,
                              ULONG AlignMultiple, ULONG AlignOffset)
{
    MDL *mdl = NetBuffer->CurrentMdl;
    ULONG offset = NetBuffer->CurrentMdlOffset;
    char *va;

    if (unlikely(NetBuffer->DataLength < BytesNeeded || !mdl))
        return NULL;
    while (unlikely(offset >= mdl->ByteCount && mdl->Next)) {
        offset -= mdl->ByteCount;
        mdl = mdl->Next;
    }
    va = (char *)ndis__mdl_va(mdl) + offset;
    if (likely(mdl->ByteCount >= offset && mdl->ByteCount - offset >= BytesNeeded &&
               (AlignMultiple <= 1 || (((uintptr_t)va - AlignOffset) & (AlignMultiple - 1)) == 0)))
        return va;
    return data_buffer_copy(NetBuffer, BytesNeeded, Storage);
}

/* Pages that the used data touches, MDL by MDL: an upper bound on scatter/gather elements. */
ULONG NTAPI NdisQueryNetBufferPhysicalCount(NET_BUFFER *NetBuffer)
{
    ULONG left = NetBuffer->DataLength, pages = 0;
    struct cursor c;

    cursor_at(&c, NetBuffer, 0);
    while (left) {
        ULONG piece = cursor_piece(&c, left);
        uintptr_t va;

        if (!piece)
            break;
        va = (uintptr_t)cursor_va(&c);
        pages += (ULONG)((va + piece - 1) / PAGE_SIZE - va / PAGE_SIZE + 1);
        left -= piece;
        cursor_skip(&c, piece);
    }
    return pages;
}

/* ---- out-of-band information
 * ------------------------------------------------------------------------- */

#define COPY(slot) to->NetBufferListInfo[slot] = from->NetBufferListInfo[slot]

/* Copies what belongs to a send: IM-NBL-08. nf-nblapi-ndiscopysendnetbufferlistinfo.md */
void NTAPI NdisCopySendNetBufferListInfo(NET_BUFFER_LIST *DestNetBufferList,
                                         const NET_BUFFER_LIST *SrcNetBufferList)
{
    NET_BUFFER_LIST *to = DestNetBufferList;
    const NET_BUFFER_LIST *from = SrcNetBufferList;

    COPY(TcpIpChecksumNetBufferListInfo);
    COPY(IPsecOffloadV1NetBufferListInfo);
    COPY(TcpLargeSendNetBufferListInfo);
    COPY(Ieee8021QNetBufferListInfo);
    COPY(NetBufferListCancelId);
    COPY(MediaSpecificInformation);
    COPY(NetBufferListProtocolId);
    COPY(IPsecOffloadV2TunnelNetBufferListInfo);
    COPY(IPsecOffloadV2HeaderNetBufferListInfo);
    COPY(NetBufferListFilteringInfo);
    COPY(VirtualSubnetInfo);
}

/* Copies what belongs to a receive: IM-NBL-08. nf-nblapi-ndiscopyreceivenetbufferlistinfo.md */
void NTAPI NdisCopyReceiveNetBufferListInfo(NET_BUFFER_LIST *DestNetBufferList,
                                            const NET_BUFFER_LIST *SrcNetBufferList)
{
    NET_BUFFER_LIST *to = DestNetBufferList;
    const NET_BUFFER_LIST *from = SrcNetBufferList;

    COPY(TcpIpChecksumNetBufferListInfo);
    COPY(IPsecOffloadV1NetBufferListInfo);
    COPY(TcpReceiveNoPush);
    COPY(Ieee8021QNetBufferListInfo);
    COPY(MediaSpecificInformation);
    COPY(NetBufferListFrameType);
    COPY(NetBufferListHashValue);
    COPY(NetBufferListHashInfo);
    COPY(IPsecOffloadV2TunnelNetBufferListInfo);
    COPY(IPsecOffloadV2HeaderNetBufferListInfo);
    COPY(NetBufferListFilteringInfo);
    COPY(VirtualSubnetInfo);
}
