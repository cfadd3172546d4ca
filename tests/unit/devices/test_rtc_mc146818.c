/*
 * Unit tests of the MC146818: time, update cycle and RAM, with fake clocks. The calendar is held
 * against libc's. test_rtc_mc146818_irq.c has flags and interrupts.
 */
#include "rtc_mc146818_rig.h"

#include <time.h>

enum { UIP_US = 2228 };

static void at_first_it_shows_the_hosts_time_as_firmware_would(void **state)
{
	assert_int_equal(rd(*state, A), 0x26);
	assert_int_equal(rd(*state, B), H24);
	assert_int_equal(rd(*state, C), 0);
	assert_int_equal(rd(*state, D), 0x80);
	assert_bcd(*state, 0x20240229, 0x235958, 5);
}

static void the_second_changes_with_the_hosts(void **state)
{
	fake_pass_ns(&fake, 750 * MS - 1);
	assert_int_equal(rd(*state, SEC), 0x58);
	fake_pass_ns(&fake, 1);
	assert_int_equal(rd(*state, SEC), 0x59);
	fake_pass_ns(&fake, NS_PER_S);
	assert_bcd(*state, 0x20240301, 0x000000, 6);
}

static unsigned bcd(struct device *dev, uint8_t reg)
{
	const uint8_t byte = rd(dev, reg);

	assert_true((byte & 15) <= 9 && byte >> 4 <= 9);
	return (byte >> 4) * 10U + (byte & 15U);
}

/* From any time the host can have to any other, forward or back, in one step. */
static void dates_agree_with_libc(void **state)
{
	struct device *dev = *state;

	for (int i = 0; i < 20000; i++) {
		const time_t t = (time_t)(rnd() % 18000000000) - 9000000000;
		struct tm tm;

		fake.realtime_ns = (int64_t)t * NS_PER_S + (int64_t)(rnd() % NS_PER_S);
		assert_non_null(gmtime_r(&t, &tm));
		assert_int_equal(bcd(dev, CENTURY) * 100 + bcd(dev, YEAR), tm.tm_year + 1900);
		assert_int_equal(bcd(dev, MON), tm.tm_mon + 1);
		assert_int_equal(bcd(dev, DATE), tm.tm_mday);
		assert_int_equal(bcd(dev, HOUR), tm.tm_hour);
		assert_int_equal(bcd(dev, MIN), tm.tm_min);
		assert_int_equal(bcd(dev, SEC), tm.tm_sec);
		assert_int_equal(rd(dev, WDAY), tm.tm_wday + 1);
	}
	assert_int_equal(dev->guest_errors, 0);
}

static int setup_before_1970(void **state)
{
	return setup_at(state, -1);
}

static void a_device_made_before_1970_shows_the_right_day(void **state)
{
	assert_bcd(*state, 0x19691231, 0x235959, 4);
}

static void centuries_leap_years_and_the_last_year_roll_over(void **state)
{
	static const struct {
		uint64_t before, after;
	} roll[] = {
		{0x19991231, 0x20000101}, {0x20000228, 0x20000229}, {0x20230228, 0x20230301},
		{0x20240229, 0x20240301}, {0x21000228, 0x21000301}, {0x20991231, 0x21000101},
		{0x24000228, 0x24000229}, {0x99991231, 0x00000101}, {0x00000228, 0x00000229},
	};

	for (size_t i = 0; i < sizeof(roll) / sizeof(roll[0]); i++) {
		set_time(*state, roll[i].before, 0x235959);
		wr(*state, WDAY, 7);
		fake_pass_ns(&fake, NS_PER_S);
		assert_bcd(*state, roll[i].after, 0x000000, 1);
		fake_pass_ns(&fake, -NS_PER_S); /* the host's clock is set back */
		assert_bcd(*state, roll[i].before, 0x235959, 7);
	}
}

static void binary_mode_counts_in_binary(void **state)
{
	wr(*state, B, SET | DM | H24);
	set_time(*state, 0x14173b1f, 0x173b3b); /* 2023-59-31: the month is out of range */
	wr(*state, MON, 12);
	wr(*state, B, DM | H24);
	fake_pass_ns(&fake, NS_PER_S);
	assert_bcd(*state, 0x14180101, 0x000000, 6);
	fake_pass_ns(&fake, 45 * NS_PER_S);
	assert_int_equal(rd(*state, SEC), 45);
}

static void twelve_hours_with_pm_in_bit_7(void **state)
{
	static const uint8_t hour_bcd[] = {0x12, 0x01, 0x11, 0x92, 0x81, 0x91, 0x12};
	static const int64_t hours_between[] = {1, 10, 1, 1, 10, 1};

	wr(*state, B, SET);
	set_time(*state, 0x20240101, 0x120000); /* 12 AM is midnight */
	wr(*state, B, 0);
	for (size_t i = 0; i < sizeof(hours_between) / sizeof(hours_between[0]); i++) {
		assert_int_equal(rd(*state, HOUR), hour_bcd[i]);
		fake_pass_ns(&fake, hours_between[i] * 3600 * NS_PER_S);
	}
	assert_int_equal(rd(*state, HOUR), 0x12);
	assert_int_equal(rd(*state, DATE), 0x02);
	wr(*state, B, DM);
	wr(*state, HOUR, 11 | PM);
	fake_pass_ns(&fake, 3600 * NS_PER_S);
	assert_int_equal(rd(*state, HOUR), 12);
}

static void set_holds_the_registers_and_time_runs_from_what_was_written(void **state)
{
	wr(*state, B, SET | H24);
	fake_pass_ns(&fake, 10 * NS_PER_S);
	assert_bcd(*state, 0x20240229, 0x235958, 5);
	set_time(*state, 0x19991231, 0x235957);
	fake_pass_ns(&fake, 3600 * NS_PER_S);
	assert_bcd(*state, 0x19991231, 0x235957, 5);
	wr(*state, B, H24);
	fake_pass_ns(&fake, 750 * MS - 1); /* the divider went on: seconds keep their place */
	assert_int_equal(rd(*state, SEC), 0x57);
	fake_pass_ns(&fake, 1);
	assert_int_equal(rd(*state, SEC), 0x58);
	fake_pass_ns(&fake, 2 * NS_PER_S);
	assert_bcd(*state, 0x20000101, 0x000000, 6);
}

static void a_date_written_piece_by_piece_is_not_bent_on_the_way(void **state)
{
	set_time(*state, 0x20230131, 0x120000);
	wr(*state, MON, 0x02); /* 31 February, for the time being */
	assert_int_equal(rd(*state, DATE), 0x31);
	wr(*state, MON, 0x03);
	fake_pass_ns(&fake, NS_PER_S);
	assert_bcd(*state, 0x20230331, 0x120001, 5);
}

static void registers_out_of_range_become_valid_at_the_next_update(void **state)
{
	struct device *dev = *state;

	set_time(dev, 0xffffffff, 0xffffff);
	wr(dev, WDAY, 0);
	assert_int_equal(rd(dev, SEC), 0xff); /* as written */
	assert_int_equal(dev->guest_errors, 0);
	fake_pass_ns(&fake, NS_PER_S);
	assert_bcd(dev, 0x00000101, 0x000000, 0); /* from 9999-12-31 23:59:59 */
	assert_int_equal(dev->guest_errors, 1);
	set_time(dev, 0x20230000, 0x000000);
	fake_pass_ns(&fake, NS_PER_S);
	assert_bcd(dev, 0x20230101, 0x000001, 0);
	assert_int_equal(dev->guest_errors, 2);
	fake_pass_ns(&fake, NS_PER_S);
	rd(dev, SEC);
	assert_int_equal(dev->guest_errors, 2);
}

static void hours_out_of_range_become_the_nearest(void **state)
{
	static const struct {
		uint8_t b, written, read;
	} hours[] = {
		{H24, 0x24, 0x23},         {H24, 0x99, 0x23}, {H24 | DM, 24, 23},
		{0, 0x00, 0x01},           {0, 0x13, 0x12},   {0, PM, PM | 1},
		{0, PM | 0x79, PM | 0x12}, {DM, 0, 1},        {DM, PM | 13, PM | 12},
	};
	struct device *dev = *state;

	for (size_t i = 0; i < sizeof(hours) / sizeof(hours[0]); i++) {
		const uint64_t errors = dev->guest_errors;

		wr(dev, B, SET | hours[i].b);
		set_time(dev, hours[i].b & DM ? 0x1418010a : 0x20240110, 0x000000);
		wr(dev, HOUR, hours[i].written);
		wr(dev, B, hours[i].b);
		fake_pass_ns(&fake, NS_PER_S);
		assert_int_equal(rd(dev, HOUR), hours[i].read);
		assert_int_equal(dev->guest_errors, errors + 1);
	}
}

static void the_first_update_comes_half_a_second_after_the_dividers_release(void **state)
{
	wr(*state, A, DV_RESET | 6);
	assert_int_equal(rd(*state, A), DV_RESET | 6);
	fake_pass_ns(&fake, 100 * NS_PER_S);
	assert_int_equal(rd(*state, SEC), 0x58);
	assert_int_equal(rd(*state, C), 0);
	wr(*state, A, DV_RUN | 6);
	fake_pass_ns(&fake, 500 * MS - 1);
	assert_int_equal(rd(*state, SEC), 0x58);
	fake_pass_ns(&fake, 1);
	assert_int_equal(rd(*state, SEC), 0x59);
	fake_pass_ns(&fake, NS_PER_S);
	assert_bcd(*state, 0x20240301, 0x000000, 6);
}

/* The order of Linux's mc146818_set_time(): SET, divider off, registers, SET off, divider on. */
static void linux_sets_the_time_to_the_half_second(void **state)
{
	const uint8_t b = rd(*state, B), a = rd(*state, A);

	wr(*state, B, b | SET);
	wr(*state, A, a | DV_RESET);
	fake_pass_ns(&fake, 77 * MS);
	set_time(*state, 0x20301231, 0x235959);
	wr(*state, B, b);
	fake_pass_ns(&fake, 5 * NS_PER_S);
	wr(*state, A, a);
	fake_pass_ns(&fake, 500 * MS - 1);
	assert_int_equal(rd(*state, SEC), 0x59);
	fake_pass_ns(&fake, 1);
	assert_bcd(*state, 0x20310101, 0x000000, 6);
}

static void uip_is_up_before_each_update_and_down_at_it(void **state)
{
	fake_pass_ns(&fake, 750 * MS - UIP_US * US - 1);
	assert_int_equal(rd(*state, A), 0x26);
	fake_pass_ns(&fake, 1);
	assert_int_equal(rd(*state, A), UIP | 0x26);
	fake_pass_ns(&fake, UIP_US * US - 1);
	assert_int_equal(rd(*state, A), UIP | 0x26);
	assert_int_equal(rd(*state, SEC), 0x58);
	fake_pass_ns(&fake, 1);
	assert_int_equal(rd(*state, A), 0x26);
	assert_int_equal(rd(*state, SEC), 0x59);
}

static void uip_stays_down_when_nothing_updates(void **state)
{
	fake_pass_ns(&fake, 750 * MS - 1);
	wr(*state, B, SET | H24);
	assert_int_equal(rd(*state, A), 0x26);
	wr(*state, B, H24);
	assert_int_equal(rd(*state, A), UIP | 0x26);
	wr(*state, A, DV_RESET);
	assert_int_equal(rd(*state, A), DV_RESET);
	wr(*state, A, UIP | DV_RUN | 6); /* UIP cannot be written */
	assert_int_equal(rd(*state, A), 0x26);
}

/* A guest that saw UIP = 0 has 244 us by the data sheet: seven reads 30 us apart. */
static void what_is_read_after_uip_was_down_is_one_time(void **state)
{
	static const uint8_t reg[] = {SEC, MIN, HOUR, DATE, MON, YEAR, CENTURY};
	static const uint8_t before[] = {0x59, 0x59, 0x23, 0x31, 0x12, 0x99, 0x19};
	static const uint8_t after[] = {0x00, 0x00, 0x00, 0x01, 0x01, 0x00, 0x20};
	unsigned seen[2] = {0};

	for (int64_t at_us = 745000; at_us < 755000; at_us += 11) {
		fake.realtime_ns = START_S * NS_PER_S + 250 * MS;
		set_time(*state, 0x19991231, 0x235959);
		fake.realtime_ns += at_us * US;
		if (rd(*state, A) & UIP)
			continue;
		for (size_t i = 0, late = 0; i < sizeof(reg); i++) {
			const uint8_t byte = rd(*state, reg[i]);

			if (i == 0)
				late = byte == after[0];
			assert_int_equal(byte, late ? after[i] : before[i]);
			seen[late] += i == 0;
			fake.realtime_ns += 30 * US;
		}
	}
	assert_true(seen[0] > 100 && seen[1] > 100);
}

static void everything_else_is_ram(void **state)
{
	unsigned n = 0;

	for (uint8_t reg = 0x0e; reg < 0x80; reg++) {
		if (reg == CENTURY)
			continue;
		assert_int_equal(rd(*state, reg), 0);
		wr(*state, reg, (uint8_t)(reg ^ 0xa5));
		n++;
	}
	assert_int_equal(n, 113);
	fake_pass_ns(&fake, 86400 * NS_PER_S);
	for (uint8_t reg = 0x0e; reg < 0x80; reg++)
		assert_int_equal(rd(*state, reg), reg == CENTURY ? 0x20 : reg ^ 0xa5);
}

static void the_index_reads_back_with_the_nmi_mask(void **state)
{
	fake_write(*state, 0, INDEX, 1, 0x80 | MIN);
	assert_int_equal(fake_read(*state, 0, INDEX, 1), 0x80 | MIN);
	assert_int_equal(fake_read(*state, 0, DATA, 1), 0x59);
}

/* KVM may collect these writes: only the next access to DATA shows one. */
static void writing_the_index_does_nothing_by_itself(void **state)
{
	struct device *dev = *state;
	unsigned arms, irq_sets;

	assert_int_equal(dev->cls->coalesce_len, 1);
	set_alarm(dev, 0x23, 0x59, 0x59);
	wr(dev, B, PIE | AIE | UIE | H24);
	pass_ns(dev, NS_PER_S);
	assert_true(fake.irq_level);
	arms = fake.arms;
	irq_sets = fake.irq_sets;
	for (unsigned i = 0; i < 256; i++)
		fake_write(dev, 0, INDEX, 1, i);
	assert_int_equal(fake.arms, arms);
	assert_int_equal(fake.irq_sets, irq_sets);
	assert_int_equal(dev->guest_errors, 0);
	assert_int_equal(rd(dev, C), IRQF | PF | AF | UF);
}

static void guest_mistakes_are_counted_and_change_nothing(void **state)
{
	struct device *dev = *state;

	wr(dev, C, 0xff);
	wr(dev, D, 0x00);
	assert_int_equal(dev->guest_errors, 2);
	assert_int_equal(rd(dev, C), 0);
	assert_int_equal(rd(dev, D), 0x80);
	fake_write(dev, 0, 2, 1, 0xff);
	assert_int_equal(fake_read(dev, 0, 2, 1), 0);
	assert_int_equal(dev->guest_errors, 4);
}

static void other_crystals_are_counted_and_the_clock_runs_on(void **state)
{
	struct device *dev = *state;

	for (uint8_t dv = 0; dv < 6; dv++)
		wr(dev, A, (uint8_t)(dv << 4 | 6));
	assert_int_equal(dev->guest_errors, 5); /* all but 010 */
	fake_pass_ns(&fake, 750 * MS);
	assert_int_equal(rd(dev, SEC), 0x59);
	wr(dev, A, 0x60);
	wr(dev, A, 0x70);
	assert_int_equal(dev->guest_errors, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(at_first_it_shows_the_hosts_time_as_firmware_would),
		TEST(the_second_changes_with_the_hosts),
		TEST(dates_agree_with_libc),
		cmocka_unit_test_setup_teardown(a_device_made_before_1970_shows_the_right_day,
						setup_before_1970, fake_teardown),
		TEST(centuries_leap_years_and_the_last_year_roll_over),
		TEST(binary_mode_counts_in_binary),
		TEST(twelve_hours_with_pm_in_bit_7),
		TEST(set_holds_the_registers_and_time_runs_from_what_was_written),
		TEST(a_date_written_piece_by_piece_is_not_bent_on_the_way),
		TEST(registers_out_of_range_become_valid_at_the_next_update),
		TEST(hours_out_of_range_become_the_nearest),
		TEST(the_first_update_comes_half_a_second_after_the_dividers_release),
		TEST(linux_sets_the_time_to_the_half_second),
		TEST(uip_is_up_before_each_update_and_down_at_it),
		TEST(uip_stays_down_when_nothing_updates),
		TEST(what_is_read_after_uip_was_down_is_one_time),
		TEST(everything_else_is_ram),
		TEST(the_index_reads_back_with_the_nmi_mask),
		TEST(writing_the_index_does_nothing_by_itself),
		TEST(guest_mistakes_are_counted_and_change_nothing),
		TEST(other_crystals_are_counted_and_the_clock_runs_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
