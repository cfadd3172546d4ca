/*
 * unittests.h - the directory of `tollgate smoke --kvm-unit-tests`: .flat files, and unittests.cfg, which says how each
 * is run. scripts/common.bash and scripts/runtime.bash of kvm-unit-tests are the form's source.
 */
#ifndef VMM_SMOKE_UNITTESTS_H
#define VMM_SMOKE_UNITTESTS_H

#include "base/diag.h"
#include "smoke/options.h"

/*
 * Adds a boot per test to a suite without any. settings are the command line's, which come last. A test that cannot be
 * run here as its file says is left out; suite->left_out has a line for each, with the reason. suite borrows from
 * suite->unittests, which config_smoke_unittests_fini() frees after the boots and also after a failure. -errno with
 * diag, also when no test remains.
 */
int config_smoke_unittests(struct smoke_suite *suite, const char *dir,
			   const struct config_smoke_settings *settings, struct diag *diag);
void config_smoke_unittests_fini(void *unittests); /* takes NULL */

#endif
