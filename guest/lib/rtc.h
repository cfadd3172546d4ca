/* rtc.h - real-time clock MC146818 (Motorola data sheet; century by IBM's PS/2 convention). */
#ifndef GUEST_RTC_H
#define GUEST_RTC_H

#include <stdbool.h>
#include <stdint.h>

enum rtc_reg {
	RTC_SECONDS = 0x00,
	RTC_SECONDS_ALARM = 0x01,
	RTC_MINUTES = 0x02,
	RTC_MINUTES_ALARM = 0x03,
	RTC_HOURS = 0x04,
	RTC_HOURS_ALARM = 0x05,
	RTC_DAY_OF_WEEK = 0x06,
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	RTC_CENTURY = 0x32,
};

#define RTC_A_UIP    0x80 /* update in progress */
#define RTC_A_DV_ON  0x20 /* 32,768 Hz, divider running */
#define RTC_B_SET    0x80
#define RTC_B_PIE    0x40
#define RTC_B_AIE    0x20
#define RTC_B_UIE    0x10
#define RTC_B_BINARY 0x04
#define RTC_B_24H    0x02
#define RTC_C_IRQ    0x80
#define RTC_C_PF     0x40
#define RTC_C_AF     0x20
#define RTC_C_UF     0x10
#define RTC_D_VALID  0x80

#define RTC_ALARM_ANY 0xff /* an alarm register with bits 7 and 6 set matches everything */

struct rtc_time {
	unsigned year, month, day, hour, minute, second;
};

/* The chip is at port and port + 1. */
uint8_t rtc_read(uint16_t port, enum rtc_reg reg);
void rtc_write(uint16_t port, enum rtc_reg reg, uint8_t val);

/*
 * The date and time, which no update tears apart, whichever formats register B chooses. False when
 * the chip never leaves its update or two readings never agree.
 */
bool rtc_read_time(uint16_t port, struct rtc_time *ret);

/* A register's number, which is BCD unless register B says binary; and the other way. */
unsigned rtc_decode(uint16_t port, uint8_t val);
uint8_t rtc_encode(uint16_t port, unsigned val);

#endif
