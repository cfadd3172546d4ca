/* elf.c - the symbol table and the build ID of ELF files of both classes (System V gABI 4.1, chapter 4). */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "symbols/internal.h"

enum {
	SECTIONS_MAX = 1 << 16, /* a kernel with a section per function has half of that */
	NOTES_MAX = 256,
	RANK_KIND = 64, /* more than symbols_rank() gives */
};

/* The section headers, both classes in the 64-bit form. */
struct elf_symbols {
	const uint8_t *bytes;
	size_t len;
	bool is64;
	Elf64_Shdr *section;
	size_t nr_sections;
	const Elf64_Shdr *symtab, *strtab; /* NULL: none */
	size_t nr;                         /* of symtab's entries */
};

bool symbols_elf_matches(const uint8_t *bytes, size_t len)
{
	return len >= EI_NIDENT && memcmp(bytes, ELFMAG, SELFMAG) == 0;
}

static Elf64_Shdr shdr_at(const struct elf_symbols *elf, uint64_t offset)
{
	Elf64_Shdr sh;
	Elf32_Shdr sh32;

	if (elf->is64) {
		memcpy(&sh, elf->bytes + offset, sizeof(sh));
		return sh;
	}
	memcpy(&sh32, elf->bytes + offset, sizeof(sh32));
	return (Elf64_Shdr){
		.sh_type = sh32.sh_type,
		.sh_flags = sh32.sh_flags,
		.sh_addr = sh32.sh_addr,
		.sh_offset = sh32.sh_offset,
		.sh_size = sh32.sh_size,
		.sh_link = sh32.sh_link,
		.sh_addralign = sh32.sh_addralign,
		.sh_entsize = sh32.sh_entsize,
	};
}

/* Where the section headers are, how many bytes each has, and how many there are; 0 in the last: in the first one. */
static bool shdr_table(const struct elf_symbols *elf, uint64_t *ret_at, uint64_t *ret_bytes,
		       uint64_t *ret_nr)
{
	Elf64_Ehdr h;
	Elf32_Ehdr h32;

	if (elf->len < (elf->is64 ? sizeof(h) : sizeof(h32)))
		return false;
	if (elf->is64) {
		memcpy(&h, elf->bytes, sizeof(h));
		*ret_at = h.e_shoff;
		*ret_bytes = h.e_shentsize;
		*ret_nr = h.e_shnum;
		return *ret_at && *ret_bytes == sizeof(Elf64_Shdr);
	}
	memcpy(&h32, elf->bytes, sizeof(h32));
	*ret_at = h32.e_shoff;
	*ret_bytes = h32.e_shentsize;
	*ret_nr = h32.e_shnum;
	return *ret_at && *ret_bytes == sizeof(Elf32_Shdr);
}

/* 0 also for a file without section headers, or with ones that are not there. */
static int read_sections(struct elf_symbols *elf)
{
	uint64_t at, bytes, nr;

	if (!shdr_table(elf, &at, &bytes, &nr) || !u64_range_within(at, bytes, elf->len))
		return 0;
	if (nr == 0)
		nr = shdr_at(elf, at).sh_size;
	if (nr == 0 || nr > SECTIONS_MAX || !u64_range_within(at, bytes * nr, elf->len))
		return 0;
	elf->section = malloc(nr * sizeof(*elf->section));
	if (!elf->section)
		return -ENOMEM;
	for (elf->nr_sections = 0; elf->nr_sections < nr; elf->nr_sections++)
		elf->section[elf->nr_sections] = shdr_at(elf, at + elf->nr_sections * bytes);
	return 0;
}

static bool has_bytes(const struct elf_symbols *elf, const Elf64_Shdr *sh)
{
	return sh->sh_type != SHT_NOBITS && u64_range_within(sh->sh_offset, sh->sh_size, elf->len);
}

static void find_symtab(struct elf_symbols *elf)
{
	const size_t entry = elf->is64 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);

	for (size_t i = 0; i < elf->nr_sections; i++) {
		const Elf64_Shdr *sh = &elf->section[i];

		if (sh->sh_type != SHT_SYMTAB || sh->sh_entsize != entry || !has_bytes(elf, sh) ||
		    sh->sh_link >= elf->nr_sections || !has_bytes(elf, &elf->section[sh->sh_link]))
			continue;
		elf->symtab = sh;
		elf->strtab = &elf->section[sh->sh_link];
		elf->nr = sh->sh_size / entry;
		return;
	}
}

static int elf_symbols_open(struct elf_symbols *elf, const uint8_t *bytes, size_t len)
{
	int r;

	*elf = (struct elf_symbols){.bytes = bytes, .len = len};
	if (!symbols_elf_matches(bytes, len) || bytes[EI_DATA] != ELFDATA2LSB ||
	    (bytes[EI_CLASS] != ELFCLASS64 && bytes[EI_CLASS] != ELFCLASS32))
		return 0;
	elf->is64 = bytes[EI_CLASS] == ELFCLASS64;
	r = read_sections(elf);
	if (r == 0)
		find_symtab(elf);
	return r;
}

static Elf64_Sym sym_at(const struct elf_symbols *elf, size_t i)
{
	Elf64_Sym sym;
	Elf32_Sym sym32;

	if (elf->is64) {
		memcpy(&sym, elf->bytes + elf->symtab->sh_offset + i * sizeof(sym), sizeof(sym));
		return sym;
	}
	memcpy(&sym32, elf->bytes + elf->symtab->sh_offset + i * sizeof(sym32), sizeof(sym32));
	return (Elf64_Sym){
		.st_name = sym32.st_name,
		.st_info = sym32.st_info,
		.st_shndx = sym32.st_shndx,
		.st_value = sym32.st_value,
		.st_size = sym32.st_size,
	};
}

/* Functions first, labels last. -1: not a symbol of an address. */
static int sym_kind(const Elf64_Sym *sym)
{
	if (sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS || sym->st_shndx == SHN_COMMON)
		return -1;
	switch (ELF64_ST_TYPE(sym->st_info)) {
	case STT_FUNC:
	case STT_GNU_IFUNC: return 0;
	case STT_OBJECT: return 1;
	case STT_NOTYPE: return 2;
	default: return -1;
	}
}

static int elf_add(struct symbols *symbols, const struct elf_symbols *elf, const Elf64_Sym *sym)
{
	const Elf64_Shdr *home =
		sym->st_shndx < elf->nr_sections ? &elf->section[sym->st_shndx] : NULL;
	const bool is_weak = ELF64_ST_BIND(sym->st_info) == STB_WEAK;
	const int kind = sym_kind(sym);
	struct symbols_new new = {.addr = sym->st_value, .size = sym->st_size};

	if (kind < 0 || sym->st_name >= elf->strtab->sh_size)
		return 0;
	new.name = (const char *)elf->bytes + elf->strtab->sh_offset + sym->st_name;
	new.name_len = strnlen(new.name, elf->strtab->sh_size - sym->st_name < SYMBOL_NAME_MAX
						 ? elf->strtab->sh_size - sym->st_name
						 : SYMBOL_NAME_MAX);
	new.rank = symbols_rank(new.name, new.name_len, is_weak) + (unsigned)kind *RANK_KIND;
	new.is_text = kind == 0 || (kind == 2 && home && (home->sh_flags & SHF_EXECINSTR));
	if (home && home->sh_addr + home->sh_size > home->sh_addr)
		new.end = home->sh_addr + home->sh_size;
	return symbols_add(symbols, &new);
}

/* The next note of a section that has alignment 4; false at its end. */
static bool next_note(const uint8_t *notes, uint64_t len, uint64_t *pos, Elf64_Nhdr *ret,
		      uint64_t *ret_desc)
{
	uint64_t desc;

	if (!u64_range_within(*pos, sizeof(*ret), len))
		return false;
	memcpy(ret, notes + *pos, sizeof(*ret));
	desc = *pos + sizeof(*ret) + (((uint64_t)ret->n_namesz + 3) & ~UINT64_C(3));
	if (!u64_range_within(desc, ret->n_descsz, len))
		return false;
	*ret_desc = desc;
	*pos = desc + (((uint64_t)ret->n_descsz + 3) & ~UINT64_C(3));
	return true;
}

static void take_build_id(struct symbols *symbols, const struct elf_symbols *elf,
			  const Elf64_Shdr *sh, unsigned *notes)
{
	const uint8_t *bytes = elf->bytes + sh->sh_offset;
	uint64_t pos = 0, desc, begin = 0;
	Elf64_Nhdr note;

	for (; *notes < NOTES_MAX && next_note(bytes, sh->sh_size, &pos, &note, &desc);
	     begin = pos, (*notes)++)
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU) &&
		    memcmp(bytes + begin + sizeof(note), ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0)
			symbols_set_build_id(symbols, bytes + desc, note.n_descsz);
}

static int elf_take(struct symbols *symbols, const struct elf_symbols *elf)
{
	unsigned notes = 0;

	for (size_t i = 0; i < elf->nr && symbols_count(symbols) < SYMBOLS_MAX; i++) {
		const Elf64_Sym sym = sym_at(elf, i);
		const int r = elf_add(symbols, elf, &sym);

		if (r < 0)
			return r;
	}
	symbols_finish(symbols);
	for (size_t i = 0; i < elf->nr_sections; i++)
		if (elf->section[i].sh_type == SHT_NOTE && has_bytes(elf, &elf->section[i]))
			take_build_id(symbols, elf, &elf->section[i], &notes);
	return 0;
}

static int refuse_stripped(const char *name, struct diag *diag)
{
	diag_set(diag, -EINVAL, "symbols-stripped",
		 "symbols '%s' are an ELF file without a symbol table", name);
	diag_remedy(diag,
		    "name the vmlinux of the build, before it was stripped, or its System.map");
	return -EINVAL;
}

int symbols_elf_parse(const char *name, const uint8_t *bytes, size_t len, struct symbols **ret,
		      struct diag *diag)
{
	struct symbols *symbols = NULL;
	struct elf_symbols elf;
	int r = elf_symbols_open(&elf, bytes, len);
	AUTO_FREE Elf64_Shdr *sections = elf.section;

	if (r == 0 && elf.nr == 0)
		return refuse_stripped(name, diag);
	if (r == 0)
		r = symbols_create(elf.nr, &symbols);
	if (r == 0)
		r = elf_take(symbols, &elf);
	if (r < 0) {
		symbols_free(symbols);
		return diag_set(diag, r, "symbols-elf-read", "symbols '%s'", name);
	}
	if (symbols_count(symbols) == 0) {
		symbols_free(symbols);
		return refuse_stripped(name, diag);
	}
	(void)sections;
	*ret = symbols;
	return 0;
}

/* Names of sections are in one of the string tables. */
bool symbols_elf_has_lines(const uint8_t *bytes, size_t len)
{
	static const char name[] = "debug_line"; /* after "." or ".z" */
	struct elf_symbols elf = {0};
	bool has = false;

	if (elf_symbols_open(&elf, bytes, len) == 0)
		for (size_t i = 0; !has && i < elf.nr_sections; i++)
			has = elf.section[i].sh_type == SHT_STRTAB &&
			      has_bytes(&elf, &elf.section[i]) &&
			      memmem(bytes + elf.section[i].sh_offset, elf.section[i].sh_size, name,
				     sizeof(name) - 1);
	free(elf.section);
	return has;
}

bool symbols_elf_is_small(const uint8_t *bytes, size_t len, size_t max)
{
	struct elf_symbols elf;
	const int r = elf_symbols_open(&elf, bytes, len);

	free(elf.section);
	return r == 0 && elf.nr > 0 && elf.nr <= max;
}
