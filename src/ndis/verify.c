/* SPDX-License-Identifier: MIT */
/*
 * Checks of the chains that drivers hand over on the data path, when ndis__verify is on: ownership
 * (NBL-02, NBL-05), source handles (NBL-07), well-formed lists (NBL-10), dispatch flags (NBL-17),
 * no spin lock held (IM-SYN-02). Marks lie in the tails of the blocks; no lock, because each NBL
 * has one owner. <= DISPATCH_LEVEL.
 */
#include "ndis/data.h"

struct verdict {
    enum ndis_verify_what what;
    NDIS_HANDLE handle;
    const char *function;
    bool lent; /* NDIS_RECEIVE_FLAGS_RESOURCES */
};

static bool pool_live(NET_BUFFER_LIST *nbl, const struct verdict *v)
{
    struct ndis_pool *pool = nbl->NdisPoolHandle;

    if (ndis__pool_is(pool, NDIS_POOL_NBL) && ndis__nbl_tail(nbl)->state == NDIS_BLOCK_LIVE)
        return true;
    umn__report("NBL-01", 0, "%s: the NBL is free, or does not come from an NDIS pool",
                v->function);
    return false;
}

static bool in_other_hands(const struct verdict *v, const char *why)
{
    umn__report("NBL-02", 0, "%s: %s", v->function, why);
    return false;
}

static bool one(NET_BUFFER_LIST *nbl, const struct verdict *v)
{
    struct ndis_tail *tail = ndis__nbl_tail(nbl);

    switch (v->what) {
    case NDIS_VERIFY_SEND:
        if (nbl->SourceHandle != v->handle) {
            umn__report("NBL-07", 0, "%s: SourceHandle is not the binding handle (IM-SND-05)",
                        v->function);
            nbl->SourceHandle = v->handle;
        }
        if (!nbl->FirstNetBuffer)
            umn__report("NBL-10", 0, "%s: the NBL has no NET_BUFFER", v->function);
        tail->sent++;
        return true;
    case NDIS_VERIFY_SEND_COMPLETE:
        if (!tail->sent)
            return in_other_hands(v, "the NBL is not a send under way; completed twice?");
        tail->sent--;
        return true;
    case NDIS_VERIFY_RECEIVE:
        if (nbl->SourceHandle && nbl->SourceHandle != v->handle && tail->received == 0)
            umn__report("NBL-07", 0, "%s: SourceHandle is not the adapter handle (IM-RCV-04)",
                        v->function);
        if (!v->lent)
            tail->received++;
        return true;
    default:
        if (!tail->received)
            return in_other_hands(v, "the NBL was not indicated, or was returned before");
        tail->received--;
        return true;
    }
}

ULONG ndis__verify_chain(enum ndis_verify_what what, NDIS_HANDLE handle, NET_BUFFER_LIST **chain,
                         bool flag_dispatch, bool lent, const char *function)
{
    struct verdict v = {what, handle, function, lent};
    NET_BUFFER_LIST **at = chain;
    ULONG n = 0;

    umn__check_irql(UMN_DISPATCH, function);
    if (flag_dispatch && umn__irql() != UMN_DISPATCH)
        umn__report("NBL-17", 0, "%s: the flag says DISPATCH_LEVEL, the IRQL is %u", function,
                    umn__irql());
    if (umn__locks_held())
        umn__report("IM-SYN-02", 0, "%s is called with %u spin locks held", function,
                    umn__locks_held());
    while (*at) {
        if (!pool_live(*at, &v)) {
            *at = NULL; /* its link is not to be trusted either */
        } else if (one(*at, &v)) {
            n++;
            at = &(*at)->Next;
        } else {
            *at = (*at)->Next;
        }
    }
    return n;
}
