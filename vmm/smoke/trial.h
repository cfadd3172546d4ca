/*
 * trial.h - one boot, seen by the supervisor: its process, what it prints, its clocks; when to end it,
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

enum smoke_boot_state {
	SMOKE_BOOT_RUNNING,
	SMOKE_BOOT_GRACE,    /* trouble was seen; what belongs to it may follow */
	SMOKE_BOOT_STOPPING, /* the VM was told to end */
	SMOKE_BOOT_KILLED,   /* it did not, and its process is gone soon */
};

/* Hears of a boot. The functions must not call back. */
struct smoke_boot_sink {
	/* A whole line of the guest's. */
	void (*line)(struct smoke_boot_sink *sink, const struct smoke_line *line);
	/* Its guest is about to start; emulates_linux: see vm.h. */
	void (*guest)(struct smoke_boot_sink *sink, bool emulates_linux);
	/* Whether more lines may come now. Until then the guest's output is left where it is, some may follow. */
	bool (*has_room)(struct smoke_boot_sink *sink);
};

struct smoke_boot {
	const struct smoke_spec *spec;
	struct smoke_result *result;
	struct event_loop *loop;
	void (*done)(struct smoke_boot *boot, void *arg);
	void *done_arg;
	struct smoke_boot_sink *sink;

	enum smoke_boot_state state;
	struct smoke_child child;
	struct event_source stream[SMOKE_STREAMS], report, process, timer;
	int64_t last_byte_ns, phase_since_ns, state_since_ns, armed_ns;
	int64_t held_ns; /* when sink had no room; 0: the streams are read */
	bool was_quiet;  /* the judge knows that nothing follows for now */

	struct smoke_judge_sink judge_sink;
	struct smoke_judge judge;
	const struct smoke_rule *decided_by; /* of the last marked line */
	char decided_text[SMOKE_TAIL_TEXT_MAX];

	struct smoke_msg msg; /* while it comes */
	size_t msg_len;
	char *report_text; /* SMOKE_WIRE_REPORT_MAX */
	size_t report_len;
};

struct smoke_boot_opts {
	const struct smoke_spec *spec;
	struct smoke_result *result; /* zeroed; filled by the end */
	struct event_loop *loop;
	struct smoke_boot_sink *sink; /* NULL: nobody hears */
	void (*done)(struct smoke_boot *boot, void *arg);
	void *done_arg;
};

/*
 * Makes the process. done() is called once, later, from the loop, when result is complete. All of opts
 * is borrowed until then. -errno with diag.
 */
int smoke_boot_create(const struct smoke_boot_opts *opts, struct smoke_boot **ret,
		      struct diag *diag);

/* Not before the loop has ended. Takes NULL and one that is not done; returns NULL. */
struct smoke_boot *smoke_boot_destroy(struct smoke_boot *boot);

/* Ends it, as told by a signal; done() comes soon. Again: at once. */
void smoke_boot_stop(struct smoke_boot *boot);

#endif
