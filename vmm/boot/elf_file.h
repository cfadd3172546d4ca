/* elf_file.h - an ELF file's header, program headers and notes. Private to the ELF loader. */
#ifndef VMM_BOOT_ELF_FILE_H
#define VMM_BOOT_ELF_FILE_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>

#include "boot/loader.h"

/* The header, both classes read into the 64-bit form. */
struct elf {
	const struct boot_image *img;
	bool is64;
	Elf64_Ehdr h;
};

struct elf_note {
	uint32_t type;
	const uint8_t *name, *desc;
	uint32_t name_len, desc_len;
};

/* Reads the header. -ENOEXEC with diag for what is corrupt, not for x86, or not linked. */
int elf_open(struct elf *elf, const struct boot_image *img, struct diag *diag);

/* Program header i < elf->h.e_phnum, in the 64-bit form. */
Elf64_Phdr elf_phdr(const struct elf *elf, unsigned i);

/* The first note of that owner and type in any PT_NOTE; false when there is none. */
bool elf_note_find(const struct elf *elf, const char *name, uint32_t type, struct elf_note *ret);

/* -ENOEXEC with diag for "its WHAT ends past the bytes there are". */
int elf_refuse_truncated(const struct elf *elf, struct diag *diag, const char *what);

#endif
