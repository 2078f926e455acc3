/* SPDX-License-Identifier: MIT */
/*
 * Requests of the host (config, cli, tests): host.h. PASSIVE_LEVEL, no lock held. The adapter may
 * be halted at any moment; while a request is counted in its call_out the halt waits.
 */
#include "ndis/control.h"
#include "ndis/data.h"
#include "ndis/oid.h"

/* Counts a request in. False: the adapter takes none, *status says why. */
static bool enter(struct ndis_adapter *a, NDIS_STATUS *status)
{
    bool ok;

    umn__lock(&a->oid.lock);
    ok = !a->oid.refuse;
    if (ok)
        ndis__out_add(&a->call_out, 1);
    else
        *status = a->oid.refuse_status;
    umn__unlock(&a->oid.lock);
    return ok;
}

int umn__ndis_oid(const char *adapter, NDIS_REQUEST_TYPE type, NDIS_OID oid, void *buffer,
                  unsigned *length, NDIS_STATUS *status)
{
    struct ndis_adapter *a = ndis__adapter_ref(adapter);
    uint32_t n = *length;
    NDIS_STATUS result;

    if (!a)
        return UMN_ENOENT;
    if (enter(a, &result)) {
        result = ndis__oid_own(a, type, oid, buffer, &n);
        ndis__out_sub(&a->call_out, 1);
    } else {
        n = 0;
    }
    ndis__adapter_put(a);
    *length = n;
    if (status)
        *status = result;
    return 0;
}

int umn__ndis_statistics(const char *adapter, NDIS_STATISTICS_INFO *out)
{
    NDIS_STATISTICS_INFO info = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_STATISTICS_INFO_REVISION_1,
                   NDIS_SIZEOF_STATISTICS_INFO_REVISION_1},
    };
    unsigned length = sizeof(info);
    NDIS_STATUS status;
    int error = umn__ndis_oid(adapter, NdisRequestQueryInformation, OID_GEN_STATISTICS, &info,
                              &length, &status);

    if (error)
        return error;
    if (status != NDIS_STATUS_SUCCESS)
        return UMN_EIO;
    *out = info;
    return 0;
}
