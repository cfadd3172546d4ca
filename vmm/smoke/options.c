#include "smoke/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/option.h"
#include "base/parse.h"
#include "base/suggest.h"
#include "config/exits.h"
#include "smoke/child.h"
#include "smoke/judge/text.h"
#include "smoke/matrix.h"

#define DEFAULT_TIMEOUT_NS      (300 * NS_PER_S)
#define DEFAULT_STALL_NS        (60 * NS_PER_S)
#define DEFAULT_LOG_LIMIT_BYTES (UINT64_C(64) << 20)
#define LOG_LIMIT_MIN_BYTES     UINT64_C(1024)
#define DEFAULT_GRACE_NS        (2 * NS_PER_S)

enum { JOBS_MAX = 1000, NAME_BYTES_MAX = 512 };

enum {
	OPT_NO_DEFAULT_REJECTS = CONFIG_OPT_OWN,
	OPT_REJECT_WARNINGS,
	OPT_TIMEOUT,
	OPT_STALL,
	OPT_PHASE_TIMEOUT,
	OPT_GRACE,
	OPT_JUNIT, /* from here to OPT_LOG_LIMIT the run's */
	OPT_TAP,
	OPT_JSON,
	OPT_BOOT_CHART,
	OPT_LOG_DIR,
	OPT_LOG_LIMIT,
	OPT_CONFIG, /* these two are the command line's alone */
	OPT_LIST,
};

static const struct option_row judge_rows[] = {
	{"expect", 'e', "REGEX",
	 .help = "must be seen\n"
		 "Given several times: in this order. The boot passes when the last\n"
		 "one is seen; without any, when the guest ends well",
	 .common = true},
	{"reject", 'r', "REGEX", .help = "must not be seen", .common = true},
	{"no-default-rejects", OPT_NO_DEFAULT_REJECTS, NULL,
	 .help = "allow panics, BUGs, oopses, lockups, RCU stalls, hung tasks"},
	{"reject-warnings", OPT_REJECT_WARNINGS, NULL, .help = "refuse kernel WARNINGs too"},
	{"timeout", OPT_TIMEOUT, "SECONDS", .help = "for the whole boot (default 300; 0: none)",
	 .common = true},
	{"stall", OPT_STALL, "SECONDS",
	 .help = "of silence (default 60, with --run none; 0: none)"},
	{"phase-timeout", OPT_PHASE_TIMEOUT, "NAME=REGEX:SECONDS",
	 .help = "REGEX must be seen so soon after the phase before"},
	{"grace", OPT_GRACE, "SECONDS",
	 .help = "at most so long for the rest of a panic (default 2)"},
	{0},
};
static const struct option_group judge_group = {"How a boot is judged", judge_rows};

static const struct option_row which_rows[] = {
	{"config", OPT_CONFIG, "FILE",
	 .help = "boots that a YAML file lists, as a matrix (docs/guide/smoke.md)", .common = true},
	{"list", OPT_LIST, NULL, .help = "print the names of the boots, and boot none"},
	{"jobs", 'j', "N", .help = "boots side by side (default: as many as the CPUs hold)",
	 .common = true},
	{0},
};
static const struct option_group which_group = {"Which boots", which_rows};

static const struct option_row report_rows[] = {
	{"junit", OPT_JUNIT, "FILE", .help = "write a report: JUnit XML; - for standard output",
	 .common = true},
	{"tap", OPT_TAP, "FILE", .help = "the same as TAP"},
	{"json", OPT_JSON, "FILE", .help = "the same as JSON, with all there is", .common = true},
	{"boot-chart", OPT_BOOT_CHART, "FILE", .help = "draw where the time went, as SVG"},
	{"log-dir", OPT_LOG_DIR, "DIR", .help = "write each console there, with time stamps",
	 .common = true},
	{"log-limit", OPT_LOG_LIMIT, "SIZE", .help = "at most so much a boot (default 64M)"},
	{0},
};
static const struct option_group report_group = {"Reports", report_rows};

static const struct option_group *const groups[] = {
	&judge_group,
	&which_group,
	&report_group,
	&config_kernel_group,
	&config_initramfs_group,
	&config_machine_group,
	&config_device_group,
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
		 "error, 112 panic, 113 triple fault, 114 reset, 115 KVM error, 116 killed, 117 "
		 "timeout,\n"
		 "118 stall, 119 expectation missed, 120 rejected pattern, 121 phase timeout, 122 "
		 "halted;\n"
		 "123, whatever the boots did: a report or a log could not be written.\n",
	.operands = "KERNEL",
};

/* A spec while its words are taken. */
struct builder {
	struct smoke_spec *spec;
	bool no_defaults, warnings;
};

static int add_rule(struct smoke_spec *spec, enum smoke_rule_kind kind, const char *option,
		    const char *pattern, struct diag *diag)
{
	const struct smoke_rule_opts opts = {.kind = kind, .pattern = pattern, .option = option};

	return smoke_rules_add(&spec->rules, &opts, diag);
}

/* NAME=REGEX:SECONDS, where the first '=' and the last ':' count. */
static int add_phase(struct smoke_spec *spec, const char *arg, struct diag *diag)
{
	AUTO_FREE char *name = strdup(arg);
	char *pattern = name ? strchr(name, '=') : NULL;
	char *seconds = pattern ? strrchr(pattern, ':') : NULL;
	char clean[NAME_BYTES_MAX];
	struct smoke_rule_opts opts = {.kind = SMOKE_RULE_PHASE, .option = "--phase-timeout"};

	if (!name)
		return diag_set(diag, -ENOMEM, "--phase-timeout");
	if (!pattern || !seconds || pattern == name) {
		diag_set(diag, -EINVAL, "--phase-timeout '%s' is not NAME=REGEX:SECONDS", arg);
		diag_remedy(diag, "as in --phase-timeout 'init=Run /init:10'");
		return -EINVAL;
	}
	*pattern++ = *seconds++ = '\0';
	if (parse_seconds_ns(seconds, &opts.limit_ns) < 0 || opts.limit_ns == 0)
		return diag_set(diag, -EINVAL,
				"--phase-timeout '%s': '%s' is not a number of seconds above 0",
				arg, seconds);
	smoke_text_clean(name, clean, sizeof(clean));
	opts.name = clean;
	opts.pattern = pattern;
	return smoke_rules_add(&spec->rules, &opts, diag);
}

/* A word that says what to boot, not how to judge it; 1 for another one. */
static int take_vm_word(struct config *config, int opt, const char *arg, struct diag *diag)
{
	int r = config_kernel_option(config, opt, arg, diag);

	if (r == 1)
		r = config_initramfs_option(&config->initramfs, opt, arg, diag);
	return r == 1 ? config_machine_option(config, opt, arg, diag) : r;
}

static int builder_take_option(struct builder *b, const struct config_smoke_word *word,
			       struct diag *diag)
{
	struct smoke_spec *spec = b->spec;

	switch (word->opt) {
	case 'e': return add_rule(spec, SMOKE_RULE_EXPECT, "--expect", word->arg, diag);
	case 'r': return add_rule(spec, SMOKE_RULE_REJECT, "--reject", word->arg, diag);
	case OPT_NO_DEFAULT_REJECTS: b->no_defaults = true; return 0;
	case OPT_REJECT_WARNINGS: b->warnings = true; return 0;
	case OPT_TIMEOUT:
		return option_seconds("--timeout", word->arg, true, &spec->timeout_ns, diag);
	case OPT_STALL: return option_seconds("--stall", word->arg, true, &spec->stall_ns, diag);
	case OPT_PHASE_TIMEOUT: return add_phase(spec, word->arg, diag);
	case OPT_GRACE: return option_seconds("--grace", word->arg, true, &spec->grace_ns, diag);
	default: return take_vm_word(&spec->config, word->opt, word->arg, diag);
	}
}

static const struct option_row *row_of(int opt)
{
	for (const struct option_group *const *group = groups; *group; group++)
		for (const struct option_row *row = (*group)->row; row->name; row++)
			if (row->opt == opt)
				return row;
	return NULL;
}

static bool is_of_judge(int opt)
{
	return opt == 'e' || opt == 'r' || (opt >= OPT_NO_DEFAULT_REJECTS && opt <= OPT_GRACE);
}

/* As a command line has them: every word by its long name, then the kernel. */
static int pack(const struct config_smoke_words *words, const char *kernel, struct smoke_spec *spec,
		struct diag *diag)
{
	FILE *f = open_memstream(&spec->args, &spec->args_len);

	for (size_t i = 0; f && i < words->nr; i++) {
		const struct config_smoke_word *word = &words->word[i];
		const struct option_row *row = row_of(word->opt);

		if (row && !is_of_judge(word->opt))
			fprintf(f, "--%s%s%s%c", row->name, word->arg ? "=" : "",
				word->arg ? word->arg : "", '\0');
	}
	if (f && kernel)
		fprintf(f, "--%c%s%c", '\0', kernel, '\0');
	if (!f || fclose(f) != 0)
		return diag_set(diag, -ENOMEM, "boot '%s'", spec->name);
	return 0;
}

/* The strings of args as argv, behind a name; the caller frees it. NULL: no memory. */
static char **split_args(char *args, size_t len, int *ret_argc)
{
	static char name[] = "boot";
	char **argv;
	int argc = 1;

	for (size_t i = 0; i < len; i++)
		argc += args[i] == '\0';
	argv = calloc((size_t)argc + 1, sizeof(*argv));
	if (!argv)
		return NULL;
	*ret_argc = argc;
	argv[0] = name;
	for (int i = 1; i < argc; i++, args += strlen(args) + 1)
		argv[i] = args;
	return argv;
}

int config_smoke_unpack(char *args, size_t len, struct config *config, struct diag *diag)
{
	struct option_reader reader;
	const char *arg;
	int opt, r, argc = 0;
	AUTO_FREE char **argv = split_args(args, len, &argc);

	if (!argv)
		return diag_set(diag, -ENOMEM, "options of a boot");
	config_init(config);
	option_reader_init(&reader, &config_smoke_table, argc, argv, false);
	while ((r = option_reader_next(&reader, &opt, &arg, diag)) > 0) {
		r = take_vm_word(config, opt, arg, diag);
		if (r != 0)
			return r < 0 ? r : diag_set(diag, -EINVAL, "option %d is not of a VM", opt);
	}
	if (r == 0 && optind < argc)
		config->kernel = argv[optind];
	return r;
}

/* What every boot is held against beside its own words. */
static int add_standing_rules(const struct builder *b, struct diag *diag)
{
	int r = add_rule(b->spec, SMOKE_RULE_INIT, "default pattern", "Run /\\S+ as init process",
			 diag);

	if (r == 0 && b->no_defaults && b->warnings) {
		diag_set(diag, -EINVAL,
			 "--reject-warnings adds to what --no-default-rejects takes");
		diag_remedy(diag, "--reject 'WARNING: ' rejects warnings alone");
		return -EINVAL;
	}
	if (r == 0 && !b->no_defaults)
		r = smoke_rules_add_defaults(&b->spec->rules, b->warnings, diag);
	return r;
}

/* Names go into reports, logs and terminals. */
static char *clean_name(const char *name)
{
	char clean[NAME_BYTES_MAX];

	smoke_text_clean(name, clean, sizeof(clean));
	return strdup(clean);
}

/* What depends on more than one word. A command may be busy for long without a word. */
static void spec_complete(struct smoke_spec *spec)
{
	spec->wants_status = spec->config.initramfs.run != NULL;
	if (spec->stall_ns < 0)
		spec->stall_ns = spec->wants_status ? 0 : DEFAULT_STALL_NS;
}

int config_smoke_spec(const char *name, const char *kernel, const struct config_smoke_words *words,
		      struct smoke_spec *ret, struct diag *diag)
{
	struct builder b = {.spec = ret};
	int r = 0;

	*ret = (struct smoke_spec){
		.name = clean_name(name),
		.timeout_ns = DEFAULT_TIMEOUT_NS,
		.stall_ns = -1,
		.grace_ns = DEFAULT_GRACE_NS,
	};
	if (!ret->name)
		return diag_set(diag, -ENOMEM, "boot '%s'", name);
	config_init(&ret->config);
	smoke_child_connect(&ret->config);
	ret->config.kernel = kernel;
	for (size_t i = 0; r == 0 && i < words->nr; i++)
		r = builder_take_option(&b, &words->word[i], diag);
	if (r == 0)
		r = config_exits_check(&ret->config, diag);
	if (r == 0)
		r = config_check_kernel(&ret->config, diag);
	if (r == 0)
		r = pack(words, kernel, ret, diag);
	if (r == 0)
		r = add_standing_rules(&b, diag);
	spec_complete(ret);
	if (r < 0)
		config_smoke_spec_fini(ret);
	return r;
}

void config_smoke_spec_fini(struct smoke_spec *spec)
{
	smoke_rules_fini(&spec->rules);
	free(spec->name);
	free(spec->args);
	spec->name = spec->args = NULL;
}

int config_smoke_words_add(struct config_smoke_words *words, int opt, const char *arg)
{
	if (words->nr == words->room) {
		const size_t room = words->room ? 2 * words->room : 16;
		void *more = reallocarray(words->word, room, sizeof(*words->word));

		if (!more)
			return -ENOMEM;
		words->word = more;
		words->room = room;
	}
	words->word[words->nr++] = (struct config_smoke_word){.opt = opt, .arg = arg};
	return 0;
}

int config_smoke_words_append(struct config_smoke_words *words,
			      const struct config_smoke_words *more)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < more->nr; i++)
		r = config_smoke_words_add(words, more->word[i].opt, more->word[i].arg);
	return r;
}

void config_smoke_words_fini(struct config_smoke_words *words)
{
	free(words->word);
	*words = (struct config_smoke_words){0};
}

const struct option_row *config_smoke_option(const char *name)
{
	const struct option_row *row = option_table_find(&config_smoke_table, name);

	if (row && (row->opt == OPTION_HELP || row->opt == OPT_CONFIG || row->opt == OPT_LIST))
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
		diag_set(diag, -EINVAL, "--log-limit %s is less than 1K", arg);
		option_size_remedy("--log-limit", arg, LOG_LIMIT_MIN_BYTES, diag);
		return -EINVAL;
	}
	run->log_limit_bytes = bytes;
	return 0;
}

bool config_smoke_is_of_run(int opt)
{
	return opt == 'j' || (opt >= OPT_JUNIT && opt <= OPT_LOG_LIMIT);
}

int config_smoke_run_option(struct smoke_run_opts *run, int opt, const char *arg, struct diag *diag)
{
	switch (opt) {
	case 'j': return parse_jobs(run, arg, diag);
	case OPT_JUNIT: run->report[SMOKE_REPORT_JUNIT] = arg; return 0;
	case OPT_TAP: run->report[SMOKE_REPORT_TAP] = arg; return 0;
	case OPT_JSON: run->report[SMOKE_REPORT_JSON] = arg; return 0;
	case OPT_BOOT_CHART: run->report[SMOKE_REPORT_CHART] = arg; return 0;
	case OPT_LOG_DIR: run->log_dir = arg; return 0;
	case OPT_LOG_LIMIT: return parse_log_limit(run, arg, diag);
	default: return 0;
	}
}

/* What the command line says. */
struct command_line {
	struct config_smoke_words boot, run; /* options of each boot, and of the run */
	const char *config;
	bool list;
};

static int line_take_option(struct command_line *line, int opt, const char *arg, struct diag *diag)
{
	int r;

	if (opt == OPT_CONFIG) {
		line->config = arg;
		return 0;
	}
	if (opt == OPT_LIST) {
		line->list = true;
		return 0;
	}
	r = config_smoke_words_add(config_smoke_is_of_run(opt) ? &line->run : &line->boot, opt,
				   arg);
	return r < 0 ? diag_set(diag, r, "options") : 0;
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

/* The file's name, unless another kernel has the same; then the path as it was given. */
static const char *kernel_name(char *const *kernel, unsigned nr, unsigned i)
{
	for (unsigned k = 0; k < nr; k++)
		if (k != i && strcmp(config_smoke_base_name(kernel[k]),
				     config_smoke_base_name(kernel[i])) == 0)
			return kernel[i];
	return config_smoke_base_name(kernel[i]);
}

static int check_different(char *const *kernel, unsigned nr, struct diag *diag)
{
	for (unsigned i = 0; i < nr; i++) {
		for (unsigned k = 0; k < i; k++) {
			if (strcmp(kernel[i], kernel[k]) != 0)
				continue;
			diag_set(diag, -EINVAL, "'%s' is given twice", kernel[i]);
			return -EINVAL;
		}
	}
	return 0;
}

static int add_specs(struct smoke_plan *plan, const struct config_smoke_words *words,
		     char *const *kernel, unsigned nr, struct diag *diag)
{
	const unsigned boots = nr ? nr : 1;
	int r = check_different(kernel, nr, diag);

	if (r < 0)
		return r;
	plan->spec = calloc(boots, sizeof(*plan->spec));
	if (!plan->spec)
		return diag_set(diag, -ENOMEM, "%u boots", boots);
	for (unsigned i = 0; r == 0 && i < boots; i++) {
		r = config_smoke_spec(nr ? kernel_name(kernel, nr, i) : "self-test",
				      nr ? kernel[i] : NULL, words, &plan->spec[i], diag);
		if (r == 0)
			plan->nr++;
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
			diag_set(diag, -EINVAL, "two reports are to be written to '%s'",
				 run->report[i]);
			diag_remedy(diag, "give each a file of its own");
			return -EINVAL;
		}
	}
	if (run->log_limit_bytes != DEFAULT_LOG_LIMIT_BYTES && !run->log_dir) {
		diag_set(diag, -EINVAL, "--log-limit without --log-dir");
		diag_remedy(diag, "add --log-dir DIR, where the logs are written");
		return -EINVAL;
	}
	return 0;
}

/* The run's own options of the command line come last, so that they win over the file's. */
static int make_plan(struct smoke_plan *plan, const struct command_line *line, char *const *kernel,
		     unsigned nr, struct diag *diag)
{
	int r = line->config
			? config_smoke_matrix(plan, line->config, &line->boot, kernel, nr, diag)
			: add_specs(plan, &line->boot, kernel, nr, diag);

	plan->run.list = line->list;
	plan->run.config = line->config;
	for (size_t i = 0; r == 0 && i < line->run.nr; i++)
		r = config_smoke_run_option(&plan->run, line->run.word[i].opt,
					    line->run.word[i].arg, diag);
	return r < 0 ? r : run_opts_check(&plan->run, diag);
}

int config_parse_smoke(struct smoke_plan *plan, int argc, char *argv[], struct diag *diag)
{
	struct command_line line = {0};
	int r;

	*plan = (struct smoke_plan){.run.log_limit_bytes = DEFAULT_LOG_LIMIT_BYTES};
	r = parse_options(&line, argc, argv, diag);
	if (r == 0)
		r = make_plan(plan, &line, argv + optind, (unsigned)(argc - optind), diag);
	config_smoke_words_fini(&line.boot);
	config_smoke_words_fini(&line.run);
	if (r != 0)
		config_smoke_fini(plan);
	return r;
}

void config_smoke_fini(struct smoke_plan *plan)
{
	for (unsigned i = 0; i < plan->nr; i++)
		config_smoke_spec_fini(&plan->spec[i]);
	free(plan->spec);
	config_smoke_matrix_fini(plan->matrix);
	*plan = (struct smoke_plan){0};
}
