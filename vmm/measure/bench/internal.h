/* internal.h - what the files of `tollgate bench`'s experiments share. */
#ifndef VMM_MEASURE_BENCH_INTERNAL_H
#define VMM_MEASURE_BENCH_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/histogram.h"
#include "kvm/irq.h"
#include "measure/bench.h"
#include "measure/internal.h"

enum {
	BENCH_LANES_MAX = 48,
	BENCH_ROUNDS_MAX = 2048, /* of a batch */
	BENCH_ROUNDS_MIN = 3,
};

#define BENCH_PORT     UINT64_C(0xa00) /* claimed by the target, as the next */
#define BENCH_OTHER    UINT64_C(0xa10)
#define BENCH_MMIO     UINT64_C(0xe0000000)
#define BENCH_NO_PORT  UINT64_C(0xa80) /* unclaimed, as the next */
#define BENCH_NO_MMIO  UINT64_C(0xe0010000)
#define BENCH_DOORBELL UINT64_C(0xa30)  /* an ioeventfd whose reader is a thread; unclaimed */
#define BENCH_DISTINCT UINT64_C(0xc000) /* the first of ioeventfds on bytes of their own */

/* A VM in which points are measured. Lane 0 is the whole machine of `tollgate run`, lane 1 the empty VM. */
enum { BENCH_LANE_MACHINE, BENCH_LANE_EMPTY, BENCH_LANES_FIXED };
struct bench_lane_spec {
	unsigned ioeventfds;
	bool distinct; /* at BENCH_DISTINCT, each on two bytes of its own; else all at BENCH_PORT */
	unsigned ranges; /* on the port bus, besides the target's */
	unsigned slots;  /* memory slots besides the guest's RAM */
	bool doorbell;   /* a thread reads the ioeventfd at BENCH_DOORBELL, and answers */
};

/* The answer of a doorbell's reader to each ring. */
enum bench_answer {
	BENCH_ANSWER_NONE,
	BENCH_ANSWER_MEMORY,    /* one more in hammer_ctl.answer */
	BENCH_ANSWER_INTERRUPT, /* a signal to the irqfd */
	BENCH_ANSWER_LATER,     /* the same, when the guest surely waits; the reader times it */
};

enum bench_way {
	BENCH_DISPATCHED,
	BENCH_BARE,
	BENCH_HIT,      /* an ioeventfd takes it */
	BENCH_KERNEL,   /* it does not exit to userspace, and there is no ioeventfd */
	BENCH_NO_ENTRY, /* no access: KVM_RUN returns before it enters the guest; not in lane 0 */
};

struct bench_point_spec {
	unsigned lane;
	enum bench_way way;
	struct hammer_command
		command;   /* blocks: set at the first turn where KVM takes the accesses */
	unsigned vcpus;    /* at once; 0: one */
	bool collected;    /* by KVM; some of them exit */
	int64_t sleep_ns;  /* what the guest asked for is not the access's cost */
	bool latency;      /* one more turn per round, where each access is timed by the guest */
	bool only_latency; /* that one and no other: the median there is the point's time */
	enum bench_answer answer; /* in a lane with a doorbell */
};

/* The lanes and points of an experiment. */
struct bench_plan {
	const struct bench_opts *opts;
	struct bench_result *result; /* the points' names */
	struct histogram *latency;   /* of each point, in ns; of this batch */
	struct bench_lane_spec lane[BENCH_LANES_MAX];
	struct bench_point_spec point[BENCH_POINTS_MAX];
	unsigned nr_lanes, nr_points, vcpus; /* of all lanes */
};

struct bench_experiment {
	const char *name, *help, *title, *x_label;
	const char *of, *floor; /* as in struct bench_result; NULL: an access, and a bare loop */
	bool x_log, bars;
	int (*plan)(struct bench_plan *plan, struct diag *diag);
	/* A batch without a guest; NULL: bench_batch_run(). Its results and errors are as of that. */
	int (*run)(const struct bench_plan *plan, unsigned index, struct bench_result *ret,
		   struct diag *diag);
};

extern const struct bench_experiment bench_setup; /* setup.c */
extern const struct bench_experiment bench_split; /* split.c */

/* plan.c: an index. -ENOSPC with diag when there are too many. */
int bench_plan_lane(struct bench_plan *plan, const struct bench_lane_spec *spec, struct diag *diag);
int bench_plan_point(struct bench_plan *plan, const char *series, double x, int floor,
		     const struct bench_point_spec *spec, struct diag *diag);
/* A point after its floor, a bare loop that makes the same access in the empty VM. */
int bench_plan_with_floor(struct bench_plan *plan, const char *series, double x,
			  const struct bench_point_spec *spec, struct diag *diag);

/* An ioeventfd, the thread that reads it, and the irqfd by which it can answer. Zeroed: there is none. */
struct bench_doorbell {
	struct ioeventfd ring;
	struct irq_eventfd irq;
	int quit; /* an eventfd that ends the thread */
	bool made, has_thread, pin;
	unsigned cpu; /* for bench_pin_thread() */
	pthread_t thread;
	struct hammer_ctl *ctl;
	atomic_uint answer; /* enum bench_answer; the leader's, while the guest does not ring */
	atomic_bool over;
	atomic_uint nr_timed; /* of timed_ns[]; the leader zeroes it */
	uint32_t timed_ns[HAMMER_BLOCK];
	uint64_t hits; /* once the thread has been joined */
};

struct bench_lane {
	struct bare_vm bare; /* unused in lane 0 */
	struct iobus *pio, *mmio;
	struct ioeventfd_set ioeventfds;
	struct bench_doorbell doorbell;
	struct vcpu *vcpu; /* bare's, or the machine's */
	struct hammer_ctl *ctl;
	/* The counts that the points of this lane are to add up to. */
	struct bench_counts wanted;
	uint64_t dispatched; /* by the buses since the first turn */
};

/* Measurements of one vCPU's thread in the last turn. */
struct bench_cpu {
	_Alignas(64) int64_t ns;
	double dispatch_ns;         /* of an exit; 0: nothing was dispatched, or it was not timed */
	double latency_ns;          /* the median of the last timed block */
	int64_t wall_ns, thread_ns; /* of all turns */
	uint64_t bare[BENCH_LANES_MAX];
};

struct bench_sample {
	double ns;          /* per access */
	double dispatch_ns; /* of an exit, clock included; 0: not timed */
};

/* A meeting of the vCPUs' threads. */
struct bench_meeting {
	pthread_mutex_t lock;
	pthread_cond_t all_here;
	unsigned here, generation;
};

/* One batch: the machine, the lanes, and the turns of all points. */
struct bench_batch {
	const struct bench_plan *plan;
	struct vm_opts vm_opts;
	struct config config;
	struct vm vm;
	struct device *target;
	struct bench_lane lane[BENCH_LANES_MAX];
	int *file; /* the descriptors of the lanes' vCPUs */
	unsigned nr_files;
	int64_t duration_ns;
	uint64_t tick_hz; /* of the guest's ticks; 0: not known */
	struct bench_cpu *cpu;
	struct bench_meeting meeting;
	struct bench_point_spec point[BENCH_POINTS_MAX]; /* with blocks set */
	struct bench_sample *sample;                     /* by point, then by round */
	unsigned rounds;
	bool over;         /* the leader's, between meetings */
	const char *wrong; /* why a turn did not go as it must; static */
	struct vm_end end;
};

/* lane.c: after a failure, too, bench_lane_fini() takes it. -errno with diag. */
int bench_lane_init(struct bench_batch *b, unsigned index, struct diag *diag);
void bench_lane_fini(struct bench_lane *lane);
/* All accesses that the buses of a lane have counted. While none of its vCPUs runs. */
uint64_t bench_lane_dispatched(const struct bench_lane *lane);
/* After the last turn: adds the lane's counts to *sum. -EPROTO with diag when they do not agree. */
int bench_lane_check(const struct bench_batch *b, unsigned index, struct bench_counts *sum,
		     struct diag *diag);

/* doorbell.c: after the lane's VM and ctl were made. After a failure, too, it is to be stopped. -errno with diag. */
int bench_doorbell_start(struct bench_lane *lane, bool pin, unsigned cpu, struct diag *diag);
/* When the guest rings no more. hits then has all rings. Takes a zeroed one, and one that was stopped. */
void bench_doorbell_stop(struct bench_lane *lane);
/* Waits until the reader has timed n rings; false when the vCPU is to stop. */
bool bench_doorbell_wait(struct bench_doorbell *bell, unsigned n, const atomic_bool *stop);

/* turns.c: the calling thread runs on the index-th CPU of those that it may use, and again from the first. */
void bench_pin_thread(unsigned index);

/* turns.c: whether each access is one exit, so that its dispatch can be timed. */
bool bench_each_exits(const struct bench_point_spec *p);

/* turns.c: vcpu.loop of the machine's vCPUs; arg is the batch. */
void bench_vcpu_loop(struct vcpu *vcpu, void *arg);

/* batch.c: values of batch `index` into the points of *ret. Errors as bench_run(). */
int bench_batch_run(const struct bench_plan *plan, unsigned index, FILE *log,
		    struct bench_result *ret, struct diag *diag);
/* "SIGTERM": sets diag. Returns -EINTR. */
int bench_batch_killed(const char *by, struct diag *diag);

#endif
