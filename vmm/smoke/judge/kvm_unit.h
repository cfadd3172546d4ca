/*
 * kvm_unit.h - results of tests as kvm-unit-tests print them: a line "PASS: name", with another word for another
 * result. There is neither a plan nor a group.
 */
#ifndef VMM_SMOKE_JUDGE_KVM_UNIT_H
#define VMM_SMOKE_JUDGE_KVM_UNIT_H

#include <stdint.h>

struct smoke_tests;

/* The code at the exit port when all tests were skipped (lib/report.c there). */
enum { SMOKE_KVM_UNIT_SKIPPED = 77 >> 1 };

/* One stream. */
struct smoke_kvm_unit {
	struct smoke_tests *tests; /* borrowed */
	int64_t since_ns;          /* the last result; 0: none yet */
};

/* Takes a whole line. */
void smoke_kvm_unit_line(struct smoke_kvm_unit *unit, const char *line, int64_t at_ns);

#endif
