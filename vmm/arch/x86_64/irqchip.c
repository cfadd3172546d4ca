#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "base/checked.h"

int arch_host_check(const struct kvm *kvm, unsigned cpus, struct diag *diag)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
		{KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"},
		{KVM_CAP_PIT2, "KVM_CAP_PIT2"},
		{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
		{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
		{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
	};
	int max = kvm_cap(kvm, KVM_CAP_MAX_VCPUS);

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (kvm_cap(kvm, needed[i].cap) == 0) {
			diag_set(diag, -EINVAL, "this host's KVM lacks %s", needed[i].name);
			diag_remedy(diag, "Linux 4.13 or newer has it; see `tollgate doctor`");
			return -EINVAL;
		}
	}
	if (max <= 0)
		max = kvm_cap(kvm, KVM_CAP_NR_VCPUS);
	if (max > 0 && cpus > (unsigned)max) {
		diag_set(diag, -EINVAL, "--cpus %u: this host's KVM takes at most %d", cpus, max);
		diag_remedy(diag, "ask for fewer; see `tollgate doctor`");
		return -EINVAL;
	}
	return 0;
}

int arch_irqchip_create(const struct kvm *kvm, struct diag *diag)
{
	uint64_t identity = LAYOUT_IDENTITY_MAP_GPA;
	/* The dummy speaker port: guests poll 0x61 to time the PIT's channel 2. */
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};

	if (ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
		return diag_set(diag, -errno, "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS_GPA) < 0)
		return diag_set(diag, -errno, "KVM_SET_TSS_ADDR");
	if (ioctl(kvm->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return diag_set(diag, -errno, "KVM_CREATE_IRQCHIP");
	if (ioctl(kvm->vm_fd, KVM_CREATE_PIT2, &pit) < 0)
		return diag_set(diag, -errno, "KVM_CREATE_PIT2");
	return 0;
}
