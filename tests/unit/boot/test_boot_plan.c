/* Unit tests of vmm/boot/plan.c, flat.c, identify.c and plan_check.c. */
#include "base/macros.h"
#include "boot_pack.h"
#include "boot_rig.h"

static struct image img;

static void put_text(size_t at, const char *text)
{
	image_put(&img, at, text, strlen(text));
}

static void an_empty_file_is_refused(void **state)
{
	static const enum boot_mode modes[] = {BOOT_MODE_AUTO, BOOT_MODE_PVH, BOOT_MODE_FLAT_REAL,
					       BOOT_MODE_MULTIBOOT};

	(void)state;
	image_reset(&img);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		assert_refused(&img, mode_opts(modes[i]), "kernel-empty");
}

/* 2 KiB of noise with a signature in it, so that nothing else is recognised. */
static void assert_named(size_t at, const void *magic, size_t len, const char *error)
{
	struct planned p;

	image_reset(&img);
	image_put_noise(&img, 0, 2048);
	image_put(&img, at, magic, len);
	plan_image(&p, &img, NULL);
	assert_remedy(&p.diag, "");
	check_refused(&p, -ENOEXEC, error);
}

static void files_that_are_no_kernels_are_named(void **state)
{
	static const struct {
		size_t at;
		const char *magic;
		size_t len;
		const char *error;
	} cases[] = {
		{0, "#!/bin/sh\n", 10, "kernel-other-format is a script"},
		{0, "070701", 6, "kernel-other-format is a cpio archive (an initramfs)"},
		{0, "070702", 6, "kernel-other-format is a cpio archive (an initramfs)"},
		{0, "070707", 6, "kernel-other-format is a cpio archive (an initramfs)"},
		{0, "\xc7\x71", 2, "kernel-other-format is a binary cpio archive"},
		{56, "ARM\x64", 4, "kernel-other-format is an arm64 kernel Image"},
		{56, "RSC\x05", 4, "kernel-other-format is a RISC-V kernel Image"},
		{48, "RISCV", 5, "kernel-other-format is a RISC-V kernel Image"},
		{36, "\x18\x28\x6f\x01", 4, "kernel-other-format is a 32-bit Arm zImage"},
		{0, "QFI\xfb", 4, "kernel-other-format is a qcow2 disk image"},
		{0, "KDMV", 4, "kernel-other-format is a VMDK disk image"},
		{0, "vhdxfile", 8, "kernel-other-format is a VHDX disk image"},
		{512, "EFI PART", 8, "kernel-other-format is a disk image with a GPT"},
		{510, "\x55\xaa", 2, "kernel-boot-sector-or-disk"},
		{0x8001, "CD001", 5, "kernel-other-format is an ISO 9660 image"},
		{0x438, "\x53\xef", 2, "kernel-other-format is an ext2/3/4 file system"},
		{0, "hsqs", 4, "kernel-other-format is a squashfs image"},
		{0x10040, "_BHRfS_M", 8, "kernel-other-format is a Btrfs file system"},
		{0, "XFSB", 4, "kernel-other-format is an XFS file system"},
		{0, "\x27\x05\x19\x56", 4, "kernel-other-format is a U-Boot uImage"},
		{0, "\xd0\x0d\xfe\xed", 4, "kernel-other-format is a device tree or FIT image"},
		{0, "!<arch>\ndebian-binary", 21, "kernel-other-format is a Debian package"},
		{0, "!<arch>\nlib.o/", 14, "kernel-other-format is an archive of object files"},
		{257, "ustar", 5, "kernel-other-format is a tar archive"},
		{0, "\x89LZO\0\r\n\x1a\n", 9, "kernel-other-format is lzop data"},
		{0, "PK\x03\x04", 4, "kernel-other-format is a zip archive"},
		{0, "ANDROID!", 8, "kernel-other-format is an Android boot image"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_named(cases[i].at, cases[i].magic, cases[i].len, cases[i].error);
}

/* A boot sector alone is code; with a partition table or more sectors it may be a disk. */
static void boot_sectors_are_told_of_flat_code(void **state)
{
	static const uint8_t table[64] = {0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0};
	struct planned p;

	(void)state;
	image_reset(&img);
	image_put_noise(&img, 0, 512);
	put_text(510, "\x55\xaa");
	plan_image(&p, &img, NULL);
	assert_remedy(&p.diag, "--flat 0x7c00,real");
	check_refused(&p, -ENOEXEC, "kernel-boot-sector");
	image_put_noise(&img, 512, 4096);
	plan_image(&p, &img, NULL);
	assert_remedy(&p.diag, "--flat 0x7c00,real");
	check_refused(&p, -ENOEXEC, "kernel-boot-sector-or-disk");
	image_put(&img, 446, table, sizeof(table));
	plan_image(&p, &img, NULL);
	assert_null(strstr(p.diag.remedy, "--flat"));
	check_refused(&p, -ENOEXEC, "kernel-disk-image");
}

static void noise_text_and_zeros_are_told_apart(void **state)
{
	(void)state;
	image_reset(&img);
	image_put_noise(&img, 0, 2048);
	assert_refused(&img, NULL, "kernel-unknown-format");
	image_reset(&img);
	put_text(0, "CONFIG_X86_64=y\nCONFIG_PVH=y\t# gr\xc3\xbc\xc3\x9f\n");
	assert_refused(&img, NULL, "kernel-text");
	image_reset(&img);
	image_put32(&img, 4000, 0);
	assert_refused(&img, NULL, "kernel-zeros");
}

static void make_pe(const char *section)
{
	image_reset(&img);
	image_put_noise(&img, 0, 2048);
	put_text(0, "MZ");
	image_put32(&img, 0x3c, 0x80);
	image_put(&img, 0x80, "PE\0", 4);
	image_put32(&img, 0x84, 0x00028664); /* machine, two sections */
	image_put32(&img, 0x80 + 20, 240);   /* size of the optional header */
	image_put(&img, 0x80 + 24 + 240, ".text\0\0", 8);
	image_put(&img, 0x80 + 24 + 240 + 40, section, 8);
}

static void efi_programs_are_told_apart(void **state)
{
	(void)state;
	make_pe(".data\0\0");
	assert_refused(&img, NULL, "kernel-efi-program");
	make_pe(".linux\0");
	assert_refused(&img, NULL, "kernel-unified-image");
	put_text(4, "zimg");
	assert_refused(&img, NULL, "kernel-other-format is an EFI zboot image");
	make_pe(".data\0\0");
	image_put32(&img, 0x3c, UINT32_MAX - 2);
	assert_refused(&img, NULL, "kernel-dos-program");
	make_pe(".data\0\0");
	img.len = 0x90; /* cut in the header */
	assert_refused(&img, NULL, "kernel-efi-program");
}

static void a_compressed_kernel_is_unpacked(void **state)
{
	static struct image kernel;

	(void)state;
	image_make_pvh(&kernel);
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct planned p;
		char words[64];

		image_reset(&img);
		img.len = packer->pack(kernel.bytes, kernel.len, img.bytes, IMAGE_MAX);
		assert_true(img.len > 0);
		assert_planned(&p, &img, NULL);
		assert_int_equal(p.plan.protocol, BOOT_PVH);
		assert_string_equal(p.plan.compression, packer->codec);
		assert_memory_equal(p.plan.segment[0].data, kernel.bytes + TEXT_AT, TEXT_LEN);
		snprintf(words, sizeof(words), "%s: ELF64 with PVH note", packer->codec);
		{
			char buf[64];

			assert_string_equal(boot_plan_describe(&p.plan, buf, sizeof(buf)), words);
		}
		plan_free(&p);
	}
}

static void what_is_in_a_compressed_file_is_named(void **state)
{
	(void)state;
	for (const struct packer *packer = packers; packer->codec; packer++) {
		static uint8_t inner[IMAGE_MAX];
		size_t len;

		image_reset(&img);
		img.len = packer->pack((const uint8_t *)"070701000", 9, img.bytes, IMAGE_MAX);
		assert_refused(&img, NULL, "kernel-other-format unpacked ~ cpio archive");
		len = img.len;
		memcpy(inner, img.bytes, len);
		img.len = packer->pack(inner, len, img.bytes, IMAGE_MAX);
		assert_refused(&img, NULL, "kernel-packed-twice unpacked");
		img.len /= 2;
		assert_refused(&img, NULL, "kernel-packed-truncated");
	}
}

static void flat_code_goes_where_it_is_told(void **state)
{
	struct boot_opts opts = {.mode = BOOT_MODE_FLAT_LONG, .flat_gpa = 0x123456789};
	struct planned p;

	(void)state;
	image_reset(&img);
	put_text(0, "#!ELF, whatever");
	assert_planned(&p, &img, &opts);
	assert_int_equal(p.plan.protocol, BOOT_FLAT_LONG);
	assert_true(p.plan.entry_gpa == 0x123456789);
	assert_int_equal(p.plan.nr_segments, 1);
	assert_true(p.plan.segment[0].gpa == 0x123456789);
	assert_ptr_equal(p.plan.segment[0].data, p.copy);
	assert_int_equal(p.plan.segment[0].mem_len, img.len);
	plan_free(&p);
	opts.flat_gpa = UINT64_MAX - 4;
	assert_refused(&img, &opts, "kernel-segment-wraps");
}

static void real_mode_code_lies_below_1_mib(void **state)
{
	struct boot_opts opts = {.mode = BOOT_MODE_FLAT_REAL, .flat_gpa = 0x7c00};
	struct planned p;

	(void)state;
	image_reset(&img);
	image_put_noise(&img, 0, 512);
	assert_planned(&p, &img, &opts);
	assert_int_equal(p.plan.protocol, BOOT_FLAT_REAL);
	assert_int_equal(p.plan.entry_gpa, 0x7c00);
	plan_free(&p);
	opts.flat_gpa = (1 << 20) - 512;
	assert_planned(&p, &img, &opts);
	plan_free(&p);
	opts.flat_gpa += 16;
	plan_image(&p, &img, &opts);
	check_refused(&p, -EINVAL, "flat-end");
	opts.flat_gpa = 0x7c08;
	plan_image(&p, &img, &opts);
	check_refused(&p, -EINVAL, "flat-alignment 0x7c08");
}

static void an_unknown_mode_is_refused(void **state)
{
	const struct boot_opts opts = {.mode = (enum boot_mode)99};
	struct planned p;

	(void)state;
	image_make_pvh(&img);
	plan_image(&p, &img, &opts);
	check_refused(&p, -EINVAL, "boot-mode-unknown 99");
}

static void fini_takes_nothing_and_twice(void **state)
{
	struct boot_plan plan = {0};

	(void)state;
	boot_plan_fini(NULL);
	boot_plan_fini(&plan);
	boot_plan_fini(&plan);
}

/* Two segments, 1 MiB to 1 MiB + 64 KiB and 2 MiB to 3 MiB, with room needed up to 4 MiB. */
static struct boot_plan two_segments(void)
{
	return (struct boot_plan){
		.segment = {{.gpa = 0x100000, .mem_len = 0x10000},
			    {.gpa = 0x200000, .mem_len = 0x100000}},
		.nr_segments = 2,
		.end_gpa = 0x400000,
	};
}

static int check(const struct boot_plan *plan, struct boot_span ram, struct boot_span taken,
		 struct diag *diag)
{
	const struct boot_layout layout = {
		.ram = &ram, .nr_ram = 1, .taken = &taken, .nr_taken = 1};

	*diag = (struct diag){0};
	return boot_plan_check(plan, "k", &layout, diag);
}

static void a_plan_must_lie_in_ram_to_its_last_byte(void **state)
{
	const struct boot_span nothing = {0};
	struct boot_plan plan = two_segments();
	struct diag diag;

	(void)state;
	assert_int_equal(check(&plan, (struct boot_span){0, 0x400000, ""}, nothing, &diag), 0);
	assert_int_equal(check(&plan, (struct boot_span){0, 0x3fffff, ""}, nothing, &diag),
			 -EINVAL);
	assert_diag(&diag, -EINVAL, "kernel-past-memory 0x200000 to 0x400000 ~ 0x3fffff");
	assert_remedy(&diag, "4 MiB");
	assert_int_equal(check(&plan, (struct boot_span){0x100000, 0x300000, ""}, nothing, &diag),
			 0);
	assert_int_equal(check(&plan, (struct boot_span){0x100001, 0x300000, ""}, nothing, &diag),
			 -EINVAL);
	plan.end_gpa = 0x300000;
	assert_int_equal(check(&plan, (struct boot_span){0, 0x300000, ""}, nothing, &diag), 0);
}

static void a_segment_may_not_span_two_pieces_of_ram(void **state)
{
	static const struct boot_span split[] = {{0, 0x280000, ""}, {0x280000, 0x400000, ""}};
	static const struct boot_span apart[] = {{0, 0x180000, ""}, {0x1f0000, 0x400000, ""}};
	const struct boot_plan plan = two_segments();
	struct boot_layout layout = {.ram = split, .nr_ram = 2};
	struct diag diag = {0};

	(void)state;
	assert_int_equal(boot_plan_check(&plan, "k", &layout, &diag), -EINVAL);
	assert_remedy(&diag, NULL); /* more memory would not help */
	layout = (struct boot_layout){.ram = apart, .nr_ram = 1};
	assert_int_equal(boot_plan_check(&plan, "k", &layout, NULL), -EINVAL);
	layout.nr_ram = 2;
	diag = (struct diag){0};
	assert_int_equal(boot_plan_check(&plan, "k", &layout, &diag), 0);
}

static void a_plan_may_not_touch_what_is_taken(void **state)
{
	static const struct {
		uint64_t gpa, len;
		int r;
	} cases[] = {
		{0xff000, 0x1000, 0},         {0xff000, 0x1001, -EINVAL},
		{0x10ffff, 1, -EINVAL},       {0x110000, 0xf0000, 0},
		{0x110000, 0xf0001, -EINVAL}, {0x3fffff, 1, -EINVAL},
		{0x400000, 0x1000, 0},        {0x250000, 0, 0},
		{0, 0x1000000, -EINVAL},
	};
	const struct boot_span ram = {0, 0x1000000, ""};
	const struct boot_plan plan = two_segments();
	struct diag diag;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct boot_span taken = {cases[i].gpa, cases[i].len, "the GDT"};

		assert_int_equal(check(&plan, ram, taken, &diag), cases[i].r);
		if (cases[i].r)
			assert_diag(&diag, -EINVAL, "kernel-overlap the GDT");
	}
}

static void checks_survive_the_end_of_the_address_space(void **state)
{
	const struct boot_plan plan = {
		.segment = {{.gpa = UINT64_MAX - 0x1000, .mem_len = 0x1000}},
		.nr_segments = 1,
		.end_gpa = UINT64_MAX,
	};
	const struct boot_span nothing = {0};
	struct diag diag;

	(void)state;
	assert_int_equal(check(&plan, (struct boot_span){0, 0x1000000, ""}, nothing, &diag),
			 -EINVAL);
	assert_remedy(&diag, NULL);
	assert_int_equal(check(&plan, (struct boot_span){0, UINT64_MAX, ""}, nothing, &diag), 0);
	assert_int_equal(check(&plan, (struct boot_span){0, UINT64_MAX, ""},
			       (struct boot_span){UINT64_MAX, 1, "the end"}, &diag),
			 0);
}

/* As on a PC: memory below 1 MiB ends at the EBDA, and there is a hole below 4 GiB. */
static const struct boot_hole pc_holes[] = {
	{{0x9fc00, 0x60400, "the PC's reserved area"}, false},
	{{0xc0000000, 0x40000000, "the hole for devices"}, true},
};
static const struct boot_span pc_ram[] = {{0, 0x9fc00, ""}, {0x100000, 0x1ff00000, ""}};
static const struct boot_layout pc = {.ram = pc_ram, .nr_ram = 2, .hole = pc_holes, .nr_holes = 2};

static int check_on_pc(uint64_t first, uint64_t end, struct diag *diag)
{
	const struct boot_plan plan = {
		.segment = {{.gpa = first, .mem_len = end - first}},
		.nr_segments = 1,
		.end_gpa = end,
	};

	*diag = (struct diag){0};
	return boot_plan_check(&plan, "k", &pc, diag);
}

static void a_hole_is_named_and_no_memory_asked_for(void **state)
{
	struct diag diag;

	(void)state;
	assert_int_equal(check_on_pc(0x8000, 0x9fc00, &diag), 0);
	assert_int_equal(check_on_pc(0x8000, 0x9fc01, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL,
		    "kernel-over-hole 0x8000 to 0x9fc01 ~ 0x9fc00 to 0x100000 ~ the PC's reserved "
		    "area");
	assert_remedy(&diag, "0x9fc00");
	assert_remedy(&diag, "0x100000");
	assert_int_equal(check_on_pc(0xff000, 0x102000, &diag), -EINVAL);
	assert_remedy(&diag, "-Ttext-segment=0x100000");
	assert_int_equal(check_on_pc(0xfff00000, 0xffffffff, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "kernel-over-hole the hole for devices");
}

static void what_memory_would_do_is_said_behind_holes_too(void **state)
{
	struct diag diag;

	(void)state;
	assert_int_equal(check_on_pc(0x10000000, 0x40000000, &diag), -EINVAL);
	assert_remedy(&diag, "1 GiB");
	assert_int_equal(check_on_pc(0x100000000, 0x180000000, &diag), -EINVAL);
	assert_remedy(&diag, "5 GiB");
}

static bool finds_memory_uart(const char *first, const char *last)
{
	const struct boot_plan plan = {
		.segment = {{.data = (const uint8_t *)first, .data_len = strlen(first)},
			    {.data = (const uint8_t *)last, .data_len = strlen(last)}},
		.nr_segments = 2,
	};

	return boot_plan_finds_memory_uart(&plan);
}

static void a_uart_in_memory_needs_both_parameters_in_the_last_segment(void **state)
{
	const struct boot_plan empty = {0};

	(void)state;
	assert_true(finds_memory_uart("text", "x uart8250 pnpacpi= y"));
	assert_false(finds_memory_uart("text", "uart8250"));
	assert_false(finds_memory_uart("text", "pnpacpi="));
	assert_false(finds_memory_uart("uart8250", "pnpacpi="));
	assert_false(finds_memory_uart("uart8250 pnpacpi=", "data"));
	assert_false(finds_memory_uart("uart8250 pnpacpi=", ""));
	assert_false(boot_plan_finds_memory_uart(&empty));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_is_refused),
		cmocka_unit_test(files_that_are_no_kernels_are_named),
		cmocka_unit_test(boot_sectors_are_told_of_flat_code),
		cmocka_unit_test(noise_text_and_zeros_are_told_apart),
		cmocka_unit_test(efi_programs_are_told_apart),
		cmocka_unit_test(a_compressed_kernel_is_unpacked),
		cmocka_unit_test(what_is_in_a_compressed_file_is_named),
		cmocka_unit_test(flat_code_goes_where_it_is_told),
		cmocka_unit_test(real_mode_code_lies_below_1_mib),
		cmocka_unit_test(an_unknown_mode_is_refused),
		cmocka_unit_test(fini_takes_nothing_and_twice),
		cmocka_unit_test(a_plan_must_lie_in_ram_to_its_last_byte),
		cmocka_unit_test(a_segment_may_not_span_two_pieces_of_ram),
		cmocka_unit_test(a_plan_may_not_touch_what_is_taken),
		cmocka_unit_test(checks_survive_the_end_of_the_address_space),
		cmocka_unit_test(a_hole_is_named_and_no_memory_asked_for),
		cmocka_unit_test(what_memory_would_do_is_said_behind_holes_too),
		cmocka_unit_test(a_uart_in_memory_needs_both_parameters_in_the_last_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
