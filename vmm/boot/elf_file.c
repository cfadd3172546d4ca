/*
 * elf_file.c - ELF files of both classes (System V gABI 4.1, chapters 4 and 5): the header, program
 * headers and notes, of which no length is believed.
 */
#include "boot/elf_file.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"

enum {
	PHDRS_MAX = 128,  /* no kernel has a tenth of that */
	NOTES_MAX = 4096, /* nor a hundredth: each search reads all of them */
};

bool elf_matches(const struct boot_image *img)
{
	return img->len >= SELFMAG && memcmp(img->bytes, ELFMAG, SELFMAG) == 0;
}

int elf_refuse_truncated(const struct elf *elf, struct diag *diag, const char *what)
{
	return boot_refuse(elf->img, diag, "kernel-elf-truncated", "copy or build it again",
			   "is a truncated ELF file: its %s ends past the %zu bytes there are",
			   what, elf->img->len);
}

static void ehdr_widen(const Elf32_Ehdr *in, Elf64_Ehdr *ret)
{
	memcpy(ret->e_ident, in->e_ident, EI_NIDENT);
	ret->e_type = in->e_type;
	ret->e_machine = in->e_machine;
	ret->e_version = in->e_version;
	ret->e_entry = in->e_entry;
	ret->e_phoff = in->e_phoff;
	ret->e_phentsize = in->e_phentsize;
	ret->e_phnum = in->e_phnum;
}

static const char *machine_name(uint16_t machine)
{
	switch (machine) {
	case EM_AARCH64: return "arm64";
	case EM_ARM: return "32-bit Arm";
	case EM_RISCV: return "RISC-V";
	case EM_PPC64: return "64-bit PowerPC";
	case EM_PPC: return "PowerPC";
	case EM_S390: return "s390";
	case EM_MIPS: return "MIPS";
	case EM_LOONGARCH: return "LoongArch";
	case EM_SPARCV9: return "64-bit SPARC";
	case EM_IA_64: return "Itanium";
	default: return NULL;
	}
}

static int check_machine(const struct elf *elf, struct diag *diag)
{
	static const char remedy[] = "name a kernel built for x86-64";
	const char *name;

	if (elf->h.e_machine == EM_X86_64 || elf->h.e_machine == EM_386)
		return 0;
	name = machine_name(elf->h.e_machine);
	if (name)
		return boot_refuse(elf->img, diag, "kernel-elf-machine", remedy,
				   "is an ELF file for %s, not for x86", name);
	return boot_refuse(elf->img, diag, "kernel-elf-machine", remedy,
			   "is an ELF file for machine number %u, not for x86", elf->h.e_machine);
}

static int check_type(const struct elf *elf, struct diag *diag)
{
	switch (elf->h.e_type) {
	case ET_EXEC:
	case ET_DYN: return 0;
	case ET_REL:
		return boot_refuse(elf->img, diag, "kernel-elf-object",
				   "link it, or name the linked vmlinux",
				   "is an ELF object file or kernel module, not a kernel");
	case ET_CORE:
		return boot_refuse(elf->img, diag, "kernel-elf-core",
				   "name the vmlinux it came from", "is a core dump, not a kernel");
	default:
		return boot_refuse(elf->img, diag, "kernel-elf-type", NULL,
				   "is an ELF file of unknown type %u", elf->h.e_type);
	}
}

static int check_phdr_table(const struct elf *elf, struct diag *diag)
{
	const uint64_t size = elf->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

	if (elf->h.e_phnum == 0)
		return boot_refuse(
			elf->img, diag, "kernel-no-segments", "name the linked vmlinux",
			"is an ELF file without program headers: nothing in it is loadable");
	if (elf->h.e_phentsize != size || elf->h.e_phnum > PHDRS_MAX)
		return boot_refuse(elf->img, diag, "kernel-elf-segment-table", NULL,
				   "is a corrupt ELF file: %u program headers of %u bytes",
				   elf->h.e_phnum, elf->h.e_phentsize);
	if (!u64_range_within(elf->h.e_phoff, size * elf->h.e_phnum, elf->img->len))
		return elf_refuse_truncated(elf, diag, "program header table");
	return 0;
}

/* The program header table was found to lie inside the file. */
Elf64_Phdr elf_phdr(const struct elf *elf, unsigned i)
{
	const uint8_t *at = elf->img->bytes + elf->h.e_phoff + (size_t)i * elf->h.e_phentsize;
	Elf64_Phdr ph;
	Elf32_Phdr p32;

	if (elf->is64) {
		memcpy(&ph, at, sizeof(ph));
		return ph;
	}
	memcpy(&p32, at, sizeof(p32));
	return (Elf64_Phdr){
		.p_type = p32.p_type,
		.p_flags = p32.p_flags,
		.p_offset = p32.p_offset,
		.p_vaddr = p32.p_vaddr,
		.p_paddr = p32.p_paddr,
		.p_filesz = p32.p_filesz,
		.p_memsz = p32.p_memsz,
		.p_align = p32.p_align,
	};
}

static bool has_notes(const struct elf *elf, const Elf64_Phdr *ph)
{
	return ph->p_type == PT_NOTE && u64_range_within(ph->p_offset, ph->p_filesz, elf->img->len);
}

/*
 * Takes the note at *pos of [notes, notes + len) and moves *pos past it. Name and descriptor each
 * begin at a multiple of align. False at the end, or where the sizes leave the segment.
 */
static bool note_next(const uint8_t *notes, uint64_t len, uint64_t align, uint64_t *pos,
		      struct elf_note *ret)
{
	Elf64_Nhdr nh; /* the same three 32-bit words in both classes */
	uint64_t name, desc, next;

	if (!u64_range_within(*pos, sizeof(nh), len))
		return false;
	memcpy(&nh, notes + *pos, sizeof(nh));
	/* *pos <= len and each size has 32 bits: these sums cannot overflow. */
	name = *pos + sizeof(nh);
	desc = (name + nh.n_namesz + align - 1) & ~(align - 1);
	next = (desc + nh.n_descsz + align - 1) & ~(align - 1);
	if (!u64_range_within(desc, nh.n_descsz, len))
		return false;
	*ret = (struct elf_note){
		.type = nh.n_type,
		.name = notes + name,
		.name_len = nh.n_namesz,
		.desc = notes + desc,
		.desc_len = nh.n_descsz,
	};
	*pos = next;
	return true;
}

static unsigned notes_count(const struct elf *elf, const Elf64_Phdr *ph, uint64_t align,
			    unsigned max)
{
	struct elf_note note;
	uint64_t pos = 0;
	unsigned n = 0;

	while (n < max &&
	       note_next(elf->img->bytes + ph->p_offset, ph->p_filesz, align, &pos, &note))
		n++;
	return n;
}

/* In either alignment, over all segments: zeros are empty notes, which a file can have without end. */
static int check_notes(const struct elf *elf, struct diag *diag)
{
	unsigned n = 0;

	for (unsigned i = 0; i < elf->h.e_phnum && n <= NOTES_MAX; i++) {
		const Elf64_Phdr ph = elf_phdr(elf, i);

		if (!has_notes(elf, &ph))
			continue;
		n += notes_count(elf, &ph, 4, NOTES_MAX + 1 - n);
		if (ph.p_align == 8)
			n += notes_count(elf, &ph, 8, NOTES_MAX + 1 - n);
	}
	if (n <= NOTES_MAX)
		return 0;
	return boot_refuse(elf->img, diag, "kernel-elf-notes", "copy or build it again",
			   "is a corrupt ELF file: it has more than %d notes", NOTES_MAX);
}

int elf_open(struct elf *elf, const struct boot_image *img, struct diag *diag)
{
	Elf32_Ehdr h32;
	int r;

	*elf = (struct elf){.img = img};
	if (img->len < sizeof(Elf32_Ehdr))
		return elf_refuse_truncated(elf, diag, "header");
	if (img->bytes[EI_DATA] != ELFDATA2LSB)
		return boot_refuse(img, diag, "kernel-elf-big-endian",
				   "name a kernel built for x86-64",
				   "is a big-endian ELF file, not for x86");
	if (img->bytes[EI_CLASS] == ELFCLASS32) {
		memcpy(&h32, img->bytes, sizeof(h32));
		ehdr_widen(&h32, &elf->h);
	} else if (img->bytes[EI_CLASS] == ELFCLASS64) {
		if (img->len < sizeof(elf->h))
			return elf_refuse_truncated(elf, diag, "header");
		memcpy(&elf->h, img->bytes, sizeof(elf->h));
		elf->is64 = true;
	} else {
		return boot_refuse(img, diag, "kernel-elf-class", NULL,
				   "is a corrupt ELF file: class %u", img->bytes[EI_CLASS]);
	}
	r = check_machine(elf, diag);
	if (r == 0)
		r = check_type(elf, diag);
	if (r == 0)
		r = check_phdr_table(elf, diag);
	if (r == 0)
		r = check_notes(elf, diag);
	return r;
}

static bool note_is(const struct elf_note *note, const char *name, uint32_t type)
{
	const size_t len = strlen(name) + 1;

	return note->type == type && note->name_len == len && memcmp(note->name, name, len) == 0;
}

static bool note_find_in(const struct elf *elf, const Elf64_Phdr *ph, uint64_t align,
			 const char *name, uint32_t type, struct elf_note *ret)
{
	const uint8_t *notes = elf->img->bytes + ph->p_offset;
	struct elf_note note;
	uint64_t pos = 0;

	while (note_next(notes, ph->p_filesz, align, &pos, &note)) {
		if (note_is(&note, name, type)) {
			*ret = note;
			return true;
		}
	}
	return false;
}

/*
 * Linkers give a PT_NOTE the largest alignment of its sections, so one of alignment 8 may hold
 * notes that were laid out with 4: read it as its header says first, then as older tools would.
 */
bool elf_note_find(const struct elf *elf, const char *name, uint32_t type, struct elf_note *ret)
{
	for (unsigned i = 0; i < elf->h.e_phnum; i++) {
		const Elf64_Phdr ph = elf_phdr(elf, i);

		if (!has_notes(elf, &ph))
			continue;
		if (ph.p_align == 8 && note_find_in(elf, &ph, 8, name, type, ret))
			return true;
		if (note_find_in(elf, &ph, 4, name, type, ret))
			return true;
	}
	return false;
}
