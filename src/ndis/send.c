/* SPDX-License-Identifier: MIT */
/*
 * Sends: from a binding down to the miniport, completions back to the binding that SourceHandle
 * names, cancellation. A send is inside binding->tx_gate while the miniport runs and counted in
 * binding->tx_out until its completion is on its way up. Batches all the way; no lock. <= DISPATCH.
 */
#include "ndis/control.h"
#include "ndis/data.h"

static NDIS_COLD void NTAPI foreign_source(struct ndis_binding *b, NET_BUFFER_LIST *nbl)
{
    umn__report("NBL-07", 0,
                "NdisSendNetBufferLists: SourceHandle is not the binding handle of %s "
                "(IM-SND-05)",
                b->protocol->service);
    nbl->SourceHandle = b; /* else its completion would go astray */
}

static inline ULONG chain_length(struct ndis_binding *b, NET_BUFFER_LIST *nbl)
{
    ULONG n = 0;

    for (; nbl; nbl = nbl->Next, n++)
        if (unlikely(nbl->SourceHandle != b))
            foreign_source(b, nbl);
    return n;
}

static void complete_to(struct ndis_binding *b, NET_BUFFER_LIST *chain, ULONG flags)
{
    ndis__out_add(&b->call_out, 1);
    ndis__point(UMN_OP_CALLBACK, b);
    b->protocol->chars.SendNetBufferListsCompleteHandler(b->context, chain, flags);
    ndis__out_sub(&b->call_out, 1);
}

/* The whole chain comes back at once with `status`: it never reached the miniport. */
static NDIS_COLD void NTAPI refuse(struct ndis_binding *b, NET_BUFFER_LIST *chain,
                                   NDIS_STATUS status, ULONG send_flags)
{
    enum ndis_binding_state state = __atomic_load_n(&b->state, __ATOMIC_RELAXED);

    if (state == NDIS_BINDING_OPENING || state == NDIS_BINDING_CLOSING ||
        state == NDIS_BINDING_UNBOUND)
        umn__report("ST-04", 0, "NdisSendNetBufferLists on a binding of %s that is not running",
                    b->protocol->service);
    for (NET_BUFFER_LIST *nbl = chain; nbl; nbl = nbl->Next) {
        if (ndis__verify && ndis__nbl_tail(nbl)->sent)
            ndis__nbl_tail(nbl)->sent--;
        nbl->Status = status;
    }
    complete_to(
        b, chain,
        send_flags & NDIS_SEND_FLAGS_DISPATCH_LEVEL ? NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL : 0);
}

static NDIS_COLD void NTAPI looped_back(struct ndis_binding *b, NET_BUFFER_LIST *chain, ULONG port,
                                        ULONG flags)
{
    ndis__loopback(b, chain, port, flags);
}

static NDIS_COLD ULONG NTAPI verified(struct ndis_binding *b, NET_BUFFER_LIST **chain, ULONG flags)
{
    return ndis__verify_chain(NDIS_VERIFY_SEND, b, chain, flags & NDIS_SEND_FLAGS_DISPATCH_LEVEL,
                              false, "NdisSendNetBufferLists");
}

/*
 * Sends a chain. Always asynchronous: each NBL comes back by ProtocolSendNetBufferListsComplete,
 * with NDIS_STATUS_PAUSED if the binding is not running. The NBLs are not the caller's until then.
 * <= DISPATCH_LEVEL. nf-ndis-ndissendnetbufferlists.md, IM-SND-01, IM-SND-02
 */
void NTAPI NdisSendNetBufferLists(NDIS_HANDLE NdisBindingHandle, PNET_BUFFER_LIST NetBufferLists,
                                  NDIS_PORT_NUMBER PortNumber, ULONG SendFlags)
{
    struct ndis_binding *b = NdisBindingHandle;
    NET_BUFFER_LIST *chain = NetBufferLists;
    struct ndis_adapter *a;
    unsigned slot;
    ULONG n;

    if (unlikely(!ndis__quick(b, NDIS_KIND_BINDING, "NdisSendNetBufferLists") || !chain))
        return;
    if (unlikely(ndis__verify))
        n = verified(b, &chain, SendFlags);
    else
        n = chain_length(b, chain);
    if (unlikely(!n))
        return;
    if (unlikely(!ndis__gate_enter(&b->tx_gate, &slot))) {
        refuse(b, chain, NDIS_STATUS_PAUSED, SendFlags);
        return;
    }
    a = b->adapter;
    if (unlikely(ndis__peek(a->resetting))) {
        ndis__gate_leave(&b->tx_gate, slot);
        refuse(b, chain, NDIS_STATUS_RESET_IN_PROGRESS, SendFlags);
        return;
    }
    ndis__out_add(&b->tx_out, n);
    if (unlikely(ndis__peek(a->loopback) || SendFlags & NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK))
        looped_back(b, chain, PortNumber, SendFlags);
    ndis__point(UMN_OP_CALLBACK, a);
    a->driver->chars.SendNetBufferListsHandler(a->context, chain, PortNumber, SendFlags);
    ndis__gate_leave(&b->tx_gate, slot);
}

static NDIS_COLD bool NTAPI no_binding_of(struct ndis_adapter *a)
{
    umn__report("NBL-07", 0,
                "NdisMSendNetBufferListsComplete: SourceHandle is no binding of this "
                "adapter; the NBL cannot be completed");
    return false;
}

static NDIS_COLD void NTAPI verified_complete(struct ndis_adapter *a, NET_BUFFER_LIST **chain,
                                              ULONG flags)
{
    ndis__verify_chain(NDIS_VERIFY_SEND_COMPLETE, a, chain,
                       flags & NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL, false,
                       "NdisMSendNetBufferListsComplete");
}

/*
 * Completes sends, with Status set in each NBL: in any order, of any binding. Each binding gets its
 * runs. <= DISPATCH_LEVEL. nf-ndis-ndismsendnetbufferlistscomplete.md, IM-SND-06
 */
void NTAPI NdisMSendNetBufferListsComplete(NDIS_HANDLE MiniportAdapterHandle,
                                           PNET_BUFFER_LIST NetBufferList, ULONG SendCompleteFlags)
{
    struct ndis_adapter *a = MiniportAdapterHandle;
    NET_BUFFER_LIST *chain = NetBufferList;

    if (unlikely(!ndis__quick(a, NDIS_KIND_ADAPTER, "NdisMSendNetBufferListsComplete")))
        return;
    if (unlikely(ndis__verify))
        verified_complete(a, &chain, SendCompleteFlags);
    while (chain) {
        struct ndis_binding *b = chain->SourceHandle;
        NET_BUFFER_LIST *last = chain, *rest;
        ULONG n = 1;

        while ((rest = last->Next) && rest->SourceHandle == b) {
            last = rest;
            n++;
        }
        last->Next = NULL;
        if (likely(b && b->data_kind == NDIS_KIND_BINDING && b->adapter == a) || no_binding_of(a)) {
            /* Not counted any more when the protocol hears of it: it may complete its pause there.
             */
            ndis__out_add(&b->call_out, 1);
            ndis__out_sub(&b->tx_out, n);
            ndis__point(UMN_OP_CALLBACK, b);
            b->protocol->chars.SendNetBufferListsCompleteHandler(b->context, chain,
                                                                 SendCompleteFlags);
            ndis__out_sub(&b->call_out, 1);
        }
        chain = rest;
    }
}

/*
 * Asks the miniport below to give up sends with this cancel id; they still come back by completion.
 * <= DISPATCH_LEVEL. nf-ndis-ndiscancelsendnetbufferlists.md, IM-CAN-01
 */
void NTAPI NdisCancelSendNetBufferLists(NDIS_HANDLE NdisBindingHandle, PVOID CancelId)
{
    struct ndis_binding *b = NdisBindingHandle;
    struct ndis_adapter *a;
    unsigned slot;

    ndis__entry_ok(UMN_DISPATCH, "NdisCancelSendNetBufferLists");
    if (!ndis__quick(b, NDIS_KIND_BINDING, "NdisCancelSendNetBufferLists"))
        return;
    a = b->adapter;
    /* Behind a closed gate the miniport has nothing of this binding, or soon completes it. */
    if (!a->driver->chars.CancelSendHandler || !ndis__gate_enter(&b->tx_gate, &slot))
        return;
    ndis__point(UMN_OP_CALLBACK, a);
    a->driver->chars.CancelSendHandler(a->context, CancelId);
    ndis__gate_leave(&b->tx_gate, slot);
}

/* The high byte of cancel ids for one caller; different callers get different ones (the byte wraps
 * after 255, as it must). <= DISPATCH_LEVEL. nf-ndis-ndisgeneratepartialcancelid.md */
UCHAR NTAPI NdisGeneratePartialCancelId(void)
{
    static uint32_t last;

    umn__check_irql(UMN_DISPATCH, "NdisGeneratePartialCancelId");
    return (UCHAR)(__atomic_fetch_add(&last, 1, __ATOMIC_RELAXED) % 255 + 1);
}
