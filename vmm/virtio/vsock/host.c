/*
 * The host's side: a listening Unix socket, whose clients ask for a port of the guest, and sockets PATH_PORT that
 * programs of the host listen on. Both as Firecracker has them.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/iov.h"
#include "virtio/vsock/internal.h"

bool vsock_host_gone(const struct vsock_conn *conn)
{
	struct pollfd pfd = {.fd = conn->src.fd};

	return poll(&pfd, 1, 0) < 0 || pfd.revents & (POLLHUP | POLLERR);
}

/* Clients that connect. */

static uint32_t choose_port(struct vsock *vs, uint32_t guest_port)
{
	do {
		if (++vs->next_port < VSOCK_PORT_FIRST)
			vs->next_port = VSOCK_PORT_FIRST;
	} while (vsock_conn_find(vs, vs->next_port, guest_port));
	return vs->next_port;
}

static void vsock_timer_arm(struct vsock *vs, int64_t ns)
{
	vs->timer_armed = true;
	event_timer_arm_in(&vs->timer, ns);
}

static void set_deadline(struct vsock_conn *conn)
{
	const struct clock_src *clock = conn->owner->vd.env->clock;

	conn->deadline_ns = clock->monotonic_ns(clock) + VSOCK_WAIT_NS;
	if (!conn->owner->timer_armed)
		vsock_timer_arm(conn->owner, VSOCK_WAIT_NS);
}

/* The line is whole. Without a driver nobody could accept. */
static void greeting_take(struct vsock_conn *conn, size_t len)
{
	struct vsock *vs = conn->owner;
	uint32_t port;

	if (!vs->started || !vsock_line_parse(conn->line, len, &port)) {
		virtio_count(&vs->vd, VSOCK_COUNT_REFUSED, 1);
		vsock_conn_close(conn);
		return;
	}
	conn->state = VSOCK_REQUESTED;
	conn->readable = true; /* bytes after the line came with the same edge */
	set_deadline(conn);
	vsock_conn_address(conn, choose_port(vs, port), port);
	vsock_conn_say(conn, VSOCK_OP(REQUEST));
}

/* Takes the line and not a byte of what follows, which is the guest's. */
static void greeting_read(struct vsock_conn *conn)
{
	for (;;) {
		char *at = conn->line + conn->line_len;
		const size_t room = sizeof(conn->line) - conn->line_len;
		ssize_t n = recv(conn->src.fd, at, room, MSG_PEEK | MSG_DONTWAIT);
		const char *end;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		end = n > 0 ? memchr(at, '\n', (size_t)n) : NULL;
		if (end)
			n = end + 1 - at;
		if (n <= 0 || recv(conn->src.fd, at, (size_t)n, MSG_DONTWAIT) != n ||
		    (!end && (size_t)n == room)) {
			virtio_count(&conn->owner->vd, VSOCK_COUNT_REFUSED, 1);
			vsock_conn_close(conn);
			return;
		}
		conn->line_len += (unsigned)n;
		if (end) {
			greeting_take(conn, conn->line_len - 1);
			return;
		}
	}
}

/* One a turn. One that cannot be taken for want of descriptors waits until another comes or leaves. */
static void vsock_listen_ready(struct event_source *src, uint32_t epoll_events)
{
	struct vsock *vs = container_of(src, struct vsock, listen);
	const int fd = accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct vsock_conn *conn;

	(void)epoll_events;
	if (fd < 0) {
		event_loop_want(vs->vd.loop, src, EPOLLIN | (uint32_t)EPOLLET);
		return;
	}
	event_loop_want(vs->vd.loop, src, EPOLLIN);
	conn = vsock_conn_open(vs, fd, VSOCK_GREETING);
	if (conn) {
		set_deadline(conn);
		return;
	}
	virtio_count(&vs->vd, VSOCK_COUNT_LIMIT, 1);
	close(fd);
}

bool vsock_host_accepted(const struct vsock_conn *conn)
{
	char line[24];
	const int n = snprintf(line, sizeof(line), "OK %u\n", (unsigned)conn->host_port);

	return send(conn->src.fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n;
}

/* The client waits no more: a guest that was asked has to know. */
static void give_up_asking(struct vsock_conn *conn)
{
	virtio_count(&conn->owner->vd, VSOCK_COUNT_REFUSED, 1);
	if (conn->state == VSOCK_REQUESTED && !(conn->pending & VSOCK_OP(REQUEST)))
		vsock_conn_reset(conn);
	else
		vsock_conn_close(conn);
}

/* Those that took too long. */
static void vsock_expired(void *arg)
{
	struct vsock *vs = arg;
	const int64_t now = vs->vd.env->clock->monotonic_ns(vs->vd.env->clock);
	int64_t next = INT64_MAX;

	vs->timer_armed = false;
	for (unsigned i = 0; i < VIRTIO_VSOCK_CONNS_MAX; i++) {
		struct vsock_conn *conn = &vs->conn[i];

		if (conn->state != VSOCK_GREETING && conn->state != VSOCK_REQUESTED)
			continue;
		if (conn->deadline_ns > now) {
			next = conn->deadline_ns < next ? conn->deadline_ns : next;
			continue;
		}
		give_up_asking(conn);
	}
	if (next != INT64_MAX)
		vsock_timer_arm(vs, next - now);
	vsock_rx_run(vs);
}

/* Listeners of the host. */

int vsock_host_dial(const struct vsock *vs, uint32_t port)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;
	char path[sizeof(addr.sun_path)];
	int n = snprintf(path, sizeof(path), "%s_%u", vs->conf->path, (unsigned)port);

	if (fd < 0)
		return -errno;
	if ((size_t)n >= sizeof(path) || unix_address(path, &addr) < 0)
		return -ENAMETOOLONG;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return STEAL_FD(fd);
}

/* Data for the host. */

static void note_forwarded(struct vsock_conn *conn, size_t n)
{
	conn->fwd_cnt += (uint32_t)n;
	if (conn->state != VSOCK_OPEN)
		return;
	/* The guest believes that half of its room is used: it has to know what has become free. */
	if (conn->received - conn->fwd_said > VSOCK_BUF_BYTES / 2)
		vsock_conn_say(conn, VSOCK_OP(CREDIT_UPDATE));
}

/* Bytes that the socket took, or -1: none now. One that takes none forever takes all, which is lost. */
static ssize_t send_host(struct vsock_conn *conn, const struct iovec *iov, unsigned nr)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = nr};
	ssize_t n = conn->host_deaf ? -1 : sendmsg(conn->src.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0) {
		virtio_count(&conn->owner->vd, VSOCK_COUNT_TO_HOST, (uint64_t)n);
	} else if (conn->host_deaf || (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)) {
		conn->host_deaf = true;
		n = (ssize_t)iov_bytes(iov, nr);
	}
	if (n > 0)
		note_forwarded(conn, (size_t)n);
	return n;
}

static void drain(struct vsock_conn *conn)
{
	while (conn->buf_len > 0) {
		const unsigned till_end = VSOCK_BUF_BYTES - conn->buf_first;
		const unsigned first = conn->buf_len < till_end ? conn->buf_len : till_end;
		const struct iovec iov[] = {
			{.iov_base = conn->buf + conn->buf_first, .iov_len = first},
			{.iov_base = conn->buf, .iov_len = conn->buf_len - first},
		};
		const ssize_t n = send_host(conn, iov, 2);

		if (n <= 0)
			return;
		conn->buf_first = (conn->buf_first + (unsigned)n) % VSOCK_BUF_BYTES;
		conn->buf_len -= (unsigned)n;
	}
	conn->buf_first = 0;
}

/* The guest may change its buffer meanwhile: these are its own bytes, and their number is ours. */
static void keep(struct vsock_conn *conn, const struct iovec *piece, unsigned nr, size_t off,
		 size_t len)
{
	while (len > 0) {
		const unsigned at = (conn->buf_first + conn->buf_len) % VSOCK_BUF_BYTES;
		const size_t till_end = VSOCK_BUF_BYTES - at;
		const size_t n =
			iov_read(piece, nr, off, conn->buf + at, len < till_end ? len : till_end);

		conn->buf_touched = true;
		conn->buf_len += (unsigned)n;
		off += n;
		len -= n;
	}
}

void vsock_host_take(struct vsock_conn *conn, const struct iovec *piece, unsigned nr, size_t len)
{
	struct iovec iov[VSOCK_PIECES_MAX];
	ssize_t n = 0;

	if (conn->buf_len == 0 && len > 0)
		n = send_host(conn, iov, iov_slice(piece, nr, 0, len, iov));
	if (n < 0)
		n = 0;
	if ((size_t)n == len)
		return;
	keep(conn, piece, nr, (size_t)n, len - (size_t)n);
	drain(conn); /* until it has no room: then there will be an edge */
}

void vsock_host_settle(struct vsock_conn *conn)
{
	if (conn->guest_deaf)
		shutdown(conn->src.fd, SHUT_RD);
	if (conn->buf_len > 0)
		return;
	if (conn->state == VSOCK_DRAINING) {
		if (conn->pending & VSOCK_OP(RST))
			vsock_conn_reset(conn);
		else
			vsock_conn_close(conn);
	} else if (conn->guest_eof) {
		shutdown(conn->src.fd, SHUT_WR);
	}
}

/* The socket of a connection has news. Which, the calls say: the event may be of one that was closed just now. */
void vsock_host_ready(struct event_source *src, uint32_t epoll_events)
{
	struct vsock_conn *conn = container_of(src, struct vsock_conn, src);
	struct vsock *vs = conn->owner;

	if (conn->state == VSOCK_GREETING) {
		greeting_read(conn);
		vsock_rx_run(vs);
		return;
	}
	if (epoll_events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		conn->readable = true;
	if (epoll_events & (EPOLLHUP | EPOLLERR) && vsock_host_gone(conn)) {
		if (conn->state == VSOCK_REQUESTED) {
			give_up_asking(conn);
			vsock_rx_run(vs);
			return;
		}
		conn->host_deaf = true;
		/* Bytes that it sent before are still for a guest that listens. */
		conn->host_eof |= conn->guest_deaf;
	}
	if (conn->buf_len > 0) {
		drain(conn);
		vsock_host_settle(conn);
	}
	if (conn->state != VSOCK_FREE)
		vsock_conn_say(conn, 0);
	vsock_rx_run(vs);
}

/* Opening and closing. */

static int say_no_vsock(const char *path, int r, struct diag *diag)
{
	diag_set(diag, r == -EADDRINUSE || r == -EEXIST ? -EINVAL : r, "vsock-socket-open",
		 "vsock socket '%s'%s", path,
		 r == -EADDRINUSE ? " is in use: a running VM, or another program, listens there"
		 : r == -EEXIST   ? ": there is a file that is not a socket"
				  : "");
	if (r == -EADDRINUSE)
		diag_remedy(diag, "choose another path");
	if (r == -EEXIST)
		diag_remedy(diag, "choose another path, or remove the file");
	return r;
}

int vsock_host_open(struct vsock *vs, const char *path, struct diag *diag)
{
	int r = event_timer_init(&vs->timer, vs->vd.loop, vsock_expired, vs);

	if (r < 0)
		return diag_set(diag, r, "vsock-timer", "timer of %s", vs->vd.name);
	r = unix_listener_open(&vs->listener, path, SOMAXCONN);
	if (r < 0)
		return say_no_vsock(path, r, diag);
	vs->listen = (struct event_source){
		.fd = vs->listener.fd,
		.events = EPOLLIN,
		.ready = vsock_listen_ready,
	};
	r = event_loop_add(vs->vd.loop, &vs->listen);
	return r < 0 ? diag_set(diag, r, "vsock-watch", "watch vsock socket '%s'", path) : 0;
}

void vsock_host_close(struct vsock *vs)
{
	event_loop_remove(vs->vd.loop, &vs->listen);
	unix_listener_close(&vs->listener);
	for (unsigned i = 0; i < VIRTIO_VSOCK_CONNS_MAX; i++)
		if (vs->conn[i].state != VSOCK_FREE)
			vsock_conn_close(&vs->conn[i]);
	event_timer_fini(&vs->timer);
}
