/*
 * Connections, as the guest sees them (virtio 1.2, 5.10.6). A packet to the guest is not kept: a connection knows what
 * it has to say, and data stays in the host's socket until the guest has a buffer and room for it. Data to the host
 * goes from the guest's buffer into the socket, and only what that does not take is kept, up to VSOCK_BUF_BYTES.
 */
#include <endian.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/iov.h"
#include "virtio/vsock/internal.h"

enum { SHUTDOWN_BOTH = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND };

/* The table. */

static struct vsock_conn **bucket_of(struct vsock *vs, uint32_t host_port, uint32_t guest_port)
{
	const uint32_t hash = (host_port ^ guest_port * 2654435761U) * 2246822519U;

	return &vs->bucket[(hash >> 16) % VSOCK_BUCKETS];
}

struct vsock_conn *vsock_conn_find(struct vsock *vs, uint32_t host_port, uint32_t guest_port)
{
	struct vsock_conn *conn = *bucket_of(vs, host_port, guest_port);

	while (conn && (conn->host_port != host_port || conn->guest_port != guest_port))
		conn = conn->in_bucket;
	return conn;
}

void vsock_conn_address(struct vsock_conn *conn, uint32_t host_port, uint32_t guest_port)
{
	struct vsock_conn **bucket = bucket_of(conn->owner, host_port, guest_port);

	conn->host_port = host_port;
	conn->guest_port = guest_port;
	conn->in_bucket = *bucket;
	conn->hashed = true;
	*bucket = conn;
}

static void conn_unaddress(struct vsock_conn *conn)
{
	struct vsock_conn **at = bucket_of(conn->owner, conn->host_port, conn->guest_port);

	if (!conn->hashed)
		return;
	while (*at != conn)
		at = &(*at)->in_bucket;
	*at = conn->in_bucket;
	conn->hashed = false;
}

struct vsock_conn *vsock_conn_open(struct vsock *vs, int fd, enum vsock_state state)
{
	struct vsock_conn *conn = vs->conn;

	if (vs->nr_conns == VIRTIO_VSOCK_CONNS_MAX)
		return NULL;
	while (conn->state != VSOCK_FREE)
		conn++;
	*conn = (struct vsock_conn){
		.owner = vs,
		.buf = vs->buf + (size_t)(conn - vs->conn) * VSOCK_BUF_BYTES,
	};
	/* Edges: one that has to wait for the guest then costs no system call. */
	conn->src = (struct event_source){
		.fd = fd,
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | (uint32_t)EPOLLET,
		.ready = vsock_host_ready,
	};
	if (event_loop_add(vs->vd.loop, &conn->src) < 0)
		return NULL;
	conn->state = state;
	vs->nr_conns++;
	return conn;
}

static void close_socket(struct vsock_conn *conn)
{
	if (conn->src.fd < 0)
		return;
	event_loop_remove(conn->owner->vd.loop, &conn->src);
	close(conn->src.fd);
	conn->src.fd = -1;
	/* Bytes that the host has not taken are lost, and their memory is the kernel's again. */
	if (conn->buf_touched)
		madvise(conn->buf, VSOCK_BUF_BYTES, MADV_DONTNEED);
	conn->buf_touched = false;
	conn->buf_len = 0;
}

static void leave_ready(struct vsock_conn *conn)
{
	struct vsock *vs = conn->owner;
	struct vsock_conn **at = &vs->ready;

	if (!conn->queued)
		return;
	while (*at != conn)
		at = &(*at)->next;
	*at = conn->next;
	if (!*at)
		vs->ready_end = at;
	conn->queued = false;
}

void vsock_conn_close(struct vsock_conn *conn)
{
	struct vsock *vs = conn->owner;

	leave_ready(conn);
	conn_unaddress(conn);
	close_socket(conn);
	conn->state = VSOCK_FREE;
	vs->nr_conns--;
	/* See listen_ready(): there may be a descriptor for a client that waits. */
	event_loop_want(vs->vd.loop, &vs->listen, EPOLLIN);
}

/* Packets to the guest. */

static unsigned unsaid_shutdown(const struct vsock_conn *conn)
{
	const unsigned flags = (conn->host_eof ? VIRTIO_VSOCK_SHUTDOWN_SEND : 0U) |
			       (conn->host_deaf ? VIRTIO_VSOCK_SHUTDOWN_RCV : 0U);

	return flags & ~conn->shutdown_said ? flags : 0;
}

static bool can_read(const struct vsock_conn *conn)
{
	return conn->readable && !conn->host_eof && !conn->guest_deaf;
}

bool vsock_conn_wants(const struct vsock_conn *conn)
{
	if (conn->pending)
		return true;
	if (conn->state != VSOCK_OPEN)
		return false;
	return unsaid_shutdown(conn) ||
	       (can_read(conn) && (vsock_credit(conn) > 0 || !conn->credit_asked));
}

void vsock_conn_say(struct vsock_conn *conn, unsigned op)
{
	struct vsock *vs = conn->owner;

	conn->pending |= op;
	if (conn->queued || !vsock_conn_wants(conn))
		return;
	conn->queued = true;
	conn->next = NULL;
	*vs->ready_end = conn;
	vs->ready_end = &conn->next;
}

void vsock_conn_reset(struct vsock_conn *conn)
{
	close_socket(conn);
	conn->state = VSOCK_RESET;
	conn->pending = 0;
	vsock_conn_say(conn, VSOCK_OP(RST));
}

/* Reads what the guest has room for. The op of the packet with it, or 0: there is nothing. */
static unsigned read_host(struct vsock_conn *conn, const struct iovec *piece, unsigned nr,
			  size_t room, size_t *ret_len)
{
	struct iovec iov[VSOCK_PIECES_MAX];
	const uint32_t credit = vsock_credit(conn);
	ssize_t n;

	if (room > credit)
		room = credit;
	n = readv(conn->src.fd, iov, (int)iov_slice(piece, nr, 0, room, iov));
	if (n > 0) {
		*ret_len = (size_t)n;
		conn->sent += (uint32_t)n;
		virtio_count(&conn->owner->vd, VSOCK_COUNT_TO_GUEST, (uint64_t)n);
		return VIRTIO_VSOCK_OP_RW;
	}
	if (n == 0) {
		conn->host_eof = true;
		conn->host_deaf |= vsock_host_gone(conn);
		return 0;
	}
	conn->readable = errno == EINTR;
	if (errno == EAGAIN || errno == EINTR)
		return 0;
	vsock_conn_reset(conn);
	return VIRTIO_VSOCK_OP_RST;
}

static unsigned next_op(struct vsock_conn *conn, const struct iovec *piece, unsigned nr,
			size_t *ret_len)
{
	static const unsigned first[] = {VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RESPONSE,
					 VIRTIO_VSOCK_OP_RST};
	const size_t room = iov_bytes(piece, nr);
	unsigned op = 0;

	for (size_t i = 0; i < ARRAY_SIZE(first); i++)
		if (conn->pending & 1U << first[i])
			return first[i];
	if (conn->state == VSOCK_OPEN && can_read(conn) && vsock_credit(conn) > 0 && room > 0)
		op = read_host(conn, piece, nr,
			       room < VSOCK_PACKET_BYTES_MAX ? room : VSOCK_PACKET_BYTES_MAX,
			       ret_len);
	if (op)
		return op;
	if (conn->state == VSOCK_OPEN && unsaid_shutdown(conn))
		return VIRTIO_VSOCK_OP_SHUTDOWN;
	if (conn->state == VSOCK_OPEN && can_read(conn) && vsock_credit(conn) == 0 &&
	    !conn->credit_asked) {
		conn->credit_asked = true;
		return VIRTIO_VSOCK_OP_CREDIT_REQUEST;
	}
	return conn->pending & VSOCK_OP(CREDIT_UPDATE) ? VIRTIO_VSOCK_OP_CREDIT_UPDATE : 0;
}

/*
 * The packet is the guest's. After a RST, and once neither side of the host is left, it is not addressed any more: should
 * the guest still send, it gets a RST, and there is no need to wait for one of its own.
 */
static void said(struct vsock_conn *conn, unsigned op)
{
	conn->pending &= ~(1U << op | VSOCK_OP(CREDIT_UPDATE));
	conn->fwd_said = conn->fwd_cnt;
	if (op == VIRTIO_VSOCK_OP_SHUTDOWN)
		conn->shutdown_said = unsaid_shutdown(conn);
	if (op == VIRTIO_VSOCK_OP_RST && conn->state == VSOCK_DRAINING && conn->buf_len > 0)
		conn_unaddress(conn);
	else if (op == VIRTIO_VSOCK_OP_RST || conn->shutdown_said == SHUTDOWN_BOTH)
		vsock_conn_close(conn);
}

int vsock_conn_fill(struct vsock_conn *conn, struct virtio_vsock_hdr *hdr,
		    const struct iovec *piece, unsigned nr)
{
	size_t len = 0;
	const unsigned op = next_op(conn, piece, nr, &len);

	if (!op)
		return -EAGAIN;
	*hdr = (struct virtio_vsock_hdr){
		.src_port = htole32(conn->host_port),
		.dst_port = htole32(conn->guest_port),
		.len = htole32((uint32_t)len),
		.op = htole16((uint16_t)op),
		.flags = htole32(op == VIRTIO_VSOCK_OP_SHUTDOWN ? unsaid_shutdown(conn) : 0),
		.buf_alloc = htole32(VSOCK_BUF_BYTES),
		.fwd_cnt = htole32(conn->fwd_cnt),
	};
	said(conn, op);
	return (int)len;
}

/* Packets from the guest. */

void vsock_refuse(struct vsock *vs, uint32_t host_port, uint32_t guest_port)
{
	vs->rst[(vs->rst_first + vs->nr_rsts++) % VSOCK_RSTS_MAX] =
		(struct vsock_ports){.host = host_port, .guest = guest_port};
}

static void open_from_guest(struct vsock *vs, const struct virtio_vsock_hdr *hdr)
{
	const uint32_t host_port = le32toh(hdr->dst_port), guest_port = le32toh(hdr->src_port);
	const int fd = vsock_host_dial(vs, host_port);
	struct vsock_conn *conn = fd < 0 ? NULL : vsock_conn_open(vs, fd, VSOCK_OPEN);

	if (!conn) {
		virtio_count(&vs->vd, fd < 0 ? VSOCK_COUNT_REFUSED : VSOCK_COUNT_LIMIT, 1);
		if (fd >= 0)
			close(fd);
		vsock_refuse(vs, host_port, guest_port);
		return;
	}
	vsock_conn_address(conn, host_port, guest_port);
	conn->peer_buf_alloc = le32toh(hdr->buf_alloc);
	conn->peer_fwd_cnt = le32toh(hdr->fwd_cnt);
	virtio_count(&vs->vd, VSOCK_COUNT_FROM_GUEST, 1);
	vsock_conn_say(conn, VSOCK_OP(RESPONSE));
}

/* A RST for no connection is the end of one that we have forgotten. */
static void stray_packet(struct vsock *vs, const struct virtio_vsock_hdr *hdr)
{
	const unsigned op = le16toh(hdr->op);

	if (op == VIRTIO_VSOCK_OP_REQUEST) {
		open_from_guest(vs, hdr);
	} else if (op != VIRTIO_VSOCK_OP_RST) {
		virtio_count(&vs->vd, VSOCK_COUNT_STRAY, 1);
		vsock_refuse(vs, le32toh(hdr->dst_port), le32toh(hdr->src_port));
	}
}

static void conn_violated(struct vsock_conn *conn)
{
	virtio_count(&conn->owner->vd, VSOCK_COUNT_VIOLATIONS, 1);
	vsock_conn_reset(conn);
}

/* The guest has forgotten it. Its bytes that are here are still for the host. */
static void guest_left(struct vsock_conn *conn)
{
	if (conn->state == VSOCK_REQUESTED)
		virtio_count(&conn->owner->vd, VSOCK_COUNT_REFUSED, 1);
	conn->pending = 0;
	if (conn->buf_len == 0) {
		vsock_conn_close(conn);
		return;
	}
	conn->state = VSOCK_DRAINING;
	leave_ready(conn);
	conn_unaddress(conn);
}

static void guest_accepted(struct vsock_conn *conn)
{
	if (conn->state != VSOCK_REQUESTED) {
		conn_violated(conn);
		return;
	}
	conn->state = VSOCK_OPEN;
	virtio_count(&conn->owner->vd, VSOCK_COUNT_FROM_HOST, 1);
	if (!vsock_host_accepted(conn))
		vsock_conn_reset(conn);
}

static void guest_shut_down(struct vsock_conn *conn, unsigned flags)
{
	conn->guest_eof |= flags & VIRTIO_VSOCK_SHUTDOWN_SEND;
	conn->guest_deaf |= flags & VIRTIO_VSOCK_SHUTDOWN_RCV;
	if (conn->guest_eof && conn->guest_deaf) {
		/* 5.10.6.4: a RST ends it. The host may take longer. */
		conn->state = VSOCK_DRAINING;
		vsock_conn_say(conn, VSOCK_OP(RST));
	}
	vsock_host_settle(conn);
}

static void guest_sent(struct vsock_conn *conn, size_t len, const struct iovec *piece, unsigned nr)
{
	if (conn->guest_eof || len > VSOCK_BUF_BYTES - conn->buf_len) {
		conn_violated(conn);
		return;
	}
	conn->received += (uint32_t)len;
	vsock_host_take(conn, piece, nr, len);
}

/* Of one that is open: before that there is nothing but its acceptance and its end. */
static void open_packet(struct vsock_conn *conn, const struct virtio_vsock_hdr *hdr,
			const struct iovec *piece, unsigned nr)
{
	switch (le16toh(hdr->op)) {
	case VIRTIO_VSOCK_OP_SHUTDOWN: guest_shut_down(conn, le32toh(hdr->flags)); break;
	case VIRTIO_VSOCK_OP_RW: guest_sent(conn, le32toh(hdr->len), piece, nr); break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE: break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST: vsock_conn_say(conn, VSOCK_OP(CREDIT_UPDATE)); break;
	default: conn_violated(conn); break;
	}
}

void vsock_conn_packet(struct vsock *vs, const struct virtio_vsock_hdr *hdr,
		       const struct iovec *piece, unsigned nr)
{
	struct vsock_conn *conn =
		vsock_conn_find(vs, le32toh(hdr->dst_port), le32toh(hdr->src_port));
	const unsigned op = le16toh(hdr->op);

	if (!conn) {
		stray_packet(vs, hdr);
		return;
	}
	if (op == VIRTIO_VSOCK_OP_RST) {
		guest_left(conn);
		return;
	}
	/* It has a RST on its way. */
	if (conn->state == VSOCK_RESET || conn->state == VSOCK_DRAINING)
		return;
	conn->peer_buf_alloc = le32toh(hdr->buf_alloc);
	conn->peer_fwd_cnt = le32toh(hdr->fwd_cnt);
	if (vsock_credit(conn) > 0)
		conn->credit_asked = false;
	if (op == VIRTIO_VSOCK_OP_RESPONSE)
		guest_accepted(conn);
	else if (conn->state == VSOCK_OPEN)
		open_packet(conn, hdr, piece, nr);
	else
		conn_violated(conn);
	if (conn->state != VSOCK_FREE)
		vsock_conn_say(conn, 0);
}
