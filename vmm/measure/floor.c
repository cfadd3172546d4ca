/* The hammer's floor: a VM of memory and interrupt chips, in which the same guest goes on from the same instruction. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "measure/internal.h"

int hammer_floor_init(struct hammer_floor *floor, struct vm *vm, struct diag *diag)
{
	const struct bare_vm_opts opts = {.pio = vm->pio, .mmio = vm->mmio, .vcpus = vm->nr_vcpus};
	int r = bare_vm_init(&floor->bare, vm, &opts, diag);

	if (r < 0)
		return r;
	floor->file = calloc(vm->nr_vcpus, sizeof(*floor->file));
	if (!floor->file)
		return diag_set(diag, -ENOMEM, "floor-memory", "%u vCPUs", vm->nr_vcpus);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		floor->file[i] = floor->bare.vcpu[i].fd;
	vm->loop_files = floor->file;
	vm->nr_loop_files = vm->nr_vcpus;
	return 0;
}

void hammer_floor_fini(struct hammer_floor *floor)
{
	bare_vm_fini(&floor->bare);
	free(floor->file);
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
		bare_vm_copy_memory(&floor->bare, &h->vm);
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
	return wait_for_copy(h, vcpu) && bare_vm_copy_vcpu(&h->floor.bare, &h->vm, vcpu->index);
}
