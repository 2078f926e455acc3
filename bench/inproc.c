/* SPDX-License-Identifier: MIT */
/*
 * The in-process figures of bench/run: wire generator -> MUX -> virtual miniports -> packet sink,
 * no system call in the path. One figure a call, printed as one number:
 *
 *   inproc frames N FRAMES    frames/s through N virtual miniports, one virtual CPU
 *   inproc broadcast N FRAMES deliveries/s of broadcast frames to N virtual miniports
 *   inproc bringup N          seconds until N virtual miniports added in one go are Running
 *   inproc memory N           bytes of resident memory per virtual miniport
 *   inproc idle               CPU seconds that an idle box with 3 virtual miniports uses in 2 s
 *   inproc explore SECONDS    explore schedules per second (load, bind, 2 VMs, frames, unload)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "check/check.h"
#include "config/config.h"
#include "ndis/host.h"
#include "nt/nt.h"
#include "plat/plat.h"
#include "umndis/umndis.h"
#include "../drivers/wire/wire_oid.h"

static struct {
    const char *what;
    unsigned n;
    uint64_t frames;
    double answer;
    bool failed;
} job;

static char wire_guid[64];

static void fail(const char *what)
{
    fprintf(stderr, "inproc: %s: %s\n", what, umn_last_error());
    job.failed = true;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static size_t resident(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        if (fscanf(f, "%*u %lu", &pages) != 1)
            pages = 0;
        fclose(f);
    }
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static bool service(const char *name, const char *kind)
{
    int e = umn__netcfg_add_service(name, kind, name);
    if (!e && strcmp(kind, "miniport"))
        e = umn__netcfg_load(name);
    if (e)
        fail(name);
    return !e;
}

static bool lower(bool broadcast)
{
    struct umn_setting s[] = {
        {.name = "WireName", .text = "bench"},
        {.name = "GenCount",
         .number = broadcast ? 1
                   : job.n   ? job.n
                             : 1},
        {.name = "GenBase", .text = broadcast ? "FFFFFFFFFFFF" : "020000000001"},
        {.name = "GenSize", .number = 64},
        {.name = "GenBatch", .number = 64},
    };
    char id[64];
    if (!service("wire", "miniport") || !service("mux", "intermediate") ||
        !service("pktio", "protocol"))
        return false;
    if (umn__netcfg_add_adapter("wire", "wire0", s, 5, true, id, wire_guid) ||
        umn__netcfg_bind("mux", wire_guid)) {
        fail("wire0");
        return false;
    }
    return true;
}

static bool virtual_miniports(unsigned n)
{
    struct umn_vm_desc *d = calloc(n, sizeof *d);
    char(*name)[32] = calloc(n, sizeof *name), (*mac)[24] = calloc(n, sizeof *mac);
    for (unsigned i = 0; i < n; i++) {
        unsigned k = i + 1;
        snprintf(name[i], sizeof name[i], "vm%u", k);
        snprintf(mac[i], sizeof mac[i], "02:00:00:%02x:%02x:%02x", k >> 16 & 255, k >> 8 & 255,
                 k & 255);
        d[i] = (struct umn_vm_desc){.service = "mux",
                                    .lower_guid = wire_guid,
                                    .name = name[i],
                                    .mac = mac[i],
                                    .upper = "pktio"};
    }
    int e = umn__netcfg_add_vms(d, n);
    free(d);
    free(name);
    free(mac);
    if (e)
        fail("virtual miniports");
    return !e;
}

static bool running_visit(void *arg, const struct umn_adapter_info *a)
{
    *(unsigned *)arg += a->virtual_miniport && !strcmp(a->state, "Running");
    return true;
}

static bool wait_running(unsigned n)
{
    for (unsigned tries = 0; tries < 2000; tries++) {
        unsigned running = 0;
        umn__ndis_adapters(running_visit, &running);
        if (running >= n)
            return true;
        usleep(1000);
    }
    fprintf(stderr, "inproc: not all of %u virtual miniports came up\n", n);
    job.failed = true;
    return false;
}

/* Has the generator indicate `frames` frames; seconds from the first to the last one's return. */
static double generate(uint64_t frames)
{
    char device[80];
    NDIS_STATUS status;
    unsigned length = sizeof frames;
    WIRE_GENERATOR_STATE state = {0};
    snprintf(device, sizeof device, "\\Device\\%s", wire_guid);
    if (umn__ndis_oid(device, NdisRequestSetInformation, OID_WIRE_GENERATE, &frames, &length,
                      &status) ||
        status != NDIS_STATUS_SUCCESS) {
        fprintf(stderr, "inproc: OID_WIRE_GENERATE: 0x%08x\n", (unsigned)status);
        job.failed = true;
        return 1;
    }
    for (unsigned tries = 0; tries < 60000 && !state.Ended; tries++) {
        LARGE_INTEGER ms = {.QuadPart = -10000};
        KeDelayExecutionThread(KernelMode, FALSE, &ms);
        length = sizeof state;
        umn__ndis_oid(device, NdisRequestQueryInformation, OID_WIRE_GENERATE, &state, &length,
                      &status);
    }
    if (!state.Ended || state.Returned != frames) {
        fprintf(stderr, "inproc: %llu of %llu frames came back\n",
                (unsigned long long)state.Returned, (unsigned long long)frames);
        job.failed = true;
        return 1;
    }
    return (double)(state.Ended - state.Started) * 1e-7;
}

static void through(bool broadcast)
{
    if (!lower(broadcast) || !virtual_miniports(job.n) || !wait_running(job.n))
        return;
    generate(job.frames / 10 + 1); /* warm up */
    double took = generate(job.frames);
    job.answer = (double)job.frames * (broadcast ? job.n : 1) / took;
}

static void bring_up(void)
{
    if (!lower(false))
        return;
    size_t before = resident();
    double at = seconds();
    if (!virtual_miniports(job.n) || !wait_running(job.n))
        return;
    job.answer = seconds() - at;
    if (!strcmp(job.what, "memory"))
        job.answer = (double)(resident() - before) / job.n;
}

static void idle(void)
{
    if (!lower(false) || !virtual_miniports(3) || !wait_running(3))
        return;
    usleep(300000);
    double before = cpu_seconds();
    LARGE_INTEGER two = {.QuadPart = -20000000};
    KeDelayExecutionThread(KernelMode, FALSE, &two);
    job.answer = cpu_seconds() - before;
}

static void body(void *arg)
{
    if (!strcmp(job.what, "frames"))
        through(false);
    else if (!strcmp(job.what, "broadcast"))
        through(true);
    else if (!strcmp(job.what, "idle"))
        idle();
    else
        bring_up();
}

static void explore_body(void *arg)
{
    if (lower(false) && virtual_miniports(2))
        generate(64);
}

static bool explore(double budget)
{
    unsigned long schedules = 0;
    job.n = 2;
    double at = seconds();
    while (seconds() - at < budget && !job.failed) {
        struct umn_box_config c = {.backend = UMN_BOX_EXPLORE, .seed = schedules + 1};
        if (umn_box_create(&c) || umn_box_run(explore_body, NULL)) {
            fail("explore");
            return false;
        }
        umn_box_destroy();
        schedules++;
    }
    job.answer = (double)schedules / (seconds() - at);
    return true;
}

int main(int argc, char **argv)
{
    job.what = argc > 1 ? argv[1] : "";
    long n = argc > 2 ? atol(argv[2]) : 0;
    static const char *const modes[] = {"frames", "broadcast", "bringup",
                                        "memory", "idle",      "explore"};
    bool known = false;
    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++)
        known |= !strcmp(job.what, modes[i]);
    if (!known || (strcmp(job.what, "idle") && (n < 1 || n > 10000)) ||
        ((!strcmp(job.what, "frames") || !strcmp(job.what, "broadcast")) && argc != 4)) {
        fprintf(stderr, "usage: inproc frames|broadcast N FRAMES | bringup|memory N | idle | "
                        "explore SECONDS\n");
        return 2;
    }
    job.n = (unsigned)n;
    job.frames = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (!strcmp(job.what, "explore"))
        return explore((double)n) ? (printf("%.1f\n", job.answer), 0) : 1;
    struct umn_box_config c = {.backend = UMN_BOX_THREADS, .cpus = 1};
    if (umn_box_create(&c)) {
        fail("box");
        return 1;
    }
    if (umn_box_run(body, NULL))
        fail("box");
    umn_box_destroy();
    if (!job.failed)
        printf("%.6g\n", job.answer);
    return job.failed;
}
