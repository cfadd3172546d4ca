/*
 * insn_tests.c - what compilers and kernels use on MMIO besides plain moves: read-modify-write,
 * locked and not, extension, string instructions, the stack. KVM emulates each; the VMM sees their
 * reads and writes.
 */
#include "insn_tests.h"

#include <string.h>

#include "check.h"
#include "cpu.h"
#include "scratch.h"

static bool read_modify_write(uint64_t gpa)
{
	mmio_write32(gpa, 0x00ff00ff);
	__asm__ volatile("orl $0x0f000000, (%0)" : : "r"(gpa) : "memory", "cc");
	__asm__ volatile("andl $0x0fffff0f, (%0)" : : "r"(gpa) : "memory", "cc");
	__asm__ volatile("incl (%0)" : : "r"(gpa) : "memory", "cc");
	__asm__ volatile("xorb $0xff, 1(%0)" : : "r"(gpa) : "memory", "cc");
	return mmio_read32(gpa) == 0x0fffff10;
}

static bool locked(uint64_t gpa)
{
	uint32_t old = 5, sum = 0x100;

	mmio_write32(gpa, 7);
	__asm__ volatile("xchgl %0, (%1)" : "+r"(old) : "r"(gpa) : "memory");
	__asm__ volatile("lock xaddl %0, (%1)" : "+r"(sum) : "r"(gpa) : "memory", "cc");
	__asm__ volatile("lock btsl $20, (%0)" : : "r"(gpa) : "memory", "cc");
	return old == 7 && sum == 5 && mmio_read32(gpa) == 0x100105;
}

/* Returns what was there. */
static uint32_t cmpxchg(uint64_t gpa, uint32_t expected, uint32_t val)
{
	uint32_t seen;

	__asm__ volatile("lock cmpxchgl %2, (%1)"
			 : "=a"(seen)
			 : "r"(gpa), "r"(val), "0"(expected)
			 : "memory", "cc");
	return seen;
}

static bool compare_and_exchange(uint64_t gpa)
{
	mmio_write32(gpa, 1);
	if (cmpxchg(gpa, 2, 9) != 1 || mmio_read32(gpa) != 1)
		return false;
	return cmpxchg(gpa, 1, 9) == 1 && mmio_read32(gpa) == 9;
}

static bool extension(uint64_t gpa)
{
	uint64_t zero, sign;

	mmio_write64(gpa, UINT64_C(0x1122334455668899));
	__asm__ volatile("movzbl (%1), %k0" : "=r"(zero) : "r"(gpa) : "memory");
	__asm__ volatile("movswq (%1), %0" : "=r"(sign) : "r"(gpa) : "memory");
	return zero == 0x99 && sign == UINT64_C(0xffffffffffff8899);
}

static bool string_copies(uint64_t gpa)
{
	uint8_t out[SCRATCH_BYTES], in[SCRATCH_BYTES] = {0};
	uint64_t dst = (uintptr_t)in, src = gpa, n = SCRATCH_BYTES / 8;

	for (unsigned i = 0; i < SCRATCH_BYTES; i++)
		out[i] = (uint8_t)(i * 11 + 3);
	memcpy(phys_ptr(gpa), out, SCRATCH_BYTES); /* REP MOVSB */
	__asm__ volatile("rep movsq" : "+S"(src), "+D"(dst), "+c"(n) : : "memory");
	if (memcmp(in, out, SCRATCH_BYTES) != 0)
		return false;
	n = SCRATCH_RANGE_BYTES / 4; /* device to device */
	src = gpa;
	dst = gpa + SCRATCH_RANGE_BYTES;
	__asm__ volatile("rep movsl" : "+S"(src), "+D"(dst), "+c"(n) : : "memory");
	memcpy(in, phys_ptr(gpa + SCRATCH_RANGE_BYTES), SCRATCH_RANGE_BYTES);
	return memcmp(in, out, SCRATCH_RANGE_BYTES) == 0;
}

static bool string_store(uint64_t gpa)
{
	uint64_t dst = gpa + SCRATCH_BYTES - 2, n = SCRATCH_BYTES / 2;

	__asm__ volatile("std; rep stosw; cld" : "+D"(dst), "+c"(n) : "a"(0x6b2c) : "memory");
	for (uint64_t i = 0; i < SCRATCH_BYTES; i += 2) {
		if (mmio_read16(gpa + i) != 0x6b2c)
			return false;
	}
	return true;
}

/* PUSH reads the operand, POP writes it; the stack itself is in RAM. */
static bool stack(uint64_t gpa)
{
	mmio_write64(gpa, UINT64_C(0x8877665544332211));
	__asm__ volatile("pushq (%0); popq 8(%0)" : : "r"(gpa) : "memory");
	return mmio_read64(gpa + 8) == UINT64_C(0x8877665544332211);
}

void insn_tests(uint64_t gpa)
{
	check("mmio-rmw", read_modify_write(gpa), "OR, AND, INC, XOR: 0x%x", mmio_read32(gpa));
	check("mmio-locked", locked(gpa), "XCHG, XADD, BTS: 0x%x", mmio_read32(gpa));
	check("mmio-cmpxchg", compare_and_exchange(gpa), "CMPXCHG: 0x%x", mmio_read32(gpa));
	check("mmio-extend", extension(gpa), "MOVZX, MOVSX");
	check("mmio-movs", string_copies(gpa), "REP MOVS copies something else");
	check("mmio-stos", string_store(gpa), "REP STOSW, downwards");
	check("mmio-stack", stack(gpa), "PUSH, POP: 0x%lx", mmio_read64(gpa + 8));
}
