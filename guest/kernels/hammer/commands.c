#include "commands.h"

#include "accesses.h"
#include "cpu.h"
#include "lapic.h"
#include "power.h"
#include "string_io.h"

/* Of string I/O; what it holds is not looked at. */
static uint8_t elements[HAMMER_BLOCK * 4];

static void cpuid_block(void)
{
	for (unsigned i = 0; i < HAMMER_BLOCK; i++) {
		uint32_t leaf = 0, subleaf = 0;

		__asm__ volatile("cpuid" : "+a"(leaf), "+c"(subleaf) : : "ebx", "edx", "memory");
	}
}

/* HAMMER_BLOCK of what the command asks for. */
static void make_block(const struct hammer_command *c, const struct access *access)
{
	switch (c->kind) {
	case HAMMER_PIO:
	case HAMMER_MMIO: access->block(c->addr, c->value); break;
	case HAMMER_TWO_PORTS:
		for (unsigned i = 0; i < HAMMER_BLOCK / 2; i++) {
			out8((uint16_t)c->addr, 0);
			out8((uint16_t)c->value, 0);
		}
		break;
	case HAMMER_STRING:
		if (c->in)
			string_in((uint16_t)c->addr, c->width, elements, HAMMER_BLOCK, false);
		else
			string_out((uint16_t)c->addr, c->width, elements, HAMMER_BLOCK, false);
		break;
	case HAMMER_CPUID: cpuid_block(); break;
	case HAMMER_SLEEP:
		for (unsigned i = 0; i < HAMMER_BLOCK; i++)
			lapic_sleep_ns((uint32_t)c->value);
		break;
	default: guest_panic("hammer: command %u is not known", c->kind);
	}
}

void commands_run(struct hammer_cpu *cpu)
{
	for (;;) {
		const struct access *access;
		struct hammer_command c;

		out8(HAMMER_NEXT_PORT, 0);
		c = cpu->command;
		if (c.kind == HAMMER_END)
			return;
		access = access_of(c.kind == HAMMER_MMIO, c.in, c.width ? c.width : 1);
		if (c.kind == HAMMER_SLEEP)
			lapic_init(); /* in a copy of the VM that started this CPU it is off */
		out8(HAMMER_START_PORT, 0);
		for (uint32_t i = 0; i < c.blocks; i++)
			make_block(&c, access);
		cpu->count += (uint64_t)c.blocks * HAMMER_BLOCK;
	}
}
