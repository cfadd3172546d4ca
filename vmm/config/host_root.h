/*
 * host_root.h - --root-of-host -- CMD...: the guest's root directory is the host's, with what the guest changes in its
 * memory, and CMD runs there as it would here: by the same user, in the same directory.
 */
#ifndef VMM_CONFIG_HOST_ROOT_H
#define VMM_CONFIG_HOST_ROOT_H

#include <stdbool.h>

#include "base/diag.h"
#include "base/option_table.h"

enum { CONFIG_RW_MAX = 12 };

struct config;

struct config_host_root {
	bool wanted;
	char *const *command; /* ended by NULL, borrowed; NULL: the user's shell */
	const char *rw[CONFIG_RW_MAX];
	unsigned nr_rw;
};

extern const struct option_group config_host_root_group;

/*
 * Takes CMD off the command line: what follows the first "--" after --root-of-host. Returns how many arguments are left
 * for options and KERNEL; argc, when there is no such option or no "--".
 */
int config_host_root_take_command(struct config *config, int argc, char *argv[]);

/* After all options: adds what it takes. Nothing without --root-of-host. -errno with diag. */
int config_host_root_apply(struct config *config, struct diag *diag);

#endif
