/* SPDX-License-Identifier: MIT */
/*
 * The data path's part in the life of adapters and bindings: made with them, opened at restart,
 * shut at pause, freed with the handle's memory. Called by the control path inside an operation on
 * the adapter (stack.c), PASSIVE_LEVEL, no lock held.
 */
#include "ndis/data.h"
#include "ndis/oid.h"

_Static_assert(offsetof(struct ndis_adapter, driver) == 64 &&
                   offsetof(struct ndis_adapter, running) == 128 &&
                   offsetof(struct ndis_binding, tx_gate) == 64,
               "what the data path touches fills whole cache lines");

/* ---- slow ends of the data path: System V calls made out of line
 * ------------------------------------------ */

void NTAPI ndis__point_slow(enum umn_op op, const volatile void *object)
{
    umn__point_slow(op, object);
}

bool NTAPI ndis__quick_slow(NDIS_HANDLE handle, enum ndis_kind kind, const char *function)
{
    return ndis__is(handle, kind, function);
}

/* ---- life
 * -------------------------------------------------------------------------------------------------
 */

int ndis__dp_adapter_init(struct ndis_adapter *a)
{
    ndis__oid_init(a);
    return ndis__gate_init(&a->rx_gate);
}

void ndis__dp_adapter_free(struct ndis_adapter *a)
{
    plat_free(a->running);
    plat_free(a->multicast);
    a->running = NULL;
    a->multicast = NULL;
}

int ndis__dp_binding_init(struct ndis_binding *b)
{
    b->data_kind = NDIS_KIND_BINDING;
    b->below = b->adapter->driver;
    return ndis__gate_init(&b->tx_gate);
}

void ndis__dp_binding_free(struct ndis_binding *b)
{
    b->data_kind = NDIS_KIND_DEAD;
    plat_free(b->multicast);
    b->multicast = NULL;
}

/* Bindings that are to run are in the list; each gets frames once its own state lets it. */
NDIS_STATUS ndis__dp_adapter_run(struct ndis_adapter *a)
{
    struct ndis_binding **running;
    unsigned n = 0, i = 0;

    umn_list_for_each (l, &a->bindings)
        n += !umn_container_of(l, struct ndis_binding, adapter_link)->close_called;
    running = plat_alloc((n + 1) * sizeof(*running));
    if (!running)
        return NDIS_STATUS_RESOURCES;
    umn_list_for_each (l, &a->bindings) {
        struct ndis_binding *b = umn_container_of(l, struct ndis_binding, adapter_link);

        if (!b->close_called && i < n)
            running[i++] = b;
    }
    plat_free(a->running);
    a->running = running;
    a->running_count = i;
    a->only = i == 1 ? running[0] : NULL;
    a->only_context = i == 1 ? running[0]->context : NULL;
    ndis__gate_open(&a->rx_gate);
    return NDIS_STATUS_SUCCESS;
}

/* Returns when the last indication under way has. */
void ndis__dp_adapter_stop(struct ndis_adapter *a)
{
    ndis__gate_close(&a->rx_gate);
    plat_free(a->running);
    a->running = NULL;
    a->running_count = 0;
    a->only = NULL;
    a->only_context = NULL;
}
