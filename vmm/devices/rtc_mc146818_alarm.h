/*
 * rtc_mc146818_alarm.h - when an MC146818's alarm matches next (data sheet, "alarm"). Pure.
 *
 * The guest chooses the alarm and the device's lock is held: the number of steps must not depend on either.
 */
#ifndef VMM_DEVICES_RTC_MC146818_ALARM_H
#define VMM_DEVICES_RTC_MC146818_ALARM_H

#include <assert.h>
#include <stdint.h>

enum {
	RTC_MINUTE_S = 60,
	RTC_HOUR_S = 3600,
	RTC_DAY_S = 86400,
};

/* A field that matches any time, or none; all others match the number they are. */
enum { RTC_ALARM_ANY = -1, RTC_ALARM_NEVER = -2 };

struct rtc_alarm {
	int hour, minute, second; /* 0 to 23, 0 to 59, 0 to 59, or one of the two above */
};

static inline int32_t rtc_until(int32_t at, int32_t target, int32_t period)
{
	return (target - at % period + period) % period;
}

/*
 * Seconds from a second of the day, 0 to 86,399, to the next match, 1 to 86,400; INT64_MAX when nothing
 * matches. Each pass jumps to the first second that the field allows. A jump for seconds may leave the minute, one for
 * minutes the hour. A jump for hours or minutes lands on their first second, and none that follows leaves it.
 * So the longest way is seconds, minutes, hours, minutes, seconds.
 */
static inline int64_t rtc_alarm_delay_s(const struct rtc_alarm *alarm, unsigned from)
{
	enum { JUMPS_MAX = 5 };
	int32_t at = (int32_t)from + 1;

	if (alarm->hour == RTC_ALARM_NEVER || alarm->minute == RTC_ALARM_NEVER ||
	    alarm->second == RTC_ALARM_NEVER)
		return INT64_MAX;
	for (unsigned jumps = 0;; jumps++) {
		if (alarm->hour != RTC_ALARM_ANY && alarm->hour != at / RTC_HOUR_S % 24)
			at += rtc_until(at, alarm->hour * RTC_HOUR_S, RTC_DAY_S);
		else if (alarm->minute != RTC_ALARM_ANY && alarm->minute != at / RTC_MINUTE_S % 60)
			at += rtc_until(at, alarm->minute * RTC_MINUTE_S, RTC_HOUR_S);
		else if (alarm->second != RTC_ALARM_ANY && alarm->second != at % RTC_MINUTE_S)
			at += rtc_until(at, alarm->second, RTC_MINUTE_S);
		else
			return at - (int64_t)from;
		assert(jumps < JUMPS_MAX);
	}
}

#endif
