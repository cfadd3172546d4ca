#include "smoke/report/text.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

void smoke_text_seconds(FILE *out, int64_t ns)
{
	fprintf(out, "%" PRId64 ".%03" PRId64, ns / NS_PER_S, ns % NS_PER_S / NS_PER_MS);
}

void smoke_text_date(FILE *out, int64_t real_ns, bool zone)
{
	const time_t seconds = real_ns / NS_PER_S;
	struct tm tm;
	char date[32] = "";

	if (gmtime_r(&seconds, &tm))
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(out, "%s%s", date, zone ? "Z" : "");
}

static const char *stream_tag(enum smoke_stream stream)
{
	switch (stream) {
	case SMOKE_COMMAND_OUT: return "out: ";
	case SMOKE_COMMAND_ERR: return "err: ";
	default: return "";
	}
}

static void report_put_console(FILE *out, const struct smoke_result *result)
{
	const struct smoke_tail *tail = &result->tail;

	if (tail->nr == 0) {
		fputs("  the console stayed silent\n", out);
		return;
	}
	if (tail->before)
		fprintf(out, "  (%" PRIu64 " lines before)\n", tail->before);
	for (unsigned i = 0; i < tail->nr; i++) {
		const struct smoke_tail_line *line = smoke_tail_get(tail, i);

		fprintf(out, "%c | %s%s%s\n", line->marked ? '>' : ' ', stream_tag(line->stream),
			line->text, line->cut ? "..." : "");
	}
	if (tail->after)
		fprintf(out, "  (%" PRIu64 " lines after)\n", tail->after);
}

static void put_report(FILE *out, const char *report)
{
	while (*report) {
		const char *end = report;

		while (*end && *end != '\n')
			end++;
		fprintf(out, "  %.*s\n", (int)(end - report), report);
		report = *end ? end + 1 : end;
	}
}

/* The usual first mistake, and a kernel's words for it say little. */
static bool lacks_root(const struct smoke_result *result)
{
	const struct config *config = &result->spec->config;

	return result->outcome == SMOKE_PANIC && strstr(result->why, "Unable to mount root") &&
	       config->nr_initrds == 0 && !config_initramfs_wanted(&config->initramfs);
}

/* Set-up errors have no console, and their remedy says more than registers. */
static void put_details(FILE *out, const struct smoke_result *result)
{
	if (result->outcome == SMOKE_SETUP_ERROR) {
		if (result->diag.remedy[0])
			fprintf(out, "  remedy: %s\n", result->diag.remedy);
		return;
	}
	if (!result->was_started)
		return;
	report_put_console(out, result);
	if (result->report)
		put_report(out, result->report);
	if (lacks_root(result))
		fputs("  remedy: the kernel found no root file system; --run CMD brings one, "
		      "--initrd FILE "
		      "or --rootfs IMAGE are yours\n",
		      out);
}

/* A pattern that was given up may have been one to reject, so a boot that passed reports it too. */
static void put_given_up(FILE *out, const struct smoke_result *result)
{
	if (result->too_dear)
		fprintf(out,
			"  patterns were given up %" PRIu64 " times: they take too many steps\n",
			result->too_dear);
}

static void put_time(FILE *out, const char *what, int64_t at_ns, int64_t start_ns)
{
	if (at_ns == 0)
		return;
	fprintf(out, "%s ", what);
	smoke_text_seconds(out, at_ns - start_ns);
	fputs(" s, ", out);
}

static void put_times(FILE *out, const struct smoke_result *result)
{
	const struct smoke_times *times = &result->times;

	if (!result->was_started)
		return;
	fputs("  ", out);
	put_time(out, "VMM set up", times->guest_ns, times->start_ns);
	put_time(out, "first byte", times->first_byte_ns, times->start_ns);
	put_time(out, "/init", times->init_ns, times->start_ns);
	put_time(out, "decided", times->decided_ns, times->start_ns);
	fputs("end ", out);
	smoke_text_seconds(out, times->end_ns - times->start_ns);
	fputs(" s\n", out);
}

/* All that the kernel reported, not only what decided. */
static void put_splats(FILE *out, const struct smoke_splats *splats)
{
	for (unsigned i = 0; i < splats->nr; i++) {
		const struct smoke_splat *splat = &splats->splat[i];

		fprintf(out, "  %s: %s", splat->rejected ? "splat" : "note", splat->title);
		if (splat->times > 1)
			fprintf(out, ", %u times", splat->times);
		fputs(splat->allowed ? " (allowed)\n" : "\n", out);
	}
	if (splats->left_out)
		fprintf(out, "  (%" PRIu64 " more splats)\n", splats->left_out);
}

/* How many of each, and the first of those that are bad. */
static void put_test_counts(FILE *out, const struct smoke_tests *tests)
{
	enum { BAD_MAX = 20 };
	char path[SMOKE_TEST_PATH_MAX];
	unsigned bad = 0;

	if (tests->nr == 0)
		return;
	fputs("  tests:", out);
	for (enum smoke_test_verdict i = 0; i < SMOKE_TEST_VERDICTS; i++)
		if (tests->count[i])
			fprintf(out, " %" PRIu64 " %s", tests->count[i],
				smoke_test_verdict_name(i));
	fputc('\n', out);
	for (unsigned i = 0; i < tests->nr && bad < BAD_MAX; i++) {
		if (!smoke_test_is_bad(tests->test[i].verdict))
			continue;
		bad++;
		smoke_tests_path(tests, i, path);
		fprintf(out, "  %s: %s\n", smoke_test_verdict_name(tests->test[i].verdict), path);
	}
}

static const char *result_word(enum smoke_outcome outcome)
{
	switch (outcome) {
	case SMOKE_PASS: return "PASS";
	case SMOKE_NOT_RUN: return "SKIP";
	default: return "FAIL";
	}
}

void smoke_text_result(FILE *out, const struct smoke_result *result)
{
	const bool passed = result->outcome == SMOKE_PASS;

	fprintf(out, "%s %s: ", result_word(result->outcome), result->spec->name);
	if (result->outcome == SMOKE_NOT_RUN)
		fprintf(out, "%s: ", smoke_outcome_name(result->outcome));
	else if (!passed)
		fprintf(out, "%s, exit status %d: ", smoke_outcome_name(result->outcome),
			result->status);
	fputs(result->why, out);
	if (smoke_result_id(result))
		fprintf(out, " [%s]", smoke_result_id(result));
	fputc('\n', out);
	put_times(out, result);
	put_test_counts(out, &result->tests);
	put_splats(out, &result->splats);
	if (!passed && result->outcome != SMOKE_NOT_RUN)
		put_details(out, result);
	put_given_up(out, result);
}

/* Whether the boot is the first of its name's repeats in the suite. */
static bool is_first_repeat(const struct smoke_suite *suite, unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (strcmp(suite->spec[k]->base, suite->spec[i]->base) == 0)
			return false;
	return true;
}

/* One that passed once and not another time is the hardest kind of failure: it has a line of its own. */
static void put_flaky(FILE *out, const struct smoke_suite *suite,
		      const struct smoke_result *results, unsigned first)
{
	unsigned passed = 0, failed = 0;

	for (unsigned i = first; i < suite->nr; i++) {
		if (strcmp(suite->spec[i]->base, suite->spec[first]->base) != 0)
			continue;
		passed += results[i].outcome == SMOKE_PASS;
		failed += results[i].outcome != SMOKE_PASS && results[i].outcome != SMOKE_NOT_RUN;
	}
	if (passed && failed)
		fprintf(out, "flaky: %s passed %u of %u times\n", suite->spec[first]->base, passed,
			passed + failed);
}

void smoke_text_summary(FILE *out, const struct smoke_suite *suite,
			const struct smoke_result *results)
{
	unsigned passed = 0, not_run = 0;

	for (unsigned i = 0; i < suite->nr; i++) {
		passed += results[i].outcome == SMOKE_PASS;
		not_run += results[i].outcome == SMOKE_NOT_RUN;
		if (is_first_repeat(suite, i))
			put_flaky(out, suite, results, i);
	}
	fprintf(out, "%u passed, %u failed", passed, suite->nr - passed - not_run);
	if (not_run)
		fprintf(out, ", %u not run", not_run);
	fputc('\n', out);
}
