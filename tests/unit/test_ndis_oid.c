/* SPDX-License-Identifier: MIT */
/*
 * OID requests: the queue, completion, cancellation, timeouts, filters and multicast lists of
 * several bindings, what NDIS answers itself, clones. Scenarios run as in nt_harness.h.
 */
#include "ndis_rig.h"

#define VENDOR OID_GEN_VENDOR_ID

static NDIS_STATUS query(unsigned i, NDIS_OID oid, void *buffer, UINT *length)
{
    NDIS_OID_REQUEST r;
    NDIS_STATUS status;

    request_make(&r, NdisRequestQueryInformation, oid, buffer, *length);
    status = NdisOidRequest(rig.b[i], &r);
    *length = status == NDIS_STATUS_SUCCESS ? r.DATA.QUERY_INFORMATION.BytesWritten
                                            : r.DATA.QUERY_INFORMATION.BytesNeeded;
    return status;
}

/* ---- IM-OID-01, -02, -03
 * -------------------------------------------------------------------------------- */

static NDIS_OID_REQUEST request[8];
static uint32_t buffer[8];

static void issue_at_dispatch(unsigned i, unsigned n, NDIS_STATUS want)
{
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    request_make(&request[n], NdisRequestQueryInformation, VENDOR, &buffer[n], 4);
    request[n].RequestId = (PVOID)(uintptr_t)(n + 1);
    CHECK(NdisOidRequest(rig.b[i], &request[n]) == want);
    KeLowerIrql(old);
}

static void wait_done(unsigned i, unsigned n)
{
    LARGE_INTEGER tick = relative_ms(1);

    for (unsigned k = 0; k < 200 && rig.oid_done[i] < n; k++)
        KeDelayExecutionThread(KernelMode, FALSE, &tick);
    CHECK(rig.oid_done[i] == n);
}

static void issues_another(NDIS_OID_REQUEST *r)
{
    rig.on_oid = NULL;
    issue_at_dispatch(1, 7, NDIS_STATUS_PENDING);
}

static void queue(void *arg)
{
    UINT length = 4;

    if (!rig_up(2))
        goto down;
    CHECK(query(0, VENDOR, buffer, &length) == NDIS_STATUS_SUCCESS);
    CHECK(rig.oids == 1 && rig.oid_done[0] == 0 && rig.last_oid.RequestHandle == rig.b[0]);
    rig.oid_status = NDIS_STATUS_NOT_SUPPORTED;
    CHECK(query(0, VENDOR, buffer, &length) == NDIS_STATUS_NOT_SUPPORTED && rig.oid_done[0] == 0);

    /* From DISPATCH_LEVEL: pends, and the handler sees PASSIVE_LEVEL. */
    rig.oid_irql = 9;
    issue_at_dispatch(0, 0, NDIS_STATUS_PENDING);
    wait_done(0, 1);
    CHECK(rig.oid_irql == PASSIVE_LEVEL && rig.oid_done_status[0] == NDIS_STATUS_NOT_SUPPORTED);

    /* Completed before the handler has returned. */
    rig.oid_status = NDIS_STATUS_PENDING;
    rig.complete_in_handler = true;
    CHECK(query(1, VENDOR, buffer, &length) == NDIS_STATUS_PENDING && rig.oid_done[1] == 1);

    /* One at a time, each completed once; the last one's handler is called in this context. */
    for (unsigned n = 0; n < 6; n++)
        issue_at_dispatch(n % 2, n, NDIS_STATUS_PENDING);
    request_make(&request[6], NdisRequestQueryInformation, VENDOR, &buffer[6], 4);
    wait_done(0, 4);
    wait_done(1, 4);
    rig.on_oid = issues_another;
    CHECK(NdisOidRequest(rig.b[0], &request[6]) == NDIS_STATUS_PENDING);
    wait_done(0, 5);
    wait_done(1, 5);
    rig.oid_done[0] = rig.oid_done[1] = 4;
    rig.oids -= 2;
    wait_done(0, 4);
    wait_done(1, 4);
    CHECK(rig.oid_most == 1 && rig.oids == 10);
down:
    rig_down();
}

static void pending(void *arg)
{
    struct umn_ctx *self = umn__ctx_self();

    if (!rig_up(2))
        goto down;
    CHECK(self != NULL);
    rig.oid_status = NDIS_STATUS_PENDING;
    request_make(&request[0], NdisRequestQueryInformation, VENDOR, &buffer[0], 4);
    request[0].RequestId = (PVOID)1;
    CHECK(NdisOidRequest(rig.b[0], &request[0]) == NDIS_STATUS_PENDING && rig.held_oid);
    issue_at_dispatch(0, 1, NDIS_STATUS_PENDING); /* these two wait */
    issue_at_dispatch(1, 2, NDIS_STATUS_PENDING);
    CHECK(rig.oids == 1);

    NdisCancelOidRequest(rig.b[0], (PVOID)9); /* no such id */
    NdisCancelOidRequest(rig.b[1], (PVOID)1); /* another's */
    CHECK(rig.oid_cancels == 0 && rig.oid_done[0] == 0 && rig.oid_done[1] == 0);
    NdisCancelOidRequest(rig.b[0], (PVOID)2); /* waiting: done at once */
    CHECK(rig.oid_done[0] == 1 && rig.oid_done_status[0] == NDIS_STATUS_REQUEST_ABORTED);
    NdisCancelOidRequest(rig.b[0], (PVOID)1); /* with the miniport */
    CHECK(rig.oid_cancels == 1 && rig.cancel_id == (PVOID)1 && rig.oid_done[0] == 1);
    rig.oid_status = NDIS_STATUS_SUCCESS; /* for what comes next */
    rig_complete_oid(NDIS_STATUS_REQUEST_ABORTED);
    CHECK(rig.oid_done[0] == 2 && rig.oid_done_status[0] == NDIS_STATUS_REQUEST_ABORTED);
    wait_done(1, 1);
    CHECK(rig.oids == 2 && rig.oid_done_status[1] == NDIS_STATUS_SUCCESS);

    /* IM-OID-14, and halting. */
    rig.a->resetting = true;
    CHECK(set_filter(0, 1) == NDIS_STATUS_RESET_IN_PROGRESS);
    rig.a->resetting = false;
    rig.b[0]->close_called = true;
    CHECK(set_filter(0, 1) == NDIS_STATUS_CLOSING);
    rig.b[0]->close_called = false;
    ndis__oid_drain(rig.a, NDIS_STATUS_CLOSING);
    CHECK(set_filter(0, 1) == NDIS_STATUS_CLOSING);
down:
    rig_down();
}

/* IM-OID-13: the timeout cancels, waiting or running. */
static void timeouts(void *arg)
{
    LARGE_INTEGER two = relative_ms(2500);
    NDIS_STATUS status;

    if (!rig_up(1))
        goto down;
    rig.oid_status = NDIS_STATUS_PENDING;
    for (unsigned n = 0; n < 2; n++) {
        request_make(&request[n], NdisRequestQueryInformation, VENDOR, &buffer[n], 4);
        request[n].RequestId = (PVOID)(uintptr_t)(n + 1);
        request[n].Timeout = 1;
        status = NdisOidRequest(rig.b[0], &request[n]);
        CHECK(status == NDIS_STATUS_PENDING ||
              (status == NDIS_STATUS_RESOURCES && plat_alloc_failed()));
    }
    KeDelayExecutionThread(KernelMode, FALSE, &two);
    if (plat_alloc_failed() && !rig.held_oid)
        goto down;
    CHECK(rig.oid_cancels == 1);
    CHECK(rig.oid_done[0] == 1 || plat_alloc_failed());
    rig_complete_oid(NDIS_STATUS_REQUEST_ABORTED);
    rig.oid_status = NDIS_STATUS_SUCCESS;
    /* In time: the timer is gone with the request. */
    request_make(&request[0], NdisRequestQueryInformation, VENDOR, &buffer[0], 4);
    request[0].Timeout = 1;
    status = NdisOidRequest(rig.b[0], &request[0]);
    CHECK(status == NDIS_STATUS_SUCCESS || plat_alloc_failed());
    KeDelayExecutionThread(KernelMode, FALSE, &two);
    CHECK(rig.oid_cancels == 1);
down:
    rig_down();
}

static void drain_wait(void *arg)
{
    LARGE_INTEGER tick = relative_ms(5);

    KeDelayExecutionThread(KernelMode, FALSE, &tick);
    rig_complete_oid(NDIS_STATUS_SUCCESS);
}

static void drains(void *arg)
{
    struct umn_ctx *ctx = NULL;

    if (!rig_up(1))
        goto down;
    rig.oid_status = NDIS_STATUS_PENDING;
    request_make(&request[0], NdisRequestQueryInformation, VENDOR, &buffer[0], 4);
    CHECK(NdisOidRequest(rig.b[0], &request[0]) == NDIS_STATUS_PENDING);
    issue_at_dispatch(0, 1, NDIS_STATUS_PENDING);
    if (umn__ctx_spawn(&ctx, drain_wait, NULL, "completer")) {
        rig_complete_oid(NDIS_STATUS_SUCCESS);
        rig.oid_status = NDIS_STATUS_SUCCESS;
        wait_done(0, 2);
        goto down;
    }
    ndis__oid_drain(rig.a, NDIS_STATUS_NOT_ACCEPTED);
    CHECK(rig.oid_done[0] == 2 && rig.oids == 1);
    umn__ctx_join(ctx);
down:
    rig_down();
}

static void completes_too(NDIS_OID_REQUEST *r)
{
    rig.on_oid = NULL;
    NdisMOidRequestComplete(rig.a, r, NDIS_STATUS_SUCCESS);
}

static void writes_too_much(NDIS_OID_REQUEST *r)
{
    r->DATA.QUERY_INFORMATION.BytesWritten = 400;
}

static void oid_mistakes(void *arg)
{
    UINT length = 4;

    if (!rig_up(1))
        goto down;
    rig.on_oid = completes_too; /* 1: completes, and returns SUCCESS */
    CHECK(query(0, VENDOR, buffer, &length) == NDIS_STATUS_PENDING && rig.oid_done[0] == 1);
    CHECK(RULE("NdisOidDoubleComplete") == 1);
    rig.on_oid = writes_too_much; /* 2 */
    length = 4;
    CHECK(query(0, VENDOR, buffer, &length) == NDIS_STATUS_SUCCESS && length == 4);
    CHECK(RULE("OID-03") == 1);
    rig.on_oid = NULL;
    rig.oid_status = NDIS_STATUS_PENDING;
    request_make(&request[0], NdisRequestQueryInformation, VENDOR, &buffer[0], 4);
    CHECK(NdisOidRequest(rig.b[0], &request[0]) == NDIS_STATUS_PENDING);
    CHECK(NdisOidRequest(rig.b[0], &request[0]) == NDIS_STATUS_FAILURE); /* 3: still pending */
    CHECK(RULE("OID-05") == 1);
    rig_complete_oid(NDIS_STATUS_PENDING); /* 4: PENDING is no result */
    CHECK(rig.oid_done_status[0] == NDIS_STATUS_FAILURE && RULE("NdisOidComplete") == 1);
    NdisMOidRequestComplete(rig.a, &request[0], NDIS_STATUS_SUCCESS); /* 5: twice */
    CHECK(RULE("NdisOidDoubleComplete") == 2);
    request[0].Header.Type = 3; /* 6 */
    CHECK(NdisOidRequest(rig.b[0], &request[0]) == NDIS_STATUS_INVALID_PARAMETER);
down:
    rig_down();
}

/* ---- IM-OID-16: filters
 * ------------------------------------------------------------------------------------ */

static uint32_t given(void)
{
    uint32_t v;

    memcpy(&v, rig.oid_data, 4);
    return v;
}

static void packet_filters(void *arg)
{
    uint32_t now;
    UINT length = 4;

    if (!rig_up(3))
        goto down;
    NEED(set_filter(0, 1) == 0, down);
    CHECK(rig.oids == 1 && given() == 1 && rig.b[0]->packet_filter == 1);
    NEED(set_filter(1, 8) == 0, down);
    CHECK(rig.oids == 2 && given() == 9);
    NEED(set_filter(2, 1) == 0, down); /* nothing new for the miniport */
    CHECK(rig.oids == 2 && rig.b[2]->packet_filter == 1);
    CHECK(query(0, OID_GEN_CURRENT_PACKET_FILTER, &now, &length) == 0 && now == 9 && length == 4);
    CHECK(rig.oids == 2);
    rig.oid_status = NDIS_STATUS_FAILURE; /* nobody's filter changes */
    CHECK(set_filter(0, 0x20) != NDIS_STATUS_SUCCESS && rig.b[0]->packet_filter == 1);
    rig.oid_status = NDIS_STATUS_PENDING; /* asynchronously */
    request_make(&request[0], NdisRequestSetInformation, OID_GEN_CURRENT_PACKET_FILTER, buffer, 4);
    buffer[0] = 0x20;
    NEED(NdisOidRequest(rig.b[0], &request[0]) == NDIS_STATUS_PENDING, down);
    CHECK(rig.b[0]->packet_filter == 1 && rig.held_oid != &request[0]);
    rig_complete_oid(NDIS_STATUS_SUCCESS);
    CHECK(rig.oid_done[0] == 1 && rig.b[0]->packet_filter == 0x20 && given() == 0x29);
    CHECK(request[0].DATA.SET_INFORMATION.BytesRead == 4);
    rig.oid_status = NDIS_STATUS_SUCCESS;
    CHECK(set(0, OID_GEN_CURRENT_PACKET_FILTER, buffer, 3) == NDIS_STATUS_INVALID_LENGTH);
    ndis__filter_binding_gone(rig.b[0]); /* shrinks again */
    CHECK(rig.b[0]->packet_filter == 0);
    CHECK(given() == 9 || plat_alloc_failed());
down:
    rig_down();
}

static void lookahead(void *arg)
{
    uint32_t value = 200;
    UINT length = 4;

    if (!rig_up(2))
        goto down;
    NEED(set(0, OID_GEN_CURRENT_LOOKAHEAD, &value, 4) == 0, down);
    CHECK(given() == 200);
    value = 100;
    NEED(set(1, OID_GEN_CURRENT_LOOKAHEAD, &value, 4) == 0, down);
    CHECK(rig.oids == 1);
    CHECK(query(1, OID_GEN_CURRENT_LOOKAHEAD, &value, &length) == 0 && value == 200);
    value = 4000;
    CHECK(set(1, OID_GEN_CURRENT_LOOKAHEAD, &value, 4) == NDIS_STATUS_INVALID_DATA);
down:
    rig_down();
}

/* ---- IM-OID-17: multicast lists
 * ------------------------------------------------------------------------------ */

#define MAC(n)                                                                                     \
    {                                                                                              \
        1, 0, 0x5e, 0, 0, n                                                                        \
    }
static bool wire_is(const char *numbers)
{
    unsigned n = (unsigned)strlen(numbers);

    for (unsigned i = 0; i < n; i++)
        if (rig.oid_data[i * 6 + 5] != numbers[i] - '0')
            return false;
    return rig.last_oid.DATA.SET_INFORMATION.InformationBufferLength == n * 6 &&
           rig.last_oid.DATA.SET_INFORMATION.Oid == OID_802_3_MULTICAST_LIST;
}

static void multicast(void *arg)
{
    uint8_t list[][6] = {MAC(3), MAC(1), MAC(3)}, other[][6] = {MAC(3), MAC(4), MAC(5)};
    uint8_t bad[6] = {2, 0, 0, 0, 0, 1}, all[30];
    UINT length = sizeof all;
    uint64_t one = 0, five = 0;

    memcpy(&one, list[1], 6);
    memcpy(&five, other[2], 6);
    if (!rig_up(2))
        goto down;
    NEED(set(0, OID_802_3_MULTICAST_LIST, list, 18) == 0, down);
    CHECK(wire_is("13"));
    NEED(set(1, OID_802_3_MULTICAST_LIST, other, 12) == 0, down);
    CHECK(wire_is("134"));
    CHECK(query(0, OID_802_3_MULTICAST_LIST, all, &length) == 0 && length == 18);
    CHECK(ndis__filter_multicast(rig.b[0], one) && !ndis__filter_multicast(rig.b[1], one));
    CHECK(set(1, OID_802_3_MULTICAST_LIST, bad, 6) == NDIS_STATUS_MULTICAST_FULL ||
          plat_alloc_failed());
    CHECK(set(1, OID_802_3_MULTICAST_LIST, list, 7) == NDIS_STATUS_INVALID_LENGTH);

    /* Added twice, so that the first delete takes nothing away. */
    NEED(set(1, OID_802_3_ADD_MULTICAST_ADDRESS, other[2], 6) == 0, down);
    CHECK(wire_is("1345"));
    rig.oids = 0;
    NEED(set(1, OID_802_3_ADD_MULTICAST_ADDRESS, other[2], 6) == 0, down);
    NEED(set(1, OID_802_3_DELETE_MULTICAST_ADDRESS, other[2], 6) == 0, down);
    CHECK(rig.oids == 0 && ndis__filter_multicast(rig.b[1], five));
    NEED(set(1, OID_802_3_DELETE_MULTICAST_ADDRESS, other[2], 6) == 0, down);
    CHECK(wire_is("134") && !ndis__filter_multicast(rig.b[1], five));
    CHECK(set(1, OID_802_3_DELETE_MULTICAST_ADDRESS, other[2], 6) != NDIS_STATUS_SUCCESS);

    /* Four is the limit of the adapter. */
    list[0][5] = 6;
    list[2][5] = 7;
    CHECK(set(0, OID_802_3_MULTICAST_LIST, list, 18) == NDIS_STATUS_MULTICAST_FULL ||
          plat_alloc_failed());
    CHECK(ndis__filter_multicast(rig.b[0], one));
    ndis__filter_binding_gone(rig.b[0]);
    CHECK(wire_is("34") || plat_alloc_failed());
    CHECK(rig.b[0]->multicast_count == 0);
down:
    rig_down();
}

/* ---- IM-OID-15: what NDIS answers
 * ---------------------------------------------------------------------------- */

static void statistics(NDIS_OID_REQUEST *r)
{
    NDIS_STATISTICS_INFO *info = r->DATA.QUERY_INFORMATION.InformationBuffer;

    CHECK(r->DATA.QUERY_INFORMATION.Oid == OID_GEN_STATISTICS);
    info->SupportedStatistics = NDIS_STATISTICS_FLAGS_VALID_BYTES_RCV;
    info->ifHCInOctets = 0x100000002ull;
    r->DATA.QUERY_INFORMATION.BytesWritten = sizeof *info;
}

static void answers(void *arg)
{
    static const NDIS_OID oids[] = {OID_GEN_VENDOR_ID, OID_GEN_STATISTICS, OID_GEN_LINK_STATE};
    uint8_t mac[6];
    uint64_t wide = 0;
    uint32_t value = 0;
    UINT length = 4;

    if (!rig_up(1))
        goto down;
    rig.a->attr.general.SupportedOidList = (PNDIS_OID)oids;
    rig.a->attr.general.SupportedOidListLength = sizeof oids;
    rig.oid_status = NDIS_STATUS_NOT_SUPPORTED;
    CHECK(query(0, OID_GEN_SUPPORTED_LIST, &value, &length) == NDIS_STATUS_BUFFER_TOO_SHORT);
    CHECK(length == sizeof oids);
    length = 4;
    CHECK(query(0, OID_GEN_MAXIMUM_FRAME_SIZE, &value, &length) == 0 && value == 1500);
    CHECK(query(0, OID_GEN_MEDIA_IN_USE, &value, &length) == 0 && value == NdisMedium802_3);
    length = 6;
    CHECK(query(0, OID_802_3_CURRENT_ADDRESS, mac, &length) == 0 && mac[5] == 1 && length == 6);
    length = 4;
    CHECK(query(0, OID_TCP_OFFLOAD_CURRENT_CONFIG, &value, &length) == NDIS_STATUS_NOT_SUPPORTED);
    CHECK(set(0, OID_GEN_MAXIMUM_FRAME_SIZE, &value, 4) == NDIS_STATUS_NOT_SUPPORTED);
    CHECK(rig.oids == 0);
    rig.oid_status = NDIS_STATUS_SUCCESS;
    rig.on_oid = statistics;
    length = 8;
    NEED(query(0, OID_GEN_BYTES_RCV, &wide, &length) == 0, down);
    CHECK(wide == 0x100000002ull && length == 8);
    length = 4;
    NEED(query(0, OID_GEN_BYTES_RCV, &value, &length) == 0, down);
    CHECK(value == 2 && length == 4);
    NEED(query(0, OID_GEN_XMIT_ERROR, &value, &length) == NDIS_STATUS_NOT_SUPPORTED, down);
    rig.on_oid = NULL;
    length = 4;
    CHECK(ndis__oid_own(rig.a, NdisRequestQueryInformation, VENDOR, &value, &length) == 0);
down:
    rig_down();
}

/* ---- clones, direct requests
 * ------------------------------------------------------------------------------------ */

static NDIS_OID_REQUEST *direct;
static NDIS_STATUS NTAPI direct_request(NDIS_HANDLE context, PNDIS_OID_REQUEST r)
{
    direct = r;
    return r->RequestId ? NDIS_STATUS_PENDING : NDIS_STATUS_SUCCESS;
}

static void clones(void *arg)
{
    NDIS_OID_REQUEST *clone;
    NDIS_STATUS status;

    if (!rig_up(1))
        goto down;
    request_make(&request[0], NdisRequestMethod, VENDOR, buffer, 12);
    request[0].DATA.METHOD_INFORMATION.OutputBufferLength = 20;
    request[0].DATA.METHOD_INFORMATION.MethodId = 5;
    request[0].PortNumber = 3;
    request[0].Timeout = 7;
    request[0].RequestId = (PVOID)77;
    request[0].SupportedRevision = 2;
    status = NdisAllocateCloneOidRequest(rig.b[0], &request[0], 'tseT', &clone);
    NEED(status == NDIS_STATUS_SUCCESS, down);
    CHECK(clone != &request[0] && clone->DATA.METHOD_INFORMATION.InformationBuffer == buffer);
    CHECK(!memcmp(&clone->DATA, &request[0].DATA, sizeof clone->DATA));
    CHECK(clone->PortNumber == 3 && clone->Timeout == 7 && clone->RequestId == (PVOID)77);
    CHECK(clone->SupportedRevision == 2 && clone->RequestType == NdisRequestMethod);
    NdisFreeCloneOidRequest(rig.b[0], clone);

    request_make(&request[1], NdisRequestQueryInformation, VENDOR, buffer, 4);
    CHECK(NdisDirectOidRequest(rig.b[0], &request[1]) == NDIS_STATUS_NOT_SUPPORTED);
    rig.driver.chars.DirectOidRequestHandler = direct_request;
    rig.protocol.chars.DirectOidRequestCompleteHandler = rig_oid_done;
    CHECK(NdisDirectOidRequest(rig.b[0], &request[1]) == NDIS_STATUS_SUCCESS);
    request[1].RequestId = (PVOID)1;
    CHECK(NdisDirectOidRequest(rig.b[0], &request[1]) == NDIS_STATUS_PENDING);
    CHECK(rig.b[0]->oid_out.count == 1);
    NdisMDirectOidRequestComplete(rig.a, direct, NDIS_STATUS_SUCCESS);
    CHECK(rig.oid_done[0] == 1 && rig.b[0]->oid_out.count == 0);
    CHECK(NdisSynchronousOidRequest(rig.b[0], &request[1]) == NDIS_STATUS_NOT_SUPPORTED);
down:
    rig_down();
}

/* ---- IM-RST-02, IM-RST-03: resets
 * -------------------------------------------------------------------------------- */

static NDIS_STATUS statuses[4];
static unsigned status_count, resets;
static NDIS_STATUS reset_answer;

static void NTAPI rig_status(NDIS_HANDLE context, PNDIS_STATUS_INDICATION s)
{
    if (status_count < 4)
        statuses[status_count++] = s->StatusCode;
}

static NDIS_STATUS NTAPI rig_reset(NDIS_HANDLE context, PBOOLEAN addressing)
{
    ULONG n;

    resets++;
    CHECK(status_count == 1 && set_filter(0, 3) == NDIS_STATUS_RESET_IN_PROGRESS);
    n = transmit(0, "0", 0);
    CHECK(n == 0 || rig.send_status[0] == NDIS_STATUS_RESET_IN_PROGRESS);
    *addressing = TRUE;
    return reset_answer;
}

static void resetting(void *arg)
{
    status_count = resets = 0;
    if (!rig_up(1))
        goto down;
    rig.driver.chars.ResetHandlerEx = rig_reset;
    rig.protocol.chars.StatusHandlerEx = rig_status;
    NEED(set_filter(0, 5) == 0, down);
    memset(rig.oid_data, 0, sizeof rig.oid_data);
    reset_answer = NDIS_STATUS_SUCCESS;
    NdisMResetMiniport(rig.a);
    NdisMSleep(1000);
    CHECK(resets == 1 && status_count == 2 && statuses[0] == NDIS_STATUS_RESET_START &&
          statuses[1] == NDIS_STATUS_RESET_END);
    CHECK(rig.oids == 2 ? given() == 5 : plat_alloc_failed()); /* AddressingReset */
    reset_answer = NDIS_STATUS_PENDING;
    status_count = 0;
    NdisMResetMiniport(rig.a);
    NdisMResetMiniport(rig.a); /* superfluous */
    NdisMSleep(1000);
    CHECK(resets == 2 && status_count == 1 && rig.a->resetting);
    NdisMResetComplete(rig.a, NDIS_STATUS_SUCCESS, FALSE);
    NdisMSleep(1000);
    CHECK(status_count == 2 && !rig.a->resetting && resets == 2);
down:
    rig_down();
}

/* ---- tests
 * ----------------------------------------------------------------------------------------------------
 */

#define SWEEP(name, scenario)                                                                      \
    static void name(void **state)                                                                 \
    {                                                                                              \
        explore(scenario, 0);                                                                      \
    }
SWEEP(im_oid_01_02_03_serial_at_passive_completed_once, queue)
SWEEP(im_oid_13_14_cancel_and_refusals, pending)
SWEEP(im_oid_13_timeouts, timeouts)
SWEEP(halting_waits_for_the_request_with_the_miniport, drains)
SWEEP(im_oid_16_filters_of_bindings_unite, packet_filters)
SWEEP(lookahead_is_the_largest, lookahead)
SWEEP(im_oid_17_multicast_lists_unite, multicast)
SWEEP(im_oid_15_ndis_answers_from_attributes, answers)
SWEEP(im_oid_06_clones_and_direct_requests, clones)
SWEEP(im_rst_02_03_resets_are_framed_by_statuses, resetting)

static void im_oid_04_mistakes_of_miniports_are_reported(void **state)
{
    struct umn_sched_config config = {.backend = UMN_BACKEND_EXPLORE, .cpus = 2};

    umn__report_quiet(true);
    run_once(oid_mistakes, &config, 0, 6);
    umn__report_quiet(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(im_oid_01_02_03_serial_at_passive_completed_once),
        cmocka_unit_test(im_oid_13_14_cancel_and_refusals),
        cmocka_unit_test(im_oid_13_timeouts),
        cmocka_unit_test(halting_waits_for_the_request_with_the_miniport),
        cmocka_unit_test(im_oid_04_mistakes_of_miniports_are_reported),
        cmocka_unit_test(im_oid_16_filters_of_bindings_unite),
        cmocka_unit_test(lookahead_is_the_largest),
        cmocka_unit_test(im_oid_17_multicast_lists_unite),
        cmocka_unit_test(im_oid_15_ndis_answers_from_attributes),
        cmocka_unit_test(im_oid_06_clones_and_direct_requests),
        cmocka_unit_test(im_rst_02_03_resets_are_framed_by_statuses),
    };
    return cmocka_run_group_tests_name("ndis_oid", tests, NULL, NULL);
}
