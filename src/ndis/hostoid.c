/* SPDX-License-Identifier: MIT */
/* Requests of the host (config, cli, tests): host.h. PASSIVE_LEVEL, no lock held. */
#include "ndis/data.h"
#include "ndis/oid.h"

int umn__ndis_oid(const char *adapter, NDIS_REQUEST_TYPE type, NDIS_OID oid, void *buffer,
                  unsigned *length, NDIS_STATUS *status)
{
    struct ndis_adapter *a = ndis__adapter_find(adapter);
    uint32_t n = *length;
    NDIS_STATUS result;

    if (!a)
        return UMN_ENOENT;
    result = ndis__oid_own(a, type, oid, buffer, &n);
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
