/* loader.h - between plan.c and the loaders, one a format. Nobody else includes it. */
#ifndef VMM_BOOT_LOADER_H
#define VMM_BOOT_LOADER_H

#include <stdbool.h>

#include "boot/boot.h"

/* Bytes of a kernel, or of what came out of a compressed one. */
struct boot_image {
	const char *name; /* for messages */
	const char *part; /* before "kernel" in messages: "payload of "; NULL: the file itself */
	const uint8_t *bytes;
	size_t len;
};

/* The 32 bits at that offset, little-endian; 0 where the image ends before. */
uint32_t boot_image_le32(const struct boot_image *img, uint64_t offset);

/* Records "PARTkernel 'NAME' FMT…" under the id, and the remedy (may be NULL), as -ENOEXEC; returns that. */
int boot_refuse(const struct boot_image *img, struct diag *diag, const char *diag_id,
		const char *remedy, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/*
 * Appends a segment, without the zeros its data ends with; mem_len 0 appends nothing. -ENOEXEC with
 * diag when it wraps around the address space or there are more than BOOT_SEGMENTS_MAX.
 */
int boot_plan_add(struct boot_plan *plan, const struct boot_image *img,
		  const struct boot_segment *seg, struct diag *diag);

/* Sets entry_gpa; -ENOEXEC with diag when no segment has file bytes there. */
int boot_plan_set_entry(struct boot_plan *plan, const struct boot_image *img, uint64_t gpa,
			struct diag *diag);

/* How an image may be entered; masks of these are in order of preference. */
enum boot_entry {
	ENTRY_PVH = 1,
	ENTRY_MULTIBOOT = 2,
	ENTRY_LINUX64 = 4, /* of the uncompressed kernel */
	ENTRY_BZIMAGE = 8, /* of the bzImage */
	ENTRY_MULTIBOOT2 = 16,
	ENTRY_ANY_ELF64 = 32, /* ENTRY_LINUX64 also for a file that shows no sign of Linux */
};

bool elf_matches(const struct boot_image *img);

/* Whether it is an ELF file that may be entered by PVH. */
bool elf_has_pvh_note(const struct boot_image *img);

/* Plans an ELF kernel by the first entry it has of those allowed. -ENOEXEC with diag. */
int elf_load(struct boot_plan *plan, const struct boot_image *img, unsigned allowed,
	     struct diag *diag);

/* Whether it is an ELF file for x86-64, which may be entered in long mode. */
bool elf_is_x86_64(const struct boot_image *img);

/*
 * For Multiboot kernels, of the version that plan->protocol says, without load addresses in their
 * header: adds the segments of an ELF file and sets the entry: *entry_gpa, or with NULL that of the
 * file's header, which may be a virtual address.
 */
int elf_load_multiboot(struct boot_plan *plan, const struct boot_image *img,
		       const uint64_t *entry_gpa, struct diag *diag);

bool bzimage_matches(const struct boot_image *img);

/*
 * Plans a bzImage by the first entry it has of those allowed. The decompressed payload
 * becomes plan->owned, in place of what was there, or lies in opts->room. -ENOEXEC, -ENOMEM.
 */
int bzimage_load(struct boot_plan *plan, const struct boot_image *img, unsigned allowed,
		 const struct boot_opts *opts, struct diag *diag);

/* Where a Multiboot header of either version says that its file goes. */
struct multiboot_addresses {
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

bool multiboot_matches(const struct boot_image *img);
int multiboot_load(struct boot_plan *plan, const struct boot_image *img, struct diag *diag);

/* Loads by addresses of a header that was found at offset at of the file. */
int multiboot_load_by_addresses(struct boot_plan *plan, const struct boot_image *img,
				const struct multiboot_addresses *h, size_t at, struct diag *diag);

bool multiboot2_matches(const struct boot_image *img);
int multiboot2_load(struct boot_plan *plan, const struct boot_image *img, struct diag *diag);

int flat_load(struct boot_plan *plan, const struct boot_image *img, const struct boot_opts *opts,
	      struct diag *diag);

/* Refuses an image that no loader takes, by what it is. Always -ENOEXEC. */
int identify_refuse(const struct boot_image *img, struct diag *diag);

struct unpack_codec;

/*
 * Decompresses img by its codec, hint as of unpack_opts, into opts->room or into memory that becomes
 * *ret_owned (NULL: it is in the room). -ENOEXEC or -ENOMEM with diag.
 */
int boot_unpack(struct boot_plan *plan, const struct boot_image *img,
		const struct unpack_codec *codec, size_t hint, const struct boot_opts *opts,
		struct boot_image *ret, uint8_t **ret_owned, struct diag *diag);

#endif
