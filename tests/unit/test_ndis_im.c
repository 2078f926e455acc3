/* SPDX-License-Identifier: MIT */
/*
 * Virtual miniports: both halves of a start in every order, cancel, de-initialize, disable and
 * enable, names, wrong levels. The world is tests/unit/ndis_world.h.
 */
#include "ndis_world.h"

/* ---- virtual miniports
 * -------------------------------------------------------------------------------- */

/* IM-PNP-01 to -03, IM-VMP-07, -08, -11 to -15, -22; questions 4, 5, 6, 7, 10. */
static void im_matrix(void)
{
    struct ndis_adapter *a;

    script.no_requests = true;
    mux_world();
    EQ(request(100, NULL), NDIS_STATUS_SUCCESS); /* never enumerated: stays pending */
    EQ(request(100, NULL), NDIS_STATUS_NOT_ACCEPTED);
    EQ(cancel_request(100), NDIS_STATUS_SUCCESS);
    EQ(cancel_request(100), NDIS_STATUS_FAILURE);
    EQ(request(100, &mps[100]), NDIS_STATUS_SUCCESS);
    logged("");
    EQ(add(100, mux_driver), STATUS_SUCCESS);
    logged("");
    EQ(start(100), STATUS_SUCCESS); /* the start comes second */
    logged("init:100 bind:pa:100 restart:100 restart:pa:100 ");
    CHECK(mps[100].im_context == &mps[100]);
    CHECK(NdisIMGetBindingContext(bound_to(&pa_proto, 100)->handle) == &mps[100]);
    CHECK(NdisIMGetBindingContext(bound_to(&mux_proto, 1)->handle) == NULL);
    EQ(request(100, NULL), NDIS_STATUS_NOT_ACCEPTED);
    EQ(cancel_request(100), NDIS_STATUS_FAILURE);
    a = mps[100].handle;
    EQ(NdisIMDeInitializeDeviceInstance(a), NDIS_STATUS_SUCCESS);
    logged("pause:pa:100 pause:100 unbind:pa:100 halt:100:1 ");
    EQ(NdisIMDeInitializeDeviceInstance(a), NDIS_STATUS_FAILURE); /* IM-VMP-14 */
    EQ(NdisIMDeInitializeDeviceInstance(NULL), NDIS_STATUS_FAILURE);
    EQ(NdisIMDeInitializeDeviceInstance((NDIS_HANDLE)8), NDIS_STATUS_FAILURE);
    EQ(request(100, NULL), NDIS_STATUS_SUCCESS); /* the request comes second: inside it */
    logged("init:100 bind:pa:100 restart:100 restart:pa:100 ");
    EQ(NdisIMDeInitializeDeviceInstance(mps[100].handle), NDIS_STATUS_SUCCESS);
    *log_text = 0;
    script.init = NDIS_STATUS_FAILURE; /* question 5 */
    EQ(request(100, NULL), NDIS_STATUS_SUCCESS);
    logged("init:100 ");
    script.init = NDIS_STATUS_SUCCESS;
    for (int i = 0; i < 10; i++) { /* IM-VMP-22 */
        EQ(request(100, NULL), NDIS_STATUS_SUCCESS);
        EQ(NdisIMDeInitializeDeviceInstance(mps[100].handle), NDIS_STATUS_SUCCESS);
    }
    EQ(count("init:100"), 10);
    EQ(request(101, NULL), NDIS_STATUS_SUCCESS); /* IM-VMP-12 */
    EQ(cancel_request(101), NDIS_STATUS_SUCCESS);
    *log_text = 0;
    add(101, mux_driver);
    EQ(start(101), STATUS_SUCCESS);
    logged("");
}

static void test_im_matrix(void **state)
{
    run_clean(im_matrix);
}

/* Forms of DriverInstance (question 3) and what is no name. */
static void im_names(void)
{
    static const char *const same[] = {"\\DEVICE\\{00000100-0000-0000-0000-000000000000}",
                                       "{00000100-0000-0000-0000-000000000000}",
                                       "\\device\\{00000100-0000-0000-0000-000000000000}"};
    WCHAR w[100];
    UNICODE_STRING name = {0, 0, NULL};

    script.no_requests = true;
    mux_world();
    EQ(NdisIMInitializeDeviceInstanceEx(mux_handle, &name, NULL), NDIS_STATUS_FAILURE);
    EQ(NdisIMInitializeDeviceInstanceEx(mux_handle, NULL, NULL), NDIS_STATUS_FAILURE);
    for (size_t i = 0; i < 3; i++) {
        us(&name, w, same[i]);
        EQ(NdisIMInitializeDeviceInstanceEx(mux_handle, &name, NULL), NDIS_STATUS_SUCCESS);
        us(&name, w, same[(i + 1) % 3]);
        EQ(NdisIMInitializeDeviceInstanceEx(mux_handle, &name, NULL), NDIS_STATUS_NOT_ACCEPTED);
        EQ(NdisIMCancelInitializeDeviceInstance(mux_handle, &name), NDIS_STATUS_SUCCESS);
    }
    us(&name, w, same[0]); /* question 6 */
    EQ(NdisIMInitializeDeviceInstanceEx(nic_handle, &name, NULL), NDIS_STATUS_FAILURE);
}

static void test_im_names(void **state)
{
    run_reported(im_names, "IM-VMP-08", 1);
}

/* IM-VMP-20, IM-UNB-09, IM-STK-05: the whole chain up and down. */
static void chain(void)
{
    script.vms[0] = 100;
    script.vms[1] = 101;
    script.vms[2] = 102; /* never enumerated: cancelled */
    BIND("mux", 1);
    BIND("pa", 100, 101);
    CHECK(load("mux", MuxEntry, &mux_driver));
    CHECK(load("pa", PaEntry, &pa_driver));
    CHECK(load("nic", NicEntry, &nic_driver));
    add(100, mux_driver);
    EQ(start(100), STATUS_SUCCESS); /* before anybody asked: question 4 */
    *log_text = 0;
    add(1, nic_driver);
    EQ(start(1), STATUS_SUCCESS);
    logged("init:1 bind:mux:1 init:100 bind:pa:100 restart:100 restart:pa:100 restart:1 "
           "restart:mux:1 ");
    add(101, mux_driver);
    EQ(start(101), STATUS_SUCCESS);
    logged("init:101 bind:pa:101 restart:101 restart:pa:101 ");
    EQ(irp(1, IRP_MN_SURPRISE_REMOVAL), STATUS_SUCCESS);
    logged("qremove:mux:1 notify:1:2 pause:mux:1 pause:1 unbind:mux:1 "
           "pause:pa:100 pause:100 unbind:pa:100 halt:100:1 "
           "pause:pa:101 pause:101 unbind:pa:101 halt:101:1 halt:1:3 ");
    gone(1);
    EQ(ndis__adapter_find(name_of(100))->state, NDIS_ADAPTER_HALTED);
    add(1, nic_driver); /* it comes back, and with it the virtual miniports */
    EQ(start(1), STATUS_SUCCESS);
    EQ(ndis__adapter_find(name_of(100))->state, NDIS_ADAPTER_RUNNING);
    EQ(ndis__adapter_find(name_of(101))->state, NDIS_ADAPTER_RUNNING);
}

static void test_chain(void **state)
{
    run_clean(chain);
}

/* IM-EVT-11, IM-EVT-12, question 11: disable and enable one virtual miniport. */
static void reenable(void)
{
    script.vms[0] = 100;
    script.vms[1] = 101;
    mux_world();
    for (int i = 100; i < 102; i++) {
        add(i, mux_driver);
        EQ(start(i), STATUS_SUCCESS);
    }
    *log_text = 0;
    gone(100);
    logged("pause:pa:100 pause:100 unbind:pa:100 halt:100:0 ");
    add(100, mux_driver);
    EQ(start(100), STATUS_SUCCESS);
    logged("reenable::0 init:100 bind:pa:100 restart:100 restart:pa:100 ");
    EQ(irp(101, IRP_MN_STOP_DEVICE), STATUS_SUCCESS);
    logged("pause:pa:101 pause:101 unbind:pa:101 halt:101:6 ");
    EQ(start(101), STATUS_SUCCESS);
    logged("reenable::0 init:101 bind:pa:101 restart:101 restart:pa:101 ");
    EQ(NdisIMDeInitializeDeviceInstance(mps[101].handle), NDIS_STATUS_SUCCESS);
    gone(101);
    *log_text = 0;
    add(101, mux_driver); /* the driver let go of it: no event */
    EQ(start(101), STATUS_SUCCESS);
    logged("");
}

static void test_reenable(void **state)
{
    run_clean(reenable);
}

/* Question 8: a cancel from inside MiniportInitializeEx fails at once; from elsewhere it waits. */
static uint32_t in_init_phase;
static NDIS_STATUS init_cancels(NDIS_HANDLE handle, NDIS_HANDLE context)
{
    EQ(cancel_request(100), NDIS_STATUS_FAILURE);
    EQ(request(100, NULL), NDIS_STATUS_NOT_ACCEPTED);
    in_init_phase = 1;
    for (int i = 0; i < 20; i++)
        umn__park(umn__now() + 100, "test", NULL);
    in_init_phase = 2;
    return NDIS_STATUS_SUCCESS;
}

static void canceller(void *arg)
{
    while (in_init_phase == 0)
        umn__park(umn__now() + 100, "test", NULL);
    EQ(cancel_request(100), NDIS_STATUS_FAILURE);
    EQ(in_init_phase, 2);
    note("cancel-returned ");
}

static void cancel_while_initializing(void)
{
    struct umn_ctx *ctx;

    in_init_phase = 0;
    script.no_requests = true;
    script.in_init = NULL;
    mux_world();
    script.in_init = init_cancels;
    add(100, mux_driver);
    EQ(start(100), STATUS_SUCCESS);
    CHECK(umn__ctx_spawn(&ctx, canceller, NULL, "canceller") == 0);
    EQ(request(100, NULL), NDIS_STATUS_SUCCESS);
    umn__ctx_join(ctx);
    EQ(count("cancel-returned"), 1);
}

static void test_cancel_while_initializing(void **state)
{
    run_clean(cancel_while_initializing);
}

/* ---- wrong levels
 * -------------------------------------------------------------------------------------------------
 */

static void wrong_levels(void)
{
    KIRQL old;

    script.no_requests = true;
    mux_world();
    KeRaiseIrql(DISPATCH_LEVEL, &old); /* IM-VMP-09 */
    request(100, NULL);
    cancel_request(100);
    NdisIMDeInitializeDeviceInstance(NULL);
    KeLowerIrql(old);
}

static void test_wrong_levels(void **state)
{
    umn__report_quiet(true);
    run_plain(wrong_levels);
    umn__report_quiet(false);
    assert_int_equal(umn__report_count(), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_im_matrix),
        cmocka_unit_test(test_im_names),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_reenable),
        cmocka_unit_test(test_cancel_while_initializing),
        cmocka_unit_test(test_wrong_levels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
