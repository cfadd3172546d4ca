/* accesses.h - the accesses that the hammer kernel makes: each is one instruction. */
#ifndef GUEST_HAMMER_ACCESSES_H
#define GUEST_HAMMER_ACCESSES_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu.h"

/* One block of HAMMER_BLOCK accesses without a branch, then the rest one by one: a look at stop costs nothing. */
struct access {
	uint64_t (*block)(uint64_t addr, uint64_t val);
	uint64_t (*one)(uint64_t addr, uint64_t val);
	uint32_t (*timed)(uint64_t addr, uint64_t val); /* one; the TSC ticks that it took */
};

/* TSC ticks from start to now, at most UINT32_MAX. */
static inline uint32_t ticks_since(uint64_t start)
{
	const uint64_t ticks = rdtsc() - start;

	return ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
}

/* width: 1, 2, 4 or 8 bytes. Its functions are NULL when there is none: ports are at most 4 bytes wide. */
const struct access *access_of(bool is_mmio, bool in, unsigned width);

#endif
