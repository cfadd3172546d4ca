/*
 * core_file.h - core files (../core.h) of boots that fail: which ends leave one, and where.
 *
 * A guest that ends by itself leaves one when it ended badly, and not as was wanted. For one that the supervisor ends,
 * the signal decides: SMOKE_CORE_SIGNAL asks for a core, SIGTERM does not.
 */
#ifndef VMM_SMOKE_CORE_FILE_H
#define VMM_SMOKE_CORE_FILE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/diag.h"
#include "smoke/judge/outcome.h"
#include "smoke/suite.h"

#define SMOKE_CORE_SIGNAL SIGHUP

struct vm;

/*
 * Before the boot: sets spec->core to a file in dir, which is there. -errno with diag when that file is there, or
 * cannot be made.
 */
int smoke_core_prepare(struct smoke_spec *spec, const char *dir, struct diag *diag);

/* Whether a guest that the supervisor ends is to leave a core, for what is known of it. */
bool smoke_core_is_due(const struct smoke_spec *spec, const struct smoke_facts *facts);

/* How long the process may take for one, once its guest has ended. */
int64_t smoke_core_limit_ns(const struct smoke_spec *spec);

/* In the boot's process: writes the core to path if that end is to leave one, and reports it to out. */
void smoke_core_write(struct vm *vm, const char *path, enum vm_end_kind wanted,
		      const struct vm_end *end, FILE *out);

#endif
