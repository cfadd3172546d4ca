/* core.h - the option --core: which ends of a VM leave a core file. */
#ifndef VMM_CONFIG_CORE_H
#define VMM_CONFIG_CORE_H

#include <stdbool.h>

#include "base/diag.h"
#include "vm_end.h"

struct config;

struct config_core {
	const char *path; /* NULL: none */
	unsigned ends;    /* a bit per enum vm_end_kind */
};

/* "FILE[,on=END[,END...]]". -EINVAL with diag. */
int config_core_option(struct config *config, const char *arg, struct diag *diag);

/* Whether the core of a VM that ended so is wanted. */
bool config_core_wanted(const struct config_core *core, enum vm_end_kind kind);

#endif
