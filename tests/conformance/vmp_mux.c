/* SPDX-License-Identifier: MIT */
/*
 * Group VMP: what the real MUX does about its virtual miniports (IM-VMP-01, -02, -04, -05, -10,
 * -13, -16, -18, -19, -21), seen by the spy between it and the library.
 */
#include <stdio.h>
#include "ndis/internal.h"
#include "spy.h"

static struct vmdev dev[4096];

/* The MUX loaded and watched, one NIC, `count` devices on its list; not bound. */
static void mux_over_nic(unsigned count)
{
    world_mux();
    spy_mux();
    if (!conf_failed())
        world_nic(true);
    for (unsigned i = 0; i < count && !conf_failed(); i++)
        vm_create(&dev[i], "mux");
    if (!conf_failed())
        vm_list("mux", 0, dev, count);
}

static void start_all(unsigned count)
{
    for (unsigned i = 0; i < count && !conf_failed(); i++)
        if (umn__pnp_start_device(dev[i].id, NULL))
            conf_fail(__FILE__, __LINE__, "start %u: %s", i, umn_last_error());
}

static bool count_running(void *arg, const struct umn_adapter_info *a)
{
    *(unsigned *)arg += a->virtual_miniport && !strcmp(a->state, "Running");
    return true;
}

/* Virtual miniports that run. */
static unsigned running(void)
{
    unsigned n = 0;
    umn__ndis_adapters(count_running, &n);
    return n;
}

static int logged(const char *what, const struct vmdev *v)
{
    char text[120];
    snprintf(text, sizeof text, "%s %s", what, v->name);
    return log_count(text);
}

/* ---- IM-VMP-01
 * ------------------------------------------------------------------------------------ */
CONF(im_vmp_01_no_request_when_the_open_fails, NULL, 0)
{
    mux_over_nic(3);
    CHECK_OK();
    spy.fail_open = NDIS_STATUS_RESOURCES;
    umn__netcfg_bind("mux", world_nic_guid(0));
    settle(100);
    CHECK(spy.opens >= 1);
    CHECK_LOGGED("mux.bind.end", 1);
    CHECK_LOGGED("mux.bind.end \\", log_count("mux.bind \\"));
    CHECK_EQ(spy.requests, 0);
    CHECK_EQ(vm_pending(), 0);
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "");
}

/* The library's own ways to fail: each allocation of the bind in turn. */
CONF(im_vmp_01_request_only_after_an_open_that_succeeded, NULL, CONF_NO_SWEEP)
{
    unsigned failed = 0;
    mux_over_nic(2);
    CHECK_OK();
    for (unsigned nth = 1; nth < 400; nth++) {
        unsigned before = spy.requests;
        log_clear();
        plat_fail_alloc_at(nth);
        umn__netcfg_bind("mux", world_nic_guid(0));
        bool injected = plat_alloc_failed();
        plat_fail_alloc_at(0);
        settle(10);
        char good[100];
        snprintf(good, sizeof good, "mux.open.end \\Device\\%s 00000000", world_nic_guid(0));
        if (log_count("mux.open \\") && !log_count(good)) {
            failed++;
            CHECK_EQ(spy.requests, before);
            CHECK_STR(binding_state(world_nic_guid(0), "mux"), "");
        }
        if (spy.requests > before)
            CHECK(log_in_order(good, "mux.request \\", NULL));
        if (umn__netcfg_unbind("mux", world_nic_guid(0)))
            break;
        settle(10);
        if (!injected)
            break;
    }
    CHECK(failed > 0);
}

/* ---- IM-VMP-02, -04, -05: the requests that a bind makes
 * -------------------------------------------- */
CONF(im_vmp_02_requests_are_made_inside_the_bind, "IM-VMP-01", 0)
{
    char good[100];
    mux_over_nic(3);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_EQ(spy.requests, 3);
    snprintf(good, sizeof good, "mux.open.end \\Device\\%s 00000000", world_nic_guid(0));
    CHECK(log_in_order("mux.bind \\", good, "mux.request \\", "mux.bind.end", NULL));
    CHECK(log_last("mux.request.end") < log_find("mux.bind.end", 0));
    for (unsigned i = 0; i < 3; i++) {
        CHECK(spy.request[i].ctx != 0);
        CHECK_EQ(spy.request[i].ctx, spy.request[i].bind_ctx);
        CHECK_EQ(spy.request[i].status, NDIS_STATUS_SUCCESS);
    }
}

/* IM-REG-01: the handle of every later NdisIMXxx call. */
CONF(im_vmp_02_driver_handle_is_the_registered_one, "IM-REG-01", 0)
{
    mux_over_nic(1);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    CHECK_EQ(spy.requests, 1);
    struct ndis_mdriver *d = spy.request[0].driver;
    CHECK(ndis__kind(d) == NDIS_KIND_MDRIVER);
    CHECK_STR(d->service, "mux");
    CHECK(d->chars.Flags & NDIS_INTERMEDIATE_DRIVER);
}

/* The bytes of UpperBindings, unusual spelling included, are what NDIS is given. */
CONF(im_vmp_04_names_are_passed_byte_for_byte, "IM-CFG-01", 0)
{
    char bare[64], mixed[96];
    char *names[3] = {dev[0].name, bare, mixed};
    uint32_t type;
    void *key, *data;
    size_t size, at = 0;
    mux_over_nic(3);
    CHECK_OK();
    snprintf(bare, sizeof bare, "%s", dev[1].guid);
    snprintf(mixed, sizeof mixed, "\\dEvIcE\\%s", dev[2].guid);
    for (char *c = mixed + 8; *c; c += 2)
        *c = *c >= 'A' && *c <= 'F' ? (char)(*c + 32) : *c;
    vm_list_text("mux", 0, names, 3);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    CHECK_EQ(spy.requests, 3);
    char path[200];
    snprintf(path, sizeof path,
             "\\Registry\\Machine\\" UMN_KEY_SERVICES "\\mux\\Parameters\\Adapters\\%s",
             world_nic_guid(0));
    CHECK_EQ(umn__registry()->open(NULL, path, false, &key), 0);
    int e = umn__registry()->get(key, "UpperBindings", &type, &data, &size);
    umn__registry()->close(key);
    CHECK_EQ(e, 0);
    bool same = true;
    for (unsigned i = 0; i < 3; i++) {
        const struct spy_request *r = &spy.request[i];
        same = same && at + r->length + 2 <= size &&
               !memcmp((char *)data + at, r->name, r->length) &&
               ((WCHAR *)data)[(at + r->length) / 2] == 0;
        at += r->length + 2;
    }
    plat_free(data);
    CHECK(same);
    CHECK_EQ(at + 2, size); /* and nothing else was on the list */
    start_all(3);
    CHECK_OK();
    CHECK_EQ(running(), 3);
}

/* Each name once, all of them running once their devices start. */
static void count_names(unsigned count)
{
    mux_over_nic(count);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
    CHECK_EQ(spy.requests, count);
    CHECK_EQ(vm_pending(), count);
    for (unsigned i = 0; i < count; i++) { /* in the order of the list */
        WCHAR *name = umn__utf16(dev[i].name);
        bool same = name && spy.request[i].length == 2 * strlen(dev[i].name) &&
                    !memcmp(name, spy.request[i].name, spy.request[i].length);
        plat_free(name);
        CHECK(same);
        CHECK_EQ(spy.request[i].status, NDIS_STATUS_SUCCESS);
    }
    start_all(count);
    CHECK_OK();
    settle(10);
    CHECK_EQ(spy.requests, count);
    CHECK_EQ(vm_pending(), 0);
    CHECK_EQ(running(), count);
}

CONF(im_vmp_05_empty_list, "IM-VMP-03", 0)
{
    count_names(0);
    CHECK_OK();
    CHECK_LOGGED("mux.bind.end", 1);
    CHECK_LOGGED("mux.unbind", 0);
}
CONF(im_vmp_05_no_list_at_all, "IM-VMP-03", 0)
{
    world_mux();
    spy_mux();
    CHECK(world_nic(true) != NULL);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_EQ(spy.requests, 0);
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
}
CONF(im_vmp_05_one_name, NULL, 0)
{
    count_names(1);
}
CONF(im_vmp_05_two_names, NULL, 0)
{
    count_names(2);
}
CONF(im_vmp_05_sixteen_names, NULL, 0)
{
    count_names(16);
}
CONF(im_vmp_05_4096_names, NULL, CONF_SLOW | CONF_NO_SWEEP)
{
    count_names(4096);
}

/* More than the counted string of NdisReadConfiguration can say: 64 KB, about 700 names. */
CONF(im_vmp_05_1000_names_that_no_device_has, "IM-CFG-01", CONF_SLOW)
{
    static char text[1000][80];
    char *names[1000];
    mux_over_nic(0);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(text[i], sizeof text[i], "\\Device\\{DEADBEEF-0000-0000-0000-%012X}", i);
        names[i] = text[i];
    }
    vm_list_text("mux", 0, names, 1000);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_EQ(spy.requests, 1000);
    CHECK_EQ(spy.request[999].length, 2 * strlen(text[999]));
    CHECK_EQ(vm_pending(), 1000);
    vm_list_text("mux", 0, names, 999);
    CHECK_EQ(umn__ndis_reconfigure("mux", NULL, NULL, 0, NULL), 0);
    settle(10);
    CHECK_EQ(spy.cancels, 1);
    CHECK_EQ(vm_pending(), 999);
}

CONF(im_vmp_05_a_name_listed_twice_is_requested_once, NULL, 0)
{
    char *names[3] = {dev[0].name, dev[0].guid, dev[0].name};
    mux_over_nic(1);
    vm_list_text("mux", 0, names, 3);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_EQ(spy.requests, 1);
    start_all(1);
    CHECK_LOGGED("mux.init \\", 1);
}

/* Question 12: one name that fails stops no other. */
CONF(im_vmp_05_a_name_that_is_refused_does_not_stop_the_others, NULL, 0)
{
    world_im(0);
    mux_over_nic(3);
    CHECK_OK();
    CHECK_EQ(im_request(0, dev[1].name, NULL), NDIS_STATUS_SUCCESS); /* somebody else was first */
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_EQ(spy.requests, 3);
    CHECK_EQ(spy.request[1].status, NDIS_STATUS_NOT_ACCEPTED);
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
    start_all(3);
    CHECK_STR(adapter_state(dev[0].guid), "Running");
    CHECK_STR(adapter_state(dev[1].guid), "Halted");
    CHECK_STR(adapter_state(dev[2].guid), "Running");
}

/* ---- IM-VMP-10: the binding goes while requests are pending
 * ------------------------------------------ */
CONF(im_vmp_10_unbind_cancels_every_pending_name, "IM-UNB-09", 0)
{
    mux_over_nic(3);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_EQ(vm_pending(), 3);
    CHECK_EQ(umn__netcfg_unbind("mux", world_nic_guid(0)), 0);
    CHECK_EQ(spy.cancels, 3);
    CHECK_EQ(spy.deinits, 0);
    CHECK_EQ(vm_pending(), 0);
    for (unsigned i = 0; i < 3; i++) {
        char text[120];
        snprintf(text, sizeof text, "mux.cancel %s 00000000", dev[i].name);
        CHECK_LOGGED(text, 1);
        CHECK(log_in_order("mux.unbind \\", text, "mux.unbind.end", NULL));
    }
    start_all(3);
    settle(10);
    CHECK_LOGGED("mux.init", 0);
}

CONF(im_vmp_10_unbind_cancels_the_pending_and_deinitializes_the_running, "IM-VMP-13", 0)
{
    mux_over_nic(4);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(dev[1].id, NULL), 0);
    CHECK_EQ(umn__pnp_start_device(dev[3].id, NULL), 0);
    settle(10);
    CHECK_EQ(umn__netcfg_unbind("mux", world_nic_guid(0)), 0);
    CHECK_EQ(spy.cancels, 2);
    CHECK_EQ(spy.deinits, 2);
    CHECK_EQ(logged("mux.cancel", &dev[0]), 1);
    CHECK_EQ(logged("mux.deinit", &dev[1]), 1);
    CHECK_EQ(logged("mux.cancel", &dev[2]), 1);
    CHECK_EQ(logged("mux.deinit", &dev[3]), 1);
    CHECK_EQ(vm_pending(), 0);
    CHECK_EQ(running(), 0);
}

CONF(im_vmp_10_lower_nic_is_removed_while_requests_are_pending, "IM-UNB-09", 0)
{
    mux_over_nic(2);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_EQ(umn__pnp_remove_device(world_nic_instance(0)), 0);
    CHECK_EQ(spy.cancels, 2);
    CHECK_EQ(vm_pending(), 0);
    CHECK_LOGGED("mux.init", 0);
    CHECK(log_in_order("mux.cancel", "mux.unbind.end", "nic0.halt", NULL));
}

static void start_both(void *arg)
{
    umn__pnp_start_device(dev[0].id, NULL);
    umn__pnp_start_device(dev[1].id, NULL);
}

CONF(im_vmp_10_unbind_races_with_the_start, "IM-VMP-11 IM-VMP-13", 0)
{
    mux_over_nic(2);
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    struct umn_ctx *starter = in_thread(start_both, NULL);
    CHECK(starter != NULL);
    int e = umn__netcfg_unbind("mux", world_nic_guid(0));
    umn__ctx_join(starter);
    settle(10);
    CHECK_EQ(e, 0);
    CHECK_EQ(vm_pending(), 0);
    CHECK_EQ(running(), 0);
    CHECK_LOGGED("mux.unbind.end", 1);
    /* What came up went down again; what was withdrawn never came. */
    for (unsigned i = 0; i < 2; i++) {
        char up[120];
        snprintf(up, sizeof up, "mux.init.end %s 00000000", dev[i].name);
        CHECK_EQ(logged("mux.halt", &dev[i]), log_count(up));
        CHECK(log_last(up) < log_find("mux.unbind.end", 0));
    }
}

/* ---- IM-VMP-13
 * ------------------------------------------------------------------------------------------ */
CONF(im_vmp_13_unbind_deinitializes_a_running_one, "IM-UNB-09", 0)
{
    char action[120], deinit[120];
    mux_over_nic(1);
    world_bind("mux", world_nic_guid(0));
    start_all(1);
    CHECK_OK();
    settle(10);
    CHECK_EQ(running(), 1);
    CHECK_EQ(umn__netcfg_unbind("mux", world_nic_guid(0)), 0);
    CHECK_EQ(spy.deinits, 1);
    CHECK_EQ(spy.cancels, 0);
    snprintf(action, sizeof action, "mux.halt %s action %d", dev[0].name,
             (int)NdisHaltDeviceInstanceDeInitialized);
    snprintf(deinit, sizeof deinit, "mux.deinit.end %s 00000000", dev[0].name);
    CHECK(log_in_order("mux.unbind \\", "mux.deinit \\", action, deinit, "mux.unbind.end", NULL));
    CHECK_STR(adapter_state(dev[0].guid), "Halted");
    CHECK_LOGGED("nic0.halt", 0);
}

CONF(im_vmp_13_a_name_taken_off_the_list_is_deinitialized, "IM-VMP-21", 0)
{
    mux_over_nic(3);
    world_bind("mux", world_nic_guid(0));
    start_all(3);
    CHECK_OK();
    vm_list("mux", 0, &dev[1], 2);
    NDIS_STATUS status;
    CHECK_EQ(umn__ndis_reconfigure("mux", NULL, NULL, 0, &status), 0);
    settle(10);
    CHECK_EQ(status, NDIS_STATUS_SUCCESS);
    CHECK_EQ(spy.deinits, 1);
    CHECK_EQ(spy.cancels, 0);
    CHECK_EQ(logged("mux.halt", &dev[0]), 1);
    CHECK_LOGGED("mux.halt", 1);
    CHECK_STR(adapter_state(dev[0].guid), "Halted");
    CHECK_STR(adapter_state(dev[1].guid), "Running");
    CHECK_STR(adapter_state(dev[2].guid), "Running");
}
