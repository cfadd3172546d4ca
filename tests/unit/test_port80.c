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

static void the_last_byte_written_reads_back(void **state)
{
	assert_int_equal(fake_read(*state, 0, 0, 1), 0);
	fake_write(*state, 0, 0, 1, 0x3a);
	fake_write(*state, 0, 0, 1, 0xff);
	assert_int_equal(fake_read(*state, 0, 0, 1), 0xff);
	assert_int_equal(port80_last(*state), 0xff);
}

static void writes_are_counted_and_reads_are_not(void **state)
{
	assert_int_equal(port80_count(*state), 0);
	for (int i = 0; i < 300; i++)
		fake_write(*state, 0, 0, 1, 7);
	fake_read(*state, 0, 0, 1);
	assert_int_equal(port80_count(*state), 300);
}

static void reset_clears_the_latch_and_keeps_the_count(void **state)
{
	struct device *dev = *state;

	fake_write(dev, 0, 0, 1, 0x55);
	dev->cls->reset(dev);
	assert_int_equal(fake_read(dev, 0, 0, 1), 0);
	assert_int_equal(port80_count(dev), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_last_byte_written_reads_back),
		TEST(writes_are_counted_and_reads_are_not),
		TEST(reset_clears_the_latch_and_keeps_the_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
