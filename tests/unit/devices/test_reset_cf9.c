/* Unit tests of the reset control register at 0xcf9, which shares a dword with CONFIG_ADDRESS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/classes.h"
#include "fake_env.h"

enum { RC = 1, DATA = 4, SYS_RST = 0x02, RST_CPU = 0x04, FULL_RST = 0x08 };

static struct fake_env fake;

static int setup(void **state)
{
	return fake_setup(&fake, &reset_cf9_class, state);
}

static void the_rising_edge_of_rst_cpu_resets(void **state)
{
	fake_write(*state, 0, RC, 1, SYS_RST);
	assert_int_equal(fake.ends, 0);
	fake_write(*state, 0, RC, 1, SYS_RST | RST_CPU);
	assert_int_equal(fake.ends, 1);
	assert_int_equal(fake.end.kind, VM_END_RESET);
	assert_string_equal(fake.end.by, "reset register 0xcf9");
}

static void one_write_from_zero_is_an_edge_as_acpi_writes_it(void **state)
{
	fake_write(*state, 0, RC, 1, 0x0e);
	assert_int_equal(fake.ends, 1);
}

static void a_level_that_stays_high_resets_once(void **state)
{
	fake_write(*state, 0, RC, 1, RST_CPU);
	fake_write(*state, 0, RC, 1, RST_CPU | FULL_RST);
	assert_int_equal(fake.ends, 1);
	fake_write(*state, 0, RC, 1, 0);
	fake_write(*state, 0, RC, 1, RST_CPU);
	assert_int_equal(fake.ends, 2);
}

static void the_bits_read_back_and_reserved_ones_are_0(void **state)
{
	fake_write(*state, 0, RC, 1, 0xf1 | SYS_RST | FULL_RST);
	assert_int_equal(fake_read(*state, 0, RC, 1), SYS_RST | FULL_RST);
	assert_int_equal(fake.ends, 0);
}

/* 0x80000400: bus 0, device 0, function 4. Its second byte has the bit of RST_CPU. */
static void looking_for_a_pci_function_does_not_reset(void **state)
{
	fake_write(*state, 0, 0, 4, 0x80000400);
	fake_write(*state, 0, 0, 2, 0x0400);
	fake_write(*state, 0, RC, 2, 0xffff);
	assert_int_equal(fake.ends, 0);
	assert_int_equal(fake_read(*state, 0, RC, 1), 0);
}

/* As Linux asks for it (arch/x86/pci/direct.c, pci_check_type1()). */
static void the_configuration_mechanism_is_found(void **state)
{
	fake_write(*state, 0, 3, 1, 0x01);
	assert_int_equal(fake_read(*state, 0, 0, 4), 0);
	fake_write(*state, 0, 0, 4, 0x80000000);
	assert_int_equal(fake_read(*state, 0, 0, 4), 0x80000000);
	fake_write(*state, 0, 0, 4, 0xffffffff);
	assert_int_equal(fake_read(*state, 0, 0, 4), 0x80fffffc);
	assert_int_equal(fake_read(*state, 0, RC, 1), 0);
	assert_int_equal(fake.ends, 0);
}

static void the_pci_bus_is_empty(void **state)
{
	static const uint8_t sizes[] = {1, 2, 4};

	fake_write(*state, 0, 0, 4, 0x80000000);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (unsigned off = DATA; off < DATA + 4; off += sizes[i]) {
			fake_write(*state, 0, off, sizes[i], 0);
			assert_int_equal(fake_read(*state, 0, off, sizes[i]),
					 UINT64_MAX >> (64 - 8 * sizes[i]));
		}
	}
	assert_int_equal(fake_read(*state, 0, 0, 4), 0x80000000);
	assert_int_equal(fake.ends, 0);
}

static void the_rest_of_the_dword_floats(void **state)
{
	assert_int_equal(fake_read(*state, 0, 0, 2), 0xffff);
	assert_int_equal(fake_read(*state, 0, 0, 1), 0xff);
	assert_int_equal(fake_read(*state, 0, 3, 1), 0xff);
	fake_write(*state, 0, 0, 1, RST_CPU);
	fake_write(*state, 0, 2, 1, RST_CPU);
	fake_write(*state, 0, 3, 1, RST_CPU);
	assert_int_equal(fake.ends, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_rising_edge_of_rst_cpu_resets),
		TEST(one_write_from_zero_is_an_edge_as_acpi_writes_it),
		TEST(a_level_that_stays_high_resets_once),
		TEST(the_bits_read_back_and_reserved_ones_are_0),
		TEST(looking_for_a_pci_function_does_not_reset),
		TEST(the_configuration_mechanism_is_found),
		TEST(the_pci_bus_is_empty),
		TEST(the_rest_of_the_dword_floats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
