/* SPDX-License-Identifier: MIT */
/*
 * NdisMSetMiniportAttributes: deep copies of what a miniport says about an adapter, kept until its
 * halt has returned. PASSIVE_LEVEL, in the context of MiniportInitializeEx; nobody else looks at
 * the attributes until that has returned, so no lock is taken but for what status indications
 * share.
 */
#include "ndis/control.h"

#include <string.h>

static void general_free(NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *g)
{
    plat_free(g->PowerManagementCapabilities);
    plat_free(g->RecvScaleCapabilities);
    plat_free(g->SupportedOidList);
    plat_free(g->PowerManagementCapabilitiesEx);
}

void ndis__attributes_free(struct ndis_adapter *a)
{
    general_free(&a->attr.general);
    a->attr = (struct ndis_attributes){0};
}

/* A copy of a versioned structure, cut or filled up to our size. NULL stays NULL. */
static int copy_part(void *out, const void *in, size_t in_size, size_t our_size)
{
    void *copy = NULL;

    if (in) {
        copy = plat_alloc(our_size);
        if (!copy)
            return UMN_ENOMEM;
        memcpy(copy, in, in_size < our_size ? in_size : our_size);
    }
    *(void **)out = copy;
    return 0;
}

static NDIS_STATUS set_registration(struct ndis_adapter *a,
                                    const NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES *r)
{
    /* Revision 2 has the size of revision 1 and only adds flags; 6.30 drivers pass either. */
    if (r->Header.Revision < NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1 ||
        r->Header.Revision > NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2)
        return NDIS_STATUS_BAD_VERSION;
    if (r->Header.Size < NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1)
        return NDIS_STATUS_FAILURE;
    if (a->attr.have_registration) {
        umn__report("ST-15", 0, "%s sets registration attributes twice", a->driver->service);
        return NDIS_STATUS_FAILURE;
    }
    memcpy(&a->attr.registration, r,
           NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1);
    a->context = r->MiniportAdapterContext;
    /* Port 0 is active from now on unless the driver controls it (IM-INI-09). */
    __atomic_store_n(&a->port0_active,
                     !(r->AttributeFlags & NDIS_MINIPORT_ATTRIBUTES_CONTROLS_DEFAULT_PORT),
                     __ATOMIC_RELEASE);
    __atomic_store_n(&a->attr.have_registration, true, __ATOMIC_RELEASE);
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS copy_general(NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *to,
                                const NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *from)
{
    const bool ex = from->Header.Revision >= NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2;
    const NDIS_PM_CAPABILITIES *pm = ex ? from->PowerManagementCapabilitiesEx : NULL;
    const NDIS_RECEIVE_SCALE_CAPABILITIES *rss = from->RecvScaleCapabilities;

    memset(to, 0, sizeof *to);
    memcpy(to, from,
           ex ? NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2
              : NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_1);
    to->PowerManagementCapabilities = NULL;
    to->RecvScaleCapabilities = NULL;
    to->SupportedOidList = NULL;
    to->PowerManagementCapabilitiesEx = NULL;
    if (to->MacAddressLength > NDIS_MAX_PHYS_ADDRESS_LENGTH)
        to->MacAddressLength = NDIS_MAX_PHYS_ADDRESS_LENGTH;
    if (copy_part(&to->PowerManagementCapabilities, from->PowerManagementCapabilities,
                  sizeof(NDIS_PNP_CAPABILITIES), sizeof(NDIS_PNP_CAPABILITIES)) ||
        copy_part(&to->RecvScaleCapabilities, rss, rss ? rss->Header.Size : 0, sizeof *rss) ||
        copy_part(&to->PowerManagementCapabilitiesEx, pm, pm ? pm->Header.Size : 0, sizeof *pm) ||
        copy_part(&to->SupportedOidList,
                  from->SupportedOidListLength ? from->SupportedOidList : NULL,
                  from->SupportedOidListLength, from->SupportedOidListLength)) {
        general_free(to);
        memset(to, 0, sizeof *to);
        return NDIS_STATUS_RESOURCES;
    }
    if (!to->SupportedOidList)
        to->SupportedOidListLength = 0;
    return NDIS_STATUS_SUCCESS;
}

static NDIS_STATUS set_general(struct ndis_adapter *a,
                               const NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES *g)
{
    const bool old = ndis__mdriver_ver(a->driver) < 620;
    const size_t size = old ? NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_1
                            : NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2;
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES copy;
    NDIS_STATUS status;

    /* IM-POR-04: a 6.20 driver has to pass revision 2. */
    if (g->Header.Revision < (old ? NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_1
                                  : NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2) ||
        g->Header.Revision > NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2)
        return NDIS_STATUS_BAD_VERSION;
    if (g->Header.Size < size)
        return NDIS_STATUS_FAILURE;
    status = copy_general(&copy, g);
    if (status != NDIS_STATUS_SUCCESS)
        return status;
    general_free(&a->attr.general);
    a->attr.general = copy;
    umn__lock(&ndis.lock);
    a->mtu = g->MtuSize;
    a->link_state = (NDIS_LINK_STATE){
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_LINK_STATE_REVISION_1,
                   NDIS_SIZEOF_LINK_STATE_REVISION_1},
        .MediaConnectState = g->MediaConnectState,
        .MediaDuplexState = g->MediaDuplexState,
        .XmitLinkSpeed = g->XmitLinkSpeed,
        .RcvLinkSpeed = g->RcvLinkSpeed,
        .PauseFunctions = NdisPauseFunctionsUnknown,
        .AutoNegotiationFlags = g->AutoNegotiationFlags,
    };
    a->attr.have_general = true;
    umn__unlock(&ndis.lock);
    return NDIS_STATUS_SUCCESS;
}

static void copy_offload(NDIS_OFFLOAD *to, const NDIS_OFFLOAD *from)
{
    memset(to, 0, sizeof *to);
    if (from)
        memcpy(to, from, from->Header.Size < sizeof *to ? from->Header.Size : sizeof *to);
}

static NDIS_STATUS set_offload(struct ndis_adapter *a,
                               const NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES *o)
{
    if (o->Header.Revision != NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1)
        return NDIS_STATUS_BAD_VERSION;
    if (o->Header.Size < offsetof(NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
                                  DefaultTcpConnectionOffloadConfiguration))
        return NDIS_STATUS_FAILURE;
    copy_offload(&a->attr.offload_default, o->DefaultOffloadConfiguration);
    copy_offload(&a->attr.offload_hardware, o->HardwareOffloadCapabilities);
    a->attr.have_offload = o->DefaultOffloadConfiguration != NULL;
    return NDIS_STATUS_SUCCESS;
}

/* MiniportAddDevice: the adapter is not initialized yet, only its add-device context can be set. */
static NDIS_STATUS set_add_device(struct ndis_adapter *a,
                                  const NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES *r)
{
    if (r->Header.Revision != NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES_REVISION_1)
        return NDIS_STATUS_BAD_VERSION;
    if (a->state != NDIS_ADAPTER_HALTED ||
        r->Header.Size < NDIS_SIZEOF_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES_REVISION_1)
        return NDIS_STATUS_FAILURE;
    a->add_device_context = r->MiniportAddDeviceContext;
    return NDIS_STATUS_SUCCESS;
}

/*
 * nf-ndis-ndismsetminiportattributes.md; IM-INI-02, -03, -06, -09, -11. PASSIVE_LEVEL, from
 * MiniportInitializeEx (add-device attributes: from MiniportAddDevice). SUCCESS; BAD_VERSION for a
 * revision that is unknown or older than the driver's version asks for; FAILURE out of order or too
 * small; RESOURCES; NOT_SUPPORTED for attributes this library serves nothing of (802.11, NDK,
 * Packet Direct).
 */
UMN_EXPORT NDIS_STATUS NTAPI NdisMSetMiniportAttributes(
    NDIS_HANDLE NdisMiniportHandle, PNDIS_MINIPORT_ADAPTER_ATTRIBUTES MiniportAttributes)
{
    struct ndis_adapter *a = NdisMiniportHandle;
    const NDIS_MINIPORT_ADAPTER_ATTRIBUTES *m = MiniportAttributes;
    const NDIS_OBJECT_HEADER *h = (const void *)m;

    ndis__entry_ok(UMN_PASSIVE, "NdisMSetMiniportAttributes");
    if (!m || !ndis__live(a, NDIS_KIND_ADAPTER, "NdisMSetMiniportAttributes"))
        return NDIS_STATUS_FAILURE;
    if (h->Type == NDIS_OBJECT_TYPE_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES)
        return set_add_device(a, &m->AddDeviceRegistrationAttributes);
    if (a->state != NDIS_ADAPTER_INITIALIZING) {
        umn__report("ST-15", 0, "%s sets attributes of %s outside MiniportInitializeEx",
                    a->driver->service, a->name);
        return NDIS_STATUS_FAILURE;
    }
    if (h->Type == NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES)
        return set_registration(a, &m->RegistrationAttributes);
    if (!a->attr.have_registration ||
        (h->Type != NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES &&
         !a->attr.have_general)) {
        umn__report("ST-15", 0, "%s sets attributes 0x%02x before %s ones (IM-INI-02)",
                    a->driver->service, h->Type,
                    a->attr.have_registration ? "general" : "registration");
        return NDIS_STATUS_FAILURE;
    }
    switch (h->Type) {
    case NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES:
        return set_general(a, &m->GeneralAttributes);
    case NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES:
        return set_offload(a, &m->OffloadAttributes);
    case NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES:
        /* Noted; bind parameters keep saying that nothing of it is enabled. */
        a->attr.have_hardware_assist = true;
        return NDIS_STATUS_SUCCESS;
    case NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_NATIVE_802_11_ATTRIBUTES:
    case NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_NDK_ATTRIBUTES:
    case NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_PACKET_DIRECT_ATTRIBUTES:
        return NDIS_STATUS_NOT_SUPPORTED;
    default:
        umn__report("INVALID_OBJECT_HEADER", 0x21,
                    "NdisMSetMiniportAttributes was given an object of type 0x%02x", h->Type);
        return NDIS_STATUS_FAILURE;
    }
}
