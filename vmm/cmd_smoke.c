/* `tollgate smoke`: boot kernels, judge each, and say so to people and programs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmds.h"
#include "config_smoke.h"
#include "device.h"
#include "smoke/report_text.h"
#include "smoke/run.h"
#include "vm_end.h"

/* What hears of the boots while they run. */
struct hearer {
	struct smoke_run_sink sink;
	const struct smoke_plan *plan;
	struct smoke_result *results;
	FILE *out;
};

static void hear_started(struct smoke_run_sink *sink, unsigned i)
{
	(void)sink;
	(void)i;
}

static void hear_line(struct smoke_run_sink *sink, unsigned i, const struct smoke_line *line)
{
	(void)sink;
	(void)i;
	(void)line;
}

/* At once, for a person who waits and for a log that may be cut off. */
static void hear_finished(struct smoke_run_sink *sink, unsigned i)
{
	const struct hearer *hearer = container_of(sink, struct hearer, sink);

	smoke_text_result(hearer->out, &hearer->results[i]);
	fflush(hearer->out);
}

static int run_plan(const struct smoke_plan *plan, struct smoke_result *results, struct diag *diag)
{
	struct hearer hearer = {
		.sink = {.started = hear_started, .line = hear_line, .finished = hear_finished},
		.plan = plan,
		.results = results,
		.out = stdout,
	};
	const int r = smoke_run(plan, &hearer.sink, results, diag);

	if (r < 0)
		return r;
	smoke_text_summary(hearer.out, plan, results);
	return smoke_run_status(plan, results);
}

int cmd_smoke(int argc, char **argv)
{
	struct smoke_plan plan = {0};
	struct smoke_result *results = NULL;
	struct diag diag = {0};
	int r = config_parse_smoke(&plan, argc, argv, &diag);

	if (r == 1) {
		fputs(config_smoke_help, stdout);
		return EXIT_OK;
	}
	if (r == 0) {
		results = calloc(plan.nr, sizeof(*results));
		r = results ? run_plan(&plan, results, &diag)
			    : diag_set(&diag, -ENOMEM, "results of %u boots", plan.nr);
	}
	for (unsigned i = 0; results && i < plan.nr; i++)
		smoke_result_fini(&results[i]);
	free(results);
	config_smoke_fini(&plan);
	if (r < 0) {
		cmd_fail(&diag);
		return EXIT_SETUP;
	}
	return r;
}
