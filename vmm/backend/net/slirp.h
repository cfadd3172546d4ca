/*
 * slirp.h - what the two sides of the user network share: slirp.c, the back end, and slirp_poll.c, libslirp's
 * callbacks and its sockets in the device's event loop. For these two alone; I/O thread.
 */
#ifndef VMM_BACKEND_NET_SLIRP_H
#define VMM_BACKEND_NET_SLIRP_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/net.h"
#include "backend/net/slirp_fds.h"
#include "backend/net/slirp_frame.h"
#include "backend/net/slirp_lib.h"
#include "backend/net/slirp_tcp.h"

enum {
	/*
	 * Each of the guest's flows, and of the connections to forwarded ports, costs the host a descriptor, and
	 * 256 KiB of libslirp's buffers where it is TCP. Each side has a limit of its own, so that neither
	 * shuts the other out. The peers' is passed by as many as are accepted in one look.
	 */
	SLIRP_GUEST_SOCKETS_MAX = 256,
	SLIRP_PEERS_MAX = 128,
	/*
	 * Frames for the guest. While more than half is taken no socket is looked at, and one look is
	 * at so many sockets at most, each good for a window of 64 KiB: so little is ever dropped.
	 */
	SLIRP_FIFO_FRAMES = 512,
	SLIRP_EVENTS_PER_POLL = 4,
	/* Until ports are listened to again, after the host refused to accept (it lacks descriptors). */
	SLIRP_ACCEPT_PAUSE_MS = 100,
};

_Static_assert(SLIRP_GUEST_SOCKETS_MAX + SLIRP_PEERS_MAX + SLIRP_EVENTS_PER_POLL +
			       NET_SLIRP_FORWARDS_MAX <=
		       SLIRP_FDS_MAX,
	       "each socket has its slot");

struct slirp_fifo_frame {
	uint16_t len;
	uint8_t bytes[SLIRP_FRAME_BYTES_MAX];
};

struct net_slirp {
	struct net_backend be;
	struct slirp_lib lib;
	Slirp *slirp;
	struct event_loop *loop;
	const struct clock_src *clock;
	struct event_timer timer;
	int64_t deadline_ns;      /* that it is set to; INT64_MAX: not set */
	struct event_source poll; /* an epoll of the sockets */
	struct slirp_fds fds;
	struct slirp_tcp tcp;
	unsigned look;
	unsigned accepted;      /* connections of peers, ever */
	bool sending;           /* libslirp has a frame of the guest's now */
	bool forwarding;        /* libslirp opens a forwarded port now */
	int64_t accept_from_ns; /* no port is listened to before */
	bool rx_want;
	struct net_slirp_forward forward[NET_SLIRP_FORWARDS_MAX];
	unsigned nr_forwards;
	uint8_t frame[SLIRP_FRAME_BYTES_MAX];
	unsigned fifo_first, fifo_len;
	struct slirp_fifo_frame fifo[SLIRP_FIFO_FRAMES];
};

static inline bool slirp_has_room(const struct net_slirp *ns)
{
	return ns->fifo_len <= SLIRP_FIFO_FRAMES / 2;
}

/* Functions that libslirp calls, under its lock, with a struct net_slirp. */
extern const SlirpCb slirp_callbacks;

/*
 * Watches what libslirp wants watched now. To be called after each of its functions that can change
 * that. rx_ready is the device's to ask for as long as frames are left: the timer sees to it.
 */
void slirp_watch(struct net_slirp *ns);

/* Notifies the device of frames, if it wants to know. */
void slirp_offer(struct net_slirp *ns);

/*
 * Sees to a look in ms milliseconds at the latest; UINT32_MAX: at no certain time. One that is due earlier
 * stays: it finds out anew what is to be waited for, and most are replaced before they are due.
 */
void slirp_timer_set(struct net_slirp *ns, uint32_t ms);

/* net_slirp.poll is ready; net_slirp.timer has expired. */
void slirp_poll_ready(struct event_source *src, uint32_t epoll_events);
void slirp_timer_expired(void *net_slirp);

#endif
