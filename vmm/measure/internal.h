/* internal.h - what the files of `tollgate hammer`'s experiment share. */
#ifndef VMM_MEASURE_INTERNAL_H
#define VMM_MEASURE_INTERNAL_H

#include "../guest/lib/hammer_abi.h"
#include "ioeventfd.h"
#include "measure/hammer.h"
#include "vm.h"

struct hammer_vcpu {
	_Alignas(64) uint64_t bare;
	double rate[HAMMER_PAIRS], rate_other[HAMMER_PAIRS];
	unsigned nr_pairs;
};

struct hammer {
	const struct hammer_opts *opts;
	struct vm_opts vm_opts; /* what vm was made of */
	struct vm vm;
	struct hammer_ctl *ctl; /* guest memory: trusted, the kernel is ours */
	struct device *target;
	struct ioeventfd *ioeventfd;
	unsigned nr_ioeventfds;
	struct hammer_vcpu *vcpu;
	atomic_uint measured; /* vCPUs that are through with their pairs */
	struct hammer_result *result;
	pthread_t control;
	bool has_control;
};

/* Accesses that the bus dispatched to what is hammered; 0 without memory to ask it. Any thread. */
uint64_t hammer_count_dispatched(const struct hammer *h);

/* pairs.c: vcpu.loop of a hammering vCPU, arg is the hammer: pairs of rates, then the rest of the count. */
void hammer_vcpu_loop(struct vcpu *vcpu, void *arg);

/*
 * hits.c: starts the thread that measures an ioeventfd that the guest hits; nothing without one, or with a
 * count. h->has_control: it is to be joined. -errno with diag.
 */
int hammer_control_start(struct hammer *h, struct diag *diag);

#endif
