/* Unit tests of devices/acpi_pm1.c: what powers off, what must not, and what reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/classes.h"
#include "fake_env.h"

enum {
	STS = 0,
	EN = 2,
	CNT = 4,
	BYTES = 6,
	/* In the high byte of PM1_CNT. */
	S5 = ACPI_PM1_S5_TYPE << 2,
	SLP_EN = 0x20,
};

struct fixture {
	struct fake_env fake;
	struct device *dev;
};

static int setup(void **state)
{
	static struct fixture f;

	fake_env_init(&f.fake);
	*state = &f;
	return device_create(&acpi_pm1_class, &f.fake.env, &f.dev);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	f->dev = device_destroy(f->dev);
	return 0;
}

static void sleep_enable_with_the_type_of_s5_powers_off(void **state)
{
	struct fixture *f = *state;

	fake_write(f->dev, 0, CNT + 1, 1, S5 | SLP_EN);
	assert_int_equal(f->fake.ends, 1);
	assert_int_equal(f->fake.end.kind, VM_END_POWEROFF);
	assert_string_equal(f->fake.end.by, "ACPI S5");
	assert_int_equal(f->dev->guest_errors, 0);
}

static void the_type_alone_is_stored_and_changes_nothing(void **state)
{
	struct fixture *f = *state;

	fake_write(f->dev, 0, CNT + 1, 1, S5);
	assert_int_equal(f->fake.ends, 0);
	assert_int_equal(fake_read(f->dev, 0, CNT + 1, 1), S5);
	assert_int_equal(f->dev->guest_errors, 0);
}

static void every_other_type_is_a_guest_error_and_the_vm_goes_on(void **state)
{
	struct fixture *f = *state;
	unsigned errors = 0;

	for (unsigned typ = 0; typ < 8; typ++) {
		if (typ == ACPI_PM1_S5_TYPE)
			continue;
		fake_write(f->dev, 0, CNT + 1, 1, typ << 2 | SLP_EN);
		errors++;
	}
	assert_int_equal(f->fake.ends, 0);
	assert_int_equal(f->dev->guest_errors, errors);
}

static void no_byte_but_the_control_registers_high_one_powers_off(void **state)
{
	struct fixture *f = *state;

	for (unsigned off = 0; off < BYTES; off++) {
		if (off != CNT + 1)
			fake_write(f->dev, 0, off, 1, S5 | SLP_EN);
	}
	assert_int_equal(f->fake.ends, 0);
	assert_int_equal(f->dev->guest_errors, 0);
}

static void the_machine_is_in_acpi_mode_and_stays_there(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fake_read(f->dev, 0, CNT, 1), 1);
	fake_write(f->dev, 0, CNT, 1, 0);
	assert_int_equal(fake_read(f->dev, 0, CNT, 1), 1);
}

static void what_is_defined_reads_back_and_nothing_else(void **state)
{
	static const uint8_t want[BYTES] = {0, 0, 0x21, 0x07, 0x03, 0x1c};
	struct fixture *f = *state;

	for (unsigned off = 0; off < BYTES; off++)
		fake_write(f->dev, 0, off, 1, off == CNT + 1 ? 0xff & ~SLP_EN : 0xff);
	for (unsigned off = 0; off < BYTES; off++)
		assert_int_equal(fake_read(f->dev, 0, off, 1), want[off]);
	assert_int_equal(f->fake.ends, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sleep_enable_with_the_type_of_s5_powers_off),
		TEST(the_type_alone_is_stored_and_changes_nothing),
		TEST(every_other_type_is_a_guest_error_and_the_vm_goes_on),
		TEST(no_byte_but_the_control_registers_high_one_powers_off),
		TEST(the_machine_is_in_acpi_mode_and_stays_there),
		TEST(what_is_defined_reads_back_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
