/* SPDX-License-Identifier: MIT */
/*
 * <umhost.h> for drivers that touch the host: watches and poll routines as thin covers of
 * src/sched, messages for people, and the news that a device's hardware is gone. The covers exist
 * because a driver's callback is NTAPI and the scheduler's is not. No lock; hooks change only while
 * no driver runs. Watch and poll callbacks run at DISPATCH_LEVEL, the calls themselves as each
 * comment in umhost.h says.
 */
#include "nt/umhost.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <umndis/umhost.h>

#include "nt/nt.h"
#include "plat/plat.h"
#include "sched/sched.h"

_Static_assert(UMH_READ == UMN_WATCH_IN && UMH_WRITE == UMN_WATCH_OUT && UMH_ERROR == UMN_WATCH_ERR,
               "event bits are handed through");

struct _UMH_WATCH {
    struct umn_watch *watch;
    UMH_READY *ready;
    void *context;
};

struct _UMH_POLL {
    struct umn_poll *poll;
    UMH_POLL_ROUTINE *routine;
    void *context;
};

static struct umn_umh_hooks hooks;

void umn__umh_hooks_set(const struct umn_umh_hooks *set)
{
    hooks = set ? *set : (struct umn_umh_hooks){0};
}

static NTSTATUS watch_status(int error)
{
    switch (error) {
    case 0:
        return STATUS_SUCCESS;
    case UMN_ENOTSUP:
        return STATUS_NOT_SUPPORTED;
    case UMN_EINVAL:
        return STATUS_INVALID_PARAMETER;
    default:
        return STATUS_INSUFFICIENT_RESOURCES;
    }
}

static void watch_ready(void *arg, uint32_t events)
{
    struct _UMH_WATCH *w = arg;

    umn__point(UMN_OP_CALLBACK, w);
    w->ready(w->context, events);
}

NTSTATUS NTAPI UmhWatch(int Descriptor, ULONG Events, ULONG Processor, UMH_READY *Ready,
                        void *Context, PUMH_WATCH *Watch)
{
    struct _UMH_WATCH *w;
    int error;

    if (!Ready || !Watch || Descriptor < 0 || (Events & ~(ULONG)(UMH_READ | UMH_WRITE | UMH_ERROR)))
        return STATUS_INVALID_PARAMETER;
    w = plat_alloc(sizeof(*w));
    if (!w)
        return STATUS_INSUFFICIENT_RESOURCES;
    w->ready = Ready;
    w->context = Context;
    /* Out before the first callback can run: Ready may call UmhSetEvents on it. */
    *Watch = w;
    error =
        umn__watch_add(&w->watch, Descriptor, Events, Processor % umn__cpu_count(), watch_ready, w);
    if (error) {
        *Watch = NULL;
        plat_free(w);
    }
    return watch_status(error);
}

void NTAPI UmhSetEvents(PUMH_WATCH Watch, ULONG Events)
{
    umn__watch_set(Watch->watch, Events);
}

void NTAPI UmhUnwatch(PUMH_WATCH Watch)
{
    if (!Watch)
        return;
    umn__watch_remove(Watch->watch);
    plat_free(Watch);
}

static bool poll_run(void *arg)
{
    struct _UMH_POLL *p = arg;

    return p->routine(p->context) != FALSE;
}

NTSTATUS NTAPI UmhAddPoll(ULONG Processor, UMH_POLL_ROUTINE *Poll, void *Context, PUMH_POLL *Out)
{
    struct _UMH_POLL *p;
    int error;

    if (!Poll || !Out)
        return STATUS_INVALID_PARAMETER;
    p = plat_alloc(sizeof(*p));
    if (!p)
        return STATUS_INSUFFICIENT_RESOURCES;
    p->routine = Poll;
    p->context = Context;
    *Out = p;
    error = umn__poll_add(&p->poll, Processor % umn__cpu_count(), poll_run, p);
    if (error) {
        *Out = NULL;
        plat_free(p);
    }
    return watch_status(error);
}

void NTAPI UmhRemovePoll(PUMH_POLL Poll)
{
    if (!Poll)
        return;
    umn__poll_remove(Poll->poll);
    plat_free(Poll);
}

/* ---- messages ----------------------------------------------------------------------------------
 */

/* A text under construction; what does not fit is cut off. */
struct text {
    char *at;
    size_t left;
};

static void text_add(struct text *t, int written)
{
    size_t n = written < 0 ? 0 : (size_t)written;

    if (n >= t->left)
        n = t->left - 1;
    t->at += n;
    t->left -= n;
}

/*
 * One conversion. spec is "%...c" with length letters taken out; the host's own snprintf does the
 * work with the argument fetched by the caller, because a Microsoft argument list - 8-byte slots -
 * is not the one that vsnprintf expects.
 */
static void convert(struct text *t, char *spec, size_t n, char kind, bool wide, uint64_t slot)
{
    if (kind == 's' || kind == 'p') {
        spec[n++] = kind;
        spec[n] = 0;
        const char *p = (const char *)(uintptr_t)slot;
        text_add(t, kind == 's' ? snprintf(t->at, t->left, spec, p ? p : "(null)")
                                : snprintf(t->at, t->left, spec, (const void *)p));
        return;
    }
    if (kind == 'c') {
        spec[n++] = 'c';
        spec[n] = 0;
        text_add(t, snprintf(t->at, t->left, spec, (int)slot));
        return;
    }
    if (!wide)
        slot = kind == 'd' || kind == 'i' ? (uint64_t)(int64_t)(int32_t)slot : (uint32_t)slot;
    spec[n++] = 'l';
    spec[n++] = 'l';
    spec[n++] = kind;
    spec[n] = 0;
    text_add(t, snprintf(t->at, t->left, spec, (unsigned long long)slot));
}

static void format(char *out, size_t size, const char *f, __builtin_ms_va_list args)
{
    struct text t = {out, size};

    while (*f && t.left > 1) {
        char spec[24] = "%";
        size_t n = 1;
        bool wide = false;

        if (*f != '%') {
            *t.at++ = *f++;
            t.left--;
            continue;
        }
        for (f++; *f && strchr("-+ #0123456789.*", *f) && n < sizeof(spec) - 14; f++) {
            if (*f == '*')
                n += (size_t)snprintf(spec + n, 12, "%d", __builtin_va_arg(args, int));
            else
                spec[n++] = *f;
        }
        for (; *f && strchr("lzjhI", *f); f++)
            wide |= *f != 'h';
        if (*f == '%') {
            *t.at++ = *f++;
            t.left--;
        } else if (*f && strchr("diuxXocsp", *f)) {
            convert(&t, spec, n, *f, wide, __builtin_va_arg(args, uint64_t));
            f++;
        } else {
            break; /* nothing we know how to fetch: the text ends here */
        }
    }
    *t.at = 0;
}

void NTAPI UmhExplain(const char *Format, ...)
{
    char text[512];
    __builtin_ms_va_list args;

    __builtin_ms_va_start(args, Format);
    format(text, sizeof(text), Format, args);
    __builtin_ms_va_end(args);
    if (hooks.explain)
        hooks.explain(text);
    else
        plat_log(0, "%s", text);
}

void NTAPI UmhDeviceGone(DEVICE_OBJECT *PhysicalDeviceObject)
{
    if (hooks.device_gone)
        hooks.device_gone(PhysicalDeviceObject);
    else
        plat_log(1, "the hardware of a device is gone, and nobody takes the device away");
}
