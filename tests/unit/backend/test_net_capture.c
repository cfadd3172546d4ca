/* Unit tests of backend/net/capture.c: what is in the file, and that no file holds up the network. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/net.h"
#include "base/clock.h"
#include "base/macros.h"
#include "diag_rig.h"
#include "temp_dir.h"

enum { WATCHDOG_S = 60, CAPTURE_BYTES_MAX = 8 << 20, LONG_FRAME = 60000 };

/* The back end that is captured: it takes frames as the test says, and has one frame to give. */
static struct {
	struct net_backend be;
	int send_result;
	const char *arriving; /* NULL: none */
	unsigned offloads, pairs;
	uint16_t forwarded;
	bool wants, ended, destroyed;
} inner;

static struct event_loop loop;
static struct net_backend *be;
static struct net_capture_report report;
static struct diag diag;
static unsigned readies, links;

static uint8_t *capture; /* the file's content */
static atomic_size_t capture_len;

static int inner_send(struct net_backend *b, unsigned pair, const struct iovec *iov, unsigned nr)
{
	(void)b;
	(void)pair;
	(void)iov;
	(void)nr;
	return inner.send_result;
}

static ssize_t inner_receive(struct net_backend *b, unsigned pair, const struct iovec *iov,
			     unsigned nr)
{
	const size_t len = inner.arriving ? strlen(inner.arriving) : 0;

	(void)b;
	(void)pair;
	assert_true(nr >= 2 && iov[1].iov_len >= len);
	if (!inner.arriving)
		return -EAGAIN;
	memcpy(iov[1].iov_base, inner.arriving, len);
	inner.arriving = NULL;
	return (ssize_t)(NET_HDR_BYTES + len);
}

static void inner_rx_want(struct net_backend *b, unsigned pair, bool want)
{
	(void)b;
	(void)pair;
	inner.wants = want;
}

static void inner_rx_offloads_set(struct net_backend *b, unsigned offloads)
{
	(void)b;
	inner.offloads = offloads;
}

static int inner_pairs_set(struct net_backend *b, unsigned pairs)
{
	(void)b;
	inner.pairs = pairs;
	return 0;
}

static int inner_forward(struct net_backend *b, bool add, const struct net_slirp_forward *fwd,
			 struct diag *d)
{
	(void)b;
	(void)d;
	inner.forwarded = add ? fwd->host_port : 0;
	return 0;
}

static int inner_forwards(struct net_backend *b, struct net_slirp_forward ret[])
{
	(void)b;
	ret[0].host_port = inner.forwarded;
	return 1;
}

static void inner_end(struct net_backend *b)
{
	(void)b;
	inner.ended = true;
}

static void inner_destroy(struct net_backend *b)
{
	(void)b;
	inner.destroyed = true;
}

static const struct net_backend_ops inner_ops = {
	.send = inner_send,
	.receive = inner_receive,
	.rx_want = inner_rx_want,
	.rx_offloads_set = inner_rx_offloads_set,
	.pairs_set = inner_pairs_set,
	.forward = inner_forward,
	.forwards = inner_forwards,
	.end = inner_end,
	.destroy = inner_destroy,
};

static int inner_open(const void *opts, const struct net_backend_env *env, struct net_backend **ret,
		      struct diag *d)
{
	if (opts)
		return diag_set(d, -ENODEV, "tap-up", "this is a test");
	inner.be = (struct net_backend){
		.ops = &inner_ops,
		.client = env->client,
		.name = "fake0",
		.pairs = 4,
		.tx_offloads = NET_OFFLOAD_CSUM,
		.rx_offloads = NET_OFFLOAD_USO,
		.mtu = 1400,
		.link_up = true,
	};
	*ret = &inner.be;
	return 0;
}

static void rx_ready(struct net_client *c, unsigned pair)
{
	(void)c;
	readies += 1 + pair;
}

static void link_changed(struct net_client *c)
{
	(void)c;
	links++;
}

static struct net_client client = {
	.rx_ready = rx_ready,
	.tx_ready = rx_ready,
	.rx_dropped = link_changed,
	.link_changed = link_changed,
};

static void woken(void *arg)
{
	event_loop_stop(arg);
}

static int setup(void **state)
{
	(void)state;
	alarm(WATCHDOG_S);
	memset(&inner, 0, sizeof(inner));
	report = (struct net_capture_report){0};
	diag = (struct diag){0};
	be = NULL;
	readies = links = 0;
	assert_int_equal(temp_dir_make(), 0);
	return event_loop_init(&loop, woken, &loop);
}

static int teardown(void **state)
{
	(void)state;
	net_backend_destroy(be);
	event_loop_fini(&loop);
	free(capture);
	capture = NULL;
	alarm(0);
	temp_dir_shell("rm -r \"$PWD\"");
	return 0;
}

static int open_capture(const char *path, const void *inner_opts)
{
	const struct net_capture_opts opts = {
		.open = inner_open, .opts = inner_opts, .path = path, .report = &report};
	const struct net_backend_env env = {.loop = &loop, .client = &client};

	return net_capture_open(&opts, &env, &be, &diag);
}

static const char *path_of(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%s", temp_dir, name);
	return path;
}

static int send_bytes(const void *bytes, size_t len)
{
	uint8_t header[NET_HDR_BYTES] = {0xff};
	uint8_t *copy = malloc(len);
	const struct iovec iov[] = {{header, sizeof(header)}, {copy, 2}, {copy + 2, len - 2}};
	int r;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	r = be->ops->send(be, 0, iov, ARRAY_SIZE(iov));
	free(copy);
	return r;
}

static int send_text(const char *text)
{
	return send_bytes(text, strlen(text));
}

static ssize_t receive_frame(void)
{
	uint8_t header[NET_HDR_BYTES], frame[1514];
	const struct iovec iov[] = {{header, sizeof(header)}, {frame, sizeof(frame)}};

	return be->ops->receive(be, 0, iov, ARRAY_SIZE(iov));
}

static void read_capture(int fd)
{
	ssize_t n;

	capture = malloc(CAPTURE_BYTES_MAX);
	capture_len = 0;
	while (capture &&
	       (n = read(fd, capture + capture_len, CAPTURE_BYTES_MAX - capture_len)) > 0)
		capture_len += (size_t)n;
	close(fd);
}

static uint32_t field(size_t at)
{
	uint32_t v;

	assert_true(at + sizeof(v) <= capture_len);
	memcpy(&v, capture + at, sizeof(v));
	return v;
}

/* pcap-savefile(5): the file's header. */
static void check_header(void)
{
	assert_int_equal(field(0), 0xa1b23c4d);
	assert_int_equal(field(4), 2 | 4 << 16);
	assert_int_equal(field(8), 0);
	assert_int_equal(field(12), 0);
	assert_int_equal(field(16), 262144);
	assert_int_equal(field(20), 1);
}

/* The record at *at, which is after it then; its bytes, and their number. */
static const uint8_t *next_record(size_t *at, size_t *ret_len)
{
	const uint32_t len = field(*at + 8);
	const uint8_t *bytes = capture + *at + 16;

	assert_true(field(*at + 4) < 1000000000);
	assert_int_equal(field(*at + 12), len);
	*at += 16 + (size_t)len;
	assert_true(*at <= capture_len);
	*ret_len = len;
	return bytes;
}

static void assert_record(size_t *at, const char *text)
{
	size_t len;
	const uint8_t *bytes = next_record(at, &len);

	assert_int_equal(len, strlen(text));
	assert_memory_equal(bytes, text, len);
}

static void frames_of_both_directions_are_in_the_file(void **state)
{
	const int64_t before_s = clock_ns(CLOCK_REALTIME) / NS_PER_S;
	size_t at = 24;

	(void)state;
	assert_int_equal(open_capture(path_of("a.pcap"), NULL), 0);
	assert_int_equal(send_text("to the host, which takes it"), 0);
	inner.arriving = "an answer";
	assert_int_equal(receive_frame(), NET_HDR_BYTES + 9);
	assert_int_equal(receive_frame(), -EAGAIN);
	inner.send_result = -EAGAIN;
	assert_int_equal(send_text("there is no room"), -EAGAIN);
	inner.send_result = -EPROTONOSUPPORT;
	assert_int_equal(send_text("nobody takes it"), -EPROTONOSUPPORT);
	inner.send_result = 0;
	assert_int_equal(send_text("the last"), 0);
	be->ops->end(be);
	assert_true(inner.ended);
	assert_int_equal(report.lost.err, 0);
	assert_int_equal(report.frames, 3);
	assert_int_equal(report.left_out, 0);
	read_capture(open(path_of("a.pcap"), O_RDONLY));
	check_header();
	assert_true(field(24) >= before_s);
	assert_true(field(24) <= clock_ns(CLOCK_REALTIME) / NS_PER_S);
	assert_record(&at, "to the host, which takes it");
	assert_record(&at, "an answer");
	assert_record(&at, "the last");
	assert_int_equal(at, capture_len);
}

static void all_else_is_the_captured_back_ends(void **state)
{
	const struct net_slirp_forward forward = {.host_port = 80};
	struct net_slirp_forward list[NET_SLIRP_FORWARDS_MAX];

	(void)state;
	assert_int_equal(open_capture(path_of("a.pcap"), NULL), 0);
	assert_string_equal(be->name, "fake0");
	assert_int_equal(be->pairs, 4);
	assert_int_equal(be->tx_offloads, NET_OFFLOAD_CSUM);
	assert_int_equal(be->rx_offloads, NET_OFFLOAD_USO);
	assert_int_equal(be->mtu, 1400);
	assert_true(be->link_up);
	be->ops->rx_want(be, 0, true);
	assert_true(inner.wants);
	be->ops->rx_offloads_set(be, NET_OFFLOAD_USO);
	assert_int_equal(inner.offloads, NET_OFFLOAD_USO);
	assert_int_equal(be->ops->pairs_set(be, 3), 0);
	assert_int_equal(inner.pairs, 3);
	assert_int_equal(be->ops->forward(be, true, &forward, &diag), 0);
	assert_int_equal(be->ops->forwards(be, list), 1);
	assert_int_equal(list[0].host_port, 80);
	be->ops->sent(be); /* which the inner one does not have */
	inner.be.client->rx_ready(inner.be.client, 1);
	inner.be.client->tx_ready(inner.be.client, 2);
	assert_int_equal(readies, 2 + 3);
	inner.be.client->rx_dropped(inner.be.client);
	inner.be.link_up = false;
	inner.be.client->link_changed(inner.be.client);
	assert_int_equal(links, 2);
	assert_false(be->link_up);
	net_backend_destroy(be);
	be = NULL;
	assert_true(inner.destroyed);
}

static void a_full_disk_is_reported_and_the_network_goes_on(void **state)
{
	(void)state;
	assert_int_equal(open_capture("/dev/full", NULL), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(send_text("a frame that is lost"), 0);
	be->ops->end(be);
	assert_diag(&report.lost, -ENOSPC, "capture-write /dev/full");
	assert_int_equal(send_text("after the end"), 0);
}

static void a_file_that_cannot_be_made_is_refused(void **state)
{
	(void)state;
	assert_int_equal(open_capture(path_of("none/a.pcap"), NULL), -ENOENT);
	assert_diag(&diag, -ENOENT, "capture-create none/a.pcap");
	assert_true(inner.destroyed);
	diag = (struct diag){0};
	assert_int_equal(open_capture(path_of("b.pcap"), "fail"), -ENODEV);
	assert_diag(&diag, -ENODEV, "tap-up");
	assert_int_equal(access(path_of("b.pcap"), F_OK), -1); /* nothing is left of it */
}

static void *reader_thread(void *arg)
{
	read_capture(*(int *)arg);
	return NULL;
}

static void run_events(void)
{
	event_loop_wake(&loop);
	atomic_store(&loop.stop, false);
	event_loop_run(&loop);
}

/* A FIFO that nobody reads for a while: records are whole or left out. */
static void a_slow_file_has_whole_records(void **state)
{
	uint8_t *frame = calloc(1, LONG_FRAME);
	uint64_t taken;
	pthread_t reader;
	size_t at = 24, len;
	int fd;

	(void)state;
	assert_non_null(frame);
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	fd = open(path_of("fifo"), O_RDONLY | O_NONBLOCK);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	assert_int_equal(open_capture(path_of("fifo"), NULL), 0);
	for (unsigned i = 0; report.left_out < 3; i++) {
		assert_true(i < CAPTURE_BYTES_MAX / LONG_FRAME); /* a bounded amount waits */
		frame[0] = (uint8_t)i;
		assert_int_equal(send_bytes(frame, LONG_FRAME), 0);
	}
	taken = report.frames;
	assert_int_equal(pthread_create(&reader, NULL, reader_thread, &fd), 0);
	/* There is room again some time. */
	while (report.frames == taken) {
		run_events();
		assert_int_equal(send_bytes(frame, LONG_FRAME), 0);
	}
	/* The end does not wait long for a file, and this reader has its own time. */
	while (capture_len < 24 + report.frames * (16 + LONG_FRAME)) {
		run_events();
		sched_yield();
	}
	be->ops->end(be);
	pthread_join(reader, NULL);
	assert_int_equal(report.lost.err, 0);
	check_header();
	for (uint64_t i = 0; i < report.frames; i++) {
		const uint8_t *bytes = next_record(&at, &len);

		assert_int_equal(len, LONG_FRAME);
		assert_true(i >= taken || bytes[0] == (uint8_t)i);
	}
	assert_int_equal(at, capture_len);
	free(frame);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(frames_of_both_directions_are_in_the_file),
		TEST(all_else_is_the_captured_back_ends),
		TEST(a_full_disk_is_reported_and_the_network_goes_on),
		TEST(a_file_that_cannot_be_made_is_refused),
		TEST(a_slow_file_has_whole_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
