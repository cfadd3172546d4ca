#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

static enum verdict verdict_of_test(const struct smoke_test *test)
{
	if (smoke_test_is_bad(test->verdict))
		return VERDICT_FAILURE;
	return test->verdict == SMOKE_TEST_PASSED ? VERDICT_PASS : VERDICT_SKIPPED;
}

static int64_t duration_ns(const struct smoke_result *result)
{
	return result->was_started ? result->times.end_ns - result->times.start_ns : 0;
}

static void put_counts(FILE *out, const struct smoke_suite *suite,
		       const struct smoke_result *results)
{
	unsigned n[VERDICTS] = {0}, tests = suite->nr;
	int64_t ns = 0;

	for (unsigned i = 0; i < suite->nr; i++) {
		n[verdict_of(&results[i])]++;
		tests += results[i].splats.nr + results[i].tests.nr;
		for (unsigned k = 0; k < results[i].tests.nr; k++)
			n[verdict_of_test(&results[i].tests.test[k])]++;
		for (unsigned k = 0; k < results[i].splats.nr; k++)
			n[results[i].splats.splat[k].rejected ? VERDICT_FAILURE
							      : VERDICT_SKIPPED]++;
		ns += duration_ns(&results[i]);
	}
	fprintf(out, " tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\" time=\"", tests,
		n[VERDICT_FAILURE], n[VERDICT_ERROR], n[VERDICT_SKIPPED]);
	smoke_text_seconds(out, ns);
	fputs("\"", out);
}

static void put_property(FILE *out, const char *indent, const char *name, const char *value)
{
	fprintf(out, "%s<property name=\"", indent);
	smoke_xml_string(out, name);
	fputs("\" value=\"", out);
	smoke_xml_string(out, value);
	fputs("\"/>\n", out);
}

static void put_number(FILE *out, const char *indent, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	put_property(out, indent, name, text);
}

/* Of the run. */
static void put_suite_properties(FILE *out, const struct smoke_run_opts *run)
{
	static const char indent[] = "      ";

	fputs("    <properties>\n", out);
	put_property(out, indent, "tollgate.version", TOLLGATE_VERSION);
	if (run->shards) {
		put_number(out, indent, "tollgate.shard", run->shard);
		put_number(out, indent, "tollgate.shards", run->shards);
	}
	for (unsigned i = 0; i < run->nr_properties; i++) {
		char name[256] = "";
		const char *value = strchr(run->property[i], '=') + 1;
		const size_t len = (size_t)(value - 1 - run->property[i]);

		memcpy(name, run->property[i], len < sizeof(name) ? len : sizeof(name) - 1);
		put_property(out, indent, name, value);
	}
	fputs("    </properties>\n", out);
}

/* Of a boot. */
static void put_case_properties(FILE *out, const struct smoke_result *result)
{
	static const char indent[] = "        ";
	const struct config *config = &result->spec->config;

	fputs("      <properties>\n", out);
	if (config->kernel)
		put_property(out, indent, "kernel", config->kernel);
	put_number(out, indent, "cpus", config->vm.machine.cpus);
	put_number(out, indent, "mem_bytes", config->vm.machine.mem_bytes);
	if (config->vm.machine.cmdline)
		put_property(out, indent, "append", config->vm.machine.cmdline);
	if (config->initramfs.run)
		put_property(out, indent, "run", config->initramfs.run);
	put_property(out, indent, "outcome", smoke_outcome_name(result->outcome));
	put_number(out, indent, "exit_status", (uint64_t)result->status);
	fputs("      </properties>\n", out);
}

/* When the first boot began, as the format has it: without a zone. */
static void put_timestamp(FILE *out, const struct smoke_suite *suite,
			  const struct smoke_result *results)
{
	int64_t first = INT64_MAX;

	for (unsigned i = 0; i < suite->nr; i++)
		if (results[i].was_started && results[i].started_real_ns < first)
			first = results[i].started_real_ns;
	if (first == INT64_MAX)
		return;
	fputs(" timestamp=\"", out);
	smoke_text_date(out, first, false);
	fputs("\"", out);
}

static void put_id(FILE *out, const struct smoke_result *result)
{
	if (smoke_result_id(result))
		fprintf(out, " [%s]", smoke_result_id(result));
}

static void put_verdict(FILE *out, const struct smoke_result *result)
{
	const enum verdict verdict = verdict_of(result);
	const char *tag = verdict == VERDICT_FAILURE ? "failure" : "error";

	if (verdict == VERDICT_PASS)
		return;
	if (verdict == VERDICT_SKIPPED) {
		fputs("      <skipped message=\"", out);
		smoke_xml_string(out, result->why);
		fputs("\"/>\n", out);
		return;
	}
	fprintf(out, "      <%s type=\"%s\" message=\"", tag, smoke_outcome_name(result->outcome));
	smoke_xml_string(out, result->why);
	put_id(out, result);
	fputs("\">", out);
	smoke_xml_string(out, result->why);
	put_id(out, result);
	fprintf(out, "\nexit status %d</%s>\n", result->status, tag);
}

/* A test of the guest's, named by its path: "suite/test". */
static void put_guest_test(FILE *out, const struct smoke_result *result, unsigned i)
{
	const struct smoke_test *test = &result->tests.test[i];
	const char *notes = test->notes ? test->notes : "";
	char path[SMOKE_TEST_PATH_MAX];

	smoke_tests_path(&result->tests, i, path);
	fputs("    <testcase classname=\"", out);
	smoke_xml_string(out, result->spec->name);
	fputs("\" name=\"", out);
	smoke_xml_string(out, path);
	fputs("\" time=\"", out);
	smoke_text_seconds(out, test->ns);
	fputs("\">\n", out);
	if (smoke_test_is_bad(test->verdict)) {
		fprintf(out, "      <failure type=\"%s\" message=\"",
			smoke_test_verdict_name(test->verdict));
		smoke_xml_text(out, notes, strcspn(notes, "\n"));
		fputs("\">", out);
		smoke_xml_text(out, notes, strlen(notes));
		fputs("</failure>\n", out);
	} else if (test->verdict != SMOKE_TEST_PASSED) {
		fputs("      <skipped message=\"", out);
		smoke_xml_text(out, notes, strcspn(notes, "\n"));
		fputs("\"/>\n", out);
	}
	fputs("    </testcase>\n", out);
}

/* A splat is a test case of its boot, by its title: a server knows it again. */
static void put_splat(FILE *out, const struct smoke_result *result, const struct smoke_splat *splat)
{
	fputs("    <testcase classname=\"", out);
	smoke_xml_string(out, result->spec->name);
	fputs("\" name=\"", out);
	smoke_xml_string(out, splat->title);
	fputs("\" time=\"0\">\n", out);
	if (splat->rejected) {
		fprintf(out, "      <failure type=\"%s\" message=\"",
			smoke_splat_class_name(splat->class));
		smoke_xml_string(out, splat->title);
		fputs("\">", out);
		smoke_xml_text(out, splat->text ? splat->text : "", splat->len);
		fputs("</failure>\n", out);
	} else {
		fprintf(out, "      <skipped message=\"%s\"/>\n",
			splat->allowed ? "allowed" : "a note");
		fputs("      <system-out>", out);
		smoke_xml_text(out, splat->text ? splat->text : "", splat->len);
		fputs("</system-out>\n", out);
	}
	fputs("    </testcase>\n", out);
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
	put_case_properties(out, result);
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

static void put_boot(FILE *out, const struct smoke_result *result)
{
	put_case(out, result);
	for (unsigned i = 0; i < result->tests.nr; i++)
		put_guest_test(out, result, i);
	for (unsigned i = 0; i < result->splats.nr; i++)
		put_splat(out, result, &result->splats.splat[i]);
}

void smoke_report_junit(FILE *out, const struct smoke_suite *suite,
			const struct smoke_result *results)
{
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"", out);
	smoke_xml_string(out, suite->run.suite);
	fputs("\"", out);
	put_counts(out, suite, results);
	fputs(">\n  <testsuite name=\"", out);
	smoke_xml_string(out, suite->run.suite);
	fputs("\"", out);
	put_counts(out, suite, results);
	put_timestamp(out, suite, results);
	fputs(">\n", out);
	put_suite_properties(out, &suite->run);
	for (unsigned i = 0; i < suite->nr; i++)
		put_boot(out, &results[i]);
	fputs("  </testsuite>\n</testsuites>\n", out);
}
