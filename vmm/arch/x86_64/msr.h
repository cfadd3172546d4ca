/* msr.h - one MSR of a vCPU (KVM_GET_MSRS, KVM_SET_MSRS of Documentation/virt/kvm/api.rst). */
#ifndef VMM_ARCH_X86_64_MSR_H
#define VMM_ARCH_X86_64_MSR_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* A struct kvm_msrs of one: standard C lets no struct with a flexible array be a member. */
struct one_msr {
	uint32_t nmsrs, pad;
	struct kvm_msr_entry entry;
};

/* False: KVM does not have it, and *ret is untouched. */
static inline bool msr_get(int vcpu_fd, uint32_t index, uint64_t *ret)
{
	struct one_msr msr = {.nmsrs = 1, .entry.index = index};

	if (ioctl(vcpu_fd, KVM_GET_MSRS, &msr) != 1)
		return false;
	*ret = msr.entry.data;
	return true;
}

/* False: KVM does not take it. */
static inline bool msr_set(int vcpu_fd, uint32_t index, uint64_t val)
{
	struct one_msr msr = {.nmsrs = 1, .entry = {.index = index, .data = val}};

	return ioctl(vcpu_fd, KVM_SET_MSRS, &msr) == 1;
}

#endif
