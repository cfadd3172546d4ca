#include "backend/net.h"

#include <errno.h>

#ifdef TOLLGATE_HAVE_SLIRP

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "backend/net/slirp.h"
#include "base/iov.h"
#include "base/macros.h"

static struct net_slirp *to_slirp(struct net_backend *be)
{
	return container_of(be, struct net_slirp, be);
}

/* The frame after the header in one piece, in ns->frame; 0 if it is too long. */
static size_t gather(struct net_slirp *ns, const struct iovec *iov, unsigned nr)
{
	if (iov_bytes(iov + 1, nr - 1) > sizeof(ns->frame))
		return 0;
	return iov_read(iov + 1, nr - 1, 0, ns->frame, sizeof(ns->frame));
}

/*
 * libslirp queues without bound what it has for an address that it knows no MAC address of. Of the
 * guest's addresses it has to know, then, before it can have an answer to send. Each time: it forgets all but the
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
	if (kind == SLIRP_FRAME_IP_OPENS &&
	    ns->fds.nr_of[SLIRP_FD_GUEST] >= SLIRP_GUEST_SOCKETS_MAX)
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

	slirp_offer(ns);
	slirp_watch(ns);
}

static ssize_t backend_receive(struct net_backend *be, unsigned pair, const struct iovec *iov,
			       unsigned nr)
{
	struct net_slirp *ns = to_slirp(be);
	const struct slirp_fifo_frame *frame = &ns->fifo[ns->fifo_first];
	static const uint8_t header[NET_HDR_BYTES];
	size_t done;
	bool had_room;

	(void)pair;
	if (ns->fifo_len == 0)
		return -EAGAIN;
	memcpy(iov[0].iov_base, header, NET_HDR_BYTES);
	done = iov_write(iov + 1, nr - 1, 0, frame->bytes, frame->len);
	had_room = slirp_has_room(ns);
	ns->fifo_first = (ns->fifo_first + 1) % SLIRP_FIFO_FRAMES;
	ns->fifo_len--;
	if (!had_room && slirp_has_room(ns))
		slirp_watch(ns);
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
		slirp_timer_set(ns, 0);
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

static struct net_slirp_forward *forward_find(struct net_slirp *ns,
					      const struct net_slirp_forward *fwd)
{
	for (unsigned i = 0; i < ns->nr_forwards; i++) {
		struct net_slirp_forward *at = &ns->forward[i];

		if (at->udp == fwd->udp && at->host_port == fwd->host_port &&
		    at->host_addr.s_addr == fwd->host_addr.s_addr)
			return at;
	}
	return NULL;
}

static int forward_say(const struct net_slirp_forward *fwd, int err, struct diag *diag)
{
	char addr[INET_ADDRSTRLEN];

	diag_set(diag, err, "forward-listen", "forward %s port %u of %s", fwd->udp ? "UDP" : "TCP",
		 fwd->host_port, inet_ntop(AF_INET, &fwd->host_addr, addr, sizeof(addr)));
	if (err == -EADDRINUSE)
		diag_remedy(diag, "another program has it; take another port in hostfwd=");
	else if (err == -EACCES)
		diag_remedy(diag, "ports below 1024 take privileges; a higher one in hostfwd=");
	else if (err == -EADDRNOTAVAIL)
		diag_remedy(diag, "hostfwd= takes an address of this host, or 0.0.0.0 for all");
	return err;
}

/* libslirp would let two UDP sockets of this process share a port. */
static int forward_add(struct net_slirp *ns, const struct net_slirp_forward *fwd, struct diag *diag)
{
	char text[NET_FORWARD_TEXT_BYTES];
	int r;

	if (ns->nr_forwards == NET_SLIRP_FORWARDS_MAX)
		return diag_set(diag, -EINVAL, "forward-count",
				"this network forwards %d ports, which is the limit",
				NET_SLIRP_FORWARDS_MAX);
	if (forward_find(ns, fwd))
		return diag_set(diag, -EINVAL, "forward-twice",
				"forward %s: that port of the host is forwarded already",
				net_forward_format(fwd, text));
	slirp_lib_lock();
	ns->forwarding = true;
	r = ns->lib.add_hostfwd(ns->slirp, fwd->udp, fwd->host_addr, fwd->host_port,
				fwd->guest_addr, fwd->guest_port);
	if (r < 0)
		r = -errno;
	ns->forwarding = false;
	slirp_lib_unlock();
	if (r < 0)
		return forward_say(fwd, r, diag);
	ns->forward[ns->nr_forwards++] = *fwd;
	return 0;
}

/* Connections that were made through it go on. */
static int forward_remove(struct net_slirp *ns, const struct net_slirp_forward *fwd,
			  struct diag *diag)
{
	struct net_slirp_forward *at = forward_find(ns, fwd);
	char addr[INET_ADDRSTRLEN], text[NET_FORWARD_TEXT_BYTES];
	int r;

	if (!at) {
		diag_set(diag, -EINVAL, "forward-none", "%s port %u of %s is not forwarded",
			 fwd->udp ? "UDP" : "TCP", fwd->host_port,
			 inet_ntop(AF_INET, &fwd->host_addr, addr, sizeof(addr)));
		diag_remedy(diag, "`hostfwd list` has those that are");
		return -EINVAL;
	}
	slirp_lib_lock();
	r = ns->lib.remove_hostfwd(ns->slirp, fwd->udp, fwd->host_addr, fwd->host_port);
	slirp_lib_unlock();
	if (r < 0)
		return diag_set(diag, -EIO, "forward-remove", "libslirp keeps forward %s",
				net_forward_format(at, text));
	*at = ns->forward[--ns->nr_forwards];
	return 0;
}

static int backend_forward(struct net_backend *be, bool add, const struct net_slirp_forward *fwd,
			   struct diag *diag)
{
	struct net_slirp *ns = to_slirp(be);
	const int r = add ? forward_add(ns, fwd, diag) : forward_remove(ns, fwd, diag);

	slirp_watch(ns);
	return r;
}

static int backend_forwards(struct net_backend *be,
			    struct net_slirp_forward ret[NET_SLIRP_FORWARDS_MAX])
{
	const struct net_slirp *ns = to_slirp(be);

	memcpy(ret, ns->forward, ns->nr_forwards * sizeof(*ret));
	return (int)ns->nr_forwards;
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
	event_timer_fini(&ns->timer);
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
	.forward = backend_forward,
	.forwards = backend_forwards,
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
	ns->slirp = ns->lib.new(&config, &slirp_callbacks, ns);
	slirp_lib_unlock();
	if (!ns->slirp)
		return diag_set(diag, -EINVAL, "libslirp-version",
				"libslirp is too old: 4.7 or later is needed");
	return 0;
}

static int open_events(struct net_slirp *ns, struct diag *diag)
{
	int r = event_timer_init(&ns->timer, ns->loop, slirp_timer_expired, ns);

	if (r == 0) {
		ns->poll.fd = epoll_create1(EPOLL_CLOEXEC);
		r = ns->poll.fd < 0 ? -errno : 0;
	}
	if (r == 0)
		r = event_loop_add(ns->loop, &ns->poll);
	return r < 0 ? diag_set(diag, r, "slirp-watch", "watch the sockets of a user network") : 0;
}

int net_slirp_open(const void *opts, const struct net_backend_env *env, struct net_backend **ret,
		   struct diag *diag)
{
	const struct net_slirp_opts *o = opts;
	struct net_slirp *ns = calloc(1, sizeof(*ns));
	int r;

	if (!ns)
		return diag_set(diag, -ENOMEM, "slirp-memory", "user network");
	ns->be = (struct net_backend){
		.ops = &slirp_ops,
		.client = env->client,
		.name = "user",
		.pairs = 1,
		.link_up = true,
	};
	ns->loop = env->loop;
	ns->clock = env->clock;
	ns->deadline_ns = INT64_MAX;
	ns->poll = (struct event_source){.fd = -1, .events = EPOLLIN, .ready = slirp_poll_ready};
	r = slirp_lib_load(&ns->lib, diag);
	if (r == 0)
		r = open_events(ns, diag);
	if (r == 0)
		r = create(ns, o, diag);
	for (unsigned i = 0; r == 0 && i < o->nr_forwards; i++)
		r = forward_add(ns, &o->forward[i], diag);
	if (r < 0) {
		backend_destroy(&ns->be);
		return r;
	}
	slirp_watch(ns);
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
	diag_set(diag, -ENOSYS, "slirp-not-built", "user network");
	diag_remedy(diag, "this tollgate was built without libslirp (meson -Dslirp=enabled)");
	return -ENOSYS;
}

#endif
