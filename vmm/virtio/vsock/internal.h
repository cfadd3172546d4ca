/*
 * internal.h - the socket device's state, shared by vsock.c and the files of this folder: vsock.c has the queues,
 * packet.c what makes a packet acceptable, conn.c the connections, host.c their Unix sockets.
 */
#ifndef VMM_VIRTIO_VSOCK_INTERNAL_H
#define VMM_VIRTIO_VSOCK_INTERNAL_H

#include <linux/virtio_vsock.h>

#include "base/macros.h"
#include "base/unix_socket.h"
#include "virtio/classes.h"

enum {
	VSOCK_RX, /* named as the driver does (5.10.2) */
	VSOCK_TX,
	VSOCK_EVENT,
	VSOCK_QUEUES,

	VSOCK_QUEUE_SIZE = 128,
	VSOCK_PIECES_MAX = VSOCK_QUEUE_SIZE, /* 2.7.13.3: no chain is longer than its queue */
	VSOCK_BURST =
		64, /* packets of one queue before the other events of the I/O thread have their turn */
	VSOCK_PACKET_BYTES_MAX = 1 << 16, /* of data in one packet to the guest */
	VSOCK_BUF_BYTES =
		1
		<< 16, /* that the guest may send before the host has taken them; a power of two */
	VSOCK_RSTS_MAX = 64, /* refusals that wait for receive buffers */

	VSOCK_HOST_CID = 2,
	VSOCK_BUCKETS = 256,
	/* Host clients get these as their ports, as Firecracker numbers them: low ones are for listeners. */
	VSOCK_PORT_FIRST = 1 << 30,
	VSOCK_LINE_BYTES_MAX = 32, /* "CONNECT 4294967295\n" has 19 */
};

/* How long a client of the host may take for its line, and the guest to accept. Time of the guest's clock. */
#define VSOCK_WAIT_NS (5 * NS_PER_S)

/* virtio_device.counter. */
enum vsock_counter {
	VSOCK_COUNT_FROM_HOST, /* connections that a client of the host opened, and the guest accepted */
	VSOCK_COUNT_FROM_GUEST, /* connections that the guest opened */
	VSOCK_COUNT_REFUSED,    /* attempts of either side that the other did not take */
	VSOCK_COUNT_LIMIT,      /* attempts beyond VIRTIO_VSOCK_CONNS_MAX */
	VSOCK_COUNT_TO_HOST,    /* bytes */
	VSOCK_COUNT_TO_GUEST,   /* the same */
	VSOCK_COUNT_MALFORMED,  /* packets that no driver would send: dropped */
	VSOCK_COUNT_STRAY,      /* packets for no connection */
	VSOCK_COUNT_VIOLATIONS, /* connections that were reset because the driver broke their rules */
	VSOCK_COUNTERS,
};

enum vsock_state {
	VSOCK_FREE,
	VSOCK_GREETING,  /* a client of the host, whose line is not whole */
	VSOCK_REQUESTED, /* the guest is asked */
	VSOCK_OPEN,
	VSOCK_DRAINING, /* the guest has left; the host has not taken all */
	VSOCK_RESET,    /* the host's socket is closed, and the guest gets a RST */
};

struct vsock;

/* One connection, or one that is being made. Its credit counters are the guest's and ours (5.10.6.3): they wrap. */
struct vsock_conn {
	struct event_source src; /* of the host's socket; fd -1: closed */
	struct vsock *owner;
	enum vsock_state state;
	uint32_t host_port, guest_port;
	struct vsock_conn *in_bucket; /* the next one; hashed while the guest may address it */
	bool hashed;

	/* To the guest. */
	unsigned pending; /* a set of VSOCK_OP bits: packets to send */
	bool queued;      /* in vsock.ready */
	struct vsock_conn *next;
	bool readable;          /* the socket may have bytes, or its end */
	bool host_eof;          /* the host sends no more, */
	bool host_deaf;         /* and takes no more; */
	unsigned shutdown_said; /* which of it the guest was sent: VIRTIO_VSOCK_SHUTDOWN_* */
	bool credit_asked;
	uint32_t sent, peer_buf_alloc, peer_fwd_cnt;

	/* To the host. */
	bool guest_eof, guest_deaf; /* the guest said so */
	uint32_t received, fwd_cnt, fwd_said;
	uint8_t *buf; /* VSOCK_BUF_BYTES, a ring; borrowed from vsock.buf */
	unsigned buf_first, buf_len;
	bool buf_touched; /* since it was given back to the kernel */

	/* Before it is open. */
	int64_t deadline_ns;
	char line[VSOCK_LINE_BYTES_MAX];
	unsigned line_len;
};

struct vsock_ports {
	uint32_t host, guest;
};

struct vsock {
	struct virtio_device vd;              /* first */
	const struct virtio_vsock_conf *conf; /* borrowed */
	bool started;
	bool tx_waits; /* no room for another refusal: goes on when one has been sent */

	struct unix_listener listener;
	struct event_source listen;
	struct event_timer timer; /* runs while a connection is being made */
	bool timer_armed;

	struct vsock_conn conn[VIRTIO_VSOCK_CONNS_MAX];
	unsigned nr_conns; /* not free */
	struct vsock_conn *bucket[VSOCK_BUCKETS];
	struct vsock_conn *ready,
		**ready_end; /* those that may have something for the guest, a queue */
	uint8_t *buf;        /* of all connections; untouched pages of it cost nothing */
	uint32_t next_port;

	struct vsock_ports rst[VSOCK_RSTS_MAX]; /* a ring: for packets of no connection */
	unsigned rst_first, nr_rsts;
};

#define VSOCK_OP(op) (1U << (VIRTIO_VSOCK_OP_##op))

static inline struct vsock *vsock_of(struct virtio_device *vd)
{
	return container_of(vd, struct vsock, vd);
}

/* vsock.c: sends what there is to the guest, as far as it has buffers. The last step of each event. */
void vsock_rx_run(struct vsock *vs);

/*
 * packet.c: pure. The header is the guest's, little-endian; bytes: of header and data together.
 */
enum vsock_verdict {
	VSOCK_PACKET_OK,
	VSOCK_PACKET_MALFORMED, /* too short, or not from the guest to the host: no answer */
	VSOCK_PACKET_FOREIGN,   /* of a type that is not ours: a RST */
};
enum vsock_verdict vsock_packet_check(const struct virtio_vsock_hdr *hdr, size_t bytes,
				      uint64_t guest_cid);

/* Bytes that the peer has room for, whatever it claims. */
uint32_t vsock_credit(const struct vsock_conn *conn);

/* "CONNECT PORT", in either case and with a '\r' or not; false for anything else. */
bool vsock_line_parse(const char *line, size_t len, uint32_t *ret_port);

/* conn.c */

/* A new one with the host's socket fd, which it owns on success; NULL: there are too many, or no memory. */
struct vsock_conn *vsock_conn_open(struct vsock *vs, int fd, enum vsock_state state);
void vsock_conn_close(struct vsock_conn *conn); /* at once, without a word to the guest */
/* The guest may address it by these ports from now on. */
void vsock_conn_address(struct vsock_conn *conn, uint32_t host_port, uint32_t guest_port);
struct vsock_conn *vsock_conn_find(struct vsock *vs, uint32_t host_port, uint32_t guest_port);
/* Closes the host's side and sends the guest a RST. */
void vsock_conn_reset(struct vsock_conn *conn);
/* Sends the guest one of VSOCK_OP, or what else there may be (0), when there is room. */
void vsock_conn_say(struct vsock_conn *conn, unsigned op);
/* The next packet to the guest, with its data in piece; its length, or -EAGAIN: there was none after all. */
int vsock_conn_fill(struct vsock_conn *conn, struct virtio_vsock_hdr *hdr,
		    const struct iovec *piece, unsigned nr);
/* Whether it has something to send. */
bool vsock_conn_wants(const struct vsock_conn *conn);
/* A packet that vsock_packet_check() accepted, for a connection or none; its data is in piece. */
void vsock_conn_packet(struct vsock *vs, const struct virtio_vsock_hdr *hdr,
		       const struct iovec *piece, unsigned nr);
/* Queues a RST without a connection. There is room: see vsock.tx_waits. */
void vsock_refuse(struct vsock *vs, uint32_t host_port, uint32_t guest_port);

/* host.c */

/* The ready function of every host socket. */
void vsock_host_ready(struct event_source *src, uint32_t epoll_events);

int vsock_host_open(struct vsock *vs, const char *path, struct diag *diag);
void vsock_host_close(struct vsock *vs); /* also the connections */
/* Connects to the listener of the host for a port: its socket, or -errno. */
int vsock_host_dial(const struct vsock *vs, uint32_t port);
/* The guest accepted: the client gets its line. False when it is gone. */
bool vsock_host_accepted(const struct vsock_conn *conn);
/* Takes len bytes for the host: into its socket, and what that does not take into the ring, which has room for all. */
void vsock_host_take(struct vsock_conn *conn, const struct iovec *piece, unsigned nr, size_t len);
/* Hands on the ends that the guest announced, once the ring is empty; conn may be closed then. */
void vsock_host_settle(struct vsock_conn *conn);
/* Whether the other end is closed, and not only for one direction. */
bool vsock_host_gone(const struct vsock_conn *conn);

#endif
