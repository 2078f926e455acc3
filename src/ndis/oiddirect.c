/* SPDX-License-Identifier: MIT */
/*
 * Requests outside the queue: direct and synchronous ones, which NDIS hands straight to the
 * miniport without putting them in order (IM-OID-02), and the clones of requests that intermediate
 * drivers pass on. No lock; <= DISPATCH_LEVEL.
 */
#include "ndis/control.h"
#include "ndis/data.h"
#include "ndis/oid.h"

static NDIS_STATUS may_request(struct ndis_binding *b, const char *function)
{
    ndis__entry_ok(UMN_DISPATCH, function);
    if (!ndis__quick(b, NDIS_KIND_BINDING, function) ||
        __atomic_load_n(&b->close_called, __ATOMIC_RELAXED))
        return NDIS_STATUS_CLOSING;
    return ndis__peek(b->adapter->resetting) ? NDIS_STATUS_RESET_IN_PROGRESS : NDIS_STATUS_SUCCESS;
}

/* ---- direct requests
 * ------------------------------------------------------------------------------ */

/*
 * As NdisOidRequest, but at once and in the caller's IRQL. NOT_SUPPORTED: the miniport has no
 * handler for them (question 34). nf-ndis-ndisdirectoidrequest.md
 */
NDIS_STATUS NTAPI NdisDirectOidRequest(NDIS_HANDLE NdisBindingHandle, PNDIS_OID_REQUEST OidRequest)
{
    struct ndis_binding *b = NdisBindingHandle;
    NDIS_STATUS status = may_request(b, "NdisDirectOidRequest");
    struct ndis_oid_item *item = ndis__oid_item(OidRequest);
    struct ndis_adapter *a;

    if (status != NDIS_STATUS_SUCCESS)
        return status;
    a = b->adapter;
    if (!a->driver->chars.DirectOidRequestHandler)
        return NDIS_STATUS_NOT_SUPPORTED;
    OidRequest->RequestHandle = b;
    *item = (struct ndis_oid_item){
        .adapter = a, .binding = b, .request = OidRequest, .below = OidRequest};
    ndis__out_add(&b->oid_out, 1);
    umn__point(UMN_OP_CALLBACK, a);
    status = a->driver->chars.DirectOidRequestHandler(a->context, OidRequest);
    if (status != NDIS_STATUS_PENDING)
        ndis__out_sub(&b->oid_out, 1);
    return status;
}

/* Completes a direct request that pended. nf-ndis-ndismdirectoidrequestcomplete.md */
void NTAPI NdisMDirectOidRequestComplete(NDIS_HANDLE MiniportAdapterHandle,
                                         PNDIS_OID_REQUEST OidRequest, NDIS_STATUS Status)
{
    struct ndis_oid_item *item = ndis__oid_item(OidRequest);
    struct ndis_adapter *a = MiniportAdapterHandle;
    struct ndis_binding *b = item->binding;

    ndis__entry_ok(UMN_DISPATCH, "NdisMDirectOidRequestComplete");
    if (!ndis__quick(a, NDIS_KIND_ADAPTER, "NdisMDirectOidRequestComplete"))
        return;
    if (item->adapter != a || item->below != OidRequest || Status == NDIS_STATUS_PENDING) {
        umn__report("NdisOidDoubleComplete", 0x91002,
                    "NdisMDirectOidRequestComplete of %s: the "
                    "request is not pending, or the status says PENDING",
                    a->driver->service);
        return;
    }
    item->below = NULL;
    ndis__out_add(&b->call_out, 1);
    ndis__out_sub(&b->oid_out, 1);
    umn__point(UMN_OP_CALLBACK, b);
    if (b->protocol->chars.DirectOidRequestCompleteHandler)
        b->protocol->chars.DirectOidRequestCompleteHandler(b->context, OidRequest, Status);
    ndis__out_sub(&b->call_out, 1);
}

/* Asks the miniport to give up direct requests with this id. nf-ndis-ndiscanceldirectoidrequest.md
 */
void NTAPI NdisCancelDirectOidRequest(NDIS_HANDLE NdisBindingHandle, PVOID RequestId)
{
    struct ndis_binding *b = NdisBindingHandle;
    struct ndis_adapter *a;

    ndis__entry_ok(UMN_DISPATCH, "NdisCancelDirectOidRequest");
    if (!ndis__quick(b, NDIS_KIND_BINDING, "NdisCancelDirectOidRequest"))
        return;
    a = b->adapter;
    if (!a->driver->chars.CancelDirectOidRequestHandler)
        return;
    umn__point(UMN_OP_CALLBACK, a);
    a->driver->chars.CancelDirectOidRequestHandler(a->context, RequestId);
}

/* A request that ends before it returns. NOT_SUPPORTED: no handler.
 * nf-ndis-ndissynchronousoidrequest.md */
NDIS_STATUS NTAPI NdisSynchronousOidRequest(NDIS_HANDLE NdisBindingHandle,
                                            NDIS_OID_REQUEST *OidRequest)
{
    struct ndis_binding *b = NdisBindingHandle;
    NDIS_STATUS status = may_request(b, "NdisSynchronousOidRequest");
    struct ndis_adapter *a;

    if (status != NDIS_STATUS_SUCCESS)
        return status;
    a = b->adapter;
    if (!a->driver->chars.SynchronousOidRequestHandler)
        return NDIS_STATUS_NOT_SUPPORTED;
    OidRequest->RequestHandle = b;
    ndis__out_add(&b->oid_out, 1);
    umn__point(UMN_OP_CALLBACK, a);
    status = a->driver->chars.SynchronousOidRequestHandler(a->context, OidRequest);
    ndis__out_sub(&b->oid_out, 1);
    if (status == NDIS_STATUS_PENDING) {
        umn__report("NdisOidComplete", 0x91001,
                    "MiniportSynchronousOidRequest of %s returned PENDING", a->driver->service);
        status = NDIS_STATUS_FAILURE;
    }
    return status;
}

/* ---- clones of requests
 * --------------------------------------------------------------------------------- */

/*
 * A copy of a request to be issued on SourceHandle, a binding handle; the buffer is shared. *clone
 * is NULL on failure: INVALID_PARAMETER (no binding handle, no request), RESOURCES. <=
 * DISPATCH_LEVEL. nf-ndis-ndisallocatecloneoidrequest.md, IM-OID-06
 */
NDIS_STATUS NTAPI NdisAllocateCloneOidRequest(NDIS_HANDLE SourceHandle,
                                              PNDIS_OID_REQUEST OidRequest, UINT PoolTag,
                                              PNDIS_OID_REQUEST *ClonedOidRequest)
{
    NDIS_OID_REQUEST *clone;

    umn__check_irql(UMN_DISPATCH, "NdisAllocateCloneOidRequest");
    *ClonedOidRequest = NULL;
    if (!OidRequest || !ndis__quick(SourceHandle, NDIS_KIND_BINDING, "NdisAllocateCloneOidRequest"))
        return NDIS_STATUS_INVALID_PARAMETER;
    clone = ExAllocatePoolWithTag(NonPagedPool, sizeof(*clone), PoolTag);
    if (!clone)
        return NDIS_STATUS_RESOURCES;
    *clone = (NDIS_OID_REQUEST){
        .Header = OidRequest->Header,
        .RequestType = OidRequest->RequestType,
        .PortNumber = OidRequest->PortNumber,
        .Timeout = OidRequest->Timeout,
        .RequestId = OidRequest->RequestId,
        .RequestHandle = OidRequest->RequestHandle,
        .DATA = OidRequest->DATA,
        .SupportedRevision = OidRequest->SupportedRevision,
    };
    if (OidRequest->Header.Revision >= NDIS_OID_REQUEST_REVISION_2) {
        clone->SwitchId = OidRequest->SwitchId;
        clone->VPortId = OidRequest->VPortId;
        clone->Flags = OidRequest->Flags;
    }
    *ClonedOidRequest = clone;
    return NDIS_STATUS_SUCCESS;
}

/* Frees a clone that is not pending. Also after the binding began to close. <= DISPATCH_LEVEL. */
void NTAPI NdisFreeCloneOidRequest(NDIS_HANDLE SourceHandle, PNDIS_OID_REQUEST Request)
{
    umn__check_irql(UMN_DISPATCH, "NdisFreeCloneOidRequest");
    ExFreePool(Request);
}
