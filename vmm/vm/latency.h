/*
 * latency.h - how long exits took, by reason and device: room for it, and its part of the statistics.
 *
 * Threads: may run alongside the vCPUs; numbers are then recent ones.
 */
#ifndef VMM_VM_LATENCY_H
#define VMM_VM_LATENCY_H

#include <stdio.h>

#include "base/json.h"
#include "vcpu/latency.h"

struct vm;

/* The exits that a row of the vCPUs' histograms is about. */
struct vm_latency_row {
	uint32_t reason;
	const char *access; /* "read", "write"; NULL: no access */
	const char *device; /* the machine's; NULL: none claims it */
};

/* Zeroed: not measured. */
struct vm_latency {
	struct vcpu_latency_map map;
	struct vm_latency_row *row; /* map.nr_rows of them */
	int64_t clock_ns;           /* the least that two readings of the clock differ by */
};

/* After device[i] went off the buses, or back: whether its accesses count as the device's. Nothing if not measured. */
void vm_latency_plug(struct vm *vm, unsigned i, bool plugged);

/* A table for a person, of the rows that have an exit. Nothing when it is not measured. -ENOMEM. */
int vm_latency_print(FILE *out, const struct vm *vm);

/* docs/reference/stats.md describes it. NULL when it is not measured, or without memory. */
struct json_object *vm_latency_json(const struct vm *vm);

#endif
