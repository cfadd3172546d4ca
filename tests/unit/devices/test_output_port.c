/* Unit tests of the output port. */
#include "output_rig.h"

enum { DATA = 0, ROOM = 4 };

static int setup(void **state)
{
	return fake_setup(&fake, &output_port_class, state);
}

static void bytes_of_each_width_go_out_in_order(void **state)
{
	fake_write(*state, 0, DATA, 1, 'a');
	fake_write(*state, 0, DATA, 2, 'b' | 'c' << 8);
	fake_write(*state, 0, DATA, 4, 'd' | 'e' << 8 | 'f' << 16 | 'g' << 24);
	assert_int_equal(fake.out_len, 7);
	assert_memory_equal(fake.out, "abcdefg", 7);
	assert_int_equal(fake_counter(*state), 0);
}

static void the_room_is_the_back_ends(void **state)
{
	fake.room = 0x1234;
	assert_int_equal(fake_read(*state, 0, ROOM, 4), 0x1234);
	fake_write(*state, 0, DATA, 4, 0);
	assert_int_equal(fake_read(*state, 0, ROOM, 4), 0x1230);
	assert_int_equal(fake_read(*state, 0, ROOM, 2), 0x1230);
	assert_int_equal(fake_read(*state, 0, ROOM + 1, 1) & 0xff, 0x12);
	assert_int_equal(fake_read(*state, 0, ROOM + 2, 2) & 0xffff, 0);
	fake.room = 0;
	assert_int_equal(fake_read(*state, 0, ROOM, 4), 0);
}

static void the_room_has_a_limit(void **state)
{
	fake.room = SIZE_MAX;
	assert_int_equal(fake_read(*state, 0, ROOM, 4), OUTPUT_PORT_ROOM_MAX);
	fake.room = OUTPUT_PORT_ROOM_MAX + 1;
	assert_int_equal(fake_read(*state, 0, ROOM, 4), OUTPUT_PORT_ROOM_MAX);
	fake.room = OUTPUT_PORT_ROOM_MAX - 1;
	assert_int_equal(fake_read(*state, 0, ROOM, 4), OUTPUT_PORT_ROOM_MAX - 1);
}

static void what_has_no_room_is_dropped_and_counted(void **state)
{
	struct device *dev = *state;

	fake.room = 3;
	fake_write(dev, 0, DATA, 4, 'a' | 'b' << 8 | 'c' << 16 | 'd' << 24);
	assert_int_equal(fake.out_len, 3);
	assert_memory_equal(fake.out, "abc", 3);
	assert_int_equal(fake_counter(dev), 1);
	fake.room = 10;
	dev->cls->chr->tx_room(dev);
	assert_int_equal(fake.out_len, 3);
}

static void other_offsets_do_nothing_and_are_counted(void **state)
{
	struct device *dev = *state;

	fake_write(dev, 0, DATA + 1, 1, 'x');
	fake_write(dev, 0, DATA + 2, 2, 'x');
	fake_write(dev, 0, ROOM, 4, 'x');
	fake_write(dev, 0, ROOM + 3, 1, 'x');
	assert_int_equal(fake_read(dev, 0, DATA, 4), 0);
	assert_int_equal(fake.out_len, 0);
	assert_int_equal(dev->guest_errors, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_of_each_width_go_out_in_order),
		TEST(the_room_is_the_back_ends),
		TEST(the_room_has_a_limit),
		TEST(what_has_no_room_is_dropped_and_counted),
		TEST(other_offsets_do_nothing_and_are_counted),
		TEST(it_takes_no_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
