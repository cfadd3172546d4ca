#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "measure/bench/report.h"
#include "measure/bench/stats.h"

#define NOISY_RESOLUTION 0.05
#define NOISY_WAITED     0.10

/* Of two runs of n batches each: standard errors that a difference has to have, with room for many points. */
#define ERRORS_SEEN 4.0

double bench_resolution(const struct bench_result *res)
{
	double share[BENCH_POINTS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < res->nr_points; i++) {
		const struct bench_point *point = &res->point[i];

		if (point->floor < 0)
			continue;
		share[n++] = ERRORS_SEEN * stats_deviation(point->ratio, res->nr_batches) *
			     sqrt(2.0 / res->nr_batches) /
			     stats_quartiles(point->ratio, res->nr_batches).median;
	}
	return n ? stats_median(share, n) : 0;
}

static void print_point(FILE *out, const struct bench_result *res, const struct bench_point *point)
{
	const unsigned n = res->nr_batches;
	const double dispatch = stats_quartiles(point->dispatch, n).median;
	const struct stats_quartiles ratio = stats_quartiles(point->ratio, n);

	fprintf(out, "  %-34s %15g %9.0f", point->series, point->x,
		stats_quartiles(point->ns, n).median);
	if (point->floor < 0) {
		fprintf(out, "\n");
		return;
	}
	if (point->timed)
		fprintf(out, " %8.1f", dispatch);
	else
		fprintf(out, " %8s", "-");
	fprintf(out, " %8.4f  %.4f to %.4f\n", ratio.median, ratio.lower, ratio.upper);
}

/* Of the points whose accesses were timed one by one. */
static void print_latencies(FILE *out, const struct bench_result *res)
{
	bool any = false;

	for (unsigned i = 0; i < res->nr_points; i++) {
		const struct histogram_summary *s = &res->point[i].latency;

		if (s->count == 0)
			continue;
		if (!any)
			fprintf(out, "  ns of one %-24s %15s %9s %9s %9s %9s %10s\n", res->of,
				res->x_label, "p50", "p90", "p99", "p99.9", "max");
		any = true;
		fprintf(out,
			"  %-34s %15g %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64
			" %10" PRIu64 "\n",
			res->point[i].series, res->point[i].x, s->p50, s->p90, s->p99, s->p99_9,
			s->max);
	}
}

/* Of the exits whose parts are known. */
static void print_parts(FILE *out, const struct bench_result *res)
{
	struct bench_parts parts;

	if (res->has_parts)
		fprintf(out, "  %-34s %15s %9s %9s %9s %9s\n", "ns of the parts", res->x_label,
			"guest", "KVM_RUN", "KVM", "Tollgate");
	for (unsigned i = 0; i < res->nr_points; i++)
		if (bench_parts_of(res, &res->point[i], &parts))
			fprintf(out, "  %-34s %15g %9.1f %9.1f %9.1f %9.1f\n", res->point[i].series,
				res->point[i].x, parts.guest, parts.run, parts.kvm, parts.tollgate);
}

static void print_noise(FILE *out, const struct bench_result *res)
{
	const double resolution = bench_resolution(res);

	fprintf(out, "  a comparison shows ratios that differ by %.1f %% or more\n",
		100 * (resolution > BENCH_LEAST_SHARE ? resolution : BENCH_LEAST_SHARE));
	if (res->waited > NOISY_WAITED)
		fprintf(out,
			"  warning: the machine is busy: for %.0f %% of the time the vCPUs' "
			"threads "
			"waited for a CPU [bench-busy]\n",
			100 * res->waited);
	if (resolution > NOISY_RESOLUTION)
		fprintf(out, "  warning: this run is too noisy to show less [bench-noisy]\n");
}

void bench_print_table(FILE *out, const struct bench_result *res)
{
	fprintf(out, "%s: %s\n", res->experiment, res->title);
	fprintf(out, "  %-34s %15s %9s %8s %8s  %s\n", "", res->x_label, "ns", "Tollgate", "ratio",
		"quartiles");
	for (unsigned i = 0; i < res->nr_points; i++)
		print_point(out, res, &res->point[i]);
	print_latencies(out, res);
	print_parts(out, res);
	fprintf(out, "  %u batches, %" PRIu64 " rounds", res->nr_batches, res->rounds);
	if (res->counts.guest)
		fprintf(out, "; %" PRIu64 " accesses, each counted once", res->counts.guest);
	fprintf(out, "\n");
	print_noise(out, res);
}
