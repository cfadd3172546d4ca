/* Which outcome a boot has, of all that was seen of it, and the exit status of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "smoke/judge/outcome.h"

static const struct {
	struct smoke_facts facts;
	enum smoke_outcome outcome;
} table[] = {
	/* Ends of the guest's own. */
	{{.end = VM_END_POWEROFF}, SMOKE_PASS},
	{{.end = VM_END_EXIT_CODE, .code = 0}, SMOKE_PASS},
	{{.end = VM_END_EXIT_CODE, .code = 7}, SMOKE_GUEST_CODE},
	{{.end = VM_END_PANIC}, SMOKE_PANIC},
	{{.end = VM_END_TRIPLE_FAULT}, SMOKE_TRIPLE_FAULT},
	{{.end = VM_END_RESET}, SMOKE_RESET},
	{{.end = VM_END_KVM_ERROR}, SMOKE_KVM_ERROR},
	{{.end = VM_END_KILLED}, SMOKE_KILLED},
	{{.end = VM_END_HALTED}, SMOKE_HALTED},
	{{.end = VM_END_UNCLAIMED}, SMOKE_UNCLAIMED},
	{{.end = VM_END_NONE, .vmm_died = true}, SMOKE_KVM_ERROR},
	{{.end = VM_END_NONE, .setup_failed = true}, SMOKE_SETUP_ERROR},

	/* With something to expect. */
	{{.end = VM_END_POWEROFF, .expects = true}, SMOKE_EXPECT_MISSED},
	{{.end = VM_END_EXIT_CODE, .expects = true}, SMOKE_EXPECT_MISSED},
	{{.end = VM_END_EXIT_CODE, .code = 7, .expects = true}, SMOKE_GUEST_CODE},
	{{.end = VM_END_RESET, .expects = true}, SMOKE_RESET},
	{{.end = VM_END_KILLED, .expects = true, .finding = SMOKE_FOUND_ALL_EXPECTED}, SMOKE_PASS},
	{{.end = VM_END_PANIC, .expects = true, .finding = SMOKE_FOUND_ALL_EXPECTED}, SMOKE_PASS},
	{{.stop = SMOKE_STOP_TIMEOUT, .end = VM_END_KILLED, .expects = true}, SMOKE_TIMEOUT},

	/* With an end to expect. */
	{{.end = VM_END_PANIC, .wanted = {.kind = VM_END_PANIC}}, SMOKE_PASS},
	{{.end = VM_END_RESET, .finding = SMOKE_FOUND_PANIC, .wanted = {.kind = VM_END_PANIC}},
	 SMOKE_PASS},
	{{.end = VM_END_RESET, .finding = SMOKE_FOUND_PANIC, .wanted = {.kind = VM_END_RESET}},
	 SMOKE_PANIC},
	{{.end = VM_END_PANIC, .expect_missed = true, .wanted = {.kind = VM_END_PANIC}},
	 SMOKE_EXPECT_MISSED},
	{{.end = VM_END_PANIC, .phase_missed = true, .wanted = {.kind = VM_END_PANIC}},
	 SMOKE_EXPECT_MISSED},
	{{.end = VM_END_POWEROFF, .wanted = {.kind = VM_END_PANIC}}, SMOKE_EXPECT_MISSED},
	{{.end = VM_END_EXIT_CODE, .wanted = {.kind = VM_END_POWEROFF}}, SMOKE_EXPECT_MISSED},
	{{.end = VM_END_POWEROFF, .wanted = {.kind = VM_END_POWEROFF}}, SMOKE_PASS},
	{{.end = VM_END_POWEROFF, .wants_status = true, .wanted = {.kind = VM_END_POWEROFF}},
	 SMOKE_PASS},
	{{.end = VM_END_POWEROFF,
	  .expects = true,
	  .finding = SMOKE_FOUND_ALL_EXPECTED,
	  .wanted = {.kind = VM_END_RESET}},
	 SMOKE_EXPECT_MISSED},
	{{.end = VM_END_EXIT_CODE, .code = 3, .wanted = {.kind = VM_END_EXIT_CODE, .code = 3}},
	 SMOKE_PASS},
	{{.end = VM_END_EXIT_CODE, .code = 4, .wanted = {.kind = VM_END_EXIT_CODE, .code = 3}},
	 SMOKE_GUEST_CODE},
	{{.end = VM_END_EXIT_CODE, .wanted = {.kind = VM_END_EXIT_CODE, .code = 3}},
	 SMOKE_EXPECT_MISSED},
	{{.end = VM_END_TRIPLE_FAULT, .wanted = {.kind = VM_END_TRIPLE_FAULT}}, SMOKE_PASS},
	{{.end = VM_END_RESET, .wanted = {.kind = VM_END_RESET}}, SMOKE_PASS},
	{{.end = VM_END_HALTED, .wanted = {.kind = VM_END_HALTED}}, SMOKE_PASS},
	{{.end = VM_END_UNCLAIMED, .wanted = {.kind = VM_END_UNCLAIMED}}, SMOKE_PASS},
	{{.end = VM_END_KILLED, .stop = SMOKE_STOP_TIMEOUT, .wanted = {.kind = VM_END_TIMEOUT}},
	 SMOKE_PASS},
	{{.end = VM_END_KILLED, .stop = SMOKE_STOP_SIGNAL, .wanted = {.kind = VM_END_TIMEOUT}},
	 SMOKE_KILLED},
	{{.end = VM_END_KILLED, .finding = SMOKE_FOUND_REJECT, .wanted = {.kind = VM_END_TIMEOUT}},
	 SMOKE_REJECTED},
	{{.setup_failed = true, .wanted = {.kind = VM_END_PANIC}}, SMOKE_SETUP_ERROR},
	{{.end = VM_END_KVM_ERROR, .wanted = {.kind = VM_END_PANIC}}, SMOKE_KVM_ERROR},

	/* With tests of the guest's. */
	{{.end = VM_END_POWEROFF, .tests_failed = true}, SMOKE_TESTS_FAILED},
	{{.end = VM_END_EXIT_CODE, .wants_status = true, .tests_failed = true}, SMOKE_TESTS_FAILED},
	{{.end = VM_END_EXIT_CODE, .code = 7, .tests_failed = true}, SMOKE_GUEST_CODE},
	{{.end = VM_END_PANIC, .tests_failed = true}, SMOKE_PANIC},
	{{.end = VM_END_PANIC, .tests_failed = true, .wanted = {.kind = VM_END_PANIC}},
	 SMOKE_TESTS_FAILED},
	{{.end = VM_END_POWEROFF, .tests_failed = true, .wanted = {.kind = VM_END_PANIC}},
	 SMOKE_EXPECT_MISSED},
	{{.end = VM_END_KILLED, .finding = SMOKE_FOUND_ALL_EXPECTED, .tests_failed = true},
	 SMOKE_TESTS_FAILED},

	/* No code is a success of itself as isa-debug-exit has them. */
	{{.end = VM_END_EXIT_CODE, .qemu_codes = true}, SMOKE_GUEST_CODE},
	{{.end = VM_END_EXIT_CODE, .code = 38}, SMOKE_GUEST_CODE},
	{{.end = VM_END_EXIT_CODE, .code = 38, .kvm_unit_tests = true}, SMOKE_PASS},
	{{.end = VM_END_EXIT_CODE, .code = 1, .kvm_unit_tests = true}, SMOKE_GUEST_CODE},
	{{.end = VM_END_EXIT_CODE, .kvm_unit_tests = true, .tests_failed = true},
	 SMOKE_TESTS_FAILED},
	{{.end = VM_END_EXIT_CODE,
	  .qemu_codes = true,
	  .wanted = {.kind = VM_END_EXIT_CODE, .code = 0}},
	 SMOKE_PASS},
	{{.end = VM_END_EXIT_CODE,
	  .code = 16,
	  .qemu_codes = true,
	  .wanted = {VM_END_EXIT_CODE, 16}},
	 SMOKE_PASS},

	/* A phase that did not come. */
	{{.end = VM_END_POWEROFF, .phase_missed = true}, SMOKE_EXPECT_MISSED},
	{{.end = VM_END_EXIT_CODE, .phase_missed = true}, SMOKE_EXPECT_MISSED},
	{{.end = VM_END_EXIT_CODE, .phase_missed = true, .wants_status = true},
	 SMOKE_EXPECT_MISSED},
	{{.end = VM_END_EXIT_CODE, .code = 7, .phase_missed = true}, SMOKE_GUEST_CODE},
	{{.end = VM_END_PANIC, .phase_missed = true}, SMOKE_PANIC},
	{{.end = VM_END_KILLED, .stop = SMOKE_STOP_PHASE, .phase_missed = true},
	 SMOKE_PHASE_TIMEOUT},

	/* With a command whose status is to come. */
	{{.end = VM_END_EXIT_CODE, .wants_status = true}, SMOKE_PASS},
	{{.end = VM_END_EXIT_CODE, .code = 3, .wants_status = true}, SMOKE_GUEST_CODE},
	{{.end = VM_END_POWEROFF, .wants_status = true}, SMOKE_EXPECT_MISSED},
	{{.end = VM_END_EXIT_CODE, .wants_status = true, .expects = true}, SMOKE_EXPECT_MISSED},
	{{.end = VM_END_EXIT_CODE,
	  .wants_status = true,
	  .expects = true,
	  .finding = SMOKE_FOUND_ALL_EXPECTED},
	 SMOKE_PASS},
	{{.end = VM_END_EXIT_CODE,
	  .code = 9,
	  .wants_status = true,
	  .expects = true,
	  .finding = SMOKE_FOUND_ALL_EXPECTED},
	 SMOKE_GUEST_CODE},
	{{.stop = SMOKE_STOP_STALL,
	  .end = VM_END_KILLED,
	  .wants_status = true,
	  .expects = true,
	  .finding = SMOKE_FOUND_ALL_EXPECTED},
	 SMOKE_STALL},

	/* The console's words come before what the kernel does next, and before our own stop. */
	{{.end = VM_END_RESET, .finding = SMOKE_FOUND_PANIC}, SMOKE_PANIC},
	{{.end = VM_END_KILLED, .finding = SMOKE_FOUND_PANIC}, SMOKE_PANIC},
	{{.end = VM_END_POWEROFF, .finding = SMOKE_FOUND_REJECT}, SMOKE_REJECTED},
	{{.end = VM_END_EXIT_CODE, .code = 1, .finding = SMOKE_FOUND_REJECT}, SMOKE_REJECTED},
	{{.end = VM_END_PANIC, .finding = SMOKE_FOUND_REJECT}, SMOKE_PANIC},
	{{.end = VM_END_KILLED, .stop = SMOKE_STOP_TIMEOUT, .finding = SMOKE_FOUND_REJECT},
	 SMOKE_REJECTED},
	{{.vmm_died = true, .finding = SMOKE_FOUND_REJECT}, SMOKE_REJECTED},

	/* We ended it. */
	{{.end = VM_END_KILLED, .stop = SMOKE_STOP_TIMEOUT}, SMOKE_TIMEOUT},
	{{.end = VM_END_KILLED, .stop = SMOKE_STOP_STALL}, SMOKE_STALL},
	{{.end = VM_END_KILLED, .stop = SMOKE_STOP_PHASE}, SMOKE_PHASE_TIMEOUT},
	{{.end = VM_END_KILLED, .stop = SMOKE_STOP_SIGNAL}, SMOKE_KILLED},
	{{.vmm_died = true, .stop = SMOKE_STOP_TIMEOUT}, SMOKE_TIMEOUT},
	{{.vmm_died = true, .stop = SMOKE_STOP_FAIL_FAST}, SMOKE_NOT_RUN},
	{{.end = VM_END_KILLED, .stop = SMOKE_STOP_FAIL_FAST, .finding = SMOKE_FOUND_PANIC},
	 SMOKE_PANIC},
};

static void test_outcomes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const enum smoke_outcome got = smoke_outcome_of(&table[i].facts);

		if (got != table[i].outcome)
			fail_msg("row %zu: %s, not %s", i, smoke_outcome_name(got),
				 smoke_outcome_name(table[i].outcome));
	}
}

static void test_every_outcome_has_its_own_name_and_status(void **state)
{
	(void)state;
	for (enum smoke_outcome a = 0; a < SMOKE_OUTCOMES; a++) {
		for (enum smoke_outcome b = 0; b < a; b++) {
			assert_string_not_equal(smoke_outcome_name(a), smoke_outcome_name(b));
			if (a != SMOKE_NOT_RUN) /* it has none that counts */
				assert_int_not_equal(smoke_outcome_status(a, 7),
						     smoke_outcome_status(b, 7));
		}
	}
}

static void test_statuses_are_those_of_run(void **state)
{
	(void)state;
	assert_int_equal(smoke_outcome_status(SMOKE_PASS, 0), 0);
	assert_int_equal(smoke_outcome_status(SMOKE_SETUP_ERROR, 0), 2);
	assert_int_equal(smoke_outcome_status(SMOKE_TESTS_FAILED, 0), 111);
	assert_int_equal(smoke_outcome_status(SMOKE_PANIC, 0), 112);
	assert_int_equal(smoke_outcome_status(SMOKE_TRIPLE_FAULT, 0), 113);
	assert_int_equal(smoke_outcome_status(SMOKE_RESET, 0), 114);
	assert_int_equal(smoke_outcome_status(SMOKE_KVM_ERROR, 0), 115);
	assert_int_equal(smoke_outcome_status(SMOKE_KILLED, 0), 116);
	assert_int_equal(smoke_outcome_status(SMOKE_TIMEOUT, 0), 117);
	assert_int_equal(smoke_outcome_status(SMOKE_HALTED, 0), 122);
	assert_int_equal(smoke_outcome_status(SMOKE_GUEST_CODE, 7), 7);
	assert_int_equal(smoke_outcome_status(SMOKE_GUEST_CODE, 256), 255); /* never success */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_every_outcome_has_its_own_name_and_status),
		cmocka_unit_test(test_statuses_are_those_of_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
