/*
 * outcome.h - how a smoke boot ended, its exit status, and the rule that picks one from all that was
 * seen. Pure.
 */
#ifndef VMM_SMOKE_JUDGE_OUTCOME_H
#define VMM_SMOKE_JUDGE_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "vm_end.h"

enum smoke_outcome {
	SMOKE_PASS,
	SMOKE_EXPECT_MISSED, /* the guest ended well, but not all expected or phases had been seen */
	SMOKE_REJECTED,      /* a --reject pattern was seen */
	SMOKE_TESTS_FAILED,  /* the guest ended well, but tests that it ran did not */
	SMOKE_PANIC,         /* reported by a device, or by the kernel's own words */
	SMOKE_TRIPLE_FAULT,
	SMOKE_RESET,
	SMOKE_TIMEOUT, /* --timeout */
	SMOKE_STALL,   /* --stall: silence */
	SMOKE_PHASE_TIMEOUT,
	SMOKE_GUEST_CODE, /* the guest reported a code other than 0 */
	SMOKE_KVM_ERROR,  /* KVM could not go on, or the VMM died */
	SMOKE_SETUP_ERROR,
	SMOKE_HALTED,    /* every CPU, with interrupts off */
	SMOKE_UNCLAIMED, /* --end-on-unclaimed */
	SMOKE_KILLED,    /* a signal or a client ended it */
	SMOKE_NOT_RUN, /* another boot had failed, and --fail-fast ended or never began this one */
	SMOKE_OUTCOMES,
};

/* Besides those of vm_end.h, which mean the same here. Documented in docs/tollgate.1. */
enum {
	EXIT_TESTS = 111,
	EXIT_STALL = 118,
	EXIT_EXPECT_MISSED = 119,
	EXIT_REJECTED = 120,
	EXIT_PHASE_TIMEOUT = 121,
};

/* Findings of the console's judge. */
enum smoke_finding {
	SMOKE_FOUND_NOTHING,
	SMOKE_FOUND_ALL_EXPECTED, /* and all phases; never when nothing is expected */
	SMOKE_FOUND_REJECT,
	SMOKE_FOUND_PANIC,
};

/* Why the supervisor ended a boot. */
enum smoke_stop {
	SMOKE_STOP_NONE, /* it did not, or only because the console had decided */
	SMOKE_STOP_TIMEOUT,
	SMOKE_STOP_STALL,
	SMOKE_STOP_PHASE,
	SMOKE_STOP_SIGNAL,
	SMOKE_STOP_FAIL_FAST, /* another boot did not pass */
};

/* The end that --expect-end asks for; VM_END_NONE: a good one. */
struct smoke_wanted_end {
	enum vm_end_kind kind;
	uint32_t code; /* VM_END_EXIT_CODE */
};

/* All that is known of a boot that is over. */
struct smoke_facts {
	enum smoke_finding finding;
	enum smoke_stop stop;
	bool expects;        /* there is something to expect */
	bool expect_missed;  /* not all of it was seen */
	bool phase_missed;   /* not all phases were seen */
	bool tests_failed;   /* of those that the guest ran */
	bool qemu_codes;     /* --exit-code qemu: no code is a success of itself */
	bool kvm_unit_tests; /* their code for tests that were all skipped is a success, too */
	struct smoke_wanted_end wanted;
	bool wants_status; /* a command's status is to come through the exit port */
	bool setup_failed;
	bool vmm_died; /* the process that ran the VM ended without a word */
	enum vm_end_kind end;
	uint32_t code; /* VM_END_EXIT_CODE */
};

/*
 * A pattern that is required and did not come is never a pass. The first event counts: all that was expected,
 * when no status is to follow and no end is wanted; words of a panic or a rejected pattern before how the VM ended,
 * since kernels often reset or power off afterwards. A panic counts more than a pattern, because an oops often is the
 * first line of one. With a wanted end, that outcome is the pass, and a good end is not.
 */
enum smoke_outcome smoke_outcome_of(const struct smoke_facts *facts);

/* Whether the boot ended as --expect-end wants it, whatever was missed on the way. False when it wants none. */
bool smoke_outcome_is_wanted(const struct smoke_facts *facts);

/* "pass", "rejected pattern", …: for reports; stable. A static string. */
const char *smoke_outcome_name(enum smoke_outcome outcome);

/* The exit status of a boot that ended so; code is the guest's own, for SMOKE_GUEST_CODE. */
int smoke_outcome_status(enum smoke_outcome outcome, uint32_t code);

#endif
