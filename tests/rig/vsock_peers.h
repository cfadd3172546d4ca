/*
 * vsock_peers.h - for the unit tests of the socket device: the rig in a directory of its own, time that the test
 * passes, and peers on real Unix sockets. Link with --wrap=timerfd_settime.
 */
#ifndef TESTS_RIG_VSOCK_PEERS_H
#define TESTS_RIG_VSOCK_PEERS_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>

#include "temp_dir.h"
#include "virtio_counter.h"
#include "vsock_rig.h"

enum {
	PORT = 1024,          /* of the guest */
	FIRST_PORT = 1 << 30, /* that a client of the host gets */
	HOST_PORT = 77,       /* of a listener of the host */
	BUF_BYTES = 1 << 16,  /* that the device advertises */
	WAIT_S = 5,           /* that it waits for a line, or for the guest */
	CONNS_MAX = VIRTIO_VSOCK_CONNS_MAX,
	RSTS_MAX = 64, /* refusals that the device keeps */
};

static struct vsock_rig v;
static struct itimerspec timer; /* as the device set it last */
static int timer_fd;

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *spec,
			   struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *spec,
			   struct itimerspec *old);

/* Nothing expires by itself. */
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *spec, struct itimerspec *old)
{
	(void)flags;
	(void)old;
	timer = *spec;
	timer_fd = fd;
	return 0;
}

static inline void let_time_pass(int64_t ns)
{
	const struct itimerspec at_once = {.it_value = {.tv_nsec = 1}};

	v.rig.f.monotonic_ns += ns;
	assert_int_equal(__real_timerfd_settime(timer_fd, 0, &at_once, NULL), 0);
	while (vsock_rig_pump(&v) == 0)
		;
}

static inline const char *path_of(const char *suffix)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/v%s", temp_dir, suffix);
	return path;
}

static inline int setup(void **state)
{
	static char path[128];

	(void)state;
	if (temp_dir_make() < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/v", temp_dir);
	if (vsock_rig_init(&v, path) < 0 || !vsock_rig_start(&v, 0))
		return -1;
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	virtio_rig_fini(&v.rig);
	temp_dir_remove();
	return 0;
}

static inline uint64_t counted(const char *name)
{
	return virtio_counter(v.rig.vd, name);
}

/* The next packet must be this one. */
static inline struct vsock_packet expect(unsigned op, uint32_t host_port, uint32_t guest_port)
{
	struct vsock_packet p = {0};

	assert_true(vsock_rig_next(&v, &p));
	assert_int_equal(le16toh(p.hdr.op), op);
	assert_int_equal(le64toh(p.hdr.src_cid), 2);
	assert_int_equal(le64toh(p.hdr.dst_cid), VSOCK_RIG_CID);
	assert_int_equal(le32toh(p.hdr.src_port), host_port);
	assert_int_equal(le32toh(p.hdr.dst_port), guest_port);
	assert_int_equal(le16toh(p.hdr.type), VIRTIO_VSOCK_TYPE_STREAM);
	return p;
}

static inline void expect_none(void)
{
	struct vsock_packet p;

	assert_false(vsock_rig_next(&v, &p));
}

static inline void send_op(unsigned op, uint32_t host_port, uint32_t guest_port)
{
	vsock_rig_send(&v, op, host_port, guest_port, 0);
}

/* The host gets this text and no more. */
static inline void expect_text(int fd, const char *text)
{
	char buf[256] = "";

	if (*text)
		assert_int_equal(recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT), strlen(text));
	assert_string_equal(buf, text);
	assert_int_equal(recv(fd, buf, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static inline void expect_eof(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static inline void write_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	vsock_rig_pump(&v);
}

static inline int dial(void)
{
	const int fd = vsock_rig_dial(path_of(""));

	assert_true(fd >= 0);
	return fd;
}

/* A client whose connection to PORT the guest has accepted. */
static inline int connected(uint32_t host_port)
{
	const int fd = dial();
	char line[32];

	vsock_rig_post(&v, 1, VSOCK_RIG_RX_BYTES);
	write_text(fd, "CONNECT 1024\n");
	expect(VIRTIO_VSOCK_OP_REQUEST, host_port, PORT);
	send_op(VIRTIO_VSOCK_OP_RESPONSE, host_port, PORT);
	snprintf(line, sizeof(line), "OK %u\n", (unsigned)host_port);
	expect_text(fd, line);
	return fd;
}

/* A connection that the guest opened to HOST_PORT, from PORT. */
static inline int accepted(int listener)
{
	int fd;

	vsock_rig_post(&v, 1, VSOCK_RIG_RX_BYTES);
	send_op(VIRTIO_VSOCK_OP_REQUEST, HOST_PORT, PORT);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	expect(VIRTIO_VSOCK_OP_RESPONSE, HOST_PORT, PORT);
	return fd;
}

static inline void fill(size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		*(uint8_t *)guest_mem_ptr(&v.rig.mem, VSOCK_RIG_DATA_GPA + i, 1) =
			(uint8_t)(seed + i * 7 + i / 251);
}

#define VSOCK_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
