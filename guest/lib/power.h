/* power.h - how a kernel ends the VM. */
#ifndef GUEST_POWER_H
#define GUEST_POWER_H

#include <stdint.h>

/*
 * Exit codes of the library itself, besides a kernel's own (names and numbers of
 * sysexits.h).
 */
enum {
	GUEST_EXIT_OK = 0,
	GUEST_EXIT_FAILED = 1,    /* a check failed */
	GUEST_EXIT_USAGE = 64,    /* the command line makes no sense */
	GUEST_EXIT_SOFTWARE = 70, /* an exception, or a state the kernel did not expect */
};

/*
 * Writes code to an exit port: one byte when it fits, else four. Returns, to the caller's surprise,
 * when nobody listens.
 */
void exit_port_write(uint16_t port, uint32_t code);

/*
 * Waits until all output is out, writes code to the PC's exit port; halts when that returns. With reboots=N on the
 * command line, success resets the machine instead, so often: CMOS RAM counts.
 */
_Noreturn void guest_exit(uint32_t code);

/* Print the message and exit with GUEST_EXIT_SOFTWARE or GUEST_EXIT_USAGE. */
void guest_panic(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void guest_usage(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
