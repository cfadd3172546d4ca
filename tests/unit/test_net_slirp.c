/* Unit tests of backend/net_slirp.c and slirp_frame.c: the test is the guest, and the host's programs
 * are sockets of the test on 127.0.0.1. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/net.h"
#include "backend/slirp_frame.h"
#include "base/checked.h"
#include "net_frames.h"

#define IP(a, b, c, d)                                                                             \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

enum { WATCHDOG_S = 60 };
static const uint32_t GUEST = IP(10, 0, 2, 15), GATEWAY = IP(10, 0, 2, 2);
static const uint32_t NAME_SERVER = IP(10, 0, 2, 3);

static struct event_loop loop;

static struct net_backend *be;
static struct diag diag;

static int64_t monotonic_ns(const struct clock_src *clk)
{
	struct timespec ts;

	(void)clk;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static const struct clock_src host_clock = {.monotonic_ns = monotonic_ns};

static void rx_ready(struct net_client *c, unsigned pair)
{
	(void)c;
	assert_int_equal(pair, 0);
	be->ops->rx_want(be, 0, false); /* one frame at a time */
	event_loop_stop(&loop);
}

static unsigned dropped;

static void rx_dropped(struct net_client *c)
{
	(void)c;
	dropped++;
}

static struct net_client client = {.rx_ready = rx_ready, .rx_dropped = rx_dropped};

static int setup(void **state)
{
	(void)state;
	alarm(WATCHDOG_S); /* a frame that never comes is a failure, not a hang */
	diag = (struct diag){0};
	be = NULL;
	dropped = 0;
	return event_loop_init(&loop, NULL, NULL);
}

static int teardown(void **state)
{
	(void)state;
	net_backend_destroy(be);
	event_loop_fini(&loop);
	alarm(0);
	return 0;
}

static int open_net(const struct net_slirp_opts *opts)
{
	const struct net_backend_env env = {.loop = &loop, .clock = &host_clock, .client = &client};

	return net_slirp_open(opts, &env, &be, &diag);
}

static int send_frame(const struct frame *f)
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

static bool receive_now(struct frame *f)
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
static void receive(struct frame *f)
{
	while (!receive_now(f)) {
		be->ops->rx_want(be, 0, true);
		atomic_store(&loop.stop, false);
		event_loop_run(&loop);
	}
}

static void receive_protocol(struct frame *f, unsigned protocol)
{
	do {
		receive(f);
	} while (frame_get16(f->b + 12) != 0x0800 || f->b[FRAME_IP + 9] != protocol);
	/* What libslirp sends is summed up. */
	assert_int_equal(frame_sum(f->b + FRAME_IP, 20, 0), 0xffff);
}

static int host_socket(int type, uint16_t *ret_port)
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
static uint16_t free_port(int type)
{
	uint16_t port;

	close(host_socket(type, &port));
	return port;
}

static struct net_slirp_opts forward_to(bool udp, uint16_t host_port, uint16_t guest_port)
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

static void the_gateway_answers_arp(void **state)
{
	static const uint8_t mac[] = {0x52, 0x55, 10, 0, 2, 2};
	struct frame f = {0};

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	assert_string_equal(be->name, "user");
	assert_true(be->link_up);
	frame_arp_request(&f, GUEST, GATEWAY);
	assert_int_equal(send_frame(&f), 0);
	receive(&f);
	assert_int_equal(frame_get16(f.b + 12), 0x0806);
	assert_int_equal(frame_get16(f.b + FRAME_IP + 6), 2);
	assert_memory_equal(f.b + FRAME_IP + 8, mac, 6);
	assert_int_equal(frame_get32(f.b + FRAME_IP + 14), GATEWAY);
	assert_memory_equal(f.b, frame_guest_mac, 6);
}

static void the_gateway_answers_pings(void **state)
{
	struct frame ping = {0}, f = {0};

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	frame_ping(&ping, GUEST, GATEWAY, 7, 9);
	assert_int_equal(send_frame(&ping), 0);
	/* At once: libslirp has not had to ask for the guest's MAC address. */
	assert_true(receive_now(&f));
	assert_int_equal(f.b[FRAME_IP + 9], 1);
	assert_int_equal(f.b[FRAME_L4], 0);
	assert_memory_equal(f.b + FRAME_L4 + 4, ping.b + FRAME_L4 + 4, 4 + 32);
	assert_int_equal(frame_get32(f.b + FRAME_IP + 12), GATEWAY);
	assert_int_equal(frame_get32(f.b + FRAME_IP + 16), GUEST);
}

/* More than half of what is kept for the guest, and it sends nothing meanwhile. */
static void frames_that_wait_are_all_offered(void **state)
{
	enum { PINGS = 400 };

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	for (unsigned i = 0; i < PINGS; i++) {
		struct frame ping = {0};

		frame_ping(&ping, GUEST, GATEWAY, 7, (uint16_t)i);
		assert_int_equal(send_frame(&ping), 0);
	}
	for (unsigned i = 0; i < PINGS; i++) {
		struct frame f = {0};

		be->ops->rx_want(be, 0, true);
		atomic_store(&loop.stop, false);
		event_loop_run(&loop);
		assert_true(receive_now(&f));
		assert_int_equal(frame_get16(f.b + FRAME_L4 + 6), i);
	}
}

/* A guest that takes none of the answers; each of the questions has one. */
static void frames_that_find_no_room_are_counted(void **state)
{
	enum { PINGS = 600, KEPT = 512 };
	struct frame f = {0};

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	frame_ping(&f, GUEST, GATEWAY, 7, 0);
	for (unsigned i = 0; i < PINGS; i++)
		assert_int_equal(send_frame(&f), 0);
	assert_int_equal(dropped, PINGS - KEPT);
	for (unsigned i = 0; i < KEPT; i++)
		assert_true(receive_now(&f));
	assert_false(receive_now(&f));
}

/* A DHCPDISCOVER (RFC 2131). */
static void frame_dhcp_discover(struct frame *f)
{
	static const uint8_t end[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255};
	uint8_t bootp[300] = {1, 1, 6, 0, 0xca, 0xfe, 0xba, 0xbe};

	memcpy(bootp + 28, frame_guest_mac, 6);
	memcpy(bootp + 236, end, sizeof(end));
	frame_udp(f, 0, 68, 0xffffffff, 67, bootp, sizeof(bootp));
	memset(f->b, 0xff, 6);
}

/* Where in an answer the option's value is; 0: not there. */
static size_t dhcp_option(const struct frame *f, unsigned option)
{
	size_t at = FRAME_UDP_DATA + 240;

	while (at + 2 < f->len && f->b[at] != 255) {
		if (f->b[at] == option)
			return at + 2;
		at += 2U + f->b[at + 1];
	}
	return 0;
}

static void get_offer(const struct net_slirp_opts *opts, struct frame *f)
{
	assert_int_equal(open_net(opts), 0);
	frame_dhcp_discover(f);
	assert_int_equal(send_frame(f), 0);
	receive_protocol(f, 17);
	assert_int_equal(frame_get16(f->b + FRAME_L4 + 2), 68);
	assert_int_equal(frame_get32(f->b + FRAME_UDP_DATA + 4), 0xcafebabe);
	assert_int_equal(frame_get32(f->b + FRAME_UDP_DATA + 16), GUEST);
	assert_int_equal(f->b[dhcp_option(f, 53)], 2);
}

static void dhcp_offers_address_gateway_and_name_server(void **state)
{
	struct frame f = {0};

	(void)state;
	get_offer(&(struct net_slirp_opts){0}, &f);
	assert_int_equal(frame_get32(f.b + dhcp_option(&f, 1)), IP(255, 255, 255, 0));
	assert_int_equal(frame_get32(f.b + dhcp_option(&f, 3)), GATEWAY);
	assert_int_equal(frame_get32(f.b + dhcp_option(&f, 6)), NAME_SERVER);
}

static void dhcp_names_the_name_server_asked_for(void **state)
{
	struct frame f = {0};

	(void)state;
	get_offer(&(struct net_slirp_opts){.dns.s_addr = htonl(IP(192, 0, 2, 53))}, &f);
	assert_int_equal(frame_get32(f.b + dhcp_option(&f, 6)), IP(192, 0, 2, 53));
}

static void a_name_server_on_the_host_is_behind_the_gateway(void **state)
{
	struct frame f = {0};

	(void)state;
	get_offer(&(struct net_slirp_opts){.dns.s_addr = htonl(INADDR_LOOPBACK)}, &f);
	assert_int_equal(frame_get32(f.b + dhcp_option(&f, 6)), GATEWAY);
}

static void a_restricted_guest_is_told_of_no_way_out(void **state)
{
	struct frame f = {0};

	(void)state;
	get_offer(&(struct net_slirp_opts){.restricted = true}, &f);
	assert_int_equal(dhcp_option(&f, 3), 0);
	assert_int_equal(dhcp_option(&f, 6), 0);
}

static void the_gateway_is_the_hosts_loopback(void **state)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char buf[16];
	uint16_t port;
	int fd = host_socket(SOCK_DGRAM, &port);
	struct frame f = {0};

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	frame_udp(&f, GUEST, 1234, GATEWAY, port, "ping", 4);
	assert_int_equal(send_frame(&f), 0);
	assert_int_equal(
		recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &len), 4);
	assert_memory_equal(buf, "ping", 4);
	assert_int_equal(sendto(fd, "pong", 4, 0, (struct sockaddr *)&from, len), 4);
	receive_protocol(&f, 17);
	assert_int_equal(frame_get32(f.b + FRAME_IP + 12), GATEWAY);
	assert_int_equal(frame_get16(f.b + FRAME_L4), port);
	assert_int_equal(frame_get16(f.b + FRAME_L4 + 2), 1234);
	assert_memory_equal(f.b + FRAME_UDP_DATA, "pong", 4);
	close(fd);
}

static void a_restricted_guest_reaches_nothing(void **state)
{
	char buf[16];
	uint16_t port;
	int fd = host_socket(SOCK_DGRAM, &port);
	struct frame f = {0};

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){.restricted = true}), 0);
	frame_udp(&f, GUEST, 1234, GATEWAY, port, "ping", 4);
	assert_int_equal(send_frame(&f), 0);
	/* The test above shows that what goes through is there by now. */
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
}

/* The host's connection to a forwarded port, and the segment that opens it on the guest's side. */
static int connect_forward(uint16_t port, struct frame *ret_syn)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	do {
		receive(ret_syn);
		/* Here libslirp has to ask: the guest has sent nothing yet. */
		if (frame_get16(ret_syn->b + 12) == 0x0806) {
			struct frame arp = {0};

			frame_arp_request(&arp, GUEST, GUEST);
			assert_int_equal(send_frame(&arp), 0);
		}
	} while (frame_get16(ret_syn->b + 12) != 0x0800 || ret_syn->b[FRAME_IP + 9] != 6);
	return fd;
}

static void forwards_tcp(bool restricted)
{
	struct net_slirp_opts opts = forward_to(false, free_port(SOCK_STREAM), 80);
	struct frame f = {0}, answer = {0};
	char buf[16];
	int fd;

	opts.restricted = restricted;
	assert_int_equal(open_net(&opts), 0);
	fd = connect_forward(opts.forward[0].host_port, &f);
	assert_int_equal(frame_get32(f.b + FRAME_IP + 16), GUEST);
	assert_int_equal(frame_get16(f.b + FRAME_L4 + 2), 80);
	assert_int_equal(f.b[FRAME_L4 + 13] & (FRAME_SYN | FRAME_ACK), FRAME_SYN);
	frame_tcp_answer(&answer, &f, 1000, FRAME_SYN, "", 0);
	assert_int_equal(send_frame(&answer), 0);
	assert_int_equal(send(fd, "hello", 5, 0), 5);
	do {
		receive_protocol(&f, 6);
	} while (f.len == FRAME_TCP_DATA); /* bare acknowledgements */
	assert_memory_equal(f.b + FRAME_TCP_DATA, "hello", 5);
	frame_tcp_answer(&answer, &f, 1001, FRAME_PSH, "world", 5);
	assert_int_equal(send_frame(&answer), 0);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "world", 5);
	close(fd);
}

static void a_tcp_port_is_forwarded(void **state)
{
	(void)state;
	forwards_tcp(false);
}

static void a_tcp_port_is_forwarded_to_a_restricted_guest(void **state)
{
	(void)state;
	forwards_tcp(true);
}

static void a_udp_port_is_forwarded(void **state)
{
	const struct net_slirp_opts opts = forward_to(true, free_port(SOCK_DGRAM), 53);
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons(opts.forward[0].host_port)};
	uint16_t port;
	int fd = host_socket(SOCK_DGRAM, &port);
	char buf[16];
	struct frame f = {0}, answer = {0};

	(void)state;
	assert_int_equal(open_net(&opts), 0);
	frame_arp_request(&f, GUEST, GUEST);
	assert_int_equal(send_frame(&f), 0);
	assert_int_equal(sendto(fd, "query", 5, 0, (struct sockaddr *)&addr, sizeof(addr)), 5);
	receive_protocol(&f, 17);
	assert_int_equal(frame_get16(f.b + FRAME_L4 + 2), 53);
	assert_memory_equal(f.b + FRAME_UDP_DATA, "query", 5);
	frame_udp(&answer, GUEST, 53, frame_get32(f.b + FRAME_IP + 12), frame_get16(f.b + FRAME_L4),
		  "answer", 6);
	assert_int_equal(send_frame(&answer), 0);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 6);
	assert_memory_equal(buf, "answer", 6);
	close(fd);
}

static void a_port_that_is_taken_is_named(void **state)
{
	uint16_t port;
	int fd = host_socket(SOCK_STREAM, &port);
	const struct net_slirp_opts opts = forward_to(false, port, 80);

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(open_net(&opts), -EADDRINUSE);
	assert_non_null(strstr(diag.what, "forward TCP port "));
	assert_non_null(strstr(diag.what, " of 127.0.0.1: Address already in use"));
	assert_non_null(strstr(diag.remedy, "another port"));
	close(fd);
}

static void a_guest_that_takes_nothing_does_not_grow_the_queue(void **state)
{
	struct frame f = {0};
	unsigned n = 0;

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	for (unsigned i = 0; i < 3000; i++) {
		frame_arp_request(&f, GUEST, GATEWAY);
		assert_int_equal(send_frame(&f), 0);
	}
	while (receive_now(&f))
		n++;
	assert_int_equal(n, 512);
	/* And it goes on. */
	frame_ping(&f, GUEST, GATEWAY, 1, 1);
	assert_int_equal(send_frame(&f), 0);
	receive_protocol(&f, 1);
}

/* Many senders that libslirp never heard of: each is answered at once, none is queued for. */
static void addresses_are_learned_from_what_is_sent(void **state)
{
	struct frame f = {0};

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	for (unsigned i = 100; i < 200; i++) {
		frame_ping(&f, IP(10, 0, 2, i), GATEWAY, 1, i);
		assert_int_equal(send_frame(&f), 0);
		assert_true(receive_now(&f));
		assert_int_equal(frame_get32(f.b + FRAME_IP + 16), IP(10, 0, 2, i));
		assert_false(receive_now(&f));
	}
}

static void a_guest_opens_a_bounded_number_of_sockets(void **state)
{
	uint16_t port;
	int fd = host_socket(SOCK_DGRAM, &port);
	unsigned sent = 0;
	struct frame f = {0};

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	for (unsigned i = 0; i < 300; i++) {
		int r;

		frame_udp(&f, GUEST, 2000 + i, GATEWAY, port, "x", 1);
		r = send_frame(&f);
		assert_true(r == 0 || r == -EMFILE);
		sent += r == 0;
	}
	assert_int_equal(sent, 256);
	/* What needs no socket still works. */
	frame_dhcp_discover(&f);
	assert_int_equal(send_frame(&f), 0);
	receive_protocol(&f, 17);
	close(fd);
}

/* One that the host refuses is over, and makes room for another. */
static void sockets_that_are_over_do_not_count(void **state)
{
	const uint16_t port = free_port(SOCK_STREAM);
	struct frame f = {0};

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	for (unsigned i = 0; i < 300; i++) {
		frame_tcp_syn(&f, GUEST, 2000 + i, GATEWAY, port);
		assert_int_equal(send_frame(&f), 0);
		receive_protocol(&f, 6);
		assert_true(f.b[FRAME_L4 + 13] & FRAME_RST);
	}
}

/* The frame of len bytes after a change of one byte. */
static enum slirp_frame_kind kind_with(const struct frame *f, size_t len, size_t at, unsigned byte)
{
	struct frame changed = *f;

	changed.b[at] = (uint8_t)byte;
	return slirp_frame_kind(changed.b, len);
}

static void only_whole_ipv4_and_arp_are_let_through(void **state)
{
	struct frame f = {0};

	(void)state;
	frame_arp_request(&f, GUEST, GATEWAY);
	assert_int_equal(slirp_frame_kind(f.b, f.len), SLIRP_FRAME_ARP);
	assert_int_equal(slirp_frame_kind(f.b, 41), SLIRP_FRAME_OTHER);
	assert_int_equal(slirp_frame_kind(f.b, 13), SLIRP_FRAME_OTHER);
	assert_int_equal(slirp_frame_kind(f.b, 0), SLIRP_FRAME_OTHER);
	frame_udp(&f, GUEST, 1, GATEWAY, 2, "x", 1);
	assert_int_equal(slirp_frame_kind(f.b, f.len), SLIRP_FRAME_IP_OPENS);
	assert_int_equal(slirp_frame_kind(f.b, 33), SLIRP_FRAME_OTHER);
	assert_int_equal(kind_with(&f, f.len, 12, 0x86), SLIRP_FRAME_OTHER);    /* IPv6, or so */
	assert_int_equal(kind_with(&f, f.len, 14, 0x65), SLIRP_FRAME_OTHER);    /* version 6 */
	assert_int_equal(kind_with(&f, f.len, 14, 0x44), SLIRP_FRAME_OTHER);    /* header of 16 */
	assert_int_equal(kind_with(&f, f.len, 14, 0x4f), SLIRP_FRAME_OTHER);    /* header of 60 */
	assert_int_equal(kind_with(&f, f.len, 20, 0x20), SLIRP_FRAME_OTHER);    /* more fragments */
	assert_int_equal(kind_with(&f, f.len, 21, 1), SLIRP_FRAME_OTHER);       /* an offset */
	assert_int_equal(kind_with(&f, f.len, 20, 0x40), SLIRP_FRAME_IP_OPENS); /* don't fragment */
	assert_int_equal(kind_with(&f, f.len, FRAME_L4 + 3, 67), SLIRP_FRAME_IP); /* DHCP */
	assert_int_equal(slirp_frame_kind(f.b, 1514), SLIRP_FRAME_IP_OPENS);
	assert_int_equal(slirp_frame_kind(f.b, 1515), SLIRP_FRAME_OTHER);
	frame_ip(&f, 6, GUEST, GATEWAY, 20);
	assert_int_equal(slirp_frame_kind(f.b, f.len), SLIRP_FRAME_IP);
	assert_int_equal(slirp_frame_kind(f.b, f.len - 1), SLIRP_FRAME_OTHER);
	assert_int_equal(kind_with(&f, f.len, FRAME_L4 + 13, FRAME_SYN), SLIRP_FRAME_IP_OPENS);
}

static void other_frames_are_refused(void **state)
{
	struct frame f = {0};

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	frame_udp(&f, GUEST, 1, GATEWAY, 2, "x", 1);
	frame_put16(f.b + 12, 0x86dd);
	assert_int_equal(send_frame(&f), -EPROTONOSUPPORT);
	frame_udp(&f, GUEST, 1, GATEWAY, 2, "x", 1);
	f.len = 1515;
	assert_int_equal(send_frame(&f), -EPROTONOSUPPORT);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_gateway_answers_arp),
		TEST(the_gateway_answers_pings),
		TEST(frames_that_wait_are_all_offered),
		TEST(frames_that_find_no_room_are_counted),
		TEST(dhcp_offers_address_gateway_and_name_server),
		TEST(dhcp_names_the_name_server_asked_for),
		TEST(a_name_server_on_the_host_is_behind_the_gateway),
		TEST(a_restricted_guest_is_told_of_no_way_out),
		TEST(the_gateway_is_the_hosts_loopback),
		TEST(a_restricted_guest_reaches_nothing),
		TEST(a_tcp_port_is_forwarded),
		TEST(a_tcp_port_is_forwarded_to_a_restricted_guest),
		TEST(a_udp_port_is_forwarded),
		TEST(a_port_that_is_taken_is_named),
		TEST(a_guest_that_takes_nothing_does_not_grow_the_queue),
		TEST(addresses_are_learned_from_what_is_sent),
		TEST(a_guest_opens_a_bounded_number_of_sockets),
		TEST(sockets_that_are_over_do_not_count),
		TEST(only_whole_ipv4_and_arp_are_let_through),
		TEST(other_frames_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
