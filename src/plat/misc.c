/* SPDX-License-Identifier: MIT */
/*
 * The rest of the Linux layer: shared objects, random bytes, log lines and the texts of the error
 * numbers. No lock, any thread; a log line is one write.
 */
#include "plat/plat.h"

#include <dlfcn.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

static int MaxLevel = 1;

void plat_random(void *buf, size_t len)
{
    char *p = buf;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n <= 0)
            continue; /* only EINTR is possible without flags */
        p += n;
        len -= (size_t)n;
    }
}

bool plat_fence_all_ready(void)
{
    const long want = MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
    long has = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

    return has >= 0 && (has & want) == want &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

/* Once registered it cannot fail. */
void plat_fence_all(void)
{
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

/* RTLD_LOCAL: two drivers may define the same name; a driver sees only the host's exports. */
int plat_dl_open(const char *path, void **handle, char **why)
{
    void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (h) {
        *handle = h;
        return 0;
    }
    const char *text = dlerror();
    if (why)
        *why = plat_strdup(text ? text : "dlopen failed");
    return access(path, F_OK) == 0 ? UMN_ECORRUPT : UMN_ENOENT;
}

void *plat_dl_sym(void *handle, const char *name)
{
    return dlsym(handle, name);
}

void plat_dl_close(void *handle)
{
    if (handle)
        dlclose(handle);
}

void plat_log(int level, const char *fmt, ...)
{
    static const char *const words[] = {"error: ", "warning: ", "", "debug: "};
    if (level > __atomic_load_n(&MaxLevel, __ATOMIC_RELAXED))
        return;
    char line[1024];
    int n = snprintf(line, sizeof line, "umndis: %s", words[level < 0 ? 0 : level > 3 ? 3 : level]);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    va_end(ap);
    if (m > 0)
        n += m;
    if (n > (int)sizeof line - 2)
        n = (int)sizeof line - 2;
    line[n++] = '\n';
    (void)!write(STDERR_FILENO, line, (size_t)n);
}

void plat_log_level(int max_level)
{
    __atomic_store_n(&MaxLevel, max_level, __ATOMIC_RELAXED);
}

const char *umn_strerror(int error)
{
    static const char *const texts[] = {
        [0] = "success",
        [-UMN_ENOMEM] = "out of memory",
        [-UMN_EINVAL] = "invalid argument",
        [-UMN_ENOENT] = "not found",
        [-UMN_EEXIST] = "exists already",
        [-UMN_EBUSY] = "in use",
        [-UMN_EPERM] = "not permitted",
        [-UMN_EIO] = "input/output error",
        [-UMN_ETIMEDOUT] = "timed out",
        [-UMN_ENOTSUP] = "not supported here",
        [-UMN_ECORRUPT] = "damaged or of the wrong kind",
        [-UMN_EDRIVER] = "refused by the driver",
        [-UMN_ESTATE] = "not in this state",
        [-UMN_EHANG] = "hang: nothing can run",
        [-UMN_EREPORT] = "a driver broke a rule",
        [-UMN_EMISMATCH] = "the run left the recorded trace",
        [-UMN_ECANCELED] = "cancelled",
    };
    if (error > 0 || -(long)error >= (long)(sizeof texts / sizeof texts[0]))
        return "unknown error";
    return texts[-error];
}
