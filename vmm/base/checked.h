/* checked.h - arithmetic on values from the guest or from files; each returns false on overflow. */
#ifndef VMM_BASE_CHECKED_H
#define VMM_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool u64_add(uint64_t a, uint64_t b, uint64_t *ret)
{
	return !__builtin_add_overflow(a, b, ret);
}

static inline bool u64_mul(uint64_t a, uint64_t b, uint64_t *ret)
{
	return !__builtin_mul_overflow(a, b, ret);
}

/* Whether [first, first + len) lies inside [0, limit); an empty range at the limit does. */
static inline bool u64_range_within(uint64_t first, uint64_t len, uint64_t limit)
{
	return first <= limit && len <= limit - first;
}

/* Rounds up to a power of two; false when the result does not fit 64 bits. */
static inline bool u64_align_up(uint64_t v, uint64_t align, uint64_t *ret)
{
	uint64_t sum;

	if (!u64_add(v, align - 1, &sum))
		return false;
	*ret = sum & ~(align - 1);
	return true;
}

#endif
