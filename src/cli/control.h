/* SPDX-License-Identifier: MIT */
/* What control.c and client.c share: the wire format of the control socket. */
#ifndef UMN_CONTROL_H
#define UMN_CONTROL_H

#include "cli.h"

struct answer {
    int32_t status;
    uint32_t text, error; /* lengths of the texts that follow */
};
int control_connect(const char *box); /* descriptor or UMN_E... */
bool control_read(int fd, void *to, size_t n);
bool control_write(int fd, const void *from, size_t n);

#endif
