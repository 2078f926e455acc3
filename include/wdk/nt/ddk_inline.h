/* SPDX-License-Identifier: MIT */
/* Inline functions over types that only ntddk.h has. */
#ifndef UMN_WDK_NT_DDK_INLINE_H
#define UMN_WDK_NT_DDK_INLINE_H

#include <nt/ddk_api.h>

#include <nt/push.h>

FORCEINLINE void IoInitializeDriverCreateContext(PIO_DRIVER_CREATE_CONTEXT DriverContext)
{
    __builtin_memset(DriverContext, 0, sizeof(*DriverContext));
    DriverContext->Size = sizeof(*DriverContext);
}

FORCEINLINE void RtlInitializeSplayLinks(PRTL_SPLAY_LINKS Links)
{
    Links->Parent = Links;
    Links->LeftChild = NULL;
    Links->RightChild = NULL;
}

#define RtlParent(Links) ((PRTL_SPLAY_LINKS)(Links)->Parent)
#define RtlLeftChild(Links) ((PRTL_SPLAY_LINKS)(Links)->LeftChild)
#define RtlRightChild(Links) ((PRTL_SPLAY_LINKS)(Links)->RightChild)
#define RtlIsRoot(Links) (RtlParent(Links) == (PRTL_SPLAY_LINKS)(Links))
#define RtlIsLeftChild(Links) (RtlLeftChild(RtlParent(Links)) == (PRTL_SPLAY_LINKS)(Links))
#define RtlIsRightChild(Links) (RtlRightChild(RtlParent(Links)) == (PRTL_SPLAY_LINKS)(Links))

FORCEINLINE void RtlInsertAsLeftChild(PRTL_SPLAY_LINKS ParentLinks, PRTL_SPLAY_LINKS ChildLinks)
{
    ParentLinks->LeftChild = ChildLinks;
    ChildLinks->Parent = ParentLinks;
}

FORCEINLINE void RtlInsertAsRightChild(PRTL_SPLAY_LINKS ParentLinks, PRTL_SPLAY_LINKS ChildLinks)
{
    ParentLinks->RightChild = ChildLinks;
    ChildLinks->Parent = ParentLinks;
}

#include <nt/pop.h>

#endif
