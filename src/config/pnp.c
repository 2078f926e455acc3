/* SPDX-License-Identifier: MIT */
/*
 * The PnP manager: what is done to a device, and the IRPs that this takes. Each operation runs in a
 * system thread of its own at PASSIVE_LEVEL (IM-PNP-05) while the caller, who owns the device,
 * waits.
 *
 *   1. A record has a stack (node.pdo) exactly in STARTED and in STOPPED with stopped_irp.
 *   2. `problem` is not 0 exactly in FAILED.
 *
 *              start                          stop
 *   STOPPED ----------> STARTED <-----------------------------> STOPPED (stopped_irp)
 *   REMOVED ---------/    |  |     restart
 *   FAILED -------------  |  | surprise
 *     ^   start fails     |  +---------> SURPRISE_REMOVED --start--> ...
 *     +-- restart fails   v remove, disable
 *                       REMOVED
 */
#include "config/internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "check/check.h"
#include "nt/umhost.h"
#include "plat/plat.h"
#include "trace/trace.h"

struct operation {
    struct cfg_device *d;
    int (*run)(struct operation *op);
    NTSTATUS status;
    int error;
    char refusal[512]; /* of the thread, for the caller's */
};

static struct {
    bool running;
    struct umn_mutex lock;
    unsigned gone;           /* works of UmhDeviceGone not yet over */
    struct umn_ctx *waiting; /* for gone == 0 */
} Pnp;

bool cfg__pnp_running(void)
{
    return Pnp.running;
}

static void set_state(struct cfg_device *d, enum cfg_state state, NTSTATUS problem)
{
    cfg__device_set_state(d, state, problem);
    d->stopped_irp = state == CFG_STOPPED && d->node.pdo;
    assert(!d->node.pdo == (state != CFG_STARTED && !d->stopped_irp));
    assert((problem != 0) == (state == CFG_FAILED));
    umn__trace("device.state", "%s %s: %s 0x%08x", d->instance_id, d->service,
               cfg__state_name(state), (unsigned)problem);
}

/* ---- in the operation's thread --------------------------------------------------------------- */

static NTSTATUS send_irp(struct cfg_device *d, UCHAR minor, const char *name)
{
    NTSTATUS status;

    umn__trace("pnp.irp", "%s %s", d->instance_id, name);
    status = umn__irp_pnp(d->node.pdo, minor, NULL, NULL);
    umn__trace("pnp.irp", "%s %s: 0x%08x", d->instance_id, name, (unsigned)status);
    return status;
}

/* IRP_MN_REMOVE_DEVICE cannot be refused: what it says is for the trace. The PDO goes with it. */
static void send_remove(struct cfg_device *d)
{
    send_irp(d, IRP_MN_REMOVE_DEVICE, "IRP_MN_REMOVE_DEVICE");
    if (umn__device_top(d->node.pdo) != d->node.pdo) {
        umn__report("RemoveDevice", 0,
                    "driver %s left its device object attached above %s after "
                    "IRP_MN_REMOVE_DEVICE (irp-mn-remove-device.md)",
                    d->service, d->instance_id);
        IoDetachDevice(d->node.pdo);
    }
    cfg__bus_delete_pdo(&d->node);
}

static int start_failed(struct operation *op, const char *what)
{
    struct cfg_device *d = op->d;
    int error = op->status == STATUS_INSUFFICIENT_RESOURCES ? UMN_ENOMEM : UMN_EDRIVER;

    set_state(d, CFG_FAILED, op->status);
    return umn__refuse(error, "device %s (%s): %s failed with 0x%08x%s%s", d->instance_id,
                       d->service, what, (unsigned)op->status, *d->explain ? ": " : "", d->explain);
}

static int add_device(struct operation *op, DRIVER_OBJECT *driver)
{
    struct cfg_device *d = op->d;
    int error;

    if (!driver->DriverExtension->AddDevice) {
        op->status = STATUS_INVALID_DEVICE_REQUEST;
        return start_failed(op, "no miniport: looking for the driver's AddDevice");
    }
    error = cfg__bus_create_pdo(&d->node, &op->status);
    if (error)
        return start_failed(op, "creating the physical device object");
    umn__point(UMN_OP_CALLBACK, driver);
    umn__trace("pnp.adddevice", "%s %s", d->instance_id, d->service);
    op->status = driver->DriverExtension->AddDevice(driver, d->node.pdo);
    if (NT_SUCCESS(op->status))
        return 0;
    cfg__bus_delete_pdo(&d->node);
    return start_failed(op, "AddDevice");
}

static int send_start(struct operation *op)
{
    op->status = send_irp(op->d, IRP_MN_START_DEVICE, "IRP_MN_START_DEVICE");
    if (NT_SUCCESS(op->status)) {
        set_state(op->d, CFG_STARTED, 0);
        return 0;
    }
    send_remove(op->d);
    return start_failed(op, "start");
}

static int run_start(struct operation *op)
{
    struct cfg_device *d = op->d;
    DRIVER_OBJECT *driver;
    int error;

    if (d->node.pdo)
        return umn__refuse(UMN_ESTATE, "device %s: already %s", d->instance_id,
                           d->stopped_irp ? "there, stopped: restart it" : "started");
    error = cfg__load(d->service, &driver, &op->status);
    if (error) {
        if (NT_SUCCESS(op->status))
            op->status = umn__status_of(error);
        set_state(d, CFG_FAILED, op->status);
        return error;
    }
    error = add_device(op, driver);
    return error ? error : send_start(op);
}

static int run_remove(struct operation *op)
{
    struct cfg_device *d = op->d;

    if (!d->node.pdo) {
        set_state(d, CFG_REMOVED, 0);
        return 0;
    }
    op->status = send_irp(d, IRP_MN_QUERY_REMOVE_DEVICE, "IRP_MN_QUERY_REMOVE_DEVICE");
    if (!NT_SUCCESS(op->status)) {
        send_irp(d, IRP_MN_CANCEL_REMOVE_DEVICE, "IRP_MN_CANCEL_REMOVE_DEVICE");
        return umn__refuse(UMN_EBUSY, "device %s (%s): removal refused with 0x%08x%s%s",
                           d->instance_id, d->service, (unsigned)op->status,
                           *d->explain ? ": " : "", d->explain);
    }
    send_remove(d);
    set_state(d, CFG_REMOVED, 0);
    return 0;
}

static int run_surprise(struct operation *op)
{
    struct cfg_device *d = op->d;

    if (!d->node.pdo)
        return umn__refuse(UMN_ESTATE, "device %s: not started", d->instance_id);
    op->status = send_irp(d, IRP_MN_SURPRISE_REMOVAL, "IRP_MN_SURPRISE_REMOVAL");
    send_remove(d);
    set_state(d, CFG_SURPRISE_REMOVED, 0);
    return 0;
}

static int run_stop(struct operation *op)
{
    struct cfg_device *d = op->d;

    if (d->state != CFG_STARTED)
        return umn__refuse(UMN_ESTATE, "device %s: not started", d->instance_id);
    op->status = send_irp(d, IRP_MN_QUERY_STOP_DEVICE, "IRP_MN_QUERY_STOP_DEVICE");
    if (!NT_SUCCESS(op->status)) {
        send_irp(d, IRP_MN_CANCEL_STOP_DEVICE, "IRP_MN_CANCEL_STOP_DEVICE");
        return umn__refuse(UMN_EBUSY, "device %s (%s): stop refused with 0x%08x", d->instance_id,
                           d->service, (unsigned)op->status);
    }
    send_irp(d, IRP_MN_STOP_DEVICE, "IRP_MN_STOP_DEVICE");
    set_state(d, CFG_STOPPED, 0);
    return 0;
}

static int run_restart(struct operation *op)
{
    if (!op->d->stopped_irp)
        return umn__refuse(UMN_ESTATE, "device %s: not stopped", op->d->instance_id);
    return send_start(op);
}

/* ---- operations ------------------------------------------------------------------------------ */

static void operation_thread(void *arg)
{
    struct operation *op = arg;

    cfg__device_worker(op->d, umn__ctx_self());
    umn__refusal_clear();
    op->error = op->run(op);
    snprintf(op->refusal, sizeof op->refusal, "%s", umn__refusal());
    cfg__device_worker(op->d, NULL);
}

/* The device is acquired. A refusal made in the thread becomes the caller's. `must`: it cannot be
 * left undone, so without memory for a thread it runs right here. */
static int run_operation(struct cfg_device *d, int (*run)(struct operation *), NTSTATUS *status,
                         bool must)
{
    struct operation op = {.d = d, .run = run, .status = STATUS_SUCCESS};
    struct umn_ctx *thread;
    int error = umn__ctx_spawn(&thread, operation_thread, &op, "pnp");

    if (error && !must)
        return error;
    if (error)
        operation_thread(&op);
    else
        umn__ctx_join(thread);
    if (status)
        *status = op.status;
    if (op.error && *op.refusal)
        umn__refuse(op.error, "%s", op.refusal);
    return op.error;
}

static int on_device(const char *instance_id, int (*run)(struct operation *), int32_t *status)
{
    struct cfg_device *d;
    NTSTATUS result = STATUS_SUCCESS;
    int error;

    if (!Pnp.running)
        return umn__refuse(UMN_ESTATE, "device %s: the PnP manager is not running", instance_id);
    d = cfg__device_get(instance_id, true, &error);
    if (!d)
        return error;
    error = cfg__device_acquire(d);
    if (!error) {
        error = run_operation(d, run, &result, false);
        cfg__device_release(d);
    }
    cfg__device_put(d);
    if (status)
        *status = result;
    return error;
}

/* ConfigFlags of a device. */
static int get_disabled(const char *instance_id, char key[CFG_KEY_MAX], uint32_t *flags)
{
    int error = cfg__enum_key(instance_id, key);

    *flags = 0;
    if (!error)
        error = umn__reg_get_dword(key, "ConfigFlags", flags);
    return error == UMN_EINVAL || (error == UMN_ENOENT && umn__reg_key_exists(key)) ? 0 : error;
}

int umn__pnp_start_device(const char *instance_id, int32_t *status)
{
    char key[CFG_KEY_MAX];
    uint32_t flags;
    int error = get_disabled(instance_id, key, &flags);

    if (status)
        *status = STATUS_SUCCESS;
    if (error)
        return error;
    if (flags & CFG_CONFIGFLAG_DISABLED)
        return umn__refuse(UMN_ESTATE, "device %s: disabled", instance_id);
    return on_device(instance_id, run_start, status);
}

int umn__pnp_remove_device(const char *instance_id)
{
    return on_device(instance_id, run_remove, NULL);
}

int umn__pnp_surprise_remove(const char *instance_id)
{
    return on_device(instance_id, run_surprise, NULL);
}

int umn__pnp_stop_device(const char *instance_id)
{
    return on_device(instance_id, run_stop, NULL);
}

int umn__pnp_restart_device(const char *instance_id)
{
    return on_device(instance_id, run_restart, NULL);
}

int umn__pnp_disable_device(const char *instance_id)
{
    char key[CFG_KEY_MAX];
    uint32_t flags;
    int error = get_disabled(instance_id, key, &flags);

    if (!error)
        error = umn__reg_set_dword(key, "ConfigFlags", flags | CFG_CONFIGFLAG_DISABLED);
    if (error || !Pnp.running)
        return error;
    error = umn__pnp_remove_device(instance_id);
    if (error)
        umn__reg_set_dword(key, "ConfigFlags", flags);
    return error;
}

int umn__pnp_enable_device(const char *instance_id)
{
    char key[CFG_KEY_MAX];
    uint32_t flags;
    int error = get_disabled(instance_id, key, &flags);

    if (!error)
        error = umn__reg_set_dword(key, "ConfigFlags", flags & ~CFG_CONFIGFLAG_DISABLED);
    if (error || !Pnp.running)
        return error;
    return umn__pnp_start_device(instance_id, NULL);
}

int cfg__pnp_claim(const char *instance_id, struct cfg_device **out)
{
    struct cfg_device *d;
    int error = 0;

    *out = NULL;
    if (!Pnp.running)
        return 0;
    d = cfg__device_get(instance_id, true, &error);
    if (!d)
        return error;
    error = cfg__device_acquire(d);
    if (!error && d->node.pdo) {
        error = umn__refuse(UMN_ESTATE, "device %s: still there, remove it before its keys",
                            instance_id);
        cfg__device_release(d);
    }
    if (error)
        cfg__device_put(d);
    else
        *out = d;
    return error;
}

void cfg__pnp_unclaim(struct cfg_device *d, bool deleted)
{
    if (!d)
        return;
    if (deleted)
        cfg__device_forget(d);
    cfg__device_release(d);
    cfg__device_put(d);
}

int umn__pnp_delete_device(const char *instance_id)
{
    struct cfg_device *d;
    int error = cfg__pnp_claim(instance_id, &d);

    if (error)
        return error;
    error = cfg__delete_device_keys(instance_id);
    cfg__pnp_unclaim(d, error == 0);
    return error;
}

/* ---- what drivers say ------------------------------------------------------------------------ */

static void on_explain(const char *text)
{
    if (!cfg__device_explain(text))
        plat_log(1, "%s", text);
}

static void gone_thread(void *arg)
{
    struct cfg_device *d = arg;
    struct operation op = {.d = d, .run = run_surprise};

    if (cfg__device_acquire(d) == 0) {
        if (d->node.pdo)
            operation_thread(&op);
        cfg__device_release(d);
    }
    cfg__device_put(d);
    umn__lock(&Pnp.lock);
    if (--Pnp.gone == 0 && Pnp.waiting) /* under the lock: it leaves as soon as it sees 0 */
        umn__unpark(Pnp.waiting);
    umn__unlock(&Pnp.lock);
}

/* A thread of its own: a removal waits for others' work items, so it must not hold a worker. */
static void gone_work(struct umn_work *work)
{
    struct cfg_device *d = umn_container_of(work, struct cfg_device, gone_work);

    __atomic_store_n(&d->gone_queued, 0, __ATOMIC_RELEASE);
    if (umn__ctx_spawn(NULL, gone_thread, d, "pnp gone"))
        gone_thread(d); /* no memory: better here than never */
}

/* The record outlives this: the caller's device object does, and the work holds a reference. */
static void on_device_gone(DEVICE_OBJECT *pdo)
{
    struct umn_devnode *node = umn__pdo_node(pdo);
    struct cfg_device *d = node ? node->owner : NULL;

    if (!d || !Pnp.running || __atomic_exchange_n(&d->gone_queued, 1, __ATOMIC_ACQ_REL))
        return;
    umn__lock(&Pnp.lock);
    Pnp.gone++;
    umn__unlock(&Pnp.lock);
    cfg__device_hold(d);
    d->gone_work.run = gone_work;
    umn__work_queue(&d->gone_work);
}

static void wait_for_gone(void)
{
    umn__lock(&Pnp.lock);
    Pnp.waiting = umn__ctx_self();
    while (Pnp.gone) {
        umn__unlock(&Pnp.lock);
        umn__park(UMN_FOREVER, "surprise removals", &Pnp);
        umn__lock(&Pnp.lock);
    }
    Pnp.waiting = NULL;
    umn__unlock(&Pnp.lock);
}

/* ---- all devices ----------------------------------------------------------------------------- */

static int instances(char ***list, size_t *count)
{
    int error = umn__reg_subkeys(CFG_KEY_ROOT_NET, list, count);

    if (error == UMN_ENOENT) {
        *list = NULL;
        *count = 0;
        error = 0;
    }
    return error;
}

int umn__pnp_start_all(void)
{
    char **list;
    size_t count;
    int error = instances(&list, &count);

    if (error)
        return error;
    for (size_t i = 0; i < count; i++) {
        char id[CFG_ID_MAX], key[CFG_KEY_MAX];
        uint32_t flags;

        error = cfg__format(id, sizeof id, "ROOT\\NET\\%s", list[i]);
        if (!error)
            error = get_disabled(id, key, &flags);
        if (!error && !(flags & CFG_CONFIGFLAG_DISABLED))
            error = on_device(id, run_start, NULL);
        if (error)
            plat_log(1, "%s", *umn__refusal() ? umn__refusal() : umn_strerror(error));
    }
    plat_free(list);
    return 0;
}

static int show_one(const char *id, bool (*visit)(void *, const struct umn_device_info *),
                    void *arg, bool *more)
{
    struct cfg_device_keys keys;
    char explain[256] = "";
    struct umn_device_info info = {.instance_id = id, .state = "Stopped", .explain = explain};
    int error = cfg__device_keys(id, &keys);

    if (error) /* a damaged one does not hide the others */
        return error == UMN_ENOMEM ? error : 0;
    info.guid = keys.guid;
    info.service = keys.service;
    info.description = keys.description;
    info.hardware_id = keys.hardware_id;
    if (Pnp.running)
        cfg__device_peek(id, &info, explain);
    if ((keys.flags & CFG_CONFIGFLAG_DISABLED) && strcmp(info.state, "Started") != 0)
        info.state = "Disabled";
    *more = visit(arg, &info);
    cfg__device_keys_free(&keys);
    return 0;
}

int cfg__devices_visit(bool (*visit)(void *arg, const struct umn_device_info *), void *arg)
{
    char **list, id[CFG_ID_MAX];
    size_t count;
    bool more = true;
    int error = instances(&list, &count);

    if (error)
        return error;
    for (size_t i = 0; i < count && more && !error; i++)
        if (cfg__format(id, sizeof id, "ROOT\\NET\\%s", list[i]) == 0)
            error = show_one(id, visit, arg, &more);
    plat_free(list);
    return error;
}

void umn__pnp_devices(bool (*visit)(void *arg, const struct umn_device_info *), void *arg)
{
    int error = cfg__devices_visit(visit, arg);

    if (error)
        plat_log(1, "devices: %s", umn_strerror(error));
}

int umn__pnp_start(void)
{
    static const struct umn_umh_hooks hooks = {on_explain, on_device_gone};
    int error = cfg__bus_start();

    if (error)
        return error;
    cfg__devices_start();
    cfg__guids_reset();
    umn__umh_hooks_set(&hooks);
    memset(&Pnp, 0, sizeof Pnp);
    Pnp.running = true;
    return 0;
}

/* Removes one device whatever it answers, and its record, so that the next look is short. */
static void take_away(struct cfg_device *d)
{
    if (cfg__device_acquire(d))
        return;
    if (d->node.pdo && run_operation(d, run_remove, NULL, true))
        run_operation(d, run_surprise, NULL, true);
    cfg__device_forget(d);
    cfg__device_release(d);
}

void umn__pnp_stop(void)
{
    struct cfg_device *d;

    if (!Pnp.running)
        return;
    while ((d = cfg__device_topmost())) {
        take_away(d);
        cfg__device_put(d);
    }
    cfg__unload_all();
    Pnp.running = false;
    wait_for_gone();
    umn__umh_hooks_set(NULL);
    cfg__devices_stop();
    cfg__bus_stop();
    cfg__loader_reset();
}

void umn__pnp_abandon(void)
{
    if (!Pnp.running)
        return;
    Pnp.running = false;
    umn__umh_hooks_set(NULL);
    cfg__devices_abandon();
    cfg__loader_reset();
}
