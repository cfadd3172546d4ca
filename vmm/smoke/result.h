/* result.h - all that is known of one boot when it is over, for the reports. */
#ifndef VMM_SMOKE_RESULT_H
#define VMM_SMOKE_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "smoke/judge/ktap.h"
#include "smoke/judge/outcome.h"
#include "smoke/judge/splat.h"
#include "smoke/suite.h"
#include "smoke/tail.h"
#include "vcpu.h"

enum { SMOKE_WHY_MAX = 640 };

/* CLOCK_MONOTONIC; 0: never came so far. */
struct smoke_times {
	int64_t start_ns;      /* its process was made */
	int64_t guest_ns;      /* set-up is over: the guest's first instruction */
	int64_t first_byte_ns; /* on the console */
	int64_t init_ns;       /* the kernel hands over to /init */
	int64_t decided_ns;    /* a pattern or a limit decided, before the VM ended */
	int64_t end_ns;        /* the VM has ended */
};

struct smoke_result {
	const struct smoke_spec *spec; /* borrowed */
	enum smoke_outcome outcome;
	int status;       /* exit status that stands for it */
	bool was_started; /* else we were stopped before it was started */
	bool host_failed; /* its process could not even be made */
	struct smoke_facts facts;
	char why[SMOKE_WHY_MAX]; /* one clean line: what decided */
	char end_by[64];         /* who ended the VM; may be empty */
	const char *entered_by;  /* boot_protocol_name() of the kernel; NULL: not known */
	struct diag diag;        /* set-up failed */
	int64_t started_real_ns; /* CLOCK_REALTIME at times.start_ns */
	struct smoke_times times;
	int64_t met_ns[SMOKE_RULES_MAX]; /* by index of the rule: when it was met, 0: never */
	int64_t cpu_ns, guest_cpu_ns;    /* of its process: all, and inside the guest */
	uint64_t bytes[SMOKE_STREAMS];   /* that the guest printed */
	uint64_t too_dear;
	bool has_exits;
	uint64_t exits[VCPU_EXIT_REASONS];
	struct smoke_tests tests;   /* that the guest ran */
	struct smoke_splats splats; /* of the kernel */
	struct smoke_tail tail;
	bool has_core; /* spec->core was written */
	char *report;  /* registers and exits; clean text, NULL: none */
};

void smoke_result_fini(struct smoke_result *result);

/* The id of the message in why (base/diag.h); NULL for a boot whose why is not a message of the VMM. */
const char *smoke_result_id(const struct smoke_result *result);

/*
 * Fills in outcome, status and why of what is known; decided_text is the line that decided, or empty,
 * decided_by its rule, or NULL.
 */
void smoke_result_conclude(struct smoke_result *result, const struct smoke_rule *decided_by,
			   const char *decided_text);

/* How far it is: the last --phase-timeout phase it reached, or "set-up", "kernel", "/init". Clean. */
const char *smoke_result_stage(const struct smoke_result *result);

#endif
