/*
 * The experiment `setup`: a VM of one vCPU is made and taken down, call by call. The order and the functions are those
 * of `tollgate run`. No guest runs. Time is wall-clock time, because some calls sleep.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/macros.h"
#include "base/signals.h"
#include "measure/bench/internal.h"
#include "measure/bench/stats.h"

enum {
	POINT_FLOOR, /* then POINT_MAKE: the sums, then the steps */
	POINT_MAKE,
	POINT_UNMAKE,
	POINT_STEPS,
	PAGE_BYTES = 4096,
};
#define SETUP_MEM_BYTES (UINT64_C(64) << 20)
#define LATE_SLOT_GPA   UINT64_C(0x10000000)

/* Objects that the steps make. Zeroed, with setup_init(): nothing. */
struct setup {
	struct kvm kvm;
	struct guest_mem mem;
	struct iobus *pio, *mmio;
	struct arch_cpu_model *model;
	struct vcpu vcpu;
	struct power power; /* nobody ends it */
	struct ioeventfd io;
	struct irq_eventfd irq;
	unsigned late_slot;
};

/* One of the three functions. */
struct setup_step {
	const char *name;
	int (*make)(struct setup *s, struct diag *diag);
	const struct arch_vm_call *vm_call;
	const struct arch_vcpu_call *vcpu_call;
};

static int make_open(struct setup *s, struct diag *diag)
{
	return kvm_open(&s->kvm, diag);
}

static int make_vm(struct setup *s, struct diag *diag)
{
	return kvm_vm_create(&s->kvm, diag);
}

static int make_memory(struct setup *s, struct diag *diag)
{
	const struct guest_region region = {.len = SETUP_MEM_BYTES};

	return guest_mem_init(&s->mem, &region, 1, &(struct guest_mem_opts){0}, diag);
}

static int make_slot(struct setup *s, struct diag *diag)
{
	return kvm_mem_slots_set(&s->kvm, &s->mem, diag);
}

static int make_cpu_model(struct setup *s, struct diag *diag)
{
	return arch_cpu_model_create(&s->kvm, 1, ARCH_CPU_HOST, &s->model, diag);
}

static int make_vcpu(struct setup *s, struct diag *diag)
{
	return vcpu_init(&s->vcpu, &s->kvm, 0, s->pio, s->mmio, &s->power, diag);
}

static int make_ioeventfd(struct setup *s, struct diag *diag)
{
	int r = ioeventfd_init(&s->io, diag);

	return r < 0 ? r : ioeventfd_register(&s->io, &s->kvm, diag);
}

static int make_irqfd(struct setup *s, struct diag *diag)
{
	return irq_eventfd_init(&s->irq, &s->kvm, HAMMER_GSI, diag);
}

static int late_slot_set(struct setup *s, uint64_t len, struct diag *diag)
{
	void *host = guest_mem_ptr(&s->mem, 0, PAGE_BYTES);
	const int r = kvm_mem_slot_set(&s->kvm, s->late_slot, LATE_SLOT_GPA, len, host, false);

	return r < 0 ? diag_set(diag, r, "setup-slot", "a memory slot after the interrupt chips")
		     : 0;
}

static int make_late_slot(struct setup *s, struct diag *diag)
{
	s->late_slot = kvm_mem_slot_new(&s->kvm);
	return late_slot_set(s, PAGE_BYTES, diag);
}

static int unmake_late_slot(struct setup *s, struct diag *diag)
{
	return late_slot_set(s, 0, diag);
}

static int unmake_irqfd(struct setup *s, struct diag *diag)
{
	(void)diag;
	irq_eventfd_fini(&s->irq);
	return 0;
}

static int unmake_ioeventfd(struct setup *s, struct diag *diag)
{
	(void)diag;
	ioeventfd_fini(&s->io, &s->kvm);
	return 0;
}

static int unmake_vcpu(struct setup *s, struct diag *diag)
{
	(void)diag;
	vcpu_fini(&s->vcpu);
	return 0;
}

static int unmake_vm(struct setup *s, struct diag *diag)
{
	(void)diag;
	kvm_vm_close(&s->kvm);
	return 0;
}

static int unmake_memory(struct setup *s, struct diag *diag)
{
	(void)diag;
	guest_mem_fini(&s->mem);
	return 0;
}

static int unmake_open(struct setup *s, struct diag *diag)
{
	(void)diag;
	kvm_close(&s->kvm);
	return 0;
}

static const struct setup_step before_chips[] = {
	{.name = "open /dev/kvm", .make = make_open},
	{.name = "mmap of 64 MiB", .make = make_memory},
	{.name = "KVM_CREATE_VM", .make = make_vm},
	{.name = "KVM_SET_USER_MEMORY_REGION", .make = make_slot},
};
static const struct setup_step before_vcpu[] = {
	{.name = "the CPU model", .make = make_cpu_model},
	{.name = "KVM_CREATE_VCPU, mmap", .make = make_vcpu},
};
static const struct setup_step after_vcpu[] = {
	{.name = "eventfd, KVM_IOEVENTFD", .make = make_ioeventfd},
	{.name = "eventfd, KVM_IRQFD", .make = make_irqfd},
	{.name = "a memory slot after the chips", .make = make_late_slot},
};
static const struct setup_step unmake_steps[] = {
	{.name = "that slot removed", .make = unmake_late_slot},
	{.name = "KVM_IRQFD deassigned", .make = unmake_irqfd},
	{.name = "KVM_IOEVENTFD deassigned", .make = unmake_ioeventfd},
	{.name = "vCPU closed", .make = unmake_vcpu},
	{.name = "VM closed", .make = unmake_vm},
	{.name = "memory unmapped", .make = unmake_memory},
	{.name = "/dev/kvm closed", .make = unmake_open},
};

struct setup_list {
	struct setup_step step[BENCH_POINTS_MAX];
	unsigned nr, nr_make; /* those that make come first */
};

static void setup_list_add(struct setup_list *list, const struct setup_step *step, size_t n)
{
	for (size_t i = 0; i < n; i++)
		list->step[list->nr++] = step[i];
}

static void setup_list(struct setup_list *list)
{
	list->nr = 0;
	setup_list_add(list, before_chips, ARRAY_SIZE(before_chips));
	for (const struct arch_vm_call *call = arch_irqchip_calls; call->name; call++)
		setup_list_add(list, &(struct setup_step){call->name, .vm_call = call}, 1);
	setup_list_add(list, before_vcpu, ARRAY_SIZE(before_vcpu));
	for (const struct arch_vcpu_call *call = arch_vcpu_calls; call->name; call++)
		setup_list_add(list, &(struct setup_step){call->name, .vcpu_call = call}, 1);
	setup_list_add(list, after_vcpu, ARRAY_SIZE(after_vcpu));
	list->nr_make = list->nr;
	setup_list_add(list, unmake_steps, ARRAY_SIZE(unmake_steps));
}

static int plan_setup(struct bench_plan *plan, struct diag *diag)
{
	static const char *const sums[] = {"set-up, all of it", "teardown, all of it"};
	const struct bench_point_spec none = {0};
	struct setup_list list;
	int r = bench_plan_point(plan, "floor: KVM_CHECK_EXTENSION", 0, -1, &none, diag);

	setup_list(&list);
	for (size_t i = 0; i < ARRAY_SIZE(sums) && r >= 0; i++)
		r = bench_plan_point(plan, sums[i], 0, POINT_FLOOR, &none, diag);
	for (unsigned i = 0; i < list.nr && r >= 0; i++)
		r = bench_plan_point(plan, list.step[i].name, 0, POINT_FLOOR, &none, diag);
	for (unsigned i = 0; i < plan->nr_points; i++)
		plan->result->point[i].timed = false; /* nothing is dispatched */
	return r;
}

static int setup_init(struct setup *s, struct diag *diag)
{
	int r;

	*s = (struct setup){
		.kvm = {.fd = -1, .vm_fd = -1},
		.io = {.space = IOBUS_PIO, .addr = BENCH_DOORBELL, .len = 2, .fd = -1},
	};
	r = iobus_create(IOBUS_PIO, &s->pio);
	if (r == 0)
		r = iobus_create(IOBUS_MMIO, &s->mmio);
	return r < 0 ? diag_set(diag, r, "setup-buses", "buses of a VM") : 0;
}

/* After any step, the last too. */
static void setup_fini(struct setup *s)
{
	struct diag diag = {0};

	for (size_t i = 1; i < ARRAY_SIZE(unmake_steps); i++) /* the slot goes with the VM */
		unmake_steps[i].make(s, &diag);
	arch_cpu_model_destroy(s->model);
	iobus_destroy(s->mmio);
	iobus_destroy(s->pio);
}

static int setup_take(struct setup *s, const struct setup_step *step, struct diag *diag)
{
	if (step->vm_call)
		return step->vm_call->make(&s->kvm, diag);
	if (step->vcpu_call)
		return step->vcpu_call->make(s->vcpu.fd, s->model, 0, diag);
	return step->make(s, diag);
}

/* ns[POINT_...] of one VM. */
static int setup_round(const struct setup_list *list, int64_t *ns, struct diag *diag)
{
	struct setup s;
	int r = setup_init(&s, diag);

	ns[POINT_MAKE] = ns[POINT_UNMAKE] = 0;
	for (unsigned i = 0; i < list->nr && r == 0; i++) {
		int64_t start_ns = clock_monotonic_ns();

		r = setup_take(&s, &list->step[i], diag);
		ns[POINT_STEPS + i] = clock_monotonic_ns() - start_ns;
		ns[i < list->nr_make ? POINT_MAKE : POINT_UNMAKE] += ns[POINT_STEPS + i];
		if (i + 1 != list->nr_make)
			continue;
		kvm_has_readonly_mem(&s.kvm); /* the step before may have slept */
		start_ns = clock_monotonic_ns();
		kvm_has_readonly_mem(&s.kvm);
		ns[POINT_FLOOR] = clock_monotonic_ns() - start_ns;
	}
	setup_fini(&s);
	return r;
}

static const struct {
	int sig;
	const char *name;
} setup_ends[] = {{SIGINT, "SIGINT"}, {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}};

static void block_ends(sigset_t *set, sigset_t *ret_before)
{
	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(setup_ends); i++)
		if (!signal_is_ignored(setup_ends[i].sig))
			sigaddset(set, setup_ends[i].sig);
	pthread_sigmask(SIG_BLOCK, set, ret_before);
}

/* NULL: no signal has come. */
static const char *ended_by(const sigset_t *set)
{
	const int sig = sigtimedwait(set, NULL, &(struct timespec){0});

	for (size_t i = 0; i < ARRAY_SIZE(setup_ends); i++)
		if (setup_ends[i].sig == sig)
			return setup_ends[i].name;
	return NULL;
}

static void sum_up_setup(const struct bench_plan *plan, unsigned index, const int64_t *ns,
			 unsigned rounds, struct bench_result *ret)
{
	static double own[BENCH_ROUNDS_MAX], ratio[BENCH_ROUNDS_MAX], beyond[BENCH_ROUNDS_MAX];

	for (unsigned i = 0; i < plan->nr_points; i++) {
		for (unsigned k = 0; k < rounds; k++) {
			const double floor = (double)ns[k * BENCH_POINTS_MAX + POINT_FLOOR];

			own[k] = (double)ns[k * BENCH_POINTS_MAX + i];
			ratio[k] = i == POINT_FLOOR ? 1 : own[k] / (floor > 1 ? floor : 1);
			beyond[k] = own[k] - floor;
			histogram_add(&plan->latency[i], (uint64_t)own[k]);
		}
		ret->point[i].ns[index] = stats_median(own, rounds);
		ret->point[i].ratio[index] = stats_median(ratio, rounds);
		ret->point[i].beyond[index] = stats_median(beyond, rounds);
	}
	ret->rounds += rounds;
	ret->nr_batches = index + 1;
}

static int run_setup(const struct bench_plan *plan, unsigned index, struct bench_result *ret,
		     struct diag *diag)
{
	const int64_t duration_ns = plan->opts->duration_ns / plan->opts->batches;
	const int64_t start_ns = clock_monotonic_ns();
	AUTO_FREE int64_t *ns = calloc((size_t)BENCH_ROUNDS_MAX * BENCH_POINTS_MAX, sizeof(*ns));
	struct setup_list list;
	sigset_t ends, before;
	unsigned rounds = 0;
	int r = 0;

	if (!ns)
		return diag_set(diag, -ENOMEM, "setup-memory", "times of a set-up");
	setup_list(&list);
	block_ends(&ends, &before);
	while (r == 0 && rounds < BENCH_ROUNDS_MAX &&
	       (rounds < BENCH_ROUNDS_MIN || clock_monotonic_ns() - start_ns < duration_ns)) {
		const char *by = ended_by(&ends);

		r = by ? bench_batch_killed(by, diag)
		       : setup_round(&list, &ns[(size_t)rounds++ * BENCH_POINTS_MAX], diag);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		sum_up_setup(plan, index, ns, rounds, ret);
	return r;
}

const struct bench_experiment bench_setup = {
	.name = "setup",
	.help = "a VM made and taken down, call by call",
	.title = "A VM is made and taken down",
	.x_label = "",
	.of = "call",
	.floor = "KVM_CHECK_EXTENSION, an ioctl that does nothing",
	.bars = true,
	.plan = plan_setup,
	.run = run_setup,
};
