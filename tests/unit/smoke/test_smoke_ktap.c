/* Results of tests in what a guest prints: KUnit's, kselftest's, TAP's, whole and broken off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"
#include "smoke/judge/ktap.h"
#include "smoke/judge/kvm_unit.h"

struct rig {
	struct smoke_tests tests;
	struct smoke_ktap ktap;
	char heard[8192];
};

static int setup(void **state)
{
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	rig.ktap.tests = &rig.tests;
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	smoke_tests_fini(&rig->tests);
	return 0;
}

/* Each line a second after the one before. */
static void feed(struct rig *rig, const char *text)
{
	int64_t at_ns = 0;

	while (*text) {
		const size_t n = strcspn(text, "\n");
		char line[512];

		snprintf(line, sizeof(line), "%.*s", (int)n, text);
		smoke_ktap_line(&rig->ktap, line, at_ns);
		at_ns += NS_PER_S;
		text += n + (text[n] == '\n');
	}
}

/* "failed suite/test 3 s: note|note|", a line each. */
static void assert_tests(void **state, const char *text, enum smoke_ktap_end how,
			 const char *wanted)
{
	struct rig *rig = *state;
	size_t len = 0;

	feed(rig, text);
	smoke_ktap_finish(&rig->ktap, how, 100 * NS_PER_S);
	rig->heard[0] = '\0';
	for (unsigned i = 0; i < rig->tests.nr; i++) {
		const struct smoke_test *test = &rig->tests.test[i];
		char path[SMOKE_TEST_PATH_MAX], notes[SMOKE_TEST_NOTES_MAX + 8] = "";

		smoke_tests_path(&rig->tests, i, path);
		if (test->notes)
			snprintf(notes, sizeof(notes), ": %s", test->notes);
		for (char *p = notes; *p; p++)
			*p = *p == '\n' ? '|' : *p;
		len += (size_t)snprintf(rig->heard + len, sizeof(rig->heard) - len,
					"%s %s %lld s%s\n", smoke_test_verdict_name(test->verdict),
					path, (long long)(test->ns / NS_PER_S), notes);
	}
	assert_string_equal(rig->heard, wanted);
	teardown(state);
	memset(&rig->ktap, 0, sizeof(rig->ktap));
	rig->ktap.tests = &rig->tests;
}

/* As KUnit prints it, with the kernel's own words in between. */
static void kunit_is_nested(void **state)
{
	assert_tests(state,
		     "KTAP version 1\n"
		     "1..2\n"
		     "    KTAP version 1\n"
		     "    # Subtest: demo\n"
		     "    # module: demo_test\n"
		     "    1..4\n"
		     "    ok 1 demo_adds\n"
		     "random: crng init done\n"
		     "    # demo_divides: EXPECTATION FAILED at lib/demo_test.c:12\n"
		     "    Expected a == b, but\n"
		     "        a == 1 (0x1)\n"
		     "    not ok 2 demo_divides\n"
		     "    ok 3 demo_waits # SKIP no timer\n"
		     "        KTAP version 1\n"
		     "        # Subtest: demo_each\n"
		     "        ok 1 one\n"
		     "        ok 2 two\n"
		     "    # demo_each: pass:2 fail:0 skip:0 total:2\n"
		     "    ok 4 demo_each\n"
		     "# demo: pass:2 fail:1 skip:1 total:4\n"
		     "# Totals: pass:3 fail:1 skip:1 total:5\n"
		     "not ok 1 demo\n"
		     "    KTAP version 1\n"
		     "    # Subtest: other\n"
		     "    1..1\n"
		     "    ok 1 works\n"
		     "ok 2 other\n",
		     SMOKE_KTAP_ENDED,
		     "passed demo/demo_adds 4 s\n"
		     "failed demo/demo_divides 5 s: demo_divides: EXPECTATION FAILED at "
		     "lib/demo_test.c:12|Expected a == b, but|a == 1 (0x1)|\n"
		     "skipped demo/demo_waits 1 s: SKIP no timer|\n"
		     "passed demo/demo_each/one 2 s\n"
		     "passed demo/demo_each/two 1 s\n"
		     "passed demo/demo_each 6 s\n"
		     "failed demo 21 s: demo: pass:2 fail:1 skip:1 total:4|\n"
		     "passed other/works 3 s\n"
		     "passed other 5 s\n");
}

/* As kselftest's runner prints it: a test's own results follow "# ". */
static void kselftest_is_nested(void **state)
{
	assert_tests(
		state,
		"TAP version 13\n"
		"1..3\n"
		"# timeout set to 45\n"
		"# selftests: timers: posix\n"
		"# TAP version 13\n"
		"# 1..2\n"
		"# ok 1 one\n"
		"# ok 2 two # XFAIL not here\n"
		"ok 1 selftests: timers: posix\n"
		"# selftests: timers: broken\n"
		"# some words of its own\n"
		"not ok 2 selftests: timers: broken # exit=1\n"
		"ok 3 selftests: timers: root # SKIP needs root\n",
		SMOKE_KTAP_ENDED,
		"passed selftests: timers: posix/one 2 s\n"
		"expected failure selftests: timers: posix/two 1 s: XFAIL not here|\n"
		"passed selftests: timers: posix 8 s\n"
		"failed selftests: timers: broken 3 s: selftests: timers: broken|some words of "
		"its own|exit=1|\n"
		"skipped selftests: timers: root 1 s: SKIP needs root|\n");
}

static void tap_has_yaml_todo_and_subtests(void **state)
{
	struct rig *rig = *state;

	rig->ktap.plan_begins = true;
	assert_tests(state,
		     "1..2\n"
		     "ok 1 - first\n"
		     "  ---\n"
		     "  duration_ms: 7500.5\n"
		     "  ...\n"
		     "not ok 2 - later # TODO not yet\n",
		     SMOKE_KTAP_ENDED,
		     "passed first 7 s\n"
		     "expected failure later 4 s: TODO not yet|\n");
	assert_tests(state,
		     "TAP version 14\n"
		     "# Subtest: whole\n"
		     "    ok 1 - part\n"
		     "    1..1\n"
		     "ok 1 - whole\n"
		     "1..1\n",
		     SMOKE_KTAP_ENDED,
		     "passed whole/part 0 s\n"
		     "passed whole 4 s\n");
	assert_tests(state, "TAP version 13\n1..3\nok 1\nBail out! no disk\nok 2\n",
		     SMOKE_KTAP_ENDED,
		     "passed test 1 2 s\n"
		     "failed Bail out! 0 s:  no disk|\n");
	assert_tests(state, "TAP version 13\n1..0 # SKIP nothing\n", SMOKE_KTAP_ENDED, "");
}

static void a_crash_marks_the_test_that_ran(void **state)
{
	/* Inside a KUnit case that has said something, */
	assert_tests(state,
		     "KTAP version 1\n1..2\n    KTAP version 1\n    # Subtest: demo\n    1..3\n"
		     "    ok 1 a\n    # b: about to crash\nBUG: x\n",
		     SMOKE_KTAP_DIED,
		     "passed demo/a 3 s\n"
		     "crashed demo/b 95 s: b: about to crash|\n"
		     "crashed demo 100 s\n");
	/* or nothing, */
	assert_tests(state,
		     "KTAP version 1\n1..2\n    KTAP version 1\n    # Subtest: demo\n    1..3\n",
		     SMOKE_KTAP_DIED, "crashed demo/test 1 98 s\ncrashed demo 100 s\n");
	/* inside kselftest's second program, */
	assert_tests(state,
		     "TAP version 13\n1..3\n# selftests: mm: a\nok 1 selftests: mm: a\n"
		     "# selftests: mm: b\n# begins\n",
		     SMOKE_KTAP_DIED,
		     "passed selftests: mm: a 3 s\n"
		     "crashed selftests: mm: b 97 s: selftests: mm: b|begins|\n");
	/* after the last one: no test ran. */
	assert_tests(state, "KTAP version 1\n1..1\nok 1 a\n", SMOKE_KTAP_DIED, "passed a 2 s\n");
	/* We ended it, since all had been seen. */
	assert_tests(state, "KTAP version 1\n1..2\nok 1 a\n", SMOKE_KTAP_STOPPED, "passed a 2 s\n");
}

static void a_plan_that_is_not_met_fails(void **state)
{
	assert_tests(state, "KTAP version 1\n1..3\nok 1 a\n", SMOKE_KTAP_ENDED,
		     "passed a 2 s\nmissing plan of 3 tests, 1 results 0 s\n");
	assert_tests(state, "KTAP version 1\n1..1\nok 1 a\nok 2 b\n", SMOKE_KTAP_ENDED,
		     "passed a 2 s\npassed b 1 s\nmissing plan of 1 tests, 2 results 0 s\n");
	assert_tests(state,
		     "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..2\n"
		     "    ok 1 a\nok 1 s\n",
		     SMOKE_KTAP_ENDED,
		     "passed s/a 3 s\nmissing s/plan of 2 tests, 1 results 0 s\npassed s 6 s\n");
}

static void what_is_no_result_is_none(void **state)
{
	struct rig *rig = *state;

	assert_tests(state, "ok 1 a\nnot ok 2 b\n1..2\nokay\n# Subtest: x\nBail out!\n",
		     SMOKE_KTAP_ENDED, "");
	rig->ktap.plan_begins = true;
	assert_tests(state, "1..x\nok 1 a\n  1..2\nok 2 b\nTAP version x\n", SMOKE_KTAP_ENDED, "");
	assert_tests(state, "KTAP version 1\nokay then\nnot okay\nok\n", SMOKE_KTAP_ENDED,
		     "passed test 1 3 s\n");
}

static void equal_names_have_numbers(void **state)
{
	assert_tests(state, "KTAP version 1\n1..3\nok 1 a\nok 2 a\nok 3 a\n", SMOKE_KTAP_ENDED,
		     "passed a 2 s\npassed a (2) 1 s\npassed a (3) 1 s\n");
}

/* A hostile guest: ever more tests, ever deeper, ever longer names and notes. */
static void a_guest_costs_no_more(void **state)
{
	struct rig *rig = *state;
	char line[512];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	smoke_ktap_line(&rig->ktap, "KTAP version 1", 0);
	for (unsigned i = 0; i < 20000; i++) {
		memcpy(line, "not ok 1 ", 9);
		smoke_ktap_line(&rig->ktap, line, 0);
		memcpy(line, "# note - ", 9);
		smoke_ktap_line(&rig->ktap, line, 0);
	}
	assert_int_equal(rig->tests.nr, SMOKE_TESTS_MAX);
	assert_int_equal(rig->tests.left_out, 20000 - SMOKE_TESTS_MAX);
	assert_int_equal(smoke_tests_failed(&rig->tests), 20000);
	assert_true(rig->tests.notes_bytes <= SMOKE_TESTS_NOTES_MAX);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(line, sizeof(line), "%*sKTAP version 1", (int)i, "");
		smoke_ktap_line(&rig->ktap, line, 0);
		assert_true(rig->ktap.depth <= SMOKE_TEST_DEPTH_MAX);
	}
	smoke_ktap_line(&rig->ktap, "1..18446744073709551616", 0);
	smoke_ktap_finish(&rig->ktap, SMOKE_KTAP_DIED, INT64_MAX);
}

static void kvm_unit_tests_are_lines(void **state)
{
	static const struct {
		const char *line;
		enum smoke_test_verdict verdict;
	} lines[] = {
		{"PASS: one", SMOKE_TEST_PASSED},     {"FAIL: two: part", SMOKE_TEST_FAILED},
		{"SKIP: three", SMOKE_TEST_SKIPPED},  {"XFAIL: four", SMOKE_TEST_EXPECTED},
		{"KFAIL: five", SMOKE_TEST_EXPECTED}, {"XPASS: six", SMOKE_TEST_FAILED},
	};
	static const char *const others[] = {
		"", "PASS", "PASS:", " PASS: no", "INFO: no", "SUMMARY: 6 tests", "ok 1 no"};
	struct rig *rig = *state;
	struct smoke_kvm_unit unit = {.tests = &rig->tests};

	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
		smoke_kvm_unit_line(&unit, lines[i].line, (5 + i) * NS_PER_S);
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		smoke_kvm_unit_line(&unit, others[i], 100 * NS_PER_S);
	assert_int_equal(rig->tests.nr, ARRAY_SIZE(lines));
	for (unsigned i = 0; i < rig->tests.nr; i++) {
		assert_int_equal(rig->tests.test[i].verdict, lines[i].verdict);
		assert_string_equal(rig->tests.test[i].name, strchr(lines[i].line, ' ') + 1);
		assert_int_equal(rig->tests.test[i].ns, i ? NS_PER_S : 0);
	}
	assert_int_equal(smoke_tests_failed(&rig->tests), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(kunit_is_nested),
		TEST(kselftest_is_nested),
		TEST(tap_has_yaml_todo_and_subtests),
		TEST(a_crash_marks_the_test_that_ran),
		TEST(a_plan_that_is_not_met_fails),
		TEST(what_is_no_result_is_none),
		TEST(equal_names_have_numbers),
		TEST(a_guest_costs_no_more),
		TEST(kvm_unit_tests_are_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
