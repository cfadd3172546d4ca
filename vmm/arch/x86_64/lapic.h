/*
 * lapic.h - registers of a local APIC in what KVM_GET_LAPIC returned: its page, of which each register is 4 bytes
 * (Intel SDM volume 3, table 11-1).
 */
#ifndef VMM_ARCH_X86_64_LAPIC_H
#define VMM_ARCH_X86_64_LAPIC_H

#include <linux/kvm.h>
#include <stdint.h>
#include <string.h>

enum lapic_reg {
	LAPIC_ISR = 0x100, /* 256 bits each, 32 per 16 bytes */
	LAPIC_IRR = 0x200,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_LINT1 = 0x360,
	LAPIC_TIMER_INITIAL = 0x380,
	LAPIC_TIMER_CURRENT = 0x390,
};

static inline uint32_t lapic_get(const struct kvm_lapic_state *lapic, unsigned reg)
{
	uint32_t val;

	memcpy(&val, lapic->regs + reg, sizeof(val));
	return val;
}

static inline void lapic_set(struct kvm_lapic_state *lapic, unsigned reg, uint32_t val)
{
	memcpy(lapic->regs + reg, &val, sizeof(val));
}

#endif
