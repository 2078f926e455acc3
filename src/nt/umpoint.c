/* SPDX-License-Identifier: MIT */
/* The scheduling point of inline operations in the driver headers (umpoint.h). No state. */
#include <ntdef.h>
#include <umpoint.h>

#include "sched/sched.h"

/* Any level; called only while UmnPointsOn is set. */
void NTAPI UmnPoint(unsigned Op, const volatile void *Object)
{
    umn__point_slow(UMN_OP_ATOMIC, Object);
}
