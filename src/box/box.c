/* SPDX-License-Identifier: MIT */
/*
 * The box: starts the parts in order, runs the caller's function as the first system thread with
 * the PnP manager up, takes everything down and says what is left. Owns nothing but the order and
 * the counts taken at the start. Called from one host thread, outside contexts.
 *
 *   create: scheduler, executive, registry, NDIS      destroy: NDIS, executive, registry, scheduler
 *   run (in a context): PnP manager, fn, devices away, drivers unloaded
 */
#include "umndis/umndis.h"

#include <stdio.h>
#include <string.h>
#include "check/check.h"
#include "config/config.h"
#include "ndis/host.h"
#include "nt/nt.h"
#include "plat/plat.h"
#include "sched/sched.h"
#include "trace/trace.h"

static struct {
    bool created;
    bool hung;             /* contexts are stuck: what they hold is not a leak of its own */
    size_t blocks;         /* plat_alloc_live before create */
    unsigned reports;      /* at the start of the run */
    int start_error, left; /* of the run */
    void (*fn)(void *arg);
    void *arg;
} Box;

static int start_scheduler(const struct umn_box_config *c)
{
    struct umn_sched_config sched = {
        .backend = c->backend == UMN_BOX_EXPLORE ? UMN_BACKEND_EXPLORE : UMN_BACKEND_THREADS,
        .cpus = c->cpus,
        .workers = c->workers,
        .poll_us = c->poll_us,
        .seed = c->seed,
        .step_limit = c->step_limit,
        .strategy = !c->seed ? UMN_STRATEGY_FIFO
                    : c->pct ? UMN_STRATEGY_PCT
                             : UMN_STRATEGY_RANDOM,
    };

    return umn__sched_start(&sched);
}

int umn_box_create(const struct umn_box_config *config)
{
    int error;

    if (Box.created)
        return umn__refuse(UMN_ESTATE, "box: one at a time in a process, and there is one");
    memset(&Box, 0, sizeof Box);
    umn__refusal_clear();
    umn__report_reset();
    umn__trace_reset();
    Box.blocks = plat_alloc_live();
    error = start_scheduler(config);
    if (error)
        return error;
    error = umn__nt_start();
    if (error)
        goto stop_scheduler;
    error = umn__reg_open(config->registry);
    if (error)
        goto stop_nt;
    error = umn__netcfg_driver_path(config->driver_path);
    if (error)
        goto close_registry;
    error = umn__ndis_start();
    if (error)
        goto drop_path;
    Box.created = true;
    return 0;

drop_path:
    umn__netcfg_driver_path(NULL);
close_registry:
    umn__reg_close();
stop_nt:
    umn__nt_stop();
stop_scheduler:
    umn__sched_stop();
    return error;
}

/* What drivers have not given back once all of them are unloaded, as the run's refusal. The reports
 * are nt's, at the end of the box. */
static int check_left(void)
{
    struct umn_pool_usage usage[8];
    unsigned tags = umn__pool_usage(usage, 8);
    char text[400] = "";
    size_t used = 0;

    for (unsigned i = 0; i < tags && i < 8 && used < sizeof text - 64; i++) {
        char tag[4];

        memcpy(tag, &usage[i].tag, sizeof tag);
        for (unsigned k = 0; k < 4; k++)
            if (tag[k] < ' ' || tag[k] > '~')
                tag[k] = '.';
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%zu block(s) of pool '%.4s'",
                                 used ? ", " : "", usage[i].blocks, tag);
    }
    if (umn__irp_live())
        snprintf(text + used, sizeof text - used, "%s%zu IRP(s)", used ? ", " : "",
                 umn__irp_live());
    return umn__refuse(UMN_EREPORT, "box: left after every driver was unloaded: %s", text);
}

static void first_thread(void *arg)
{
    size_t pool = umn__pool_live();

    Box.start_error = umn__pnp_start();
    if (Box.start_error)
        return;
    Box.fn(Box.arg);
    umn__pnp_stop();
    if (umn__pool_live() > pool || umn__irp_live())
        Box.left = check_left();
}

int umn_box_run(void (*fn)(void *arg), void *arg)
{
    int error;

    if (!Box.created || Box.hung)
        return umn__refuse(UMN_ESTATE, "box: %s", Box.hung ? "it hangs" : "not created");
    Box.fn = fn;
    Box.arg = arg;
    Box.start_error = Box.left = 0;
    Box.reports = umn__report_count();
    error = umn__sched_run(first_thread, NULL);
    if (error) {
        Box.hung = true;
        return umn__refuse(error, "box: %s: %.400s", umn_strerror(error), umn__sched_describe());
    }
    if (Box.start_error)
        return Box.start_error;
    return umn__report_count() != Box.reports ? UMN_EREPORT : Box.left;
}

void umn_box_destroy(void)
{
    unsigned reports;
    size_t left;

    if (!Box.created)
        return;
    reports = umn__report_count();
    umn__ndis_stop();
    umn__nt_stop();
    umn__pnp_abandon(); /* nothing to do but after a hang */
    umn__netcfg_driver_path(NULL);
    umn__reg_close();
    umn__sched_stop();
    Box.created = false;
    left = plat_alloc_live();
    /* with a report or a hang the cause has been told, and memory behind it is no second one */
    if (left > Box.blocks && !Box.hung && !reports && !umn__report_count())
        umn__report("MEM-01", 0x62, "%zu block(s) of memory left after the box was taken down",
                    left - Box.blocks);
}

const char *umn_last_error(void)
{
    return umn__refusal();
}

const char *umn_version(void)
{
    return "0.1.0";
}
