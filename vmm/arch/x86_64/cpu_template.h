/*
 * cpu_template.h - which CPUID features a guest sees; docs/reference/cpu-templates.md lists them. Pure.
 */
#ifndef VMM_ARCH_X86_64_CPU_TEMPLATE_H
#define VMM_ARCH_X86_64_CPU_TEMPLATE_H

#include "arch/arch.h"

struct kvm_cpuid2;

/*
 * Takes away from what KVM supports what the template does not have. ARCH_CPU_HOST takes nothing.
 * Entries of leaves that the template ends below are removed.
 */
void cpu_template_apply(enum arch_cpu_template tpl, struct kvm_cpuid2 *cpuid);

#endif
