#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "base/macros.h"
#include "kvm.h"

/* Intel hosts need the two pages of KVM's own below 4 GiB. */
int arch_irqchip_create_bare(const struct kvm *kvm, struct diag *diag)
{
	uint64_t identity = LAYOUT_IDENTITY_MAP_GPA;

	if (ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
		return diag_set(diag, -errno, "identity-map-set", "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS_GPA) < 0)
		return diag_set(diag, -errno, "tss-set", "KVM_SET_TSS_ADDR");
	if (ioctl(kvm->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return diag_set(diag, -errno, "irqchip-create", "KVM_CREATE_IRQCHIP");
	return 0;
}

int arch_irqchip_create(const struct kvm *kvm, struct diag *diag)
{
	/* The dummy speaker port: guests poll 0x61 to time the PIT's channel 2. */
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	int r = arch_irqchip_create_bare(kvm, diag);

	if (r == 0 && ioctl(kvm->vm_fd, KVM_CREATE_PIT2, &pit) < 0)
		return diag_set(diag, -errno, "pit-create", "KVM_CREATE_PIT2");
	return r;
}
