/*
 * ktap.h - results of tests in what a guest prints: KTAP (Linux's Documentation/dev-tools/ktap.rst), as KUnit and
 * kselftest have it, and TAP 13 and 14.
 *
 * On the console results begin with a version line; in a command's output a plan alone is enough. Subtests are
 * indented, or follow "# ". A test whose result never comes, when the guest ends, is the one that ran: it crashed. A
 * plan that is not met is a failure. Memory is bounded; tests beyond SMOKE_TESTS_MAX are counted.
 */
#ifndef VMM_SMOKE_JUDGE_KTAP_H
#define VMM_SMOKE_JUDGE_KTAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SMOKE_TESTS_MAX = 4096,
	SMOKE_TEST_DEPTH_MAX = 8,
	SMOKE_TEST_NAME_MAX = 160,
	SMOKE_TEST_NOTES_MAX = 1024,       /* bytes of diagnostics of one test that did not pass */
	SMOKE_TEST_PATH_MAX = 1024,        /* of a test's name after those of its groups */
	SMOKE_TESTS_NOTES_MAX = 256 << 10, /* of all tests of a boot */
};

enum smoke_test_verdict {
	SMOKE_TEST_PASSED,
	SMOKE_TEST_FAILED,
	SMOKE_TEST_SKIPPED,
	SMOKE_TEST_EXPECTED, /* a failure that is expected: TODO, XFAIL */
	SMOKE_TEST_CRASHED,  /* it ran when the guest ended */
	SMOKE_TEST_MISSING,  /* the plan has another number of tests */
	SMOKE_TEST_VERDICTS,
};

/* "passed", "crashed", …; stable. A static string. */
const char *smoke_test_verdict_name(enum smoke_test_verdict verdict);

struct smoke_test {
	enum smoke_test_verdict verdict;
	unsigned depth; /* 0: a part of no other test */
	int64_t ns;     /* since the result before it, by the host's clock; or as the test says */
	char *name;     /* clean text; NULL: no memory */
	char *notes;    /* lines of it, clean; NULL: none */
};

/* All of one boot, the parts of a test before it. Zeroed is empty; smoke_tests_fini() frees it. */
struct smoke_tests {
	struct smoke_test *test;
	unsigned nr, room;
	size_t notes_bytes;
	uint64_t count[SMOKE_TEST_VERDICTS]; /* those that were left out, too */
	uint64_t left_out;
};

void smoke_tests_fini(struct smoke_tests *tests);

/* How many failed, crashed or are missing. */
uint64_t smoke_tests_failed(const struct smoke_tests *tests);
bool smoke_test_is_bad(enum smoke_test_verdict verdict);

/*
 * The name of the i-th test after those that it is a part of: "suite/test". When an earlier test of the same group has
 * the same name, a number follows it.
 */
void smoke_tests_path(const struct smoke_tests *tests, unsigned i, char buf[SMOKE_TEST_PATH_MAX]);

/* A group of tests that is open. */
struct smoke_ktap_level {
	unsigned indent;
	bool has_plan;
	uint64_t plan, seen;
	int64_t since_ns;               /* its last result, or its beginning */
	char name[SMOKE_TEST_NAME_MAX]; /* of the test that it is; empty: its result says so */
};

/* One stream. Zeroed but for the first two is its beginning. */
struct smoke_ktap {
	struct smoke_tests *tests; /* borrowed */
	bool plan_begins;          /* no version line is needed */
	unsigned depth;            /* levels that are open */
	struct smoke_ktap_level level[SMOKE_TEST_DEPTH_MAX];
	bool in_yaml;
	char next_name[SMOKE_TEST_NAME_MAX]; /* "# Subtest: " before the subtest's own lines */
	size_t notes_len;
	char notes[SMOKE_TEST_NOTES_MAX]; /* for the next result */
};

/* Takes a whole line, without what printk() puts before it. */
void smoke_ktap_line(struct smoke_ktap *ktap, const char *line, int64_t at_ns);

/* How the guest ended whose tests are open. */
enum smoke_ktap_end {
	SMOKE_KTAP_STOPPED, /* by us, since all had been seen: what was still to come does not count */
	SMOKE_KTAP_ENDED, /* by itself: a plan that is not met is a failure */
	SMOKE_KTAP_DIED,  /* or was ended: the test that ran crashed */
};

/* The stream has ended. */
void smoke_ktap_finish(struct smoke_ktap *ktap, enum smoke_ktap_end how, int64_t at_ns);

#endif
