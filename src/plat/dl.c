/* SPDX-License-Identifier: MIT */
/*
 * Shared objects beyond open and close: private copies, address ranges, symbols of the program; and
 * reading a whole file. No state. Any thread.
 */
#include "plat/plat.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool plat_dl_loaded(const char *path)
{
    void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (h)
        dlclose(h);
    return h != NULL;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return UMN_EIO;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* A name for descriptor fd that no object was opened under before: the loader knows objects by name
 * first, and a copy that cannot be unmapped keeps its name. The number of the copy is written in
 * slashes. */
static void unique_name(int fd, char *out, size_t size)
{
    static uint32_t copies;
    uint32_t number = __atomic_add_fetch(&copies, 1, __ATOMIC_RELAXED);
    size_t n = (size_t)snprintf(out, size, "/proc/self/");
    for (int bit = 0; bit < 32; bit++)
        n += (size_t)snprintf(out + n, size - n, number >> bit & 1 ? ".//" : "./");
    snprintf(out + n, size - n, "fd/%d", fd);
}

int plat_dl_open_copy(const void *data, size_t size, const char *name, void **handle, char **why)
{
    char path[160];
    int fd = memfd_create(name, MFD_CLOEXEC);
    int err = fd < 0 ? UMN_ENOMEM : write_all(fd, data, size);
    if (err) {
        if (why)
            *why = plat_strdup("no memory for a private copy");
    } else {
        unique_name(fd, path, sizeof path);
        err = plat_dl_open(path, handle, why);
    }
    if (fd >= 0)
        close(fd);
    return err;
}

const void *plat_dl_find(const char *name, bool *own)
{
    Dl_info here, there;
    const void *address = dlsym(RTLD_DEFAULT, name);
    if (own)
        *own = address && dladdr((const void *)(uintptr_t)plat_dl_find, &here) &&
               dladdr(address, &there) && here.dli_fbase == there.dli_fbase;
    return address;
}

struct range {
    ElfW(Addr) base;
    const char *name;
    uintptr_t from, to;
};

static int measure(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct range *r = arg;
    if (info->dlpi_addr != r->base || strcmp(info->dlpi_name, r->name) != 0)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD)
            continue;
        uintptr_t from = info->dlpi_addr + p->p_vaddr, to = from + p->p_memsz;
        r->from = from < r->from ? from : r->from;
        r->to = to > r->to ? to : r->to;
    }
    return 1;
}

int plat_dl_range(void *handle, uintptr_t *from, uintptr_t *to)
{
    struct link_map *map = NULL;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || !map)
        return UMN_EINVAL;
    struct range r = {.base = map->l_addr, .name = map->l_name, .from = UINTPTR_MAX};
    dl_iterate_phdr(measure, &r);
    if (r.from >= r.to)
        return UMN_EINVAL;
    *from = r.from;
    *to = r.to;
    return 0;
}

static int error_of(int e)
{
    return e == ENOENT || e == ENOTDIR                 ? UMN_ENOENT
           : e == EACCES || e == EPERM                 ? UMN_EPERM
           : e == ENOMEM || e == EMFILE || e == ENFILE ? UMN_ENOMEM
                                                       : UMN_EIO;
}

int plat_file_read(const char *path, size_t max, void **data, size_t *size)
{
    struct stat st;
    int err = 0;
    size_t got = 0;
    char *buffer;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us */
    if (fd < 0)
        return error_of(errno);
    if (fstat(fd, &st) != 0)
        err = error_of(errno);
    else if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > max)
        err = UMN_EINVAL;
    if (err)
        goto close_fd;
    buffer = plat_alloc((size_t)st.st_size);
    if (!buffer) {
        err = UMN_ENOMEM;
        goto close_fd;
    }
    while (got < (size_t)st.st_size) {
        ssize_t n = read(fd, buffer + got, (size_t)st.st_size - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err = error_of(errno);
            plat_free(buffer);
            goto close_fd;
        }
        if (n == 0)
            break; /* it shrank meanwhile */
        got += (size_t)n;
    }
    *data = buffer;
    *size = got;
close_fd:
    close(fd);
    return err;
}
