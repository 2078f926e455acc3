/* SPDX-License-Identifier: MIT */
/*
 * Brings the TAP in line with what the adapter is: address, MTU, offloads, carrier. The ioctls take
 * the kernel's rtnl lock, which others may hold for long, so they run in a worker, one run for any
 * number of changes. Also ends the watch of an interface that was deleted.
 */
#include "tap.h"

/* Linux builds segments up to this much TCP payload; an adapter that takes less gets none. */
#define TAP_LARGEST 65495

static BOOLEAN Ethernet(ULONG Encapsulation)
{
    return (Encapsulation & NDIS_ENCAPSULATION_IEEE_802_3) != 0;
}

ULONG SyncOffload(const NDIS_OFFLOAD *O, ULONG Length)
{
    ULONG Bits = 0;

    if (!O || Length < NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1)
        return 0;
    /* The kernel fills headers as it likes: without options support there is no use for it. */
    if (Ethernet(O->Checksum.IPv4Transmit.Encapsulation))
    {
        if (O->Checksum.IPv4Transmit.TcpChecksum && O->Checksum.IPv4Transmit.TcpOptionsSupported)
            Bits |= TAP_TCP4;
        if (O->Checksum.IPv4Transmit.UdpChecksum)
            Bits |= TAP_UDP4;
    }
    if (Ethernet(O->Checksum.IPv6Transmit.Encapsulation))
    {
        if (O->Checksum.IPv6Transmit.TcpChecksum && O->Checksum.IPv6Transmit.TcpOptionsSupported)
            Bits |= TAP_TCP6;
        if (O->Checksum.IPv6Transmit.UdpChecksum)
            Bits |= TAP_UDP6;
    }
    if (Ethernet(O->LsoV2.IPv4.Encapsulation) && O->LsoV2.IPv4.MaxOffLoadSize >= TAP_LARGEST &&
        O->LsoV2.IPv4.MinSegmentCount <= 2 && (Bits & TAP_TCP4))
        Bits |= TAP_LSO4;
    if (Ethernet(O->LsoV2.IPv6.Encapsulation) && O->LsoV2.IPv6.MaxOffLoadSize >= TAP_LARGEST &&
        O->LsoV2.IPv6.MinSegmentCount <= 2 && O->LsoV2.IPv6.TcpOptionsSupported &&
        (Bits & TAP_TCP6))
        Bits |= TAP_LSO6;
    if (O->Header.Revision >= NDIS_OFFLOAD_REVISION_6 &&
        Length >= NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_6 &&
        Ethernet(O->UdpSegmentation.IPv4.Encapsulation) &&
        Ethernet(O->UdpSegmentation.IPv6.Encapsulation) &&
        O->UdpSegmentation.IPv4.MaxOffLoadSize >= TAP_LARGEST &&
        O->UdpSegmentation.IPv6.MaxOffLoadSize >= TAP_LARGEST &&
        O->UdpSegmentation.IPv4.SubMssFinalSegmentSupported &&
        O->UdpSegmentation.IPv6.SubMssFinalSegmentSupported && (Bits & TAP_UDP4) &&
        (Bits & TAP_UDP6))
        Bits |= TAP_USO;
    return Bits;
}

static unsigned HostBits(ULONG Offload)
{
    unsigned Bits = 0;

    if (Offload & TAP_ANY_CSUM)
        Bits |= TAP_HOST_CSUM;
    if (Offload & TAP_LSO4)
        Bits |= TAP_HOST_TSO4;
    if (Offload & TAP_LSO6)
        Bits |= TAP_HOST_TSO6;
    if (Offload & TAP_USO)
        Bits |= TAP_HOST_USO;
    return Bits;
}

static void Apply(TAP_BINDING *Binding)
{
    UCHAR Address[6];
    ULONG Mtu, Offload;
    BOOLEAN LinkUp;
    KIRQL Irql;

    KeAcquireSpinLock(&Binding->Lock, &Irql);
    RtlCopyMemory(Address, Binding->Address, 6);
    Mtu = Binding->Mtu;
    Offload = Binding->Offload;
    LinkUp = Binding->LinkUp;
    KeReleaseSpinLock(&Binding->Lock, Irql);

    /* Each is as good as it gets: an interface in another namespace keeps its MTU, and one that
     * the kernel does not let us change keeps what it has. */
    TapHostOffload(Binding->Fd, HostBits(Offload));
    TapHostAddress(Binding->Fd, Address);
    TapHostMtu(Binding->Fd, Mtu);
    TapHostCarrier(Binding->Fd, LinkUp);
}

void SyncNow(TAP_BINDING *Binding)
{
    BOOLEAN Gone;
    KIRQL Irql;

    KeWaitForSingleObject(&Binding->TapMutex, Executive, KernelMode, FALSE, NULL);
    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Gone = Binding->Gone;
    KeReleaseSpinLock(&Binding->Lock, Irql);
    if (!Gone)
    {
        Apply(Binding);
    }
    else if (Binding->Watch)
    {
        /* The descriptor stays open until somebody may open a new one: others may be in a write. */
        PoolUnwait(Binding);
        UmhUnwatch(Binding->Watch);
        Binding->Watch = NULL;
    }
    KeReleaseMutex(&Binding->TapMutex, FALSE);
}

void NTAPI SyncRun(DEVICE_OBJECT *Object, PVOID Context)
{
    TAP_BINDING *Binding = Context;
    BOOLEAN Again = TRUE;
    KIRQL Irql;

    while (Again)
    {
        SyncNow(Binding);
        KeAcquireSpinLock(&Binding->Lock, &Irql);
        Again = Binding->SyncAgain;
        Binding->SyncAgain = FALSE;
        Binding->SyncQueued = Again;
        KeReleaseSpinLock(&Binding->Lock, Irql);
    }
    BindingDereference(Binding);
}

void SyncQueue(TAP_BINDING *Binding)
{
    BOOLEAN Queue;
    KIRQL Irql;

    KeAcquireSpinLock(&Binding->Lock, &Irql);
    Queue = !Binding->SyncQueued;
    Binding->SyncQueued = TRUE;
    if (Queue)
        InterlockedIncrement(&Binding->References);
    else
        Binding->SyncAgain = TRUE;
    KeReleaseSpinLock(&Binding->Lock, Irql);
    if (Queue)
        IoQueueWorkItem(Binding->Sync, SyncRun, DelayedWorkQueue, Binding);
}
