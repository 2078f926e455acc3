/* SPDX-License-Identifier: MIT */
/* Strings, numbers, time, bitmaps, DbgPrint; registry functions over a small registry in memory. */
#include "nt_harness.h"

/* ---- text ------------------------------------------------------------------------------------ */

static void text(void *arg)
{
    static const char *const good[] = {"", "abc", "\xc3\xa4\xe2\x82\xac", "\xf0\x9f\x98\x80x",
                                       "\xef\xbf\xbd"};
    static const char *const bad[] = {
        "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xf0\x8f\xbf\xbf"};
    static const WCHAR lone[] = {'a', 0xd800, 'b', 0}, low[] = {0xdc00, 0};
    for (int i = 0; i < 5; i++) {
        WCHAR *wide = umn__utf16(good[i]);
        NEED(wide, out);
        char *back = umn__utf8(wide, SIZE_MAX);
        plat_free(wide);
        NEED(back, out);
        CHECK(strcmp(back, good[i]) == 0);
        plat_free(back);
    }
    for (int i = 0; i < 6; i++)
        CHECK(umn__utf16(bad[i]) == NULL);
    CHECK(umn__utf8(lone, SIZE_MAX) == NULL && umn__utf8(low, 1) == NULL);
    CHECK(umn__upcase('a') == 'A' && umn__upcase(0xe4) == 0xc4 && umn__upcase(0xf7) == 0xf7);
    CHECK(umn__upcase(0x3b1) == 0x391 && umn__upcase(0x44f) == 0x42f &&
          umn__upcase(0x450) == 0x400);
    CHECK(umn__upcase(0xff) == 0x178 && umn__upcase(0x101) == 0x100 && umn__upcase(0x13a) == 0x139);
    for (unsigned c = 0; c < 0x10000; c++) /* upper case is its own upper case */
        CHECK(umn__upcase(umn__upcase((WCHAR)c)) == umn__upcase((WCHAR)c));
    CHECK(RtlDowncaseUnicodeChar('Q') == 'q' && RtlDowncaseUnicodeChar(0x42f) == 0x44f);
    CHECK(RtlDowncaseUnicodeChar('1') == '1' && RtlDowncaseUnicodeChar(0x100) == 0x101);
    CHECK(umn__stricmp("aBc", "AbC") == 0 && umn__stricmp("a", "b") < 0 &&
          umn__stricmp("ab", "a") > 0);
    CHECK(umn__wcsicmp(u"\u00e4x", u"\u00c4X") == 0 && umn__wcsicmp(u"a", u"ab") < 0);
    CHECK(umn__status_of(0) == STATUS_SUCCESS &&
          umn__status_of(UMN_ENOENT) == STATUS_OBJECT_NAME_NOT_FOUND);
    CHECK(umn__status_of(-1000) == STATUS_UNSUCCESSFUL);
out:;
}

static void test_text(void **state)
{
    explore(text, 0);
}

static void strings(void *arg)
{
    WCHAR buffer[8];
    UNICODE_STRING a, b = {.Buffer = buffer, .MaximumLength = sizeof buffer};
    RtlInitUnicodeString(&a, NULL);
    CHECK(a.Length == 0 && a.MaximumLength == 0 && !a.Buffer);
    RtlInitUnicodeString(&a, u"Hello");
    CHECK(a.Length == 10 && a.MaximumLength == 12);
    RtlCopyUnicodeString(&b, &a);
    CHECK(b.Length == 10 && buffer[5] == 0 && RtlEqualUnicodeString(&a, &b, FALSE));
    CHECK(RtlAppendUnicodeToString(&b, u" you") == STATUS_BUFFER_TOO_SMALL && b.Length == 10);
    CHECK(RtlAppendUnicodeToString(&b, u"you") == STATUS_SUCCESS && b.Length == 16);
    CHECK(!RtlEqualUnicodeString(&a, &b, TRUE) && RtlPrefixUnicodeString(&a, &b, FALSE));
    CHECK(!RtlPrefixUnicodeString(&b, &a, FALSE));
    UNICODE_STRING tail = RTL_CONSTANT_STRING(u"YOU");
    CHECK(RtlSuffixUnicodeString(&tail, &b, TRUE) && !RtlSuffixUnicodeString(&tail, &b, FALSE));
    CHECK(RtlCompareUnicodeString(&a, &b, TRUE) < 0 && RtlCompareUnicodeString(&b, &a, TRUE) > 0);
    ULONG h1, h2;
    CHECK(RtlHashUnicodeString(&a, TRUE, HASH_STRING_ALGORITHM_DEFAULT, &h1) == STATUS_SUCCESS);
    RtlInitUnicodeString(&a, u"hELLO");
    CHECK(RtlHashUnicodeString(&a, TRUE, HASH_STRING_ALGORITHM_DEFAULT, &h2) == STATUS_SUCCESS &&
          h1 == h2);

    UNICODE_STRING up = {0};
    NTSTATUS status = RtlUpcaseUnicodeString(&up, &a, TRUE);
    NEED(status == STATUS_SUCCESS, out);
    CHECK(up.Length == 10 && up.Buffer[0] == 'H' && up.Buffer[4] == 'O');
    RtlFreeUnicodeString(&up);
    CHECK(!up.Buffer);

    ANSI_STRING ansi;
    UNICODE_STRING wide = {0};
    RtlInitAnsiString(&ansi, "m\xc3\xbcx");
    CHECK(RtlxAnsiStringToUnicodeSize(&ansi) == 8);
    NEED(RtlAnsiStringToUnicodeString(&wide, &ansi, TRUE) == STATUS_SUCCESS, out);
    CHECK(wide.Length == 6 && wide.Buffer[1] == 0xfc && wide.Buffer[3] == 0);
    char narrow[4];
    ANSI_STRING to = {.Buffer = narrow, .MaximumLength = sizeof narrow};
    CHECK(RtlUnicodeStringToAnsiString(&to, &wide, FALSE) == STATUS_BUFFER_OVERFLOW);
    wide.Length = 4;
    CHECK(RtlUnicodeStringToAnsiString(&to, &wide, FALSE) == STATUS_SUCCESS &&
          strcmp(narrow, "m\xc3\xbc") == 0);
    RtlFreeUnicodeString(&wide);
    ULONG n;
    CHECK(RtlUTF8ToUnicodeN(buffer, sizeof buffer, &n, "a\xff\xe2\x82", 4) ==
          STATUS_SOME_NOT_MAPPED);
    CHECK(n == 6 && buffer[1] == 0xfffd && buffer[2] == 0xfffd);
    CHECK(RtlUTF8ToUnicodeN(buffer, 4, &n, "abc", 3) == STATUS_BUFFER_TOO_SMALL && n == 4);
    CHECK(RtlUnicodeToUTF8N(NULL, 0, &n, u"\xd83d\xde00", 4) == STATUS_SUCCESS && n == 4);
out:;
}

static void test_strings(void **state)
{
    explore(strings, 0);
}

static void numbers(void *arg)
{
    WCHAR buffer[40];
    UNICODE_STRING s = {.Buffer = buffer, .MaximumLength = sizeof buffer}, in;
    ULONG v;
    LONG64 v64;
    GUID guid;
    CHECK(RtlIntegerToUnicodeString(4095, 16, &s) == STATUS_SUCCESS &&
          umn__wcsicmp(buffer, u"FFF") == 0);
    CHECK(RtlIntegerToUnicodeString(0, 0, &s) == STATUS_SUCCESS && umn__wcsicmp(buffer, u"0") == 0);
    CHECK(RtlIntegerToUnicodeString(7, 3, &s) == STATUS_INVALID_PARAMETER);
    s.MaximumLength = 4;
    CHECK(RtlIntegerToUnicodeString(123, 10, &s) == STATUS_BUFFER_OVERFLOW);
    s.MaximumLength = sizeof buffer;
    CHECK(RtlInt64ToUnicodeString(18446744073709551615ull, 10, &s) == STATUS_SUCCESS &&
          s.Length == 40);
    RtlInitUnicodeString(&in, u"  -0x1Fz");
    CHECK(RtlUnicodeStringToInteger(&in, 0, &v) == STATUS_SUCCESS && v == (ULONG)-31);
    RtlInitUnicodeString(&in, u"0b101");
    CHECK(RtlUnicodeStringToInteger(&in, 0, &v) == STATUS_SUCCESS && v == 5);
    RtlInitUnicodeString(&in, u"77");
    CHECK(RtlUnicodeStringToInteger(&in, 8, &v) == STATUS_SUCCESS && v == 63);
    CHECK(RtlUnicodeStringToInt64(&in, 10, &v64, NULL) == STATUS_SUCCESS && v64 == 77);
    CHECK(RtlCharToInteger("12", 10, &v) == STATUS_SUCCESS && v == 12);

    RtlInitUnicodeString(&in, u"{4d36e972-e325-11ce-bfc1-08002be10318}");
    CHECK(RtlGUIDFromString(&in, &guid) == STATUS_SUCCESS);
    CHECK(guid.Data1 == 0x4d36e972 && guid.Data2 == 0xe325 && guid.Data3 == 0x11ce &&
          guid.Data4[0] == 0xbf && guid.Data4[7] == 0x18);
    UNICODE_STRING out = {0};
    NEED(RtlStringFromGUID(&guid, &out) == STATUS_SUCCESS, end);
    CHECK(out.Length == 76 && umn__wcsicmp(out.Buffer, in.Buffer) == 0 && out.Buffer[38] == 0);
    RtlFreeUnicodeString(&out);
    RtlInitUnicodeString(&in, u"{4d36e972-e325-11ce-bfc108002be10318}x");
    CHECK(RtlGUIDFromString(&in, &guid) == STATUS_INVALID_PARAMETER);
end:;
}

static void test_numbers(void **state)
{
    explore(numbers, 0);
}

static void misc(void *arg)
{
    TIME_FIELDS f = {.Year = 2024,
                     .Month = 2,
                     .Day = 29,
                     .Hour = 23,
                     .Minute = 59,
                     .Second = 58,
                     .Milliseconds = 7},
                g;
    LARGE_INTEGER time;
    ULONG bits[4] = {0}, start;
    RTL_BITMAP map;
    RTL_OSVERSIONINFOEXW version = {.dwOSVersionInfoSize = sizeof version};
    CHECK(RtlTimeFieldsToTime(&f, &time));
    RtlTimeToTimeFields(&time, &g);
    CHECK(g.Year == 2024 && g.Month == 2 && g.Day == 29 && g.Hour == 23 && g.Second == 58 &&
          g.Milliseconds == 7 && g.Weekday == 4);
    f.Year = 2023;
    CHECK(!RtlTimeFieldsToTime(&f, &time));
    time.QuadPart = 0;
    RtlTimeToTimeFields(&time, &g);
    CHECK(g.Year == 1601 && g.Month == 1 && g.Day == 1 && g.Weekday == 1);
    time.QuadPart = 133485408000000000; /* 2024-01-01 */
    RtlTimeToTimeFields(&time, &g);
    CHECK(g.Year == 2024 && g.Month == 1 && g.Day == 1 && g.Hour == 0);

    RtlInitializeBitMap(&map, bits, 100);
    CHECK(RtlFindClearBitsAndSet(&map, 40, 0) == 0 && RtlNumberOfSetBits(&map) == 40);
    CHECK(RtlFindClearBits(&map, 61, 0) == 0xffffffff && RtlFindClearBits(&map, 60, 90) == 40);
    RtlSetBits(&map, 99, 1);
    CHECK(RtlAreBitsClear(&map, 40, 59) && !RtlAreBitsClear(&map, 40, 60) && RtlTestBit(&map, 99));
    RtlClearBits(&map, 0, 2);
    CHECK(RtlFindLongestRunClear(&map, &start) == 59 && start == 40);
    CHECK(RtlFindSetBits(&map, 38, 0) == 2 && bits[3] == 8);

    CHECK(RtlGetVersion((PRTL_OSVERSIONINFOW)&version) == STATUS_SUCCESS &&
          version.dwMajorVersion == 10);
    version.dwMajorVersion = 6;
    version.dwMinorVersion = 1;
    ULONGLONG mask = VerSetConditionMask(0, VER_MAJORVERSION, VER_GREATER_EQUAL);
    mask = VerSetConditionMask(mask, VER_MINORVERSION, VER_GREATER_EQUAL);
    CHECK(RtlVerifyVersionInfo(&version, VER_MAJORVERSION | VER_MINORVERSION, mask) ==
          STATUS_SUCCESS);
    version.dwMajorVersion = 11;
    CHECK(RtlVerifyVersionInfo(&version, VER_MAJORVERSION | VER_MINORVERSION, mask) ==
          STATUS_REVISION_MISMATCH);
    CHECK(RtlCompareMemory("abcd", "abXd", 4) == 2 && RtlFindMostSignificantBit(0) == -1);
    CHECK(RtlFindMostSignificantBit(0x8000) == 15 && RtlFindLeastSignificantBit(0x8000) == 15);
}

static void test_misc(void **state)
{
    explore(misc, 0);
}

static const char *printed(void)
{
    static struct umn_trace_event event;
    uint64_t seq = umn__trace_next();
    while (seq-- > 1)
        if (umn__trace_get(seq, &event) && strcmp(event.what, "dbgprint") == 0)
            return event.text;
    return "";
}

static void dbgprint(void *arg)
{
    UNICODE_STRING u = RTL_CONSTANT_STRING(u"wide");
    ANSI_STRING a = RTL_CONSTANT_STRING("ansi");
    DbgPrint("%d|%5d|%-5d|%05d|%x|%X|%#x|%u\n", -1, 42, 42, 42, 255, 255, 255, -1);
    CHECK(strcmp(printed(), "-1|   42|42   |00042|ff|FF|0xff|4294967295") == 0);
    DbgPrint("%I64x|%lld|%ld|%hd|%hhu|%Iu|%I32d", 0x123456789abcull, -5ll, -6, (short)-7, 300,
             (SIZE_T)1 << 40, -8);
    CHECK(strcmp(printed(), "123456789abc|-5|-6|-7|44|1099511627776|-8") == 0);
    DbgPrint("%s|%ws|%ls|%S|%hs|%hS|%.2s|%6s|%-6s|", "n", u"w", u"l", u"S", "h", "H", "xyz", "r",
             "l");
    CHECK(strcmp(printed(), "n|w|l|S|h|H|xy|     r|l     |") == 0);
    DbgPrint("%wZ|%Z|%c|%C|%wc|%%|%p", &u, &a, 'c', u'C', u'\u00e4', (void *)0xabc);
    CHECK(strcmp(printed(), "wide|ansi|c|C|\xc3\xa4|%|0000000000000ABC") == 0);
    DbgPrintEx(77, 3, "%s %wZ %*d%", (char *)NULL, (PUNICODE_STRING)NULL, 4, 7);
    CHECK(strcmp(printed(), "(null) (null)    7") == 0);
    char *large = plat_alloc(3000);
    NEED(large, out);
    memset(large, 'y', 2999);
    DbgPrint("%s%3000d%s", large, 1, large);
    plat_free(large);
out:;
}

static void test_dbgprint(void **state)
{
    explore(dbgprint, 0);
}

/* ---- a registry for tests: a flat list of keys and values ------------------------------------ */

struct reg_entry {
    struct umn_list link;
    char *path;  /* of the key */
    char *value; /* NULL: the key itself */
    uint32_t type;
    size_t size;
    unsigned char data[];
};
static struct umn_list entries = {&entries, &entries};
static size_t open_keys;

struct reg_key {
    char path[200];
};

static struct reg_entry *reg_find(const char *path, const char *value)
{
    umn_list_for_each (pos, &entries) {
        struct reg_entry *e = umn_container_of(pos, struct reg_entry, link);
        if (umn__stricmp(e->path, path) == 0 &&
            (value ? e->value && umn__stricmp(e->value, value) == 0 : !e->value))
            return e;
    }
    return NULL;
}

static int reg_add(const char *path, const char *value, uint32_t type, const void *data,
                   size_t size)
{
    struct reg_entry *e = plat_alloc(sizeof *e + size);
    if (!e)
        return UMN_ENOMEM;
    e->path = plat_strdup(path);
    e->value = value ? plat_strdup(value) : NULL;
    if (!e->path || (value && !e->value)) {
        plat_free(e->path);
        plat_free(e->value);
        plat_free(e);
        return UMN_ENOMEM;
    }
    e->type = type;
    e->size = size;
    if (size)
        memcpy(e->data, data, size);
    umn_list_add_tail(&entries, &e->link);
    return 0;
}

static void reg_drop(struct reg_entry *e)
{
    umn_list_remove(&e->link);
    plat_free(e->path);
    plat_free(e->value);
    plat_free(e);
}

static int reg_open(void *base, const char *path, bool create, void **key)
{
    struct reg_key *k = plat_alloc(sizeof *k);
    if (!k)
        return UMN_ENOMEM;
    snprintf(k->path, sizeof k->path, "%s%s%s", base ? ((struct reg_key *)base)->path : "",
             base && *path ? "\\" : "", path);
    if (!reg_find(k->path, NULL)) {
        int err = create ? reg_add(k->path, NULL, 0, NULL, 0) : UMN_ENOENT;
        if (err) {
            plat_free(k);
            return err;
        }
    }
    open_keys++;
    *key = k;
    return 0;
}

static void reg_close(void *key)
{
    open_keys--;
    plat_free(key);
}

static int reg_give(struct reg_entry *e, uint32_t *type, void **data, size_t *size)
{
    *data = plat_alloc(e->size);
    if (!*data)
        return UMN_ENOMEM;
    memcpy(*data, e->data, e->size);
    *type = e->type;
    *size = e->size;
    return 0;
}

static int reg_get(void *key, const char *name, uint32_t *type, void **data, size_t *size)
{
    struct reg_entry *e = reg_find(((struct reg_key *)key)->path, name);
    return e ? reg_give(e, type, data, size) : UMN_ENOENT;
}

static int reg_set(void *key, const char *name, uint32_t type, const void *data, size_t size)
{
    struct reg_entry *e = reg_find(((struct reg_key *)key)->path, name);
    int err = reg_add(((struct reg_key *)key)->path, name, type, data, size);
    if (!err && e)
        reg_drop(e);
    return err;
}

static int reg_enum_key(void *key, unsigned index, char **name)
{
    const char *base = ((struct reg_key *)key)->path;
    size_t n = strlen(base);
    umn_list_for_each (pos, &entries) {
        struct reg_entry *e = umn_container_of(pos, struct reg_entry, link);
        if (e->value || strncmp(e->path, base, n) != 0 || e->path[n] != '\\' ||
            strchr(e->path + n + 1, '\\') || index--)
            continue;
        *name = plat_strdup(e->path + n + 1);
        return *name ? 0 : UMN_ENOMEM;
    }
    return UMN_ENOENT;
}

static int reg_enum_value(void *key, unsigned index, char **name, uint32_t *type, void **data,
                          size_t *size)
{
    umn_list_for_each (pos, &entries) {
        struct reg_entry *e = umn_container_of(pos, struct reg_entry, link);
        if (!e->value || umn__stricmp(e->path, ((struct reg_key *)key)->path) != 0 || index--)
            continue;
        *name = plat_strdup(e->value);
        if (!*name)
            return UMN_ENOMEM;
        int err = reg_give(e, type, data, size);
        if (err)
            plat_free(*name);
        return err;
    }
    return UMN_ENOENT;
}

static int reg_del_value(void *key, const char *name)
{
    struct reg_entry *e = reg_find(((struct reg_key *)key)->path, name);
    if (!e)
        return UMN_ENOENT;
    reg_drop(e);
    return 0;
}

static int reg_del_key(void *key)
{
    struct reg_entry *e = reg_find(((struct reg_key *)key)->path, NULL);
    if (!e)
        return UMN_ENOENT;
    reg_drop(e);
    return 0;
}

static const struct umn_registry_ops test_registry = {reg_open,    reg_close,    reg_get,
                                                      reg_set,     reg_enum_key, reg_enum_value,
                                                      reg_del_key, reg_del_value};

#define ROOT "\\Registry\\Machine\\System"

static bool registry_up(void)
{
    umn__registry_set(&test_registry);
    return !reg_add("\\Registry", NULL, 0, NULL, 0) &&
           !reg_add("\\Registry\\Machine", NULL, 0, NULL, 0) && !reg_add(ROOT, NULL, 0, NULL, 0);
}

static void registry_down(void)
{
    umn__registry_set(NULL);
    CHECK(open_keys == 0);
    while (!umn_list_empty(&entries))
        reg_drop(umn_container_of(entries.next, struct reg_entry, link));
}

static NTSTATUS open_key(HANDLE *key, HANDLE root, const WCHAR *path, bool create,
                         ULONG *disposition)
{
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES oa;
    RtlInitUnicodeString(&name, path);
    InitializeObjectAttributes(&oa, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, root, NULL);
    return create ? ZwCreateKey(key, KEY_ALL_ACCESS, &oa, 0, NULL, 0, disposition)
                  : ZwOpenKey(key, KEY_READ, &oa);
}

static void check_queries(HANDLE key)
{
    UNICODE_STRING name;
    _Alignas(8) char buffer[256];
    KEY_VALUE_PARTIAL_INFORMATION *partial = (void *)buffer;
    KEY_VALUE_FULL_INFORMATION *full = (void *)buffer;
    KEY_BASIC_INFORMATION *basic = (void *)buffer;
    KEY_FULL_INFORMATION *info = (void *)buffer;
    ULONG n;
    RtlInitUnicodeString(&name, u"Number");
    NTSTATUS status =
        ZwQueryValueKey(key, &name, KeyValuePartialInformation, buffer, sizeof buffer, &n);
    CHECK(status == STATUS_SUCCESS ? n == 16 && partial->Type == REG_DWORD &&
                                         partial->DataLength == 4 && *(ULONG *)partial->Data == 7
                                   : plat_alloc_failed());
    status = ZwQueryValueKey(key, &name, KeyValuePartialInformation, buffer, 14, &n);
    CHECK(status == STATUS_BUFFER_OVERFLOW ? n == 16 : plat_alloc_failed());
    status = ZwQueryValueKey(key, &name, KeyValuePartialInformation, NULL, 0, &n);
    CHECK(status == STATUS_BUFFER_TOO_SMALL ? n == 16 : plat_alloc_failed());
    status = ZwQueryValueKey(key, &name, KeyValueFullInformation, buffer, sizeof buffer, &n);
    if (status == STATUS_SUCCESS) {
        CHECK(full->NameLength == 12 && full->DataOffset == 32 && n == 36);
        CHECK(memcmp(full->Name, u"Number", 12) == 0 && *(ULONG *)(buffer + full->DataOffset) == 7);
    }
    RtlInitUnicodeString(&name, u"nothing");
    status = ZwQueryValueKey(key, &name, KeyValueBasicInformation, buffer, sizeof buffer, &n);
    CHECK(status == STATUS_OBJECT_NAME_NOT_FOUND || plat_alloc_failed());
    status = ZwEnumerateValueKey(key, 0, KeyValueBasicInformation, buffer, sizeof buffer, &n);
    CHECK(status == STATUS_SUCCESS || plat_alloc_failed());
    status = ZwEnumerateValueKey(key, 9, KeyValueBasicInformation, buffer, sizeof buffer, &n);
    CHECK(status == STATUS_NO_MORE_ENTRIES || plat_alloc_failed());
    status = ZwEnumerateKey(key, 0, KeyBasicInformation, buffer, sizeof buffer, &n);
    CHECK(status == STATUS_SUCCESS ? basic->NameLength == 6 && memcmp(basic->Name, u"Sub", 6) == 0
                                   : plat_alloc_failed());
    status = ZwQueryKey(key, KeyFullInformation, buffer, sizeof buffer, &n);
    CHECK(status == STATUS_SUCCESS ? info->SubKeys == 1 && info->Values == 2 &&
                                         info->MaxValueNameLen == 12 && info->MaxValueDataLen == 16
                                   : plat_alloc_failed());
}

static void keys(void *arg)
{
    HANDLE key, sub;
    ULONG how, seven = 7;
    UNICODE_STRING name;
    NTSTATUS status;
    NEED(registry_up(), out);
    status = open_key(&key, NULL, u"\\Registry\\Machine\\System\\None", false, NULL);
    CHECK(status == STATUS_OBJECT_NAME_NOT_FOUND || plat_alloc_failed());
    status = open_key(&key, NULL, u"\\Registry\\Machine\\System\\No\\Way", true, NULL);
    CHECK(status == STATUS_OBJECT_NAME_NOT_FOUND || plat_alloc_failed());
    CHECK(open_key(&key, NULL, u"Relative", false, NULL) == STATUS_OBJECT_PATH_SYNTAX_BAD);
    NEED(open_key(&key, NULL, u"\\Registry\\Machine\\System\\Test", true, &how) == STATUS_SUCCESS,
         out);
    CHECK(how == REG_CREATED_NEW_KEY);
    NEED(open_key(&sub, key, u"Sub", true, &how) == STATUS_SUCCESS, close_key);
    CHECK(how == REG_CREATED_NEW_KEY);
    CHECK(ZwDeleteKey(key) == STATUS_CANNOT_DELETE || plat_alloc_failed());
    RtlInitUnicodeString(&name, u"Number");
    NEED(ZwSetValueKey(key, &name, 0, REG_DWORD, &seven, 4) == STATUS_SUCCESS, close_sub);
    RtlInitUnicodeString(&name, u"Multi");
    NEED(ZwSetValueKey(key, &name, 0, REG_MULTI_SZ, (PVOID)u"ab\0cde\0", 16) == STATUS_SUCCESS,
         close_sub);
    check_queries(key);
    status = ZwDeleteValueKey(key, &name);
    CHECK(status == STATUS_SUCCESS || plat_alloc_failed());
    CHECK(ZwFlushKey(key) == STATUS_SUCCESS);
    CHECK(ZwDeleteKey(sub) == STATUS_SUCCESS || plat_alloc_failed());
close_sub:
    ZwClose(sub);
close_key:
    ZwClose(key);
out:
    registry_down();
}

static void test_keys(void **state)
{
    explore(keys, 0);
}

static int seen;

static NTSTATUS NTAPI QueryRoutine(PWSTR Name, ULONG Type, PVOID Data, ULONG Length, PVOID Context,
                                   PVOID EntryContext)
{
    CHECK(Context == &seen);
    if (Type == REG_SZ)
        seen += (int)umn__wcslen(Data) * (EntryContext ? 10 : 1);
    if (Type == REG_DWORD)
        seen += 1000;
    return STATUS_SUCCESS;
}

static void query_table(void *arg)
{
    static WCHAR path[] = u"Test", sub[] = u"Sub", number[] = u"Number", multi[] = u"Multi",
                 expand[] = u"Expand", missing[] = u"Missing", fallback[] = u"fallback";
    ULONG seven = 7, got = 0, type_wrong = 0;
    UNICODE_STRING string = {0}, other = {0};
    NTSTATUS status;
    NEED(registry_up(), out);
    status = RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, path, number, REG_DWORD, &seven, 4);
    NEED(status == STATUS_SUCCESS, out);
    NEED(RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, path, multi, REG_MULTI_SZ,
                               (PVOID)u"ab\0cde\0", 16) == STATUS_SUCCESS,
         out);
    NEED(RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, path, expand, REG_EXPAND_SZ,
                               (PVOID)u"%SystemRoot%\\x", 30) == STATUS_SUCCESS,
         out);
    status = RtlCheckRegistryKey(RTL_REGISTRY_SERVICES, path);
    CHECK(status == STATUS_SUCCESS || plat_alloc_failed());
    status = RtlCheckRegistryKey(RTL_REGISTRY_CONTROL, path);
    CHECK(status == STATUS_OBJECT_NAME_NOT_FOUND || plat_alloc_failed());

    RTL_QUERY_REGISTRY_TABLE table[] = {
        {.Flags = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_TYPECHECK,
         .Name = number,
         .EntryContext = &got,
         .DefaultType = (REG_DWORD << RTL_QUERY_REGISTRY_TYPECHECK_SHIFT) | REG_NONE},
        {.QueryRoutine = QueryRoutine, .Name = multi, .EntryContext = &got},
        {.QueryRoutine = QueryRoutine, .Name = missing},
        {.Flags = RTL_QUERY_REGISTRY_DIRECT,
         .Name = missing,
         .EntryContext = &string,
         .DefaultType = REG_SZ,
         .DefaultData = fallback},
        {.Flags = RTL_QUERY_REGISTRY_DIRECT, .Name = expand, .EntryContext = &other},
        {.QueryRoutine = QueryRoutine, .Flags = RTL_QUERY_REGISTRY_SUBKEY, .Name = sub},
        {.QueryRoutine = QueryRoutine, .Flags = RTL_QUERY_REGISTRY_TOPKEY, .Name = number},
        {0},
    };
    seen = 0;
    status = RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, path, table, &seen, NULL);
    if (status == STATUS_SUCCESS) {
        CHECK(got == 7 && seen == 1050);
        CHECK(string.Length == 16 && umn__wcsicmp(string.Buffer, fallback) == 0);
        CHECK(other.Buffer && umn__wcsicmp(other.Buffer, u"C:\\Windows\\x") == 0);
    } else {
        CHECK(plat_alloc_failed());
    }
    RtlFreeUnicodeString(&string);
    RtlFreeUnicodeString(&other);

    RTL_QUERY_REGISTRY_TABLE wrong[] = {
        {.Flags = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_TYPECHECK,
         .Name = number,
         .EntryContext = &type_wrong,
         .DefaultType = REG_SZ << RTL_QUERY_REGISTRY_TYPECHECK_SHIFT},
        {0}};
    status = RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, path, wrong, NULL, NULL);
    CHECK(status == STATUS_OBJECT_TYPE_MISMATCH || plat_alloc_failed());
    CHECK(type_wrong == 0);
    RTL_QUERY_REGISTRY_TABLE required[] = {
        {.Flags = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_REQUIRED,
         .Name = missing,
         .EntryContext = &got},
        {0}};
    status = RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, path, required, NULL, NULL);
    CHECK(status == STATUS_OBJECT_NAME_NOT_FOUND || plat_alloc_failed());
    status = RtlDeleteRegistryValue(RTL_REGISTRY_SERVICES, path, number);
    CHECK(status == STATUS_SUCCESS || plat_alloc_failed());
out:
    registry_down();
}

static void test_query_table(void **state)
{
    explore(query_table, 0);
}

/* Without a registry every call says so. */
static void no_registry(void *arg)
{
    HANDLE key;
    NTSTATUS status = open_key(&key, NULL, u"\\Registry\\Machine", false, NULL);
    CHECK(status == STATUS_NOT_SUPPORTED || plat_alloc_failed());
}

static void test_no_registry(void **state)
{
    explore(no_registry, 0);
}

static void irql(void *arg)
{
    HANDLE key;
    KIRQL old = KeRaiseIrqlToDpcLevel();
    CHECK(open_key(&key, NULL, u"\\Registry\\Machine", false, NULL) == STATUS_UNSUCCESSFUL);
    CHECK(RtlCheckRegistryKey(RTL_REGISTRY_CONTROL, (PWSTR)u"x") == STATUS_UNSUCCESSFUL);
    KeLowerIrql(old);
    CHECK(RULE("IrqlZwPassive") == 1 && RULE("IrqlRtlPassive") == 1);
}

static void test_irql(void **state)
{
    explore(irql, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),     cmocka_unit_test(test_misc),
        cmocka_unit_test(test_dbgprint),    cmocka_unit_test(test_keys),
        cmocka_unit_test(test_query_table), cmocka_unit_test(test_no_registry),
        cmocka_unit_test(test_irql),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
