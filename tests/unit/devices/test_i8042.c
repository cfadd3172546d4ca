/* Unit tests of the i8042 with nothing attached, and the probe of Linux's driver played to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/classes.h"
#include "fake_env.h"

enum { DATA = 0, CMD = 1 }; /* ranges: ports 0x60 and 0x64 */

enum {
	OBF = 0x01,
	IBF = 0x02,
	SYS = 0x04,
	CMD_LAST = 0x08,
	UNLOCK = 0x10,
	AUX = 0x20,
	TIMEOUT = 0x40,
};

enum {
	CTR_KBD_INT = 0x01,
	CTR_KBD_DISABLE = 0x10,
	CTR_AUX_DISABLE = 0x20,
	CTR_TRANSLATE = 0x40,
};

static struct fake_env fake;

static int setup(void **state)
{
	return fake_setup(&fake, &i8042_class, state);
}

static uint8_t status(struct device *dev)
{
	return (uint8_t)fake_read(dev, CMD, 0, 1);
}

static void command(struct device *dev, uint8_t cmd)
{
	fake_write(dev, CMD, 0, 1, cmd);
}

static void send(struct device *dev, uint8_t byte)
{
	fake_write(dev, DATA, 0, 1, byte);
}

/* The byte that must be waiting, with the status it waits with. */
static uint8_t take(struct device *dev, uint8_t flags)
{
	assert_int_equal(status(dev) & (OBF | IBF | AUX | TIMEOUT), OBF | flags);
	return (uint8_t)fake_read(dev, DATA, 0, 1);
}

static uint8_t command_byte(struct device *dev)
{
	command(dev, 0x20);
	return take(dev, 0);
}

static void at_first_it_is_idle_unlocked_and_tested(void **state)
{
	assert_int_equal(status(*state), UNLOCK | SYS);
	assert_int_equal(command_byte(*state),
			 CTR_TRANSLATE | CTR_AUX_DISABLE | CTR_KBD_DISABLE | SYS);
}

static void tests_pass_but_there_is_no_auxiliary_interface(void **state)
{
	command(*state, 0xaa);
	assert_int_equal(take(*state, 0), 0x55);
	command(*state, 0xab);
	assert_int_equal(take(*state, 0), 0x00);
	command(*state, 0xa9);
	assert_int_equal(take(*state, 0), 0x01);
	command(*state, 0xa8);
	assert_true(command_byte(*state) & CTR_AUX_DISABLE);
	command(*state, 0x60);
	send(*state, 0x00);
	assert_int_equal(command_byte(*state), CTR_AUX_DISABLE);
}

static void self_test_sets_the_system_flag(void **state)
{
	command(*state, 0x60);
	send(*state, 0x00);
	assert_false(status(*state) & SYS);
	command(*state, 0xaa);
	assert_true(status(*state) & SYS);
	assert_true(command_byte(*state) & SYS);
}

static void the_output_buffer_empties_once_and_reads_again(void **state)
{
	command(*state, 0xaa);
	assert_int_equal(take(*state, 0), 0x55);
	assert_false(status(*state) & OBF);
	assert_int_equal(fake_read(*state, DATA, 0, 1), 0x55);
}

static void status_tells_which_port_was_written_last(void **state)
{
	command(*state, 0xad);
	assert_true(status(*state) & CMD_LAST);
	send(*state, 0x00);
	assert_false(status(*state) & CMD_LAST);
	command(*state, 0xaa);
	fake_read(*state, DATA, 0, 1);
	assert_true(status(*state) & CMD_LAST);
}

static void the_keyboard_is_enabled_and_disabled(void **state)
{
	command(*state, 0xae);
	assert_false(command_byte(*state) & CTR_KBD_DISABLE);
	command(*state, 0xad);
	assert_true(command_byte(*state) & CTR_KBD_DISABLE);
	send(*state, 0xf4); /* sending to the keyboard enables it */
	assert_false(command_byte(*state) & CTR_KBD_DISABLE);
}

static void every_byte_of_the_internal_ram_holds_its_value(void **state)
{
	for (uint8_t i = 0; i < 0x20; i++) {
		command(*state, (uint8_t)(0x60 + i));
		send(*state, (uint8_t)(0xff - i));
	}
	for (uint8_t i = 0; i < 0x20; i++) {
		command(*state, (uint8_t)(0x20 + i));
		assert_int_equal(take(*state, 0), 0xff - i);
	}
}

static void a_byte_for_nobody_is_answered_with_a_time_out(void **state)
{
	send(*state, 0xf2);
	assert_int_equal(take(*state, TIMEOUT), 0xfe);
	assert_false(status(*state) & (OBF | TIMEOUT));
	command(*state, 0xd4);
	send(*state, 0xf2);
	assert_int_equal(take(*state, AUX | TIMEOUT), 0xfe);
}

static void echoes_come_back_as_from_the_keyboard(void **state)
{
	command(*state, 0xd2);
	send(*state, 0x1c);
	assert_int_equal(take(*state, 0), 0x1c);
	command(*state, 0xd3);
	send(*state, 0x5a);
	assert_int_equal(take(*state, 0), 0x5a);
}

static void the_output_port_keeps_a20(void **state)
{
	command(*state, 0xd0);
	assert_int_equal(take(*state, 0), 0x03);
	command(*state, 0xd1);
	send(*state, 0xdd);
	command(*state, 0xd0);
	assert_int_equal(take(*state, 0), 0xdd);
	assert_int_equal(fake.ends, 0);
	command(*state, 0xc0);
	assert_int_equal(take(*state, 0), 0x80);
}

static void bit_0_of_the_output_port_low_resets(void **state)
{
	command(*state, 0xd1);
	assert_int_equal(fake.ends, 0);
	send(*state, 0xde);
	assert_int_equal(fake.ends, 1);
	assert_int_equal(fake.end.kind, VM_END_RESET);
	assert_string_equal(fake.end.by, "i8042 reset");
}

static void pulses_of_bit_0_reset_and_others_do_not(void **state)
{
	for (unsigned cmd = 0xf0; cmd <= 0xff; cmd++) {
		const unsigned before = fake.ends;

		command(*state, (uint8_t)cmd);
		assert_int_equal(fake.ends - before, cmd & 1 ? 0 : 1);
	}
	assert_int_equal(fake.end.kind, VM_END_RESET);
}

/* 0xfe to port 0x60 is a keyboard command, and data of 0x60 is not output port data. */
static void reset_needs_the_right_port(void **state)
{
	send(*state, 0xfe);
	command(*state, 0x60);
	send(*state, 0xfe);
	assert_int_equal(fake.ends, 0);
}

static void a_command_replaces_one_that_waits_for_its_data(void **state)
{
	command(*state, 0xd1);
	command(*state, 0xaa);
	fake_read(*state, DATA, 0, 1);
	send(*state, 0x00); /* to the keyboard, not to the output port */
	assert_int_equal(fake.ends, 0);
	assert_int_equal(take(*state, TIMEOUT), 0xfe);
}

static void unknown_commands_are_counted_and_answer_nothing(void **state)
{
	struct device *dev = *state;

	command(dev, 0x00);
	command(dev, 0xa1);
	assert_int_equal(dev->guest_errors, 2);
	assert_false(status(dev) & OBF);
}

/* As __i8042_command(): each wait for the controller must end at its first look. */
static bool linux_command(struct device *dev, uint8_t *param, uint8_t cmd, unsigned in,
			  unsigned out)
{
	assert_false(status(dev) & IBF);
	command(dev, cmd);
	if (in) {
		assert_false(status(dev) & IBF);
		send(dev, *param);
	}
	if (out) {
		assert_true(status(dev) & OBF);
		if (cmd == 0xd3 && !(status(dev) & AUX))
			return false;
		*param = (uint8_t)fake_read(dev, DATA, 0, 1);
	}
	return true;
}

static unsigned linux_flush(struct device *dev)
{
	unsigned n = 0;

	for (; (status(dev) & OBF) && n < 16; n++)
		fake_read(dev, DATA, 0, 1);
	return n;
}

static void linux_probe_never_waits_and_finds_no_mouse(void **state)
{
	struct device *dev = *state;
	uint8_t a20 = 0xdf, none = 0, param, ctr[2];

	/* i8042_platform_init(), i8042_controller_check() */
	linux_command(dev, &a20, 0xd1, 1, 0);
	linux_command(dev, &none, 0xff, 0, 0);
	assert_int_equal(linux_flush(dev), 0);

	/* i8042_controller_selftest(), i8042_controller_init() */
	linux_command(dev, &param, 0xaa, 0, 1);
	assert_int_equal(param, 0x55);
	linux_command(dev, &ctr[0], 0x20, 0, 1);
	linux_command(dev, &ctr[1], 0x20, 0, 1);
	assert_int_equal(ctr[0], ctr[1]);
	assert_true(status(dev) & UNLOCK);
	assert_true(ctr[0] & CTR_TRANSLATE); /* else psmouse probes the keyboard port */
	ctr[0] = (uint8_t)((ctr[0] | CTR_KBD_DISABLE) & ~CTR_KBD_INT);
	linux_command(dev, &ctr[0], 0x60, 1, 0);
	assert_int_equal(linux_flush(dev), 0);

	/* i8042_check_aux(): the loop fails, then the test says why; no interrupt is waited for */
	param = 0x5a;
	assert_false(linux_command(dev, &param, 0xd3, 1, 1));
	linux_command(dev, &param, 0xa9, 0, 1);
	assert_true(param != 0x00 && param != 0xfa && param != 0xff);

	/* i8042_enable_kbd_port(), atkbd's first byte, i8042_port_close(), i8042_controller_reset() */
	ctr[0] = (uint8_t)((ctr[0] | CTR_KBD_INT) & ~CTR_KBD_DISABLE);
	linux_command(dev, &ctr[0], 0x60, 1, 0);
	assert_false(status(dev) & IBF);
	send(dev, 0xf2);
	assert_int_equal(linux_flush(dev), 1);
	linux_command(dev, &ctr[1], 0x60, 1, 0);
	assert_int_equal(fake.ends, 0);

	/* machine_restart() with reboot=kbd */
	assert_false(status(dev) & IBF);
	command(dev, 0xfe);
	assert_int_equal(fake.end.kind, VM_END_RESET);
	assert_int_equal(dev->guest_errors, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(at_first_it_is_idle_unlocked_and_tested),
		TEST(tests_pass_but_there_is_no_auxiliary_interface),
		TEST(self_test_sets_the_system_flag),
		TEST(the_output_buffer_empties_once_and_reads_again),
		TEST(status_tells_which_port_was_written_last),
		TEST(the_keyboard_is_enabled_and_disabled),
		TEST(every_byte_of_the_internal_ram_holds_its_value),
		TEST(a_byte_for_nobody_is_answered_with_a_time_out),
		TEST(echoes_come_back_as_from_the_keyboard),
		TEST(the_output_port_keeps_a20),
		TEST(bit_0_of_the_output_port_low_resets),
		TEST(pulses_of_bit_0_reset_and_others_do_not),
		TEST(reset_needs_the_right_port),
		TEST(a_command_replaces_one_that_waits_for_its_data),
		TEST(unknown_commands_are_counted_and_answer_nothing),
		TEST(linux_probe_never_waits_and_finds_no_mouse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
