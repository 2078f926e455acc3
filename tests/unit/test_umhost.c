/* SPDX-License-Identifier: MIT */
/*
 * <umhost.h>: watches and poll routines on the threads back end, refusals on the explore back end,
 * messages and their formatting, news of devices, and IOCTLs from host code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <umndis/umhost.h>
#include "check/check.h"
#include "nt/nt.h"
#include "nt/umhost.h"
#include "plat/plat.h"
#include "sched/sched.h"

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define ADD(x) __atomic_add_fetch(&(x), 1, __ATOMIC_ACQ_REL)

static unsigned wrong; /* asserts of other threads: cmocka jumps only in its own */
#define CHECK(c)                                                                                   \
    do {                                                                                           \
        if (!(c)) {                                                                                \
            print_error("%s:%d: %s\n", __FILE__, __LINE__, #c);                                    \
            ADD(wrong);                                                                            \
        }                                                                                          \
    } while (0)

static void run(enum umn_backend backend, void (*fn)(void *))
{
    struct umn_sched_config config = {.backend = backend, .cpus = 2};
    size_t live = plat_alloc_live();

    wrong = 0;
    assert_int_equal(umn__sched_start(&config), 0);
    assert_int_equal(umn__nt_start(), 0);
    assert_int_equal(umn__sched_run(fn, NULL), 0);
    umn__nt_stop();
    umn__sched_stop();
    assert_int_equal(wrong, 0);
    assert_int_equal(plat_alloc_live(), live);
}

/* Waits up to two seconds for a counter to reach a value. */
static bool reach(const unsigned *counter, unsigned value)
{
    for (int i = 0; i < 2000 && LOAD(*counter) < value; i++)
        umn__park(umn__now() + 10000, "counter", counter);
    return LOAD(*counter) >= value;
}

/* ---- watches ------------------------------------------------------------------------------------
 */

static struct {
    int fd;
    PUMH_WATCH watch;
    unsigned ready, octets, cpu, wrong_irql;
} sock;

static void NTAPI on_ready(void *context, ULONG events)
{
    char octet;

    CHECK(context == &sock && (events & UMH_READ));
    if (umn__irql() != DISPATCH_LEVEL || umn__cpu() != 1)
        ADD(sock.wrong_irql);
    ADD(sock.ready);
    if (recv(sock.fd, &octet, 1, MSG_DONTWAIT) == 1)
        ADD(sock.octets);
}

static void watch_main(void *arg)
{
    int pair[2];
    unsigned seen;

    memset(&sock, 0, sizeof sock);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    sock.fd = pair[0];
    CHECK(UmhWatch(-1, UMH_READ, 1, on_ready, &sock, &sock.watch) == STATUS_INVALID_PARAMETER);
    CHECK(UmhWatch(pair[0], 8, 1, on_ready, &sock, &sock.watch) == STATUS_INVALID_PARAMETER);
    CHECK(UmhWatch(pair[0], UMH_READ, 1, NULL, &sock, &sock.watch) == STATUS_INVALID_PARAMETER);
    CHECK(UmhWatch(pair[0], 0, 1, on_ready, &sock, &sock.watch) == STATUS_SUCCESS);

    /* Not asked for: silence. Asked for: level triggered, one octet a call. */
    CHECK(write(pair[1], "abc", 3) == 3);
    umn__park(umn__now() + 200000, "silence", NULL);
    CHECK(LOAD(sock.ready) == 0);
    UmhSetEvents(sock.watch, UMH_READ);
    CHECK(reach(&sock.octets, 3));
    CHECK(LOAD(sock.wrong_irql) == 0);

    UmhUnwatch(sock.watch);
    seen = LOAD(sock.ready);
    CHECK(write(pair[1], "d", 1) == 1);
    umn__park(umn__now() + 200000, "silence", NULL);
    CHECK(LOAD(sock.ready) == seen);
    UmhUnwatch(NULL);
    close(pair[0]);
    close(pair[1]);
}

static void watch_is_level_triggered_and_ends(void **state)
{
    run(UMN_BACKEND_THREADS, watch_main);
}

static void watch_fails_main(void *arg)
{
    int pair[2];
    PUMH_WATCH w = NULL;
    uint64_t nth = 1;
    NTSTATUS status;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    do {
        plat_fail_alloc_at(nth++);
        status = UmhWatch(pair[0], 0, 0, on_ready, &sock, &w);
        plat_fail_alloc_at(0);
        CHECK(status == STATUS_SUCCESS || status == STATUS_INSUFFICIENT_RESOURCES);
        CHECK((status == STATUS_SUCCESS) == (w != NULL));
    } while (status != STATUS_SUCCESS && nth < 20);
    CHECK(nth > 2);
    UmhUnwatch(w);
    close(pair[0]);
    close(pair[1]);
}

static void watch_survives_failing_memory(void **state)
{
    run(UMN_BACKEND_THREADS, watch_fails_main);
}

static void explore_main(void *arg)
{
    PUMH_WATCH w = (PUMH_WATCH)1;

    CHECK(UmhWatch(0, UMH_READ, 0, on_ready, NULL, &w) == STATUS_NOT_SUPPORTED && !w);
}

static void explore_has_no_descriptors(void **state)
{
    run(UMN_BACKEND_EXPLORE, explore_main);
}

/* ---- poll routines ---- */

static unsigned polled;

static BOOLEAN NTAPI on_poll(void *context)
{
    CHECK(context == &polled && umn__irql() == DISPATCH_LEVEL);
    return ADD(polled) < 1000;
}

static void poll_main(void *arg)
{
    PUMH_POLL p;
    unsigned seen;

    polled = 0;
    CHECK(UmhAddPoll(0, NULL, NULL, &p) == STATUS_INVALID_PARAMETER);
    CHECK(UmhAddPoll(1, on_poll, &polled, &p) == STATUS_SUCCESS);
    CHECK(reach(&polled, 1000));
    UmhRemovePoll(p);
    seen = LOAD(polled);
    umn__park(umn__now() + 100000, "silence", NULL);
    CHECK(LOAD(polled) == seen);
    UmhRemovePoll(NULL);
}

static void poll_runs_while_it_has_work(void **state)
{
    run(UMN_BACKEND_THREADS, poll_main);
}

/* ---- messages ---- */

static char said[600];
static DEVICE_OBJECT *gone;

static void on_explain(const char *text)
{
    strncpy(said, text, sizeof said - 1);
}

static void on_gone(DEVICE_OBJECT *pdo)
{
    gone = pdo;
}

static void explain_formats_like_printf(void **state)
{
    static const struct umn_umh_hooks hooks = {on_explain, on_gone};
    char wide[900];

    umn__umh_hooks_set(&hooks);
    UmhExplain("no interface '%s' in this network namespace; there are: %s", "eth9", "lo, eth0");
    assert_string_equal(said, "no interface 'eth9' in this network namespace; there are: lo, eth0");
    UmhExplain("%d %i %u %x %X %o %c%%", -7, 8, 0xFFFFFFFFu, 0xBEEF, 0xBEEF, 8, 'q');
    assert_string_equal(said, "-7 8 4294967295 beef BEEF 10 q%");
    UmhExplain("%llu %lld %zu %lx", 1ull << 40, -1ll, (size_t)5, 1ul << 33);
    assert_string_equal(said, "1099511627776 -1 5 200000000");
    UmhExplain("[%5d|%-5d|%05d|%*d|%.2s]", 1, 2, 3, 4, 5, "abc");
    assert_string_equal(said, "[    1|2    |00003|   5|ab]");
    UmhExplain("%s and %f", (char *)NULL, 1.0);
    assert_string_equal(said, "(null) and ");
    memset(wide, 'x', sizeof wide - 1);
    wide[sizeof wide - 1] = 0;
    UmhExplain("%s", wide);
    assert_int_equal(strlen(said), 511);
    UmhExplain("ends in %");
    assert_string_equal(said, "ends in ");

    UmhDeviceGone((DEVICE_OBJECT *)said);
    assert_ptr_equal(gone, said);
    umn__umh_hooks_set(NULL);
}

/* ---- IOCTLs ---- */

#define CODE_DOUBLE 0x0012E000u /* METHOD_BUFFERED */
#define CODE_LATER 0x0012E004u

static IRP *pended;
static unsigned opened, closed;

static NTSTATUS done(IRP *irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI on_open(DEVICE_OBJECT *device, IRP *irp)
{
    if (IoGetCurrentIrpStackLocation(irp)->MajorFunction == IRP_MJ_CREATE)
        opened++;
    if (IoGetCurrentIrpStackLocation(irp)->MajorFunction == IRP_MJ_CLOSE)
        closed++;
    return done(irp, STATUS_SUCCESS, 0);
}

static void finish_later(void *arg)
{
    memcpy(pended->AssociatedIrp.SystemBuffer, "late", 4);
    done(pended, STATUS_SUCCESS, 4);
}

static NTSTATUS NTAPI on_control(DEVICE_OBJECT *device, IRP *irp)
{
    IO_STACK_LOCATION *s = IoGetCurrentIrpStackLocation(irp);
    uint32_t *word = irp->AssociatedIrp.SystemBuffer;

    if (s->Parameters.DeviceIoControl.IoControlCode == CODE_DOUBLE) {
        if (s->Parameters.DeviceIoControl.InputBufferLength < 4)
            return done(irp, STATUS_BUFFER_TOO_SMALL, 0);
        *word *= 2;
        return done(irp, STATUS_SUCCESS, 4);
    }
    IoMarkIrpPending(irp);
    pended = irp;
    if (umn__ctx_spawn(NULL, finish_later, NULL, "later"))
        finish_later(NULL);
    return STATUS_PENDING;
}

static NTSTATUS NTAPI entry(DRIVER_OBJECT *driver, UNICODE_STRING *path)
{
    DEVICE_OBJECT *device;
    UNICODE_STRING name;
    NTSTATUS status;

    RtlInitUnicodeString(&name, L"\\Device\\UmhTest");
    status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    driver->MajorFunction[IRP_MJ_CREATE] = on_open;
    driver->MajorFunction[IRP_MJ_CLEANUP] = on_open;
    driver->MajorFunction[IRP_MJ_CLOSE] = on_open;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = on_control;
    device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static void NTAPI unload(DRIVER_OBJECT *driver)
{
    IoDeleteDevice(driver->DeviceObject);
}

static void ioctl_main(void *arg)
{
    const char *name = "\\Device\\UmhTest";
    DRIVER_OBJECT *driver;
    uint32_t in = 21, out = 0;
    char text[8] = "";
    size_t n = 9;
    NTSTATUS status;

    CHECK(!NT_SUCCESS(umn__device_ioctl(name, CODE_DOUBLE, &in, 4, &out, 4, &n)));
    CHECK(umn__driver_load("umhtest", entry, NULL, &driver, &status) == 0);
    driver->DriverUnload = unload;
    CHECK(umn__device_ioctl(name, CODE_DOUBLE, &in, 4, &out, 4, &n) == STATUS_SUCCESS);
    CHECK(out == 42 && n == 4 && in == 21);
    CHECK(umn__device_ioctl(name, CODE_DOUBLE, &in, 2, &out, 4, &n) == STATUS_BUFFER_TOO_SMALL &&
          !n);
    CHECK(umn__device_ioctl(name, CODE_LATER, NULL, 0, text, sizeof text, &n) == STATUS_SUCCESS);
    CHECK(n == 4 && !memcmp(text, "late", 5));
    CHECK(opened == closed);

    for (uint64_t nth = 1; nth < 40; nth++) {
        plat_fail_alloc_at(nth);
        status = umn__device_ioctl(name, CODE_LATER, &in, 4, text, sizeof text, NULL);
        bool hit = plat_alloc_failed();
        plat_fail_alloc_at(0);
        CHECK(status == (hit ? status : STATUS_SUCCESS));
        CHECK(opened == closed);
        if (!hit)
            break;
    }
    CHECK(umn__driver_unload(driver) == 0);
}

static void ioctl_opens_waits_and_closes(void **state)
{
    opened = closed = 0;
    run(UMN_BACKEND_EXPLORE, ioctl_main);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(watch_is_level_triggered_and_ends),
        cmocka_unit_test(watch_survives_failing_memory),
        cmocka_unit_test(explore_has_no_descriptors),
        cmocka_unit_test(poll_runs_while_it_has_work),
        cmocka_unit_test(explain_formats_like_printf),
        cmocka_unit_test(ioctl_opens_waits_and_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
