/* Unit tests of virtio/net/tx.c and net_hdr.c: what a driver sends, well or badly made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "net_rig.h"
#include "virtio/net/hdr.h"
#include "virtio_counter.h"

#define BIT(n) (UINT64_C(1) << (n))
#define HOST_ALL                                                                                   \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |      \
	 BIT(VIRTIO_NET_F_HOST_ECN) | BIT(56))

enum {
	TX = 1,
	ALL_OFFLOADS = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 |
		       NET_OFFLOAD_TSO_ECN | NET_OFFLOAD_USO,
	SEGMENTS_MAX = 300,
};

static struct net_rig rig;

static int setup(void **state)
{
	(void)state;
	net_rig_init(&rig, 1, ALL_OFFLOADS, 1500, NULL);
	net_rig_start(&rig, HOST_ALL, 256);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	net_rig_fini(&rig);
	return 0;
}

/* Offers a frame with this header in segments of so many bytes (0: in one). */
static void offer(const struct virtio_net_hdr_v1 *hdr, size_t len, size_t segment)
{
	struct virtq_buf buf[SEGMENTS_MAX];
	const size_t bytes = sizeof(*hdr) + len;
	unsigned n = 0;
	uint8_t *p;
	uint64_t gpa = net_rig_alloc(&rig, bytes, &p);

	memcpy(p, hdr, sizeof(*hdr));
	for (size_t i = 0; i < len; i++)
		p[sizeof(*hdr) + i] = (uint8_t)(i * 3 + (i >> 8));
	for (size_t at = 0; at < bytes; at += segment) {
		if (segment == 0 || segment > bytes - at)
			segment = bytes - at;
		assert_true(n < SEGMENTS_MAX);
		buf[n++] = (struct virtq_buf){.gpa = gpa + at, .len = (uint32_t)segment};
	}
	virtq_driver_add(&rig.drv[TX], buf, n);
}

static void offer_plain(size_t len)
{
	offer(&(struct virtio_net_hdr_v1){0}, len, 0);
}

static void assert_sent(unsigned i, size_t len)
{
	const struct net_rig_frame *f = &rig.sent[i];

	assert_int_equal(f->len, len);
	for (size_t k = 0; k < len; k++)
		if (f->bytes[k] != (uint8_t)(k * 3 + (k >> 8)))
			fail_msg("byte %zu of %zu is wrong", k, len);
}

/* How many chains came back; each with nothing written. */
static unsigned returned(void)
{
	uint32_t id, len;
	unsigned n = 0;

	for (; virtq_driver_used(&rig.drv[TX], &id, &len); n++)
		assert_int_equal(len, 0);
	return n;
}

static void a_frame_is_sent_and_its_chain_comes_back(void **state)
{
	static const struct virtio_net_hdr_v1 zero;

	(void)state;
	offer_plain(60);
	net_rig_kick(&rig, TX);
	assert_int_equal(rig.nr_sent, 1);
	assert_sent(0, 60);
	assert_memory_equal(&rig.sent[0].hdr, &zero, sizeof(zero));
	assert_int_equal(returned(), 1);
	assert_int_equal(rig.interrupts, 1);
	assert_int_equal(rig.sent_calls, 1);
}

/* 2.7.4: the driver is free to cut a chain anywhere, also inside the header. */
static void a_frame_may_be_cut_anywhere(void **state)
{
	static const size_t segments[] = {1, 2, 5, 11, 12, 13, 14, 71, 72};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(segments); i++) {
		offer(&(struct virtio_net_hdr_v1){0}, 60, segments[i]);
		net_rig_kick(&rig, TX);
		assert_int_equal(rig.nr_sent, i + 1);
		assert_sent(i, 60);
	}
	assert_int_equal(returned(), ARRAY_SIZE(segments));
}

static void the_longest_frame_is_sent_and_a_longer_one_is_not(void **state)
{
	(void)state;
	offer_plain(NET_FRAME_BYTES_MAX);
	offer_plain(NET_FRAME_BYTES_MAX + 1);
	offer_plain(1 << 20);
	offer_plain(14);
	offer_plain(13);
	offer_plain(0);
	net_rig_kick(&rig, TX);
	assert_int_equal(rig.nr_sent, 2);
	assert_sent(0, NET_FRAME_BYTES_MAX);
	assert_sent(1, 14);
	assert_int_equal(returned(), 6);
	assert_int_equal(virtio_counter(rig.vd, "tx_malformed"), 4);
	assert_null(rig.reset_why);
}

static void a_chain_without_room_for_a_header_is_dropped(void **state)
{
	struct virtq_buf buf = {.len = 11};
	uint8_t *p;

	(void)state;
	buf.gpa = net_rig_alloc(&rig, buf.len, &p);
	virtq_driver_add(&rig.drv[TX], &buf, 1);
	buf.write = true;
	virtq_driver_add(&rig.drv[TX], &buf, 1);
	net_rig_kick(&rig, TX);
	assert_int_equal(rig.nr_sent, 0);
	assert_int_equal(returned(), 2);
	assert_int_equal(virtio_counter(rig.vd, "tx_malformed"), 2);
}

/* The chains come back, as if the network had lost the frames, and what was wrong is counted. */
static void what_the_back_end_refuses_is_lost(void **state)
{
	static const int errors[] = {-EPROTONOSUPPORT, -EIO, -EMFILE};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		rig.send_error = errors[i];
		offer_plain(60);
		net_rig_kick(&rig, TX);
	}
	rig.send_error = 0;
	offer_plain(60);
	net_rig_kick(&rig, TX);
	assert_int_equal(rig.nr_sent, 1);
	assert_int_equal(returned(), 4);
	assert_int_equal(virtio_counter(rig.vd, "tx_malformed"), 0);
	assert_int_equal(virtio_counter(rig.vd, "tx_unsupported"), 1);
	assert_int_equal(virtio_counter(rig.vd, "tx_failed"), 2);
}

static void frames_that_find_no_room_stay_in_the_ring_in_order(void **state)
{
	(void)state;
	rig.send_room = 2;
	for (unsigned i = 0; i < 5; i++)
		offer_plain(60 + i);
	net_rig_kick(&rig, TX);
	assert_int_equal(rig.nr_sent, 2);
	assert_int_equal(returned(), 2);
	/* Kicks change nothing; they are not even asked for. */
	offer_plain(65);
	assert_false(virtq_driver_kick_wanted(&rig.drv[TX], 5));
	net_rig_kick(&rig, TX);
	assert_int_equal(rig.nr_sent, 2);
	rig.send_room = UINT32_MAX;
	rig.be.client->tx_ready(rig.be.client, 0);
	assert_int_equal(rig.nr_sent, 6);
	for (unsigned i = 0; i < 6; i++)
		assert_sent(i, 60 + i);
	assert_int_equal(returned(), 4);
	assert_true(virtq_driver_kick_wanted(&rig.drv[TX], 6));
}

/* A full ring does not keep the I/O thread from what else it has to do. */
static void a_long_queue_is_sent_in_bursts(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200; i++)
		offer_plain(60);
	net_rig_kick(&rig, TX);
	assert_int_equal(rig.nr_sent, 64);
	assert_int_equal(rig.interrupts, 4); /* 16 come back at a time */
	assert_int_equal(rig.doorbells, 1);
	assert_int_equal(rig.last_doorbell, TX);
	while (rig.doorbells) {
		rig.doorbells--;
		net_rig_kick(&rig, rig.last_doorbell);
	}
	assert_int_equal(rig.nr_sent, 200);
	assert_int_equal(returned(), 200);
}

static void a_chain_that_is_too_long_asks_for_a_reset(void **state)
{
	uint8_t *p;
	struct virtq_buf buf[257];
	uint64_t table = net_rig_alloc(&rig, sizeof(struct vring_desc) * 257, &p);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(buf); i++) {
		buf[i] = (struct virtq_buf){.len = 1};
		buf[i].gpa = net_rig_alloc(&rig, 1, &p);
	}
	virtq_driver_offer(&rig.drv[TX], virtq_driver_indirect(&rig.drv[TX], table, buf, 256));
	net_rig_kick(&rig, TX);
	assert_int_equal(rig.nr_sent, 1);
	assert_null(rig.reset_why);
	virtq_driver_offer(&rig.drv[TX], virtq_driver_indirect(&rig.drv[TX], table, buf, 257));
	net_rig_kick(&rig, TX);
	assert_non_null(rig.reset_why);
	assert_int_equal(rig.nr_sent, 1);
	/* And after the reset all is well. */
	net_rig_stop(&rig);
	net_rig_start(&rig, HOST_ALL, 256);
	offer_plain(60);
	net_rig_kick(&rig, TX);
	assert_int_equal(rig.nr_sent, 2);
}

static struct virtio_net_hdr_v1 header(uint8_t flags, uint8_t gso, uint16_t hdr_len, uint16_t size,
				       uint16_t start, uint16_t offset)
{
	return (struct virtio_net_hdr_v1){
		.flags = flags,
		.gso_type = gso,
		.hdr_len = htole16(hdr_len),
		.gso_size = htole16(size),
		.csum_start = htole16(start),
		.csum_offset = htole16(offset),
	};
}

enum {
	N = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	T4 = VIRTIO_NET_HDR_GSO_TCPV4,
	T6 = VIRTIO_NET_HDR_GSO_TCPV6,
	UL = NET_HDR_GSO_UDP_L4,
	ECN = VIRTIO_NET_HDR_GSO_ECN,
	CSUM = NET_OFFLOAD_CSUM,
};

/* flags, gso_type, hdr_len, gso_size, csum_start, csum_offset; the frame; what was negotiated */
static const struct hdr_case {
	uint8_t flags, gso;
	uint16_t hdr_len, size, start, offset;
	size_t frame_bytes;
	unsigned offloads;
	bool ok;
	uint16_t ret_hdr_len;
} hdr_cases[] = {
	/* Nothing asked for; what else is there means nothing. */
	{0, 0, 0, 0, 0, 0, 14, 0, true, 0},
	{0, 0, 0xffff, 0xffff, 0xffff, 0xffff, 14, ALL_OFFLOADS, true, 0},
	{0xfe, 0, 0, 0, 0, 0, 60, ALL_OFFLOADS, true, 0},
	/* A checksum, and where it may lie. */
	{N, 0, 0, 0, 34, 16, 60, CSUM, true, 0},
	{N, 0, 0, 0, 34, 16, 60, 0, false, 0},
	{N, 0, 0, 0, 34, 24, 60, CSUM, true, 0},
	{N, 0, 0, 0, 34, 25, 60, CSUM, false, 0},
	{N, 0, 0, 0, 14, 0, 16, CSUM, true, 0},
	{N, 0, 0, 0, 13, 0, 60, CSUM, false, 0},
	{N, 0, 0, 0, 0, 40, 60, CSUM, false, 0},
	{N, 0, 0, 0, 0xffff, 0xffff, 60, CSUM, false, 0},
	{N, 0, 0, 0, 34, 0xfffe, 60, CSUM, false, 0},
	/* TSO */
	{N, T4, 54, 1448, 34, 16, 9000, ALL_OFFLOADS, true, 54},
	{N, T4, 66, 1448, 34, 16, 9000, ALL_OFFLOADS, true, 66},
	{N, T4, 0, 1448, 34, 16, 9000, ALL_OFFLOADS, true, 54},
	{N, T4, 9001, 1448, 34, 16, 9000, ALL_OFFLOADS, true, 54},
	{N, T4, 0xffff, 1448, 34, 16, 9000, ALL_OFFLOADS, true, 54},
	{N, T4, 54, 1448, 34, 16, 54, ALL_OFFLOADS, false, 0},
	{N, T4, 54, 1448, 34, 16, 55, ALL_OFFLOADS, true, 54},
	{N, T4, 54, 0, 34, 16, 9000, ALL_OFFLOADS, false, 0},
	{N, T4, 54, 47, 34, 16, 9000, ALL_OFFLOADS, false, 0},
	{N, T4, 54, 48, 34, 16, 9000, ALL_OFFLOADS, true, 54},
	{N, T4, 54, 0xffff, 34, 16, 9000, ALL_OFFLOADS, true, 54},
	{0, T4, 54, 1448, 34, 16, 9000, ALL_OFFLOADS, false, 0},
	{N, T4, 54, 1448, 34, 16, 9000, CSUM | NET_OFFLOAD_TSO6, false, 0},
	{N, T6, 74, 1428, 54, 16, 9000, CSUM | NET_OFFLOAD_TSO6, true, 74},
	{N, T6, 74, 1428, 54, 16, 9000, CSUM | NET_OFFLOAD_TSO4, false, 0},
	{N, T4 | ECN, 54, 1448, 34, 16, 9000, ALL_OFFLOADS, true, 54},
	{N, T4 | ECN, 54, 1448, 34, 16, 9000, CSUM | NET_OFFLOAD_TSO4, false, 0},
	{N, T4, 0, 1448, 65500, 16, 65557, ALL_OFFLOADS, true, 65520},
	{N, T4, 0, 1448, 65535, 16, 65557, ALL_OFFLOADS, false, 0},
	/* USO, which would be 64 Ki frames of one byte each */
	{N, UL, 42, 1472, 34, 6, 9000, ALL_OFFLOADS, true, 42},
	{N, UL, 42, 1472, 34, 6, 9000, ALL_OFFLOADS & ~NET_OFFLOAD_USO, false, 0},
	{N, UL, 42, 0, 34, 6, 9000, ALL_OFFLOADS, false, 0},
	{N, UL, 42, 1, 34, 6, 42 + 127, ALL_OFFLOADS, true, 42},
	{N, UL, 42, 1, 34, 6, 42 + 128, ALL_OFFLOADS, false, 0},
	{N, UL | ECN, 42, 1472, 34, 6, 9000, ALL_OFFLOADS, false, 0},
	/* Others: UFO, none, unheard of */
	{N, VIRTIO_NET_HDR_GSO_UDP, 42, 1472, 34, 6, 9000, ALL_OFFLOADS, false, 0},
	{N, ECN, 54, 1448, 34, 16, 9000, ALL_OFFLOADS, false, 0},
	{N, 2, 54, 1448, 34, 16, 9000, ALL_OFFLOADS, false, 0},
	{N, 0x7f, 54, 1448, 34, 16, 9000, ALL_OFFLOADS, false, 0},
};

static void headers_are_checked(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hdr_cases); i++) {
		const struct hdr_case *c = &hdr_cases[i];
		const struct virtio_net_hdr_v1 hdr =
			header(c->flags, c->gso, c->hdr_len, c->size, c->start, c->offset);
		struct virtio_net_hdr_v1 out, want = {0};

		if (net_hdr_tx(&hdr, c->frame_bytes, c->offloads, &out) != c->ok)
			fail_msg("header %zu: %s", i, c->ok ? "refused" : "taken");
		if (!c->ok)
			continue;
		if (c->flags & N)
			want = header(N, c->gso, c->ret_hdr_len, c->gso ? c->size : 0, c->start,
				      c->offset);
		if (memcmp(&out, &want, sizeof(out)) != 0)
			fail_msg("header %zu becomes another than it should", i);
	}
}

static void a_checked_header_goes_to_the_back_end(void **state)
{
	const struct virtio_net_hdr_v1 good = header(N, T4, 0, 1448, 34, 16);
	const struct virtio_net_hdr_v1 bad = header(N, T4, 0, 1, 34, 16);

	(void)state;
	offer(&bad, 9000, 0);
	offer(&good, 9000, 3000);
	net_rig_kick(&rig, TX);
	assert_int_equal(rig.nr_sent, 1);
	assert_sent(0, 9000);
	assert_int_equal(rig.sent[0].hdr.gso_type, T4);
	assert_int_equal(le16toh(rig.sent[0].hdr.hdr_len), 54);
	assert_int_equal(returned(), 2);
}

/* Only what was negotiated counts, and segmentation only along with checksums (5.1.3.1). */
static void offloads_that_were_not_negotiated_are_refused(void **state)
{
	const struct virtio_net_hdr_v1 csum = header(N, 0, 0, 0, 34, 16);
	const struct virtio_net_hdr_v1 tso = header(N, T4, 0, 1448, 34, 16);

	(void)state;
	net_rig_stop(&rig);
	net_rig_start(&rig, BIT(VIRTIO_NET_F_HOST_TSO4), 256);
	offer(&csum, 60, 0);
	offer(&tso, 9000, 0);
	net_rig_kick(&rig, TX);
	assert_int_equal(rig.nr_sent, 0);
	net_rig_stop(&rig);
	net_rig_start(&rig, BIT(VIRTIO_NET_F_CSUM), 256);
	offer(&csum, 60, 0);
	offer(&tso, 9000, 0);
	net_rig_kick(&rig, TX);
	assert_int_equal(rig.nr_sent, 1);
}

static void a_reset_forgets_that_there_was_no_room(void **state)
{
	(void)state;
	rig.send_room = 0;
	offer_plain(60);
	net_rig_kick(&rig, TX);
	net_rig_stop(&rig);
	rig.be.client->tx_ready(rig.be.client, 0); /* comes late */
	assert_int_equal(rig.nr_sent, 0);
	rig.send_room = UINT32_MAX;
	net_rig_start(&rig, 0, 256);
	offer_plain(61);
	net_rig_kick(&rig, TX);
	assert_int_equal(rig.nr_sent, 1);
	assert_sent(0, 61);
}

/* The back end says that it has room, whatever queues the driver has set up since. */
static void room_for_a_queue_that_is_not_set_up_is_ignored(void **state)
{
	(void)state;
	rig.send_room = 0;
	offer_plain(60);
	net_rig_kick(&rig, TX);
	net_rig_stop(&rig);
	rig.left_out = 1U << TX;
	net_rig_start(&rig, 0, 256);
	rig.send_room = UINT32_MAX;
	rig.be.client->tx_ready(rig.be.client, 0);
	assert_int_equal(rig.nr_sent, 0);
}

/* Without MQ the fourth queue is not a transmit queue, though it is live. */
static void room_for_a_queue_without_a_meaning_is_ignored(void **state)
{
	(void)state;
	net_rig_fini(&rig);
	net_rig_init(&rig, 2, 0, 1500, NULL);
	net_rig_start(&rig, 0, 256);
	virtq_driver_offer(&rig.drv[3], 0);
	rig.be.client->tx_ready(rig.be.client, 1);
	assert_int_equal(rig.drv[3].used->idx, 0);
	assert_null(rig.reset_why);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_frame_is_sent_and_its_chain_comes_back),
		TEST(a_frame_may_be_cut_anywhere),
		TEST(the_longest_frame_is_sent_and_a_longer_one_is_not),
		TEST(a_chain_without_room_for_a_header_is_dropped),
		TEST(what_the_back_end_refuses_is_lost),
		TEST(frames_that_find_no_room_stay_in_the_ring_in_order),
		TEST(a_long_queue_is_sent_in_bursts),
		TEST(a_chain_that_is_too_long_asks_for_a_reset),
		TEST(headers_are_checked),
		TEST(a_checked_header_goes_to_the_back_end),
		TEST(offloads_that_were_not_negotiated_are_refused),
		TEST(a_reset_forgets_that_there_was_no_room),
		TEST(room_for_a_queue_that_is_not_set_up_is_ignored),
		TEST(room_for_a_queue_without_a_meaning_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
