/*
 * halted.c - whether a vCPU can still run by itself, as KVM shows it (Documentation/virt/kvm/api.rst;
 * SDM volume 3, 11.5.1 "Local Vector Table" and 11.6.1; 82093AA I/O APIC datasheet, 3.2.4).
 */
#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "arch/x86_64/lapic.h"
#include "kvm.h"

enum {
	RFLAGS_IF = 1 << 9,
	LVT_MASKED = 1 << 16,
	DELIVERY_SHIFT = 8,
	DELIVERY_MASK = 7,
	DELIVERY_SMI = 2,
	DELIVERY_NMI = 4,
	DELIVERY_INIT = 5,
};

/* Those that a CPU with interrupts off takes. */
static bool is_unmaskable(unsigned delivery)
{
	return delivery == DELIVERY_SMI || delivery == DELIVERY_NMI || delivery == DELIVERY_INIT;
}

/* Nothing drives LINT1 here, but KVM's timer drives LINT0: Linux's old NMI watchdog used that. */
static bool takes_timer_nmi(int vcpu_fd)
{
	struct kvm_lapic_state lapic;
	uint32_t lvt;

	if (ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic) < 0)
		return true;
	lvt = lapic_get(&lapic, LAPIC_LVT_LINT0);
	return !(lvt & LVT_MASKED) && is_unmaskable(lvt >> DELIVERY_SHIFT & DELIVERY_MASK);
}

/* In a nested guest an interrupt goes to its hypervisor, whatever the guest's own flag says. */
static bool runs_nested(int vcpu_fd)
{
	/* A struct kvm_nested_state and its data: standard C lets no struct with a flexible array be a member. */
	struct {
		uint16_t flags, format;
		uint32_t size;
		uint8_t header[120];
		uint8_t data[3 * 4096]; /* of a nested guest: two pages for VMX, one for SVM */
	} nested = {.size = sizeof(nested)};

	static_assert(offsetof(struct kvm_nested_state, data) == 128, "the header's size is fixed");
	if (ioctl(vcpu_fd, KVM_GET_NESTED_STATE, &nested) < 0)
		return errno != EINVAL && errno != ENOTTY; /* a KVM that does not nest at all */
	return nested.flags & KVM_STATE_NESTED_GUEST_MODE;
}

static bool is_deaf(int vcpu_fd)
{
	struct kvm_vcpu_events events;
	struct kvm_regs regs;

	if (ioctl(vcpu_fd, KVM_GET_REGS, &regs) < 0 ||
	    ioctl(vcpu_fd, KVM_GET_VCPU_EVENTS, &events) < 0)
		return false;
	return !(regs.rflags & RFLAGS_IF) && !events.exception.injected &&
	       !events.interrupt.injected && !events.nmi.injected && !events.nmi.pending &&
	       !events.smi.pending;
}

enum arch_halted arch_vcpu_halted(int vcpu_fd)
{
	struct kvm_mp_state mp;

	if (ioctl(vcpu_fd, KVM_GET_MP_STATE, &mp) < 0)
		return ARCH_CAN_RUN;
	switch (mp.mp_state) {
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED: return ARCH_WAITS_FOR_CPU;
	case KVM_MP_STATE_HALTED: break;
	default: return ARCH_CAN_RUN;
	}
	if (!is_deaf(vcpu_fd) || takes_timer_nmi(vcpu_fd) || runs_nested(vcpu_fd))
		return ARCH_CAN_RUN;
	return ARCH_HALTED;
}

bool arch_irqchip_wakes(const struct kvm *kvm)
{
	struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_IOAPIC};

	if (ioctl(kvm->vm_fd, KVM_GET_IRQCHIP, &chip) < 0)
		return true;
	for (unsigned i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		if (!chip.chip.ioapic.redirtbl[i].fields.mask &&
		    is_unmaskable(chip.chip.ioapic.redirtbl[i].fields.delivery_mode))
			return true;
	return false;
}

int arch_vcpu_nmi(int vcpu_fd)
{
	return ioctl(vcpu_fd, KVM_NMI) < 0 ? -errno : 0;
}
