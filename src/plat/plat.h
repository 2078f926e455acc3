/* SPDX-License-Identifier: MIT */
/*
 * The only Linux layer (design 11). Everything here is callable from any host thread; nothing here
 * knows about IRQL, contexts or drivers. Above src/sched nobody uses it but for memory and text.
 */
#ifndef UMN_PLAT_H
#define UMN_PLAT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "umndis/errors.h"

/*
 * Memory. Every allocation that the library or a driver's pool makes comes through here, so that
 * one counter can make the Nth of them fail (plat_fail_alloc_at) and one number tells a leak.
 * plat_alloc returns zeroed memory aligned to 16 bytes, or NULL; the caller owns it.
 */
void *plat_alloc(size_t size);
void *plat_alloc_aligned(size_t alignment, size_t size); /* power of two; freed by plat_free too */
void *plat_realloc(void *p, size_t size);                /* new tail is not zeroed */
void plat_free(void *p);
char *plat_strdup(const char *s);
char *plat_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
size_t plat_alloc_live(void); /* blocks allocated and not freed */
uint64_t
plat_alloc_count(void); /* allocations asked for since plat_fail_alloc_at, failed ones too */
/*
 * Makes the allocation number `nth` (counted from 1, from this call on) fail once; 0 switches off.
 * plat_alloc_forgive(true) .. (false) brackets code of the harness itself whose allocations neither
 * count nor fail (per thread, nests).
 */
void plat_fail_alloc_at(uint64_t nth);
bool plat_alloc_failed(void); /* the armed failure has happened */
void plat_alloc_forgive(bool on);
/* Called before each block goes back to the heap, with its usable size; NULL = off. One user: the
 * explorer, whose object numbers must not outlive the object. */
void plat_free_hook(void (*hook)(void *p, size_t size));
/*
 * Whole pages outside the counters above, zeroed, never failed on purpose: fiber stacks and the
 * scheduler's own records, which stay over runs. guard puts one inaccessible page below the result.
 */
void *plat_pages_map(size_t size, bool guard);
void *plat_pages_grow(void *p, size_t old_size,
                      size_t new_size); /* may move; no guard; NULL: kept */
void plat_pages_unmap(void *p, size_t size, bool guard);

/* Time in 100 ns units. monotonic starts near 0 at process start; wall is since 1601 (FILETIME). */
uint64_t plat_now_monotonic(void);
uint64_t plat_now_wall(void);

/* Threads, mutexes. A mutex is a leaf lock of a few instructions, never held across a callback. */
struct plat_thread;
int plat_thread_create(struct plat_thread **out, void (*fn)(void *), void *arg, const char *name);
void plat_thread_join(struct plat_thread *t); /* joins and frees */
void plat_thread_pin(int host_cpu);           /* the calling thread; -1 none; errors ignored */
int plat_cpu_count(void);                     /* host CPUs this process may use */

/* 32-bit futex. wait returns 0 when woken or *word != expected, UMN_ETIMEDOUT at the deadline. */
int plat_futex_wait(uint32_t *word, uint32_t expected, uint64_t deadline_monotonic);
void plat_futex_wake(uint32_t *word, int count);

struct plat_mutex {
    uint32_t state;
};
void plat_mutex_lock(struct plat_mutex *m);
void plat_mutex_unlock(struct plat_mutex *m);

/* Readiness. One poller per virtual CPU; wake is callable from any thread. */
struct plat_poller;
struct plat_poll_event {
    void *cookie;
    uint32_t ready; /* PLAT_POLL_IN | PLAT_POLL_OUT | PLAT_POLL_ERR */
};
#define PLAT_POLL_IN 1u
#define PLAT_POLL_OUT 2u
#define PLAT_POLL_ERR 4u
int plat_poller_create(struct plat_poller **out);
void plat_poller_destroy(struct plat_poller *p);
int plat_poller_add(struct plat_poller *p, int fd, uint32_t interest, void *cookie); /* level */
/* interest 0 keeps the descriptor in the poller and reports nothing but one error or hang-up. */
int plat_poller_mod(struct plat_poller *p, int fd, uint32_t interest, void *cookie);
void plat_poller_del(struct plat_poller *p, int fd);
/* Up to max events; deadline as in futex_wait, 0 = do not wait. Returns the number, 0 on wake. */
int plat_poller_wait(struct plat_poller *p, struct plat_poll_event *ev, int max, uint64_t deadline);
void plat_poller_wake(struct plat_poller *p);

/* Random bytes for things that must be unique (GUIDs); explore never calls this. */
void plat_random(void *buf, size_t len);
/* A full memory fence on every running thread of the process, between two instructions of each.
 * ready: whether the kernel has it (asked once); without it plat_fence_all must not be called. */
bool plat_fence_all_ready(void);
void plat_fence_all(void);

/* Shared objects. On failure *why is a message to be freed with plat_free. */
int plat_dl_open(const char *path, void **handle, char **why);
void *plat_dl_sym(void *handle, const char *name);
void plat_dl_close(void *handle);
/* (src/plat/dl.c) Whether the file is mapped now, by an open that has not ended or cannot end. */
bool plat_dl_loaded(const char *path);
/* Opens a private copy of the bytes: fresh data whatever else is mapped. The name is for messages.
 */
int plat_dl_open_copy(const void *data, size_t size, const char *name, void **handle, char **why);
/* A symbol of the program and what it was linked with; *own (may be NULL): it is the program's. */
const void *plat_dl_find(const char *name, bool *own);
/* The addresses [*from, *to) that the object occupies. */
int plat_dl_range(void *handle, uintptr_t *from, uintptr_t *to);
/* A whole regular file of at most max bytes, to be freed with plat_free. UMN_ENOENT, UMN_EPERM,
 * UMN_EINVAL (not a regular file, too large), UMN_ENOMEM, UMN_EIO. */
int plat_file_read(const char *path, size_t max, void **data, size_t *size);

/*
 * A lock on a file that lives as long as the holder: whoever holds it has written its process id
 * into the file. UMN_EBUSY: *holder is the id read there (0 if unknown). UMN_EPERM, UMN_ENOENT (no
 * such folder), UMN_ENOMEM, UMN_EIO. unlock removes the file. (src/plat/file.c)
 */
struct plat_file_lock;
int plat_file_lock(const char *path, struct plat_file_lock **out, int *holder);
void plat_file_unlock(struct plat_file_lock *lock);
/* Folder of the running program, to be freed with plat_free; NULL if unknown. */
char *plat_program_folder(void);

/* Stderr, one line per call; the newline is added. level: 0 error, 1 warning, 2 info, 3 debug. */
void plat_log(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void plat_log_level(int max_level);

#endif
