/*
 * Fuzz target: kernel images into load plans, initrd placement, and what kernels are handed.
 *
 * Input: one byte chooses the part. For images: a byte for the boot mode, one for a template (a
 * kernel of each format we boot, or the rest of the input as it is), then changes to the template
 * until it ends. Invariants, besides not crashing:
 * - a refused image is described, and leaves an empty plan;
 * - a plan's segments ascend, are disjoint, and every byte of their data can be read;
 * - decompressed into any of the memory it will run in, a kernel ends up as it does without;
 * - its entry lies in data, unless the code is flat; it fits a machine that has all the memory
 *   there is;
 * - a version that is found in it could be a directory's name;
 * - an initrd lies where a search over all pages would put it;
 * - a renderer writes what it says it wrote, and nothing past its room.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "fuzz.h"

#include "base/checked.h"
#include "boot/initrd.h"
#include "boot/kernel_version.h"
#include "boot/multiboot.h"
#include "boot/pvh.h"
#include "boot/zero_page.h"
#include "boot_images.h"
#include "boot_pack.h"

enum {
	UNPACKED_MAX = 64 << 10,
	RAM_MAX = 2 << 20, /* that a kernel is placed into */
	PAGE = 4096,
	MODEL_PAGES = 64, /* few enough to try every one */
	MODEL_END = MODEL_PAGES * PAGE,
	SPANS_END =
		2 * MODEL_PAGES, /* pages: a span's address and its length are below MODEL_END */
	SPANS_MAX = 4,
};

static void check_segment(const struct boot_plan *plan, unsigned i)
{
	const struct boot_segment *seg = &plan->segment[i];
	unsigned sum = 0;
	uint64_t end;

	assert(seg->mem_len > 0 && seg->data_len <= seg->mem_len);
	assert(!seg->data == !seg->data_len);
	assert(!seg->data || seg->data[seg->data_len - 1]);
	assert(u64_add(seg->gpa, seg->mem_len, &end) && end <= plan->end_gpa);
	assert(i == 0 || plan->segment[i - 1].gpa + plan->segment[i - 1].mem_len <= seg->gpa);
	for (uint64_t b = 0; b < seg->data_len; b++)
		sum += seg->data[b];
	assert(sum <= 255 * seg->data_len); /* and so the sum is not optimised away */
}

static bool has_data_at(const struct boot_plan *plan, uint64_t gpa)
{
	for (unsigned i = 0; i < plan->nr_segments; i++)
		if (gpa >= plan->segment[i].gpa &&
		    gpa - plan->segment[i].gpa < plan->segment[i].data_len)
			return true;
	return false;
}

static void check_plan(const struct boot_plan *plan)
{
	const struct boot_span everything = {.len = UINT64_MAX, .name = "everything"};
	const struct boot_hole hole = {.span = everything};
	struct boot_layout layout = {.ram = &everything, .nr_ram = 1, .taken = &everything};
	char words[64];

	assert(plan->kind && plan->nr_segments > 0 && plan->nr_segments <= BOOT_SEGMENTS_MAX);
	assert(plan->setup_header_len <= BOOT_SETUP_HEADER_MAX);
	for (unsigned i = 0; i < plan->nr_segments; i++)
		check_segment(plan, i);
	assert(plan->protocol == BOOT_FLAT_LONG || plan->protocol == BOOT_FLAT_REAL ||
	       has_data_at(plan, plan->entry_gpa));
	assert(boot_plan_describe(plan, words, sizeof(words))[0]);
	assert(boot_plan_check(plan, "k", &layout, NULL) == 0);
	layout.nr_taken = 1;
	assert(boot_plan_check(plan, "k", &layout, NULL) < 0);
	layout = (struct boot_layout){.hole = &hole, .nr_holes = 1};
	assert(boot_plan_check(plan, "k", &layout, NULL) < 0);
}

/* Becomes the name of a directory. */
static void check_version(const uint8_t *image, size_t len)
{
	char version[KERNEL_VERSION_MAX];

	if (kernel_version_find(image, len, version))
		assert(version[0] && version[0] != '.' && !strchr(version, '/'));
}

static void place(struct boot_plan *plan, uint8_t *ram, uint64_t ram_gpa)
{
	uint8_t *dst[BOOT_SEGMENTS_MAX];

	for (unsigned i = 0; i < plan->nr_segments; i++)
		dst[i] = ram + (plan->segment[i].gpa - ram_gpa);
	assert(boot_plan_place(plan, dst, NULL) == 0);
}

static void check_room(const uint8_t *bytes, size_t len, const struct boot_opts *opts,
		       struct boot_plan *plan)
{
	const uint64_t ram_gpa = plan->segment[0].gpa;
	struct boot_opts with_room = *opts;
	struct boot_plan roomy;
	uint8_t *want, *ram;

	if (plan->end_gpa - ram_gpa > RAM_MAX)
		return;
	want = calloc(1, RAM_MAX);
	ram = calloc(1, RAM_MAX);
	if (want && ram) {
		/* Where and how much: by what the image has there, so that the fuzzer can choose. */
		with_room.room = ram + (len ? bytes[len - 1] : 0) * ((size_t)RAM_MAX / 2 / 256);
		with_room.room_len = RAM_MAX / 2;
		assert(boot_plan_init(&roomy, "k", bytes, len, &with_room, NULL) == 0);
		place(plan, want, ram_gpa);
		place(&roomy, ram, ram_gpa);
		for (unsigned i = 0; i < plan->nr_segments; i++) {
			const uint64_t at = plan->segment[i].gpa - ram_gpa;

			assert(memcmp(ram + at, want + at, plan->segment[i].mem_len) == 0);
		}
		boot_plan_fini(&roomy);
	}
	free(want);
	free(ram);
}

static void plan_bytes(const uint8_t *bytes, size_t len, const struct boot_opts *opts)
{
	uint8_t *copy = malloc(len ? len : 1); /* exactly: reads past the end are seen */
	struct boot_plan plan;
	struct diag diag = {0};
	int r;

	if (!copy)
		return;
	memcpy(copy, bytes, len);
	r = boot_plan_init(&plan, "k", copy, len, opts, &diag);
	assert(diag.err == r && !diag.what[0] == !r);
	if (r == 0) {
		check_plan(&plan);
		check_room(copy, len, opts, &plan);
	} else {
		assert(plan.nr_segments == 0 && !plan.owned);
	}
	boot_plan_fini(&plan);
	check_version(copy, len);
	free(copy);
}

static void make_multiboot(struct image *img)
{
	/* magic, flags (addresses are valid), checksum, header, load, load end, bss end, entry */
	const uint32_t h[] = {0x1badb002, 0x10003,  0u - 0x1badb002 - 0x10003,
			      0x100010,   0x100000, 0x100400,
			      0x101000,   0x100080};

	image_reset(img);
	image_put_noise(img, 0, 0x500);
	image_put(img, 0x10, h, sizeof(h));
}

static void make_multiboot_elf(struct image *img)
{
	const uint32_t h[] = {0x1badb002, 0, 0u - 0x1badb002};
	struct elf_spec spec = elf_spec_plain();

	spec.is32 = true;
	spec.machine = EM_386;
	image_make_kernel(img, &spec);
	image_put(img, 0x1000, h, sizeof(h));
}

static void make_bzimage(struct image *img)
{
	struct image *kernel = malloc(sizeof(*kernel));

	if (!kernel)
		return;
	image_make_pvh(kernel);
	image_make_bzimage(img, kernel->bytes, kernel->len);
	free(kernel);
}

/* The n-th codec's kernel, packed once. NULL for those this build lacks. */
static const struct image *packed_kernel(unsigned n)
{
	static struct image packed[ARRAY_SIZE(packers)];
	static struct image kernel;

	if (n >= ARRAY_SIZE(packers) || !packers[n].codec)
		return NULL;
	if (packed[n].len == 0) {
		image_make_pvh(&kernel);
		packed[n].len =
			packers[n].pack(kernel.bytes, kernel.len, packed[n].bytes, IMAGE_MAX);
	}
	return &packed[n];
}

static void make_packed(struct image *img, unsigned n, bool in_bzimage)
{
	const struct image *packed = packed_kernel(n);

	if (packed && in_bzimage)
		image_make_bzimage(img, packed->bytes, packed->len + 4);
	else if (packed)
		*img = *packed;
}

static void make_template(struct image *img, unsigned which)
{
	const struct elf_spec spec = elf_spec_plain();

	img->len = 0;
	switch (which % 8) {
	case 0: image_make_pvh(img); return;
	case 1:
		if (which & 0x80)
			image_make_any_kernel(img, &spec);
		else
			image_make_kernel(img, &spec);
		return;
	case 2: make_multiboot(img); return;
	case 3:
		if (which & 0x80)
			image_make_multiboot2(img);
		else
			make_multiboot_elf(img);
		return;
	case 4:
	case 5: make_bzimage(img); return;
	case 6: make_packed(img, which / 8 % 8, false); return;
	default: make_packed(img, which / 8 % 8, true); return;
	}
}

/* Where headers and notes lie, or anywhere: an offset, and 1, 2, 4 or 8 bytes to put there. */
static void change(struct fuzz_input *in, struct image *img)
{
	static const struct {
		uint16_t first, len;
	} spots[] = {{0, 0x80}, {0x1f1, 0x80}, {0x10, 0x20}, {NOTE_AT, 0x40}, {BZ_CODE_AT, 0x800}};
	const uint8_t how = fuzz_u8(in);
	const unsigned spot = how % 8, bytes = 1u << (how >> 3) % 4;
	const uint64_t off = spot < ARRAY_SIZE(spots)
				     ? spots[spot].first + fuzz_uint(in, 2) % spots[spot].len
				     : fuzz_uint(in, 3);
	const uint64_t val = how & 0x80 ? fuzz_scaled(in, 63) : fuzz_uint(in, bytes);

	if (how & 0x40)
		img->len = img->len ? off % img->len : 0; /* cut */
	else if (u64_range_within(off, bytes, img->len))
		memcpy(img->bytes + off, &val, bytes);
}

static void fuzz_image(struct fuzz_input *in)
{
	const uint8_t mode = fuzz_u8(in), which = fuzz_u8(in);
	const struct boot_opts opts = {
		.mode = (enum boot_mode)(mode % 9), /* one more than there are */
		.flat_gpa = mode & 0x80 ? fuzz_scaled(in, 63) : 0x1000,
		.unpacked_max = UNPACKED_MAX,
	};
	struct image *img;

	if (which == 0xff) {
		plan_bytes(in->data, in->left, &opts);
		return;
	}
	img = malloc(sizeof(*img));
	if (!img)
		return;
	make_template(img, which);
	while (in->left)
		change(in, img);
	plan_bytes(img->bytes, img->len, &opts);
	free(img);
}

static unsigned get_spans(struct fuzz_input *in, struct boot_span *span)
{
	const unsigned nr = fuzz_u8(in) % (SPANS_MAX + 1);

	for (unsigned i = 0; i < nr; i++)
		span[i] = (struct boot_span){
			.gpa = fuzz_uint(in, 3) % MODEL_END,
			.len = fuzz_uint(in, 3) % MODEL_END,
			.name = "span",
		};
	return nr;
}

static bool is_free(uint64_t gpa, uint64_t len, const struct boot_plan *plan,
		    const struct boot_span *ram, unsigned nr_ram, const struct boot_span *taken,
		    unsigned nr_taken)
{
	bool inside = false;

	if (gpa < plan->end_gpa || gpa + len - 1 > plan->initrd_gpa_max)
		return false;
	for (unsigned i = 0; i < nr_ram; i++)
		inside |= gpa >= ram[i].gpa && gpa + len <= ram[i].gpa + ram[i].len;
	for (unsigned i = 0; i < nr_taken; i++)
		if (taken[i].len && gpa < taken[i].gpa + taken[i].len && taken[i].gpa < gpa + len)
			return false;
	return inside;
}

static void fuzz_initrd(struct fuzz_input *in)
{
	static const uint8_t bytes[16 * PAGE];
	const struct boot_file file = {
		.name = "rd",
		.data = bytes,
		.len = 1 + fuzz_uint(in, 2) % sizeof(bytes),
	};
	const struct boot_plan plan = {
		.end_gpa = fuzz_uint(in, 2) * 4,
		.initrd_gpa_max = fuzz_uint(in, 2) * 4,
	};
	struct boot_span ram[SPANS_MAX], taken[SPANS_MAX];
	const unsigned nr_ram = get_spans(in, ram), nr_taken = get_spans(in, taken);
	struct boot_initrd initrd = {0};
	struct boot_segment seg;
	int64_t page = SPANS_END;
	const struct boot_layout layout = {
		.ram = ram, .nr_ram = nr_ram, .taken = taken, .nr_taken = nr_taken};
	const int r = boot_initrd_place(&plan, &file, 1, &layout, &seg, &initrd, NULL);

	while (page >= 0 &&
	       !is_free((uint64_t)page * PAGE, file.len, &plan, ram, nr_ram, taken, nr_taken))
		page--;
	assert((r == 0) == (page >= 0));
	assert(r < 0 || initrd.gpa == (uint64_t)page * PAGE);
}

static void fuzz_handoff(struct fuzz_input *in)
{
	const uint64_t gpa = fuzz_scaled(in, 40);
	const size_t cap = fuzz_uint(in, 2) % 8192;
	static const uint8_t rsdp[37];
	struct boot_module module[4];
	struct boot_map_entry map[160];
	const struct boot_handoff h = {
		.cmdline_gpa = fuzz_scaled(in, 40),
		.cmdline = "words of the command line",
		.rsdp_gpa = fuzz_u8(in),
		.rsdp = rsdp,
		.rsdp_len = fuzz_u8(in) % (uint32_t)sizeof(rsdp),
		.load_base_gpa = fuzz_u8(in),
		.module = module,
		.nr_modules = fuzz_u8(in) % (unsigned)ARRAY_SIZE(module),
		.map = map,
		.nr_map = fuzz_u8(in) % (unsigned)ARRAY_SIZE(map),
	};
	const struct boot_plan plan = {.setup_header_len = fuzz_u8(in) % BOOT_SETUP_HEADER_MAX};
	uint8_t *buf = malloc(cap ? cap : 1);
	struct boot_params zp;
	size_t len = 0;

	for (unsigned i = 0; i < h.nr_modules; i++)
		module[i] = (struct boot_module){
			.gpa = fuzz_scaled(in, 40),
			.len = fuzz_scaled(in, 40),
			.cmdline = fuzz_u8(in) % 2 ? "words" : NULL,
		};
	for (unsigned i = 0; i < h.nr_map; i++)
		map[i] = (struct boot_map_entry){fuzz_scaled(in, 56), fuzz_scaled(in, 56),
						 fuzz_u8(in)};
	if (buf) {
		if (boot_pvh_render(&h, gpa, buf, cap, &len, NULL) == 0)
			assert(len <= cap && gpa + len <= UINT64_C(1) << 32);
		if (boot_multiboot_render(&h, gpa, buf, cap, &len, NULL) == 0)
			assert(len <= cap && gpa + len <= UINT64_C(1) << 32);
		if (boot_multiboot2_render(&h, gpa & ~UINT64_C(7), buf, cap, &len, NULL) == 0)
			assert(len <= cap && len % 8 == 0 && gpa + len <= UINT64_C(1) << 32);
	}
	assert((boot_zero_page_render(&plan, &h, &zp, NULL) == 0) == (h.nr_map <= 128));
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};

	switch (fuzz_u8(&in) % 8) {
	case 0: fuzz_initrd(&in); break;
	case 1: fuzz_handoff(&in); break;
	default: fuzz_image(&in); break;
	}
	return 0;
}
