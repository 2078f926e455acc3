/* SPDX-License-Identifier: MIT */
/*
 * OID requests that the protocol issues, each waited for. No state. PASSIVE_LEVEL, the completion
 * <= DISPATCH_LEVEL.
 */
#include "tap.h"

typedef struct _TAP_REQUEST
{
    NDIS_OID_REQUEST Oid;
    KEVENT Done;
    NDIS_STATUS Status;
} TAP_REQUEST;

NDIS_STATUS RequestSet(TAP_BINDING *Binding, NDIS_OID Oid, void *Buffer, ULONG Length)
{
    TAP_REQUEST *Request = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Request), TAP_TAG);
    NDIS_STATUS Status;

    if (!Request)
        return NDIS_STATUS_RESOURCES;
    RtlZeroMemory(Request, sizeof(*Request));
    KeInitializeEvent(&Request->Done, NotificationEvent, FALSE);
    Request->Oid.Header.Type = NDIS_OBJECT_TYPE_OID_REQUEST;
    Request->Oid.Header.Revision = NDIS_OID_REQUEST_REVISION_1;
    Request->Oid.Header.Size = NDIS_SIZEOF_OID_REQUEST_REVISION_1;
    Request->Oid.RequestType = NdisRequestSetInformation;
    Request->Oid.RequestId = Request;
    Request->Oid.DATA.SET_INFORMATION.Oid = Oid;
    Request->Oid.DATA.SET_INFORMATION.InformationBuffer = Buffer;
    Request->Oid.DATA.SET_INFORMATION.InformationBufferLength = Length;
    Status = NdisOidRequest(Binding->Handle, &Request->Oid);
    if (Status == NDIS_STATUS_PENDING)
    {
        KeWaitForSingleObject(&Request->Done, Executive, KernelMode, FALSE, NULL);
        Status = Request->Status;
    }
    ExFreePoolWithTag(Request, TAP_TAG);
    return Status;
}

void NTAPI TapOidComplete(NDIS_HANDLE BindingContext, NDIS_OID_REQUEST *Oid, NDIS_STATUS Status)
{
    TAP_REQUEST *Request = CONTAINING_RECORD(Oid, TAP_REQUEST, Oid);

    Request->Status = Status;
    KeSetEvent(&Request->Done, IO_NO_INCREMENT, FALSE);
}
