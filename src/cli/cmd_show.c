/* SPDX-License-Identifier: MIT */
/*
 * umndis show, adapter: the adapters of a running box, in the manner of `ip link` (text and --json)
 * with NDIS detail (-d) and statistics (-s). Read-only; PASSIVE_LEVEL.
 */
#include "cli.h"
#include <stdio.h>
#include <string.h>
#include "config/config.h"
#include "ndis/host.h"
#include "plat/plat.h"

struct show {
    struct out *o;
    const char *only; /* {GUID} or NULL */
    bool vms_only;
    unsigned shown;
};

static void mac_text(const uint8_t *mac, unsigned n, char *text)
{
    text[0] = 0;
    for (unsigned i = 0; i < n && i < 6; i++)
        sprintf(text + (i ? 3 * i - 1 : 0), i ? ":%02x" : "%02x", mac[i]);
}

static void short_name(const struct umn_adapter_info *a, char *name)
{
    name_of(a->instance_id, name);
    if (!name[0])
        snprintf(name, 128, "%s", a->name);
}

static const char *flags_of(const struct umn_adapter_info *a, char *text, size_t size)
{
    snprintf(text, size, "BROADCAST,MULTICAST%s%s%s",
             a->packet_filter & NDIS_PACKET_TYPE_PROMISCUOUS ? ",PROMISC" : "",
             !strcmp(a->state, "Running") ? ",UP" : "", a->link_up ? ",LOWER_UP" : "");
    return text;
}

static void text_adapter(struct show *s, const struct umn_adapter_info *a, const char *name)
{
    char mac[24], flags[80];
    mac_text(a->mac, a->mac_len, mac);
    out_text(s->o, "%u: %s: <%s> mtu %u state %s\n", a->ifindex, name,
             flags_of(a, flags, sizeof flags), a->mtu, a->state);
    out_text(s->o, "    link/ether %s  miniport %s%s  %s\n", mac[0] ? mac : "-", a->service,
             a->virtual_miniport ? " (virtual)" : "", a->instance_id);
    for (unsigned i = 0; i < a->bindings; i++)
        out_text(s->o, "    bound %s state %s filter 0x%x sends-out %llu receives-out %llu\n",
                 a->binding[i].protocol, a->binding[i].state, a->binding[i].packet_filter,
                 (unsigned long long)a->binding[i].sends_out,
                 (unsigned long long)a->binding[i].receives_out);
    if (s->o->detail)
        out_text(s->o, "    name %s luid 0x%llx speed %llu/%llu bit/s filter 0x%x\n", a->name,
                 (unsigned long long)a->luid, (unsigned long long)a->xmit_speed,
                 (unsigned long long)a->rcv_speed, a->packet_filter);
}

static void json_adapter(struct show *s, const struct umn_adapter_info *a, const char *name)
{
    char mac[24];
    mac_text(a->mac, a->mac_len, mac);
    out_num(s->o, "ifindex", a->ifindex);
    out_str(s->o, "ifname", name);
    out_open(s->o, "flags", '[');
    out_str(s->o, NULL, "BROADCAST");
    out_str(s->o, NULL, "MULTICAST");
    if (a->packet_filter & NDIS_PACKET_TYPE_PROMISCUOUS)
        out_str(s->o, NULL, "PROMISC");
    if (!strcmp(a->state, "Running"))
        out_str(s->o, NULL, "UP");
    if (a->link_up)
        out_str(s->o, NULL, "LOWER_UP");
    out_close(s->o, ']');
    out_num(s->o, "mtu", a->mtu);
    out_str(s->o, "operstate", a->link_up && !strcmp(a->state, "Running") ? "UP" : "DOWN");
    out_str(s->o, "address", mac);
    out_str(s->o, "state", a->state);
    out_str(s->o, "miniport", a->service);
    out_bool(s->o, "virtual", a->virtual_miniport);
    out_str(s->o, "instance", a->instance_id);
    out_str(s->o, "device", a->name);
    out_num(s->o, "luid", a->luid);
    out_num(s->o, "xmit_speed", a->xmit_speed);
    out_num(s->o, "rcv_speed", a->rcv_speed);
    out_num(s->o, "packet_filter", a->packet_filter);
    out_open(s->o, "bindings", '[');
    for (unsigned i = 0; i < a->bindings; i++) {
        out_open(s->o, NULL, '{');
        out_str(s->o, "protocol", a->binding[i].protocol);
        out_str(s->o, "state", a->binding[i].state);
        out_num(s->o, "packet_filter", a->binding[i].packet_filter);
        out_num(s->o, "sends_out", a->binding[i].sends_out);
        out_num(s->o, "receives_out", a->binding[i].receives_out);
        out_close(s->o, '}');
    }
    out_close(s->o, ']');
}

static uint64_t sum(uint64_t a, uint64_t b, uint64_t c)
{
    return a + b + c;
}

static void stats_of(struct show *s, const char *device)
{
    NDIS_STATISTICS_INFO t = {0};
    if (umn__ndis_statistics(device, &t))
        return;
    uint64_t rx = sum(t.ifHCInUcastPkts, t.ifHCInMulticastPkts, t.ifHCInBroadcastPkts);
    uint64_t tx = sum(t.ifHCOutUcastPkts, t.ifHCOutMulticastPkts, t.ifHCOutBroadcastPkts);
    if (!s->o->json) {
        out_text(s->o, "    RX: bytes %llu packets %llu errors %llu dropped %llu mcast %llu\n",
                 (unsigned long long)t.ifHCInOctets, (unsigned long long)rx,
                 (unsigned long long)t.ifInErrors, (unsigned long long)t.ifInDiscards,
                 (unsigned long long)t.ifHCInMulticastPkts);
        out_text(s->o, "    TX: bytes %llu packets %llu errors %llu dropped %llu\n",
                 (unsigned long long)t.ifHCOutOctets, (unsigned long long)tx,
                 (unsigned long long)t.ifOutErrors, (unsigned long long)t.ifOutDiscards);
        return;
    }
    out_open(s->o, "stats64", '{');
    out_open(s->o, "rx", '{');
    out_num(s->o, "bytes", t.ifHCInOctets);
    out_num(s->o, "packets", rx);
    out_num(s->o, "errors", t.ifInErrors);
    out_num(s->o, "dropped", t.ifInDiscards);
    out_num(s->o, "multicast", t.ifHCInMulticastPkts);
    out_close(s->o, '}');
    out_open(s->o, "tx", '{');
    out_num(s->o, "bytes", t.ifHCOutOctets);
    out_num(s->o, "packets", tx);
    out_num(s->o, "errors", t.ifOutErrors);
    out_num(s->o, "dropped", t.ifOutDiscards);
    out_close(s->o, '}');
    out_close(s->o, '}');
}

/* Names of the adapters first: the statistics below issue requests, which the snapshot's visit must
 * not do. */
static bool visit(void *arg, const struct umn_adapter_info *a)
{
    struct show *s = arg;
    char name[128];
    if (s->only && !strstr(a->name, s->only))
        return true;
    if (s->vms_only && !a->virtual_miniport)
        return true;
    short_name(a, name);
    s->shown++;
    if (s->o->json)
        out_open(s->o, NULL, '{');
    (s->o->json ? json_adapter : text_adapter)(s, a, name);
    if (s->o->stats)
        stats_of(s, a->name);
    if (s->o->json)
        out_close(s->o, '}');
    return true;
}

static int list(struct out *o, struct args *a, bool vms_only)
{
    char instance[64], guid[64];
    struct show s = {.o = o, .vms_only = vms_only};
    int status = arg_rest(o, a, 1);
    if (status)
        return status;
    if (a->count) {
        if ((status = name_resolve(o, a->word[0], instance, guid)))
            return status;
        s.only = guid;
    }
    if (o->json)
        out_open(o, NULL, '[');
    umn__ndis_adapters(visit, &s);
    if (o->json)
        out_close(o, ']');
    if (a->count && !s.shown)
        return out_fail(o, 1, "'%s' is there, but not started; see umndis device list", a->word[0]);
    return 0;
}

int cmd_adapter_list(struct out *o, struct args *a)
{
    return list(o, a, false);
}
int cmd_vm_list(struct out *o, struct args *a)
{
    return list(o, a, true);
}

static bool request_visit(void *arg, const char *device, const char *service)
{
    struct out *o = arg;
    if (o->json) {
        out_open(o, NULL, '{');
        out_str(o, "device", device);
        out_str(o, "service", service);
        out_close(o, '}');
    } else {
        out_text(o, "waiting for its device: %s, asked for by %s\n", device, service);
    }
    return true;
}

static bool stack_visit(void *arg, uint32_t upper, uint32_t lower)
{
    struct out *o = arg;
    if (o->json) {
        out_open(o, NULL, '{');
        out_num(o, "upper", upper);
        out_num(o, "lower", lower);
        out_close(o, '}');
    } else {
        out_text(o, "stack: %u over %u\n", upper, lower);
    }
    return true;
}

int cmd_show(struct out *o, struct args *a)
{
    struct show s = {.o = o};
    int status = arg_rest(o, a, 0);
    if (status)
        return status;
    if (o->json) {
        out_open(o, NULL, '{');
        out_open(o, "adapters", '[');
    }
    umn__ndis_adapters(visit, &s);
    if (o->json) {
        out_close(o, ']');
        out_open(o, "requests", '[');
    } else if (!s.shown) {
        out_text(o, "no adapter is started\n");
    }
    umn__ndis_im_requests(request_visit, o);
    if (o->json) {
        out_close(o, ']');
        out_open(o, "ifstack", '[');
    }
    if (o->json || o->detail)
        umn__ndis_ifstack(stack_visit, o);
    if (o->json) {
        out_close(o, ']');
        out_close(o, '}');
    }
    return 0;
}
