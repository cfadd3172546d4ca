/* Unit tests of virtio/vsock: clients and listeners of the host, and how connections end. */
#include "vsock_peers.h"

static void a_client_connects_and_data_goes_both_ways(void **state)
{
	const int fd = connected(FIRST_PORT);
	struct vsock_packet p;

	(void)state;
	vsock_rig_post(&v, 2, VSOCK_RIG_RX_BYTES);
	write_text(fd, "hello");
	p = expect(VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT);
	assert_int_equal(p.len, 5);
	assert_memory_equal(p.data, "hello", 5);
	assert_int_equal(le32toh(p.hdr.buf_alloc), BUF_BYTES);
	guest_mem_write(&v.rig.mem, VSOCK_RIG_DATA_GPA, "world", 5);
	vsock_rig_send(&v, VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT, 5);
	expect_text(fd, "world");
	assert_int_equal(counted("from_host"), 1);
	assert_int_equal(counted("to_host_bytes"), 5);
	assert_int_equal(counted("to_guest_bytes"), 5);
	close(fd);
}

static void each_client_has_a_port_of_its_own(void **state)
{
	(void)state;
	const int one = connected(FIRST_PORT), two = connected(FIRST_PORT + 1);

	close(one);
	close(two);
}

/* Bytes after the line, in the same write, are the guest's; so are those that come before it has accepted. */
static void bytes_after_the_line_are_data(void **state)
{
	const int fd = dial();
	struct vsock_packet p;

	(void)state;
	vsock_rig_post(&v, 2, VSOCK_RIG_RX_BYTES);
	write_text(fd, "connect 1024\r\nearly");
	expect(VIRTIO_VSOCK_OP_REQUEST, FIRST_PORT, PORT);
	expect_none();
	send_op(VIRTIO_VSOCK_OP_RESPONSE, FIRST_PORT, PORT);
	p = expect(VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT);
	assert_int_equal(p.len, 5);
	assert_memory_equal(p.data, "early", 5);
	close(fd);
}

static void a_line_may_come_byte_by_byte(void **state)
{
	const int fd = dial();

	(void)state;
	vsock_rig_post(&v, 1, VSOCK_RIG_RX_BYTES);
	for (const char *p = "CONNECT 1024\n"; *p; p++)
		write_text(fd, (const char[]){*p, '\0'});
	expect(VIRTIO_VSOCK_OP_REQUEST, FIRST_PORT, PORT);
	close(fd);
}

static void a_line_that_asks_for_nothing_closes_the_connection(void **state)
{
	static const char *const lines[] = {
		"\n",
		"CONNECT\n",
		"CONNECT \n",
		"CONNECT 4294967296\n",
		"CONNECT -1\n",
		"CONNECT 12 \n",
		"LISTEN 12\n",
		"CONNECT 00000000000000000000001024\n",
		"0123456789012345678901234567890123456789",
	};

	(void)state;
	vsock_rig_post(&v, 4, VSOCK_RIG_RX_BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const int fd = dial();

		write_text(fd, lines[i]);
		/* Bytes that it did not take make the end an error. */
		assert_true(recv(fd, (char[1]){0}, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
		close(fd);
	}
	expect_none();
	assert_int_equal(counted("refused"), ARRAY_SIZE(lines));
}

static void a_client_that_leaves_before_its_line_is_forgotten(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * CONNS_MAX; i++) {
		const int fd = dial();

		write_text(fd, "CONN");
		close(fd);
		vsock_rig_pump(&v);
	}
	assert_int_equal(counted("over_limit"), 0);
	close(connected(FIRST_PORT));
}

static void a_line_has_a_time_limit(void **state)
{
	(void)state;
	const int slow = dial();

	write_text(slow, "CONNECT 10");
	assert_int_equal(timer.it_value.tv_sec, WAIT_S);
	let_time_pass(3 * NS_PER_S);
	const int later = dial();

	vsock_rig_pump(&v);
	expect_text(slow, "");
	assert_int_equal(timer.it_value.tv_sec, WAIT_S - 3);
	let_time_pass(2 * NS_PER_S);
	expect_eof(slow);
	expect_text(later, "");
	let_time_pass(3 * NS_PER_S);
	expect_eof(later);
	assert_int_equal(counted("refused"), 2);
	close(slow);
	close(later);
}

/* The guest's clock stands still while the VM is paused, so a pause costs nobody the connection. */
static void a_guest_that_does_not_answer_has_the_same_limit(void **state)
{
	const int fd = dial();

	(void)state;
	vsock_rig_post(&v, 2, VSOCK_RIG_RX_BYTES);
	write_text(fd, "CONNECT 1024\n");
	expect(VIRTIO_VSOCK_OP_REQUEST, FIRST_PORT, PORT);
	let_time_pass(0);
	expect_text(fd, "");
	let_time_pass(WAIT_S * NS_PER_S);
	expect_eof(fd);
	expect(VIRTIO_VSOCK_OP_RST, FIRST_PORT, PORT);
	send_op(VIRTIO_VSOCK_OP_RESPONSE, FIRST_PORT, PORT); /* too late */
	assert_int_equal(counted("stray"), 1);
	close(fd);
}

static void a_guest_that_refuses_closes_the_connection(void **state)
{
	const int fd = dial();

	(void)state;
	vsock_rig_post(&v, 1, VSOCK_RIG_RX_BYTES);
	write_text(fd, "CONNECT 1024\n");
	expect(VIRTIO_VSOCK_OP_REQUEST, FIRST_PORT, PORT);
	send_op(VIRTIO_VSOCK_OP_RST, FIRST_PORT, PORT);
	expect_eof(fd);
	assert_int_equal(counted("refused"), 1);
	close(fd);
}

static void without_a_driver_nobody_accepts(void **state)
{
	(void)state;
	virtio_rig_write(&v.rig, VIRTIO_MMIO_STATUS, 0);
	const int fd = dial();

	write_text(fd, "CONNECT 1024\n");
	expect_eof(fd);
	close(fd);
}

static void a_client_that_leaves_while_the_guest_is_asked_is_taken_back(void **state)
{
	int fd = dial();

	(void)state;
	write_text(fd, "CONNECT 1024\n"); /* no buffer: the guest has not heard of it */
	close(fd);
	vsock_rig_pump(&v);
	vsock_rig_post(&v, 2, VSOCK_RIG_RX_BYTES);
	expect_none();
	fd = dial();
	write_text(fd, "CONNECT 1024\n");
	expect(VIRTIO_VSOCK_OP_REQUEST, FIRST_PORT + 1, PORT);
	close(fd);
	vsock_rig_pump(&v);
	expect(VIRTIO_VSOCK_OP_RST, FIRST_PORT + 1, PORT);
}

static void the_guest_reaches_a_listener_of_the_host(void **state)
{
	const int listener = vsock_rig_listen(path_of("_77"));
	const int fd = accepted(listener);

	(void)state;
	guest_mem_write(&v.rig.mem, VSOCK_RIG_DATA_GPA, "ping", 4);
	vsock_rig_send(&v, VIRTIO_VSOCK_OP_RW, HOST_PORT, PORT, 4);
	expect_text(fd, "ping");
	vsock_rig_post(&v, 1, VSOCK_RIG_RX_BYTES);
	write_text(fd, "pong");
	assert_memory_equal(expect(VIRTIO_VSOCK_OP_RW, HOST_PORT, PORT).data, "pong", 4);
	assert_int_equal(counted("from_guest"), 1);
	close(fd);
	close(listener);
}

static void a_port_without_a_listener_is_refused(void **state)
{
	(void)state;
	vsock_rig_post(&v, 1, VSOCK_RIG_RX_BYTES);
	send_op(VIRTIO_VSOCK_OP_REQUEST, HOST_PORT, PORT);
	expect(VIRTIO_VSOCK_OP_RST, HOST_PORT, PORT);
	assert_int_equal(counted("refused"), 1);
}

/* Half of a connection: each direction ends alone, after all of its data. */
static void the_host_ends_its_direction_alone(void **state)
{
	const int fd = connected(FIRST_PORT);

	(void)state;
	vsock_rig_post(&v, 4, VSOCK_RIG_RX_BYTES);
	assert_int_equal(send(fd, "last", 4, 0), 4);
	shutdown(fd, SHUT_WR);
	vsock_rig_pump(&v);
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT).len, 4);
	assert_int_equal(le32toh(expect(VIRTIO_VSOCK_OP_SHUTDOWN, FIRST_PORT, PORT).hdr.flags),
			 VIRTIO_VSOCK_SHUTDOWN_SEND);
	vsock_rig_send(&v, VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT, 10);
	assert_int_equal(recv(fd, (char[16]){0}, 16, MSG_DONTWAIT), 10);
	send_op(VIRTIO_VSOCK_OP_SHUTDOWN, FIRST_PORT, PORT); /* of nothing */
	close(fd);
	vsock_rig_pump(&v);
	assert_int_equal(le32toh(expect(VIRTIO_VSOCK_OP_SHUTDOWN, FIRST_PORT, PORT).hdr.flags), 3);
	expect_none();
}

static void the_guest_ends_its_direction_alone(void **state)
{
	const int fd = connected(FIRST_PORT);
	struct virtio_vsock_hdr hdr = vsock_rig_hdr(VIRTIO_VSOCK_OP_SHUTDOWN, FIRST_PORT, PORT);

	(void)state;
	hdr.flags = htole32(VIRTIO_VSOCK_SHUTDOWN_SEND);
	vsock_rig_put(&v, &hdr, 0);
	expect_eof(fd);
	vsock_rig_post(&v, 3, VSOCK_RIG_RX_BYTES);
	write_text(fd, "still");
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT).len, 5);
	hdr.flags = htole32(VIRTIO_VSOCK_SHUTDOWN_RCV);
	vsock_rig_put(&v, &hdr, 0);
	expect(VIRTIO_VSOCK_OP_RST, FIRST_PORT, PORT);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	close(fd);
}

/* A guest that wants no more: the host's next write fails, and what it sent is dropped. */
static void the_guest_wants_no_more(void **state)
{
	const int fd = connected(FIRST_PORT);
	struct virtio_vsock_hdr hdr = vsock_rig_hdr(VIRTIO_VSOCK_OP_SHUTDOWN, FIRST_PORT, PORT);

	(void)state;
	hdr.flags = htole32(VIRTIO_VSOCK_SHUTDOWN_RCV);
	vsock_rig_put(&v, &hdr, 0);
	vsock_rig_post(&v, 2, VSOCK_RIG_RX_BYTES);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	vsock_rig_send(&v, VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT, 10);
	assert_int_equal(recv(fd, (char[16]){0}, 16, MSG_DONTWAIT), 10);
	close(fd);
	vsock_rig_pump(&v);
	assert_int_equal(le32toh(expect(VIRTIO_VSOCK_OP_SHUTDOWN, FIRST_PORT, PORT).hdr.flags), 3);
}

static void a_host_that_closes_ends_both_directions(void **state)
{
	const int fd = connected(FIRST_PORT);

	(void)state;
	vsock_rig_post(&v, 4, VSOCK_RIG_RX_BYTES);
	assert_int_equal(send(fd, "bye", 3, 0), 3);
	close(fd);
	vsock_rig_pump(&v);
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW, FIRST_PORT, PORT).len, 3);
	assert_int_equal(le32toh(expect(VIRTIO_VSOCK_OP_SHUTDOWN, FIRST_PORT, PORT).hdr.flags), 3);
	/* It is forgotten: the guest's RST has no answer, other packets have. */
	send_op(VIRTIO_VSOCK_OP_RST, FIRST_PORT, PORT);
	expect_none();
	send_op(VIRTIO_VSOCK_OP_CREDIT_UPDATE, FIRST_PORT, PORT);
	expect(VIRTIO_VSOCK_OP_RST, FIRST_PORT, PORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(a_client_connects_and_data_goes_both_ways),
		VSOCK_TEST(each_client_has_a_port_of_its_own),
		VSOCK_TEST(bytes_after_the_line_are_data),
		VSOCK_TEST(a_line_may_come_byte_by_byte),
		VSOCK_TEST(a_line_that_asks_for_nothing_closes_the_connection),
		VSOCK_TEST(a_client_that_leaves_before_its_line_is_forgotten),
		VSOCK_TEST(a_line_has_a_time_limit),
		VSOCK_TEST(a_guest_that_does_not_answer_has_the_same_limit),
		VSOCK_TEST(a_guest_that_refuses_closes_the_connection),
		VSOCK_TEST(without_a_driver_nobody_accepts),
		VSOCK_TEST(a_client_that_leaves_while_the_guest_is_asked_is_taken_back),
		VSOCK_TEST(the_guest_reaches_a_listener_of_the_host),
		VSOCK_TEST(a_port_without_a_listener_is_refused),
		VSOCK_TEST(the_host_ends_its_direction_alone),
		VSOCK_TEST(the_guest_ends_its_direction_alone),
		VSOCK_TEST(the_guest_wants_no_more),
		VSOCK_TEST(a_host_that_closes_ends_both_directions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
