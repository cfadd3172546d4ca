#include "measure/bench/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure/bench.h"

enum { FRACTION_STEPS = 300 };

static int compare_values(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double stats_median(double *value, unsigned n)
{
	qsort(value, n, sizeof(*value), compare_values);
	return n % 2 ? value[n / 2] : (value[n / 2 - 1] + value[n / 2]) / 2;
}

double stats_deviation(const double *value, unsigned n)
{
	double sorted[BENCH_BATCHES_MAX], median;

	memcpy(sorted, value, n * sizeof(*value));
	median = stats_median(sorted, n);
	for (unsigned i = 0; i < n; i++)
		sorted[i] = fabs(sorted[i] - median);
	return 1.4826 * stats_median(sorted, n);
}

static double quantile(const double *sorted, unsigned n, double q)
{
	const double at = q * (n - 1);
	const unsigned below = (unsigned)at;

	if (below + 1 >= n)
		return sorted[n - 1];
	return sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]);
}

struct stats_quartiles stats_quartiles(const double *value, unsigned n)
{
	double sorted[BENCH_BATCHES_MAX];

	memcpy(sorted, value, n * sizeof(*value));
	qsort(sorted, n, sizeof(*sorted), compare_values);
	return (struct stats_quartiles){quantile(sorted, n, 0.25), quantile(sorted, n, 0.5),
					quantile(sorted, n, 0.75)};
}

/* The continued fraction of the incomplete beta function, DLMF 8.17.22, by Lentz's method. */
static double beta_fraction(double x, double a, double b)
{
	const double tiny = 1e-300;
	double c = 1, d = 1 - (a + b) * x / (a + 1), f;

	d = 1 / (fabs(d) < tiny ? tiny : d);
	f = d;
	for (int m = 1; m <= FRACTION_STEPS; m++) {
		for (int odd = 0; odd <= 1; odd++) {
			const double even_term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
			const double odd_term =
				-(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
			const double term = odd ? odd_term : even_term;

			d = 1 + term * d;
			d = 1 / (fabs(d) < tiny ? tiny : d);
			c = 1 + term / c;
			c = fabs(c) < tiny ? tiny : c;
			f *= c * d;
		}
		if (fabs(c * d - 1) < 1e-12)
			break;
	}
	return f;
}

/* The regularized incomplete beta function. */
static double beta_regularized(double x, double a, double b)
{
	double front;

	if (x <= 0 || x >= 1)
		return x <= 0 ? 0 : 1;
	if (x > (a + 1) / (a + b + 2)) /* where the fraction converges fast */
		return 1 - beta_regularized(1 - x, b, a);
	front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
	return front * beta_fraction(x, a, b) / a;
}

double stats_student_p(double t, double freedom)
{
	return beta_regularized(freedom / (freedom + t * t), freedom / 2, 0.5);
}

static void mean_and_variance(const double *value, unsigned n, double *ret_mean,
			      double *ret_variance)
{
	double sum = 0, squares = 0;

	for (unsigned i = 0; i < n; i++)
		sum += value[i];
	for (unsigned i = 0; i < n; i++)
		squares += (value[i] - sum / n) * (value[i] - sum / n);
	*ret_mean = sum / n;
	*ret_variance = squares / (n - 1);
}

double stats_welch_p(const double *a, unsigned nr_a, const double *b, unsigned nr_b)
{
	double mean_a, mean_b, variance_a, variance_b, error, freedom;

	if (nr_a < 2 || nr_b < 2)
		return 1;
	mean_and_variance(a, nr_a, &mean_a, &variance_a);
	mean_and_variance(b, nr_b, &mean_b, &variance_b);
	variance_a /= nr_a;
	variance_b /= nr_b;
	error = variance_a + variance_b;
	if (!(error > 0))
		return mean_a < mean_b || mean_a > mean_b ? 0 : 1;
	/* Welch (1947) and Satterthwaite (1946) */
	freedom = error * error /
		  (variance_a * variance_a / (nr_a - 1) + variance_b * variance_b / (nr_b - 1));
	return stats_student_p((mean_a - mean_b) / sqrt(error), freedom);
}
