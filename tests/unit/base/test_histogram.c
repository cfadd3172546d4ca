/* Unit tests of histograms: buckets meet without gaps, and percentiles are those of the sorted values, to a 32nd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/histogram.h"
#include "random.h"

enum { VALUES = 100000 };

static struct histogram hist;
static uint64_t value[VALUES];

static void buckets_meet_without_gaps(void **state)
{
	(void)state;
	assert_int_equal(histogram_bucket(0), 0);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		const uint64_t last = histogram_bucket_last(i);

		assert_int_equal(histogram_bucket(last), i);
		if (i < HISTOGRAM_BUCKETS - 1)
			assert_int_equal(histogram_bucket(last + 1), i + 1);
		if (i > 0 && i < HISTOGRAM_BUCKETS - 1)
			assert_true((last - histogram_bucket_last(i - 1) - 1) * 32 <= last);
	}
	assert_int_equal(histogram_bucket_last(HISTOGRAM_BUCKETS - 2), UINT32_MAX);
	assert_int_equal(histogram_bucket_last(HISTOGRAM_BUCKETS - 1), UINT64_MAX);
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* got is what the value at that place, counted from 1, may be called. */
static void expect_near(uint64_t got, size_t place)
{
	const uint64_t exact = value[place - 1];

	assert_true(got >= exact);
	assert_true((got - exact) * 32 <= exact);
}

static void percentiles_are_those_of_the_sorted_values(void **state)
{
	uint64_t random = 1, sum = 0;
	struct histogram_summary s;

	(void)state;
	for (unsigned i = 0; i < VALUES; i++) {
		value[i] = random_next(&random) >> (32 + random_next(&random) % 32);
		histogram_add(&hist, value[i]);
		sum += value[i];
	}
	qsort(value, VALUES, sizeof(value[0]), compare);
	s = histogram_summary(&hist);
	assert_int_equal(s.count, VALUES);
	assert_int_equal(s.mean, sum / VALUES);
	assert_int_equal(s.max, value[VALUES - 1]);
	expect_near(s.p50, (size_t)VALUES / 2);
	expect_near(s.p90, (size_t)VALUES / 10 * 9);
	expect_near(s.p99, (size_t)VALUES / 100 * 99);
	expect_near(s.p99_9, (size_t)VALUES / 1000 * 999);
}

static void of_few_values_each_is_one_that_came(void **state)
{
	struct histogram_summary s;

	(void)state;
	s = histogram_summary(&hist);
	assert_int_equal(s.count + s.mean + s.p50 + s.p99_9 + s.max, 0);
	histogram_add(&hist, 1000000);
	s = histogram_summary(&hist);
	assert_int_equal(s.p50, 1000000); /* and not the end of its bucket */
	assert_int_equal(s.p99_9, 1000000);
	histogram_add(&hist, 7);
	s = histogram_summary(&hist);
	assert_int_equal(s.p50, 7);
	assert_int_equal(s.p90, 1000000);
	assert_int_equal(s.max, 1000000);
}

static void what_is_too_large_is_the_largest(void **state)
{
	struct histogram_summary s;

	(void)state;
	histogram_add(&hist, 5);
	for (unsigned i = 0; i < 9; i++)
		histogram_add(&hist, UINT64_C(1) << 40);
	s = histogram_summary(&hist);
	assert_int_equal(s.count, 10);
	assert_int_equal(s.p50, UINT64_C(1) << 40);
	assert_int_equal(s.max, UINT64_C(1) << 40);
}

static void the_largest_regular_value_is_itself_beside_one_too_large(void **state)
{
	const uint64_t regular = UINT64_C(127) << 25; /* the first of the last regular bucket */
	struct histogram_summary s;

	(void)state;
	for (unsigned i = 0; i < 9; i++)
		histogram_add(&hist, regular);
	histogram_add(&hist, UINT64_C(1) << 40);
	s = histogram_summary(&hist);
	assert_int_equal(s.p50, UINT32_MAX);
	assert_int_equal(s.p90, UINT32_MAX);
	assert_int_equal(s.p99, UINT64_C(1) << 40);
}

static void a_merge_has_both(void **state)
{
	static struct histogram other;
	struct histogram_summary s;

	(void)state;
	histogram_add(&hist, 10);
	memset(&other, 0, sizeof(other));
	histogram_add(&other, 30);
	histogram_add(&other, 20);
	histogram_merge(&hist, &other);
	s = histogram_summary(&hist);
	assert_int_equal(s.count, 3);
	assert_int_equal(s.mean, 20);
	assert_int_equal(s.p50, 20);
	assert_int_equal(s.max, 30);
}

static int setup(void **state)
{
	(void)state;
	memset(&hist, 0, sizeof(hist));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(buckets_meet_without_gaps, setup),
		cmocka_unit_test_setup(percentiles_are_those_of_the_sorted_values, setup),
		cmocka_unit_test_setup(of_few_values_each_is_one_that_came, setup),
		cmocka_unit_test_setup(what_is_too_large_is_the_largest, setup),
		cmocka_unit_test_setup(the_largest_regular_value_is_itself_beside_one_too_large,
				       setup),
		cmocka_unit_test_setup(a_merge_has_both, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
