/* SPDX-License-Identifier: MIT */
/*
 * One adapter with up to three bindings, put together by hand, so that the data path and the
 * requests are tested without the control path: no PnP, no binds, no states but those that matter
 * here. The miniport and the protocol do what their scripts say and count what they see. Included
 * once.
 */
#ifndef NDIS_RIG_H
#define NDIS_RIG_H

#include "nt_harness.h"
#include "ndis/data.h"
#include "ndis/oid.h"

#define BINDINGS 3
#define HELD 256

struct rig {
    struct ndis_mdriver driver;
    struct ndis_protocol protocol;
    struct ndis_adapter *a;
    struct ndis_binding *b[BINDINGS];
    NDIS_HANDLE pool;
    /* scripts */
    bool hold_sends, hold_receives;
    NDIS_STATUS oid_status;   /* what the handler returns; PENDING: held */
    bool complete_in_handler; /* and then PENDING is returned */
    void (*on_oid)(NDIS_OID_REQUEST *);
    void (*on_receive)(unsigned binding, NET_BUFFER_LIST *chain, ULONG count, ULONG flags);
    /* what was seen */
    unsigned sends, send_calls, cancels, returns, return_calls, oids, oid_running, oid_most;
    unsigned oid_cancels;
    PVOID cancel_id;
    uint8_t oid_irql;
    NDIS_OID_REQUEST *held_oid, last_oid;
    uint8_t oid_data[64];
    unsigned got[BINDINGS], got_calls[BINDINGS], lent[BINDINGS], completed[BINDINGS];
    unsigned oid_done[BINDINGS];
    NDIS_STATUS send_status[BINDINGS], oid_done_status[BINDINGS];
    NET_BUFFER_LIST *held[HELD];
    struct ndis_binding *held_by[HELD];
    unsigned held_count;
    uint32_t last_flags[BINDINGS], last_nbl_flags[BINDINGS];
};
static struct rig rig;

static unsigned number_of(NDIS_HANDLE context)
{
    return (unsigned)(uintptr_t)context;
}

/* ---- the miniport
 * ------------------------------------------------------------------------------------ */

static void NTAPI rig_send(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port,
                           ULONG flags)
{
    rig.send_calls++;
    for (NET_BUFFER_LIST *nbl = chain; nbl; nbl = nbl->Next) {
        rig.sends++;
        nbl->Status = NDIS_STATUS_SUCCESS;
        if (rig.hold_sends) {
            rig.held_by[rig.held_count] = NULL;
            rig.held[rig.held_count++] = nbl;
        }
    }
    if (!rig.hold_sends)
        NdisMSendNetBufferListsComplete(rig.a, chain, 0);
}

static void NTAPI rig_return(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    rig.return_calls++;
    while (chain) {
        NET_BUFFER_LIST *next = chain->Next;

        CHECK(chain->NdisPoolHandle == rig.pool && !chain->NdisReserved[0]);
        rig.returns++;
        NdisFreeNetBufferList(chain);
        chain = next;
    }
}

static void NTAPI rig_cancel_send(NDIS_HANDLE context, PVOID id)
{
    rig.cancels++;
    rig.cancel_id = id;
}

static NDIS_STATUS NTAPI rig_oid(NDIS_HANDLE context, PNDIS_OID_REQUEST r)
{
    UINT n = r->DATA.SET_INFORMATION.InformationBufferLength;

    rig.oids++;
    rig.oid_irql = umn__irql();
    if (++rig.oid_running > rig.oid_most)
        rig.oid_most = rig.oid_running;
    rig.last_oid = *r;
    memcpy(rig.oid_data, r->DATA.SET_INFORMATION.InformationBuffer, n < 64 ? n : 64);
    umn__point(UMN_OP_CALLBACK, r);
    if (rig.on_oid)
        rig.on_oid(r);
    if (rig.oid_status == NDIS_STATUS_PENDING && rig.complete_in_handler) {
        NdisMOidRequestComplete(rig.a, r, NDIS_STATUS_SUCCESS);
        umn__point(UMN_OP_CALLBACK, r);
        rig.oid_running--; /* still in the handler: nothing else may have started */
    } else if (rig.oid_status == NDIS_STATUS_PENDING) {
        rig.held_oid = r;
    } else {
        rig.oid_running--;
    }
    return rig.oid_status;
}

static void NTAPI rig_cancel_oid(NDIS_HANDLE context, PVOID id)
{
    rig.oid_cancels++;
    rig.cancel_id = id;
}

static void __attribute__((unused)) rig_complete_oid(NDIS_STATUS status)
{
    NDIS_OID_REQUEST *r = rig.held_oid;

    rig.held_oid = NULL;
    rig.oid_running--;
    NdisMOidRequestComplete(rig.a, r, status);
}

/* ---- the protocol
 * ------------------------------------------------------------------------------------- */

static void NTAPI rig_receive(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port,
                              ULONG count, ULONG flags)
{
    unsigned i = number_of(context), n = 0;
    NET_BUFFER_LIST *next;

    rig.got_calls[i]++;
    rig.last_flags[i] = flags;
    for (NET_BUFFER_LIST *nbl = chain; nbl; nbl = nbl->Next, n++)
        rig.last_nbl_flags[i] = nbl->NblFlags;
    CHECK(n == count);
    if (rig.on_receive)
        rig.on_receive(i, chain, count, flags);
    if (flags & NDIS_RECEIVE_FLAGS_RESOURCES) {
        rig.lent[i] += n;
        return;
    }
    rig.got[i] += n;
    if (!rig.hold_receives) {
        NdisReturnNetBufferLists(rig.b[i], chain, 0);
        return;
    }
    for (; chain; chain = next) {
        next = chain->Next;
        chain->Next = NULL;
        rig.held_by[rig.held_count] = rig.b[i];
        rig.held[rig.held_count++] = chain;
    }
}

/* Gives the held NBL number i back, received or sent. */
static void __attribute__((unused)) rig_release(unsigned i)
{
    NET_BUFFER_LIST *nbl = rig.held[i];

    rig.held[i] = NULL;
    if (!nbl)
        return;
    if (rig.held_by[i])
        NdisReturnNetBufferLists(rig.held_by[i], nbl, 0);
    else
        NdisMSendNetBufferListsComplete(rig.a, nbl, 0);
}

static void __attribute__((unused)) rig_release_all(void)
{
    for (unsigned i = 0; i < rig.held_count; i++) {
        if (rig.held[i])
            rig.held[i]->Next = NULL;
        rig_release(i);
    }
    rig.held_count = 0;
}

static void NTAPI rig_sent(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    unsigned i = number_of(context);

    while (chain) {
        NET_BUFFER_LIST *next = chain->Next;

        CHECK(chain->SourceHandle == rig.b[i]);
        rig.completed[i]++;
        rig.send_status[i] = chain->Status;
        NdisFreeNetBufferList(chain);
        chain = next;
    }
}

static void NTAPI rig_oid_done(NDIS_HANDLE context, PNDIS_OID_REQUEST r, NDIS_STATUS status)
{
    unsigned i = number_of(context);

    rig.oid_done[i]++;
    rig.oid_done_status[i] = status;
}

/* ---- putting it together
 * -------------------------------------------------------------------------------- */

static bool rig_binding(unsigned i)
{
    struct ndis_binding *b = plat_alloc_aligned(64, sizeof *b);

    rig.b[i] = b;
    if (!b)
        return false;
    memset(b, 0, sizeof *b);
    ndis__object_live(&b->obj, NDIS_KIND_BINDING);
    b->adapter = rig.a;
    b->protocol = &rig.protocol;
    b->context = (NDIS_HANDLE)(uintptr_t)i;
    b->state = NDIS_BINDING_RUNNING;
    b->opened = true;
    b->refs = 1; /* stays ours */
    ndis__dp_binding_init(b);
    ndis__gate_open(&b->tx_gate);
    umn_list_add_tail(&rig.a->bindings, &b->adapter_link);
    return true;
}

/* False: for want of memory. rig_down in any case. */
static bool rig_up(unsigned bindings)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    NET_BUFFER_LIST_POOL_PARAMETERS p = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .fAllocateNetBuffer = TRUE,
        .DataSize = 64,
    };
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c = &rig.driver.chars;

    memset(&rig, 0, sizeof rig);
    umn__ndis_start();
    c->SendNetBufferListsHandler = rig_send;
    c->ReturnNetBufferListsHandler = rig_return;
    c->CancelSendHandler = rig_cancel_send;
    c->OidRequestHandler = rig_oid;
    c->CancelOidRequestHandler = rig_cancel_oid;
    rig.driver.service = "rig";
    c->MajorNdisVersion = 6;
    c->MinorNdisVersion = 30;
    rig.protocol.service = "rigp";
    rig.protocol.chars.ReceiveNetBufferListsHandler = rig_receive;
    rig.protocol.chars.SendNetBufferListsCompleteHandler = rig_sent;
    rig.protocol.chars.OidRequestCompleteHandler = rig_oid_done;
    rig.pool = NdisAllocateNetBufferListPool(NULL, &p);
    rig.a = rig.pool ? plat_alloc_aligned(64, sizeof *rig.a) : NULL;
    if (!rig.a)
        return false;
    memset(rig.a, 0, sizeof *rig.a);
    ndis__object_live(&rig.a->obj, NDIS_KIND_ADAPTER);
    umn_list_init(&rig.a->bindings);
    rig.a->refs = 1;
    rig.a->driver = &rig.driver;
    rig.a->name = "rig0";
    rig.a->state = NDIS_ADAPTER_RUNNING;
    rig.a->attr.general.MediaType = NdisMedium802_3;
    rig.a->attr.general.MaxMulticastListSize = 4;
    rig.a->attr.general.LookaheadSize = 1500;
    rig.a->attr.general.MtuSize = 1500;
    rig.a->attr.general.MacAddressLength = 6;
    memcpy(rig.a->attr.general.CurrentMacAddress, mac, 6);
    memcpy(rig.a->attr.general.PermanentMacAddress, mac, 6);
    ndis__dp_adapter_init(rig.a);
    ndis__filter_adapter_reset(rig.a);
    ndis__oid_accept(rig.a);
    for (unsigned i = 0; i < bindings; i++)
        if (!rig_binding(i))
            return false;
    return ndis__dp_adapter_run(rig.a) == NDIS_STATUS_SUCCESS;
}

static void rig_down(void)
{
    if (rig.a) {
        ndis__oid_drain(rig.a, NDIS_STATUS_NOT_ACCEPTED);
        ndis__dp_adapter_stop(rig.a);
        CHECK(rig.a->rx_out.count == 0);
    }
    for (unsigned i = 0; i < BINDINGS; i++) {
        struct ndis_binding *b = rig.b[i];

        if (!b)
            continue;
        CHECK(b->tx_out.count == 0 && b->rx_out.count == 0 && b->oid_out.count == 0);
        ndis__object_dead(&b->obj);
        umn_list_remove(&b->adapter_link);
        ndis__dp_binding_free(b);
        plat_free(b);
    }
    if (rig.a) {
        ndis__object_dead(&rig.a->obj);
        ndis__dp_adapter_free(rig.a);
        plat_free(rig.a);
    }
    if (rig.pool)
        NdisFreeNetBufferListPool(rig.pool);
    umn__ndis_stop();
}

/* ---- frames
 * -------------------------------------------------------------------------------------------- */

enum frame { DIRECTED, FOREIGN, BROADCAST, MULTICAST_A, MULTICAST_B };
static const uint8_t addresses[][6] = {
    {2, 0, 0, 0, 0, 1},    {2, 0, 0, 0, 0, 9},    {255, 255, 255, 255, 255, 255},
    {1, 0, 0x5e, 0, 0, 1}, {1, 0, 0x5e, 0, 0, 2},
};

/* An NBL with one 60-byte frame, or NULL. */
static NET_BUFFER_LIST *frame(enum frame kind, NDIS_HANDLE source)
{
    NET_BUFFER_LIST *nbl = NdisAllocateNetBufferList(rig.pool, 0, 0);
    uint8_t *bytes;

    if (!nbl)
        return NULL;
    bytes = nbl->FirstNetBuffer->MdlChain->MappedSystemVa;
    memset(bytes, 0, 60);
    memcpy(bytes, addresses[kind], 6);
    nbl->FirstNetBuffer->DataLength = 60;
    nbl->SourceHandle = source;
    return nbl;
}

/* A chain, as many as there is memory for; *count is how many. */
static NET_BUFFER_LIST *frames(const char *kinds, NDIS_HANDLE source, ULONG *count)
{
    NET_BUFFER_LIST *first = NULL, **last = &first;

    *count = 0;
    for (; *kinds; kinds++) {
        NET_BUFFER_LIST *nbl = frame((enum frame)(*kinds - '0'), source);

        if (!nbl) {
            CHECK(plat_alloc_failed());
            continue;
        }
        *last = nbl;
        last = &nbl->Next;
        (*count)++;
    }
    return first;
}

static ULONG __attribute__((unused)) indicate(const char *kinds, ULONG flags)
{
    ULONG n;
    NET_BUFFER_LIST *chain = frames(kinds, rig.a, &n);

    NdisMIndicateReceiveNetBufferLists(rig.a, chain, 0, n, flags);
    return n;
}

static ULONG __attribute__((unused)) transmit(unsigned i, const char *kinds, ULONG flags)
{
    ULONG n;
    NET_BUFFER_LIST *chain = frames(kinds, rig.b[i], &n);

    NdisSendNetBufferLists(rig.b[i], chain, 0, flags);
    return n;
}

/* ---- requests
 * ------------------------------------------------------------------------------------------- */

static void request_make(NDIS_OID_REQUEST *r, NDIS_REQUEST_TYPE type, NDIS_OID oid, void *buffer,
                         UINT length)
{
    memset(r, 0, sizeof *r);
    r->Header.Type = NDIS_OBJECT_TYPE_OID_REQUEST;
    r->Header.Revision = NDIS_OID_REQUEST_REVISION_1;
    r->Header.Size = NDIS_SIZEOF_OID_REQUEST_REVISION_1;
    r->RequestType = type;
    r->DATA.QUERY_INFORMATION.Oid = oid;
    r->DATA.QUERY_INFORMATION.InformationBuffer = buffer;
    r->DATA.QUERY_INFORMATION.InformationBufferLength = length;
}

static NDIS_STATUS __attribute__((unused)) set(unsigned i, NDIS_OID oid, void *buffer, UINT length)
{
    NDIS_OID_REQUEST r;

    request_make(&r, NdisRequestSetInformation, oid, buffer, length);
    return NdisOidRequest(rig.b[i], &r);
}

static NDIS_STATUS __attribute__((unused)) set_filter(unsigned i, uint32_t filter)
{
    return set(i, OID_GEN_CURRENT_PACKET_FILTER, &filter, 4);
}

#endif
