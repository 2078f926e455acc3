/* SPDX-License-Identifier: MIT */
/*
 * What the host may see of adapters (host.h). PASSIVE_LEVEL; a snapshot is taken under
 * ndis.lock and shown without it, while a reference keeps the adapter's strings.
 */
#include "ndis/control.h"
#include "ndis/data.h"

#include <stdio.h>
#include <string.h>

/* A receive returned while its delivery still runs is counted off before it is counted on. */
static uint64_t at_least_zero(int64_t count)
{
    return count > 0 ? (uint64_t)count : 0;
}

struct view {
    struct umn_adapter_info info;
    char instance_id[64], driver_key[192]; /* of the device, which may go while it is shown */
    struct umn_binding_info *bindings;
    unsigned room;
};

/* Bindings that are open, and binds whose open has not come yet. Lock held. Returns how many there
 * are; fills at most `room`. */
static unsigned fill_bindings(const struct ndis_adapter *a, struct umn_binding_info *out,
                              unsigned room)
{
    unsigned n = 0;

    umn_list_for_each (l, &a->bindings) {
        const struct ndis_binding *b = umn_container_of(l, struct ndis_binding, adapter_link);
        if (n < room)
            out[n] = (struct umn_binding_info){
                .protocol = b->protocol->service,
                .state = ndis__binding_state_name(b->state),
                .packet_filter = ndis__peek(b->packet_filter),
                .sends_out = (uint64_t)ndis__peek(b->tx_out.count),
                .receives_out = at_least_zero(ndis__peek(b->rx_out.count)),
            };
        n++;
    }
    umn_list_for_each (l, &ndis.bind_ops) {
        const struct ndis_bind_op *op = umn_container_of(l, struct ndis_bind_op, link);
        if (op->adapter != a || (op->binding && op->binding->opened))
            continue;
        if (n < room)
            out[n] = (struct umn_binding_info){
                .protocol = op->protocol->service,
                .state = ndis__binding_state_name(NDIS_BINDING_OPENING),
            };
        n++;
    }
    return n;
}

/* The PDO outlives the adapter's removal, which takes the lock to set `gone`. Lock held. */
static void fill_names(const struct ndis_adapter *a, struct view *v)
{
    const struct umn_devnode *node = a->gone ? NULL : umn__pdo_node(a->pdo);

    *v->instance_id = *v->driver_key = 0;
    if (node && node->instance_id)
        snprintf(v->instance_id, sizeof v->instance_id, "%s", node->instance_id);
    if (node && node->driver_key)
        snprintf(v->driver_key, sizeof v->driver_key, "%s", node->driver_key);
}

static void fill(const struct ndis_adapter *a, struct view *v)
{
    const NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *g = &a->attr.general;

    fill_names(a, v);
    v->info = (struct umn_adapter_info){
        .name = a->name,
        .service = a->driver->service,
        .instance_id = v->instance_id,
        .state = ndis__adapter_state_name(a->state),
        .virtual_miniport = a->is_vm,
        .mtu = a->attr.have_general ? a->mtu : 0,
        .ifindex = a->ifindex,
        .luid = a->luid.Value,
        .link_up =
            a->attr.have_general && a->link_state.MediaConnectState == MediaConnectStateConnected,
        .packet_filter = ndis__peek(a->filter_set),
        .binding = v->bindings,
    };
    if (a->attr.have_general) {
        v->info.xmit_speed = a->link_state.XmitLinkSpeed;
        v->info.rcv_speed = a->link_state.RcvLinkSpeed;
        v->info.mac_len = (uint8_t)g->MacAddressLength;
        memcpy(v->info.mac, g->CurrentMacAddress, sizeof v->info.mac);
    }
    v->info.bindings = fill_bindings(a, v->bindings, v->room);
}

/* False: no memory for the bindings, or the visitor has seen enough. */
static bool show(struct ndis_adapter *a, bool (*visit)(void *, const struct umn_adapter_info *),
                 void *arg)
{
    struct view v = {.room = 0};
    struct umn_devnode node = {.instance_id = v.instance_id, .driver_key = v.driver_key};
    char *friendly;
    bool more;

    for (;;) {
        umn__lock(&ndis.lock);
        fill(a, &v);
        umn__unlock(&ndis.lock);
        if (v.info.bindings <= v.room)
            break;
        v.room = v.info.bindings;
        plat_free(v.bindings);
        v.bindings = plat_alloc(v.room * sizeof *v.bindings);
        if (!v.bindings)
            return false;
    }
    friendly = *v.instance_id ? ndis__friendly_name(&node) : NULL;
    v.info.friendly = friendly ? friendly : "";
    more = visit(arg, &v.info);
    plat_free(friendly);
    plat_free(v.bindings);
    return more;
}

void umn__ndis_adapters(bool (*visit)(void *arg, const struct umn_adapter_info *), void *arg)
{
    struct ndis_adapter *a = NULL;

    while ((a = ndis__adapter_next(a)) != NULL) {
        if (!show(a, visit, arg)) {
            ndis__adapter_put(a);
            return;
        }
    }
}
