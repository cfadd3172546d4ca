/* A plan grows: VMs and points. */
#include <errno.h>
#include <string.h>

#include "measure/bench/internal.h"

enum {
	DEFAULT_BLOCKS =
		3, /* of a turn: one to warm up, and what an interrupt of the host disturbs little */
	FIRST_TIMED = 8, /* accesses of the first turn that times them; then turns.c chooses */
};

int bench_plan_lane(struct bench_plan *plan, const struct bench_lane_spec *spec, struct diag *diag)
{
	if (plan->nr_lanes == BENCH_LANES_MAX) {
		diag_set(diag, -EINVAL, "bench-lanes", "an experiment has at most %d VMs at once",
			 BENCH_LANES_MAX);
		diag_remedy(diag, "give a shorter list");
		return -ENOSPC;
	}
	plan->lane[plan->nr_lanes] = *spec;
	return (int)plan->nr_lanes++;
}

int bench_plan_point(struct bench_plan *plan, const char *series, double x, int floor,
		     const struct bench_point_spec *spec, struct diag *diag)
{
	struct bench_point *point = &plan->result->point[plan->nr_points];

	if (plan->nr_points == BENCH_POINTS_MAX) {
		diag_set(diag, -EINVAL, "bench-points", "an experiment has at most %d points",
			 BENCH_POINTS_MAX);
		diag_remedy(diag, "give a shorter list");
		return -ENOSPC;
	}
	*point = (struct bench_point){.x = x, .floor = floor};
	snprintf(point->series, sizeof(point->series), "%s", series);
	plan->point[plan->nr_points] = *spec;
	if (plan->point[plan->nr_points].command.blocks == 0)
		plan->point[plan->nr_points].command.blocks = DEFAULT_BLOCKS;
	plan->point[plan->nr_points].latency |= spec->only_latency;
	plan->point[plan->nr_points].command.timed = FIRST_TIMED;
	if (spec->vcpus > plan->vcpus)
		plan->vcpus = spec->vcpus;
	point->timed = floor >= 0 && spec->way == BENCH_DISPATCHED && bench_each_exits(spec);
	plan->result->nr_points = plan->nr_points + 1;
	return (int)plan->nr_points++;
}

int bench_plan_with_floor(struct bench_plan *plan, const char *series, double x,
			  const struct bench_point_spec *spec, struct diag *diag)
{
	struct bench_point_spec floor = *spec;
	char name[sizeof(plan->result->point[0].series)];
	int r;

	floor.lane = BENCH_LANE_EMPTY;
	if (spec->way == BENCH_DISPATCHED)
		floor.way = BENCH_BARE;
	snprintf(name, sizeof(name), "floor: %s", series);
	r = bench_plan_point(plan, name, x, -1, &floor, diag);
	return r < 0 ? r : bench_plan_point(plan, series, x, r, spec, diag);
}
