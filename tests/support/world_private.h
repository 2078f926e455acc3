/* SPDX-License-Identifier: MIT */
/* Shared by the files of the scripted world only. */
#ifndef WORLD_PRIVATE_H
#define WORLD_PRIVATE_H

#include "world.h"

DRIVER_INITIALIZE NicEntry, ProtoEntry, ImEntry;
void nic_characteristics(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *c);
/* Fills and registers protos[] entry `p` for `service`; sets p->register_status. */
void proto_register(struct proto *p, const char *service, PDRIVER_OBJECT driver);
struct proto *proto_find(const char *service); /* existing or new entry, NULL when full */
extern unsigned nic_high_water;                /* entries of nics[] ever used since world_reset */
void im_world_reset(void);

/* NBLs with one NB that holds a copy of a frame in pool data; SourceHandle unset. */
NET_BUFFER_LIST *world_make_frame(NDIS_HANDLE pool, const void *data, uint32_t length);
void world_free_frame(NET_BUFFER_LIST *nbl);
uint32_t world_copy_frame(NET_BUFFER *nb, uint8_t *to, uint32_t max); /* returns the full length */
void world_append(NET_BUFFER_LIST **head, NET_BUFFER_LIST **tail, NET_BUFFER_LIST *chain);
/* Service name at the end of a registry path, into out[16]. */
void world_service_of(PUNICODE_STRING path, char *out);

#endif
