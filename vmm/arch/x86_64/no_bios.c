/*
 * no_bios.c - makes a call into the BIOS, which this machine has not, end where a report can name it.
 *
 * Code that starts in real mode finds what a BIOS would give it a place for: each interrupt vector leads to two bytes
 * of its own in segment F000, CLI and HLT. The entries that IBM's BIOS has at fixed addresses lead to such two bytes
 * too. The rest of the segment is three times CLI, then HLT: where interrupts are on, HLT alone would wait for one. A
 * CPU that comes there halts for good, which ends the VM (vm/halted.h). A kernel that sets vectors of its own, or puts
 * code there, replaces them. No other kernel gets them.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <string.h>

#include "arch/x86_64/internal.h"
#include "base/macros.h"
#include "mem.h"

enum {
	VECTORS = 256,
	EXCEPTIONS = 32,
	BIOS_SEG = 0xf000,
	BIOS_GPA = BIOS_SEG << 4,
	BIOS_BYTES = 0x10000,
	STUBS_OFF =
		0x1000, /* of vector 0; the next is 2 bytes on. No BIOS has an entry of its own there */
	OP_CLI = 0xfa,
	OP_HLT = 0xf4,
	OP_INT = 0xcd,
	CR0_PROTECTED = 1,
};

static const uint8_t stub[] = {OP_CLI, OP_HLT};
static const uint8_t filler[] = {OP_CLI, OP_CLI, OP_CLI, OP_HLT};

/* IBM PC AT Technical Reference, "BIOS listing": the entries whose addresses programs have relied on. */
static const uint16_t entries[] = {
	0xe05b, /* power-on self-test */
	0xe2c3, /* NMI */
	0xe3fe, /* fixed disk */
	0xe6f2, /* boot */
	0xe739, /* serial port */
	0xe82e, /* keyboard */
	0xe987, /* keyboard's interrupt */
	0xec59, /* diskette */
	0xef57, /* diskette's interrupt */
	0xefd2, /* printer */
	0xf065, /* video */
	0xf841, /* memory size */
	0xf84d, /* equipment */
	0xf859, /* system services */
	0xfe6e, /* time of day */
	0xfea5, /* timer's interrupt */
	0xff54, /* print screen */
	0xfff0, /* reset vector */
};
/* HLT is never before HLT: an instruction pointer after one would be at the next. */
static const uint8_t entry_stub[] = {OP_CLI, OP_HLT, OP_CLI};

int no_bios_write(struct guest_mem *mem)
{
	uint16_t vector[VECTORS][2];
	uint8_t *bios = guest_mem_ptr(mem, BIOS_GPA, BIOS_BYTES);

	if (!bios)
		return -EFAULT;
	for (unsigned i = 0; i < BIOS_BYTES; i += sizeof(filler))
		memcpy(bios + i, filler, sizeof(filler));
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		memcpy(bios + entries[i], entry_stub, sizeof(entry_stub));
	for (unsigned v = 0; v < VECTORS; v++) {
		memcpy(bios + STUBS_OFF + v * sizeof(stub), stub, sizeof(stub));
		vector[v][0] = (uint16_t)(STUBS_OFF + v * sizeof(stub));
		vector[v][1] = BIOS_SEG;
	}
	return guest_mem_write(mem, 0, vector, sizeof(vector));
}

/* Where the interrupt came from, by what it has left on the stack: IP, CS. False: that is not in memory. */
static bool find_caller(const struct guest_mem *mem, const struct kvm_regs *r,
			const struct kvm_sregs *s, uint16_t ret[2])
{
	return guest_mem_read(mem, s->ss.base + (uint16_t)r->rsp, ret, 2 * sizeof(ret[0])) == 0;
}

/* An instruction, or else the CPU: an exception, or a chip's interrupt. */
static void print_vector(FILE *out, const struct guest_mem *mem, const struct kvm_regs *r,
			 const struct kvm_sregs *s, unsigned vector)
{
	uint16_t from[2]; /* IP, CS */
	uint8_t code[2];
	bool known = find_caller(mem, r, s, from);

	if (known &&
	    guest_mem_read(mem, ((uint64_t)from[1] << 4) + (uint16_t)(from[0] - 2), code,
			   sizeof(code)) == 0 &&
	    code[0] == OP_INT && code[1] == vector)
		fprintf(out, "no BIOS: int %#x with AX %04x, at %04x:%04x", vector,
			(unsigned)(r->rax & UINT16_MAX), from[1], (uint16_t)(from[0] - 2));
	else if (known)
		fprintf(out, "no BIOS: %s %#x at %04x:%04x has no handler",
			vector < EXCEPTIONS ? "exception" : "interrupt", vector, from[1], from[0]);
	else
		fprintf(out, "no BIOS: vector %#x has no handler", vector);
}

/* HLT. The instruction pointer is after it, or at it where KVM emulates. */
static bool is_stub(const struct guest_mem *mem, uint64_t gpa)
{
	uint8_t code;

	return gpa >= BIOS_GPA && gpa < BIOS_GPA + BIOS_BYTES &&
	       guest_mem_read(mem, gpa, &code, sizeof(code)) == 0 && code == OP_HLT;
}

/* Where a jump to this HLT went: an entry, or the first of four bytes. */
static unsigned target(unsigned off)
{
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		if (off == entries[i] + 1U)
			return entries[i];
	return off & ~(unsigned)(sizeof(filler) - 1);
}

void no_bios_print(FILE *out, const char *indent, const struct guest_mem *mem,
		   const struct kvm_regs *r, const struct kvm_sregs *s)
{
	uint64_t at = s->cs.base + (uint16_t)r->rip;
	unsigned off;

	if (s->cr0 & CR0_PROTECTED)
		return;
	if (!is_stub(mem, at))
		at--;
	if (!is_stub(mem, at))
		return;
	off = (unsigned)(at - BIOS_GPA);
	fputs(indent, out);
	if (off >= STUBS_OFF && off < STUBS_OFF + VECTORS * sizeof(stub))
		print_vector(out, mem, r, s, (off - STUBS_OFF) / (unsigned)sizeof(stub));
	else
		fprintf(out, "no BIOS: a jump or call to %04x:%04x", BIOS_SEG, target(off));
	fprintf(out, "\n");
}
