/* SPDX-License-Identifier: MIT */
/*
 * Group CFG, the library's part: which key a handle opens, what a value becomes, how long it lives.
 * Filter handles have no test: there are no filter modules yet.
 */
#include "stacks.h"

static NDIS_STATUS open_key(NDIS_HANDLE handle, NDIS_HANDLE *config)
{
    NDIS_CONFIGURATION_OBJECT object = {
        .Header = {NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT, NDIS_CONFIGURATION_OBJECT_REVISION_1,
                   NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1},
        .NdisHandle = handle,
    };
    *config = NULL;
    return NdisOpenConfigurationEx(&object, config);
}

static NDIS_STATUS read_value(NDIS_HANDLE config, const WCHAR *name, NDIS_PARAMETER_TYPE type,
                              NDIS_CONFIGURATION_PARAMETER **value)
{
    NDIS_STRING keyword;
    NDIS_STATUS status = 0x12345678;
    RtlInitUnicodeString(&keyword, name);
    *value = NULL;
    NdisReadConfiguration(&status, value, config, &keyword, type);
    return status;
}

/* The NIC's adapter handle and the key of its settings. */
static struct nic *adapter(char key[160])
{
    struct nic *n = world_nic(true);
    if (n && umn__pnp_driver_key(world_nic_instance(0), key))
        conf_fail(__FILE__, __LINE__, "no driver key");
    return n;
}

static bool same(const NDIS_CONFIGURATION_PARAMETER *p, const void *bytes, size_t size)
{
    return p->ParameterData.StringData.Length == size &&
           (!size || !memcmp(p->ParameterData.StringData.Buffer, bytes, size));
}

/* ---- IM-CFG-02: types
 * ----------------------------------------------------------------------------------- */
#define REG_TEXT(t) (t), sizeof(t)
static const WCHAR text[] = u"some text";
static const WCHAR list0[] = {0};
static const WCHAR list1[] = u"one\0";
static const WCHAR list3[] = u"one\0two\0three\0";
static const uint8_t binary[] = {1, 0, 2, 0xff, 0, 7, 9};

static void check_values(NDIS_HANDLE config, NDIS_PARAMETER_TYPE type)
{
    NDIS_CONFIGURATION_PARAMETER *p;
    CHECK_EQ(read_value(config, u"Number", type, &p), NDIS_STATUS_SUCCESS);
    CHECK_EQ(p->ParameterType, NdisParameterInteger);
    CHECK_EQ(p->ParameterData.IntegerData, 0x89abcdefu);
    CHECK_EQ(read_value(config, u"Text", type, &p), NDIS_STATUS_SUCCESS);
    CHECK_EQ(p->ParameterType, NdisParameterString);
    CHECK(same(p, text, sizeof text - 2)); /* a counted string */
    CHECK_EQ(read_value(config, u"Empty", type, &p), NDIS_STATUS_SUCCESS);
    CHECK_EQ(p->ParameterType, NdisParameterString);
    CHECK_EQ(p->ParameterData.StringData.Length, 0);
    CHECK_EQ(read_value(config, u"List0", type, &p), NDIS_STATUS_SUCCESS);
    CHECK_EQ(p->ParameterType, NdisParameterMultiString);
    CHECK(same(p, list0, sizeof list0));
    CHECK_EQ(read_value(config, u"List1", type, &p), NDIS_STATUS_SUCCESS);
    CHECK_EQ(p->ParameterType, NdisParameterMultiString);
    CHECK(same(p, list1, sizeof list1));
    CHECK_EQ(read_value(config, u"List3", type, &p), NDIS_STATUS_SUCCESS);
    CHECK_EQ(p->ParameterType, NdisParameterMultiString);
    CHECK(same(p, list3, sizeof list3));
    CHECK_EQ(read_value(config, u"Binary", type, &p), NDIS_STATUS_SUCCESS);
    CHECK_EQ(p->ParameterType, NdisParameterBinary);
    CHECK_EQ(p->ParameterData.BinaryData.Length, sizeof binary);
    CHECK(!memcmp(p->ParameterData.BinaryData.Buffer, binary, sizeof binary));
    /* Value names compare without case. */
    CHECK_EQ(read_value(config, u"nUMBER", type, &p), NDIS_STATUS_SUCCESS);
    CHECK_EQ(p->ParameterType, NdisParameterInteger);
}

CONF(im_cfg_02_each_type_whatever_is_asked_for, NULL, 0)
{
    static const NDIS_PARAMETER_TYPE types[] = {
        NdisParameterInteger,     NdisParameterHexInteger, NdisParameterString,
        NdisParameterMultiString, NdisParameterBinary,
    };
    char key[160];
    NDIS_HANDLE config;
    struct nic *n = adapter(key);
    CHECK_OK();
    CHECK_EQ(umn__reg_set_dword(key, "Number", 0x89abcdefu), 0);
    CHECK_EQ(umn__reg_set_raw(key, "Text", REG_SZ, REG_TEXT(text)), 0);
    CHECK_EQ(umn__reg_set_raw(key, "Empty", REG_SZ, REG_TEXT(list0)), 0);
    CHECK_EQ(umn__reg_set_raw(key, "List0", REG_MULTI_SZ, REG_TEXT(list0)), 0);
    CHECK_EQ(umn__reg_set_raw(key, "List1", REG_MULTI_SZ, REG_TEXT(list1)), 0);
    CHECK_EQ(umn__reg_set_raw(key, "List3", REG_MULTI_SZ, REG_TEXT(list3)), 0);
    CHECK_EQ(umn__reg_set_raw(key, "Binary", REG_BINARY, binary, sizeof binary), 0);
    CHECK_EQ(open_key(n->handle, &config), NDIS_STATUS_SUCCESS);
    for (unsigned i = 0; i < sizeof types / sizeof types[0] && !conf_failed(); i++)
        check_values(config, types[i]);
    NdisCloseConfiguration(config);
}

/* ---- IM-CFG-03: statuses and life
 * ------------------------------------------------------------------------ */
CONF(im_cfg_03_missing_value_is_failure, NULL, 0)
{
    char key[160];
    NDIS_HANDLE config;
    NDIS_CONFIGURATION_PARAMETER *p;
    struct nic *n = adapter(key);
    CHECK_OK();
    CHECK_EQ(open_key(n->handle, &config), NDIS_STATUS_SUCCESS);
    NDIS_STATUS missing = read_value(config, u"NotThere", NdisParameterInteger, &p);
    bool untouched = p == NULL;
    umn__reg_set_dword(key, "NotThere", 5);
    NDIS_STATUS there = read_value(config, u"NotThere", NdisParameterInteger, &p);
    ULONG value = there == NDIS_STATUS_SUCCESS ? p->ParameterData.IntegerData : 0;
    NdisCloseConfiguration(config);
    CHECK_EQ(missing, NDIS_STATUS_FAILURE);
    CHECK(untouched);
    CHECK_EQ(there, NDIS_STATUS_SUCCESS);
    CHECK_EQ(value, 5);
}

CONF(im_cfg_03_no_memory_is_resources, NULL, CONF_NO_SWEEP)
{
    char key[160];
    NDIS_HANDLE config;
    NDIS_CONFIGURATION_PARAMETER *p;
    unsigned resources = 0, others = 0, nth = 1;
    struct nic *n = adapter(key);
    CHECK_OK();
    CHECK_EQ(umn__reg_set_raw(key, "List3", REG_MULTI_SZ, REG_TEXT(list3)), 0);
    for (; nth < 50; nth++) {
        plat_fail_alloc_at(nth);
        NDIS_STATUS status = open_key(n->handle, &config);
        plat_fail_alloc_at(0);
        if (status == NDIS_STATUS_SUCCESS)
            break;
        *(status == NDIS_STATUS_RESOURCES ? &resources : &others) += 1;
    }
    CHECK(nth < 50 && resources > 0);
    for (nth = 1, resources = 0; nth < 50; nth++) {
        plat_fail_alloc_at(nth);
        NDIS_STATUS status = read_value(config, u"List3", NdisParameterMultiString, &p);
        plat_fail_alloc_at(0);
        if (status == NDIS_STATUS_SUCCESS)
            break;
        *(status == NDIS_STATUS_RESOURCES ? &resources : &others) += 1;
    }
    bool good = nth < 50 && same(p, list3, sizeof list3);
    NdisCloseConfiguration(config);
    CHECK(good);
    CHECK(resources > 0);
    CHECK_EQ(others, 0);
}

CONF(im_cfg_03_values_live_until_the_handle_is_closed, NULL, 0)
{
    char key[160];
    NDIS_HANDLE config;
    NDIS_CONFIGURATION_PARAMETER *first, *second, *again;
    struct nic *n = adapter(key);
    CHECK_OK();
    CHECK_EQ(umn__reg_set_raw(key, "Text", REG_SZ, REG_TEXT(text)), 0);
    CHECK_EQ(umn__reg_set_raw(key, "List3", REG_MULTI_SZ, REG_TEXT(list3)), 0);
    size_t blocks = plat_alloc_live();
    CHECK_EQ(open_key(n->handle, &config), NDIS_STATUS_SUCCESS);
    NDIS_STATUS a = read_value(config, u"Text", NdisParameterString, &first);
    NDIS_STATUS b = read_value(config, u"List3", NdisParameterMultiString, &second);
    for (unsigned i = 0; i < 20; i++)
        read_value(config, u"Text", NdisParameterString, &again);
    umn__reg_delete_value(key, "Text"); /* what was read is a copy */
    bool alive = a == NDIS_STATUS_SUCCESS && b == NDIS_STATUS_SUCCESS && first != second &&
                 same(first, text, sizeof text - 2) && same(second, list3, sizeof list3);
    umn__reg_set_raw(key, "Text", REG_SZ, REG_TEXT(text));
    NdisCloseConfiguration(config);
    CHECK(alive);
    CHECK_EQ(plat_alloc_live(), blocks); /* all of it is gone: a later use trips the sanitizer */
}

static NDIS_HANDLE high_handle;
static void read_high(void *arg)
{
    NDIS_CONFIGURATION_PARAMETER *p;
    read_value(high_handle, u"NetCfgInstanceId", NdisParameterString, &p);
}
static void open_high(void *arg)
{
    NDIS_HANDLE config;
    if (open_key(arg, &config) == NDIS_STATUS_SUCCESS)
        high_handle = config;
}

CONF(im_cfg_03_only_at_passive_level, NULL, 0)
{
    char key[160];
    conf_expect("Irql_Miscellaneous_Function");
    struct nic *n = adapter(key);
    CHECK_OK();
    high_handle = NULL;
    at_dispatch(open_high, n->handle);
    if (high_handle)
        NdisCloseConfiguration(high_handle);
    CHECK_EQ(umn__report_count_rule("Irql_Miscellaneous_Function"), 1);
    CHECK_EQ(open_key(n->handle, &high_handle), NDIS_STATUS_SUCCESS);
    at_dispatch(read_high, NULL);
    NdisCloseConfiguration(high_handle);
    CHECK_EQ(umn__report_count_rule("Irql_Miscellaneous_Function"), 2);
}

CONF(im_cfg_03_closed_handle_is_reported, NULL, CONF_NO_SWEEP)
{
    char key[160];
    NDIS_CONFIGURATION_PARAMETER *p;
    NDIS_HANDLE config;
    conf_expect("HandleType");
    struct nic *n = adapter(key);
    CHECK_OK();
    CHECK_EQ(open_key(n->handle, &config), NDIS_STATUS_SUCCESS);
    NdisCloseConfiguration(config);
    CHECK(read_value(config, u"NetCfgInstanceId", NdisParameterString, &p) != NDIS_STATUS_SUCCESS);
    CHECK_EQ(umn__report_count_rule("HandleType"), 1);
}

/* ---- IM-CFG-04: one key for each kind of handle
 * --------------------------------------------------------------- */
static int marker_of(NDIS_HANDLE handle)
{
    NDIS_CONFIGURATION_PARAMETER *p;
    NDIS_HANDLE config;
    if (open_key(handle, &config) != NDIS_STATUS_SUCCESS)
        return -1;
    int marker = read_value(config, u"Marker", NdisParameterInteger, &p) == NDIS_STATUS_SUCCESS
                     ? (int)p->ParameterData.IntegerData
                     : -2;
    NdisCloseConfiguration(config);
    return marker;
}

static int marker_in_bind;
static void read_in_bind(struct bnd *b, PNDIS_BIND_PARAMETERS p)
{
    marker_in_bind = marker_of(p);
}

static void mark(const char *key, uint32_t number)
{
    if (umn__reg_set_dword(key, "Marker", number))
        conf_fail(__FILE__, __LINE__, "%s: %s", key, umn_last_error());
}

CONF(im_cfg_04_the_handle_chooses_the_key, "IM-BND-03", 0)
{
    char key[160], binding[2][192];
    struct nic *n = adapter(key);
    world_proto(0);
    world_nic(true);
    CHECK_OK();
    for (unsigned i = 0; i < 2; i++) {
        snprintf(binding[i], sizeof binding[i],
                 UMN_KEY_SERVICES "\\tproto0\\Parameters\\Adapters\\%s", world_nic_guid(i));
        mark(binding[i], 40 + i);
    }
    mark(UMN_KEY_SERVICES "\\tnic\\Parameters", 1);
    mark(key, 2);
    mark(UMN_KEY_SERVICES "\\tproto0\\Parameters", 3);
    CHECK_OK();
    marker_in_bind = -3;
    proto_script.before_open = read_in_bind;
    world_bind("tproto0", world_nic_guid(0));
    CHECK_OK();
    settle(10);
    CHECK_EQ(marker_in_bind, 40); /* a pointer to the bind parameters */
    world_bind("tproto0", world_nic_guid(1));
    CHECK_OK();
    settle(10);
    CHECK_EQ(marker_in_bind, 41);
    CHECK_EQ(marker_of(nic_driver_handle), 1);
    CHECK_EQ(marker_of(n->handle), 2);
    CHECK_EQ(marker_of(protos[0].handle), 3);
    struct bnd *b = proto_on(0, world_nic_guid(0)), *c = proto_on(0, world_nic_guid(1));
    CHECK(b && c);
    CHECK_EQ(marker_of(b->handle), 40);
    CHECK_EQ(marker_of(c->handle), 41);
}

CONF(im_cfg_04_absent_key_is_failure, NULL, 0)
{
    NDIS_HANDLE config;
    world_proto(0);
    CHECK_OK();
    CHECK_EQ(umn__reg_delete_key(UMN_KEY_SERVICES "\\tproto0\\Parameters"), 0);
    CHECK_EQ(open_key(protos[0].handle, &config), NDIS_STATUS_FAILURE);
    CHECK(config == NULL);
}

CONF(im_cfg_04_other_handles_are_refused, NULL, 0)
{
    NDIS_HANDLE config;
    char key[160], junk[64] = {0};
    conf_expect("HandleType");
    struct nic *n = adapter(key);
    CHECK_OK();
    CHECK_EQ(open_key(junk, &config), NDIS_STATUS_FAILURE);
    CHECK_EQ(open_key(NULL, &config), NDIS_STATUS_FAILURE);
    CHECK_EQ(open_key(n->pool, &config), NDIS_STATUS_FAILURE);
    CHECK(config == NULL);
    CHECK_EQ(umn__report_count_rule("HandleType"), 3);
}
