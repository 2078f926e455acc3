/* SPDX-License-Identifier: MIT */
/* Words of a command line. Options may stand anywhere; what nobody takes is complained about. */
#include "cli.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void take(struct args *a, int at, int n)
{
    memmove(a->word + at, a->word + at + n, (size_t)(a->count - at - n) * sizeof *a->word);
    a->count -= n;
}

const char *arg_value(struct args *a, const char *name, bool *error)
{
    size_t n = strlen(name);
    for (int i = 0; i < a->count; i++) {
        char *w = a->word[i];
        if (!strncmp(w, name, n) && w[n] == '=') {
            take(a, i, 1);
            return w + n + 1;
        }
        if (!strcmp(w, name)) {
            if (i + 1 >= a->count) {
                *error = true;
                return NULL;
            }
            const char *value = a->word[i + 1];
            take(a, i, 2);
            return value;
        }
    }
    return NULL;
}

bool arg_flag(struct args *a, const char *name)
{
    for (int i = 0; i < a->count; i++)
        if (!strcmp(a->word[i], name)) {
            take(a, i, 1);
            return true;
        }
    return false;
}

bool arg_number(struct out *o, const char *name, const char *text, long low, long high, long *value)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno || end == text || *end || n < low || n > high) {
        out_fail(o, 2, "%s: '%s' is not a number from %ld to %ld", name, text, low, high);
        return false;
    }
    *value = n;
    return true;
}

int arg_rest(struct out *o, const struct args *a, int allowed)
{
    for (int i = 0; i < a->count; i++)
        if (a->word[i][0] == '-' && a->word[i][1])
            return out_fail(o, 2, "unknown option '%s', or its value is missing", a->word[i]);
    if (a->count > allowed)
        return out_fail(o, 2, "'%s' is one word too many", a->word[allowed]);
    return 0;
}
