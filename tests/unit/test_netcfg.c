/* SPDX-License-Identifier: MIT */
/*
 * netcfg: which keys an operation writes, what it refuses before it writes any, and that a failure
 * - of memory or of a driver - leaves the registry as it was. The driver is a plain WDM one: what
 * NDIS makes of the keys is tested in tests/conformance.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ntddk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "check/check.h"
#include "config/config.h"
#include "image/image.h"
#include "nt/nt.h"
#include "plat/plat.h"
#include "sched/sched.h"
#include "umndis/umndis.h"

#define OK(x)                                                                                      \
    do {                                                                                           \
        int ok_ = (x);                                                                             \
        if (ok_)                                                                                   \
            fail_msg("%s: %s: %s", #x, umn_strerror(ok_), umn__refusal());                         \
    } while (0)
/* Refused with this error, this text in the message, and nothing written. */
#define REFUSED(x, error, part)                                                                    \
    do {                                                                                           \
        uint64_t before_ = umn__reg_generation();                                                  \
        umn__refusal_clear();                                                                      \
        assert_int_equal((x), (error));                                                            \
        if (!strstr(umn__refusal(), (part)))                                                       \
            fail_msg("%s: says \"%s\", expected \"%s\" in it", #x, umn__refusal(), (part));        \
        assert_int_equal(umn__reg_generation(), before_);                                          \
    } while (0)

static char lower_id[64], lower[64];

static char *get(const char *key, const char *name)
{
    static char text[4][256];
    static int next;
    char *out = text[next++ % 4], *t = NULL;

    if (umn__reg_get_sz(key, name, &t))
        return "(none)";
    snprintf(out, sizeof text[0], "%s", t);
    plat_free(t);
    return out;
}

/* A list as "a,b". */
static char *list(const char *key, const char *name)
{
    static char text[4][1024];
    static int next;
    char *out = text[next++ % 4], **items;
    size_t count;

    *out = 0;
    if (umn__reg_get_multi(key, name, &items, &count))
        return "(none)";
    for (size_t i = 0; i < count; i++)
        snprintf(out + strlen(out), sizeof text[0] - strlen(out), "%s%s", i ? "," : "", items[i]);
    plat_free(items);
    return out;
}

static bool print_one(void *arg, const char *path, const char *name, uint32_t type,
                      const void *data, size_t size)
{
    fprintf(arg, "%s|%s|%u|%zu|", path, name ? name : "-", type, size);
    if (size)
        fwrite(data, 1, size, arg);
    return true;
}

static char *dump(size_t *size)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, size);

    OK(umn__reg_walk("", print_one, f));
    fclose(f);
    return text;
}

static int prepare(void)
{
    int error = umn__netcfg_add_service("nic", "miniport", "builtin:tdev");

    if (!error)
        error = umn__netcfg_add_service("mux", "intermediate", "builtin:tdev");
    if (!error)
        error = umn__netcfg_add_service("tap", "protocol", "builtin:tdev");
    if (!error)
        error = umn__netcfg_add_adapter("nic", "eth0", NULL, 0, false, lower_id, lower);
    return error ? error : umn__netcfg_bind("mux", lower);
}

static int open_registry(void **state)
{
    umn__reg_close();
    return umn__reg_open(NULL) ? -1 : 0;
}

static int close_registry(void **state)
{
    umn__reg_close();
    return 0;
}

static struct umn_vm_desc a_vm(void)
{
    return (struct umn_vm_desc){.service = "mux", .lower_guid = lower, .upper = "tap"};
}

/* ---- services -------------------------------------------------------------------------------- */

static void services_get_their_keys(void **state)
{
    const char *mux = UMN_KEY_SERVICES "\\mux";
    uint32_t n;

    OK(umn__netcfg_add_service("mux", "intermediate", "mux"));
    assert_string_equal(get(mux, "ImagePath"), "mux");
    assert_string_equal(get(mux, "Group"), "NDIS");
    OK(umn__reg_get_dword(mux, "Start", &n));
    assert_int_equal(n, 3);
    OK(umn__reg_get_dword(mux, "Type", &n));
    assert_int_equal(n, 1);
    assert_string_equal(list(UMN_KEY_SERVICES "\\mux\\Linkage", "Bind"), "");
    assert_true(umn__reg_key_exists(UMN_KEY_SERVICES "\\mux\\Parameters\\Adapters"));
    OK(umn__netcfg_add_service("nic", "miniport", "nic"));
    assert_false(umn__reg_key_exists(UMN_KEY_SERVICES "\\nic\\Linkage"));
    OK(umn__netcfg_add_service("mux", "intermediate", "mux"));
    REFUSED(umn__netcfg_add_service("MUX", "intermediate", "other"), UMN_EEXIST, "\"mux\"");
    REFUSED(umn__netcfg_add_service("x", "filter", "x"), UMN_EINVAL, "expected miniport");
    REFUSED(umn__netcfg_add_service("a\\b", "miniport", "x"), UMN_EINVAL, "a\\b");
    REFUSED(umn__netcfg_add_service("", "miniport", "x"), UMN_EINVAL, "service name");
    REFUSED(umn__netcfg_add_service("x", "miniport", ""), UMN_EINVAL, "image");
    REFUSED(umn__netcfg_remove_service("y"), UMN_ENOENT, "y");
    REFUSED(umn__netcfg_load("mux"), UMN_ESTATE, "not running");
    OK(umn__netcfg_remove_service("mux"));
    assert_false(umn__reg_key_exists(mux));
}

/* ---- adapters and bindings ------------------------------------------------------------------- */

static void adapters_and_bindings_get_their_keys(void **state)
{
    struct umn_setting settings[] = {{"Interface", "eth0", 0}, {"Mtu", NULL, 9000}};
    char id[64], guid[64], key[128], linkage[160], text[200];
    uint32_t n;

    OK(prepare());
    OK(umn__netcfg_add_adapter("nic", "Second", settings, 2, false, id, guid));
    assert_string_equal(id, "ROOT\\NET\\0001");
    OK(umn__pnp_driver_key(id, key));
    assert_string_equal(key, UMN_KEY_CLASS_NET "\\0001");
    assert_string_equal(get(key, "NetCfgInstanceId"), guid);
    assert_string_equal(get(key, "Interface"), "eth0");
    assert_string_equal(get(key, "DriverDesc"), "Second");
    assert_string_equal(get(key, "DeviceInstanceID"), id);
    OK(umn__reg_get_dword(key, "Mtu", &n));
    assert_int_equal(n, 9000);
    OK(umn__reg_get_dword(key, "Characteristics", &n));
    assert_int_equal(n, 4);
    snprintf(linkage, sizeof linkage, "%s\\Linkage", key);
    snprintf(text, sizeof text, "\\Device\\%s", guid);
    assert_string_equal(list(linkage, "Export"), text);
    assert_string_equal(list(linkage, "RootDevice"), guid);
    assert_string_equal(list(linkage, "UpperBind"), "");
    assert_string_equal(get(UMN_KEY_ENUM "\\ROOT\\NET\\0001", "Service"), "nic");
    assert_string_equal(list(UMN_KEY_ENUM "\\ROOT\\NET\\0001", "HardwareID"), "root\\umn_nic");
    assert_string_equal(get(UMN_KEY_ENUM "\\ROOT\\NET\\0001", "FriendlyName"), "Second");
    OK(umn__netcfg_bind("tap", guid));
    OK(umn__netcfg_bind("tap", lower));
    OK(umn__netcfg_bind("mux", guid));
    OK(umn__netcfg_bind("mux", guid)); /* again: no change */
    assert_string_equal(list(linkage, "UpperBind"), "tap,mux");
    snprintf(text, sizeof text, "\\Device\\%s,\\Device\\%s", guid, lower);
    assert_string_equal(list(UMN_KEY_SERVICES "\\tap\\Linkage", "Bind"), text);
    snprintf(text, sizeof text, "\"%s\",\"%s\"", guid, lower);
    assert_string_equal(list(UMN_KEY_SERVICES "\\tap\\Linkage", "Route"), text);
    snprintf(text, sizeof text, "\\Device\\tap_%s,\\Device\\tap_%s", guid, lower);
    assert_string_equal(list(UMN_KEY_SERVICES "\\tap\\Linkage", "Export"), text);
    OK(umn__netcfg_unbind("tap", guid));
    assert_string_equal(list(linkage, "UpperBind"), "mux");
    snprintf(text, sizeof text, "\\Device\\%s", lower);
    assert_string_equal(list(UMN_KEY_SERVICES "\\tap\\Linkage", "Bind"), text);
    REFUSED(umn__netcfg_bind("nic", guid), UMN_EINVAL, "miniport");
    REFUSED(umn__netcfg_bind("none", guid), UMN_ENOENT, "none");
    REFUSED(umn__netcfg_bind("tap", "{00000000-0000-0000-0000-000000000000}"), UMN_ENOENT, "{0000");
    REFUSED(umn__netcfg_add_adapter("tap", "x", NULL, 0, false, id, guid), UMN_EINVAL, "protocol");
    REFUSED(umn__netcfg_add_adapter("nic", "x", NULL, 0, true, id, guid), UMN_ESTATE, "running");
    REFUSED(umn__netcfg_remove_service("nic"), UMN_EBUSY, "2 device");
    OK(umn__netcfg_remove_adapter(id));
    assert_false(umn__reg_key_exists(key));
    snprintf(text, sizeof text, "\\Device\\%s", lower);
    assert_string_equal(list(UMN_KEY_SERVICES "\\mux\\Linkage", "Bind"), text);
    OK(umn__netcfg_remove_service("tap"));
    OK(umn__pnp_driver_key(lower_id, key));
    snprintf(linkage, sizeof linkage, "%s\\Linkage", key);
    assert_string_equal(list(linkage, "UpperBind"), "mux");
}

/* ---- virtual miniports ----------------------------------------------------------------------- */

static void a_virtual_miniport_gets_its_keys(void **state)
{
    struct umn_setting more[] = {{"*JumboPacket", "9014", 0}};
    struct umn_vm_desc desc = a_vm();
    char id[64], guid[64], id2[64], guid2[64], key[128], adapters[200], text[200], tap[200];
    uint32_t n;

    OK(prepare());
    desc.name = "web";
    desc.mac = "02:00:5e:0A:0b:01";
    desc.vlan = 7;
    desc.mode = "vepa";
    desc.settings = more;
    desc.count = 1;
    OK(umn__netcfg_add_vm(&desc, id, guid));
    OK(umn__pnp_driver_key(id, key));
    assert_string_equal(get(key, "HostName"), "web");
    assert_string_equal(get(key, "NetworkAddress"), "02005E0A0B01");
    assert_string_equal(get(key, "VlanId"), "7");
    assert_string_equal(get(key, "MuxMode"), "vepa");
    assert_string_equal(get(key, "LowerAdapter"), lower);
    assert_string_equal(get(key, "*JumboPacket"), "9014");
    OK(umn__reg_get_dword(key, "Characteristics", &n));
    assert_int_equal(n, 1);
    assert_string_equal(get(UMN_KEY_ENUM "\\ROOT\\NET\\0001", "FriendlyName"), "web");
    snprintf(adapters, sizeof adapters, UMN_KEY_SERVICES "\\mux\\Parameters\\Adapters\\%s", lower);
    snprintf(text, sizeof text, "\\Device\\%s", guid);
    assert_string_equal(list(adapters, "UpperBindings"), text);
    assert_string_equal(list(UMN_KEY_SERVICES "\\tap\\Linkage", "Bind"), text);
    snprintf(tap, sizeof tap, UMN_KEY_SERVICES "\\tap\\Parameters\\Adapters\\%s", guid);
    assert_string_equal(get(tap, "HostName"), "web");
    OK(umn__netcfg_unbind("tap", guid));
    assert_string_equal(get(tap, "HostName"), "(none)");
    OK(umn__netcfg_bind("tap", guid));
    assert_string_equal(get(tap, "HostName"), "web");
    desc = a_vm();
    OK(umn__netcfg_add_vm(&desc, id2, guid2));
    OK(umn__pnp_driver_key(id2, key));
    assert_string_equal(get(key, "HostName"), "mux0");
    assert_string_equal(get(key, "NetworkAddress"), "(none)");
    snprintf(text, sizeof text, "\\Device\\%s,\\Device\\%s", guid, guid2);
    assert_string_equal(list(adapters, "UpperBindings"), text);
    REFUSED(umn__netcfg_remove_adapter(lower_id), UMN_EBUSY, "2 virtual miniport");
    REFUSED(umn__netcfg_remove_adapter(id), UMN_EINVAL, "virtual miniport");
    REFUSED(umn__netcfg_remove_vm(lower_id), UMN_EINVAL, "not a virtual");
    REFUSED(umn__netcfg_bind("mux", guid), UMN_EINVAL, "itself"); /* IM-NOT-12 */
    OK(umn__netcfg_remove_vm(id));
    assert_false(umn__reg_key_exists(tap));
    snprintf(text, sizeof text, "\\Device\\%s", guid2);
    assert_string_equal(list(adapters, "UpperBindings"), text);
    assert_string_equal(list(UMN_KEY_SERVICES "\\tap\\Linkage", "Bind"), text);
    REFUSED(umn__netcfg_remove_vm(id), UMN_ENOENT, id);
    OK(umn__netcfg_remove_vm(id2));
    OK(umn__netcfg_remove_adapter(lower_id));
    assert_false(umn__reg_key_exists(adapters));
}

static void many_virtual_miniports_go_at_once(void **state)
{
    static const char *const gone[] = {"ROOT\\NET\\0004", "ROOT\\NET\\0001", "root\\net\\0004"};
    static const char *const unknown[] = {"ROOT\\NET\\0002", "ROOT\\NET\\0009"};
    struct umn_vm_desc desc[4] = {a_vm(), a_vm(), a_vm(), a_vm()};
    const char *const real[] = {"ROOT\\NET\\0002", lower_id};
    char key[256], guid[2][64], text[256];

    OK(prepare());
    OK(umn__netcfg_add_vms(desc, 4));
    OK(umn__pnp_guid("ROOT\\NET\\0002", guid[0]));
    OK(umn__pnp_guid("ROOT\\NET\\0003", guid[1]));
    REFUSED(umn__netcfg_remove_vms(unknown, 2), UMN_ENOENT, "0009");
    REFUSED(umn__netcfg_remove_vms(real, 2), UMN_EINVAL, "not a virtual");
    OK(umn__netcfg_remove_vms(gone, 3));
    snprintf(key, sizeof key, UMN_KEY_SERVICES "\\mux\\Parameters\\Adapters\\%s", lower);
    snprintf(text, sizeof text, "\\Device\\%s,\\Device\\%s", guid[0], guid[1]);
    assert_string_equal(list(key, "UpperBindings"), text);
    assert_string_equal(list(UMN_KEY_SERVICES "\\tap\\Linkage", "Bind"), text);
    assert_false(umn__reg_key_exists(UMN_KEY_ENUM "\\ROOT\\NET\\0004"));
    OK(umn__netcfg_remove_vms(NULL, 0));
}

static void wrong_virtual_miniports_are_refused(void **state)
{
    static const char *const bad_macs[] = {"",
                                           "02:00:00:00:00",
                                           "02:00:00:00:00:0g",
                                           "02:00:00:00:00:01:02",
                                           ":02:00:00:00:00:01",
                                           "02::00:00:00:00:01",
                                           "02:00:00:00:00:01:",
                                           "0200:0:000:00:01",
                                           "00:00:00:00:00:00"};
    static const char *const bad_names[] = {
        "", "a name", "sixteen-letters!", "a/b", "..", "a:b", "a\\b", "a%d"};
    struct umn_vm_desc desc = a_vm(), two[2];
    char id[64], guid[64];

    OK(prepare());
    for (size_t i = 0; i < sizeof bad_macs / sizeof *bad_macs; i++) {
        desc.mac = bad_macs[i];
        REFUSED(umn__netcfg_add_vm(&desc, id, guid), UMN_EINVAL, "MAC address");
    }
    desc.mac = "01:00:5e:00:00:01";
    REFUSED(umn__netcfg_add_vm(&desc, id, guid), UMN_EINVAL, "multicast");
    desc = a_vm();
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++) {
        desc.name = bad_names[i];
        REFUSED(umn__netcfg_add_vm(&desc, id, guid), UMN_EINVAL, "interface name");
    }
    desc = a_vm();
    desc.vlan = 4095;
    REFUSED(umn__netcfg_add_vm(&desc, id, guid), UMN_EINVAL, "VLAN 4095");
    desc.vlan = -1;
    REFUSED(umn__netcfg_add_vm(&desc, id, guid), UMN_EINVAL, "VLAN -1");
    desc = a_vm();
    desc.mode = "passthru";
    REFUSED(umn__netcfg_add_vm(&desc, id, guid), UMN_EINVAL, "expected bridge");
    desc = a_vm();
    desc.lower_guid = "{11111111-2222-3333-4444-555555555555}";
    REFUSED(umn__netcfg_add_vm(&desc, id, guid), UMN_ENOENT, "{1111");
    desc = a_vm();
    desc.service = "nic";
    REFUSED(umn__netcfg_add_vm(&desc, id, guid), UMN_EINVAL, "\"miniport\"");
    desc = a_vm();
    desc.upper = "nobody";
    REFUSED(umn__netcfg_add_vm(&desc, id, guid), UMN_ENOENT, "nobody");
    desc.upper = "mux";
    REFUSED(umn__netcfg_add_vm(&desc, id, guid), UMN_EINVAL, "IM-NOT-12");

    desc = a_vm();
    desc.name = "one";
    desc.mac = "02:00:00:00:00:01";
    OK(umn__netcfg_add_vm(&desc, id, guid));
    REFUSED(umn__netcfg_add_vm(&desc, id, guid), UMN_EEXIST, "name exists");
    desc.name = "two";
    desc.mac = "02-00-00-00-00-01";
    REFUSED(umn__netcfg_add_vm(&desc, id, guid), UMN_EEXIST, "same adapter and VLAN");
    desc.vlan = 5; /* another VLAN is another network */
    OK(umn__netcfg_add_vm(&desc, id, guid));
    two[0] = two[1] = a_vm();
    two[0].mac = two[1].mac = "02:00:00:00:00:09";
    REFUSED(umn__netcfg_add_vms(two, 2), UMN_EEXIST, "same adapter");
    two[1].mac = NULL;
    two[0].name = two[1].name = "same";
    REFUSED(umn__netcfg_add_vms(two, 2), UMN_EEXIST, "name exists");
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define MANY 4096

static void thousands_at_once(void **state)
{
    static struct umn_vm_desc desc[MANY + 1];
    static char mac[MANY + 1][18];
    char folder[] = "/tmp/umn-cfg-XXXXXX", path[64], command[64], id[64], guid[64];
    double start;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/registry.db", folder);
    umn__reg_close();
    OK(umn__reg_open(path));
    OK(prepare());
    for (unsigned i = 0; i <= MANY; i++) {
        desc[i] = a_vm();
        snprintf(mac[i], sizeof mac[i], "02:00:00:00:%02x:%02x", i >> 8, i & 255);
        desc[i].mac = mac[i];
    }
    start = now();
    OK(umn__netcfg_add_vms(desc, MANY));
    print_message("%d virtual miniports: %.3f s", MANY, now() - start);
    start = now();
    OK(umn__netcfg_add_vm(&desc[MANY], id, guid));
    print_message(", one more: %.3f s", now() - start);
    start = now();
    OK(umn__netcfg_remove_vm(id));
    print_message(", one less: %.3f s\n", now() - start);
    umn__reg_close();
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

/* Every operation once; what failed has changed nothing. */
static int offline_scenario(bool *changed)
{
    static const char *const pair[] = {"ROOT\\NET\\0003", "ROOT\\NET\\0002"};
    struct umn_vm_desc desc[3] = {a_vm(), a_vm(), a_vm()};
    char id[64], guid[64], *before = NULL, *after;
    size_t before_size, after_size;
    int error = 0;

    desc[0].mac = "02:00:00:00:00:01";
    for (int step = 0; step < 6 && !error; step++) {
        plat_alloc_forgive(true);
        before = dump(&before_size);
        plat_alloc_forgive(false);
        error = step == 0   ? umn__netcfg_add_vm(&desc[0], id, guid)
                : step == 1 ? umn__netcfg_add_vms(desc + 1, 2)
                : step == 2 ? umn__netcfg_unbind("tap", guid)
                : step == 3 ? umn__netcfg_bind("tap", guid)
                : step == 4 ? umn__netcfg_remove_vm(id)
                            : umn__netcfg_remove_vms(pair, 2);
        plat_alloc_forgive(true);
        after = dump(&after_size);
        plat_alloc_forgive(false);
        *changed = error && (before_size != after_size || memcmp(before, after, after_size) != 0);
        free(before);
        free(after);
    }
    return error;
}

static void failing_memory_changes_nothing(void **state)
{
    size_t live;

    umn__reg_close();
    live = plat_alloc_live();
    for (uint64_t n = 1;; n++) {
        bool changed;
        int error;

        OK(umn__reg_open(NULL));
        OK(prepare());
        plat_fail_alloc_at(n);
        error = offline_scenario(&changed);
        plat_fail_alloc_at(0);
        umn__reg_close();
        assert_false(changed);
        assert_int_equal(plat_alloc_live(), live);
        if (!error)
            break;
        assert_int_equal(error, UMN_ENOMEM);
        assert_true(n < 20000);
    }
}

/* ---- on a running box ------------------------------------------------------------------------ */

static int adds, fail_add_at, removals, veto_at;

struct extension {
    DEVICE_OBJECT *next;
};

static NTSTATUS NTAPI DevPnp(DEVICE_OBJECT *Device, IRP *Irp)
{
    UCHAR Minor = IoGetCurrentIrpStackLocation(Irp)->MinorFunction;
    struct extension *Extension = Device->DeviceExtension;
    NTSTATUS Status;

    if (Minor == IRP_MN_QUERY_REMOVE_DEVICE && ++removals == veto_at) {
        Irp->IoStatus.Status = STATUS_DEVICE_BUSY;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return STATUS_DEVICE_BUSY;
    }
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Extension->next, Irp);
    if (Minor == IRP_MN_REMOVE_DEVICE) {
        IoDetachDevice(Extension->next);
        IoDeleteDevice(Device);
    }
    return Status;
}

static NTSTATUS NTAPI DevAdd(DRIVER_OBJECT *Driver, DEVICE_OBJECT *Pdo)
{
    DEVICE_OBJECT *Device;
    NTSTATUS Status;

    if (++adds == fail_add_at)
        return STATUS_DEVICE_NOT_CONNECTED;
    Status = IoCreateDevice(Driver, sizeof(struct extension), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE,
                            &Device);
    if (!NT_SUCCESS(Status))
        return Status;
    ((struct extension *)Device->DeviceExtension)->next = IoAttachDeviceToDeviceStack(Device, Pdo);
    Device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static void NTAPI DevUnload(DRIVER_OBJECT *Driver)
{
}

static NTSTATUS NTAPI DevEntry(DRIVER_OBJECT *Driver, UNICODE_STRING *Path)
{
    Driver->DriverExtension->AddDevice = DevAdd;
    Driver->DriverUnload = DevUnload;
    Driver->MajorFunction[IRP_MJ_PNP] = DevPnp;
    return STATUS_SUCCESS;
}

static char failure[512];

static void expect(bool fine, int line)
{
    if (!fine && !*failure)
        snprintf(failure, sizeof failure, "line %d: %s", line, umn_last_error());
}
#define CHECK(c) expect((c), __LINE__)

static bool count_started(void *arg, const struct umn_device_info *info)
{
    if (strcmp(info->state, "Started") == 0)
        ++*(int *)arg;
    return true;
}

static int started(void)
{
    int n = 0;

    umn__pnp_devices(count_started, &n);
    return n;
}

static int run_box(void (*fn)(void *))
{
    struct umn_box_config config = {.backend = UMN_BOX_EXPLORE};
    int error;

    *failure = 0;
    adds = fail_add_at = removals = veto_at = 0;
    error = umn_box_create(&config);
    if (error)
        return error;
    error = umn_box_run(fn, NULL);
    umn_box_destroy();
    return error;
}

static void running_box(void *arg)
{
    static const char *const three[] = {"ROOT\\NET\\0001", "ROOT\\NET\\0002", "ROOT\\NET\\0003"};
    struct umn_vm_desc desc[3] = {a_vm(), a_vm(), a_vm()};
    char id[64], guid[64], id2[64], guid2[64], *before, *after;
    size_t before_size, after_size;

    CHECK(prepare() == 0);
    CHECK(umn__netcfg_add_adapter("nic", "eth1", NULL, 0, true, id2, guid2) == 0);
    CHECK(umn__netcfg_add_vm(desc, id, guid) == 0);
    CHECK(started() == 2);
    CHECK(umn__netcfg_remove_service("mux") == UMN_EBUSY);
    /* the second of three does not start: all three are gone */
    before = dump(&before_size);
    fail_add_at = adds + 2;
    CHECK(umn__netcfg_add_vms(desc, 3) == UMN_EDRIVER);
    CHECK(strstr(umn_last_error(), "AddDevice") != NULL);
    fail_add_at = adds + 1;
    CHECK(umn__netcfg_add_adapter("nic", "eth2", NULL, 0, true, id2, guid2) == UMN_EDRIVER);
    after = dump(&after_size);
    CHECK(before_size == after_size && memcmp(before, after, after_size) == 0);
    free(before);
    free(after);
    CHECK(started() == 2);
    CHECK(umn__netcfg_remove_vm(id) == 0);
    CHECK(umn__netcfg_remove_adapter(id2) == 0);
    CHECK(started() == 0);
    CHECK(umn__netcfg_add_vms(desc, 3) == 0);
    CHECK(started() == 3);
    /* the second of three refuses to go: the others do not wait for it */
    veto_at = removals + 2;
    CHECK(umn__netcfg_remove_vms(three, 3) == UMN_EBUSY);
    CHECK(strstr(umn_last_error(), three[1]) != NULL);
    CHECK(started() == 1);
    CHECK(umn__reg_key_exists(UMN_KEY_ENUM "\\ROOT\\NET\\0002"));
    CHECK(!umn__reg_key_exists(UMN_KEY_ENUM "\\ROOT\\NET\\0003"));
    CHECK(umn__netcfg_remove_vm(three[1]) == 0);
}

static void on_a_running_box(void **state)
{
    assert_int_equal(run_box(running_box), 0);
    assert_string_equal(failure, "");
    assert_int_equal(umn__report_count(), 0);
}

static void life_box(void *arg)
{
    struct umn_vm_desc desc[2] = {a_vm(), a_vm()};
    char id[64], guid[64];

    if (prepare() || umn__pnp_start_device(lower_id, NULL))
        return;
    if (umn__netcfg_add_vms(desc, 2) == 0)
        CHECK(started() == 3 || plat_alloc_failed());
    if (umn__netcfg_add_vm(desc, id, guid) == 0) {
        const char *both[] = {id, "ROOT\\NET\\0001"};
        umn__netcfg_remove_vms(both, 2);
    }
    umn__netcfg_remove_adapter(lower_id);
}

static void every_allocation_may_fail(void **state)
{
    size_t live = plat_alloc_live();
    uint64_t n;

    plat_log_level(0);
    for (n = 1;; n++) {
        bool failed;
        int error;

        plat_fail_alloc_at(n);
        error = run_box(life_box);
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
        assert_true(n < 50000);
    }
    plat_log_level(1);
    assert_string_equal(failure, "");
    print_message("%d allocations\n", (int)n - 1);
}

#define OFFLINE(test) cmocka_unit_test_setup_teardown(test, open_registry, close_registry)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OFFLINE(services_get_their_keys),
        OFFLINE(adapters_and_bindings_get_their_keys),
        OFFLINE(a_virtual_miniport_gets_its_keys),
        OFFLINE(many_virtual_miniports_go_at_once),
        OFFLINE(wrong_virtual_miniports_are_refused),
        OFFLINE(thousands_at_once),
        OFFLINE(failing_memory_changes_nothing),
        cmocka_unit_test(on_a_running_box),
        cmocka_unit_test(every_allocation_may_fail),
    };

    umn__image_builtin("tdev", DevEntry);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
