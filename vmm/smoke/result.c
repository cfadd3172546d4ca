#include "smoke/result.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "smoke/judge/text.h"

void smoke_result_fini(struct smoke_result *result)
{
	free(result->report);
	result->report = NULL;
	smoke_splats_fini(&result->splats);
	smoke_tests_fini(&result->tests);
}

static const struct smoke_rule *first_unmet(const struct smoke_result *result,
					    enum smoke_rule_kind kind)
{
	const struct smoke_rules *rules = &result->spec->rules;

	for (unsigned i = 0; i < rules->nr; i++)
		if (rules->rule[i].kind == kind && result->met_ns[i] == 0)
			return &rules->rule[i];
	return NULL;
}

const char *smoke_result_stage(const struct smoke_result *result)
{
	const struct smoke_rules *rules = result->spec ? &result->spec->rules : NULL;
	const char *stage = result->times.init_ns    ? "/init"
			    : result->times.guest_ns ? "kernel"
						     : "set-up";

	for (unsigned i = 0; rules && i < rules->nr; i++)
		if (rules->rule[i].kind == SMOKE_RULE_PHASE && result->met_ns[i])
			stage = rules->rule[i].name;
	return stage;
}

/* The rule that the guest was still to meet; NULL when it met all. */
static const struct smoke_rule *result_awaited(const struct smoke_result *result)
{
	return first_unmet(result, SMOKE_RULE_EXPECT);
}

static void put_seconds(FILE *f, int64_t ns)
{
	fprintf(f, "%" PRId64 ".%03" PRId64 " s", ns / NS_PER_S, ns % NS_PER_S / NS_PER_MS);
}

/* "power off (ACPI S5)" */
static void put_end(FILE *f, const struct smoke_result *result)
{
	fputs(vm_end_name(result->facts.end), f);
	if (result->facts.end == VM_END_EXIT_CODE)
		fprintf(f, " %" PRIu32, result->facts.code);
	if (result->end_by[0])
		fprintf(f, " (%s)", result->end_by);
}

/* "code 3" */
static void put_wanted(FILE *f, const struct smoke_wanted_end *wanted)
{
	fputs(vm_end_name(wanted->kind), f);
	if (wanted->kind == VM_END_EXIT_CODE)
		fprintf(f, " %" PRIu32, wanted->code);
}

/* A good end, instead of the wanted one. */
static void put_unwanted(FILE *f, const struct smoke_result *result)
{
	fputs("no ", f);
	put_wanted(f, &result->facts.wanted);
	fputs(" but ", f);
}

static void put_missed(FILE *f, const struct smoke_result *result)
{
	const struct smoke_rule *awaited = result_awaited(result);
	const struct smoke_rule *phase = first_unmet(result, SMOKE_RULE_PHASE);

	if (awaited)
		fprintf(f, "no '%s' before ", awaited->pattern);
	else if (phase)
		fprintf(f, "phase '%s' did not come before ", phase->name);
	else if (result->facts.wanted.kind != VM_END_NONE)
		put_unwanted(f, result);
	else
		fputs("the command's status never came: ", f);
	put_end(f, result);
}

static void put_limit(FILE *f, const struct smoke_result *result, const char *what, int64_t ns)
{
	const struct smoke_rule *awaited = result_awaited(result);

	fputs(what, f);
	put_seconds(f, ns);
	if (awaited)
		fprintf(f, ", waiting for '%s'", awaited->pattern);
}

static void put_phase(FILE *f, const struct smoke_result *result)
{
	const struct smoke_rule *phase = first_unmet(result, SMOKE_RULE_PHASE);

	if (!phase)
		return;
	fprintf(f, "phase '%s' did not come within ", phase->name);
	put_seconds(f, phase->limit_ns);
}

static void put_words(FILE *f, const struct smoke_result *result, const struct smoke_rule *by,
		      const char *text)
{
	if (!by || result->facts.finding < SMOKE_FOUND_REJECT) {
		put_end(f, result);
		return;
	}
	fprintf(f, "%s: %s", by->name, text);
}

/* The end as it was wanted: who reported it, or the guest's line that did. */
static void put_wanted_end(FILE *f, const struct smoke_result *result, const struct smoke_rule *by,
			   const char *text)
{
	if (result->facts.wanted.kind == VM_END_TIMEOUT)
		put_limit(f, result, "not over after ", result->spec->timeout_ns);
	else if (result->facts.wanted.kind == VM_END_PANIC)
		put_words(f, result, by, text);
	else
		put_end(f, result);
}

static void put_pass(FILE *f, const struct smoke_result *result, const struct smoke_rule *by,
		     const char *text)
{
	const unsigned expected = result->spec->rules.nr_of[SMOKE_RULE_EXPECT];

	if (expected)
		fprintf(f, "saw all %u expected", expected);
	if (result->facts.wanted.kind != VM_END_NONE) {
		fputs(expected ? ", as expected: " : "as expected: ", f);
		put_wanted_end(f, result, by, text);
		return;
	}
	if (expected && result->spec->wants_status)
		fputs(", ", f);
	if (!expected || result->spec->wants_status)
		put_end(f, result);
}

static void put_kvm_error(FILE *f, const struct smoke_result *result)
{
	if (result->facts.vmm_died)
		fprintf(f, "the VMM's process died (%s)", result->end_by);
	else
		put_end(f, result);
}

/* "2 of 14 tests failed: suite/test, and 1 more" */
static void put_tests(FILE *f, const struct smoke_tests *tests)
{
	const uint64_t failed = smoke_tests_failed(tests);
	char path[SMOKE_TEST_PATH_MAX];
	unsigned i = 0;

	while (i < tests->nr && !smoke_test_is_bad(tests->test[i].verdict))
		i++;
	fprintf(f, "%" PRIu64 " of %" PRIu64 " tests failed", failed, tests->nr + tests->left_out);
	if (i == tests->nr)
		return;
	smoke_tests_path(tests, i, path);
	fprintf(f, ": %.200s", path);
	if (failed > 1)
		fputs(", ...", f);
}

static void put_why(FILE *f, const struct smoke_result *result, const struct smoke_rule *by,
		    const char *text)
{
	const struct smoke_spec *spec = result->spec;

	switch (result->outcome) {
	case SMOKE_PASS: put_pass(f, result, by, text); break;
	case SMOKE_EXPECT_MISSED: put_missed(f, result); break;
	case SMOKE_TESTS_FAILED: put_tests(f, &result->tests); break;
	case SMOKE_REJECTED:
	case SMOKE_PANIC: put_words(f, result, by, text); break;
	case SMOKE_TIMEOUT: put_limit(f, result, "not over after ", spec->timeout_ns); break;
	case SMOKE_STALL: put_limit(f, result, "silent for ", spec->stall_ns); break;
	case SMOKE_PHASE_TIMEOUT: put_phase(f, result); break;
	case SMOKE_KVM_ERROR: put_kvm_error(f, result); break;
	case SMOKE_SETUP_ERROR: fputs(result->diag.what, f); break;
	case SMOKE_KILLED:
		fputs(result->was_started ? "stopped" : "stopped before it was started", f);
		break;
	case SMOKE_NOT_RUN:
		fputs(result->was_started ? "ended, because another boot did not pass"
					  : "not begun, because another boot did not pass",
		      f);
		break;
	case SMOKE_TRIPLE_FAULT:
	case SMOKE_RESET:
	case SMOKE_HALTED:
	case SMOKE_UNCLAIMED:
	case SMOKE_GUEST_CODE: put_end(f, result); break;
	case SMOKE_OUTCOMES: break;
	}
}

const char *smoke_result_id(const struct smoke_result *result)
{
	const bool failed = result->outcome == SMOKE_SETUP_ERROR && result->diag.id[0];

	return failed ? result->diag.id : NULL;
}

void smoke_result_conclude(struct smoke_result *result, const struct smoke_rule *decided_by,
			   const char *decided_text)
{
	const struct vm_end end = {.kind = result->facts.end, .code = result->facts.code};
	char why[SMOKE_WHY_MAX] = "";
	FILE *f = fmemopen(why, sizeof(why), "w");

	result->outcome = smoke_outcome_of(&result->facts);
	result->status = smoke_outcome_status(result->outcome, result->facts.code);
	if (result->outcome == SMOKE_GUEST_CODE && result->facts.qemu_codes)
		result->status = vm_end_status_qemu(&end);
	if (!f)
		return;
	put_why(f, result, decided_by, decided_text);
	fclose(f);
	/* Patterns and file names are the user's, and a cut at the end may have left half a character. */
	smoke_text_clean(why, result->why, sizeof(result->why));
}
