/*
 * internal.h - what the parts of one boot's supervision share: trial.c, its streams and its process; trial/clock.c,
 * its limits of time and its stop; trial/messages.c, the messages of its process. For these alone; one thread.
 */
#ifndef VMM_SMOKE_TRIAL_INTERNAL_H
#define VMM_SMOKE_TRIAL_INTERNAL_H

#include <sys/types.h>

#include "smoke/trial.h"

static inline bool trial_is_running(const struct smoke_trial *trial)
{
	return trial->state == SMOKE_TRIAL_RUNNING;
}

/* Whether the VM is set up: silence and phases count from the guest's first instruction on. */
static inline bool trial_has_guest(const struct smoke_trial *trial)
{
	return trial->result->times.guest_ns != 0;
}

static inline int64_t trial_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/*
 * trial.c
 */

/*
 * Acts on the judge's finding: stops the boot at once, or waits for the rest of a panic. The last byte
 * decided, though a prompt is known for one only when nothing has followed for a while.
 */
void smoke_trial_look_at_finding(struct smoke_trial *trial);

/* While nobody has room for more of the guest's output, it waits in its pipes; limits of time are kept. */
void smoke_trial_look_at_room(struct smoke_trial *trial);

/*
 * trial/clock.c
 */

/* From now on the boot is in that state. */
void smoke_trial_enter(struct smoke_trial *trial, enum smoke_trial_state state);

/* A process that is gone already is not an error. One that still sets up has nothing to report. */
void smoke_trial_stop_vm(struct smoke_trial *trial);

/* The phase that is to come and has a limit; NULL when none is. */
const struct smoke_rule *smoke_trial_phase_awaited(const struct smoke_trial *trial);

/* Sets the timer to the earliest limit. Only ever earlier: a timer that fires too early looks again. */
void smoke_trial_arm(struct smoke_trial *trial);

/* smoke_trial.timer has expired; arg is the trial. */
void smoke_trial_timer_expired(void *arg);

/*
 * trial/messages.c
 */

/* A piece of the process's messages: how many bytes; 0 when there are none now, or never more. */
size_t smoke_trial_read_report(struct smoke_trial *trial);

/* smoke_trial.report has something to read, or has ended. */
void smoke_trial_report_ready(struct event_source *src, uint32_t epoll_events);

/*
 * The report's text, only what is safe to print: the process may not be what it was (wire.h). The caller frees it;
 * NULL: none.
 */
char *smoke_trial_clean_report(const struct smoke_trial *trial);

#endif
