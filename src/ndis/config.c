/* SPDX-License-Identifier: MIT */
/*
 * NdisOpenConfigurationEx and kin: a driver's view of its registry keys. A configuration handle
 * owns its open key and everything that was read through it, until NdisCloseConfiguration. Calls on
 * one handle are serial by contract (IM-CFG-03), so a handle has no lock. PASSIVE_LEVEL.
 *
 *   handle                        key under \Registry\Machine\System\CurrentControlSet (IM-CFG-04)
 *   miniport or protocol driver   Services\<service>\Parameters
 *   miniport adapter              Control\Class\<driver key of the device>
 *   bind parameters, BindContext, Services\<protocol>\Parameters\Adapters\{GUID}  (question 2)
 *   binding
 */
#include "ndis/control.h"

#include <string.h>

#define SERVICES "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\"

struct block {
    struct block *next;
    NDIS_CONFIGURATION_PARAMETER parameter;
    uint8_t data[] __attribute__((aligned(8)));
};
struct config {
    struct ndis_object obj;
    void *key;
    struct block *blocks;
};

static NDIS_STATUS status_of(int error)
{
    return !error                ? NDIS_STATUS_SUCCESS
           : error == UMN_ENOMEM ? NDIS_STATUS_RESOURCES
                                 : NDIS_STATUS_FAILURE;
}

/* ---- which key
 * ----------------------------------------------------------------------------------- */

static char *binding_path(const struct ndis_protocol *p, const struct ndis_adapter *a)
{
    const char *name = strrchr(a->name, '\\');

    return plat_asprintf(SERVICES "%s\\Parameters\\Adapters\\%s", p->service,
                         name ? name + 1 : a->name);
}

static char *adapter_path(const struct ndis_adapter *a)
{
    const struct umn_devnode *node = umn__pdo_node(a->pdo);

    if (!node || !node->driver_key || !*node->driver_key)
        return NULL;
    return plat_asprintf("\\Registry\\Machine\\System\\CurrentControlSet\\Control\\Class\\%s",
                         node->driver_key);
}

/* *known: the handle is one that has a key. The result NULL with *known: no memory. */
static char *path_of(NDIS_HANDLE handle, bool *known)
{
    const struct ndis_bind_op *op = ndis__bind_op_find(handle);

    *known = true;
    if (op)
        return binding_path(op->protocol, op->adapter);
    switch (ndis__kind(handle)) {
    case NDIS_KIND_MDRIVER:
        return plat_asprintf(SERVICES "%s\\Parameters", ((struct ndis_mdriver *)handle)->service);
    case NDIS_KIND_PROTOCOL:
        return plat_asprintf(SERVICES "%s\\Parameters", ((struct ndis_protocol *)handle)->service);
    case NDIS_KIND_BINDING: {
        const struct ndis_binding *b = handle;
        return binding_path(b->protocol, b->adapter);
    }
    case NDIS_KIND_ADAPTER:
        return adapter_path(handle);
    default:
        *known = false;
        return NULL;
    }
}

/* ---- handles
 * ------------------------------------------------------------------------------------- */

static int config_open(void *base, const char *path, NDIS_HANDLE *out)
{
    struct config *c = plat_alloc(sizeof *c);
    int error;

    if (!c)
        return UMN_ENOMEM;
    error = umn__registry()->open(base, path, false, &c->key);
    if (error) {
        plat_free(c);
        return error;
    }
    ndis__object_live(&c->obj, NDIS_KIND_CONFIG);
    *out = c;
    return 0;
}

/*
 * nf-ndis-ndisopenconfigurationex.md, IM-CFG-03, -04. PASSIVE_LEVEL. SUCCESS: close the handle with
 * NdisCloseConfiguration. RESOURCES. FAILURE: not a handle with a key, or the key does not exist.
 */
UMN_EXPORT NDIS_STATUS NTAPI NdisOpenConfigurationEx(PNDIS_CONFIGURATION_OBJECT ConfigObject,
                                                     PNDIS_HANDLE ConfigurationHandle)
{
    NDIS_STATUS status;
    bool known;
    char *path;

    ndis__entry_ok(UMN_PASSIVE, "NdisOpenConfigurationEx");
    if (!ConfigObject || !ConfigurationHandle ||
        ndis__header_check(&ConfigObject->Header, NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT,
                           NDIS_CONFIGURATION_OBJECT_REVISION_1,
                           NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1, "NdisOpenConfigurationEx"))
        return NDIS_STATUS_FAILURE;
    path = path_of(ConfigObject->NdisHandle, &known);
    if (!known) {
        umn__report("HandleType", 0, "NdisOpenConfigurationEx was given a handle without a key");
        return NDIS_STATUS_FAILURE;
    }
    if (!path)
        return NDIS_STATUS_RESOURCES;
    status = status_of(config_open(NULL, path, ConfigurationHandle));
    plat_free(path);
    return status;
}

/* nf-ndis-ndisopenconfigurationkeybyname.md. < DISPATCH_LEVEL. FAILURE: no such subkey. */
UMN_EXPORT void NTAPI NdisOpenConfigurationKeyByName(PNDIS_STATUS Status,
                                                     NDIS_HANDLE ConfigurationHandle,
                                                     PNDIS_STRING SubKeyName,
                                                     PNDIS_HANDLE SubKeyHandle)
{
    struct config *c = ConfigurationHandle;
    char *name;

    ndis__entry_ok(UMN_APC, "NdisOpenConfigurationKeyByName");
    *Status = NDIS_STATUS_FAILURE;
    if (!ndis__live(c, NDIS_KIND_CONFIG, "NdisOpenConfigurationKeyByName") || !SubKeyName)
        return;
    name = umn__utf8_us(SubKeyName);
    if (name && config_open(c->key, name, SubKeyHandle) == 0)
        *Status = NDIS_STATUS_SUCCESS;
    plat_free(name);
}

/* nf-ndis-ndisopenconfigurationkeybyindex.md. < DISPATCH_LEVEL. KeyName comes with the caller's
 * buffer. FAILURE: index past the end, or a buffer too small for the name. */
UMN_EXPORT void NTAPI NdisOpenConfigurationKeyByIndex(PNDIS_STATUS Status,
                                                      NDIS_HANDLE ConfigurationHandle, ULONG Index,
                                                      PNDIS_STRING KeyName, PNDIS_HANDLE KeyHandle)
{
    struct config *c = ConfigurationHandle;
    WCHAR *wide = NULL;
    char *name = NULL;
    size_t size;

    ndis__entry_ok(UMN_APC, "NdisOpenConfigurationKeyByIndex");
    *Status = NDIS_STATUS_FAILURE;
    if (!ndis__live(c, NDIS_KIND_CONFIG, "NdisOpenConfigurationKeyByIndex") || !KeyName)
        return;
    if (umn__registry()->enum_key(c->key, Index, &name) != 0)
        return;
    wide = umn__utf16(name);
    size = wide ? umn__wcslen(wide) * sizeof(WCHAR) : 0;
    if (wide && KeyName->Buffer && size <= KeyName->MaximumLength &&
        config_open(c->key, name, KeyHandle) == 0) {
        memcpy(KeyName->Buffer, wide, size);
        KeyName->Length = (USHORT)size;
        *Status = NDIS_STATUS_SUCCESS;
    }
    plat_free(wide);
    plat_free(name);
}

/* nf-ndis-ndiscloseconfiguration.md: frees everything read through the handle. PASSIVE_LEVEL. */
UMN_EXPORT void NTAPI NdisCloseConfiguration(NDIS_HANDLE ConfigurationHandle)
{
    struct config *c = ConfigurationHandle;

    ndis__entry_ok(UMN_PASSIVE, "NdisCloseConfiguration");
    if (!ndis__live(c, NDIS_KIND_CONFIG, "NdisCloseConfiguration"))
        return;
    ndis__object_dead(&c->obj);
    umn__registry()->close(c->key);
    while (c->blocks) {
        struct block *b = c->blocks;
        c->blocks = b->next;
        plat_free(b);
    }
    plat_free(c);
}

/* ---- read
 * ---------------------------------------------------------------------------------------- */

static struct block *block_new(struct config *c, size_t size)
{
    struct block *b = plat_alloc(sizeof *b + size + sizeof(WCHAR));

    if (b) {
        b->next = c->blocks;
        c->blocks = b;
    }
    return b;
}

static struct block *integer_block(struct config *c, ULONG value)
{
    struct block *b = block_new(c, 0);

    if (b) {
        b->parameter.ParameterType = NdisParameterInteger;
        b->parameter.ParameterData.IntegerData = value;
    }
    return b;
}

/* REG_SZ without its terminator, as a counted string; REG_MULTI_SZ and REG_BINARY as they are. */
static struct block *data_block(struct config *c, uint32_t type, const void *data, size_t size)
{
    struct block *b;

    if (size > 0xffff - sizeof(WCHAR)) /* a counted string cannot say more */
        size = (0xffff - sizeof(WCHAR)) & ~(sizeof(WCHAR) - 1);
    b = block_new(c, size);
    if (!b)
        return NULL;
    if (size)
        memcpy(b->data, data, size);
    if (type == REG_BINARY) {
        b->parameter.ParameterType = NdisParameterBinary;
        b->parameter.ParameterData.BinaryData.Length = (USHORT)size;
        b->parameter.ParameterData.BinaryData.Buffer = b->data;
        return b;
    }
    b->parameter.ParameterType =
        type == REG_MULTI_SZ ? NdisParameterMultiString : NdisParameterString;
    if (type != REG_MULTI_SZ && size >= sizeof(WCHAR) &&
        !((const WCHAR *)b->data)[size / sizeof(WCHAR) - 1])
        size -= sizeof(WCHAR);
    b->parameter.ParameterData.StringData.Buffer = (WCHAR *)b->data;
    b->parameter.ParameterData.StringData.Length = (USHORT)size;
    b->parameter.ParameterData.StringData.MaximumLength = (USHORT)(size + sizeof(WCHAR));
    return b;
}

/* Names that need no value (secondary fact of group CFG). */
static struct block *predefined(struct config *c, const char *keyword, bool *is)
{
    *is = true;
    if (umn__stricmp(keyword, "ProcessorType") == 0)
        return integer_block(c, NdisProcessorAmd64);
    if (umn__stricmp(keyword, "NdisVersion") == 0)
        return integer_block(c, NdisGetVersion());
    *is = false;
    return NULL;
}

static NDIS_STATUS read_value(struct config *c, const char *keyword, struct block **out)
{
    uint32_t type, dword;
    void *data = NULL;
    size_t size;
    bool is;
    int error;

    *out = predefined(c, keyword, &is);
    if (is)
        return *out ? NDIS_STATUS_SUCCESS : NDIS_STATUS_RESOURCES;
    error = umn__registry()->get(c->key, keyword, &type, &data, &size);
    if (error)
        return status_of(error);
    if (type == REG_DWORD && size == sizeof dword) {
        memcpy(&dword, data, sizeof dword);
        *out = integer_block(c, dword);
    } else if (type == REG_SZ || type == REG_EXPAND_SZ || type == REG_MULTI_SZ ||
               type == REG_BINARY) {
        *out = data_block(c, type, data, size);
    } else {
        plat_free(data);
        return NDIS_STATUS_FAILURE;
    }
    plat_free(data);
    return *out ? NDIS_STATUS_SUCCESS : NDIS_STATUS_RESOURCES;
}

/*
 * nf-ndis-ndisreadconfiguration.md; IM-CFG-02, -03. PASSIVE_LEVEL. The type asked for is ignored:
 * the value's own type decides. The result lives until NdisCloseConfiguration. RESOURCES; FAILURE:
 * there is no such value, or of a type that has no NDIS counterpart.
 */
UMN_EXPORT void NTAPI NdisReadConfiguration(PNDIS_STATUS Status,
                                            PNDIS_CONFIGURATION_PARAMETER *ParameterValue,
                                            NDIS_HANDLE ConfigurationHandle, PNDIS_STRING Keyword,
                                            NDIS_PARAMETER_TYPE ParameterType)
{
    struct config *c = ConfigurationHandle;
    struct block *b = NULL;
    char *name;

    ndis__entry_ok(UMN_PASSIVE, "NdisReadConfiguration");
    *Status = NDIS_STATUS_FAILURE;
    if (!ndis__live(c, NDIS_KIND_CONFIG, "NdisReadConfiguration") || !Keyword)
        return;
    name = umn__utf8_us(Keyword);
    *Status = name ? read_value(c, name, &b) : NDIS_STATUS_RESOURCES;
    plat_free(name);
    if (*Status == NDIS_STATUS_SUCCESS)
        *ParameterValue = &b->parameter;
}

static int hex(WCHAR c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/*
 * nf-ndis-ndisreadnetworkaddress.md, IM-CFG-05: the string value NetworkAddress as bytes, hyphens
 * dropped, nothing else validated (an odd last digit is a byte of its own). PASSIVE_LEVEL. FAILURE:
 * no value, not a string, not hexadecimal, empty.
 */
UMN_EXPORT void NTAPI NdisReadNetworkAddress(PNDIS_STATUS Status, PVOID *NetworkAddress,
                                             PUINT NetworkAddressLength,
                                             NDIS_HANDLE ConfigurationHandle)
{
    struct config *c = ConfigurationHandle;
    struct block *text, *bytes;
    const UNICODE_STRING *s;
    NDIS_STATUS status;
    UINT n = 0;

    ndis__entry_ok(UMN_PASSIVE, "NdisReadNetworkAddress");
    *Status = NDIS_STATUS_FAILURE;
    if (!ndis__live(c, NDIS_KIND_CONFIG, "NdisReadNetworkAddress"))
        return;
    status = read_value(c, "NetworkAddress", &text);
    if (status == NDIS_STATUS_RESOURCES)
        *Status = status; /* beyond the page: a default in place of the address would be wrong */
    if (status != NDIS_STATUS_SUCCESS || text->parameter.ParameterType != NdisParameterString)
        return;
    s = &text->parameter.ParameterData.StringData;
    bytes = block_new(c, s->Length);
    if (!bytes) {
        *Status = NDIS_STATUS_RESOURCES;
        return;
    }
    for (size_t i = 0; i < s->Length / sizeof(WCHAR); i++) {
        int high = hex(s->Buffer[i]), low;
        if (s->Buffer[i] == '-')
            continue;
        if (high < 0)
            return;
        low = i + 1 < s->Length / sizeof(WCHAR) ? hex(s->Buffer[i + 1]) : -1;
        bytes->data[n++] = (uint8_t)(low < 0 ? high : high << 4 | low);
        i += low >= 0;
    }
    if (!n)
        return;
    *NetworkAddress = bytes->data;
    *NetworkAddressLength = n;
    *Status = NDIS_STATUS_SUCCESS;
}

/* ---- write
 * --------------------------------------------------------------------------------------- */

/* A REG_SZ is stored with its terminator, which the counted string need not have. */
static int write_string(struct config *c, const char *keyword, const UNICODE_STRING *s, bool multi)
{
    size_t size = s->Length & ~(sizeof(WCHAR) - 1);
    WCHAR *copy;
    int error;

    if (multi)
        return umn__registry()->set(c->key, keyword, REG_MULTI_SZ, s->Buffer, size);
    copy = plat_alloc(size + sizeof *copy);
    if (!copy)
        return UMN_ENOMEM;
    if (size)
        memcpy(copy, s->Buffer, size);
    error = umn__registry()->set(c->key, keyword, REG_SZ, copy, size + sizeof *copy);
    plat_free(copy);
    return error;
}

/*
 * nf-ndis-ndiswriteconfiguration.md: adds or replaces a value. PASSIVE_LEVEL. NOT_SUPPORTED: a
 * ParameterType that does not exist; RESOURCES; FAILURE: the registry refused.
 */
UMN_EXPORT void NTAPI NdisWriteConfiguration(PNDIS_STATUS Status, NDIS_HANDLE ConfigurationHandle,
                                             PNDIS_STRING Keyword,
                                             PNDIS_CONFIGURATION_PARAMETER ParameterValue)
{
    struct config *c = ConfigurationHandle;
    const NDIS_CONFIGURATION_PARAMETER *p = ParameterValue;
    char *name;
    int error;

    ndis__entry_ok(UMN_PASSIVE, "NdisWriteConfiguration");
    *Status = NDIS_STATUS_FAILURE;
    if (!ndis__live(c, NDIS_KIND_CONFIG, "NdisWriteConfiguration") || !Keyword || !p)
        return;
    if ((unsigned)p->ParameterType > NdisParameterBinary) {
        *Status = NDIS_STATUS_NOT_SUPPORTED;
        return;
    }
    name = umn__utf8_us(Keyword);
    if (!name) {
        *Status = NDIS_STATUS_RESOURCES;
        return;
    }
    if (p->ParameterType == NdisParameterInteger || p->ParameterType == NdisParameterHexInteger)
        error = umn__registry()->set(c->key, name, REG_DWORD, &p->ParameterData.IntegerData,
                                     sizeof p->ParameterData.IntegerData);
    else if (p->ParameterType == NdisParameterBinary)
        error = umn__registry()->set(c->key, name, REG_BINARY, p->ParameterData.BinaryData.Buffer,
                                     p->ParameterData.BinaryData.Length);
    else
        error = write_string(c, name, &p->ParameterData.StringData,
                             p->ParameterType == NdisParameterMultiString);
    plat_free(name);
    *Status = status_of(error);
}
