/* SPDX-License-Identifier: MIT */
/*
 * Parser of the UpperBindings value: a REG_MULTI_SZ (or one REG_SZ) of device names that came from
 * the registry and is trusted in nothing (IM-CFG-01). Touches no state; any IRQL. Names that are
 * empty or longer than MUX_MAX_NAME_BYTES are stepped over, a missing terminator ends at the last
 * character, an odd byte is ignored. Duplicates are the caller's business.
 */
#include "mux.h"

/* Begins a walk over Bytes bytes at Data. Single: the value is one string. */
VOID NamesStart(MUX_CURSOR *Cursor, const VOID *Data, ULONG Bytes, BOOLEAN Single)
{
    Cursor->At = (const WCHAR *)Data;
    Cursor->End = Data == NULL ? Cursor->At : Cursor->At + Bytes / sizeof(WCHAR);
    Cursor->Single = Single;
}

/*
 * Steps to the next usable name; FALSE at the end. *Name points into the data, without terminator.
 * An empty string does not end the list: what follows it may still be a name.
 */
BOOLEAN NamesNext(MUX_CURSOR *Cursor, PNDIS_STRING Name)
{
    while (Cursor->At < Cursor->End)
    {
        const WCHAR *Start = Cursor->At;
        const WCHAR *Stop = Start;
        SIZE_T Bytes;

        while (Stop < Cursor->End && *Stop != 0)
        {
            Stop++;
        }
        Cursor->At = Cursor->Single ? Cursor->End : Stop + (Stop < Cursor->End);
        Bytes = (SIZE_T)(Stop - Start) * sizeof(WCHAR);
        if (Bytes == 0 || Bytes > MUX_MAX_NAME_BYTES)
        {
            continue;
        }
        Name->Buffer = (WCHAR *)(ULONG_PTR)Start;
        Name->Length = (USHORT)Bytes;
        Name->MaximumLength = (USHORT)Bytes;
        return TRUE;
    }
    return FALSE;
}
