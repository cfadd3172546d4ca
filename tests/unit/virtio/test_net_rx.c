/* Unit tests of virtio/net/rx.c: frames from the network into buffers of all shapes, and too few. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "net_rig.h"
#include "virtio_counter.h"

#define BIT(n) (UINT64_C(1) << (n))
#define MERGE  BIT(VIRTIO_NET_F_MRG_RXBUF)
#define GUEST_ALL                                                                                  \
	(BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) |                             \
	 BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(54) | BIT(55))

enum {
	RX = 0,
	ALL_OFFLOADS = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 |
		       NET_OFFLOAD_TSO_ECN | NET_OFFLOAD_USO,
};

static const struct virtio_net_hdr_v1 needs_csum = {
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
static const struct virtio_net_hdr_v1 valid = {.flags = VIRTIO_NET_HDR_F_DATA_VALID};
static const struct virtio_net_hdr_v1 tso = {
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	.gso_size = 1448,
	.csum_start = 34,
	.csum_offset = 16,
};

static struct net_rig rig;

static int setup(void **state)
{
	(void)state;
	net_rig_init(&rig, 1, ALL_OFFLOADS, 0, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	net_rig_fini(&rig);
	return 0;
}

static void assert_byte(size_t i, uint8_t byte)
{
	if (byte != (uint8_t)(i * 7 + (i >> 8)))
		fail_msg("byte %zu of the frame is wrong", i);
}

/* The next used buffer, which holds bytes of the frame from at on, after skip bytes of header. */
static size_t assert_part(const uint8_t *buffer, size_t skip, size_t at)
{
	uint32_t id, len = 0;

	assert_true(virtq_driver_used(&rig.drv[RX], &id, &len));
	for (size_t i = skip; i < len; i++)
		assert_byte(at + i - skip, buffer[i]);
	return len - skip;
}

static bool any_used(void)
{
	uint32_t id, len;

	return virtq_driver_used(&rig.drv[RX], &id, &len);
}

static unsigned num_buffers(const uint8_t *buffer)
{
	struct virtio_net_hdr_v1 hdr;

	memcpy(&hdr, buffer, sizeof(hdr));
	return le16toh(hdr.num_buffers);
}

static void a_frame_goes_into_a_buffer(void **state)
{
	uint8_t *p;

	(void)state;
	net_rig_start(&rig, 0, 256);
	p = net_rig_buffer(&rig, RX, 1526);
	net_rig_kick(&rig, RX);
	assert_true(rig.rx_want[0]);
	net_rig_arrive(&rig, NULL, 100);
	net_rig_rx_ready(&rig, 0);
	assert_int_equal(assert_part(p, 12, 0), 100);
	assert_int_equal(num_buffers(p), 1);
	assert_int_equal(rig.interrupts, 1);
	assert_false(any_used());
}

static void without_buffers_the_back_end_is_not_asked(void **state)
{
	uint8_t *p;

	(void)state;
	net_rig_start(&rig, MERGE, 256);
	assert_false(rig.rx_want[0]);
	assert_true(virtq_driver_kick_wanted(&rig.drv[RX], 0));
	net_rig_arrive(&rig, NULL, 100);
	rig.be.client->rx_ready(rig.be.client, 0); /* even if it should call */
	assert_int_equal(rig.first_arrived, 0);
	p = net_rig_buffer(&rig, RX, 2048);
	net_rig_kick(&rig, RX);
	assert_int_equal(assert_part(p, 12, 0), 100);
	assert_false(rig.rx_want[0]); /* it was the only one */
	net_rig_buffer(&rig, RX, 2048);
	net_rig_kick(&rig, RX);
	assert_true(rig.rx_want[0]);
	assert_false(virtq_driver_kick_wanted(&rig.drv[RX], 2));
}

static void a_long_frame_takes_several_buffers(void **state)
{
	uint8_t *p[50];
	size_t at = 0;

	(void)state;
	net_rig_start(&rig, MERGE | GUEST_ALL, 256);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = net_rig_buffer(&rig, RX, 1500);
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, NULL, 65000);
	net_rig_arrive(&rig, NULL, 60);
	net_rig_rx_ready(&rig, 0);
	assert_int_equal(num_buffers(p[0]), 44);
	for (unsigned i = 0; i < 44; i++)
		at += assert_part(p[i], i == 0 ? 12 : 0, at);
	assert_int_equal(at, 65000);
	assert_int_equal(num_buffers(p[44]), 1);
	assert_int_equal(assert_part(p[44], 12, 0), 60);
	assert_false(any_used());
}

/* 2.7.4: buffers, too, may be cut anywhere: here each is a chain of pieces of seven bytes. */
static void buffers_may_be_chains(void **state)
{
	struct virtq_buf buf[10];
	uint8_t *p[12], *whole;
	size_t at = 0;

	(void)state;
	net_rig_start(&rig, MERGE, 256);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++) {
		const uint64_t gpa = net_rig_alloc(&rig, 70, &p[i]);

		for (unsigned k = 0; k < ARRAY_SIZE(buf); k++)
			buf[k] = (struct virtq_buf){
				.gpa = gpa + (uint64_t)k * 7, .len = 7, .write = true};
		virtq_driver_add(&rig.drv[RX], buf, ARRAY_SIZE(buf));
	}
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, NULL, 500);
	net_rig_rx_ready(&rig, 0);
	whole = p[0];
	assert_int_equal(num_buffers(whole), 8);
	for (unsigned i = 0; i < 8; i++)
		at += assert_part(p[i], i == 0 ? 12 : 0, at);
	assert_int_equal(at, 500);
}

static void without_merging_a_frame_that_does_not_fit_is_lost(void **state)
{
	uint8_t *p;

	(void)state;
	net_rig_start(&rig, 0, 256);
	p = net_rig_buffer(&rig, RX, 112);
	net_rig_buffer(&rig, RX, 112);
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, NULL, 101);
	net_rig_arrive(&rig, NULL, 100);
	net_rig_rx_ready(&rig, 0);
	assert_int_equal(assert_part(p, 12, 0), 100);
	assert_false(any_used());
	assert_int_equal(virtio_counter(rig.vd, "rx_too_long"), 1);
}

static void a_frame_waits_for_the_buffers_it_lacks(void **state)
{
	struct virtio_net_hdr_v1 want = needs_csum;
	uint8_t *p[5];
	size_t at = 0;

	(void)state;
	net_rig_start(&rig, MERGE | BIT(VIRTIO_NET_F_GUEST_CSUM), 256);
	p[0] = net_rig_buffer(&rig, RX, 300);
	p[1] = net_rig_buffer(&rig, RX, 300);
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, &needs_csum, 1400);
	net_rig_arrive(&rig, NULL, 50);
	net_rig_rx_ready(&rig, 0);
	assert_false(any_used());
	assert_int_equal(rig.first_arrived, 1); /* one waits with us, not more */
	assert_false(rig.rx_want[0]);
	p[2] = net_rig_buffer(&rig, RX, 300);
	assert_true(virtq_driver_kick_wanted(&rig.drv[RX], 2));
	net_rig_kick(&rig, RX);
	assert_false(any_used());
	memset(p[0], 0xee, 300); /* nothing there is needed any more, the header's place neither */
	p[3] = net_rig_buffer(&rig, RX, 300);
	p[4] = net_rig_buffer(&rig, RX, 300);
	net_rig_kick(&rig, RX);
	want.num_buffers = htole16(5);
	assert_memory_equal(p[0], &want, sizeof(want));
	for (unsigned i = 0; i < 5; i++)
		at += assert_part(p[i], i == 0 ? 12 : 0, at);
	assert_int_equal(at, 1400);
	assert_false(any_used());
}

/* Longer than anything expected, with buffers enough in the ring: they are only taken by and by. */
static void an_unexpectedly_long_frame_is_taken_too(void **state)
{
	uint8_t *p[20];
	size_t at = 0;

	(void)state;
	net_rig_start(&rig, MERGE, 256);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = net_rig_buffer(&rig, RX, 1000);
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, NULL, 9000);
	net_rig_rx_ready(&rig, 0);
	assert_int_equal(num_buffers(p[0]), 10);
	for (unsigned i = 0; i < 10; i++)
		at += assert_part(p[i], i == 0 ? 12 : 0, at);
	assert_int_equal(at, 9000);
}

/* All buffers of the ring are there and too few: the frame is lost, the next one comes. */
static void a_frame_too_long_for_the_ring_is_lost(void **state)
{
	uint8_t *p[4];

	(void)state;
	net_rig_start(&rig, MERGE, 4);
	for (unsigned i = 0; i < 4; i++)
		p[i] = net_rig_buffer(&rig, RX, 100);
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, NULL, 389);
	net_rig_arrive(&rig, NULL, 388);
	net_rig_rx_ready(&rig, 0);
	assert_int_equal(num_buffers(p[0]), 4);
	assert_int_equal(assert_part(p[0], 12, 0), 88);
	assert_int_equal(virtio_counter(rig.vd, "rx_too_long"), 1);
}

/* A hostile ring: so many pieces that not all its buffers are looked at, and never enough for a frame. */
static void many_small_pieces_make_no_endless_work(void **state)
{
	struct virtq_buf buf[12];
	uint8_t *p;
	uint64_t gpa = net_rig_alloc(&rig, 16, &p);

	(void)state;
	net_rig_start(&rig, MERGE, 256);
	for (unsigned i = 0; i < ARRAY_SIZE(buf); i++)
		buf[i] = (struct virtq_buf){.gpa = gpa, .len = 1, .write = true};
	for (unsigned i = 0; i < 256; i++) {
		uint64_t table = net_rig_alloc(&rig, sizeof(struct vring_desc) * 12, &p);

		virtq_driver_offer(&rig.drv[RX],
				   virtq_driver_indirect(&rig.drv[RX], table, buf, 12));
	}
	net_rig_kick(&rig, RX);
	for (unsigned i = 0; i < 100; i++)
		net_rig_arrive(&rig, NULL, 1500);
	net_rig_rx_ready(&rig, 0);
	assert_int_equal(rig.first_arrived, 100); /* all lost */
	assert_false(any_used());
}

/*
 * Buffers of a header's size, one piece each, as many as the queue has, and then the driver's index set
 * back: with it the ring offers 65,534 more, which are in no array.
 */
static void buffers_from_an_index_set_back_ask_for_a_reset(void **state)
{
	(void)state;
	net_rig_start(&rig, MERGE | GUEST_ALL, 256);
	for (unsigned i = 0; i < 256; i++)
		net_rig_buffer(&rig, RX, NET_HDR_BYTES);
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, NULL, 1500);
	net_rig_rx_ready(&rig, 0);
	rig.drv[RX].avail->idx = 254;
	net_rig_kick(&rig, RX);
	net_rig_rx_ready(&rig, 0);
	assert_string_equal(rig.reset_why, "more chains available than the queue holds");
	assert_int_equal(rig.vd->queue[RX].chains, 256);
}

/* The queue's size is not what bounds the device's own arrays: here the queue is four times as long. */
static void buffers_beyond_the_devices_arrays_stay_in_the_queue(void **state)
{
	(void)state;
	rig.vd->queue[RX].size_max = 1024;
	net_rig_start(&rig, MERGE | GUEST_ALL, 256);
	net_rig_queue_live(&rig, RX, 1024);
	for (unsigned i = 0; i < 1024; i++)
		net_rig_buffer(&rig, RX, NET_HDR_BYTES);
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, NULL,
		       8000); /* is lost: it waits for no buffer that there is no room for */
	net_rig_rx_ready(&rig, 0);
	assert_int_equal(rig.vd->queue[RX].chains, 256);
	assert_false(any_used());
	assert_int_equal(virtio_counter(rig.vd, "rx_too_long"), 1);
	for (unsigned i = 0; i < 512; i++) { /* two buffers each, so that all are taken by and by */
		net_rig_arrive(&rig, NULL, 12);
		net_rig_rx_ready(&rig, 0);
		net_rig_forget_frames(&rig);
		assert_true(any_used());
		assert_true(any_used());
	}
	assert_false(any_used());
	assert_int_equal(rig.vd->queue[RX].chains, 1024);
	assert_null(rig.reset_why);
}

static void a_buffer_without_room_for_the_header_asks_for_a_reset(void **state)
{
	(void)state;
	net_rig_start(&rig, MERGE, 256);
	net_rig_buffer(&rig, RX, 2048);
	net_rig_buffer(&rig, RX, 11);
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, NULL, 60);
	net_rig_arrive(&rig, NULL, 60);
	net_rig_rx_ready(&rig, 0);
	assert_string_equal(rig.reset_why, "receive buffer that no header fits");
	assert_false(rig.rx_want[0]);
	/* It works again after the reset, with what the network sent since. */
	net_rig_stop(&rig);
	net_rig_start(&rig, MERGE, 256);
	net_rig_buffer(&rig, RX, 2048);
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, NULL, 60);
	net_rig_rx_ready(&rig, 0);
	assert_true(any_used());
}

static void a_device_readable_receive_buffer_asks_for_a_reset(void **state)
{
	struct virtq_buf buf[] = {{.len = 64}, {.len = 64, .write = true}};
	uint8_t *p;

	(void)state;
	net_rig_start(&rig, MERGE, 256);
	buf[0].gpa = buf[1].gpa = net_rig_alloc(&rig, 64, &p);
	virtq_driver_add(&rig.drv[RX], buf, 2);
	net_rig_kick(&rig, RX);
	assert_non_null(rig.reset_why);
}

/* 5.1.6.4: what the driver did not ask for is not for it; the host may have queued it before. */
static void unfinished_frames_are_only_for_who_takes_them(void **state)
{
	struct virtio_net_hdr_v1 got;
	uint8_t *p;

	(void)state;
	net_rig_start(&rig, MERGE, 256);
	p = net_rig_buffer(&rig, RX, 2048);
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, &needs_csum, 100);
	net_rig_arrive(&rig, &tso, 100);
	net_rig_arrive(&rig, &valid, 77);
	net_rig_rx_ready(&rig, 0);
	assert_int_equal(assert_part(p, 12, 0), 77);
	memcpy(&got, p, sizeof(got));
	assert_int_equal(got.flags, 0);
	assert_false(any_used());
	assert_int_equal(virtio_counter(rig.vd, "rx_offload"), 2);
}

static void unfinished_frames_come_to_who_takes_them(void **state)
{
	const struct virtio_net_hdr_v1 hdrs[] = {needs_csum, valid, tso};
	uint8_t *p[3];

	(void)state;
	net_rig_start(&rig, MERGE | GUEST_ALL, 256);
	assert_int_equal(rig.rx_offloads, ALL_OFFLOADS);
	for (unsigned i = 0; i < 3; i++) {
		p[i] = net_rig_buffer(&rig, RX, 2048);
		net_rig_arrive(&rig, &hdrs[i], 100);
	}
	net_rig_kick(&rig, RX);
	for (unsigned i = 0; i < 3; i++) {
		struct virtio_net_hdr_v1 want = hdrs[i];

		want.num_buffers = htole16(1);
		assert_int_equal(assert_part(p[i], 12, 0), 100);
		assert_memory_equal(p[i], &want, sizeof(want));
	}
}

static void a_reset_forgets_buffers_and_frames(void **state)
{
	uint8_t *p;

	(void)state;
	net_rig_start(&rig, MERGE, 256);
	net_rig_buffer(&rig, RX, 100);
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, NULL, 1000); /* is held */
	net_rig_rx_ready(&rig, 0);
	net_rig_stop(&rig);
	assert_false(rig.rx_want[0]);
	net_rig_start(&rig, MERGE, 256);
	p = net_rig_buffer(&rig, RX, 2048);
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, NULL, 60);
	net_rig_rx_ready(&rig, 0);
	assert_int_equal(assert_part(p, 12, 0), 60);
	assert_false(any_used());
}

static void a_flood_is_taken_in_bursts(void **state)
{
	(void)state;
	net_rig_start(&rig, MERGE, 256);
	for (unsigned i = 0; i < 200; i++)
		net_rig_buffer(&rig, RX, 256);
	net_rig_kick(&rig, RX);
	for (unsigned i = 0; i < 150; i++)
		net_rig_arrive(&rig, NULL, 60);
	rig.be.client->rx_ready(rig.be.client, 0);
	assert_int_equal(rig.first_arrived, 64);
	assert_int_equal(rig.interrupts, 1);
	assert_true(rig.rx_want[0]);
	net_rig_rx_ready(&rig, 0);
	assert_int_equal(rig.first_arrived, 150);
	assert_int_equal(rig.interrupts, 3);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_frame_goes_into_a_buffer),
		TEST(without_buffers_the_back_end_is_not_asked),
		TEST(a_long_frame_takes_several_buffers),
		TEST(buffers_may_be_chains),
		TEST(without_merging_a_frame_that_does_not_fit_is_lost),
		TEST(a_frame_waits_for_the_buffers_it_lacks),
		TEST(an_unexpectedly_long_frame_is_taken_too),
		TEST(a_frame_too_long_for_the_ring_is_lost),
		TEST(many_small_pieces_make_no_endless_work),
		TEST(buffers_from_an_index_set_back_ask_for_a_reset),
		TEST(buffers_beyond_the_devices_arrays_stay_in_the_queue),
		TEST(a_buffer_without_room_for_the_header_asks_for_a_reset),
		TEST(a_device_readable_receive_buffer_asks_for_a_reset),
		TEST(unfinished_frames_are_only_for_who_takes_them),
		TEST(unfinished_frames_come_to_who_takes_them),
		TEST(a_reset_forgets_buffers_and_frames),
		TEST(a_flood_is_taken_in_bursts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
