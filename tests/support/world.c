/* SPDX-License-Identifier: MIT */
/* Building stacks out of the scripted drivers and the real MUX; frames and small helpers. */
#include "world_private.h"
#include <stdio.h>
#include <unistd.h>
#include "image/image.h"

const uint8_t mac_broadcast[6] = {255, 255, 255, 255, 255, 255};
const uint8_t mac_other[6] = {0x02, 0xee, 0xee, 0xee, 0xee, 0x01};

static struct {
    char guid[64], instance[64];
} made[64];
static unsigned made_count;

void (*world_more_drivers)(void);

const char *world_driver_path(void)
{
    static char path[512];
    const char *given = getenv("UMNDIS_DRIVER_PATH");
    if (given)
        return given;
    if (!path[0]) {
        /* build/<cfg>/tests/conformance/conformance -> build/<cfg>/drivers */
        char self[400];
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
        self[n > 0 ? n : 0] = 0;
        for (int up = 0; n > 0 && up < 3; up++) {
            char *slash = strrchr(self, '/');
            if (slash)
                *slash = 0;
        }
        snprintf(path, sizeof path, "%s/drivers", self);
    }
    return path;
}

void world_reset(void)
{
    memset(nics, 0, nic_high_water * sizeof nics[0]);
    nic_high_water = 0;
    for (unsigned i = 0; i < PROTO_MAX; i++)
        if (protos[i].used || protos[i].bindings_made)
            memset(&protos[i], 0, sizeof protos[i]);
    memset(&nic_script, 0, sizeof nic_script);
    nic_script.minor = 30;
    nic_script.mtu = 1500;
    nic_script.multicast_max = 32;
    memset(&proto_script, 0, sizeof proto_script);
    proto_script.minor = 30;
    proto_script.medium = NdisMedium802_3;
    proto_script.pend_event = proto_script.veto_event = (NET_PNP_EVENT_CODE)-1;
    proto_script.packet_filter =
        NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_BROADCAST;
    im_world_reset();
    made_count = 0;
    umn__image_builtin_clear();
    plat_alloc_forgive(true);
    umn__image_builtin("tnic", NicEntry);
    umn__image_builtin("tproto", ProtoEntry);
    umn__image_builtin("tim", ImEntry);
    if (world_more_drivers)
        world_more_drivers();
    plat_alloc_forgive(false);
}

void world_enter(void)
{
}

/* Everything that a script holds goes back, and nothing more is held, so that the box can go down
 * even when the test gave up half way. */
void world_leave(void)
{
    nic_script.hold_sends = nic_script.hold_oids = false;
    nic_script.pend_pause = nic_script.pend_restart = false;
    nic_script.restart_status = NDIS_STATUS_SUCCESS;
    proto_script.hold_rx = proto_script.pend_bind = proto_script.pend_unbind = false;
    proto_script.pend_event = proto_script.veto_event = (NET_PNP_EVENT_CODE)-1;
    for (unsigned i = 0; i < nic_high_water; i++) {
        struct nic *n = &nics[i];
        if (!n->used || n->halted)
            continue;
        nic_complete_sends(n, NDIS_STATUS_SUCCESS);
        nic_complete_oid(n, NDIS_STATUS_FAILURE);
        if (n->pause_pending && !n->outstanding_rx)
            nic_complete_pause(n);
        if (n->restart_pending)
            nic_complete_restart(n, NDIS_STATUS_SUCCESS);
    }
    for (unsigned p = 0; p < PROTO_MAX; p++)
        for (unsigned i = 0; i < BIND_MAX; i++) {
            struct bnd *b = &protos[p].b[i];
            if (!protos[p].used || !b->used)
                continue;
            proto_return(b);
            proto_complete_event(b, NDIS_STATUS_SUCCESS);
            if (b->open && !b->bind_over)
                proto_complete_bind(b, NDIS_STATUS_SUCCESS);
            else if (b->bound && b->unbind_context && !b->open &&
                     b->close_status == NDIS_STATUS_SUCCESS)
                proto_complete_unbind(b);
        }
}

struct nic *world_nic(bool start)
{
    char description[32];
    unsigned index = made_count;
    snprintf(description, sizeof description, "Test NIC %u", index);
    int e = umn__netcfg_add_service("tnic", "miniport", "builtin:tnic");
    if (!e || e == UMN_EEXIST)
        e = umn__netcfg_add_adapter("tnic", description, NULL, 0, start, made[index].instance,
                                    made[index].guid);
    if (e) {
        conf_fail(__FILE__, __LINE__, "world_nic: %s", umn_last_error());
        return NULL;
    }
    made_count++;
    struct nic *n = nic_by_guid(made[index].guid);
    if (start && !n)
        conf_fail(__FILE__, __LINE__, "world_nic: started, but not initialized");
    return n;
}

const char *world_nic_guid(unsigned index)
{
    return made[index].guid;
}
const char *world_nic_instance(unsigned index)
{
    return made[index].instance;
}

static void service(const char *name, const char *kind, const char *image)
{
    int e = umn__netcfg_add_service(name, kind, image);
    if (!e || e == UMN_EEXIST)
        e = umn__netcfg_load(name);
    if (e)
        conf_fail(__FILE__, __LINE__, "service %s: %s", name, umn_last_error());
}

void world_proto(unsigned index)
{
    char name[16];
    snprintf(name, sizeof name, "tproto%u", index);
    service(name, "protocol", "builtin:tproto");
}

void world_im(unsigned index)
{
    char name[16];
    snprintf(name, sizeof name, "tim%u", index);
    service(name, "intermediate", "builtin:tim");
}

void world_mux(void)
{
    service("mux", "intermediate", "mux");
}

void world_bind(const char *protocol, const char *guid)
{
    int e = umn__netcfg_bind(protocol, guid);
    if (e)
        conf_fail(__FILE__, __LINE__, "bind %s: %s", protocol, umn_last_error());
}

void world_vm_device(const char *name, char *instance_id, char *guid)
{
    struct umn_device_desc desc = {.service = name,
                                   .hardware_id = "root\\umn_test_vm",
                                   .description = "Test virtual miniport"};
    int e = umn__pnp_create_device(&desc, instance_id, guid);
    if (e)
        conf_fail(__FILE__, __LINE__, "vm device: %s", umn_last_error());
}

void world_vm(unsigned lower, const char *upper, int vlan, char *instance_id, char *guid)
{
    struct umn_vm_desc desc = {
        .service = "mux", .lower_guid = made[lower].guid, .vlan = vlan, .upper = upper};
    int e = umn__netcfg_add_vm(&desc, instance_id, guid);
    if (e)
        conf_fail(__FILE__, __LINE__, "vm: %s", umn_last_error());
}

struct nic *nic_by_guid(const char *guid)
{
    for (unsigned i = nic_high_water; i-- > 0;)
        if (nics[i].used && !nics[i].halted && !strcasecmp(nics[i].guid, guid))
            return &nics[i];
    return NULL;
}

struct state_query {
    const char *guid, *protocol;
    char answer[32];
};

static bool state_visit(void *arg, const struct umn_adapter_info *a)
{
    struct state_query *q = arg;
    if (!strcasestr(a->name, q->guid))
        return true;
    if (!q->protocol)
        snprintf(q->answer, sizeof q->answer, "%s", a->state);
    for (unsigned i = 0; q->protocol && i < a->bindings; i++)
        if (!strcmp(a->binding[i].protocol, q->protocol))
            snprintf(q->answer, sizeof q->answer, "%s", a->binding[i].state);
    return false;
}

static const char *state(const char *guid, const char *protocol)
{
    static char answer[32];
    struct state_query q = {.guid = guid, .protocol = protocol};
    umn__ndis_adapters(state_visit, &q);
    memcpy(answer, q.answer, sizeof answer);
    return answer;
}
const char *adapter_state(const char *guid)
{
    return state(guid, NULL);
}
const char *binding_state(const char *guid, const char *protocol)
{
    return state(guid, protocol);
}

void settle(unsigned ms)
{
    LARGE_INTEGER due = {.QuadPart = -10000ll * (ms ? ms : 1)};
    KeDelayExecutionThread(KernelMode, FALSE, &due);
}

struct umn_ctx *in_thread(void (*fn)(void *), void *arg)
{
    struct umn_ctx *ctx = NULL;
    if (umn__ctx_spawn(&ctx, fn, arg, "test"))
        conf_fail(__FILE__, __LINE__, "in_thread: out of memory");
    return ctx;
}

void at_dispatch(void (*fn)(void *), void *arg)
{
    uint8_t old = umn__irql_raise(UMN_DISPATCH);
    fn(arg);
    umn__irql_lower(old);
}

uint32_t frame(uint8_t *buf, const uint8_t *to, const uint8_t *from, uint16_t type)
{
    memset(buf, 0, 60);
    memcpy(buf, to, 6);
    memcpy(buf + 6, from, 6);
    buf[12] = (uint8_t)(type >> 8);
    buf[13] = (uint8_t)type;
    return 60;
}

NET_BUFFER_LIST *world_make_frame(NDIS_HANDLE pool, const void *data, uint32_t length)
{
    NET_BUFFER_LIST *nbl = NdisAllocateNetBufferList(pool, 0, 0);
    if (!nbl)
        return NULL;
    NET_BUFFER *nb = NET_BUFFER_LIST_FIRST_NB(nbl);
    if (NdisRetreatNetBufferDataStart(nb, length, 0, NULL) != NDIS_STATUS_SUCCESS) {
        NdisFreeNetBufferList(nbl);
        return NULL;
    }
    void *to = NdisGetDataBuffer(nb, length, NULL, 1, 0);
    if (!to) {
        world_free_frame(nbl);
        return NULL;
    }
    memcpy(to, data, length);
    return nbl;
}

void world_free_frame(NET_BUFFER_LIST *nbl)
{
    NET_BUFFER *nb = NET_BUFFER_LIST_FIRST_NB(nbl);
    NdisAdvanceNetBufferDataStart(nb, NET_BUFFER_DATA_LENGTH(nb), TRUE, NULL);
    NdisFreeNetBufferList(nbl);
}

uint32_t world_copy_frame(NET_BUFFER *nb, uint8_t *to, uint32_t max)
{
    uint32_t length = NET_BUFFER_DATA_LENGTH(nb), n = length < max ? length : max;
    uint8_t storage[128];
    uint8_t *from = n ? NdisGetDataBuffer(nb, n, storage, 1, 0) : NULL;
    if (from)
        memcpy(to, from, n);
    return length;
}

void world_append(NET_BUFFER_LIST **head, NET_BUFFER_LIST **tail, NET_BUFFER_LIST *chain)
{
    if (*head)
        NET_BUFFER_LIST_NEXT_NBL(*tail) = chain;
    else
        *head = chain;
    while (NET_BUFFER_LIST_NEXT_NBL(chain))
        chain = NET_BUFFER_LIST_NEXT_NBL(chain);
    *tail = chain;
}

void world_service_of(PUNICODE_STRING path, char *out)
{
    unsigned n = path->Length / 2, at = n, k = 0;
    while (at > 0 && path->Buffer[at - 1] != '\\')
        at--;
    while (at < n && k < 15)
        out[k++] = (char)path->Buffer[at++];
    out[k] = 0;
}
