#include "smoke/report_text.h"

#include <inttypes.h>

#include "device.h"

void smoke_text_seconds(FILE *out, int64_t ns)
{
	fprintf(out, "%" PRId64 ".%03" PRId64, ns / NS_PER_S, ns % NS_PER_S / NS_PER_MS);
}

static const char *stream_tag(enum smoke_stream stream)
{
	switch (stream) {
	case SMOKE_COMMAND_OUT: return "out: ";
	case SMOKE_COMMAND_ERR: return "err: ";
	default: return "";
	}
}

static void put_console(FILE *out, const struct smoke_result *result)
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
	put_console(out, result);
	if (result->report)
		put_report(out, result->report);
	if (result->too_dear)
		fprintf(out,
			"  patterns were given up %" PRIu64 " times: they take too many steps\n",
			result->too_dear);
}

void smoke_text_result(FILE *out, const struct smoke_result *result)
{
	const bool passed = result->outcome == SMOKE_PASS;

	fprintf(out, "%s %s: ", passed ? "PASS" : "FAIL", result->spec->name);
	if (!passed)
		fprintf(out, "%s, exit status %d: ", smoke_outcome_name(result->outcome),
			result->status);
	fprintf(out, "%s (", result->why);
	if (result->was_started)
		smoke_text_seconds(out, result->times.end_ns - result->times.start_ns);
	else
		fputc('0', out);
	fputs(" s)\n", out);
	if (!passed)
		put_details(out, result);
}

void smoke_text_summary(FILE *out, const struct smoke_plan *plan,
			const struct smoke_result *results)
{
	unsigned passed = 0;

	for (unsigned i = 0; i < plan->nr; i++)
		passed += results[i].outcome == SMOKE_PASS;
	fprintf(out, "%u passed, %u failed\n", passed, plan->nr - passed);
}
