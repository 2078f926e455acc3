/* SPDX-License-Identifier: MIT */
/*
 * New virtual miniports: keys of many in one transaction, then the driver is told once and the
 * devices are started. Everything is checked before anything is written, against one scan of what
 * exists. No lock of its own; the registry transaction covers check and write. PASSIVE_LEVEL.
 *
 * The driver key of a virtual miniport: HostName (what Linux shows), NetworkAddress (12 hex
 * digits), VlanId ("0".."4094"), MuxMode, LowerAdapter ({GUID}), and the settings given.
 */
#include "config/internal.h"

#include <stdio.h>
#include <string.h>
#include "check/check.h"
#include "config/nameset.h"
#include "ndis/host.h"
#include "plat/plat.h"

#define HOST_NAME_MAX_LENGTH 15 /* IFNAMSIZ - 1 of linux/if.h */

struct vm {
    const struct umn_vm_desc *desc;
    char id[CFG_ID_MAX], guid[CFG_ID_MAX];
    char name[HOST_NAME_MAX_LENGTH + 1];
    char address[13]; /* "" = the driver's choice */
    struct cfg_device *claim;
    bool started;
};

struct batch {
    struct vm *vm;
    size_t count;
    struct cfg_names taken; /* "n<name>", "a<component>/<lower>/<vlan>/<address>" */
    struct cfg_lists lists;
    bool committed;
};

/* ---- checks ---------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "02:00:00:00:00:01", with '-', or 12 digits; to 12 upper-case digits. */
static int parse_mac(const char *mac, char address[13])
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned n = 0, first = 0, any = 0;

    for (const char *p = mac; *p; p++) {
        int digit = hex_digit(*p);

        if ((*p == ':' || *p == '-') && n && n < 12 && n % 2 == 0 && hex_digit(p[1]) >= 0 &&
            (p[-1] != ':' && p[-1] != '-'))
            continue;
        if (digit < 0 || n == 12)
            return umn__refuse(UMN_EINVAL, "MAC address \"%.40s\": expected 02:11:22:33:44:55",
                               mac);
        if (n < 2)
            first = first * 16 + (unsigned)digit;
        any |= (unsigned)digit;
        address[n++] = digits[digit];
    }
    address[n] = 0;
    if (n != 12)
        return umn__refuse(UMN_EINVAL, "MAC address \"%.40s\": expected 02:11:22:33:44:55", mac);
    if (first & 1)
        return umn__refuse(UMN_EINVAL,
                           "MAC address %s: a multicast address (lowest bit of the first byte), "
                           "a unicast one is expected",
                           mac);
    if (!any)
        return umn__refuse(UMN_EINVAL, "MAC address %s: all zero", mac);
    return 0;
}

static int check_name(const char *name)
{
    size_t length = strlen(name);
    bool ok = length > 0 && length <= HOST_NAME_MAX_LENGTH && strcmp(name, ".") != 0 &&
              strcmp(name, "..") != 0;

    for (size_t i = 0; i < length; i++)
        ok = ok && (unsigned char)name[i] > ' ' && name[i] != 0x7f && !strchr("/\\:%", name[i]);
    if (!ok)
        return umn__refuse(
            UMN_EINVAL,
            "virtual miniport name \"%.40s\": 1 to %d characters without space, '/', "
            "'\\', ':' or '%%' expected (it becomes a Linux interface name)",
            name, HOST_NAME_MAX_LENGTH);
    return 0;
}

static int check_mode(const char *mode)
{
    if (!mode || strcmp(mode, "bridge") == 0 || strcmp(mode, "private") == 0 ||
        strcmp(mode, "vepa") == 0)
        return 0;
    return umn__refuse(UMN_EINVAL, "mode \"%.40s\": expected bridge, private or vepa", mode);
}

static int check_one(struct vm *vm)
{
    const struct umn_vm_desc *desc = vm->desc;
    char lower_id[CFG_ID_MAX];
    int error = cfg__need_service(desc->service, "i", "virtual miniport");

    if (!error && !desc->lower_guid)
        error = umn__refuse(UMN_EINVAL, "virtual miniport: no lower adapter given");
    if (!error)
        error = umn__pnp_find_guid(desc->lower_guid, lower_id);
    if (!error && (desc->vlan < 0 || desc->vlan > 4094))
        error = umn__refuse(UMN_EINVAL, "VLAN %d: 0 (untagged) to 4094 expected", desc->vlan);
    if (!error)
        error = check_mode(desc->mode);
    if (!error && desc->mac)
        error = parse_mac(desc->mac, vm->address);
    if (!error && desc->name)
        error = check_name(desc->name);
    if (!error && desc->upper)
        error = cfg__need_service(desc->upper, "pi", "virtual miniport: protocol above");
    if (!error && desc->upper && umn__stricmp(desc->upper, desc->service) == 0)
        error = umn__refuse(UMN_EINVAL,
                            "virtual miniport: %s cannot be above its own virtual "
                            "miniport (IM-NOT-12)",
                            desc->service);
    return error ? error : cfg__check_settings(desc->settings, desc->count);
}

/* ---- what exists ----------------------------------------------------------------------------- */

static int address_word(char word[256], const char *service, const char *lower, const char *vlan,
                        const char *address)
{
    return cfg__format(word, 256, "aroot\\umn_%s_vm/%s/%s/%s", service, lower, vlan, address);
}

/* The same from a driver key, whose ComponentId stands for the service. NULL: it takes none. */
static char *address_of(const char *key, int *error)
{
    static const char *const names[] = {"ComponentId", "LowerAdapter", "VlanID", "NetworkAddress"};
    char *text[4] = {0}, *word = NULL;
    unsigned n = 0;

    for (; n < 4 && (text[n] = cfg__setting_text(key, names[n], error)); n++)
        ;
    if (n == 4) {
        word = plat_asprintf("a%s/%s/%s/%s", text[0], text[1], text[2], text[3]);
        *error = word ? 0 : UMN_ENOMEM;
    }
    while (n-- > 0)
        plat_free(text[n]);
    return word;
}

/* The name and the address that the device of one driver key takes. */
static int scan_driver_key(struct cfg_names *taken, const char *key)
{
    char *name, *word = NULL, *address;
    int error;

    name = cfg__setting_text(key, "HostName", &error);
    if (name) {
        word = plat_asprintf("n%s", name);
        error = word ? cfg__names_add(taken, word, NULL) : UMN_ENOMEM;
    }
    plat_free(word);
    plat_free(name);
    if (error)
        return error;
    address = address_of(key, &error);
    if (address)
        error = cfg__names_add(taken, address, NULL);
    plat_free(address);
    return error;
}

static int scan(struct cfg_names *taken)
{
    char **numbers;
    size_t count;
    int error = umn__reg_subkeys(UMN_KEY_CLASS_NET, &numbers, &count);

    if (error)
        return error == UMN_ENOENT ? 0 : error;
    for (size_t i = 0; i < count && !error; i++) {
        char key[CFG_KEY_MAX];

        if (cfg__format(key, sizeof key, UMN_KEY_CLASS_NET "\\%s", numbers[i]) == 0)
            error = scan_driver_key(taken, key);
    }
    plat_free(numbers);
    return error;
}

/* Takes the name and the address, or refuses. */
static int take(struct batch *b, struct vm *vm)
{
    const struct umn_vm_desc *desc = vm->desc;
    char word[256], vlan[16];
    bool there = false;
    int error = 0;

    if (desc->name) {
        snprintf(vm->name, sizeof vm->name, "%s", desc->name);
        snprintf(word, sizeof word, "n%s", desc->name);
        error = cfg__names_add(&b->taken, word, &there);
        if (there)
            return umn__refuse(UMN_EEXIST, "virtual miniport %s: a device with that name exists",
                               desc->name);
    }
    if (error || !*vm->address)
        return error;
    snprintf(vlan, sizeof vlan, "%d", desc->vlan);
    error = address_word(word, desc->service, desc->lower_guid, vlan, vm->address);
    if (!error)
        error = cfg__names_add(&b->taken, word, &there);
    if (there)
        return umn__refuse(UMN_EEXIST,
                           "virtual miniport %s: MAC address %s is used by another one over the "
                           "same adapter and VLAN",
                           desc->name ? desc->name : "", desc->mac);
    return error;
}

/* Names for those that brought none, after all that did have taken theirs. */
static int make_names(struct batch *b)
{
    unsigned n = 0;

    for (size_t i = 0; i < b->count; i++) {
        struct vm *vm = &b->vm[i];
        bool there = !*vm->name;

        while (there) {
            char word[sizeof vm->name + 1];
            int error;

            if (n > 9999999)
                return umn__refuse(UMN_EEXIST, "virtual miniport: no name is free");
            snprintf(word, sizeof word, "n%.8s%u", vm->desc->service, n++);
            error = cfg__names_add(&b->taken, word, &there);
            if (error)
                return error;
            snprintf(vm->name, sizeof vm->name, "%.*s", HOST_NAME_MAX_LENGTH, word + 1);
        }
    }
    return 0;
}

static int check_all(struct batch *b)
{
    int error = 0;

    for (size_t i = 0; i < b->count && !error; i++)
        error = check_one(&b->vm[i]);
    if (!error)
        error = scan(&b->taken);
    for (size_t i = 0; i < b->count && !error; i++)
        error = take(b, &b->vm[i]);
    return error ? error : make_names(b);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static int write_settings(const struct vm *vm, const char *key)
{
    const struct umn_vm_desc *desc = vm->desc;
    char vlan[16];
    int error = umn__reg_set_dword(key, "Characteristics", CFG_NCF_VIRTUAL);

    snprintf(vlan, sizeof vlan, "%d", desc->vlan);
    if (!error)
        error = umn__reg_set_sz(key, "HostName", vm->name);
    if (!error)
        error = umn__reg_set_sz(key, "LowerAdapter", desc->lower_guid);
    if (!error)
        error = umn__reg_set_sz(key, "VlanID", vlan);
    if (!error && *vm->address)
        error = umn__reg_set_sz(key, "NetworkAddress", vm->address);
    if (!error && desc->mode)
        error = umn__reg_set_sz(key, "MuxMode", desc->mode);
    return error ? error : cfg__write_settings(key, desc->settings, desc->count);
}

/* The upper protocol's settings for this binding: what Linux shall call the interface. */
static int write_upper(const struct vm *vm)
{
    char key[CFG_KEY_MAX];
    int error = cfg__format(key, sizeof key, UMN_KEY_SERVICES "\\%s\\Parameters\\Adapters\\%s",
                            vm->desc->upper, vm->guid);

    return error ? error : umn__reg_set_sz(key, "HostName", vm->name);
}

static int write_one(struct batch *b, struct vm *vm)
{
    const struct umn_vm_desc *desc = vm->desc;
    char hardware_id[CFG_ID_MAX], key[CFG_KEY_MAX];
    struct umn_device_desc device = {
        .service = desc->service, .hardware_id = hardware_id, .description = vm->name};
    int error = cfg__format(hardware_id, sizeof hardware_id, "root\\umn_%s_vm", desc->service);

    if (!error)
        error = umn__pnp_create_device(&device, vm->id, vm->guid);
    if (!error)
        error = umn__pnp_driver_key(vm->id, key);
    if (!error)
        error = write_settings(vm, key);
    if (!error)
        error =
            cfg__vm_list(&b->lists, cfg__list_append, desc->service, desc->lower_guid, vm->guid);
    if (!error && desc->upper)
        error = cfg__link_new(&b->lists, desc->upper, vm->guid, key, vm->name);
    if (!error && desc->upper)
        error = write_upper(vm);
    return error;
}

static int write_all(struct batch *b)
{
    int error = umn__reg_begin();

    if (error)
        return error;
    error = check_all(b);
    for (size_t i = 0; i < b->count && !error; i++)
        error = write_one(b, &b->vm[i]);
    if (!error)
        error = cfg__lists_flush(&b->lists);
    cfg__lists_free(&b->lists);
    if (error) {
        umn__reg_rollback();
        return error;
    }
    error = umn__reg_commit();
    b->committed = !error;
    return error;
}

/* ---- drivers --------------------------------------------------------------------------------- */

/* Runs f on each different service (upper: protocol above) of the batch. */
static int each_service(struct batch *b, bool upper, int (*f)(const char *))
{
    int error = 0;

    for (size_t i = 0; i < b->count && !error; i++) {
        const struct umn_vm_desc *d = b->vm[i].desc, *before = i ? b->vm[i - 1].desc : NULL;
        const char *name = upper ? d->upper : d->service;
        const char *last = !before ? NULL : upper ? before->upper : before->service;

        if (name && (!last || umn__stricmp(name, last) != 0))
            error = f(name);
    }
    return error;
}

static int bring_up(struct batch *b)
{
    int error = each_service(b, true, cfg__rebind);

    if (!error)
        error = each_service(b, false, cfg__vm_reconfigure);
    for (size_t i = 0; i < b->count && !error; i++) {
        error = umn__pnp_start_device(b->vm[i].id, NULL);
        b->vm[i].started = !error;
    }
    return error;
}

/* Undoes what write_all has committed and bring_up begun. */
static void take_down(struct batch *b)
{
    int error = 0;

    for (size_t i = b->count; i-- > 0;) {
        struct vm *vm = &b->vm[i];

        if (vm->started && umn__pnp_remove_device(vm->id))
            umn__pnp_surprise_remove(vm->id);
    }
    for (size_t i = 0; i < b->count && !error; i++)
        error = cfg__pnp_claim(b->vm[i].id, &b->vm[i].claim);
    if (!error)
        error = umn__reg_begin();
    if (!error) {
        for (size_t i = 0; i < b->count && !error; i++) {
            const struct umn_vm_desc *d = b->vm[i].desc;

            error = cfg__vm_delete_keys(&b->lists, b->vm[i].id, b->vm[i].guid, d->service,
                                        d->lower_guid);
        }
        if (!error)
            error = cfg__lists_flush(&b->lists);
        cfg__lists_free(&b->lists);
        if (error)
            umn__reg_rollback();
        else
            error = umn__reg_commit();
    }
    for (size_t i = 0; i < b->count; i++)
        cfg__pnp_unclaim(b->vm[i].claim, error == 0);
    each_service(b, false, cfg__vm_reconfigure);
    each_service(b, true, cfg__rebind);
    if (error)
        plat_log(1, "virtual miniports that could not be started are left in the registry: %s",
                 umn_strerror(error));
}

static int add_batch(struct batch *b)
{
    char refusal[512];
    int error = write_all(b);

    if (error || !cfg__pnp_running())
        return error;
    error = bring_up(b);
    if (!error)
        return 0;
    snprintf(refusal, sizeof refusal, "%s", umn__refusal());
    take_down(b);
    umn__refuse(error, "%s", refusal);
    return error;
}

static int add(const struct umn_vm_desc *desc, size_t count, char *instance_id, char *guid)
{
    struct batch b = {.count = count};
    int error;

    if (!count)
        return 0;
    b.vm = plat_alloc(count * sizeof *b.vm);
    if (!b.vm)
        return UMN_ENOMEM;
    for (size_t i = 0; i < count; i++)
        b.vm[i].desc = &desc[i];
    error = add_batch(&b);
    if (!error && instance_id)
        strcpy(instance_id, b.vm[0].id);
    if (!error && guid)
        strcpy(guid, b.vm[0].guid);
    cfg__names_free(&b.taken);
    plat_free(b.vm);
    return error;
}

int umn__netcfg_add_vm(const struct umn_vm_desc *desc, char *instance_id, char *guid)
{
    return add(desc, 1, instance_id, guid);
}

int umn__netcfg_add_vms(const struct umn_vm_desc *desc, size_t count)
{
    return add(desc, count, NULL, NULL);
}
