#include "commands.h"

#include "access.h"
#include "accesses.h"
#include "cpu.h"
#include "ioapic.h"
#include "lapic.h"
#include "pc.h"
#include "power.h"
#include "string_io.h"
#include "trap.h"

/* Of string I/O; what it holds is not looked at. */
static uint8_t elements[HAMMER_BLOCK * 4];

static struct hammer_ctl *doorbell_ctl; /* for the interrupt's handler */
static bool is_amd;

static void cpuid_once(void)
{
	uint32_t leaf = 0, subleaf = 0;

	__asm__ volatile("cpuid" : "+a"(leaf), "+c"(subleaf) : : "ebx", "edx", "memory");
}

/* KVM_HC_VAPIC_POLL_IRQ of <linux/kvm_para.h>. By the vendor's instruction, as KVM would patch the other one. */
static void hypercall_once(void)
{
	uint64_t nr = 1;

	if (is_amd)
		__asm__ volatile("vmmcall" : "+a"(nr) : : "memory");
	else
		__asm__ volatile("vmcall" : "+a"(nr) : : "memory");
}

/* "AuthenticAMD" or "HygonGenuine", by their first letters. */
static bool cpu_is_amd(void)
{
	uint32_t leaf = 0, vendor, subleaf = 0;

	__asm__ volatile("cpuid" : "+a"(leaf), "=b"(vendor), "+c"(subleaf) : : "edx");
	return vendor == 0x68747541 || vendor == 0x6f677948;
}

static void doorbell_answered(void)
{
	__atomic_store_n(&doorbell_ctl->interrupts, doorbell_ctl->interrupts + 1, __ATOMIC_RELEASE);
}

/* In a copy of the VM that started this CPU the interrupt chips are as after a reset. */
static void doorbell_init(struct hammer_ctl *ctl)
{
	doorbell_ctl = ctl;
	lapic_init();
	out8(PC_PIC1_MASK, 0xff);
	out8(PC_PIC2_MASK, 0xff);
	trap_set_handler(VECTOR_DOORBELL, doorbell_answered);
	ioapic_route(HAMMER_GSI, VECTOR_DOORBELL, lapic_id());
}

static void ring_doorbell(const struct hammer_command *c)
{
	const uint32_t *answers =
		c->wait == HAMMER_WAIT_MEMORY ? &doorbell_ctl->answer : &doorbell_ctl->interrupts;
	const uint32_t before = __atomic_load_n(answers, __ATOMIC_ACQUIRE);

	if (c->wait == HAMMER_WAIT_SPINNING)
		irq_enable();
	port_write((uint16_t)c->addr, c->width, c->value);
	while (__atomic_load_n(answers, __ATOMIC_ACQUIRE) == before) {
		if (c->wait == HAMMER_WAIT_HALTED)
			irq_wait(); /* an answer since the write ends it, too */
		else
			cpu_relax();
	}
	irq_disable();
}

/* Makes the commands that are not an access of `struct access`. */
static void make_other(const struct hammer_command *c)
{
	switch (c->kind) {
	case HAMMER_CPUID: cpuid_once(); break;
	case HAMMER_HYPERCALL: hypercall_once(); break;
	case HAMMER_SLEEP: lapic_sleep_ns((uint32_t)c->value); break;
	case HAMMER_DOORBELL: ring_doorbell(c); break;
	default: guest_panic("hammer: command %u is not known", c->kind);
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
	default:
		for (unsigned i = 0; i < HAMMER_BLOCK; i++)
			make_other(c);
	}
}

/* Those of them that are timed. */
static void make_timed(const struct hammer_command *c, const struct access *access, uint32_t *ticks)
{
	const bool is_plain = c->kind == HAMMER_PIO || c->kind == HAMMER_MMIO;

	for (unsigned i = 0; i < c->timed; i++) {
		uint64_t start;

		if (is_plain) {
			ticks[i] = access->timed(c->addr, c->value);
			continue;
		}
		start = rdtsc();
		make_other(c);
		ticks[i] = ticks_since(start);
	}
}

void commands_run(struct hammer_ctl *ctl, unsigned index)
{
	struct hammer_cpu *cpu = &ctl->cpu[index];

	is_amd = cpu_is_amd();
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
		if (c.kind == HAMMER_DOORBELL)
			doorbell_init(ctl);
		out8(HAMMER_START_PORT, 0);
		for (uint32_t i = 0; i < c.blocks; i++)
			make_block(&c, access);
		make_timed(&c, access, ctl->ticks);
		cpu->count += (uint64_t)c.blocks * HAMMER_BLOCK + c.timed;
	}
}
