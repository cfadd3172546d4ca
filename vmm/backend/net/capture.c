/*
 * capture.c - a back end that hands all to another one, and copies each frame to a file in libpcap's format
 * (pcap-savefile(5)), with times in nanoseconds.
 *
 * The two headers are written here, 24 and 16 bytes. libpcap would write them by stdio, which can neither wait for
 * a slow file nor continue after a part of a record. A thread (file_writer.h) writes the file. The pipe before it
 * is the bound of what waits: a frame for which it has no room is left out, and counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "backend/file_writer.h"
#include "backend/net.h"
#include "base/clock.h"
#include "base/iov.h"
#include "base/macros.h"
#include "base/out_file.h"

/* pcap-savefile(5). All fields are in the byte order of the host that writes them. */
enum {
	PCAP_MAGIC_NS = (int)0xa1b23c4d,
	PCAP_VERSION_MAJOR = 2,
	PCAP_VERSION_MINOR = 4,
	PCAP_SNAPLEN = 262144, /* tcpdump's; more than any frame */
	PCAP_LINKTYPE_ETHERNET = 1,
};

struct pcap_file_header {
	uint32_t magic;
	uint16_t version_major, version_minor;
	uint32_t reserved[2];
	uint32_t snaplen, linktype;
};
_Static_assert(sizeof(struct pcap_file_header) == 24, "as pcap-savefile(5) has it");

struct pcap_record_header {
	uint32_t seconds, nanoseconds;
	uint32_t captured_bytes, frame_bytes;
};
_Static_assert(sizeof(struct pcap_record_header) == 16, "as pcap-savefile(5) has it");

enum {
	/* As much as Linux lets any user have (pipe(7), pipe-max-size). It may refuse: then less waits. */
	PIPE_BYTES = 1 << 20,
	RECORD_BYTES_MAX = sizeof(struct pcap_record_header) + NET_FRAME_BYTES_MAX,
};
/* Shorter than a VM waits for its I/O threads at its end. */
#define CLOSE_NS (2 * NS_PER_S)

struct net_capture {
	struct net_backend be;
	struct net_client client; /* of inner */
	struct net_backend *inner;
	struct event_loop *loop;
	const char *path; /* borrowed */
	struct net_capture_report *report;
	struct file_writer *writer; /* NULL: stopped */
	struct event_source pipe;   /* waits for room while a part of a record is left */
	size_t first, len;          /* of record: what is still to be written */
	uint8_t record[RECORD_BYTES_MAX];
};

static struct net_capture *capture_of(struct net_backend *be)
{
	return container_of(be, struct net_capture, be);
}

static struct net_capture *capture_of_client(struct net_client *client)
{
	return container_of(client, struct net_capture, client);
}

/*
 * The file.
 */

/* Writes what the pipe takes of the record. Its beginning is there or it is not: then all of it is forgotten. */
static void record_write(struct net_capture *cap)
{
	const ssize_t n = write(cap->pipe.fd, cap->record + cap->first, cap->len);

	if (n < 0 && cap->first > 0)
		return;
	if (n < 0) {
		cap->report->left_out++;
		cap->len = 0;
		return;
	}
	if (cap->first == 0)
		cap->report->frames++;
	cap->first += (size_t)n;
	cap->len -= (size_t)n;
}

/* The rest of a record; true when there is none. */
static bool record_flush(struct net_capture *cap)
{
	if (cap->len)
		record_write(cap);
	event_loop_want(cap->loop, &cap->pipe, cap->len ? EPOLLOUT : 0);
	return cap->len == 0;
}

static void pipe_ready(struct event_source *src, uint32_t epoll_events)
{
	(void)epoll_events;
	record_flush(container_of(src, struct net_capture, pipe));
}

/* frame_bytes in the pieces after the virtio header. */
static void record_frame(struct net_capture *cap, const struct iovec *iov, unsigned nr,
			 size_t frame_bytes)
{
	const struct timespec now = clock_timespec(clock_ns(CLOCK_REALTIME));
	struct pcap_record_header head = {
		.seconds = (uint32_t)now.tv_sec,
		.nanoseconds = (uint32_t)now.tv_nsec,
		.frame_bytes = (uint32_t)frame_bytes,
	};

	if (!cap->writer)
		return;
	if (cap->len && !record_flush(cap)) {
		cap->report->left_out++;
		return;
	}
	head.captured_bytes = (uint32_t)iov_read(
		iov + 1, nr - 1, 0, cap->record + sizeof(head),
		frame_bytes < NET_FRAME_BYTES_MAX ? frame_bytes : NET_FRAME_BYTES_MAX);
	memcpy(cap->record, &head, sizeof(head));
	cap->first = 0;
	cap->len = sizeof(head) + head.captured_bytes;
	record_write(cap);
	if (cap->len)
		event_loop_want(cap->loop, &cap->pipe, EPOLLOUT);
}

static int capture_write_header(int fd)
{
	const struct pcap_file_header head = {
		.magic = (uint32_t)PCAP_MAGIC_NS,
		.version_major = PCAP_VERSION_MAJOR,
		.version_minor = PCAP_VERSION_MINOR,
		.snaplen = PCAP_SNAPLEN,
		.linktype = PCAP_LINKTYPE_ETHERNET,
	};

	/* An empty pipe has room for it. */
	return write(fd, &head, sizeof(head)) == (ssize_t)sizeof(head) ? 0 : -EIO;
}

static int capture_file_open(struct net_capture *cap, struct diag *diag)
{
	const int fd = out_file_open(cap->path, &(struct out_file_opts){0});
	int unused, r;

	if (fd < 0)
		return diag_set(diag, fd, "capture-create", "create capture '%s'", cap->path);
	r = file_writer_start(fd, &cap->writer, &cap->pipe.fd, &unused);
	if (r < 0)
		close(fd);
	if (r == 0) {
		(void)fcntl(cap->pipe.fd, F_SETPIPE_SZ, PIPE_BYTES);
		r = capture_write_header(cap->pipe.fd);
	}
	if (r == 0)
		r = event_loop_add(cap->loop, &cap->pipe);
	return r < 0 ? diag_set(diag, r, "capture-start", "start capture '%s'", cap->path) : 0;
}

/* Once: what waits is written, or reported as lost. */
static void capture_file_close(struct net_capture *cap)
{
	struct net_capture_report *report = cap->report;
	char *rest = NULL;
	int r;

	if (!cap->writer)
		return;
	event_loop_remove(cap->loop, &cap->pipe);
	if (cap->len)
		rest = malloc(cap->len);
	if (rest)
		memcpy(rest, cap->record + cap->first, cap->len);
	file_writer_finish(cap->writer, rest, rest ? cap->len : 0);
	r = file_writer_stop(cap->writer, clock_monotonic_ns() + CLOSE_NS);
	cap->writer = NULL;
	if (r < 0)
		diag_set(&report->lost, r, "capture-write", "write capture '%s'", cap->path);
}

/*
 * The back end.
 */

static int capture_send(struct net_backend *be, unsigned pair, const struct iovec *iov, unsigned nr)
{
	struct net_capture *cap = capture_of(be);
	const int r = cap->inner->ops->send(cap->inner, pair, iov, nr);

	if (r == 0)
		record_frame(cap, iov, nr, iov_bytes(iov + 1, nr - 1));
	return r;
}

static void capture_sent(struct net_backend *be)
{
	struct net_capture *cap = capture_of(be);

	if (cap->inner->ops->sent)
		cap->inner->ops->sent(cap->inner);
}

static ssize_t capture_receive(struct net_backend *be, unsigned pair, const struct iovec *iov,
			       unsigned nr)
{
	struct net_capture *cap = capture_of(be);
	const ssize_t n = cap->inner->ops->receive(cap->inner, pair, iov, nr);

	if (n > NET_HDR_BYTES)
		record_frame(cap, iov, nr, (size_t)n - NET_HDR_BYTES);
	return n;
}

static void capture_rx_want(struct net_backend *be, unsigned pair, bool want)
{
	struct net_capture *cap = capture_of(be);

	cap->inner->ops->rx_want(cap->inner, pair, want);
}

static void capture_rx_offloads_set(struct net_backend *be, unsigned offloads)
{
	struct net_capture *cap = capture_of(be);

	cap->inner->ops->rx_offloads_set(cap->inner, offloads);
}

static int capture_pairs_set(struct net_backend *be, unsigned pairs)
{
	struct net_capture *cap = capture_of(be);

	return cap->inner->ops->pairs_set(cap->inner, pairs);
}

static int capture_forward(struct net_backend *be, bool add, const struct net_slirp_forward *fwd,
			   struct diag *diag)
{
	struct net_backend *inner = capture_of(be)->inner;

	return inner->ops->forward(inner, add, fwd, diag);
}

static int capture_forwards(struct net_backend *be,
			    struct net_slirp_forward ret[NET_SLIRP_FORWARDS_MAX])
{
	struct net_backend *inner = capture_of(be)->inner;

	return inner->ops->forwards ? inner->ops->forwards(inner, ret) : -ENOTSUP;
}

static void capture_end(struct net_backend *be)
{
	struct net_capture *cap = capture_of(be);

	capture_file_close(cap);
	if (cap->inner->ops->end)
		cap->inner->ops->end(cap->inner);
}

static void capture_destroy(struct net_backend *be)
{
	struct net_capture *cap = capture_of(be);

	net_backend_destroy(cap->inner);
	capture_file_close(cap);
	free(cap);
}

static const struct net_backend_ops capture_ops = {
	.send = capture_send,
	.sent = capture_sent,
	.receive = capture_receive,
	.rx_want = capture_rx_want,
	.rx_offloads_set = capture_rx_offloads_set,
	.pairs_set = capture_pairs_set,
	.forward = capture_forward,
	.forwards = capture_forwards,
	.end = capture_end,
	.destroy = capture_destroy,
};

/*
 * The inner back end's client.
 */

static void capture_rx_ready(struct net_client *client, unsigned pair)
{
	struct net_client *outer = capture_of_client(client)->be.client;

	outer->rx_ready(outer, pair);
}

static void capture_tx_ready(struct net_client *client, unsigned pair)
{
	struct net_client *outer = capture_of_client(client)->be.client;

	outer->tx_ready(outer, pair);
}

static void capture_rx_dropped(struct net_client *client)
{
	struct net_client *outer = capture_of_client(client)->be.client;

	outer->rx_dropped(outer);
}

static void capture_link_changed(struct net_client *client)
{
	struct net_capture *cap = capture_of_client(client);
	struct net_client *outer = cap->be.client;

	cap->be.link_up = cap->inner->link_up;
	outer->link_changed(outer);
}

static void capture_faulted(struct net_client *client, enum fault_kind kind)
{
	struct net_client *outer = capture_of_client(client)->be.client;

	outer->faulted(outer, kind);
}

static const struct net_client capture_client = {
	.rx_ready = capture_rx_ready,
	.tx_ready = capture_tx_ready,
	.rx_dropped = capture_rx_dropped,
	.link_changed = capture_link_changed,
	.faulted = capture_faulted,
};

static int capture_open_inner(struct net_capture *cap, const struct net_capture_opts *opts,
			      const struct net_backend_env *env, struct diag *diag)
{
	const struct net_backend_env inner_env = {
		.loop = env->loop, .clock = env->clock, .client = &cap->client};
	const struct net_backend *inner;
	int r = opts->open(opts->opts, &inner_env, &cap->inner, diag);

	if (r < 0)
		return r;
	inner = cap->inner;
	memcpy(cap->be.name, inner->name, sizeof(cap->be.name));
	cap->be.pairs = inner->pairs;
	cap->be.tx_offloads = inner->tx_offloads;
	cap->be.rx_offloads = inner->rx_offloads;
	cap->be.mtu = inner->mtu;
	cap->be.link_up = inner->link_up;
	return 0;
}

int net_capture_open(const void *opts, const struct net_backend_env *env, struct net_backend **ret,
		     struct diag *diag)
{
	const struct net_capture_opts *o = opts;
	struct net_capture *cap = calloc(1, sizeof(*cap));
	int r;

	if (!cap)
		return diag_set(diag, -ENOMEM, "capture-memory", "capture '%s'", o->path);
	cap->be = (struct net_backend){.ops = &capture_ops, .client = env->client};
	cap->client = capture_client;
	cap->loop = env->loop;
	cap->path = o->path;
	cap->report = o->report;
	cap->pipe = (struct event_source){.fd = -1, .ready = pipe_ready};
	r = capture_open_inner(cap, o, env, diag);
	if (r == 0)
		r = capture_file_open(cap, diag);
	if (r < 0) {
		capture_destroy(&cap->be);
		return r;
	}
	*ret = &cap->be;
	return 0;
}
