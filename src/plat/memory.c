/* SPDX-License-Identifier: MIT */
/*
 * Memory: the one door to the heap. Owns the counters behind leak checks and the allocation that is
 * to fail. No lock: every counter is atomic, and the failing number is met by exactly one caller.
 * Any IRQL, any thread.
 */
#include "plat/plat.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u

static size_t Live;
static uint64_t Count, FailAt;
static bool Failed;
static void (*FreeHook)(void *p, size_t size);
static __thread unsigned Forgiven __attribute__((tls_model("initial-exec")));

/* True if this allocation is the one that has to fail. */
static bool must_fail(void)
{
    if (Forgiven)
        return false;
    uint64_t n = __atomic_add_fetch(&Count, 1, __ATOMIC_RELAXED);
    uint64_t at = __atomic_load_n(&FailAt, __ATOMIC_RELAXED);
    if (__builtin_expect(at == 0 || n != at, 1))
        return false;
    __atomic_store_n(&Failed, true, __ATOMIC_RELAXED);
    return true;
}

static void *counted(void *p)
{
    if (p)
        __atomic_add_fetch(&Live, 1, __ATOMIC_RELAXED);
    return p;
}

void *plat_alloc(size_t size)
{
    if (must_fail())
        return NULL;
    return counted(calloc(1, size ? size : 1));
}

void *plat_alloc_aligned(size_t alignment, size_t size)
{
    void *p = NULL;
    if (must_fail())
        return NULL;
    if (alignment < sizeof(void *))
        alignment = sizeof(void *);
    if (posix_memalign(&p, alignment, size ? size : 1) != 0)
        return NULL;
    memset(p, 0, size ? size : 1);
    return counted(p);
}

void *plat_realloc(void *p, size_t size)
{
    if (!p)
        return plat_alloc(size);
    if (must_fail())
        return NULL;
    void (*hook)(void *, size_t) = FreeHook;
    if (hook)
        hook(p, malloc_usable_size(p));
    return realloc(p, size ? size : 1);
}

void plat_free(void *p)
{
    if (!p)
        return;
    void (*hook)(void *, size_t) = FreeHook;
    if (__builtin_expect(hook != NULL, 0))
        hook(p, malloc_usable_size(p));
    __atomic_sub_fetch(&Live, 1, __ATOMIC_RELAXED);
    free(p);
}

char *plat_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = plat_alloc(n);
    return copy ? memcpy(copy, s, n) : NULL;
}

char *plat_asprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    char *text = plat_alloc((size_t)n + 1);
    if (!text)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return text;
}

size_t plat_alloc_live(void)
{
    return __atomic_load_n(&Live, __ATOMIC_RELAXED);
}

uint64_t plat_alloc_count(void)
{
    return __atomic_load_n(&Count, __ATOMIC_RELAXED);
}

void plat_fail_alloc_at(uint64_t nth)
{
    __atomic_store_n(&FailAt, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&Count, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&Failed, false, __ATOMIC_RELAXED);
    __atomic_store_n(&FailAt, nth, __ATOMIC_RELAXED);
}

bool plat_alloc_failed(void)
{
    return __atomic_load_n(&Failed, __ATOMIC_RELAXED);
}

void plat_alloc_forgive(bool on)
{
    if (on)
        Forgiven++;
    else
        Forgiven--;
}

void plat_free_hook(void (*hook)(void *p, size_t size))
{
    FreeHook = hook;
}

void *plat_pages_map(size_t size, bool guard)
{
    size_t below = guard ? PAGE : 0;
    char *p = mmap(NULL, size + below, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (guard && mprotect(p, PAGE, PROT_NONE) != 0) {
        munmap(p, size + below);
        return NULL;
    }
    return p + below;
}

void *plat_pages_grow(void *p, size_t old_size, size_t new_size)
{
    void *q = mremap(p, old_size, new_size, MREMAP_MAYMOVE);
    return q == MAP_FAILED ? NULL : q;
}

void plat_pages_unmap(void *p, size_t size, bool guard)
{
    size_t below = guard ? PAGE : 0;
    if (p)
        munmap((char *)p - below, size + below);
}
