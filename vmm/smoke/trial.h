/*
 * trial.h - a trial: one boot, seen by the supervisor: its process, what it prints, its clocks; when to end it,
 * and how it ended.
 *
 * All on the supervisor's only thread. Whatever the guest does, a boot costs this much memory and at
 * most its limits of time.
 */
#ifndef VMM_SMOKE_TRIAL_H
#define VMM_SMOKE_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"
#include "smoke/child.h"
#include "smoke/judge.h"
#include "smoke/result.h"
#include "smoke/wire.h"

enum smoke_trial_state {
	SMOKE_TRIAL_RUNNING,
	SMOKE_TRIAL_GRACE,    /* trouble was seen; what belongs to it may follow */
	SMOKE_TRIAL_ASKING,   /* a limit was reached; the guest is asked what it does */
	SMOKE_TRIAL_STOPPING, /* the VM was asked to end */
	SMOKE_TRIAL_KILLED,   /* it did not, and its process is gone soon */
};

/* Hears of a boot. The functions must not call back. */
struct smoke_trial_sink {
	/* A whole line of the guest's. */
	void (*line)(struct smoke_trial_sink *sink, const struct smoke_line *line);
	/* Its guest is about to start; emulates_linux: see vm.h. */
	void (*guest)(struct smoke_trial_sink *sink, bool emulates_linux);
	/* Whether more lines may come now. Until then the guest's output is left where it is, some may follow. */
	bool (*has_room)(struct smoke_trial_sink *sink);
};

struct smoke_trial {
	const struct smoke_spec *spec;
	struct smoke_result *result;
	struct event_loop *loop;
	void (*done)(struct smoke_trial *trial, void *arg);
	void *done_arg;
	struct smoke_trial_sink *sink;

	enum smoke_trial_state state;
	struct smoke_child child;
	struct event_source stream[SMOKE_STREAMS], report, process;
	struct event_timer timer;
	int64_t last_byte_ns, phase_since_ns, state_since_ns, armed_ns;
	int64_t core_since_ns; /* its guest has ended, and it may write the core; 0: not yet */
	int64_t held_ns;       /* when sink had no room; 0: the streams are read */
	bool is_linux;
	unsigned asked; /* keys of SysRq that it was sent */
	bool was_quiet; /* the judge knows that nothing follows for now */

	struct smoke_judge_sink judge_sink;
	struct smoke_judge judge;
	const struct smoke_rule *decided_by; /* of the last marked line */
	char decided_text[SMOKE_TAIL_TEXT_MAX];

	struct smoke_msg msg; /* while it comes */
	size_t msg_len;
	char *report_text; /* SMOKE_WIRE_REPORT_MAX */
	size_t report_len;
};

struct smoke_trial_opts {
	const struct smoke_spec *spec;
	struct smoke_result *result; /* zeroed; filled by the end */
	struct event_loop *loop;
	struct smoke_trial_sink *sink; /* NULL: nobody hears */
	void (*done)(struct smoke_trial *trial, void *arg);
	void *done_arg;
	/* Makes the process: smoke_child_start(), or another one that keeps its promises. */
	int (*start)(const struct smoke_spec *spec, struct smoke_child *ret, struct diag *diag);
};

/*
 * Makes the process. done() is called once, later, from the loop, when result is complete. All of opts
 * is borrowed until then. -errno with diag.
 */
int smoke_trial_create(const struct smoke_trial_opts *opts, struct smoke_trial **ret,
		       struct diag *diag);

/* Not before the loop has ended. Takes NULL and one that is not done; returns NULL. */
struct smoke_trial *smoke_trial_destroy(struct smoke_trial *trial);

/* Ends it, for SMOKE_STOP_SIGNAL or SMOKE_STOP_FAIL_FAST; done() comes soon. Again: at once. */
void smoke_trial_stop(struct smoke_trial *trial, enum smoke_stop why);

#endif
