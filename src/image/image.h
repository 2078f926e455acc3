/* SPDX-License-Identifier: MIT */
/*
 * Driver images: ELF shared objects, and drivers built into the program (tests, embedders). The PE
 * loader joins here as a third kind. An image has one entry, DriverEntry, and imports by name from
 * the export table: the driver-facing functions of this library, looked up by the dynamic linker.
 */
#ifndef UMN_IMAGE_H
#define UMN_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <ntddk.h>
#include "umndis/errors.h"

struct umn_image;
/*
 * Opens a driver file. Refuses (umn__refuse: path, what is wrong, what was expected) with
 * UMN_ENOENT (missing), UMN_ECORRUPT (not a driver: no ELF for x86-64, no DriverEntry, an import
 * that nobody exports - all missing names are listed), UMN_EPERM, UMN_ENOMEM. Each open of the same
 * file gives fresh .data and .bss.
 */
int umn__image_open(const char *path, struct umn_image **out);
/* A driver that is part of the program. The name is what ImagePath says after "builtin:". */
int umn__image_builtin(const char *name, PDRIVER_INITIALIZE entry);
void umn__image_builtin_clear(void);
PDRIVER_INITIALIZE umn__image_entry(const struct umn_image *image);
const char *umn__image_path(const struct umn_image *image);
/* Whether an address lies in the image's code or data. */
bool umn__image_contains(const struct umn_image *image, const void *address);
void umn__image_close(struct umn_image *image); /* NULL: nothing */

#endif
