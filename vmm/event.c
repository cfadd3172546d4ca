#include "event.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/macros.h"

static void wake_ready(struct event_source *src, uint32_t epoll_events)
{
	struct event_loop *loop = container_of(src, struct event_loop, wake);
	uint64_t n;

	(void)epoll_events;
	if (read(src->fd, &n, sizeof(n)) == sizeof(n) && loop->woken)
		loop->woken(loop->woken_arg);
}

int event_loop_init(struct event_loop *loop, void (*woken)(void *arg), void *arg)
{
	int r;

	*loop = (struct event_loop){.woken = woken, .woken_arg = arg};
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return -errno;
	loop->wake = (struct event_source){
		.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.events = EPOLLIN,
		.ready = wake_ready,
	};
	r = loop->wake.fd < 0 ? -errno : event_loop_add(loop, &loop->wake);
	if (r < 0)
		event_loop_fini(loop);
	return r;
}

void event_loop_fini(struct event_loop *loop)
{
	if (loop->wake.fd > 0)
		close(loop->wake.fd);
	if (loop->epoll_fd > 0)
		close(loop->epoll_fd);
	*loop = (struct event_loop){0};
}

/*
 * The events that epoll is asked for. It reports EPOLLERR and EPOLLHUP unasked, which for a source that nothing
 * is wanted of would be a loop without end: edge-triggered, they come once, and once is ignored.
 */
static struct epoll_event epoll_interest(struct event_source *src)
{
	return (struct epoll_event){
		.events = src->events ? src->events : (uint32_t)EPOLLET,
		.data.ptr = src,
	};
}

int event_loop_add(struct event_loop *loop, struct event_source *src)
{
	struct epoll_event ev = epoll_interest(src);

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, src->fd, &ev) < 0) {
		if (errno != EPERM || loop->nr_always == EVENT_ALWAYS_READY_MAX)
			return -errno;
		src->always_ready = true;
		loop->always[loop->nr_always++] = src;
	}
	src->added = true;
	return 0;
}

void event_loop_want(struct event_loop *loop, struct event_source *src, uint32_t events)
{
	if (!src->added || src->events == events)
		return;
	src->events = events;
	if (!src->always_ready) {
		struct epoll_event ev = epoll_interest(src);
		int r = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, src->fd, &ev);

		assert(r == 0);
		(void)r;
	}
}

void event_loop_remove(struct event_loop *loop, struct event_source *src)
{
	if (!src->added)
		return;
	src->added = false;
	if (!src->always_ready) {
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, src->fd, NULL);
		return;
	}
	for (unsigned i = 0; i < loop->nr_always; i++) {
		if (loop->always[i] == src) {
			loop->always[i] = loop->always[--loop->nr_always];
			break;
		}
	}
}

/* Runs the sources that epoll cannot watch; true when one of them still wants to run. */
static bool run_always_ready(struct event_loop *loop)
{
	bool more = false;

	for (unsigned i = loop->nr_always; i-- > 0;) {
		struct event_source *src = loop->always[i];

		if (!src->events)
			continue;
		src->ready(src, src->events);
		more |= src->added && src->events;
	}
	return more;
}

void event_loop_run(struct event_loop *loop)
{
	while (!atomic_load(&loop->stop)) {
		struct epoll_event ev[8];
		int timeout_ms = run_always_ready(loop) ? 0 : -1;
		int n = epoll_wait(loop->epoll_fd, ev, ARRAY_SIZE(ev), timeout_ms);

		/* A ready function may remove another source: its pointer stays valid, see added. */
		for (int i = 0; i < n; i++) {
			struct event_source *src = ev[i].data.ptr;

			if (src->added && src->events)
				src->ready(src, ev[i].events);
		}
	}
}

void event_loop_wake(struct event_loop *loop)
{
	const uint64_t one = 1;
	ssize_t n = write(loop->wake.fd, &one, sizeof(one));

	/* EAGAIN: the counter is full, so the loop is about to wake anyway. */
	assert(n == sizeof(one) || errno == EAGAIN);
	(void)n;
}

void event_loop_stop(struct event_loop *loop)
{
	atomic_store(&loop->stop, true);
	event_loop_wake(loop);
}
