/* Names of the exits that only x86 has. */
#include <linux/kvm.h>

#include "arch/arch.h"

const char *arch_exit_name(uint32_t reason)
{
	switch (reason) {
	case KVM_EXIT_SET_TPR: return "SET_TPR";
	case KVM_EXIT_TPR_ACCESS: return "TPR_ACCESS";
	case KVM_EXIT_IOAPIC_EOI: return "IOAPIC_EOI";
	case KVM_EXIT_HYPERV: return "HYPERV";
	case KVM_EXIT_X86_RDMSR: return "X86_RDMSR";
	case KVM_EXIT_X86_WRMSR: return "X86_WRMSR";
	case KVM_EXIT_X86_BUS_LOCK: return "X86_BUS_LOCK";
	case KVM_EXIT_XEN: return "XEN";
	default: return NULL;
	}
}
