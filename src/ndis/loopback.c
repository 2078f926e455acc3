/* SPDX-License-Identifier: MIT */
/*
 * Loopback: bindings that want to see what is sent on their adapter get copies (IM-SND-11,
 * IM-SND-12). Rare, so that it copies: one NBL with its own data per frame and receiver, freed when
 * it comes back. A copy for which there is no memory is dropped. Runs inside the sender's tx_gate.
 * <= DISPATCH_LEVEL.
 */
#include "ndis/data.h"

void ndis__loopback_free(NET_BUFFER_LIST *copy)
{
    ndis__mdl_with_data_free(copy->FirstNetBuffer->MdlChain);
    NdisFreeNetBufferList(copy);
}

static NET_BUFFER_LIST *copy_frame(struct ndis_adapter *a, const NET_BUFFER_LIST *nbl,
                                   const NET_BUFFER *nb)
{
    struct ndis_pool *nbls = ndis__internal_nbl_pool(), *shares = ndis__internal_share_pool();
    NET_BUFFER_LIST *copy = NULL;
    struct ndis_share *s = NULL;
    MDL *mdl;

    if (!nbls || !shares || !nb->DataLength)
        return NULL;
    mdl = ndis__mdl_with_data(nb->DataLength);
    if (!mdl)
        return NULL;
    s = ndis__block_alloc(shares);
    if (s)
        copy = NdisAllocateNetBufferAndNetBufferList(nbls, 0, 0, mdl, 0, nb->DataLength);
    if (!copy)
        goto no_copy;
    ndis__tail(shares, s)->state = NDIS_BLOCK_LIVE;
    *s = (struct ndis_share){.adapter = a, .refs = 1};
    ndis__nb_read(nb, 0, ndis__mdl_va(mdl), nb->DataLength);
    copy->NdisReserved[0] = s;
    copy->SourceHandle = a;
    copy->NblFlags = nbl->NblFlags | NDIS_NBL_FLAGS_IS_LOOPBACK_PACKET;
    copy->NetBufferListInfo[Ieee8021QNetBufferListInfo] =
        nbl->NetBufferListInfo[Ieee8021QNetBufferListInfo];
    copy->NetBufferListInfo[NetBufferListFrameType] =
        nbl->NetBufferListInfo[NetBufferListFrameType];
    ndis__nbl_tail(copy)->received = 1;
    return copy;

no_copy:
    if (s)
        ndis__block_free(shares, s);
    ndis__mdl_with_data_free(mdl);
    return NULL;
}

static bool wants(const struct ndis_binding *b, const struct ndis_binding *sender, bool check,
                  uint64_t dest)
{
    uint32_t filter = __atomic_load_n(&b->packet_filter, __ATOMIC_RELAXED);
    enum ndis_binding_state s = __atomic_load_n(&b->state, __ATOMIC_RELAXED);

    if (s != NDIS_BINDING_RUNNING && s != NDIS_BINDING_PAUSING)
        return false;
    if (b == sender ? !check : filter & NDIS_PACKET_TYPE_NO_LOCAL)
        return false;
    return filter & NDIS_PACKET_TYPE_ALL_LOCAL || ndis__filter_dest(b, b->adapter, dest);
}

static void loop_nbl(struct ndis_binding *sender, const NET_BUFFER_LIST *nbl, ULONG port,
                     ULONG send_flags)
{
    struct ndis_adapter *a = sender->adapter;
    ULONG flags =
        send_flags & NDIS_SEND_FLAGS_DISPATCH_LEVEL ? NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL : 0;

    for (const NET_BUFFER *nb = nbl->FirstNetBuffer; nb; nb = nb->Next) {
        uint64_t dest = 0;

        if (ndis__nb_read(nb, 0, &dest, 6) != 6)
            continue;
        for (unsigned i = 0; i < a->running_count; i++) {
            struct ndis_binding *b = a->running[i];
            NET_BUFFER_LIST *copy;

            if (!wants(b, sender, send_flags & NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK, dest))
                continue;
            copy = copy_frame(a, nbl, nb);
            if (copy)
                ndis__to_protocol(b, copy, port, 1, flags);
        }
    }
}

/*
 * Copies of the frames of a chain about to be sent, to whom they concern. 802.3 only.
 * looping-back-ndis-packets.md
 */
void ndis__loopback(struct ndis_binding *sender, NET_BUFFER_LIST *chain, ULONG port, ULONG flags)
{
    struct ndis_adapter *a = sender->adapter;
    unsigned slot;

    if (!a->frames_802_3 || !ndis__gate_enter(&a->rx_gate, &slot))
        return;
    for (const NET_BUFFER_LIST *nbl = chain; nbl; nbl = nbl->Next)
        loop_nbl(sender, nbl, port, flags);
    ndis__gate_leave(&a->rx_gate, slot);
}
