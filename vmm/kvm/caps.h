/*
 * caps.h - what this host's KVM can do, one row a capability that we use. Facts only; what to
 * say about them is the doctor's.
 */
#ifndef VMM_KVM_CAPS_H
#define VMM_KVM_CAPS_H

#include <stdbool.h>

#include "kvm.h"

struct kvm_cap_row {
	int cap;          /* KVM_CAP_* */
	const char *name; /* "KVM_CAP_IRQCHIP" */
	bool required;
	const char *use;     /* what we use it for */
	const char *without; /* what we do when the host lacks it; NULL when required */
};

struct kvm_doctor_cap {
	const struct kvm_cap_row *row;
	int value; /* KVM_CHECK_EXTENSION's answer */
};

enum { KVM_DOCTOR_CAPS_MAX = 24 };

/*
 * Fills caps with those that every architecture uses, and then with the architecture's own rows; returns
 * how many. kvm is open.
 */
unsigned kvm_doctor_caps(const struct kvm *kvm, const struct kvm_cap_row *own, unsigned nr_own,
			 struct kvm_doctor_cap caps[KVM_DOCTOR_CAPS_MAX]);

/* -EINVAL with diag that names the first of those that is required and missing; else 0. */
int kvm_caps_check(const struct kvm *kvm, const struct kvm_cap_row *own, unsigned nr_own,
		   struct diag *diag);

struct kvm_doctor_limits {
	int vcpus_recommended, vcpus_max, memory_slots;
};

void kvm_doctor_limits(const struct kvm *kvm, struct kvm_doctor_limits *ret);

#endif
