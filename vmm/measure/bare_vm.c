#include "measure/bare_vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "measure/internal.h"

enum { COPY_BYTES = 4096, SLOT_BYTES = 4096 };

/* More memory slots are here, with a gap after each. */
#define SLOTS_GPA  UINT64_C(0x10000000)
#define SLOTS_STEP (UINT64_C(2) * SLOT_BYTES)

/* All of them show the same page: nobody looks. */
static int add_slots(struct bare_vm *bare, unsigned slots, struct diag *diag)
{
	void *host = guest_mem_ptr(&bare->mem, 0, SLOT_BYTES);

	for (unsigned i = 0; i < slots; i++) {
		const unsigned slot = kvm_mem_slot_new(&bare->kvm);
		const int r = kvm_mem_slot_set(&bare->kvm, slot, SLOTS_GPA + i * SLOTS_STEP,
					       SLOT_BYTES, host, false);

		if (r < 0)
			return diag_set(diag, r, "bare-vm-slot", "memory slot %u of %u", i + 1,
					slots);
	}
	return 0;
}

/* As much as the hammer kernel uses: all up to the end of the control area. */
static int bare_vm_memory_init(struct bare_vm *bare, unsigned slots, struct diag *diag)
{
	const struct guest_region region = {.len = HAMMER_MEM_USED};
	int r = guest_mem_init(&bare->mem, &region, 1, &(struct guest_mem_opts){0}, diag);

	if (r == 0)
		r = kvm_mem_slots_set(&bare->kvm, &bare->mem, diag);
	return r < 0 ? r : add_slots(bare, slots, diag);
}

static int bare_vm_vcpus_init(struct bare_vm *bare, struct vm *of, const struct bare_vm_opts *opts,
			      struct diag *diag)
{
	const size_t bytes = opts->vcpus * sizeof(*bare->vcpu);
	int r = 0;

	bare->vcpu = aligned_alloc(_Alignof(struct vcpu), bytes);
	if (!bare->vcpu)
		return diag_set(diag, -ENOMEM, "bare-vm-memory", "%u vCPUs", opts->vcpus);
	memset(bare->vcpu, 0, bytes);
	for (unsigned i = 0; i < opts->vcpus && r == 0; i++) {
		struct vcpu *vcpu = &bare->vcpu[i];

		bare->nr_vcpus = i + 1;
		r = vcpu_init(vcpu, &bare->kvm, i, opts->pio, opts->mmio, &of->power, diag);
		if (r == 0)
			r = arch_vcpu_init(vcpu->fd, of->cpu_model, i, diag);
	}
	return r;
}

int bare_vm_init(struct bare_vm *bare, struct vm *of, const struct bare_vm_opts *opts,
		 struct diag *diag)
{
	int r = kvm_open(&bare->kvm, diag);

	if (r < 0)
		return r;
	bare->is_open = true;
	r = kvm_vm_create(&bare->kvm, diag);
	if (r == 0)
		r = bare_vm_memory_init(bare, opts->slots, diag);
	if (r == 0)
		r = arch_irqchip_create_bare(&bare->kvm, diag);
	if (r == 0)
		r = bare_vm_vcpus_init(bare, of, opts, diag);
	return r;
}

void bare_vm_fini(struct bare_vm *bare)
{
	for (unsigned i = 0; i < bare->nr_vcpus; i++)
		vcpu_fini(&bare->vcpu[i]);
	free(bare->vcpu);
	if (bare->is_open) {
		kvm_vm_close(&bare->kvm);
		guest_mem_fini(&bare->mem);
		kvm_close(&bare->kvm);
	}
}

/* Pages of zeros are left as they are, which is nearly all. */
void bare_vm_copy_memory(struct bare_vm *bare, const struct vm *of)
{
	static const uint8_t zeros[COPY_BYTES];
	const uint8_t *from = guest_mem_ptr(&of->mem, 0, HAMMER_MEM_USED);
	uint8_t *to = guest_mem_ptr(&bare->mem, 0, HAMMER_MEM_USED);

	for (size_t i = 0; i < HAMMER_MEM_USED; i += COPY_BYTES)
		if (memcmp(from + i, zeros, COPY_BYTES) != 0)
			memcpy(to + i, from + i, COPY_BYTES);
}

bool bare_vm_copy_vcpu(struct bare_vm *bare, struct vm *of, unsigned index)
{
	struct diag diag = {0};

	if (arch_vcpu_copy(of->vcpu[index].fd, bare->vcpu[index].fd, &diag) == 0)
		return true;
	of->power.end(&of->power, (struct vm_end){.kind = VM_END_KVM_ERROR,
						  .by = "registers of a vCPU do not copy"});
	return false;
}
