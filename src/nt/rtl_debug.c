/* SPDX-License-Identifier: MIT */
/*
 * DbgPrint: Windows formats to the event trace ("dbgprint") and, at debug level, to stderr. Formats
 * in a buffer on the stack of 512 bytes, as DbgPrint's own limit. No state. Any IRQL; %ws and its
 * like at PASSIVE_LEVEL on Windows, which is checked.
 */
#include "nt/private.h"

#include <stdio.h>
#include <string.h>

#define LIMIT 512

struct out {
    char text[LIMIT];
    size_t n;
};

struct spec {
    char flags[8];
    int width, precision; /* -1: none */
    bool wide_string, narrow_string;
    unsigned size; /* bytes of an integer argument: 1 2 4 8 */
};

static void put_bytes(struct out *o, const char *s, size_t n)
{
    size_t room = LIMIT - 1 - o->n;
    if (n > room)
        n = room;
    memcpy(o->text + o->n, s, n);
    o->n += n;
}

static void put_padded(struct out *o, const struct spec *s, const char *text, size_t n)
{
    bool left = strchr(s->flags, '-') != NULL;
    size_t pad = s->width > 0 && (size_t)s->width > n ? (size_t)s->width - n : 0;
    for (size_t i = 0; !left && i < pad; i++)
        put_bytes(o, " ", 1);
    put_bytes(o, text, n);
    for (size_t i = 0; left && i < pad; i++)
        put_bytes(o, " ", 1);
}

/* At most `n` characters of UTF-16 as UTF-8; `n` also limits how much is read. */
static void put_wide(struct out *o, const struct spec *s, const WCHAR *text, size_t n)
{
    char utf8[LIMIT];
    ULONG bytes = 0;
    umn__check_irql(PASSIVE_LEVEL, "DbgPrint of a Unicode string");
    if (s->precision >= 0 && (size_t)s->precision < n)
        n = (size_t)s->precision;
    if (n > LIMIT)
        n = LIMIT;
    RtlUnicodeToUTF8N(utf8, sizeof utf8, &bytes, text, (ULONG)(n * sizeof *text));
    put_padded(o, s, utf8, bytes);
}

static size_t wide_length(const WCHAR *text, int precision)
{
    size_t n = 0;
    while ((precision < 0 || n < (size_t)precision) && n < LIMIT && text[n])
        n++;
    return n;
}

static void put_string(struct out *o, const struct spec *s, const void *text, bool wide)
{
    if (!text) {
        put_padded(o, s, "(null)", 6);
    } else if (wide) {
        put_wide(o, s, text, wide_length(text, s->precision));
    } else {
        size_t n = strnlen(text, s->precision >= 0 ? (size_t)s->precision : LIMIT);
        put_padded(o, s, text, n);
    }
}

/* %Z ANSI_STRING, %wZ UNICODE_STRING. */
static void put_counted(struct out *o, const struct spec *s, const void *string)
{
    const UNICODE_STRING *u = string; /* STRING has the same layout */
    if (!u || !u->Buffer)
        put_padded(o, s, "(null)", 6);
    else if (s->wide_string)
        put_wide(o, s, u->Buffer, u->Length / sizeof(WCHAR));
    else
        put_padded(o, s, (const char *)u->Buffer, u->Length);
}

static void put_integer(struct out *o, const struct spec *s, unsigned long long value, char kind)
{
    char format[32], text[96];
    int width = s->width > 80 ? 80 : s->width, precision = s->precision > 80 ? 80 : s->precision;
    bool is_signed = kind == 'd' || kind == 'i';
    if (s->size < 8) {
        unsigned shift = 64 - 8 * s->size;
        value = is_signed ? (unsigned long long)((long long)(value << shift) >> shift)
                          : value << shift >> shift;
    }
    if (precision >= 0)
        snprintf(format, sizeof format, "%%%s%d.%dll%c", s->flags, width > 0 ? width : 0, precision,
                 kind);
    else if (width > 0)
        snprintf(format, sizeof format, "%%%s%dll%c", s->flags, width, kind);
    else
        snprintf(format, sizeof format, "%%%sll%c", s->flags, kind);
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wformat-nonliteral"
    int n = snprintf(text, sizeof text, format, value);
#pragma clang diagnostic pop
    if (n > 0)
        put_bytes(o, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

static const char *parse_flags(const char *p, struct spec *s)
{
    size_t n = 0;
    while (*p && strchr("-+ #0", *p)) {
        if (n + 1 < sizeof s->flags && !strchr(s->flags, *p))
            s->flags[n++] = *p;
        p++;
    }
    return p;
}

static const char *parse_size(const char *p, struct spec *s)
{
    for (;; p++) {
        if (p[0] == 'I' && p[1] == '6' && p[2] == '4') {
            s->size = 8;
            p += 2;
        } else if (p[0] == 'I' && p[1] == '3' && p[2] == '2') {
            s->size = 4;
            p += 2;
        } else if (p[0] == 'l' && p[1] == 'l') {
            s->size = 8;
            p++;
        } else if (*p == 'l' || *p == 'w') { /* long is 32 bits; with a string it means wide */
            s->wide_string = true;
        } else if (*p == 'h') {
            s->size = s->size == 2 ? 1 : 2;
            s->narrow_string = true;
        } else if (*p == 'I' || *p == 'z' || *p == 'j' || *p == 't') {
            s->size = 8;
        } else {
            return p;
        }
    }
}

static int number_or_star(const char **p, __builtin_ms_va_list *args)
{
    int n = 0;
    if (**p == '*') {
        (*p)++;
        return __builtin_va_arg(*args, int);
    }
    for (; **p >= '0' && **p <= '9'; (*p)++)
        n = n < 1000 ? n * 10 + (**p - '0') : n;
    return n;
}

/* One conversion; returns what follows it. */
static const char *convert(struct out *o, const char *p, __builtin_ms_va_list *args)
{
    struct spec s = {.width = -1, .precision = -1, .size = 4};
    p = parse_flags(p, &s);
    if (*p == '*' || (*p >= '0' && *p <= '9'))
        s.width = number_or_star(&p, args);
    if (*p == '.') {
        p++;
        s.precision = number_or_star(&p, args);
    }
    p = parse_size(p, &s);
    switch (*p) {
    case '%':
        put_bytes(o, "%", 1);
        break;
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        put_integer(o, &s, __builtin_va_arg(*args, unsigned long long), *p);
        break;
    case 'p':
    case 'P':
        s.size = 8;
        s.precision = 16;
        put_integer(o, &s, __builtin_va_arg(*args, unsigned long long), 'X');
        break;
    case 's':
        put_string(o, &s, __builtin_va_arg(*args, const void *), s.wide_string);
        break;
    case 'S': /* the other width than %s */
        put_string(o, &s, __builtin_va_arg(*args, const void *), !s.narrow_string);
        break;
    case 'c':
    case 'C': {
        WCHAR c = (WCHAR) __builtin_va_arg(*args, int);
        char narrow = (char)c;
        if (s.wide_string || (*p == 'C' && !s.narrow_string))
            put_wide(o, &s, &c, 1);
        else
            put_padded(o, &s, &narrow, 1);
        break;
    }
    case 'Z':
        put_counted(o, &s, __builtin_va_arg(*args, const void *));
        break;
    case 0:
        return p;
    default: /* unknown: shown as it stands, with nothing taken */
        put_bytes(o, "%", 1);
        put_bytes(o, p, 1);
    }
    return p + 1;
}

static ULONG print(const char *format, __builtin_ms_va_list *args)
{
    struct out o = {.n = 0};
    for (const char *p = format; *p;) {
        const char *percent = strchr(p, '%');
        size_t n = percent ? (size_t)(percent - p) : strlen(p);
        put_bytes(&o, p, n);
        p += n;
        if (*p == '%')
            p = convert(&o, p + 1, args);
    }
    o.text[o.n] = 0;
    while (o.n && (o.text[o.n - 1] == '\n' || o.text[o.n - 1] == '\r'))
        o.text[--o.n] = 0;
    umn__trace("dbgprint", "%s", o.text);
    plat_log(3, "dbgprint: %s", o.text);
    return STATUS_SUCCESS;
}

/* <= DIRQL. nf-wdm-dbgprint.md */
ULONG NTAPI DbgPrint(PCSTR Format, ...)
{
    __builtin_ms_va_list args;
    __builtin_ms_va_start(args, Format);
    ULONG status = print((const char *)Format, &args);
    __builtin_ms_va_end(args);
    return status;
}

/* Component and level select nothing: the trace keeps all. nf-wdm-dbgprintex.md */
ULONG NTAPI DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...)
{
    __builtin_ms_va_list args;
    __builtin_ms_va_start(args, Format);
    ULONG status = print((const char *)Format, &args);
    __builtin_ms_va_end(args);
    return status;
}

/* nf-wdm-vdbgprintex.md */
ULONG NTAPI vDbgPrintEx(ULONG ComponentId, ULONG Level, PCCH Format, NT_VA_LIST ArgList)
{
    return print((const char *)Format, (__builtin_ms_va_list *)&ArgList);
}

/* There is no kernel debugger to break into: reported, and the driver goes on. */
void NTAPI DbgBreakPoint(void)
{
    umn__report("DbgBreakPoint", 0, "%s called DbgBreakPoint",
                io__owner(__builtin_return_address(0)));
}

void NTAPI DbgBreakPointWithStatus(ULONG Status)
{
    umn__report("DbgBreakPoint", Status, "%s called DbgBreakPointWithStatus",
                io__owner(__builtin_return_address(0)));
}
