/*
 * Unit tests of vmm/boot/place.c: whatever memory a kernel was decompressed into, the same is in its
 * place in the end.
 */
#include "base/macros.h"
#include "boot_pack.h"
#include "boot_rig.h"

enum {
	RAM = 0x60000, /* guest addresses 0 and up */
	ROOM_STEP = 0xe80,
};

/* A segment of the file, and where it goes. */
struct piece {
	uint64_t off, gpa, filesz, memsz;
};

static uint8_t ram[RAM], want[RAM];

static void make_kernel(struct image *img, const struct piece *piece, unsigned nr)
{
	struct elf_spec spec = {
		.type = ET_EXEC, .machine = EM_X86_64, .entry = piece[0].gpa, .nr_ph = nr};

	image_reset(img);
	for (unsigned i = 0; i < nr; i++) {
		spec.ph[i] = (Elf64_Phdr){.p_type = PT_LOAD,
					  .p_flags = PF_R | PF_X,
					  .p_offset = piece[i].off,
					  .p_paddr = piece[i].gpa,
					  .p_filesz = piece[i].filesz,
					  .p_memsz = piece[i].memsz};
		image_put_noise(img, piece[i].off, piece[i].filesz);
	}
	image_put_elf(img, &spec);
}

static void pack(const struct packer *packer, const struct image *img, struct image *ret)
{
	ret->len = packer->pack(img->bytes, img->len, ret->bytes, IMAGE_MAX);
	assert_true(ret->len > 0);
}

static void place(struct boot_plan *plan, uint8_t *memory)
{
	uint8_t *dst[BOOT_SEGMENTS_MAX];

	for (unsigned i = 0; i < plan->nr_segments; i++) {
		assert_true(plan->segment[i].gpa + plan->segment[i].mem_len <= RAM);
		dst[i] = memory + plan->segment[i].gpa;
	}
	assert_int_equal(boot_plan_place(plan, dst, NULL), 0);
	/* A later reader of the kernel finds it at its address, not other data. */
	for (unsigned i = 0; i < plan->nr_segments; i++)
		if (plan->segment[i].data_len)
			assert_ptr_equal(plan->segment[i].data, dst[i]);
}

/* Decompresses to each of many places and compares with what has no room to decompress to. */
static void check_every_room(const struct piece *piece, unsigned nr)
{
	static struct image img, packed;

	make_kernel(&img, piece, nr);
	for (size_t k = 0; k < ARRAY_SIZE(packers); k++) {
		struct planned p;

		if (!packers[k].codec)
			continue;
		pack(&packers[k], &img, &packed);
		memset(want, 0, RAM);
		assert_planned(&p, &packed, mode_opts(BOOT_MODE_LINUX64));
		place(&p.plan, want);
		plan_free(&p);
		for (size_t room = 0; room < RAM; room += ROOM_STEP) {
			const struct boot_opts opts = {.mode = BOOT_MODE_LINUX64,
						       .room = ram + room,
						       .room_len = RAM - room};

			memset(ram, 0, RAM);
			assert_planned(&p, &packed, &opts);
			place(&p.plan, ram);
			for (unsigned i = 0; i < nr; i++)
				assert_memory_equal(ram + piece[i].gpa, want + piece[i].gpa,
						    piece[i].memsz);
			plan_free(&p);
		}
	}
}

/* As vmlinux has them: with gaps in the file where memory has none. */
static const struct piece in_order[] = {
	{0x1000, 0x20000, 0x3000, 0x3000},
	{0x4000, 0x23000, 0x1800, 0x2000},
	{0x7000, 0x25000, 0x2100, 0x9000},
};

static void segments_in_the_files_order_arrive(void **state)
{
	(void)state;
	check_every_room(in_order, ARRAY_SIZE(in_order));
}

static void segments_in_another_order_arrive(void **state)
{
	static const struct piece piece[] = {
		{0x7000, 0x20000, 0x2fff, 0x3000},
		{0x4000, 0x23000, 0x1800, 0x2000},
		{0x1000, 0x25000, 0x2100, 0x9000},
	};

	(void)state;
	check_every_room(piece, ARRAY_SIZE(piece));
}

static void segments_that_share_bytes_of_the_file_arrive(void **state)
{
	static const struct piece piece[] = {
		{0x1000, 0x20000, 0x3000, 0x3000},
		{0x2000, 0x24000, 0x3000, 0x4000},
		{0x1000, 0x30000, 0x1000, 0x1000},
	};

	(void)state;
	check_every_room(piece, ARRAY_SIZE(piece));
}

static void a_segment_of_zeros_alone_is_cleared(void **state)
{
	static const struct piece piece[] = {
		{0x1000, 0x20000, 0x3000, 0x3000},
		{0x4000, 0x23000, 0, 0x8000},
	};

	(void)state;
	check_every_room(piece, ARRAY_SIZE(piece));
}

/* The first codec there is. */
static const struct packer *any_packer(void)
{
	for (size_t k = 0; k < ARRAY_SIZE(packers); k++)
		if (packers[k].codec)
			return &packers[k];
	skip();
	return NULL;
}

static void what_is_decompressed_to_its_place_is_not_copied(void **state)
{
	const struct boot_opts opts = {
		.mode = BOOT_MODE_LINUX64, .room = ram + 0x1f000, .room_len = RAM - 0x1f000};
	static struct image img, packed;
	struct planned p;

	(void)state;
	memset(ram, 0, RAM);
	make_kernel(&img, in_order, ARRAY_SIZE(in_order));
	pack(any_packer(), &img, &packed);
	assert_planned(&p, &packed, &opts);
	assert_null(p.plan.owned);
	assert_ptr_equal(p.plan.segment[0].data, ram + 0x20000);
	assert_ptr_equal(p.plan.segment[2].data, ram + 0x26000);
	place(&p.plan, ram);
	assert_null(p.plan.owned);
	assert_memory_equal(ram + 0x25000, img.bytes + 0x7000, 0x2100);
	plan_free(&p);
}

static void a_room_that_is_too_small_is_not_needed(void **state)
{
	static struct image img, packed;

	(void)state;
	make_kernel(&img, in_order, ARRAY_SIZE(in_order));
	pack(any_packer(), &img, &packed);
	memset(want, 0, RAM);
	for (size_t len = 0; len <= RAM - 0x20000; len += 0x2000) {
		const struct boot_opts opts = {
			.mode = BOOT_MODE_LINUX64, .room = ram + 0x20000, .room_len = len};
		struct planned p;

		memset(ram, 0, RAM);
		assert_planned(&p, &packed, &opts);
		place(&p.plan, ram);
		assert_memory_equal(ram + 0x20000, img.bytes + 0x1000, 0x3000);
		assert_memory_equal(ram + 0x23000, img.bytes + 0x4000, 0x1800);
		assert_memory_equal(ram + 0x24800, want, 0x800);
		assert_memory_equal(ram + 0x25000, img.bytes + 0x7000, 0x2100);
		assert_memory_equal(ram + 0x27100, want, 0x6f00);
		plan_free(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_in_the_files_order_arrive),
		cmocka_unit_test(segments_in_another_order_arrive),
		cmocka_unit_test(segments_that_share_bytes_of_the_file_arrive),
		cmocka_unit_test(a_segment_of_zeros_alone_is_cleared),
		cmocka_unit_test(what_is_decompressed_to_its_place_is_not_copied),
		cmocka_unit_test(a_room_that_is_too_small_is_not_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
