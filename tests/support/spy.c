/* SPDX-License-Identifier: MIT */
/*
 * The spy of spy.h. Imports: the slots of the loaded image that the dynamic linker filled. Entry
 * points: the library's own copies of the characteristics. Nothing is locked: explore only.
 */
#include "spy.h"
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <sys/mman.h>
#include "image/image.h"
#include "ndis/internal.h"

struct spy spy;
static NDIS_MINIPORT_DRIVER_CHARACTERISTICS miniport;
static NDIS_PROTOCOL_DRIVER_CHARACTERISTICS protocol;
static uint32_t bind_ctx;

static const char *text_of(const NDIS_STRING *name, char *out)
{
    unsigned n = name ? name->Length / 2u : 0;
    for (unsigned i = 0; i < n && i < 79; i++)
        out[i] = (char)name->Buffer[i];
    out[n < 79 ? n : 79] = 0;
    return out;
}

static uint32_t self_id(void)
{
    return umn__ctx_self() ? umn__ctx_id(umn__ctx_self()) : 0;
}

static const char *name_of(NDIS_HANDLE handle)
{
    return ndis__kind(handle) == NDIS_KIND_ADAPTER ? ((struct ndis_adapter *)handle)->name : "?";
}

static const char *name_of_context(NDIS_HANDLE context)
{
    /* Newest first: with thousands of them it is the newest that comes and goes. */
    for (struct umn_list *at = ndis.adapters.prev; at != &ndis.adapters; at = at->prev) {
        struct ndis_adapter *a = umn_container_of(at, struct ndis_adapter, link);
        if (a->context == context)
            return a->name;
    }
    return "?";
}

/* ---- imports
 * ------------------------------------------------------------------------------------- */
static NDIS_STATUS NTAPI SpyRequest(NDIS_HANDLE driver, PNDIS_STRING name, NDIS_HANDLE context)
{
    struct spy_request *r = &spy.request[spy.requests < SPY_MAX ? spy.requests : SPY_MAX - 1];
    char text[80];
    spy.requests++;
    spy.locked += umn__locks_held() != 0;
    r->driver = driver;
    r->length = name->Length;
    memcpy(r->name, name->Buffer, name->Length < sizeof r->name ? name->Length : sizeof r->name);
    r->context = context;
    r->ctx = self_id();
    r->bind_ctx = bind_ctx;
    r->locks = umn__locks_held();
    log_event("mux.request %s", text_of(name, text));
    NDIS_STATUS status = NdisIMInitializeDeviceInstanceEx(driver, name, context);
    r->status = status;
    log_event("mux.request.end %s %08x", text, (unsigned)status);
    return status;
}

static NDIS_STATUS NTAPI SpyCancel(NDIS_HANDLE driver, PNDIS_STRING name)
{
    char text[80];
    spy.cancels++;
    spy.locked += umn__locks_held() != 0;
    text_of(name, text);
    NDIS_STATUS status = NdisIMCancelInitializeDeviceInstance(driver, name);
    log_event("mux.cancel %s %08x", text, (unsigned)status);
    return status;
}

static NDIS_STATUS NTAPI SpyDeinit(NDIS_HANDLE handle)
{
    char name[80];
    spy.deinits++;
    spy.locked += umn__locks_held() != 0;
    snprintf(name, sizeof name, "%s", name_of(handle));
    log_event("mux.deinit %s", name);
    NDIS_STATUS status = NdisIMDeInitializeDeviceInstance(handle);
    log_event("mux.deinit.end %s %08x", name, (unsigned)status);
    return status;
}

static VOID NTAPI SpyReEnumerate(NDIS_HANDLE handle)
{
    spy.locked += umn__locks_held() != 0;
    log_event("mux.reenumerate");
    NdisReEnumerateProtocolBindings(handle);
}

static NDIS_STATUS NTAPI SpyAttributes(NDIS_HANDLE handle, PNDIS_MINIPORT_ADAPTER_ATTRIBUTES a)
{
    NDIS_STATUS status = NdisMSetMiniportAttributes(handle, a);
    log_event("mux.attributes %s %02x %08x", name_of(handle), ((NDIS_OBJECT_HEADER *)a)->Type,
              (unsigned)status);
    return status;
}

/* The end of an open that spy.pended_open made pend. */
static void open_complete(void *context)
{
    protocol.OpenAdapterCompleteHandlerEx(context, spy.pended_open);
}

static NDIS_STATUS NTAPI SpyOpen(NDIS_HANDLE driver, NDIS_HANDLE context, PNDIS_OPEN_PARAMETERS p,
                                 NDIS_HANDLE bind, PNDIS_HANDLE out)
{
    char text[80];
    spy.opens++;
    spy.locked += umn__locks_held() != 0;
    log_event("mux.open %s", text_of(p->AdapterName, text));
    NDIS_STATUS status = spy.fail_open;
    if (spy.pended_open != NDIS_STATUS_SUCCESS)
        status = umn__ctx_spawn(NULL, open_complete, context, "open") ? NDIS_STATUS_RESOURCES
                                                                      : NDIS_STATUS_PENDING;
    else if (status == NDIS_STATUS_SUCCESS)
        status = NdisOpenAdapterEx(driver, context, p, bind, out);
    log_event("mux.open.end %s %08x", text, (unsigned)status);
    return status;
}

static NDIS_STATUS NTAPI SpyClose(NDIS_HANDLE handle)
{
    struct ndis_binding *b = handle;
    void *context = b->context;
    spy.closes++;
    spy.locked += umn__locks_held() != 0;
    spy.close_ctx = self_id();
    log_event("mux.close filter %x multicast %u in %s", b->packet_filter, b->multicast_count,
              b->adapter->name);
    if (spy.before_close)
        spy.before_close(handle, context);
    NDIS_STATUS status = NdisCloseAdapterEx(handle);
    if (spy.on_close)
        spy.on_close(handle, context);
    log_event("mux.close.end %08x", (unsigned)status);
    return status;
}

static NDIS_STATUS NTAPI SpyOid(NDIS_HANDLE handle, PNDIS_OID_REQUEST r)
{
    spy.oids++;
    spy.locked += umn__locks_held() != 0;
    if (r->RequestType == NdisRequestQueryInformation)
        spy.queries++;
    log_event("mux.oid %d %08x", (int)r->RequestType, r->DATA.QUERY_INFORMATION.Oid);
    return NdisOidRequest(handle, r);
}

static VOID NTAPI SpyBindDone(NDIS_HANDLE context, NDIS_STATUS status)
{
    spy.completes++;
    log_event("mux.complete bind %08x", (unsigned)status);
    NdisCompleteBindAdapterEx(context, status);
}

static VOID NTAPI SpyUnbindDone(NDIS_HANDLE context)
{
    spy.completes++;
    log_event("mux.complete unbind");
    NdisCompleteUnbindAdapterEx(context);
}

#define SPY_NEEDED 6 /* imports that the MUX cannot do without; the others it may not use */
static const struct {
    const char *name;
    void *with;
} imports[] = {
    {"NdisIMInitializeDeviceInstanceEx", SpyRequest},
    {"NdisIMCancelInitializeDeviceInstance", SpyCancel},
    {"NdisIMDeInitializeDeviceInstance", SpyDeinit},
    {"NdisReEnumerateProtocolBindings", SpyReEnumerate},
    {"NdisMSetMiniportAttributes", SpyAttributes},
    {"NdisOpenAdapterEx", SpyOpen},
    {"NdisCloseAdapterEx", SpyClose},
    {"NdisOidRequest", SpyOid},
    {"NdisCompleteBindAdapterEx", SpyBindDone},
    {"NdisCompleteUnbindAdapterEx", SpyUnbindDone},
};

static unsigned patch_table(uintptr_t base, const Elf64_Rela *r, size_t count,
                            const Elf64_Sym *symbols, const char *strings)
{
    unsigned done = 0;
    for (; count--; r++) {
        unsigned type = ELF64_R_TYPE(r->r_info);
        if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT)
            continue;
        const char *name = strings + symbols[ELF64_R_SYM(r->r_info)].st_name;
        for (unsigned i = 0; i < sizeof imports / sizeof imports[0]; i++) {
            if (strcmp(name, imports[i].name))
                continue;
            void **slot = (void **)(base + r->r_offset);
            uintptr_t page = (uintptr_t)slot & ~(uintptr_t)4095;
            mprotect((void *)page, 8192, PROT_READ | PROT_WRITE);
            *slot = imports[i].with;
            done++;
        }
    }
    return done;
}

static uintptr_t address(uintptr_t base, uintptr_t value)
{
    return value < base ? base + value : value;
}

static int patch_image(struct dl_phdr_info *info, size_t size, void *arg)
{
    const struct umn_image *image = umn__driver_image(umn__driver_find("mux"));
    const Elf64_Dyn *d = NULL;
    for (unsigned i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            d = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    if (!d || !umn__image_contains(image, d))
        return 0;
    const Elf64_Rela *rela = NULL, *plt = NULL;
    const Elf64_Sym *symbols = NULL;
    const char *strings = NULL;
    size_t rela_size = 0, plt_size = 0;
    for (; d->d_tag != DT_NULL; d++) {
        uintptr_t at = address(info->dlpi_addr, d->d_un.d_ptr);
        if (d->d_tag == DT_RELA)
            rela = (const void *)at;
        else if (d->d_tag == DT_RELASZ)
            rela_size = d->d_un.d_val;
        else if (d->d_tag == DT_JMPREL)
            plt = (const void *)at;
        else if (d->d_tag == DT_PLTRELSZ)
            plt_size = d->d_un.d_val;
        else if (d->d_tag == DT_SYMTAB)
            symbols = (const void *)at;
        else if (d->d_tag == DT_STRTAB)
            strings = (const void *)at;
    }
    if (rela)
        *(unsigned *)arg +=
            patch_table(info->dlpi_addr, rela, rela_size / sizeof *rela, symbols, strings);
    if (plt)
        *(unsigned *)arg +=
            patch_table(info->dlpi_addr, plt, plt_size / sizeof *plt, symbols, strings);
    return 1;
}

/* ---- entry points
 * ---------------------------------------------------------------------------------- */
static NDIS_STATUS NTAPI SpyBind(NDIS_HANDLE context, NDIS_HANDLE bind, PNDIS_BIND_PARAMETERS p)
{
    char text[80];
    uint32_t before = bind_ctx;
    bind_ctx = self_id();
    log_event("mux.bind %s", text_of(p->AdapterName, text));
    NDIS_STATUS status = protocol.BindAdapterHandlerEx(context, bind, p);
    bind_ctx = before;
    log_event("mux.bind.end %s %08x", text, (unsigned)status);
    return status;
}

static NDIS_STATUS NTAPI SpyUnbind(NDIS_HANDLE unbind, NDIS_HANDLE context)
{
    const struct ndis_binding *b = umn_container_of(unbind, struct ndis_binding, unbind);
    char name[80];
    snprintf(name, sizeof name, "%s", b->adapter->name);
    log_event("mux.unbind %s", name);
    spy.unbind_ctx = self_id();
    NDIS_STATUS status = protocol.UnbindAdapterHandlerEx(unbind, context);
    log_event("mux.unbind.end %s %08x", name, (unsigned)status);
    return status;
}

static NDIS_STATUS NTAPI SpyEvent(NDIS_HANDLE context, PNET_PNP_EVENT_NOTIFICATION n)
{
    int code = (int)n->NetPnPEvent.NetEvent;
    log_event("mux.event %d %s", code, context ? "binding" : "all");
    NDIS_STATUS status = protocol.NetPnPEventHandler(context, n);
    log_event("mux.event.end %d %08x", code, (unsigned)status);
    return status;
}

static NDIS_STATUS NTAPI SpyInitialize(NDIS_HANDLE handle, NDIS_HANDLE context,
                                       PNDIS_MINIPORT_INIT_PARAMETERS p)
{
    bool before = plat_alloc_failed();
    log_event("mux.init %s", name_of(handle));
    NDIS_STATUS status = miniport.InitializeHandlerEx(handle, context, p);
    spy.failed_inits += !before && plat_alloc_failed();
    log_event("mux.init.end %s %08x", name_of(handle), (unsigned)status);
    return status;
}

static VOID NTAPI SpyHalt(NDIS_HANDLE context, NDIS_HALT_ACTION action)
{
    log_event("mux.halt %s action %d", name_of_context(context), (int)action);
    miniport.HaltHandlerEx(context, action);
}

static NDIS_STATUS NTAPI SpyPause(NDIS_HANDLE context, PNDIS_MINIPORT_PAUSE_PARAMETERS p)
{
    char name[80];
    snprintf(name, sizeof name, "%s", name_of_context(context));
    log_event("mux.pause %s irql %u", name, umn__irql());
    if (spy.in_pause)
        spy.in_pause();
    NDIS_STATUS status = miniport.PauseHandler(context, p);
    if (spy.after_pause)
        spy.after_pause(status);
    log_event("mux.pause.end %s %08x", name, (unsigned)status);
    return status;
}

static NDIS_STATUS NTAPI SpyRestart(NDIS_HANDLE context, PNDIS_MINIPORT_RESTART_PARAMETERS p)
{
    char name[80];
    NDIS_MINIPORT_RESTART_PARAMETERS bare = *p;
    bare.RestartAttributes = NULL;
    snprintf(name, sizeof name, "%s", name_of_context(context));
    log_event("mux.restart %s irql %u", name, umn__irql());
    NDIS_STATUS status = miniport.RestartHandler(context, spy.no_attributes ? &bare : p);
    log_event("mux.restart.end %s %08x", name, (unsigned)status);
    return status;
}

static VOID NTAPI SpyShutdown(NDIS_HANDLE context, NDIS_SHUTDOWN_ACTION action)
{
    log_event("mux.shutdown %s action %d irql %u", name_of_context(context), (int)action,
              umn__irql());
    miniport.ShutdownHandlerEx(context, action);
}

static VOID NTAPI SpyStatus(NDIS_HANDLE context, PNDIS_STATUS_INDICATION s)
{
    log_event("mux.status %08x", (unsigned)s->StatusCode);
    protocol.StatusHandlerEx(context, s);
}

static VOID NTAPI SpyDevicePnp(NDIS_HANDLE context, PNET_DEVICE_PNP_EVENT event)
{
    log_event("mux.pnp %s %d", name_of_context(context), (int)event->DevicePnPEvent);
    miniport.DevicePnPEventNotifyHandler(context, event);
}

void spy_mux(void)
{
    unsigned patched = 0;
    struct ndis_mdriver *d = NULL;
    struct ndis_protocol *p = NULL;
    memset(&spy, 0, offsetof(struct spy, request));
    spy.fail_open = NDIS_STATUS_SUCCESS;
    bind_ctx = 0;
    umn_list_for_each (at, &ndis.mdrivers) {
        struct ndis_mdriver *x = umn_container_of(at, struct ndis_mdriver, link);
        if (!strcmp(x->service, "mux"))
            d = x;
    }
    umn_list_for_each (at, &ndis.protocols) {
        struct ndis_protocol *x = umn_container_of(at, struct ndis_protocol, link);
        if (!strcmp(x->service, "mux"))
            p = x;
    }
    if (d && p)
        dl_iterate_phdr(patch_image, &patched);
    if (patched < SPY_NEEDED) {
        conf_fail(__FILE__, __LINE__, "spy_mux: %u imports found", patched);
        return;
    }
    miniport = d->chars;
    protocol = p->chars;
    d->chars.InitializeHandlerEx = SpyInitialize;
    d->chars.HaltHandlerEx = SpyHalt;
    d->chars.DevicePnPEventNotifyHandler = SpyDevicePnp;
    d->chars.PauseHandler = SpyPause;
    d->chars.RestartHandler = SpyRestart;
    d->chars.ShutdownHandlerEx = SpyShutdown;
    p->chars.StatusHandlerEx = SpyStatus;
    p->chars.BindAdapterHandlerEx = SpyBind;
    p->chars.UnbindAdapterHandlerEx = SpyUnbind;
    p->chars.NetPnPEventHandler = SpyEvent;
}

/* ---- devices
 * ------------------------------------------------------------------------------------------ */
void vm_create(struct vmdev *v, const char *service)
{
    memset(v, 0, sizeof *v);
    world_vm_device(service, v->id, v->guid);
    snprintf(v->name, sizeof v->name, "\\Device\\%s", v->guid);
}

void vm_list_text(const char *service, unsigned lower, char *const *names, unsigned count)
{
    char key[192];
    snprintf(key, sizeof key, UMN_KEY_SERVICES "\\%s\\Parameters\\Adapters\\%s", service,
             world_nic_guid(lower));
    int e = umn__reg_set_multi(key, "UpperBindings", names, count);
    if (e)
        conf_fail(__FILE__, __LINE__, "UpperBindings: %s", umn_last_error());
}

void vm_list(const char *service, unsigned lower, const struct vmdev *v, unsigned count)
{
    static char *names[SPY_MAX];
    for (unsigned i = 0; i < count && i < SPY_MAX; i++)
        names[i] = (char *)v[i].name;
    vm_list_text(service, lower, names, count);
}

static bool count_one(void *arg, const char *device, const char *service)
{
    ++*(unsigned *)arg;
    return true;
}

unsigned vm_pending(void)
{
    unsigned n = 0;
    umn__ndis_im_requests(count_one, &n);
    return n;
}

int log_last(const char *prefix)
{
    int n = log_count(prefix);
    return n ? log_find(prefix, n - 1) : -1;
}
