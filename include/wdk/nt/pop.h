/* SPDX-License-Identifier: MIT */
/* Closes the region that nt/push.h opened. No guard. */
#if defined(__clang__)
#if !defined(_WIN32)
#pragma ms_struct reset
#endif
#pragma clang diagnostic pop
#endif
