/*
 * net_slirp_rig.h - the user network for its tests: the test is the guest, and the host's programs are sockets of
 * the test on 127.0.0.1.
 */
#ifndef TESTS_NET_SLIRP_RIG_H
#define TESTS_NET_SLIRP_RIG_H

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/net.h"
#include "base/clock.h"
#include "base/macros.h"
#include "net_frames.h"

#define IP(a, b, c, d)                                                                             \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

enum { WATCHDOG_S = 60 };
static const uint32_t GUEST = IP(10, 0, 2, 15), GATEWAY = IP(10, 0, 2, 2);
static const uint32_t NAME_SERVER = IP(10, 0, 2, 3);

static struct event_loop loop;

static struct net_backend *be;
static struct diag diag;

static unsigned clock_reads;

static inline int64_t monotonic_ns(const struct clock_src *clk)
{
	struct timespec ts;

	(void)clk;
	clock_reads++;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static const struct clock_src host_clock = {.monotonic_ns = monotonic_ns};

static inline void rx_ready(struct net_client *c, unsigned pair)
{
	(void)c;
	assert_int_equal(pair, 0);
	be->ops->rx_want(be, 0, false); /* one frame at a time */
	event_loop_stop(&loop);
}

static unsigned dropped;

static inline void rx_dropped(struct net_client *c)
{
	(void)c;
	dropped++;
}

static struct net_client client = {.rx_ready = rx_ready, .rx_dropped = rx_dropped};

static inline void woken(void *arg)
{
	event_loop_stop(arg);
}

static inline int setup(void **state)
{
	(void)state;
	alarm(WATCHDOG_S); /* a frame that never comes is a failure, not a hang */
	diag = (struct diag){0};
	be = NULL;
	dropped = 0;
	return event_loop_init(&loop, woken, &loop);
}

static inline int teardown(void **state)
{
	(void)state;
	net_backend_destroy(be);
	event_loop_fini(&loop);
	alarm(0);
	return 0;
}

static inline int open_net(const struct net_slirp_opts *opts)
{
	const struct net_backend_env env = {.loop = &loop, .clock = &host_clock, .client = &client};

	return net_slirp_open(opts, &env, &be, &diag);
}

/* Runs the events that are due now. */
static inline void run_events(void)
{
	event_loop_wake(&loop);
	atomic_store(&loop.stop, false);
	event_loop_run(&loop);
}

static inline int send_frame(const struct frame *f)
{
	uint8_t header[NET_HDR_BYTES] = {0}, bytes[FRAME_MAX];
	/* In pieces, as a driver is free to have it. */
	const struct iovec iov[] = {
		{header, sizeof(header)},
		{bytes, 14},
		{bytes + 14, 1},
		{bytes + 15, f->len - 15},
	};
	int r;

	memcpy(bytes, f->b, f->len);
	r = be->ops->send(be, 0, iov, ARRAY_SIZE(iov));
	be->ops->sent(be);
	return r;
}

static inline bool receive_now(struct frame *f)
{
	uint8_t header[NET_HDR_BYTES];
	const struct iovec iov[] = {
		{header, sizeof(header)}, {f->b, 20}, {f->b + 20, FRAME_MAX - 20}};
	static const uint8_t zero[NET_HDR_BYTES];
	ssize_t n;

	memset(header, 0xff, sizeof(header));
	n = be->ops->receive(be, 0, iov, ARRAY_SIZE(iov));
	if (n == -EAGAIN)
		return false;
	assert_true(n > NET_HDR_BYTES);
	assert_memory_equal(header, zero, sizeof(header));
	f->len = (size_t)n - NET_HDR_BYTES;
	return true;
}

/* The next frame for the guest, whenever it comes. */
static inline void receive(struct frame *f)
{
	while (!receive_now(f)) {
		be->ops->rx_want(be, 0, true);
		atomic_store(&loop.stop, false);
		event_loop_run(&loop);
	}
}

static inline void receive_protocol(struct frame *f, unsigned protocol)
{
	do {
		receive(f);
	} while (frame_get16(f->b + 12) != 0x0800 || f->b[FRAME_IP + 9] != protocol);
	assert_true(frame_ip_end(f) <= f->len);
	/* Packets from libslirp have a valid checksum. */
	assert_int_equal(frame_sum(f->b + FRAME_IP, 20, 0), 0xffff);
}

static inline int host_socket(int type, uint16_t *ret_port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

/* One that nobody had a moment ago. */
static inline uint16_t free_port(int type)
{
	uint16_t port;

	close(host_socket(type, &port));
	return port;
}

static inline struct net_slirp_opts forward_to(bool udp, uint16_t host_port, uint16_t guest_port)
{
	return (struct net_slirp_opts){
		.nr_forwards = 1,
		.forward = {{
			.udp = udp,
			.host_addr.s_addr = htonl(INADDR_LOOPBACK),
			.host_port = host_port,
			.guest_port = guest_port,
		}},
	};
}

/* A DHCPDISCOVER (RFC 2131). */
static inline void frame_dhcp_discover(struct frame *f)
{
	static const uint8_t end[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255};
	uint8_t bootp[300] = {1, 1, 6, 0, 0xca, 0xfe, 0xba, 0xbe};

	memcpy(bootp + 28, frame_guest_mac, 6);
	memcpy(bootp + 236, end, sizeof(end));
	frame_udp(f, 0, 68, 0xffffffff, 67, bootp, sizeof(bootp));
	memset(f->b, 0xff, 6);
}

#endif
