/* SPDX-License-Identifier: MIT */
/* Answers of commands: two growing texts and a small JSON writer. No lock: one command, one out. */
#include "cli.h"
#include <stdio.h>
#include <string.h>
#include "plat/plat.h"

static void append(char **text, size_t *length, size_t *room, const char *add, size_t n)
{
    if (*length + n + 1 > *room) {
        size_t want = (*length + n + 1) * 2 + 256;
        char *more = plat_realloc(*text, want);
        if (!more)
            return; /* the answer is cut; the exit status still tells */
        *text = more;
        *room = want;
    }
    memcpy(*text + *length, add, n);
    *length += n;
    (*text)[*length] = 0;
}

static void vappend(char **text, size_t *length, size_t *room, const char *fmt, va_list ap)
{
    char small[512];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    if (n >= 0 && (size_t)n < sizeof small) {
        append(text, length, room, small, (size_t)n);
    } else if (n > 0) {
        char *big = plat_alloc((size_t)n + 1);
        if (big) {
            vsnprintf(big, (size_t)n + 1, fmt, again);
            append(text, length, room, big, (size_t)n);
            plat_free(big);
        }
    }
    va_end(again);
}

void out_free(struct out *o)
{
    plat_free(o->text);
    plat_free(o->error);
    memset(o, 0, sizeof *o);
}

void out_text(struct out *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vappend(&o->text, &o->length, &o->room, fmt, ap);
    va_end(ap);
}

int out_fail(struct out *o, int status, const char *fmt, ...)
{
    va_list ap;
    append(&o->error, &o->error_length, &o->error_room, "umndis: ", 8);
    va_start(ap, fmt);
    vappend(&o->error, &o->error_length, &o->error_room, fmt, ap);
    va_end(ap);
    append(&o->error, &o->error_length, &o->error_room, "\n", 1);
    return status;
}

static void quoted(struct out *o, const char *s)
{
    out_text(o, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            out_text(o, "\\%c", c);
        else if (c < 0x20)
            out_text(o, "\\u%04x", c);
        else
            append(&o->text, &o->length, &o->room, s, 1);
    }
    out_text(o, "\"");
}

static void member(struct out *o, const char *name)
{
    if (o->depth && !o->first)
        out_text(o, ",");
    if (o->depth)
        out_text(o, "\n%*s", (int)o->depth * 2, "");
    o->first = false;
    if (name) {
        quoted(o, name);
        out_text(o, ": ");
    }
}

void out_open(struct out *o, const char *name, char bracket)
{
    member(o, name);
    out_text(o, "%c", bracket);
    o->depth++;
    o->first = true;
}

void out_close(struct out *o, char bracket)
{
    bool empty = o->first;
    o->depth--;
    o->first = false;
    if (!empty)
        out_text(o, "\n%*s", (int)o->depth * 2, "");
    out_text(o, "%c%s", bracket, o->depth ? "" : "\n");
}

void out_str(struct out *o, const char *name, const char *value)
{
    member(o, name);
    quoted(o, value ? value : "");
}
void out_num(struct out *o, const char *name, uint64_t value)
{
    member(o, name);
    out_text(o, "%llu", (unsigned long long)value);
}
void out_bool(struct out *o, const char *name, bool value)
{
    member(o, name);
    out_text(o, value ? "true" : "false");
}
