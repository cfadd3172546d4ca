/* limits.h - how many boots fit this host at once, by memory and CPUs. */
#ifndef VMM_SMOKE_LIMITS_H
#define VMM_SMOKE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "smoke/suite.h"

struct smoke_limits {
	uint64_t mem_bytes; /* for guests and what each costs besides its memory */
	unsigned cpus;
	unsigned jobs; /* 0: no number was asked for, CPUs count */
};

/* The load of the boots that run. */
struct smoke_load {
	uint64_t mem_bytes;
	unsigned cpus, jobs;
};

/*
 * Reads the limits of this process: CPUs by its affinity, memory by MemAvailable, both by its control group
 * and those above it (cgroup v2: cpu.max, memory.max). root is where the files are looked for: "".
 */
void smoke_limits_read(const char *root, unsigned jobs, struct smoke_limits *ret);

/* Whether one more may run alongside the load. One alone always may. */
bool smoke_limits_admit(const struct smoke_limits *limits, const struct smoke_load *load,
			const struct smoke_spec *spec);

void smoke_load_add(struct smoke_load *load, const struct smoke_spec *spec);
void smoke_load_remove(struct smoke_load *load, const struct smoke_spec *spec);

#endif
