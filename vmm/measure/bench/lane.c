/* The VMs of an experiment, and whether what was counted in them agrees. */
#include <errno.h>
#include <inttypes.h>

#include "measure/bench/internal.h"

enum { TARGET_PORTS = 0x18, TARGET_MMIO_BYTES = 0x10, DATAMATCH_BYTES = 2 };

/* The target on both buses. */
static int add_target(struct bench_batch *b, struct bench_lane *lane, unsigned ranges,
		      struct diag *diag)
{
	int r = target_add(lane->pio, IOBUS_PIO, b->target, BENCH_PORT, TARGET_PORTS, ranges, diag);

	return r < 0 ? r
		     : target_add(lane->mmio, IOBUS_MMIO, b->target, BENCH_MMIO, TARGET_MMIO_BYTES,
				  0, diag);
}

static int make_buses(struct bench_lane *lane, struct diag *diag)
{
	int r = iobus_create(IOBUS_PIO, &lane->pio);

	if (r == 0)
		r = iobus_create(IOBUS_MMIO, &lane->mmio);
	return r < 0 ? diag_set(diag, r, "lane-buses", "buses of a VM") : 0;
}

static int bench_lane_add_ioeventfds(struct bench_lane *lane, const struct bench_lane_spec *spec,
				     struct diag *diag)
{
	const struct ioeventfd first = {
		.space = IOBUS_PIO,
		.addr = spec->distinct ? BENCH_DISTINCT : BENCH_PORT,
		.len = DATAMATCH_BYTES,
		.has_data = true,
		.data = 1,
	};

	return ioeventfd_set_init(&lane->ioeventfds, spec->ioeventfds, &first,
				  spec->distinct ? DATAMATCH_BYTES : 0, &lane->bare.kvm, diag);
}

static int bench_lane_make(struct bench_batch *b, unsigned index, struct diag *diag)
{
	const struct bench_lane_spec *spec = &b->plan->lane[index];
	struct bench_lane *lane = &b->lane[index];
	struct bare_vm_opts opts = {.vcpus = b->vm.nr_vcpus, .slots = spec->slots};
	int r = make_buses(lane, diag);

	if (r == 0 && index != BENCH_LANE_EMPTY)
		r = add_target(b, lane, spec->ranges, diag);
	opts.pio = lane->pio;
	opts.mmio = lane->mmio;
	if (r == 0)
		r = bare_vm_init(&lane->bare, &b->vm, &opts, diag);
	if (r == 0)
		r = bench_lane_add_ioeventfds(lane, spec, diag);
	lane->vcpu = lane->bare.vcpu;
	return r;
}

int bench_lane_init(struct bench_batch *b, unsigned index, struct diag *diag)
{
	struct bench_lane *lane = &b->lane[index];
	struct guest_mem *mem = &lane->bare.mem;
	int r;

	if (index == BENCH_LANE_MACHINE) {
		lane->pio = b->vm.pio;
		lane->mmio = b->vm.mmio;
		lane->vcpu = b->vm.vcpu;
		mem = &b->vm.mem;
		r = add_target(b, lane, 0, diag);
	} else {
		r = bench_lane_make(b, index, diag);
	}
	if (r < 0)
		return r;
	lane->ctl = guest_mem_ptr(mem, HAMMER_CTL_GPA, sizeof(*lane->ctl));
	if (b->plan->lane[index].doorbell)
		r = bench_doorbell_start(lane, b->plan->opts->pin, b->vm.nr_vcpus, diag);
	return r;
}

void bench_lane_fini(struct bench_lane *lane)
{
	if (!lane->pio || !lane->bare.is_open) /* the machine's, or never made */
		return;
	bench_doorbell_stop(lane);
	ioeventfd_set_fini(&lane->ioeventfds, &lane->bare.kvm);
	bare_vm_fini(&lane->bare);
	iobus_destroy(lane->pio);
	iobus_destroy(lane->mmio);
}

uint64_t bench_lane_dispatched(const struct bench_lane *lane)
{
	struct iobus_totals pio, mmio;

	iobus_counts(lane->pio, NULL, 0, &pio);
	iobus_counts(lane->mmio, NULL, 0, &mmio);
	return pio.reads + pio.writes + mmio.reads + mmio.writes;
}

static bool counts_agree(const struct bench_counts *got, const struct bench_counts *wanted)
{
	return got->guest == wanted->dispatched + wanted->bare + wanted->hits + wanted->in_kernel &&
	       got->dispatched == wanted->dispatched && got->bare == wanted->bare &&
	       got->hits == wanted->hits;
}

int bench_lane_check(const struct bench_batch *b, unsigned index, struct bench_counts *sum,
		     struct diag *diag)
{
	const struct bench_lane *lane = &b->lane[index];
	const struct bench_counts *wanted = &lane->wanted;
	struct bench_counts got = {.dispatched = lane->dispatched,
				   .hits = ioeventfd_set_read(&lane->ioeventfds) +
					   lane->doorbell.hits};

	for (unsigned i = 0; i < b->vm.nr_vcpus; i++) {
		got.guest += lane->ctl->cpu[i].count;
		got.bare += b->cpu[i].bare[index];
	}
	if (!counts_agree(&got, wanted)) {
		diag_set(diag, -EINVAL, "lane-count",
			 "counted %" PRIu64 " dispatched, %" PRIu64 " bare exits and %" PRIu64
			 " hits of %" PRIu64 ", %" PRIu64 " and %" PRIu64
			 " in VM %u, where the guest made %" PRIu64 " accesses",
			 got.dispatched, got.bare, got.hits, wanted->dispatched, wanted->bare,
			 wanted->hits, index, got.guest);
		return -EPROTO;
	}
	sum->guest += got.guest;
	sum->dispatched += got.dispatched;
	sum->bare += got.bare;
	sum->hits += got.hits;
	sum->in_kernel += got.guest - got.dispatched - got.bare - got.hits;
	return 0;
}
