#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "event.h"

static void timer_set(const struct event_timer *timer, int flags, const struct itimerspec *spec)
{
	int r = timerfd_settime(timer->src.fd, flags, spec, NULL);

	assert(r == 0);
	(void)r;
}

void event_timer_arm(const struct event_timer *timer, int64_t deadline_ns)
{
	struct itimerspec spec = {0};

	if (deadline_ns != INT64_MAX) /* all zero would disarm */
		spec.it_value = clock_timespec(deadline_ns < 1 ? 1 : deadline_ns);
	timer_set(timer, TFD_TIMER_ABSTIME, &spec);
}

void event_timer_arm_in(const struct event_timer *timer, int64_t ns)
{
	const struct itimerspec spec = {.it_value = clock_timespec(ns < 1 ? 1 : ns)};

	timer_set(timer, 0, &spec);
}

void event_timer_arm_every(const struct event_timer *timer, int64_t period_ns)
{
	const struct timespec period = clock_timespec(period_ns);
	const struct itimerspec spec = {.it_value = period, .it_interval = period};

	assert(period_ns > 0);
	timer_set(timer, 0, &spec);
}

int64_t event_timer_left_ns(const struct event_timer *timer)
{
	struct itimerspec spec = {0};
	int r = timerfd_gettime(timer->src.fd, &spec);

	assert(r == 0);
	(void)r;
	return spec.it_value.tv_sec * NS_PER_S + spec.it_value.tv_nsec;
}

static void event_timer_ready(struct event_source *src, uint32_t epoll_events)
{
	struct event_timer *timer = container_of(src, struct event_timer, src);
	uint64_t n;

	(void)epoll_events;
	if (read(src->fd, &n, sizeof(n)) != sizeof(n))
		return; /* armed anew since it expired */
	timer->expired(timer->arg);
}

int event_timer_init(struct event_timer *timer, struct event_loop *loop, void (*expired)(void *arg),
		     void *arg)
{
	int r;

	*timer = (struct event_timer){
		.src = {.events = EPOLLIN, .ready = event_timer_ready},
		.expired = expired,
		.arg = arg,
	};
	timer->src.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (timer->src.fd < 0)
		return -errno;
	timer->loop = loop;
	r = event_loop_add(loop, &timer->src);
	if (r < 0)
		event_timer_fini(timer);
	return r;
}

void event_timer_fini(struct event_timer *timer)
{
	if (!timer->loop)
		return;
	event_loop_remove(timer->loop, &timer->src);
	close(timer->src.fd);
	timer->loop = NULL;
}
