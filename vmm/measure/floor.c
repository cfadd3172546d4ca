/*
 * The hammer's floor: a VM of memory and interrupt chips, in which the same guest goes on from the same instruction.
 * Its memory is a copy, so what it does there does not count.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arch/arch.h"
#include "measure/internal.h"

enum { COPY_BYTES = 4096 };

/* As much as the hammer kernel uses: all up to the end of the control area. */
static int floor_memory_init(struct hammer_floor *floor, struct diag *diag)
{
	const struct guest_region region = {.len = HAMMER_MEM_USED};
	int r = guest_mem_init(&floor->mem, &region, 1, &(struct guest_mem_opts){0}, diag);

	return r < 0 ? r : kvm_mem_slots_set(&floor->kvm, &floor->mem, diag);
}

static int floor_vcpus_init(struct hammer_floor *floor, struct vm *vm, struct diag *diag)
{
	const size_t bytes = vm->nr_vcpus * sizeof(*floor->vcpu);
	int r = 0;

	floor->vcpu = aligned_alloc(_Alignof(struct vcpu), bytes);
	floor->file = calloc(vm->nr_vcpus, sizeof(*floor->file));
	if (!floor->vcpu || !floor->file)
		return diag_set(diag, -ENOMEM, "%u vCPUs", vm->nr_vcpus);
	memset(floor->vcpu, 0, bytes);
	for (unsigned i = 0; i < vm->nr_vcpus && r == 0; i++) {
		struct vcpu *vcpu = &floor->vcpu[i];

		floor->nr_vcpus = i + 1;
		r = vcpu_init(vcpu, &floor->kvm, i, vm->pio, vm->mmio, &vm->power, diag);
		if (r == 0)
			r = arch_vcpu_init(vcpu->fd, vm->cpu_model, i, diag);
		floor->file[i] = vcpu->fd;
	}
	vm->loop_files = floor->file;
	vm->nr_loop_files = floor->nr_vcpus;
	return r;
}

int hammer_floor_init(struct hammer_floor *floor, struct vm *vm, struct diag *diag)
{
	int r = kvm_open(&floor->kvm, diag);

	if (r < 0)
		return r;
	floor->is_open = true;
	r = kvm_vm_create(&floor->kvm, diag);
	if (r == 0)
		r = floor_memory_init(floor, diag);
	if (r == 0)
		r = arch_irqchip_create_bare(&floor->kvm, diag);
	if (r == 0)
		r = floor_vcpus_init(floor, vm, diag);
	return r;
}

void hammer_floor_fini(struct hammer_floor *floor)
{
	for (unsigned i = 0; i < floor->nr_vcpus; i++)
		vcpu_fini(&floor->vcpu[i]);
	free(floor->vcpu);
	free(floor->file);
	if (floor->is_open) {
		kvm_vm_close(&floor->kvm);
		guest_mem_fini(&floor->mem);
		kvm_close(&floor->kvm);
	}
}

/* Pages of zeros are left as they are, which is nearly all. */
static void copy_memory(uint8_t *to, const uint8_t *from, size_t bytes)
{
	static const uint8_t zeros[COPY_BYTES];

	for (size_t i = 0; i < bytes; i += COPY_BYTES)
		if (memcmp(from + i, zeros, COPY_BYTES) != 0)
			memcpy(to + i, from + i, COPY_BYTES);
}

/*
 * All vCPUs of the hammer are out of KVM_RUN here, and the last of them copies the memory. False when the VM ended
 * before that.
 */
static bool wait_for_copy(struct hammer *h, const struct vcpu *vcpu)
{
	struct hammer_floor *floor = &h->floor;
	const struct timespec while_others_come = {.tv_nsec = NS_PER_MS};

	if (atomic_fetch_add(&floor->arrived, 1) + 1 == h->vm.nr_vcpus) {
		copy_memory(guest_mem_ptr(&floor->mem, 0, HAMMER_MEM_USED),
			    guest_mem_ptr(&h->vm.mem, 0, HAMMER_MEM_USED), HAMMER_MEM_USED);
		atomic_store(&floor->copied, true);
	}
	while (!atomic_load(&floor->copied)) {
		if (atomic_load(&vcpu->stop))
			return false;
		nanosleep(&while_others_come, NULL);
	}
	return true;
}

bool hammer_floor_enter(struct hammer *h, struct vcpu *vcpu)
{
	struct diag diag = {0};

	if (!wait_for_copy(h, vcpu))
		return false;
	if (arch_vcpu_copy(vcpu->fd, h->floor.vcpu[vcpu->index].fd, &diag) == 0)
		return true;
	h->vm.power.end(&h->vm.power, (struct vm_end){.kind = VM_END_KVM_ERROR,
						      .by = "registers of a vCPU do not copy"});
	return false;
}
