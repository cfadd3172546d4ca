/* Unit tests of the exit port: every width at every place of both ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/classes.h"
#include "fake_env.h"

enum { NR_RANGES = 2 };

static const uint8_t range_len[NR_RANGES] = {4, 2};
static struct fake_env fake;

static int setup(void **state)
{
	return fake_setup(&fake, &exit_port_class, state);
}

static void any_write_ends_the_vm_with_its_value(void **state)
{
	for (uint8_t range = 0; range < (uint8_t)NR_RANGES; range++) {
		for (uint8_t size = 1; size <= range_len[range]; size = (uint8_t)(size * 2)) {
			for (uint8_t off = 0; off + size <= range_len[range]; off++) {
				const unsigned before = fake.ends;

				fake_write(*state, range, off, size, 0x2a);
				assert_int_equal(fake.ends, before + 1);
				assert_int_equal(fake.end.kind, VM_END_EXIT_CODE);
				assert_int_equal(fake.end.code, 0x2a);
				assert_string_equal(fake.end.by, "exit port");
			}
		}
	}
}

static void the_code_is_as_wide_as_the_access(void **state)
{
	const uint64_t val = UINT64_C(0x1122334455667788);

	fake_write(*state, 0, 0, 1, val);
	assert_int_equal(fake.end.code, 0x88);
	fake_write(*state, 0, 0, 2, val);
	assert_int_equal(fake.end.code, 0x7788);
	fake_write(*state, 0, 0, 4, val);
	assert_int_equal(fake.end.code, 0x55667788);
}

static void code_0_is_success(void **state)
{
	fake_write(*state, 1, 0, 1, 0);
	assert_int_equal(fake.ends, 1);
	assert_int_equal(vm_end_status(&fake.end), EXIT_OK);
}

static void reads_give_0_and_end_nothing(void **state)
{
	assert_int_equal(fake_read(*state, 0, 0, 4), 0);
	assert_int_equal(fake_read(*state, 1, 0, 2), 0);
	assert_int_equal(fake.ends, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(any_write_ends_the_vm_with_its_value),
		TEST(the_code_is_as_wide_as_the_access),
		TEST(code_0_is_success),
		TEST(reads_give_0_and_end_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
