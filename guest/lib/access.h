/*
 * access.h - accesses whose width is known at run time. A width is 1, 2, 4 or, for memory, 8 bytes;
 * wider values are cut off, narrower results are zero-extended.
 */
#ifndef GUEST_ACCESS_H
#define GUEST_ACCESS_H

#include "cpu.h"

/* Bits that a value of that width has. */
static inline uint64_t width_mask(unsigned width)
{
	return UINT64_MAX >> (64 - 8 * width);
}

static inline uint64_t port_read(uint16_t port, unsigned width)
{
	switch (width) {
	case 1: return in8(port);
	case 2: return in16(port);
	default: return in32(port);
	}
}

static inline void port_write(uint16_t port, unsigned width, uint64_t val)
{
	switch (width) {
	case 1: out8(port, (uint8_t)val); break;
	case 2: out16(port, (uint16_t)val); break;
	default: out32(port, (uint32_t)val); break;
	}
}

static inline uint64_t mmio_read(uint64_t gpa, unsigned width)
{
	switch (width) {
	case 1: return mmio_read8(gpa);
	case 2: return mmio_read16(gpa);
	case 4: return mmio_read32(gpa);
	default: return mmio_read64(gpa);
	}
}

static inline void mmio_write(uint64_t gpa, unsigned width, uint64_t val)
{
	switch (width) {
	case 1: mmio_write8(gpa, (uint8_t)val); break;
	case 2: mmio_write16(gpa, (uint16_t)val); break;
	case 4: mmio_write32(gpa, (uint32_t)val); break;
	default: mmio_write64(gpa, val); break;
	}
}

#endif
