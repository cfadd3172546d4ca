#include "power.h"

#include <stdarg.h>

#include "cpu.h"
#include "pc.h"
#include "print.h"
#include "serial.h"

void exit_port_write(uint16_t port, uint32_t code)
{
	if (code <= UINT8_MAX)
		out8(port, (uint8_t)code);
	else
		out32(port, code);
}

void guest_exit(uint32_t code)
{
	serial_flush();
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
