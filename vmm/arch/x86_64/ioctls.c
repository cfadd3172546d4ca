/* ioctls.c - KVM's requests that each role of thread makes once the guest runs, for the filters of the sandbox. */
#include <asm/kvm.h>
#include <linux/audit.h>
#include <linux/kvm.h>

#include "arch/arch.h"
#include "base/macros.h"

const uint32_t arch_audit = AUDIT_ARCH_X86_64;

/* The first is what a vCPU's thread does most. Others: interrupts, register pages, what explains an exit. */
static const uint32_t of_vcpu[] = {
	KVM_RUN,         KVM_IRQ_LINE,        KVM_SET_USER_MEMORY_REGION,
	KVM_GET_REGS, /* a profile, latency, a repeated instruction, an access that nobody claims */
	KVM_GET_SREGS,   KVM_GET_MP_STATE,    KVM_TRANSLATE,
	KVM_X86_SET_MCE, KVM_SET_GUEST_DEBUG,
};

static const uint32_t of_io[] = {
	KVM_IRQ_LINE,
	KVM_SET_USER_MEMORY_REGION,
};

/* A pause, a reset, gdb, reports, statistics, teardown. */
static const uint32_t of_event[] = {
	KVM_IRQ_LINE,
	KVM_SET_USER_MEMORY_REGION,
	KVM_GET_REGS,
	KVM_SET_REGS,
	KVM_GET_SREGS,
	KVM_SET_SREGS,
	KVM_GET_FPU,
	KVM_SET_FPU,
	KVM_GET_MSRS,
	KVM_SET_MSRS,
	KVM_GET_MSR_INDEX_LIST,
	KVM_GET_XCRS,
	KVM_SET_XCRS,
	KVM_GET_XSAVE,
	KVM_SET_XSAVE,
	KVM_GET_DEBUGREGS,
	KVM_SET_DEBUGREGS,
	KVM_GET_LAPIC,
	KVM_SET_LAPIC,
	KVM_GET_IRQCHIP,
	KVM_SET_IRQCHIP,
	KVM_GET_PIT2,
	KVM_SET_PIT2,
	KVM_GET_CLOCK,
	KVM_SET_CLOCK,
	KVM_GET_DEVICE_ATTR,
	KVM_SET_DEVICE_ATTR,
	KVM_HAS_DEVICE_ATTR,
	KVM_GET_TSC_KHZ,
	KVM_KVMCLOCK_CTRL,
	KVM_GET_VCPU_EVENTS,
	KVM_SET_VCPU_EVENTS,
	KVM_GET_NESTED_STATE,
	KVM_SET_NESTED_STATE,
	KVM_GET_MP_STATE,
	KVM_SET_MP_STATE,
	KVM_SET_GUEST_DEBUG,
	KVM_TRANSLATE,
	KVM_NMI,
	KVM_IOEVENTFD,
	KVM_IRQFD,
	KVM_REGISTER_COALESCED_MMIO,
	KVM_UNREGISTER_COALESCED_MMIO,
	KVM_CHECK_EXTENSION,
	KVM_GET_STATS_FD,
};

const struct arch_ioctls arch_vcpu_ioctls = {of_vcpu, ARRAY_SIZE(of_vcpu)};
const struct arch_ioctls arch_io_ioctls = {of_io, ARRAY_SIZE(of_io)};
const struct arch_ioctls arch_event_ioctls = {of_event, ARRAY_SIZE(of_event)};
