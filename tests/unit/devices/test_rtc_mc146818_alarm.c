/*
 * Unit tests of the MC146818's alarm: when it matches next, compared with looking at every second; and which bytes
 * match at all, in each of the four formats.
 */
#include "rtc_mc146818_rig.h"

#include <string.h>

#include "base/macros.h"
#include "devices/rtc_mc146818_alarm.h"

enum { DAY = 86400 };

static bool field_matches(int field, unsigned val)
{
	return field == RTC_ALARM_ANY || field == (int)val;
}

static bool alarm_matches(const struct rtc_alarm *alarm, unsigned at)
{
	return field_matches(alarm->hour, at / 3600 % 24) &&
	       field_matches(alarm->minute, at / 60 % 60) && field_matches(alarm->second, at % 60);
}

static void assert_delay(const struct rtc_alarm *alarm, unsigned from, int64_t expected)
{
	if (rtc_alarm_delay_s(alarm, from) != expected)
		fail_msg("alarm %d:%d:%d from second %u", alarm->hour, alarm->minute, alarm->second,
			 from);
}

/* From each second of the day, by walking through two days backwards. */
static void assert_delays_of_a_day(const struct rtc_alarm *alarm)
{
	int64_t next = INT64_MAX;

	for (unsigned from = 2 * DAY; from-- > 0;) {
		if (alarm_matches(alarm, from + 1))
			next = from + 1;
		if (from < DAY)
			assert_delay(alarm, from, next - from);
	}
}

static void every_second_of_the_day_has_its_delay(void **state)
{
	static const int hours[] = {RTC_ALARM_ANY, 0, 11, 23};
	static const int sixtieths[] = {RTC_ALARM_ANY, 0, 29, 59};

	(void)state;
	for (size_t h = 0; h < ARRAY_SIZE(hours); h++)
		for (size_t m = 0; m < ARRAY_SIZE(sixtieths); m++)
			for (size_t s = 0; s < ARRAY_SIZE(sixtieths); s++)
				assert_delays_of_a_day(
					&(struct rtc_alarm){hours[h], sixtieths[m], sixtieths[s]});
}

/* The next match by trying hours, then the minutes of those that match, then seconds. */
static int64_t delay_by_search(const struct rtc_alarm *alarm, unsigned from)
{
	const unsigned start = from + 1;

	for (unsigned hour = start / 3600; hour <= start / 3600 + 24; hour++) {
		if (!field_matches(alarm->hour, hour % 24))
			continue;
		for (unsigned minute = hour * 60; minute < hour * 60 + 60; minute++) {
			if (minute < start / 60 || !field_matches(alarm->minute, minute % 60))
				continue;
			for (unsigned at = minute * 60; at < minute * 60 + 60; at++)
				if (at >= start && field_matches(alarm->second, at % 60))
					return (int64_t)at - from;
		}
	}
	return INT64_MAX;
}

/* Those with a field that never matches are among them. */
static void every_alarm_has_its_delay(void **state)
{
	static const unsigned from[] = {0,     59,    3540,  3599,  43199,
					43258, 82800, 86339, 86398, 86399};
	struct rtc_alarm a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(from); i++)
		for (a.hour = RTC_ALARM_NEVER; a.hour < 24; a.hour++)
			for (a.minute = RTC_ALARM_NEVER; a.minute < 60; a.minute++)
				for (a.second = RTC_ALARM_NEVER; a.second < 60; a.second++)
					assert_delay(&a, from[i], delay_by_search(&a, from[i]));
}

/* The bytes that the register shows in a whole round of steps. */
static void shown_bytes(struct device *dev, uint8_t reg, unsigned steps, int64_t step_s,
			bool ret[256])
{
	memset(ret, 0, 256 * sizeof(*ret));
	for (unsigned i = 0; i < steps; i++) {
		ret[rd(dev, reg)] = true;
		fake_pass_ns(&fake, step_s * NS_PER_S);
	}
}

/* Each byte as the alarm of reg, with the other two at "any": it matches when reg comes to show it. */
static void assert_bytes_of(struct device *dev, uint8_t mode, uint8_t reg, unsigned steps,
			    int64_t step_s)
{
	bool shown[256];

	shown_bytes(dev, reg, steps, step_s, shown);
	for (unsigned byte = 0; byte < 256; byte++) {
		const bool matches = byte >= ANY || shown[byte];

		set_alarm(dev, ANY, ANY, ANY);
		wr(dev, (uint8_t)(reg + 1), (uint8_t)byte);
		rd(dev, C);
		wr(dev, B, mode | AIE);
		assert_int_equal(fake.deadline_ns != INT64_MAX, matches);
		wr(dev, B, mode);
		fake_pass_ns(&fake, steps * step_s * NS_PER_S);
		assert_int_equal(rd(dev, C) & AF, matches ? AF : 0);
	}
}

static void a_byte_matches_when_the_clock_shows_it(void **state)
{
	struct device *dev = *state;

	for (uint8_t mode = 0; mode < 8; mode += 2) { /* DM, H24 */
		wr(dev, B, SET | mode);
		set_time(dev, mode & DM ? 0x1418010a : 0x20240110, 0x010000); /* valid in each */
		wr(dev, B, mode);
		assert_bytes_of(dev, mode, SEC, 60, 1);
		assert_bytes_of(dev, mode, MIN, 60, 60);
		assert_bytes_of(dev, mode, HOUR, 24, 3600);
	}
}

/* For registers that hold no time at all the nearest time counts, here 23:59:59, which is over at once. */
static void an_alarm_is_found_from_a_time_that_is_none(void **state)
{
	struct device *dev = *state;

	wr(dev, B, SET | DM | H24);
	set_time(dev, 0x14180101, 0xffffff);
	set_alarm(dev, 0, 0, 0);
	wr(dev, B, DM | H24 | AIE);
	fake_pass_ns(&fake, NS_PER_S);
	assert_int_equal(rd(dev, C) & AF, AF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_second_of_the_day_has_its_delay),
		TEST(every_alarm_has_its_delay),
		TEST(a_byte_matches_when_the_clock_shows_it),
		TEST(an_alarm_is_found_from_a_time_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
