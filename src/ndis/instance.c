/* SPDX-License-Identifier: MIT */
/*
 * Names of adapters that people see. PASSIVE_LEVEL; no lock.
 */
#include "ndis/control.h"

#include <string.h>

/* FriendlyName of the device instance, else DriverDesc of its class key. plat_alloc'd or NULL. */
char *ndis__friendly_name(const struct umn_devnode *node)
{
    const struct umn_registry_ops *reg = umn__registry();
    char *path, *name = NULL;
    void *key, *data;
    uint32_t type;
    size_t size;

    if (!node || !node->instance_id)
        return NULL;
    path = plat_asprintf("\\Registry\\Machine\\System\\CurrentControlSet\\Enum\\%s",
                         node->instance_id);
    if (path && reg->open(NULL, path, false, &key) == 0) {
        if (reg->get(key, "FriendlyName", &type, &data, &size) == 0) {
            if (type == REG_SZ && size >= sizeof(WCHAR)) {
                size_t n = 0;
                while (n < size / sizeof(WCHAR) && ((const WCHAR *)data)[n])
                    n++;
                name = umn__utf8(data, n);
            }
            plat_free(data);
        }
        reg->close(key);
    }
    plat_free(path);
    return name ? name : ndis__device_value(node, "DriverDesc");
}

/* The caller frees Buffer with NdisFreeMemory. Without a friendly name the device name stands in.
 */
static NDIS_STATUS instance_name(const struct ndis_adapter *a, UNICODE_STRING *out)
{
    char *name = ndis__friendly_name(umn__pdo_node(a->pdo));
    WCHAR *wide = umn__utf16(name && *name ? name : a->name);
    NDIS_STATUS status = NDIS_STATUS_RESOURCES;
    size_t size;

    plat_free(name);
    if (!wide)
        return status;
    size = umn__wcslen(wide) * sizeof *wide;
    out->Buffer = NdisAllocateMemoryWithTagPriority(NULL, (UINT)(size + sizeof *wide), 'NndU',
                                                    NormalPoolPriority);
    if (out->Buffer) {
        memcpy(out->Buffer, wide, size + sizeof *wide);
        out->Length = (USHORT)size;
        out->MaximumLength = (USHORT)(size + sizeof *wide);
        status = NDIS_STATUS_SUCCESS;
    }
    plat_free(wide);
    return status;
}

/* nf-ndis-ndismqueryadapterinstancename.md. PASSIVE_LEVEL. RESOURCES. */
UMN_EXPORT NDIS_STATUS NTAPI NdisMQueryAdapterInstanceName(PNDIS_STRING pAdapterInstanceName,
                                                           NDIS_HANDLE MiniportHandle)
{
    ndis__entry_ok(UMN_PASSIVE, "NdisMQueryAdapterInstanceName");
    if (!ndis__live(MiniportHandle, NDIS_KIND_ADAPTER, "NdisMQueryAdapterInstanceName"))
        return NDIS_STATUS_FAILURE;
    return instance_name(MiniportHandle, pAdapterInstanceName);
}

/* nf-ndis-ndisqueryadapterinstancename.md: of the adapter below a binding. RESOURCES. */
UMN_EXPORT NDIS_STATUS NTAPI NdisQueryAdapterInstanceName(PNDIS_STRING pAdapterInstanceName,
                                                          NDIS_HANDLE NdisBindingHandle)
{
    const struct ndis_binding *b = NdisBindingHandle;

    ndis__entry_ok(UMN_DISPATCH, "NdisQueryAdapterInstanceName");
    if (!ndis__live(NdisBindingHandle, NDIS_KIND_BINDING, "NdisQueryAdapterInstanceName"))
        return NDIS_STATUS_FAILURE;
    return instance_name(b->adapter, pAdapterInstanceName);
}

/* nf-ndis-ndisquerybindinstancename.md: of the adapter that is being bound to. RESOURCES. */
UMN_EXPORT NDIS_STATUS NTAPI NdisQueryBindInstanceName(PNDIS_STRING pAdapterInstanceName,
                                                       NDIS_HANDLE BindingContext)
{
    const struct ndis_bind_op *op = ndis__bind_op_find(BindingContext);

    ndis__entry_ok(UMN_DISPATCH, "NdisQueryBindInstanceName");
    if (!op) {
        umn__report("HandleType", 0, "NdisQueryBindInstanceName outside a bind operation");
        return NDIS_STATUS_FAILURE;
    }
    return instance_name(op->adapter, pAdapterInstanceName);
}
