#include "smoke/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/macros.h"
#include "base/option.h"
#include "base/suggest.h"
#include "smoke/matrix.h"
#include "smoke/options/internal.h"
#include "smoke/unittests.h"

#define DEFAULT_LOG_LIMIT_BYTES (UINT64_C(64) << 20)
#define LOG_LIMIT_MIN_BYTES     UINT64_C(1024)

#define DEFAULT_SUITE "tollgate smoke"

enum { JOBS_MAX = 1000 };

static const struct option_row judge_rows[] = {
	{"expect", 'e', "REGEX",
	 .help = "must be seen\n"
		 "Given several times: in this order. The boot passes when the last\n"
		 "one is seen; without any, when the guest ends well",
	 .common = true},
	{"reject", 'r', "REGEX", .help = "must not be seen", .common = true},
	{"expect-end", SMOKE_OPT_EXPECT_END, "END",
	 .help = "the boot passes when the guest ends so: poweroff, panic, reset,\n"
		 "triple-fault, halted, unclaimed, timeout, or code=N of the exit port",
	 config_smoke_end_values},
	{"exit-code", SMOKE_OPT_EXIT_CODE, "HOW",
	 .help = "guest: the guest's code is the exit status, 0 a pass (default);\n"
		 "qemu: (code << 1) | 1, a pass only with --expect-end code=N",
	 config_smoke_exit_code_values},
	{"no-default-rejects", SMOKE_OPT_NO_DEFAULT_REJECTS, NULL,
	 .help = "allow panics, BUGs, oopses, lockups, RCU stalls, hung tasks"},
	{"reject-warnings", SMOKE_OPT_REJECT_WARNINGS, NULL, .help = "refuse kernel WARNINGs too"},
	{"allow", SMOKE_OPT_ALLOW, "REGEX",
	 .help = "a known report of the kernel, by its first line or title, is a note"},
	{"allow-file", SMOKE_OPT_ALLOW_FILE, "FILE", .help = "one such REGEX per line"},
	{"no-tests", SMOKE_OPT_NO_TESTS, NULL,
	 .help = "do not read results of tests (KTAP, TAP) in what the guest prints"},
	{"test-format", SMOKE_OPT_TEST_FORMAT, "FORMAT",
	 .help = "of those results: ktap (default, and TAP), or kvm-unit-tests",
	 config_smoke_test_format_values},
	{"keep-going", SMOKE_OPT_KEEP_GOING, NULL,
	 .help = "go on after a rejected pattern, to the guest's end or a limit"},
	{"timeout", SMOKE_OPT_TIMEOUT, "SECONDS",
	 .help = "for the whole boot (default 300; 0: none)", .common = true},
	{"stall", SMOKE_OPT_STALL, "SECONDS",
	 .help = "of silence (default 60, with --run none; 0: none)"},
	{"phase-timeout", SMOKE_OPT_PHASE_TIMEOUT, "NAME=REGEX:SECONDS",
	 .help = "REGEX must be seen so soon after the phase before"},
	{"grace", SMOKE_OPT_GRACE, "SECONDS",
	 .help = "at most so long for the rest of a panic (default 2)"},
	{0},
};
static const struct option_group judge_group = {"How a boot is judged", judge_rows};

static const struct option_value flaky_values[] = {
	{"bad", SMOKE_FLAKY_BAD},
	{"good", SMOKE_FLAKY_GOOD},
	{"skip", SMOKE_FLAKY_SKIP},
	{0},
};

static const struct option_row which_rows[] = {
	{"config", SMOKE_OPT_CONFIG, "FILE",
	 .help = "boots that a YAML file lists, as a matrix (docs/guide/smoke.md)", .common = true},
	{"kvm-unit-tests", SMOKE_OPT_KVM_UNIT_TESTS, "DIR",
	 .help = "the tests of DIR's unittests.cfg (docs/guide/kvm-unit-tests.md)"},
	{"list", SMOKE_OPT_LIST, NULL, .help = "print the names of the boots, and boot none"},
	{"only", SMOKE_OPT_ONLY, "PATTERN",
	 .help = "boot those whose name matches alone, as 'distro/*/cpus=2'; repeatable"},
	{"shard", SMOKE_OPT_SHARD, "I/N", .help = "boot the I-th of N parts of them"},
	{"repeat", SMOKE_OPT_REPEAT, "N", .help = "boot each N times, as NAME/repeat=1 and so on"},
	{"bisect", SMOKE_OPT_BISECT, NULL,
	 .help = "end with a status for `git bisect run`: 0 good, 1 bad, 125 skip"},
	{"flaky", SMOKE_OPT_FLAKY, "HOW",
	 .help = "with --bisect, repeats that differ are bad (default), good or skip",
	 flaky_values},
	{"fail-fast", SMOKE_OPT_FAIL_FAST, NULL, .help = "end the run when a boot does not pass"},
	{"jobs", 'j', "N", .help = "boots side by side (default: as many as the CPUs hold)",
	 .common = true},
	{0},
};
static const struct option_group which_group = {"Which boots", which_rows};

static const struct option_row report_rows[] = {
	{"junit", SMOKE_OPT_JUNIT, "FILE",
	 .help = "write a report: JUnit XML; - for standard output", .common = true},
	{"tap", SMOKE_OPT_TAP, "FILE", .help = "the same as TAP"},
	{"suite", SMOKE_OPT_SUITE, "NAME",
	 .help = "the reports' name of this run (default 'tollgate smoke')"},
	{"property", SMOKE_OPT_PROPERTY, "NAME=VALUE",
	 .help = "for JUnit and JSON, as a commit or a branch; repeatable"},
	{"json", SMOKE_OPT_JSON, "FILE", .help = "the same as JSON, with all there is",
	 .common = true},
	{"boot-chart", SMOKE_OPT_BOOT_CHART, "FILE", .help = "draw where the time went, as SVG"},
	{"log-dir", SMOKE_OPT_LOG_DIR, "DIR", .help = "write each console there, with time stamps",
	 .common = true},
	{"log-limit", SMOKE_OPT_LOG_LIMIT, "SIZE", .help = "limit of each log (default 64M)"},
	{"core-dir", SMOKE_OPT_CORE_DIR, "DIR",
	 .help = "write the memory and registers of each guest that fails there, for\n"
		 "gdb, crash and drgn"},
	{0},
};
static const struct option_group report_group = {"Reports", report_rows};

static const struct option_group *const groups[] = {
	&judge_group,
	&which_group,
	&report_group,
	&config_kernel_group,
	&config_fault_group,
	&config_sandbox_group,
	&config_initramfs_group,
	&config_machine_group,
	CONFIG_DEVICE_GROUPS,
	&option_help_group,
	NULL,
};
const struct option_table config_smoke_table = {
	.command = "smoke",
	.about = "usage: tollgate smoke [OPTIONS] [KERNEL...]\n"
		 "       tollgate smoke --config FILE [OPTIONS] [KERNEL...]\n"
		 "\n"
		 "Boots each KERNEL, or the built-in test kernel, and judges it: by what it "
		 "prints, by how it\n"
		 "ends, and by the clock.\n",
	.group = groups,
	.after = "Exit status, of the first boot that did not pass: 0 all passed, the guest's own "
		 "code, 2 set-up\n"
		 "error, 110 unclaimed access, 111 failed tests, 112 panic, 113 triple fault, "
		 "114 reset,\n"
		 "115 KVM error, 116 killed, 117 timeout, 118 stall, 119 expectation missed, 120 "
		 "rejected\n"
		 "pattern, 121 phase timeout, 122 halted; 123, whatever the boots did: a report or "
		 "a "
		 "log\n"
		 "could not be written.\n",
	.operands = "KERNEL",
};

const struct option_row *config_smoke_option(const char *name)
{
	const struct option_row *row = option_table_find(&config_smoke_table, name);

	if (row && (row->opt == OPTION_HELP ||
		    (row->opt >= SMOKE_OPT_CONFIG && row->opt <= SMOKE_OPT_LIST)))
		return NULL;
	return row;
}

static int offer_name(const struct option_group *group, const struct option_row *row, void *arg)
{
	(void)group;
	if (config_smoke_option(row->name))
		suggest_offer(arg, row->name);
	return 0;
}

void config_smoke_suggest(const char *name, struct diag *diag)
{
	static const char *const keys[] = {"boots", "kernel", "name", "matrix"};
	struct suggest suggest;

	suggest_init(&suggest, name, strlen(name));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		suggest_offer(&suggest, keys[i]);
	option_table_each(&config_smoke_table, offer_name, &suggest);
	if (suggest.best)
		diag_remedy(diag, "did you mean '%s'?", suggest.best);
}

static int parse_jobs(struct smoke_run_opts *run, const char *arg, struct diag *diag)
{
	uint64_t n = 0;
	const int r = option_u64("--jobs", arg, 1, JOBS_MAX, &n, diag);

	run->jobs = (unsigned)n;
	return r;
}

static int parse_log_limit(struct smoke_run_opts *run, const char *arg, struct diag *diag)
{
	uint64_t bytes = 0;
	const int r = option_size("--log-limit", arg, &bytes, diag);

	if (r < 0)
		return r;
	if (bytes < LOG_LIMIT_MIN_BYTES) {
		diag_set(diag, -EINVAL, "log-limit-min", "--log-limit %s is less than 1K", arg);
		option_size_remedy("--log-limit", arg, LOG_LIMIT_MIN_BYTES, diag);
		return -EINVAL;
	}
	run->log_limit_bytes = bytes;
	return 0;
}

static int add_only(struct smoke_run_opts *run, const char *arg, struct diag *diag)
{
	if (run->nr_only == SMOKE_ONLY_MAX)
		return diag_set(diag, -EINVAL, "only-count", "--only '%s': more than %d patterns",
				arg, SMOKE_ONLY_MAX);
	run->only[run->nr_only++] = arg;
	return 0;
}

static int add_property(struct smoke_run_opts *run, const char *arg, struct diag *diag)
{
	const char *equals = strchr(arg, '=');

	if (!equals || equals == arg) {
		diag_set(diag, -EINVAL, "property-form", "--property '%s' is not NAME=VALUE", arg);
		diag_remedy(diag, "as in --property commit=0123abc");
		return -EINVAL;
	}
	if (run->nr_properties == SMOKE_PROPERTIES_MAX)
		return diag_set(diag, -EINVAL, "property-count", "--property '%s': more than %d",
				arg, SMOKE_PROPERTIES_MAX);
	run->property[run->nr_properties++] = arg;
	return 0;
}

static int take_flaky(struct smoke_run_opts *run, const char *arg, struct diag *diag)
{
	int how = 0;
	const int r = option_choice("--flaky", arg, flaky_values, &how, diag);

	run->flaky = (enum smoke_flaky)how;
	run->has_flaky = true;
	return r;
}

bool config_smoke_is_of_run(int opt)
{
	return opt == 'j' || (opt >= SMOKE_OPT_JUNIT && opt <= SMOKE_OPT_SHARD);
}

int config_smoke_run_option(struct smoke_run_opts *run, int opt, const char *arg, struct diag *diag)
{
	switch (opt) {
	case 'j': return parse_jobs(run, arg, diag);
	case SMOKE_OPT_JUNIT: run->report[SMOKE_REPORT_JUNIT] = arg; return 0;
	case SMOKE_OPT_TAP: run->report[SMOKE_REPORT_TAP] = arg; return 0;
	case SMOKE_OPT_JSON: run->report[SMOKE_REPORT_JSON] = arg; return 0;
	case SMOKE_OPT_BOOT_CHART: run->report[SMOKE_REPORT_CHART] = arg; return 0;
	case SMOKE_OPT_LOG_DIR: run->log_dir = arg; return 0;
	case SMOKE_OPT_CORE_DIR: run->core_dir = arg; return 0;
	case SMOKE_OPT_LOG_LIMIT: return parse_log_limit(run, arg, diag);
	case SMOKE_OPT_SUITE: run->suite = arg; return 0;
	case SMOKE_OPT_PROPERTY: return add_property(run, arg, diag);
	case SMOKE_OPT_ONLY: return add_only(run, arg, diag);
	case SMOKE_OPT_BISECT: run->bisect = true; return 0;
	case SMOKE_OPT_FLAKY: return take_flaky(run, arg, diag);
	case SMOKE_OPT_FAIL_FAST: run->fail_fast = true; return 0;
	case SMOKE_OPT_SHARD: return config_smoke_shard(run, arg, diag);
	default: return 0;
	}
}

/* What the command line says. */
struct command_line {
	struct config_smoke_settings boot, run; /* options of each boot, and of the run */
	const char *config, *unittests;
	bool list;
};

static int line_take_option(struct command_line *line, int opt, const char *arg, struct diag *diag)
{
	int r;

	if (opt == SMOKE_OPT_CONFIG) {
		line->config = arg;
		return 0;
	}
	if (opt == SMOKE_OPT_KVM_UNIT_TESTS) {
		line->unittests = arg;
		return 0;
	}
	if (opt == SMOKE_OPT_LIST) {
		line->list = true;
		return 0;
	}
	r = config_smoke_settings_add(config_smoke_is_of_run(opt) ? &line->run : &line->boot, opt,
				      arg);
	return r < 0 ? diag_set(diag, r, "smoke-settings-memory", "options") : 0;
}

static int parse_options(struct command_line *line, int argc, char *argv[], struct diag *diag)
{
	struct option_reader reader;
	const char *arg;
	int opt, r;

	option_reader_init(&reader, &config_smoke_table, argc, argv, false);
	while ((r = option_reader_next(&reader, &opt, &arg, diag)) > 0) {
		if (opt == OPTION_HELP || opt == OPTION_HELP_ALL)
			return opt;
		r = line_take_option(line, opt, arg, diag);
		if (r < 0)
			return r;
	}
	return r;
}

const char *config_smoke_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* The file's name, unless a kernel in another place has the same; then the path as it was given. */
static const char *kernel_name(char *const *kernel, unsigned nr, unsigned i)
{
	for (unsigned k = 0; k < nr; k++)
		if (strcmp(kernel[k], kernel[i]) != 0 &&
		    strcmp(config_smoke_base_name(kernel[k]), config_smoke_base_name(kernel[i])) ==
			    0)
			return kernel[i];
	return config_smoke_base_name(kernel[i]);
}

static int add_specs(struct smoke_suite *suite, const struct config_smoke_settings *settings,
		     char *const *kernel, unsigned nr, struct diag *diag)
{
	int r = 0;

	if (nr == 0) {
		const struct config_smoke_boot boot = {
			.name = "self-test", .settings = settings, .times = 1};

		return config_smoke_add(suite, &boot, diag);
	}
	for (unsigned i = 0; r == 0 && i < nr; i++) {
		struct config_smoke_boot boot = {.name = kernel_name(kernel, nr, i),
						 .kernel = kernel[i],
						 .settings = settings};

		for (unsigned k = 0; k < nr; k++) {
			if (strcmp(kernel[k], kernel[i]) != 0)
				continue;
			boot.nth += k < i;
			boot.times++;
		}
		r = config_smoke_add(suite, &boot, diag);
	}
	return r;
}

static int run_opts_check(const struct smoke_run_opts *run, struct diag *diag)
{
	for (unsigned i = 0; i < SMOKE_REPORTS; i++) {
		for (unsigned k = 0; k < i; k++) {
			if (!run->report[i] || !run->report[k] ||
			    strcmp(run->report[i], run->report[k]) != 0)
				continue;
			diag_set(diag, -EINVAL, "report-twice",
				 "two reports are to be written to '%s'", run->report[i]);
			diag_remedy(diag, "give each a file of its own");
			return -EINVAL;
		}
	}
	if (run->has_flaky && !run->bisect) {
		diag_set(diag, -EINVAL, "flaky-without-bisect", "--flaky without --bisect");
		diag_remedy(diag, "add --bisect, and --repeat N");
		return -EINVAL;
	}
	if (run->log_limit_bytes != DEFAULT_LOG_LIMIT_BYTES && !run->log_dir) {
		diag_set(diag, -EINVAL, "log-limit-without-dir", "--log-limit without --log-dir");
		diag_remedy(diag, "add --log-dir DIR, where the logs are written");
		return -EINVAL;
	}
	return 0;
}

static int add_boots(struct smoke_suite *suite, const struct command_line *line,
		     char *const *kernel, unsigned nr, struct diag *diag)
{
	if (line->unittests && (line->config || nr)) {
		diag_set(diag, -EINVAL, "unittests-alone", "--kvm-unit-tests with %s",
			 line->config ? "--config" : "a kernel");
		diag_remedy(diag, "its directory has the kernels, and says how each is run");
		return -EINVAL;
	}
	if (line->unittests)
		return config_smoke_unittests(suite, line->unittests, &line->boot, diag);
	return line->config
		       ? config_smoke_matrix(suite, line->config, &line->boot, kernel, nr, diag)
		       : add_specs(suite, &line->boot, kernel, nr, diag);
}

/* The run's own options of the command line come last, so that they win over the file's. */
static int make_suite(struct smoke_suite *suite, const struct command_line *line,
		      char *const *kernel, unsigned nr, struct diag *diag)
{
	int r = add_boots(suite, line, kernel, nr, diag);

	suite->run.list = line->list;
	suite->run.config = line->config;
	for (size_t i = 0; r == 0 && i < line->run.nr; i++)
		r = config_smoke_run_option(&suite->run, line->run.setting[i].opt,
					    line->run.setting[i].arg, diag);
	if (r == 0)
		r = run_opts_check(&suite->run, diag);
	return r < 0 ? r : config_smoke_select(suite, diag);
}

int config_parse_smoke(struct smoke_suite *suite, int argc, char *argv[], struct diag *diag)
{
	struct command_line line = {0};
	int r;

	*suite = (struct smoke_suite){
		.run = {.log_limit_bytes = DEFAULT_LOG_LIMIT_BYTES, .suite = DEFAULT_SUITE}};
	r = parse_options(&line, argc, argv, diag);
	if (r == 0)
		r = make_suite(suite, &line, argv + optind, (unsigned)(argc - optind), diag);
	config_smoke_settings_fini(&line.boot);
	config_smoke_settings_fini(&line.run);
	if (r != 0) {
		char *left_out = STEAL_PTR(suite->left_out);

		config_smoke_fini(suite);
		suite->left_out = left_out;
	}
	return r;
}

void config_smoke_fini(struct smoke_suite *suite)
{
	for (unsigned i = 0; i < suite->nr; i++) {
		config_smoke_spec_fini(suite->spec[i]);
		free(suite->spec[i]);
	}
	free(suite->spec);
	config_smoke_matrix_fini(suite->matrix);
	config_smoke_unittests_fini(suite->unittests);
	free(suite->left_out);
	*suite = (struct smoke_suite){0};
}
