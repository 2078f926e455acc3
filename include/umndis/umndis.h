/* SPDX-License-Identifier: MIT */
/*
 * libumndis: a box - a registry, a device tree, drivers and adapters - in this process, for tests,
 * fuzzers and tools. One box per process at a time. Functions return 0 or a negative UMN_E...;
 * umn_last_error() then says what, where and what was expected.
 */
#ifndef UMNDIS_H
#define UMNDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "umndis/errors.h"

#ifdef __cplusplus
extern "C" {
#endif

enum umn_box_backend { UMN_BOX_THREADS, UMN_BOX_EXPLORE };

struct umn_box_config {
    enum umn_box_backend backend;
    const char *registry;     /* database file; NULL: in memory */
    const char *driver_path;  /* folders searched for service images, ':' between; NULL: beside us */
    unsigned cpus, workers;   /* 0: the default */
    unsigned poll_us;         /* threads: busy polling before sleep */
    uint64_t seed;            /* explore: 0 = the plain FIFO schedule, else random by seed */
    unsigned pct;             /* explore: 1 = PCT instead of random */
    uint64_t step_limit;      /* explore; 0 = default */
};

/* Starts scheduler, executive, NDIS library; opens the registry. Drivers load in umn_box_run. */
int umn_box_create(const struct umn_box_config *config);
/*
 * Runs fn(arg) as a system thread at PASSIVE_LEVEL with the PnP manager up, then takes the box
 * down: removes every device, unloads every driver. Returns 0, what fn's box met (UMN_EHANG,
 * UMN_ETIMEDOUT) or UMN_EREPORT when reports were made or something leaked.
 */
int umn_box_run(void (*fn)(void *arg), void *arg);
void umn_box_destroy(void);
const char *umn_last_error(void);
const char *umn_version(void);

#ifdef __cplusplus
}
#endif
#endif
