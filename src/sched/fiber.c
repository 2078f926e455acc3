/* SPDX-License-Identifier: MIT */
/*
 * Fibers: the stack pool and the switch with its sanitizer calls. Owns the pool, a list threaded
 * through the top word of each free stack. Only the host thread that explores comes here: no lock.
 */
#include "sched/fiber.h"

#include <stdint.h>
#include "plat/plat.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UMN_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if __has_feature(thread_sanitizer)
#define UMN_TSAN 1
#include <sanitizer/tsan_interface.h>
#endif
#endif

#if defined(UMN_ASAN) || defined(UMN_TSAN)
#define STACK_SIZE (256u * 1024)
#else
#define STACK_SIZE (128u * 1024)
#endif

/* The frame that umn__fiber_swap pops. */
struct first_frame {
    uint32_t mxcsr;
    uint16_t x87, pad;
    void *r15, *r14, *r13, *r12, *rbx, *rbp, *ip;
};

void umn__fiber_swap(void **save, void *sp);
void umn__fiber_first(void);

static void *Pool; /* lowest byte of the first free stack */

static void **pool_link(void *stack)
{
    return (void **)((char *)stack + STACK_SIZE) - 1;
}

static void *take_stack(void)
{
    void *stack = Pool;
    if (!stack)
        return plat_pages_map(STACK_SIZE, true);
    Pool = *pool_link(stack);
    return stack;
}

int umn__fiber_init(struct umn_fiber *f, void (*entry)(void *), void *arg)
{
    void *stack = take_stack();
    if (!stack)
        return UMN_ENOMEM;
    f->stack = stack;
    f->size = STACK_SIZE;
    f->asan = NULL;
#ifdef UMN_TSAN
    f->tsan = __tsan_create_fiber(0);
#endif
    /* After the return into umn__fiber_first the stack must be aligned to 16 for its call. */
    struct first_frame *frame = (void *)((char *)stack + STACK_SIZE - 16 - sizeof *frame);
    *frame = (struct first_frame){.mxcsr = 0x1F80, .x87 = 0x037F}; /* the ABI's values at start */
    frame->r12 = (void *)(uintptr_t)entry;
    frame->r13 = arg;
    frame->ip = (void *)(uintptr_t)umn__fiber_first;
    f->sp = frame;
    return 0;
}

void umn__fiber_release(struct umn_fiber *f)
{
    if (!f->stack)
        return;
#ifdef UMN_ASAN
    /* Frames that were left without returning leave their red zones behind. */
    __asan_unpoison_memory_region(f->stack, f->size);
#endif
#ifdef UMN_TSAN
    __tsan_destroy_fiber(f->tsan);
#endif
    *pool_link(f->stack) = Pool;
    Pool = f->stack;
    f->stack = NULL;
}

void umn__fiber_host(struct umn_fiber *f)
{
    *f = (struct umn_fiber){0};
#ifdef UMN_TSAN
    f->tsan = __tsan_get_current_fiber();
#endif
}

#ifdef UMN_ASAN
static struct umn_fiber *Left; /* the fiber of the last switch; its bounds are learned on arrival */

static void arrived(void *fake)
{
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(fake, &bottom, &size);
    if (Left && !Left->stack) { /* the host's stack: only AddressSanitizer knows where it is */
        Left->stack = (void *)(uintptr_t)bottom;
        Left->size = size;
    }
}
#endif

void umn__fiber_entered(void)
{
#ifdef UMN_ASAN
    arrived(NULL);
#endif
}

void umn__fiber_switch(struct umn_fiber *from, struct umn_fiber *to, bool last)
{
#ifdef UMN_ASAN
    Left = from;
    __sanitizer_start_switch_fiber(last ? NULL : &from->asan, to->stack, to->size);
#endif
#ifdef UMN_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    umn__fiber_swap(&from->sp, to->sp);
#ifdef UMN_ASAN
    arrived(from->asan);
#endif
}

void umn__fiber_left(struct umn_fiber *host)
{
#ifdef UMN_ASAN
    if (host->stack) {
        __sanitizer_start_switch_fiber(NULL, host->stack, host->size);
        __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
    }
#endif
#ifdef UMN_TSAN
    __tsan_switch_to_fiber(host->tsan, 0);
#endif
}
