/* Unit tests of the debug console. */
#include "output_rig.h"

static int setup(void **state)
{
	return fake_setup(&fake, &debugcon_class, state);
}

static void bytes_go_out_in_order(void **state)
{
	fake_write(*state, 0, 0, 1, 'o');
	fake_write(*state, 0, 0, 1, 'k');
	assert_int_equal(fake.out_len, 2);
	assert_memory_equal(fake.out, "ok", 2);
	assert_int_equal(fake_counter(*state), 0);
}

static void reading_tells_that_the_port_is_there(void **state)
{
	assert_int_equal(fake_read(*state, 0, 0, 1), 0xe9);
	assert_int_equal(fake.out_len, 0);
}

static void what_has_no_room_is_dropped_and_counted(void **state)
{
	fake.room = 1;
	for (unsigned byte = 'a'; byte <= 'e'; byte++)
		fake_write(*state, 0, 0, 1, byte);
	assert_int_equal(fake.out_len, 1);
	assert_int_equal(fake_counter(*state), 4);
}

static void dropped_bytes_do_not_come_out_later(void **state)
{
	struct device *dev = *state;

	fake.room = 0;
	fake_write(dev, 0, 0, 1, 'x');
	fake.room = 10;
	dev->cls->chr->tx_room(dev);
	assert_int_equal(fake.out_len, 0);
	fake_write(dev, 0, 0, 1, 'y');
	assert_memory_equal(fake.out, "y", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_go_out_in_order),
		TEST(reading_tells_that_the_port_is_there),
		TEST(what_has_no_room_is_dropped_and_counted),
		TEST(dropped_bytes_do_not_come_out_later),
		TEST(it_takes_no_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
