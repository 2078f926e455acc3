/* SPDX-License-Identifier: MIT */
/*
 * The executive as the host sees it: what ndis, image, config and box use besides the driver-facing
 * functions of <ntddk.h> (Ke, Ex, Io, Mm, Ob, Rtl, Zw, Ps), which src/nt exports with NTAPI.
 * Files: ke_*.c (irql, locks, waits, timers, DPCs), ex_*.c (pool, lookaside, work), io_*.c (driver
 * and device objects, IRPs, device registry), mm.c, rtl_*.c, zw.c, ps.c, text.c.
 */
#ifndef UMN_NT_H
#define UMN_NT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ntddk.h>
#include "umndis/errors.h"
#include "sched/sched.h"

/* ---- life: after umn__sched_start, before any other call here; stop reports what is left ----- */
int umn__nt_start(void);
void umn__nt_stop(void);

/* ---- text ------------------------------------------------------------------------------------ */
/* plat_alloc'd results; NULL when memory is short or the input is not well formed. Lengths in
 * WCHARs without the terminator; SIZE_MAX = terminated. The result is always terminated. */
WCHAR *umn__utf16(const char *utf8);
char *umn__utf8(const WCHAR *text, size_t length);
size_t umn__wcslen(const WCHAR *text);
WCHAR umn__upcase(WCHAR c); /* simple upper case, as RtlUpcaseUnicodeChar */
int umn__wcsicmp(const WCHAR *a, const WCHAR *b);
int umn__stricmp(const char *a, const char *b); /* ASCII case */
/* plat_alloc'd UTF-8 copy of a counted string. */
char *umn__utf8_us(const UNICODE_STRING *text);
/* ustring over a terminated host buffer; no copy. */
void umn__us_init(UNICODE_STRING *out, WCHAR *text);
NTSTATUS umn__status_of(int umn_error); /* UMN_E... -> STATUS_... */

/* ---- pool ------------------------------------------------------------------------------------ */
/* Every block knows its tag and owner: the driver whose code is on top (umn__pool_owner). */
struct umn_pool_usage {
    ULONG tag;
    size_t blocks, bytes;
};
/* Sums by tag into out[max]; returns how many tags hold memory. */
unsigned umn__pool_usage(struct umn_pool_usage *out, unsigned max);
size_t umn__pool_live(void); /* blocks */
/* Pool on behalf of the driver code at `caller`, for layers that allocate for a driver (ndis): the
 * leak is then the driver's. Otherwise as ExAllocatePoolWithTag. */
void *umn__pool_alloc(POOL_TYPE type, size_t size, ULONG tag, const void *caller);

/* ---- registry: who keeps it registers here (config does) ------------------------------------- */
/*
 * Paths are UTF-8 with backslashes, absolute ones start with \Registry\Machine; names compare
 * without case. Keys are opaque and closed by close. Data buffers handed out are plat_alloc'd and
 * belong to the caller; string values are UTF-16LE with terminator, as stored. All return 0 or
 * UMN_E...; UMN_ENOENT for what is not there (enum past the end too). PASSIVE_LEVEL.
 */
struct umn_registry_ops {
    int (*open)(void *base, const char *path, bool create, void **key); /* base NULL: absolute */
    void (*close)(void *key);
    int (*get)(void *key, const char *name, uint32_t *type, void **data, size_t *size);
    int (*set)(void *key, const char *name, uint32_t type, const void *data, size_t size);
    int (*enum_key)(void *key, unsigned index, char **name);
    int (*enum_value)(void *key, unsigned index, char **name, uint32_t *type, void **data,
                      size_t *size);
    int (*del_key)(void *key); /* and everything below */
    int (*del_value)(void *key, const char *name);
};
void umn__registry_set(const struct umn_registry_ops *ops); /* NULL = none */
const struct umn_registry_ops *umn__registry(void);         /* never NULL: ENOTSUP ops when none */

/* ---- drivers --------------------------------------------------------------------------------- */
/*
 * Creates the DRIVER_OBJECT \Driver\<service> and calls entry(DriverObject, RegistryPath) at
 * PASSIVE_LEVEL in the calling context. RegistryPath is
 * \Registry\Machine\System\CurrentControlSet\Services\<service>. On a failing status the object is
 * gone and *status (may be NULL) holds it (returns UMN_EDRIVER). before_entry/after_entry hooks let
 * ndis hold binds back until DriverEntry has returned (open question 13).
 */
struct umn_image; /* src/image */
/* What a driver object does with its image; src/image sets it when the program starts. */
struct umn_image_ops {
    bool (*contains)(const struct umn_image *image, const void *address); /* any level */
    void (*close)(struct umn_image *image);                               /* NULL: nothing */
};
void umn__image_ops_set(const struct umn_image_ops *ops);
/* Address of a driver-facing export of this library; NULL: there is none of that name. */
const void *umn__export(const char *name);
/* On success the image belongs to the driver object, on failure still to the caller. */
int umn__driver_load(const char *service, PDRIVER_INITIALIZE entry, struct umn_image *image,
                     DRIVER_OBJECT **out, NTSTATUS *status);
/* Calls DriverUnload (if any) and drops the object and image. UMN_ESTATE when devices are left or
 * the driver has no unload routine. */
int umn__driver_unload(DRIVER_OBJECT *driver);
DRIVER_OBJECT *umn__driver_find(const char *service); /* NULL if not loaded */
const char *umn__driver_service(const DRIVER_OBJECT *driver);
struct umn_image *umn__driver_image(const DRIVER_OBJECT *driver);
void umn__driver_entry_hook(void (*hook)(DRIVER_OBJECT *driver, bool returned, NTSTATUS status));

/* ---- devices and IRPs ------------------------------------------------------------------------ */
/* What the PnP manager knows of a physical device object. Strings belong to the PnP manager and
 * live until the PDO is deleted. */
struct umn_devnode {
    DEVICE_OBJECT *pdo;
    const char *instance_id; /* ROOT\NET\0001 */
    const char *driver_key;  /* {4d36e972-e325-11ce-bfc1-08002be10318}\0001, "" if none */
    const char *service;
    void *owner; /* the PnP manager's own record */
};
void umn__pdo_set_node(DEVICE_OBJECT *pdo, struct umn_devnode *node);
struct umn_devnode *umn__pdo_node(DEVICE_OBJECT *pdo); /* NULL: not a PDO */
/* Sends IRP_MJ_PNP / minor (or power) to the top of the stack of `pdo` at PASSIVE_LEVEL and waits
 * for its end. fill (may be NULL) sets the parameters of the first stack location. */
NTSTATUS umn__irp_pnp(DEVICE_OBJECT *pdo, UCHAR minor, void (*fill)(IO_STACK_LOCATION *, void *),
                      void *arg);
DEVICE_OBJECT *umn__device_top(DEVICE_OBJECT *device); /* no reference taken */
size_t umn__irp_live(void);                            /* IRPs allocated and not freed */

/* ---- what drivers cannot ask ----------------------------------------------------------------- */
/* Number of spin locks the current context holds (for IM-SYN-02 checks). */
unsigned umn__locks_held(void);
/* Bug check: prints the code and parameters as a report and ends the box (abort) unless a hook is
 * set (tests), in which case the hook is called and must not return. */
void umn__bugcheck_hook(void (*hook)(ULONG code, const ULONG_PTR params[4]));

#endif
