/* SPDX-License-Identifier: MIT */
/*
 * Group BND, second part: NdisOpenAdapterEx, its context, statuses and completion, and what a
 * driver owes when an open or a bind does not go through. Opens are made with a helper of this file
 * where the scripted protocol's own would not do.
 */
#include <stdio.h>
#include "spy.h"
#include "ndis/control.h"

static NDIS_HANDLE extra_handle;
static UINT extra_index;

static NDIS_STATUS try_open(struct bnd *b, NDIS_HANDLE bind_context)
{
    NDIS_MEDIUM media[] = {NdisMedium802_5, NdisMedium802_3};
    WCHAR text[96];
    NDIS_STRING name;
    unsigned n = 0;
    for (; b->adapter[n]; n++)
        text[n] = (WCHAR)b->adapter[n];
    text[n] = 0;
    RtlInitUnicodeString(&name, text);
    NDIS_OPEN_PARAMETERS o = {
        .Header = {NDIS_OBJECT_TYPE_OPEN_PARAMETERS, NDIS_OPEN_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1},
        .AdapterName = &name,
        .MediumArray = media,
        .MediumArraySize = 2,
        .SelectedMediumIndex = &extra_index,
    };
    extra_handle = NULL;
    return NdisOpenAdapterEx(b->proto->handle, b, &o, bind_context, &extra_handle);
}

static unsigned bindings_of(const char *guid)
{
    struct ndis_adapter *a = ndis__adapter_find(guid);
    unsigned n = 0;
    if (a)
        umn_list_for_each (at, &a->bindings)
            n++;
    return n;
}

static unsigned bindings_of_service(const char *service)
{
    unsigned n = 0;
    umn_list_for_each (at, &ndis.protocols) {
        struct ndis_protocol *p = umn_container_of(at, struct ndis_protocol, link);
        if (!strcmp(p->service, service))
            umn_list_for_each (l, &p->bindings)
                n++;
    }
    return n;
}

/* tproto0 over nic 0, bound inside the call unless the scripts say otherwise. */
static void bind_over_nic(void)
{
    world_proto(0);
    world_nic(true);
    CHECK_OK();
    world_bind("tproto0", world_nic_guid(0));
    settle(10);
}

/* ---- IM-BND-04: only in the context of ProtocolBindAdapterEx
 * --------------------------------------- */
static NDIS_STATUS elsewhere;
static bool elsewhere_ran;
static NDIS_HANDLE elsewhere_handle;

static void open_elsewhere(void *arg)
{
    struct bnd *b = arg;
    elsewhere = try_open(b, b->bind_context);
    elsewhere_handle = extra_handle;
    elsewhere_ran = true;
}
static void open_in_other_thread(struct bnd *b, PNDIS_BIND_PARAMETERS p)
{
    struct umn_ctx *other = in_thread(open_elsewhere, b);
    if (other)
        umn__ctx_join(other);
}

CONF(im_bnd_04_open_in_a_worker_fails, NULL, 0)
{
    conf_expect("IM-BND-04");
    elsewhere_ran = false;
    proto_script.before_open = open_in_other_thread;
    bind_over_nic();
    CHECK_OK();
    CHECK(elsewhere_ran);
    CHECK(elsewhere != NDIS_STATUS_SUCCESS && elsewhere != NDIS_STATUS_PENDING);
    CHECK(elsewhere_handle == NULL);
    CHECK_EQ(umn__report_count_rule("IM-BND-04"), 1);
    /* The bind's own open is not spoiled by it. */
    CHECK_EQ(bindings_of(world_nic_guid(0)), 1);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
}

CONF(im_bnd_04_open_after_bind_fails, NULL, 0)
{
    conf_expect("IM-BND-04");
    bind_over_nic();
    CHECK_OK();
    struct bnd *b = proto_on(0, world_nic_guid(0));
    CHECK(b != NULL);
    struct bnd copy = *b;
    NDIS_STATUS status = try_open(&copy, copy.bind_context); /* a stale BindContext */
    CHECK(status != NDIS_STATUS_SUCCESS && status != NDIS_STATUS_PENDING);
    CHECK(extra_handle == NULL);
    status = try_open(&copy, NULL);
    CHECK(status != NDIS_STATUS_SUCCESS && status != NDIS_STATUS_PENDING);
    CHECK(extra_handle == NULL);
    CHECK_EQ(umn__report_count_rule("IM-BND-04"), 2);
    CHECK_EQ(bindings_of(world_nic_guid(0)), 1);
}

/* ---- IM-BND-05: statuses
 * ----------------------------------------------------------------------------- */
CONF(im_bnd_05_success, "IM-BND-06 IM-BND-07", 0)
{
    bind_over_nic();
    CHECK_OK();
    struct bnd *b = proto_on(0, world_nic_guid(0));
    CHECK(b != NULL);
    CHECK_EQ(b->open_status, NDIS_STATUS_SUCCESS);
    CHECK(b->handle != NULL);
    CHECK_EQ(b->medium_index, 0);
    CHECK_LOGGED("tproto0.open.complete", 0); /* nothing pended: no callback */
}

static NDIS_STATUS seen_status;
static bool seen_handle;
static void note_open(struct bnd *b)
{
    seen_status = b->open_status;
    seen_handle = b->handle != NULL;
}

static void refused_open(NDIS_STATUS expected)
{
    seen_status = 1;
    proto_script.after_open = note_open;
    bind_over_nic();
    CHECK_OK();
    CHECK_EQ(seen_status, expected);
    CHECK(!seen_handle);
    CHECK_EQ(bindings_of(world_nic_guid(0)), 0);
    CHECK_LOGGED("tproto0.open.complete", 0);
    CHECK_LOGGED("tproto0.close.complete", 0);
    CHECK_LOGGED("tproto0.event 8", 0); /* nothing to pause */
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
}

CONF(im_bnd_05_unknown_name_is_adapter_not_found, NULL, 0)
{
    proto_script.open_name = u"\\Device\\{00000000-0000-0000-0000-000000000000}";
    refused_open(NDIS_STATUS_ADAPTER_NOT_FOUND);
}

CONF(im_bnd_05_no_common_medium_is_unsupported_media, NULL, 0)
{
    proto_script.medium = NdisMedium802_5;
    refused_open(NDIS_STATUS_UNSUPPORTED_MEDIA);
}

/* The second of two media matches: its index comes back. */
static UINT seen_index;
static void open_with_two_media(struct bnd *b, PNDIS_BIND_PARAMETERS p)
{
    seen_status = try_open(b, b->bind_context);
    seen_index = extra_index;
    if (seen_status == NDIS_STATUS_SUCCESS)
        NdisCloseAdapterEx(extra_handle);
}

CONF(im_bnd_05_selected_medium_is_the_one_that_matches, "IM-BND-06", 0)
{
    proto_script.before_open = open_with_two_media;
    proto_script.no_open = false;
    seen_index = 77;
    conf_expect("INVALID_OPEN_IN_BIND_CONTEXT"); /* the scripted open comes as the second */
    bind_over_nic();
    CHECK_OK();
    CHECK_EQ(seen_status, NDIS_STATUS_SUCCESS);
    CHECK_EQ(seen_index, 1);
    CHECK_EQ(bindings_of(world_nic_guid(0)), 0);
}

static unsigned fail_nth, resources_seen, other_failures;
static bool fail_until_opened;
static void open_without_memory(struct bnd *b, PNDIS_BIND_PARAMETERS p)
{
    for (fail_nth = 1; fail_nth < 50; fail_nth++) {
        plat_fail_alloc_at(fail_nth);
        NDIS_STATUS status = try_open(b, b->bind_context);
        bool failed = plat_alloc_failed();
        plat_fail_alloc_at(0);
        if (status == NDIS_STATUS_SUCCESS) {
            fail_until_opened = !failed;
            NdisCloseAdapterEx(extra_handle);
            return;
        }
        resources_seen += status == NDIS_STATUS_RESOURCES;
        other_failures += status != NDIS_STATUS_RESOURCES;
    }
}

CONF(im_bnd_05_no_memory_is_resources, NULL, CONF_NO_SWEEP)
{
    resources_seen = other_failures = 0;
    fail_until_opened = false;
    conf_expect("INVALID_OPEN_IN_BIND_CONTEXT");
    proto_script.before_open = open_without_memory;
    bind_over_nic();
    CHECK_OK();
    CHECK(resources_seen > 0);
    CHECK_EQ(other_failures, 0);
    CHECK(fail_until_opened); /* an open that failed leaves the bind context as it was */
}

static void open_badly(struct bnd *b, PNDIS_BIND_PARAMETERS p)
{
    NDIS_OPEN_PARAMETERS o = {.AdapterName = p->AdapterName}; /* no header */
    extra_handle = NULL;
    elsewhere = NdisOpenAdapterEx(b->proto->handle, b, &o, b->bind_context, &extra_handle);
}

CONF(im_bnd_05_bad_parameters_are_failure, NULL, 0)
{
    conf_expect("INVALID_OBJECT_HEADER");
    proto_script.before_open = open_badly;
    bind_over_nic();
    CHECK_OK();
    CHECK_EQ(elsewhere, NDIS_STATUS_FAILURE);
    CHECK(extra_handle == NULL);
    CHECK_EQ(bindings_of(world_nic_guid(0)), 1);
}

static void open_high(void *arg)
{
    struct bnd *b = arg;
    elsewhere = try_open(b, b->bind_context);
}
static void open_at_dispatch(struct bnd *b, PNDIS_BIND_PARAMETERS p)
{
    at_dispatch(open_high, b);
    if (elsewhere == NDIS_STATUS_SUCCESS)
        NdisCloseAdapterEx(extra_handle);
}

CONF(im_bnd_05_only_at_passive_level, NULL, 0)
{
    conf_expect("Irql_Miscellaneous_Function");
    conf_expect("INVALID_OPEN_IN_BIND_CONTEXT");
    proto_script.before_open = open_at_dispatch;
    bind_over_nic();
    CHECK_OK();
    CHECK_REPORTED("Irql_Miscellaneous_Function", 1);
}

/* ---- IM-BND-06, IM-BND-07: an open that pends
 * ----------------------------------------------------------- */
static bool handle_at_completion, oid_at_completion;
static UINT index_at_completion;
static void use_in_completion(struct bnd *b)
{
    ULONG id = 0;
    handle_at_completion = b->handle != NULL;
    index_at_completion = b->medium_index;
    oid_at_completion = b->handle && proto_oid(b, NdisRequestQueryInformation, OID_GEN_VENDOR_ID,
                                               &id, 4, NULL) == NDIS_STATUS_SUCCESS;
}

CONF(im_bnd_06_values_are_written_before_the_completion, "IM-BND-05 IM-BND-07", 0)
{
    umn__ndis_settings.async_open = true;
    handle_at_completion = oid_at_completion = false;
    index_at_completion = 99;
    seen_status = NDIS_STATUS_SUCCESS;
    proto_script.after_open = note_open;
    proto_script.on_bind = use_in_completion; /* in ProtocolOpenAdapterCompleteEx here */
    bind_over_nic();
    CHECK_OK();
    CHECK_EQ(seen_status, NDIS_STATUS_PENDING);
    CHECK(handle_at_completion);
    CHECK_EQ(index_at_completion, 0);
    CHECK(oid_at_completion);
    CHECK_LOGGED("tproto0.open.complete 00000000 irql 0", 1);
    CHECK_LOGGED("tproto0.open.complete", 1);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
}

CONF(im_bnd_07_one_completion_for_each_pended_open, NULL, 0)
{
    umn__ndis_settings.async_open = true;
    world_proto(0);
    world_proto(1);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(world_nic(true) != NULL);
        world_bind("tproto0", world_nic_guid(i));
        world_bind("tproto1", world_nic_guid(i));
        CHECK_OK();
    }
    settle(20);
    CHECK_LOGGED("tproto0.open.complete 00000000 irql 0", 2);
    CHECK_LOGGED("tproto1.open.complete 00000000 irql 0", 2);
    /* An open that fails at once pends nothing and completes nothing. */
    proto_script.medium = NdisMedium802_5;
    CHECK(world_nic(true) != NULL);
    world_bind("tproto0", world_nic_guid(2));
    CHECK_OK();
    settle(20);
    CHECK_LOGGED("tproto0.open.complete", 2);
    CHECK(proto_on(0, world_nic_guid(2)) == NULL);
}

/* ---- IM-BND-08: the MUX when the open fails
 * ---------------------------------------------------------------- */
static void mux_bind_with_open_failing(bool pend)
{
    static const NDIS_STATUS failures[] = {NDIS_STATUS_RESOURCES, NDIS_STATUS_ADAPTER_NOT_FOUND,
                                           NDIS_STATUS_UNSUPPORTED_MEDIA, NDIS_STATUS_FAILURE};
    char entry[128];
    world_mux();
    CHECK_OK();
    spy_mux();
    CHECK(world_nic(true) != NULL);
    size_t blocks = umn__pool_live();
    for (unsigned i = 0; i < 4; i++) {
        log_clear();
        spy.fail_open = pend ? NDIS_STATUS_SUCCESS : failures[i];
        spy.pended_open = pend ? failures[i] : NDIS_STATUS_SUCCESS;
        world_bind("mux", world_nic_guid(0));
        CHECK_OK();
        settle(20);
        snprintf(entry, sizeof entry, "mux.bind.end \\Device\\%s %08x", world_nic_guid(0),
                 (unsigned)failures[i]);
        CHECK_LOGGED(entry, 1);
        CHECK_LOGGED("mux.bind.end", 1);
        CHECK_EQ(bindings_of_service("mux"), 0);
        CHECK_EQ(umn__pool_live(), blocks); /* its per-binding memory is free again */
        CHECK_EQ(umn__netcfg_unbind("mux", world_nic_guid(0)), 0);
    }
    spy.fail_open = spy.pended_open = NDIS_STATUS_SUCCESS;
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    settle(20);
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
}

CONF(im_bnd_08_mux_returns_the_status_of_the_open, NULL, 0)
{
    mux_bind_with_open_failing(false);
}

CONF(im_bnd_08_mux_returns_the_status_of_a_pended_open, NULL, 0)
{
    mux_bind_with_open_failing(true);
}

/* ---- IM-BND-09: completing a bind
 * ---------------------------------------------------------------------------- */
/* The MUX may return PENDING or wait; each way the bind ends once. */
CONF(im_bnd_09_mux_ends_each_bind_once, NULL, 0)
{
    umn__ndis_settings.async_open = true;
    world_mux();
    CHECK_OK();
    spy_mux();
    for (unsigned i = 0; i < 2; i++) {
        CHECK(world_nic(true) != NULL);
        world_bind("mux", world_nic_guid(i));
        CHECK_OK();
        settle(20);
        CHECK_STR(binding_state(world_nic_guid(i), "mux"), "Running");
    }
    char pended[16];
    unsigned owed = 0;
    snprintf(pended, sizeof pended, " %08x", (unsigned)NDIS_STATUS_PENDING);
    for (int i = 0; log_at(i); i++)
        owed += !strncmp(log_at(i), "mux.bind.end", 12) && strstr(log_at(i), pended);
    CHECK_LOGGED("mux.bind.end", 2);
    CHECK_EQ(log_count("mux.complete bind"), owed);
}

static void complete_high(void *arg)
{
    proto_complete_bind(arg, NDIS_STATUS_SUCCESS);
}
static void bind_nic(void *arg)
{
    world_bind("tproto0", world_nic_guid(0));
}

CONF(im_bnd_09_pended_bind_lasts_until_completed_at_dispatch, NULL, 0)
{
    conf_expect("ST-09");
    proto_script.pend_bind = true;
    world_proto(0);
    world_nic(true);
    CHECK_OK();
    struct umn_ctx *binder = in_thread(bind_nic, NULL);
    settle(50);
    struct bnd *b = proto_on(0, world_nic_guid(0));
    char before[32];
    snprintf(before, sizeof before, "%s", adapter_state(world_nic_guid(0)));
    NDIS_HANDLE context = b ? b->bind_context : NULL;
    if (b)
        at_dispatch(complete_high, b);
    if (binder)
        umn__ctx_join(binder);
    settle(20);
    CHECK(b != NULL);
    CHECK_STR(before, "Paused"); /* the stack waits for the bind */
    CHECK_EQ(umn__report_count_rule("ST-09"), 0);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
    NdisCompleteBindAdapterEx(context, NDIS_STATUS_SUCCESS); /* the second time */
    CHECK_EQ(umn__report_count_rule("ST-09"), 1);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
}

/* ---- IM-BND-10: Paused after the open
 * ------------------------------------------------------------------------- */
static struct {
    char state[32];
    NDIS_STATUS oid, send;
    uint64_t completed, below;
} opened;

static void use_after_open(struct bnd *b)
{
    uint8_t f[64];
    ULONG id = 0;
    snprintf(opened.state, sizeof opened.state, "%s",
             binding_state(world_nic_guid(0), b->proto->service));
    opened.oid = proto_oid(b, NdisRequestQueryInformation, OID_GEN_VENDOR_ID, &id, 4, NULL);
    proto_send(b, f, frame(f, mac_broadcast, mac_other, 0x88b5), 2);
    opened.completed = b->completed;
    opened.send = b->last_send_status;
    opened.below = nics[0].sends;
}

CONF(im_bnd_10_paused_after_open_takes_requests_only, NULL, 0)
{
    uint8_t f[64];
    memset(&opened, 0, sizeof opened);
    proto_script.on_bind = use_after_open;
    bind_over_nic();
    CHECK_OK();
    struct bnd *b = proto_on(0, world_nic_guid(0));
    CHECK(b != NULL);
    CHECK_STR(opened.state, "Paused");
    CHECK_EQ(opened.oid, NDIS_STATUS_SUCCESS);
    CHECK_EQ(opened.completed, 2);
    CHECK_EQ(opened.send, NDIS_STATUS_PAUSED);
    CHECK_EQ(opened.below, 0);
    /* After the restart they are allowed. */
    CHECK(proto_send(b, f, frame(f, mac_broadcast, mac_other, 0x88b5), 2));
    settle(10);
    CHECK_EQ(nics[0].sends, 2);
    CHECK_EQ(b->completed, 4);
    CHECK_EQ(b->last_send_status, NDIS_STATUS_SUCCESS);
}

/* The binding that an open under way is making, found where a driver has no way to look. */
static struct {
    bool opening;
    NDIS_STATUS oid;
    unsigned oids_below;
} early;

static void request_while_opening(struct bnd *b)
{
    struct ndis_bind_op *op = ndis__bind_op_find(b->bind_context);
    struct ndis_binding *binding = op ? op->binding : NULL;
    ULONG id = 0;
    if (!binding || __atomic_load_n(&binding->state, __ATOMIC_ACQUIRE) != NDIS_BINDING_OPENING)
        return;
    struct bnd other = *b;
    other.handle = binding;
    early.opening = true;
    early.oid = proto_oid(&other, NdisRequestQueryInformation, OID_GEN_VENDOR_ID, &id, 4, NULL);
    early.oids_below = nics[0].oids;
}

CONF(im_bnd_10_no_request_before_the_open_completes, NULL, CONF_NO_SEEDS)
{
    conf_expect("HandleType");
    umn__ndis_settings.async_open = true;
    memset(&early, 0, sizeof early);
    proto_script.after_open = request_while_opening;
    bind_over_nic();
    CHECK_OK();
    CHECK(early.opening);
    CHECK(early.oid != NDIS_STATUS_SUCCESS);
    CHECK_EQ(early.oids_below, 0);
    CHECK_REPORTED("HandleType", 1);
    CHECK_STR(binding_state(world_nic_guid(0), "tproto0"), "Running");
}

/* ---- IM-BND-11: a bind that fails after its open closes again
 * ------------------------------------------------------ */
/* Nothing that the MUX does in bind after the open can fail for want of an answer below, so memory
 * has to be what is missing: at each allocation of the bind in turn. */
CONF(im_bnd_11_mux_leaves_no_binding_when_bind_fails, "IM-BND-08", CONF_NO_SWEEP | CONF_SLOW)
{
    char succeeded[16];
    unsigned failed = 0;
    struct vmdev v;
    snprintf(succeeded, sizeof succeeded, " %08x", (unsigned)NDIS_STATUS_SUCCESS);
    world_mux();
    CHECK_OK();
    spy_mux();
    vm_create(&v, "mux");
    nic_script.oid_status = NDIS_STATUS_FAILURE; /* nor does the NIC answer */
    CHECK(world_nic(true) != NULL);
    vm_list("mux", 0, &v, 1);
    CHECK_OK();
    CHECK_EQ(umn__netcfg_bind("mux", world_nic_guid(0)), 0); /* keys and lists are there now */
    settle(10);
    for (unsigned nth = 1; nth < 400; nth++) {
        CHECK_EQ(umn__netcfg_unbind("mux", world_nic_guid(0)), 0);
        settle(10);
        log_clear();
        CHECK_EQ(bindings_of_service("mux"), 0);
        plat_fail_alloc_at(nth);
        umn__netcfg_bind("mux", world_nic_guid(0));
        bool injected = plat_alloc_failed();
        plat_fail_alloc_at(0);
        settle(10);
        const char *end = log_at(log_find("mux.bind.end", 0));
        bool ok = end && strstr(end, succeeded);
        failed += end && !ok;
        CHECK_EQ(bindings_of_service("mux"), ok);
        if (!ok && log_count("mux.open.end"))
            CHECK(log_count("mux.close ") == 1 || !log_count("mux.close "));
        if (!injected)
            break;
    }
    CHECK(failed > 0);
}

CONF(im_bnd_11_close_in_bind_context_leaves_nothing, NULL, 0)
{
    proto_script.bind_status = NDIS_STATUS_FAILURE; /* after a successful open */
    bind_over_nic();
    CHECK_OK();
    CHECK_LOGGED("tproto0.bind \\", 1);
    CHECK_LOGGED("tproto0.unbind", 0);
    CHECK_LOGGED("tproto0.close.complete", 0); /* the close did not pend */
    CHECK_EQ(bindings_of(world_nic_guid(0)), 0);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
}

CONF(im_bnd_11_pended_close_in_bind_context_is_waited_for, NULL, 0)
{
    umn__ndis_settings.async_close = true;
    proto_script.bind_status = NDIS_STATUS_FAILURE;
    bind_over_nic();
    CHECK_OK();
    CHECK_LOGGED("tproto0.close.complete irql 0", 1);
    CHECK(log_in_order("tproto0.bind \\", "tproto0.close.complete", "tproto0.bind.end", NULL));
    CHECK_LOGGED("tproto0.unbind", 0);
    CHECK_EQ(bindings_of(world_nic_guid(0)), 0);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
}

/* A driver that forgets the close is told so, and the library closes for it. */
static struct bnd *forgetful;
static void forget_to_close(struct bnd *b)
{
    forgetful = b;
    b->open = false; /* the scripted protocol closes only what is open */
}

CONF(im_bnd_11_forgotten_close_is_reported, NULL, 0)
{
    conf_expect("IM-UNB-03");
    proto_script.bind_status = NDIS_STATUS_FAILURE;
    proto_script.on_bind = forget_to_close;
    bind_over_nic();
    CHECK_OK();
    CHECK_EQ(umn__report_count_rule("IM-UNB-03"), 1);
    CHECK_EQ(bindings_of(world_nic_guid(0)), 0);
}

/* Having pended, it asks for an unbind and closes there. */
CONF(im_bnd_11_pended_bind_gives_up_by_unbind, NULL, 0)
{
    umn__ndis_settings.async_open = true;
    proto_script.bind_status = NDIS_STATUS_FAILURE;
    bind_over_nic();
    CHECK_OK();
    settle(20);
    CHECK(log_in_order("tproto0.open.complete", "tproto0.bind.end c0000001", "tproto0.unbind \\",
                       NULL));
    CHECK_LOGGED("tproto0.unbind \\", 1);
    CHECK_LOGGED("tproto0.event 9", 0); /* never restarted */
    CHECK_EQ(bindings_of(world_nic_guid(0)), 0);
    CHECK_STR(adapter_state(world_nic_guid(0)), "Running");
}
