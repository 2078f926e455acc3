/* SPDX-License-Identifier: MIT */
/*
 * Small services of the I/O manager: named events, error log entries, the power state that a driver
 * tells. Each keeps its state in the object that it returns.
 */
#include "nt/private.h"

#include <string.h>

/* Opens or creates a named event that is signaled at first, as Windows makes it. The event lives as
 * long as its handle. PASSIVE_LEVEL. NULL without memory. nf-wdm-iocreatenotificationevent.md */
static PKEVENT named_event(PUNICODE_STRING name, HANDLE *handle, EVENT_TYPE type,
                           const char *function)
{
    ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlIoPassive1", 0x2000a, function);
    char *text = umn__utf8_us(name);
    if (!text)
        return NULL;
    PKEVENT event = ob__find(text, OB_EVENT);
    if (!event) {
        event = ob__create(OB_EVENT, sizeof *event, text, NULL);
        if (event)
            KeInitializeEvent(event, type, TRUE);
    }
    plat_free(text);
    if (!event)
        return NULL;
    NTSTATUS status = ob__handle_open(event, handle);
    ob__deref(event); /* the handle keeps it */
    return status < 0 ? NULL : event;
}

PKEVENT NTAPI IoCreateNotificationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)
{
    return named_event(EventName, EventHandle, NotificationEvent, "IoCreateNotificationEvent");
}

PKEVENT NTAPI IoCreateSynchronizationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)
{
    return named_event(EventName, EventHandle, SynchronizationEvent,
                       "IoCreateSynchronizationEvent");
}

/* ---- error log ------------------------------------------------------------------------------- */

#define TAG_ERROR 0x72457249u /* 'IrEr' */

/* Zeroed entry for a device or driver object; NULL without memory or above ERROR_LOG_MAXIMUM_SIZE.
 * <= DISPATCH_LEVEL. nf-wdm-ioallocateerrorlogentry.md */
PVOID NTAPI IoAllocateErrorLogEntry(PVOID IoObject, UCHAR EntrySize)
{
    umn__check_irql(DISPATCH_LEVEL, "IoAllocateErrorLogEntry");
    if (EntrySize < sizeof(IO_ERROR_LOG_PACKET) || EntrySize > ERROR_LOG_MAXIMUM_SIZE)
        return NULL;
    return umn__pool_alloc((POOL_TYPE)(NonPagedPoolNx | POOL_ZERO_ALLOCATION), EntrySize, TAG_ERROR,
                           __builtin_return_address(0));
}

void NTAPI IoFreeErrorLogEntry(PVOID ElEntry)
{
    ExFreePoolWithTag(ElEntry, TAG_ERROR);
}

/* Writes the entry to the event trace and frees it. <= DISPATCH_LEVEL.
 * nf-wdm-iowriteerrorlogentry.md */
void NTAPI IoWriteErrorLogEntry(PVOID ElEntry)
{
    const IO_ERROR_LOG_PACKET *p = ElEntry;
    umn__check_irql(DISPATCH_LEVEL, "IoWriteErrorLogEntry");
    umn__trace("errorlog", "code 0x%08x unique %u status 0x%08x major %u", (unsigned)p->ErrorCode,
               p->UniqueErrorValue, (unsigned)p->FinalStatus, p->MajorFunctionCode);
    IoFreeErrorLogEntry(ElEntry);
}

/* ---- power ----------------------------------------------------------------------------------- */

/* Notes the device power state in bits 4 to 7 of the extension's PowerFlags; returns the former
 * one. Type SystemPowerState changes nothing, as documented. <= DISPATCH_LEVEL.
 * nf-wdm-posetpowerstate.md */
POWER_STATE NTAPI PoSetPowerState(PDEVICE_OBJECT DeviceObject, POWER_STATE_TYPE Type,
                                  POWER_STATE State)
{
    ULONG *flags = &DeviceObject->DeviceObjectExtension->PowerFlags;
    POWER_STATE old = State;
    umn__check_irql(DISPATCH_LEVEL, "PoSetPowerState");
    if (Type != DevicePowerState)
        return old;
    umn__lock(&io__lock);
    old.DeviceState = (DEVICE_POWER_STATE)(*flags >> 4 & 15);
    *flags = (*flags & ~0xf0u) | ((ULONG)State.DeviceState & 15) << 4;
    umn__unlock(&io__lock);
    return old;
}
