#include "power.h"

#include <stdarg.h>

#include "cmdline.h"
#include "cpu.h"
#include "pc.h"
#include "print.h"
#include "rtc.h"
#include "serial.h"

/* A byte of CMOS RAM, which a reset leaves alone. */
enum { RTC_REBOOTS = 0x40 };

void exit_port_write(uint16_t port, uint32_t code)
{
	if (code <= UINT8_MAX)
		out8(port, (uint8_t)code);
	else
		out32(port, code);
}

/* By each of the ways in turn. */
static void reboot(unsigned n)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) no_idt;

	if (n % 3 == 0)
		out8(PC_RESET_PORT, RESET_CF9_HARD | RESET_CF9_NOW);
	else if (n % 3 == 1)
		out8(PC_I8042_COMMAND, I8042_CMD_PULSE_RESET);
	else
		__asm__ volatile("lidt %0\n"
				 "ud2"
				 :
				 : "m"(no_idt));
	cpu_halt();
}

void guest_exit(uint32_t code)
{
	const uint64_t wanted = cmdline_u64("reboots", 0, UINT8_MAX);

	serial_flush();
	if (code == GUEST_EXIT_OK && wanted) {
		const uint8_t n = rtc_read(PC_RTC_PORT, (enum rtc_reg)RTC_REBOOTS);

		if (n < wanted) {
			rtc_write(PC_RTC_PORT, (enum rtc_reg)RTC_REBOOTS, n + 1);
			reboot(n);
		}
	}
	exit_port_write(PC_EXIT_PORT, code);
	cpu_halt();
}

void guest_panic(const char *fmt, ...)
{
	va_list ap;

	print("PANIC: ");
	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
	print("\n");
	guest_exit(GUEST_EXIT_SOFTWARE);
}

void guest_usage(const char *fmt, ...)
{
	va_list ap;

	print("command line: ");
	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
	print("\n");
	guest_exit(GUEST_EXIT_USAGE);
}
