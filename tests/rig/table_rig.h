/* table_rig.h - reads firmware tables back, for the tests of those who render them. */
#ifndef TABLE_RIG_H
#define TABLE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* As fail_msg(), and the compiler knows that it does not come back. */
static inline _Noreturn void fail_for(const char *why)
{
	fail_msg("%s", why);
	abort();
}

/* A little-endian number of n bytes. */
static inline uint64_t le(const uint8_t *at, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)at[i] << (8 * i);
	return v;
}

/* 0 for a table with its checksum. */
static inline uint8_t byte_sum(const uint8_t *at, size_t n)
{
	uint8_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = (uint8_t)(v + at[i]);
	return v;
}

#endif
