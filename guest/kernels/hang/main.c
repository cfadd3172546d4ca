/*
 * hang - never ends by itself: what --timeout, Ctrl-a x and SIGTERM are tried on, and what the VMM makes of
 * CPUs that have halted.
 *
 *   how=hlt     interrupts on, HLT (default): the vCPU sleeps in KVM
 *   how=loop    interrupts off, a jump to itself in spin_forever(): the vCPU never exits by its own doing
 *   how=exits   reads an unclaimed port forever: the vCPU exits all the time
 *   how=halted  interrupts off, HLT: nothing wakes this CPU any more; others were not started
 *   how=all     the same on every CPU
 *   how=nmi     the same on the first CPU; another one sleeps for 3 s, with interrupts on, and wakes it by
 *               NMI, which ends the guest with code 0
 *   how=late    the same, but the NMI never comes: the other one halts with interrupts off, too
 */
#include "boot.h"
#include "cmdline.h"
#include "cpu.h"
#include "devtree.h"
#include "lapic.h"
#include "power.h"
#include "print.h"
#include "serial.h"
#include "smp.h"
#include "trap.h"

enum { UNCLAIMED_PORT = 0x0e00, NMI_VECTOR = 2, SLEEP_MS = 3000 };

enum how { HOW_HLT, HOW_LOOP, HOW_EXITS, HOW_HALTED, HOW_ALL, HOW_NMI, HOW_LATE };

static unsigned first_apic_id;
static enum how how;

static bool never(void)
{
	return false;
}

static void another_cpu(unsigned cpu)
{
	if (cpu != 1 || how == HOW_ALL)
		return; /* and halts */
	lapic_wait(never, SLEEP_MS);
	if (how == HOW_NMI)
		lapic_send_nmi(first_apic_id);
}

static void woken(void)
{
	print("hang: woken\n");
	guest_exit(GUEST_EXIT_OK);
}

static void start_others(void)
{
	if (!devtree_init())
		guest_panic("no device tree");
	lapic_init();
	first_apic_id = lapic_id();
	trap_set_handler(NMI_VECTOR, woken);
	smp_start(smp_cpus(), another_cpu);
}

/* A report of the hang has to name this function. */
__attribute__((noinline)) static void spin_forever(void)
{
	__asm__ volatile("cli\n"
			 "1: jmp 1b");
}

void kernel_main(void)
{
	static const char *const ways[] = {"hlt", "loop", "exits", "halted",
					   "all", "nmi",  "late",  NULL};

	how = (enum how)cmdline_choice("how", ways);
	if (how >= HOW_ALL)
		start_others();
	print("hang: %s\n", ways[how]);
	serial_flush();
	if (how >= HOW_HALTED)
		cpu_halt();
	for (;;) {
		if (how == HOW_EXITS)
			in8(UNCLAIMED_PORT);
		else if (how == HOW_LOOP)
			spin_forever();
		else
			irq_wait();
	}
}
