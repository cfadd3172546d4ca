/* Unit tests of what two readings of a guest's TSC mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86_64/internal.h"

/* KVM with a factor of 0 gives an offset alone, whatever the host's TSC is. */
static void test_stands(void **state)
{
	(void)state;
	assert_int_equal(guest_tsc_judge(0, 0), ARCH_GUEST_CLOCK_STANDS);
	assert_int_equal(guest_tsc_judge(~0ULL - 41, ~0ULL - 41), ARCH_GUEST_CLOCK_STANDS);
}

static void test_counts(void **state)
{
	(void)state;
	assert_int_equal(guest_tsc_judge(0, 1), ARCH_GUEST_CLOCK_COUNTS);
	assert_int_equal(guest_tsc_judge(1000000, 1004000), ARCH_GUEST_CLOCK_COUNTS);
	assert_int_equal(guest_tsc_judge(0x7fffffffffffffff, 0x8000000000000000),
			 ARCH_GUEST_CLOCK_COUNTS);
}

static void test_backwards_says_nothing(void **state)
{
	(void)state;
	assert_int_equal(guest_tsc_judge(1004000, 1000000), ARCH_GUEST_CLOCK_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stands),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_backwards_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
