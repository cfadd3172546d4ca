#include "base/histogram.h"

static uint64_t histogram_get(const _Atomic uint64_t *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
	const uint64_t max = histogram_get(&from->max);

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		histogram_count(&to->bucket[i], histogram_get(&from->bucket[i]));
	histogram_count(&to->sum, histogram_get(&from->sum));
	if (max > histogram_get(&to->max))
		atomic_store_explicit(&to->max, max, memory_order_relaxed);
}

uint64_t histogram_bucket_last(unsigned bucket)
{
	const unsigned linear = 2u << HISTOGRAM_STEPS_LOG2;
	const unsigned shift = bucket < linear ? 0 : (bucket >> HISTOGRAM_STEPS_LOG2) - 1;
	const uint64_t first = bucket - (shift << HISTOGRAM_STEPS_LOG2);

	return bucket == HISTOGRAM_BUCKETS - 1 ? UINT64_MAX : ((first + 1) << shift) - 1;
}

/* The value of rank-th place, counted from 1, in ascending order. */
static uint64_t value_at(const struct histogram *h, uint64_t rank, uint64_t max)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		seen += histogram_get(&h->bucket[i]);
		if (seen >= rank)
			return histogram_bucket_last(i) < max ? histogram_bucket_last(i) : max;
	}
	return max;
}

/* The least rank that thousandths/1000 of count are not above: rounded up. */
static uint64_t rank_of(uint64_t count, unsigned thousandths)
{
	return count / 1000 * thousandths + (count % 1000 * thousandths + 999) / 1000;
}

struct histogram_summary histogram_summary(const struct histogram *h)
{
	struct histogram_summary s = {.max = histogram_get(&h->max)};

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		s.count += histogram_get(&h->bucket[i]);
	if (s.count == 0)
		return (struct histogram_summary){0};
	s.mean = histogram_get(&h->sum) / s.count;
	s.p50 = value_at(h, rank_of(s.count, 500), s.max);
	s.p90 = value_at(h, rank_of(s.count, 900), s.max);
	s.p99 = value_at(h, rank_of(s.count, 990), s.max);
	s.p99_9 = value_at(h, rank_of(s.count, 999), s.max);
	return s;
}
