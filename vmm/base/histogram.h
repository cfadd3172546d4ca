/*
 * histogram.h - how often values came, in buckets whose width grows with the value: fixed memory, and each value is
 * known to a 32nd. The idea is that of HdrHistogram (hdrhistogram.org).
 *
 * Threads: one adds; others may read alongside it, and see recent counts.
 */
#ifndef VMM_BASE_HISTOGRAM_H
#define VMM_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum {
	HISTOGRAM_STEPS_LOG2 = 5, /* buckets from one power of two to the next */
	HISTOGRAM_VALUE_BITS = 32,
	/* Below two times the steps, each value has a bucket. The last one has all values that are too large. */
	HISTOGRAM_BUCKETS =
		((HISTOGRAM_VALUE_BITS - HISTOGRAM_STEPS_LOG2 + 1) << HISTOGRAM_STEPS_LOG2) + 1,
};

/* Zeroed: empty. */
struct histogram {
	_Atomic uint64_t bucket[HISTOGRAM_BUCKETS];
	_Atomic uint64_t sum, max; /* of the values as they came */
};

static inline unsigned histogram_bucket(uint64_t value)
{
	unsigned shift;

	if (value >> HISTOGRAM_VALUE_BITS)
		return HISTOGRAM_BUCKETS - 1;
	if (value < 2u << HISTOGRAM_STEPS_LOG2)
		return (unsigned)value;
	shift = 63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_STEPS_LOG2;
	return (shift << HISTOGRAM_STEPS_LOG2) + (unsigned)(value >> shift);
}

/* One thread adds, so no read-modify-write instruction is needed. */
static inline void histogram_count(_Atomic uint64_t *count, uint64_t n)
{
	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
	histogram_count(&h->bucket[histogram_bucket(value)], 1);
	histogram_count(&h->sum, value);
	if (value > atomic_load_explicit(&h->max, memory_order_relaxed))
		atomic_store_explicit(&h->max, value, memory_order_relaxed);
}

/* Adds what from has to *to, which no other thread uses. */
void histogram_merge(struct histogram *to, const struct histogram *from);

/* The largest value that this bucket takes. */
uint64_t histogram_bucket_last(unsigned bucket);

struct histogram_summary {
	uint64_t count, mean, p50, p90, p99, p99_9, max;
};

/*
 * A percentile is the largest value of the bucket that the value is in, or max if that is less: never less than the
 * value, and at most a 32nd more. Values that are too large count as max. All 0 when it is empty. No thread may add
 * meanwhile; histogram_merge() makes a copy of one that has a writer.
 */
struct histogram_summary histogram_summary(const struct histogram *h);

#endif
