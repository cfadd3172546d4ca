/*
 * spec.c - one boot from its settings: what is booted, and how it is judged; and what its process is handed of them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/option.h"
#include "base/parse.h"
#include "smoke/child.h"
#include "smoke/judge/text.h"
#include "smoke/options/internal.h"

#define DEFAULT_TIMEOUT_NS (300 * NS_PER_S)
#define DEFAULT_STALL_NS   (60 * NS_PER_S)
#define DEFAULT_GRACE_NS   (2 * NS_PER_S)

enum { NAME_BYTES_MAX = 512 };

/* A spec while its settings are taken. */
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
		return diag_set(diag, -ENOMEM, "phase-memory", "--phase-timeout");
	if (!pattern || !seconds || pattern == name) {
		diag_set(diag, -EINVAL, "phase-form",
			 "--phase-timeout '%s' is not NAME=REGEX:SECONDS", arg);
		diag_remedy(diag, "as in --phase-timeout 'init=Run /init:10'");
		return -EINVAL;
	}
	*pattern++ = *seconds++ = '\0';
	if (parse_seconds_ns(seconds, &opts.limit_ns) < 0 || opts.limit_ns == 0)
		return diag_set(diag, -EINVAL, "phase-seconds",
				"--phase-timeout '%s': '%s' is not a number of seconds above 0",
				arg, seconds);
	smoke_text_clean(name, clean, sizeof(clean));
	opts.name = clean;
	opts.pattern = pattern;
	return smoke_rules_add(&spec->rules, &opts, diag);
}

/* A setting that says what to boot, not how to judge it; 1 for another one. */
static int take_vm_setting(struct config *config, int opt, const char *arg, struct diag *diag)
{
	int r = config_kernel_option(config, opt, arg, diag);

	if (r == 1)
		r = config_initramfs_option(&config->initramfs, opt, arg, diag);
	return r == 1 ? config_machine_option(config, opt, arg, diag) : r;
}

static int take_repeat(struct smoke_spec *spec, const char *arg, struct diag *diag)
{
	uint64_t n = 0;
	const int r = option_u64("--repeat", arg, 1, SMOKE_BOOTS_MAX, &n, diag);

	if (r == 0)
		spec->repeats = (unsigned)n;
	return r;
}

const struct option_value config_smoke_end_values[] = {
	{"poweroff", VM_END_POWEROFF},
	{"panic", VM_END_PANIC},
	{"reset", VM_END_RESET},
	{"triple-fault", VM_END_TRIPLE_FAULT},
	{"halted", VM_END_HALTED},
	{"timeout", VM_END_TIMEOUT},
	{"unclaimed", VM_END_UNCLAIMED},
	{"code=", VM_END_EXIT_CODE},
	{0},
};
const struct option_value config_smoke_exit_code_values[] = {
	{"guest", CONFIG_EXIT_CODE_GUEST},
	{"qemu", CONFIG_EXIT_CODE_QEMU},
	{0},
};

static int take_expect_end(struct smoke_spec *spec, const char *arg, struct diag *diag)
{
	const char *number = option_item_value(arg, "code");
	uint64_t code = 0;
	int kind = VM_END_EXIT_CODE;
	const int r =
		number ? option_u64("--expect-end code", number, 0, UINT32_MAX, &code, diag)
		       : option_choice("--expect-end", arg, config_smoke_end_values, &kind, diag);

	if (r < 0)
		return r;
	if (!number && kind == VM_END_EXIT_CODE)
		return diag_set(diag, -EINVAL, "expect-end-number",
				"--expect-end '%s' lacks a number, as code=3", arg);
	spec->wanted = (struct smoke_wanted_end){
		.kind = (enum vm_end_kind)kind,
		.code = (uint32_t)code,
	};
	return 0;
}

static int take_exit_code(struct smoke_spec *spec, const char *arg, struct diag *diag)
{
	int how = 0;
	const int r = option_choice("--exit-code", arg, config_smoke_exit_code_values, &how, diag);

	spec->qemu_codes = how == CONFIG_EXIT_CODE_QEMU;
	return r;
}

const struct option_value config_smoke_test_format_values[] = {
	{"ktap", false},
	{"kvm-unit-tests", true},
	{0},
};

static int take_test_format(struct smoke_spec *spec, const char *arg, struct diag *diag)
{
	int is_kvm_unit = false;
	const int r = option_choice("--test-format", arg, config_smoke_test_format_values,
				    &is_kvm_unit, diag);

	spec->kvm_unit_tests = is_kvm_unit;
	return r;
}

static int builder_take_option(struct builder *b, const struct config_smoke_setting *setting,
			       struct diag *diag)
{
	struct smoke_spec *spec = b->spec;

	switch (setting->opt) {
	case 'e': return add_rule(spec, SMOKE_RULE_EXPECT, "--expect", setting->arg, diag);
	case 'r': return add_rule(spec, SMOKE_RULE_REJECT, "--reject", setting->arg, diag);
	case SMOKE_OPT_NO_DEFAULT_REJECTS: b->no_defaults = true; return 0;
	case SMOKE_OPT_REJECT_WARNINGS: b->warnings = true; return 0;
	case SMOKE_OPT_TIMEOUT:
		return option_seconds("--timeout", setting->arg, true, &spec->timeout_ns, diag);
	case SMOKE_OPT_STALL:
		return option_seconds("--stall", setting->arg, true, &spec->stall_ns, diag);
	case SMOKE_OPT_PHASE_TIMEOUT: return add_phase(spec, setting->arg, diag);
	case SMOKE_OPT_GRACE:
		return option_seconds("--grace", setting->arg, true, &spec->grace_ns, diag);
	case SMOKE_OPT_REPEAT: return take_repeat(spec, setting->arg, diag);
	case SMOKE_OPT_EXPECT_END: return take_expect_end(spec, setting->arg, diag);
	case SMOKE_OPT_EXIT_CODE: return take_exit_code(spec, setting->arg, diag);
	case SMOKE_OPT_NO_TESTS: spec->no_tests = true; return 0;
	case SMOKE_OPT_TEST_FORMAT: return take_test_format(spec, setting->arg, diag);
	case SMOKE_OPT_ALLOW:
		return add_rule(spec, SMOKE_RULE_ALLOW, "--allow", setting->arg, diag);
	case SMOKE_OPT_ALLOW_FILE: return config_smoke_allow_file(spec, setting->arg, diag);
	case SMOKE_OPT_KEEP_GOING: spec->keep_going = true; return 0;
	default: return take_vm_setting(&spec->config, setting->opt, setting->arg, diag);
	}
}

static const struct option_row *row_of(int opt)
{
	for (const struct option_group *const *group = config_smoke_table.group; *group; group++)
		for (const struct option_row *row = (*group)->row; row->name; row++)
			if (row->opt == opt)
				return row;
	return NULL;
}

static bool is_of_judge(int opt)
{
	return opt == 'e' || opt == 'r' ||
	       (opt >= SMOKE_OPT_NO_DEFAULT_REJECTS && opt <= SMOKE_OPT_KEEP_GOING);
}

/* As a command line has them: every setting by its long name, then the kernel. */
static int pack(const struct config_smoke_settings *settings, const char *kernel,
		struct smoke_spec *spec, struct diag *diag)
{
	FILE *f = open_memstream(&spec->args, &spec->args_len);

	for (size_t i = 0; f && i < settings->nr; i++) {
		const struct config_smoke_setting *setting = &settings->setting[i];
		const struct option_row *row = row_of(setting->opt);

		if (row && !is_of_judge(setting->opt))
			fprintf(f, "--%s%s%s%c", row->name, setting->arg ? "=" : "",
				setting->arg ? setting->arg : "", '\0');
	}
	if (f && kernel)
		fprintf(f, "--%c%s%c", '\0', kernel, '\0');
	if (!f || fclose(f) != 0)
		return diag_set(diag, -ENOMEM, "spec-memory", "boot '%s'", spec->name);
	return 0;
}

/* The strings of args as argv, after a name; the caller frees it. NULL: no memory. */
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
		return diag_set(diag, -ENOMEM, "boot-options-memory", "options of a boot");
	config_init(config);
	option_reader_init(&reader, &config_smoke_table, argc, argv, false);
	while ((r = option_reader_next(&reader, &opt, &arg, diag)) > 0) {
		r = take_vm_setting(config, opt, arg, diag);
		if (r != 0)
			return r < 0 ? r
				     : diag_set(diag, -EINVAL, "boot-option-foreign",
						"option %d is not of a VM", opt);
	}
	if (r == 0 && optind < argc)
		config->kernel = argv[optind];
	return r;
}

/* Adds the rules that every boot is held against besides its own. */
static int add_standing_rules(const struct builder *b, struct diag *diag)
{
	int r = add_rule(b->spec, SMOKE_RULE_INIT, "default pattern", "Run /\\S+ as init process",
			 diag);

	if (r == 0 && b->no_defaults && b->warnings) {
		diag_set(diag, -EINVAL, "reject-warnings-alone",
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

/* Completes settings that depend on others. A command may be busy for long without any output. */
static int spec_complete(struct smoke_spec *spec, struct diag *diag)
{
	spec->wants_status = spec->config.initramfs.run != NULL;
	if (spec->stall_ns < 0)
		spec->stall_ns = spec->wants_status ? 0 : DEFAULT_STALL_NS;
	if (spec->wanted.kind == VM_END_TIMEOUT && spec->timeout_ns == 0) {
		diag_set(diag, -EINVAL, "expect-end-never",
			 "--expect-end timeout with --timeout 0, which never comes");
		diag_remedy(diag, "--timeout SECONDS is how long the guest is to run");
		return -EINVAL;
	}
	return 0;
}

/* A file that each boot would write anew, several at a time. */
static int refuse_captures(const struct config *config, struct diag *diag)
{
	for (unsigned i = 0; i < config->nr_nets; i++) {
		if (!config->net[i]->capture.path)
			continue;
		diag_set(diag, -EINVAL, "net-capture-smoke", "--net pcap=%s with smoke",
			 config->net[i]->capture.path);
		diag_remedy(diag, "boot that kernel alone: tollgate run");
		return -EINVAL;
	}
	return 0;
}

int config_smoke_spec(const char *name, const char *kernel,
		      const struct config_smoke_settings *settings, struct smoke_spec *ret,
		      struct diag *diag)
{
	struct builder b = {.spec = ret};
	int r = 0;

	*ret = (struct smoke_spec){
		.name = clean_name(name),
		.base = clean_name(name),
		.repeats = 1,
		.timeout_ns = DEFAULT_TIMEOUT_NS,
		.stall_ns = -1,
		.grace_ns = DEFAULT_GRACE_NS,
	};
	if (!ret->name || !ret->base) {
		config_smoke_spec_fini(ret);
		return diag_set(diag, -ENOMEM, "spec-memory", "boot '%s'", name);
	}
	config_init(&ret->config);
	smoke_child_connect(&ret->config);
	ret->config.kernel = kernel;
	for (size_t i = 0; r == 0 && i < settings->nr; i++)
		r = builder_take_option(&b, &settings->setting[i], diag);
	if (r == 0)
		r = config_check_kernel(&ret->config, diag);
	if (r == 0)
		r = refuse_captures(&ret->config, diag);
	if (r == 0)
		r = pack(settings, kernel, ret, diag);
	if (r == 0)
		r = add_standing_rules(&b, diag);
	if (r == 0)
		r = spec_complete(ret, diag);
	if (r < 0)
		config_smoke_spec_fini(ret);
	return r;
}

void config_smoke_spec_fini(struct smoke_spec *spec)
{
	config_fini(&spec->config);
	smoke_rules_fini(&spec->rules);
	free(spec->name);
	free(spec->base);
	free(spec->args);
	free(spec->core);
	spec->name = spec->base = spec->args = spec->core = NULL;
}

int config_smoke_settings_add(struct config_smoke_settings *settings, int opt, const char *arg)
{
	if (settings->nr == settings->cap) {
		const size_t cap = settings->cap ? 2 * settings->cap : 16;
		void *more = reallocarray(settings->setting, cap, sizeof(*settings->setting));

		if (!more)
			return -ENOMEM;
		settings->setting = more;
		settings->cap = cap;
	}
	settings->setting[settings->nr++] = (struct config_smoke_setting){.opt = opt, .arg = arg};
	return 0;
}

int config_smoke_settings_append(struct config_smoke_settings *settings,
				 const struct config_smoke_settings *more)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < more->nr; i++)
		r = config_smoke_settings_add(settings, more->setting[i].opt, more->setting[i].arg);
	return r;
}

void config_smoke_settings_fini(struct config_smoke_settings *settings)
{
	free(settings->setting);
	*settings = (struct config_smoke_settings){0};
}
