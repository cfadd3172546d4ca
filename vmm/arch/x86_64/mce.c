/*
 * Machine checks for memory of the host that has failed under the guest. Sources: Intel SDM volume 3B, chapter
 * "Machine-Check Architecture" (15.3.1, 15.3.2, 15.6); AMD APM volume 2, chapter 9; the kernel's
 * Documentation/virt/kvm/api.rst, KVM_X86_GET_MCE_CAP_SUPPORTED, KVM_X86_SETUP_MCE, KVM_X86_SET_MCE.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86_64/internal.h"
#include "kvm.h"

#define MCG_CTL_P (UINT64_C(1) << 8)
#define MCG_SER_P (UINT64_C(1) << 24)

#define MCG_STATUS_RIPV (UINT64_C(1) << 0)
#define MCG_STATUS_EIPV (UINT64_C(1) << 1)
#define MCG_STATUS_MCIP (UINT64_C(1) << 2)

#define MCI_STATUS_POISON (UINT64_C(1) << 43) /* AMD */
#define MCI_STATUS_AR     (UINT64_C(1) << 55) /* Intel, as the next */
#define MCI_STATUS_S      (UINT64_C(1) << 56)
#define MCI_STATUS_ADDRV  (UINT64_C(1) << 58)
#define MCI_STATUS_MISCV  (UINT64_C(1) << 59)
#define MCI_STATUS_EN     (UINT64_C(1) << 60)
#define MCI_STATUS_UC     (UINT64_C(1) << 61)
#define MCI_STATUS_VAL    (UINT64_C(1) << 63)

#define CR4_MCE (UINT64_C(1) << 6)

enum {
	MCACOD_DATA_LOAD = 0x134,
	MISC_PHYSICAL_PAGE = 2 << 6 | 12, /* a physical address, good to 4 KiB */
	BANKS = 10,
	BANK_MEMORY = 9,
	BANK_ELSEWHERE = 1,
	CPUID_EBX_INTEL = 0x756e6547, /* "Genu" */
};

void mce_choose(struct arch_cpu_model *model, const struct kvm *kvm)
{
	const int banks = kvm_cap(kvm, KVM_CAP_MCE);
	uint64_t cap = 0;

	model->mcg_cap = 0;
	if (banks < BANKS || ioctl(kvm->fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap) < 0)
		return;
	model->mcg_cap = (cap & (MCG_CTL_P | MCG_SER_P)) | BANKS;
	for (uint32_t i = 0; i < model->cpuid->nent; i++)
		if (model->cpuid->entries[i].function == 0)
			model->is_intel = model->cpuid->entries[i].ebx == CPUID_EBX_INTEL;
}

int mce_setup(int vcpu_fd, const struct arch_cpu_model *model)
{
	uint64_t cap = model->mcg_cap;

	if (cap == 0)
		return 0;
	return ioctl(vcpu_fd, KVM_X86_SETUP_MCE, &cap) < 0 ? -errno : 0;
}

/* KVM ends a VM by a triple fault when its guest is not ready for machine checks. */
static bool takes_machine_checks(int vcpu_fd, const struct arch_cpu_model *model)
{
	struct kvm_sregs sregs;

	return model->mcg_cap != 0 && ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) == 0 &&
	       (sregs.cr4 & CR4_MCE);
}

const char *arch_vcpu_memory_error(int vcpu_fd, const struct arch_cpu_model *model, uint64_t gpa)
{
	struct kvm_x86_mce mce = {
		.status = MCI_STATUS_VAL | MCI_STATUS_UC | MCI_STATUS_EN | MCI_STATUS_MISCV |
			  MCI_STATUS_ADDRV | MCACOD_DATA_LOAD,
		.addr = gpa,
		.misc = MISC_PHYSICAL_PAGE,
		.mcg_status = MCG_STATUS_MCIP | MCG_STATUS_EIPV,
		.bank = BANK_MEMORY,
	};

	if (!takes_machine_checks(vcpu_fd, model))
		return "memory of the host failed under the guest, which takes no machine checks";
	mce.status |= model->is_intel ? MCI_STATUS_S | MCI_STATUS_AR : MCI_STATUS_POISON;
	if (ioctl(vcpu_fd, KVM_X86_SET_MCE, &mce) < 0)
		return "memory of the host failed under the guest, and KVM_X86_SET_MCE failed";
	return NULL;
}

bool arch_memory_error_is_broadcast(const struct arch_cpu_model *model)
{
	return model->is_intel;
}

void arch_vcpu_memory_error_elsewhere(int vcpu_fd, const struct arch_cpu_model *model)
{
	struct kvm_x86_mce mce = {
		.status = MCI_STATUS_VAL | MCI_STATUS_UC,
		.mcg_status = MCG_STATUS_MCIP | MCG_STATUS_RIPV,
		.bank = BANK_ELSEWHERE,
	};

	if (takes_machine_checks(vcpu_fd, model))
		ioctl(vcpu_fd, KVM_X86_SET_MCE, &mce);
}
