#include "trap.h"

#include "cpu.h"
#include "entry.h"
#include "lapic.h"
#include "pc.h"
#include "power.h"
#include "print.h"

/* SDM volume 3, 6.14.1 */
struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

enum { GATE_INTERRUPT = 0x8e }; /* present, ring 0, 64-bit interrupt gate */

static struct gate idt[TRAP_VECTORS];
static void (*handlers[TRAP_VECTORS])(void);

static const char *const exception_names[TRAP_EXCEPTIONS] = {
	"divide error",
	"debug",
	"NMI",
	"breakpoint",
	"overflow",
	"bound range",
	"invalid opcode",
	"no FPU",
	"double fault",
	"coprocessor overrun",
	"invalid TSS",
	"segment not present",
	"stack fault",
	"general protection",
	"page fault",
	"reserved",
	"x87 error",
	"alignment check",
	"machine check",
	"SIMD error",
	"virtualization",
	"control protection",
};

void trap_init_ap(void)
{
	const struct table_pointer ptr = {.limit = sizeof(idt) - 1, .base = (uintptr_t)idt};

	__asm__ volatile("lidt %0" : : "m"(ptr), "m"(idt));
}

void trap_init(void)
{
	for (unsigned v = 0; v < TRAP_VECTORS; v++) {
		const uint64_t stub = (uintptr_t)trap_stubs + v * (uint64_t)TRAP_STUB_BYTES;

		idt[v] = (struct gate){
			.offset_low = (uint16_t)stub,
			.selector = CODE64_SELECTOR,
			.type = GATE_INTERRUPT,
			.offset_mid = (uint16_t)(stub >> 16),
			.offset_high = (uint32_t)(stub >> 32),
		};
	}
	trap_init_ap();
	out8(PC_PIC1_MASK, 0xff); /* firmware leaves the 8259s on vectors that are exceptions now */
	out8(PC_PIC2_MASK, 0xff);
}

void trap_set_handler(uint8_t vector, void (*handler)(void))
{
	handlers[vector] = handler;
}

static _Noreturn void trap_die(const struct trap_frame *f)
{
	const char *name = f->vector < TRAP_EXCEPTIONS ? exception_names[f->vector] : NULL;

	print("\nEXCEPTION %lu (%s), error 0x%lx, at 0x%lx, CR2 0x%lx\n"
	      "  rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n"
	      "  rsi %016lx  rdi %016lx  rbp %016lx  rsp %016lx\n"
	      "  r8  %016lx  r9  %016lx  r10 %016lx  r11 %016lx\n"
	      "  r12 %016lx  r13 %016lx  r14 %016lx  r15 %016lx\n"
	      "  cs  %04lx  ss %04lx  rflags %08lx  APIC ID %u\n",
	      f->vector, name ? name : "unexpected interrupt", f->error, f->rip, read_cr2(), f->rax,
	      f->rbx, f->rcx, f->rdx, f->rsi, f->rdi, f->rbp, f->rsp, f->r8, f->r9, f->r10, f->r11,
	      f->r12, f->r13, f->r14, f->r15, f->cs, f->ss, f->rflags, lapic_id());
	guest_exit(GUEST_EXIT_SOFTWARE);
}

void trap_dispatch(const struct trap_frame *frame)
{
	if (frame->vector == TRAP_SPURIOUS) /* takes no EOI: SDM volume 3, 10.9 */
		return;
	if (!handlers[frame->vector])
		trap_die(frame);
	handlers[frame->vector]();
	if (frame->vector >= TRAP_EXCEPTIONS)
		lapic_eoi();
}
