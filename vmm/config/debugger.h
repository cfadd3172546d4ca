/* debugger.h - the option --gdb. */
#ifndef VMM_CONFIG_DEBUGGER_H
#define VMM_CONFIG_DEBUGGER_H

#include <stdbool.h>

#include "base/diag.h"
#include "gdb.h"

struct config;

struct config_gdb {
	bool wanted, wait; /* wait: the guest does not run before a debugger lets it */
	struct gdb_opts opts;
};

/* "PORT[,wait]" or "unix:PATH[,wait]". -EINVAL with diag. */
int config_gdb_option(struct config *config, const char *arg, struct diag *diag);

#endif
