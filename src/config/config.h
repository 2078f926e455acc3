/* SPDX-License-Identifier: MIT */
/*
 * Registry, PnP manager and network configuration (design 5 to 7). Three modules, arrows downward:
 *   netcfg.c    what the user asks for: services, adapters, bindings, virtual miniports. The one
 *               door to those keys: INetCfg will stand in front of it.
 *   pnp.c       the device tree and its IRPs          devstore.c  Enum and Class keys
 *   registry.c  keys and values in SQLite
 * All PASSIVE_LEVEL, in a context. Failures say why through umn__refuse.
 */
#ifndef UMN_CONFIG_H
#define UMN_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "umndis/errors.h"

/* ---- registry.c -------------------------------------------------------------------------------
 */
/*
 * Opens (creates) the registry database; path NULL: in memory. One per process. Registers itself
 * with umn__registry_set. Refuses: locked by another box (UMN_EBUSY: who, if known), truncated or
 * not a database (UMN_ECORRUPT: path, what was found), no permission (UMN_EPERM). A hard kill at
 * any moment leaves a sound database (WAL or rollback journal, synchronous=NORMAL at least).
 */
int umn__reg_open(const char *path);
/*
 * The same for looking only, also while a box runs on the file: what is committed now. Writes are
 * refused with UMN_EPERM. UMN_ENOENT: no such file.
 */
int umn__reg_open_read(const char *path);
void umn__reg_close(void);
/* Every key and value below `key` in order, depth first; names and data valid during the callback.
 * value_name NULL: the key itself. visit returns false to end. For export and show. */
int umn__reg_walk(const char *key,
                  bool (*visit)(void *arg, const char *path, const char *value_name, uint32_t type,
                                const void *data, size_t size),
                  void *arg);
/* Nested transactions: only the outermost commit writes; any rollback inside undoes all. */
int umn__reg_begin(void);
int umn__reg_commit(void);
void umn__reg_rollback(void);
/* Changes with every committed write. */
uint64_t umn__reg_generation(void);

/* Typed access by absolute path below HKLM, e.g. "SYSTEM\\CurrentControlSet\\Services\\mux". */
int umn__reg_get_sz(const char *key, const char *name, char **text);
int umn__reg_set_sz(const char *key, const char *name, const char *text);
int umn__reg_get_dword(const char *key, const char *name, uint32_t *value);
int umn__reg_set_dword(const char *key, const char *name, uint32_t value);
/* A REG_MULTI_SZ as a NULL-terminated array in one plat_alloc'd block. */
int umn__reg_get_multi(const char *key, const char *name, char ***list, size_t *count);
int umn__reg_set_multi(const char *key, const char *name, char *const *list, size_t count);
int umn__reg_set_raw(const char *key, const char *name, uint32_t type, const void *data,
                     size_t size);
int umn__reg_delete_value(const char *key, const char *name);
int umn__reg_delete_key(const char *key); /* with everything below; ENOENT is an error */
int umn__reg_create_key(const char *key);
bool umn__reg_key_exists(const char *key);
/* Names of sub-keys in order, as a list like get_multi. */
int umn__reg_subkeys(const char *key, char ***list, size_t *count);
/* Name of the last one in order, plat_alloc'd; UMN_ENOENT if there is none. */
int umn__reg_last_subkey(const char *key, char **name);

#define UMN_KEY_SERVICES "SYSTEM\\CurrentControlSet\\Services"
#define UMN_KEY_ENUM "SYSTEM\\CurrentControlSet\\Enum"
#define UMN_KEY_CLASS_NET                                                                          \
    "SYSTEM\\CurrentControlSet\\Control\\Class\\{4d36e972-e325-11ce-bfc1-08002be10318}"

/* ---- pnp.c --------------------------------------------------------------------------------------
 */
int umn__pnp_start(void); /* root bus driver; the tree is read from Enum */
void umn__pnp_stop(void); /* removes every device, upper stacks first, and unloads drivers */

/* After a run that hangs: forgets everything, sends nothing. Outside contexts, nt stopped. */
void umn__pnp_abandon(void);

/* What a device is made of. Strings are copied. */
struct umn_device_desc {
    const char *service;     /* function driver */
    const char *hardware_id; /* e.g. "root\\umn_mux_vm" */
    const char *description; /* DriverDesc and FriendlyName */
    const char *guid;        /* NetCfgInstanceId "{...}", NULL: a new one */
};
/*
 * Creates Enum\ROOT\NET\NNNN, Class key \NNNN with NetCfgInstanceId, Linkage (Export, UpperBind,
 * Bind, RootDevice), in the caller's transaction if there is one. instance_id and guid are filled
 * (each at least 64 bytes). The device is not started.
 */
int umn__pnp_create_device(const struct umn_device_desc *desc, char *instance_id, char *guid);
/* Takes the device's keys away; the device must be removed first. */
int umn__pnp_delete_device(const char *instance_id);
/* Key of the device's driver (class) settings below HKLM, 128 bytes. */
int umn__pnp_driver_key(const char *instance_id, char *key);
int umn__pnp_guid(const char *instance_id, char *guid); /* 64 bytes */
int umn__pnp_find_guid(const char *guid, char *instance_id);

/* Start: loads the service's driver if needed, PDO, AddDevice, IRP_MN_START_DEVICE. Disabled
 * devices are refused with UMN_ESTATE. All of these run in the calling context; the IRP goes to a
 * system thread (IM-PNP-05). *status (may be NULL) gets the NTSTATUS of the IRP that failed. */
int umn__pnp_start_device(const char *instance_id, int32_t *status);
/* Query-remove (a veto: UMN_EBUSY, and cancel-remove is sent) then remove. */
int umn__pnp_remove_device(const char *instance_id);
int umn__pnp_disable_device(
    const char *instance_id);                        /* ConfigFlags bit, and remove from the tree */
int umn__pnp_enable_device(const char *instance_id); /* and start */
int umn__pnp_surprise_remove(const char *instance_id);
int umn__pnp_stop_device(const char *instance_id);    /* query-stop, stop */
int umn__pnp_restart_device(const char *instance_id); /* start after stop */
/* Starts every enabled device of Enum\ROOT\NET in order; one that fails is logged and skipped. */
int umn__pnp_start_all(void);

struct umn_device_info {
    const char *instance_id, *guid, *service, *description, *hardware_id;
    const char *state;   /* Stopped Started Disabled Removed Failed SurpriseRemoved */
    int32_t problem;     /* NTSTATUS of the last failure or 0 */
    const char *explain; /* what the driver said with UmhExplain about it, or "" */
};
void umn__pnp_devices(bool (*visit)(void *arg, const struct umn_device_info *), void *arg);

/* ---- netcfg.c
 * ------------------------------------------------------------------------------------ */
/*
 * Services. kind: "miniport", "protocol", "intermediate" decides which keys are written. image is
 * the ImagePath: a file, or "builtin:NAME". Exists already: UMN_EEXIST unless the same image.
 */
int umn__netcfg_add_service(const char *name, const char *kind, const char *image);
int umn__netcfg_remove_service(const char *name);
/* Folders searched for relative image names, ':' between; copied. NULL: beside the program. */
int umn__netcfg_driver_path(const char *folders);
/* Loads / unloads a service's driver (protocols and intermediate drivers before any device). */
int umn__netcfg_load(const char *service);
int umn__netcfg_unload(const char *service);

/* A name-value pair of settings for a device's driver key; value kinds: REG_SZ or REG_DWORD. */
struct umn_setting {
    const char *name;
    const char *text; /* NULL: number */
    uint32_t number;
};
/* A lower adapter: device for `service` with settings, started if `start`. */
int umn__netcfg_add_adapter(const char *service, const char *description,
                            const struct umn_setting *settings, size_t count, bool start,
                            char *instance_id, char *guid);
int umn__netcfg_remove_adapter(const char *instance_id);
/* Writes Linkage\Bind of a protocol service and the adapter's UpperBind; tells a running library.
 */
int umn__netcfg_bind(const char *protocol, const char *guid);
int umn__netcfg_unbind(const char *protocol, const char *guid);

/* Virtual miniports of an intermediate driver `service` over a lower adapter. */
struct umn_vm_desc {
    const char *service; /* "mux" */
    const char *lower_guid;
    const char *name;                   /* FriendlyName and what Linux shows; NULL: "<service>N" */
    const char *mac;                    /* "02:..." or NULL: the driver's choice */
    int vlan;                           /* 0..4094 */
    const char *mode;                   /* "bridge", "private", "vepa" or NULL */
    const char *upper;                  /* protocol service to bind above, NULL: none */
    const struct umn_setting *settings; /* more of them, for the VM's driver key */
    size_t count;
};
/*
 * Creates the device, appends its \Device\{GUID} to UpperBindings of
 * Services\<service>\Parameters\Adapters\<lower guid>, binds the upper protocol: one transaction;
 * then, on a running box, tells the driver (NetEventReconfigure) and starts the device. Refuses
 * before anything is written: bad or multicast MAC, a MAC used by a sibling, VLAN out of range, an
 * unknown lower adapter or mode. On any failure nothing is left.
 */
int umn__netcfg_add_vm(const struct umn_vm_desc *desc, char *instance_id, char *guid);
/* Takes the name off UpperBindings, removes the device and its keys. */
int umn__netcfg_remove_vm(const char *instance_id);
/*
 * The same for many, with one transaction and one reconfigure; one that is named twice is removed
 * once. Nothing is done if one is unknown or no virtual miniport. A device that refuses its removal
 * stays, the others go; the first refusal is the answer.
 */
int umn__netcfg_remove_vms(const char *const *instance_ids, size_t count);
/* Adds many at once in one transaction and one reconfigure; all or nothing. */
int umn__netcfg_add_vms(const struct umn_vm_desc *desc, size_t count);

#endif
