/* SPDX-License-Identifier: MIT */
/*
 * umndis run: a box in the foreground until SIGINT, SIGTERM, `umndis stop` or --for. Exit status 0
 * after a clean stop, 1 if the box could not be built or a driver was reported.
 */
#include "cli.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "check/check.h"
#include "config/config.h"
#include "ndis/host.h"
#include "plat/plat.h"

static struct {
    struct setup setup;
    const char *name;
    int listen_fd, signal_fd;
    unsigned seconds;
    bool quiet;
    struct out *o;
    int status;
    bool live;
} run;

bool box_is_live(void)
{
    return run.live;
}

static bool count_visit(void *arg, const struct umn_adapter_info *a)
{
    unsigned *n = arg;
    n[a->virtual_miniport] += !strcmp(a->state, "Running");
    return true;
}

static bool any_device(void *arg, const struct umn_device_info *d)
{
    *(bool *)arg = true;
    return false;
}

static void greet(void)
{
    unsigned n[2] = {0, 0};
    umn__ndis_adapters(count_visit, n);
    if (!run.quiet) {
        printf("box '%s' runs: %u lower adapter%s, %u virtual miniport%s. Look with: umndis%s%s "
               "show. ^C ends it.\n",
               run.name, n[0], n[0] == 1 ? "" : "s", n[1], n[1] == 1 ? "" : "s",
               strcmp(run.name, "box") ? " --box " : "", strcmp(run.name, "box") ? run.name : "");
        fflush(stdout);
    }
}

static void body(void *arg)
{
    run.setup.existing = false;
    umn__pnp_devices(any_device, &run.setup.existing);
    run.status = setup_build(run.o, &run.setup);
    if (run.o->error_length) {
        fputs(run.o->error, stderr);
        plat_free(run.o->error);
        run.o->error = NULL;
        run.o->error_length = run.o->error_room = 0;
    }
    /* A box whose registry has a broken device still runs the others. */
    if (run.status && !run.setup.existing)
        return;
    run.status = 0;
    run.live = true;
    greet();
    control_serve(run.listen_fd, run.signal_fd, run.seconds);
    run.live = false;
}

static int take_lowers(struct out *o, struct args *a)
{
    bool error = false;
    for (const char *v; (v = arg_value(a, "--lower", &error));) {
        if (run.setup.lowers == 16)
            return out_fail(o, 2, "more than 16 --lower interfaces");
        run.setup.lower[run.setup.lowers++] = v;
    }
    return error ? out_fail(o, 2, "--lower: which interface?") : 0;
}

static int options(struct out *o, struct args *a, struct umn_box_config *config)
{
    bool error = false;
    long n;
    int status = take_lowers(o, a);
    if (status)
        return status;
    const char *vms = arg_value(a, "--vms", &error), *upper = arg_value(a, "--upper", &error);
    const char *seconds = arg_value(a, "--for", &error), *cpus = arg_value(a, "--cpus", &error);
    const char *poll = arg_value(a, "--poll", &error);
    const char *name = arg_value(a, "--name", &error);
    config->registry = arg_value(a, "--registry", &error);
    config->driver_path = arg_value(a, "--drivers", &error);
    run.quiet = arg_flag(a, "--quiet");
    if (error)
        return out_fail(o, 2, "an option's value is missing; see umndis help run");
    if ((status = arg_rest(o, a, 0)))
        return status;
    run.name = name ? name : "box";
    run.setup.vms = 3;
    run.setup.upper = upper ? upper : run.setup.lowers ? "tap" : "pktio";
    config->poll_us = 50;
    if (vms && !arg_number(o, "--vms", vms, 0, 4096, &n))
        return 2;
    run.setup.vms = vms ? (unsigned)n : 3;
    if (seconds && !arg_number(o, "--for", seconds, 1, 1000000, &n))
        return 2;
    run.seconds = seconds ? (unsigned)n : 0;
    if (cpus && !arg_number(o, "--cpus", cpus, 1, 64, &n))
        return 2;
    config->cpus = cpus ? (unsigned)n : 0;
    if (poll && !arg_number(o, "--poll", poll, 0, 1000000, &n))
        return 2;
    if (poll)
        config->poll_us = (unsigned)n;
    if (strcmp(run.setup.upper, "tap") && strcmp(run.setup.upper, "pktio") &&
        strcmp(run.setup.upper, "none"))
        return out_fail(o, 2, "--upper: '%s' is none of tap, pktio, none", run.setup.upper);
    return 0;
}

static int signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int cmd_run(struct out *o, struct args *a)
{
    struct umn_box_config config = {.backend = UMN_BOX_THREADS};
    int status = options(o, a, &config);
    if (status)
        return status;
    run.o = o;
    run.signal_fd = signals();
    if (control_listen(run.name, &run.listen_fd))
        return out_fail(o, 1, "%s", umn__refusal());
    if (umn_box_create(&config)) {
        status = out_fail(o, 1, "%s", umn_last_error());
    } else {
        int e = umn_box_run(body, NULL);
        unsigned reports = umn__report_count();
        status = run.status;
        umn_box_destroy(); /* before a word is kept: it counts what is left of the memory */
        if (e == UMN_EREPORT)
            status = out_fail(o, 1, "the box stopped with %u report%s (above)", reports,
                              reports == 1 ? "" : "s");
        else if (e)
            status = out_fail(o, 1, "%s", umn_last_error());
        else if (!status && !run.quiet)
            out_text(o, "box '%s' stopped cleanly\n", run.name);
    }
    control_close(run.name, run.listen_fd);
    close(run.signal_fd);
    return status;
}
