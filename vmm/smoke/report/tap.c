#include <json-c/json.h>

#include "smoke/report/files.h"
#include "smoke/report/text.h"

/* A JSON string is a YAML one, too. */
static void put_yaml(FILE *out, const char *key, const char *value)
{
	struct json_object *string = json_object_new_string(value);

	fprintf(out, "  %s: %s\n", key,
		json_object_to_json_string_ext(string, JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(string);
}

/* A '#' would begin a directive. */
static void put_description(FILE *out, const char *name)
{
	for (; *name; name++) {
		if (*name == '#' || *name == '\\')
			fputc('\\', out);
		fputc(*name, out);
	}
}

static void put_lines(FILE *out, const struct smoke_tail *tail)
{
	if (tail->nr == 0)
		return;
	fputs("  console:\n", out);
	for (unsigned i = 0; i < tail->nr; i++) {
		const struct smoke_tail_line *line = smoke_tail_get(tail, i);

		fputs("  ", out);
		put_yaml(out, line->marked ? "- marked" : "- line", line->text);
	}
}

static void put_tap_splats(FILE *out, const struct smoke_splats *splats)
{
	if (splats->nr)
		fputs("  splats:\n", out);
	for (unsigned i = 0; i < splats->nr; i++) {
		fputs("  ", out);
		put_yaml(out, splats->splat[i].rejected ? "- rejected" : "- note",
			 splats->splat[i].title);
	}
}

static void put_subtest(FILE *out, unsigned depth, unsigned number, const struct smoke_test *test)
{
	const bool bad = smoke_test_is_bad(test->verdict) || test->verdict == SMOKE_TEST_EXPECTED;

	fprintf(out, "%*s%s %u - ", 4 * ((int)depth + 1), "", bad ? "not ok" : "ok", number);
	put_description(out, test->name ? test->name : "");
	if (test->verdict == SMOKE_TEST_SKIPPED)
		fputs(" # SKIP", out);
	if (test->verdict == SMOKE_TEST_EXPECTED)
		fputs(" # TODO", out);
	fputc('\n', out);
}

/* Those of [from, to) at a depth, each after its parts. */
static void put_subtests(FILE *out, const struct smoke_tests *tests, unsigned from, unsigned to,
			 unsigned depth)
{
	unsigned nr = 0, number = 0;

	for (unsigned i = from; i < to; i++)
		nr += tests->test[i].depth == depth;
	if (nr == 0)
		return;
	fprintf(out, "%*s1..%u\n", 4 * ((int)depth + 1), "", nr);
	for (unsigned i = from; i < to; i++) {
		if (tests->test[i].depth != depth)
			continue;
		if (depth < SMOKE_TEST_DEPTH_MAX)
			put_subtests(out, tests, from, i, depth + 1);
		put_subtest(out, depth, ++number, &tests->test[i]);
		from = i + 1;
	}
}

static void put_test(FILE *out, unsigned i, const struct smoke_result *result)
{
	const bool passed = result->outcome == SMOKE_PASS;

	if (result->tests.nr) {
		fputs("# Subtest: ", out);
		put_description(out, result->spec->name);
		fputc('\n', out);
		put_subtests(out, &result->tests, 0, result->tests.nr, 0);
	}
	fprintf(out, "%s %u - ", passed || result->outcome == SMOKE_NOT_RUN ? "ok" : "not ok",
		i + 1);
	put_description(out, result->spec->name);
	if (result->outcome == SMOKE_NOT_RUN) {
		fprintf(out, " # SKIP %s\n", result->why);
		return;
	}
	fputs("\n  ---\n", out);
	put_yaml(out, "outcome", smoke_outcome_name(result->outcome));
	put_yaml(out, "message", result->why);
	if (smoke_result_id(result))
		put_yaml(out, "message_id", smoke_result_id(result));
	fprintf(out, "  exit_status: %d\n  seconds: ", result->status);
	smoke_text_seconds(out,
			   result->was_started ? result->times.end_ns - result->times.start_ns : 0);
	fputc('\n', out);
	put_tap_splats(out, &result->splats);
	if (!passed)
		put_lines(out, &result->tail);
	fputs("  ...\n", out);
}

void smoke_report_tap(FILE *out, const struct smoke_suite *suite,
		      const struct smoke_result *results)
{
	fprintf(out, "TAP version 13\n1..%u\n", suite->nr);
	for (unsigned i = 0; i < suite->nr; i++)
		put_test(out, i, &results[i]);
}
