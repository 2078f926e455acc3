/* SPDX-License-Identifier: MIT */
/*
 * Driver images: ELF shared objects and drivers built into the program. Each open of a file gives
 * fresh data: if the object is mapped already (opened twice, or an earlier close could not unmap
 * it), a private copy of its bytes is opened instead. The table of built-in drivers is filled
 * before a box runs; an image belongs to who opened it. PASSIVE_LEVEL; umn__image_contains at any
 * level.
 */
#include "image/image.h"

#include <string.h>

#include "check/check.h"
#include "image/elf_file.h"
#include "nt/nt.h"
#include "plat/plat.h"

#define MAX_FILE (256u << 20)
#define MAX_BUILTIN 64
#define PREFIX "builtin:"

struct umn_image {
    char *path;
    PDRIVER_INITIALIZE entry;
    void *handle; /* NULL: built in */
    uintptr_t from, to;
};

static struct {
    char *name;
    PDRIVER_INITIALIZE entry;
} builtin[MAX_BUILTIN];

/* ---- built in -------------------------------------------------------------------------------- */

int umn__image_builtin(const char *name, PDRIVER_INITIALIZE entry)
{
    unsigned free_slot = MAX_BUILTIN;
    for (unsigned i = 0; i < MAX_BUILTIN; i++) {
        if (builtin[i].name && strcmp(builtin[i].name, name) == 0)
            return builtin[i].entry == entry ? 0 : UMN_EEXIST;
        if (!builtin[i].name && free_slot == MAX_BUILTIN)
            free_slot = i;
    }
    if (free_slot == MAX_BUILTIN)
        return UMN_ENOMEM;
    builtin[free_slot].name = plat_strdup(name);
    if (!builtin[free_slot].name)
        return UMN_ENOMEM;
    builtin[free_slot].entry = entry;
    return 0;
}

void umn__image_builtin_clear(void)
{
    for (unsigned i = 0; i < MAX_BUILTIN; i++) {
        plat_free(builtin[i].name);
        builtin[i].name = NULL;
        builtin[i].entry = NULL;
    }
}

static PDRIVER_INITIALIZE find_builtin(const char *name)
{
    for (unsigned i = 0; i < MAX_BUILTIN; i++)
        if (builtin[i].name && strcmp(builtin[i].name, name) == 0)
            return builtin[i].entry;
    return NULL;
}

/* ---- imports --------------------------------------------------------------------------------- */

/* Names that are missing, as many as fit, and how many in all. */
struct missing {
    char names[360];
    size_t length;
    unsigned count, shown;
};

static void add_missing(struct missing *m, const char *name)
{
    size_t n = strlen(name), comma = m->shown ? 2 : 0;
    m->count++;
    if (m->length + comma + n + 1 > sizeof m->names)
        return;
    if (comma)
        memcpy(m->names + m->length, ", ", 2);
    memcpy(m->names + m->length + comma, name, n + 1);
    m->length += comma + n;
    m->shown++;
}

#define MAX_LIBRARIES 32
struct libraries {
    void *handle[MAX_LIBRARIES];
    unsigned count;
};

/* Opens the libraries that a driver needs, so that its imports can be looked up in them. */
static int open_libraries(const char *path, const struct elf_file *f, struct libraries *libs)
{
    uint64_t cursor = 0;
    const char *name;
    while ((name = elf__needed(f, &cursor)) != NULL) {
        char *why = NULL;
        if (libs->count == MAX_LIBRARIES)
            return umn__refuse(UMN_ECORRUPT, "%s: needs more than %d libraries", path,
                               MAX_LIBRARIES);
        if (plat_dl_open(name, &libs->handle[libs->count], &why) != 0) {
            umn__refuse(UMN_ECORRUPT, "%s: needs the library %s, which cannot be opened: %s", path,
                        name, why ? why : "no memory");
            plat_free(why);
            return UMN_ECORRUPT;
        }
        libs->count++;
    }
    return 0;
}

static void close_libraries(struct libraries *libs)
{
    while (libs->count)
        plat_dl_close(libs->handle[--libs->count]);
}

static bool resolvable(const char *name, const struct libraries *libs)
{
    if (plat_dl_find(name, NULL))
        return true;
    for (unsigned i = 0; i < libs->count; i++)
        if (plat_dl_sym(libs->handle[i], name))
            return true;
    return false;
}

static int check_symbols(const char *path, const struct elf_file *f, const struct libraries *libs)
{
    struct missing missing = {.count = 0};
    bool entry = false;
    for (uint64_t i = 1; i < f->symbol_count; i++) {
        Elf64_Sym s;
        const char *name;
        if (!elf__symbol(f, i, &s, &name))
            return umn__refuse(UMN_ECORRUPT, "%s: has a damaged dynamic symbol table", path);
        if (s.st_shndx == SHN_UNDEF) {
            if (ELF64_ST_BIND(s.st_info) == STB_GLOBAL && !resolvable(name, libs))
                add_missing(&missing, name);
        } else if (strcmp(name, "DriverEntry") == 0) {
            entry |= ELF64_ST_TYPE(s.st_info) == STT_FUNC;
        }
    }
    if (!entry)
        return umn__refuse(UMN_ECORRUPT, "%s: exports no function DriverEntry; it is not a driver",
                           path);
    if (missing.count)
        return umn__refuse(UMN_ECORRUPT, "%s: %u import(s) that nobody exports: %s%s", path,
                           missing.count, missing.names,
                           missing.count > missing.shown ? ", ..." : "");
    return 0;
}

/* Everything that can be said before code of the file runs. */
static int check_file(const char *path, const void *bytes, size_t size)
{
    struct elf_file f;
    struct libraries libs = {.count = 0};
    const char *wrong = elf__parse(&f, bytes, size);
    if (wrong)
        return umn__refuse(UMN_ECORRUPT, "%s: %s", path, wrong);
    int err = open_libraries(path, &f, &libs);
    if (!err)
        err = check_symbols(path, &f, &libs);
    close_libraries(&libs);
    return err;
}

/* ---- open and close -------------------------------------------------------------------------- */

static int refuse_read(const char *path, int err)
{
    switch (err) {
    case UMN_ENOENT:
        return umn__refuse(err, "%s: there is no such file; expected a driver image", path);
    case UMN_EPERM:
        return umn__refuse(err, "%s: may not be read", path);
    case UMN_EINVAL:
        return umn__refuse(UMN_ECORRUPT, "%s: is not a regular file of at most %u MB", path,
                           MAX_FILE >> 20);
    case UMN_ENOMEM:
        return umn__refuse(err, "%s: no memory to read it", path);
    default:
        return umn__refuse(UMN_ECORRUPT, "%s: cannot be read", path);
    }
}

static int open_object(struct umn_image *image, const void *bytes, size_t size)
{
    char *why = NULL;
    const char *slash = strrchr(image->path, '/');
    int err =
        plat_dl_loaded(image->path)
            ? plat_dl_open_copy(bytes, size, slash ? slash + 1 : image->path, &image->handle, &why)
            : plat_dl_open(image->path, &image->handle, &why);
    if (err) {
        umn__refuse(err == UMN_ENOMEM ? err : UMN_ECORRUPT, "%s: cannot be loaded: %s", image->path,
                    why ? why : "no memory");
        plat_free(why);
        return err == UMN_ENOMEM ? err : UMN_ECORRUPT;
    }
    image->entry = (PDRIVER_INITIALIZE)(uintptr_t)plat_dl_sym(image->handle, "DriverEntry");
    if (!image->entry || plat_dl_range(image->handle, &image->from, &image->to)) {
        plat_dl_close(image->handle);
        image->handle = NULL;
        return umn__refuse(UMN_ECORRUPT, "%s: exports no function DriverEntry; it is not a driver",
                           image->path);
    }
    return 0;
}

static int open_file(struct umn_image *image)
{
    void *bytes;
    size_t size;
    int err = plat_file_read(image->path, MAX_FILE, &bytes, &size);
    if (err)
        return refuse_read(image->path, err);
    err = check_file(image->path, bytes, size);
    if (!err)
        err = open_object(image, bytes, size);
    plat_free(bytes);
    return err;
}

int umn__image_open(const char *path, struct umn_image **out)
{
    struct umn_image *image = plat_alloc(sizeof *image);
    int err = UMN_ENOMEM;
    if (!image)
        return umn__refuse(err, "%s: no memory", path);
    /* A name without a slash would be looked for along the library path. */
    bool bare = strncmp(path, PREFIX, strlen(PREFIX)) != 0 && !strchr(path, '/');
    image->path = bare ? plat_asprintf("./%s", path) : plat_strdup(path);
    if (!image->path) {
        umn__refuse(err, "%s: no memory", path);
        goto free_image;
    }
    if (strncmp(path, PREFIX, strlen(PREFIX)) == 0) {
        image->entry = find_builtin(path + strlen(PREFIX));
        err = image->entry
                  ? 0
                  : umn__refuse(UMN_ENOENT, "%s: no such driver is built into this program", path);
    } else {
        err = open_file(image);
    }
    if (!err) {
        *out = image;
        return 0;
    }
    plat_free(image->path);
free_image:
    plat_free(image);
    return err;
}

PDRIVER_INITIALIZE umn__image_entry(const struct umn_image *image)
{
    return image->entry;
}

const char *umn__image_path(const struct umn_image *image)
{
    return image->path;
}

bool umn__image_contains(const struct umn_image *image, const void *address)
{
    return (uintptr_t)address >= image->from && (uintptr_t)address < image->to;
}

void umn__image_close(struct umn_image *image)
{
    if (!image)
        return;
    if (image->handle)
        plat_dl_close(image->handle);
    plat_free(image->path);
    plat_free(image);
}

static const struct umn_image_ops ops = {umn__image_contains, umn__image_close};

__attribute__((constructor)) static void register_ops(void)
{
    umn__image_ops_set(&ops);
}
