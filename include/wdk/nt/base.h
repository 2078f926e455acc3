/* SPDX-License-Identifier: MIT */
/* The ground that every other driver header stands on: calling convention, storage classes, the
 * types whose spelling differs between the ELF and the Windows target, and the language macros that
 * the documentation uses. Types that are spelled alike on both come from the generated headers. */
#ifndef UMN_WDK_NT_BASE_H
#define UMN_WDK_NT_BASE_H

#include <stdarg.h>
#include <stddef.h>

#include <nt/sal.h>

#include <nt/push.h>

#if defined(_WIN32)
#define NTAPI __stdcall
#define UMN_API __declspec(dllimport)
#define UMN_EXPORT __declspec(dllexport)
#define DECLSPEC_NORETURN __declspec(noreturn)
#define FORCEINLINE static __forceinline
#else
#define NTAPI __attribute__((ms_abi))
#define UMN_API __attribute__((visibility("default")))
#define UMN_EXPORT __attribute__((visibility("default")))
#define DECLSPEC_NORETURN __attribute__((noreturn))
#define FORCEINLINE static inline __attribute__((always_inline, unused))
#endif

#define NTKERNELAPI UMN_API
#define NTSYSAPI UMN_API
#define NTHALAPI UMN_API
#if !defined(NDISAPI)
#define NDISAPI UMN_API
#endif

#define DECLSPEC_ALIGN(n) __attribute__((aligned(n)))
#define POINTER_ALIGNMENT DECLSPEC_ALIGN(8)
#define DECLSPEC_CACHEALIGN DECLSPEC_ALIGN(64)
#define DECLSPEC_IMPORT UMN_API
#define DECLSPEC_EXPORT UMN_EXPORT
#define DECLSPEC_SELECTANY __attribute__((weak))
#define DECLSPEC_NOINLINE __attribute__((noinline))
#define CFORCEINLINE FORCEINLINE
#define FASTCALL NTAPI
#define NTAPI_INLINE
#define MEMORY_ALLOCATION_ALIGNMENT 16
#define SYSTEM_CACHE_ALIGNMENT_SIZE 64
#define UNALIGNED
#define RESTRICTED_POINTER
#define DUMMYUNIONNAME
#define DUMMYSTRUCTNAME
#define EXTERN_C extern
#define NOTHING
#define CRITICAL
#define INITCODE

/* Driver sources may name a calling convention; on ELF there is one. */
#if !defined(_WIN32) && !defined(UMN_HOST)
#define __stdcall NTAPI
#define __cdecl NTAPI
#define __fastcall NTAPI
#endif

#if !defined(UMN_HOST)
#define IN
#define OUT
#define OPTIONAL
#endif

#if !defined(_WIN64)
#define _WIN64 1
#endif
#if !defined(_AMD64_)
#define _AMD64_ 1
#endif
#if !defined(_M_AMD64)
#define _M_AMD64 100
#endif
#if !defined(_M_X64)
#define _M_X64 100
#endif

#if !defined(VOID)
#define VOID void
#endif
#define CONST const
#define FALSE 0
#define TRUE 1

#if defined(_WIN32)
typedef long LONG;
typedef unsigned long ULONG;
typedef wchar_t WCHAR;
#else
typedef int LONG;
typedef unsigned int ULONG;
typedef unsigned short WCHAR;
#endif

typedef long long LONGLONG;
typedef unsigned long long ULONGLONG;

typedef signed char INT8;
typedef unsigned char UINT8;
typedef short INT16;
typedef unsigned short UINT16;
typedef int INT32;
typedef unsigned int UINT32;
typedef long long INT64;
typedef unsigned long long UINT64;
typedef INT8 *PINT8;
typedef UINT8 *PUINT8;
typedef INT16 *PINT16;
typedef UINT16 *PUINT16;
typedef INT32 *PINT32;
typedef UINT32 *PUINT32;
typedef INT64 *PINT64;
typedef UINT64 *PUINT64;

typedef int INT;
typedef unsigned int UINT;
typedef UINT *PUINT;
typedef int BOOL;
typedef BOOL *PBOOL;
typedef unsigned char BYTE;
typedef BYTE *PBYTE;
typedef unsigned short WORD;
typedef ULONG DWORD;
typedef DWORD *PDWORD;
typedef UINT32 DWORD32;
typedef UINT64 DWORD64;
typedef INT32 LONG32;
typedef UINT32 ULONG32;
typedef ULONG32 *PULONG32;
typedef INT64 LONG64;
typedef LONG64 *PLONG64;
typedef UINT64 ULONG64;
typedef ULONG64 *PULONG64;

typedef long long INT_PTR;
typedef unsigned long long UINT_PTR;
typedef long long LONG_PTR;
typedef unsigned long long ULONG_PTR;
typedef INT_PTR *PINT_PTR;
typedef UINT_PTR *PUINT_PTR;
typedef LONG_PTR *PLONG_PTR;
typedef ULONG_PTR *PULONG_PTR;
typedef ULONG_PTR SIZE_T;
typedef SIZE_T *PSIZE_T;
typedef LONG_PTR SSIZE_T;
typedef SSIZE_T *PSSIZE_T;
typedef ULONG_PTR KAFFINITY;
typedef KAFFINITY *PKAFFINITY;

#if defined(_WIN32)
typedef va_list NT_VA_LIST;
#define NT_VA_START va_start
#define NT_VA_END va_end
#else
typedef __builtin_ms_va_list NT_VA_LIST;
#define NT_VA_START __builtin_ms_va_start
#define NT_VA_END __builtin_ms_va_end
#endif

/* Language helpers. */

#define UNREFERENCED_PARAMETER(P) ((void)(P))
#define UNREFERENCED_LOCAL_VARIABLE(V) ((void)(V))
#define DBG_UNREFERENCED_PARAMETER(P) ((void)(P))
#define DBG_UNREFERENCED_LOCAL_VARIABLE(V) ((void)(V))
#define DEFAULT_UNREACHABLE default: __builtin_unreachable()

#define FIELD_OFFSET(type, field) ((LONG)__builtin_offsetof(type, field))
#define UFIELD_OFFSET(type, field) ((ULONG)__builtin_offsetof(type, field))
#define RTL_FIELD_SIZE(type, field) (sizeof(((type *)0)->field))
#define RTL_SIZEOF_THROUGH_FIELD(type, field)                                                      \
    (__builtin_offsetof(type, field) + RTL_FIELD_SIZE(type, field))
#define RTL_CONTAINS_FIELD(Struct, Size, Field)                                                    \
    ((((PCHAR)(&(Struct)->Field)) + sizeof((Struct)->Field)) <= (((PCHAR)(Struct)) + (Size)))
#define RTL_NUMBER_OF(a) (sizeof(a) / sizeof((a)[0]))
#define RTL_NUMBER_OF_FIELD(type, field) (RTL_NUMBER_OF(((type *)0)->field))
#define ARRAYSIZE(a) RTL_NUMBER_OF(a)
#define CONTAINING_RECORD(address, type, field)                                                    \
    ((type *)((char *)(address) - __builtin_offsetof(type, field)))
#define TYPE_ALIGNMENT(t) _Alignof(t)
#define C_ASSERT(e) _Static_assert(e, #e)
#define STATIC_ASSERT(e) _Static_assert(e, #e)

#define ARGUMENT_PRESENT(p) ((p) != NULL)
#define ALIGN_DOWN_BY(n, a) ((ULONG_PTR)(n) & ~((ULONG_PTR)(a) - 1))
#define ALIGN_UP_BY(n, a) ALIGN_DOWN_BY((ULONG_PTR)(n) + (a) - 1, a)
#define ALIGN_DOWN(n, t) ALIGN_DOWN_BY(n, sizeof(t))
#define ALIGN_UP(n, t) ALIGN_UP_BY(n, sizeof(t))
#define ALIGN_DOWN_POINTER_BY(p, a) ((PVOID)ALIGN_DOWN_BY(p, a))
#define ALIGN_UP_POINTER_BY(p, a) ((PVOID)ALIGN_UP_BY(p, a))
#define ALIGN_DOWN_POINTER(p, t) ((PVOID)ALIGN_DOWN_BY(p, sizeof(t)))
#define ALIGN_UP_POINTER(p, t) ((PVOID)ALIGN_UP_BY(p, sizeof(t)))

#define FlagOn(F, SF) ((F) & (SF))
#define BooleanFlagOn(F, SF) ((BOOLEAN)(((F) & (SF)) != 0))
#define SetFlag(F, SF) ((F) |= (SF))
#define ClearFlag(F, SF) ((F) &= ~(SF))

#define Int32x32To64(a, b) ((LONGLONG)(LONG)(a) * (LONGLONG)(LONG)(b))
#define UInt32x32To64(a, b) ((ULONGLONG)(ULONG)(a) * (ULONGLONG)(ULONG)(b))

#define HandleToULong(h) ((ULONG)(ULONG_PTR)(h))
#define HandleToUlong(h) HandleToULong(h)
#define ULongToHandle(ul) ((PVOID)(ULONG_PTR)(ULONG)(ul))
#define UlongToHandle(ul) ULongToHandle(ul)
#define PtrToUlong(p) ((ULONG)(ULONG_PTR)(p))
#define PtrToULong(p) PtrToUlong(p)
#define UlongToPtr(ul) ((PVOID)(ULONG_PTR)(ULONG)(ul))
#define ULongToPtr(ul) UlongToPtr(ul)
#define PtrToUint(p) ((UINT)(UINT_PTR)(p))
#define UintToPtr(ui) ((PVOID)(UINT_PTR)(UINT)(ui))

#include <nt/pop.h>

/* Drivers place code with #pragma alloc_text, which means nothing here. */
#if defined(__clang__) && !defined(UMN_HOST)
#pragma clang diagnostic ignored "-Wunknown-pragmas"
#endif

#endif /* UMN_WDK_NT_BASE_H */
