/*
 * rtc_mc146818_time.h - time and alarm of an MC146818 as its registers hold them: BCD or binary, 12 or 24
 * hours (data sheet, "time, calendar, and alarm"). Pure. cmos: all CMOS_BYTES of it.
 */
#ifndef VMM_DEVICES_RTC_MC146818_TIME_H
#define VMM_DEVICES_RTC_MC146818_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/rtc_mc146818_alarm.h"
#include "devices/rtc_mc146818_calendar.h"

/* *bad is set when a register is out of range; its nearest valid value stands in for it. */
struct rtc_time rtc_time_get(const uint8_t *cmos, bool *bad);
void rtc_time_set(uint8_t *cmos, const struct rtc_time *t);

/* Moves the time registers, which say t, by n seconds, also backwards. */
void rtc_time_advance(uint8_t *cmos, const struct rtc_time *t, int64_t n);

struct rtc_alarm rtc_alarm_get(const uint8_t *cmos);

#endif
