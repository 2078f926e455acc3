/* SPDX-License-Identifier: MIT */
/*
 * From a service's ImagePath to its driver object. Owns the list of loaded services, in order of
 * loading. One load or unload at a time: `Loader.owner` is a sleeping ownership, held across
 * DriverEntry and DriverUnload; `Loader.lock` (leaf) guards it. PASSIVE_LEVEL, in a context.
 */
#include "config/internal.h"

#include <string.h>
#include "check/check.h"
#include "image/image.h"
#include "plat/plat.h"
#include "trace/trace.h"

struct loaded {
    struct umn_list link;
    char service[];
};

struct load_waiter {
    struct umn_list link;
    struct umn_ctx *ctx;
};

static struct {
    struct umn_mutex lock;
    struct umn_ctx *owner;
    unsigned depth;
    struct umn_list waiters;
    struct umn_list loaded; /* oldest first; owner only */
    char *folders;          /* NULL: beside the program */
} Loader = {
    .waiters = {&Loader.waiters, &Loader.waiters},
    .loaded = {&Loader.loaded, &Loader.loaded},
};

/* ---- one at a time --------------------------------------------------------------------------- */

/* Recursive: a DriverEntry may lead to another load in the same context. */
static void enter(void)
{
    struct load_waiter waiter = {.ctx = umn__ctx_self()};

    umn__lock(&Loader.lock);
    while (Loader.owner && Loader.owner != waiter.ctx) {
        umn_list_add_tail(&Loader.waiters, &waiter.link);
        umn__unlock(&Loader.lock);
        umn__park(UMN_FOREVER, "driver load", &Loader);
        umn__lock(&Loader.lock);
        umn_list_remove(&waiter.link);
    }
    Loader.owner = waiter.ctx;
    Loader.depth++;
    umn__unlock(&Loader.lock);
}

static void leave(void)
{
    umn__lock(&Loader.lock);
    if (--Loader.depth == 0) {
        Loader.owner = NULL;
        if (!umn_list_empty(&Loader.waiters)) /* under the lock: the waiter is still there */
            umn__unpark(umn_container_of(Loader.waiters.next, struct load_waiter, link)->ctx);
    }
    umn__unlock(&Loader.lock);
}

/* ---- finding the file ------------------------------------------------------------------------ */

int umn__netcfg_driver_path(const char *folders)
{
    char *copy = folders ? plat_strdup(folders) : NULL;

    if (folders && !copy)
        return UMN_ENOMEM;
    plat_free(Loader.folders);
    Loader.folders = copy;
    return 0;
}

/* "C:\...\mux.sys", "\SystemRoot\...\mux.sys", "System32\drivers\mux.sys", "mux" -> what to look
 * for in the folders. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '\\');

    return slash ? slash + 1 : path;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);

    return n > m && umn__stricmp(name + n - m, suffix) == 0;
}

/* Tries folder/name, and with .so for .sys or no suffix. UMN_ENOENT: none is there. */
static int open_in(const char *folder, size_t length, const char *name, struct umn_image **image)
{
    bool so = has_suffix(name, ".so"), sys = has_suffix(name, ".sys");
    int stem = (int)(strlen(name) - (sys ? 4 : 0));
    char *path;
    int error = UMN_ENOENT;

    for (int i = 0; i < 2 && error == UMN_ENOENT; i++) {
        if (i == 0 && !so && !sys)
            continue;
        if (i == 1 && so)
            break;
        path = i == 0 ? plat_asprintf("%.*s/%s", (int)length, folder, name)
                      : plat_asprintf("%.*s/%.*s.so", (int)length, folder, stem, name);
        if (!path)
            return UMN_ENOMEM;
        error = umn__image_open(path, image);
        plat_free(path);
    }
    return error;
}

static int open_in_folders(const char *folders, const char *name, struct umn_image **image)
{
    int error = UMN_ENOENT;

    while (error == UMN_ENOENT && *folders) {
        size_t length = strcspn(folders, ":");

        if (length)
            error = open_in(folders, length, name, image);
        folders += length + (folders[length] == ':');
    }
    return error;
}

/* Where drivers lie beside a program: its folder, drivers/ in it or one or two above (the build
 * tree, where tests lie deeper), ../lib/umndis (installed). */
static char *folders_beside(void)
{
    char *here = plat_program_folder(), *folders;

    if (!here)
        return NULL;
    folders = plat_asprintf("%s:%s/drivers:%s/../drivers:%s/../../drivers:%s/../lib/umndis", here,
                            here, here, here, here);
    plat_free(here);
    return folders;
}

static int open_image(const char *service, const char *path, struct umn_image **image)
{
    char *folders;
    int error;

    if (path[0] == '/' || strncmp(path, "builtin:", 8) == 0)
        return umn__image_open(path, image);
    folders = Loader.folders ? plat_strdup(Loader.folders) : folders_beside();
    if (!folders)
        return UMN_ENOMEM;
    error = open_in_folders(folders, base_name(path), image);
    if (error == UMN_ENOENT)
        umn__refuse(error, "service %s: no driver \"%s\" (.so) in %s", service, base_name(path),
                    folders);
    plat_free(folders);
    return error;
}

/* ---- loading --------------------------------------------------------------------------------- */

static int image_path(const char *service, char **path)
{
    char key[CFG_KEY_MAX];
    uint32_t start = 3;
    int error = cfg__format(key, sizeof key, UMN_KEY_SERVICES "\\%s", service);

    if (error || !*service || strchr(service, '\\') || !umn__reg_key_exists(key))
        return umn__refuse(UMN_ENOENT, "service %.60s: no such service", service);
    error = umn__reg_get_dword(key, "Start", &start);
    if (error == UMN_ENOMEM)
        return error;
    if (start == 4) /* SERVICE_DISABLED */
        return umn__refuse(UMN_ESTATE, "service %s: disabled (Start = 4)", service);
    error = umn__reg_get_sz(key, "ImagePath", path);
    if (error == UMN_ENOENT || error == UMN_EINVAL)
        return umn__refuse(UMN_ENOENT, "service %s: no ImagePath (REG_SZ) in %s", service, key);
    return error;
}

static int load(const char *service, DRIVER_OBJECT **driver, NTSTATUS *status)
{
    struct loaded *record;
    struct umn_image *image;
    char *path;
    int error = image_path(service, &path);

    if (error)
        return error;
    error = open_image(service, path, &image);
    plat_free(path);
    if (error)
        return error;
    record = plat_alloc(sizeof *record + strlen(service) + 1);
    if (!record) {
        umn__image_close(image);
        return UMN_ENOMEM;
    }
    strcpy(record->service, service);
    umn__trace("driver.load", "%s: %s", service, umn__image_path(image));
    error = umn__driver_load(service, umn__image_entry(image), image, driver, status);
    if (error) {
        umn__image_close(image); /* else it is the driver object's */
        plat_free(record);
        if (error == UMN_EDRIVER && *status == STATUS_INSUFFICIENT_RESOURCES)
            error = UMN_ENOMEM;
        else if (error == UMN_EDRIVER)
            umn__refuse(error, "service %s: DriverEntry failed with 0x%08x", service,
                        (unsigned)*status);
        return error;
    }
    umn_list_add_tail(&Loader.loaded, &record->link);
    return 0;
}

int cfg__load(const char *service, DRIVER_OBJECT **driver, NTSTATUS *status)
{
    NTSTATUS ignored;
    int error = 0;

    if (!status)
        status = &ignored;
    *status = STATUS_SUCCESS;
    enter();
    *driver = umn__driver_find(service);
    if (!*driver)
        error = load(service, driver, status);
    leave();
    return error;
}

static struct loaded *find(const char *service)
{
    umn_list_for_each (at, &Loader.loaded) {
        struct loaded *record = umn_container_of(at, struct loaded, link);

        if (umn__stricmp(record->service, service) == 0)
            return record;
    }
    return NULL;
}

static int unload(struct loaded *record)
{
    DRIVER_OBJECT *driver = umn__driver_find(record->service);
    int error = driver ? umn__driver_unload(driver) : 0;

    umn__trace("driver.unload", "%s: %s", record->service, error ? umn_strerror(error) : "done");
    if (!error) {
        umn_list_remove(&record->link);
        plat_free(record);
    }
    return error;
}

int cfg__unload(const char *service)
{
    struct loaded *record;
    int error;

    enter();
    record = find(service);
    if (!record)
        error = umn__refuse(UMN_ENOENT, "service %.60s: its driver is not loaded", service);
    else
        error = unload(record);
    if (error == UMN_ESTATE)
        umn__refuse(error, "service %.60s: its driver has devices left or no unload routine",
                    service);
    leave();
    return error;
}

void cfg__unload_all(void)
{
    enter();
    for (struct umn_list *at = Loader.loaded.prev, *before; at != &Loader.loaded; at = before) {
        before = at->prev;
        unload(umn_container_of(at, struct loaded, link));
    }
    leave();
}

void cfg__loader_reset(void)
{
    umn_list_for_each (at, &Loader.loaded)
        plat_free(umn_container_of(at, struct loaded, link));
    umn_list_init(&Loader.loaded);
    umn_list_init(&Loader.waiters);
    Loader.owner = NULL;
    Loader.depth = 0;
    Loader.lock = (struct umn_mutex){0};
}
