/* SPDX-License-Identifier: MIT */
/*
 * Network interfaces: index and LUID of each adapter, and the interface stack table. NDIS is the
 * proxy provider of all of them (IM-IFS-01). PASSIVE_LEVEL; ndis.lock guards the tables. Look-ups
 * by index and LUID are hashed and each row hangs on both its interfaces, so 4,096 virtual
 * miniports over one adapter cost the same each.
 *
 * The index is new at each registration. The LUID stays the adapter's: its 24-bit NetLuidIndex is
 * the `NetLuidIndex` value of the device's class key or, without it, a hash of the GUID; who finds
 * the hash taken gets the next free one and keeps that in the registry.
 */
#include "ndis/control.h"

#define BUCKETS 1024
#define INDEX_MAX 0xffffffu

struct ndis_iface {
    struct ndis_iface *index_next, *luid_next;
    NET_IFINDEX index;
    NET_LUID luid;
    struct umn_list lower_rows; /* rows in which this one is the upper: row.upper_link */
    struct umn_list upper_rows; /* rows in which this one is the lower: row.lower_link */
    unsigned mark;              /* loop check */
};
struct row {
    struct umn_list link; /* rows, oldest first */
    struct umn_list upper_link, lower_link;
    struct ndis_iface *upper, *lower;
};

static struct ndis_iface *by_index[BUCKETS], *by_luid[BUCKETS];
static struct umn_list rows = {&rows, &rows};
static size_t row_count;
static NET_IFINDEX last_index;
static unsigned walk; /* number of the current loop check */

static unsigned luid_slot(NET_LUID luid)
{
    return (unsigned)((luid.Value >> 24 ^ luid.Value >> 34 ^ luid.Value >> 48) % BUCKETS);
}

static struct ndis_iface *find_index(NET_IFINDEX index)
{
    struct ndis_iface *i = by_index[index % BUCKETS];

    while (i && i->index != index)
        i = i->index_next;
    return i;
}

static struct ndis_iface *find_luid(NET_LUID luid)
{
    struct ndis_iface *i = by_luid[luid_slot(luid)];

    while (i && i->luid.Value != luid.Value)
        i = i->luid_next;
    return i;
}

static NET_LUID make_luid(NET_IFTYPE type, uint32_t index)
{
    NET_LUID luid = {.Value = (uint64_t)type << 48 | (uint64_t)(index & INDEX_MAX) << 24};

    return luid;
}

/* Lock held. Enters with a new index; false if the LUID is taken. */
static bool enter(struct ndis_iface *i)
{
    if (find_luid(i->luid))
        return false;
    do {
        last_index = last_index % INDEX_MAX + 1;
    } while (find_index(last_index));
    i->index = last_index;
    i->index_next = by_index[i->index % BUCKETS];
    by_index[i->index % BUCKETS] = i;
    i->luid_next = by_luid[luid_slot(i->luid)];
    by_luid[luid_slot(i->luid)] = i;
    return true;
}

static struct ndis_iface *iface_new(NET_LUID luid)
{
    struct ndis_iface *i = plat_alloc(sizeof *i);

    if (!i)
        return NULL;
    i->luid = luid;
    umn_list_init(&i->lower_rows);
    umn_list_init(&i->upper_rows);
    return i;
}

/* ---- registration
 * --------------------------------------------------------------------------------- */

static uint32_t guid_index(const struct ndis_adapter *a)
{
    uint32_t h = ndis__name_hash(a->name_node.text);

    return ((h ^ h >> 24) & INDEX_MAX) ? ((h ^ h >> 24) & INDEX_MAX) : 1;
}

/* Gives the adapter its interface. UMN_ENOMEM. */
int ndis__if_register(struct ndis_adapter *a)
{
    const NET_IFTYPE type =
        (NET_IFTYPE)ndis__device_dword(a->pdo, "*IfType", IF_TYPE_ETHERNET_CSMACD);
    uint32_t kept = ndis__device_dword(a->pdo, "NetLuidIndex", 0) & INDEX_MAX;
    uint32_t index = kept ? kept : guid_index(a);
    struct ndis_iface *i = iface_new(make_luid(type, index));
    bool ok = false, moved = false;

    if (!i)
        return UMN_ENOMEM;
    umn__lock(&ndis.lock);
    for (uint32_t tries = 0; !ok && tries < INDEX_MAX; tries++) {
        i->luid = make_luid(type, index);
        ok = enter(i);
        if (!ok) {
            index = index % INDEX_MAX + 1;
            moved = true;
        }
    }
    if (ok) {
        a->iface = i;
        a->ifindex = i->index;
        a->luid = i->luid;
    }
    umn__unlock(&ndis.lock);
    if (!ok) {
        plat_free(i);
        return UMN_ENOMEM;
    }
    if (moved)
        ndis__device_set_dword(a->pdo, "NetLuidIndex", index);
    umn__trace("if.register", "%s index %u", a->name, i->index);
    return 0;
}

/* Lock held. The caller frees the row. */
static void unlink_row(struct row *r)
{
    umn_list_remove(&r->upper_link);
    umn_list_remove(&r->lower_link);
    umn_list_remove(&r->link);
    row_count--;
}

static void remove_iface(struct ndis_iface *i)
{
    struct umn_list dead;

    umn_list_init(&dead);
    umn__lock(&ndis.lock);
    for (struct ndis_iface **p = &by_index[i->index % BUCKETS]; *p; p = &(*p)->index_next) {
        if (*p == i) {
            *p = i->index_next;
            break;
        }
    }
    for (struct ndis_iface **p = &by_luid[luid_slot(i->luid)]; *p; p = &(*p)->luid_next) {
        if (*p == i) {
            *p = i->luid_next;
            break;
        }
    }
    umn_list_for_each (l, &i->lower_rows) {
        struct row *r = umn_container_of(l, struct row, upper_link);
        unlink_row(r);
        umn_list_add_tail(&dead, &r->link);
    }
    umn_list_for_each (l, &i->upper_rows) {
        struct row *r = umn_container_of(l, struct row, lower_link);
        unlink_row(r);
        umn_list_add_tail(&dead, &r->link);
    }
    umn__unlock(&ndis.lock);
    umn_list_for_each (l, &dead)
        plat_free(umn_container_of(l, struct row, link));
    plat_free(i);
}

/* IM-IFS-03: its rows vanish with it. */
void ndis__if_deregister(struct ndis_adapter *a)
{
    struct ndis_iface *i = a->iface;

    if (!i)
        return;
    umn__lock(&ndis.lock);
    a->iface = NULL;
    a->ifindex = 0;
    umn__unlock(&ndis.lock);
    remove_iface(i);
}

void ndis__ifs_stop(void)
{
    for (unsigned b = 0; b < BUCKETS; b++)
        while (by_index[b])
            remove_iface(by_index[b]);
    last_index = 0;
}

/* ---- the stack table
 * -------------------------------------------------------------------------------- */

/* Lock held: whether `target` lies on or below `from`. Each interface is looked at once. */
static bool reaches(struct ndis_iface *from, const struct ndis_iface *target)
{
    if (from == target)
        return true;
    if (from->mark == walk)
        return false;
    from->mark = walk;
    umn_list_for_each (l, &from->lower_rows)
        if (reaches(umn_container_of(l, struct row, upper_link)->lower, target))
            return true;
    return false;
}

static struct row *find_row(struct ndis_iface *upper, const struct ndis_iface *lower)
{
    umn_list_for_each (l, &upper->lower_rows) {
        struct row *r = umn_container_of(l, struct row, upper_link);
        if (r->lower == lower)
            return r;
    }
    return NULL;
}

/*
 * nf-ndis-ndisifaddifstackentry.md; IM-IFS-02, -03. PASSIVE_LEVEL. INTERFACE_NOT_FOUND: one of them
 * is not registered; RESOURCES; FAILURE: it would close a circle (reported, 0x7C / 0x1B). A row
 * that is there already is SUCCESS.
 */
UMN_EXPORT NDIS_STATUS NTAPI NdisIfAddIfStackEntry(NET_IFINDEX HigherLayerIfIndex,
                                                   NET_IFINDEX LowerLayerIfIndex)
{
    struct row *r = plat_alloc(sizeof *r);
    struct ndis_iface *upper, *lower;
    NDIS_STATUS status = NDIS_STATUS_SUCCESS;
    bool loop = false;

    ndis__entry_ok(UMN_PASSIVE, "NdisIfAddIfStackEntry");
    umn__lock(&ndis.lock);
    upper = find_index(HigherLayerIfIndex);
    lower = find_index(LowerLayerIfIndex);
    walk++;
    if (!upper || !lower) {
        status = NDIS_STATUS_INTERFACE_NOT_FOUND;
    } else if (!r) {
        status = NDIS_STATUS_RESOURCES;
    } else if ((loop = reaches(lower, upper))) {
        status = NDIS_STATUS_FAILURE;
    } else if (!find_row(upper, lower)) {
        r->upper = upper;
        r->lower = lower;
        umn_list_add_tail(&upper->lower_rows, &r->upper_link);
        umn_list_add_tail(&lower->upper_rows, &r->lower_link);
        umn_list_add_tail(&rows, &r->link);
        row_count++;
        r = NULL;
    }
    umn__unlock(&ndis.lock);
    plat_free(r);
    if (loop)
        umn__report("IF_STACK_TABLE_LOOP", 0x1b, "interface %u over %u would close a circle",
                    HigherLayerIfIndex, LowerLayerIfIndex);
    return status;
}

/* nf-ndis-ndisifdeleteifstackentry.md. PASSIVE_LEVEL. An unknown row is harmless (IM-IFS-03). */
UMN_EXPORT void NTAPI NdisIfDeleteIfStackEntry(NET_IFINDEX HigherLayerIfIndex,
                                               NET_IFINDEX LowerLayerIfIndex)
{
    struct ndis_iface *upper, *lower;
    struct row *r = NULL;

    ndis__entry_ok(UMN_PASSIVE, "NdisIfDeleteIfStackEntry");
    umn__lock(&ndis.lock);
    upper = find_index(HigherLayerIfIndex);
    lower = find_index(LowerLayerIfIndex);
    if (upper && lower)
        r = find_row(upper, lower);
    if (r)
        unlink_row(r);
    umn__unlock(&ndis.lock);
    plat_free(r);
}

/* The visitor runs without the lock, over a copy; without memory for it nothing is visited. */
void umn__ndis_ifstack(bool (*visit)(void *arg, uint32_t upper, uint32_t lower), void *arg)
{
    uint32_t(*copy)[2] = NULL;
    size_t room, n = 0;

    umn__lock(&ndis.lock);
    room = row_count;
    umn__unlock(&ndis.lock);
    copy = room ? plat_alloc(room * sizeof *copy) : NULL;
    if (!copy)
        return;
    umn__lock(&ndis.lock);
    umn_list_for_each (l, &rows) {
        const struct row *r = umn_container_of(l, struct row, link);
        if (n == room)
            break;
        copy[n][0] = r->upper->index;
        copy[n][1] = r->lower->index;
        n++;
    }
    umn__unlock(&ndis.lock);
    for (size_t i = 0; i < n && visit(arg, copy[i][0], copy[i][1]); i++)
        ;
    plat_free(copy);
}

/* ---- look-ups
 * ---------------------------------------------------------------------------------------- */

/* nf-ndis-ndisifgetinterfaceindexfromnetluid.md. INTERFACE_NOT_FOUND. */
UMN_EXPORT NDIS_STATUS NTAPI NdisIfGetInterfaceIndexFromNetLuid(NET_LUID NetLuid,
                                                                PNET_IFINDEX pIfIndex)
{
    struct ndis_iface *i;

    ndis__entry_ok(UMN_DISPATCH, "NdisIfGetInterfaceIndexFromNetLuid");
    umn__lock(&ndis.lock);
    i = find_luid(NetLuid);
    if (i)
        *pIfIndex = i->index;
    umn__unlock(&ndis.lock);
    return i ? NDIS_STATUS_SUCCESS : NDIS_STATUS_INTERFACE_NOT_FOUND;
}

/* nf-ndis-ndisifgetnetluidfrominterfaceindex.md. INTERFACE_NOT_FOUND. */
UMN_EXPORT NDIS_STATUS NTAPI NdisIfGetNetLuidFromInterfaceIndex(NET_IFINDEX ifIndex,
                                                                PNET_LUID pNetLuid)
{
    struct ndis_iface *i;

    ndis__entry_ok(UMN_DISPATCH, "NdisIfGetNetLuidFromInterfaceIndex");
    umn__lock(&ndis.lock);
    i = find_index(ifIndex);
    if (i)
        *pNetLuid = i->luid;
    umn__unlock(&ndis.lock);
    return i ? NDIS_STATUS_SUCCESS : NDIS_STATUS_INTERFACE_NOT_FOUND;
}

/* nf-ndis-ndisifquerybindingifindex.md: the highest and the lowest interface below a binding;
 * without filter modules both are the adapter's. PASSIVE_LEVEL. INTERFACE_NOT_FOUND: no such
 * binding. */
UMN_EXPORT NDIS_STATUS NTAPI NdisIfQueryBindingIfIndex(NDIS_HANDLE NdisBindingHandle,
                                                       PNET_IFINDEX pHighestIfIndex,
                                                       PNET_LUID pHighestNetLuid,
                                                       PNET_IFINDEX pLowestIfIndex,
                                                       PNET_LUID pLowestNetLuid)
{
    struct ndis_binding *b = NdisBindingHandle;

    ndis__entry_ok(UMN_PASSIVE, "NdisIfQueryBindingIfIndex");
    if (!ndis__live(b, NDIS_KIND_BINDING, "NdisIfQueryBindingIfIndex"))
        return NDIS_STATUS_INTERFACE_NOT_FOUND;
    umn__lock(&ndis.lock);
    if (pHighestIfIndex)
        *pHighestIfIndex = b->adapter->ifindex;
    if (pHighestNetLuid)
        *pHighestNetLuid = b->adapter->luid;
    if (pLowestIfIndex)
        *pLowestIfIndex = b->adapter->ifindex;
    if (pLowestNetLuid)
        *pLowestNetLuid = b->adapter->luid;
    umn__unlock(&ndis.lock);
    return NDIS_STATUS_SUCCESS;
}
