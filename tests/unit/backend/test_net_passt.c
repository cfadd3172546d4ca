/*
 * Unit tests of backend/net/passt.c: the test is the passt, at the other end of the stream, or a script that has the
 * name of one.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/net.h"
#include "base/io_full.h"
#include "base/macros.h"
#include "diag_rig.h"
#include "temp_dir.h"

enum { WATCHDOG_S = 60, FRAMES_MAX = 4096, LENGTH_MIN = 14, LENGTH_MAX = NET_FRAME_BYTES_MAX };

static struct event_loop loop;
static struct net_backend *be;
static struct diag diag, lost;
static int listener, peer;

/* The device: it takes one frame each time that it is called, or none. */
static struct {
	bool takes;
	unsigned frames;
	size_t len[FRAMES_MAX];    /* of each, without the header */
	uint8_t first[FRAMES_MAX]; /* byte of each */
	uint8_t last[FRAMES_MAX];
	unsigned tx_readies, link_changes;
} device;

static uint8_t frame[LENGTH_MAX], got[NET_HDR_BYTES + LENGTH_MAX];

static ssize_t take_frame(void)
{
	const struct iovec iov[] = {{got, NET_HDR_BYTES}, {got + NET_HDR_BYTES, LENGTH_MAX}};
	const ssize_t n = be->ops->receive(be, 0, iov, ARRAY_SIZE(iov));

	if (n < 0)
		return n;
	assert_true(n > NET_HDR_BYTES && device.frames < FRAMES_MAX);
	device.len[device.frames] = (size_t)n - NET_HDR_BYTES;
	device.first[device.frames] = got[NET_HDR_BYTES];
	device.last[device.frames++] = got[n - 1];
	return n;
}

static void rx_ready(struct net_client *c, unsigned pair)
{
	(void)c;
	take_frame();
	be->ops->rx_want(be, pair, device.takes);
}

static void tx_ready(struct net_client *c, unsigned pair)
{
	(void)c;
	(void)pair;
	device.tx_readies++;
}

static void link_changed(struct net_client *c)
{
	(void)c;
	device.link_changes++;
}

static struct net_client client = {
	.rx_ready = rx_ready, .tx_ready = tx_ready, .link_changed = link_changed};

/* Runs the loop for one thing that happens; for nothing, where there is nothing. */
static void run_once(bool wait)
{
	struct epoll_event ev[4];
	const int n = epoll_wait(loop.epoll_fd, ev, ARRAY_SIZE(ev), wait ? -1 : 0);

	for (int k = 0; k < n; k++) {
		struct event_source *src = ev[k].data.ptr;

		if (src->added && src->events)
			src->ready(src, ev[k].events);
	}
}

#define RUN_UNTIL(condition)                                                                       \
	while (!(condition))                                                                       \
	run_once(true)

static int open_with(const struct net_passt_opts *opts)
{
	const struct net_backend_env env = {.loop = &loop, .client = &client};

	return net_passt_open(opts, &env, &be, &diag);
}

static int setup(void **state)
{
	(void)state;
	alarm(WATCHDOG_S);
	memset(&device, 0, sizeof(device));
	diag = lost = (struct diag){0};
	be = NULL;
	listener = peer = -1;
	device.takes = true;
	return temp_dir_make() < 0 ? -1 : event_loop_init(&loop, NULL, NULL);
}

static int teardown(void **state)
{
	(void)state;
	net_backend_destroy(be);
	event_loop_fini(&loop);
	if (listener >= 0)
		close(listener);
	if (peer >= 0)
		close(peer);
	temp_dir_remove();
	alarm(0);
	return 0;
}

static void listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	memcpy(addr.sun_path, path, strlen(path) + 1);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
}

static int setup_peer(void **state)
{
	struct net_passt_opts opts = {.lost = &lost};

	if (setup(state) < 0)
		return -1;
	opts.socket = temp_dir_at("p");
	listen_at(opts.socket);
	if (open_with(&opts) < 0)
		return -1;
	peer = accept(listener, NULL, NULL);
	be->ops->rx_want(be, 0, true);
	return peer < 0 ? -1 : 0;
}

static void peer_writes(const void *bytes, size_t len)
{
	assert_int_equal(io_write_full(peer, bytes, len, NULL), 0);
}

static void peer_writes_length(uint32_t length)
{
	length = htobe32(length);
	peer_writes(&length, sizeof(length));
}

/* A frame whose first and last byte are tag. */
static void peer_sends(size_t len, uint8_t tag)
{
	frame[0] = frame[len - 1] = tag;
	peer_writes_length((uint32_t)len);
	peer_writes(frame, len);
}

static void assert_frame(unsigned i, size_t len, uint8_t tag)
{
	assert_true(i < device.frames);
	assert_int_equal(device.len[i], len);
	assert_int_equal(device.first[i], tag);
	assert_int_equal(device.last[i], tag);
}

static int guest_sends(size_t len, uint8_t tag)
{
	static struct virtio_net_hdr_v1 hdr;
	const struct iovec iov[] = {{&hdr, sizeof(hdr)}, {frame, 5}, {frame + 5, len - 5}};

	frame[0] = frame[len - 1] = tag;
	return be->ops->send(be, 0, iov, ARRAY_SIZE(iov));
}

/* The next frame in the stream is that one. */
static void peer_gets(size_t len, uint8_t tag)
{
	uint32_t length;

	assert_int_equal(io_read_full(peer, &length, sizeof(length)), 0);
	assert_int_equal(be32toh(length), len);
	assert_int_equal(io_read_full(peer, got, len), 0);
	assert_int_equal(got[0], tag);
	assert_int_equal(got[len - 1], tag);
}

static void frames_go_both_ways(void **state)
{
	static const uint8_t record[] = {0, 0, 0, 14, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 7};

	(void)state;
	assert_string_equal(be->name, "passt");
	assert_true(be->link_up);
	peer_writes(record, sizeof(record));
	RUN_UNTIL(device.frames == 1);
	assert_frame(0, 14, 7);
	assert_int_equal(got[NET_HDR_BYTES + 12], 12);
	for (unsigned i = 0; i < NET_HDR_BYTES; i++)
		assert_int_equal(got[i], 0);
	assert_int_equal(guest_sends(LENGTH_MIN, 8), 0);
	peer_gets(LENGTH_MIN, 8);
	assert_int_equal(guest_sends(1514, 9), 0);
	peer_gets(1514, 9);
}

static void a_frame_may_come_in_pieces(void **state)
{
	static const uint8_t record[] = {0, 0, 0, 15, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3};

	(void)state;
	for (size_t i = 0; i < sizeof(record); i++) {
		assert_int_equal(device.frames, 0);
		peer_writes(record + i, 1);
		run_once(true);
	}
	assert_int_equal(device.frames, 1);
	assert_frame(0, 15, 3);
}

/* The device is called for those that one read has brought, although the socket is empty by then. */
static void all_frames_of_one_read_are_offered(void **state)
{
	static uint8_t records[1000 * (sizeof(uint32_t) + 64)];
	size_t len = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		const uint32_t bytes = LENGTH_MIN + i % 50, length = htobe32(bytes);

		memcpy(records + len, &length, sizeof(length));
		len += sizeof(length);
		records[len] = records[len + bytes - 1] = (uint8_t)i;
		len += bytes;
	}
	peer_writes(records, len); /* at once: the socket would not have room for as many pieces */
	RUN_UNTIL(device.frames == 1000);
	for (unsigned i = 0; i < 1000; i++)
		assert_frame(i, LENGTH_MIN + i % 50, (uint8_t)i);
}

static void nothing_is_read_while_no_frame_is_wanted(void **state)
{
	(void)state;
	device.takes = false;
	peer_sends(60, 1);
	peer_sends(60, 2);
	RUN_UNTIL(device.frames == 1);
	for (unsigned i = 0; i < 5; i++)
		run_once(false);
	assert_int_equal(device.frames, 1);
	device.takes = true;
	be->ops->rx_want(be, 0, true);
	RUN_UNTIL(device.frames == 2);
	assert_frame(1, 60, 2);
}

/* The part that is longer than the guest's buffers is cut off, and the next frame is whole. */
static void a_long_frame_is_cut_to_the_room(void **state)
{
	uint8_t hdr[NET_HDR_BYTES], room[20];
	const struct iovec iov[] = {{hdr, sizeof(hdr)}, {room, sizeof(room)}};

	(void)state;
	peer_sends(60, 1);
	peer_sends(61, 2);
	assert_int_equal(be->ops->receive(be, 0, iov, 2), sizeof(hdr) + sizeof(room));
	assert_true(take_frame() > 0);
	assert_frame(0, 61, 2);
	assert_int_equal(take_frame(), -EAGAIN);
}

static void lengths_that_no_frame_has_end_it(void **state)
{
	static const uint32_t bad[] = {0, LENGTH_MIN - 1, LENGTH_MAX + 1, 0x80000000, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char error[40];

		if (i > 0) {
			teardown(state);
			assert_int_equal(setup_peer(state), 0);
		}
		peer_sends(60, 5); /* this one is delivered */
		peer_writes_length(bad[i]);
		RUN_UNTIL(device.link_changes == 1);
		assert_false(be->link_up);
		assert_int_equal(device.frames, 1);
		snprintf(error, sizeof(error), "passt-length %u", bad[i]);
		assert_diag(&lost, -EPROTO, error);
		assert_int_equal(recv(peer, got, 1, 0), 0);
		assert_int_equal(guest_sends(60, 6), -ENOTCONN);
		be->ops->rx_want(be, 0, true);
		run_once(false);
		assert_int_equal(take_frame(), -EAGAIN);
		assert_int_equal(device.link_changes, 1);
	}
}

/* Records of 60,000 bytes: the socket takes a part of one, and the rest has to follow before the next. */
static void a_full_socket_loses_no_frame(void **state)
{
	uint8_t sent = 0;

	(void)state;
	while (guest_sends(60000, sent) == 0)
		sent++;
	assert_true(sent > 0);
	assert_int_equal(guest_sends(60000, sent), -EAGAIN);
	assert_int_equal(device.tx_readies, 0);
	for (uint8_t i = 0; i + 1 < sent; i++)
		peer_gets(60000, i);
	RUN_UNTIL(device.tx_readies == 1);
	peer_gets(60000, (uint8_t)(sent - 1));
	assert_int_equal(guest_sends(60, sent), 0);
	peer_gets(60, sent);
	run_once(false);
	assert_int_equal(device.tx_readies, 1);
}

static void a_peer_that_leaves_takes_the_link_down(void **state)
{
	(void)state;
	peer_sends(60, 1);
	peer_writes_length(60); /* and not all of the frame */
	peer_writes(frame, 59);
	close(peer);
	peer = -1;
	RUN_UNTIL(device.link_changes == 1);
	assert_false(be->link_up);
	assert_int_equal(device.frames, 1);
	assert_diag(&lost, -ECONNRESET, "passt-closed");
	assert_int_equal(guest_sends(60, 1), -ENOTCONN);
	be->ops->rx_want(be, 0, true);
	for (unsigned i = 0; i < 5; i++)
		run_once(false);
	assert_int_equal(device.link_changes, 1);
	assert_int_equal(device.frames, 1);
}

/* No signal ends the VMM, and a frame that waits is not kept forever. */
static void a_peer_that_leaves_a_full_socket(void **state)
{
	(void)state;
	be->ops->rx_want(be, 0, false);
	while (guest_sends(60000, 1) == 0)
		;
	close(peer);
	peer = -1;
	RUN_UNTIL(device.link_changes == 1);
	if (device.tx_readies == 0)
		RUN_UNTIL(device.tx_readies == 1);
	assert_false(be->link_up);
	assert_int_equal(lost.err == -EPIPE || lost.err == -ECONNRESET, 1);
	assert_diag(&lost, lost.err, "passt-closed");
	assert_int_equal(guest_sends(60, 1), -ENOTCONN);
}

static void it_has_one_pair_and_no_offloads(void **state)
{
	(void)state;
	assert_int_equal(be->pairs, 1);
	assert_int_equal(be->tx_offloads | be->rx_offloads, 0);
	assert_int_equal(be->ops->pairs_set(be, 1), 0);
	assert_int_equal(be->ops->pairs_set(be, 2), -EINVAL);
}

static void assert_not_open(const struct net_passt_opts *opts, int err, const char *error,
			    const char *remedy)
{
	diag = (struct diag){0};
	assert_int_equal(open_with(opts), err);
	assert_diag(&diag, err, error);
	if (remedy)
		assert_remedy(&diag, remedy);
}

static void sockets_that_nobody_listens_at(void **state)
{
	struct net_passt_opts opts = {.lost = &lost};
	char longest[200];

	(void)state;
	opts.socket = temp_dir_at("none");
	assert_not_open(&opts, -ENOENT, "passt-connect none'", "passt --one-off --socket");
	opts.socket = temp_dir_at("p");
	listen_at(opts.socket);
	close(listener);
	listener = -1;
	assert_not_open(&opts, -ECONNREFUSED, "passt-connect p'", "passt --one-off --socket");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	opts.socket = longest;
	assert_not_open(&opts, -ENAMETOOLONG, "passt-connect", NULL);
}

/* A script called passt, the only one in PATH. */
static void put_passt(const char *script)
{
	char path[256];

	temp_dir_put("passt", script, strlen(script));
	assert_int_equal(chmod(temp_dir_at("passt"), 0755), 0);
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", temp_dir);
	setenv("PATH", path, 1);
}

/* It sends back what it gets. */
static void passt_is_started_and_ends_with_its_socket(void **state)
{
	static const char echo[] = "#!/bin/sh\n"
				   "cd \"${0%/*}\"\n"
				   "echo \"$*\" >arguments\n"
				   "echo a message >&2\n"
				   "{ cat <&3 >&3; echo over >fifo; } &\n";
	const struct net_passt_opts opts = {
		.tcp_ports = "8080:80,22", .udp_ports = "53", .start_ms = 30000, .lost = &lost};
	char buf[80] = "";
	int fifo;

	(void)state;
	put_passt(echo);
	assert_int_equal(mkfifo(temp_dir_at("fifo"), 0600), 0);
	assert_int_equal(open_with(&opts), 0);
	assert_string_equal(temp_dir_shell("cat arguments"),
			    "--quiet --fd 3 --tcp-ports 8080:80,22 --udp-ports 53\n");
	be->ops->rx_want(be, 0, true);
	assert_int_equal(guest_sends(60, 4), 0);
	RUN_UNTIL(device.frames == 1);
	assert_frame(0, 60, 4);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* none of ours is left */
	assert_int_equal(errno, ECHILD);
	net_backend_destroy(be);
	be = NULL;
	fifo = open(temp_dir_at("fifo"), O_RDONLY | O_CLOEXEC);
	assert_true(fifo >= 0 && read(fifo, buf, sizeof(buf) - 1) > 0);
	close(fifo);
	assert_string_equal(buf, "over\n");
}

static void passt_that_refuses_is_quoted(void **state)
{
	static const char last[] = "#!/bin/sh\n"
				   "echo first >&2\n"
				   "echo 'External interface\tnot usable' >&2\n"
				   "exit 1\n";
	static const char much[] =
		"#!/bin/sh\n"
		"i=0; while [ $i -lt 900 ]; do echo line $i >&2; i=$((i + 1)); done\n"
		"exit 1\n";
	const struct net_passt_opts opts = {.start_ms = 30000, .lost = &lost};

	(void)state;
	put_passt(last);
	assert_not_open(&opts, -ECHILD, "passt-refused 'External interface?not usable'",
			"man passt");
	put_passt(much);
	assert_not_open(&opts, -ECHILD, "passt-refused 'line 899'", NULL);
	put_passt("#!/bin/sh\nkill -9 $$\n");
	assert_not_open(&opts, -ECHILD, "passt-refused ''", NULL);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void passt_that_is_never_ready_is_killed(void **state)
{
	const struct net_passt_opts opts = {.start_ms = 20, .lost = &lost};

	(void)state;
	put_passt("#!/bin/sh\nexec sleep 1000\n");
	assert_not_open(&opts, -ETIMEDOUT, "passt-time 20 ms", NULL);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void passt_that_is_not_there(void **state)
{
	const struct net_passt_opts opts = {.start_ms = 30000, .lost = &lost};

	(void)state;
	setenv("PATH", temp_dir, 1);
	assert_not_open(&opts, -ENOENT, "passt-start", "--net user");
	setenv("PATH", "/usr/bin:/bin", 1);
}

int main(void)
{
#define TEST(fn)  cmocka_unit_test_setup_teardown(fn, setup_peer, teardown)
#define START(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(frames_go_both_ways),
		TEST(a_frame_may_come_in_pieces),
		TEST(all_frames_of_one_read_are_offered),
		TEST(nothing_is_read_while_no_frame_is_wanted),
		TEST(a_long_frame_is_cut_to_the_room),
		TEST(lengths_that_no_frame_has_end_it),
		TEST(a_full_socket_loses_no_frame),
		TEST(a_peer_that_leaves_takes_the_link_down),
		TEST(a_peer_that_leaves_a_full_socket),
		TEST(it_has_one_pair_and_no_offloads),
		START(sockets_that_nobody_listens_at),
		START(passt_is_started_and_ends_with_its_socket),
		START(passt_that_refuses_is_quoted),
		START(passt_that_is_never_ready_is_killed),
		START(passt_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
