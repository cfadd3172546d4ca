#include "vm/halted.h"

#include "vm.h"

#define TICK_NS (250 * NS_PER_MS)
enum { PATIENCE_MIN = 1, PATIENCE_MAX = 64 }; /* a quarter of a second to 16 seconds */
#define BUSY_NS (5 * NS_PER_MS)               /* more than a look itself costs */

/* On the last vCPU's thread. */
static void all_here(void *arg)
{
	struct vm *vm = arg;

	atomic_store(&vm->halted.all_here, true);
	event_loop_wake(&vm->loop);
}

static int64_t vcpus_cpu_ns(const struct vm *vm)
{
	int64_t sum = 0;
	clockid_t clock;

	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		if (pthread_getcpuclockid(vm->vcpu[i].thread, &clock) == 0)
			sum += clock_ns(clock);
	return sum;
}

/* With all vCPUs held. Devices and timers raise interrupts, which nobody takes then. */
static bool is_over(const struct vm *vm)
{
	bool halted = false;

	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		switch (arch_vcpu_halted(vm->vcpu[i].fd)) {
		case ARCH_CAN_RUN: return false;
		case ARCH_WAITS_FOR_CPU: break;
		case ARCH_HALTED: halted = true; break;
		}
	}
	return halted && !arch_irqchip_wakes(&vm->kvm);
}

static void let_go(struct vm *vm)
{
	struct vm_halted *h = &vm->halted;

	h->asked = false;
	h->quiet = 0;
	if (h->patience < PATIENCE_MAX)
		h->patience *= 2;
	atomic_store(&h->all_here, false);
	vcpu_gate_open(&h->gate);
}

static void halted_tick(void *arg)
{
	struct vm *vm = arg;
	struct vm_halted *h = &vm->halted;
	const int64_t cpu_ns = vcpus_cpu_ns(vm), moved_ns = cpu_ns - h->cpu_ns;

	h->cpu_ns = cpu_ns;
	if (h->asked && !atomic_load(&h->all_here)) { /* one is busy after all */
		let_go(vm);
		return;
	}
	if (moved_ns > BUSY_NS)
		h->patience = PATIENCE_MIN;
	h->quiet = moved_ns ? 0 : h->quiet + 1;
	if (h->asked || h->quiet < h->patience)
		return;
	h->asked = true;
	atomic_store(&h->all_here, false); /* those whom a pause called */
	vcpu_gate_close(&h->gate, vm->vcpu);
}

void vm_halted_woken(struct vm *vm)
{
	if (!vm->halted.asked || !atomic_load(&vm->halted.all_here))
		return;
	if (is_over(vm))
		vm_end(vm, (struct vm_end){.kind = VM_END_HALTED,
					   .by = "every CPU, with interrupts off"});
	let_go(vm);
}

void vm_halted_release(struct vm *vm)
{
	if (vm->halted.timer.loop)
		vcpu_gate_open(&vm->halted.gate);
}

int vm_halted_build(struct vm *vm, struct diag *diag)
{
	struct vm_halted *h = &vm->halted;
	int r;

	r = event_timer_init(&h->timer, &vm->loop, halted_tick, vm);
	if (r < 0)
		return diag_set(diag, r, "halted-timer", "timer of halted CPUs");
	h->patience = PATIENCE_MIN;
	vcpu_gate_init(&h->gate, vm->nr_vcpus, all_here, vm);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vm->vcpu[i].gate = &h->gate;
	return 0;
}

void vm_halted_start(struct vm *vm)
{
	/* vCPUs with a loop of their own do not come to the gate. */
	if (!vm->vcpu[0].loop)
		event_timer_arm_every(&vm->halted.timer, TICK_NS);
}

void vm_halted_suspend(struct vm *vm)
{
	event_timer_arm(&vm->halted.timer, INT64_MAX);
	if (vm->halted.asked)
		let_go(vm);
}

void vm_halted_resume(struct vm *vm)
{
	vm->halted.quiet = 0;
	vm_halted_start(vm);
}

void vm_halted_fini(struct vm *vm)
{
	if (!vm->halted.timer.loop)
		return;
	event_timer_fini(&vm->halted.timer);
	vcpu_gate_fini(&vm->halted.gate);
}
