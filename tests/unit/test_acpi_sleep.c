/* Unit tests of devices/acpi_sleep.c: what powers off, and what must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/classes.h"
#include "fake_env.h"

enum {
	CONTROL = 0,
	STATUS = 1,
	SLP_EN = 0x20,
	S5 = ACPI_SLEEP_TYPE_S5 << 2,
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
	return device_create(&acpi_sleep_class, &f.fake.env, &f.dev);
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

	fake_write(f->dev, 0, CONTROL, 1, S5 | SLP_EN);
	assert_int_equal(f->fake.ends, 1);
	assert_int_equal(f->fake.end.kind, VM_END_POWEROFF);
	assert_string_equal(f->fake.end.by, "ACPI S5");
	assert_int_equal(f->dev->guest_errors, 0);
}

static void the_type_alone_is_stored_and_changes_nothing(void **state)
{
	struct fixture *f = *state;

	fake_write(f->dev, 0, CONTROL, 1, S5);
	assert_int_equal(f->fake.ends, 0);
	assert_int_equal(fake_read(f->dev, 0, CONTROL, 1), S5);
	assert_int_equal(f->dev->guest_errors, 0);
}

static void only_the_type_is_read_back(void **state)
{
	struct fixture *f = *state;

	fake_write(f->dev, 0, CONTROL, 1, 0xff & ~SLP_EN);
	assert_int_equal(fake_read(f->dev, 0, CONTROL, 1), 7 << 2);
	fake_write(f->dev, 0, CONTROL, 1, 0xff);
	assert_int_equal(fake_read(f->dev, 0, CONTROL, 1), 7 << 2);
}

static void every_other_type_is_a_guest_error_and_the_vm_goes_on(void **state)
{
	struct fixture *f = *state;
	unsigned errors = 0;

	for (unsigned typ = 0; typ < 8; typ++) {
		if (typ == ACPI_SLEEP_TYPE_S5)
			continue;
		fake_write(f->dev, 0, CONTROL, 1, typ << 2 | SLP_EN);
		errors++;
	}
	assert_int_equal(f->fake.ends, 0);
	assert_int_equal(f->dev->guest_errors, errors);
}

static void status_reads_zero_and_takes_the_clearing_write(void **state)
{
	struct fixture *f = *state;

	fake_write(f->dev, 0, STATUS, 1, 0x80);
	assert_int_equal(fake_read(f->dev, 0, STATUS, 1), 0);
	/* A status write must not be taken for a control write. */
	fake_write(f->dev, 0, STATUS, 1, S5 | SLP_EN);
	assert_int_equal(f->fake.ends, 0);
	assert_int_equal(fake_read(f->dev, 0, CONTROL, 1), 0);
	assert_int_equal(f->dev->guest_errors, 0);
}

static void reset_forgets_the_type(void **state)
{
	struct fixture *f = *state;

	fake_write(f->dev, 0, CONTROL, 1, S5);
	f->dev->cls->reset(f->dev);
	assert_int_equal(fake_read(f->dev, 0, CONTROL, 1), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sleep_enable_with_the_type_of_s5_powers_off),
		TEST(the_type_alone_is_stored_and_changes_nothing),
		TEST(only_the_type_is_read_back),
		TEST(every_other_type_is_a_guest_error_and_the_vm_goes_on),
		TEST(status_reads_zero_and_takes_the_clearing_write),
		TEST(reset_forgets_the_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
