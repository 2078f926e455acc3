/* SPDX-License-Identifier: MIT */
/*
 * The in-process edges, wire and pktio, in a box on the explore back end: as it is, on random
 * schedules, and with each single allocation failing, when whatever cannot be done must be refused
 * and nothing may be left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ndis.h>
#include "umndis/pktio_ioctl.h"
#include "../../drivers/wire/wire_oid.h"
#include "check/check.h"
#include "config/config.h"
#include "ndis/host.h"
#include "nt/nt.h"
#include "nt/umhost.h"
#include "plat/plat.h"
#include "sched/sched.h"
#include "umndis/umndis.h"

static char failure[300];
static bool injected; /* an allocation has failed: results may be refusals */
#define CHECK(c)                                                                                   \
    do {                                                                                           \
        if (!(c) && !*failure && !(injected |= plat_alloc_failed()))                               \
            snprintf(failure, sizeof failure, "%s:%d: %s", __FILE__, __LINE__, #c);                \
    } while (0)

static char drivers[400];

/* ---- a wire with two ends ---- */

struct end {
    char id[64], guid[64];
    PKTIO_TARGET target;
};

static bool add_end(struct end *e, const struct umn_setting *settings, size_t count)
{
    char name[100];
    WCHAR *wide;

    if (umn__netcfg_add_adapter("wire", "end", settings, count, true, e->id, e->guid) ||
        umn__netcfg_bind("pktio", e->guid)) {
        CHECK(!"an end of the wire");
        return false;
    }
    snprintf(name, sizeof name, "\\Device\\%s", e->guid);
    wide = umn__utf16(name);
    CHECK(wide);
    if (!wide)
        return false;
    memset(&e->target, 0, sizeof e->target);
    memcpy(e->target.Adapter, wide, (strlen(name) + 1) * sizeof(WCHAR));
    plat_free(wide);
    return true;
}

static bool load(void)
{
    if (umn__netcfg_add_service("wire", "miniport", "wire") ||
        umn__netcfg_add_service("pktio", "protocol", "pktio") || umn__netcfg_load("pktio")) {
        CHECK(!"services");
        return false;
    }
    return true;
}

static bool counters(const struct end *e, PKTIO_COUNTERS *c)
{
    memset(c, 0, sizeof *c);
    NTSTATUS status = umn__device_ioctl(PKTIO_DEVICE, IOCTL_PKTIO_READ_COUNTERS, &e->target,
                                        sizeof e->target, c, sizeof *c, NULL);
    CHECK(status == STATUS_SUCCESS);
    return status == STATUS_SUCCESS;
}

/* Waits until an end has received `frames`, at most a second of the scheduler's time. */
static void expect(const struct end *e, uint64_t frames)
{
    PKTIO_COUNTERS c;
    for (int i = 0; i < 100; i++) {
        if (!counters(e, &c) || c.FramesReceived >= frames)
            break;
        umn__park(umn__now() + 100000, "frames", e);
    }
    CHECK(c.FramesReceived == frames);
}

static void send(const struct end *from, const uint8_t to[6], uint64_t count, unsigned size,
                 unsigned vlan)
{
    PKTIO_SEND s = {.Target = from->target, .Count = count, .Size = size, .Vlan = (USHORT)vlan};
    PKTIO_SENT sent;
    NTSTATUS status;

    memcpy(s.Destination, to, 6);
    status =
        umn__device_ioctl(PKTIO_DEVICE, IOCTL_PKTIO_SEND, &s, sizeof s, &sent, sizeof sent, NULL);
    CHECK(status == STATUS_SUCCESS);
    CHECK(sent.Sent == count && sent.Failed == 0);
}

static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
static const struct umn_setting near_settings[] = {
    {.name = "WireName", .text = "one"}, {.name = "NetworkAddress", .text = "02-00-00-00-00-0A"}};
static const struct umn_setting far_settings[] = {
    {.name = "WireName", .text = "one"}, {.name = "NetworkAddress", .text = "02:00:00:00:00:0b"}};
static const uint8_t far_address[6] = {2, 0, 0, 0, 0, 0x0B};

static void traffic_main(void *arg)
{
    struct end a, b;
    PKTIO_FILTER filter;
    PKTIO_BINDING list[4];
    uint8_t last[PKTIO_LAST_SIZE];
    size_t n;

    if (!load() || !add_end(&a, near_settings, 2) || !add_end(&b, far_settings, 2))
        return;
    CHECK(umn__device_ioctl(PKTIO_DEVICE, IOCTL_PKTIO_LIST, NULL, 0, list, sizeof list, &n) == 0);
    CHECK(n == 2 * sizeof *list && list[0].Running && list[1].Running && list[0].Mtu == 1500);
    CHECK(!memcmp(list[1].Address, far_address, 6));

    umn__device_ioctl(PKTIO_DEVICE, IOCTL_PKTIO_LAST, &b.target, sizeof b.target, last, sizeof last,
                      &n);
    send(&a, far_address, 100, 64, 0);
    expect(&b, 100);
    CHECK(umn__device_ioctl(PKTIO_DEVICE, IOCTL_PKTIO_LAST, &b.target, sizeof b.target, last,
                            sizeof last, &n) == 0);
    CHECK(n == 64 && !memcmp(last, far_address, 6) && last[14] == 99); /* in order */
    send(&b, broadcast, 3, 60, 5);
    expect(&a, 3);
    send(&a, (const uint8_t[]){2, 9, 9, 9, 9, 9}, 5, 60, 0); /* nobody's */
    expect(&b, 100);
    filter = (PKTIO_FILTER){b.target, NDIS_PACKET_TYPE_PROMISCUOUS};
    CHECK(umn__device_ioctl(PKTIO_DEVICE, IOCTL_PKTIO_SET_FILTER, &filter, sizeof filter, NULL, 0,
                            NULL) == 0);
    send(&a, (const uint8_t[]){2, 9, 9, 9, 9, 9}, 5, 60, 0);
    expect(&b, 105);

    /* A pause and a restart: the other protocol's binding comes and goes. */
    CHECK(umn__pnp_stop_device(b.id) == 0);
    send(&a, far_address, 4, 60, 0);
    CHECK(umn__pnp_restart_device(b.id) == 0);
    send(&a, far_address, 7, 1514, 0);
    expect(&b, 7);
    CHECK(umn__netcfg_unbind("pktio", a.guid) == 0);
    CHECK(umn__device_ioctl(PKTIO_DEVICE, IOCTL_PKTIO_RESET, &a.target, sizeof a.target, NULL, 0,
                            NULL) == STATUS_NOT_FOUND);
}

/* ---- the generator ---- */

static const struct umn_setting generator_settings[] = {
    {.name = "GenCount", .number = 4},
    {.name = "GenBase", .text = "02-00-00-00-01-00"},
    {.name = "GenBatch", .number = 8},
};

static void generator_main(void *arg)
{
    struct end a;
    PKTIO_FILTER filter;
    WIRE_GENERATOR_STATE state;
    char device[100];
    uint64_t frames = 1000;
    unsigned length = sizeof frames;
    NDIS_STATUS status;

    if (!load() || !add_end(&a, generator_settings, 3))
        return;
    snprintf(device, sizeof device, "\\Device\\%s", a.guid);
    filter = (PKTIO_FILTER){a.target, NDIS_PACKET_TYPE_PROMISCUOUS};
    CHECK(umn__device_ioctl(PKTIO_DEVICE, IOCTL_PKTIO_SET_FILTER, &filter, sizeof filter, NULL, 0,
                            NULL) == 0);
    CHECK(umn__ndis_oid(device, NdisRequestSetInformation, OID_WIRE_GENERATE, &frames, &length,
                        &status) == 0 &&
          status == NDIS_STATUS_SUCCESS);
    expect(&a, 1000);
    length = sizeof state;
    CHECK(umn__ndis_oid(device, NdisRequestQueryInformation, OID_WIRE_GENERATE, &state, &length,
                        &status) == 0 &&
          status == NDIS_STATUS_SUCCESS);
    CHECK(!state.Left && state.Indicated == 1000 && state.Returned == 1000);
    /* Away while it runs. */
    frames = 100000;
    length = sizeof frames;
    umn__ndis_oid(device, NdisRequestSetInformation, OID_WIRE_GENERATE, &frames, &length, &status);
    CHECK(umn__netcfg_unbind("pktio", a.guid) == 0);
}

/* ---- runs ---- */

static const struct umn_box_config plain = {.backend = UMN_BOX_EXPLORE, .driver_path = drivers};

/* Returns whether the allocation number nth came to pass. */
static bool run(void (*scenario)(void *), uint64_t seed, uint64_t nth)
{
    struct umn_box_config config = plain;
    size_t live = plat_alloc_live();
    unsigned reports = 0;
    int error;

    *failure = 0;
    injected = false;
    config.seed = seed;
    config.pct = seed % 2;
    plat_fail_alloc_at(nth);
    error = umn_box_create(&config);
    if (!error) {
        error = umn_box_run(scenario, NULL);
        reports = umn__report_count();
        umn_box_destroy();
    }
    injected |= plat_alloc_failed();
    plat_fail_alloc_at(0);
    if (*failure || (error && !injected) || error == UMN_EHANG || reports ||
        plat_alloc_live() != live) {
        print_error("allocation %llu, seed %llu: %s %s\n", (unsigned long long)nth,
                    (unsigned long long)seed, umn_strerror(error), umn_last_error());
        for (unsigned i = 0; umn__report_get(i); i++)
            print_error("%s: %s\n", umn__report_get(i)->rule, umn__report_get(i)->text);
    }
    assert_string_equal(failure, "");
    assert_true(!error || injected);
    assert_int_not_equal(error, UMN_EHANG);
    assert_int_equal(reports, 0);
    assert_int_equal(plat_alloc_live(), live);
    return injected;
}

/* Each UMN_EDGE_STEP-th allocation fails once; every one when it is 1. */
static void sweep(void (*scenario)(void *))
{
    const char *text = getenv("UMN_EDGE_STEP");
    uint64_t step = text ? strtoull(text, NULL, 10) : 1, nth = 1;

    run(scenario, 0, 0);
    for (uint64_t seed = 1; seed <= 20; seed++)
        run(scenario, seed, 0);
    while (run(scenario, 0, nth))
        nth += step ? step : 1;
    assert_true(nth > 100);
}

static void wire_carries_frames(void **state)
{
    sweep(traffic_main);
}

static void generator_counts(void **state)
{
    sweep(generator_main);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wire_carries_frames),
        cmocka_unit_test(generator_counts),
    };
    ssize_t n = readlink("/proc/self/exe", drivers, sizeof drivers - 40);

    if (n <= 0)
        return 1;
    drivers[n] = 0;
    for (int up = 0; up < 3; up++)
        *strrchr(drivers, '/') = 0;
    strcat(drivers, "/drivers");
    plat_log_level(-1);
    umn__report_quiet(true);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
