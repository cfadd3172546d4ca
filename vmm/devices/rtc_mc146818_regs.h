/* rtc_mc146818_regs.h - addresses and bits of the MC146818's registers (data sheet, "registers"). */
#ifndef VMM_DEVICES_RTC_MC146818_REGS_H
#define VMM_DEVICES_RTC_MC146818_REGS_H

#include "devices/classes.h"

enum { /* CMOS addresses */
       SECONDS = 0x00,
       SECONDS_ALARM = 0x01,
       MINUTES = 0x02,
       MINUTES_ALARM = 0x03,
       HOURS = 0x04,
       HOURS_ALARM = 0x05,
       DAY_OF_WEEK = 0x06, /* 1 is Sunday */
       DATE = 0x07,
       MONTH = 0x08,
       YEAR = 0x09,
       REG_A = 0x0a,
       REG_B = 0x0b,
       REG_C = 0x0c,
       REG_D = 0x0d,
       CENTURY = RTC_MC146818_CENTURY,
       CMOS_BYTES = 0x80,
       INDEX_MASK = CMOS_BYTES - 1, /* bit 7 of the index port masks NMI */
};

enum {
	A_UIP = 1 << 7, /* update in progress; computed, not stored */
	A_DV = 7 << 4,
	A_DV_32KHZ = 2 << 4,
	A_DV_RESET = 6 << 4, /* bit 4 does not matter */
	A_RS = 15 << 0,
	A_RS_1KHZ = 6,

	B_SET = 1 << 7,
	B_PIE = 1 << 6,
	B_AIE = 1 << 5,
	B_UIE = 1 << 4,
	B_SQWE = 1 << 3,
	B_DM = 1 << 2, /* binary; BCD when clear */
	B_24H = 1 << 1,

	C_IRQF = 1 << 7, /* PF, AF and UF stand where PIE, AIE and UIE do in register B */
	C_PF = B_PIE,
	C_AF = B_AIE,
	C_UF = B_UIE,

	D_VRT = 1 << 7,

	HOUR_PM = 1 << 7,
	ALARM_ANY_BITS = 3 << 6, /* 0xc0 to 0xff: any value matches */
};

#endif
