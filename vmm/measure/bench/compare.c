#include "measure/bench/compare.h"

#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <string.h>

#include "measure/bench.h"
#include "measure/bench/report.h"
#include "measure/bench/stats.h"

/* The probability that equal builds differ by chance: half for all points together, half for each by itself. */
#define SIGNIFICANCE 0.01

/*
 * The least difference of the time in Tollgate, in ns and as a share. On a busy machine the caches are full of other
 * programs after each wait, and the time of a point can double. That of all points together changes less.
 */
#define LEAST_NS         5.0
#define LEAST_NS_SHARE   0.1
#define BUSY_NS          50.0 /* times the share of the time in which a thread waited for a CPU */
#define BUSY_NS_SHARE    1.0
#define BUSY_TOGETHER_NS 25.0

/* The same of percentiles of single accesses. They are wall-clock time, in which a wait for a CPU counts. */
#define LEAST_P50_SHARE 0.1
#define LEAST_P99_SHARE 0.3

enum bench_verdict bench_compare_values(const struct bench_values *a, const struct bench_values *b,
					double least, double significance)
{
	const double more =
		stats_quartiles(b->value, b->nr).median - stats_quartiles(a->value, a->nr).median;

	if (fabs(more) < least || stats_welch_p(a->value, a->nr, b->value, b->nr) >= significance)
		return BENCH_SAME;
	return more > 0 ? BENCH_MORE : BENCH_LESS;
}

/* A file of --json while it is read. */
struct bench_file {
	const char *path;
	struct json_object *root, *experiments;
};

static int file_is_wrong(const struct bench_file *file, const char *diag_id, const char *what,
			 struct diag *diag)
{
	diag_set(diag, -EINVAL, diag_id, "'%s' is not a result of bench: %s", file->path, what);
	diag_remedy(diag, "give files that 'tollgate bench --json FILE' wrote");
	return -EINVAL;
}

static struct json_object *file_member(struct json_object *obj, const char *key,
				       enum json_type type)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(obj, key, &value);
	return json_object_is_type(value, type) ? value : NULL;
}

static const char *file_member_string(struct json_object *obj, const char *key)
{
	struct json_object *value = file_member(obj, key, json_type_string);

	return value ? json_object_get_string(value) : NULL;
}

static int bench_file_open(struct bench_file *file, const char *path, struct diag *diag)
{
	const char *format;

	*file = (struct bench_file){.path = path};
	errno = 0;
	file->root = json_object_from_file(path);
	if (!file->root && errno)
		return diag_set(diag, -errno, "bench-file-read", "read '%s'", path);
	if (!file->root)
		return file_is_wrong(file, "bench-file-json", "it is not JSON", diag);
	format = file_member_string(file->root, "format");
	file->experiments = file_member(file->root, "experiments", json_type_array);
	if (!format || strcmp(format, BENCH_FORMAT) != 0 || !file->experiments)
		return file_is_wrong(file, "bench-file-format", "no format '" BENCH_FORMAT "'",
				     diag);
	if (json_object_get_int(file_member(file->root, "format_version", json_type_int)) !=
	    BENCH_FORMAT_VERSION)
		return file_is_wrong(file, "bench-file-version",
				     "a format_version that this build does not know", diag);
	return 0;
}

/* A quantity of a point, one value per batch. */
struct file_values {
	double value[BENCH_BATCHES_MAX];
	unsigned nr;
};

static bool read_point_values(struct json_object *point, const char *key, struct file_values *ret)
{
	struct json_object *array = file_member(point, key, json_type_array);
	const size_t n = array ? json_object_array_length(array) : 0;

	if (n == 0 || n > BENCH_BATCHES_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		ret->value[i] = json_object_get_double(json_object_array_get_idx(array, i));
		if (!isfinite(ret->value[i]))
			return false;
	}
	ret->nr = (unsigned)n;
	return true;
}

static double median_of(const struct file_values *v)
{
	return stats_quartiles(v->value, v->nr).median;
}

/* One point of one file. */
struct file_point {
	const char *series;
	double x, floor_ns, waited;             /* of its experiment */
	struct file_values ns, ratio, dispatch; /* dispatch.nr 0: not timed */
	struct file_values p50, p99;            /* nr 0: accesses were not timed one by one */
	double floor_p50, floor_p99;            /* 0: not known */
};

/* Of each batch. A file of an earlier build has none. */
static void read_percentiles(struct json_object *point, struct file_values *ret_p50,
			     struct file_values *ret_p99)
{
	struct json_object *latency = file_member(point, "latency_ns", json_type_object);

	ret_p50->nr = ret_p99->nr = 0;
	if (!read_point_values(latency, "batch_p50", ret_p50) ||
	    !read_point_values(latency, "batch_p99", ret_p99))
		ret_p50->nr = ret_p99->nr = 0;
}

/* -EINVAL: malformed; 0: a floor; 1: a point. */
static int read_point(const struct bench_file *file, struct json_object *points, size_t i,
		      struct file_point *ret, struct diag *diag)
{
	struct json_object *point = json_object_array_get_idx(points, i), *x = NULL, *floor_index;
	struct file_values floor, p50, p99;

	ret->series = file_member_string(point, "series");
	if (!ret->series || !read_point_values(point, "ns", &ret->ns) ||
	    !read_point_values(point, "ratio", &ret->ratio))
		return file_is_wrong(file, "bench-file-point",
				     "a point without series, ns or ratio", diag);
	ret->dispatch.nr = 0;
	if (file_member(point, "dispatch_ns", json_type_array) &&
	    !read_point_values(point, "dispatch_ns", &ret->dispatch))
		return file_is_wrong(file, "bench-file-dispatch",
				     "a point whose dispatch_ns are not numbers", diag);
	read_percentiles(point, &ret->p50, &ret->p99);
	json_object_object_get_ex(point, "x", &x); /* other programs write 1.0 as 1 */
	ret->x = json_object_get_double(x);
	floor_index = file_member(point, "floor", json_type_int);
	if (!floor_index)
		return 0;
	point = json_object_array_get_idx(points, (size_t)json_object_get_int(floor_index));
	if (!read_point_values(point, "ns", &floor) || !(median_of(&floor) > 0))
		return file_is_wrong(file, "bench-file-floor", "a point whose floor has no ns",
				     diag);
	ret->floor_ns = median_of(&floor);
	read_percentiles(point, &p50, &p99);
	ret->floor_p50 = p50.nr ? median_of(&p50) : 0;
	ret->floor_p99 = p99.nr ? median_of(&p99) : 0;
	return 1;
}

/* The experiment of that name, or NULL. */
static struct json_object *find_experiment(const struct bench_file *file, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(file->experiments); i++) {
		struct json_object *e = json_object_array_get_idx(file->experiments, i);
		const char *other = file_member_string(e, "name");

		if (other && strcmp(other, name) == 0)
			return e;
	}
	return NULL;
}

/* 1 with the point of the other file that is like it, 0 without one, -EINVAL. */
static int find_point(const struct bench_file *file, struct json_object *points,
		      const struct file_point *like, struct file_point *ret, struct diag *diag)
{
	for (size_t i = 0; i < json_object_array_length(points); i++) {
		const int r = read_point(file, points, i, ret, diag);

		if (r < 0)
			return r;
		if (r > 0 && strcmp(ret->series, like->series) == 0 &&
		    fabs(ret->x - like->x) < 1e-9)
			return 1;
	}
	return 0;
}

/* The time in Tollgate of all points together, which chance disturbs much less than that of each. */
struct together {
	struct file_values sum_a, sum_b;             /* of the i-th batch of each point */
	double floor_a, floor_b, waited_a, waited_b; /* sums */
	unsigned points;
};

struct comparing {
	struct bench_file a, b;
	bool all, counting; /* counting: only how many comparisons there are */
	FILE *out;
	unsigned tests;
	struct bench_comparison *ret;
	const char *experiment;
	struct together together;
};

static const char *verdict_name(enum bench_verdict verdict)
{
	return verdict == BENCH_SAME ? "no difference" : verdict == BENCH_MORE ? "MORE" : "LESS";
}

static void print_quantity(const struct comparing *c, const struct file_point *a, const char *what,
			   double before, double after, int decimals, enum bench_verdict verdict)
{
	if (verdict == BENCH_SAME && !c->all)
		return;
	fprintf(c->out, "%-12s %-34s %8g  %-14s %10.*f %10.*f  %s\n", c->experiment, a->series,
		a->x, what, decimals, before, decimals, after, verdict_name(verdict));
}

/*
 * Both in the unit of the ratio. When the floors of the two runs differ, the machine does, and by as much a ratio of
 * accesses of two kinds may.
 */
static double least_of_ratio(const struct file_point *a, const struct file_point *b)
{
	return median_of(&a->ratio) * (BENCH_LEAST_SHARE + fabs(b->floor_ns / a->floor_ns - 1));
}

static double least_of_dispatch(const struct file_point *a, const struct file_point *b)
{
	const double busy = fmax(a->waited, b->waited);
	const double share =
		LEAST_NS_SHARE + BUSY_NS_SHARE * busy + fabs(b->floor_ns / a->floor_ns - 1);

	return LEAST_NS + BUSY_NS * busy + fabs(median_of(&a->dispatch)) * share;
}

static double least_of_together(const struct file_point *a, const struct file_point *b)
{
	const double share = LEAST_NS_SHARE + fabs(b->floor_ns / a->floor_ns - 1);

	return LEAST_NS + BUSY_TOGETHER_NS * fmax(a->waited, b->waited) +
	       fabs(median_of(&a->dispatch)) * share;
}

/* Percentiles of one point, by their logarithms: they vary by factors. */
static enum bench_verdict compare_percentile(const struct file_values *a,
					     const struct file_values *b, double floor_a,
					     double floor_b, double share, double busy,
					     double significance)
{
	struct file_values log_a = *a, log_b = *b;
	const double floors = floor_a > 0 && floor_b > 0 ? fabs(floor_b / floor_a - 1) : 0;

	if (fabs(median_of(a) - median_of(b)) < LEAST_NS + BUSY_NS * busy)
		return BENCH_SAME;
	for (unsigned i = 0; i < a->nr; i++)
		log_a.value[i] = log(fmax(a->value[i], 1));
	for (unsigned i = 0; i < b->nr; i++)
		log_b.value[i] = log(fmax(b->value[i], 1));
	return bench_compare_values(&(struct bench_values){log_a.value, log_a.nr},
				    &(struct bench_values){log_b.value, log_b.nr},
				    log1p(share + busy + floors), significance);
}

/* Whether either differs. */
static bool compare_percentiles(const struct comparing *c, const struct file_point *a,
				const struct file_point *b, double significance)
{
	const double busy = fmax(a->waited, b->waited);
	enum bench_verdict p50, p99;

	if (a->p50.nr == 0 || b->p50.nr == 0)
		return false;
	p50 = compare_percentile(&a->p50, &b->p50, a->floor_p50, b->floor_p50, LEAST_P50_SHARE,
				 busy, significance);
	p99 = compare_percentile(&a->p99, &b->p99, a->floor_p99, b->floor_p99, LEAST_P99_SHARE,
				 busy, significance);
	print_quantity(c, a, "p50 in ns", median_of(&a->p50), median_of(&b->p50), 0, p50);
	print_quantity(c, a, "p99 in ns", median_of(&a->p99), median_of(&b->p99), 0, p99);
	return p50 != BENCH_SAME || p99 != BENCH_SAME;
}

static void add_values_to(struct file_values *sum, const struct file_values *v, bool first)
{
	if (first || v->nr < sum->nr)
		sum->nr = v->nr;
	for (unsigned i = 0; i < sum->nr; i++)
		sum->value[i] = (first ? 0 : sum->value[i]) + v->value[i];
}

static void add_together(struct together *t, const struct file_point *a, const struct file_point *b)
{
	const bool first = t->points++ == 0;

	add_values_to(&t->sum_a, &a->dispatch, first);
	add_values_to(&t->sum_b, &b->dispatch, first);
	t->floor_a += a->floor_ns;
	t->floor_b += b->floor_ns;
	t->waited_a += a->waited;
	t->waited_b += b->waited;
}

static void compare_together(struct comparing *c)
{
	struct together *t = &c->together;
	struct file_point a = {.series = "all points together", .x = t->points}, b = a;
	enum bench_verdict verdict;

	if (t->points == 0)
		return;
	for (unsigned i = 0; i < t->sum_a.nr; i++)
		a.dispatch.value[i] = t->sum_a.value[i] / t->points;
	for (unsigned i = 0; i < t->sum_b.nr; i++)
		b.dispatch.value[i] = t->sum_b.value[i] / t->points;
	a.dispatch.nr = t->sum_a.nr;
	b.dispatch.nr = t->sum_b.nr;
	a.floor_ns = t->floor_a;
	b.floor_ns = t->floor_b;
	a.waited = t->waited_a / t->points;
	b.waited = t->waited_b / t->points;
	verdict = bench_compare_values(&(struct bench_values){a.dispatch.value, a.dispatch.nr},
				       &(struct bench_values){b.dispatch.value, b.dispatch.nr},
				       least_of_together(&a, &b), SIGNIFICANCE / 2);
	c->experiment = "";
	print_quantity(c, &a, "ns in Tollgate", median_of(&a.dispatch), median_of(&b.dispatch), 1,
		       verdict);
	c->ret->together = verdict != BENCH_SAME;
}

static void compare_points(struct comparing *c, const struct file_point *a,
			   const struct file_point *b)
{
	const bool dispatched = a->dispatch.nr > 0 && b->dispatch.nr > 0;
	const double significance = SIGNIFICANCE / 2 / (c->tests ? c->tests : 1);
	enum bench_verdict time, dispatch = BENCH_SAME;
	bool latency;

	if (c->counting) {
		c->tests += dispatched ? 2 : 1;
		c->tests += a->p50.nr && b->p50.nr ? 2 : 0;
		return;
	}
	time = bench_compare_values(&(struct bench_values){a->ratio.value, a->ratio.nr},
				    &(struct bench_values){b->ratio.value, b->ratio.nr},
				    least_of_ratio(a, b), significance);
	print_quantity(c, a, "ratio to floor", median_of(&a->ratio), median_of(&b->ratio), 4, time);
	if (dispatched) {
		dispatch = bench_compare_values(
			&(struct bench_values){a->dispatch.value, a->dispatch.nr},
			&(struct bench_values){b->dispatch.value, b->dispatch.nr},
			least_of_dispatch(a, b), significance);
		print_quantity(c, a, "ns in Tollgate", median_of(&a->dispatch),
			       median_of(&b->dispatch), 1, dispatch);
		add_together(&c->together, a, b);
	}
	latency = compare_percentiles(c, a, b, significance);
	c->ret->compared++;
	c->ret->differ += time != BENCH_SAME || dispatch != BENCH_SAME || latency;
}

/* How busy the machine was; 0 when the file does not say. */
static double waited_of(struct json_object *experiment)
{
	const double share =
		json_object_get_double(file_member(experiment, "waited", json_type_double));

	return share > 0 && share <= 1 ? share : 0;
}

static int compare_experiment(struct comparing *c, struct json_object *experiment,
			      struct diag *diag)
{
	struct json_object *points = file_member(experiment, "points", json_type_array), *other,
			   *others;
	struct file_point a, b;
	int r = 0;

	c->experiment = file_member_string(experiment, "name");
	if (!c->experiment || !points)
		return file_is_wrong(&c->a, "bench-file-experiment",
				     "an experiment without name or points", diag);
	other = find_experiment(&c->b, c->experiment);
	others = file_member(other, "points", json_type_array);
	a.waited = waited_of(experiment);
	b.waited = waited_of(other);
	for (size_t i = 0; others && r >= 0 && i < json_object_array_length(points); i++) {
		r = read_point(&c->a, points, i, &a, diag);
		if (r > 0)
			r = find_point(&c->b, others, &a, &b, diag);
		if (r > 0)
			compare_points(c, &a, &b);
	}
	return r < 0 ? r : 0;
}

/* Prints where the hosts differ: both results are to be read with care then. */
static void print_hosts(const struct comparing *c)
{
	static const char *const keys[] = {"kernel", "cpu", "virtualization"};
	struct json_object *a = file_member(c->a.root, "host", json_type_object),
			   *b = file_member(c->b.root, "host", json_type_object);

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *of_a = file_member_string(a, keys[i]),
			   *of_b = file_member_string(b, keys[i]);

		if (of_a && of_b && strcmp(of_a, of_b) != 0)
			fprintf(c->out, "different hosts: %s '%s' and '%s'\n", keys[i], of_a, of_b);
	}
}

static int compare_runs(struct comparing *c, struct diag *diag)
{
	int r = 0;

	for (int pass = 0; pass < 2 && r == 0; pass++) {
		c->counting = pass == 0;
		for (size_t i = 0; r == 0 && i < json_object_array_length(c->a.experiments); i++)
			r = compare_experiment(c, json_object_array_get_idx(c->a.experiments, i),
					       diag);
	}
	if (r == 0)
		compare_together(c);
	if (r == 0 && c->ret->compared == 0) {
		diag_set(diag, -EINVAL, "compare-nothing", "'%s' and '%s' have no point in common",
			 c->a.path, c->b.path);
		diag_remedy(diag, "run the same experiments with the same lists");
		return -EINVAL;
	}
	return r;
}

int bench_compare(const char *path_a, const char *path_b, bool all, FILE *out,
		  struct bench_comparison *ret, struct diag *diag)
{
	struct comparing c = {.all = all, .out = out, .ret = ret};
	int r = bench_file_open(&c.a, path_a, diag);

	*ret = (struct bench_comparison){0};
	if (r == 0)
		r = bench_file_open(&c.b, path_b, diag);
	if (r == 0) {
		print_hosts(&c);
		r = compare_runs(&c, diag);
	}
	if (r == 0 && (ret->differ || ret->together))
		fprintf(out, "%u of %u points differ beyond noise%s\n", ret->differ, ret->compared,
			ret->together ? "; their mean time in Tollgate does" : "");
	else if (r == 0)
		fprintf(out, "no difference: %u points\n", ret->compared);
	json_object_put(c.a.root);
	json_object_put(c.b.root);
	return r;
}
