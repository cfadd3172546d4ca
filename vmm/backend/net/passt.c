/*
 * passt.c - a back end on the stream of frames that passt(1) and QEMU's stream sockets speak: for each frame its
 * length as four bytes, the highest first, and the frame. There is no virtio header, so there are no offloads.
 *
 * passt is another process, and trusted with the guest's traffic alone: a length that no frame can have ends the
 * connection. A connection that is over stays so: the guest's link is down from then on.
 */
#include <endian.h>
#include <errno.h>
#include <net/ethernet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/net/passt.h"
#include "base/iov.h"
#include "base/macros.h"

enum {
	PASST_LENGTH_BYTES = sizeof(uint32_t),
	PASST_RECORD_BYTES_MAX = PASST_LENGTH_BYTES + NET_FRAME_BYTES_MAX,
	PASST_READ_BYTES =
		4 * PASST_RECORD_BYTES_MAX, /* of one read: many short frames, or a few long ones */
};

struct net_passt {
	struct net_backend be;
	struct event_loop *loop;
	struct event_source src; /* the socket; fd -1: the connection is over */
	/* Calls the device from the loop: frames are left that a read brought, or the connection has ended. */
	struct event_timer timer;
	struct diag *lost; /* why it ended; borrowed */
	bool is_news;      /* that it has ended */
	bool rx_want, tx_blocked;
	size_t tx_at, tx_len; /* in tx: what the socket had no room for yet */
	size_t rx_at, rx_len; /* in rx: bytes that were read, from rx_at on */
	uint8_t tx[PASST_RECORD_BYTES_MAX];
	uint8_t rx[PASST_READ_BYTES];
};

static struct net_passt *to_passt(struct net_backend *be)
{
	return container_of(be, struct net_passt, be);
}

static void passt_watch(struct net_passt *np)
{
	const uint32_t in = np->rx_want ? EPOLLIN : 0;
	const uint32_t out = np->tx_blocked || np->tx_at < np->tx_len ? EPOLLOUT : 0;

	if (np->src.fd >= 0)
		event_loop_want(np->loop, &np->src, in | out);
}

/* passt_news() runs soon, from the loop. */
static void passt_soon(struct net_passt *np)
{
	event_timer_arm(&np->timer, 1);
}

/* The connection is over. Frames that have come before are delivered. */
static void passt_close(struct net_passt *np)
{
	event_loop_remove(np->loop, &np->src);
	close(np->src.fd);
	np->src.fd = -1;
	np->tx_at = np->tx_len = 0;
	np->is_news = true;
	passt_soon(np);
}

/* For the result of a system call: 0 is the end of the stream. */
static void passt_closed(struct net_passt *np, int r)
{
	diag_set(np->lost, r ? r : -ECONNRESET, "passt-closed",
		 "passt has left, so the guest's link went down");
	passt_close(np);
}

/* Bytes of the frame whose record begins at rx_at; 0: not all of it has come. */
static size_t passt_frame(struct net_passt *np)
{
	const size_t there = np->rx_len - np->rx_at;
	uint32_t length;

	if (there < PASST_LENGTH_BYTES)
		return 0;
	memcpy(&length, np->rx + np->rx_at, sizeof(length));
	length = be32toh(length);
	if (length >= ETHER_HDR_LEN && length <= NET_FRAME_BYTES_MAX)
		return length <= there - PASST_LENGTH_BYTES ? length : 0;
	np->rx_at = np->rx_len = 0;
	diag_set(np->lost, -EPROTO, "passt-length",
		 "passt sent a frame of %u bytes, so the guest's link went down", length);
	if (np->src.fd >= 0)
		passt_close(np);
	return 0;
}

/* Reads once. False: nothing has come. */
static bool passt_fill(struct net_passt *np)
{
	ssize_t n;

	if (np->src.fd < 0)
		return false;
	memmove(np->rx, np->rx + np->rx_at, np->rx_len - np->rx_at);
	np->rx_len -= np->rx_at;
	np->rx_at = 0;
	/* There is room: a whole record would have been taken out. */
	n = recv(np->src.fd, np->rx + np->rx_len, sizeof(np->rx) - np->rx_len, MSG_DONTWAIT);
	if (n > 0) {
		np->rx_len += (size_t)n;
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		passt_closed(np, n == 0 ? 0 : -errno);
	return false;
}

/* Writes what is left of the record in tx. 0; -EAGAIN: not all of it; or another error. */
static int passt_flush(struct net_passt *np)
{
	while (np->tx_at < np->tx_len) {
		const ssize_t n = send(np->src.fd, np->tx + np->tx_at, np->tx_len - np->tx_at,
				       MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return -EAGAIN;
		if (n < 0) {
			const int r = -errno;

			passt_closed(np, r);
			return r;
		}
		np->tx_at += (size_t)n;
	}
	return 0;
}

static int passt_send(struct net_backend *be, unsigned pair, const struct iovec *iov, unsigned nr)
{
	struct net_passt *np = to_passt(be);
	uint32_t length;
	size_t bytes;
	int r;

	(void)pair;
	if (np->src.fd < 0)
		return -ENOTCONN;
	r = passt_flush(np);
	if (r == -EAGAIN) {
		np->tx_blocked = true;
		passt_watch(np);
	}
	if (r < 0)
		return r;
	bytes = iov_read(iov + 1, nr - 1, 0, np->tx + PASST_LENGTH_BYTES, NET_FRAME_BYTES_MAX);
	length = htobe32((uint32_t)bytes);
	memcpy(np->tx, &length, sizeof(length));
	np->tx_at = 0;
	np->tx_len = PASST_LENGTH_BYTES + bytes;
	r = passt_flush(np);
	if (r == -EAGAIN)
		passt_watch(np); /* the frame is ours by now */
	return r == -EAGAIN ? 0 : r;
}

static ssize_t passt_receive(struct net_backend *be, unsigned pair, const struct iovec *iov,
			     unsigned nr)
{
	static const uint8_t header[NET_HDR_BYTES];
	struct net_passt *np = to_passt(be);
	size_t bytes, done;

	(void)pair;
	while ((bytes = passt_frame(np)) == 0)
		if (!passt_fill(np))
			return -EAGAIN;
	memcpy(iov[0].iov_base, header, sizeof(header));
	done = iov_write(iov + 1, nr - 1, 0, np->rx + np->rx_at + PASST_LENGTH_BYTES, bytes);
	np->rx_at += PASST_LENGTH_BYTES + bytes;
	return (ssize_t)(NET_HDR_BYTES + done);
}

static void passt_rx_want(struct net_backend *be, unsigned pair, bool want)
{
	struct net_passt *np = to_passt(be);

	(void)pair;
	np->rx_want = want;
	passt_watch(np);
	if (want && passt_frame(np) > 0)
		passt_soon(np);
}

static void passt_news(void *net_passt)
{
	struct net_passt *np = net_passt;
	struct net_client *client = np->be.client;

	if (np->rx_want && passt_frame(np) > 0)
		client->rx_ready(client, 0);
	if (!np->is_news)
		return;
	np->is_news = false;
	np->be.link_up = false;
	client->link_changed(client);
	if (np->tx_blocked) {
		np->tx_blocked = false;
		client->tx_ready(client, 0); /* what waits is lost */
	}
}

static void passt_ready(struct event_source *src, uint32_t epoll_events)
{
	struct net_passt *np = container_of(src, struct net_passt, src);
	struct net_client *client = np->be.client;

	if (epoll_events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && passt_flush(np) == 0) {
		const bool was_blocked = np->tx_blocked;

		np->tx_blocked = false;
		passt_watch(np);
		if (was_blocked)
			client->tx_ready(client, 0);
	}
	if (np->rx_want && epoll_events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		client->rx_ready(client, 0);
}

static void passt_rx_offloads_set(struct net_backend *be, unsigned offloads)
{
	(void)be;
	(void)offloads; /* there are none */
}

static int passt_pairs_set(struct net_backend *be, unsigned pairs)
{
	(void)be;
	return pairs == 1 ? 0 : -EINVAL;
}

/* The passt that was started here ends when its socket is closed. */
static void passt_destroy(struct net_backend *be)
{
	struct net_passt *np = to_passt(be);

	event_loop_remove(np->loop, &np->src);
	event_timer_fini(&np->timer);
	if (np->src.fd >= 0)
		close(np->src.fd);
	free(np);
}

static const struct net_backend_ops passt_ops = {
	.send = passt_send,
	.receive = passt_receive,
	.rx_want = passt_rx_want,
	.rx_offloads_set = passt_rx_offloads_set,
	.pairs_set = passt_pairs_set,
	.destroy = passt_destroy,
};

int net_passt_open(const void *opts, const struct net_backend_env *env, struct net_backend **ret,
		   struct diag *diag)
{
	const struct net_passt_opts *o = opts;
	struct net_passt *np = calloc(1, sizeof(*np));
	int r;

	if (!np)
		return diag_set(diag, -ENOMEM, "passt-memory", "network of passt");
	np->be = (struct net_backend){
		.ops = &passt_ops,
		.client = env->client,
		.name = "passt",
		.pairs = 1,
		.link_up = true,
	};
	np->loop = env->loop;
	np->lost = o->lost;
	r = o->socket ? passt_connect(o->socket, diag) : passt_start(o, diag);
	np->src = (struct event_source){.fd = r, .ready = passt_ready};
	if (r >= 0) {
		r = event_loop_add(np->loop, &np->src);
		if (r == 0)
			r = event_timer_init(&np->timer, np->loop, passt_news, np);
		if (r < 0)
			diag_set(diag, r, "passt-watch", "watch the socket of passt");
	}
	if (r < 0) {
		passt_destroy(&np->be);
		return r;
	}
	*ret = &np->be;
	return 0;
}
