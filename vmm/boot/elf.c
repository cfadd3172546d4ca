/*
 * elf.c - ELF kernels (System V gABI 4.1, chapters 4 and 5): segments go where p_paddr says; entry
 * by the PVH note (Xen's pvh.pandoc, elfnote.h), else by Linux's 64-bit entry (boot.rst).
 */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "boot/elf_file.h"

enum {
	LINUX_ELFNOTE_BUILD_SALT = 0x100,
	XEN_ELFNOTE_GUEST_OS = 6,      /* desc: a string, "linux" */
	XEN_ELFNOTE_PHYS32_ENTRY = 18, /* desc: the physical address, 4 or 8 bytes */
	LINUX_CMDLINE_MAX = 2047,      /* COMMAND_LINE_SIZE of x86, without the NUL */
};

static bool has_phdr(const struct elf *elf, uint32_t type)
{
	for (unsigned i = 0; i < elf->h.e_phnum; i++)
		if (elf_phdr(elf, i).p_type == type)
			return true;
	return false;
}

/* Sections that a C library's linker makes and no kernel has. */
static int check_not_userspace(const struct elf *elf, struct diag *diag)
{
	static const char remedy[] = "name a kernel; a program goes into the initrd as /init";
	struct elf_note note;

	if (has_phdr(elf, PT_INTERP))
		return boot_refuse(elf->img, diag, "kernel-program-dynamic", remedy,
				   "is a dynamically linked program, not a kernel");
	if (elf->h.e_type == ET_DYN)
		return boot_refuse(
			elf->img, diag, "kernel-program-shared", remedy,
			"is a shared library or position-independent program, not a kernel");
	if (elf_note_find(elf, ELF_NOTE_GNU, NT_GNU_ABI_TAG, &note) || has_phdr(elf, PT_TLS))
		return boot_refuse(elf->img, diag, "kernel-program-static", remedy,
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
		return boot_refuse(elf->img, diag, "kernel-segment-size", NULL,
				   "is a corrupt ELF file: a segment has %#llx bytes of file for "
				   "%#llx bytes of memory",
				   (unsigned long long)ph->p_filesz,
				   (unsigned long long)ph->p_memsz);
	if (seg.data_len) { /* where it has none, a stripped file may end before p_offset */
		if (!u64_range_within(ph->p_offset, ph->p_filesz, elf->img->len))
			return elf_refuse_truncated(elf, diag, "loadable segment");
		seg.data = elf->img->bytes + ph->p_offset;
	}
	return boot_plan_add(plan, elf->img, &seg, diag);
}

/* One that is longer than any digest is left out. */
static void note_build_id(struct boot_plan *plan, const struct elf *elf)
{
	struct elf_note note;

	if (!elf_note_find(elf, ELF_NOTE_GNU, NT_GNU_BUILD_ID, &note) ||
	    note.desc_len > sizeof(plan->build_id))
		return;
	memcpy(plan->build_id, note.desc, note.desc_len);
	plan->build_id_len = note.desc_len;
}

static int add_segments(struct boot_plan *plan, const struct elf *elf, struct diag *diag)
{
	bool executable = false;
	int r;

	for (unsigned i = 0; i < elf->h.e_phnum; i++) {
		const Elf64_Phdr ph = elf_phdr(elf, i);

		if (ph.p_type != PT_LOAD)
			continue;
		r = add_segment(plan, elf, &ph, diag);
		if (r < 0)
			return r;
		if (!plan->has_linear_offset)
			plan->linear_offset = ph.p_vaddr - ph.p_paddr;
		plan->has_linear_offset = true;
		executable |= ph.p_filesz && (ph.p_flags & PF_X);
	}
	note_build_id(plan, elf);
	if (!executable)
		return boot_refuse(elf->img, diag, "kernel-no-code", "name the linked vmlinux",
				   "is an ELF file without executable code");
	return 0;
}

static int pvh_entry_gpa(const struct elf *elf, const struct elf_note *note, uint64_t *ret,
			 struct diag *diag)
{
	uint64_t v = 0;

	if (note->desc_len != 4 && note->desc_len != 8)
		return boot_refuse(elf->img, diag, "kernel-pvh-note-size", NULL,
				   "has a PVH note of %u bytes, not 4 or 8", note->desc_len);
	memcpy(&v, note->desc, note->desc_len); /* little-endian, as the host */
	if (v > UINT32_MAX)
		return boot_refuse(elf->img, diag, "kernel-pvh-entry", NULL,
				   "has a PVH entry point at %#llx, past what 32-bit code reaches",
				   (unsigned long long)v);
	*ret = v;
	return 0;
}

static bool elf_is_64(const struct elf *elf)
{
	return elf->is64 && elf->h.e_machine == EM_X86_64;
}

/* Either has been in every kernel that has a PVH note: the first since Linux 4.19. */
static bool has_linux_note(const struct elf *elf)
{
	static const char os[] = "linux";
	struct elf_note note;

	return elf_note_find(elf, "Linux", LINUX_ELFNOTE_BUILD_SALT, &note) ||
	       (elf_note_find(elf, "Xen", XEN_ELFNOTE_GUEST_OS, &note) &&
		note.desc_len >= sizeof(os) - 1 && memcmp(note.desc, os, sizeof(os) - 1) == 0);
}

/* Whether the loaded data has the banner of a Linux of any age (init/version.c). */
static bool has_linux_banner(const struct boot_plan *plan)
{
	static const char banner[] = "Linux version ";

	for (unsigned i = 0; i < plan->nr_segments; i++) {
		const struct boot_segment *seg = &plan->segment[i];

		if (seg->data_len && memmem(seg->data, seg->data_len, banner, sizeof(banner) - 1))
			return true;
	}
	return false;
}

/* Sets Linux's limit, unless a bzImage's header has set one. */
static void limit_linux_cmdline(struct boot_plan *plan)
{
	if (!plan->setup_header_len)
		plan->cmdline_max = LINUX_CMDLINE_MAX;
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
	plan->is_linux = has_linux_note(elf);
	if (plan->is_linux)
		limit_linux_cmdline(plan);
	if (plan->initrd_gpa_limit > UINT32_MAX) /* Linux keeps 32 bits of a module's address */
		plan->initrd_gpa_limit = UINT32_MAX;
	r = add_segments(plan, elf, diag);
	return r < 0 ? r : boot_plan_set_entry(plan, elf->img, gpa, diag);
}

static int refuse_without_entry(const struct elf *elf, struct diag *diag)
{
	if (elf_is_64(elf))
		return boot_refuse(
			elf->img, diag, "kernel-no-entry-64",
			"give it one of these entries; --boot linux64 enters it as Linux "
			"all the same",
			"is an ELF64 file without PVH note, Multiboot header, Multiboot 2 "
			"header, or a sign of Linux (a note or its banner)");
	return boot_refuse(elf->img, diag, "kernel-no-entry-32",
			   "name a 64-bit kernel, one with a PVH note, or Linux's bzImage",
			   "is a 32-bit ELF file without PVH note, Multiboot header or Multiboot 2 "
			   "header");
}

static int load_linux64(struct boot_plan *plan, const struct elf *elf, bool any, struct diag *diag)
{
	int r = check_not_userspace(elf, diag);

	if (r < 0)
		return r;
	if (!elf_is_64(elf))
		return refuse_without_entry(elf, diag);
	plan->protocol = BOOT_LINUX64;
	plan->kind = "ELF64 by its Linux 64-bit entry";
	r = add_segments(plan, elf, diag);
	if (r < 0)
		return r;
	plan->is_linux = has_linux_note(elf) || has_linux_banner(plan);
	if (!plan->is_linux && !any)
		return refuse_without_entry(elf, diag);
	if (plan->is_linux)
		limit_linux_cmdline(plan);
	return boot_plan_set_entry(plan, elf->img, elf->h.e_entry, diag);
}

static bool find_pvh_note(const struct elf *elf, struct elf_note *ret)
{
	return elf_note_find(elf, "Xen", XEN_ELFNOTE_PHYS32_ENTRY, ret);
}

bool elf_has_pvh_note(const struct boot_image *img)
{
	struct elf_note note;
	struct elf elf;

	return elf_matches(img) && elf_open(&elf, img, NULL) == 0 && find_pvh_note(&elf, &note);
}

bool elf_is_x86_64(const struct boot_image *img)
{
	struct elf elf;

	return elf_matches(img) && elf_open(&elf, img, NULL) == 0 && elf_is_64(&elf);
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
	if ((allowed & ENTRY_MULTIBOOT2) && multiboot2_matches(img))
		return multiboot2_load(plan, img, diag);
	if (allowed & ENTRY_LINUX64)
		return load_linux64(plan, &elf, allowed & ENTRY_ANY_ELF64, diag);
	r = check_not_userspace(&elf, diag);
	if (r < 0)
		return r;
	return boot_refuse(img, diag, "kernel-no-pvh-note",
			   "build it with CONFIG_PVH=y, or choose another boot mode",
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
		const Elf64_Phdr ph = elf_phdr(elf, i);

		if (ph.p_type != PT_LOAD)
			continue;
		if (entry >= ph.p_paddr && entry - ph.p_paddr < ph.p_memsz)
			return entry;
		if (entry >= ph.p_vaddr && entry - ph.p_vaddr < ph.p_memsz)
			translated = entry - ph.p_vaddr + ph.p_paddr;
	}
	return translated;
}

int elf_load_multiboot(struct boot_plan *plan, const struct boot_image *img,
		       const uint64_t *entry_gpa, struct diag *diag)
{
	static const char *const kind[2][2] = {{"Multiboot ELF32", "Multiboot ELF64"},
					       {"Multiboot 2 ELF32", "Multiboot 2 ELF64"}};
	struct elf elf;
	int r = elf_open(&elf, img, diag);

	if (r == 0)
		r = add_segments(plan, &elf, diag);
	if (r < 0)
		return r;
	plan->kind = kind[plan->protocol == BOOT_MULTIBOOT2][elf.is64];
	return boot_plan_set_entry(plan, img, entry_gpa ? *entry_gpa : entry_to_gpa(&elf), diag);
}
