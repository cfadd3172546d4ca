/* Unit tests of measure/bench/compare.h, with files that are made here. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "diag_rig.h"
#include "measure/bench/compare.h"
#include "random.h"
#include "temp_dir.h"

enum { BATCHES = 10, POINTS = 60, PAIRS = 200 };

/* A run of one experiment: how each point of it is made. */
struct run {
	double floor_ns;
	double ratio;               /* of all points but the changed one */
	double dispatch;            /* ns */
	double noise;               /* standard deviation of a batch, as a share */
	double waited;              /* share of the time */
	double p50, p99, floor_p99; /* ns, if not 0; noise as of the others */
	int changed;                /* -1: none */
	double changed_ratio, changed_dispatch, changed_p50, changed_p99;
};

static const struct run quiet = {
	.floor_ns = 1000, .ratio = 1.02, .dispatch = 20, .noise = 0.005, .changed = -1};

static uint64_t seed;

/* About normal, with standard deviation 1: the sum of twelve. */
static double normal(void)
{
	double sum = -6;

	for (int i = 0; i < 12; i++)
		sum += random_below(&seed, 1000000) / 1e6;
	return sum;
}

static void write_values(FILE *f, const char *key, double value, double noise, const char *after)
{
	fprintf(f, "\"%s\": [", key);
	for (int i = 0; i < BATCHES; i++)
		fprintf(f, "%s%.9f", i ? ", " : "", value * (1 + noise * normal()));
	fprintf(f, "]%s", after);
}

static void write_latency(FILE *f, double p50, double p99, double noise)
{
	fprintf(f, "\"latency_ns\": {");
	write_values(f, "batch_p50", p50, noise, ", ");
	write_values(f, "batch_p99", p99, noise, "}, ");
}

static const char *write_run(const char *name, const struct run *run)
{
	const char *path = temp_dir_at(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f,
		"{\"format\": \"tollgate-bench\", \"format_version\": 1, \"host\": {\"kernel\": "
		"\"6.1\"}, \"experiments\": [{\"name\": \"made\", \"waited\": %f, \"points\": [",
		run->waited);
	for (int i = -1; i < POINTS; i++) {
		const bool changed = i >= 0 && i == run->changed;
		const double ratio = i < 0 ? 1 : changed ? run->changed_ratio : run->ratio;

		fprintf(f, "%s{\"series\": \"%s\", \"x\": %d.0, ", i < 0 ? "" : ",",
			i < 0 ? "floor" : "point", i);
		fprintf(f, "\"floor\": %s, ", i < 0 ? "null" : "0");
		write_values(f, "ns", run->floor_ns * ratio, i < 0 ? 0.001 : run->noise, ", ");
		write_values(f, "ratio", ratio, i < 0 ? 0 : run->noise, ", ");
		if (run->p50 > 0 && i < 0)
			write_latency(f, run->p50, run->floor_p99, 0.001);
		else if (run->p50 > 0)
			write_latency(f, changed ? run->changed_p50 : run->p50,
				      changed ? run->changed_p99 : run->p99, run->noise);
		write_values(f, "dispatch_ns", changed ? run->changed_dispatch : run->dispatch,
			     run->noise, "}");
	}
	fprintf(f, "]}]}");
	assert_int_equal(fclose(f), 0);
	return path;
}

static char printed[16384];
static bool together; /* of the last comparison */

static unsigned differing(const struct run *a, const struct run *b)
{
	FILE *out = fmemopen(printed, sizeof(printed), "w");
	struct bench_comparison comparison;
	struct diag diag = {0};

	assert_non_null(out);
	if (bench_compare(write_run("a.json", a), write_run("b.json", b), false, out, &comparison,
			  &diag) < 0)
		fail_msg("%s", diag.what);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(comparison.compared, POINTS);
	together = comparison.together;
	return comparison.differ;
}

/* With the promise of the documentation, 1 % of them: 2, and 7 or more once in 300. */
static void equal_builds_hardly_ever_differ(void **state)
{
	struct run noisy = quiet;
	unsigned pairs = 0;

	(void)state;
	noisy.noise = 0.1; /* so large that the least difference hides nothing */
	noisy.dispatch = 1000;
	noisy.p50 = 1000;
	noisy.p99 = noisy.floor_p99 = 3000;
	for (int i = 0; i < PAIRS; i++)
		pairs += differing(&noisy, &noisy) > 0 || together;
	assert_true(pairs <= 6);
}

static void a_slower_access_is_found_and_named(void **state)
{
	struct run slower = quiet;

	(void)state;
	slower.changed = 17;
	slower.changed_dispatch = quiet.dispatch;
	slower.changed_ratio = 1.08;
	assert_int_equal(differing(&quiet, &slower), 1);
	assert_non_null(
		strstr(printed, "made         point                                    17"));
	assert_non_null(strstr(printed, "ratio to floor"));
	assert_non_null(strstr(printed, "MORE"));
	assert_non_null(strstr(printed, "1 of 60 points differ beyond noise"));
	assert_int_equal(differing(&slower, &quiet), 1);
	assert_non_null(strstr(printed, "LESS"));
}

/* 200 instructions more, where an exit takes so long that nobody sees them in it. */
static void time_in_tollgate_is_found_by_itself(void **state)
{
	struct run slower = quiet;

	(void)state;
	slower.changed = 3;
	slower.changed_ratio = quiet.ratio;
	slower.changed_dispatch = quiet.dispatch + 50;
	assert_int_equal(differing(&quiet, &slower), 1);
	assert_non_null(strstr(printed, "ns in Tollgate"));
	assert_null(strstr(printed, "ratio to floor"));
	slower.waited = 0.8; /* as on a busy machine, where it proves nothing */
	assert_int_equal(differing(&quiet, &slower), 0);
}

/* Where the mean is the same, as one access in a hundred does not show there. */
static void percentiles_are_found_by_themselves(void **state)
{
	struct run a = quiet, b;

	(void)state;
	a.p50 = 1000;
	a.p99 = a.floor_p99 = 3000;
	b = a;
	b.changed = 5;
	b.changed_ratio = b.ratio;
	b.changed_dispatch = b.dispatch;
	b.changed_p50 = 1000;
	b.changed_p99 = 6000;
	assert_int_equal(differing(&a, &b), 1);
	assert_non_null(strstr(printed, "p99 in ns"));
	assert_null(strstr(printed, "p50 in ns"));
	b.floor_p99 = 6000; /* the machine has become so */
	assert_int_equal(differing(&a, &b), 0);
	b.floor_p99 = 3000;
	b.waited = 0.9;
	assert_int_equal(differing(&a, &b), 0);
	b.waited = 0;
	b.changed_p99 = 3000;
	b.changed_p50 = 1200;
	assert_int_equal(differing(&b, &a), 1);
	assert_non_null(strstr(printed, "p50 in ns"));
	assert_non_null(strstr(printed, "LESS"));
	b.changed_p50 = 1080; /* less than 10 % */
	assert_int_equal(differing(&a, &b), 0);
	a.p50 = 0; /* a document of an earlier build */
	assert_int_equal(differing(&a, &b), 0);
}

/* No point by itself, but all of them have become slower by the same. */
static void time_in_tollgate_is_found_in_all_points_together(void **state)
{
	struct run a = quiet, b;

	(void)state;
	a.noise = 1;
	b = a;
	assert_int_equal(differing(&a, &b), 0);
	assert_false(together);
	b.dispatch += 16;
	assert_int_equal(differing(&a, &b), 0);
	assert_true(together);
	assert_non_null(strstr(printed, "all points together                      60"));
	assert_non_null(strstr(
		printed, "0 of 60 points differ beyond noise; their mean time in Tollgate does"));
}

static void the_same_difference_in_noise_is_none(void **state)
{
	struct run a = quiet, b;

	(void)state;
	a.noise = 0.25;
	b = a;
	b.changed = 17;
	b.changed_dispatch = quiet.dispatch;
	b.changed_ratio = 1.08;
	assert_int_equal(differing(&a, &b), 0);
	assert_non_null(strstr(printed, "no difference: 60 points"));
}

/* The machine differs, as the floors show: a hit may have become slower by less than an exit. */
static void what_the_floors_explain_is_none(void **state)
{
	struct run a = quiet, b = quiet;

	(void)state;
	b.floor_ns *= 1.2;
	b.ratio *= 0.9;
	assert_int_equal(differing(&a, &b), 0);
	b.floor_ns = a.floor_ns;
	assert_int_equal(differing(&a, &b), POINTS);
}

static void a_tiny_difference_is_none_however_sure(void **state)
{
	struct run a = quiet, b;

	(void)state;
	a.noise = 1e-6;
	b = a;
	b.ratio *= 1.01;
	b.dispatch += 5;
	assert_int_equal(differing(&a, &b), 0);
}

static int compare_text(const char *text, struct diag *diag)
{
	struct bench_comparison comparison;
	FILE *out = fmemopen(printed, sizeof(printed), "w");
	int r;

	*diag = (struct diag){0};
	temp_dir_put("bad.json", text, strlen(text));
	r = bench_compare(write_run("a.json", &quiet), temp_dir_at("bad.json"), false, out,
			  &comparison, diag);
	assert_int_equal(fclose(out), 0);
	return r;
}

#define BAD(points)                                                                                \
	"{\"format\": \"tollgate-bench\", \"format_version\": 1, \"experiments\": [{\"name\": "    \
	"\"made\", \"points\": [" points "]}]}"

static void files_that_lie_are_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} files[] = {
		{"", "bench-file-json"},
		{"{", "bench-file-json"},
		{"{\"format\": 5}", "bench-file-format"},
		{BAD("null"), "bench-file-point"},
		{BAD("{\"series\": \"point\"}"), "bench-file-point"},
		{BAD("{\"series\": \"point\", \"x\": 0.0, \"floor\": 0, \"ns\": [], \"ratio\": "
		     "[1], "
		     "\"dispatch_ns\": [0]}"),
		 "bench-file-point"},
		{BAD("{\"series\": \"point\", \"x\": 0.0, \"floor\": 7, \"ns\": [1], \"ratio\": "
		     "[1], \"dispatch_ns\": [0]}"),
		 "bench-file-floor"},
		{BAD("{\"series\": \"point\", \"x\": 0.0, \"floor\": -1, \"ns\": [1], \"ratio\": "
		     "[1], \"dispatch_ns\": [0]}"),
		 "bench-file-floor"},
		{BAD("{\"series\": \"point\", \"x\": 0.0, \"floor\": 0, \"ns\": [0], \"ratio\": "
		     "[1], \"dispatch_ns\": [0]}"),
		 "bench-file-floor"},
		{BAD("{\"series\": \"point\", \"x\": 0.0, \"floor\": 0, \"ns\": [1], \"ratio\": "
		     "[NaN], \"dispatch_ns\": [0]}"),
		 "bench-file-point"},
		{BAD("{\"series\": \"point\", \"x\": 0.0, \"floor\": 0, \"ns\": [1,1,1,1,1,1,1,1,1,"
		     "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
		     "1,"
		     "1,1,1], \"ratio\": [1], \"dispatch_ns\": [0]}"),
		 "bench-file-point"},
	};
	struct diag diag;

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		assert_int_equal(compare_text(files[i].text, &diag), -EINVAL);
		assert_diag(&diag, -EINVAL, files[i].error);
		assert_non_null(strstr(diag.what, "bad.json"));
		assert_remedy(&diag, "");
	}
	assert_int_equal(compare_text(BAD(""), &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "compare-nothing");
}

static int bench_compare_setup(void **state)
{
	(void)state;
	seed = 20261130;
	return temp_dir_make();
}

static int bench_compare_teardown(void **state)
{
	(void)state;
	temp_dir_remove();
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_compare_setup, bench_compare_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(equal_builds_hardly_ever_differ),
		TEST(a_slower_access_is_found_and_named),
		TEST(time_in_tollgate_is_found_by_itself),
		TEST(percentiles_are_found_by_themselves),
		TEST(time_in_tollgate_is_found_in_all_points_together),
		TEST(the_same_difference_in_noise_is_none),
		TEST(what_the_floors_explain_is_none),
		TEST(a_tiny_difference_is_none_however_sure),
		TEST(files_that_lie_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
