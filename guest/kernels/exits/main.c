/*
 * exits - ends the VM in the way the command line names, after one line that says so:
 *
 *   exit=N [via=PORT]   exit port with code N (default 0xf4; via=0x501 is the other common one)
 *   reset=cf9|i8042     reset register, keyboard controller
 *   panic               pvpanic: panicked
 *   poweroff            pvpanic: orderly shutdown
 *   trap=ud|de|pf|gp    an exception that nobody expects: register dump, exit code 70
 *
 * Still running afterwards, it waits a second for the VM to stop, says so, and exits with 1.
 */
#include "boot.h"
#include "cmdline.h"
#include "cpu.h"
#include "lapic.h"
#include "pc.h"
#include "power.h"
#include "print.h"
#include "serial.h"

enum { GRACE_MS = 1000 };

static void announce(const char *what)
{
	print("exits: %s\n", what);
	serial_flush();
}

static void end_by_reset(void)
{
	static const char *const ways[] = {"cf9", "i8042", NULL};

	if (cmdline_choice("reset", ways) == 0) {
		announce("reset by port 0xcf9");
		out8(PC_RESET_PORT, RESET_CF9_HARD);
		out8(PC_RESET_PORT, RESET_CF9_HARD | RESET_CF9_NOW);
	} else {
		announce("reset by the i8042");
		out8(PC_I8042_COMMAND, I8042_CMD_PULSE_RESET);
	}
}

static void end_by_trap(void)
{
	static const char *const ways[] = {"ud", "de", "pf", "gp", NULL};
	const unsigned way = cmdline_choice("trap", ways);
	uint32_t low = 1, high = 0;

	announce("exception");
	switch (way) {
	case 0: __asm__ volatile("ud2"); break;
	case 1: __asm__ volatile("divl %2" : "+a"(low), "+d"(high) : "r"(0) : "cc"); break;
	case 2: mmio_read8(UINT64_C(0x7fffdeadb000)); break; /* above the 4 GiB that are mapped */
	default: mmio_read8(UINT64_C(1) << 63); break;       /* not canonical */
	}
}

void kernel_main(void)
{
	size_t len;

	if (cmdline_value("exit", &len)) {
		const uint32_t code = (uint32_t)cmdline_u64("exit", 0, UINT32_MAX);
		const uint16_t port = (uint16_t)cmdline_u64("via", PC_EXIT_PORT, UINT16_MAX);

		announce("exit port");
		exit_port_write(port, code);
	} else if (cmdline_value("reset", &len)) {
		end_by_reset();
	} else if (cmdline_has("panic")) {
		announce("panic");
		out8(PC_PVPANIC_PORT, PVPANIC_PANICKED);
	} else if (cmdline_has("poweroff")) {
		announce("power off");
		out8(PC_PVPANIC_PORT, PVPANIC_SHUTDOWN);
	} else if (cmdline_value("trap", &len)) {
		end_by_trap();
	} else {
		guest_usage("exits: exit=, reset=, panic, poweroff or trap=");
	}
	lapic_timer_start(GRACE_MS, false);
	while (!lapic_timer_expired())
		cpu_relax();
	print("exits: still running\n");
	guest_exit(GUEST_EXIT_FAILED);
}
