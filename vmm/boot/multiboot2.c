/*
 * multiboot2.c - kernels with a Multiboot 2 header (Multiboot2 Specification 2.0, section 3.1).
 */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "boot/loader.h"

enum {
	SEARCH_LEN = 32768, /* the header lies wholly in these first bytes, 8-byte aligned */
	ALIGN = 8,          /* of the header and of each tag in it */
	ARCHITECTURE_I386 = 0,
	TAG_FLAG_OPTIONAL = 1 << 0,
	CONSOLE_REQUIRED = 1 << 0,
	INFO_TAG_MAX = 21, /* the last type of information that the specification defines */
	LOW_MEMORY_END = 0x100000,
};

#define HEADER_MAGIC    UINT32_C(0xe85250d6)
#define LOAD_ADDR_START UINT32_C(0xffffffff) /* load from the file's first byte */

enum tag_type {
	TAG_END,
	TAG_INFORMATION_REQUEST,
	TAG_ADDRESS,
	TAG_ENTRY,
	TAG_CONSOLE,
	TAG_FRAMEBUFFER,
	TAG_MODULE_ALIGNMENT,  /* modules on page boundaries: ours always are */
	TAG_EFI_BOOT_SERVICES, /* these three are for EFI firmware alone */
	TAG_ENTRY_EFI32,
	TAG_ENTRY_EFI64,
	TAG_RELOCATABLE,
};

struct header {
	uint32_t magic, architecture, len, checksum;
};

struct tag {
	uint16_t type, flags;
	uint32_t size; /* with these eight bytes, without the padding */
};

struct relocatable {
	uint32_t min_addr, max_addr, align, preference;
};

/* The contents of the tags. */
struct multiboot2 {
	const struct boot_image *img;
	size_t at; /* of the header */
	struct header h;
	bool has_addresses, has_entry, is_relocatable;
	struct multiboot_addresses addresses;
	uint32_t entry;
	struct relocatable range;
};

static bool multiboot2_header_find(struct multiboot2 *mb)
{
	const struct boot_image *img = mb->img;
	const size_t end = img->len < SEARCH_LEN ? img->len : SEARCH_LEN;

	for (size_t at = 0; at + sizeof(mb->h) <= end; at += ALIGN) {
		memcpy(&mb->h, img->bytes + at, sizeof(mb->h));
		if (mb->h.magic == HEADER_MAGIC &&
		    mb->h.magic + mb->h.architecture + mb->h.len + mb->h.checksum == 0) {
			mb->at = at;
			return true;
		}
	}
	return false;
}

bool multiboot2_matches(const struct boot_image *img)
{
	struct multiboot2 mb = {.img = img};

	return multiboot2_header_find(&mb);
}

static int multiboot2_refuse_header(const struct multiboot2 *mb, const char *diag_id,
				    const char *what, struct diag *diag)
{
	return boot_refuse(mb->img, diag, diag_id, NULL, "has a corrupt Multiboot 2 header: %s",
			   what);
}

/* A tag's own fields; false when it is too short for them. */
static bool tag_read(const struct multiboot2 *mb, size_t at, const struct tag *tag, void *ret,
		     size_t len)
{
	if (tag->size < sizeof(*tag) + len)
		return false;
	memcpy(ret, mb->img->bytes + at + sizeof(*tag), len);
	return true;
}

/* Information that it requests may be missing, but its type must be known. */
static int take_request(const struct multiboot2 *mb, size_t at, const struct tag *tag,
			struct diag *diag)
{
	for (size_t i = sizeof(*tag); i + 4 <= tag->size; i += 4) {
		uint32_t type;

		memcpy(&type, mb->img->bytes + at + i, sizeof(type));
		if (type > INFO_TAG_MAX)
			return boot_refuse(mb->img, diag, "kernel-multiboot2-information", NULL,
					   "requires Multiboot 2 information nobody defined: type "
					   "%u",
					   type);
	}
	return 0;
}

static int take_addresses(struct multiboot2 *mb, size_t at, const struct tag *tag,
			  struct diag *diag)
{
	uint32_t a[4];

	if (!tag_read(mb, at, tag, a, sizeof(a)))
		return multiboot2_refuse_header(mb, "kernel-multiboot2-address-tag",
						"its address tag is too short", diag);
	mb->has_addresses = true;
	mb->addresses = (struct multiboot_addresses){
		.header_addr = a[0],
		.load_addr = a[1] == LOAD_ADDR_START ? a[0] - (uint32_t)mb->at : a[1],
		.load_end_addr = a[2],
		.bss_end_addr = a[3],
	};
	return 0;
}

static int take_console(const struct multiboot2 *mb, size_t at, const struct tag *tag,
			struct diag *diag)
{
	uint32_t flags;

	if (!tag_read(mb, at, tag, &flags, sizeof(flags)))
		return multiboot2_refuse_header(mb, "kernel-multiboot2-console-tag",
						"its console tag is too short", diag);
	if (flags & CONSOLE_REQUIRED)
		return boot_refuse(mb->img, diag, "kernel-multiboot2-console",
				   "build it for a serial console",
				   "requires a console on a display, and the machine has none");
	return 0;
}

/* Optional tags are left alone unless they say where to load and enter. */
static int take_tag(struct multiboot2 *mb, size_t at, const struct tag *tag, struct diag *diag)
{
	const bool optional = tag->flags & TAG_FLAG_OPTIONAL;

	switch (tag->type) {
	case TAG_ADDRESS: return take_addresses(mb, at, tag, diag);
	case TAG_ENTRY:
		mb->has_entry = tag_read(mb, at, tag, &mb->entry, sizeof(mb->entry));
		return mb->has_entry ? 0
				     : multiboot2_refuse_header(mb, "kernel-multiboot2-entry-tag",
								"its entry tag is too short", diag);
	case TAG_RELOCATABLE:
		mb->is_relocatable = tag_read(mb, at, tag, &mb->range, sizeof(mb->range));
		return mb->is_relocatable
			       ? 0
			       : multiboot2_refuse_header(mb, "kernel-multiboot2-relocatable-tag",
							  "its relocatable tag is too short", diag);
	case TAG_INFORMATION_REQUEST: return optional ? 0 : take_request(mb, at, tag, diag);
	case TAG_CONSOLE: return optional ? 0 : take_console(mb, at, tag, diag);
	case TAG_FRAMEBUFFER:
		return optional ? 0
				: boot_refuse(mb->img, diag, "kernel-multiboot2-video",
					      "build it for a serial console",
					      "wants a video mode, and the machine has no display");
	case TAG_MODULE_ALIGNMENT:
	case TAG_EFI_BOOT_SERVICES:
	case TAG_ENTRY_EFI32:
	case TAG_ENTRY_EFI64: return 0;
	default:
		return optional ? 0
				: boot_refuse(mb->img, diag, "kernel-multiboot2-tag", NULL,
					      "requires Multiboot 2 features nobody defined: tag "
					      "%u",
					      tag->type);
	}
}

static int take_tags(struct multiboot2 *mb, struct diag *diag)
{
	const size_t file_end = mb->img->len < SEARCH_LEN ? mb->img->len : SEARCH_LEN;
	size_t at = mb->at + sizeof(mb->h), end;

	if (mb->h.len < sizeof(mb->h) || !u64_range_within(mb->at, mb->h.len, file_end))
		return multiboot2_refuse_header(mb, "kernel-multiboot2-cut", "it is cut off", diag);
	end = mb->at + mb->h.len;
	for (;;) {
		struct tag tag;
		int r;

		if (!u64_range_within(at, sizeof(tag), end))
			return multiboot2_refuse_header(mb, "kernel-multiboot2-tags-end",
							"its tags have no end", diag);
		memcpy(&tag, mb->img->bytes + at, sizeof(tag));
		if (tag.size < sizeof(tag) || !u64_range_within(at, tag.size, end))
			return multiboot2_refuse_header(mb, "kernel-multiboot2-tag-cut",
							"a tag is cut off", diag);
		if (tag.type == TAG_END)
			return 0;
		r = take_tag(mb, at, &tag, diag);
		if (r < 0)
			return r;
		at += (tag.size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	}
}

/* The lowest place that the kernel allows at which nothing of a PC lies. */
static uint64_t lowest_address(const struct relocatable *range)
{
	const uint64_t align = range->align ? range->align : 1;
	uint64_t gpa = range->min_addr > LOW_MEMORY_END ? range->min_addr : LOW_MEMORY_END;

	return (gpa + align - 1) / align * align;
}

/* A kernel that may be moved stays where it was linked, if it allows that. */
static int relocate(struct boot_plan *plan, const struct multiboot2 *mb, struct diag *diag)
{
	const struct relocatable *range = &mb->range;
	uint64_t first = UINT64_MAX, base, span;

	for (unsigned i = 0; i < plan->nr_segments; i++)
		if (plan->segment[i].gpa < first)
			first = plan->segment[i].gpa;
	span = plan->end_gpa - first;
	base = first;
	if (first < range->min_addr || (range->align && first % range->align) ||
	    plan->end_gpa - 1 > range->max_addr)
		base = lowest_address(range);
	if (!u64_range_within(base, span, (uint64_t)range->max_addr + 1))
		return multiboot2_refuse_header(mb, "kernel-multiboot2-range",
						"its address range is too small for the kernel",
						diag);
	for (unsigned i = 0; i < plan->nr_segments; i++)
		plan->segment[i].gpa += base - first;
	plan->end_gpa += base - first;
	plan->entry_gpa += base - first;
	plan->load_base_gpa = base;
	return 0;
}

static int load_elf(struct boot_plan *plan, const struct multiboot2 *mb, struct diag *diag)
{
	const uint64_t entry = mb->entry;
	int r = elf_load_multiboot(plan, mb->img, mb->has_entry ? &entry : NULL, diag);

	return r == 0 && mb->is_relocatable ? relocate(plan, mb, diag) : r;
}

int multiboot2_load(struct boot_plan *plan, const struct boot_image *img, struct diag *diag)
{
	struct multiboot2 mb = {.img = img};
	int r;

	if (!multiboot2_header_find(&mb))
		return boot_refuse(img, diag, "kernel-no-multiboot2", "choose another boot mode",
				   "has no Multiboot 2 header in its first %d bytes", SEARCH_LEN);
	if (mb.h.architecture != ARCHITECTURE_I386)
		return boot_refuse(img, diag, "kernel-multiboot2-architecture",
				   "name a kernel built for x86",
				   "has a Multiboot 2 header for architecture %u, not for x86",
				   mb.h.architecture);
	r = take_tags(&mb, diag);
	if (r < 0)
		return r;
	plan->protocol = BOOT_MULTIBOOT2;
	plan->initrd_gpa_max = UINT32_MAX; /* module addresses have 32 bits, and no other limit */
	plan->initrd_gpa_limit = UINT32_MAX;
	if (mb.has_addresses) {
		if (!mb.has_entry)
			return multiboot2_refuse_header(&mb, "kernel-multiboot2-no-entry",
							"it gives load addresses, but no entry",
							diag);
		mb.addresses.entry_addr = mb.entry;
		return multiboot_load_by_addresses(plan, img, &mb.addresses, mb.at, diag);
	}
	if (elf_matches(img))
		return load_elf(plan, &mb, diag);
	return boot_refuse(
		img, diag, "kernel-multiboot2-addresses",
		"link it as ELF, or give its header load addresses",
		"has a Multiboot 2 header, but is not an ELF file and gives no load addresses");
}
