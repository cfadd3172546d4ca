/*
 * bisect.h - the exit status of a run for `git bisect run` (git-bisect(1)): 0 good, 1 bad, 125 this revision cannot be
 * tested, 128 and above end the bisection. Pure.
 */
#ifndef VMM_SMOKE_BISECT_H
#define VMM_SMOKE_BISECT_H

#include "smoke/result.h"
#include "smoke/suite.h"

enum {
	EXIT_BISECT_GOOD = 0,
	EXIT_BISECT_BAD = 1,
	EXIT_BISECT_SKIP = 125,
	EXIT_BISECT_ABORT = 128,
};

/*
 * A boot that the guest failed is bad. One that could not be made, or that KVM could not go on with, gives no verdict
 * on this revision; a command's status 125 gives none either. The repeats of one boot are one verdict: suite->run.flaky
 * says which, when some are good and others bad. Of several boots, one that is bad makes the revision bad.
 */
int smoke_bisect_status(const struct smoke_suite *suite, const struct smoke_result *results);

/* "good", "bad", "skip", "abort". A static string. */
const char *smoke_bisect_name(int status);

#endif
