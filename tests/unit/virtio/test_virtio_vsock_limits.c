/* Unit tests of virtio/vsock: credit, limits, a driver that breaks the rules, and resets. */
#include "vsock_peers.h"

/* The guest is never sent more than it has room for, however it counts. */
static void the_guests_credit_bounds_what_it_is_sent(void **state)
{
	const int fd = connected(FIRST_PORT);
	struct virtio_vsock_hdr hdr =
		vsock_rig_hdr(VIRTIO_VSOCK_OP_CREDIT_UPDATE, FIRST_PORT, PORT);
	static char bytes[10000];

	(void)state;
	hdr.buf_alloc = htole32(1000);
	vsock_rig_put(&v, &hdr, 0);
	vsock_rig_post(&v, 32, VSOCK_RIG_RX_BYTES);
	assert_int_equal(send(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	vsock_rig_pump(&v);
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT).len, 1000);
	expect(VIRTIO_VSOCK_OP_CREDIT_REQUEST, FIRST_PORT, PORT);
	expect_none(); /* asked once */
	vsock_rig_put(&v, &hdr, 0);
	expect_none();
	hdr.fwd_cnt = htole32(600);
	vsock_rig_put(&v, &hdr, 0);
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT).len, 600);
	expect(VIRTIO_VSOCK_OP_CREDIT_REQUEST, FIRST_PORT, PORT);
	/* Lies: it took more than it was sent; its buffer shrank. */
	hdr.fwd_cnt = htole32(1601);
	vsock_rig_put(&v, &hdr, 0);
	expect_none();
	hdr.fwd_cnt = htole32(1600);
	hdr.buf_alloc = 0;
	vsock_rig_put(&v, &hdr, 0);
	expect_none();
	hdr.buf_alloc = htole32(UINT32_MAX);
	vsock_rig_put(&v, &hdr, 0);
	for (size_t got = 1600; got < sizeof(bytes);)
		got += expect(VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT).len;
	expect_none();
	close(fd);
}

/* A host that does not read: the device keeps what it advertised, and more breaks the rules. */
static void a_host_that_never_reads_costs_a_bounded_buffer(void **state)
{
	const int fd = connected(FIRST_PORT);
	uint64_t sent = 0;
	struct vsock_packet p;

	(void)state;
	vsock_rig_post(&v, 60, VSOCK_RIG_RX_BYTES);
	fill(BUF_BYTES, 0);
	/* First into the host's socket, for which there is new credit. */
	for (;;) {
		vsock_rig_send(&v, VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT, 4096);
		sent += 4096;
		if (counted("to_host_bytes") < sent)
			break;
		while (vsock_rig_next(&v, &p))
			assert_int_equal(le16toh(p.hdr.op), VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	}
	const uint64_t kept = sent - counted("to_host_bytes");

	vsock_rig_send(&v, VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT, (uint32_t)(BUF_BYTES - kept));
	send_op(VIRTIO_VSOCK_OP_CREDIT_REQUEST, FIRST_PORT, PORT);
	p = expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE, FIRST_PORT, PORT);
	assert_int_equal(le32toh(p.hdr.fwd_cnt), counted("to_host_bytes"));
	assert_int_equal(counted("violations"), 0);
	vsock_rig_send(&v, VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT, 1);
	expect(VIRTIO_VSOCK_OP_RST, FIRST_PORT, PORT);
	assert_int_equal(counted("violations"), 1);
	close(fd);
}

/* All that the guest sent arrives in order after it has left, and it may use the same ports again meanwhile. */
static void the_host_gets_all_that_a_guest_sent_before_it_left(void **state)
{
	const int listener = vsock_rig_listen(path_of("_77"));
	const int fd = accepted(listener);
	struct virtio_vsock_hdr hdr = vsock_rig_hdr(VIRTIO_VSOCK_OP_SHUTDOWN, HOST_PORT, PORT);
	static uint8_t got[1 << 20];
	uint64_t sent = 0, n = 0;
	struct vsock_packet p;
	ssize_t r;

	(void)state;
	vsock_rig_post(&v, 60, VSOCK_RIG_RX_BYTES);
	while (counted("to_host_bytes") == sent) {
		fill(16384, (unsigned)sent);
		vsock_rig_send(&v, VIRTIO_VSOCK_OP_RW, HOST_PORT, PORT, 16384);
		sent += 16384;
	}
	while (vsock_rig_next(&v, &p))
		assert_int_equal(le16toh(p.hdr.op), VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	hdr.flags = htole32(3);
	vsock_rig_put(&v, &hdr, 0);
	expect(VIRTIO_VSOCK_OP_RST, HOST_PORT, PORT);
	expect_none();
	const int again = accepted(listener);

	while ((r = recv(fd, got + n, sizeof(got) - n, MSG_DONTWAIT)) != 0) {
		if (r > 0)
			n += (uint64_t)r;
		vsock_rig_pump(&v);
	}
	assert_int_equal(n, sent);
	for (uint64_t i = 0; i < n; i++) {
		const unsigned k = (unsigned)(i % 16384), seed = (unsigned)(i - k);

		assert_int_equal(got[i], (uint8_t)(seed + k * 7 + k / 251));
	}
	vsock_rig_post(&v, 1, VSOCK_RIG_RX_BYTES);
	expect_none(); /* nothing more of the first */
	write_text(again, "second");
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW, HOST_PORT, PORT).len, 6);
	close(again);
	close(fd);
	close(listener);
}

/* The host is gone: what waits for it is dropped, and the guest's credit is not used up by it. */
static void bytes_for_a_host_that_left_are_dropped(void **state)
{
	const int fd = connected(FIRST_PORT);
	struct vsock_packet p;
	unsigned ops = 0;

	(void)state;
	while (counted("to_host_bytes") == v.drv[VSOCK_RIG_TX].avail_idx * 4096ULL - 4096)
		vsock_rig_send(&v, VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT, 4096);
	for (unsigned i = 0; i < 8; i++)
		vsock_rig_send(&v, VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT, 4096);
	close(fd);
	vsock_rig_post(&v, 8, VSOCK_RIG_RX_BYTES);
	vsock_rig_pump(&v);
	while (vsock_rig_next(&v, &p))
		ops |= 1U << le16toh(p.hdr.op);
	/* The socket had unread bytes, so its end is an error. */
	assert_true(ops & 1U << VIRTIO_VSOCK_OP_RST || ops & 1U << VIRTIO_VSOCK_OP_SHUTDOWN);
	vsock_rig_send(&v, VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT, 4096);
	expect(VIRTIO_VSOCK_OP_RST, FIRST_PORT, PORT);
}

static void packets_that_no_driver_sends_are_dropped(void **state)
{
	const int fd = connected(FIRST_PORT);
	const struct virtio_vsock_hdr good = vsock_rig_hdr(VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT);
	struct virtio_vsock_hdr hdr[5] = {good, good, good, good, good};

	(void)state;
	vsock_rig_post(&v, 8, VSOCK_RIG_RX_BYTES);
	hdr[0].src_cid = htole64(VSOCK_RIG_CID + 1);
	hdr[1].dst_cid = htole64(3);
	hdr[2].dst_cid = htole64(UINT64_C(1) << 32 | 2);
	hdr[3].len = htole32(1);
	hdr[4].len = htole32(UINT32_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(hdr); i++)
		vsock_rig_put(&v, &hdr[i], 0);
	virtq_driver_add(&v.drv[VSOCK_RIG_TX],
			 &(struct virtq_buf){VSOCK_RIG_HDR_GPA, VSOCK_RIG_HDR - 1, false}, 1);
	virtio_rig_kick(&v.rig, VSOCK_RIG_TX);
	expect_none();
	expect_text(fd, "");
	assert_int_equal(counted("malformed"), 6);
	close(fd);
}

static void packets_for_no_connection_are_answered_by_a_reset(void **state)
{
	struct virtio_vsock_hdr hdr = vsock_rig_hdr(VIRTIO_VSOCK_OP_REQUEST, HOST_PORT, PORT);

	(void)state;
	vsock_rig_post(&v, 40, VSOCK_RIG_RX_BYTES);
	for (unsigned op = 0; op < 10; op++) {
		if (op == VIRTIO_VSOCK_OP_REQUEST || op == VIRTIO_VSOCK_OP_RST)
			continue;
		vsock_rig_send(&v, op, HOST_PORT, op, 10);
		expect(VIRTIO_VSOCK_OP_RST, HOST_PORT, op);
	}
	hdr.type = htole16(VIRTIO_VSOCK_TYPE_SEQPACKET);
	vsock_rig_put(&v, &hdr, 0);
	expect(VIRTIO_VSOCK_OP_RST, HOST_PORT, PORT);
	hdr.op = htole16(VIRTIO_VSOCK_OP_RST);
	vsock_rig_put(&v, &hdr, 0);
	expect_none();
	assert_int_equal(counted("stray"), 10);
}

static void a_driver_that_breaks_the_rules_loses_the_connection(void **state)
{
	static const unsigned ops[] = {0, VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RESPONSE, 8,
				       UINT16_MAX};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		const int fd = connected(FIRST_PORT + i);

		vsock_rig_post(&v, 1, VSOCK_RIG_RX_BYTES);
		send_op(ops[i], FIRST_PORT + i, PORT);
		expect(VIRTIO_VSOCK_OP_RST, FIRST_PORT + i, PORT);
		expect_eof(fd);
		close(fd);
	}
	const int fd = dial();

	vsock_rig_post(&v, 2, VSOCK_RIG_RX_BYTES);
	write_text(fd, "CONNECT 1024\n");
	expect(VIRTIO_VSOCK_OP_REQUEST, FIRST_PORT + 5, PORT);
	vsock_rig_send(&v, VIRTIO_VSOCK_OP_RW, FIRST_PORT + 5, PORT, 10); /* before it accepted */
	expect(VIRTIO_VSOCK_OP_RST, FIRST_PORT + 5, PORT);
	expect_eof(fd);
	close(fd);
	assert_int_equal(counted("violations"), 6);
}

static void data_after_the_end_breaks_the_rules(void **state)
{
	const int fd = connected(FIRST_PORT);
	struct virtio_vsock_hdr hdr = vsock_rig_hdr(VIRTIO_VSOCK_OP_SHUTDOWN, FIRST_PORT, PORT);

	(void)state;
	vsock_rig_post(&v, 1, VSOCK_RIG_RX_BYTES);
	hdr.flags = htole32(VIRTIO_VSOCK_SHUTDOWN_SEND);
	vsock_rig_put(&v, &hdr, 0);
	vsock_rig_send(&v, VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT, 1);
	expect(VIRTIO_VSOCK_OP_RST, FIRST_PORT, PORT);
	close(fd);
}

/* Refusals wait for buffers of the driver in bounded room; then the transmit queue waits, and nothing is lost. */
static void refusals_without_buffers_hold_the_transmit_queue(void **state)
{
	uint32_t id, len;
	unsigned used = 0, got = 0;
	struct vsock_packet p;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		send_op(VIRTIO_VSOCK_OP_RW, HOST_PORT, i);
		while (virtq_driver_used(&v.drv[VSOCK_RIG_TX], &id, &len))
			used++;
	}
	assert_int_equal(used, RSTS_MAX);
	while (got < 100) {
		vsock_rig_post(&v, 1, VSOCK_RIG_RX_BYTES);
		assert_true(vsock_rig_next(&v, &p));
		assert_int_equal(le16toh(p.hdr.op), VIRTIO_VSOCK_OP_RST);
		assert_int_equal(le32toh(p.hdr.dst_port), got++);
	}
	while (virtq_driver_used(&v.drv[VSOCK_RIG_TX], &id, &len))
		used++;
	assert_int_equal(used, 100);
}

static void there_is_a_limit_of_connections(void **state)
{
	static int fd[CONNS_MAX];
	const int listener = vsock_rig_listen(path_of("_77"));

	(void)state;
	for (unsigned i = 0; i < CONNS_MAX; i++) {
		fd[i] = dial();
		vsock_rig_pump(&v);
	}
	const int more = dial();

	vsock_rig_pump(&v);
	expect_eof(more);
	vsock_rig_post(&v, 2, VSOCK_RIG_RX_BYTES);
	send_op(VIRTIO_VSOCK_OP_REQUEST, HOST_PORT, PORT);
	expect(VIRTIO_VSOCK_OP_RST, HOST_PORT, PORT);
	assert_int_equal(counted("over_limit"), 2);
	close(fd[7]);
	vsock_rig_pump(&v);
	close(accepted(listener));
	for (unsigned i = 0; i < CONNS_MAX; i++)
		if (i != 7)
			close(fd[i]);
	close(more);
	close(listener);
}

/* The driver's reset closes all at once, and the next driver starts anew. */
static void a_reset_closes_all_connections(void **state)
{
	const int open_one = connected(FIRST_PORT), asks = dial(), greets = dial();
	const int listener = vsock_rig_listen(path_of("_77"));
	const int from_guest = accepted(listener);

	(void)state;
	write_text(asks, "CONNECT 1024\n");
	write_text(greets, "CONN");
	virtio_rig_write(&v.rig, VIRTIO_MMIO_STATUS, 0);
	expect_eof(open_one);
	expect_eof(asks);
	expect_eof(from_guest);
	assert_true(recv(greets, (char[1]){0}, 1, MSG_DONTWAIT) == 0);
	assert_true(vsock_rig_start(&v, 0));
	close(connected(FIRST_PORT + 2));
	close(open_one);
	close(asks);
	close(greets);
	close(from_guest);
	close(listener);
}

static void buffers_of_the_wrong_kind_need_a_reset(void **state)
{
	struct virtq_driver *rx = &v.drv[VSOCK_RIG_RX];

	(void)state;
	virtq_driver_add(&v.drv[VSOCK_RIG_TX], &(struct virtq_buf){VSOCK_RIG_HDR_GPA, 44, true}, 1);
	virtio_rig_kick(&v.rig, VSOCK_RIG_TX);
	assert_string_equal(v.rig.vd->reset_why, "device-writable buffer in the transmit queue");
	for (unsigned i = 0; i < 2; i++) {
		assert_true(vsock_rig_start(&v, 0));
		send_op(VIRTIO_VSOCK_OP_RW, HOST_PORT, PORT);
		virtq_driver_add(rx, &(struct virtq_buf){VSOCK_RIG_RX_GPA, i ? 44 : 4096, i == 1},
				 1);
		virtio_rig_kick(&v.rig, VSOCK_RIG_RX);
		assert_string_equal(v.rig.vd->reset_why, "receive buffer without room for data");
		assert_true(virtio_rig_status(&v.rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
	}
	assert_true(vsock_rig_start(&v, 0));
	close(connected(FIRST_PORT));
}

/* A header and data that are cut into pieces anywhere. */
static void pieces_mean_nothing(void **state)
{
	const int fd = connected(FIRST_PORT);
	struct virtio_vsock_hdr hdr = vsock_rig_hdr(VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT);
	struct virtq_buf buf[8];
	struct vsock_packet p;

	(void)state;
	hdr.len = htole32(20);
	guest_mem_write(&v.rig.mem, VSOCK_RIG_DATA_GPA, &hdr, sizeof(hdr));
	guest_mem_write(&v.rig.mem, VSOCK_RIG_DATA_GPA + 44, "01234567890123456789", 20);
	for (unsigned i = 0; i < 8; i++)
		buf[i] = (struct virtq_buf){VSOCK_RIG_DATA_GPA + i * 8ULL, 8, false};
	virtq_driver_add(&v.drv[VSOCK_RIG_TX], buf, 8);
	virtio_rig_kick(&v.rig, VSOCK_RIG_TX);
	expect_text(fd, "01234567890123456789");
	for (unsigned i = 0; i < 8; i++) /* contiguous, so the rig reads it as one */
		buf[i] = (struct virtq_buf){VSOCK_RIG_RX_GPA + i * 8ULL, 8, true};
	virtq_driver_add(&v.drv[VSOCK_RIG_RX], buf, 8);
	write_text(fd, "abcdefghijklmnopqrstuvwxyz");
	assert_true(vsock_rig_next(&v, &p));
	assert_int_equal(p.len, 20);
	assert_memory_equal(p.data, "abcdefghijklmnopqrst", 20);
	close(fd);
}

/* Each connection is serviced, also next to one that writes more. */
static void connections_take_turns(void **state)
{
	static char bytes[100000];
	const int one = connected(FIRST_PORT), two = connected(FIRST_PORT + 1);
	unsigned last = 0, n = 0;
	struct vsock_packet p;

	(void)state;
	assert_true(send(one, bytes, sizeof(bytes), 0) > 50000);
	assert_true(send(two, bytes, sizeof(bytes), 0) > 50000);
	vsock_rig_pump(&v);
	vsock_rig_post(&v, 16, VSOCK_RIG_RX_BYTES);
	for (; vsock_rig_next(&v, &p); last = le32toh(p.hdr.src_port), n++)
		assert_int_not_equal(le32toh(p.hdr.src_port), last);
	assert_int_equal(n, 16);
	close(one);
	close(two);
}

/* No kick for a buffer that nobody waits for, and one interrupt for the packets of one event. */
static void notifications_are_few(void **state)
{
	const int fd = connected(FIRST_PORT);
	unsigned pulses;

	(void)state;
	vsock_rig_post(&v, 16, VSOCK_RIG_RX_BYTES);
	assert_false(virtq_driver_kick_wanted(&v.drv[VSOCK_RIG_RX], 0));
	assert_true(virtq_driver_kick_wanted(&v.drv[VSOCK_RIG_TX], 0));
	pulses = v.rig.pulses;
	assert_int_equal(send(fd, (char[20000]){0}, 20000, 0), 20000);
	vsock_rig_pump(&v);
	assert_int_equal(v.rig.pulses, pulses + 1);
	close(fd);
}

static void the_socket_is_removed_with_the_device(void **state)
{
	(void)state;
	assert_int_equal(access(path_of(""), F_OK), 0);
	v.rig.dev->cls->io->end(v.rig.dev);
	assert_int_equal(access(path_of(""), F_OK), -1);
}

static void a_path_that_is_taken_is_refused(void **state)
{
	struct vsock_rig other;
	struct diag diag = {0};

	(void)state;
	other.conf = (struct virtio_vsock_conf){.path = path_of(""), .cid = 9};
	assert_int_equal(virtio_rig_prepare(&other.rig, &virtio_vsock_class, &other.conf), 0);
	other.rig.f.env.diag = &diag;
	assert_int_equal(virtio_rig_create(&other.rig), -EADDRINUSE);
	assert_string_equal(diag.id, "vsock-socket-open");
	assert_string_equal(diag.remedy, "choose another path");
	virtio_rig_fini(&other.rig);
	assert_int_equal(access(path_of(""), F_OK), 0);
}

static void the_configuration_has_the_guests_cid(void **state)
{
	(void)state;
	assert_int_equal(virtio_rig_read(&v.rig, VIRTIO_MMIO_CONFIG), VSOCK_RIG_CID);
	assert_int_equal(virtio_rig_read(&v.rig, VIRTIO_MMIO_CONFIG + 4), 0);
	assert_int_equal(virtio_rig_read(&v.rig, VIRTIO_MMIO_DEVICE_ID), 19);
	assert_int_equal(virtio_rig_features(&v.rig) & 0xffffff, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(the_guests_credit_bounds_what_it_is_sent),
		VSOCK_TEST(a_host_that_never_reads_costs_a_bounded_buffer),
		VSOCK_TEST(the_host_gets_all_that_a_guest_sent_before_it_left),
		VSOCK_TEST(bytes_for_a_host_that_left_are_dropped),
		VSOCK_TEST(packets_that_no_driver_sends_are_dropped),
		VSOCK_TEST(packets_for_no_connection_are_answered_by_a_reset),
		VSOCK_TEST(a_driver_that_breaks_the_rules_loses_the_connection),
		VSOCK_TEST(data_after_the_end_breaks_the_rules),
		VSOCK_TEST(refusals_without_buffers_hold_the_transmit_queue),
		VSOCK_TEST(there_is_a_limit_of_connections),
		VSOCK_TEST(a_reset_closes_all_connections),
		VSOCK_TEST(buffers_of_the_wrong_kind_need_a_reset),
		VSOCK_TEST(pieces_mean_nothing),
		VSOCK_TEST(connections_take_turns),
		VSOCK_TEST(notifications_are_few),
		VSOCK_TEST(the_socket_is_removed_with_the_device),
		VSOCK_TEST(a_path_that_is_taken_is_refused),
		VSOCK_TEST(the_configuration_has_the_guests_cid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
