/* SPDX-License-Identifier: MIT */
/*
 * The state of the link: the kernel's news become NDIS_STATUS_LINK_STATE; an interface that is gone
 * becomes a surprise removal. Owns AFP_ADAPTER.Link and .Gone.
 */
#include "af.h"

#define SPEED_UNKNOWN 10000000000ull

void LinkFill(const AF_LINK *Link, NDIS_LINK_STATE *State)
{
    RtlZeroMemory(State, sizeof(*State));
    State->Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    State->Header.Revision = NDIS_LINK_STATE_REVISION_1;
    State->Header.Size = NDIS_SIZEOF_LINK_STATE_REVISION_1;
    State->MediaConnectState =
        Link->Up ? MediaConnectStateConnected : MediaConnectStateDisconnected;
    State->MediaDuplexState = MediaDuplexStateFull;
    State->XmitLinkSpeed = Link->BitsPerSecond ? Link->BitsPerSecond : SPEED_UNKNOWN;
    State->RcvLinkSpeed = State->XmitLinkSpeed;
    State->PauseFunctions = NdisPauseFunctionsUnsupported;
}

static void Indicate(AFP_ADAPTER *Adapter, const AF_LINK *Link)
{
    NDIS_LINK_STATE State;
    NDIS_STATUS_INDICATION Indication;

    LinkFill(Link, &State);
    RtlZeroMemory(&Indication, sizeof(Indication));
    Indication.Header.Type = NDIS_OBJECT_TYPE_STATUS_INDICATION;
    Indication.Header.Revision = NDIS_STATUS_INDICATION_REVISION_1;
    Indication.Header.Size = NDIS_SIZEOF_STATUS_INDICATION_REVISION_1;
    Indication.SourceHandle = Adapter->Handle;
    Indication.StatusCode = NDIS_STATUS_LINK_STATE;
    Indication.StatusBuffer = &State;
    Indication.StatusBufferSize = sizeof(State);
    NdisMIndicateStatusEx(Adapter->Handle, &Indication);
}

static void SetGone(AFP_ADAPTER *Adapter)
{
    AF_LINK Down;
    BOOLEAN First;
    KIRQL Irql;

    KeAcquireSpinLock(&Adapter->Lock, &Irql);
    First = !Adapter->Gone;
    Adapter->Gone = TRUE;
    Adapter->Link.Up = 0;
    Down = Adapter->Link;
    AdapterSetEvents(Adapter);
    KeReleaseSpinLock(&Adapter->Lock, Irql);
    if (!First)
        return;
    Indicate(Adapter, &Down);
    UmhDeviceGone(Adapter->Pdo);
}

void LinkCheck(AFP_ADAPTER *Adapter)
{
    AF_LINK Now;
    BOOLEAN Changed;
    KIRQL Irql;
    int Error = AfHostLink(Adapter->Host, &Now);

    if (Error == AF_ENODEV)
    {
        SetGone(Adapter);
        return;
    }
    if (Error)
        return;
    KeAcquireSpinLock(&Adapter->Lock, &Irql);
    Changed =
        Now.Up != Adapter->Link.Up || (Now.BitsPerSecond != Adapter->Link.BitsPerSecond && Now.Up);
    Adapter->Link = Now;
    KeReleaseSpinLock(&Adapter->Lock, Irql);
    if (Changed)
        Indicate(Adapter, &Now);
}

void NTAPI LinkReady(void *Context, ULONG Events)
{
    AFP_ADAPTER *Adapter = Context;
    int Change = AfHostLinkChanges(Adapter->Host);

    if (Change == AF_ENODEV)
        SetGone(Adapter);
    else if (Change)
        LinkCheck(Adapter);
}
