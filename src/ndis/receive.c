/* SPDX-License-Identifier: MIT */
/*
 * Receives: from the miniport up to the bindings whose filters accept, and back. An indication is
 * inside adapter->rx_gate, which keeps adapter->running as it is; NBLs that protocols hold are
 * counted in binding->rx_out and adapter->rx_out until they are on their way back. At
 * DISPATCH_LEVEL what comes back inside the callback is not counted at all (struct ndis_delivery):
 * such a frame costs no locked operation here. No lock. <= DISPATCH_LEVEL.
 *
 * One binding: the chain goes on as it is, without what the filter rejects. Several: a frame that
 * one accepts goes to it; one that more accept goes as the original to the last of them and as a
 * clone to each other, and back to the miniport when the last of all has come back (struct
 * ndis_share).
 */
#include "ndis/data.h"

#define QUEUES 64u /* bindings with a chain of their own; further ones are lent each frame */

static inline bool may_receive(const struct ndis_binding *b)
{
    enum ndis_binding_state s = __atomic_load_n(&b->state, __ATOMIC_RELAXED);

    return s == NDIS_BINDING_RUNNING || s == NDIS_BINDING_PAUSING;
}

/* The protocol has lowered the IRQL in its callback and something else has run on the vCPU. */
static NDIS_COLD void NTAPI out_of_order(struct ndis_cpu *cpu, struct ndis_delivery *d)
{
    struct ndis_delivery **p = &cpu->delivery;

    while (*p && *p != d)
        p = &(*p)->outer;
    if (*p)
        *p = d->outer;
}

/* context: b's, given apart so that its use does not wait for b's cache line. */
static void NTAPI to_protocol(struct ndis_binding *b, NDIS_HANDLE context, NET_BUFFER_LIST *chain,
                              ULONG port, ULONG count, ULONG flags)
{
    struct ndis_delivery d = {.binding = b};
    struct ndis_cpu *cpu;

    if (unlikely(umn__irql_quick() < UMN_DISPATCH || flags & NDIS_RECEIVE_FLAGS_RESOURCES)) {
        if (!(flags & NDIS_RECEIVE_FLAGS_RESOURCES)) {
            ndis__out_add(&b->rx_out, count);
            ndis__out_add(&b->adapter->rx_out, count);
        }
        ndis__point(UMN_OP_CALLBACK, b);
        b->protocol->chars.ReceiveNetBufferListsHandler(context, chain, port, count, flags);
        return;
    }
    cpu = &ndis__cpu[umn__cpu_quick()];
    d.outer = cpu->delivery;
    cpu->delivery = &d;
    ndis__point(UMN_OP_CALLBACK, b);
    b->protocol->chars.ReceiveNetBufferListsHandler(context, chain, port, count, flags);
    if (likely(cpu->delivery == &d))
        cpu->delivery = d.outer;
    else
        out_of_order(cpu, &d);
    if (unlikely(d.returned != count)) {
        ndis__out_add(&b->rx_out, (int64_t)count - d.returned);
        ndis__out_add(&b->adapter->rx_out, (int64_t)count - d.returned);
    }
}

void NTAPI ndis__to_protocol(struct ndis_binding *b, NET_BUFFER_LIST *chain, ULONG port,
                             ULONG count, ULONG flags)
{
    to_protocol(b, b->context, chain, port, count, flags);
}

/* Back to the miniport, uncounted. A chain that was only lent needs no call. */
static void NTAPI give_back(struct ndis_adapter *a, NET_BUFFER_LIST *chain, ULONG receive_flags)
{
    if (!chain || receive_flags & NDIS_RECEIVE_FLAGS_RESOURCES)
        return;
    if (unlikely(ndis__verify))
        for (NET_BUFFER_LIST *nbl = chain; nbl; nbl = nbl->Next)
            ndis__nbl_tail(nbl)->received--;
    ndis__point(UMN_OP_CALLBACK, a);
    a->driver->chars.ReturnNetBufferListsHandler(
        a->context, chain,
        receive_flags & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL ? NDIS_RETURN_FLAGS_DISPATCH_LEVEL : 0);
}

static NDIS_COLD void NTAPI refused(struct ndis_adapter *a, NET_BUFFER_LIST *chain, ULONG flags)
{
    enum ndis_adapter_state s = __atomic_load_n(&a->state, __ATOMIC_RELAXED);

    if (s != NDIS_ADAPTER_PAUSING && s != NDIS_ADAPTER_RUNNING && s != NDIS_ADAPTER_RESTARTING)
        umn__report("ST-02", 0,
                    "NdisMIndicateReceiveNetBufferLists on adapter %s, which is neither "
                    "running nor restarting",
                    a->name ? a->name : "?");
    give_back(a, chain, flags);
}

/* ---- one binding
 * ------------------------------------------------------------------------------------ */

static inline bool accepts(const struct ndis_binding *b, const struct ndis_adapter *a,
                           uint32_t filter, const NET_BUFFER_LIST *nbl)
{
    uint64_t dest;

    return ndis__frame_dest(nbl, &dest) && ndis__filter_quick(b, a, filter, dest);
}

/* Whether the filter needs no look at the frames; *none: it accepts none of them. */
static inline bool accepts_all(const struct ndis_binding *b, const struct ndis_adapter *a,
                               uint32_t filter, ULONG flags, bool *none)
{
    *none = !filter || !may_receive(b);
    return *none || filter & NDIS_PACKET_TYPE_PROMISCUOUS || !a->frames_802_3 ||
           (flags & NDIS_RECEIVE_FLAGS_PERFECT_FILTERED && filter == ndis__peek(a->filter_set) &&
            a->only);
}

/* A lent chain must come back linked as it was: each accepted run is cut off only during the call.
 */
static void NTAPI lend_runs(struct ndis_binding *b, NET_BUFFER_LIST *chain, ULONG port, ULONG flags)
{
    struct ndis_adapter *a = b->adapter;
    uint32_t filter = __atomic_load_n(&b->packet_filter, __ATOMIC_RELAXED);
    bool none, all = accepts_all(b, a, filter, flags, &none);

    if (none)
        return;
    while (chain) {
        NET_BUFFER_LIST *first = chain, *last = NULL;
        ULONG n = 0;

        for (; chain && (all || accepts(b, a, filter, chain)); chain = chain->Next) {
            last = chain;
            n++;
        }
        if (last) {
            last->Next = NULL;
            to_protocol(b, b->context, first, port, n, flags);
            last->Next = chain;
        }
        if (chain) /* the one that ended the run */
            chain = chain->Next;
    }
}

static void NTAPI deliver_one(struct ndis_binding *b, NET_BUFFER_LIST *chain, ULONG port,
                              ULONG flags)
{
    struct ndis_adapter *a = b->adapter;
    uint32_t filter = __atomic_load_n(&b->packet_filter, __ATOMIC_RELAXED);
    NET_BUFFER_LIST *rejected = NULL, *nbl, *next, **in = &chain, **out = &rejected;
    bool none, all;
    ULONG n = 0;

    if (unlikely(flags & NDIS_RECEIVE_FLAGS_RESOURCES)) {
        lend_runs(b, chain, port, flags);
        return;
    }
    all = accepts_all(b, a, filter, flags, &none);
    if (unlikely(none)) {
        give_back(a, chain, flags);
        return;
    }
    if (all) {
        for (nbl = chain; nbl; nbl = nbl->Next)
            n++;
    } else {
        /* Links are written only where the chain changes. */
        for (nbl = chain; nbl; nbl = next) {
            next = nbl->Next;
            if (next)
                __builtin_prefetch(next->FirstNetBuffer);
            if (likely(accepts(b, a, filter, nbl))) {
                if (unlikely(*in != nbl))
                    *in = nbl;
                in = &nbl->Next;
                n++;
            } else {
                *out = nbl;
                out = &nbl->Next;
            }
        }
        if (unlikely(rejected != NULL)) {
            *in = NULL;
            *out = NULL;
        }
    }
    if (n)
        to_protocol(b, a->only_context, chain, port, n, flags);
    if (unlikely(rejected != NULL))
        give_back(a, rejected, flags);
}

/* ---- several bindings
 * --------------------------------------------------------------------------------- */

struct queue {
    NET_BUFFER_LIST *first, **last;
    ULONG count;
};
struct delivery {
    struct ndis_adapter *a;
    ULONG port, flags;
    unsigned bindings; /* at most QUEUES */
    struct queue queue[QUEUES];
};

static void queue_add(struct queue *q, NET_BUFFER_LIST *nbl)
{
    nbl->Next = NULL;
    *q->last = nbl;
    q->last = &nbl->Next;
    q->count++;
}

static void queue_flush(struct delivery *d, unsigned i)
{
    struct queue *q = &d->queue[i];
    NET_BUFFER_LIST *first = q->first;
    ULONG n = q->count;

    q->first = NULL;
    q->last = &q->first;
    q->count = 0;
    if (n)
        to_protocol(d->a->running[i], d->a->running[i]->context, first, d->port, n,
                    d->flags & ~NDIS_RECEIVE_FLAGS_PERFECT_FILTERED);
}

/* Without memory for a clone the binding only borrows the frame, after what it has coming before.
 */
static NDIS_COLD void lend(struct delivery *d, unsigned i, NET_BUFFER_LIST *nbl)
{
    NET_BUFFER_LIST *next = nbl->Next;

    queue_flush(d, i);
    nbl->Next = NULL;
    to_protocol(d->a->running[i], d->a->running[i]->context, nbl, d->port, 1,
                (d->flags & ~NDIS_RECEIVE_FLAGS_PERFECT_FILTERED) | NDIS_RECEIVE_FLAGS_RESOURCES);
    nbl->Next = next;
}

static struct ndis_share *share_new(struct ndis_adapter *a, NET_BUFFER_LIST *original)
{
    struct ndis_pool *pool = ndis__internal_share_pool();
    struct ndis_share *s = pool ? ndis__block_alloc(pool) : NULL;

    if (!s)
        return NULL;
    ndis__tail(pool, s)->state = NDIS_BLOCK_LIVE;
    s->adapter = a;
    s->original = original;
    s->refs = 1;
    s->saved[0] = original->NdisReserved[0];
    s->saved[1] = original->NdisReserved[1];
    return s;
}

static void share_free(struct ndis_share *s)
{
    ndis__block_free(ndis__internal_share_pool(), s);
}

static NET_BUFFER_LIST *clone_for(struct ndis_share *s, NET_BUFFER_LIST *nbl)
{
    NET_BUFFER_LIST *clone =
        NdisAllocateCloneNetBufferList(nbl, NULL, NULL, NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS);

    if (!clone)
        return NULL;
    NdisCopyReceiveNetBufferListInfo(clone, nbl);
    clone->SourceHandle = nbl->SourceHandle;
    clone->NblFlags = nbl->NblFlags;
    clone->NdisReserved[0] = s;
    ndis__nbl_tail(clone)->received = 1;
    s->refs++;
    return clone;
}

/* `takers` is a mask of bindings, not empty. */
static void spread(struct delivery *d, NET_BUFFER_LIST *nbl, uint64_t takers)
{
    unsigned last = 63 - (unsigned)__builtin_clzll(takers);
    struct ndis_share *s = NULL;

    takers &= ~(1ull << last);
    if (takers)
        s = share_new(d->a, nbl);
    while (takers) {
        unsigned i = (unsigned)__builtin_ctzll(takers);
        NET_BUFFER_LIST *clone = s ? clone_for(s, nbl) : NULL;

        takers &= takers - 1;
        if (clone)
            queue_add(&d->queue[i], clone);
        else
            lend(d, i, nbl);
    }
    if (s && s->refs == 1) {
        share_free(s);
    } else if (s) {
        nbl->NdisReserved[0] = s;
        nbl->NdisReserved[1] = NULL;
    }
    queue_add(&d->queue[last], nbl);
}

static uint64_t takers_of(const struct delivery *d, const NET_BUFFER_LIST *nbl)
{
    uint64_t dest = 0, mask = 0;
    bool known = !d->a->frames_802_3 || ndis__frame_dest(nbl, &dest);

    for (unsigned i = 0; known && i < d->bindings; i++) {
        const struct ndis_binding *b = d->a->running[i];

        if (may_receive(b) && ndis__filter_dest(b, d->a, dest))
            mask |= 1ull << i;
    }
    return mask;
}

static NDIS_COLD void NTAPI deliver_many(struct ndis_adapter *a, NET_BUFFER_LIST *chain, ULONG port,
                                         ULONG flags)
{
    struct delivery d;
    NET_BUFFER_LIST *rejected = NULL, **out = &rejected, *next;

    if (flags & NDIS_RECEIVE_FLAGS_RESOURCES) {
        for (unsigned i = 0; i < a->running_count; i++)
            lend_runs(a->running[i], chain, port, flags);
        return;
    }
    for (unsigned i = QUEUES; i < a->running_count; i++)
        lend_runs(a->running[i], chain, port, flags | NDIS_RECEIVE_FLAGS_RESOURCES);
    d.a = a;
    d.port = port;
    d.flags = flags;
    d.bindings = a->running_count < QUEUES ? a->running_count : QUEUES;
    for (unsigned i = 0; i < d.bindings; i++)
        d.queue[i] = (struct queue){.last = &d.queue[i].first};
    for (; chain; chain = next) {
        uint64_t takers = takers_of(&d, chain);

        next = chain->Next;
        if (takers) {
            spread(&d, chain, takers);
        } else {
            *out = chain;
            out = &chain->Next;
        }
    }
    *out = NULL;
    for (unsigned i = 0; i < d.bindings; i++)
        queue_flush(&d, i);
    give_back(a, rejected, flags);
}

/* ---- what drivers call
 * ---------------------------------------------------------------------------------- */

static NDIS_COLD NET_BUFFER_LIST *NTAPI verified(struct ndis_adapter *a, NET_BUFFER_LIST *chain,
                                                 ULONG announced, ULONG flags)
{
    ULONG n = ndis__verify_chain(
        NDIS_VERIFY_RECEIVE, a, &chain, flags & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL,
        flags & NDIS_RECEIVE_FLAGS_RESOURCES, "NdisMIndicateReceiveNetBufferLists");

    if (n != announced)
        umn__report("NBL-10", 0,
                    "NdisMIndicateReceiveNetBufferLists: %u NBLs announced, the list has %u",
                    announced, n);
    return chain;
}

/*
 * Indicates a chain of NumberOfNetBufferLists received NBLs. They are NDIS's until
 * MiniportReturnNetBufferLists gives them back, or, with NDIS_RECEIVE_FLAGS_RESOURCES, until this
 * call returns. On an adapter that is not running they come back at once. <= DISPATCH_LEVEL.
 * nf-ndis-ndismindicatereceivenetbufferlists.md, IM-RCV-05, IM-RCV-06, IM-RCV-10
 */
void NTAPI NdisMIndicateReceiveNetBufferLists(NDIS_HANDLE MiniportAdapterHandle,
                                              PNET_BUFFER_LIST NetBufferList,
                                              NDIS_PORT_NUMBER PortNumber,
                                              ULONG NumberOfNetBufferLists, ULONG ReceiveFlags)
{
    struct ndis_adapter *a = MiniportAdapterHandle;
    NET_BUFFER_LIST *chain = NetBufferList;
    unsigned slot;

    if (unlikely(!ndis__quick(a, NDIS_KIND_ADAPTER, "NdisMIndicateReceiveNetBufferLists") ||
                 !chain))
        return;
    if (unlikely(ndis__verify))
        chain = verified(a, chain, NumberOfNetBufferLists, ReceiveFlags);
    if (unlikely(!ndis__gate_enter(&a->rx_gate, &slot))) {
        refused(a, chain, ReceiveFlags);
        return;
    }
    __builtin_prefetch(a->only_context);
    if (likely(a->only != NULL))
        deliver_one(a->only, chain, PortNumber, ReceiveFlags);
    else
        deliver_many(a, chain, PortNumber, ReceiveFlags);
    ndis__gate_leave(&a->rx_gate, slot);
}

/* Takes shared NBLs out of a returned chain; what the miniport gets back stays in it. */
static NDIS_COLD NET_BUFFER_LIST *NTAPI unshare(struct ndis_adapter *a, NET_BUFFER_LIST *chain)
{
    NET_BUFFER_LIST *back = NULL, **end = &back, *next;

    for (; chain; chain = next) {
        struct ndis_share *s = chain->NdisReserved[0];
        NET_BUFFER_LIST *done = chain;

        next = chain->Next;
        if (s && s->adapter == a) {
            NET_BUFFER_LIST *original = s->original;

            if (!original)
                ndis__loopback_free(chain);
            else if (chain != original)
                NdisFreeCloneNetBufferList(chain, NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS);
            if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) != 0)
                continue;
            done = original;
            if (original) {
                original->NdisReserved[0] = s->saved[0];
                original->NdisReserved[1] = s->saved[1];
            }
            share_free(s);
            if (!original)
                continue;
        }
        *end = done;
        end = &done->Next;
    }
    *end = NULL;
    return back;
}

static NDIS_COLD NET_BUFFER_LIST *NTAPI verified_return(struct ndis_binding *b,
                                                        NET_BUFFER_LIST *chain, ULONG flags)
{
    ndis__verify_chain(NDIS_VERIFY_RETURN, b, &chain, flags & NDIS_RETURN_FLAGS_DISPATCH_LEVEL,
                       false, "NdisReturnNetBufferLists");
    return chain;
}

/*
 * Gives received NBLs back, in any order and mixture, to the binding that they came from.
 * <= DISPATCH_LEVEL. nf-ndis-ndisreturnnetbufferlists.md, IM-RCV-02
 */
void NTAPI NdisReturnNetBufferLists(NDIS_HANDLE NdisBindingHandle, PNET_BUFFER_LIST NetBufferLists,
                                    ULONG ReturnFlags)
{
    struct ndis_binding *b = NdisBindingHandle;
    NET_BUFFER_LIST *chain = NetBufferLists;
    struct ndis_delivery *d = NULL;
    struct ndis_adapter *a;
    bool shared = false;
    ULONG n = 0;

    /* Also while the binding closes: it waits for just these. */
    if (unlikely(!b || b->data_kind != NDIS_KIND_BINDING) &&
        !ndis__quick_slow(b, NDIS_KIND_BINDING, "NdisReturnNetBufferLists"))
        return;
    if (unlikely(ndis__verify))
        chain = verified_return(b, chain, ReturnFlags);
    for (NET_BUFFER_LIST *nbl = chain; nbl; nbl = nbl->Next) {
        shared |= nbl->NdisReserved[0] != NULL;
        n++;
    }
    if (unlikely(!n))
        return;
    a = b->adapter;
    if (unlikely(shared))
        chain = unshare(a, chain);
    /* Uncounted before the miniport hears of it: it may complete its pause there. An indication
     * under way keeps the adapter running, so that nothing else need be counted. */
    if (likely(umn__irql_quick() >= UMN_DISPATCH))
        for (d = ndis__cpu[umn__cpu_quick()].delivery; d && d->binding != b; d = d->outer)
            ;
    if (likely(d != NULL)) {
        d->returned += n;
    } else {
        ndis__out_add(&a->call_out, 1);
        ndis__out_back(&b->rx_out, n);
        ndis__out_back(&a->rx_out, n);
    }
    if (likely(chain != NULL)) {
        ndis__point(UMN_OP_CALLBACK, a);
        b->below->chars.ReturnNetBufferListsHandler(a->context, chain, ReturnFlags);
    }
    if (unlikely(d == NULL))
        ndis__out_sub(&a->call_out, 1);
}
