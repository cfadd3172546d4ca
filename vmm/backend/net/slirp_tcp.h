/*
 * slirp_tcp.h - how much libslirp keeps of the TCP segments that a guest sends ahead of sequence. Pure.
 *
 * libslirp (4.7, tcp_input.c) keeps each segment that begins after the next byte it expects, in a buffer of
 * 1.6 KiB, until the bytes before it have come. A segment of one byte takes as much as one of 1,460, and any
 * number of FINs without data are kept at one place. So segments are bounded by number: for each connection,
 * and for all of them together.
 *
 * libslirp is not asked what it keeps: that follows from what passes in both directions. A segment that is let
 * through is taken for kept until libslirp acknowledges its end. libslirp answers a segment ahead of sequence
 * with an acknowledgement at once. It may delay that of others; then the segment is sent to it again, which it
 * also answers at once. Thus a guest whose segments come in order never meets the limit.
 *
 * Threads: the network's I/O thread.
 */
#ifndef VMM_BACKEND_NET_SLIRP_TCP_H
#define VMM_BACKEND_NET_SLIRP_TCP_H

#include <net/ethernet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SLIRP_TCP_KEPT_MAX = 128,      /* segments of a connection; 45 full ones fill a window */
	SLIRP_TCP_KEPT_ALL_MAX = 8192, /* of all connections: 13 MiB */
	SLIRP_TCP_ASK_AT = 32,         /* as many, and an acknowledgement is asked for */
	SLIRP_TCP_WAYS = 8,
	SLIRP_TCP_SETS = 64,
	SLIRP_TCP_RESET_BYTES = ETHER_HDR_LEN + 20 + 20,
};

/* The guest's end first. */
struct slirp_tcp_key {
	uint32_t addr[2];
	uint16_t port[2];
};

struct slirp_tcp_segment {
	struct slirp_tcp_key key;
	uint32_t first, end; /* sequence numbers; a FIN has none of its own here */
	uint32_t ack;
	uint8_t flags; /* TH_* of <netinet/tcp.h> */
};

struct slirp_tcp_flow {
	struct slirp_tcp_key key; /* all zero: unused */
	uint32_t acked;           /* what libslirp expects next, as it said last */
	bool acked_known;
	bool answered; /* since the last segment was let through */
	uint16_t nr_kept;
	uint64_t used; /* time of the last segment, counted in segments */
	struct {
		uint32_t first, end;
	} kept[SLIRP_TCP_KEPT_MAX];
};

/* Zeroed: no connections. */
struct slirp_tcp {
	struct slirp_tcp_flow flow[SLIRP_TCP_SETS][SLIRP_TCP_WAYS];
	uint64_t segments;
	unsigned nr_kept; /* of all connections */
};

/*
 * The segment in an Ethernet frame with IPv4 and TCP in it, whole and without fragments; from_guest says which
 * end is the guest's. False when it is none, or its lengths do not fit.
 */
bool slirp_tcp_parse(const uint8_t *frame, size_t len, bool from_guest,
		     struct slirp_tcp_segment *ret);

/*
 * Whether libslirp may have this segment of the guest's now; else it is to be lost, and the guest sends it again.
 * A segment without data and FIN always may.
 */
bool slirp_tcp_admit(struct slirp_tcp *t, const struct slirp_tcp_segment *seg);

/*
 * Before slirp_tcp_admit(): true when the place for a new connection has to be taken from one of which libslirp
 * may keep segments. That is forgotten now, and libslirp must be given ret_reset, a frame that ends it (RST).
 */
bool slirp_tcp_evict(struct slirp_tcp *t, const struct slirp_tcp_segment *seg,
		     uint8_t ret_reset[SLIRP_TCP_RESET_BYTES]);

/* After libslirp was given the segment: true when it must be given it again, so that it acknowledges. */
bool slirp_tcp_must_ask(const struct slirp_tcp *t, const struct slirp_tcp_segment *seg);

/* A segment of libslirp's for the guest. */
void slirp_tcp_answer(struct slirp_tcp *t, const struct slirp_tcp_segment *seg);

/* The segment opened a connection: of an earlier one with the same ends nothing is kept. */
void slirp_tcp_opened(struct slirp_tcp *t, const struct slirp_tcp_segment *seg);

#endif
