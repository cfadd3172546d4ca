/*
 * Unit tests of the MC146818: flags, interrupts and the timer, with fake clocks. Alarms are held
 * against looking at every second.
 */
#include "rtc_mc146818_rig.h"

/* Table 5 of the data sheet, for 32.768 kHz; ns rounded up. */
static const int64_t period_ns[] = {
	0,       3906250, 7812500,  122071,   244141,   488282,    976563,    1953125,
	3906250, 7812500, 15625000, 31250000, 62500000, 125000000, 250000000, 500000000,
};

static void periodic_flag_comes_at_the_rate_of_register_a(void **state)
{
	for (uint8_t rs = 1; rs < 16; rs++) {
		wr(*state, A, DV_RESET);
		wr(*state, A, DV_RUN | rs); /* periods count from here */
		rd(*state, C);
		fake_pass_ns(&fake, period_ns[rs] - 1);
		assert_int_equal(rd(*state, C) & PF, 0);
		fake_pass_ns(&fake, 1);
		assert_int_equal(rd(*state, C) & PF, PF);
		assert_int_equal(rd(*state, C) & PF, 0);
	}
	wr(*state, A, DV_RUN);
	fake_pass_ns(&fake, NS_PER_S);
	assert_int_equal(rd(*state, C) & PF, 0);
}

static void a_new_rate_owes_no_periods_of_the_old(void **state)
{
	wr(*state, A, DV_RESET);
	wr(*state, A, DV_RUN | 15); /* 500 ms */
	rd(*state, C);
	fake_pass_ns(&fake, 400 * MS);
	wr(*state, A, DV_RUN | 3);
	assert_int_equal(rd(*state, C) & PF, 0);
	fake_pass_ns(&fake, period_ns[3]);
	assert_int_equal(rd(*state, C) & PF, PF);
	wr(*state, A, DV_RUN | 15); /* the divider goes on: 100 ms are left */
	fake_pass_ns(&fake, 99 * MS);
	assert_int_equal(rd(*state, C) & PF, 0);
	fake_pass_ns(&fake, 1 * MS);
	assert_int_equal(rd(*state, C) & PF, PF);
}

/* Over 100 s not one too many or too few. */
static void periodic_interrupts_are_exact_in_number(void **state)
{
	for (uint8_t rs = 6; rs < 16; rs++) {
		const int64_t hz = 32768 >> (rs - 1);
		int64_t n = 0;

		wr(*state, A, DV_RESET);
		wr(*state, A, DV_RUN | rs);
		wr(*state, B, PIE | H24);
		rd(*state, C);
		for (const int64_t end_ns = fake.monotonic_ns + 100 * NS_PER_S;
		     fake.deadline_ns <= end_ns; n++) {
			fake_pass_ns(&fake, fake.deadline_ns - fake.monotonic_ns);
			expire(*state);
			assert_true(fake.irq_level);
			assert_int_equal(rd(*state, C) & (IRQF | PF), IRQF | PF);
			assert_false(fake.irq_level);
		}
		assert_int_equal(n, hz * 100);
	}
	assert_int_equal(fake.irq_redundant, 0);
}

static void flags_come_without_their_interrupt(void **state)
{
	set_alarm(*state, ANY, ANY, ANY);
	fake_pass_ns(&fake, NS_PER_S);
	assert_int_equal(rd(*state, C), PF | AF | UF);
	assert_int_equal(rd(*state, C), 0);
	assert_int_equal(fake.irq_sets, 0);
}

static void nothing_enabled_wakes_nobody(void **state)
{
	set_alarm(*state, ANY, ANY, ANY);
	for (uint8_t rs = 0; rs < 16; rs++) {
		wr(*state, A, DV_RUN | rs);
		fake_pass_ns(&fake, NS_PER_S);
		rd(*state, C);
		rd(*state, A);
	}
	assert_int_equal(fake.arms, 0);
}

static void disabling_the_last_interrupt_disarms_the_timer(void **state)
{
	wr(*state, B, UIE | H24);
	assert_int_equal(fake.deadline_ns, fake.monotonic_ns + 750 * MS);
	wr(*state, B, H24);
	assert_int_equal(fake.deadline_ns, INT64_MAX);
	wr(*state, B, PIE | H24);
	assert_true(fake.deadline_ns != INT64_MAX);
	wr(*state, A, DV_RUN);
	assert_int_equal(fake.deadline_ns, INT64_MAX);
	wr(*state, A, DV_RUN | 6);
	assert_true(fake.deadline_ns != INT64_MAX);
	wr(*state, A, DV_RESET | 6);
	assert_int_equal(fake.deadline_ns, INT64_MAX);
}

static void the_interrupt_stays_up_until_register_c_is_read(void **state)
{
	set_alarm(*state, 0x12, 0x00, 0x00);
	wr(*state, B, UIE | H24);
	pass_ns(*state, 750 * MS - 1);
	assert_false(fake.irq_level);
	pass_ns(*state, 1);
	assert_true(fake.irq_level);
	pass_ns(*state, 5 * NS_PER_S);
	assert_true(fake.irq_level);
	assert_int_equal(fake.irq_sets, 1);
	assert_int_equal(rd(*state, C), IRQF | UF | PF);
	assert_false(fake.irq_level);
	assert_int_equal(fake.irq_sets, 2);
	pass_ns(*state, NS_PER_S);
	assert_true(fake.irq_level);
}

static void a_flag_that_is_up_interrupts_when_enabled(void **state)
{
	fake_pass_ns(&fake, NS_PER_S);
	wr(*state, B, UIE | H24);
	assert_true(fake.irq_level);
	wr(*state, B, H24);
	assert_false(fake.irq_level);
	wr(*state, B, UIE | H24);
	assert_true(fake.irq_level);
	assert_int_equal(rd(*state, C), IRQF | UF | PF);
}

/* The vCPU reads the clock before the event thread comes round to expire: one interrupt, not two. */
static void a_read_can_find_what_the_timer_was_armed_for(void **state)
{
	wr(*state, B, UIE | H24);
	fake_pass_ns(&fake, NS_PER_S);
	rd(*state, SEC);
	assert_true(fake.irq_level);
	expire(*state);
	assert_int_equal(fake.irq_sets, 1);
	assert_int_equal(fake.deadline_ns, INT64_MAX);
}

static void missed_periods_are_one_and_cost_one_wake_up(void **state)
{
	wr(*state, A, DV_RUN | 3); /* 8,192 Hz */
	wr(*state, B, PIE | H24);
	pass_ns(*state, 100 * NS_PER_S);
	assert_int_equal(fake.arms, 1);
	assert_int_equal(fake.irq_sets, 1);
	assert_int_equal(rd(*state, C) & (IRQF | PF), IRQF | PF);
	assert_int_equal(rd(*state, C) & (IRQF | PF), 0);
	assert_true(fake.deadline_ns > fake.monotonic_ns);
	assert_true(fake.deadline_ns <= fake.monotonic_ns + period_ns[3]);
}

static void a_guest_that_reads_c_is_not_woken_faster_than_the_rate(void **state)
{
	unsigned irqs = 0;

	wr(*state, A, DV_RUN | 3);
	wr(*state, B, PIE | H24);
	for (int i = 0; i < 10000; i++) { /* 10 ms, a read each us */
		pass_ns(*state, US);
		irqs += (rd(*state, C) & IRQF) != 0;
	}
	assert_true(irqs >= 81 && irqs <= 82);
}

static void alarm_interrupts_at_its_time(void **state)
{
	set_alarm(*state, 0x00, 0x00, 0x05);
	wr(*state, B, AIE | H24);
	pass_ns(*state, 6750 * MS - 1);
	assert_int_equal(rd(*state, C) & AF, 0);
	assert_int_equal(fake.irq_sets, 0);
	pass_ns(*state, 1);
	assert_true(fake.irq_level);
	assert_int_equal(rd(*state, C) & (IRQF | AF), IRQF | AF);
	pass_ns(*state, 86400 * NS_PER_S - 1);
	assert_false(fake.irq_level);
	pass_ns(*state, 1);
	assert_true(fake.irq_level);
}

static bool byte_matches(uint8_t alarm, uint8_t now)
{
	return alarm >= ANY || alarm == now;
}

/* In all four formats: how long an alarm takes, by the timer and by looking at each second. */
static void alarms_agree_with_counting_seconds(void **state)
{
	struct device *dev = *state;

	for (int i = 0; i < 400; i++) {
		const uint8_t mode = (uint8_t)(rnd() % 4 * 2); /* DM, H24 */
		int64_t n = 0;
		uint8_t alarm[3];

		wr(dev, B, SET | mode);
		fake.realtime_ns = (START_S + (int64_t)(rnd() % 86400)) * NS_PER_S;
		set_time(dev, mode & DM ? 0x1418010a : 0x20240110, 0x010000); /* valid in each */
		wr(dev, B, mode);
		fake_pass_ns(&fake, (int64_t)(rnd() % 86400) * NS_PER_S);
		for (uint8_t k = 0; k < 3; k++) { /* any value, a time's own, or nonsense */
			alarm[k] = (uint8_t)(rnd() % 3 ? rd(dev, (uint8_t)(HOUR - 2 * k)) : ANY);
			if (rnd() % 16 == 0)
				alarm[k] = (uint8_t)rnd();
		}
		set_alarm(dev, alarm[0], alarm[1], alarm[2]);
		rd(dev, C);
		fake_pass_ns(&fake, (int64_t)(rnd() % 4000) * NS_PER_S);
		rd(dev, C);
		wr(dev, B, mode | AIE);
		fake.arms = 0;
		do {
			const int64_t before_ns = fake.realtime_ns;
			bool matches;

			pass_ns(dev, NS_PER_S);
			assert_int_equal(fake.realtime_ns, before_ns + NS_PER_S);
			matches = byte_matches(alarm[0], rd(dev, HOUR)) &&
				  byte_matches(alarm[1], rd(dev, MIN)) &&
				  byte_matches(alarm[2], rd(dev, SEC));
			assert_int_equal(fake.irq_level, matches);
			n++;
		} while (!fake.irq_level && n < 3700);
		assert_true(fake.arms <= (unsigned)n / 60 + 2);
		rd(dev, C);
	}
	assert_int_equal(dev->guest_errors, 0);
}

/* In one step of up to a day and a bit, against a search through its seconds. */
static void an_alarm_jumped_over_sets_its_flag(void **state)
{
	struct device *dev = *state;
	unsigned flagged = 0;

	wr(dev, B, DM | H24);
	for (int i = 0; i < 500; i++) {
		const unsigned from = (unsigned)(rnd() % 86400), n = 1 + (unsigned)(rnd() % 88000);
		const uint8_t hour = (uint8_t)(rnd() % 4 ? rnd() % 24 : ANY);
		const uint8_t min = (uint8_t)(rnd() % 4 ? rnd() % 60 : ANY);
		const uint8_t sec = (uint8_t)(rnd() % 4 ? rnd() % 61 : ANY); /* 60 never comes */
		bool expected = false;

		set_time(dev, 0x1418010a, from / 3600 << 16 | from / 60 % 60 << 8 | from % 60);
		set_alarm(dev, hour, min, sec);
		rd(dev, C);
		for (unsigned at = from + 1; at <= from + n && !expected; at++)
			expected = byte_matches(hour, (uint8_t)(at / 3600 % 24)) &&
				   byte_matches(min, (uint8_t)(at / 60 % 60)) &&
				   byte_matches(sec, (uint8_t)(at % 60));
		fake_pass_ns(&fake, n * NS_PER_S);
		assert_int_equal(rd(dev, C) & AF, expected ? AF : 0);
		flagged += expected;
	}
	assert_true(flagged >= 100 && flagged <= 400);
}

static void set_clears_uie_and_lets_periods_go_on(void **state)
{
	wr(*state, B, PIE | AIE | UIE | H24);
	wr(*state, B, SET | PIE | AIE | UIE | H24);
	assert_int_equal(rd(*state, B), SET | PIE | AIE | H24);
	set_alarm(*state, ANY, ANY, ANY);
	rd(*state, C);
	pass_ns(*state, 10 * NS_PER_S);
	assert_true(fake.irq_level);
	assert_int_equal(rd(*state, C), IRQF | PF);
	wr(*state, B, SET | AIE | H24); /* no update, no alarm: nothing to wake up for */
	assert_int_equal(fake.deadline_ns, INT64_MAX);
}

static void the_hosts_clock_set_back_moves_time_and_ends_no_update(void **state)
{
	wr(*state, B, UIE | H24);
	rd(*state, C);
	fake.realtime_ns -= 3600 * NS_PER_S;
	assert_bcd(*state, 0x20240229, 0x225958, 5);
	assert_false(fake.irq_level);
	pass_ns(*state, NS_PER_S);
	assert_true(fake.irq_level);
	assert_bcd(*state, 0x20240229, 0x225959, 5);
}

static void the_hosts_clock_set_far_forward_is_one_interrupt(void **state)
{
	wr(*state, B, UIE | H24);
	fake.realtime_ns += INT64_C(200) * 365 * 86400 * NS_PER_S;
	pass_ns(*state, 10 * NS_PER_S);
	assert_int_equal(fake.irq_sets, 1);
	assert_int_equal(fake.arms, 1);
	rd(*state, C);
	pass_ns(*state, NS_PER_S);
	assert_int_equal(fake.irq_sets, 3);
}

static void an_alarm_that_the_host_jumped_over_comes_within_a_minute(void **state)
{
	set_alarm(*state, 0x12, 0x00, 0x00);
	wr(*state, B, AIE | H24);
	pass_ns(*state, 10 * NS_PER_S);
	fake.realtime_ns += 72000 * NS_PER_S;
	pass_ns(*state, 60 * NS_PER_S);
	assert_true(fake.irq_level);
	assert_true(fake.arms <= 2);
}

static void the_hosts_clock_stepping_about_does_not_storm(void **state)
{
	set_alarm(*state, ANY, ANY, 0x30);
	wr(*state, B, AIE | UIE | H24);
	for (int i = 0; i < 1000; i++) {
		fake.realtime_ns += (int64_t)(rnd() % 4000) * MS - 2000 * MS;
		pass_ns(*state, 100 * MS);
		rd(*state, C);
	}
	assert_true(fake.arms <= 3000);
	assert_int_equal(fake.irq_redundant, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(periodic_flag_comes_at_the_rate_of_register_a),
		TEST(a_new_rate_owes_no_periods_of_the_old),
		TEST(periodic_interrupts_are_exact_in_number),
		TEST(flags_come_without_their_interrupt),
		TEST(nothing_enabled_wakes_nobody),
		TEST(disabling_the_last_interrupt_disarms_the_timer),
		TEST(the_interrupt_stays_up_until_register_c_is_read),
		TEST(a_flag_that_is_up_interrupts_when_enabled),
		TEST(a_read_can_find_what_the_timer_was_armed_for),
		TEST(missed_periods_are_one_and_cost_one_wake_up),
		TEST(a_guest_that_reads_c_is_not_woken_faster_than_the_rate),
		TEST(alarm_interrupts_at_its_time),
		TEST(alarms_agree_with_counting_seconds),
		TEST(an_alarm_jumped_over_sets_its_flag),
		TEST(set_clears_uie_and_lets_periods_go_on),
		TEST(the_hosts_clock_set_back_moves_time_and_ends_no_update),
		TEST(the_hosts_clock_set_far_forward_is_one_interrupt),
		TEST(an_alarm_that_the_host_jumped_over_comes_within_a_minute),
		TEST(the_hosts_clock_stepping_about_does_not_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
