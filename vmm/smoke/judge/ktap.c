#include "smoke/judge/ktap.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "smoke/judge/tests.h"

/* The kind of a line, by its text after the indentation. */
enum ktap_what { KTAP_OTHER, KTAP_VERSION, KTAP_PLAN, KTAP_RESULT, KTAP_SUBTEST, KTAP_BAIL };

struct ktap_line {
	enum ktap_what what;
	unsigned indent;
	const char *rest; /* what follows the words that say what it is */
	bool ok;
};

/* The rest of s after prefix; NULL: s does not begin so. */
static const char *line_after(const char *s, const char *prefix)
{
	const size_t len = strlen(prefix);

	return strncmp(s, prefix, len) == 0 ? s + len : NULL;
}

static bool is_number(const char *s)
{
	return isdigit((unsigned char)*s);
}

static enum ktap_what what_is(const char *s, struct ktap_line *ret)
{
	if ((ret->rest = line_after(s, "KTAP version ")) ||
	    (ret->rest = line_after(s, "TAP version ")))
		return is_number(ret->rest) ? KTAP_VERSION : KTAP_OTHER;
	if ((ret->rest = line_after(s, "1..")))
		return is_number(ret->rest) ? KTAP_PLAN : KTAP_OTHER;
	if ((ret->rest = line_after(s, "# Subtest: ")))
		return KTAP_SUBTEST;
	if ((ret->rest = line_after(s, "Bail out!")))
		return KTAP_BAIL;
	ret->rest = line_after(s, "not ok");
	ret->ok = !ret->rest;
	if (!ret->rest)
		ret->rest = line_after(s, "ok");
	return ret->rest && (*ret->rest == ' ' || *ret->rest == '\0') ? KTAP_RESULT : KTAP_OTHER;
}

/* Blanks and "# " before a line are its indentation; kselftest puts "# " before what a test prints. */
static void ktap_parse(const char *line, struct ktap_line *ret)
{
	const char *s = line;

	*ret = (struct ktap_line){0};
	for (;;) {
		s += strspn(s, " ");
		ret->what = what_is(s, ret);
		ret->indent = (unsigned)(s - line);
		if (ret->what != KTAP_OTHER || strncmp(s, "# ", 2) != 0)
			return;
		s += 2;
	}
}

static struct smoke_ktap_level *innermost(struct smoke_ktap *ktap)
{
	return ktap->depth ? &ktap->level[ktap->depth - 1] : NULL;
}

static void ktap_open(struct smoke_ktap *ktap, unsigned indent, int64_t at_ns)
{
	struct smoke_ktap_level *level;

	if (ktap->depth == SMOKE_TEST_DEPTH_MAX)
		return;
	level = &ktap->level[ktap->depth++];
	*level = (struct smoke_ktap_level){.indent = indent, .since_ns = at_ns};
	memcpy(level->name, ktap->next_name, sizeof(level->name));
	ktap->next_name[0] = '\0';
}

static void add_test(struct smoke_ktap *ktap, unsigned depth, enum smoke_test_verdict verdict,
		     char *name, int64_t ns)
{
	const struct smoke_test test = {
		.verdict = verdict, .depth = depth, .ns = ns, .name = name, .notes = ktap->notes};

	smoke_tests_add(ktap->tests, &test);
	ktap->notes_len = 0;
	ktap->notes[0] = '\0';
}

/* The innermost level has ended, and its plan counts. */
static void ktap_close(struct smoke_ktap *ktap)
{
	const struct smoke_ktap_level *level = &ktap->level[--ktap->depth];
	char name[SMOKE_TEST_NAME_MAX];

	if (!level->has_plan || level->plan == level->seen)
		return;
	snprintf(name, sizeof(name), "plan of %" PRIu64 " tests, %" PRIu64 " results", level->plan,
		 level->seen);
	add_test(ktap, ktap->depth, SMOKE_TEST_MISSING, name, 0);
}

static void close_deeper(struct smoke_ktap *ktap, unsigned indent)
{
	while (ktap->depth > 1 && innermost(ktap)->indent > indent)
		ktap_close(ktap);
}

/* A version line begins a group: a deeper one, or one after the groups that were as deep. */
static void take_version(struct smoke_ktap *ktap, const struct ktap_line *line, int64_t at_ns)
{
	while (ktap->depth && innermost(ktap)->indent >= line->indent)
		ktap_close(ktap);
	ktap_open(ktap, line->indent, at_ns);
}

static void take_plan(struct smoke_ktap *ktap, const struct ktap_line *line, int64_t at_ns)
{
	struct smoke_ktap_level *level;

	if (ktap->depth == 0 && (!ktap->plan_begins || line->indent > 0))
		return;
	if (ktap->depth)
		close_deeper(ktap, line->indent);
	if (ktap->depth == 0 || innermost(ktap)->indent < line->indent)
		ktap_open(ktap, line->indent, at_ns);
	level = innermost(ktap);
	if (level->has_plan && level->seen == level->plan && level->indent == line->indent) {
		/* A second document without a version line. */
		ktap_close(ktap);
		ktap_open(ktap, line->indent, at_ns);
		level = innermost(ktap);
	}
	level->has_plan = true;
	level->plan = strtoull(line->rest, NULL, 10);
}

static void take_subtest(struct smoke_ktap *ktap, const struct ktap_line *line, int64_t at_ns)
{
	struct smoke_ktap_level *level;

	if (ktap->depth == 0)
		return;
	close_deeper(ktap, line->indent);
	level = innermost(ktap);
	if (level->indent == line->indent && ktap->depth > 1 && level->seen == 0 &&
	    !level->name[0]) {
		snprintf(level->name, sizeof(level->name), "%s", line->rest); /* KUnit */
		return;
	}
	snprintf(ktap->next_name, sizeof(ktap->next_name), "%s", line->rest);
	if (line->indent > level->indent)
		ktap_open(ktap, line->indent, at_ns);
}

/* Reads what follows the number and the dash: "name # SKIP reason" becomes a name, and a verdict. */
static enum smoke_test_verdict take_name(const struct ktap_line *line, char *name, char *reason)
{
	enum smoke_test_verdict verdict = line->ok ? SMOKE_TEST_PASSED : SMOKE_TEST_FAILED;
	const char *s = line->rest + strspn(line->rest, " ");
	char *directive;

	if (is_number(s))
		s += strspn(s, "0123456789");
	s += strspn(s, " ");
	if (s[0] == '-' && s[1] == ' ')
		s += 2;
	snprintf(name, SMOKE_TEST_NAME_MAX, "%s", s);
	*reason = '\0';
	directive = *name == '#' ? name : strstr(name, " #");
	if (!directive)
		return verdict;
	s = directive + strcspn(directive, "#") + 1;
	s += strspn(s, " ");
	if (strncasecmp(s, "SKIP", 4) == 0)
		verdict = SMOKE_TEST_SKIPPED;
	else if (strncasecmp(s, "TODO", 4) == 0 || strncasecmp(s, "XFAIL", 5) == 0)
		verdict = SMOKE_TEST_EXPECTED;
	snprintf(reason, SMOKE_TEST_NAME_MAX, "%s", s);
	*directive = '\0';
	return verdict;
}

static void note_line(struct smoke_ktap *ktap, const char *line)
{
	const size_t len = strlen(line);

	if (len + 2 > sizeof(ktap->notes) - ktap->notes_len)
		return;
	memcpy(ktap->notes + ktap->notes_len, line, len);
	ktap->notes_len += len;
	ktap->notes[ktap->notes_len++] = '\n';
	ktap->notes[ktap->notes_len] = '\0';
}

static void take_result(struct smoke_ktap *ktap, const struct ktap_line *line, int64_t at_ns)
{
	char name[SMOKE_TEST_NAME_MAX], reason[SMOKE_TEST_NAME_MAX];
	enum smoke_test_verdict verdict;
	struct smoke_ktap_level *level;

	if (ktap->depth == 0)
		return;
	close_deeper(ktap, line->indent);
	level = innermost(ktap);
	if (line->indent > level->indent && ktap->depth < SMOKE_TEST_DEPTH_MAX) {
		ktap_open(ktap, line->indent, at_ns); /* a plan may follow its results */
		level = innermost(ktap);
	}
	verdict = take_name(line, name, reason);
	if (reason[0])
		note_line(ktap, reason);
	level->seen++;
	if (!name[0])
		snprintf(name, sizeof(name), "test %" PRIu64, level->seen);
	add_test(ktap, ktap->depth - 1, verdict, name, at_ns - level->since_ns);
	level->since_ns = at_ns;
}

/* Nothing follows: the tests that were to come do not count as missing. */
static void take_bail(struct smoke_ktap *ktap, const struct ktap_line *line)
{
	char name[] = "Bail out!";

	if (ktap->depth == 0)
		return;
	note_line(ktap, line->rest);
	add_test(ktap, 0, SMOKE_TEST_FAILED, name, 0);
	ktap->depth = 0;
}

/* A YAML block after a result (TAP 13): what the test itself says of its time, and the rest as its notes. */
static void take_yaml(struct smoke_ktap *ktap, const char *line)
{
	struct smoke_tests *tests = ktap->tests;
	const char *ms = strstr(line, "duration_ms:");

	if (strcmp(line + strspn(line, " "), "...") == 0) {
		ktap->in_yaml = false;
		return;
	}
	if (ms && tests->nr && tests->left_out == 0) {
		const double value = strtod(ms + strlen("duration_ms:"), NULL);

		if (value >= 0 && value < 1e12)
			tests->test[tests->nr - 1].ns = (int64_t)(value * (double)NS_PER_MS);
	}
}

/* Diagnostics, and what is indented below them. Other words of the kernel are none of a test's. */
static void take_other(struct smoke_ktap *ktap, const char *line)
{
	const char *s = line + strspn(line, " ");

	if (ktap->depth == 0)
		return;
	if (strcmp(s, "---") == 0)
		ktap->in_yaml = true;
	else if (line_after(s, "# module: ") || line_after(s, "# Totals: "))
		return; /* of a group, not of a test */
	else if (*s == '#' || (ktap->notes_len && s - line >= 4))
		note_line(ktap, s + (*s == '#') + (*s == '#' && s[1] == ' '));
}

void smoke_ktap_line(struct smoke_ktap *ktap, const char *line, int64_t at_ns)
{
	struct ktap_line parsed;

	ktap_parse(line, &parsed);
	if (ktap->in_yaml && parsed.what != KTAP_RESULT && parsed.what != KTAP_VERSION) {
		take_yaml(ktap, line);
		return;
	}
	ktap->in_yaml = false;
	switch (parsed.what) {
	case KTAP_VERSION: take_version(ktap, &parsed, at_ns); break;
	case KTAP_PLAN: take_plan(ktap, &parsed, at_ns); break;
	case KTAP_RESULT: take_result(ktap, &parsed, at_ns); break;
	case KTAP_SUBTEST: take_subtest(ktap, &parsed, at_ns); break;
	case KTAP_BAIL: take_bail(ktap, &parsed); break;
	case KTAP_OTHER: take_other(ktap, line); break;
	}
}

/*
 * The name of the test that runs, of its diagnostics: KUnit's "test_name: ...", kselftest's "selftests: dir: name".
 * Else its number.
 */
static void running_name(const struct smoke_ktap *ktap, const struct smoke_ktap_level *level,
			 char *name)
{
	static const char kselftest[] = "selftests: ";
	const char *notes = ktap->notes;
	const size_t skip =
		strncmp(notes, kselftest, sizeof(kselftest) - 1) == 0
			? sizeof(kselftest) - 1 + strcspn(notes + sizeof(kselftest) - 1, ":") + 1
			: 0;
	const size_t len = skip ? strcspn(notes, "\n") : strcspn(notes, ": \n");

	if (len > 0 && len < SMOKE_TEST_NAME_MAX && (skip || notes[len] == ':'))
		snprintf(name, SMOKE_TEST_NAME_MAX, "%.*s", (int)len, notes);
	else
		snprintf(name, SMOKE_TEST_NAME_MAX, "test %" PRIu64, level->seen + 1);
}

/* The innermost level that is not complete has the test that ran; those around it were at it. */
static void ktap_crash(struct smoke_ktap *ktap, int64_t at_ns)
{
	bool found = false;

	while (ktap->depth > 0) {
		struct smoke_ktap_level *level = innermost(ktap);
		const bool complete = level->has_plan && level->seen >= level->plan;
		char name[SMOKE_TEST_NAME_MAX];

		/* A subtest whose own results are all there still lacks the one that it is. */
		if (!complete || found) {
			const struct smoke_ktap_level *inner =
				found ? &ktap->level[ktap->depth] : NULL;

			if (inner && inner->name[0])
				snprintf(name, sizeof(name), "%s", inner->name);
			else
				running_name(ktap, level, name);
			add_test(ktap, ktap->depth - 1, SMOKE_TEST_CRASHED, name,
				 at_ns - level->since_ns);
			found = true;
		} else if (ktap->depth > 1) {
			found = true;
		}
		ktap->depth--;
	}
}

void smoke_ktap_finish(struct smoke_ktap *ktap, enum smoke_ktap_end how, int64_t at_ns)
{
	if (how == SMOKE_KTAP_DIED)
		ktap_crash(ktap, at_ns);
	while (how == SMOKE_KTAP_ENDED && ktap->depth > 0)
		ktap_close(ktap);
	ktap->depth = 0;
}
