/* internal.h - what the files of `tollgate hammer`'s experiment share. */
#ifndef VMM_MEASURE_INTERNAL_H
#define VMM_MEASURE_INTERNAL_H

#include "../guest/lib/hammer_abi.h"
#include "measure/bare_vm.h"
#include "measure/hammer.h"
#include "measure/target.h"
#include "vm.h"

/* Guest address of struct hammer_ctl: far above the kernel, far below the least memory's end. */
#define HAMMER_CTL_GPA UINT64_C(0x2000000)
/* The end of the memory that the kernel uses, in whole pages. */
#define HAMMER_MEM_USED ((HAMMER_CTL_GPA + HAMMER_CTL_BYTES + 4095) & ~UINT64_C(4095))

struct hammer_vcpu {
	_Alignas(64) uint64_t bare, in_floor; /* exits that were not dispatched */
	double rate[HAMMER_PAIRS], rate_other[HAMMER_PAIRS], rate_floor[HAMMER_PAIRS];
	unsigned nr_pairs;
};

/* Where a bare loop is measured that nothing lengthens. Zeroed: there is none. */
struct hammer_floor {
	struct bare_vm bare;
	int *file;           /* the descriptors of its vCPUs */
	atomic_uint arrived; /* vCPUs of the hammer that wait for the copy */
	atomic_bool copied;
};

struct hammer {
	const struct hammer_opts *opts;
	struct vm_opts vm_opts; /* what vm was made of */
	struct vm vm;
	struct hammer_floor floor;
	struct hammer_ctl *ctl; /* guest memory: trusted, the kernel is ours */
	struct device *target;
	struct ioeventfd_set ioeventfds;
	struct hammer_vcpu *vcpu;
	atomic_uint measured; /* vCPUs that are through with their pairs */
	struct hammer_result *result;
	pthread_t control;
	bool has_control;
};

/* Accesses that the bus dispatched to what is hammered; 0 without memory to ask it. Any thread. */
uint64_t hammer_count_dispatched(const struct hammer *h);

/* floor.c: after a failure, too, hammer_floor_fini() takes it. While vm still has its buses. -errno with diag. */
int hammer_floor_init(struct hammer_floor *floor, struct vm *vm, struct diag *diag);
void hammer_floor_fini(struct hammer_floor *floor);
/* On the vCPU's thread, once the guest hammers on all: the floor's vCPU continues there. False: the VM has ended. */
bool hammer_floor_enter(struct hammer *h, struct vcpu *vcpu);

/* pairs.c: vcpu.loop of a hammering vCPU, arg is the hammer: pairs of rates, then the rest of the count. */
void hammer_vcpu_loop(struct vcpu *vcpu, void *arg);

/*
 * hits.c: starts the thread that measures an ioeventfd that the guest hits; nothing without one, or with a
 * count. h->has_control: it is to be joined. -errno with diag.
 */
int hammer_control_start(struct hammer *h, struct diag *diag);

#endif
