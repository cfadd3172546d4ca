#include "smoke/bisect.h"

#include <string.h>

enum bisect_verdict { BISECT_NOTHING, BISECT_GOOD, BISECT_SKIP, BISECT_BAD, BISECT_ABORT };

static enum bisect_verdict bisect_boot(const struct smoke_result *result)
{
	switch (result->outcome) {
	case SMOKE_PASS: return BISECT_GOOD;
	case SMOKE_NOT_RUN: return BISECT_NOTHING;
	case SMOKE_KILLED: return BISECT_ABORT;
	case SMOKE_SETUP_ERROR: return result->host_failed ? BISECT_ABORT : BISECT_SKIP;
	case SMOKE_KVM_ERROR: return BISECT_SKIP;
	case SMOKE_GUEST_CODE:
		return result->facts.code == EXIT_BISECT_SKIP ? BISECT_SKIP : BISECT_BAD;
	default: return BISECT_BAD;
	}
}

/* All repeats of a boot together. */
static enum bisect_verdict bisect_repeats(const struct smoke_suite *suite,
					  const struct smoke_result *results, const char *base)
{
	bool has[BISECT_ABORT + 1] = {false};

	for (unsigned i = 0; i < suite->nr; i++)
		if (strcmp(suite->spec[i]->base, base) == 0)
			has[bisect_boot(&results[i])] = true;
	if (has[BISECT_ABORT])
		return BISECT_ABORT;
	if (has[BISECT_GOOD] && has[BISECT_BAD]) {
		switch (suite->run.flaky) {
		case SMOKE_FLAKY_GOOD: return BISECT_GOOD;
		case SMOKE_FLAKY_SKIP: return BISECT_SKIP;
		case SMOKE_FLAKY_BAD: break;
		}
		return BISECT_BAD;
	}
	return has[BISECT_BAD]    ? BISECT_BAD
	       : has[BISECT_GOOD] ? BISECT_GOOD
	       : has[BISECT_SKIP] ? BISECT_SKIP
				  : BISECT_NOTHING;
}

int smoke_bisect_status(const struct smoke_suite *suite, const struct smoke_result *results)
{
	enum bisect_verdict worst = BISECT_NOTHING;

	for (unsigned i = 0; i < suite->nr; i++) {
		const enum bisect_verdict verdict =
			bisect_repeats(suite, results, suite->spec[i]->base);

		if (verdict > worst)
			worst = verdict;
	}
	switch (worst) {
	case BISECT_GOOD: return EXIT_BISECT_GOOD;
	case BISECT_BAD: return EXIT_BISECT_BAD;
	case BISECT_ABORT: return EXIT_BISECT_ABORT;
	case BISECT_NOTHING: /* no boot at all: no verdict */
	case BISECT_SKIP: break;
	}
	return EXIT_BISECT_SKIP;
}

const char *smoke_bisect_name(int status)
{
	switch (status) {
	case EXIT_BISECT_GOOD: return "good";
	case EXIT_BISECT_BAD: return "bad";
	case EXIT_BISECT_SKIP: return "skip";
	default: return "abort";
	}
}
