/* The exit status of a run, for `git bisect run`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "smoke/bisect.h"

enum { BOOTS_MAX = 4 };

/* The outcomes of boots; two that follow each other are repeats of one where repeats says so. */
static const struct {
	enum smoke_outcome outcome[BOOTS_MAX];
	unsigned nr;
	bool repeats;
	enum smoke_flaky flaky;
	int status;
} rows[] = {
	{{SMOKE_PASS}, 1, false, SMOKE_FLAKY_BAD, 0},
	{{SMOKE_PANIC}, 1, false, SMOKE_FLAKY_BAD, 1},
	{{SMOKE_TRIPLE_FAULT}, 1, false, SMOKE_FLAKY_BAD, 1},
	{{SMOKE_TIMEOUT}, 1, false, SMOKE_FLAKY_BAD, 1},
	{{SMOKE_EXPECT_MISSED}, 1, false, SMOKE_FLAKY_BAD, 1},
	{{SMOKE_TESTS_FAILED}, 1, false, SMOKE_FLAKY_BAD, 1},
	{{SMOKE_GUEST_CODE}, 1, false, SMOKE_FLAKY_BAD, 1},
	{{SMOKE_SETUP_ERROR}, 1, false, SMOKE_FLAKY_BAD, 125},
	{{SMOKE_KVM_ERROR}, 1, false, SMOKE_FLAKY_BAD, 125},
	{{SMOKE_KILLED}, 1, false, SMOKE_FLAKY_BAD, 128},
	{{SMOKE_NOT_RUN}, 1, false, SMOKE_FLAKY_BAD, 125},
	{{SMOKE_PASS}, 0, false, SMOKE_FLAKY_BAD, 125},

	/* Several boots: a bad one counts more than one that says nothing. */
	{{SMOKE_PASS, SMOKE_PANIC}, 2, false, SMOKE_FLAKY_GOOD, 1},
	{{SMOKE_PASS, SMOKE_SETUP_ERROR}, 2, false, SMOKE_FLAKY_BAD, 125},
	{{SMOKE_PANIC, SMOKE_SETUP_ERROR}, 2, false, SMOKE_FLAKY_BAD, 1},
	{{SMOKE_PANIC, SMOKE_KILLED}, 2, false, SMOKE_FLAKY_BAD, 128},
	{{SMOKE_PANIC, SMOKE_NOT_RUN}, 2, false, SMOKE_FLAKY_BAD, 1},

	/* Several times the same: the rule is for those that differ. */
	{{SMOKE_PASS, SMOKE_PASS, SMOKE_PANIC}, 3, true, SMOKE_FLAKY_BAD, 1},
	{{SMOKE_PASS, SMOKE_PASS, SMOKE_PANIC}, 3, true, SMOKE_FLAKY_GOOD, 0},
	{{SMOKE_PASS, SMOKE_PASS, SMOKE_PANIC}, 3, true, SMOKE_FLAKY_SKIP, 125},
	{{SMOKE_PANIC, SMOKE_TIMEOUT}, 2, true, SMOKE_FLAKY_GOOD, 1},
	{{SMOKE_PASS, SMOKE_PASS}, 2, true, SMOKE_FLAKY_SKIP, 0},
	{{SMOKE_PASS, SMOKE_KVM_ERROR}, 2, true, SMOKE_FLAKY_BAD, 0},
	{{SMOKE_PANIC, SMOKE_KVM_ERROR}, 2, true, SMOKE_FLAKY_GOOD, 1},
	{{SMOKE_PASS, SMOKE_KILLED}, 2, true, SMOKE_FLAKY_GOOD, 128},
};

static char base[BOOTS_MAX][2] = {"a", "b", "c", "d"};

static void test_statuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct smoke_spec spec[BOOTS_MAX] = {0}, *specs[BOOTS_MAX];
		static struct smoke_result result[BOOTS_MAX];
		const struct smoke_suite suite = {
			.spec = specs, .nr = rows[i].nr, .run.flaky = rows[i].flaky};
		int status;

		for (unsigned k = 0; k < rows[i].nr; k++) {
			specs[k] = &spec[k];
			spec[k].base = base[rows[i].repeats ? 0 : k];
			result[k] = (struct smoke_result){.outcome = rows[i].outcome[k],
							  .facts.code = 7};
		}
		status = smoke_bisect_status(&suite, result);
		if (status != rows[i].status)
			fail_msg("row %zu: %d, not %d", i, status, rows[i].status);
	}
}

static void test_a_command_may_say_skip(void **state)
{
	struct smoke_spec spec = {.base = base[0]}, *specs = &spec;
	const struct smoke_suite suite = {.spec = &specs, .nr = 1};
	static struct smoke_result result = {.outcome = SMOKE_GUEST_CODE, .facts.code = 125};

	(void)state;
	assert_int_equal(smoke_bisect_status(&suite, &result), 125);
	result.facts.code = 139; /* of a command that a signal ended */
	assert_int_equal(smoke_bisect_status(&suite, &result), 1);
}

/* Out of descriptors, as it may be: no other revision could be tested either. */
static void test_a_host_that_fails_ends_it(void **state)
{
	struct smoke_spec spec = {.base = base[0]}, *specs = &spec;
	const struct smoke_suite suite = {.spec = &specs, .nr = 1};
	static struct smoke_result result = {.outcome = SMOKE_SETUP_ERROR, .host_failed = true};

	(void)state;
	assert_int_equal(smoke_bisect_status(&suite, &result), 128);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_a_command_may_say_skip),
		cmocka_unit_test(test_a_host_that_fails_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
