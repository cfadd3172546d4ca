#include "smoke/judge/kvm_unit.h"

#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "smoke/judge/tests.h"

/* KFAIL is a failure that is known; XPASS a test that was to fail, and did not. */
static const struct {
	const char *word;
	enum smoke_test_verdict verdict;
} results[] = {
	{"PASS: ", SMOKE_TEST_PASSED},    {"FAIL: ", SMOKE_TEST_FAILED},
	{"SKIP: ", SMOKE_TEST_SKIPPED},   {"XFAIL: ", SMOKE_TEST_EXPECTED},
	{"KFAIL: ", SMOKE_TEST_EXPECTED}, {"XPASS: ", SMOKE_TEST_FAILED},
};

void smoke_kvm_unit_line(struct smoke_kvm_unit *unit, const char *line, int64_t at_ns)
{
	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		const size_t len = strlen(results[i].word);
		char name[SMOKE_TEST_NAME_MAX];

		if (strncmp(line, results[i].word, len) != 0)
			continue;
		snprintf(name, sizeof(name), "%s", line + len);
		smoke_tests_add(unit->tests,
				&(struct smoke_test){
					.verdict = results[i].verdict,
					.ns = unit->since_ns ? at_ns - unit->since_ns : 0,
					.name = name,
				});
		unit->since_ns = at_ns;
		return;
	}
}
