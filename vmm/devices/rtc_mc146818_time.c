#include "devices/rtc_mc146818_time.h"

#include "devices/rtc_mc146818_regs.h"

static unsigned rtc_decode(const uint8_t *cmos, uint8_t byte)
{
	return cmos[REG_B] & B_DM ? byte : (byte >> 4) * 10U + (byte & 15U);
}

static uint8_t rtc_encode(const uint8_t *cmos, unsigned val)
{
	return (uint8_t)(cmos[REG_B] & B_DM ? val : val / 10 << 4 | val % 10);
}

/* The nearest valid value, and *bad set if that is another one. */
static unsigned rtc_clamp(unsigned val, unsigned min, unsigned max, bool *bad)
{
	if (val >= min && val <= max)
		return val;
	*bad = true;
	return val < min ? min : max;
}

/* 0 to 23. */
static unsigned rtc_decode_hour(const uint8_t *cmos, uint8_t byte, bool *bad)
{
	unsigned hour;

	if (cmos[REG_B] & B_24H)
		return rtc_clamp(rtc_decode(cmos, byte), 0, 23, bad);
	hour = rtc_clamp(rtc_decode(cmos, byte & (uint8_t)~HOUR_PM), 1, 12, bad);
	return hour % 12 + (byte & HOUR_PM ? 12 : 0);
}

static uint8_t rtc_encode_hour(const uint8_t *cmos, unsigned hour)
{
	if (cmos[REG_B] & B_24H)
		return rtc_encode(cmos, hour);
	return rtc_encode(cmos, (hour + 11) % 12 + 1) | (hour >= 12 ? HOUR_PM : 0);
}

struct rtc_time rtc_time_get(const uint8_t *cmos, bool *bad)
{
	struct rtc_time t = {
		.month = rtc_clamp(rtc_decode(cmos, cmos[MONTH]), 1, 12, bad),
		.hour = rtc_decode_hour(cmos, cmos[HOURS], bad),
		.minute = rtc_clamp(rtc_decode(cmos, cmos[MINUTES]), 0, 59, bad),
		.second = rtc_clamp(rtc_decode(cmos, cmos[SECONDS]), 0, 59, bad),
	};

	t.year = rtc_clamp(rtc_decode(cmos, cmos[CENTURY]), 0, 99, bad) * 100;
	t.year += rtc_clamp(rtc_decode(cmos, cmos[YEAR]), 0, 99, bad);
	t.date =
		rtc_clamp(rtc_decode(cmos, cmos[DATE]), 1, rtc_days_in_month(t.year, t.month), bad);
	return t;
}

void rtc_time_set(uint8_t *cmos, const struct rtc_time *t)
{
	cmos[SECONDS] = rtc_encode(cmos, t->second);
	cmos[MINUTES] = rtc_encode(cmos, t->minute);
	cmos[HOURS] = rtc_encode_hour(cmos, t->hour);
	cmos[DATE] = rtc_encode(cmos, t->date);
	cmos[MONTH] = rtc_encode(cmos, t->month);
	cmos[YEAR] = rtc_encode(cmos, t->year % 100);
	cmos[CENTURY] = rtc_encode(cmos, t->year / 100);
}

void rtc_time_advance(uint8_t *cmos, const struct rtc_time *t, int64_t n)
{
	const int64_t days = rtc_days_from_time(t), seconds = rtc_second_of_day(t) + n;
	const int64_t moved = rtc_floor_div(seconds, RTC_DAY_S);
	const struct rtc_time to =
		rtc_time_from_days(days + moved, (unsigned)rtc_floor_mod(seconds, RTC_DAY_S));
	const uint8_t weekday = cmos[DAY_OF_WEEK];

	if (weekday >= 1 && weekday <= 7)
		cmos[DAY_OF_WEEK] = (uint8_t)(rtc_floor_mod(weekday - 1 + moved, 7) + 1);
	rtc_time_set(cmos, &to);
}

/*
 * The chip compares bytes, so one that a time register never shows matches nothing, though it may
 * decode to a number: canonical is what val encodes to, and val may exceed max.
 */
static int rtc_alarm_field(uint8_t byte, unsigned val, unsigned max, uint8_t canonical)
{
	if ((byte & ALARM_ANY_BITS) == ALARM_ANY_BITS)
		return RTC_ALARM_ANY;
	return byte == canonical && val <= max ? (int)val : RTC_ALARM_NEVER;
}

static int rtc_alarm_hour(const uint8_t *cmos)
{
	const uint8_t byte = cmos[HOURS_ALARM];
	bool bad = false; /* then it is not canonical either */
	const unsigned val = rtc_decode_hour(cmos, byte, &bad);

	return rtc_alarm_field(byte, val, 23, rtc_encode_hour(cmos, val));
}

static int rtc_alarm_number(const uint8_t *cmos, unsigned reg)
{
	const uint8_t byte = cmos[reg];
	const unsigned val = rtc_decode(cmos, byte);

	return rtc_alarm_field(byte, val, 59, rtc_encode(cmos, val));
}

struct rtc_alarm rtc_alarm_get(const uint8_t *cmos)
{
	return (struct rtc_alarm){
		.hour = rtc_alarm_hour(cmos),
		.minute = rtc_alarm_number(cmos, MINUTES_ALARM),
		.second = rtc_alarm_number(cmos, SECONDS_ALARM),
	};
}
