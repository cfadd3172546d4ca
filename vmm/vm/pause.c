#include "vm/pause.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "vm.h"
#include "vm/internal.h"
#include "vm/vcpu_files.h"

int vm_pause_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	AUTO_FREE int *fd = vm_vcpu_fds(vm);

	if (!fd)
		return diag_set(diag, -ENOMEM, "pause-memory", "clocks of %u vCPUs", vm->nr_vcpus);
	vm->pause.at_start = opts->paused_by;
	return arch_clocks_create(&vm->kvm, fd, vm->nr_vcpus, &vm->pause.clocks, diag);
}

void vm_pause_unmake(struct vm *vm)
{
	vm->pause.clocks = arch_clocks_destroy(vm->pause.clocks);
}

/* False when the VM has ended: then nobody comes to the gate, which vm_end() has opened. */
static bool close_gate(struct vm *vm)
{
	bool runs;

	pthread_mutex_lock(&vm->end_lock);
	runs = vm->end.kind == VM_END_NONE;
	if (runs)
		vcpu_gate_close(&vm->halted.gate, vm->vcpu);
	pthread_mutex_unlock(&vm->end_lock);
	return runs;
}

static void open_gate(struct vm *vm)
{
	vcpu_gate_open(&vm->halted.gate);
	vm_halted_resume(vm);
}

static int hold_vcpus(struct vm *vm, struct diag *diag)
{
	int r = -ECANCELED;

	vm_halted_suspend(vm);
	if (close_gate(vm))
		r = vcpu_gate_await(&vm->halted.gate, clock_monotonic_ns() + VM_PAUSE_WAIT_NS);
	if (r == 0)
		return 0;
	open_gate(vm);
	if (r == -ECANCELED) {
		diag_set(diag, -EINVAL, "pause-vm-ending", "the VM is about to end");
		return r;
	}
	diag_set(diag, -EINVAL, "pause-vcpu-stuck",
		 "a vCPU has not stopped within %d s: the host keeps it",
		 (int)(VM_PAUSE_WAIT_NS / NS_PER_S));
	diag_remedy(diag, "try again later; the VM runs on");
	return r;
}

void vm_pause_say_stuck(const struct vm *vm, unsigned device, struct diag *diag)
{
	diag_set(diag, -EINVAL, "pause-device-stuck",
		 "the thread of '%s' has not stopped within %d s: the host keeps it",
		 vm->machine.device[device].name, (int)(VM_PAUSE_WAIT_NS / NS_PER_S));
}

static int park_io(struct vm *vm, struct diag *diag)
{
	unsigned stuck;

	if (vm_virtio_park(vm, clock_monotonic_ns() + VM_PAUSE_WAIT_NS, &stuck))
		return 0;
	vm_virtio_unpark(vm);
	vm_pause_say_stuck(vm, stuck, diag);
	diag_remedy(diag, "try again later; the VM runs on");
	return -ETIMEDOUT;
}

static void timers_follow(struct vm *vm)
{
	guest_timer_follow(&vm->chars.panic_timer);
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		guest_timer_follow(&vm->timer[i]);
		if (vm->virtio[i])
			guest_timer_follow(&vm->virtio[i]->timer);
	}
}

static void clocks_stop(struct vm *vm)
{
	guest_clock_stop(&vm->clock);
	timers_follow(vm);
	arch_clocks_stop(vm->pause.clocks);
}

static void clocks_start(struct vm *vm)
{
	arch_clocks_start(vm->pause.clocks);
	guest_clock_start(&vm->clock);
	timers_follow(vm);
}

/* It counts over resets: else a guest that does nothing but reset itself would run many times as long. */
static void timeout_follow(struct vm *vm)
{
	struct vm_pause *pause = &vm->pause;
	const bool stops = pause->by & ~(unsigned)VM_PAUSED_BY_RESET;

	if (stops && !pause->timeout_stopped)
		pause->timeout_left_ns = vm_timeout_stop(vm);
	else if (!stops && pause->timeout_stopped)
		vm_timeout_start(vm, pause->timeout_left_ns);
	pause->timeout_stopped = stops;
}

int vm_pause(struct vm *vm, unsigned by, struct diag *diag)
{
	struct vm_pause *pause = &vm->pause;
	int r;

	if (pause->by & by) {
		diag_set(diag, -EINVAL, "paused-already", "the VM is paused already");
		diag_remedy(diag, "resume lets it go on");
		return -EALREADY;
	}
	if (!pause->by) {
		r = hold_vcpus(vm, diag);
		if (r < 0)
			return r;
		r = park_io(vm, diag);
		if (r < 0) {
			open_gate(vm);
			return r;
		}
		coalesced_drain(&vm->coalesced); /* what the guest has written is in the devices */
		clocks_stop(vm);
	}
	pause->by |= by;
	timeout_follow(vm);
	return 0;
}

int vm_resume(struct vm *vm, enum vm_pause_by by, struct diag *diag)
{
	struct vm_pause *pause = &vm->pause;

	if (!(pause->by & by)) {
		diag_set(diag, -EINVAL, "paused-not", "the VM is not paused");
		diag_remedy(diag, "pause stops it");
		return -EALREADY;
	}
	pause->by &= ~(unsigned)by;
	timeout_follow(vm);
	if (pause->by)
		return 0;
	clocks_start(vm);
	vm_virtio_unpark(vm);
	open_gate(vm);
	event_loop_wake(&vm->loop); /* for a reset that waits for this */
	return 0;
}

bool vm_is_paused(const struct vm *vm)
{
	return vm->pause.by;
}

int vm_hold(struct vm *vm, struct diag *diag)
{
	return vm_is_paused(vm) ? 0 : hold_vcpus(vm, diag);
}

void vm_let_go(struct vm *vm)
{
	if (!vm_is_paused(vm))
		open_gate(vm);
}
