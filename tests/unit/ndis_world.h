/* SPDX-License-Identifier: MIT */
/*
 * A small world for the tests of the NDIS control path, on the explore back end: a registry in
 * memory, a bus driver whose PDOs are network devices, a lower miniport ("nic"), an intermediate
 * driver
 * ("mux") and two protocols ("pa", "pb"). Every callback writes one word into the log and then does
 * what the script says. Contexts may not longjmp, so CHECK keeps the first failure. Included once.
 */
#ifndef NDIS_WORLD_H
#define NDIS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ndis/control.h"

#pragma clang diagnostic ignored "-Wunused-function"

/* ---- checks and the log
 * --------------------------------------------------------------------------- */

static char failure[400];
static char log_text[1 << 16];
#define CHECK(c)                                                                                   \
    do {                                                                                           \
        if (!(c) && !*failure)                                                                     \
            snprintf(failure, sizeof failure, "%s:%d: %s\nlog: %.200s", __FILE__, __LINE__, #c,    \
                     log_text);                                                                    \
    } while (0)
#define EQ(a, b)                                                                                   \
    do {                                                                                           \
        long long a_ = (long long)(a), b_ = (long long)(b);                                        \
        if (a_ != b_ && !*failure)                                                                 \
            snprintf(failure, sizeof failure, "%s:%d: %s = 0x%llx, not 0x%llx\nlog: %.200s",       \
                     __FILE__, __LINE__, #a, a_, b_, log_text);                                    \
    } while (0)

static struct umn_mutex log_lock;
static void note(const char *fmt, ...)
{
    size_t used;
    va_list args;

    umn__lock(&log_lock);
    used = strlen(log_text);
    va_start(args, fmt);
    vsnprintf(log_text + used, sizeof log_text - used, fmt, args);
    va_end(args);
    umn__unlock(&log_lock);
}

static int count(const char *word)
{
    int n = 0;

    for (const char *p = log_text; (p = strstr(p, word)) != NULL; p += strlen(word))
        n++;
    return n;
}

/* The log from `from` on, and then cleared. */
static bool logged(const char *want)
{
    bool same = strcmp(log_text, want) == 0;

    if (!same && !*failure)
        snprintf(failure, sizeof failure, "log is  %.180s\nshould be %.180s", log_text, want);
    *log_text = 0;
    return same;
}

/* ---- registry
 * ------------------------------------------------------------------------------------- */

#define SET "\\Registry\\Machine\\System\\CurrentControlSet\\"
struct value {
    struct value *next;
    char *key, *name;
    uint32_t type;
    void *data;
    size_t size;
};
static struct value *values[8192]; /* by key */
static size_t registry_reads;

static struct value **bucket(const char *key)
{
    uint32_t h = 0;

    for (; *key; key++)
        h = h * 31 + (uint32_t)(*key | 32);
    return &values[h % 8192];
}

static struct value *value_find(const char *key, const char *name)
{
    for (struct value *v = *bucket(key); v; v = v->next)
        if (!umn__stricmp(v->key, key) && (!name || !umn__stricmp(v->name, name)))
            return v;
    return NULL;
}

static void reg_put(const char *key, const char *name, uint32_t type, const void *data, size_t size)
{
    struct value *v = value_find(key, name);

    if (!v) {
        v = calloc(1, sizeof *v);
        v->key = strdup(key);
        v->name = strdup(name);
        v->next = *bucket(key);
        *bucket(key) = v;
    }
    free(v->data);
    v->type = type;
    v->size = size;
    v->data = malloc(size + 1);
    memcpy(v->data, data, size);
}

static void reg_text(const char *key, const char *name, const char *text)
{
    WCHAR w[200];
    size_t n = strlen(text);

    for (size_t i = 0; i <= n; i++)
        w[i] = (unsigned char)text[i];
    reg_put(key, name, REG_SZ, w, (n + 1) * 2);
}

static void reg_free(void)
{
    for (size_t i = 0; i < 8192; i++) {
        while (values[i]) {
            struct value *v = values[i];
            values[i] = v->next;
            free(v->key);
            free(v->name);
            free(v->data);
            free(v);
        }
    }
}

/* A key is there if it or a key below it has a value. */
static bool key_there(const char *full)
{
    if (value_find(full, NULL))
        return true;
    for (size_t i = 0; i < 8192; i++)
        for (struct value *v = values[i]; v; v = v->next)
            if (strncasecmp(v->key, full, strlen(full)) == 0)
                return true;
    return false;
}

static int reg_open(void *base, const char *path, bool create, void **key)
{
    char full[400];

    snprintf(full, sizeof full, "%s%s%s", base ? (const char *)base : "", base ? "\\" : "", path);
    if (!create && !key_there(full))
        return UMN_ENOENT;
    *key = plat_strdup(full);
    return *key ? 0 : UMN_ENOMEM;
}

static void reg_close(void *key)
{
    plat_free(key);
}

static int reg_get(void *key, const char *name, uint32_t *type, void **data, size_t *size)
{
    struct value *v = value_find(key, name);

    __atomic_fetch_add(&registry_reads, 1, __ATOMIC_RELAXED);
    if (!v)
        return UMN_ENOENT;
    *data = plat_alloc(v->size + 1);
    if (!*data)
        return UMN_ENOMEM;
    memcpy(*data, v->data, v->size);
    *type = v->type;
    *size = v->size;
    return 0;
}

static int reg_set(void *key, const char *name, uint32_t type, const void *data, size_t size)
{
    reg_put(key, name, type, data, size);
    return 0;
}

/* Direct subkeys in alphabetical order. */
static int reg_enum_key(void *key, unsigned index, char **name)
{
    char best[64] = "", last[64] = "";
    size_t length = strlen(key);

    for (unsigned n = 0; n <= index; n++) {
        strcpy(last, best);
        *best = 0;
        for (size_t i = 0; i < 8192; i++) {
            for (struct value *v = values[i]; v; v = v->next) {
                const char *rest = v->key + length;
                char sub[64];
                if (strncasecmp(v->key, key, length) != 0 || *rest != '\\')
                    continue;
                snprintf(sub, sizeof sub, "%.*s", (int)strcspn(rest + 1, "\\"), rest + 1);
                if (strcmp(sub, last) > 0 && (!*best || strcmp(sub, best) < 0))
                    strcpy(best, sub);
            }
        }
        if (!*best)
            return UMN_ENOENT;
    }
    *name = plat_strdup(best);
    return *name ? 0 : UMN_ENOMEM;
}

static const struct umn_registry_ops registry = {
    .open = reg_open,
    .close = reg_close,
    .get = reg_get,
    .set = reg_set,
    .enum_key = reg_enum_key,
};

/* Linkage\Bind of a service: device numbers, -1 ends. */
static void bind_list(const char *service, const int *numbers)
{
    static WCHAR w[5000 * 48];
    char key[120], name[64];
    size_t n = 0;

    for (; *numbers >= 0; numbers++) {
        snprintf(name, sizeof name, "\\Device\\{%08X-0000-0000-0000-000000000000}", *numbers);
        for (const char *c = name; *c; c++)
            w[n++] = (unsigned char)*c;
        w[n++] = 0;
    }
    w[n++] = 0;
    snprintf(key, sizeof key, SET "Services\\%s\\Linkage", service);
    reg_put(key, "Bind", REG_MULTI_SZ, w, n * 2);
}
#define BIND(service, ...) bind_list(service, (const int[]){__VA_ARGS__, -1})

/* ---- devices
 * ------------------------------------------------------------------------------------------ */

struct device {
    DEVICE_OBJECT *pdo;
    DRIVER_OBJECT *driver;
    struct umn_devnode node;
    char id[32], key[80];
};
#define MAX_DEVICES 4200
static struct device devices[MAX_DEVICES];
static DRIVER_OBJECT *bus, *nic_driver, *mux_driver, *pa_driver, *pb_driver;

static NTSTATUS NTAPI BusPnp(DEVICE_OBJECT *Device, IRP *Irp)
{
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static void NTAPI BusUnload(DRIVER_OBJECT *Driver)
{
}

static NTSTATUS NTAPI BusEntry(DRIVER_OBJECT *Driver, UNICODE_STRING *Path)
{
    Driver->MajorFunction[IRP_MJ_PNP] = BusPnp;
    Driver->MajorFunction[IRP_MJ_POWER] = BusPnp;
    Driver->DriverUnload = BusUnload;
    return STATUS_SUCCESS;
}

static void guid_of(int number, char *out)
{
    sprintf(out, "{%08x-0000-0000-0000-000000000000}", number);
}

static const char *name_of(int number)
{
    static _Thread_local char name[64];

    snprintf(name, sizeof name, "\\Device\\{%08x-0000-0000-0000-000000000000}", number);
    return name;
}

/* Enumerates device `number` for a driver: PDO and AddDevice. */
static NTSTATUS add(int number, DRIVER_OBJECT *driver)
{
    struct device *d = &devices[number];
    char guid[64], key[200];
    NTSTATUS status;

    memset(d, 0, sizeof *d);
    guid_of(number, guid);
    snprintf(d->id, sizeof d->id, "ROOT\\NET\\%04d", number);
    snprintf(d->key, sizeof d->key, "{4d36e972-e325-11ce-bfc1-08002be10318}\\%04d", number);
    snprintf(key, sizeof key, SET "Control\\Class\\%s", d->key);
    if (!value_find(key, "NetCfgInstanceId"))
        reg_text(key, "NetCfgInstanceId", guid);
    status = IoCreateDevice(bus, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &d->pdo);
    if (!NT_SUCCESS(status)) {
        d->pdo = NULL;
        return status;
    }
    d->pdo->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    d->node = (struct umn_devnode){d->pdo, d->id, d->key, "x", d};
    umn__pdo_set_node(d->pdo, &d->node);
    d->driver = driver;
    status = driver->DriverExtension->AddDevice(driver, d->pdo);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(d->pdo);
        d->pdo = NULL;
    }
    return status;
}

static NTSTATUS irp(int number, UCHAR minor)
{
    return devices[number].pdo ? umn__irp_pnp(devices[number].pdo, minor, NULL, NULL)
                               : STATUS_NO_SUCH_DEVICE;
}

static NTSTATUS start(int number)
{
    return irp(number, IRP_MN_START_DEVICE);
}

static void gone(int number)
{
    if (!devices[number].pdo)
        return;
    irp(number, IRP_MN_REMOVE_DEVICE);
    umn__pdo_set_node(devices[number].pdo, NULL);
    IoDeleteDevice(devices[number].pdo);
    devices[number].pdo = NULL;
}

#include "ndis_world_drivers.h"

/* ---- life of the world
 * ---------------------------------------------------------------------------------------- */

static bool load(const char *service, PDRIVER_INITIALIZE entry, DRIVER_OBJECT **out)
{
    return umn__driver_load(service, entry, NULL, out, NULL) == 0;
}

static void unload(DRIVER_OBJECT **driver)
{
    if (*driver)
        umn__driver_unload(*driver);
    *driver = NULL;
}

/* Every device gone (those of the mux first), every driver unloaded. */
static void tear_down(void)
{
    for (int i = MAX_DEVICES - 1; i > 0; i--)
        gone(i);
    unload(&pa_driver);
    unload(&pb_driver);
    unload(&mux_driver);
    unload(&nic_driver);
    unload(&bus);
}

static void (*world_test)(void);
static void world_main(void *arg)
{
    if (load("bus", BusEntry, &bus))
        world_test();
    tear_down();
}

static void world_reset(void)
{
    memset(&script, 0, sizeof script);
    script.mux_minor = script.pa_minor = 30;
    memset(mps, 0, sizeof mps);
    memset(devices, 0, sizeof devices);
    init_calls = halt_calls = 0;
    *log_text = *failure = 0;
    pended_event = NULL;
    umn_list_init(&bounds);
    bus = nic_driver = mux_driver = pa_driver = pb_driver = NULL;
    registry_reads = 0;
}

/* One run. Returns umn__sched_run's result; reports and leaks are the caller's to judge. */
static enum umn_backend world_backend = UMN_BACKEND_EXPLORE;
static int world_run(void (*test)(void), enum umn_strategy strategy, uint64_t seed)
{
    struct umn_sched_config config = {.backend = world_backend, .strategy = strategy, .seed = seed};
    int error = umn__sched_start(&config);

    if (error)
        return error;
    error = umn__nt_start();
    if (!error) {
        umn__registry_set(&registry);
        error = umn__ndis_start();
        if (!error) {
            world_test = test;
            error = umn__sched_run(world_main, NULL);
            if (error == UMN_EHANG)
                snprintf(failure, sizeof failure, "hang: %.380s", umn__sched_describe());
            else
                umn__ndis_stop();
        }
        umn__registry_set(NULL);
        if (error != UMN_EHANG)
            umn__nt_stop();
    }
    umn__sched_stop();
    return error;
}

/* ---- runs
 * ------------------------------------------------------------------------------------------ */

static void run_plain(void (*test)(void))
{
    size_t live = plat_alloc_live();

    world_reset();
    umn__report_reset();
    assert_int_equal(world_run(test, UMN_STRATEGY_FIFO, 0), 0);
    reg_free();
    if (*failure)
        fail_msg("%s", failure);
    assert_int_equal(init_calls, halt_calls);
    assert_int_equal(plat_alloc_live(), live);
}

/* No report at all. */
static void run_clean(void (*test)(void))
{
    run_plain(test);
    if (umn__report_count())
        fail_msg("%s: %s", umn__report_get(0)->rule, umn__report_get(0)->text);
}

/* Exactly these many reports, all of the rule. */
static void run_reported(void (*test)(void), const char *rule, unsigned times)
{
    umn__report_quiet(true);
    run_plain(test);
    umn__report_quiet(false);
    if (umn__report_count() != umn__report_count_rule(rule) ||
        umn__report_count_rule(rule) != times)
        fail_msg("%u reports, %u of %s; first: %s", umn__report_count(),
                 umn__report_count_rule(rule), rule,
                 umn__report_get(0) ? umn__report_get(0)->text : "");
}

/* ---- two usual worlds ---------------------------------------------------------------------------
 */

/* nic 1, mux over it, pa over VMs 100, 101. */
static void mux_world(void)
{
    BIND("mux", 1);
    BIND("pa", 100, 101, 102);
    CHECK(load("nic", NicEntry, &nic_driver));
    CHECK(load("mux", MuxEntry, &mux_driver));
    CHECK(load("pa", PaEntry, &pa_driver));
    add(1, nic_driver);
    start(1);
    *log_text = 0;
}

static void one_nic(void)
{
    BIND("pa", 1);
    CHECK(load("nic", NicEntry, &nic_driver));
    add(1, nic_driver);
    EQ(start(1), STATUS_SUCCESS);
    *log_text = 0;
}

#endif
