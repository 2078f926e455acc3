/* SPDX-License-Identifier: MIT */
/*
 * Error numbers of the host API. Functions return 0 or one of these negative numbers; driver-facing
 * functions return NTSTATUS or NDIS_STATUS instead.
 */
#ifndef UMNDIS_ERRORS_H
#define UMNDIS_ERRORS_H

#define UMN_ENOMEM (-1)     /* an allocation failed */
#define UMN_EINVAL (-2)     /* an argument has no meaning */
#define UMN_ENOENT (-3)     /* the thing named does not exist */
#define UMN_EEXIST (-4)     /* the thing named exists already */
#define UMN_EBUSY (-5)      /* somebody else holds it */
#define UMN_EPERM (-6)      /* the kernel does not let us */
#define UMN_EIO (-7)        /* the host's I/O failed */
#define UMN_ETIMEDOUT (-8)  /* a deadline passed */
#define UMN_ENOTSUP (-9)    /* not on this back end, kernel or build */
#define UMN_ECORRUPT (-10)  /* a file is damaged or is not what it should be */
#define UMN_EDRIVER (-11)   /* a driver refused: DriverEntry, AddDevice, start failed */
#define UMN_ESTATE (-12)    /* not in this state */
#define UMN_EHANG (-13)     /* explore: nothing can run and an obligation is open */
#define UMN_EREPORT (-14)   /* the run ended with at least one report */
#define UMN_EMISMATCH (-15) /* strict replay: the run left the recorded trace */
#define UMN_ECANCELED (-16) /* cancelled, or the box is stopping */

/* The error's short text in English, never NULL. */
const char *umn_strerror(int error);

#endif
