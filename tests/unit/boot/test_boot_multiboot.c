/* Unit tests of vmm/boot/multiboot.c: headers, load addresses, ELF, and what is refused. */
#include "base/macros.h"
#include "boot_rig.h"

enum {
	MAGIC = 0x1badb002,
	FLAG_PAGE_ALIGN = 1 << 0,
	FLAG_MEMORY = 1 << 1,
	FLAG_VIDEO = 1 << 2,
	FLAG_ADDRESSES = 1 << 16,
	HEADER_AT = 0x40,
	LOAD_GPA = 0x100000,
	FILE_LEN = 0x800,
};

struct mb_header {
	uint32_t magic, flags, checksum, header_addr, load_addr, load_end_addr, bss_end_addr, entry;
};

static struct image img;

static void put_header(size_t at, struct mb_header h)
{
	h.magic = MAGIC;
	h.checksum = 0u - h.magic - h.flags;
	image_put(&img, at, &h, sizeof(h));
}

/* A flat kernel whose header says where it goes: from the file's first byte on. */
static struct mb_header flat_header(void)
{
	return (struct mb_header){
		.flags = FLAG_ADDRESSES | FLAG_PAGE_ALIGN | FLAG_MEMORY,
		.header_addr = LOAD_GPA + HEADER_AT,
		.load_addr = LOAD_GPA,
		.load_end_addr = LOAD_GPA + 0x600,
		.bss_end_addr = LOAD_GPA + 0x3000,
		.entry = LOAD_GPA + 0x80,
	};
}

static void make_flat(struct mb_header h)
{
	image_reset(&img);
	image_put_noise(&img, 0, FILE_LEN);
	put_header(HEADER_AT, h);
}

static void make_elf(bool is32, uint64_t entry, uint32_t flags)
{
	struct elf_spec spec = elf_spec_plain();

	spec.is32 = is32;
	spec.machine = is32 ? EM_386 : EM_X86_64;
	spec.entry = entry;
	if (is32) {
		spec.ph[0].p_vaddr = 0xc0100000;
		spec.ph[1].p_vaddr = 0xc0200000;
	}
	spec.nr_ph = 2;
	image_make_kernel(&img, &spec);
	put_header(0x1000, (struct mb_header){.flags = flags});
}

static void the_header_may_say_where_everything_goes(void **state)
{
	struct planned p;

	(void)state;
	make_flat(flat_header());
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.protocol, BOOT_MULTIBOOT);
	assert_int_equal(p.plan.entry_gpa, LOAD_GPA + 0x80);
	assert_int_equal(p.plan.nr_segments, 1);
	assert_int_equal(p.plan.segment[0].gpa, LOAD_GPA);
	assert_ptr_equal(p.plan.segment[0].data, p.copy);
	assert_int_equal(p.plan.segment[0].data_len, 0x600);
	assert_int_equal(p.plan.segment[0].mem_len, 0x3000);
	assert_int_equal(p.plan.end_gpa, LOAD_GPA + 0x3000);
	assert_int_equal(p.plan.initrd_gpa_max, UINT32_MAX);
	plan_free(&p);
}

static void loading_may_begin_within_the_file(void **state)
{
	struct mb_header h = flat_header();
	struct planned p;

	(void)state;
	h.header_addr = LOAD_GPA + 0x10;
	make_flat(h);
	assert_planned(&p, &img, NULL);
	assert_ptr_equal(p.plan.segment[0].data, p.copy + HEADER_AT - 0x10);
	plan_free(&p);
}

static void without_ends_the_whole_file_is_loaded(void **state)
{
	struct mb_header h = flat_header();
	struct planned p;

	(void)state;
	h.load_end_addr = h.bss_end_addr = 0;
	make_flat(h);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.segment[0].data_len, FILE_LEN);
	assert_int_equal(p.plan.segment[0].mem_len, FILE_LEN);
	plan_free(&p);
	h.bss_end_addr =
		LOAD_GPA + 0x100; /* the file has symbols after its data: they are loaded */
	make_flat(h);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.segment[0].mem_len, FILE_LEN);
	plan_free(&p);
}

static void addresses_that_make_no_sense_are_refused(void **state)
{
	struct mb_header h = flat_header();

	(void)state;
	h.load_addr = h.header_addr + 1;
	make_flat(h);
	assert_refused(&img, NULL, "kernel-multiboot-load-start");
	h = flat_header();
	h.header_addr += 1;
	make_flat(h);
	assert_refused(&img, NULL, "kernel-multiboot-load-start");
	h = flat_header();
	h.load_end_addr = LOAD_GPA - 1;
	make_flat(h);
	assert_refused(&img, NULL, "kernel-multiboot-load-end");
	h = flat_header();
	h.load_end_addr = LOAD_GPA + FILE_LEN + 1;
	make_flat(h);
	assert_refused(&img, NULL, "kernel-multiboot-truncated 2048 ~ 2049");
	h = flat_header();
	h.bss_end_addr = LOAD_GPA - 1;
	make_flat(h);
	assert_refused(&img, NULL, "kernel-multiboot-bss-end");
	h = flat_header();
	h.entry = LOAD_GPA + 0x600;
	make_flat(h);
	assert_refused(&img, NULL, "kernel-entry-outside");
}

static void elf_of_both_classes_is_placed_by_its_program_headers(void **state)
{
	(void)state;
	for (int is32 = 0; is32 <= 1; is32++) {
		struct planned p;

		make_elf(is32, ENTRY_GPA, FLAG_MEMORY);
		assert_planned(&p, &img, NULL);
		assert_int_equal(p.plan.protocol, BOOT_MULTIBOOT);
		assert_int_equal(p.plan.entry_gpa, ENTRY_GPA);
		assert_int_equal(p.plan.nr_segments, 2);
		assert_int_equal(p.plan.segment[0].gpa, TEXT_GPA);
		assert_int_equal(p.plan.segment[1].mem_len, DATA_MEM);
		assert_string_equal(p.plan.kind, is32 ? "Multiboot ELF32" : "Multiboot ELF64");
		plan_free(&p);
	}
}

static void a_virtual_entry_address_is_translated(void **state)
{
	struct planned p;

	(void)state;
	make_elf(true, 0xc0100020, 0);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.entry_gpa, TEXT_GPA + 0x20);
	plan_free(&p);
	make_elf(false, 0xffffffff80100024, 0);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.entry_gpa, TEXT_GPA + 0x24);
	plan_free(&p);
	make_elf(true, 0xd0000000, 0);
	assert_refused(&img, NULL, "kernel-entry-outside 0xd0000000");
}

static void addresses_in_the_header_outrank_elf(void **state)
{
	struct mb_header h = {
		.flags = FLAG_ADDRESSES,
		.header_addr = 0x301000,
		.load_addr = 0x300000,
		.entry = 0x302000,
	};
	struct planned p;

	(void)state;
	make_elf(true, ENTRY_GPA, 0);
	put_header(0x1000, h);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.nr_segments, 1);
	assert_int_equal(p.plan.segment[0].gpa, 0x300000);
	assert_int_equal(p.plan.entry_gpa, 0x302000);
	plan_free(&p);
}

static void a_pvh_note_outranks_multiboot_unless_asked(void **state)
{
	(void)state;
	image_make_pvh(&img);
	put_header(0x1000, (struct mb_header){0});
	assert_protocol(&img, NULL, BOOT_PVH);
	assert_protocol(&img, mode_opts(BOOT_MODE_MULTIBOOT), BOOT_MULTIBOOT);
	assert_protocol(&img, mode_opts(BOOT_MODE_LINUX64), BOOT_LINUX64);
}

/* The last place where twelve bytes fit the first 8 KiB, and the first that does not count. */
static void the_header_lies_in_the_first_8_kib_at_a_multiple_of_4(void **state)
{
	const struct elf_spec spec = elf_spec_plain();
	const struct mb_header h = {.magic = MAGIC, .checksum = 0u - MAGIC};
	static const struct {
		size_t at;
		bool counts;
	} cases[] = {{0x1000, true},
		     {8192 - 12, true},
		     {8192 - 8, false},
		     {8192, false},
		     {0x1002, false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct planned p;

		image_make_kernel(&img, &spec);
		image_put(&img, cases[i].at, &h, 12);
		plan_image(&p, &img, mode_opts(BOOT_MODE_MULTIBOOT));
		assert_int_equal(p.r, cases[i].counts ? 0 : -ENOEXEC);
		plan_free(&p);
	}
}

static void a_wrong_checksum_is_no_header(void **state)
{
	(void)state;
	make_flat(flat_header());
	img.bytes[HEADER_AT + 8]++;
	assert_refused(&img, mode_opts(BOOT_MODE_MULTIBOOT), "kernel-no-multiboot");
}

static void features_we_lack_are_refused(void **state)
{
	struct mb_header h = flat_header();
	struct planned p;

	(void)state;
	h.flags |= FLAG_VIDEO;
	make_flat(h);
	assert_refused(&img, NULL, "kernel-multiboot-video");
	h = flat_header();
	h.flags |= 1 << 5;
	make_flat(h);
	assert_refused(&img, NULL, "kernel-multiboot-flags 0x20");
	h = flat_header();
	h.flags |= 1 << 20; /* optional ones may be ignored */
	make_flat(h);
	assert_planned(&p, &img, NULL);
	plan_free(&p);
}

static void neither_elf_nor_addresses_is_refused(void **state)
{
	(void)state;
	make_flat((struct mb_header){0});
	assert_refused(&img, NULL, "kernel-multiboot-addresses");
}

static void a_short_file_is_read_to_its_end_only(void **state)
{
	struct planned p;

	(void)state;
	make_flat(flat_header());
	for (size_t len = 1; len < HEADER_AT + 32; len++) {
		plan_bytes(&p, img.bytes, len, mode_opts(BOOT_MODE_MULTIBOOT));
		check_refused(&p, -ENOEXEC,
			      len < HEADER_AT + 12 ? "kernel-no-multiboot"
						   : "kernel-multiboot-cut");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_may_say_where_everything_goes),
		cmocka_unit_test(loading_may_begin_within_the_file),
		cmocka_unit_test(without_ends_the_whole_file_is_loaded),
		cmocka_unit_test(addresses_that_make_no_sense_are_refused),
		cmocka_unit_test(elf_of_both_classes_is_placed_by_its_program_headers),
		cmocka_unit_test(a_virtual_entry_address_is_translated),
		cmocka_unit_test(addresses_in_the_header_outrank_elf),
		cmocka_unit_test(a_pvh_note_outranks_multiboot_unless_asked),
		cmocka_unit_test(the_header_lies_in_the_first_8_kib_at_a_multiple_of_4),
		cmocka_unit_test(a_wrong_checksum_is_no_header),
		cmocka_unit_test(features_we_lack_are_refused),
		cmocka_unit_test(neither_elf_nor_addresses_is_refused),
		cmocka_unit_test(a_short_file_is_read_to_its_end_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
