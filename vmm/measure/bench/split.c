/*
 * The experiment `split`: the parts of the time of an exit. Two of them are measured by themselves, as points: what the
 * guest takes for an instruction that does not exit, and a KVM_RUN that does not enter the guest. Tollgate's is timed in
 * each exit. The rest is KVM's: the way into the guest and out of it, and its part in the exit.
 */
#include "base/macros.h"
#include "measure/bench/internal.h"
#include "measure/bench/stats.h"

#define RAM_GPA                                                                                    \
	UINT64_C(0x1800000) /* between the kernel's image and the control area; nobody uses it */

static const struct {
	const char *series;
	uint16_t kind;
	uint64_t addr;
	uint8_t in, width;
} split_rows[] = {
	{"port write", HAMMER_PIO, BENCH_PORT, 0, 1},
	{"port read", HAMMER_PIO, BENCH_PORT, 1, 1},
	{"port write, unclaimed", HAMMER_PIO, BENCH_NO_PORT, 0, 1},
	{"MMIO write", HAMMER_MMIO, BENCH_MMIO, 0, 4},
	{"MMIO read", HAMMER_MMIO, BENCH_MMIO, 1, 4},
};

static int plan_split(struct bench_plan *plan, struct diag *diag)
{
	struct bench_point_spec spec = {
		.lane = BENCH_LANE_EMPTY,
		.way = BENCH_KERNEL,
		.command = {.kind = HAMMER_MMIO, .addr = RAM_GPA, .width = 4},
	};
	int r = bench_plan_point(plan, "floor: write to RAM", 4, -1, &spec, diag);

	if (r < 0)
		return r;
	plan->result->guest_point = (unsigned)r;
	spec.way = BENCH_NO_ENTRY;
	r = bench_plan_point(plan, "floor: KVM_RUN without entry", 0, -1, &spec, diag);
	if (r < 0)
		return r;
	plan->result->entry_point = (unsigned)r;
	plan->result->has_parts = true;
	spec.lane = BENCH_LANE_MACHINE;
	spec.way = BENCH_DISPATCHED;
	for (size_t i = 0; i < ARRAY_SIZE(split_rows) && r >= 0; i++) {
		spec.command = (struct hammer_command){
			.kind = split_rows[i].kind,
			.addr = split_rows[i].addr,
			.in = split_rows[i].in,
			.width = split_rows[i].width,
		};
		r = bench_plan_with_floor(plan, split_rows[i].series, split_rows[i].width, &spec,
					  diag);
	}
	return r;
}

bool bench_parts_of(const struct bench_result *res, const struct bench_point *point,
		    struct bench_parts *ret)
{
	const double *guest = res->point[res->guest_point].ns,
		     *run = res->point[res->entry_point].ns;
	const unsigned n = res->nr_batches;
	double kvm[BENCH_BATCHES_MAX];

	if (!res->has_parts || !point->timed)
		return false;
	for (unsigned i = 0; i < n; i++)
		kvm[i] = point->ns[i] - guest[i] - run[i] - point->dispatch[i];
	*ret = (struct bench_parts){
		.guest = stats_quartiles(guest, n).median,
		.run = stats_quartiles(run, n).median,
		.kvm = stats_median(kvm, n),
		.tollgate = stats_quartiles(point->dispatch, n).median,
	};
	return true;
}

const struct bench_experiment bench_split = {
	.name = "split",
	.help = "the parts of an exit: guest, KVM_RUN, KVM, Tollgate",
	.title = "The parts of an exit",
	.x_label = "width in bytes",
	.bars = true,
	.plan = plan_split,
};
