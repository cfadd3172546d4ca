/*
 * char_rig.h - a character device of the tests' own at a real host of backend/char.h, with the event
 * loop in a thread of its own, as in a VM.
 */
#ifndef TESTS_CHAR_RIG_H
#define TESTS_CHAR_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend/char.h"
#include "base/clock.h"
#include "base/macros.h"
#include "device.h"

enum {
	RIG_DEVICES = 2,
	RIG_IN_MAX = 1 << 20,
	RIG_HANG_MS = 60000, /* a hang, not slowness */
};

struct rig_device {
	struct device dev;
	struct device_char chr;
	struct char_port *port;
	uint8_t in[RIG_IN_MAX]; /* under the lock, with what follows */
	size_t in_len, room;
	bool listens;
	atomic_uint tx_rooms, resizes;
};

struct rig {
	struct event_loop loop;
	struct power power;
	atomic_uint ends;
	struct vm_end end;
	struct char_host *host;
	struct rig_device device[RIG_DEVICES];
	pthread_t thread;
	bool runs;
	struct diag diag;
	char dir[32], path[64];
};

static inline struct rig_device *rig_device_of(struct device *dev)
{
	return container_of(dev, struct rig_device, dev);
}

static inline bool rig_listens(struct device *dev)
{
	return rig_device_of(dev)->listens;
}

static inline size_t rig_rx_room(struct device *dev)
{
	return rig_device_of(dev)->room;
}

static inline void rig_rx(struct device *dev, const uint8_t *buf, size_t n)
{
	struct rig_device *rd = rig_device_of(dev);

	assert_true(n <= rd->room && n <= RIG_IN_MAX - rd->in_len);
	memcpy(rd->in + rd->in_len, buf, n);
	rd->in_len += n;
	rd->room -= n;
}

static inline void rig_tx_room(struct device *dev)
{
	atomic_fetch_add(&rig_device_of(dev)->tx_rooms, 1);
}

static inline void rig_resized(struct device *dev)
{
	atomic_fetch_add(&rig_device_of(dev)->resizes, 1);
}

static inline void rig_end(struct power *power, struct vm_end end)
{
	struct rig *rig = container_of(power, struct rig, power);

	rig->end = end;
	atomic_fetch_add(&rig->ends, 1);
}

static inline void rig_woken(void *arg)
{
	struct rig *rig = arg;

	if (rig->host)
		char_host_woken(rig->host);
}

static inline void *rig_run(void *arg)
{
	event_loop_run(&((struct rig *)arg)->loop);
	return NULL;
}

static inline int rig_setup(void **state)
{
	static const struct char_ops ops = {
		.listens = rig_listens,
		.rx_room = rig_rx_room,
		.rx = rig_rx,
		.tx_room = rig_tx_room,
		.resized = rig_resized,
	};
	static const struct device_class cls = {.name = "of the test", .chr = &ops};
	struct rig *rig = calloc(1, sizeof(*rig));

	if (!rig || event_loop_init(&rig->loop, rig_woken, rig) < 0)
		return -1;
	rig->power.end = rig_end;
	for (unsigned i = 0; i < RIG_DEVICES; i++) {
		rig->device[i].dev.cls = &cls;
		pthread_mutex_init(&rig->device[i].dev.lock, NULL);
	}
	snprintf(rig->dir, sizeof(rig->dir), "/tmp/tollgate-XXXXXX");
	if (!mkdtemp(rig->dir))
		return -1;
	snprintf(rig->path, sizeof(rig->path), "%s/place", rig->dir);
	*state = rig;
	return 0;
}

/* Connects a device to the host; it listens, and takes room bytes. */
static inline struct rig_device *rig_connect(struct rig *rig, unsigned i, size_t room)
{
	struct rig_device *rd = &rig->device[i];

	rd->port = char_port_add(rig->host);
	assert_non_null(rd->port);
	rd->room = room;
	rd->listens = true;
	device_char_init(&rd->chr, &rd->dev, rd->dev.cls->chr);
	char_port_connect(rd->port, &rd->chr.client);
	return rd;
}

static inline void rig_start(struct rig *rig)
{
	assert_int_equal(pthread_create(&rig->thread, NULL, rig_run, rig), 0);
	rig->runs = true;
}

/* A host of that kind at rig->path. */
static inline void rig_host(struct rig *rig, enum char_kind kind)
{
	const struct char_spec spec = {.kind = kind, .path = rig->path};

	assert_int_equal(char_host_open(&spec, &rig->loop, &rig->power, &rig->diag, &rig->host), 0);
}

/* The same with one device at it, and the loop runs. */
static inline struct rig_device *rig_open(struct rig *rig, enum char_kind kind, size_t room)
{
	struct rig_device *rd;

	rig_host(rig, kind);
	rd = rig_connect(rig, 0, room);
	rig_start(rig);
	return rd;
}

static inline int64_t rig_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* Ends the loop, writes what can be written, closes. linger_ms: for clients to read what they have. */
static inline void rig_close(struct rig *rig, int linger_ms)
{
	if (rig->runs) {
		event_loop_stop(&rig->loop);
		pthread_join(rig->thread, NULL);
		rig->runs = false;
	}
	if (rig->host) {
		char_host_flush(rig->host);
		char_host_destroy(rig->host, rig_now_ns() + linger_ms * NS_PER_MS);
		rig->host = NULL;
	}
}

static inline int rig_teardown(void **state)
{
	struct rig *rig = *state;

	rig_close(rig, 0);
	event_loop_fini(&rig->loop);
	for (unsigned i = 0; i < RIG_DEVICES; i++)
		pthread_mutex_destroy(&rig->device[i].dev.lock);
	unlink(rig->path);
	rmdir(rig->dir);
	free(rig);
	return 0;
}

#define RIG_WAIT(cond)                                                                             \
	do {                                                                                       \
		int waited_ms_ = 0;                                                                \
		while (!(cond)) {                                                                  \
			assert_true(waited_ms_ < RIG_HANG_MS);                                     \
			poll(NULL, 0, 1);                                                          \
			waited_ms_++;                                                              \
		}                                                                                  \
	} while (0)

/* Byte i of a stream in which no eight bytes occur twice. */
static inline uint8_t rig_byte(size_t i)
{
	return (uint8_t)((uint32_t)(i / 4 + 1) * 2654435761U >> 8 * (i % 4));
}

/* The device puts bytes from..to of the stream, waiting for room as a device does. */
static inline void rig_put(struct rig_device *rd, size_t from, size_t to)
{
	uint8_t buf[3000];

	while (from < to) {
		size_t n = to - from < sizeof(buf) ? to - from : sizeof(buf), done;
		const unsigned rooms = atomic_load(&rd->tx_rooms);

		for (size_t i = 0; i < n; i++)
			buf[i] = rig_byte(from + i);
		done = rd->port->be.write(&rd->port->be, buf, n);
		from += done;
		if (done < n)
			RIG_WAIT(atomic_load(&rd->tx_rooms) != rooms);
	}
}

/* The device takes so many more bytes of input. */
static inline void rig_make_room(struct rig_device *rd, size_t room)
{
	pthread_mutex_lock(&rd->dev.lock);
	rd->room += room;
	pthread_mutex_unlock(&rd->dev.lock);
	rd->port->be.input_wanted(&rd->port->be);
}

static inline void rig_set_listens(struct rig_device *rd, bool listens)
{
	pthread_mutex_lock(&rd->dev.lock);
	rd->listens = listens;
	pthread_mutex_unlock(&rd->dev.lock);
}

static inline size_t rig_in_len(struct rig_device *rd)
{
	size_t n;

	pthread_mutex_lock(&rd->dev.lock);
	n = rd->in_len;
	pthread_mutex_unlock(&rd->dev.lock);
	return n;
}

/* Reads bytes from..to of the stream from fd and compares them. */
static inline void rig_expect(int fd, size_t from, size_t to)
{
	uint8_t buf[4096];

	while (from < to) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		const size_t max = to - from < sizeof(buf) ? to - from : sizeof(buf);
		ssize_t n;

		assert_int_equal(poll(&pfd, 1, RIG_HANG_MS), 1);
		n = read(fd, buf, max);
		if (n < 0 && errno == EAGAIN)
			continue;
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], rig_byte(from++));
	}
}

/* Writes bytes from..to of the stream to fd, which may be non-blocking. */
static inline void rig_send(int fd, size_t from, size_t to)
{
	uint8_t buf[4096];

	while (from < to) {
		struct pollfd pfd = {.fd = fd, .events = POLLOUT};
		size_t n = to - from < sizeof(buf) ? to - from : sizeof(buf);
		ssize_t done;

		for (size_t i = 0; i < n; i++)
			buf[i] = rig_byte(from + i);
		assert_int_equal(poll(&pfd, 1, RIG_HANG_MS), 1);
		done = write(fd, buf, n);
		if (done < 0 && errno == EAGAIN)
			continue;
		assert_true(done > 0);
		from += (size_t)done;
	}
}

/* The input that a device got is bytes 0..n of the stream, and no more. */
static inline void rig_expect_in(struct rig_device *rd, size_t n)
{
	RIG_WAIT(rig_in_len(rd) >= n);
	pthread_mutex_lock(&rd->dev.lock);
	assert_int_equal(rd->in_len, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(rd->in[i], rig_byte(i));
	pthread_mutex_unlock(&rd->dev.lock);
}

#endif
