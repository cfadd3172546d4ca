/* run.h - all boots of a suite, side by side as the host allows. */
#ifndef VMM_SMOKE_RUN_H
#define VMM_SMOKE_RUN_H

#include "base/diag.h"
#include "smoke/judge.h"
#include "smoke/result.h"
#include "smoke/suite.h"

/* Hears how it goes; i is a boot's place in the suite. The functions must not call back. */
struct smoke_run_sink {
	void (*started)(struct smoke_run_sink *sink, unsigned i);
	void (*line)(struct smoke_run_sink *sink, unsigned i, const struct smoke_line *line);
	/* Its guest is about to start; emulates_linux: see vm.h. */
	void (*guest)(struct smoke_run_sink *sink, unsigned i, bool emulates_linux);
	/* Whether more of its lines may come now; else they wait where they come from. */
	bool (*has_room)(struct smoke_run_sink *sink, unsigned i);
	void (*finished)(struct smoke_run_sink *sink, unsigned i);
	void (*tick)(struct smoke_run_sink *sink); /* some times per second; NULL: not wanted */
};

/*
 * Runs them in their order and fills in suite->nr results, which are zeroed; smoke_result_fini() frees
 * each. SIGINT, SIGTERM and SIGHUP end all; a second one at once. -errno with diag when there could be
 * no boot at all; what goes wrong with one is its result.
 */
int smoke_run(const struct smoke_suite *suite, struct smoke_run_sink *sink,
	      struct smoke_result *results, struct diag *diag);

/* The exit status of the run: that of the first boot in the suite that did not pass. */
int smoke_run_status(const struct smoke_suite *suite, const struct smoke_result *results);

#endif
