#include "kvm/caps.h"

#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>

#include "base/macros.h"

static const struct kvm_cap_row rows[] = {
	{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", true, "guest memory from ours", NULL},
	{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", true, "stopping a vCPU without a race",
	 NULL},
	{KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD", false, "doorbells without an exit",
	 "doorbells exit"},
	{KVM_CAP_IRQFD, "KVM_CAP_IRQFD", false, "interrupts from any thread",
	 "interrupts by ioctl"},
	{KVM_CAP_COALESCED_PIO, "KVM_CAP_COALESCED_PIO", false,
	 "console output without an exit a byte", "an exit a byte"},
	{KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM", false, "read-only guest memory",
	 "writable instead"},
	{KVM_CAP_BINARY_STATS_FD, "KVM_CAP_BINARY_STATS_FD", false, "KVM's own counters in --stats",
	 "left out"},
};

unsigned kvm_doctor_caps(const struct kvm *kvm, const struct kvm_cap_row *own, unsigned nr_own,
			 struct kvm_doctor_cap caps[KVM_DOCTOR_CAPS_MAX])
{
	const unsigned nr = ARRAY_SIZE(rows) + nr_own;

	assert(nr <= KVM_DOCTOR_CAPS_MAX);
	for (unsigned i = 0; i < nr; i++) {
		caps[i].row = i < ARRAY_SIZE(rows) ? &rows[i] : &own[i - ARRAY_SIZE(rows)];
		caps[i].value = kvm_cap(kvm, caps[i].row->cap);
	}
	return nr;
}

int kvm_caps_check(const struct kvm *kvm, const struct kvm_cap_row *own, unsigned nr_own,
		   struct diag *diag)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows) + nr_own; i++) {
		const struct kvm_cap_row *row =
			i < ARRAY_SIZE(rows) ? &rows[i] : &own[i - ARRAY_SIZE(rows)];

		if (!row->required || kvm_cap(kvm, row->cap) > 0)
			continue;
		diag_set(diag, -EINVAL, "kvm-capability", "this host's KVM lacks %s", row->name);
		diag_remedy(diag, "Linux 4.13 or newer has it");
		return -EINVAL;
	}
	return 0;
}

void kvm_doctor_limits(const struct kvm *kvm, struct kvm_doctor_limits *ret)
{
	*ret = (struct kvm_doctor_limits){
		.vcpus_recommended = kvm_cap(kvm, KVM_CAP_NR_VCPUS),
		.vcpus_max = kvm_cap(kvm, KVM_CAP_MAX_VCPUS),
		.memory_slots = kvm_cap(kvm, KVM_CAP_NR_MEMSLOTS),
	};
}
