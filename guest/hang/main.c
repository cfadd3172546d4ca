/*
 * hang - never ends: what --timeout, Ctrl-a x and SIGTERM are tried on.
 *
 *   how=hlt    interrupts off, HLT (default): the vCPU sleeps in KVM
 *   how=loop   a jump to itself: the vCPU never exits by its own doing
 *   how=exits  reads an unclaimed port for ever: the vCPU exits all the time
 */
#include "boot.h"
#include "cmdline.h"
#include "cpu.h"
#include "print.h"
#include "serial.h"

enum { UNCLAIMED_PORT = 0x0e00 };

void kernel_main(void)
{
	static const char *const ways[] = {"hlt", "loop", "exits", NULL};
	const unsigned how = cmdline_choice("how", ways);

	print("hang: %s\n", ways[how]);
	serial_flush();
	if (how == 0)
		cpu_halt();
	for (;;) {
		if (how == 2)
			in8(UNCLAIMED_PORT);
		else
			__asm__ volatile("1: jmp 1b");
	}
}
