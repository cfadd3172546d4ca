/*
 * fuzz.h - what every fuzz target offers, and how it takes its input apart. A target keeps no state
 * between inputs, so that any one of them can be run again alone.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs one input; returns 0. A finding is a crash, a sanitizer's report or a failed assert. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The rest of the input. */
struct fuzz_input {
	const uint8_t *data;
	size_t left;
};

/* Bytes past the end are 0. */
static inline uint8_t fuzz_u8(struct fuzz_input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->data++;
}

/* Little-endian, of 1 to 8 bytes. */
static inline uint64_t fuzz_uint(struct fuzz_input *in, unsigned bytes)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < bytes; i++)
		val |= (uint64_t)fuzz_u8(in) << (8 * i);
	return val;
}

/* A byte shifted by up to max_shift: few input bytes for small and for huge values. */
static inline uint64_t fuzz_scaled(struct fuzz_input *in, unsigned max_shift)
{
	const uint64_t mantissa = fuzz_u8(in);

	return mantissa << fuzz_u8(in) % (max_shift + 1);
}

#endif
