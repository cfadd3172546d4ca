/* Unit tests of what kernels are handed: hvm_start_info, the zero page, Multiboot information. */
#include "base/macros.h"
#include "boot/multiboot.h"
#include "boot/pvh.h"
#include "boot/zero_page.h"
#include "boot_rig.h"

enum { GPA = 0x6000 };

static const struct boot_map_entry map[] = {
	{0, 0x9fc00, 1},
	{0x9fc00, 0x60400, 2},
	{0x100000, 0xbff00000, 1},
	{UINT64_C(1) << 32, 0x40000000, 1},
};

static const struct boot_module modules[] = {
	{.gpa = 0x7f000000, .len = 0x12345},
	{.gpa = 0x5000, .len = 0x800, .cmdline = "device-tree"},
};

static struct boot_handoff full_handoff(void)
{
	return (struct boot_handoff){
		.cmdline_gpa = 0x20000,
		.rsdp_gpa = 0xe0000,
		.setup_data_gpa = 0x8000,
		.module = modules,
		.nr_modules = ARRAY_SIZE(modules),
		.map = map,
		.nr_map = ARRAY_SIZE(map),
	};
}

static uint32_t get32(const uint8_t *buf, size_t at)
{
	uint32_t v;

	memcpy(&v, buf + at, sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *buf, size_t at)
{
	uint64_t v;

	memcpy(&v, buf + at, sizeof(v));
	return v;
}

static void start_info_has_the_offsets_of_version_1(void **state)
{
	const struct boot_handoff h = full_handoff();
	uint8_t buf[512];
	size_t len = 0;
	uint64_t mods, mmap;

	(void)state;
	assert_int_equal(boot_pvh_render(&h, GPA, buf, sizeof(buf), &len, NULL), 0);
	assert_int_equal(len, 56 + 2 * 32 + 4 * 24 + sizeof("device-tree"));
	assert_int_equal(get32(buf, 0), 0x336ec578);
	assert_int_equal(get32(buf, 4), 1);
	assert_int_equal(get32(buf, 8), 0);
	assert_int_equal(get32(buf, 12), 2);
	assert_int_equal(get64(buf, 24), 0x20000);
	assert_int_equal(get64(buf, 32), 0xe0000);
	assert_int_equal(get32(buf, 48), 4);
	assert_int_equal(get32(buf, 52), 0);
	mods = get64(buf, 16) - GPA;
	assert_int_equal(get64(buf, mods), 0x7f000000);
	assert_int_equal(get64(buf, mods + 8), 0x12345);
	assert_int_equal(get64(buf, mods + 16), 0);
	assert_int_equal(get64(buf, mods + 32), 0x5000);
	assert_string_equal((const char *)buf + (get64(buf, mods + 48) - GPA), "device-tree");
	mmap = get64(buf, 40) - GPA;
	for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
		assert_true(get64(buf, mmap + 24 * i) == map[i].gpa);
		assert_true(get64(buf, mmap + 24 * i + 8) == map[i].len);
		assert_int_equal(get32(buf, mmap + 24 * i + 16), map[i].type);
		assert_int_equal(get32(buf, mmap + 24 * i + 20), 0);
	}
}

static void start_info_without_parts_has_no_pointers(void **state)
{
	const struct boot_handoff h = {0};
	uint8_t buf[64];
	size_t len = 0;

	(void)state;
	assert_int_equal(boot_pvh_render(&h, GPA, buf, sizeof(buf), &len, NULL), 0);
	assert_int_equal(len, 56);
	for (size_t at = 12; at < 56; at += 4)
		assert_int_equal(get32(buf, at), 0);
}

/* Nothing is written past cap, and one byte less than needed is too little. */
static void start_info_needs_its_room(void **state)
{
	const struct boot_handoff h = full_handoff();
	uint8_t buf[512];
	size_t len = 0, needed;
	struct diag diag = {0};

	(void)state;
	assert_int_equal(boot_pvh_render(&h, GPA, buf, sizeof(buf), &needed, NULL), 0);
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(boot_pvh_render(&h, GPA, buf, needed, &len, NULL), 0);
	assert_int_equal(buf[needed], 0xee);
	len = 7;
	assert_int_equal(boot_pvh_render(&h, GPA, buf, needed - 1, &len, &diag), -ENOSPC);
	assert_int_equal(diag.err, -ENOSPC);
	assert_int_equal(len, 7);
	assert_int_equal(boot_pvh_render(&h, (UINT64_C(1) << 32) - needed, buf, needed, &len, NULL),
			 0);
	assert_int_equal(
		boot_pvh_render(&h, (UINT64_C(1) << 32) - needed + 1, buf, needed, &len, NULL),
		-EINVAL);
}

static struct boot_plan bzimage_plan(void)
{
	struct boot_plan plan = {.segment = {{.gpa = 0x1000000}}, .nr_segments = 1};
	const struct setup_header h = {
		.boot_flag = 0xaa55,
		.header = 0x53726448,
		.version = 0x20f,
		.setup_sects = 39,
		.kernel_alignment = 0x200000,
		.cmdline_size = 2047,
		.init_size = 0x123,
		.type_of_loader = 0,
		.ramdisk_image = 0xdead,
	};

	memcpy(plan.setup_header, &h, sizeof(h));
	plan.setup_header_len = sizeof(h);
	return plan;
}

static void the_zero_page_keeps_the_setup_header_and_adds_the_handoff(void **state)
{
	const struct boot_handoff h = full_handoff();
	const struct boot_plan plan = bzimage_plan();
	struct boot_params zp;

	(void)state;
	memset(&zp, 0xee, sizeof(zp));
	assert_int_equal(boot_zero_page_render(&plan, &h, &zp, NULL), 0);
	assert_int_equal(zp.hdr.setup_sects, 39);
	assert_int_equal(zp.hdr.version, 0x20f);
	assert_int_equal(zp.hdr.kernel_alignment, 0x200000);
	assert_int_equal(zp.hdr.init_size, 0x123);
	assert_int_equal(zp.hdr.type_of_loader, 0xff);
	assert_int_equal(zp.hdr.code32_start, 0x1000000);
	assert_int_equal(zp.hdr.cmd_line_ptr, 0x20000);
	assert_int_equal(zp.ext_cmd_line_ptr, 0);
	assert_int_equal(zp.hdr.ramdisk_image, 0x7f000000);
	assert_int_equal(zp.hdr.ramdisk_size, 0x12345);
	assert_int_equal(zp.hdr.setup_data, 0x8000);
	assert_int_equal(zp.acpi_rsdp_addr, 0xe0000);
	assert_int_equal(zp.sentinel, 0); /* else Linux clears fields it does not trust */
	assert_int_equal(zp.e820_entries, ARRAY_SIZE(map));
	for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
		assert_true(zp.e820_table[i].addr == map[i].gpa);
		assert_true(zp.e820_table[i].size == map[i].len);
		assert_int_equal(zp.e820_table[i].type, map[i].type);
	}
	assert_int_equal(zp.e820_table[ARRAY_SIZE(map)].type, 0);
}

static void the_zero_page_of_a_vmlinux_has_a_header_of_its_own(void **state)
{
	const struct boot_plan plan = {.segment = {{.gpa = 0x100000}}, .nr_segments = 1};
	const struct boot_handoff h = {0};
	struct boot_params zp;

	(void)state;
	assert_int_equal(boot_zero_page_render(&plan, &h, &zp, NULL), 0);
	assert_int_equal(zp.hdr.boot_flag, 0xaa55);
	assert_int_equal(zp.hdr.header, 0x53726448);
	assert_int_equal(zp.hdr.version, 0x20f);
	assert_int_equal(zp.hdr.loadflags, LOADED_HIGH);
	assert_int_equal(zp.hdr.ramdisk_image, 0);
	assert_int_equal(zp.e820_entries, 0);
}

static void addresses_past_4_gib_are_split(void **state)
{
	static const struct boot_module far = {.gpa = UINT64_C(0x2345678000),
					       .len = UINT64_C(0x123456789)};
	const struct boot_handoff h = {
		.cmdline_gpa = UINT64_C(0x987654321),
		.module = &far,
		.nr_modules = 1,
	};
	const struct boot_plan plan = bzimage_plan();
	struct boot_params zp;

	(void)state;
	assert_int_equal(boot_zero_page_render(&plan, &h, &zp, NULL), 0);
	assert_int_equal(zp.hdr.ramdisk_image, 0x45678000);
	assert_int_equal(zp.ext_ramdisk_image, 0x23);
	assert_int_equal(zp.hdr.ramdisk_size, 0x23456789);
	assert_int_equal(zp.ext_ramdisk_size, 1);
	assert_int_equal(zp.hdr.cmd_line_ptr, 0x87654321);
	assert_int_equal(zp.ext_cmd_line_ptr, 9);
}

static void an_absent_initrd_leaves_no_trace(void **state)
{
	static const struct boot_module absent = {.gpa = 0x5000};
	const struct boot_handoff h = {.module = &absent, .nr_modules = 1};
	const struct boot_plan plan = {.nr_segments = 1};
	struct boot_params zp;

	(void)state;
	assert_int_equal(boot_zero_page_render(&plan, &h, &zp, NULL), 0);
	assert_int_equal(zp.hdr.ramdisk_image, 0);
	assert_int_equal(zp.hdr.ramdisk_size, 0);
}

static void a_map_of_128_entries_fits_and_of_129_not(void **state)
{
	static struct boot_map_entry many[129];
	struct boot_handoff h = {.map = many, .nr_map = 128};
	const struct boot_plan plan = {.nr_segments = 1};
	struct boot_params zp;
	struct diag diag = {0};

	(void)state;
	many[127].gpa = 0x1234;
	assert_int_equal(boot_zero_page_render(&plan, &h, &zp, NULL), 0);
	assert_int_equal(zp.e820_entries, 128);
	assert_int_equal(zp.e820_table[127].addr, 0x1234);
	h.nr_map = 129;
	assert_int_equal(boot_zero_page_render(&plan, &h, &zp, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "zero-page-map-size 129 ~ 128");
}

static void setup_data_has_its_header_before_the_data(void **state)
{
	uint8_t buf[32];
	size_t len = 0;

	(void)state;
	assert_int_equal(boot_setup_data_render(SETUP_DTB, 0x1234, "tree", 4, buf, 20, &len, NULL),
			 0);
	assert_int_equal(len, 20);
	assert_int_equal(get64(buf, 0), 0x1234);
	assert_int_equal(get32(buf, 8), SETUP_DTB);
	assert_int_equal(get32(buf, 12), 4);
	assert_memory_equal(buf + 16, "tree", 4);
	assert_int_equal(boot_setup_data_render(SETUP_DTB, 0, "tree", 4, buf, 19, &len, NULL),
			 -ENOSPC);
	assert_int_equal(boot_setup_data_render(SETUP_DTB, 0, NULL, 0, buf, 15, &len, NULL),
			 -ENOSPC);
	assert_int_equal(boot_setup_data_render(SETUP_DTB, 0, NULL, 0, buf, 16, &len, NULL), 0);
	assert_int_equal(len, 16);
}

static void multiboot_information_has_the_specified_offsets(void **state)
{
	const struct boot_handoff h = full_handoff();
	uint8_t buf[512];
	size_t len = 0, mods, mmap;

	(void)state;
	assert_int_equal(boot_multiboot_render(&h, GPA, buf, sizeof(buf), &len, NULL), 0);
	assert_int_equal(len, 116 + 2 * 16 + 4 * 24 + sizeof("Tollgate") + sizeof("device-tree"));
	assert_int_equal(get32(buf, 0), 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	assert_int_equal(get32(buf, 4), 639);              /* KiB below 0x9fc00 */
	assert_int_equal(get32(buf, 8), 0xbff00000 >> 10); /* KiB from 1 MiB on */
	assert_int_equal(get32(buf, 16), 0x20000);
	assert_int_equal(get32(buf, 20), 2);
	mods = get32(buf, 24) - GPA;
	assert_int_equal(get32(buf, mods), 0x7f000000);
	assert_int_equal(get32(buf, mods + 4), 0x7f012345);
	assert_int_equal(get32(buf, mods + 8), 0);
	assert_int_equal(get32(buf, mods + 16), 0x5000);
	assert_int_equal(get32(buf, mods + 20), 0x5800);
	assert_string_equal((const char *)buf + (get32(buf, mods + 24) - GPA), "device-tree");
	assert_int_equal(get32(buf, 44), 4 * 24);
	mmap = get32(buf, 48) - GPA;
	for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
		assert_int_equal(get32(buf, mmap + 24 * i), 20);
		assert_true(get64(buf, mmap + 24 * i + 4) == map[i].gpa);
		assert_true(get64(buf, mmap + 24 * i + 12) == map[i].len);
		assert_int_equal(get32(buf, mmap + 24 * i + 20), map[i].type);
	}
	assert_string_equal((const char *)buf + (get32(buf, 64) - GPA), "Tollgate");
}

static void multiboot_leaves_out_what_there_is_not(void **state)
{
	static const struct boot_module absent = {.gpa = 0, .len = 0};
	const struct boot_handoff h = {.module = &absent, .nr_modules = 1};
	uint8_t buf[160];
	size_t len = 0;

	(void)state;
	assert_int_equal(boot_multiboot_render(&h, GPA, buf, sizeof(buf), &len, NULL), 0);
	assert_int_equal(get32(buf, 0), 1 << 0 | 1 << 9);
	assert_int_equal(get32(buf, 4), 0);
	assert_int_equal(get32(buf, 8), 0);
	assert_int_equal(get32(buf, 20), 0);
	assert_int_equal(get32(buf, 44), 0);
}

/* Adjoining entries count as one; a gap, or another type, ends what counts. */
static void multiboot_memory_is_counted_to_the_first_gap(void **state)
{
	static const struct boot_map_entry pieces[] = {
		{0, 0x80000, 1},        {0x80000, 0x80000, 1},  {0x100000, 0x100000, 1},
		{0x200000, 0x10000, 1}, {0x210000, 0x10000, 2}, {0x220000, 0x10000, 1},
	};
	const struct boot_handoff h = {.map = pieces, .nr_map = ARRAY_SIZE(pieces)};
	uint8_t buf[512];
	size_t len = 0;

	(void)state;
	assert_int_equal(boot_multiboot_render(&h, GPA, buf, sizeof(buf), &len, NULL), 0);
	assert_int_equal(get32(buf, 4), 640); /* never more */
	assert_int_equal(get32(buf, 8), 0x110000 >> 10);
}

static void multiboot_reaches_4_gib_and_needs_its_room(void **state)
{
	static const struct boot_module edge = {.gpa = 0xffffe000, .len = 0x1fff};
	static const struct boot_module past = {.gpa = 0xffffe000, .len = 0x2000};
	struct boot_handoff h = {.module = &edge, .nr_modules = 1, .cmdline_gpa = UINT32_MAX};
	uint8_t buf[256];
	size_t len = 0, needed;
	struct diag diag = {0};

	(void)state;
	assert_int_equal(boot_multiboot_render(&h, GPA, buf, sizeof(buf), &needed, NULL), 0);
	assert_int_equal(get32(buf, 116 + 4), UINT32_MAX); /* mod_end */
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(boot_multiboot_render(&h, GPA, buf, needed, &len, NULL), 0);
	assert_int_equal(buf[needed], 0xee);
	assert_int_equal(boot_multiboot_render(&h, GPA, buf, needed - 1, &len, &diag), -ENOSPC);
	assert_int_equal(diag.err, -ENOSPC);
	assert_int_equal(boot_multiboot_render(&h, 0xffffffff, buf, needed, &len, NULL), -EINVAL);
	h.cmdline_gpa++;
	assert_int_equal(boot_multiboot_render(&h, GPA, buf, needed, &len, NULL), -EINVAL);
	h.cmdline_gpa = 0;
	h.module = &past;
	assert_int_equal(boot_multiboot_render(&h, GPA, buf, needed, &len, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_info_has_the_offsets_of_version_1),
		cmocka_unit_test(start_info_without_parts_has_no_pointers),
		cmocka_unit_test(start_info_needs_its_room),
		cmocka_unit_test(the_zero_page_keeps_the_setup_header_and_adds_the_handoff),
		cmocka_unit_test(the_zero_page_of_a_vmlinux_has_a_header_of_its_own),
		cmocka_unit_test(addresses_past_4_gib_are_split),
		cmocka_unit_test(an_absent_initrd_leaves_no_trace),
		cmocka_unit_test(a_map_of_128_entries_fits_and_of_129_not),
		cmocka_unit_test(setup_data_has_its_header_before_the_data),
		cmocka_unit_test(multiboot_information_has_the_specified_offsets),
		cmocka_unit_test(multiboot_leaves_out_what_there_is_not),
		cmocka_unit_test(multiboot_memory_is_counted_to_the_first_gap),
		cmocka_unit_test(multiboot_reaches_4_gib_and_needs_its_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
