/*
 * latency.h - how long Tollgate takes for an exit: from KVM_RUN's return to its next call, in a histogram for each
 * kind of exit. Room is made before the vCPU runs.
 *
 * Threads: the vCPU's own adds; others may read alongside it.
 */
#ifndef VMM_VCPU_LATENCY_H
#define VMM_VCPU_LATENCY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "iobus.h"

struct kvm_run;

enum {
	/* Rows of exits that are not an access: the reasons after which a vCPU runs on. */
	VCPU_LATENCY_REASONS = 7,
	/* Then those of unclaimed accesses, and of the ranges: from a range's row on, a read's and a write's. */
	VCPU_LATENCY_UNCLAIMED_PIO = VCPU_LATENCY_REASONS,
	VCPU_LATENCY_UNCLAIMED_MMIO = VCPU_LATENCY_UNCLAIMED_PIO + 2,
	VCPU_LATENCY_RANGES = VCPU_LATENCY_UNCLAIMED_MMIO + 2,
};

struct vcpu_latency_range {
	uint64_t first, len; /* bytes */
	unsigned row;
	_Atomic bool plugged; /* else its accesses are unclaimed */
};

/* Where accesses count, the same for all vCPUs of a VM. While they run, only plugged changes. */
struct vcpu_latency_map {
	struct vcpu_latency_range *range[2]; /* by enum iobus_space, in the order of addresses */
	size_t nr_ranges[2];
	unsigned nr_rows; /* of all kinds */
};

struct vcpu_latency {
	const struct vcpu_latency_map *map; /* borrowed */
	struct histogram row[];             /* ns */
};

/* NULL: no memory. To be freed. */
struct vcpu_latency *vcpu_latency_create(const struct vcpu_latency_map *map);

/* KVM_EXIT_* of one of the first rows, and of accesses. */
uint32_t vcpu_latency_reason(unsigned row);
uint32_t vcpu_latency_access_reason(enum iobus_space space);

/* On the vCPU's thread: ns of the exit that is in run; r: of KVM_RUN, where an interruption is an exit, too. */
void vcpu_latency_add(struct vcpu_latency *latency, const struct kvm_run *run, int r, int64_t ns);

#endif
