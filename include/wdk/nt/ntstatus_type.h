/* SPDX-License-Identifier: MIT */
/* NTSTATUS and the tests on its severity bits. */
#ifndef UMN_WDK_NT_NTSTATUS_TYPE_H
#define UMN_WDK_NT_NTSTATUS_TYPE_H

#include <nt/base.h>

typedef LONG NTSTATUS;
typedef NTSTATUS *PNTSTATUS;

#define NT_SUCCESS(Status) (((NTSTATUS)(Status)) >= 0)
#define NT_INFORMATION(Status) ((((ULONG)(Status)) >> 30) == 1)
#define NT_WARNING(Status) ((((ULONG)(Status)) >> 30) == 2)
#define NT_ERROR(Status) ((((ULONG)(Status)) >> 30) == 3)

#endif
