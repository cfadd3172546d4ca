/* output_rig.h - for the unit tests of devices that write to the host and read nothing from it. */
#ifndef TESTS_UNIT_OUTPUT_RIG_H
#define TESTS_UNIT_OUTPUT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/classes.h"
#include "fake_env.h"

static struct fake_env fake;

/* A test of each of them. */
static inline void it_takes_no_input(void **state)
{
	struct device *dev = *state;

	assert_int_equal(dev->cls->chr->rx_room(dev), 0);
	dev->cls->chr->rx(dev, NULL, 0);
	assert_int_equal(fake.input_wanted, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

#endif
