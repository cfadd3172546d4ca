/*
 * rtc_mc146818_calendar.h - the Gregorian calendar over years 0 to 9999. Pure.
 *
 * Not libc's: timegm() and gmtime_r() take a process-wide lock and read the time zone
 * file the first time, both on the way of a guest's access.
 */
#ifndef VMM_DEVICES_RTC_MC146818_CALENDAR_H
#define VMM_DEVICES_RTC_MC146818_CALENDAR_H

#include <stdint.h>

/* The time in the registers, in plain numbers. */
struct rtc_time {
	unsigned year, month, date, hour, minute, second;
};

/* Both round towards minus infinity. */
int64_t rtc_floor_div(int64_t a, int64_t b);
int64_t rtc_floor_mod(int64_t a, int64_t b);

unsigned rtc_days_in_month(unsigned year, unsigned month); /* month: 1 to 12 */

/* From 1 January of year 0. */
int64_t rtc_days_from_time(const struct rtc_time *t);
unsigned rtc_second_of_day(const struct rtc_time *t);

/* days as rtc_days_from_time() counts them; they wrap around after year 9999. */
struct rtc_time rtc_time_from_days(int64_t days, unsigned second_of_day);

#endif
