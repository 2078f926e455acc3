/* SPDX-License-Identifier: MIT */
/*
 * Shared inside src/nt only. Owners: ob.c (object headers, names, handles), ps.c (thread records),
 * ke_wait.c (the dispatcher lock and everything it guards), ex_pool.c (pool ledger), io_*.c
 * (drivers, devices, IRPs). Order of locks: none nests inside another.
 */
#ifndef UMN_NT_PRIVATE_H
#define UMN_NT_PRIVATE_H

#include <setjmp.h>
#include "check/check.h"
#include "nt/nt.h"
#include "plat/plat.h"
#include "trace/trace.h"

/* ---- objects (ob.c) -------------------------------------------------------------------------- */
enum ob_type {
    OB_THREAD = 1,
    OB_DRIVER,
    OB_DEVICE,
    OB_FILE,
    OB_KEY,
    OB_EVENT,
    OB_LINK,
    OB_CALLBACK
};
#define OB_MAGIC 0x744a624fu /* "ObJt" */
/* In front of every object body; 64 bytes, so bodies keep an alignment of 16. */
struct ob_header {
    uint32_t magic;
    uint32_t type;
    int64_t refs;
    void (*destroy)(void *body); /* the last reference has gone; ob.c frees the memory after it */
    char *name;                  /* UTF-8 path, "" never; NULL = unnamed. Owned. */
    struct umn_list link;        /* all objects */
    struct ob_header *name_next; /* objects whose names have the same hash */
    uint64_t spare;
};
_Static_assert(sizeof(struct ob_header) % 16 == 0, "bodies must keep their alignment");

/* Zeroed body with one reference, or NULL. The name is copied. */
void *ob__create(enum ob_type type, size_t size, const char *name, void (*destroy)(void *body));
struct ob_header *ob__header(const void *body); /* NULL: not an object of ours (reports) */
int64_t ob__ref(void *body);                    /* returns the new count */
int64_t ob__deref(void *body); /* returns the count left; may destroy: <= DISPATCH, no lock held */
/* Looks a name up without case, resolves symbolic links, takes a reference. NULL: none. */
void *ob__find(const char *name, enum ob_type type);
bool ob__name_taken(const char *name);
void ob__unname(void *body);                          /* the name can be used again */
NTSTATUS ob__handle_open(void *body, HANDLE *handle); /* takes a reference of its own */
NTSTATUS ob__handle_get(HANDLE handle, enum ob_type type, void **body); /* with a reference */
NTSTATUS ob__handle_close(HANDLE handle);
void ob__start(void);
void ob__stop(void); /* reports handles and objects that are left, and frees them */

/* ---- threads (ps.c) -------------------------------------------------------------------------- */
#define PS_LOCKS 8
/* Body of an ETHREAD object; the header is what KeWaitForSingleObject(Thread) waits on. */
struct umn_thread {
    DISPATCHER_HEADER header;
    struct umn_ctx *ctx;     /* valid while the thread runs */
    struct umn_list mutants; /* KMUTANT.MutantListEntry of what it owns; dispatcher lock */
    unsigned locks;          /* spin locks held, also beyond PS_LOCKS */
    struct {
        const volatile void *lock;
        KIRQL old;
        bool raised; /* acquired by a function that raised the IRQL */
    } held[PS_LOCKS];
    int critical, guarded; /* depth of KeEnterCriticalRegion / KeEnterGuardedRegion */
    int priority;
    uint64_t created;
    uint32_t id; /* of the context; 0 before it runs */
    bool terminated;
    NTSTATUS exit_status;
    PKSTART_ROUTINE start;
    PVOID start_context;
    jmp_buf exit_frame; /* where PsTerminateSystemThread goes */
    KAFFINITY affinity;
};
struct umn_thread *ps__self(void); /* never NULL; one record for everything outside contexts */

/* ---- dispatcher (ke_wait.c) ------------------------------------------------------------------ */
/* DISPATCHER_HEADER.Type, as Windows numbers them (KOBJECTS). */
enum {
    EventNotificationObject = 0,
    EventSynchronizationObject = 1,
    MutantObject = 2,
    SemaphoreObject = 5,
    ThreadObject = 6,
    TimerNotificationObject = 8,
    TimerSynchronizationObject = 9,
};
extern struct umn_mutex ke__dispatcher;
struct ke_wait;
/* Call with the dispatcher lock held after SignalState grew: satisfies waits, and returns the
 * chain of contexts to wake after the lock is gone, appended to `chain`. */
struct ke_wait *ke__satisfy(DISPATCHER_HEADER *object, struct ke_wait *chain);
void ke__wake(struct ke_wait *chain); /* no lock held */
void ke__object_init(DISPATCHER_HEADER *object, UCHAR type, UCHAR size, LONG state);
bool ke__object_ok(const DISPATCHER_HEADER *object); /* dispatcher lock held */
void ke__object_bad(const DISPATCHER_HEADER *object, const char *function); /* reports; no lock */
bool ke__irql_is(uint8_t min, uint8_t max, const char *rule, uint32_t code, const char *function);
uint64_t ke__deadline(const LARGE_INTEGER *timeout); /* NULL = UMN_FOREVER */
void ke__timer_start(void);
/* Reports what a driver callback left behind: another IRQL, locks, critical regions. */
struct ke_entry {
    KIRQL irql;
    unsigned locks;
    int critical;
};
struct ke_entry ke__entry(void);
void ke__check_return(const struct ke_entry *e, const char *callback, const void *function);
void ke__lock_record(const volatile void *lock, KIRQL old, bool raised);
bool ke__lock_forget(const volatile void *lock, KIRQL *old, bool *raised);

/* ---- pool (ex_pool.c) ------------------------------------------------------------------------ */
void ex__pool_start(void); /* frees what an earlier box left */
void ex__pool_stop(void);  /* reports what is left */
/* Reports what an unloading driver has not freed (0xC4 / 0x62). */
void ex__pool_check_unload(const struct umn_image *image, const char *service);

/* ---- I/O ------------------------------------------------------------------------------------- */
struct io_driver {
    DRIVER_OBJECT object; /* first: a DRIVER_OBJECT is its io_driver */
    DRIVER_EXTENSION extension;
    struct umn_list link; /* io.drivers */
    char *service;
    WCHAR *name, *service_key;
    struct umn_image *image;
    struct umn_list clients; /* IoAllocateDriverObjectExtension */
    bool unloading;
};
/* What follows a DEVICE_OBJECT in its object body; the driver's extension comes behind. */
struct io_device {
    DEVICE_OBJECT object; /* first */
    DEVOBJ_EXTENSION extension;
    bool deleted;
    uint64_t spare[2];
};
struct io_file {
    FILE_OBJECT object; /* first */
    bool opened;        /* IRP_MJ_CREATE succeeded */
};
/* Guards the list of drivers, their device lists and the links of device stacks. Leaf. */
extern struct umn_mutex io__lock;
/* Owner of an address for reports: the service name of the driver whose image holds it, or "?". */
const char *io__owner(const void *address);
bool io__image_contains(const struct umn_image *image, const void *address); /* NULL: false */
void io__driver_stop(void);
void io__irp_stop(void);
/* Deletes what a dead driver left; returns how many. */
unsigned io__delete_devices(DRIVER_OBJECT *driver);
/* Registry path of a device instance: Enum or Class (software) key. plat_alloc'd, NULL = no memory.
 */
char *io__device_key_path(const struct umn_devnode *node, bool software);
/* One IRP from the reserve for what must not fail (removal), when memory is short. NULL: in use. */
PIRP io__reserve_take(CCHAR stack_size);
/* An IRP whose end the library itself handles: UserIosb and UserEvent are set, it frees itself. */
void io__irp_own(PIRP irp, IO_STATUS_BLOCK *iosb, KEVENT *event);
/* The system buffer that such an IRP frees with itself (IRP_DEALLOCATE_BUFFER), and how many bytes
 * of it at most go back to the requester. */
void io__irp_buffer(PIRP irp, void *buffer, size_t out_limit);

/* ---- zw -------------------------------------------------------------------------------------- */
/* A key object; opens absolute or below base. Reference to the caller. */
NTSTATUS zw__key_open(void *base_key, const char *path, bool create, void **body);
void *zw__key(void *body); /* the registry's own key */
const char *zw__key_path(void *body);

void rtl__start(void);

/* ---- text ------------------------------------------------------------------------------------ */
WCHAR *umn__utf16_n(const char *utf8, size_t length, size_t *out_length);

#endif
