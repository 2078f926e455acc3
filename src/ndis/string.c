/* SPDX-License-Identifier: MIT */
/* Strings that NDIS allocates; the rest of the string functions are Rtl's (macros of ndis.h). */
#include "ndis/data.h"

#include <string.h>

#define STRING_TAG 0x7274534eu

/*
 * Destination becomes a terminated copy of the ANSI text, in pool that NdisFreeString gives back;
 * Buffer NULL without memory. PASSIVE_LEVEL. nf-ndis-ndisinitializestring.md
 */
void NTAPI NdisInitializeString(PNDIS_STRING Destination, PUCHAR Source)
{
    size_t n = strlen((const char *)Source);

    umn__check_irql(UMN_PASSIVE, "NdisInitializeString");
    *Destination = (NDIS_STRING){0};
    if (n > UINT16_MAX / sizeof(WCHAR) - 1)
        return;
    Destination->Buffer = ExAllocatePoolWithTag(NonPagedPool, (n + 1) * sizeof(WCHAR), STRING_TAG);
    if (!Destination->Buffer)
        return;
    for (size_t i = 0; i <= n; i++)
        Destination->Buffer[i] = Source[i];
    Destination->Length = (USHORT)(n * sizeof(WCHAR));
    Destination->MaximumLength = (USHORT)((n + 1) * sizeof(WCHAR));
}
