#include "devices/rtc_mc146818_calendar.h"

#include <stdbool.h>

#include "devices/rtc_mc146818_alarm.h"

enum {
	CALENDAR_YEARS = 10000,
	CALENDAR_DAYS = CALENDAR_YEARS / 400 * 146097, /* a whole number of weeks, too */
};

static bool is_leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

unsigned rtc_days_in_month(unsigned year, unsigned month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year) ? 1U : 0U);
}

/* From 1 January of year 0 to 1 January of that year. */
static int64_t days_to_year(unsigned year)
{
	if (year == 0)
		return 0;
	return 365 * (int64_t)year + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1;
}

int64_t rtc_days_from_time(const struct rtc_time *t)
{
	int64_t days = days_to_year(t->year) + t->date - 1;

	for (unsigned month = 1; month < t->month; month++)
		days += rtc_days_in_month(t->year, month);
	return days;
}

int64_t rtc_floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int64_t rtc_floor_mod(int64_t a, int64_t b)
{
	return a - rtc_floor_div(a, b) * b;
}

struct rtc_time rtc_time_from_days(int64_t days, unsigned second_of_day)
{
	struct rtc_time t = {
		.month = 1,
		.hour = second_of_day / RTC_HOUR_S,
		.minute = second_of_day % RTC_HOUR_S / RTC_MINUTE_S,
		.second = second_of_day % RTC_MINUTE_S,
	};
	int64_t rest = rtc_floor_mod(days, CALENDAR_DAYS);

	t.year = (unsigned)(rest * 400 / 146097); /* the year, or one off */
	while (days_to_year(t.year + 1) <= rest)
		t.year++;
	while (days_to_year(t.year) > rest)
		t.year--;
	rest -= days_to_year(t.year);
	for (; rest >= rtc_days_in_month(t.year, t.month); t.month++)
		rest -= rtc_days_in_month(t.year, t.month);
	t.date = (unsigned)rest + 1;
	return t;
}

unsigned rtc_second_of_day(const struct rtc_time *t)
{
	return t->hour * RTC_HOUR_S + t->minute * RTC_MINUTE_S + t->second;
}
