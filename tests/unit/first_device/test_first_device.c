#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_env.h"

struct tally {
	struct device dev;
	uint64_t sum;
};

static uint64_t tally_read(struct device *dev, struct io_at at)
{
	if (at.off != 0)
		return device_guest_error(dev, at);
	return container_of(dev, struct tally, dev)->sum;
}

static void tally_write(struct device *dev, struct io_at at, uint64_t val)
{
	if (at.off != 0)
		device_guest_error(dev, at);
	else
		container_of(dev, struct tally, dev)->sum += val;
}

static const struct device_class tally_class = {
	.name = "tally",
	.state_size = sizeof(struct tally),
	.read = tally_read,
	.write = tally_write,
};

static void tally_adds_what_is_written_at_offset_0(void **state)
{
	static struct fake_env fake;

	assert_int_equal(fake_setup(&fake, &tally_class, state), 0);
	fake_write(*state, 0, 0, 4, 40);
	fake_write(*state, 0, 0, 4, 2);
	fake_write(*state, 0, 1, 1, 9);
	assert_int_equal(fake_read(*state, 0, 0, 4), 42);
	assert_int_equal(((struct device *)*state)->guest_errors, 1);
	fake_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tally_adds_what_is_written_at_offset_0)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
