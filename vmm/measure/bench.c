#include "measure/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "measure/bench/internal.h"

/* After a batch: its percentiles, and its histograms into those of all batches. */
static void sum_up_latencies(struct bench_result *ret, unsigned batch,
			     const struct histogram *latency, struct histogram *all)
{
	for (unsigned i = 0; i < ret->nr_points; i++) {
		const struct histogram_summary s = histogram_summary(&latency[i]);

		ret->point[i].p50[batch] = (double)s.p50;
		ret->point[i].p99[batch] = (double)s.p99;
		histogram_merge(&all[i], &latency[i]);
	}
}

int bench_run(const struct bench_experiment *experiment, const struct bench_opts *opts, FILE *log,
	      struct bench_result *ret, struct diag *diag)
{
	/* A thread may outlive this function: in_use. */
	static struct bench_plan plan;
	static struct histogram latency[BENCH_POINTS_MAX];
	AUTO_FREE struct histogram *all = calloc(BENCH_POINTS_MAX, sizeof(*all));
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	if (!all)
		return diag_set(diag, -ENOMEM, "bench-latency-memory", "percentiles");
	ret->experiment = experiment->name;
	ret->title = experiment->title;
	ret->x_label = experiment->x_label;
	ret->of = experiment->of ? experiment->of : "access";
	ret->floor = experiment->floor ? experiment->floor : "a bare KVM_RUN loop in an empty VM";
	ret->x_log = experiment->x_log;
	ret->bars = experiment->bars;
	plan = (struct bench_plan){
		.opts = opts, .result = ret, .latency = latency, .nr_lanes = BENCH_LANES_FIXED};
	r = experiment->plan(&plan, diag);
	for (unsigned i = 0; i < opts->batches && r >= 0; i++) {
		memset(latency, 0, sizeof(latency));
		r = experiment->run ? experiment->run(&plan, i, ret, diag)
				    : bench_batch_run(&plan, i, log, ret, diag);
		if (r >= 0)
			sum_up_latencies(ret, i, latency, all);
	}
	for (unsigned i = 0; i < ret->nr_points; i++)
		ret->point[i].latency = histogram_summary(&all[i]);
	return r < 0 ? r : 0;
}
