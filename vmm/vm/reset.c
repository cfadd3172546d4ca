#include "vm/reset.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "virtio/transport.h"
#include "vm.h"
#include "vm/internal.h"
#include "vm/vcpu_files.h"

#define HOST_REMEDY "look for a disk, network or swap of the host that does not answer"

int vm_start_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	AUTO_FREE int *fd = NULL;
	int r;

	vm->reset.by_guest = opts->reboots;
	if (!opts->keeps_start)
		return 0;
	fd = vm_vcpu_fds(vm);
	if (!fd)
		return diag_set(diag, -ENOMEM, "reset-memory", "registers of %u vCPUs",
				vm->nr_vcpus);
	r = memory_copy_init(&vm->reset.memory, &vm->mem, diag);
	if (r == 0)
		r = arch_start_create(&vm->kvm, fd, vm->nr_vcpus, &vm->reset.start, diag);
	if (r < 0) {
		vm_start_unmake(vm);
		return r;
	}
	arch_clocks_note_start(vm->pause.clocks);
	return 0;
}

void vm_start_unmake(struct vm *vm)
{
	vm->reset.start = arch_start_destroy(vm->reset.start);
	memory_copy_fini(&vm->reset.memory);
}

bool vm_reset_takes(struct vm *vm, const struct vm_end *end)
{
	struct vm_reset *reset = &vm->reset;

	if (!reset->by_guest || (end->kind != VM_END_RESET && end->kind != VM_END_TRIPLE_FAULT))
		return false;
	if (reset->wanted)
		return true;
	reset->wanted = true;
	reset->why = *end;
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_gate_hold(&vm->halted.gate, &vm->vcpu[i], VCPU_HELD_BY_RESET);
	event_loop_wake(&vm->loop);
	return true;
}

/* Their own threads take part, which a pause has parked. Or the host does not let one of them go. */
static int reset_virtio(struct vm *vm, struct diag *diag)
{
	unsigned stuck = 0;
	bool all_reset = true, all_parked;

	vm_virtio_unpark(vm);
	for (unsigned i = 0; all_reset && i < vm->machine.nr_devices; i++) {
		all_reset = !vm->virtio[i] || virtio_reset(vm->device[i]);
		if (!all_reset)
			vm_pause_say_stuck(vm, i, diag);
	}
	all_parked = vm_virtio_park(vm, clock_monotonic_ns() + VM_PAUSE_WAIT_NS, &stuck);
	if (all_reset && all_parked)
		return 0;
	vm_pause_say_stuck(vm, stuck, diag); /* no effect after another one */
	return -ETIMEDOUT;
}

static void reset_chips(struct vm *vm)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++)
		if (!vm->virtio[i])
			device_reset(vm_bus_device(vm, i));
}

/* Of the vCPUs' threads, what is not KVM's. */
static void forget_errors(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		struct vcpu *vcpu = &vm->vcpu[i];

		vcpu->error = (struct vcpu_error){0};
		atomic_store(&vcpu->failed_memory, 0);
		atomic_store(&vcpu->failed_elsewhere, false);
	}
}

static void reset_failed(struct vm *vm, enum vm_end_kind kind, const char *by)
{
	vm_end_finally(vm, (struct vm_end){.kind = kind, .by = by});
}

/* While the VM is paused. A failure ends the VM. */
static void machine_reset(struct vm *vm)
{
	struct diag *diag = &vm->reset.failure;

	if (reset_virtio(vm, diag) < 0) {
		diag_remedy(diag, HOST_REMEDY);
		reset_failed(vm, VM_END_RESET, "the host does not let a device go");
		return;
	}
	reset_chips(vm);
	if (arch_start_restore(vm->reset.start, diag) < 0) {
		diag_remedy(diag, "run it without --reboot, and report this with the output of "
				  "`tollgate doctor`");
		reset_failed(vm, VM_END_KVM_ERROR, "KVM does not take the state of a reset");
		return;
	}
	arch_clocks_rewind(vm->pause.clocks);
	if (memory_copy_put_back(&vm->reset.memory, &vm->mem, diag) < 0) {
		diag_remedy(diag,
			    "leave more memory to the host, or --prealloc and --hugepages out");
		reset_failed(vm, VM_END_RESET, "the host has no memory for it");
		return;
	}
	vm_symbols_forget(vm);
	vm_chars_forget_panic(&vm->chars);
	forget_errors(vm);
	if (vm->debugger.reset)
		vm->debugger.reset(vm->debugger.arg);
	vm->reset.count++;
}

/* This reset answers all requests of the guest until now. */
static void release_vcpus(struct vm *vm)
{
	pthread_mutex_lock(&vm->end_lock);
	vm->reset.wanted = false;
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_gate_release(&vm->halted.gate, &vm->vcpu[i], VCPU_HELD_BY_RESET);
	pthread_mutex_unlock(&vm->end_lock);
}

/*
 * why: what the guest wanted it for; NULL: it is the user's. A kernel that panics without a driver for pvpanic resets,
 * and a panic is an end. Its words are all there in a pause.
 */
static int pause_and_reset(struct vm *vm, const struct vm_end *why, struct diag *diag)
{
	int r = vm_pause(vm, VM_PAUSED_BY_RESET, diag);

	if (r < 0)
		return r;
	if (why && vm_chars_saw_panic(&vm->chars))
		vm_end_finally(vm, *why);
	else
		machine_reset(vm);
	release_vcpus(vm);
	vm_resume(vm, VM_PAUSED_BY_RESET, NULL);
	return 0;
}

int vm_reset(struct vm *vm, struct diag *diag)
{
	if (vm->reset.start)
		return pause_and_reset(vm, NULL, diag);
	diag_set(diag, -EINVAL, "reset-no-copy",
		 "this VM cannot be reset: it has no copy of its start");
	diag_remedy(diag, "start it with --reboot or --gdb");
	return -ENOTSUP;
}

static bool is_wanted(struct vm *vm, struct vm_end *ret_why)
{
	bool wanted;

	pthread_mutex_lock(&vm->end_lock);
	wanted = vm->reset.wanted && vm->end.kind == VM_END_NONE;
	*ret_why = vm->reset.why;
	pthread_mutex_unlock(&vm->end_lock);
	return wanted;
}

/* One that comes in a pause waits for its end: a debugger looks at what the guest was. */
void vm_reset_woken(struct vm *vm)
{
	struct diag diag = {0};
	struct vm_end why;
	int r;

	if (vm_is_paused(vm) || !is_wanted(vm, &why))
		return;
	r = pause_and_reset(vm, &why, &diag);
	if (r == -ETIMEDOUT) {
		vm->reset.failure = diag;
		vm->reset.failure.remedy[0] = '\0'; /* of a VM that runs on */
		diag_remedy(&vm->reset.failure, HOST_REMEDY);
	}
	if (r < 0)
		vm_end_finally(vm, why);
}
