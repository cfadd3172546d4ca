/* The plan of each experiment. */
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "measure/bench/internal.h"

#define SLEEP_NS INT64_C(50000) /* long enough for the guest to be asleep */

struct access_row {
	const char *series;
	uint16_t kind;
	uint64_t addr;
	uint8_t in, widths; /* a bit for each width in bytes */
};

static const struct access_row access_rows[] = {
	{"port write", HAMMER_PIO, BENCH_PORT, 0, 1 | 2 | 4},
	{"port read", HAMMER_PIO, BENCH_PORT, 1, 1 | 2 | 4},
	{"port write, unclaimed", HAMMER_PIO, BENCH_NO_PORT, 0, 1},
	{"port read, unclaimed", HAMMER_PIO, BENCH_NO_PORT, 1, 1},
	{"string write, an element", HAMMER_STRING, BENCH_PORT, 0, 1 | 4},
	{"string read, an element", HAMMER_STRING, BENCH_PORT, 1, 1 | 4},
	{"MMIO write", HAMMER_MMIO, BENCH_MMIO, 0, 1 | 2 | 4 | 8},
	{"MMIO read", HAMMER_MMIO, BENCH_MMIO, 1, 1 | 2 | 4 | 8},
	{"MMIO write, unclaimed", HAMMER_MMIO, BENCH_NO_MMIO, 0, 4},
	{"MMIO read, unclaimed", HAMMER_MMIO, BENCH_NO_MMIO, 1, 4},
};

/*
 * On a KVM without hardware virtualization (kvm_pvm) a guest has been seen that did not come back from a hypercall. The
 * emulator leaves it to the processor to execute that again: em_hypercall() of Linux's arch/x86/kvm/emulate.c.
 */
static int plan_in_kernel(struct bench_plan *plan, struct diag *diag)
{
	struct bench_point_spec spec = {.lane = BENCH_LANE_MACHINE,
					.way = BENCH_KERNEL,
					.command = {.kind = HAMMER_CPUID},
					.latency = true};
	int r = bench_plan_with_floor(plan, "CPUID, in the kernel", 0, &spec, diag);

	spec.command.kind = HAMMER_HYPERCALL;
	if (r >= 0 && arch_backing_name())
		r = bench_plan_with_floor(plan, "hypercall, in the kernel", 0, &spec, diag);
	spec.command =
		(struct hammer_command){.kind = HAMMER_SLEEP, .value = SLEEP_NS, .blocks = 1};
	spec.sleep_ns = SLEEP_NS;
	return r < 0 ? r : bench_plan_with_floor(plan, "HLT, late by", 0, &spec, diag);
}

static int plan_exits(struct bench_plan *plan, struct diag *diag)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(access_rows) && r >= 0; i++) {
		const struct access_row *row = &access_rows[i];

		for (unsigned width = 1; width <= 8 && r >= 0; width *= 2) {
			const struct bench_point_spec spec = {
				.lane = BENCH_LANE_MACHINE,
				.way = BENCH_DISPATCHED,
				.latency = row->kind != HAMMER_STRING, /* of one instruction */
				.command = {.kind = row->kind,
					    .addr = row->addr,
					    .in = row->in,
					    .width = (uint8_t)width},
			};

			if (row->widths & width)
				r = bench_plan_with_floor(plan, row->series, width, &spec, diag);
		}
	}
	return r < 0 ? r : plan_in_kernel(plan, diag);
}

/* Where the guest writes, in a VM of n ioeventfds. */
struct io_series {
	const char *series;
	bool distinct;
	enum bench_way way;
	uint64_t addr;   /* 0: that of the ioeventfd that is hit */
	unsigned eighth; /* which is hit: 0 the first, 4 the middle, 8 the last */
};

static const struct io_series io_series[] = {
	{"one byte; another port", false, BENCH_DISPATCHED, BENCH_OTHER, 0},
	{"one byte; same port, no match", false, BENCH_DISPATCHED, BENCH_PORT, 0},
	{"one byte; hits the first", false, BENCH_HIT, 0, 0},
	{"one byte; hits the middle", false, BENCH_HIT, 0, 4},
	{"one byte; hits the last", false, BENCH_HIT, 0, 8},
	{"distinct bytes; another port", true, BENCH_DISPATCHED, BENCH_OTHER, 0},
	{"distinct bytes; hits the first", true, BENCH_HIT, 0, 0},
	{"distinct bytes; hits the middle", true, BENCH_HIT, 0, 4},
	{"distinct bytes; hits the last", true, BENCH_HIT, 0, 8},
};

static int plan_io_lane(struct bench_plan *plan, unsigned n, bool distinct, int floor,
			struct diag *diag)
{
	int lane = bench_plan_lane(
		plan, &(struct bench_lane_spec){.ioeventfds = n, .distinct = distinct}, diag);
	int r = lane;

	for (size_t i = 0; i < ARRAY_SIZE(io_series) && r >= 0; i++) {
		const struct io_series *s = &io_series[i];
		const unsigned which = s->eighth == 8 ? n - 1 : n * s->eighth / 8;
		struct bench_point_spec spec = {
			.lane = (unsigned)lane,
			.way = s->way,
			.command = {.kind = HAMMER_PIO, .addr = s->addr, .width = 2},
		};

		if (s->distinct != distinct || (s->way == BENCH_HIT && n == 0))
			continue;
		if (s->way == BENCH_HIT) {
			spec.command.addr =
				distinct ? BENCH_DISTINCT + UINT64_C(2) * which : BENCH_PORT;
			spec.command.value = which + 1;
		}
		r = bench_plan_point(plan, s->series, n, floor, &spec, diag);
	}
	return r;
}

static int plan_ioeventfds(struct bench_plan *plan, struct diag *diag)
{
	const struct bench_sweep *sweep = &plan->opts->ioeventfds;
	const struct bench_point_spec floor_spec = {
		.lane = BENCH_LANE_EMPTY,
		.way = BENCH_BARE,
		.command = {.kind = HAMMER_PIO, .addr = BENCH_OTHER, .width = 2},
	};
	int floor = bench_plan_point(plan, "floor: bare loop, empty VM", 0, -1, &floor_spec, diag);
	int r = floor;

	for (unsigned i = 0; i < sweep->nr && r >= 0; i++) {
		r = plan_io_lane(plan, sweep->value[i], false, floor, diag);
		if (r >= 0)
			r = plan_io_lane(plan, sweep->value[i], true, floor, diag);
	}
	return r;
}

/* The floor of writes to two ports is another: the guest does more between them. */
static int plan_ranges(struct bench_plan *plan, struct diag *diag)
{
	const struct bench_sweep *sweep = &plan->opts->ranges;
	struct bench_point_spec one = {
		.lane = BENCH_LANE_EMPTY,
		.way = BENCH_BARE,
		.command = {.kind = HAMMER_PIO, .addr = BENCH_PORT, .width = 1},
	};
	struct bench_point_spec two = one;
	int one_floor, two_floor, r;

	two.command.kind = HAMMER_TWO_PORTS;
	two.command.value = BENCH_OTHER;
	one_floor = bench_plan_point(plan, "floor: one range each time", 1, -1, &one, diag);
	two_floor = bench_plan_point(plan, "floor: two ranges in turn", 1, -1, &two, diag);
	r = two_floor;
	one.way = two.way = BENCH_DISPATCHED;
	for (unsigned i = 0; i < sweep->nr && r >= 0; i++) {
		const unsigned n = sweep->value[i];
		/* The target's is one of them. */
		const struct bench_lane_spec lane = {.ranges = n - 1};

		r = bench_plan_lane(plan, &lane, diag);
		if (r < 0)
			break;
		one.lane = two.lane = (unsigned)r;
		two.command.value = n == 1 ? BENCH_NO_PORT : target_range_port(n / 2 - 1);
		r = bench_plan_point(plan, "one range each time", n, one_floor, &one, diag);
		if (r >= 0)
			r = bench_plan_point(plan, "two ranges in turn", n, two_floor, &two, diag);
	}
	return r;
}

static int plan_vcpus(struct bench_plan *plan, struct diag *diag)
{
	const struct bench_sweep *sweep = &plan->opts->vcpus;
	int r = 0;

	for (unsigned i = 0; i < sweep->nr && r >= 0; i++) {
		const struct bench_point_spec spec = {
			.lane = BENCH_LANE_MACHINE,
			.way = BENCH_DISPATCHED,
			.command = {.kind = HAMMER_PIO, .addr = BENCH_PORT, .width = 1},
			.vcpus = sweep->value[i],
		};

		r = bench_plan_with_floor(plan, "port write of each vCPU", sweep->value[i], &spec,
					  diag);
	}
	return r;
}

#define POST_PORT UINT64_C(0x80) /* whose writes KVM collects */

static int plan_collected(struct bench_plan *plan, struct diag *diag)
{
	struct bench_point_spec spec = {
		.lane = BENCH_LANE_MACHINE,
		.way = BENCH_DISPATCHED,
		.command = {.kind = HAMMER_PIO, .addr = BENCH_PORT, .width = 1},
	};
	int r = bench_plan_with_floor(plan, "write that exits", 1, &spec, diag);

	spec.command.addr = POST_PORT;
	spec.collected = true;
	/* The floor is that of the point before. */
	return r < 0 ? r : bench_plan_point(plan, "write that KVM collects", 1, r - 1, &spec, diag);
}

static int plan_slots(struct bench_plan *plan, struct diag *diag)
{
	const struct bench_sweep *sweep = &plan->opts->slots;
	const struct hammer_command write = {.kind = HAMMER_MMIO, .addr = BENCH_MMIO, .width = 4};
	struct bench_point_spec spec = {
		.lane = BENCH_LANE_EMPTY, .way = BENCH_BARE, .command = write};
	int floor = bench_plan_point(plan, "floor: bare loop, empty VM", 1, -1, &spec, diag);
	int r = floor;

	spec.way = BENCH_DISPATCHED;
	for (unsigned i = 0; i < sweep->nr && r >= 0; i++) {
		/* The RAM's is one of them. */
		const struct bench_lane_spec lane = {.slots = sweep->value[i] - 1};

		r = bench_plan_lane(plan, &lane, diag);
		if (r < 0)
			break;
		spec.lane = (unsigned)r;
		r = bench_plan_point(plan, "MMIO write", sweep->value[i], floor, &spec, diag);
	}
	return r;
}

/* The guest's clock times them but where the reader's does. */
static const struct {
	const char *series;
	enum hammer_wait wait;
	enum bench_answer answer;
} doorbell_rows[] = {
	{"ring, answer in memory", HAMMER_WAIT_MEMORY, BENCH_ANSWER_MEMORY},
	{"ring, interrupt; CPU polls", HAMMER_WAIT_SPINNING, BENCH_ANSWER_INTERRUPT},
	{"ring, interrupt; CPU halts", HAMMER_WAIT_HALTED, BENCH_ANSWER_INTERRUPT},
	{"interrupt alone; CPU polls", HAMMER_WAIT_SPINNING, BENCH_ANSWER_LATER},
	{"interrupt alone; CPU has halted", HAMMER_WAIT_HALTED, BENCH_ANSWER_LATER},
};

static int plan_doorbell(struct bench_plan *plan, struct diag *diag)
{
	struct bench_point_spec spec = {
		.lane = BENCH_LANE_EMPTY,
		.way = BENCH_BARE,
		.command = {.kind = HAMMER_PIO, .addr = BENCH_DOORBELL, .width = 2},
		.only_latency = true,
	};
	int floor = bench_plan_point(plan, "floor: write that exits", 0, -1, &spec, diag);
	int r = floor < 0
			? floor
			: bench_plan_lane(plan, &(struct bench_lane_spec){.doorbell = true}, diag);

	if (r < 0)
		return r;
	spec.lane = (unsigned)r;
	spec.way = BENCH_HIT;
	r = bench_plan_point(plan, "ring, no wait", 0, floor, &spec, diag);
	spec.command.kind = HAMMER_DOORBELL;
	for (size_t i = 0; i < ARRAY_SIZE(doorbell_rows) && r >= 0; i++) {
		spec.command.wait = (uint8_t)doorbell_rows[i].wait;
		spec.answer = doorbell_rows[i].answer;
		r = bench_plan_point(plan, doorbell_rows[i].series, 0, floor, &spec, diag);
	}
	return r;
}

static const struct bench_experiment exits = {
	.name = "exits",
	.help = "port and MMIO accesses by width, string I/O, CPUID, hypercall, HLT",
	.title = "An access, by kind and width",
	.x_label = "width in bytes",
	.bars = true,
	.plan = plan_exits,
};
static const struct bench_experiment ioeventfds = {
	.name = "ioeventfds",
	.help = "a write next to N ioeventfds, and one that hits",
	.title = "A write in a VM with N ioeventfds",
	.x_label = "ioeventfds",
	.x_log = true,
	.plan = plan_ioeventfds,
};
static const struct bench_experiment ranges = {
	.name = "ranges",
	.help = "a write next to N userspace ranges",
	.title = "A write in a VM with N port ranges in userspace",
	.x_label = "ranges",
	.x_log = true,
	.plan = plan_ranges,
};
static const struct bench_experiment vcpus = {
	.name = "vcpus",
	.help = "writes of N vCPUs at once",
	.title = "Writes of N vCPUs at once",
	.x_label = "vCPUs",
	.plan = plan_vcpus,
};
static const struct bench_experiment collected = {
	.name = "collected",
	.help = "a write that KVM collects, and one that exits",
	.title = "A write that KVM collects",
	.x_label = "width in bytes",
	.bars = true,
	.plan = plan_collected,
};
static const struct bench_experiment slots = {
	.name = "memory-slots",
	.help = "an MMIO write next to N memory slots",
	.title = "An MMIO write in a VM with N memory slots",
	.x_label = "memory slots",
	.x_log = true,
	.plan = plan_slots,
};

static const struct bench_experiment doorbell = {
	.name = "doorbell",
	.help = "an ioeventfd, its reader, and the irqfd back",
	.title = "A doorbell: from the guest to a thread, and back",
	.of = "doorbell",
	.floor = "a write that exits to a bare KVM_RUN loop in an empty VM",
	.x_label = "",
	.bars = true,
	.plan = plan_doorbell,
};

const struct bench_experiment *const bench_experiments[] = {
	&exits, &ioeventfds, &ranges,      &vcpus,       &collected,
	&slots, &doorbell,   &bench_setup, &bench_split, NULL,
};

const char *bench_experiment_name(const struct bench_experiment *experiment)
{
	return experiment->name;
}

const char *bench_experiment_help(const struct bench_experiment *experiment)
{
	return experiment->help;
}

const struct bench_experiment *bench_experiment_find(const char *name)
{
	for (unsigned i = 0; bench_experiments[i]; i++)
		if (strcmp(bench_experiments[i]->name, name) == 0)
			return bench_experiments[i];
	return NULL;
}
