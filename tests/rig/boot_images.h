/* boot_images.h - kernel images synthesised for the tests and the fuzzer of vmm/boot. */
#ifndef TESTS_BOOT_IMAGES_H
#define TESTS_BOOT_IMAGES_H

#include <asm/bootparam.h>
#include <assert.h>
#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { IMAGE_MAX = 68 << 10 };

struct image {
	size_t len;
	uint8_t bytes[IMAGE_MAX];
};

/* Puts bytes at off; the image grows, with zeros between. */
static inline void image_put(struct image *img, size_t off, const void *bytes, size_t n)
{
	assert(off <= IMAGE_MAX && n <= IMAGE_MAX - off);
	if (n)
		memcpy(img->bytes + off, bytes, n);
	if (img->len < off + n)
		img->len = off + n;
}

static inline void image_put32(struct image *img, size_t off, uint32_t v)
{
	image_put(img, off, &v, sizeof(v));
}

static inline void image_reset(struct image *img)
{
	memset(img, 0, sizeof(*img)); /* len, and what shows between the parts */
}

/* n bytes that do not repeat soon, the same in every run. */
static inline void image_put_noise(struct image *img, size_t off, size_t n)
{
	uint32_t v = (uint32_t)off + 1;

	assert(off <= IMAGE_MAX && n <= IMAGE_MAX - off);
	for (size_t i = 0; i < n; i++) {
		v = v * 1664525 + 1013904223;
		img->bytes[off + i] = (uint8_t)(v >> 24);
	}
	if (img->len < off + n)
		img->len = off + n;
}

struct elf_spec {
	bool is32;
	uint16_t type, machine;
	uint64_t entry;
	Elf64_Phdr ph[70];
	unsigned nr_ph;
};

static inline void image_put_ehdr32(struct image *img, const struct elf_spec *spec)
{
	Elf32_Ehdr h = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = spec->type,
		.e_machine = spec->machine,
		.e_version = EV_CURRENT,
		.e_entry = (Elf32_Addr)spec->entry,
		.e_phoff = sizeof(h),
		.e_ehsize = sizeof(h),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = (Elf32_Half)spec->nr_ph,
	};

	image_put(img, 0, &h, sizeof(h));
	for (unsigned i = 0; i < spec->nr_ph; i++) {
		const Elf64_Phdr *ph = &spec->ph[i];
		const Elf32_Phdr p32 = {
			.p_type = ph->p_type,
			.p_flags = ph->p_flags,
			.p_offset = (Elf32_Off)ph->p_offset,
			.p_vaddr = (Elf32_Addr)ph->p_vaddr,
			.p_paddr = (Elf32_Addr)ph->p_paddr,
			.p_filesz = (Elf32_Word)ph->p_filesz,
			.p_memsz = (Elf32_Word)ph->p_memsz,
			.p_align = (Elf32_Word)ph->p_align,
		};

		image_put(img, sizeof(h) + i * sizeof(p32), &p32, sizeof(p32));
	}
}

/* The header and program headers at offset 0; what they point to is the caller's business. */
static inline void image_put_elf(struct image *img, const struct elf_spec *spec)
{
	Elf64_Ehdr h = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = spec->type,
		.e_machine = spec->machine,
		.e_version = EV_CURRENT,
		.e_entry = spec->entry,
		.e_phoff = sizeof(h),
		.e_ehsize = sizeof(h),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)spec->nr_ph,
	};

	if (spec->is32) {
		image_put_ehdr32(img, spec);
		return;
	}
	image_put(img, 0, &h, sizeof(h));
	image_put(img, sizeof(h), spec->ph, spec->nr_ph * sizeof(Elf64_Phdr));
}

/* One note at off; name and descriptor padded to align. Returns the offset after it. */
static inline size_t image_put_note(struct image *img, size_t off, size_t align, const char *name,
				    uint32_t type, const void *desc, uint32_t desc_len)
{
	const Elf64_Nhdr nh = {
		.n_namesz = (Elf64_Word)strlen(name) + 1,
		.n_descsz = desc_len,
		.n_type = type,
	};
	size_t at = off + sizeof(nh);

	image_put(img, off, &nh, sizeof(nh));
	image_put(img, at, name, nh.n_namesz);
	at = (at + nh.n_namesz + align - 1) & ~(align - 1);
	image_put(img, at, desc, desc_len);
	at = (at + desc_len + align - 1) & ~(align - 1);
	image_put(img, at, "", 0);
	return at;
}

enum {
	XEN_PHYS32_ENTRY = 18,
	NOTE_AT = 0x1800,
	TEXT_AT = 0x2000,
	TEXT_LEN = 0x300,
	TEXT_GPA = 0x100000,
	DATA_AT = 0x2400,
	DATA_LEN = 0x80,
	DATA_MEM = 0x5000,
	DATA_GPA = 0x200000,
	ENTRY_GPA = 0x100010,
};

/* Text, data with bss, and a place for notes that has no note in it: a kernel without PVH. */
static inline struct elf_spec elf_spec_plain(void)
{
	return (struct elf_spec){
		.type = ET_EXEC,
		.machine = EM_X86_64,
		.entry = ENTRY_GPA,
		.ph = {{.p_type = PT_LOAD,
			.p_flags = PF_R | PF_X,
			.p_offset = TEXT_AT,
			.p_vaddr = 0xffffffff80100000,
			.p_paddr = TEXT_GPA,
			.p_filesz = TEXT_LEN,
			.p_memsz = TEXT_LEN,
			.p_align = 0x1000},
		       {.p_type = PT_LOAD,
			.p_flags = PF_R | PF_W,
			.p_offset = DATA_AT,
			.p_vaddr = 0xffffffff80200000,
			.p_paddr = DATA_GPA,
			.p_filesz = DATA_LEN,
			.p_memsz = DATA_MEM,
			.p_align = 0x1000},
		       {.p_type = PT_NOTE, .p_offset = NOTE_AT, .p_filesz = 0, .p_align = 4}},
		.nr_ph = 3,
	};
}

static inline void image_make_any_kernel(struct image *img, const struct elf_spec *spec)
{
	image_reset(img);
	image_put_elf(img, spec);
	image_put_noise(img, TEXT_AT, TEXT_LEN);
	image_put_noise(img, DATA_AT, DATA_LEN);
}

enum { BANNER_AT = TEXT_AT + 0x100 };
#define LINUX_BANNER "Linux version 2.6.32 (built for a test)"

/* The same with what is a sign of Linux in a kernel that has no note. */
static inline void image_make_kernel(struct image *img, const struct elf_spec *spec)
{
	image_make_any_kernel(img, spec);
	image_put(img, BANNER_AT, LINUX_BANNER, sizeof(LINUX_BANNER));
}

/* The plain kernel with a PVH note of 8 bytes after one of another owner and type. */
static inline void image_make_pvh_behind(struct image *img, const char *owner, uint32_t type)
{
	struct elf_spec spec = elf_spec_plain();
	const uint64_t entry = ENTRY_GPA + 0x20;
	size_t end;

	image_make_any_kernel(img, &spec);
	end = image_put_note(img, NOTE_AT, 4, owner, type, "12345", 5);
	end = image_put_note(img, end, 4, "Xen", XEN_PHYS32_ENTRY, &entry, sizeof(entry));
	spec.ph[2].p_filesz = end - NOTE_AT;
	image_put_elf(img, &spec);
}

static inline void image_make_pvh(struct image *img)
{
	image_make_pvh_behind(img, "GNU", NT_GNU_BUILD_ID);
}

/* Any Linux that has the one note has the other. */
static inline void image_make_linux_pvh(struct image *img)
{
	image_make_pvh_behind(img, "Linux", 0x100);
}

enum { MB2_MAGIC = (int)0xe85250d6, MB2_AT = 0x1000 };

/* A Multiboot 2 header at off: what tags hold comes from the caller, without the closing tag. */
static inline void image_put_multiboot2(struct image *img, size_t off, const void *tags,
					uint32_t tags_len)
{
	const uint32_t len = 16 + (tags_len + 7) / 8 * 8 + 8;
	const uint32_t head[] = {(uint32_t)MB2_MAGIC, 0, len, 0u - (uint32_t)MB2_MAGIC - len};
	const uint32_t end[] = {0, 8};

	image_put(img, off, head, sizeof(head));
	image_put(img, off + 16, tags, tags_len);
	image_put(img, off + len - 8, end, sizeof(end));
}

/* The plain kernel with such a header, which asks for the command line and the memory map. */
static inline void image_make_multiboot2(struct image *img)
{
	const uint32_t request[] = {1, 16, 1, 6};
	const struct elf_spec spec = elf_spec_plain();

	image_make_any_kernel(img, &spec);
	image_put_multiboot2(img, MB2_AT, request, sizeof(request));
}

enum {
	BZ_SETUP_SECTS = 2,
	BZ_CODE_AT = (BZ_SETUP_SECTS + 1) * 512,
	BZ_PAYLOAD_OFF = 0x300, /* in the code */
	BZ_HEADER_LEN = 0x202 + 0x6a - 0x1f1,
};

/* A bzImage around a payload; the code around it is noise. The header can be changed afterwards. */
static inline void image_make_bzimage(struct image *img, const void *payload, size_t payload_len)
{
	const size_t code_len = (BZ_PAYLOAD_OFF + payload_len + 64 + 15) / 16 * 16;
	const struct setup_header h = {
		.setup_sects = BZ_SETUP_SECTS,
		.syssize = (uint32_t)(code_len / 16),
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH,
		.code32_start = 0x100000,
		.initrd_addr_max = 0x7ffff000,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.payload_offset = BZ_PAYLOAD_OFF,
		.payload_length = (uint32_t)payload_len,
		.pref_address = 0x1000000,
		.init_size = 0x800000,
	};

	image_reset(img);
	image_put(img, 0x1f1, &h, sizeof(h));
	image_put_noise(img, BZ_CODE_AT, code_len);
	image_put(img, BZ_CODE_AT + BZ_PAYLOAD_OFF, payload, payload_len);
}

#define BZ_SET(img, field, value)                                                                  \
	do {                                                                                       \
		struct setup_header h_;                                                            \
		memcpy(&h_, (img)->bytes + 0x1f1, sizeof(h_));                                     \
		h_.field = (value);                                                                \
		image_put(img, 0x1f1, &h_, sizeof(h_));                                            \
	} while (0)

#endif
