/* SPDX-License-Identifier: MIT */
/*
 * The ELF loader: refusals, fresh data on each open, damaged files. The drivers are compiled here,
 * with the compiler in $CC or clang, into a folder of their own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ntddk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check/check.h"
#include "image/elf_file.h"
#include "image/image.h"
#include "nt/nt.h"
#include "plat/plat.h"

static char folder[] = "/tmp/umndis-image-XXXXXX";
static char path_buffer[8][256];

/* Path of a file in the folder; eight are valid at a time. */
static const char *in_folder(const char *name)
{
    static unsigned next;
    char *out = path_buffer[next++ % 8];
    snprintf(out, sizeof path_buffer[0], "%s/%s", folder, name);
    return out;
}

static void write_file(const char *name, const void *data, size_t size)
{
    FILE *f = fopen(in_folder(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static int compile(const char *name, const char *source, const char *options)
{
    char command[1024], source_name[64];
    const char *cc = getenv("CC");
    snprintf(source_name, sizeof source_name, "%s.c", name);
    write_file(source_name, source, strlen(source));
    snprintf(command, sizeof command,
             "cd %s && %s -shared -fPIC -fms-extensions -o %s.so %s.c %s 2>&1", folder,
             cc && *cc ? cc : "clang", name, name, options);
    return system(command);
}

#define ENTRY "int __attribute__((ms_abi)) DriverEntry(void *d, void *p)"

static int setup(void **state)
{
    static const char counting[] =
        "unsigned char __attribute__((ms_abi)) KeGetCurrentIrql(void);\n"
        "static int n, table[1000] = {1}; int *self = &n;\n" ENTRY
        " { return n++ * 10 + KeGetCurrentIrql() + table[0] + (self != &n); }\n";
    if (!mkdtemp(folder))
        return -1;
    umn__export("KeGetCurrentIrql"); /* keeps the function in a program that links statically */
    return compile("good", counting, "") || compile("sticky", counting, "-Wl,-z,nodelete") ||
           compile("missing",
                   "void NdisNoSuchThing(void); void ExNoSuchOther(void); void "
                   "__attribute__((weak)) Weak(void);\n" ENTRY
                   " { NdisNoSuchThing(); ExNoSuchOther(); if (Weak) Weak(); return 0; }\n",
                   "") ||
           compile("noentry", "int SomethingElse(void) { return 0; }\n", "") ||
           compile("data", "int DriverEntry = 3;\n", "") ||
           compile("libhelper", "int Helper(void) { return 5; }\n", "") ||
           compile("needs", "int Helper(void);\n" ENTRY " { return Helper(); }\n",
                   "-L. -l:libhelper.so") ||
           compile("static_helper", "int Helper(void);\n" ENTRY " { return Helper(); }\n",
                   "-L. -l:libhelper.so -Wl,-soname,x && mkdir -p sub && ln -sf ../libhelper.so "
                   "sub/libhelper.so");
}

static int teardown(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void refused(const char *name, int error, const char *reason)
{
    struct umn_image *image = NULL;
    size_t live = plat_alloc_live();
    const char *path = strchr(name, ':') || name[0] == '/' ? name : in_folder(name);
    umn__refusal_clear();
    assert_int_equal(umn__image_open(path, &image), error);
    if (!strstr(umn__refusal(), reason) || !strstr(umn__refusal(), path))
        print_error("refusal: %s\n", umn__refusal());
    assert_non_null(strstr(umn__refusal(), reason));
    assert_non_null(strstr(umn__refusal(), path));
    assert_int_equal(plat_alloc_live(), live);
}

static void *slurp(const char *name, size_t *size)
{
    void *bytes = NULL;
    assert_int_equal(plat_file_read(in_folder(name), 64u << 20, &bytes, size), 0);
    return bytes;
}

static void test_refusals(void **state)
{
    size_t size;
    unsigned char *good = slurp("good.so", &size);
    refused("none.so", UMN_ENOENT, "no such file");
    refused(folder, UMN_ECORRUPT, "not a regular file");
    write_file("text.so", "#!/bin/sh\necho hello\n", 21);
    refused("text.so", UMN_ECORRUPT, "is not a driver");
    write_file("empty.so", "", 0);
    refused("empty.so", UMN_ECORRUPT, "is not a driver");
    write_file("pe.sys", "MZ\x90\0\3", 5);
    refused("pe.sys", UMN_ECORRUPT, "Windows image");
    write_file("head.so", good, 40);
    refused("head.so", UMN_ECORRUPT, "cut off inside its ELF header");
    write_file("phdr.so", good, 100);
    refused("phdr.so", UMN_ECORRUPT, "cut off inside its program headers");
    write_file("half.so", good, 2000);
    refused("half.so", UMN_ECORRUPT, "cut off");
    good[EI_CLASS] = ELFCLASS32;
    write_file("elf32.so", good, size);
    refused("elf32.so", UMN_ECORRUPT, "32-bit");
    good[EI_CLASS] = ELFCLASS64;
    ((Elf64_Ehdr *)good)->e_machine = EM_AARCH64;
    write_file("arm.so", good, size);
    refused("arm.so", UMN_ECORRUPT, "another machine");
    ((Elf64_Ehdr *)good)->e_machine = EM_X86_64;
    ((Elf64_Ehdr *)good)->e_type = ET_REL;
    write_file("object.so", good, size);
    refused("object.so", UMN_ECORRUPT, "no shared object");
    plat_free(good);
    refused("noentry.so", UMN_ECORRUPT, "no function DriverEntry");
    refused("data.so", UMN_ECORRUPT, "no function DriverEntry");
    refused("missing.so", UMN_ECORRUPT, "2 import(s) that nobody exports: ");
    assert_non_null(strstr(umn__refusal(), "NdisNoSuchThing"));
    assert_non_null(strstr(umn__refusal(), "ExNoSuchOther"));
    assert_null(strstr(umn__refusal(), "Weak"));
    refused("needs.so", UMN_ECORRUPT, "needs the library libhelper.so");
    refused("builtin:nobody", UMN_ENOENT, "no such driver is built into");
}

static int call(const struct umn_image *image)
{
    return umn__image_entry(image)(NULL, NULL);
}

/* Every open begins with the data of the file, also beside another open, also when the first cannot
 * be unmapped. */
static void fresh(const char *name)
{
    struct umn_image *one, *two;
    assert_int_equal(umn__image_open(in_folder(name), &one), 0);
    assert_string_equal(umn__image_path(one), in_folder(name));
    assert_int_equal(call(one), 1);
    assert_int_equal(call(one), 11);
    assert_int_equal(umn__image_open(in_folder(name), &two), 0);
    assert_int_equal(call(two), 1);
    assert_int_equal(call(one), 21);
    assert_int_equal(call(two), 11);
    assert_true(umn__image_contains(one, (const void *)(uintptr_t)umn__image_entry(one)));
    assert_false(umn__image_contains(one, (const void *)(uintptr_t)umn__image_entry(two)));
    assert_false(umn__image_contains(one, (const void *)(uintptr_t)fresh));
    umn__image_close(one);
    umn__image_close(two);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(umn__image_open(in_folder(name), &one), 0);
        assert_int_equal(call(one), 1);
        umn__image_close(one);
    }
}

static void test_fresh(void **state)
{
    fresh("good.so");
}

static void test_fresh_nodelete(void **state)
{
    fresh("sticky.so");
}

/* A file that was replaced between two opens is what is loaded then. */
static void test_replaced(void **state)
{
    struct umn_image *image;
    assert_int_equal(compile("swap", ENTRY " { return 1; }\n", ""), 0);
    assert_int_equal(umn__image_open(in_folder("swap.so"), &image), 0);
    assert_int_equal(call(image), 1);
    assert_int_equal(unlink(in_folder("swap.so")), 0);
    assert_int_equal(compile("swap", ENTRY " { return 2; }\n", ""), 0);
    struct umn_image *second;
    assert_int_equal(umn__image_open(in_folder("swap.so"), &second), 0);
    assert_int_equal(call(second), 2);
    umn__image_close(second);
    umn__image_close(image);
}

static void test_allocations(void **state)
{
    struct umn_image *image;
    size_t live = plat_alloc_live();
    uint64_t n = 1;
    for (bool hit = true; hit; n++) {
        plat_fail_alloc_at(n);
        int err = umn__image_open(in_folder("good.so"), &image);
        hit = plat_alloc_failed();
        plat_fail_alloc_at(0);
        assert_true(err == 0 ? !hit : err == UMN_ENOMEM);
        if (!err)
            umn__image_close(image);
        assert_int_equal(plat_alloc_live(), live);
    }
    assert_true(n > 3);
}

/* Whatever the bytes say, reading them stays inside the file; the sanitizers watch. */
static void visit(const void *bytes, size_t size)
{
    struct elf_file f;
    Elf64_Sym symbol;
    const char *name;
    uint64_t cursor = 0;
    /* A copy of exactly this size, so that one byte beyond is seen. */
    void *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    if (!elf__parse(&f, copy, size)) {
        for (uint64_t i = 0; i < f.symbol_count; i++)
            if (elf__symbol(&f, i, &symbol, &name))
                (void)strlen(name);
        while ((name = elf__needed(&f, &cursor)) != NULL)
            (void)strlen(name);
    }
    free(copy);
}

static void test_damaged(void **state)
{
    size_t size;
    uint32_t seed = 1;
    unsigned char *good = slurp("good.so", &size);
    for (size_t n = 0; n < size; n += n < 8192 ? 61 : 997)
        visit(good, n);
    unsigned char *bytes = malloc(size);
    assert_non_null(bytes);
    for (int round = 0; round < 3000; round++) {
        memcpy(bytes, good, size);
        for (int k = 0; k < 4; k++) {
            seed = seed * 1664525 + 1013904223;
            /* Mostly headers and the dynamic tables, which lie in front. */
            size_t at = (seed >> 8) % (k < 2 ? 0x400 : size < 0x4000 ? size : 0x4000);
            bytes[at] = (unsigned char)(seed & 1 ? seed >> 16 : 0xff);
        }
        visit(bytes, size);
    }
    free(bytes);
    plat_free(good);
}

static NTSTATUS NTAPI BuiltinEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING RegistryPath)
{
    return 77;
}

static void test_builtin(void **state)
{
    struct umn_image *image;
    size_t live = plat_alloc_live();
    assert_int_equal(umn__image_builtin("mine", BuiltinEntry), 0);
    assert_int_equal(umn__image_builtin("mine", BuiltinEntry), 0);
    assert_int_equal(umn__image_builtin("mine", (PDRIVER_INITIALIZE)(uintptr_t)1), UMN_EEXIST);
    assert_int_equal(umn__image_open("builtin:mine", &image), 0);
    assert_ptr_equal(umn__image_entry(image), BuiltinEntry);
    umn__image_close(image);
    umn__image_builtin_clear();
    refused("builtin:mine", UMN_ENOENT, "no such driver");
    assert_int_equal(plat_alloc_live(), live);
    umn__image_close(NULL);
}

static void test_exports(void **state)
{
    assert_ptr_equal(umn__export("KeGetCurrentIrql"), KeGetCurrentIrql);
    assert_null(umn__export("KeNoSuchThing"));
    assert_null(umn__export("malloc"));
    assert_null(umn__export("plat_alloc"));
    assert_null(umn__export("_end"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),       cmocka_unit_test(test_fresh),
        cmocka_unit_test(test_fresh_nodelete), cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_allocations),    cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_builtin),        cmocka_unit_test(test_exports),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
