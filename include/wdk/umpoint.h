/* SPDX-License-Identifier: MIT */
/* The scheduling point that inline operations of the driver headers pass through on ELF. When
 * UmnPointsOn is non-zero, every Interlocked operation first calls UmnPoint, so that the schedule
 * explorer can switch contexts there. A driver built for Windows contains none of this. */
#ifndef UMN_WDK_UMPOINT_H
#define UMN_WDK_UMPOINT_H

#if !defined(_WIN32)

enum {
    UMN_POINT_READ = 1,
    UMN_POINT_WRITE,
    UMN_POINT_EXCHANGE,
    UMN_POINT_COMPARE_EXCHANGE,
    UMN_POINT_ADD,
    UMN_POINT_LOGIC,
    UMN_POINT_LIST
};

extern unsigned char UmnPointsOn;

__attribute__((ms_abi)) void UmnPoint(unsigned Op, const volatile void *Object);

#define UMN_POINT(Op, Object)                                                                      \
    (__builtin_expect(UmnPointsOn != 0, 0) ? UmnPoint((Op), (Object)) : (void)0)

#else

#define UMN_POINT(Op, Object) ((void)0)

#endif

#endif /* UMN_WDK_UMPOINT_H */
