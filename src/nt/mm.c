/* SPDX-License-Identifier: MIT */
/*
 * MDLs. All memory of a box is resident and mapped, so locking and mapping keep only the flags and
 * the numbers; the system address of a buffer is its address. The page frame array behind an MDL
 * holds address / PAGE_SIZE of each page. <= DISPATCH_LEVEL.
 */
#include "nt/private.h"

#include <string.h>

#define TAG_MDL 0x206c644du /* 'Mdl ' */

static void *address_of(const MDL *mdl)
{
    return (char *)mdl->StartVa + mdl->ByteOffset;
}

static void fill_frames(PMDL mdl)
{
    PPFN_NUMBER frame = MmGetMdlPfnArray(mdl);
    ULONG_PTR first = (ULONG_PTR)mdl->StartVa / PAGE_SIZE;
    ULONG pages = ADDRESS_AND_SIZE_TO_SPAN_PAGES(address_of(mdl), mdl->ByteCount);
    for (ULONG i = 0; i < pages; i++)
        frame[i] = first + i;
}

/* Bytes of an MDL that describes this buffer. nf-wdm-mmsizeofmdl.md */
SIZE_T NTAPI MmSizeOfMdl(PVOID Base, SIZE_T Length)
{
    return sizeof(MDL) + sizeof(PFN_NUMBER) * ADDRESS_AND_SIZE_TO_SPAN_PAGES(Base, Length);
}

/*
 * MDL of a buffer; NULL without memory or if it is larger than an MDL's Size can tell. With an Irp
 * it becomes the IRP's MDL, or the last of its chain (SecondaryBuffer). nf-wdm-ioallocatemdl.md
 */
PMDL NTAPI IoAllocateMdl(PVOID VirtualAddress, ULONG Length, BOOLEAN SecondaryBuffer,
                         BOOLEAN ChargeQuota, PIRP Irp)
{
    umn__check_irql(DISPATCH_LEVEL, "IoAllocateMdl");
    SIZE_T size = MmSizeOfMdl(VirtualAddress, Length);
    if (size > 0x7fff)
        return NULL;
    PMDL mdl = umn__pool_alloc(NonPagedPoolNx, size, TAG_MDL, __builtin_return_address(0));
    if (!mdl)
        return NULL;
    MmInitializeMdl(mdl, VirtualAddress, Length);
    mdl->Process = NULL;
    mdl->MappedSystemVa = NULL;
    if (!Irp)
        return mdl;
    PMDL *link = &Irp->MdlAddress;
    while (SecondaryBuffer && *link)
        link = &(*link)->Next;
    *link = mdl;
    return mdl;
}

/* nf-wdm-iofreemdl.md */
void NTAPI IoFreeMdl(PMDL Mdl)
{
    umn__check_irql(DISPATCH_LEVEL, "IoFreeMdl");
    if (Mdl->MdlFlags & MDL_PAGES_LOCKED)
        umn__report("MdlLocked", 0xb8, "IoFreeMdl of %p, whose pages are still locked",
                    (void *)Mdl);
    ExFreePoolWithTag(Mdl, TAG_MDL);
}

/* The buffer is nonpaged pool (or on a stack, or in a driver's image): it needs no locking.
 * nf-wdm-mmbuildmdlfornonpagedpool.md */
void NTAPI MmBuildMdlForNonPagedPool(PMDL MemoryDescriptorList)
{
    umn__check_irql(DISPATCH_LEVEL, "MmBuildMdlForNonPagedPool");
    if (MemoryDescriptorList->MdlFlags & (MDL_PAGES_LOCKED | MDL_PARTIAL | MDL_MAPPED_TO_SYSTEM_VA))
        umn__report("MdlFlags", 0xb9, "MmBuildMdlForNonPagedPool of %p with flags 0x%x",
                    (void *)MemoryDescriptorList, (unsigned)(USHORT)MemoryDescriptorList->MdlFlags);
    MemoryDescriptorList->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
    MemoryDescriptorList->MappedSystemVa = address_of(MemoryDescriptorList);
    MemoryDescriptorList->Process = NULL;
    fill_frames(MemoryDescriptorList);
}

/* Pages stay resident until MmUnlockPages. nf-wdm-mmprobeandlockpages.md */
void NTAPI MmProbeAndLockPages(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode,
                               LOCK_OPERATION Operation)
{
    umn__check_irql(DISPATCH_LEVEL, "MmProbeAndLockPages");
    if (MemoryDescriptorList->MdlFlags &
        (MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL))
        umn__report("MdlFlags", 0xb0, "MmProbeAndLockPages of %p with flags 0x%x",
                    (void *)MemoryDescriptorList, (unsigned)(USHORT)MemoryDescriptorList->MdlFlags);
    MemoryDescriptorList->MdlFlags |= MDL_PAGES_LOCKED;
    if (Operation != IoReadAccess)
        MemoryDescriptorList->MdlFlags |= MDL_WRITE_OPERATION;
    fill_frames(MemoryDescriptorList);
}

/* Also unmaps. nf-wdm-mmunlockpages.md */
void NTAPI MmUnlockPages(PMDL MemoryDescriptorList)
{
    umn__check_irql(DISPATCH_LEVEL, "MmUnlockPages");
    if (MemoryDescriptorList->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL)
        umn__report("MdlFlags", 0x7d, "MmUnlockPages of %p, which describes nonpaged pool",
                    (void *)MemoryDescriptorList);
    else if (!(MemoryDescriptorList->MdlFlags & MDL_PAGES_LOCKED))
        umn__report("MdlFlags", 0x7c, "MmUnlockPages of %p, whose pages are not locked",
                    (void *)MemoryDescriptorList);
    MemoryDescriptorList->MdlFlags &=
        (CSHORT) ~(MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA | MDL_WRITE_OPERATION);
}

/* System address of locked pages; never fails here, as nothing is mapped. Drivers call
 * MmGetSystemAddressForMdlSafe, which comes here. nf-wdm-mmmaplockedpagesspecifycache.md */
PVOID NTAPI MmMapLockedPagesSpecifyCache(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode,
                                         MEMORY_CACHING_TYPE CacheType, PVOID RequestedAddress,
                                         ULONG BugCheckOnFailure, ULONG Priority)
{
    umn__check_irql(AccessMode == KernelMode ? DISPATCH_LEVEL : APC_LEVEL,
                    "MmMapLockedPagesSpecifyCache");
    CSHORT flags = MemoryDescriptorList->MdlFlags;
    if (!(flags & (MDL_PAGES_LOCKED | MDL_PARTIAL | MDL_SOURCE_IS_NONPAGED_POOL)))
        umn__report("MdlFlags", 0xb4,
                    "MmMapLockedPagesSpecifyCache of %p, whose pages are not locked",
                    (void *)MemoryDescriptorList);
    MemoryDescriptorList->MappedSystemVa = address_of(MemoryDescriptorList);
    MemoryDescriptorList->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    if (flags & MDL_PARTIAL)
        MemoryDescriptorList->MdlFlags |= MDL_PARTIAL_HAS_BEEN_MAPPED;
    return MemoryDescriptorList->MappedSystemVa;
}

/* nf-wdm-mmmaplockedpages.md (obsolete) */
PVOID NTAPI MmMapLockedPages(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode)
{
    return MmMapLockedPagesSpecifyCache(MemoryDescriptorList, AccessMode, MmCached, NULL, TRUE,
                                        NormalPagePriority);
}

/* nf-wdm-mmunmaplockedpages.md */
void NTAPI MmUnmapLockedPages(PVOID BaseAddress, PMDL MemoryDescriptorList)
{
    umn__check_irql(DISPATCH_LEVEL, "MmUnmapLockedPages");
    if (!(MemoryDescriptorList->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA))
        umn__report("MdlFlags", 0xb5, "MmUnmapLockedPages of %p, which is not mapped",
                    (void *)MemoryDescriptorList);
    MemoryDescriptorList->MdlFlags &=
        (CSHORT) ~(MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED);
}

/* TargetMdl describes Length bytes (0: to the end) of SourceMdl from VirtualAddress on. The target
 * must have room for the pages. nf-wdm-iobuildpartialmdl.md */
void NTAPI IoBuildPartialMdl(PMDL SourceMdl, PMDL TargetMdl, PVOID VirtualAddress, ULONG Length)
{
    char *start = VirtualAddress, *from = address_of(SourceMdl), *end = from + SourceMdl->ByteCount;
    umn__check_irql(DISPATCH_LEVEL, "IoBuildPartialMdl");
    if (start < from || start > end || Length > (size_t)(end - start))
        KeBugCheckEx(TARGET_MDL_TOO_SMALL, (ULONG_PTR)SourceMdl, (ULONG_PTR)TargetMdl, Length, 0);
    if (!Length)
        Length = (ULONG)(end - start);
    SIZE_T need = MmSizeOfMdl(start, Length);
    if ((SIZE_T)(USHORT)TargetMdl->Size < need)
        KeBugCheckEx(TARGET_MDL_TOO_SMALL, (ULONG_PTR)SourceMdl, (ULONG_PTR)TargetMdl, need, 0);
    TargetMdl->StartVa = PAGE_ALIGN(start);
    TargetMdl->ByteOffset = BYTE_OFFSET(start);
    TargetMdl->ByteCount = Length;
    TargetMdl->Process = SourceMdl->Process;
    TargetMdl->MdlFlags = MDL_PARTIAL;
    if (SourceMdl->MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA)) {
        TargetMdl->MappedSystemVa = start;
        TargetMdl->MdlFlags |= SourceMdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL;
        if (!(TargetMdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL))
            TargetMdl->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    }
    fill_frames(TargetMdl);
}

/* Drops the first NumberOfBytes. STATUS_INVALID_PARAMETER_2: more than there are.
 * nf-wdm-mmadvancemdl.md */
NTSTATUS NTAPI MmAdvanceMdl(PMDL Mdl, ULONG NumberOfBytes)
{
    if (NumberOfBytes >= Mdl->ByteCount)
        return STATUS_INVALID_PARAMETER_2;
    char *start = (char *)address_of(Mdl) + NumberOfBytes;
    Mdl->StartVa = PAGE_ALIGN(start);
    Mdl->ByteOffset = BYTE_OFFSET(start);
    Mdl->ByteCount -= NumberOfBytes;
    if (Mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL))
        Mdl->MappedSystemVa = start;
    fill_frames(Mdl);
    return STATUS_SUCCESS;
}

/* Physical and virtual addresses are one here. nf-ntddk-mmgetphysicaladdress.md */
PHYSICAL_ADDRESS NTAPI MmGetPhysicalAddress(PVOID BaseAddress)
{
    return (PHYSICAL_ADDRESS){.QuadPart = (LONGLONG)(uintptr_t)BaseAddress};
}

/* Driver-facing functions are the program's own symbols that start as Windows names do; everything
 * of the host starts with a small letter. */
const void *umn__export(const char *name)
{
    bool own, name_of_ours = (name[0] >= 'A' && name[0] <= 'Z') || strcmp(name, "vDbgPrintEx") == 0;
    const void *address = name_of_ours ? plat_dl_find(name, &own) : NULL;
    return address && own ? address : NULL;
}

/* The address of a driver-facing function of this library, by name; NULL: there is none.
 * PASSIVE_LEVEL. nf-wdm-mmgetsystemroutineaddress.md */
PVOID NTAPI MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName)
{
    ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlMmApcLte", 0x20019, "MmGetSystemRoutineAddress");
    char *name = umn__utf8_us(SystemRoutineName);
    PVOID address = name ? (PVOID)(uintptr_t)umn__export(name) : NULL;
    plat_free(name);
    return address;
}

/* Contiguous memory: every address is its own physical address, so plain pool is.
 * nf-ntddk-mmallocatecontiguousmemory.md */
PVOID NTAPI MmAllocateContiguousMemory(SIZE_T NumberOfBytes,
                                       PHYSICAL_ADDRESS HighestAcceptableAddress)
{
    umn__check_irql(DISPATCH_LEVEL, "MmAllocateContiguousMemory");
    return umn__pool_alloc(NonPagedPoolNx,
                           (NumberOfBytes + PAGE_SIZE - 1) & ~(SIZE_T)(PAGE_SIZE - 1),
                           0x746e6f43 /* 'Cont' */, __builtin_return_address(0));
}

void NTAPI MmFreeContiguousMemory(PVOID BaseAddress)
{
    ExFreePoolWithTag(BaseAddress, 0x746e6f43);
}

/* Caching and address limits are hints that plain memory meets.
 * nf-ntddk-mmallocatecontiguousmemoryspecifycache.md */
PVOID NTAPI MmAllocateContiguousMemorySpecifyCache(SIZE_T NumberOfBytes,
                                                   PHYSICAL_ADDRESS LowestAcceptableAddress,
                                                   PHYSICAL_ADDRESS HighestAcceptableAddress,
                                                   PHYSICAL_ADDRESS BoundaryAddressMultiple,
                                                   MEMORY_CACHING_TYPE CacheType)
{
    return MmAllocateContiguousMemory(NumberOfBytes, HighestAcceptableAddress);
}

void NTAPI MmFreeContiguousMemorySpecifyCache(PVOID BaseAddress, SIZE_T NumberOfBytes,
                                              MEMORY_CACHING_TYPE CacheType)
{
    MmFreeContiguousMemory(BaseAddress);
}

/* nf-wdm-mmquerysystemsize.md */
MM_SYSTEMSIZE NTAPI MmQuerySystemSize(void)
{
    return MmLargeSystem;
}

/* FALSE: a workstation, as RtlGetVersion tells. nf-ntddk-mmisthisanntassystem.md */
BOOLEAN NTAPI MmIsThisAnNtAsSystem(void)
{
    return FALSE;
}

/* No driver code or data is ever paged out, so locking it only gives the handle back.
 * nf-wdm-mmlockpagabledatasection.md */
PVOID NTAPI MmLockPagableDataSection(PVOID AddressWithinSection)
{
    umn__check_irql(APC_LEVEL, "MmLockPagableDataSection");
    return AddressWithinSection;
}

void NTAPI MmLockPagableSectionByHandle(PVOID ImageSectionHandle)
{
    umn__check_irql(APC_LEVEL, "MmLockPagableSectionByHandle");
}

void NTAPI MmUnlockPagableImageSection(PVOID ImageSectionHandle)
{
    umn__check_irql(APC_LEVEL, "MmUnlockPagableImageSection");
}

/* x86-64 keeps DMA coherent: nothing to flush. nf-wdm-keflushiobuffers.md */
void NTAPI KeFlushIoBuffers(PMDL Mdl, BOOLEAN ReadOperation, BOOLEAN DmaOperation)
{
}
