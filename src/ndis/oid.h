/* SPDX-License-Identifier: MIT */
/* Requests inside src/ndis: oid.c owns the queue; filter.c and oidquery.c translate some requests.
 */
#ifndef NDIS_OID_H
#define NDIS_OID_H

#include "ndis/internal.h"

struct ndis_oid_timeout;
struct ndis_oid_item;

/*
 * A request that reaches the miniport in another form: made when the request's turn comes, so that
 * it sees what those before it have changed. finish gets the miniport's answer, commits or forgets
 * the change, fills the result fields of the original and returns its status; it frees the plan.
 */
struct ndis_oid_plan {
    NDIS_OID_REQUEST below;
    NDIS_STATUS(*finish)
    (struct ndis_oid_item *item, struct ndis_oid_plan *plan, NDIS_STATUS status);
};

/* NDIS's own request: the context that issued it waits for `done`. */
struct ndis_oid_own {
    struct ndis_completion done;
    NDIS_OID_REQUEST request;
};

/* Lies in NdisReserved of the originator's request: queueing allocates nothing. */
struct ndis_oid_item {
    struct umn_list link; /* ndis_oid_queue.waiting */
    struct ndis_adapter *adapter;
    struct ndis_binding *binding; /* NULL: nobody's */
    NDIS_OID_REQUEST *request;    /* the originator's */
    NDIS_OID_REQUEST *below;      /* what the miniport gets */
    struct ndis_oid_plan *plan;
    struct ndis_oid_own *own;
    struct ndis_oid_timeout *timeout;
};
_Static_assert(sizeof(struct ndis_oid_item) <= sizeof(((NDIS_OID_REQUEST *)0)->NdisReserved),
               "the item fits into the request");

static inline struct ndis_oid_item *ndis__oid_item(NDIS_OID_REQUEST *request)
{
    return (struct ndis_oid_item *)request->NdisReserved;
}

/* The parts that every request type has. Written and read are one field seen from two sides. */
static inline NDIS_OID ndis__oid_of(const NDIS_OID_REQUEST *r)
{
    return r->DATA.QUERY_INFORMATION.Oid;
}
static inline bool ndis__oid_is_query(const NDIS_OID_REQUEST *r)
{
    return r->RequestType == NdisRequestQueryInformation ||
           r->RequestType == NdisRequestQueryStatistics;
}

/*
 * The item's turn has come: PENDING = pass item->below to the miniport (item->plan may be set),
 * else the request is done with that status. PASSIVE, no lock.
 */
NDIS_STATUS ndis__filter_plan(struct ndis_oid_item *item); /* filter.c; NOT_RECOGNIZED: not mine */
NDIS_STATUS ndis__statistics_plan(struct ndis_oid_item *item); /* oidquery.c; the same */

void ndis__oid_init(struct ndis_adapter *a);
void ndis__oid_kick(struct ndis_adapter *a); /* something that held the queue up is over */

/* Issues a request for an adapter, in the name of a binding or NULL, and waits. PASSIVE. */
NDIS_STATUS ndis__oid_issue(struct ndis_adapter *a, struct ndis_binding *b, NDIS_REQUEST_TYPE type,
                            NDIS_OID oid, void *buffer, uint32_t *length);

#endif
