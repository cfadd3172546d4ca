/* sample.c - the instruction pointer of an exit, through struct kvm_run (KVM_CAP_SYNC_REGS) or by ioctls. */
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/arch.h"

void arch_sample_ask(struct kvm_run *run)
{
	run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
}

void arch_sample_done(struct kvm_run *run)
{
	run->kvm_valid_regs = 0;
}

static uint64_t pc_of(const struct kvm_regs *r, const struct kvm_sregs *s)
{
	return s->cs.l ? r->rip : s->cs.base + r->rip;
}

uint64_t arch_sample_pc(const struct kvm_run *run, int vcpu_fd)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	if (run)
		return pc_of(&run->s.regs.regs, &run->s.regs.sregs);
	if (ioctl(vcpu_fd, KVM_GET_REGS, &r) < 0 || ioctl(vcpu_fd, KVM_GET_SREGS, &s) < 0)
		return 0;
	return pc_of(&r, &s);
}

bool arch_sample_is_cheap(const struct kvm *kvm)
{
	const int want = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	const int has = kvm_cap(kvm, KVM_CAP_SYNC_REGS);

	return has > 0 && (has & want) == want;
}
