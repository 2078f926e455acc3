/* SPDX-License-Identifier: MIT */
/*
 * umndis send, count: frames from and to adapters that the packet source and sink (drivers/pktio)
 * is bound to, through its control device. PASSIVE_LEVEL.
 */
#include "cli.h"
#include <stdio.h>
#include <string.h>
#include "config/config.h"
#include "ndis/host.h"
#include "nt/nt.h"
#include "nt/umhost.h"
#include "umndis/pktio_ioctl.h"

static void target(PKTIO_TARGET *t, const char *guid)
{
    char text[PKTIO_NAME_CHARS];
    snprintf(text, sizeof text, "\\Device\\%s", guid);
    for (unsigned i = 0; i <= strlen(text); i++)
        t->Adapter[i] = (WCHAR)(unsigned char)text[i];
}

static int refused(struct out *o, const char *name, NTSTATUS status)
{
    const char *why = "the request failed";
    if (status == STATUS_NOT_FOUND)
        why = "the packet source and sink is not bound to it; give it --upper pktio";
    else if (status == STATUS_DEVICE_NOT_READY)
        why = "its binding is paused";
    else if (status == STATUS_OBJECT_NAME_NOT_FOUND || status == STATUS_NO_SUCH_DEVICE)
        why = "the driver pktio is not loaded; no adapter has --upper pktio";
    else if (status == STATUS_INVALID_PARAMETER)
        why = "a frame of that size or VLAN ID cannot be sent there";
    return out_fail(o, 1, "%s: %s (status 0x%08x)", name, why, (unsigned)status);
}

static bool parse_mac(const char *text, uint8_t *mac)
{
    unsigned b[6];
    int end = 0;
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", b, b + 1, b + 2, b + 3, b + 4, b + 5, &end) !=
            6 ||
        text[end])
        return false;
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)b[i];
    return true;
}

struct mac_search {
    const char *guid;
    uint8_t mac[6];
    bool found;
};

static bool mac_visit(void *arg, const struct umn_adapter_info *a)
{
    struct mac_search *s = arg;
    if (!strstr(a->name, s->guid))
        return true;
    memcpy(s->mac, a->mac, 6);
    s->found = true;
    return false;
}

static int destination(struct out *o, const char *to, uint8_t *mac)
{
    char id[64], guid[64];
    if (!strcmp(to, "broadcast")) {
        memset(mac, 0xff, 6);
        return 0;
    }
    if (parse_mac(to, mac))
        return 0;
    int status = name_resolve(o, to, id, guid);
    if (status)
        return status;
    struct mac_search s = {.guid = guid};
    umn__ndis_adapters(mac_visit, &s);
    if (!s.found)
        return out_fail(o, 1, "'%s' is not started", to);
    memcpy(mac, s.mac, 6);
    return 0;
}

int cmd_send(struct out *o, struct args *a)
{
    bool error = false;
    char id[64], guid[64];
    long count = 1, size = 64, vlan = 0;
    const char *count_text = arg_value(a, "--count", &error);
    const char *size_text = arg_value(a, "--size", &error);
    const char *vlan_text = arg_value(a, "--vlan", &error);
    int status = arg_rest(o, a, 2);
    if (error || status)
        return status ? status : out_fail(o, 2, "an option's value is missing");
    if (a->count < 2)
        return out_fail(o, 2, "umndis send FROM TO|MAC|broadcast");
    if ((count_text && !arg_number(o, "--count", count_text, 1, 100000000, &count)) ||
        (size_text && !arg_number(o, "--size", size_text, 14, 65535, &size)) ||
        (vlan_text && !arg_number(o, "--vlan", vlan_text, 0, 4094, &vlan)))
        return 2;
    if ((status = name_resolve(o, a->word[0], id, guid)))
        return status;
    PKTIO_SEND send = {.Size = (ULONG)size, .Count = (ULONG64)count, .Vlan = (USHORT)vlan};
    PKTIO_SENT sent = {0};
    target(&send.Target, guid);
    if ((status = destination(o, a->word[1], send.Destination)))
        return status;
    size_t got;
    NTSTATUS e = umn__device_ioctl(PKTIO_DEVICE, IOCTL_PKTIO_SEND, &send, sizeof send, &sent,
                                   sizeof sent, &got);
    if (!NT_SUCCESS(e))
        return refused(o, a->word[0], e);
    out_text(o, "%llu sent", (unsigned long long)sent.Sent);
    if (sent.Failed)
        out_text(o, ", %llu failed (last NDIS_STATUS 0x%08x)", (unsigned long long)sent.Failed,
                 (unsigned)sent.LastFailure);
    out_text(o, "\n");
    return sent.Failed ? 1 : 0;
}

int cmd_count(struct out *o, struct args *a)
{
    bool error = false;
    char id[64], guid[64];
    long frames = 0;
    const char *wait = arg_value(a, "--wait", &error);
    int status = arg_rest(o, a, 1);
    if (error || status)
        return status ? status : out_fail(o, 2, "--wait: how many frames?");
    if (!a->count)
        return out_fail(o, 2, "umndis count NAME");
    if (wait && !arg_number(o, "--wait", wait, 1, 2000000000, &frames))
        return 2;
    if ((status = name_resolve(o, a->word[0], id, guid)))
        return status;
    PKTIO_TARGET t = {{0}};
    PKTIO_COUNTERS c = {0};
    target(&t, guid);
    for (int tries = 0; tries < 500; tries++) {
        size_t got;
        NTSTATUS e = umn__device_ioctl(PKTIO_DEVICE, IOCTL_PKTIO_READ_COUNTERS, &t, sizeof t, &c,
                                       sizeof c, &got);
        if (!NT_SUCCESS(e))
            return refused(o, a->word[0], e);
        if (c.FramesReceived >= (ULONG64)frames)
            break;
        LARGE_INTEGER ten_ms = {.QuadPart = -100000};
        KeDelayExecutionThread(KernelMode, FALSE, &ten_ms);
    }
    out_text(o, "%llu frames, %llu octets, in %llu indications\n",
             (unsigned long long)c.FramesReceived, (unsigned long long)c.OctetsReceived,
             (unsigned long long)c.Indications);
    if (c.FramesReceived < (ULONG64)frames)
        return out_fail(o, 1, "%s: %llu of %ld frames came within 5 s", a->word[0],
                        (unsigned long long)c.FramesReceived, frames);
    return 0;
}
