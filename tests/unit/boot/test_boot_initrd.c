/* Unit tests of vmm/boot/initrd.c: where it goes, what it avoids, and several files as one. */
#include "boot/initrd.h"
#include "boot_rig.h"

#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)
#define PAGE UINT64_C(4096)

static const uint8_t bytes[8192];

static const struct boot_plan plan = {
	.end_gpa = 64 * MIB - 1, /* a kernel need not end at a page */
	.initrd_gpa_max = 0x7fffffff,
};

static struct boot_segment segment[4];
static struct boot_initrd initrd;
static struct diag diag;

/* Places one file of len bytes; the address, or the negative error. */
static int64_t place(const struct boot_plan *p, uint64_t len, const struct boot_span *ram,
		     unsigned nr_ram, const struct boot_span *taken, unsigned nr_taken)
{
	const struct boot_file file = {.name = "rd", .data = bytes, .len = len};
	const struct boot_layout layout = {
		.ram = ram, .nr_ram = nr_ram, .taken = taken, .nr_taken = nr_taken};
	int r;

	diag = (struct diag){0};
	initrd = (struct boot_initrd){0};
	r = boot_initrd_place(p, &file, 1, &layout, segment, &initrd, &diag);
	assert_int_equal(diag.err, r);
	if (r < 0)
		return r;
	assert_int_equal(initrd.len, len);
	assert_int_equal(segment[0].gpa, initrd.gpa);
	assert_int_equal(segment[0].data_len, len);
	assert_ptr_equal(segment[0].data, bytes);
	return (int64_t)initrd.gpa;
}

static void it_goes_to_the_top_of_low_ram_at_a_page(void **state)
{
	const struct boot_span ram = {0, 256 * MIB, ""};

	(void)state;
	assert_int_equal(place(&plan, 8192, &ram, 1, NULL, 0), 256 * MIB - 8192);
	assert_int_equal(place(&plan, 8191, &ram, 1, NULL, 0), 256 * MIB - 8192);
	assert_int_equal(place(&plan, 8193, &ram, 1, NULL, 0), 256 * MIB - 3 * PAGE);
	assert_int_equal(place(&plan, 1, &ram, 1, NULL, 0), 256 * MIB - PAGE);
}

static void it_stays_below_the_kernels_limit(void **state)
{
	const struct boot_span ram[] = {{0, 3 * GIB, ""}, {4 * GIB, 4 * GIB, ""}};
	struct boot_plan p = plan;

	(void)state;
	assert_int_equal(place(&p, 8192, ram, 2, NULL, 0), 2 * GIB - 8192);
	p.initrd_gpa_max = 0x37ffffff;
	assert_int_equal(place(&p, 8192, ram, 2, NULL, 0), 0x38000000 - 8192);
	p.initrd_gpa_max = UINT32_MAX; /* the hole is no RAM */
	assert_int_equal(place(&p, 8192, ram, 2, NULL, 0), 3 * GIB - 8192);
	p.initrd_gpa_max = UINT64_MAX;
	assert_int_equal(place(&p, 8192, ram, 2, NULL, 0), 8 * GIB - 8192);
	p.initrd_gpa_max = 0;
	assert_int_equal(place(&p, 1, ram, 2, NULL, 0), -EINVAL);
}

static void it_begins_after_the_kernel(void **state)
{
	const struct boot_span ram = {0, 128 * MIB, ""};

	(void)state;
	assert_int_equal(place(&plan, 64 * MIB, &ram, 1, NULL, 0), 64 * MIB);
	assert_int_equal(place(&plan, 64 * MIB + 1, &ram, 1, NULL, 0), -EINVAL);
	assert_diag(&diag, -EINVAL, "initrd-no-room 'rd' ~ 64 MiB ~ 0x3ffffff ~ 0x7fffffff");
	assert_remedy(&diag, "");
}

static void it_keeps_clear_of_what_is_taken(void **state)
{
	const struct boot_span ram = {0, 128 * MIB, ""};
	const struct boot_span taken[] = {
		{128 * MIB - PAGE, 4096, "top"}, {100 * MIB, MIB, "middle"},
		{101 * MIB, MIB, "adjoining"},   {110 * MIB, 0, "nothing"},
		{0, 64 * MIB, "kernel"},
	};

	(void)state;
	assert_int_equal(place(&plan, 8192, &ram, 1, taken, 5), 128 * MIB - 3 * PAGE);
	/* 26 MiB less the top page are free above; the next lower place ends at 100 MiB */
	assert_int_equal(place(&plan, 26 * MIB - PAGE, &ram, 1, taken, 5), 102 * MIB);
	assert_int_equal(place(&plan, 26 * MIB, &ram, 1, taken, 5), 74 * MIB);
	assert_int_equal(place(&plan, 36 * MIB, &ram, 1, taken, 5), 64 * MIB);
	assert_int_equal(place(&plan, 36 * MIB + 1, &ram, 1, taken, 5), -EINVAL);
}

static void unaligned_neighbours_cost_a_page(void **state)
{
	const struct boot_span ram = {0, 128 * MIB + 100, ""};
	const struct boot_span taken = {128 * MIB - 1, 1, "a byte"};

	(void)state;
	assert_int_equal(place(&plan, 4096, &ram, 1, NULL, 0), 128 * MIB - PAGE);
	assert_int_equal(place(&plan, 4096, &ram, 1, &taken, 1), 128 * MIB - 2 * PAGE);
}

static void the_highest_piece_of_ram_wins_in_any_order(void **state)
{
	const struct boot_span ram[] = {{GIB, 64 * MIB, ""}, {0, 512 * MIB, ""}};

	(void)state;
	assert_int_equal(place(&plan, 8192, ram, 2, NULL, 0), GIB + 64 * MIB - 8192);
	assert_int_equal(place(&plan, 65 * MIB, ram, 2, NULL, 0), 447 * MIB);
}

static void a_kernel_at_the_end_of_the_address_space_leaves_no_room(void **state)
{
	const struct boot_span ram = {0, UINT64_MAX, ""};
	const struct boot_plan p = {.end_gpa = UINT64_MAX, .initrd_gpa_max = UINT64_MAX};

	(void)state;
	assert_int_equal(place(&p, 1, &ram, 1, NULL, 0), -EINVAL);
}

static void several_files_become_one_padded_to_4(void **state)
{
	const struct boot_file files[] = {
		{.name = "a", .data = bytes, .len = 5},
		{.name = "b", .data = bytes + 100, .len = 8},
		{.name = "c", .data = bytes + 200, .len = 3},
	};
	const struct boot_span ram = {0, 128 * MIB, ""};
	const struct boot_layout layout = {.ram = &ram, .nr_ram = 1};

	(void)state;
	assert_int_equal(boot_initrd_place(&plan, files, 3, &layout, segment, &initrd, NULL), 0);
	assert_int_equal(initrd.gpa, 128 * MIB - PAGE);
	assert_int_equal(initrd.len, 8 + 8 + 3);
	assert_int_equal(segment[0].gpa, initrd.gpa);
	assert_int_equal(segment[0].data_len, 5);
	assert_int_equal(segment[0].mem_len, 8);
	assert_int_equal(segment[1].gpa, initrd.gpa + 8);
	assert_int_equal(segment[1].mem_len, 8);
	assert_ptr_equal(segment[1].data, bytes + 100);
	assert_int_equal(segment[2].gpa, initrd.gpa + 16);
	assert_int_equal(segment[2].data_len, 3);
	assert_int_equal(segment[2].mem_len, 3);
}

static void bad_files_are_named(void **state)
{
	struct boot_file files[] = {{.name = "a", .data = bytes, .len = 5},
				    {.name = "b", .data = bytes, .len = 0}};
	const struct boot_span ram = {0, 128 * MIB, ""};
	const struct boot_layout layout = {.ram = &ram, .nr_ram = 1};

	(void)state;
	diag = (struct diag){0};
	assert_int_equal(boot_initrd_place(&plan, files, 2, &layout, segment, &initrd, &diag),
			 -EINVAL);
	assert_diag(&diag, -EINVAL, "initrd-empty 'b'");
	files[1].len = SIZE_MAX - 3;
	diag = (struct diag){0};
	assert_int_equal(boot_initrd_place(&plan, files, 2, &layout, segment, &initrd, &diag),
			 -EINVAL);
	assert_diag(&diag, -EINVAL, "initrd-too-large 'b'");
	files[1].len = 200 * MIB;
	diag = (struct diag){0};
	assert_int_equal(boot_initrd_place(&plan, files, 2, &layout, segment, &initrd, &diag),
			 -EINVAL);
	assert_diag(&diag, -EINVAL, "initrd-no-room 'a' and ~ 200 MiB");
}

static void no_file_is_no_initrd(void **state)
{
	const struct boot_layout nowhere = {0};

	(void)state;
	initrd = (struct boot_initrd){1, 1};
	assert_int_equal(boot_initrd_place(&plan, NULL, 0, &nowhere, segment, &initrd, NULL), 0);
	assert_int_equal(initrd.len, 0);
	assert_int_equal(initrd.gpa, 0);
}

/* Below the maximum if possible, else as high as the limit lets it. */
static void past_its_maximum_it_goes_where_the_kernel_allows_it(void **state)
{
	const struct boot_span ram[] = {{0, 3 * GIB, ""}, {4 * GIB, 4 * GIB, ""}};
	struct boot_plan p = plan;

	(void)state;
	p.initrd_gpa_limit = UINT64_MAX;
	assert_int_equal(place(&p, 8192, ram, 2, NULL, 0), 2 * GIB - 8192);
	assert_int_equal(place(&p, 5 * GIB / 2, ram, 2, NULL, 0), 8 * GIB - 5 * GIB / 2);
	p.initrd_gpa_limit = 3 * GIB - 1;
	assert_int_equal(place(&p, 5 * GIB / 2, ram, 2, NULL, 0), GIB / 2);
	assert_int_equal(place(&p, 3 * GIB, ram, 2, NULL, 0), -EINVAL);
}

/* More memory is a remedy only where some of it would be in the kernel's reach. */
static void the_remedy_is_one_that_helps(void **state)
{
	const struct boot_span ram[] = {{0, 3 * GIB, ""}, {4 * GIB, 60 * GIB, ""}};

	(void)state;
	assert_int_equal(place(&plan, 2 * GIB, ram, 2, NULL, 0), -EINVAL);
	assert_remedy(&diag, "a disk");
	assert_int_equal(
		place(&plan, 200 * MIB, (struct boot_span[]){{0, 128 * MIB, ""}}, 1, NULL, 0),
		-EINVAL);
	assert_remedy(&diag, "more memory, or");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_goes_to_the_top_of_low_ram_at_a_page),
		cmocka_unit_test(it_stays_below_the_kernels_limit),
		cmocka_unit_test(it_begins_after_the_kernel),
		cmocka_unit_test(it_keeps_clear_of_what_is_taken),
		cmocka_unit_test(unaligned_neighbours_cost_a_page),
		cmocka_unit_test(the_highest_piece_of_ram_wins_in_any_order),
		cmocka_unit_test(a_kernel_at_the_end_of_the_address_space_leaves_no_room),
		cmocka_unit_test(several_files_become_one_padded_to_4),
		cmocka_unit_test(bad_files_are_named),
		cmocka_unit_test(no_file_is_no_initrd),
		cmocka_unit_test(past_its_maximum_it_goes_where_the_kernel_allows_it),
		cmocka_unit_test(the_remedy_is_one_that_helps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
