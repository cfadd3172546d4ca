/*
 * The CPUID and MSRs that guests see. Sources: Intel SDM volume 2A, CPUID; AMD APM volume 3,
 * appendix E; the kernel's Documentation/virt/kvm/x86/cpuid.rst.
 */
#include <asm/kvm_para.h>
#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "arch/x86_64/cpu_template.h"
#include "arch/x86_64/internal.h"
#include "arch/x86_64/lapic.h"
#include "base/cleanup.h"
#include "base/macros.h"
#include "kvm.h"

#define CPUID_1_ECX_TSC_DEADLINE (1U << 24)
#define CPUID_1_ECX_HYPERVISOR   (1U << 31)
#define CPUID_1_EDX_HTT          (1U << 28)

enum {
	CPUID_ENTRIES_MAX = 256,
	CPUID_SPARE = 8, /* entries that we may add to what KVM reports */
	MSR_INDEX_MAX = 4096,
	/* Leaves 0xb and 0x1f: ECX[15:8]. */
	LEVEL_SMT = 1U << 8,
	LEVEL_CORE = 2U << 8,
	/* MSRs. */
	MSR_MISC_ENABLE = 0x1a0,
	MSR_MTRR_DEF_TYPE = 0x2ff,
	MISC_ENABLE_FAST_STRINGS = 1,
	MTRR_DEF_TYPE_ENABLE_WB = 0x806, /* enabled, default write-back */
};

static unsigned bits_for(unsigned count)
{
	unsigned bits = 0;

	while ((1U << bits) < count)
		bits++;
	return bits;
}

static struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function,
					   uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == function &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	}
	return NULL;
}

/* As cpuid_find(), and makes the entry when KVM did not report it. */
static struct kvm_cpuid_entry2 *cpuid_get(struct kvm_cpuid2 *cpuid, uint32_t function,
					  uint32_t index)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, function, index);

	if (e || cpuid->nent == CPUID_ENTRIES_MAX + CPUID_SPARE)
		return e;
	e = &cpuid->entries[cpuid->nent++];
	*e = (struct kvm_cpuid_entry2){
		.function = function, .index = index, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX};
	return e;
}

/* One thread a core, all cores in one package: what leaf, index and level the field calls it. */
static void topology_leaf(struct kvm_cpuid2 *cpuid, uint32_t function, unsigned cpus)
{
	struct kvm_cpuid_entry2 *smt = cpuid_get(cpuid, function, 0);
	struct kvm_cpuid_entry2 *core = cpuid_get(cpuid, function, 1);
	struct kvm_cpuid_entry2 *end = cpuid_get(cpuid, function, 2);

	if (!smt || !core || !end)
		return;
	smt->eax = 0;
	smt->ebx = 1;
	smt->ecx = LEVEL_SMT;
	core->eax = bits_for(cpus);
	core->ebx = cpus;
	core->ecx = LEVEL_CORE | 1;
	end->eax = end->ebx = 0;
	end->ecx = 2;
}

/* Intel leaf 4 and AMD leaf 0x8000001d: which caches are shared by how many. */
static void cache_leaf(struct kvm_cpuid2 *cpuid, uint32_t function, unsigned cpus, bool intel)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];
		uint32_t level = (e->eax >> 5) & 7, sharing;

		if (e->function != function || (e->eax & 0x1f) == 0)
			continue;
		sharing = level >= 3 ? (1U << bits_for(cpus)) - 1 : 0;
		e->eax = (e->eax & 0x3fff) | (sharing & 0xfff) << 14;
		if (intel)
			e->eax |= (((1U << bits_for(cpus)) - 1) & 0x3f) << 26;
	}
}

static void cpuid_set_topology(struct kvm_cpuid2 *cpuid, unsigned cpus)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, 1, 0);
	const struct kvm_cpuid_entry2 *max = cpuid_find(cpuid, 0, 0);

	if (e) {
		e->ebx = (e->ebx & 0x0000ffff) | (cpus < 255 ? cpus : 255) << 16;
		e->edx = cpus > 1 ? e->edx | CPUID_1_EDX_HTT : e->edx & ~CPUID_1_EDX_HTT;
	}
	cache_leaf(cpuid, 4, cpus, true);
	cache_leaf(cpuid, 0x8000001d, cpus, false);
	if (max && max->eax >= 0xb)
		topology_leaf(cpuid, 0xb, cpus);
	if (max && max->eax >= 0x1f)
		topology_leaf(cpuid, 0x1f, cpus);
	e = cpuid_find(cpuid, 0x80000008, 0);
	if (e)
		e->ecx = (e->ecx & ~0xf0ffU) | (bits_for(cpus) << 12) | ((cpus - 1) & 0xff);
	e = cpuid_find(cpuid, 0x8000001e, 0);
	if (e)
		e->ecx = 0; /* one node */
}

/* The parts of CPUID that differ between vCPUs. */
static void cpuid_set_apic_id(struct kvm_cpuid2 *cpuid, uint32_t apic_id)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		switch (e->function) {
		case 1: e->ebx = (e->ebx & 0x00ffffff) | apic_id << 24; break;
		case 0xb:
		case 0x1f: e->edx = apic_id; break;
		case 0x8000001e:
			e->eax = apic_id;
			e->ebx = (e->ebx & 0xffff0000) | (apic_id & 0xff); /* one thread a core */
			break;
		default: break;
		}
	}
}

static void cpuid_set_features(struct kvm_cpuid2 *cpuid, const struct kvm *kvm)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, 1, 0);

	if (!e)
		return;
	e->ecx |= CPUID_1_ECX_HYPERVISOR;
	/* The in-kernel APIC has it whether or not KVM_GET_SUPPORTED_CPUID says so (api.rst 4.46). */
	if (kvm_cap(kvm, KVM_CAP_TSC_DEADLINE_TIMER))
		e->ecx |= CPUID_1_ECX_TSC_DEADLINE;
}

static int cpuid_read(struct kvm_cpuid2 **ret, const struct kvm *kvm, struct diag *diag)
{
	AUTO_FREE struct kvm_cpuid2 *cpuid = calloc(
		1, sizeof(*cpuid) + (CPUID_ENTRIES_MAX + CPUID_SPARE) * sizeof(cpuid->entries[0]));

	if (!cpuid)
		return diag_set(diag, -ENOMEM, "cpuid-memory", "CPUID table");
	cpuid->nent = CPUID_ENTRIES_MAX;
	if (ioctl(kvm->fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		return diag_set(diag, -errno, "cpuid-read", "KVM_GET_SUPPORTED_CPUID");
	*ret = STEAL_PTR(cpuid);
	return 0;
}

/*
 * Only MSRs that KVM lists are sure to be taken: others make KVM_SET_MSRS stop short. The MTRRs it lists
 * nowhere and takes all the same; they come last, and may be refused. As firmware leaves them all memory
 * is write-back; Linux goes without page attributes (PAT) where they are off.
 */
static int msrs_choose(struct kvm_msrs **ret, const struct kvm *kvm, struct diag *diag)
{
	static const struct kvm_msr_entry wanted[] = {
		{.index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRINGS},
	};
	static const struct kvm_msr_entry mtrrs = {.index = MSR_MTRR_DEF_TYPE,
						   .data = MTRR_DEF_TYPE_ENABLE_WB};
	AUTO_FREE struct kvm_msr_list *list =
		calloc(1, sizeof(*list) + MSR_INDEX_MAX * sizeof(list->indices[0]));
	AUTO_FREE struct kvm_msrs *msrs =
		calloc(1, sizeof(*msrs) + (ARRAY_SIZE(wanted) + 1) * sizeof(msrs->entries[0]));

	if (!list || !msrs)
		return diag_set(diag, -ENOMEM, "msrs-memory", "MSR list");
	list->nmsrs = MSR_INDEX_MAX;
	if (ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, list) < 0)
		return diag_set(diag, -errno, "msrs-list", "KVM_GET_MSR_INDEX_LIST");
	for (size_t w = 0; w < ARRAY_SIZE(wanted); w++)
		for (uint32_t i = 0; i < list->nmsrs; i++)
			if (list->indices[i] == wanted[w].index)
				msrs->entries[msrs->nmsrs++] = wanted[w];
	msrs->entries[msrs->nmsrs++] = mtrrs;
	*ret = STEAL_PTR(msrs);
	return 0;
}

const char arch_cpu_help[] = "host: all features (default); baseline: x86-64-v1 everywhere";

int arch_cpu_model_create(const struct kvm *kvm, unsigned cpus, enum arch_cpu_template tpl,
			  struct arch_cpu_model **ret, struct diag *diag)
{
	struct arch_cpu_model *model = calloc(1, sizeof(*model));
	int r;

	if (!model)
		return diag_set(diag, -ENOMEM, "cpu-model-memory", "the CPUs' features");
	model->cpus = cpus;
	r = cpuid_read(&model->cpuid, kvm, diag);
	if (r == 0)
		r = msrs_choose(&model->msrs, kvm, diag);
	if (r != 0) {
		arch_cpu_model_destroy(model);
		return r;
	}
	assert(model->cpuid && model->msrs);
	cpu_template_apply(tpl, model->cpuid);
	cpuid_set_features(model->cpuid, kvm);
	cpuid_set_topology(model->cpuid, cpus);
	mce_choose(model, kvm);
	*ret = model;
	return 0;
}

struct arch_cpu_model *arch_cpu_model_destroy(struct arch_cpu_model *model)
{
	if (!model)
		return NULL;
	free(model->cpuid);
	free(model->msrs);
	free(model);
	return NULL;
}

/* LINT0 takes the PIC's interrupts and LINT1 the NMI, as firmware leaves them (MP 1.4, 3.6.2). */
static int lint_set(int vcpu_fd, struct arch_cpu_model *model, unsigned index, struct diag *diag)
{
	enum { MODE_NMI = 4 << 8, MODE_EXTINT = 7 << 8 };
	struct kvm_lapic_state apic;

	(void)model;
	(void)index;
	if (ioctl(vcpu_fd, KVM_GET_LAPIC, &apic) < 0)
		return diag_set(diag, -errno, "lapic-read", "KVM_GET_LAPIC");
	lapic_set(&apic, LAPIC_LVT_LINT0, MODE_EXTINT);
	lapic_set(&apic, LAPIC_LVT_LINT1, MODE_NMI);
	if (ioctl(vcpu_fd, KVM_SET_LAPIC, &apic) < 0)
		return diag_set(diag, -errno, "lapic-write", "KVM_SET_LAPIC");
	return 0;
}

static int cpuid_set(int vcpu_fd, struct arch_cpu_model *model, unsigned index, struct diag *diag)
{
	cpuid_set_apic_id(model->cpuid, index);
	if (ioctl(vcpu_fd, KVM_SET_CPUID2, model->cpuid) < 0)
		return diag_set(diag, -errno, "cpuid-set", "KVM_SET_CPUID2 of vCPU %u", index);
	return 0;
}

static int vcpu_mce_set(int vcpu_fd, struct arch_cpu_model *model, unsigned index,
			struct diag *diag)
{
	const int r = mce_setup(vcpu_fd, model);

	return r < 0 ? diag_set(diag, r, "mce-setup", "KVM_X86_SETUP_MCE of vCPU %u", index) : 0;
}

static int msrs_set(int vcpu_fd, struct arch_cpu_model *model, unsigned index, struct diag *diag)
{
	const int n = ioctl(vcpu_fd, KVM_SET_MSRS, model->msrs);

	if (n < 0)
		return diag_set(diag, -errno, "msrs-set", "KVM_SET_MSRS of vCPU %u", index);
	if ((uint32_t)n < model->msrs->nmsrs && model->msrs->entries[n].index != MSR_MTRR_DEF_TYPE)
		return diag_set(diag, -EIO, "msr-refused", "KVM_SET_MSRS of vCPU %u: MSR %#x",
				index, model->msrs->entries[n].index);
	return 0;
}

/* CPUID, then MSRs, then the local APIC's LINT pins; the APIC ID is the index. */
const struct arch_vcpu_call arch_vcpu_calls[] = {
	{"KVM_SET_CPUID2", cpuid_set},
	{"KVM_X86_SETUP_MCE", vcpu_mce_set},
	{"KVM_SET_MSRS", msrs_set},
	{"KVM_GET_LAPIC, KVM_SET_LAPIC", lint_set},
	{0},
};

int arch_vcpu_init(int vcpu_fd, struct arch_cpu_model *model, unsigned index, struct diag *diag)
{
	int r = 0;

	for (unsigned i = 0; arch_vcpu_calls[i].name && r == 0; i++)
		r = arch_vcpu_calls[i].make(vcpu_fd, model, index, diag);
	return r;
}
