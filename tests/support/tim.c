/* SPDX-License-Identifier: MIT */
/*
 * The scripted intermediate driver of world.h: both edges registered and associated; what its bind
 * asks for is the test's business. Virtual miniports are nics[] entries with .im set.
 */
#include "world_private.h"
#include <stdio.h>

struct im_script im_script;
struct im_driver ims[IM_MAX];

/* Names asked for and not withdrawn: a well-behaved driver cancels them before it goes. */
static struct {
    unsigned im;
    char name[80];
} asked[WORLD_VMS];
static unsigned asked_count;

void im_world_reset(void)
{
    memset(&im_script, 0, sizeof im_script);
    memset(ims, 0, sizeof ims);
    asked_count = 0;
}

static void forget(unsigned im, const char *name)
{
    for (unsigned i = asked_count; i-- > 0;)
        if (asked[i].im == im && !strcmp(asked[i].name, name)) {
            asked[i] = asked[--asked_count];
            return;
        }
}

static struct im_driver *im_of(const char *service)
{
    return &ims[service[3] - '0'];
}

static void NTAPI ImUnload(PDRIVER_OBJECT driver)
{
    struct im_driver *im = im_of(umn__driver_service(driver));
    unsigned number = (unsigned)(im - ims);
    log_event("%s.unload", im->service);
    for (unsigned i = asked_count; i-- > 0;) {
        char name[80];
        memcpy(name, asked[i].name, sizeof name);
        if (asked[i].im == number)
            im_cancel(number, name);
    }
    if (im->protocol)
        NdisDeregisterProtocolDriver(im->protocol);
    NdisMDeregisterMiniportDriver(im->miniport);
    struct proto *p = proto_find(im->service);
    if (p)
        p->used = false;
    im->used = false;
}

static NDIS_STATUS register_edges(struct im_driver *im, PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS c;
    nic_characteristics(&c);
    c.UnloadHandler = ImUnload;
    c.Flags = im_script.no_intermediate_flag ? 0 : NDIS_INTERMEDIATE_DRIVER;
    if (im_script.characteristics)
        im_script.characteristics(&c);
    NDIS_STATUS status = NdisMRegisterMiniportDriver(driver, path, im, &c, &im->miniport);
    if (status != NDIS_STATUS_SUCCESS)
        return status;
    struct proto *p = proto_find(im->service);
    if (!p) {
        NdisMDeregisterMiniportDriver(im->miniport);
        return NDIS_STATUS_RESOURCES;
    }
    proto_register(p, im->service, driver);
    im->protocol = p->handle;
    if (p->register_status != NDIS_STATUS_SUCCESS) {
        p->used = false;
        NdisMDeregisterMiniportDriver(im->miniport);
        return p->register_status;
    }
    if (!im_script.skip_associate)
        NdisIMAssociateMiniport(im->miniport, im->protocol);
    return NDIS_STATUS_SUCCESS;
}

NTSTATUS NTAPI ImEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    char service[16];
    world_service_of(path, service);
    struct im_driver *im = im_of(service);
    memset(im, 0, sizeof *im);
    im->used = true;
    snprintf(im->service, sizeof im->service, "%s", service);
    log_event("%s.entry", service);
    im->register_status = register_edges(im, driver, path);
    if (im->register_status == NDIS_STATUS_SUCCESS && im_script.entry_status) {
        NdisDeregisterProtocolDriver(im->protocol);
        NdisMDeregisterMiniportDriver(im->miniport);
        proto_find(service)->used = false;
        im->register_status = im_script.entry_status;
    }
    if (im->register_status == NDIS_STATUS_SUCCESS && im_script.request_in_entry)
        im_request((unsigned)(im - ims), im_script.request_in_entry, NULL);
    if (im->register_status == NDIS_STATUS_SUCCESS && im_script.after_register)
        im_script.after_register(proto_find(service));
    log_event("%s.entry.end", service);
    if (im->register_status != NDIS_STATUS_SUCCESS)
        im->used = false;
    return im->register_status;
}

static void device_name(const char *name, WCHAR *out, NDIS_STRING *string)
{
    size_t n = strlen(name);
    for (size_t i = 0; i <= n; i++)
        out[i] = (WCHAR)(unsigned char)name[i];
    RtlInitUnicodeString(string, out);
}

NDIS_STATUS im_request(unsigned im, const char *name, void *context)
{
    WCHAR text[128];
    NDIS_STRING string;
    device_name(name, text, &string);
    log_event("tim%u.request %s", im, name);
    NDIS_STATUS status = NdisIMInitializeDeviceInstanceEx(ims[im].miniport, &string, context);
    log_event("tim%u.request.end %s %08x", im, name, (unsigned)status);
    if (status == NDIS_STATUS_SUCCESS && asked_count < WORLD_VMS) {
        asked[asked_count].im = im;
        snprintf(asked[asked_count++].name, sizeof asked[0].name, "%s", name);
    }
    return status;
}

NDIS_STATUS im_cancel(unsigned im, const char *name)
{
    WCHAR text[128];
    NDIS_STRING string;
    device_name(name, text, &string);
    NDIS_STATUS status = NdisIMCancelInitializeDeviceInstance(ims[im].miniport, &string);
    log_event("tim%u.cancel %s %08x", im, name, (unsigned)status);
    forget(im, name);
    return status;
}

NDIS_STATUS im_deinitialize(struct nic *vm)
{
    log_event("nic%u.deinit", vm->index);
    NDIS_STATUS status = NdisIMDeInitializeDeviceInstance(vm->handle);
    log_event("nic%u.deinit.end %08x", vm->index, (unsigned)status);
    return status;
}
