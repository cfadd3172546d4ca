/*
 * triple - a triple fault: an exception that no handler can be found for, nor for the faults that
 * follow from that (SDM volume 3, 6.15, interrupt 8).
 *
 *   cause=ud|pf   what starts it: an invalid opcode (default), or a page that is not mapped
 */
#include "boot.h"
#include "cmdline.h"
#include "cpu.h"
#include "power.h"
#include "print.h"
#include "serial.h"

void kernel_main(void)
{
	static const char *const causes[] = {"ud", "pf", NULL};
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) no_idt = {0, 0};
	const unsigned cause = cmdline_choice("cause", causes);

	print("triple: triple fault\n");
	serial_flush();
	__asm__ volatile("lidt %0" : : "m"(no_idt));
	if (cause == 0)
		__asm__ volatile("ud2");
	else
		mmio_read8(UINT64_C(0x7fffdeadb000)); /* above the 4 GiB that are mapped */
	print("triple: still running\n");
	guest_exit(GUEST_EXIT_FAILED);
}
