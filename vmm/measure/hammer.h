/*
 * measure/hammer.h - the experiment of `tollgate hammer`: a guest makes one access as fast as it can, and
 * what each costs is measured against a bare KVM_RUN loop.
 *
 * The vCPU thread alternates between dispatching HAMMER_CHUNK exits as `tollgate run` does, letting as many return from
 * KVM_RUN without dispatch, and doing the latter in a VM that has only memory and interrupt chips. So whatever disturbs
 * the machine disturbs all; a rate is that of the median chunk. With hit, the guest's write signals an
 * ioeventfd; what alternates is whether that ioeventfd is registered.
 */
#ifndef VMM_MEASURE_HAMMER_H
#define VMM_MEASURE_HAMMER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/diag.h"
#include "config.h"
#include "iobus.h"
#include "vm_end.h"

enum {
	HAMMER_PAIRS = 9,
	HAMMER_CHUNK = 128,            /* exits between two readings of the clock */
	HAMMER_IOEVENTFDS_MAX = 65535, /* 2-byte datamatches that differ from the guest's 0 */
	HAMMER_IOEVENTFDS_1_BYTE_MAX = 255,
};

#define HAMMER_MMIO_MAX (UINT64_C(0xffffffff) - 7) /* the guest's addresses have 32 bits */

enum hammer_hit {
	HAMMER_HIT_NONE,
	HAMMER_HIT_FIRST, /* of the ioeventfds, in the order of registration */
	HAMMER_HIT_MIDDLE,
	HAMMER_HIT_LAST,
};

struct hammer_opts {
	struct config config; /* memory and CPUs */
	enum iobus_space space;
	uint64_t addr;
	unsigned width; /* bytes */
	bool in;
	unsigned ioeventfds;
	unsigned ioeventfd_width; /* bytes of each datamatch: 1 or 2 */
	bool same_byte; /* on the address that is hammered; else on HAMMER_OTHER bytes on */
	enum hammer_hit hit;
	unsigned ranges;
	uint64_t count;      /* accesses of each CPU; 0: by time */
	int64_t duration_ns; /* when count is 0 */
};

/* Where the ioeventfds are when they are not on the address that is hammered. */
#define HAMMER_OTHER_OFFSET UINT64_C(8)

/* One side of a pair: rates are accesses per second, all CPUs together. */
struct hammer_result {
	unsigned nr_pairs;               /* 0: too few accesses, or hits by count */
	double rate[HAMMER_PAIRS];       /* dispatched exits, or hits */
	double rate_other[HAMMER_PAIRS]; /* the bare loop; with hit, the same write as an exit */
	double rate_floor[HAMMER_PAIRS]; /* a bare loop in an empty VM; 0 with hit */
	uint64_t guest_count;            /* the guest's own */
	uint64_t dispatched;             /* the bus's counter of the hammered range */
	uint64_t bare;                   /* exits that the bare loop took */
	uint64_t hits;                   /* sum of the eventfds */
	struct vm_end end;
	bool config_in_use; /* by a thread that has not ended: it must stay until the process ends */
};

/*
 * Runs it. Prints a line to log for each device whose I/O thread does not end. -EINVAL and other -errno
 * with diag: what cannot be set up, a guest that ended in another way, and -EPROTO when the counts do not
 * agree.
 */
int hammer_run(const struct hammer_opts *opts, FILE *log, struct hammer_result *ret,
	       struct diag *diag);

/*
 * Checks a result as hammer_run() does: that the guest exited by itself (-EPROTO, or -EINTR when it was killed),
 * and that every access it made was counted once, as an exit or as a hit (-EPROTO).
 */
int hammer_check(const struct hammer_result *res, struct diag *diag);

#endif
