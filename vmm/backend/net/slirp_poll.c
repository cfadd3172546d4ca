/*
 * slirp_poll.c - what libslirp calls, and its sockets in the device's event loop, in an epoll of their own.
 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "backend/net/slirp.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/macros.h"

/*
 * Functions that libslirp calls, under the lock.
 */

static ssize_t cb_send_packet(const void *buf, size_t len, void *arg)
{
	struct net_slirp *ns = arg;
	struct slirp_tcp_segment seg;
	struct slirp_fifo_frame *frame;

	if (slirp_tcp_parse(buf, len, false, &seg))
		slirp_tcp_answer(&ns->tcp, &seg);
	/* A frame that is not kept is lost on the way, as frames are; less than len would be logged. */
	if (ns->fifo_len == SLIRP_FIFO_FRAMES || len > SLIRP_FRAME_BYTES_MAX) {
		ns->be.client->rx_dropped(ns->be.client);
		return (ssize_t)len;
	}
	frame = &ns->fifo[(ns->fifo_first + ns->fifo_len) % SLIRP_FIFO_FRAMES];
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
	if (at->listens && (ns->fds.nr_of[SLIRP_FD_PEER] >= SLIRP_PEERS_MAX ||
			    cb_clock_get_ns(ns) < ns->accept_from_ns))
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
const SlirpCb slirp_callbacks = {
	.send_packet = cb_send_packet,
	.guest_error = cb_guest_error,
	.clock_get_ns = cb_clock_get_ns,
	.register_poll_fd = cb_register_poll_fd,
	.unregister_poll_fd = cb_unregister_poll_fd,
	.notify = cb_notify,
};
#pragma GCC diagnostic pop

/*
 * The event loop.
 */

void slirp_timer_set(struct net_slirp *ns, uint32_t ms)
{
	int64_t deadline_ns;

	if (ms == UINT32_MAX)
		return;
	deadline_ns = cb_clock_get_ns(ns) + ms * NS_PER_MS;
	if (deadline_ns >= ns->deadline_ns)
		return;
	ns->deadline_ns = deadline_ns;
	event_timer_arm(&ns->timer, deadline_ns);
}

void slirp_watch(struct net_slirp *ns)
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
	if (cb_clock_get_ns(ns) < ns->accept_from_ns && ms > SLIRP_ACCEPT_PAUSE_MS)
		ms = SLIRP_ACCEPT_PAUSE_MS;
	slirp_timer_set(ns, ns->rx_want && ns->fifo_len ? 0 : ms);
}

void slirp_offer(struct net_slirp *ns)
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
	struct epoll_event ev[SLIRP_EVENTS_PER_POLL];
	const int n = epoll_wait(ns->poll.fd, ev, ARRAY_SIZE(ev), 0);
	const unsigned listening = note_ready(ns, ev, n), accepted = ns->accepted;

	slirp_lib_lock();
	ns->lib.pollfds_poll(ns->slirp, n < 0, cb_get_revents, ns);
	slirp_lib_unlock();
	for (unsigned i = 0; i < ns->fds.nr; i++)
		ns->fds.fd[i].ready = 0;
	if (ns->accepted - accepted < listening)
		ns->accept_from_ns = cb_clock_get_ns(ns) + SLIRP_ACCEPT_PAUSE_MS * NS_PER_MS;
}

void slirp_poll_ready(struct event_source *src, uint32_t epoll_events)
{
	struct net_slirp *ns = container_of(src, struct net_slirp, poll);

	(void)epoll_events;
	look(ns);
	slirp_offer(ns);
	slirp_watch(ns);
}

/* It does its work also while no socket is looked at: the frames that are the reason are to be offered. */
void slirp_timer_expired(void *net_slirp)
{
	struct net_slirp *ns = net_slirp;

	ns->deadline_ns = INT64_MAX;
	if (slirp_has_room(ns))
		look(ns);
	slirp_offer(ns);
	slirp_watch(ns);
}
