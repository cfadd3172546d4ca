/* Unit tests of a network with faults on purpose, between a network and a device that the test is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "backend/net.h"
#include "base/clock.h"
#include "base/iov.h"
#include "base/macros.h"

enum { FRAME = 60, FRAMES = 400, BOTH = NET_FAULT_TX | NET_FAULT_RX, DELAY_NS = 2000000 };

/* The network below, and the device above. A frame's first bytes are its number. */
static struct {
	struct net_backend be;
	struct net_client *client;
	uint8_t sent[FRAMES][NET_HDR_BYTES + FRAME], got[FRAMES][NET_HDR_BYTES + FRAME];
	unsigned nr_sent, sent_calls, room;
	int error;               /* of send() */
	unsigned arrived, taken; /* frames for the guest */
	bool wants;
	unsigned nr_got, wanted; /* of the device, and when the loop is to stop */
	unsigned count[FAULT_KINDS], ready_calls, links;
	struct event_loop loop;
	struct net_client above;
	struct net_backend *fault;
} t;

static int below_send(struct net_backend *be, unsigned pair, const struct iovec *iov, unsigned nr)
{
	(void)be;
	assert_int_equal(pair, 0);
	assert_int_equal(iov[0].iov_len, NET_HDR_BYTES);
	if (t.error) {
		event_loop_stop(&t.loop);
		return t.error;
	}
	if (t.room == 0)
		return -EAGAIN;
	t.room--;
	assert_true(t.nr_sent < FRAMES);
	assert_int_equal(iov_bytes(iov, nr), sizeof(t.sent[0]));
	iov_read(iov, nr, 0, t.sent[t.nr_sent++], sizeof(t.sent[0]));
	if (t.nr_sent == t.wanted)
		event_loop_stop(&t.loop);
	return 0;
}

static void below_sent(struct net_backend *be)
{
	(void)be;
	t.sent_calls++;
}

static void make_frame(unsigned number, uint8_t ret[NET_HDR_BYTES + FRAME])
{
	memset(ret, 0, NET_HDR_BYTES + FRAME);
	ret[0] = VIRTIO_NET_HDR_F_DATA_VALID;
	memset(ret + NET_HDR_BYTES, (int)(number & 0x7f), FRAME);
	memcpy(ret + NET_HDR_BYTES, &number, sizeof(number));
}

static unsigned number_of(const uint8_t *frame)
{
	unsigned number;

	memcpy(&number, frame + NET_HDR_BYTES, sizeof(number));
	return number;
}

static ssize_t below_receive(struct net_backend *be, unsigned pair, const struct iovec *iov,
			     unsigned nr)
{
	uint8_t frame[NET_HDR_BYTES + FRAME];

	(void)be;
	(void)pair;
	if (t.taken == t.arrived)
		return -EAGAIN;
	make_frame(t.taken++, frame);
	return (ssize_t)iov_write(iov, nr, 0, frame, sizeof(frame));
}

static void below_rx_want(struct net_backend *be, unsigned pair, bool want)
{
	(void)be;
	(void)pair;
	t.wants = want;
}

static int below_pairs_set(struct net_backend *be, unsigned pairs)
{
	(void)be;
	return pairs == 1 ? 0 : -EINVAL;
}

static void below_destroy(struct net_backend *be)
{
	(void)be;
}

static int below_open(const void *opts, const struct net_backend_env *env, struct net_backend **ret,
		      struct diag *diag)
{
	static const struct net_backend_ops ops = {
		.send = below_send,
		.sent = below_sent,
		.receive = below_receive,
		.rx_want = below_rx_want,
		.pairs_set = below_pairs_set,
		.destroy = below_destroy,
	};

	(void)opts;
	(void)diag;
	t.client = env->client;
	t.be = (struct net_backend){.ops = &ops,
				    .name = "below",
				    .pairs = 1,
				    .tx_offloads = NET_OFFLOAD_CSUM,
				    .rx_offloads = NET_OFFLOAD_CSUM,
				    .mtu = 1400,
				    .link_up = true};
	*ret = &t.be;
	return 0;
}

/* As the device does: all that there is, while it has buffers. */
static void take_all(void)
{
	struct virtio_net_hdr_v1 hdr;
	uint8_t frame[2 * FRAME];
	const struct iovec iov[] = {{&hdr, sizeof(hdr)}, {frame, sizeof(frame)}};
	ssize_t n;

	while ((n = t.fault->ops->receive(t.fault, 0, iov, 2)) > 0) {
		assert_int_equal(n, NET_HDR_BYTES + FRAME);
		assert_true(t.nr_got < FRAMES);
		iov_read(iov, 2, 0, t.got[t.nr_got++], (size_t)n);
	}
	if (t.nr_got == t.wanted)
		event_loop_stop(&t.loop);
}

static void on_rx_ready(struct net_client *client, unsigned pair)
{
	(void)client;
	assert_int_equal(pair, 0);
	t.ready_calls++;
	take_all();
}

static void on_faulted(struct net_client *client, enum fault_kind kind)
{
	(void)client;
	t.count[kind]++;
}

static void on_link_changed(struct net_client *client)
{
	(void)client;
	t.links++;
}

static void open_with(const struct fault_rule *rules, unsigned nr)
{
	struct net_fault_opts opts = {.open = below_open, .rules = {.nr = nr}};
	struct net_backend_env env;

	memset(&t, 0, sizeof(t));
	t.room = FRAMES;
	t.above = (struct net_client){
		.rx_ready = on_rx_ready, .faulted = on_faulted, .link_changed = on_link_changed};
	memcpy(opts.rules.rule, rules, nr * sizeof(*rules));
	assert_int_equal(event_loop_init(&t.loop, NULL, NULL), 0);
	env = (struct net_backend_env){.loop = &t.loop, .client = &t.above};
	assert_int_equal(net_fault_open(&opts, &env, &t.fault, NULL), 0);
	t.fault->ops->rx_want(t.fault, 0, true);
}

static void close_all(void)
{
	net_backend_destroy(t.fault);
	event_loop_fini(&t.loop);
}

static int send_one(unsigned number)
{
	uint8_t frame[NET_HDR_BYTES + FRAME];
	const struct iovec iov[] = {{frame, NET_HDR_BYTES},
				    {frame + NET_HDR_BYTES, 20},
				    {frame + NET_HDR_BYTES + 20, FRAME - 20}};

	make_frame(number, frame);
	return t.fault->ops->send(t.fault, 0, iov, ARRAY_SIZE(iov));
}

/* Runs the loop until so many frames came out below, or above. */
static void run_until(unsigned frames)
{
	t.wanted = frames;
	atomic_store(&t.loop.stop, false);
	event_loop_run(&t.loop);
	t.wanted = 0;
}

static void test_what_it_says_of_itself(void **state)
{
	const struct fault_rule rule = {.kind = FAULT_LOSE, .which = BOTH};

	(void)state;
	open_with(&rule, 1);
	assert_string_equal(t.fault->name, "below");
	assert_true(t.fault->pairs == 1 && t.fault->mtu == 1400 && t.fault->link_up);
	/* A frame is one packet with its checksum, or a wrong bit in it would be in none. */
	assert_true(t.fault->tx_offloads == 0 && t.fault->rx_offloads == 0);
	t.be.link_up = false;
	t.client->link_changed(t.client);
	assert_true(t.links == 1 && !t.fault->link_up);
	close_all();
}

static void test_loss(void **state)
{
	const struct fault_rule rule = {.kind = FAULT_LOSE, .which = BOTH, .every = 3};

	(void)state;
	open_with(&rule, 1);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(send_one(i), 0);
	assert_int_equal(t.nr_sent, 6);
	assert_int_equal(number_of(t.sent[2]), 3); /* 0, 1, 3, 4 and so on */
	t.arrived = 200;
	take_all();
	assert_int_equal(t.nr_got, 200 - 200 / 3);
	assert_int_equal(t.count[FAULT_LOSE], 3 + 200 / 3);
	close_all();
}

/* However many are lost: the thread gets to other work. */
static void test_all_lost(void **state)
{
	const struct fault_rule rule = {.kind = FAULT_LOSE, .which = NET_FAULT_RX};

	(void)state;
	open_with(&rule, 1);
	t.arrived = FRAMES;
	take_all();
	assert_int_equal(t.nr_got, 0);
	assert_true(t.taken > 0 && t.taken < FRAMES);
	close_all();
}

static void test_duplicates(void **state)
{
	const struct fault_rule rule = {.kind = FAULT_DUPLICATE, .which = BOTH, .every = 2};

	(void)state;
	open_with(&rule, 1);
	send_one(0);
	send_one(1);
	assert_int_equal(t.nr_sent, 3);
	assert_memory_equal(t.sent[1], t.sent[2], sizeof(t.sent[1]));
	t.arrived = 2;
	take_all();
	assert_int_equal(t.nr_got, 3);
	assert_memory_equal(t.got[1], t.got[2], sizeof(t.got[1]));
	assert_int_equal(t.count[FAULT_DUPLICATE], 2);
	close_all();
}

static unsigned wrong_bits(const uint8_t *frame, unsigned number)
{
	uint8_t right[NET_HDR_BYTES + FRAME];
	unsigned n = 0;

	make_frame(number, right);
	for (unsigned i = NET_HDR_BYTES; i < sizeof(right); i++)
		n += (unsigned)__builtin_popcount(frame[i] ^ right[i]);
	return n;
}

static void test_corruption(void **state)
{
	const struct fault_rule rule = {.kind = FAULT_CORRUPT, .which = BOTH, .seed = 3};
	uint8_t first[4][NET_HDR_BYTES + FRAME];

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		open_with(&rule, 1);
		t.arrived = 4;
		take_all();
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(send_one(i), 0);
			assert_int_equal(wrong_bits(t.got[i], i), 1);
			assert_int_equal(wrong_bits(t.sent[i], i), 1);
			assert_int_equal(t.got[i][0],
					 0); /* nobody says that its checksum is right */
		}
		if (round == 0)
			memcpy(first, t.got, sizeof(first));
		else
			assert_memory_equal(first, t.got, sizeof(first));
		close_all();
	}
}

static void test_delays(void **state)
{
	const struct fault_rule rule = {
		.kind = FAULT_DELAY, .which = BOTH, .delay_ns = DELAY_NS, .every = 2};
	const int64_t began_ns = clock_monotonic_ns();

	(void)state;
	open_with(&rule, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(send_one(i), 0);
	run_until(4);
	assert_true(clock_monotonic_ns() - began_ns >= DELAY_NS);
	assert_int_equal(number_of(t.sent[0]), 0);
	assert_int_equal(number_of(t.sent[t.nr_sent - 1]), 3);
	assert_true(t.sent_calls > 0);
	t.arrived = 4;
	take_all();
	if (t.nr_got < 4)
		run_until(4);
	assert_int_equal(number_of(t.got[3]), 3);
	assert_int_equal(t.count[FAULT_DELAY], 4);
	close_all();
}

/* A frame that waits is offered when the device wants it, and not before. */
static void test_a_frame_waits_for_who_does_not_want_it(void **state)
{
	const struct fault_rule rule = {
		.kind = FAULT_DELAY, .which = NET_FAULT_RX, .delay_ns = DELAY_NS};
	const struct fault_rule tx = {
		.kind = FAULT_DELAY, .which = NET_FAULT_TX, .delay_ns = INT64_C(4) * DELAY_NS};

	(void)state;
	open_with((struct fault_rule[]){rule, tx}, 2);
	t.arrived = 1;
	take_all();
	t.fault->ops->rx_want(t.fault, 0, false);
	send_one(7);
	run_until(1); /* the frame sent comes out later than the other one would have */
	assert_true(t.nr_got == 0 && t.ready_calls == 0);
	t.fault->ops->rx_want(t.fault, 0, true);
	run_until(1);
	assert_int_equal(t.nr_got, 1);
	close_all();
}

static void test_reordering(void **state)
{
	const struct fault_rule rule = {
		.kind = FAULT_REORDER, .which = BOTH, .every = 2, .times = 2};

	(void)state;
	open_with(&rule, 1);
	for (unsigned i = 0; i < 3; i++)
		send_one(i);
	assert_int_equal(t.nr_sent, 3);
	assert_int_equal(number_of(t.sent[1]), 2);
	assert_int_equal(number_of(t.sent[2]), 1);
	/* No other one follows: it is not kept. */
	send_one(3);
	assert_int_equal(t.nr_sent, 3);
	run_until(4);
	assert_int_equal(number_of(t.sent[3]), 3);
	close_all();
	open_with(&rule, 1);
	t.arrived = 3;
	take_all();
	assert_int_equal(t.nr_got, 3);
	assert_int_equal(number_of(t.got[1]), 2);
	assert_int_equal(number_of(t.got[2]), 1);
	close_all();
}

/* The device sends the same frame once more: that is not another frame. */
static void test_no_room_below(void **state)
{
	const struct fault_rule rule = {.kind = FAULT_LOSE, .which = NET_FAULT_TX, .every = 2};

	(void)state;
	open_with(&rule, 1);
	t.room = 0;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(send_one(0), -EAGAIN);
	t.room = FRAMES;
	assert_int_equal(send_one(0), 0);
	assert_int_equal(t.nr_sent, 1);
	assert_int_equal(send_one(1), 0);
	assert_int_equal(t.nr_sent, 1);
	assert_int_equal(t.count[FAULT_LOSE], 1);
	close_all();
}

/* A frame that is late finds no room, or nobody who takes such: only the first is a fault. */
static void test_a_late_frame_that_is_not_sent(void **state)
{
	const struct fault_rule rule = {
		.kind = FAULT_DELAY, .which = NET_FAULT_TX, .delay_ns = DELAY_NS};
	static const int errors[] = {-EAGAIN, -EPROTONOSUPPORT};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		open_with(&rule, 1);
		t.error = errors[i];
		send_one(0);
		event_loop_run(&t.loop);
		assert_int_equal(t.count[FAULT_LOSE], errors[i] == -EAGAIN);
		close_all();
	}
}

/* A guest that sends without end takes a bounded amount of memory. */
static void test_more_wait_than_there_is_room_for(void **state)
{
	const struct fault_rule rule = {
		.kind = FAULT_DELAY, .which = NET_FAULT_TX, .delay_ns = INT64_C(3600) * NS_PER_S};

	(void)state;
	open_with(&rule, 1);
	for (unsigned i = 0; i < FRAMES; i++)
		assert_int_equal(send_one(i), 0);
	assert_int_equal(t.nr_sent, 0);
	assert_int_equal(t.count[FAULT_DELAY], FRAMES);
	assert_int_equal(t.count[FAULT_LOSE], FRAMES - 256);
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_it_says_of_itself),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_all_lost),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_corruption),
		cmocka_unit_test(test_delays),
		cmocka_unit_test(test_a_frame_waits_for_who_does_not_want_it),
		cmocka_unit_test(test_reordering),
		cmocka_unit_test(test_no_room_below),
		cmocka_unit_test(test_a_late_frame_that_is_not_sent),
		cmocka_unit_test(test_more_wait_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
