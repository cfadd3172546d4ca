/* Rules held against a console, split at every position. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "diag_rig.h"
#include "smoke/judge.h"

/* All that a sink heard, as text that can be compared. */
struct rig {
	struct smoke_judge_sink sink;
	struct smoke_rules rules;
	struct smoke_judge judge;
	char heard[32768];
	size_t len;
	bool too_long;
};

static void hear(struct rig *rig, const char *what, const char *text, size_t n)
{
	const int len = snprintf(rig->heard + rig->len, sizeof(rig->heard) - rig->len, "%s%.*s\n",
				 what, (int)n, text);

	if ((size_t)len >= sizeof(rig->heard) - rig->len)
		rig->too_long = true;
	else
		rig->len += (size_t)len;
}

static void hear_line(struct smoke_judge_sink *sink, const struct smoke_line *line)
{
	struct rig *rig = (struct rig *)(void *)sink;

	hear(rig, line->marked ? "!" : line->continued ? "+" : " ", line->text, line->len);
}

static void hear_met(struct smoke_judge_sink *sink, const struct smoke_rule *rule, int64_t at_ns)
{
	(void)at_ns;
	hear((struct rig *)(void *)sink, "met ", rule->name, strlen(rule->name));
}

static void add(struct rig *rig, enum smoke_rule_kind kind, const char *pattern)
{
	const struct smoke_rule_opts opts = {.kind = kind, .pattern = pattern, .option = "--x"};
	struct diag diag = {0};

	if (smoke_rules_add(&rig->rules, &opts, &diag) < 0)
		fail_msg("%s", diag.what);
}

static void begin(struct rig *rig, bool expects_decide)
{
	const struct smoke_judge_opts opts = {
		.rules = &rig->rules,
		.sink = &rig->sink,
		.expects_decide = expects_decide,
	};

	rig->sink = (struct smoke_judge_sink){.line = hear_line, .met = hear_met};
	rig->len = 0;
	rig->heard[0] = '\0';
	smoke_judge_init(&rig->judge, &opts);
}

static void feed(struct rig *rig, const char *text)
{
	smoke_judge_feed(&rig->judge, SMOKE_CONSOLE, (const uint8_t *)text, strlen(text), 1);
}

static int setup(void **state)
{
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	smoke_rules_fini(&rig->rules);
	return rig->too_long ? -1 : 0;
}

static const char *decided_by(const struct rig *rig)
{
	return rig->judge.decided_by ? rig->judge.decided_by->pattern : "nothing";
}

/* The same findings, rule, line and sink, in whichever two pieces the console comes. */
static void assert_split_anywhere(struct rig *rig, bool expects_decide, const char *console,
				  enum smoke_finding finding, const char *rule, const char *heard)
{
	const size_t len = strlen(console);

	for (size_t at = 0; at <= len; at++) {
		begin(rig, expects_decide);
		smoke_judge_feed(&rig->judge, SMOKE_CONSOLE, (const uint8_t *)console, at, 1);
		smoke_judge_feed(&rig->judge, SMOKE_CONSOLE, (const uint8_t *)console + at,
				 len - at, 2);
		smoke_judge_finish(&rig->judge, 3);
		if (rig->judge.finding != finding || strcmp(decided_by(rig), rule) != 0)
			fail_msg("split at %zu: finding %d by %s", at, (int)rig->judge.finding,
				 decided_by(rig));
		assert_string_equal(rig->heard, heard);
	}
	begin(rig, expects_decide);
	for (size_t i = 0; i < len; i++)
		smoke_judge_feed(&rig->judge, SMOKE_CONSOLE, (const uint8_t *)console + i, 1, 1);
	smoke_judge_finish(&rig->judge, 3);
	assert_int_equal(rig->judge.finding, finding);
	assert_string_equal(decided_by(rig), rule);
	assert_string_equal(rig->heard, heard);
}

static void test_expectations_are_met_in_order(void **state)
{
	struct rig *rig = *state;

	add(rig, SMOKE_RULE_EXPECT, "one");
	add(rig, SMOKE_RULE_EXPECT, "two");
	add(rig, SMOKE_RULE_EXPECT, "login: ");
	assert_split_anywhere(
		rig, true,
		"two\r\n\x1b[1mone\x1b[0m\ntw\x1b[1mo\n\nhost login: ", SMOKE_FOUND_ALL_EXPECTED,
		"login: ", " two\nmet one\n one\nmet two\n two\n \nmet login: \n host login: \n");
	assert_split_anywhere(rig, true, "one two login: \n", SMOKE_FOUND_ALL_EXPECTED,
			      "login: ", "met one\nmet two\nmet login: \n one two login: \n");
	assert_split_anywhere(rig, true, "login: two one\n", SMOKE_FOUND_NOTHING, "nothing",
			      "met one\n login: two one\n");
}

static void test_a_prompt_needs_no_newline(void **state)
{
	struct rig *rig = *state;

	add(rig, SMOKE_RULE_EXPECT, "login: ");
	begin(rig, true);
	feed(rig, "host login:");
	assert_int_equal(rig->judge.finding, SMOKE_FOUND_NOTHING);
	feed(rig, " ");
	assert_int_equal(rig->judge.finding, SMOKE_FOUND_ALL_EXPECTED);
}

static void test_the_end_of_a_line_is_where_it_ends(void **state)
{
	struct rig *rig = *state;

	add(rig, SMOKE_RULE_EXPECT, "done$");
	assert_split_anywhere(rig, true, "doneness\n", SMOKE_FOUND_NOTHING, "nothing",
			      " doneness\n");
	assert_split_anywhere(rig, true, "done\n", SMOKE_FOUND_ALL_EXPECTED, "done$",
			      "met done$\n done\n");
	begin(rig, true);
	feed(rig, "done");
	assert_int_equal(rig->judge.finding, SMOKE_FOUND_NOTHING);
	assert_true(smoke_judge_waits(&rig->judge));
	smoke_judge_quiet(&rig->judge, 2);
	assert_int_equal(rig->judge.finding, SMOKE_FOUND_ALL_EXPECTED);
}

static void test_word_ends_wait_for_what_follows(void **state)
{
	struct rig *rig = *state;

	add(rig, SMOKE_RULE_REJECT, "fail\\b");
	add(rig, SMOKE_RULE_REJECT, "bad(?!ge)");
	assert_split_anywhere(rig, true, "0 failures, a badge\n", SMOKE_FOUND_NOTHING, "nothing",
			      " 0 failures, a badge\n");
	assert_split_anywhere(rig, true, "it did fail.\n", SMOKE_FOUND_REJECT, "fail\\b",
			      "!it did fail.\n");
}

static void test_what_comes_first_counts(void **state)
{
	struct rig *rig = *state;

	add(rig, SMOKE_RULE_EXPECT, "ready");
	add(rig, SMOKE_RULE_REJECT, "BUG: ");
	assert_split_anywhere(rig, true, "ready BUG: late\nBUG: later\n", SMOKE_FOUND_ALL_EXPECTED,
			      "ready", "met ready\n ready BUG: late\n BUG: later\n");
	assert_split_anywhere(rig, true, "BUG: early ready\n", SMOKE_FOUND_REJECT,
			      "BUG: ", "met ready\n!BUG: early ready\n");
	assert_split_anywhere(rig, false, "ready\nBUG: late\n", SMOKE_FOUND_REJECT,
			      "BUG: ", "met ready\n ready\n!BUG: late\n");
}

static void test_a_panic_outweighs_its_oops(void **state)
{
	struct rig *rig = *state;

	add(rig, SMOKE_RULE_REJECT, "BUG: ");
	add(rig, SMOKE_RULE_PANIC, "Kernel panic");
	assert_split_anywhere(rig, true, "BUG: x\nfine\nKernel panic\nBUG: y\n", SMOKE_FOUND_PANIC,
			      "Kernel panic", "!BUG: x\n fine\n!Kernel panic\n!BUG: y\n");
	assert_split_anywhere(rig, true, "BUG: x Kernel panic\n", SMOKE_FOUND_PANIC, "Kernel panic",
			      "!BUG: x Kernel panic\n");
}

static void test_the_first_of_several_rejects_counts(void **state)
{
	struct rig *rig = *state;

	add(rig, SMOKE_RULE_REJECT, "second");
	add(rig, SMOKE_RULE_REJECT, "first");
	assert_split_anywhere(rig, true, "first second first\n", SMOKE_FOUND_REJECT, "first",
			      "!first second first\n");
}

/* Of what ends with the same byte, trouble counts, whichever rule was given first. */
static void test_trouble_wins_a_tie(void **state)
{
	struct rig *rig = *state;

	add(rig, SMOKE_RULE_EXPECT, "all ok");
	add(rig, SMOKE_RULE_REJECT, "not all ok");
	assert_split_anywhere(rig, true, "not all ok\n", SMOKE_FOUND_REJECT, "not all ok",
			      "met all ok\n!not all ok\n");
}

/* The first pattern may still grow when the second one is whole. */
static void test_what_may_end_first_is_waited_for(void **state)
{
	struct rig *rig = *state;

	add(rig, SMOKE_RULE_REJECT, "late");
	add(rig, SMOKE_RULE_REJECT, "Oops.{0,20}#1");
	add(rig, SMOKE_RULE_EXPECT, "x.*ready");
	assert_split_anywhere(rig, true, "Oops: #1 late\n", SMOKE_FOUND_REJECT, "Oops.{0,20}#1",
			      "!Oops: #1 late\n");
	assert_split_anywhere(rig, true, "x ready late\n", SMOKE_FOUND_ALL_EXPECTED, "x.*ready",
			      "met x.*ready\n x ready late\n");
	assert_split_anywhere(rig, true, "x late ready\n", SMOKE_FOUND_REJECT, "late",
			      "met x.*ready\n!x late ready\n");
}

static void test_phases_and_init_are_marks_only(void **state)
{
	struct rig *rig = *state;

	add(rig, SMOKE_RULE_PHASE, "kernel");
	add(rig, SMOKE_RULE_PHASE, "user");
	add(rig, SMOKE_RULE_INIT, "Run /init");
	assert_split_anywhere(rig, true, "user kernel\nRun /init\nuser kernel\n",
			      SMOKE_FOUND_NOTHING, "nothing",
			      "met kernel\n user kernel\nmet Run /init\n Run /init\n"
			      "met user\n user kernel\n");
	assert_int_equal(rig->judge.met[SMOKE_RULE_PHASE], 2);
}

/* A muted guest answers a request: a line that had begun belongs to the answer. */
static void test_nothing_is_held_against_a_muted_guest(void **state)
{
	struct rig *rig = *state;

	add(rig, SMOKE_RULE_EXPECT, "one");
	add(rig, SMOKE_RULE_PHASE, "two");
	add(rig, SMOKE_RULE_REJECT, "bad");
	begin(rig, true);
	feed(rig, "one\nt");
	smoke_judge_mute(&rig->judge);
	smoke_judge_mute(&rig->judge);
	feed(rig, "wo\nbad\nKernel panic - not syncing: x\nok 1 - y\nbad");
	smoke_judge_quiet(&rig->judge, 1);
	smoke_judge_finish(&rig->judge, 1);
	assert_string_equal(
		rig->heard,
		"met one\n one\n two\n bad\n Kernel panic - not syncing: x\n ok 1 - y\n bad\n");
	assert_int_equal(rig->judge.finding, SMOKE_FOUND_NOTHING);
	assert_int_equal(rig->judge.met[SMOKE_RULE_PHASE], 0);
}

static void test_streams_do_not_mix(void **state)
{
	struct rig *rig = *state;
	const struct smoke_rule_opts opts = {
		.kind = SMOKE_RULE_REJECT, .pattern = "BUG: ", .option = "--x", .of_kernel = true};
	struct diag diag = {0};

	assert_int_equal(smoke_rules_add(&rig->rules, &opts, &diag), 0);
	add(rig, SMOKE_RULE_REJECT, "not ok");
	begin(rig, false);
	feed(rig, "no");
	smoke_judge_feed(&rig->judge, SMOKE_COMMAND_OUT, (const uint8_t *)"BUG: t ok\nok\n", 13, 1);
	assert_int_equal(rig->judge.finding, SMOKE_FOUND_NOTHING);
	smoke_judge_feed(&rig->judge, SMOKE_INIT_LOG, (const uint8_t *)"not ok\n", 7, 1);
	assert_int_equal(rig->judge.finding,
			 SMOKE_FOUND_NOTHING); /* our own words are shown only */
	smoke_judge_feed(&rig->judge, SMOKE_COMMAND_ERR, (const uint8_t *)"not ok", 6, 1);
	assert_int_equal(rig->judge.finding, SMOKE_FOUND_REJECT);
	smoke_judge_finish(&rig->judge, 1);
	assert_string_equal(rig->heard, " BUG: t ok\n ok\n not ok\n no\n!not ok\n");
}

/* Takes out of what was heard where a line was cut. */
static void join_parts(char *heard)
{
	char *out = heard;

	for (const char *in = heard; *in; in++) {
		if (*in == '\n' && in[1])
			in++;
		else if (*in != '\n')
			*out++ = *in;
	}
	*out = '\0';
}

/* A line without an end is cut; what lies across the cut is found, once, and "^" is not fooled. */
static void test_long_lines_hide_nothing(void **state)
{
	struct rig *rig = *state;
	static char console[3 * SMOKE_LINE_MAX];
	const char word[] = "Kernel panic";

	add(rig, SMOKE_RULE_PANIC, word);
	add(rig, SMOKE_RULE_EXPECT, "^x");
	add(rig, SMOKE_RULE_EXPECT, "^x");
	for (size_t at = 1; at + sizeof(word) < sizeof(console); at += 61) {
		memset(console, 'x', sizeof(console));
		memcpy(console + at, word, sizeof(word) - 1);
		begin(rig, false);
		for (size_t i = 0; i < sizeof(console); i += 1024)
			smoke_judge_feed(&rig->judge, SMOKE_CONSOLE, (uint8_t *)console + i, 1024,
					 1);
		assert_int_equal(rig->judge.finding, SMOKE_FOUND_PANIC);
		assert_int_equal(rig->judge.met[SMOKE_RULE_EXPECT], 1);
		smoke_judge_finish(&rig->judge, 1);
		join_parts(rig->heard);
		assert_non_null(strstr(rig->heard, word));
		assert_null(strstr(strstr(rig->heard, word) + 1, word));
	}
}

/* One on either side of where the line becomes too long. */
static void test_a_cut_does_not_part_expectations(void **state)
{
	struct rig *rig = *state;
	static char console[SMOKE_LINE_MAX + 100];
	const char words[2][3] = {{'o', 'n', 'e'}, {'t', 'w', 'o'}};

	add(rig, SMOKE_RULE_EXPECT, "one");
	add(rig, SMOKE_RULE_EXPECT, "two");
	memset(console, 'x', sizeof(console));
	memcpy(console + SMOKE_LINE_MAX - 10, words[0], sizeof(words[0]));
	memcpy(console + SMOKE_LINE_MAX + 10, words[1], sizeof(words[1]));
	begin(rig, true);
	for (size_t i = 0; i < sizeof(console); i++)
		smoke_judge_feed(&rig->judge, SMOKE_CONSOLE, (uint8_t *)console + i, 1, 1);
	assert_int_equal(rig->judge.finding, SMOKE_FOUND_ALL_EXPECTED);
}

static void test_a_character_is_not_cut(void **state)
{
	struct rig *rig = *state;

	add(rig, SMOKE_RULE_PANIC, "Kernel panic");
	for (size_t shift = 0; shift < 3; shift++) {
		begin(rig, false);
		for (size_t i = 0; i < shift; i++)
			feed(rig, "x");
		for (size_t i = 0; i < SMOKE_LINE_MAX; i++)
			feed(rig, "\xe2\x82\xac");
		smoke_judge_finish(&rig->judge, 1);
		for (const char *p = rig->heard; *p; p++)
			if (*p == '\n' && p[1])
				assert_true(p[1] == '+' || p[1] == ' ');
		assert_null(strstr(rig->heard, "\xe2\n"));
		assert_null(strstr(rig->heard, "\x82\n"));
	}
}

static void test_costly_patterns_are_given_up(void **state)
{
	struct rig *rig = *state;

	add(rig, SMOKE_RULE_REJECT, "(a+)+$");
	begin(rig, false);
	for (unsigned i = 0; i < 100; i++)
		feed(rig, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	feed(rig, "!\n");
	assert_int_equal(rig->judge.finding, SMOKE_FOUND_NOTHING);
	assert_true(rig->judge.too_dear > 0);
}

static void test_bad_patterns_are_refused(void **state)
{
	static const char *const bad[] = {"(", "", "a*", "^$", "x|", "\\C", "\xff"};
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct smoke_rule_opts opts = {
			.kind = SMOKE_RULE_EXPECT, .pattern = bad[i], .option = "--expect"};
		struct diag diag = {0};

		assert_int_equal(smoke_rules_add(&rig->rules, &opts, &diag), -EINVAL);
		assert_true(diag_is(&diag, "pattern-not-regex --expect") ||
			    diag_is(&diag, "pattern-matches-all --expect"));
		assert_int_equal(rig->rules.nr, 0);
	}
}

static void test_default_rules_know_linux(void **state)
{
	static const struct {
		const char *line, *name; /* NULL: harmless */
	} lines[] = {
		{"[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs on "
		 "unknown-block(0,0)",
		 "kernel panic"},
		{"[    1.2] VFS: Unable to mount root fs via NFS, trying floppy.",
		 "no root file system"},
		{"[   48.0] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [swapper/1:0]",
		 "BUG"},
		{"[   48.0] NMI watchdog: Watchdog detected hard LOCKUP on cpu 0", "hard lockup"},
		{"[   21.0] rcu: INFO: rcu_preempt self-detected stall on CPU", "RCU stall"},
		{"[   21.0] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:", "RCU stall"},
		{"[   21.0] rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { "
		 "1-.... }",
		 "RCU stall"},
		{"[  242.6] INFO: task kworker/0:1:12 blocked for more than 120 seconds.",
		 "hung task"},
		{"[    2.0] BUG: kernel NULL pointer dereference, address: 0000000000000000",
		 "BUG"},
		{"[    2.0] BUG: KASAN: slab-out-of-bounds in foo+0x1/0x2", "BUG"},
		{"[    2.0] kernel BUG at mm/slub.c:305!", "BUG"},
		{"[    2.0] Oops: 0002 [#1] PREEMPT SMP NOPTI", "Oops"},
		{"[    2.0] Oops: Oops: 0000 [#1] PREEMPT SMP", "Oops"},
		{"[    2.0] general protection fault, probably for non-canonical address 0xdead",
		 "general protection fault"},
		{"[    2.0] UBSAN: shift-out-of-bounds in a.c:1:2", "UBSAN"},
		{"[    2.0] WARNING: CPU: 0 PID: 1 at kernel/x.c:12 foo+0x1/0x2", NULL},
		{"[    0.0] rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.",
		 NULL},
		{"[    0.0] DEBUG: no trouble", NULL},
		{"[    0.0] Kernel command line: panic=-1 oops=panic", NULL},
		{"[    0.5] watchdog: Delayed init of the lockup detector failed: -19", NULL},
	};
	struct rig *rig = *state;
	const struct smoke_rule *by;
	struct diag diag = {0};

	assert_int_equal(smoke_rules_add_defaults(&rig->rules, false, &diag), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		begin(rig, false);
		feed(rig, lines[i].line);
		feed(rig, "\n");
		by = rig->judge.decided_by;
		if (strcmp(by ? by->name : "nothing", lines[i].name ? lines[i].name : "nothing") !=
		    0)
			fail_msg("%s: %s", lines[i].line, by ? by->name : "nothing");
	}
}

static void test_warnings_are_an_option(void **state)
{
	struct rig *rig = *state;
	struct diag diag = {0};

	assert_int_equal(smoke_rules_add_defaults(&rig->rules, true, &diag), 0);
	begin(rig, false);
	feed(rig, "[    2.0] WARNING: CPU: 0 PID: 1 at kernel/x.c:12 foo+0x1/0x2\n");
	assert_int_equal(rig->judge.finding, SMOKE_FOUND_REJECT);
	assert_string_equal(rig->judge.decided_by->name, "WARNING");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(expectations_are_met_in_order),
		TEST(a_prompt_needs_no_newline),
		TEST(the_end_of_a_line_is_where_it_ends),
		TEST(word_ends_wait_for_what_follows),
		TEST(what_comes_first_counts),
		TEST(a_panic_outweighs_its_oops),
		TEST(the_first_of_several_rejects_counts),
		TEST(trouble_wins_a_tie),
		TEST(what_may_end_first_is_waited_for),
		TEST(phases_and_init_are_marks_only),
		TEST(nothing_is_held_against_a_muted_guest),
		TEST(streams_do_not_mix),
		TEST(long_lines_hide_nothing),
		TEST(a_cut_does_not_part_expectations),
		TEST(a_character_is_not_cut),
		TEST(costly_patterns_are_given_up),
		TEST(bad_patterns_are_refused),
		TEST(default_rules_know_linux),
		TEST(warnings_are_an_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
