#include "event/io_thread.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/thread.h"

static void doorbell_ready(struct event_source *src, uint32_t epoll_events)
{
	struct io_doorbell *queue = container_of(src, struct io_doorbell, src);
	const struct io_thread *io = queue->owner;
	const uint64_t rings = ioeventfd_read(&queue->io);

	(void)epoll_events;
	__atomic_store_n(&queue->rings, queue->rings + rings, __ATOMIC_RELAXED);
	io->dev->cls->io->kick(io->dev, (unsigned)(queue - io->queue));
}

/* Between two operations, as the loop calls it. */
static void park_here(struct io_thread *io)
{
	pthread_mutex_lock(&io->lock);
	while (io->park && !atomic_load(&io->loop.stop)) {
		io->is_parked = true;
		pthread_cond_broadcast(&io->changed);
		pthread_cond_wait(&io->changed, &io->lock);
	}
	io->is_parked = false;
	pthread_mutex_unlock(&io->lock);
}

static void control_ready(void *arg)
{
	struct io_thread *io = arg;

	park_here(io);
	io->dev->cls->io->control(io->dev);
}

static void bell_ring(struct doorbell *bell, unsigned queue)
{
	struct io_thread *io = container_of(bell, struct io_thread, bell);
	const uint64_t one = 1;
	ssize_t n;

	assert(queue < io->nr_queues);
	n = write(io->queue[queue].io.fd, &one, sizeof(one));
	/* EAGAIN: the counter is full, so the thread is about to look anyway. */
	assert(n == sizeof(one) || errno == EAGAIN);
	(void)n;
}

static void bell_control(struct doorbell *bell)
{
	event_loop_wake(&container_of(bell, struct io_thread, bell)->loop);
}

static uint64_t write_counter_take(struct write_counter *counter)
{
	struct io_counter *writes = container_of(counter, struct io_counter, counter);
	const uint64_t n = ioeventfd_read(&writes->io);

	__atomic_store_n(&writes->taken, writes->taken + n, __ATOMIC_RELAXED);
	return n;
}

static void counter_watch(struct write_counter *counter, bool on)
{
	struct io_counter *writes = container_of(counter, struct io_counter, counter);

	event_loop_want(&writes->owner->loop, &writes->src, on ? EPOLLIN : 0);
}

static void counter_ready(struct event_source *src, uint32_t epoll_events)
{
	const struct io_counter *writes = container_of(src, struct io_counter, src);
	const struct io_thread *io = writes->owner;

	(void)epoll_events;
	io->dev->cls->io->counted(io->dev);
}

int io_thread_init(struct io_thread *io, struct diag *diag)
{
	int r = event_loop_init(&io->loop, control_ready, io);

	if (r < 0)
		return diag_set(diag, r, "io-thread-loop", "event loop of an I/O thread");
	pthread_mutex_init(&io->lock, NULL);
	pthread_cond_init(&io->changed, NULL);
	io->bell = (struct doorbell){.ring = bell_ring, .control = bell_control};
	io->writes = (struct io_counter){
		.counter = {.take = write_counter_take, .watch = counter_watch},
		.io = {.fd = -1},
		.owner = io,
	};
	return 0;
}

int io_thread_attach(struct io_thread *io, struct device *dev, struct diag *diag)
{
	const unsigned nr_queues = dev->cls->io->nr_queues(dev);
	int r = 0;

	assert(!io->queue);
	io->dev = dev;
	io->queue = calloc(nr_queues, sizeof(*io->queue));
	if (!io->queue)
		return diag_set(diag, -ENOMEM, "io-thread-memory", "%u doorbells", nr_queues);
	while (r == 0 && io->nr_queues < nr_queues) {
		struct io_doorbell *queue = &io->queue[io->nr_queues];

		queue->owner = io;
		r = ioeventfd_init(&queue->io, diag);
		if (r < 0)
			break;
		io->nr_queues++;
		queue->src = (struct event_source){
			.fd = queue->io.fd,
			.events = EPOLLIN,
			.ready = doorbell_ready,
		};
		r = event_loop_add(&io->loop, &queue->src);
		if (r < 0)
			diag_set(diag, r, "doorbell-watch", "watch a doorbell");
	}
	return r;
}

int io_thread_listen(struct io_thread *io, const struct kvm *kvm, uint64_t addr, struct diag *diag)
{
	const bool wildcard = io->nr_queues == 1 && ioeventfd_takes_any_length(kvm);
	int r = 0;

	if (!ioeventfd_supported(kvm))
		return 0;
	for (unsigned i = 0; r == 0 && i < io->nr_queues; i++) {
		struct ioeventfd *one = &io->queue[i].io;

		one->space = IOBUS_MMIO;
		one->addr = addr;
		one->len = wildcard ? 0 : sizeof(uint32_t);
		one->has_data = !wildcard;
		one->data = wildcard ? 0 : i;
		r = ioeventfd_register(one, kvm, diag);
	}
	return r;
}

bool io_thread_count(struct io_thread *io, const struct kvm *kvm, uint64_t addr, uint32_t val)
{
	struct io_counter *writes = &io->writes;

	if (!ioeventfd_supported(kvm) || ioeventfd_init(&writes->io, NULL) < 0)
		return false;
	writes->io.space = IOBUS_MMIO;
	writes->io.addr = addr;
	writes->io.len = sizeof(val);
	writes->io.has_data = true;
	writes->io.data = val;
	writes->src = (struct event_source){.fd = writes->io.fd, .ready = counter_ready};
	if (event_loop_add(&io->loop, &writes->src) == 0 &&
	    ioeventfd_register(&writes->io, kvm, NULL) == 0)
		return true;
	event_loop_remove(&io->loop, &writes->src);
	ioeventfd_fini(&writes->io, kvm);
	return false;
}

void io_thread_deafen(struct io_thread *io, const struct kvm *kvm)
{
	for (unsigned i = 0; i < io->nr_queues; i++)
		ioeventfd_unregister(&io->queue[i].io, kvm);
	ioeventfd_unregister(&io->writes.io, kvm);
}

int io_thread_hear(struct io_thread *io, const struct kvm *kvm, struct diag *diag)
{
	int r = ioeventfd_register_again(&io->writes.io, kvm, diag);

	for (unsigned i = 0; r == 0 && i < io->nr_queues; i++)
		r = ioeventfd_register_again(&io->queue[i].io, kvm, diag);
	if (r < 0)
		io_thread_deafen(io, kvm);
	return r;
}

static void *io_thread_main(void *arg)
{
	struct io_thread *io = arg;

	atomic_store(&io->tid, gettid());
	event_loop_run(&io->loop);
	atomic_store(&io->ending, true);
	io->dev->cls->io->end(io->dev);
	pthread_mutex_lock(&io->lock);
	io->has_ended = true;
	pthread_cond_broadcast(&io->changed);
	pthread_mutex_unlock(&io->lock);
	return NULL;
}

int io_thread_start(struct io_thread *io, enum thread_role role, const char *name,
		    struct diag *diag)
{
	int r = thread_start(&io->thread, role, name, io_thread_main, io);

	if (r < 0)
		return diag_set(diag, r, "io-thread-start", "start the I/O thread of '%s'", name);
	io->started = true;
	return 0;
}

void io_thread_park(struct io_thread *io)
{
	pthread_mutex_lock(&io->lock);
	io->park = true;
	pthread_mutex_unlock(&io->lock);
	event_loop_wake(&io->loop);
}

bool io_thread_await_parked(struct io_thread *io, int64_t until_ns)
{
	const struct timespec until = clock_timespec(until_ns);
	bool is_parked;
	int r = 0;

	pthread_mutex_lock(&io->lock);
	while (!io->is_parked && r == 0)
		r = pthread_cond_clockwait(&io->changed, &io->lock, CLOCK_MONOTONIC, &until);
	is_parked = io->is_parked;
	pthread_mutex_unlock(&io->lock);
	return is_parked;
}

void io_thread_unpark(struct io_thread *io)
{
	pthread_mutex_lock(&io->lock);
	io->park = false;
	pthread_cond_broadcast(&io->changed);
	pthread_mutex_unlock(&io->lock);
}

void io_thread_stop(struct io_thread *io)
{
	if (!io->started)
		return;
	event_loop_stop(&io->loop);
	io_thread_unpark(io);
}

bool io_thread_join(struct io_thread *io, int64_t until_ns)
{
	const struct timespec until = clock_timespec(until_ns);
	bool ended;
	int r = 0;

	if (!io->started)
		return true;
	pthread_mutex_lock(&io->lock);
	while (!io->has_ended && r == 0)
		r = pthread_cond_clockwait(&io->changed, &io->lock, CLOCK_MONOTONIC, &until);
	ended = io->has_ended;
	pthread_mutex_unlock(&io->lock);
	if (!ended)
		return false;
	pthread_join(io->thread, NULL);
	io->started = false;
	return true;
}

/* The kernel's function that a thread sleeps in, to buf; false where the kernel does not report it. */
static bool read_wchan(int tid, char *buf, size_t len)
{
	char path[48];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/wchan", tid);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, len - 1);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	return strcmp(buf, "0") != 0;
}

const char *io_thread_waits_for(const struct io_thread *io, char *buf, size_t len)
{
	char wchan[64];

	if (atomic_load(&io->ending))
		snprintf(buf, len, "what it asked the host for");
	else if (read_wchan(atomic_load(&io->tid), wchan, sizeof(wchan)))
		snprintf(buf, len, "the host in a system call (%s)", wchan);
	else
		snprintf(buf, len, "the host in a system call");
	return buf;
}

void io_thread_fini(struct io_thread *io, const struct kvm *kvm)
{
	for (unsigned i = 0; i < io->nr_queues; i++) {
		event_loop_remove(&io->loop, &io->queue[i].src);
		ioeventfd_fini(&io->queue[i].io, kvm);
	}
	if (io->writes.owner) {
		event_loop_remove(&io->loop, &io->writes.src);
		ioeventfd_fini(&io->writes.io, kvm);
	}
	free(io->queue);
	io->queue = NULL;
	io->nr_queues = 0;
	if (io->bell.ring) {
		pthread_cond_destroy(&io->changed);
		pthread_mutex_destroy(&io->lock);
	}
	event_loop_fini(&io->loop);
}
