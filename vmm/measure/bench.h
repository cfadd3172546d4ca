/*
 * bench.h - the experiments of `tollgate bench`: what each access of a guest costs, in VMs that differ in one thing.
 *
 * An experiment has points. All of its points and their floors take turns in one run, so whatever disturbs the machine
 * disturbs all. A run has batches: each makes its VMs anew, and gives one value per point, the median of its turns.
 * docs/guide/measure.md describes the use, docs/reference/bench.md the results.
 */
#ifndef VMM_MEASURE_BENCH_H
#define VMM_MEASURE_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/histogram.h"
#include "vm_end.h"

enum {
	BENCH_POINTS_MAX = 96,
	BENCH_BATCHES_MIN = 3,
	BENCH_BATCHES_MAX = 50,
	BENCH_SWEEP_MAX = 24, /* values of a list */
};

/* A list of the command line, in its order. */
struct bench_sweep {
	unsigned nr, value[BENCH_SWEEP_MAX];
};

struct bench_opts {
	struct bench_sweep ioeventfds, ranges, vcpus, slots;
	unsigned batches;
	int64_t duration_ns; /* of an experiment, all batches together; what it takes to make VMs not counted */
	bool pin; /* vCPU i runs on the i-th CPU that this process may use */
};

/* The accesses of all batches, by outcome. guest is the sum of the others, or the run is an error. */
struct bench_counts {
	uint64_t guest;      /* the guest's own count */
	uint64_t dispatched; /* the buses' count */
	uint64_t bare;       /* exits of bare loops */
	uint64_t hits;       /* sum of the eventfds */
	uint64_t in_kernel;  /* made, and KVM answered them */
};

struct bench_point {
	char series[56]; /* "write, claimed" */
	double x;        /* of the experiment's x axis */
	int floor;       /* index of its floor; -1: it is one, or there is none */
	/*
	 * Of each batch, the median of its turns. Time is CPU time of the vCPU's thread, in which other programs do not
	 * count; it is wall-clock time where the guest sleeps.
	 */
	double ns[BENCH_BATCHES_MAX];     /* per access of one vCPU */
	double ratio[BENCH_BATCHES_MAX];  /* to the floor's in the same round; 1 without a floor */
	double beyond[BENCH_BATCHES_MAX]; /* ns more than that; 0 without a floor */
	bool timed;
	double dispatch
		[BENCH_BATCHES_MAX]; /* the part of ns between KVM_RUN and KVM_RUN, if timed */
	uint64_t accesses;           /* of all batches, warm-up included */
	struct histogram_summary
		latency; /* ns of single accesses, of all batches; count 0: not timed */
	double p50[BENCH_BATCHES_MAX], p99[BENCH_BATCHES_MAX]; /* the same of each batch */
};

/* One experiment's. */
struct bench_result {
	const char *experiment, *title, *x_label; /* static, as the next */
	const char *of, *floor; /* "access": what takes the time; and what the floor is */
	bool x_log;             /* for plots, as the next */
	bool bars;              /* x is not an axis: a bar per point */
	unsigned nr_batches, nr_points;
	struct bench_point point[BENCH_POINTS_MAX];
	struct bench_counts counts;
	uint64_t rounds; /* of all batches */
	double waited;   /* share of the time in which the vCPUs' threads did not run, 0 to 1 */
	bool in_use;     /* by a thread that has not ended */
	/* The time of an exit has parts that these points measure: bench_parts_of(). */
	bool has_parts;
	unsigned guest_point, entry_point;
};

/* Median ns per exit. kvm is the rest: the way into the guest and out of it, and KVM's part in the exit. */
struct bench_parts {
	double guest, run, kvm, tollgate;
};
/* False: they are not known. */
bool bench_parts_of(const struct bench_result *res, const struct bench_point *point,
		    struct bench_parts *ret);

struct bench_experiment;
extern const struct bench_experiment *const bench_experiments[]; /* ended by NULL */
const char *bench_experiment_name(const struct bench_experiment *experiment);
const char *bench_experiment_help(const struct bench_experiment *experiment);
const struct bench_experiment *bench_experiment_find(const char *name); /* NULL: there is none */

/*
 * Runs one experiment. Prints a line to log for each device whose I/O thread does not end. -errno with diag: what
 * cannot be set up, -EINTR when it was killed, and -EPROTO when the counts do not agree.
 */
int bench_run(const struct bench_experiment *experiment, const struct bench_opts *opts, FILE *log,
	      struct bench_result *ret, struct diag *diag);

#endif
