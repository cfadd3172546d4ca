#include "measure/bench.h"

#include <errno.h>
#include <string.h>

#include "measure/bench/internal.h"

int bench_run(const struct bench_experiment *experiment, const struct bench_opts *opts, FILE *log,
	      struct bench_result *ret, struct diag *diag)
{
	/* A thread may outlive this function: in_use. */
	static struct bench_plan plan;
	static struct histogram latency[BENCH_POINTS_MAX];
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	ret->experiment = experiment->name;
	ret->title = experiment->title;
	ret->x_label = experiment->x_label;
	ret->of = experiment->of ? experiment->of : "access";
	ret->floor = experiment->floor ? experiment->floor : "a bare KVM_RUN loop in an empty VM";
	ret->x_log = experiment->x_log;
	ret->bars = experiment->bars;
	memset(latency, 0, sizeof(latency));
	plan = (struct bench_plan){
		.opts = opts, .result = ret, .latency = latency, .nr_lanes = BENCH_LANES_FIXED};
	r = experiment->plan(&plan, diag);
	for (unsigned i = 0; i < opts->batches && r >= 0; i++)
		r = experiment->run ? experiment->run(&plan, i, ret, diag)
				    : bench_batch_run(&plan, i, log, ret, diag);
	for (unsigned i = 0; i < ret->nr_points; i++)
		ret->point[i].latency = histogram_summary(&latency[i]);
	return r < 0 ? r : 0;
}
