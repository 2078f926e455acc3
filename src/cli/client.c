/* SPDX-License-Identifier: MIT */
/* Sends a command to a running box and takes its answer. */
#include "control.h"
#include <string.h>
#include <unistd.h>
#include "plat/plat.h"

static bool send_words(int fd, const struct args *a)
{
    uint32_t size = 0;
    for (int i = 0; i < a->count; i++)
        size += (uint32_t)strlen(a->word[i]) + 1;
    if (!control_write(fd, &size, sizeof size))
        return false;
    for (int i = 0; i < a->count; i++)
        if (!control_write(fd, a->word[i], strlen(a->word[i]) + 1))
            return false;
    return true;
}

static bool take_text(int fd, uint32_t size, char **text, size_t *length)
{
    if (!size)
        return true;
    *text = plat_alloc(size + 1u);
    *length = size;
    return *text && control_read(fd, *text, size);
}

int client_run(const char *box, struct out *o, const struct args *a)
{
    int fd = control_connect(box);
    if (fd < 0)
        return -1;
    struct answer head;
    int status = 1;
    if (send_words(fd, a) && control_read(fd, &head, sizeof head) &&
        take_text(fd, head.text, &o->text, &o->length) &&
        take_text(fd, head.error, &o->error, &o->error_length))
        status = head.status;
    else
        out_fail(o, 1, "the box '%s' ended before it answered", box);
    close(fd);
    return status;
}
