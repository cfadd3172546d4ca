/* Unit tests of what readings of a guest's TSC mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/kvm.h>

#include "arch/x86_64/internal.h"

/* Judges readings with these values. */
#define JUDGE(...)                                                                                 \
	judge((const uint64_t[]){__VA_ARGS__},                                                     \
	      sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static enum arch_guest_clock judge(const uint64_t *values, size_t nr)
{
	struct kvm_msr_entry readings[4] = {0};

	assert_true(nr >= 1 && nr <= 4);
	for (size_t i = 0; i < nr; i++)
		readings[i].data = values[i];
	return guest_tsc_judge(readings, (unsigned)nr);
}

/* KVM with a factor of 0 gives an offset alone, whatever the host's TSC is. */
static void test_stands(void **state)
{
	(void)state;
	assert_int_equal(JUDGE(0, 0), ARCH_GUEST_CLOCK_STANDS);
	assert_int_equal(JUDGE(~0ULL - 41, ~0ULL - 41, ~0ULL - 41), ARCH_GUEST_CLOCK_STANDS);
}

static void test_counts(void **state)
{
	(void)state;
	assert_int_equal(JUDGE(0, 1), ARCH_GUEST_CLOCK_COUNTS);
	assert_int_equal(JUDGE(1000000, 1004000, 1008000), ARCH_GUEST_CLOCK_COUNTS);
	assert_int_equal(JUDGE(0x7fffffffffffffff, 0x8000000000000000), ARCH_GUEST_CLOCK_COUNTS);
}

/* A TSC that counts in steps, and a thread that moved to a CPU whose TSC is late. */
static void test_one_difference_is_enough(void **state)
{
	(void)state;
	assert_int_equal(JUDGE(1000, 1000, 1000, 1100), ARCH_GUEST_CLOCK_COUNTS);
	assert_int_equal(JUDGE(1000, 1100, 1100, 1000), ARCH_GUEST_CLOCK_COUNTS);
	assert_int_equal(JUDGE(1004000, 1000000), ARCH_GUEST_CLOCK_COUNTS);
}

static void test_less_than_two_say_nothing(void **state)
{
	(void)state;
	assert_int_equal(JUDGE(1000), ARCH_GUEST_CLOCK_UNKNOWN);
	assert_int_equal(guest_tsc_judge(NULL, 0), ARCH_GUEST_CLOCK_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stands),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_one_difference_is_enough),
		cmocka_unit_test(test_less_than_two_say_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
