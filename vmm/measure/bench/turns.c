/*
 * Turns: each point of an experiment gets some accesses, one point after the other, round after round. The threads of
 * the machine's vCPUs run the vCPUs of all lanes.
 */
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "arch/run.h"
#include "measure/bench/internal.h"
#include "measure/bench/stats.h"

enum {
	BLOCKS_MAX = 256,
	TIMED_MIN = 8,          /* accesses of a turn that times them */
	WARM_UP = HAMMER_BLOCK, /* accesses of a turn whose accesses exit, before its time counts */
};
#define TURN_NS         (4 * NS_PER_MS) /* of a turn whose accesses do not exit: one exit is little then */
#define LATENCY_TURN_NS 20e6 /* of a turn whose accesses are timed one by one, if they take long */
#define MEETING_NS      (20 * NS_PER_MS)
#define LEADER          0U

/* Waits for all vCPUs' threads. False when the VM is to end. */
static bool bench_meet(struct bench_batch *b, const struct vcpu *vcpu)
{
	struct bench_meeting *m = &b->meeting;
	unsigned generation;

	if (b->vm.nr_vcpus == 1)
		return !atomic_load(&vcpu->stop);
	pthread_mutex_lock(&m->lock);
	generation = m->generation;
	if (++m->here == b->vm.nr_vcpus) {
		m->here = 0;
		m->generation++;
		pthread_cond_broadcast(&m->all_here);
	}
	while (m->generation == generation && !atomic_load(&vcpu->stop)) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += MEETING_NS;
		until.tv_sec += until.tv_nsec / NS_PER_S;
		until.tv_nsec %= NS_PER_S;
		pthread_cond_timedwait(&m->all_here, &m->lock, &until);
	}
	pthread_mutex_unlock(&m->lock);
	return !atomic_load(&vcpu->stop);
}

/* Ends all of it; the sentence becomes the error. Returns false. */
static bool bench_wrong(struct bench_batch *b, const char *why)
{
	b->vm.power.end(&b->vm.power, (struct vm_end){.kind = VM_END_KVM_ERROR, .by = why});
	return false;
}

/* The next exit is to be at that port. It is not dispatched. */
static bool run_to(struct bench_batch *b, struct vcpu *runs, const struct vcpu *own, uint64_t port)
{
	uint64_t marks = 0;

	if (!vcpu_run_bare(runs, &own->stop, 1, &marks))
		return false;
	return vcpu_exit_is_at(runs, IOBUS_PIO, port) ||
	       bench_wrong(b, "another exit than the turn's");
}

/*
 * Accesses of which it is not known how many exit, up to the end of the turn. Those that do are dispatched, or counted.
 */
static bool run_to_end(struct vcpu *runs, const struct vcpu *own, bool dispatch, uint64_t *bare)
{
	uint64_t exits = 0;

	while (vcpu_run_bare(runs, &own->stop, 1, &exits)) {
		if (vcpu_exit_is_at(runs, IOBUS_PIO, HAMMER_NEXT_PORT))
			return true;
		if (!dispatch)
			*bare += vcpu_exit_accesses(runs);
		else if (!vcpu_dispatch(runs))
			return false;
	}
	return false;
}

/* In a lane whose VM nobody else stops, so immediate_exit is this thread's. */
static bool run_without_entry(struct vcpu *runs, const struct vcpu *own, unsigned n)
{
	bool go_on = true;

	__atomic_store_n(&runs->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < n && go_on; i++)
		go_on = arch_kvm_run(runs->fd) == -EINTR && !atomic_load(&own->stop);
	__atomic_store_n(&runs->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	return go_on;
}

bool bench_each_exits(const struct bench_point_spec *p)
{
	const uint16_t kind = p->command.kind;

	return (kind == HAMMER_PIO || kind == HAMMER_MMIO || kind == HAMMER_TWO_PORTS) &&
	       (p->way == BENCH_DISPATCHED || p->way == BENCH_BARE) && !p->collected;
}

static unsigned accesses_of(const struct bench_point_spec *p)
{
	return p->command.blocks * HAMMER_BLOCK;
}

static struct hammer_cpu *bench_cpu_of(const struct bench_lane *lane, const struct bench_batch *b,
				       unsigned index)
{
	for (unsigned i = 0; i < b->vm.nr_vcpus; i++)
		if (lane->ctl->cpu[i].apic_id == index)
			return &lane->ctl->cpu[i];
	return &lane->ctl->cpu[index];
}

/* n accesses, if each exits; else all up to the end of the turn. */
static bool run_accesses(struct bench_batch *b, const struct bench_point_spec *p, struct vcpu *runs,
			 const struct vcpu *own, unsigned n)
{
	uint64_t *bare = &b->cpu[own->index].bare[p->lane];

	if (p->way == BENCH_NO_ENTRY)
		return run_without_entry(runs, own, n);
	if (!bench_each_exits(p))
		return run_to_end(runs, own, p->way != BENCH_BARE, bare);
	if (p->way == BENCH_DISPATCHED)
		return vcpu_run_dispatched(runs, &own->stop, n);
	return vcpu_run_bare(runs, &own->stop, n, bare);
}

/* The same, and what it took; cpu->ns too. */
static bool run_clocked(struct bench_batch *b, const struct bench_point_spec *p, struct vcpu *runs,
			const struct vcpu *own, unsigned n)
{
	const bool sleeps = p->sleep_ns || p->command.wait == HAMMER_WAIT_HALTED;
	struct bench_cpu *cpu = &b->cpu[own->index];
	int64_t wall_ns = clock_monotonic_ns();
	int64_t thread_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	if (!run_accesses(b, p, runs, own, n))
		return false;
	thread_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - thread_ns;
	wall_ns = clock_monotonic_ns() - wall_ns;
	cpu->ns = p->sleep_ns ? wall_ns : thread_ns;
	if (sleeps) /* that a CPU was there for it is not known */
		return true;
	cpu->wall_ns += wall_ns;
	cpu->thread_ns += thread_ns;
	return true;
}

static int compare_exits(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Of the middle half: what interrupts some exits does not count, and the clock may have steps of 10 ns. */
static double middle_mean(int64_t *ns, unsigned n)
{
	const unsigned skip = n / 4, counted = n - 2 * skip;
	int64_t sum = 0;

	qsort(ns, n, sizeof(*ns), compare_exits);
	for (unsigned i = skip; i < skip + counted; i++)
		sum += ns[i];
	return (double)sum / counted;
}

/*
 * The accesses before those whose time counts: the turn before was in another VM, and the caches are full of that.
 * Each exit's dispatch is timed by itself; the floor's is a reading of the clock, with nothing else.
 */
static bool warm_up(struct bench_batch *b, const struct bench_point_spec *p, struct vcpu *runs,
		    const struct vcpu *own)
{
	struct bench_cpu *cpu = &b->cpu[own->index];
	int64_t ns[WARM_UP];

	if (!bench_each_exits(p))
		return true;
	if (!vcpu_run_timed(runs, &own->stop, p->way == BENCH_DISPATCHED, WARM_UP, ns))
		return false;
	if (p->way == BENCH_BARE)
		cpu->bare[p->lane] += WARM_UP;
	cpu->dispatch_ns = middle_mean(ns, WARM_UP);
	return true;
}

/* Accesses that were made. */
static void want_accesses(struct bench_batch *b, unsigned point, uint64_t accesses)
{
	const struct bench_point_spec *p = &b->point[point];
	struct bench_counts *wanted = &b->lane[p->lane].wanted;

	switch (p->way) {
	case BENCH_DISPATCHED: wanted->dispatched += accesses; break;
	case BENCH_BARE: wanted->bare += accesses; break;
	case BENCH_HIT: wanted->hits += accesses; break;
	case BENCH_KERNEL: wanted->in_kernel += accesses; break;
	case BENCH_NO_ENTRY: return;
	}
	b->plan->result->point[point].accesses += accesses;
}

/*
 * Notes times of the guest or of a doorbell's reader: the median, and for percentiles each. In the first turn of a
 * batch they become as many as fill LATENCY_TURN_NS.
 */
static void note_latency(struct bench_batch *b, unsigned point, bool first)
{
	struct bench_point_spec *p = &b->point[point];
	struct bench_lane *lane = &b->lane[p->lane];
	const unsigned n = p->command.timed;
	double ns[HAMMER_BLOCK], fill;

	for (unsigned i = 0; i < n; i++) {
		if (p->answer == BENCH_ANSWER_LATER)
			ns[i] = lane->doorbell.timed_ns[i];
		else
			ns[i] = (double)lane->ctl->ticks[i] * 1e9 / (double)b->tick_hz -
				(double)p->sleep_ns;
		if (!first)
			histogram_add(&b->plan->latency[point], ns[i] > 0 ? (uint64_t)ns[i] : 0);
	}
	b->cpu[LEADER].latency_ns = stats_median(ns, n);
	fill = LATENCY_TURN_NS / (b->cpu[LEADER].latency_ns + (double)p->sleep_ns + 1);
	if (first)
		p->command.timed = (uint8_t)fmax(TIMED_MIN, fmin(HAMMER_BLOCK, fill));
}

/* A turn of accesses that are timed one by one; the leader's. */
static bool take_latency_turn(struct bench_batch *b, unsigned point, const struct vcpu *own,
			      bool first)
{
	const struct bench_point_spec *p = &b->point[point];
	struct bench_lane *lane = &b->lane[p->lane];
	struct vcpu *runs = &lane->vcpu[own->index];
	struct hammer_cpu *cpu = bench_cpu_of(lane, b, own->index);

	cpu->command = p->command;
	cpu->command.blocks = 0;
	atomic_store(&lane->doorbell.nr_timed, 0);
	atomic_store(&lane->doorbell.answer, p->answer);
	if (!run_to(b, runs, own, HAMMER_START_PORT) ||
	    !run_clocked(b, p, runs, own, p->command.timed))
		return false;
	if (bench_each_exits(p) && !run_to(b, runs, own, HAMMER_NEXT_PORT))
		return false;
	if (p->answer == BENCH_ANSWER_LATER &&
	    !bench_doorbell_wait(&lane->doorbell, p->command.timed, &own->stop))
		return false;
	want_accesses(b, point, p->command.timed);
	note_latency(b, point, first);
	return true;
}

/* One point's turn, on the thread of vCPU own. */
static bool take_turn(struct bench_batch *b, const struct bench_point_spec *p,
		      const struct vcpu *own)
{
	struct bench_lane *lane = &b->lane[p->lane];
	struct vcpu *runs = &lane->vcpu[own->index];

	b->cpu[own->index].dispatch_ns = 0;
	if (p->way == BENCH_NO_ENTRY)
		return run_clocked(b, p, runs, own, accesses_of(p));
	bench_cpu_of(lane, b, own->index)->command = p->command;
	bench_cpu_of(lane, b, own->index)->command.timed = 0;
	if (!run_to(b, runs, own, HAMMER_START_PORT) || !warm_up(b, p, runs, own) ||
	    !run_clocked(b, p, runs, own, accesses_of(p) - WARM_UP))
		return false;
	return !bench_each_exits(p) || run_to(b, runs, own, HAMMER_NEXT_PORT);
}

static unsigned vcpus_of(const struct bench_point_spec *p)
{
	return p->vcpus ? p->vcpus : 1;
}

/* As many accesses that KVM takes as fill TURN_NS; an access that sleeps needs no more than a block. */
static void set_blocks(struct bench_point_spec *p, int64_t block_ns)
{
	int64_t blocks = p->sleep_ns ? 1 : TURN_NS / (block_ns > 0 ? block_ns : 1);

	if (bench_each_exits(p))
		return;
	p->command.blocks = (uint32_t)(blocks < 1 ? 1 : blocks > BLOCKS_MAX ? BLOCKS_MAX : blocks);
}

/* The leader's, after a turn of all vCPUs that took part. */
static void note_turn(struct bench_batch *b, unsigned point, bool first)
{
	struct bench_point_spec *p = &b->point[point];
	const uint64_t accesses = (uint64_t)accesses_of(p) * vcpus_of(p);
	const double timed = (double)(accesses - (bench_each_exits(p) ? WARM_UP * vcpus_of(p) : 0));
	struct bench_sample *sample = &b->sample[point * BENCH_ROUNDS_MAX + b->rounds];
	double ns = 0;

	want_accesses(b, point, accesses);
	for (unsigned i = 0; i < vcpus_of(p); i++)
		ns += (double)b->cpu[i].ns;
	if (first)
		set_blocks(p, b->cpu[LEADER].ns / p->command.blocks);
	else
		*sample = (struct bench_sample){
			.ns = ns / timed - (double)p->sleep_ns,
			.dispatch_ns = b->cpu[LEADER].dispatch_ns,
		};
}

/* All turns of a point in a round. False when the VM is to end. */
static bool take_turns_of(struct bench_batch *b, unsigned point, const struct vcpu *own, bool first)
{
	const struct bench_point_spec *p = &b->point[point];

	if (!p->only_latency) {
		if (own->index < vcpus_of(p) && !take_turn(b, p, own))
			return false;
		if (!bench_meet(b, own))
			return false;
		if (own->index == LEADER)
			note_turn(b, point, first);
	}
	if (!p->latency || own->index != LEADER)
		return true;
	if (!take_latency_turn(b, point, own, first))
		return false;
	if (p->only_latency)
		b->sample[point * BENCH_ROUNDS_MAX + b->rounds].ns = b->cpu[LEADER].latency_ns;
	return true;
}

/* To and fro, so that each point comes after its floor as often as before it. False when the VM is to end. */
static bool take_round(struct bench_batch *b, const struct vcpu *own, bool first)
{
	const unsigned n = b->plan->nr_points;
	const bool back = b->rounds % 2;

	for (unsigned i = 0; i < n; i++)
		if (!bench_meet(b, own) || !take_turns_of(b, back ? n - 1 - i : i, own, first))
			return false;
	return true;
}

static void leader_decides(struct bench_batch *b, int64_t start_ns)
{
	b->over = b->rounds == BENCH_ROUNDS_MAX ||
		  (b->rounds >= BENCH_ROUNDS_MIN &&
		   clock_monotonic_ns() - start_ns >= b->duration_ns);
	for (unsigned i = 0; b->over && i < b->plan->nr_lanes; i++) {
		if (i == BENCH_LANE_MACHINE)
			coalesced_drain(&b->vm.coalesced);
		b->lane[i].dispatched = bench_lane_dispatched(&b->lane[i]) - b->lane[i].dispatched;
	}
}

static void take_turns(struct bench_batch *b, const struct vcpu *own)
{
	int64_t start_ns;

	if (own->index == LEADER)
		for (unsigned i = 0; i < b->plan->nr_lanes; i++)
			b->lane[i].dispatched = bench_lane_dispatched(&b->lane[i]);
	if (!take_round(b, own, true))
		return;
	start_ns = clock_monotonic_ns();
	for (;;) {
		if (own->index == LEADER)
			leader_decides(b, start_ns);
		if (!bench_meet(b, own) || b->over || !take_round(b, own, false))
			return;
		if (own->index == LEADER)
			b->rounds++;
	}
}

/* Dispatches until the guest waits for its first command on this vCPU. */
static bool bench_boot(struct vcpu *vcpu)
{
	do {
		if (!vcpu_run_dispatched(vcpu, &vcpu->stop, 1))
			return false;
	} while (!vcpu_exit_is_at(vcpu, IOBUS_PIO, HAMMER_NEXT_PORT));
	return true;
}

/* The guest goes on in all lanes, where it makes a turn of no accesses. All threads are here. */
static bool enter_lanes(struct bench_batch *b, const struct vcpu *own)
{
	const struct hammer_command none = {.kind = HAMMER_PIO, .addr = BENCH_PORT, .width = 1};

	bench_cpu_of(&b->lane[BENCH_LANE_MACHINE], b, own->index)->command = none;
	if (!bench_meet(b, own))
		return false;
	for (unsigned i = BENCH_LANE_EMPTY; own->index == LEADER && i < b->plan->nr_lanes; i++)
		bare_vm_copy_memory(&b->lane[i].bare, &b->vm);
	if (!bench_meet(b, own))
		return false;
	for (unsigned i = BENCH_LANE_EMPTY; i < b->plan->nr_lanes; i++) {
		struct vcpu *runs = &b->lane[i].vcpu[own->index];
		uint64_t marks = 0;

		if (!bare_vm_copy_vcpu(&b->lane[i].bare, &b->vm, own->index))
			return false;
		do /* the access of the last exit may be made again */
			if (!vcpu_run_bare(runs, &own->stop, 1, &marks))
				return false;
		while (vcpu_exit_is_at(runs, IOBUS_PIO, HAMMER_NEXT_PORT));
		if (!vcpu_exit_is_at(runs, IOBUS_PIO, HAMMER_START_PORT))
			return bench_wrong(b, "an exit before the first turn");
		if (!run_to(b, runs, own, HAMMER_NEXT_PORT))
			return false;
	}
	return bench_meet(b, own);
}

void bench_pin_thread(unsigned index)
{
	cpu_set_t may, one;
	unsigned n;

	if (sched_getaffinity(0, sizeof(may), &may) < 0 || (n = (unsigned)CPU_COUNT(&may)) == 0)
		return;
	index %= n;
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &may) || index-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

void bench_vcpu_loop(struct vcpu *vcpu, void *arg)
{
	struct bench_batch *b = arg;

	if (b->plan->opts->pin)
		bench_pin_thread(vcpu->index);
	if (bench_boot(vcpu) && bench_meet(b, vcpu) && enter_lanes(b, vcpu))
		take_turns(b, vcpu);
	bench_cpu_of(&b->lane[BENCH_LANE_MACHINE], b, vcpu->index)->command =
		(struct hammer_command){.kind = HAMMER_END};
	vcpu_loop(vcpu);
}
