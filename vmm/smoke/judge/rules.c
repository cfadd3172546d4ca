#include "smoke/judge/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/macros.h"

/* KiB that the interpreter may use for one match; JIT-compiled code stays on its own 32 KiB. */
enum { MATCH_HEAP_KIB_MAX = 1024 };

/* Where a line begins, or after what printk() puts there: "[    1.234567] ", "<4>". */
#define AT_START "(^|\\] |<\\d>)"

/* From the sources of Linux 4.19 to 6.12: kernel/panic.c, lib/bug.c, arch/x86/kernel/dumpstack.c, … */
static const struct {
	enum smoke_rule_kind kind;
	bool warning;
	const char *name, *pattern;
} defaults[] = {
	{SMOKE_RULE_PANIC, false, "kernel panic", "Kernel panic - not syncing"},
	{SMOKE_RULE_REJECT, false, "no root file system", "Unable to mount root"},
	{SMOKE_RULE_REJECT, false, "soft lockup", "soft lockup - CPU#"},
	{SMOKE_RULE_REJECT, false, "hard lockup", "hard LOCKUP on cpu"},
	{SMOKE_RULE_REJECT, false, "RCU stall",
	 "rcu.{0,40}(self-detected stall|detected (expedited )?stalls)"},
	{SMOKE_RULE_REJECT, false, "hung task",
	 "task .{1,80} (blocked|can.t die)( in I/O wait)? for more than \\d+ seconds"},
	{SMOKE_RULE_REJECT, false, "Oops", "\\bOops\\b.{0,160}\\[#\\d+\\]"},
	{SMOKE_RULE_REJECT, false, "general protection fault",
	 AT_START "(general protection fault|Unable to handle kernel )"},
	{SMOKE_RULE_REJECT, false, "processor exception",
	 AT_START "(traps: )?(divide.error|invalid opcode|stack segment|PANIC: "
		  "double fault|"
		  "double fault): "},
	{SMOKE_RULE_REJECT, false, "lockdep",
	 "\\b(WARNING|INFO|BUG): .{0,60}(possible (circular|recursive) locking|possible irq lock "
	 "inversion|"
	 "inconsistent lock state|suspicious (RCU|rcu_dereference_check..) usage|bad unlock "
	 "balance|"
	 "bad contention detected|held lock freed|lock held when returning|Invalid wait context|"
	 "trying to register non-static key|Nested lock was not taken|unsafe lock order detected|"
	 "still has locks held)|\\bDEBUG_LOCKS_WARN_ON\\("},
	{SMOKE_RULE_REJECT, false, "refcount", "\\brefcount_t: "},
	{SMOKE_RULE_REJECT, false, "list corruption", "\\blist_(add|del) (corruption|double add)"},
	{SMOKE_RULE_REJECT, false, "stack corruption",
	 "kernel stack overflow|stack guard page was hit|Thread overran stack|"
	 "Insufficient stack space to handle exception"},
	{SMOKE_RULE_REJECT, false, "kmemleak",
	 "\\bkmemleak: \\d+ new suspected memory leak|\\bunreferenced object 0x"},
	{SMOKE_RULE_REJECT, true, "out of memory", "ut of memory: Kill|invoked oom-killer"},
	{SMOKE_RULE_REJECT, false, "BUG", "\\bBUG: |\\bkernel BUG at "},
	{SMOKE_RULE_REJECT, false, "UBSAN", "\\bUBSAN: "},
	{SMOKE_RULE_REJECT, true, "WARNING", AT_START "WARNING: "},
};

static int compile(const struct smoke_rule_opts *opts, pcre2_code **ret, struct diag *diag)
{
	PCRE2_UCHAR why[128] = "";
	PCRE2_SIZE at;
	pcre2_code *code;
	int err;

	code = pcre2_compile((PCRE2_SPTR)opts->pattern, PCRE2_ZERO_TERMINATED,
			     PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &err, &at, NULL);
	if (!code) {
		pcre2_get_error_message(err, why, sizeof(why));
		diag_set(diag, -EINVAL, "pattern-not-regex",
			 "%s '%s' is not a regular expression: at %zu, %s", opts->option,
			 opts->pattern, (size_t)at, (const char *)why);
		diag_remedy(diag, "\\ before a character such as ( or [ makes it ordinary");
		return -EINVAL;
	}
	/* Where there is no JIT compiler, or it may not have memory to execute, matching interprets. */
	pcre2_jit_compile(code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
	*ret = code;
	return 0;
}

static int create_limits(struct smoke_rules *rules)
{
	pcre2_match_context *limits;

	if (rules->limits)
		return 0;
	limits = pcre2_match_context_create(NULL);
	if (!limits)
		return -ENOMEM;
	pcre2_set_match_limit(limits, SMOKE_MATCH_STEPS_MAX);
	pcre2_set_depth_limit(limits, SMOKE_MATCH_STEPS_MAX);
	pcre2_set_heap_limit(limits, MATCH_HEAP_KIB_MAX);
	rules->limits = limits;
	return 0;
}

static void rule_fini(struct smoke_rule *rule)
{
	pcre2_code_free(rule->code);
	free(rule->name);
	free(rule->pattern);
	*rule = (struct smoke_rule){0};
}

/* A pattern that matches nothing at all matches everywhere, and is useless. */
static int check_not_empty(const struct smoke_rules *rules, const struct smoke_rule *rule,
			   const char *option, struct diag *diag)
{
	const struct smoke_subject empty = {.text = ""};
	size_t end;

	if (smoke_rule_match(rules, rule, &empty, &end) != SMOKE_MATCH_YES)
		return 0;
	return diag_set(diag, -EINVAL, "pattern-matches-all",
			"%s '%s' matches an empty line, and so any", option, rule->pattern);
}

int smoke_rules_add(struct smoke_rules *rules, const struct smoke_rule_opts *opts,
		    struct diag *diag)
{
	struct smoke_rule *rule = &rules->rule[rules->nr];
	pcre2_code *code = NULL;
	int r;

	if (rules->nr == SMOKE_RULES_MAX)
		return diag_set(diag, -EINVAL, "pattern-count", "%s '%s': more than %d patterns",
				opts->option, opts->pattern, SMOKE_RULES_MAX);
	r = create_limits(rules);
	if (r < 0)
		return diag_set(diag, r, "pattern-memory", "pattern '%s'", opts->pattern);
	r = compile(opts, &code, diag);
	if (r < 0)
		return r;
	*rule = (struct smoke_rule){
		.kind = opts->kind,
		.name = strdup(opts->name ? opts->name : opts->pattern),
		.pattern = strdup(opts->pattern),
		.of_kernel = opts->of_kernel,
		.limit_ns = opts->limit_ns,
		.code = code,
	};
	if (!rule->name || !rule->pattern)
		r = diag_set(diag, -ENOMEM, "pattern-memory", "pattern '%s'", opts->pattern);
	else
		r = check_not_empty(rules, rule, opts->option, diag);
	if (r < 0) {
		rule_fini(rule);
		return r;
	}
	rules->nr++;
	rules->nr_of[opts->kind]++;
	return 0;
}

int smoke_rules_add_defaults(struct smoke_rules *rules, bool warnings, struct diag *diag)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(defaults); i++) {
		const struct smoke_rule_opts opts = {
			.kind = defaults[i].kind,
			.name = defaults[i].name,
			.pattern = defaults[i].pattern,
			.option = "default pattern",
			.of_kernel = true,
		};

		if (warnings || !defaults[i].warning)
			r = smoke_rules_add(rules, &opts, diag);
	}
	return r;
}

void smoke_rules_fini(struct smoke_rules *rules)
{
	for (unsigned i = 0; i < rules->nr; i++)
		rule_fini(&rules->rule[i]);
	pcre2_match_context_free(rules->limits);
	*rules = (struct smoke_rules){0};
}

const struct smoke_rule *smoke_rules_get(const struct smoke_rules *rules, enum smoke_rule_kind kind,
					 unsigned i)
{
	for (unsigned k = 0; k < rules->nr; k++)
		if (rules->rule[k].kind == kind && i-- == 0)
			return &rules->rule[k];
	return NULL;
}

enum smoke_match smoke_rule_match(const struct smoke_rules *rules, const struct smoke_rule *rule,
				  const struct smoke_subject *subject, size_t *ret_at)
{
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	uint32_t options = PCRE2_NO_UTF_CHECK;
	enum smoke_match match = SMOKE_MATCH_NO;
	int r;

	if (!data)
		return SMOKE_MATCH_TOO_DEAR;
	if (subject->unfinished)
		options |= PCRE2_PARTIAL_HARD;
	if (subject->continued)
		options |= PCRE2_NOTBOL;
	if (subject->continues)
		options |= PCRE2_NOTEOL;
	r = pcre2_match(rule->code, (PCRE2_SPTR)subject->text, subject->len, subject->from, options,
			data, rules->limits);
	if (r >= 0) {
		*ret_at = pcre2_get_ovector_pointer(data)[1];
		match = SMOKE_MATCH_YES;
	} else if (r == PCRE2_ERROR_PARTIAL) {
		*ret_at = pcre2_get_ovector_pointer(data)[0];
		match = SMOKE_MATCH_PARTIAL;
	} else if (r != PCRE2_ERROR_NOMATCH) {
		match = SMOKE_MATCH_TOO_DEAR;
	}
	pcre2_match_data_free(data);
	return match;
}
