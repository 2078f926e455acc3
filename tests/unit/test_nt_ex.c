/* SPDX-License-Identifier: MIT */
/* Pool, lookaside lists, interlocked lists, MDLs. */
#include "nt_harness.h"

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define RED_ZONE 0 /* the sanitizer itself watches the end of a block */
#else
#define RED_ZONE 1
#endif
#define TAG 0x74736554u /* 'Test' */

/* ---- pool ------------------------------------------------------------------------------------ */

static void pool(void *arg)
{
    struct umn_pool_usage usage[4];
    size_t sizes[] = {1, 16, 100, 4095, 4096, 10000};
    char *p[6] = {0};
    for (int i = 0; i < 6; i++) {
        p[i] = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizes[i], TAG);
        NEED(p[i], out);
        CHECK(((uintptr_t)p[i] & (sizes[i] >= 4096 ? 4095 : 15)) == 0);
        for (size_t k = 0; k < sizes[i]; k++)
            CHECK(p[i][k] == 0);
        memset(p[i], 0x11, sizes[i]);
    }
    CHECK(umn__pool_live() == 6);
    CHECK(umn__pool_usage(usage, 4) == 1 && usage[0].tag == TAG && usage[0].blocks == 6);
    CHECK(usage[0].bytes == 1 + 16 + 100 + 4095 + 4096 + 10000);
out:
    for (int i = 0; i < 6; i++)
        if (p[i])
            ExFreePoolWithTag(p[i], TAG);
    CHECK(umn__pool_live() == 0);
}

static void test_pool(void **state)
{
    explore(pool, 0);
}

static void pool_errors(void *arg)
{
    char *p = ExAllocatePoolWithTag(NonPagedPool, 24, TAG), *q;
    int on_stack[32] = {0};
    KIRQL old;
    NEED(p, out);
    ExFreePoolWithTag(p, TAG + 1); /* 1: another tag; it is freed all the same */
    CHECK(RULE("PoolTag") == 1);
    ExFreePoolWithTag(p, TAG); /* 2: twice */
    CHECK(RULE("PoolFree") == 1 && umn__report_get(1)->code == 0x13);
    ExFreePool(on_stack + 16); /* 3: never ours */
    CHECK(RULE("PoolFree") == 2 && umn__report_get(2)->code == 0x10);
    q = ExAllocatePoolWithTag(NonPagedPool, 24, TAG);
    NEED(q, out);
#if RED_ZONE
    q[24] = 1; /* 4 */
#else
    umn__report("PoolOverrun", 0x51, "the sanitizer's");
#endif
    ExFreePoolWithTag(q, TAG);
    CHECK(RULE("PoolOverrun") == 1);
    old = KeRaiseIrqlToDpcLevel();
    q = ExAllocatePoolWithTag(PagedPool, 8, TAG); /* 5 */
    CHECK(RULE("IrqlExAllocatePool") == 1);
    if (q)
        ExFreePoolWithTag(q, TAG); /* 6 */
    CHECK(RULE("IrqlExFree1") == 1 || !q);
    KeLowerIrql(old);
    CHECK(ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_PAGED, 8, TAG) == NULL); /* 7 */
    CHECK(RULE("PoolFlags") == 1);
    q = ExAllocatePoolWithTag(NonPagedPool, 40, TAG); /* 8: left */
out:;
}

static void test_pool_errors(void **state)
{
#ifndef UMN_DEBUG
    print_message("skipped: release builds have no red zones and do not look freed addresses up\n");
    skip();
#endif
    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE};
    umn__report_reset();
    umn__report_quiet(true);
    *failure = 0;
    assert_int_equal(umn__sched_start(&config), 0);
    assert_int_equal(umn__nt_start(), 0);
    assert_int_equal(umn__sched_run(pool_errors, NULL), 0);
    assert_string_equal(failure, "");
    umn__nt_stop();
    assert_int_equal(umn__report_count_rule("PoolLeak"), 1);
    assert_int_equal(umn__report_count(), 8);
    umn__sched_stop();
    size_t live = plat_alloc_live();
    assert_int_equal(umn__sched_start(&config), 0);
    assert_int_equal(umn__nt_start(), 0); /* the next box is rid of what the last one left */
    umn__nt_stop();
    umn__sched_stop();
    assert_int_equal(plat_alloc_live(), live - 1);
    assert_int_equal(umn__report_count(), 8);
    umn__report_quiet(false);
}

static void lookaside(void *arg)
{
    NPAGED_LOOKASIDE_LIST list;
    LOOKASIDE_LIST_EX list_ex;
    void *p[3] = {0};
    ExInitializeNPagedLookasideList(&list, NULL, NULL, 0, 48, TAG, 0);
    CHECK(ExInitializeLookasideListEx(&list_ex, NULL, NULL, NonPagedPoolNx, 0, 48, TAG, 0) ==
          STATUS_SUCCESS);
    CHECK(ExInitializeLookasideListEx(&list_ex, NULL, NULL, NonPagedPoolMustSucceed, 0, 48, TAG,
                                      0) < 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            p[i] = ExAllocateFromNPagedLookasideList(&list);
        for (int i = 0; i < 3; i++) {
            CHECK(p[i] || plat_alloc_failed());
            if (p[i])
                ExFreeToNPagedLookasideList(&list, p[i]);
        }
    }
    p[0] = ExAllocateFromLookasideListEx(&list_ex);
    if (p[0])
        ExFreeToLookasideListEx(&list_ex, p[0]);
    CHECK(list.L.TotalAllocates == 6);
    ExDeleteNPagedLookasideList(&list);
    ExDeleteLookasideListEx(&list_ex);
    CHECK(umn__pool_live() == 0);
}

static void test_lookaside(void **state)
{
    explore(lookaside, 0);
}

/* ---- lists ----------------------------------------------------------------------------------- */

struct lists {
    SLIST_HEADER head;
    SLIST_ENTRY entry[8];
    int pops;
};

static void list_worker(void *arg)
{
    struct lists *l = arg;
    for (int i = 0; i < 10; i++) {
        PSLIST_ENTRY e = InterlockedPopEntrySList(&l->head);
        if (!e)
            continue;
        umn__point(UMN_OP_YIELD, l);
        InterlockedPushEntrySList(&l->head, e);
        l->pops++;
    }
}

static void lists(void *arg)
{
    struct lists *l = plat_alloc_aligned(16, sizeof *l);
    struct umn_ctx *ctx;
    LIST_ENTRY head, e[3];
    KSPIN_LOCK lock = 0;
    NEED(l, out);
    InitializeSListHead(&l->head);
    CHECK(InterlockedPushEntrySList(&l->head, &l->entry[0]) == NULL);
    for (int i = 1; i < 8; i++)
        CHECK(InterlockedPushEntrySList(&l->head, &l->entry[i]) == &l->entry[i - 1]);
    CHECK(QueryDepthSList(&l->head) == 8 && FirstEntrySList(&l->head) == &l->entry[7]);
    if (umn__ctx_spawn(&ctx, list_worker, l, "popper") == 0) {
        list_worker(l);
        umn__ctx_join(ctx);
    }
    CHECK(QueryDepthSList(&l->head) == 8);
    int n = 0;
    for (PSLIST_ENTRY s = InterlockedFlushSList(&l->head); s; s = s->Next)
        n++;
    CHECK(n == 8 && QueryDepthSList(&l->head) == 0 && !InterlockedPopEntrySList(&l->head));

    InitializeListHead(&head);
    CHECK(ExInterlockedInsertTailList(&head, &e[0], &lock) == NULL);
    CHECK(ExInterlockedInsertTailList(&head, &e[1], &lock) == &e[0]);
    CHECK(ExInterlockedInsertHeadList(&head, &e[2], &lock) == &e[0]);
    CHECK(ExInterlockedRemoveHeadList(&head, &lock) == &e[2]);
    CHECK(ExInterlockedRemoveHeadList(&head, &lock) == &e[0]);
    CHECK(ExInterlockedRemoveHeadList(&head, &lock) == &e[1]);
    CHECK(ExInterlockedRemoveHeadList(&head, &lock) == NULL);
    plat_free(l);
out:;
}

static void test_lists(void **state)
{
    explore(lists, 0);
}

/* ---- MDLs ------------------------------------------------------------------------------------ */

static void mdls(void *arg)
{
    PMDL mdl = NULL, part = NULL;
    char *buffer = ExAllocatePoolWithTag(NonPagedPoolNx, 10000, TAG);
    NEED(buffer, out);
    mdl = IoAllocateMdl(buffer + 100, 9000, FALSE, FALSE, NULL);
    NEED(mdl, out);
    CHECK(MmGetMdlByteCount(mdl) == 9000 && MmGetMdlByteOffset(mdl) == 100);
    CHECK(MmGetMdlVirtualAddress(mdl) == buffer + 100);
    MmBuildMdlForNonPagedPool(mdl);
    CHECK(MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority) == buffer + 100);
    CHECK(MmGetMdlPfnArray(mdl)[1] == MmGetMdlPfnArray(mdl)[0] + 1);
    part = IoAllocateMdl(buffer + 100, 9000, FALSE, FALSE, NULL);
    NEED(part, out);
    IoBuildPartialMdl(mdl, part, buffer + 5000, 0);
    CHECK(MmGetMdlByteCount(part) == 4100);
    CHECK(MmGetSystemAddressForMdlSafe(part, NormalPagePriority) == buffer + 5000);
    MmPrepareMdlForReuse(part);
    CHECK(MmAdvanceMdl(part, 1000) == STATUS_SUCCESS && MmGetMdlByteCount(part) == 3100);
    CHECK(MmGetSystemAddressForMdlSafe(part, NormalPagePriority) == buffer + 6000);
    CHECK(MmAdvanceMdl(part, 5000) == STATUS_INVALID_PARAMETER_2);
    IoFreeMdl(part);
    part = IoAllocateMdl(buffer, 10, FALSE, FALSE, NULL);
    NEED(part, out);
    MmProbeAndLockPages(part, KernelMode, IoWriteAccess);
    CHECK(MmGetSystemAddressForMdlSafe(part, NormalPagePriority) == buffer);
    MmUnlockPages(part);
    CHECK(part->MdlFlags == 0);
    CHECK(IoAllocateMdl(buffer, 0x7fffffff, FALSE, FALSE, NULL) == NULL);
out:
    if (part)
        IoFreeMdl(part);
    if (mdl)
        IoFreeMdl(mdl);
    if (buffer)
        ExFreePoolWithTag(buffer, TAG);
}

static void test_mdls(void **state)
{
    explore(mdls, 0);
}

static void mdl_errors(void *arg)
{
    char buffer[16];
    PMDL mdl = IoAllocateMdl(buffer, sizeof buffer, FALSE, FALSE, NULL);
    NEED(mdl, out);
    MmUnlockPages(mdl);                                    /* 0x7c */
    MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority); /* 0xb4 */
    MmUnmapLockedPages(buffer, mdl);
    MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
    MmBuildMdlForNonPagedPool(mdl); /* 0xb9 */
    IoFreeMdl(mdl);                 /* 0xb8 */
    CHECK(RULE("MdlFlags") == 3 && RULE("MdlLocked") == 1);
out:;
}

static void test_mdl_errors(void **state)
{
    explore(mdl_errors, 4);
}

/* ---- run-down protection, one-time initialization ----------------------------------------------
 */

struct rundown {
    EX_RUNDOWN_REF ref;
    IO_REMOVE_LOCK lock;
    int inside;
    bool over;
};

static void rundown_user(void *arg)
{
    struct rundown *r = arg;
    for (int i = 0; i < 8; i++) {
        if (ExAcquireRundownProtection(&r->ref)) {
            CHECK(!r->over);
            umn__point(UMN_OP_YIELD, r);
            CHECK(!r->over);
            ExReleaseRundownProtection(&r->ref);
        }
        if (IoAcquireRemoveLock(&r->lock, NULL) == STATUS_SUCCESS) {
            umn__point(UMN_OP_YIELD, r);
            IoReleaseRemoveLock(&r->lock, NULL);
        }
    }
}

static void rundowns(void *arg)
{
    struct rundown r = {.over = false};
    struct umn_ctx *ctx, *second = NULL;
    ExInitializeRundownProtection(&r.ref);
    IoInitializeRemoveLock(&r.lock, 0, 0, 0);
    NEED(umn__ctx_spawn(&ctx, rundown_user, &r, "user") == 0, out);
    if (umn__ctx_spawn(&second, rundown_user, &r, "second") != 0)
        second = NULL;
    umn__point(UMN_OP_YIELD, &r);
    ExWaitForRundownProtectionRelease(&r.ref);
    r.over = true;
    CHECK(!ExAcquireRundownProtection(&r.ref));
    CHECK(IoAcquireRemoveLock(&r.lock, NULL) == STATUS_SUCCESS);
    IoReleaseRemoveLockAndWait(&r.lock, NULL);
    CHECK(IoAcquireRemoveLock(&r.lock, NULL) == STATUS_DELETE_PENDING);
    umn__ctx_join(ctx);
    if (second)
        umn__ctx_join(second);
    ExWaitForRundownProtectionRelease(&r.ref); /* at once: nobody is inside */
out:;
}

static void test_rundowns(void **state)
{
    explore(rundowns, 0);
}

static int initialized;

static ULONG NTAPI once_init(PRTL_RUN_ONCE Once, PVOID Parameter, PVOID *Context)
{
    umn__point(UMN_OP_YIELD, Once);
    initialized++;
    *Context = &initialized;
    return TRUE;
}

static void once_user(void *once)
{
    PVOID context = NULL;
    CHECK(RtlRunOnceExecuteOnce(once, once_init, NULL, &context) == STATUS_SUCCESS);
    CHECK(context == &initialized && initialized == 1);
}

static void once(void *arg)
{
    RTL_RUN_ONCE word;
    struct umn_ctx *ctx[2];
    int n = 0;
    RtlRunOnceInitialize(&word);
    initialized = 0;
    while (n < 2 && umn__ctx_spawn(&ctx[n], once_user, &word, "once") == 0)
        n++;
    once_user(&word);
    while (n)
        umn__ctx_join(ctx[--n]);
}

static void test_once(void **state)
{
    explore(once, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool),      cmocka_unit_test(test_pool_errors),
        cmocka_unit_test(test_lookaside), cmocka_unit_test(test_lists),
        cmocka_unit_test(test_rundowns),  cmocka_unit_test(test_once),
        cmocka_unit_test(test_mdls),      cmocka_unit_test(test_mdl_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
