/* SPDX-License-Identifier: MIT */
/*
 * An ELF driver file in memory, before the dynamic linker sees it. The bytes are untrusted: every
 * offset and count is checked against the file. Inside src/image only.
 */
#ifndef UMN_IMAGE_ELF_FILE_H
#define UMN_IMAGE_ELF_FILE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_file {
    const unsigned char *bytes;
    size_t size;
    const char *strings; /* dynamic string table */
    size_t strings_size;
    uint64_t symbols; /* file offset of the dynamic symbol table */
    uint64_t symbol_count;
    uint64_t dynamic; /* file offset of the dynamic section */
    uint64_t dynamic_count;
};

/* NULL if the file is a driver's shape; else what is wrong with it, as the end of a sentence that
 * begins with its path. */
const char *elf__parse(struct elf_file *out, const void *bytes, size_t size);
/* Symbol `index` < symbol_count; false: its name leaves the string table. */
bool elf__symbol(const struct elf_file *f, uint64_t index, Elf64_Sym *out, const char **name);
/* The next DT_NEEDED from *cursor (0 at first) on; NULL: no more. */
const char *elf__needed(const struct elf_file *f, uint64_t *cursor);

#endif
