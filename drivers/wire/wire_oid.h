/* SPDX-License-Identifier: MIT */
/*
 * Private OID of the wire miniport, for tests and benches: its frame generator on command.
 */
#ifndef WIRE_OID_H
#define WIRE_OID_H

/* Set: ULONG64, how many frames to indicate from now on (0 stops; INVALID_DATA without generator
 * settings). Query: WIRE_GENERATOR_STATE. */
#define OID_WIRE_GENERATE 0xFF57A001u

typedef struct _WIRE_GENERATOR_STATE
{
    ULONG64 Left;      /* frames still to indicate; 0 = idle */
    ULONG64 Indicated; /* since the last set */
    ULONG64 Returned;  /* of those, back from above */
    ULONG64 Started;   /* interrupt time of the first batch, 100 ns */
    ULONG64 Ended;     /* and of the last NBL's return; 0 while running */
} WIRE_GENERATOR_STATE;

#endif
