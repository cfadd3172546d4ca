/*
 * event.h - the event thread's loop: epoll over host descriptors, timers and a wake-up call.
 *
 * One thread runs event_loop_run(); only event_loop_wake(), event_loop_stop() and the functions
 * that arm an event_timer may be called from other threads.
 */
#ifndef VMM_EVENT_H
#define VMM_EVENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/lines.h"

enum { EVENT_ALWAYS_READY_MAX = 8 };

struct event_source {
	int fd;
	void (*ready)(struct event_source *src, uint32_t epoll_events);
	uint32_t events; /* EPOLLIN, EPOLLOUT, …; 0: not even an error or a hang-up is reported */
	bool always_ready; /* a regular file or /dev/null: epoll does not take those */
	bool added;
};

struct event_loop {
	int epoll_fd;
	struct event_source wake; /* an eventfd */
	void (*woken)(void *arg);
	void *woken_arg;
	atomic_bool stop;
	struct event_source *always[EVENT_ALWAYS_READY_MAX];
	unsigned nr_always;
};

/*
 * woken(arg) runs on the loop's thread after each event_loop_wake(); several calls may become one.
 * Returns 0 or -errno; loop needs event_loop_fini() only after success.
 */
int event_loop_init(struct event_loop *loop, void (*woken)(void *arg), void *arg);
void event_loop_fini(struct event_loop *loop); /* takes a zeroed loop too */

/* Adds src with src->events. The loop borrows src and its fd. Returns 0 or -errno. */
int event_loop_add(struct event_loop *loop, struct event_source *src);
/* Changes what src waits for; 0 for nothing, until the next change. */
void event_loop_want(struct event_loop *loop, struct event_source *src, uint32_t events);
void event_loop_remove(struct event_loop *loop, struct event_source *src);

/* Runs until event_loop_stop(). */
void event_loop_run(struct event_loop *loop);

/* Any thread, and signal handlers. */
void event_loop_wake(struct event_loop *loop);
void event_loop_stop(struct event_loop *loop);

/* A timer of CLOCK_MONOTONIC on a timerfd: when it expires, expired(arg) runs on the loop's thread. */
struct event_timer {
	struct event_source src;
	struct event_loop *loop; /* NULL: not there */
	void (*expired)(void *arg);
	void *arg; /* set before the loop runs */
};

/* It is disarmed. Returns 0, or -errno: then the timer is not there. */
int event_timer_init(struct event_timer *timer, struct event_loop *loop, void (*expired)(void *arg),
		     void *arg);
void event_timer_fini(struct event_timer *timer); /* takes one that is not there, as a zeroed one */

/* Each replaces the last one, also when it has expired and expired() has not run yet. Any thread. */
void event_timer_arm(const struct event_timer *timer, int64_t deadline_ns); /* INT64_MAX disarms */
void event_timer_arm_in(const struct event_timer *timer, int64_t ns);       /* once */
void event_timer_arm_every(const struct event_timer *timer, int64_t period_ns);
/* Until it expires; 0 when it is disarmed, or expired() is about to run. */
int64_t event_timer_left_ns(const struct event_timer *timer);

#endif
