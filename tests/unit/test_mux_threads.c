/* SPDX-License-Identifier: MIT */
/*
 * The real MUX on host threads (IM-SYN-01): two virtual miniports, and a third that comes and goes,
 * under concurrent sends, indications, returns, completions, requests, link changes and pauses. The
 * NIC below and the protocol above are made for it: everything they share is atomic or under their
 * lock. What went in is counted against what came out; ThreadSanitizer (CFG=tsan) watches. Written
 * for the conformance harness (tests/support/conf.h).
 */
#include "world.h"
#include <stdio.h>
#include "image/image.h"

#define ROUNDS 250
#define PRIVATE_OID 0xff010203u

#define ADD(x, n) __atomic_fetch_add(&(x), (n), __ATOMIC_SEQ_CST)
#define GET(x) __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define SET(x, v) __atomic_store_n(&(x), (v), __ATOMIC_SEQ_CST)

/* ---- frames
 * ------------------------------------------------------------------------------------------ */
static NDIS_HANDLE make_pool(NDIS_HANDLE owner)
{
    NET_BUFFER_LIST_POOL_PARAMETERS pool = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .fAllocateNetBuffer = TRUE,
        .PoolTag = 'rhTM',
        .DataSize = 128,
    };
    return NdisAllocateNetBufferListPool(owner, &pool);
}

/* `count` frames of 60 bytes to `to`, or as many as memory allows. */
static NET_BUFFER_LIST *frames(NDIS_HANDLE pool, NDIS_HANDLE source, const uint8_t *to,
                               unsigned count, unsigned *made)
{
    NET_BUFFER_LIST *head = NULL;
    for (*made = 0; *made < count; ++*made) {
        NET_BUFFER_LIST *nbl = NdisAllocateNetBufferList(pool, 0, 0);
        if (!nbl)
            break;
        NET_BUFFER *nb = NET_BUFFER_LIST_FIRST_NB(nbl);
        if (NdisRetreatNetBufferDataStart(nb, 60, 0, NULL) != NDIS_STATUS_SUCCESS) {
            NdisFreeNetBufferList(nbl);
            break;
        }
        frame(NdisGetDataBuffer(nb, 60, NULL, 1, 0), to, mac_other, 0x88b5);
        nbl->SourceHandle = source;
        NET_BUFFER_LIST_NEXT_NBL(nbl) = head;
        head = nbl;
    }
    return head;
}

static unsigned free_frames(NET_BUFFER_LIST *chain)
{
    unsigned n = 0;
    for (NET_BUFFER_LIST *next; chain; chain = next, n++) {
        next = NET_BUFFER_LIST_NEXT_NBL(chain);
        NdisAdvanceNetBufferDataStart(NET_BUFFER_LIST_FIRST_NB(chain), 60, TRUE, NULL);
        NdisFreeNetBufferList(chain);
    }
    return n;
}

/* A list that one context fills and another one empties. */
struct later {
    KSPIN_LOCK lock;
    NET_BUFFER_LIST *chain;
};
static unsigned put_later(struct later *l, NET_BUFFER_LIST *chain)
{
    KIRQL old;
    unsigned n = 0;
    KeAcquireSpinLock(&l->lock, &old);
    for (NET_BUFFER_LIST *next; chain; chain = next, n++) {
        next = NET_BUFFER_LIST_NEXT_NBL(chain);
        NET_BUFFER_LIST_NEXT_NBL(chain) = l->chain;
        l->chain = chain;
    }
    KeReleaseSpinLock(&l->lock, old);
    return n;
}
static NET_BUFFER_LIST *take_later(struct later *l)
{
    KIRQL old;
    KeAcquireSpinLock(&l->lock, &old);
    NET_BUFFER_LIST *chain = l->chain;
    l->chain = NULL;
    KeReleaseSpinLock(&l->lock, old);
    return chain;
}

/* ---- the NIC
 * -----------------------------------------------------------------------------------------------
 */
static struct {
    NDIS_HANDLE driver, handle, pool;
    uint32_t running, filter;
    KSPIN_LOCK lock; /* out, pausing */
    int out;         /* receives indicated, sends kept */
    bool pausing;
    struct later sends;
    NDIS_OID_REQUEST *oid;
    uint32_t sent, indicated, returned, oids;
} nic;

/* Something is back: the last one of a pause completes it. */
static void nic_less(int n)
{
    KIRQL old;
    KeAcquireSpinLock(&nic.lock, &old);
    nic.out -= n;
    bool done = nic.pausing && nic.out == 0;
    if (done)
        nic.pausing = false;
    KeReleaseSpinLock(&nic.lock, old);
    if (done)
        NdisMPauseComplete(nic.handle);
}
/* False: not running, nothing is counted. */
static bool nic_more(int n)
{
    KIRQL old;
    KeAcquireSpinLock(&nic.lock, &old);
    bool go = nic.running;
    if (go)
        nic.out += n;
    KeReleaseSpinLock(&nic.lock, old);
    return go;
}

static NDIS_STATUS NTAPI MtInitialize(NDIS_HANDLE handle, NDIS_HANDLE context,
                                      PNDIS_MINIPORT_INIT_PARAMETERS init)
{
    static const NDIS_OID oids[] = {OID_GEN_CURRENT_PACKET_FILTER, OID_802_3_MULTICAST_LIST};
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES a = {0}, b = {0};
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES *r = &a.RegistrationAttributes;
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *g = &b.GeneralAttributes;
    r->Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES;
    r->Header.Revision = NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1;
    r->Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1;
    r->MiniportAdapterContext = &nic;
    r->InterfaceType = NdisInterfaceInternal;
    g->Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES;
    g->Header.Revision = NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2;
    g->Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2;
    g->MediaType = NdisMedium802_3;
    g->MtuSize = g->LookaheadSize = 1500;
    g->MaxXmitLinkSpeed = g->MaxRcvLinkSpeed = g->XmitLinkSpeed = g->RcvLinkSpeed = 1000000000ull;
    g->MediaConnectState = MediaConnectStateConnected;
    g->MediaDuplexState = MediaDuplexStateFull;
    g->MacOptions = NDIS_MAC_OPTION_NO_LOOPBACK;
    g->SupportedPacketFilters = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST |
                                NDIS_PACKET_TYPE_BROADCAST | NDIS_PACKET_TYPE_ALL_MULTICAST |
                                NDIS_PACKET_TYPE_PROMISCUOUS;
    g->MaxMulticastListSize = 16;
    g->MacAddressLength = 6;
    memcpy(g->CurrentMacAddress, (uint8_t[]){2, 0, 0, 0, 1, 1}, 6);
    memcpy(g->PermanentMacAddress, g->CurrentMacAddress, 6);
    g->AccessType = NET_IF_ACCESS_BROADCAST;
    g->DirectionType = NET_IF_DIRECTION_SENDRECEIVE;
    g->ConnectionType = NET_IF_CONNECTION_DEDICATED;
    g->IfType = IF_TYPE_ETHERNET_CSMACD;
    g->SupportedOidList = (PNDIS_OID)oids;
    g->SupportedOidListLength = sizeof oids;
    nic.handle = handle;
    nic.pool = make_pool(handle);
    if (!nic.pool)
        return NDIS_STATUS_RESOURCES;
    NDIS_STATUS status = NdisMSetMiniportAttributes(handle, &a);
    if (status == NDIS_STATUS_SUCCESS)
        status = NdisMSetMiniportAttributes(handle, &b);
    if (status != NDIS_STATUS_SUCCESS)
        NdisFreeNetBufferListPool(nic.pool);
    return status;
}
static void NTAPI MtHalt(NDIS_HANDLE context, NDIS_HALT_ACTION action)
{
    NdisFreeNetBufferListPool(nic.pool);
}
static NDIS_STATUS NTAPI MtPause(NDIS_HANDLE context, PNDIS_MINIPORT_PAUSE_PARAMETERS p)
{
    KIRQL old;
    KeAcquireSpinLock(&nic.lock, &old);
    nic.running = 0;
    nic.pausing = nic.out != 0;
    bool pend = nic.pausing;
    KeReleaseSpinLock(&nic.lock, old);
    return pend ? NDIS_STATUS_PENDING : NDIS_STATUS_SUCCESS;
}
static NDIS_STATUS NTAPI MtRestart(NDIS_HANDLE context, PNDIS_MINIPORT_RESTART_PARAMETERS p)
{
    KIRQL old;
    KeAcquireSpinLock(&nic.lock, &old);
    nic.running = 1;
    KeReleaseSpinLock(&nic.lock, old);
    return NDIS_STATUS_SUCCESS;
}
static NDIS_STATUS NTAPI MtOid(NDIS_HANDLE context, PNDIS_OID_REQUEST r)
{
    ADD(nic.oids, 1);
    if (r->DATA.QUERY_INFORMATION.Oid == PRIVATE_OID) {
        SET(nic.oid, r); /* one at a time: the completer finds it */
        return NDIS_STATUS_PENDING;
    }
    if (r->DATA.SET_INFORMATION.Oid == OID_GEN_CURRENT_PACKET_FILTER)
        SET(nic.filter, *(ULONG *)r->DATA.SET_INFORMATION.InformationBuffer);
    r->DATA.SET_INFORMATION.BytesRead = r->DATA.SET_INFORMATION.InformationBufferLength;
    return NDIS_STATUS_SUCCESS;
}
static void NTAPI MtSend(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port,
                         ULONG flags)
{
    int n = 0;
    bool go;
    for (NET_BUFFER_LIST *nbl = chain; nbl; nbl = NET_BUFFER_LIST_NEXT_NBL(nbl))
        n++;
    go = nic_more(n);
    for (NET_BUFFER_LIST *nbl = chain; nbl; nbl = NET_BUFFER_LIST_NEXT_NBL(nbl))
        NET_BUFFER_LIST_STATUS(nbl) = go ? NDIS_STATUS_SUCCESS : NDIS_STATUS_PAUSED;
    if (go && ADD(nic.sent, n) % 3 == 0) {
        put_later(&nic.sends, chain);
        return;
    }
    NdisMSendNetBufferListsComplete(
        nic.handle, chain,
        flags & NDIS_SEND_FLAGS_DISPATCH_LEVEL ? NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL : 0);
    if (go)
        nic_less(n);
}
static void NTAPI MtReturn(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    unsigned n = free_frames(chain);
    ADD(nic.returned, n);
    nic_less((int)n);
}
static void NTAPI MtCancel(NDIS_HANDLE context, PVOID id)
{
}
static void NTAPI MtPnp(NDIS_HANDLE context, PNET_DEVICE_PNP_EVENT event)
{
}
static void NTAPI MtShutdown(NDIS_HANDLE context, NDIS_SHUTDOWN_ACTION action)
{
}
static void NTAPI MtUnload(PDRIVER_OBJECT driver)
{
    NdisMDeregisterMiniportDriver(nic.driver);
}

static NTSTATUS NTAPI MtNicEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS c = {
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
                   NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2,
                   NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2},
        .MajorNdisVersion = 6,
        .MinorNdisVersion = 30,
        .InitializeHandlerEx = MtInitialize,
        .HaltHandlerEx = MtHalt,
        .UnloadHandler = MtUnload,
        .PauseHandler = MtPause,
        .RestartHandler = MtRestart,
        .OidRequestHandler = MtOid,
        .SendNetBufferListsHandler = MtSend,
        .ReturnNetBufferListsHandler = MtReturn,
        .CancelSendHandler = MtCancel,
        .DevicePnPEventNotifyHandler = MtPnp,
        .ShutdownHandlerEx = MtShutdown,
        .CancelOidRequestHandler = MtCancel,
    };
    return NdisMRegisterMiniportDriver(driver, path, NULL, &c, &nic.driver);
}

/* ---- the protocol: services mtproto0 (traffic) and mtproto1 (comes and goes)
 * ------------------------------- */
#define TOPS 8
static struct top {
    uint32_t used, running;
    int32_t inside; /* sends under way: NetEventPause and the unbind wait for them */
    NDIS_HANDLE handle, pool;
    uint8_t mac[6];
    struct later held;
    uint32_t sent, completed, received, asked, answered;
} tops[TOPS];
static NDIS_HANDLE protocol[2];

static void pause_ms(unsigned ms)
{
    LARGE_INTEGER due = {.QuadPart = -10000ll * ms};
    KeDelayExecutionThread(KernelMode, FALSE, &due);
}

static NDIS_STATUS NTAPI MtBind(NDIS_HANDLE context, NDIS_HANDLE bind, PNDIS_BIND_PARAMETERS p)
{
    NDIS_MEDIUM media[] = {NdisMedium802_3};
    UINT index;
    struct top *t = NULL;
    for (unsigned i = 0; i < TOPS && !t; i++) {
        uint32_t zero = 0;
        if (__atomic_compare_exchange_n(&tops[i].used, &zero, 1, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            t = &tops[i];
    }
    if (!t)
        return NDIS_STATUS_RESOURCES;
    NDIS_OPEN_PARAMETERS o = {
        .Header = {NDIS_OBJECT_TYPE_OPEN_PARAMETERS, NDIS_OPEN_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1},
        .AdapterName = p->AdapterName,
        .MediumArray = media,
        .MediumArraySize = 1,
        .SelectedMediumIndex = &index,
    };
    memcpy(t->mac, p->CurrentMacAddress, 6);
    t->pool = make_pool(protocol[(uintptr_t)context]);
    NDIS_STATUS status =
        t->pool ? NdisOpenAdapterEx(protocol[(uintptr_t)context], t, &o, bind, &t->handle)
                : NDIS_STATUS_RESOURCES;
    if (status != NDIS_STATUS_SUCCESS) {
        if (t->pool)
            NdisFreeNetBufferListPool(t->pool);
        SET(t->used, 0);
    }
    return status;
}
static void NTAPI MtOpenComplete(NDIS_HANDLE context, NDIS_STATUS status)
{
}

static void stop_sends(struct top *t)
{
    SET(t->running, 0);
    while (GET(t->inside))
        pause_ms(1);
}
static void give_back(struct top *t, ULONG flags)
{
    NET_BUFFER_LIST *chain = take_later(&t->held);
    if (chain)
        NdisReturnNetBufferLists(t->handle, chain, flags);
}
static KEVENT closed[TOPS];
static NDIS_STATUS NTAPI MtUnbind(NDIS_HANDLE unbind, NDIS_HANDLE context)
{
    struct top *t = context;
    stop_sends(t);
    give_back(t, 0);
    KeInitializeEvent(&closed[t - tops], NotificationEvent, FALSE);
    if (NdisCloseAdapterEx(t->handle) == NDIS_STATUS_PENDING)
        KeWaitForSingleObject(&closed[t - tops], Executive, KernelMode, FALSE, NULL);
    NdisFreeNetBufferListPool(t->pool);
    SET(t->used, 0);
    return NDIS_STATUS_SUCCESS;
}
static void NTAPI MtCloseComplete(NDIS_HANDLE context)
{
    KeSetEvent(&closed[(struct top *)context - tops], 0, FALSE);
}

struct request {
    NDIS_OID_REQUEST oid;
    KEVENT done;
    NDIS_STATUS status;
};
static NDIS_STATUS ask(struct top *t, NDIS_REQUEST_TYPE type, NDIS_OID oid, void *buffer,
                       ULONG size)
{
    struct request r = {
        .oid = {.Header = {NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID_REQUEST_REVISION_1,
                           NDIS_SIZEOF_OID_REQUEST_REVISION_1},
                .RequestType = type},
    };
    r.oid.DATA.QUERY_INFORMATION.Oid = oid;
    r.oid.DATA.QUERY_INFORMATION.InformationBuffer = buffer;
    r.oid.DATA.QUERY_INFORMATION.InformationBufferLength = size;
    KeInitializeEvent(&r.done, NotificationEvent, FALSE);
    NDIS_STATUS status = NdisOidRequest(t->handle, &r.oid);
    if (status == NDIS_STATUS_PENDING) {
        KeWaitForSingleObject(&r.done, Executive, KernelMode, FALSE, NULL);
        status = r.status;
    }
    return status;
}
static void NTAPI MtOidComplete(NDIS_HANDLE context, PNDIS_OID_REQUEST oid, NDIS_STATUS status)
{
    struct request *r = CONTAINING_RECORD(oid, struct request, oid);
    r->status = status;
    KeSetEvent(&r->done, 0, FALSE);
}

static NDIS_STATUS NTAPI MtEvent(NDIS_HANDLE context, PNET_PNP_EVENT_NOTIFICATION n)
{
    struct top *t = context;
    ULONG filter = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST;
    if (!t)
        return NDIS_STATUS_SUCCESS;
    if (n->NetPnPEvent.NetEvent == NetEventPause) {
        stop_sends(t);
        give_back(t, 0);
    } else if (n->NetPnPEvent.NetEvent == NetEventRestart) {
        SET(t->running, 1);
        ask(t, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &filter, 4);
    }
    return NDIS_STATUS_SUCCESS;
}
static void NTAPI MtStatus(NDIS_HANDLE context, PNDIS_STATUS_INDICATION status)
{
}
static void NTAPI MtReceive(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port,
                            ULONG count, ULONG flags)
{
    struct top *t = context;
    uint32_t before = ADD(t->received, count);
    if (flags & NDIS_RECEIVE_FLAGS_RESOURCES)
        return;
    if (before % 4 == 1 && GET(t->running)) {
        put_later(&t->held, chain);
        if (!GET(t->running)) /* paused in between: nobody else looks */
            give_back(t, flags & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL
                             ? NDIS_RETURN_FLAGS_DISPATCH_LEVEL
                             : 0);
        return;
    }
    NdisReturnNetBufferLists(
        t->handle, chain,
        flags & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL ? NDIS_RETURN_FLAGS_DISPATCH_LEVEL : 0);
}
static void NTAPI MtSent(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    struct top *t = context;
    unsigned n = free_frames(chain);
    ADD(t->completed, n);
    ADD(t->inside, -(int32_t)n);
}

static NTSTATUS register_protocol(PDRIVER_OBJECT driver, const WCHAR *name, unsigned number)
{
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS c = {
        .Header = {NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS,
                   NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2,
                   NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2},
        .MajorNdisVersion = 6,
        .MinorNdisVersion = 30,
        .BindAdapterHandlerEx = MtBind,
        .UnbindAdapterHandlerEx = MtUnbind,
        .OpenAdapterCompleteHandlerEx = MtOpenComplete,
        .CloseAdapterCompleteHandlerEx = MtCloseComplete,
        .NetPnPEventHandler = MtEvent,
        .OidRequestCompleteHandler = MtOidComplete,
        .StatusHandlerEx = MtStatus,
        .ReceiveNetBufferListsHandler = MtReceive,
        .SendNetBufferListsCompleteHandler = MtSent,
    };
    RtlInitUnicodeString(&c.Name, name);
    return NdisRegisterProtocolDriver((NDIS_HANDLE)(uintptr_t)number, &c, &protocol[number]);
}
static void NTAPI MtUnload0(PDRIVER_OBJECT driver)
{
    NdisDeregisterProtocolDriver(protocol[0]);
}
static void NTAPI MtUnload1(PDRIVER_OBJECT driver)
{
    NdisDeregisterProtocolDriver(protocol[1]);
}
static NTSTATUS NTAPI MtEntry0(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    driver->DriverUnload = MtUnload0;
    return register_protocol(driver, u"mtproto0", 0);
}
static NTSTATUS NTAPI MtEntry1(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    driver->DriverUnload = MtUnload1;
    return register_protocol(driver, u"mtproto1", 1);
}

/* ---- the crowd
 * -------------------------------------------------------------------------------------------------
 */
static char nic_guid[64], vm_id[3][64], vm_guid[3][64];
static uint32_t stop;

static void send_some(struct top *t, unsigned count, bool high)
{
    KIRQL old = 0;
    unsigned made;
    ADD(t->inside, (int32_t)count);
    if (!GET(t->running)) {
        ADD(t->inside, -(int32_t)count);
        return;
    }
    const uint8_t *to = count & 1 ? tops[0].mac : mac_broadcast;
    NET_BUFFER_LIST *chain = frames(t->pool, t->handle, to, count, &made);
    ADD(t->inside, (int32_t)made - (int32_t)count);
    ADD(t->sent, made);
    if (!chain)
        return;
    if (high)
        KeRaiseIrql(DISPATCH_LEVEL, &old);
    NdisSendNetBufferLists(t->handle, chain, NDIS_DEFAULT_PORT_NUMBER,
                           high ? NDIS_SEND_FLAGS_DISPATCH_LEVEL : 0);
    if (high)
        KeLowerIrql(old);
}
/* At least ROUNDS; longer, but bounded, when all of them fell into pauses on a slow machine. */
static bool more_rounds(unsigned i, bool seen)
{
    if (i < ROUNDS || seen || i >= ROUNDS + 5000)
        return i < ROUNDS;
    pause_ms(1);
    return true;
}
static void sender(void *arg)
{
    struct top *t = &tops[(uintptr_t)arg];
    for (unsigned i = 0; more_rounds(i, GET(t->sent) && GET(nic.sent)); i++)
        send_some(t, 1 + i % 4, i & 1);
}
static void receiver(void *arg)
{
    for (unsigned i = 0; more_rounds(i, GET(tops[0].received) && GET(tops[1].received)); i++) {
        const unsigned lent = i % 5 == 4;
        unsigned made;
        KIRQL old;
        if (!nic_more(3)) {
            pause_ms(1);
            continue;
        }
        const uint8_t *to = i % 3 == 0 ? mac_broadcast : tops[i % 2].mac;
        NET_BUFFER_LIST *chain = frames(nic.pool, nic.handle, to, 3, &made);
        nic_less(3 - (int)made);
        if (!chain)
            continue;
        ADD(nic.indicated, made);
        KeRaiseIrql(DISPATCH_LEVEL, &old);
        NdisMIndicateReceiveNetBufferLists(nic.handle, chain, NDIS_DEFAULT_PORT_NUMBER, made,
                                           NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL |
                                               (lent ? NDIS_RECEIVE_FLAGS_RESOURCES : 0));
        KeLowerIrql(old);
        if (lent) {
            ADD(nic.returned, free_frames(chain));
            nic_less((int)made);
        }
    }
}
static void asker(void *arg)
{
    struct top *t = &tops[(uintptr_t)arg];
    static const uint8_t list[6] = {1, 0, 0x5e, 0, 0, 9};
    for (unsigned i = 0; i < ROUNDS / 3; i++) {
        uint8_t buffer[64];
        ULONG filter = i & 1 ? 0x05 : 0x07;
        memcpy(buffer, list, 6);
        t->asked += 3;
        t->answered += ask(t, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &filter,
                           4) == NDIS_STATUS_SUCCESS;
        t->answered += ask(t, NdisRequestSetInformation, OID_802_3_MULTICAST_LIST, buffer,
                           i & 1 ? 6 : 0) == NDIS_STATUS_SUCCESS;
        t->answered +=
            ask(t, NdisRequestQueryInformation, PRIVATE_OID, buffer, 4) == NDIS_STATUS_SUCCESS;
    }
}
/* Completes what the NIC has kept, returns what the protocol has kept. */
static void finisher(void *arg)
{
    while (!GET(stop)) {
        NET_BUFFER_LIST *chain = take_later(&nic.sends);
        NDIS_OID_REQUEST *oid = __atomic_exchange_n(&nic.oid, NULL, __ATOMIC_SEQ_CST);
        int n = 0;
        for (NET_BUFFER_LIST *nbl = chain; nbl; nbl = NET_BUFFER_LIST_NEXT_NBL(nbl))
            n++;
        if (chain) {
            NdisMSendNetBufferListsComplete(nic.handle, chain, 0);
            nic_less(n);
        }
        if (oid)
            NdisMOidRequestComplete(nic.handle, oid, NDIS_STATUS_SUCCESS);
        for (unsigned i = 0; i < 2; i++)
            give_back(&tops[i], 0);
        if (!chain && !oid)
            pause_ms(1);
    }
}
static void flapper(void *arg)
{
    for (unsigned i = 0; i < 40; i++) {
        NDIS_LINK_STATE link = {
            .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_LINK_STATE_REVISION_1,
                       NDIS_SIZEOF_LINK_STATE_REVISION_1},
            .MediaConnectState = i & 1 ? MediaConnectStateConnected : MediaConnectStateDisconnected,
            .XmitLinkSpeed = 1000 + i,
            .RcvLinkSpeed = 1000 + i,
        };
        NDIS_STATUS_INDICATION status = {
            .Header = {NDIS_OBJECT_TYPE_STATUS_INDICATION, NDIS_STATUS_INDICATION_REVISION_1,
                       NDIS_SIZEOF_STATUS_INDICATION_REVISION_1},
            .SourceHandle = nic.handle,
            .StatusCode = NDIS_STATUS_LINK_STATE,
            .StatusBuffer = &link,
            .StatusBufferSize = sizeof link,
        };
        NdisMIndicateStatusEx(nic.handle, &status);
        pause_ms(1);
    }
}
/* Pauses the first virtual miniport, then the whole lower stack; a third virtual miniport lives
 * shortly. */
static void pauser(void *arg)
{
    for (unsigned i = 0; i < 6; i++) {
        const char *guid = i & 1 ? nic_guid : vm_guid[0];
        umn__netcfg_bind("mtproto1", guid);
        pause_ms(2);
        umn__netcfg_unbind("mtproto1", guid);
        struct umn_vm_desc desc = {.service = "mux", .lower_guid = nic_guid};
        if (umn__netcfg_add_vm(&desc, vm_id[2], vm_guid[2]) == 0) {
            pause_ms(1);
            umn__netcfg_remove_vm(vm_id[2]);
        }
    }
}

static void drivers(void)
{
    umn__image_builtin("mtnic", MtNicEntry);
    umn__image_builtin("mtproto0", MtEntry0);
    umn__image_builtin("mtproto1", MtEntry1);
}
__attribute__((constructor)) static void drivers_register(void)
{
    world_more_drivers = drivers;
}

static void load(const char *service, const char *kind, const char *image)
{
    if (umn__netcfg_add_service(service, kind, image) || umn__netcfg_load(service))
        conf_fail(__FILE__, __LINE__, "%s: %s", service, umn_last_error());
}
static void stack_up(void)
{
    char id[64];
    memset(&nic, 0, sizeof nic);
    memset(tops, 0, sizeof tops);
    SET(stop, 0);
    KeInitializeSpinLock(&nic.lock);
    KeInitializeSpinLock(&nic.sends.lock);
    for (unsigned i = 0; i < TOPS; i++)
        KeInitializeSpinLock(&tops[i].held.lock);
    load("mtproto0", "protocol", "builtin:mtproto0");
    load("mtproto1", "protocol", "builtin:mtproto1");
    load("mux", "intermediate", "mux");
    CHECK_EQ(umn__netcfg_add_service("mtnic", "miniport", "builtin:mtnic"), 0);
    CHECK_EQ(umn__netcfg_add_adapter("mtnic", "NIC", NULL, 0, true, id, nic_guid), 0);
    CHECK_EQ(umn__netcfg_bind("mux", nic_guid), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct umn_vm_desc desc = {.service = "mux", .lower_guid = nic_guid, .upper = "mtproto0"};
        CHECK_EQ(umn__netcfg_add_vm(&desc, vm_id[i], vm_guid[i]), 0);
    }
    pause_ms(20);
    for (unsigned i = 0; i < 2; i++)
        CHECK(GET(tops[i].running));
}

CONF(im_syn_01_mux_on_host_threads, "IM-SYN-02", CONF_THREADS)
{
    void (*const fn[])(void *) = {sender, sender, sender,  receiver, receiver,
                                  asker,  asker,  flapper, pauser};
    const uintptr_t arg[] = {0, 1, 1, 0, 0, 0, 1, 0, 0};
    enum { COUNT = sizeof fn / sizeof fn[0] };
    struct umn_ctx *ctx[COUNT], *last;
    stack_up();
    CHECK_OK();
    last = in_thread(finisher, NULL);
    for (unsigned i = 0; i < COUNT; i++)
        ctx[i] = in_thread(fn[i], (void *)arg[i]);
    for (unsigned i = 0; i < COUNT; i++)
        if (ctx[i])
            umn__ctx_join(ctx[i]);
    for (unsigned i = 0; i < 200 && (GET(tops[0].inside) || GET(tops[1].inside) ||
                                     GET(nic.indicated) != GET(nic.returned));
         i++)
        pause_ms(5);
    SET(stop, 1);
    if (last)
        umn__ctx_join(last);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(tops[i].sent > 0);
        CHECK_EQ(tops[i].completed, tops[i].sent);
        CHECK(tops[i].received > 0);
        CHECK(tops[i].asked > 0);
        CHECK_EQ(tops[i].answered, tops[i].asked);
    }
    CHECK(nic.sent > 0);
    CHECK_EQ(nic.returned, nic.indicated);
    CHECK_EQ(nic.out, 0);
}
