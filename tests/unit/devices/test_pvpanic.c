/* Unit tests of pvpanic: one test an event, and what unknown bits get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/classes.h"
#include "fake_env.h"

enum { PANICKED = 1, CRASH_LOADED = 2, SHUTDOWN = 4 };

static struct fake_env fake;

static int setup(void **state)
{
	return fake_setup(&fake, &pvpanic_class, state);
}

static void reading_tells_which_events_are_understood(void **state)
{
	assert_int_equal(fake_read(*state, 0, 0, 1), PANICKED | CRASH_LOADED | SHUTDOWN);
	assert_int_equal(fake.ends, 0);
}

static void a_panic_ends_the_vm_as_a_panic(void **state)
{
	fake_write(*state, 0, 0, 1, PANICKED);
	assert_int_equal(fake.ends, 1);
	assert_int_equal(fake.end.kind, VM_END_PANIC);
	assert_string_equal(fake.end.by, "pvpanic");
}

static void a_loaded_crash_kernel_goes_on_running(void **state)
{
	fake_write(*state, 0, 0, 1, CRASH_LOADED);
	assert_int_equal(fake.ends, 0);
	assert_int_equal(fake_counter(*state), 1);
}

static void a_shutdown_is_a_power_off(void **state)
{
	fake_write(*state, 0, 0, 1, SHUTDOWN);
	assert_int_equal(fake.ends, 1);
	assert_int_equal(fake.end.kind, VM_END_POWEROFF);
}

static void a_panic_wins_over_a_shutdown_in_the_same_write(void **state)
{
	fake_write(*state, 0, 0, 1, PANICKED | CRASH_LOADED | SHUTDOWN);
	assert_int_equal(fake.ends, 1);
	assert_int_equal(fake.end.kind, VM_END_PANIC);
	assert_int_equal(fake_counter(*state), 1);
}

static void unknown_bits_are_counted_and_do_nothing(void **state)
{
	struct device *dev = *state;

	fake_write(dev, 0, 0, 1, 0xf8);
	assert_int_equal(dev->guest_errors, 1);
	assert_int_equal(fake.ends, 0);
	fake_write(dev, 0, 0, 1, 0x80 | SHUTDOWN);
	assert_int_equal(dev->guest_errors, 2);
	assert_int_equal(fake.end.kind, VM_END_POWEROFF);
}

static void no_event_is_no_event(void **state)
{
	struct device *dev = *state;

	fake_write(dev, 0, 0, 1, 0);
	assert_int_equal(fake.ends, 0);
	assert_int_equal(dev->guest_errors, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reading_tells_which_events_are_understood),
		TEST(a_panic_ends_the_vm_as_a_panic),
		TEST(a_loaded_crash_kernel_goes_on_running),
		TEST(a_shutdown_is_a_power_off),
		TEST(a_panic_wins_over_a_shutdown_in_the_same_write),
		TEST(unknown_bits_are_counted_and_do_nothing),
		TEST(no_event_is_no_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
