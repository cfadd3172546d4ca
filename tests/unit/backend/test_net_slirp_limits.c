/*
 * Unit tests of what backend/net/slirp.c, slirp_tcp.c and slirp_fds.c bound: memory, sockets and time that a
 * guest, or the peers of its forwarded ports, can take.
 */
#include "net_slirp_rig.h"

#include <malloc.h>
#include <sys/resource.h>

#include "backend/net/slirp_tcp.h"
#include "base/clock.h"

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
	/* A request that needs no socket still works. */
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

/* Not linked with a sanitizer's allocator, which reports nothing. */
static size_t heap_bytes(void)
{
	const struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* A connection of the guest's to a listening socket of the host; ret_syn_ack is what answered its SYN. */
static int connect_guest(unsigned sport, int listener, uint16_t port, struct frame *ret_syn_ack)
{
	struct frame f = {0};
	int fd;

	frame_tcp_syn(&f, GUEST, sport, GATEWAY, port);
	assert_int_equal(send_frame(&f), 0);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	do {
		receive_protocol(ret_syn_ack, 6);
	} while (frame_get16(ret_syn_ack->b + FRAME_L4 + 2) != sport ||
		 !(ret_syn_ack->b[FRAME_L4 + 13] & FRAME_SYN));
	return fd;
}

static int listen_on_host(uint16_t *ret_port)
{
	int fd = host_socket(SOCK_STREAM, ret_port);

	assert_int_equal(listen(fd, 4096), 0);
	return fd;
}

static void drain(void)
{
	struct frame f;

	while (receive_now(&f))
		continue;
}

/* One byte of each two, and never the first: libslirp keeps each such segment in a buffer of its own. */
static void segments_ahead_of_sequence_do_not_grow_the_vmm(void **state)
{
	enum { SEGMENTS = 5000, KEPT = 128 };
	uint16_t port;
	int listener = listen_on_host(&port);
	struct frame syn_ack = {0}, f = {0};
	unsigned taken = 0;
	size_t before;
	int fd;

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	fd = connect_guest(2000, listener, port, &syn_ack);
	before = heap_bytes();
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		int r;

		frame_tcp_answer(&f, &syn_ack, 3 + 2 * i, FRAME_PSH, "x", 1);
		r = send_frame(&f);
		assert_true(r == 0 || r == -ENOBUFS);
		taken += r == 0;
		drain();
	}
	assert_true(heap_bytes() - before <= 1 << 20);
	assert_int_equal(taken, KEPT);
	close(fd);
	close(listener);
}

/* Of no length, so that none covers another. */
static void ends_ahead_of_sequence_do_not_grow_the_vmm(void **state)
{
	enum { SEGMENTS = 5000, KEPT = 128 };
	uint16_t port;
	int listener = listen_on_host(&port);
	struct frame syn_ack = {0}, f = {0};
	unsigned taken = 0;
	size_t before;
	int fd;

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	fd = connect_guest(2000, listener, port, &syn_ack);
	before = heap_bytes();
	for (unsigned i = 0; i < SEGMENTS; i++) {
		frame_tcp_answer(&f, &syn_ack, 100, FRAME_FIN, "", 0);
		taken += send_frame(&f) == 0;
		drain();
	}
	assert_true(heap_bytes() - before <= 1 << 20);
	assert_int_equal(taken, KEPT);
	close(fd);
	close(listener);
}

/* Segments that libslirp refuses, as their sums are wrong, must not make it seem that it is further on. */
static void broken_segments_hide_no_others(void **state)
{
	enum { SEGMENTS = 5000, KEPT = 128, BROKEN = 100, BYTES = 1400 };
	uint16_t port;
	int listener = listen_on_host(&port);
	struct frame syn_ack = {0}, f = {0};
	unsigned taken = 0;
	int fd;

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	fd = connect_guest(2000, listener, port, &syn_ack);
	for (uint32_t i = 0; i < BROKEN; i++) {
		uint8_t data[BYTES] = {0};

		frame_tcp_answer(&f, &syn_ack, 2 + i * BYTES, 0, data, BYTES);
		f.b[FRAME_L4 + 16] ^= 1;
		taken += send_frame(&f) == 0;
		drain();
	}
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		frame_tcp_answer(&f, &syn_ack, 3 + 2 * i, FRAME_PSH, "x", 1);
		taken += send_frame(&f) == 0;
		drain();
	}
	assert_int_equal(taken, KEPT);
	close(fd);
	close(listener);
}

/* The connection of a key that has to make room for another: the frame that ends it does end it. */
static void an_evicted_connection_is_over(void **state)
{
	static struct slirp_tcp tcp;
	uint8_t reset[SLIRP_TCP_RESET_BYTES];
	uint16_t port;
	int listener = listen_on_host(&port);
	struct frame syn_ack = {0}, f = {0};
	struct slirp_tcp_segment seg;
	char byte;
	int fd;

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	fd = connect_guest(2000, listener, port, &syn_ack);
	frame_tcp_answer(&f, &syn_ack, 3, FRAME_PSH, "x", 1);
	assert_int_equal(send_frame(&f), 0);
	tcp = (struct slirp_tcp){0};
	assert_true(slirp_tcp_parse(f.b, f.len, true, &seg));
	assert_true(slirp_tcp_admit(&tcp, &seg));
	receive_protocol(&f, 6);
	assert_true(slirp_tcp_parse(f.b, f.len, false, &seg));
	slirp_tcp_answer(&tcp, &seg);
	/* Others of which as much is kept, until one of them falls on the same place. */
	do {
		seg.key.port[0]++;
		seg.first = 3;
		seg.end = 4;
		if (slirp_tcp_evict(&tcp, &seg, reset))
			break;
	} while (slirp_tcp_admit(&tcp, &seg));
	memcpy(f.b, reset, sizeof(reset));
	f.len = sizeof(reset);
	assert_int_equal(frame_get16(f.b + FRAME_L4), 2000);
	assert_int_equal(send_frame(&f), 0);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
	close(listener);
}

/* Each of many connections keeps all that one may: one VM's connections have a limit together. */
static void connections_share_a_limit(void **state)
{
	enum { CONNECTIONS = 100, SEGMENTS = 128, KEPT = 8192 };
	uint16_t port;
	int listener = listen_on_host(&port), fd[CONNECTIONS];
	struct frame syn_ack = {0}, f = {0};
	unsigned taken = 0;

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	for (unsigned c = 0; c < CONNECTIONS; c++) {
		fd[c] = connect_guest(2000 + c, listener, port, &syn_ack);
		for (uint32_t i = 0; i < SEGMENTS; i++) {
			frame_tcp_answer(&f, &syn_ack, 3 + 2 * i, FRAME_PSH, "x", 1);
			taken += send_frame(&f) == 0;
			drain();
		}
	}
	assert_int_equal(taken, KEPT);
	for (unsigned c = 0; c < CONNECTIONS; c++)
		close(fd[c]);
	close(listener);
}

enum { STREAM_BYTES = 200000, STREAM_SEGMENT = 1000 };

static uint8_t stream_byte(uint32_t at)
{
	return (uint8_t)(at * 7 + (at >> 8));
}

static int send_stream_at(const struct frame *syn_ack, uint32_t at)
{
	uint8_t data[STREAM_SEGMENT] = {0};
	struct frame f = {0};

	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = stream_byte(at + i);
	frame_tcp_answer(&f, syn_ack, 1 + at, FRAME_PSH, data, sizeof(data));
	return send_frame(&f);
}

/* How far libslirp says it is, which the guest's next segments go by. */
static uint32_t take_acks(uint32_t acked)
{
	struct frame f;

	while (receive_now(&f))
		if (f.b[FRAME_IP + 9] == 6 && frame_get32(f.b + FRAME_L4 + 8) - 1 > acked)
			acked = frame_get32(f.b + FRAME_L4 + 8) - 1;
	return acked;
}

/* A window of segments, the last first, some of them twice and every third lost once. */
static void send_window(const struct frame *syn_ack, uint32_t acked, unsigned round)
{
	enum { WINDOW = 40 };

	for (uint32_t i = WINDOW; i-- > 0;) {
		const uint32_t at = acked + i * STREAM_SEGMENT;

		if (at >= STREAM_BYTES || (round % 2 == 0 && i % 3 == 0))
			continue;
		assert_int_equal(send_stream_at(syn_ack, at), 0);
		if (i % 5 == 0)
			assert_int_equal(send_stream_at(syn_ack, at), 0);
	}
}

static uint32_t take_stream(int fd, uint32_t got)
{
	uint8_t buf[4096];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], stream_byte(got++));
	return got;
}

/* A guest that loses, repeats and disorders its segments: none of those let through is missed. */
static void a_stream_out_of_order_arrives_whole(void **state)
{
	uint16_t port;
	int listener = listen_on_host(&port);
	struct frame syn_ack = {0};
	uint32_t acked = 0, got = 0;
	int fd;

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	fd = connect_guest(2000, listener, port, &syn_ack);
	for (unsigned round = 0; acked < STREAM_BYTES; round++) {
		assert_true(round < 100);
		send_window(&syn_ack, acked, round);
		acked = take_acks(acked);
		got = take_stream(fd, got);
	}
	while (got < STREAM_BYTES) {
		run_events();
		got = take_stream(fd, got);
	}
	close(fd);
	close(listener);
}

/* Each of one byte, and the guest does not wait for acknowledgements, as an interactive program's do not. */
static void short_segments_in_order_all_pass(void **state)
{
	enum { SEGMENTS = 3000 };
	uint16_t port;
	int listener = listen_on_host(&port);
	struct frame syn_ack = {0}, f = {0};
	char buf[SEGMENTS];
	int fd;

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	fd = connect_guest(2000, listener, port, &syn_ack);
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		frame_tcp_answer(&f, &syn_ack, 1 + i, FRAME_PSH, "x", 1);
		frame_put16(f.b + FRAME_L4 + 14, 8192 + i % 2); /* none of them predicted */
		frame_ip_finish(&f, 16);
		assert_int_equal(send_frame(&f), 0);
	}
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_WAITALL), SEGMENTS);
	close(fd);
	close(listener);
}

/* One that libslirp's table of MAC addresses has lost, while the guest is the sender it saw last. */
static void answers_are_not_queued_for_a_forgotten_address(void **state)
{
	enum { TABLE = 16, PINGS = 200 };
	struct frame f = {0};

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	frame_ping(&f, GUEST, GATEWAY, 7, 0);
	assert_int_equal(send_frame(&f), 0);
	assert_true(receive_now(&f));
	for (unsigned i = 0; i < TABLE; i++) {
		frame_arp_request(&f, IP(10, 0, 2, 100 + i), IP(10, 0, 2, 100 + i));
		assert_int_equal(send_frame(&f), 0);
	}
	for (unsigned i = 0; i < PINGS; i++) {
		frame_ping(&f, GUEST, GATEWAY, 7, (uint16_t)i);
		assert_int_equal(send_frame(&f), 0);
		assert_true(receive_now(&f));
		assert_int_equal(f.b[FRAME_IP + 9], 1);
	}
}

/* Port 67 is libslirp's own server's at the gateway alone; elsewhere it is a socket like any other. */
static void datagrams_to_the_dhcp_port_elsewhere_count(void **state)
{
	unsigned sent = 0;
	struct frame f = {0};

	(void)state;
	assert_int_equal(open_net(&(struct net_slirp_opts){0}), 0);
	for (unsigned i = 0; i < 300; i++) {
		frame_udp(&f, GUEST, 2000 + i, IP(127, 0, 0, 1), 67, "x", 1);
		sent += send_frame(&f) == 0;
	}
	assert_int_equal(sent, 256);
}

/* A peer's connection, made as far as the host makes it. */
static int connect_peer(uint16_t port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_true(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 ||
		    errno == EINPROGRESS);
	return fd;
}

enum { SYNS_MAX = 600 };

/* The first segments of the connections that were accepted, which is how the guest hears of them. */
static struct frame syns[SYNS_MAX];
static unsigned nr_syns;

static void take_syns(void)
{
	struct frame f;

	while (receive_now(&f)) {
		unsigned i = 0;

		if (f.b[FRAME_IP + 9] != 6 ||
		    (f.b[FRAME_L4 + 13] & (FRAME_SYN | FRAME_ACK)) != FRAME_SYN)
			continue;
		while (i < nr_syns && memcmp(syns[i].b + FRAME_L4, f.b + FRAME_L4, 2) != 0)
			i++;
		assert_true(i < SYNS_MAX);
		syns[i] = f;
		nr_syns += i == nr_syns;
	}
}

static void accept_peers(unsigned expected)
{
	while (nr_syns < expected) {
		run_events();
		take_syns();
	}
	for (unsigned i = 0; i < 100; i++) { /* nor any later */
		run_events();
		take_syns();
	}
}

/* They do nothing, and there are more of them than are let in. Those that go make room for others. */
static void idle_peers_leave_the_guest_its_own_traffic(void **state)
{
	enum { PEERS = 300, LET_IN_MIN = 128, LET_IN_MAX = 131 };
	const struct net_slirp_opts opts = forward_to(false, free_port(SOCK_STREAM), 80);
	uint16_t port;
	int listener = listen_on_host(&port), peer[PEERS];
	struct frame f = {0};
	unsigned first;

	(void)state;
	nr_syns = 0;
	assert_int_equal(open_net(&opts), 0);
	frame_arp_request(&f, GUEST, GUEST);
	assert_int_equal(send_frame(&f), 0);
	for (unsigned i = 0; i < PEERS; i++) {
		peer[i] = connect_peer(opts.forward[0].host_port);
		run_events();
		take_syns();
	}
	accept_peers(LET_IN_MIN);
	first = nr_syns;
	assert_true(first >= LET_IN_MIN && first <= LET_IN_MAX);
	close(connect_guest(2000, listener, port, &f));
	for (unsigned i = 0; i < first; i++) {
		frame_tcp_answer(&f, &syns[i], 0, FRAME_RST, "", 0);
		assert_int_equal(send_frame(&f), 0);
	}
	accept_peers(first + 1); /* one waits; the host's queue of them is short */
	for (unsigned i = 0; i < PEERS; i++)
		close(peer[i]);
	close(listener);
}

/* The host has no descriptor for a peer. Its port rests then, and is not looked at over and over. */
static void a_peer_that_cannot_be_accepted_costs_no_busy_loop(void **state)
{
	const struct net_slirp_opts opts = forward_to(false, free_port(SOCK_STREAM), 80);
	struct frame f = {0};
	struct rlimit old, low;
	unsigned looks = 0;
	int64_t began_ns;
	int peer;

	(void)state;
	assert_int_equal(open_net(&opts), 0);
	frame_arp_request(&f, GUEST, GUEST);
	assert_int_equal(send_frame(&f), 0);
	peer = connect_peer(opts.forward[0].host_port);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){.rlim_cur = (rlim_t)peer, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	began_ns = monotonic_ns(&host_clock);
	for (unsigned i = 0; i < 1000; i++) {
		const unsigned before = clock_reads;

		run_events();
		looks += clock_reads != before;
	}
	/* Ten a second for it, and libslirp's own; far from one for each turn of the loop. */
	assert_true(looks >= 1 &&
		    looks <= 5 + (monotonic_ns(&host_clock) - began_ns) / (20 * NS_PER_MS));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	nr_syns = 0;
	accept_peers(1);
	assert_int_equal(nr_syns, 1);
	close(peer);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_that_find_no_room_are_counted),
		TEST(a_guest_that_takes_nothing_does_not_grow_the_queue),
		TEST(addresses_are_learned_from_what_is_sent),
		TEST(a_guest_opens_a_bounded_number_of_sockets),
		TEST(sockets_that_are_over_do_not_count),
		TEST(segments_ahead_of_sequence_do_not_grow_the_vmm),
		TEST(ends_ahead_of_sequence_do_not_grow_the_vmm),
		TEST(broken_segments_hide_no_others),
		TEST(an_evicted_connection_is_over),
		TEST(connections_share_a_limit),
		TEST(a_stream_out_of_order_arrives_whole),
		TEST(short_segments_in_order_all_pass),
		TEST(answers_are_not_queued_for_a_forgotten_address),
		TEST(datagrams_to_the_dhcp_port_elsewhere_count),
		TEST(idle_peers_leave_the_guest_its_own_traffic),
		TEST(a_peer_that_cannot_be_accepted_costs_no_busy_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
