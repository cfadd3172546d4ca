#include "vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "sandbox.h"
#include "vm/failed_memory.h"
#include "vm/internal.h"
#include "vm/vcpu_files.h"

/* Under the lock. */
static void vm_take_end(struct vm *vm, const struct vm_end *end)
{
	if (vm->end.kind != VM_END_NONE)
		return;
	vm->end = *end;
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_stop(&vm->vcpu[i]);
	vm_halted_release(vm);
	event_loop_stop(&vm->loop);
}

void vm_end(struct vm *vm, struct vm_end end)
{
	pthread_mutex_lock(&vm->end_lock);
	if (vm->end.kind == VM_END_NONE && !vm_reset_takes(vm, &end))
		vm_take_end(vm, &end);
	pthread_mutex_unlock(&vm->end_lock);
}

void vm_end_finally(struct vm *vm, struct vm_end end)
{
	pthread_mutex_lock(&vm->end_lock);
	vm_take_end(vm, &end);
	pthread_mutex_unlock(&vm->end_lock);
}

static void power_end(struct power *power, struct vm_end end)
{
	vm_end(container_of(power, struct vm, power), end);
}

static void loop_woken(void *arg)
{
	struct vm *vm = arg;

	vm_chars_woken(&vm->chars);
	if (vm->debugger.woken)
		vm->debugger.woken(vm->debugger.arg);
	vm_halted_woken(vm);
	vm_reset_woken(vm);
}

static void ram_unmake(struct vm *vm)
{
	guest_mem_fini(&vm->mem);
}

static int ram_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	struct guest_region regions[MACHINE_RAM_MAX] = {0};
	struct machine_span ram[MACHINE_RAM_MAX];
	unsigned nr = 0;
	int r = machine_ram(&arch_platform, opts->machine.mem_bytes, ram, &nr, diag);

	for (unsigned i = 0; i < nr; i++)
		regions[i] = (struct guest_region){.gpa = ram[i].gpa, .len = ram[i].len};
	if (r < 0)
		return r;
	r = guest_mem_init(&vm->mem, regions, nr, &opts->mem, diag);
	if (r < 0)
		ram_unmake(vm);
	return r;
}

static void machine_unmake(struct vm *vm)
{
	vm->boot = arch_boot_destroy(vm->boot);
}

/* The kernel first: what a machine advertises depends on what it can find. */
static int machine_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	const struct arch_boot_opts boot = {
		.boot = opts->boot,
		.kernel = &opts->kernel,
		.initrd = opts->initrd,
		.nr_initrds = opts->nr_initrds,
	};
	struct machine_spec spec = opts->machine;
	int r = arch_boot_create(&boot, &vm->mem, &vm->boot, &vm->kernel, diag);

	if (r < 0)
		return r;
	spec.advertise_ports = !vm->kernel.finds_register_pages;
	r = machine_resolve(&arch_platform, &spec, &vm->machine, diag);
	if (r < 0)
		machine_unmake(vm);
	return r;
}

int vm_preview(const struct vm_opts *opts, struct machine *ret, struct arch_kernel *ret_kernel,
	       struct diag *diag)
{
	AUTO_FREE struct vm *vm = calloc(1, sizeof(*vm));
	struct vm_opts lean = *opts;
	int r;

	if (!vm)
		return diag_set(diag, -ENOMEM, "preview-memory", "make a machine");
	lean.mem = (struct guest_mem_opts){
		0}; /* neither populated nor of huge pages: no guest runs in it */
	r = ram_make(vm, &lean, diag);
	if (r < 0)
		return r;
	r = machine_make(vm, &lean, diag);
	if (r == 0) {
		r = arch_boot_prepare(vm->boot, &vm->machine, diag);
		machine_unmake(vm);
	}
	ram_unmake(vm);
	if (r == 0) {
		*ret = vm->machine;
		*ret_kernel = vm->kernel;
	}
	return r;
}

/* The files' contents are in guest memory then; the files are the caller's again. */
static int boot_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	int r = arch_boot_load(vm->boot, &vm->machine, vm->vcpu[0].fd, diag);

	(void)opts;
	vm->boot = arch_boot_destroy(vm->boot);
	return r;
}

static void vcpus_unmake(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_fini(&vm->vcpu[i]);
	free(vm->vcpu);
	vm->vcpu = NULL;
	vm->nr_vcpus = 0;
}

static int vcpus_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	(void)opts;
	vm->vcpu = aligned_alloc(_Alignof(struct vcpu), vm->machine.cpus * sizeof(*vm->vcpu));
	if (!vm->vcpu)
		return diag_set(diag, -ENOMEM, "vcpus-memory", "%u vCPUs", vm->machine.cpus);
	memset(vm->vcpu, 0, vm->machine.cpus * sizeof(*vm->vcpu));
	for (unsigned i = 0; i < vm->machine.cpus; i++) {
		int r;

		vm->nr_vcpus = i + 1;
		r = vcpu_init(&vm->vcpu[i], &vm->kvm, i, vm->pio, vm->mmio, &vm->power, diag);
		if (r == 0)
			r = arch_vcpu_init(vm->vcpu[i].fd, vm->cpu_model, i, diag);
		if (r < 0) {
			vcpus_unmake(vm);
			return r;
		}
	}
	return 0;
}

static void buses_unmake(struct vm *vm)
{
	vm->mmio = iobus_destroy(vm->mmio);
	vm->pio = iobus_destroy(vm->pio);
}

static int buses_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	int r = iobus_create(IOBUS_PIO, &vm->pio);

	if (r == 0)
		r = iobus_create(IOBUS_MMIO, &vm->mmio);
	if (r < 0) {
		buses_unmake(vm);
		return diag_set(diag, r, "bus-create", "create the buses");
	}
	iobus_set_timing(vm->pio, opts->time_exits);
	iobus_set_timing(vm->mmio, opts->time_exits);
	if (opts->end_on_unclaimed)
		vm_unclaimed_watch(vm);
	return 0;
}

static int kvm_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	(void)opts;
	return kvm_open(&vm->kvm, diag);
}

static void kvm_unmake(struct vm *vm)
{
	kvm_close(&vm->kvm);
}

static int host_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	return arch_host_check(&vm->kvm, opts->machine.cpus, diag);
}

static int kvm_vm_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	(void)opts;
	return kvm_vm_create(&vm->kvm, diag);
}

static void kvm_vm_unmake(struct vm *vm)
{
	kvm_vm_close(&vm->kvm);
}

static int irqchip_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	(void)opts;
	return arch_irqchip_create(&vm->kvm, diag);
}

static int cpu_model_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	return arch_cpu_model_create(&vm->kvm, vm->machine.cpus, opts->cpu, &vm->cpu_model, diag);
}

static void cpu_model_unmake(struct vm *vm)
{
	vm->cpu_model = arch_cpu_model_destroy(vm->cpu_model);
}

static int loop_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	int r = event_loop_init(&vm->loop, loop_woken, vm);

	(void)opts;
	return r < 0 ? diag_set(diag, r, "event-loop-create", "create the event loop") : 0;
}

static void loop_unmake(struct vm *vm)
{
	event_loop_fini(&vm->loop);
}

static int halted_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	int r = vm_halted_build(vm, diag);

	(void)opts;
	if (r < 0)
		vm_halted_fini(vm);
	return r;
}

/* The order matters: see docs/architecture.md, "Build order". */
const struct vm_step vm_steps[] = {
	{"KVM", kvm_make, kvm_unmake},
	{"host check", host_make, NULL},
	{"RAM", ram_make, ram_unmake},
	{"machine", machine_make, machine_unmake},
	{"symbols", vm_symbols_make, vm_symbols_unmake},
	{"register pages", vm_pages_make, vm_pages_unmake},
	{"KVM's VM", kvm_vm_make, kvm_vm_unmake},
	{"memory slots", vm_slots_make, NULL},
	{"interrupt chips", irqchip_make, NULL},
	{"buses", buses_make, buses_unmake},
	{"CPU model", cpu_model_make, cpu_model_unmake},
	{"vCPUs", vcpus_make, vcpus_unmake},
	{"profile", vm_profile_make, vm_profile_unmake},
	{"latency", vm_latency_make, vm_latency_unmake},
	{"event loop", loop_make, loop_unmake},
	{"halted CPUs", halted_make, vm_halted_fini},
	{"pause", vm_pause_make, vm_pause_unmake},
	{"boot", boot_make, NULL},
	{"start", vm_start_make, vm_start_unmake},
	/*
	 * Long steps are done by now, and nothing that others see was made. From here on signals and
	 * the timeout wait for the event loop; before, they act as the caller has arranged.
	 */
	{"signals", vm_signals_make, vm_signals_unmake},
	{"timeout", vm_timeout_make, vm_timeout_unmake},
	{"coalesced writes", vm_coalesced_make, vm_coalesced_unmake},
	{"devices", vm_devices_make, vm_devices_unmake},
	{"port ranges", vm_ports_make, vm_ports_unmake},
	{"MMIO ranges", vm_mmio_make, vm_mmio_unmake},
};
const unsigned vm_nr_steps = ARRAY_SIZE(vm_steps);

int vm_init(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	memset(vm, 0, sizeof(*vm));
	vm->kvm.fd = vm->kvm.vm_fd = -1;
	vm->time_exits = opts->time_exits;
	vm->power.end = power_end;
	guest_clock_init(&vm->clock, &guest_clock_host);
	pthread_mutex_init(&vm->end_lock, NULL);
	for (; vm->nr_made < vm_nr_steps; vm->nr_made++) {
		const int r = vm_steps[vm->nr_made].make(vm, opts, diag);

		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * A kernel without a driver for pvpanic resets after a panic (we ask it to, by panic=-1), or makes a triple
 * fault with reboot=t. Where its user took panic=-1 away it halts, or spins until the timeout. Only the text on its
 * console distinguishes that from a reset.
 */
static void note_panic(struct vm *vm)
{
	if ((vm->end.kind == VM_END_RESET || vm->end.kind == VM_END_TRIPLE_FAULT ||
	     vm->end.kind == VM_END_HALTED || vm->end.kind == VM_END_TIMEOUT) &&
	    vm_chars_saw_panic(&vm->chars))
		vm->end = (struct vm_end){.kind = VM_END_PANIC, .by = "the kernel's console"};
}

/*
 * The boot processor last: no guest code runs before every thread is there. Under the lock, because a guest that ends
 * at once looks at what vcpu_start() writes after the thread runs.
 */
static int start_vcpus(struct vm *vm, struct diag *diag)
{
	int r = 0;

	pthread_mutex_lock(&vm->end_lock);
	if (vm->pause.at_start) /* before they are there: none gets past it */
		vcpu_gate_close(&vm->halted.gate, vm->vcpu);
	for (unsigned i = vm->nr_vcpus; r == 0 && i-- > 0;)
		r = vcpu_start(&vm->vcpu[i], diag);
	pthread_mutex_unlock(&vm->end_lock);
	return r;
}

/* A report loads and starts something: before this thread is confined. Guest code runs after that. */
static int start_confined(struct vm *vm, struct diag *diag)
{
	int r, confined;

	if (sandbox_is_on()) {
		arch_disasm_load();
		vm_symbols_prepare(vm);
	}
	sandbox_open();
	r = start_vcpus(vm, diag);
	confined = sandbox_close();
	if (r == 0 && confined < 0)
		r = diag_set(diag, confined, "sandbox-event", "confine the event thread");
	return r;
}

int vm_run(struct vm *vm, struct vm_end *ret_end, struct diag *diag)
{
	int r;

	vm_coalesced_start(vm);
	r = vm_failed_memory_watch(vm);
	if (r < 0)
		return diag_set(diag, r, "sigbus-take", "take SIGBUS");
	r = vm_virtio_start(vm, diag);
	vm_vcpu_files_set(vm);
	if (r == 0)
		r = start_confined(vm, diag);
	if (r < 0)
		vm_end(vm, (struct vm_end){.kind = VM_END_KVM_ERROR, .by = "a thread is missing"});
	else
		vm_halted_start(vm);
	if (r == 0 && vm->pause.at_start) {
		r = vm_pause(vm, vm->pause.at_start, diag);
		if (r < 0)
			vm_end(vm, (struct vm_end){.kind = VM_END_KVM_ERROR, .by = "no pause"});
	}
	if (r == 0)
		event_loop_run(&vm->loop);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_join(&vm->vcpu[i]);
	vm_vcpu_files_free(vm);
	/* The guest's writes from before its end; a port that ended it was an exit and came last. */
	coalesced_drain(&vm->coalesced);
	vm->stuck = !vm_virtio_stop(vm);
	if (!vm->stuck)
		vm_failed_memory_unwatch();
	note_panic(vm);
	*ret_end = vm->end;
	return r;
}

void vm_console_close(struct vm *vm)
{
	vm_chars_fini(&vm->chars);
}

bool vm_fini(struct vm *vm)
{
	if (!vm->power.end)
		return true;  /* zeroed: its descriptors are not ours to close */
	vm_console_close(vm); /* a console's thread waits for nothing: see char_backend */
	if (vm->stuck)
		return false;
	while (vm->nr_made > 0) {
		vm_unmake_fn *unmake = vm_steps[--vm->nr_made].unmake;

		if (unmake)
			unmake(vm);
	}
	pthread_mutex_destroy(&vm->end_lock);
	return true;
}
