/* Unit tests of the POST code port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/classes.h"
#include "fake_env.h"

static struct fake_env fake;

static int setup(void **state)
{
	return fake_setup(&fake, &port80_class, state);
}

static void the_last_byte_written_reads_back_and_is_told(void **state)
{
	assert_int_equal(fake_read(*state, 0, 0, 1), 0);
	fake_write(*state, 0, 0, 1, 0x3a);
	fake_write(*state, 0, 0, 1, 0xff);
	assert_int_equal(fake_read(*state, 0, 0, 1), 0xff);
	assert_int_equal(fake_counter(*state), 0xff);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_last_byte_written_reads_back_and_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
