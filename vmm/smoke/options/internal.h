/*
 * internal.h - the values of smoke's own options, for the table (options.c) and a boot's settings (options/spec.c).
 */
#ifndef VMM_SMOKE_OPTIONS_INTERNAL_H
#define VMM_SMOKE_OPTIONS_INTERNAL_H

#include "smoke/options.h"

enum {
	SMOKE_OPT_NO_DEFAULT_REJECTS = CONFIG_OPT_OWN,
	SMOKE_OPT_REJECT_WARNINGS,
	SMOKE_OPT_TIMEOUT,
	SMOKE_OPT_STALL,
	SMOKE_OPT_PHASE_TIMEOUT,
	SMOKE_OPT_GRACE,
	SMOKE_OPT_REPEAT,
	SMOKE_OPT_EXPECT_END,
	SMOKE_OPT_EXIT_CODE,
	SMOKE_OPT_NO_TESTS,
	SMOKE_OPT_TEST_FORMAT,
	SMOKE_OPT_ALLOW,
	SMOKE_OPT_ALLOW_FILE,
	SMOKE_OPT_KEEP_GOING, /* the last that a boot's process need not know */
	SMOKE_OPT_JUNIT,      /* from here to SMOKE_OPT_SHARD the run's */
	SMOKE_OPT_TAP,
	SMOKE_OPT_JSON,
	SMOKE_OPT_BOOT_CHART,
	SMOKE_OPT_LOG_DIR,
	SMOKE_OPT_LOG_LIMIT,
	SMOKE_OPT_CORE_DIR,
	SMOKE_OPT_SUITE,
	SMOKE_OPT_PROPERTY,
	SMOKE_OPT_ONLY,
	SMOKE_OPT_BISECT,
	SMOKE_OPT_FLAKY,
	SMOKE_OPT_FAIL_FAST,
	SMOKE_OPT_SHARD,
	SMOKE_OPT_CONFIG, /* from here on the command line's alone */
	SMOKE_OPT_KVM_UNIT_TESTS,
	SMOKE_OPT_LIST,
};

/* The ends that --expect-end knows by one setting, with their enum vm_end_kind; "code=" has a number after it. */
extern const struct option_value config_smoke_end_values[];
extern const struct option_value config_smoke_exit_code_values[];
extern const struct option_value config_smoke_test_format_values[];

/* Adds the patterns of a file, one per line; a blank line and one that begins with # are none. -errno with diag. */
int config_smoke_allow_file(struct smoke_spec *spec, const char *path, struct diag *diag);

#endif
