/* stats.h - medians, spread, and whether two sets of values differ. Values may come in any order. */
#ifndef VMM_MEASURE_BENCH_STATS_H
#define VMM_MEASURE_BENCH_STATS_H

#include <stdbool.h>

/* The middle one, or the mean of both in the middle; sorts the n values, n not 0. */
double stats_median(double *value, unsigned n);

/* The median absolute deviation from the median, times 1.4826: of a normal distribution, the standard deviation. */
double stats_deviation(const double *value, unsigned n);

struct stats_quartiles {
	double lower, median, upper; /* interpolated, as R's type 7 */
};
struct stats_quartiles stats_quartiles(const double *value, unsigned n);

/*
 * The least level of significance at which the means of two sets of values differ: Welch's test, two-sided. 1 when
 * either has fewer than two values, or when all are equal.
 */
double stats_welch_p(const double *a, unsigned nr_a, const double *b, unsigned nr_b);

/* The two-sided probability that |t| or more has by chance, in Student's distribution. */
double stats_student_p(double t, double freedom);

#endif
