/* SPDX-License-Identifier: MIT */
/* Function-like macros and inline functions of wdm.h: what the documentation calls a macro, and what
 * compiles into the driver on Windows. */
#ifndef UMN_WDK_NT_WDM_INLINE_H
#define UMN_WDK_NT_WDM_INLINE_H

#include <ntstatus.h>

#include <nt/ex_api.h>
#include <nt/interlocked.h>
#include <nt/io_api.h>
#include <nt/ke_api.h>
#include <nt/list.h>
#include <nt/mm_api.h>
#include <nt/ob_api.h>
#include <nt/rtl_api.h>
#include <nt/rtl_inline.h>

#include <nt/push.h>

/* Checks and debug output. */

#if DBG
#define NT_ASSERT(e) ((e) ? (void)0 : RtlAssert((PVOID)#e, (PVOID)__FILE__, __LINE__, NULL))
#define ASSERT(e) NT_ASSERT(e)
#define ASSERTMSG(msg, e) NT_ASSERT(e)
#define KdPrint(_x_) DbgPrint _x_
#define KdPrintEx(_x_) DbgPrintEx _x_
#define PAGED_CODE() NT_ASSERT(KeGetCurrentIrql() <= APC_LEVEL)
#else
#define NT_ASSERT(e) ((void)0)
#define ASSERT(e) ((void)0)
#define ASSERTMSG(msg, e) ((void)0)
#define KdPrint(_x_) ((void)0)
#define KdPrintEx(_x_) ((void)0)
#define PAGED_CODE() ((void)0)
#endif
#define NT_VERIFY(e) ((e) ? TRUE : FALSE)
#define PAGED_CODE_LOCKED() ((void)0)
#define NON_PAGED_CODE() ((void)0)
#define DbgRaiseAssertionFailure() __builtin_trap()

NTKERNELAPI void NTAPI DbgBreakPoint(void);

/* Takes the caller's argument list in Windows form: NT_VA_START makes one. */
NTKERNELAPI ULONG NTAPI vDbgPrintEx(ULONG ComponentId, ULONG Level, PCCH Format,
                                    NT_VA_LIST ArgList);

#define KdBreakPoint() ((void)0)

/* IRQL, spin locks, processors. */

#define KeRaiseIrql(NewIrql, OldIrql) ((void)(*(OldIrql) = KfRaiseIrql(NewIrql)))

FORCEINLINE KIRQL KeRaiseIrqlToDpcLevel(void)
{
    return KfRaiseIrql(DISPATCH_LEVEL);
}

FORCEINLINE KIRQL KeRaiseIrqlToSynchLevel(void)
{
    return KfRaiseIrql(12);
}

#define KeAcquireSpinLock(SpinLock, OldIrql)                                                       \
    ((void)(*(OldIrql) = KeAcquireSpinLockRaiseToDpc(SpinLock)))

FORCEINLINE ULONG KeGetCurrentProcessorIndex(void)
{
    return KeGetCurrentProcessorNumberEx(NULL);
}

FORCEINLINE ULONG KeGetCurrentProcessorNumber(void)
{
    return KeGetCurrentProcessorNumberEx(NULL);
}

/* On Windows this reads the processor block; here, as there, ntoskrnl also exports it. */
NTKERNELAPI PKTHREAD NTAPI KeGetCurrentThread(void);

FORCEINLINE PETHREAD PsGetCurrentThread(void)
{
    return (PETHREAD)KeGetCurrentThread();
}

/* On Windows these three read a shared page; the exported functions tell the same times. */

FORCEINLINE void KeQuerySystemTime(PLARGE_INTEGER CurrentTime)
{
    KeQuerySystemTimePrecise(CurrentTime);
}

FORCEINLINE ULONGLONG KeQueryInterruptTime(void)
{
    ULONG64 Qpc;

    return KeQueryInterruptTimePrecise(&Qpc);
}

FORCEINLINE void KeQueryTickCount(PLARGE_INTEGER CurrentCount)
{
    CurrentCount->QuadPart = (LONGLONG)(KeQueryInterruptTime() / KeQueryTimeIncrement());
}

#define KeInitializeCallbackRecord(CallbackRecord) ((void)((CallbackRecord)->State = 0))

/* Floating point state belongs to the thread on x64: nothing to save. */

FORCEINLINE NTSTATUS KeSaveFloatingPointState(PKFLOATING_SAVE FloatSave)
{
    (void)FloatSave;
    return STATUS_SUCCESS;
}

FORCEINLINE NTSTATUS KeRestoreFloatingPointState(PKFLOATING_SAVE FloatSave)
{
    (void)FloatSave;
    return STATUS_SUCCESS;
}

/* Pools, mutexes, lists. */

FORCEINLINE PVOID ExAllocatePoolZero(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return ExAllocatePoolWithTag((POOL_TYPE)(PoolType | POOL_ZERO_ALLOCATION), NumberOfBytes, Tag);
}

FORCEINLINE PVOID ExAllocatePoolUninitialized(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return ExAllocatePoolWithTag(PoolType, NumberOfBytes, Tag);
}

FORCEINLINE PVOID ExAllocatePoolQuotaZero(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return ExAllocatePoolWithQuotaTag((POOL_TYPE)(PoolType | POOL_ZERO_ALLOCATION), NumberOfBytes,
                                      Tag);
}

FORCEINLINE PVOID ExAllocatePoolQuotaUninitialized(POOL_TYPE PoolType, SIZE_T NumberOfBytes,
                                                   ULONG Tag)
{
    return ExAllocatePoolWithQuotaTag(PoolType, NumberOfBytes, Tag);
}

FORCEINLINE PVOID ExAllocatePoolPriorityZero(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag,
                                             EX_POOL_PRIORITY Priority)
{
    return ExAllocatePoolWithTagPriority((POOL_TYPE)(PoolType | POOL_ZERO_ALLOCATION),
                                         NumberOfBytes, Tag, Priority);
}

FORCEINLINE PVOID ExAllocatePoolPriorityUninitialized(POOL_TYPE PoolType, SIZE_T NumberOfBytes,
                                                      ULONG Tag, EX_POOL_PRIORITY Priority)
{
    return ExAllocatePoolWithTagPriority(PoolType, NumberOfBytes, Tag, Priority);
}

/* Run-time opt-in to non-executable pool: pools never execute here. */
FORCEINLINE void ExInitializeDriverRuntime(ULONG RuntimeFlags)
{
    (void)RuntimeFlags;
}

FORCEINLINE void ExInitializeFastMutex(PFAST_MUTEX FastMutex)
{
    FastMutex->Count = 1;
    FastMutex->Owner = NULL;
    FastMutex->Contention = 0;
    KeInitializeEvent(&FastMutex->Event, SynchronizationEvent, FALSE);
}

FORCEINLINE void ExInitializeWorkItem(PWORK_QUEUE_ITEM Item, PWORKER_THREAD_ROUTINE Routine,
                                      PVOID Context)
{
    Item->WorkerRoutine = Routine;
    Item->Parameter = Context;
    Item->List.Flink = NULL;
}

FORCEINLINE void ExInitializeSetTimerParameters(PEXT_SET_PARAMETERS Parameters)
{
    __builtin_memset(Parameters, 0, sizeof(*Parameters));
    Parameters->Version = 0;
    Parameters->NoWakeTolerance = -1;
}

FORCEINLINE void ExInitializeDeleteTimerParameters(PEXT_DELETE_PARAMETERS Parameters)
{
    __builtin_memset(Parameters, 0, sizeof(*Parameters));
}

#define ExInitializeSListHead(ListHead) InitializeSListHead(ListHead)
#define InterlockedPushEntrySList(Head, Entry) ExpInterlockedPushEntrySList(Head, Entry)
#define InterlockedPopEntrySList(Head) ExpInterlockedPopEntrySList(Head)
#define InterlockedFlushSList(Head) ExpInterlockedFlushSList(Head)
#define ExInterlockedPushEntrySList(Head, Entry, Lock) ExpInterlockedPushEntrySList(Head, Entry)
#define ExInterlockedPopEntrySList(Head, Lock) ExpInterlockedPopEntrySList(Head)
#define ExInterlockedFlushSList(Head) ExpInterlockedFlushSList(Head)
#define QueryDepthSList(Head) ExQueryDepthSList(Head)
#define ExInterlockedAddLargeStatistic(Addend, Increment)                                          \
    ((void)InterlockedAdd64((LONG64 volatile *)&(Addend)->QuadPart, (Increment)))
#define ExInterlockedCompareExchange64(Destination, Exchange, Comperand, Lock)                     \
    InterlockedCompareExchange64(Destination, *(Exchange), *(Comperand))

/* Objects. */

#define ObDereferenceObject(a) ObfDereferenceObject(a)
#define ObReferenceObject(Object) ObfReferenceObject(Object)
#define ObDereferenceObjectWithTag(a, t) ObfDereferenceObjectWithTag(a, t)
#define ObReferenceObjectWithTag(Object, Tag) ObfReferenceObjectWithTag(Object, Tag)
#define NtCurrentProcess() ((HANDLE)(LONG_PTR)-1)
#define ZwCurrentProcess() NtCurrentProcess()
#define NtCurrentThread() ((HANDLE)(LONG_PTR)-2)
#define ZwCurrentThread() NtCurrentThread()

/* Memory. */

#define MmLockPagableCodeSection(Address) MmLockPagableDataSection(Address)

#define BYTE_OFFSET(Va) ((ULONG)((LONG_PTR)(Va) & (PAGE_SIZE - 1)))
#define PAGE_ALIGN(Va) ((PVOID)((ULONG_PTR)(Va) & ~((ULONG_PTR)PAGE_SIZE - 1)))
#define ROUND_TO_PAGES(Size) (((ULONG_PTR)(Size) + PAGE_SIZE - 1) & ~((ULONG_PTR)PAGE_SIZE - 1))
#define BYTES_TO_PAGES(Size) (((Size) >> PAGE_SHIFT) + (((Size) & (PAGE_SIZE - 1)) != 0))
#define ADDRESS_AND_SIZE_TO_SPAN_PAGES(Va, Size)                                                   \
    ((ULONG)((((ULONG_PTR)BYTE_OFFSET(Va)) + ((SIZE_T)(Size)) + (PAGE_SIZE - 1)) >> PAGE_SHIFT))
#define COMPUTE_PAGES_SPANNED(Va, Size) ADDRESS_AND_SIZE_TO_SPAN_PAGES(Va, Size)
#define IS_PAGE_ALIGNED(p) (((ULONG_PTR)(p) & (PAGE_SIZE - 1)) == 0)

#define MmGetMdlVirtualAddress(Mdl) ((PVOID)((PCHAR)((Mdl)->StartVa) + (Mdl)->ByteOffset))
#define MmGetMdlByteCount(Mdl) ((Mdl)->ByteCount)
#define MmGetMdlByteOffset(Mdl) ((Mdl)->ByteOffset)
#define MmGetMdlBaseVa(Mdl) ((Mdl)->StartVa)
#define MmGetMdlPfnArray(Mdl) ((PPFN_NUMBER)((Mdl) + 1))

FORCEINLINE void MmInitializeMdl(PMDL MemoryDescriptorList, PVOID BaseVa, SIZE_T Length)
{
    MemoryDescriptorList->Next = NULL;
    MemoryDescriptorList->Size = (CSHORT)(sizeof(MDL) + sizeof(PFN_NUMBER) *
                                          ADDRESS_AND_SIZE_TO_SPAN_PAGES(BaseVa, Length));
    MemoryDescriptorList->MdlFlags = 0;
    MemoryDescriptorList->StartVa = PAGE_ALIGN(BaseVa);
    MemoryDescriptorList->ByteOffset = BYTE_OFFSET(BaseVa);
    MemoryDescriptorList->ByteCount = (ULONG)Length;
}

FORCEINLINE PVOID MmGetSystemAddressForMdlSafe(PMDL Mdl, ULONG Priority)
{
    if (Mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL))
        return Mdl->MappedSystemVa;
    return MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, Priority);
}

#define MmGetSystemAddressForMdl(Mdl) MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority)

FORCEINLINE void MmPrepareMdlForReuse(PMDL Mdl)
{
    if (Mdl->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED)
        MmUnmapLockedPages(Mdl->MappedSystemVa, Mdl);
}

/* IRPs and devices. */

#define CTL_CODE(DeviceType, Function, Method, Access)                                             \
    (((ULONG)(DeviceType) << 16) | ((Access) << 14) | ((Function) << 2) | (Method))
#define DEVICE_TYPE_FROM_CTL_CODE(Code) (((ULONG)((Code) & 0xffff0000)) >> 16)
#define METHOD_FROM_CTL_CODE(Code) ((ULONG)((Code) & 3))
#define IO_CTL_ACCESS_FROM_CTL_CODE(Code) (((ULONG)(Code) >> 14) & 3)

#define IoCallDriver(DeviceObject, Irp) IofCallDriver(DeviceObject, Irp)
#define IoCompleteRequest(Irp, PriorityBoost) IofCompleteRequest(Irp, PriorityBoost)
#define IoSizeOfIrp(StackSize)                                                                     \
    ((USHORT)(sizeof(IRP) + ((StackSize) * sizeof(IO_STACK_LOCATION))))
#define IoGetFunctionCodeFromCtlCode(ControlCode) (((ControlCode) >> 2) & 0xfff)
#define IoIsErrorUserInduced(Status)                                                               \
    ((BOOLEAN)(((Status) == STATUS_DEVICE_NOT_READY) || ((Status) == STATUS_IO_TIMEOUT) ||         \
               ((Status) == STATUS_MEDIA_WRITE_PROTECTED) ||                                       \
               ((Status) == STATUS_NO_MEDIA_IN_DEVICE) || ((Status) == STATUS_VERIFY_REQUIRED) ||  \
               ((Status) == STATUS_UNRECOGNIZED_MEDIA) || ((Status) == STATUS_WRONG_VOLUME)))
#define IoInitializeRemoveLock(Lock, Tag, Maxmin, HighWater)                                       \
    IoInitializeRemoveLockEx(Lock, Tag, Maxmin, HighWater, sizeof(IO_REMOVE_LOCK))
#define IoAcquireRemoveLock(RemoveLock, Tag)                                                       \
    IoAcquireRemoveLockEx(RemoveLock, Tag, __FILE__, __LINE__, sizeof(IO_REMOVE_LOCK))
#define IoReleaseRemoveLock(RemoveLock, Tag)                                                       \
    IoReleaseRemoveLockEx(RemoveLock, Tag, sizeof(IO_REMOVE_LOCK))
#define IoReleaseRemoveLockAndWait(RemoveLock, Tag)                                                \
    IoReleaseRemoveLockAndWaitEx(RemoveLock, Tag, sizeof(IO_REMOVE_LOCK))

FORCEINLINE PIO_STACK_LOCATION IoGetCurrentIrpStackLocation(PIRP Irp)
{
    return Irp->Tail.Overlay.CurrentStackLocation;
}

FORCEINLINE PIO_STACK_LOCATION IoGetNextIrpStackLocation(PIRP Irp)
{
    return Irp->Tail.Overlay.CurrentStackLocation - 1;
}

FORCEINLINE void IoSetNextIrpStackLocation(PIRP Irp)
{
    Irp->CurrentLocation--;
    Irp->Tail.Overlay.CurrentStackLocation--;
}

FORCEINLINE void IoSkipCurrentIrpStackLocation(PIRP Irp)
{
    Irp->CurrentLocation++;
    Irp->Tail.Overlay.CurrentStackLocation++;
}

FORCEINLINE void IoCopyCurrentIrpStackLocationToNext(PIRP Irp)
{
    PIO_STACK_LOCATION Current = IoGetCurrentIrpStackLocation(Irp);
    PIO_STACK_LOCATION Next = IoGetNextIrpStackLocation(Irp);

    __builtin_memcpy(Next, Current, FIELD_OFFSET(IO_STACK_LOCATION, CompletionRoutine));
    Next->Control = 0;
}

FORCEINLINE void IoSetCompletionRoutine(PIRP Irp, PIO_COMPLETION_ROUTINE CompletionRoutine,
                                        PVOID Context, BOOLEAN InvokeOnSuccess,
                                        BOOLEAN InvokeOnError, BOOLEAN InvokeOnCancel)
{
    PIO_STACK_LOCATION Next = IoGetNextIrpStackLocation(Irp);

    Next->CompletionRoutine = CompletionRoutine;
    Next->Context = Context;
    Next->Control = 0;
    if (InvokeOnSuccess)
        Next->Control = SL_INVOKE_ON_SUCCESS;
    if (InvokeOnError)
        Next->Control |= SL_INVOKE_ON_ERROR;
    if (InvokeOnCancel)
        Next->Control |= SL_INVOKE_ON_CANCEL;
}

FORCEINLINE PDRIVER_CANCEL IoSetCancelRoutine(PIRP Irp, PDRIVER_CANCEL CancelRoutine)
{
    return (PDRIVER_CANCEL)(ULONG_PTR)InterlockedExchangePointer(
        (PVOID volatile *)&Irp->CancelRoutine, (PVOID)(ULONG_PTR)CancelRoutine);
}

FORCEINLINE void IoMarkIrpPending(PIRP Irp)
{
    IoGetCurrentIrpStackLocation(Irp)->Control |= SL_PENDING_RETURNED;
}

FORCEINLINE void IoInitializeDpcRequest(PDEVICE_OBJECT DeviceObject, PIO_DPC_ROUTINE DpcRoutine)
{
    KeInitializeDpc(&DeviceObject->Dpc, (PKDEFERRED_ROUTINE)(ULONG_PTR)DpcRoutine, DeviceObject);
}

FORCEINLINE void IoInitializeThreadedDpcRequest(PDEVICE_OBJECT DeviceObject,
                                                PIO_DPC_ROUTINE DpcRoutine)
{
    KeInitializeThreadedDpc(&DeviceObject->Dpc, (PKDEFERRED_ROUTINE)(ULONG_PTR)DpcRoutine,
                            DeviceObject);
}

FORCEINLINE void IoRequestDpc(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    KeInsertQueueDpc(&DeviceObject->Dpc, Irp, Context);
}

FORCEINLINE ULONG_PTR IoGetRemainingStackSize(void)
{
    ULONG_PTR Top;
    ULONG_PTR Bottom;

    IoGetStackLimits(&Bottom, &Top);
    return (ULONG_PTR)(&Top) - Bottom;
}

#define IoAdjustPagingPathCount(Count, Increment)                                                  \
    ((void)((Increment) ? InterlockedIncrement(Count) : InterlockedDecrement(Count)))

/* DMA: the adapter object carries its operations. */

FORCEINLINE NTSTATUS IoAllocateAdapterChannel(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject,
                                              ULONG NumberOfMapRegisters,
                                              PDRIVER_CONTROL ExecutionRoutine, PVOID Context)
{
    return DmaAdapter->DmaOperations->AllocateAdapterChannel(
        DmaAdapter, DeviceObject, NumberOfMapRegisters, ExecutionRoutine, Context);
}

FORCEINLINE BOOLEAN IoFlushAdapterBuffers(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID MapRegisterBase,
                                          PVOID CurrentVa, ULONG Length, BOOLEAN WriteToDevice)
{
    return DmaAdapter->DmaOperations->FlushAdapterBuffers(DmaAdapter, Mdl, MapRegisterBase,
                                                          CurrentVa, Length, WriteToDevice);
}

FORCEINLINE void IoFreeAdapterChannel(PDMA_ADAPTER DmaAdapter)
{
    DmaAdapter->DmaOperations->FreeAdapterChannel(DmaAdapter);
}

FORCEINLINE void IoFreeMapRegisters(PDMA_ADAPTER DmaAdapter, PVOID MapRegisterBase,
                                    ULONG NumberOfMapRegisters)
{
    DmaAdapter->DmaOperations->FreeMapRegisters(DmaAdapter, MapRegisterBase, NumberOfMapRegisters);
}

FORCEINLINE PHYSICAL_ADDRESS IoMapTransfer(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID MapRegisterBase,
                                           PVOID CurrentVa, PULONG Length, BOOLEAN WriteToDevice)
{
    return DmaAdapter->DmaOperations->MapTransfer(DmaAdapter, Mdl, MapRegisterBase, CurrentVa,
                                                  Length, WriteToDevice);
}

FORCEINLINE PVOID HalAllocateCommonBuffer(PDMA_ADAPTER DmaAdapter, ULONG Length,
                                          PPHYSICAL_ADDRESS LogicalAddress, BOOLEAN CacheEnabled)
{
    return DmaAdapter->DmaOperations->AllocateCommonBuffer(DmaAdapter, Length, LogicalAddress,
                                                           CacheEnabled);
}

FORCEINLINE void HalFreeCommonBuffer(PDMA_ADAPTER DmaAdapter, ULONG Length,
                                     PHYSICAL_ADDRESS LogicalAddress, PVOID VirtualAddress,
                                     BOOLEAN CacheEnabled)
{
    DmaAdapter->DmaOperations->FreeCommonBuffer(DmaAdapter, Length, LogicalAddress, VirtualAddress,
                                                CacheEnabled);
}

FORCEINLINE ULONG HalGetDmaAlignment(PDMA_ADAPTER DmaAdapter)
{
    return DmaAdapter->DmaOperations->GetDmaAlignment(DmaAdapter);
}

FORCEINLINE ULONG HalReadDmaCounter(PDMA_ADAPTER DmaAdapter)
{
    return DmaAdapter->DmaOperations->ReadDmaCounter(DmaAdapter);
}

/* Device registers. Memory reached through them is the driver's own mapping. */

#define UMN_REGISTER(Type, Name)                                                                   \
    FORCEINLINE Type READ_REGISTER_##Name(volatile Type *Register)                                 \
    {                                                                                              \
        UMN_POINT(UMN_POINT_READ, Register);                                                       \
        return __atomic_load_n(Register, __ATOMIC_ACQUIRE);                                        \
    }                                                                                              \
    FORCEINLINE void WRITE_REGISTER_##Name(volatile Type *Register, Type Value)                    \
    {                                                                                              \
        UMN_POINT(UMN_POINT_WRITE, Register);                                                      \
        __atomic_store_n(Register, Value, __ATOMIC_SEQ_CST);                                       \
    }

UMN_REGISTER(UCHAR, UCHAR)
UMN_REGISTER(USHORT, USHORT)
UMN_REGISTER(ULONG, ULONG)
UMN_REGISTER(ULONG64, ULONG64)
#undef UMN_REGISTER

#include <nt/pop.h>

#endif
