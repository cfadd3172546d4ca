/*
 * elf.c - ELF kernels (System V gABI 4.1, chapters 4 and 5): segments go where p_paddr says; entry
 * by the PVH note (Xen's pvh.pandoc, elfnote.h), else by Linux's 64-bit entry (boot.rst).
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "boot/loader.h"

enum {
	XEN_ELFNOTE_PHYS32_ENTRY = 18, /* desc: the physical address, 4 or 8 bytes */
	PHDRS_MAX = 128,               /* no kernel has a tenth of that */
	NOTES_MAX = 4096,              /* nor a hundredth: each search reads all of them */
};

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

bool elf_matches(const struct boot_image *img)
{
	return img->len >= SELFMAG && memcmp(img->bytes, ELFMAG, SELFMAG) == 0;
}

static int refuse_truncated(const struct elf *elf, struct diag *diag, const char *what)
{
	return boot_refuse(elf->img, diag, "copy or build it again",
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
		return boot_refuse(elf->img, diag, remedy, "is an ELF file for %s, not for x86",
				   name);
	return boot_refuse(elf->img, diag, remedy,
			   "is an ELF file for machine number %u, not for x86", elf->h.e_machine);
}

static int check_type(const struct elf *elf, struct diag *diag)
{
	switch (elf->h.e_type) {
	case ET_EXEC:
	case ET_DYN: return 0;
	case ET_REL:
		return boot_refuse(elf->img, diag, "link it, or name the linked vmlinux",
				   "is an ELF object file or kernel module, not a kernel");
	case ET_CORE:
		return boot_refuse(elf->img, diag, "name the vmlinux it came from",
				   "is a core dump, not a kernel");
	default:
		return boot_refuse(elf->img, diag, NULL, "is an ELF file of unknown type %u",
				   elf->h.e_type);
	}
}

static int check_phdr_table(const struct elf *elf, struct diag *diag)
{
	const uint64_t size = elf->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

	if (elf->h.e_phnum == 0)
		return boot_refuse(
			elf->img, diag, "name the linked vmlinux",
			"is an ELF file without program headers: nothing in it is loadable");
	if (elf->h.e_phentsize != size || elf->h.e_phnum > PHDRS_MAX)
		return boot_refuse(elf->img, diag, NULL,
				   "is a corrupt ELF file: %u program headers of %u bytes",
				   elf->h.e_phnum, elf->h.e_phentsize);
	if (!u64_range_within(elf->h.e_phoff, size * elf->h.e_phnum, elf->img->len))
		return refuse_truncated(elf, diag, "program header table");
	return 0;
}

/* The program header table was found to lie inside the file. */
static Elf64_Phdr phdr_get(const struct elf *elf, unsigned i)
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
 * Takes the note at *pos of [notes, notes + len) and moves *pos behind it. Name and descriptor each
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
		const Elf64_Phdr ph = phdr_get(elf, i);

		if (!has_notes(elf, &ph))
			continue;
		n += notes_count(elf, &ph, 4, NOTES_MAX + 1 - n);
		if (ph.p_align == 8)
			n += notes_count(elf, &ph, 8, NOTES_MAX + 1 - n);
	}
	if (n <= NOTES_MAX)
		return 0;
	return boot_refuse(elf->img, diag, "copy or build it again",
			   "is a corrupt ELF file: it has more than %d notes", NOTES_MAX);
}

static int elf_open(struct elf *elf, const struct boot_image *img, struct diag *diag)
{
	Elf32_Ehdr h32;
	int r;

	*elf = (struct elf){.img = img};
	if (img->len < sizeof(Elf32_Ehdr))
		return refuse_truncated(elf, diag, "header");
	if (img->bytes[EI_DATA] != ELFDATA2LSB)
		return boot_refuse(img, diag, "name a kernel built for x86-64",
				   "is a big-endian ELF file, not for x86");
	if (img->bytes[EI_CLASS] == ELFCLASS32) {
		memcpy(&h32, img->bytes, sizeof(h32));
		ehdr_widen(&h32, &elf->h);
	} else if (img->bytes[EI_CLASS] == ELFCLASS64) {
		if (img->len < sizeof(elf->h))
			return refuse_truncated(elf, diag, "header");
		memcpy(&elf->h, img->bytes, sizeof(elf->h));
		elf->is64 = true;
	} else {
		return boot_refuse(img, diag, NULL, "is a corrupt ELF file: class %u",
				   img->bytes[EI_CLASS]);
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
static bool note_find(const struct elf *elf, const char *name, uint32_t type, struct elf_note *ret)
{
	for (unsigned i = 0; i < elf->h.e_phnum; i++) {
		const Elf64_Phdr ph = phdr_get(elf, i);

		if (!has_notes(elf, &ph))
			continue;
		if (ph.p_align == 8 && note_find_in(elf, &ph, 8, name, type, ret))
			return true;
		if (note_find_in(elf, &ph, 4, name, type, ret))
			return true;
	}
	return false;
}

static bool has_phdr(const struct elf *elf, uint32_t type)
{
	for (unsigned i = 0; i < elf->h.e_phnum; i++)
		if (phdr_get(elf, i).p_type == type)
			return true;
	return false;
}

/* What a C library's linker leaves behind and no kernel has. */
static int check_not_userspace(const struct elf *elf, struct diag *diag)
{
	static const char remedy[] = "name a kernel; a program goes into the initrd as /init";
	struct elf_note note;

	if (has_phdr(elf, PT_INTERP))
		return boot_refuse(elf->img, diag, remedy,
				   "is a dynamically linked program, not a kernel");
	if (elf->h.e_type == ET_DYN)
		return boot_refuse(
			elf->img, diag, remedy,
			"is a shared library or position-independent program, not a kernel");
	if (note_find(elf, ELF_NOTE_GNU, NT_GNU_ABI_TAG, &note) || has_phdr(elf, PT_TLS))
		return boot_refuse(elf->img, diag, remedy,
				   "is a statically linked program, not a kernel");
	return 0;
}

static int add_segment(struct boot_plan *plan, const struct elf *elf, const Elf64_Phdr *ph,
		       struct diag *diag)
{
	struct boot_segment seg = {
		.gpa = ph->p_paddr,
		.data_len = ph->p_filesz,
		.mem_len = ph->p_memsz,
	};

	if (ph->p_filesz > ph->p_memsz)
		return boot_refuse(elf->img, diag, NULL,
				   "is a corrupt ELF file: a segment has %#llx bytes of file for "
				   "%#llx bytes of memory",
				   (unsigned long long)ph->p_filesz,
				   (unsigned long long)ph->p_memsz);
	if (seg.data_len) { /* where it has none, a stripped file may end before p_offset */
		if (!u64_range_within(ph->p_offset, ph->p_filesz, elf->img->len))
			return refuse_truncated(elf, diag, "loadable segment");
		seg.data = elf->img->bytes + ph->p_offset;
	}
	return boot_plan_add(plan, elf->img, &seg, diag);
}

static int add_segments(struct boot_plan *plan, const struct elf *elf, struct diag *diag)
{
	bool executable = false;
	int r;

	for (unsigned i = 0; i < elf->h.e_phnum; i++) {
		const Elf64_Phdr ph = phdr_get(elf, i);

		if (ph.p_type != PT_LOAD)
			continue;
		r = add_segment(plan, elf, &ph, diag);
		if (r < 0)
			return r;
		executable |= ph.p_filesz && (ph.p_flags & PF_X);
	}
	if (!executable)
		return boot_refuse(elf->img, diag, "name the linked vmlinux",
				   "is an ELF file without executable code");
	return 0;
}

static int pvh_entry_gpa(const struct elf *elf, const struct elf_note *note, uint64_t *ret,
			 struct diag *diag)
{
	uint64_t v = 0;

	if (note->desc_len != 4 && note->desc_len != 8)
		return boot_refuse(elf->img, diag, NULL, "has a PVH note of %u bytes, not 4 or 8",
				   note->desc_len);
	memcpy(&v, note->desc, note->desc_len); /* little-endian, as the host */
	if (v > UINT32_MAX)
		return boot_refuse(elf->img, diag, NULL,
				   "has a PVH entry point at %#llx, past what 32-bit code reaches",
				   (unsigned long long)v);
	*ret = v;
	return 0;
}

static int load_pvh(struct boot_plan *plan, const struct elf *elf, const struct elf_note *note,
		    struct diag *diag)
{
	uint64_t gpa = 0;
	int r = pvh_entry_gpa(elf, note, &gpa, diag);

	if (r < 0)
		return r;
	plan->protocol = BOOT_PVH;
	plan->kind = elf->is64 ? "ELF64 with PVH note" : "ELF32 with PVH note";
	r = add_segments(plan, elf, diag);
	return r < 0 ? r : boot_plan_set_entry(plan, elf->img, gpa, diag);
}

static int load_linux64(struct boot_plan *plan, const struct elf *elf, struct diag *diag)
{
	int r = check_not_userspace(elf, diag);

	if (r < 0)
		return r;
	if (!elf->is64 || elf->h.e_machine != EM_X86_64)
		return boot_refuse(elf->img, diag, "name a 64-bit kernel, or one with a PVH note",
				   "is a 32-bit ELF file without PVH note and Multiboot header");
	plan->protocol = BOOT_LINUX64;
	plan->kind = "ELF64 by its Linux 64-bit entry";
	r = add_segments(plan, elf, diag);
	return r < 0 ? r : boot_plan_set_entry(plan, elf->img, elf->h.e_entry, diag);
}

static bool find_pvh_note(const struct elf *elf, struct elf_note *ret)
{
	return note_find(elf, "Xen", XEN_ELFNOTE_PHYS32_ENTRY, ret);
}

bool elf_has_pvh_note(const struct boot_image *img)
{
	struct elf_note note;
	struct elf elf;

	return elf_matches(img) && elf_open(&elf, img, NULL) == 0 && find_pvh_note(&elf, &note);
}

int elf_load(struct boot_plan *plan, const struct boot_image *img, unsigned allowed,
	     struct diag *diag)
{
	struct elf_note note;
	struct elf elf;
	int r = elf_open(&elf, img, diag);

	if (r < 0)
		return r;
	if ((allowed & ENTRY_PVH) && find_pvh_note(&elf, &note))
		return load_pvh(plan, &elf, &note, diag);
	if ((allowed & ENTRY_MULTIBOOT) && multiboot_matches(img))
		return multiboot_load(plan, img, diag);
	if (allowed & ENTRY_LINUX64)
		return load_linux64(plan, &elf, diag);
	r = check_not_userspace(&elf, diag);
	if (r < 0)
		return r;
	return boot_refuse(img, diag, "build it with CONFIG_PVH=y, or choose another boot mode",
			   "is an ELF file without PVH note");
}

/*
 * The physical address of e_entry. Multiboot wants it physical, but kernels that run at high
 * virtual addresses leave what their linker wrote, and GRUB translates it.
 */
static uint64_t entry_to_gpa(const struct elf *elf)
{
	const uint64_t entry = elf->h.e_entry;
	uint64_t translated = entry;

	for (unsigned i = 0; i < elf->h.e_phnum; i++) {
		const Elf64_Phdr ph = phdr_get(elf, i);

		if (ph.p_type != PT_LOAD)
			continue;
		if (entry >= ph.p_paddr && entry - ph.p_paddr < ph.p_memsz)
			return entry;
		if (entry >= ph.p_vaddr && entry - ph.p_vaddr < ph.p_memsz)
			translated = entry - ph.p_vaddr + ph.p_paddr;
	}
	return translated;
}

int elf_load_multiboot(struct boot_plan *plan, const struct boot_image *img, struct diag *diag)
{
	struct elf elf;
	int r = elf_open(&elf, img, diag);

	if (r == 0)
		r = add_segments(plan, &elf, diag);
	if (r < 0)
		return r;
	plan->kind = elf.is64 ? "Multiboot ELF64" : "Multiboot ELF32";
	return boot_plan_set_entry(plan, img, entry_to_gpa(&elf), diag);
}
