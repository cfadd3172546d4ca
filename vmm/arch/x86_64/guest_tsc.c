/*
 * guest_tsc.c - whether KVM counts a guest's TSC. KVM keeps Linux's TSC frequency of the moment it is loaded, where
 * the processor does not promise a constant one (CONSTANT_TSC, which emulated processors lack). Linux refines that
 * frequency once, about a second after it starts. A KVM from before then wants to scale the TSC of each vCPU. Where
 * the hardware cannot, KVM gives up and leaves a factor of 0. From then on it takes the guest's TSC to stand still,
 * and sets each timer of the guest too late by the host's uptime.
 *
 * All readings are of one ioctl. On a host whose TSC Linux found unstable, each ioctl first sets the TSC of an idle
 * vCPU back. KVM makes up for that once the vCPU runs, so nothing is late. But two ioctls can read the same value.
 *
 * Source: kvm_timer_init(), kvm_set_tsc_khz(), kvm_scale_tsc() and kvm_arch_vcpu_load() of Linux's arch/x86/kvm/x86.c.
 */
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arch/x86_64/internal.h"
#include "base/cleanup.h"
#include "kvm.h"

enum {
	MSR_TSC = 0x10,
	NR_READINGS = 16, /* a TSC that counts in large steps gives a value twice, never 16 times */
};

enum arch_guest_clock guest_tsc_judge(const struct kvm_msr_entry *readings, unsigned nr)
{
	/* Backwards also counts: this thread has moved to a CPU whose TSC is lower. */
	for (unsigned i = 1; i < nr; i++)
		if (readings[i].data != readings[0].data)
			return ARCH_GUEST_CLOCK_COUNTS;
	return nr < 2 ? ARCH_GUEST_CLOCK_UNKNOWN : ARCH_GUEST_CLOCK_STANDS;
}

enum arch_guest_clock arch_guest_clock_examine(const struct kvm *kvm)
{
	AUTO_CLOSE int vm_fd = ioctl(kvm->fd, KVM_CREATE_VM, 0UL);
	AUTO_CLOSE int vcpu_fd = vm_fd < 0 ? -1 : ioctl(vm_fd, KVM_CREATE_VCPU, 0UL);
	/* A struct kvm_msrs: standard C lets no struct with a flexible array be a member. */
	struct {
		uint32_t nmsrs, pad;
		struct kvm_msr_entry tsc[NR_READINGS];
	} msrs = {.nmsrs = NR_READINGS};
	int nr;

	if (vcpu_fd < 0)
		return ARCH_GUEST_CLOCK_UNKNOWN;
	for (unsigned i = 0; i < NR_READINGS; i++)
		msrs.tsc[i].index = MSR_TSC;
	nr = ioctl(vcpu_fd, KVM_GET_MSRS, &msrs);
	return guest_tsc_judge(msrs.tsc, nr < 0 ? 0 : (unsigned)nr);
}

uint64_t arch_vcpu_tick_hz(int vcpu_fd)
{
	const int khz = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0UL);

	return khz > 0 ? (uint64_t)khz * 1000 : 0;
}
