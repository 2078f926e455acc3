/* SPDX-License-Identifier: MIT */
/*
 * Text: UTF-8 of the host against UTF-16 of drivers, and comparison without case. No state, no
 * lock, any IRQL; what allocates returns NULL when memory is short.
 */
#include "nt/private.h"

#include <string.h>

size_t umn__wcslen(const WCHAR *text)
{
    size_t n = 0;
    while (text[n])
        n++;
    return n;
}

/*
 * Upper case by range, for letters whose pairs lie at a fixed distance or alternate: ASCII,
 * Latin-1, Latin Extended-A, Greek, Cyrillic, Armenian, full-width forms. As in Windows, U+00DF
 * and U+0131 stay, and U+00FF becomes U+0178.
 */
WCHAR umn__upcase(WCHAR c)
{
    if (c < 0x80)
        return c >= 'a' && c <= 'z' ? (WCHAR)(c - 32) : c;
    if (c >= 0xe0 && c <= 0xfe)
        return c == 0xf7 ? c : (WCHAR)(c - 32);
    if (c == 0xff)
        return 0x178;
    if ((c >= 0x100 && c <= 0x12f) || (c >= 0x132 && c <= 0x137) || (c >= 0x14a && c <= 0x177))
        return (WCHAR)(c & ~1);
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
        return c & 1 ? c : (WCHAR)(c - 1);
    if (c == 0x3ac)
        return 0x386;
    if (c >= 0x3ad && c <= 0x3af)
        return (WCHAR)(c - 37);
    if (c >= 0x3b1 && c <= 0x3cb)
        return c == 0x3c2 ? 0x3a3 : (WCHAR)(c - 32);
    if (c == 0x3cc)
        return 0x38c;
    if (c == 0x3cd || c == 0x3ce)
        return (WCHAR)(c - 63);
    if (c >= 0x430 && c <= 0x44f)
        return (WCHAR)(c - 32);
    if (c >= 0x450 && c <= 0x45f)
        return (WCHAR)(c - 80);
    if ((c >= 0x460 && c <= 0x481) || (c >= 0x48a && c <= 0x4bf) || (c >= 0x4d0 && c <= 0x513))
        return (WCHAR)(c & ~1);
    if (c >= 0x561 && c <= 0x586)
        return (WCHAR)(c - 48);
    if (c >= 0xff41 && c <= 0xff5a)
        return (WCHAR)(c - 32);
    return c;
}

int umn__wcsicmp(const WCHAR *a, const WCHAR *b)
{
    for (;; a++, b++) {
        int d = (int)umn__upcase(*a) - (int)umn__upcase(*b);
        if (d || !*a)
            return d;
    }
}

int umn__stricmp(const char *a, const char *b)
{
    for (;; a++, b++) {
        int x = (unsigned char)*a, y = (unsigned char)*b;
        if (x >= 'a' && x <= 'z')
            x -= 32;
        if (y >= 'a' && y <= 'z')
            y -= 32;
        if (x != y || !x)
            return x - y;
    }
}

/* Decodes one code point; 0 bytes used = not well formed. */
static size_t utf8_next(const unsigned char *s, size_t left, uint32_t *out)
{
    unsigned lead = s[0];
    size_t n = lead < 0x80                   ? 1
               : lead >= 0xc2 && lead < 0xe0 ? 2
               : lead >= 0xe0 && lead < 0xf0 ? 3
                                             : 4;
    if (n == 1) {
        *out = lead;
        return 1;
    }
    if (lead < 0xc2 || lead > 0xf4 || n > left)
        return 0;
    uint32_t c = lead & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff ||
        (c >= 0xd800 && c < 0xe000))
        return 0;
    *out = c;
    return n;
}

/* As umn__utf16 for counted input; *out_length (may be NULL) gets the length in WCHARs. */
WCHAR *umn__utf16_n(const char *utf8, size_t length, size_t *out_length)
{
    const unsigned char *s = (const unsigned char *)utf8;
    WCHAR *out = plat_alloc((length + 1) * sizeof *out);
    size_t n = 0;
    if (!out)
        return NULL;
    for (size_t i = 0; i < length;) {
        uint32_t c;
        size_t used = utf8_next(s + i, length - i, &c);
        if (!used) {
            plat_free(out);
            return NULL;
        }
        i += used;
        if (c >= 0x10000) {
            out[n++] = (WCHAR)(0xd800 + ((c - 0x10000) >> 10));
            out[n++] = (WCHAR)(0xdc00 + ((c - 0x10000) & 0x3ff));
        } else {
            out[n++] = (WCHAR)c;
        }
    }
    out[n] = 0;
    if (out_length)
        *out_length = n;
    return out;
}

WCHAR *umn__utf16(const char *utf8)
{
    return umn__utf16_n(utf8, strlen(utf8), NULL);
}

char *umn__utf8(const WCHAR *text, size_t length)
{
    if (length == SIZE_MAX)
        length = umn__wcslen(text);
    unsigned char *out = plat_alloc(length * 3 + 1);
    size_t n = 0;
    if (!out)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        uint32_t c = text[i];
        if (c >= 0xd800 && c < 0xe000) {
            if (c >= 0xdc00 || i + 1 >= length || text[i + 1] < 0xdc00 || text[i + 1] > 0xdfff) {
                plat_free(out);
                return NULL;
            }
            c = 0x10000 + ((c - 0xd800) << 10) + (text[++i] - 0xdc00u);
            out[n++] = (unsigned char)(0xf0 | c >> 18);
            out[n++] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
            out[n++] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
            out[n++] = (unsigned char)(0x80 | (c & 0x3f));
        } else if (c >= 0x800) {
            out[n++] = (unsigned char)(0xe0 | c >> 12);
            out[n++] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
            out[n++] = (unsigned char)(0x80 | (c & 0x3f));
        } else if (c >= 0x80) {
            out[n++] = (unsigned char)(0xc0 | c >> 6);
            out[n++] = (unsigned char)(0x80 | (c & 0x3f));
        } else {
            out[n++] = (unsigned char)c;
        }
    }
    out[n] = 0;
    return (char *)out;
}

char *umn__utf8_us(const UNICODE_STRING *text)
{
    static const WCHAR none[1];
    return text->Buffer ? umn__utf8(text->Buffer, text->Length / sizeof(WCHAR))
                        : umn__utf8(none, 0);
}

void umn__us_init(UNICODE_STRING *out, WCHAR *text)
{
    size_t bytes = text ? umn__wcslen(text) * sizeof(WCHAR) : 0;
    if (bytes > 0xfffc)
        bytes = 0xfffc;
    out->Length = (USHORT)bytes;
    out->MaximumLength = (USHORT)(text ? bytes + sizeof(WCHAR) : 0);
    out->Buffer = text;
}

NTSTATUS umn__status_of(int umn_error)
{
    static const struct {
        int error;
        NTSTATUS status;
    } map[] = {
        {UMN_ENOMEM, STATUS_INSUFFICIENT_RESOURCES},
        {UMN_EINVAL, STATUS_INVALID_PARAMETER},
        {UMN_ENOENT, STATUS_OBJECT_NAME_NOT_FOUND},
        {UMN_EEXIST, STATUS_OBJECT_NAME_COLLISION},
        {UMN_EBUSY, STATUS_DEVICE_BUSY},
        {UMN_EPERM, STATUS_ACCESS_DENIED},
        {UMN_EIO, STATUS_IO_DEVICE_ERROR},
        {UMN_ETIMEDOUT, STATUS_IO_TIMEOUT},
        {UMN_ENOTSUP, STATUS_NOT_SUPPORTED},
        {UMN_ECORRUPT, STATUS_INVALID_IMAGE_FORMAT},
        {UMN_EDRIVER, STATUS_FAILED_DRIVER_ENTRY},
        {UMN_ESTATE, STATUS_INVALID_DEVICE_STATE},
        {UMN_ECANCELED, STATUS_CANCELLED},
    };
    if (umn_error >= 0)
        return STATUS_SUCCESS;
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++)
        if (map[i].error == umn_error)
            return map[i].status;
    return STATUS_UNSUCCESSFUL;
}
