#include "rtc.h"

#include <string.h>

#include "cpu.h"

enum {
	READ_ATTEMPTS = 16,
	UIP_POLLS = 100000, /* an update takes 2 ms at most */
	HOUR_PM = 0x80,
};

uint8_t rtc_read(uint16_t port, enum rtc_reg reg)
{
	out8(port, (uint8_t)reg);
	return in8(port + 1);
}

void rtc_write(uint16_t port, enum rtc_reg reg, uint8_t val)
{
	out8(port, (uint8_t)reg);
	out8(port + 1, val);
}

unsigned rtc_decode(uint16_t port, uint8_t val)
{
	if (rtc_read(port, RTC_B) & RTC_B_BINARY)
		return val;
	return (val >> 4) * 10u + (val & 0xf);
}

uint8_t rtc_encode(uint16_t port, unsigned val)
{
	if (rtc_read(port, RTC_B) & RTC_B_BINARY)
		return (uint8_t)val;
	return (uint8_t)(val / 10 << 4 | val % 10);
}

static unsigned read_hour(uint16_t port)
{
	const uint8_t raw = rtc_read(port, RTC_HOURS);

	if (rtc_read(port, RTC_B) & RTC_B_24H)
		return rtc_decode(port, raw);
	return rtc_decode(port, raw & (uint8_t)~HOUR_PM) % 12 + (raw & HOUR_PM ? 12 : 0);
}

static unsigned read_number(uint16_t port, enum rtc_reg reg)
{
	return rtc_decode(port, rtc_read(port, reg));
}

static bool wait_for_no_update(uint16_t port)
{
	for (unsigned i = 0; i < UIP_POLLS; i++) {
		if (!(rtc_read(port, RTC_A) & RTC_A_UIP))
			return true;
		cpu_relax();
	}
	return false;
}

static bool read_once(uint16_t port, struct rtc_time *time)
{
	if (!wait_for_no_update(port))
		return false;
	*time = (struct rtc_time){
		.year = read_number(port, RTC_CENTURY) * 100 + read_number(port, RTC_YEAR),
		.month = read_number(port, RTC_MONTH),
		.day = read_number(port, RTC_DAY),
		.hour = read_hour(port),
		.minute = read_number(port, RTC_MINUTES),
		.second = read_number(port, RTC_SECONDS),
	};
	return true;
}

bool rtc_read_time(uint16_t port, struct rtc_time *ret)
{
	struct rtc_time first, second;

	for (unsigned i = 0; i < READ_ATTEMPTS; i++) {
		if (!read_once(port, &first) || !read_once(port, &second))
			return false;
		if (memcmp(&first, &second, sizeof(first)) == 0) {
			*ret = second;
			return true;
		}
	}
	return false;
}
