/*
 * guest_tsc.c - whether KVM counts a guest's TSC. KVM keeps Linux's TSC frequency of the moment it is loaded, where
 * the processor does not promise a constant one (CONSTANT_TSC, which emulated processors lack). Linux refines that
 * frequency once, about a second after it starts. A KVM from before then wants to scale the TSC of each vCPU. Where
 * the hardware cannot, KVM gives up and leaves a factor of 0. From then on it takes the guest's TSC to stand still,
 * and sets each timer of the guest too late by the host's uptime.
 *
 * Source: kvm_timer_init(), kvm_set_tsc_khz() and kvm_scale_tsc() of Linux's arch/x86/kvm/x86.c.
 */
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arch/x86_64/internal.h"
#include "base/cleanup.h"

enum { MSR_TSC = 0x10 };

enum arch_guest_clock guest_tsc_judge(uint64_t first, uint64_t second)
{
	if (second == first)
		return ARCH_GUEST_CLOCK_STANDS;
	/* Backwards: this thread has moved to a CPU whose TSC is behind. */
	return second > first ? ARCH_GUEST_CLOCK_COUNTS : ARCH_GUEST_CLOCK_UNKNOWN;
}

static bool tsc_read(int vcpu_fd, uint64_t *ret)
{
	/* A struct kvm_msrs with one entry: standard C lets no struct with a flexible array be a member. */
	struct {
		uint32_t nmsrs, pad;
		struct kvm_msr_entry tsc;
	} msrs = {.nmsrs = 1, .tsc = {.index = MSR_TSC}};

	if (ioctl(vcpu_fd, KVM_GET_MSRS, &msrs) != 1)
		return false;
	*ret = msrs.tsc.data;
	return true;
}

enum arch_guest_clock arch_guest_clock_examine(const struct kvm *kvm)
{
	AUTO_CLOSE int vm_fd = ioctl(kvm->fd, KVM_CREATE_VM, 0UL);
	AUTO_CLOSE int vcpu_fd = vm_fd < 0 ? -1 : ioctl(vm_fd, KVM_CREATE_VCPU, 0UL);
	uint64_t first, second;

	if (vcpu_fd < 0 || !tsc_read(vcpu_fd, &first) || !tsc_read(vcpu_fd, &second))
		return ARCH_GUEST_CLOCK_UNKNOWN;
	return guest_tsc_judge(first, second);
}
