/* Unit tests of mem.c: every edge of a region, and what a hostile address gets. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/macros.h"
#include "diag_rig.h"
#include "mem.h"

#define MIB  (UINT64_C(1) << 20)
#define HIGH (UINT64_C(1) << 32)

static struct guest_mem mem;

static int setup(void **state)
{
	static const struct guest_region regions[] = {
		{.gpa = 0, .len = 2 * MIB},
		{.gpa = HIGH, .len = MIB},
	};

	(void)state;
	return guest_mem_init(&mem, regions, 2, &(struct guest_mem_opts){0}, NULL);
}

static int teardown(void **state)
{
	(void)state;
	guest_mem_fini(&mem);
	return 0;
}

static void a_pointer_needs_the_whole_span_inside_one_region(void **state)
{
	(void)state;
	assert_ptr_equal(guest_mem_ptr(&mem, 0, 1), mem.base);
	assert_non_null(guest_mem_ptr(&mem, 0, 2 * MIB));
	assert_null(guest_mem_ptr(&mem, 0, 2 * MIB + 1));
	assert_non_null(guest_mem_ptr(&mem, 2 * MIB - 1, 1));
	assert_null(guest_mem_ptr(&mem, 2 * MIB - 1, 2));
	assert_null(guest_mem_ptr(&mem, 2 * MIB, 1));
	assert_null(guest_mem_ptr(&mem, HIGH - 1, 2));
	assert_ptr_equal(guest_mem_ptr(&mem, HIGH, MIB), (char *)mem.base + 2 * MIB);
	assert_null(guest_mem_ptr(&mem, HIGH + MIB, 1));
	assert_null(guest_mem_ptr(&mem, HIGH, 0));
}

static void a_host_address_is_told_as_the_guests(void **state)
{
	uint64_t gpa = 1;

	(void)state;
	assert_true(guest_mem_gpa(&mem, (uintptr_t)mem.base, &gpa));
	assert_int_equal(gpa, 0);
	assert_true(guest_mem_gpa(&mem, (uintptr_t)mem.base + 2 * MIB - 1, &gpa));
	assert_int_equal(gpa, 2 * MIB - 1);
	assert_true(guest_mem_gpa(&mem, (uintptr_t)mem.base + 2 * MIB, &gpa));
	assert_int_equal(gpa, HIGH);
	assert_true(guest_mem_gpa(&mem, (uintptr_t)mem.base + 3 * MIB - 1, &gpa));
	assert_int_equal(gpa, HIGH + MIB - 1);
	assert_false(guest_mem_gpa(&mem, (uintptr_t)mem.base + 3 * MIB, &gpa));
	assert_false(guest_mem_gpa(&mem, (uintptr_t)mem.base - 1, &gpa));
	assert_false(guest_mem_gpa(&mem, 0, &gpa));
	assert_int_equal(gpa, HIGH + MIB - 1);
}

static void lengths_that_wrap_find_nothing(void **state)
{
	(void)state;
	assert_null(guest_mem_ptr(&mem, 1, UINT64_MAX));
	assert_null(guest_mem_ptr(&mem, UINT64_MAX, 1));
	assert_null(guest_mem_ptr(&mem, HIGH + 4, UINT64_MAX - 3));
}

static void copies_go_whole_or_not_at_all(void **state)
{
	char buf[4] = "abc", back[4] = "";

	(void)state;
	assert_int_equal(guest_mem_write(&mem, HIGH + MIB - 4, buf, 4), 0);
	assert_int_equal(guest_mem_read(&mem, HIGH + MIB - 4, back, 4), 0);
	assert_string_equal(back, "abc");
	assert_int_equal(guest_mem_write(&mem, HIGH + MIB - 3, "zzzz", 4), -EFAULT);
	assert_int_equal(guest_mem_read(&mem, HIGH + MIB - 3, back, 4), -EFAULT);
	assert_string_equal(back, "abc");
	assert_int_equal(guest_mem_read(&mem, UINT64_MAX, back, 0), 0);
}

static void ram_that_cannot_be_had_is_an_error_with_the_size_in_it(void **state)
{
	const struct guest_region huge = {.gpa = 0, .len = UINT64_C(1) << 62};
	struct guest_mem m;
	struct diag diag = {0};

	(void)state;
	assert_int_equal(guest_mem_init(&m, &huge, 1, &(struct guest_mem_opts){0}, &diag), -ENOMEM);
	assert_diag(&diag, -ENOMEM, "mem-map 4194304 TiB");
	guest_mem_fini(&m);
}

/* Else no huge page of the host's could back one of the guest's. */
static void ram_lies_at_a_multiple_of_2_mib_and_starts_zeroed(void **state)
{
	uint64_t word = 1;

	(void)state;
	assert_int_equal((uintptr_t)mem.base % (2 * MIB), 0);
	assert_int_equal(guest_mem_read(&mem, HIGH, &word, 8), 0);
	assert_int_equal(word, 0);
}

static void preallocated_ram_is_resident_before_it_is_touched(void **state)
{
	const struct guest_region region = {.gpa = 0, .len = 4 * MIB};
	unsigned char resident[1024];
	struct guest_mem m;

	(void)state;
	assert_int_equal(
		guest_mem_init(&m, &region, 1, &(struct guest_mem_opts){.prealloc = true}, NULL),
		0);
	assert_int_equal(mincore(m.base, 4 * MIB, resident), 0);
	for (unsigned i = 0; i < 1024; i++)
		assert_true(resident[i] & 1);
	guest_mem_fini(&m);
}

/* Whether /proc/self/smaps says of each mapping in [first, end) that a core dump leaves it out ("dd"). */
static bool left_out_of_core_dumps(uintptr_t first, uintptr_t end)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	uintptr_t from, to, covered = first;
	bool inside = false;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		/* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers fit */
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
			inside = from < end && to > first;
		} else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			assert_true(from <= covered);
			if (!strstr(line, " dd "))
				break;
			covered = to;
		}
	}
	fclose(f);
	return covered >= end;
}

/* The guest's secrets, and gigabytes. */
static void cleared_ram_reads_as_zeros_and_stays_resident_if_it_was_to_be(void **state)
{
	const struct guest_region region = {.gpa = 0, .len = 4 * MIB};

	(void)state;
	for (unsigned prealloc = 0; prealloc <= 1; prealloc++) {
		enum guest_page page[4 * MIB / GUEST_PAGE_BYTES];
		struct guest_mem m;
		uint64_t word = 0;

		assert_int_equal(guest_mem_init(&m, &region, 1,
						&(struct guest_mem_opts){.prealloc = prealloc},
						NULL),
				 0);
		memset(m.base, 1, 4 * MIB);
		assert_int_equal(guest_mem_clear(&m), 0);
		guest_mem_pages(m.base, ARRAY_SIZE(page), page);
		for (unsigned i = 0; i < ARRAY_SIZE(page); i++)
			assert_int_equal(page[i] == GUEST_PAGE_RESIDENT, prealloc);
		for (uint64_t gpa = 0; gpa < 4 * MIB; gpa += sizeof(word)) {
			assert_int_equal(guest_mem_read(&m, gpa, &word, sizeof(word)), 0);
			assert_int_equal(word, 0);
		}
		guest_mem_fini(&m);
	}
}

static void ram_is_left_out_of_core_dumps(void **state)
{
	static const char other[1 << 16];

	(void)state;
	assert_true(left_out_of_core_dumps((uintptr_t)mem.base, (uintptr_t)mem.base + mem.bytes));
	/* Not that of everything is said so. */
	assert_false(left_out_of_core_dumps((uintptr_t)other, (uintptr_t)other + sizeof(other)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pointer_needs_the_whole_span_inside_one_region),
		cmocka_unit_test(a_host_address_is_told_as_the_guests),
		cmocka_unit_test(lengths_that_wrap_find_nothing),
		cmocka_unit_test(copies_go_whole_or_not_at_all),
		cmocka_unit_test(ram_that_cannot_be_had_is_an_error_with_the_size_in_it),
		cmocka_unit_test(ram_lies_at_a_multiple_of_2_mib_and_starts_zeroed),
		cmocka_unit_test(preallocated_ram_is_resident_before_it_is_touched),
		cmocka_unit_test(cleared_ram_reads_as_zeros_and_stays_resident_if_it_was_to_be),
		cmocka_unit_test(ram_is_left_out_of_core_dumps),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
