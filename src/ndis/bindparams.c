/* SPDX-License-Identifier: MIT */
/*
 * NDIS_BIND_PARAMETERS of a bind operation: every member from the lower adapter's attributes, in
 * the revision of the protocol's version (IM-BND-02, -03, -16; ns-ndis-_ndis_bind_parameters.md).
 * Copies, so that nothing a protocol writes there reaches the adapter. PASSIVE_LEVEL, inside the
 * operation.
 */
#include "ndis/control.h"

#include <string.h>

static void set_header(NDIS_BIND_PARAMETERS *b, unsigned version)
{
    b->Header.Type = NDIS_OBJECT_TYPE_BIND_PARAMETERS;
    if (version >= 630) {
        b->Header.Revision = NDIS_BIND_PARAMETERS_REVISION_4;
        b->Header.Size = NDIS_SIZEOF_BIND_PARAMETERS_REVISION_4;
    } else if (version >= 620) {
        b->Header.Revision = NDIS_BIND_PARAMETERS_REVISION_3;
        b->Header.Size = NDIS_SIZEOF_BIND_PARAMETERS_REVISION_3;
    } else if (version >= 601) {
        b->Header.Revision = NDIS_BIND_PARAMETERS_REVISION_2;
        b->Header.Size = NDIS_SIZEOF_BIND_PARAMETERS_REVISION_2;
    } else {
        b->Header.Revision = NDIS_BIND_PARAMETERS_REVISION_1;
        b->Header.Size = NDIS_SIZEOF_BIND_PARAMETERS_REVISION_1;
    }
}

/* `<service>\Parameters\Adapters\<adapter name>`, the name without \Device\ (question 2). */
static int set_section(struct ndis_bind_op *op)
{
    const char *name = strrchr(op->adapter->name, '\\');
    char *text = plat_asprintf("%s\\Parameters\\Adapters\\%s", op->protocol->service,
                               name ? name + 1 : op->adapter->name);

    if (!text)
        return UMN_ENOMEM;
    op->section_text = umn__utf16(text);
    plat_free(text);
    if (!op->section_text)
        return UMN_ENOMEM;
    umn__us_init(&op->section, op->section_text);
    return 0;
}

/* Both generations of power capabilities, whichever the miniport reported; without any, a structure
 * that says Unspecified: 6.20 drivers count on the pointer. */
static void set_power(struct ndis_bind_op *op, const NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *g,
                      unsigned version)
{
    op->pm.Header = (NDIS_OBJECT_HEADER){NDIS_OBJECT_TYPE_DEFAULT, NDIS_PM_CAPABILITIES_REVISION_1,
                                         NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_1};
    if (g->PowerManagementCapabilitiesEx) {
        op->pm = *g->PowerManagementCapabilitiesEx;
        op->pnp.WakeUpCapabilities.MinMagicPacketWakeUp = op->pm.MinMagicPacketWakeUp;
        op->pnp.WakeUpCapabilities.MinPatternWakeUp = op->pm.MinPatternWakeUp;
        op->pnp.WakeUpCapabilities.MinLinkChangeWakeUp = op->pm.MinLinkChangeWakeUp;
    } else if (g->PowerManagementCapabilities) {
        op->pnp = *g->PowerManagementCapabilities;
        op->pm.MinMagicPacketWakeUp = op->pnp.WakeUpCapabilities.MinMagicPacketWakeUp;
        op->pm.MinPatternWakeUp = op->pnp.WakeUpCapabilities.MinPatternWakeUp;
        op->pm.MinLinkChangeWakeUp = op->pnp.WakeUpCapabilities.MinLinkChangeWakeUp;
    }
    if (version >= 620)
        op->storage.PowerManagementCapabilitiesEx = &op->pm;
    else
        op->storage.PowerManagementCapabilities = &op->pnp;
}

static void set_port(struct ndis_bind_op *op, const NDIS_LINK_STATE *link)
{
    op->port.PortCharacteristics = (NDIS_PORT_CHARACTERISTICS){
        .Header = {NDIS_OBJECT_TYPE_PORT_CHARACTERISTICS, NDIS_PORT_CHARACTERISTICS_REVISION_1,
                   NDIS_SIZEOF_PORT_CHARACTERISTICS_REVISION_1},
        .PortNumber = NDIS_DEFAULT_PORT_NUMBER,
        .Type = NdisPortTypeUndefined,
        .MediaConnectState = link->MediaConnectState,
        .XmitLinkSpeed = link->XmitLinkSpeed,
        .RcvLinkSpeed = link->RcvLinkSpeed,
        .Direction = NET_IF_DIRECTION_SENDRECEIVE,
        .SendControlState = NdisPortControlStateUncontrolled,
        .RcvControlState = NdisPortControlStateUncontrolled,
        .SendAuthorizationState = NdisPortAuthorized,
        .RcvAuthorizationState = NdisPortAuthorized,
    };
    op->storage.ActivePorts = &op->port;
}

static void set_general(NDIS_BIND_PARAMETERS *b, const struct ndis_adapter *a,
                        const NDIS_LINK_STATE *link)
{
    const NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *g = &a->attr.general;

    b->PhysicalDeviceObject = a->pdo;
    b->MediaType = g->MediaType;
    b->MtuSize = a->mtu;
    b->MaxXmitLinkSpeed = g->MaxXmitLinkSpeed;
    b->XmitLinkSpeed = link->XmitLinkSpeed;
    b->MaxRcvLinkSpeed = g->MaxRcvLinkSpeed;
    b->RcvLinkSpeed = link->RcvLinkSpeed;
    b->MediaConnectState = link->MediaConnectState;
    b->MediaDuplexState = link->MediaDuplexState;
    b->LookaheadSize = g->LookaheadSize;
    b->SupportedPacketFilters = g->SupportedPacketFilters;
    b->MaxMulticastListSize = g->MaxMulticastListSize;
    b->MacAddressLength = g->MacAddressLength;
    memcpy(b->CurrentMacAddress, g->CurrentMacAddress, sizeof b->CurrentMacAddress);
    b->PhysicalMediumType = g->PhysicalMediumType;
    b->AccessType = g->AccessType;
    b->DirectionType = g->DirectionType;
    b->ConnectionType = g->ConnectionType;
    b->IfType = g->IfType;
    b->IfConnectorPresent = g->IfConnectorPresent;
    b->DataBackFillSize = g->DataBackFillSize;
    b->ContextBackFillSize = g->ContextBackFillSize;
    b->MacOptions = g->MacOptions;
    b->CompartmentId = NET_IF_COMPARTMENT_ID_PRIMARY;
    /* Without filter modules the top and the bottom of the stack are the miniport (IM-BND-16). */
    b->BoundIfNetluid = b->LowestIfNetluid = a->luid;
    b->BoundIfIndex = b->LowestIfIndex = a->ifindex;
}

int ndis__bind_params(struct ndis_bind_op *op)
{
    struct ndis_adapter *a = op->adapter;
    const NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *g = &a->attr.general;
    const unsigned version = ndis__protocol_ver(op->protocol);
    NDIS_BIND_PARAMETERS *b = &op->storage;
    NDIS_LINK_STATE link;

    if (set_section(op) != 0)
        return UMN_ENOMEM;
    ndis__status_current(a, &link);
    set_header(b, version);
    b->ProtocolSection = &op->section;
    op->name = a->name_us;
    b->AdapterName = b->BoundAdapterName = &op->name;
    set_general(b, a, &link);
    set_power(op, g, version);
    set_port(op, &link);
    if (g->RecvScaleCapabilities) {
        op->rss = *g->RecvScaleCapabilities;
        b->RcvScaleCapabilities = &op->rss;
    }
    if (a->attr.have_offload) {
        op->offload = a->attr.offload_default;
        b->DefaultOffloadConfiguration = &op->offload;
    }
    op->parameters = b;
    return 0;
}

void ndis__bind_params_free(struct ndis_bind_op *op)
{
    plat_free(op->section_text);
}
