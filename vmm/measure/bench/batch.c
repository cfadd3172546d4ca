/* One batch: the machine whose vCPU threads measure, the VMs next to it, and the values of each point. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/builtin.h"
#include "measure/bench/internal.h"
#include "measure/bench/stats.h"
#include "vm/report.h"

#define BENCH_MEM_BYTES (UINT64_C(64) << 20)

static int make_machine(struct bench_batch *b, char *cmdline, size_t len, struct diag *diag)
{
	struct vm_opts *o = &b->vm_opts;
	int r;

	snprintf(cmdline, len, "commands ctl=%#" PRIx64, HAMMER_CTL_GPA);
	config_init(&b->config);
	*o = b->config.vm;
	o->machine.mem_bytes = BENCH_MEM_BYTES;
	o->machine.cpus = b->plan->vcpus ? b->plan->vcpus : 1;
	o->machine.cmdline = cmdline;
	o->kernel = builtin_hammer();
	o->input = o->to_stdout = false; /* the guest says nothing */
	r = vm_init(&b->vm, o, diag);
	if (r == 0)
		r = target_create(&b->target, diag);
	return r;
}

/* The files that the vCPUs' threads use. */
static int list_files(struct bench_batch *b, struct diag *diag)
{
	b->file = calloc((size_t)b->plan->nr_lanes * b->vm.nr_vcpus + 1, sizeof(*b->file));
	if (!b->file)
		return diag_set(diag, -ENOMEM, "batch-memory", "start");
	for (unsigned i = BENCH_LANE_EMPTY; i < b->plan->nr_lanes; i++)
		for (unsigned k = 0; k < b->vm.nr_vcpus; k++)
			b->file[b->nr_files++] = b->lane[i].vcpu[k].fd;
	b->vm.loop_files = b->file;
	b->vm.nr_loop_files = b->nr_files;
	return 0;
}

static int make_threads_state(struct bench_batch *b, struct diag *diag)
{
	const size_t bytes = b->vm.nr_vcpus * sizeof(*b->cpu);

	b->cpu = aligned_alloc(_Alignof(struct bench_cpu), bytes);
	b->sample = calloc((size_t)b->plan->nr_points * BENCH_ROUNDS_MAX, sizeof(*b->sample));
	if (!b->cpu || !b->sample)
		return diag_set(diag, -ENOMEM, "batch-memory", "start");
	memset(b->cpu, 0, bytes);
	for (unsigned i = 0; i < b->vm.nr_vcpus; i++) {
		b->vm.vcpu[i].loop = bench_vcpu_loop;
		b->vm.vcpu[i].loop_arg = b;
	}
	return 0;
}

/*
 * For points whose accesses the guest times. Without a frequency, ticks cannot become a time: points have no percentiles
 * then, and one that has no other time is an error.
 */
static int find_tick_hz(struct bench_batch *b, struct diag *diag)
{
	bool needed = false;

	for (unsigned i = 0; i < b->plan->nr_points; i++)
		needed |= b->point[i].only_latency;
	b->tick_hz = arch_vcpu_tick_hz(b->vm.vcpu[0].fd);
	if (b->tick_hz != 0)
		return 0;
	for (unsigned i = 0; i < b->plan->nr_points; i++)
		b->point[i].latency = false;
	if (!needed)
		return 0;
	diag_set(diag, -ENOTSUP, "bench-tick-frequency",
		 "KVM does not report the frequency of a guest's clock");
	diag_remedy(diag, "leave out this experiment: the guest measures there");
	return -ENOTSUP;
}

static int bench_batch_make(struct bench_batch *b, char *cmdline, size_t len, struct diag *diag)
{
	struct hammer_ctl *ctl;
	unsigned sum = 0;
	int r;

	for (unsigned i = 0; i < b->plan->nr_lanes; i++)
		sum += b->plan->lane[i].ioeventfds;
	r = target_raise_open_files(sum, diag);
	if (r == 0)
		r = make_machine(b, cmdline, len, diag);
	for (unsigned i = 0; i < b->plan->nr_lanes && r == 0; i++)
		r = bench_lane_init(b, i, diag);
	if (r == 0)
		r = list_files(b, diag);
	if (r == 0)
		r = make_threads_state(b, diag);
	if (r < 0)
		return r;
	memcpy(b->point, b->plan->point, sizeof(b->point));
	r = find_tick_hz(b, diag);
	if (r < 0)
		return r;
	ctl = b->lane[BENCH_LANE_MACHINE].ctl;
	ctl->magic = HAMMER_MAGIC;
	ctl->go = 1;
	return 0;
}

int bench_batch_killed(const char *by, struct diag *diag)
{
	diag_set(diag, -EINVAL, "batch-ended", "bench ended by %s", by);
	return -EINTR;
}

static int check_end(const struct bench_batch *b, struct diag *diag)
{
	const struct vm_end *end = &b->end;

	if (end->kind == VM_END_KILLED)
		return bench_batch_killed(end->by, diag);
	if (end->kind == VM_END_EXIT_CODE && end->code == 0)
		return 0;
	diag_set(diag, -EINVAL, "batch-kernel-end",
		 "the hammer kernel ended with %s (%s) instead of its own exit",
		 vm_end_name(end->kind), end->by ? end->by : "?");
	return -EPROTO;
}

static void sum_up_point(const struct bench_batch *b, unsigned index, struct bench_result *ret,
			 struct bench_point *point)
{
	static double ratio[BENCH_ROUNDS_MAX], beyond[BENCH_ROUNDS_MAX], ns[BENCH_ROUNDS_MAX],
		dispatch[BENCH_ROUNDS_MAX];
	const struct bench_sample *own = &b->sample[(point - ret->point) * BENCH_ROUNDS_MAX];
	const struct bench_sample *floor =
		point->floor < 0 ? own : &b->sample[(size_t)point->floor * BENCH_ROUNDS_MAX];

	for (unsigned k = 0; k < b->rounds; k++) {
		ns[k] = own[k].ns;
		ratio[k] = own[k].ns / floor[k].ns;
		beyond[k] = own[k].ns - floor[k].ns;
		dispatch[k] = own[k].dispatch_ns - floor[k].dispatch_ns;
	}
	point->ns[index] = stats_median(ns, b->rounds);
	point->ratio[index] = stats_median(ratio, b->rounds);
	point->beyond[index] = stats_median(beyond, b->rounds);
	point->dispatch[index] = stats_median(dispatch, b->rounds);
}

static int sum_up_batch(const struct bench_batch *b, unsigned index, struct bench_result *ret,
			struct diag *diag)
{
	int64_t wall_ns = 0, thread_ns = 0;
	int r = check_end(b, diag);

	for (unsigned i = 0; i < b->plan->nr_lanes && r == 0; i++)
		r = bench_lane_check(b, i, &ret->counts, diag);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < ret->nr_points; i++)
		sum_up_point(b, index, ret, &ret->point[i]);
	for (unsigned i = 0; i < b->vm.nr_vcpus; i++) {
		wall_ns += b->cpu[i].wall_ns;
		thread_ns += b->cpu[i].thread_ns;
	}
	ret->rounds += b->rounds;
	ret->nr_batches = index + 1;
	if (wall_ns > thread_ns)
		ret->waited +=
			(1 - (double)thread_ns / (double)wall_ns) / (double)b->plan->opts->batches;
	return 0;
}

int bench_batch_run(const struct bench_plan *plan, unsigned index, FILE *log,
		    struct bench_result *ret, struct diag *diag)
{
	AUTO_FREE struct bench_batch *b = aligned_alloc(_Alignof(struct bench_batch), sizeof(*b));
	char cmdline[64];
	int r;

	if (!b)
		return diag_set(diag, -ENOMEM, "batch-memory", "start");
	memset(b, 0, sizeof(*b));
	b->plan = plan;
	b->duration_ns = plan->opts->duration_ns / plan->opts->batches;
	pthread_mutex_init(&b->meeting.lock, NULL);
	pthread_cond_init(&b->meeting.all_here, NULL);
	r = bench_batch_make(b, cmdline, sizeof(cmdline), diag);
	if (r == 0)
		r = vm_run(&b->vm, &b->end, diag);
	for (unsigned i = 0; i < plan->nr_lanes; i++)
		bench_doorbell_stop(&b->lane[i]); /* and then all rings have been counted */
	if (r == 0)
		r = sum_up_batch(b, index, ret, diag);
	for (unsigned i = 0; i < plan->nr_lanes; i++)
		bench_lane_fini(&b->lane[i]);
	report_stuck(log, &b->vm);
	ret->in_use = !vm_fini(&b->vm);
	device_destroy(b->target);
	pthread_cond_destroy(&b->meeting.all_here);
	pthread_mutex_destroy(&b->meeting.lock);
	config_fini(&b->config);
	free(b->file);
	free(b->cpu);
	free(b->sample);
	if (ret->in_use)
		(void)STEAL_PTR(b); /* a thread may use its VM until this process has ended */
	return r;
}
