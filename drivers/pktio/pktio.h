/* SPDX-License-Identifier: MIT */
/*
 * Shared inside drivers/pktio. A protocol that binds to any adapter, counts what comes and sends
 * what its control device is told to.
 *
 * A binding:  Opening -> Paused <-> Running (Pausing between) -> gone. It is found through
 * Pktio.Bindings and kept by References, one of which is the binding's own until unbind.
 * Locks (DISPATCH_LEVEL, never held across a call out): Pktio.Lock guards the list; Binding.Lock
 * the fields marked L and every send job of the binding.
 */
#ifndef PKTIO_H
#define PKTIO_H

#include <ndis.h>

#include "pktio_ioctl.h"

#define PKTIO_TAG 'tkPU'
#define PKTIO_MAX_BATCH 256
#define PKTIO_HEADER 14

typedef enum _PKTIO_STATE
{
    PktioOpening,
    PktioPaused,
    PktioRunning,
    PktioPausing
} PKTIO_STATE;

/* What one processor has received, a cache line: written at DISPATCH_LEVEL on that processor only.
 */
typedef struct _PKTIO_RECEIVED
{
    volatile LONG64 Frames, Octets, Indications, LowResources;
    LONG64 Reserved[4];
} PKTIO_RECEIVED;

typedef struct _PKTIO_ADAPTER
{
    NDIS_HANDLE Handle;
    BOOLEAN KeepLast;

    LIST_ENTRY Link;     /* Pktio.Lock */
    UNICODE_STRING Name; /* Buffer follows the structure */
    NDIS_STATUS OpenStatus;
    KEVENT Event; /* end of open and close */

    KSPIN_LOCK Lock;
    PKTIO_STATE State; /* L */
    LONG64 SendsOut;   /* L */
    KEVENT Quiet;      /* set in Pausing when SendsOut is 0 */
    UCHAR Address[6];  /* L */
    BOOLEAN LinkUp;    /* L */
    ULONG Mtu;         /* L */
    ULONG PacketFilter;
    ULONG LastLength; /* L */
    UCHAR Last[PKTIO_LAST_SIZE];

    PKTIO_RECEIVED Before;           /* L: the sums when the counters were reset */
    LONG64 FramesSent, FramesFailed; /* L */

    LONG References;
    KEVENT Unreferenced;
} PKTIO_ADAPTER;

/* [Pktio.Processors], behind the binding: no pointer has to come first. */
#define PKTIO_LINES(Size) (((Size) + 63) & ~(SIZE_T)63)
#define PKTIO_RECEIVED_OF(Binding)                                                                 \
    ((PKTIO_RECEIVED *)((UCHAR *)(Binding) + PKTIO_LINES(sizeof(PKTIO_ADAPTER))))

typedef struct _PKTIO_GLOBALS
{
    NDIS_HANDLE Protocol;
    NDIS_HANDLE Pool;
    DEVICE_OBJECT *Device;
    KSPIN_LOCK Lock;
    LIST_ENTRY Bindings;
    ULONG Processors;
} PKTIO_GLOBALS;

extern PKTIO_GLOBALS Pktio;

/* ---- binding.c ---- */
PROTOCOL_BIND_ADAPTER_EX PktioBind;
PROTOCOL_UNBIND_ADAPTER_EX PktioUnbind;
PROTOCOL_OPEN_ADAPTER_COMPLETE_EX PktioOpenComplete;
PROTOCOL_CLOSE_ADAPTER_COMPLETE_EX PktioCloseComplete;
PROTOCOL_NET_PNP_EVENT PktioNetPnpEvent;
PROTOCOL_STATUS_EX PktioStatus;
/* Looks a binding up by adapter name and references it; NULL if there is none. <= DISPATCH. */
PKTIO_ADAPTER *BindingFind(const WCHAR *Name, ULONG Chars);
void BindingDereference(PKTIO_ADAPTER *Binding);

/* ---- request.c ---- */
PROTOCOL_OID_REQUEST_COMPLETE PktioOidComplete;
/* Issues one set and waits for it. PASSIVE_LEVEL. */
NDIS_STATUS RequestSet(PKTIO_ADAPTER *Binding, NDIS_OID Oid, void *Buffer, ULONG Length);

/* ---- data.c ---- */
PROTOCOL_RECEIVE_NET_BUFFER_LISTS PktioReceive;
PROTOCOL_SEND_NET_BUFFER_LISTS_COMPLETE PktioSendComplete;
/* Sends Send->Count frames and waits for the last completion. PASSIVE_LEVEL. */
NTSTATUS DataSend(PKTIO_ADAPTER *Binding, const PKTIO_SEND *Send, PKTIO_SENT *Sent);

/* ---- control.c ---- */
DRIVER_DISPATCH PktioDispatchOpen;
DRIVER_DISPATCH PktioDispatchControl;

#endif
