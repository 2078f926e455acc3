/* SPDX-License-Identifier: MIT */
/*
 * The object manager: reference counts, names and handles of threads, drivers, devices, files,
 * keys, events and links. `ob.lock` (leaf) guards the list of objects, names and the handle table;
 * counts are atomic. A body is destroyed outside the lock by whoever drops the last reference, at
 * that caller's IRQL (<= DISPATCH_LEVEL).
 */
#include "nt/private.h"

#include <string.h>

#define NAME_BUCKETS 4096

static struct {
    struct umn_mutex lock;
    struct umn_list all;
    struct ob_header *named[NAME_BUCKETS]; /* by hash of the name, older ones first */
    void **handles;                        /* [size]; handle value = 4 * (index + 1) */
    unsigned size, used;
    unsigned low; /* no index below it is free */
    bool started;
} ob;

static const char *const type_names[] = {"?",   "thread", "driver", "device",  "file",
                                         "key", "event",  "link",   "callback"};

void ob__start(void)
{
    umn_list_init(&ob.all);
    memset(ob.named, 0, sizeof ob.named); /* what an earlier box left is not found any more */
    ob.started = true;
}

static void *body_of(struct ob_header *h)
{
    return h + 1;
}

/* `\??`, `\DosDevices` and `\GLOBAL??` are one directory. Returns what follows it, or NULL. */
static const char *dos_part(const char *name)
{
    static const char *const roots[] = {"\\DosDevices\\", "\\??\\", "\\GLOBAL??\\"};
    for (unsigned i = 0; i < 3; i++) {
        size_t n = strlen(roots[i]), k = 0;
        while (k < n && name[k] &&
               umn__upcase((unsigned char)name[k]) == umn__upcase((unsigned char)roots[i][k]))
            k++;
        if (k == n)
            return name + n;
    }
    return NULL;
}

static bool same_name(const char *a, const char *b)
{
    const char *x = dos_part(a), *y = dos_part(b);
    if (x || y)
        return x && y && umn__stricmp(x, y) == 0;
    return umn__stricmp(a, b) == 0;
}

/* Equal for names that are the same one. */
static struct ob_header **bucket_of(const char *name)
{
    const char *dos = dos_part(name);
    uint32_t hash = dos ? 2166136261u : 84696351u; /* FNV-1a, two bases */
    for (const char *c = dos ? dos : name; *c; c++) {
        uint8_t u = (uint8_t)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
        hash = (hash ^ u) * 16777619u;
    }
    return &ob.named[(hash ^ hash >> 16) % NAME_BUCKETS];
}

/* Lock held. */
static void name_enter(struct ob_header *h)
{
    struct ob_header **at = bucket_of(h->name);
    while (*at)
        at = &(*at)->name_next;
    h->name_next = NULL;
    *at = h;
}

/* Lock held. */
static void name_leave(struct ob_header *h)
{
    struct ob_header **at = bucket_of(h->name);
    while (*at && *at != h)
        at = &(*at)->name_next;
    if (*at)
        *at = h->name_next;
}

void *ob__create(enum ob_type type, size_t size, const char *name, void (*destroy)(void *body))
{
    struct ob_header *h = plat_alloc(sizeof *h + size);
    if (!h)
        return NULL;
    if (name && !(h->name = plat_strdup(name))) {
        plat_free(h);
        return NULL;
    }
    h->magic = OB_MAGIC;
    h->type = type;
    h->refs = 1;
    h->destroy = destroy;
    umn__lock(&ob.lock);
    umn_list_add_tail(&ob.all, &h->link);
    if (h->name)
        name_enter(h);
    umn__unlock(&ob.lock);
    return body_of(h);
}

struct ob_header *ob__header(const void *body)
{
    if (body) {
        struct ob_header *h = (struct ob_header *)(uintptr_t)body - 1;
        if (h->magic == OB_MAGIC)
            return h;
    }
    umn__report("ObjectReference", 0x3c, "%p is not an object of the object manager", body);
    return NULL;
}

int64_t ob__ref(void *body)
{
    struct ob_header *h = ob__header(body);
    int64_t now = h ? __atomic_add_fetch(&h->refs, 1, __ATOMIC_RELAXED) : 0;
    if (h && now <= 1)
        umn__report("ObjectReference", 0x3f, "%s object %p referenced with a count of zero",
                    type_names[h->type], body);
    return now;
}

int64_t ob__deref(void *body)
{
    struct ob_header *h = ob__header(body);
    if (!h)
        return 0;
    int64_t left = __atomic_sub_fetch(&h->refs, 1, __ATOMIC_ACQ_REL);
    if (left < 0)
        umn__report("ObjectReference", 0x3f, "%s object %p dereferenced with a count of zero",
                    type_names[h->type], body);
    if (left != 0)
        return left;
    umn__lock(&ob.lock);
    umn_list_remove(&h->link);
    if (h->name)
        name_leave(h);
    umn__unlock(&ob.lock);
    if (h->destroy)
        h->destroy(body);
    plat_free(h->name);
    h->magic = 0;
    plat_free(h);
    return 0;
}

static struct ob_header *find_locked(const char *name)
{
    for (struct ob_header *h = *bucket_of(name); h; h = h->name_next)
        if (h->refs > 0 && same_name(h->name, name))
            return h;
    return NULL;
}

bool ob__name_taken(const char *name)
{
    umn__lock(&ob.lock);
    bool taken = find_locked(name) != NULL;
    umn__unlock(&ob.lock);
    return taken;
}

void *ob__find(const char *name, enum ob_type type)
{
    void *body = NULL;
    umn__lock(&ob.lock);
    struct ob_header *h = find_locked(name);
    for (unsigned hops = 0; h && h->type == OB_LINK && type != OB_LINK && hops < 8; hops++)
        h = find_locked(*(char **)body_of(h));
    if (h && h->type == type) {
        /* A count of zero means that somebody is about to destroy it. */
        int64_t n = __atomic_load_n(&h->refs, __ATOMIC_RELAXED);
        while (n > 0 && !__atomic_compare_exchange_n(&h->refs, &n, n + 1, false, __ATOMIC_ACQUIRE,
                                                     __ATOMIC_RELAXED))
            ;
        body = n > 0 ? body_of(h) : NULL;
    }
    umn__unlock(&ob.lock);
    return body;
}

void ob__unname(void *body)
{
    struct ob_header *h = ob__header(body);
    char *name = NULL;
    if (!h)
        return;
    umn__lock(&ob.lock);
    name = h->name;
    if (name)
        name_leave(h);
    h->name = NULL;
    umn__unlock(&ob.lock);
    plat_free(name);
}

/* ---- handles --------------------------------------------------------------------------------- */

/* Makes room for one more handle. The table grows outside the lock and is swapped in under it. */
static bool handles_grow(unsigned seen)
{
    unsigned size = seen ? seen * 2 : 64;
    void **table = plat_alloc(size * sizeof *table), **old = table;
    if (!table)
        return false;
    umn__lock(&ob.lock);
    if (ob.size == seen) {
        if (seen)
            memcpy(table, ob.handles, seen * sizeof *table);
        old = ob.handles;
        ob.handles = table;
        ob.size = size;
    }
    umn__unlock(&ob.lock);
    plat_free(old);
    return true;
}

NTSTATUS ob__handle_open(void *body, HANDLE *handle)
{
    for (;;) {
        umn__lock(&ob.lock);
        unsigned size = ob.size;
        for (unsigned i = ob.low; i < size; i++) {
            if (ob.handles[i])
                continue;
            ob.handles[i] = body;
            ob.used++;
            ob.low = i + 1;
            umn__unlock(&ob.lock);
            ob__ref(body);
            *handle = (HANDLE)(uintptr_t)(4 * (i + 1));
            return STATUS_SUCCESS;
        }
        umn__unlock(&ob.lock);
        if (!handles_grow(size))
            return STATUS_INSUFFICIENT_RESOURCES;
    }
}

/* Index of a live handle or -1; lock held. */
static long handle_index(HANDLE handle)
{
    uintptr_t v = (uintptr_t)handle;
    if (!v || v % 4 || v / 4 > ob.size || !ob.handles[v / 4 - 1])
        return -1;
    return (long)(v / 4 - 1);
}

NTSTATUS ob__handle_get(HANDLE handle, enum ob_type type, void **body)
{
    NTSTATUS status = STATUS_SUCCESS;
    umn__lock(&ob.lock);
    long i = handle_index(handle);
    if (i < 0) {
        status = STATUS_INVALID_HANDLE;
    } else {
        struct ob_header *h = (struct ob_header *)ob.handles[i] - 1;
        if (type && h->type != type) {
            status = STATUS_OBJECT_TYPE_MISMATCH;
        } else {
            __atomic_add_fetch(&h->refs, 1, __ATOMIC_RELAXED);
            *body = body_of(h);
        }
    }
    umn__unlock(&ob.lock);
    return status;
}

NTSTATUS ob__handle_close(HANDLE handle)
{
    void *body = NULL;
    umn__lock(&ob.lock);
    long i = handle_index(handle);
    if (i >= 0) {
        body = ob.handles[i];
        ob.handles[i] = NULL;
        ob.used--;
        if ((unsigned)i < ob.low)
            ob.low = (unsigned)i;
    }
    umn__unlock(&ob.lock);
    if (!body)
        return STATUS_INVALID_HANDLE;
    ob__deref(body);
    return STATUS_SUCCESS;
}

void ob__stop(void)
{
    if (!ob.started)
        return;
    for (unsigned i = 0; i < ob.size; i++) {
        if (!ob.handles[i])
            continue;
        struct ob_header *h = (struct ob_header *)ob.handles[i] - 1;
        umn__report("HandleLeak", 0, "a %s handle (%s) was never closed", type_names[h->type],
                    h->name ? h->name : "unnamed");
        ob__handle_close((HANDLE)(uintptr_t)(4 * (i + 1)));
    }
    plat_free(ob.handles);
    ob.handles = NULL;
    ob.size = ob.used = ob.low = 0;
    umn_list_for_each (pos, &ob.all) {
        struct ob_header *h = umn_container_of(pos, struct ob_header, link);
        /* Records of contexts that still run (workers) go with their contexts. */
        if (h->type != OB_THREAD)
            umn__report("ObjectLeak", 0, "a %s object (%s) is left with %lld references",
                        type_names[h->type], h->name ? h->name : "unnamed", (long long)h->refs);
    }
    ob.started = false;
}

/* ---- what drivers call ----------------------------------------------------------------------- */

/* The types that drivers name in ObReferenceObjectByHandle: pointers with identity, no content. */
static struct object_type {
    enum ob_type type;
} thread_type = {OB_THREAD}, driver_type = {OB_DRIVER}, device_type = {OB_DEVICE},
  file_type = {OB_FILE}, event_type = {OB_EVENT};
static POBJECT_TYPE thread_type_p = (POBJECT_TYPE)&thread_type;
static POBJECT_TYPE driver_type_p = (POBJECT_TYPE)&driver_type;
static POBJECT_TYPE device_type_p = (POBJECT_TYPE)&device_type;
static POBJECT_TYPE file_type_p = (POBJECT_TYPE)&file_type;
static POBJECT_TYPE event_type_p = (POBJECT_TYPE)&event_type;
extern POBJECT_TYPE *PsThreadType, *IoDriverObjectType, *IoDeviceObjectType, *IoFileObjectType,
    *ExEventObjectType;
UMN_EXPORT POBJECT_TYPE *PsThreadType = &thread_type_p;
UMN_EXPORT POBJECT_TYPE *IoDriverObjectType = &driver_type_p;
UMN_EXPORT POBJECT_TYPE *IoDeviceObjectType = &device_type_p;
UMN_EXPORT POBJECT_TYPE *IoFileObjectType = &file_type_p;
UMN_EXPORT POBJECT_TYPE *ExEventObjectType = &event_type_p;

/* Adds a reference; returns the new count. <= DISPATCH_LEVEL. nf-wdm-obfreferenceobject.md */
LONG_PTR NTAPI ObfReferenceObject(PVOID Object)
{
    umn__check_irql(DISPATCH_LEVEL, "ObfReferenceObject");
    return ob__ref(Object);
}

/* As ObfReferenceObject; the tag is not kept. */
LONG_PTR NTAPI ObfReferenceObjectWithTag(PVOID Object, ULONG Tag)
{
    return ObfReferenceObject(Object);
}

/* Drops a reference; the object may be gone after it. <= DISPATCH_LEVEL.
 * nf-wdm-obdereferenceobject.md */
LONG_PTR NTAPI ObfDereferenceObject(PVOID Object)
{
    umn__check_irql(DISPATCH_LEVEL, "ObfDereferenceObject");
    return ob__deref(Object);
}

LONG_PTR NTAPI ObfDereferenceObjectWithTag(PVOID Object, ULONG Tag)
{
    return ObfDereferenceObject(Object);
}

/* Drops a reference where destruction must not run in this stack; here nothing is destroyed in a
 * way that could re-enter, so it is ObDereferenceObject. nf-wdm-obdereferenceobjectdeferdelete.md
 */
void NTAPI ObDereferenceObjectDeferDelete(PVOID Object)
{
    ObfDereferenceObject(Object);
}

void NTAPI ObDereferenceObjectDeferDeleteWithTag(PVOID Object, ULONG Tag)
{
    ObfDereferenceObject(Object);
}

/* Object behind a handle, with a reference. ObjectType NULL: any. PASSIVE_LEVEL.
 * STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH. nf-wdm-obreferenceobjectbyhandle.md */
NTSTATUS NTAPI ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK DesiredAccess,
                                         POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                                         PVOID *Object, POBJECT_HANDLE_INFORMATION Information)
{
    ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlObPassive", 0x2001b,
                "ObReferenceObjectByHandle");
    void *body = NULL;
    enum ob_type type = ObjectType ? ((struct object_type *)ObjectType)->type : 0;
    *Object = NULL;
    if (Handle == (HANDLE)(intptr_t)-2) { /* NtCurrentThread() */
        body = ps__self();
        ob__ref(body);
    } else {
        NTSTATUS status = ob__handle_get(Handle, type, &body);
        if (status == STATUS_INVALID_HANDLE)
            umn__report("ObjectReference", 0x3c, "ObReferenceObjectByHandle with a bad handle %p",
                        Handle);
        if (status < 0)
            return status;
    }
    *Object = body;
    if (Information)
        memset(Information, 0, sizeof *Information);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI ObReferenceObjectByHandleWithTag(HANDLE Handle, ACCESS_MASK DesiredAccess,
                                                POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                                                ULONG Tag, PVOID *Object,
                                                POBJECT_HANDLE_INFORMATION Information)
{
    return ObReferenceObjectByHandle(Handle, DesiredAccess, ObjectType, AccessMode, Object,
                                     Information);
}

/* Adds a reference if the object has the type. <= DISPATCH_LEVEL.
 * nf-wdm-obreferenceobjectbypointer.md */
NTSTATUS NTAPI ObReferenceObjectByPointer(PVOID Object, ACCESS_MASK DesiredAccess,
                                          POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode)
{
    struct ob_header *h = ob__header(Object);
    if (!h || (ObjectType && ((struct object_type *)ObjectType)->type != h->type))
        return STATUS_OBJECT_TYPE_MISMATCH;
    ob__ref(Object);
    return STATUS_SUCCESS;
}

/* Adds a reference unless the count is zero already. <= DISPATCH_LEVEL. */
BOOLEAN NTAPI ObReferenceObjectSafe(PVOID Object)
{
    struct ob_header *h = ob__header(Object);
    int64_t n = h ? __atomic_load_n(&h->refs, __ATOMIC_RELAXED) : 0;
    while (n > 0 && !__atomic_compare_exchange_n(&h->refs, &n, n + 1, false, __ATOMIC_ACQUIRE,
                                                 __ATOMIC_RELAXED))
        ;
    return n > 0;
}

/* Closes a handle. PASSIVE_LEVEL. nf-wdm-obclosehandle.md */
NTSTATUS NTAPI ObCloseHandle(HANDLE Handle, KPROCESSOR_MODE PreviousMode)
{
    return ZwClose(Handle);
}

/* Closes a handle of any kind. PASSIVE_LEVEL. STATUS_INVALID_HANDLE. nf-ntifs-ntclose.md */
NTSTATUS NTAPI ZwClose(HANDLE Handle)
{
    ke__irql_is(PASSIVE_LEVEL, PASSIVE_LEVEL, "IrqlZwPassive", 0x2001f, "ZwClose");
    NTSTATUS status = ob__handle_close(Handle);
    if (status < 0)
        umn__report("ObjectReference", 0x3c, "ZwClose with a bad handle %p", Handle);
    return status;
}

NTSTATUS NTAPI ObReferenceObjectByPointerWithTag(PVOID Object, ACCESS_MASK DesiredAccess,
                                                 POBJECT_TYPE ObjectType,
                                                 KPROCESSOR_MODE AccessMode, ULONG Tag)
{
    return ObReferenceObjectByPointer(Object, DesiredAccess, ObjectType, AccessMode);
}

BOOLEAN NTAPI ObReferenceObjectSafeWithTag(PVOID Object, ULONG Tag)
{
    return ObReferenceObjectSafe(Object);
}
