#include "smoke/judge/outcome.h"

#include <assert.h>

#include "smoke/judge/kvm_unit.h"

static enum smoke_outcome outcome_of_tests(const struct smoke_facts *facts)
{
	return facts->tests_failed ? SMOKE_TESTS_FAILED : SMOKE_PASS;
}

static enum smoke_outcome outcome_of_good_end(const struct smoke_facts *facts)
{
	if (facts->expects && facts->finding != SMOKE_FOUND_ALL_EXPECTED)
		return SMOKE_EXPECT_MISSED;
	if (facts->phase_missed)
		return SMOKE_EXPECT_MISSED;
	if (facts->wants_status && facts->end != VM_END_EXIT_CODE)
		return SMOKE_EXPECT_MISSED;
	return outcome_of_tests(facts);
}

static bool is_good_code(const struct smoke_facts *facts)
{
	if (facts->qemu_codes)
		return false;
	return facts->code == 0 || (facts->kvm_unit_tests && facts->code == SMOKE_KVM_UNIT_SKIPPED);
}

static enum smoke_outcome outcome_of_end(const struct smoke_facts *facts)
{
	switch (facts->end) {
	case VM_END_POWEROFF: return outcome_of_good_end(facts);
	case VM_END_EXIT_CODE:
		return is_good_code(facts) ? outcome_of_good_end(facts) : SMOKE_GUEST_CODE;
	case VM_END_PANIC: return SMOKE_PANIC;
	case VM_END_TRIPLE_FAULT: return SMOKE_TRIPLE_FAULT;
	case VM_END_RESET: return SMOKE_RESET;
	case VM_END_KVM_ERROR: return SMOKE_KVM_ERROR;
	case VM_END_TIMEOUT: return SMOKE_TIMEOUT;
	case VM_END_KILLED: return SMOKE_KILLED;
	case VM_END_HALTED: return SMOKE_HALTED;
	case VM_END_UNCLAIMED: return SMOKE_UNCLAIMED;
	case VM_END_NONE: break;
	}
	return SMOKE_KVM_ERROR;
}

static enum smoke_outcome outcome_of_stop(enum smoke_stop stop)
{
	switch (stop) {
	case SMOKE_STOP_TIMEOUT: return SMOKE_TIMEOUT;
	case SMOKE_STOP_STALL: return SMOKE_STALL;
	case SMOKE_STOP_PHASE: return SMOKE_PHASE_TIMEOUT;
	case SMOKE_STOP_FAIL_FAST: return SMOKE_NOT_RUN;
	case SMOKE_STOP_SIGNAL:
	case SMOKE_STOP_NONE: break;
	}
	return SMOKE_KILLED;
}

static bool wants_end(const struct smoke_facts *facts)
{
	return facts->wanted.kind != VM_END_NONE;
}

/* As if no end was wanted. */
static enum smoke_outcome outcome_of_events(const struct smoke_facts *facts)
{
	if (facts->setup_failed)
		return SMOKE_SETUP_ERROR;
	if (facts->finding == SMOKE_FOUND_ALL_EXPECTED && !facts->wants_status && !wants_end(facts))
		return outcome_of_tests(facts);
	if (facts->end == VM_END_PANIC || facts->finding == SMOKE_FOUND_PANIC)
		return SMOKE_PANIC;
	if (facts->finding == SMOKE_FOUND_REJECT)
		return SMOKE_REJECTED;
	if (facts->stop != SMOKE_STOP_NONE)
		return outcome_of_stop(facts->stop);
	return facts->vmm_died ? SMOKE_KVM_ERROR : outcome_of_end(facts);
}

static bool is_good_end(enum smoke_outcome got)
{
	return got == SMOKE_PASS || got == SMOKE_EXPECT_MISSED || got == SMOKE_TESTS_FAILED;
}

bool smoke_outcome_is_wanted(const struct smoke_facts *facts)
{
	const enum smoke_outcome got = outcome_of_events(facts);

	switch (facts->wanted.kind) {
	case VM_END_POWEROFF: return is_good_end(got) && facts->end == VM_END_POWEROFF;
	case VM_END_EXIT_CODE:
		return (is_good_end(got) || got == SMOKE_GUEST_CODE) &&
		       facts->end == VM_END_EXIT_CODE && facts->code == facts->wanted.code;
	case VM_END_PANIC: return got == SMOKE_PANIC;
	case VM_END_TRIPLE_FAULT: return got == SMOKE_TRIPLE_FAULT;
	case VM_END_RESET: return got == SMOKE_RESET;
	case VM_END_HALTED: return got == SMOKE_HALTED;
	case VM_END_UNCLAIMED: return got == SMOKE_UNCLAIMED;
	case VM_END_TIMEOUT: return got == SMOKE_TIMEOUT;
	case VM_END_KVM_ERROR:
	case VM_END_KILLED:
	case VM_END_NONE: break;
	}
	return false;
}

enum smoke_outcome smoke_outcome_of(const struct smoke_facts *facts)
{
	const enum smoke_outcome got = outcome_of_events(facts);

	if (!wants_end(facts))
		return got;
	if (smoke_outcome_is_wanted(facts))
		return facts->expect_missed || facts->phase_missed ? SMOKE_EXPECT_MISSED
								   : outcome_of_tests(facts);
	return is_good_end(got) ? SMOKE_EXPECT_MISSED : got;
}

const char *smoke_outcome_name(enum smoke_outcome outcome)
{
	static const char *const names[SMOKE_OUTCOMES] = {
		[SMOKE_PASS] = "pass",
		[SMOKE_EXPECT_MISSED] = "expectation missed",
		[SMOKE_REJECTED] = "rejected pattern",
		[SMOKE_TESTS_FAILED] = "failed tests",
		[SMOKE_PANIC] = "panic",
		[SMOKE_TRIPLE_FAULT] = "triple fault",
		[SMOKE_RESET] = "reset",
		[SMOKE_TIMEOUT] = "timeout",
		[SMOKE_STALL] = "stall",
		[SMOKE_PHASE_TIMEOUT] = "phase timeout",
		[SMOKE_GUEST_CODE] = "guest code",
		[SMOKE_KVM_ERROR] = "KVM error",
		[SMOKE_SETUP_ERROR] = "set-up error",
		[SMOKE_HALTED] = "halted",
		[SMOKE_UNCLAIMED] = "unclaimed access",
		[SMOKE_KILLED] = "killed",
		[SMOKE_NOT_RUN] = "not run",
	};

	assert(outcome < SMOKE_OUTCOMES);
	return names[outcome];
}

int smoke_outcome_status(enum smoke_outcome outcome, uint32_t code)
{
	const struct vm_end guest = {.kind = VM_END_EXIT_CODE, .code = code};

	switch (outcome) {
	case SMOKE_PASS: return EXIT_OK;
	case SMOKE_EXPECT_MISSED: return EXIT_EXPECT_MISSED;
	case SMOKE_REJECTED: return EXIT_REJECTED;
	case SMOKE_TESTS_FAILED: return EXIT_TESTS;
	case SMOKE_PANIC: return EXIT_PANIC;
	case SMOKE_TRIPLE_FAULT: return EXIT_TRIPLE_FAULT;
	case SMOKE_RESET: return EXIT_RESET;
	case SMOKE_TIMEOUT: return EXIT_TIMEOUT;
	case SMOKE_STALL: return EXIT_STALL;
	case SMOKE_PHASE_TIMEOUT: return EXIT_PHASE_TIMEOUT;
	case SMOKE_GUEST_CODE: return vm_end_status(&guest);
	case SMOKE_KVM_ERROR: return EXIT_KVM_ERROR;
	case SMOKE_SETUP_ERROR: return EXIT_SETUP;
	case SMOKE_HALTED: return EXIT_HALTED;
	case SMOKE_UNCLAIMED: return EXIT_UNCLAIMED;
	case SMOKE_KILLED:
	case SMOKE_NOT_RUN:
	case SMOKE_OUTCOMES: break;
	}
	return EXIT_KILLED;
}
