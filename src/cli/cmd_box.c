/* SPDX-License-Identifier: MIT */
/* umndis stop, trace, oid: commands to the running box itself. PASSIVE_LEVEL. */
#include "cli.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "ndis/host.h"
#include "trace/trace.h"

int cmd_stop(struct out *o, struct args *a)
{
    int status = arg_rest(o, a, 0);
    if (!status)
        control_stop();
    return status;
}

int cmd_trace(struct out *o, struct args *a)
{
    bool error = false;
    long last = 100;
    const char *text = arg_value(a, "--last", &error);
    int status = arg_rest(o, a, 0);
    if (error || status)
        return out_fail(o, 2, "--last: how many events?");
    if (text && !arg_number(o, "--last", text, 1, 8192, &last))
        return 2;
    uint64_t next = umn__trace_next();
    if (o->json)
        out_open(o, NULL, '[');
    for (uint64_t seq = next > (uint64_t)last ? next - (uint64_t)last : 1; seq < next; seq++) {
        struct umn_trace_event e;
        if (!umn__trace_get(seq, &e))
            continue;
        if (!o->json) {
            out_text(o, "%8llu %10llu.%07llu [%u] cpu %u irql %u  %-18s %s\n",
                     (unsigned long long)e.seq, (unsigned long long)(e.time / 10000000),
                     (unsigned long long)(e.time % 10000000), e.ctx, e.cpu, e.irql, e.what, e.text);
            continue;
        }
        out_open(o, NULL, '{');
        out_num(o, "seq", e.seq);
        out_num(o, "time", e.time);
        out_num(o, "context", e.ctx);
        out_num(o, "irql", e.irql);
        out_str(o, "what", e.what);
        out_str(o, "text", e.text);
        out_close(o, '}');
    }
    if (o->json)
        out_close(o, ']');
    return 0;
}

int cmd_oid(struct out *o, struct args *a)
{
    char id[64], guid[64], device[80], *end;
    uint8_t buffer[4096];
    unsigned length = sizeof buffer;
    NDIS_STATUS answer;
    int status = arg_rest(o, a, 2);
    if (status)
        return status;
    if (a->count < 2)
        return out_fail(o, 2, "umndis oid NAME OID");
    if ((status = name_resolve(o, a->word[0], id, guid)))
        return status;
    errno = 0;
    unsigned long oid = strtoul(a->word[1], &end, 0);
    if (errno || *end || oid > UINT32_MAX)
        return out_fail(o, 2, "'%s' is no OID; expected a number such as 0x00010107", a->word[1]);
    snprintf(device, sizeof device, "\\Device\\%s", guid);
    if (umn__ndis_oid(device, NdisRequestQueryInformation, (NDIS_OID)oid, buffer, &length, &answer))
        return out_fail(o, 1, "'%s' is not started", a->word[0]);
    if (answer != NDIS_STATUS_SUCCESS)
        return out_fail(o, 1, "OID 0x%08lx: NDIS_STATUS 0x%08x", oid, (unsigned)answer);
    for (unsigned i = 0; i < length; i++)
        out_text(o, "%02x%s", buffer[i], i % 16 == 15 || i + 1 == length ? "\n" : " ");
    return 0;
}
