/* SPDX-License-Identifier: MIT */
/*
 * Hardware resets: a miniport asks for one, a worker calls MiniportResetEx at PASSIVE_LEVEL between
 * the statuses RESET_START and RESET_END, which NDIS makes (IM-RST-02). While `adapter->resetting`
 * neither sends nor requests reach the miniport (IM-RST-03). The adapter's state does not change;
 * halting waits for the reset, which is counted in adapter->call_out. `reset_wanted` makes resets
 * serial. Nothing here checks for hangs: only the miniport starts a reset (IM-RST-01).
 */
#include "ndis/control.h"
#include "ndis/data.h"
#include "ndis/oid.h"

#include <string.h>

/* Counts the reset in, unless the adapter is on its way down. */
static bool begin(struct ndis_adapter *a)
{
    bool ok;

    umn__lock(&a->oid.lock);
    ok = !a->oid.refuse;
    if (ok)
        ndis__out_add(&a->call_out, 1);
    umn__unlock(&a->oid.lock);
    return ok;
}

/* hardware-reset.md: packet filter and multicast list as they were, by sets. */
static void restore(struct ndis_adapter *a)
{
    uint32_t filter = a->filter_set, length = a->multicast_count * 6;
    uint8_t(*list)[6] = plat_alloc(length + 6);

    for (unsigned i = 0; list && i < a->multicast_count; i++)
        memcpy(list[i], &a->multicast[i], 6);
    if (list && length)
        ndis__oid_own(a, NdisRequestSetInformation, OID_802_3_MULTICAST_LIST, list, &length);
    plat_free(list);
    if (filter) {
        a->filter_set = 0; /* so that the union is news to the miniport */
        length = 4;
        ndis__oid_own(a, NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, &filter,
                      &length);
    }
}

static NDIS_STATUS call_reset(struct ndis_adapter *a, BOOLEAN *addressing)
{
    NDIS_STATUS status;

    ndis__completion_init(&a->reset_done);
    __atomic_store_n(&a->reset_pending, true, __ATOMIC_SEQ_CST);
    umn__point(UMN_OP_CALLBACK, a);
    status = a->driver->chars.ResetHandlerEx(a->context, addressing);
    if (status == NDIS_STATUS_PENDING) {
        status = ndis__completion_wait(&a->reset_done, "NdisMResetComplete");
        *addressing = a->reset_addressing;
    }
    __atomic_store_n(&a->reset_pending, false, __ATOMIC_SEQ_CST);
    return status;
}

static void reset(struct ndis_adapter *a)
{
    BOOLEAN addressing = FALSE;
    NDIS_STATUS status;

    __atomic_store_n(&a->resetting, true, __ATOMIC_SEQ_CST);
    ndis__status_send(a, NDIS_STATUS_RESET_START, NULL, 0);
    status = call_reset(a, &addressing);
    umn__trace("adapter.reset", "%s status 0x%08x", a->name, (unsigned)status);
    __atomic_store_n(&a->resetting, false, __ATOMIC_SEQ_CST);
    ndis__oid_kick(a);
    if (addressing && (status == NDIS_STATUS_SUCCESS || status == NDIS_STATUS_SOFT_ERRORS))
        restore(a);
    ndis__status_send(a, NDIS_STATUS_RESET_END, NULL, 0);
}

static void worker(struct umn_work *work)
{
    struct ndis_adapter *a = umn_container_of(work, struct ndis_adapter, reset_work);

    if (begin(a)) {
        reset(a);
        ndis__out_sub(&a->call_out, 1);
    }
    __atomic_store_n(&a->reset_wanted, 0, __ATOMIC_SEQ_CST);
    ndis__adapter_put(a);
}

/*
 * Has the adapter reset, soon and elsewhere. Superfluous while a reset is under way.
 * <= DISPATCH_LEVEL. nf-ndis-ndismresetminiport.md
 */
void NTAPI NdisMResetMiniport(NDIS_HANDLE MiniportAdapterHandle)
{
    struct ndis_adapter *a = MiniportAdapterHandle;

    umn__check_irql(UMN_DISPATCH, "NdisMResetMiniport");
    if (!ndis__live(a, NDIS_KIND_ADAPTER, "NdisMResetMiniport"))
        return;
    if (!a->driver->chars.ResetHandlerEx) {
        umn__report("IM-RST-01", 0, "NdisMResetMiniport: %s has no MiniportResetEx",
                    a->driver->service);
        return;
    }
    if (__atomic_exchange_n(&a->reset_wanted, 1, __ATOMIC_SEQ_CST))
        return;
    umn__lock(&ndis.lock);
    ndis__adapter_get(a);
    umn__unlock(&ndis.lock);
    a->reset_work.run = worker;
    umn__work_queue(&a->reset_work);
}

/* Completes a MiniportResetEx that returned PENDING. <= DISPATCH_LEVEL.
 * nf-ndis-ndismresetcomplete.md */
void NTAPI NdisMResetComplete(NDIS_HANDLE MiniportAdapterHandle, NDIS_STATUS Status,
                              BOOLEAN AddressingReset)
{
    struct ndis_adapter *a = MiniportAdapterHandle;

    umn__check_irql(UMN_DISPATCH, "NdisMResetComplete");
    if (!ndis__live(a, NDIS_KIND_ADAPTER, "NdisMResetComplete"))
        return;
    if (!__atomic_load_n(&a->reset_pending, __ATOMIC_SEQ_CST) || Status == NDIS_STATUS_PENDING) {
        umn__report("ST-06", 0,
                    "NdisMResetComplete of %s: no reset is pending, or the status says "
                    "PENDING",
                    a->driver->service);
        return;
    }
    a->reset_addressing = AddressingReset;
    if (!ndis__completion_finish(&a->reset_done, Status))
        umn__report("ST-06", 0, "NdisMResetComplete of %s: completed twice", a->driver->service);
}
