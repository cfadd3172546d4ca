/*
 * matrix.h - the file of `tollgate smoke --config`: boots, and what each is multiplied by.
 *
 * YAML, read by libyaml. Its keys are the names of options; docs/guide/smoke.md has the form. Everything is
 * bounded: the depth of what is looked at by the form, the number of boots by SMOKE_BOOTS_MAX.
 */
#ifndef VMM_SMOKE_MATRIX_H
#define VMM_SMOKE_MATRIX_H

#include "base/diag.h"
#include "smoke/options.h"

enum { CONFIG_SMOKE_AXES_MAX = 8 };

/*
 * Adds the file's boots to a suite without any. settings are the command line's, which come last. The nr
 * kernels are for the boots that name none. suite then borrows from suite->matrix, which
 * config_smoke_matrix_fini() frees, after the suite's boots and also after a failure. -errno with diag.
 */
int config_smoke_matrix(struct smoke_suite *suite, const char *path,
			const struct config_smoke_settings *settings, char *const *kernel,
			unsigned nr, struct diag *diag);
void config_smoke_matrix_fini(void *matrix); /* takes NULL */

#endif
