/* SPDX-License-Identifier: MIT */
/*
 * Lock files and where the program lies. Any host thread. A lock is flock(2) on a file of its own:
 * it ends with its holder, however that ends. The file is removed on unlock; a taker therefore
 * checks that what it locked is still what the path names.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plat/plat.h"

struct plat_file_lock {
    int fd;
    char path[];
};

static int error_of(int host_errno)
{
    switch (host_errno) {
    case EACCES:
    case EPERM:
    case EROFS:
        return UMN_EPERM;
    case ENOENT:
    case ENOTDIR:
        return UMN_ENOENT;
    case ENOMEM:
        return UMN_ENOMEM;
    default:
        return UMN_EIO;
    }
}

static int read_holder(int fd)
{
    char text[16] = "";
    ssize_t got = pread(fd, text, sizeof text - 1, 0);

    return got > 0 ? atoi(text) : 0;
}

/* True if `path` still names the file behind fd (its last holder may have removed it). */
static bool same_file(int fd, const char *path)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static int open_locked(const char *path, int *out, int *holder)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

        if (fd < 0)
            return error_of(errno);
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            int error = errno == EWOULDBLOCK ? UMN_EBUSY : error_of(errno);

            *holder = read_holder(fd);
            close(fd);
            return error;
        }
        if (same_file(fd, path)) {
            *out = fd;
            return 0;
        }
        close(fd);
    }
}

int plat_file_lock(const char *path, struct plat_file_lock **out, int *holder)
{
    size_t size = strlen(path) + 1;
    struct plat_file_lock *lock = plat_alloc(sizeof *lock + size);
    char text[16];
    int error;

    *holder = 0;
    if (!lock)
        return UMN_ENOMEM;
    memcpy(lock->path, path, size);
    error = open_locked(path, &lock->fd, holder);
    if (error) {
        plat_free(lock);
        return error;
    }
    snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(lock->fd, 0) != 0 || pwrite(lock->fd, text, strlen(text), 0) < 0) {
        error = error_of(errno);
        plat_file_unlock(lock);
        return error;
    }
    *out = lock;
    return 0;
}

void plat_file_unlock(struct plat_file_lock *lock)
{
    if (!lock)
        return;
    unlink(lock->path);
    close(lock->fd);
    plat_free(lock);
}

char *plat_program_folder(void)
{
    char path[4096];
    ssize_t got = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash;

    if (got <= 0)
        return NULL;
    path[got] = 0;
    slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    *slash = 0;
    return plat_strdup(path);
}
