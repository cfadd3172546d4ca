#include "arch/x86_64/cpu_template.h"

#include <linux/kvm.h>

#include "base/macros.h"

#define BIT(n) (1U << (n))

/* Highest leaves of the baseline: 0xb has the topology, 0x80000008 the address widths. */
#define BASELINE_MAX     0xbU
#define BASELINE_EXT_MAX 0x80000008U

/* The bits that a register keeps; a register of a listed leaf that is not mentioned keeps none. */
struct keep {
	uint32_t function;
	uint32_t eax, ebx, ecx, edx;
};

/*
 * x86-64-v1 of the psABI, and what a guest of KVM needs: x2APIC, the TSC deadline timer, the
 * hypervisor bit. Leaf 1 EDX: FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36
 * CLFSH MMX FXSR SSE SSE2 HTT. Leaf 0x80000001: SYSCALL NX LM in EDX, LAHF and CMP_LEGACY in ECX.
 * Leaf 0x80000008 keeps the address widths and the core count.
 */
static const struct keep baseline[] = {
	{0x1, ~0U, ~0U, BIT(21) | BIT(24) | BIT(31), 0x178bfbff},
	{0x5, 0, 0, 0, 0},
	{0x6, 0, 0, 0, 0},
	{0x7, 0, 0, 0, 0},
	{0x9, 0, 0, 0, 0},
	{0xa, 0, 0, 0, 0},
	{0x80000001, ~0U, ~0U, BIT(0) | BIT(1), BIT(11) | BIT(20) | BIT(29)},
	{0x80000007, 0, 0, 0, 0},
	{0x80000008, ~0U, 0, ~0U, 0},
};

static bool is_past_the_end(uint32_t function)
{
	if (function >= 0x80000000)
		return function > BASELINE_EXT_MAX;
	return function > BASELINE_MAX && function < 0x40000000; /* those are KVM's own */
}

static void lower_max(struct kvm_cpuid_entry2 *e)
{
	if (e->function == 0 && e->eax > BASELINE_MAX)
		e->eax = BASELINE_MAX;
	if (e->function == 0x80000000 && e->eax > BASELINE_EXT_MAX)
		e->eax = BASELINE_EXT_MAX;
}

void cpu_template_apply(enum arch_cpu_template tpl, struct kvm_cpuid2 *cpuid)
{
	uint32_t n = 0;

	if (tpl == ARCH_CPU_HOST)
		return;
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[n];

		if (is_past_the_end(cpuid->entries[i].function))
			continue;
		*e = cpuid->entries[i];
		n++;
		lower_max(e);
		for (size_t k = 0; k < ARRAY_SIZE(baseline); k++) {
			if (baseline[k].function != e->function)
				continue;
			e->eax &= baseline[k].eax;
			e->ebx &= baseline[k].ebx;
			e->ecx &= baseline[k].ecx;
			e->edx &= baseline[k].edx;
		}
	}
	cpuid->nent = n;
}
