/*
 * rules.h - the patterns that a boot's console is held against, compiled once and then only read, so
 * that all boots share them.
 *
 * Patterns are Perl-compatible (PCRE2), of UTF-8, and match within one line. A match may take so many
 * steps and no more, whatever pattern and console: one that would need more counts as none.
 */
#ifndef VMM_SMOKE_JUDGE_RULES_H
#define VMM_SMOKE_JUDGE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

enum { SMOKE_RULES_MAX = 256, SMOKE_MATCH_STEPS_MAX = 100000 };

enum smoke_rule_kind {
	SMOKE_RULE_EXPECT, /* one after the other */
	SMOKE_RULE_PHASE,  /* one after the other */
	SMOKE_RULE_REJECT,
	SMOKE_RULE_PANIC, /* a reject that is called panic */
	SMOKE_RULE_ALLOW, /* of a splat: its first line, or its title (splat.h); the default rejects forgive it */
	SMOKE_RULE_INIT, /* the kernel hands over to /init; a mark in time */
	SMOKE_RULE_KINDS,
};

struct smoke_rule {
	enum smoke_rule_kind kind;
	char *name; /* of a phase or of one of ours; else the pattern */
	char *pattern;
	bool of_kernel;   /* means nothing in a command's output */
	int64_t limit_ns; /* of a phase: since the one before was reached */
	void *code;       /* pcre2_code */
};

struct smoke_rules {
	struct smoke_rule rule[SMOKE_RULES_MAX];
	unsigned nr;
	unsigned nr_of[SMOKE_RULE_KINDS];
	void *limits; /* pcre2_match_context */
};

/* A rule to add; strings are copied. */
struct smoke_rule_opts {
	enum smoke_rule_kind kind;
	const char *name; /* NULL: the pattern */
	const char *pattern;
	const char *option; /* what the user wrote it for, for messages: "--expect" */
	bool of_kernel;
	int64_t limit_ns;
};

/* Zeroed rules are empty. -EINVAL with diag for a pattern that is none or that matches an empty line. */
int smoke_rules_add(struct smoke_rules *rules, const struct smoke_rule_opts *opts,
		    struct diag *diag);

/*
 * Adds the messages of a Linux kernel in trouble: panics, BUGs, oopses, lockups, stalls, hung tasks; with warnings
 * also those of WARN_ON().
 */
int smoke_rules_add_defaults(struct smoke_rules *rules, bool warnings, struct diag *diag);

void smoke_rules_fini(struct smoke_rules *rules);

/* The i-th rule of a kind, in the order in which they were added; NULL when there are fewer. */
const struct smoke_rule *smoke_rules_get(const struct smoke_rules *rules, enum smoke_rule_kind kind,
					 unsigned i);

enum smoke_match {
	SMOKE_MATCH_NO,
	SMOKE_MATCH_YES,
	SMOKE_MATCH_PARTIAL,  /* what follows will decide; only in an unfinished subject */
	SMOKE_MATCH_TOO_DEAR, /* it ran out of steps or memory */
};

/* Where a rule is looked for. */
struct smoke_subject {
	const char *text; /* well-formed UTF-8 */
	size_t len, from; /* from: the first byte that a match may begin at */
	bool unfinished;  /* more may follow: only what no continuation can change is a match */
	bool continued;   /* its first byte is not where the line began, */
	bool continues;   /* and its last one not where it ends */
};

/* Looks for rule; *ret_at is set to the end of a match, or to the start of a partial one. */
enum smoke_match smoke_rule_match(const struct smoke_rules *rules, const struct smoke_rule *rule,
				  const struct smoke_subject *subject, size_t *ret_at);

#endif
