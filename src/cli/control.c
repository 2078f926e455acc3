/* SPDX-License-Identifier: MIT */
/*
 * The control socket of a running box: one connection, one command, one answer. Served by the box's
 * own system thread at PASSIVE_LEVEL, one at a time, so commands never race each other. A request
 * is a 32-bit length and that many bytes of NUL-terminated words; an answer is struct answer and
 * the two texts. Requests come from this user's processes only (the folder is 0700), and are
 * bounded all the same: in size, and in time, which a signal cuts short.
 */
#include "control.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "check/check.h"
#include "plat/plat.h"

#define PATIENCE 50000000ull /* 5 s for a request, and for an answer */
#define REQUEST_MAX (1u << 20)

static bool stopping;

bool control_path(const char *box, char *path, size_t size)
{
    const char *folder = getenv("UMNDIS_RUN"), *runtime = getenv("XDG_RUNTIME_DIR");
    char at[128];
    if (folder)
        snprintf(at, sizeof at, "%s", folder);
    else if (runtime && !access(runtime, W_OK))
        snprintf(at, sizeof at, "%s/umndis", runtime);
    else if (!geteuid() && !access("/run", W_OK))
        snprintf(at, sizeof at, "/run/umndis");
    else
        snprintf(at, sizeof at, "/tmp/umndis-%u", (unsigned)getuid());
    mkdir(at, 0700);
    struct stat st;
    if (stat(at, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
        umn__refuse(UMN_EPERM, "%s is not a folder of this user; set UMNDIS_RUN to one", at);
        return false;
    }
    int n = snprintf(path, size, "%s/%s.sock", at, box);
    if (n < 0 || (size_t)n >= size || n >= (int)sizeof(((struct sockaddr_un *)0)->sun_path)) {
        umn__refuse(UMN_EINVAL, "the box name '%s' makes the path of its socket too long", box);
        return false;
    }
    return true;
}

int control_connect(const char *box)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!control_path(box, to.sun_path, sizeof to.sun_path))
        return UMN_EPERM;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return UMN_EIO;
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) {
        close(fd);
        return UMN_ENOENT;
    }
    return fd;
}

int control_listen(const char *box, int *out)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    for (const char *c = box; *c; c++)
        if (*c == '/' || (unsigned char)*c <= ' ')
            return umn__refuse(UMN_EINVAL, "'%s' is no name for a box: letters, digits, '-', '.'",
                               box);
    if (!control_path(box, at.sun_path, sizeof at.sun_path))
        return UMN_EPERM;
    int other = control_connect(box);
    if (other >= 0) {
        close(other);
        return umn__refuse(UMN_EEXIST,
                           "a box named '%s' is running (%s answers); stop it or choose another "
                           "--name",
                           box, at.sun_path);
    }
    unlink(at.sun_path); /* nobody answers: left behind by a box that was killed */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 16)) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return umn__refuse(UMN_EIO, "cannot listen on %s: %s", at.sun_path, strerror(e));
    }
    *out = fd;
    return 0;
}

void control_close(const char *box, int fd)
{
    char path[108];
    if (control_path(box, path, sizeof path))
        unlink(path);
    close(fd);
}

void control_stop(void)
{
    stopping = true;
}

bool control_read(int fd, void *to, size_t n)
{
    char *p = to;
    while (n) {
        ssize_t got = read(fd, p, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

bool control_write(int fd, const void *from, size_t n)
{
    const char *p = from;
    while (n) {
        ssize_t put = send(fd, p, n, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        p += put;
        n -= (size_t)put;
    }
    return true;
}

/* The words of a request, which ends with a zero; NULL: no memory. */
static char **split(char *text, size_t size, int *count)
{
    size_t words = 0;
    for (size_t i = 0; i <= size; i++)
        words += !text[i];
    char **word = plat_alloc(words * sizeof *word);
    *count = 0;
    for (size_t at = 0; word && at < size; at += strlen(text + at) + 1)
        word[(*count)++] = text + at;
    return word;
}

static int wait_ms(uint64_t deadline)
{
    if (!deadline)
        return -1;
    uint64_t now = plat_now_monotonic();
    return now >= deadline ? 0 : (int)((deadline - now + 9999) / 10000);
}

/* One that is stuck holds the box up for PATIENCE at most, and not at all once that is to end. */
struct client {
    int fd, signal_fd;
    uint64_t deadline;
};

static bool client_waits(const struct client *c, short events)
{
    struct pollfd p[2] = {{.fd = c->fd, .events = events}, {.fd = c->signal_fd, .events = POLLIN}};
    int n = poll(p, 2, wait_ms(c->deadline));
    return (n < 0 && errno == EINTR) || (n > 0 && !p[1].revents);
}

static bool take(const struct client *c, void *to, size_t n)
{
    char *p = to;
    while (n) {
        ssize_t got = recv(c->fd, p, n, MSG_DONTWAIT);
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR) || !client_waits(c, POLLIN)) {
            return false;
        }
    }
    return true;
}

static bool give(const struct client *c, const void *from, size_t n)
{
    const char *p = from;
    while (n) {
        ssize_t put = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put > 0) {
            p += put;
            n -= (size_t)put;
        } else if ((errno != EAGAIN && errno != EINTR) || !client_waits(c, POLLOUT)) {
            return false;
        }
    }
    return true;
}

static void answer(struct client *c, struct out *o, int status)
{
    struct answer a = {
        .status = status, .text = (uint32_t)o->length, .error = (uint32_t)o->error_length};
    c->deadline = plat_now_monotonic() + PATIENCE;
    if (give(c, &a, sizeof a) && give(c, o->text, a.text))
        give(c, o->error, a.error);
}

static void serve_one(int fd, int signal_fd)
{
    struct client c = {fd, signal_fd, plat_now_monotonic() + PATIENCE};
    uint32_t size;
    struct out o = {0};
    int status = 2;
    char *text = NULL;
    char **word = NULL;
    int count;
    if (!take(&c, &size, sizeof size))
        return; /* somebody only asked whether we are here */
    if (size == 0 || size > REQUEST_MAX || !(text = plat_alloc(size + 1u)) ||
        !take(&c, text, size)) {
        out_fail(&o, 2, "the request is malformed: %u bytes, expected 1 to %u", size, REQUEST_MAX);
    } else if (!(word = split(text, size, &count))) {
        status = out_fail(&o, 1, "out of memory");
    } else {
        struct args a = {word, count};
        status = command_run(&o, &a, true);
    }
    answer(&c, &o, status);
    plat_free(word);
    plat_free(text);
    out_free(&o);
}

void control_serve(int listen_fd, int signal_fd, unsigned seconds)
{
    int hotplug_fd = hotplug_open();
    uint64_t deadline = seconds ? plat_now_monotonic() + seconds * 10000000ull : 0;
    stopping = false;
    while (!stopping) {
        struct pollfd p[3] = {{.fd = listen_fd, .events = POLLIN},
                              {.fd = signal_fd, .events = POLLIN},
                              {.fd = hotplug_fd, .events = POLLIN}};
        int n = poll(p, 3, wait_ms(deadline));
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        struct signalfd_siginfo info;
        if (n > 0 && p[1].revents && read(signal_fd, &info, sizeof info) > 0)
            break;
        if (n > 0 && p[0].revents) {
            int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd < 0)
                continue;
            serve_one(fd, signal_fd);
            close(fd);
        }
        if (n > 0 && p[2].revents)
            hotplug_ready(hotplug_fd);
    }
    if (hotplug_fd >= 0)
        close(hotplug_fd);
}
