/*
 * options.h - the command line of `tollgate smoke` -> struct smoke_suite.
 *
 * A boot is made from a list of settings, each an option with its value. The command line has one list for
 * all its kernels.
 */
#ifndef VMM_SMOKE_OPTIONS_H
#define VMM_SMOKE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/diag.h"
#include "base/option_table.h"
#include "smoke/suite.h"

/* An option as option_reader_next() returns it, with its value; borrowed. */
struct config_smoke_setting {
	int opt;
	const char *arg;
};

/* Zeroed is empty. */
struct config_smoke_settings {
	struct config_smoke_setting *setting;
	size_t nr, cap;
};

/* 0 or -ENOMEM. */
int config_smoke_settings_add(struct config_smoke_settings *settings, int opt, const char *arg);
int config_smoke_settings_append(struct config_smoke_settings *settings,
				 const struct config_smoke_settings *more);
void config_smoke_settings_fini(struct config_smoke_settings *settings);

/* The option of that name, without dashes, that a file may have too; NULL when there is none. */
const struct option_row *config_smoke_option(const char *name);

/* The remedy for a name that config_smoke_option() does not know and that is not a key of a file either. */
void config_smoke_suggest(const char *name, struct diag *diag);

/* Whether an option is the run's, not each boot's. */
bool config_smoke_is_of_run(int opt);

/* Takes one of those. -EINVAL with diag. */
int config_smoke_run_option(struct smoke_run_opts *run, int opt, const char *arg,
			    struct diag *diag);

/* A path after its last slash. */
const char *config_smoke_base_name(const char *path);

/*
 * The boot of kernel (NULL: the built-in test kernel) with these settings. *ret must stay where it is.
 * -errno with diag.
 */
int config_smoke_spec(const char *name, const char *kernel,
		      const struct config_smoke_settings *settings, struct smoke_spec *ret,
		      struct diag *diag);

/* The parts of a boot. Strings are borrowed. */
struct config_smoke_boot {
	const char *name, *kernel; /* kernel: NULL for the built-in test kernel */
	const struct config_smoke_settings *settings;
	unsigned nth, times; /* the kernel was given that often, and this is the nth time, from 0 */
};

/*
 * Adds a boot to the suite, as often as its --repeat says. Then each has a name of its own: "NAME/repeat=1". -errno
 * with diag.
 */
int config_smoke_add(struct smoke_suite *suite, const struct config_smoke_boot *boot,
		     struct diag *diag);

/* Leaves those boots in the suite that --only and --shard select. -EINVAL with diag when a pattern selects none. */
int config_smoke_select(struct smoke_suite *suite, struct diag *diag);

/* "I/N" of --shard. -EINVAL with diag. */
int config_smoke_shard(struct smoke_run_opts *run, const char *arg, struct diag *diag);

/*
 * Reads the part of a spec that a boot's process needs: its kernel and the settings of the VM, as the arguments
 * of a command line, each NUL-terminated. args is borrowed for config's life. -EINVAL with diag.
 */
int config_smoke_unpack(char *args, size_t len, struct config *config, struct diag *diag);

void config_smoke_spec_fini(struct smoke_spec *spec); /* takes a zeroed one too */

/*
 * argv[0] is "smoke". Returns 0 with a suite that config_smoke_fini() frees, -errno with diag, or
 * OPTION_HELP or OPTION_HELP_ALL when that was asked for and nothing else is to be done. Values are borrowed from argv.
 * After a failure the suite has left_out alone, which config_smoke_fini() frees as well.
 */
int config_parse_smoke(struct smoke_suite *suite, int argc, char *argv[], struct diag *diag);
void config_smoke_fini(struct smoke_suite *suite); /* takes a zeroed one too */

/* The options of `tollgate smoke`. */
extern const struct option_table config_smoke_table;

#endif
