/* SPDX-License-Identifier: MIT */
/*
 * Shared inside src/config above the registry:
 *   devstore.c  a device's keys: Enum, Class, Network\Connection
 *   loader.c    ImagePath -> image -> driver object
 *   rootbus.c   the bus driver whose children are the devices of Enum\ROOT\NET
 *   device.c    the device tree: records, one operation at a time on each
 *   pnp.c       the operations and their IRPs
 *   netcfg.c    services, lower adapters, bindings
 *   netvm.c     new virtual miniports                     netgone.c  their removal
 */
#ifndef UMN_CONFIG_INTERNAL_H
#define UMN_CONFIG_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ntddk.h>
#include "config/config.h"
#include "nt/nt.h"
#include "sched/list.h"
#include "sched/sched.h"

#define CFG_ID_MAX 64      /* instance ids and GUIDs with terminator */
#define CFG_KEY_MAX 192    /* key paths with terminator */
#define CFG_SERVICE_MAX 48 /* characters of a service name */
#define CFG_CLASS_NET "{4d36e972-e325-11ce-bfc1-08002be10318}"
#define CFG_KEY_ROOT_NET UMN_KEY_ENUM "\\ROOT\\NET"
#define CFG_KEY_NETWORK "SYSTEM\\CurrentControlSet\\Control\\Network\\" CFG_CLASS_NET

#define CFG_CONFIGFLAG_DISABLED 1u /* ConfigFlags, CONFIGFLAG_DISABLED of regstr.h */
#define CFG_NCF_VIRTUAL 1u         /* Characteristics, NCF_* of netcfgx.h */
#define CFG_NCF_SOFTWARE 2u
#define CFG_NCF_PHYSICAL 4u

/* Formats into a fixed buffer; UMN_EINVAL if it does not fit. */
int cfg__format(char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- devstore.c ------------------------------------------------------------------------------ */
/* What the registry says of a device; free with cfg__device_keys_free. */
struct cfg_device_keys {
    char *service, *driver, *description, *hardware_id; /* "" if missing */
    char guid[CFG_ID_MAX];
    uint32_t flags;           /* ConfigFlags */
    uint32_t characteristics; /* NCF_* */
};
int cfg__device_keys(const char *instance_id, struct cfg_device_keys *out);
void cfg__device_keys_free(struct cfg_device_keys *keys);
int cfg__delete_device_keys(const char *instance_id);
int cfg__enum_key(const char *instance_id, char key[CFG_KEY_MAX]);
/* A GUID in braces that the registry does not know yet. From the host's random numbers, on explore
 * from the number of GUIDs made so far, so that equal runs make equal GUIDs. */
int cfg__new_guid(char guid[CFG_ID_MAX]);
void cfg__guids_reset(void);

/* ---- loader.c -------------------------------------------------------------------------------- */
/* Finds or loads the driver of a service. One load at a time; PASSIVE, in a context. *status (may
 * be NULL) gets what DriverEntry answered. Refusals name service, path and folders searched. */
int cfg__load(const char *service, DRIVER_OBJECT **driver, NTSTATUS *status);
int cfg__unload(const char *service);
void cfg__unload_all(void); /* latest first */
void cfg__loader_reset(void);

/* ---- rootbus.c ------------------------------------------------------------------------------- */
int cfg__bus_start(void);
void cfg__bus_stop(void);
int cfg__bus_create_pdo(struct umn_devnode *node, NTSTATUS *status); /* fills node->pdo */
void cfg__bus_delete_pdo(struct umn_devnode *node);

/* ---- device.c -------------------------------------------------------------------------------- */
enum cfg_state { CFG_STOPPED, CFG_STARTED, CFG_REMOVED, CFG_FAILED, CFG_SURPRISE_REMOVED };

/* A device that the PnP manager has met. Made by the first operation on it, freed by
 * umn__pnp_delete_device or umn__pnp_stop. `Devices.lock` guards links, references and owner; the
 * rest belongs to the operation's owner. */
struct cfg_device {
    struct umn_list link;    /* Devices.all, in order of first start */
    struct cfg_device *next; /* bucket */
    uint32_t hash;
    unsigned refs;
    struct umn_ctx *owner;  /* context whose operation is under way; NULL: none */
    struct umn_ctx *worker; /* the system thread that runs it */
    struct umn_list waiters;
    bool dead; /* deleted while somebody waited for it */
    enum cfg_state state;
    bool stopped_irp; /* STOPPED by IRP_MN_STOP_DEVICE: the stack is still there */
    bool is_virtual;
    NTSTATUS problem;
    struct umn_devnode node; /* pdo NULL: no stack */
    struct umn_work gone_work;
    uint32_t gone_queued;
    char explain[256];
    char instance_id[CFG_ID_MAX], guid[CFG_ID_MAX];
    char driver_key[CFG_KEY_MAX];
    char *service, *hardware_id;
};
/* Reference to the record of a device, made if `create`; NULL and *error. */
struct cfg_device *cfg__device_get(const char *instance_id, bool create, int *error);
void cfg__device_hold(struct cfg_device *d);
void cfg__device_put(struct cfg_device *d);
/* Takes the right to operate on it; waits for the operation before. UMN_ENOENT: it is gone. */
int cfg__device_acquire(struct cfg_device *d);
void cfg__device_release(struct cfg_device *d);
/* Takes it out of the tree; the last reference frees it. Owner only. */
void cfg__device_forget(struct cfg_device *d);
/* A referenced device with a stack: the newest virtual one, else the newest; NULL: none left. */
struct cfg_device *cfg__device_topmost(void);
/* Owner only: the thread whose UmhExplain is about the device (NULL: none any more); its state. */
void cfg__device_worker(struct cfg_device *d, struct umn_ctx *worker);
void cfg__device_set_state(struct cfg_device *d, enum cfg_state state, NTSTATUS problem);
/* State without a reference, for show. False: never met. */
bool cfg__device_peek(const char *instance_id, struct umn_device_info *info, char explain[256]);
bool cfg__device_started(const char *instance_id);
/* Keeps what a driver said with the device whose operation this is; false: there is none. */
bool cfg__device_explain(const char *text);
/* Any device of this service with a stack or an operation under way? */
bool cfg__device_of_service(const char *service);
void cfg__devices_start(void);
void cfg__devices_stop(void);
void cfg__devices_abandon(void); /* frees them whoever holds references */
const char *cfg__state_name(enum cfg_state state);

/* ---- netlist.c ------------------------------------------------------------------------------- */
/* REG_MULTI_SZ values that one operation edits: read once, written once by cfg__lists_flush. */
struct cfg_list {
    struct cfg_list *next;
    char key[CFG_KEY_MAX];
    const char *name; /* of the value: a literal */
    char **item;      /* each plat_alloc'd; NULL: taken out since the list was read */
    size_t count, room;
    size_t *slot; /* index: open addressing, item number + 1; made by the first look-up */
    size_t slots; /* a power of two, or 0 */
    bool dirty;
};
struct cfg_lists {
    struct cfg_list *first;
};
/* The list (missing: empty), read inside the caller's transaction. NULL and *error. */
struct cfg_list *cfg__list_open(struct cfg_lists *lists, const char *key, const char *name,
                                int *error);
bool cfg__list_has(struct cfg_list *list, const char *item); /* without case */
int cfg__list_add(struct cfg_lists *lists, const char *key, const char *name, const char *item);
/* add without looking whether it is there: for names that are new. */
int cfg__list_append(struct cfg_lists *lists, const char *key, const char *name, const char *item);
int cfg__list_remove(struct cfg_lists *lists, const char *key, const char *name, const char *item);
int cfg__lists_flush(struct cfg_lists *lists);
void cfg__lists_free(struct cfg_lists *lists);

/* ---- netcfg.c for netvm.c -------------------------------------------------------------------- */
/* "miniport", "protocol", "intermediate". A service that is none of `kinds` (letters m, p, i) or is
 * missing is refused for `what`. */
int cfg__need_service(const char *service, const char *kinds, const char *what);
int cfg__write_settings(const char *key, const struct umn_setting *settings, size_t count);
int cfg__check_settings(const struct umn_setting *settings, size_t count);
/* Writes the binding of a protocol to a new adapter: the protocol's Linkage, the adapter's
 * UpperBind, and what Linux shall call it in the binding's own key. */
int cfg__link_new(struct cfg_lists *lists, const char *protocol, const char *guid,
                  const char *driver_key, const char *host_name);
/* Takes an adapter that is about to be deleted out of the Linkage of every protocol above it, with
 * the keys of those bindings. */
int cfg__unlink_all(struct cfg_lists *lists, const char *guid, const char *driver_key);
/* umn__ndis_rebind on a running box; a protocol that is not loaded is fine. */
int cfg__rebind(const char *protocol);
/* Value of a driver key that is text, or NULL with *error 0 if there is none. plat_alloc'd. */
char *cfg__setting_text(const char *key, const char *name, int *error);

/* ---- netgone.c for netvm.c ------------------------------------------------------------------- */
typedef int cfg_list_edit(struct cfg_lists *lists, const char *key, const char *name,
                          const char *item);
/* Edits UpperBindings of the service's binding to the lower adapter for one virtual miniport. */
int cfg__vm_list(struct cfg_lists *lists, cfg_list_edit *edit, const char *service,
                 const char *lower, const char *guid);
/* Off the lists (lower may be NULL), keys away: inside a transaction, the device claimed. */
int cfg__vm_delete_keys(struct cfg_lists *lists, const char *id, const char *guid,
                        const char *service, const char *lower);
/* The driver reads its lists again. A driver that is not loaded, or does not care, is fine. */
int cfg__vm_reconfigure(const char *service);

/* ---- pnp.c ----------------------------------------------------------------------------------- */
bool cfg__pnp_running(void);
/* umn__pnp_devices that says when it could not. */
int cfg__devices_visit(bool (*visit)(void *arg, const struct umn_device_info *), void *arg);
/*
 * Holds operations on a device off while its keys are deleted. Before the transaction, never in it:
 * an operation under way may wait for the transaction. UMN_ESTATE: it has a stack. *d is NULL when
 * PnP does not run. unclaim with `deleted` forgets the device.
 */
int cfg__pnp_claim(const char *instance_id, struct cfg_device **d);
void cfg__pnp_unclaim(struct cfg_device *d, bool deleted);

#endif
