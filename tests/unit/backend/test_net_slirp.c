/* Unit tests of backend/net/slirp.c and slirp_frame.c: what a guest can do, and what it is refused. */
#include "diag_rig.h"
#include "net_slirp_rig.h"

#include <sys/resource.h>

#include "backend/net/slirp_frame.h"

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

/* A connection through a forwarded port, which the guest accepts. */
static int open_forward(uint16_t port, uint16_t guest_port)
{
	struct frame f = {0}, answer = {0};
	const int fd = connect_forward(port, &f);

	assert_int_equal(frame_get32(f.b + FRAME_IP + 16), GUEST);
	assert_int_equal(frame_get16(f.b + FRAME_L4 + 2), guest_port);
	assert_int_equal(f.b[FRAME_L4 + 13] & (FRAME_SYN | FRAME_ACK), FRAME_SYN);
	frame_tcp_answer(&answer, &f, 1000, FRAME_SYN, "", 0);
	assert_int_equal(send_frame(&answer), 0);
	return fd;
}

/* Five bytes to the guest, and five back. */
static void use_forward(int fd)
{
	struct frame f = {0}, answer = {0};
	char buf[16];

	assert_int_equal(send(fd, "hello", 5, 0), 5);
	do {
		receive_protocol(&f, 6);
	} while (frame_ip_end(&f) == FRAME_TCP_DATA); /* bare acknowledgements */
	assert_memory_equal(f.b + FRAME_TCP_DATA, "hello", 5);
	frame_tcp_answer(&answer, &f, 1001, FRAME_PSH, "world", 5);
	assert_int_equal(send_frame(&answer), 0);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "world", 5);
}

static void forwards_tcp(bool restricted)
{
	struct net_slirp_opts opts = forward_to(false, free_port(SOCK_STREAM), 80);
	int fd;

	opts.restricted = restricted;
	assert_int_equal(open_net(&opts), 0);
	fd = open_forward(opts.forward[0].host_port, 80);
	use_forward(fd);
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
	assert_diag(&diag, -EADDRINUSE, "forward-listen TCP port ~ of 127.0.0.1");
	assert_remedy(&diag, "hostfwd=");
	close(fd);
}

static bool listens(uint16_t port)
{
	const struct sockaddr_in addr = {.sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
					 .sin_port = htons(port)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int r = connect(fd, (const struct sockaddr *)&addr, sizeof(addr));

	assert_true(r == 0 || errno == ECONNREFUSED);
	close(fd);
	return r == 0;
}

static void ports_come_and_go_while_the_guest_runs(void **state)
{
	struct net_slirp_opts opts = forward_to(false, free_port(SOCK_STREAM), 80);
	const struct net_slirp_forward *fwd = &opts.forward[0];
	struct net_slirp_forward list[NET_SLIRP_FORWARDS_MAX];
	int fd;

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	assert_int_equal(be->ops->forwards(be, list), 0);
	assert_false(listens(fwd->host_port));
	assert_int_equal(be->ops->forward(be, true, fwd, &diag), 0);
	assert_int_equal(be->ops->forwards(be, list), 1);
	assert_int_equal(list[0].host_port, fwd->host_port);
	assert_int_equal(list[0].guest_port, 80);
	fd = open_forward(fwd->host_port, 80);
	/* The connection outlives the port. */
	assert_int_equal(be->ops->forward(be, false, fwd, &diag), 0);
	assert_int_equal(be->ops->forwards(be, list), 0);
	assert_false(listens(fwd->host_port));
	use_forward(fd);
	close(fd);
	assert_int_equal(be->ops->forward(be, false, fwd, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "forward-none TCP port");
	/* And the port can come back. */
	diag = (struct diag){0};
	assert_int_equal(be->ops->forward(be, true, fwd, &diag), 0);
	assert_true(listens(fwd->host_port));
}

/* Linux lets two UDP sockets share a port, when both allow it. */
static void a_port_is_forwarded_once(void **state)
{
	struct net_slirp_opts opts = forward_to(true, free_port(SOCK_DGRAM), 53);
	struct net_slirp_forward fwd = opts.forward[0];
	struct net_slirp_forward list[NET_SLIRP_FORWARDS_MAX];

	(void)state;
	assert_int_equal(open_net(&opts), 0);
	fwd.guest_port = 54;
	assert_int_equal(be->ops->forward(be, true, &fwd, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "forward-twice udp:127.0.0.1:");
	fwd.udp = false; /* another port of that number */
	assert_int_equal(be->ops->forward(be, true, &fwd, &diag), 0);
	fwd.udp = true;
	assert_int_equal(be->ops->forward(be, false, &fwd, &diag), 0);
	assert_int_equal(be->ops->forwards(be, list), 1);
	assert_false(list[0].udp);
}

static void forwarded_ports_have_a_limit(void **state)
{
	struct net_slirp_opts opts = {0};
	struct net_slirp_forward fwd = {
		.udp = true, .host_port = free_port(SOCK_DGRAM), .guest_port = 53};
	struct net_slirp_forward list[NET_SLIRP_FORWARDS_MAX];

	(void)state;
	assert_int_equal(open_net(&opts), 0);
	for (unsigned i = 0; i < NET_SLIRP_FORWARDS_MAX; i++) {
		/* Addresses of the loopback network, so that one free port is enough. */
		fwd.host_addr.s_addr = htonl(INADDR_LOOPBACK + i);
		assert_int_equal(be->ops->forward(be, true, &fwd, &diag), 0);
	}
	assert_int_equal(be->ops->forwards(be, list), NET_SLIRP_FORWARDS_MAX);
	fwd.host_addr.s_addr = htonl(INADDR_LOOPBACK + NET_SLIRP_FORWARDS_MAX);
	assert_int_equal(be->ops->forward(be, true, &fwd, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "forward-count 64");
	fwd.host_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(be->ops->forward(be, false, &fwd, &diag), 0);
	diag = (struct diag){0};
	assert_int_equal(be->ops->forward(be, true, &fwd, &diag), 0);
}

/* As in a process that has thousands of files open. */
static void descriptors_above_4095_are_watched(void **state)
{
	enum { HIGH = 4200 };
	struct rlimit old, high = {.rlim_cur = HIGH + 100};
	int *filler;
	int nr = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	high.rlim_max = old.rlim_max;
	if (old.rlim_max < high.rlim_cur)
		skip();
	filler = calloc(HIGH, sizeof(*filler));
	assert_non_null(filler);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &high), 0);
	do {
		assert_true(nr < HIGH);
		filler[nr] = dup(STDERR_FILENO);
		assert_true(filler[nr] >= 0);
	} while (filler[nr++] < HIGH);
	a_tcp_port_is_forwarded(state);
	while (nr > 0)
		close(filler[--nr]);
	free(filler);
	setrlimit(RLIMIT_NOFILE, &old);
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

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_gateway_answers_arp),
		TEST(the_gateway_answers_pings),
		TEST(frames_that_wait_are_all_offered),
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
		TEST(ports_come_and_go_while_the_guest_runs),
		TEST(a_port_is_forwarded_once),
		TEST(forwarded_ports_have_a_limit),
		TEST(descriptors_above_4095_are_watched),
		TEST(only_whole_ipv4_and_arp_are_let_through),
		TEST(other_frames_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
