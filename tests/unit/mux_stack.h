/* SPDX-License-Identifier: MIT */
/* The stack of the MUX's tests: virtual miniports of the real MUX over a scripted NIC, tproto0 on
 * each. */
#ifndef MUX_STACK_H
#define MUX_STACK_H

#include <stdio.h>
#include "spy.h"
#include "world_private.h"

#define VMS 4
static struct {
    char id[64], guid[64];
    uint8_t mac[6];
    struct bnd *b;
} vm[VMS];

static inline void find_vm(unsigned i)
{
    vm[i].b = proto_on(0, vm[i].guid);
    if (!vm[i].b)
        conf_fail(__FILE__, __LINE__, "vm%u has no upper binding", i);
    else
        memcpy(vm[i].mac, vm[i].b->params.CurrentMacAddress, 6);
}

/* `count` virtual miniports over nic 0 with tproto0 above, running. */
static inline struct nic *stack_of(unsigned count, const int *vlan, const char *const *mode)
{
    world_proto(0);
    struct nic *n = world_nic(true);
    world_mux();
    if (!conf_failed())
        world_bind("mux", world_nic_guid(0));
    for (unsigned i = 0; i < count && !conf_failed(); i++) {
        struct umn_vm_desc d = {.service = "mux",
                                .lower_guid = world_nic_guid(0),
                                .vlan = vlan ? vlan[i] : 0,
                                .mode = mode ? mode[i] : NULL,
                                .upper = "tproto0"};
        if (umn__netcfg_add_vm(&d, vm[i].id, vm[i].guid)) {
            conf_fail(__FILE__, __LINE__, "vm: %s", umn_last_error());
            return NULL;
        }
        settle(10);
        if (strcmp(adapter_state(vm[i].guid), "Running"))
            conf_fail(__FILE__, __LINE__, "vm%u is %s", i, adapter_state(vm[i].guid));
        else
            find_vm(i);
    }
    return conf_failed() ? NULL : n;
}

static inline bool wire_to(struct nic *n, const uint8_t *to, const uint8_t *from, unsigned count)
{
    uint8_t f[60];
    return n->running && nic_indicate(n, f, frame(f, to, from, 0x0800), count, 0);
}
static inline bool vm_to(unsigned i, const uint8_t *to, unsigned count)
{
    uint8_t f[60];
    return vm[i].b->running && proto_send(vm[i].b, f, frame(f, to, vm[i].mac, 0x0800), count);
}

#endif
