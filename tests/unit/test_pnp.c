/* SPDX-License-Identifier: MIT */
/*
 * The PnP manager and the box with a plain WDM driver ("tdev", no NDIS): what is sent in which
 * order, what a driver's refusal leads to, what the end of a box takes down, failing allocations,
 * schedules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ntddk.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "check/check.h"
#include "config/config.h"
#include "image/image.h"
#include "nt/nt.h"
#include "plat/plat.h"
#include "sched/sched.h"
#include "umndis/umhost.h"
#include "umndis/umndis.h"

/* A check in a box: contexts may not longjmp out of it, so the first failure is kept. */
static char failure[256];
#define CHECK(c)                                                                                   \
    do {                                                                                           \
        if (!(c) && !*failure)                                                                     \
            snprintf(failure, sizeof failure, "%s:%d: %s (%s)", __FILE__, __LINE__, #c,            \
                     umn_last_error());                                                            \
    } while (0)
#define OK(x) CHECK((x) == 0)

/* ---- the driver ------------------------------------------------------------------------------ */

static char log_text[4096];
static struct {
    NTSTATUS entry, add;
    int fail_minor; /* -1: none */
    NTSTATUS fail;
    uint32_t start_ctx;
    KIRQL start_irql;
    DEVICE_OBJECT *last_pdo;
    unsigned inside, most_inside;
    bool leave_device;
} script;

struct extension {
    DEVICE_OBJECT *next, *pdo;
};

static void note(const char *fmt, ...)
{
    size_t used = strlen(log_text);
    va_list args;

    va_start(args, fmt);
    vsnprintf(log_text + used, sizeof log_text - used, fmt, args);
    va_end(args);
}

static const char *number_of(DEVICE_OBJECT *pdo)
{
    struct umn_devnode *node = umn__pdo_node(pdo);
    const char *slash = node ? strrchr(node->instance_id, '\\') : NULL;

    return slash ? slash + 4 : "?"; /* last digit of NNNN */
}

static NTSTATUS NTAPI DevPnp(DEVICE_OBJECT *Device, IRP *Irp)
{
    IO_STACK_LOCATION *Location = IoGetCurrentIrpStackLocation(Irp);
    struct extension *Extension = Device->DeviceExtension;
    UCHAR Minor = Location->MinorFunction;
    NTSTATUS Status;

    note("%s:%x ", number_of(Extension->pdo), Minor);
    if (++script.inside > script.most_inside)
        script.most_inside = script.inside;
    umn__point(UMN_OP_YIELD, NULL);
    script.inside--;
    if (Minor == IRP_MN_START_DEVICE) {
        script.start_ctx = umn__ctx_id(umn__ctx_self());
        script.start_irql = KeGetCurrentIrql();
    }
    if (Minor == script.fail_minor) {
        UmhExplain("the %s of device %s is broken", "engine", number_of(Extension->pdo));
        Irp->IoStatus.Status = script.fail;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return script.fail;
    }
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Extension->next, Irp);
    if (Minor == IRP_MN_REMOVE_DEVICE && !script.leave_device) {
        IoDetachDevice(Extension->next);
        IoDeleteDevice(Device);
    }
    return Status;
}

static NTSTATUS NTAPI DevAdd(DRIVER_OBJECT *Driver, DEVICE_OBJECT *Pdo)
{
    struct extension *Extension;
    DEVICE_OBJECT *Device;
    NTSTATUS Status;

    note("add ");
    if (!NT_SUCCESS(script.add))
        return script.add;
    Status =
        IoCreateDevice(Driver, sizeof *Extension, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device);
    if (!NT_SUCCESS(Status))
        return Status;
    Extension = Device->DeviceExtension;
    Extension->pdo = script.last_pdo = Pdo;
    Extension->next = IoAttachDeviceToDeviceStack(Device, Pdo);
    Device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static void NTAPI DevUnload(DRIVER_OBJECT *Driver)
{
    note("unload:%s ", umn__driver_service(Driver));
}

static NTSTATUS NTAPI DevEntry(DRIVER_OBJECT *Driver, UNICODE_STRING *Path)
{
    note("entry:%s ", umn__driver_service(Driver));
    Driver->DriverExtension->AddDevice = DevAdd;
    Driver->DriverUnload = DevUnload;
    Driver->MajorFunction[IRP_MJ_PNP] = DevPnp;
    return script.entry;
}

static NTSTATUS NTAPI BareEntry(DRIVER_OBJECT *Driver, UNICODE_STRING *Path)
{
    Driver->DriverUnload = DevUnload;
    return STATUS_SUCCESS;
}

/* ---- running --------------------------------------------------------------------------------- */

static void reset(void)
{
    memset(&script, 0, sizeof script);
    script.fail_minor = -1;
    *log_text = 0;
    *failure = 0;
}

static int run_box(void (*fn)(void *), uint64_t seed)
{
    struct umn_box_config config = {.backend = UMN_BOX_EXPLORE, .seed = seed};
    int error;

    reset();
    error = umn_box_create(&config);
    if (error)
        return error;
    error = umn_box_run(fn, NULL);
    umn_box_destroy();
    return error;
}

static void in_box(void (*fn)(void *))
{
    size_t live = plat_alloc_live();

    assert_int_equal(run_box(fn, 0), 0);
    if (*failure)
        fail_msg("%s", failure);
    assert_int_equal(umn__report_count(), 0);
    assert_int_equal(plat_alloc_live(), live);
}

static char id[64], guid[64];

static int make(const char *service, char *instance, bool is_virtual)
{
    struct umn_device_desc desc = {service, "root\\tdev", "a test device", NULL};
    char image[32], key[128], g[64];
    int error;

    snprintf(image, sizeof image, "builtin:%s", strncmp(service, "bare", 4) ? "tdev" : "bare");
    error = umn__netcfg_add_service(service, "miniport", image);
    if (!error)
        error = umn__pnp_create_device(&desc, instance, g);
    if (error)
        return error;
    strcpy(guid, g);
    error = umn__pnp_driver_key(instance, key);
    return error || !is_virtual ? error : umn__reg_set_dword(key, "Characteristics", 1);
}

struct look {
    const char *id;
    char state[32], explain[256], service[32];
    int32_t problem;
    unsigned count;
};

static bool look_at(void *arg, const struct umn_device_info *info)
{
    struct look *look = arg;

    look->count++;
    if (strcmp(info->instance_id, look->id) != 0)
        return true;
    snprintf(look->state, sizeof look->state, "%s", info->state);
    snprintf(look->explain, sizeof look->explain, "%s", info->explain);
    snprintf(look->service, sizeof look->service, "%s", info->service);
    look->problem = info->problem;
    return true;
}

static struct look look(const char *instance)
{
    struct look l = {.id = instance};

    umn__pnp_devices(look_at, &l);
    return l;
}

#define STATE(instance, expected) CHECK(strcmp(look(instance).state, expected) == 0)
#define LOG(expected)                                                                              \
    do {                                                                                           \
        if (strcmp(log_text, expected) != 0 && !*failure)                                          \
            snprintf(failure, sizeof failure, "line %d: log is \"%s\", expected \"%s\"", __LINE__, \
                     log_text, expected);                                                          \
        *log_text = 0;                                                                             \
    } while (0)

/* ---- one device ------------------------------------------------------------------------------ */

static void im_pnp_05_box(void *arg)
{
    int32_t status = 1;

    OK(make("tdev", id, false));
    STATE(id, "Stopped");
    OK(umn__pnp_start_device(id, &status));
    CHECK(status == STATUS_SUCCESS);
    LOG("entry:tdev add 0:0 ");
    CHECK(script.start_irql == PASSIVE_LEVEL);
    CHECK(script.start_ctx != umn__ctx_id(umn__ctx_self()));
    STATE(id, "Started");
    CHECK(umn__pnp_start_device(id, NULL) == UMN_ESTATE);
    CHECK(umn__pnp_delete_device(id) == UMN_ESTATE);
    OK(umn__pnp_remove_device(id));
    LOG("0:1 0:2 ");
    STATE(id, "Removed");
    OK(umn__pnp_remove_device(id)); /* IM-PNP-06: nothing there, nothing to refuse */
    OK(umn__pnp_start_device(id, NULL));
    OK(umn__pnp_remove_device(id));
    LOG("add 0:0 0:1 0:2 ");
    OK(umn__pnp_delete_device(id));
    CHECK(look(id).count == 0);
    CHECK(umn__pnp_start_device(id, NULL) == UMN_ENOENT);
    CHECK(umn__pnp_find_guid(guid, id) == UMN_ENOENT);
}

static void im_pnp_05_start_comes_in_a_system_thread(void **state)
{
    in_box(im_pnp_05_box);
    assert_string_equal(log_text, "unload:tdev ");
}

static void failing_start_box(void *arg)
{
    int32_t status = 0;

    OK(make("tdev", id, false));
    script.fail_minor = IRP_MN_START_DEVICE;
    script.fail = STATUS_DEVICE_NOT_CONNECTED;
    CHECK(umn__pnp_start_device(id, &status) == UMN_EDRIVER);
    CHECK(status == STATUS_DEVICE_NOT_CONNECTED);
    LOG("entry:tdev add 0:0 0:2 ");
    CHECK(strstr(umn_last_error(), "engine of device 0 is broken"));
    CHECK(strstr(umn_last_error(), "0xc000009d"));
    STATE(id, "Failed");
    CHECK(look(id).problem == STATUS_DEVICE_NOT_CONNECTED);
    CHECK(strcmp(look(id).explain, "the engine of device 0 is broken") == 0);
    script.fail_minor = -1;
    OK(umn__pnp_start_device(id, NULL));
    CHECK(look(id).problem == 0 && !*look(id).explain);
    OK(umn__pnp_remove_device(id));
    *log_text = 0;
    script.add = STATUS_UNSUCCESSFUL;
    CHECK(umn__pnp_start_device(id, &status) == UMN_EDRIVER);
    CHECK(status == STATUS_UNSUCCESSFUL);
    LOG("add ");
    STATE(id, "Failed");
    OK(umn__pnp_remove_device(id));
    STATE(id, "Removed");
}

static void a_failing_start_is_undone(void **state)
{
    in_box(failing_start_box);
}

static void veto_box(void *arg)
{
    OK(make("tdev", id, false));
    OK(umn__pnp_start_device(id, NULL));
    *log_text = 0;
    script.fail_minor = IRP_MN_QUERY_REMOVE_DEVICE;
    script.fail = STATUS_DEVICE_BUSY;
    CHECK(umn__pnp_remove_device(id) == UMN_EBUSY);
    CHECK(strstr(umn_last_error(), "engine"));
    LOG("0:1 0:3 ");
    STATE(id, "Started");
    CHECK(umn__pnp_disable_device(id) == UMN_EBUSY);
    STATE(id, "Started");
    *log_text = 0;
    script.fail_minor = IRP_MN_QUERY_STOP_DEVICE;
    CHECK(umn__pnp_stop_device(id) == UMN_EBUSY);
    LOG("0:5 0:6 ");
    STATE(id, "Started");
    script.fail_minor = IRP_MN_QUERY_REMOVE_DEVICE; /* the end of the box takes no refusal */
}

static void a_veto_is_respected_until_the_box_ends(void **state)
{
    in_box(veto_box);
    assert_string_equal(log_text, "0:1 0:3 0:17 0:2 unload:tdev ");
}

static void stop_box(void *arg)
{
    OK(make("tdev", id, false));
    CHECK(umn__pnp_stop_device(id) == UMN_ESTATE);
    CHECK(umn__pnp_restart_device(id) == UMN_ESTATE);
    OK(umn__pnp_start_device(id, NULL));
    OK(umn__pnp_stop_device(id));
    STATE(id, "Stopped");
    CHECK(umn__pnp_start_device(id, NULL) == UMN_ESTATE);
    OK(umn__pnp_restart_device(id));
    STATE(id, "Started");
    LOG("entry:tdev add 0:0 0:5 0:4 0:0 ");
    OK(umn__pnp_stop_device(id));
    script.fail_minor = IRP_MN_START_DEVICE;
    script.fail = STATUS_UNSUCCESSFUL;
    CHECK(umn__pnp_restart_device(id) == UMN_EDRIVER);
    LOG("0:5 0:4 0:0 0:2 ");
    STATE(id, "Failed");
    script.fail_minor = -1;
    OK(umn__pnp_start_device(id, NULL));
    OK(umn__pnp_stop_device(id));
    OK(umn__pnp_remove_device(id));
    LOG("add 0:0 0:5 0:4 0:1 0:2 ");
}

static void stop_and_restart(void **state)
{
    in_box(stop_box);
}

static void disable_box(void *arg)
{
    OK(make("tdev", id, false));
    OK(umn__pnp_start_device(id, NULL));
    OK(umn__pnp_disable_device(id));
    STATE(id, "Disabled");
    CHECK(umn__pnp_start_device(id, NULL) == UMN_ESTATE);
    OK(umn__pnp_start_all());
    STATE(id, "Disabled");
    OK(umn__pnp_enable_device(id));
    STATE(id, "Started");
    LOG("entry:tdev add 0:0 0:1 0:2 add 0:0 ");
}

static void disable_and_enable(void **state)
{
    in_box(disable_box);
}

static void wait_for_state(const char *instance, const char *expected)
{
    for (int i = 0; i < 1000 && strcmp(look(instance).state, expected) != 0; i++)
        umn__point(UMN_OP_YIELD, NULL);
    STATE(instance, expected);
}

static void surprise_box(void *arg)
{
    KIRQL old;

    OK(make("tdev", id, false));
    CHECK(umn__pnp_surprise_remove(id) == UMN_ESTATE);
    OK(umn__pnp_start_device(id, NULL));
    OK(umn__pnp_surprise_remove(id));
    STATE(id, "SurpriseRemoved");
    LOG("entry:tdev add 0:0 0:17 0:2 ");
    OK(umn__pnp_start_device(id, NULL));
    *log_text = 0;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    UmhDeviceGone(script.last_pdo);
    UmhDeviceGone(script.last_pdo); /* once is enough */
    KeLowerIrql(old);
    wait_for_state(id, "SurpriseRemoved");
    LOG("0:17 0:2 ");
    OK(umn__pnp_start_device(id, NULL));
    UmhDeviceGone(script.last_pdo); /* the end of the box comes in between */
}

static void surprise_removal_by_host_and_driver(void **state)
{
    in_box(surprise_box);
}

static void refusals_box(void *arg)
{
    char bare[64];

    CHECK(umn__pnp_start_device("ROOT\\NET\\0000", NULL) == UMN_ENOENT);
    OK(make("tdev", id, false));
    OK(make("bare", bare, false));
    CHECK(umn__pnp_start_device(bare, NULL) == UMN_EDRIVER);
    CHECK(strstr(umn_last_error(), "AddDevice"));
    OK(umn__reg_set_dword(UMN_KEY_SERVICES "\\tdev", "Start", 4));
    CHECK(umn__pnp_start_device(id, NULL) == UMN_ESTATE);
    STATE(id, "Failed");
    OK(umn__reg_set_dword(UMN_KEY_SERVICES "\\tdev", "Start", 3));
    OK(umn__reg_set_sz(UMN_KEY_SERVICES "\\tdev", "ImagePath", "builtin:nobody"));
    CHECK(umn__pnp_start_device(id, NULL) == UMN_ENOENT);
    OK(umn__netcfg_driver_path("/nonexistent:/tmp"));
    OK(umn__reg_set_sz(UMN_KEY_SERVICES "\\tdev", "ImagePath",
                       "\\SystemRoot\\System32\\drivers\\nosuchdriver.sys"));
    CHECK(umn__pnp_start_device(id, NULL) == UMN_ENOENT);
    CHECK(strstr(umn_last_error(), "nosuchdriver.sys") && strstr(umn_last_error(), "/nonexistent"));
    OK(umn__reg_set_sz(UMN_KEY_SERVICES "\\tdev", "ImagePath", "builtin:tdev"));
    script.entry = STATUS_NO_SUCH_DEVICE;
    CHECK(umn__pnp_start_device(id, NULL) == UMN_EDRIVER);
    CHECK(strstr(umn_last_error(), "DriverEntry"));
    CHECK(look(id).problem == STATUS_NO_SUCH_DEVICE);
    script.entry = STATUS_SUCCESS;
    OK(umn__pnp_start_device(id, NULL));
    CHECK(umn__netcfg_unload("tdev") == UMN_ESTATE);
    OK(umn__pnp_remove_device(id));
    OK(umn__netcfg_unload("tdev"));
    CHECK(umn__netcfg_unload("tdev") == UMN_ENOENT);
    OK(umn__reg_delete_value(UMN_KEY_ENUM "\\ROOT\\NET\\0000", "Driver"));
    CHECK(umn__pnp_delete_device(id) == UMN_ENOENT);
}

static void refusals_say_what(void **state)
{
    in_box(refusals_box);
}

/* ---- several --------------------------------------------------------------------------------- */

static void order_box(void *arg)
{
    char lower[64], vm[64], vm2[64];

    OK(make("low", lower, false));
    OK(make("vm", vm, true));
    OK(make("vm", vm2, true));
    OK(umn__netcfg_load("vm"));
    OK(umn__pnp_start_all());
    LOG("entry:vm entry:low add 0:0 add 1:0 add 2:0 ");
}

static void the_box_ends_from_the_top(void **state)
{
    in_box(order_box);
    assert_string_equal(log_text, "2:1 2:2 1:1 1:2 0:1 0:2 unload:low unload:vm ");
}

static void churn(void *arg)
{
    for (int i = 0; i < 3; i++) {
        int error = umn__pnp_start_device(id, NULL);

        CHECK(error == 0 || error == UMN_ESTATE);
        OK(umn__pnp_remove_device(id));
    }
}

static void contended_box(void *arg)
{
    struct umn_ctx *ctx[3];

    OK(make("tdev", id, false));
    for (int i = 0; i < 3; i++)
        OK(umn__ctx_spawn(&ctx[i], churn, NULL, "churn"));
    for (int i = 0; i < 3; i++)
        umn__ctx_join(ctx[i]);
    CHECK(script.most_inside == 1);
}

static void starter(void *arg)
{
    OK(umn__pnp_start_device(arg, NULL));
}

static void parallel_box(void *arg)
{
    static char many[3][64];
    struct umn_ctx *ctx[3];

    for (int i = 0; i < 3; i++)
        OK(make("tdev", many[i], false));
    for (int i = 0; i < 3; i++)
        OK(umn__ctx_spawn(&ctx[i], starter, many[i], "starter"));
    for (int i = 0; i < 3; i++)
        umn__ctx_join(ctx[i]);
}

static void operations_on_one_device_are_serial(void **state)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        assert_int_equal(run_box(contended_box, seed), 0);
        if (*failure)
            fail_msg("seed %d: %s", (int)seed, failure);
    }
}

static void operations_on_several_run_side_by_side(void **state)
{
    unsigned most = 0;

    for (uint64_t seed = 0; seed < 100; seed++) {
        assert_int_equal(run_box(parallel_box, seed), 0);
        if (*failure)
            fail_msg("seed %d: %s", (int)seed, failure);
        if (script.most_inside > most)
            most = script.most_inside;
    }
    assert_true(most > 1);
}

/* ---- memory, speed, the box ------------------------------------------------------------------ */

static void left_box(void *arg)
{
    OK(make("tdev", id, false));
    OK(umn__pnp_start_device(id, NULL));
    script.leave_device = true;
}

static void a_device_left_behind_is_reported(void **state)
{
    umn__report_quiet(true);
    assert_int_equal(run_box(left_box, 0), UMN_EREPORT);
    assert_int_equal(umn__report_count_rule("RemoveDevice"), 1);
    umn__report_quiet(false);
}

static void nothing(void *arg)
{
}

static void *forgotten;

static void leak_box(void *arg)
{
    forgotten = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, 'kaeL');
    CHECK(forgotten != NULL);
}

static void pool_left_behind_is_reported(void **state)
{
    struct umn_box_config config = {.backend = UMN_BOX_EXPLORE};

    reset();
    assert_int_equal(umn_box_create(&config), 0);
    assert_int_equal(umn_box_run(leak_box, NULL), UMN_EREPORT);
    assert_non_null(strstr(umn_last_error(), "1 block(s) of pool 'Leak'"));
    umn__report_quiet(true);
    umn_box_destroy();
    umn__report_quiet(false);
    assert_int_equal(umn__report_count(), 1);
    assert_non_null(strstr(umn__report_get(0)->text, "Leak"));
    assert_int_equal(run_box(nothing, 0), 0); /* which frees it: the next box does not see it */
    assert_int_equal(umn__report_count(), 0);
}

static void life_box(void *arg)
{
    char lower[64], vm[64];

    if (make("tdev", lower, false) || make("vm", vm, true))
        return;
    umn__pnp_start_all();
    umn__pnp_stop_device(lower);
    umn__pnp_restart_device(lower);
    umn__pnp_disable_device(vm);
    umn__pnp_enable_device(vm);
    if (look(vm).state[0] == 'S' && look(lower).state[0] == 'S')
        UmhDeviceGone(script.last_pdo);
    umn__pnp_remove_device(lower);
    umn__pnp_delete_device(lower);
    umn__netcfg_load("tdev");
}

static void every_allocation_may_fail(void **state)
{
    size_t live;
    uint64_t n;

    assert_int_equal(run_box(nothing, 0), 0);
    live = plat_alloc_live();
    plat_log_level(0); /* devices that do not start are warned about */
    for (n = 1;; n++) {
        bool failed;
        int error;

        plat_fail_alloc_at(n);
        error = run_box(life_box, 0);
        failed = plat_alloc_failed();
        plat_fail_alloc_at(0);
        if (umn__report_count())
            fail_msg("allocation %d: %s", (int)n, umn__report_get(0)->text);
        if (plat_alloc_live() != live)
            fail_msg("allocation %d: %d blocks left", (int)n, (int)(plat_alloc_live() - live));
        if (error != 0 && error != UMN_ENOMEM)
            fail_msg("allocation %d: %s", (int)n, umn_strerror(error));
        if (!failed)
            break;
        assert_true(n < 20000);
    }
    plat_log_level(1);
    print_message("%d allocations\n", (int)n - 1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void an_empty_box_is_cheap(void **state)
{
    double start = now();

    for (int i = 0; i < 2000; i++)
        assert_int_equal(run_box(nothing, 0), 0);
    print_message("%.1f us per empty box\n", (now() - start) / 2000 * 1e6);
    start = now();
    for (int i = 0; i < 500; i++)
        assert_int_equal(run_box(im_pnp_05_box, 0), 0);
    print_message("%.1f us per box with two starts\n", (now() - start) / 500 * 1e6);
}

static void one_box_at_a_time(void **state)
{
    struct umn_box_config config = {.backend = UMN_BOX_EXPLORE};

    assert_int_equal(umn_box_run(nothing, NULL), UMN_ESTATE);
    assert_int_equal(umn_box_create(&config), 0);
    assert_int_equal(umn_box_create(&config), UMN_ESTATE);
    assert_string_not_equal(umn_last_error(), "");
    umn_box_destroy();
    umn_box_destroy();
    config.registry = "/nonexistent/registry.db";
    assert_int_equal(umn_box_create(&config), UMN_ENOENT);
    assert_non_null(strstr(umn_last_error(), "/nonexistent/registry.db"));
    assert_string_equal(umn_version(), "0.1.0");
}

static void hang_box(void *arg)
{
    KEVENT event;

    OK(make("tdev", id, false));
    OK(umn__pnp_start_device(id, NULL));
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
}

static void a_hang_is_an_answer(void **state)
{
    umn__report_quiet(true);
    assert_int_equal(run_box(hang_box, 0), UMN_EHANG);
    umn__report_quiet(false);
    assert_int_equal(run_box(im_pnp_05_box, 0), 0); /* and the next box starts clean */
    assert_string_equal(failure, "");
}

static void threads_box(void *arg)
{
    struct umn_ctx *ctx[3];

    OK(make("tdev", id, false));
    for (int i = 0; i < 3; i++)
        OK(umn__ctx_spawn(&ctx[i], churn, NULL, "churn"));
    for (int i = 0; i < 3; i++)
        umn__ctx_join(ctx[i]);
    umn__pnp_start_device(id, NULL);
}

static void equal_seeds_make_equal_runs(void **state)
{
    for (uint64_t seed = 1; seed < 4; seed++) {
        char first[64];
        uint64_t hash;

        assert_int_equal(run_box(contended_box, seed), 0);
        strcpy(first, guid);
        hash = umn__sched_hash();
        assert_int_equal(run_box(contended_box, seed), 0);
        assert_string_equal(guid, first);
        assert_true(umn__sched_hash() == hash);
    }
}

static void on_threads(void **state)
{
    struct umn_box_config config = {.backend = UMN_BOX_THREADS, .cpus = 2};

    reset();
    assert_int_equal(umn_box_create(&config), 0);
    assert_int_equal(umn_box_run(threads_box, NULL), 0);
    umn_box_destroy();
    assert_string_equal(failure, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(im_pnp_05_start_comes_in_a_system_thread),
        cmocka_unit_test(a_failing_start_is_undone),
        cmocka_unit_test(a_veto_is_respected_until_the_box_ends),
        cmocka_unit_test(stop_and_restart),
        cmocka_unit_test(disable_and_enable),
        cmocka_unit_test(surprise_removal_by_host_and_driver),
        cmocka_unit_test(refusals_say_what),
        cmocka_unit_test(the_box_ends_from_the_top),
        cmocka_unit_test(operations_on_one_device_are_serial),
        cmocka_unit_test(operations_on_several_run_side_by_side),
        cmocka_unit_test(a_device_left_behind_is_reported),
        cmocka_unit_test(pool_left_behind_is_reported),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(one_box_at_a_time),
        cmocka_unit_test(a_hang_is_an_answer),
        cmocka_unit_test(equal_seeds_make_equal_runs),
        cmocka_unit_test(on_threads),
        cmocka_unit_test(an_empty_box_is_cheap),
    };

    umn__image_builtin("tdev", DevEntry);
    umn__image_builtin("bare", BareEntry);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
