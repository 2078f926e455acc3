/* SPDX-License-Identifier: MIT */
/*
 * Group CFG, the intermediate driver's part: what the real MUX makes of UpperBindings as anybody
 * may have written it, and of the settings of one virtual miniport. Two devices, A and B, are
 * started; each value of the corpus says which of them it names.
 */
#include "stacks.h"

static struct vmdev a, b;

/* ---- IM-CFG-01: a corpus
 * ---------------------------------------------------------------------------------- */
#define ROOM 90000
static struct {
    uint8_t data[ROOM];
    size_t size;
} blob;

static void put(const char *name) /* without terminator */
{
    for (; *name && blob.size + 2 < ROOM; name++) {
        blob.data[blob.size++] = (uint8_t)*name;
        blob.data[blob.size++] = 0;
    }
}
static void put_word(WCHAR c)
{
    blob.data[blob.size++] = (uint8_t)c;
    blob.data[blob.size++] = (uint8_t)(c >> 8);
}
static void put_z(const char *name)
{
    put(name);
    put_word(0);
}
static void put_many(WCHAR c, unsigned count)
{
    while (count-- && blob.size + 2 < ROOM)
        put_word(c);
}
static char *folded(const char *name)
{
    static char text[80];
    snprintf(text, sizeof text, "%s", name);
    for (char *c = text; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c += 32;
    return text;
}

/* What each builder writes; the type unless it says otherwise is REG_MULTI_SZ. */
static void well_formed(void)
{
    put_z(a.name), put_z(b.name), put_word(0);
}
static void nothing(void)
{
}
static void only_terminator(void)
{
    put_word(0);
}
static void one_byte(void)
{
    blob.data[blob.size++] = 'x';
}
static void single(void)
{
    put_z(a.name);
}
static void single_then_more(void)
{
    put_z(a.name), put_z(b.name);
}
static void odd_length(void)
{
    put_z(a.name), put_z(b.name), blob.data[blob.size++] = 0;
}
static void odd_inside_a_character(void)
{
    put_z(a.name), blob.data[blob.size++] = 'q';
}
static void unterminated(void)
{
    put_z(b.name), put(a.name);
}
static void unterminated_list(void)
{
    put_z(a.name), put_z(b.name);
}
static void duplicates(void)
{
    for (unsigned i = 0; i < 5; i++)
        put_z(a.name);
    put_word(0);
}
static void duplicates_in_other_form(void)
{
    put_z(a.name), put_z(folded(a.name)), put_z(a.guid), put_z(folded(a.guid)), put_word(0);
}
static void bare_guid(void)
{
    put_z(a.guid), put_word(0);
}
static void empty_names(void)
{
    put_word(0), put_word(0), put_z(a.name), put_word(0), put_word(0), put_z(b.name), put_word(0);
}
static void no_device(void)
{
    put_z("\\Device\\{00000000-0000-0000-0000-00000000beef}"), put_z(a.name), put_word(0);
}
static void not_even_names(void)
{
    put_z("\\"), put_z("\\Device\\"), put_z("{"), put_z("C:\\Windows"), put_z("../../x"),
        put_z(b.name);
    put_word(0);
}
static void over_long(void)
{
    put("\\Device\\"), put_many('x', 4000), put_word(0), put_z(a.name), put_word(0);
}
static void very_long(void)
{
    put_many('{', 30000), put_word(0), put_z(b.name), put_word(0);
}
static void longer_than_a_string(void)
{
    put_z(a.name), put_many('z', 36000), put_word(0), put_z(b.name), put_word(0);
}
static void long_without_end(void)
{
    put_z(a.name), put_many(0xffff, 3000);
}
static void broken_surrogates(void)
{
    put_word(0xd800), put_word(0), put_word(0xdc00), put_word('x'), put_word(0);
    put("\\Device\\{"), put_word(0xdbff), put_word(0), put_z(a.name), put_word(0);
}
static void control_characters(void)
{
    for (WCHAR c = 1; c < 32; c++)
        put_word(c);
    put_word(0), put(a.name), put_word(0xfeff), put_word(0), put_z(b.name), put_word(0);
}
static void name_with_a_tail(void)
{
    put(a.name), put_z("x"), put(b.name), put_z(" "), put_word(0);
}
static void many_unknown(void)
{
    char name[64];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "\\Device\\{%08x-0000-0000-0000-000000000000}", i);
        put_z(name);
    }
    put_z(a.name), put_word(0);
}

static const struct entry {
    void (*build)(void);
    uint32_t type;
    bool has_a, has_b, absent;
} corpus[] = {
    {well_formed, REG_MULTI_SZ, true, true, false},
    {nothing, REG_MULTI_SZ, false, false, false},
    {nothing, REG_MULTI_SZ, false, false, true},
    {only_terminator, REG_MULTI_SZ, false, false, false},
    {one_byte, REG_MULTI_SZ, false, false, false},
    {well_formed, REG_BINARY, false, false, false},
    {well_formed, REG_DWORD, false, false, false},
    {well_formed, REG_NONE, false, false, false},
    {well_formed, 0x7fffffff, false, false, false},
    {single, REG_SZ, true, false, false}, /* question 2: a list of one */
    {single_then_more, REG_SZ, true, false, false},
    {odd_length, REG_MULTI_SZ, true, true, false},
    {odd_inside_a_character, REG_MULTI_SZ, true, false, false},
    {unterminated, REG_MULTI_SZ, true, true, false},
    {unterminated_list, REG_MULTI_SZ, true, true, false},
    {duplicates, REG_MULTI_SZ, true, false, false},
    {duplicates_in_other_form, REG_MULTI_SZ, true, false, false},
    {bare_guid, REG_MULTI_SZ, true, false, false},
    {empty_names, REG_MULTI_SZ, true, true, false},
    {no_device, REG_MULTI_SZ, true, false, false},
    {not_even_names, REG_MULTI_SZ, false, true, false},
    {over_long, REG_MULTI_SZ, true, false, false},
    {very_long, REG_MULTI_SZ, false, true, false},
    {longer_than_a_string, REG_MULTI_SZ, true, true, false},
    {long_without_end, REG_MULTI_SZ, true, false, false},
    {broken_surrogates, REG_MULTI_SZ, true, false, false},
    {control_characters, REG_MULTI_SZ, false, true, false},
    {name_with_a_tail, REG_MULTI_SZ, false, false, false},
    {many_unknown, REG_MULTI_SZ, true, false, false},
};
#define CORPUS (sizeof corpus / sizeof corpus[0])

static char *list_key(void)
{
    static char key[192];
    snprintf(key, sizeof key, UMN_KEY_SERVICES "\\mux\\Parameters\\Adapters\\%s",
             world_nic_guid(0));
    return key;
}

static void write_list(const struct entry *e)
{
    int error;
    blob.size = 0;
    e->build();
    if (e->absent) {
        error = umn__reg_delete_value(list_key(), "UpperBindings");
        error = error == UMN_ENOENT ? 0 : error;
    } else {
        error = umn__reg_set_raw(list_key(), "UpperBindings", e->type, blob.data, blob.size);
    }
    if (error)
        conf_fail(__FILE__, __LINE__, "UpperBindings: %s", umn_last_error());
}

static bool lives(const struct vmdev *v)
{
    return !strcmp(adapter_state(v->guid), "Running");
}

/* One value more, written over the last one, and the driver told. */
static void check_entry(unsigned i)
{
    const struct entry *e = &corpus[i];
    NDIS_STATUS status = NDIS_STATUS_FAILURE;
    bool had_a = lives(&a), had_b = lives(&b);
    write_list(e);
    CHECK_OK();
    unsigned requests[2] = {(unsigned)log_count("mux.init \\"), spy.deinits};
    CHECK_EQ(umn__ndis_reconfigure("mux", world_nic_guid(0), NULL, 0, &status), 0);
    CHECK_EQ(status, NDIS_STATUS_SUCCESS);
    settle(10);
    if (lives(&a) != e->has_a || lives(&b) != e->has_b) {
        conf_fail(__FILE__, __LINE__, "entry %u: A is %s and B is %s", i, adapter_state(a.guid),
                  adapter_state(b.guid));
        return;
    }
    /* Who was there and is named stays as it was; nobody is initialized twice. */
    CHECK_EQ(log_count("mux.init \\") - (int)requests[0],
             (e->has_a && !had_a) + (e->has_b && !had_b));
    CHECK_EQ(spy.deinits - requests[1], (had_a && !e->has_a) + (had_b && !e->has_b));
}

static void corpus_up(void)
{
    world_mux();
    CHECK_OK();
    spy_mux();
    world_nic(true);
    vm_create(&a, "mux");
    vm_create(&b, "mux");
    CHECK_OK();
    CHECK_EQ(umn__pnp_start_device(a.id, NULL), 0);
    CHECK_EQ(umn__pnp_start_device(b.id, NULL), 0);
}

CONF(im_cfg_01_corpus_of_malformed_lists, NULL, CONF_SLOW)
{
    corpus_up();
    CHECK_OK();
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK(!lives(&a) && !lives(&b)); /* no value at all */
    CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
    for (unsigned i = 0; i < CORPUS && !conf_failed(); i++)
        check_entry(i);
    for (unsigned i = CORPUS; i-- > 0 && !conf_failed();) /* each after another one */
        check_entry(i);
    CHECK_OK();
    const struct entry none = {.build = nothing, .absent = true};
    write_list(&none);
    CHECK_EQ(umn__ndis_reconfigure("mux", world_nic_guid(0), NULL, 0, NULL), 0);
    settle(10);
    CHECK(!lives(&a) && !lives(&b));
    CHECK_EQ(vm_pending(), 0); /* and no strange name is left with NDIS */
    CHECK_EQ(pool_blocks("Muxn"), 0);
}

/* The same values found when the binding comes. */
CONF(im_cfg_01_corpus_at_bind, NULL, CONF_SLOW)
{
    corpus_up();
    CHECK_OK();
    for (unsigned i = 0; i < CORPUS; i++) {
        write_list(&corpus[i]);
        CHECK_OK();
        world_bind("mux", world_nic_guid(0));
        CHECK_OK();
        settle(10);
        if (lives(&a) != corpus[i].has_a || lives(&b) != corpus[i].has_b) {
            conf_fail(__FILE__, __LINE__, "entry %u: A is %s and B is %s", i, adapter_state(a.guid),
                      adapter_state(b.guid));
            return;
        }
        CHECK_STR(binding_state(world_nic_guid(0), "mux"), "Running");
        CHECK_EQ(umn__netcfg_unbind("mux", world_nic_guid(0)), 0);
        settle(10);
        CHECK_EQ(vm_pending(), 0);
        CHECK(!lives(&a) && !lives(&b));
    }
    CHECK_EQ(pool_blocks("Muxn"), 0);
}

/* Bytes of any kind; the run is only required to end and to leave nothing behind. */
CONF(im_cfg_01_random_bytes, NULL, CONF_SLOW)
{
    unsigned turn = (unsigned)conf_seed() * 2654435761u + 99;
    corpus_up();
    CHECK_OK();
    world_bind("mux", world_nic_guid(0));
    CHECK_OK();
    for (unsigned i = 0; i < 60; i++) {
        blob.size = 0;
        unsigned length = (turn = turn * 1664525u + 1013904223u) >> 24;
        while (blob.size < length) {
            turn = turn * 1664525u + 1013904223u;
            blob.data[blob.size++] = turn & 0x30000000 ? 0 : (uint8_t)(turn >> 16);
        }
        if (i & 1)
            put_word(0), put_z(a.name);
        CHECK_EQ(umn__reg_set_raw(list_key(), "UpperBindings", i % 7 == 6 ? REG_SZ : REG_MULTI_SZ,
                                  blob.data, blob.size),
                 0);
        CHECK_EQ(umn__ndis_reconfigure("mux", world_nic_guid(0), NULL, 0, NULL), 0);
        settle(2);
        if ((i & 1) && i % 7 != 6 && !(length & 1))
            CHECK(lives(&a));
        CHECK(!lives(&b));
    }
    umn__netcfg_unbind("mux", world_nic_guid(0));
    settle(5);
    CHECK_EQ(vm_pending(), 0);
    CHECK_EQ(pool_blocks("Muxn"), 0);
}

/* ---- IM-CFG-05: settings of one virtual miniport
 * ------------------------------------------------------------------ */
static void address_of(const char *guid, uint8_t mac[6], uint8_t permanent[6])
{
    struct ndis_adapter *adapter = ndis__adapter_find(guid);
    memset(mac, 0, 6);
    if (!adapter)
        return;
    memcpy(mac, adapter->attr.general.CurrentMacAddress, 6);
    memcpy(permanent, adapter->attr.general.PermanentMacAddress, 6);
}

static void restart_vm(const struct mux_stack *s)
{
    CHECK_EQ(umn__pnp_disable_device(s->id), 0);
    CHECK_EQ(umn__pnp_enable_device(s->id), 0);
    settle(20);
    CHECK_STR(adapter_state(s->guid), "Running");
}

CONF(im_cfg_05_network_address_is_read_and_validated, NULL, 0)
{
    static const struct {
        const char *value;
        uint8_t mac[6];
        bool good;
    } cases[] = {
        {"021122334455", {0x02, 0x11, 0x22, 0x33, 0x44, 0x55}, true},
        {"02-11-22-33-44-56", {0x02, 0x11, 0x22, 0x33, 0x44, 0x56}, true},
        {"0a1b2C3D4e5F", {0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f}, true},
        {"00AABBCCDDEE", {0x00, 0xaa, 0xbb, 0xcc, 0xdd, 0xee}, true}, /* one of a manufacturer's */
        {"02112233445", {0}, false},                                  /* odd length */
        {"0211223344", {0}, false},
        {"02112233445566", {0}, false},
        {"010203040506", {0}, false}, /* multicast */
        {"FFFFFFFFFFFF", {0}, false},
        {"000000000000", {0}, false},
        {"02112233445g", {0}, false},
        {"", {0}, false},
        {"default", {0}, false},
    };
    struct mux_stack s;
    char key[160];
    uint8_t first[6], mac[6], permanent[6];
    mux_stack(&s);
    CHECK_OK();
    CHECK_EQ(umn__pnp_driver_key(s.id, key), 0);
    umn__reg_delete_value(key, "NetworkAddress");
    restart_vm(&s);
    CHECK_OK();
    address_of(s.guid, first, permanent); /* missing: the default, an individual local address */
    CHECK_EQ(first[0] & 3, 2);
    CHECK(!memcmp(first, permanent, 6));
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_EQ(umn__reg_set_sz(key, "NetworkAddress", cases[i].value), 0);
        restart_vm(&s);
        CHECK_OK();
        address_of(s.guid, mac, permanent);
        if (memcmp(mac, cases[i].good ? cases[i].mac : first, 6)) {
            conf_fail(__FILE__, __LINE__, "NetworkAddress \"%s\": %02x-%02x-%02x-%02x-%02x-%02x",
                      cases[i].value, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
            return;
        }
        CHECK(!memcmp(permanent, first, 6)); /* what it would be without a setting */
    }
    /* Of another type. */
    CHECK_EQ(umn__reg_set_dword(key, "NetworkAddress", 0x11223344), 0);
    restart_vm(&s);
    CHECK_OK();
    address_of(s.guid, mac, permanent);
    CHECK(!memcmp(mac, first, 6));
}

CONF(im_cfg_05_each_virtual_miniport_reads_its_own_key, NULL, 0)
{
    static const uint8_t own[2][6] = {{0x02, 0, 0, 0, 0, 1}, {0x02, 0, 0, 0, 0, 2}};
    struct mux_stack s[2];
    uint8_t mac[6], permanent[6];
    char key[160];
    mux_stack(&s[0]);
    CHECK_OK();
    memset(&s[1], 0, sizeof s[1]);
    mux_stack_vm(&s[1]);
    CHECK_OK();
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(umn__pnp_driver_key(s[i].id, key), 0);
        CHECK_EQ(umn__reg_set_sz(key, "NetworkAddress", i ? "020000000002" : "020000000001"), 0);
        restart_vm(&s[i]);
        CHECK_OK();
    }
    for (unsigned i = 0; i < 2; i++) {
        address_of(s[i].guid, mac, permanent);
        CHECK(!memcmp(mac, own[i], 6));
    }
    struct bnd *top = proto_on(0, s[1].guid);
    CHECK(top != NULL);
    CHECK(!memcmp(top->params.CurrentMacAddress, own[1], 6));
}

CONF(im_cfg_05_other_settings_are_validated_too, NULL, 0)
{
    static const struct {
        uint32_t vlan;
        const char *mode;
    } cases[] = {{4095, "bridge"}, {70000, "nonsense"}, {4294967295u, ""}, {100, "private"}};
    struct mux_stack s;
    char key[160];
    mux_stack(&s);
    CHECK_OK();
    CHECK_EQ(umn__pnp_driver_key(s.id, key), 0);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(umn__reg_set_dword(key, "VlanID", cases[i].vlan), 0);
        CHECK_EQ(umn__reg_set_sz(key, "MuxMode", cases[i].mode), 0);
        restart_vm(&s); /* it comes up, with the default for what it cannot use */
        CHECK_OK();
        uint8_t f[64];
        struct bnd *top = proto_on(0, s.guid);
        CHECK(top != NULL);
        uint64_t before = s.nic->sends;
        CHECK(proto_send(top, f, frame(f, mac_other, mac_other, 0x88b5), 1));
        settle(5);
        CHECK_EQ(s.nic->sends, before + 1);
        /* A VLAN that is not one is none: the frame goes out as it is; 100 is inserted. */
        CHECK_EQ(s.nic->last_frame_length, cases[i].vlan == 100 ? 64 : 60);
    }
}
