/* SPDX-License-Identifier: MIT */
/*
 * For drivers that touch the host (design 2): a file descriptor whose readiness arrives as a DPC,
 * and a poll routine for in-process sources. Everything else a host driver does with plain system
 * calls of its own. Not on Windows. Implemented in src/nt/umhost.c over src/sched.
 */
#ifndef UMHOST_H
#define UMHOST_H

#include <ntddk.h>

#define UMH_READ 1u
#define UMH_WRITE 2u
#define UMH_ERROR 4u

typedef struct _UMH_WATCH *PUMH_WATCH;
typedef struct _UMH_POLL *PUMH_POLL;
/* DISPATCH_LEVEL on the processor given; level triggered: called again while Events stay true. */
typedef void NTAPI UMH_READY(void *Context, ULONG Events);
/* DISPATCH_LEVEL; returns TRUE if it did work. Called while its processor has nothing else. */
typedef BOOLEAN NTAPI UMH_POLL_ROUTINE(void *Context);

/* STATUS_SUCCESS, STATUS_INSUFFICIENT_RESOURCES, STATUS_NOT_SUPPORTED (explore back end),
 * STATUS_INVALID_PARAMETER (bad descriptor). PASSIVE_LEVEL. The descriptor stays the caller's. */
NTSTATUS NTAPI UmhWatch(int Descriptor, ULONG Events, ULONG Processor, UMH_READY *Ready,
                        void *Context, PUMH_WATCH *Watch);
void NTAPI UmhSetEvents(PUMH_WATCH Watch, ULONG Events); /* <= DISPATCH_LEVEL */
void NTAPI UmhUnwatch(PUMH_WATCH Watch); /* PASSIVE_LEVEL; Ready is over when it returns */
NTSTATUS NTAPI UmhAddPoll(ULONG Processor, UMH_POLL_ROUTINE *Poll, void *Context, PUMH_POLL *Out);
void NTAPI UmhRemovePoll(PUMH_POLL Poll); /* PASSIVE_LEVEL */
/* A message for the person who runs the box: what, where, expected. PASSIVE_LEVEL. Kept by the
 * device that is being started, shown by `umndis show` and by the failing command. */
void NTAPI UmhExplain(const char *Format, ...);
/* Tells the PnP manager that the hardware behind Fdo's device is gone (surprise removal) or back.
 * Any IRQL <= DISPATCH_LEVEL; handled by a system worker. */
void NTAPI UmhDeviceGone(DEVICE_OBJECT *PhysicalDeviceObject);

#endif
