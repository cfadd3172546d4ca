/*
 * event/guest_clock.h - the host's clocks as a VM's devices read them: a clock that can be stopped, and goes on from
 * where it stood; and timers that stand with it.
 *
 * Threads: any may read. It is stopped and started by one, while no thread reads it that could not bear to find it
 * half changed: the vCPUs and I/O threads are parked then.
 */
#ifndef VMM_EVENT_GUEST_CLOCK_H
#define VMM_EVENT_GUEST_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

#include "device/lines.h"
#include "event.h"

struct guest_clock {
	struct clock_src src;         /* for devices */
	const struct clock_src *host; /* borrowed */
	atomic_int_fast64_t stood_ns; /* how long it stood still, all stops that are over */
	atomic_int_fast64_t since_ns; /* monotonic_ns of host: when it was stopped; 0: it runs */
};

extern const struct clock_src guest_clock_host; /* CLOCK_REALTIME and CLOCK_MONOTONIC */

void guest_clock_init(struct guest_clock *clock, const struct clock_src *host);

/* Each has no effect when it is so already. */
void guest_clock_stop(struct guest_clock *clock);
void guest_clock_start(struct guest_clock *clock);

/* When the host's monotonic clock will show what this one calls deadline_ns; INT64_MAX while it is stopped. */
int64_t guest_clock_to_host(const struct guest_clock *clock, int64_t deadline_ns);

/* A device's timer, whose deadlines are this clock's; expired(arg) runs on the loop's thread. */
struct guest_timer {
	struct timer_line line;
	struct event_timer timer;
	const struct guest_clock *clock; /* borrowed */
	atomic_int_fast64_t
		deadline_ns; /* what it was armed for; INT64_MAX: it is not, or expired */
	void (*expired)(void *arg);
	void *arg; /* set before the loop runs */
};

/* It stays where it is. Returns 0, or -errno: then the timer is not there. */
int guest_timer_init(struct guest_timer *timer, struct event_loop *loop,
		     const struct guest_clock *clock, void (*expired)(void *arg), void *arg);
void guest_timer_fini(struct guest_timer *timer); /* takes one that is not there, as a zeroed one */
/* Its clock was stopped or started: it waits with it, or goes on. Nobody arms it now. Takes one that is not there. */
void guest_timer_follow(struct guest_timer *timer);

#endif
