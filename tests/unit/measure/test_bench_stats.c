/* Unit tests of measure/bench/stats.h. Probabilities and quantiles are those of R. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "measure/bench/stats.h"

static void near(double got, double wanted, double tolerance)
{
	if (!(fabs(got - wanted) <= tolerance))
		fail_msg("%.10g, not %.10g", got, wanted);
}

static void a_median_is_the_middle_or_the_mean_of_both(void **state)
{
	double odd[] = {5, 1, 3}, even[] = {9, 1, 4, 2}, one[] = {7};

	(void)state;
	near(stats_median(odd, 3), 3, 0);
	near(stats_median(even, 4), 3, 0);
	near(stats_median(one, 1), 7, 0);
}

static void quartiles_are_interpolated(void **state)
{
	const double four[] = {4, 2, 1, 3}, one[] = {8};
	struct stats_quartiles q = stats_quartiles(four, 4);

	(void)state;
	near(q.lower, 1.75, 1e-12);
	near(q.median, 2.5, 1e-12);
	near(q.upper, 3.25, 1e-12);
	q = stats_quartiles(one, 1);
	near(q.lower, 8, 0);
	near(q.upper, 8, 0);
}

static void one_wild_value_does_not_move_the_deviation(void **state)
{
	const double calm[] = {1, 2, 3, 4, 5}, wild[] = {1, 2, 3, 4, 5000};

	(void)state;
	near(stats_deviation(calm, 5), 1.4826, 1e-12);
	near(stats_deviation(wild, 5), 1.4826, 1e-12);
}

/* 2 * pt(-t, df) */
static void students_probabilities_are_those_of_tables(void **state)
{
	static const struct {
		double t, freedom, p, tolerance;
	} rows[] = {
		{0, 5, 1, 1e-12},
		{12.70620474, 1, 0.05, 1e-9},
		{2.228138852, 10, 0.05, 1e-9},
		{-2.228138852, 10, 0.05, 1e-9},
		{3.169272673, 10, 0.01, 1e-9},
		{1.959963985, 1e7, 0.05, 1e-6},
		{31.59905458, 2, 0.001, 1e-9},
		{6.0, 8, 3.233932219e-4, 1e-9},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		near(stats_student_p(rows[i].t, rows[i].freedom), rows[i].p, rows[i].tolerance);
}

/* Student's sleep data, t.test(extra ~ group): p = 0.07939 */
static void welch_gives_the_textbooks_result(void **state)
{
	const double a[] = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
	const double b[] = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};

	(void)state;
	near(stats_welch_p(a, 10, b, 10), 0.07939414, 1e-7);
	near(stats_welch_p(b, 10, a, 10), 0.07939414, 1e-7);
}

static void without_spread_equal_is_equal(void **state)
{
	const double a[] = {2, 2, 2}, b[] = {3, 3, 3};

	(void)state;
	near(stats_welch_p(a, 3, a, 3), 1, 0);
	near(stats_welch_p(a, 3, b, 3), 0, 0);
	near(stats_welch_p(a, 1, b, 3), 1, 0); /* one value has no spread to be known */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_median_is_the_middle_or_the_mean_of_both),
		cmocka_unit_test(quartiles_are_interpolated),
		cmocka_unit_test(one_wild_value_does_not_move_the_deviation),
		cmocka_unit_test(students_probabilities_are_those_of_tables),
		cmocka_unit_test(welch_gives_the_textbooks_result),
		cmocka_unit_test(without_spread_equal_is_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
