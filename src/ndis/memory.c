/* SPDX-License-Identifier: MIT */
/*
 * Memory for drivers and generic objects: NDIS's names for non-paged pool. Owns nothing; the pool's
 * ledger (src/nt) knows every block. <= DISPATCH_LEVEL.
 */
#include "ndis/data.h"

#include <string.h>

static void *allocate(UINT length, ULONG tag, const char *function)
{
    umn__check_irql(UMN_DISPATCH, function);
    return ExAllocatePoolWithTag(NonPagedPool, length, tag);
}

/*
 * Length bytes of non-paged pool, not initialised, or NULL. NdisHandle: what NDIS gave the driver
 * at initialization; checked in verify mode. nf-ndis-ndisallocatememorywithtagpriority.md
 */
PVOID NTAPI NdisAllocateMemoryWithTagPriority(NDIS_HANDLE NdisHandle, UINT Length, ULONG Tag,
                                              EX_POOL_PRIORITY Priority)
{
    if (ndis__verify && NdisHandle && ndis__kind(NdisHandle) == NDIS_KIND_DEAD)
        umn__report("NdisAllocateMemoryWithTagPriority", 0,
                    "NdisAllocateMemoryWithTagPriority: %p is no NDIS handle", NdisHandle);
    return allocate(Length, Tag, "NdisAllocateMemoryWithTagPriority");
}

/* The older form: *VirtualAddress, SUCCESS or FAILURE. nf-ndis-ndisallocatememorywithtag.md */
NDIS_STATUS NTAPI NdisAllocateMemoryWithTag(PVOID *VirtualAddress, UINT Length, ULONG Tag)
{
    *VirtualAddress = allocate(Length, Tag, "NdisAllocateMemoryWithTag");
    return *VirtualAddress ? NDIS_STATUS_SUCCESS : NDIS_STATUS_FAILURE;
}

/* MemoryFlags other than 0 belong to NDIS 5 allocations that do not exist here: reported.
 * nf-ndis-ndisfreememory.md */
void NTAPI NdisFreeMemory(PVOID VirtualAddress, UINT Length, UINT MemoryFlags)
{
    umn__check_irql(UMN_DISPATCH, "NdisFreeMemory");
    if (MemoryFlags)
        umn__report("NdisFreeMemory", 0,
                    "NdisFreeMemory: flags 0x%x, but the memory was allocated "
                    "without any",
                    MemoryFlags);
    ExFreePool(VirtualAddress);
}

void NTAPI NdisFreeMemoryWithTag(PVOID VirtualAddress, ULONG Tag)
{
    umn__check_irql(UMN_DISPATCH, "NdisFreeMemoryWithTag");
    ExFreePoolWithTag(VirtualAddress, Tag);
}

void NTAPI NdisFreeMemoryWithTagPriority(NDIS_HANDLE NdisHandle, PVOID VirtualAddress, ULONG Tag)
{
    umn__check_irql(UMN_DISPATCH, "NdisFreeMemoryWithTagPriority");
    ExFreePoolWithTag(VirtualAddress, Tag);
}

/* ---- generic objects
 * ------------------------------------------------------------------------------ */

/*
 * A handle for a component that is no miniport, protocol or filter driver: serves wherever an
 * NdisHandle is asked for. Size 0, or room for a structure that starts with NDIS_GENERIC_OBJECT.
 * NULL: no memory. nf-ndis-ndisallocategenericobject.md
 */
PNDIS_GENERIC_OBJECT NTAPI NdisAllocateGenericObject(PDRIVER_OBJECT DriverObject, ULONG Tag,
                                                     USHORT Size)
{
    size_t size = Size > sizeof(NDIS_GENERIC_OBJECT) ? Size : sizeof(NDIS_GENERIC_OBJECT);
    NDIS_GENERIC_OBJECT *o = allocate((UINT)size, Tag, "NdisAllocateGenericObject");

    if (!o)
        return NULL;
    memset(o, 0, size);
    o->Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    o->Header.Revision = NDIS_OBJECT_REVISION_1;
    o->Header.Size = (USHORT)size;
    o->Caller = __builtin_return_address(0);
    o->DriverObject = DriverObject;
    return o;
}

void NTAPI NdisFreeGenericObject(PNDIS_GENERIC_OBJECT NdisObject)
{
    umn__check_irql(UMN_DISPATCH, "NdisFreeGenericObject");
    if (NdisObject->Header.Type != NDIS_OBJECT_TYPE_DEFAULT) {
        umn__report("HandleType", 0, "NdisFreeGenericObject: %p is no generic object",
                    (void *)NdisObject);
        return;
    }
    ExFreePool(NdisObject);
}
