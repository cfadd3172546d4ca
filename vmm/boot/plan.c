/* plan.c - recognises an image by its content, hands it to its loader, and puts the plan in order. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/macros.h"
#include "base/parse.h"
#include "boot/loader.h"
#include "boot/unpack.h"

/* The value in every setup header of Linux x86-64; a vmlinux has no header. */
static const uint64_t initrd_gpa_max_default = 0x7fffffff;

static const unsigned entries_of_mode[] = {
	[BOOT_MODE_AUTO] =
		ENTRY_PVH | ENTRY_MULTIBOOT | ENTRY_MULTIBOOT2 | ENTRY_LINUX64 | ENTRY_BZIMAGE,
	[BOOT_MODE_PVH] = ENTRY_PVH,
	[BOOT_MODE_LINUX64] = ENTRY_LINUX64 | ENTRY_ANY_ELF64,
	[BOOT_MODE_BZIMAGE] = ENTRY_BZIMAGE,
	[BOOT_MODE_MULTIBOOT] = ENTRY_MULTIBOOT,
	[BOOT_MODE_MULTIBOOT2] = ENTRY_MULTIBOOT2,
};

static const char *const protocol_names[] = {
	[BOOT_PVH] = "pvh",
	[BOOT_LINUX64] = "linux64",
	[BOOT_LINUX32] = "linux32",
	[BOOT_MULTIBOOT] = "multiboot",
	[BOOT_MULTIBOOT2] = "multiboot2",
	[BOOT_FLAT_REAL] = "flat-real",
	[BOOT_FLAT_LONG] = "flat-long",
};

const char *boot_protocol_name(enum boot_protocol protocol)
{
	return (unsigned)protocol < ARRAY_SIZE(protocol_names) ? protocol_names[protocol] : NULL;
}

uint32_t boot_image_le32(const struct boot_image *img, uint64_t offset)
{
	uint32_t v = 0;

	if (u64_range_within(offset, sizeof(v), img->len))
		memcpy(&v, img->bytes + offset, sizeof(v)); /* little-endian, as the host */
	return v;
}

int boot_refuse(const struct boot_image *img, struct diag *diag, const char *diag_id,
		const char *remedy, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	diag_set(diag, -ENOEXEC, diag_id, "%skernel '%s' %s", img->part ? img->part : "", img->name,
		 what);
	if (remedy)
		diag_remedy(diag, "%s", remedy);
	return -ENOEXEC;
}

static int refuse_packed(const struct boot_image *img, const struct unpack_codec *codec, int err,
			 uint64_t max, struct diag *diag)
{
	char size[24];

	switch (err) {
	case -ENOMEM:
		return diag_set(diag, err, "kernel-unpack-memory", "decompress kernel '%s'",
				img->name);
	case -ENOTSUP:
		return boot_refuse(img, diag, "kernel-codec-missing",
				   "decompress it first, or build Tollgate with the library",
				   "is %s data, and this Tollgate is built without %s", codec->name,
				   codec->library);
	case -EFBIG:
		return boot_refuse(img, diag, "kernel-unpacked-size", NULL,
				   "is %s data of more than %s", codec->name,
				   format_size(max, size));
	case -ENOBUFS:
		return boot_refuse(img, diag, "kernel-unpack-work", NULL,
				   "is %s data that takes more than %s to decompress", codec->name,
				   format_size(UNPACK_WORK_MAX, size));
	case -ENODATA:
		return boot_refuse(img, diag, "kernel-packed-truncated", "copy or build it again",
				   "is truncated %s data", codec->name);
	default:
		return boot_refuse(img, diag, "kernel-packed-corrupt", "copy or build it again",
				   "is corrupt %s data", codec->name);
	}
}

/* Only the first decompression goes into the room, if there is one: a second one reads from there. */
int boot_unpack(struct boot_plan *plan, const struct boot_image *img,
		const struct unpack_codec *codec, size_t hint, const struct boot_opts *opts,
		struct boot_image *ret, uint8_t **ret_owned, struct diag *diag)
{
	const uint64_t max = opts->unpacked_max ? opts->unpacked_max : BOOT_UNPACKED_MAX;
	const bool in_room = opts->room && !plan->room;
	const struct unpack_opts unpack_opts = {
		.hint = hint,
		.max = max,
		.room = in_room ? opts->room : NULL,
		.room_len = in_room ? opts->room_len : 0,
	};
	uint8_t *bytes;
	int r;

	if (in_room) {
		plan->room = opts->room;
		plan->room_len = opts->room_len;
	}
	r = unpack_run(codec, img->bytes, img->len, &unpack_opts, &bytes, &ret->len);
	if (r < 0)
		return refuse_packed(img, codec, r, max, diag);
	ret->bytes = bytes;
	*ret_owned = in_room && bytes == opts->room ? NULL : bytes;
	return 0;
}

/* The length without trailing zeros. */
static uint64_t trimmed_len(const uint8_t *data, uint64_t len)
{
	uint64_t word;

	while (len >= sizeof(word)) {
		memcpy(&word, data + len - sizeof(word), sizeof(word));
		if (word)
			break;
		len -= sizeof(word);
	}
	while (len && data[len - 1] == 0)
		len--;
	return len;
}

int boot_plan_add(struct boot_plan *plan, const struct boot_image *img,
		  const struct boot_segment *seg, struct diag *diag)
{
	struct boot_segment *added;
	uint64_t end;

	if (seg->mem_len == 0)
		return 0;
	if (!u64_add(seg->gpa, seg->mem_len, &end))
		return boot_refuse(img, diag, "kernel-segment-wraps", NULL,
				   "is corrupt: its segment at %#" PRIx64
				   " wraps around the address "
				   "space",
				   seg->gpa);
	if (plan->nr_segments == BOOT_SEGMENTS_MAX)
		return boot_refuse(img, diag, "kernel-segment-count", NULL,
				   "has more than %d segments", BOOT_SEGMENTS_MAX);
	added = &plan->segment[plan->nr_segments++];
	*added = *seg;
	/* Linux's payload carries its bss: a quarter of the file that need not be copied. */
	added->data_len = trimmed_len(seg->data, seg->data_len);
	if (added->data_len == 0)
		added->data = NULL;
	if (end > plan->end_gpa)
		plan->end_gpa = end;
	return 0;
}

/* An entry outside the bytes the file gives would run zeros, or what else RAM holds there. */
int boot_plan_set_entry(struct boot_plan *plan, const struct boot_image *img, uint64_t gpa,
			struct diag *diag)
{
	for (unsigned i = 0; i < plan->nr_segments; i++) {
		const struct boot_segment *seg = &plan->segment[i];

		if (gpa >= seg->gpa && gpa - seg->gpa < seg->data_len) {
			plan->entry_gpa = gpa;
			return 0;
		}
	}
	return boot_refuse(img, diag, "kernel-entry-outside", NULL,
			   "is corrupt: its entry point %#" PRIx64 " lies in no loaded segment",
			   gpa);
}

static int segment_cmp(const void *a, const void *b)
{
	const struct boot_segment *x = a, *y = b;

	return (x->gpa > y->gpa) - (x->gpa < y->gpa);
}

static int order_segments(struct boot_plan *plan, const struct boot_image *img, struct diag *diag)
{
	qsort(plan->segment, plan->nr_segments, sizeof(plan->segment[0]), segment_cmp);
	for (unsigned i = 1; i < plan->nr_segments; i++) {
		const struct boot_segment *below = &plan->segment[i - 1], *seg = &plan->segment[i];

		if (below->gpa + below->mem_len > seg->gpa)
			return boot_refuse(img, diag, "kernel-segment-overlap", NULL,
					   "is corrupt: its segments at %#" PRIx64 " and %#" PRIx64
					   " overlap",
					   below->gpa, seg->gpa);
	}
	return 0;
}

/* An image that is not, or no longer, compressed as a whole. */
static int load_plain(struct boot_plan *plan, const struct boot_image *img, unsigned allowed,
		      const struct boot_opts *opts, struct diag *diag)
{
	if (allowed == ENTRY_MULTIBOOT)
		return multiboot_load(plan, img, diag);
	if (allowed == ENTRY_MULTIBOOT2)
		return multiboot2_load(plan, img, diag);
	if (bzimage_matches(img))
		return bzimage_load(plan, img, allowed, opts, diag);
	if (allowed == ENTRY_BZIMAGE)
		return boot_refuse(img, diag, "kernel-not-bzimage", "choose another boot mode",
				   "is not a bzImage");
	if (elf_matches(img))
		return elf_load(plan, img, allowed, diag);
	if ((allowed & ENTRY_MULTIBOOT) && multiboot_matches(img))
		return multiboot_load(plan, img, diag);
	if ((allowed & ENTRY_MULTIBOOT2) && multiboot2_matches(img))
		return multiboot2_load(plan, img, diag);
	return identify_refuse(img, diag);
}

/* gzip ends with the size modulo 2^32 (RFC 1952); the others' ends say nothing. */
static size_t size_hint(const struct unpack_codec *codec, const struct boot_image *img)
{
	uint32_t v = 0;

	if (strcmp(codec->name, "gzip") == 0 && img->len >= sizeof(v))
		memcpy(&v, img->bytes + img->len - sizeof(v), sizeof(v));
	return v;
}

static int load_packed(struct boot_plan *plan, const struct boot_image *img,
		       const struct unpack_codec *codec, unsigned allowed,
		       const struct boot_opts *opts, struct diag *diag)
{
	struct boot_image plain = {.name = img->name, .part = "unpacked "};
	int r = boot_unpack(plan, img, codec, size_hint(codec, img), opts, &plain, &plan->owned,
			    diag);

	if (r < 0)
		return r;
	plan->compression = codec->name;
	if (unpack_detect(plain.bytes, plain.len))
		return boot_refuse(&plain, diag, "kernel-packed-twice", "decompress it first",
				   "is compressed once more");
	return load_plain(plan, &plain, allowed, opts, diag);
}

static int plan_load(struct boot_plan *plan, const struct boot_image *img,
		     const struct boot_opts *opts, struct diag *diag)
{
	const struct unpack_codec *codec;
	unsigned allowed;

	if (img->len == 0)
		return boot_refuse(img, diag, "kernel-empty", NULL, "is an empty file");
	if (opts->mode == BOOT_MODE_FLAT_REAL || opts->mode == BOOT_MODE_FLAT_LONG)
		return flat_load(plan, img, opts, diag);
	if ((unsigned)opts->mode >= ARRAY_SIZE(entries_of_mode))
		return diag_set(diag, -EINVAL, "boot-mode-unknown", "boot mode %d does not exist",
				opts->mode);
	allowed = entries_of_mode[opts->mode];
	codec = unpack_detect(img->bytes, img->len);
	if (codec)
		return load_packed(plan, img, codec, allowed, opts, diag);
	return load_plain(plan, img, allowed, opts, diag);
}

int boot_plan_init(struct boot_plan *plan, const char *name, const uint8_t *image, size_t len,
		   const struct boot_opts *opts, struct diag *diag)
{
	const struct boot_image img = {.name = name, .bytes = image, .len = len};
	static const struct boot_opts automatic = {.mode = BOOT_MODE_AUTO};
	int r;

	*plan = (struct boot_plan){
		.initrd_gpa_max = initrd_gpa_max_default,
		.initrd_gpa_limit = UINT64_MAX,
		.cmdline_max = UINT32_MAX,
	};
	r = plan_load(plan, &img, opts ? opts : &automatic, diag);
	if (r == 0)
		r = order_segments(plan, &img, diag);
	if (r < 0)
		boot_plan_fini(plan);
	return r;
}

void boot_plan_fini(struct boot_plan *plan)
{
	if (!plan)
		return;
	free(plan->owned);
	*plan = (struct boot_plan){0};
}

/* Whether the kernel's last segment has text: what Linux discards after boot is there. */
static bool last_segment_has(const struct boot_plan *plan, const char *text)
{
	const struct boot_segment *last = &plan->segment[plan->nr_segments - 1];

	return last->data_len && memmem(last->data, last->data_len, text, strlen(text));
}

bool boot_plan_finds_memory_uart(const struct boot_plan *plan)
{
	return plan->nr_segments && last_segment_has(plan, "uart8250") &&
	       last_segment_has(plan, "pnpacpi=");
}

const char *boot_plan_describe(const struct boot_plan *plan, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s%s%s", plan->container ? plan->container : "",
		 plan->container && plan->compression ? ", " : "",
		 plan->compression ? plan->compression : "",
		 plan->container || plan->compression ? ": " : "", plan->kind);
	return buf;
}
