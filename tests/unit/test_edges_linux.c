/* SPDX-License-Identifier: MIT */
/*
 * The Linux edges, afpacket below and tap above it, in a box on the threads back end, in a network
 * namespace of the test's own: frames both ways with checksums, tags and large segments looked at
 * octet by octet, what people are told when an interface cannot be had, and each single allocation
 * failing. The far end of the wire is a TAP that the test itself holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <net/if.h> /* before the kernel's <linux/if.h> */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "check/check.h"
#include "config/config.h"
#include "plat/plat.h"
#include "sched/sched.h"
#include "umndis/umndis.h"

static char failure[400];
static bool injected;
#define CHECK(c)                                                                                   \
    do {                                                                                           \
        if (!(c) && !*failure && !(injected |= plat_alloc_failed()))                               \
            snprintf(failure, sizeof failure, "%s:%d: %s", __FILE__, __LINE__, #c);                \
    } while (0)

static char drivers[400];
static const char *lacks; /* why the tests cannot run here */

/* ---- the ends that the test holds ---- */

static int control(unsigned long code, struct ifreq *r)
{
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int result = s < 0 ? -1 : ioctl(s, code, r);
    if (s >= 0)
        close(s);
    return result;
}

static void set_up(const char *name)
{
    struct ifreq r = {0};
    char path[80];
    int fd;

    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        CHECK(write(fd, "1", 1) == 1);
        close(fd);
    }
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    CHECK(!control(SIOCGIFFLAGS, &r));
    r.ifr_flags |= IFF_UP;
    CHECK(!control(SIOCSIFFLAGS, &r));
}

/* A TAP whose descriptor is the wire's far end. */
static int open_low(void)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    strcpy(r.ifr_name, "low0");
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r) || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4)) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    set_up("low0");
    return fd;
}

static int open_packet(const char *name)
{
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    a.sll_ifindex = (int)if_nametoindex(name);
    CHECK(fd >= 0 && !setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one));
    CHECK(!setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one));
    CHECK(!bind(fd, (struct sockaddr *)&a, sizeof a));
    return fd;
}

static uint8_t got[70000];

/* The next frame with ethertype 0x88B5 or IPv4 from `fd`, header first; 0 after a second. */
static size_t next(int fd)
{
    for (int i = 0; i < 100; i++) {
        ssize_t n = read(fd, got, sizeof got);
        if (n < 0) {
            umn__park(umn__now() + 100000, "a frame", NULL);
            continue;
        }
        if (n > 24 &&
            (!memcmp(got + 10 + 12, "\x08\x00", 2) || !memcmp(got + 10 + 12, "\x88\xB5", 2) ||
             !memcmp(got + 10 + 12, "\x81\x00", 2)))
            return (size_t)n;
    }
    return 0;
}

/* A TCP frame of `payload` octets, its checksum left to whoever carries it. */
static size_t tcp(uint8_t *f, size_t payload, unsigned mss)
{
    struct virtio_net_hdr *v = (struct virtio_net_hdr *)f;
    uint8_t *e = f + 10;
    size_t ip = 40 + payload;
    uint32_t sum = 0;

    memset(f, 0, 64 + 10);
    memset(e, 0xFF, 6);
    memcpy(e + 6, "\2\0\0\0\0\7\x08\0\x45", 9);
    e[16] = (uint8_t)(ip >> 8);
    e[17] = (uint8_t)ip;
    memcpy(e + 20, "\x40\0\x40\x06\0\0\x0a\1\1\1\x0a\1\1\2", 14);
    for (int i = 14; i < 34; i += 2)
        sum += (uint32_t)(e[i] << 8 | e[i + 1]);
    sum = ~((sum & 0xFFFF) + (sum >> 16));
    e[24] = (uint8_t)(sum >> 8);
    e[25] = (uint8_t)sum;
    memcpy(e + 34, "\0\7\0\x9\0\0\0\1\0\0\0\1\x50\x10\x10\0", 16);
    for (size_t i = 0; i < payload; i++)
        e[54 + i] = (uint8_t)(i * 7);
    sum = 0x0a01 + 0x0101 + 0x0a01 + 0x0102 + 6 + 20 + (uint32_t)payload;
    sum = (sum & 0xFFFF) + (sum >> 16);
    e[50] = (uint8_t)(sum >> 8);
    e[51] = (uint8_t)sum;
    v->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    v->csum_start = 34;
    v->csum_offset = 16;
    if (mss) {
        v->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        v->gso_size = (uint16_t)mss;
        v->hdr_len = 54;
    }
    return 10 + 54 + payload;
}

/* ---- the box ---- */

static bool add_edges(const char *interface, const char *host_name, char guid[64])
{
    struct umn_setting s = {.name = "HostInterface", .text = interface};
    char id[64], key[200];

    if (umn__netcfg_add_service("afpacket", "miniport", "afpacket") ||
        umn__netcfg_add_service("tap", "protocol", "tap") || umn__netcfg_load("tap") ||
        umn__netcfg_add_adapter("afpacket", "low", &s, 1, false, id, guid))
        return false;
    snprintf(key, sizeof key, UMN_KEY_SERVICES "\\tap\\Parameters\\Adapters\\%s", guid);
    return !umn__reg_set_sz(key, "HostName", host_name) && !umn__netcfg_bind("tap", guid) &&
           !umn__pnp_start_device(id, NULL);
}

static void frames_main(void *arg)
{
    int low = *(int *)arg, high;
    char guid[64];
    uint8_t f[66000], plain[10 + 60] = {0};
    size_t n, sent;

    if (!add_edges("low0", "high0", guid) || !if_nametoindex("high0")) {
        CHECK(!"the edges");
        return;
    }
    set_up("high0");
    high = open_packet("high0");
    umn__park(umn__now() + 500000, "the links", NULL); /* 50 ms: carrier is told by a worker */

    /* Up: plain, then a checksum that stays open, then a large segment that stays whole. */
    memcpy(plain + 10, "\xFF\xFF\xFF\xFF\xFF\xFF\2\0\0\0\0\7\x88\xB5 hello", 20);
    CHECK(write(low, plain, sizeof plain) == sizeof plain);
    n = next(high);
    CHECK(n == sizeof plain && !memcmp(got + 10, plain + 10, 60));
    sent = tcp(f, 1000, 0);
    CHECK(write(low, f, sent) == (ssize_t)sent);
    n = next(high);
    CHECK(n == sent && !memcmp(got + 10, f + 10, sent - 10) &&
          got[0] == VIRTIO_NET_HDR_F_NEEDS_CSUM);
    sent = tcp(f, 60000, 1400);
    CHECK(write(low, f, sent) == (ssize_t)sent);
    n = next(high);
    CHECK(n == sent && !memcmp(got + 10, f + 10, sent - 10));
    CHECK(((struct virtio_net_hdr *)got)->gso_type == VIRTIO_NET_HDR_GSO_TCPV4);
    CHECK(((struct virtio_net_hdr *)got)->gso_size <= 1400);

    /* Down, the same; a tag stays where it is. */
    CHECK(write(high, plain, sizeof plain) == sizeof plain);
    n = next(low);
    CHECK(n == sizeof plain && !memcmp(got + 10, plain + 10, 60));
    sent = tcp(f, 60000, 1400);
    CHECK(write(high, f, sent) == (ssize_t)sent);
    n = next(low);
    CHECK(n == sent && !memcmp(got + 10, f + 10, sent - 10));
    CHECK(((struct virtio_net_hdr *)got)->gso_type == VIRTIO_NET_HDR_GSO_TCPV4);
    memcpy(plain + 10 + 12, "\x81\0\x20\x05\x88\xB5", 6);
    CHECK(write(high, plain, sizeof plain) == sizeof plain);
    n = next(low);
    CHECK(n == sizeof plain && !memcmp(got + 10, plain + 10, 60));
    CHECK(write(low, plain, sizeof plain) == sizeof plain);
    n = next(high);
    /* The kernel takes the tag off in front of a packet socket: what is left is the frame. */
    CHECK(n == sizeof plain || n == sizeof plain - 4);
    close(high);
}

static void refusals_main(void *arg)
{
    char guid[64];

    CHECK(!add_edges("nothere", "high0", guid));
    CHECK(strstr(umn_last_error(), "no interface 'nothere' in this network namespace; there are:"));
    CHECK(strstr(umn_last_error(), "low0"));
}

static void taken_main(void *arg)
{
    char guid[64];

    /* A binding that fails leaves the adapter running; the interface is not made. */
    add_edges("low0", "low0", guid);
    CHECK(if_nametoindex("low0"));
    CHECK(!if_nametoindex("high0"));
}

/* ---- runs
 * ------------------------------------------------------------------------------------------------
 */

static bool run(void (*scenario)(void *), uint64_t nth)
{
    struct umn_box_config config = {.driver_path = drivers, .cpus = 2};
    size_t live = plat_alloc_live();
    unsigned reports = 0;
    int error, low = open_low();

    assert_true(low >= 0);
    *failure = 0;
    injected = false;
    plat_fail_alloc_at(nth);
    error = umn_box_create(&config);
    if (!error) {
        error = umn_box_run(scenario, &low);
        reports = umn__report_count();
        umn_box_destroy();
    }
    injected |= plat_alloc_failed();
    plat_fail_alloc_at(0);
    close(low);
    if (*failure || reports || plat_alloc_live() != live || (error && !injected)) {
        print_error("allocation %llu: %s %s\n", (unsigned long long)nth, umn_strerror(error),
                    umn_last_error());
        for (unsigned i = 0; umn__report_get(i); i++)
            print_error("%s: %s\n", umn__report_get(i)->rule, umn__report_get(i)->text);
    }
    assert_string_equal(failure, "");
    assert_int_equal(reports, 0);
    assert_true(!error || injected);
    assert_int_equal(plat_alloc_live(), live);
    assert_int_equal(if_nametoindex("high0"), 0);
    return injected;
}

static void need_linux(void)
{
    if (lacks) {
        print_message("skipped: %s\n", lacks);
        skip();
    }
}

static void frames_keep_their_octets(void **state)
{
    need_linux();
    run(frames_main, 0);
}

static void people_are_told_why(void **state)
{
    need_linux();
    run(refusals_main, 0);
    run(taken_main, 0);
}

static void failing_memory_leaves_nothing(void **state)
{
    const char *text = getenv("UMN_EDGE_STEP");
    uint64_t step = text ? strtoull(text, NULL, 10) : 11, nth = 1;

    need_linux();
    while (run(frames_main, nth))
        nth += step ? step : 1;
    assert_true(nth > 100);
}

static void own_namespace(void)
{
    int low;

    if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
        lacks = "no network namespace of our own";
        return;
    }
    low = open_low();
    if (low < 0)
        lacks = "no TAP: /dev/net/tun is missing or closed to us";
    else
        close(low);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_keep_their_octets),
        cmocka_unit_test(people_are_told_why),
        cmocka_unit_test(failing_memory_leaves_nothing),
    };
    ssize_t n = readlink("/proc/self/exe", drivers, sizeof drivers - 40);

    if (n <= 0)
        return 1;
    drivers[n] = 0;
    for (int up = 0; up < 3; up++)
        *strrchr(drivers, '/') = 0;
    strcat(drivers, "/drivers");
    own_namespace();
    plat_log_level(-1);
    umn__report_quiet(true);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
