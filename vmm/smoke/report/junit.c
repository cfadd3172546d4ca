#include <stdlib.h>

#include "smoke/report/files.h"
#include "smoke/report/text.h"
#include "smoke/report/xml.h"

/* JUnit's three ways not to pass: what was tested failed, the test itself did, it did not run. */
enum verdict { VERDICT_PASS, VERDICT_FAILURE, VERDICT_ERROR, VERDICT_SKIPPED, VERDICTS };

static enum verdict verdict_of(const struct smoke_result *result)
{
	switch (result->outcome) {
	case SMOKE_PASS: return VERDICT_PASS;
	case SMOKE_SETUP_ERROR:
	case SMOKE_KVM_ERROR: return VERDICT_ERROR;
	case SMOKE_NOT_RUN: return VERDICT_SKIPPED;
	case SMOKE_KILLED: return result->was_started ? VERDICT_ERROR : VERDICT_SKIPPED;
	default: return VERDICT_FAILURE;
	}
}

static int64_t duration_ns(const struct smoke_result *result)
{
	return result->was_started ? result->times.end_ns - result->times.start_ns : 0;
}

static void put_counts(FILE *out, const struct smoke_suite *suite,
		       const struct smoke_result *results)
{
	unsigned n[VERDICTS] = {0};
	int64_t ns = 0;

	for (unsigned i = 0; i < suite->nr; i++) {
		n[verdict_of(&results[i])]++;
		ns += duration_ns(&results[i]);
	}
	fprintf(out, " tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\" time=\"",
		suite->nr, n[VERDICT_FAILURE], n[VERDICT_ERROR], n[VERDICT_SKIPPED]);
	smoke_text_seconds(out, ns);
	fputs("\">\n", out);
}

static void put_verdict(FILE *out, const struct smoke_result *result)
{
	const enum verdict verdict = verdict_of(result);
	const char *tag = verdict == VERDICT_FAILURE ? "failure" : "error";

	if (verdict == VERDICT_PASS)
		return;
	if (verdict == VERDICT_SKIPPED) {
		fputs("      <skipped/>\n", out);
		return;
	}
	fprintf(out, "      <%s type=\"%s\" message=\"", tag, smoke_outcome_name(result->outcome));
	smoke_xml_string(out, result->why);
	fputs("\">", out);
	smoke_xml_string(out, result->why);
	fprintf(out, "\nexit status %d</%s>\n", result->status, tag);
}

static void put_case(FILE *out, const struct smoke_result *result)
{
	char *text = NULL;
	size_t len = 0;
	FILE *details = open_memstream(&text, &len);

	fputs("    <testcase classname=\"tollgate.smoke\" name=\"", out);
	smoke_xml_string(out, result->spec->name);
	fputs("\" time=\"", out);
	smoke_text_seconds(out, duration_ns(result));
	fputs("\">\n", out);
	put_verdict(out, result);
	if (details) {
		smoke_text_result(details, result);
		fclose(details);
		fputs("      <system-out>", out);
		smoke_xml_text(out, text, len);
		fputs("</system-out>\n", out);
		free(text);
	}
	fputs("    </testcase>\n", out);
}

void smoke_report_junit(FILE *out, const struct smoke_suite *suite,
			const struct smoke_result *results)
{
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"tollgate smoke\"",
	      out);
	put_counts(out, suite, results);
	fputs("  <testsuite name=\"tollgate smoke\"", out);
	put_counts(out, suite, results);
	for (unsigned i = 0; i < suite->nr; i++)
		put_case(out, &results[i]);
	fputs("  </testsuite>\n</testsuites>\n", out);
}
