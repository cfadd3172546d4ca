#include "kvm/caps.h"

#include <linux/kvm.h>

#include "base/checked.h"

static const struct {
	int cap;
	struct kvm_doctor_cap row;
} table[] = {
	{KVM_CAP_USER_MEMORY, {"KVM_CAP_USER_MEMORY", true, "guest memory from ours", NULL, 0}},
	{KVM_CAP_IRQCHIP,
	 {"KVM_CAP_IRQCHIP", true, "PIC, IOAPIC and APICs in the kernel", NULL, 0}},
	{KVM_CAP_PIT2, {"KVM_CAP_PIT2", true, "the timer chip in the kernel", NULL, 0}},
	{KVM_CAP_EXT_CPUID, {"KVM_CAP_EXT_CPUID", true, "CPUID of the guest", NULL, 0}},
	{KVM_CAP_IMMEDIATE_EXIT,
	 {"KVM_CAP_IMMEDIATE_EXIT", true, "stopping a vCPU without a race", NULL, 0}},
	{KVM_CAP_IOEVENTFD,
	 {"KVM_CAP_IOEVENTFD", false, "doorbells without an exit", "doorbells exit", 0}},
	{KVM_CAP_IRQFD,
	 {"KVM_CAP_IRQFD", false, "interrupts from any thread", "interrupts by ioctl", 0}},
	{KVM_CAP_COALESCED_PIO,
	 {"KVM_CAP_COALESCED_PIO", false, "console output without an exit a byte", "an exit a byte",
	  0}},
	{KVM_CAP_TSC_DEADLINE_TIMER,
	 {"KVM_CAP_TSC_DEADLINE_TIMER", false, "timers that need no calibration",
	  "the guest calibrates its APIC timer", 0}},
	{KVM_CAP_ADJUST_CLOCK,
	 {"KVM_CAP_ADJUST_CLOCK", false, "kvmclock", "the guest uses the TSC or the PIT", 0}},
	{KVM_CAP_READONLY_MEM,
	 {"KVM_CAP_READONLY_MEM", false, "read-only guest memory", "writable instead", 0}},
	{KVM_CAP_BINARY_STATS_FD,
	 {"KVM_CAP_BINARY_STATS_FD", false, "KVM's own counters in --stats", "left out", 0}},
};

unsigned kvm_doctor_caps(const struct kvm *kvm, struct kvm_doctor_cap caps[KVM_DOCTOR_CAPS_MAX])
{
	_Static_assert(ARRAY_SIZE(table) <= KVM_DOCTOR_CAPS_MAX, "room for the table");

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		caps[i] = table[i].row;
		caps[i].value = kvm_cap(kvm, table[i].cap);
	}
	return ARRAY_SIZE(table);
}

void kvm_doctor_limits(const struct kvm *kvm, struct kvm_doctor_limits *ret)
{
	*ret = (struct kvm_doctor_limits){
		.vcpus_recommended = kvm_cap(kvm, KVM_CAP_NR_VCPUS),
		.vcpus_max = kvm_cap(kvm, KVM_CAP_MAX_VCPUS),
		.memory_slots = kvm_cap(kvm, KVM_CAP_NR_MEMSLOTS),
	};
}
