/* SPDX-License-Identifier: MIT */
/*
 * UpperBindings when it is longer than NdisReadConfiguration can say: the counted string of an
 * NDIS_CONFIGURATION_PARAMETER ends at 64 KB, which is about 700 device names. The key is the one
 * that ProtocolSection of the bind parameters names (`ns-ndis-_ndis_bind_parameters.md`); it is
 * opened only here. No state; PASSIVE_LEVEL.
 */
#include "mux.h"

#define LONG_LIST_MAX (16u * 1024 * 1024) /* more is no list of names */

static const WCHAR LongServices[] = {
    '\\', 'R', 'e', 'g', 'i', 's', 't',  'r', 'y', '\\', 'M', 'a', 'c', 'h', 'i', 'n', 'e', '\\',
    'S',  'y', 's', 't', 'e', 'm', '\\', 'C', 'u', 'r',  'r', 'e', 'n', 't', 'C', 'o', 'n', 't',
    'r',  'o', 'l', 'S', 'e', 't', '\\', 'S', 'e', 'r',  'v', 'i', 'c', 'e', 's', '\\'};

/* Keeps the full path of the binding's key. FALSE: no memory, or a path that no string can hold. */
BOOLEAN LongListInit(MUX_BINDING *Binding, const NDIS_STRING *ProtocolSection)
{
    ULONG Length = sizeof(LongServices) + ProtocolSection->Length;

    if (Length > 0xFFFE)
    {
        return FALSE;
    }
    Binding->Section.Buffer = MuxAllocate(Length, MUX_TAG_LIST);
    if (Binding->Section.Buffer == NULL)
    {
        return FALSE;
    }
    NdisMoveMemory(Binding->Section.Buffer, LongServices, sizeof(LongServices));
    NdisMoveMemory((UCHAR *)Binding->Section.Buffer + sizeof(LongServices), ProtocolSection->Buffer,
                   ProtocolSection->Length);
    Binding->Section.Length = (USHORT)Length;
    Binding->Section.MaximumLength = (USHORT)Length;
    return TRUE;
}

static NDIS_STATUS LongListQuery(HANDLE Key, PNDIS_STRING Keyword,
                                 PKEY_VALUE_PARTIAL_INFORMATION *Value)
{
    PKEY_VALUE_PARTIAL_INFORMATION Info = NULL;
    ULONG Size = 0;
    ULONG Needed = 0;
    NTSTATUS Status;

    for (;;)
    {
        Status = ZwQueryValueKey(Key, Keyword, KeyValuePartialInformation, Info, Size, &Needed);
        if (NT_SUCCESS(Status))
        {
            *Value = Info;
            return NDIS_STATUS_SUCCESS;
        }
        MuxFree(Info);
        /* It may grow between two calls, so once more as long as it does. */
        if ((Status != STATUS_BUFFER_TOO_SMALL && Status != STATUS_BUFFER_OVERFLOW) ||
            Needed <= Size || Needed > LONG_LIST_MAX)
        {
            return NDIS_STATUS_FAILURE;
        }
        Size = Needed;
        Info = MuxAllocate(Size, MUX_TAG_LIST);
        if (Info == NULL)
        {
            return NDIS_STATUS_RESOURCES;
        }
    }
}

/*
 * The whole value, whatever its length, to be freed with MuxFree. FAILURE: the key or the value is
 * gone; RESOURCES.
 */
NDIS_STATUS LongListRead(MUX_BINDING *Binding, PNDIS_STRING Keyword,
                         PKEY_VALUE_PARTIAL_INFORMATION *Value)
{
    OBJECT_ATTRIBUTES Attributes;
    NDIS_STATUS Status;
    HANDLE Key;

    InitializeObjectAttributes(&Attributes, &Binding->Section,
                               OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    if (!NT_SUCCESS(ZwOpenKey(&Key, KEY_READ, &Attributes)))
    {
        return NDIS_STATUS_FAILURE;
    }
    Status = LongListQuery(Key, Keyword, Value);
    ZwClose(Key);
    return Status;
}
