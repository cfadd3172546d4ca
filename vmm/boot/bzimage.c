/*
 * bzimage.c - Linux's bzImage (boot.rst, "The Real-Mode Kernel Header"): the kernel inside it is
 * decompressed here and entered directly, or it is entered as it is and decompresses itself.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "boot/loader.h"
#include "boot/unpack.h"

enum {
	HEADER_AT = 0x1f1,     /* struct setup_header in the file, as in the zero page */
	HEADER_LEN_AT = 0x201, /* the header ends that many bytes after 0x202 */
	HEADER_MAGIC_AT = 0x202,
	HEADER_MAGIC = 0x53726448, /* "HdrS" */
	BOOT_FLAG_AT = 0x1fe,
	BOOT_FLAG = 0xaa55,
	HEADER_MIN = 0x210, /* protocol 2.00 had the fields up to type_of_loader */
	SECTOR = 512,
	SETUP_SECTS_DEFAULT = 4,
	PARAGRAPH = 16,
	ENTRY64_OFFSET = 0x200,
	CMDLINE_MAX_OLD = 255, /* where the header does not say it */
	LOAD_GPA_DEFAULT = 0x100000,
};

#define INITRD_GPA_MAX_OLD UINT64_C(0x37ffffff) /* likewise */

/* Protocol versions that brought fields. */
enum {
	VERSION_CMDLINE_PTR = 0x202,
	VERSION_INITRD_MAX = 0x203,
	VERSION_CMDLINE_SIZE = 0x206,
	VERSION_PAYLOAD = 0x208,
	VERSION_PREF_ADDRESS = 0x20a,
	VERSION_XLOADFLAGS = 0x20c,
};

struct bzimage {
	const struct boot_image *img;
	struct setup_header h; /* fields that the file's header is too short for are 0 */
	uint32_t h_len;
	const uint8_t *code; /* the protected-mode part */
	size_t code_len;
	struct boot_image payload; /* len 0: none */
};

bool bzimage_matches(const struct boot_image *img)
{
	return img->len >= HEADER_MIN &&
	       (boot_image_le32(img, BOOT_FLAG_AT) & 0xffff) == BOOT_FLAG &&
	       boot_image_le32(img, HEADER_MAGIC_AT) == HEADER_MAGIC;
}

static int refuse_truncated(const struct bzimage *bz, uint64_t want, struct diag *diag)
{
	return boot_refuse(bz->img, diag, "kernel-bzimage-truncated", "copy or build it again",
			   "is a truncated bzImage: %zu bytes of %llu", bz->img->len,
			   (unsigned long long)want);
}

static void read_header(struct bzimage *bz)
{
	const struct boot_image *img = bz->img;
	size_t end = HEADER_MAGIC_AT + (size_t)img->bytes[HEADER_LEN_AT];

	if (end > HEADER_AT + BOOT_SETUP_HEADER_MAX)
		end = HEADER_AT + BOOT_SETUP_HEADER_MAX;
	if (end > img->len)
		end = img->len;
	bz->h_len = (uint32_t)(end - HEADER_AT);
	memcpy(&bz->h, img->bytes + HEADER_AT,
	       bz->h_len < sizeof(bz->h) ? bz->h_len : sizeof(bz->h));
}

static int find_code(struct bzimage *bz, struct diag *diag)
{
	const size_t sects = bz->h.setup_sects ? bz->h.setup_sects : SETUP_SECTS_DEFAULT;
	const size_t setup_len = (sects + 1) * SECTOR;
	const uint64_t code_len = (uint64_t)bz->h.syssize * PARAGRAPH;

	if (setup_len >= bz->img->len)
		return refuse_truncated(bz, setup_len + code_len, diag);
	bz->code = bz->img->bytes + setup_len;
	bz->code_len = bz->img->len - setup_len;
	/* syssize is rounded up, which older builds did not pad the file for. */
	if (code_len > bz->code_len + PARAGRAPH - 1)
		return refuse_truncated(bz, setup_len + code_len, diag);
	if (code_len < bz->code_len)
		bz->code_len = (size_t)code_len; /* signatures follow */
	return 0;
}

static int find_payload(struct bzimage *bz, struct diag *diag)
{
	bz->payload = (struct boot_image){.name = bz->img->name, .part = "payload of "};
	if (bz->h.version < VERSION_PAYLOAD || !bz->h.payload_offset || !bz->h.payload_length)
		return 0;
	if (!u64_range_within(bz->h.payload_offset, bz->h.payload_length, bz->code_len))
		return boot_refuse(
			bz->img, diag, "kernel-bzimage-payload", "copy or build it again",
			"is a corrupt bzImage: its payload of %u bytes at %u does not lie "
			"in its %zu bytes of code",
			bz->h.payload_length, bz->h.payload_offset, bz->code_len);
	bz->payload.bytes = bz->code + bz->h.payload_offset;
	bz->payload.len = bz->h.payload_length;
	return 0;
}

/* The header's values also hold for the kernel inside. boot.rst has the defaults of old headers. */
static void plan_header(struct boot_plan *plan, const struct bzimage *bz)
{
	memcpy(plan->setup_header, bz->img->bytes + HEADER_AT, bz->h_len);
	plan->setup_header_len = bz->h_len;
	plan->cmdline_max =
		bz->h.version >= VERSION_CMDLINE_SIZE ? bz->h.cmdline_size : CMDLINE_MAX_OLD;
	plan->initrd_gpa_max =
		bz->h.version >= VERSION_INITRD_MAX ? bz->h.initrd_addr_max : INITRD_GPA_MAX_OLD;
	if (bz->h.version < VERSION_XLOADFLAGS || !(bz->h.xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G))
		plan->initrd_gpa_limit = plan->initrd_gpa_max;
}

static bool has_entry64(const struct bzimage *bz)
{
	return bz->h.version >= VERSION_XLOADFLAGS && (bz->h.xloadflags & XLF_KERNEL_64);
}

/*
 * "32-bit Boot Protocol" of boot.rst. An image that is loaded low (a zImage), or that names no 32-bit
 * code (iPXE), starts with the real-mode part alone.
 */
static bool has_entry32(const struct bzimage *bz)
{
	return bz->h.version >= VERSION_CMDLINE_PTR && (bz->h.loadflags & LOADED_HIGH) &&
	       bz->h.code32_start;
}

/* Rounded up as boot.rst computes the runtime start, so that the kernel need not move itself. */
static int load_gpa(const struct bzimage *bz, uint64_t *ret, struct diag *diag)
{
	uint64_t gpa = bz->h.version >= VERSION_PREF_ADDRESS ? bz->h.pref_address : 0;
	const uint64_t align = bz->h.kernel_alignment;

	if (gpa == 0)
		gpa = bz->h.code32_start ? bz->h.code32_start : LOAD_GPA_DEFAULT;
	if (bz->h.relocatable_kernel && align && !(align & (align - 1)) &&
	    !u64_align_up(gpa, align, &gpa))
		gpa = UINT64_MAX;
	if (gpa > UINT32_MAX)
		return boot_refuse(bz->img, diag, "kernel-bzimage-address", NULL,
				   "is a corrupt bzImage: it wants to be loaded at %#llx",
				   (unsigned long long)bz->h.pref_address);
	*ret = gpa;
	return 0;
}

static int load_whole(struct boot_plan *plan, const struct bzimage *bz, struct diag *diag)
{
	const bool is64 = has_entry64(bz);
	struct boot_segment seg = {
		.data = bz->code,
		.data_len = bz->code_len,
		.mem_len = bz->code_len,
	};
	int r;

	if (!is64 && !has_entry32(bz))
		return boot_refuse(bz->img, diag, "kernel-16bit-only",
				   "name a bzImage of Linux 2.4 or later, or an ELF file",
				   "has a 16-bit entry alone, which needs a BIOS");
	r = load_gpa(bz, &seg.gpa, diag);
	if (r == 0)
		r = boot_plan_add(plan, bz->img, &seg, diag);
	if (r == 0)
		r = boot_plan_set_entry(plan, bz->img, seg.gpa + (is64 ? ENTRY64_OFFSET : 0), diag);
	if (r < 0)
		return r;
	plan->protocol = is64 ? BOOT_LINUX64 : BOOT_LINUX32;
	plan->kind = is64 ? "bzImage by its 64-bit entry" : "bzImage by its 32-bit entry";
	if (!is64) /* 32 bits of its address are all that such a kernel reads */
		plan->initrd_gpa_limit = plan->initrd_gpa_max;
	if (plan->end_gpa < seg.gpa + bz->h.init_size)
		plan->end_gpa = seg.gpa + bz->h.init_size;
	return 0;
}

/* Linux's build appends the size to what it packs. */
static int unpack_payload(struct boot_plan *plan, const struct bzimage *bz,
			  const struct unpack_codec *codec, const struct boot_opts *opts,
			  struct boot_image *ret, uint8_t **ret_owned, struct diag *diag)
{
	const struct boot_image *in = &bz->payload;
	const size_t hint = boot_image_le32(in, in->len - 4);

	*ret = (struct boot_image){.name = in->name, .part = "unpacked payload of "};
	return boot_unpack(plan, in, codec, hint, opts, ret, ret_owned, diag);
}

/*
 * By the kernel inside where that has a PVH note; else as a whole, which wants least of the kernel.
 * Before Linux 3.8 the header does not announce the whole's 64-bit entry, but a 64-bit kernel inside has its own.
 */
static int load_payload(struct boot_plan *plan, const struct bzimage *bz, unsigned allowed,
			const struct boot_opts *opts, struct diag *diag)
{
	const struct unpack_codec *codec = unpack_detect(bz->payload.bytes, bz->payload.len);
	const bool usable = codec ? codec->run != NULL : elf_matches(&bz->payload);
	struct boot_image kernel = bz->payload;
	AUTO_FREE uint8_t *owned = NULL;
	int r;

	if (!usable && (allowed & ENTRY_BZIMAGE))
		return load_whole(plan, bz, diag);
	if (codec) {
		r = unpack_payload(plan, bz, codec, opts, &kernel, &owned, diag);
		if (r < 0)
			return r;
	}
	if ((allowed & ENTRY_PVH) && elf_has_pvh_note(&kernel))
		allowed = ENTRY_PVH;
	else if ((allowed & ENTRY_BZIMAGE) && (has_entry64(bz) || !elf_is_x86_64(&kernel)))
		return load_whole(plan, bz, diag);
	if (!elf_matches(&kernel))
		return identify_refuse(&kernel, diag);
	if (allowed & ENTRY_LINUX64)
		allowed |= ENTRY_ANY_ELF64; /* the bzImage is sign enough */
	r = elf_load(plan, &kernel, allowed & (ENTRY_PVH | ENTRY_LINUX64 | ENTRY_ANY_ELF64), diag);
	if (r < 0)
		return r;
	plan->container = "bzImage";
	if (codec)
		plan->compression = codec->name;
	if (owned) {
		free(plan->owned); /* the bzImage, when that was decompressed itself */
		plan->owned = STEAL_PTR(owned);
	}
	return 0;
}

int bzimage_load(struct boot_plan *plan, const struct boot_image *img, unsigned allowed,
		 const struct boot_opts *opts, struct diag *diag)
{
	struct bzimage bz = {.img = img};
	int r;

	read_header(&bz);
	r = find_code(&bz, diag);
	if (r == 0)
		r = find_payload(&bz, diag);
	if (r < 0)
		return r;
	plan_header(plan, &bz);
	if (allowed == ENTRY_BZIMAGE)
		return load_whole(plan, &bz, diag);
	if (bz.payload.len)
		return load_payload(plan, &bz, allowed, opts, diag);
	if (allowed & ENTRY_BZIMAGE)
		return load_whole(plan, &bz, diag);
	return boot_refuse(img, diag, "kernel-no-payload", "choose the boot mode bzimage",
			   "is a bzImage without a payload that could be taken out");
}
