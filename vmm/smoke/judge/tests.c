/* tests.c - the results of a boot's tests, as a list in which the parts of a test come before it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smoke/judge/tests.h"
#include "smoke/judge/text.h"

const char *smoke_test_verdict_name(enum smoke_test_verdict verdict)
{
	static const char *const names[SMOKE_TEST_VERDICTS] = {
		[SMOKE_TEST_PASSED] = "passed",   [SMOKE_TEST_FAILED] = "failed",
		[SMOKE_TEST_SKIPPED] = "skipped", [SMOKE_TEST_EXPECTED] = "expected failure",
		[SMOKE_TEST_CRASHED] = "crashed", [SMOKE_TEST_MISSING] = "missing",
	};

	return names[verdict];
}

void smoke_tests_fini(struct smoke_tests *tests)
{
	for (unsigned i = 0; i < tests->nr; i++) {
		free(tests->test[i].name);
		free(tests->test[i].notes);
	}
	free(tests->test);
	*tests = (struct smoke_tests){0};
}

bool smoke_test_is_bad(enum smoke_test_verdict verdict)
{
	return verdict == SMOKE_TEST_FAILED || verdict == SMOKE_TEST_CRASHED ||
	       verdict == SMOKE_TEST_MISSING;
}

uint64_t smoke_tests_failed(const struct smoke_tests *tests)
{
	return tests->count[SMOKE_TEST_FAILED] + tests->count[SMOKE_TEST_CRASHED] +
	       tests->count[SMOKE_TEST_MISSING];
}

static bool tests_make_room(struct smoke_tests *tests)
{
	const unsigned room = tests->room ? 2 * tests->room : 64;
	void *more;

	if (tests->nr < tests->room)
		return true;
	if (tests->nr == SMOKE_TESTS_MAX)
		return false;
	more = reallocarray(tests->test, room, sizeof(*tests->test));
	if (!more)
		return false;
	tests->test = more;
	tests->room = room;
	return true;
}

/* Lines of diagnostics, each clean. */
static char *copy_notes(const char *notes)
{
	char *copy = calloc(1, SMOKE_TEST_NOTES_MAX + SMOKE_TEXT_OUT_MAX);
	size_t len = 0;

	while (copy && *notes) {
		const size_t n = strcspn(notes, "\n");
		char line[SMOKE_TEST_NOTES_MAX];

		memcpy(line, notes, n);
		line[n] = '\0';
		smoke_text_clean(line, copy + len, SMOKE_TEST_NOTES_MAX - len);
		len += strlen(copy + len);
		if (notes[n] && len < SMOKE_TEST_NOTES_MAX - 1)
			copy[len++] = '\n';
		notes += n + (notes[n] == '\n');
	}
	return copy;
}

void smoke_tests_add(struct smoke_tests *tests, const struct smoke_test *test)
{
	char name[SMOKE_TEST_NAME_MAX];
	struct smoke_test *to;

	tests->count[test->verdict]++;
	if (!tests_make_room(tests)) {
		tests->left_out++;
		return;
	}
	to = &tests->test[tests->nr++];
	*to = *test;
	smoke_text_clean(test->name, name, sizeof(name));
	to->name = strdup(name);
	to->notes = NULL;
	if (!test->notes || !test->notes[0] || test->verdict == SMOKE_TEST_PASSED ||
	    tests->notes_bytes + SMOKE_TEST_NOTES_MAX > SMOKE_TESTS_NOTES_MAX)
		return;
	to->notes = copy_notes(test->notes);
	tests->notes_bytes += SMOKE_TEST_NOTES_MAX;
}

static const char *name_of(const struct smoke_test *test)
{
	return test->name ? test->name : "";
}

/* How many tests of the same group and name come before it. */
static unsigned nth_of_name(const struct smoke_tests *tests, unsigned i)
{
	const struct smoke_test *test = &tests->test[i];
	unsigned n = 0;

	for (unsigned k = i; k-- > 0 && tests->test[k].depth >= test->depth;)
		n += tests->test[k].depth == test->depth &&
		     strcmp(name_of(&tests->test[k]), name_of(test)) == 0;
	return n;
}

/* The test that the i-th is a part of; tests->nr: none. */
static unsigned whole_of(const struct smoke_tests *tests, unsigned i)
{
	const unsigned depth = tests->test[i].depth;

	if (depth == 0)
		return tests->nr;
	while (i < tests->nr && tests->test[i].depth != depth - 1)
		i++;
	return i;
}

void smoke_tests_path(const struct smoke_tests *tests, unsigned i, char buf[SMOKE_TEST_PATH_MAX])
{
	unsigned chain[SMOKE_TEST_DEPTH_MAX + 1], nr = 0;
	size_t len = 0;

	for (; i < tests->nr && nr < SMOKE_TEST_DEPTH_MAX; i = whole_of(tests, i))
		chain[nr++] = i;
	buf[0] = '\0';
	while (nr-- > 0 && len < SMOKE_TEST_PATH_MAX) {
		const unsigned nth = nth_of_name(tests, chain[nr]);
		char number[24] = "";

		if (nth)
			snprintf(number, sizeof(number), " (%u)", nth + 1);
		len += (size_t)snprintf(buf + len, SMOKE_TEST_PATH_MAX - len, "%s%s%s",
					len ? "/" : "", name_of(&tests->test[chain[nr]]), number);
	}
}
