#include "measure/bench.h"

#include <errno.h>
#include <string.h>

#include "measure/bench/internal.h"

int bench_run(const struct bench_experiment *experiment, const struct bench_opts *opts, FILE *log,
	      struct bench_result *ret, struct diag *diag)
{
	static struct bench_plan plan; /* a thread may outlive this function: in_use */
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	ret->experiment = experiment->name;
	ret->title = experiment->title;
	ret->x_label = experiment->x_label;
	ret->x_log = experiment->x_log;
	ret->bars = experiment->bars;
	plan = (struct bench_plan){.opts = opts, .result = ret, .nr_lanes = BENCH_LANES_FIXED};
	r = experiment->plan(&plan, diag);
	for (unsigned i = 0; i < opts->batches && r >= 0; i++)
		r = bench_batch_run(&plan, i, log, ret, diag);
	return r < 0 ? r : 0;
}
