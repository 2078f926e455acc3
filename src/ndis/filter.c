/* SPDX-License-Identifier: MIT */
/*
 * Packet filters, multicast lists and lookahead: each binding has its own, the miniport gets what
 * they come to together (IM-OID-16, IM-OID-17). A set is a plan of oid.c: computed when its turn in
 * the adapter's queue comes, committed when the miniport has accepted. The queue makes changes of
 * one adapter serial; the data path reads packet_filter without a lock and the list under
 * binding->multicast_lock (leaf). `ndis.lock` (leaf) guards the walk over an adapter's bindings.
 */
#include "ndis/data.h"
#include "ndis/oid.h"

#include <string.h>

struct filter_plan {
    struct ndis_oid_plan plan;
    uint32_t own, all; /* filter or lookahead: of the binding, of all bindings */
    uint64_t *list;    /* multicast: the binding's new list */
    unsigned count;
    uint64_t *united; /* the miniport's new list, sorted, without repetition */
    unsigned united_count;
    uint8_t (*wire)[6]; /* the same as the miniport reads it */
};

#define ADDRESS(entry) ((entry)&NDIS_MAC_MASK)
#define ONCE (1ull << 48)

/* ---- the data path's view
 * -------------------------------------------------------------------------- */

bool NTAPI ndis__frame_dest_slow(const NET_BUFFER_LIST *nbl, uint64_t *dest)
{
    *dest = 0;
    return nbl->FirstNetBuffer && ndis__nb_read(nbl->FirstNetBuffer, 0, dest, 6) == 6;
}

static unsigned find(const uint64_t *list, unsigned count, uint64_t address, bool *found)
{
    unsigned low = 0, high = count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (ADDRESS(list[middle]) < address)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < count && ADDRESS(list[low]) == address;
    return low;
}

bool NTAPI ndis__filter_multicast(const struct ndis_binding *b, uint64_t dest)
{
    struct umn_mutex *lock = (struct umn_mutex *)&b->multicast_lock;
    bool found;

    umn__lock(lock);
    find(b->multicast, b->multicast_count, dest, &found);
    umn__unlock(lock);
    return found;
}

bool ndis__filter_dest(const struct ndis_binding *b, const struct ndis_adapter *a, uint64_t dest)
{
    uint32_t filter = __atomic_load_n(&b->packet_filter, __ATOMIC_RELAXED);

    if (!a->frames_802_3)
        return filter != 0;
    return filter & NDIS_PACKET_TYPE_PROMISCUOUS || ndis__filter_quick(b, a, filter, dest);
}

static uint64_t mac_value(const uint8_t *mac)
{
    uint64_t value = 0;

    memcpy(&value, mac, 6);
    return value;
}

bool ndis__filter_accepts(const struct ndis_binding *b, const struct ndis_adapter *a,
                          const uint8_t *destination)
{
    return ndis__filter_dest(b, a, mac_value(destination));
}

/* ---- what the bindings come to together
 * --------------------------------------------------------------- */

static bool filters_looped(uint32_t filter)
{
    return filter & NDIS_PACKET_TYPE_ALL_LOCAL ||
           (filter & NDIS_PACKET_TYPE_PROMISCUOUS && !(filter & NDIS_PACKET_TYPE_NO_LOCAL));
}

/* `own` counts for b instead of what it has. Looped-back frames need two bindings (IM-SND-11). */
static uint32_t unite_filters(struct ndis_adapter *a, const struct ndis_binding *b, uint32_t own,
                              bool *loopback)
{
    uint32_t all = b ? own : 0;
    unsigned bindings = 0;

    *loopback = b && filters_looped(own);
    umn__lock(&ndis.lock);
    umn_list_for_each (l, &a->bindings) {
        struct ndis_binding *other = umn_container_of(l, struct ndis_binding, adapter_link);
        uint32_t filter =
            other == b ? own : __atomic_load_n(&other->packet_filter, __ATOMIC_RELAXED);

        bindings += !other->close_called;
        all |= filter;
        *loopback |= filters_looped(filter);
    }
    umn__unlock(&ndis.lock);
    *loopback &= bindings > 1;
    return all;
}

static uint32_t largest_lookahead(struct ndis_adapter *a, const struct ndis_binding *b,
                                  uint32_t own)
{
    uint32_t most = own;

    umn__lock(&ndis.lock);
    umn_list_for_each (l, &a->bindings) {
        struct ndis_binding *other = umn_container_of(l, struct ndis_binding, adapter_link);

        uint32_t lookahead = __atomic_load_n(&other->lookahead, __ATOMIC_RELAXED);

        if (other != b && lookahead > most)
            most = lookahead;
    }
    umn__unlock(&ndis.lock);
    return most;
}

/* ndis.lock held. Entries of all lists, p's for b; *n in: room, out: how many there are. */
static void gather(struct ndis_adapter *a, const struct ndis_binding *b,
                   const struct filter_plan *p, uint64_t *to, unsigned *n)
{
    unsigned room = *n, at = 0;

    umn_list_for_each (l, &a->bindings) {
        struct ndis_binding *other = umn_container_of(l, struct ndis_binding, adapter_link);
        const uint64_t *list = other == b ? p->list : other->multicast;
        unsigned count = other == b ? p->count : other->multicast_count;

        for (unsigned i = 0; i < count; i++, at++)
            if (at < room)
                to[at] = ADDRESS(list[i]);
    }
    *n = at;
}

static void sort_unique(uint64_t *list, unsigned *count)
{
    unsigned n = 0;

    for (unsigned i = 1; i < *count; i++) { /* mostly sorted runs, short */
        uint64_t value = list[i];
        unsigned j = i;

        for (; j > 0 && list[j - 1] > value; j--)
            list[j] = list[j - 1];
        list[j] = value;
    }
    for (unsigned i = 0; i < *count; i++)
        if (!n || list[n - 1] != list[i])
            list[n++] = list[i];
    *count = n;
}

/* Other bindings' lists change only in this queue, or vanish as their binding closes, so the second
 * walk finds at most what the first counted; a binding that appears in between has no list yet. */
static NDIS_STATUS unite_lists(struct ndis_adapter *a, const struct ndis_binding *b,
                               struct filter_plan *p)
{
    unsigned room = 0;

    umn__lock(&ndis.lock);
    gather(a, b, p, NULL, &room);
    umn__unlock(&ndis.lock);
    p->united = plat_alloc((room + 1) * sizeof(*p->united));
    if (!p->united)
        return NDIS_STATUS_RESOURCES;
    p->united_count = room;
    umn__lock(&ndis.lock);
    gather(a, b, p, p->united, &p->united_count);
    umn__unlock(&ndis.lock);
    if (p->united_count > room)
        p->united_count = room;
    sort_unique(p->united, &p->united_count);
    if (p->united_count > a->attr.general.MaxMulticastListSize)
        return NDIS_STATUS_MULTICAST_FULL;
    p->wire = plat_alloc((p->united_count + 1) * sizeof(*p->wire));
    if (!p->wire)
        return NDIS_STATUS_RESOURCES;
    for (unsigned i = 0; i < p->united_count; i++)
        memcpy(p->wire[i], &p->united[i], 6);
    return NDIS_STATUS_PENDING;
}

/* ---- committing
 * ------------------------------------------------------------------------------------------ */

static void plan_free(struct filter_plan *p)
{
    plat_free(p->list);
    plat_free(p->united);
    plat_free(p->wire);
    plat_free(p);
}

static void bytes_read(struct ndis_oid_item *item, const struct filter_plan *p, UINT n,
                       NDIS_STATUS status)
{
    item->request->DATA.SET_INFORMATION.BytesRead = status == NDIS_STATUS_SUCCESS ? n : 0;
    item->request->SupportedRevision = p->plan.below.SupportedRevision;
}

static NDIS_STATUS filter_done(struct ndis_oid_item *item, struct ndis_oid_plan *plan,
                               NDIS_STATUS status)
{
    struct filter_plan *p = umn_container_of(plan, struct filter_plan, plan);
    struct ndis_adapter *a = item->adapter;
    bool loopback;

    if (status == NDIS_STATUS_SUCCESS) {
        ndis__poke(a->filter_set, p->all);
        if (item->binding)
            __atomic_store_n(&item->binding->packet_filter, p->own, __ATOMIC_RELAXED);
        unite_filters(a, item->binding, p->own, &loopback);
        __atomic_store_n(&a->loopback, loopback, __ATOMIC_RELAXED);
    }
    bytes_read(item, p, 4, status);
    plan_free(p);
    return status;
}

static NDIS_STATUS lookahead_done(struct ndis_oid_item *item, struct ndis_oid_plan *plan,
                                  NDIS_STATUS status)
{
    struct filter_plan *p = umn_container_of(plan, struct filter_plan, plan);

    if (status == NDIS_STATUS_SUCCESS) {
        ndis__poke(item->adapter->lookahead_set, p->all);
        if (item->binding)
            __atomic_store_n(&item->binding->lookahead, p->own, __ATOMIC_RELAXED);
    }
    bytes_read(item, p, 4, status);
    plan_free(p);
    return status;
}

/* Under both locks: the data path looks up under the one, gather walks all lists under the other,
 * and a binding that closes gives its list up outside the queue. */
static void take_list(struct ndis_binding *b, struct filter_plan *p)
{
    uint64_t *old;

    umn__lock(&ndis.lock);
    umn__lock(&b->multicast_lock);
    old = b->multicast;
    b->multicast = p->list;
    b->multicast_count = p->count;
    umn__unlock(&b->multicast_lock);
    umn__unlock(&ndis.lock);
    p->list = NULL;
    plat_free(old);
}

static NDIS_STATUS multicast_done(struct ndis_oid_item *item, struct ndis_oid_plan *plan,
                                  NDIS_STATUS status)
{
    struct filter_plan *p = umn_container_of(plan, struct filter_plan, plan);
    struct ndis_adapter *a = item->adapter;

    if (status == NDIS_STATUS_SUCCESS) {
        uint64_t *old = a->multicast;

        take_list(item->binding, p);
        umn__lock(&a->oid.lock); /* queries read it outside the queue */
        a->multicast = p->united;
        a->multicast_count = p->united_count;
        umn__unlock(&a->oid.lock);
        p->united = old;
    }
    bytes_read(item, p, item->request->DATA.SET_INFORMATION.InformationBufferLength, status);
    plan_free(p);
    return status;
}

/* ---- planning
 * ---------------------------------------------------------------------------------------------- */

static void plan_below(struct ndis_oid_item *item, struct filter_plan *p, NDIS_OID oid,
                       void *buffer, UINT length)
{
    NDIS_OID_REQUEST *r = &p->plan.below;

    r->Header = item->request->Header;
    if (r->Header.Size > sizeof(*r))
        r->Header.Size = sizeof(*r);
    r->RequestType = NdisRequestSetInformation;
    r->PortNumber = item->request->PortNumber;
    r->Timeout = item->request->Timeout;
    r->RequestId = item->request->RequestId;
    r->RequestHandle = item->request->RequestHandle;
    r->DATA.SET_INFORMATION.Oid = oid;
    r->DATA.SET_INFORMATION.InformationBuffer = buffer;
    r->DATA.SET_INFORMATION.InformationBufferLength = length;
    item->plan = &p->plan;
}

/* Nothing changes for the miniport: done without it. */
static NDIS_STATUS plan_at_once(struct ndis_oid_item *item, struct filter_plan *p)
{
    return p->plan.finish(item, &p->plan, NDIS_STATUS_SUCCESS);
}

static NDIS_STATUS short_by(struct ndis_oid_item *item, UINT needed)
{
    item->request->DATA.SET_INFORMATION.BytesNeeded = needed;
    return NDIS_STATUS_INVALID_LENGTH;
}

static NDIS_STATUS plan_number(struct ndis_oid_item *item, NDIS_OID oid)
{
    const NDIS_OID_REQUEST *r = item->request;
    struct ndis_adapter *a = item->adapter;
    struct filter_plan *p;
    bool same, loopback;
    uint32_t value;

    if (r->DATA.SET_INFORMATION.InformationBufferLength < 4)
        return short_by(item, 4);
    memcpy(&value, r->DATA.SET_INFORMATION.InformationBuffer, 4);
    if (oid == OID_GEN_CURRENT_LOOKAHEAD && a->attr.general.LookaheadSize &&
        value > a->attr.general.LookaheadSize)
        return NDIS_STATUS_INVALID_DATA;
    p = plat_alloc(sizeof(*p));
    if (!p)
        return NDIS_STATUS_RESOURCES;
    p->own = value;
    if (oid == OID_GEN_CURRENT_PACKET_FILTER) {
        p->plan.finish = filter_done;
        p->all = unite_filters(a, item->binding, value, &loopback);
        same = p->all == a->filter_set;
    } else {
        p->plan.finish = lookahead_done;
        p->all = largest_lookahead(a, item->binding, value);
        same = p->all == a->lookahead_set;
    }
    if (same)
        return plan_at_once(item, p);
    plan_below(item, p, oid, &p->all, 4);
    return NDIS_STATUS_PENDING;
}

/* Sorted, each address once, however often it came. */
static NDIS_STATUS list_set(struct filter_plan *p, const uint8_t (*from)[6], unsigned n)
{
    p->list = plat_alloc((n + 1) * sizeof(*p->list));
    if (!p->list)
        return NDIS_STATUS_RESOURCES;
    for (unsigned i = 0; i < n; i++) {
        if (!(from[i][0] & 1))
            return NDIS_STATUS_MULTICAST_FULL; /* also for addresses that are none */
        p->list[i] = mac_value(from[i]);
    }
    p->count = n;
    sort_unique(p->list, &p->count);
    for (unsigned i = 0; i < p->count; i++)
        p->list[i] |= ONCE;
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS list_edit(struct filter_plan *p, const struct ndis_binding *b,
                             const uint8_t *mac, bool add)
{
    uint64_t address = mac_value(mac);
    unsigned at;
    bool found;

    p->count = b->multicast_count;
    p->list = plat_alloc((p->count + 2) * sizeof(*p->list));
    if (!p->list)
        return NDIS_STATUS_RESOURCES;
    if (p->count)
        memcpy(p->list, b->multicast, p->count * sizeof(*p->list));
    at = find(p->list, p->count, address, &found);
    if (!(mac[0] & 1) || (!add && !found))
        return add ? NDIS_STATUS_MULTICAST_FULL : NDIS_STATUS_FAILURE;
    if (found) {
        p->list[at] += add ? ONCE : -ONCE;
    } else {
        memmove(&p->list[at + 1], &p->list[at], (p->count - at) * sizeof(*p->list));
        p->list[at] = address | ONCE;
        p->count++;
    }
    if (!(p->list[at] >> 48)) {
        p->count--;
        memmove(&p->list[at], &p->list[at + 1], (p->count - at) * sizeof(*p->list));
    }
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS plan_list(struct ndis_oid_item *item, NDIS_OID oid)
{
    const NDIS_OID_REQUEST *r = item->request;
    UINT length = r->DATA.SET_INFORMATION.InformationBufferLength;
    const void *buffer = r->DATA.SET_INFORMATION.InformationBuffer;
    struct ndis_adapter *a = item->adapter;
    struct filter_plan *p;
    NDIS_STATUS status;

    if (length % 6 || (oid != OID_802_3_MULTICAST_LIST && length != 6))
        return short_by(item, oid == OID_802_3_MULTICAST_LIST ? (length + 5) / 6 * 6 : 6);
    p = plat_alloc(sizeof(*p));
    if (!p)
        return NDIS_STATUS_RESOURCES;
    if (oid == OID_802_3_MULTICAST_LIST)
        status = list_set(p, buffer, length / 6);
    else
        status = list_edit(p, item->binding, buffer, oid == OID_802_3_ADD_MULTICAST_ADDRESS);
    if (status == NDIS_STATUS_SUCCESS)
        status = unite_lists(a, item->binding, p);
    if (status != NDIS_STATUS_PENDING) {
        plan_free(p);
        return status;
    }
    p->plan.finish = multicast_done;
    if (p->united_count == a->multicast_count &&
        (!p->united_count || !memcmp(p->united, a->multicast, p->united_count * 8)))
        return plan_at_once(item, p);
    plan_below(item, p, OID_802_3_MULTICAST_LIST, p->wire, p->united_count * 6);
    return NDIS_STATUS_PENDING;
}

NDIS_STATUS ndis__filter_plan(struct ndis_oid_item *item)
{
    NDIS_OID oid = ndis__oid_of(item->request);

    if (item->request->RequestType != NdisRequestSetInformation)
        return NDIS_STATUS_NOT_RECOGNIZED;
    switch (oid) {
    case OID_GEN_CURRENT_PACKET_FILTER:
    case OID_GEN_CURRENT_LOOKAHEAD:
        return plan_number(item, oid);
    case OID_802_3_MULTICAST_LIST:
    case OID_802_3_ADD_MULTICAST_ADDRESS:
    case OID_802_3_DELETE_MULTICAST_ADDRESS:
        /* Without a binding there is no list of one's own: the miniport says what it says. */
        if (!item->binding || !item->adapter->frames_802_3)
            return NDIS_STATUS_NOT_RECOGNIZED;
        return plan_list(item, oid);
    default:
        return NDIS_STATUS_NOT_RECOGNIZED;
    }
}

/* ---- the control path's side
 * -------------------------------------------------------------------------------- */

/* A closing binding wants nothing any more, whatever the miniport makes of the new union. PASSIVE.
 */
void ndis__filter_binding_gone(struct ndis_binding *b)
{
    uint32_t none = 0, length = 4;
    struct filter_plan nothing = {.count = 0};

    if (b->packet_filter)
        ndis__oid_issue(b->adapter, b, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER,
                        &none, &length);
    length = 0;
    if (b->multicast_count)
        ndis__oid_issue(b->adapter, b, NdisRequestSetInformation, OID_802_3_MULTICAST_LIST, &none,
                        &length);
    __atomic_store_n(&b->packet_filter, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&b->lookahead, 0, __ATOMIC_RELAXED);
    take_list(b, &nothing);
}

void ndis__filter_adapter_reset(struct ndis_adapter *a)
{
    const NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *g = &a->attr.general;

    a->filter_set = 0;
    a->lookahead_set = 0;
    a->loopback = false;
    plat_free(a->multicast);
    a->multicast = NULL;
    a->multicast_count = 0;
    a->frames_802_3 = g->MediaType == NdisMedium802_3;
    a->mac = mac_value(g->CurrentMacAddress);
}
