/* multiboot.c - kernels with a Multiboot header (Multiboot Specification 0.6.96, section 3.1). */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "boot/loader.h"

enum {
	SEARCH_LEN = 8192, /* the header lies wholly in these first bytes, 4-byte aligned */
	HEADER_MAGIC = 0x1badb002,
	FLAG_PAGE_ALIGN = 1 << 0,  /* modules on page boundaries: ours always are */
	FLAG_MEMORY_INFO = 1 << 1, /* memory information wanted: always given */
	FLAG_VIDEO = 1 << 2,
	FLAG_ADDRESSES = 1 << 16,
	FLAGS_MUST_KNOW = 0xffff,
};

struct multiboot_header {
	uint32_t magic, flags, checksum;
	struct multiboot_addresses addresses; /* FLAG_ADDRESSES */
};

enum { HEADER_LEN_MIN = 12 };

/* Finds the header; fields past the end of a short file are 0. */
static bool multiboot_header_find(const struct boot_image *img, struct multiboot_header *ret,
				  size_t *ret_at)
{
	const size_t end = img->len < SEARCH_LEN ? img->len : SEARCH_LEN;

	for (size_t at = 0; at + HEADER_LEN_MIN <= end; at += 4) {
		struct multiboot_header h = {0};
		const size_t left = end - at;

		memcpy(&h, img->bytes + at, left < sizeof(h) ? left : sizeof(h));
		if (h.magic == HEADER_MAGIC && h.magic + h.flags + h.checksum == 0) {
			*ret = h;
			*ret_at = at;
			return true;
		}
	}
	return false;
}

bool multiboot_matches(const struct boot_image *img)
{
	struct multiboot_header h;
	size_t at;

	return multiboot_header_find(img, &h, &at);
}

static int multiboot_refuse_header(const struct boot_image *img, const char *diag_id,
				   const char *what, struct diag *diag)
{
	return boot_refuse(img, diag, diag_id, NULL, "has a corrupt Multiboot header: %s", what);
}

/* The file's bytes from load_addr on, as far as the header says, wherever its sections end. */
int multiboot_load_by_addresses(struct boot_plan *plan, const struct boot_image *img,
				const struct multiboot_addresses *h, size_t at, struct diag *diag)
{
	struct boot_segment seg = {.gpa = h->load_addr};
	size_t start;
	int r;

	if (h->load_addr > h->header_addr || h->header_addr - h->load_addr > at)
		return multiboot_refuse_header(img, "kernel-multiboot-load-start",
					       "it would be loaded from before the file begins",
					       diag);
	start = at - (h->header_addr - h->load_addr);
	seg.data = img->bytes + start;
	seg.data_len = img->len - start;
	if (h->load_end_addr) {
		if (h->load_end_addr < h->load_addr)
			return multiboot_refuse_header(img, "kernel-multiboot-load-end",
						       "load_end_addr is below load_addr", diag);
		if (h->load_end_addr - h->load_addr > seg.data_len)
			return boot_refuse(img, diag, "kernel-multiboot-truncated",
					   "copy or build it again",
					   "is a truncated Multiboot kernel: %zu bytes of %zu",
					   img->len, start + (h->load_end_addr - h->load_addr));
		seg.data_len = h->load_end_addr - h->load_addr;
	}
	seg.mem_len = seg.data_len;
	if (h->bss_end_addr) {
		if (h->bss_end_addr < h->load_addr)
			return multiboot_refuse_header(img, "kernel-multiboot-bss-end",
						       "bss_end_addr is below load_addr", diag);
		if (seg.mem_len < h->bss_end_addr - h->load_addr)
			seg.mem_len = h->bss_end_addr - h->load_addr;
	}
	plan->kind = plan->protocol == BOOT_MULTIBOOT2
			     ? "Multiboot 2, loaded by the addresses in its header"
			     : "Multiboot, loaded by the addresses in its header";
	r = boot_plan_add(plan, img, &seg, diag);
	return r < 0 ? r : boot_plan_set_entry(plan, img, h->entry_addr, diag);
}

int multiboot_load(struct boot_plan *plan, const struct boot_image *img, struct diag *diag)
{
	struct multiboot_header h;
	uint32_t unknown;
	size_t at;

	if (!multiboot_header_find(img, &h, &at))
		return boot_refuse(img, diag, "kernel-no-multiboot", "choose another boot mode",
				   "has no Multiboot header in its first %d bytes", SEARCH_LEN);
	if (h.flags & FLAG_VIDEO)
		return boot_refuse(img, diag, "kernel-multiboot-video",
				   "build it for a serial console",
				   "wants a video mode, and the machine has no display");
	unknown = h.flags & FLAGS_MUST_KNOW & ~(uint32_t)(FLAG_PAGE_ALIGN | FLAG_MEMORY_INFO);
	if (unknown)
		return boot_refuse(img, diag, "kernel-multiboot-flags", NULL,
				   "requires Multiboot features nobody defined: flags %#x",
				   unknown);
	plan->protocol = BOOT_MULTIBOOT;
	plan->initrd_gpa_max = UINT32_MAX; /* module addresses have 32 bits, and no other limit */
	if (h.flags & FLAG_ADDRESSES) {
		if (!u64_range_within(at, sizeof(h), img->len < SEARCH_LEN ? img->len : SEARCH_LEN))
			return multiboot_refuse_header(img, "kernel-multiboot-cut",
						       "its addresses are cut off", diag);
		return multiboot_load_by_addresses(plan, img, &h.addresses, at, diag);
	}
	if (elf_matches(img))
		return elf_load_multiboot(plan, img, NULL, diag);
	return boot_refuse(
		img, diag, "kernel-multiboot-addresses",
		"link it as ELF, or give its header load addresses",
		"has a Multiboot header, but is not an ELF file and gives no load addresses");
}
