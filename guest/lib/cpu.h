/*
 * cpu.h - the instructions C has no words for, one inline function each (Intel SDM volume 2).
 *
 * Port and MMIO accesses are asm statements, so that each is exactly one instruction of exactly the
 * width its name says: a compiler is free to split or merge a volatile access, a test is not.
 */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSR_APIC_BASE UINT32_C(0x1b)
#define MSR_FS_BASE   UINT32_C(0xc0000100)

static inline uint8_t in8(uint16_t port)
{
	uint8_t val;

	__asm__ volatile("inb %w1, %0" : "=a"(val) : "Nd"(port) : "memory");
	return val;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t val;

	__asm__ volatile("inw %w1, %0" : "=a"(val) : "Nd"(port) : "memory");
	return val;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t val;

	__asm__ volatile("inl %w1, %0" : "=a"(val) : "Nd"(port) : "memory");
	return val;
}

static inline void out8(uint16_t port, uint8_t val)
{
	__asm__ volatile("outb %0, %w1" : : "a"(val), "Nd"(port) : "memory");
}

static inline void out16(uint16_t port, uint16_t val)
{
	__asm__ volatile("outw %0, %w1" : : "a"(val), "Nd"(port) : "memory");
}

static inline void out32(uint16_t port, uint32_t val)
{
	__asm__ volatile("outl %0, %w1" : : "a"(val), "Nd"(port) : "memory");
}

/* An identity-mapped guest physical address as a pointer. */
static inline void *phys_ptr(uint64_t gpa)
{
	return (void *)(uintptr_t)gpa;
}

static inline uint8_t mmio_read8(uint64_t gpa)
{
	uint8_t val;

	__asm__ volatile("movb (%1), %0" : "=q"(val) : "r"(gpa) : "memory");
	return val;
}

static inline uint16_t mmio_read16(uint64_t gpa)
{
	uint16_t val;

	__asm__ volatile("movw (%1), %0" : "=r"(val) : "r"(gpa) : "memory");
	return val;
}

static inline uint32_t mmio_read32(uint64_t gpa)
{
	uint32_t val;

	__asm__ volatile("movl (%1), %0" : "=r"(val) : "r"(gpa) : "memory");
	return val;
}

static inline uint64_t mmio_read64(uint64_t gpa)
{
	uint64_t val;

	__asm__ volatile("movq (%1), %0" : "=r"(val) : "r"(gpa) : "memory");
	return val;
}

static inline void mmio_write8(uint64_t gpa, uint8_t val)
{
	__asm__ volatile("movb %0, (%1)" : : "q"(val), "r"(gpa) : "memory");
}

static inline void mmio_write16(uint64_t gpa, uint16_t val)
{
	__asm__ volatile("movw %0, (%1)" : : "r"(val), "r"(gpa) : "memory");
}

static inline void mmio_write32(uint64_t gpa, uint32_t val)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(val), "r"(gpa) : "memory");
}

static inline void mmio_write64(uint64_t gpa, uint64_t val)
{
	__asm__ volatile("movq %0, (%1)" : : "r"(val), "r"(gpa) : "memory");
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t val)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
			 : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline uint64_t read_cr2(void)
{
	uint64_t val;

	__asm__ volatile("mov %%cr2, %0" : "=r"(val));
	return val;
}

static inline void irq_disable(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void irq_enable(void)
{
	__asm__ volatile("sti" : : : "memory");
}

/*
 * Enables interrupts, sleeps until one was handled, disables them again. STI takes effect after the
 * next instruction, so an interrupt that became pending before the call still ends the HLT.
 */
static inline void irq_wait(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* Sleeps for good; only an NMI, INIT or the VMM ends it. */
static inline _Noreturn void cpu_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}

#endif
