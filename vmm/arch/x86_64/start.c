/*
 * start.c - what KVM knows of a VM before its first instruction, copied and put back for a reset.
 *
 * A real machine's INIT and power-on states are not enough: entry.c and cpuid.c set registers as firmware and a boot
 * loader leave them. So all that KVM gives is read once, and written again. Documentation/virt/kvm/api.rst has the
 * calls. Order of writing: the PIT comes first, because its last tick may reach the interrupt controllers; a nested guest is left before the system registers are set, which are its own until then;
 * system registers come before MSRs and the local APIC, whose mode is one of them; whether a vCPU runs comes last.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86_64/internal.h"
#include "arch/x86_64/msr.h"
#include "base/cleanup.h"
#include "base/macros.h"

enum {
	MSRS_MAX = 1024,
	MSR_TSC = 0x10,
	NESTED_BYTES_MAX = 16384,
	IRQCHIPS = 3, /* both PICs, and the I/O APIC */
};

/* The MTRRs are on no list of KVM's (cpuid.c, msrs_choose()). Of SDM volume 3, 12.11.2. */
static const uint32_t mtrrs[] = {
	0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209,
	0x20a, 0x20b, 0x20c, 0x20d, 0x20e, 0x20f, 0x250, 0x258, 0x259, 0x268,
	0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f, 0x2ff,
};

struct vcpu_start {
	int fd;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	struct kvm_xsave *xsave; /* NULL: this KVM has none */
	struct kvm_fpu fpu;      /* without xsave */
	bool has_xcrs, has_debugregs;
	struct kvm_nested_state *nested; /* NULL: this KVM has none */
	struct kvm_msrs *msrs;
	struct kvm_msrs *now; /* room for a reading of the same */
};

struct arch_start {
	const struct kvm *kvm; /* borrowed */
	struct kvm_irqchip chip[IRQCHIPS];
	struct kvm_pit_state2 pit;
	unsigned nr_vcpus;
	struct vcpu_start vcpu[];
};

static void add_msr(int fd, uint32_t index, struct kvm_msrs *msrs)
{
	struct kvm_msr_entry *entry = &msrs->entries[msrs->nmsrs];
	uint64_t data;

	if (index == MSR_TSC || msrs->nmsrs == MSRS_MAX || !msr_get(fd, index, &data))
		return;
	*entry = (struct kvm_msr_entry){.index = index, .data = data};
	msrs->nmsrs++;
}

/* Those that this vCPU has: KVM's list also has some that its CPUID leaves out. */
static int read_msrs(const struct kvm *kvm, struct vcpu_start *vcpu)
{
	AUTO_FREE struct kvm_msr_list *list =
		calloc(1, sizeof(*list) + MSRS_MAX * sizeof(list->indices[0]));

	vcpu->msrs = calloc(1, sizeof(*vcpu->msrs) + MSRS_MAX * sizeof(vcpu->msrs->entries[0]));
	vcpu->now = calloc(1, sizeof(*vcpu->now) + MSRS_MAX * sizeof(vcpu->now->entries[0]));
	if (!list || !vcpu->msrs || !vcpu->now)
		return -ENOMEM;
	list->nmsrs = MSRS_MAX;
	if (ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, list) < 0)
		return -errno;
	for (uint32_t i = 0; i < list->nmsrs; i++)
		add_msr(vcpu->fd, list->indices[i], vcpu->msrs);
	for (size_t i = 0; i < ARRAY_SIZE(mtrrs); i++)
		add_msr(vcpu->fd, mtrrs[i], vcpu->msrs);
	return 0;
}

static int read_nested(const struct kvm *kvm, struct vcpu_start *vcpu)
{
	const int bytes = kvm_cap(kvm, KVM_CAP_NESTED_STATE);

	if (bytes < (int)sizeof(*vcpu->nested) || bytes > NESTED_BYTES_MAX)
		return 0;
	vcpu->nested = calloc(1, (size_t)bytes);
	if (!vcpu->nested)
		return -ENOMEM;
	vcpu->nested->size = (uint32_t)bytes;
	if (ioctl(vcpu->fd, KVM_GET_NESTED_STATE, vcpu->nested) < 0) {
		free(vcpu->nested);
		vcpu->nested = NULL;
	}
	return 0;
}

static int read_xsave(const struct kvm *kvm, struct vcpu_start *vcpu)
{
	if (kvm_cap(kvm, KVM_CAP_XSAVE) <= 0)
		return 0;
	vcpu->xsave = calloc(1, sizeof(*vcpu->xsave));
	if (!vcpu->xsave)
		return -ENOMEM;
	if (ioctl(vcpu->fd, KVM_GET_XSAVE, vcpu->xsave) < 0) {
		free(vcpu->xsave);
		vcpu->xsave = NULL;
	}
	return 0;
}

static int read_vcpu(const struct kvm *kvm, struct vcpu_start *vcpu)
{
	int r;

	if (ioctl(vcpu->fd, KVM_GET_MP_STATE, &vcpu->mp_state) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_REGS, &vcpu->regs) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_SREGS, &vcpu->sregs) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &vcpu->events) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_LAPIC, &vcpu->lapic) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_FPU, &vcpu->fpu) < 0)
		return -errno;
	vcpu->has_xcrs =
		kvm_cap(kvm, KVM_CAP_XCRS) > 0 && ioctl(vcpu->fd, KVM_GET_XCRS, &vcpu->xcrs) == 0;
	vcpu->has_debugregs = kvm_cap(kvm, KVM_CAP_DEBUGREGS) > 0 &&
			      ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &vcpu->debugregs) == 0;
	r = read_xsave(kvm, vcpu);
	if (r == 0)
		r = read_nested(kvm, vcpu);
	return r < 0 ? r : read_msrs(kvm, vcpu);
}

int arch_start_create(const struct kvm *kvm, const int *vcpu_fd, unsigned nr_vcpus,
		      struct arch_start **ret, struct diag *diag)
{
	struct arch_start *start = calloc(1, sizeof(*start) + nr_vcpus * sizeof(start->vcpu[0]));
	int r = 0;

	if (!start)
		return diag_set(diag, -ENOMEM, "reset-state-memory", "registers of %u vCPUs",
				nr_vcpus);
	start->kvm = kvm;
	start->nr_vcpus = nr_vcpus;
	for (uint32_t i = 0; r == 0 && i < IRQCHIPS; i++) {
		start->chip[i].chip_id = i;
		if (ioctl(kvm->vm_fd, KVM_GET_IRQCHIP, &start->chip[i]) < 0)
			r = -errno;
	}
	if (r == 0 && ioctl(kvm->vm_fd, KVM_GET_PIT2, &start->pit) < 0)
		r = -errno;
	for (unsigned i = 0; r == 0 && i < nr_vcpus; i++) {
		start->vcpu[i].fd = vcpu_fd[i];
		r = read_vcpu(kvm, &start->vcpu[i]);
	}
	if (r < 0) {
		arch_start_destroy(start);
		return diag_set(diag, r, "reset-state-read",
				"read the state that a reset puts back");
	}
	*ret = start;
	return 0;
}

/* Only what has changed: a write may have effects besides its value, and not each can be made again. */
static void write_msrs(const struct vcpu_start *vcpu)
{
	const uint32_t nr = vcpu->msrs->nmsrs;
	int known;

	memcpy(vcpu->now, vcpu->msrs, sizeof(*vcpu->msrs) + nr * sizeof(vcpu->msrs->entries[0]));
	known = ioctl(vcpu->fd, KVM_GET_MSRS, vcpu->now);
	for (uint32_t i = 0; i < nr; i++) {
		const struct kvm_msr_entry *entry = &vcpu->msrs->entries[i];

		if ((int)i >= known || vcpu->now->entries[i].data != entry->data)
			msr_set(vcpu->fd, entry->index, entry->data);
	}
}

static int start_write_registers(const struct vcpu_start *vcpu)
{
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &vcpu->sregs) < 0 ||
	    ioctl(vcpu->fd, KVM_SET_REGS, &vcpu->regs) < 0)
		return -errno;
	if (vcpu->has_xcrs && ioctl(vcpu->fd, KVM_SET_XCRS, &vcpu->xcrs) < 0)
		return -errno;
	if (vcpu->xsave ? ioctl(vcpu->fd, KVM_SET_XSAVE, vcpu->xsave) < 0
			: ioctl(vcpu->fd, KVM_SET_FPU, &vcpu->fpu) < 0)
		return -errno;
	if (vcpu->has_debugregs && ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &vcpu->debugregs) < 0)
		return -errno;
	return 0;
}

static int write_vcpu(const struct vcpu_start *vcpu)
{
	struct kvm_mp_state now;
	int r;

	/* A pending INIT or SIPI takes effect in this call, and not after the reset. */
	if (ioctl(vcpu->fd, KVM_GET_MP_STATE, &now) < 0)
		return -errno;
	if (vcpu->nested && ioctl(vcpu->fd, KVM_SET_NESTED_STATE, vcpu->nested) < 0)
		return -errno;
	if (ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &vcpu->events) < 0)
		return -errno;
	r = start_write_registers(vcpu);
	if (r < 0)
		return r;
	write_msrs(vcpu);
	if (ioctl(vcpu->fd, KVM_SET_LAPIC, &vcpu->lapic) < 0 ||
	    ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &vcpu->events) < 0 ||
	    ioctl(vcpu->fd, KVM_SET_MP_STATE, &vcpu->mp_state) < 0)
		return -errno;
	return 0;
}

int arch_start_restore(const struct arch_start *start, struct diag *diag)
{
	struct kvm_irqchip chip;
	struct kvm_pit_state2 pit = start->pit;
	int r = ioctl(start->kvm->vm_fd, KVM_SET_PIT2, &pit) < 0 ? -errno : 0;

	for (unsigned i = 0; r == 0 && i < IRQCHIPS; i++) {
		chip = start->chip[i];
		if (ioctl(start->kvm->vm_fd, KVM_SET_IRQCHIP, &chip) < 0)
			r = -errno;
	}
	for (unsigned i = 0; r == 0 && i < start->nr_vcpus; i++)
		r = write_vcpu(&start->vcpu[i]);
	return r < 0 ? diag_set(diag, r, "reset-state-write",
				"put the vCPUs and chips back to their start")
		     : 0;
}

struct arch_start *arch_start_destroy(struct arch_start *start)
{
	if (!start)
		return NULL;
	for (unsigned i = 0; i < start->nr_vcpus; i++) {
		free(start->vcpu[i].xsave);
		free(start->vcpu[i].nested);
		free(start->vcpu[i].msrs);
		free(start->vcpu[i].now);
	}
	free(start);
	return NULL;
}
