/* SPDX-License-Identifier: MIT */
/*
 * Readiness: one epoll instance with an eventfd that wakes it. A poller is waited on by one thread;
 * add, mod, del and wake come from any. An event already returned by wait may be about a descriptor
 * deleted since: the caller sorts those out.
 */
#include "plat/plat.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32
#define UNITS_PER_SECOND 10000000ull
#define UNITS_PER_MS 10000ull

struct plat_poller {
    int epoll;
    int event;
    bool coarse; /* the kernel has no epoll_pwait2: milliseconds only */
};

static int from_errno(void)
{
    switch (errno) {
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
        return UMN_ENOMEM;
    case EPERM: /* what epoll says of a regular file */
        return UMN_ENOTSUP;
    case EEXIST:
        return UMN_EEXIST;
    case ENOENT:
        return UMN_ENOENT;
    case EBADF:
    case EINVAL:
        return UMN_EINVAL;
    default:
        return UMN_EIO;
    }
}

static int control(struct plat_poller *p, int op, int fd, uint32_t interest, void *cookie)
{
    struct epoll_event e = {.data.ptr = cookie};
    if (interest & PLAT_POLL_IN)
        e.events |= EPOLLIN;
    if (interest & PLAT_POLL_OUT)
        e.events |= EPOLLOUT;
    if (!interest) /* errors and hang-ups cannot be masked: say them once, not for ever */
        e.events = EPOLLET;
    return epoll_ctl(p->epoll, op, fd, &e) == 0 ? 0 : from_errno();
}

int plat_poller_create(struct plat_poller **out)
{
    int error = UMN_ENOMEM;
    struct plat_poller *p = plat_alloc(sizeof *p);
    if (!p)
        return UMN_ENOMEM;
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (p->epoll < 0) {
        error = from_errno();
        goto free_poller;
    }
    p->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->event < 0) {
        error = from_errno();
        goto close_epoll;
    }
    error = control(p, EPOLL_CTL_ADD, p->event, PLAT_POLL_IN, p);
    if (error)
        goto close_event;
    *out = p;
    return 0;

close_event:
    close(p->event);
close_epoll:
    close(p->epoll);
free_poller:
    plat_free(p);
    return error;
}

void plat_poller_destroy(struct plat_poller *p)
{
    if (!p)
        return;
    close(p->event);
    close(p->epoll);
    plat_free(p);
}

int plat_poller_add(struct plat_poller *p, int fd, uint32_t interest, void *cookie)
{
    return control(p, EPOLL_CTL_ADD, fd, interest, cookie);
}

int plat_poller_mod(struct plat_poller *p, int fd, uint32_t interest, void *cookie)
{
    return control(p, EPOLL_CTL_MOD, fd, interest, cookie);
}

void plat_poller_del(struct plat_poller *p, int fd)
{
    (void)epoll_ctl(p->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static int wait_for(struct plat_poller *p, struct epoll_event *raw, int max, uint64_t deadline)
{
    if (deadline == 0)
        return epoll_wait(p->epoll, raw, max, 0);
    if (deadline == UINT64_MAX)
        return epoll_wait(p->epoll, raw, max, -1);
    uint64_t now = plat_now_monotonic(), left = deadline > now ? deadline - now : 0;
    if (!p->coarse) {
        struct timespec ts = {.tv_sec = (time_t)(left / UNITS_PER_SECOND),
                              .tv_nsec = (long)(left % UNITS_PER_SECOND) * 100};
        int n = epoll_pwait2(p->epoll, raw, max, &ts, NULL);
        if (n >= 0 || errno != ENOSYS)
            return n;
        p->coarse = true;
    }
    uint64_t ms = (left + UNITS_PER_MS - 1) / UNITS_PER_MS;
    return epoll_wait(p->epoll, raw, max, ms > 1000000 ? 1000000 : (int)ms);
}

int plat_poller_wait(struct plat_poller *p, struct plat_poll_event *ev, int max, uint64_t deadline)
{
    struct epoll_event raw[BATCH];
    int out = 0, n = wait_for(p, raw, max < BATCH ? max : BATCH, deadline);
    if (n < 0)
        return errno == EINTR ? 0 : from_errno();
    for (int i = 0; i < n; i++) {
        if (raw[i].data.ptr == p) {
            uint64_t count;
            (void)!read(p->event, &count, sizeof count);
            continue;
        }
        ev[out].cookie = raw[i].data.ptr;
        ev[out].ready = (raw[i].events & EPOLLIN ? PLAT_POLL_IN : 0) |
                        (raw[i].events & EPOLLOUT ? PLAT_POLL_OUT : 0) |
                        (raw[i].events & (EPOLLERR | EPOLLHUP) ? PLAT_POLL_ERR : 0);
        out++;
    }
    return out;
}

void plat_poller_wake(struct plat_poller *p)
{
    uint64_t one = 1;
    (void)!write(p->event, &one, sizeof one);
}
