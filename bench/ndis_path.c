/* SPDX-License-Identifier: MIT */
/*
 * What the library itself costs per NBL, without drivers' work: pools, one indication and return
 * through a binding, two stacked ones as under a MUX (indicate, indicate, return, return), sends.
 * One vCPU at DISPATCH_LEVEL on the threads back end, batches of 64 frames of 64 bytes. Prints the
 * median and spread of nanoseconds per NBL of 15 runs. Build with CFG=release.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ndis/data.h"

#define BATCH 64
#define ROUNDS 4000
#define RUNS 15

struct stack {
    struct ndis_mdriver driver;
    struct ndis_protocol protocol;
    struct ndis_adapter *a;
    struct ndis_binding *b;
};
static struct stack low, high;
static bool stacked;
static NET_BUFFER_LIST *back; /* chain that came back to the lowest miniport */
static NDIS_HANDLE pool;

static void NTAPI low_return(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    back = chain;
}

static void NTAPI high_return(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    NdisReturnNetBufferLists(low.b, chain, flags);
}

static void NTAPI low_receive(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port,
                              ULONG count, ULONG flags)
{
    if (stacked)
        NdisMIndicateReceiveNetBufferLists(high.a, chain, 0, count, flags);
    else
        NdisReturnNetBufferLists(low.b, chain, NDIS_RETURN_FLAGS_DISPATCH_LEVEL);
}

static void NTAPI high_receive(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port,
                               ULONG count, ULONG flags)
{
    NdisReturnNetBufferLists(high.b, chain, NDIS_RETURN_FLAGS_DISPATCH_LEVEL);
}

static void NTAPI low_send(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port,
                           ULONG flags)
{
    NdisMSendNetBufferListsComplete(low.a, chain, NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL);
}

static void NTAPI low_sent(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    back = chain;
}

static void make(struct stack *s)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

    s->a = plat_alloc_aligned(64, sizeof *s->a);
    s->b = plat_alloc_aligned(64, sizeof *s->b);
    if (!s->a || !s->b)
        exit(1);
    memset(s->a, 0, sizeof *s->a);
    memset(s->b, 0, sizeof *s->b);
    ndis__object_live(&s->a->obj, NDIS_KIND_ADAPTER);
    ndis__object_live(&s->b->obj, NDIS_KIND_BINDING);
    umn_list_init(&s->a->bindings);
    s->a->driver = &s->driver;
    s->a->state = NDIS_ADAPTER_RUNNING;
    s->a->attr.general.MediaType = NdisMedium802_3;
    memcpy(s->a->attr.general.CurrentMacAddress, mac, 6);
    ndis__dp_adapter_init(s->a);
    ndis__filter_adapter_reset(s->a);
    s->b->adapter = s->a;
    s->b->protocol = &s->protocol;
    s->b->state = NDIS_BINDING_RUNNING;
    ndis__dp_binding_init(s->b);
    ndis__gate_open(&s->b->tx_gate);
    umn_list_add_tail(&s->a->bindings, &s->b->adapter_link);
    if (ndis__dp_adapter_run(s->a))
        exit(1);
}

static void filter(struct stack *s, uint32_t value)
{
    s->b->packet_filter = s->a->filter_set = value;
}

static NET_BUFFER_LIST *chain_of(ULONG n, NDIS_HANDLE source)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    NET_BUFFER_LIST *first = NULL;

    while (n--) {
        NET_BUFFER_LIST *nbl = NdisAllocateNetBufferList(pool, 0, 0);

        if (!nbl)
            exit(1);
        memcpy(nbl->FirstNetBuffer->MdlChain->MappedSystemVa, mac, 6);
        nbl->FirstNetBuffer->DataLength = 64;
        nbl->SourceHandle = source;
        nbl->Next = first;
        first = nbl;
    }
    return first;
}

static void free_chain(NET_BUFFER_LIST *nbl)
{
    while (nbl) {
        NET_BUFFER_LIST *next = nbl->Next;

        NdisFreeNetBufferList(nbl);
        nbl = next;
    }
}

/* ---- what is measured
 * ------------------------------------------------------------------------------- */

static void receive_round(void)
{
    NET_BUFFER_LIST *chain = back;

    back = NULL;
    NdisMIndicateReceiveNetBufferLists(low.a, chain, 0, BATCH, NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL);
}

static void send_round(void)
{
    NET_BUFFER_LIST *chain = back;

    back = NULL;
    NdisSendNetBufferLists(low.b, chain, 0, NDIS_SEND_FLAGS_DISPATCH_LEVEL);
}

static NDIS_HANDLE plain;
static void pool_round(void)
{
    NET_BUFFER_LIST *nbl[BATCH];

    for (unsigned i = 0; i < BATCH; i++)
        nbl[i] = NdisAllocateNetBufferAndNetBufferList(plain, 0, 0, NULL, 0, 0);
    for (unsigned i = 0; i < BATCH; i++)
        NdisFreeNetBufferList(nbl[i]);
}

static void clone_round(void)
{
    NET_BUFFER_LIST *nbl[BATCH], *from = back;

    for (unsigned i = 0; i < BATCH; i++, from = from->Next)
        nbl[i] = NdisAllocateCloneNetBufferList(from, plain, NULL, 0);
    for (unsigned i = 0; i < BATCH; i++)
        NdisFreeCloneNetBufferList(nbl[i], 0);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(const char *name, void (*round)(void))
{
    double ns[RUNS];

    for (unsigned i = 0; i < RUNS; i++) {
        uint64_t t = plat_now_monotonic();

        for (unsigned k = 0; k < ROUNDS; k++)
            round();
        ns[i] = (double)(plat_now_monotonic() - t) * 100 / ROUNDS / BATCH;
    }
    qsort(ns, RUNS, sizeof ns[0], by_value);
    printf("%-44s %6.2f ns  (%.2f .. %.2f)  %7.2f M/s\n", name, ns[RUNS / 2], ns[0], ns[RUNS - 1],
           1000 / ns[RUNS / 2]);
}

static void run(void *arg)
{
    NET_BUFFER_LIST_POOL_PARAMETERS p = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .fAllocateNetBuffer = TRUE,
        .DataSize = 2048,
    };
    KIRQL old;

    umn__ndis_start();
    low.driver.chars.ReturnNetBufferListsHandler = low_return;
    low.driver.chars.SendNetBufferListsHandler = low_send;
    low.protocol.chars.ReceiveNetBufferListsHandler = low_receive;
    low.protocol.chars.SendNetBufferListsCompleteHandler = low_sent;
    high.driver.chars.ReturnNetBufferListsHandler = high_return;
    high.protocol.chars.ReceiveNetBufferListsHandler = high_receive;
    pool = NdisAllocateNetBufferListPool(NULL, &p);
    p.DataSize = 0;
    plain = NdisAllocateNetBufferListPool(NULL, &p);
    make(&low);
    make(&high);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    measure("NBL and NB, allocate and free", pool_round);
    back = chain_of(BATCH, low.a);
    measure("clone with MDLs, allocate and free", clone_round);
    filter(&low, NDIS_PACKET_TYPE_PROMISCUOUS);
    measure("indicate and return, promiscuous", receive_round);
    filter(&low, NDIS_PACKET_TYPE_DIRECTED);
    measure("indicate and return, filter by address", receive_round);
    stacked = true;
    filter(&low, NDIS_PACKET_TYPE_PROMISCUOUS);
    filter(&high, NDIS_PACKET_TYPE_DIRECTED);
    measure("two indications and returns, filter above", receive_round);
    free_chain(back);
    back = chain_of(BATCH, low.b);
    measure("send and completion", send_round);
    free_chain(back);
    KeLowerIrql(old);
    NdisFreeNetBufferListPool(pool);
    NdisFreeNetBufferListPool(plain);
}

int main(void)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_THREADS, .cpus = 1, .pin = true};

    umn__ndis_verify(false);
    if (umn__sched_start(&config) || umn__nt_start())
        return 1;
    umn__sched_run(run, NULL);
    return 0;
}
