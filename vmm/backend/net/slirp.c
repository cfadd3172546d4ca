#include "backend/net.h"

#include <errno.h>

#ifdef TOLLGATE_HAVE_SLIRP

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backend/net/slirp_fds.h"
#include "backend/net/slirp_frame.h"
#include "backend/net/slirp_lib.h"
#include "backend/net/slirp_tcp.h"
#include "base/clock.h"
#include "base/iov.h"
#include "base/macros.h"

enum {
	/*
	 * Each of the guest's flows, and of the connections to forwarded ports, costs the host a descriptor, and
	 * 256 KiB of libslirp's buffers where it is TCP. Each side has a limit of its own, so that neither
	 * shuts the other out. The peers' is passed by as many as are accepted in one look.
	 */
	GUEST_SOCKETS_MAX = 256,
	PEERS_MAX = 128,
	/*
	 * Frames for the guest. While more than half is taken no socket is looked at, and one look is
	 * at so many sockets at most, each good for a window of 64 KiB: so little is ever dropped.
	 */
	FIFO_FRAMES = 512,
	EVENTS_A_LOOK = 4,
	/* Until ports are listened to again, after the host refused to accept (it lacks descriptors). */
	ACCEPT_PAUSE_MS = 100,
};

_Static_assert(GUEST_SOCKETS_MAX + PEERS_MAX + EVENTS_A_LOOK + NET_SLIRP_FORWARDS_MAX <=
		       SLIRP_FDS_MAX,
	       "each socket has its place");

struct fifo_frame {
	uint16_t len;
	uint8_t bytes[SLIRP_FRAME_BYTES_MAX];
};

struct net_slirp {
	struct net_backend be;
	struct slirp_lib lib;
	Slirp *slirp;
	struct event_loop *loop;
	const struct clock_src *clock;
	struct event_source timer;
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
	uint8_t frame[SLIRP_FRAME_BYTES_MAX];
	unsigned fifo_first, fifo_len;
	struct fifo_frame fifo[FIFO_FRAMES];
};

static struct net_slirp *to_slirp(struct net_backend *be)
{
	return container_of(be, struct net_slirp, be);
}

/* --- what libslirp calls, under the lock ---------------------------------------------------------- */

static ssize_t cb_send_packet(const void *buf, size_t len, void *arg)
{
	struct net_slirp *ns = arg;
	struct slirp_tcp_segment seg;
	struct fifo_frame *frame;

	if (slirp_tcp_parse(buf, len, false, &seg))
		slirp_tcp_answer(&ns->tcp, &seg);
	/* A frame that is not kept is lost on the way, as frames are; less than len would be logged. */
	if (ns->fifo_len == FIFO_FRAMES || len > SLIRP_FRAME_BYTES_MAX) {
		ns->be.client->rx_dropped(ns->be.client);
		return (ssize_t)len;
	}
	frame = &ns->fifo[(ns->fifo_first + ns->fifo_len) % FIFO_FRAMES];
	frame->len = (uint16_t)len;
	memcpy(frame->bytes, buf, len);
	ns->fifo_len++;
	return (ssize_t)len;
}

static void cb_guest_error(const char *msg, void *arg)
{
	(void)msg;
	(void)arg;
}

static int64_t cb_clock_get_ns(void *arg)
{
	const struct net_slirp *ns = arg;

	return ns->clock->monotonic_ns(ns->clock);
}

/* Only later versions than 4.8 register the sockets of forwarded ports; watched_fd() adds those, for all. */
static void cb_register_poll_fd(int fd, void *arg)
{
	struct net_slirp *ns = arg;

	if (ns->forwarding)
		return;
	slirp_fds_remove(&ns->fds, fd);
	slirp_fds_add(&ns->fds, fd, ns->sending ? SLIRP_FD_GUEST : SLIRP_FD_PEER);
	ns->accepted += !ns->sending;
}

static void unwatch(struct net_slirp *ns, struct slirp_fd *at)
{
	if (at->watched)
		epoll_ctl(ns->poll.fd, EPOLL_CTL_DEL, at->fd, NULL);
	at->watched = at->ready = 0;
}

/* It is about to be closed, and its number may be another socket's soon. */
static void cb_unregister_poll_fd(int fd, void *arg)
{
	struct net_slirp *ns = arg;
	struct slirp_fd *at = slirp_fds_find(&ns->fds, fd);

	if (!at)
		return;
	unwatch(ns, at);
	slirp_fds_remove(&ns->fds, fd);
}

static void cb_notify(void *arg)
{
	(void)arg; /* for forwards into this process, of which there are none */
}

static const struct {
	int slirp;
	uint32_t epoll;
} poll_bits[] = {
	{SLIRP_POLL_IN, EPOLLIN},   {SLIRP_POLL_OUT, EPOLLOUT}, {SLIRP_POLL_PRI, EPOLLPRI},
	{SLIRP_POLL_ERR, EPOLLERR}, {SLIRP_POLL_HUP, EPOLLHUP},
};

/* NULL: not to be watched now. */
static struct slirp_fd *watched_fd(struct net_slirp *ns, int fd)
{
	struct slirp_fd *at = slirp_fds_find(&ns->fds, fd);

	if (!at) {
		int listens = 0;
		socklen_t len = sizeof(listens);

		at = slirp_fds_add(&ns->fds, fd, SLIRP_FD_FORWARD);
		if (!at)
			return NULL;
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
		at->listens = listens;
	}
	if (at->listens &&
	    (ns->fds.nr_of[SLIRP_FD_PEER] >= PEERS_MAX || cb_clock_get_ns(ns) < ns->accept_from_ns))
		return NULL;
	return at;
}

static int cb_add_poll(int fd, int events, void *arg)
{
	struct net_slirp *ns = arg;
	struct epoll_event ev = {.data.fd = fd};
	struct slirp_fd *at = watched_fd(ns, fd);

	if (!at)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(poll_bits); i++)
		if (events & poll_bits[i].slirp)
			ev.events |= poll_bits[i].epoll;
	if (at->watched != ev.events) {
		const int op = at->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

		if (epoll_ctl(ns->poll.fd, op, fd, &ev) < 0)
			return -1;
	}
	at->watched = ev.events;
	at->look = ns->look;
	return fd;
}

static int cb_get_revents(int fd, void *arg)
{
	struct net_slirp *ns = arg;
	const struct slirp_fd *at = slirp_fds_find(&ns->fds, fd);
	int revents = 0;

	for (size_t i = 0; at && i < ARRAY_SIZE(poll_bits); i++)
		if (at->ready & poll_bits[i].epoll)
			revents |= poll_bits[i].slirp;
	return revents;
}

/*
 * No timer functions: they are for router advertisements, and IPv6 is off. 4.9 deprecates register_poll_fd,
 * but the library that is loaded may be an older one, and all call it with a SlirpConfig of version 3.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static const SlirpCb callbacks = {
	.send_packet = cb_send_packet,
	.guest_error = cb_guest_error,
	.clock_get_ns = cb_clock_get_ns,
	.register_poll_fd = cb_register_poll_fd,
	.unregister_poll_fd = cb_unregister_poll_fd,
	.notify = cb_notify,
};
#pragma GCC diagnostic pop

/* --- the event loop --------------------------------------------------------------------------------- */

/*
 * Sees to a look in ms milliseconds at the latest; UINT32_MAX: at no certain time. One that is due earlier
 * stays: it finds out anew what is to be waited for, and most are replaced before they are due.
 */
static void timer_set(struct net_slirp *ns, uint32_t ms)
{
	struct itimerspec spec = {0};
	int64_t deadline_ns;

	if (ms == UINT32_MAX)
		return;
	deadline_ns = cb_clock_get_ns(ns) + ms * NS_PER_MS;
	if (deadline_ns >= ns->deadline_ns)
		return;
	ns->deadline_ns = deadline_ns;
	spec.it_value = clock_timespec(deadline_ns);
	timerfd_settime(ns->timer.fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static bool slirp_has_room(const struct net_slirp *ns)
{
	return ns->fifo_len <= FIFO_FRAMES / 2;
}

/*
 * Watches what libslirp wants watched now. To be called after each of its functions that can change
 * that. rx_ready is the device's to ask for as long as frames are left: the timer sees to it.
 */
static void watch(struct net_slirp *ns)
{
	uint32_t ms = UINT32_MAX;

	event_loop_want(ns->loop, &ns->poll, slirp_has_room(ns) ? EPOLLIN : 0);
	if (slirp_has_room(ns)) {
		ns->look++;
		slirp_lib_lock();
		ns->lib.pollfds_fill(ns->slirp, &ms, cb_add_poll, ns);
		slirp_lib_unlock();
		for (unsigned i = 0; i < ns->fds.nr; i++)
			if (ns->fds.fd[i].watched && ns->fds.fd[i].look != ns->look)
				unwatch(ns, &ns->fds.fd[i]);
	}
	if (cb_clock_get_ns(ns) < ns->accept_from_ns && ms > ACCEPT_PAUSE_MS)
		ms = ACCEPT_PAUSE_MS;
	timer_set(ns, ns->rx_want && ns->fifo_len ? 0 : ms);
}

static void offer(struct net_slirp *ns)
{
	if (ns->rx_want && ns->fifo_len)
		ns->be.client->rx_ready(ns->be.client, 0);
}

/* Stores what is ready of the sockets; how many of them accept connections. */
static unsigned note_ready(struct net_slirp *ns, const struct epoll_event *ev, int n)
{
	unsigned listening = 0;

	for (int i = 0; i < n; i++) {
		struct slirp_fd *at = slirp_fds_find(&ns->fds, ev[i].data.fd);

		if (at) {
			at->ready = ev[i].events;
			listening += at->listens;
		}
	}
	return listening;
}

/*
 * Sockets and libslirp's own timers, once there is room for what they bring. A connection that the host does not
 * let libslirp accept stays ready: the ports rest for a while then.
 */
static void look(struct net_slirp *ns)
{
	struct epoll_event ev[EVENTS_A_LOOK];
	const int n = epoll_wait(ns->poll.fd, ev, ARRAY_SIZE(ev), 0);
	const unsigned listening = note_ready(ns, ev, n), accepted = ns->accepted;

	slirp_lib_lock();
	ns->lib.pollfds_poll(ns->slirp, n < 0, cb_get_revents, ns);
	slirp_lib_unlock();
	for (unsigned i = 0; i < ns->fds.nr; i++)
		ns->fds.fd[i].ready = 0;
	if (ns->accepted - accepted < listening)
		ns->accept_from_ns = cb_clock_get_ns(ns) + ACCEPT_PAUSE_MS * NS_PER_MS;
}

static void poll_ready(struct event_source *src, uint32_t epoll_events)
{
	struct net_slirp *ns = container_of(src, struct net_slirp, poll);

	(void)epoll_events;
	look(ns);
	offer(ns);
	watch(ns);
}

/* It does its work also while no socket is looked at: the frames that are the reason are to be offered. */
static void slirp_timer_ready(struct event_source *src, uint32_t epoll_events)
{
	struct net_slirp *ns = container_of(src, struct net_slirp, timer);
	uint64_t expired;

	(void)epoll_events;
	if (read(src->fd, &expired, sizeof(expired)) != sizeof(expired))
		return; /* it was set anew since */
	ns->deadline_ns = INT64_MAX;
	if (slirp_has_room(ns))
		look(ns);
	offer(ns);
	watch(ns);
}

/* --- the back end ----------------------------------------------------------------------------------- */

/* The frame behind the header in one piece, in ns->frame; 0 if it is too long. */
static size_t gather(struct net_slirp *ns, const struct iovec *iov, unsigned nr)
{
	if (iov_bytes(iov + 1, nr - 1) > sizeof(ns->frame))
		return 0;
	return iov_read(iov + 1, nr - 1, 0, ns->frame, sizeof(ns->frame));
}

/*
 * libslirp queues without bound what it has for an address that it knows no MAC address of. Of the
 * guest's addresses it is told, then, before it can have an answer to send. Each time: it forgets all but the
 * last 16, and ARP and DHCP add to them, too.
 */
static void teach(struct net_slirp *ns)
{
	uint8_t arp[SLIRP_FRAME_ARP_BYTES];

	slirp_frame_arp(ns->frame, arp);
	ns->lib.input(ns->slirp, arp, sizeof(arp));
}

/* Into libslirp with the TCP segment in ns->frame. */
static int send_segment(struct net_slirp *ns, const struct slirp_tcp_segment *seg, size_t len)
{
	const unsigned sockets = ns->fds.nr_of[SLIRP_FD_GUEST];
	uint8_t reset[SLIRP_TCP_RESET_BYTES];

	if (slirp_tcp_evict(&ns->tcp, seg, reset))
		ns->lib.input(ns->slirp, reset, sizeof(reset));
	if (!slirp_tcp_admit(&ns->tcp, seg))
		return -ENOBUFS;
	ns->lib.input(ns->slirp, ns->frame, (int)len);
	if (ns->fds.nr_of[SLIRP_FD_GUEST] > sockets)
		slirp_tcp_opened(&ns->tcp, seg);
	else if (slirp_tcp_must_ask(&ns->tcp, seg))
		ns->lib.input(ns->slirp, ns->frame, (int)len);
	return 0;
}

static int backend_send(struct net_backend *be, unsigned pair, const struct iovec *iov, unsigned nr)
{
	struct net_slirp *ns = to_slirp(be);
	const size_t len = gather(ns, iov, nr);
	const enum slirp_frame_kind kind = slirp_frame_kind(ns->frame, len);
	struct slirp_tcp_segment seg;
	int r = 0;

	(void)pair;
	if (kind == SLIRP_FRAME_OTHER)
		return -EPROTONOSUPPORT;
	if (kind == SLIRP_FRAME_IP_OPENS && ns->fds.nr_of[SLIRP_FD_GUEST] >= GUEST_SOCKETS_MAX)
		return -EMFILE;
	slirp_lib_lock();
	ns->sending = true;
	if (kind != SLIRP_FRAME_ARP)
		teach(ns);
	if (kind != SLIRP_FRAME_ARP && slirp_tcp_parse(ns->frame, len, true, &seg))
		r = send_segment(ns, &seg, len);
	else
		ns->lib.input(ns->slirp, ns->frame, (int)len);
	ns->sending = false;
	slirp_lib_unlock();
	return r;
}

static void backend_sent(struct net_backend *be)
{
	struct net_slirp *ns = to_slirp(be);

	offer(ns);
	watch(ns);
}

static ssize_t backend_receive(struct net_backend *be, unsigned pair, const struct iovec *iov,
			       unsigned nr)
{
	struct net_slirp *ns = to_slirp(be);
	const struct fifo_frame *frame = &ns->fifo[ns->fifo_first];
	static const uint8_t header[NET_HDR_BYTES];
	size_t done;
	bool had_room;

	(void)pair;
	if (ns->fifo_len == 0)
		return -EAGAIN;
	memcpy(iov[0].iov_base, header, NET_HDR_BYTES);
	done = iov_write(iov + 1, nr - 1, 0, frame->bytes, frame->len);
	had_room = slirp_has_room(ns);
	ns->fifo_first = (ns->fifo_first + 1) % FIFO_FRAMES;
	ns->fifo_len--;
	if (!had_room && slirp_has_room(ns))
		watch(ns);
	return (ssize_t)(NET_HDR_BYTES + done);
}

static void backend_rx_want(struct net_backend *be, unsigned pair, bool want)
{
	struct net_slirp *ns = to_slirp(be);

	(void)pair;
	if (want == ns->rx_want)
		return;
	ns->rx_want = want;
	if (want && ns->fifo_len)
		timer_set(ns, 0);
}

static void backend_rx_offloads_set(struct net_backend *be, unsigned offloads)
{
	(void)be;
	(void)offloads; /* there are none */
}

static int backend_pairs_set(struct net_backend *be, unsigned pairs)
{
	(void)be;
	return pairs == 1 ? 0 : -EINVAL;
}

static void backend_destroy(struct net_backend *be)
{
	struct net_slirp *ns = to_slirp(be);

	if (ns->slirp) {
		slirp_lib_lock();
		ns->lib.cleanup(ns->slirp);
		slirp_lib_unlock();
	}
	event_loop_remove(ns->loop, &ns->poll);
	event_loop_remove(ns->loop, &ns->timer);
	if (ns->timer.fd >= 0)
		close(ns->timer.fd);
	if (ns->poll.fd >= 0)
		close(ns->poll.fd);
	free(ns);
}

static const struct net_backend_ops slirp_ops = {
	.send = backend_send,
	.sent = backend_sent,
	.receive = backend_receive,
	.rx_want = backend_rx_want,
	.rx_offloads_set = backend_rx_offloads_set,
	.pairs_set = backend_pairs_set,
	.destroy = backend_destroy,
};

static struct in_addr address(const char *dotted)
{
	return (struct in_addr){.s_addr = inet_addr(dotted)};
}

static bool is_loopback(struct in_addr addr)
{
	return ntohl(addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static int create(struct net_slirp *ns, const struct net_slirp_opts *opts, struct diag *diag)
{
	SlirpConfig config = {
		.version = 3,
		.restricted = opts->restricted,
		.in_enabled = true,
		.vnetwork = address("10.0.2.0"),
		.vnetmask = address("255.255.255.0"),
		.vhost = address("10.0.2.2"),
		.vnameserver = address("10.0.2.3"),
		.vdhcp_start = address("10.0.2.15"),
	};

	if (opts->dns.s_addr) {
		/* libslirp is kept from sending what goes there to the host's own name server. */
		config.disable_dns = true;
		config.vnameserver = is_loopback(opts->dns) ? config.vhost : opts->dns;
	}
	slirp_lib_lock();
	ns->slirp = ns->lib.new(&config, &callbacks, ns);
	slirp_lib_unlock();
	if (!ns->slirp)
		return diag_set(diag, -EINVAL, "libslirp is too old: 4.7 or later is needed");
	return 0;
}

static int forward(struct net_slirp *ns, const struct net_slirp_forward *fwd, struct diag *diag)
{
	char addr[INET_ADDRSTRLEN];
	int r;

	slirp_lib_lock();
	ns->forwarding = true;
	r = ns->lib.add_hostfwd(ns->slirp, fwd->udp, fwd->host_addr, fwd->host_port,
				fwd->guest_addr, fwd->guest_port);
	if (r < 0)
		r = -errno;
	ns->forwarding = false;
	slirp_lib_unlock();
	if (r == 0)
		return 0;
	diag_set(diag, r, "forward %s port %u of %s", fwd->udp ? "UDP" : "TCP", fwd->host_port,
		 inet_ntop(AF_INET, &fwd->host_addr, addr, sizeof(addr)));
	if (r == -EADDRINUSE)
		diag_remedy(diag, "another program has it; take another port in hostfwd=");
	else if (r == -EACCES)
		diag_remedy(diag, "ports below 1024 take privileges; a higher one in hostfwd=");
	else if (r == -EADDRNOTAVAIL)
		diag_remedy(diag, "hostfwd= takes an address of this host, or 0.0.0.0 for all");
	return r;
}

static int open_events(struct net_slirp *ns, struct diag *diag)
{
	int r = 0;

	ns->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	ns->poll.fd = epoll_create1(EPOLL_CLOEXEC);
	if (ns->timer.fd < 0 || ns->poll.fd < 0)
		r = -errno;
	if (r == 0)
		r = event_loop_add(ns->loop, &ns->timer);
	if (r == 0)
		r = event_loop_add(ns->loop, &ns->poll);
	return r < 0 ? diag_set(diag, r, "watch the sockets of a user network") : 0;
}

int net_slirp_open(const void *opts, const struct net_backend_env *env, struct net_backend **ret,
		   struct diag *diag)
{
	const struct net_slirp_opts *o = opts;
	struct net_slirp *ns = calloc(1, sizeof(*ns));
	int r;

	if (!ns)
		return diag_set(diag, -ENOMEM, "user network");
	ns->be = (struct net_backend){
		.ops = &slirp_ops,
		.client = env->client,
		.name = "user",
		.pairs = 1,
		.link_up = true,
	};
	ns->loop = env->loop;
	ns->clock = env->clock;
	ns->timer = (struct event_source){.fd = -1, .events = EPOLLIN, .ready = slirp_timer_ready};
	ns->deadline_ns = INT64_MAX;
	ns->poll = (struct event_source){.fd = -1, .events = EPOLLIN, .ready = poll_ready};
	r = slirp_lib_load(&ns->lib, diag);
	if (r == 0)
		r = open_events(ns, diag);
	if (r == 0)
		r = create(ns, o, diag);
	for (unsigned i = 0; r == 0 && i < o->nr_forwards; i++)
		r = forward(ns, &o->forward[i], diag);
	if (r < 0) {
		backend_destroy(&ns->be);
		return r;
	}
	watch(ns);
	*ret = &ns->be;
	return 0;
}

#else

int net_slirp_open(const void *opts, const struct net_backend_env *env, struct net_backend **ret,
		   struct diag *diag)
{
	(void)opts;
	(void)env;
	(void)ret;
	diag_set(diag, -ENOSYS, "user network");
	diag_remedy(diag, "this tollgate was built without libslirp (meson -Dslirp=enabled)");
	return -ENOSYS;
}

#endif
