/* SPDX-License-Identifier: MIT */
/* Reads the dynamic part of an ELF file that nobody has checked. No state, no allocation. */
#include "image/elf_file.h"

#include <string.h>

static bool fits(const struct elf_file *f, uint64_t offset, uint64_t size)
{
    return offset <= f->size && size <= f->size - offset;
}

static bool read_at(const struct elf_file *f, uint64_t offset, void *out, size_t size)
{
    if (!fits(f, offset, size))
        return false;
    memcpy(out, f->bytes + offset, size);
    return true;
}

static const char *check_header(const struct elf_file *f, Elf64_Ehdr *h)
{
    if (f->size >= 2 && f->bytes[0] == 'M' && f->bytes[1] == 'Z')
        return "is a Windows image (PE); expected an ELF shared object for x86-64 (.so)";
    if (f->size < EI_NIDENT || memcmp(f->bytes, ELFMAG, SELFMAG) != 0)
        return "is not a driver; expected an ELF shared object for x86-64";
    if (f->bytes[EI_CLASS] == ELFCLASS32)
        return "is a 32-bit ELF file; expected one for x86-64";
    if (f->bytes[EI_CLASS] != ELFCLASS64 || f->bytes[EI_DATA] != ELFDATA2LSB)
        return "is an ELF file of another machine; expected one for x86-64";
    if (!read_at(f, 0, h, sizeof *h))
        return "is cut off inside its ELF header";
    if (h->e_machine != EM_X86_64)
        return "is an ELF file of another machine; expected one for x86-64";
    if (h->e_type != ET_DYN)
        return "is an ELF file but no shared object; link the driver with -shared";
    if (h->e_phentsize != sizeof(Elf64_Phdr) || !h->e_phnum || h->e_phnum == PN_XNUM)
        return "has a damaged ELF header (program headers)";
    if (!fits(f, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr)))
        return "is cut off inside its program headers";
    return NULL;
}

/* File offset of a virtual address range that one PT_LOAD segment must hold in the file. */
static bool to_offset(const struct elf_file *f, const Elf64_Ehdr *h, uint64_t vaddr, uint64_t size,
                      uint64_t *offset)
{
    Elf64_Phdr p;
    for (unsigned i = 0; i < h->e_phnum; i++) {
        if (!read_at(f, h->e_phoff + i * sizeof p, &p, sizeof p) || p.p_type != PT_LOAD)
            continue;
        if (vaddr < p.p_vaddr || vaddr - p.p_vaddr > p.p_filesz ||
            size > p.p_filesz - (vaddr - p.p_vaddr))
            continue;
        *offset = p.p_offset + (vaddr - p.p_vaddr);
        return true;
    }
    return false;
}

static const char *check_segments(const struct elf_file *f, const Elf64_Ehdr *h,
                                  Elf64_Phdr *dynamic)
{
    Elf64_Phdr p;
    bool found = false;
    for (unsigned i = 0; i < h->e_phnum; i++) {
        if (!read_at(f, h->e_phoff + i * sizeof p, &p, sizeof p))
            return "is cut off inside its program headers";
        if ((p.p_type == PT_LOAD || p.p_type == PT_DYNAMIC) && !fits(f, p.p_offset, p.p_filesz))
            return "is cut off: a segment lies beyond the end of the file";
        if (p.p_type == PT_LOAD && (p.p_filesz > p.p_memsz || p.p_vaddr + p.p_memsz < p.p_vaddr))
            return "has a damaged segment";
        if (p.p_type == PT_DYNAMIC) {
            *dynamic = p;
            found = true;
        }
    }
    return found ? NULL : "has no dynamic section; link the driver with -shared";
}

static bool dynamic_at(const struct elf_file *f, uint64_t index, Elf64_Dyn *out)
{
    return index < f->dynamic_count &&
           read_at(f, f->dynamic + index * sizeof *out, out, sizeof *out) && out->d_tag != DT_NULL;
}

/* Number of symbols by the GNU hash table: the end of the chain that starts last. */
static bool count_gnu(const struct elf_file *f, uint64_t table, uint64_t *count)
{
    uint32_t head[4], last = 0, word;
    if (!read_at(f, table, head, sizeof head))
        return false;
    uint64_t buckets = table + sizeof head + (uint64_t)head[2] * 8;
    uint64_t chains = buckets + (uint64_t)head[0] * 4;
    if (!fits(f, buckets, (uint64_t)head[0] * 4))
        return false;
    for (uint32_t i = 0; i < head[0]; i++) {
        if (!read_at(f, buckets + (uint64_t)i * 4, &word, sizeof word))
            return false;
        last = word > last ? word : last;
    }
    if (last < head[1]) {
        *count = head[1]; /* nothing defined: only what comes before the hashed ones */
        return true;
    }
    do {
        if (!read_at(f, chains + (uint64_t)(last - head[1]) * 4, &word, sizeof word))
            return false;
    } while (!(word & 1) && ++last);
    *count = (uint64_t)last + 1;
    return true;
}

struct tags {
    uint64_t symtab, strtab, strsz, syment, hash, gnu_hash;
};

static const char *locate(struct elf_file *f, const Elf64_Ehdr *h, const struct tags *t)
{
    uint64_t strings, hash;
    uint32_t nchain;
    if (!t->symtab || !t->strtab || !t->strsz || t->syment != sizeof(Elf64_Sym))
        return "has a damaged dynamic section (symbol or string table)";
    if (!to_offset(f, h, t->strtab, t->strsz, &strings) || f->bytes[strings + t->strsz - 1] != 0)
        return "has a damaged dynamic string table";
    f->strings = (const char *)f->bytes + strings;
    f->strings_size = t->strsz;
    if (t->hash) {
        if (!to_offset(f, h, t->hash, 8, &hash) || !read_at(f, hash + 4, &nchain, sizeof nchain))
            return "has a damaged symbol hash table";
        f->symbol_count = nchain;
    } else if (!t->gnu_hash || !to_offset(f, h, t->gnu_hash, 16, &hash) ||
               !count_gnu(f, hash, &f->symbol_count)) {
        return "has a damaged symbol hash table";
    }
    if (f->symbol_count > f->size / sizeof(Elf64_Sym) ||
        !to_offset(f, h, t->symtab, f->symbol_count * sizeof(Elf64_Sym), &f->symbols))
        return "has a damaged dynamic symbol table";
    return NULL;
}

const char *elf__parse(struct elf_file *out, const void *bytes, size_t size)
{
    struct tags t = {0};
    Elf64_Ehdr h;
    Elf64_Phdr dynamic;
    Elf64_Dyn d;
    *out = (struct elf_file){.bytes = bytes, .size = size};
    const char *wrong = check_header(out, &h);
    if (!wrong)
        wrong = check_segments(out, &h, &dynamic);
    if (wrong)
        return wrong;
    out->dynamic = dynamic.p_offset;
    out->dynamic_count = dynamic.p_filesz / sizeof d;
    for (uint64_t i = 0; dynamic_at(out, i, &d); i++) {
        uint64_t *slot = d.d_tag == DT_SYMTAB     ? &t.symtab
                         : d.d_tag == DT_STRTAB   ? &t.strtab
                         : d.d_tag == DT_STRSZ    ? &t.strsz
                         : d.d_tag == DT_SYMENT   ? &t.syment
                         : d.d_tag == DT_HASH     ? &t.hash
                         : d.d_tag == DT_GNU_HASH ? &t.gnu_hash
                                                  : NULL;
        if (slot)
            *slot = d.d_un.d_val;
    }
    return locate(out, &h, &t);
}

bool elf__symbol(const struct elf_file *f, uint64_t index, Elf64_Sym *out, const char **name)
{
    if (index >= f->symbol_count ||
        !read_at(f, f->symbols + index * sizeof *out, out, sizeof *out) ||
        out->st_name >= f->strings_size)
        return false;
    *name = f->strings + out->st_name;
    return true;
}

const char *elf__needed(const struct elf_file *f, uint64_t *cursor)
{
    Elf64_Dyn d;
    while (dynamic_at(f, *cursor, &d)) {
        ++*cursor;
        if (d.d_tag == DT_NEEDED && d.d_un.d_val < f->strings_size)
            return f->strings + d.d_un.d_val;
    }
    return NULL;
}
