/* trap.h - exceptions and interrupts. Exceptions are fatal: register dump, GUEST_EXIT_SOFTWARE. */
#ifndef GUEST_TRAP_H
#define GUEST_TRAP_H

#include <stdint.h>

/* Interrupt vectors that kernels may use, each for what they like. */
enum {
	VECTOR_TIMER = 0x20,
	VECTOR_SERIAL = 0x24,
	VECTOR_RTC = 0x28,
	VECTOR_VIRTIO = 0x30,
	VECTOR_DOORBELL = 0x34,
};

/* As trap_entry.S pushes it, last pushed first. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Builds and loads the IDT, and masks the 8259s: interrupts come through the APICs. */
void trap_init(void);

/* Loads it on another CPU. */
void trap_init_ap(void);

/*
 * Runs handler for each interrupt of that vector, with interrupts off, and sends the EOI. One
 * without a handler ends the guest, as an exception does.
 */
void trap_set_handler(uint8_t vector, void (*handler)(void));

/* Called by trap_entry.S. */
void trap_dispatch(const struct trap_frame *frame);

/* The stubs of trap_entry.S, TRAP_STUB_BYTES apart. */
extern const uint8_t trap_stubs[];

#endif
