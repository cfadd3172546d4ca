/* suite.h - the suite of one `tollgate smoke`: its boots, how each is judged, which reports to write. */
#ifndef VMM_SMOKE_SUITE_H
#define VMM_SMOKE_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "smoke/judge/outcome.h"
#include "smoke/judge/rules.h"

/* One boot. */
struct smoke_spec {
	char *name;       /* of this boot alone, and the same in the next run; clean text */
	char *base;       /* the name without its number; the same for all repeats of a boot */
	unsigned repeats; /* --repeat: how often it is booted */
	struct config config;
	char *args; /* what config was made of, for the boot's process: config_smoke_unpack() */
	size_t args_len;
	struct smoke_rules rules;
	int64_t timeout_ns; /* of the whole boot; 0: none */
	int64_t stall_ns;   /* of silence; 0: none */
	int64_t grace_ns;   /* at most so long for what follows the line that decided */
	struct smoke_wanted_end wanted;
	bool qemu_codes;     /* a guest's code is reported as isa-debug-exit does */
	bool no_tests;       /* results of tests are not read */
	bool kvm_unit_tests; /* the guest reports as kvm-unit-tests do */
	bool keep_going;     /* a rejected pattern does not end the boot */
	bool wants_status;   /* the guest runs a command, whose status is to come */
	char *core;          /* file for the guest's memory when it fails, or NULL */
};

enum { SMOKE_BOOTS_MAX = 1000, SMOKE_ONLY_MAX = 64, SMOKE_PROPERTIES_MAX = 64 };

/* The verdict of --bisect on repeats of a boot when some are good and others bad. */
enum smoke_flaky { SMOKE_FLAKY_BAD, SMOKE_FLAKY_GOOD, SMOKE_FLAKY_SKIP };

enum smoke_report {
	SMOKE_REPORT_JUNIT,
	SMOKE_REPORT_TAP,
	SMOKE_REPORT_JSON,
	SMOKE_REPORT_CHART,
	SMOKE_REPORTS,
};

/* Options for all boots. File names are borrowed; NULL: not wanted. */
struct smoke_run_opts {
	unsigned jobs; /* boots side by side; 0: as many as their vCPUs fit the host's CPUs */
	const char *report[SMOKE_REPORTS]; /* "-": standard output */
	const char *config;                /* the file of --config */
	const char *log_dir, *core_dir;
	uint64_t log_limit_bytes;                   /* of each boot's log */
	const char *suite;                          /* the reports' name of the run */
	const char *property[SMOKE_PROPERTIES_MAX]; /* "NAME=VALUE", for the reports */
	unsigned nr_properties;
	bool bisect; /* the exit status is one of git-bisect(1)'s */
	bool has_flaky;
	enum smoke_flaky flaky;
	bool fail_fast;                   /* the first boot that does not pass ends the run */
	bool list;                        /* print the boots' names, and boot none */
	const char *only[SMOKE_ONLY_MAX]; /* names of boots, as patterns of fnmatch(3); none: all */
	unsigned nr_only;
	unsigned shard,
		shards; /* every shards-th boot from that one on, which counts from 1; 0: all */
};

struct smoke_suite {
	struct smoke_run_opts run;
	struct smoke_spec **spec; /* nr of them, each allocated */
	unsigned nr;
	void *unittests; /* strings of the above that come from --kvm-unit-tests, or NULL */
	char *left_out;  /* its tests that were left out, a line each with the reason; or NULL */
	void *matrix;    /* the file that strings of the above are in, or NULL */
};

#endif
