#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "base/macros.h"
#include "kvm.h"

/* Intel hosts need the two pages of KVM's own below 4 GiB. */
static int identity_map_set(const struct kvm *kvm, struct diag *diag)
{
	uint64_t identity = LAYOUT_IDENTITY_MAP_GPA;

	if (ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
		return diag_set(diag, -errno, "identity-map-set", "KVM_SET_IDENTITY_MAP_ADDR");
	return 0;
}

static int tss_set(const struct kvm *kvm, struct diag *diag)
{
	if (ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS_GPA) < 0)
		return diag_set(diag, -errno, "tss-set", "KVM_SET_TSS_ADDR");
	return 0;
}

static int chips_create(const struct kvm *kvm, struct diag *diag)
{
	if (ioctl(kvm->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return diag_set(diag, -errno, "irqchip-create", "KVM_CREATE_IRQCHIP");
	return 0;
}

static int pit_create(const struct kvm *kvm, struct diag *diag)
{
	/* The dummy speaker port: guests poll 0x61 to time the PIT's channel 2. */
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};

	if (ioctl(kvm->vm_fd, KVM_CREATE_PIT2, &pit) < 0)
		return diag_set(diag, -errno, "pit-create", "KVM_CREATE_PIT2");
	return 0;
}

enum { BARE_CALLS = 3 }; /* all but the timer */
const struct arch_vm_call arch_irqchip_calls[] = {
	{"KVM_SET_IDENTITY_MAP_ADDR", identity_map_set},
	{"KVM_SET_TSS_ADDR", tss_set},
	{"KVM_CREATE_IRQCHIP", chips_create},
	{"KVM_CREATE_PIT2", pit_create},
	{0},
};

int arch_irqchip_create_bare(const struct kvm *kvm, struct diag *diag)
{
	int r = 0;

	for (unsigned i = 0; i < BARE_CALLS && r == 0; i++)
		r = arch_irqchip_calls[i].make(kvm, diag);
	return r;
}

int arch_irqchip_create(const struct kvm *kvm, struct diag *diag)
{
	int r = 0;

	for (unsigned i = 0; arch_irqchip_calls[i].name && r == 0; i++)
		r = arch_irqchip_calls[i].make(kvm, diag);
	return r;
}
